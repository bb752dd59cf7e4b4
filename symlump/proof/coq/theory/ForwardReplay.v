(* The record of a coarsest forward equivalence: a question is a monomial in the derivatives of the sum of a block's
   equations; it is answered in the equations of that block. *)

From Coq Require Import QArith List Lia.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Forward Refinement Replay.
Import ListNotations.
Local Open Scope Q_scope.

(* Member, target, monomial. *)
Definition forward_record := (positive * positive * monomial)%type.

Definition normals (s : system) : trie polynomial := to_map (map (map (fun '(c, n) => (c, normal n))) s).

(* The derivatives of a polynomial by all its variables. *)
Definition derivatives (P : blocks) (q : polynomial) : list answer :=
  flat_map (fun '(c, n) => map (fun '(v, k) =>
    (bits (block_of P v) (key k), v, (Zpos (N.succ_pos (degree_N k v)) # 1) * c)) (lowerings n)) q.

Definition forward_found (equations : trie polynomial) (P : blocks) (target : positive) : list answer :=
  flat_map (fun u => derivatives P (lookup (X := polynomial) [] equations u)) (values (members_of P target) []).

Definition forward_coarsest_check (s : system) (p initial : list positive) (rounds : list (list forward_record)) : bool :=
  let equations := normals s in
  inside_check s p initial &&
  inside_check s (replay forward_record Empty s
    (fun P '(_, target, _) => block_of P target)
    (fun P '(member, _, m) => bits (block_of P member) (key (normal m)))
    (forward_found equations) initial rounds) p.

(* ------------------------------------------------------------------ What the answers are. *)

Lemma lowerings_amount (v : positive) m n c : sorted n -> sorted m ->
  sum_of (fun '(u, k) => if monomial_eq_dec k m then if Pos.eqb u v then c else 0 else 0) (lowerings n) ==
  if monomial_eq_dec n (insert v xH m) then c else 0.
Proof.
  intros Sn Sm.
  assert (Once : forall n, sorted n -> NoDup (map fst (lowerings n))).
  { clear. intros n. induction n as [|[w e] n IH]; intros S; [constructor|]. cbn [lowerings map]. rewrite map_map.
    rewrite (map_ext (fun x : positive * monomial => fst (let '(u, k) := x in (u, (w, e) :: k))) fst) by now intros [].
    constructor; [|exact (IH (sorted_above _ _ S))]. intros I. apply in_map_iff in I as ([u k] & E & I). cbn in E. subst u.
    pose proof (degree_lowerings _ _ _ w I) as D. rewrite Pos.eqb_refl, (degree_above w n S) in D. lia. }
  specialize (Once n Sn).
  destruct (monomial_eq_dec n (insert v xH m)) as [->|D].
  - pose proof (lowerings_insert v m Sm) as I. revert Once I. generalize (lowerings (insert v xH m)) as l.
    induction l as [|[u k] l IH]; intros N I; [easy|]. cbn [sum_of]. inversion N; subst. destruct I as [E|I].
    + injection E as -> ->. destruct (monomial_eq_dec m m); [|easy]. rewrite Pos.eqb_refl.
      rewrite (sum_of_ext _ (fun _ => 0)), sum_of_zero; [ring|]. intros [u k] J.
      destruct (monomial_eq_dec k m); [|reflexivity]. destruct (Pos.eqb_spec u v) as [->|]; [|reflexivity].
      destruct H1. apply (in_map fst _ _ J).
    + rewrite (IH H2 I). destruct (monomial_eq_dec k m); [|ring]. destruct (Pos.eqb_spec u v) as [->|]; [|ring].
      destruct H1. apply (in_map fst _ _ I).
  - clear Once. rewrite (sum_of_ext _ (fun _ => 0)), sum_of_zero; [reflexivity|]. intros [u k] I.
    destruct (monomial_eq_dec k m) as [->|]; [|reflexivity]. destruct (Pos.eqb_spec u v) as [->|]; [|reflexivity].
    destruct D. apply sorted_ext; [exact Sn | now apply sorted_insert |]. intros w.
    rewrite (degree_lowerings _ _ _ w I), degree_insert. destruct (Pos.eqb v w); reflexivity.
Qed.

Lemma key_of_pair b m b' m' : bits b (key m) = bits b' (key m') -> b = b' /\ m = m'.
Proof. intros E. apply bits_injective in E as [-> E]. split; [reflexivity | now apply key_injective]. Qed.

Lemma number_degree m v : (Zpos (N.succ_pos (degree_N m v)) # 1) == number (S (degree m v)).
Proof.
  unfold number, inject_Z. rewrite <- degree_N_spec, <- Nnat.N2Nat.inj_succ, N_nat_Z, <- N.succ_pos_spec. reflexivity.
Qed.

Lemma derivatives_amount P q v m : sorted m ->
  amount (bits (block_of P v) (key m)) v (derivatives P (map (fun '(c, n) => (c, normal n)) q)) == gradient q m v.
Proof.
  intros S. unfold gradient, amount, derivatives. rewrite sum_of_flat_map, sum_of_map.
  induction q as [|[c n] q IH]; cbn [sum_of coef]; [ring|]. rewrite IH. clear IH. rewrite sum_of_map.
  set (d := number (Datatypes.S (degree m v))).
  transitivity (sum_of (fun '(u, k) => if monomial_eq_dec k m then if Pos.eqb u v then d * c else 0 else 0)
    (lowerings (normal n)) + d * coef q (insert v xH m)).
  - apply Qplus_comp; [|reflexivity]. apply sum_of_ext. intros [u k] _. unfold d.
    destruct (Pos.eqb_spec u v) as [->|].
    + destruct (Pos.eqb_spec (bits (block_of P v) (key k)) (bits (block_of P v) (key m))) as [E|N]; cbn [andb].
      * apply key_of_pair in E as [_ ->]. destruct (monomial_eq_dec m m); [|easy]. now rewrite number_degree.
      * destruct (monomial_eq_dec k m) as [->|]; [easy | reflexivity].
    + rewrite Bool.andb_false_r. now destruct (monomial_eq_dec k m).
  - rewrite lowerings_amount by (trivial; apply sorted_normal).
    destruct (monomial_eq_dec (normal n) (insert v xH m)); ring.
Qed.

Lemma lookup_normals s u : lookup (X := polynomial) [] (normals s) u = map (fun '(c, n) => (c, normal n)) (equation s u).
Proof.
  unfold normals. rewrite lookup_to_map. unfold equation, item. generalize (pred (Pos.to_nat u)) as i.
  induction s as [|q s IH]; intros [|i]; cbn; auto.
Qed.

Lemma gradient_block_sum P s b m v : gradient (block_sum P b (numbered s xH)) m v ==
  sumq (fun u => if Pos.eqb (P u) b then gradient (equation s u) m v else 0) (variables s).
Proof.
  unfold gradient, block_sum. rewrite numbered_variables. set (d := number _). set (i := insert v xH m). clearbody d i.
  induction (variables s) as [|u l IH]; cbn [map flat_map coef sum_over]; [cbn; ring|].
  rewrite coef_app. cbn [add rationals]. rewrite <- IH. destruct (Pos.eqb (P u) b); cbn [coef]; ring.
Qed.

Lemma forward_amount s P target v m : partitioned s P -> sorted m ->
  amount (bits (block_of P v) (key m)) v (forward_found (normals s) P target) ==
  gradient (block_sum (block_of P) target (numbered s xH)) m v.
Proof.
  intros H S. unfold amount, forward_found. rewrite sum_of_flat_map, (sum_of_members s P target _ H), gradient_block_sum.
  apply sumq_ext. intros u _. destruct (Pos.eqb (block_of P u) target); [|reflexivity].
  rewrite lookup_normals. now apply derivatives_amount.
Qed.

Lemma in_forward_found s P target k v c : In (k, v, c) (forward_found (normals s) P target) ->
  exists u d n m, In (d, n) (equation s u) /\ In (v, m) (lowerings (normal n)) /\ k = bits (block_of P v) (key m).
Proof.
  intros I. unfold forward_found in I. apply in_flat_map in I as (u & _ & I). rewrite lookup_normals in I.
  unfold derivatives in I. apply in_flat_map in I as ([d n] & J & I). apply in_map_iff in J as ([d' n'] & E & J).
  injection E as <- <-. apply in_map_iff in I as ([w m] & E & I). injection E as <- <- _. now exists u, d', n', m.
Qed.

(* ------------------------------------------------------------------ Why no equivalence is told apart. *)

Lemma difference_plus (a b : Q) : a - b == a + -1 * b.
Proof. ring. Qed.

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

Section Gradients.
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

End Gradients.

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

Section Alike.
  Variables (s : system) (R : partition).
  Hypothesis scope : forall v, In v (variables s) -> in_scope (to_map s) (equation s v) = true.

  Lemma forward_found_variables P p k v c : In (k, v, c) (forward_found (normals s) P p) -> is_there (to_map s) v = true.
  Proof.
    intros I. apply in_forward_found in I as (u & d & n & m & J & L & _).
    assert (U : In u (variables s)).
    { apply in_variables. unfold equation, item in J. destruct (le_lt_dec (length s) (pred (Pos.to_nat u))) as [O|O]; [|lia].
      now rewrite nth_overflow in J. }
    pose proof (degree_lowerings _ _ _ v L) as D. rewrite Pos.eqb_refl, degree_normal in D.
    assert (V : exists e, In (v, e) n).
    { clear - D. assert (0 < degree n v)%nat by lia. clear D. induction n as [|[w e] n IH]; cbn in H; [lia|].
      destruct (Pos.eqb_spec w v) as [->|]; [exists e; now left|]. destruct IH as [f F]; [lia | exists f; now right]. }
    destruct V as [e V]. apply is_there_to_map. exact (in_scope_within _ _ (scope u U) _ _ _ _ J V).
  Qed.

  Lemma forward_alike : forward_equivalence s R ->
    forall P p k v w, partitioned s P -> inside s R (block_of P) -> In v (variables s) -> In w (variables s) -> R v = R w ->
    amount k v (forward_found (normals s) P p) == amount k w (forward_found (normals s) P p).
  Proof.
    intros B P p k v w H I V W E.
    assert (Form : forall u, In u (variables s) -> amount k u (forward_found (normals s) P p) == 0 \/
      exists m, sorted m /\ k = bits (block_of P u) (key m)).
    { intros u _. destruct (amount_present k u (forward_found (normals s) P p)) as [Z|[c J]]; [now left | right].
      apply in_forward_found in J as (x & d & n & m & _ & L & K). exists m. split; [|exact K].
      eapply sorted_lowerings; [apply sorted_normal | exact L]. }
    assert (Same : forall m, sorted m -> k = bits (block_of P v) (key m) ->
      amount k v (forward_found (normals s) P p) == amount k w (forward_found (normals s) P p)).
    { intros m S K. rewrite K at 1. rewrite (I v w V W E) in K. rewrite K, !forward_amount by trivial.
      now apply gradients_agree with R. }
    destruct (Form v V) as [Zv|(m & S & K)]; [|now apply Same with m].
    destruct (Form w W) as [Zw|(m & S & K)]; [now rewrite Zv, Zw|].
    apply Same with m; [exact S|]. now rewrite (I v w V W E).
  Qed.
End Alike.

Theorem forward_coarsest_correct s p g initial rounds :
  forward_check s p g = true -> forward_coarsest_check s p initial rounds = true ->
  coarsest forward_equivalence s (listed initial) (listed p).
Proof.
  intros C M. unfold forward_coarsest_check in M. apply andb_prop in M as [M N].
  apply inside_correct in M, N. split; [|split; [exact M|]].
  - apply forward_lumping_equivalence with g. now apply forward_correct.
  - intros R B I i j A D E. apply N; trivial.
    refine (replay_keeps forward_record Empty s _ _ _ R _ _ initial rounds I i j A D E).
    + apply forward_found_variables. exact (forward_scope s p g C).
    + apply forward_alike; [exact (forward_scope s p g C) | exact B].
Qed.
