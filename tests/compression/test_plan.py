"""Every method has one shape: a plan whose size is that of its results, and which reaches what is asked for."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from compression.residual_network import Residual
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import FailureError, MethodError
from symlump.lumping.partition import Partition
from symlump.plan import share_of

X = np.random.default_rng(3).standard_normal((50, 3))

METHODS = {
    "AFDE": sl.AFDE(retain=0.5),
    "AFDE, sums": sl.AFDE(retain=0.5, refit=False),
    "AFDE, closure": sl.AFDE(retain=0.5, linkage="closure"),
    "AFDE, coefficients": sl.AFDE(retain=0.5, distance="coefficients"),
    "AFDE, coefficients, refit": sl.AFDE(retain=0.5, distance="coefficients", refit=True),
    "AFDE, layer": sl.AFDE(retain=0.5, relative_to="layer", refit=True),
    "AFDE, state": sl.AFDE(retain=0.5, on="state"),
    "AFDE, both": sl.AFDE(retain=0.5, on="both"),
    "Symmetric": sl.Symmetric(retain=0.5),
    "Dependence": sl.Dependence(retain=0.5),
    "Dependence, output": sl.Dependence(retain=0.5, relative_to="output"),
    "Dependence, samples": sl.Dependence(retain=0.5, inputs=X, relative_to="output"),
    "Dependence, parameters": sl.Dependence(retain=0.5, relative_to="parameters"),
    "Hierarchical": sl.Hierarchical(retain=0.5, leaf_size=2),
    "TruncatedSVD": sl.TruncatedSVD(retain=0.5),
    "TruncatedSVD, layer": sl.TruncatedSVD(retain=0.5, relative_to="layer"),
    "Quantize": sl.Quantize(retain=0.5),
    "Quantize, matrix": sl.Quantize(retain=0.5, steps="matrix"),
    "Magnitude": sl.Magnitude(0.5),
    "Magnitude, layerwise": sl.Magnitude(0.5, "layerwise"),
    "Wanda": sl.Wanda(0.5, X),
    "Wanda, refit": sl.Wanda(0.5, X, refit=True),
    "second order": sl.SecondOrder(0.5, X),
}
#: Ward's trees do not invert, closures only grow, and the others drop or round one number after the other.
MONOTONE = set(METHODS) - {"AFDE, coefficients", "AFDE, coefficients, refit", "AFDE, layer"}
MONOTONE -= {"AFDE, state", "AFDE, both", "Symmetric"}


def network(seed, activation="tanh"):
    """Random weights, with a copy, a near copy and a mirrored unit in each hidden layer."""
    generator = np.random.default_rng(seed)
    widths = (3, *generator.integers(4, 9, generator.integers(1, 3)).tolist(), 2)
    weights, biases = [], []
    for before, units in zip(widths[:-1], widths[1:], strict=True):
        weight, bias = generator.standard_normal((units, before)), generator.standard_normal(units)
        if units > 2:
            weight[1], bias[1] = weight[0], bias[0]
            weight[2], bias[2] = weight[3] * 1.01, bias[3]
        weights.append(weight)
        biases.append(bias)
    return sl.Network.dense(weights, biases, activation)


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=6)
@given(
    seed=st.integers(0, 10**6),
    eps=st.lists(st.floats(0, 2), min_size=2, max_size=3),
    share=st.floats(0.3, 1.0),
)
def test_sizes_are_those_of_results_and_targets_are_reached(name, seed, eps, share):
    net = network(seed)
    plan = METHODS[name].plan(net)
    assert plan.whole == net.parameters
    sizes = [plan.size(value) for value in sorted(eps)]
    assert sizes == [plan.at(value).retained_parameters for value in sorted(eps)]
    if name in MONOTONE:
        assert sizes == sorted(sizes, reverse=True)
    target = int(share * net.parameters)
    try:
        found = plan.tolerance(target)
        reached = plan.reach(target)
    except FailureError:
        assert plan.size(1e9) > target or name == "Quantize, matrix" or name == "Quantize"
        return
    except MethodError as error:  # pruning keeps the biases
        assert "fewer than the" in str(error)
        return
    assert reached.retained_parameters <= target and plan.size(found) <= target
    if found > 1e-9 and "layerwise" not in name and not name.startswith(("Wanda", "second")):
        finer = found - 2 / net.parameters if name == "Magnitude" else found * (1 - 3e-6)
        assert plan.size(max(finer, 0.0)) > target
    if reached.eps is not None and "AFDE" not in name and name != "Dependence":
        again = plan.at(reached.eps)
        for a, b in zip(again.network.layers, reached.network.layers, strict=True):
            assert np.array_equal(a.weight, b.weight)


def test_every_result_says_its_tolerance_and_in_which_unit():
    net = network(5)
    sizes = [sl.Quantize(bits=3), sl.Quantize(bits=5, steps="matrix"), sl.TruncatedSVD(rank=2)]
    for method in [*(replace(method, retain=0.7) for method in METHODS.values()), *sizes]:
        result = sl.compress(net, method)
        assert result.eps > 0 and result.measure.startswith("ε "), method.label
        assert f"ε = {result.eps:.6g}" in result.headline()
        assert str(result).endswith(result.measure) and result.to_dict()["eps"] == result.eps


def test_the_tolerance_of_pruning_and_rounding_is_what_it_says():
    net, x = network(5), X[:, :3]
    for method, score in (
        (sl.Magnitude(0.6), lambda layer, h: np.abs(layer.weight)),
        (sl.Wanda(0.6, x), lambda layer, h: np.abs(layer.weight) * np.linalg.norm(h, axis=0)),
    ):
        result = sl.compress(net, method)
        assert result.eps == pytest.approx(0.4)
        h, gone = x, []
        for old, new in zip(net.chain.layers, result.network.chain.layers, strict=True):
            gone += score(old, h)[(old.weight != 0) & (new.weight == 0)].tolist()
            h = new(h)
        largest = float(result.measure.rsplit(" ", 1)[1])
        assert max(gone) <= largest <= max(gone) * 1.001
    for bits in (2, 4, 7):
        result = sl.compress(net, sl.Quantize(bits=bits))
        for old, new in zip(net.layers, result.network.layers, strict=True):
            size = np.abs(old.weight).max(axis=1, keepdims=True)
            assert (np.abs(old.weight - new.weight) <= result.eps * size * (1 + 1e-12)).all()
    result = sl.compress(net, sl.TruncatedSVD(rank=1))
    shares = []
    for layer in net.layers:
        values = np.linalg.svd(layer.weight, compute_uv=False)
        if sum(layer.weight.shape) < layer.weight.size:
            shares.append(np.linalg.norm(values[1:]) / np.linalg.norm(values))
    assert result.eps == pytest.approx(max(shares))


def test_a_plan_gives_what_compress_gives():
    net = network(5)
    for name, method in METHODS.items():
        result = sl.compress(net, replace(method, retain=0.8))
        assert result.retained_parameters <= 0.8 * net.parameters, name
        plan = method.plan(net)
        for again in (plan.retain(0.8), plan.retain(0.8)):
            for a, b in zip(result.network.layers, again.network.layers, strict=True):
                assert np.array_equal(a.weight, b.weight), name


@pytest.mark.parametrize(
    ("kind", "old", "new", "value", "others"),
    [
        (sl.Dependence, "tol", "eps", 0.1, {}),
        (sl.Hierarchical, "tol", "eps", 0.1, {}),
        (sl.TruncatedSVD, "tol", "eps", 0.1, {}),
        (sl.TruncatedSVD, "keep", "retain", 0.4, {}),
        (sl.Magnitude, "keep", "retain", 0.4, {}),
        (sl.Wanda, "keep", "retain", 0.4, {"inputs": X}),
    ],
)
def test_old_names_warn(kind, old, new, value, others):
    with pytest.warns(DeprecationWarning, match=rf"{kind.__name__}\({old}=…\) is now"):
        method = kind(**{old: value}, **others)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert getattr(method, new) == getattr(kind(**{new: value}, **others), new) == value


def test_no_wish_and_two_wishes_are_refused():
    for name, method in METHODS.items():
        kind = type(method)
        others = {"inputs": X} if kind is sl.Wanda else {}
        if kind is not sl.Symmetric:
            with pytest.raises(MethodError, match=f"{kind.__name__} takes exactly one of"):
                kind(**others)
        with pytest.raises(MethodError):
            kind(eps=0.1, retain=0.5, **others)
        with pytest.raises(MethodError, match="eps=-1: a tolerance is a finite number"):
            kind(eps=-1, **others)
        with pytest.raises(MethodError, match=r"retain=1.5: a share of the size is in \(0, 1\]"):
            kind(retain=1.5, **others)
        assert name


def test_bits_and_ranks_are_tolerances_too():
    net = network(1)
    assert [sl.Quantize(eps=e).plan(net).at(e).note for e in (0.5, 0.1, 1e-9)] == [
        *("2 bits", "4 bits"),
        "not rounded",
    ]
    small = sl.compress(net, sl.Quantize(bits=4)).network
    again = sl.compress(net, sl.Quantize(eps=0.1)).network
    for a, b, c in zip(small.layers, again.layers, net.layers, strict=True):
        assert np.array_equal(a.weight, b.weight)
        largest = np.abs(c.weight).max(axis=1, keepdims=True)
        assert (np.abs(a.weight - c.weight) <= 0.1 * largest).all()
    with pytest.raises(FailureError, match="2 bits a weight"):
        sl.compress(net, sl.Quantize(retain=0.1))


AFDES = {
    "functions": {},
    "closure": {"linkage": "closure"},
    "parameters": {"relative_to": "parameters"},
    "coefficients": {"distance": "coefficients"},
    "coefficients, refit": {"distance": "coefficients", "refit": True},
    "layer": {"relative_to": "layer"},
    "own unit": {"relative": False},
}


@pytest.mark.parametrize("name", AFDES)
@settings(max_examples=5)
@given(seed=st.integers(0, 10**6), share=st.floats(0.3, 0.9))
def test_a_lumping_speaks_in_the_unit_of_its_tolerance(name, seed, share):
    net = network(seed)
    try:
        result = sl.compress(net, sl.AFDE(retain=share, **AFDES[name]))
    except FailureError:
        return
    again = sl.compress(
        net, result.method
    )  # which names the unit, and the floor where there is one
    for a, b in zip(again.network.layers, result.network.layers, strict=True):
        assert a.weight == pytest.approx(b.weight, rel=1e-9, abs=1e-9)
    (lumping,) = result.lumpings
    assert lumping.method.eps == result.eps
    assert sl.lump(lumping.ode, lumping.method).partition == lumping.partition
    if not result.eps:
        return
    certificate = lumping.certificate()
    assert certificate.check().accepted
    assert float(certificate.data["tolerance"]) == result.eps
    of_layer = lumping.ode.where("layers.0").tolist()
    for x, y in ((0, 1), (2, 3), (0, 2)):
        said = lumping.explain(of_layer[x], of_layer[y])
        together = lumping.partition.labels[of_layer[x]] == lumping.partition.labels[of_layer[y]]
        assert said.together == together
        if name in ("functions", "closure", "parameters"):
            height = float(said.text.split("join at a distance of ")[1].split(",")[0])
            assert (height <= result.eps * (1 + 1e-5)) == together or "kept apart" in said.text
            assert result.method.unit in said.text
        elif AFDES[name].get("linkage", "variance") == "variance" and x + y == 1:
            assert "distance of their signatures under the final blocks is 0" in said.text


@settings(max_examples=8, phases=[Phase.explicit, Phase.generate])
@given(
    seed=st.integers(0, 1000),
    share=st.floats(0.15, 0.9),
    unit=st.sampled_from(["output", "parameters", "layer"]),
)
def test_what_a_tolerance_leaves_of_a_size_is_spent(seed, share, unit):
    """Merges of few large units leave much; cheap ones are left out for it, within the same tolerance."""
    generator = np.random.default_rng(seed)
    shapes = ((6, 50), (8, 6), (7, 8), (2, 7))
    net = sl.Network.dense([generator.standard_normal(shape) for shape in shapes])
    options = {"distance": "function", "relative_to": unit}
    result = sl.compress(net, sl.AFDE(retain=share, up_to=share, **options))
    plain = sl.compress(net, sl.AFDE(retain=share, up_to=0, **options))
    target = share_of(net.parameters, share)
    assert plain.retained_parameters <= result.retained_parameters <= target
    assert plain.eps == result.eps and "left out" not in str(plain)
    usual = sl.compress(net, sl.AFDE(retain=share, **options))
    assert usual.unit_maps[0].tolist() == result.unit_maps[0].tolist()  # which is the default
    assert usual.retained_parameters == result.retained_parameters
    for fine, coarse in zip(result.unit_maps, plain.unit_maps, strict=True):
        assert Partition(fine) <= Partition(coarse)  # whose blocks the tolerance allows
    left = sum(map(len, map(np.unique, result.unit_maps))) - sum(
        map(len, map(np.unique, plain.unit_maps))
    )
    assert (f"{left} merge" in str(result)) == (left > 0) == ("within ε left out" in str(result))
    plan = result.method.plan(net)
    for axis in range(len(plan.merging.trees)):  # nothing more fits
        more = plan.merging._left(result.eps)
        more[axis] += 1
        last = plan.merging.trees[axis][:, 2][: len(plan.merging.trees[axis]) + 2 - more[axis]]
        assert not last.size or last[-1] == 0 or plan.merging._size(more) > target
    again = sl.compress(net, result.method)
    for a, b in zip(again.network.layers, result.network.layers, strict=True):
        assert np.array_equal(a.weight, b.weight)
    (lumping,) = result.lumpings
    assert sl.lump(lumping.ode, lumping.method).partition == lumping.partition


@pytest.mark.parametrize("method", [sl.AFDE, sl.Dependence, sl.Hierarchical, sl.Wanda])
def test_inputs_are_taken_as_people_have_them(method):
    net, options = network(2), {"leaf_size": 2} if method is sl.Hierarchical else {}
    batches = torch.utils.data.TensorDataset(torch.tensor(X), torch.zeros(len(X)))
    loader = torch.utils.data.DataLoader(batches, batch_size=16)

    def weights(inputs):
        result = sl.compress(net, method(retain=0.7, inputs=inputs, **options))
        return [layer.weight for layer in result.network.layers]

    first = weights(X)
    for inputs in (X.tolist(), torch.tensor(X), loader):
        assert all(map(np.allclose, weights(inputs), first))
    for inputs in (sl.Normal(), sl.Normal(np.ones(3), np.diag([9.0, 1.0, 0.1]))):
        assert all(np.isfinite(weight).all() for weight in weights(inputs))
    for wrong in ("samples.csv", 3.0, X[:, :2]):
        with pytest.raises(MethodError, match="inputs"):
            weights(wrong)


def test_what_says_nothing_to_outgoing_weights_is_refused():
    for options in (
        {"refit": True},
        {"distance": "function"},
        {"floor": 0.5},
    ):
        with pytest.raises(MethodError, match="has no effect with on='state'"):
            sl.AFDE(eps=0.1, on="state", **options)
    sl.AFDE(eps=0.1, on="state", distance="coefficients", refit=False)


def test_a_size_at_which_outputs_stand_still_is_said():
    """A weak layer goes as a whole where the smallest of all weights go."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((6, 3)), 1e-3 * rng.standard_normal((5, 6)), np.ones((1, 5))]
    net = sl.Network.dense(weights)
    said = "the outputs hardly depend on the inputs any more"
    assert said in str(sl.compress(net, sl.Magnitude(0.3)))
    assert said not in str(sl.compress(net, sl.Magnitude(0.9)))
    assert said not in str(sl.compress(net, sl.AFDE(retain=0.5)))
    assert said not in str(sl.compress(sl.Network.dense([0 * weights[0]]), sl.Magnitude(0.3)))


def test_the_share_that_may_remain_is_checked():
    for options in (
        {"eps": 0.1, "up_to": 2},
        {"eps": 0.1, "up_to": 0.5, "on": "both"},
        {"eps": 0.1, "up_to": 0.5, "distance": "coefficients"},
        {"retain": 0.1, "up_to": 0.5},
    ):
        with pytest.raises(MethodError, match="up_to="):
            sl.AFDE(**options)
    net = network(1)
    fine, coarse = (sl.compress(net, sl.AFDE(eps=9.0, up_to=u)) for u in (0.6, None))
    assert coarse.retained < fine.retained <= 0.6 and fine.eps == 9.0


def test_the_floor_is_named_where_it_decides():
    generator = np.random.default_rng(1)
    weights = [generator.standard_normal(s) for s in ((32, 3), (32, 32), (1, 32))]
    weights[0] = weights[0][:1] + 1e-3 * weights[0]  # units that are nearly one
    net = sl.Network.dense(weights, activation="tanh")
    result = sl.compress(net, sl.AFDE(retain=0.1))
    assert result.network.widths[1] == 4 and "no layer below 0.125 of its units" in str(result)
    again = sl.compress(net, result.method)  # which names the floor and the unit
    assert np.array_equal(again.network.layers[0].weight, result.network.layers[0].weight)
    free = sl.compress(net, sl.AFDE(retain=0.1, floor=0.0))
    assert free.network.widths[1] < 4 and "floor" not in str(free)
    with pytest.raises(MethodError, match="share of its units"):
        sl.AFDE(eps=0.1, floor=2)


@pytest.mark.parametrize("linkage", ["variance", "diameter", "closure"])
def test_no_layer_goes_below_the_floor(linkage):
    net = network(1)
    for options in ({"distance": "coefficients"}, {"distance": "function"}):
        result = sl.compress(net, sl.AFDE(eps=1e6, floor=0.5, linkage=linkage, **options))
        assert [layer.units for layer in result.network.hidden] == [
            (layer.units + 1) // 2 for layer in net.hidden
        ]


def test_a_unit_of_one_network_is_not_that_of_another_system():
    (lumping,) = sl.compress(network(2), sl.AFDE(eps=0.2)).lumpings
    with pytest.raises(MethodError, match="units of the network that was compressed"):
        sl.lump(sl.encode(network(2)), lumping.method)
    assert "(variance, as a share of the outputs' spread)" in lumping.headline()


def test_plans_of_convolutions_and_branches():
    torch.manual_seed(0)
    net = sl.from_torch(Residual().eval(), torch.zeros(1, 1, 6, 6))
    images = np.random.default_rng(0).standard_normal((40, 1, 6, 6))
    for name, method in METHODS.items():
        if name in ("AFDE, state", "AFDE, both"):
            continue  # for chains
        if getattr(method, "inputs", None) is X:
            method = replace(method, inputs=images)
        plan = method.plan(net)
        for eps in (0.0, 0.1, 1.0):
            assert plan.size(eps) == plan.at(eps).retained_parameters, name
        if isinstance(method, sl.AFDE):
            (lumping,) = plan.at(0.5).lumpings
            assert sl.lump(lumping.ode, lumping.method).partition == lumping.partition, name


@pytest.mark.parametrize("name", METHODS)
def test_what_is_no_tolerance_and_no_size_is_refused(name):
    plan = METHODS[name].plan(network(0))
    for ask, values in (
        (plan.at, (-1.0, np.nan, np.inf, "0.1", None)),
        (plan.size, (-1.0, np.nan, np.inf, "0.1", None)),
        (plan.reach, (-1, np.nan, "7", None)),
        (plan.tolerance, (-1, np.nan, "7", None)),
    ):
        for value in values:
            with pytest.raises(MethodError, match="a finite number|a number, 0 or larger"):
                ask(value)


def test_what_is_no_tolerance_of_a_system_is_refused():
    ode = sl.PolynomialODE.from_text("x1' = -x1; x2' = -2*x2")
    for method in (sl.Forward(), sl.Backward(), sl.Constrained(["x1"])):
        plan = method.plan(ode)
        for value in (-1.0, np.nan, None):
            with pytest.raises(MethodError, match="a finite number"):
                plan.size(value)
            with pytest.raises(MethodError, match="a number, 0 or larger"):
                plan.reach(value)


def test_options_that_say_nothing_are_refused():
    net = network(0)
    for make, says in (
        (lambda: sl.TruncatedSVD(rank=2, relative_to="output"), "has no effect with rank=2"),
        (lambda: sl.Symmetric(eps=0.1, proof=True), "proof=True needs eps=0"),
        (
            lambda: sl.compress(net, sl.Symmetric(), example=torch.zeros(1, 3)),
            "apply to torch modules",
        ),
        (lambda: sl.compress(net, sl.Symmetric(), leave_untouched=True), "apply to torch modules"),
        (lambda: sl.sweep(net, [0], example=torch.zeros(1, 3)), "apply to torch modules"),
    ):
        with pytest.raises(MethodError, match=says):
            make()


def test_an_old_name_beside_the_new_one_is_refused():
    with pytest.raises(MethodError, match=r"TruncatedSVD\(eps=…\); give that one only"):
        sl.TruncatedSVD(tol=0.1, eps=0.2)
