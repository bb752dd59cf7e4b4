import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import FailureError, MethodError


def network(seed=0, widths=(5, 16, 16, 3), activation="tanh"):
    rng = np.random.default_rng(seed)
    pairs = list(zip(widths, widths[1:], strict=False))
    return sl.Network.dense(
        [rng.normal(size=(m, n)) / np.sqrt(n) for n, m in pairs],
        [rng.normal(size=m) for _, m in pairs],
        activation,
    )


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    retain=st.floats(0.35, 1.0),
    linkage=st.sampled_from(["variance", "closure", "diameter"]),
    on=st.sampled_from(["influence", "both"]),
)
def test_retain_is_met_and_counted_truly(seed, retain, linkage, on):
    result = sl.compress(network(seed), sl.AFDE(retain=retain, linkage=linkage, on=on))
    small = result.network
    counted = sum(layer.weight.size + layer.bias.size for layer in small.chain.layers)
    assert result.retained_parameters == counted <= retain * result.parameters + 1e-9
    again = sl.compress(network(seed), result.method)
    assert again.retained_parameters == result.retained_parameters
    for units, layer in zip(result.unit_maps, small.chain.hidden, strict=True):
        assert set(units.tolist()) == set(range(layer.units))


def test_merged_rows_are_means_and_outgoing_weights_sums():
    full = network()
    result = sl.compress(full, sl.AFDE(retain=0.5, relative_to="layer", refit=False))
    units = result.unit_maps[0]
    first, second = result.network.chain.layers[:2]
    for block in range(first.units):
        inside = units == block
        assert first.weight[block] == pytest.approx(
            full.chain.layers[0].weight[inside].mean(axis=0)
        )
        assert first.bias[block] == pytest.approx(full.chain.layers[0].bias[inside].mean())
    outgoing = np.stack(
        [full.chain.layers[1].weight[:, units == b].sum(axis=1) for b in range(first.units)], axis=1
    )
    for block in range(second.units):
        inside = result.unit_maps[1] == block
        assert second.weight[block] == pytest.approx(outgoing[inside].mean(axis=0))


def test_the_tolerance_is_transferable():
    """Scaling the outputs, or copying every unit, changes no relative tolerance's decision."""
    full = network()
    layers = list(full.chain.layers)
    scaled = sl.Network((*layers[:-1], sl.Layer(layers[-1].weight * 1000, layers[-1].bias * 1000)))
    one, other = (sl.compress(n, sl.AFDE(eps=0.2)) for n in (full, scaled))
    for a, b in zip(one.unit_maps, other.unit_maps, strict=True):
        assert a.tolist() == b.tolist()


def test_eps_zero_on_a_generic_network_changes_nothing():
    full = network()
    result = sl.compress(full, sl.AFDE(eps=0))
    assert result.exact and result.retained == 1.0 and result.defect == 0.0
    for a, b in zip(result.network.chain.layers, full.chain.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)


def test_report():
    result = sl.compress(network(), sl.AFDE(eps=0.3))
    data = json.loads(json.dumps(result.to_dict()))
    assert {
        "method",
        "eps",
        "parameters",
        "retained_parameters",
        "retained",
        "layers",
        "defect",
    } <= (data.keys())
    assert all({"name", "units", "blocks"} <= layer.keys() for layer in data["layers"])
    assert (
        sum(layer["retained_parameters"] for layer in data["layers"])
        == (data["retained_parameters"])
    )
    assert "exact" not in str(result) and "δ" in str(result)
    assert "<table>" in result._repr_html_()


@settings(max_examples=30)
@given(seed=st.integers(0, 100), keep=st.floats(0.2, 1.0))
def test_pruning_keeps_what_it_says(seed, keep):
    full = network(seed)
    inputs = np.random.default_rng(seed).normal(size=(30, 5))
    for method in (sl.Magnitude(keep), sl.Magnitude(keep, "layerwise"), sl.Wanda(keep, inputs)):
        result = sl.compress(full, method)
        counted = sum(
            np.count_nonzero(layer.weight) + layer.bias.size
            for layer in result.network.chain.layers
        )
        assert counted == result.retained_parameters <= keep * result.parameters + 1e-9
        for new, old in zip(result.network.chain.layers, full.chain.layers, strict=True):
            kept = new.weight != 0
            assert np.array_equal(new.weight[kept], old.weight[kept])
            assert np.array_equal(new.bias, old.bias)


def test_global_magnitude_removes_the_smallest():
    full = network()
    result = sl.compress(full, sl.Magnitude(0.5))
    kept = [np.abs(layer.weight[layer.weight != 0]).min() for layer in result.network.chain.layers]
    removed = [
        np.abs(old.weight[new.weight == 0]).max()
        for new, old in zip(result.network.chain.layers, full.chain.layers, strict=True)
    ]
    assert min(kept) >= max(removed)


def test_wanda_with_equal_inputs_is_magnitude_row_by_row():
    full = network(widths=(5, 8, 3))
    result = sl.compress(full, sl.Wanda(0.6, np.ones((4, 5))))
    for new, old in zip(
        result.network.chain.layers[0].weight, full.chain.layers[0].weight, strict=True
    ):
        kept = np.abs(old[new != 0])
        assert kept.min() >= np.abs(old[new == 0]).max()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: sl.AFDE(), "exactly one of eps"),
        (lambda: sl.AFDE(eps=0.1, retain=0.5), "exactly one of eps"),
        (lambda: sl.AFDE(eps=-0.1), "eps=-0.1"),
        (lambda: sl.AFDE(retain=0), r"retain=0: a share .* \(0, 1\]"),
        (lambda: sl.AFDE(retain=1.5), "retain=1.5"),
        (lambda: sl.AFDE(eps=0.1, on="weights"), "choose 'influence', 'state' or 'both'"),
        (lambda: sl.AFDE(eps=0.1, linkage="ward"), "choose 'closure', 'diameter', 'variance'"),
        (lambda: sl.AFDE(eps=0.1, relative_to="loss"), "choose 'output', 'parameters' or 'layer'"),
        (
            lambda: sl.AFDE(eps=0.1, relative_to="parameters", on="both"),
            "is for distance='function' and on",
        ),
        (
            lambda: sl.AFDE(eps=0.1, relative_to="parameters", distance="coefficients"),
            "is for distance='function' and on",
        ),
        (lambda: sl.Magnitude(0), "retain=0"),
        (lambda: sl.Magnitude(0.5, "local"), "'global' or 'layerwise'"),
        (lambda: sl.Wanda(2, []), "retain=2"),
    ],
)
def test_bad_options(make, says):
    with pytest.raises(MethodError, match=says):
        make()


def test_methods_that_do_not_fit_the_network():
    with pytest.raises(MethodError, match=r"shape \(samples, 5\)"):
        sl.compress(network(), sl.Wanda(0.5, np.ones((3, 4))))
    with pytest.raises(MethodError, match="fewer than the 35 that are biases"):
        sl.compress(network(), sl.Magnitude(0.05))
    with pytest.raises(FailureError, match="smallest reachable size is"):
        sl.compress(network(), sl.AFDE(retain=0.01))
    with pytest.raises(MethodError, match="takes a method"):
        sl.compress(network(), "AFDE")
