(* Finite maps from positive numbers, as binary trees: one step for each bit of a key. *)

From Coq Require Import List PArith PeanoNat Lia.

Inductive trie (X : Type) :=
| Empty
| Node (left : trie X) (here : option X) (right : trie X).
Arguments Empty {X}. Arguments Node {X}.

Section Trie.
  Context {X : Type}.

  Fixpoint get (k : positive) (t : trie X) {struct t} : option X :=
    match t with
    | Empty => None
    | Node l o r => match k with xH => o | xO k => get k l | xI k => get k r end
    end.

  (* Replace the value at a key by what f makes of it. *)
  Fixpoint update (f : option X -> X) (k : positive) (t : trie X) : trie X :=
    match t with
    | Empty => match k with
               | xH => Node Empty (Some (f None)) Empty
               | xO k => Node (update f k Empty) None Empty
               | xI k => Node Empty None (update f k Empty)
               end
    | Node l o r => match k with
                    | xH => Node l (Some (f o)) r
                    | xO k => Node (update f k l) o r
                    | xI k => Node l o (update f k r)
                    end
    end.

  Definition put (k : positive) (x : X) : trie X -> trie X := update (fun _ => x) k.

  Fixpoint for_all (p : X -> bool) (t : trie X) : bool :=
    match t with
    | Empty => true
    | Node l o r => match o with Some x => p x | None => true end && for_all p l && for_all p r
    end.

  (* All values, before others. *)
  Fixpoint values (t : trie X) (others : list X) : list X :=
    match t with
    | Empty => others
    | Node l o r => match o with Some x => cons x | None => fun list => list end (values l (values r others))
    end.

  Lemma get_update f k j t : get j (update f k t) = if Pos.eqb j k then Some (f (get k t)) else get j t.
  Proof.
    revert j t. induction k as [k IH|k IH|]; intros [j|j|] [|l o r]; cbn; trivial; apply IH.
  Qed.

  Lemma get_put x k j t : get j (put k x t) = if Pos.eqb j k then Some x else get j t.
  Proof. apply get_update. Qed.

  Lemma for_all_get p t k x : for_all p t = true -> get k t = Some x -> p x = true.
  Proof.
    revert k. induction t as [|l IHl o r IHr]; intros k H G; [discriminate|].
    cbn in H. apply andb_prop in H as [H Hr]. apply andb_prop in H as [Ho Hl].
    destruct k; cbn in G; [eauto | eauto | now subst o].
  Qed.
End Trie.

(* A list as a map from 1, 2, … *)
Fixpoint indexed {X : Type} (l : list X) (from : positive) (t : trie X) : trie X :=
  match l with nil => t | cons x l => indexed l (Pos.succ from) (put from x t) end.

Lemma get_indexed {X : Type} (l : list X) from t k :
  get k (indexed l from t) =
  match (k ?= from)%positive with
  | Lt => get k t
  | _ => match nth_error l (Pos.to_nat k - Pos.to_nat from) with Some x => Some x | None => get k t end
  end.
Proof.
  revert from t. induction l as [|x l IH]; intros from t; cbn [indexed].
  - destruct (k ?= from)%positive, (Pos.to_nat k - Pos.to_nat from); trivial.
  - rewrite IH, get_put. destruct (Pos.eqb_spec k from) as [->|D].
    + rewrite (proj2 (Pos.compare_lt_iff from _)) by lia.
      now rewrite Pos.compare_refl, Nat.sub_diag.
    + destruct (Pos.compare_spec k from) as [E|H|H]; [easy| |].
      * now rewrite (proj2 (Pos.compare_lt_iff k _)) by lia.
      * replace (Pos.to_nat k - Pos.to_nat from) with (S (Pos.to_nat k - Pos.to_nat (Pos.succ from))) by lia.
        destruct (Pos.compare_spec k (Pos.succ from)); [reflexivity | lia | reflexivity].
Qed.
