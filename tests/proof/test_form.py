"""What stands in a certificate has exactly the form that the specification demands, for every reader of it."""

import copy
import json
import re
from fractions import Fraction

import pytest
import sympy

import symlump as sl
from symlump.cli.main import main
from symlump.datasets.systems import chain, multisite_phosphorylation
from symlump.errors import FileFormatError
from symlump.proof import check as checker
from symlump.proof.check import Unreadable, check, one_line, read_functions, read_polynomial
from symlump.proof.closure import check_closure


def linear():
    x, y, z = sympy.symbols("x y z")
    ode = sl.PolynomialODE.from_sympy({x: y**2 + 4 * y * z + 4 * z**2, y: 4 * z - 2 * x, z: x + y})
    return sl.lump(ode, sl.Constrained(["x"])).certificate().data


TRUE = {
    "forward": sl.lump(multisite_phosphorylation(1), sl.Forward()).certificate().data,
    "backward": sl.lump(chain(4), sl.Backward()).certificate().data,
    "tolerance": sl.lump(multisite_phosphorylation(1), sl.Backward(0.5)).certificate().data,
    "linear": linear(),
}
TRUE = {kind: json.loads(json.dumps(data)) for kind, data in TRUE.items()}  # no list in two places
VALUES = [
    None,
    True,
    False,
    0,
    1,
    -1,
    1.0,
    0.5,
    float("nan"),
    "",
    " ",
    "x",
    [],
    {},
    [[]],
    [None],
    (),
    ("x", 1),
]


def paths(value, path=()):
    """All places in a value, each with how a message names it."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from paths(value[key], (*path, key))
    elif isinstance(value, list):
        for at in range(len(value)):
            yield from paths(value[at], (*path, at))


def named(path):
    text = str(path[0])
    fields = path[0] == "closure"  # an object whose keys are the format's, not the user's
    for step in path[1:]:
        text += f".{step}" if fields and isinstance(step, str) else f"[{json.dumps(step)}]"
        fields = False
    return text


def at(data, path):
    for step in path:
        data = data[step]
    return data


def replaced(data, path, value):
    changed = copy.deepcopy(data)
    at(changed, path[:-1])[path[-1]] = value
    return changed


def refusal(data):
    """The one message with which every reader refuses it."""
    with pytest.raises(Unreadable) as refused:
        check(data)
    for reader, error in (
        (check_closure, Unreadable),
        (lambda d: sl.Certificate(d).check(), FileFormatError),
    ):
        with pytest.raises(error) as again:
            reader(data)
        assert str(again.value) == str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("kind", TRUE)
def test_a_value_of_the_wrong_type_is_refused_at_every_place(kind):
    """Every place, each value of another type; the message names the place."""
    data = TRUE[kind]
    assert sl.Certificate(data).check().accepted
    count = 0
    for path in list(paths(data))[1:]:
        for value in VALUES:
            if type(value) is not type(at(data, path)):
                assert f" {named(path)}: " in refusal(replaced(data, path, value)), (path, value)
                count += 1
    assert count > 100


FIXED = [  # of a polynomial, a term and a factor; a record; a pair of forms; a step
    (r'(system|quotient|matrix)\["\w+"\]\[\d+\](\[1\]\[\d+\])?', 2),
    (r"maximality\[\d+\]\[\d+\]", 3),
    (r"maximality\[\d+\]\[\d+\]\[2\]\[\d+\]", 2),
    (r"closure\.observables\[\d+\]", 2),
    (r"closure\.steps\[\d+\]", 2),
]


@pytest.mark.parametrize(
    ("kind", "number"),
    [("forward", 0), ("forward", 1), ("backward", 2), ("linear", 3), ("linear", 4)],
)
def test_fixed_lists_have_their_length(kind, number):
    pattern, length = FIXED[number]
    data, count = TRUE[kind], 0
    for path in list(paths(data))[1:]:
        if re.fullmatch(pattern, named(path)):
            old = at(data, path)
            assert len(old) == length
            for changed in ([], old[:-1], [*old, old[-1]]):
                assert f" {named(path)}: " in refusal(replaced(data, path, changed)), path
                count += 1
    assert count


@pytest.mark.parametrize(
    "text",
    [
        "1.0",
        " 1",
        "1 ",
        "1_0/1_0",
        "1_0",
        "+1",
        "01",
        "-01",
        "2/4",
        "4/2",
        "1/1",
        "0/1",
        "-0",
        "1/-2",
        "1/0",
        "--1",
        "1/2/3",
        "1e3",
        "1E3",
        "",
        "-",
        "/",
        "1/",
        "/2",
        "\u0661",
        "\u0661/2",
        "\u00b2",
        "1\n",
        "\n1",
        "0x1",
        "inf",
        "nan",
        "1" * 4001,
    ],
)
def test_a_rational_has_one_text(text):
    """Python's own Fraction reads most of these."""
    with pytest.raises(Unreadable, match=r"polynomial\[0\]\[0\]: a rational in lowest terms"):
        read_polynomial([[text, []]])
    data = replaced(TRUE["linear"], ("system", "x", 0, 0), text)
    assert ' system["x"][0][0]: ' in refusal(data)


@pytest.mark.parametrize(
    "text", ["0", "1", "-1", "10", "1/2", "-3/4", "1" * 4000, "1/" + "3" * 3998]
)
def test_canonical_rationals_are_read(text):
    assert [str(v) for v in read_polynomial([[text, []]]).values()] == [text][: text != "0"]


@pytest.mark.parametrize("kind", TRUE)
def test_keys_are_those_of_the_kind(kind):
    data = TRUE[kind]
    for key in (
        "format",
        "version",
        "kind",
        "quotient",
        "matrix" if kind == "linear" else "blocks",
    ):
        less = {k: v for k, v in data.items() if k != key}
        assert f" {key}: this key is missing" in refusal(less)
    foreign = {"initial", "maximality", "blocks"} if kind == "linear" else {"matrix", "closure"}
    for key in {*foreign, "note", "System", ""}:
        assert f" {key}: a certificate of kind {data['kind']} has no such key" in refusal(
            data | {key: {}}
        )
    strange = [f"note{k}" for k in range(9)]
    for first in (strange, strange[::-1]):  # the first in the file is named
        assert f" {first[0]}: " in refusal(data | dict.fromkeys(first))
    neither = {k: v for k, v in data.items() if k not in ("system", "digest")}
    assert " system: a certificate holds its system, or the digest of it" in refusal(neither)
    for key in ("digest", "system", "tolerance", "initial", "maximality", "closure"):
        if key in data:
            assert f" {key}: " in refusal(data | {key: None})  # what is missing is left out
    assert check({k: v for k, v in data.items() if k not in ("digest", "tolerance")}).accepted


def test_keys_inside_a_closure():
    data = TRUE["linear"]
    for key in data["closure"]:
        less = {k: v for k, v in data["closure"].items() if k != key}
        assert f" closure.{key}: this key is missing" in refusal(data | {"closure": less})
    more = data["closure"] | {"note": 1}
    assert " closure.note: a closure has no such key" in refusal(data | {"closure": more})
    for prime in (-7, 0, 1, 4, 1 << 40, (1 << 61) - 1, 10**30, 561):
        assert " closure.prime: a prime" in refusal(replaced(data, ("closure", "prime"), prime))
    assert " closure.start[0]: " in refusal(replaced(data, ("closure", "start"), [-1]))
    assert " closure.steps[0][0]: " in refusal(replaced(data, ("closure", "steps", 0, 0), -1))


@pytest.mark.parametrize(
    ("kind", "path", "value", "says"),
    [
        ("forward", ("format",), "another", '"symlump certificate" is due here, not "another"'),
        ("forward", ("version",), -1, "a whole number from 0"),
        ("forward", ("kind",), ["forward"], "a name is due here, not a list"),
        ("forward", ("tolerance",), "0.0.1", "text such as"),
        ("forward", ("tolerance",), "-1", "text such as"),
        ("forward", ("tolerance",), "0.0", "text such as"),
        ("forward", ("tolerance",), "0e3", "text such as"),
        ("forward", ("tolerance",), "inf", "text such as"),
        ("forward", ("tolerance",), "\u0661", "text such as"),
        ("forward", ("tolerance",), "0" * 41, "text such as"),
        ("forward", ("digest",), "", "64 digits"),
        ("forward", ("digest",), "A" * 64, "64 digits"),
        ("forward", ("digest",), "a" * 65, "64 digits"),
        ("forward", ("system", "S0", 0, 1), [["S0", 1], ["S0", 1]], "S0 occurs twice in one monomial"),
        ("forward", ("system", "S0", 0, 1), [["S0", 0]], "a power, a whole number from 1 to 10000"),
        ("forward", ("system", "S0", 0, 1), [["S0", 10_001]], "a power"),
        ("forward", ("system", "S0", 0, 1), [["S0", 10**5000]], "a power"),
        ("forward", ("quotient", "E", 0, 1), [["E", 1], ["E", 2]], "E occurs twice in one monomial"),
        ("forward", ("maximality", 0, 0, 2), [["E", 1], ["E", 1]], "E occurs twice in one monomial"),
        ("forward", ("maximality", 0, 0, 1), None, "the name of a variable is due here, not null"),
        ("backward", ("maximality", 0, 0, 1), "x1", 'null is due here, not "x1"'),
        ("linear", ("matrix", "y1", 0, 1), [["x", 2]], "one name with power 1"),
        ("linear", ("matrix", "y1", 0, 1), [["x", 1], ["y", 1]], "one name with power 1"),
        ("linear", ("matrix", "y1", 0, 1), [], "one name with power 1"),
        ("linear", ("closure", "observables", 0, 1, 0, 1), [], "one name with power 1"),
        ("linear", ("closure", "steps", 0, 1), [["x", 1], ["x", 1]], "x occurs twice in one monomial"),
    ],
)  # fmt: skip
def test_values_of_the_right_type_and_no_meaning(kind, path, value, says):
    data = TRUE[kind]
    if "y1" in path:
        path = (path[0], next(iter(data["matrix"])), *path[2:])
    message = refusal(replaced(data, path, value))
    assert says in message and named(path) in message


def test_the_first_term_is_named_as_well_as_the_last():
    data = copy.deepcopy(TRUE["forward"])
    data["system"]["E"].append(["1", [["S0", 1], ["S1", "2"]]])
    where = f'system["E"][{len(data["system"]["E"]) - 1}][1][1][1]'
    assert f" {where}: a power" in refusal(data)


def test_names_are_text():
    for key in ("system", "quotient", "blocks"):
        data = TRUE["forward"]
        assert f" {key}, a key: " in refusal(data | {key: data[key] | {"\ud800": []}})
        assert f" {key}, a key: a name is due here, not 1" in refusal(
            data | {key: data[key] | {1: []}}
        )
    for name in ("", " ", "x.y", 'a"b', "\u0661", "\U0001f600", "A(b!1,c~P)", "a\nb"):
        claim = {"format": "symlump certificate", "version": 1, "kind": "forward"}
        polynomial = {name: [["1", [[name, 1]]]]}
        assert check(
            claim | {"system": polynomial, "quotient": polynomial, "blocks": {name: [name]}}
        ).accepted


def test_what_could_end_a_line_is_shown_as_an_escape():
    assert one_line("a\nb\x1b[2J \u2028é") == "a\\nb\\x1b[2J \\u2028é"


@pytest.mark.parametrize("data", [None, 1, 1.5, "x", [], True, (), {1: 2}, {}])
def test_what_is_no_certificate_at_all(data):
    refusal(data)


def test_the_given_system_is_read_as_strictly():
    data = {k: v for k, v in TRUE["backward"].items() if k != "system"}
    given = TRUE["backward"]["system"]
    assert check(data, given).accepted
    for path in list(paths(given))[1:]:
        with pytest.raises(Unreadable, match="the given system"):
            check(data, replaced(given, path, None))
    for wrong in (1, [], "x"):
        with pytest.raises(Unreadable, match="the given system"):
            check(data, wrong)


def test_a_linear_claim_with_a_tolerance_speaks_of_its_reference_system():
    verdict = sl.Certificate(TRUE["linear"] | {"tolerance": "0.5"}).check()
    assert (
        verdict.accepted
        and "exact for the system in the certificate, which is a reference" in verdict.reason
    )
    assert "reference" not in check(TRUE["linear"]).reason


@pytest.mark.parametrize(
    "change",
    [
        ({"system": {"x": [["1", [["w", 1]]]], "y": [], "z": []}}, "the system: x uses w"),
        ({"quotient": {"w": [["1", [["x", 1]]]]}}, "the quotient: w uses x"),
        ({"matrix": {"x": [["1", [["w", 1]]]]}}, "the matrix: x uses w"),
        ({"digest": "0" * 64}, "the system's digest is"),
    ],
)
def test_both_checkers_reject_alike(change):
    """Names that stand for nothing, and another system: false, not ill-formed."""
    fields, says = change
    data = TRUE["linear"] | fields
    if "digest" not in fields:
        data.pop("digest")
    first, second = check(data), check_closure(data)
    assert first == second and first.answer == "rejected" and says in first.reason


def test_both_checkers_know_the_same_versions_and_kinds():
    for fields in ({"version": 0}, {"version": 99}, {"kind": "sideways"}):
        first, second = check(TRUE["linear"] | fields), check_closure(TRUE["linear"] | fields)
        assert first == second and first.answer == "inconclusive"


def test_names_in_records_belong_to_the_system():
    data = copy.deepcopy(TRUE["forward"])
    for place in (0, 1):
        changed = replaced(data, ("maximality", 0, 0, place), "nobody")
        assert (
            check(changed).answer == "rejected"
            and "nobody is not a variable" in check(changed).reason
        )
    changed = replaced(data, ("maximality", 0, 0, 2), [["nobody", 1]])
    assert check(changed).answer == "rejected"
    for path, value in (
        (("closure", "steps", 0, 1), [["nobody", 1]]),
        (("closure", "observables", 0, 0, 0, 1), [["nobody", 1]]),
        (("closure", "observables", 0, 1, 0, 1), [["nobody", 1]]),
    ):
        changed = replaced(TRUE["linear"], path, value)
        assert check(changed) == check_closure(changed) and check(changed).answer == "rejected"
    start = replaced(TRUE["linear"], ("closure", "start"), [5])
    assert check(start).accepted and check_closure(start).answer == "rejected"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"kind":"linear"', '"kind":"linear","kind":"linear"', "a key occurs twice"),
        ('"tolerance":"0"', '"tolerance":NaN', "NaN is no number"),
        ('"tolerance":"0"', '"tolerance":Infinity', "Infinity is no number"),
        ('"tolerance":"0"', '"tolerance":-Infinity', "-Infinity is no number"),
        (
            '"version":1',
            '"version":1.0',
            "version: a whole number from 0 to 2^53 - 1 is due here, not 1.0",
        ),
        (
            '"version":1',
            '"version":1e0',
            "version: a whole number from 0 to 2^53 - 1 is due here, not 1.0",
        ),
        (
            '"version":1',
            '"version":true',
            "version: a whole number from 0 to 2^53 - 1 is due here, not true",
        ),
        ('"x":', '"\\ud800":[],"x":', "a key: "),
        ('{"format"', '\ufeff{"format"', "this is not JSON"),
    ],
)
def test_files_are_as_strict(tmp_path, capsys, old, new, says):
    text = sl.Certificate(TRUE["linear"]).to_json()
    assert old in text
    path = tmp_path / "c.json"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert checker.main([str(path)]) == 2
    assert says in capsys.readouterr().err
    assert main(["check", str(path)]) == 2
    assert says in capsys.readouterr().err


def test_each_claim_of_a_closure_is_looked_at():
    """The record itself, what the rows determine, where the derivation starts, and its parents."""
    data = TRUE["linear"]
    with pytest.raises(Unreadable, match="closure: this key is missing"):
        check_closure({key: value for key, value in data.items() if key != "closure"})
    verdicts = [
        check_closure(replaced(data, path, value))
        for path, value in (
            (("closure", "observables", 0, 0, 0, 0), "2"),
            (("closure", "start"), [len(data["closure"]["observables"])]),
            (("closure", "steps", 0, 0), 1),
        )
    ]
    assert {verdict.answer for verdict in verdicts} == {"rejected"}
    says = (
        "observable 0 is not the given combination",
        "the start is observable 1",
        "a step refers to vector 1",
    )
    assert all(text in verdict.reason for text, verdict in zip(says, verdicts, strict=True))


def test_a_vector_that_is_derived_twice_counts_once():
    """Two rows for one observable: not the smallest, whatever the derivation repeats."""
    one = {name: [["1", [[name, 1]]]] for name in ("x", "a", "b")}
    data = {
        "format": "symlump certificate",
        "version": 1,
        "kind": "linear",
        "system": {"x": one["x"]},
    }
    data |= {"matrix": {"a": one["x"], "b": [["2", [["x", 1]]]]}}
    data |= {"quotient": {"a": one["a"], "b": one["b"]}}
    record = {"observables": [[one["x"], one["a"]]], "start": [0, 0], "prime": 101, "steps": []}
    assert check(data | {"closure": record}).accepted
    verdict = check_closure(data | {"closure": record})
    assert verdict.answer == "inconclusive" and "depends on those before it" in verdict.reason


def test_another_system_is_a_reference_model_where_a_tolerance_says_so():
    """A given system that is not the certificate's: what the refusal says depends on the tolerance."""
    near = "that is a reference model, near to the given one"
    for kind, tolerance in (("forward", False), ("tolerance", True)):
        system = TRUE[kind]["system"]
        other = {name: [*terms, ["7", []]] for name, terms in system.items()}
        verdict = check({key: value for key, value in TRUE[kind].items() if key != "digest"}, other)
        assert (
            verdict.answer == "rejected" and "is not the one in the certificate" in verdict.reason
        )
        assert (near in verdict.reason) == tolerance


def test_lists_of_version_2_have_a_depth():
    """What stands deeper than the format goes is refused without recursion."""
    lists: list = []
    objects: dict = {}
    for _ in range(20_000):
        lists, objects = [lists], {"x": objects}
    for deep in (lists, objects):
        with pytest.raises(Unreadable):
            check(
                {
                    "system": deep,
                    "format": "symlump certificate",
                    "version": 2,
                    "kind": "forward",
                    "values": [],
                }
            )


@pytest.mark.parametrize(
    ("read", "accepted", "refused"),
    [
        (
            checker._prime,
            [2, 3, 5, 2**40 - 87],
            [0, 1, 4, 9, 25, 2**40 - 88, 2**40 + 15, True, "2"],
        ),
        (
            checker._tolerance,
            ["0", "0.05", "1e-300", "0." + "1" * 38],
            ["0." + "1" * 39, "01", "-1", 0],
        ),
        (checker._name, ["", "\u00e9", "\ud7ff", "\ue000"], ["\ud800", "x\udfff", 1]),
        (checker._natural, [0, 2**53 - 1], [-1, 2**53, True, 1.0]),
        (
            checker._evaluations,
            [{"prime": 2, "seed": 0, "rounds": 0}],
            [{"prime": 2, "seed": 0}, {"prime": 2, "seed": 0, "rounds": 0, "more": 0}],
        ),
        (
            read_functions,
            [{}, {"f": ["inverse", [[["1", []]]]]}, {"f": ["exp", [[], []]]}],
            [{"f": ["inverse", []]}, {"f": ["inverse", [[], []]]}, {"f": ["exp"]}, {"f": "exp"}],
        ),
        (
            lambda factors, path: read_polynomial([["1", factors]], path),
            [[["x", 1]], [["\u00e9", 2]]],
            [[["\ud800", 1]], [[1, 1]], [["x", 0]], [["x", 1], ["x", 1]]],
        ),
    ],
    ids=["prime", "tolerance", "name", "whole number", "evaluations", "functions", "monomial"],
)
def test_the_ends_of_what_is_allowed(read, accepted, refused):
    for value in accepted:
        result = read(value, "here")
        assert result == value or read in (checker._evaluations, read_functions) or result
    for value in refused:
        with pytest.raises(Unreadable):
            read(value, "here")


def test_what_is_no_json_is_named_by_its_type():
    assert refusal({**TRUE["forward"], "blocks": Fraction(1, 2)}).endswith(
        "not a value of type Fraction"
    )
    assert refusal({**TRUE["forward"], "blocks": int(1e40)}).endswith("not a value of type int")
