"""Certificates for Coq: true ones are proved by computation, from no axioms; false ones are not."""

import copy
import re
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from proof.claims import EXAMPLES, FUNCTION_EXAMPLES

import symlump as sl
from symlump.cli.main import main
from symlump.errors import MissingProgramError
from symlump.proof.check import Rejected, read_claim
from symlump.proof.coq import development
from symlump.proof.coq.numbers import number_claim
from symlump.proof.coq.script import script

needs_coq = pytest.mark.skipif(
    shutil.which("coqc") is None, reason="coqc is not installed, so nothing checks the Coq files"
)
SPECIFICATION = Path(__file__).parents[2] / "docs" / "look-up" / "certificates.md"


ALL = EXAMPLES | FUNCTION_EXAMPLES


IMPORT = "From Symlump Require Import Certificate.\n"


def together(texts):
    """Several files as one, which loads the libraries once."""
    bodies = [text.replace(IMPORT, "") for text in texts]
    modules = [f"Module m{n}.\n{body}\nEnd m{n}." for n, body in enumerate(bodies)]
    return IMPORT + "\n".join(modules)


@pytest.mark.slow
@needs_coq
def test_coqc_computes_the_proofs_of_true_claims():
    texts = [make().to_coq() for make in ALL.values()] + [map_of(*given) for given in MAPS]
    accepted, said = development.coqc(together(texts))
    assert accepted, said
    assert said.split("\n")[:-1] == ["Closed under the global context"] * len(texts)  # no axioms


#: A system, and what is done with it, as a map.
MAPS = [
    (text, method)
    for text, observable in (
        ("x1+ = -3*x1 + x3; x2+ = -3*x2 + x3; x3+ = x1 + x2 - 2*x3", "x3"),
        ("x+ = -x/(1 + x + y)*exp(-t); y+ = -y/(1 + x + y)*exp(-t)", "x + y"),
    )
    for method in (sl.Forward(), sl.Backward(), sl.Constrained([observable]))
]


def map_of(text, method):
    return sl.lump(sl.ODE.from_text(text), method).certificate().to_coq()


@pytest.mark.parametrize(("text", "method"), MAPS)
def test_a_map_has_trajectories_and_a_differential_equation_solutions(text, method):
    """The lumping is the same identity; what follows from it is not."""
    of_map = map_of(text, method)
    of_equation = map_of(text.replace("+ =", "' ="), method)
    assert "moves N" in of_map and "solves D" in of_equation
    said = " The system is a map: its equations say next values."
    assert of_map.count(said) == 1 and said not in of_equation
    first, second = (t.split("\nTheorem ") for t in (of_map.replace(said, ""), of_equation))
    assert first[:2] == second[:2] and len(first) == len(second) == 3
    assert first[2].startswith("trajectories : ") and "_trajectories" in first[2]
    assert second[2].startswith("solutions : ") and "_solutions" in second[2]
    assert first[2].endswith("Print Assumptions trajectories.\n")


@needs_coq
def test_trajectories_step_by_step():
    """The statements of the specification, about sequences with values in any algebra."""
    text = """From Symlump Require Import Certificate.
Check (forward_steps : forall s P g, forward_lumping s P g -> forall (A : algebra) (x : positive -> A) n b,
  (total s P (after s x n) b == after g (total s P x) n b)%A).
Goal forall s P g, forward_lumping s P g -> forall (A : algebra) (x : nat -> positive -> A),
  (forall n v, In v (variables s) -> (x (S n) v == field s (x n) v)%A) ->
  forall n b, In b (variables g) -> (total s P (x (S n)) b == field g (total s P (x n)) b)%A.
Proof.
  intros s P g H A x M n b B. rewrite <- (proj2 H A (x n) b B). unfold total. apply sum_over_ext.
  intros v V. destruct (Pos.eqb (P v) b); [now apply M | reflexivity].
Qed.
Print Assumptions moves_steps."""
    accepted, said = development.coqc(text)
    assert accepted and "Closed under the global context" in said, said


def raise_coefficient(data, where):
    polynomial = next(p for p in data[where].values() if p)
    polynomial[0][0] = str(Fraction(polynomial[0][0]) + Fraction(1, 10**9))


def swap_members(data):
    (a, one), (b, two) = list(data["blocks"].items())[:2]
    data["blocks"] |= {a: [*one[1:], two[0]], b: [one[0], *two[1:]]}


def forget_a_step(data):
    data["closure"]["steps"].pop()


def raise_coefficient_inside(data):
    """In an argument of a function of the quotient."""
    terms = next(u[0] for _, u in data["quotient_functions"].values() if u)
    terms[0][0] = str(Fraction(terms[0][0]) + 1)


def take_another_function(data):
    name = next(name for name, (f, _) in data["functions"].items() if f in ("exp", "sin"))
    data["functions"][name][0] = "tanh"


LIES = {
    "a coefficient inside": raise_coefficient_inside,
    "another function": take_another_function,
    "a coefficient of the quotient": lambda d: raise_coefficient(d, "quotient"),
    "a coefficient of the system": lambda d: raise_coefficient(d, "system"),
    "other blocks": swap_members,
    "the other kind": lambda d: d.update(kind="forward", maximality=[]),
    "no record": lambda d: d.update(maximality=[]),
    "too coarse an initial partition": lambda d: d.update(
        initial=[list(d["system"])[:1], list(d["system"])[1:]]
    ),
    "a step less": forget_a_step,
}


TOLD = [
    ("a coefficient of the quotient", "e2"),
    ("a coefficient of the system", "e3"),
    ("a coefficient of the quotient", "e5"),
    ("other blocks", "e4"),
    ("the other kind", "e3"),
    ("no record", "e1"),
    ("too coarse an initial partition", "e1"),
    ("a step less", "e5"),
    ("a coefficient of the quotient", "cascade"),
    ("a coefficient of the system", "hill"),
    ("a coefficient inside", "linear"),
    ("another function", "pendulums"),
    ("another function", "linear"),
    ("a step less", "cascade, smallest"),
    ("other blocks", "epidemic"),
    ("too coarse an initial partition", "hill, backward"),
]


@needs_coq
def test_coqc_refuses_what_is_false_or_not_shown():
    claims = []
    for lie, name in TOLD:
        data = copy.deepcopy(ALL[name]().data)
        del data["digest"]
        LIES[lie](data)
        claims.append(number_claim(read_claim(data)))
    hill = number_claim(read_claim(FUNCTION_EXAMPLES["hill"]().data))
    for change in ({"points": []}, {"rounds": []}, {"hints": []}, {"quotient_hints": []}):
        claims.append(replace(hill, symbols=replace(hill.symbols, **change)))
    alone = [re.split(r"\nTheorem (?:solutions|trajectories)", script(c))[0] for c in claims]
    texts = [text.replace("reflexivity. Qed", "Fail reflexivity. Abort") for text in alone]
    assert all(text.count("Fail reflexivity. Abort") == 1 for text in texts)
    done, said = development.coqc(together(texts))
    assert done, said  # `Fail` is an error where the proof goes through


def refuses(claim):
    accepted, said = development.coqc(script(claim))
    assert not accepted and 'Unable to unify "true" with "false"' in said


@needs_coq
def test_a_denominator_that_is_always_zero_makes_no_claim_true():
    """Nothing is claimed where nothing is defined, so a claim says that it is somewhere."""
    x, f = [["1", [["x", 1]]]], [["1", [["f", 1]]]]
    data = {"format": "symlump certificate", "version": 3, "kind": "forward", "system": {"x": f}}
    data |= {"functions": {"f": ["inverse", [x]]}, "blocks": {"x": ["x"]}, "quotient": {"x": x}}
    claim = number_claim(read_claim(data | {"quotient_functions": {}}))
    always_zero = [("inverse", [[(Fraction(1), ((1, 1),)), (Fraction(-1), ((1, 1),))]])]
    refuses(claim)
    refuses(replace(claim, symbols=replace(claim.symbols, system=always_zero)))
    with pytest.raises(Rejected, match="a denominator is 0"):
        number_claim(read_claim(data | {"functions": {"f": ["inverse", [[]]]}}))


def named_in_the_specification():
    """Names of Coq in the section on Coq: the first word of what stands in code."""
    text = SPECIFICATION.read_text()
    section = text[text.index("## In Coq") : text.index("## Smallest")]
    return sorted(set(re.findall(r"`([a-z]+(?:_[a-z]+)*)(?=[` ])[^`\n]*`", section)))


#: What else stands in code there: programs, tactics, words of the file.
NO_COQ = {"symlump", "coqc", "lra", "ring", "evaluations"}


def test_every_name_in_the_specification_is_there():
    sources = "".join((development.SOURCES / name).read_text() for name in development.THEORY)
    stated = set(
        re.findall(r"\b(?:Lemma|Theorem|Definition|Fixpoint|Record|Notation) (\w+)", sources)
    )
    assert set(named_in_the_specification()) - NO_COQ <= stated


@needs_coq
def test_every_theorem_that_the_specification_names_is_closed():
    sources = "".join((development.SOURCES / name).read_text() for name in development.THEORY)
    proved = set(re.findall(r"\b(?:Lemma|Theorem) (\w+)", sources))
    names = sorted(proved.intersection(named_in_the_specification()))
    assert len(names) >= 41
    text = f"""From Symlump Require Import Certificate Vanishing Chance Jets Slopes.
Definition all_of_them := ({", ".join("@" + name for name in names)}).
Print Assumptions all_of_them."""
    accepted, said = development.coqc(text)
    assert accepted, said
    assert said.strip() == "Closed under the global context"


@needs_coq
def test_definitions_in_the_specification_are_those_of_the_development():
    sources = " ".join((development.SOURCES / name).read_text() for name in development.THEORY)
    plain = " ".join(sources.split())
    section = SPECIFICATION.read_text()
    blocks = re.findall(r"```coq\n(.*?)```", section, re.S)
    assert blocks
    for block in blocks:
        for statement in filter(None, map(str.strip, block.split("\n\n"))):
            assert " ".join(statement.split()) in plain, statement


def test_every_source_is_compiled_and_none_admits_anything():
    assert {path.name for path in development.SOURCES.glob("*.v")} == {
        *development.THEORY,
        "Extract.v",
    }
    for path in development.SOURCES.glob("*.v"):
        assert not re.search(
            r"\b(Admitted|admit|Axiom|Parameter|Conjecture)\b", path.read_text()
        ), path


def test_the_text_is_linear_in_the_claim():
    def chain(n):
        system = {f"v{i}": [["-1", [[f"v{i}", 1]]], ["2", [["v0", 1]]]] for i in range(n)}
        data = {"format": "symlump certificate", "version": 1, "kind": "backward", "system": system}
        data |= {"blocks": {name: [name] for name in system}, "quotient": system}
        return script(number_claim(read_claim(data)))

    assert len(chain(2000)) < 12 * len(chain(200))


def test_names_end_no_comment_and_equal_claims_give_equal_texts():
    names = ["*)", "(*", '"', '"*) Qed. Axiom bad : False. (*', "α", "\n", ""]
    system = {name: [["1", [[name, 1]]]] for name in names}
    data = {"format": "symlump certificate", "version": 1, "kind": "backward", "system": system}
    data |= {"blocks": {name: [name] for name in names}, "quotient": system}
    text = script(number_claim(read_claim(data)))
    assert text == script(number_claim(read_claim(copy.deepcopy(data))))
    assert "Axiom bad : False. (*" not in text and '"' not in text
    assert text.count("(*") == text.count("*)") and text.count("\n\n\n") == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"blocks": {"y1": ["x1", "x2"], "x3": ["x3", "x1"]}}, "twice"),
        ({"blocks": {"y1": ["x1"], "x3": ["x3"]}}, "not every variable"),
        ({"blocks": {"y1": ["x1", "x2", "x3"], "x3": []}}, "empty"),
        ({"quotient": {"y1": []}}, "one equation per block"),
    ],
)
def test_what_is_no_partition_is_not_numbered(change, says):
    data = {
        key: value
        for key, value in EXAMPLES["e1"]().data.items()
        if key not in ("initial", "maximality")
    }
    with pytest.raises(Rejected, match=says):
        number_claim(read_claim(data | change))


def test_without_coq_the_message_names_the_package(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingProgramError, match="package coq"):
        development.coqc("")
    with pytest.raises(MissingProgramError, match="package coq"):
        EXAMPLES["e1"]().check_verified()


def test_without_coq_a_file_is_written_and_the_way_to_compile_it_said(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("PATH", "")
    EXAMPLES["e1"]().write(tmp_path / "c.json")
    written = tmp_path / "c.v"
    assert main(["export", str(tmp_path / "c.json"), "--coq", "-o", str(written)]) == 0
    said = capsys.readouterr().out
    assert written.read_text().startswith("(* A forward lumping") and "Symlump" in said
    assert "FOLDER is what symlump compiles" in said and "coqc is not on the PATH" in said


def test_a_false_certificate_is_not_written():
    data = EXAMPLES["e1"]().data
    forged = sl.Certificate(data | {"quotient": {"y1": [], "x3": []}})
    with pytest.raises(sl.errors.FileFormatError, match="does not accept"):
        forged.to_coq()
