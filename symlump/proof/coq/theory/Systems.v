(* What is claimed of a system: to be read by whoever wants to know what a certificate proves. *)

From Coq Require Import QArith List FinFun Lia PeanoNat.
From Symlump Require Import Algebra Polynomial.
Import ListNotations.

(* x_k' = q_k(x): a list of polynomials; the variables are the numbers 1, 2, … in the order of the list. *)
Definition system := list polynomial.
Definition variables (s : system) : list positive := map Pos.of_succ_nat (seq 0 (length s)).

(* The element number k of a list, and what to take beyond its end. *)
Definition item {X : Type} (beyond : X) (l : list X) (k : positive) : X := nth (pred (Pos.to_nat k)) l beyond.
Definition equation (s : system) (k : positive) : polynomial := item [] s k.

(* The right-hand sides at a state. *)
Definition field {A : algebra} (s : system) (x : positive -> A) : positive -> A := fun v => eval x (equation s v).

(* x is a solution, if D is differentiation. *)
Definition solves {A : algebra} (D : derivation A) (s : system) (x : positive -> A) : Prop :=
  forall v, In v (variables s) -> (D (x v) == field s x v)%A.

(* A partition says for each variable in which block it is. In a certificate it is a list. *)
Definition partition := positive -> positive.
Definition listed (l : list positive) : partition := item xH l.

Section States.
  Context {A : algebra}.

  (* The sum of z over a block. *)
  Definition total (s : system) (P : partition) (z : positive -> A) (b : positive) : A :=
    sum_over (fun v => if Pos.eqb (P v) b then z v else zero) (variables s).

  (* Each member gets its block's value. *)
  Definition spread (P : partition) (y : positive -> A) (v : positive) : A := y (P v).

  (* A linear combination of variables, and all those in a list. *)
  Fixpoint combination (row : list (Q * positive)) (z : positive -> A) : A :=
    match row with
    | [] => zero
    | (w, v) :: row => add (mul (scalar w) (z v)) (combination row z)
    end.
  Definition combinations (rows : list (list (Q * positive))) (z : positive -> A) (k : positive) : A :=
    combination (item [] rows k) z.
End States.

Notation state := (positive -> rationals).
Local Open Scope Q_scope.

(* ------------------------------------------------------------------ Lumpings, with their quotients.
   g is the quotient, a system with one variable for each block (or row). *)

Definition blocks_exist (s : system) (P : partition) (g : system) : Prop :=
  forall v, In v (variables s) -> In (P v) (variables g).

(* Sums over blocks follow the quotient: the derivative of each sum is g at the sums. *)
Definition forward_lumping (s : system) (P : partition) (g : system) : Prop :=
  blocks_exist s P g /\
  forall (A : algebra) (x : positive -> A) (b : positive), In b (variables g) ->
    (total s P (field s x) b == field g (total s P x) b)%A.

(* Where members of each block are equal, so are their derivatives, and these are those of the quotient. *)
Definition backward_lumping (s : system) (P : partition) (g : system) : Prop :=
  blocks_exist s P g /\
  forall (A : algebra) (y : positive -> A) (v : positive), In v (variables s) ->
    (field s (spread P y) v == spread P (field g y) v)%A.

(* Linear combinations of variables follow the quotient. *)
Definition linear_lumping (s : system) (rows : list (list (Q * positive))) (g : system) : Prop :=
  forall (A : algebra) (x : positive -> A) (k : positive), In k (variables g) ->
    (combinations rows (field s x) k == field g (combinations rows x) k)%A.

(* Rows of variables of the system. *)
Definition in_variables_of (s : system) (L : list (list (Q * positive))) : Prop :=
  forall r w v, In r L -> In (w, v) r -> In v (variables s).

(* ------------------------------------------------------------------ Solutions. *)

Lemma in_variables s v : In v (variables s) <-> (Pos.to_nat v <= length s)%nat.
Proof.
  unfold variables. rewrite in_map_iff. split.
  - intros (n & <- & H). apply in_seq in H. rewrite SuccNat2Pos.id_succ. lia.
  - intros H. exists (pred (Pos.to_nat v)). split.
    + apply Pos2Nat.inj. rewrite SuccNat2Pos.id_succ. lia.
    + apply in_seq. lia.
Qed.

Lemma variables_distinct s : NoDup (variables s).
Proof.
  apply Injective_map_NoDup; [|apply seq_NoDup]. intros n m H. apply (f_equal Pos.to_nat) in H.
  rewrite !SuccNat2Pos.id_succ in H. lia.
Qed.

(* Sums over the blocks of a solution are a solution of the quotient. *)
Theorem forward_solutions s P g : forward_lumping s P g ->
  forall (A : algebra) (D : derivation A) (x : positive -> A), solves D s x -> solves D g (total s P x).
Proof.
  intros [_ H] A D x S b B. rewrite <- H by trivial. unfold total. rewrite derive_sum_over.
  apply sum_over_ext. intros v V. destruct (Pos.eqb (P v) b); [now apply S|].
  exact (derive_sum_over D (fun _ => zero) []).
Qed.

(* A solution of the quotient, spread over the blocks, is a solution of the system. *)
Theorem backward_solutions s P g : backward_lumping s P g ->
  forall (A : algebra) (D : derivation A) (y : positive -> A), solves D g y -> solves D s (spread P y).
Proof. intros [B H] A D y S v V. rewrite H by trivial. unfold spread. now apply S, B. Qed.

Lemma derive_combination {A : algebra} (D : derivation A) s (x : positive -> A) (r : list (Q * positive)) :
  solves D s x -> (forall w v, In (w, v) r -> In v (variables s)) ->
  (D (combination r x) == combination r (field s x))%A.
Proof.
  intros S W.
  induction r as [|[w v] r IH]; cbn; [exact (derive_sum_over D (fun _ => zero) [])|].
  rewrite derive_add, derive_mul, derive_scalar, IH by (intros; eapply W; right; eauto).
  rewrite (S v) by (eapply W; now left).
  apply add_proper; [|reflexivity]. transitivity (add (mul (scalar w) (field s x v)) zero).
  - rewrite (Radd_comm (ring_laws A)). apply add_proper; [reflexivity|].
    rewrite (Rmul_comm (ring_laws A)). apply (mul_zero (x v)).
  - rewrite (Radd_comm (ring_laws A)). apply (Radd_0_l (ring_laws A)).
Qed.

Lemma row_in_variables s L : in_variables_of s L -> forall k w v, In (w, v) (item [] L k) -> In v (variables s).
Proof.
  intros H k w v I. unfold item in I. destruct (nth_in_or_default (pred (Pos.to_nat k)) L []) as [R|E].
  - exact (H _ _ _ R I).
  - now rewrite E in I.
Qed.

(* The combinations of a solution are a solution of the quotient. *)
Theorem linear_solutions s rows g : linear_lumping s rows g -> in_variables_of s rows ->
  forall (A : algebra) (D : derivation A) (x : positive -> A), solves D s x -> solves D g (combinations rows x).
Proof.
  intros H W A D x S k K. rewrite <- H by trivial. exact (derive_combination D s x _ S (row_in_variables s rows W k)).
Qed.

(* ------------------------------------------------------------------ Equivalences, and which is the coarsest.
   Here a partition is all that is given; states are rational. *)

(* The derivatives of the sums over blocks depend on nothing but these sums. *)
Definition forward_equivalence (s : system) (P : partition) : Prop :=
  forall x x' : state, (forall b, total s P x b == total s P x' b) ->
    forall b, total s P (field s x) b == total s P (field s x') b.

(* Where members of each block are equal, so are their derivatives. *)
Definition uniform (s : system) (P : partition) (z : state) : Prop :=
  forall i j, In i (variables s) -> In j (variables s) -> P i = P j -> z i == z j.
Definition backward_equivalence (s : system) (P : partition) : Prop :=
  forall x : state, uniform s P x -> uniform s P (field s x).

(* Every block of P lies inside one of R. *)
Definition inside (s : system) (P R : partition) : Prop :=
  forall i j, In i (variables s) -> In j (variables s) -> P i = P j -> R i = R j.

(* P is the coarsest inside an initial partition: it is one, and every other one lies inside P. *)
Definition coarsest (equivalence : system -> partition -> Prop) (s : system) (initial P : partition) : Prop :=
  equivalence s P /\ inside s P initial /\
  forall R, equivalence s R -> inside s R initial -> inside s R P.

(* ------------------------------------------------------------------ Linear lumpings, and which is the smallest. *)

Notation rows := (list (list (Q * positive))).
Definition agree (L : rows) (x x' : state) : Prop := forall k, combinations L x k == combinations L x' k.

(* Whatever x is, the values of these rows determine their derivatives. *)
Definition invariant (s : system) (L : rows) : Prop :=
  forall x x' : state, agree L x x' -> agree L (field s x) (field s x').

(* The values of L determine those of M. *)
Definition determines (L M : rows) : Prop := forall x x' : state, agree L x x' -> agree M x x'.

(* L is the smallest that keeps the observables: every other one determines L, and has as many rows at least. *)
Definition smallest (s : system) (observables L : rows) : Prop :=
  invariant s L /\ determines L observables /\
  forall M, invariant s M -> determines M observables -> determines M L /\ (length L <= length M)%nat.
