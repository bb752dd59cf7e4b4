"""Random residual convolutional graphs, and the same graphs with channels split into hidden copies."""

import numpy as np
from hypothesis import strategies as st

import symlump as sl
from symlump.network.activations.table import activation
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Flatten,
    Input,
    Pool,
)

SPLITS = np.array([[0.5, 0.5], [2.0, -1.0], [0.0, 1.0], [-1.0, 2.0], [1.0, 0.0]])


class Wide:
    """Makes a graph's layers; every value knows the original channel behind each of its channels.

    A weight that reads a channel with two copies is split between them, exactly and differently each time, so
    single weights tell nothing. With ``copies=False`` the original graph is made, from the same random numbers.
    """

    def __init__(self, seed, copies):
        self.random = np.random.default_rng(seed)
        self.hidden = np.random.default_rng(seed + 1)
        self.copies, self.nodes, self.owners = copies, [], {}

    def input(self, channels, size):
        self.nodes.append(Input("x", (), (channels, size, size)))
        self.owners["x"] = np.arange(channels)
        return "x"

    def owner_of(self, units, alone=False):
        """Which original each new unit copies: one or two of each, in a random order."""
        owner = np.repeat(np.arange(units), self.hidden.integers(1, 3, units))
        self.hidden.shuffle(owner)
        return owner if self.copies and not alone else np.arange(units)

    def layer(self, name, x, units, kernel=(), stride=1, padding=0, owner=None, alone=False):
        read = self.owners[x]
        originals = read.max() + 1
        weight = self.random.normal(size=(units, originals, *kernel))
        bias = self.random.normal(size=units)
        owner = self.owner_of(units, alone) if owner is None else owner
        wide = np.empty((owner.size, read.size, *kernel))
        for j in range(originals):
            copies = np.flatnonzero(read == j)
            for i in range(owner.size):
                shares = (
                    [1.0]
                    if copies.size == 1
                    else SPLITS[self.hidden.integers(len(SPLITS))][: copies.size]
                )
                for copy, share in zip(copies, shares, strict=True):
                    wide[i, copy] = share * weight[owner[i], j]
        rank = len(kernel)
        geometry = ((stride,) * rank, (padding,) * rank, (1,) * rank)
        self.nodes.append(Affine(name, (x,), wide, bias[owner], *geometry))
        self.owners[name] = owner
        return name

    def step(self, node, owner):
        self.nodes.append(node)
        self.owners[node.name] = owner
        return node.name

    def apply(self, name, x, phi):
        return self.step(Apply(name, (x,), activation(phi)), self.owners[x])

    def flatten(self, name, x, places):
        owner = self.owners[x].repeat(places) * places + np.tile(
            np.arange(places), self.owners[x].size
        )
        return self.step(Flatten(name, (x,)), owner)


def residual(seed, copies, phi="relu", channels=3, width=4, joined=False):
    """Stem, one residual block with a shortcut convolution, one without, a join, and a dense head."""
    w = Wide(seed, copies)
    x = w.input(2, 6)
    stem = w.apply("stem.phi", w.layer("stem", x, channels, (3, 3), padding=1), phi)
    a = w.apply("a.phi", w.layer("a", stem, width, (3, 3), padding=1), phi)
    stream = w.owner_of(channels)
    b = w.layer("b", a, channels, (3, 3), stride=2, padding=1, owner=stream)
    s = w.layer("s", stem, channels, (1, 1), stride=2, owner=stream)
    add = w.step(Combine("add", (b, s), "add"), stream)
    h = w.apply("add.phi", add, phi)
    c = w.apply("c.phi", w.layer("c", h, width, (3, 3), padding=1), phi)
    d = w.layer("d", c, channels, (1, 1), owner=stream)
    again = w.step(Combine("again", (h, d), "add"), stream)
    out = w.apply("again.phi", again, phi)
    if joined:
        shift = w.owners[c] + channels
        out = w.step(Concatenate("join", (out, c)), np.concatenate([stream, shift]))
    pooled = w.step(Pool("pool", (out,), "maximum", (2, 2), (1, 1), (0, 0), (1, 1)), w.owners[out])
    flat = w.flatten("flat", pooled, 4)
    w.layer("head", flat, 2, alone=True)
    return sl.Network(tuple(w.nodes), ("head",))


@st.composite
def planted_graphs(draw):
    """(graph, the same with hidden copies)."""
    seed = draw(st.integers(0, 10_000))
    options = {
        "phi": draw(st.sampled_from(["relu", "tanh", "gelu"])),
        "channels": draw(st.integers(1, 3)),
        "width": draw(st.integers(1, 4)),
        "joined": draw(st.booleans()),
    }
    return residual(seed, False, **options), residual(seed, True, **options)
