(* Why a partition of a system with functions is the coarsest: values that every equivalence has equal.

   A round begins with a number, from which a point and the functions are computed. Backward: variables
   have the value of their block, and are told apart by their equations. Forward: they are told apart by the derivatives
   of a weighted sum of all equations: if i and j share a block of an equivalence, no sum changes where they exchange a part. *)

From Coq Require Import QArith List Lia Setoid.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Compose Linear Refinement Replay ForwardReplay.
From Symlump Require Import Functions Sample Square Jets.
Import ListNotations.
Local Open Scope Q_scope.

Definition chance (seed k : positive) : Q :=
  ((Zpos k * Zpos k * Zpos seed * 7919 + Zpos k * Zpos seed * Zpos seed * 104729 + Zpos seed * 31) mod 10007 + 2)%Z # 1.

(* One round: blocks are split by the values in a table, if there is one. *)
Definition split_by (s : system) (labels : list positive) (table : option (trie Q)) : list positive :=
  match table with
  | Some t =>
    let label := lookup xH (to_map labels) in
    let keys := map (fun '(v, _) => bits (label v) (rational_bits (lookup 0 t v) xH)) (numbered s xH) in
    let '(numbers, _) := number_all keys Empty xH in
    map (lookup xH numbers) keys
  | None => labels
  end.

Section Tables.
  Variables (s : system) (fs : symbols).

  Definition backward_table (labels : list positive) (seed : positive) : option (trie Q) :=
    let label := lookup xH (to_map labels) in
    let equations := to_map s in
    match evaluated computable_rationals (chance seed xH) (first_symbol s) fs (assigned (fun v => v) (fun v => chance seed (label v)) s) with
    | Some z => Some (assigned (fun v => v)
        (fun v => Qred (eval (lookup 0 z : state) (lookup (X := polynomial) [] equations v))) s)
    | None => None
    end.

  (* The derivatives of a weighted sum of all equations; variables of one block have equal weights. *)
  Definition jets_at (seed : positive) : option (trie jets) :=
    evaluated computable_jets (chance seed xH) (first_symbol s) fs
      (assigned (X := jets) (fun u => u) (fun u => (chance seed u, put u 1 Empty)) s).

  Definition forward_table (labels : list positive) (seed : positive) : option (trie Q) :=
    let label := lookup xH (to_map labels) in
    let equations := to_map s in
    match jets_at seed with
    | Some z => Some (snd (tidied computable_jets (combination (map (fun '(u, _) => (chance seed (label u), u)) (numbered s xH))
        (fun u => tidied computable_jets (eval (lookup zero z : positive -> jets) (lookup (X := polynomial) [] equations u))))))
    | None => None
    end.
End Tables.

Definition nothing_coarser_check (table : list positive -> positive -> option (trie Q)) (s : system)
  (p initial : list positive) (seeds : list positive) : bool :=
  (inside_check s p initial &&
   inside_check s (fold_left (fun labels seed => split_by s labels (table labels seed)) seeds initial) p)%bool.

Section Correct.
  Variables (s : system) (fs : symbols) (R : partition).
  Definition agrees (labels : list positive) (t : trie Q) : Prop :=
    forall v w, In v (variables s) -> In w (variables s) -> R v = R w -> lookup 0 t v = lookup 0 t w.

  Lemma split_by_keeps labels table : inside s R (listed labels) -> (forall t, table = Some t -> agrees labels t) ->
    inside s R (listed (split_by s labels table)).
  Proof.
    intros I H. destruct table as [t|]; [|exact I]. cbn [split_by]. cbv zeta. destruct (number_all _ _ _) as [numbers next].
    intros v w V W E. unfold listed. rewrite numbered_variables, !map_map, !item_map by trivial. rewrite !lookup_to_map.
    now rewrite (I v w V W E : item xH labels v = item xH labels w), (H t eq_refl v w V W E).
  Qed.

  Lemma lookup_assigned {X : Type} (beyond : X) f v : In v (variables s) ->
    lookup beyond (assigned (fun u => u) f s) v = f v.
  Proof.
    intros V. unfold lookup. now rewrite (proj1 (get_assigned (fun u => u) f s (fun _ _ e => e)) v V).
  Qed.

  Lemma extended (f : positive -> Q) t v : extends t (assigned (fun u => u) f s) -> In v (variables s) ->
    lookup 0 t v = f v.
  Proof.
    intros X V. unfold lookup. now rewrite (X _ _ (proj1 (get_assigned (fun u => u) f s (fun _ _ e => e)) v V)).
  Qed.

  Lemma backward_agrees labels seed t : backward_equivalence_of s fs R -> inside s R (listed labels) ->
    backward_table s fs labels seed = Some t -> agrees labels t.
  Proof.
    intros B I. unfold backward_table. cbv zeta. destruct (evaluated _ _ _ _ _) as [z|] eqn:E; [|discriminate].
    intros [= <-] v w V W Evw. rewrite !lookup_assigned, !(lookup_to_map (X := polynomial)) by trivial.
    apply Qred_complete. apply evaluated_values in E as [X Z]. apply (B _ _ Z); trivial.
    intros i j Hi Hj Eij. rewrite !(extended _ _ _ X) by trivial. rewrite !lookup_to_map.
    now rewrite (I i j Hi Hj Eij : item xH labels i = item xH labels j).
  Qed.

  Definition exchanged (i j u : positive) : Q := (if Pos.eqb i u then 1 else 0) - (if Pos.eqb j u then 1 else 0).

  Lemma slope_exchanged i j t : In i (variables s) -> In j (variables s) ->
    slope_along s (exchanged i j) t == value i t - value j t.
  Proof.
    intros I J. unfold slope_along.
    rewrite <- (sumq_single i (fun u => value u t) (variables s)) by (trivial; apply variables_distinct).
    rewrite <- (sumq_single j (fun u => value u t) (variables s)) by (trivial; apply variables_distinct).
    rewrite difference_plus, <- (sumq_scale (-1)), <- sumq_add. apply sumq_ext. intros u _. unfold exchanged.
    destruct (Pos.eqb i u), (Pos.eqb j u); ring.
  Qed.

  Lemma total_exchanged i j b : In i (variables s) -> In j (variables s) -> R i = R j ->
    total s R (exchanged i j : state) b == 0.
  Proof.
    intros I J E. unfold total.
    transitivity (sumq (fun u => if Pos.eqb i u then (if Pos.eqb (R u) b then 1 else 0) else 0) (variables s) +
      -1 * sumq (fun u => if Pos.eqb j u then (if Pos.eqb (R u) b then 1 else 0) else 0) (variables s)).
    - rewrite <- (sumq_scale (-1)), <- sumq_add. apply sumq_ext. intros u _. unfold exchanged.
      destruct (Pos.eqb i u), (Pos.eqb j u), (Pos.eqb (R u) b); cbn; ring.
    - rewrite (sumq_single i (fun u => if Pos.eqb (R u) b then 1 else 0)) by (trivial; apply variables_distinct).
      rewrite (sumq_single j (fun u => if Pos.eqb (R u) b then 1 else 0)) by (trivial; apply variables_distinct).
      rewrite E. ring.
  Qed.

  Lemma weighted_combination (h : positive -> Q) l (x : state) :
    combination (map (fun u => (h u, u)) l) x == sumq (fun u => h u * x u) l.
  Proof.
    induction l as [|v l IH]; [reflexivity|]. exact (Qplus_comp _ _ (Qeq_refl (h v * x v)) _ _ IH).
  Qed.

  Lemma forward_agrees labels seed t : forward_equivalence_of s fs R -> inside s R (listed labels) ->
    forward_table s fs labels seed = Some t -> agrees labels t.
  Proof.
    intros B I. unfold forward_table. cbv zeta. set (label := lookup xH (to_map labels)).
    destruct (jets_at s fs seed) as [z|] eqn:E; [|discriminate]. intros [= <-] i j Hi Hj Eij.
    unfold jets_at in E. apply evaluated_values in E as [X Z].
    set (y := lookup zero z : positive -> jets) in *.
    assert (Y : forall v, In v (variables s) -> y v = (chance seed v, put v 1 Empty)).
    { intros v V. unfold y, lookup.
      now rewrite (X _ _ (proj1 (get_assigned (X := jets) (fun u => u) _ s (fun _ _ e => e)) v V)). }
    pose (at_ := fun d v => along s d (y v)).
    assert (S : forall d, state_of (sample (chance seed xH)) s fs (at_ d)) by (intros d'; now apply along_state).
    set (d := exchanged i j).
    assert (G : forall b, (total s R (field s (at_ d)) b == total s R (field s (at_ (fun _ => 0%Q))) b)%A).
    { apply (B jets (sample (chance seed xH))); try apply S. intros b. split.
      - rewrite !fst_total. reflexivity.
      - intros k. rewrite !snd_total.
        transitivity 0; [|symmetry].
        + destruct (Pos.eqb k xH) eqn:K.
          * rewrite <- (total_exchanged i j b Hi Hj Eij). apply sumq_ext. intros v V. unfold at_. cbn [snd along].
            rewrite value_put_first, K, (Y v V). cbn [snd].
            destruct (Pos.eqb (R v) b); [now apply slope_of_variable | reflexivity].
          * unfold total. rewrite (sumq_ext _ (fun _ => 0)); [apply (sum_over_zero (A := rationals))|].
            intros v _. unfold at_. cbn [snd along]. rewrite value_put_first, K. destruct (Pos.eqb (R v) b); reflexivity.
        + unfold total. rewrite (sumq_ext _ (fun _ => 0)); [apply (sum_over_zero (A := rationals))|].
          intros v _. unfold at_. cbn [snd along]. rewrite value_put_first.
          destruct (Pos.eqb k xH), (Pos.eqb (R v) b); try reflexivity. apply no_slope. }
    pose (e := fun d u => value xH (snd (field s (at_ d) u))).
    assert (Ee : forall d u, e d u == slope_along s d (snd (eval y (equation s u)))).
    { intros d' u. unfold e, field, at_. pose proof (along_eval s d' y (equation s u)) as [_ H]. specialize (H xH).
      rewrite <- H. cbn [snd along]. now rewrite value_put_first. }
    assert (Totals : forall b, total s R (e d : state) b == total s R (e (fun _ => 0) : state) b).
    { intros b. pose proof (G b) as [_ H]. specialize (H xH). now rewrite !snd_total in H. }
    set (h := fun u => chance seed (label u)).
    assert (Weighted := weighted_totals s R (h : state) (e d) (e (fun _ => 0))).
    set (row := map (fun '(u, _) => (chance seed (label u), u)) (numbered s xH)).
    assert (Row : forall x : state, combination row x == sumq (fun u => h u * x u) (variables s)).
    { intros x. unfold row. rewrite numbered_variables, map_map. exact (weighted_combination h (variables s) x). }
    cbn [snd tidied computable_jets]. rewrite !lookup_reduced_all. apply Qred_complete.
    apply difference_zero. rewrite <- slope_exchanged by trivial. rewrite slope_combination. fold d row.
    rewrite Row. transitivity (sumq (fun u => h u * e d u) (variables s)).
    { apply sumq_ext. intros u _. apply Qmult_comp; [reflexivity|]. rewrite Ee.
      pose proof (along_eq s d _ _ (tidied_eqv computable_jets (eval y (lookup (X := polynomial) [] (to_map s) u)))) as [_ H].
      specialize (H xH). cbn [snd along] in H. rewrite !value_put_first in H. cbn [Pos.eqb] in H.
      etransitivity; [exact H|]. rewrite (lookup_to_map (X := polynomial)). reflexivity. }
    rewrite Weighted; [| | exact Totals].
    - rewrite (sumq_ext _ (fun _ => 0)); [apply (sum_over_zero (A := rationals))|]. intros u _.
      rewrite Ee, no_slope. apply Qmult_0_r.
    - intros u v U V E'. unfold h, label. rewrite !lookup_to_map.
      now rewrite (I u v U V E' : item xH labels u = item xH labels v).
  Qed.
  Lemma rounds_keep (table : list positive -> positive -> option (trie Q)) seeds initial : inside s R (listed initial) ->
    (forall labels seed t, inside s R (listed labels) -> table labels seed = Some t -> agrees labels t) ->
    inside s R (listed (fold_left (fun labels seed => split_by s labels (table labels seed)) seeds initial)).
  Proof.
    intros I H. revert initial I. induction seeds as [|seed seeds IH]; intros initial I; cbn; [exact I|].
    apply IH. apply split_by_keeps; [exact I|]. intros t T. now apply (H initial seed t).
  Qed.
End Correct.

Theorem nothing_coarser_correct table (equivalence : system -> symbols -> partition -> Prop) s fs p initial seeds :
  (forall R labels seed t, equivalence s fs R -> inside s R (listed labels) -> table labels seed = Some t ->
    agrees s R labels t) ->
  nothing_coarser_check table s p initial seeds = true -> nothing_coarser equivalence s fs (listed initial) (listed p).
Proof.
  intros H C. unfold nothing_coarser_check in C. apply andb_prop in C as [C D]. apply inside_correct in C, D.
  split; [exact C|]. intros R E I i j Hi Hj Eij. apply D; trivial.
  apply (rounds_keep s R table seeds initial I); trivial. intros labels seed t I' T. now apply (H R labels seed t).
Qed.

Definition forward_nothing_coarser_check s fs := nothing_coarser_check (forward_table s fs) s.
Definition backward_nothing_coarser_check s fs := nothing_coarser_check (backward_table s fs) s.

Theorem forward_nothing_coarser s fs p initial seeds : forward_nothing_coarser_check s fs p initial seeds = true ->
  nothing_coarser forward_equivalence_of s fs (listed initial) (listed p).
Proof. apply nothing_coarser_correct. intros R labels seed t E I. now apply forward_agrees. Qed.
Theorem backward_nothing_coarser s fs p initial seeds : backward_nothing_coarser_check s fs p initial seeds = true ->
  nothing_coarser backward_equivalence_of s fs (listed initial) (listed p).
Proof. apply nothing_coarser_correct. intros R labels seed t E I. now apply backward_agrees. Qed.
