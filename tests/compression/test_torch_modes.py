"""The modes of torch are the caller's: every method works in each, and leaves all of them as they were."""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.compression.hierarchical.tangent_kernel import tangent_kernel
from symlump.datasets.pinn import poisson


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4 * 2 * 2, 2)

    def forward(self, x):
        return self.head(torch.tanh(self.conv(x)).flatten(1))


def chain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 2))


def graph():
    torch.manual_seed(0)
    return Convolutional()


X = np.random.default_rng(0).normal(size=(20, 3))
IMAGE = torch.zeros(1, 1, 4, 4)
DATA = (X, np.arange(20) % 2)
MODES = {
    "plain": contextlib.nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}
WORK = {
    "AFDE": lambda: (chain(), sl.AFDE(retain=0.6)),
    "AFDE with steps": lambda: (chain(), sl.AFDE(retain=0.6, steps=3)),
    "AFDE of a graph": lambda: (graph(), sl.AFDE(retain=0.6)),
    "Symmetric": lambda: (chain(), sl.Symmetric(eps=0.1)),
    "Symmetric of a graph": lambda: (graph(), sl.Symmetric()),
    "Dependence with steps": lambda: (chain(), sl.Dependence(retain=0.6, steps=3)),
    "Hierarchical": lambda: (chain(), sl.Hierarchical(retain=0.8)),
    "TruncatedSVD": lambda: (chain(), sl.TruncatedSVD(retain=0.8)),
    "Quantize": lambda: (chain(), sl.Quantize(bits=4)),
    "Magnitude": lambda: (chain(), sl.Magnitude(0.5)),
    "Wanda": lambda: (chain(), sl.Wanda(0.5, X)),
}


@contextlib.contextmanager
def left_alone():
    """Fails if the block changes what belongs to the whole process."""

    def state():
        return (
            torch.get_rng_state().tolist(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_num_threads(),
        )

    before = state()
    yield
    assert state() == before


def reduced(made, frozen=False, train=True):
    model, method = made
    model.train(train)
    if frozen:
        model.requires_grad_(False)
    example = IMAGE if isinstance(model, Convolutional) else None
    with left_alone():
        result = sl.compress(model, method, example=example)
    assert result.model.training == train == model.training
    assert all(p.requires_grad != frozen for p in model.parameters())
    return result


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("work", WORK)
def test_compress_gives_the_same_in_every_mode(work, mode):
    expected = list(reduced(WORK[work]()).model.state_dict().values())
    outside = WORK[work]()
    with MODES[mode]():
        inside = WORK[work]()  # in inference_mode its parameters are inference tensors
        results = [
            reduced(made, frozen, train)
            for made, frozen, train in ((outside, False, False), (inside, True, True))
        ]
    for result in results:
        found = list(result.model.state_dict().values())
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        assert not any(t.is_inference() for t in found)  # so it can be trained
    with MODES[mode]():
        model = WORK[work]()  # what was made in a mode and is compressed outside it
    assert reduced(model).retained == results[0].retained


@pytest.mark.parametrize("mode", MODES)
def test_the_other_verbs_in_every_mode(mode):
    verbs = {
        "anneal": lambda: sl.anneal(chain(), DATA, [0.1, 0.3], epochs=1).model[0].weight,
        "sweep": lambda: [r.defect for r in sl.sweep(sl.from_torch(graph(), IMAGE), [0, 0.5]).rows],
        "tangent kernel": lambda: tangent_kernel(chain(), X[:3]),
        "residual": lambda: poisson().residual(torch.sin, torch.linspace(0, 1, 5)[:, None]),
    }
    for verb, work in verbs.items():
        with left_alone():
            torch_state = torch.get_rng_state()
            expected = work()
            with MODES[mode]():
                found = work()
            torch.set_rng_state(torch_state)  # chain() and graph() seed it
        expected, found = (
            v.detach().numpy() if isinstance(v, torch.Tensor) else np.asarray(v)
            for v in (expected, found)
        )
        assert np.array_equal(expected, found), verb
