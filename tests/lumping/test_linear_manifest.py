"""Models of other projects with known linear lumpings: every exact row and every hierarchy."""

import re
from fractions import Fraction

import numpy as np
import pytest
from formats.example_models import manifest

import symlump as sl

LINEAR = [row for row in manifest() if row["kind"].startswith("constrained")]
RATIONAL = [row for row in LINEAR if "rational" in row["kind"]]
TOLERANCE = [row for row in LINEAR if "epsilon" in row["kind"]]
HIERARCHIES = [row for row in LINEAR if "hierarchy" in row["kind"]]
EXACT = [row for row in LINEAR if row["kind"] in ("constrained", "constrained, exact (linear ODE)")]
#: Replaying the proof in plain Python takes a second per 10⁵ terms; above this it is left to a run by hand.
_CHECKED_TERMS = 20_000


def name_of(row):
    return f"{row['file'].split('/')[-1]}-{row['observables']}"


def read(folder, row):
    """The model; constants count as variables, and those that occur nowhere do not count."""
    symbolic = "odebase" in row["file"]
    model = sl.read(folder / row["file"], parameters="symbolic" if symbolic else "values")
    ode = model.ode
    occurs = np.union1d(ode.monomials.variables, ode.rows)
    if not ode.terms:  # then all variables are constant, and all count
        occurs = np.arange(len(ode))
    assert occurs.size == int(row["variables"])
    return ode


@pytest.mark.parametrize("row", EXACT, ids=name_of)
def test_known_number_of_rows(shared, row):
    ode = read(shared / "models", row)
    observables = [text.strip() for text in row["observables"].split(";")]
    lumping = sl.lump(ode, sl.Constrained(observables))
    assert len(lumping) == len(lumping.quotient) == int(row["blocks"])
    assert all(value.denominator == 1 for value in lumping.rows.values)
    for text in observables:
        form = {name.strip(): 1 for name in text.split("+")}
        assert lumping.express(form) is not None
    state = np.random.default_rng(0).random(len(ode))
    moved, small = lumping.aggregate(ode.rhs(state)), lumping.quotient.rhs(lumping.aggregate(state))
    assert np.allclose(moved, small, rtol=1e-7, atol=1e-9 * np.abs(moved).max(initial=1))
    if ode.terms <= _CHECKED_TERMS:
        assert lumping.exact and lumping.smallest


@pytest.mark.parametrize("row", HIERARCHIES, ids=name_of)
def test_known_chains(shared, row):
    """The known dimensions are those over the algebraic numbers; over Q they are some of them."""
    ode = read(shared / "models", row)
    known = [
        tuple(map(int, chain.split(","))) for chain in re.findall(r"\[([\d, ]+)\]", row["blocks"])
    ]
    found = sl.hierarchy(ode)
    assert found.maximal
    assert found.algebraic_dimensions in known
    assert set(found.dimensions) <= set(found.algebraic_dimensions)
    assert all(lumping.exact for lumping in found)
    for small, large in zip(found.lumpings, found.lumpings[1:], strict=False):
        assert all(large.express(form) is not None for form in small.combinations.values())


def as_mass_action(text):
    """The known sizes are of this reading: a rate that is called arbitrary is multiplied by the reactants."""

    def multiplied(reaction):
        left, right, rate = reaction.groups()
        factors = []
        for part in left.split("+"):
            *count, species = part.split("*")
            factors += [species.strip()] * int(count[0] if count else 1)
        return f"{left}->{right}, arbitrary {'*'.join(factors)}*({rate}) ["

    return re.sub(r"^(.*?)->(.*?),\s*arbitrary\s+(.*?)\s*\[", multiplied, text, flags=re.MULTILINE)


#: As the files are meant, with the rates that they state.
SMALLER = {"BIOMD0000000437": 17, "BIOMD0000000488": 58, "BIOMD0000000113": 11}


@pytest.mark.parametrize("row", RATIONAL, ids=name_of)
def test_known_number_of_rows_of_rational_systems(shared, row, tmp_path):
    path = shared / "models" / row["file"]
    parameters = "values" if "values" in row["kind"] else "symbolic"
    (tmp_path / "model.ode").write_text(as_mass_action(path.read_text()))
    sizes = (int(row["blocks"]), SMALLER.get(path.stem, int(row["blocks"])))
    for file, size in zip((tmp_path / "model.ode", path), sizes, strict=True):
        ode = sl.read(file, parameters=parameters).ode
        lumping = sl.lump(ode, sl.Constrained([row["observables"]]))
        assert len(lumping) == size
        assert lumping.exact and lumping.smallest
        state = np.random.default_rng(0).uniform(0.5, 2, len(ode))
        moved = lumping.aggregate(ode.rhs(state))
        small = lumping.quotient.rhs(lumping.aggregate(state))
        assert np.allclose(moved, small, rtol=1e-7, atol=1e-9 * np.abs(moved).max())


@pytest.mark.parametrize("row", TOLERANCE, ids=name_of)
def test_tolerances(shared, row):
    """Ours is another path than the published one: it must start and end with the same sizes."""
    ode = read(shared / "models", row)
    steps = sl.Constrained(row["observables"]).plan(ode).steps()
    sizes = [(float(e), int(size)) for e, size in re.findall(r"([\d.e-]+)->(\d+)", row["blocks"])]
    exact = sl.lump(ode, sl.Constrained(row["observables"]))
    assert steps[-1].dimension == len(exact) == max(size for _, size in sizes)
    largest = float(re.search(r"max_eps=([\d.]+)", row["known_from"])[1])
    assert steps[0].dimension == 1 and steps[0].eps == pytest.approx(largest, rel=1e-6)
    for eps, _ in sizes:
        lumping = sl.lump(ode, sl.Constrained(row["observables"], eps=eps))
        assert len(lumping) == next(s.dimension for s in steps if s.eps <= eps)
        assert lumping.defect <= eps


def test_reducing_and_solving_commute(shared):
    """Solving and then adding up is adding up and then solving."""
    row = next(row for row in EXACT if "fceri_ji" in row["file"] and row["observables"] == "S1")
    model = sl.read(shared / "models" / row["file"])
    lumping = sl.lump(model.ode, sl.Constrained("S1"))
    start = np.array([float(model.initial_values[name]) for name in model.ode.variables])
    times = np.linspace(0, 0.2, 6)
    large = lumping.aggregate(sl.simulate(model.ode, start, times).states)
    small = sl.simulate(lumping.quotient, lumping.aggregate(start), times).states
    assert len(lumping) == 31
    change = np.abs(large - large[:, :1]).max()
    assert change > 1  # something happens
    assert np.abs(large - small).max() <= 1e-6 * change


def test_initial_values_and_views_are_carried_over(shared):
    from symlump.formats.linear import linear_quotient_model

    model = sl.read(shared / "models" / "constrained/exact_polynomial/ProteinPhosphorylation_3.ode")
    lumping = sl.lump(model.ode, sl.Constrained(["S0", "S1"]))
    small = linear_quotient_model(model, lumping)
    assert small.initial_values["S0"] == Fraction(300)
    (largest,) = [name for name, row in lumping.combinations.items() if row.get("S2") == 3]
    assert small.initial_values[largest] == 3 * model.initial_values["S2"]


def test_all_rows_are_here(shared):
    assert (len(EXACT), len(HIERARCHIES), len(RATIONAL), len(TOLERANCE)) == (75, 14, 7, 3)
