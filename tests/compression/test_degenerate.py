"""Every method on networks that have next to nothing in them: zeros, biases only, one unit, dead layers."""

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.errors import FailureError, NetworkError

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


ZEROS = [np.zeros((4, 3)), np.zeros((3, 4)), np.zeros((2, 3))]
SHAPES = {
    "zeros": (ZEROS, [np.zeros(4), np.zeros(3), np.zeros(2)]),
    "zeros without biases": (ZEROS, None),
    "biases only": (ZEROS, [normal(4), normal(3), normal(2)]),
    "a constant hidden layer": ([np.zeros((4, 3)), normal(2, 4)], [normal(4), normal(2)]),
    "a dead layer in the middle": (
        [normal(4, 3), np.zeros((3, 4)), normal(2, 3)],
        [normal(4), np.zeros(3), normal(2)],
    ),
    "outputs that read nothing": ([normal(4, 3), np.zeros((2, 4))], [normal(4), normal(2)]),
    "one unit": ([normal(1, 3), normal(1, 1)], [normal(1), normal(1)]),
    "one unit without biases": ([normal(1, 1), normal(1, 1)], None),
    "one layer": ([normal(2, 3)], None),
    "one layer of zeros": ([np.zeros((1, 3))], None),
    "equal units": ([np.ones((4, 3)), np.ones((2, 4))], [np.ones(4), np.ones(2)]),
}
X = normal(20, 3)
#: Methods of (network → method), and whether the outputs must stay what they are.
METHODS = {
    "AFDE(eps=0)": (lambda x: sl.AFDE(eps=0), True),
    "AFDE(eps=0.1)": (lambda x: sl.AFDE(eps=0.1), False),
    "AFDE(on=state)": (lambda x: sl.AFDE(eps=0.1, on="state"), False),
    "AFDE(on=both)": (lambda x: sl.AFDE(eps=0.1, on="both"), False),
    "AFDE(retain)": (lambda x: sl.AFDE(retain=0.9), False),
    "AFDE(steps)": (lambda x: sl.AFDE(eps=0.1, steps=2), False),
    "Symmetric()": (lambda x: sl.Symmetric(), True),
    "Symmetric(box)": (lambda x: sl.Symmetric(box=(-1, 1)), None),  # exact on the box only
    "Symmetric(eps)": (lambda x: sl.Symmetric(eps=0.1), False),
    "Dependence(0)": (lambda x: sl.Dependence(eps=0), True),
    "Dependence(inputs)": (lambda x: sl.Dependence(eps=0.1, inputs=x), False),
    "Dependence(no inputs)": (lambda x: sl.Dependence(eps=0.1, inputs=0 * x), False),
    "Hierarchical": (lambda x: sl.Hierarchical(eps=0.1), False),
    "Hierarchical(no inputs)": (lambda x: sl.Hierarchical(eps=0.1, inputs=0 * x), False),
    "TruncatedSVD": (lambda x: sl.TruncatedSVD(eps=0.1), False),
    "Quantize": (lambda x: sl.Quantize(bits=4), False),
    "Magnitude": (lambda x: sl.Magnitude(0.5), False),
    "Magnitude(layerwise)": (lambda x: sl.Magnitude(0.5, "layerwise"), False),
    "Wanda": (lambda x: sl.Wanda(0.5, x), False),
    "Wanda(no inputs)": (lambda x: sl.Wanda(0.5, 0 * x), False),
}


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", METHODS)
def test_a_result_or_a_clear_refusal(method, shape, activation):
    weights, biases = SHAPES[shape]
    network = sl.Network.dense(weights, biases, activation)
    x = X[:, : weights[0].shape[1]]
    make, same = METHODS[method]
    try:
        result = sl.compress(network, make(x))
    except FailureError as error:
        assert "smallest reachable size" in str(error) and method == "AFDE(retain)"
        return
    inside = np.clip(x, -1, 1)
    assert np.isfinite(result.network(x)).all()
    # On constants, fitted or averaged or not, nothing can change: only pruning and rounding touch a bias.
    constant = not any(np.any(w) for w in weights)
    if same or result.exact:
        assert result.network(inside) == pytest.approx(network(inside), abs=1e-12)
    if constant and method not in ("Quantize", "Magnitude", "Magnitude(layerwise)"):
        assert result.network(x) == pytest.approx(network(x), abs=1e-9)
    # A quantised layer stores its steps too.
    assert result.retained_parameters <= network.parameters or method == "Quantize"
    assert result.headline() in str(result)


def test_outputs_beyond_all_floats_are_refused():
    network = sl.Network.dense([np.full((4, 3), 1e308), np.full((2, 4), 1e308)], activation="tanh")
    with pytest.raises(FailureError, match="overflow on the stated inputs"):
        sl.compress(network, sl.Dependence(eps=0))


def test_what_a_network_of_constants_becomes():
    """tanh units with biases only: h_i = tanh(b_i), so one constant unit a layer is all there is to keep."""
    weights, biases = SHAPES["biases only"]
    network = sl.Network.dense(weights, biases, "tanh")
    result = sl.compress(network, sl.Symmetric())
    assert [layer.units for layer in result.network.layers] == [1, 1, 2]
    assert result.network(X) == pytest.approx(np.tile(biases[-1], (20, 1)), abs=1e-15)
    zero = sl.compress(sl.Network.dense(ZEROS), sl.Symmetric())
    assert zero.exact and not zero.network(X).any()


@pytest.mark.parametrize(
    "model",
    [nn.Sequential(), nn.Sequential(nn.Tanh()), nn.Sequential(nn.Flatten()), nn.Tanh()],
    ids=repr,
)
def test_nothing_to_reduce_is_said(model):
    for method in (sl.AFDE(eps=0), sl.Symmetric(), sl.Magnitude(0.5)):
        with pytest.raises(NetworkError):
            sl.compress(model, method, example=torch.zeros(1, 3))
