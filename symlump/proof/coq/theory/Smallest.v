(* The smallest linear lumping that keeps observables: its certificate, checked.

   Whoever keeps the observables has them as combinations of rows; if r is one, so is each coefficient of the
   gradient of r·q. The derivation finds as many such rows as the lumping has, independent modulo a number. *)

From Coq Require Import QArith List Lia ZArith PeanoNat.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Compose Linear Forward Modular Derivation.
Import ListNotations.
Local Open Scope Q_scope.

(* ------------------------------------------------------------------ Fewer rows than vectors annihilate a combination. *)

Fixpoint mix (c : list Q) (b : list (positive -> Q)) (u : positive) : Q :=
  match c, b with k :: c, v :: b => k * v u + mix c b u | _, _ => 0 end.

Lemma combination_zero (r : row) : combination r (fun _ => 0 : rationals) == 0.
Proof. induction r as [|[w v] r IH]; cbn [combination]; cbn [add mul scalar zero rationals]; [ring | rewrite IH; ring]. Qed.

Lemma combination_mix (r : row) c b :
  combination r (mix c b : state) == mix c (map (fun v (_ : positive) => combination r (v : state)) b) xH.
Proof.
  revert b. induction c as [|k c IH]; intros [|v b]; cbn [mix map]; try exact (combination_zero r).
  rewrite <- IH. clear. induction r as [|[w u] r IH]; cbn [combination]; cbn [add mul scalar zero rationals]; [ring|].
  rewrite IH. ring.
Qed.

Definition nonzero (c : list Q) : Prop := exists k, In k c /\ ~ k == 0.

Lemma mix_zero c b u : (forall v, In v b -> v u == 0) -> mix c b u == 0.
Proof.
  revert b. induction c as [|k c IH]; intros [|v b] H; cbn [mix]; try reflexivity.
  rewrite (H v) by now left. rewrite IH by (intros; apply H; now right). ring.
Qed.

(* The vector p is taken out of b: b' = b - (f b / f p) p. *)
Lemma mix_shift (a : (positive -> Q) -> Q) (p : positive -> Q) c b u :
  mix c (map (fun v w => v w - a v * p w) b) u == mix c b u - mix c (map (fun v (_ : positive) => a v) b) xH * p u.
Proof. revert b. induction c as [|k c IH]; intros [|v b]; cbn [mix map]; try ring. rewrite IH. ring. Qed.

Lemma mix_app c c' b b' u : length c = length b -> mix (c ++ c') (b ++ b') u == mix c b u + mix c' b' u.
Proof.
  revert b. induction c as [|k c IH]; intros [|v b] L; cbn [mix app]; try easy; [ring|].
  rewrite IH by (cbn in L; lia). ring.
Qed.

Lemma dependent (rows : list row) : forall b : list (positive -> Q), (length rows < length b)%nat ->
  exists c, length c = length b /\ nonzero c /\ annihilated rows (mix c b : state).
Proof.
  induction rows as [|r rows IH]; intros b L.
  - exists (map (fun _ => 1) b). split; [apply map_length|]. split; [|easy].
    destruct b as [|v b]; [easy|]. exists 1. split; [now left | easy].
  - cbn in L.
    assert (S : (forall v, In v b -> combination r (v : state) == 0) \/ exists p, In p b /\ ~ combination r (p : state) == 0).
    { clear. induction b as [|v b IH]; [now left|]. destruct (Qeq_dec (combination r (v : state)) 0) as [Z|N].
      - destruct IH as [IH|(p & P & N)]; [left; intros w [<-|W]; auto | right; exists p; split; [now right | exact N]].
      - right. exists v. split; [now left | exact N]. }
    destruct S as [Z|(p & P & N)].
    + destruct (IH b) as (c & Lc & Nc & A); [lia|]. exists c. split; [exact Lc|]. split; [exact Nc|].
      intros q [<-|Q]; [|now apply A]. rewrite combination_mix. apply mix_zero.
      intros v V. apply in_map_iff in V as (w & <- & W). now apply Z.
    + apply in_split in P as (b1 & b2 & ->). rewrite app_length in L. cbn in L.
      set (a := fun v : positive -> Q => combination r (v : state) / combination r (p : state)).
      destruct (IH (map (fun v w => v w - a v * p w) (b1 ++ b2))) as (c & Lc & Nc & A);
        [rewrite map_length, app_length; lia|].
      rewrite map_length, app_length in Lc.
      set (c1 := firstn (length b1) c). set (c2 := skipn (length b1) c).
      assert (L1 : length c1 = length b1) by (apply firstn_length_le; lia).
      set (k := - mix c (map (fun v (_ : positive) => a v) (b1 ++ b2)) xH).
      assert (E : forall u, mix (c1 ++ k :: c2) (b1 ++ p :: b2) u == mix c (map (fun v w => v w - a v * p w) (b1 ++ b2)) u).
      { intros u. rewrite mix_shift, mix_app by exact L1. cbn [mix].
        rewrite <- (firstn_skipn (length b1) c) at 1. fold c1 c2. rewrite mix_app by exact L1. unfold k. ring. }
      exists (c1 ++ k :: c2). split; [|split].
      * rewrite !app_length. cbn. rewrite L1. f_equal. f_equal. unfold c2. rewrite skipn_length. lia.
      * destruct Nc as (z & I & NZ). exists z. split; [|exact NZ]. rewrite <- (firstn_skipn (length b1) c) in I.
        fold c1 c2 in I. apply in_app_iff in I. apply in_app_iff. cbn. tauto.
      * intros q Q. rewrite (combination_ext (A := rationals) q _ _ E). destruct Q as [<-|Q]; [|now apply A].
        rewrite combination_mix, map_map. apply mix_zero. intros v V. apply in_map_iff in V as (w & <- & W).
        transitivity (combination r (w : state) + -1 * (a w * combination r (p : state))); [|unfold a; field; exact N].
        clear. generalize (a w). intros d. induction r as [|[x y] r IH]; cbn [combination];
          cbn [add mul scalar zero rationals]; [ring | rewrite IH; ring].
Qed.

(* ------------------------------------------------------------------ The check. *)

Definition carried_check (rows observables carried : list row) : bool :=
  let forms := to_map (map row_polynomial rows) in
  Nat.eqb (length observables) (length carried) &&
  forallb (fun '(o, c) => for_all is_zero (gather (-1) (row_polynomial o) (gather_row forms c Empty)))
    (combine observables carried).

Definition smallest_check (s : system) (rows : list row) (g : system) (observables carried : list row)
  (start : list positive) (steps : derivation_steps) (m : Z) : bool :=
  let equations := to_map s in
  forallb (fun '(_, q) => in_scope equations q) (numbered s xH) &&
  Nat.eqb (length rows) (length g) &&
  carried_check rows observables carried &&
  Z.leb 2 m &&
  match derivation m s observables start steps with
  | Some vectors => Nat.eqb (length vectors) (length rows) &&
    match independence_check (length s) m vectors with Some _ => true | None => false end
  | None => false
  end.

(* ------------------------------------------------------------------ What the check means. *)

Lemma combination_add (r : row) c (x y : positive -> Q) :
  combination r ((fun u => c * x u + y u) : state) == c * combination r (x : state) + combination r (y : state).
Proof. induction r as [|[w v] r IH]; cbn [combination]; cbn [add mul scalar zero rationals]; [ring | rewrite IH; ring]. Qed.

Lemma item_in {X : Type} (beyond : X) l k : In (item beyond l k) l \/ item beyond l k = beyond.
Proof. unfold item. destruct (nth_in_or_default (pred (Pos.to_nat k)) l beyond); auto. Qed.

Lemma in_item {X : Type} (beyond : X) l r : In r l -> exists k, item beyond l k = r.
Proof.
  intros I. apply In_nth with (d := beyond) in I as (n & L & E). exists (Pos.of_succ_nat n).
  unfold item. rewrite SuccNat2Pos.id_succ. exact E.
Qed.

Definition difference (x x' : positive -> Q) (u : positive) : Q := -1 * x' u + x u.

Lemma agree_annihilated M (x x' : positive -> Q) :
  agree M (x : state) (x' : state) <-> annihilated M (difference x x' : state).
Proof.
  unfold difference. split.
  - intros H r R. apply (in_item []) in R as [k <-]. rewrite combination_add. specialize (H k).
    unfold combinations in H. rewrite H. ring.
  - intros H k. unfold combinations. apply difference_zero. destruct (item_in [] M k) as [I|E].
    + rewrite <- (H _ I), combination_add. ring.
    + rewrite E. reflexivity.
Qed.

(* Whatever M annihilates, r does. *)
Definition implied (M : list row) (r : row) : Prop :=
  forall d : positive -> Q, annihilated M (d : state) -> combination r (d : state) == 0.

Lemma determines_implied M N : determines M N <-> forall r, In r N -> implied M r.
Proof.
  split.
  - intros H r R d A. assert (G : agree M (d : state) ((fun _ => 0) : state)).
    { apply agree_annihilated. intros q Q. rewrite <- (A q Q). apply (combination_ext (A := rationals)).
      intros u. unfold difference. cbn. ring. }
    apply H in G. apply agree_annihilated in G. rewrite <- (G r R).
    apply (combination_ext (A := rationals)). intros u. unfold difference. cbn. ring.
  - intros H x x' A. apply agree_annihilated. apply agree_annihilated in A. intros r R. now apply H.
Qed.

Section Smallest.
  Variables (s : system) (M : list row).
  Hypothesis scope : forall v, In v (variables s) -> in_scope (to_map s) (equation s v) = true.
  Hypothesis M_invariant : invariant s M.

  Lemma within_combined r : within (variables s) (combined s r).
  Proof.
    intros c m v e I V. unfold combined in I. apply in_flat_map in I as [[w u] [_ I]].
    apply in_map_iff in I as [[c' m'] [E I]]. injection E as _ <-.
    destruct (in_dec Pos.eq_dec u (variables s)) as [U|U].
    - exact (in_scope_within _ _ (scope u U) _ _ _ _ I V).
    - unfold equation, item in I. rewrite nth_overflow in I; [easy|]. rewrite in_variables in U.
      apply Nat.nle_gt in U. now apply Nat.lt_le_pred.
  Qed.

  Lemma implied_slope r d m : implied M r -> annihilated M (d : state) -> sorted m ->
    slope (variables s) (d : state) (combined s r) m == 0.
  Proof.
    intros I D S. revert m S. apply direction; [apply variables_distinct | apply within_combined |].
    intros x t. rewrite !(eval_combined (A := rationals)). apply difference_zero.
    assert (G : agree M (field s (moved x d t)) (field s x)).
    { apply M_invariant, agree_annihilated. intros q Q. rewrite <- (Qmult_0_r t), <- (D q Q), <- combination_scale.
      apply (combination_ext (A := rationals)). intros u. unfold difference, moved. cbn. ring. }
    apply agree_annihilated in G. apply I in G. rewrite <- G. unfold difference. rewrite combination_add. ring.
  Qed.

  Lemma implied_derivable observables r : determines M observables -> derivable s observables r -> implied M r.
  Proof.
    intros D H. induction H as [r I| |r n _ I S]; [now apply (proj1 (determines_implied M observables) D)|now intros d _|].
    intros d A. rewrite <- (implied_slope r d n I A S). unfold coefficient_row, slope.
    clear. induction (variables s) as [|v l IH]; [reflexivity|]. cbn [map combination sum_over]. cbn [add mul scalar rationals].
    apply Qplus_comp; [apply Qmult_comm | exact IH].
  Qed.
End Smallest.

Definition unit_state (p u : positive) : Q := if Pos.eqb p u then 1 else 0.

Lemma mix_lives_on c pivots : lives_on pivots (mix c (map unit_state pivots) : state).
Proof.
  intros u U. apply mix_zero. intros v V. apply in_map_iff in V as (p & <- & P). unfold unit_state.
  destruct (Pos.eqb_spec p u) as [->|]; [easy | reflexivity].
Qed.

Lemma mix_units c pivots : NoDup pivots -> length c = length pivots ->
  (forall u, mix c (map unit_state pivots) u == 0) -> forall k, In k c -> k == 0.
Proof.
  revert c. induction pivots as [|p l IH]; intros [|k c] N L Z; cbn in L; try easy.
  inversion N as [|? ? P N']; subst.
  assert (K : k == 0).
  { specialize (Z p). cbn [map mix] in Z. unfold unit_state in Z at 1. rewrite Pos.eqb_refl in Z.
    rewrite (mix_lives_on c l p P) in Z. rewrite <- Z. ring. }
  intros j [<-|J]; [exact K|]. apply (IH c); trivial; [lia|]. intros u. rewrite <- (Z u). cbn [map mix]. rewrite K. ring.
Qed.

(* What is a combination of rows is determined by them. *)
Lemma carried_implied rows observables carried : carried_check rows observables carried = true ->
  forall o, In o observables -> implied rows o.
Proof.
  intros C. unfold carried_check in C. cbv zeta in C.
  apply andb_prop in C as [L C]. apply Nat.eqb_eq in L. rewrite forallb_forall in C.
  intros o O d D.
  assert (E : exists c, In (o, c) (combine observables carried)).
  { clear - O L. revert carried L. induction observables as [|a l IH]; intros [|c k] L; cbn in L; try easy.
    destruct O as [->|O]; [exists c; now left|]. destruct (IH O k) as [c' H]; [lia | exists c'; now right]. }
  destruct E as [c E]. apply C in E. cbv beta iota in E. set (forms := map row_polynomial rows) in *.
  transitivity (eval (d : state) (row_polynomial o)); [symmetry; apply (eval_row_polynomial (A := rationals))|].
  transitivity (eval (d : state) (combined forms c)).
  - apply (eval_coef (A := rationals)). intros k. apply difference_zero. pose proof (value_zero _ (key k) E) as Z.
    rewrite value_gather, value_gather_row in Z. change (value _ Empty) with 0 in Z.
    transitivity (-1 * (0 + coef (combined forms c) k + -1 * coef (row_polynomial o) k)); [ring | rewrite Z; ring].
  - rewrite (eval_combined (A := rationals)). clear E. induction c as [|[w v] c IH]; cbn [combination]; [reflexivity|].
    cbn [add mul scalar rationals]. rewrite IH. unfold field, equation.
    assert (V : eval (d : state) (item [] forms v) == 0).
    { destruct (item_in [] forms v) as [I|N]; [|rewrite N; reflexivity].
      apply in_map_iff in I as (r & <- & R). rewrite (eval_row_polynomial (A := rationals)). now apply D. }
    rewrite V. ring.
Qed.

(* As many independent vectors as rows, all combinations of the rows: who has the vectors has the rows. *)
Lemma spanned_by n m vectors pivots (rows M : list row) : independence_check n m vectors = Some pivots ->
  length vectors = length rows ->
  (forall a, In a vectors -> exists r, represents m r a /\ implied rows r /\ implied M r) ->
  determines M rows /\ (length rows <= length M)%nat.
Proof.
  intros I L By. destruct (checked_parts n m vectors pivots I) as (_ & N & Lp & _).
  assert (Free : forall c, length c = length pivots -> vanishing_on m vectors (mix c (map unit_state pivots) : state) ->
    forall k, In k c -> k == 0).
  { intros c Lc A. apply mix_units with pivots; trivial. intros u.
    apply (independent n m vectors pivots I (mix c (map unit_state pivots))); [apply mix_lives_on | exact A]. }
  split.
  - apply determines_implied. intros r R x X.
    destruct (dependent rows (x :: map unit_state pivots)) as (c & Lc & Nc & A);
      [cbn; rewrite map_length; lia|].
    destruct c as [|c0 c]; [easy|]. cbn in Lc. rewrite map_length in Lc.
    assert (Z : forall k, In k c -> k == 0).
    { apply Free; [lia|]. intros a Ia. destruct (By a Ia) as (v & V & ByRows & ByM). exists v. split; [exact V|].
      pose proof (ByRows _ A) as E. cbn [mix] in E.
      change (mix (c0 :: c) (x :: map unit_state pivots)) with
        (fun u => c0 * x u + mix c (map unit_state pivots) u) in E.
      rewrite combination_add in E. rewrite (ByM x X) in E. rewrite Qmult_0_r, Qplus_0_l in E. exact E. }
    assert (C0 : ~ c0 == 0).
    { intros E. destruct Nc as (k & [<-|K] & NZ); [easy|]. apply NZ. now apply Z. }
    specialize (A r R). change (mix (c0 :: c) (x :: map unit_state pivots)) with
      (fun u => c0 * x u + mix c (map unit_state pivots) u) in A.
    rewrite combination_add in A.
    assert (E : combination r (mix c (map unit_state pivots) : state) == 0).
    { rewrite (combination_ext (A := rationals) r _ (fun _ => 0)).
      - exact (combination_zero r).
      - intros u. clear - Z. cbn. revert Z. generalize (map unit_state pivots) as b.
        induction c as [|k c IH]; intros [|v b] Z; cbn [mix]; try reflexivity.
        rewrite (Z k), IH by (try (now left); intros; apply Z; now right). ring. }
    rewrite E, Qplus_0_r in A. apply Qmult_integral in A as [A|A]; [easy | exact A].
  - destruct (Compare_dec.le_lt_dec (length rows) (length M)) as [H|H]; [exact H|]. exfalso.
    destruct (dependent M (map unit_state pivots)) as (c & Lc & (k & K & NZ) & A); [rewrite map_length; lia|].
    rewrite map_length in Lc. apply NZ. apply (Free c Lc); [|exact K].
    intros a Ia. destruct (By a Ia) as (v & V & _ & ByM). exists v. split; [exact V | now apply ByM].
Qed.

Section Correct.
  Variables (s : system) (rows : list row) (g : system) (observables carried : list row)
    (start : list positive) (steps : derivation_steps) (m : Z).
  Hypothesis lumps : linear_check s rows g = true.
  Hypothesis checked : smallest_check s rows g observables carried start steps m = true.

  Lemma smallest_parts :
    (forall v, In v (variables s) -> in_scope (to_map s) (equation s v) = true) /\ length rows = length g /\
    carried_check rows observables carried = true /\ (2 <= m)%Z /\
    exists vectors pivots, derivation m s observables start steps = Some vectors /\ length vectors = length rows /\
      independence_check (length s) m vectors = Some pivots.
  Proof.
    unfold smallest_check in checked. cbv zeta in checked.
    apply andb_prop in checked as [H D]. apply andb_prop in H as [H M]. apply andb_prop in H as [H C].
    apply andb_prop in H as [S L]. apply Nat.eqb_eq in L. apply Z.leb_le in M.
    destruct (derivation m s observables start steps) as [vectors|]; [|easy]. apply andb_prop in D as [V I].
    apply Nat.eqb_eq in V. repeat split; trivial.
    - intros v W. exact (for_numbered _ _ S v W).
    - exists vectors. destruct (independence_check (length s) m vectors) as [p|]; [now exists p | easy].
  Qed.

  Lemma rows_invariant : invariant s rows.
  Proof.
    destruct smallest_parts as (_ & L & _). intros x x' A k.
    destruct (in_dec Pos.eq_dec k (variables g)) as [K|K].
    - pose proof (linear_correct s rows g lumps rationals) as H. cbn [eqv rationals] in H.
      rewrite (H x k K), (H x' k K). apply (eval_ext (A := rationals)). exact A.
    - unfold combinations, item. rewrite nth_overflow; [reflexivity|]. rewrite in_variables in K. lia.
  Qed.

  Lemma rows_determine : determines rows observables.
  Proof.
    destruct smallest_parts as (_ & _ & C & _). apply determines_implied. now apply carried_implied with carried.
  Qed.

  Theorem smallest_correct : smallest s observables rows.
  Proof.
    destruct smallest_parts as (S & _ & _ & Large & vectors & pivots & D & L & I).
    split; [exact rows_invariant|]. split; [exact rows_determine|]. intros M MI MD.
    apply spanned_by with (length s) m vectors pivots; trivial. intros a A.
    destruct (derivation_known m s observables start steps vectors Large D a A) as (r & R & H). exists r.
    split; [exact R|]. split.
    - exact (implied_derivable s rows S rows_invariant observables r rows_determine H).
    - exact (implied_derivable s M S MI observables r MD H).
  Qed.
End Correct.
