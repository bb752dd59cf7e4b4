(* Values with their gradients: a number and a row, where products of two gradients are neglected.

   They are a commutative algebra, so systems have states there. Gradients are taken as they are in reverse mode: a
   combination of symbols' gradients stays what it is when the last symbol is replaced by what it is made from. *)

From Coq Require Import QArith List Lia Ring Setoid.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Residue Functions Chance Sample.
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

(* Functions of jets: the values of functions of rationals, and some derivatives by each argument. *)
Fixpoint along_arguments (slopes : list Q) (u : list jets) : row :=
  match slopes, u with c :: slopes, x :: u => scaled c (snd x) ++ along_arguments slopes u | _, _ => [] end.

Definition jet_inverse (x : jets) : jets := (/ fst x, scaled (- (/ fst x * / fst x)) (snd x)).

Lemma jet_inverse_eq x y : (x == y)%A -> (jet_inverse x == jet_inverse y)%A.
Proof. intros [E F]. unfold jet_inverse. split; cbn [fst snd]; [now rewrite E | intros d; rewrite !combination_scaled, E, F; reflexivity]. Qed.
Lemma inverse_of_jet (a b : jets) : (b * a == 1)%A -> (jet_inverse a == b)%A.
Proof.
  intros [E F]. cbn [fst mul one jets jet_mul] in E. assert (I : / fst a == fst b) by exact (inverse_of_rational _ _ E).
  unfold jet_inverse. split; cbn [fst snd]; [exact I|]. intros d. specialize (F d). cbn [snd mul one jets jet_mul] in F.
  rewrite combination_app, !combination_scaled, combination_none in F. rewrite combination_scaled, I.
  set (p := combination (snd a) d) in *. set (q := combination (snd b) d) in *.
  transitivity (fst b * fst a * q - fst b * (fst b * p + fst a * q)); [ring | rewrite E, F; ring].
Qed.
Lemma value_of_power (x : jets) n : fst (power x n) == power (fst x : rationals) n.
Proof. induction n as [|n IH]; [reflexivity|]. cbn [power]. cbn [fst mul jets jet_mul]. rewrite IH. reflexivity. Qed.

Definition hashed_jet m (chance : positive -> Z) (f : function) (u : list jets) : jets :=
  let classes := map (fun x : jets => class m (fst x)) u in
  (inject_Z (answer m chance f classes), along_arguments (map inject_Z (answer_slopes m chance f classes)) u).
Definition applied_jets m (chance : positive -> Z) : function -> list jets -> jets :=
  applied m (fun x : jets => class m (fst x)) jet_inverse (hashed_jet m chance).

Definition functions_of_jets m (large : (least <= m)%Z) (chance : positive -> Z) : interpretation jets.
Proof.
  assert (Eq : forall f (u v : list jets), Forall2 eqv u v -> (hashed_jet m chance f u == hashed_jet m chance f v)%A).
  { intros f u v H. unfold hashed_jet. set (classes := map (fun x : jets => class m (fst x))). assert (E : classes u = classes v).
    { unfold classes. induction H as [|x y u v [E _] _ IH]; cbn; f_equal; [now apply class_eq | exact IH]. }
    rewrite E. split; [reflexivity|]. cbn [snd]. clear E. generalize (map inject_Z (answer_slopes m chance f (classes v))) as n.
    intros n d. revert n. induction H as [|x y u v [_ E] _ IH]; intros [|n l]; cbn [along_arguments]; try reflexivity.
    now rewrite !combination_app, !combination_scaled, IH, E. }
  assert (Class : forall a b : jets, (a == b)%A -> class m (fst a) = class m (fst b)) by (intros a b [E _]; now apply class_eq).
  assert (Integer : forall z, class m (fst (scalar (inject_Z z) : jets)) = (z mod m)%Z) by (intros z; now apply class_integer).
  refine {| apply := applied_jets m chance |}.
  - exact (applied_eq m _ jet_inverse _ Class jet_inverse_eq Eq).
  - intros f c H. unfold applied_jets. rewrite applied_other by now destruct f. unfold hashed_jet. cbn [map zero jets fst]. rewrite (class_zero m large). split; cbn [fst snd scalar jets].
    + now rewrite (answer_at_zero m chance f c H).
    + intros d. destruct (map inject_Z _) as [|n [|n' l]]; reflexivity.
  - intros f c H. unfold applied_jets. rewrite applied_other by now destruct f. unfold hashed_jet. cbn [map one jets fst]. rewrite (class_one m large). split; cbn [fst snd scalar jets].
    + now rewrite (answer_at_one m chance f c H).
    + intros d. destruct (map inject_Z _) as [|n [|n' l]]; reflexivity.
  - intros f c u H. unfold applied_jets. rewrite !applied_other by now destruct f. unfold hashed_jet.
    destruct (parity_sign _ _ H) as (s & -> & S). cbn [map opp jets jet_opp fst].
    pose proof (class_below m large (fst u)) as B. rewrite (class_opp m large).
    destruct (slopes_opposite m chance large f s _ H B) as (z & E & E'). rewrite E, E', (answer_opposite m chance large f s _ H B).
    split; cbn [map fst snd mul scalar jets jet_mul along_arguments].
    + now rewrite inject_Z_mult.
    + intros d. repeat rewrite ?combination_app, ?combination_scaled, ?combination_none. cbn [jet_opp snd].
      rewrite combination_scaled, inject_Z_mult, inject_Z_opp. ring.
  - intros u. apply applied_one; [exact inverse_of_jet|]. unfold hashed_jet. cbn [map one jets fst].
    rewrite (class_one m large). split; cbn [fst snd].
    + now rewrite answer_power.
    + intros d. destruct (slopes_power m chance (map (fun x : jets => class m (fst x)) u)) as [z E].
      rewrite E. cbn [map along_arguments snd]. rewrite combination_app, combination_scaled, combination_none, Qmult_0_r, Qplus_0_l.
      clear E. induction u as [|x u IH]; cbn [map along_arguments]; [reflexivity|].
      rewrite combination_app, combination_scaled, IH. change (inject_Z 0) with 0. ring.
  - now apply applied_whole.
  - apply applied_negative; trivial. exact inverse_of_jet.
Defined.

Lemma fst_applied m chance f u : fst (applied_jets m chance f u) == applied_rationals m chance f (map fst u).
Proof.
  unfold applied_jets, applied_rationals, applied.
  assert (E : map (fun x : jets => class m (fst x)) u = @map rationals Z (class m) (map fst u)) by now rewrite map_map.
  rewrite <- E. destruct (exponent m f _) as [n|]; [destruct u as [|x u]|].
  - reflexivity.
  - cbn [map]. unfold whole_value. destruct (Z.leb 0 n); rewrite value_of_power; reflexivity.
  - destruct u; cbn [map]; unfold hashed_jet; cbn [fst]; rewrite E; reflexivity.
Qed.
Lemma fst_reduces m (u : list jets) y : Forall2 (fun (x : jets) z => reduces m (fst x) z) u y -> Forall2 (reduces m) (map fst u) y.
Proof. intros H. induction H; cbn; constructor; assumption. Qed.

Definition residues_of_jets m (large : (least <= m)%Z) : residues_in m jets.
Proof.
  pose (R := residues_of_rationals m large).
  refine {| stands := fun (x : jets) y => R (fst x) y; sample := functions_of_jets m large |}.
  - intros a b y z [E _]. now apply (stands_eq R).
  - intros a b y z. apply (stands_add _ _ R).
  - intros a b y z. apply (stands_mul _ _ R).
  - intros q z. apply (stands_scalar _ _ R).
  - intros [a g] y e H I. destruct (stands_inverse _ _ R _ _ _ H I) as (b & M & S).
    exists (b, scaled (- (b * b)) g). split; [|exact S].
    cbn [fst] in *. assert (E : b * a == 1) by exact M. split; cbn [fst snd mul jets jet_mul one]; [exact E|].
    intros d. rewrite combination_app, !combination_scaled, combination_none.
    transitivity (b * combination g d * (1 - b * a)); [ring | rewrite E; ring].
  - intros chance f u y H a V. cbn [apply functions_of_jets]. apply (reduces_eq m) with (3 := reduces_value m large chance f (map fst u) y a
      (fst_reduces m u y H) V); [symmetry; apply fst_applied | exists 0%Z; ring].
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

  Lemma along_power x n : (along (power x n) == power (along x) n)%A.
  Proof. induction n as [|n IH]; cbn [power]; [exact (along_scalar 1) | now rewrite along_mul, IH]. Qed.
  Lemma along_inverse x : (along (jet_inverse x) == jet_inverse (along x))%A.
  Proof.
    unfold jet_inverse. split; [reflexivity|]. intros e. cbn [along snd fst]. rewrite combination_scaled, !combination_one.
    unfold slope_along. cbn [snd]. rewrite combination_scaled. ring.
  Qed.

  Lemma along_product z m : (along (product z m) == product (fun v => along (z v)) m)%A.
  Proof.
    induction m as [|[v e] m IH]; cbn [product]; [exact (along_scalar 1)|]. rewrite along_mul, IH.
    apply mul_proper; [apply along_power | reflexivity].
  Qed.
  Lemma along_eval z p : (along (eval z p) == eval (fun v => along (z v)) p)%A.
  Proof.
    induction p as [|[c m] p IH]; cbn [eval]; [exact (along_scalar 0)|].
    now rewrite along_add, along_mul, along_scalar, IH, along_product.
  Qed.

  Section Functions.
  Variables (m : Z) (large : (least <= m)%Z) (chance : positive -> Z).
  Notation F := (sample (residues_of_jets m large) chance).

  Lemma along_hashed f u : (along (hashed_jet m chance f u) == hashed_jet m chance f (map along u))%A.
  Proof.
    unfold hashed_jet. rewrite map_map. cbn [fst along].
    split; [reflexivity|]. intros e. unfold along. cbn [fst snd]. rewrite combination_one. unfold slope_along. cbn [snd].
    generalize (map inject_Z (answer_slopes m chance f (map (fun x : jets => class m (fst x)) u))) as l.
    induction u as [|x u IH]; intros [|n l]; cbn [map along_arguments]; try (rewrite !combination_none; ring).
    rewrite !combination_app, !combination_scaled, <- IH. cbn [snd]. rewrite combination_one. unfold slope_along. ring.
  Qed.

  Lemma along_function f u : (along (F f u) == F f (map along u))%A.
  Proof.
    cbn [sample residues_of_jets apply functions_of_jets]. unfold applied_jets, applied. rewrite map_map. cbn [fst along].
    destruct (exponent m f _) as [n|]; [destruct u as [|x u]|].
    - exact (along_hashed f []).
    - cbn [map]. unfold whole_value. destruct (Z.leb 0 n); rewrite along_power; [reflexivity|].
      apply power_proper; [apply along_inverse | reflexivity].
    - assert (E : (along (hashed_jet m chance f u) == hashed_jet m chance f (map along u))%A) by apply along_hashed.
      destruct u; exact E.
  Qed.

  Lemma along_state s fs (z : positive -> jets) : state_of F s fs z -> state_of F s fs (fun v => along (z v)).
  Proof.
    intros S j f u J. specialize (S j f u J). set (k := Pos.of_succ_nat (length s + j)) in *.
    assert (O : f <> Inverse -> (along (z k) == F f (map (eval (fun v => along (z v))) u))%A).
    { intros N. assert (E : (z k == F f (map (eval z) u))%A) by (destruct f; try exact S; now destruct N).
      rewrite (along_eq _ _ E), along_function, map_map. apply (apply_eq F).
      clear. induction u as [|p u IH]; cbn [map]; constructor; [apply along_eval | exact IH]. }
    destruct f; try (apply O; discriminate). cbn [has_value] in *.
    rewrite <- along_eval, <- along_mul. rewrite (along_eq _ _ S). exact (along_scalar 1).
  Qed.
  End Functions.

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

(* The derivatives of functions of rationals by their arguments, and their residues. *)
Definition whole_slope (a : Q) (n : Z) : Q :=
  inject_Z n * (if Z.leb 0 n then raised_to Qmult inject_Z a (pred (Z.to_nat n)) else raised_to Qmult inject_Z (/ a) (S (Z.to_nat (- n)))).
Definition exact_slopes m (chance : positive -> Z) (f : function) (u : list Q) : list Q :=
  match exponent m f (map (class m) u), u with
  | Some n, a :: _ => [whole_slope a n; 0]
  | _, _ => map inject_Z (answer_slopes m chance f (map (class m) u))
  end.

Lemma reduces_slopes m (large : (least <= m)%Z) chance f u y v : Forall2 (reduces m) u y ->
  value_of m chance f (map (fun z => (z mod m)%Z) y) = Some v ->
  Forall2 (reduces m) (exact_slopes m chance f u) (map (number_mod m) (slopes_of m chance f (map (fun z => (z mod m)%Z) y))).
Proof.
  intros H V. pose proof (at_least_two m large) as two.
  assert (Number : forall q z, reduces m q z -> reduces m q (number_mod m z)).
  { intros q z Z. unfold number_mod. destruct (_ && _)%bool; [exact Z | now apply reduces_folded]. }
  assert (Raised : forall q z n, reduces m q z -> reduces m (raised_to Qmult inject_Z q n) (power_mod m z n)).
  { intros q z n Z. induction n as [|n IH]; cbn [raised_to power_mod]; [exact (reduces_integer m 1)|].
    apply (reduces_folded m two), reduces_mul; assumption. }
  unfold exact_slopes, slopes_of, value_of in *. rewrite (classes_reduce m large u y H).
  destruct (exponent m f _) as [n|] eqn:X.
  - destruct H as [|a b u y B _]; [now destruct f|]. cbn [map hd] in *. apply (reduces_mod m two) in B.
    constructor; [apply Number, reduces_mul; [apply reduces_integer|] | constructor; [apply Number, (reduces_integer m 0) | constructor]].
    destruct (Z.leb 0 n); [now apply Raised|]. destruct (checked_inverse m (b mod m)) as [c|] eqn:I; [|easy].
    apply Raised, (reduces_inverse m large a (b mod m) c B). now apply (checked_inverse_spec m two).
  - assert (E : forall l, Forall2 (reduces m) (map inject_Z l) (map (number_mod m) l)).
    { intros l. induction l; cbn [map]; constructor; [apply Number, reduces_integer | assumption]. }
    destruct u; apply E.
Qed.

Section Slopes.
  Variables (x : positive -> jets) (d : state).
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

  Lemma pairing_eq ws vs ds : Forall2 Qeq ws vs -> pairing ws ds == pairing vs ds.
  Proof. intros H. revert ds. induction H; intros [|e ds]; cbn; try reflexivity. now rewrite H, IHForall2. Qed.

  Variables (m : Z) (large : (least <= m)%Z) (chance : positive -> Z).
  (* The derivatives of a function by its arguments; then by the symbols in them. *)
  Definition function_slopes (f : function) (u : list polynomial) : list Q :=
    exact_slopes m chance f (map (fun p => fst (eval x p)) u).

  Lemma slope_whole a n : slope_along d (whole_value jet_inverse a n) == whole_slope (fst a) n * slope_along d a.
  Proof.
    unfold whole_value, whole_slope. destruct (Z.leb_spec 0 n) as [P|N]; rewrite slope_power.
    - rewrite Z2Nat.id by exact P. reflexivity.
    - assert (E : slope_along d (jet_inverse a) == - (/ fst a * / fst a) * slope_along d a) by apply combination_scaled.
      rewrite Z2Nat.id, E by lia. assert (M : exists k, Z.to_nat (- n) = S k) by (exists (pred (Z.to_nat (- n))); lia).
      destruct M as [k ->]. cbn [pred raised_to jet_inverse fst]. rewrite inject_Z_opp. ring.
  Qed.

  Lemma symbol_slopes_mean w k f u : has_value (sample (residues_of_jets m large) chance) x k f u ->
    combination (symbol_slopes Qmult inject_Z at_point w k f (function_slopes f u) u) tangent == w * tangent k.
  Proof.
    intros V.
    assert (Other : f <> Inverse -> combination (chained Qmult inject_Z at_point
        (map (Qmult w) (function_slopes f u)) u) tangent == w * tangent k).
    { intros N. assert (W : (x k == sample (residues_of_jets m large) chance f (map (eval x) u))%A)
        by (destruct f; try exact V; now destruct N).
      unfold tangent at 2. rewrite (slope_eq d _ _ W), chained_mean. unfold function_slopes, exact_slopes.
      cbn [sample residues_of_jets apply functions_of_jets]. unfold applied_jets, applied. rewrite !map_map.
      destruct (exponent m f _) as [n|] eqn:X.
      - destruct f; try discriminate. destruct u as [|p [|q [|]]]; try discriminate. cbn [map pairing].
        rewrite slope_whole. ring.
      - assert (E : pairing (map (Qmult w) (map inject_Z (answer_slopes m chance f (map (fun p => class m (fst (eval x p))) u))))
          (map (fun p => slope_along d (eval x p)) u) == w * slope_along d (hashed_jet m chance f (map (eval x) u))).
        { unfold hashed_jet, slope_along. cbn [snd]. rewrite !map_map.
          generalize (answer_slopes m chance f (map (fun p => class m (fst (eval x p))) u)) as l. clear.
          induction u as [|p u IH]; intros [|n l]; cbn [map pairing along_arguments]; try (rewrite combination_none; ring).
          rewrite IH, combination_app, combination_scaled. ring. }
        destruct u; exact E. }
    destruct f; try (apply Other; discriminate). cbn [has_value symbol_slopes] in *. rewrite slopes_mean.
    pose proof (slope_eq d _ _ V) as S. rewrite slope_mul, (slope_scalar d 1 : slope_along d one == 0) in S.
    destruct V as [F _]. cbn [fst mul one jets jet_mul] in F. unfold tangent, at_point.
    set (p := eval x (hd [] u)) in *. set (a := slope_along d (x k)) in *. set (b := slope_along d p) in *.
    transitivity (w * (a * (fst (x k) * fst p) - fst (x k) * (fst (x k) * b + fst p * a))); [cbn; ring|].
    rewrite S, F. ring.
  Qed.
End Slopes.
