(* Functions at points: values that look random and are determined by the residues of the arguments.

   Which values a function has does not matter, as long as equal arguments give equal ones and the facts hold. So it may be
   anything in a table; here it is computed from residues by a hash, and so are its derivatives. Powers with whole
   exponents are products, also where only the residue of the exponent is that of a whole number. *)

From Coq Require Import QArith Qreduction List Lia ZArith Znumtheory Bool.
From Coq Require Qcanon.
From Symlump Require Import Algebra Residue Functions.
Import ListNotations.
Local Open Scope Z_scope.

Definition code (f : function) : positive :=
  match f with
  | Inverse => 1 | Exp => 2 | Log => 3 | Power => 4 | Abs => 5 | Sign => 6 | Sin => 7 | Cos => 8 | Tan => 9
  | Asin => 10 | Acos => 11 | Atan => 12 | Sinh => 13 | Cosh => 14 | Tanh => 15 | Asinh => 16 | Acosh => 17
  | Atanh => 18 | Named n => 18 + n
  end.

(* With a smaller modulus two whole exponents could be one. *)
Definition least : Z := 2 * most_whole + 1.
Lemma at_least_two m : least <= m -> 2 <= m.
Proof. unfold least, most_whole. lia. Qed.

(* a^n, where n is a whole number. *)
Definition whole_value {A : algebra} (invert : A -> A) (a : A) (n : Z) : A :=
  if Z.leb 0 n then power a (Z.to_nat n) else power (invert a) (Z.to_nat (- n)).

Section Modulo.
  Variable m : Z.

  (* The whole exponent of a power of which the arguments have residues a, if that is what it is. *)
  Definition whole (e : Z) : option Z :=
    if Z.leb e most_whole then Some e else if Z.leb (m - most_whole) e then Some (e - m) else None.
  Definition exponent (f : function) (a : list Z) : option Z := match f, a with Power, [_; e] => whole e | _, _ => None end.
  Fixpoint power_mod (b : Z) (n : nat) : Z := match n with O => 1 | S n => folded m (b * power_mod b n) end.

  (* No polynomial of low degree: bits are mixed, too. *)
  Definition stirred (a : Z) : Z := let b := Z.lxor a (Z.shiftr a 13) in folded m (b * (b + 40503) + 2654435).

  (* Numbers that look random; which they are does not matter. *)
  Definition draw (seed k : positive) : Z :=
    stirred (stirred (stirred (folded m (Zpos k * 1000003 + Zpos seed * 7919 + 12345)))).

  (* h made even (sign 1) or odd (sign -1). *)
  Definition with_sign (sign : Z) (h : Z -> Z) (a : Z) : Z :=
    if (Z.eqb a 0 || Z.eqb (a + a) m)%bool then (if Z.eqb sign 1 then h a else 0)
    else if Z.ltb (a + a) m then h a else sign * h (m - a).

  Section Values.
    Variable chance : positive -> Z.

    Definition hashed (f : function) (a : list Z) : Z :=
      fold_left (fun h z => stirred (stirred (h * 69069 + z))) a (chance (code f)).

    (* The value where the arguments have residues a. *)
    Definition answer (f : function) (a : list Z) : Z :=
      match f, a with
      | Power, b :: _ => if Z.eqb b 1 then 1 else hashed f a
      | _, [b] =>
        match at_zero f, at_one f, parity f with
        | Some q, _, Some s => if Z.eqb b 0 then Qnum q else with_sign (Qnum s) (fun b => hashed f [b]) b
        | Some q, _, None => if Z.eqb b 0 then Qnum q else hashed f a
        | None, Some q, _ => if Z.eqb b 1 then Qnum q else hashed f a
        | None, None, _ => hashed f a
        end
      | _, _ => hashed f a
      end.

    (* The derivatives by each argument there. *)
    Definition slope_of (h i : Z) : Z := stirred (stirred (h * 48271 + i)).
    Fixpoint slopes_from (h i : Z) (a : list Z) : list Z :=
      match a with [] => [] | _ :: a => slope_of h i :: slopes_from h (i + 1) a end.
    Definition answer_slopes (f : function) (a : list Z) : list Z :=
      match f, a with
      | Power, b :: rest =>
        slope_of (hashed f a) 1 :: if Z.eqb b 1 then map (fun _ => 0) rest else slopes_from (hashed f a) 2 rest
      | _, [b] =>
        match parity f with
        | Some s => [with_sign (- Qnum s) (fun b => slope_of (hashed f [b]) 1) b]
        | None => slopes_from (hashed f a) 1 a
        end
      | _, _ => slopes_from (hashed f a) 1 a
      end.

    (* The same, where whole powers are products; a negative one has a value where the base has an inverse. *)
    Definition value_of (f : function) (a : list Z) : option Z :=
      match exponent f a with
      | None => Some (answer f a)
      | Some n => let b := hd 0 a in
        if Z.leb 0 n then Some (power_mod b (Z.to_nat n))
        else option_map (fun c => power_mod c (Z.to_nat (- n))) (checked_inverse m b)
      end.
    Definition slopes_of (f : function) (a : list Z) : list Z :=
      match exponent f a with
      | None => answer_slopes f a
      | Some n => let b := hd 0 a in
        [n * (if Z.leb 0 n then power_mod b (pred (Z.to_nat n))
              else match checked_inverse m b with Some c => power_mod c (S (Z.to_nat (- n))) | None => 0 end); 0]
      end.

    (* ---------------------------------------------------------------- They obey the facts. *)

    Hypothesis large : least <= m.
    Let two : 2 <= m := at_least_two m large.

    Lemma with_sign_opposite sign h a : sign = 1 \/ sign = -1 -> 0 <= a < m ->
      with_sign sign h ((- a) mod m) = sign * with_sign sign h a.
    Proof.
      intros S A. unfold with_sign. destruct (Z.eqb_spec a 0) as [->|N].
      { cbn [Z.opp]. rewrite Z.mod_0_l by lia. cbn [orb Z.eqb]. destruct S as [-> | ->]; cbn [Z.eqb Pos.eqb]; lia. }
      replace ((- a) mod m) with (m - a) by (apply Z.mod_unique with (-1); lia).
      destruct (Z.eqb_spec (m - a) 0) as [E|_]; [lia|].
      destruct (Z.eqb_spec (a + a) m) as [E|D].
      { rewrite (proj2 (Z.eqb_eq (m - a + (m - a)) m)) by lia. cbn [orb]. replace (m - a) with a by lia.
        destruct S as [-> | ->]; cbn [Z.eqb Pos.eqb]; lia. }
      rewrite (proj2 (Z.eqb_neq (m - a + (m - a)) m)) by lia. cbn [orb].
      destruct (Z.ltb_spec (a + a) m), (Z.ltb_spec (m - a + (m - a)) m); try lia.
      replace (m - (m - a)) with a by lia. reflexivity.
    Qed.

    Lemma parity_sign f s : parity f = Some s -> exists c, s = inject_Z c /\ (c = 1 \/ c = -1).
    Proof. destruct f; try discriminate; intros [= <-]; (now exists 1; auto) || (now exists (-1); auto). Qed.

    Lemma answer_at_zero f c : at_zero f = Some c -> inject_Z (answer f [0]) = c.
    Proof. destruct f; try discriminate; intros [= <-]; reflexivity. Qed.
    Lemma answer_at_one f c : at_one f = Some c -> inject_Z (answer f [1]) = c.
    Proof. destruct f; try discriminate; intros [= <-]; reflexivity. Qed.
    Lemma answer_power a : answer Power (1 :: a) = 1.
    Proof. reflexivity. Qed.
    Lemma slopes_power a : exists z, answer_slopes Power (1 :: a) = z :: map (fun _ => 0) a.
    Proof. eexists. reflexivity. Qed.
    Lemma answer_opposite f c a : parity f = Some (inject_Z c) -> 0 <= a < m ->
      answer f [(- a) mod m] = c * answer f [a].
    Proof.
      intros P A. destruct (parity_sign _ _ P) as (c' & E & S). injection E as <-.
      assert (Zero : (- a) mod m = 0 <-> a = 0).
      { split; [|intros ->; now apply Z.mod_0_l; lia]. intros Z. destruct (Z.eq_dec a 0) as [|N]; [trivial|].
        replace ((- a) mod m) with (m - a) in Z by (apply Z.mod_unique with (-1); lia). lia. }
      assert (G : forall q, with_sign c (fun b => hashed f [b]) ((- a) mod m) = c * with_sign c (fun b => hashed f [b]) a ->
        (a = 0 -> q = c * q) ->
        (if Z.eqb ((- a) mod m) 0 then q else with_sign c (fun b => hashed f [b]) ((- a) mod m)) =
        c * (if Z.eqb a 0 then q else with_sign c (fun b => hashed f [b]) a)).
      { intros q W Q. destruct (Z.eqb_spec a 0) as [N|N].
        - rewrite (proj2 (Z.eqb_eq _ _) (proj2 Zero N)). now apply Q.
        - rewrite (proj2 (Z.eqb_neq _ _)); [exact W | now rewrite Zero]. }
      pose proof (with_sign_opposite c (fun b => hashed f [b]) a S A) as W.
      destruct f; try discriminate; injection P as <-; apply (G _ W); reflexivity.
    Qed.
    Lemma slopes_opposite f c a : parity f = Some (inject_Z c) -> 0 <= a < m ->
      exists z, answer_slopes f [a] = [z] /\ answer_slopes f [(- a) mod m] = [- c * z].
    Proof.
      intros P A. destruct (parity_sign _ _ P) as (c' & E & S). injection E as <-.
      exists (with_sign (- c) (fun b => slope_of (hashed f [b]) 1) a).
      assert (W := with_sign_opposite (- c) (fun b => slope_of (hashed f [b]) 1) a).
      destruct f; try discriminate; injection P as <-; cbn [answer_slopes parity Qnum]; (split; [reflexivity|]);
        rewrite W; auto; now (left + right).
    Qed.
  End Values.

  (* ---------------------------------------------------------------- The residue of a rational. *)

  Definition is_inverse (d e : Z) : bool := Z.eqb ((d * e) mod m) 1.
  (* Below m, and 0 where there is none. This is not computed anywhere, only reasoned about. *)
  Definition class (q : Q) : Z :=
    match find (is_inverse (Zpos (Qden (Qred q)))) (map Z.of_nat (seq 0 (Z.to_nat m))) with
    | Some e => (Qnum (Qred q) * e) mod m
    | None => 0
    end.

  Hypothesis large : least <= m.
  Let two : 2 <= m := at_least_two m large.

  Lemma zero_mod_same a : zero_mod m (a - a).
  Proof. exists 0. ring. Qed.
  Lemma same_remainder a b : zero_mod m (a - b) -> a mod m = b mod m.
  Proof. intros [k E]. replace a with (b + k * m) by lia. apply Z.mod_add. lia. Qed.

  Lemma class_eq p q : (p == q)%Q -> class p = class q.
  Proof. intros E. unfold class. now rewrite (Qred_complete _ _ E). Qed.
  Lemma class_below q : 0 <= class q < m.
  Proof. unfold class. destruct (find _ _); [apply Z.mod_pos_bound; lia | lia]. Qed.
  Lemma class_opp q : class (- q) = (- class q) mod m.
  Proof.
    unfold class. rewrite Qred_opp. cbn [Qopp Qden Qnum]. destruct (find _ _) as [e|]; [|now rewrite Z.mod_0_l by lia].
    apply same_remainder. replace (_ - _) with ((Qnum (Qred q) * e) mod m - Qnum (Qred q) * e) by ring.
    now apply mod_zero_mod.
  Qed.

  Lemma find_inverse d e : zero_mod m (d * e - 1) ->
    exists e', find (is_inverse d) (map Z.of_nat (seq 0 (Z.to_nat m))) = Some e' /\ zero_mod m (d * e' - 1).
  Proof.
    intros H. destruct (find _ _) as [e'|] eqn:F.
    - exists e'. split; [reflexivity|]. apply find_some in F as [_ F]. apply Z.eqb_eq in F.
      destruct (mod_zero_mod m two (d * e')) as [k K]. exists (- k). lia.
    - exfalso. apply find_none with (x := e mod m) in F.
      + apply Z.eqb_neq in F. apply F. rewrite Z.mul_mod_idemp_r by lia.
        rewrite (same_remainder _ 1 H). apply Z.mod_small. lia.
      + apply in_map_iff. pose proof (Z.mod_pos_bound e m). exists (Z.to_nat (e mod m)). split; [lia|]. apply in_seq. lia.
  Qed.

  Lemma class_reduces q z : reduces m q z -> class q = z mod m.
  Proof.
    intros (d & n & [e U] & E & N). unfold class. pose proof (Qred_correct q) as R.
    set (r := Qred q) in *. assert (G : Z.gcd (Qnum r) (Zpos (Qden r)) = 1) by (apply Qcanon.Qred_identity2, Qcanon.Qred_involutive).
    rewrite <- R in E. clearbody r. destruct r as [a b]. cbn [Qnum Qden] in *.
    assert (E' : d * a = n * Zpos b) by (revert E; unfold Qeq, Qmult, inject_Z; cbn [Qnum Qden]; lia).
    assert (Div : (Zpos b | d)).
    { apply Gauss with a; [exists n; lia|]. apply Zgcd_1_rel_prime. now rewrite Z.gcd_comm. }
    destruct Div as [k K]. assert (n = k * a) by (subst d; nia). subst n.
    assert (U' : zero_mod m (Zpos b * (k * e) - 1)) by (replace (Zpos b * (k * e)) with (d * e) by (subst d; ring); exact U).
    destruct (find_inverse _ _ U') as (e' & -> & I). apply same_remainder.
    (* a e' = a e' (d e) = e e' b k a = e e' b d z = z *)
    replace (a * e' - z) with (e * (k * a) * (Zpos b * e' - 1) + - (a * e') * (Zpos b * (k * e) - 1) +
      (- e * (d * z - k * a) + z * (d * e - 1))) by (subst d; ring).
    apply zero_mod_add; [|apply zero_mod_add; now apply zero_mod_mul]. apply zero_mod_add; now apply zero_mod_mul.
  Qed.
  Lemma class_integer z : class (inject_Z z) = z mod m.
  Proof. apply class_reduces, reduces_integer. Qed.
  Lemma class_zero : class 0 = 0.
  Proof. change 0%Q with (inject_Z 0). now rewrite class_integer, Z.mod_0_l by lia. Qed.
  Lemma class_one : class 1 = 1.
  Proof. change 1%Q with (inject_Z 1). rewrite class_integer. apply Z.mod_small. lia. Qed.

  Lemma same_classes u v : Forall2 Qeq u v -> map class u = map class v.
  Proof. intros H. induction H; cbn; f_equal; auto using class_eq. Qed.
  Lemma classes_reduce u y : Forall2 (reduces m) u y -> map class u = map (fun z => z mod m) y.
  Proof. intros H. induction H; cbn; f_equal; auto using class_reduces. Qed.

  (* ---------------------------------------------------------------- Whole powers, in any algebra whose elements have classes. *)

  Section Whole.
    Context {A : algebra} (of : A -> Z) (invert : A -> A) (other : function -> list A -> A).
    Hypothesis of_eq : forall a b : A, (a == b)%A -> of a = of b.
    Hypothesis of_integer : forall z, of (scalar (inject_Z z)) = z mod m.
    Hypothesis invert_eq : forall a b : A, (a == b)%A -> (invert a == invert b)%A.
    Hypothesis invert_inverse : forall a b : A, (b * a == 1)%A -> (invert a == b)%A.
    Hypothesis other_eq : forall f u v, Forall2 eqv u v -> (other f u == other f v)%A.

    Definition applied (f : function) (u : list A) : A :=
      match exponent f (map of u), u with Some n, a :: _ => whole_value invert a n | _, _ => other f u end.

    Lemma applied_eq f u v : Forall2 eqv u v -> (applied f u == applied f v)%A.
    Proof.
      intros H. assert (E : map of u = map of v) by (induction H; cbn; f_equal; auto).
      unfold applied. rewrite E. destruct (exponent f _) as [n|]; [|now apply other_eq].
      destruct H as [|a b u v H _]; [now apply other_eq|]. unfold whole_value.
      destruct (Z.leb 0 n); apply power_proper; auto.
    Qed.
    Lemma applied_other f u : f <> Power -> applied f u = other f u.
    Proof. intros N. unfold applied. destruct f; try reflexivity. easy. Qed.
    Lemma applied_one u : (other Power (one :: u) == 1)%A -> (applied Power (one :: u) == 1)%A.
    Proof.
      intros H. unfold applied. destruct (exponent _ _) as [n|]; [|exact H]. unfold whole_value.
      destruct (Z.leb 0 n); [apply power_one|]. transitivity (power (one : A) (Z.to_nat (- n))); [|apply power_one].
      apply power_proper; [|reflexivity]. apply invert_inverse. apply (Rmul_1_l (ring_laws A)).
    Qed.

    Lemma whole_exponent n : - most_whole <= n <= most_whole -> whole (n mod m) = Some n.
    Proof.
      unfold whole, least, most_whole in *. intros H. destruct (Z.leb_spec 0 n) as [P|P].
      - rewrite Z.mod_small by lia. now rewrite (proj2 (Z.leb_le n 1000)) by lia.
      - replace (n mod m) with (n + m) by (apply Z.mod_unique with (-1); lia).
        rewrite (proj2 (Z.leb_gt (n + m) 1000)), (proj2 (Z.leb_le (m - 1000) (n + m))) by lia. f_equal. lia.
    Qed.
    Lemma applied_whole n u : Z.of_nat n <= most_whole ->
      (applied Power [u; scalar (inject_Z (Z.of_nat n))] == power u n)%A.
    Proof.
      intros H. unfold applied. cbn [map exponent]. rewrite of_integer, whole_exponent by (unfold most_whole in *; lia).
      unfold whole_value. rewrite (proj2 (Z.leb_le 0 (Z.of_nat n))), Nat2Z.id by lia. reflexivity.
    Qed.
    Lemma applied_negative n u v : Z.of_nat n <= most_whole -> (v * u == 1)%A ->
      (applied Power [u; scalar (inject_Z (- Z.of_nat n))] == power v n)%A.
    Proof.
      intros H I. unfold applied. cbn [map exponent]. rewrite of_integer, whole_exponent by (unfold most_whole in *; lia).
      unfold whole_value. destruct n as [|n]; [reflexivity|].
      rewrite (proj2 (Z.leb_gt 0 (- Z.of_nat (S n)))), Z.opp_involutive, Nat2Z.id by lia.
      apply power_proper; [now apply invert_inverse | reflexivity].
    Qed.
  End Whole.

  Lemma inverse_of_rational (a b : rationals) : (b * a == 1)%A -> (/ a == b)%Q.
  Proof.
    intros H. change (b * a == 1)%Q in H. assert (N : ~ (a == 0)%Q) by (intros Z; rewrite Z, Qmult_0_r in H; discriminate).
    rewrite <- (Qmult_1_l (/ a)), <- H. field. exact N.
  Qed.

  Lemma reduces_inverse q y e : reduces m q y -> zero_mod m (y * e - 1) -> ~ (q == 0)%Q /\ reduces m (/ q) e.
  Proof.
    intros (d & n & [f F] & E & N) I.
    assert (U : zero_mod m (n * (e * f) - 1)).
    { replace (n * (e * f) - 1) with (- (e * f) * (d * y - n) + (d * f * (y * e - 1) + (d * f - 1))) by ring.
      apply zero_mod_add; [now apply zero_mod_mul|]. apply zero_mod_add; [now apply zero_mod_mul | exact F]. }
    assert (NZ : ~ (q == 0)%Q).
    { intros Z. rewrite Z, Qmult_0_r in E. assert (n = 0) as -> by (apply inject_Z_injective; symmetry; exact E).
      destruct U as [k K]. assert (k = 0 \/ k <= -1 \/ 1 <= k) by lia. unfold least, most_whole in large. nia. }
    split; [exact NZ|]. exists n, d. split; [now exists (e * f)|]. split; [rewrite <- E; now field|].
    replace (n * e - d) with (- e * (d * y - n) + d * (y * e - 1)) by ring. apply zero_mod_add; now apply zero_mod_mul.
  Qed.

  Lemma reduces_power_mod q z n : reduces m q z -> reduces m (power (q : rationals) n) (power_mod z n).
  Proof.
    intros H. induction n as [|n IH]; cbn [power power_mod]; [exact (reduces_integer m 1)|].
    apply (reduces_folded m two), reduces_mul; assumption.
  Qed.

  (* Functions of rationals. *)
  Definition applied_rationals (chance : positive -> Z) : function -> list rationals -> rationals :=
    applied (A := rationals) (class : rationals -> Z) Qinv (fun f u => inject_Z (answer chance f (map class u)) : rationals).

  Lemma reduces_value chance f u y v : Forall2 (reduces m) u y -> value_of chance f (map (fun z => z mod m) y) = Some v ->
    reduces m (applied_rationals chance f u) v.
  Proof.
    intros H. unfold value_of, applied_rationals, applied.
    assert (E : @map rationals Z class u = map (fun z => z mod m) y) by exact (classes_reduce u y H). rewrite E.
    destruct (exponent f _) as [n|] eqn:X.
    - destruct H as [|a b u y B _]; [now destruct f|]. cbn [map hd]. apply (reduces_mod m two) in B. unfold whole_value.
      destruct (Z.leb 0 n); [intros [= <-]; now apply reduces_power_mod|].
      destruct (checked_inverse m (b mod m)) as [c|] eqn:I; [|easy]. intros [= <-].
      apply reduces_power_mod, (reduces_inverse a (b mod m) c B). now apply (checked_inverse_spec m two).
    - intros [= <-]. rewrite <- E. destruct u; apply reduces_integer.
  Qed.

  Definition functions_of_rationals (chance : positive -> Z) : interpretation rationals.
  Proof.
    assert (Eq : forall f (u v : list rationals), Forall2 Qeq u v -> (inject_Z (answer chance f (map class u)) == inject_Z (answer chance f (map class v)))%Q)
      by (intros f u v H; now rewrite (same_classes u v H)).
    refine {| apply := applied_rationals chance |}.
    - exact (applied_eq (A := rationals) (class : rationals -> Z) Qinv _ class_eq Qinv_comp Eq).
    - intros f c H. unfold applied_rationals. rewrite (applied_other (A := rationals) (class : rationals -> Z) Qinv) by now destruct f.
      cbn [map]. change (@zero rationals) with 0%Q. rewrite class_zero, (answer_at_zero _ _ _ H). reflexivity.
    - intros f c H. unfold applied_rationals. rewrite (applied_other (A := rationals) (class : rationals -> Z) Qinv) by now destruct f.
      cbn [map]. change (@one rationals) with 1%Q. rewrite class_one, (answer_at_one _ _ _ H). reflexivity.
    - intros f c u H. unfold applied_rationals. rewrite !(applied_other (A := rationals) (class : rationals -> Z) Qinv) by now destruct f.
      destruct (parity_sign _ _ H) as (s & -> & S). cbn [map].
      change (class (opp u)) with (class (- u)). rewrite class_opp, (answer_opposite chance large f s _ H (class_below u)).
      change (inject_Z (s * answer chance f [class u]) == inject_Z s * inject_Z (answer chance f [class u]))%Q.
      now rewrite inject_Z_mult.
    - intros u. apply (applied_one (A := rationals) (class : rationals -> Z) Qinv); [exact inverse_of_rational|].
      cbn [map]. change (@one rationals) with 1%Q. now rewrite class_one, answer_power.
    - apply (applied_whole (A := rationals) (class : rationals -> Z) Qinv); trivial. exact class_integer.
    - apply (applied_negative (A := rationals) (class : rationals -> Z) Qinv); trivial; [exact class_integer | exact inverse_of_rational].
  Defined.
End Modulo.
