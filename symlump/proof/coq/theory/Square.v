(* Lumpings of systems with quotients and functions, checked.

   Symbols of both systems are followed at once: first those of the quotient, which are odd numbers, then those of the
   system, which are even. The variables on one side are polynomials in those of the other; then both sides of each equation are compared. *)

From Coq Require Import QArith List Lia Setoid ZArith.
From Symlump Require Import Algebra Trie Polynomial Systems Lookup Compose Linear Residue Functions Chance Symbols Sample.
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

(* At a point, which is made from a number: values of the variables, and functions. *)
Definition drawn (m : Z) (point : positive) (s : system) : trie Z := assigned (fun v => v) (fun v => draw m point (xO v)) s.
Definition drawn_functions (m : Z) (point k : positive) : Z := draw m point (xI k).

Section Check.
  Variables (s : system) (fs : symbols) (hints : list hint).
  Variables (g : system) (gs : symbols) (quotient_hints : list hint).
  Definition first_symbol (s : system) : positive := Pos.of_succ_nat (length s).

  Definition followed (start : trie polynomial) : option known :=
    follow_all (entries xI (first_symbol g) gs quotient_hints ++ entries xO (first_symbol s) fs hints)
      (Known start Empty Empty).

  (* Sums of variables: each variable of the quotient is a polynomial, [row], and its equation is [total]. *)
  Definition sums_check (row total : positive -> polynomial) : bool :=
    match followed (assigned xI (fun b => of_system (row b)) g) with
    | Some K => forallb (fun '(b, gb) => equal_under K (of_system (total b)) (of_quotient gb)) (numbered g xH)
    | None => false
    end.

  Definition copies_check (block_of : positive -> positive) : bool :=
    match followed (assigned xO (fun v => [(1, [(xI (block_of v), xH)])]) s) with
    | Some K => let quotient := to_map g in
      forallb (fun '(v, q) =>
        (is_there quotient (block_of v) &&
         equal_under K (of_system q) (of_quotient (lookup (X := polynomial) [] quotient (block_of v))))%bool) (numbered s xH)
    | None => false
    end.

End Check.

(* Both systems evaluated at a point: where variables of the quotient are polynomials in those of the system, ... *)
Definition sums_at (m : Z) (s : system) (fm : list (function * list residue_terms)) (g : system) (gm : list (function * list residue_terms))
  (rows : trie residue_terms) (point : positive) : option (trie Z * trie Z) :=
  match evaluated m (drawn_functions m point) (first_symbol s) fm (drawn m point s) with
  | None => None
  | Some z =>
    match evaluated m (drawn_functions m point) (first_symbol g) gm
      (assigned (fun b => b) (fun b => value_mod m (lookup 0%Z z) (lookup (X := residue_terms) [] rows b)) g) with
    | Some w => Some (z, w)
    | None => None
    end
  end.
(* ... and where those of the system are copies of those of the quotient. *)
Definition copies_at (m : Z) (s : system) (fm : list (function * list residue_terms)) (g : system) (gm : list (function * list residue_terms))
  (block_of : positive -> positive) (point : positive) : bool :=
  match evaluated m (drawn_functions m point) (first_symbol g) gm (drawn m point g) with
  | None => false
  | Some w =>
    match evaluated m (drawn_functions m point) (first_symbol s) fm
      (assigned (fun v => v) (fun v => lookup 0%Z w (block_of v)) s) with Some _ => true | None => false end
  end.

Definition modular_rows (m : Z) (row : positive -> polynomial) (g : system) : option (list residue_terms) :=
  every (fun '(b, _) => modular_terms m (row b)) (numbered g xH).

Fixpoint some_point (f : positive -> bool) (points : list positive) : bool :=
  match points with [] => false | point :: points => if f point then true else some_point f points end.
Lemma some_point_exists f points : some_point f points = true -> exists point, f point = true.
Proof. induction points as [|p l IH]; cbn; [easy|]. destruct (f p) eqn:E; [now exists p | exact IH]. Qed.

Definition sums_defined (m : Z) s fs g gs (row : positive -> polynomial) (points : list positive) : bool :=
  match modular_symbols m fs, modular_symbols m gs, modular_rows m row g with
  | Some fm, Some gm, Some rows => let rows := to_map rows in
    (Z.leb least m && some_point (fun point => match sums_at m s fm g gm rows point with Some _ => true | None => false end) points)%bool
  | _, _, _ => false
  end.
Definition copies_defined (m : Z) s fs g gs (block_of : positive -> positive) (points : list positive) : bool :=
  match modular_symbols m fs, modular_symbols m gs with
  | Some fm, Some gm => (Z.leb least m && some_point (copies_at m s fm g gm block_of) points)%bool
  | _, _ => false
  end.

Definition forward_check_of s fs hints p g gs quotient_hints m points : bool :=
  let block_of := lookup xH (to_map p) in
  let quotient := to_map g in
  let own := block_sums block_of (map (fun '(v, _) => (v, variable v)) (numbered s xH)) in
  let totals := block_sums block_of (numbered s xH) in
  (forallb (fun '(v, _) => is_there quotient (block_of v)) (numbered s xH) &&
   sums_check s fs hints g gs quotient_hints (lookup (X := polynomial) [] own) (lookup (X := polynomial) [] totals) &&
   sums_defined m s fs g gs (lookup (X := polynomial) [] own) points)%bool.

Definition backward_check_of s fs hints p g gs quotient_hints m points : bool :=
  let block_of := lookup xH (to_map p) in
  (copies_check s fs hints g gs quotient_hints block_of && copies_defined m s fs g gs block_of points)%bool.

Definition linear_check_of s fs hints rows g gs quotient_hints m points : bool :=
  let row_of := lookup [] (to_map rows) in
  let row k := row_polynomial (row_of k) in
  (sums_check s fs hints g gs quotient_hints row (fun k => combined s (row_of k)) &&
   sums_defined m s fs g gs row points)%bool.

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
      + exact (entry_has_value xI w _ gs quotient_hints (fun v => eq_refl) W k f u h H).
      + exact (entry_has_value xO z _ fs hints (fun v => eq_refl) Z k f u h H).
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

(* ------------------------------------------------------------------ Where both systems are defined. *)

Section Points.
  Variable m : Z.
  Hypothesis m_large : (least <= m)%Z.
  Context {A : algebra} (R : residues_in m A).

  Lemma below_first s v : In v (variables s) -> (v < first_symbol s)%positive.
  Proof. intros V. apply in_variables in V. unfold first_symbol. lia. Qed.

  Lemma stands_zero : R (0%A : A) 0%Z.
  Proof.
    apply (stands_eq R) with (3 := stands_scalar m A R _ _ (reduces_integer m 0)); [apply scalar_zero | exists 0%Z; ring].
  Qed.
  Lemma stands_integer n : R (number_of n) n.
  Proof. apply (stands_scalar m A R), reduces_integer. Qed.

  (* Values of variables that have residues are continued to a state. *)
  Lemma evaluated_at chance s fs fm (f : positive -> A) f' t : Forall2 (modular_symbol m) fs fm ->
    evaluated m chance (first_symbol s) fm (assigned (fun v => v) f' s) = Some t ->
    (forall v, In v (variables s) -> R (f v) (f' v)) ->
    exists x, (forall v, In v (variables s) -> x v = f v) /\ has_residues m R x t /\ state_of (sample R chance) s fs x.
  Proof.
    intros S E F. pose (x0 := fun v => if in_dec Pos.eq_dec v (variables s) then f v else zero).
    destruct (get_assigned (fun v => v) f' s (fun _ _ e => e)) as [G N].
    assert (H : has_residues m R x0 (assigned (fun v => v) f' s)).
    { intros v. unfold x0, lookup. destruct (in_dec Pos.eq_dec v (variables s)) as [V|V].
      - rewrite (G v V). now apply F.
      - destruct (get v _) as [y|] eqn:Y; [|apply stands_zero]. apply N in Y as (w & W & -> & _). easy. }
    destruct (evaluated_state m m_large R chance fs fm S (length s) _ t x0 E H) as (x & B & T & V). exists x.
    split; [|now split]. intros v I. rewrite (B v (below_first s v I)). unfold x0.
    now destruct (in_dec Pos.eq_dec v (variables s)).
  Qed.

  Lemma modular_rows_of row g rows b : modular_rows m row g = Some rows -> In b (variables g) ->
    modular_of m (row b) (lookup (X := residue_terms) [] (to_map rows) b).
  Proof.
    unfold modular_rows. rewrite numbered_variables. intros E B. apply every_spec in E. rewrite lookup_to_map.
    unfold item. unfold variables in *. apply in_map_iff in B as (n & <- & I). apply in_seq in I.
    rewrite SuccNat2Pos.id_succ. cbn [pred]. rewrite map_map in E.
    assert (H : forall l k from, Forall2 (fun x y => (let '(b, _) := x in modular_terms m (row b)) = Some y)
      (map (fun k => (Pos.of_succ_nat k, equation g (Pos.of_succ_nat k))) (seq from k)) l ->
      forall i, (i < k)%nat -> modular_of m (row (Pos.of_succ_nat (from + i))) (nth i l [])).
    { clear - m_large. intros l k from. revert l. revert from. induction k as [|k IH]; intros from l F i L; [lia|].
      cbn [seq map] in F. inversion F as [|? ? ? ? E F']; subst. destruct i as [|i]; cbn [nth].
      - rewrite Nat.add_0_r. now apply (modular_terms_of m m_large).
      - replace (from + S i)%nat with (S from + i)%nat by lia. apply IH; [exact F' | lia]. }
    apply (H rows (length g) 0%nat); [exact E | lia].
  Qed.

  Theorem sums_at_state s fs fm g gs gm row rows point tz tw (f : positive -> A) :
    Forall2 (modular_symbol m) fs fm -> Forall2 (modular_symbol m) gs gm -> modular_rows m row g = Some rows ->
    sums_at m s fm g gm (to_map rows) point = Some (tz, tw) ->
    (forall v, In v (variables s) -> R (f v) (draw m point (xO v))) ->
    exists z w, (forall v, In v (variables s) -> z v = f v) /\ has_residues m R z tz /\
      state_of (sample R (drawn_functions m point)) s fs z /\ state_of (sample R (drawn_functions m point)) g gs w /\
      forall b, In b (variables g) -> w b = eval z (row b).
  Proof.
    intros S G Rows E F. unfold sums_at in E. destruct (evaluated m _ _ fm _) as [z'|] eqn:Ez; [|easy].
    destruct (evaluated m _ _ gm _) as [w'|] eqn:Ew; [|easy]. injection E as -> ->.
    destruct (evaluated_at _ s fs fm f _ tz S Ez F) as (z & Z & T & Sz).
    destruct (evaluated_at _ g gs gm (fun b => eval z (row b)) _ tw G Ew) as (w & W & _ & Sw).
    { intros b B. apply (stands_eval m m_large R z (lookup 0%Z tz) _ _ T). now apply modular_rows_of with g. }
    exists z, w. auto.
  Qed.

  Lemma copies_at_state s fs fm g gs gm block_of point :
    Forall2 (modular_symbol m) fs fm -> Forall2 (modular_symbol m) gs gm -> copies_at m s fm g gm block_of point = true ->
    exists z w : positive -> A, state_of (sample R (drawn_functions m point)) s fs z /\
      state_of (sample R (drawn_functions m point)) g gs w /\ forall v, In v (variables s) -> z v = w (block_of v).
  Proof.
    intros S G E. unfold copies_at in E. destruct (evaluated m _ _ gm _) as [tw|] eqn:Ew; [|easy].
    destruct (evaluated m _ _ fm _) as [tz|] eqn:Ez; [|easy].
    destruct (evaluated_at _ g gs gm (fun v => number_of (draw m point (xO v))) _ tw G Ew) as (w & _ & T & Sw).
    { intros v _. apply stands_integer. }
    destruct (evaluated_at _ s fs fm (fun v => w (block_of v)) _ tz S Ez) as (z & Z & _ & Sz).
    { intros v _. apply T. }
    exists z, w. auto.
  Qed.
End Points.

Lemma sums_are_defined m s fs g gs row points : sums_defined m s fs g gs row points = true ->
  defined_somewhere s fs g gs (fun z w => forall b, In b (variables g) -> w b == eval z (row b)).
Proof.
  unfold sums_defined. destruct (modular_symbols m fs) as [fm|] eqn:S; [|easy].
  destruct (modular_symbols m gs) as [gm|] eqn:G; [|easy]. destruct (modular_rows m row g) as [rows|] eqn:Rows; [|easy].
  intros H. apply andb_prop in H as [L H]. apply Z.leb_le in L. apply some_point_exists in H as [point H].
  destruct (sums_at m s fm g gm (to_map rows) point) as [[tz tw]|] eqn:E; [|easy].
  apply modular_symbols_of in S, G; trivial.
  destruct (sums_at_state m L (residues_of_rationals m L) s fs fm g gs gm row rows point tz tw
    (fun v => number_of (draw m point (xO v))) S G Rows E) as (z & w & _ & _ & Z & W & T).
  { intros v _. apply stands_integer. }
  exists (sample (residues_of_rationals m L) (drawn_functions m point)), z, w. split; [exact Z|]. split; [exact W|]. intros b B. now rewrite T.
Qed.

Lemma copies_are_defined m s fs g gs block_of points : copies_defined m s fs g gs block_of points = true ->
  defined_somewhere s fs g gs (fun z w => forall v, In v (variables s) -> z v == w (block_of v)).
Proof.
  unfold copies_defined. destruct (modular_symbols m fs) as [fm|] eqn:S; [|easy].
  destruct (modular_symbols m gs) as [gm|] eqn:G; [|easy].
  intros H. apply andb_prop in H as [L H]. apply Z.leb_le in L. apply some_point_exists in H as [point H].
  apply modular_symbols_of in S, G; trivial.
  destruct (copies_at_state m L (residues_of_rationals m L) s fs fm g gs gm block_of point S G H) as (z & w & Z & W & T).
  exists (sample (residues_of_rationals m L) (drawn_functions m point)), z, w. split; [exact Z|]. split; [exact W|]. intros v V. now rewrite T.
Qed.

Lemma defined_with s fs g gs (tied tied' : state -> state -> Prop) : (forall z w, tied z w -> tied' z w) ->
  defined_somewhere s fs g gs tied -> defined_somewhere s fs g gs tied'.
Proof. intros H (F & z & w & Z & W & T). exists F, z, w. auto. Qed.

Theorem forward_correct_of s fs hints p g gs quotient_hints m points :
  forward_check_of s fs hints p g gs quotient_hints m points = true -> forward_lumping_of s fs (listed p) g gs.
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

Theorem backward_correct_of s fs hints p g gs quotient_hints m points :
  backward_check_of s fs hints p g gs quotient_hints m points = true -> backward_lumping_of s fs (listed p) g gs.
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

Theorem linear_correct_of s fs hints rows g gs quotient_hints m points :
  linear_check_of s fs hints rows g gs quotient_hints m points = true -> linear_lumping_of s fs rows g gs.
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
