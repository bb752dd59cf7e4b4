(* Rows that keep what other rows keep, derived modulo a number.

   A row r is derived from another if it is the coefficient of a monomial in the gradient of r·q. Of each such row
   only its residues are computed, so numbers do not grow. *)

From Coq Require Import QArith List Lia ZArith.
From Symlump Require Import Algebra Trie Polynomial Vanishing Systems Lookup Compose Linear Forward Modular.
Import ListNotations.

(* Consecutive steps from one row: the number of that row, and the monomials. *)
Definition derivation_steps := list (positive * list monomial).

(* A polynomial modulo a number, by the keys of its monomials. *)
Definition modular_polynomial := list (Z * positive).

Section Modulo.
  Variable m : Z.

  Definition modular (p : polynomial) : option modular_polynomial :=
    every (fun '(c, n) => option_map (fun z => (z, key (normal n))) (residue m c)) p.

  Definition remainder (k : positive) (t : trie Z) : Z := lookup 0%Z t k.
  Definition gather_modular (w : Z) (p : modular_polynomial) (t : trie Z) : trie Z :=
    fold_left (fun t '(z, k) =>
      update (fun old => folded m (match old with Some y => y + w * z | None => w * z end)) k t) p t.
  Definition gather_residues (equations : trie modular_polynomial) (a : residues) (t : trie Z) : trie Z :=
    fold_left (fun t '(v, w) => gather_modular w (lookup (X := modular_polynomial) [] equations v) t) a t.

  Definition slope_modular (t : trie Z) (n : monomial) (u : positive) : Z :=
    match remainder (key (insert u xH n)) t with
    | Z0 => Z0
    | z => folded m (Zpos (N.succ_pos (degree_N n u)) * z)
    end.

  Definition coefficient_rows (variables : list positive) (equations : trie modular_polynomial) (a : residues)
    (ms : list monomial) : list residues :=
    let t := gather_residues equations a Empty in
    map (fun n =>
      let n := normal n in
      filter (fun '(_, z) => negb (Z.eqb z 0)) (map (fun u => (u, slope_modular t n u)) variables)) ms.

  Fixpoint derived (variables : list positive) (equations : trie modular_polynomial) (steps : derivation_steps)
    (found : trie residues) (next : positive) : list residues :=
    match steps with
    | [] => []
    | (parent, ms) :: steps =>
      let new := coefficient_rows variables equations (lookup (X := residues) [] found parent) ms in
      new ++ derived variables equations steps (indexed new next found) (Pos.of_nat (Pos.to_nat next + length new))
    end.

  (* [start] says with which observables the derivation begins. *)
  Definition derivation (s : system) (observables : list row) (start : list positive) (steps : derivation_steps)
    : option (list residues) :=
    match every modular s, every (residues_of m) (map (lookup (X := row) [] (to_map observables)) start) with
    | Some equations, Some first =>
      Some (first ++ derived (map fst (numbered s xH)) (to_map equations) steps (to_map first)
        (Pos.of_nat (S (length first))))
    | _, _ => None
    end.
End Modulo.

(* ------------------------------------------------------------------ What the vectors stand for. *)

Definition coefficient_row (s : system) (r : row) (n : monomial) : row :=
  map (fun u => (gradient (combined s r) n u, u)) (variables s).

Inductive derivable (s : system) (observables : list row) : row -> Prop :=
| observable r : In r observables -> derivable s observables r
| nothing : derivable s observables []
| coefficient r n : derivable s observables r -> sorted n -> derivable s observables (coefficient_row s r n).

Section Meaning.
  Variables (m : Z) (s : system) (observables : list row).
  Hypothesis m_large : (2 <= m)%Z.
  Notation zero_mod := (zero_mod m).

  Fixpoint coefficient_at (p : modular_polynomial) (k : positive) : Z :=
    match p with [] => 0 | (z, j) :: p => (if Pos.eqb k j then z else 0) + coefficient_at p k end%Z.

  Lemma remainder_modular w p t k :
    zero_mod (remainder k (gather_modular m w p t) - (remainder k t + w * coefficient_at p k)).
  Proof.
    revert t. induction p as [|[z j] p IH]; intros t; cbn [gather_modular fold_left coefficient_at]; [exists 0%Z; ring|].
    set (t' := update _ j t). specialize (IH t'). unfold gather_modular in IH.
    set (after := remainder k (fold_left _ p t')) in *.
    assert (H : zero_mod (remainder k t' - (remainder k t + w * (if Pos.eqb k j then z else 0)))).
    { unfold t', remainder, lookup. rewrite get_update. destruct (Pos.eqb_spec k j) as [->|_]; [|exists 0%Z; ring].
      destruct (get j t) as [y|].
      - apply (folded_mod m m_large).
      - rewrite Z.add_0_l. apply (folded_mod m m_large). }
    replace (after - _)%Z with ((after - (remainder k t' + w * coefficient_at p k)) +
      (remainder k t' - (remainder k t + w * (if Pos.eqb k j then z else 0))))%Z by ring.
    now apply zero_mod_add.
  Qed.

  Lemma remainder_residues equations a t k :
    zero_mod (remainder k (gather_residues m equations a t) -
      (remainder k t + dot (fun v => coefficient_at (lookup (X := modular_polynomial) [] equations v) k) a)).
  Proof.
    revert t. induction a as [|[v w] a IH]; intros t; cbn [gather_residues fold_left dot]; [exists 0%Z; ring|].
    set (t' := gather_modular m w _ t). specialize (IH t'). unfold gather_residues in IH.
    set (after := remainder k (fold_left _ a t')) in *. set (rest := dot _ a) in *.
    pose proof (remainder_modular w (lookup (X := modular_polynomial) [] equations v) t k) as H. fold t' in H.
    set (c := coefficient_at _ k) in *.
    replace (after - _)%Z with ((after - (remainder k t' + rest)) + (remainder k t' - (remainder k t + w * c)))%Z by ring.
    now apply zero_mod_add.
  Qed.

  Lemma modular_reduces p l n : modular m p = Some l -> reduces m (coef p n) (coefficient_at l (key n)).
  Proof.
    intros H. apply every_spec in H. induction H as [|[c k] [z j] p l E _ IH]; [exact (reduces_integer m 0)|].
    cbn [coef coefficient_at]. unfold option_map in E. destruct (residue m c) as [z'|] eqn:R; [|easy].
    injection E as -> <-. apply (residue_reduces m m_large) in R.
    destruct (monomial_eq_dec (normal k) n) as [<-|D].
    - rewrite Pos.eqb_refl. now apply reduces_add.
    - destruct (Pos.eqb_spec (key n) (key (normal k))) as [E|_]; [|exact IH]. apply key_injective in E. now destruct D.
  Qed.

  Lemma coef_combined r n : coef (combined s r) n == combination r (fun v => coef (equation s v) n : rationals).
  Proof.
    unfold combined. induction r as [|[w v] r IH]; [reflexivity|]. cbn [flat_map combination].
    rewrite coef_app, coef_scale, IH. reflexivity.
  Qed.

  Variable equations : list modular_polynomial.
  Hypothesis equations_modular : every (modular m) s = Some equations.

  Lemma equation_reduces v n :
    reduces m (coef (equation s v) n) (coefficient_at (lookup (X := modular_polynomial) [] (to_map equations) v) (key n)).
  Proof.
    rewrite lookup_to_map. unfold equation, item. pose proof (every_spec _ _ _ equations_modular) as F. clear equations_modular.
    generalize (pred (Pos.to_nat v)) as i. induction F as [|q e s' l E _ IH]; intros [|i];
      try exact (reduces_integer m 0).
    - now apply modular_reduces.
    - apply IH.
  Qed.

  Lemma slope_reduces r a n u : represents m r a ->
    reduces m (gradient (combined s r) n u) (slope_modular m (gather_residues m (to_map equations) a Empty) n u).
  Proof.
    intros R. unfold gradient. set (k := insert u xH n).
    set (t := gather_residues m (to_map equations) a Empty).
    assert (H : reduces m (number (S (degree n u)) * coef (combined s r) k)
      (Zpos (N.succ_pos (degree_N n u)) * remainder (key k) t)).
    { apply reduces_mul.
      - apply (reduces_eq m) with (3 := reduces_integer m (Zpos (N.succ_pos (degree_N n u)))); [|exists 0%Z; ring].
        unfold number. rewrite <- degree_N_spec, <- Nnat.N2Nat.inj_succ, N_nat_Z, <- N.succ_pos_spec. reflexivity.
      - set (y := fun v => coefficient_at (lookup (X := modular_polynomial) [] (to_map equations) v) (key k)).
        apply (reduces_eq m) with (q := combination r (fun v => coef (equation s v) k : rationals)) (z := dot y a).
        + symmetry. apply coef_combined.
        + pose proof (remainder_residues (to_map equations) a Empty (key k)) as Z. fold t in Z. fold y in Z.
          change (remainder (key k) Empty) with 0%Z in Z. rewrite Z.add_0_l in Z.
          apply zero_mod_opp in Z. replace (dot y a - remainder (key k) t)%Z with (- (remainder (key k) t - dot y a))%Z by ring.
          exact Z.
        + apply R. intros v. apply equation_reduces. }
    unfold slope_modular. fold k. destruct (remainder (key k) t); [|apply (reduces_folded m m_large); exact H ..].
    now rewrite Z.mul_0_r in H.
  Qed.

  Lemma coefficient_represents r a n : represents m r a ->
    represents m (coefficient_row s r n)
      (filter (fun '(_, z) => negb (Z.eqb z 0))
        (map (fun u => (u, slope_modular m (gather_residues m (to_map equations) a Empty) n u)) (variables s))).
  Proof.
    intros R x y H. unfold coefficient_row. induction (variables s) as [|u l IH]; [exact (reduces_integer m 0)|].
    cbn [map filter combination]. pose proof (slope_reduces r a n u R) as S.
    set (z := slope_modular m _ n u) in *.
    assert (E : reduces m (gradient (combined s r) n u * x u) (z * y u)) by now apply reduces_mul.
    destruct (Z.eqb_spec z 0) as [Z|_]; cbn [negb dot].
    - rewrite Z, Z.mul_0_l in E. exact (reduces_add m _ _ 0 _ E IH).
    - exact (reduces_add m _ _ _ _ E IH).
  Qed.

  Definition known (a : residues) : Prop := exists r, represents m r a /\ derivable s observables r.

  Lemma known_coefficients a ms a' : known a ->
    In a' (coefficient_rows m (map fst (numbered s xH)) (to_map equations) a ms) -> known a'.
  Proof.
    intros (r & R & D) I. unfold coefficient_rows in I. cbv zeta in I. apply in_map_iff in I as (n & <- & _).
    rewrite fst_numbered. exists (coefficient_row s r (normal n)). split; [now apply coefficient_represents|].
    apply coefficient; [exact D | apply sorted_normal].
  Qed.

  Lemma known_derived steps : forall found next, (forall k a, get k found = Some a -> known a) ->
    forall a, In a (derived m (map fst (numbered s xH)) (to_map equations) steps found next) -> known a.
  Proof.
    induction steps as [|[parent ms] steps IH]; intros found next F a; [easy|]. cbn [derived].
    assert (P : known (lookup (X := residues) [] found parent)).
    { unfold lookup. destruct (get parent found) as [q|] eqn:G; [now apply F with parent|].
      exists []. split; [apply represents_nothing | apply nothing]. }
    assert (New := fun q => known_coefficients _ ms q P).
    rewrite in_app_iff. intros [R|R]; [now apply New|]. eapply IH; [|exact R].
    intros k q. rewrite get_indexed. destruct (k ?= next)%positive; [| apply F |];
      (destruct (nth_error _ _) as [q'|] eqn:E;
       [intros G; injection G as <-; apply New; now apply nth_error_In in E | apply F]).
  Qed.
End Meaning.

Theorem derivation_known m s observables start steps vectors : (2 <= m)%Z ->
  derivation m s observables start steps = Some vectors -> forall a, In a vectors -> known m s observables a.
Proof.
  intros M. unfold derivation. destruct (every (modular m) s) as [equations|] eqn:E; [|easy].
  destruct (every (residues_of m) _) as [first|] eqn:F; [|easy]. intros [= <-] a.
  assert (First : forall q, In q first -> known m s observables q).
  { intros q Q. apply every_spec in F. clear - F Q M. remember (map _ start) as l eqn:L.
    assert (O : forall r, In r l -> derivable s observables r).
    { intros r R. subst l. apply in_map_iff in R as (k & <- & _). rewrite lookup_to_map.
      unfold item. destruct (nth_in_or_default (pred (Pos.to_nat k)) observables []) as [I|N].
      - now apply observable.
      - rewrite N. apply nothing. }
    clear L. induction F as [|r q' l first H _ IH]; [easy|]. destruct Q as [<-|Q].
    - exists r. split; [now apply residues_of_represents | apply O; now left].
    - apply IH; [exact Q|]. intros p P. apply O. now right. }
  rewrite in_app_iff. intros [R|R]; [now apply First|]. revert R. apply known_derived; trivial.
  intros k q. rewrite get_to_map. intros G. apply nth_error_In in G. now apply First.
Qed.
