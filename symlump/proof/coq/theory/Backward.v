(* Backward lumpings, checked. *)

From Coq Require Import QArith List.
From Symlump Require Import Algebra Trie Polynomial Systems Lookup.
Import ListNotations.

(* Each equation, with every variable replaced by its block, is the quotient's equation of its block. *)
Definition backward_check (s : system) (p : list positive) (g : system) : bool :=
  let blocks := to_map p in
  let block_of := lookup xH blocks in
  let quotient := to_map g in
  let equations := to_map s in
  forallb (fun '(v, q) =>
    let b := block_of v in
    is_there quotient b && in_scope equations q && same (renamed_terms block_of q) (lookup (X := polynomial) [] quotient b)) (numbered s xH).

Lemma backward_checked s p g : backward_check s p g = true -> forall v, In v (variables s) ->
  In (listed p v) (variables g) /\ in_scope (to_map s) (equation s v) = true /\
  same (renamed_terms (lookup xH (to_map p)) (equation s v)) (equation g (listed p v)) = true.
Proof.
  intros C v V. apply (for_numbered _ _ C) in V. cbv beta iota zeta in V.
  apply andb_prop in V as [V E]. apply andb_prop in V as [I S].
  rewrite !lookup_to_map in E. rewrite lookup_to_map in I. apply is_there_to_map in I. auto.
Qed.

Theorem backward_correct s p g : backward_check s p g = true -> backward_lumping s (listed p) g.
Proof.
  intros C. pose proof (backward_checked s p g C) as H. split; [intros v V; now apply H|].
  intros A y v V. destruct (H v V) as (_ & _ & E). unfold spread, field.
  rewrite <- (same_eval y _ _ E), eval_renamed. apply eval_ext. intros u.
  rewrite lookup_to_map. reflexivity.
Qed.
