(* What a certificate for Coq rests on: its data, and one of the theorems below, whose premise is computed. *)

From Coq Require Export QArith List.
From Symlump Require Export Algebra Polynomial Systems Backward Forward Replay Linear Modular Smallest.
Export ListNotations.
Local Open Scope bool_scope.

(* How lists are written. *)
Definition next {X : Type} (x : X) (l : list X) : list X := x :: l.
Definition equation_then (q : polynomial) (s : system) : system := q :: s.
Definition label_then (b : positive) (l : list positive) : list positive := b :: l.
Definition entry (w : Q) (v : positive) (r : row) : row := (w, v) :: r.
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
