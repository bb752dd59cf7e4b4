"""Random networks, and the same networks with units split into hidden copies."""

import numpy as np
from hypothesis import strategies as st

import symlump as sl

ACTIVATIONS = ("tanh", "sigmoid", "relu", "polynomial:0.25,1,-0.5")


def random_network(rng, widths, activation):
    """Weights are distinct generic floats."""
    weights = [rng.normal(size=(m, n)) for n, m in zip(widths, widths[1:], strict=False)]
    biases = [rng.normal(size=m) for m in widths[1:]]
    return sl.Network.dense(weights, biases, activation)


def split_exactly(rng, w, copies):
    """``copies`` floats whose exact sum is w."""
    parts, rest = [], w
    for _ in range(copies - 1):
        step = np.spacing(abs(rest)) * 2.0 ** rng.integers(20, 40) if rest else 0.0
        part = np.round(rng.uniform(-1.0, 1.0) * rest / step) * step if step else 0.0
        parts.append(part)
        rest = rest - part
    return [*parts, rest]


def hide(network, rng, copies=3):
    """Split hidden units into copies with split outgoing weights, then permute.

    Each row of the next layer is split in its own way, so that single weights differ and only block sums
    agree. Returns the larger network.
    """
    layers = list(network.chain.layers)
    for k in range(len(layers) - 1):
        layer, after = layers[k], layers[k + 1]
        counts = rng.integers(1, copies + 1, size=layer.units)
        owner = np.repeat(np.arange(layer.units), counts)
        rng.shuffle(owner)
        weight = np.zeros((after.units, owner.size))
        for i in range(after.units):
            for j in range(layer.units):
                weight[i, owner == j] = split_exactly(rng, after.weight[i, j], counts[j])
        layers[k] = sl.Layer(layer.weight[owner], layer.bias[owner], layer.activation)
        layers[k + 1] = sl.Layer(weight, after.bias, after.activation)
    return sl.Network(tuple(layers), network.dtype)


@st.composite
def planted_networks(draw):
    """(network, the same with hidden copies)."""
    depth = draw(st.integers(1, 3))
    widths = [draw(st.integers(1, 5)) for _ in range(depth + 2)]
    activation = draw(st.sampled_from(ACTIVATIONS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    network = random_network(rng, widths, activation)
    return network, hide(network, rng)
