"""Bounds of convolutional and residual networks: what is written out is the network, and bounds hold."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.bench.bounds.graphs import attack, small_model
from symlump.enclosures.boxes import as_box
from symlump.errors import FailureError, MethodError, NetworkError
from symlump.network.activations.table import activation
from symlump.network.bounds.difference import bound_difference
from symlump.network.bounds.evaluation import evaluation_error
from symlump.network.bounds.matrices import matrix
from symlump.network.bounds.unrolled import unroll
from symlump.network.network import Network
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Flatten,
    Input,
    Pool,
    Select,
    Unsqueeze,
)  # fmt: skip
from symlump.network.step_nodes import Softmax


def through(links, x):
    """The stages, in floats."""
    for link in links:
        x = link.activation(x @ link.affine.weight.T + link.affine.bias)
    return x


def every_node(rng):
    """A network with every node that bounds pass through."""
    conv = lambda name, of, units, reads, **more: Affine(  # noqa: E731
        name, (of,), rng.normal(size=(units, reads, 3, 2)) / 3, rng.normal(size=units),
        (1, 1), (1, 0), (1, 1), **more,
    )  # fmt: skip
    return Network(
        (
            Input("x", (), (2, 4, 4)),
            conv("a", "x", 4, 2),
            Apply("t", ("a",), activation("tanh")),
            conv("d", "t", 4, 1, depthwise=True),
            Affine("s", ("d",), rng.normal(size=(4, 1)), rng.normal(size=4), depthwise=True),
            Apply("r", ("s",), activation("relu")),
            Pool("m", ("r",), "maximum", (2, 2), (1, 2), (1, 1), (1, 1)),
            Pool("v", ("r",), "average", (3, 1), (2, 1), (1, 0), (1, 1), False, True, False),
            Pool("g", ("m",), "average", (1, 1), adaptive=True),
            Pool("h", ("v",), "average", (1, 1), adaptive=True),
            Combine("gh", ("g", "h"), "multiply"),
            Flatten("f", ("gh",)),
            Apply("u", ("f",), activation("sigmoid")),
            Unsqueeze("w", ("u",), 2),
            Combine("gate", ("t", "w"), "multiply"),
            Select("few", ("gate",), np.array([2, 0, 0])),
            Concatenate("both", ("few", "t"),),
            Flatten("flat", ("both",)),
            Affine("fc", ("flat",), rng.normal(size=(2, 84)) / 9, None),
        ),
        ("fc",),
    )  # fmt: skip


def test_a_network_written_out_is_the_network():
    rng = np.random.default_rng(0)
    net = every_node(rng)
    x = rng.normal(size=(50, 2, 4, 4))
    found = through(unroll(net), x.reshape(50, -1))
    assert np.abs(found - net(x)).max() < 1e-12
    dense = sl.Network.dense([rng.normal(size=(5, 3)), rng.normal(size=(2, 5))])
    own = unroll(dense)
    assert [link.affine.weight.tolist() for link in own] == [
        k.weight.tolist() for k in dense.layers
    ]


def test_bounds_pass_every_node():
    rng = np.random.default_rng(1)
    net = every_node(rng)
    moved = [
        replace(k, weight=k.weight * (1 + 0.02 * rng.normal(size=k.weight.shape)))
        for k in net.layers
    ]
    other = net.with_layers(moved)
    bound = bound_difference(net, other, (-0.1, 0.1), splits=0)
    x = rng.uniform(-0.1, 0.1, (3000, 2, 4, 4))
    seen = np.abs(net(x) - other(x)).max(axis=0)
    assert (seen <= bound.values + bound.rounding).all() and bound.largest < 60 * seen.max()
    same = bound_difference(net, net, (-0.1, 0.1), splits=0)
    assert same.largest < 1e-10
    for dtype in ("float64", "float32"):
        error = evaluation_error(net, as_box((-0.1, 0.1), 32), dtype)
        with torch.no_grad():
            kind = getattr(torch, dtype)
            y = sl.to_torch(net).to(kind)(torch.from_numpy(x).to(kind)).double().numpy()
        if dtype == "float64":
            assert (np.abs(y - net(x)) <= 2 * error).all() and error.max() < 1e-11
        else:  # its weights are rounded, too
            assert error.max() > 1e-8


def test_weights_of_convolutions_are_not_rounded():
    rng = np.random.default_rng(2)
    node = Affine("c", ("x",), rng.normal(size=(3, 2, 2, 2)), None, (1, 1), (1, 1), (1, 1))
    weight = matrix(node, (2, 3, 3))
    assert weight.shape == (3 * 16, 18)
    assert set(np.unique(weight)) == {0.0, *node.weight.ravel().tolist()}


def test_attacks_on_small_networks_find_no_violation():
    found = attack(4, samples=500, climb=5)
    assert found.bounds == 4 and not found.violations, found


def test_images_and_their_boxes():
    model = small_model(np.random.default_rng(0))
    small = sl.compress(
        model, sl.AFDE(eps=0.2), example=torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    )
    image = np.full((1, 4, 4), 0.3)
    bound = small.bound((image - 0.01, image + 0.01), splits=0)
    wide = small.bound((-1, 1), splits=0)
    assert bound.largest <= wide.largest and not bound.vacuous
    with pytest.raises(MethodError, match="each a number or 16 numbers"):
        small.bound((np.zeros(3), np.ones(3)))


def test_a_bound_that_says_nothing_is_called_vacuous():
    f = sl.Network.dense([[[1.0], [1.0]], [[1.0, 1.0]]])
    g = sl.Network.dense([[[1.0]], [[-5.0]]])
    bound = bound_difference(f, g, (-1, 1))
    assert bound.vacuous and "vacuous: output 1 has the bound" in str(bound)
    assert not bound_difference(f, f, (-1, 1)).vacuous


def test_a_bound_of_a_graph_that_says_nothing_is_called_vacuous():
    example = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    small = sl.compress(small_model(np.random.default_rng(1)), sl.Magnitude(0.2), example=example)
    bound = small.bound((-1, 1), splits=0)
    x = np.random.default_rng(0).uniform(-1, 1, (5000, 1, 4, 4))
    spread = np.ptp(small.original(x), axis=0)
    assert bound.vacuous and (bound.values >= 0.9 * spread).any()
    worst = int(np.argmax(bound.values - bound.spread))
    assert f"vacuous: output {worst + 1} has the bound" in str(bound)
    assert f"only {bound.spread[worst]:.4g} apart on 1000 samples" in str(bound)


class Moves(nn.Module):
    """Steps that put entries elsewhere: shuffled pixels, zeros between and around, parts, enlarging."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.ConvTranspose2d(1, 2, 3, 2, 1)
        self.pad, self.c = nn.ConstantPad2d((1, 0, 0, 1), 0.3), nn.Conv2d(2, 2, 3)

    def forward(self, x):
        h = nn.functional.pixel_shuffle(torch.tanh(self.a(x)), 2)
        h = self.pad(nn.functional.silu(self.b(h))[:, :, 4:])
        h = torch.cat([h[:, :, 1:], h[:, :, :1]], 2)
        h = nn.functional.interpolate(h[:, :, :, ::2], scale_factor=2, mode="nearest")
        return torch.tanh(self.c(h)).mean((2, 3))


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_bounds_pass_steps_that_put_entries_elsewhere(dtype):
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    model, example = Moves().eval().to(kind), torch.zeros(1, 1, 2, 2, dtype=kind)
    small = sl.compress(model, sl.Magnitude(0.8), example=example)
    names = {getattr(node, "kind", type(node).__name__) for node in small.original.nodes}
    assert {"Rearrange", "dilate", "pad", "take", "join", "resize"} <= names
    bound = small.bound((-1, 1), splits=0)
    x = 2 * torch.rand(2000, 1, 2, 2).to(kind) - 1
    with torch.no_grad():
        gap = (model(x).double() - small.model(x).double()).abs().max(dim=0).values.numpy()
        exact = (model.double()(x.double()) - small.model.double()(x.double())).abs()
    assert (gap <= bound.computed).all()
    seen = exact.max(dim=0).values.numpy()
    assert (seen <= bound.values + 1e-12).all() and bound.largest < 200 * seen.max()


class Extremes(nn.Module):
    """The larger and the smaller of two values, and extremes, sums and means along axes."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 3, 2), nn.Conv2d(1, 3, 2)
        self.c = nn.Linear(3, 2)

    def forward(self, x):
        u, v = torch.tanh(self.a(x)), self.b(x)
        top, low = torch.maximum(u, v), torch.minimum(u, v)
        rows = top.amax(1) + low.mean(1) + (u * v).amin(1) + (top - low).sum(1)
        return self.c(rows.amax(1) + rows.amin(2) / 3)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_bounds_pass_extremes_sums_and_means(dtype):
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    model, example = Extremes().eval().to(kind), torch.zeros(1, 1, 4, 4, dtype=kind)
    small = sl.compress(model, sl.Magnitude(0.8), example=example)
    how = {node.options.get("how") for node in small.original.nodes if hasattr(node, "options")}
    assert {"maximum", "minimum", "mean", "sum"} <= how
    bound = small.bound((-1, 1), splits=0)
    x = (2 * torch.rand(4000, 1, 4, 4) - 1).to(kind)
    x[:1000] = x[:1000].sign()  # corners
    with torch.no_grad():
        gap = (model(x).double() - small.model(x).double()).abs().max(dim=0).values.numpy()
        exact = (model.double()(x.double()) - small.model.double()(x.double())).abs()
    assert (gap <= bound.computed).all()
    seen = exact.max(dim=0).values.numpy()
    assert (seen <= bound.values + 1e-12).all() and bound.largest < 40 * seen.max()


def test_a_bound_of_several_inputs_that_says_nothing_is_called_vacuous():
    nodes = (
        Input("x", (), (1,)), Input("y", (), (1,)), Combine("sum", ("x", "y"), "add"),
        Affine("a", ("sum",), np.ones((1, 1))), Affine("b", ("sum",), np.ones((1, 1))),
    )  # fmt: skip
    f = Network(nodes, ("a", "b"))
    g = f.with_layers([Affine("b", ("sum",), np.array([[-1.0]]))])
    bound = bound_difference(f, g, np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert bound.vacuous and bound.values[1] == pytest.approx(4.0)
    assert "vacuous: output 2 has the bound 4" in str(bound)


class Tokens(nn.Module):
    """Dense layers at each token, of their features and, turned, of the tokens; joined heads; a residual."""

    def __init__(self):
        super().__init__()
        self.into, self.mix, self.out = nn.Linear(3, 4), nn.Linear(5, 5), nn.Linear(4, 2)

    def forward(self, x):
        h = self.into(x)
        a, b = (h + self.mix(h.transpose(1, 2)).transpose(1, 2)).split(2, dim=-1)
        return self.out(torch.cat([torch.tanh(b), torch.relu(a)], -1))


def test_dense_layers_at_each_token_are_written_out():
    torch.manual_seed(0)
    net = sl.from_torch(Tokens().double().eval(), torch.zeros(1, 5, 3, dtype=torch.float64))
    small = sl.compress(net, sl.Magnitude(0.7)).network
    x = np.random.default_rng(0).uniform(-1, 1, (3000, 5, 3))
    x[:1000] = np.sign(x[:1000])
    assert np.abs(through(unroll(net), x.reshape(3000, -1)) - net.flat(x)).max() < 1e-12
    bound = sl.explain_reduction(net, small).bound((-1, 1), splits=0)
    seen = np.abs(net.flat(x) - small.flat(x)).max(axis=0)
    assert (seen <= bound.values + bound.rounding).all() and bound.largest < 3 * seen.max()


@pytest.mark.parametrize("step", ["attention", "normalise", "softmax"])
def test_steps_of_a_transformer_that_bounds_do_not_pass_are_named(step):
    torch.manual_seed(0)

    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.into, self.norm = nn.Linear(3, 4), nn.LayerNorm(4)

        def forward(self, x):
            h = self.into(x)
            if step == "attention":
                return nn.functional.scaled_dot_product_attention(h, h, h)
            return self.norm(h) if step == "normalise" else h.softmax(-1)

    net = sl.from_torch(One().eval(), torch.zeros(1, 5, 3))
    for refused in (lambda: bound_difference(net, net, (-1, 1)), lambda: unroll(net)):
        with pytest.raises(NetworkError, match=f"do not pass through the step '{step}'.*samples"):
            refused()


def test_what_bounds_do_not_pass_is_named():
    net = Network((Input("x", (), (2,)), Softmax("soft", ("x",))), ("soft",))
    with pytest.raises(
        NetworkError, match="soft: certified bounds do not pass through the step 'softmax'"
    ):
        bound_difference(net, net, (0, 1))
    big = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1)).double()
    graph = sl.from_torch(big, example=torch.zeros(1, 1, 80, 80, dtype=torch.float64))
    with pytest.raises(FailureError, match="has 6400 entries, and certified bounds write"):
        bound_difference(graph, graph, (0, 1))


def test_reachable_intervals_of_any_network():
    rng = np.random.default_rng(3)
    net = every_node(rng)
    found = sl.reachable(net, (-0.5, 0.5))
    x = rng.uniform(-0.5, 0.5, (500, 2, 4, 4))
    for layer, reach in zip(net.layers, found, strict=True):
        z = replace(net, outputs=(layer.name,))(x).reshape(500, -1)
        assert ((reach[:, 0] <= z) & (z <= reach[:, 1])).all()
    with pytest.raises(MethodError, match="reachable needs a symlump.Network"):
        sl.reachable("net", (0, 1))
