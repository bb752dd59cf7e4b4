(* What a certificate for Coq rests on: its data, and one of the theorems below, whose premise is computed. *)

From Coq Require Export QArith List.
From Symlump Require Export Algebra Polynomial Systems Backward Forward Replay ForwardReplay BackwardReplay.
From Symlump Require Export Linear Modular Derivation Smallest.
From Symlump Require Export Functions Trajectories Symbols Sample Square Coarsest Gradients.
Export ListNotations.
Local Open Scope bool_scope.

(* The rows of a certificate are rows of variables, as is computed. *)
Lemma rows_checked s L : in_variables_check s L = true -> in_variables_of s L.
Proof. apply in_variables_checked. Qed.

(* How lists are written. *)
Definition next {X : Type} (x : X) (l : list X) : list X := x :: l.
Definition equation_then (q : polynomial) (s : system) : system := q :: s.
Definition label_then (b : positive) (l : list positive) : list positive := b :: l.
Definition entry (w : Q) (v : positive) (r : row) : row := (w, v) :: r.
Definition symbol (f : function) (u : list polynomial) (l : symbols) : symbols := (f, u) :: l.
Definition no_more {X : Type} : list X := [].

Section Partitions.
  Variables (s : system) (blocks : list positive) (quotient : system) (initial : list positive).

  Theorem forward_accepted : forward_check s blocks quotient = true -> forward_lumping s (listed blocks) quotient.
  Proof. apply forward_correct. Qed.

  Theorem forward_inside_accepted : forward_check s blocks quotient && inside_check s blocks initial = true ->
    forward_lumping s (listed blocks) quotient /\ inside s (listed blocks) (listed initial).
  Proof. intros H. apply andb_prop in H as [H I]. split; [now apply forward_correct | now apply inside_correct]. Qed.

  Theorem forward_coarsest_accepted rounds :
    forward_check s blocks quotient && forward_coarsest_check s blocks initial rounds = true ->
    forward_lumping s (listed blocks) quotient /\
    coarsest forward_equivalence s (listed initial) (listed blocks).
  Proof.
    intros H. apply andb_prop in H as [H I].
    split; [now apply forward_correct | now apply forward_coarsest_correct with quotient rounds].
  Qed.

  Theorem backward_accepted : backward_check s blocks quotient = true -> backward_lumping s (listed blocks) quotient.
  Proof. apply backward_correct. Qed.

  Theorem backward_inside_accepted : backward_check s blocks quotient && inside_check s blocks initial = true ->
    backward_lumping s (listed blocks) quotient /\ inside s (listed blocks) (listed initial).
  Proof. intros H. apply andb_prop in H as [H I]. split; [now apply backward_correct | now apply inside_correct]. Qed.

  Theorem backward_coarsest_accepted rounds :
    backward_check s blocks quotient && backward_coarsest_check s blocks initial rounds = true ->
    backward_lumping s (listed blocks) quotient /\
    coarsest backward_equivalence s (listed initial) (listed blocks).
  Proof.
    intros H. apply andb_prop in H as [H I].
    split; [now apply backward_correct | now apply backward_coarsest_correct with quotient rounds].
  Qed.
End Partitions.

Section Rows.
  Variables (s : system) (matrix : list row) (quotient : system).

  Theorem linear_accepted : linear_check s matrix quotient = true -> linear_lumping s matrix quotient.
  Proof. apply linear_correct. Qed.

  Theorem linear_smallest_accepted observables carried start steps modulus :
    linear_check s matrix quotient && smallest_check s matrix quotient observables carried start steps modulus = true ->
    linear_lumping s matrix quotient /\ smallest s observables matrix.
  Proof.
    intros H. apply andb_prop in H as [H I].
    split; [now apply linear_correct | now apply smallest_correct with quotient carried start steps modulus].
  Qed.
End Rows.

(* With quotients and functions; hints are verified, too. Points are numbers from which values are computed. *)
Section Functions.
  Variables (s : system) (fs : symbols) (hints : list hint) (g : system) (gs : symbols) (quotient_hints : list hint).
  Variables (modulus : Z) (points : list positive).

  Section Partitions.
    Variables (blocks initial rounds : list positive).
    Notation forward := (forward_check_of s fs hints blocks g gs quotient_hints modulus points).
    Notation backward := (backward_check_of s fs hints blocks g gs quotient_hints modulus points).
    Notation forward_claim := (forward_lumping_of s fs (listed blocks) g gs).
    Notation backward_claim := (backward_lumping_of s fs (listed blocks) g gs).

    Theorem forward_accepted_of : forward = true -> forward_claim.
    Proof. apply forward_correct_of. Qed.
    Theorem backward_accepted_of : backward = true -> backward_claim.
    Proof. apply backward_correct_of. Qed.

    Theorem forward_inside_accepted_of : forward && inside_check s blocks initial = true ->
      forward_claim /\ inside s (listed blocks) (listed initial).
    Proof. intros H. apply andb_prop in H as [H I]. split; [now apply forward_accepted_of | now apply inside_correct]. Qed.
    Theorem backward_inside_accepted_of : backward && inside_check s blocks initial = true ->
      backward_claim /\ inside s (listed blocks) (listed initial).
    Proof. intros H. apply andb_prop in H as [H I]. split; [now apply backward_accepted_of | now apply inside_correct]. Qed.

    Theorem forward_coarsest_accepted_of :
      forward && forward_nothing_coarser_check modulus s fs blocks initial rounds = true ->
      forward_claim /\ nothing_coarser forward_equivalence_of s fs (listed initial) (listed blocks).
    Proof.
      intros H. apply andb_prop in H as [H I].
      split; [now apply forward_accepted_of | now apply forward_nothing_coarser with modulus rounds].
    Qed.
    Theorem backward_coarsest_accepted_of :
      backward && backward_nothing_coarser_check modulus s fs blocks initial rounds = true ->
      backward_claim /\ nothing_coarser backward_equivalence_of s fs (listed initial) (listed blocks).
    Proof.
      intros H. apply andb_prop in H as [H I].
      split; [now apply backward_accepted_of | now apply backward_nothing_coarser with modulus rounds].
    Qed.
  End Partitions.

  Theorem linear_accepted_of matrix : linear_check_of s fs hints matrix g gs quotient_hints modulus points = true ->
    linear_lumping_of s fs matrix g gs.
  Proof. apply linear_correct_of. Qed.

  Theorem linear_smallest_accepted_of matrix observables carried start steps :
    linear_check_of s fs hints matrix g gs quotient_hints modulus points &&
      nothing_smaller_check modulus s fs g gs matrix observables carried start steps = true ->
    linear_lumping_of s fs matrix g gs /\ nothing_smaller s fs observables matrix.
  Proof.
    intros H. apply andb_prop in H as [H I]. apply linear_accepted_of in H. split; [exact H|].
    now apply nothing_smaller_correct with modulus g gs carried start steps.
  Qed.
End Functions.
