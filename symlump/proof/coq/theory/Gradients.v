(* Why a linear lumping of a system with functions is the smallest: gradients at points, modulo a number.

   Whoever keeps the observables has them as combinations of rows. If r is one, then r·q is a function of the rows, so its
   gradient is a combination of them, at every point and whatever the functions are. As many gradients as the lumping has
   rows, independent modulo a number, leave no room for fewer. *)

From Coq Require Import QArith List Lia Setoid ZArith.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Compose Residue Modular Smallest.
From Symlump Require Import Functions Chance Sample Square Jets Slopes Coarsest.
Import ListNotations.
Local Open Scope Q_scope.

(* The number of a vector, and a point. *)
Definition gradient_steps := list (positive * positive).

Section Check.
  Variables (m : Z) (s : system) (sm : list residue_terms) (fm : list (function * list residue_terms)).
  Variables (g : system) (gm : list (function * list residue_terms)) (rows : trie residue_terms).

  Fixpoint gradients (steps : gradient_steps) (found : trie (trie Z)) (next : positive) : option (list (trie Z)) :=
    match steps with
    | [] => Some []
    | (parent, point) :: steps =>
      match sums_at m s fm g gm rows point with
      | None => None
      | Some (z, _) =>
        let new := gradient_mod m (drawn_functions m point) (lookup 0%Z z) (first_symbol s) sm fm (lookup Empty found parent) in
        option_map (cons new) (gradients steps (put next new found) (Pos.succ next))
      end
    end.
End Check.

Definition modular_row (m : Z) (r : row) : option (trie Z) :=
  option_map (fun l => add_slopes m l Empty) (every (fun '(q, v) => option_map (fun z => (z, v)) (residue m q)) r).

Definition vector_residues (s : system) (t : trie Z) : residues :=
  filter (fun '(_, z) => negb (Z.eqb z 0)) (map (fun '(u, _) => (u, lookup 0%Z t u)) (numbered s xH)).

Definition in_variables_check (s : system) (l : list row) : bool :=
  forallb (forallb (fun '(_, v) => Pos.ltb v (first_symbol s))) l.

Definition nothing_smaller_check (m : Z) (s : system) (fs : symbols) (g : system) (gs : symbols)
  (rows observables carried : list row) (start : list positive) (steps : gradient_steps) : bool :=
  let first := map (lookup (X := row) [] (to_map observables)) start in
  let row_of := lookup (X := row) [] (to_map rows) in
  match every (modular_terms m) s, modular_symbols m fs, modular_symbols m gs,
    modular_rows m (fun k => row_polynomial (row_of k)) g, every (modular_row m) first with
  | Some sm, Some fm, Some gm, Some rows_m, Some first_m =>
    (Z.leb least m && Nat.eqb (length rows) (length g) && in_variables_check s rows && in_variables_check s first &&
     forallb (before (last_symbol s fm)) sm && carried_check rows observables carried &&
     match gradients m s sm fm g gm (to_map rows_m) steps (to_map first_m) (Pos.of_nat (S (length first_m))) with
     | Some more => let vectors := map (vector_residues s) (first_m ++ more) in
       Nat.eqb (length vectors) (length rows) &&
       match independence_check (length s) m vectors with Some _ => true | None => false end
     | None => false
     end)%bool
  | _, _, _, _, _ => false
  end.

(* ------------------------------------------------------------------ What the check means. *)

Lemma in_variables_checked s l : in_variables_check s l = true -> in_variables_of s l.
Proof.
  unfold in_variables_check. rewrite forallb_forall. intros H r w v R W. specialize (H r R).
  rewrite forallb_forall in H. specialize (H (w, v) W). cbn in H. apply Pos.ltb_lt in H.
  apply in_variables. unfold first_symbol in H. lia.
Qed.

(* The row whose entries are c. *)
Definition row_of (s : system) (c : positive -> Q) : row := map (fun u => (c u, u)) (variables s).
Lemma combination_row_of s c (d : state) : combination (row_of s c) d == sumq (fun u => c u * d u) (variables s).
Proof. unfold row_of. induction (variables s) as [|v l IH]; [reflexivity|]. cbn [map combination sum_over]. now rewrite IH. Qed.

Lemma implied_same M (r q : row) : (forall d : state, combination r d == combination q d) -> implied M r -> implied M q.
Proof. intros E I d D. rewrite <- E. now apply I. Qed.

Section Meaning.
  Variables (m : Z) (s : system) (fs : symbols) (sm : list residue_terms) (fm : list (function * list residue_terms)).
  Hypothesis large : (least <= m)%Z.
  Hypothesis system_modular : every (modular_terms m) s = Some sm.
  Hypothesis symbols_modular : modular_symbols m fs = Some fm.
  Hypothesis scope : forallb (before (last_symbol s fm)) sm = true.

  (* In every direction that M does not see, M does not see what becomes of the right-hand sides. *)
  Definition balanced (x : positive -> jets) (M : list row) : Prop := forall d : state, annihilated M d ->
    forall k, (combinations M (field s (fun v => along d (x v))) k ==
      combinations M (field s (fun v => along (fun _ => 0%Q) (x v))) k)%A.

  Lemma combination_along point (x : positive -> jets) M k (d f : state) : in_variables_of s M ->
    (forall v, In v (variables s) -> x v = at_variables m point v) -> annihilated M d ->
    slope_along f (combinations M (fun v => along d (x v)) k) == 0.
  Proof.
    intros I X D. unfold combinations. rewrite slope_combination. destruct (item_in [] M k) as [K|K]; [|now rewrite K].
    rewrite <- (Qmult_0_r (f xH)), <- (D _ K), <- combination_scale. apply (combination_at (A := rationals)). intros w v W.
    change (slope_along f (along d (x v)) == f xH * d v). rewrite (X v (I _ w v K W)).
    unfold slope_along at 1. cbn [snd along]. rewrite combination_one, slope_variable. apply Qmult_comm.
  Qed.

  Lemma annihilated_zero M : annihilated M (fun _ => 0 : rationals).
  Proof. intros r _. apply combination_zero. Qed.

  Lemma invariant_balanced point x M : in_variables_of s M -> invariant_of s fs M ->
    state_of (sample (residues_of_jets m large) (drawn_functions m point)) s fs x -> (forall v, In v (variables s) -> x v = at_variables m point v) ->
    balanced x M.
  Proof.
    intros I Inv S X d D. apply (Inv jets (sample (residues_of_jets m large) (drawn_functions m point))); try (apply along_state; exact S).
    intros k. split; [unfold combinations; now rewrite !fst_combination|]. intros f.
    etransitivity; [exact (combination_along point x M k d f I X D)|]. symmetry.
    exact (combination_along point x M k _ f I X (annihilated_zero M)).
  Qed.

  Lemma lumping_balanced point x w rows g gs : in_variables_of s rows -> length rows = length g ->
    linear_lumping_of s fs rows g gs -> state_of (sample (residues_of_jets m large) (drawn_functions m point)) s fs x ->
    state_of (sample (residues_of_jets m large) (drawn_functions m point)) g gs w -> (forall v, In v (variables s) -> x v = at_variables m point v) ->
    weighted rows g x w -> balanced x rows.
  Proof.
    intros I L [_ H] S W X T d D k. pose (w' := fun b => along (fun _ => 0%Q) (w b)).
    assert (Tied : forall d, annihilated rows d -> weighted rows g (fun v => along d (x v)) w').
    { intros d' D' b B. split.
      - unfold w'. cbn [fst along]. destruct (T b B) as [E _]. rewrite E. unfold combinations. now rewrite !fst_combination.
      - intros f. transitivity 0; [|symmetry; exact (combination_along point x rows b d' f I X D')].
        unfold w'. cbn [snd along]. rewrite combination_one, no_slope. ring. }
    destruct (in_dec Pos.eq_dec k (variables g)) as [K|K].
    - assert (At : forall d, annihilated rows d -> (field g w' k == combinations rows (field s (fun v => along d (x v))) k)%A).
      { intros d' D'. apply (H jets (sample (residues_of_jets m large) (drawn_functions m point))); trivial; try (apply along_state; assumption).
        now apply Tied. }
      rewrite <- (At d D). apply At. apply annihilated_zero.
    - unfold combinations, item. rewrite nth_overflow; [reflexivity|]. rewrite in_variables in K. lia.
  Qed.

  Definition stands_for (M : list row) (t : trie Z) (c : positive -> Q) : Prop :=
    (forall u, reduces m (c u) (lookup 0%Z t u)) /\ implied M (row_of s c).

  (* The gradient is the same for all who keep what the vector stands for. *)
  Lemma implied_gradient x M (c c' : positive -> Q) : balanced x M -> implied M (row_of s c) ->
    (forall d : state, sumq (fun u => c' u * d u) (variables s) ==
      sumq (fun u => c u * slope_along d (eval x (equation s u))) (variables s)) -> implied M (row_of s c').
  Proof.
    intros B I G d D. rewrite combination_row_of, G, <- (combination_row_of s c (fun u => slope_along d (eval x (equation s u)))).
    pose (e := fun d u => slope_along ones (field s (fun v => along d (x v)) u)).
    assert (Ee : forall d u, e d u == slope_along d (eval x (equation s u))) by (intros; apply slope_field).
    assert (Ag : agree M (e d : state) (e (fun _ => 0) : state)).
    { intros k. pose proof (slope_eq ones _ _ (B d D k)) as H. unfold combinations in H. now rewrite !slope_combination in H. }
    apply agree_annihilated, I in Ag. rewrite <- Ag. apply (combination_ext (A := rationals)). intros u.
    change (slope_along d (eval x (equation s u)) == -1 * e (fun _ => 0) u + e d u). rewrite !Ee, no_slope. ring.
  Qed.

  Lemma modular_row_matches r t : modular_row m r = Some t -> matches m r t.
  Proof.
    unfold modular_row. destruct (every _ r) as [l|] eqn:E; [|easy]. intros [= <-].
    apply (matches_add m large [] Empty r l); [intros v; exact (reduces_integer m 0)|].
    apply every_spec in E. induction E as [|[q v] [z u] r l E _ IH]; constructor; [|exact IH].
    unfold option_map in E. destruct (residue m q) as [y|] eqn:Y; [|easy]. injection E as -> <-.
    split; [reflexivity|]. now apply (residue_reduces m (at_least_two m large)).
  Qed.

  Lemma represents_vector c t : (forall u, reduces m (c u) (lookup 0%Z t u)) ->
    represents m (row_of s c) (vector_residues s t).
  Proof.
    intros H x y XY. unfold row_of, vector_residues. rewrite numbered_variables, map_map.
    induction (variables s) as [|u l IH]; [exact (reduces_integer m 0)|].
    cbn [map filter combination]. pose proof (reduces_mul m _ _ _ _ (H u) (XY u)) as E.
    destruct (Z.eqb_spec (lookup 0%Z t u) 0) as [Z|_]; cbn [negb dot].
    - rewrite Z, Z.mul_0_l in E. exact (reduces_add m _ _ 0 _ E IH).
    - exact (reduces_add m _ _ _ _ E IH).
  Qed.

  Variables (g : system) (gs : symbols) (gm : list (function * list residue_terms)) (rows M : list row) (rows_m : list residue_terms).
  Hypothesis quotient_modular : modular_symbols m gs = Some gm.
  Hypothesis rows_modular :
    modular_rows m (fun k => row_polynomial (lookup (X := row) [] (to_map rows) k)) g = Some rows_m.
  Hypothesis as_many : length rows = length g.
  Hypothesis rows_in_variables : in_variables_of s rows.
  Hypothesis lumping : linear_lumping_of s fs rows g gs.
  Hypothesis M_in_variables : in_variables_of s M.
  Hypothesis M_invariant : invariant_of s fs M.

  Definition kept (t : trie Z) : Prop := exists c, stands_for rows t c /\ implied M (row_of s c).

  Lemma kept_gradient point tz tw t : sums_at m s fm g gm (to_map rows_m) point = Some (tz, tw) -> kept t ->
    kept (gradient_mod m (drawn_functions m point) (lookup 0%Z tz) (first_symbol s) sm fm t).
  Proof.
    intros E (c & [C I] & IM). assert (S := functions_modular m fs fm large symbols_modular).
    assert (G := functions_modular m gs gm large quotient_modular).
    destruct (sums_at_state m large (residues_of_jets m large) s fs fm g gs gm _ rows_m point tz tw (at_variables m point) S G
      rows_modular E) as (x & w & X & T & Sx & Sw & W); [intros v _; apply stands_variable|].
    assert (Ev : exists start, evaluated m (drawn_functions m point) (first_symbol s) fm start = Some tz).
    { unfold sums_at in E. destruct (evaluated m _ _ fm _) as [z|] eqn:Ez; [|easy].
      destruct (evaluated m _ _ gm _); [|easy]. injection E as -> _. eexists. exact Ez. }
    destruct Ev as [start Ev].
    destruct (gradient_meaning m large s fs sm fm point start tz x (equations_modular m s sm large system_modular) S Ev T Sx X scope c t C)
      as (c' & C' & G').
    assert (Tied : weighted rows g x w).
    { intros b B. rewrite (W b B), eval_row_polynomial, lookup_to_map. reflexivity. }
    exists c'. split; [split; [exact C'|]|].
    - apply implied_gradient with x c; trivial. now apply lumping_balanced with point w g gs.
    - apply implied_gradient with x c; trivial. now apply invariant_balanced with point.
  Qed.

  Lemma kept_gradients steps : forall found next more, (forall k t, get k found = Some t -> kept t) ->
    gradients m s sm fm g gm (to_map rows_m) steps found next = Some more -> forall t, In t more -> kept t.
  Proof.
    induction steps as [|[parent point] steps IH]; intros found next more F E t I; cbn [gradients] in E.
    - injection E as <-. easy.
    - destruct (sums_at _ _ _ _ _ _ _) as [[tz tw]|] eqn:P; [|easy]. cbv zeta in E.
      set (new := gradient_mod _ _ _ _ _ _ _) in *.
      assert (New : kept new).
      { apply kept_gradient with tw; [exact P|]. unfold lookup. destruct (get parent found) as [v|] eqn:V; [now apply F with parent|].
        exists (fun _ => 0). assert (Z : forall d : state, combination (row_of s (fun _ => 0)) d == 0).
        { intros d. rewrite combination_row_of, (sumq_ext _ (fun _ => 0)); [apply (sum_over_zero (A := rationals))|].
          intros u _. ring. }
        repeat split; try (intros d _; apply Z). intros u. exact (reduces_integer m 0). }
      destruct (gradients _ _ _ _ _ _ _ _ _ _) as [rest|] eqn:R; [|easy]. injection E as <-.
      destruct I as [<-|I]; [exact New|]. eapply IH; [|exact R | exact I].
      intros k v. rewrite get_put. destruct (Pos.eqb_spec k next); [intros [= <-]; exact New | apply F].
  Qed.
End Meaning.

(* A derivation starts with observables. *)
Lemma implied_start M observables start : determines M observables ->
  forall r, In r (map (lookup (X := row) [] (to_map observables)) start) -> implied M r.
Proof.
  intros D r R. apply in_map_iff in R as (k & <- & _). rewrite lookup_to_map.
  destruct (item_in [] observables k) as [I|E].
  - apply (proj1 (determines_implied M observables) D). exact I.
  - intros d _. rewrite E. reflexivity.
Qed.

Theorem nothing_smaller_correct m s fs g gs rows observables carried start steps :
  linear_lumping_of s fs rows g gs ->
  nothing_smaller_check m s fs g gs rows observables carried start steps = true -> nothing_smaller s fs observables rows.
Proof.
  intros Lumps. unfold nothing_smaller_check. cbv zeta. set (first := map _ start).
  destruct (every (modular_terms m) s) as [sm|] eqn:Sm; [|easy].
  destruct (modular_symbols m fs) as [fm|] eqn:Fm; [|easy]. destruct (modular_symbols m gs) as [gm|] eqn:Gm; [|easy].
  destruct (modular_rows m _ g) as [rows_m|] eqn:Rm; [|easy]. destruct (every (modular_row m) first) as [first_m|] eqn:First; [|easy].
  intros C. apply andb_prop in C as [C D]. apply andb_prop in C as [C Carried]. apply andb_prop in C as [C Scope].
  apply andb_prop in C as [C FirstIn]. apply andb_prop in C as [C RowsIn]. apply andb_prop in C as [Large AsMany].
  apply Z.leb_le in Large. apply Nat.eqb_eq in AsMany. apply in_variables_checked in FirstIn, RowsIn.
  destruct (gradients _ _ _ _ _ _ _ _ _ _) as [more|] eqn:More; [|easy]. apply andb_prop in D as [Len Ind].
  apply Nat.eqb_eq in Len. destruct (independence_check _ _ _) as [pivots|] eqn:Pivots; [|easy].
  assert (RowsDetermine : determines rows observables) by (apply determines_implied; now apply carried_implied with carried).
  split; [exact RowsDetermine|]. intros M MV MI MD.
  assert (FirstKept : forall t, In t first_m -> kept m s rows M t).
  { intros t T. apply every_spec in First.
    assert (E : exists r, In r first /\ modular_row m r = Some t).
    { clear - First T. induction First as [|r u l k E _ IH]; [easy|]. destruct T as [<-|T]; [exists r; split; [now left | exact E]|].
      destruct (IH T) as (q & Q & F). exists q. split; [now right | exact F]. }
    destruct E as (r & Rin & E). apply (modular_row_matches m Large) in E.
    exists (fun u => combination r (unit_state u : state)).
    assert (Same : forall d : state, combination r d == combination (row_of s (fun u => combination r (unit_state u : state))) d).
    { intros d. rewrite combination_row_of. symmetry. apply combination_units; [apply variables_distinct|]. intros w v W.
      exact (FirstIn r w v Rin W). }
    split; [split; [exact E|]|]; apply implied_same with (1 := Same); now apply implied_start with observables start. }
  apply spanned_by with (length s) m (map (vector_residues s) (first_m ++ more)) pivots; trivial.
  intros a A. apply in_map_iff in A as (t & <- & T).
  assert (K : kept m s rows M t).
  { apply in_app_iff in T as [T|T]; [now apply FirstKept|].
    apply (kept_gradients m s fs sm fm Large Sm Fm Scope g gs gm rows M rows_m Gm Rm AsMany RowsIn Lumps MV MI steps) with (2 := More); [|exact T].
    intros k v G. rewrite get_to_map in G. apply nth_error_In in G. now apply FirstKept. }
  destruct K as (c & [Cc I] & IM). exists (row_of s c). split; [now apply represents_vector|]. now split.
Qed.
