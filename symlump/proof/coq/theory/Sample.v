(* That a system with functions is defined somewhere: its symbols evaluated at a point.

   The functions that are used there are simple ones which obey the facts: exp is a parabola, sin a cubic. Being
   polynomials they are there in every algebra; where an algebra has inverses, so is 1/u. *)

From Coq Require Import QArith List Lia Ring Setoid.
From Symlump Require Import Algebra Trie Polynomial Systems Lookup Functions.
Import ListNotations.
Local Open Scope Q_scope.

Section Functions.
  Context {A : algebra}.
  Add Ring ring_of_A : (ring_laws A) (setoid (eqv_equivalence A) (operations_respect_eqv A)).
  Open Scope algebra_scope.

  Definition less_one (a : A) : A := a + scalar (-1).
  Definition mixed (r : Q) (c : A) (u : list A) : A := fold_right (fun a rest => a + scalar r * rest) c u.
  Definition odd (r : Q) (a : A) : A := a * (scalar r + a * a).

  Definition sample_function (r : Q) (f : function) (u : list A) : A :=
    let a := hd 0 u in
    match f with
    | Inverse => 0
    | Exp => 1 + a * (scalar r + a)
    | Cos => 1 + scalar r * (a * a)
    | Cosh => 1 + scalar (r + 1) * (a * a)
    | Abs => scalar r * (a * a)
    | Sin => odd r a
    | Tan => odd (r + 1) a
    | Asin => odd (r + 2) a
    | Atan => odd (r + 3) a
    | Sinh => odd (r + 4) a
    | Tanh => odd (r + 5) a
    | Asinh => odd (r + 6) a
    | Atanh => odd (r + 7) a
    | Sign => odd (r + 8) a
    | Log => scalar r * (a * less_one a)
    | Acos => scalar (r + 1) * (a * less_one a)
    | Acosh => scalar (r + 2) * (a * less_one a)
    | Power => 1 + less_one a * mixed (r + 1) (scalar r) (tl u)
    | Named n => let m := mixed (r + 1) (scalar (r + (Zpos n # 1))) u in m * (m + 1)
    end.

  Lemma opposite_of (a : A) : scalar (-1) * a == opp a.
  Proof.
    assert (E : @scalar A (-1) + 1 == 0) by (rewrite <- scalar_one, <- scalar_add; apply scalar_zero).
    transitivity ((scalar (-1) + 1) * a + opp a); [ring | rewrite E; ring].
  Qed.
  Lemma opposite_of_one : @scalar A (-1) == opp 1.
  Proof. rewrite <- (opposite_of 1). ring. Qed.

  Lemma hd_eq (u v : list A) : Forall2 eqv u v -> hd 0 u == hd 0 v.
  Proof. intros H. inversion H; [reflexivity | trivial]. Qed.
  Lemma tl_eq (u v : list A) : Forall2 eqv u v -> Forall2 eqv (tl u) (tl v).
  Proof. intros H. inversion H; [constructor | trivial]. Qed.
  Lemma mixed_eq r c (u v : list A) : Forall2 eqv u v -> mixed r c u == mixed r c v.
  Proof. intros H. induction H as [|a b u v E _ IH]; cbn; [reflexivity|]. unfold mixed in IH. now rewrite E, IH. Qed.

  Definition sample (r : Q) : interpretation A.
  Proof.
    refine {| apply := sample_function r |}.
    - intros f u v H. pose proof (hd_eq u v H) as E. pose proof (mixed_eq (r + 1)%Q (scalar r) _ _ (tl_eq u v H)) as M.
      unfold sample_function, odd, less_one. cbv zeta.
      destruct f as [| | | | | | | | | | | | | | | | | | n]; try (rewrite E; reflexivity); try reflexivity.
      + rewrite E, M. reflexivity.
      + rewrite (mixed_eq (r + 1)%Q (scalar (r + (Zpos n # 1))%Q) u v H). reflexivity.
    - intros f c. destruct f; cbn; unfold odd; intros H; try discriminate; injection H as <-;
        rewrite ?scalar_one, ?scalar_zero; ring.
    - intros f c. destruct f; cbn; unfold less_one; intros H; try discriminate; injection H as <-;
        rewrite opposite_of_one, scalar_zero; ring.
    - intros f c u. destruct f; cbn; unfold odd; intros H; try discriminate; injection H as <-;
        rewrite ?scalar_one, ?opposite_of; ring.
    - intros u. cbn. unfold less_one. rewrite opposite_of_one. ring.
  Defined.
End Functions.

(* ------------------------------------------------------------------ Symbols evaluated. *)

(* An inverse where there is one, and a normal form of values. *)
Record computable (A : algebra) := Computable {
  inverted : A -> option A;
  tidied : A -> A;
  inverted_mul : forall a b : A, inverted a = Some b -> (b * a == 1)%A;
  tidied_eqv : forall a : A, (tidied a == a)%A }.
Arguments inverted {_}. Arguments tidied {_}. Arguments inverted_mul {_}. Arguments tidied_eqv {_}.

Definition extends {X : Type} (t' t : trie X) : Prop := forall v q, get v t = Some q -> get v t' = Some q.

Section Evaluated.
  Context {A : algebra} (how : computable A).
  Notation values t := (lookup zero t : positive -> A).

  (* The values of symbols k, k + 1, …, each put beside those before it; none where a denominator has no inverse. *)
  Fixpoint evaluated (r : Q) (k : positive) (fs : symbols) (t : trie A) : option (trie A) :=
    match fs with
    | [] => Some t
    | (f, u) :: fs =>
      if (negb (is_there t k) && forallb (in_scope t) u)%bool then
        match f with
        | Inverse => match inverted how (eval (values t) (hd [] u)) with
                     | Some b => evaluated r (Pos.succ k) fs (put k b t)
                     | None => None
                     end
        | _ => evaluated r (Pos.succ k) fs (put k (tidied how (sample_function r f (map (eval (values t)) u))) t)
        end
      else None
    end.

  Lemma eval_extends (t t' : trie A) p : extends t' t -> in_scope t p = true ->
    (eval (values t') p == eval (values t) p)%A.
  Proof.
    intros E. unfold in_scope. rewrite forallb_forall. induction p as [|[c m] p IH]; intros S; [reflexivity|].
    cbn [eval]. apply add_proper; [|apply IH; intros; apply S; now right].
    apply mul_proper; [reflexivity|]. specialize (S _ (or_introl eq_refl)). cbn in S.
    clear - E S. induction m as [|[v e] m IH]; [reflexivity|]. cbn [product forallb] in *.
    apply andb_prop in S as [V S]. apply mul_proper; [|now apply IH].
    apply power_proper; [|reflexivity]. unfold lookup. unfold is_there in V.
    destruct (get v t) as [q|] eqn:G; [|discriminate]. now rewrite (E _ _ G).
  Qed.

  Lemma evaluated_values r fs : forall n t t', evaluated r (Pos.of_succ_nat n) fs t = Some t' ->
    extends t' t /\ forall j f u, nth_error fs j = Some (f, u) ->
      has_value (sample r) (values t') (Pos.of_succ_nat (n + j)) f u.
  Proof.
    induction fs as [|[f u] fs IH]; intros n t t'; cbn [evaluated].
    - intros [= <-]. split; [now intros v q | now intros [|j]].
    - destruct (negb (is_there t (Pos.of_succ_nat n)) && forallb (in_scope t) u)%bool eqn:C; [|discriminate].
      apply andb_prop in C as [N S]. rewrite forallb_forall in S.
      set (k := Pos.of_succ_nat n) in *. change (Pos.succ k) with (Pos.of_succ_nat (Datatypes.S n)).
      assert (Step : forall q, evaluated r (Pos.of_succ_nat (Datatypes.S n)) fs (put k q t) = Some t' ->
        extends t' t /\ get k t' = Some q /\ forall j f' u', nth_error fs j = Some (f', u') ->
          has_value (sample r) (values t') (Pos.of_succ_nat (n + Datatypes.S j)) f' u').
      { intros q E. apply IH in E as [X H].
        assert (T : extends (put k q t) t).
        { intros v q' G. rewrite get_put. destruct (Pos.eqb_spec v k) as [->|]; [|exact G].
          unfold is_there in N. now rewrite G in N. }
        split; [intros v q' G; apply X, T, G|]. split.
        - apply X. now rewrite get_put, Pos.eqb_refl.
        - intros j f' u' J. replace (n + Datatypes.S j)%nat with (Datatypes.S n + j)%nat by lia. now apply H. }
      assert (All : extends t' t -> Forall2 eqv (map (eval (values t')) u) (map (eval (values t)) u)).
      { intros X. clear - X S. induction u as [|p u IH]; cbn; constructor.
        - apply eval_extends; [exact X|]. apply S. now left.
        - apply IH. intros. apply S. now right. }
      assert (Head : extends t' t -> (eval (values t') (hd [] u) == eval (values t) (hd [] u))%A).
      { intros X. destruct u as [|p u]; [reflexivity|]. apply eval_extends; [exact X|]. apply S. now left. }
      assert (Other : f <> Inverse ->
        evaluated r (Pos.of_succ_nat (Datatypes.S n)) fs
          (put k (tidied how (sample_function r f (map (eval (values t)) u))) t) = Some t' ->
        extends t' t /\ forall j f' u', nth_error ((f, u) :: fs) j = Some (f', u') ->
          has_value (sample r) (values t') (Pos.of_succ_nat (n + j)) f' u').
      { intros D E. apply Step in E as (X & G & H). split; [exact X|]. intros [|j] f' u' J; [|now apply H].
        injection J as <- <-. rewrite Nat.add_0_r. fold k.
        enough (V : (lookup zero t' k == sample_function r f (map (eval (values t')) u))%A).
        { destruct f; try exact V. now destruct D. }
        unfold lookup at 1. rewrite G, tidied_eqv. symmetry. apply (apply_eq (sample r)). now apply All. }
      destruct f; try (apply Other; discriminate).
      destruct (inverted how (eval (values t) (hd [] u))) as [b|] eqn:B; [|discriminate]. intros E.
      apply Step in E as (X & G & H). split; [exact X|]. intros [|j] f' u' J; [|now apply H].
      injection J as <- <-. rewrite Nat.add_0_r. fold k. cbn [has_value].
      rewrite (Head X). unfold lookup at 1. rewrite G. exact (inverted_mul how _ _ B).
  Qed.
End Evaluated.

Definition computable_rationals : computable rationals.
Proof.
  refine {| inverted := fun a : rationals => if Qeq_bool a 0 then None else Some (Qred (/ a));
            tidied := Qred : rationals -> rationals |}.
  - intros a b. destruct (Qeq_bool a 0) eqn:Z; [discriminate|]. intros [= <-]. cbn. rewrite Qred_correct, Qmult_comm.
    apply Qmult_inv_r. intros E. apply Qeq_eq_bool in E. congruence.
  - intros a. apply Qred_correct.
Defined.
