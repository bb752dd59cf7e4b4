(* Why a partition of a system with functions is the coarsest: values that every equivalence has equal.

   A round begins with a number, from which a point and the functions are computed. Backward: variables
   have the value of their block, and are told apart by their equations. Forward: variables i and j of a block of an equivalence
   may exchange a part of their values, so one more for i and one more for j give equal sums. *)

From Coq Require Import QArith List Lia Setoid.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Replay Functions Sample Square.
Import ListNotations.
Local Open Scope Q_scope.

Definition chance (seed k : positive) : Q :=
  ((Zpos k * Zpos k * Zpos seed * 7919 + Zpos k * Zpos seed * Zpos seed * 104729 + Zpos seed * 31) mod 10007 + 2)%Z # 1.

(* One round: blocks are split by the values in a table, if there is one. *)
Definition split_by (s : system) (labels : list positive) (table : option (trie Q)) : list positive :=
  match table with
  | Some t => round Datatypes.unit (fun _ => xH) (fun _ _ v => [lookup 0 t v]) s labels []
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

  Definition shifted (seed v u : positive) : Q := if Pos.eqb v u then chance seed u + 1 else chance seed u.
  (* The weighted sum of all equations where v has one more. *)
  Definition sum_at (label : positive -> positive) (seed v : positive) : option Q :=
    match evaluated computable_rationals (chance seed xH) (first_symbol s) fs (assigned (fun u => u) (shifted seed v) s) with
    | Some z => Some (Qred (sum_over (A := rationals) (fun u => chance seed (label u) * eval (lookup 0 z : state) (equation s u)) (variables s)))
    | None => None
    end.
  Definition is_some {X : Type} (o : option X) : bool := match o with Some _ => true | None => false end.
  Definition forward_table (labels : list positive) (seed : positive) : option (trie Q) :=
    let label := lookup xH (to_map labels) in
    let sums := assigned (fun v => v) (sum_at label seed) s in
    if forallb (fun '(v, _) => is_some (lookup None sums v)) (numbered s xH) then
      Some (assigned (fun v => v) (fun v => match lookup None sums v with Some q => q | None => 0 end) s)
    else None.
End Tables.

Definition nothing_coarser_check (table : list positive -> positive -> option (trie Q)) (s : system)
  (p initial : list positive) (seeds : list positive) : bool :=
  (inside_check s p initial &&
   inside_check s (fold_left (fun labels seed => split_by s labels (table labels seed)) seeds initial) p)%bool.

Section Correct.
  Variables (s : system) (fs : symbols) (R : partition).
  Definition agrees (labels : list positive) (t : trie Q) : Prop :=
    forall v w, In v (variables s) -> In w (variables s) -> R v = R w -> lookup 0 t v = lookup 0 t w.

  Lemma split_keeps labels table : inside s R (listed labels) -> (forall t, table = Some t -> agrees labels t) ->
    inside s R (listed (split_by s labels table)).
  Proof.
    intros I H. destruct table as [t|]; [|exact I]. cbn [split_by]. apply round_keeps; trivial.
    intros _ _ v w _ V W E. f_equal. now apply (H t eq_refl).
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

  Lemma total_shifted (z : state) seed v b : (forall u, In u (variables s) -> z u = shifted seed v u) ->
    In v (variables s) ->
    total s R z b == total s R (fun u => chance seed u : rationals) b + (if Pos.eqb (R v) b then 1 else 0).
  Proof.
    intros H V. unfold total.
    rewrite <- (sumq_single v (fun u => if Pos.eqb (R u) b then 1 else 0) (variables s)) by
      (trivial; apply variables_distinct).
    rewrite <- sumq_add. apply sumq_ext. intros u U. rewrite (H u U). unfold shifted.
    destruct (Pos.eqb_spec v u) as [<-|]; destruct (Pos.eqb (R _) b); cbn; ring.
  Qed.

  Lemma forward_agrees labels seed t : forward_equivalence_of s fs R -> inside s R (listed labels) ->
    forward_table s fs labels seed = Some t -> agrees labels t.
  Proof.
    intros B I. unfold forward_table. cbv zeta. set (label := lookup xH (to_map labels)).
    destruct (forallb _ _) eqn:C; [|discriminate]. intros [= <-] v w V W Evw.
    rewrite !lookup_assigned by trivial.
    pose proof (for_numbered _ _ C v V) as Cv. pose proof (for_numbered _ _ C w W) as Cw. cbv beta iota in Cv, Cw.
    clear C. rewrite lookup_assigned in Cv, Cw by trivial. unfold sum_at in *.
    destruct (evaluated computable_rationals _ _ _ (assigned _ (shifted seed v) s)) as [zv|] eqn:Ev; [|discriminate].
    destruct (evaluated computable_rationals _ _ _ (assigned _ (shifted seed w) s)) as [zw|] eqn:Ew; [|discriminate].
    clear Cv Cw. apply evaluated_values in Ev as [Xv Zv]. apply evaluated_values in Ew as [Xw Zw].
    apply Qred_complete. apply weighted_totals with R.
    - intros i j Hi Hj E. unfold label. rewrite !lookup_to_map.
      now rewrite (I i j Hi Hj E : item xH labels i = item xH labels j).
    - apply (B _ _ _ Zv Zw). intros b.
      etransitivity; [apply (total_shifted _ seed v b (fun u U => extended _ _ u Xv U) V)|].
      rewrite Evw. symmetry. exact (total_shifted _ seed w b (fun u U => extended _ _ u Xw U) W).
  Qed.

  Lemma rounds_keep (table : list positive -> positive -> option (trie Q)) seeds initial : inside s R (listed initial) ->
    (forall labels seed t, inside s R (listed labels) -> table labels seed = Some t -> agrees labels t) ->
    inside s R (listed (fold_left (fun labels seed => split_by s labels (table labels seed)) seeds initial)).
  Proof.
    intros I H. revert initial I. induction seeds as [|seed seeds IH]; intros initial I; cbn; [exact I|].
    apply IH. apply split_keeps; [exact I|]. intros t T. now apply (H initial seed t).
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
