(* The maximality record, replayed: no equivalence inside the initial partition is coarser. *)

From Coq Require Import QArith List Lia.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Backward Forward.
Import ListNotations.
Local Open Scope Q_scope.

(* ------------------------------------------------------------------ Rounds. *)

(* Rationals in lowest terms as bits before others. *)
Definition rational_bits (q : Q) (rest : positive) : positive :=
  match Qnum q with
  | Z0 => xO (xO rest)
  | Zpos n => xO (xI (bits n (bits (Qden q) rest)))
  | Zneg n => xI (bits n (bits (Qden q) rest))
  end.
Definition signature_key (label : positive) (values : list Q) : positive := bits label (fold_right rational_bits xH values).

(* Different keys get different numbers. *)
Definition number_keys (keys : list positive) : trie positive :=
  fst (fold_left (fun '(t, next) k => match get k t with
                                      | Some _ => (t, next)
                                      | None => (put k next t, Pos.succ next)
                                      end) keys (Empty, xH)).

Section Rounds.
  Variable record : Type.
  Variable member : record -> positive.
  (* What the records about a variable's block say of it, under the partition of the moment. *)
  Variable signature : partition -> list record -> positive -> list Q.
  Variable s : system.

  Fixpoint by_block (label : partition) (records : list record) : trie (list record) :=
    match records with
    | [] => Empty
    | r :: l => update (fun old => match old with Some k => r :: k | None => [r] end) (label (member r)) (by_block label l)
    end.

  Definition round (labels : list positive) (records : list record) : list positive :=
    let label := lookup xH (to_map labels) in
    let groups := by_block label records in
    let key v := signature_key (label v) (signature label (lookup [] groups (label v)) v) in
    let keys := map (fun '(v, _) => key v) (numbered s xH) in
    let numbers := number_keys keys in
    map (lookup xH numbers) keys.

  Definition replay (initial : list positive) (rounds : list (list record)) : list positive :=
    fold_left round rounds initial.

  Lemma item_map {X : Type} (beyond : X) (f : positive -> X) v :
    In v (variables s) -> item beyond (map f (variables s)) v = f v.
  Proof.
    intros V. apply in_variables in V. pose proof (Pos2Nat.is_pos v) as Hv.
    unfold item, variables. rewrite map_map.
    rewrite nth_indep with (d' := f (Pos.of_succ_nat 0)) by (rewrite map_length, seq_length; lia).
    rewrite (map_nth (fun k => f (Pos.of_succ_nat k))), seq_nth by lia.
    f_equal. apply Pos2Nat.inj. rewrite SuccNat2Pos.id_succ. lia.
  Qed.

  Variable R : partition.
  (* R's blocks are not told apart while they lie inside those of the moment. *)
  Hypothesis alike : forall (label : partition) records v w, inside s R label ->
    In v (variables s) -> In w (variables s) -> R v = R w -> signature label records v = signature label records w.

  Lemma round_keeps labels records : inside s R (listed labels) -> inside s R (listed (round labels records)).
  Proof.
    intros I v w V W E. unfold round. cbv zeta. set (label := lookup xH (to_map labels)).
    assert (L : forall u, label u = listed labels u) by (intros; apply lookup_to_map).
    rewrite (map_ext (fun '(v, _) => _) (fun p : positive * polynomial => signature_key (label (fst p))
      (signature label (lookup [] (by_block label records) (label (fst p))) (fst p)))) by now intros [].
    rewrite <- (map_map fst (fun v => signature_key (label v)
      (signature label (lookup [] (by_block label records) (label v)) v))), fst_numbered.
    set (f := fun v => signature_key _ _). unfold listed. set (t := number_keys _). rewrite map_map.
    rewrite !(item_map xH (fun u => lookup xH t (f u))) by trivial. f_equal. unfold f.
    assert (E' : label v = label w) by (rewrite !L; now apply I).
    rewrite E'. f_equal. apply alike; trivial. intros i j A B C. rewrite !L. now apply I.
  Qed.

  Lemma replay_keeps rounds initial : inside s R (listed initial) -> inside s R (listed (replay initial rounds)).
  Proof.
    unfold replay. revert initial. induction rounds as [|r l IH]; cbn; auto using round_keeps.
  Qed.
End Rounds.

(* Every block of one partition lies inside one of another. *)
Definition inside_check (s : system) (p r : list positive) : bool :=
  let P := lookup xH (to_map p) in
  let R := lookup xH (to_map r) in
  let variables := numbered s xH in
  let t := fold_left (fun t '(v, _) => put (P v) (R v) t) variables Empty in
  forallb (fun '(v, _) => Pos.eqb (lookup xH t (P v)) (R v)) variables.

Lemma inside_correct s p r : inside_check s p r = true -> inside s (listed p) (listed r).
Proof.
  intros C i j I J E. unfold inside_check in C. cbv zeta in C.
  pose proof (for_numbered _ _ C i I) as Hi. pose proof (for_numbered _ _ C j J) as Hj. cbv beta iota in Hi, Hj.
  rewrite !(lookup_to_map xH) in Hi, Hj. unfold listed in *. rewrite E in Hi.
  apply Pos.eqb_eq in Hi, Hj. congruence.
Qed.

(* ------------------------------------------------------------------ Backward. *)

Definition backward_signature (equations : trie polynomial) (label : partition)
  (records : list (positive * monomial)) (v : positive) : list Q :=
  match records with
  | [] => []
  | _ => let t := gather 1 (renamed_terms label (lookup (X := polynomial) [] equations v)) Empty in
         map (fun '(_, m) => Qred (value (key (normal (renamed label m))) t)) records
  end.

Definition backward_coarsest_check (s : system) (p initial : list positive)
  (rounds : list (list (positive * monomial))) : bool :=
  inside_check s p initial &&
  inside_check s (replay _ fst (backward_signature (to_map s)) s initial rounds) p.

Lemma difference_plus (a b : Q) : a - b == a + -1 * b.
Proof. ring. Qed.

Lemma backward_alike s R (label : partition) records v w :
  backward_equivalence s R -> inside s R label -> In v (variables s) -> In w (variables s) -> R v = R w ->
  backward_signature (to_map s) label records v = backward_signature (to_map s) label records w.
Proof.
  intros B I V W E. unfold backward_signature. destruct records as [|r l]; [reflexivity|]. cbv zeta.
  apply map_ext. intros [_ m]. apply Qred_complete. rewrite !value_gather, !(lookup_to_map (X := polynomial)).
  change (value _ Empty) with 0. apply Qplus_comp; [reflexivity|]. apply Qmult_comp; [reflexivity|].
  generalize (normal (renamed label m)). clear m. intros m. apply difference_zero.
  transitivity (coef (renamed_terms label (equation s v) ++ scale (-1) (renamed_terms label (equation s w))) m);
    [rewrite coef_app, coef_scale; exact (difference_plus _ _)|].
  revert m. apply vanishing. intros y. rewrite (eval_app (A := rationals)), (eval_scale (A := rationals)), !(eval_renamed (A := rationals)).
  assert (H := B (fun u => y (label u))). unfold uniform, field in H.
  rewrite (H (fun i j A C D => ltac:(now rewrite (I i j A C D))) v w V W E).
  cbn [add mul scalar rationals]. ring.
Qed.

Lemma backward_lumping_equivalence s p g :
  backward_check s p g = true -> backward_equivalence s (listed p).
Proof.
  intros C x U i j I J E. pose proof (backward_checked s p g C) as H.
  destruct (backward_correct s p g C) as [_ L].
  set (y := fun b => match find (fun v => Pos.eqb (listed p v) b) (variables s) with Some v => x v | None => 0 end).
  assert (Y : forall v, In v (variables s) -> x v == spread (A := rationals) (listed p) y v).
  { intros v V. unfold spread, y. destruct (find _ (variables s)) as [w|] eqn:F.
    - apply find_some in F as [W F]. apply Pos.eqb_eq in F. now apply U.
    - apply find_none with (x := v) in F; [|exact V]. now rewrite Pos.eqb_refl in F. }
  unfold field.
  rewrite (eval_in_scope (A := rationals) s _ x _ (proj1 (proj2 (H i I))) Y).
  rewrite (eval_in_scope (A := rationals) s _ x _ (proj1 (proj2 (H j J))) Y).
  transitivity (spread (A := rationals) (listed p) (field g (y : state)) i); [exact (L rationals y i I)|].
  unfold spread at 1. rewrite E. symmetry. exact (L rationals y j J).
Qed.

Theorem backward_coarsest_correct s p g initial rounds :
  backward_check s p g = true -> backward_coarsest_check s p initial rounds = true ->
  coarsest backward_equivalence s (listed initial) (listed p).
Proof.
  intros C M. unfold backward_coarsest_check in M. apply andb_prop in M as [M N].
  apply inside_correct in M, N. split; [|split; [exact M|]].
  - now apply backward_lumping_equivalence with g.
  - intros R B I i j A D E. apply N; trivial.
    apply (replay_keeps _ fst (backward_signature (to_map s)) s R); trivial.
    intros. now apply backward_alike with R.
Qed.

(* ------------------------------------------------------------------ Forward. *)

(* For each monomial, the equations that contain it, and its coefficients there. *)
Definition occurrences (l : list (positive * polynomial)) : trie (list (positive * Q)) :=
  fold_left (fun t '(v, q) =>
    fold_left (fun t '(c, m) =>
      update (fun old => (v, c) :: match old with Some r => r | None => [] end) (key (normal m)) t) q t) l Empty.

Fixpoint sum_in (label : partition) (b : positive) (l : list (positive * Q)) : Q :=
  match l with
  | [] => 0
  | (v, c) :: l => if Pos.eqb (label v) b then sum c (sum_in label b l) else sum_in label b l
  end.

Definition forward_signature (t : trie (list (positive * Q))) (label : partition)
  (records : list (positive * positive * monomial)) (v : positive) : list Q :=
  map (fun '(_, target, m) =>
    let m := normal m in
    Qred ((Zpos (N.succ_pos (degree_N m v)) # 1) * sum_in label (label target) (lookup [] t (key (insert v xH m))))) records.

Definition forward_coarsest_check (s : system) (p initial : list positive)
  (rounds : list (list (positive * positive * monomial))) : bool :=
  inside_check s p initial &&
  inside_check s (replay _ (fun r => fst (fst r)) (forward_signature (occurrences (numbered s xH))) s initial rounds) p.

Lemma sum_in_occurrences label b l m :
  sum_in label b (lookup [] (occurrences l) (key m)) == coef (block_sum label b l) m.
Proof.
  unfold occurrences.
  enough (H : forall t, sum_in label b (lookup [] (fold_left (fun t '(v, q) =>
    fold_left (fun t '(c, m) =>
      update (fun old => (v, c) :: match old with Some r => r | None => [] end) (key (normal m)) t) q t) l t) (key m))
    == sum_in label b (lookup [] t (key m)) + coef (block_sum label b l) m).
  { rewrite H. change (lookup _ Empty _) with (@nil (positive * Q)). cbn. ring. }
  induction l as [|[v q] l IH]; intros t; cbn [fold_left block_sum flat_map]; [cbn; ring|].
  rewrite IH, coef_app. clear IH. rewrite Qplus_assoc. apply Qplus_comp; [|reflexivity].
  revert t. induction q as [|[c n] q IH]; intros t; cbn [fold_left].
  - destruct (Pos.eqb (label v) b); cbn; ring.
  - rewrite IH. clear IH. unfold lookup at 1. rewrite get_update. cbn [coef].
    destruct (Pos.eqb_spec (key m) (key (normal n))) as [E|D].
    + apply key_injective in E. subst m. cbn [sum_in]. unfold lookup.
      destruct (Pos.eqb (label v) b); cbn [coef]; [rewrite sum_plus|];
        destruct (monomial_eq_dec (normal n) (normal n)); try easy; ring.
    + destruct (Pos.eqb (label v) b); cbn [coef]; fold (lookup [] t (key m)); [|reflexivity].
      destruct (monomial_eq_dec (normal n) m) as [<-|]; [easy | reflexivity].
Qed.

(* A weighted sum is determined by the sums over blocks, if weights are equal on each block. *)
Lemma weighted_totals s R (h z z' : state) :
  (forall u v, In u (variables s) -> In v (variables s) -> R u = R v -> h u == h v) ->
  (forall b, total s R z b == total s R z' b) ->
  sum_over (A := rationals) (fun u => h u * z u) (variables s) ==
  sum_over (A := rationals) (fun u => h u * z' u) (variables s).
Proof.
  intros H T. apply difference_zero.
  pose (f := fun u => z u - z' u).
  assert (Z : forall b, sum_over (A := rationals) (fun u => if Pos.eqb (R u) b then f u else 0) (variables s) == 0).
  { intros b. transitivity (total s R z b + -1 * total s R z' b).
    - unfold total. rewrite <- (sumq_scale (-1)), <- sumq_add. apply sumq_ext. intros u _. unfold f.
      cbn. destruct (Pos.eqb (R u) b); cbn; ring.
    - rewrite T. ring. }
  transitivity (sum_over (A := rationals) (fun u => h u * f u) (variables s)).
  { transitivity (sum_over (A := rationals) (fun u => h u * z u) (variables s)
      + -1 * sum_over (A := rationals) (fun u => h u * z' u) (variables s)); [exact (difference_plus _ _)|].
    rewrite <- (sumq_scale (-1)), <- sumq_add. apply sumq_ext. intros u _. unfold f. cbn. ring. }
  pose (classes := nodup Pos.eq_dec (map R (variables s))).
  transitivity (sum_over (A := rationals) (fun u => sum_over (A := rationals) (fun b =>
    if Pos.eqb (R u) b then h u * f u else 0) classes) (variables s)).
  { apply sumq_ext. intros u U. symmetry. apply (sumq_single (R u) (fun _ => h u * f u)).
    - apply NoDup_nodup.
    - apply nodup_In. now apply in_map. }
  rewrite (sum_over_swap (A := rationals) (fun u b => if Pos.eqb (R u) b then h u * f u else 0)).
  transitivity (sum_over (A := rationals) (fun _ => 0) classes); [|apply (sum_over_zero (A := rationals))].
  apply sumq_ext. intros b B. apply nodup_In, in_map_iff in B as (u0 & <- & U0).
  transitivity (h u0 * sum_over (A := rationals) (fun u => if Pos.eqb (R u) (R u0) then f u else 0) (variables s)).
  - rewrite <- sumq_scale. apply sumq_ext. intros u U. destruct (Pos.eqb_spec (R u) (R u0)) as [E|]; [|ring].
    now rewrite (H u u0 U U0 E).
  - rewrite Z. ring.
Qed.

(* A sum over a block is determined by the sums over the smaller blocks inside it. *)
Lemma coarser_totals s R (L : partition) (z z' : state) : inside s R L ->
  (forall b, total s R z b == total s R z' b) -> forall b, total s L z b == total s L z' b.
Proof.
  intros I H c. pose (h := fun u : positive => if Pos.eqb (L u) c then 1 else 0).
  assert (W : forall y : state, total s L y c == sum_over (A := rationals) (fun u => h u * y u) (variables s)).
  { intros y. apply sumq_ext. intros u _. unfold h.
    destruct (Pos.eqb (L u) c); symmetry; [apply Qmult_1_l | apply Qmult_0_l]. }
  rewrite !W. apply weighted_totals with R; [|exact H]. intros u v U V E. unfold h. now rewrite (I u v U V E).
Qed.

Section ForwardAlike.
  Variables (s : system) (R L : partition).
  Hypothesis scope : forall v, In v (variables s) -> in_scope (to_map s) (equation s v) = true.
  Hypothesis equivalence : forward_equivalence s R.
  Hypothesis R_inside : inside s R L.
  Variables (v w : positive).
  Hypotheses (V : In v (variables s)) (W : In w (variables s)) (E : R v = R w).

  Let unit_at (a u : positive) : Q := if Pos.eqb a u then 1 else 0.
  Let d (u : positive) : Q := unit_at v u - unit_at w u.

  Lemma slope_between b m : sorted m -> slope (variables s) (d : state) (block_sum L b (numbered s xH)) m == 0.
  Proof.
    intros S. revert m S. apply direction; [apply variables_distinct | exact (within_block_sum _ _ _ scope) |].
    intros x t. rewrite !(eval_block_sum L (A := rationals)). apply coarser_totals with R; trivial.
    apply equivalence. clear b. intros b. unfold total, moved.
    transitivity (sum_over (A := rationals) (fun u => if Pos.eqb (R u) b then x u else 0) (variables s) +
      t * (sum_over (A := rationals) (fun u => if Pos.eqb v u then (if Pos.eqb (R u) b then 1 else 0) else 0) (variables s) +
      -1 * sum_over (A := rationals) (fun u => if Pos.eqb w u then (if Pos.eqb (R u) b then 1 else 0) else 0) (variables s))).
    - rewrite <- (sumq_scale (-1)), <- sumq_add, <- (sumq_scale t), <- sumq_add. apply sumq_ext. intros u _.
      unfold d, unit_at. destruct (Pos.eqb (R u) b), (Pos.eqb v u), (Pos.eqb w u); cbn; ring.
    - rewrite (sumq_single v (fun u => if Pos.eqb (R u) b then 1 else 0)) by (trivial; apply variables_distinct).
      rewrite (sumq_single w (fun u => if Pos.eqb (R u) b then 1 else 0)) by (trivial; apply variables_distinct).
      rewrite E. cbn. ring.
  Qed.

  Lemma gradients_agree b m : sorted m ->
    gradient (block_sum L b (numbered s xH)) m v == gradient (block_sum L b (numbered s xH)) m w.
  Proof.
    intros S. set (F := block_sum L b (numbered s xH)). apply difference_zero.
    rewrite <- (slope_between b m S). fold F. unfold slope.
    transitivity (sum_over (A := rationals) (fun u => if Pos.eqb v u then gradient F m u else 0) (variables s) +
      -1 * sum_over (A := rationals) (fun u => if Pos.eqb w u then gradient F m u else 0) (variables s)).
    - rewrite (sumq_single v (gradient F m)), (sumq_single w (gradient F m)) by (trivial; apply variables_distinct). ring.
    - rewrite <- (sumq_scale (-1)), <- sumq_add. apply sumq_ext. intros u _.
      unfold d, unit_at. destruct (Pos.eqb v u), (Pos.eqb w u); ring.
  Qed.

  Lemma forward_alike records :
    forward_signature (occurrences (numbered s xH)) L records v =
    forward_signature (occurrences (numbered s xH)) L records w.
  Proof.
    unfold forward_signature. apply map_ext. intros [[_ target] m]. cbv zeta. apply Qred_complete.
    assert (G : forall u, (Zpos (N.succ_pos (degree_N (normal m) u)) # 1) * sum_in L (L target)
      (lookup [] (occurrences (numbered s xH)) (key (insert u xH (normal m)))) ==
      gradient (block_sum L (L target) (numbered s xH)) (normal m) u).
    { intros u. rewrite sum_in_occurrences, <- slope_at_spec. unfold slope_at. rewrite value_gather.
      change (value _ Empty) with 0. ring. }
    rewrite !G. apply gradients_agree, sorted_normal.
  Qed.
End ForwardAlike.

Lemma forward_scope s p g : forward_check s p g = true ->
  forall v, In v (variables s) -> in_scope (to_map s) (equation s v) = true.
Proof.
  intros C v V. unfold forward_check in C. cbv zeta in C. apply andb_prop in C as [C _].
  apply (for_numbered _ _ C) in V. cbv beta iota in V. now apply andb_prop in V.
Qed.

Lemma forward_lumping_equivalence s P g : forward_lumping s P g -> forward_equivalence s P.
Proof.
  intros [B L] x x' H b. destruct (in_dec Pos.eq_dec b (variables g)) as [I|I].
  - rewrite (L rationals x b I), (L rationals x' b I). apply (eval_ext (A := rationals)). exact H.
  - unfold total. apply sumq_ext. intros v V. destruct (Pos.eqb_spec (P v) b) as [<-|]; [|reflexivity].
    destruct I. now apply B.
Qed.

Theorem forward_coarsest_correct s p g initial rounds :
  forward_check s p g = true -> forward_coarsest_check s p initial rounds = true ->
  coarsest forward_equivalence s (listed initial) (listed p).
Proof.
  intros C M. unfold forward_coarsest_check in M. apply andb_prop in M as [M N].
  apply inside_correct in M, N. split; [|split; [exact M|]].
  - apply forward_lumping_equivalence with g. now apply forward_correct.
  - intros R B I i j A D E. apply N; trivial.
    apply (replay_keeps _ (fun r => fst (fst r)) (forward_signature (occurrences (numbered s xH))) s R); trivial.
    intros. apply forward_alike with R; trivial. now apply forward_scope with p g.
Qed.
