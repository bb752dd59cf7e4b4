(* Equality of functions, checked: symbols are followed one by one, each with a hint of what it is equal to.

   What is known of a symbol is one of three things. It is equal to a polynomial in other symbols ([image]); it is
   the inverse of one ([below]); or it is a function of some ([made]). A polynomial is zero if it is when
   multiplied by denominators, each of which has an inverse. Hints come from whoever wrote the certificate,
   and are verified. *)

From Coq Require Import QArith List Lia Ring Setoid ZArith.
From Symlump Require Import Algebra Trie Polynomial Systems Lookup Compose Linear Functions.
Import ListNotations.
Local Open Scope Q_scope.

Inductive hint := Fresh | Is (p : polynomial) | Like (k : positive) | Opposite (k : positive) | Fact
| Whole (n : Z) (p : polynomial).

Definition function_eq_dec (f g : function) : {f = g} + {f <> g}.
Proof. repeat decide equality. Defined.

Record known := Known {
  image : trie polynomial;
  below : trie polynomial;
  made : trie (function * list polynomial) }.

(* ------------------------------------------------------------------ Symbols replaced by their images. *)

Fixpoint replaced (image : trie polynomial) (p : polynomial) (m : monomial) : polynomial :=
  match m with
  | [] => p
  | (v, e) :: m =>
    replaced image (match get v image with
                    | None => map (fun '(c, n) => (c, (v, e) :: n)) p
                    | Some row => raised collected p row (Pos.to_nat e)
                    end) m
  end.
Definition substituted (image : trie polynomial) (p : polynomial) : polynomial :=
  collected (flat_map (fun '(c, m) => replaced image [(c, [])] m) p).

(* ------------------------------------------------------------------ Multiplied by denominators. *)

Definition without (i : positive) (m : monomial) : monomial := filter (fun '(v, _) => negb (Pos.eqb v i)) m.
Definition highest_power (i : positive) (p : polynomial) : nat :=
  fold_right (fun '(_, m) n => Nat.max (degree m i) n) 0%nat p.
(* p·d^e, where e is the highest power of i = 1/d in p. *)
Definition cleared (i : positive) (d p : polynomial) : polynomial :=
  let e := highest_power i p in
  flat_map (fun '(c, m) => raised collected [(c, without i m)] d (e - degree m i)) p.

(* The last inverse that occurs: symbols of the system, which are even, come after those of the quotient. *)
Definition later (a b : positive) : bool :=
  match a, b with
  | xI a, xI b | xO a, xO b => Pos.ltb b a
  | xO _, xI _ => true
  | xI _, xO _ => false
  | _, xH => true
  | xH, _ => false
  end.
Definition last_inverse (below : trie polynomial) (p : polynomial) : option (positive * polynomial) :=
  fold_left (fun found '(_, m) => fold_left (fun found '(v, _) =>
    match found with
    | Some (w, _) => if later v w then match get v below with Some d => Some (v, d) | None => found end else found
    | None => match get v below with Some d => Some (v, d) | None => None end
    end) m found) p None.

Fixpoint vanishes (steps : nat) (below : trie polynomial) (p : polynomial) : bool :=
  match collected p with
  | [] => true
  | p => match steps, last_inverse below p with
         | S steps, Some (i, d) => vanishes steps below (cleared i d p)
         | _, _ => false
         end
  end.

Fixpoint size {X} (t : trie X) : nat :=
  match t with Empty => 0 | Node l o r => (match o with Some _ => 1 | None => 0 end + size l + size r)%nat end.

(* ------------------------------------------------------------------ Following one symbol. *)

Definition minus (p q : polynomial) : polynomial := p ++ scale (-1) q.
Definition number (c : Q) : polynomial := [(c, [])].

Fixpoint all_alike (zero : polynomial -> bool) (u v : list polynomial) : bool :=
  match u, v with
  | [], [] => true
  | p :: u, q :: v => (zero (minus p q) && all_alike zero u v)%bool
  | _, _ => false
  end.

Definition fact (zero : polynomial -> bool) (f : function) (u : list polynomial) : option Q :=
  match u with
  | [] => None
  | p :: rest =>
    if zero (minus p (number 1)) then
      match f, rest with Power, _ => Some 1 | _, [] => at_one f | _, _ => None end
    else match rest, f with
         | [], _ => if zero p then at_zero f else None
         | [e], Power => if zero e then Some 1 else None
         | _, _ => None
         end
  end.

(* Whether p is b^n, where u is b and n; for negative n, whether the product of p and b^(-n) is 1. *)
Definition is_whole_power (zero : polynomial -> bool) (n : Z) (p : polynomial) (u : list polynomial) : bool :=
  match u with
  | [b; e] =>
    (Z.leb (Z.abs n) most_whole && zero (minus e (number (inject_Z n))) &&
     if Z.leb 0 n then zero (minus (raised collected (number 1) b (Z.to_nat n)) p)
     else zero (minus (raised collected p b (Z.to_nat (- n))) (number 1)))%bool
  | _ => false
  end.

Definition follow (k : positive) (f : function) (u : list polynomial) (h : hint) (K : known) : option known :=
  let u := map (substituted (image K)) u in
  let zero := vanishes (size (below K)) (below K) in
  let equal_to p := Some (Known (put k p (image K)) (below K) (made K)) in
  match f, h with
  | Inverse, Fresh => Some (Known (image K) (put k (hd [] u) (below K)) (made K))
  | Inverse, Is p => if zero (minus (multiplied p (hd [] u)) (number 1)) then equal_to p else None
  | Inverse, _ => None
  | _, Fresh => Some (Known (image K) (below K) (put k (f, u) (made K)))
  | _, Fact => match fact zero f u with Some c => equal_to (number c) | None => None end
  | _, Like j =>
    match get j (made K) with
    | Some (f', u') =>
      if function_eq_dec f f' then if all_alike zero u u' then equal_to [(1, [(j, xH)])] else None else None
    | None => None
    end
  | _, Opposite j =>
    match get j (made K), parity f, u with
    | Some (f', [q]), Some c, [p] =>
      if function_eq_dec f f' then if zero (p ++ q) then equal_to [(c, [(j, xH)])] else None else None
    | _, _, _ => None
    end
  | _, Whole n p => if function_eq_dec f Power then if is_whole_power zero n p u then equal_to p else None else None
  | _, Is _ => None
  end.

(* Symbol k is f of u, as the hint says. *)
Definition entry_of_symbol := (positive * (function * list polynomial) * hint)%type.
Fixpoint follow_all (l : list entry_of_symbol) (K : known) : option known :=
  match l with
  | [] => Some K
  | (k, (f, u), h) :: l => match follow k f u h K with Some K => follow_all l K | None => None end
  end.

Definition equal_under (K : known) (p q : polynomial) : bool :=
  vanishes (size (below K)) (below K) (substituted (image K) (minus p q)).

(* ------------------------------------------------------------------ What this means. *)

Section Meaning.
  Context {A : algebra}.
  Add Ring ring_of_A : (ring_laws A) (setoid (eqv_equivalence A) (operations_respect_eqv A)).
  Open Scope algebra_scope.
  Variable F : interpretation A.
  Variable x : positive -> A.

  Lemma eval_number c : eval x (number c) == scalar c.
  Proof. cbn. ring. Qed.
  Lemma scalar_minus_one : @scalar A (-1) + 1 == 0.
  Proof. rewrite <- scalar_one, <- scalar_add. apply scalar_zero. Qed.
  Lemma scalar_opp (a : A) : scalar (-1) * a == opp a.
  Proof.
    transitivity ((scalar (-1) + 1) * a + opp a); [ring | rewrite scalar_minus_one; ring].
  Qed.
  Lemma eval_minus p q : eval x (minus p q) == eval x p + opp (eval x q).
  Proof. unfold minus. now rewrite eval_app, eval_scale, scalar_opp. Qed.
  Lemma minus_zero p q : eval x (minus p q) == 0 -> eval x p == eval x q.
  Proof.
    rewrite eval_minus. intros H. transitivity (eval x p + opp (eval x q) + eval x q); [ring | rewrite H; ring].
  Qed.

  Definition images_hold (t : trie polynomial) : Prop := forall v p, get v t = Some p -> x v == eval x p.
  Definition inverses_hold (t : trie polynomial) : Prop := forall i d, get i t = Some d -> x i * eval x d == 1.

  Lemma eval_replaced t p m : images_hold t -> eval x (replaced t p m) == eval x p * product x m.
  Proof.
    intros H. revert p. induction m as [|[v e] m IH]; intros p; cbn [replaced product]; [ring|].
    rewrite IH. destruct (get v t) as [row|] eqn:G.
    - rewrite (eval_raised collected x (eval_collected x)), (power_proper _ _ (H v row G) _ _ eq_refl). ring.
    - assert (E : eval x (map (fun '(c, n) => (c, (v, e) :: n)) p) == eval x p * power (x v) (Pos.to_nat e)).
      { clear. induction p as [|[c n] p IH]; cbn; [| rewrite IH]; ring. }
      rewrite E. ring.
  Qed.

  Lemma eval_substituted t p : images_hold t -> eval x (substituted t p) == eval x p.
  Proof.
    intros H. unfold substituted. rewrite eval_collected. induction p as [|[c m] p IH]; cbn; [reflexivity|].
    rewrite eval_app, IH, eval_replaced by trivial. cbn. ring.
  Qed.

  Lemma product_without i m : product x m == power (x i) (degree m i) * product x (without i m).
  Proof.
    induction m as [|[v e] m IH]; cbn [product degree without filter]; [cbn; ring|].
    destruct (Pos.eqb_spec v i) as [->|D]; cbn [negb product Nat.add].
    - rewrite IH, power_add. unfold without. ring.
    - rewrite IH. unfold without. ring.
  Qed.

  Lemma power_inverse (a b : A) n : a * b == 1 -> power a n * power b n == 1.
  Proof. intros H. rewrite <- power_mul, (power_proper _ _ H _ _ eq_refl). apply power_one. Qed.

  Lemma eval_cleared i d p : x i * eval x d == 1 ->
    eval x (cleared i d p) == eval x p * power (eval x d) (highest_power i p).
  Proof.
    intros H. unfold cleared. set (e := highest_power i p). assert (L : (highest_power i p <= e)%nat) by reflexivity.
    clearbody e. induction p as [|[c m] p IH]; cbn [flat_map eval]; [ring|].
    cbn [highest_power fold_right] in L. rewrite eval_app, IH by (unfold highest_power; lia).
    rewrite (eval_raised collected x (eval_collected x)). cbn [eval]. rewrite (product_without i m).
    assert (E : power (eval x d) e == power (eval x d) (degree m i) * power (eval x d) (e - degree m i)).
    { rewrite <- power_add. replace (degree m i + (e - degree m i))%nat with e by lia. reflexivity. }
    pose proof (power_inverse (x i) (eval x d) (degree m i) H) as I.
    set (a := power (x i) (degree m i)) in *. set (b := power (eval x d) (degree m i)) in *.
    set (q := power (eval x d) (e - degree m i)) in *.
    transitivity (scalar c * product x (without i m) * q + eval x p * power (eval x d) e); [ring|].
    rewrite E.
    transitivity (scalar c * product x (without i m) * q * (a * b) + eval x p * (b * q)); [rewrite I|]; ring.
  Qed.

  Lemma last_inverse_there t p i d : last_inverse t p = Some (i, d) -> get i t = Some d.
  Proof.
    unfold last_inverse.
    assert (H : forall found : option (positive * polynomial),
      (forall w e, found = Some (w, e) -> get w t = Some e) -> forall w e,
      fold_left (fun found '(_, m) => fold_left (fun found '(v, _) =>
        match found with
        | Some (w, _) => if later v w then match get v t with Some d => Some (v, d) | None => found end else found
        | None => match get v t with Some d => Some (v, d) | None => None end
        end) m found) p found = Some (w, e) -> get w t = Some e).
    { induction p as [|[c m] p IH]; intros found G; cbn [fold_left]; [exact G|]. apply IH. clear IH p.
      revert found G. induction m as [|[v k] m IH]; intros found G; cbn [fold_left]; [exact G|]. apply IH.
      intros w e. destruct found as [[u f]|]; [destruct (later v u)|]; try (apply G);
        destruct (get v t) eqn:E; try (apply G); intros [= <- <-]; exact E. }
    intros E. apply (H None) with (2 := E). discriminate.
  Qed.

  Lemma vanishes_zero steps t p : inverses_hold t -> vanishes steps t p = true -> eval x p == 0.
  Proof.
    intros H. revert p. induction steps as [|steps IH]; intros p; cbn [vanishes]; rewrite <- (eval_collected x p);
      destruct (collected p) as [|one rest]; try reflexivity; try discriminate.
    destruct (last_inverse t (one :: rest)) as [[i d]|] eqn:L; [|discriminate]. intros V. apply IH in V.
    apply last_inverse_there in L. pose proof (H _ _ L) as I. rewrite (eval_cleared _ _ _ I) in V.
    set (e := highest_power i (one :: rest)) in *. set (a := eval x (one :: rest)) in *.
    transitivity (a * power (eval x d) e * power (x i) e); [|rewrite V; ring].
    transitivity (a * (power (x i) e * power (eval x d) e)); [rewrite (power_inverse _ _ _ I)|]; ring.
  Qed.

  Definition all_hold (K : known) : Prop :=
    images_hold (image K) /\ inverses_hold (below K) /\
    forall k f u, get k (made K) = Some (f, u) -> x k == F f (map (eval x) u).

  Lemma put_holds (t : trie polynomial) k p (holds : positive -> polynomial -> Prop) :
    (forall v q, get v t = Some q -> holds v q) -> holds k p -> forall v q, get v (put k p t) = Some q -> holds v q.
  Proof.
    intros H P v q. rewrite get_put. destruct (Pos.eqb_spec v k) as [->|]; [now intros [= <-] | apply H].
  Qed.

  Lemma all_alike_same zero u v : (forall p, zero p = true -> eval x p == 0) -> all_alike zero u v = true ->
    Forall2 eqv (map (eval x) u) (map (eval x) v).
  Proof.
    intros Z. revert v. induction u as [|p u IH]; intros [|q v]; cbn; try discriminate; intros H; constructor.
    - apply andb_prop in H as [H _]. now apply minus_zero, Z.
    - apply andb_prop in H as [_ H]. now apply IH.
  Qed.

  Lemma power_of_zero a : F Power [a; 0] == 1.
  Proof.
    rewrite <- (apply_whole_power F 0 a) by discriminate. apply apply_eq.
    constructor; [reflexivity | constructor; [symmetry; apply scalar_zero | constructor]].
  Qed.

  Lemma whole_power_holds zero n p u : (forall p, zero p = true -> eval x p == 0) ->
    is_whole_power zero n p u = true -> F Power (map (eval x) u) == eval x p.
  Proof.
    intros Z. destruct u as [|b [|e [|]]]; try discriminate. cbn [is_whole_power map]. intros C.
    apply andb_prop in C as [C P]. apply andb_prop in C as [B E]. apply Z.leb_le in B.
    apply Z, minus_zero in E. rewrite eval_number in E.
    assert (At : forall a, scalar (inject_Z n) == a -> F Power [eval x b; eval x e] == F Power [eval x b; a]).
    { intros a H. apply apply_eq. constructor; [reflexivity | constructor; [now rewrite E | constructor]]. }
    destruct (Z.leb_spec 0 n) as [Pos|Neg]; apply Z, minus_zero in P;
      rewrite (eval_raised collected x (eval_collected x)), eval_number in P.
    - rewrite <- P, (At (scalar (inject_Z (Z.of_nat (Z.to_nat n))))) by (now rewrite Z2Nat.id).
      rewrite apply_whole_power by lia. rewrite scalar_one. ring.
    - set (N := Z.to_nat (- n)) in *. assert (M : exists k, N = S k) by (exists (pred N); lia). destruct M as [k M].
      rewrite (At (scalar (inject_Z (- Z.of_nat N)))) by (unfold N; now rewrite Z2Nat.id, Z.opp_involutive by lia).
      set (v := eval x p * power (eval x b) k). rewrite scalar_one in P.
      assert (I : v * eval x b == 1) by (rewrite <- P, M; unfold v; cbn [power]; ring).
      rewrite (apply_negative_power F N _ v) by (trivial; lia).
      assert (I' := power_inverse _ _ N I).
      transitivity (power v N * (eval x p * power (eval x b) N)); [rewrite P; ring|].
      transitivity (eval x p * (power v N * power (eval x b) N)); [ring | rewrite I'; ring].
  Qed.

  Lemma fact_holds zero f u c : (forall p, zero p = true -> eval x p == 0) -> f <> Inverse ->
    fact zero f u = Some c -> F f (map (eval x) u) == scalar c.
  Proof.
    intros Z N. destruct u as [|p rest]; cbn [fact]; [discriminate|].
    destruct (zero (minus p (number 1))) eqn:E.
    - assert (O : eval x p == 1) by (apply Z, minus_zero in E; rewrite E, eval_number; apply scalar_one).
      assert (P : forall l, Forall2 eqv (map (eval x) (p :: l)) (one :: map (eval x) l)).
      { intros l. cbn. constructor; [exact O|]. induction (map (eval x) l); constructor; [reflexivity | assumption]. }
      destruct (function_eq_dec f Power) as [->|NP].
      + intros [= <-]. rewrite (apply_eq F _ _ _ (P rest)), apply_power_of_one. symmetry. apply scalar_one.
      + intros G. assert (R : rest = [] /\ at_one f = Some c) by (destruct f, rest; try easy; now destruct NP).
        destruct R as [-> G']. rewrite (apply_eq F _ _ _ (P [])). now apply apply_at_one.
    - destruct rest as [|e [|]].
      + destruct (zero p) eqn:E0; [|discriminate]. intros G.
        rewrite <- (apply_at_zero F f c G). apply apply_eq. cbn. constructor; [now apply Z | constructor].
      + destruct f; try discriminate. destruct (zero e) eqn:E0; [|discriminate]. intros [= <-].
        rewrite scalar_one, <- (power_of_zero (eval x p)). apply apply_eq. cbn.
        constructor; [reflexivity | constructor; [now apply Z | constructor]].
      + destruct f; discriminate.
  Qed.

  Lemma same_arguments t u : images_hold t -> Forall2 eqv (map (eval x) u) (map (eval x) (map (substituted t) u)).
  Proof.
    intros H. induction u as [|p u IH]; cbn; constructor; [|exact IH]. symmetry. now apply eval_substituted.
  Qed.

  Lemma follow_holds k f u h K K' : all_hold K -> has_value F x k f u -> follow k f u h K = Some K' -> all_hold K'.
  Proof.
    intros (HI & HB & HM) V. unfold follow. cbv zeta. set (u' := map (substituted (image K)) u).
    pose proof (same_arguments (image K) u HI) as S. fold u' in S.
    set (zero := vanishes _ _). assert (Z : forall p, zero p = true -> eval x p == 0).
    { intros p. now apply vanishes_zero. }
    clearbody zero.
    assert (Image : forall p, x k == eval x p -> all_hold (Known (put k p (image K)) (below K) (made K))).
    { intros p E. split; [|split]; cbn; trivial. exact (put_holds _ k p (fun v q => x v == eval x q) HI E). }
    destruct (function_eq_dec f Inverse) as [->|N].
    - cbn [has_value] in V.
      assert (D : x k * eval x (hd [] u') == 1).
      { rewrite <- V. apply mul_proper; [reflexivity|]. unfold u'. destruct u as [|p u]; cbn; [reflexivity|].
        now apply eval_substituted. }
      destruct h as [|p| | | |]; try discriminate.
      + intros [= <-]. split; [|split]; cbn; trivial.
        exact (put_holds _ k (hd [] u') (fun i d => x i * eval x d == 1) HB D).
      + destruct (zero _) eqn:E; [|discriminate]. intros [= <-]. apply Image. apply Z, minus_zero in E.
        rewrite eval_multiplied, eval_number, scalar_one in E.
        set (d := eval x (hd [] u')) in *.
        transitivity (x k * (eval x p * d)); [rewrite E; ring|].
        transitivity (x k * d * eval x p); [ring | rewrite D; ring].
    - assert (W : x k == F f (map (eval x) u')).
      { rewrite <- (apply_eq F _ _ _ S). destruct f; trivial. now destruct N. }
      clear V S.
      intros E.
      assert (E' : match h with
        | Fresh => Some (Known (image K) (below K) (put k (f, u') (made K)))
        | Is _ => None
        | Whole n p => if function_eq_dec f Power then if is_whole_power zero n p u' then
            Some (Known (put k p (image K)) (below K) (made K)) else None else None
        | Fact => match fact zero f u' with
                  | Some c => Some (Known (put k (number c) (image K)) (below K) (made K))
                  | None => None end
        | Like j => match get j (made K) with
          | Some (f', v) => if function_eq_dec f f' then if all_alike zero u' v then
              Some (Known (put k [(1%Q, [(j, xH)])] (image K)) (below K) (made K)) else None else None
          | None => None end
        | Opposite j => match get j (made K), parity f, u' with
          | Some (f', [q]), Some c, [p] => if function_eq_dec f f' then if zero (p ++ q) then
              Some (Known (put k [(c, [(j, xH)])] (image K)) (below K) (made K)) else None else None
          | _, _, _ => None end
        end = Some K') by (rewrite <- E; destruct f; try reflexivity; now destruct N).
      clear E. destruct h as [|p|j|j| |n p]; try discriminate.
      + injection E' as <-. split; [|split]; cbn; trivial. intros v f' w. rewrite get_put.
        destruct (Pos.eqb_spec v k) as [->|]; [intros [= <- <-]; exact W | apply HM].
      + destruct (get j (made K)) as [[f' v]|] eqn:G; [|discriminate].
        destruct (function_eq_dec f f') as [<-|]; [|discriminate].
        destruct (all_alike zero u' v) eqn:L; [|discriminate]. injection E' as <-. apply Image.
        rewrite W, (apply_eq F _ _ _ (all_alike_same _ _ _ Z L)), <- (HM _ _ _ G), eval_variable, scalar_one.
        cbn. ring.
      + destruct (get j (made K)) as [[f' [|q [|]]]|] eqn:G; try discriminate.
        destruct (parity f) as [c|] eqn:P; [|discriminate]. destruct u' as [|p [|]]; try discriminate.
        destruct (function_eq_dec f f') as [<-|]; [|discriminate]. destruct (zero (p ++ q)) eqn:O; [|discriminate].
        injection E' as <-. apply Image. apply Z in O. rewrite eval_app in O.
        rewrite W, eval_variable, (HM _ _ _ G). cbn [map eval].
        rewrite <- (apply_opposite F f c _ P).
        transitivity (F f [opp (eval x q)] + 0); [|reflexivity].
        transitivity (F f [eval x p] + 0); [cbn [map]; ring|]. apply add_proper; [|reflexivity].
        apply apply_eq. constructor; [|constructor].
        transitivity (eval x p + eval x q + opp (eval x q)); [ring | rewrite O; ring].
      + destruct (fact zero f u') as [c|] eqn:G; [|discriminate]. injection E' as <-. apply Image.
        rewrite W, (fact_holds _ _ _ _ Z N G). symmetry. apply eval_number.
      + destruct (function_eq_dec f Power) as [->|]; [|discriminate].
        destruct (is_whole_power zero n p u') eqn:G; [|discriminate]. injection E' as <-. apply Image.
        rewrite W. exact (whole_power_holds _ _ _ _ Z G).
  Qed.

  Lemma follow_all_holds l K K' : all_hold K -> (forall k f u h, In (k, (f, u), h) l -> has_value F x k f u) ->
    follow_all l K = Some K' -> all_hold K'.
  Proof.
    revert K. induction l as [|[[k [f u]] h] l IH]; intros K H V; cbn [follow_all].
    - now intros [= <-].
    - destruct (follow k f u h K) as [K1|] eqn:E; [|discriminate]. apply IH.
      + apply (follow_holds k f u h K K1 H); [|exact E]. apply (V k f u h). now left.
      + intros k' f' u' h' I. apply (V k' f' u' h'). now right.
  Qed.

  Lemma equal_under_same K p q : all_hold K -> equal_under K p q = true -> eval x p == eval x q.
  Proof.
    intros (HI & HB & _) E. apply minus_zero. rewrite <- (eval_substituted _ _ HI). exact (vanishes_zero _ _ _ HB E).
  Qed.
End Meaning.
