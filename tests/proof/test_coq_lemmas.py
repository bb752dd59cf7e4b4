"""What is written for Coq: accepted by coqc if true, rejected if false, whatever the names."""

import copy
import random
import shutil
import subprocess
from fractions import Fraction

import pytest
import sympy

import symlump as sl
from symlump.datasets.systems import multisite_phosphorylation
from symlump.errors import MethodError
from symlump.proof.certificate import claim, linear_claim
from symlump.proof.check import check
from symlump.proof.coq.lemmas import to_coq

x1, x2, x3 = sympy.symbols("x1:4")
LINEAR = {x1: -3 * x1 + x3, x2: -3 * x2 + x3, x3: x1 + x2 - 2 * x3}
PRODUCTS = {x1: -x1 * x3, x2: -x2 * x3, x3: -(x1 + x2) * x3}
EQUAL = {x1: x3 - x1**2, x2: x3 - x2**2, x3: 1 - 2 * x1 - x2}


def claim_of(ode, method):
    if isinstance(ode, dict):
        ode = sl.PolynomialODE.from_sympy(ode)
    lumping = sl.lump(ode, method)
    return claim(method.direction, lumping.ode, lumping.blocks, lumping.quotient)


def network(form):
    layers = [[[1, 2], [1, 2], [-1, -2]], [[0.5, 0.25, 1.0]]]
    return sl.encode(sl.Network.dense(layers, activation="tanh"), form)


def constrained():
    """E5: y1 = x1 and y2 = x2 + 2*x3 obey a system of their own; no partition does that."""
    y1, y2 = sympy.symbols("y1 y2")
    ode = sl.PolynomialODE.from_sympy(
        {x1: x2**2 + 4 * x2 * x3 + 4 * x3**2, x2: 4 * x3 - 2 * x1, x3: x1 + x2}
    )
    rows = {"y1": {"x1": 1}, "y2": {"x2": 1, "x3": 2}}
    return linear_claim(ode, rows, sl.PolynomialODE.from_sympy({y1: y2**2, y2: 2 * y2}))


HOSTILE = [
    "forall",
    "S",
    "Q",
    "q",
    "x",
    "a b",
    "a_b",
    "a*b",
    "*)",
    "(*",
    '"',
    '"*) Qed. Axiom bad : False. (*',
    "1",
    "α",
    "\n",
    "",
    "a_b_2",
    "A(b!1,c~P).\\",
    "equivalence",
    "x" * 300,
]


def hostile(kind, seed=5):
    """A true claim about variables with names that mean something in Coq, or nothing."""
    draw = random.Random(seed)
    blocks = {f"{HOSTILE[k]}": HOSTILE[4 * k : 4 * k + 4] for k in range(5)}
    block_names = list(blocks)

    def number():
        return str(Fraction(draw.randint(-99, 99) or 1, draw.choice([1, 3, 7**40])))

    def powers(names):
        return [[name, names.count(name)] for name in sorted(set(names))]

    system = {name: [] for name in draw.sample(HOSTILE, len(HOSTILE))}
    quotient = {name: [] for name in blocks}
    for block, members in blocks.items():
        for _ in range(3):
            value, degree = number(), draw.randint(0, 2)
            factors = [draw.choice(block_names) for _ in range(degree)]
            quotient[block].append([value, powers(factors)])
            if kind == "backward":
                for m in members:
                    chosen = [draw.choice(blocks[b]) for b in factors]
                    system[m].append([value, powers(chosen)])
                continue
            expanded = [[]]
            for b in factors:
                expanded = [[*rest, v] for rest in expanded for v in blocks[b]]
            for chosen in expanded:  # the sum is shared out unevenly
                system[draw.choice(members)].append([value, powers(chosen)])
    return {"kind": kind, "system": system, "blocks": blocks, "quotient": quotient}


CLAIMS = {
    "e1": lambda: claim_of(LINEAR, sl.Forward()),
    "e2": lambda: claim_of(PRODUCTS, sl.Forward()),
    "e3": lambda: claim_of(EQUAL, sl.Backward()),
    "e4": lambda: claim_of(multisite_phosphorylation(2), sl.Forward()),
    "e5": constrained,
    "e7 influence": lambda: claim_of(network("influence"), sl.Forward()),
    "e7 state": lambda: claim_of(network("state"), sl.Backward()),
    "hostile forward": lambda: hostile("forward"),
    "hostile backward": lambda: hostile("backward"),
    "floats": lambda: claim_of({x1: 0.1 * x1 * x3, x2: 0.1 * x2 * x3, x3: 1e-30}, sl.Forward()),
    "high powers": lambda: claim_of({x1: x3**1000 - x1, x2: x3**1000 - x2, x3: 0}, sl.Forward()),
    "empty": lambda: {"kind": "forward", "system": {}, "blocks": {}, "quotient": {}},
}


@pytest.fixture
def coqc(tmp_path):
    """Run coqc on a text; the answer is its exit status and all it says."""
    if shutil.which("coqc") is None:
        pytest.skip("coqc is not installed, so nothing checks the Coq files")

    def run(text):
        (tmp_path / "lumping.v").write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["coqc", "lumping.v"], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("name", CLAIMS)
def test_coqc_accepts_a_true_claim(coqc, name):
    status, said = coqc(to_coq(CLAIMS[name]()))
    assert status == 0, said
    assert "Closed under the global context" in said  # no axiom and nothing admitted


def raise_coefficient(polynomial):
    polynomial[0][0] = str(Fraction(polynomial[0][0]) + Fraction(1, 10**9))


@pytest.mark.parametrize("what", ["quotient", "system"])
@pytest.mark.parametrize(
    "name", ["e2", "e3", "e5", "e7 state", "hostile forward", "hostile backward"]
)
def test_coqc_rejects_a_changed_coefficient(coqc, name, what):
    certificate = copy.deepcopy(CLAIMS[name]())
    raise_coefficient(next(p for p in certificate[what].values() if p))
    status, said = coqc(to_coq(certificate))
    assert status != 0 and ("not a valid ring equation" in said or "Cannot find witness" in said)


def test_coqc_rejects_blocks_that_are_not_equivalent(coqc):
    """E3 lumps backward, not forward, whatever the quotient; here it is the forward formula."""
    certificate = claim_of(EQUAL, sl.Backward()) | {"kind": "forward"}
    assert coqc(to_coq(certificate))[0] != 0


@pytest.mark.parametrize("name", CLAIMS)
def test_equal_claims_give_equal_texts(name):
    assert to_coq(CLAIMS[name]()) == to_coq(copy.deepcopy(CLAIMS[name]()))


def test_linear_lumpings_are_checked():
    data = constrained()
    assert check(data).answer == "accepted"
    for change, says in (
        ({"matrix": data["matrix"] | {"y1": [["1", [["x2", 1]]]]}}, "row y1"),
        ({"matrix": {"y1": data["matrix"]["y1"]}}, "exactly one equation per row"),
        ({"matrix": data["matrix"] | {"y1": [["1", [["w", 1]]]]}}, "uses w, which has no equation"),
        (
            {"quotient": data["quotient"] | {"y2": [["3", [["y2", 1]]]]}},
            "row y2: coefficient of x2",
        ),
    ):
        verdict = check(data | change)
        assert verdict.answer == "rejected" and says in verdict.reason


def test_no_name_ends_a_comment():
    text = to_coq(hostile("forward"))
    assert "Axiom bad : False. (*" not in text
    assert '"' not in text and "(*)" not in text
    assert text.count("(*") == text.count("*)")


def test_the_text_is_linear_in_the_claim():
    def chain(n):
        system = {f"v{i}": [["-1", [[f"v{i}", 1]]], ["2", [["v0", 1]]]] for i in range(n)}
        blocks = {name: [name] for name in system}
        return {"kind": "backward", "system": system, "blocks": blocks, "quotient": system}

    assert len(to_coq(chain(2000))) < 11 * len(to_coq(chain(200)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "sideways"}, "neither"),
        ({"blocks": {"y1": ["x1", "x2"], "x3": ["x3", "x1"]}}, "exactly once"),
        ({"blocks": {"y1": ["x1"], "x3": ["x3"]}}, "exactly once"),
        ({"blocks": {"y1": ["x1", "x2", "x3"], "x3": []}}, "empty"),
        ({"quotient": {"y1": []}}, "one equation per block"),
        ({"quotient": {"y1": [["1", [["w", 1]]]], "x3": []}}, "'w', which has no equation"),
        ({"quotient": {"y1": [["1", [["y1", 10**9]]]], "x3": []}}, "powers up to 1000"),
        ({"quotient": {"y1": [["1", [["y1", 1000]]]] * 2, "x3": []}}, "2000 terms in one identity"),
        ({"quotient": {"y1": [["1", [["y1", 1000]]]] * 20, "x3": []}}, "20000 terms"),
    ],
)
def test_what_is_not_written(change, says):
    with pytest.raises(MethodError, match=says):
        to_coq(claim_of(LINEAR, sl.Forward()) | change)


def test_a_claim_without_its_system_is_not_written():
    certificate = claim_of(LINEAR, sl.Forward())
    del certificate["system"]
    with pytest.raises(MethodError, match="only its digest"):
        to_coq(certificate)
