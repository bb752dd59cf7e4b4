(* The record of a coarsest backward equivalence: a question is a monomial in blocks; it is answered among the terms that
   contain the lightest of these blocks. *)

From Coq Require Import QArith List Lia.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Backward Refinement Replay.
Import ListNotations.
Local Open Scope Q_scope.

(* Member, monomial. *)
Definition backward_record := (positive * monomial)%type.

(* A term: the variable in whose equation it stands, its coefficient, its monomial in normal form. *)
Definition term := (positive * Q * monomial)%type.

Definition terms (s : system) : list term :=
  flat_map (fun '(v, q) => map (fun '(c, n) => (v, c, normal n)) q) (numbered s xH).

(* For each variable the terms that contain it, and the constant ones. *)
Definition put_term (x : term) (m : monomial) (t : trie (list term)) : trie (list term) :=
  fold_left (fun t '(u, _) => update (fun old => x :: match old with Some l => l | None => [] end) u t) m t.
Definition put_terms (l : list term) (t : trie (list term)) : trie (list term) :=
  fold_left (fun t x => put_term x (snd x) t) l t.
Definition occurrences (l : list term) : trie (list term) := put_terms l Empty.
Definition constants (l : list term) : list term := filter (fun '(_, _, n) => match n with [] => true | _ => false end) l.

Definition weights_of (t : trie (list term)) (s : system) : trie positive :=
  fold_left (fun w '(v, _) => put v (Pos.of_succ_nat (length (lookup [] t v))) w) (numbered s xH) Empty.

(* A place is a block, one higher, or 1: the constant terms. *)
Definition lightest (P : blocks) (m : monomial) : positive :=
  match map (fun '(v, _) => block_of P v) m with
  | [] => xH
  | b :: l => Pos.succ (fold_left (fun b c =>
      if Pos.ltb (lookup xH (weight P) c) (lookup xH (weight P) b) then c else b) l b)
  end.

(* A term is found with the first of its variables that is in the block, so once. *)
Fixpoint first_in (P : blocks) (b : positive) (m : monomial) : option positive :=
  match m with [] => None | (v, _) :: m => if Pos.eqb (block_of P v) b then Some v else first_in P b m end.

Definition over_blocks (P : blocks) (m : monomial) : monomial := normal (renamed (block_of P) m).
Definition answer_of (P : blocks) (x : term) : answer :=
  let '(v, c, n) := x in (bits (block_of P v) (key (over_blocks P n)), v, c).

Definition backward_found (occurring : trie (list term)) (constant : list term) (P : blocks) (place : positive) : list answer :=
  if Pos.eqb place xH then map (answer_of P) constant
  else
    let b := Pos.pred place in
    flat_map (fun u => map (answer_of P)
      (filter (fun '(_, _, n) => match first_in P b n with Some w => Pos.eqb w u | None => false end) (lookup [] occurring u)))
      (values (members_of P b) []).

Definition backward_coarsest_check (s : system) (p initial : list positive) (rounds : list (list backward_record)) : bool :=
  let all := terms s in
  let occurring := occurrences all in
  inside_check s p initial &&
  inside_check s (replay backward_record (weights_of occurring s) s
    (fun P '(_, m) => lightest P m)
    (fun P '(member, m) => bits (block_of P member) (key (over_blocks P m)))
    (backward_found occurring (constants all)) initial rounds) p.

(* ------------------------------------------------------------------ What the answers are. *)

Lemma sum_of_put_term h x m t u : sum_of h (lookup [] (put_term x m t) u) ==
  sum_of h (lookup [] t u) + sum_of (fun '(w, _) => if Pos.eqb w u then h x else 0) m.
Proof.
  unfold put_term. revert t. induction m as [|[w e] m IH]; intros t; cbn [fold_left sum_of]; [ring|].
  rewrite IH. unfold lookup at 1. rewrite get_update, (Pos.eqb_sym u w). destruct (Pos.eqb_spec w u) as [->|].
  - unfold lookup. destruct (get u t); cbn [sum_of]; ring.
  - fold (lookup [] t u). ring.
Qed.

Lemma sum_of_occurrences (h : term -> Q) l u : sum_of h (lookup [] (occurrences l) u) ==
  sum_of (fun x : term => sum_of (fun '(w, _) => if Pos.eqb w u then h x else 0) (snd x)) l.
Proof.
  unfold occurrences. enough (H : forall t, sum_of h (lookup [] (put_terms l t) u) == sum_of h (lookup [] t u) +
    sum_of (fun x : term => sum_of (fun '(w, _) => if Pos.eqb w u then h x else 0) (snd x)) l).
  { rewrite H. change (lookup [] Empty u) with (@nil term). cbn [sum_of]. ring. }
  unfold put_terms. induction l as [|x l IH]; intros t; cbn [fold_left sum_of]; [ring|]. rewrite IH, sum_of_put_term. ring.
Qed.

Lemma in_put_term x y m t u : In y (lookup [] (put_term x m t) u) -> In y (lookup [] t u) \/ y = x.
Proof.
  unfold put_term. revert t. induction m as [|[w e] m IH]; intros t I; cbn [fold_left] in I; [now left|].
  apply IH in I as [I|I]; [|now right]. unfold lookup in I at 1. rewrite get_update in I.
  destruct (Pos.eqb_spec u w) as [->|]; [|now left]. unfold lookup. destruct (get w t); destruct I as [<-|I]; auto.
Qed.

Lemma in_occurrences y l u : In y (lookup [] (occurrences l) u) -> In y l.
Proof.
  unfold occurrences. enough (H : forall t, In y (lookup [] (put_terms l t) u) -> In y (lookup [] t u) \/ In y l).
  { intros I. apply H in I as [I|I]; [easy | exact I]. }
  unfold put_terms. induction l as [|x l IH]; intros t I; cbn [fold_left] in I; [now left|].
  apply IH in I as [I|I]; [|right; now right]. apply in_put_term in I as [I| ->]; [now left | right; now left].
Qed.

(* The first one is one of them, once. *)
Lemma sum_first P b n (x : Q) : sorted n ->
  sum_of (fun '(w, _) => if match first_in P b n with Some u => Pos.eqb u w | None => false end then x else 0) n ==
  match first_in P b n with Some _ => x | None => 0 end.
Proof.
  intros S. destruct (first_in P b n) as [u|] eqn:F; [|rewrite (sum_of_ext _ (fun _ => 0)); [apply sum_of_zero | now intros []]].
  induction n as [|[w e] n IH]; [discriminate|]. cbn [first_in sum_of] in *.
  destruct (Pos.eqb (block_of P w) b) eqn:B.
  - injection F as <-. rewrite Pos.eqb_refl, (sum_of_ext _ (fun _ => 0)), sum_of_zero; [ring|]. intros [v f] I.
    destruct (Pos.eqb_spec w v) as [<-|]; [|reflexivity]. exfalso. clear - S I. cbn in S.
    revert S I. induction n as [|[v g] n IH]; intros S I; [easy|]. destruct S as [L A], I as [E|I].
    + injection E as -> _. exact (Pos.lt_irrefl _ L).
    + exact (IH (above_trans _ _ _ L A) I).
  - rewrite (IH (sorted_above _ _ S) F). destruct (Pos.eqb_spec u w) as [->|]; [|ring]. exfalso.
    clear - F B. induction n as [|[v f] n IH]; [discriminate|]. cbn in F. destruct (Pos.eqb (block_of P v) b) eqn:C; [|now apply IH].
    injection F as ->. congruence.
Qed.

Lemma first_in_block P b n u : first_in P b n = Some u -> block_of P u = b /\ exists e, In (u, e) n.
Proof.
  induction n as [|[w e] n IH]; cbn; [discriminate|]. destruct (Pos.eqb_spec (block_of P w) b) as [E|_].
  - intros [= <-]. split; [exact E | exists e; now left].
  - intros F. destruct (IH F) as [E [f J]]. split; [exact E | exists f; now right].
Qed.

Lemma degree_renamed_insert f v e m b :
  degree (renamed f (insert v e m)) b = ((if Pos.eqb (f v) b then Pos.to_nat e else 0) + degree (renamed f m) b)%nat.
Proof.
  induction m as [|[w g] m IH]; cbn [insert renamed map degree]; [reflexivity|].
  destruct (Pos.compare_spec v w) as [->|H|H]; cbn [renamed map degree] in *; [|reflexivity|].
  - destruct (Pos.eqb (f w) b); rewrite ?Pos2Nat.inj_add; lia.
  - unfold renamed in *. rewrite IH. lia.
Qed.

Lemma over_blocks_normal P n : over_blocks P (normal n) = normal (renamed (block_of P) n).
Proof.
  apply normal_ext. intros b. induction n as [|[v e] n IH]; [reflexivity|]. cbn [normal]. rewrite degree_renamed_insert, IH. reflexivity.
Qed.

Lemma first_in_degree P b n : first_in P b n = None -> degree (renamed (block_of P) n) b = 0%nat.
Proof.
  induction n as [|[v e] n IH]; cbn; [reflexivity|]. destruct (Pos.eqb (block_of P v) b); [discriminate | exact IH].
Qed.

Lemma normal_nothing n : normal n = [] -> n = [].
Proof.
  destruct n as [|[v e] n]; [reflexivity|]. intros E. exfalso. pose proof (degree_normal ((v, e) :: n) v) as D.
  rewrite E in D. cbn in D. rewrite Pos.eqb_refl in D. lia.
Qed.

(* Whether a place is one where a monomial in blocks is found. *)
Definition belongs (place : positive) (k : monomial) : Prop :=
  if Pos.eqb place xH then k = [] else (0 < degree k (Pos.pred place))%nat.

Section Alike.
  Variables (s : system) (R : partition).
  Hypothesis scope : forall v, In v (variables s) -> in_scope (to_map s) (equation s v) = true.
  Notation found := (backward_found (occurrences (terms s)) (constants (terms s))).

  Lemma in_terms v c n : In (v, c, n) (terms s) ->
    In v (variables s) /\ sorted n /\ forall w e, In (w, e) n -> In w (variables s).
  Proof.
    intros I. unfold terms in I. apply in_flat_map in I as ([u q] & J & I). rewrite numbered_variables in J.
    apply in_map_iff in J as (x & E & V). injection E as -> <-. apply in_map_iff in I as ([d m] & E & I).
    injection E as -> _ <-. split; [exact V|]. split; [apply sorted_normal|]. intros w e W.
    assert (D : (0 < degree m w)%nat).
    { rewrite <- degree_normal. clear - W. induction (normal m) as [|[x f] k IH]; [easy|]. cbn. destruct W as [E|W].
      - injection E as -> ->. rewrite Pos.eqb_refl. lia.
      - specialize (IH W). lia. }
    assert (M : exists f, In (w, f) m).
    { clear - D. induction m as [|[x f] m IH]; cbn in D; [lia|]. destruct (Pos.eqb_spec x w) as [->|]; [exists f; now left|].
      destruct IH as [g G]; [exact D | exists g; now right]. }
    destruct M as [f M]. exact (in_scope_within _ _ (scope v V) _ _ _ _ I M).
  Qed.

  (* All terms that have the right place, once. *)
  Lemma found_sum P place k v : partitioned s P -> amount k v (found P place) ==
    sum_of (fun x : term => let '(_, _, n) := x in
      if (if Pos.eqb place xH then match n with [] => true | _ => false end
          else match first_in P (Pos.pred place) n with Some _ => true | None => false end)
      then amount k v [answer_of P x] else 0) (terms s).
  Proof.
    intros H. unfold backward_found. destruct (Pos.eqb place xH).
    - unfold amount at 1, constants. rewrite sum_of_map. etransitivity; [apply (sum_of_filter (X := term))|]. apply sum_of_ext. intros [[w c] n] _.
      destruct n; [|reflexivity]. unfold amount. cbn [sum_of answer_of]. ring.
    - set (b := Pos.pred place). unfold amount at 1. rewrite sum_of_flat_map, (sum_of_members s P b _ H).
      pose (h := fun x : term => amount k v [answer_of P x]).
      transitivity (sumq (fun u => sum_of (fun x : term =>
        sum_of (fun '(w, _) => if Pos.eqb w u then (if Pos.eqb (block_of P u) b then
          if match first_in P b (snd x) with Some z => Pos.eqb z u | None => false end then h x else 0 else 0) else 0)
          (snd x)) (terms s)) (variables s)).
      { apply sumq_ext. intros u _. rewrite sum_of_map.
        transitivity (sum_of (fun x : term => if Pos.eqb (block_of P u) b then
          if match first_in P b (snd x) with Some z => Pos.eqb z u | None => false end then h x else 0 else 0)
          (lookup [] (occurrences (terms s)) u)).
        - destruct (Pos.eqb (block_of P u) b).
          + etransitivity; [apply (sum_of_filter (X := term))|]. apply sum_of_ext. intros [[w c] n] _. cbn [snd]. destruct (first_in P b n) as [z|]; [|reflexivity].
            destruct (Pos.eqb z u); [|reflexivity]. unfold h, amount. cbn [sum_of answer_of]. ring.
          + symmetry. apply sum_of_zero.
        - now rewrite sum_of_occurrences. }
      rewrite <- sum_of_sumq, (sum_of_swap (fun u (x : term) => _)). apply sum_of_ext. intros [[w c] n] I.
      destruct (in_terms w c n I) as (_ & S & V). cbn [snd]. fold (h (w, c, n)).
      rewrite (sum_of_swap (fun u (x : positive * positive) => _)).
      transitivity (sum_of (fun '(u, _) => if match first_in P b n with Some z => Pos.eqb z u | None => false end then h (w, c, n) else 0) n);
        [|rewrite (sum_first P b n _ S); now destruct (first_in P b n)].
      apply sum_of_ext. intros [u e] J. rewrite sum_of_sumq.
      rewrite (sumq_single u (fun u => if Pos.eqb (block_of P u) b then
        if match first_in P b n with Some z => Pos.eqb z u | None => false end then h (w, c, n) else 0 else 0));
        [| apply variables_distinct | exact (V u e J)].
      destruct (first_in P b n) as [z|] eqn:F; [|now destruct (Pos.eqb (block_of P u) b)].
      destruct (Pos.eqb_spec z u) as [->|]; [|now destruct (Pos.eqb (block_of P u) b)].
      apply first_in_block in F as [-> _]. now rewrite Pos.eqb_refl.
  Qed.

  Lemma found_amount P place k v : partitioned s P -> In v (variables s) -> belongs place k ->
    amount (bits (block_of P v) (key k)) v (found P place) == coef (renamed_terms (block_of P) (equation s v)) k.
  Proof.
    intros H V B. rewrite (found_sum P place _ v H). unfold terms. rewrite sum_of_flat_map, numbered_variables, sum_of_map.
    transitivity (sum_of (fun u => if Pos.eqb v u then coef (renamed_terms (block_of P) (equation s u)) k else 0) (variables s)).
    2: { rewrite sum_of_sumq. apply (sumq_single v (fun u => coef (renamed_terms (block_of P) (equation s u)) k));
      [apply variables_distinct | exact V]. }
    apply sum_of_ext. intros u _. rewrite sum_of_map.
    induction (equation s u) as [|[c n] q IH]; cbn [sum_of renamed_terms map coef]; [now destruct (Pos.eqb v u)|].
    rewrite IH. clear IH. unfold amount. cbn [sum_of answer_of]. rewrite over_blocks_normal, (Pos.eqb_sym u v).
    destruct (Pos.eqb_spec v u) as [<-|]; [|rewrite Bool.andb_false_r; destruct (if Pos.eqb place xH then _ else _); ring].
    rewrite Bool.andb_true_r.
    destruct (monomial_eq_dec (normal (renamed (block_of P) n)) k) as [E|D].
    - rewrite E, Pos.eqb_refl. unfold belongs in B. destruct (Pos.eqb place xH).
      + subst k. apply normal_nothing in E. destruct n; [|discriminate E]. cbn [normal]. unfold renamed_terms. ring.
      + destruct (first_in P (Pos.pred place) (normal n)) as [z|] eqn:F; [unfold renamed_terms; ring|]. exfalso.
        apply first_in_degree in F. rewrite <- E, degree_normal in B.
        rewrite <- (degree_normal (renamed _ (normal n))) in F. fold (over_blocks P (normal n)) in F.
        rewrite over_blocks_normal, degree_normal in F. lia.
    - destruct (Pos.eqb_spec (bits (block_of P v) (key (normal (renamed (block_of P) n)))) (bits (block_of P v) (key k))) as [E|_].
      + apply bits_injective in E as [_ E]. apply key_injective in E. now destruct D.
      + unfold renamed_terms. destruct (if Pos.eqb place xH then _ else _); ring.
  Qed.

  Lemma in_found P place k v c : In (k, v, c) (found P place) ->
    In v (variables s) /\ exists m, belongs place m /\ k = bits (block_of P v) (key m).
  Proof.
    unfold backward_found, belongs. destruct (Pos.eqb place xH).
    - intros I. apply in_map_iff in I as ([[w d] n] & E & I). apply filter_In in I as [I N]. injection E as <- <- _.
      split; [exact (proj1 (in_terms _ _ _ I))|]. exists []. split; [reflexivity|]. now destruct n.
    - intros I. apply in_flat_map in I as (u & _ & I). apply in_map_iff in I as ([[w d] n] & E & I).
      apply filter_In in I as [I N]. injection E as <- <- _. apply in_occurrences in I.
      split; [exact (proj1 (in_terms _ _ _ I))|]. exists (over_blocks P n). split; [|reflexivity].
      destruct (first_in P (Pos.pred place) n) as [z|] eqn:F; [|discriminate]. apply first_in_block in F as [B [e J]].
      unfold over_blocks. rewrite degree_normal. clear - B J. induction n as [|[x f] n IH]; [easy|]. cbn. destruct J as [E|J].
      + injection E as -> ->. rewrite B, Pos.eqb_refl. lia.
      + specialize (IH J). unfold renamed in IH. lia.
  Qed.

  Lemma coefficients_agree (label : partition) v w k :
    backward_equivalence s R -> inside s R label -> In v (variables s) -> In w (variables s) -> R v = R w ->
    coef (renamed_terms label (equation s v)) k == coef (renamed_terms label (equation s w)) k.
  Proof.
    intros B I V W E. apply difference_zero.
    transitivity (coef (renamed_terms label (equation s v) ++ scale (-1) (renamed_terms label (equation s w))) k);
      [rewrite coef_app, coef_scale; ring|].
    revert k. apply vanishing. intros y. rewrite (eval_app (A := rationals)), (eval_scale (A := rationals)), !(eval_renamed (A := rationals)).
    assert (H := B (fun u => y (label u))). unfold uniform, field in H.
    rewrite (H (fun i j A C D => ltac:(now rewrite (I i j A C D))) v w V W E).
    cbn [add mul scalar rationals]. ring.
  Qed.

  Lemma backward_alike : backward_equivalence s R ->
    forall P p k v w, partitioned s P -> inside s R (block_of P) -> In v (variables s) -> In w (variables s) -> R v = R w ->
    amount k v (found P p) == amount k w (found P p).
  Proof.
    intros B P p k v w H I V W E.
    assert (Same : forall m, belongs p m -> k = bits (block_of P v) (key m) -> amount k v (found P p) == amount k w (found P p)).
    { intros m M K. rewrite K at 1. rewrite (I v w V W E) in K. rewrite K, !found_amount by trivial. now apply coefficients_agree. }
    destruct (amount_present k v (found P p)) as [Zv|[c J]].
    - destruct (amount_present k w (found P p)) as [Zw|[c J]]; [now rewrite Zv, Zw|].
      apply in_found in J as (_ & m & M & K). apply Same with m; [exact M|]. now rewrite (I v w V W E).
    - apply in_found in J as (_ & m & M & K). now apply Same with m.
  Qed.
End Alike.

(* Where equations mention variables of the system only. *)
Lemma backward_lumping_equivalence s P g : (forall v, In v (variables s) -> in_scope (to_map s) (equation s v) = true) ->
  backward_lumping s P g -> backward_equivalence s P.
Proof.
  intros S [_ L] x U i j I J E.
  set (y := fun b => match find (fun v => Pos.eqb (P v) b) (variables s) with Some v => x v | None => 0 end).
  assert (Y : forall v, In v (variables s) -> x v == spread (A := rationals) P y v).
  { intros v V. unfold spread, y. destruct (find _ (variables s)) as [w|] eqn:F.
    - apply find_some in F as [W F]. apply Pos.eqb_eq in F. now apply U.
    - apply find_none with (x := v) in F; [|exact V]. now rewrite Pos.eqb_refl in F. }
  unfold field.
  rewrite (eval_in_scope (A := rationals) s _ x _ (S i I) Y), (eval_in_scope (A := rationals) s _ x _ (S j J) Y).
  transitivity (spread (A := rationals) P (field g (y : state)) i); [exact (L rationals y i I)|].
  unfold spread at 1. rewrite E. symmetry. exact (L rationals y j J).
Qed.

Theorem backward_coarsest_correct s p g initial rounds :
  backward_check s p g = true -> backward_coarsest_check s p initial rounds = true ->
  coarsest backward_equivalence s (listed initial) (listed p).
Proof.
  intros C M. unfold backward_coarsest_check in M. apply andb_prop in M as [M N].
  apply inside_correct in M, N.
  assert (S : forall v, In v (variables s) -> in_scope (to_map s) (equation s v) = true)
    by (intros v V; now apply (backward_checked s p g C)).
  split; [|split; [exact M|]].
  - apply backward_lumping_equivalence with g; [exact S | now apply backward_correct].
  - intros R B I i j A D E. apply N; trivial.
    refine (replay_keeps backward_record _ s _ _ _ R _ _ initial rounds I i j A D E).
    + intros P q k v c J. apply is_there_to_map. now apply (in_found s S P q k v c).
    + now apply backward_alike.
Qed.
