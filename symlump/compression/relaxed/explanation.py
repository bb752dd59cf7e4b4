"""What a smaller network is, seen as a lumping of a larger one, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.compression.relaxed.quotient import Quotient
from symlump.compression.relaxed.readings import Marks
from symlump.compression.relaxed.selected import CONSTANT, STAYS, UNREAD, ZERO
from symlump.network.network import Network
from symlump.network.nodes import Affine
from symlump.network.shared import holding
from symlump.network.step_nodes import Attention
from symlump.network.written.grouped import groups_of
from symlump.ode.exact import FloatArray, IntArray
from symlump.tables import table_html, table_text

if TYPE_CHECKING:
    from symlump.network.bounds.difference import NetworkBound


_LEGEND = """\
ε: the largest change of one unit's weights (of a removed unit: its own, or those that read it) for which
this holds, in brackets as a share of the layer's average unit. δ: all these changes together. Both are
2-norms of weights, not errors of outputs. Units are counted from 1."""
_UNRELATED = """\
That is a large change: weights that were left took up much of what went (a fit, low rank), or were trained
on after the reduction; or the smaller network is hardly a reduction of this original."""
#: Layers that are shown; of more, those with the largest ε.
_SHOWN = 12
_LARGE = 0.5  # of the norm of all weights

_UNTIED = """\
Weights that several layers of the original share are no longer shared in the reduced network, so each of these
layers has a map of its own."""
_TRANSPOSED = """\
Weights of {two} are those of {one}, transposed or in another order. They are counted once; δ counts a change
of each."""
_RESCALED = """\
Attention multiplies its scores by another factor in the reduced network; that is counted as a change of the
weights of its queries."""


@dataclass(frozen=True)
class LayerExplanation:
    """What became of one layer.

    Parameters
    ----------
    name : str
    units, blocks : int
        Units of the original; of the reduced network.
    alone, merged : int
        Units that stand alone on one of the reduced network; units that share one.
    exact : int
        Of these, how many obey the conditions of an exact quotient, up to the rounding of their weights.
    zero, constant, unread : int
        Units that were removed as the zero unit, as a constant one, or because nothing reads them.
    idle : int
        Of these, how many are just that in the original, so that nothing is lost with them.
    eps : float
        The largest 2-norm by which the coefficients of a unit differ from those of the unit it stands on; of
        removed units, from those of the zero or constant unit, or of the columns that are no longer read.
    scale : float
        The mean 2-norm of the coefficients of the layer's units, to judge ``eps`` by.
    worst : int
        The unit where ``eps`` is reached.
    weights, zeroed : int
        Weights of the reduced layer; how many of them are 0 where the quotient's are not.
    defect : float
        The 2-norm of the least change of the original's layer that makes the reduction exact.
    """

    name: str
    units: int
    blocks: int
    alone: int
    merged: int
    exact: int
    zero: int
    constant: int
    unread: int
    idle: int
    eps: float
    scale: float
    worst: int
    weights: int
    zeroed: int
    defect: float

    @property
    def removed(self) -> int:
        """Units that stand on none of the reduced network."""
        return self.zero + self.constant + self.unread

    def __str__(self) -> str:
        if self.units > self.blocks or self.removed:
            sizes, parts = f"{self.units} → {self.blocks} units: ", [_changed(self)]
        else:
            sizes, parts = "", [f"all {self.units} units kept" if self.units > 1 else "1 unit kept"]
        if self.zeroed:
            parts.append(f"{self.zeroed} of {self.weights} weights set to 0")
        if self.exact == self.units - self.removed:
            parts.append("exact for those that are left" if self.removed > self.idle else "exact")
        if self.exact + self.idle < self.units:
            parts.append(f"ε = {self.eps:.3g}{self._beside} at unit {self.worst + 1}")
        return f"{self.name}: {sizes}" + "; ".join(parts)

    @property
    def _beside(self) -> str:
        return f" ({_percent(self.eps / self.scale)})" if self.scale else ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _changed(layer: LayerExplanation) -> str:
    """Merged and removed units in words."""
    parts = [f"{layer.alone} kept"] if layer.alone else []
    if layer.merged:
        parts.append(f"{layer.merged} merged into {layer.blocks - layer.alone}")
    for count, how in (
        (layer.zero, "removed as always 0"),
        (layer.constant, "removed as constant"),
        (layer.unread, "removed with what reads " + ("them" if layer.unread > 1 else "it")),
    ):
        if count:
            parts.append(f"{count} {how}")
    return ", ".join(parts)


def _scales(network: Network) -> list[float]:
    return [node.scale for node in network.nodes if isinstance(node, Attention)]


def _together(parts: list[LayerExplanation]) -> LayerExplanation:
    """One line for the groups of a convolution."""
    first = parts[0]
    if len(parts) == 1:
        return first
    before = np.cumsum([0, *(part.units for part in parts)])
    worst = max(range(len(parts)), key=lambda n: parts[n].eps)
    summed = {
        name: sum(getattr(part, name) for part in parts)
        for name in (
            "units", "blocks", "alone", "merged", "exact", "zero", "constant", "unread", "weights", "zeroed",
        )
    }  # fmt: skip
    return replace(
        first,
        **summed,
        eps=parts[worst].eps,
        worst=int(before[worst]) + parts[worst].worst,
        scale=sum(part.scale * part.units for part in parts) / summed["units"],
        defect=float(np.linalg.norm([part.defect for part in parts])),
    )


@dataclass(frozen=True, eq=False, repr=False)
class ReductionExplanation:
    """A reduced network as a relaxed lumping of the original.

    Parameters
    ----------
    original, reduced : Network
        As they were given.
    quotient : Quotient
        The conditions of an exact quotient, layer by layer, and what is missing.

    Examples
    --------
    >>> from symlump.compression.relaxed.explain_reduction import explain_reduction
    >>> net = Network.dense([[[1.0], [5.0], [1.5]], [[2.0, 4.0, 3.0]]])
    >>> small = Network.dense([[[5.0], [1.25]], [[4.0, 5.0]]])
    >>> print(explain_reduction(net, small))
    6 → 4 weights and biases; computes what the original would with weights changed by 4.7 % (δ = 0.3536)
    layer 1 (tanh): 3 → 2 units: 1 kept, 2 merged into 1; ε = 0.25 (10 %) at unit 1
    layer 2 (identity): 1 unit kept; exact
    Assumed: units that merged have equal values; the weights that are left may be off by ε.
    ε: the largest change of one unit's weights (of a removed unit: its own, or those that read it) for which
    this holds, in brackets as a share of the layer's average unit. δ: all these changes together. Both are
    2-norms of weights, not errors of outputs. Units are counted from 1.
    How far outputs differ: bound((low, high)) certifies it for inputs in that range.
    """

    original: Network
    reduced: Network
    quotient: Quotient

    @property
    def hint(self) -> str:
        """What to ask next, or why nothing can be certified."""
        if self.unbounded:
            return fill(
                f"How far outputs differ is not certified: bounds do not pass through {self.unbounded}; "
                "compare the two on samples.",
                110,
            )
        return "How far outputs differ: bound((low, high)) certifies it for inputs in that range."

    @cached_property
    def unbounded(self) -> str:
        """The first step that certified bounds do not pass through, by name; empty where they pass all."""
        from symlump.network.bounds.matrices import is_passed

        return next((node.name for node in self.original.nodes if not is_passed(node)), "")

    @cached_property
    def layers(self) -> tuple[LayerExplanation, ...]:
        """For each layer, which units were removed, merged or kept."""
        chain = self.quotient.original.chain
        names = [layer.name for layer in self.quotient.original.layers]
        if chain is not None:
            names = [f"layer {n} ({k.activation.name})" for n, k in enumerate(chain.layers, 1)]
        groups = groups_of(self.quotient.original)
        found: dict[str, list[LayerExplanation]] = {}
        for name, layer in zip(names, self.quotient.original.layers, strict=True):
            whole, _ = groups.get(layer.name, (name, 0))  # parts of a convolution are one layer
            found.setdefault(whole, []).append(self._layer_of(whole, [layer.name]))
        return tuple(map(_together, found.values()))

    def _layer_of(self, name: str, parts: Sequence[str]) -> LayerExplanation:
        """What became of layers that make the same units, such as the gates of a cell, as one.

        Parameters
        ----------
        name : str
            What it is called.
        parts : sequence of str
            The names of the layers.
        """
        rows = self.quotient.rows(parts[0])
        stays, unread = rows.kind == STAYS, rows.kind == UNREAD
        distance, squares = np.zeros(rows.kind.size), np.zeros(int(stays.sum()))
        exact: Marks = np.ones(rows.kind.size, dtype=bool)
        weights = zeroed = 0
        for part in parts:
            condition, reduced = self.quotient.conditions[part], self._reduced_layers[part]
            distance += condition.distance**2
            target = reduced.weight.reshape(*reduced.weight.shape[:2], -1)[rows.partner[stays]]
            quotient = rows.before[stays, None, None] * target - condition.weight[stays]
            marks: Marks = np.zeros((reduced.units, *target.shape[1:]), dtype=bool)
            np.logical_or.at(marks, rows.partner[stays], (target == 0) & (quotient != 0))
            squares += (quotient**2).sum(axis=(1, 2))
            exact &= self.quotient.exact_units(part)
            weights, zeroed = weights + int(reduced.weight.size), zeroed + int(marks.sum())
        distance = np.sqrt(distance)
        distance[unread] = self._columns(parts[0])[unread]
        blocks = self._reduced_layers[parts[0]].units
        alone = int((np.bincount(rows.partner[stays], minlength=blocks) == 1).sum())
        return LayerExplanation(
            name=name,
            units=rows.kind.size,
            blocks=blocks,
            alone=alone,
            merged=int(stays.sum()) - alone,
            exact=int(exact.sum()),
            zero=int((rows.kind == ZERO).sum()),
            constant=int((rows.kind == CONSTANT).sum()),
            unread=int(unread.sum()),
            idle=int((distance[~stays] == 0).sum()),
            eps=float(distance.max(initial=0.0)),
            scale=float(np.sqrt(squares).mean()) if squares.size else 0.0,
            worst=int(distance.argmax()),
            weights=weights,
            zeroed=zeroed,
            defect=float(np.linalg.norm([self.quotient.changes[part] for part in parts])),
        )

    def _held(self, network: Network) -> list[Affine]:
        """The layers of one of the two that hold their weights; what others share is theirs."""
        return holding(network.layers)

    @cached_property
    def _reduced_layers(self) -> dict[str, Affine]:
        return {layer.name: layer for layer in self.quotient.reduced.layers}

    @property
    def sizes(self) -> tuple[int, int]:
        """Weights and biases of the two, as each counts its own."""
        return self.original.parameters, self.reduced.parameters

    def _columns(self, name: str) -> FloatArray:
        """For each unit of a layer the 2-norm of what layers read of it in the original."""
        ties = self.quotient.ties
        total = np.zeros(ties.count)
        for layer in self._held(self.quotient.original):
            if not layer.depthwise:
                squares = (layer.weight**2).sum(
                    axis=tuple(d for d in range(layer.weight.ndim) if d != 1)
                )
                np.add.at(total, ties.units[layer.inputs[0]], squares)
        return np.sqrt(total[ties.units[name]])

    @property
    def unit_maps(self) -> tuple[IntArray, ...]:
        """For each hidden layer, the unit of the reduced network that each unit belongs to; −1 if removed."""
        return tuple(
            self.quotient.rows(layer.name).partner for layer in self.quotient.original.hidden
        )

    @property
    def named_unit_maps(self) -> dict[str, IntArray]:
        """The same by the names of the layers, a convolution in groups as one layer."""
        groups = groups_of(self.quotient.original)
        found: dict[str, IntArray] = {}
        widths = {layer.name: layer.units for layer in self.quotient.reduced.layers}
        before: dict[str, int] = {}
        for layer, units in zip(self.quotient.original.hidden, self.unit_maps, strict=True):
            name, _ = groups.get(layer.name, (layer.name, 0))
            first = before.get(name, 0)
            shifted = np.where(units < 0, -1, units + first)
            found[name] = np.concatenate([found.get(name, shifted[:0]), shifted])
            before[name] = first + widths[layer.name]
        return found

    @property
    def eps(self) -> float:
        """The largest tolerance that any layer needs."""
        return max(layer.eps for layer in self.layers)

    @property
    def defect(self) -> float:
        """δ: the 2-norm of the least change of the original's weights that makes the reduction exact."""
        return self.quotient.defect

    @property
    def exact(self) -> bool:
        """True if every unit obeys the conditions up to the rounding of the weights."""
        return all(layer.exact + layer.idle == layer.units for layer in self.layers)

    @property
    def reference(self) -> Network:
        """The network of the original's width, at distance δ, whose exact quotient is the reduced network."""
        return self.quotient.reference

    def bound(self, box: Any, *, splits: int | None = None) -> NetworkBound:
        """Certified bounds of ``|original(x) − reduced(x)|`` for all inputs x of a box.

        Parameters
        ----------
        box : (low, high) or ndarray, shape (inputs, 2)
        splits : int, optional
            How often to cut the box; see :func:`symlump.bound_difference`.

        Returns
        -------
        NetworkBound
            One number for each output, in the unit of the outputs.

        Raises
        ------
        NetworkError
            If bounds do not pass through a step of the network.
        FailureError
            If numbers overflow on this box.

        Examples
        --------
        >>> from symlump.compression.relaxed.explain_reduction import explain_reduction
        >>> net = Network.dense([[[1.0], [1.5]], [[2.0, 3.0]]])
        >>> small = Network.dense([[[1.25]], [[5.0]]])
        >>> explain_reduction(net, small).bound((-0.1, 0.1)).largest < 0.1
        True
        """
        from symlump.network.bounds.difference import bound_difference

        return bound_difference(
            self.original, self.reduced, box, unit_maps=self.unit_maps, splits=splits
        )

    def headline(self) -> str:
        """One line: sizes, and how far the reduction is from an exact one.

        Returns
        -------
        str

        Examples
        --------
        >>> from symlump.compression.relaxed.explain_reduction import explain_reduction
        >>> net = Network.dense([[[1.0], [1.5]], [[2.0, 3.0]]])
        >>> print(explain_reduction(net, Network.dense([[[1.25]], [[5.0]]])).headline())
        4 → 2 weights and biases; computes what the original would with weights changed by 8.8 % (δ = 0.3536)
        """
        zeros = sum(int((layer.weight == 0).sum()) for layer in self._held(self.reduced))
        sizes = f"{self.sizes[0]} → {self.sizes[1]} weights and biases" + (
            f", {zeros} of them 0" if zeros else ""
        )
        if self.exact:
            return f"{sizes}; both compute the same, up to the rounding of the weights (compared, not proved)"
        return (
            f"{sizes}; computes what the original would with weights changed by "
            f"{_percent(self.relative_defect)} (δ = {self.defect:.4g})"
        )

    @property
    def relative_defect(self) -> float:
        """δ divided by the 2-norm of all weights and biases of the original."""
        size = np.sqrt(
            sum(
                (layer.weight**2).sum() + (0.0 if layer.bias is None else (layer.bias**2).sum())
                for layer in self._held(self.quotient.original)
            )
        )
        return self.defect / float(size) if size else float(self.defect > 0)

    @property
    def assumed(self) -> str:
        """What the reduction takes for granted of the original, in words; empty where it is exact."""
        layers = self.layers
        said = [
            (any(layer.merged for layer in layers), "units that merged have equal values"),
            (any(layer.zero for layer in layers), "units removed as 0 are 0 for every input"),
            (any(layer.constant for layer in layers), "units removed as constant never change"),
        ]
        found = [text for holds, text in said if holds]
        if any(layer.unread for layer in layers):
            other = "other " if found else ""
            found.append(f"{other}removed units do not matter to what reads them")
        if any(layer.zeroed for layer in layers):
            found.append("weights set to 0 do not matter")
        found.append("the weights that are left may be off by ε")
        return "" if self.exact else fill(f"Assumed: {'; '.join(found)}.", 110)

    @property
    def lines(self) -> tuple[str, ...]:
        """The report, line by line; of many layers those with the largest ε."""
        worst = sorted(self.layers, key=lambda layer: -layer.eps / (layer.scale or 1.0))[:_SHOWN]
        rest = len(self.layers) - len(worst)
        found = [self.headline(), *(str(layer) for layer in self.layers if layer in worst)]
        if rest:
            found.append(f"and {rest} layers with smaller ε; table() and --json have all")
        if self.original.sharing and not self.quotient.original.sharing:
            found.append(_UNTIED)
        for one, two in self.original.rearranged:
            found.append(_TRANSPOSED.format(one=one, two=two))
        if _scales(self.original) != _scales(self.reduced):
            found.append(_RESCALED)
        if not self.exact:
            found += [
                self.assumed,
                *([_UNRELATED] if self.relative_defect > _LARGE else []),
                _LEGEND,
            ]
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain data, for JSON.

        Returns
        -------
        dict
            Units are counted from 1 in ``worst``, from 0 in ``unit_maps``.

        Examples
        --------
        >>> from symlump.compression.relaxed.explain_reduction import explain_reduction
        >>> net = Network.dense([[[1.0], [1.5]], [[2.0, 3.0]]])
        >>> explain_reduction(net, Network.dense([[[1.25]], [[5.0]]])).to_dict()["unit_maps"]
        [[0, 0]]
        """
        return {
            "parameters": self.sizes[0],
            "retained_parameters": self.sizes[1],
            "exact": self.exact,
            "eps": self.eps,
            "defect": self.defect,
            "layers": [
                {
                    **{
                        name: getattr(layer, name) for name in LayerExplanation.__dataclass_fields__
                    },
                    "worst": layer.worst + 1,
                }
                for layer in self.layers
            ],
            "unit_maps": [units.tolist() for units in self.unit_maps],
        }

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        header = (
            "layer",
            "units",
            "blocks",
            "alone",
            "merged",
            "removed",
            "exact",
            "ε",
            "norm",
            "δ",
        )
        return header, [
            (
                row.name,
                *(
                    str(n)
                    for n in (row.units, row.blocks, row.alone, row.merged, row.removed, row.exact)
                ),
                *(f"{number:.3g}" for number in (row.eps, row.scale, row.defect)),
            )
            for row in self.layers
        ]

    def table(self) -> str:
        """A table with one line for each layer.

        Returns
        -------
        str

        Examples
        --------
        >>> from symlump.compression.relaxed.explain_reduction import explain_reduction
        >>> net = Network.dense([[[1.0], [1.5]], [[2.0, 3.0]]])
        >>> print(explain_reduction(net, Network.dense([[[1.25]], [[5.0]]])).table())
        layer               units  blocks  alone  merged  removed  exact     ε  norm      δ
        layer 1 (tanh)          2       1      0       2        0      0  0.25  1.25  0.354
        layer 2 (identity)      1       1      1       0        0      1     0     5      0
        """
        return table_text(*self._table())

    def __str__(self) -> str:
        return "\n".join([*self.lines, *([] if self.exact else [self.hint])])

    def __repr__(self) -> str:
        return f"<ReductionExplanation: {self.headline()}>"

    def _repr_html_(self) -> str:
        return f"<p>{self.headline()}</p>" + table_html(*self._table())
