(* Two facts about polynomials as functions.

   [vanishing]: a polynomial that is zero at all rational points has no coefficients, so an identity that holds
   for rational states holds in every algebra ([identity]).
   [still] and [direction]: p is constant in the direction d iff the coefficients of its derivative in that
   direction, [slope], are zero. *)

From Coq Require Import QArith List Lia PeanoNat.
From Symlump Require Import Algebra Polynomial.
Import ListNotations.
Local Open Scope Q_scope.

Notation state := (positive -> rationals).

(* ------------------------------------------------------------------ Vanishing. *)

Lemma difference_zero (a b : Q) : a - b == 0 -> a == b.
Proof. intros H. transitivity (a - b + b); [ring | rewrite H; ring]. Qed.

Section Vanishing.
  Let two : rationals := 2.

  Definition doubled (v : positive) (x : positive -> rationals) : positive -> rationals :=
    fun u => if Pos.eqb u v then mul two (x u) else x u.

  Lemma product_doubled v (x : state) m : product (doubled v x) m == power two (degree m v) * product x m.
  Proof.
    induction m as [|[w e] m IH]; cbn [product degree power]; [cbn; ring|].
    change (@mul rationals) with Qmult in *. rewrite IH, power_add. unfold doubled.
    change (@mul rationals) with Qmult in *.
    destruct (Pos.eqb w v); [rewrite power_mul; change (@mul rationals) with Qmult|]; cbn [power]; cbn; ring.
  Qed.

  Lemma power_two n : power two n == inject_Z (2 ^ Z.of_nat n).
  Proof.
    induction n as [|n IH]; [reflexivity|]. cbn [power]. change (@mul rationals) with Qmult.
    rewrite IH, Nat2Z.inj_succ, Z.pow_succ_r by lia. rewrite inject_Z_mult. reflexivity.
  Qed.

  Lemma power_two_injective a b : power two a == power two b -> a = b.
  Proof.
    rewrite !power_two, inject_Z_injective. intros H. apply Z.pow_inj_r in H; lia.
  Qed.

  (* p at doubled v x, less 2^e times p: a polynomial without terms of degree e in v. *)
  Fixpoint doubling (v : positive) (e : nat) (p : polynomial) : polynomial :=
    match p with
    | [] => []
    | (c, m) :: p => if Nat.eqb (degree m v) e then doubling v e p
                     else (c * (power two (degree m v) - power two e), m) :: doubling v e p
    end.

  Lemma eval_doubling v e (x : state) p : eval x (doubling v e p) == eval (doubled v x) p - power two e * eval x p.
  Proof.
    induction p as [|[c m] p IH]; cbn [doubling eval]; [cbn; ring|].
    cbn [add mul scalar rationals]. rewrite product_doubled.
    destruct (Nat.eqb_spec (degree m v) e) as [<-|D]; cbn [eval add mul scalar rationals]; rewrite IH; ring.
  Qed.

  Lemma coef_doubling v e p m : coef (doubling v e p) m == (power two (degree m v) - power two e) * coef p m.
  Proof.
    induction p as [|[c n] p IH]; cbn [doubling coef]; [cbn; ring|].
    destruct (Nat.eqb_spec (degree n v) e) as [E|D]; cbn [coef];
      destruct (monomial_eq_dec (normal n) m) as [<-|F]; rewrite IH, ?degree_normal; rewrite ?E; ring.
  Qed.

  Lemma others_doubling m v e p : (length (others m (doubling v e p)) <= length (others m p))%nat.
  Proof.
    unfold others. induction p as [|[c n] p IH]; cbn; [lia|].
    destruct (Nat.eqb (degree n v) e); cbn; destruct (monomial_eq_dec (normal n) m); cbn; lia.
  Qed.

  Lemma fewer_others m v c n p :
    In (c, n) (others m p) -> (length (others m (doubling v (degree n v) p)) < length (others m p))%nat.
  Proof.
    induction p as [|[a k] p IH]; [easy|].
    pose proof (others_doubling m v (degree n v) p) as L. unfold others in *. cbn.
    destruct (monomial_eq_dec (normal k) m) as [E|E] eqn:D; cbn.
    - intros H. apply IH in H. destruct (Nat.eqb (degree k v) (degree n v)); cbn; [exact H|]. rewrite D. exact H.
    - intros [H|H].
      + injection H as -> ->. rewrite Nat.eqb_refl. lia.
      + apply IH in H. destruct (Nat.eqb (degree k v) (degree n v)); cbn; [lia|]. rewrite D. cbn. lia.
  Qed.

  Lemma coef_not_normal p m : normal m <> m -> coef p m == 0.
  Proof.
    intros H. induction p as [|[c n] p IH]; cbn; [reflexivity|].
    destruct (monomial_eq_dec (normal n) m) as [<-|D]; [|exact IH].
    destruct H. apply normal_sorted, sorted_normal.
  Qed.

  Theorem vanishing p : (forall x : positive -> rationals, eval x p == 0) -> forall m, coef p m == 0.
  Proof.
    intros Z m. destruct (monomial_eq_dec (normal m) m) as [N|N]; [|now apply coef_not_normal].
    remember (length (others m p)) as k eqn:L. assert (H : (length (others m p) <= k)%nat) by lia. clear L.
    revert p H Z. induction k as [|k IH]; intros p L Z; destruct (others m p) as [|[c n] r] eqn:O; cbn in L.
    2: lia.
    1, 2: pose proof (Z (fun _ => 1)) as E; rewrite (eval_others _ m), O in E; cbn in E;
      transitivity (coef p m * 1 + 0); [ring|];
      assert (P : product (A := rationals) (fun _ => 1) m == 1) by
        (clear; induction m as [|[v e] m IH]; cbn; [reflexivity|];
         rewrite IH, (power_one (A := rationals)); reflexivity);
      rewrite P in E; exact E.
    assert (I : In (c, n) (others m p)) by (rewrite O; left; reflexivity).
    assert (D : normal n <> m).
    { unfold others in I. apply filter_In in I as [_ I]. destruct (monomial_eq_dec (normal n) m); easy. }
    destruct (degrees_differ (normal n) m) as [v V]; trivial; [apply sorted_normal | rewrite <- N; apply sorted_normal |].
    rewrite degree_normal in V.
    assert (E : coef (doubling v (degree n v) p) m == 0).
    { apply IH.
      - pose proof (fewer_others m v c n p I) as F. rewrite O in F. cbn in F. lia.
      - intros x. rewrite eval_doubling, !Z. ring. }
    rewrite coef_doubling in E. apply Qmult_integral in E as [E|E]; [|exact E].
    destruct V. symmetry. apply power_two_injective.
    exact (difference_zero _ _ E).
  Qed.
End Vanishing.

(* An identity of polynomials that holds for all rational states holds in every algebra. *)
Theorem identity p q : (forall x : positive -> rationals, (eval x p == eval x q)%Q) ->
  forall (A : algebra) (x : positive -> A), (eval x p == eval x q)%A.
Proof.
  intros H A x. apply eval_coef. intros m.
  transitivity (coef (p ++ scale (-1) q) m + coef q m); [rewrite coef_app, coef_scale; ring|].
  rewrite vanishing; [ring|]. intros y. rewrite eval_app, eval_scale, H. cbn. ring.
Qed.

(* ------------------------------------------------------------------ One variable. *)

Fixpoint peval (l : list Q) (t : Q) : Q := match l with [] => 0 | a :: l => a + t * peval l t end.
Fixpoint dpeval (l : list Q) (t : Q) : Q := match l with [] => 0 | a :: l => peval l t + t * dpeval l t end.
Fixpoint padd (l k : list Q) : list Q :=
  match l, k with [], _ => k | _, [] => l | a :: l, b :: k => (a + b) :: padd l k end.
Fixpoint pmul (l k : list Q) : list Q :=
  match l with [] => [] | a :: l => padd (map (Qmult a) k) (0 :: pmul l k) end.

Lemma peval_add l k t : peval (padd l k) t == peval l t + peval k t.
Proof. revert k. induction l as [|a l IH]; intros [|b k]; cbn; rewrite ?IH; ring. Qed.
Lemma dpeval_add l k t : dpeval (padd l k) t == dpeval l t + dpeval k t.
Proof. revert k. induction l as [|a l IH]; intros [|b k]; cbn; rewrite ?IH, ?peval_add; ring. Qed.
Lemma peval_scale a l t : peval (map (Qmult a) l) t == a * peval l t.
Proof. induction l as [|b l IH]; cbn; rewrite ?IH; ring. Qed.
Lemma dpeval_scale a l t : dpeval (map (Qmult a) l) t == a * dpeval l t.
Proof. induction l as [|b l IH]; cbn; rewrite ?IH, ?peval_scale; ring. Qed.
Lemma peval_mul l k t : peval (pmul l k) t == peval l t * peval k t.
Proof. induction l as [|a l IH]; cbn [pmul peval]; rewrite ?peval_add, ?peval_scale; cbn [peval]; rewrite ?IH; ring. Qed.
Lemma dpeval_mul l k t : dpeval (pmul l k) t == dpeval l t * peval k t + peval l t * dpeval k t.
Proof.
  induction l as [|a l IH]; cbn [pmul peval dpeval]; rewrite ?dpeval_add, ?dpeval_scale; cbn [dpeval];
    rewrite ?IH, ?peval_mul; ring.
Qed.

(* h is a polynomial of one variable and h' is its derivative. *)
Definition smooth (h h' : Q -> Q) : Prop :=
  exists l, (forall t, h t == peval l t) /\ (forall t, h' t == dpeval l t).

Lemma smooth_ext h h' k k' : smooth h h' -> (forall t, k t == h t) -> (forall t, k' t == h' t) -> smooth k k'.
Proof. intros (l & H & H') E E'. exists l. split; intros t; [rewrite E; apply H | rewrite E'; apply H']. Qed.
Lemma smooth_line a b : smooth (fun t => a + t * b) (fun _ => b).
Proof. exists [a; b]. split; intros t; cbn; ring. Qed.
Lemma smooth_constant a : smooth (fun _ => a) (fun _ => 0).
Proof. exists [a]. split; intros t; cbn; ring. Qed.
Lemma smooth_add h h' k k' : smooth h h' -> smooth k k' -> smooth (fun t => h t + k t) (fun t => h' t + k' t).
Proof.
  intros (l & H & H') (n & K & K'). exists (padd l n). split; intros t.
  - now rewrite peval_add, H, K.
  - now rewrite dpeval_add, H', K'.
Qed.
Lemma smooth_mul h h' k k' :
  smooth h h' -> smooth k k' -> smooth (fun t => h t * k t) (fun t => h' t * k t + h t * k' t).
Proof.
  intros (l & H & H') (n & K & K'). exists (pmul l n). split; intros t.
  - now rewrite peval_mul, H, K.
  - now rewrite dpeval_mul, H', K, H, K'.
Qed.

Definition qpower (a : Q) (n : nat) : Q := power (A := rationals) a n.
Definition number (n : nat) : Q := inject_Z (Z.of_nat n).

Lemma number_succ n : number (S n) == 1 + number n.
Proof. unfold number. rewrite Nat2Z.inj_succ, <- Z.add_1_l. now rewrite inject_Z_plus. Qed.
Lemma number_add n m : number (n + m) == number n + number m.
Proof. unfold number. rewrite Nat2Z.inj_add. now rewrite inject_Z_plus. Qed.

Lemma smooth_power h h' n :
  smooth h h' -> smooth (fun t => qpower (h t) n) (fun t => number n * qpower (h t) (pred n) * h' t).
Proof.
  intros S. induction n as [|n IH].
  - apply smooth_ext with (1 := smooth_constant 1); intros t; [reflexivity|]. change (number 0) with 0. ring.
  - apply smooth_ext with (1 := smooth_mul _ _ _ _ S IH); intros t; [reflexivity|].
    cbn [pred]. rewrite number_succ. destruct n as [|n]; cbn [pred]; [change (number 0) with 0; ring|].
    unfold qpower. cbn [power]. change (@mul rationals) with Qmult. ring.
Qed.

Definition pure (n : nat) : monomial := match n with O => [] | S _ => [(xH, Pos.of_nat n)] end.
Fixpoint in_x1 (n : nat) (l : list Q) : polynomial :=
  match l with [] => [] | a :: l => (a, pure n) :: in_x1 (S n) l end.

Lemma eval_in_x1 n l (x : positive -> rationals) : eval x (in_x1 n l) == qpower (x xH) n * peval l (x xH).
Proof.
  revert n. induction l as [|a l IH]; intros n; cbn [in_x1 eval peval]; [cbn; ring|].
  rewrite IH. cbn [add mul scalar rationals].
  assert (P : product x (pure n) == qpower (x xH) n).
  { destruct n as [|n]; [reflexivity|]. cbn [pure product].
    rewrite Nat2Pos.id by easy. cbn [mul one rationals]. unfold qpower. ring. }
  rewrite P. unfold qpower. cbn [power]. cbn [mul rationals]. ring.
Qed.

Lemma coef_in_x1 n k l : (n < k)%nat -> coef (in_x1 k l) (pure n) == 0.
Proof.
  revert k. induction l as [|a l IH]; intros k H; cbn [in_x1 coef]; [reflexivity|].
  destruct (monomial_eq_dec (normal (pure k)) (pure n)) as [E|E]; [|apply IH; lia].
  assert (D : degree (normal (pure k)) xH = degree (pure n) xH) by now rewrite E.
  rewrite degree_normal in D. destruct k as [|k], n as [|n]; cbn -[Pos.of_nat] in D; rewrite ?Nat2Pos.id in D; lia.
Qed.

Definition all_zero : list Q -> Prop := Forall (fun a => a == 0).

Lemma all_zero_peval l t : all_zero l -> peval l t == 0.
Proof. induction 1 as [|a l H _ IH]; cbn; [|rewrite H, IH]; ring. Qed.

Lemma peval_zero l : (forall t, peval l t == 0) -> all_zero l.
Proof.
  intros H. assert (Z : forall m, coef (in_x1 0 l) m == 0).
  { apply vanishing. intros x. rewrite eval_in_x1, H. ring. }
  clear H. revert Z. generalize 0%nat. induction l as [|a l IH]; intros n Z; constructor.
  - specialize (Z (pure n)). cbn [in_x1 coef] in Z.
    rewrite normal_sorted in Z by now destruct n.
    destruct (monomial_eq_dec (pure n) (pure n)); [|easy]. rewrite coef_in_x1 in Z by lia. rewrite <- Z. ring.
  - apply (IH (S n)). intros m. specialize (Z m). cbn [in_x1 coef] in Z.
    destruct (monomial_eq_dec (normal (pure n)) m) as [<-|E]; [|exact Z].
    rewrite normal_sorted by now destruct n. apply coef_in_x1. lia.
Qed.

Lemma constant_slope h h' : smooth h h' -> (forall t, h t == h 0) -> h' 0 == 0.
Proof.
  intros (l & H & H') C. rewrite H'. destruct l as [|a l]; cbn; [reflexivity|].
  assert (Z : all_zero (0 :: l)).
  { apply peval_zero. intros t. pose proof (C t) as E. rewrite !H in E. cbn in *.
    transitivity (a + t * peval l t - (a + 0 * peval l 0)); [ring | rewrite E; ring]. }
  inversion Z. rewrite all_zero_peval by trivial. ring.
Qed.

Fixpoint weighted (k : Q) (l : list Q) : list Q := match l with [] => [] | a :: l => k * a :: weighted (1 + k) l end.

Lemma peval_weighted k l t : peval (weighted k l) t == k * peval l t + t * dpeval l t.
Proof. revert k. induction l as [|a l IH]; intros k; cbn [weighted peval dpeval]; rewrite ?IH; ring. Qed.

Lemma weighted_zero k l : 0 < k -> all_zero (weighted k l) -> all_zero l.
Proof.
  revert k. induction l as [|a l IH]; intros k P H; inversion H as [|? ? Z R]; subst; constructor.
  - apply Qmult_integral in Z as [Z|Z]; [|exact Z]. rewrite Z in P. now apply Qlt_irrefl in P.
  - apply (IH (1 + k)); [|exact R]. apply Qlt_trans with (1 := P).
    rewrite <- (Qplus_0_l k) at 1. now apply Qplus_lt_l.
Qed.

Lemma slope_constant h h' : smooth h h' -> (forall t, h' t == 0) -> h 1 == h 0.
Proof.
  intros (l & H & H') C. rewrite !H. destruct l as [|a l]; cbn; [reflexivity|].
  assert (Z : all_zero l).
  { apply weighted_zero with 1; [reflexivity|]. apply peval_zero. intros t.
    rewrite peval_weighted. specialize (C t). rewrite H' in C. cbn in C. rewrite <- C. ring. }
  rewrite !all_zero_peval by trivial. ring.
Qed.

(* ------------------------------------------------------------------ Derivatives. *)

Definition lowered (v e : positive) (m : monomial) : monomial :=
  match e with xH => m | _ => (v, Pos.pred e) :: m end.

Fixpoint derivative_of_product (u : positive) (m : monomial) : polynomial :=
  match m with
  | [] => []
  | (v, e) :: m => (if Pos.eqb v u then [(number (Pos.to_nat e), lowered v e m)] else []) ++
                   map (fun '(c, n) => (c, (v, e) :: n)) (derivative_of_product u m)
  end.

Definition derivative (u : positive) (p : polynomial) : polynomial :=
  flat_map (fun '(c, m) => scale c (derivative_of_product u m)) p.

(* The coefficient of a monomial in the derivative of p by u. *)
Definition gradient (p : polynomial) (m : monomial) (u : positive) : Q :=
  number (S (degree m u)) * coef p (insert u xH m).

Lemma degree_derivative u m c n w :
  In (c, n) (derivative_of_product u m) -> degree m w = ((if Pos.eqb u w then 1 else 0) + degree n w)%nat.
Proof.
  revert c n. induction m as [|[v e] m IH]; intros c n; cbn; [easy|]. rewrite in_app_iff. intros [H|H].
  - destruct (Pos.eqb_spec v u) as [->|]; [|easy]. destruct H as [H|[]]. injection H as _ <-.
    destruct (Pos.eqb_spec u w) as [->|D]; destruct e; cbn -[Pos.to_nat Pos.pred]; rewrite ?Pos.eqb_refl;
      rewrite ?(proj2 (Pos.eqb_neq u w) D); lia.
  - apply in_map_iff in H as [[c' n'] [H I]]. injection H as _ <-. cbn. rewrite (IH _ _ I). lia.
Qed.

Lemma coef_total (p : polynomial) m :
  (forall c n, In (c, n) p -> normal n = m) -> coef p m == eval (A := rationals) (fun _ => 1) p.
Proof.
  intros H. induction p as [|[c n] p IH]; cbn [coef eval]; [reflexivity|].
  rewrite (H c n) by now left. destruct (monomial_eq_dec m m); [|easy].
  rewrite IH by (intros; eapply H; right; eauto). cbn [add mul scalar rationals].
  assert (P : product (A := rationals) (fun _ => 1) n == 1).
  { clear. induction n as [|[v e] n IH]; cbn; [reflexivity|]. rewrite IH, (power_one (A := rationals)). reflexivity. }
  rewrite P. ring.
Qed.

Lemma eval_cons (x : positive -> rationals) v e p :
  eval x (map (fun '(c, n) => (c, (v, e) :: n)) p) == qpower (x v) (Pos.to_nat e) * eval x p.
Proof.
  induction p as [|[c n] p IH]; cbn [map eval product]; [cbn; ring|].
  rewrite IH. cbn [add mul scalar rationals]. unfold qpower. ring.
Qed.

Lemma total_derivative u m : eval (A := rationals) (fun _ => 1) (derivative_of_product u m) == number (degree m u).
Proof.
  induction m as [|[v e] m IH]; cbn [derivative_of_product degree]; [reflexivity|].
  rewrite eval_app, eval_cons, IH, number_add. unfold qpower. rewrite (power_one (A := rationals)).
  cbn [add one rationals].
  destruct (Pos.eqb v u); cbn [eval]; [|change (number 0) with 0; cbn [zero rationals]; ring].
  assert (P : product (A := rationals) (fun _ => 1) (lowered v e m) == 1).
  { generalize (lowered v e m). clear. induction m as [|[v e] m IH]; cbn; [reflexivity|].
    rewrite IH, (power_one (A := rationals)). reflexivity. }
  cbn [add mul scalar zero rationals]. rewrite P. ring.
Qed.

Lemma coef_derivative_of_product u m k : sorted k ->
  coef (derivative_of_product u m) k ==
  if monomial_eq_dec (normal m) (insert u xH k) then number (S (degree k u)) else 0.
Proof.
  intros K. destruct (monomial_eq_dec (normal m) (insert u xH k)) as [E|E].
  - assert (D : forall w, degree m w = ((if Pos.eqb u w then 1 else 0) + degree k w)%nat).
    { intros w. rewrite <- degree_normal, E, degree_insert. reflexivity. }
    rewrite coef_total, total_derivative, D, Pos.eqb_refl; [reflexivity|].
    intros c n I. apply sorted_ext; auto using sorted_normal. intros w. rewrite degree_normal.
    pose proof (degree_derivative _ _ _ _ w I). rewrite D in H. lia.
  - assert (H : forall c n, In (c, n) (derivative_of_product u m) -> normal n <> k).
    { intros c n I <-. apply E. apply sorted_ext; auto using sorted_normal, sorted_insert.
      intros w. rewrite degree_insert, !degree_normal. apply (degree_derivative _ _ _ _ w I). }
    induction (derivative_of_product u m) as [|[c n] p IH]; cbn; [reflexivity|].
    destruct (monomial_eq_dec (normal n) k) as [F|F]; [destruct (H c n); [now left | exact F] |].
    apply IH. intros; eapply H; right; eauto.
Qed.

Lemma coef_derivative u p k : sorted k -> coef (derivative u p) k == gradient p k u.
Proof.
  intros K. unfold gradient. induction p as [|[c m] p IH]; cbn [derivative flat_map coef]; [ring|].
  rewrite coef_app, coef_scale, coef_derivative_of_product by trivial. unfold derivative in IH. rewrite IH.
  destruct (monomial_eq_dec (normal m) (insert u xH k)); ring.
Qed.

(* All variables of p are in the list. *)
Definition within (l : list positive) (p : polynomial) : Prop :=
  forall c m v e, In (c, m) p -> In (v, e) m -> In v l.

Notation sumq := (sum_over (A := rationals)).

(* The derivative of p in the direction d, and the coefficient of a monomial in it. *)
Definition along (l : list positive) (d : state) (p : polynomial) : polynomial :=
  flat_map (fun u => scale (d u) (derivative u p)) l.
Definition slope (l : list positive) (d : state) (p : polynomial) (m : monomial) : Q :=
  sumq (fun u => d u * gradient p m u) l.
Definition moved (x d : state) (t : Q) : state := fun v => x v + t * d v.

Lemma sumq_ext (f g : positive -> Q) l : (forall v, In v l -> f v == g v) -> sumq f l == sumq g l.
Proof. apply (sum_over_ext (A := rationals)). Qed.
Lemma sumq_add (f g : positive -> Q) l : sumq (fun v => f v + g v) l == sumq f l + sumq g l.
Proof. apply (sum_over_add (A := rationals)). Qed.
Lemma sumq_scale a (f : positive -> Q) l : sumq (fun v => a * f v) l == a * sumq f l.
Proof. apply (sum_over_mul (A := rationals)). Qed.
Lemma sumq_single v (f : positive -> Q) l :
  NoDup l -> In v l -> sumq (fun u => if Pos.eqb v u then f u else 0) l == f v.
Proof. apply (sum_over_single (A := rationals)). Qed.

Lemma coef_along l d p m : sorted m -> coef (along l d p) m == slope l d p m.
Proof.
  intros S. unfold along, slope. induction l as [|u l IH]; cbn; [reflexivity|].
  now rewrite coef_app, coef_scale, coef_derivative, IH.
Qed.

Lemma eval_along (x : state) l d p : eval x (along l d p) == sumq (fun u => d u * eval x (derivative u p)) l.
Proof.
  unfold along. induction l as [|u l IH]; cbn; [reflexivity|].
  rewrite eval_app, eval_scale, IH. reflexivity.
Qed.

Lemma smooth_product l (x d : state) m : NoDup l -> (forall v e, In (v, e) m -> In v l) ->
  smooth (fun t => product (moved x d t) m)
         (fun t => sumq (fun u => d u * eval (moved x d t) (derivative_of_product u m)) l).
Proof.
  intros N. induction m as [|[v e] m IH]; intros W.
  - apply smooth_ext with (1 := smooth_constant 1); intros t; [reflexivity|].
    transitivity (sumq (fun u => 0 * d u) l); [apply sumq_ext; intros; cbn; ring | rewrite sumq_scale; ring].
  - assert (I : In v l) by (apply (W v e); now left).
    assert (IH' := IH (fun u f H => W u f (or_intror H))). clear IH.
    apply smooth_ext with
      (1 := smooth_mul _ _ _ _ (smooth_power _ _ (Pos.to_nat e) (smooth_line (x v) (d v))) IH'); intros t.
    + reflexivity.
    + set (y := moved x d t).
      transitivity (sumq (fun u => (if Pos.eqb v u then d u * (number (Pos.to_nat e) * product y (lowered v e m)) else 0)
        + qpower (y v) (Pos.to_nat e) * (d u * eval y (derivative_of_product u m))) l).
      * apply sumq_ext. intros u _. cbn [derivative_of_product]. rewrite eval_app, eval_cons.
        cbn [add rationals]. destruct (Pos.eqb v u); cbn; ring.
      * rewrite sumq_add, sumq_scale.
        rewrite (sumq_single v (fun u => d u * (number (Pos.to_nat e) * product y (lowered v e m)))) by trivial.
        assert (L : product y (lowered v e m) == qpower (y v) (pred (Pos.to_nat e)) * product y m).
        { destruct e as [e|e|]; cbn [lowered product]; [| |symmetry; apply Qmult_1_l].
          - replace (pred (Pos.to_nat e~1)) with (Pos.to_nat (Pos.pred e~1)) by (cbn -[Pos.to_nat]; lia). reflexivity.
          - replace (pred (Pos.to_nat e~0)) with (Pos.to_nat (Pos.pred e~0)) by lia. reflexivity. }
        rewrite L. change (x v + t * d v) with (y v). ring.
Qed.

Lemma smooth_eval l (x d : state) p : NoDup l -> within l p ->
  smooth (fun t => eval (moved x d t) p) (fun t => eval (moved x d t) (along l d p)).
Proof.
  intros N W. enough (S : smooth (fun t => eval (moved x d t) p)
    (fun t => sumq (fun u => d u * eval (moved x d t) (derivative u p)) l)).
  { apply smooth_ext with (1 := S); intros t; [reflexivity | apply eval_along]. }
  induction p as [|[c m] p IH].
  - apply smooth_ext with (1 := smooth_constant 0); intros t; [reflexivity|].
    transitivity (sumq (fun u => 0 * d u) l); [apply sumq_ext; intros; cbn; ring | rewrite sumq_scale; ring].
  - assert (Sm : smooth (fun t => product (moved x d t) m)
      (fun t => sumq (fun u => d u * eval (moved x d t) (derivative_of_product u m)) l)).
    { apply smooth_product; trivial. intros v e H. eapply W; [now left | exact H]. }
    assert (Sp := IH (fun c' m' v e H => W c' m' v e (or_intror H))).
    apply smooth_ext with
      (1 := smooth_add _ _ _ _ (smooth_mul _ _ _ _ (smooth_constant c) Sm) Sp); intros t; [reflexivity|].
    set (y := moved x d t).
    transitivity (sumq (fun u => c * (d u * eval y (derivative_of_product u m)) + d u * eval y (derivative u p)) l).
    + apply sumq_ext. intros u _. cbn [derivative flat_map]. rewrite eval_app, eval_scale. cbn [add mul scalar rationals].
      unfold derivative. ring.
    + rewrite sumq_add, sumq_scale. ring.
Qed.

Theorem still l (x d : state) p : NoDup l -> within l p -> (forall m, sorted m -> slope l d p m == 0) ->
  eval (fun v => x v + d v : rationals) p == eval x p.
Proof.
  intros N W Z. assert (C : forall t, eval (moved x d t) (along l d p) == 0).
  { intros t. apply (eval_zero (A := rationals)). intros m.
    destruct (monomial_eq_dec (normal m) m) as [M|M]; [|now apply coef_not_normal].
    assert (S : sorted m) by (rewrite <- M; apply sorted_normal).
    rewrite coef_along by trivial. now apply Z. }
  pose proof (slope_constant _ _ (smooth_eval l x d p N W) C) as E. cbn beta in E.
  transitivity (eval (moved x d 1) p); [| rewrite E];
    apply (eval_ext (A := rationals)); intros v; unfold moved; cbn; ring.
Qed.

Theorem direction l (d : state) p : NoDup l -> within l p ->
  (forall (x : state) t, eval (moved x d t) p == eval x p) -> forall m, sorted m -> slope l d p m == 0.
Proof.
  intros N W C m S. rewrite <- coef_along by trivial. apply vanishing. intros x.
  assert (E : eval (moved x d 0) (along l d p) == 0).
  { apply (constant_slope _ _ (smooth_eval l x d p N W)). intros t. rewrite !C. reflexivity. }
  rewrite <- E. apply (eval_ext (A := rationals)). intros v. change (x v == x v + 0 * d v)%Q. now rewrite Qmult_0_l, Qplus_0_r.
Qed.
