(* Why a linear lumping of a system with functions is the smallest: gradients at points.

   Whoever keeps the observables has them as combinations of rows. If r is one, then r·q is a function of the rows, so its
   gradient is a combination of them, at every point and whatever the functions are. *)

From Coq Require Import QArith List Lia Setoid.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Compose Linear Modular Smallest.
From Symlump Require Import Functions Sample Square Coarsest Jets.
Import ListNotations.
Local Open Scope Q_scope.

(* Numbers of a vector and of a seed. *)
Definition gradient_steps := list (positive * positive).

Section Check.
  Variables (s : system) (fs : symbols).

  Definition row_of (t : trie Q) : row :=
    filter (fun '(c, _) => negb (is_zero c)) (map (fun '(u, _) => (value u t, u)) (numbered s xH)).

  Definition gradient_of (r : row) (seed : positive) : row :=
    match jets_at s fs seed with
    | Some z => let equations := to_map s in
      row_of (snd (combination r (fun v => eval (lookup zero z : positive -> jets) (lookup (X := polynomial) [] equations v))))
    | None => []
    end.

  Fixpoint gradients (steps : gradient_steps) (found : trie row) (next : positive) : list row :=
    match steps with
    | [] => []
    | (parent, seed) :: steps =>
      let new := gradient_of (lookup (X := row) [] found parent) seed in
      new :: gradients steps (put next new found) (Pos.succ next)
    end.

  Definition derivation_of (observables : list row) (start : list positive) (steps : gradient_steps) : list row :=
    let first := map (lookup (X := row) [] (to_map observables)) start in
    first ++ gradients steps (to_map first) (Pos.of_nat (S (length first))).

  (* Rows in echelon form, which are combinations of the given ones, show that the vectors are, too. *)
  Definition spanned (echelon : list row) (pivots : list positive) (vectors : list row) : bool :=
    let coordinates v := let t := gather 1 (row_polynomial v) Empty in
      map (fun '(p, (j, _)) => (value (key [(p, xH)]) t, j)) (combine pivots (numbered echelon xH)) in
    carried_check echelon vectors (map coordinates vectors).

  Definition nothing_smaller_check (rows observables carried : list row) (start : list positive) (steps : gradient_steps)
    (echelon from_rows : list row) (pivots : list positive) (m : Z) : bool :=
    let vectors := derivation_of observables start steps in
    (Z.leb 2 m && carried_check rows observables carried && carried_check rows echelon from_rows &&
     spanned echelon pivots vectors && Nat.eqb (length vectors) (length rows) &&
     match every (residues_of m) vectors with
     | Some residues => match independence_check (length s) m residues with Some _ => true | None => false end
     | None => false
     end)%bool.
End Check.

(* ------------------------------------------------------------------ What the check means. *)

Lemma combination_at {A : algebra} (r : row) (x y : positive -> A) :
  (forall w v, In (w, v) r -> (x v == y v)%A) -> (combination r x == combination r y)%A.
Proof.
  induction r as [|[w v] r IH]; intros H; cbn [combination]; [reflexivity|].
  rewrite IH by (intros; eapply H; right; eauto). rewrite (H w v) by now left. reflexivity.
Qed.

(* A derivation starts with observables. *)
Lemma implied_start M observables start : determines M observables ->
  forall r, In r (map (lookup (X := row) [] (to_map observables)) start) -> implied M r.
Proof.
  intros D r R. apply in_map_iff in R as (k & <- & _). rewrite lookup_to_map.
  destruct (item_in [] observables k) as [I|E].
  - apply (proj1 (determines_implied M observables) D). exact I.
  - intros d _. rewrite E. reflexivity.
Qed.

Section Meaning.
  Variables (s : system) (fs : symbols) (M : list row).
  Hypothesis M_in_variables : in_variables_of s M.
  Hypothesis M_invariant : invariant_of s fs M.

  Lemma slope_row d t : combination (row_of s t) (d : state) == slope_along s d t.
  Proof.
    unfold row_of, slope_along. rewrite numbered_variables, map_map.
    induction (variables s) as [|v l IH]; [reflexivity|]. cbn [map filter sum_over]. cbn [add rationals]. rewrite <- IH. clear IH.
    destruct (is_zero (value v t)) eqn:Z; cbn [negb combination]; cbn [add mul scalar rationals].
    - apply is_zero_spec in Z. rewrite Z, Qmult_0_r, Qplus_0_l. reflexivity.
    - rewrite (Qmult_comm (d v)). reflexivity.
  Qed.

  Lemma implied_gradient r seed : implied M r -> implied M (gradient_of s fs r seed).
  Proof.
    intros I. unfold gradient_of. destruct (jets_at s fs seed) as [z|] eqn:E; [|intros d _; reflexivity]. cbv zeta.
    unfold jets_at in E. apply evaluated_values in E as [X Z]. intros d D. rewrite slope_row, slope_combination.
    set (y := lookup zero z : positive -> jets) in *.
    assert (Y : forall v, In v (variables s) -> y v = (chance seed v, put v 1 Empty)).
    { intros v V. unfold y, lookup.
      now rewrite (X _ _ (proj1 (get_assigned (X := jets) (fun u => u) _ s (fun _ _ e => e)) v V)). }
    pose (at_ := fun d v => along s d (y v)).
    assert (S : forall d, state_of (sample (chance seed xH)) s fs (at_ d)) by (intros d'; now apply along_state).
    assert (G : forall k, (combinations M (field s (at_ d)) k == combinations M (field s (at_ (fun _ => 0%Q))) k)%A).
    { apply (M_invariant jets (sample (chance seed xH))); try apply S. intros k. unfold combinations. split.
      - rewrite !fst_combination. reflexivity.
      - intros j. rewrite !snd_combination.
        transitivity (if Pos.eqb j xH then combination (item [] M k) (d : state) else 0).
        + destruct (Pos.eqb j xH) eqn:J.
          * apply (combination_at (A := rationals)). intros w v W. unfold at_. cbn [snd along]. rewrite value_put_first, J.
            assert (V : In v (variables s)).
            { destruct (item_in [] M k) as [K|K]; [exact (M_in_variables _ w v K W)|]. rewrite K in W. easy. }
            rewrite (Y v V). cbn [snd]. now apply slope_of_variable.
          * rewrite <- (combination_zero (item [] M k)). apply (combination_ext (A := rationals)). intros u.
            unfold at_. cbn [snd along]. now rewrite value_put_first, J.
        + transitivity 0.
          * destruct (Pos.eqb j xH); [|reflexivity]. destruct (item_in [] M k) as [K|K]; [now apply D | now rewrite K].
          * symmetry. rewrite <- (combination_zero (item [] M k)). apply (combination_ext (A := rationals)). intros u.
            unfold at_. cbn [snd along]. rewrite value_put_first. destruct (Pos.eqb j xH); [|reflexivity].
            unfold slope_along. rewrite (sumq_ext _ (fun _ => 0)); [apply (sum_over_zero (A := rationals))|].
            intros v _. ring. }
    pose (e := fun d u => value xH (snd (field s (at_ d) u))).
    assert (Ee : forall d u, e d u == slope_along s d (snd (eval y (equation s u)))).
    { intros d' u. unfold e, field, at_. pose proof (along_eval s d' y (equation s u)) as [_ H]. specialize (H xH).
      rewrite <- H. cbn [snd along]. now rewrite value_put_first. }
    assert (Zero : forall u, e (fun _ => 0) u == 0).
    { intros u. rewrite Ee. unfold slope_along.
      rewrite (sumq_ext _ (fun _ => 0)); [apply (sum_over_zero (A := rationals))|]. intros v _. ring. }
    assert (Ag : agree M (e d : state) (e (fun _ => 0) : state)).
    { intros k. pose proof (G k) as [_ H]. specialize (H xH). unfold combinations in *.
      now rewrite !snd_combination in H. }
    apply agree_annihilated, I in Ag. rewrite <- Ag. apply (combination_ext (A := rationals)). intros u.
    unfold difference. rewrite Zero, Ee, (lookup_to_map (X := polynomial)).
    change (item [] s u) with (equation s u). set (q := slope_along s d _). change (q == -1 * 0 + q). ring.
  Qed.

  Lemma implied_gradients steps : forall found next, (forall k r, get k found = Some r -> implied M r) ->
    forall r, In r (gradients s fs steps found next) -> implied M r.
  Proof.
    induction steps as [|[parent seed] steps IH]; intros found next F r; [easy|]. cbn [gradients].
    assert (P : implied M (lookup (X := row) [] found parent)).
    { unfold lookup. destruct (get parent found) as [q|] eqn:G; [now apply F with parent|]. intros d _. reflexivity. }
    intros [<-|R]; [now apply implied_gradient|]. eapply IH; [|exact R].
    intros k q. rewrite get_put. destruct (Pos.eqb_spec k next); [intros [= <-]; now apply implied_gradient | apply F].
  Qed.

  Lemma implied_derivation_of observables start steps : determines M observables ->
    forall r, In r (derivation_of s fs observables start steps) -> implied M r.
  Proof.
    intros D r. unfold derivation_of. set (first := map _ start).
    assert (F : forall q, In q first -> implied M q) by now apply implied_start.
    rewrite in_app_iff. intros [R|R]; [now apply F|]. revert R. apply implied_gradients.
    intros k q. rewrite get_to_map. intros G. apply nth_error_In in G. now apply F.
  Qed.
End Meaning.

Theorem nothing_smaller_correct s fs rows observables carried start steps echelon from_rows pivots m :
  nothing_smaller_check s fs rows observables carried start steps echelon from_rows pivots m = true ->
  nothing_smaller s fs observables rows.
Proof.
  unfold nothing_smaller_check. cbv zeta. set (vectors := derivation_of s fs observables start steps).
  intros C. apply andb_prop in C as [C I]. apply andb_prop in C as [C L]. apply andb_prop in C as [C P].
  apply andb_prop in C as [C E]. apply andb_prop in C as [Large C]. apply Nat.eqb_eq in L. apply Z.leb_le in Large.
  destruct (every (residues_of m) vectors) as [found|] eqn:F; [|easy].
  assert (Same := every_length _ _ _ F). apply every_spec in F.
  destruct (independence_check (length s) m found) as [ps|] eqn:Ind; [|easy].
  split; [apply determines_implied; now apply carried_implied with carried|]. intros M V MI MD.
  apply spanned_by with (length s) m found ps; trivial; [congruence|].
  assert (R : forall a, In a found -> exists v, In v vectors /\ residues_of m v = Some a).
  { clear - F. induction F as [|v a vs l E _ IH]; [easy|]. intros b [<-|B]; [exists v; split; [now left | exact E]|].
    destruct (IH b B) as (w & W & H). exists w. split; [now right | exact H]. }
  intros a A. destruct (R a A) as (v & Hv & Rv). exists v. split; [now apply residues_of_represents|]. split.
  - intros d D. unfold spanned in P. apply (carried_implied _ _ _ P v Hv). intros e He.
    now apply (carried_implied _ _ _ E e He).
  - now apply (implied_derivation_of s fs M V MI observables start steps MD).
Qed.
