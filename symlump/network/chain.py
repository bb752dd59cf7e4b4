"""Dense layers one after the other: the view of a network in which it is matrices and vectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from symlump.errors import NetworkError
from symlump.network.activations.activation import Activation
from symlump.network.activations.table import ACTIVATIONS
from symlump.network.nodes import Affine, Apply, GroupSum, Input, Node
from symlump.network.precision import Dtype
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.notation import count_text


@dataclass(frozen=True, eq=False)
class Layer:
    """One dense layer, h = φ(W·x + b), optionally followed by sums over groups of its units.

    Parameters
    ----------
    weight : ndarray, shape (units, inputs)
    bias : ndarray, shape (units,), or None
    activation : Activation
    groups : ndarray of int, shape (units,), or None
        If given, output g of the layer is the sum of the units with ``groups == g``.

    Examples
    --------
    >>> layer = Layer(np.array([[1.0, 2.0]]), np.array([0.5]), ACTIVATIONS["relu"])
    >>> layer(np.array([[1.0, 1.0], [-1.0, 0.0]])).tolist()
    [[3.5], [0.0]]
    """

    weight: FloatArray
    bias: FloatArray | None
    activation: Activation = ACTIVATIONS["identity"]
    groups: IntArray | None = None

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(self.weight.shape[1])

    @property
    def units(self) -> int:
        """Number of units."""
        return int(self.weight.shape[0])

    @property
    def outputs(self) -> int:
        """Number of values passed on: the units, or the groups where there are some."""
        return self.units if self.groups is None else int(self.groups.max(initial=-1)) + 1

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return int(self.weight.size) + (0 if self.bias is None else int(self.bias.size))

    def pre_activation(self, x: FloatArray) -> FloatArray:
        """W·x + b for rows of ``x``.

        Parameters
        ----------
        x : ndarray, shape (samples, inputs)

        Returns
        -------
        ndarray, shape (samples, units)

        Examples
        --------
        >>> Layer(np.array([[1.0, 2.0]]), np.array([0.5])).pre_activation(np.array([[-1.0, 0.0]])).tolist()
        [[-0.5]]
        """
        z = np.asarray(x @ self.weight.T)
        if self.bias is not None:
            z += self.bias
        return z

    def __call__(self, x: FloatArray) -> FloatArray:
        """What the layer passes on, for rows of ``x``."""
        h = self.activation(self.pre_activation(x))
        if self.groups is None:
            return h
        sums = np.zeros((h.shape[0], self.outputs))
        np.add.at(sums.T, self.groups, h.T)
        return sums


@dataclass(frozen=True, eq=False, repr=False)
class Chain:
    """Dense layers in float64, each reading the one before it.

    A network that is such a chain has it as :attr:`symlump.Network.chain`; what needs matrices works on this.

    Parameters
    ----------
    layers : tuple of Layer
    dtype : {"float64", "float32", "bfloat16", "float16"}
        What the weights were when they came, and will be when they leave.

    Raises
    ------
    NetworkError
        If shapes do not chain, or a weight is not finite.

    Examples
    --------
    >>> net = Chain.dense([[[1.0, 2.0], [1.0, 2.0]], [[0.5, 0.25]]], activation="tanh")
    >>> net, net(np.array([[0.5, 0.0]])).round(4).tolist()
    (<Chain: 2–2–1, tanh, 6 parameters>, [[0.3466]])
    """

    layers: tuple[Layer, ...]
    dtype: Dtype = "float64"

    def __post_init__(self) -> None:
        if not self.layers:
            raise NetworkError("the network has no layers")
        width: int | None = None
        for number, layer in enumerate(self.layers):
            _validate(layer, number, width)
            width = layer.outputs

    @classmethod
    def dense(
        cls,
        weights: Iterable[npt.ArrayLike],
        biases: Iterable[npt.ArrayLike | None] | None = None,
        activation: str | Activation = "tanh",
        output_activation: str | Activation = "identity",
        dtype: Dtype = "float64",
    ) -> Chain:
        """A network from weight matrices (units × inputs), one activation for all hidden layers.

        Parameters
        ----------
        weights : iterable of array_like, shape (units, inputs)
            One matrix for each layer.
        biases : iterable of array_like or None, shape (units,), optional
            One for each layer; None: without a bias.
        activation, output_activation : str or Activation
            Of the hidden layers, and of the last one.
        dtype : str
            The format in which the weights are kept when they are written.

        Returns
        -------
        Chain

        Raises
        ------
        NetworkError
            If shapes do not fit, or an activation is not known.

        Examples
        --------
        >>> Chain.dense([[[1.0, 2.0], [3.0, 4.0]], [[0.5, 0.25]]], biases=[[0.0, 1.0], None])
        <Chain: 2–2–1, tanh, 8 parameters>
        """
        from symlump.network.activations.table import activation as look_up

        hidden, last = (
            a if isinstance(a, Activation) else look_up(a) for a in (activation, output_activation)
        )
        matrices = [np.asarray(w, dtype=np.float64) for w in weights]
        vectors = [None] * len(matrices) if biases is None else list(biases)
        if len(vectors) != len(matrices):
            raise NetworkError(f"{len(matrices)} weight matrices but {len(vectors)} biases")
        return cls(
            tuple(
                Layer(
                    w,
                    None if b is None else np.asarray(b, dtype=np.float64),
                    last if i == len(matrices) - 1 else hidden,
                )
                for i, (w, b) in enumerate(zip(matrices, vectors, strict=True))
            ),
            dtype,
        )

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.layers[-1].outputs

    @property
    def hidden(self) -> tuple[Layer, ...]:
        """The hidden layers: all but the last."""
        return self.layers[:-1]

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, units of each hidden layer, outputs."""
        return (self.inputs, *(layer.units for layer in self.layers))

    def __call__(self, x: npt.ArrayLike) -> FloatArray:
        """The forward pass in float64.

        Parameters
        ----------
        x : array_like, shape (samples, inputs)

        Returns
        -------
        ndarray, shape (samples, outputs)
        """
        return self.activations(x)[-1]

    def activations(self, x: npt.ArrayLike) -> list[FloatArray]:
        """The values that each layer passes on, for the given inputs (first entry: the inputs themselves).

        Parameters
        ----------
        x : array_like, shape (samples, inputs)

        Returns
        -------
        list of ndarray, shape (samples, units)

        Raises
        ------
        NetworkError
            If the inputs have another shape.

        Examples
        --------
        >>> chain = Chain.dense([[[1.0, 2.0]], [[3.0]]], activation="relu")
        >>> [h.tolist() for h in chain.activations([[1.0, 1.0]])]
        [[[1.0, 1.0]], [[3.0]], [[9.0]]]
        """
        h = np.asarray(x, dtype=np.float64)
        if h.ndim != 2 or h.shape[1] != self.inputs:
            raise NetworkError(
                f"inputs are an array of shape (samples, {self.inputs}); got {h.shape}"
            )
        values = [h]
        for layer in self.layers:
            values.append(layer(values[-1]))
        return values

    def __repr__(self) -> str:
        widths = "–".join(map(str, self.widths))
        kinds = list(dict.fromkeys(layer.activation.name for layer in self.hidden)) or ["linear"]
        return f"<Chain: {widths}, {', '.join(kinds)}, {count_text(self.parameters, 'parameter')}>"


def dense_nodes(chain: Chain, x: str | None = None) -> tuple[Node, ...]:
    """The nodes of a chain; the first is its input, which the others call ``x`` if that is given."""
    nodes: list[Node] = [Input(x or "x", (), (chain.inputs,))]
    for number, layer in enumerate(chain.layers):
        stem = f"layers.{number}"
        nodes.append(Affine(stem, (nodes[-1].name,), layer.weight, layer.bias))
        if layer.activation.name != "identity":
            nodes.append(Apply(f"{stem}.activation", (nodes[-1].name,), layer.activation))
        if layer.groups is not None:
            nodes.append(GroupSum(f"{stem}.groups", (nodes[-1].name,), layer.groups))
    return tuple(nodes)


def _validate(layer: Layer, number: int, width: int | None) -> None:
    where = f"layer {number}"
    if layer.weight.ndim != 2 or 0 in layer.weight.shape:
        raise NetworkError(
            f"{where}: the weight is a matrix (units × inputs); got shape {layer.weight.shape}"
        )
    if width is not None and layer.inputs != width:
        raise NetworkError(
            f"{where} takes {layer.inputs} inputs (weight of shape {layer.weight.shape}), but "
            f"{width} arrive from before it; shapes must chain"
        )
    for what, array in (("weight", layer.weight), ("bias", layer.bias)):
        if array is None:
            continue
        if not np.isfinite(array).all():
            bad = np.argwhere(~np.isfinite(array))
            at = tuple(int(i) for i in bad[0])
            raise NetworkError(
                f"{where}: {what}{list(at)} is {array[at]} ({len(bad)} such entries); weights must be "
                "finite, so check how the model was trained or saved"
            )
    if layer.bias is not None and layer.bias.shape != (layer.units,):
        raise NetworkError(
            f"{where}: bias of shape {layer.bias.shape} for {layer.units} units; "
            f"it must have shape ({layer.units},)"
        )
    if layer.groups is not None and (
        layer.groups.shape != (layer.units,)
        or not np.array_equal(np.unique(layer.groups), np.arange(layer.outputs))
    ):
        raise NetworkError(f"{where}: groups must number every unit with 0, 1, … without gaps")
