(* Gradients of systems with functions, modulo a number, in one pass back from the last symbol to the first.

   A vector stands for a combination of the equations. Its gradient is gathered by symbols; then each symbol, the last
   first, is replaced by what its derivative is made from, until only variables are left. *)

From Coq Require Import QArith List Lia Setoid ZArith.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Residue Smallest Functions Chance Sample Square Jets.
Import ListNotations.
Local Open Scope Q_scope.

Section Modulo.
  Variable m : Z.

  Definition add_slopes (l : list (Z * positive)) (t : trie Z) : trie Z :=
    fold_left (fun t '(z, v) => update (fun old => match old with Some y => add_mod m y z | None => z end) v t) l t.

  Fixpoint gathered (z : positive -> Z) (vector : trie Z) (equations : list (positive * residue_terms)) (t : trie Z) : trie Z :=
    match equations with
    | [] => t
    | (u, q) :: equations => gathered z vector equations
      match lookup 0%Z vector u with Z0 => t | w => add_slopes (slopes (mul_mod m) (number_mod m) z w q) t end
    end.

  Definition slopes_mod (chance : positive -> Z) (f : function) (a : list Z) : list Z :=
    map (number_mod m) (slopes_of m chance f a).

  Fixpoint unfolded (chance : positive -> Z) (z : positive -> Z) (l : list (positive * (function * list residue_terms)))
    (t : trie Z) : trie Z :=
    match l with
    | [] => t
    | (k, (f, u)) :: l => unfolded chance z l
      (add_slopes (symbol_slopes (mul_mod m) (number_mod m) z (lookup 0%Z t k) k f (slopes_mod chance f (residues_at m z u)) u)
        (put k 0%Z t))
    end.

  Definition gradient_mod (chance : positive -> Z) (z : positive -> Z) (first : positive) (sm : list residue_terms)
    (fm : list (function * list residue_terms)) (vector : trie Z) : trie Z :=
    unfolded chance z (rev (numbered fm first)) (gathered z vector (numbered sm xH) Empty).
End Modulo.

(* ------------------------------------------------------------------ What residues of a row by its entries say. *)

(* The elements of [rationals] are rationals. *)
Ltac qring := match goal with |- ?a == ?b => apply (proj1 (Qplus_inj_r a b 0)); cbn [add mul scalar zero rationals]; ring end.

Lemma combination_at {A : algebra} (r : row) (x y : positive -> A) :
  (forall w v, In (w, v) r -> (x v == y v)%A) -> (combination r x == combination r y)%A.
Proof.
  induction r as [|[w v] r IH]; intros H; cbn [combination]; [reflexivity|].
  rewrite IH by (intros; eapply H; right; eauto). rewrite (H w v) by now left. reflexivity.
Qed.

Lemma unit_here v : unit_state v v = 1.
Proof. unfold unit_state. now rewrite Pos.eqb_refl. Qed.

Definition dropped (k : positive) (r : row) : row := filter (fun '(_, v) => negb (Pos.eqb k v)) r.

Lemma combination_dropped k (r : row) (d : state) :
  combination r d == combination (dropped k r) d + combination r (unit_state k : state) * d k.
Proof.
  induction r as [|[w v] r IH]; [cbn [dropped filter]; rewrite !combination_none; qring|].
  cbn [dropped filter combination]. cbn [add mul scalar rationals]. rewrite IH. unfold unit_state at 2.
  destruct (Pos.eqb_spec k v) as [->|D]; cbn [negb combination]; cbn [add mul scalar rationals]; unfold dropped; qring.
Qed.

Lemma combination_units (r : row) (d : state) l : NoDup l -> (forall w v, In (w, v) r -> In v l) ->
  sumq (fun u => combination r (unit_state u : state) * d u) l == combination r d.
Proof.
  intros N. induction r as [|[w v] r IH]; intros I.
  - rewrite (sumq_ext _ (fun _ => 0)); [apply (sum_over_zero (A := rationals))|]. intros u _. rewrite combination_none. qring.
  - cbn [combination]. cbn [add mul scalar rationals]. rewrite <- IH by (intros; eapply I; right; eauto).
    rewrite <- (sumq_single v (fun u => w * d u) l N) by (eapply I; now left). rewrite <- sumq_add. apply sumq_ext.
    intros u _. unfold unit_state at 1. rewrite Pos.eqb_sym. destruct (Pos.eqb v u); qring.
Qed.

Section Meaning.
  Variable m : Z.
  Hypothesis m_large : (least <= m)%Z.
  Notation add_m := (add_mod m).
  Notation mul_m := (mul_mod m).
  Notation number_m := (number_mod m).
  Notation reduces := (reduces m).

  Lemma reduces_add_mod p q y z : reduces p y -> reduces q z -> reduces (p + q) (add_m y z).
  Proof. exact (stands_add_mod m (residues_of_rationals m m_large) p q y z). Qed.
  Lemma reduces_mul_mod p q y z : reduces p y -> reduces q z -> reduces (p * q) (mul_m y z).
  Proof. exact (stands_mul_mod m m_large (residues_of_rationals m m_large) p q y z). Qed.
  Lemma reduces_number n : reduces (inject_Z n) (number_m n).
  Proof. exact (stands_number m m_large (residues_of_rationals m m_large) n). Qed.
  Hint Resolve reduces_add_mod reduces_mul_mod reduces_number : core.

  Definition matches (r : row) (t : trie Z) : Prop := forall v, reduces (combination r (unit_state v : state)) (lookup 0%Z t v).

  Lemma reduces_same p q z : p == q -> reduces p z -> reduces q z.
  Proof. intros E. apply (reduces_eq m); [exact E | exists 0%Z; ring]. Qed.

  Lemma matches_add r t new l : matches r t -> same_rows reduces new l -> matches (r ++ new) (add_slopes m l t).
  Proof.
    intros M S. revert r t M. induction S as [|[w v] [z u] new l [E W] _ IH]; intros r t M; [now rewrite app_nil_r|].
    cbn [fst snd] in E, W. subst u. cbn [add_slopes fold_left].
    replace (r ++ (w, v) :: new) with ((r ++ [(w, v)]) ++ new) by now rewrite <- app_assoc. apply IH. clear - M W m_large.
    intros u. unfold lookup. rewrite get_update. specialize (M u). unfold lookup in M.
    apply reduces_same with (combination r (unit_state u : state) + w * unit_state u v);
      [now rewrite combination_app, combination_one|].
    unfold unit_state at 2. destruct (Pos.eqb_spec u v) as [->|D].
    - apply reduces_same with (combination r (unit_state v : state) + w); [qring|]. destruct (get v t); [auto|].
      apply (reduces_eq m) with (3 := reduces_add m _ _ _ _ M W); [reflexivity | exists 0%Z; ring].
    - apply reduces_same with (2 := M). qring.
  Qed.

  Lemma matches_nothing r t new : matches r t -> Forall (fun a => reduces (fst a) 0) new -> matches (r ++ new) t.
  Proof.
    intros M Z u. apply reduces_same with (combination r (unit_state u : state) + combination new (unit_state u : state));
      [now rewrite combination_app|].
    assert (N : reduces (combination new (unit_state u : state)) 0).
    { clear - Z m_large. induction Z as [|[w v] new W _ IH]; [exact (reduces_integer m 0)|]. cbn [fst] in W. cbn [combination].
      apply (reduces_add m (w * unit_state u v) _ 0 0); [|exact IH]. unfold unit_state.
      destruct (Pos.eqb u v); [apply reduces_same with (2 := W) | apply reduces_same with (2 := reduces_integer m 0)]; cbn; qring. }
    apply (reduces_eq m) with (3 := reduces_add m _ _ _ _ (M u) N); [reflexivity | exists 0%Z; ring].
  Qed.

  Lemma matches_dropped r t k : matches r t -> matches (dropped k r) (put k 0%Z t).
  Proof.
    intros M v. pose proof (combination_dropped k r (unit_state v : state)) as E. unfold lookup. rewrite get_put.
    destruct (Pos.eqb_spec v k) as [->|D].
    - rewrite unit_here in E. apply reduces_same with (2 := reduces_integer m 0). set (a := combination r _) in *.
      set (b := combination (dropped k r) _) in *. transitivity (a - a * 1); [cbn; qring | rewrite E at 1; qring].
    - unfold unit_state at 4 in E. rewrite (proj2 (Pos.eqb_neq v k) D) in E.
      apply reduces_same with (2 := M v). rewrite E. qring.
  Qed.

  (* Slopes with a weight that is 0 modulo m are. *)
  Lemma no_slopes (x : positive -> Q) y w p l : (forall v, reduces (x v) (y v)) -> reduces w 0 -> modular_of m p l ->
    Forall (fun a => reduces (fst a) 0) (slopes Qmult inject_Z x w p).
  Proof.
    intros H W S. unfold slopes.
    assert (Zero : forall a b z, reduces a 0 -> reduces b z -> reduces (a * b) 0).
    { intros a b z A B. apply (reduces_eq m) with (3 := reduces_mul m _ _ _ _ A B); [reflexivity | exists 0%Z; ring]. }
    assert (Raised : forall v n, reduces (raised_to Qmult inject_Z (x v) n) (raised_to mul_m number_m (y v) n)).
    { intros v n. apply (R_raised Qmult inject_Z mul_m number_m); auto. }
    induction S as [|[c n] [d k] p l [E C] _ IH]; cbn [flat_map]; [constructor|]. apply Forall_app. split; [|exact IH].
    cbn [fst snd] in E, C. subst k. assert (WC : reduces (w * c) 0) by now apply Zero with d. clear - H WC Zero Raised m_large.
    revert WC. generalize (w * c) as a. induction n as [|[v e] n IHn]; intros a A; cbn [product_slopes snd]; [constructor|].
    cbv zeta. set (b := raised_to Qmult inject_Z (x v) _). assert (Bz := Raised v (pred (Pos.to_nat e))). fold b in Bz.
    assert (Az : reduces (a * (x v * b)) 0) by (eapply Zero; [exact A | eapply reduces_mul_mod; [apply H | exact Bz]]).
    specialize (IHn (a * (x v * b)) Az).
    destruct (R_product_slopes Qmult inject_Z mul_m number_m reduces) with (x := x) (y := y) (w := a * (x v * b)) (w' := 0%Z) (m := n)
      as [F _]; auto.
    destruct (product_slopes _ _ _ _ n) as [p l']. cbn [fst snd] in *. constructor; [|exact IHn]. cbn [fst].
    eapply Zero; [exact A|]. apply reduces_mul_mod; [apply reduces_number|]. apply reduces_mul_mod; [exact Bz | exact F].
  Qed.

  Section Point.
    Variables (chance : positive -> Z) (x : positive -> jets) (z : positive -> Z).
    Hypothesis point : forall v, reduces (fst (x v)) (z v).
    Notation at_x := (at_point x).
    Notation functions := (sample (residues_of_jets m m_large) chance).

    Definition has_slopes (f : function) (u : list residue_terms) : Prop :=
      exists a, value_of m chance f (residues_at m z u) = Some a.
    Lemma same_slopes f p u : Forall2 (modular_of m) p u -> has_slopes f u ->
      Forall2 reduces (function_slopes x m chance f p) (slopes_mod m chance f (residues_at m z u)).
    Proof.
      intros H [a V]. unfold function_slopes, slopes_mod, residues_at in *. rewrite <- (map_map (value_mod m z) (fun y => (y mod m)%Z)) in *.
      apply (reduces_slopes m m_large) with a; [|exact V].
      clear V. induction H as [|q l p u E _ IH]; cbn [map]; constructor; [|exact IH].
      exact (stands_eval m m_large (residues_of_jets m m_large) x z q l point E).
    Qed.

    Definition entries_below (k : positive) (r : row) : Prop := forall w v, In (w, v) r -> (v < k)%positive.

    Lemma below_app k r q : entries_below k r -> entries_below k q -> entries_below k (r ++ q).
    Proof. intros R Q w v I. apply in_app_iff in I as [I|I]; eauto. Qed.

    Lemma below_slopes k w p l : modular_of m p l -> before k l = true -> entries_below k (slopes Qmult inject_Z at_x w p).
    Proof.
      intros S B. unfold slopes. induction S as [|[c n] [d j] p l [E _] _ IH]; [now intros ? ?|]. cbn [fst snd] in E. subst j.
      cbn [before forallb] in B. apply andb_prop in B as [N B]. cbn [flat_map]. apply below_app; [|now apply IH].
      clear - N. generalize (w * c) as a. induction n as [|[v e] n IH]; intros a; [now intros ? ?|]. cbn [forallb] in N.
      apply andb_prop in N as [V N]. apply Pos.ltb_lt in V. cbn [product_slopes]. cbv zeta.
      specialize (IH N (a * (at_x v * raised_to Qmult inject_Z (at_x v) (pred (Pos.to_nat e))))).
      destruct (product_slopes _ _ _ _ n) as [q l']. cbn [snd] in *. intros b u [I|I].
      - injection I as _ <-. exact V.
      - exact (IH b u I).
    Qed.

    Lemma below_symbol k w j f u l : Forall2 (modular_of m) u l -> forallb (before k) l = true ->
      entries_below k (symbol_slopes Qmult inject_Z at_x w j f (function_slopes x m chance f u) u).
    Proof.
      intros S B. rewrite forallb_forall in B.
      assert (C : forall ws, entries_below k (chained Qmult inject_Z at_x ws u)).
      { intros ws. revert ws. induction S as [|p q u l P _ IH]; intros [|b ws]; try now intros ? ?. cbn [chained].
        apply below_app; [|apply IH; intros; apply B; now right]. apply below_slopes with q; [exact P | apply B; now left]. }
      destruct f; cbn [symbol_slopes]; try apply C. destruct S as [|p q u l P _]; [now intros ? ?|].
      apply below_slopes with q; [exact P | apply B; now left].
    Qed.

    (* Symbols from the last to the first: k is f of symbols before it. *)
    Fixpoint descend (first last : positive) (l : list (positive * (function * list residue_terms))) : Prop :=
      match l with
      | [] => last = first
      | (k, (f, u)) :: l => last = Pos.succ k /\ forallb (before k) u = true /\ has_slopes f u /\
        (exists p, Forall2 (modular_of m) p u /\ has_value functions x k f p) /\ descend first k l
      end.

    Lemma descend_snoc first last l f u p : descend (Pos.succ first) last l -> forallb (before first) u = true -> has_slopes f u ->
      Forall2 (modular_of m) p u -> has_value functions x first f p ->
      descend first last (l ++ [(first, (f, u))]).
    Proof.
      intros D B H M V. revert last D. induction l as [|[k [g v]] l IH]; intros last D; cbn [app descend] in *.
      - repeat split; trivial. now exists p.
      - destruct D as (-> & Bk & Hk & E & D). auto 10.
    Qed.

    (* What is put beside values leaves those before it as they are. *)
    Lemma evaluated_keeps fm : forall t n t', evaluated m chance (Pos.of_succ_nat n) fm t = Some t' ->
      forall v, (v < Pos.of_succ_nat n)%positive -> lookup 0%Z t' v = lookup 0%Z t v.
    Proof.
      induction fm as [|[f u] fm IH]; intros t n t' E v V; cbn [evaluated] in E; [now injection E as <-|].
      destruct (forallb _ u); [|easy]. change (Pos.succ (Pos.of_succ_nat n)) with (Pos.of_succ_nat (S n)) in E.
      assert (Step : exists y, evaluated m chance (Pos.of_succ_nat (S n)) fm (put (Pos.of_succ_nat n) y t) = Some t').
      { destruct f; try (destruct (value_of _ _ _ _); [eexists; exact E | easy]).
        destruct (checked_inverse m _); [eexists; exact E | easy]. }
      destruct Step as [y Ey]. rewrite (IH _ _ _ Ey v) by lia. unfold lookup. rewrite get_put.
      destruct (Pos.eqb_spec v (Pos.of_succ_nat n)); [lia | reflexivity].
    Qed.
    Lemma residues_before y k u : forallb (before k) u = true -> (forall v, (v < k)%positive -> z v = y v) ->
      residues_at m z u = residues_at m y u.
    Proof.
      intros B E. unfold residues_at. apply map_ext_in. intros p P. rewrite forallb_forall in B. specialize (B p P). f_equal.
      unfold value_mod. clear P. induction p as [|[c n] p IH]; [reflexivity|]. cbn [before forallb value_at] in *.
      apply andb_prop in B as [N B]. rewrite (IH B). f_equal. f_equal. clear - N E.
      induction n as [|[v e] n IH]; [reflexivity|]. cbn [forallb product_at] in *. apply andb_prop in N as [V N].
      apply Pos.ltb_lt in V. now rewrite (IH N), (E v V).
    Qed.

    Lemma descend_symbols fs fm t t' : Forall2 (modular_symbol m) fs fm -> forall n,
      evaluated m chance (Pos.of_succ_nat n) fm t = Some t' -> (forall v, z v = lookup 0%Z t' v) ->
      (forall j f u, nth_error fs j = Some (f, u) -> has_value functions x (Pos.of_succ_nat (n + j)) f u) ->
      descend (Pos.of_succ_nat n) (Pos.of_succ_nat (n + length fm)) (rev (numbered fm (Pos.of_succ_nat n))).
    Proof.
      intros H. revert t. induction H as [|[f u] [g l] fs fm [E L] _ IH]; intros t n Ev Same V.
      - cbn. now rewrite Nat.add_0_r.
      - cbn [fst snd] in E, L. subst g. cbn [evaluated] in Ev. cbn [numbered rev length].
        destruct (forallb (before (Pos.of_succ_nat n)) l) eqn:B; [|easy].
        assert (Slopes : has_slopes f l).
        { unfold has_slopes. rewrite (residues_before (lookup 0%Z t) (Pos.of_succ_nat n) l B).
          - destruct f; try (destruct (value_of _ _ _ _) as [a|]; [now exists a | easy]). eexists. reflexivity.
          - intros v P. rewrite Same. assert (Ev' := Ev). change (Pos.succ (Pos.of_succ_nat n)) with (Pos.of_succ_nat (S n)) in Ev'.
            apply (evaluated_keeps ((f, l) :: fm) t n t'); [|exact P]. cbn [evaluated]. rewrite B. exact Ev. }
        apply descend_snoc with u; [| exact B | exact Slopes | exact L | specialize (V 0%nat f u eq_refl); now rewrite Nat.add_0_r in V].
        replace (n + S (length fm))%nat with (S n + length fm)%nat by lia.
        change (Pos.succ (Pos.of_succ_nat n)) with (Pos.of_succ_nat (S n)) in *.
        assert (X : exists t0, evaluated m chance (Pos.of_succ_nat (S n)) fm t0 = Some t').
        { destruct f; try (destruct (value_of _ _ _ _); [eexists; exact Ev | easy]).
          destruct (checked_inverse m _); [eexists; exact Ev | easy]. }
        destruct X as [t0 X]. apply (IH t0 (S n) X Same). intros j g w J.
        replace (S n + j)%nat with (n + S j)%nat by lia. now apply V.
    Qed.

    Lemma unfolded_meaning first last l : descend first last l -> forall r t, matches r t -> entries_below last r ->
      exists r', matches r' (unfolded m chance z l t) /\ entries_below first r' /\
        forall d, combination r' (tangent x d) == combination r (tangent x d).
    Proof.
      revert last. induction l as [|[k [f u]] l IH]; intros last D r t M B; cbn [descend unfolded] in *.
      - subst last. exists r. split; [exact M|]. split; [exact B | reflexivity].
      - destruct D as (-> & Bk & Hk & (p & P & V) & D).
        set (w := combination r (unit_state k : state)).
        set (new := symbol_slopes Qmult inject_Z at_x w k f (function_slopes x m chance f p) p).
        destruct (IH k D (dropped k r ++ new)) with (t := add_slopes m
          (symbol_slopes mul_m number_m z (lookup 0%Z t k) k f (slopes_mod m chance f (residues_at m z u)) u) (put k 0%Z t)) as (r' & M' & B' & C).
        + apply matches_add; [now apply matches_dropped|].
          apply (R_symbol_slopes Qmult inject_Z mul_m number_m reduces); auto; [apply M | now apply same_slopes].
        + apply below_app; [|now apply below_symbol with u].
          intros a v I. apply filter_In in I as [I N]. apply B in I.
          destruct (Pos.eqb_spec k v) as [->|N']; [easy | lia].
        + exists r'. split; [exact M'|]. split; [exact B'|]. intros d. rewrite C, combination_app.
          unfold new. rewrite symbol_slopes_mean by exact V. rewrite (combination_dropped k r). reflexivity.
    Qed.

    (* A vector stands for numbers c, one for each equation. *)
    Lemma gathered_meaning last (c : positive -> Q) vector equations qs :
      Forall2 (fun a b => fst a = fst b /\ modular_of m (snd a) (snd b)) equations qs ->
      (forall u, reduces (c u) (lookup 0%Z vector u)) -> forallb (fun '(_, q) => before last q) qs = true ->
      forall r t, matches r t -> entries_below last r ->
      exists r', matches r' (gathered m z vector qs t) /\ entries_below last r' /\
        forall d, combination r' (tangent x d) == combination r (tangent x d) +
          fold_right (fun '(u, q) e => c u * slope_along d (eval x q) + e) 0 equations.
    Proof.
      intros E H B. induction E as [|[u q] [v l] equations qs [U Q] _ IH]; intros r t M Bl.
      - exists r. split; [exact M|]. split; [exact Bl|]. intros d. cbn [fold_right]. qring.
      - cbn [fst snd] in U, Q. subst v. cbn [forallb] in B. apply andb_prop in B as [Bq B]. cbn [gathered].
        set (new := slopes Qmult inject_Z at_x (c u) q).
        destruct (IH B (r ++ new)) with (t := match lookup 0%Z vector u with Z0 => t
          | w => add_slopes m (slopes mul_m number_m z w l) t end) as (r' & M' & B' & C).
        + assert (W := H u). assert (Add : matches (r ++ new) (add_slopes m (slopes mul_m number_m z (lookup 0%Z vector u) l) t)).
          { apply matches_add; [exact M|]. apply (R_slopes Qmult inject_Z mul_m number_m reduces); auto. }
          destruct (lookup 0%Z vector u); try exact Add. apply matches_nothing; [exact M|]. now apply no_slopes with z l.
        + apply below_app; [exact Bl | now apply below_slopes with l].
        + exists r'. split; [exact M'|]. split; [exact B'|]. intros d. rewrite C, combination_app.
          unfold new. rewrite slopes_mean. cbn [map fold_right combination]. cbn [add mul scalar rationals]. qring.
    Qed.
  End Point.
End Meaning.

(* The gradient of a combination of the equations at a point. *)
Definition at_variables (m : Z) (point v : positive) : jets := (inject_Z (draw m point (xO v)), [(1, v)]).
Definition last_symbol (s : system) (fm : list (function * list residue_terms)) : positive := Pos.of_succ_nat (length s + length fm).

Theorem gradient_meaning m (large : (least <= m)%Z) s fs sm fm point start t x : Forall2 (modular_of m) s sm ->
  Forall2 (modular_symbol m) fs fm -> evaluated m (drawn_functions m point) (first_symbol s) fm start = Some t ->
  has_residues m (residues_of_jets m large) x t -> state_of (sample (residues_of_jets m large) (drawn_functions m point)) s fs x ->
  (forall v, In v (variables s) -> x v = at_variables m point v) -> forallb (before (last_symbol s fm)) sm = true ->
  forall (c : positive -> Q) vector, (forall u, reduces m (c u) (lookup 0%Z vector u)) ->
  exists c' : positive -> Q,
    (forall u, reduces m (c' u) (lookup 0%Z (gradient_mod m (drawn_functions m point) (lookup 0%Z t) (first_symbol s) sm fm vector) u)) /\
    forall d : state, sumq (fun u => c' u * d u) (variables s) ==
      sumq (fun u => c u * slope_along d (eval x (equation s u))) (variables s).
Proof.
  intros S F E T X V B c vector C. set (chance := drawn_functions m point) in *.
  assert (P : forall v, reduces m (fst (x v)) (lookup 0%Z t v)) by exact T.
  destruct (gathered_meaning m large x (lookup 0%Z t) P (last_symbol s fm) c vector (numbered s xH) (numbered sm xH))
    with (r := @nil (Q * positive)) (t := @Empty Z) as (r & M & Br & Cr).
  - clear - S. generalize xH as k. induction S; intros k; cbn [numbered]; constructor; [now split | auto].
  - exact C.
  - clear - B. revert B. generalize xH as k. induction sm as [|q l IH]; intros k; cbn [numbered forallb]; [trivial|].
    intros H. apply andb_prop in H as [-> H]. now apply IH.
  - intros v. exact (reduces_integer m 0).
  - now intros ? ?.
  - destruct (unfolded_meaning m large chance x (lookup 0%Z t) P (first_symbol s) (last_symbol s fm) (rev (numbered fm (first_symbol s))))
      with (r := r) (t := gathered m (lookup 0%Z t) vector (numbered sm xH) Empty) as (r' & M' & B' & C'); trivial.
    { apply (descend_symbols m large chance x (lookup 0%Z t) fs fm start t F (length s) E); [reflexivity | exact X]. }
    exists (fun u => combination r' (unit_state u : state)). split; [exact M'|]. intros d.
    assert (I : forall w v, In (w, v) r' -> In v (variables s)).
    { intros w v W. apply B' in W. apply in_variables. unfold first_symbol in W. lia. }
    rewrite (combination_units r' d (variables s) (variables_distinct s) I).
    transitivity (combination r' (tangent x d)).
    + apply (combination_at (A := rationals)). intros w v W. change (d v == tangent x d v). unfold tangent. rewrite (V v (I w v W)).
      unfold slope_along, at_variables. cbn [snd]. rewrite combination_one. qring.
    + rewrite C', Cr, combination_none, numbered_variables, Qplus_0_l. clear. induction (variables s) as [|v l IH]; [reflexivity|].
      cbn [map fold_right sum_over]. now rewrite IH.
Qed.
