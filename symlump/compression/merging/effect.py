"""How much a change of a signature changes the outputs of a network: the unit of AFDE's tolerance.

A change ΔW of a unit's incoming weights changes its pre-activation by ΔW·x, and the outputs by the
gradient times that. In root mean square over standard normal inputs, layer by layer,

    effect = ‖ΔW‖ · rms(inputs of the layer) · rms(∂outputs/∂pre-activation) / rms(outputs).

Distances times this factor are comparable between layers and between networks, so one ε spends the
error where it costs least. It is an estimate and serves as a unit only: no bound rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from symlump.network.chain import Chain
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.network import Network
from symlump.ode.exact import FloatArray

_MOST = 1 << 22  # samples times units of a layer
_SAMPLES = 512
_SEED = 0


def layer_effects(network: Chain) -> tuple[float, ...]:
    """For each layer, rms(inputs)·rms(∂outputs/∂pre-activation)/rms(outputs).

    The gradient is of a random combination of outputs (so one backward pass suffices), the root mean
    square over 512 standard normal inputs, drawn with a fixed seed, and over the units of the layer.

    Examples
    --------
    >>> layer_effects(Chain.dense([[[2.0]], [[3.0]]], activation="identity"))[1].__round__(3)
    0.333
    """
    generator = np.random.default_rng(_SEED)
    x = generator.standard_normal((_SAMPLES, network.inputs))
    values = network.activations(x)
    outputs = values[-1]
    spread = float(np.sqrt(np.mean(np.sum((outputs - outputs.mean(axis=0)) ** 2, axis=1)))) or 1.0
    gradient = generator.choice([-1.0, 1.0], size=outputs.shape)
    effects: list[float] = []
    for layer, h in zip(reversed(network.layers), reversed(values[:-1]), strict=True):
        gradient = gradient * layer.activation.slope(layer.pre_activation(h))
        size = float(np.sqrt(np.mean(gradient**2)) * np.sqrt(np.mean(h**2)))
        effects.append(size / spread if size > 0 else 1.0)
        gradient = gradient @ layer.weight
    return tuple(reversed(effects))


def output_effects(network: Chain, samples: FloatArray) -> tuple[FloatArray, ...]:
    """For each hidden layer, E[Σ_k (∂y_k/∂h_i)²] / Var(y) of its units i over samples of the inputs.

    The sum over outputs is replaced by one combination with random signs per sample, which has the same mean:
    one backward pass suffices.

    Parameters
    ----------
    samples : ndarray, shape (samples, inputs)
        In a wide network only the first ones are used, at least 1024: these are means, and need no more.

    Returns
    -------
    tuple of ndarray, each of shape (units,)

    Examples
    --------
    >>> net = Chain.dense([[[2.0]], [[3.0]]], activation="identity")
    >>> output_effects(net, np.array([[1.0], [-1.0]]))[0].tolist()
    [0.25]
    """
    generator = np.random.default_rng(_SEED)
    effects = [np.zeros(layer.units) for layer in network.hidden]
    outputs = []
    widest = max(layer.units for layer in network.layers)
    samples = samples[: max(1024, _MOST // widest)]
    for start in range(0, len(samples), 1024):  # few at a time, for the sake of memory
        h, arguments = samples[start : start + 1024], []
        for layer in network.layers:
            arguments.append(layer.pre_activation(h))
            h = layer.activation(arguments[-1])
        outputs.append(h)
        gradient = generator.choice([-1.0, 1.0], size=h.shape)
        for number in range(len(network.hidden), 0, -1):
            layer = network.layers[number]
            gradient = gradient * layer.activation.slope(arguments[number])
            gradient = gradient @ layer.weight
            effects[number - 1] += np.einsum("ij,ij->j", gradient, gradient)
    variance = float(np.concatenate(outputs).var(axis=0).sum()) or 1.0
    return tuple(effect / (len(samples) * variance) for effect in effects)


def effect_scale(ode: NetworkODE) -> tuple[float, ...]:
    """What to divide distances by, for each variable of a network's differential equation.

    The signature of a unit (influence form) holds its incoming weights, that of an output h (state
    form) the weights of the next layer.
    """
    effects = np.array(layer_effects(ode.network.dense_chain("the unit of the tolerance")))
    scale = np.ones(len(ode))
    for kind, offset in (("unit", 0), ("h", 1)):
        for number, layer in enumerate(ode.network.hidden):
            scale[ode.where(layer.name, kind)] = 1 / effects[number + offset]
    return tuple(scale.tolist())


@dataclass(frozen=True)
class Difference:
    """How far two networks were seen to differ: an observation, not a bound."""

    samples: int
    seed: int
    root_mean_square: float
    largest: float
    output_root_mean_square: float


def observed_difference(
    original: Network, reduced: Network, samples: int = 10_000, seed: int = 0
) -> Difference:
    """Compare the outputs of two networks on standard normal inputs, fewer where these are large.

    Examples
    --------
    >>> net = Network.dense([[[2.0]], [[3.0]]])
    >>> observed_difference(net, net).largest
    0.0
    """
    per_sample = sum(prod(shape) for shape in original.shapes.values() if len(shape) > 1)
    samples = min(samples, max(4, (1 << 25) // max(1, per_sample)))
    generator = np.random.default_rng(seed)
    x = [generator.standard_normal((samples, *node.size)) for node in original.inputs]
    before = original(*x)
    gap = reduced(*x) - before
    return Difference(
        samples,
        seed,
        float(np.sqrt(np.mean(gap**2))),
        float(np.abs(gap).max()),
        float(np.sqrt(np.mean(before**2))),
    )
