"""The bound of two networks attacked: by projected ascent, and by bisection of the whole range in balls."""

import heapq

import numpy as np
import pytest
import torch
from test_signed_bounds import random_pair, signed_of

from symlump.network.bounds.difference import bound_difference
from symlump.network.bounds.inputs import box_of

torch_of = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "silu": torch.nn.functional.silu,
    "softplus": torch.nn.functional.softplus,
}


def weights_of(network):
    return [(layer.weight, layer.bias) for layer in network.dense_chain("a test").layers]


def by_polynomials(f, g, box):
    return signed_of(f, g, box)(box_of(f, box)[None, :])[0]


def ascended(f, g, name, box, rng, rounds=40):
    """The largest |f − g| of each output that ascent finds from 32 points on, in float64."""
    nets = [[(torch.tensor(w), torch.tensor(b)) for w, b in weights_of(net)] for net in (f, g)]

    def value(layers, x):
        for k, (w, b) in enumerate(layers):
            x = x @ w.T + b
            x = torch_of[name](x) if k < len(layers) - 1 else x
        return x

    low, high = torch.tensor(box[:, 0].copy()), torch.tensor(box[:, 1].copy())
    best = np.zeros(len(nets[0][-1][1]))
    for output in range(best.size):
        x = low + (high - low) * torch.tensor(rng.random((32, low.numel())))
        for k in range(rounds):
            x.requires_grad_(True)
            off = (value(nets[0], x) - value(nets[1], x))[:, output].abs()
            best[output] = max(best[output], float(off.detach().max()))
            (up,) = torch.autograd.grad(off.sum(), x)
            x = torch.clamp(x.detach() + (high - low) * 0.2 * 0.9**k * up.sign(), low, high)
    return best


@pytest.mark.parametrize("name", list(torch_of))
@pytest.mark.parametrize("polynomials", [False, True], ids=["as by default", "polynomials"])
def test_no_ascent_exceeds_the_bound(name, polynomials):
    """Boxes from tiny, where the bound is nearly attained, to wide, weights from small to large."""
    rng, tight = np.random.default_rng(7), []
    for k in range(6):
        n = int(rng.integers(1, 6))
        f, g = random_pair(rng, name, n, rng.integers(2, 12, 2), 2, 10.0 ** rng.uniform(-4, 0))
        centre, half = rng.normal(size=n), 10.0 ** (-3.0 + 0.7 * k)
        box = np.stack([centre - half, centre + half], axis=1)
        if polynomials:
            bound = by_polynomials(f, g, box)
        else:
            bound = bound_difference(f, g, box, splits=[0, 15, None][k % 3]).values
        found = ascended(f, g, name, box, rng)
        assert (found <= bound).all(), (k, found, bound)
        tight.append((found / bound).max())
    assert max(tight) > 0.99  # so the ascent is one that would find something


def bisected(f, g, low, high, cells):
    """Numbers that the largest |f − g| on [low, high] is between, for one input: balls alone."""
    flint = pytest.importorskip("flint")
    nets = [
        [([list(map(flint.arb, row)) for row in w.tolist()], list(map(flint.arb, b.tolist())))
         for w, b in weights_of(net)] for net in (f, g)
    ]  # fmt: skip

    def value(layers, x):
        values = [x]
        for k, (w, b) in enumerate(layers):
            values = [
                sum((p * v for p, v in zip(row, values, strict=True)), c)
                for row, c in zip(w, b, strict=True)
            ]
            values = [v.tanh() for v in values] if k < len(layers) - 1 else values
        return values[0]

    def size(x):
        return abs(value(nets[0], x) - value(nets[1], x))

    def cell(a, b):
        middle, radius = (a + b) / 2, (b - a) / 2
        most = size(flint.arb(middle, radius)).upper()
        return -float(most) * (1 + 1e-12), a, b, float(size(flint.arb(middle)).lower())

    heap = [cell(low, high)]
    least = heap[0][3]
    for _ in range(cells):
        _, a, b, _ = heapq.heappop(heap)
        for part in (cell(a, (a + b) / 2), cell((a + b) / 2, b)):
            least = max(least, part[3])
            heapq.heappush(heap, part)
    return least, -heap[0][0]


@pytest.mark.parametrize("seed", range(4))
def test_bisection_of_the_whole_range(seed):
    """Endpoints are dyadic, so halves are exact."""
    rng = np.random.default_rng(seed)
    f, g = random_pair(rng, "tanh", 1, [3, 3], 1, 0.1)
    for half in (0.125, 1.0):
        least, most = bisected(f, g, -half, half, 1500)
        box = np.array([[-half, half]])
        assert 0 < least <= most < 1.2 * least
        for bound in (
            bound_difference(f, g, box).values[0],
            bound_difference(f, g, box, splits=0).values[0],
            by_polynomials(f, g, box)[0],
        ):
            assert least <= bound
        assert bound_difference(f, g, box).values[0] < 1.05 * most
