(* Where states live: commutative algebras over the rationals.

   The rationals are one. So are the reals, the formal power series and the smooth functions on an interval;
   the last two have a derivative, so solutions of differential equations are states too. Nothing is assumed
   of these here; whatever has the operations and laws below is meant. *)

From Coq Require Import QArith Ring Setoid Morphisms List.

Record algebra := Algebra {
  carrier :> Type;
  eqv : carrier -> carrier -> Prop;
  zero : carrier;
  one : carrier;
  add : carrier -> carrier -> carrier;
  mul : carrier -> carrier -> carrier;
  sub : carrier -> carrier -> carrier;
  opp : carrier -> carrier;
  scalar : Q -> carrier;
  eqv_equivalence : Equivalence eqv;
  operations_respect_eqv : ring_eq_ext add mul opp eqv;
  ring_laws : ring_theory zero one add mul sub opp eqv;
  scalar_eq : forall a b : Q, a == b -> eqv (scalar a) (scalar b);
  scalar_one : eqv (scalar 1) one;
  scalar_add : forall a b : Q, eqv (scalar (a + b)) (add (scalar a) (scalar b));
  scalar_mul : forall a b : Q, eqv (scalar (a * b)) (mul (scalar a) (scalar b)) }.

Arguments eqv {_}. Arguments zero {_}. Arguments one {_}. Arguments add {_}. Arguments mul {_}.
Arguments sub {_}. Arguments opp {_}. Arguments scalar {_}.

Declare Scope algebra_scope.
Delimit Scope algebra_scope with A.
Infix "==" := eqv : algebra_scope.
Infix "+" := add : algebra_scope.
Infix "*" := mul : algebra_scope.
Notation "0" := zero : algebra_scope.
Notation "1" := one : algebra_scope.

#[export] Instance eqv_is_equivalence (A : algebra) : Equivalence (@eqv A) := eqv_equivalence A.
#[export] Instance add_proper (A : algebra) : Proper (eqv ==> eqv ==> eqv) (@add A).
Proof. exact (Radd_ext (operations_respect_eqv A)). Qed.
#[export] Instance mul_proper (A : algebra) : Proper (eqv ==> eqv ==> eqv) (@mul A).
Proof. exact (Rmul_ext (operations_respect_eqv A)). Qed.
#[export] Instance opp_proper (A : algebra) : Proper (eqv ==> eqv) (@opp A).
Proof. exact (Ropp_ext (operations_respect_eqv A)). Qed.
#[export] Instance scalar_proper (A : algebra) : Proper (Qeq ==> eqv) (@scalar A).
Proof. exact (scalar_eq A). Qed.

Definition rationals : algebra.
Proof.
  refine {| carrier := Q; eqv := Qeq; zero := 0; one := 1; add := Qplus; mul := Qmult; sub := Qminus;
    opp := Qopp; scalar := fun a => a |}; try (intros; reflexivity).
  - constructor; intros a b H; [intros c d H' | intros c d H' |]; rewrite H; try rewrite H'; reflexivity.
  - constructor; intros; ring.
  - trivial.
Defined.

(* Powers, by multiplying. *)
Fixpoint power {A : algebra} (a : A) (n : nat) : A :=
  match n with O => one | S k => mul a (power a k) end.

(* The sum of f over a list. *)
Fixpoint sum_over {A : algebra} (f : positive -> A) (l : list positive) : A :=
  match l with nil => zero | cons v l => add (f v) (sum_over f l) end.

(* A derivation: what differentiation does to sums, products and constants. *)
Record derivation (A : algebra) := Derivation {
  derive :> A -> A;
  derive_eq : forall a b : A, (a == b)%A -> (derive a == derive b)%A;
  derive_add : forall a b : A, (derive (a + b) == derive a + derive b)%A;
  derive_mul : forall a b : A, (derive (a * b) == derive a * b + a * derive b)%A;
  derive_scalar : forall c : Q, (derive (scalar c) == 0)%A }.
Arguments derive {_}. Arguments derive_eq {_}. Arguments derive_add {_}. Arguments derive_mul {_}.
Arguments derive_scalar {_}.

Section Laws.
  Context {A : algebra}.
  Add Ring ring_of_A : (ring_laws A) (setoid (eqv_equivalence A) (operations_respect_eqv A)).
  Open Scope algebra_scope.

  Lemma scalar_zero : @scalar A 0 == 0.
  Proof.
    assert (H : @scalar A 0 + scalar 0 == scalar 0) by (rewrite <- scalar_add; reflexivity).
    transitivity (@scalar A 0 + scalar 0 + opp (scalar 0)); [ring | rewrite H; ring].
  Qed.

  Lemma mul_zero (a : A) : a * 0 == 0.
  Proof. ring. Qed.

  Lemma power_add (a : A) n m : power a (n + m) == power a n * power a m.
  Proof. induction n as [|n IH]; cbn; [| rewrite IH]; ring. Qed.

  Lemma power_mul (a b : A) n : power (a * b) n == power a n * power b n.
  Proof. induction n as [|n IH]; cbn; [| rewrite IH]; ring. Qed.

  Lemma power_one n : power (1 : A) n == 1.
  Proof. induction n as [|n IH]; cbn; [| rewrite IH]; ring. Qed.

  Lemma sum_over_ext (f g : positive -> A) l : (forall v, In v l -> f v == g v) -> sum_over f l == sum_over g l.
  Proof.
    intros H. induction l as [|v l IH]; cbn; [reflexivity|].
    apply add_proper; [apply H; now left | apply IH; intros; apply H; now right].
  Qed.
  Lemma sum_over_add (f g : positive -> A) l : sum_over (fun v => f v + g v) l == sum_over f l + sum_over g l.
  Proof. induction l as [|v l IH]; cbn; [| rewrite IH]; ring. Qed.
  Lemma sum_over_mul a (f : positive -> A) l : sum_over (fun v => a * f v) l == a * sum_over f l.
  Proof. induction l as [|v l IH]; cbn; [| rewrite IH]; ring. Qed.
  Lemma sum_over_zero l : sum_over (fun _ => 0 : A) l == 0.
  Proof. induction l as [|v l IH]; cbn; [| rewrite IH]; ring. Qed.
  Lemma sum_over_swap (f : positive -> positive -> A) l k :
    sum_over (fun u => sum_over (f u) k) l == sum_over (fun v => sum_over (fun u => f u v) l) k.
  Proof.
    induction l as [|u l IH]; cbn; [now rewrite sum_over_zero|].
    now rewrite IH, sum_over_add.
  Qed.
  Lemma sum_over_single v (f : positive -> A) l : NoDup l -> In v l ->
    sum_over (fun u => if Pos.eqb v u then f u else 0) l == f v.
  Proof.
    induction l as [|w l IH]; intros N I; [easy|]. inversion N as [|? ? NI ND]; subst. cbn. destruct I as [->|I].
    - rewrite Pos.eqb_refl, (sum_over_ext _ (fun _ => 0)), sum_over_zero; [ring|].
      intros u U. destruct (Pos.eqb_spec v u) as [<-|]; [easy | reflexivity].
    - rewrite IH by trivial. destruct (Pos.eqb_spec v w) as [->|]; [easy | ring].
  Qed.
  Lemma derive_sum_over (D : derivation A) f l : D (sum_over f l) == sum_over (fun v => D (f v)) l.
  Proof.
    induction l as [|v l IH]; cbn.
    - assert (H : D (0 : A) + D (0 : A) == D (0 : A)) by (rewrite <- derive_add; apply derive_eq; ring).
      transitivity (D (0 : A) + D (0 : A) + opp (D (0 : A))); [ring | rewrite H; ring].
    - now rewrite derive_add, IH.
  Qed.

  #[export] Instance power_proper : Proper (eqv ==> eq ==> eqv) (@power A).
  Proof. intros a b H n m <-. induction n as [|n IH]; cbn; [reflexivity | now apply mul_proper]. Qed.
End Laws.
