"""How much a change in a layer, or of a unit's output, changes the outputs of a network.

A change ΔW of a unit's incoming weights changes its pre-activation by ΔW·x, and the outputs by the
gradient times that. In root mean square over standard normal inputs, layer by layer,

    effect = ‖ΔW‖ · rms(inputs of the layer) · rms(∂outputs/∂pre-activation) / rms(outputs),

where the squares of the gradient are added up over a grid. Distances times this factor are comparable between
layers and between networks, so one ε spends the error where it costs least. It is an estimate and serves as a
unit only: no bound rests on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from scipy.linalg import hadamard

from symlump.compression.merging.values import (
    SampledValues,
    ValueWalk,
    columns,
    in_single,
    is_wide,
    to_single,
)
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.evaluate import evaluate, pull_back
from symlump.network.network import Network
from symlump.network.nodes import Affine, Input, Node
from symlump.ode.exact import FloatArray

_MOST = 1 << 22  # samples times units of a layer
_NUMBERS = 1 << 23  # of all values together, where there are grids
_SAMPLES = 512
#: In wide networks effects are means over so many.
_WIDE_SAMPLES = 256
#: So many samples are compared at once, as new memory takes time.
_TOGETHER = 256
_SEED = 0


def layer_effects(network: Network) -> dict[str, float]:
    """For each layer, by name, rms(inputs)·rms(∂outputs/∂pre-activation)/rms(outputs).

    The gradient is of a random combination of outputs (so one backward pass suffices), the root mean
    square over 512 standard normal inputs, fewer where values are large, drawn with a fixed seed, and over the
    units of the layer.

    Examples
    --------
    >>> net = Network.dense([[[2.0]], [[3.0]]], activation="identity")
    >>> round(layer_effects(net)["layers.1"], 3)
    0.333
    """
    generator = np.random.default_rng(_SEED)
    per_sample = sum(prod(shape) for shape in network.shapes.values())
    grids = any(prod(shape[1:]) > 1 for shape in network.shapes.values())
    samples = int(np.clip(_NUMBERS // per_sample, 4, _SAMPLES)) if grids else _SAMPLES
    x = [node.drawn(generator, samples) for node in network.inputs]
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite counts as 1
        return _layer_effects(network, x, generator)


def _layer_effects(
    network: Network, x: Sequence[FloatArray], generator: np.random.Generator
) -> dict[str, float]:
    values = forward(network, x)
    outputs = flat_outputs(values, network)
    spread = float(np.sqrt(np.mean(np.sum((outputs - outputs.mean(axis=0)) ** 2, axis=1)))) or 1.0
    sizes: dict[str, float] = {}

    def measure(node: Node, gradient: FloatArray, pulled: Sequence[FloatArray]) -> None:
        if isinstance(node, Affine):
            square = gradient**2
            if square.ndim > 2:
                square = square.reshape(*square.shape[:2], -1).sum(axis=2)
            h = values[node.inputs[0]]
            sizes[node.name] = float(np.sqrt(np.mean(square)) * np.sqrt(np.mean(h**2)))

    backward(network, values, random_signs(generator, outputs), measure)
    found = {layer.name: sizes.get(layer.name, 0.0) for layer in network.layers}
    shares = {name: s / spread for name, s in found.items()}
    return {name: s if 0 < s < np.inf else 1.0 for name, s in shares.items()}


def read_effects(
    network: Network,
    samples: Sequence[FloatArray],
    known: Mapping[str, FloatArray] | None = None,
    together: dict[str, FloatArray] | None = None,
    outputs: list[FloatArray] | None = None,
) -> dict[str, FloatArray]:
    """For each value that a layer reads, E[Σ_k (∂y_k/∂h_i)²] / Var(y) of its channels i, over samples.

    The derivative is by what the layers read (a sum that reads the value too does not count), its squares are
    added up over a grid. The sum over outputs is replaced by one combination with random signs per sample,
    which has the same mean: one backward pass suffices. In a wide network the signs of many samples are
    orthogonal, so that where derivatives hardly vary the mean over these samples is the sum itself.

    Parameters
    ----------
    samples : sequence of ndarray, each of shape (samples, …)
        Of each input. In a wide network only the first 256 are used: these are means, and need no more.
    known : mapping of str to ndarray, optional
        Values on these samples that are known, by name.
    together : dict, optional
        Gets the matrices E[Σ_k ∂y_k/∂h_i·∂y_k/∂h_j] / Var(y) of values without a grid, by their names.
    outputs : list, optional
        Gets the outputs on the samples that are used, some after the other.

    Returns
    -------
    dict of ndarray, each of shape (channels,)
        By the names of the values.

    Examples
    --------
    >>> net = Network.dense([[[2.0]], [[3.0]]], activation="identity")
    >>> read_effects(net, [np.array([[1.0], [-1.0]])])["layers.0"].tolist()
    [0.25]
    """
    generator = np.random.default_rng(_SEED)
    inputs = {node.name for node in network.inputs}
    read = {node.inputs[0] for node in network.nodes if _mixes(node)} - inputs
    effects = {name: np.zeros((network.shapes[name] or (1,))[0]) for name in read}
    largest = max((prod(s) for s in network.shapes.values() if prod(s[1:]) > 1), default=0)
    chunk = int(np.clip(_MOST // largest, 8, 1024)) if largest else 1024
    widest = max(layer.units for layer in network.layers)
    wide = is_wide(network)
    used = _WIDE_SAMPLES if wide else max(1024, _MOST // widest)
    if in_single(network):
        network = to_single(network)
        samples = [x[:used].astype(np.float32, copy=False) for x in samples]
    samples = [x[: min(used, 512) if largest else used] for x in samples]
    outputs = [] if outputs is None else outputs
    for start in range(0, len(samples[0]), chunk):  # few at a time, for the sake of memory
        some = slice(start, min(start + chunk, len(samples[0])))
        seen = {name: value[some] for name, value in (known or {}).items()}
        values = forward(network, [x[some] for x in samples], seen)
        outputs.append(flat_outputs(values, network))
        signs = (orthogonal_signs if wide else random_signs)(generator, outputs[-1])
        for name, part in read_gradients(network, values, signs, read).items():
            flat = columns(part)
            effects[name] += np.einsum("ij,ij->j", flat, flat)
            if together is not None and len(flat) == len(signs):
                together[name] = together.get(name, 0.0) + flat.T @ flat
    variance = spread_of(np.concatenate(outputs) if len(outputs) > 1 else outputs[0])
    for found in (effects, together or {}):
        for name in found:
            found[name] /= len(samples[0]) * variance
    return effects


def forward(
    network: Network, x: Sequence[FloatArray], known: Mapping[str, FloatArray] | None = None
) -> dict[str, FloatArray]:
    """All values of a network, by name; those that are known are not computed again."""
    values = dict(known or {})
    values.update(zip((node.name for node in network.inputs), x, strict=True))
    for node in network.nodes:
        if node.name not in values:
            values[node.name] = evaluate(node, *(values[name] for name in node.inputs))
    return values


def backward(
    network: Network,
    values: dict[str, FloatArray],
    weights: FloatArray,
    visit: Callable[[Node, FloatArray, Sequence[FloatArray]], None],
    ends: Collection[str] = (),
) -> None:
    """Carry the gradient of a combination of the outputs back through a network.

    Parameters
    ----------
    values : dict
        All values.
    weights : ndarray, shape (samples, all outputs)
        Of the combination.
    visit : callable
        Called for each node with the gradient by its value, and those by the values that it reads.
    ends : collection of str
        Values that nothing is asked of: what reads only these is left out.
    """
    gradients: dict[str, FloatArray] = {}
    bounds = np.cumsum([values[name][:1].size for name in network.outputs])[:-1]
    for name, part in zip(network.outputs, np.split(weights, bounds, axis=1), strict=True):
        gradient = part.reshape(values[name].shape)
        gradients[name] = gradients[name] + gradient if name in gradients else gradient
    for node in reversed(network.nodes):
        if node.name not in gradients or isinstance(node, Input):
            continue
        if all(name in ends for name in node.inputs):
            continue
        gradient = gradients.pop(node.name)
        given = [values[name] for name in node.inputs]
        pulled = [
            _unknown(gradient, h) if g is None else g
            for g, h in zip(pull_back(node, given, gradient), given, strict=True)
        ]
        visit(node, gradient, pulled)
        for name, part in zip(node.inputs, pulled, strict=True):
            gradients[name] = gradients[name] + part if name in gradients else part


def read_gradients(
    network: Network, values: dict[str, FloatArray], weights: FloatArray, read: Collection[str]
) -> dict[str, FloatArray]:
    """For some values, by name, the derivative of a combination of the outputs by what layers read of them.

    Parameters
    ----------
    values, weights
        As for :func:`backward`.
    read : collection of str
        The names of these values. A sum that reads one too does not count.
    """
    parts: dict[str, FloatArray] = {}

    def collect(node: Node, gradient: FloatArray, pulled: Sequence[FloatArray]) -> None:
        if _mixes(node) and node.inputs[0] in read:
            name = node.inputs[0]
            parts[name] = parts[name] + pulled[0] if name in parts else pulled[0]

    inputs = {node.name for node in network.inputs}
    backward(network, values, weights, collect, inputs - set(read))
    return parts


def _unknown(gradient: FloatArray, value: FloatArray) -> FloatArray:
    """Where a library cannot differentiate a step: as large as behind it, in a random direction."""
    size = float(np.sqrt(np.sum(gradient**2) / max(1, value.size)))
    return size * np.random.default_rng(_SEED).choice([-1.0, 1.0], size=value.shape)


def _mixes(node: Node) -> bool:
    return isinstance(node, Affine) and not node.depthwise


def random_signs(generator: np.random.Generator, like: FloatArray) -> FloatArray:
    """As many −1 and 1 as an array has entries, in its precision."""
    signs = generator.integers(0, 2, size=like.shape).astype(like.dtype)
    signs *= 2
    signs -= 1
    return signs


def orthogonal_signs(generator: np.random.Generator, like: FloatArray) -> FloatArray:
    """Random −1 and 1, with orthogonal columns over each power of two of rows that is no less than they are.

    Examples
    --------
    >>> signs = orthogonal_signs(np.random.default_rng(0), np.ones((8, 3)))
    >>> (signs[:4].T @ signs[:4]).tolist()
    [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
    """
    rows, columns = like.shape
    block = 1 << max(0, columns - 1).bit_length()
    if block > rows:
        return random_signs(generator, like)
    blocks = -(-rows // block)
    signs = hadamard(block, like.dtype)[:, :columns] * random_signs(
        generator, np.empty((blocks, 1, columns), like.dtype)
    )
    return np.asarray(signs.reshape(-1, columns)[:rows])


def outputs_on(network: Network, samples: Sequence[FloatArray]) -> FloatArray:
    """All outputs side by side, in the precision of the samples.

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0]]])
    >>> outputs_on(net, [np.ones((1, 2), dtype=np.float32)]).dtype
    dtype('float32')
    """
    if samples[0].dtype != np.float32:
        return network.flat(*samples)
    walk = ValueWalk(network, SampledValues(tuple(samples)))
    return flat_outputs({name: walk.until(name) for name in network.outputs}, network)


def flat_outputs(values: dict[str, FloatArray], network: Network) -> FloatArray:
    """All outputs side by side."""
    parts = [values[name].reshape(len(values[name]), -1) for name in network.outputs]
    return parts[0] if len(parts) == 1 else np.hstack(parts)


def spread_of(outputs: FloatArray) -> float:
    """The variances of all outputs in sum; 1 where none varies.

    Examples
    --------
    >>> spread_of(np.array([[1.0, 0.0], [3.0, 0.0]])), spread_of(np.ones((2, 1)))
    (1.0, 1.0)
    """
    mean, total = outputs.mean(axis=0, dtype=np.float64), 0.0
    for start in range(0, len(outputs), _TOGETHER):
        gap = outputs[start : start + _TOGETHER].astype(np.float64)
        gap -= mean
        total += float(np.vdot(gap, gap))
    return total / len(outputs) or 1.0


def effect_scale(ode: NetworkODE) -> tuple[float, ...]:
    """What to divide distances by, for each variable of a network's differential equation.

    The signature of a unit (influence form) holds its incoming weights, that of an output h (state
    form) the weights of the next layer.
    """
    effects = layer_effects(ode.network)
    scale = np.ones(len(ode))
    for layer, following in zip(ode.network.layers, ode.network.layers[1:], strict=False):
        scale[ode.where(layer.name, "unit")] = 1 / effects[layer.name]
        scale[ode.where(layer.name, "h")] = 1 / effects[following.name]
    return tuple(scale.tolist())


@dataclass(frozen=True)
class Difference:
    """How far two networks were seen to differ: an observation, not a bound."""

    samples: int
    seed: int
    root_mean_square: float
    largest: float
    output_root_mean_square: float


def standard_inputs(network: Network, samples: int, seed: int) -> list[FloatArray]:
    """Standard normal samples of each input of a network, or whole numbers; fewer where these are large."""
    per_sample = sum(prod(shape) for shape in network.shapes.values() if len(shape) > 1)
    samples = min(samples, max(4, (1 << 25) // max(1, per_sample)))
    generator = np.random.default_rng(seed)
    return [node.drawn(generator, samples) for node in network.inputs]


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
    x = standard_inputs(original, samples, seed)
    before, after = original.flat(*x), reduced.flat(*x)
    gap = after - before
    return Difference(
        len(before),
        seed,
        float(np.sqrt(np.mean(gap**2))),
        float(np.abs(gap).max()),
        float(np.sqrt(np.mean(before**2))),
    )
