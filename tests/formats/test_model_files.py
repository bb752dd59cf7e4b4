"""Files: suffixes, what is not a text, writing as a whole, round trips, and random damage."""

import os
import random
from fractions import Fraction as Q

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symlump import formats
from symlump.errors import FileFormatError, InputError, MethodError, OutputError, SymlumpError
from symlump.formats import source
from symlump.formats.flows import Flows

SMALL = {
    ".ode": """begin model m
begin parameters
k = 1/2 q = 3
end parameters
begin init
A = 1 B = k ( "b" ) C
end init
begin partition
{A}, {B}
end partition
begin reactions
A + 2*B -> C , k [r]
C -> A , arbitrary q*C^2
end reactions
begin views
v = A + 2*B
end views
run(a=1)
end model
""",
    ".net": """begin parameters
1 k 0.5
end parameters
begin species
1 A(b) 1
2 B 2*k
end species
begin reactions
1 1,1 2 0.5*k #r
2 0 1 -k^2
end reactions
begin groups
1 G 1,2*2
end groups
""",
    ".xml": """<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1"><model id="m">
<listOfCompartments><compartment id="c" size="2" constant="true"/></listOfCompartments>
<listOfSpecies><species id="A" compartment="c" initialAmount="1" hasOnlySubstanceUnits="false"
boundaryCondition="false" constant="false"/><species id="B" compartment="c" hasOnlySubstanceUnits="true"
boundaryCondition="true" constant="false"/></listOfSpecies>
<listOfParameters><parameter id="k" value="0.5"/><parameter id="p"/></listOfParameters>
<listOfInitialAssignments><initialAssignment symbol="B"><math
xmlns="http://www.w3.org/1998/Math/MathML"><apply><plus/><ci>k</ci><cn type="rational">1<sep/>3</cn></apply>
</math></initialAssignment></listOfInitialAssignments>
<listOfRules><rateRule variable="p"><math xmlns="http://www.w3.org/1998/Math/MathML"><ci>A</ci></math></rateRule>
</listOfRules><listOfReactions><reaction id="r"><listOfReactants><speciesReference species="A"
stoichiometry="2"/></listOfReactants><kineticLaw><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><times/>
<ci>c</ci><ci>A</ci><apply><power/><ci>B</ci><cn>2</cn></apply></apply></math></kineticLaw></reaction>
</listOfReactions></model></sbml>
""",
    ".tra": "STATES 3\nTRANSITIONS 3\n1 2 0.5\n1 3 5e-1\n3 1 1/3\n",
}


def test_all_small_files_read(tmp_path):
    for suffix, text in SMALL.items():
        path = tmp_path / f"m{suffix}"
        path.write_text(text)
        read = formats.read(path)
        assert len(read.ode) in (2, 3)
        assert formats.read(str(path), format=formats.SUFFIXES[suffix]).ode == read.ode


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "m.ode:1:1: the file is empty"),
        (b" \n\t\n", "m.ode:1:1: the file is empty"),
        (b"\xef\xbb\xbf", "m.ode:1:1: the file is empty"),
        (b"begin model\n a\xff", "m.ode:2:3: byte 0xff is not UTF-8 text"),
        (b"begin\0", "m.ode:1:6: a zero byte"),
        (b"\x7fELF\x02\x01\x01\xcc", "m.ode:1:8: byte 0xcc"),
        ("begin model m\r\n\r\n§".encode("latin-1"), "m.ode:3:1: byte 0xa7"),
    ],
)
def test_what_is_not_text(tmp_path, content, message):
    path = tmp_path / "m.ode"
    path.write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        formats.read(path)
    assert message in str(caught.value)


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    for bad, message in (
        (tmp_path / "none.ode", "cannot be read"),
        (tmp_path, "is a folder; give a file in it"),
        (tmp_path / "m.zip", "known are .ode, ._ode, .net, .tra, .xml, .sbml, .txt"),
        ("\0.ode", "cannot be read"),
    ):
        with pytest.raises(FileFormatError, match=message):
            formats.read(bad)
    folder = tmp_path / "folder.ode"
    folder.mkdir()
    with pytest.raises(FileFormatError, match="folder.ode: cannot be read"):
        formats.read(folder)
    with pytest.raises(FileFormatError, match="unknown format 'matlab'"):
        formats.read(tmp_path / "m.ode", format="matlab")
    with pytest.raises(MethodError, match="parameters"):
        formats.read(folder, parameters="all")
    with pytest.raises(MethodError, match="constants"):
        formats.read(folder, constants="drop")
    path = tmp_path / "m.ode"
    path.write_text(SMALL[".ode"])
    monkeypatch.setattr(source, "MAX_LINE", 20)
    with pytest.raises(FileFormatError, match="m.ode:6:1: the line is longer than 20"):
        formats.read(path)
    monkeypatch.setattr(source, "MAX_BYTES", 100)
    with pytest.raises(FileFormatError, match="at most 100"):
        formats.read(path)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs a device file")
def test_devices_are_not_read():
    with pytest.raises(FileFormatError, match="not a regular file"):
        formats.read("/dev/zero", format="erode")


def test_writing_is_whole_or_nothing(tmp_path):
    path = tmp_path / "m.ode"
    path.write_text(SMALL[".ode"])
    model = formats.read(path)
    target = tmp_path / "out.tra"
    target.write_text("before")
    with pytest.raises(FileFormatError):
        formats.write(model, target)
    assert target.read_text() == "before"
    with pytest.raises(OutputError, match="cannot write"):
        formats.write(model, tmp_path / "none" / "m.ode")
    with pytest.raises(OutputError, match="cannot write"):
        formats.write(model, tmp_path / "\0.ode")
    (tmp_path / "folder.ode").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        formats.write(model, tmp_path / "folder.ode")
    formats.write(model, target.with_suffix(".net"))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "folder.ode",
        "m.ode",
        "out.net",
        "out.tra",
    ]


def test_views_with_lost_names_are_not_written(tmp_path):
    path = tmp_path / "m.ode"
    path.write_text(
        SMALL[".ode"].replace(
            "v = A + 2*B", "v = A^2\nw = k*A\nu = 2.5e3*k*A^2\nt = k\ns = min(A,B)"
        )
    )
    for parameters, kept in (("values", {"v", "w", "s"}), ("symbolic", set("vwuts"))):
        model = formats.read(path, parameters=parameters)
        assert {*model.observables, *model.other_views} == set("vwuts")
        formats.write(model, tmp_path / "copy.ode")
        again = formats.read(tmp_path / "copy.ode", parameters=parameters)
        assert {*again.observables, *again.other_views} == kept


def test_a_model_survives_erode(tmp_path):
    for suffix in (".ode", ".net"):
        first = tmp_path / f"m{suffix}"
        first.write_text(SMALL[suffix])
        for options in ({}, {"parameters": "symbolic"}, {"constants": "values"}):
            model = formats.read(first, **options)
            again = tmp_path / "again.ode"
            formats.write(model, again)
            read = formats.read(again, **{**options, "constants": "keep"})
            if suffix == ".ode":
                assert read.ode == model.ode
                assert read.partition == model.partition
                assert read.observables == model.observables
            else:  # A(b) is not a name in ERODE
                assert read.ode.variables[:2] == ("s1", "B")
                assert (read.ode.matrix != model.ode.matrix).nnz == 0
                assert read.observables["G"] == {"s1": 1, "B": 2}
            assert list(read.initial_values.values()) == list(model.initial_values.values())


FIXTURE = [HealthCheck.function_scoped_fixture]  # every example overwrites the same files
NAMES = ["x", "y", "A_1", "größe", "d", "e1", "end"]
MONOMIALS = st.dictionaries(st.integers(0, 6), st.integers(1, 4), max_size=3)
VALUES = st.fractions(min_value=-100, max_value=100).filter(bool) | st.integers(
    -(10**30), 10**30
).filter(bool).map(Q)
TERMS = st.lists(st.tuples(st.integers(0, 6), MONOMIALS, VALUES), max_size=12)


def system(terms, parameters=()):
    flows = Flows()
    for row, monomial, value in terms:
        if NAMES[row] not in parameters:
            flows.equation(row, {tuple(sorted(monomial.items())): value})
    return flows.build(NAMES, parameters)


@settings(max_examples=60, deadline=None, suppress_health_check=FIXTURE)
@given(terms=TERMS, symbolic=st.booleans())
def test_round_trips(tmp_path, terms, symbolic):
    ode = system(terms, NAMES[5:] if symbolic else ())
    option = {"parameters": "symbolic" if symbolic else "values"}
    formats.write(ode, tmp_path / "m.net")
    assert formats.read(tmp_path / "m.net", **option).ode == ode
    formats.write(ode, tmp_path / "m.ode")
    read = formats.read(tmp_path / "m.ode", **option).ode
    assert read.variables[:6] == ode.variables[:6]  # "end" is reserved, and renamed
    assert np.array_equal(read.rows, ode.rows) and np.array_equal(read.columns, ode.columns)
    assert read.coefficients.same_as(ode.coefficients).all()


@settings(max_examples=40, deadline=None, suppress_health_check=FIXTURE)
@given(
    entries=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.fractions().filter(bool)), max_size=9
    )
)
def test_chains_round_trip(tmp_path, entries):
    flows = Flows()
    for i, j, value in entries:
        flows.equation(j, {((i, 1),): value})
    ode = flows.build([f"S{k}" for k in range(1, 6)])
    try:
        formats.write(ode, tmp_path / "m.tra")
    except FileFormatError:  # neither probabilities nor a generator
        rows = [sum(value for i, _, value in entries if i == k) for k in range(5)]
        assert set(rows) != {1} and (
            set(rows) != {0} or any(v < 0 for i, j, v in entries if i != j)
        )
    else:
        assert formats.read(tmp_path / "m.tra").ode == ode


def test_floats_and_long_numbers_are_written_exactly(tmp_path):
    from symlump.ode.exact import ExactArray
    from symlump.ode.polynomial import PolynomialODE

    base = system([(0, {0: 1}, Q(1)), (1, {1: 2}, Q(1)), (2, {2: 1}, Q(1))])
    floats = ExactArray.from_floats([0.1, -1e-300, 3.0])
    longs = ExactArray.from_fractions([Q(7**6000, 3**500), Q(-(10**9000)), Q(1, 10**9000)])
    for values in (floats, longs):
        ode = PolynomialODE(NAMES[:6], base.monomials, base.rows, base.columns, values)
        for suffix in (".ode", ".net"):
            formats.write(ode, tmp_path / f"m{suffix}")
            read = formats.read(tmp_path / f"m{suffix}").ode
            assert read.coefficients.same_as(values).all()


ALPHABET = list("<>&AB{}()[]+-*/^,=0123456789. \n\t\"'#$§é") + [
    "->",
    "//",
    "/*",
    "*/",
    "begin ",
    "end ",
    "init",
    "model",
    "1e9",
    "\r",
    "\0",
    "**",
    "d(",
]


@pytest.mark.parametrize("suffix", SMALL)
def test_random_damage_gives_a_model_or_an_error_that_says_where(tmp_path, suffix):
    rng = random.Random(11)
    path = tmp_path / f"m{suffix}"
    outcomes = {True: 0, False: 0}
    for _ in range(1500):
        text = SMALL[suffix]
        for _ in range(
            1 if suffix == ".xml" else rng.randint(1, 3)
        ):  # in XML hardly a letter is free
            at = rng.randrange(len(text))
            gone = rng.choice([0, 0, 1, 1, 5, 40])
            text = text[:at] + rng.choice(["", *ALPHABET]) + text[at + gone :]
        path.write_bytes(text.encode())
        try:
            formats.read(path, parameters=rng.choice(["values", "symbolic"]), constants="values")
            outcomes[True] += 1
        except InputError as problem:
            outcomes[False] += 1
            assert str(problem).startswith(f"{path}:"), text
        except SymlumpError:
            pytest.fail(text)
    assert min(outcomes.values()) > 20
