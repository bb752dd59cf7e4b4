"""What every method makes of chains of dense layers, as it was when these numbers were written.

The file beside this one holds, for each case, the report, a digest of where each unit went, and two sums of
each array of weights. A change of design must leave them; a change of method rewrites them, on purpose:
``python tests/compression/test_golden.py``.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import symlump as sl
from symlump.errors import SymlumpError
from symlump.network.activations.table import polynomial

FILE = Path(__file__).with_name("golden.json")
SHAPES = {"small": (3, 8, 2), "deep": (4, 12, 9, 7, 1), "wide": (4, 40, 40, 1)}
ACTIVATIONS = ("tanh", "relu", "sigmoid", "gelu", "square")
X = np.random.default_rng(5).standard_normal((64, 4))

METHODS = {
    "afde eps 0": lambda n: sl.AFDE(eps=0),
    "afde eps 0.1": lambda n: sl.AFDE(eps=0.1),
    "afde retain": lambda n: sl.AFDE(retain=0.5),
    "afde sums": lambda n: sl.AFDE(retain=0.5, refit=False),
    "afde layer": lambda n: sl.AFDE(retain=0.5, relative_to="layer"),
    "afde layer sums": lambda n: sl.AFDE(eps=0.3, relative_to="layer", refit=False),
    "afde closure": lambda n: sl.AFDE(eps=0.2, linkage="closure"),
    "afde inputs": lambda n: sl.AFDE(retain=0.6, inputs=sl.Normal(np.full(n, 0.5))),
    "afde state": lambda n: sl.AFDE(retain=0.6, on="state"),
    "afde both": lambda n: sl.AFDE(retain=0.5, on="both"),
    "symmetric": lambda n: sl.Symmetric(),
    "symmetric retain": lambda n: sl.Symmetric(retain=0.5),
    "symmetric box": lambda n: sl.Symmetric(box=(-1, 1)),
    "dependence 0.01": lambda n: sl.Dependence(0.01),
    "dependence retain": lambda n: sl.Dependence(retain=0.5),
    "dependence samples": lambda n: sl.Dependence(retain=0.5, inputs=X[:, :n]),
    "dependence exact": lambda n: sl.Dependence(inputs="exact"),
    "hierarchical": lambda n: sl.Hierarchical(retain=0.9),
    "svd": lambda n: sl.TruncatedSVD(0.4),
    "svd rank": lambda n: sl.TruncatedSVD(rank=2),
    "quantize": lambda n: sl.Quantize(bits=4),
    "magnitude": lambda n: sl.Magnitude(0.6),
    "magnitude layerwise": lambda n: sl.Magnitude(0.6, scope="layerwise"),
    "wanda": lambda n: sl.Wanda(0.6, X[:, :n]),
}


def network(shape, activation):
    """Random weights, with one exact copy, one near copy and one mirrored unit in each hidden layer."""
    generator = np.random.default_rng(sum(SHAPES[shape]))
    widths = SHAPES[shape]
    weights, biases = [], []
    for number, (before, units) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        weight = generator.standard_normal((units, before)) / np.sqrt(before)
        bias = 0.3 * generator.standard_normal(units)
        if number < len(widths) - 2:
            weight[1], bias[1] = weight[0], bias[0]
            weight[3], bias[3] = weight[2] + 0.01 * generator.standard_normal(before), bias[2]
            weight[5], bias[5] = -weight[4], -bias[4]
        weights.append(weight)
        biases.append(bias)
    phi = polynomial([0.0, 0.0, 1.0]) if activation == "square" else activation
    return sl.Network.dense(weights, biases, phi)


def network_cases():
    for shape in SHAPES:
        for activation in ACTIVATIONS:
            if shape == "small" or activation in ("tanh", "relu"):
                for method in METHODS:
                    yield f"{shape} {activation} {method}"


def outcome(case):
    shape, activation, method = case.split(" ", 2)
    net = network(shape, activation)
    try:
        result = sl.compress(net, METHODS[method](SHAPES[shape][0]))
    except SymlumpError as error:
        return {"error": type(error).__name__}
    maps = [m.tolist() for m in result.unit_maps][: len(SHAPES[shape]) - 2]
    arrays = [a for layer in result.network.layers for a in (layer.weight, layer.bias)]
    sums = []
    for array in arrays:
        if array is not None:
            flat = np.asarray(array).ravel()
            sums += [float(flat.sum()), float(flat @ np.cos(np.arange(flat.size)))]
    y = result.network(X[:, : SHAPES[shape][0]])
    return {
        "report": str(result),
        "maps": hashlib.sha256(json.dumps(maps).encode()).hexdigest()[:16],
        "sums": [float(f"{s:.12g}") for s in [*sums, float(np.abs(y).sum())]],
    }


@pytest.mark.parametrize("case", list(network_cases()))
def test_results_are_as_they_were(case):
    wanted = json.loads(FILE.read_text())[case]
    found = outcome(case)
    assert found.keys() == wanted.keys()
    if "error" in found:
        assert found == wanted
        return
    assert (found["report"], found["maps"]) == (wanted["report"], wanted["maps"])
    np.testing.assert_allclose(found["sums"], wanted["sums"], rtol=1e-7, atol=1e-9)


if __name__ == "__main__":
    lines = [f"{json.dumps(case)}: {json.dumps(outcome(case))}" for case in network_cases()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
