(* Rows that are independent modulo a number are independent over Q.

   [eliminate] brings residues of rows to echelon form modulo m. If it succeeds, no state other than zero that lives on
   the pivots alone is annihilated by all rows ([independent]): its entries would be divisible by m, and again, and
   so on. m need not be a prime. *)

From Coq Require Import QArith List Lia ZArith Znumtheory.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup.
From Symlump Require Export Residue.
Import ListNotations.
Local Open Scope Z_scope.

Section Modulo.
  Variable m : Z.

  (* Take out what earlier rows begin with; the first entry of what is left is the new pivot. *)
  Fixpoint reduce (fuel : nat) (done : trie residues) (a : residues) : option (positive * residues) :=
    match fuel with
    | O => None
    | S fuel =>
      match a with
      | [] => None
      | (u, y) :: a' =>
        if Z.eqb (Z.modulo y m) 0 then reduce fuel done a' else
        match get u done with
        | Some b => reduce fuel done (add_multiple m a (- y) b)
        | None => match checked_inverse m y with
                  | Some e => Some (u, (u, 1) :: map (fun '(v, z) => (v, folded m (e * z))) a')
                  | None => None
                  end
        end
      end
    end.

  (* The pivots; rows in echelon form by pivot. *)
  Fixpoint eliminate (fuel : nat) (rows : list residues) (pivots : list positive) (done : trie residues)
    : option (list positive * trie residues) :=
    match rows with
    | [] => Some (pivots, done)
    | a :: rows =>
      match reduce fuel done a with
      | None => None
      | Some (p, b) => if is_there done p then None else eliminate fuel rows (p :: pivots) (put p b done)
      end
    end.

  (* ---------------------------------------------------------------- What it means. *)

  Hypothesis m_large : 2 <= m.
  Variable x : positive -> Z.
  Notation zero_mod := (zero_mod m).
  Notation dot := (dot x).

  Definition vanish (done : trie residues) : Prop := forall p b, get p done = Some b -> zero_mod (dot b).

  Lemma reduce_vanish fuel done a p b : vanish done -> reduce fuel done a = Some (p, b) ->
    zero_mod (dot a) -> zero_mod (dot b).
  Proof.
    intros V. revert a. induction fuel as [|fuel IH]; intros a; [easy|].
    destruct a as [|[u y] a]; [easy|]. cbn [reduce].
    destruct (Z.eqb_spec (y mod m) 0) as [Y|Y].
    - intros H Z. apply (IH a H). apply (zero_mod_iff m m_large) in Y. cbn [dot] in Z.
      replace (dot a) with (y * x u + dot a + - (x u * y)) by ring.
      apply zero_mod_add; [exact Z | now apply zero_mod_opp, zero_mod_mul].
    - destruct (get u done) as [c|] eqn:G.
      + intros H Z. apply (IH _ H). destruct (dot_add_multiple m m_large x ((u, y) :: a) (- y) c) as [k K].
        replace (dot (add_multiple m ((u, y) :: a) (- y) c)) with (k * m + (dot ((u, y) :: a) + - y * dot c)) by lia.
        apply zero_mod_add; [now exists k|]. apply zero_mod_add; [exact Z|]. apply zero_mod_mul. now apply (V u).
      + destruct (checked_inverse m y) as [e|] eqn:E; [|easy]. intros H Z. injection H as <- <-.
        apply (checked_inverse_spec m m_large) in E. cbn [dot] in *.
        destruct (dot_multiple m m_large x e a) as [k K].
        replace (1 * x u + _) with (e * (y * x u + dot a) + (k * m + - (x u * (y * e - 1)))) by lia.
        apply zero_mod_add; [now apply zero_mod_mul|]. apply zero_mod_add; [now exists k|].
        now apply zero_mod_opp, zero_mod_mul.
  Qed.

  Lemma eliminate_vanish fuel rows pivots done pivots' done' :
    eliminate fuel rows pivots done = Some (pivots', done') ->
    (forall a, In a rows -> zero_mod (dot a)) -> vanish done -> vanish done'.
  Proof.
    revert pivots done. induction rows as [|a rows IH]; intros pivots done; cbn [eliminate].
    - intros H. injection H as _ <-. auto.
    - destruct (reduce fuel done a) as [[p b]|] eqn:E; [|easy].
      destruct (is_there done p); [easy|]. intros H C V. apply (IH _ _ H); [intros; apply C; now right|].
      intros k c. rewrite get_put. destruct (Pos.eqb k p); [|apply V].
      intros G. injection G as <-. apply (reduce_vanish _ _ _ _ _ V E). apply C. now left.
  Qed.

  (* Every pivot begins its row, with a 1. *)
  Definition echelon (pivots : list positive) (done : trie residues) : bool :=
    forallb (fun p => match get p done with
                      | Some ((u, y) :: rest) => Pos.eqb u p && Z.eqb y 1 && forallb (fun '(v, _) => Pos.ltb p v) rest
                      | _ => false
                      end) pivots.

  Lemma pivots_vanish pivots done : vanish done -> echelon pivots done = true ->
    (forall u, ~ In u pivots -> x u = 0) -> forall u, zero_mod (x u).
  Proof.
    intros V E O.
    assert (B : exists B, forall u, In u pivots -> (Pos.to_nat u <= B)%nat).
    { clear. induction pivots as [|p l [B IH]]; [now exists 0%nat|]. exists (Nat.max (Pos.to_nat p) B).
      intros u [<-|U]; [lia | specialize (IH u U); lia]. }
    destruct B as [B HB]. unfold echelon in E. rewrite forallb_forall in E.
    assert (H : forall n u, (B < Pos.to_nat u + n)%nat -> zero_mod (x u)).
    { induction n as [|n IH]; intros u U.
      - rewrite O; [apply zero_mod_0|]. intros P. specialize (HB u P). lia.
      - destruct (in_dec Pos.eq_dec u pivots) as [P|P]; [|rewrite O by trivial; apply zero_mod_0].
        specialize (E u P). destruct (get u done) as [[|[w y] rest]|] eqn:G; try easy.
        apply andb_prop in E as [E L]. apply andb_prop in E as [E Y].
        apply Pos.eqb_eq in E. apply Z.eqb_eq in Y. subst w y. apply V in G. cbn [dot] in G.
        replace (x u) with (1 * x u + dot rest + - dot rest) by ring.
        apply zero_mod_add; [exact G|]. apply zero_mod_opp. clear G P.
        induction rest as [|[v z] rest IHr]; [apply zero_mod_0|]. cbn [forallb dot] in *.
        apply andb_prop in L as [L Lr]. apply Pos.ltb_lt, Pos2Nat.inj_lt in L.
        apply zero_mod_add; [|now apply IHr]. apply zero_mod_mul, IH. lia. }
    intros u. apply (H (S B)). lia.
  Qed.
End Modulo.

Lemma eliminate_pivots m fuel rows pivots done pivots' done' :
  eliminate m fuel rows pivots done = Some (pivots', done') ->
  NoDup pivots -> (forall p, In p pivots -> is_there done p = true) ->
  NoDup pivots' /\ length pivots' = (length rows + length pivots)%nat.
Proof.
  revert pivots done. induction rows as [|r rows IH]; intros pivots done; cbn [eliminate].
  - intros H. injection H as <- _. auto.
  - destruct (reduce m fuel done r) as [[p b]|]; [|easy].
    destruct (is_there done p) eqn:T; [easy|]. intros H N I. destruct (IH _ _ H) as [N' L].
    + constructor; [|exact N]. intros P. apply I in P. now rewrite P in T.
    + intros q [<-|Q]; unfold is_there; rewrite get_put; [now rewrite Pos.eqb_refl|].
      apply I in Q. unfold is_there in Q. now destruct (Pos.eqb q p).
    + split; [exact N'|]. rewrite L. cbn. lia.
Qed.

(* A step takes out an entry, or a zero at the beginning: no row needs more than two for each variable. *)
Definition independence_check (variables : nat) (m : Z) (vectors : list residues) : option (list positive) :=
  if Z.leb 2 m then
    match eliminate m (S (variables + variables)) vectors [] Empty with
    | Some (pivots, done) => if echelon pivots done then Some pivots else None
    | None => None
    end
  else None.

Definition annihilated (rows : list row) (x : state) : Prop := forall r, In r rows -> (combination r x == 0)%Q.
Definition lives_on (pivots : list positive) (x : state) : Prop := forall u, ~ In u pivots -> (x u == 0)%Q.

Lemma combination_ext {A : algebra} (r : row) (x y : positive -> A) :
  (forall u, (x u == y u)%A) -> (combination r x == combination r y)%A.
Proof. intros H. induction r as [|[w v] r IH]; cbn; [reflexivity|]. now rewrite IH, (H v). Qed.

Lemma combination_scale (r : row) c (x : state) : (combination r (fun u => c * x u : rationals) == c * combination r x)%Q.
Proof. induction r as [|[w v] r IH]; cbn [combination]; cbn [add mul scalar zero rationals]; [ring | rewrite IH; ring]. Qed.

Section Independent.
  Variables (size : nat) (m : Z) (vectors : list residues) (pivots : list positive).
  Hypothesis checked : independence_check size m vectors = Some pivots.

  Lemma checked_parts : 2 <= m /\ NoDup pivots /\ length pivots = length vectors /\
    exists fuel done, eliminate m fuel vectors [] Empty = Some (pivots, done) /\ echelon pivots done = true.
  Proof.
    unfold independence_check in checked. destruct (Z.leb_spec 2 m) as [M|]; [|easy].
    set (fuel := S (size + size)) in *. destruct (eliminate m fuel vectors [] Empty) as [[p d]|] eqn:E; [|easy].
    destruct (echelon p d) eqn:F; [|easy]. injection checked as <-.
    destruct (eliminate_pivots _ _ _ _ _ _ _ E) as [N L]; [constructor | easy |]. rewrite Nat.add_0_r in L.
    repeat split; trivial. now exists fuel, d.
  Qed.

  (* Vectors stand for rows, which annihilate a state. *)
  Definition vanishing_on (x : state) : Prop :=
    forall a, In a vectors -> exists r, represents m r a /\ (combination r x == 0)%Q.

  Lemma divisible j : forall x : positive -> Z, (forall u, ~ In u pivots -> x u = 0) ->
    vanishing_on (fun u => inject_Z (x u)) -> forall u, exists k, x u = k * m ^ Z.of_nat j.
  Proof.
    destruct checked_parts as (M & _ & _ & fuel & done & E & F).
    induction j as [|j IH]; intros x O A u; [exists (x u); cbn; lia|].
    assert (V : forall u, zero_mod m (x u)).
    { apply pivots_vanish with pivots done; trivial.
      apply (eliminate_vanish m M x fuel vectors [] Empty pivots done E).
      { intros a I. destruct (A a I) as (r & R & C). now apply (represents_vanish m r a x). }
      intros p b G. now destruct p. }
    destruct (V u) as [k K]. destruct (IH (fun u => x u / m)) with (u := u) as [l L].
    - intros w W. rewrite O by trivial. now apply Z.div_0_l; lia.
    - intros a Ia. destruct (A a Ia) as (r & R & C). exists r. split; [exact R|]. assert (S : (inject_Z m * combination r (fun u => inject_Z (x u / m) : rationals) == 0)%Q).
      { rewrite <- combination_scale. rewrite <- C. apply (combination_ext (A := rationals)). intros w.
        cbn. rewrite <- inject_Z_mult. destruct (V w) as [i J]. rewrite J, Z.div_mul by lia. now rewrite Z.mul_comm. }
      apply Qmult_integral in S as [S|S]; [|exact S]. exfalso.
      apply (proj1 (inject_Z_injective m 0)) in S. lia.
    - exists l. rewrite Nat2Z.inj_succ, Z.pow_succ_r by lia. rewrite K in *. rewrite Z.div_mul in L by lia. rewrite L. ring.
  Qed.

  Lemma integers_vanish (x : positive -> Z) : (forall u, ~ In u pivots -> x u = 0) ->
    vanishing_on (fun u => inject_Z (x u)) -> forall u, x u = 0.
  Proof.
    intros O A u. destruct (divisible (Z.abs_nat (x u)) x O A u) as [k K].
    destruct checked_parts as (M & _). rewrite Zabs2Nat.id_abs in K.
    assert (P : Z.abs (x u) < m ^ Z.abs (x u)) by (apply Z.pow_gt_lin_r; lia).
    destruct (Z.eq_dec k 0) as [->|N]; [now rewrite K|]. exfalso.
    assert (Z.abs (x u) = Z.abs k * m ^ Z.abs (x u)) by (rewrite K at 1; rewrite Z.abs_mul, (Z.abs_eq (m ^ _)); lia).
    nia.
  Qed.

  Lemma common_denominator (x : state) l :
    exists D (y : positive -> Z), 0 < D /\ forall u, In u l -> (inject_Z (y u) == inject_Z D * x u)%Q.
  Proof.
    induction l as [|v l (D & y & P & H)]; [exists 1, (fun _ => 0); split; [lia | easy]|].
    set (d := Zpos (Qden (x v))). assert (Q : (inject_Z d * x v == inject_Z (Qnum (x v)))%Q).
    { unfold d. destruct (x v) as [n k]. unfold inject_Z, Qeq, Qmult. cbn [Qnum Qden]. rewrite Pos.mul_1_l. ring. }
    exists (d * D), (fun u => if Pos.eqb u v then D * Qnum (x v) else d * y u). split; [lia|].
    intros u U. destruct (Pos.eqb_spec u v) as [->|N].
    - rewrite !inject_Z_mult, <- Q. ring.
    - destruct U as [U|U]; [now destruct N|]. rewrite !inject_Z_mult, (H u U). ring.
  Qed.

  Theorem independent (x : state) : lives_on pivots x -> vanishing_on x -> forall u, (x u == 0)%Q.
  Proof.
    intros O A. destruct (common_denominator x pivots) as (D & y & P & H).
    set (z := fun u => if in_dec Pos.eq_dec u pivots then y u else 0).
    assert (E : forall u, (inject_Z (z u) == inject_Z D * x u)%Q).
    { intros u. unfold z. destruct (in_dec Pos.eq_dec u pivots) as [I|I]; [now apply H|]. rewrite (O u I). cbn. ring. }
    assert (Z : forall u, z u = 0).
    { apply integers_vanish.
      - intros u I. unfold z. now destruct (in_dec Pos.eq_dec u pivots).
      - intros a Ia. destruct (A a Ia) as (r & R & C). exists r. split; [exact R|].
        transitivity (inject_Z D * combination r x)%Q; [|rewrite C; ring].
        rewrite <- combination_scale. apply (combination_ext (A := rationals)). exact E. }
    intros u. specialize (E u). rewrite Z in E. symmetry in E. apply Qmult_integral in E as [E|E]; [|exact E].
    exfalso. apply (proj1 (inject_Z_injective D 0)) in E. lia.
  Qed.
End Independent.
