"""A network as a polynomial differential equation, in two forms.

Influence form (the adjoint view, linear). One variable per unit, input and output, and one for the
constant 1: m_j' = Σ_i w_ij·m_i over the units i that j feeds, m_one' = Σ_i b_i·m_i, m_output' = 0. It
says how an output's functional spreads back over the units. Forward equivalence of it merges units that
compute the same function of the input, for any activation.

State form. z_i' = −z_i + Σ_j w_ij·h_j + b_i for each unit and output, u' = 0 for inputs, and for a
hidden unit h_i' = −h_i + φ(z_i), where φ is made polynomial by the rules of
:mod:`symlump.network.activations.table`. Its one equilibrium, attracting from everywhere, is the forward
pass. Backward equivalence of it is the same as forward equivalence of the influence form; forward
equivalence of it groups units by equal outgoing weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import numpy.typing as npt

from symlump.errors import MethodError, NetworkError
from symlump.memory import memory_errors
from symlump.network.network import Layer, Network
from symlump.network.term_blocks import TermBlocks
from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

if TYPE_CHECKING:
    from symlump.network.graphs.encode import GraphODE
    from symlump.network.graphs.graph import NetworkGraph

Form = Literal["influence", "state"]
#: Variables, entry by entry, and the power of each.
Factors = Sequence[tuple[IntArray, int]]


@dataclass(frozen=True, eq=False, repr=False)
class NetworkODE(PolynomialODE):
    """The differential equation of a network; knows which variable is which.

    ``kinds[v]`` is one of "input", "output", "one" and, for hidden units, "unit" (influence form) or
    "z", "h" and the letters of the activation's rule (state form); ``layers[v]`` counts from 0 for the
    inputs, ``units[v]`` is the position in the layer.
    """

    network: Network = field(kw_only=True)
    form: Form = field(kw_only=True)
    kinds: npt.NDArray[np.str_] = field(kw_only=True)
    layers: IntArray = field(kw_only=True)
    units: IntArray = field(kw_only=True)

    @property
    def canonical_order(self) -> IntArray | None:
        """None: the order of a network's variables is its own, and their names follow it."""
        return None

    def initial_labels(self, direction: str) -> IntArray:
        """Hidden units by layer and kind of variable; inputs, outputs and the constant alone.

        For forward equivalence of the state form only outputs h of units may merge: the quotient
        then still is a network.
        """
        mergeable = ~np.isin(self.kinds, ["input", "output", "one"])
        if self.form == "state" and direction == "forward":
            mergeable = self.kinds == "h"
        _, shared = np.unique(
            np.char.add(np.char.add(self.kinds, " "), self.layers.astype(str)), return_inverse=True
        )
        alone = np.arange(len(self)) + int(shared.max(initial=0)) + 1
        return np.where(mergeable, shared.ravel(), alone)

    def where(self, kind: str, layer: int) -> IntArray:
        """Positions of the variables of one kind in one layer, by unit."""
        return np.flatnonzero((self.kinds == kind) & (self.layers == layer))

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
        values = self.network.activations(np.asarray(inputs, dtype=np.float64)[None, :])
        x = np.zeros(len(self))
        x[self.kinds == "input"] = values[0][0]
        for number, layer in enumerate(self.network.hidden, start=1):
            rule = layer.activation.rule
            for letter, (value, _) in rule.auxiliaries.items():
                x[self.where(letter, number)] = value
            z = layer.pre_activation(values[number - 1])[0]
            for letter, (low, high) in rule.switches.items():
                x[self.where(letter, number)] = (low < z) & (z <= high)
        return x

    def outputs(self, x: npt.ArrayLike) -> FloatArray:
        """The outputs in a state (the last layer's activation applied)."""
        z = np.asarray(x, dtype=np.float64)[self.kinds == "output"]
        return self.network.layers[-1].activation(z)


@overload
def encode(network: Network, form: Form = "influence") -> NetworkODE: ...


@overload
def encode(network: NetworkGraph, form: Form = "influence") -> GraphODE: ...


@memory_errors()
def encode(network: Network | NetworkGraph, form: Form = "influence") -> NetworkODE | GraphODE:
    """Write a network as a polynomial differential equation.

    Cost: linear in the number of weights; arrays only.

    Parameters
    ----------
    network : Network or NetworkGraph
    form : {"influence", "state"}
        A graph has an influence form only.

    Raises
    ------
    NetworkError
        If a layer already sums its units in groups: the result of a state reduction is not encoded
        again (reduce on influence first, then on state: ``on="both"``).

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0], [1.0, 2.0]], [[0.5, 0.25]]], activation="tanh")
    >>> print(encode(net))
    u1'   = h1_1 + h1_2
    u2'   = 2*h1_1 + 2*h1_2
    h1_1' = 1/2*y1
    h1_2' = 1/4*y1
    y1'   = 0
    one'  = 0
    """
    if not isinstance(network, Network):
        from symlump.network.graphs.encode import encode_graph

        return encode_graph(network, form)
    for number, layer in enumerate(network.layers):
        if layer.groups is not None:
            raise NetworkError(
                f"layer {number} already sums its units in groups; a network reduced on='state' is "
                "not encoded again"
            )
    if form == "influence":
        return _influence(network)
    if form == "state":
        return _state(network)
    raise MethodError(f"form {form!r} is unknown; choose 'influence' or 'state'")


class _Builder:
    """Collects variables and terms as arrays."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.kinds: list[str] = []
        self.layers: list[int] = []
        self.units: list[int] = []
        self._rows: list[IntArray] = []
        self._factors: list[Factors] = []
        self._values: list[ExactArray] = []

    def variables(self, kind: str, layer: int, names: list[str]) -> IntArray:
        first = len(self.names)
        self.names += names
        self.kinds += [kind] * len(names)
        self.layers += [layer] * len(names)
        self.units += range(len(names))
        return np.arange(first, len(self.names))

    def terms(self, rows: IntArray, values: ExactArray, factors: Factors) -> None:
        """Add ``values · Π variable^power`` to the equations ``rows``, entrywise."""
        self._rows.append(rows)
        self._values.append(values)
        self._factors.append(factors)

    def build(self, network: Network, form: Form) -> NetworkODE:
        sizes = [rows.size for rows in self._rows]
        starts = np.cumsum([0, *sizes])
        owners, variables, powers = [], [], []
        for start, size, factors in zip(starts, sizes, self._factors, strict=False):
            for variable, power in factors:
                owners.append(np.arange(start, start + size))
                variables.append(variable)
                powers.append(np.full(size, power))
        empty = np.empty(0, dtype=np.int64)
        monomials, position = Monomials.from_factors(
            np.concatenate(owners or [empty]),
            np.concatenate(variables or [empty]),
            np.concatenate(powers or [empty]),
            int(starts[-1]),
        )
        plain = PolynomialODE.from_terms(
            self.names,
            np.concatenate(self._rows),
            position,
            ExactArray.concatenate(self._values),
            monomials,
        )
        return self.named(plain, network, form)

    def named(self, plain: PolynomialODE, network: Network, form: Form) -> NetworkODE:
        """The system with what is known of its variables."""
        return NetworkODE(
            plain.variables,
            plain.monomials,
            plain.rows,
            plain.columns,
            plain.coefficients,
            network=network,
            form=form,
            kinds=np.array(self.kinds),
            layers=np.array(self.layers, dtype=np.int64),
            units=np.array(self.units, dtype=np.int64),
        )


def _influence(network: Network) -> NetworkODE:
    builder = _Builder()
    last = len(network.layers)
    layers = [builder.variables("input", 0, [f"u{j + 1}" for j in range(network.inputs)])]
    for number, layer in enumerate(network.layers, start=1):
        stem = f"h{number}_" if number < last else "y"
        names = [f"{stem}{i + 1}" for i in range(layer.units)]
        layers.append(builder.variables("unit" if number < last else "output", number, names))
    one = builder.variables("one", 0, ["one"])
    units = np.arange(network.inputs, one[0])  # each unit alone is a monomial
    terms = TermBlocks(Monomials(np.arange(units.size + 1), units, np.ones_like(units)))
    for layer, before, own in zip(network.layers, layers[:-1], layers[1:], strict=True):
        terms.add(before[:, None], own - network.inputs, layer.weight.T)
    for layer, own in zip(network.layers, layers[1:], strict=True):
        if layer.bias is not None:
            terms.add(one, own - network.inputs, layer.bias)
    return builder.named(terms.system(builder.names), network, "influence")


def _state(network: Network) -> NetworkODE:
    builder = _Builder()
    before = builder.variables("input", 0, [f"u{j + 1}" for j in range(network.inputs)])
    for number, layer in enumerate(network.layers, start=1):
        if number == len(network.layers):
            z = builder.variables("output", number, [f"y{i + 1}" for i in range(layer.units)])
            _relax(builder, layer, z, before, z)
        else:
            names = [f"z{number}_{i + 1}" for i in range(layer.units)]
            z = builder.variables("z", number, names)
            _relax(builder, layer, z, before, z)
            before = _unit_outputs(builder, layer, number, z, before)
    return builder.build(network, "state")


def _relax(
    builder: _Builder,
    layer: Layer,
    rows: IntArray,
    before: IntArray,
    z: IntArray,
    sign: float = 1.0,
    factors: Factors = (),
) -> None:
    """Add ±Π factors·F to the equations ``rows``, F_i = −z_i + Σ_j w_ij·h_j + b_i.

    ``factors`` are powers of one variable per row.
    """
    i, j = np.indices(layer.weight.shape).reshape(2, -1)
    spread = [(variable[i], power) for variable, power in factors]
    builder.terms(rows, ExactArray.from_floats(np.full(rows.size, -sign)), [(z, 1), *factors])
    builder.terms(rows[i], ExactArray.from_floats(sign * layer.weight), [(before[j], 1), *spread])
    if layer.bias is not None:
        builder.terms(rows, ExactArray.from_floats(sign * layer.bias), list(factors))


def _unit_outputs(
    builder: _Builder, layer: Layer, number: int, z: IntArray, before: IntArray
) -> IntArray:
    """Add the variables and equations that make h_i tend to φ(z_i); return the h_i."""
    names = [f"{number}_{i + 1}" for i in range(layer.units)]
    rule = layer.activation.rule
    own = {"z": z}
    for letter in (*rule.auxiliaries, *rule.switches, "h"):
        own[letter] = builder.variables(letter, number, [letter + name for name in names])

    def factors(letters: str) -> Factors:
        return [(own[letter], power) for letter, power in Counter(letters).items()]

    for letter, (_, derivative) in rule.auxiliaries.items():
        for letters, c in derivative.items():
            _relax(builder, layer, own[letter], before, z, float(c), factors(letters))
    h = own["h"]
    for letters, c in {"h": -1, **rule.output}.items():
        builder.terms(h, ExactArray.from_floats(np.full(layer.units, float(c))), factors(letters))
    return h
