(* Rationals modulo a number: what they reduce to, and that sums and products reduce to sums and products.

   The modulus need not be a prime; it must be 2 at least, and denominators must have inverses. *)

From Coq Require Import QArith List Lia ZArith.
From Symlump Require Import Algebra Systems.
Import ListNotations.
Local Open Scope Z_scope.

Notation row := (list (Q * positive)).
Definition residues := list (positive * Z).  (* sorted by variable *)

(* What a list of residues says of a state. *)
Fixpoint dot (x : positive -> Z) (a : residues) : Z := match a with [] => 0 | (u, y) :: a => y * x u + dot x a end.

(* What a function makes of all elements, if it makes something of each. *)
Fixpoint every {X Y : Type} (f : X -> option Y) (l : list X) : option (list Y) :=
  match l with
  | [] => Some []
  | x :: l => match f x, every f l with Some y, Some k => Some (y :: k) | _, _ => None end
  end.

Lemma every_spec {X Y : Type} (f : X -> option Y) l k : every f l = Some k -> Forall2 (fun x y => f x = Some y) l k.
Proof.
  revert k. induction l as [|x l IH]; intros k; cbn [every]; [now intros [= <-]|].
  destruct (f x) eqn:E, (every f l); try discriminate. intros [= <-]. auto.
Qed.

(* The lowest n bits of a number, and the others. *)
Fixpoint split_bits (n : nat) (p : positive) : N * N :=
  match n with
  | O => (N0, Npos p)
  | S n => match p with
           | xH => (Npos xH, N0)
           | xO p => let (low, high) := split_bits n p in (N.double low, high)
           | xI p => let (low, high) := split_bits n p in (N.succ_double low, high)
           end
  end.
Lemma split_bits_sum n p : let (low, high) := split_bits n p in Zpos p = Z.of_N low + 2 ^ Z.of_nat n * Z.of_N high.
Proof.
  revert p. induction n as [|n IH]; intros p; [cbn [split_bits Z.of_nat Z.of_N]; rewrite Z.pow_0_r; lia|].
  rewrite Nat2Z.inj_succ, Z.pow_succ_r by lia. cbn [split_bits]. destruct p as [p|p|]; [| |cbn [Z.of_N]; lia].
  - specialize (IH p). destruct (split_bits n p) as [low high]. rewrite Pos2Z.inj_xI, IH.
    replace (Z.of_N (N.succ_double low)) with (2 * Z.of_N low + 1) by (destruct low; reflexivity). ring.
  - specialize (IH p). destruct (split_bits n p) as [low high]. rewrite Pos2Z.inj_xO, IH.
    replace (Z.of_N (N.double low)) with (2 * Z.of_N low) by (destruct low; reflexivity). ring.
Qed.

Section Modulo.
  Variable m : Z.

  (* Remainders: 2^n = c modulo m, so bits beyond the lowest n count c times; c is small if m lies just below 2^n. *)
  Fixpoint folded_bits (steps n : nat) (c : Z) (p : positive) : Z :=
    match steps with
    | O => Zpos p
    | S steps => let (low, high) := split_bits n p in
      match high with
      | N0 => Zpos p
      | _ => match Z.of_N low + c * Z.of_N high with Zpos q => folded_bits steps n c q | z => z end
      end
    end.
  Definition folded_positive (n : nat) (c : Z) (p : positive) : Z :=
    let b := folded_bits 8 n c p in
    if Z.ltb b m then b else let d := b - m in if Z.ltb d m then d else Z.modulo d m.
  Definition folded : Z -> Z :=
    let n := match m with Zpos p => Pos.size_nat p | _ => O end in
    let c := 2 ^ Z.of_nat n - m in
    fun a => match a with
             | Z0 => Z0
             | Zpos p => folded_positive n c p
             | Zneg p => match folded_positive n c p with Z0 => Z0 | b => m - b end
             end.

  (* A number e with n e = 1 modulo m, if the extended Euclidean algorithm finds one. *)
  Fixpoint euclid (fuel : nat) (a b u v : Z) : Z :=  (* a = u n, b = v n modulo m *)
    match fuel with
    | O => u
    | S fuel => if Z.eqb b 0 then u else let (q, r) := Z.div_eucl a b in euclid fuel b r v (folded (u + q * (m - v)))
    end.
  Definition inverse (n : Z) : Z := Z.modulo (euclid (S (2 * Z.to_nat (Z.log2_up m + 2))) m (Z.modulo n m) 0 1) m.
  Definition checked_inverse (n : Z) : option Z :=
    let e := inverse n in if Z.eqb (Z.modulo (n * e) m) 1 then Some e else None.

  Definition residue (q : Q) : option Z :=
    if Pos.eqb (Qden q) 1 then Some (Z.modulo (Qnum q) m)
    else match checked_inverse (Zpos (Qden q)) with Some e => Some (Z.modulo (Qnum q * e) m) | None => None end.

  (* a + f b *)
  Fixpoint add_multiple (a : residues) (f : Z) : residues -> residues :=
    match a with
    | [] => fun b => map (fun '(v, z) => (v, folded (f * z))) b
    | (u, y) :: a' => fix inner (b : residues) : residues :=
        match b with
        | [] => a
        | (v, z) :: b' => match (u ?= v)%positive with
                          | Lt => (u, y) :: add_multiple a' f b
                          | Eq => (u, folded (y + f * z)) :: add_multiple a' f b'
                          | Gt => (v, folded (f * z)) :: inner b'
                          end
        end
    end.

  Fixpoint residues_of (r : row) : option residues :=
    match r with
    | [] => Some []
    | (q, v) :: r => match residue q, residues_of r with
                     | Some z, Some l => Some (add_multiple l 1 [(v, z)])
                     | _, _ => None
                     end
    end.

  (* ---------------------------------------------------------------- Congruence. *)

  Hypothesis m_large : 2 <= m.
  Definition zero_mod (z : Z) : Prop := exists k, z = k * m.

  Lemma zero_mod_0 : zero_mod 0.
  Proof. now exists 0. Qed.
  Lemma zero_mod_add a b : zero_mod a -> zero_mod b -> zero_mod (a + b).
  Proof. intros [k ->] [l ->]. exists (k + l). ring. Qed.
  Lemma zero_mod_mul a b : zero_mod b -> zero_mod (a * b).
  Proof. intros [k ->]. exists (a * k). ring. Qed.
  Lemma zero_mod_opp a : zero_mod a -> zero_mod (- a).
  Proof. intros [k ->]. exists (- k). ring. Qed.
  Lemma zero_mod_sub a b : zero_mod a -> zero_mod (a - b) -> zero_mod b.
  Proof. intros [k E] [l F]. exists (k - l). rewrite Z.mul_sub_distr_r, <- E, <- F. ring. Qed.
  Lemma mod_zero_mod a : zero_mod (a mod m - a).
  Proof. exists (- (a / m)). rewrite Z.mod_eq by lia. ring. Qed.
  Lemma folded_bits_mod steps n p : zero_mod (folded_bits steps n (2 ^ Z.of_nat n - m) p - Zpos p).
  Proof.
    revert p. induction steps as [|steps IH]; intros p; cbn [folded_bits]; [exists 0; ring|].
    pose proof (split_bits_sum n p) as S. destruct (split_bits n p) as [low high]. set (c := 2 ^ Z.of_nat n - m) in *.
    assert (E : zero_mod (Z.of_N low + c * Z.of_N high - Zpos p)) by (exists (- Z.of_N high); rewrite S; unfold c; ring).
    destruct high; [exists 0; ring|]. destruct (Z.of_N low + c * _) as [|q|q]; trivial.
    replace (folded_bits steps n c q - Zpos p) with (folded_bits steps n c q - Zpos q + (Zpos q - Zpos p)) by ring.
    now apply zero_mod_add.
  Qed.
  Lemma folded_positive_mod n p : zero_mod (folded_positive n (2 ^ Z.of_nat n - m) p - Zpos p).
  Proof.
    unfold folded_positive. pose proof (folded_bits_mod 8 n p) as H. set (b := folded_bits _ _ _ p) in *. cbv zeta.
    destruct (Z.ltb b m); [exact H|]. assert (D : zero_mod (b - m - Zpos p)).
    { replace (b - m - Zpos p) with (b - Zpos p + -1 * m) by ring. apply zero_mod_add; [exact H | now exists (-1)]. }
    destruct (Z.ltb _ m); [exact D|].
    replace ((b - m) mod m - Zpos p) with ((b - m) mod m - (b - m) + (b - m - Zpos p)) by ring.
    apply zero_mod_add; [now apply mod_zero_mod | exact D].
  Qed.
  Lemma folded_mod a : zero_mod (folded a - a).
  Proof.
    unfold folded. set (n := match m with Zpos p => _ | _ => _ end). cbv zeta.
    destruct a as [|p|p]; [exists 0; ring | apply folded_positive_mod|].
    pose proof (folded_positive_mod n p) as H. set (b := folded_positive _ _ p) in *.
    assert (Z : zero_mod (m - b - Zneg p)).
    { replace (m - b - Zneg p) with (- (b - Zpos p) + 1 * m) by (rewrite <- Pos2Z.opp_pos; ring).
      apply zero_mod_add; [now apply zero_mod_opp | now exists 1]. }
    destruct b as [|q|q]; trivial. replace (0 - Zneg p) with (- (0 - Zpos p)) by (rewrite <- Pos2Z.opp_pos; ring).
    now apply zero_mod_opp.
  Qed.
  Lemma zero_mod_iff a : a mod m = 0 -> zero_mod a.
  Proof. intros H. exists (a / m). rewrite Z.mul_comm. apply Z.div_exact; lia. Qed.

  Lemma checked_inverse_spec n e : checked_inverse n = Some e -> zero_mod (n * e - 1).
  Proof.
    unfold checked_inverse. cbv zeta. destruct (Z.eqb_spec ((n * inverse n) mod m) 1) as [E|]; [|easy].
    intros H. injection H as <-. destruct (mod_zero_mod (n * inverse n)) as [k K]. exists (- k). lia.
  Qed.

  Section Dot.
    Variable x : positive -> Z.

    Lemma dot_multiple f b : zero_mod (dot x (map (fun '(v, z) => (v, folded (f * z))) b) - f * dot x b).
    Proof.
      induction b as [|[v z] b IH]; cbn [map dot]; [exists 0; ring|].
      replace (_ - _) with (x v * (folded (f * z) - f * z) +
        (dot x (map (fun '(v, z) => (v, folded (f * z))) b) - f * dot x b)) by ring.
      apply zero_mod_add; [apply zero_mod_mul, folded_mod | exact IH].
    Qed.

    Lemma dot_add_multiple a f b : zero_mod (dot x (add_multiple a f b) - (dot x a + f * dot x b)).
    Proof.
      revert b. induction a as [|[u y] a IHa]; intros b.
      - cbn [add_multiple dot]. rewrite Z.add_0_l. apply dot_multiple.
      - induction b as [|[v z] b IHb].
        + exists 0. cbn. ring.
        + cbn [add_multiple]. cbn [add_multiple] in IHb. destruct (Pos.compare_spec u v) as [<-|H|H]; cbn [dot].
          * replace (_ - _) with (x u * (folded (y + f * z) - (y + f * z)) +
              (dot x (add_multiple a f b) - (dot x a + f * dot x b))) by ring.
            apply zero_mod_add; [apply zero_mod_mul, folded_mod | apply IHa].
          * replace (_ - _) with (dot x (add_multiple a f ((v, z) :: b)) - (dot x a + f * dot x ((v, z) :: b)))
              by (cbn [dot]; ring). apply IHa.
          * cbn [dot] in IHb.
            match goal with |- zero_mod ?g => match type of IHb with zero_mod ?h =>
              replace g with (x v * (folded (f * z) - f * z) + h) by ring end end.
            apply zero_mod_add; [apply zero_mod_mul, folded_mod | exact IHb].
    Qed.
  End Dot.

  (* ---------------------------------------------------------------- What a rational reduces to. *)

  (* Up to a factor that has an inverse, they agree. *)
  Definition reduces (q : Q) (z : Z) : Prop :=
    exists d n, (exists e, zero_mod (d * e - 1)) /\ (inject_Z d * q == inject_Z n)%Q /\ zero_mod (d * z - n).

  Lemma reduces_eq q p z y : (q == p)%Q -> zero_mod (z - y) -> reduces q z -> reduces p y.
  Proof.
    intros E C (d & n & I & Q & Z). exists d, n. split; [exact I|]. split; [now rewrite <- E|].
    replace (_ - _) with (d * z - n + - (d * (z - y))) by ring.
    apply zero_mod_add; [exact Z | now apply zero_mod_opp, zero_mod_mul].
  Qed.

  Lemma reduces_integer z : reduces (inject_Z z) z.
  Proof. exists 1, z. split; [exists 1; now exists 0|]. split; [apply Qmult_1_l|]. exists 0. ring. Qed.

  Lemma units d e : (exists f, zero_mod (d * f - 1)) -> (exists f, zero_mod (e * f - 1)) -> exists f, zero_mod (d * e * f - 1).
  Proof.
    intros [f F] [g G]. exists (f * g). replace (_ - _) with (e * g * (d * f - 1) + (e * g - 1)) by ring.
    apply zero_mod_add; [now apply zero_mod_mul | exact G].
  Qed.

  Lemma reduces_add q p z y : reduces q z -> reduces p y -> reduces (q + p) (z + y).
  Proof.
    intros (d & n & I & Q & Z) (e & k & J & P & Y). exists (d * e), (e * n + d * k). split; [now apply units|]. split.
    - rewrite inject_Z_plus, !inject_Z_mult, <- Q, <- P. ring.
    - replace (_ - _) with (e * (d * z - n) + d * (e * y - k)) by ring. apply zero_mod_add; now apply zero_mod_mul.
  Qed.

  Lemma reduces_mul q p z y : reduces q z -> reduces p y -> reduces (q * p) (z * y).
  Proof.
    intros (d & n & I & Q & Z) (e & k & J & P & Y). exists (d * e), (n * k). split; [now apply units|]. split.
    - rewrite !inject_Z_mult, <- Q, <- P. ring.
    - replace (_ - _) with (e * y * (d * z - n) + n * (e * y - k)) by ring. apply zero_mod_add; now apply zero_mod_mul.
  Qed.

  Lemma reduces_mod q z : reduces q z -> reduces q (z mod m).
  Proof.
    apply reduces_eq; [reflexivity|]. replace (z - z mod m) with (- (z mod m - z)) by ring. apply zero_mod_opp, mod_zero_mod.
  Qed.

  Lemma reduces_folded q z : reduces q z -> reduces q (folded z).
  Proof.
    apply reduces_eq; [reflexivity|]. replace (z - folded z) with (- (folded z - z)) by ring. apply zero_mod_opp, folded_mod.
  Qed.

  (* What is 0 reduces to nothing else, so equal rationals reduce to equal numbers. *)
  Lemma reduces_zero q z : (q == 0)%Q -> reduces q z -> zero_mod z.
  Proof.
    intros E (d & n & [e U] & Q & Z). rewrite E, Qmult_0_r in Q.
    assert (N : n = 0) by (apply inject_Z_injective; symmetry; exact Q). subst n. rewrite Z.sub_0_r in Z.
    apply zero_mod_sub with (e * (d * z)); [now apply zero_mod_mul|].
    replace (_ - _) with (z * (d * e - 1)) by ring. now apply zero_mod_mul.
  Qed.

  Lemma residue_reduces q z : residue q = Some z -> reduces q z.
  Proof.
    assert (E : (inject_Z (Zpos (Qden q)) * q == inject_Z (Qnum q))%Q).
    { destruct q as [n k]. unfold inject_Z, Qeq, Qmult. cbn [Qnum Qden]. rewrite Pos.mul_1_l. ring. }
    unfold residue. destruct (Pos.eqb_spec (Qden q) 1) as [D|_].
    - intros [= <-]. apply reduces_mod, reduces_eq with (3 := reduces_integer (Qnum q)).
      + rewrite D in E. rewrite <- E. apply Qmult_1_l.
      + exists 0. ring.
    - destruct (checked_inverse _) as [e|] eqn:U; [|easy]. intros [= <-]. apply checked_inverse_spec in U.
      apply reduces_mod. exists (Zpos (Qden q)), (Qnum q). split; [now exists e|]. split; [exact E|].
      replace (_ - _) with (Qnum q * (Zpos (Qden q) * e - 1)) by ring. now apply zero_mod_mul.
  Qed.

  (* ---------------------------------------------------------------- What a row reduces to. *)

  Definition represents (r : row) (a : residues) : Prop := forall (x : positive -> Q) (y : positive -> Z),
    (forall v, reduces (x v) (y v)) -> reduces (combination r (x : state)) (dot y a).

  Lemma represents_nothing : represents [] [].
  Proof. intros x y _. exact (reduces_integer 0). Qed.

  Lemma residues_of_represents r a : residues_of r = Some a -> represents r a.
  Proof.
    revert a. induction r as [|[q v] r IH]; intros a; cbn [residues_of]; [intros [= <-]; apply represents_nothing|].
    destruct (residue q) as [z|] eqn:E; [|easy]. destruct (residues_of r) as [l|]; [|easy]. intros [= <-] x y H.
    apply residue_reduces in E. apply reduces_eq with (q * x v + combination r (x : state))%Q (z * y v + dot y l).
    - reflexivity.
    - destruct (dot_add_multiple y l 1 [(v, z)]) as [k K]. cbn [dot] in K. exists (- k).
      replace (dot y (add_multiple l 1 [(v, z)])) with (k * m + (dot y l + 1 * (z * y v + 0))) by lia. ring.
    - apply reduces_add; [now apply reduces_mul | now apply IH].
  Qed.

  Lemma represents_vanish r a (x : positive -> Z) : represents r a ->
    (combination r (fun v => inject_Z (x v) : rationals) == 0)%Q -> zero_mod (dot x a).
  Proof. intros R C. apply (reduces_zero _ _ C). apply R. intros v. apply reduces_integer. Qed.
End Modulo.
