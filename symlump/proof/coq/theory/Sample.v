(* That a system with functions is defined somewhere: its symbols evaluated at a rational point.

   The functions that are used there are simple ones which obey the facts: exp is a parabola, sin a cubic. *)

From Coq Require Import QArith List Lia Setoid.
From Symlump Require Import Algebra Trie Polynomial Systems Lookup Functions.
Import ListNotations.
Local Open Scope Q_scope.

Definition mixed (r c : Q) (u : list Q) : Q := fold_right (fun a rest => a + r * rest) c u.

Definition odd (r a : Q) : Q := a * (r + a * a).

Definition sample_function (r : Q) (f : function) (u : list Q) : Q :=
  let a := hd 0 u in
  match f with
  | Inverse => 0
  | Exp => 1 + r * a + a * a
  | Cos => 1 + r * (a * a)
  | Cosh => 1 + (r + 1) * (a * a)
  | Abs => r * (a * a)
  | Sin => odd r a
  | Tan => odd (r + 1) a
  | Asin => odd (r + 2) a
  | Atan => odd (r + 3) a
  | Sinh => odd (r + 4) a
  | Tanh => odd (r + 5) a
  | Asinh => odd (r + 6) a
  | Atanh => odd (r + 7) a
  | Sign => odd (r + 8) a
  | Log => r * (a * (a - 1))
  | Acos => (r + 1) * (a * (a - 1))
  | Acosh => (r + 2) * (a * (a - 1))
  | Power => 1 + (a - 1) * mixed (r + 1) r (tl u)
  | Named n => let m := mixed (r + 1) (r + (Zpos n # 1)) u in m * (m + 1)
  end.

Lemma hd_eq u v : Forall2 (@eqv rationals) u v -> hd 0 u == hd 0 v.
Proof. intros H. inversion H; [reflexivity | trivial]. Qed.
Lemma tl_eq u v : Forall2 (@eqv rationals) u v -> Forall2 (@eqv rationals) (tl u) (tl v).
Proof. intros H. inversion H; [constructor | trivial]. Qed.
Lemma mixed_eq r c u v : Forall2 (@eqv rationals) u v -> mixed r c u == mixed r c v.
Proof.
  intros H. induction H as [|a b u v E _ IH]; cbn; [reflexivity|]. cbn in E. unfold mixed in IH. rewrite E, IH. reflexivity.
Qed.

Definition sample (r : Q) : interpretation rationals.
Proof.
  refine {| apply := sample_function r : function -> list rationals -> rationals |}.
  - intros f u v H. pose proof (hd_eq u v H) as E. pose proof (mixed_eq (r + 1) r _ _ (tl_eq u v H)) as M.
    unfold sample_function, odd. cbn [eqv rationals] in *. cbv zeta.
    destruct f as [| | | | | | | | | | | | | | | | | | n]; try (rewrite E; reflexivity); try reflexivity.
    + rewrite E, M. reflexivity.
    + rewrite (mixed_eq (r + 1) (r + (Zpos n # 1)) u v H). reflexivity.
  - intros f c. destruct f; cbn; unfold odd; intros H; try discriminate; injection H as <-; ring.
  - intros f c. destruct f; cbn; unfold odd; intros H; try discriminate; injection H as <-; ring.
  - intros f c u. destruct f; cbn; unfold odd; intros H; try discriminate; injection H as <-; ring.
  - intros u. cbn. ring.
Defined.

(* The values of symbols k, k + 1, …, each put beside those before it; none where a denominator is 0. *)
Fixpoint evaluated (r : Q) (k : positive) (fs : symbols) (t : trie Q) : option (trie Q) :=
  match fs with
  | [] => Some t
  | (f, u) :: fs =>
    if (negb (is_there t k) && forallb (in_scope t) u)%bool then
      let value p := eval (lookup 0 t : state) p in
      match f with
      | Inverse => if Qeq_bool (value (hd [] u)) 0 then None
                   else evaluated r (Pos.succ k) fs (put k (Qred (/ value (hd [] u))) t)
      | _ => evaluated r (Pos.succ k) fs (put k (Qred (sample_function r f (map value u))) t)
      end
    else None
  end.

Definition extends (t' t : trie Q) : Prop := forall v q, get v t = Some q -> get v t' = Some q.

Lemma eval_extends (t t' : trie Q) p : extends t' t -> in_scope t p = true ->
  eval (lookup 0 t' : state) p == eval (lookup 0 t : state) p.
Proof.
  intros E. unfold in_scope. rewrite forallb_forall. induction p as [|[c m] p IH]; intros S; [reflexivity|].
  cbn [eval]. apply (add_proper rationals); [|apply IH; intros; apply S; now right].
  apply (mul_proper rationals); [reflexivity|]. specialize (S _ (or_introl eq_refl)). cbn in S.
  clear - E S. induction m as [|[v e] m IH]; [reflexivity|]. cbn [product forallb] in *.
  apply andb_prop in S as [V S]. apply (mul_proper rationals); [|now apply IH].
  apply (power_proper (A := rationals)); [|reflexivity]. unfold lookup. unfold is_there in V.
  destruct (get v t) as [q|] eqn:G; [|discriminate]. now rewrite (E _ _ G).
Qed.

Lemma evaluated_values r fs : forall n t t', evaluated r (Pos.of_succ_nat n) fs t = Some t' ->
  extends t' t /\ forall j f u, nth_error fs j = Some (f, u) ->
    has_value (sample r) (lookup 0 t' : state) (Pos.of_succ_nat (n + j)) f u.
Proof.
  induction fs as [|[f u] fs IH]; intros n t t'; cbn [evaluated].
  - intros [= <-]. split; [now intros v q | now intros [|j]].
  - destruct (negb (is_there t (Pos.of_succ_nat n)) && forallb (in_scope t) u)%bool eqn:C; [|discriminate].
    apply andb_prop in C as [N S]. rewrite forallb_forall in S.
    set (k := Pos.of_succ_nat n) in *. change (Pos.succ k) with (Pos.of_succ_nat (Datatypes.S n)).
    set (value := fun p => eval (lookup 0 t : state) p).
    assert (Step : forall q, evaluated r (Pos.of_succ_nat (Datatypes.S n)) fs (put k q t) = Some t' ->

      extends t' t /\ get k t' = Some q /\ forall j f' u', nth_error fs j = Some (f', u') ->
        has_value (sample r) (lookup 0 t' : state) (Pos.of_succ_nat (n + Datatypes.S j)) f' u').
    { intros q E. apply IH in E as [X H].
      assert (T : extends (put k q t) t).
      { intros v q' G. rewrite get_put. destruct (Pos.eqb_spec v k) as [->|]; [|exact G].
        unfold is_there in N. now rewrite G in N. }
      split; [intros v q' G; apply X, T, G|]. split.
      - apply X. now rewrite get_put, Pos.eqb_refl.
      - intros j f' u' J. replace (n + Datatypes.S j)%nat with (Datatypes.S n + j)%nat by lia. now apply H. }
    assert (Same : extends t' t -> forall p, In p u -> eval (lookup 0 t' : state) p == value p).
    { intros X p P. now apply eval_extends, S. }
    assert (All : extends t' t -> Forall2 (@eqv rationals) (map (eval (lookup 0 t' : state)) u) (map value u)).
    { intros X. specialize (Same X). clear - Same. induction u as [|p u IH]; cbn; constructor.
      - apply Same. now left.
      - apply IH. intros. apply Same. now right. }
    assert (Head : extends t' t -> eval (lookup 0 t' : state) (hd [] u) == value (hd [] u)).
    { intros X. destruct u as [|p u]; [reflexivity | apply Same; [exact X | now left]]. }
    assert (Other : f <> Inverse ->
      evaluated r (Pos.of_succ_nat (Datatypes.S n)) fs (put k (Qred (sample_function r f (map value u))) t) = Some t' ->
      extends t' t /\ forall j f' u', nth_error ((f, u) :: fs) j = Some (f', u') ->
        has_value (sample r) (lookup 0 t' : state) (Pos.of_succ_nat (n + j)) f' u').
    { intros D E. apply Step in E as (X & G & H). split; [exact X|]. intros [|j] f' u' J; [|now apply H].
      injection J as <- <-. rewrite Nat.add_0_r. fold k.
      enough (V : lookup 0 t' k == sample_function r f (map (eval (lookup 0 t' : state)) u)).
      { destruct f; try exact V. now destruct D. }
      unfold lookup at 1. rewrite G, Qred_correct. symmetry. apply (apply_eq (sample r)). now apply All. }
    destruct (Qeq_bool (value (hd [] u)) 0) eqn:Zero.
    + destruct f; try (apply Other; discriminate). discriminate.
    + destruct f; try (apply Other; discriminate). intros E.
      apply Step in E as (X & G & H). split; [exact X|]. intros [|j] f' u' J; [|now apply H].
      injection J as <- <-. rewrite Nat.add_0_r. fold k. cbn [has_value].
      change (lookup 0 t' k * eval (lookup 0 t' : state) (hd [] u) == 1).
      rewrite (Head X). unfold lookup at 1. rewrite G, Qred_correct. fold (value (hd [] u)).
      rewrite Qmult_comm. apply Qmult_inv_r. intros E0. apply Qeq_eq_bool in E0. congruence.
Qed.
