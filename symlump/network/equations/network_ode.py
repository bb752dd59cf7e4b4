"""The differential equation of a network, which knows which variable is which."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from symlump.errors import MethodError
from symlump.network.equations.wiring import Reading
from symlump.network.network import Network
from symlump.network.nodes import Affine, Combine
from symlump.network.step_nodes import Attention
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.polynomial import PolynomialODE

Form = Literal["influence", "state"]


@dataclass(frozen=True, eq=False, repr=False)
class NetworkODE(PolynomialODE):
    """The differential equation of a network; knows which variable is which.

    In the influence form ``kinds[v]`` is "input", "unit", "output" (of an output, or read by something that
    mixes units: it stays alone), "one" or "symbol"; in the state form "input", "output", "z", "h" or a letter
    of the activation's rule. ``nodes[v]`` is the position in ``network.nodes`` of the node it belongs to (of
    the reader, for symbols), ``units[v]`` its number there.
    """

    network: Network = field(kw_only=True)
    form: Form = field(kw_only=True)
    kinds: npt.NDArray[np.str_] = field(kw_only=True)
    nodes: IntArray = field(kw_only=True)
    units: IntArray = field(kw_only=True)
    readings: dict[str, tuple[Reading, ...]] = field(kw_only=True)

    @property
    def canonical_order(self) -> IntArray | None:
        """None: the order of a network's variables is its own, and their names follow it."""
        return None

    def initial_labels(self, direction: str) -> IntArray:
        """Hidden units by node and kind of variable; inputs, outputs, symbols and the constant alone.

        For forward equivalence of the state form only outputs h of units may merge: the quotient
        then still is a network.
        """
        mergeable = ~np.isin(self.kinds, ["input", "output", "one", "symbol"])
        if self.form == "state" and direction == "forward":
            mergeable = self.kinds == "h"
        kinds, kind = np.unique(self.kinds, return_inverse=True)
        shared = self.nodes * len(kinds) + kind.ravel()
        alone = np.arange(len(self)) + int(shared.max(initial=0)) + 1
        return np.where(mergeable, shared, alone)

    def where(self, name: str, kind: str | None = None) -> IntArray:
        """Positions of the variables of a node's units; in the state form of those of one kind.

        With ``.pairs`` or ``.heads`` after the name of an attention, of those inside of it.
        """
        place = self._places.get(name)
        if place is None:
            return np.empty(0, dtype=np.int64)
        inside = np.arange(*place)
        return inside if kind is None else inside[self.kinds[inside] == kind]

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        """Where the variables of each node begin and end; they stand in the order of the nodes."""
        ones = np.flatnonzero(self.kinds == "one")
        own = self.nodes[: ones[0] if ones.size else len(self)]
        ends = np.searchsorted(own, np.arange(len(self.network.nodes) + 1)).tolist()
        places = {n.name: (ends[i], ends[i + 1]) for i, n in enumerate(self.network.nodes)}
        for node in self.network.nodes:
            if isinstance(node, Attention):  # its outputs, its pairs, its heads
                first, end = places[node.name]
                sizes = np.cumsum([first, node.heads.size, node.pairs.size]).tolist()
                for part, begin, stop in zip(
                    ("", ".pairs", ".heads"), sizes, [*sizes[1:], end], strict=True
                ):
                    places[f"{node.name}{part}"] = (begin, stop)
        return places

    @cached_property
    def depths(self) -> IntArray:
        """For each variable how many layers, sums and products are before it on the longest way, from 0."""
        depth: dict[str, int] = {}
        for node in self.network.nodes:
            before = max((depth[name] for name in node.inputs), default=0)
            depth[node.name] = before + isinstance(node, Affine | Combine)
        by_node = np.array([depth[node.name] for node in self.network.nodes])
        return np.where(self.kinds == "one", 0, by_node[self.nodes])

    def start(self, inputs: npt.ArrayLike) -> FloatArray:
        """A state from which the state form tends to the forward pass of ``inputs``.

        z = 0, h = 0, further variables as the activation's rule says, and switches set to the piece on
        which the forward pass is.

        Parameters
        ----------
        inputs : array_like, shape (inputs,)
        """
        if self.form != "state":
            raise MethodError(
                "only the state form starts from inputs; use encode(network, form='state')"
            )
        chain = self.network.dense_chain("the state form")
        values = chain.activations(np.asarray(inputs, dtype=np.float64)[None, :])
        x = np.zeros(len(self))
        x[self.kinds == "input"] = values[0][0]
        for name, layer, before in zip(self.network.layers, chain.hidden, values, strict=False):
            rule = layer.activation.rule
            for letter, (value, _) in rule.auxiliaries.items():
                x[self.where(name.name, letter)] = value
            z = layer.pre_activation(before)[0]
            for letter, (low, high) in rule.switches.items():
                x[self.where(name.name, letter)] = (low < z) & (z <= high)
        return x

    def outputs(self, x: npt.ArrayLike) -> FloatArray:
        """The outputs in a state (the last layer's activation applied)."""
        z = np.asarray(x, dtype=np.float64)[self.kinds == "output"]
        return self.network.dense_chain("the state form").layers[-1].activation(z)
