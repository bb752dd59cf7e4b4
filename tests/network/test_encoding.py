"""Networks as differential equations: planted duplicates, duality, the forward pass."""

from fractions import Fraction
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import ACTIVATIONS, hide, planted_networks, random_network
from scipy.integrate import solve_ivp

import symlump as sl
from symlump.errors import MethodError, NetworkError
from symlump.network.activations.table import ACTIVATIONS as TABLE
from symlump.network.activations.table import activation as activation_named
from symlump.network.equations.term_blocks import TermBlocks
from symlump.ode.monomials import Monomials


@settings(max_examples=100)
@given(planted_networks(), st.integers(0, 2**31))
def test_planted_duplicates_come_back(planted, seed):
    network, hidden = planted
    result = sl.compress(hidden, sl.AFDE(eps=0))
    assert result.network.widths == network.widths
    assert result.exact
    x = np.random.default_rng(seed).normal(size=(50, network.chain.inputs))
    expected = hidden(x)
    scale = max(1.0, np.abs(expected).max())
    assert np.abs(result.network(x) - expected).max() <= 1e-12 * scale
    for layer, old, units in zip(
        result.network.layers, network.layers, [*result.unit_maps, None], strict=True
    ):
        assert sorted(layer.bias.tolist()) == sorted(old.bias.tolist())
        if units is not None:
            assert units.shape == (hidden.layers[result.network.layers.index(layer)].units,)


@st.composite
def term_blocks(draw):
    """Blocks of terms in the shapes that layers have, in order or not, with zeros now and then."""
    apart, lines_sorted, columns_sorted = (draw(st.integers(0, 3)) > 0 for _ in range(3))
    rng, blocks = np.random.default_rng(draw(st.integers(0, 2**31))), []
    for number in range(draw(st.integers(0, 4))):
        size = draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)))
        lines = rng.choice(15, size[0], replace=False)[:, None, None] + 15 * number * apart
        lines = np.sort(lines, axis=0) if lines_sorted else lines
        kind = draw(
            st.sampled_from(["product", "lines", "flat"] if not apart else ["product", "lines"])
        )
        shape = {"product": (1, *size[1:]), "lines": size, "flat": size}[kind]
        columns = rng.permuted(np.tile(np.arange(60), (shape[0], 1)), axis=1)[:, : prod(shape[1:])]
        columns = (np.sort(columns, axis=1) if columns_sorted else columns).reshape(shape)
        values = rng.integers(draw(st.sampled_from([0, 1])), 4, size).astype(float)
        if kind == "flat":
            lines, columns, values = (
                np.broadcast_to(a, size).ravel() for a in (lines, columns, values)
            )
            order = rng.permutation(values.size)
            lines, columns, values = lines[order], columns[order], values[order]
        elif draw(st.booleans()) and kind == "product":
            columns = columns[0]  # as a matrix has it, without the first axis
        blocks.append((lines, columns, values))
    return blocks


@given(term_blocks())
def test_blocks_give_the_terms_one_by_one(blocks):
    """In order or not, with zeros and repetitions: what adding term by term gives."""
    names = [f"x{i}" for i in range(60)]
    monomials = Monomials(np.arange(61), np.arange(60), np.ones(60, dtype=np.int64))
    built = TermBlocks(monomials)
    expected = {}
    for rows, columns, values in blocks:
        built.add(rows, columns, values)
        for row, column, value in np.broadcast(rows, columns, values):
            expected[row, column] = expected.get((row, column), 0) + value
    system = built.system(names)
    variables = system.monomials.variables[system.columns]
    found = zip(system.rows.tolist(), variables.tolist(), strict=True)
    assert dict(zip(found, map(float, system.coefficients), strict=True)) == {
        key: value for key, value in sorted(expected.items()) if value
    }
    assert list(zip(system.rows, variables, strict=True)) == sorted(
        k for k, v in expected.items() if v
    )
    assert set(system.columns.tolist()) == set(range(len(system.monomials)))


def unit_partition(lumping, kind, layer):
    ode = lumping.ode
    name = ode.network.layers[layer - 1].name
    return sl.Partition(lumping.partition.labels[ode.where(name, kind)])


@settings(max_examples=60)
@given(planted_networks())
def test_duality(planted):
    """Forward equivalence of the influence form = backward equivalence of the state form."""
    hidden = planted[1]
    forward = sl.lump(sl.encode(hidden, "influence"), sl.Forward())
    backward = sl.lump(sl.encode(hidden, "state"), sl.Backward())
    assert forward.exact and backward.exact
    for number in range(1, len(hidden.chain.layers)):
        assert unit_partition(forward, "unit", number) == unit_partition(backward, "z", number)
        assert unit_partition(forward, "unit", number) == unit_partition(backward, "h", number)
    one, other = sl.decode(forward), sl.decode(backward)
    for a, b in zip(one.chain.layers, other.chain.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_duality_with_equal_sums_and_different_weights(activation):
    """Groups of blocks: units whose single weights differ and whose block sums agree."""
    first = [[1, 0], [1, 0], [0, 1], [0, 1]]
    second = [[0.25, 0.75, 2, -1], [0.5, 0.5, -3, 4], [1, 0, 1, 1]]
    network = sl.Network.dense([first, second, [[1, 2, 3]]], [[0] * 4, [1, 1, 1], [0]], activation)
    forward = sl.lump(sl.encode(network), sl.Forward())
    backward = sl.lump(sl.encode(network, "state"), sl.Backward())
    assert sl.decode(forward).widths == sl.decode(backward).widths == (2, 2, 2, 1)
    assert unit_partition(forward, "unit", 2).labels.tolist() == [0, 0, 1]
    assert unit_partition(backward, "z", 2).labels.tolist() == [0, 0, 1]


EVERY = [*TABLE, "leaky_relu:0.2", "elu:2", "hard_tanh:-0.5,2", "polynomial:0.25,1,-0.5"]


@pytest.mark.parametrize("activation", EVERY)
def test_the_state_form_ends_at_the_forward_pass(activation):
    rng = np.random.default_rng(3)
    network = sl.Network.dense(
        [rng.normal(size=(6, 3)), 0.5 * rng.normal(size=(5, 6)), rng.normal(size=(2, 5))],
        [rng.normal(size=6), rng.normal(size=5), None],
        activation,
    )
    ode = sl.encode(network, "state")
    inputs = rng.normal(size=3)
    solution = solve_ivp(
        lambda t, x: ode.rhs(x), (0, 60), ode.start(inputs), rtol=1e-10, atol=1e-12
    )
    assert ode.outputs(solution.y[:, -1]) == pytest.approx(network(inputs[None])[0], abs=1e-8)
    rule, phi = network.chain.layers[0].activation.rule, network.chain.layers[0].activation
    if not rule.switches:  # what the rule calls φ(z) is φ(z) all the way, not only at the end
        values = np.zeros((5, solution.t.size))
        for letters, c in rule.output.items():
            parts = [solution.y[ode.where("layers.1", letter)] for letter in letters]
            values += float(c) * np.prod(parts, axis=0) if letters else float(c)
        z = solution.y[ode.where("layers.1", "z")]
        assert values == pytest.approx(phi(z), abs=1e-7)
        assert np.ptp(z, axis=1).min() > 0.1


@pytest.mark.parametrize("activation", EVERY)
def test_every_rule_lumps_what_the_influence_form_lumps(activation):
    rng = np.random.default_rng(7)
    hidden = hide(random_network(rng, [2, 3, 3, 1], activation), rng)
    forward = sl.lump(sl.encode(hidden), sl.Forward())
    backward = sl.lump(sl.encode(hidden, "state"), sl.Backward())
    assert forward.exact and backward.exact
    for one, other in zip(
        sl.decode(forward).chain.layers, sl.decode(backward).chain.layers, strict=True
    ):
        assert one.activation == other.activation == activation_named(activation) or one.units == 1
        assert np.array_equal(one.weight, other.weight) and np.array_equal(one.bias, other.bias)


@pytest.mark.parametrize("activation", ["hard_tanh", "relu6", "leaky_relu", "abs", "elu"])
def test_switches_tell_the_piece(activation):
    network = sl.Network.dense([[[1.0]], [[1.0]]], activation=activation)
    ode = sl.encode(network, "state")
    rule = network.chain.layers[0].activation.rule
    for x in (-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 6.0, 7.0):
        start = ode.start([x])
        on = {letter: start[ode.where("layers.0", letter)][0] for letter in rule.switches}
        assert set(on.values()) <= {0.0, 1.0} and sum(on.values()) <= 1
        phi = sum(
            float(c) * np.prod([{"z": x, "a": np.exp(x), **on}[letter] for letter in letters])
            for letters, c in rule.output.items()
        )
        assert phi == pytest.approx(network.chain.layers[0].activation(np.array(x)), abs=1e-15)


def test_state_reduction_sums_units_with_equal_outgoing_weights():
    rng = np.random.default_rng(0)
    after = rng.normal(size=(3, 2))[:, [0, 1, 0, 1, 1]]
    network = sl.Network.dense(
        [rng.normal(size=(5, 4)), after, rng.normal(size=(1, 3))],
        [rng.normal(size=5), rng.normal(size=3), [0.5]],
        "tanh",
    )
    result = sl.compress(network, sl.AFDE(eps=0, on="state"))
    assert result.exact
    assert result.network.chain.layers[0].groups.tolist() == [0, 1, 0, 1, 1]
    assert result.network.chain.layers[1].weight.shape == (3, 2)
    x = rng.normal(size=(20, 4))
    assert result.network(x) == pytest.approx(network(x), abs=1e-13)
    with pytest.raises(NetworkError, match="not encoded again"):
        sl.encode(result.network)


def test_forward_equivalence_of_the_plain_derivative_rule_never_merges():
    """Why the state form has an output variable h beside a = tanh(z); see docs."""
    import sympy

    u, z1, z2, a1, a2, y = sympy.symbols("u z1 z2 a1 a2 y")
    plain = sl.PolynomialODE.from_sympy(
        {
            u: 0 * u,
            z1: u - z1,
            z2: u - z2,
            a1: (1 - a1**2) * (u - z1),
            a2: (1 - a2**2) * (u - z2),
            y: a1 + a2 - y,
        }
    )
    result = sl.lump(plain, sl.Forward(), [["u"], ["z1", "z2"], ["a1", "a2"], ["y"]])
    assert len(result.partition) == 6
    backward = sl.lump(plain, sl.Backward(), [["u"], ["z1", "z2"], ["a1", "a2"], ["y"]])
    assert len(backward.partition) == 4


def test_terms_grow_with_the_weights():
    rng = np.random.default_rng(0)
    counts = [sl.encode(random_network(rng, [n, n, n], "tanh"), "state").terms for n in (8, 16)]
    assert counts[1] <= 4 * counts[0]
    influence = sl.encode(random_network(rng, [8, 9, 3], "tanh"))
    assert influence.terms == 8 * 9 + 9 + 9 * 3 + 3


def test_decode_refuses_what_is_not_a_network():
    import sympy

    x = sympy.Symbol("x")
    plain = sl.lump(sl.PolynomialODE.from_sympy({x: -x}), sl.Forward())
    with pytest.raises(MethodError, match="lumping of encode"):
        sl.decode(plain)
    network = sl.Network.dense([[[1.0]], [[1.0]]])
    with pytest.raises(MethodError, match="form='state'"):
        sl.decode(sl.lump(sl.encode(network), sl.Backward()))
    with pytest.raises(MethodError, match="'adjoint' is unknown"):
        sl.encode(network, "adjoint")


def test_hidden_copies_really_sum_exactly():
    rng = np.random.default_rng(1)
    network = random_network(rng, [2, 3, 2], "tanh")
    large = hide(network, rng)
    for i in range(2):
        total = sum(Fraction(float(w)) for w in large.chain.layers[1].weight[i])
        assert total == sum(Fraction(float(w)) for w in network.chain.layers[1].weight[i])


@pytest.mark.parametrize(
    ("weights", "biases", "says"),
    [
        ([[[1.0, 2.0]], [[1.0, 2.0]]], None, "layer 1 takes 2 inputs"),
        ([[[float("nan"), 2.0]]], None, r"layer 0: weight\[0, 0\] is nan"),
        ([[[1.0, float("inf")]]], None, r"weight\[0, 1\] is inf"),
        ([[[1.0]]], [[1.0, 2.0]], "bias of shape"),
        ([[1.0, 2.0]], None, "units × inputs"),
        ([], None, "no layers"),
        ([[[1.0]], [[1.0]]], [[1.0]], "2 weight matrices but 1 biases"),
    ],
)
def test_bad_networks(weights, biases, says):
    with pytest.raises(NetworkError, match=says):
        sl.Network.dense(weights, biases)


@pytest.mark.parametrize("name", ["gelo", "polynomial:", "polynomial:1,x", "polynomial:1,nan"])
def test_bad_activations(name):
    with pytest.raises(NetworkError, match="polynomial"):
        sl.Network.dense([[[1.0]], [[1.0]]], activation=name)
