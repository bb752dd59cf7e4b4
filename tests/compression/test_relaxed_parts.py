"""Parts of values, in another order or taken twice: the reference is the reduced network, or it is refused."""

import numpy as np
import pytest

import symlump as sl
from symlump.errors import MethodError
from symlump.network.activations.table import activation
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Concatenate, Input, Select
from tests.compression.test_relaxed_outputs import check


def network(width, inputs=(0, 1, 2, 3), hidden=None, outputs=(0, 1, 2), joined=("t",), bias=True):
    """Some inputs, a dense layer, some of its units or of what is joined, another one, some of its units."""
    rng = np.random.default_rng(width)
    count = sum({"x": 4, "t": width}[name] for name in joined)
    hidden = range(count) if hidden is None else hidden

    def layer(name, of, units, reads):
        given = rng.normal(size=units) if bias else None
        return Affine(name, (of,), rng.normal(size=(units, reads)), given)

    return Network(
        (
            Input("x", (), (4,)),
            Select("sx", ("x",), np.array(inputs)),
            layer("a", "sx", width, len(inputs)),
            Apply("t", ("a",), activation("tanh")),
            Concatenate("c", tuple(joined)),
            Select("sh", ("c",), np.array(hidden)),
            layer("b", "sh", 3, len(hidden)),
            Select("so", ("b",), np.array(outputs)),
        ),
        ("so",),
    )


EXPLAINED = {
    "as it was": ({}, {}),
    "units in another order": ({}, {"hidden": [3, 1, 0, 2]}),
    "outputs twice": ({"outputs": [0, 1, 1]}, {"outputs": [0, 1, 1]}),
    "inputs twice": ({"inputs": [0, 0, 1, 2]}, {"inputs": [0, 0, 1, 2]}),
    "units twice": ({"joined": "tt"}, {"joined": "tt"}),
    "units joined with inputs": ({"joined": "xt"}, {"joined": "xt"}),
    "these in another order": ({"joined": "xt"}, {"joined": "xt", "hidden": [4, 0, 5, 2, 3, 1, 6, 7]}),
}  # fmt: skip
REFUSED = {
    "outputs in another order": ("so", {}, {"outputs": [2, 0, 1]}),
    "an output twice": ("so", {}, {"outputs": [0, 1, 1]}),
    "others twice": ("so", {"outputs": [0, 1, 1]}, {"outputs": [0, 0, 1]}),
    "inputs in another order": ("sx", {}, {"inputs": [3, 0, 1, 2]}),
    "fewer inputs": ("sx", {}, {"inputs": [0, 1, 2]}),
    "more inputs": ("sx", {"inputs": [0, 1]}, {"inputs": [0, 1, 2]}),
    "other inputs": ("sx", {"inputs": [0, 1]}, {"inputs": [0, 2]}),
    "an input twice": ("sx", {"inputs": [0, 1, 2]}, {"inputs": [0, 1, 1, 2]}),
    "fewer inputs joined": ("sh", {"joined": "xt"}, {"joined": "xt", "hidden": [0, 1, 4, 5, 6, 7]}),
    "more units": ("sh", {"hidden": [0, 2, 4]}, {"hidden": [0, 1, 2, 3]}),
    "a unit twice": ("sh", {}, {"hidden": [0, 0, 1, 2, 3]}),
}  # fmt: skip


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", EXPLAINED)
def test_parts_that_are_the_same_are_explained(name, bias):
    first, second = EXPLAINED[name]
    explanation = sl.explain_reduction(
        network(6, bias=bias, **first), network(4, bias=bias, **second)
    )
    check(explanation, np.random.default_rng(0).normal(size=(50, 4)))


@pytest.mark.parametrize("name", REFUSED)
def test_other_parts_are_refused(name):
    """The network of the first weights, of which the other is the quotient, is none or another function."""
    step, first, second = REFUSED[name]
    with pytest.raises(
        MethodError, match=f"^{step}: the two networks join or select their units differently"
    ):
        sl.explain_reduction(network(6, **first), network(4, **second))


@pytest.mark.parametrize("order", [[2, 0, 1], [1, 0, 2]])
def test_outputs_that_were_permuted_by_a_layer_are_the_same_outputs(order):
    """Where a layer makes them, its rows differ: the reference has them in that order."""
    large = network(6)
    rows = next(k for k in large.layers if k.name == "b")
    moved = Affine("b", rows.inputs, rows.weight[order], rows.bias[order])
    explanation = sl.explain_reduction(large, large.with_layers([moved]))
    lost = np.hypot(
        np.linalg.norm(moved.weight - rows.weight), np.linalg.norm(moved.bias - rows.bias)
    )
    assert explanation.defect == pytest.approx(lost) and not explanation.exact
    check(explanation, np.random.default_rng(0).normal(size=(50, 4)))
