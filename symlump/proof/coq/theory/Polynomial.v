(* Sparse polynomials over Q: what they mean, and a normal form that is computed in about linear time.

   A polynomial is a list of terms; equal monomials add up. [eval] says what it means in any algebra. [coef]
   says what the coefficient of a monomial is. [gather] collects a polynomial in a trie, whose keys are the
   monomials in normal form, written as bits; [value_gather] says that what is found there is [coef]. *)

From Coq Require Import QArith List Lia PeanoNat.
From Symlump Require Import Algebra Trie.
Import ListNotations.

Definition monomial := list (positive * positive).  (* variables and their powers *)
Definition polynomial := list (Q * monomial).

(* How they are written in a certificate. *)
Definition times (v : positive) (m : monomial) : monomial := (v, xH) :: m.
Definition times_power (v e : positive) (m : monomial) : monomial := (v, e) :: m.
Definition plus (c : Q) (m : monomial) (p : polynomial) : polynomial := (c, m) :: p.
Definition unit : monomial := [].

(* What they mean. *)
Fixpoint product {A : algebra} (x : positive -> A) (m : monomial) : A :=
  match m with
  | [] => one
  | (v, e) :: m => mul (power (x v) (Pos.to_nat e)) (product x m)
  end.

Fixpoint eval {A : algebra} (x : positive -> A) (p : polynomial) : A :=
  match p with
  | [] => zero
  | (c, m) :: p => add (mul (scalar c) (product x m)) (eval x p)
  end.

(* ------------------------------------------------------------------ Monomials in normal form: sorted, no variable twice. *)

Fixpoint insert (v e : positive) (m : monomial) : monomial :=
  match m with
  | [] => [(v, e)]
  | (w, f) :: r => match (v ?= w)%positive with
                   | Lt => (v, e) :: m
                   | Eq => (v, (e + f)%positive) :: r
                   | Gt => (w, f) :: insert v e r
                   end
  end.

Fixpoint normal (m : monomial) : monomial :=
  match m with [] => [] | (v, e) :: m => insert v e (normal m) end.

Fixpoint above (v : positive) (m : monomial) : Prop :=
  match m with [] => True | (w, _) :: m => (v < w)%positive /\ above w m end.
Definition sorted (m : monomial) : Prop :=
  match m with [] => True | (v, _) :: m => above v m end.

Local Open Scope nat_scope.

Fixpoint degree (m : monomial) (v : positive) : nat :=
  match m with
  | [] => 0
  | (w, e) :: m => (if Pos.eqb w v then Pos.to_nat e else 0) + degree m v
  end.

Lemma degree_insert v e m u : degree (insert v e m) u = (if Pos.eqb v u then Pos.to_nat e else 0) + degree m u.
Proof.
  induction m as [|[w f] m IH]; cbn; [reflexivity|].
  destruct (Pos.compare_spec v w) as [->|H|H]; cbn; [| reflexivity | rewrite IH; lia].
  destruct (Pos.eqb w u); rewrite ?Pos2Nat.inj_add; lia.
Qed.

Lemma degree_normal m u : degree (normal m) u = degree m u.
Proof. induction m as [|[v e] m IH]; cbn; [reflexivity | now rewrite degree_insert, IH]. Qed.

Lemma above_trans v w m : (v < w)%positive -> above w m -> above v m.
Proof. destruct m as [|[u e] m]; cbn; [trivial | intros ? []; split; [eapply Pos.lt_trans|]; eauto]. Qed.

Lemma above_insert u v e m : (u < v)%positive -> above u m -> above u (insert v e m).
Proof.
  revert u. induction m as [|[w f] m IH]; cbn; intros u H [Hw Hm] || intros u H _; [easy|].
  destruct (Pos.compare_spec v w) as [->|H'|H']; cbn; auto.
Qed.

Lemma sorted_insert v e m : sorted m -> sorted (insert v e m).
Proof.
  destruct m as [|[w f] m]; cbn; [trivial|]. intros H.
  destruct (Pos.compare_spec v w) as [->|H'|H']; cbn; auto using above_insert.
Qed.

Lemma sorted_normal m : sorted (normal m).
Proof. induction m as [|[v e] m IH]; cbn; [exact I | now apply sorted_insert]. Qed.

Lemma degree_above v m : above v m -> degree m v = 0.
Proof.
  revert v. induction m as [|[w e] m IH]; cbn; intros v; [trivial | intros [H Hm]].
  rewrite (proj2 (Pos.eqb_neq _ _)) by (intros ->; now apply Pos.lt_irrefl in H).
  apply IH. now apply above_trans with w.
Qed.

Lemma sorted_above v m : above v m -> sorted m.
Proof. destruct m as [|[w e] m]; cbn; tauto. Qed.

(* Different normal forms differ in the degree of some variable. *)
Lemma degrees_differ m n : sorted m -> sorted n -> m <> n -> exists v, degree m v <> degree n v.
Proof.
  revert n. induction m as [|[v e] m IH]; intros [|[w f] n] Hm Hn D; cbn in Hm, Hn.
  - now destruct D.
  - exists w. cbn. rewrite Pos.eqb_refl. lia.
  - exists v. cbn. rewrite Pos.eqb_refl. lia.
  - destruct (Pos.compare_spec v w) as [E|H|H].
    + subst w. destruct (Pos.eq_dec e f) as [<-|F].
      * destruct (IH n) as [u Hu]; eauto using sorted_above; [now intros <-|].
        exists u. cbn. lia.
      * exists v. cbn. rewrite Pos.eqb_refl, !degree_above; trivial. lia.
    + exists v. cbn. rewrite Pos.eqb_refl, (degree_above v n) by eauto using above_trans.
      rewrite (proj2 (Pos.eqb_neq w v)) by (intros ->; now apply Pos.lt_irrefl in H). lia.
    + exists w. cbn. rewrite Pos.eqb_refl, (degree_above w m) by eauto using above_trans.
      rewrite (proj2 (Pos.eqb_neq v w)) by (intros ->; now apply Pos.lt_irrefl in H). lia.
Qed.

Definition monomial_eq_dec (m n : monomial) : {m = n} + {m <> n}.
Proof. repeat decide equality. Defined.

Lemma sorted_ext m n : sorted m -> sorted n -> (forall v, degree m v = degree n v) -> m = n.
Proof.
  intros Hm Hn H. destruct (monomial_eq_dec m n) as [E|D]; [trivial|].
  destruct (degrees_differ m n Hm Hn D) as [v F]. now destruct F.
Qed.

Lemma normal_sorted m : sorted m -> normal m = m.
Proof. intros H. apply sorted_ext; auto using sorted_normal, degree_normal. Qed.

Lemma normal_ext m n : (forall v, degree m v = degree n v) <-> normal m = normal n.
Proof.
  split; intros H.
  - apply sorted_ext; auto using sorted_normal. intros. now rewrite !degree_normal.
  - intros v. now rewrite <- degree_normal, H, degree_normal.
Qed.

(* ------------------------------------------------------------------ Coefficients. *)

Local Open Scope Q_scope.

(* The coefficient of a monomial in normal form. *)
Fixpoint coef (p : polynomial) (m : monomial) : Q :=
  match p with
  | [] => 0
  | (c, n) :: p => if monomial_eq_dec (normal n) m then c + coef p m else coef p m
  end.

Definition scale (a : Q) (p : polynomial) : polynomial := map (fun '(c, m) => (a * c, m)) p.

Lemma coef_app p q m : coef (p ++ q) m == coef p m + coef q m.
Proof.
  induction p as [|[c n] p IH]; cbn; [ring|]. destruct (monomial_eq_dec (normal n) m); rewrite IH; ring.
Qed.

Lemma coef_scale a p m : coef (scale a p) m == a * coef p m.
Proof.
  induction p as [|[c n] p IH]; cbn; [ring|]. destruct (monomial_eq_dec (normal n) m); rewrite IH; ring.
Qed.

Section Evaluation.
  Context {A : algebra}.
  Add Ring ring_of_A : (ring_laws A) (setoid (eqv_equivalence A) (operations_respect_eqv A)).
  Open Scope algebra_scope.

  Lemma product_ext (x y : positive -> A) m : (forall v, x v == y v) -> product x m == product y m.
  Proof.
    intros H. induction m as [|[v e] m IH]; cbn; [reflexivity | rewrite IH, (power_proper _ _ (H v) _ _ eq_refl)].
    reflexivity.
  Qed.

  Lemma eval_ext (x y : positive -> A) p : (forall v, x v == y v) -> eval x p == eval y p.
  Proof. intros H. induction p as [|[c m] p IH]; cbn; [| rewrite IH, (product_ext x y m H)]; reflexivity. Qed.

  Lemma product_app (x : positive -> A) m n : product x (m ++ n) == product x m * product x n.
  Proof. induction m as [|[v e] m IH]; cbn; [| rewrite IH]; ring. Qed.

  Lemma product_insert (x : positive -> A) v e m : product x (insert v e m) == power (x v) (Pos.to_nat e) * product x m.
  Proof.
    induction m as [|[w f] m IH]; cbn; [reflexivity|].
    destruct (Pos.compare_spec v w) as [->|H|H]; cbn; [| reflexivity | rewrite IH; ring].
    rewrite Pos2Nat.inj_add, power_add. ring.
  Qed.

  Lemma product_normal (x : positive -> A) m : product x (normal m) == product x m.
  Proof. induction m as [|[v e] m IH]; cbn; [reflexivity | now rewrite product_insert, IH]. Qed.

  Lemma eval_app (x : positive -> A) p q : eval x (p ++ q) == eval x p + eval x q.
  Proof. induction p as [|[c m] p IH]; cbn; [| rewrite IH]; ring. Qed.

  Lemma eval_scale (x : positive -> A) a p : eval x (scale a p) == scalar a * eval x p.
  Proof. induction p as [|[c m] p IH]; cbn; [| rewrite IH, scalar_mul]; ring. Qed.

  Definition others (m : monomial) (p : polynomial) : polynomial :=
    filter (fun '(_, n) => if monomial_eq_dec (normal n) m then false else true) p.

  Lemma eval_others (x : positive -> A) m p : eval x p == scalar (coef p m) * product x m + eval x (others m p).
  Proof.
    unfold others. induction p as [|[c n] p IH]; cbn; [rewrite scalar_zero; ring|].
    destruct (monomial_eq_dec (normal n) m) as [<-|D]; cbn; rewrite IH; [rewrite scalar_add, product_normal|]; ring.
  Qed.

  Lemma length_others m p : (length (others m p) <= length p)%nat.
  Proof. unfold others. induction p as [|[c n] p IH]; cbn; [|destruct (monomial_eq_dec _ m); cbn]; lia. Qed.

  Lemma coef_others m n p : coef (others m p) n = (if monomial_eq_dec m n then 0 else coef p n)%Q.
  Proof.
    unfold others. induction p as [|[c k] p IH]; cbn; [now destruct (monomial_eq_dec m n)|].
    destruct (monomial_eq_dec (normal k) m) as [<-|D]; cbn; rewrite IH.
    - now destruct (monomial_eq_dec (normal k) n).
    - destruct (monomial_eq_dec m n) as [<-|]; [|reflexivity].
      now destruct (monomial_eq_dec (normal k) m).
  Qed.

  (* A polynomial without coefficients is zero, in every algebra. *)
  Lemma eval_zero (x : positive -> A) p : (forall m, (coef p m == 0)%Q) -> eval x p == 0.
  Proof.
    remember (length p) as k eqn:L. assert (H : (length p <= k)%nat) by lia. clear L. revert p H.
    induction k as [|k IH]; intros [|[c m] p] L Z; try reflexivity; [cbn in L; lia|].
    rewrite (eval_others x (normal m)), (scalar_eq _ _ _ (Z (normal m))), scalar_zero.
    rewrite IH; [ring | |].
    - cbn. destruct (monomial_eq_dec (normal m) (normal m)); [|easy].
      cbn in L. pose proof (length_others (normal m) p) as F. unfold others in F. lia.
    - intros n. rewrite coef_others. destruct (monomial_eq_dec (normal m) n); [reflexivity | apply Z].
  Qed.

  Lemma eval_coef (x : positive -> A) p q : (forall m, (coef p m == coef q m)%Q) -> eval x p == eval x q.
  Proof.
    intros H. transitivity (eval x (p ++ scale (-1) q) + eval x q).
    - rewrite eval_app, eval_scale.
      assert (E : @scalar A (-1) + 1 == 0) by
        (rewrite <- scalar_one, <- scalar_add; apply scalar_zero).
      transitivity (eval x p + (scalar (-1) + 1) * eval x q); [rewrite E|]; ring.
    - rewrite eval_zero; [ring|]. intros m. rewrite coef_app, coef_scale, H. ring.
  Qed.
End Evaluation.

(* ------------------------------------------------------------------ Monomials as keys. *)

(* A number, bit by bit, before other bits. *)
Fixpoint bits (n : positive) (rest : positive) : positive :=
  match n with
  | xI n => xI (xI (bits n rest))
  | xO n => xI (xO (bits n rest))
  | xH => xO rest
  end.

Fixpoint key (m : monomial) : positive :=
  match m with [] => xH | (v, e) :: m => bits v (bits e (key m)) end.

Lemma bits_injective n n' r r' : bits n r = bits n' r' -> n = n' /\ r = r'.
Proof.
  revert n'. induction n as [n IH|n IH|]; intros [n'|n'|] H; cbn in H; inversion H as [H']; auto;
    apply IH in H'; destruct H' as [<- <-]; auto.
Qed.

Lemma key_injective m n : key m = key n -> m = n.
Proof.
  revert n. induction m as [|[v e] m IH]; intros [|[w f] n]; cbn; intros H; trivial;
    try (destruct v; discriminate); try (destruct w; discriminate).
  apply bits_injective in H as [<- H]. apply bits_injective in H as [<- H]. now rewrite (IH n H).
Qed.

(* ------------------------------------------------------------------ Collecting terms. *)

(* Sums are reduced only where denominators differ. *)
Definition sum (a b : Q) : Q :=
  if Pos.eqb (Qden a) (Qden b) then Qmake (Qnum a + Qnum b) (Qden a) else Qred (a + b).

Lemma sum_plus a b : sum a b == a + b.
Proof.
  unfold sum. destruct (Pos.eqb_spec (Qden a) (Qden b)) as [E|_]; [|apply Qred_correct].
  destruct a as [a d], b as [b d']. cbn in *. subst d'. unfold Qplus, Qeq. cbn. rewrite Pos2Z.inj_mul. ring.
Qed.

Definition value (k : positive) (t : trie Q) : Q := match get k t with Some q => q | None => 0 end.
Definition raise (c : Q) (k : positive) (t : trie Q) : trie Q :=
  update (fun old => match old with Some q => sum q c | None => c end) k t.

(* Add w times a polynomial to what is there. *)
Definition gather (w : Q) (p : polynomial) (t : trie Q) : trie Q :=
  fold_left (fun t '(c, m) => raise (w * c) (key (normal m)) t) p t.

Lemma value_raise c k j t : value j (raise c k t) == value j t + (if Pos.eqb j k then c else 0).
Proof.
  unfold value, raise. rewrite get_update. destruct (Pos.eqb_spec j k) as [->|D]; [|ring].
  destruct (get k t); [rewrite sum_plus|]; ring.
Qed.

Lemma value_gather w p t m : value (key m) (gather w p t) == value (key m) t + w * coef p m.
Proof.
  revert t. induction p as [|[c n] p IH]; intros t; cbn; [ring|].
  unfold gather in IH. rewrite IH, value_raise.
  destruct (monomial_eq_dec (normal n) m) as [<-|D].
  - rewrite Pos.eqb_refl. ring.
  - destruct (Pos.eqb_spec (key m) (key (normal n))) as [E|_]; [|ring].
    apply key_injective in E. now destruct D.
Qed.

Definition is_zero (q : Q) : bool := match Qnum q with Z0 => true | _ => false end.

Lemma is_zero_spec q : is_zero q = true -> q == 0.
Proof. destruct q as [[] d]; easy. Qed.

Lemma value_zero t k : for_all is_zero t = true -> value k t == 0.
Proof.
  intros H. unfold value. destruct (get k t) as [q|] eqn:G; [|reflexivity].
  now apply is_zero_spec, (for_all_get _ _ k _ H).
Qed.

(* Equality of polynomials, decided. *)
Definition same (p q : polynomial) : bool := for_all is_zero (gather (-1) q (gather 1 p Empty)).

Lemma same_coef p q m : same p q = true -> coef p m == coef q m.
Proof.
  intros H. pose proof (value_zero _ (key m) H) as Z. rewrite !value_gather in Z.
  change (value (key m) Empty) with 0 in Z.
  transitivity (0 + 1 * coef p m + -1 * coef q m + coef q m); [|rewrite Z]; ring.
Qed.

Theorem same_eval {A : algebra} (x : positive -> A) p q : same p q = true -> (eval x p == eval x q)%A.
Proof. intros H. apply eval_coef. intros m. now apply same_coef. Qed.
