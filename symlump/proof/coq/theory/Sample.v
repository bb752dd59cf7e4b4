(* Symbols evaluated at a point, modulo a number.

   What is computed are residues: a value that has an inverse modulo m is not zero, so where all denominators have one
   there is a state of the system, and the residues are those of its values. Functions are those of Chance.v. *)

From Coq Require Import QArith List Lia Ring Setoid ZArith.
From Symlump Require Import Algebra Trie Polynomial Systems Lookup Residue Functions Chance.
Import ListNotations.

(* ------------------------------------------------------------------ Formulas, for numbers of any kind. *)

Section Formulas.
  Context {X : Type} (add mul : X -> X -> X) (number : Z -> X).

  Fixpoint raised_to (a : X) (n : nat) : X := match n with O => number 1 | S n => mul a (raised_to a n) end.
  Fixpoint product_at (z : positive -> X) (m : monomial) : X :=
    match m with [] => number 1 | (v, e) :: m => mul (raised_to (z v) (Pos.to_nat e)) (product_at z m) end.
  Fixpoint value_at (z : positive -> X) (p : list (X * monomial)) : X :=
    match p with [] => number 0 | (c, m) :: p => add (mul c (product_at z m)) (value_at z p) end.

  (* A product, and w times its derivatives; w times those of a polynomial by its variables. *)
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

  Fixpoint chained (z : positive -> X) (ws : list X) (u : list (list (X * monomial))) : list (X * positive) :=
    match ws, u with w :: ws, p :: u => slopes z w p ++ chained z ws u | _, _ => [] end.

  (* w times the derivative of symbol k, which is f of u, by the symbols in u; those by u are d. *)
  Definition symbol_slopes (z : positive -> X) (w : X) (k : positive) (f : function) (d : list X) (u : list (list (X * monomial))) :=
    match f with
    | Inverse => slopes z (mul w (mul (number (-1)) (mul (z k) (z k)))) (hd [] u)
    | _ => chained z (map (mul w) d) u
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
  Lemma R_chained x y ws ws' u v : (forall v, R (x v) (y v)) -> Forall2 R ws ws' -> Forall2 same_terms u v ->
    same_rows (chained mulX numberX x ws u) (chained mulY numberY y ws' v).
  Proof.
    intros H W S. revert ws ws' W. induction S as [|p q u v P _ IH]; intros ws ws' W; destruct W; cbn; try (constructor; fail).
    apply Forall2_app; [now apply R_slopes | now apply IH].
  Qed.
  Lemma R_symbol_slopes x y w w' k f d e u v : (forall v, R (x v) (y v)) -> R w w' -> Forall2 R d e -> Forall2 same_terms u v ->
    same_rows (symbol_slopes mulX numberX x w k f d u) (symbol_slopes mulY numberY y w' k f e v).
  Proof.
    intros H W E S. assert (D : Forall2 R (map (mulX w) d) (map (mulY w') e)) by (induction E; cbn; constructor; auto).
    destruct f; unfold symbol_slopes; try (apply R_chained; assumption).
    apply R_slopes; auto 10. destruct S; [constructor | assumption].
  Qed.
End Related.

(* ------------------------------------------------------------------ Numbers in an algebra. *)

Section Numbers.
  Context {A : algebra}.
  Add Ring ring_of_A : (ring_laws A) (setoid (eqv_equivalence A) (operations_respect_eqv A)).
  Open Scope algebra_scope.

  Definition number_of (n : Z) : A := scalar (inject_Z n).

  Lemma number_of_zero : number_of 0 == 0.
  Proof. exact scalar_zero. Qed.
  Lemma number_of_one : number_of 1 == 1.
  Proof. exact (scalar_one A). Qed.
End Numbers.

(* ------------------------------------------------------------------ Residues. *)

Definition residue_terms := list (Z * monomial).

Section Modulo.
  Variable m : Z.

  Definition add_mod (a b : Z) : Z := let c := (a + b)%Z in if Z.ltb c m then c else (c - m)%Z.
  Definition mul_mod (a b : Z) : Z := if Z.eqb a 1 then b else if Z.eqb b 1 then a else folded m (a * b).
  Definition number_mod (n : Z) : Z := if (Z.leb 0 n && Z.ltb n m)%bool then n else folded m n.

  Definition modular_terms (p : polynomial) : option residue_terms :=
    every (fun '(c, n) => option_map (fun z => (z, n)) (residue m c)) p.
  Definition modular_symbols (fs : symbols) : option (list (function * list residue_terms)) :=
    every (fun '(f, u) => option_map (fun l => (f, l)) (every modular_terms u)) fs.

  Definition value_mod : (positive -> Z) -> residue_terms -> Z := value_at add_mod mul_mod number_mod.

  Definition residues_at (z : positive -> Z) (u : list residue_terms) : list Z := map (fun p => (value_mod z p mod m)%Z) u.

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
        | _ => match value_of m chance f (residues_at (lookup 0%Z t) u) with
               | Some a => evaluated chance (Pos.succ k) fs (put k (number_mod a) t)
               | None => None
               end
        end
      else None
    end.

  Hypothesis m_large : (least <= m)%Z.
  Notation zero_mod := (zero_mod m).

  (* What it is for elements of an algebra to have residues, and functions that are determined by them. *)
  Record residues_in (A : algebra) := Residues {
    stands :> A -> Z -> Prop;
    stands_eq : forall (a b : A) y z, (a == b)%A -> zero_mod (y - z)%Z -> stands a y -> stands b z;
    stands_add : forall (a b : A) y z, stands a y -> stands b z -> stands (a + b)%A (y + z)%Z;
    stands_mul : forall (a b : A) y z, stands a y -> stands b z -> stands (a * b)%A (y * z)%Z;
    stands_scalar : forall q z, reduces m q z -> stands (scalar q) z;
    stands_inverse : forall (a : A) y e, stands a y -> zero_mod (y * e - 1)%Z ->
      exists b : A, (b * a == 1)%A /\ stands b e;
    sample : (positive -> Z) -> interpretation A;
    stands_sample : forall chance f u y, Forall2 stands u y ->
      forall a, value_of m chance f (map (fun z => (z mod m)%Z) y) = Some a -> stands (sample chance f u) a }.
  Arguments stands {_}. Arguments stands_eq {_}. Arguments stands_add {_}. Arguments stands_mul {_}.
  Arguments stands_scalar {_}. Arguments stands_inverse {_}. Arguments sample {_}. Arguments stands_sample {_}.

  Lemma zero_mod_folded a : zero_mod (a - folded m a)%Z.
  Proof.
    replace (a - folded m a)%Z with (- (folded m a - a))%Z by ring. apply zero_mod_opp, folded_mod, at_least_two, m_large.
  Qed.

  Definition residues_of_rationals : residues_in rationals.
  Proof.
    refine {| stands := reduces m : rationals -> Z -> Prop; sample := functions_of_rationals m m_large |}.
    - exact (reduces_eq m).
    - exact (reduces_add m).
    - exact (reduces_mul m).
    - intros q z H. exact H.
    - intros q y e H I. destruct (reduces_inverse m m_large q y e H I) as [N S].
      exists (/ q). split; [cbn; rewrite Qmult_comm; now apply Qmult_inv_r | exact S].
    - intros chance f u y H a. now apply reduces_value.
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
      split; [reflexivity|]. now apply (residue_reduces m (at_least_two m m_large)).
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
        forall j f u, nth_error fs j = Some (f, u) -> has_value (sample R chance) x' (Pos.of_succ_nat (n + j)) f u.
    Proof.
      intros H. induction H as [|[f u] [f' l] fs fm [E L] _ IH]; intros n t t' x Ev V; cbn [evaluated] in Ev.
      - injection Ev as <-. exists x. split; [reflexivity|]. split; [exact V|]. now intros [|j].
      - cbn [fst snd] in E, L. subst f'. set (k := Pos.of_succ_nat n) in *.
        destruct (forallb (before k) l) eqn:B; [|easy]. rewrite forallb_forall in B.
        assert (Step : forall a y, R a y -> evaluated chance (Pos.succ k) fm (put k y t) = Some t' ->
          (forall x', (forall v, (v < k)%positive -> x' v = x v) -> x' k = a -> has_value (sample R chance) x' k f u) ->
          exists x', (forall v, (v < k)%positive -> x' v = x v) /\ has_residues x' t' /\
            forall j g w, nth_error ((f, u) :: fs) j = Some (g, w) ->
              has_value (sample R chance) x' (Pos.of_succ_nat (n + j)) g w).
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
        assert (Other : f <> Inverse -> match value_of m chance f (residues_at (lookup 0%Z t) l) with
            | Some a => evaluated chance (Pos.succ k) fm (put k (number_mod a) t)
            | None => None end = Some t' ->
          exists x', (forall v, (v < k)%positive -> x' v = x v) /\ has_residues x' t' /\
            forall j g w, nth_error ((f, u) :: fs) j = Some (g, w) ->
              has_value (sample R chance) x' (Pos.of_succ_nat (n + j)) g w).
        { intros N E. destruct (value_of m chance f _) as [a|] eqn:Va; [|easy].
          apply (Step (sample R chance f (map (eval x) u))) with (2 := E).
          - assert (P : Forall2 R (map (eval x) u) (map (value_mod (lookup 0%Z t)) l)).
            { clear - L V m_large. induction L as [|p q u l P _ IHl]; cbn; constructor; [|exact IHl]. now apply stands_eval. }
            unfold residues_at in Va. rewrite <- (map_map (value_mod (lookup 0%Z t)) (fun z => (z mod m)%Z)) in Va.
            pose proof (stands_sample R chance f _ _ P a Va) as Q.
            apply (stands_eq R) with (3 := Q); [reflexivity|]. unfold number_mod.
            destruct (_ && _)%bool; [apply zero_mod_same | apply zero_mod_folded].
          - intros x' S Ek. enough (W : (x' k == sample R chance f (map (eval x') u))%A) by (destruct f; try exact W; easy).
            rewrite Ek. apply (apply_eq (sample R chance)). now apply Args. }
        destruct f; try (apply Other; [discriminate | exact Ev]).
        destruct (checked_inverse m _) as [e|] eqn:I; [|easy]. apply (checked_inverse_spec m (at_least_two m m_large)) in I.
        assert (D : R (eval x (hd [] u)) (value_mod (lookup 0%Z t) (hd [] l))).
        { destruct L as [|p q u l P _]; cbn [hd]; [|now apply stands_eval].
          apply (stands_eval x (lookup 0%Z t) [] [] V). constructor. }
        destruct (stands_inverse R _ _ _ D I) as (b & M & Sb). apply (Step b e Sb Ev). intros x' S Ek. cbn [has_value]. rewrite Ek, <- M. apply mul_proper; [reflexivity|].
        specialize (Args x' S). destruct u; [reflexivity|]. inversion Args. now symmetry.
    Qed.
  End Algebra.
End Modulo.
Arguments stands {_ _}. Arguments stands_eq {_ _}. Arguments sample {_ _}. Arguments stands_sample {_ _}.
