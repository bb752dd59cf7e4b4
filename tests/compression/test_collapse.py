"""No size that is asked for leaves a network whose outputs no longer depend on its inputs."""

import numpy as np
import pytest
import torch
from compression.residual_network import Residual
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.compression.collapse import OutputWatch

METHODS = {
    "functions": lambda share: sl.AFDE(retain=share),
    "functions, sums": lambda share: sl.AFDE(retain=share, refit=False),
    "functions, by output": lambda share: sl.AFDE(retain=share, relative_to="output"),
    "coefficients": lambda share: sl.AFDE(retain=share, distance="coefficients"),
    "coefficients, refit": lambda share: sl.AFDE(retain=share, distance="coefficients", refit=True),
    "coefficients, own unit": lambda share: sl.AFDE(retain=share, relative=False),
    "diameter": lambda share: sl.AFDE(retain=share, relative=False, linkage="diameter"),
    "dependence": lambda share: sl.Dependence(retain=share),
    "symmetric": lambda share: sl.Symmetric(retain=share),
}

#: Seeds, widths and shares at which some method, left alone, makes ReLU units that are 0 for every input.
KNOWN = (
    (33, (6, 4, 7), 0.15, 0.4),
    (74, (3, 5, 3, 6), 0.3, 0.5),
    (99, (17, 11, 2, 20), 0.15, 0.5),
    (100, (4, 7), 0.15, 0.6),
    # One unit a layer is all that there is room for: which one lives depends on what those before it became.
    (46, (11, 3, 3), 0.15, 0.08315041494002416),
)


def network(seed, widths, activation, weak):
    """A network of which one layer is weak, and its units near to one another."""
    rng = np.random.default_rng(seed)
    sizes = [3, *widths, 2]
    weights = [
        rng.standard_normal((b, a)) / np.sqrt(a) for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    weights[rng.integers(len(weights) - 1)] *= weak
    biases = [rng.standard_normal(b) for b in sizes[1:]]
    return sl.Network.dense(weights, biases, activation), rng.standard_normal((300, 3))


def check_moves(net, x, method):
    """Whether the outputs of the smaller network move; what is not reached is refused."""
    try:
        small = sl.compress(net, method).network
    except sl.errors.FailureError as error:
        assert "smallest reachable size" in str(error) or "whatever the inputs" in str(error)
        return
    moves, still = (np.ptp(n(x), axis=0).max() for n in (small, net))
    assert moves > 1e-6 * still


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=3, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    seed=st.integers(0, 10_000),
    widths=st.lists(st.integers(2, 20), min_size=2, max_size=4),
    activation=st.sampled_from(["relu", "tanh", "sigmoid"]),
    share=st.sampled_from([0.5, 0.3, 0.15]),
    weak=st.floats(0.02, 1.0),
)
def test_outputs_still_depend_on_the_inputs(name, seed, widths, activation, share, weak):
    net, x = network(seed, widths, activation, weak)
    assume(np.ptp(net(x), axis=0).max() > 0)
    check_moves(net, x, METHODS[name](share))


@pytest.mark.parametrize("name", METHODS)
def test_units_that_would_die_do_not(name):
    for seed, widths, share, weak in KNOWN:
        net, x = network(seed, widths, "relu", weak)
        check_moves(net, x, METHODS[name](share))


def test_residual_networks_do_not_collapse():
    torch.manual_seed(0)
    net = sl.from_torch(Residual().eval(), torch.zeros(1, 1, 6, 6))
    x = np.random.default_rng(0).standard_normal((40, 1, 6, 6))
    for name in ("functions, by output", "coefficients", "dependence", "symmetric"):
        for share in (0.5, 0.2):
            check_moves(net, x, METHODS[name](share))


def test_what_keeps_the_outputs_moving_is_said():
    """And the lumping behind it is one: its quotient is the equation of the network that is returned."""
    net, x = network(100, (4, 7), "relu", 0.6)
    method = sl.AFDE(retain=0.15, distance="coefficients")
    result = sl.compress(net, method)
    assert "or the outputs would stand still" in result.headline()
    assert result.method.lively or result.method.floor
    again = sl.compress(net, result.method)  # which says so
    assert np.array_equal(again.network(x), result.network(x))
    (lumping,) = result.lumpings
    assert sl.decode(lumping)(x) == pytest.approx(result.network(x), rel=1e-5)
    assert lumping.certificate().check().accepted
    found = sl.search(net, sl.AFDE(eps=0, distance="coefficients"), retain=0.15)
    assert np.array_equal(found.network(x), result.network(x))


def test_the_means_that_live_are_an_option():
    """And the method that is returned has it, whatever is compared."""
    net, x = network(*(KNOWN[-1][0], KNOWN[-1][1], "relu", KNOWN[-1][3]))
    for options in ({"distance": "coefficients"}, {"refit": False}, {"relative": False}):
        result = sl.compress(net, sl.AFDE(retain=0.15, **options))
        again = sl.compress(net, result.method)
        assert np.array_equal(again.network(x), result.network(x)) and np.ptp(again.network(x)) > 0
        assert ("means follow the units that vary most" in str(again)) == result.method.lively


def test_a_tolerance_that_makes_outputs_constant_is_taken_at_its_word():
    net, x = network(100, (4, 7), "relu", 0.6)
    result = sl.compress(net, sl.AFDE(eps=1e6, distance="coefficients"))
    assert np.ptp(result.network(x), axis=0).max() == 0
    assert "the outputs hardly depend on the inputs any more" in result.headline()


def test_inputs_that_are_stated_decide_what_moves():
    """Units that are 0 for every standard normal input, and not for those of the network."""
    weights = [np.array([[1.0], [1.1], [1.2]]), np.ones((1, 3))]
    net = sl.Network.dense(weights, [np.full(3, -50.0), np.zeros(1)], "relu")
    x = np.linspace(60, 70, 50)[:, None]
    small = sl.compress(net, sl.AFDE(retain=0.5, inputs=x)).network
    assert np.ptp(small(x)) > 10


def test_a_size_at_which_every_network_is_constant_is_refused():
    """relu(h − 1.5·g − 0.2) is 0 whatever h is, once g is the same unit."""
    weights = [np.array([[1.0], [1.0]]), np.array([[1.0, -1.5]]), np.ones((1, 1))]
    net = sl.Network.dense(weights, [np.array([0.0, -1.0]), np.full(1, -0.2), np.zeros(1)], "relu")
    for options in ({"distance": "coefficients"}, {"refit": False}):
        with pytest.raises(
            sl.errors.FailureError, match="give the same outputs whatever the inputs"
        ):
            sl.compress(net, sl.AFDE(retain=0.8, **options))
    assert sl.compress(net, sl.AFDE(eps=9, refit=False)).retained_parameters == 6  # at its word


def test_a_first_glance_decides_only_where_outputs_clearly_move():
    """On outputs that are at hand in single precision, which do not tell what moves little from rounding."""
    x = np.random.default_rng(5).normal(size=(200, 2))
    net = sl.Network.dense([[[1.0, 2.0], [0.5, -1.0]], [[1.0, 1.0]]])
    dead = sl.Network.dense([[[0.0, 0.0], [0.0, 0.0]], [[1.0, 1.0]]])
    seen = net.flat(x).astype(np.float32)
    for outputs in (None, seen, seen[:10], np.ones_like(seen)):  # too few, and as if nothing moved
        watch = OutputWatch(net, (x,), outputs)
        assert not watch.is_blind and watch.moves(net) and not watch.moves(dead)
    assert OutputWatch(dead, (x,), np.zeros_like(seen)).is_blind


def test_a_first_glance_takes_outputs_that_are_at_hand_of_few_of_many_samples():
    """However many samples there are, those whose outputs are known are enough, as long as they are 64."""
    x = np.random.default_rng(6).normal(size=(5000, 2))
    net = sl.Network.dense([[[1.0, 2.0], [0.5, -1.0]], [[1.0, 1.0]]])
    seen = net.flat(x[:256]).astype(np.float32)
    glance = OutputWatch(net, (x,), seen)._glance
    (few,) = glance._few
    assert np.shares_memory(glance._own, seen) and len(few) == 64
    np.testing.assert_allclose(net.flat(few), glance._own, atol=1e-6)
