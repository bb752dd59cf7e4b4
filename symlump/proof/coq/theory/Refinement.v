(* A partition whose blocks are split: it costs what moves, whatever stays.

   [label] gives each variable its block, [contents] each block its variables. If what variables are told apart by is
   equal on the blocks of some partition R, then R stays inside ([split_keeps]). *)

From Coq Require Import QArith List Lia Permutation.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup.
Import ListNotations.
Local Open Scope Q_scope.

(* ------------------------------------------------------------------ Sets of numbers, as tries that hold their keys. *)

Definition node {X : Type} (l : trie X) (o : option X) (r : trie X) : trie X :=
  match l, o, r with Empty, None, Empty => Empty | _, _, _ => Node l o r end.

Fixpoint erase {X : Type} (k : positive) (t : trie X) : trie X :=
  match t with
  | Empty => Empty
  | Node l o r => match k with xH => node l None r | xO k => node (erase k l) o r | xI k => node l o (erase k r) end
  end.

Lemma get_node {X : Type} k (l : trie X) o r :
  get k (node l o r) = match k with xH => o | xO k => get k l | xI k => get k r end.
Proof. destruct l, o, r, k; reflexivity. Qed.

Lemma get_erase {X : Type} k j (t : trie X) : get j (erase k t) = if Pos.eqb j k then None else get j t.
Proof.
  revert j t. induction k as [k IH|k IH|]; intros j [|l o r]; cbn [erase];
    try (destruct (Pos.eqb j _); destruct j; reflexivity); rewrite get_node; destruct j; cbn; try apply IH; reflexivity.
Qed.

Lemma values_app {X : Type} (t : trie X) others : values t others = values t [] ++ others.
Proof.
  revert others. induction t as [|l IHl o r IHr]; intros others; [reflexivity|]. cbn [values].
  rewrite (IHl (values r others)), (IHr others), (IHl (values r [])). destruct o; cbn; now rewrite app_assoc.
Qed.

Lemma in_values {X : Type} (t : trie X) x : In x (values t []) <-> exists k, get k t = Some x.
Proof.
  induction t as [|l IHl o r IHr]; [split; [easy | now intros []]|]. cbn [values]. rewrite (values_app l). split.
  - intros I. assert (J : o = Some x \/ In x (values l []) \/ In x (values r [])).
    { destruct o; cbn in I; rewrite in_app_iff in I; [destruct I as [<-|I]|]; tauto. }
    destruct J as [->|[J|J]]; [now exists xH | apply IHl in J as [k K]; now exists (xO k) | apply IHr in J as [k K]; now exists (xI k)].
  - intros [k K]. assert (J : o = Some x \/ In x (values l []) \/ In x (values r [])).
    { destruct k as [k|k|]; cbn in K; [right; right; apply IHr | right; left; apply IHl | now left]; now exists k. }
    destruct o; cbn; rewrite in_app_iff; destruct J as [J|J]; try (injection J as ->); tauto || discriminate.
Qed.

Lemma values_distinct {X : Type} (t : trie X) :
  (forall j k x, get j t = Some x -> get k t = Some x -> j = k) -> NoDup (values t []).
Proof.
  induction t as [|l IHl o r IHr]; intros H; [constructor|]. cbn [values]. rewrite (values_app l).
  assert (L : NoDup (values l [])) by (apply IHl; intros j k x J K; specialize (H (xO j) (xO k) x J K); congruence).
  assert (R : NoDup (values r [])) by (apply IHr; intros j k x J K; specialize (H (xI j) (xI k) x J K); congruence).
  assert (LR : NoDup (values l [] ++ values r [])).
  { assert (D : forall x, In x (values l []) -> ~ In x (values r [])).
    { intros x I J. apply in_values in I as [i I], J as [j J]. specialize (H (xO i) (xI j) x I J). discriminate. }
    revert L D. generalize (values l []) as k. induction k as [|x k IH]; intros L D; [exact R|]. cbn. inversion L; subst.
    constructor; [|apply IH; trivial; intros; apply D; now right]. rewrite in_app_iff. intros [I|I]; [easy|].
    apply (D x); [now left | exact I]. }
  destruct o as [x|]; cbn; [|exact LR]. constructor; [|exact LR]. rewrite in_app_iff.
  intros [I|I]; apply in_values in I as [k K]; [specialize (H xH (xO k) x eq_refl K) | specialize (H xH (xI k) x eq_refl K)]; discriminate.
Qed.

(* ------------------------------------------------------------------ Partitions. *)

(* What a block weighs is found by adding up; nothing rests on it. *)
Record blocks := Blocks {
  label : trie positive;
  contents : trie (trie positive);
  weight : trie positive;
  fresh : positive }.

Definition block_of (P : blocks) : partition := lookup xH (label P).
Definition members_of (P : blocks) (b : positive) : trie positive := lookup Empty (contents P) b.

Section Splitting.
  Variable weights : trie positive.  (* of variables *)

  Definition move (v f : positive) (P : blocks) : blocks :=
    let b := block_of P v in
    let w := lookup xH weights v in
    let lighter := Pos.sub (lookup xH (weight P) b) w in
    Blocks (put v f (label P))
      (update (fun old => put v v (match old with Some t => t | None => Empty end)) f
        (put b (erase v (members_of P b)) (contents P)))
      (update (fun old => match old with Some x => Pos.add x w | None => w end) f (put b lighter (weight P)))
      (fresh P).

  (* All variables in the block 1. *)
  Definition start (s : system) : blocks :=
    let all := numbered s xH in
    Blocks Empty (put xH (fold_left (fun t '(v, _) => put v v t) all Empty) Empty)
      (put xH (fold_left (fun w '(v, _) => Pos.add w (lookup xH weights v)) all xH) Empty) xH.

  Fixpoint number_all (keys : list positive) (t : trie positive) (next : positive) : trie positive * positive :=
    match keys with
    | [] => (t, next)
    | k :: keys => if is_there t k then number_all keys t next else number_all keys (put k next t) (Pos.succ next)
    end.

  (* Rationals in lowest terms as bits before others. *)
  Definition rational_bits (q : Q) (rest : positive) : positive :=
    match Qnum q with
    | Z0 => xO (xO rest)
    | Zpos n => xO (xI (bits n (bits (Qden q) rest)))
    | Zneg n => xI (bits n (bits (Qden q) rest))
    end.

  Definition destination (P : blocks) (vq : positive * Q) : positive :=
    bits (block_of P (fst vq)) (rational_bits (Qred (snd vq)) xH).

  (* Variables with a value other than zero move: where block and value are the same, to the same new block. *)
  Definition split (P : blocks) (t : trie (positive * Q)) : blocks :=
    let touched := filter (fun '(_, q) => negb (is_zero q)) (values t []) in
    let '(news, next) := number_all (map (destination P) touched) Empty (Pos.succ (fresh P)) in
    fold_left (fun now vq => move (fst vq) (lookup xH news (destination P vq)) now) touched
      (Blocks (label P) (contents P) (weight P) next).
End Splitting.

(* ------------------------------------------------------------------ What stays true. *)

Definition partitioned (s : system) (P : blocks) : Prop :=
  forall b v, get v (members_of P b) = if (Pos.eqb (block_of P v) b && is_there (to_map s) v)%bool then Some v else None.

Lemma block_of_move weights v f P u : block_of (move weights v f P) u = if Pos.eqb u v then f else block_of P u.
Proof. unfold block_of, lookup. cbn [label move]. rewrite get_put. now destruct (Pos.eqb u v). Qed.

Lemma partitioned_move weights s v f P : is_there (to_map s) v = true -> partitioned s P ->
  partitioned s (move weights v f P).
Proof.
  intros V H b u. rewrite block_of_move. unfold members_of, lookup. cbn [contents move]. cbv zeta.
  rewrite get_update, !get_put. set (c := block_of P v).
  assert (Old : forall x, get u match get x (contents P) with Some t => t | None => Empty end =
    if (Pos.eqb (block_of P u) x && is_there (to_map s) u)%bool then Some u else None) by (intros x; apply H).
  assert (Erased : get u (erase v (members_of P c)) =
    if Pos.eqb u v then None else if (Pos.eqb (block_of P u) c && is_there (to_map s) u)%bool then Some u else None).
  { rewrite get_erase. destruct (Pos.eqb u v); [reflexivity | apply H]. }
  assert (Here : get u match (if Pos.eqb f c then Some (erase v (members_of P c)) else get f (contents P)) with
      Some t => t | None => Empty end =
    if Pos.eqb f c then (if Pos.eqb u v then None else if (Pos.eqb (block_of P u) f && is_there (to_map s) u)%bool then Some u else None)
    else if (Pos.eqb (block_of P u) f && is_there (to_map s) u)%bool then Some u else None).
  { destruct (Pos.eqb_spec f c) as [->|]; [exact Erased | apply Old]. }
  destruct (Pos.eqb_spec b f) as [->|B].
  - rewrite get_put. destruct (Pos.eqb_spec u v) as [->|U].
    + now rewrite Pos.eqb_refl, V.
    + rewrite Here. destruct (Pos.eqb f c); reflexivity.
  - destruct (Pos.eqb_spec u v) as [->|U].
    + rewrite (proj2 (Pos.eqb_neq f b)) by congruence. cbn [andb].
      destruct (Pos.eqb_spec b c) as [->|C]; [rewrite Erased; now destruct (Pos.eqb v v)|].
      rewrite Old. fold c. now rewrite (proj2 (Pos.eqb_neq c b)) by congruence.
    + destruct (Pos.eqb_spec b c) as [->|C]; [exact Erased || (rewrite Erased; reflexivity) | apply Old].
Qed.

Lemma partitioned_start weights s : partitioned s (start weights s).
Proof.
  intros b v. unfold members_of, lookup, block_of. cbn [contents start label]. rewrite get_put.
  replace (lookup xH Empty v) with xH by now destruct v. rewrite (Pos.eqb_sym xH).
  destruct (Pos.eqb_spec b xH) as [->|B].
  - cbn [andb]. unfold is_there. rewrite get_to_map. rewrite numbered_variables.
    enough (H : forall l t, get v (fold_left (fun t '(v, _) => put v v t) (map (fun v => (v, equation s v)) l) t) =
      if in_dec Pos.eq_dec v l then Some v else get v t).
    { rewrite H. destruct (in_dec Pos.eq_dec v (variables s)) as [I|I].
      - apply is_there_to_map in I. unfold is_there in I. rewrite get_to_map in I. now destruct (nth_error _ _).
      - destruct (nth_error s (pred (Pos.to_nat v))) eqn:N; [|now destruct v]. destruct I. apply is_there_to_map.
        unfold is_there. now rewrite get_to_map, N. }
    induction l as [|w l IH]; intros t; [reflexivity|]. cbn [map fold_left]. rewrite IH, get_put.
    destruct (in_dec Pos.eq_dec v l) as [I|I], (in_dec Pos.eq_dec v (w :: l)) as [J|J]; trivial.
    + destruct J. now right.
    + destruct J as [->|J]; [now rewrite Pos.eqb_refl | easy].
    + rewrite (proj2 (Pos.eqb_neq v w)); [reflexivity|]. intros ->. apply J. now left.
  - reflexivity.
Qed.

(* ------------------------------------------------------------------ Splitting keeps what is together. *)

Definition value_in (t : trie (positive * Q)) (v : positive) : Q := match get v t with Some (_, q) => q | None => 0 end.
Definition keyed (t : trie (positive * Q)) : Prop := forall v w q, get v t = Some (w, q) -> w = v.

Lemma fold_move weights (g : positive * Q -> positive) l P u : NoDup (map fst l) ->
  (forall q, In (u, q) l -> block_of (fold_left (fun P vq => move weights (fst vq) (g vq) P) l P) u = g (u, q)) /\
  ((forall q, ~ In (u, q) l) -> block_of (fold_left (fun P vq => move weights (fst vq) (g vq) P) l P) u = block_of P u).
Proof.
  revert P. induction l as [|[v p] l IH]; intros P N; cbn [fold_left map fst] in *; [now split|].
  inversion N as [|? ? V N']; subst. destruct (IH (move weights v (g (v, p)) P) N') as [I O]. split.
  - intros q [E|Q]; [|now apply I]. injection E as -> ->. rewrite O, block_of_move, Pos.eqb_refl; [reflexivity|].
    intros q' Q. apply V. now apply (in_map fst) in Q.
  - intros H. rewrite O, block_of_move by (intros q Q; apply (H q); now right).
    destruct (Pos.eqb_spec u v) as [->|]; [|reflexivity]. destruct (H p). now left.
Qed.

Section Keeping.
  Variables (weights : trie positive) (s : system) (R : partition).

  Lemma split_keeps P t : keyed t -> (forall v w, In v (variables s) -> In w (variables s) -> R v = R w ->
      value_in t v == value_in t w) ->
    inside s R (block_of P) -> inside s R (block_of (split weights P t)).
  Proof.
    intros K H I. unfold split. cbv zeta. set (touched := filter _ _).
    destruct (number_all _ _ _) as [news next].
    assert (T : forall v q, In (v, q) touched <-> get v t = Some (v, q) /\ is_zero q = false).
    { intros v q. unfold touched. rewrite filter_In, in_values. split.
      - intros [[k G] Z]. pose proof (K _ _ _ G) as ->. split; [exact G | now destruct (is_zero q)].
      - intros [G Z]. split; [now exists v | now rewrite Z]. }
    assert (N : NoDup (map fst touched)).
    { assert (D : NoDup touched).
      { apply NoDup_filter, values_distinct. intros j k [v q] J L. apply K in J, L. congruence. }
      assert (F : forall v p q, In (v, p) touched -> In (v, q) touched -> p = q).
      { intros v p q A B. apply T in A as [A _], B as [B _]. congruence. }
      clear - D F. induction touched as [|[v q] l IH]; cbn; constructor; inversion D; subst.
      - intros J. apply in_map_iff in J as ([w p] & E & J). cbn in E. subst w.
        now rewrite (F v q p (or_introl eq_refl) (or_intror J)) in *.
      - apply IH; trivial. intros w p r A B. apply (F w); now right. }
    intros v w V W E. pose proof (H v w V W E) as Q. unfold value_in in Q.
    set (P' := Blocks _ _ _ _).
    destruct (fold_move weights (fun vq => lookup xH news (destination P vq)) touched P' v N) as [Iv Ov].
    destruct (fold_move weights (fun vq => lookup xH news (destination P vq)) touched P' w N) as [Iw Ow].
    assert (Case : forall u, (exists q, In (u, q) touched /\ value_in t u = q /\ is_zero q = false) \/
      ((forall q, ~ In (u, q) touched) /\ value_in t u == 0)).
    { intros u. unfold value_in. destruct (get u t) as [[u' q]|] eqn:G.
      - pose proof (K _ _ _ G) as ->. destruct (is_zero q) eqn:Z.
        + right. split; [|now apply is_zero_spec]. intros p J. apply T in J as [J J']. congruence.
        + left. exists q. split; [now apply T | easy].
      - right. split; [|reflexivity]. intros p J. apply T in J as [J _]. congruence. }
    assert (NZ : forall q, is_zero q = false -> ~ q == 0).
    { intros [n d] Z C. unfold is_zero in Z. cbn in Z. destruct n; [discriminate | discriminate C ..]. }
    fold (value_in t v) in Q. fold (value_in t w) in Q.
    destruct (Case v) as [(p & A & Ep & Zp)|[A Zv]], (Case w) as [(q & B & Eq & Zq)|[B Zw]].
    - rewrite (Iv _ A), (Iw _ B). f_equal. unfold destination. cbn [fst snd]. rewrite (I v w V W E). f_equal. f_equal.
      apply Qred_complete. now rewrite <- Ep, <- Eq.
    - exfalso. apply (NZ p Zp). now rewrite <- Ep, Q.
    - exfalso. apply (NZ q Zq). now rewrite <- Eq, <- Q.
    - rewrite (Ov A), (Ow B). exact (I v w V W E).
  Qed.

  Lemma partitioned_split P t : (forall v w q, get v t = Some (w, q) -> is_there (to_map s) w = true) ->
    partitioned s P -> partitioned s (split weights P t).
  Proof.
    intros S H. unfold split. cbv zeta. set (touched := filter _ _).
    destruct (number_all _ _ _) as [news next].
    assert (T : forall vq, In vq touched -> is_there (to_map s) (fst vq) = true).
    { intros [v q] J. apply filter_In in J as [J _]. apply in_values in J as [k J]. exact (S k v q J). }
    set (P' := Blocks _ _ _ _). assert (H' : partitioned s P') by exact H. clearbody P'. clear H.
    revert P' H'. induction touched as [|vq l IH]; intros P' H'; [exact H'|]. cbn [fold_left].
    apply IH; [intros; apply T; now right|]. apply partitioned_move; [|exact H']. apply T. now left.
  Qed.
End Keeping.
