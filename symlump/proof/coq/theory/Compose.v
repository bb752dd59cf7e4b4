(* Putting polynomials into polynomials. *)

From Coq Require Import QArith List.
From Symlump Require Import Algebra Polynomial Systems.
Import ListNotations.

Definition multiplied (p q : polynomial) : polynomial :=
  flat_map (fun '(c, m) => map (fun '(d, n) => (c * d, m ++ n)) q) p.

Section Compose.
  (* Products may be collected on the way; what matters is that their meaning stays. *)
  Variable collected : polynomial -> polynomial.
  Variable rows : positive -> polynomial.

  Fixpoint raised (p : polynomial) (row : polynomial) (n : nat) : polynomial :=
    match n with O => p | S n => raised (collected (multiplied p row)) row n end.
  Fixpoint compose_product (p : polynomial) (m : monomial) : polynomial :=
    match m with [] => p | (v, e) :: m => compose_product (raised p (rows v) (Pos.to_nat e)) m end.
  Definition compose_with (p : polynomial) : polynomial :=
    flat_map (fun '(c, m) => compose_product [(c, [])] m) p.

  Context {A : algebra}.
  Add Ring ring_of_A : (ring_laws A) (setoid (eqv_equivalence A) (operations_respect_eqv A)).
  Open Scope algebra_scope.
  Variable x : positive -> A.
  Hypothesis collected_eval : forall p, eval x (collected p) == eval x p.

  Lemma eval_multiplied p q : eval x (multiplied p q) == eval x p * eval x q.
  Proof.
    induction p as [|[c m] p IH]; cbn; [ring|]. unfold multiplied in IH. rewrite eval_app, IH.
    assert (E : eval x (map (fun '(d, n) => (c * d, m ++ n)%Q) q) == scalar c * product x m * eval x q).
    { clear IH. induction q as [|[d n] q IHq]; cbn; [| rewrite IHq, scalar_mul, product_app]; ring. }
    rewrite E. ring.
  Qed.

  Lemma eval_raised p row n : eval x (raised p row n) == eval x p * power (eval x row) n.
  Proof.
    revert p. induction n as [|n IH]; intros p; cbn; [ring|].
    rewrite IH, collected_eval, eval_multiplied. ring.
  Qed.

  Lemma eval_compose_product p m :
    eval x (compose_product p m) == eval x p * product (fun v => eval x (rows v)) m.
  Proof.
    revert p. induction m as [|[v e] m IH]; intros p; cbn; [ring|]. rewrite IH, eval_raised. ring.
  Qed.

  Lemma eval_compose_with p : eval x (compose_with p) == eval (fun v => eval x (rows v)) p.
  Proof.
    unfold compose_with. induction p as [|[c m] p IH]; cbn; [reflexivity|].
    rewrite eval_app, IH, eval_compose_product. cbn. ring.
  Qed.
End Compose.

Definition compose : (positive -> polynomial) -> polynomial -> polynomial := compose_with (fun p => p).

Lemma eval_compose {A : algebra} rows (x : positive -> A) p :
  (eval x (compose rows p) == eval (fun v => eval x (rows v)) p)%A.
Proof. apply eval_compose_with. reflexivity. Qed.

(* Sums over blocks, and linear combinations, as polynomials. *)
Definition variable (v : positive) : polynomial := [(1, [(v, xH)])].
Definition total_row (s : system) (P : partition) (b : positive) : polynomial :=
  flat_map (fun v => if Pos.eqb (P v) b then variable v else []) (variables s).
Definition row_polynomial (row : list (Q * positive)) : polynomial := map (fun '(w, v) => (w, [(v, xH)])) row.

Section Rows.
  Context {A : algebra}.
  Add Ring ring_of_A' : (ring_laws A) (setoid (eqv_equivalence A) (operations_respect_eqv A)).
  Open Scope algebra_scope.

  Lemma eval_variable w v (x : positive -> A) p : eval x ((w, [(v, xH)]) :: p) == scalar w * x v + eval x p.
  Proof. cbn [eval product]. change (Pos.to_nat 1) with 1%nat. cbn [power]. ring. Qed.

  Lemma total_of_rows s P (x : positive -> A) b : eval x (total_row s P b) == total s P x b.
  Proof.
    unfold total_row, total. induction (variables s) as [|v l IH]; cbn; [reflexivity|].
    rewrite eval_app, IH. unfold variable.
    destruct (Pos.eqb (P v) b); [rewrite eval_variable, scalar_one|]; cbn; ring.
  Qed.

  Lemma eval_row_polynomial row (x : positive -> A) : eval x (row_polynomial row) == combination row x.
  Proof.
    induction row as [|[w v] row IH]; [reflexivity|]. cbn [row_polynomial map combination].
    rewrite eval_variable. unfold row_polynomial in IH. now rewrite IH.
  Qed.
End Rows.
