"""Recurrent networks: what became of their cells, and what is certified of some steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.compression.recurrent.units import pad_cell
from symlump.compression.relaxed.aligned import align
from symlump.compression.relaxed.explanation import LayerExplanation, ReductionExplanation
from symlump.compression.relaxed.recurrent_steps import refuse_other_cells, two_steps
from symlump.compression.relaxed.unit_maps import find_maps
from symlump.errors import MethodError
from symlump.network.network import Network
from symlump.network.nodes import Affine
from symlump.network.recurrent.cells import GATES, Cell
from symlump.network.recurrent.recurrent_network import CellNode, RecurrentNetwork
from symlump.ode.exact import FloatArray, IntArray

if TYPE_CHECKING:
    from symlump.compression.recurrent.horizon import RecurrentBound
    from symlump.network.bounds.difference import NetworkBound


@dataclass(frozen=True, eq=False, repr=False)
class RecurrentExplanation(ReductionExplanation):
    """A reduced recurrent network as a relaxed lumping of the original, with one map for all steps.

    Parameters
    ----------
    original, reduced : Network
        Two steps of each.
    quotient : Quotient
    cells : (RecurrentNetwork, RecurrentNetwork)
        As they were read.

    Examples
    --------
    >>> import symlump as sl, torch
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.GRU(2, 4)
    >>> explanation = sl.explain_reduction(model, sl.compress(model, sl.AFDE(retain=0.6)).model)
    >>> type(explanation).__name__, [layer.name for layer in explanation.layers]
    ('RecurrentExplanation', ['l0 (gru)'])
    """

    cells: tuple[RecurrentNetwork, RecurrentNetwork]

    @property
    def hint(self) -> str:
        """What to ask next."""
        return (
            "How far outputs differ: in Python explain_reduction(…).bound_steps(steps, (low, high)) "
            "certifies it for some steps."
        )

    @classmethod
    def of(cls, original: RecurrentNetwork, reduced: RecurrentNetwork) -> RecurrentExplanation:
        """Find the maps.

        Parameters
        ----------
        original, reduced : RecurrentNetwork

        Returns
        -------
        RecurrentExplanation

        Raises
        ------
        MethodError
            If they have other cells.

        Examples
        --------
        >>> from symlump.network.recurrent.reading import read_recurrent
        >>> from torch import nn
        >>> cell = read_recurrent(nn.GRU(2, 3))
        >>> RecurrentExplanation.of(cell, cell).exact
        True
        """
        refuse_other_cells(original, reduced)
        one, two = two_steps(original), two_steps(reduced)
        return cls(one, two, find_maps(*align(one, two)), (original, reduced))

    @property
    def sizes(self) -> tuple[int, int]:
        """Weights and biases of the two."""
        one, two = self.cells
        return one.parameters, two.parameters

    @cached_property
    def _parts(self) -> dict[str, list[str]]:
        """The layers that are a cell, or read cells."""
        parts = {
            f"{node.name} ({node.cell.kind})": [
                f"{node.name}.{what}.{gate}.1" for what in "xh" for gate in GATES[node.cell.kind]
            ]
            for node in self.cells[0].cells
        }
        parts |= {reader.name: [reader.name] for reader in self.cells[0].readers}
        return parts

    @cached_property
    def layers(self) -> tuple[LayerExplanation, ...]:
        """One for each cell, all its gates together, and for each dense layer that reads cells."""
        return tuple(self._layer_of(name, names) for name, names in self._parts.items())

    def _held(self, network: Network) -> list[Affine]:
        """The layers of one of the two that are in the model, each once."""
        names = {name for parts in self._parts.values() for name in parts}
        return [layer for layer in network.layers if layer.name in names]

    @property
    def named_unit_maps(self) -> dict[str, IntArray]:
        """By cell, the unit of the reduced network that each unit belongs to; −1 if removed."""
        return {
            node.name: self.quotient.rows(f"{node.name}.x.{GATES[node.cell.kind][0]}.1").partner
            for node in self.cells[0].cells
        }

    @property
    def unit_maps(self) -> tuple[IntArray, ...]:
        """The same, in the order of the cells."""
        return tuple(self.named_unit_maps.values())

    def bound(self, box: Any, *, splits: int | None = None) -> NetworkBound:
        """Refused, since sequences have a length.

        Parameters
        ----------
        box, splits
            As for networks without cells.

        Returns
        -------
        NetworkBound
            Never.

        Raises
        ------
        MethodError
            Always; it names :meth:`bound_steps`.

        Examples
        --------
        >>> import symlump as sl, torch
        >>> sl.explain_reduction(torch.nn.RNN(2, 4), torch.nn.RNN(2, 4)).bound((-1, 1))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        symlump.errors.MethodError: ... bound_steps(steps, box=(-1, 1)) certifies some steps
        """
        raise MethodError(
            "outputs of recurrent networks differ more the longer they run: "
            f"bound_steps(steps, box={box!r}) certifies some steps"
        )

    def bound_steps(self, steps: int, box: Any, *, arithmetic: str = "float64") -> RecurrentBound:
        """A certified bound of \\|h − lifted ĥ\\|, and of what readers' outputs are off by, over some steps.

        A unit that was removed is compared with one that stays 0.

        Parameters
        ----------
        steps : int
        box : (low, high) or ndarray, shape (inputs, 2)
            Of what comes from outside, at every step.
        arithmetic : {"float64", "flint", "mpmath"}
            As for the bound of a compressed cell.

        Returns
        -------
        RecurrentBound
            ``value`` for the states, ``readers`` for the outputs of each dense layer that reads cells.

        Raises
        ------
        MethodError
            If the box does not fit.
        FailureError
            If no enclosure was found.

        Examples
        --------
        >>> import symlump as sl, torch
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.RNN(2, 4)
        >>> sl.explain_reduction(model, model).bound_steps(3, (-1, 1)).value < 1e-9
        True
        """
        from symlump.compression.recurrent.bound import bound_cells

        original, reduced = self.cells
        orders, labels = {}, {}
        for name, units in self.named_unit_maps.items():
            orders[name], labels[name] = _first_met(units)
        small = replace(
            reduced,
            cells=tuple(_ordered(node, orders, reduced) for node in reduced.cells),
            readers=tuple(
                replace(r, weight=_columns(r.weight, r.reads, orders, reduced))
                for r in reduced.readers
            ),
        )
        return bound_cells(original, small, labels, steps, box, arithmetic)


def _first_met(units: IntArray) -> tuple[IntArray, IntArray]:
    """The reduced units as the original's meet them, and for each of these the place of its own in that order.

    There is one more for those that were removed.
    """
    more = int(units.max()) + 1
    met = np.where(units < 0, more, units)
    order = met[np.sort(np.unique(met, return_index=True)[1])]
    return order, np.argsort(order)[met]


def _ordered(node: CellNode, orders: dict[str, IntArray], network: RecurrentNetwork) -> CellNode:
    """The cell with its units in such an order, and one of zeros more where the order has one."""
    order, cell = orders[node.name], node.cell
    if order.size > cell.units:
        cell = pad_cell(cell, cell.units + 1, np.arange(cell.inputs))

    def rows(array: FloatArray | None) -> FloatArray | None:
        return None if array is None else array[:, order]

    weight = cell.input_weight[:, order]
    if node.reads:
        weight = _columns(weight, node.reads, orders, network)
    moved: Cell = replace(
        cell,
        input_weight=weight,
        hidden_weight=cell.hidden_weight[:, order][:, :, order],
        input_bias=rows(cell.input_bias),
        hidden_bias=rows(cell.hidden_bias),
        start=rows(cell.start),
    )
    return replace(node, cell=moved)


def _columns(
    weight: FloatArray,
    reads: tuple[str, ...],
    orders: dict[str, IntArray],
    network: RecurrentNetwork,
) -> FloatArray:
    """What is read of cells, in the order of their units."""
    parts, first = [], 0
    for name in reads:
        units, order = network.by_name[name].cell.units, orders[name]
        own = weight[..., first : first + units]
        more = np.zeros((*own.shape[:-1], order.size - units))
        parts.append(np.concatenate([own, more], axis=-1)[..., order])
        first += units
    return np.concatenate(parts, axis=-1)
