"""Generated data: right equations, right solutions."""

import numpy as np
import pytest
from formats.example_models import example
from scipy.linalg import expm

import symlump as sl
from symlump.datasets import dynamics, systems
from symlump.errors import FailureError, MethodError


@pytest.mark.parametrize("depth", range(2, 9))
def test_h_trees_have_one_block_per_level(depth):
    exact = systems.h_tree(depth)
    assert len(exact) == 2**depth - 1
    for method in (sl.Backward(), sl.Forward()):
        lumping = sl.lump(exact, method)
        assert len(lumping.blocks) == depth
        assert {len(block) for block in lumping.blocks} == {2**k for k in range(depth)}
    for seed in range(3):
        tolerant = systems.h_tree(depth, 0.01, seed)
        assert len(sl.lump(tolerant, sl.Backward()).blocks) > depth
        blocks = sl.lump(tolerant, sl.Backward(eps=6e-4)).blocks
        assert sorted(map(len, blocks)) == [2**k for k in range(depth)]


@pytest.mark.parametrize("depth", [2, 5, 8])
def test_h_trees_are_the_published_circuits(depth):
    published = sl.read(example(f"partition/generated_hTree{depth}_eta0_seed0.ode")).ode
    mine = systems.h_tree(depth)
    x = np.random.default_rng(0).uniform(0, 2, size=(len(mine), 20))
    assert mine.rhs(x) == pytest.approx(published.rhs(x), abs=1e-12)


def test_polymerization_is_the_published_model():
    published = sl.read(example("partition/clue_andrea_perturbedpolymers2.ode")).ode
    mine = systems.polymerization()
    x = np.random.default_rng(0).uniform(0, 10, size=(9, 20))
    rows = [
        published.index[name]
        for name in ("A1", "A2", "A1p", "A2p", "H", "H2", "C2H2", "A1CHCHp", "A2CHCHp")
    ]
    state = np.ones((len(published), 20))
    state[rows] = x
    assert mine.rhs(x) == pytest.approx(published.rhs(state)[rows])


def test_polymerization_by_tolerance():
    assert len(sl.lump(systems.polymerization(), sl.Forward()).blocks) == 9
    lumping = sl.lump(
        systems.polymerization(),
        sl.Forward(eps=0.1),
        [["A1", "A2"], ["A1p", "A2p"], ["A1pC2H2", "A2pC2H2"], ["H"], ["H2"], ["C2H2"]],
    )
    assert len(lumping.blocks) == 6


def test_complex_formation_keeps_free_and_bound_apart():
    lumping = sl.lump(systems.complex_formation((5, 7, 2, 3)), sl.Forward())
    assert lumping.exact and len(lumping.blocks) == 3


def test_bad_systems_are_refused():
    with pytest.raises(MethodError, match="1 to 8 levels"):
        systems.h_tree(9)
    with pytest.raises(MethodError, match="per cent"):
        systems.h_tree(3, -1.0)


TASKS = [
    dynamics.reaction_network,
    dynamics.h_tree_circuit,
    dynamics.polymer_growth,
    dynamics.glycolytic_oscillator,
]


@pytest.mark.parametrize("task", TASKS)
def test_derivatives_are_limits_of_transitions(task):
    step = 1e-5
    slopes, after = task(30, seed=4), task(30, seed=4, step=step)
    assert np.array_equal(slopes.inputs, after.inputs)
    quotient = (after.targets - after.inputs) / step
    assert quotient == pytest.approx(
        slopes.targets, rel=1e-2, abs=1e-2 * np.abs(slopes.targets).max()
    )
    assert slopes.target_names[0].startswith("d") and after.target_names[0].endswith("(t+Δt)")


@pytest.mark.parametrize("task", TASKS)
def test_seeds(task):
    assert np.array_equal(task(5, seed=1).targets, task(5, seed=1).targets)
    assert not np.array_equal(task(5, seed=1).inputs, task(5, seed=2).inputs)


def test_linear_systems_step_by_the_matrix_exponential():
    data = dynamics.h_tree_circuit(20, step=0.5, depth=3)
    ode = systems.h_tree(3, 0.01)
    zero = np.zeros(7)
    constant = ode.rhs(zero)
    matrix = ode.rhs(np.eye(7)) - constant[:, None]
    rest = np.linalg.solve(matrix, -constant)
    expected = rest + (data.inputs - rest) @ expm(0.5 * matrix).T
    assert data.targets == pytest.approx(expected, abs=1e-8)


def test_mass_is_conserved_by_the_reaction_network():
    data = dynamics.reaction_network(50, step=1.0)
    for state in (data.inputs, data.targets):
        totals = state[:, [0, 1, 3, 4]].sum(axis=1), state[:, [2, 3, 4]].sum(axis=1)
        before = data.inputs[:, [0, 1, 3, 4]].sum(axis=1), data.inputs[:, [2, 3, 4]].sum(axis=1)
        assert np.allclose(totals, before)


def test_bad_tasks_are_refused():
    with pytest.raises(MethodError, match="step=0"):
        dynamics.reaction_network(5, step=0)
    with pytest.raises(MethodError, match="samples=0"):
        dynamics.reaction_network(0)
    with pytest.raises(FailureError, match="could not be integrated"):
        dynamics.learning_task(
            "blow-up", ("x",), lambda x: x**2, np.ones(1), np.ones(1), 1, 0, step=2.0
        )
