"""A network: a directed acyclic graph of layers, activations, sums, joins, with float weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from symlump.errors import NetworkError
from symlump.network.activations.activation import Activation
from symlump.network.chain import Chain, Layer, dense_nodes
from symlump.network.evaluate import check_size, evaluate
from symlump.network.nodes import Affine, Apply, Flatten, GroupSum, Input, Node, Shape, Squeeze
from symlump.network.precision import PRECISIONS, Dtype
from symlump.network.shared import check_shared, held_by_each, refuse_shared, sharing
from symlump.network.step_nodes import Attention, ByPlace, Operation, Untouched
from symlump.ode.exact import FloatArray
from symlump.ode.notation import count_text


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A directed acyclic graph of nodes, in float64.

    Dense layers one after the other are written shorter: ``Network.dense(weights)``, or
    ``Network.from_layers((Layer(…), …))``, for which ``Network((Layer(…), …))`` stands too. Such a network has
    a :attr:`chain`.

    Parameters
    ----------
    nodes : tuple of Node
        Each after the nodes it reads.
    outputs : tuple of str
        The names of the nodes whose values are the result.
    dtype : {"float64", "float32", "bfloat16", "float16"}
        What the weights were when they came, and will be when they leave.
    rearranged : tuple of pairs of str
        Layers that were read from one array of a file, in two arrangements, as by tied autoencoders.
    output_names : tuple of str
        What the outputs are called where the network came from, and will be where it goes; none if nothing.
    as_dict : bool
        Whether a module of torch gives a dict with these keys.
    output_types : tuple of str
        The types of outputs that are whole numbers where the network came from, "" for others; none if nothing.
    output_vectors : tuple of bool
        Which outputs have no axis of samples where the network came from; none if no.

    Raises
    ------
    NetworkError
        If names, shapes or weights do not fit.

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0], [1.0, 2.0]], [[0.5, 0.25]]], activation="tanh")
    >>> net, net(np.array([[0.5, 0.0]])).round(4).tolist()
    (<Network: 2–2–1, tanh, 6 parameters>, [[0.3466]])
    >>> from symlump.network.nodes import Combine
    >>> net = Network(
    ...     (Input("x", (), (2,)), Affine("fc", ("x",), np.array([[1.0, 2.0], [3.0, 4.0]])),
    ...      Combine("sum", ("fc", "x"), "add")),
    ...     ("sum",))
    >>> net, net([[1.0, 1.0]]).tolist(), net.chain
    (<Network: (2) → (2), 1 layer, 4 parameters>, [[4.0, 8.0]], None)
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...] = ()
    dtype: Dtype = "float64"
    rearranged: tuple[tuple[str, str], ...] = ()
    output_names: tuple[str, ...] = ()
    as_dict: bool = False
    output_types: tuple[str, ...] = ()
    output_vectors: tuple[bool, ...] = ()
    source: Network | None = field(default=None, init=False)  # see simplify.as_read

    def __post_init__(self) -> None:
        given: Sequence[object] = self.nodes
        if not given or isinstance(given[0], Layer):  # the short form
            dtype = self.outputs if isinstance(self.outputs, str) else self.dtype
            nodes = dense_nodes(Chain(tuple(self.nodes), dtype))  # type: ignore[arg-type]
            object.__setattr__(self, "nodes", nodes)
            object.__setattr__(self, "outputs", (nodes[-1].name,))
            object.__setattr__(self, "dtype", dtype)
        if not self.outputs or not any(isinstance(node, Input) for node in self.nodes):
            raise NetworkError("the network has no input or no output")
        missing = [name for name in self.outputs if name not in self.shapes]
        if missing:
            raise NetworkError(f"the output {missing[0]!r} is not a node of the network")
        check_shared(self.layers)

    @classmethod
    def from_layers(cls, layers: Iterable[Layer], dtype: Dtype = "float64") -> Network:
        """A network of dense layers, each of which reads the one before.

        Parameters
        ----------
        layers : iterable of Layer
        dtype : str
            The format in which the weights are kept when they are written.

        Returns
        -------
        Network

        Examples
        --------
        >>> Network.from_layers([Layer(np.ones((3, 2)), None), Layer(np.ones((1, 3)), np.zeros(1))])
        <Network: 2–3–1, identity, 10 parameters>
        """
        return cls.from_chain(Chain(tuple(layers), dtype))

    @classmethod
    def from_chain(cls, chain: Chain) -> Network:
        """The network that computes what a chain of dense layers does.

        Parameters
        ----------
        chain : Chain

        Returns
        -------
        Network

        Examples
        --------
        >>> Network.from_chain(Chain.dense([[[1.0, 2.0]], [[3.0]]]))
        <Network: 2–1–1, tanh, 3 parameters>
        """
        nodes = dense_nodes(chain)
        return cls(nodes, (nodes[-1].name,), chain.dtype)

    @classmethod
    def dense(
        cls,
        weights: Iterable[npt.ArrayLike],
        biases: Iterable[npt.ArrayLike | None] | None = None,
        activation: str | Activation = "tanh",
        output_activation: str | Activation = "identity",
        dtype: Dtype = "float64",
    ) -> Network:
        """Dense layers from matrices (units × inputs), one activation for all hidden layers.

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
        Network

        Raises
        ------
        NetworkError
            If shapes do not fit, or an activation is not known.

        Examples
        --------
        >>> Network.dense([[[1.0, 2.0], [3.0, 4.0]], [[0.5, 0.25]]], biases=[[0.0, 1.0], None])
        <Network: 2–2–1, tanh, 8 parameters>
        """
        return cls.from_chain(Chain.dense(weights, biases, activation, output_activation, dtype))

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shape of each node's value, without the samples."""
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            if node.name in shapes:
                raise NetworkError(f"two nodes are named {node.name!r}")
            for name in node.inputs:
                if name not in shapes:
                    raise node.refuse(f"it reads {name!r}, which does not come before it")
            shape = node.shape(*(shapes[name] for name in node.inputs))
            check_size(node, shape)
            shapes[node.name] = shape
        return shapes

    @cached_property
    def named(self) -> dict[str, Node]:
        """The nodes of the network, each under its name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The input nodes, in their order."""
        return tuple(node for node in self.nodes if isinstance(node, Input))

    @cached_property
    def layers(self) -> tuple[Affine, ...]:
        """The nodes with weights, each after those it depends on."""
        return tuple(node for node in self.nodes if isinstance(node, Affine))

    @cached_property
    def hidden(self) -> tuple[Affine, ...]:
        """The layers whose units are not those of an output."""
        shown: set[str] = {*self.outputs}
        for node in reversed(self.nodes):
            if node.name in shown and not isinstance(node, Affine):
                shown.update(node.inputs)
        return tuple(layer for layer in self.layers if layer.name not in shown)

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each input, and of each layer."""
        return (
            *((node.size or (1,))[0] for node in self.inputs),
            *(layer.units for layer in self.layers),
        )

    @cached_property
    def untouched(self) -> tuple[Untouched, ...]:
        """The nodes that are carried along unread."""
        return tuple(node for node in self.nodes if isinstance(node, Untouched))

    @property
    def parameters(self) -> int:
        """Number of weights and biases, shared ones once, and of constants of other nodes."""
        return sum(self.held) + self.other_parameters

    @property
    def other_parameters(self) -> int:
        """The number of parameters that are not in layers."""
        others = (Untouched, Operation, ByPlace, Attention)
        return sum(node.parameters for node in self.nodes if isinstance(node, others))

    @cached_property
    def held(self) -> tuple[int, ...]:
        """How many weights and biases each layer holds; see :func:`symlump.network.shared.held_by_each`."""
        return held_by_each(self.layers, self.rearranged)

    @cached_property
    def sharing(self) -> dict[str, tuple[Affine, ...]]:
        """The layers that share weights or biases; see :func:`symlump.network.shared.sharing`."""
        return sharing(self.layers)

    @cached_property
    def readers(self) -> Counter[str]:
        """How many nodes read each value; an output of the network counts as one more reader."""
        return Counter([name for node in self.nodes for name in node.inputs] + [*self.outputs])

    @cached_property
    def chain(self) -> Chain | None:
        """The dense layers, where the network is one after the other and nothing else; else None.

        A first step that flattens the input, and a last one that drops the axis of a single output, do not
        count. The arrays are those of the nodes, not copies.

        Examples
        --------
        >>> flat = Network((Input("x", (), (2, 1)), Flatten("flat", ("x",)),
        ...                 Affine("fc", ("flat",), np.ones((1, 2)))), ("fc",))
        >>> flat.chain
        <Chain: 2–1, linear, 2 parameters>
        """
        in_line = all(
            b.inputs == (a.name,) for a, b in zip(self.nodes, self.nodes[1:], strict=False)
        )
        if not in_line or len(self.inputs) != 1 or self.outputs != (self.nodes[-1].name,):
            return None
        layers: list[Layer] = []
        before, after = self._ends
        for node in self.nodes[1 + len(before) : len(self.nodes) - len(after)]:
            last = layers[-1] if layers else None
            match node:
                case Affine() if node.is_dense and len(self.shapes[node.name]) == 1:
                    layers.append(Layer(node.weight, node.bias))
                    continue
                case Apply(activation=phi) if last and last.activation.name == "identity":
                    if last.groups is None:
                        layers[-1] = Layer(last.weight, last.bias, phi)
                        continue
                case GroupSum(groups=groups) if last and last.groups is None:
                    layers[-1] = Layer(last.weight, last.bias, last.activation, groups)
                    continue
            return None
        return Chain(tuple(layers), self.dtype) if layers else None

    @property
    def _ends(self) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        """A first step that flattens, a last one that drops an axis."""
        before, after = self.nodes[1:2], self.nodes[-1:]
        return (
            before if before and isinstance(before[0], Flatten) else (),
            after if isinstance(after[0], Squeeze) else (),
        )

    def dense_chain(self, what: str) -> Chain:
        """The chain; raises if the network is not one.

        Parameters
        ----------
        what : str
            The method, for the error's text.

        Returns
        -------
        Chain

        Raises
        ------
        NetworkError
            If the network is no chain, or a layer of it sums its units in groups.

        Examples
        --------
        >>> Network.dense([[[1.0]]]).dense_chain("Quantize")
        <Chain: 1–1, linear, 1 parameter>
        """
        chain = self.chain
        if chain is None:
            raise NetworkError(
                f"{what} works on chains of dense layers, and {self!r} has convolutions, branches or several "
                "activations in a row; AFDE, Symmetric, Dependence, Hierarchical and the baselines take it"
            )
        refuse_shared(self.layers, what)
        for number, layer in enumerate(chain.layers, start=1):
            if layer.groups is not None:
                raise NetworkError(
                    f"{what}: layer {number} sums its units in groups (it comes from AFDE on='state'); "
                    f"apply {what} to the network before that reduction"
                )
        return chain

    def rounded(self) -> Network:
        """The network with every weight rounded to the nearest number of its dtype.

        Returns
        -------
        Network

        Raises
        ------
        NetworkError
            If a weight is too large for it.

        Examples
        --------
        >>> net = Network.dense([[[0.1]]], dtype="float32")
        >>> net.rounded().layers[0].weight.item()
        0.10000000149011612
        """
        return self if self.dtype == "float64" else self._nearest

    @cached_property
    def _nearest(self) -> Network:
        """The network where weights may change: made once, so that what is measured of it need not be again."""
        nearest = PRECISIONS[self.dtype].nearest
        return self.with_layers(
            replace(
                node,
                weight=nearest(node.weight, f"{node.name}: weight"),
                bias=None if node.bias is None else nearest(node.bias, f"{node.name}: bias"),
            )
            for node in self.layers
        )

    def with_layers(self, layers: Iterable[Affine]) -> Network:
        """The network with other weights in the layers of the same names.

        Parameters
        ----------
        layers : iterable of Affine
            Those that are not given stay.

        Returns
        -------
        Network

        Examples
        --------
        >>> from dataclasses import replace
        >>> net = Network.dense([[[1.0]], [[2.0]]])
        >>> last = replace(net.layers[1], weight=np.array([[5.0]]))
        >>> [layer.weight.tolist() for layer in net.with_layers([last]).layers]
        [[[1.0]], [[5.0]]]
        """
        given = {layer.name: layer for layer in layers}
        nodes = tuple(given.get(node.name, node) for node in self.nodes)
        return replace(self, nodes=nodes)

    def with_chain(self, chain: Chain) -> Network:
        """The network with other dense layers; they keep their names if number and activations are the same.

        Parameters
        ----------
        chain : Chain
            With the same inputs and outputs.

        Returns
        -------
        Network

        Examples
        --------
        >>> flat = Network((Input("x", (), (2, 1)), Flatten("flat", ("x",)),
        ...                 Affine("fc", ("flat",), np.ones((1, 2)))), ("fc",))
        >>> flat.with_chain(Chain.dense([[[1.0, 2.0]], [[3.0]]]))([[[1.0], [0.0]]]).round(4).tolist()
        [[2.2848]]
        """
        own = self.chain
        steps = [[(k.activation, k.groups is None) for k in c.layers] for c in (own, chain) if c]
        if len(steps) == 2 and steps[0] == steps[1] and all(plain for _, plain in steps[0]):
            pairs = zip(self.layers, chain.layers, strict=True)
            return self.with_layers(replace(n, weight=k.weight, bias=k.bias) for n, k in pairs)
        before, after = self._ends
        first = (self.nodes[0], *before)
        nodes = (*first, *dense_nodes(chain, first[-1].name)[1:])
        for node in after:
            nodes += (Squeeze(node.name, (nodes[-1].name,)),)
        return replace(self, nodes=nodes, outputs=(nodes[-1].name,), dtype=chain.dtype)

    def __call__(self, *x: npt.ArrayLike) -> FloatArray:
        """The forward pass in float64, for a network with one output.

        Parameters
        ----------
        x : array_like, shape (samples, …)
            One array per input; the entries of a sample may be one row of numbers.
        """
        if len(self.outputs) != 1:
            raise NetworkError(
                f"this network has {len(self.outputs)} outputs; flat(…) puts them side by side"
            )
        return self._computed(*x)[0]

    def flat(self, *x: npt.ArrayLike) -> FloatArray:
        """Evaluate all outputs and put them side by side: one row of numbers for each sample.

        Parameters
        ----------
        x : array_like, shape (samples, …)
            One array for each input.

        Returns
        -------
        ndarray, shape (samples, numbers)

        Raises
        ------
        NetworkError
            If the inputs do not fit.

        Examples
        --------
        >>> Network.dense([[[1.0, 2.0], [0.0, 1.0]]]).flat([[1.0, 1.0]]).tolist()
        [[3.0, 1.0]]
        """
        return np.hstack([y.reshape(len(y), -1) for y in self._computed(*x)])

    def _computed(self, *x: npt.ArrayLike) -> list[FloatArray]:
        values = dict(zip((node.name for node in self.inputs), self.arranged(*x), strict=True))
        left = Counter(self.readers)
        for node in self.nodes:
            if not isinstance(node, Input):
                values[node.name] = evaluate(node, *(values[name] for name in node.inputs))
            for name in node.inputs:
                left[name] -= 1
                if not left[name]:  # values that nothing reads any more are let go
                    values.pop(name, None)
        return [values[name] for name in self.outputs]

    def arranged(self, *x: npt.ArrayLike) -> list[FloatArray]:
        """Samples of the inputs as arrays of their shapes.

        Parameters
        ----------
        x : array_like, shape (samples, …)
            One array for each input; the entries of a sample may be one row of numbers.

        Returns
        -------
        list of ndarray, shape (samples, …)

        Raises
        ------
        NetworkError
            If they do not fit.

        Examples
        --------
        >>> net = Network((Input("x", (), (1, 2, 2)), Flatten("flat", ("x",))), ("flat",))
        >>> net.arranged([[1.0, 2.0, 3.0, 4.0]])[0].shape
        (1, 1, 2, 2)
        """
        arrays = [np.asarray(array, dtype=np.float64) for array in x]
        wanted = [node.size for node in self.inputs]
        if len(arrays) == len(wanted):
            arrays = [
                array.reshape(len(array), *size) if array.shape[1:] == (prod(size),) else array
                for array, size in zip(arrays, wanted, strict=True)
            ]
        if [array.shape[1:] for array in arrays] != wanted or not all(a.ndim for a in arrays):
            raise NetworkError(
                f"inputs are arrays of shape {', '.join(f'(samples, {_plain(s)})' for s in wanted)}; got "
                + ", ".join(str(array.shape) for array in arrays)
            )
        return arrays

    def __repr__(self) -> str:
        chain = self.chain
        if chain is not None:
            shown = repr(chain).replace("<Chain", "<Network")
            before, own = (count_text(net.parameters, "parameter") for net in (chain, self))
            return shown.replace(before, own)
        ends = " → ".join(
            " + ".join(f"({_plain(self.shapes[name])})" for name in names)
            for names in ([node.name for node in self.inputs], self.outputs)
        )
        layers = count_text(len(self.layers), "layer")
        rest = f", {len(self.untouched)} left untouched" if self.untouched else ""
        return f"<Network: {ends}, {layers}, {count_text(self.parameters, 'parameter')}{rest}>"


def _plain(shape: Iterable[int]) -> str:
    return ", ".join(map(str, shape))
