(* The checker as an OCaml program; main.ml reads a claim and runs it. *)

From Coq Require Import Extraction ExtrOcamlBasic.
From Symlump Require Import Certificate.

Extraction Language OCaml.
Extraction "verified.ml" forward_check backward_check inside_check forward_coarsest_check backward_coarsest_check
  linear_check smallest_check forward_check_of backward_check_of linear_check_of
  forward_nothing_coarser_check backward_nothing_coarser_check nothing_smaller_check.
