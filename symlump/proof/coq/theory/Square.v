(* Lumpings of systems with quotients and functions, checked.

   Symbols of both systems are followed at once: those of the system are even numbers, those of the quotient odd. The variables
   on one side are polynomials in those of the other; then both sides of each equation are compared. *)

From Coq Require Import QArith List Lia Setoid.
From Symlump Require Import Algebra Trie Polynomial Systems Lookup Compose Linear Functions Symbols Sample.
Import ListNotations.
Local Open Scope Q_scope.

Definition both {A : algebra} (z w : positive -> A) (k : positive) : A :=
  match k with xO k => z k | xI k => w k | xH => zero end.
Definition of_system (p : polynomial) : polynomial := renamed_terms xO p.
Definition of_quotient (p : polynomial) : polynomial := renamed_terms xI p.

Fixpoint entries (tag : positive -> positive) (k : positive) (fs : symbols) (hints : list hint) : list entry_of_symbol :=
  match fs, hints with
  | (f, u) :: fs, h :: hints => (tag k, (f, map (renamed_terms tag) u), h) :: entries tag (Pos.succ k) fs hints
  | _, _ => []
  end.

(* Values for all variables of a system, as a map. *)
Definition assigned {X : Type} (tag : positive -> positive) (f : positive -> X) (s : system) : trie X :=
  fold_left (fun t '(v, _) => put (tag v) (f v) t) (numbered s xH) Empty.

(* Where evaluation is tried: a number that the functions used there depend on, and values of the variables. *)
Definition point := (Q * list Q)%type.

Section Check.
  Variables (s : system) (fs : symbols) (hints : list hint).
  Variables (g : system) (gs : symbols) (quotient_hints : list hint).
  Definition first_symbol (s : system) : positive := Pos.of_succ_nat (length s).

  Definition followed (start : trie polynomial) : option known :=
    follow_all (entries xO (first_symbol s) fs hints ++ entries xI (first_symbol g) gs quotient_hints)
      (Known start Empty Empty).

  (* Sums of variables: each variable of the quotient is a polynomial, [row], and its equation is [total]. *)
  Definition sums_check (row total : positive -> polynomial) : bool :=
    match followed (assigned xI (fun b => of_system (row b)) g) with
    | Some K => forallb (fun '(b, gb) => equal_under K (of_system (total b)) (of_quotient gb)) (numbered g xH)
    | None => false
    end.

  Definition sums_defined (row : positive -> polynomial) (points : list point) : bool :=
    existsb (fun '(r, values) =>
      match evaluated computable_rationals r (first_symbol s) fs (to_map values) with
      | None => false
      | Some z =>
        let sum b := Qred (eval (lookup 0 z : state) (row b)) in
        match evaluated computable_rationals r (first_symbol g) gs (assigned (fun b => b) sum g) with Some _ => true | None => false end
      end) points.

  Definition copies_check (block_of : positive -> positive) : bool :=
    match followed (assigned xO (fun v => [(1, [(xI (block_of v), xH)])]) s) with
    | Some K => let quotient := to_map g in
      forallb (fun '(v, q) =>
        (is_there quotient (block_of v) &&
         equal_under K (of_system q) (of_quotient (lookup (X := polynomial) [] quotient (block_of v))))%bool) (numbered s xH)
    | None => false
    end.

  Definition copies_defined (block_of : positive -> positive) (points : list point) : bool :=
    existsb (fun '(r, values) =>
      match evaluated computable_rationals r (first_symbol g) gs (to_map values) with
      | None => false
      | Some w =>
        let copy v := lookup 0 w (block_of v) in
        match evaluated computable_rationals r (first_symbol s) fs (assigned (fun v => v) copy s) with Some _ => true | None => false end
      end) points.
End Check.

Definition forward_check_of s fs hints p g gs quotient_hints points : bool :=
  let block_of := lookup xH (to_map p) in
  let quotient := to_map g in
  let own := block_sums block_of (map (fun '(v, _) => (v, variable v)) (numbered s xH)) in
  let totals := block_sums block_of (numbered s xH) in
  (forallb (fun '(v, _) => is_there quotient (block_of v)) (numbered s xH) &&
   sums_check s fs hints g gs quotient_hints (lookup (X := polynomial) [] own) (lookup (X := polynomial) [] totals) &&
   sums_defined s fs g gs (lookup (X := polynomial) [] own) points)%bool.

Definition backward_check_of s fs hints p g gs quotient_hints points : bool :=
  let block_of := lookup xH (to_map p) in
  (copies_check s fs hints g gs quotient_hints block_of && copies_defined s fs g gs block_of points)%bool.

Definition linear_check_of s fs hints rows g gs quotient_hints points : bool :=
  let row_of := lookup [] (to_map rows) in
  let row k := row_polynomial (row_of k) in
  (sums_check s fs hints g gs quotient_hints row (fun k => combined s (row_of k)) &&
   sums_defined s fs g gs row points)%bool.

(* ------------------------------------------------------------------ What this means. *)

Lemma get_assigned {X : Type} tag (f : positive -> X) s : (forall v w, tag v = tag w -> v = w) ->
  (forall v, In v (variables s) -> get (tag v) (assigned tag f s) = Some (f v)) /\
  (forall k x, get k (assigned tag f s) = Some x -> exists v, In v (variables s) /\ k = tag v /\ x = f v).
Proof.
  intros Inj. unfold assigned. rewrite numbered_variables.
  assert (Fold : forall l t, fold_left (fun t '(v, _) => put (tag v) (f v) t)
    (map (fun v => (v, equation s v)) l) t = fold_left (fun t v => put (tag v) (f v) t) l t).
  { induction l as [|v l IH]; intros t; cbn; [reflexivity | apply IH]. }
  rewrite Fold. clear Fold. generalize (variables s) as l. intros l.
  assert (H : forall t k, get k (fold_left (fun t v => put (tag v) (f v) t) l t) = get k t /\ ~ In k (map tag l) \/
    exists v, In v l /\ k = tag v /\ get k (fold_left (fun t v => put (tag v) (f v) t) l t) = Some (f v)).
  { induction l as [|v l IH]; intros t k; cbn [fold_left map In]; [left; now split|].
    destruct (IH (put (tag v) (f v) t) k) as [[G N]|(w & W & E & G)]; [|right; exists w; auto].
    rewrite get_put in G. destruct (Pos.eqb_spec k (tag v)) as [E|D]; [right; exists v; auto|].
    left. split; [exact G|]. intros [E|I]; [now apply D | now apply N]. }
  split.
  - intros v V. destruct (H Empty (tag v)) as [[_ N]|(w & _ & E & G)]; [destruct N; now apply in_map|].
    rewrite G. now rewrite (Inj _ _ E).
  - intros k x G. destruct (H Empty k) as [[G' _]|(w & W & E & G')]; rewrite G' in G; [discriminate|].
    exists w. repeat split; trivial. congruence.
Qed.

Section Meaning.
  Context {A : algebra} (F : interpretation A) (z w : positive -> A).
  Notation c := (both z w).

  Lemma eval_of_system p : (eval c (of_system p) == eval z p)%A.
  Proof. exact (eval_renamed xO c p). Qed.
  Lemma eval_of_quotient p : (eval c (of_quotient p) == eval w p)%A.
  Proof. exact (eval_renamed xI c p). Qed.

  Lemma entry_has_value tag (y : positive -> A) n fs hints : (forall v, c (tag v) = y v) ->
    (forall j f u, nth_error fs j = Some (f, u) -> has_value F y (Pos.of_succ_nat (n + j)) f u) ->
    forall k f u h, In (k, (f, u), h) (entries tag (Pos.of_succ_nat n) fs hints) -> has_value F c k f u.
  Proof.
    intros Y. revert n hints. induction fs as [|[f u] fs IH]; intros n [|h hints] H k f' u' h' I; cbn in I; try easy.
    destruct I as [I|I].
    - injection I as <- <- <- <-. specialize (H 0%nat f u eq_refl). rewrite Nat.add_0_r in H.
      assert (E : forall p, (eval c (renamed_terms tag p) == eval y p)%A).
      { intros p. rewrite eval_renamed. apply eval_ext. intros v. rewrite Y. reflexivity. }
      assert (L : Forall2 eqv (map (eval c) (map (renamed_terms tag) u)) (map (eval y) u)).
      { clear - E. induction u; cbn; constructor; trivial. }
      pose proof (apply_eq F f _ _ L) as L'.
      destruct f; cbn [has_value] in *; rewrite Y; try (rewrite H, L'; reflexivity).
      rewrite <- H. apply mul_proper; [reflexivity|]. destruct u; [reflexivity | apply E].
    - change (Pos.succ (Pos.of_succ_nat n)) with (Pos.of_succ_nat (S n)) in I. apply (IH (S n) hints) with (2 := I).
      intros j f0 u0 J. replace (S n + j)%nat with (n + S j)%nat by lia. now apply H.
  Qed.

  Lemma followed_holds s fs hints g gs quotient_hints start K : state_of F s fs z -> state_of F g gs w ->
    images_hold c start -> followed s fs hints g gs quotient_hints start = Some K -> all_hold F c K.
  Proof.
    intros Z W I E. unfold followed in E. apply follow_all_holds with (3 := E).
    - split; [exact I | split; intros k; cbn; destruct k; discriminate].
    - intros k f u h H. apply in_app_iff in H as [H|H].
      + exact (entry_has_value xO z _ fs hints (fun v => eq_refl) Z k f u h H).
      + exact (entry_has_value xI w _ gs quotient_hints (fun v => eq_refl) W k f u h H).
  Qed.

  Lemma sums_checked s fs hints g gs quotient_hints row total :
    sums_check s fs hints g gs quotient_hints row total = true -> state_of F s fs z -> state_of F g gs w ->
    (forall b, In b (variables g) -> w b == eval z (row b))%A ->
    forall b, In b (variables g) -> (eval w (equation g b) == eval z (total b))%A.
  Proof.
    unfold sums_check. destruct (followed _ _ _ _ _ _ _) as [K|] eqn:E; [|discriminate]. intros C Z W T b B.
    apply followed_holds in E; trivial.
    - apply (for_numbered _ _ C) in B. cbv beta iota in B. apply (equal_under_same F c) in B; [|exact E].
      now rewrite eval_of_system, eval_of_quotient in B.
    - intros k p G. apply get_assigned in G as (v & V & -> & ->); [|now intros ? ? [= ->]].
      cbn [both]. rewrite eval_of_system. now apply T.
  Qed.

  Lemma copies_checked s fs hints g gs quotient_hints block_of :
    copies_check s fs hints g gs quotient_hints block_of = true -> state_of F s fs z -> state_of F g gs w ->
    (forall v, In v (variables s) -> z v == w (block_of v))%A ->
    forall v, In v (variables s) -> (eval z (equation s v) == eval w (equation g (block_of v)))%A.
  Proof.
    unfold copies_check. destruct (followed _ _ _ _ _ _ _) as [K|] eqn:E; [|discriminate]. intros C Z W T v V.
    apply followed_holds in E; trivial.
    - apply (for_numbered _ _ C) in V. cbv beta iota in V. apply andb_prop in V as [_ V].
      apply (equal_under_same F c) in V; [|exact E].
      now rewrite eval_of_system, eval_of_quotient, lookup_to_map in V.
    - intros k p G. apply get_assigned in G as (u & U & -> & ->); [|now intros ? ? [= ->]].
      cbn [both]. rewrite eval_variable, scalar_one, (T u U). cbn [eval both].
      rewrite (Radd_comm (ring_laws A)), (Radd_0_l (ring_laws A)), (Rmul_1_l (ring_laws A)). reflexivity.
  Qed.
End Meaning.

Lemma sums_are_defined s fs g gs row points : sums_defined s fs g gs row points = true ->
  defined_somewhere s fs g gs (fun z w => forall b, In b (variables g) -> w b == eval z (row b)).
Proof.
  unfold sums_defined. intros H. apply existsb_exists in H as [[r values] [_ H]].
  destruct (evaluated computable_rationals r _ fs _) as [tz|] eqn:Ez; [|discriminate].
  set (sum := fun b => Qred (eval (lookup 0 tz : state) (row b))) in H. cbv zeta in H.
  destruct (evaluated computable_rationals r _ gs _) as [tw|] eqn:Ew; [|discriminate]. clear H.
  apply evaluated_values in Ez as [_ Z]. apply evaluated_values in Ew as [X W].
  exists (sample r), (lookup 0 tz), (lookup 0 tw). split; [exact Z|]. split; [exact W|].
  intros b B. apply (proj1 (get_assigned (fun b => b) sum g (fun v w e => e))) in B. apply X in B.
  etransitivity; [|apply Qred_correct]. unfold lookup at 1. change (match get (X := rationals) b tw with
    Some q => q | None => 0 end == sum b). rewrite B. reflexivity.
Qed.

Lemma copies_are_defined s fs g gs block_of points : copies_defined s fs g gs block_of points = true ->
  defined_somewhere s fs g gs (fun z w => forall v, In v (variables s) -> z v == w (block_of v)).
Proof.
  unfold copies_defined. intros H. apply existsb_exists in H as [[r values] [_ H]].
  destruct (evaluated computable_rationals r _ gs _) as [tw|] eqn:Ew; [|discriminate].
  set (copy := fun v => lookup 0 tw (block_of v)) in H. cbv zeta in H.
  destruct (evaluated computable_rationals r _ fs _) as [tz|] eqn:Ez; [|discriminate]. clear H.
  apply evaluated_values in Ez as [X Z]. apply evaluated_values in Ew as [_ W].
  exists (sample r), (lookup 0 tz), (lookup 0 tw). split; [exact Z|]. split; [exact W|].
  intros v V. apply (proj1 (get_assigned (fun v => v) copy s (fun v w e => e))) in V. apply X in V.
  unfold lookup at 1. change (match get (X := rationals) v tz with Some q => q | None => 0 end == copy v).
  rewrite V. reflexivity.
Qed.

Lemma defined_with s fs g gs (tied tied' : state -> state -> Prop) : (forall z w, tied z w -> tied' z w) ->
  defined_somewhere s fs g gs tied -> defined_somewhere s fs g gs tied'.
Proof. intros H (F & z & w & Z & W & T). exists F, z, w. auto. Qed.

Theorem forward_correct_of s fs hints p g gs quotient_hints points :
  forward_check_of s fs hints p g gs quotient_hints points = true -> forward_lumping_of s fs (listed p) g gs.
Proof.
  unfold forward_check_of. cbv zeta. set (block_of := lookup xH (to_map p)).
  assert (B : forall v, block_of v = listed p v) by (intros; apply lookup_to_map).
  set (own := block_sums block_of (map _ _)). set (totals := block_sums block_of (numbered s xH)).
  assert (Total : forall (A : algebra) (x : positive -> A) b, (total s block_of x b == total s (listed p) x b)%A).
  { intros A x b. unfold total. apply sum_over_ext. intros v _. now rewrite B. }
  assert (Row : forall (A : algebra) (x : positive -> A) b,
    (eval x (lookup (X := polynomial) [] own b) == total s (listed p) x b)%A).
  { intros A x b. rewrite <- Total, <- total_of_rows. unfold own. rewrite lookup_block_sums.
    unfold block_sum, total_row. rewrite numbered_variables, map_map.
    replace (flat_map _ (map _ _)) with (flat_map (fun v => if Pos.eqb (block_of v) b then variable v else [])
      (variables s)); [reflexivity|]. rewrite !flat_map_concat_map, map_map. reflexivity. }
  intros C. apply andb_prop in C as [C D]. apply andb_prop in C as [E C]. split; [|split].
  - intros v V. apply (for_numbered _ _ E) in V. cbv beta iota in V. apply is_there_to_map in V. now rewrite <- B.
  - apply sums_are_defined in D. apply defined_with with (2 := D). intros z w T b I.
    rewrite <- Row. now apply T.
  - intros A F z w Z W T b I. unfold field at 1.
    rewrite (sums_checked F z w _ _ _ _ _ _ _ _ C Z W); [| |exact I].
    + unfold totals. now rewrite lookup_block_sums, eval_block_sum.
    + intros k J. rewrite Row. now apply T.
Qed.

Theorem backward_correct_of s fs hints p g gs quotient_hints points :
  backward_check_of s fs hints p g gs quotient_hints points = true -> backward_lumping_of s fs (listed p) g gs.
Proof.
  unfold backward_check_of. cbv zeta. set (block_of := lookup xH (to_map p)).
  assert (B : forall v, block_of v = listed p v) by (intros; apply lookup_to_map).
  intros C. apply andb_prop in C as [C D]. split; [|split].
  - intros v V. unfold copies_check in C. destruct (followed _ _ _ _ _ _ _); [|discriminate].
    apply (for_numbered _ _ C) in V. cbv beta iota in V. apply andb_prop in V as [V _].
    apply is_there_to_map in V. now rewrite <- B.
  - apply copies_are_defined in D. apply defined_with with (2 := D). intros z w T v V. rewrite <- B. now apply T.
  - intros A F z w Z W T v V. unfold field. rewrite <- B.
    apply (copies_checked F z w _ _ _ _ _ _ _ C Z W); [|exact V]. intros u U. rewrite B. now apply T.
Qed.

Theorem linear_correct_of s fs hints rows g gs quotient_hints points :
  linear_check_of s fs hints rows g gs quotient_hints points = true -> linear_lumping_of s fs rows g gs.
Proof.
  unfold linear_check_of. cbv zeta. intros C. apply andb_prop in C as [C D].
  assert (Row : forall (A : algebra) (x : positive -> A) k,
    (eval x (row_polynomial (lookup [] (to_map rows) k)) == combinations rows x k)%A).
  { intros A x k. rewrite eval_row_polynomial, lookup_to_map. reflexivity. }
  split.
  - apply sums_are_defined in D. apply defined_with with (2 := D). intros z w T k K.
    rewrite <- Row. now apply T.
  - intros A F z w Z W T k K. unfold field at 1.
    rewrite (sums_checked F z w _ _ _ _ _ _ _ _ C Z W); [| |exact K].
    + now rewrite eval_combined, lookup_to_map.
    + intros j J. rewrite Row. now apply T.
Qed.
