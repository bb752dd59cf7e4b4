import itertools
import math

import numpy as np
import pytest
import scipy.stats
import sympy
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import eval_hermitenorm

import symlump as sl
from symlump.bench.train import multilayer, train
from symlump.compression.dependences import exact_dependence
from symlump.compression.dependences.dependence import Dependence
from symlump.compression.dependences.elimination import Readers, eliminate
from symlump.compression.dependences.metrics import metrics
from symlump.compression.moments import Hermite, Normal, Sampled, moments_of
from symlump.datasets.dynamics import glycolytic_oscillator
from symlump.errors import CertificateError, FailureError, MethodError, NetworkError
from symlump.network.network import Layer, Network
from symlump.network.torch_io import from_torch
from symlump.proof.certificate import Certificate


def chain(seed, widths, activation="tanh", bias=True):
    rng = np.random.default_rng(seed)
    pairs = list(zip(widths, widths[1:], strict=False))
    return Network.dense(
        [rng.normal(size=(m, n)) / np.sqrt(n) for n, m in pairs],
        [rng.normal(size=m) if bias else None for _, m in pairs],
        activation,
    )


def planted(seed, activation, inputs=4, widths=(6, 5), outputs=2):
    """A network with dependent units added to each layer, their places shuffled; and how many."""
    rng = np.random.default_rng(seed)
    layers, before, added = [], inputs, 0
    h = rng.normal(size=(1000, inputs))
    phi = sl.Network.dense([[[1.0]], [[1.0]]], activation=activation).chain.layers[0].activation
    for width in widths:
        w = rng.normal(size=(width, before)) / np.sqrt(before)
        b = rng.normal(size=width) / 10 - np.median(h @ w.T, axis=0)  # both sides of 0 are seen
        one, two = rng.normal(size=2)
        if activation == "relu":
            # relu(z) − relu(−z) = z, and the third z is a combination of two others with a constant
            z = np.vstack([w[:2], one * w[:1] + two * w[1:2]])
            c = np.array([b[0], b[1], one * b[0] + two * b[1] + 0.3])
            w = np.vstack([w, -w[:2], z[2:], -z[2:], 2.5 * w[2:3]])
            b = np.concatenate([b, -b[:2], c[2:], -c[2:], 2.5 * b[2:3]])
            added += 2
        elif activation == "tanh":
            w = np.vstack([w, w[:1], -w[1:2], 0 * w[:1]])
            b = np.concatenate([b, b[:1], -b[1:2], [0.4]])
            added += 3
        else:  # σ(−z) = 1 − σ(z)
            w, b = np.vstack([w, -w[:2]]), np.concatenate([b, -b[:2]])
            added += 2
        order = rng.permutation(len(b))
        layers.append((w[order], b[order]))
        before, h = len(b), phi(h @ w[order].T + b[order])
    layers.append((rng.normal(size=(outputs, before)), rng.normal(size=outputs)))
    return Network.dense(*zip(*layers, strict=True), activation), added


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), activation=st.sampled_from(["relu", "tanh", "sigmoid"]))
def test_planted_dependence_is_removed_and_nothing_else(seed, activation):
    network, added = planted(seed, activation)
    h = Normal().sample(4096, 4)
    for layer in network.chain.hidden:  # a ReLU that all samples see on one side is linear there
        z, h = layer.pre_activation(h), layer(h)
        assume(activation != "relu" or ((z > 0).any(axis=0) & (z < 0).any(axis=0)).all())
    result = sl.compress(network, Dependence(eps=0))
    assert sum(network.widths) - sum(result.network.widths) == added
    assert sum(int((m == -1).sum()) for m in result.unit_maps) == added
    # The identities hold everywhere, not only where the inputs were drawn.
    x = np.random.default_rng(seed + 1).uniform(-4, 4, size=(200, network.chain.inputs))
    expected = network(x)
    assert np.abs(result.network(x) - expected).max() <= 1e-10 * np.abs(expected).max()
    assert not result.exact  # seen on samples, proved by nothing


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_planted_dependence_is_removed_from_wide_layers(dtype):
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(250, 20)) / np.sqrt(20), rng.normal(size=250)
    w, b = np.vstack([w, w[:4], -w[4:7]]), np.concatenate([b, b[:4], -b[4:7]])
    second, last = rng.normal(size=(260, 257)) / 16, rng.normal(size=(3, 260)) / 16
    second[250:] = second[:10]
    network = Network.dense(
        [m.astype(dtype) for m in (w, second, last)], [b, np.zeros(260), np.zeros(3)], dtype=dtype
    )
    result = sl.compress(network, Dependence(eps=0))
    assert [layer.units for layer in result.network.layers] == [250, 250, 3]
    x = rng.normal(size=(50, 20))
    most = 1e-10 if dtype == "float64" else 1e-4
    assert np.abs(result.network(x) - network(x)).max() < most * np.abs(network(x)).max()


def test_dependence_over_samples_needs_to_hold_there_only():
    """On a line through the origin every tanh unit without bias is a function of one number."""
    network = chain(0, (3, 40, 1), bias=False)
    x = np.outer(np.linspace(-1, 1, 50), [1.0, 2.0, 3.0])
    result = sl.compress(network, Dependence(eps=1e-7, inputs=x))
    assert result.network.chain.layers[0].units < 15
    assert np.abs(result.network(x) - network(x)).max() < 1e-5
    assert result.network.chain.layers[1].bias is None


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), apart=st.sampled_from([1, 1e-2, 1e-5, 1e-8, 1e-10]))
def test_elimination_against_least_squares(seed, apart):
    rng = np.random.default_rng(seed)
    h, read = rng.normal(size=(30, 7)), rng.normal(size=(7, 3))
    h[:, 5:] = h[:, :2] + apart * rng.normal(size=(30, 2))
    targets = h @ read
    order, losses = eliminate([Readers.of(h, read @ read.T)])

    def error(columns):
        residual = targets
        if len(columns):
            residual = targets - h[:, columns] @ np.linalg.lstsq(h[:, columns], targets)[0]
        return np.sum(residual**2)

    assert sorted(order.tolist()) == list(range(7))
    for k in range(8):
        assert losses[k] == pytest.approx(error(order[:k]) - error(order), rel=1e-6, abs=1e-9)
    for k in range(1, 8 if apart == 1 else 6):  # the one that goes is the cheapest to lose
        costs = [error(np.delete(order[:k], i)) for i in range(k)]
        assert np.argmin(costs) == k - 1


def test_elimination_in_batches_stays_close_to_one_by_one(monkeypatch):
    rng = np.random.default_rng(0)
    h = rng.normal(size=(400, 60)) @ rng.normal(size=(60, 60))
    read = rng.normal(size=(60, 5))
    targets = h @ read
    _, single = eliminate([Readers.of(h, read @ read.T)])
    monkeypatch.setattr("symlump.compression.dependences.elimination._STEPS", 30)
    order, batched = eliminate([Readers.of(h, read @ read.T)])
    for k in (10, 30, 50):
        rest = targets - h[:, order[:k]] @ np.linalg.lstsq(h[:, order[:k]], targets)[0]
        assert batched[k] == pytest.approx(np.sum(rest**2), rel=1e-6)
        assert batched[k] <= 2 * single[k]


def tables(network):
    """Each value that a layer of a chain reads, a unit a channel."""
    return {
        (layer.inputs[0], 0): np.arange(layer.weight.shape[1])[:, None] for layer in network.layers
    }


def test_the_metric_is_the_jacobians_second_moment():
    network = chain(1, (3, 6, 5, 2))
    x = np.random.default_rng(0).normal(size=(40, 3))
    found = metrics(network, [x], tables(network))
    variance = network(x).var(axis=0).sum()
    for number, metric in enumerate(found.values()):
        rest = network.chain.layers[number:]

        def outputs(h, rest=rest):
            for i, after in enumerate(rest):
                h = torch.from_numpy(after.weight) @ h + torch.from_numpy(after.bias)
                h = torch.tanh(h) if i < len(rest) - 1 else h
            return h

        expected = np.zeros_like(metric)
        for row in network.chain.activations(x)[number]:
            jacobian = torch.autograd.functional.jacobian(outputs, torch.from_numpy(row)).numpy()
            expected += jacobian.T @ jacobian / len(x) / variance
        assert metric == pytest.approx(expected, abs=1e-10)


def test_many_outputs_are_probed_by_random_signs():
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=(8, 3)), rng.normal(size=(20, 8)), np.eye(20)]
    network = Network.dense(weights, activation="identity")
    x = rng.normal(size=(4000, 3))
    last = list(metrics(network, [x], tables(network)).values())[-1]
    expected = np.eye(20) / network(x).var(axis=0).sum()  # the outputs are what is read
    assert np.abs(last - expected).max() < 0.1 * expected.max()


@settings(max_examples=6)
@given(seed=st.integers(0, 1000), retain=st.floats(0.2, 1.0))
def test_retain_is_met_and_counted_truly(seed, retain):
    network = chain(seed, (5, 16, 16, 3))
    result = sl.compress(network, Dependence(retain=retain))
    counted = sum(layer.weight.size + layer.bias.size for layer in result.network.chain.layers)
    assert result.retained_parameters == counted <= retain * network.parameters + 1e-9
    assert sum(row.retained_parameters for row in result.layers) == counted
    # The size is looked for in both units; the same ε gives it in the one that was taken.
    again = [
        sl.compress(network, Dependence(eps=result.eps, relative_to=unit)).retained_parameters
        for unit in ("output", "parameters")
    ]
    assert counted in again or result.reduction.note
    for units, old, new in zip(
        result.unit_maps, network.chain.hidden, result.network.chain.hidden, strict=True
    ):
        assert units.size == old.units
        assert sorted(units[units >= 0].tolist()) == list(range(new.units))


def test_kept_units_keep_their_own_weights():
    network = chain(3, (5, 16, 3))
    result = sl.compress(network, Dependence(retain=0.5))
    kept = result.unit_maps[0] >= 0
    assert np.array_equal(
        result.network.chain.layers[0].weight, network.chain.layers[0].weight[kept]
    )


def test_the_tolerance_is_transferable():
    """Scaling the outputs, or copying every unit, does not change what a tolerance means."""
    network = chain(4, (5, 16, 16, 3))
    last = network.chain.layers[-1]
    scaled = Network((*network.chain.hidden, Layer(last.weight * 1e3, last.bias * 1e3)))
    first, second, third = network.chain.layers
    halves = np.hstack([second.weight, second.weight]) / 2
    copied = Network(
        (
            Layer(np.tile(first.weight, (2, 1)), np.tile(first.bias, 2), first.activation),
            Layer(halves, second.bias, second.activation),
            third,
        )
    )
    sizes = [sl.compress(n, Dependence(eps=0.05)).network.widths for n in (network, scaled, copied)]
    assert sizes[0] == sizes[1] == sizes[2] < network.widths


def test_the_estimate_of_the_change_is_of_the_right_size():
    network = chain(5, (4, 40, 40, 2))
    result = sl.compress(network, Dependence(eps=0.05))
    x = np.random.default_rng(9).normal(size=(20_000, 4))
    gap = result.network(x) - network(x)
    observed = np.sqrt(np.sum(gap.var(axis=0)) / np.sum(network(x).var(axis=0)))
    assert result.retained < 0.8
    assert 0.7 * observed < result.defect < 1.5 * observed


def test_quality_without_data():
    """At half the parameters, close to the full network and far better than pruning."""
    data, test = glycolytic_oscillator(2500).split()
    model = train(multilayer(7, (32, 32), 7), data, epochs=20)
    network = from_torch(model)
    inputs, targets = test.inputs, test.targets
    base = np.mean((network(inputs) - targets) ** 2)
    error = {
        name: sl.compress(network, method).mean_squared_error(inputs, targets)
        for name, method in {
            "normal": Dependence(retain=0.5),
            "covariance": Dependence(retain=0.5, inputs=Normal.of(data.inputs)),
            "samples": Dependence(retain=0.5, inputs=data.inputs),
            "magnitude": sl.Magnitude(0.5),
        }.items()
    }
    assert max(error[k] for k in ("normal", "covariance", "samples")) < 3 * base
    assert error["normal"] < 0.6 * error["magnitude"]


def test_torch_in_torch_out():
    model = multilayer(4, (24, 24), 2, seed=3)
    result = sl.compress(model, Dependence(eps=0.02))
    assert isinstance(result.model, torch.nn.Sequential)
    assert next(result.model.parameters()).dtype == torch.float32
    x = torch.randn(100, 4)
    expected = result.network(x.double().numpy())
    assert result.model(x).detach().numpy() == pytest.approx(expected, abs=1e-4)


def test_copies_in_float32_are_redundant_up_to_its_rounding():
    model = multilayer(3, (20,), 2, "relu", seed=0)
    with torch.no_grad():  # the last ten are multiples of the first, rounded
        model[0].weight[10:] = 0.3 * model[0].weight[:10]
        model[0].bias[10:] = 0.3 * model[0].bias[:10]
    result = sl.compress(model, Dependence(eps=0))
    assert result.network.widths == (3, 10, 2)
    x = torch.randn(100, 3)
    assert torch.abs(result.model(x) - model(x)).max() < 1e-5


# Moments


def test_moments_of_polynomial_units_against_closed_forms():
    """For normal (x, y): E[x²y²] = σ_xx·σ_yy + 2σ_xy² (Isserlis), and E[he_k(x)·he_k(y)] = ρ^k."""
    covariance = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])
    rows = np.array([[1.0, 0.5, 0.0], [0.2, -1.0, 1.0], [0.0, 0.0, 2.0]])
    square = sl.Network.dense([rows, np.ones((1, 3))], activation="polynomial:0,0,1")
    moments, _ = moments_of(square.chain, Normal(None, covariance))
    assert isinstance(moments, Hermite)
    h = moments.after(square.chain.layers[0], moments.start())
    s = rows @ covariance @ rows.T
    assert moments.mean(h) == pytest.approx(np.diag(s))
    root = moments.root(h)
    assert root.T @ root == pytest.approx(2 * s**2)
    full = moments.root(h, centred=False)
    assert full.T @ full == pytest.approx(2 * s**2 + np.outer(np.diag(s), np.diag(s)))

    cubic = sl.Network.dense([rows, np.ones((1, 3))], activation="polynomial:0,-3,0,1")  # He_3
    moments, _ = moments_of(cubic.chain, Normal())
    scaled = Layer(
        rows / np.linalg.norm(rows, axis=1)[:, None], None, cubic.chain.layers[0].activation
    )
    root = moments.root(moments.after(scaled, moments.start()))
    assert root.T @ root == pytest.approx(6 * (scaled.weight @ scaled.weight.T) ** 3)


def test_moments_of_two_polynomial_layers_against_samples():
    network = chain(6, (2, 3, 3, 1), "polynomial:0.3,1,-0.2")
    normal = Normal([0.5, -0.2], [[0.5, 0.1], [0.1, 0.3]])
    moments, _ = moments_of(network.chain, normal)
    assert isinstance(moments, Hermite) and moments.table.degree == 4
    sampled = Sampled(normal.sample(400_000, 2, seed=1))
    exact, estimate = moments.start(), sampled.start()
    for layer in network.chain.hidden:
        exact, estimate = moments.after(layer, exact), sampled.after(layer, estimate)
        assert moments.mean(exact) == pytest.approx(sampled.mean(estimate), rel=0.02, abs=0.02)
        a, b = moments.root(exact), sampled.root(estimate)
        assert a.T @ a == pytest.approx(b.T @ b, rel=0.05, abs=0.02)


def test_hermite_basis_is_orthonormal():
    table = Hermite(
        Normal(), moments_of(chain(0, (2, 2, 1), "polynomial:0,0,0,0,1").chain, Normal())[0].table
    )
    basis = table.table.hermite
    x = np.random.default_rng(0).normal(size=2)
    values = np.prod(x**table.table.exponents, axis=1)  # the monomials at a point
    # x^α = Σ_β basis[β, α]·he_β(x)
    he = [
        np.prod(
            [
                eval_hermitenorm(k, v) / math.sqrt(math.factorial(k))
                for k, v in zip(row, x, strict=True)
            ]
        )
        for row in table.table.exponents.tolist()
    ]
    assert np.array(he) @ basis == pytest.approx(values)


def test_normal_with_a_singular_covariance():
    normal = Normal([1.0, 2.0], [[1.0, 1.0], [1.0, 1.0]])
    x = normal.sample(1000, 2, seed=3)
    assert x[:, 1] - x[:, 0] == pytest.approx(np.ones(1000))
    assert np.array_equal(x, normal.sample(1000, 2, seed=3))
    assert scipy.stats.kstest(x[:, 0] - 1.0, "norm").pvalue > 1e-3
    fitted = Normal.of(x)
    assert np.asarray(fitted.mean) == pytest.approx(x.mean(axis=0))
    assert np.asarray(fitted.covariance) == pytest.approx(np.cov(x.T, bias=True))


# Exactly, over the rationals


@settings(max_examples=4)
@given(seed=st.integers(0, 10_000))
def test_polynomial_units_are_as_many_as_monomials(seed):
    """Quadratics in two inputs span 5 dimensions beside the constant, quartics 14."""
    network = chain(seed, (2, 9, 18, 1), "polynomial:0.5,1,-2")
    result = sl.compress(network, Dependence(inputs="exact"))
    assert result.network.widths == (2, 5, 14, 1)
    assert result.exact and "exact, proof checked" in str(result)
    x = np.random.default_rng(seed).normal(size=(100, 2))
    expected = network(x)
    assert np.abs(result.network(x) - expected).max() <= 1e-9 * np.abs(expected).max()


def test_the_certificate_says_the_identity():
    """h3 = 2·h1 − h2 + 1, by hand, for φ(z) = z²: 2·x² − y² + 1 has no square root, so on identities."""
    layers = (
        Layer(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]]), np.array([0.0, 0.0, 1.0])),
        Layer(np.array([[1.0, 1.0, 3.0]]), np.array([0.5])),
    )
    result = sl.compress(Network(layers), Dependence(inputs="exact"))
    (certificate,) = result.reduction.certificates
    assert certificate.data["kind"] == "linear"
    removed = int(np.flatnonzero(result.unit_maps[0] == -1)[0])
    identity = {0: {"h1_1": 1, "h1_2": -0.5, "h1_3": -0.5}, 1: {"h1_2": 1, "h1_1": -2, "h1_3": 1}}
    identity[2] = {"h1_3": 1, "h1_1": -2, "h1_2": 1}
    ((name, row),) = certificate.data["matrix"].items()
    entries = {v: float(sympy.Rational(c)) for c, [[v, _]] in row}
    scale = entries[f"h1_{removed + 1}"]
    assert {v: c / scale for v, c in entries.items()} == identity[removed]
    assert name == f"d1_{removed + 1}"
    assert result.exact and certificate.check().accepted
    weight, bias = result.network.chain.layers[1].weight, result.network.chain.layers[1].bias
    assert weight.shape == (1, 2)
    x = np.array([[0.25, -3.0]])  # all numbers here are dyadic and short: no rounding at all
    assert Network(layers)(x).tolist() == result.network(x).tolist() and bias.shape == (1,)

    broken = {**certificate.data, "quotient": {name: [["5", []]]}}
    assert not Certificate(broken).check().accepted


def test_a_generic_layer_loses_nothing():
    network = chain(0, (6, 10, 2), "polynomial:0,0,1")
    result = sl.compress(network, Dependence(inputs="exact"))
    assert result.network.widths == network.widths
    assert np.array_equal(result.network.chain.layers[1].weight, network.chain.layers[1].weight)
    assert not result.reduction.certificates and "exact" not in result.headline()


def test_constant_units_and_layers_without_bias():
    weight = np.array([[1.0], [0.0], [0.0]])
    first = Layer(
        weight,
        np.array([0.0, 1.0, 3.0]),
        sl.Network.dense([weight], None).chain.layers[0].activation,
    )
    with_bias = Network((first, Layer(np.array([[1.0, 2.0, 4.0]]), np.array([1.0]))))
    result = sl.compress(with_bias, Dependence(inputs="exact"))
    assert result.exact and result.network.chain.layers[1].bias.tolist() == [15.0]
    without = Network((first, Layer(np.array([[1.0, 2.0, 4.0]]), None)))
    result = sl.compress(without, Dependence(inputs="exact"))  # 3 = 3·1 needs no constant
    assert result.exact and result.network.chain.layers[1].bias is None
    assert result.network.chain.layers[0].units == 2
    assert result.network([[0.5]]).tolist() == without([[0.5]]).tolist()
    only = Network(
        (Layer(0 * weight, np.array([2.0, 1.0, 3.0])), Layer(np.ones((1, 3)), np.zeros(1)))
    )
    assert sl.compress(only, Dependence(inputs="exact")).network.widths == (1, 1, 1)
    assert sl.compress(only, Dependence(eps=0)).network.widths == (1, 1, 1)


def test_large_polynomials_are_written_in_the_layer_before(monkeypatch):
    """Copies are found in the second layer although its polynomials of the inputs are too large."""
    network = chain(1, (2, 4, 6, 1), "polynomial:0,1,0,1")
    second = network.chain.layers[1]
    order = [0, 1, 2, 3, 3, 0]
    copied = Layer(second.weight[order], second.bias[order], second.activation)
    network = Network((network.chain.layers[0], copied, network.chain.layers[2]))
    monkeypatch.setattr(exact_dependence, "MOST_MONOMIALS", 40)
    result = sl.compress(network, Dependence(inputs="exact"))
    assert result.network.widths == (2, 4, 4, 1) and result.exact
    assert any("h1_1" in c.data["system"] for c in result.reduction.certificates)
    monkeypatch.setattr(exact_dependence, "MOST_MONOMIALS", 20)
    with pytest.raises(NetworkError, match="layer 2: .* 35 coefficients, more than 20"):
        sl.compress(network, Dependence(inputs="exact"))


def test_a_refused_identity_is_an_error(monkeypatch):
    found = exact_dependence._combinations

    def wrong(units, constants):
        result = found(units, constants)
        result.constant[:] = result.constant + 1
        return result

    network = chain(0, (2, 9, 1), "polynomial:0,0,1")
    monkeypatch.setattr(exact_dependence, "_combinations", wrong)
    with pytest.raises(CertificateError, match="does not hold"):
        sl.compress(network, Dependence(inputs="exact"))
    monkeypatch.setattr(exact_dependence.np, "any", lambda residue: False)
    with pytest.raises(CertificateError, match="the checker refused"):
        sl.compress(network, Dependence(inputs="exact"))


def test_what_is_too_long_for_the_checker_is_not_called_exact(monkeypatch):
    network = chain(0, (2, 9, 1), "polynomial:0,0,1")
    monkeypatch.setattr(exact_dependence, "MAX_DIGITS", 20)
    result = sl.compress(network, Dependence(inputs="exact"))
    assert result.network.widths == (2, 5, 1) and not result.exact
    assert "identities of layer 1 verified in rational arithmetic" in result.headline()
    assert "exact" not in result.headline()


# What is refused


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Dependence(), "exactly one of eps"),
        (lambda: Dependence(eps=0.1, retain=0.5), "exactly one of eps"),
        (lambda: Dependence(eps=-1), "eps=-1: a tolerance"),
        (lambda: Dependence(retain=2), "retain=2: a share"),
        (lambda: Dependence(eps=0, inputs="normal"), "samples, a Normal distribution or 'exact'"),
        (lambda: Dependence(retain=0.5, inputs="exact"), "neither eps, retain nor steps"),
        (lambda: Dependence(inputs="exact", relative_to="output"), "nor relative_to"),
        (lambda: Dependence(retain=0.5, relative_to="layer"), "choose 'output' or 'parameters'"),
        (lambda: Normal(mean=[[1.0]]), "a vector of finite numbers as mean"),
        (lambda: Normal(covariance=[[np.nan]]), "a matrix of finite numbers"),
        (lambda: Normal(covariance=[[1.0, 0.0]]), "square"),
        (lambda: Normal(covariance=[[1.0, 0.5], [0.0, 1.0]]), "not symmetric"),
        (lambda: Normal(covariance=[[1.0, 2.0], [2.0, 1.0]]), "negative eigenvalue"),
        (lambda: Normal.of([1.0, 2.0]), "samples × inputs"),
    ],
)
def test_bad_options(make, says):
    with pytest.raises(MethodError, match=says):
        make()


def test_overflow_is_an_error():
    network = chain(0, (3, 5, 5, 5, 1), "polynomial:" + "0," * 12 + "1e50")
    with pytest.raises(FailureError, match="overflow on the stated inputs"):
        sl.compress(network, Dependence(eps=0.1))


@pytest.mark.parametrize("relative_to", ["output", "parameters"])
def test_the_largest_tolerances_leave_one_unit(relative_to):
    net = sl.Network.dense([np.eye(4), np.eye(4), np.eye(4)[:2]])
    for eps in (1e12, 1e155, 1.7e308):
        small = sl.compress(net, sl.Dependence(eps=eps, relative_to=relative_to))
        assert [layer.blocks for layer in small.layers] == [1, 1, 2]


def test_methods_that_do_not_fit_the_network():
    network = chain(0, (3, 5, 1))
    with pytest.raises(MethodError, match=r"shape \(samples, 3\)"):
        sl.compress(network, Dependence(eps=0.1, inputs=np.ones((4, 2))))
    with pytest.raises(MethodError, match="the network has 3 inputs"):
        sl.compress(network, Dependence(eps=0.1, inputs=Normal([0.0, 1.0])))
    with pytest.raises(NetworkError, match="layer 1: tanh is not a polynomial"):
        sl.compress(network, Dependence(inputs="exact"))
    first = Layer(np.ones((2, 3)), None, network.chain.layers[0].activation, np.array([0, 0]))
    grouped = Network((first, Layer(np.ones((1, 1)), None)))
    for method in (Dependence(eps=0.1), Dependence(inputs="exact")):
        with pytest.raises(NetworkError, match="layer 1 sums its units in groups"):
            sl.compress(grouped, method)


def test_steps_fit_all_weights_without_data():
    """Nearer to the original on inputs that were not fitted; of the same size; lossless stays lossless."""
    rng = np.random.default_rng(0)
    full = sl.Network.dense(
        [rng.normal(size=(20, 4)), rng.normal(size=(16, 20)) / 4, rng.normal(size=(2, 16)) / 4],
        [rng.normal(size=n) for n in (20, 16, 2)],
        "tanh",
    )
    x = rng.normal(size=(3000, 4))
    plain = sl.compress(full, sl.Dependence(retain=0.5))
    closer = sl.compress(full, sl.Dependence(retain=0.5, steps=40))
    assert closer.retained_parameters == plain.retained_parameters
    before, after = (np.mean((r.network(x) - full(x)) ** 2) for r in (plain, closer))
    assert after < 0.5 * before
    assert closer.defect < plain.defect
    spread = np.sqrt(np.sum(np.var(full(x), axis=0)))
    seen = np.sqrt(np.mean(np.sum((closer.network(x) - full(x)) ** 2, axis=1))) / spread
    assert closer.defect == pytest.approx(seen, rel=0.3)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), eps=st.floats(1e-3, 1))
def test_a_price_for_each_parameter_spends_least_for_a_size(seed, eps):
    """Of all numbers of units to keep, that hold as few parameters, none loses less."""
    first = int(np.random.default_rng(seed).integers(1, 40))
    net = chain(seed, (first, 6, 5, 4, 2))
    plan = Dependence(eps=eps, relative_to="parameters").plan(net)
    losses = [found[1] for found in plan.orders]
    shares = plan.ties.shares(net)
    kept = list(plan._left(eps))

    def total(table, counts):
        return sum(row[n] for row, n in zip(table, counts, strict=True))

    sizes = [share * np.arange(len(loss)) for share, loss in zip(shares, losses, strict=True)]
    for other in itertools.product(*(range(1, len(loss)) for loss in losses)):
        if total(sizes, other) <= total(sizes, kept) + 1e-12:
            assert total(losses, other) >= total(losses, kept) - 1e-12


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), share=st.floats(0.3, 0.8), steps=st.sampled_from([0, 3]))
def test_a_size_is_reached_in_the_better_unit(seed, share, steps):
    net = chain(seed, (12, 9, 8, 7, 2), "relu")
    best = sl.compress(net, Dependence(retain=share, steps=steps))
    found = {
        unit: sl.compress(net, Dependence(retain=share, relative_to=unit, steps=0))
        for unit in ("output", "parameters")
    }
    unit = min(found, key=lambda unit: found[unit].defect)
    again = sl.compress(net, Dependence(eps=best.eps, relative_to=unit, steps=steps))
    assert best.eps == found[unit].eps and best.measure == found[unit].measure
    for a, b in zip(again.network.layers, best.network.layers, strict=True):
        assert np.array_equal(a.weight, b.weight)
    assert best.defect <= found[unit].defect
