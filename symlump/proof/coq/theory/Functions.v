(* What is claimed of a system with quotients and functions: to be read after Systems.v.

   Right-hand sides are polynomials in symbols: the variables 1, …, n, and n + 1, n + 2, … for functions of
   symbols. [Inverse] of u is 1/u; where u has no inverse, the symbol has no value. Of any other function
   nothing is assumed but that equal arguments give equal values, and a few facts. *)

From Coq Require Import QArith List.
From Symlump Require Import Algebra Polynomial Systems.
Import ListNotations.

Inductive function :=
| Inverse | Exp | Log | Power | Abs | Sign
| Sin | Cos | Tan | Asin | Acos | Atan | Sinh | Cosh | Tanh | Asinh | Acosh | Atanh
| Named (n : positive).

(* The symbols, in the order of their numbers, with their arguments. *)
Definition symbols := list (function * list polynomial).

(* The facts. *)
Definition at_zero (f : function) : option Q :=
  match f with
  | Exp | Cos | Cosh => Some 1
  | Sin | Tan | Sinh | Tanh | Asin | Atan | Asinh | Atanh | Abs | Sign => Some 0
  | _ => None
  end.
Definition at_one (f : function) : option Q := match f with Log | Acos | Acosh => Some 0 | _ => None end.
Definition parity (f : function) : option Q :=
  match f with
  | Cos | Cosh | Abs => Some 1
  | Sin | Tan | Sinh | Tanh | Asin | Atan | Asinh | Atanh | Sign => Some (-1)
  | _ => None
  end.

(* A power is a product where its exponent is a whole number between this and its opposite. *)
Definition most_whole : Z := 1000.

(* What functions may be: anything that obeys the facts. *)
Record interpretation (A : algebra) := Interpretation {
  apply :> function -> list A -> A;
  apply_eq : forall f u v, Forall2 eqv u v -> (apply f u == apply f v)%A;
  apply_at_zero : forall f c, at_zero f = Some c -> (apply f [zero] == scalar c)%A;
  apply_at_one : forall f c, at_one f = Some c -> (apply f [one] == scalar c)%A;
  apply_opposite : forall f c u, parity f = Some c -> (apply f [opp u] == scalar c * apply f [u])%A;
  apply_power_of_one : forall u, (apply Power (one :: u) == 1)%A;
  apply_whole_power : forall n u, (Z.of_nat n <= most_whole)%Z ->
    (apply Power [u; scalar (inject_Z (Z.of_nat n))] == power u n)%A;
  apply_negative_power : forall n u v, (Z.of_nat n <= most_whole)%Z -> (v * u == 1)%A ->
    (apply Power [u; scalar (inject_Z (- Z.of_nat n))] == power v n)%A }.
Arguments apply {_}. Arguments apply_eq {_}. Arguments apply_at_zero {_}. Arguments apply_at_one {_}.
Arguments apply_opposite {_}. Arguments apply_power_of_one {_}. Arguments apply_whole_power {_}. Arguments apply_negative_power {_}.

(* The value z of a symbol is that of its function; the product of 1/u and u is 1. *)
Definition has_value {A : algebra} (F : interpretation A) (z : positive -> A) (k : positive)
  (f : function) (u : list polynomial) : Prop :=
  match f with
  | Inverse => (z k * eval z (hd [] u) == 1)%A
  | _ => (z k == F f (map (eval z) u))%A
  end.

(* Values of variables and symbols: a state at which no denominator is zero. *)
Definition state_of {A : algebra} (F : interpretation A) (s : system) (fs : symbols) (z : positive -> A) : Prop :=
  forall j f u, nth_error fs j = Some (f, u) -> has_value F z (Pos.of_succ_nat (length s + j)) f u.

(* ------------------------------------------------------------------ Lumpings, with their quotients.
   z are values for the system, w those for the quotient. Each claim has three parts: every variable has a block; both systems
   are defined somewhere at once; and wherever they are, the square commutes, whatever the functions are. *)

Definition sums {A : algebra} (s : system) (P : partition) (g : system) (z w : positive -> A) : Prop :=
  forall b, In b (variables g) -> (w b == total s P z b)%A.
Definition copies {A : algebra} (s : system) (P : partition) (g : system) (z w : positive -> A) : Prop :=
  forall v, In v (variables s) -> (z v == w (P v))%A.
Definition weighted {A : algebra} (rows : list (list (Q * positive))) (g : system) (z w : positive -> A) : Prop :=
  forall k, In k (variables g) -> (w k == combinations rows z k)%A.

(* Values at which the system and its quotient are both defined, and which a relation ties together. *)
Definition defined_somewhere (s : system) (fs : symbols) (g : system) (gs : symbols)
  (tied : state -> state -> Prop) : Prop :=
  exists (F : interpretation rationals) (z w : state), state_of F s fs z /\ state_of F g gs w /\ tied z w.

Definition forward_lumping_of (s : system) (fs : symbols) (P : partition) (g : system) (gs : symbols) : Prop :=
  blocks_exist s P g /\ defined_somewhere s fs g gs (sums s P g) /\
  forall (A : algebra) (F : interpretation A) (z w : positive -> A),
    state_of F s fs z -> state_of F g gs w -> sums s P g z w ->
    sums s P g (field s z) (field g w).

Definition backward_lumping_of (s : system) (fs : symbols) (P : partition) (g : system) (gs : symbols) : Prop :=
  blocks_exist s P g /\ defined_somewhere s fs g gs (copies s P g) /\
  forall (A : algebra) (F : interpretation A) (z w : positive -> A),
    state_of F s fs z -> state_of F g gs w -> copies s P g z w ->
    copies s P g (field s z) (field g w).

Definition linear_lumping_of (s : system) (fs : symbols) (rows : list (list (Q * positive))) (g : system)
  (gs : symbols) : Prop :=
  defined_somewhere s fs g gs (weighted rows g) /\
  forall (A : algebra) (F : interpretation A) (z w : positive -> A),
    state_of F s fs z -> state_of F g gs w -> weighted rows g z w ->
    weighted rows g (field s z) (field g w).

(* ------------------------------------------------------------------ Solutions: D is differentiation. *)

Lemma derive_zero {A : algebra} (D : derivation A) : (D 0 == 0)%A.
Proof. exact (derive_sum_over D (fun _ => zero) []). Qed.

Theorem forward_solutions_of s fs P g gs : forward_lumping_of s fs P g gs ->
  forall (A : algebra) (F : interpretation A) (D : derivation A) (z w : positive -> A),
    state_of F s fs z -> state_of F g gs w -> sums s P g z w -> solves D s z -> solves D g w.
Proof.
  intros (_ & _ & H) A F D z w Z W T S b B. rewrite (H A F z w Z W T b B).
  rewrite (derive_eq D _ _ (T b B)). unfold total. rewrite derive_sum_over. apply sum_over_ext. intros v V.
  destruct (Pos.eqb (P v) b); [now apply S | apply derive_zero].
Qed.

Theorem backward_solutions_of s fs P g gs : backward_lumping_of s fs P g gs ->
  forall (A : algebra) (F : interpretation A) (D : derivation A) (z w : positive -> A),
    state_of F s fs z -> state_of F g gs w -> copies s P g z w -> solves D g w -> solves D s z.
Proof.
  intros (E & _ & H) A F D z w Z W C S v V. rewrite (H A F z w Z W C v V), (derive_eq D _ _ (C v V)).
  now apply S, E.
Qed.

Theorem linear_solutions_of s fs rows g gs : linear_lumping_of s fs rows g gs -> in_variables_of s rows ->
  forall (A : algebra) (F : interpretation A) (D : derivation A) (z w : positive -> A),
    state_of F s fs z -> state_of F g gs w -> weighted rows g z w -> solves D s z -> solves D g w.
Proof.
  intros (_ & H) I A F D z w Z W T S k K. rewrite (H A F z w Z W T k K), (derive_eq D _ _ (T k K)).
  exact (derive_combination D s z _ S (row_in_variables s rows I k)).
Qed.

(* ------------------------------------------------------------------ Which is the coarsest.
   Again without quotients, at states at which no denominator is zero. *)

(* Two states with equal sums over blocks have derivatives with equal sums. *)
Definition forward_equivalence_of (s : system) (fs : symbols) (P : partition) : Prop :=
  forall (A : algebra) (F : interpretation A) (z z' : positive -> A), state_of F s fs z -> state_of F s fs z' ->
    (forall b, (total s P z b == total s P z' b)%A) ->
    forall b, (total s P (field s z) b == total s P (field s z') b)%A.

(* Where members of each block are equal, so are their derivatives. *)
Definition backward_equivalence_of (s : system) (fs : symbols) (P : partition) : Prop :=
  forall (F : interpretation rationals) (z : state), state_of F s fs z ->
    uniform s P z -> uniform s P (field s z).

(* Every equivalence inside the initial partition lies inside P. *)
Definition nothing_coarser (equivalence : system -> symbols -> partition -> Prop) (s : system) (fs : symbols)
  (initial P : partition) : Prop :=
  inside s P initial /\ forall R, equivalence s fs R -> inside s R initial -> inside s R P.

(* ------------------------------------------------------------------ Which linear lumping is the smallest. *)

(* Whatever the functions are, the values of these rows determine those of their derivatives. *)
Definition invariant_of (s : system) (fs : symbols) (L : rows) : Prop :=
  forall (A : algebra) (F : interpretation A) (z z' : positive -> A), state_of F s fs z -> state_of F s fs z' ->
    (forall k, (combinations L z k == combinations L z' k)%A) ->
    forall k, (combinations L (field s z) k == combinations L (field s z') k)%A.

(* All rows that keep the observables determine L, and are as many at least. *)
Definition nothing_smaller (s : system) (fs : symbols) (observables L : rows) : Prop :=
  determines L observables /\
  forall M, in_variables_of s M -> invariant_of s fs M -> determines M observables ->
    determines M L /\ (length L <= length M)%nat.
