(* Lists as maps, and lists with numbers. *)

From Coq Require Import QArith List Lia PeanoNat.
From Symlump Require Import Algebra Trie Polynomial Systems.
Import ListNotations.
Local Open Scope nat_scope.

Definition lookup {X : Type} (beyond : X) (t : trie X) (k : positive) : X :=
  match get k t with Some x => x | None => beyond end.
Definition is_there {X : Type} (t : trie X) (k : positive) : bool :=
  match get k t with Some _ => true | None => false end.
Definition to_map {X : Type} (l : list X) : trie X := indexed l xH Empty.

Fixpoint numbered {X : Type} (l : list X) (from : positive) : list (positive * X) :=
  match l with [] => [] | x :: l => (from, x) :: numbered l (Pos.succ from) end.

Lemma get_to_map {X : Type} (l : list X) k : get k (to_map l) = nth_error l (pred (Pos.to_nat k)).
Proof.
  unfold to_map. rewrite get_indexed. replace (Pos.to_nat k - Pos.to_nat 1) with (pred (Pos.to_nat k)) by lia.
  destruct (Pos.compare_spec k 1) as [->|H|H]; [| now apply Pos.nlt_1_r in H |];
    destruct (nth_error l _); reflexivity.
Qed.

Lemma lookup_to_map {X : Type} (beyond : X) l k : lookup beyond (to_map l) k = item beyond l k.
Proof.
  unfold lookup, item. rewrite get_to_map. generalize (pred (Pos.to_nat k)) as n.
  induction l as [|x l IH]; intros [|n]; cbn; auto.
Qed.

Lemma is_there_to_map s k : is_there (to_map s) k = true <-> In k (variables s).
Proof.
  unfold is_there. rewrite get_to_map, in_variables. pose proof (Pos2Nat.is_pos k).
  destruct (nth_error s _) eqn:E; split; intros H'; try easy.
  - assert (N : nth_error s (pred (Pos.to_nat k)) <> None) by now rewrite E.
    apply nth_error_Some in N. lia.
  - apply nth_error_None in E. lia.
Qed.

Lemma numbered_variables s : numbered s xH = map (fun v => (v, equation s v)) (variables s).
Proof.
  unfold variables, equation, item. rewrite map_map.
  enough (H : forall a, numbered s (Pos.of_succ_nat a) =
    map (fun k => (Pos.of_succ_nat k, nth (k - a) s [])) (seq a (length s))).
  { change xH with (Pos.of_succ_nat 0). rewrite (H 0%nat). apply map_ext. intros k.
    rewrite SuccNat2Pos.id_succ, Nat.sub_0_r. reflexivity. }
  induction s as [|q s IH]; intros a; cbn [numbered seq length map]; [reflexivity|].
  rewrite Nat.sub_diag. cbn [nth]. f_equal. change (Pos.succ (Pos.of_succ_nat a)) with (Pos.of_succ_nat (S a)).
  rewrite IH. apply map_ext_in. intros k K. apply in_seq in K.
  replace (k - a)%nat with (S (k - S a))%nat by lia. reflexivity.
Qed.

Lemma fst_numbered s : map fst (numbered s xH) = variables s.
Proof. now rewrite numbered_variables, map_map, map_id. Qed.

Lemma for_numbered s (f : positive * polynomial -> bool) : forallb f (numbered s xH) = true ->
  forall v, In v (variables s) -> f (v, equation s v) = true.
Proof.
  rewrite numbered_variables, forallb_forall. intros H v V. apply H.
  now apply (in_map (fun v => (v, equation s v))).
Qed.

(* For each block, its members; and the sum of their equations, as one long list of terms. *)
Section Blocks.
  Variable block_of : partition.

  Fixpoint members {X : Type} (l : list (positive * X)) : trie (list positive) :=
    match l with
    | [] => Empty
    | (v, _) :: l => update (fun old => match old with Some r => v :: r | None => [v] end) (block_of v) (members l)
    end.

  Fixpoint block_sums (l : list (positive * polynomial)) : trie polynomial :=
    match l with
    | [] => Empty
    | (v, q) :: l => update (fun old => match old with Some p => q ++ p | None => q end) (block_of v) (block_sums l)
    end.

  Definition block_sum (b : positive) (l : list (positive * polynomial)) : polynomial :=
    flat_map (fun '(v, q) => if Pos.eqb (block_of v) b then q else []) l.

  Lemma lookup_block_sums b l : lookup (X := polynomial) [] (block_sums l) b = block_sum b l.
  Proof.
    unfold lookup. induction l as [|[v q] l IH]; cbn; [reflexivity|].
    rewrite get_update. rewrite (Pos.eqb_sym b). destruct (Pos.eqb_spec (block_of v) b) as [E|E]; [|exact IH].
    unfold block_sum in IH. rewrite E, <- IH.
    destruct (get b (block_sums l)); [reflexivity | now rewrite app_nil_r].
  Qed.

  Lemma in_members {X : Type} (l : list (positive * X)) b v :
    In v (lookup [] (members l) b) <-> block_of v = b /\ In v (map fst l).
  Proof.
    unfold lookup. induction l as [|[w q] l IH]; cbn; [easy|].
    rewrite get_update. rewrite (Pos.eqb_sym b). destruct (Pos.eqb_spec (block_of w) b) as [E|E].
    - rewrite E. destruct (get b (members l)); cbn in *; rewrite ?IH; split; intuition (subst; auto).
    - rewrite IH. split; intuition (subst; auto). easy.
  Qed.

  Lemma eval_block_sum {A : algebra} (x : positive -> A) s b :
    (eval x (block_sum b (numbered s xH)) == total s block_of (field s x) b)%A.
  Proof.
    unfold block_sum, total, field. rewrite numbered_variables.
    induction (variables s) as [|v l IH]; cbn; [reflexivity|].
    rewrite eval_app, IH. destruct (Pos.eqb (block_of v) b); reflexivity.
  Qed.
End Blocks.

(* All variables have an equation. *)
Definition in_scope {X : Type} (t : trie X) (p : polynomial) : bool :=
  forallb (fun '(_, m) => forallb (fun '(v, _) => is_there t v) m) p.

Lemma in_scope_within s p : in_scope (to_map s) p = true ->
  forall c m v e, In (c, m) p -> In (v, e) m -> In v (variables s).
Proof.
  unfold in_scope. rewrite forallb_forall. intros H c m v e M V. specialize (H _ M). cbn in H.
  rewrite forallb_forall in H. specialize (H _ V). now apply is_there_to_map.
Qed.

Lemma eval_in_scope {A : algebra} s p (x y : positive -> A) : in_scope (to_map s) p = true ->
  (forall v, In v (variables s) -> (x v == y v)%A) -> (eval x p == eval y p)%A.
Proof.
  intros W E. pose proof (in_scope_within s p W) as H. clear W. induction p as [|[c m] p IH]; cbn; [reflexivity|].
  rewrite IH by (intros ? ? ? ? M V; exact (H _ _ _ _ (or_intror M) V)).
  apply add_proper; [|reflexivity]. apply mul_proper; [reflexivity|].
  assert (M : forall v e, In (v, e) m -> In v (variables s)) by (intros v e V; exact (H _ _ _ _ (or_introl eq_refl) V)).
  clear - E M. induction m as [|[v e] m IH]; cbn; [reflexivity|].
  apply mul_proper; [|apply IH; intros; eapply M; right; eauto].
  apply power_proper; [|reflexivity]. apply E. eapply M. now left.
Qed.

Lemma within_block_sum P s b :
  (forall v, In v (variables s) -> in_scope (to_map s) (equation s v) = true) ->
  forall c m v e, In (c, m) (block_sum P b (numbered s xH)) -> In (v, e) m -> In v (variables s).
Proof.
  intros H c m v e M V. unfold block_sum in M. apply in_flat_map in M as [[w q] [W M]].
  rewrite numbered_variables in W. apply in_map_iff in W as (u & E & U). injection E as -> <-.
  destruct (Pos.eqb (P w) b); [|easy]. exact (in_scope_within _ _ (H w U) c m v e M V).
Qed.

(* Renaming variables. *)
Definition renamed (f : positive -> positive) (m : monomial) : monomial := map (fun '(v, e) => (f v, e)) m.
Definition renamed_terms (f : positive -> positive) (p : polynomial) : polynomial :=
  map (fun '(c, m) => (c, renamed f m)) p.

Lemma product_renamed {A : algebra} f (y : positive -> A) m :
  (product y (renamed f m) == product (fun v => y (f v)) m)%A.
Proof. induction m as [|[v e] m IH]; cbn; [| rewrite IH]; reflexivity. Qed.

Lemma eval_renamed {A : algebra} f (y : positive -> A) p :
  (eval y (renamed_terms f p) == eval (fun v => y (f v)) p)%A.
Proof. induction p as [|[c m] p IH]; cbn; [| rewrite IH, product_renamed]; reflexivity. Qed.
