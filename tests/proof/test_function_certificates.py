"""Certificates of systems with quotients and functions: the true are accepted, no mutant is."""

import copy
import hashlib
import json
import subprocess
import sys
from fractions import Fraction

import pytest
import sympy
from elementary_systems import symmetric_system

import symlump as sl
from symlump.errors import FileFormatError, MethodError
from symlump.proof import check as checker
from symlump.proof.certificate import claim
from symlump.proof.check import check
from symlump.proof.evaluations import evaluations

x1, x2, x3, n, t, y1 = sympy.symbols("x1:4 n t y1")
RATIONAL = {x1: x1 / (x1 + x2) - x3, x2: x2 / (x1 + x2), x3: 2 / (1 + x3) ** 2 + x1 + x2}
FUNCTIONS = {
    x1: x3**n / (1 + x3**n) - x1 * sympy.exp(-t),
    x2: x3**n / (1 + x3**n) - x2 * sympy.exp(-t),
    x3: sympy.sin(x1 + x2) / (2 + x3),
}


def certificate(system, method, **options):
    return sl.lump(sl.ODE.from_sympy(system, **options), method).certificate().data


TRUE = {
    "forward rational": certificate(RATIONAL, sl.Forward()),
    "backward rational": certificate(
        {x1: 1 / (1 + x1) + x3, x2: (1 + x1) / (1 + x2) ** 2 + x3, x3: x1 / (x1 + x2)},
        sl.Backward(),
    ),
    "forward": certificate(FUNCTIONS, sl.Forward(), parameters=[n], time=t),
    "backward": certificate(FUNCTIONS, sl.Backward(), parameters=[n], time=t),
}
TRUE = {name: json.loads(json.dumps(data)) for name, data in TRUE.items()}


@pytest.mark.parametrize("name", TRUE)
def test_the_true_ones_are_accepted(name, tmp_path):
    verdict = check(TRUE[name])
    assert verdict.accepted and verdict.coarsest
    assert "the coarsest inside the initial partition" in verdict.reason
    assert (checker.FREE in verdict.reason) == (not name.endswith("rational"))
    path = tmp_path / "cert.json"
    sl.Certificate(TRUE[name]).write(path)
    alone = subprocess.run(
        [sys.executable, "-I", "-S", checker.__file__, str(path)], capture_output=True, text=True
    )
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout == f"accepted: {verdict.reason}\n"


def coefficients(data, key):
    """Every coefficient of the system or the quotient, those in functions included."""
    for terms in data[key].values():
        yield from terms
    for _, arguments in data["functions" if key == "system" else "quotient_functions"].values():
        for terms in arguments:
            yield from terms


@pytest.mark.parametrize("name", TRUE)
@pytest.mark.parametrize("key", ["system", "quotient"])
def test_another_coefficient_is_noticed(name, key):
    count = len(list(coefficients(TRUE[name], key)))
    for at in range(count):
        data = copy.deepcopy(TRUE[name])
        data.pop("digest")
        term = list(coefficients(data, key))[at]
        term[0] = str(Fraction(term[0]) + 1)
        verdict = check(data)
        assert not verdict.coarsest, (at, verdict)
        if name.endswith("rational"):
            assert verdict.answer == "rejected", (at, verdict)


@pytest.mark.parametrize("name", TRUE)
def test_other_powers_functions_and_blocks_are_noticed(name):
    data = copy.deepcopy(TRUE[name])
    data.pop("digest")
    for key in ("functions", "quotient_functions"):
        for symbol, (function, _) in data[key].items():
            mutant = copy.deepcopy(data)
            mutant[key][symbol][0] = "tanh" if function != "tanh" else "exp"
            assert not check(mutant).accepted
    for terms in data["quotient"].values():
        for term in terms:
            for factor in term[1]:
                factor[1] += 1
                assert not check(data).accepted
                factor[1] -= 1
    assert check(data).accepted
    merged = copy.deepcopy(data)
    first, second, *_ = merged["blocks"]
    merged["blocks"][first] += merged["blocks"].pop(second)
    assert check(merged).answer == "rejected"


@pytest.mark.parametrize("name", ["forward", "backward"])
def test_a_record_that_falls_short_is_no_proof(name):
    data = copy.deepcopy(TRUE[name])
    data["evaluations"]["rounds"] = 0
    verdict = check(data)
    assert verdict.answer == "inconclusive" and "does not separate" in verdict.reason


def test_the_record_separates_nothing_that_belongs_together():
    """Whatever prime and seed a stranger chooses, also small ones."""
    for name, data in TRUE.items():
        for prime in (3, 5, 7, 11, 101, 2**31 - 1):
            for seed in range(5):
                claim = checker.read_claim(data)
                initial = {v: k for k, block in enumerate(claim.initial) for v in block}
                record = checker.Evaluations(prime, seed, 3)
                try:
                    reached = checker.replay_evaluations(claim, initial, record)
                except checker.Inconclusive:
                    continue
                for block in claim.blocks.values():
                    assert len({reached[v] for v in block}) == 1, (name, prime, seed)


@pytest.mark.parametrize(
    ("change", "answer", "words"),
    [
        (lambda d: d.update(version=1), "unreadable", "version 1 or 2, has no such key"),
        (lambda d: d["functions"].update(x1=["exp", []]), "rejected", "x1 is a variable, too"),
        (lambda d: d["functions"].update(g=["exp", [[["1", [["h", 1]]]]]]), "rejected", "h"),
        (lambda d: d["functions"].update(g=["exp"]), "unreadable", 'functions\\["g"\\]'),
        (lambda d: d["functions"].update(g=["inverse", []]), "unreadable", "one argument"),
        (lambda d: d["functions"].update(g=["inverse", [[]]]), "rejected", "denominator is 0"),
        (lambda d: d.pop("system"), "unreadable", "holds its system"),
        (lambda d: d["evaluations"].update(prime=4), "unreadable", "evaluations.prime"),
        (lambda d: d["evaluations"].pop("seed"), "unreadable", "evaluations.seed"),
        (lambda d: d["evaluations"].update(more=1), "unreadable", "evaluations.more"),
        (lambda d: d["evaluations"].update(rounds=10**9), "accepted", "the coarsest"),
        (lambda d: d.pop("initial"), "unreadable", "needs the key initial"),
        (lambda d: d.update(maximality=[]), "unreadable", "without functions"),
        (lambda d: d.update(digest="0" * 64), "rejected", "digest"),
    ],
)
def test_the_form_is_demanded(change, answer, words):
    data = copy.deepcopy(TRUE["forward"])
    if answer != "rejected" or "digest" not in words:
        data.pop("digest")
    change(data)
    if answer == "unreadable":
        with pytest.raises(FileFormatError, match=words):
            sl.Certificate(data).check()
        return
    verdict = sl.Certificate(data).check()
    assert verdict.answer == answer and words in verdict.reason


def test_a_system_beside_the_certificate_is_compared():
    ode = sl.ODE.from_sympy(FUNCTIONS, [n], time=t)
    other = sl.ODE.from_sympy(FUNCTIONS | {x3: sympy.sin(x1 - x2)}, [n], time=t)
    found = sl.lump(ode, sl.Forward()).certificate()
    assert found.check(ode).accepted
    assert found.check(other).answer == "rejected"


def test_the_digest_of_a_system_with_functions_is_not_enough():
    data = {key: value for key, value in TRUE["forward"].items() if key != "system"}
    assert "digest" in data
    with pytest.raises(checker.Unreadable, match="a certificate with functions holds its system"):
        check(data, {"system": TRUE["forward"]["system"], "functions": data["functions"]})


def test_a_large_expansion_is_refused_in_time():
    names = [f"x{i}" for i in range(40)]
    total = [["1", [[name, 1]]] for name in names]
    data = {
        "format": "symlump certificate",
        "version": 3,
        "kind": "forward",
        "system": {name: [["1", [["f", 1]]]] if name == "x0" else [] for name in names},
        "functions": {"f": ["inverse", [total]]},
        "blocks": {"y": names},
        "quotient": {"y": [["1", [["g", 9]]]]},
        "quotient_functions": {"g": ["inverse", [[["1", [["y", 9]]]]]]},
    }
    assert check(data).answer == "inconclusive"


def test_linear_claims_with_functions():
    """Σ L_i·q_i(x) = g(L·x), multiplied out over the denominators."""
    from symlump.proof.certificate import linear_claim

    ode = sl.ODE.from_sympy({x1: 2 * x2 / (1 + x1 + 2 * x2), x2: x1 / (2 + 2 * x1 + 4 * x2)})
    small = sl.ODE.from_sympy({y1: y1 / (1 + y1)})
    rows = {"y1": {"x1": 1, "x2": 2}}
    assert check(linear_claim(ode, rows, small)).accepted
    wrong = sl.ODE.from_sympy({y1: y1 / (2 + y1)})
    assert check(linear_claim(ode, rows, wrong)).answer == "rejected"


@pytest.mark.parametrize("kind", ["forward", "backward", "linear"])
@pytest.mark.parametrize("where", ["system", "quotient"])
def test_one_side_may_have_functions_and_the_other_none(kind, where):
    """x/(1 + x) + 1/(1 + x) = 1."""

    def claims(number):
        x, y, f = (lambda name=name: [[name, 1]] for name in "xyf")
        variable = x() if where == "system" else y()
        sides = {"system": {"x": [[number, []]]}, "quotient": {"y": [[number, []]]}}
        sides[where] = {variable[0][0]: [["1", f()], ["1", f() + variable]]}
        key = "functions" if where == "system" else "quotient_functions"
        rows = {"matrix": {"y": [["1", x()]]}} if kind == "linear" else {"blocks": {"y": ["x"]}}
        inverse = {key: {"f": ["inverse", [[["1", []], ["1", variable]]]]}}
        return {
            "format": "symlump certificate",
            "version": 3,
            "kind": kind,
            **rows,
            **sides,
        } | inverse

    assert check(claims("1")).accepted
    assert check(claims("2")).answer == "rejected"
    if kind == "linear" and where == "system":
        record = {"observables": [], "start": [], "prime": 101, "steps": [[0, []]]}
        with pytest.raises(
            checker.Unreadable, match=r"closure.steps\[0\]\[1\]: the number of a point is due here"
        ):
            check(claims("1") | {"closure": record})


def test_lemmas_are_for_polynomials_and_so_is_version_2():
    found = sl.Certificate(TRUE["forward rational"])
    with pytest.raises(MethodError, match="polynomial systems; .* inverse"):
        found.to_coq(lemmas=True)
    assert json.loads(found.to_json(version=2))["version"] == 3


def judged(system, kind):
    """By what variables are judged at first, each with the value of a block of its own."""
    equations = sl.ODE.from_sympy(system)
    names = equations.variables
    data = claim(kind, equations, tuple((v,) for v in names), equations)
    record = checker.Evaluations(2**31 - 1, 7, 0)
    look = checker._Rates if kind == "backward" else checker._Slopes
    seen = look(checker.read_claim(data), record)
    weights = {v: 10 + k for k, v in enumerate(names)}
    return seen, weights


@pytest.mark.parametrize("seed", range(12))
def test_derivatives_of_rational_systems_are_those_of_sympy(seed):
    """Modulo p, as reverse accumulation finds them."""
    system = symmetric_system(seed)
    seen, weights = judged(system, "forward")
    point = {sympy.Symbol(v): seen.at[v] for v in weights}
    total = sum(weights[str(v)] * rate for v, rate in system.items())
    prime, found = seen.prime, seen.follow(weights)
    for v in system:
        value = sympy.Rational(sympy.diff(total, v).xreplace(point))
        assert found.get(str(v), 0) == value.p * pow(value.q, -1, prime) % prime


@pytest.mark.parametrize("kind", ["forward", "backward"])
@pytest.mark.parametrize("seed", range(6))
def test_following_a_change_is_computing_anew(kind, seed):
    system = symmetric_system(seed, functions=True)
    seen, weights = judged(system, kind)
    first = seen.follow(weights)
    moved = weights | {v: 99 + k for k, v in enumerate(list(weights)[::2])}
    changes = seen.follow({v: moved[v] for v in list(weights)[::2]})
    again, _ = judged(system, kind)
    whole = again.follow(moved)
    for v in weights:
        followed = (first.get(v, 0) + changes.get(v, 0)) % seen.prime
        assert followed == whole.get(v, 0) % seen.prime


def test_facts_of_functions_hold_for_their_derivatives():
    """f(u) = ±f(−u) for all u, so f'(u) = ∓f'(−u); 1^n is 1 for all n."""
    u, v, w = sympy.symbols("u v w")
    system = {u: sympy.cos(u), v: sympy.sin(u), w: sympy.exp(u)}
    seen, _ = judged(system, "forward")
    of = {function.name: name for name, function in seen.functions.items()}
    prime = seen.prime
    for name, sign in (("cos", -1), ("sin", 1), ("exp", 0)):
        values = []
        for at in (5, prime - 5):
            seen.inside[of[name]] = [at]
            values.append(seen.slope(of[name], 0))
        if sign:
            assert values[0] == sign * values[1] % prime
        else:
            assert values[0] not in (values[1], prime - values[1])
    seen.inside[of["cos"]] = [0]
    assert seen.slope(of["cos"], 0) == 0
    power, _ = judged({u: u**v, v: 0}, "forward")
    power.inside["f1"] = [1, 8]
    assert power.slope("f1", 1) == 0 != power.slope("f1", 0)


@pytest.mark.parametrize("kind", ["forward", "backward"])
def test_the_record_takes_time_in_proportion(kind):
    """A chain splits one variable at a time; n rounds are not n² steps."""

    def steps(count):
        names = [f"x{i}" for i in range(count)]
        below = {f"d{x}": ["inverse", [[["1", []], ["1", [[x, 1]]]]]] for x in names}
        inner = "d" if kind == "backward" else ""  # derivatives of functions would differ at once
        follows = zip(names, names[1:], strict=False)
        system = {x: [] for x in names} | {x: [["1", [[inner + y, 1]]]] for y, x in follows}
        data = {
            "format": "symlump certificate",
            "version": 3,
            "kind": kind,
            "system": system,
            "functions": below,
            "blocks": {x: [x] for x in names},
            "quotient": system,
            "quotient_functions": below,
            "initial": [names],
        }
        record = evaluations(data)
        look = checker._Rates if kind == "backward" else checker._Slopes
        before, spent = look.__init__, []

        def kept(self, *given):
            before(self, *given)
            spent.append(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(look, "__init__", kept)
            assert check(data | {"evaluations": record}).coarsest
        size = checker._claim_size(checker.read_claim(data))
        whole = checker.Budget.of("", 4 * size * size.bit_length()).left
        return record["rounds"], whole - spent[0].budget.left

    rounds, short = steps(100)
    more_rounds, long = steps(400)
    assert (rounds, more_rounds) == (99, 399)
    assert long < 6 * short


def test_which_keys_go_together():
    """Each combination of keys that the specification excludes is refused, with the reason."""
    rational = TRUE["forward rational"]
    plain = {
        **sl.lump(sl.PolynomialODE.from_sympy({x1: -x1, x2: -x2}), sl.Forward()).certificate().data,
        "version": 3,
    }
    assert check(plain).accepted and check(rational).accepted
    records = {"maximality": plain["maximality"], "evaluations": rational["evaluations"]}

    def refusal(data, *without, **more):
        with pytest.raises(checker.Unreadable) as refused:
            check({key: value for key, value in {**data, **more}.items() if key not in without})
        return str(refused.value)

    for data in (plain, rational):
        assert "this needs the key initial, the partition it starts from" in refusal(
            data, "initial"
        )
    assert "maximality: this is the record of a system without functions" in refusal(
        rational, "evaluations", maximality=records["maximality"]
    )
    assert "evaluations: this is the record of a system with functions" in refusal(
        plain, "maximality", evaluations=records["evaluations"]
    )
    assert "a certificate with functions holds its system" in refusal(
        rational, "system", digest="0" * 64
    )
    assert "version 1 or 2, has no such key" in refusal(rational, version=1)


def test_the_digest_is_that_of_the_specified_text():
    """Every letter of the text is said in the specification; here it is written by hand."""
    system = checker.read_system(
        {"é": [["1/2", [["x", 2], ["é", 1]]]], "x": [["-3", []], ["1", [["f", 1]]]]}
    )
    equations = '{"x":[[[],"-3"],[[["f",1]],"1"]],"\\u00e9":[[[["x",2],["\\u00e9",1]],"1/2"]]}'
    assert checker.system_digest(system) == hashlib.sha256(equations.encode("ascii")).hexdigest()
    functions = checker.read_functions({"f": ["exp", [[["2", [["é", 1]]]]]]})
    beside = '{"f":["exp",[[[[["\\u00e9",1]],"2"]]]]}'
    both = hashlib.sha256((equations + beside).encode("ascii")).hexdigest()
    assert checker.system_digest(system, functions) == both
    for text, given in ((equations, {}), (equations + beside, functions)):  # in discrete time
        digest = hashlib.sha256((text + "discrete").encode("ascii")).hexdigest()
        assert checker.system_digest(system, given, True) == digest


def test_the_given_functions_are_compared():
    true = TRUE["forward rational"]
    same = {"system": true["system"], "functions": true["functions"]}
    assert check(true, same).accepted
    name = next(iter(same["functions"]))
    for other in ({**same["functions"], name: ["exp", same["functions"][name][1]]}, {}):
        verdict = check(true, {**same, "functions": other})
        assert verdict.answer == "rejected"
        assert (
            verdict.reason == "the functions of the given system are not those of the certificate"
        )


def test_a_function_of_the_quotient_is_none_of_its_variables():
    true = TRUE["forward rational"]
    name = next(iter(true["quotient"]))
    more = {**true["quotient_functions"], name: ["exp", [[["1", []]]]]}
    verdict = check({**true, "quotient_functions": more})
    assert (verdict.answer, verdict.reason) == (
        "rejected",
        f"quotient_functions: {name} is a variable, too",
    )
