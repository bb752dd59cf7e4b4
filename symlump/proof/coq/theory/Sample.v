(* Symbols evaluated at a point, modulo a number.

   The functions that are used there are simple ones which obey the facts: exp is a parabola, sin a cubic. Being
   polynomials they are there in every algebra. What is computed are residues: a value that has an inverse modulo m is not
   zero, so where all denominators have one there is a state of the system, and the residues are those of its values. *)

From Coq Require Import QArith List Lia Ring Setoid ZArith.
From Symlump Require Import Algebra Trie Polynomial Systems Lookup Residue Functions.
Import ListNotations.

(* ------------------------------------------------------------------ Formulas, for numbers of any kind. *)

Definition code (f : function) : positive :=
  match f with
  | Inverse => 1 | Exp => 2 | Log => 3 | Power => 4 | Abs => 5 | Sign => 6 | Sin => 7 | Cos => 8 | Tan => 9
  | Asin => 10 | Acos => 11 | Atan => 12 | Sinh => 13 | Cosh => 14 | Tanh => 15 | Asinh => 16 | Acosh => 17
  | Atanh => 18 | Named n => 18 + n
  end.

Section Formulas.
  Context {X : Type} (add mul : X -> X -> X) (number : Z -> X).

  Fixpoint raised_to (a : X) (n : nat) : X := match n with O => number 1 | S n => mul a (raised_to a n) end.
  Fixpoint product_at (z : positive -> X) (m : monomial) : X :=
    match m with [] => number 1 | (v, e) :: m => mul (raised_to (z v) (Pos.to_nat e)) (product_at z m) end.
  Fixpoint value_at (z : positive -> X) (p : list (X * monomial)) : X :=
    match p with [] => number 0 | (c, m) :: p => add (mul c (product_at z m)) (value_at z p) end.

  Variable chance : positive -> Z.

  (* Coefficients of a cubic polynomial. *)
  Definition shape (f : function) : Z * Z * Z * Z :=
    let a := chance (xO (code f)) in
    let b := chance (xI (code f)) in
    match f with
    | Cos | Cosh => (1, 0, a, 0)
    | Abs => (0, 0, a, 0)
    | Sin | Tan | Asin | Atan | Sinh | Tanh | Asinh | Atanh | Sign => (0, a, 0, b)
    | Log | Acos | Acosh => (0, a, - a, 0)
    | Exp | Inverse | Power | Named _ => (1, a, b, 0)
    end%Z.
  Definition cubic (c : Z * Z * Z * Z) (a : X) : X :=
    let '(p, q, r, s) := c in add (number p) (mul a (add (number q) (mul a (add (number r) (mul a (number s)))))).
  Fixpoint mixed (r : Z) (u : list X) : X :=
    match u with [] => number r | a :: u => add a (mul (number r) (mixed r u)) end.
  Definition less_one (a : X) : X := add a (number (-1)).
  Definition formula (f : function) (u : list X) : X :=
    let r := chance (code f) in
    match f with
    | Power => add (number 1) (mul (less_one (hd (number 0) u)) (mixed r (tl u)))
    | Named _ => cubic (shape f) (mixed r u)
    | _ => cubic (shape f) (hd (number 0) u)
    end.

  (* A product, and w times its derivatives; w times those of a polynomial by its variables, of a function by its arguments. *)
  Fixpoint product_slopes (z : positive -> X) (w : X) (m : monomial) : X * list (X * positive) :=
    match m with
    | [] => (number 1, [])
    | (v, e) :: m =>
      let below := raised_to (z v) (pred (Pos.to_nat e)) in
      let here := mul (z v) below in
      let (rest, l) := product_slopes z (mul w here) m in
      (mul here rest, (mul w (mul (number (Zpos e)) (mul below rest)), v) :: l)
    end.
  Definition slopes (z : positive -> X) (w : X) (p : list (X * monomial)) : list (X * positive) :=
    flat_map (fun '(c, m) => snd (product_slopes z (mul w c) m)) p.

  Definition cubic_slope (c : Z * Z * Z * Z) (a : X) : X :=
    let '(p, q, r, s) := c in add (number q) (mul a (add (number (2 * r)) (mul a (number (3 * s))))).
  Fixpoint mixed_slopes (r : Z) (w : X) (u : list X) : list X :=
    match u with [] => [] | _ :: u => w :: mixed_slopes r (mul w (number r)) u end.
  Definition partials (f : function) (w : X) (u : list X) : list X :=
    let r := chance (code f) in
    match f, u with
    | _, [] => []
    | Power, a :: u => mul w (mixed r u) :: mixed_slopes r (mul w (less_one a)) u
    | Named _, _ => mixed_slopes r (mul w (cubic_slope (shape f) (mixed r u))) u
    | _, a :: _ => [mul w (cubic_slope (shape f) a)]
    end.

  Fixpoint chained (z : positive -> X) (ws : list X) (u : list (list (X * monomial))) : list (X * positive) :=
    match ws, u with w :: ws, p :: u => slopes z w p ++ chained z ws u | _, _ => [] end.

  (* w times the derivative of symbol k, which is f of u, by the symbols in u. *)
  Definition symbol_slopes (z : positive -> X) (w : X) (k : positive) (f : function) (u : list (list (X * monomial))) :=
    match f with
    | Inverse => slopes z (mul w (mul (number (-1)) (mul (z k) (z k)))) (hd [] u)
    | _ => chained z (partials f w (map (value_at z) u)) u
    end.
End Formulas.

(* What holds of numbers of two kinds, and of sums and products, holds of what formulas make of them. *)
Section Related.
  Context {X Y : Type} (addX mulX : X -> X -> X) (numberX : Z -> X) (addY mulY : Y -> Y -> Y) (numberY : Z -> Y).
  Variable R : X -> Y -> Prop.
  Hypothesis R_add : forall a b c d, R a b -> R c d -> R (addX a c) (addY b d).
  Hypothesis R_mul : forall a b c d, R a b -> R c d -> R (mulX a c) (mulY b d).
  Hypothesis R_number : forall n, R (numberX n) (numberY n).

  Definition same_terms (p : list (X * monomial)) (q : list (Y * monomial)) : Prop :=
    Forall2 (fun a b => snd a = snd b /\ R (fst a) (fst b)) p q.
  Definition same_rows (p : list (X * positive)) (q : list (Y * positive)) : Prop :=
    Forall2 (fun a b => snd a = snd b /\ R (fst a) (fst b)) p q.

  Lemma R_raised a b n : R a b -> R (raised_to mulX numberX a n) (raised_to mulY numberY b n).
  Proof. intros H. induction n; cbn; auto. Qed.
  Lemma R_product x y m : (forall v, R (x v) (y v)) -> R (product_at mulX numberX x m) (product_at mulY numberY y m).
  Proof. intros H. induction m as [|[v e] m IH]; cbn; auto using R_raised. Qed.
  Lemma R_value x y p q : (forall v, R (x v) (y v)) -> same_terms p q ->
    R (value_at addX mulX numberX x p) (value_at addY mulY numberY y q).
  Proof.
    intros H S. induction S as [|[c m] [d n] p q [E C] _ IH]; cbn in *; [apply R_number|]. subst n. auto using R_product.
  Qed.
  Lemma R_cubic c a b : R a b -> R (cubic addX mulX numberX c a) (cubic addY mulY numberY c b).
  Proof. destruct c as [[[p q] r] s]. cbn. auto 10. Qed.
  Lemma R_mixed r u v : Forall2 R u v -> R (mixed addX mulX numberX r u) (mixed addY mulY numberY r v).
  Proof. intros H. induction H; cbn; auto. Qed.
  Lemma R_hd u v : Forall2 R u v -> R (hd (numberX 0) u) (hd (numberY 0) v).
  Proof. intros []; cbn; auto. Qed.
  Lemma R_tl u v : Forall2 R u v -> Forall2 R (tl u) (tl v).
  Proof. intros []; cbn; auto. Qed.
  Lemma R_formula chance f u v : Forall2 R u v ->
    R (formula addX mulX numberX chance f u) (formula addY mulY numberY chance f v).
  Proof.
    intros H. pose proof (R_hd _ _ H). pose proof (R_tl _ _ H).
    destruct f; unfold formula, less_one; auto using R_cubic, R_mixed.
  Qed.

  Lemma R_product_slopes x y w w' m : (forall v, R (x v) (y v)) -> R w w' ->
    R (fst (product_slopes mulX numberX x w m)) (fst (product_slopes mulY numberY y w' m)) /\
    same_rows (snd (product_slopes mulX numberX x w m)) (snd (product_slopes mulY numberY y w' m)).
  Proof.
    intros H. revert w w'. induction m as [|[v e] m IH]; intros w w' W; cbn [product_slopes].
    - split; [apply R_number | constructor].
    - set (a := raised_to mulX numberX (x v) _). set (b := raised_to mulY numberY (y v) _).
      assert (Below : R a b) by now apply R_raised. assert (Here : R (mulX (x v) a) (mulY (y v) b)) by auto.
      destruct (IH (mulX w (mulX (x v) a)) (mulY w' (mulY (y v) b))) as [F S]; [auto|].
      destruct (product_slopes mulX _ _ _ _) as [p l], (product_slopes mulY _ _ _ _) as [q k]. cbn [fst snd] in *.
      split; [auto|]. constructor; [cbn; auto 10 | exact S].
  Qed.
  Lemma R_slopes x y w w' p q : (forall v, R (x v) (y v)) -> R w w' -> same_terms p q ->
    same_rows (slopes mulX numberX x w p) (slopes mulY numberY y w' q).
  Proof.
    intros H W S. induction S as [|[c m] [d n] p q [E C] _ IH]; cbn in *; [constructor|]. subst n.
    apply Forall2_app; [|exact IH]. now apply R_product_slopes; [exact H | apply R_mul].
  Qed.
  Lemma R_mixed_slopes r w w' u v : R w w' -> Forall2 R u v ->
    Forall2 R (mixed_slopes mulX numberX r w u) (mixed_slopes mulY numberY r w' v).
  Proof. intros W H. revert w w' W. induction H; intros w w' W; cbn; constructor; auto. Qed.
  Lemma R_cubic_slope c a b : R a b -> R (cubic_slope addX mulX numberX c a) (cubic_slope addY mulY numberY c b).
  Proof. destruct c as [[[p q] r] s]. cbn [cubic_slope]. auto 10. Qed.
  Lemma R_partials chance f w w' u v : R w w' -> Forall2 R u v ->
    Forall2 R (partials addX mulX numberX chance f w u) (partials addY mulY numberY chance f w' v).
  Proof.
    intros W H. inversion H as [|a b u' v' A U]; subst; [destruct f; constructor|].
    destruct f; unfold partials; cbv zeta; try (constructor; [auto using R_cubic_slope | constructor]).
    - constructor; [auto using R_mixed|]. apply R_mixed_slopes; unfold less_one; auto.
    - apply R_mixed_slopes; [|exact H]. apply R_mul; [exact W|]. apply R_cubic_slope. now apply R_mixed.
  Qed.
  Lemma R_values x y u v : (forall v, R (x v) (y v)) -> Forall2 same_terms u v ->
    Forall2 R (map (value_at addX mulX numberX x) u) (map (value_at addY mulY numberY y) v).
  Proof. intros H S. induction S; cbn; constructor; auto using R_value. Qed.
  Lemma R_chained x y ws ws' u v : (forall v, R (x v) (y v)) -> Forall2 R ws ws' -> Forall2 same_terms u v ->
    same_rows (chained mulX numberX x ws u) (chained mulY numberY y ws' v).
  Proof.
    intros H W S. revert ws ws' W. induction S as [|p q u v P _ IH]; intros ws ws' W; destruct W; cbn; try (constructor; fail).
    apply Forall2_app; [now apply R_slopes | now apply IH].
  Qed.
  Lemma R_symbol_slopes chance x y w w' k f u v : (forall v, R (x v) (y v)) -> R w w' -> Forall2 same_terms u v ->
    same_rows (symbol_slopes addX mulX numberX chance x w k f u) (symbol_slopes addY mulY numberY chance y w' k f v).
  Proof.
    intros H W S. pose proof (R_values x y u v H S).
    destruct f; unfold symbol_slopes; try (apply R_chained; auto using R_partials).
    apply R_slopes; auto 10. destruct S; [constructor | assumption].
  Qed.
End Related.

(* ------------------------------------------------------------------ In an algebra they obey the facts. *)

Section Functions.
  Context {A : algebra}.
  Add Ring ring_of_A : (ring_laws A) (setoid (eqv_equivalence A) (operations_respect_eqv A)).
  Open Scope algebra_scope.

  Definition number_of (n : Z) : A := scalar (inject_Z n).
  Notation sample_function := (formula add mul number_of).

  Lemma number_of_zero : number_of 0 == 0.
  Proof. exact scalar_zero. Qed.
  Lemma number_of_one : number_of 1 == 1.
  Proof. exact (scalar_one A). Qed.
  Lemma number_of_add a b : number_of (a + b) == number_of a + number_of b.
  Proof. unfold number_of. now rewrite inject_Z_plus, scalar_add. Qed.
  Lemma number_of_opp a : number_of (- a) == opp (number_of a).
  Proof.
    assert (E : number_of a + number_of (- a) == 0) by (rewrite <- number_of_add, Z.add_opp_diag_r; apply number_of_zero).
    transitivity (opp (number_of a) + (number_of a + number_of (- a))); [ring | rewrite E; ring].
  Qed.
  Lemma number_of_minus_one : number_of (-1) == opp 1.
  Proof. rewrite <- number_of_one. exact (number_of_opp 1). Qed.

  Definition sample (chance : positive -> Z) : interpretation A.
  Proof.
    refine {| apply := sample_function chance |}.
    - intros f u v H. apply (R_formula add mul number_of add mul number_of eqv); trivial.
      + intros a b c d E F. now rewrite E, F.
      + intros a b c d E F. now rewrite E, F.
      + reflexivity.
    - intros f c. change (@scalar A 1) with (number_of 1). destruct f; cbn; intros H; try discriminate; injection H as <-;
        change (@scalar A 1) with (number_of 1); change (@scalar A 0) with (number_of 0); rewrite ?number_of_zero; ring.
    - intros f c. destruct f; cbn; intros H; try discriminate; injection H as <-;
        change (@scalar A 0) with (number_of 0); rewrite ?number_of_opp, ?number_of_zero; ring.
    - intros f c u. destruct f; cbn; intros H; try discriminate; injection H as <-;
        change (@scalar A 1) with (number_of 1); change (@scalar A (-1)) with (number_of (-1));
        rewrite ?number_of_minus_one, ?number_of_one, ?number_of_zero; ring.
    - intros u. cbn. unfold less_one. rewrite number_of_minus_one, number_of_one. ring.
  Defined.
End Functions.

(* ------------------------------------------------------------------ Residues. *)

Definition residue_terms := list (Z * monomial).

Section Modulo.
  Variable m : Z.

  Definition add_mod (a b : Z) : Z := let c := (a + b)%Z in if Z.ltb c m then c else (c - m)%Z.
  Definition mul_mod (a b : Z) : Z := if Z.eqb a 1 then b else if Z.eqb b 1 then a else folded m (a * b).
  Definition number_mod (n : Z) : Z := if (Z.leb 0 n && Z.ltb n m)%bool then n else folded m n.

  (* Numbers that look random; which they are does not matter. *)
  Definition draw (seed k : positive) : Z :=
    (let x := folded m (Zpos k * 1000003 + Zpos seed * 7919 + 12345) in
    let y := folded m (x * x + Zpos seed * 104729) in
    folded m (y * y + x))%Z.

  Definition modular_terms (p : polynomial) : option residue_terms :=
    every (fun '(c, n) => option_map (fun z => (z, n)) (residue m c)) p.
  Definition modular_symbols (fs : symbols) : option (list (function * list residue_terms)) :=
    every (fun '(f, u) => option_map (fun l => (f, l)) (every modular_terms u)) fs.

  Definition value_mod : (positive -> Z) -> residue_terms -> Z := value_at add_mod mul_mod number_mod.

  Definition before (k : positive) (p : residue_terms) : bool :=
    forallb (fun '(_, n) => forallb (fun '(v, _) => Pos.ltb v k) n) p.

  (* The values of symbols k, k + 1, …, each put beside those before it; none where a denominator has no inverse. *)
  Fixpoint evaluated (chance : positive -> Z) (k : positive) (fs : list (function * list residue_terms)) (t : trie Z)
    : option (trie Z) :=
    match fs with
    | [] => Some t
    | (f, u) :: fs =>
      if forallb (before k) u then
        match f with
        | Inverse => match checked_inverse m (value_mod (lookup 0%Z t) (hd [] u)) with
                     | Some b => evaluated chance (Pos.succ k) fs (put k b t)
                     | None => None
                     end
        | _ => evaluated chance (Pos.succ k) fs
          (put k (formula add_mod mul_mod number_mod chance f (map (value_mod (lookup 0%Z t)) u)) t)
        end
      else None
    end.

  Hypothesis m_large : (2 <= m)%Z.
  Notation zero_mod := (zero_mod m).

  (* What it is for elements of an algebra to have residues. *)
  Record residues_in (A : algebra) := Residues {
    stands :> A -> Z -> Prop;
    stands_eq : forall (a b : A) y z, (a == b)%A -> zero_mod (y - z)%Z -> stands a y -> stands b z;
    stands_add : forall (a b : A) y z, stands a y -> stands b z -> stands (a + b)%A (y + z)%Z;
    stands_mul : forall (a b : A) y z, stands a y -> stands b z -> stands (a * b)%A (y * z)%Z;
    stands_scalar : forall q z, reduces m q z -> stands (scalar q) z;
    stands_inverse : forall (a : A) y e, stands a y -> zero_mod (y * e - 1)%Z ->
      exists b : A, (b * a == 1)%A /\ stands b e }.
  Arguments stands {_}. Arguments stands_eq {_}. Arguments stands_add {_}. Arguments stands_mul {_}.
  Arguments stands_scalar {_}. Arguments stands_inverse {_}.

  Lemma zero_mod_same a : zero_mod (a - a)%Z.
  Proof. exists 0%Z. ring. Qed.
  Lemma zero_mod_folded a : zero_mod (a - folded m a)%Z.
  Proof.
    replace (a - folded m a)%Z with (- (folded m a - a))%Z by ring. apply zero_mod_opp, folded_mod, m_large.
  Qed.

  Definition residues_of_rationals : residues_in rationals.
  Proof.
    refine {| stands := reduces m : rationals -> Z -> Prop |}.
    - exact (reduces_eq m).
    - exact (reduces_add m).
    - exact (reduces_mul m).
    - intros q z H. exact H.
    - intros q y e (d & n & [f F] & E & N) I.
      assert (U : zero_mod (n * (e * f) - 1)%Z).
      { replace (n * (e * f) - 1)%Z with (- (e * f) * (d * y - n) + (d * f * (y * e - 1) + (d * f - 1)))%Z by ring.
        apply zero_mod_add; [now apply zero_mod_mul|]. apply zero_mod_add; [now apply zero_mod_mul | exact F]. }
      assert (NZ : ~ q == 0).
      { intros Z. rewrite Z, Qmult_0_r in E. assert (n = 0%Z) as -> by (apply inject_Z_injective; symmetry; exact E).
        destruct U as [k K]. assert (k = 0 \/ k <= -1 \/ 1 <= k)%Z by lia. nia. }
      exists (/ q). split; [cbn; rewrite Qmult_comm; now apply Qmult_inv_r|].
      exists n, d. split; [now exists (e * f)%Z|]. split; [rewrite <- E; now field|].
      replace (n * e - d)%Z with (- e * (d * y - n) + d * (y * e - 1))%Z by ring. apply zero_mod_add; now apply zero_mod_mul.
  Defined.

  Section Algebra.
    Context {A : algebra} (R : residues_in A).
    Add Ring ring_of_A'' : (ring_laws A) (setoid (eqv_equivalence A) (operations_respect_eqv A)).

    Lemma stands_add_mod (a b : A) y z : R a y -> R b z -> R (a + b)%A (add_mod y z).
    Proof.
      intros H K. apply (stands_eq R) with (3 := stands_add R _ _ _ _ H K); [reflexivity|]. unfold add_mod. cbv zeta.
      destruct (Z.ltb _ m); [apply zero_mod_same | exists 1%Z; ring].
    Qed.
    Lemma stands_mul_mod (a b : A) y z : R a y -> R b z -> R (a * b)%A (mul_mod y z).
    Proof.
      intros H K. apply (stands_eq R) with (3 := stands_mul R _ _ _ _ H K); [reflexivity|]. unfold mul_mod.
      destruct (Z.eqb_spec y 1) as [->|]; [rewrite Z.mul_1_l; apply zero_mod_same|].
      destruct (Z.eqb_spec z 1) as [->|]; [rewrite Z.mul_1_r; apply zero_mod_same | apply zero_mod_folded].
    Qed.
    Lemma stands_number n : R (number_of n) (number_mod n).
    Proof.
      apply (stands_eq R) with (3 := stands_scalar R _ _ (reduces_integer m n)); [reflexivity|]. unfold number_mod.
      destruct (_ && _)%bool; [apply zero_mod_same | apply zero_mod_folded].
    Qed.

    Definition modular_of (p : polynomial) (l : residue_terms) : Prop := same_terms (reduces m) p l.
    Lemma modular_terms_of p l : modular_terms p = Some l -> modular_of p l.
    Proof.
      intros H. apply every_spec in H. induction H as [|[c n] [z k] p l E _ IH]; constructor; [|exact IH].
      unfold option_map in E. destruct (residue m c) as [y|] eqn:Y; [|easy]. injection E as -> <-.
      split; [reflexivity|]. now apply residue_reduces.
    Qed.

    Lemma stands_eval (x : positive -> A) z p l : (forall v, R (x v) (z v)) -> modular_of p l ->
      R (eval x p) (value_mod z l).
    Proof.
      intros H S. unfold value_mod.
      assert (P : forall n, R (product x n) (product_at mul_mod number_mod z n)).
      { assert (One : R (1%A : A) (number_mod 1)).
        { apply (stands_eq R) with (3 := stands_number 1); [apply number_of_one | apply zero_mod_same]. }
        induction n as [|[v e] n IH]; cbn; [exact One|]. apply stands_mul_mod; [|exact IH].
        induction (Pos.to_nat e) as [|k IHk]; cbn; [exact One | now apply stands_mul_mod]. }
      induction S as [|[c n] [d k] p l [E C] _ IH]; cbn in *.
      - apply (stands_eq R) with (3 := stands_number 0); [apply number_of_zero | apply zero_mod_same].
      - subst k. apply stands_add_mod; [|exact IH]. apply stands_mul_mod; [now apply stands_scalar | apply P].
    Qed.

    Lemma eval_before (x y : positive -> A) k p l : modular_of p l -> before k l = true ->
      (forall v, (v < k)%positive -> (x v == y v)%A) -> (eval x p == eval y p)%A.
    Proof.
      intros S B E. induction S as [|[c n] [d j] p l [F _] _ IH]; [reflexivity|]. cbn in F. subst j.
      cbn [before forallb] in B. apply andb_prop in B as [Bn B]. cbn [eval].
      apply add_proper; [|now apply IH]. apply mul_proper; [reflexivity|]. clear - Bn E.
      induction n as [|[v e] n IH]; [reflexivity|]. cbn [forallb product] in *. apply andb_prop in Bn as [V Bn].
      apply Pos.ltb_lt in V. apply mul_proper; [|now apply IH]. apply power_proper; [now apply E | reflexivity].
    Qed.

    Definition modular_symbol (a : function * list polynomial) (b : function * list residue_terms) : Prop :=
      fst a = fst b /\ Forall2 modular_of (snd a) (snd b).
    Lemma modular_symbols_of fs fm : modular_symbols fs = Some fm -> Forall2 modular_symbol fs fm.
    Proof.
      intros H. apply every_spec in H. induction H as [|[f u] [f' l] fs fm E _ IH]; constructor; [|exact IH].
      unfold option_map in E. destruct (every modular_terms u) as [k|] eqn:K; [|easy]. injection E as -> <-.
      split; [reflexivity|]. apply every_spec in K. cbn. induction K; constructor; auto using modular_terms_of.
    Qed.

    Definition has_residues (x : positive -> A) (t : trie Z) : Prop := forall v, R (x v) (lookup 0%Z t v).

    Lemma has_residues_put x t k a y : has_residues x t -> R a y ->
      has_residues (fun v => if Pos.eqb v k then a else x v) (put k y t).
    Proof. intros H S v. unfold lookup. rewrite get_put. destruct (Pos.eqb v k); [exact S | apply H]. Qed.

    (* Where the residues of all symbols are found there are such symbols. *)
    Theorem evaluated_state chance fs fm : Forall2 modular_symbol fs fm -> forall n t t' x,
      evaluated chance (Pos.of_succ_nat n) fm t = Some t' -> has_residues x t ->
      exists x', (forall v, (v < Pos.of_succ_nat n)%positive -> x' v = x v) /\ has_residues x' t' /\
        forall j f u, nth_error fs j = Some (f, u) -> has_value (sample chance) x' (Pos.of_succ_nat (n + j)) f u.
    Proof.
      intros H. induction H as [|[f u] [f' l] fs fm [E L] _ IH]; intros n t t' x Ev V; cbn [evaluated] in Ev.
      - injection Ev as <-. exists x. split; [reflexivity|]. split; [exact V|]. now intros [|j].
      - cbn [fst snd] in E, L. subst f'. set (k := Pos.of_succ_nat n) in *.
        destruct (forallb (before k) l) eqn:B; [|easy]. rewrite forallb_forall in B.
        assert (Step : forall a y, R a y -> evaluated chance (Pos.succ k) fm (put k y t) = Some t' ->
          (forall x', (forall v, (v < k)%positive -> x' v = x v) -> x' k = a -> has_value (sample chance) x' k f u) ->
          exists x', (forall v, (v < k)%positive -> x' v = x v) /\ has_residues x' t' /\
            forall j g w, nth_error ((f, u) :: fs) j = Some (g, w) ->
              has_value (sample chance) x' (Pos.of_succ_nat (n + j)) g w).
        { intros a y A' E K. change (Pos.succ k) with (Pos.of_succ_nat (Datatypes.S n)) in E.
          destruct (IH _ _ _ _ E (has_residues_put x t k a y V A')) as (x' & Same & T & W). exists x'.
          assert (Below : forall v, (v < k)%positive -> x' v = x v).
          { intros v P. rewrite Same by (unfold k in P; lia). destruct (Pos.eqb_spec v k) as [->|]; [lia | reflexivity]. }
          split; [exact Below|]. split; [exact T|]. intros [|j] g w J.
          - injection J as <- <-. rewrite Nat.add_0_r. apply K; [exact Below|]. rewrite Same by (unfold k; lia).
            now rewrite Pos.eqb_refl.
          - replace (n + Datatypes.S j)%nat with (Datatypes.S n + j)%nat by lia. now apply W. }
        assert (Args : forall x', (forall v, (v < k)%positive -> x' v = x v) -> Forall2 eqv (map (eval x) u) (map (eval x') u)).
        { intros x' S. clear - L B S. induction L as [|p q u l P _ IHl]; cbn; constructor.
          - apply eval_before with k q; [exact P | apply B; now left|]. intros v W. now rewrite S.
          - apply IHl. intros. apply B. now right. }
        assert (Other : f <> Inverse -> evaluated chance (Pos.succ k) fm
            (put k (formula add_mod mul_mod number_mod chance f (map (value_mod (lookup 0%Z t)) l)) t) = Some t' ->
          exists x', (forall v, (v < k)%positive -> x' v = x v) /\ has_residues x' t' /\
            forall j g w, nth_error ((f, u) :: fs) j = Some (g, w) ->
              has_value (sample chance) x' (Pos.of_succ_nat (n + j)) g w).
        { intros N E. apply (Step (sample chance f (map (eval x) u))) with (2 := E).
          - apply (R_formula add mul number_of add_mod mul_mod number_mod R);
              [intros; now apply stands_add_mod | intros; now apply stands_mul_mod | exact stands_number |].
            clear - L V m_large. induction L as [|p q u l P _ IHl]; cbn; constructor; [|exact IHl]. now apply stands_eval.
          - intros x' S Ek. enough (W : (x' k == sample chance f (map (eval x') u))%A) by (destruct f; try exact W; easy).
            rewrite Ek. apply (apply_eq (sample chance)). now apply Args. }
        destruct f; try (apply Other; [discriminate | exact Ev]).
        destruct (checked_inverse m _) as [e|] eqn:I; [|easy]. apply (checked_inverse_spec m m_large) in I.
        assert (D : R (eval x (hd [] u)) (value_mod (lookup 0%Z t) (hd [] l))).
        { destruct L as [|p q u l P _]; cbn [hd]; [|now apply stands_eval].
          apply (stands_eval x (lookup 0%Z t) [] [] V). constructor. }
        destruct (stands_inverse R _ _ _ D I) as (b & M & Sb). apply (Step b e Sb Ev). intros x' S Ek. cbn [has_value]. rewrite Ek, <- M. apply mul_proper; [reflexivity|].
        specialize (Args x' S). destruct u; [reflexivity|]. inversion Args. now symmetry.
    Qed.
  End Algebra.
End Modulo.
Arguments stands {_ _}. Arguments stands_eq {_ _}.
