(* Why a partition of a system with functions is the coarsest: residues that every equivalence has equal.

   A round begins with a number, from which a point and the functions are computed. Backward: variables
   have the value of their block, and are told apart by their equations. Forward: they are told apart by the derivatives
   of a weighted sum of all equations: if i and j share a block of an equivalence, no sum changes where they exchange a part.
   What is equal over Q has equal residues, so residues that differ tell apart what differs over Q. *)

From Coq Require Import QArith List Lia Setoid ZArith.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Refinement Replay ForwardReplay.
From Symlump Require Import Residue Functions Chance Sample Square Jets Slopes.
Import ListNotations.
Local Open Scope Q_scope.

Definition integer_key (z : Z) : positive := match z with Z0 => xH | Zpos p => Pos.succ p | Zneg p => p end.

(* One round: blocks are split by the values in a table, if there is one. *)
Definition split_by (s : system) (labels : list positive) (table : option (trie Z)) : list positive :=
  match table with
  | Some t =>
    let label := lookup xH (to_map labels) in
    let keys := map (fun '(v, _) => bits (label v) (integer_key (lookup 0%Z t v))) (numbered s xH) in
    let '(numbers, _) := number_all keys Empty xH in
    map (lookup xH numbers) keys
  | None => labels
  end.

Section Tables.
  Variables (m : Z) (s : system) (sm : list residue_terms) (fm : list (function * list residue_terms)).

  Definition backward_table (labels : list positive) (point : positive) : option (trie Z) :=
    let label := lookup xH (to_map labels) in
    let equations := to_map sm in
    match evaluated m (drawn_functions m point) (first_symbol s) fm
      (assigned (fun v => v) (fun v => draw m point (xO (label v))) s) with
    | Some z => Some (assigned (fun v => v)
        (fun v => (value_mod m (lookup 0 z) (lookup (X := residue_terms) [] equations v) mod m)%Z) s)
    | None => None
    end.

  (* Variables of one block have equal weights. *)
  Definition weights (labels : list positive) (point : positive) : trie Z :=
    let label := lookup xH (to_map labels) in assigned (fun v => v) (fun v => draw m (xI point) (xO (label v))) s.

  Definition forward_table (labels : list positive) (point : positive) : option (trie Z) :=
    match evaluated m (drawn_functions m point) (first_symbol s) fm (drawn m point s) with
    | Some z =>
      let gradient := gradient_mod m (drawn_functions m point) (lookup 0%Z z) (first_symbol s) sm fm (weights labels point) in
      Some (assigned (fun v => v) (fun v => (lookup 0 gradient v mod m)%Z) s)
    | None => None
    end.
End Tables.

(* Rounds, until the blocks are as fine as p. *)
Fixpoint split_until (table : list positive -> positive -> option (trie Z)) (s : system) (p labels points : list positive) : bool :=
  if inside_check s labels p then true else
  match points with
  | [] => false
  | point :: points => split_until table s p (split_by s labels (table labels point)) points
  end.

Definition nothing_coarser_check (table : list residue_terms -> list (function * list residue_terms) -> list positive -> positive -> option (trie Z))
  (m : Z) (s : system) (fs : symbols) (p initial points : list positive) : bool :=
  match every (modular_terms m) s, modular_symbols m fs with
  | Some sm, Some fm =>
    (Z.leb least m && inside_check s p initial && forallb (before (last_symbol s fm)) sm &&
     split_until (table sm fm) s p initial points)%bool
  | _, _ => false
  end.

Definition forward_nothing_coarser_check (m : Z) (s : system) : symbols -> list positive -> list positive -> list positive -> bool :=
  nothing_coarser_check (forward_table m s) m s.
Definition backward_nothing_coarser_check (m : Z) (s : system) : symbols -> list positive -> list positive -> list positive -> bool :=
  nothing_coarser_check (backward_table m s) m s.

(* ------------------------------------------------------------------ What the check means. *)

Lemma reduces_equal m p q y z : (least <= m)%Z -> p == q -> reduces m p y -> reduces m q z -> (y mod m = z mod m)%Z.
Proof.
  intros M E P Q. apply at_least_two in M. assert (D : reduces m (p + -1 * q) (y + -1 * z)).
  { apply reduces_add; [exact P|]. apply reduces_mul; [exact (reduces_integer m (-1)) | exact Q]. }
  apply reduces_zero in D; [|rewrite E; ring]. destruct D as [k K].
  replace y with (z + k * m)%Z by lia. apply Z.mod_add. lia.
Qed.

(* In direction d, and in none. *)
Definition ones : state := fun _ => 1.
Lemma slope_ones d x : slope_along ones (along d x) == slope_along d x.
Proof. unfold slope_along at 1. cbn [snd along]. rewrite combination_one. unfold ones. qring. Qed.
Lemma slope_field d (x : positive -> jets) q :
  slope_along ones (eval (fun v => along d (x v)) q) == slope_along d (eval x q).
Proof. now rewrite <- (slope_eq ones _ _ (along_eval d x q)), slope_ones. Qed.
Lemma no_slope x : slope_along (fun _ => 0) x == 0.
Proof.
  unfold slope_along. induction (snd x) as [|[w v] r IH]; [reflexivity|]. cbn [combination]. rewrite IH. qring.
Qed.
Lemma slope_variable d m point v : slope_along d (at_variables m point v) == d v.
Proof. unfold slope_along, at_variables. cbn [snd]. rewrite combination_one. qring. Qed.
Lemma stands_variable m (large : (least <= m)%Z) point v : residues_of_jets m large (at_variables m point v) (draw m point (xO v)).
Proof. exact (reduces_integer m (draw m point (xO v))). Qed.

Section Correct.
  Variables (m : Z) (s : system) (fs : symbols) (sm : list residue_terms) (fm : list (function * list residue_terms)) (R : partition).
  Hypothesis large : (least <= m)%Z.
  Hypothesis system_modular : every (modular_terms m) s = Some sm.
  Hypothesis symbols_modular : modular_symbols m fs = Some fm.

  Lemma equations_modular : Forall2 (modular_of m) s sm.
  Proof.
    pose proof (every_spec _ _ _ system_modular) as H. clear system_modular.
    induction H; [constructor | constructor; [now apply modular_terms_of | assumption]].
  Qed.
  Lemma functions_modular : Forall2 (modular_symbol m) fs fm.
  Proof. now apply modular_symbols_of. Qed.
  Lemma equation_modular v : modular_of m (equation s v) (lookup (X := residue_terms) [] (to_map sm) v).
  Proof.
    rewrite lookup_to_map. unfold equation, item. generalize (pred (Pos.to_nat v)) as i. pose proof equations_modular as H.
    clear system_modular symbols_modular. induction H as [|q l s' sm' Q _ IH]; intros [|i]; cbn [nth]; [constructor | constructor | exact Q | apply IH].
  Qed.

  Definition agrees (t : trie Z) : Prop :=
    forall v w, In v (variables s) -> In w (variables s) -> R v = R w -> lookup 0%Z t v = lookup 0%Z t w.

  Lemma split_by_keeps labels table : inside s R (listed labels) -> (forall t, table = Some t -> agrees t) ->
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
  Lemma lookup_not_assigned {X : Type} (beyond : X) f v : ~ In v (variables s) ->
    lookup beyond (assigned (fun u => u) f s) v = beyond.
  Proof.
    intros V. unfold lookup. destruct (get v _) as [y|] eqn:Y; [|reflexivity].
    apply (proj2 (get_assigned (fun u => u) f s (fun _ _ e => e))) in Y as (w & W & -> & _). easy.
  Qed.

  Lemma backward_agrees labels point t : backward_equivalence_of s fs R -> inside s R (listed labels) ->
    backward_table m s sm fm labels point = Some t -> agrees t.
  Proof.
    intros B I. unfold backward_table. cbv zeta. set (label := lookup xH (to_map labels)).
    destruct (evaluated _ _ _ _ _) as [z|] eqn:E; [|discriminate].
    intros [= <-] v w V W Evw. rewrite !lookup_assigned by trivial. pose (Rational := residues_of_rationals m large).
    destruct (evaluated_at m large Rational _ s fs fm (fun v => inject_Z (draw m point (xO (label v)))) _ z
      functions_modular E) as (x & X & T & S); [intros u _; exact (reduces_integer m _)|].
    apply reduces_equal with (eval (x : state) (equation s v)) (eval (x : state) (equation s w)); trivial.
    - apply (B _ x S); trivial. intros i j Hi Hj Eij. rewrite !X by trivial. unfold label. rewrite !lookup_to_map.
      now rewrite (I i j Hi Hj Eij : item xH labels i = item xH labels j).
    - apply (stands_eval m large Rational x _ _ _ T). apply equation_modular.
    - apply (stands_eval m large Rational x _ _ _ T). apply equation_modular.
  Qed.

  Definition exchanged (i j u : positive) : Q := (if Pos.eqb i u then 1 else 0) - (if Pos.eqb j u then 1 else 0).

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

  Lemma sum_exchanged i j (c : positive -> Q) : In i (variables s) -> In j (variables s) ->
    sumq (fun u => c u * exchanged i j u) (variables s) == c i - c j.
  Proof.
    intros I J.
    rewrite <- (sumq_single i c (variables s)) by (trivial; apply variables_distinct).
    rewrite <- (sumq_single j c (variables s)) by (trivial; apply variables_distinct).
    rewrite difference_plus, <- (sumq_scale (-1)), <- sumq_add. apply sumq_ext. intros u _. unfold exchanged.
    destruct (Pos.eqb i u), (Pos.eqb j u); ring.
  Qed.

  Lemma forward_agrees labels point t : forallb (before (last_symbol s fm)) sm = true ->
    forward_equivalence_of s fs R -> inside s R (listed labels) ->
    forward_table m s sm fm labels point = Some t -> agrees t.
  Proof.
    intros Scope B I. unfold forward_table. destruct (evaluated _ _ _ _ _) as [z|] eqn:E; [|discriminate]. cbv zeta.
    set (gradient := gradient_mod _ _ _ _ _ _ _). intros [= <-] i j Hi Hj Eij. rewrite !lookup_assigned by trivial.
    destruct (evaluated_at m large (residues_of_jets m large) _ s fs fm (at_variables m point) _ z functions_modular E)
      as (x & X & T & S); [intros v _; apply stands_variable|].
    set (label := lookup xH (to_map labels)).
    pose (h := fun u => inject_Z (draw m (xI point) (xO (label u)))).
    pose (c := fun u => if in_dec Pos.eq_dec u (variables s) then h u else 0).
    destruct (gradient_meaning m large s fs sm fm point _ z x equations_modular functions_modular E T S X Scope c (weights m s labels point))
      as (c' & C' & G).
    { intros u. unfold c, weights. destruct (in_dec Pos.eq_dec u (variables s)) as [U|U].
      - rewrite lookup_assigned by trivial. exact (reduces_integer m _).
      - rewrite lookup_not_assigned by trivial. exact (reduces_integer m 0). }
    apply reduces_equal with (c' i) (c' j); trivial; [|apply C' ..].
    set (d := exchanged i j : state). pose (at_ := fun d v => along d (x v)).
    apply difference_zero. rewrite <- sum_exchanged by trivial. fold d. rewrite (G d).
    pose (e := fun d u => slope_along ones (field s (at_ d) u)).
    assert (Ee : forall d u, e d u == slope_along d (eval x (equation s u))) by (intros; apply slope_field).
    assert (Totals : forall b, total s R (e d : state) b == total s R (e (fun _ => 0) : state) b).
    { assert (F : forall b, (total s R (field s (at_ d)) b == total s R (field s (at_ (fun _ => 0%Q))) b)%A).
      { apply (B jets (sample (residues_of_jets m large) (drawn_functions m point))); try (apply along_state; exact S). intros b. split.
        - rewrite !fst_total. reflexivity.
        - assert (Z : forall d f : state, total s R d b == 0 -> combination (snd (total s R (at_ d) b)) f == 0).
          { intros d' f Zd. change (combination (snd (total s R (at_ d') b)) f) with (slope_along f (total s R (at_ d') b)).
            rewrite slope_total. rewrite <- (Qmult_0_r (f xH)), <- Zd. unfold total. rewrite <- sumq_scale.
            apply sumq_ext. intros v V. unfold at_. rewrite (X v V). destruct (Pos.eqb (R v) b); [|symmetry; apply Qmult_0_r].
            unfold slope_along at 1. cbn [snd along]. rewrite combination_one, slope_variable. apply Qmult_comm. }
          intros f. rewrite (Z d f), (Z (fun _ => 0) f); [reflexivity | | now apply total_exchanged].
          unfold total. rewrite (sumq_ext _ (fun _ => 0)); [apply (sum_over_zero (A := rationals))|].
          intros v _. destruct (Pos.eqb (R v) b); reflexivity. }
      intros b. pose proof (slope_eq ones _ _ (F b)) as H. now rewrite !slope_total in H. }
    assert (Weighted := weighted_totals s R (h : state) (e d) (e (fun _ => 0))).
    transitivity (sumq (fun u => h u * e d u) (variables s)).
    { apply sumq_ext. intros u U. unfold c. destruct (in_dec Pos.eq_dec u (variables s)); [|easy]. now rewrite Ee. }
    rewrite Weighted; [| | exact Totals].
    - rewrite (sumq_ext _ (fun _ => 0)); [apply (sum_over_zero (A := rationals))|]. intros u _.
      rewrite Ee, no_slope. apply Qmult_0_r.
    - intros u v U V E'. unfold h, label. rewrite !lookup_to_map.
      now rewrite (I u v U V E' : item xH labels u = item xH labels v).
  Qed.

  Lemma rounds_keep (table : list positive -> positive -> option (trie Z)) p points labels : inside s R (listed labels) ->
    (forall labels point t, inside s R (listed labels) -> table labels point = Some t -> agrees t) ->
    split_until table s p labels points = true -> inside s R (listed p).
  Proof.
    intros I H. revert labels I. induction points as [|point points IH]; intros labels I; cbn [split_until];
      (destruct (inside_check s labels p) eqn:E;
       [intros _; apply inside_correct in E; intros i j Hi Hj Eij; apply E; trivial; now apply I|]); [easy|].
    apply IH. apply split_by_keeps; [exact I|]. intros t T. now apply (H labels point t).
  Qed.
End Correct.

Theorem nothing_coarser_correct table (equivalence : system -> symbols -> partition -> Prop) m s fs p initial points :
  (forall sm fm R labels point t, (least <= m)%Z -> every (modular_terms m) s = Some sm -> modular_symbols m fs = Some fm ->
    forallb (before (last_symbol s fm)) sm = true -> equivalence s fs R -> inside s R (listed labels) ->
    table sm fm labels point = Some t -> agrees s R t) ->
  nothing_coarser_check table m s fs p initial points = true -> nothing_coarser equivalence s fs (listed initial) (listed p).
Proof.
  intros H C. unfold nothing_coarser_check in C. destruct (every (modular_terms m) s) as [sm|] eqn:S; [|easy].
  destruct (modular_symbols m fs) as [fm|] eqn:F; [|easy]. apply andb_prop in C as [C D]. apply andb_prop in C as [C Scope].
  apply andb_prop in C as [L C]. apply Z.leb_le in L. apply inside_correct in C.
  split; [exact C|]. intros R E I. apply (rounds_keep s R (table sm fm) p points initial I); [|exact D].
  intros labels point t I' T. now apply (H sm fm R labels point t).
Qed.

Theorem forward_nothing_coarser m s fs p initial points : forward_nothing_coarser_check m s fs p initial points = true ->
  nothing_coarser forward_equivalence_of s fs (listed initial) (listed p).
Proof. apply nothing_coarser_correct. intros. now apply (forward_agrees m s fs sm fm R) with labels point. Qed.
Theorem backward_nothing_coarser m s fs p initial points : backward_nothing_coarser_check m s fs p initial points = true ->
  nothing_coarser backward_equivalence_of s fs (listed initial) (listed p).
Proof. apply nothing_coarser_correct. intros. now apply (backward_agrees m s fs sm fm R) with labels point. Qed.
