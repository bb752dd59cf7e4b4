"""A bound speaks of the model that was read: of its batch norms, not of weights that they were rounded to.

Truth comes from mpmath with 200 digits, and in each case the weights alone would give a wrong bound.
"""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.enclosures.boxes import as_box
from symlump.network.activations.table import activation
from symlump.network.bounds.difference import bound_difference
from symlump.network.bounds.evaluation import evaluation_error
from symlump.network.nodes import Affine, Apply, Combine, Input
from symlump.network.simplify import meant
from symlump.network.torch_module import graph_module, with_weights_of

mpmath.mp.dps = 200
HALF = 1.7  # of the box


def exactly(array):
    """Floats as mpmath's numbers."""
    return np.vectorize(lambda v: mpmath.mpf(float(v)), otypes=[object])(np.asarray(array))


def dense(layer, x):
    z = exactly(layer.weight.detach()) @ x
    return z if layer.bias is None else z + exactly(layer.bias.detach())


def normed(norm, x):
    mean, variance = exactly(norm.running_mean), exactly(norm.running_var)
    root = np.vectorize(mpmath.sqrt, otypes=[object])(variance + mpmath.mpf(norm.eps))
    gamma, beta = exactly(norm.weight.detach()), exactly(norm.bias.detach())
    return (x - mean) / root * gamma + beta


class Quotients(nn.Module):
    """Thirty times the same quotient: each is rounded the same way."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x):
        h = self.fc(x)
        for _ in range(30):
            h = h / 1.4
        return h

    def true(self, x):
        return dense(self.fc, x) / mpmath.mpf(1.4) ** 30


class Shifts(nn.Module):
    """A constant times a constant, next to the opposite of what it is rounded to."""

    def __init__(self):
        super().__init__()
        self.fc, self.shift = nn.Linear(3, 4), nn.Buffer(1e6 * torch.rand(4, dtype=torch.float64))
        self.fc.bias.data = 0.7 * self.shift

    def forward(self, x):
        return torch.sub(self.fc(x), self.shift, alpha=0.7)

    def true(self, x):
        return dense(self.fc, x) - mpmath.mpf(0.7) * exactly(self.shift)


class Norms(nn.Module):
    """A batch norm before a layer in which large means cancel, and one behind it."""

    def __init__(self):
        super().__init__()
        self.first, self.fc, self.last = (
            nn.BatchNorm1d(3),
            nn.Linear(3, 4),
            nn.BatchNorm1d(4, eps=1e-3),
        )
        self.fc.weight.data[:, 2] = -self.fc.weight.data[:, :2].sum(dim=1)

    def forward(self, x):
        return self.last(self.fc(self.first(x)))

    def true(self, x):
        return normed(self.last, dense(self.fc, normed(self.first, x)))


def drawn(kind, seed, dtype=torch.float64):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind().to(dtype).eval()
        with torch.no_grad():
            for part in model.modules():
                if isinstance(part, nn.BatchNorm1d):
                    for tensor in (part.running_mean, part.weight, part.bias):
                        tensor.normal_()
                    part.running_var.uniform_(0.1, 3.0)
            if kind is Norms:
                model.first.running_mean.uniform_(0, 1).add_(1e6 if dtype == torch.float64 else 9)
                model.first.running_var.fill_(0.3)
                model.first.weight.fill_(0.7)
    return model


def weights_alone(network, x):
    """What the weights of a network of dense layers say, exactly."""
    for layer in network.chain.layers:
        bias = 0 if layer.bias is None else exactly(layer.bias)
        x = exactly(layer.weight) @ x + bias
    return x


@pytest.mark.parametrize("kind", [Quotients, Shifts, Norms])
def test_what_reading_rounds_is_in_the_bound(kind):
    for seed in range(4):
        model = drawn(kind, seed)
        network = sl.from_torch(model, example=torch.ones(2, 3, dtype=torch.float64))
        assert network.source is not None
        plain = replace(network)
        bound = bound_difference(network, plain, (-HALF, HALF), splits=0)
        alone = bound_difference(plain, plain, (-HALF, HALF), splits=0)
        wrong = False
        for signs in np.array(np.meshgrid(*[[-HALF, HALF]] * 3)).reshape(3, -1).T:
            x = exactly(signs)
            far = np.abs(model.true(x) - weights_alone(plain, x))
            assert all(f <= mpmath.mpf(float(b)) for f, b in zip(far, bound.values, strict=True))
            wrong |= any(f > mpmath.mpf(float(b)) for f, b in zip(far, alone.values, strict=True))
        assert wrong and bound.largest < 1e-6


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_batch_norm_evaluated_by_torch(dtype):
    """In the dtype torch computes the factor as well, and takes the mean off what may be nearly equal."""
    kind = getattr(torch, dtype)
    for seed in range(3):
        model = drawn(Norms, seed, kind)
        with torch.no_grad():
            model.last.running_mean.copy_(model.fc(model.first(torch.ones(1, 3, dtype=kind)))[0])
        network = sl.from_torch(model, example=torch.zeros(2, 3, dtype=kind))
        error = evaluation_error(network, as_box((0.9, 1.1), 3), dtype)
        x = torch.linspace(0.9, 1.1, 60, dtype=torch.float64).reshape(20, 3).to(kind)
        with torch.no_grad():
            computed = exactly(model(x).double())
        for row, given in zip(computed, x.double().numpy(), strict=True):
            far = np.abs(row - model.true(exactly(given)))
            assert all(f <= mpmath.mpf(float(e)) for f, e in zip(far, error, strict=True))


def test_a_compressed_model_with_batch_norms():
    """The bound of the model that is returned, in the dtype that it has."""
    model = drawn(
        lambda: nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)), 0, torch.float32
    )
    with torch.no_grad():
        for tensor in (model[0].weight, model[0].bias, model[1].running_mean, model[1].running_var,
                       model[1].weight, model[1].bias):  # fmt: skip
            tensor[1] = tensor[0]
    small = sl.compress(model, sl.AFDE(eps=0))
    assert small.retained < 1
    bound = small.bound((-HALF, HALF), splits=0)
    held = small.reduction.held_by(small.model)
    for signs in np.array(np.meshgrid(*[[-HALF, HALF]] * 3)).reshape(3, -1).T:
        x = exactly(signs)
        truth = dense(model[2], normed(model[1], dense(model[0], x)))
        far = np.abs(truth - weights_alone(held, x))
        assert all(f <= mpmath.mpf(float(b)) for f, b in zip(far, bound.values, strict=True))


def test_reachable_intervals_are_those_of_the_model():
    model = drawn(Norms, 1)
    network = sl.from_torch(model, example=torch.ones(2, 3, dtype=torch.float64))
    (found,) = sl.reachable(network, (-HALF, HALF))
    rows = [
        model.true(exactly(s)) for s in np.array(np.meshgrid(*[[-HALF, HALF]] * 3)).reshape(3, -1).T
    ]
    for unit, (low, high) in enumerate(found):
        values = [row[unit] for row in rows]
        assert mpmath.mpf(float(low)) <= min(values) and max(values) <= mpmath.mpf(float(high))
        assert high - low <= float(max(values) - min(values)) * (1 + 1e-7)


def test_weights_that_torch_computes_are_named():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    model = nn.Sequential(layer, nn.Tanh(), nn.Linear(4, 2))
    network = sl.from_torch(model, example=torch.zeros(2, 3))
    bound = bound_difference(network, replace(network), (-1, 1), splits=0)
    assert bound.computed_weights == ("0",) and "for the weights that torch computes for 0" in str(
        bound
    )
    assert bound.to_dict()["computed weights"] == ["0"]

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(3, 4))

        def forward(self, x):
            return nn.functional.linear(x, self.weight.T[:2])

    turned = sl.from_torch(Turned(), example=torch.zeros(2, 3))
    assert turned.source is None and not bound_difference(turned, turned, (-1, 1)).computed_weights


def test_a_source_does_not_go_with_other_nodes():
    network = sl.from_torch(drawn(Norms, 2), example=torch.ones(2, 3, dtype=torch.float64))
    assert meant(network) is network.source
    for other in (replace(network, nodes=network.nodes), network.with_layers(network.layers)):
        assert other.source is None and meant(other) is other


# ONNX


def onnx_network(tmp_path, nodes, constants):
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    graph = helper.make_graph(
        [
            helper.make_node(kind, given, [out], **attributes)
            for kind, given, out, attributes in nodes
        ],
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.DOUBLE, ["n", 2])],
        [helper.make_tensor_value_info(nodes[-1][2], onnx.TensorProto.DOUBLE, None)],
        [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return sl.read_onnx(path)


def test_scalings_of_onnx_are_in_the_bound(tmp_path):
    """The bias of what is read is 0, and that of the file is what floats rounded."""
    rng = np.random.default_rng(0)
    alpha, beta = (float(np.float32(v)) for v in (0.3, 0.7))
    w, b = rng.normal(size=(2, 3)), 1e6 * rng.uniform(1, 2, 3)
    network = onnx_network(
        tmp_path,
        [
            ("Gemm", ["x", "w", "b"], "z", {"alpha": alpha, "beta": beta}),
            ("Sub", ["z", "c"], "y", {}),
        ],
        {"w": w, "b": b, "c": beta * b},
    )
    plain = replace(network)
    assert not network.layers[0].bias.any()
    bound = bound_difference(network, plain, (-HALF, HALF), splits=0)
    alone = bound_difference(plain, plain, (-HALF, HALF), splits=0)
    for signs in ((HALF, HALF), (HALF, -HALF), (-HALF, HALF), (-HALF, -HALF)):
        x = exactly(signs)
        truth = (
            mpmath.mpf(alpha) * (x @ exactly(w)) + mpmath.mpf(beta) * exactly(b) - exactly(beta * b)
        )
        far = np.abs(truth - weights_alone(plain, x))
        assert all(f <= mpmath.mpf(float(v)) for f, v in zip(far, bound.values, strict=True))
        assert any(f > mpmath.mpf(float(v)) for f, v in zip(far, alone.values, strict=True))


def test_weights_of_onnx_times_a_number(tmp_path):
    weight = np.random.default_rng(0).normal(size=(2, 3))
    network = onnx_network(
        tmp_path, [("Gemm", ["x", "w"], "h", {"alpha": 0.3}), ("Div", ["h", "d"], "y", {})],
        {"w": weight, "d": np.array(0.3)},
    )  # fmt: skip
    gemm, div = network.source.layers
    for layer, truth in (
        (gemm, exactly(weight.T) * mpmath.mpf(float(np.float32(0.3)))),
        (div, exactly(np.ones((3, 1))) / mpmath.mpf(0.3)),
    ):
        far = np.abs(exactly(layer.weight) - truth)
        assert (far <= exactly(layer.doubt.weight)).all() and far.any()


def test_scalings_by_powers_of_two_round_nothing(tmp_path):
    network = onnx_network(
        tmp_path, [("Gemm", ["x", "w"], "z", {"alpha": 0.5}), ("Div", ["z", "d"], "y", {})],
        {"w": np.array([[0.1], [0.3]]), "d": np.array([4.0])},
    )  # fmt: skip
    assert not any(layer.doubt for layer in network.source.layers)
    small = onnx_network(
        tmp_path, [("Gemm", ["x", "w"], "z", {"alpha": 0.5})], {"w": np.full((2, 1), 3 * 2.0**-1074)}
    )  # fmt: skip
    assert (small.source.layers[0].doubt.weight >= 2.0**-1074).all()  # one of the halves is lost


def test_slopes_of_onnx_are_the_floats_of_the_file(tmp_path):
    """A slope of 0.2 is 0.20000000298… in a file; taken for 0.2, the value at −1 was off by 3e-9."""
    network = onnx_network(
        tmp_path, [("LeakyRelu", ["x"], "h", {"alpha": 0.2}), ("Elu", ["h"], "y", {"alpha": 0.3})], {}
    )  # fmt: skip
    slopes = [node.activation.slopes[0] for node in network.nodes[1:]]
    assert slopes == [float(np.float32(0.2)), 0.0]
    value = network(np.array([[-1.0, 0.0]]))[0, 0]
    assert value == pytest.approx(
        float(np.float32(0.3)) * np.expm1(-float(np.float32(0.2))), abs=1e-15
    )


def test_a_module_is_read_back_as_it_is_held_now():
    """Converted to float16 it has other weights, other coefficients, and another rounding."""
    rng = np.random.default_rng(0)
    net = sl.Network(
        (
            Input("x", (), (3,)), Affine("a", ("x",), rng.normal(size=(3, 3))),
            Apply("phi", ("a",), activation("polynomial:0.1,0.7,0.3")), Combine("y", ("phi", "x"), "add"),
        ), ("y",),
    )  # fmt: skip
    module = graph_module(net).half()
    held = with_weights_of(net, module)
    assert np.array_equal(held.layers[0].weight, net.layers[0].weight.astype(np.float16))
    found = [float(c) for c in held.named["phi"].activation.coefficients]
    assert found == [float(np.float16(c)) for c in (0.1, 0.7, 0.3)]
    bound = bound_difference(net, held, (-1, 1), splits=0)
    assert bound.dtypes == ("float64", "float16") and bound.rounding.max() > 1e-4
    x = torch.from_numpy(rng.uniform(-1, 1, (500, 3))).half()
    with torch.no_grad():
        far = np.abs(net(x.double().numpy()) - module(x).double().numpy()).max(axis=0)
    assert (far <= bound.computed).all() and far.max() > bound.largest / 50
