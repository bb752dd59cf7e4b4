"""No option of a method is ignored: it changes a result or is refused by name, in every form of the method."""

from dataclasses import fields

import numpy as np
import pytest
import torch

import symlump as sl
from symlump.network.activations.table import polynomial


def chain(seed, activation, widths=(3, 8, 6, 2), near=0.1):
    """A network whose rows are near to one another, and to multiples of one another."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal((b, a)) for a, b in zip(widths, widths[1:], strict=False)]
    for weight in weights[:-1]:
        half = len(weight) // 2
        weight[:half] = weight[half : 2 * half] * (1 + near * rng.standard_normal((half, 1)))
        weight[:half] += near * rng.standard_normal(weight[:half].shape)
    biases = [near * rng.standard_normal(b) for b in widths[1:]]
    return sl.Network.dense(weights, biases, activation)


NETWORKS = [
    chain(0, "tanh", (3, 14, 4, 2)),
    chain(1, "relu"),
    chain(2, "tanh", near=0.0),
    chain(3, polynomial([0, 1, 0.2])),
]
X = 0.1 * np.random.default_rng(5).standard_normal((200, 3)) + [0.3, 0.0, -0.3]

#: Tolerances at which units merge in some ways and not in others, by the first option of a form.
EPS = {"relative": 0.7, "relative_to": 0.55}

#: The forms of each method.
FORMS = {
    sl.AFDE: [
        wish | what | on
        for what in (
            {},
            {"distance": "coefficients"},
            {"distance": "coefficients", "refit": True},
            {"relative": False},
            {"relative_to": "layer"},
            {"refit": False},
        )
        for on in ({}, {"on": "state"}, {"on": "both"})
        for wish in ({"eps": EPS.get(next(iter(what), ""), 0.3)}, {"retain": 0.5})
        if "eps" in wish or not (on or what)
    ],
    sl.Dependence: [{"eps": 0.1}, {"retain": 0.5}, {"inputs": "exact"}],
    sl.Symmetric: [{"eps": 0.0}, {"eps": 0.3}, {"retain": 0.9}],
    sl.Hierarchical: [{"eps": 0.4}, {"retain": 0.8}],
    sl.Magnitude: [{"eps": 0.4}, {"retain": 0.5}],
    sl.Wanda: [{"eps": 0.4, "inputs": X}, {"retain": 0.5, "inputs": X}],
    sl.TruncatedSVD: [{"eps": 0.3}, {"rank": 1}, {"retain": 0.6}],
    sl.Quantize: [{"eps": 0.05}, {"bits": 4}, {"retain": 0.5}],
}

#: What a method is asked for; the rest are options, tried with these values, of which one may be the default.
WISHES = {"eps", "retain", "rank", "bits"}
VALUES = {
    "linkage": ["variance", "closure", "diameter"],
    "relative": [True, False],
    "on": ["influence", "state", "both"],
    "relative_to": ["output", "parameters", "layer"],
    "refit": [True, False],
    "inputs": [X],
    "steps": [3],
    "floor": [0.9],
    "lively": [True],
    "up_to": [0.45, 0.5],
    "distance": ["function", "coefficients"],
    "seed": [7],
    "box": [(-0.1, 0.1)],
    "proof": [True, False],
    "leaf_size": [2],
    "order": ["given", "similarity"],
    "scope": ["global", "layerwise"],
}
CASES = [
    pytest.param(
        kind, form, field.name, id=f"{kind.__name__}-{'-'.join(map(str, form))}-{field.name}"
    )
    for kind, forms in FORMS.items()
    for form in forms
    for field in fields(kind)
    if field.name not in form and field.name not in WISHES
]


KNOWN = {}


def outcome(kind, **options):
    """All that results say, and their weights."""
    key = kind.__name__, repr(sorted(options.items()))
    if key not in KNOWN:
        KNOWN[key] = list(results(kind(**options)))
    return KNOWN[key]


def results(method):
    """For each network what is returned, as plain data."""
    for net in NETWORKS:
        try:
            result = sl.compress(net, method)
        except sl.errors.FailureError as error:
            yield str(error)
            continue
        arrays = [a for layer in result.network.layers for a in (layer.weight, layer.bias)]
        sums = [None if a is None else a.tobytes() for a in arrays]
        yield str(result), sums, len(result.certificates)


@pytest.mark.parametrize("kind,form,option", CASES)
def test_no_option_is_ignored(kind, form, option):
    """Its values are refused by name or change a result, but for one that may be what is the case anyhow."""
    try:
        kind(**form)
    except sl.errors.MethodError:
        return
    same = 0
    values = ["matrix"] if kind is sl.Quantize and option == "steps" else VALUES[option]
    for value in values:
        try:
            with_option = outcome(kind, **form, **{option: value})
        except sl.errors.MethodError as error:
            assert option in str(error)
            continue
        same += with_option == outcome(kind, **form)
    assert same <= (len(values) > 1)


@pytest.mark.parametrize(
    "options",
    [
        {"up_to": 0.5},
        {"floor": 0.5},
        {"lively": True},
        {"relative_to": "output"},
        {"relative": False},
        {"on": "both"},
    ],
)
def test_recurrent_cells_ignore_none_either(options):
    with pytest.raises(sl.errors.MethodError, match=f"{next(iter(options))}=…"):
        sl.compress(torch.nn.GRU(2, 4), sl.AFDE(eps=0.1, **options))


def test_the_layer_unit_by_hand_is_the_one_that_is_tried():
    """Without a unit three are tried, all of functions; "layer" by itself compares coefficients."""
    rng = np.random.default_rng(0)
    net = sl.Network.dense(
        [rng.normal(size=(b, a)) for a, b in ((3, 9), (9, 7), (7, 2))], activation="tanh"
    )
    (tried,) = (
        plan
        for plan in sl.AFDE(retain=0.6).plan(net)._in_all_units()
        if plan.method.relative_to == "layer"
    )
    target = round(0.6 * net.parameters)
    found = tried.reach(target).network
    by_hand = sl.compress(net, sl.AFDE(retain=0.6, relative_to="layer", distance="function"))
    alone = sl.compress(net, sl.AFDE(retain=0.6, relative_to="layer"))
    x = rng.normal(size=(20, 3))
    assert np.array_equal(found(x), by_hand.network(x))
    assert not np.allclose(found(x), alone.network(x))
