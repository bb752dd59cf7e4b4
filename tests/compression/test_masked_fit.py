"""Pruned weights fitted again: no other weights with the same zeros give the original's layers better."""

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.compression.baselines.masked_fit import fit_masked
from symlump.errors import MethodError


class Mixed(nn.Module):
    """A convolution, a depthwise one, factors by channel, and dense layers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, stride=2)
        self.second = nn.Conv2d(4, 8, (1, 3), groups=4, bias=False)
        self.last = nn.Linear(8 * 3 * 1, 3)

    def forward(self, x):
        return self.last(torch.relu(self.second(torch.tanh(self.first(x)))).flatten(1))


def mixed(seed=0):
    torch.manual_seed(seed)
    return sl.from_torch(Mixed(), torch.zeros(2, 2, 5, 5))


def layer_errors(network, pruned, x):
    """For each layer the mean square of what it misses, reading what the pruned network gives it."""
    from symlump.compression.merging.effect import forward

    before, after = forward(network, [x]), forward(pruned, [x])
    return [float(np.mean((before[n.name] - after[n.name]) ** 2)) for n in network.layers]


@pytest.mark.parametrize("seed", range(3))
def test_no_weight_that_is_left_can_be_moved_to_gain(seed):
    net = mixed(seed)
    x = np.random.default_rng(seed).standard_normal((300, 2, 5, 5))
    pruned = sl.compress(net, sl.Magnitude(0.6)).network
    fitted = fit_masked(net, pruned, [x])
    for old, new in zip(pruned.layers, fitted.layers, strict=True):
        assert ((old.weight != 0) == (new.weight != 0)).all()
    best = layer_errors(net, fitted, x)
    assert all(a < b for a, b in zip(best, layer_errors(net, pruned, x), strict=True))
    rng = np.random.default_rng(seed)
    for number, layer in enumerate(fitted.layers):
        for step in (1e-2, -1e-2):
            from dataclasses import replace

            change = step * rng.standard_normal(layer.weight.shape) * (layer.weight != 0)
            bias = (
                None if layer.bias is None else layer.bias + step * rng.standard_normal(layer.units)
            )
            layers = list(fitted.layers)
            layers[number] = replace(layer, weight=layer.weight + change, bias=bias)
            moved = layer_errors(net, fitted.with_layers(tuple(layers)), x)
            assert moved[number] > best[number]


def test_what_can_be_had_exactly_is_found():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((50, 3))
    x[:, 2] = x[:, 0] - x[:, 1]
    net = sl.Network.dense(
        [rng.standard_normal((5, 3)), rng.standard_normal((2, 5))], [np.ones(5), np.ones(2)]
    )
    first = net.layers[0]
    from dataclasses import replace

    pruned = net.with_layers((replace(first, weight=first.weight * [1, 1, 0]), net.layers[1]))
    fitted = fit_masked(net, pruned, [x])
    assert np.abs(fitted(x) - net(x)).max() < 1e-4 < np.abs(pruned(x) - net(x)).max()
    w = first.weight
    assert fitted.layers[0].weight == pytest.approx(
        np.column_stack([w[:, 0] + w[:, 2], w[:, 1] - w[:, 2], np.zeros(5)]), abs=1e-4
    )


@pytest.mark.parametrize(
    "make",
    [lambda x: sl.Magnitude(0.5, refit=True, inputs=x), lambda x: sl.Wanda(0.5, x, refit=True)],
)
def test_a_refit_loses_less_and_keeps_the_size(make):
    x = np.random.default_rng(0).standard_normal((400, 2, 5, 5))
    net = mixed()
    method = make(x)
    from dataclasses import replace

    plain = sl.compress(
        net,
        replace(
            method, refit=False, **({"inputs": None} if isinstance(method, sl.Magnitude) else {})
        ),
    )
    fitted = sl.compress(net, method)
    assert fitted.retained_parameters == plain.retained_parameters
    assert fitted.mean_squared_error(x, net(x)) < 0.7 * plain.mean_squared_error(x, net(x))
    assert "refitted" in fitted.measure and "refitted" in method.label


@pytest.mark.parametrize("share", [0.3, 0.55, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_each_row_is_the_least_squares_fit_of_what_it_keeps(share, spread):
    """Wide rows with few or nearly all weights left, beside least squares without Gram matrices."""
    from dataclasses import replace

    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 8)) @ rng.standard_normal((8, 90))
    x += spread * rng.standard_normal(x.shape)  # nearly dependent columns
    net = sl.Network.dense([rng.standard_normal((40, 90))], [rng.standard_normal(40)])
    layer = net.layers[0]
    kept = rng.random((40, 90)) < share
    kept[0], kept[1] = True, False  # one row whole, of one the bias alone
    pruned = net.with_layers((replace(layer, weight=layer.weight * kept),))
    found = fit_masked(net, pruned, [x]).layers[0]
    assert ((found.weight != 0) == kept).all()
    with_ones = np.column_stack([x, np.ones(400)])
    ridge = np.sqrt(1e-6 * np.sum(with_ones**2) / 91)
    wanted = net.layers[0].weight @ x.T + net.layers[0].bias[:, None]
    for row in range(40):
        at = np.append(np.flatnonzero(kept[row]), 90)
        near = np.append(layer.weight[row], layer.bias[row])[at]
        rows = np.vstack([with_ones[:, at], ridge * np.eye(at.size)])
        best = np.linalg.lstsq(rows, np.append(wanted[row], ridge * near))[0]
        weights = np.append(found.weight[row], found.bias[row])[at]
        assert weights == pytest.approx(best, rel=1e-7, abs=1e-7 * np.abs(best).max())


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("kernel", [(3,), (2, 3), (1, 1), (3, 2, 2)])
def test_windows_are_what_a_convolution_multiplies(kernel, depthwise):
    """Beside torch, which convolves with weights that this test multiplies by the rows laid out."""
    from symlump.compression.baselines.masked_fit import lay_out
    from symlump.compression.merging.values import columns
    from symlump.network.evaluate import evaluate
    from symlump.network.nodes import Affine

    rng = np.random.default_rng(1)
    axes = len(kernel)
    x = rng.standard_normal((5, 4, *(7, 8, 6)[:axes]))
    weight = rng.standard_normal((8, 1 if depthwise else 4, *kernel))
    steps = (2, 1, 3)[:axes], (1, 0, 2)[:axes], (1, 2, 1)[:axes]
    layer = Affine("a", ("x",), weight, None, *steps, depthwise)
    wanted = columns(evaluate(layer, x))
    ((part, seen),) = lay_out(layer, x)
    assert part.start == 0
    rows = weight.reshape(8, -1)
    if depthwise:  # two units of each channel
        found = np.einsum("rco,cuo->rcu", seen, rows.reshape(4, 2, -1)).reshape(len(seen), 8)
    else:
        found = seen @ rows.T
    assert found == pytest.approx(wanted, abs=1e-12)


def test_without_data_inputs_are_drawn():
    net = mixed()
    x = np.random.default_rng(5).standard_normal((400, 2, 5, 5))
    plain, fitted = (sl.compress(net, sl.Magnitude(0.5, refit=fit)) for fit in (False, True))
    assert fitted.mean_squared_error(x, net(x)) < 0.7 * plain.mean_squared_error(x, net(x))


def test_shared_weights_stay_shared():
    torch.manual_seed(0)
    inner = nn.Linear(4, 4)
    net = sl.from_torch(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), inner, nn.Tanh(), inner))
    result = sl.compress(net, sl.Magnitude(0.6, refit=True)).network
    assert result.parameters == net.parameters
    assert (result.layers[1].weight == result.layers[2].weight).all()


def test_inputs_without_a_refit_are_refused():
    with pytest.raises(MethodError, match="give refit=True"):
        sl.Magnitude(0.5, inputs=np.zeros((3, 2)))


@pytest.mark.parametrize("shape", [(300, 2, 5, 5), (20, 2, 5, 5)])
def test_torch_finds_no_slope_at_the_fit(shape):
    """The same sum of squares by torch's convolutions: the gradient is that of the small ridge alone."""
    net = mixed()
    x = np.random.default_rng(4).standard_normal(shape)
    pruned = sl.compress(net, sl.Magnitude(0.6, "layerwise")).network
    fitted = fit_masked(net, pruned, [x])
    assert len(net.layers) == 3
    value, wanted = torch.tensor(x), torch.tensor(x)
    activations = (torch.tanh, torch.relu, lambda y: y)
    for number, (old, cut, new) in enumerate(
        zip(net.layers, pruned.layers, fitted.layers, strict=True)
    ):
        weight = torch.tensor(new.weight, requires_grad=True)
        biases = [] if new.bias is None else [torch.tensor(new.bias, requires_grad=True)]

        def applied(layer, y, weight, biases):
            if not layer.kernel:
                return nn.functional.linear(y.flatten(1), weight, *biases)
            groups = y.shape[1] if layer.depthwise else 1
            bias = biases[0] if biases else None
            return nn.functional.conv2d(
                y, weight, bias, layer.stride, layer.padding, layer.dilation, groups
            )

        own = [] if old.bias is None else [torch.tensor(old.bias)]
        wanted = applied(old, wanted, torch.tensor(old.weight), own)
        found = applied(new, value, weight, biases)
        loss = ((found - wanted) ** 2).sum()
        slopes = torch.autograd.grad(loss, [weight, *biases])
        start = applied(new, value, torch.tensor(cut.weight), own).detach()
        before = 2 * ((start - wanted) ** 2).sum().sqrt() * (value**2).sum().sqrt()  # ≥ its slope
        assert (slopes[0] * (weight != 0)).abs().max() < 1e-5 * before
        assert all(slope.abs().max() < 1e-5 * before for slope in slopes[1:])
        wanted, value = activations[number](wanted), activations[number](found.detach())


@pytest.mark.parametrize("inputs", [1e200 * np.ones((9, 4)), None])
def test_overflow_is_named(inputs):
    scale = 1.0 if inputs is not None else 1e140
    weights = [scale * np.random.default_rng(0).standard_normal(s) for s in [(6, 4), (6, 6)]]
    net = sl.Network.dense(weights, activation="relu")
    with pytest.raises(MethodError, match="overflows on these inputs"):
        sl.compress(net, sl.Magnitude(0.5, refit=True, inputs=inputs))


@pytest.mark.parametrize("scale", [0.0, 1e-170, 1e-160])
def test_what_samples_do_not_decide_stays(scale):
    weights = [np.random.default_rng(0).standard_normal((6, 4)), np.ones((1, 6))]
    net = sl.Network.dense(weights)
    x = scale * np.random.default_rng(1).standard_normal((50, 4))
    pruned = sl.compress(net, sl.Magnitude(0.5)).network
    fitted = fit_masked(net, pruned, [x])
    for old, new in zip(pruned.layers, fitted.layers, strict=True):
        assert new.weight == pytest.approx(old.weight, rel=1e-9)


def test_samples_that_may_not_be_written_to_are_taken(recwarn):
    """As from a mapped file; torch would warn of them."""
    rng = np.random.default_rng(0)
    grids, rows = rng.standard_normal((100, 2, 5, 5)), rng.standard_normal((100, 4))
    for x in (grids, rows):
        x.setflags(write=False)
    dense = sl.Network.dense([rng.standard_normal((12, 4)), rng.standard_normal((2, 12))])
    pairs = (
        (mixed(), sl.Magnitude(0.6, refit=True, inputs=grids)),
        (dense, sl.AFDE(retain=0.6, inputs=rows, steps=2)),
    )
    for net, method in pairs:
        assert sl.compress(net, method).retained <= 0.6
    assert not [w for w in recwarn if "writable" in str(w.message)]
