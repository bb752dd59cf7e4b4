"""The state form of a chain of dense layers: a differential equation whose equilibrium is the forward pass.

z_i' = −z_i + Σ_j w_ij·h_j + b_i for each unit and output, u' = 0 for inputs, and for a hidden unit
h_i' = −h_i + φ(z_i), where φ is made polynomial by the rules of :mod:`symlump.network.activations.table`. Its
one equilibrium, attracting from everywhere, is the forward pass. Backward equivalence of it is the same as
forward equivalence of the influence form; forward equivalence of it groups units by equal outgoing weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from symlump.network.chain import Chain, Layer
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.network import Network
from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

#: Variables, entry by entry, and the power of each.
Factors = Sequence[tuple[IntArray, int]]


def state_form(network: Network) -> NetworkODE:
    """Write a chain of dense layers in state form.

    Raises
    ------
    NetworkError
        If the network is no such chain, or a layer of it sums its units in groups.

    Examples
    --------
    >>> net = Network.dense([[[2.0]], [[3.0]]], activation="identity")
    >>> print(state_form(net))
    u1'   = 0
    z1_1' = 2*u1 - z1_1
    h1_1' = z1_1 - h1_1
    y1'   = 3*h1_1 - y1
    """
    chain = network.dense_chain("the state form")
    builder = _Builder()
    _add_layers(builder, chain)
    return builder.build(network)


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

    def build(self, network: Network) -> NetworkODE:
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
        places = [number for number, n in enumerate(network.nodes) if n in network.layers]
        return NetworkODE(
            plain.variables,
            plain.monomials,
            plain.rows,
            plain.columns,
            plain.coefficients,
            network=network,
            form="state",
            kinds=np.array(self.kinds),
            nodes=np.array([0, *places], dtype=np.int64)[self.layers],
            units=np.array(self.units, dtype=np.int64),
            readings={},
        )


def _add_layers(builder: _Builder, network: Chain) -> None:
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


def _relax(
    builder: _Builder,
    layer: Layer,
    rows: IntArray,
    before: IntArray,
    z: IntArray,
    scale: Fraction = Fraction(1),
    factors: Factors = (),
) -> None:
    """Add scale·Π factors·F to the equations ``rows``, F_i = −z_i + Σ_j w_ij·h_j + b_i.

    ``factors`` are powers of one variable per row.
    """
    i, j = np.indices(layer.weight.shape).reshape(2, -1)
    spread = [(variable[i], power) for variable, power in factors]
    builder.terms(rows, _times(-scale, np.ones(rows.size)), [(z, 1), *factors])
    builder.terms(rows[i], _times(scale, layer.weight), [(before[j], 1), *spread])
    if layer.bias is not None:
        builder.terms(rows, _times(scale, layer.bias), list(factors))


def _times(factor: Fraction, values: FloatArray) -> ExactArray:
    """The product, exactly; in floats where none of it is rounded."""
    if abs(factor) == 1 or (values == 1).all() and Fraction(float(factor)) == factor:
        return ExactArray.from_floats(float(factor) * values)
    exact = ExactArray.from_floats(values.ravel())
    return exact.times_each(ExactArray.from_fractions([factor] * len(exact)))


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
            _relax(builder, layer, own[letter], before, z, Fraction(c), factors(letters))
    h = own["h"]
    for letters, c in {"h": -1, **rule.output}.items():
        builder.terms(h, _times(Fraction(c), np.ones(layer.units)), factors(letters))
    return h
