"""What inputs cannot be used is said and why; so is what a result does not do, and what its numbers count."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.errors import FailureError, MethodError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
NET = sl.Network.dense(
    [RNG.normal(size=s) for s in [(9, 3), (7, 9), (2, 7)]], [RNG.normal(size=s) for s in (9, 7, 2)]
)
USERS = {
    "AFDE": lambda x: sl.AFDE(retain=0.5, inputs=x),
    "Dependence": lambda x: sl.Dependence(retain=0.5, inputs=x),
    "Hierarchical": lambda x: sl.Hierarchical(retain=0.8, inputs=x, leaf_size=2),
    "Magnitude": lambda x: sl.Magnitude(0.6, refit=True, inputs=x),
    "Wanda": lambda x: sl.Wanda(0.6, x),
    "Combined": lambda x: sl.Combined(retain=0.5, inputs=x),
}


class _Batches:
    """What a loader gives."""

    def __init__(self, *batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (X * 1j, "samples are complex"),
        (torch.from_numpy(X * 1j), "samples are complex"),
        (_Batches({"pixels": torch.ones(4, 3)}), r"torch.cat\(\[batch\['pixels'\] for batch in"),
        (_Batches(torch.ones(4, 3), torch.ones(4, 2)), r"one shape .* got \(2,\) and \(3,\)"),
        (_Batches((torch.tensor(1.0), 0)), r"one shape"),
    ],
)
def test_samples_that_are_none(name, inputs, says):
    with pytest.raises(MethodError, match=says):
        sl.compress(NET, USERS[name](inputs))


def test_batches_of_two_inputs_have_one_shape_each():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 6), nn.Linear(2, 6)

        def forward(self, x, y):
            return torch.tanh(self.a(x) + self.b(y))

    two = sl.from_torch(Two(), (torch.zeros(1, 3), torch.zeros(1, 2)))
    batches = [(torch.rand(4, 3), torch.rand(4, 2)), (torch.rand(4, 3), torch.rand(4, 1))]
    with pytest.raises(MethodError, match=r"got \(1,\) and \(2,\)"):
        sl.compress(two, sl.AFDE(retain=0.9, inputs=_Batches(*batches)))


@pytest.mark.parametrize("name", ["Hierarchical", "Magnitude", "Wanda"])
def test_what_overflows_is_named(name):
    net = sl.Network.dense([layer.weight for layer in NET.layers], activation="relu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((MethodError, FailureError), match="layers.* overflows on these inputs"):
            sl.compress(net, USERS[name](np.full((50, 3), 1e300)))


@pytest.mark.parametrize("size", [1e300, 1e160])
@pytest.mark.parametrize("units", [6, 256])
def test_samples_whose_squares_overflow_are_refused_by_afde(size, units):
    """The values themselves may be finite."""
    rng = np.random.default_rng(0)
    net = sl.Network.dense(
        [rng.standard_normal(shape) for shape in ((units, 3), (units, units), (2, units))],
        activation="relu",
    )
    with pytest.raises(
        MethodError, match="overflow on inputs as in these samples; state how large"
    ):
        sl.compress(net, sl.AFDE(retain=0.5, inputs=size * rng.standard_normal((50, 3))))


@pytest.mark.parametrize("name", ["AFDE", "Dependence"])
@pytest.mark.parametrize("x", [np.ones((1, 3)), np.ones((50, 3)), np.zeros((50, 3))])
def test_inputs_that_tell_nothing_apart(name, x):
    """Any network of that size gives the one value there is: it must be said that nothing was compared."""
    says = "the original's outputs are the same for all inputs"
    assert says in sl.compress(NET, USERS[name](x)).headline()
    assert says not in sl.compress(NET, USERS[name](X)).headline()


def test_inputs_that_are_not_used_need_not_differ():
    still = sl.Network.dense([np.ones((3, 2)), np.zeros((1, 3))])
    small = sl.compress(still, sl.AFDE(eps=0.1, distance="coefficients"))
    assert "the same for all" not in small.headline()


@pytest.mark.parametrize("name", ["AFDE", "Dependence", "Magnitude", "Combined"])
def test_who_drew_inputs_says_once_that_samples_would_help(name):
    wide = sl.Network.dense(
        [RNG.normal(size=(6, 70)), RNG.normal(size=(6, 6)), RNG.normal(size=(2, 6))]
    )
    method = USERS[name](RNG.normal(size=(90, 70)))
    assert "samples of your inputs help" not in sl.compress(wide, method).headline()
    head = sl.compress(wide, replace(method, inputs=None)).headline()
    assert head.count("samples of your inputs help") == 1
    assert f"{name}(inputs=X), or --data" in head


def test_pruning_says_which_weights_it_did_not_refit():
    again = nn.Linear(6, 6)
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), again, nn.Tanh(), again, nn.Linear(6, 1))
    small = sl.compress(sl.from_torch(model, torch.zeros(1, 3)), sl.Magnitude(0.6, refit=True))
    shared = [layer.name for layer in small.network.layers if layer.weight_name]
    assert f"shared weights are not refitted: {', '.join(shared)}" in small.headline()
    assert "shared weights" not in sl.compress(NET, sl.Magnitude(0.6, refit=True)).headline()


def test_what_a_defect_counts_is_said_where_it_is_no_change_of_coefficients():
    dependence = sl.compress(NET, sl.Dependence(retain=0.5, inputs=X))
    moved = np.sqrt(np.mean((dependence.network(X) - NET(X)) ** 2, axis=0).sum())
    spread = np.sqrt(NET(X).var(axis=0).sum())
    assert dependence.defect == pytest.approx(moved / spread)
    assert "δ is the share of their spread by which they change in all" in str(dependence)
    combined = sl.compress(NET, sl.Combined(retain=0.4))
    if combined.lumpings:
        assert "δ is the 2-norm of the change of the coefficients" in str(combined)
    else:
        assert combined.defect == combined.eps and "δ is the same" in str(combined)


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (np.zeros((0, 3)), np.zeros((0, 2)), "at least one sample"),
        (np.full((5, 3), np.nan), np.zeros((5, 2)), "inputs hold numbers that are not finite"),
        (np.zeros((5, 3)), np.full((5, 2), np.inf), "targets hold numbers that are not finite"),
        (np.full((5, 3), np.nan), np.zeros(5), "inputs hold numbers that are not finite"),
    ],
)
def test_an_error_is_measured_on_numbers(x, y, says):
    with pytest.raises(MethodError, match=says):
        sl.sweep(NET, [0.0], data=(x, y))
