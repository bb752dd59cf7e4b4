"""Models of other projects with known reduced sizes: every forward and backward row, and its proof."""

import numpy as np
import pytest
from formats.example_models import manifest, read_answer_blocks
from scipy.integrate import solve_ivp

import symlump as sl
from symlump import formats

METHODS = {"forward": sl.Forward(), "backward": sl.Backward()}
ROWS = [row for row in manifest() if row["kind"] in METHODS]
INITIAL = {
    "one block": "one",
    "the file's partition": "file",
    "equal initial values": "values",
}


def read_row(folder, row):
    """The model as the row counts it, its number of variables checked."""
    path, constants = folder / row["file"], row.get("constants", "")
    kept = formats.read(path)
    if constants.startswith("species with zero derivative count"):
        assert len(kept.ode) == int(row["variables"])
        return kept
    if constants:
        assert constants.startswith("species with zero derivative replaced")
        model = formats.read(path, constants="values")
        assert len(model.dropped) == int(row["variables"])  # these rows count what was dropped
        return model
    # Without that text the note may say "after replacing the curried constants"; where it does not,
    # the number of variables says which of the two readings is meant.
    if "curried constants" in row["note"] or len(kept.ode) != int(row["variables"]):
        model = formats.read(path, constants="values")
        assert len(model.dropped) > 0
    else:
        model = kept
    assert len(model.ode) == int(row["variables"])
    return model


def name_of(row):
    stem = row["file"].split("/")[-1]
    return f"{stem}-{row['kind']}-{INITIAL[row['initial']]}-{row.get('constants', 'note')[-13:]}"


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_known_number_of_blocks(shared, row):
    model = read_row(shared / "models", row)
    kind = INITIAL[row["initial"]]
    assert kind != "file" or model.partition is not None
    lumping = sl.lump(model.ode, METHODS[row["kind"]], model.initial_partition(kind))
    assert lumping.exact
    verdict = lumping.certificate().check()
    assert verdict.accepted and verdict.coarsest
    assert len(lumping.blocks) == len(lumping.quotient) == int(row["blocks"])
    if "answer_file" not in row:
        return
    answer = shared / "models" / row["answer_file"]
    if answer.suffix == ".csv":  # the representative of each state's block
        representatives = [int(line) for line in answer.read_text().split()]
        assert lumping.partition == sl.Partition(representatives)
    else:
        assert {frozenset(block) for block in lumping.blocks} == set(read_answer_blocks(answer))


def test_all_rows_are_here(shared):
    assert len(ROWS) == 99
    assert sum("answer_file" in row for row in ROWS) == 11
    assert len(TOLERANT_ROWS) == 8


TOLERANT = {
    "eps-BDE": lambda eps: sl.Backward(eps),
    "eps-FDE(ERODE swap norm)": lambda eps: sl.Forward(eps, erode=True),
}
TOLERANT_ROWS = [row for row in manifest() if row["kind"] in TOLERANT]


@pytest.mark.parametrize("row", TOLERANT_ROWS, ids=lambda row: f"{row['file'][10:]}-{row['eps']}")
def test_known_number_of_blocks_within_a_tolerance(shared, row):
    assert (row["initial"], row["linkage"]) == ("one block", "closure")
    ode = formats.read(shared / "models" / row["file"]).ode
    assert len(ode) == int(row["variables"])
    lumping = sl.lump(ode, TOLERANT[row["kind"]](float(row["eps"])))
    assert len(lumping.partition) == int(row["blocks"])
    verdict = lumping.certificate().check()
    assert verdict.accepted and "reference model" in verdict.reason


@pytest.mark.parametrize(
    ("name", "constants", "method", "kind", "horizon"),
    [
        ("clue_ProteinPhosphorylation3.ode", "values", "forward", "one", 0.05),
        ("clue_ProteinPhosphorylation3.ode", "values", "backward", "values", 0.05),
        ("clue_fceri_ji.ode", "values", "forward", "one", 0.05),
        ("mln_ERODE_INPUT_crn_out_arenasPLsynth2_100_0._ode", "keep", "backward", "file", 0.01),
    ],
)
def test_lumping_commutes_with_time(shared, name, constants, method, kind, horizon):
    """Solving and then adding up is adding up and then solving."""
    model = formats.read(shared / "models" / "partition" / name, constants=constants)
    lumping = sl.lump(model.ode, METHODS[method], model.initial_partition(kind))
    small = model.quotient(lumping)
    assert len(small.ode) < len(model.ode)
    times = np.linspace(0, horizon, 11)
    large = lumping.aggregate(solve(model, times))
    scale = np.abs(large).max()
    assert np.abs(large - large[:, :1]).max() > 1e-3 * scale  # something happens
    assert np.abs(large - solve(small, times)).max() <= 1e-8 * scale


def solve(model, times):
    start = np.array([float(model.initial_values[name]) for name in model.ode.variables])
    solution = solve_ivp(
        lambda _, x: model.ode.rhs(x),
        (times[0], times[-1]),
        start,
        method="LSODA",
        t_eval=times,
        rtol=1e-11,
        atol=1e-11 * max(1.0, np.abs(start).max()),
    )
    assert solution.success, solution.message
    return solution.y
