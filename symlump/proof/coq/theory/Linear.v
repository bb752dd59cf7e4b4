(* Linear lumpings, checked by multiplying out the quotient. *)

From Coq Require Import QArith List.
From Symlump Require Import Algebra Trie Polynomial Systems Lookup Compose.
Import ListNotations.
Local Open Scope Q_scope.

(* Terms collected. How this is done does not matter: the result is compared with what was given. *)
Definition collected (p : polynomial) : polynomial :=
  let t := fold_left (fun t '(c, m) =>
    let m := normal m in
    update (fun old => match old with Some (d, _) => (sum d c, m) | None => (c, m) end) (key m) t) p Empty in
  let q := filter (fun '(c, _) => negb (is_zero c)) (values t []) in
  if same p q then q else p.

Lemma eval_collected {A : algebra} (x : positive -> A) p : (eval x (collected p) == eval x p)%A.
Proof.
  unfold collected. cbv zeta. destruct (same p _) eqn:E; [|reflexivity]. symmetry. now apply same_eval.
Qed.

(* The combination of the equations that a row makes. *)
Fixpoint gather_row (equations : trie polynomial) (row : list (Q * positive)) (t : trie Q) : trie Q :=
  match row with
  | [] => t
  | (w, v) :: row => gather_row equations row (gather w (lookup (X := polynomial) [] equations v) t)
  end.
Definition combined (s : system) (row : list (Q * positive)) : polynomial :=
  flat_map (fun '(w, v) => scale w (equation s v)) row.

Definition linear_check (s : system) (rows : list (list (Q * positive))) (g : system) : bool :=
  let equations := to_map s in
  let row_of := lookup [] (to_map rows) in
  let row_polynomial_of v := row_polynomial (row_of v) in
  forallb (fun '(k, gk) =>
    for_all is_zero (gather (-1) (compose_with collected row_polynomial_of gk)
      (gather_row equations (row_of k) Empty))) (numbered g xH).

Lemma value_gather_row s row t m :
  value (key m) (gather_row (to_map s) row t) == value (key m) t + coef (combined s row) m.
Proof.
  revert t. induction row as [|[w v] row IH]; intros t; cbn [gather_row combined flat_map]; [cbn; ring|].
  rewrite IH, value_gather, coef_app, coef_scale, (lookup_to_map (X := polynomial)). symmetry. apply Qplus_assoc.
Qed.

Lemma eval_combined {A : algebra} (x : positive -> A) s row :
  (eval x (combined s row) == combination row (field s x))%A.
Proof.
  unfold combined, field. induction row as [|[w v] row IH]; cbn; [reflexivity|].
  now rewrite eval_app, eval_scale, IH.
Qed.

Theorem linear_correct s rows g : linear_check s rows g = true -> linear_lumping s rows g.
Proof.
  unfold linear_check. cbv zeta. intros C A x k K. apply (for_numbered _ _ C) in K. cbv beta iota in K.
  unfold combinations, field at 2. rewrite <- (eval_combined x s).
  transitivity (eval x (compose_with collected (fun v => row_polynomial (lookup [] (to_map rows) v)) (equation g k))).
  - apply eval_coef. intros m. pose proof (value_zero _ (key m) K) as Z.
    rewrite value_gather, value_gather_row in Z. change (value _ Empty) with 0 in Z. rewrite lookup_to_map in Z.
    set (a := coef (combined s (item [] rows k)) m) in *. set (b := coef (compose_with _ _ _) m) in *.
    transitivity (0 + a + -1 * b + b); [ring | rewrite Z; ring].
  - rewrite eval_compose_with by (intros; apply eval_collected). apply eval_ext. intros v.
    rewrite eval_row_polynomial, lookup_to_map. reflexivity.
Qed.
