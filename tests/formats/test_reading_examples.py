"""Small files that are easily read wrongly, with their right values, where they are present."""

from fractions import Fraction as Q

import pytest
from example_models import example

import symlump as sl
from symlump import formats

RIGHT = {
    "A_compsize.xml": ("A' = -A\nB' = A", {"A": 3, "B": 0}),
    "B_stoich_rule.xml": ("X' = 3", {"X": 0}),
    "C_comp.xml": ("A' = -A\nB' = 0", {"A": 1, "B": 1}),
    "E_ia_ruled.xml": ("X' = -X", {"X": 2}),
    "E4_rule_order.xml": ("X' = -3*X", {"X": 1}),
    "lay.xml": ("A' = -A", {"A": 1}),
    "rid.xml": ("A' = -2*A\nB' = 2*A", {"A": 1, "B": 1}),
    "grp.net": ("L(r)' = -2*L(r)\nM()'  = 2*L(r)", {"L(r)": 1, "M()": 0}),
    "hold.ode": ("A' = A", {"A": Q("162234.6413817237")}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_values(name):
    if name == "C_comp.xml":
        pytest.importorskip("libsbml")
    model = formats.read(example(f"reading/{name}"))
    assert (str(model.ode), model.initial_values) == RIGHT[name]


def test_michaelis_menten_has_a_free_substrate():
    ode = formats.read(example("reading/mm.net")).ode
    free = (7 + 129**0.5) / 2  # of 10, with K = 2 and one enzyme
    assert ode.rhs([10.0, 1.0, 0.0]) == pytest.approx([-free / (2 + free), 0, free / (2 + free)])


def test_rates_of_a_chain():
    ode = formats.read(example("reading/ctmc2.tra")).ode
    assert "S2' = S1 - 9*S2" in str(ode)
    start = sl.Partition.from_names(ode, [["S1"], ["S2", "S3"], ["S4"]])
    assert len(sl.lump(ode, sl.Forward(), start).partition) == 3


def test_a_long_number_comes_back(tmp_path):
    model = formats.read(example("reading/hold.ode"))
    formats.write(model, tmp_path / "hold.xml")
    assert formats.read(tmp_path / "hold.xml").initial_values == model.initial_values


def test_chains_in_discrete_time_are_recognised():
    """The numbers of these files are probabilities: their rows sum to 1."""
    files = sorted(example("partition").glob("*.tra"))
    assert files
    for path in files:
        model = formats.read(path)
        assert model.ode == formats.read(path, chain="dtmc").ode
        assert "all rows sum to 1" in model.notes[0]
