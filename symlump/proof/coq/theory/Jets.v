(* Values with their derivatives: a number, and one for each direction, where products of two are neglected.

   They are a commutative algebra, so systems have states there, and one evaluation gives all gradients. *)

From Coq Require Import QArith List Lia Ring Setoid.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Modular Functions Sample.
Import ListNotations.
Local Open Scope Q_scope.

Fixpoint merged (t u : trie Q) : trie Q :=
  match t, u with
  | Empty, _ => u
  | _, Empty => t
  | Node l o r, Node l' o' r' =>
    Node (merged l l') (match o, o' with Some a, Some b => Some (sum a b) | None, x => x | x, None => x end) (merged r r')
  end.
Fixpoint times_all (c : Q) (t : trie Q) : trie Q :=
  match t with
  | Empty => Empty
  | Node l o r => Node (times_all c l) (option_map (Qmult c) o) (times_all c r)
  end.
Fixpoint reduced_all (t : trie Q) : trie Q :=
  match t with Empty => Empty | Node l o r => Node (reduced_all l) (option_map Qred o) (reduced_all r) end.

Lemma value_merged t u k : value k (merged t u) == value k t + value k u.
Proof.
  unfold value. revert u k. induction t as [|l IHl o r IHr]; intros u k.
  - cbn [merged]. symmetry. exact (Qplus_0_l _).
  - destruct u as [|l' o' r']; cbn [merged]; [symmetry; exact (Qplus_0_r _)|].
    destruct k as [k|k|]; cbn [get]; [apply IHr | apply IHl |].
    destruct o, o'; cbn; rewrite ?sum_plus; try ring; reflexivity.
Qed.
Lemma value_times_all c t k : value k (times_all c t) == c * value k t.
Proof.
  unfold value. revert k. induction t as [|l IHl o r IHr]; intros k; cbn [times_all].
  - symmetry. exact (Qmult_0_r _).
  - destruct k as [k|k|]; cbn [get]; [apply IHr | apply IHl |].
    destruct o; cbn [option_map]; [reflexivity | symmetry; exact (Qmult_0_r _)].
Qed.
Lemma value_reduced_all t k : value k (reduced_all t) == value k t.
Proof.
  unfold value. revert k. induction t as [|l IHl o r IHr]; intros k; cbn [reduced_all]; [reflexivity|].
  destruct k as [k|k|]; cbn [get]; [apply IHr | apply IHl | destruct o; cbn [option_map]; [apply Qred_correct | reflexivity]].
Qed.
Lemma lookup_reduced_all t k : lookup 0 (reduced_all t) k = Qred (value k t).
Proof.
  unfold lookup, value. revert k. induction t as [|l IHl o r IHr]; intros k; cbn [reduced_all]; [reflexivity|].
  destruct k as [k|k|]; cbn [get]; [apply IHr | apply IHl | destruct o; reflexivity].
Qed.
Lemma value_empty k : value k Empty = 0.
Proof. reflexivity. Qed.

Definition same_jet (x y : Q * trie Q) : Prop := fst x == fst y /\ forall k, value k (snd x) == value k (snd y).
Definition jet_mul (x y : Q * trie Q) : Q * trie Q :=
  (fst x * fst y, merged (times_all (fst x) (snd y)) (times_all (fst y) (snd x))).
Definition jet_add (x y : Q * trie Q) : Q * trie Q := (fst x + fst y, merged (snd x) (snd y)).
Definition jet_opp (x : Q * trie Q) : Q * trie Q := (- fst x, times_all (-1) (snd x)).

Ltac jet := split; cbn [fst snd jet_mul jet_add jet_opp]; [try ring | intros; rewrite ?value_merged, ?value_times_all,
  ?value_merged, ?value_times_all, ?value_empty; try ring].

Definition jets : algebra.
Proof.
  refine {| carrier := Q * trie Q; eqv := same_jet; zero := (0, Empty); one := (1, Empty); add := jet_add; mul := jet_mul;
    sub := fun x y => jet_add x (jet_opp y); opp := jet_opp; scalar := fun a => (a, Empty) |}.
  - constructor.
    + intros x. split; reflexivity.
    + intros x y [E F]. split; [now symmetry | intros; now symmetry].
    + intros x y z [E F] [E' F']. split; [now rewrite E | intros; now rewrite F].
  - constructor.
    + intros x x' [E F] y y' [E' F']. jet; [now rewrite E, E' | now rewrite F, F'].
    + intros x x' [E F] y y' [E' F']. jet; [now rewrite E, E' | now rewrite E, E', F, F'].
    + intros x x' [E F]. jet; [now rewrite E | now rewrite F].
  - constructor; intros; jet.
  - intros a b H. split; [exact H | reflexivity].
  - split; reflexivity.
  - intros. jet.
  - intros. jet.
Defined.

Definition computable_jets : computable jets.
Proof.
  refine {| inverted := fun x : jets => if Qeq_bool (fst x) 0 then None
              else let b := Qred (/ fst x) in Some (b, reduced_all (times_all (- (b * b)) (snd x)));
            tidied := fun x : jets => (Qred (fst x), reduced_all (snd x)) |}.
  - intros x y. destruct (Qeq_bool (fst x) 0) eqn:Z; [discriminate|]. cbv zeta. intros [= <-].
    assert (N : ~ fst x == 0) by (intros E; apply Qeq_eq_bool in E; congruence).
    split; cbn [fst snd mul one jets jet_mul].
    + rewrite Qred_correct, Qmult_comm. now apply Qmult_inv_r.
    + intros k. rewrite value_merged, !value_times_all, value_reduced_all, value_times_all, Qred_correct, value_empty. now field.
  - intros x. split; cbn [fst snd]; [apply Qred_correct | intros; apply value_reduced_all].
Defined.

(* ------------------------------------------------------------------ Along one direction. *)

Section Along.
  Variables (s : system) (d : positive -> Q).
  Definition slope_along (t : trie Q) : Q := sumq (fun v => d v * value v t) (variables s).
  Definition along (x : jets) : jets := (fst x, put xH (slope_along (snd x)) Empty).

  Lemma value_put_first q k : value k (put xH q Empty) = if Pos.eqb k xH then q else 0.
  Proof. unfold value. rewrite get_put. destruct (Pos.eqb k xH); reflexivity. Qed.

  Lemma slope_merged t u : slope_along (merged t u) == slope_along t + slope_along u.
  Proof. unfold slope_along. rewrite <- sumq_add. apply sumq_ext. intros v _. rewrite value_merged. ring. Qed.
  Lemma slope_times c t : slope_along (times_all c t) == c * slope_along t.
  Proof. unfold slope_along. rewrite <- sumq_scale. apply sumq_ext. intros v _. rewrite value_times_all. ring. Qed.
  Lemma slope_empty : slope_along Empty == 0.
  Proof.
    unfold slope_along. rewrite (sumq_ext _ (fun _ => 0)); [apply (sum_over_zero (A := rationals))|].
    intros v _. rewrite value_empty. ring.
  Qed.

  Lemma along_eq x y : (x == y)%A -> (along x == along y)%A.
  Proof.
    intros [E F]. split; cbn [fst snd along]; [exact E|]. intros k. rewrite !value_put_first.
    destruct (Pos.eqb k xH); [|reflexivity]. apply sumq_ext. intros v _. now rewrite F.
  Qed.
  Lemma along_add x y : (along (x + y) == along x + along y)%A.
  Proof.
    split; cbn [fst snd along add jets jet_add]; [reflexivity|]. intros k. rewrite value_merged, !value_put_first.
    destruct (Pos.eqb k xH); [apply slope_merged | ring].
  Qed.
  Lemma along_mul x y : (along (x * y) == along x * along y)%A.
  Proof.
    split; cbn [fst snd along mul jets jet_mul]; [reflexivity|]. intros k.
    rewrite value_merged, !value_times_all, !value_put_first.
    destruct (Pos.eqb k xH); [rewrite slope_merged, !slope_times; ring | ring].
  Qed.
  Lemma along_scalar c : (along (scalar c) == scalar c)%A.
  Proof.
    split; cbn [fst snd along scalar jets]; [reflexivity|]. intros k. rewrite value_put_first, value_empty.
    destruct (Pos.eqb k xH); [apply slope_empty | reflexivity].
  Qed.
  Lemma along_one : (along one == one)%A.
  Proof. exact (along_scalar 1). Qed.
  Lemma along_zero : (along zero == zero)%A.
  Proof. exact (along_scalar 0). Qed.

  Lemma along_product z m : (along (product z m) == product (fun v => along (z v)) m)%A.
  Proof.
    induction m as [|[v e] m IH]; cbn [product]; [apply along_one|]. rewrite along_mul, IH. apply mul_proper; [|reflexivity].
    induction (Pos.to_nat e) as [|n IHn]; cbn [power]; [apply along_one | now rewrite along_mul, IHn].
  Qed.
  Lemma along_eval z p : (along (eval z p) == eval (fun v => along (z v)) p)%A.
  Proof.
    induction p as [|[c m] p IH]; cbn [eval]; [apply along_zero|].
    now rewrite along_add, along_mul, along_scalar, IH, along_product.
  Qed.
  Lemma along_combination z (r : list (Q * positive)) : (along (combination r z) == combination r (fun v => along (z v)))%A.
  Proof.
    induction r as [|[w v] r IH]; cbn [combination]; [apply along_zero|].
    now rewrite along_add, along_mul, along_scalar, IH.
  Qed.

  Lemma along_mixed r c u : (along (mixed r (scalar c) u) == mixed r (scalar c) (map along u))%A.
  Proof.
    induction u as [|a u IH]; [exact (along_scalar c)|]. cbn [mixed fold_right map]. unfold mixed in IH.
    now rewrite along_add, along_mul, along_scalar, IH.
  Qed.
  Lemma along_hd u : (along (hd zero u) == hd zero (map along u))%A.
  Proof. destruct u; [apply along_zero | reflexivity]. Qed.
  Lemma along_tl u : map along (tl u) = tl (map along u).
  Proof. now destruct u. Qed.

  Lemma along_function r f u : (along (sample_function r f u) == sample_function r f (map along u))%A.
  Proof.
    unfold sample_function, odd, less_one. cbv zeta.
    pose proof (along_hd u) as H.
    destruct f as [| | | | | | | | | | | | | | | | | | n];
      repeat (rewrite ?along_add, ?along_mul, ?along_scalar, ?along_one, ?along_zero, ?along_mixed, ?along_tl);
      try rewrite H; reflexivity.
  Qed.

  Lemma along_state r fs (z : positive -> jets) : state_of (sample r) s fs z ->
    state_of (sample r) s fs (fun v => along (z v)).
  Proof.
    intros S j f u J. specialize (S j f u J). set (k := Pos.of_succ_nat (length s + j)) in *.
    assert (O : f <> Inverse -> (along (z k) == sample_function r f (map (eval (fun v => along (z v))) u))%A).
    { intros N. assert (E : (z k == sample_function r f (map (eval z) u))%A) by (destruct f; try exact S; now destruct N).
      rewrite (along_eq _ _ E), along_function, map_map. apply (apply_eq (sample r)).
      clear. induction u as [|p u IH]; cbn [map]; constructor; [apply along_eval | exact IH]. }
    destruct f; try (apply O; discriminate). cbn [has_value] in *.
    rewrite <- along_eval, <- along_mul. rewrite (along_eq _ _ S). apply along_one.
  Qed.
End Along.

(* A combination, component by component. *)
Lemma fst_combination (r : list (Q * positive)) (z : positive -> jets) :
  fst (combination r z) == combination r (fun v => fst (z v) : rationals).
Proof.
  induction r as [|[w v] r IH]; [reflexivity|]. cbn [combination]. cbn [add mul scalar jets rationals jet_add jet_mul fst].
  now rewrite IH.
Qed.
Lemma snd_combination (r : list (Q * positive)) (z : positive -> jets) k :
  value k (snd (combination r z)) == combination r (fun v => value k (snd (z v)) : rationals).
Proof.
  induction r as [|[w v] r IH]; [reflexivity|]. cbn [combination]. cbn [add mul scalar jets rationals jet_add jet_mul fst snd].
  rewrite !value_merged, !value_times_all, value_empty, IH. ring.
Qed.

Section Slopes.
  Variable s : system.

  Lemma slope_of_variable d v : In v (variables s) -> slope_along s d (put v 1 Empty) == d v.
  Proof.
    intros V. unfold slope_along. rewrite <- (sumq_single v d (variables s)) by (trivial; apply variables_distinct).
    apply sumq_ext. intros u _. unfold value. rewrite get_put, Pos.eqb_sym.
    destruct (Pos.eqb v u); [ring|]. change (match get u Empty with Some q => q | None => 0 end) with 0. ring.
  Qed.

  Lemma slope_combination d r (y : positive -> jets) :
    slope_along s d (snd (combination r y)) == combination r (fun u => slope_along s d (snd (y u)) : rationals).
  Proof.
    pose proof (along_combination s d y r) as [_ H]. specialize (H xH).
    rewrite snd_combination in H. cbn [snd along] in H. rewrite value_put_first in H. cbn [Pos.eqb] in H.
    rewrite H. apply (combination_ext (A := rationals)). intros u. rewrite value_put_first. reflexivity.
  Qed.

  Lemma no_slope t : slope_along s (fun _ => 0) t == 0.
  Proof.
    unfold slope_along. rewrite (sumq_ext _ (fun _ => 0)); [apply (sum_over_zero (A := rationals))|].
    intros v _. ring.
  Qed.
End Slopes.

Lemma fst_total s P (z : positive -> jets) b : fst (total s P z b) == total s P (fun v => fst (z v) : rationals) b.
Proof.
  unfold total. induction (variables s) as [|v l IH]; [reflexivity|]. cbn [sum_over]. cbn [add jets rationals jet_add fst].
  rewrite IH. destruct (Pos.eqb (P v) b); reflexivity.
Qed.
Lemma snd_total s P (z : positive -> jets) b k :
  value k (snd (total s P z b)) == total s P (fun v => value k (snd (z v)) : rationals) b.
Proof.
  unfold total. induction (variables s) as [|v l IH]; [reflexivity|]. cbn [sum_over]. cbn [add jets rationals jet_add snd].
  rewrite value_merged, IH. destruct (Pos.eqb (P v) b); reflexivity.
Qed.
