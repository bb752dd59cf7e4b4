(* Values with their gradients: a number and a row, where products of two gradients are neglected.

   They are a commutative algebra, so systems have states there. Gradients are taken as they are in reverse mode: a
   combination of symbols' gradients stays what it is when the last symbol is replaced by what it is made from. *)

From Coq Require Import QArith List Lia Ring Setoid.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Residue Functions Sample.
Import ListNotations.
Local Open Scope Q_scope.

Definition scaled (c : Q) (r : row) : row := map (fun '(w, v) => (c * w, v)) r.

Lemma combination_app (r q : row) (d : state) : combination (r ++ q) d == combination r d + combination q d.
Proof.
  induction r as [|[w v] r IH]; cbn [app combination]; cbn [add mul scalar zero rationals];
    [symmetry; apply Qplus_0_l | rewrite IH; ring].
Qed.
Lemma combination_scaled c (r : row) (d : state) : combination (scaled c r) d == c * combination r d.
Proof.
  unfold scaled. induction r as [|[w v] r IH]; cbn [map combination]; cbn [add mul scalar zero rationals];
    [ring | rewrite IH; ring].
Qed.
Lemma combination_one w v (d : state) : combination [(w, v)] d == w * d v.
Proof. cbn [combination]. cbn [add mul scalar zero rationals]. ring. Qed.
Lemma combination_none (d : state) : combination [] d == 0.
Proof. reflexivity. Qed.

Definition same_jet (x y : Q * row) : Prop :=
  fst x == fst y /\ forall d : state, combination (snd x) d == combination (snd y) d.
Definition jet_mul (x y : Q * row) : Q * row := (fst x * fst y, scaled (fst x) (snd y) ++ scaled (fst y) (snd x)).
Definition jet_add (x y : Q * row) : Q * row := (fst x + fst y, snd x ++ snd y).
Definition jet_opp (x : Q * row) : Q * row := (- fst x, scaled (-1) (snd x)).

Ltac jet := split; cbn [fst snd jet_mul jet_add jet_opp]; [try ring | intros d; repeat rewrite
  ?combination_app, ?combination_scaled, ?combination_none; try ring].

Definition jets : algebra.
Proof.
  refine {| carrier := Q * row; eqv := same_jet; zero := (0, []); one := (1, []); add := jet_add; mul := jet_mul;
    sub := fun x y => jet_add x (jet_opp y); opp := jet_opp; scalar := fun a => (a, []) |}.
  - constructor.
    + intros x. split; reflexivity.
    + intros x y [E F]. split; [now symmetry | intros; now symmetry].
    + intros x y z [E F] [E' F']. split; [now rewrite E | intros; now rewrite F].
  - constructor.
    + intros x x' [E F] y y' [E' F']. jet; [now rewrite E, E' | now rewrite F, F'].
    + intros x x' [E F] y y' [E' F']. jet; [now rewrite E, E' | now rewrite E, E', F, F'].
    + intros x x' [E F]. jet; [now rewrite E | now rewrite F].
  - constructor; intros; jet.
  - intros a b H. split; [exact H | reflexivity].
  - split; reflexivity.
  - intros. jet.
  - intros. jet.
Defined.

Definition residues_of_jets m (large : (2 <= m)%Z) : residues_in m jets.
Proof.
  pose (R := residues_of_rationals m large).
  refine {| stands := fun (x : jets) y => R (fst x) y |}.
  - intros a b y z [E _]. now apply (stands_eq R).
  - intros a b y z. apply (stands_add _ _ R).
  - intros a b y z. apply (stands_mul _ _ R).
  - intros q z. apply (stands_scalar _ _ R).
  - intros [a g] y e H I. destruct (stands_inverse _ _ R _ _ _ H I) as (b & M & S).
    exists (b, scaled (- (b * b)) g). split; [|exact S].
    cbn [fst] in *. assert (E : b * a == 1) by exact M. split; cbn [fst snd mul jets jet_mul one]; [exact E|].
    intros d. rewrite combination_app, !combination_scaled, combination_none.
    transitivity (b * combination g d * (1 - b * a)); [ring | rewrite E; ring].
Defined.

(* ------------------------------------------------------------------ Along one direction. *)

Section Along.
  Variable d : state.
  Definition slope_along (x : jets) : Q := combination (snd x) d.
  Definition along (x : jets) : jets := (fst x, [(slope_along x, xH)]).

  Lemma slope_add x y : slope_along (x + y)%A == slope_along x + slope_along y.
  Proof. apply combination_app. Qed.
  Lemma slope_mul x y : slope_along (x * y)%A == fst x * slope_along y + fst y * slope_along x.
  Proof. unfold slope_along. cbn [snd mul jets jet_mul]. now rewrite combination_app, !combination_scaled. Qed.
  Lemma slope_scalar c : slope_along (scalar c) == 0.
  Proof. reflexivity. Qed.
  Lemma slope_eq x y : (x == y)%A -> slope_along x == slope_along y.
  Proof. intros [_ H]. apply H. Qed.

  Ltac along := split; cbn [fst snd along add mul zero one scalar jets jet_mul jet_add]; [try reflexivity | intros e;
    rewrite ?combination_app, ?combination_scaled, ?combination_one, ?combination_none].

  Lemma along_eq x y : (x == y)%A -> (along x == along y)%A.
  Proof. intros H. along; [apply H | now rewrite (slope_eq _ _ H)]. Qed.
  Lemma along_add x y : (along (x + y) == along x + along y)%A.
  Proof. along. rewrite slope_add. ring. Qed.
  Lemma along_mul x y : (along (x * y) == along x * along y)%A.
  Proof. along. rewrite slope_mul. ring. Qed.
  Lemma along_scalar c : (along (scalar c) == scalar c)%A.
  Proof. along. change (slope_along (c, [])) with 0. ring. Qed.

  Lemma along_product z m : (along (product z m) == product (fun v => along (z v)) m)%A.
  Proof.
    induction m as [|[v e] m IH]; cbn [product]; [exact (along_scalar 1)|]. rewrite along_mul, IH.
    apply mul_proper; [|reflexivity].
    induction (Pos.to_nat e) as [|n IHn]; cbn [power]; [exact (along_scalar 1) | now rewrite along_mul, IHn].
  Qed.
  Lemma along_eval z p : (along (eval z p) == eval (fun v => along (z v)) p)%A.
  Proof.
    induction p as [|[c m] p IH]; cbn [eval]; [exact (along_scalar 0)|].
    now rewrite along_add, along_mul, along_scalar, IH, along_product.
  Qed.

  Lemma along_function chance f u : (along (sample chance f u) == sample chance f (map along u))%A.
  Proof.
    apply (R_formula add mul number_of add mul number_of (fun x y => along x == y)%A).
    - intros a b c e <- <-. apply along_add.
    - intros a b c e <- <-. apply along_mul.
    - intros n. apply along_scalar.
    - induction u; [constructor | constructor; [reflexivity | assumption]].
  Qed.

  Lemma along_state chance s fs (z : positive -> jets) : state_of (sample chance) s fs z ->
    state_of (sample chance) s fs (fun v => along (z v)).
  Proof.
    intros S j f u J. specialize (S j f u J). set (k := Pos.of_succ_nat (length s + j)) in *.
    assert (O : f <> Inverse -> (along (z k) == sample chance f (map (eval (fun v => along (z v))) u))%A).
    { intros N. assert (E : (z k == sample chance f (map (eval z) u))%A) by (destruct f; try exact S; now destruct N).
      rewrite (along_eq _ _ E), along_function, map_map. apply (apply_eq (sample chance)).
      clear. induction u as [|p u IH]; cbn [map]; constructor; [apply along_eval | exact IH]. }
    destruct f; try (apply O; discriminate). cbn [has_value] in *.
    rewrite <- along_eval, <- along_mul. rewrite (along_eq _ _ S). exact (along_scalar 1).
  Qed.

  (* Sums and combinations. *)
  Lemma slope_total s P (z : positive -> jets) b :
    slope_along (total s P z b) == total s P (fun v => slope_along (z v) : rationals) b.
  Proof.
    unfold total. induction (variables s) as [|v l IH]; [reflexivity|]. cbn [sum_over]. rewrite slope_add.
    apply Qplus_comp; [|exact IH]. now destruct (Pos.eqb (P v) b).
  Qed.
  Lemma slope_combination (r : row) (z : positive -> jets) :
    slope_along (combination r z) == combination r (fun v => slope_along (z v) : rationals).
  Proof.
    induction r as [|[w v] r IH]; [reflexivity|]. cbn [combination]. rewrite slope_add, slope_mul, slope_scalar, IH.
    cbn [fst scalar jets]. cbn [add mul scalar rationals]. ring.
  Qed.
End Along.

Lemma fst_total s P (z : positive -> jets) b : fst (total s P z b) == total s P (fun v => fst (z v) : rationals) b.
Proof.
  unfold total. induction (variables s) as [|v l IH]; [reflexivity|]. cbn [sum_over]. cbn [add jets rationals jet_add fst].
  rewrite IH. destruct (Pos.eqb (P v) b); reflexivity.
Qed.
Lemma fst_combination (r : row) (z : positive -> jets) :
  fst (combination r z) == combination r (fun v => fst (z v) : rationals).
Proof.
  induction r as [|[w v] r IH]; [reflexivity|]. cbn [combination]. cbn [add mul scalar jets rationals jet_add jet_mul fst].
  now rewrite IH.
Qed.

(* ------------------------------------------------------------------ What formulas for derivatives mean. *)

Section Slopes.
  Variables (x : positive -> jets) (d : state) (chance : positive -> Z).
  Definition at_point (v : positive) : Q := fst (x v).
  Definition tangent : state := fun v => slope_along d (x v).
  Notation raised := (raised_to Qmult inject_Z).
  Notation product_q := (product_at Qmult inject_Z).
  Notation value_q := (value_at Qplus Qmult inject_Z).

  Lemma fst_power a n : fst (power (a : jets) n) == raised (fst a) n.
  Proof. induction n as [|n IH]; [reflexivity|]. cbn [power raised_to]. cbn [fst mul jets jet_mul]. now rewrite IH. Qed.
  Lemma fst_product m : fst (product x m) == product_q at_point m.
  Proof.
    induction m as [|[v e] m IH]; [reflexivity|]. cbn [product product_at]. cbn [fst mul jets jet_mul].
    now rewrite IH, fst_power.
  Qed.
  Lemma fst_eval p : fst (eval x p) == value_q at_point p.
  Proof.
    induction p as [|[c m] p IH]; [reflexivity|]. cbn [eval value_at]. cbn [fst add mul scalar jets jet_mul jet_add].
    now rewrite IH, fst_product.
  Qed.

  Lemma slope_power a n : slope_along d (power (a : jets) n) ==
    inject_Z (Z.of_nat n) * raised (fst a) (pred n) * slope_along d a.
  Proof.
    induction n as [|n IH]; [cbn [power]; rewrite (slope_scalar d 1); cbn; ring|].
    cbn [power pred]. rewrite slope_mul, IH, fst_power. destruct n as [|n].
    - cbn. ring.
    - cbn [pred raised_to]. rewrite (Nat2Z.inj_succ (S n)). unfold Z.succ. rewrite inject_Z_plus. ring.
  Qed.

  Lemma product_slopes_mean w m : let (a, l) := product_slopes Qmult inject_Z at_point w m in
    a == fst (product x m) /\ combination l tangent == w * slope_along d (product x m).
  Proof.
    revert w. induction m as [|[v e] m IH]; intros w; cbn [product_slopes product].
    - split; [reflexivity|]. change (0 == w * 0). ring.
    - cbv zeta. set (b := raised (at_point v) _). specialize (IH (w * (at_point v * b))).
      destruct (product_slopes _ _ _ _ m) as [a l]. destruct IH as [A L].
      assert (P : fst (power (x v) (Pos.to_nat e)) == at_point v * b).
      { rewrite fst_power. unfold b, at_point. destruct (Pos2Nat.is_succ e) as [n ->]. reflexivity. }
      split; [cbn [fst mul jets jet_mul]; now rewrite P, A|].
      cbn [combination]. rewrite L, slope_mul, slope_power, P, <- A, positive_nat_Z.
      change (raised (fst (x v)) (pred (Pos.to_nat e))) with b. unfold tangent at 1. cbn [add mul scalar rationals]. ring.
  Qed.
  Lemma slopes_mean w p : combination (slopes Qmult inject_Z at_point w p) tangent == w * slope_along d (eval x p).
  Proof.
    unfold slopes. induction p as [|[c m] p IH]; cbn [flat_map eval].
    - change (0 == w * 0). ring.
    - pose proof (product_slopes_mean (w * c) m) as H. destruct (product_slopes _ _ _ _ m) as [a l]. destruct H as [_ L].
      rewrite combination_app, L, IH, slope_add, slope_mul, slope_scalar. cbn [fst scalar jets]. ring.
  Qed.

  Fixpoint pairing (ws ds : list Q) : Q := match ws, ds with w :: ws, a :: ds => w * a + pairing ws ds | _, _ => 0 end.

  Lemma chained_mean ws u : combination (chained Qmult inject_Z at_point ws u) tangent ==
    pairing ws (map (fun p => slope_along d (eval x p)) u).
  Proof.
    revert u. induction ws as [|w ws IH]; intros [|p u]; cbn [chained map pairing]; try apply combination_none.
    now rewrite combination_app, slopes_mean, IH.
  Qed.

  Notation formula_jets := (formula (X := jets) add mul number_of).

  Lemma slope_number n : slope_along d (number_of n) == 0.
  Proof. reflexivity. Qed.
  Lemma fst_number n : fst (number_of (A := jets) n) = inject_Z n.
  Proof. reflexivity. Qed.

  Lemma fst_mixed r u : fst (mixed (X := jets) add mul number_of r u) == mixed Qplus Qmult inject_Z r (map fst u).
  Proof. induction u as [|a u IH]; [reflexivity|]. cbn [mixed map]. cbn [fst add mul jets jet_mul jet_add]. now rewrite IH. Qed.
  Lemma slope_cubic c (a : jets) : slope_along d (cubic add mul number_of c a) ==
    cubic_slope Qplus Qmult inject_Z c (fst a) * slope_along d a.
  Proof.
    destruct c as [[[p q] r] s]. cbn [cubic cubic_slope]. unfold number_of. repeat rewrite
      ?slope_add, ?slope_mul, ?slope_scalar. cbn [fst add mul scalar jets jet_mul jet_add].
    rewrite !inject_Z_mult. change (inject_Z 2) with (1 + 1). change (inject_Z 3) with (1 + 1 + 1). ring.
  Qed.
  Lemma slope_mixed r w u : pairing (mixed_slopes Qmult inject_Z r w (map fst u)) (map (slope_along d) u) ==
    w * slope_along d (mixed (X := jets) add mul number_of r u).
  Proof.
    revert w. induction u as [|a u IH]; intros w; cbn [map mixed_slopes mixed pairing].
    - unfold number_of. rewrite slope_scalar. ring.
    - rewrite IH, slope_add, slope_mul. unfold number_of at 2. rewrite slope_scalar. cbn [fst scalar jets number_of]. ring.
  Qed.

  Lemma partials_mean f w (u : list jets) :
    pairing (partials Qplus Qmult inject_Z chance f w (map fst u)) (map (slope_along d) u) ==
    w * slope_along d (formula_jets chance f u).
  Proof.
    assert (Cubic : forall c, pairing match map fst u with [] => [] | a :: _ => [w * cubic_slope Qplus Qmult inject_Z c a] end
        (map (slope_along d) u) == w * slope_along d (cubic add mul number_of c (hd (number_of 0) u))).
    { intros c. rewrite slope_cubic. destruct u as [|a u]; cbn [map pairing hd]; [|ring].
      unfold number_of. rewrite slope_scalar. ring. }
    assert (E : forall p : list Q, match map fst u with [] => [] | _ :: _ => p end = match u with [] => [] | _ => p end)
      by now destruct u.
    destruct f; unfold partials, formula; cbv zeta; try exact (Cubic _).
    - destruct u as [|a u]; cbn [map pairing hd tl]; [change (0 == w * 0); ring|].
      rewrite slope_mixed, slope_add, slope_number, slope_mul. unfold less_one. rewrite slope_add, slope_number, <- fst_mixed.
      cbn [fst add jets jet_add]. rewrite fst_number. ring.
    - assert (C : cubic_slope Qplus Qmult inject_Z (shape chance (Named n)) (mixed Qplus Qmult inject_Z (chance (code (Named n))) (map fst u)) ==
        cubic_slope Qplus Qmult inject_Z (shape chance (Named n)) (fst (mixed (X := jets) add mul number_of (chance (code (Named n))) u))).
      { apply (R_cubic_slope Qplus Qmult inject_Z Qplus Qmult inject_Z Qeq);
          [intros ? ? ? ? E1 E2; now rewrite E1, E2 | intros ? ? ? ? E1 E2; now rewrite E1, E2 | reflexivity |].
        symmetry. apply fst_mixed. }
      transitivity (pairing (mixed_slopes Qmult inject_Z (chance (code (Named n)))
        (w * cubic_slope Qplus Qmult inject_Z (shape chance (Named n)) (mixed Qplus Qmult inject_Z (chance (code (Named n))) (map fst u)))
        (map fst u)) (map (slope_along d) u)); [now destruct u|].
      rewrite slope_mixed, slope_cubic, C. ring.
  Qed.

  Lemma pairing_eq ws vs ds : Forall2 Qeq ws vs -> pairing ws ds == pairing vs ds.
  Proof. intros H. revert ds. induction H; intros [|e ds]; cbn; try reflexivity. now rewrite H, IHForall2. Qed.

  Lemma symbol_slopes_mean w k f u : has_value (sample chance) x k f u ->
    combination (symbol_slopes Qplus Qmult inject_Z chance at_point w k f u) tangent == w * tangent k.
  Proof.
    intros V.
    assert (Other : f <> Inverse -> combination (chained Qmult inject_Z at_point
        (partials Qplus Qmult inject_Z chance f w (map (value_q at_point) u)) u) tangent == w * tangent k).
    { intros N. assert (W : (x k == formula_jets chance f (map (eval x) u))%A) by (destruct f; try exact V; now destruct N).
      unfold tangent at 2. rewrite (slope_eq d _ _ W), <- partials_mean, chained_mean, !map_map. apply pairing_eq.
      apply (R_partials Qplus Qmult inject_Z Qplus Qmult inject_Z Qeq); try reflexivity.
      1, 2: intros ? ? ? ? E1 E2; now rewrite E1, E2.
      clear. induction u as [|p u IH]; cbn; constructor; [symmetry; apply fst_eval | exact IH]. }
    destruct f; try (apply Other; discriminate). cbn [has_value symbol_slopes] in *. rewrite slopes_mean.
    pose proof (slope_eq d _ _ V) as S. rewrite slope_mul, (slope_scalar d 1 : slope_along d one == 0) in S.
    destruct V as [F _]. cbn [fst mul one jets jet_mul] in F. unfold tangent, at_point.
    set (p := eval x (hd [] u)) in *. set (a := slope_along d (x k)) in *. set (b := slope_along d p) in *.
    transitivity (w * (a * (fst (x k) * fst p) - fst (x k) * (fst (x k) * b + fst p * a))); [cbn; ring|].
    rewrite S, F. ring.
  Qed.
End Slopes.
