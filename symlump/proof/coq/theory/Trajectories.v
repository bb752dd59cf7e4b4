(* What a lumping says of a map x⁺ = q(x), in discrete time; to be read after Systems.v and Functions.v.

   A trajectory has values in an algebra with a shift, as sequences have: the next value of a sum is the sum of the next
   values, and so with products. That takes the place of the derivation in the theorems on solutions. *)

From Coq Require Import QArith List.
From Symlump Require Import Algebra Polynomial Systems Functions.
Import ListNotations.

(* Next values. *)
Record shift_operator (A : algebra) := ShiftOperator {
  shifted :> A -> A;
  shifted_eq : forall a b : A, (a == b)%A -> (shifted a == shifted b)%A;
  shifted_add : forall a b : A, (shifted (a + b) == shifted a + shifted b)%A;
  shifted_mul : forall a b : A, (shifted (a * b) == shifted a * shifted b)%A;
  shifted_scalar : forall c : Q, (shifted (scalar c) == scalar c)%A }.
Arguments shifted {_}. Arguments shifted_eq {_}. Arguments shifted_add {_}. Arguments shifted_mul {_}.
Arguments shifted_scalar {_}.

(* x is a trajectory. *)
Definition moves {A : algebra} (N : shift_operator A) (s : system) (x : positive -> A) : Prop :=
  forall v, In v (variables s) -> (N (x v) == field s x v)%A.

Section Sums.
  Context {A : algebra} (N : shift_operator A).

  Lemma shifted_zero : (N 0 == 0)%A.
  Proof. rewrite <- (shifted_eq N _ _ scalar_zero), shifted_scalar. apply scalar_zero. Qed.

  Lemma shifted_sum_over (f : positive -> A) l : (N (sum_over f l) == sum_over (fun v => N (f v)) l)%A.
  Proof. induction l as [|v l IH]; cbn [sum_over]; [exact shifted_zero|]. now rewrite shifted_add, IH. Qed.

  Lemma shifted_total s P (x : positive -> A) b : moves N s x -> (N (total s P x b) == total s P (field s x) b)%A.
  Proof.
    intros M. unfold total. rewrite shifted_sum_over. apply sum_over_ext. intros v V.
    destruct (Pos.eqb (P v) b); [now apply M | exact shifted_zero].
  Qed.

  Lemma shifted_combination s (x : positive -> A) (r : list (Q * positive)) : moves N s x ->
    (forall w v, In (w, v) r -> In v (variables s)) -> (N (combination r x) == combination r (field s x))%A.
  Proof.
    intros M I. induction r as [|[w v] r IH]; cbn [combination]; [exact shifted_zero|].
    rewrite shifted_add, shifted_mul, shifted_scalar, IH by (intros; eapply I; right; eauto).
    now rewrite (M v) by (eapply I; now left).
  Qed.
End Sums.

(* ------------------------------------------------------------------ Trajectories of lumpings. *)

(* Sums over the blocks of a trajectory are a trajectory of the quotient. *)
Theorem forward_trajectories s P g : forward_lumping s P g ->
  forall (A : algebra) (N : shift_operator A) (x : positive -> A), moves N s x -> moves N g (total s P x).
Proof. intros [_ H] A N x M b B. rewrite <- H by trivial. now apply shifted_total. Qed.

(* A trajectory of the quotient, spread over the blocks, is a trajectory of the system. *)
Theorem backward_trajectories s P g : backward_lumping s P g ->
  forall (A : algebra) (N : shift_operator A) (y : positive -> A), moves N g y -> moves N s (spread P y).
Proof. intros [B H] A N y M v V. rewrite H by trivial. unfold spread. now apply M, B. Qed.

(* The combinations of a trajectory are a trajectory of the quotient. *)
Theorem linear_trajectories s rows g : linear_lumping s rows g -> in_variables_of s rows ->
  forall (A : algebra) (N : shift_operator A) (x : positive -> A), moves N s x -> moves N g (combinations rows x).
Proof.
  intros H W A N x M k K. rewrite <- H by trivial. apply shifted_combination; [exact M|].
  exact (row_in_variables s rows W k).
Qed.

Theorem forward_trajectories_of s fs P g gs : forward_lumping_of s fs P g gs ->
  forall (A : algebra) (F : interpretation A) (N : shift_operator A) (z w : positive -> A),
    state_of F s fs z -> state_of F g gs w -> sums s P g z w -> moves N s z -> moves N g w.
Proof.
  intros (_ & _ & H) A F N z w Z W T M b B. rewrite (H A F z w Z W T b B), (shifted_eq N _ _ (T b B)).
  now apply shifted_total.
Qed.

Theorem backward_trajectories_of s fs P g gs : backward_lumping_of s fs P g gs ->
  forall (A : algebra) (F : interpretation A) (N : shift_operator A) (z w : positive -> A),
    state_of F s fs z -> state_of F g gs w -> copies s P g z w -> moves N g w -> moves N s z.
Proof.
  intros (E & _ & H) A F N z w Z W C M v V. rewrite (H A F z w Z W C v V), (shifted_eq N _ _ (C v V)).
  now apply M, E.
Qed.

Theorem linear_trajectories_of s fs rows g gs : linear_lumping_of s fs rows g gs -> in_variables_of s rows ->
  forall (A : algebra) (F : interpretation A) (N : shift_operator A) (z w : positive -> A),
    state_of F s fs z -> state_of F g gs w -> weighted rows g z w -> moves N s z -> moves N g w.
Proof.
  intros (_ & H) I A F N z w Z W T M k K. rewrite (H A F z w Z W T k K), (shifted_eq N _ _ (T k K)).
  apply shifted_combination; [exact M|]. exact (row_in_variables s rows I k).
Qed.

(* ------------------------------------------------------------------ Sequences. *)

(* Sequences with values in an algebra are an algebra, entry by entry; the next value is a shift. *)
Definition sequences (A : algebra) : algebra.
Proof.
  refine {| carrier := nat -> A; eqv := fun a b => forall n, (a n == b n)%A; zero := fun _ => zero; one := fun _ => one;
    add := fun a b n => (a n + b n)%A; mul := fun a b n => (a n * b n)%A; sub := fun a b n => sub (a n) (b n);
    opp := fun a n => opp (a n); scalar := fun c _ => scalar c |}.
  - constructor; [intros a n; reflexivity | intros a b H n; now symmetry | intros a b c H K n; now rewrite (H n)].
  - constructor; [intros a b H c d K n; now rewrite (H n), (K n) | intros a b H c d K n; now rewrite (H n), (K n) |
      intros a b H n; now rewrite (H n)].
  - destruct (ring_laws A). constructor; intros; auto.
  - intros a b H _. now apply scalar_eq.
  - intros _. apply scalar_one.
  - intros a b _. apply scalar_add.
  - intros a b _. apply scalar_mul.
Defined.

Definition later (A : algebra) : shift_operator (sequences A).
Proof.
  refine {| shifted := fun (a : sequences A) n => a (S n) : A |}; try (intros; intros n; reflexivity).
  intros a b H n. exact (H (S n)).
Defined.

Lemma eval_sequences {A : algebra} (x : positive -> sequences A) p n :
  (eval (A := sequences A) x p n == eval (fun v => x v n) p)%A.
Proof.
  assert (Power : forall v k, (power (A := sequences A) (x v) k n == power (x v n) k)%A).
  { intros v k. induction k as [|k IH]; cbn [power]; [reflexivity|].
    change (mul (x v n) (power (A := sequences A) (x v) k n) == mul (x v n) (power (x v n) k))%A. now rewrite IH. }
  assert (Product : forall m, (product (A := sequences A) x m n == product (fun v => x v n) m)%A).
  { induction m as [|[v e] m IH]; cbn [product]; [reflexivity|].
    change (power (A := sequences A) (x v) (Pos.to_nat e) n * product (A := sequences A) x m n ==
      power (x v n) (Pos.to_nat e) * product (fun v => x v n) m)%A. now rewrite Power, IH. }
  induction p as [|[c m] p IH]; cbn [eval]; [reflexivity|].
  change (scalar c * product (A := sequences A) x m n + eval (A := sequences A) x p n ==
    scalar c * product (fun v => x v n) m + eval (fun v => x v n) p)%A. now rewrite Product, IH.
Qed.

(* A trajectory, step by step. *)
Theorem moves_steps {A : algebra} s (x : positive -> sequences A) : moves (later A) s x <->
  forall n v, In v (variables s) -> (x v (S n) == field s (fun v => x v n) v)%A.
Proof.
  unfold field. split.
  - intros M n v V. rewrite <- eval_sequences. exact (M v V n).
  - intros H v V n. unfold field. rewrite eval_sequences. exact (H n v V).
Qed.

(* The state after n steps; this is a trajectory. *)
Fixpoint after {A : algebra} (s : system) (x : positive -> A) (n : nat) : positive -> A :=
  match n with O => x | S n => field s (after s x n) end.

Lemma after_moves {A : algebra} s (x : positive -> A) : moves (later A) s (fun v n => after s x n v : A).
Proof. apply moves_steps. intros n v _. reflexivity. Qed.

(* After any number of steps the sums are those of the quotient, if they were at the beginning. *)
Theorem forward_steps s P g : forward_lumping s P g -> forall (A : algebra) (x : positive -> A) n b,
  (total s P (after s x n) b == after g (total s P x) n b)%A.
Proof.
  intros [E H] A x. induction n as [|n IH]; intros b; cbn [after]; [reflexivity|].
  destruct (in_dec Pos.eq_dec b (variables g)) as [B|B].
  - rewrite (H A _ b B). now apply eval_ext.
  - transitivity (zero : A).
    + unfold total. rewrite (sum_over_ext _ (fun _ => zero)); [apply sum_over_zero|]. intros v V.
      destruct (Pos.eqb_spec (P v) b) as [D|D]; [|reflexivity]. destruct B. rewrite <- D. now apply E.
    + unfold field, equation, item. rewrite nth_overflow; [reflexivity|]. rewrite in_variables in B.
      apply Nat.nle_gt in B. now apply Nat.lt_le_pred.
Qed.
