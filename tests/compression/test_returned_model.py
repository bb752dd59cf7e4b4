"""A bound speaks of the model that was returned: of the very weights it holds, in the dtype it has."""

from copy import deepcopy
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.enclosures.boxes import as_box
from symlump.errors import FailureError, MethodError, NetworkError
from symlump.network.activations.table import ACTIVATIONS
from symlump.network.bounds.difference import bound_difference
from symlump.network.bounds.evaluation import evaluation_error
from symlump.network.precision import PRECISIONS

DTYPES = ("float64", "float32", "bfloat16", "float16")
METHODS = (
    sl.AFDE(eps=0), sl.AFDE(retain=0.6), sl.AFDE(eps=0.3, on="state"), sl.Symmetric(),
    sl.Dependence(retain=0.6), sl.Hierarchical(eps=0.3, leaf_size=4), sl.TruncatedSVD(rank=2),
    sl.Quantize(bits=6), sl.Magnitude(0.5),
)  # fmt: skip


def with_copies(seed, dtype, inputs=2, width=6, phi=nn.Tanh):
    """A module of two layers in which units 1 and 2 are copies of unit 0."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(inputs, width), phi(), nn.Linear(width, 1))
    with torch.no_grad():
        model[0].weight[1:3], model[0].bias[1:3] = model[0].weight[0], model[0].bias[0]
    return model.to(getattr(torch, dtype))


def in_float64(model, x):
    with torch.no_grad():
        return deepcopy(model).double()(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bound_holds_for_the_weights_that_were_rounded(dtype):
    x = np.random.default_rng(0).uniform(-1, 1, (2000, 2))
    for seed in range(10):
        model = with_copies(seed, dtype)
        small = sl.compress(model, sl.AFDE(eps=0))
        bound = small.bound((-1, 1), splits=20)
        seen = np.abs(in_float64(model, x) - in_float64(small.model, x)).max()
        assert seen <= bound.largest + 1e-14
        if dtype != "float64":  # and says no more than the rounding that there is
            assert bound.largest < 20 * PRECISIONS[dtype].unit


def test_large_weights():
    model = with_copies(3, "float32", phi=nn.SiLU)
    with torch.no_grad():
        for p in model.parameters():
            p *= 1e8
    small = sl.compress(model, sl.AFDE(eps=0))
    x = np.random.default_rng(0).uniform(-1, 1, (2000, 2))
    seen = np.abs(in_float64(model, x) - in_float64(small.model, x)).max()
    bound = small.bound((-1, 1), splits=10)
    box = as_box((-1, 1), 2)
    noise = evaluation_error(small.original, box) + evaluation_error(small.network, box)
    assert 1e8 < seen <= bound.largest + noise.max()
    assert bound.largest < 1.1 * seen and noise.max() < 1000


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_method_gives_a_bound_of_its_model(method, dtype):
    """The largest difference seen is within the bound; and a change of the model by hand changes the bound."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 2)
    )
    model = model.to(getattr(torch, dtype))
    small = sl.compress(model, method)
    x = np.random.default_rng(0).uniform(-1, 1, (2000, 3))
    bound = small.bound((-1, 1), splits=2)
    seen = np.abs(in_float64(model, x) - in_float64(small.model, x)).max(axis=0)
    assert (seen <= bound.values + 1e-13).all()
    with torch.no_grad():
        small.model[-1].bias.add_(64.0)
    later = small.bound((-1, 1), splits=2).values
    assert (later >= 63).all() and (later <= bound.values + 65).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label)
def test_model_and_network_hold_the_same_weights(dtype, method):
    small = sl.compress(with_copies(3, dtype, width=12), method)
    held = small.reduction.held_by(small.model)
    assert held.dtype == dtype == small.network.dtype
    if not isinstance(method, sl.Hierarchical):  # whose layers are factors
        for a, b in zip(held.layers, small.network.layers, strict=True):
            assert np.array_equal(a.weight, b.weight)
            assert a.bias is b.bias is None or np.array_equal(a.bias, b.bias)
    else:
        product = held.layers[1].weight @ held.layers[0].weight
        assert np.allclose(product, small.network.layers[0].weight, rtol=0.05, atol=1e-2)


def test_a_neutral_network_is_returned_in_its_dtype_too():
    net = sl.Network.dense([[[0.1, 0.2]] * 3, [[0.1, 0.2, 0.3]]], dtype="float32")
    small = sl.compress(net, sl.AFDE(eps=0))
    exact = sum(Fraction(w) for w in (0.1, 0.2, 0.3))
    for layer in small.model.layers:
        assert np.array_equal(layer.weight, layer.weight.astype(np.float32))
    found = small.model.layers[1].weight.item()
    assert 0 < abs(Fraction(found) - exact) <= Fraction(small.rounding) < Fraction(1, 2**24)
    assert small.bound((-1, 1)).largest > 1e-9


def test_what_is_exact_is_said():
    model = with_copies(0, "float32")
    head = sl.compress(model, sl.AFDE(eps=0)).headline()
    assert (
        "exact, proof checked (the quotient over the rationals; its weights are rounded to float32, by"
        in head
    )
    assert sl.compress(model.double(), sl.AFDE(eps=0)).headline().endswith("exact, proof checked")


def test_weights_too_large_for_the_dtype_are_named():
    net = sl.Network.dense([[[1.0]] * 2, [[6e4, 6e4]]], dtype="float16")
    with pytest.raises(
        NetworkError, match=r"layers.1: weight\[0, 0\] is 120000, beyond what float16 holds"
    ):
        sl.compress(net, sl.AFDE(eps=0))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_nearest_numbers_are_those_of_torch(dtype):
    rng = np.random.default_rng(0)
    values = rng.normal(size=3000) * 2.0 ** rng.integers(
        -30 if dtype == "float16" else -140, 15, 3000
    )
    values = values.astype(np.float32).astype(np.float64)  # torch rounds others twice
    expected = torch.from_numpy(values).to(getattr(torch, dtype)).double().numpy()
    assert np.array_equal(PRECISIONS[dtype].nearest(values, "x"), expected)
    assert PRECISIONS["float32"].nearest(np.array([0.1]), "x").item() == np.float32(0.1)


@pytest.mark.parametrize("name", [*ACTIVATIONS, "polynomial:0.25,1,-0.5,0.1"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_computed_outputs_are_within_the_bound_of_rounding(name, dtype):
    rng = np.random.default_rng(3)
    kind = getattr(torch, dtype)
    net = sl.Network.dense(
        [rng.normal(size=(8, 3)), rng.normal(size=(6, 8)) / 2, rng.normal(size=(2, 6))],
        [rng.normal(size=8), None, rng.normal(size=2)], activation=name, dtype=dtype,
    ).rounded()  # fmt: skip
    x = torch.from_numpy(rng.uniform(-1, 1, (400, 3))).to(kind)
    with torch.no_grad():
        computed = sl.to_torch(net)(x).double().numpy()
    error = evaluation_error(net, as_box((-1, 1), 3), dtype)
    exact = net(x.double().numpy())
    far = np.abs(computed - exact).max(axis=0)
    if np.isfinite(error).all():
        assert (far <= error + evaluation_error(net, as_box((-1, 1), 3))).all()
        assert (error > PRECISIONS[dtype].unit / 4).all()
    else:
        assert dtype != "float64" and name == "exp"


def test_softplus_of_torch_has_a_threshold():
    """Beyond 20 torch gives z itself, off by 2e-9: much more than rounding."""
    net = sl.Network.dense([[[1.0]], [[1.0]]], activation="softplus")
    z = torch.tensor([[20.01]], dtype=torch.float64)
    error = evaluation_error(net, as_box((0, 21), 1))
    off = abs(sl.to_torch(net)(z).item() - net(z.numpy()).item())
    assert 1e-9 < off <= error.item()
    assert evaluation_error(net, as_box((0, 19.9), 1)).item() < 1e-12


def test_evaluation_that_may_overflow_says_so():
    net = sl.Network.dense([[[300.0, 300.0]], [[300.0]]], activation="relu", dtype="float16")
    bound = bound_difference(net, net, (-1, 1))
    assert np.isinf(bound.rounding).all() and "float16 evaluation may overflow" in str(bound)
    assert bound_difference(net, net, (-0.1, 0.1)).rounding.max() < 1000


def test_boxes_as_wide_as_floats_go():
    net = sl.Network.dense([np.ones((3, 2)), np.ones((1, 3))])
    with pytest.raises(FailureError, match="overflow float64"):
        bound_difference(net, net, (-1e308, 1e308))
    # Here no sum overflows, but the width of a table of tanh would.
    half = sl.Network.dense([np.full((3, 2), 0.25), np.ones((1, 3))])
    for box in ((-1e308, 1e308), (1e308, 1e308)):
        with pytest.raises(FailureError, match="overflow float64"):
            bound_difference(half, half, box)
    with pytest.raises(MethodError, match="a box is"):
        bound_difference(net, net, (-(10**400), 10**400))
    tiny = sl.Network.dense([np.full((3, 2), 1e-308), np.ones((1, 3))])
    other = sl.Network.dense([np.full((3, 2), -1e-308), np.ones((1, 3))])
    assert 5.7 < bound_difference(tiny, other, (-1e308, 1e308), splits=20).largest < 6  # fmt: skip
