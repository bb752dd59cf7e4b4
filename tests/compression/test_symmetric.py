"""Merging by activation symmetries: planted multiples come back, exactly, with proofs."""

import copy
import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.compression.symmetries.exact_rows import (
    Rows,
    UnitLift,
    aggregate,
    combination,
    proportional,
)
from symlump.errors import MethodError, NetworkError
from symlump.network.activations.table import ACTIVATIONS, activation
from symlump.proof.certificate import Certificate

NAMES = [
    *ACTIVATIONS,
    "leaky_relu:0.25",
    "hard_tanh:-0.5,2",
    "polynomial:0,0,2",
    "polynomial:0.5,1,0,-0.25",
]
NAMES += ["polynomial:1,2,-1", "polynomial:3,0,1"]


def dyadic(rng, *shape):
    """Floats of 17 bits, so that sums and products of some of them are floats."""
    values = rng.integers(-50_000, 50_001, size=shape) / 2**15
    return np.where(values == 0, 0.5, values)


def image(phi, rng):
    """Random (factor, shift, scale, offset): z' = factor·z + shift gives h' = scale·h + offset."""
    if phi.pieces is not None and not phi.pieces.kinks:
        factor, shift = rng.choice([-3.0, -0.5, 1.0, 2.0]), rng.choice([-1.0, 0.0, 0.25])
        return factor, shift, factor, shift
    factor = rng.choice([0.25, 1.0, 3.0, 6.0]) if phi.degree is not None else 1.0
    scale, offset = factor ** (phi.degree or 0), 0.0
    if phi.reflection is not None and rng.random() < 0.5:
        sign, constant = phi.reflection
        factor, scale, offset = -factor, sign * scale, float(constant)
    return factor, 0.0, scale, offset


def hide(network, rng):
    """Give each hidden unit images under the symmetries of its activation, then permute."""
    layers = list(network.chain.layers)
    for k in range(len(layers) - 1):
        layer, after = layers[k], layers[k + 1]
        owner = np.repeat(np.arange(layer.units), rng.integers(1, 4, size=layer.units))
        rng.shuffle(owner)
        images = np.array([image(layer.activation, rng) for _ in owner])
        _, first = np.unique(owner, return_index=True)
        images[first] = 1, 0, 1, 0  # one copy of each stays as it is
        factor, shift, scale, offset = images.T
        weight = dyadic(rng, after.units, owner.size)
        for j, keep in enumerate(first):
            others = np.setdiff1d(np.flatnonzero(owner == j), keep)
            weight[:, keep] = after.weight[:, j] - weight[:, others] @ scale[others]
        layers[k] = sl.Layer(
            factor[:, None] * layer.weight[owner],
            factor * layer.bias[owner] + shift,
            layer.activation,
        )
        layers[k + 1] = sl.Layer(weight, after.bias - weight @ offset, after.activation)
    return sl.Network(tuple(layers), network.dtype)


@st.composite
def planted(draw, names=NAMES):
    """(network, the same with hidden images of its units)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = [draw(st.integers(2, 4)) for _ in range(draw(st.integers(3, 4)))]
    network = sl.Network.dense(
        [dyadic(rng, m, n) for n, m in zip(widths, widths[1:], strict=False)],
        [dyadic(rng, m) for m in widths[1:]],
        draw(st.sampled_from(names)),
    )
    return network, hide(network, rng)


def assert_same_function(one, other, low=-1.0, high=1.0, tolerance=1e-12):
    x = np.random.default_rng(0).uniform(low, high, size=(60, one.chain.inputs))
    with np.errstate(over="ignore", invalid="ignore"):
        values, found = one.chain.activations(x), other(x)
        sizes = np.max([np.abs(h).max(axis=1) for h in values], axis=0)
        usable = np.isfinite(sizes)  # e^(e^z) leaves the range of floats
        gap = np.abs(values[-1] - found).max(axis=1)
    assert usable.any()
    assert (gap[usable] <= tolerance * np.maximum(1, sizes[usable])).all()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8)
@given(data=st.data())
def test_planted_images_come_back(name, data):
    network, hidden = data.draw(planted([name]))
    result = sl.compress(hidden, sl.Symmetric())
    assert result.network.widths == network.widths
    assert result.exact and result.defect == 0
    assert all(proof.check().accepted for proof in result.reduction.certificates)
    assert_same_function(hidden, result.network)
    for units, old, new in zip(
        result.unit_maps, hidden.chain.hidden, result.network.chain.hidden, strict=True
    ):
        assert units.shape == (old.units,) and set(units) == set(range(new.units))


@settings(max_examples=25)
@given(
    planted(
        ["relu", "leaky_relu:0.25", "abs", "hard_tanh", "relu6", "polynomial:0,0,2", "identity"]
    )
)
def test_equal_as_rational_functions(networks):
    """A second opinion that shares no code: the forward pass in exact arithmetic."""

    def exactly(network, x):
        for layer in network.chain.layers:
            rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
            z = [
                sum((Fraction(w) * h for w, h in zip(row, x, strict=True)), Fraction(b))
                for row, b in rows
            ]
            x = [layer.activation.exact_value(value) for value in z]
        return x

    small = sl.compress(networks[1], sl.Symmetric()).network
    for point in ([Fraction(1, 3)] * 4, [Fraction(-2), Fraction(1, 7), Fraction(5), Fraction(0)]):
        x = point[: small.chain.inputs]
        for one, other in zip(exactly(networks[1], x), exactly(small, x), strict=True):
            # Weights of the small network that are not floats were rounded once.
            assert abs(one - other) <= Fraction(1, 10**12) * (1 + abs(one))


@settings(max_examples=20)
@given(planted())
def test_never_larger_than_exact_equivalence(networks):
    symmetric = sl.compress(networks[1], sl.Symmetric())
    equivalent = sl.compress(networks[1], sl.AFDE(eps=0, refit=False))
    pairs = zip(symmetric.network.widths, equivalent.network.widths, strict=True)
    assert all(a <= b for a, b in pairs)


@settings(max_examples=15)
@given(planted(["relu", "tanh", "sigmoid", "abs", "identity"]), st.data())
def test_a_false_certificate_is_refused(networks, data):
    proof = sl.compress(networks[1], sl.Symmetric()).reduction.certificates[0]
    assert proof.check().accepted
    wrong = copy.deepcopy(proof.data)
    rows = [row for name, row in wrong["matrix"].items() if name[0] == "z" and len(row) > 1]
    if rows:
        term = data.draw(st.sampled_from(data.draw(st.sampled_from(rows))))
        term[0] = str(Fraction(term[0]) + Fraction(1, 3))
        assert Certificate(wrong).check().answer == "rejected"


def test_three_units_of_tanh_become_one():
    network = sl.Network.dense([[[1, 2], [1, 2], [-1, -2]], [[0.5, 0.25, 1.0]]], activation="tanh")
    result = sl.compress(network, sl.Symmetric())
    assert [layer.weight.tolist() for layer in result.network.chain.layers] == [[[1, 2]], [[-0.25]]]
    assert result.layers[0].blocks == 1 and "uses: tanh(−z) = −tanh(z)" in str(result)
    assert result.layers[1].retained_parameters == 1


def test_the_published_proportional_units(shared):
    """Outgoing weight 0.7 + 2·0.8 = 2.3; a published implementation gives 1.1."""
    path = shared / "models" / "nn_proportional_relu.json"
    if not path.is_file():
        pytest.skip("the example models are not here")
    data = json.loads(path.read_text())
    network = sl.Network.dense(
        [layer["W"] for layer in data["layers"]],
        [layer["b"] for layer in data["layers"]],
        "relu",
        "relu",
    )
    result = sl.compress(network, sl.Symmetric())
    assert result.exact
    assert result.network.chain.layers[2].weight.tolist() == [[pytest.approx(2.3, abs=1e-15)]]
    for layer, expected in zip(result.network.chain.layers, data["expected_quotient"], strict=True):
        assert layer.weight == pytest.approx(np.array(expected["W"]))
        assert layer.bias == pytest.approx(np.array(expected["b"]))
    for text, output in data["outputs"].items():
        assert result.network([json.loads(text)])[0, 0] == pytest.approx(output, abs=1e-12)


def test_the_complement_goes_into_the_next_bias():
    network = sl.Network.dense(
        [[[1.0, 0.5], [-1.0, -0.5]], [[3.0, 2.0]]], [[0.25, -0.25], [0.5]], "sigmoid"
    )
    small = sl.compress(network, sl.Symmetric()).network
    assert small.chain.layers[1].weight.tolist() == [[1.0]] and small.chain.layers[
        1
    ].bias.tolist() == [2.5]
    without = sl.Network.dense([[[1.0], [-1.0]], [[3.0, 2.0]]], activation="sigmoid")
    assert sl.compress(without, sl.Symmetric()).network.chain.layers[1].bias.tolist() == [2.0]


def test_float_rounding_is_not_proportionality():
    network = sl.Network.dense([[[0.1, 1.0], [0.3, 3.0]], [[1.0, 1.0]]], activation="relu")
    assert 3 * 0.1 != 0.3
    result = sl.compress(network, sl.Symmetric())
    assert result.network.widths == network.widths and result.exact
    near = sl.compress(network, sl.Symmetric(eps=1e-9))
    assert near.network.widths == (2, 1, 1) and not near.exact
    assert near.defect < 1e-14 and "exact" not in near.headline()


def test_units_without_inputs_are_constants():
    weights = [
        [[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]],
        [[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]],
        [[1.0, 1.0]],
    ]
    network = sl.Network.dense(weights, [[2.0, 0.0, -3.0], None, [0.0]], "relu")
    result = sl.compress(network, sl.Symmetric())
    assert result.exact and result.network.widths == (2, 1, 1, 1)
    assert [m.tolist() for m in result.unit_maps] == [[-1, 0, -1], [0, -1]]
    assert result.network.chain.layers[1].bias.tolist() == [2.0]
    assert result.network.chain.layers[2].bias.tolist() == [4.0]
    assert_same_function(network, result.network)


def test_a_rounded_constant_is_not_called_exact():
    network = sl.Network.dense([[[0.0], [1.0]], [[1.0, 1.0]]], [[0.5, 0.0], [0.0]], "tanh")
    result = sl.compress(network, sl.Symmetric())
    assert result.network.widths == (1, 1, 1) and not result.exact
    assert (
        "exact" not in result.headline()
        and "constants φ(b) rounded to floats: 1" in result.headline()
    )
    assert result.network.chain.layers[1].bias.tolist() == [np.tanh(0.5)]
    at_zero = sl.Network.dense([[[0.0], [1.0]], [[1.0, 1.0]]], None, "sigmoid")
    result = sl.compress(at_zero, sl.Symmetric())  # sigmoid(0) = 1/2 is no rounding
    assert result.exact and result.network.chain.layers[1].bias.tolist() == [0.5]


def test_units_that_nothing_reads_are_dropped():
    weights = [[[1.0], [2.0], [3.0]], [[1.0, 0.0, 2.0], [0.0, 5.0, 0.0]], [[1.0, 0.0]]]
    network = sl.Network.dense(weights, [[1.0, 2.0, 4.0], [0.0, 0.0], [0.0]], "tanh")
    result = sl.compress(network, sl.Symmetric())
    assert result.exact and result.network.widths == (1, 2, 1, 1)
    assert len(result.reduction.certificates) == 2
    assert [m.tolist() for m in result.unit_maps] == [[0, -1, 1], [0, -1]]
    assert_same_function(network, result.network)
    # Outgoing weights that cancel once units are merged.
    network = sl.Network.dense([[[1.0], [-1.0], [2.0]], [[3.0, 3.0, 1.0]]], activation="tanh")
    assert sl.compress(network, sl.Symmetric()).network.widths == (1, 1, 1)


@pytest.mark.parametrize("last", [[[0.0, 0.0]], [[1.0, -1.0]]])
def test_a_network_that_is_constant(last):
    network = sl.Network.dense(
        [[[1.0, 2.0]], [[1.0], [1.0]], last], [[0.5], [1.0, 1.0], [0.25]], "relu"
    )
    result = sl.compress(network, sl.Symmetric())
    assert result.exact and result.network.widths == (2, 1, 1, 1)
    assert result.network(np.ones((3, 2))).tolist() == [[0.25]] * 3
    assert all((units == -1).all() for units in result.unit_maps)


def test_on_a_box():
    weights = [
        [[1.0, 1.0], [1.0, -1.0], [2.0, 1.0], [-1.0, -1.0], [-3.0, -3.0]],
        [[1.0, 1, 1, 1, 1]],
    ]
    network = sl.Network.dense(weights, [[3.0, 0.0, -9.0, 4.0, 10.0], [0.0]], "relu")
    assert sl.compress(network, sl.Symmetric()).network.widths == network.widths
    for box in ((-1, 1), np.array([[-1.0, 1.0], [-1.0, 1.0]])):
        result = sl.compress(network, sl.Symmetric(box=box))
        # The third unit is off. The first, fourth and fifth are on, and multiples but for their biases.
        assert result.exact and result.network.widths == (2, 2, 1)
        assert result.unit_maps[0].tolist() == [0, 1, -1, 0, 0]
        assert "on the box, by interval arithmetic" in result.headline()
        assert_same_function(network, result.network)
        outside = np.array([[-8.0, 3.0]])
        assert network(outside) != result.network(outside)


@settings(max_examples=30)
@given(
    st.sampled_from(["relu", "leaky_relu:0.25", "hard_tanh", "relu6", "abs", "elu"]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.01, 0.1, 1.0]),
)
def test_random_networks_on_a_box(name, seed, radius):
    rng = np.random.default_rng(seed)
    network = sl.Network.dense(
        [rng.integers(-2, 3, size=(12, 2)) / 2, dyadic(rng, 6, 12), dyadic(rng, 2, 6)],
        [rng.integers(-3, 4, size=12) / 2, 4 * dyadic(rng, 6), dyadic(rng, 2)],
        name,
    )
    result = sl.compress(network, sl.Symmetric(box=(-radius, radius)))
    assert result.exact or result.reduction.note
    assert_same_function(network, result.network, -radius, radius)
    assert result.retained_parameters <= sl.compress(network, sl.Symmetric()).retained_parameters


def quantised(phi, levels, seed):
    """A trained network whose hidden weights are −levels … levels times a power of two."""
    torch.manual_seed(seed)
    x = torch.rand(256, 3) * 4 - 2
    target = torch.sin(x[:, :1]) * x[:, 1:2] + 0.3 * x[:, 2:] ** 2
    hidden, out = torch.nn.Linear(3, 48), torch.nn.Linear(48, 1)
    step = 1.0 / levels

    def rounded(tensor):  # the gradient passes as if nothing were rounded
        return (
            tensor
            + (torch.clamp(torch.round(tensor / step), -levels, levels) * step - tensor).detach()
        )

    optimizer = torch.optim.Adam([*hidden.parameters(), *out.parameters()], lr=0.02)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        h = phi(torch.nn.functional.linear(x, rounded(hidden.weight), rounded(hidden.bias)))
        loss = torch.mean((out(h) - target) ** 2)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    with torch.no_grad():
        hidden.weight.copy_(rounded(hidden.weight))
        hidden.bias.copy_(rounded(hidden.bias))
    return torch.nn.Sequential(hidden, phi, out)


@pytest.mark.parametrize(
    ("phi", "levels"), [(torch.nn.Tanh(), 1), (torch.nn.ReLU(), 2), (torch.nn.Sigmoid(), 1)]
)
def test_trained_low_bit_networks_lose_units_exactly(phi, levels):
    model = quantised(phi, levels, seed=0)
    result = sl.compress(model, sl.Symmetric())
    proofs = result.reduction.certificates
    if isinstance(phi, torch.nn.ReLU):  # constants of tanh and sigmoid, φ(b), are no floats
        assert result.exact and proofs and all(proof.check().accepted for proof in proofs)
    assert result.exact == bool(proofs) == ("rounded" not in result.reduction.note)
    alone = sl.compress(model, sl.AFDE(eps=0, refit=False))
    assert result.network.widths[1] < alone.network.widths[1] <= 48
    x = torch.rand(200, 3) * 4 - 2
    assert torch.allclose(model(x), result.model(x), atol=1e-5)
    assert_same_function(sl.from_torch(model), sl.compress(model.double(), sl.Symmetric()).network)


def test_torch_in_torch_out():
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.LeakyReLU(0.2), torch.nn.Linear(4, 2)
    )
    with torch.no_grad():
        model[0].weight[2] = 2 * model[0].weight[0]
        model[0].bias[2] = 2 * model[0].bias[0]
    result = sl.compress(model, sl.Symmetric())
    assert result.exact and isinstance(result.model[1], torch.nn.LeakyReLU)
    assert result.model[1].negative_slope == 0.2 and result.model[0].out_features == 3
    x = torch.randn(20, 3)
    assert torch.allclose(model(x), result.model(x), atol=1e-6)


# A tolerance


@pytest.mark.parametrize(
    "name", ["relu", "tanh", "sigmoid", "abs", "identity", "gelu", "polynomial:0,0,2"]
)
def test_a_tolerance_finds_noisy_images(name):
    rng = np.random.default_rng(5)
    network = sl.Network.dense(
        [rng.normal(size=(5, 4)), rng.normal(size=(3, 5))],
        [rng.normal(size=5), rng.normal(size=3)],
        name,
    )
    hidden = hide(network, rng)
    noise = 1e-4 * rng.normal(size=hidden.chain.layers[0].weight.shape)
    noisy = sl.Layer(
        hidden.chain.layers[0].weight * (1 + noise),
        hidden.chain.layers[0].bias,
        hidden.chain.layers[0].activation,
    )
    hidden = sl.Network((noisy, hidden.chain.layers[1]))
    result = sl.compress(hidden, sl.Symmetric(eps=1e-2))
    assert result.network.widths == network.widths and 0 < result.defect < 1e-2
    assert sl.compress(hidden, sl.Symmetric()).network.widths == hidden.widths
    assert_same_function(hidden, result.network, tolerance=2e-3)


def test_the_best_multiple_of_many():
    rng = np.random.default_rng(0)
    rows = np.outer([1.0, 2.0, 4.0], [1.0, -2.0, 0.5]) + 0.01 * rng.normal(size=(3, 3))
    network = sl.Network.dense([rows[:, :2], [[1.0, 1.0, 1.0]]], [rows[:, 2], [0.0]], "relu")
    result = sl.compress(network, sl.Symmetric(eps=0.5))
    assert result.network.widths == (2, 1, 1)
    # All count the same, so the squared defect is what the first singular vector leaves.
    assert result.defect == pytest.approx(np.sqrt((np.linalg.svd(rows)[1][1:] ** 2).sum()))


def test_retain():
    rng = np.random.default_rng(2)
    network = sl.Network.dense(
        [rng.normal(size=(20, 4)), rng.normal(size=(20, 20)), rng.normal(size=(2, 20))],
        [rng.normal(size=20), rng.normal(size=20), None],
        "tanh",
    )
    result = sl.compress(network, sl.Symmetric(retain=0.5))
    assert result.retained <= 0.5 and result.eps > 0 and not result.exact
    assert all(m.min() == 0 for m in result.unit_maps)
    exact = sl.Network.dense([[[1.0], [-1.0]], [[1.0, 2.0]]], activation="tanh")
    assert sl.compress(exact, sl.Symmetric(retain=0.5)).exact


def test_large_networks_are_proved_on_request():
    rng = np.random.default_rng(0)
    network = sl.Network.dense([[[1.0], [-1.0]], [[1.0, 2.0]]], activation="tanh")
    assert not sl.compress(network, sl.Symmetric(proof=False)).exact
    assert "proof not made" in sl.compress(network, sl.Symmetric(proof=False)).headline()
    wide = sl.Network.dense([rng.normal(size=(300, 200)), np.ones((1, 300))], activation="relu")
    assert not sl.compress(wide, sl.Symmetric()).exact


def test_bad_options():
    with pytest.raises(MethodError, match="not both"):
        sl.Symmetric(eps=0.1, retain=0.5)
    with pytest.raises(MethodError, match="share"):
        sl.Symmetric(retain=0)
    with pytest.raises(MethodError):
        sl.Symmetric(eps=-1.0)
    network = sl.Network.dense([[[1.0]], [[1.0]]])
    with pytest.raises(MethodError, match="box"):
        sl.compress(network, sl.Symmetric(box=(1, -1)))
    summed = sl.Layer(np.eye(2), None, activation("tanh"), np.array([0, 0]))
    with pytest.raises(NetworkError, match="groups"):
        sl.compress(sl.Network((summed, sl.Layer(np.ones((1, 1)), None))), sl.Symmetric())


# Exact rows

numbers = (
    st.floats(1e-200, 1e3)
    | st.floats(-1e3, -1e-200)
    | st.sampled_from([0.0, 0.1, 1e-30, 3.0, 2.0**60])
)
factors = st.sampled_from([Fraction(1), Fraction(-1), Fraction(3), Fraction(1, 3), Fraction(-5, 7)])
factors |= st.sampled_from([Fraction(0.1), Fraction(2) ** 70, Fraction(1, 2**60)])


@settings(max_examples=150)
@given(st.lists(st.tuples(factors, numbers, numbers), min_size=1, max_size=6))
def test_combinations_are_exact(terms):
    matrix = np.array([[a for _, a, _ in terms], [b for _, _, b in terms]])
    column = combination(matrix, [f for f, _, _ in terms])
    for row, found in zip(matrix.tolist(), (column.entry(0), column.entry(1)), strict=True):
        assert found == sum(f * Fraction(w) for (f, _, _), w in zip(terms, row, strict=True))
    rest = [Fraction(0), Fraction(0)]
    for part in reversed(column.parts):  # each part is the float nearest to what it stands for
        for unit in (0, 1):
            rest[unit] += Fraction(part[unit])
            assert float(rest[unit]) == part[unit]


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans(), st.booleans())
def test_proportional_rows(seed, scale, reflect, merged):
    """Against the definition, pair by pair, in Fractions."""
    rng = np.random.default_rng(seed)
    weight = rng.choice([-3, -1.5, -0.1, 0.1, 0.2, 0.3, 1, 2, 3], size=(10, 2))
    lift = UnitLift.identity(2)
    if merged:
        lift = UnitLift(
            np.array([0, 0]), (Fraction(1), Fraction(1, 3)), (Fraction(0), Fraction(1, 10))
        )
    rows = aggregate(weight, rng.choice([0.0, 0.3, 1.0], size=10), lift)
    units = np.flatnonzero(rows.nonzero().any(axis=1))
    labels, found = proportional(rows, units, scale, reflect)
    exact = [[rows.entry(int(u), c) for c in range(rows.floats.shape[1])] for u in units]
    for i, row in enumerate(exact):
        leader, rho = exact[labels[i]], found[i]
        assert row == [rho * value for value in leader]
        assert (scale or abs(rho) == 1) and (reflect or rho > 0)
        for j in range(i):
            at = next(k for k, value in enumerate(exact[j]) if value)
            ratio = row[at] / exact[j][at]
            related = ratio != 0 and row == [ratio * value for value in exact[j]]
            related &= (scale or abs(ratio) == 1) and (reflect or ratio > 0)
            assert related == (labels[i] == labels[j])


def test_huge_and_tiny_weights():
    rows = Rows(
        np.array([[1e300, 3e-300], [2e300, 6e-300], [5e-320, 1e-320], [1e-319, 2e-320]]), {}
    )
    labels, found = proportional(rows, np.arange(4), True, True)
    assert labels.tolist() == [0, 0, 2, 2] and found[1] == found[3] == 2
