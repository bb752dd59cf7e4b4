(* Forward lumpings, checked without multiplying out the quotient.

   Let F be the sum of a block's equations. If for each block its members i, j have ∂F/∂x_i = ∂F/∂x_j, then
   F depends on sums over blocks only, and one may move all of a block's sum to its first member. *)

From Coq Require Import QArith List Lia.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Compose.
Import ListNotations.
Local Open Scope Q_scope.

(* A monomial with one factor less, for each of its variables. *)
Fixpoint lowerings (m : monomial) : list (positive * monomial) :=
  match m with
  | [] => []
  | (v, e) :: m => (v, lowered v e m) :: map (fun '(u, k) => (u, (v, e) :: k)) (lowerings m)
  end.

Fixpoint degree_N (m : monomial) (v : positive) : N :=
  match m with [] => 0%N | (w, e) :: m => if Pos.eqb w v then (Npos e + degree_N m v)%N else degree_N m v end.

(* The coefficient of m in the derivative by u, where the coefficients of the polynomial are in t. *)
Definition slope_at (t : trie Q) (m : monomial) (u : positive) : Q :=
  Qmult (Zpos (N.succ_pos (degree_N m u)) # 1) (value (key (insert u xH m)) t).

(* The coefficient m by v is that by the first member; from the first member, all are looked at. *)
Definition exchange (first : positive -> positive) (peers : positive -> list positive) (t : trie Q)
  (v : positive) (m : monomial) : bool :=
  let f := first v in
  let c := slope_at t m f in
  if Pos.eqb v f then forallb (fun w => Qeq_bool (slope_at t m w) c) (peers v) else Qeq_bool (slope_at t m v) c.

Definition exchangeable (first : positive -> positive) (peers : positive -> list positive) (F : polynomial) : bool :=
  let t := gather 1 F Empty in
  forallb (fun '(_, m) => forallb (fun '(v, k) => exchange first peers t v k) (lowerings (normal m))) F.

(* What is left if all but the first members are zero, named by blocks. *)
Definition reduced (block_of first : positive -> positive) (F : polynomial) : polynomial :=
  renamed_terms block_of (filter (fun '(_, m) => forallb (fun '(v, _) => Pos.eqb v (first v)) m) F).

Definition forward_check (s : system) (p : list positive) (g : system) : bool :=
  let blocks := to_map p in
  let block_of := lookup xH blocks in
  let variables := numbered s xH in
  let equations := to_map s in
  let quotient := to_map g in
  let member_lists := members block_of variables in
  let peers v := lookup [] member_lists (block_of v) in
  let first v := hd v (peers v) in
  let sums := block_sums block_of variables in
  forallb (fun '(v, q) => is_there quotient (block_of v) && in_scope equations q) variables &&
  forallb (fun '(b, gb) =>
    let F := lookup (X := polynomial) [] sums b in
    exchangeable first peers F && same (reduced block_of first F) gb) (numbered g xH).

(* ------------------------------------------------------------------ Lowering and its inverse. *)

Lemma degree_N_spec m v : N.to_nat (degree_N m v) = degree m v.
Proof.
  induction m as [|[w e] m IH]; cbn [degree_N degree]; [reflexivity|].
  destruct (Pos.eqb w v); [|exact IH]. rewrite Nnat.N2Nat.inj_add, IH. reflexivity.
Qed.

Lemma slope_at_spec F m u : slope_at (gather 1 F Empty) m u == gradient F m u.
Proof.
  unfold slope_at, gradient. rewrite value_gather. change (value _ Empty) with 0.
  assert (E : Zpos (N.succ_pos (degree_N m u)) # 1 == number (S (degree m u))).
  { unfold number, inject_Z. rewrite <- degree_N_spec, <- Nnat.N2Nat.inj_succ, N_nat_Z.
    rewrite <- N.succ_pos_spec. reflexivity. }
  rewrite E. ring.
Qed.

Lemma above_lowerings v m u k : above v m -> In (u, k) (lowerings m) -> above v k.
Proof.
  revert v k. induction m as [|[w e] m IH]; cbn; intros v k; [easy|]. intros [L H] [E|I].
  - injection E as <- <-. destruct e; cbn; eauto using above_trans.
  - apply in_map_iff in I as [[u' k'] [E I]]. injection E as <- <-. cbn. split; eauto.
Qed.

Lemma sorted_lowerings m u k : sorted m -> In (u, k) (lowerings m) -> sorted k.
Proof.
  destruct m as [|[w e] m]; cbn; [easy|]. intros H [E|I].
  - injection E as <- <-. destruct e; cbn; eauto using sorted_above.
  - apply in_map_iff in I as [[u' k'] [E I]]. injection E as <- <-. cbn. eauto using above_lowerings.
Qed.

Lemma degree_lowerings m u k w :
  In (u, k) (lowerings m) -> degree m w = ((if Pos.eqb u w then 1 else 0) + degree k w)%nat.
Proof.
  revert k. induction m as [|[v e] m IH]; intros k; cbn; [easy|]. intros [E|I].
  - injection E as -> <-. destruct (Pos.eqb_spec u w) as [->|D]; destruct e; cbn -[Pos.to_nat Pos.pred];
      rewrite ?Pos.eqb_refl; rewrite ?(proj2 (Pos.eqb_neq u w) D); lia.
  - apply in_map_iff in I as [[u' k'] [E I]]. injection E as <- <-. cbn. rewrite (IH _ I). lia.
Qed.

Lemma in_lowerings m u : (0 < degree m u)%nat -> exists k, In (u, k) (lowerings m).
Proof.
  induction m as [|[v e] m IH]; cbn; [lia|]. destruct (Pos.eqb_spec v u) as [->|D]; intros H.
  - eexists. now left.
  - destruct IH as [k K]; [lia|]. exists ((v, e) :: k). right.
    now apply (in_map (fun '(u, k) => (u, (v, e) :: k))) in K.
Qed.

Lemma lowerings_insert u m : sorted m -> In (u, m) (lowerings (insert u xH m)).
Proof.
  intros S. destruct (in_lowerings (insert u xH m) u) as [k K].
  - rewrite degree_insert, Pos.eqb_refl. lia.
  - replace m with k at 1; trivial. apply sorted_ext; trivial.
    + eapply sorted_lowerings; [|exact K]. now apply sorted_insert.
    + intros w. pose proof (degree_lowerings _ _ _ w K) as D. rewrite degree_insert in D.
      destruct (Pos.eqb u w); lia.
Qed.

Lemma coef_present F m : coef F m == 0 \/ exists c n, In (c, n) F /\ normal n = m.
Proof.
  induction F as [|[c n] F IH]; cbn; [left; reflexivity|].
  destruct (monomial_eq_dec (normal n) m) as [<-|D].
  - right. exists c, n. auto.
  - destruct IH as [IH|(a & k & I & E)]; [now left | right; exists a, k; auto].
Qed.

(* ------------------------------------------------------------------ What the check means. *)

Section Exchange.
  Variables first : positive -> positive.
  Variable peers : positive -> list positive.
  Variable F : polynomial.
  Hypothesis checked : exchangeable first peers F = true.

  Lemma exchanged v m : sorted m -> In v (peers (first v)) -> first (first v) = first v ->
    gradient F m v == gradient F m (first v).
  Proof.
    intros S I T. set (f := first v) in *.
    assert (E : forall u, coef F (insert u xH m) == 0 \/ exchange first peers (gather 1 F Empty) u m = true).
    { intros u. destruct (coef_present F (insert u xH m)) as [Z|(c & n & N & E)]; [now left | right].
      unfold exchangeable in checked. rewrite forallb_forall in checked. specialize (checked _ N).
      cbn in checked. rewrite forallb_forall in checked. rewrite E in checked.
      apply (checked (u, m)). now apply lowerings_insert. }
    destruct (Pos.eq_dec v f) as [Q|Q]; [rewrite <- Q; reflexivity|].
    destruct (E v) as [Zv|Cv].
    - destruct (E f) as [Zf|Cf].
      + unfold gradient. rewrite Zv, Zf. ring.
      + unfold exchange in Cf. rewrite T, Pos.eqb_refl, forallb_forall in Cf.
        apply Cf in I. apply Qeq_bool_eq in I. now rewrite !slope_at_spec in I.
    - unfold exchange in Cv. fold f in Cv. rewrite (proj2 (Pos.eqb_neq _ _) Q) in Cv.
      apply Qeq_bool_eq in Cv. now rewrite !slope_at_spec in Cv.
  Qed.
End Exchange.

Section Correct.
  Variables (s : system) (P : partition) (first : positive -> positive) (F : polynomial).
  Notation vars := (variables s).
  Hypothesis first_in : forall v, In v vars -> In (first v) vars /\ P (first v) = P v.
  Hypothesis first_same : forall v w, In v vars -> In w vars -> P v = P w -> first v = first w.
  Hypothesis F_within : within vars F.
  Hypothesis equal_slopes : forall v m, In v vars -> sorted m -> gradient F m v == gradient F m (first v).

  Variable x : positive -> Q.
  Let share (u v : positive) : Q := if Pos.eqb (first v) u then x v else 0.
  Let to_first (u : positive) : Q := sum_over (A := rationals) (share u) vars.
  Let step (u : positive) : Q := to_first u - (if in_dec Pos.eq_dec u vars then x u else 0).

  Lemma step_slope m : sorted m -> slope vars (step : state) F m == 0.
  Proof.
    intros S. unfold slope, step, to_first.
    transitivity (sum_over (A := rationals) (fun u =>
      sum_over (A := rationals) (fun v => gradient F m u * share u v) vars + -1 * (x u * gradient F m u)) vars).
    - apply sumq_ext. intros u U. destruct (in_dec Pos.eq_dec u vars); [|easy]. rewrite sumq_scale. ring.
    - rewrite sumq_add, sumq_scale, (sum_over_swap (A := rationals) (fun u v => gradient F m u * share u v)).
      assert (E : forall v, In v vars ->
        sum_over (A := rationals) (fun u => gradient F m u * share u v) vars == x v * gradient F m v).
      { intros v V. rewrite (equal_slopes v m V S).
        rewrite <- (sumq_single (first v) (fun u => x v * gradient F m u) vars);
          [| apply variables_distinct | now apply first_in].
        apply sumq_ext. intros u _. unfold share. destruct (Pos.eqb (first v) u); ring. }
      rewrite (sumq_ext _ _ _ E). ring.
  Qed.

  Lemma gathered_at_first u : In u vars ->
    x u + step u == if Pos.eqb u (first u) then total s P (x : state) (P u) else 0.
  Proof.
    intros U. unfold step. destruct (in_dec Pos.eq_dec u vars); [|easy].
    transitivity (to_first u); [ring|]. unfold to_first, share.
    destruct (Pos.eqb_spec u (first u)) as [E|D].
    - apply sumq_ext. intros v V. destruct (Pos.eqb_spec (first v) u) as [<-|Dv].
      + rewrite (proj2 (first_in v V)), Pos.eqb_refl. reflexivity.
      + destruct (Pos.eqb_spec (P v) (P u)) as [Ep|]; [|reflexivity].
        destruct Dv. rewrite E. now apply first_same.
    - rewrite (sumq_ext _ (fun _ => 0)); [apply (sum_over_zero (A := rationals))|].
      intros v V. destruct (Pos.eqb_spec (first v) u) as [<-|]; [|reflexivity].
      destruct D. symmetry. apply first_same; trivial; now apply first_in.
  Qed.

  Lemma product_at_first m : (forall v e, In (v, e) m -> In v vars) ->
    product (fun v => x v + step v : rationals) m ==
    if forallb (fun '(v, _) => Pos.eqb v (first v)) m then product (total s P (x : state)) (renamed P m) else 0.
  Proof.
    induction m as [|[v e] m IH]; intros W; cbn [forallb product renamed map]; [reflexivity|].
    rewrite IH by (intros; eapply W; right; eauto).
    pose proof (gathered_at_first v (W v e (or_introl eq_refl))) as G.
    rewrite (power_proper (A := rationals) _ _ G _ _ eq_refl).
    destruct (Pos.eqb v (first v)); cbn [andb].
    - destruct (forallb _ m); [reflexivity | apply (mul_zero (A := rationals))].
    - pose proof (Pos2Nat.is_pos e). destruct (Pos.to_nat e); [lia|]. cbn. ring.
  Qed.

  Lemma eval_at_first : eval (x : state) F == eval (total s P (x : state)) (reduced P first F).
  Proof.
    rewrite <- (still vars x step F); [| apply variables_distinct | exact F_within | exact step_slope].
    clear equal_slopes. unfold reduced. revert F_within. generalize F as p. induction p as [|[c m] p IH]; intros W.
    - reflexivity.
    - cbn [eval filter]. rewrite IH by (intros ? ? ? ? M V; exact (W _ _ _ _ (or_intror M) V)).
      cbn [add mul scalar rationals]. rewrite product_at_first by (intros; eapply W; [now left | eauto]).
      destruct (forallb _ m); [reflexivity | now rewrite Qmult_0_r, Qplus_0_l].
  Qed.
End Correct.

Theorem forward_correct s p g : forward_check s p g = true -> forward_lumping s (listed p) g.
Proof.
  unfold forward_check. cbv zeta.
  set (block_of := lookup xH (to_map p)).
  assert (B : forall v, block_of v = listed p v) by (intros; apply lookup_to_map).
  set (peers := fun v => lookup [] (members block_of (numbered s xH)) (block_of v)).
  set (first := fun v => hd v (peers v)).
  intros C. apply andb_prop in C as [C D].
  assert (V : forall v, In v (variables s) ->
    In (listed p v) (variables g) /\ in_scope (to_map s) (equation s v) = true).
  { intros v V. apply (for_numbered _ _ C) in V. cbv beta iota in V. apply andb_prop in V as [V V'].
    apply is_there_to_map in V. rewrite B in V. now split. }
  clear C.
  assert (Peers : forall v w, In v (peers w) <-> block_of v = block_of w /\ In v (variables s)).
  { intros v w. unfold peers. rewrite in_members, numbered_variables, map_map, map_id. reflexivity. }
  assert (First : forall v, In v (variables s) -> In (first v) (peers v)).
  { intros v I. assert (J : In v (peers v)) by (apply Peers; auto).
    unfold first. destruct (peers v); [easy | now left]. }
  assert (Same : forall v w, In v (variables s) -> block_of v = block_of w -> first v = first w).
  { intros v w I E. assert (J : In v (peers v)) by (apply Peers; auto).
    unfold first. unfold peers in *. rewrite <- E. now destruct (lookup _ _ _). }
  split; [intros v I; now apply V|].
  intros A x b I. rewrite <- (eval_block_sum (listed p) x s b).
  transitivity (eval x (compose (total_row s (listed p)) (equation g b)));
    [| rewrite eval_compose; apply eval_ext; intros k; apply total_of_rows].
  apply identity. clear A x. intros x. rewrite (eval_compose (A := rationals)).
  assert (E := for_numbered _ _ D b I). cbv beta iota in E. clear D.
  rewrite lookup_block_sums in E. apply andb_prop in E as [E R].
  assert (Q : block_sum block_of b (numbered s xH) = block_sum (listed p) b (numbered s xH)).
  { unfold block_sum. apply flat_map_ext. intros [v q]. now rewrite B. }
  rewrite Q in *. clear Q.
  rewrite (eval_at_first s block_of first).
  - etransitivity; [exact (same_eval (A := rationals) _ _ _ R)|]. apply (eval_ext (A := rationals)). intros k.
    symmetry. rewrite total_of_rows. apply (sum_over_ext (A := rationals)). intros v _. now rewrite B.
  - intros v J. apply First in J. apply Peers in J. tauto.
  - intros v w J _. now apply Same.
  - exact (within_block_sum _ _ _ (fun v J => proj2 (V v J))).
  - intros v m J S. apply exchanged with peers; trivial.
    + apply Peers. split; [|exact J]. apply First in J. apply Peers in J. symmetry. tauto.
    + symmetry. apply Same; trivial. symmetry. apply First in J. now apply Peers in J.
Qed.
