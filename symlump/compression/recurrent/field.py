"""Neural ODEs made smaller: states that stay equal become one; the field's units merge as in any network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.compression.compression import Compression
from symlump.compression.recurrent.units import firsts, sum_blocks
from symlump.compression.reduction import CompressionMethod
from symlump.compression.report import CompressionReport
from symlump.errors import MethodError
from symlump.lumping.backward import Backward
from symlump.lumping.bounds import error_bound
from symlump.lumping.error_bound import ErrorBound
from symlump.lumping.lump import lump
from symlump.lumping.lumping import Lumping
from symlump.network.network import Network
from symlump.network.nodes import Affine, Concatenate, Input, Node, Select
from symlump.network.recurrent.neural_ode import NeuralODE
from symlump.ode.exact import FloatArray, IntArray
from symlump.proof.certificate import Certificate


@dataclass(frozen=True, eq=False, repr=False)
class FieldCompression(CompressionReport):
    """What became of a neural ODE.

    Parameters
    ----------
    method : CompressionMethod
        What the units of the field were reduced by.
    original, field : NeuralODE
        Before and after.
    model : Network or torch.nn.Module
        The smaller vector field, called as the one that was given.
    lumping : Lumping
        Of the system h' = f(h): which states stay equal where they start equal, and the proof.
    units : Compression
        Of the field's own units.
    """

    method: CompressionMethod
    original: NeuralODE
    field: NeuralODE
    model: Any
    lumping: Lumping
    units: Compression

    @property
    def labels(self) -> IntArray:
        """The new state of each old one."""
        return self.lumping.partition.labels[: self.original.states]

    @property
    def retained_parameters(self) -> int:
        """Number of weights and biases that remain, counted as by the method that reduced the field's units."""
        return self.units.retained_parameters

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The proof that the states stay equal, then those of the field's units."""
        return self.lumping.certificate(), *self.units.certificates

    @cached_property
    def exact(self) -> bool:
        """True if the independent checker accepted every lumping."""
        return self.lumping.exact and self.units.exact

    def aggregate(self, states: npt.ArrayLike) -> FloatArray:
        """States of the smaller system: the mean of each block (its members start equal).

        Parameters
        ----------
        states : array_like, shape (…, states)
        """
        given = self._states(states, self.original.states)
        return np.stack(
            [given[..., self.labels == b].mean(axis=-1) for b in range(self.field.states)], axis=-1
        )

    def lift(self, states: npt.ArrayLike) -> FloatArray:
        """States of the original from those of the smaller system, shape (…, states)."""
        return np.asarray(self._states(states, self.field.states)[..., self.labels])

    @staticmethod
    def _states(states: npt.ArrayLike, count: int) -> FloatArray:
        given = np.asarray(states, dtype=np.float64)
        if given.ndim < 1 or given.shape[-1] != count:
            raise MethodError(f"states have shape (…, {count}); got {given.shape}")
        return given

    def bound(self, horizon: float, box: Any, **options: Any) -> ErrorBound:
        """A certified bound of \\|h(t) − lifted ĥ(t)\\| until a horizon, of the weights ``model`` holds now.

        Parameters
        ----------
        horizon : float
        box : mapping or array_like, shape (states + inputs, 2)
            The initial states, and the inputs.
        **options
            Those of :func:`symlump.lumping.bounds.error_bound`.
        """
        small = self.field.of_network(self.network).ode()
        return error_bound(replace(self.lumping, quotient=small), horizon, box, **options)

    @property
    def network(self) -> Network:
        """The smaller field as it is now, with the very weights it holds: it reads h, then t, then u."""
        from symlump.network.recurrent.torch_field import TimedField

        model = self.model.net if isinstance(self.model, TimedField) else self.model
        return self.units.reduction.held_by(model)

    def headline(self) -> str:
        """One line: sizes, method, what is known of the result."""
        states = f"{self.original.states} → {self.field.states} states"
        proved = "exact, proof checked" if self.lumping.exact else "proof not checked (large)"
        return (
            f"{states} by backward equivalence, {proved}; "
            f"{self.parameters} → {self.retained_parameters} parameters"
        )

    def __str__(self) -> str:
        return f"{self.headline()}; the field on these states:\n{self.units}"


def compress_field(
    field: NeuralODE,
    method: CompressionMethod,
    compress: Callable[[Network, CompressionMethod], Compression],
) -> FieldCompression:
    """Merge states that stay equal where they start equal, then the units of the field.

    Parameters
    ----------
    field : NeuralODE
    method : CompressionMethod
    compress : callable
        What reduces the network of the field: :func:`symlump.compress`.

    Raises
    ------
    NetworkError
        If the field has a step that is not written in symbols.
    MethodError
        If the method does not take the field's network.
    """
    from symlump.network.gradients import gradients
    from symlump.network.recurrent.torch_field import module_of_field

    lumping = lump(field.ode(), Backward(), field.initial)
    labels = lumping.partition.labels[: field.states]
    merged = merged_field(field.network, labels).rounded()
    if method.retain is not None:  # a share of what was there before states merged
        share = min(1.0, method.retain * field.parameters / merged.parameters)
        method = replace(method, retain=share)  # type: ignore[type-var]
    units = compress(merged, method)
    small = field.of_network(units.network)
    with gradients():  # a module made inside inference_mode could never be trained
        model = module_of_field(
            units.network, field.takes_time, field.uses_time, field.field, units.reduction.finish
        )
    return FieldCompression(method, field, small, model, lumping, units)


def merged_field(network: Network, labels: IntArray) -> Network:
    """The field on one state for each block: columns added up where states are read, one row for each block.

    Where something else than a dense layer reads states, or gives derivatives, these are copied, or chosen.

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0, 4.0]], [[0.5], [0.5], [-1.0]]])
    >>> small = merged_field(net, np.array([0, 0, 1]))
    >>> small, [layer.weight.tolist() for layer in small.layers]
    (<Network: 2–1–2, tanh, 4 parameters>, [[[3.0, 4.0]], [[0.5], [-1.0]]])
    """
    state = network.inputs[0]
    columns = _columns(network, state, labels)
    copies = f"{state.name}.copies"
    nodes: list[Node] = []
    for node in network.nodes:
        if node is state:
            nodes.append(replace(state, size=(int(labels.max()) + 1,)))
            if columns is None:
                nodes.append(Select(copies, (state.name,), labels))
        elif columns is None:
            inputs = tuple(copies if name == state.name else name for name in node.inputs)
            nodes.append(replace(node, inputs=inputs))
        elif node.name in columns:
            assert isinstance(node, Affine)
            weight = sum_blocks(node.weight, columns[node.name])
            nodes.append(replace(node, weight=weight, weight_name="", bias_name="", doubt=None))
        else:
            nodes.append(node)
    (name,), chosen = network.outputs, firsts(labels)
    place = next(i for i, node in enumerate(nodes) if node.name == name)
    last = nodes[place]
    if isinstance(last, Affine) and last.is_dense and not _readers(network, name):
        bias = None if last.bias is None else last.bias[chosen]
        rows = replace(last, weight=last.weight[chosen], bias=bias)
        nodes[place] = replace(rows, weight_name="", bias_name="", doubt=None)
    else:
        name = f"{name}.of_blocks"
        nodes.append(Select(name, (last.name,), chosen))
    return Network(tuple(nodes), (name,), network.dtype)


def _readers(network: Network, name: str) -> list[Node]:
    return [node for node in network.nodes if name in node.inputs]


def _columns(network: Network, state: Input, labels: IntArray) -> dict[str, IntArray] | None:
    """The block of each column of the dense layers that read states, alone or beside others.

    None if something else reads states.
    """
    found: dict[str, IntArray] = {}
    for reader in _readers(network, state.name):
        if isinstance(reader, Affine) and reader.is_dense:
            found[reader.name] = labels
        elif isinstance(reader, Concatenate) and reader.name not in network.outputs:
            parts, first = [], 0
            for name in reader.inputs:
                size = network.shapes[name][0]
                part = labels if name == state.name else np.arange(size)
                parts.append(part + first)
                first += int(part.max()) + 1
            for after in _readers(network, reader.name):
                if not (isinstance(after, Affine) and after.is_dense):
                    return None
                found[after.name] = np.concatenate(parts)
        else:
            return None
    return found
