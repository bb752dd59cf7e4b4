(* Rounds of a maximality record, replayed at the cost of what they ask about.

   A record asks for one coefficient of all variables in a block. What is asked in one place is answered by one walk
   through that place, which finds all coefficients other than zero; variables that differ are told apart. *)

From Coq Require Import QArith List Lia Permutation.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Refinement.
Import ListNotations.
Local Open Scope Q_scope.

(* ------------------------------------------------------------------ Sums over lists. *)

Fixpoint sum_of {X : Type} (f : X -> Q) (l : list X) : Q := match l with [] => 0 | x :: l => f x + sum_of f l end.

Section Sums.
  Context {X Y : Type}.

  Lemma sum_of_ext (f g : X -> Q) l : (forall x, In x l -> f x == g x) -> sum_of f l == sum_of g l.
  Proof.
    intros H. induction l as [|x l IH]; [reflexivity|]. cbn. apply Qplus_comp; [apply H; now left|].
    apply IH. intros y I. apply H. now right.
  Qed.
  Lemma sum_of_app (f : X -> Q) l k : sum_of f (l ++ k) == sum_of f l + sum_of f k.
  Proof. induction l as [|x l IH]; cbn; [ring | rewrite IH; ring]. Qed.
  Lemma sum_of_zero (l : list X) : sum_of (fun _ => 0) l == 0.
  Proof. induction l as [|x l IH]; cbn; [reflexivity | rewrite IH; ring]. Qed.
  Lemma sum_of_add (f g : X -> Q) l : sum_of (fun x => f x + g x) l == sum_of f l + sum_of g l.
  Proof. induction l as [|x l IH]; cbn; [ring | rewrite IH; ring]. Qed.
  Lemma sum_of_map (f : Y -> Q) (g : X -> Y) l : sum_of f (map g l) = sum_of (fun x => f (g x)) l.
  Proof. induction l as [|x l IH]; cbn; [reflexivity | now rewrite IH]. Qed.
  Lemma sum_of_filter (f : X -> Q) p l : sum_of f (filter p l) == sum_of (fun x => if p x then f x else 0) l.
  Proof. induction l as [|x l IH]; cbn; [reflexivity|]. destruct (p x); cbn; rewrite IH; ring. Qed.
  Lemma sum_of_permutation (f : X -> Q) l k : Permutation l k -> sum_of f l == sum_of f k.
  Proof. induction 1; cbn; [reflexivity | now rewrite IHPermutation | ring | now rewrite IHPermutation1]. Qed.
End Sums.

Lemma sum_of_flat_map {X Y : Type} (f : Y -> Q) (g : X -> list Y) l : sum_of f (flat_map g l) == sum_of (fun x => sum_of f (g x)) l.
Proof. induction l as [|x l IH]; cbn; [reflexivity | now rewrite sum_of_app, IH]. Qed.
Lemma sum_of_swap {X Y : Type} (f : X -> Y -> Q) l k : sum_of (fun x => sum_of (f x) k) l == sum_of (fun y => sum_of (fun x => f x y) l) k.
Proof. induction l as [|x l IH]; cbn; [now rewrite sum_of_zero | now rewrite IH, sum_of_add]. Qed.

Lemma sum_of_sumq f l : sum_of f l = sumq f l.
Proof. induction l as [|v l IH]; cbn; [reflexivity | now rewrite IH]. Qed.

(* A sum over the members of a block. *)
Lemma sum_of_members s P b (f : positive -> Q) : partitioned s P ->
  sum_of f (values (members_of P b) []) == sumq (fun v => if Pos.eqb (block_of P v) b then f v else 0) (variables s).
Proof.
  intros H.
  rewrite (sum_of_permutation f _ (filter (fun v => Pos.eqb (block_of P v) b) (variables s))).
  - now rewrite sum_of_filter, sum_of_sumq.
  - assert (G : forall k x, get k (members_of P b) = Some x <-> k = x /\ Pos.eqb (block_of P x) b = true /\ In x (variables s)).
    { intros k x. rewrite (H b k), <- is_there_to_map. destruct (Pos.eqb (block_of P k) b) eqn:E, (is_there (to_map s) k) eqn:T;
        cbn [andb]; (split; [intros D; try discriminate; injection D as <-; auto |
          intros (<- & E' & T'); congruence]). }
    apply NoDup_Permutation.
    + apply values_distinct. intros j k x J K. apply G in J as [-> _], K as [-> _]. reflexivity.
    + apply NoDup_filter, variables_distinct.
    + intros x. rewrite in_values, filter_In. split.
      * intros [k K]. apply G in K. tauto.
      * intros [V E]. exists x. apply G. auto.
Qed.

(* ------------------------------------------------------------------ Answers: to which question, for whom, how much. *)

Definition answer := (positive * positive * Q)%type.
Definition amount (k v : positive) (l : list answer) : Q :=
  sum_of (fun '(j, w, c) => if (Pos.eqb j k && Pos.eqb w v)%bool then c else 0) l.

(* For each question a table of values. *)
Definition here {X : Type} (old : option (trie X)) : trie X := match old with Some t => t | None => Empty end.
Definition put_answer (t : trie (trie (positive * Q))) (a : answer) : trie (trie (positive * Q)) :=
  let '(k, v, c) := a in
  update (fun old => update (fun o => (v, match o with Some (_, q) => sum q c | None => c end)) v (here old)) k t.
Definition collect (l : list answer) : trie (trie (positive * Q)) := fold_left put_answer l Empty.

Lemma collected_answers l k : keyed (here (get k (collect l))) /\
  (forall v, value_in (here (get k (collect l))) v == amount k v l) /\
  (forall v q w, get v (here (get k (collect l))) = Some (w, q) -> exists j c, In (j, w, c) l).
Proof.
  unfold collect.
  enough (H : forall t, keyed (here (get k t)) -> let u := here (get k (fold_left put_answer l t)) in
    keyed u /\ (forall v, value_in u v == value_in (here (get k t)) v + amount k v l) /\
    (forall v q w, get v u = Some (w, q) -> (exists q, get v (here (get k t)) = Some (w, q)) \/ exists j c, In (j, w, c) l)).
  { specialize (H Empty). cbn [get here] in H. destruct H as (K & V & G); [easy|]. split; [exact K|]. split.
    - intros v. rewrite V. unfold value_in at 1. cbn [get]. ring.
    - intros v q w E. apply G in E as [[p E]|E]; [discriminate E | exact E]. }
  induction l as [|[[j w] c] l IH]; intros t K; cbn [fold_left].
  - split; [exact K|]. split; [intros v; unfold amount; cbn; ring | intros v q w E; left; now exists q].
  - cbn [put_answer]. set (t' := update _ j t). assert (G : here (get k t') = if Pos.eqb k j then
        update (fun o => (w, match o with Some (_, q) => sum q c | None => c end)) w (here (get k t)) else here (get k t)).
    { unfold t'. rewrite get_update. destruct (Pos.eqb_spec k j) as [->|]; reflexivity. }
    assert (K' : keyed (here (get k t'))).
    { rewrite G. destruct (Pos.eqb k j); [|exact K]. intros v x q. rewrite get_update.
      destruct (Pos.eqb_spec v w) as [->|]; [intros [= <- _]; reflexivity | apply K]. }
    destruct (IH t' K') as (Ku & V & In_). split; [exact Ku|]. split.
    + intros v. rewrite V. unfold amount at 2. cbn [sum_of]. fold (amount k v l). rewrite Qplus_assoc.
      apply Qplus_comp; [|reflexivity]. rewrite G, (Pos.eqb_sym j k). destruct (Pos.eqb k j); cbn [andb]; [|ring].
      unfold value_in. rewrite get_update, (Pos.eqb_sym w v). destruct (Pos.eqb_spec v w) as [->|]; [|ring].
      destruct (get w (here (get k t))) as [[x q]|]; [apply sum_plus | ring].
    + intros v q x E. apply In_ in E as [[p E]|(i & d & E)]; [|right; exists i, d; now right].
      rewrite G in E. destruct (Pos.eqb k j); [|left; now exists p]. rewrite get_update in E.
      destruct (Pos.eqb_spec v w) as [->|]; [|left; now exists p]. injection E as <- _. right. exists j, c. now left.
Qed.

Lemma amount_present k v l : amount k v l == 0 \/ exists c, In (k, v, c) l.
Proof.
  unfold amount. induction l as [|[[j w] c] l IH]; cbn [sum_of]; [left; reflexivity|].
  destruct (Pos.eqb_spec j k) as [->|]; [destruct (Pos.eqb_spec w v) as [->|]|]; cbn [andb];
    [right; exists c; now left | |]; (destruct IH as [IH|[d I]]; [left; rewrite IH; ring | right; exists d; now right]).
Qed.

(* ------------------------------------------------------------------ Rounds. *)

Section Rounds.
  Variables (record : Type) (weights : trie positive) (s : system).
  (* Where a record is answered, what it asks, and all that is found there. *)
  Variables place question : blocks -> record -> positive.
  Variable found : blocks -> positive -> list answer.

  Definition asked (P : blocks) (records : list record) : trie (positive * trie Datatypes.unit) :=
    fold_left (fun t r =>
      let p := place P r in
      update (fun old => (p, put (question P r) tt match old with Some (_, u) => u | None => Empty end)) p t) records Empty.

  Definition tables (P : blocks) (records : list record) : list (trie (positive * Q)) :=
    flat_map (fun '(p, wanted) => values (collect (filter (fun '(k, _, _) => is_there wanted k) (found P p))) [])
      (values (asked P records) []).

  Definition round (P : blocks) (records : list record) : blocks := fold_left (split weights) (tables P records) P.

  (* From the blocks of a list. *)
  Definition beginning (labels : list positive) : blocks :=
    let label := lookup xH (to_map labels) in
    let first := fold_left (fun P '(v, _) => move weights v (label v) P) (numbered s xH) (start weights s) in
    Blocks (Refinement.label first) (contents first) (weight first) (fold_left Pos.max labels xH).

  Definition replay (labels : list positive) (rounds : list (list record)) : list positive :=
    let P := fold_left round rounds (beginning labels) in
    map (fun '(v, _) => block_of P v) (numbered s xH).

  Variable R : partition.
  Hypothesis found_variables : forall P p k v c, In (k, v, c) (found P p) -> is_there (to_map s) v = true.
  (* R's blocks are not told apart while they lie inside those of the moment. *)
  Hypothesis alike : forall P p k v w, partitioned s P -> inside s R (block_of P) ->
    In v (variables s) -> In w (variables s) -> R v = R w -> amount k v (found P p) == amount k w (found P p).

  Lemma amount_filter k v u l : amount k v (filter (fun '(k, _, _) => is_there (X := Datatypes.unit) u k) l) ==
    if is_there u k then amount k v l else 0.
  Proof.
    unfold amount. rewrite sum_of_filter. transitivity (sum_of (fun x : answer => if is_there u k then
      let '(j, w, c) := x in if (Pos.eqb j k && Pos.eqb w v)%bool then c else 0 else 0) l).
    - apply sum_of_ext. intros [[j w] c] _. destruct (Pos.eqb_spec j k) as [->|]; cbn [andb];
        [reflexivity | now destruct (is_there u j), (is_there u k)].
    - destruct (is_there u k); [reflexivity | apply sum_of_zero].
  Qed.

  Definition kept (P : blocks) : Prop := partitioned s P /\ inside s R (block_of P).

  Lemma round_keeps P records : kept P -> kept (round P records).
  Proof.
    intros [H I]. unfold round.
    assert (T : forall t, In t (tables P records) -> keyed t /\
      (forall v q w, get v t = Some (w, q) -> is_there (to_map s) w = true) /\
      forall v w, In v (variables s) -> In w (variables s) -> R v = R w -> value_in t v == value_in t w).
    { intros t J. unfold tables in J. apply in_flat_map in J as [[p wanted] [_ J]]. apply in_values in J as [k J].
      set (l := filter _ _) in J. destruct (collected_answers l k) as (K & V & G). rewrite J in K, V, G. cbn [here] in *.
      split; [exact K|]. split.
      - intros v q w E. apply G in E as (j & c & E). apply filter_In in E as [E _]. exact (found_variables _ _ _ _ _ E).
      - intros v w A B E. rewrite !V. unfold l. rewrite !amount_filter. destruct (is_there wanted k); [|reflexivity].
        now apply alike. }
    assert (Kept : kept P) by now split. clear H I. revert T. generalize (tables P records) as ts. intros ts.
    revert P Kept. induction ts as [|t ts IH]; intros P Kept T; [exact Kept|].
    cbn [fold_left]. destruct (T t (or_introl eq_refl)) as (K & G & A), Kept as [H I]. apply IH; [|intros; apply T; now right].
    split; [apply partitioned_split; [intros v w q E; exact (G v q w E) | exact H] | now apply split_keeps].
  Qed.

  Lemma block_of_beginning labels v : In v (variables s) -> block_of (beginning labels) v = listed labels v.
  Proof.
    intros V. unfold beginning. set (P0 := start weights s). change (block_of (Blocks (label ?P) _ _ _) v) with (block_of P v).
    rewrite numbered_variables.
    enough (H : forall l P, block_of (fold_left (fun P '(v, _) => move weights v (lookup xH (to_map labels) v) P)
      (map (fun v => (v, equation s v)) l) P) v = if in_dec Pos.eq_dec v l then listed labels v else block_of P v).
    { unfold block_of at 1. cbn [label]. specialize (H (variables s) P0). unfold block_of in H at 1. rewrite H.
      now destruct (in_dec Pos.eq_dec v (variables s)). }
    clear V. induction l as [|w l IH]; intros P; [reflexivity|]. cbn [map fold_left]. rewrite IH, block_of_move, lookup_to_map.
    destruct (in_dec Pos.eq_dec v l) as [I|I], (in_dec Pos.eq_dec v (w :: l)) as [J|J]; trivial.
    - destruct J. now right.
    - destruct J as [->|J]; [now rewrite Pos.eqb_refl | easy].
    - destruct (Pos.eqb_spec v w) as [->|]; [|reflexivity]. destruct J. now left.
  Qed.

  Lemma partitioned_beginning labels : partitioned s (beginning labels).
  Proof.
    unfold beginning. cbv zeta. set (first := fold_left _ _ _). change (partitioned s first). subst first.
    assert (H := partitioned_start weights s). revert H. generalize (start weights s) as P.
    assert (V : forall v q, In (v, q) (numbered s xH) -> is_there (to_map s) v = true).
    { intros v q I. apply is_there_to_map. rewrite <- fst_numbered. exact (in_map fst _ _ I). }
    revert V. generalize (numbered s xH) as l. induction l as [|[v q] l IH]; intros V P H; [exact H|]. cbn [fold_left].
    apply IH; [intros w p I; apply (V w p); now right|]. apply partitioned_move; [|exact H]. apply (V v q). now left.
  Qed.

  Lemma item_map {X : Type} (beyond : X) (f : positive -> X) v :
    In v (variables s) -> item beyond (map f (variables s)) v = f v.
  Proof.
    intros V. apply in_variables in V. pose proof (Pos2Nat.is_pos v) as Hv.
    unfold item, variables. rewrite map_map.
    rewrite nth_indep with (d' := f (Pos.of_succ_nat 0)) by (rewrite map_length, seq_length; lia).
    rewrite (map_nth (fun k => f (Pos.of_succ_nat k))), seq_nth by lia.
    f_equal. apply Pos2Nat.inj. rewrite SuccNat2Pos.id_succ. lia.
  Qed.

  Lemma replay_keeps labels rounds : inside s R (listed labels) -> inside s R (listed (replay labels rounds)).
  Proof.
    intros I. assert (K : kept (fold_left round rounds (beginning labels))).
    { assert (B : kept (beginning labels)).
      { split; [apply partitioned_beginning|]. intros v w V W E. rewrite !block_of_beginning by trivial. now apply I. }
      revert B. generalize (beginning labels) as P. induction rounds as [|r l IH]; intros P B; [exact B|].
      cbn [fold_left]. apply IH. now apply round_keeps. }
    intros v w V W E. unfold replay, listed. cbv zeta. set (P := fold_left round _ _) in *.
    rewrite numbered_variables, map_map, !item_map by trivial. now apply K.
  Qed.
End Rounds.

(* Every block of one partition lies inside one of another. *)
Definition inside_check (s : system) (p r : list positive) : bool :=
  let P := lookup xH (to_map p) in
  let R := lookup xH (to_map r) in
  let variables := numbered s xH in
  let t := fold_left (fun t '(v, _) => put (P v) (R v) t) variables Empty in
  forallb (fun '(v, _) => Pos.eqb (lookup xH t (P v)) (R v)) variables.

Lemma inside_correct s p r : inside_check s p r = true -> inside s (listed p) (listed r).
Proof.
  intros C i j I J E. unfold inside_check in C. cbv zeta in C.
  pose proof (for_numbered _ _ C i I) as Hi. pose proof (for_numbered _ _ C j J) as Hj. cbv beta iota in Hi, Hj.
  rewrite !(lookup_to_map xH) in Hi, Hj. unfold listed in *. rewrite E in Hi.
  apply Pos.eqb_eq in Hi, Hj. congruence.
Qed.
