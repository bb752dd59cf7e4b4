"""Units that are linear combinations of others exactly: as polynomials of the inputs, over Q."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm, log10
from typing import Any

import numpy as np
from scipy.linalg import qr
from sympy import GF, QQ, ZZ
from sympy.polys.matrices import DomainMatrix

from symlump.compression.dependences.polynomials import (
    MOST_MONOMIALS,
    Coefficients,
    PolynomialTable,
    monomial_count,
    polynomial_of,
)
from symlump.compression.reduction import Reduction
from symlump.errors import CertificateError, NetworkError
from symlump.network.chain import Chain, Layer
from symlump.network.network import Network
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.machine import nearest_float
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE
from symlump.proof.certificate import Certificate, linear_claim
from symlump.proof.check import MAX_DIGITS

_PRIME = 2_147_483_647
_UNCHECKED = "identities of layer {} verified in rational arithmetic, too long for the checker"
_SPARE = 8  # more random combinations of coefficients than units: a wrong draw fails in the check


@dataclass(frozen=True, eq=False)
class _Combinations:
    """h[removed] = combination · h[kept] + constant."""

    kept: IntArray
    removed: IntArray
    combination: Coefficients
    constant: Coefficients

    def fold(self, layer: Layer) -> tuple[Coefficients, Coefficients | None]:
        """Weights and bias of the next layer, for the kept units only."""
        weight, bias = _exact(layer)
        if bias is not None:
            bias = bias + weight[:, self.removed] @ self.constant
        return weight[:, self.kept] + weight[:, self.removed] @ self.combination, bias


def reduce_exactly(network: Chain) -> Reduction:
    """Remove the units that are combinations of others, with a constant, as polynomials.

    Each layer's units are written as polynomials of the inputs. Where these would have more than 2500
    coefficients, they are written in the kept units of the layer before instead; what is found then
    still is an identity, but may be less. Every identity is verified in rational arithmetic, and by the
    independent checker where its numbers are not too long for that; only then it is called exact. Cost:
    rational elimination of a matrix of units × units.

    Raises
    ------
    NetworkError
        If an activation of a hidden layer is not a polynomial, or its polynomials are too large.
    CertificateError
        If an identity is refused.
    """
    layers, maps, certificates = list[Layer](), list[IntArray](), list[Certificate]()
    unchecked: list[str] = []
    names = [f"u{i + 1}" for i in range(network.inputs)]
    h, degree = _variables(len(names)), 1  # what the layer before passes on, as polynomials
    own = folded = _exact(
        network.layers[0]
    )  # a layer's weights for all units before it, for the kept
    for number, layer in enumerate(network.hidden, start=1):
        power = _degree(layer, number)
        weight, bias = own
        if monomial_count(len(names), degree * power) > MOST_MONOMIALS:
            weight, bias = folded
            names = (
                [f"h{number - 1}_{i + 1}" for i in np.flatnonzero(maps[-1] >= 0)] if maps else names
            )
            h, degree = _variables(len(names)), 1
            _refuse_too_many(len(names), power, number)
        degree *= power
        table = PolynomialTable(len(names), max(degree, 1))
        h = table.apply(layer.activation, table.linear(weight, bias, h))
        following = network.layers[number]
        found = _combinations(h, constants=following.bias is not None)
        if found.removed.size:
            certificate = _certificate(number, table, names, h, found)
            if certificate is None:
                unchecked.append(str(number))
            else:
                certificates.append(certificate)
        layers.append(_rounded(layer, folded, found.kept))
        where = np.full(layer.units, -1, dtype=np.int64)
        where[found.kept] = np.arange(found.kept.size)
        maps.append(where)
        own, folded = _exact(following), found.fold(following)
    layers.append(_rounded(network.layers[-1], folded, np.arange(network.outputs)))
    small = Network.from_chain(Chain(tuple(layers), network.dtype))
    return Reduction(
        small,
        tuple(maps),
        small.parameters,
        0.0,
        0.0,
        stored=tuple(layer.parameters for layer in small.layers),
        certificates=() if unchecked else tuple(certificates),
        note=_UNCHECKED.format(", ".join(unchecked)) if unchecked else "",
    )


def _combinations(units: Coefficients, constants: bool) -> _Combinations:
    """Which columns are combinations of others, and a constant if allowed.

    Of several choices the one by pivoted QR is taken, so that coefficients stay small. Random integer
    combinations of the rows have the same dependences and are fewer.
    """
    count = units.shape[1]
    rows = units[1:] if constants else units
    order = (
        qr(rows.astype(np.float64), mode="r", pivoting=True)[1] if rows.size else np.arange(count)
    )
    if rows.shape[0] > count + _SPARE:
        draw = np.random.default_rng(0).integers(1, 1 << 31, size=(count + _SPARE, rows.shape[0]))
        rows = draw.astype(object) @ rows
    integers = [  # a row times a number has the same dependences of columns
        [ZZ(value) for value in _times(row, lcm(*(value.denominator for value in row)))]
        for row in rows[:, order].tolist()
    ]
    matrix = DomainMatrix(integers, (len(integers), count), ZZ)
    if len(matrix.convert_to(GF(_PRIME)).rref()[1]) == count:
        nothing = np.zeros(
            (0, count), dtype=object
        )  # residues are independent, hence rationals too
        return _Combinations(np.arange(count), np.arange(0), nothing, nothing[:, 0])
    reduced, pivots = matrix.convert_to(QQ).rref()
    pivot = np.array(pivots, dtype=np.int64)
    if not pivot.size:  # all are constant: one must stay
        kept, removed = np.arange(1), np.arange(1, count)
        combination = np.full((count - 1, 1), Fraction(0), dtype=object)
    else:
        others = np.setdiff1d(np.arange(count), pivot)
        kept, removed = order[pivot], order[others]
        entries = reduced.to_list()
        values = [[_fraction(entries[k][c]) for k in range(pivot.size)] for c in others]
        combination = np.array(values, dtype=object).reshape(others.size, pivot.size)
        by_kept, by_removed = np.argsort(kept), np.argsort(removed)
        kept, removed = kept[by_kept], removed[by_removed]
        combination = combination[by_removed][:, by_kept]
    constant = units[0, removed] - combination @ units[0, kept]
    return _Combinations(kept, removed, combination, constant)


def _certificate(
    number: int, table: PolynomialTable, names: list[str], h: Coefficients, found: _Combinations
) -> Certificate | None:
    """The identities h_i − Σ a_j·h_j = a_0 of a layer, verified; None if too long for the checker.

    They are put as a linear lumping, with their common denominators D: of the system u' = 0,
    h_i' = P_i(u) the sums d_i = D·h_i − Σ D·a_j·h_j obey d_i' = D·a_0, which says just that.

    Raises
    ------
    CertificateError
        If they do not hold.
    """
    sums, constants = _integer_sums(found, h.shape[1])
    # One row a monomial, times its common denominator: the coefficients of d_i' in integers.
    scale = [lcm(*(value.denominator for value in row)) for row in h.tolist()]
    residue = (
        np.array([_times(row, c) for row, c in zip(h.tolist(), scale, strict=True)], dtype=object)
        @ sums.T
    )
    residue[0] = residue[0] - scale[0] * constants
    if np.any(residue):
        raise CertificateError(f"layer {number}: a dependence does not hold: a defect of symlump")
    longest = max(abs(value).bit_length() for value in (*sums.ravel(), *constants))
    if longest * log10(2) > MAX_DIGITS - 2:
        return None
    units = [f"h{number}_{i + 1}" for i in range(h.shape[1])]
    at, unit = np.nonzero(h)
    owners, variables = np.nonzero(table.exponents)
    monomials, place = Monomials.from_factors(
        owners, variables, table.exponents[owners, variables], len(table.exponents)
    )
    system = PolynomialODE.from_terms(
        (*names, *units),
        unit + len(names),
        place[at],
        ExactArray.from_fractions(h[at, unit].tolist()),
        monomials,
    )
    names_of_sums = [f"d{number}_{i + 1}" for i in found.removed]
    matrix = {
        name: {units[j]: row[j] for j in np.flatnonzero(row)}
        for name, row in zip(names_of_sums, sums, strict=True)
    }
    one, _ = Monomials.from_factors(*(np.zeros(0, dtype=np.int64),) * 3, count=1)
    rows = np.arange(len(sums), dtype=np.int64)
    values = ExactArray.from_fractions(constants.tolist())
    quotient = PolynomialODE.from_terms(names_of_sums, rows, np.zeros_like(rows), values, one)
    certificate = Certificate(linear_claim(system, matrix, quotient))
    verdict = certificate.check()
    if verdict.answer == "inconclusive":
        return None
    if not verdict.accepted:
        raise CertificateError(
            f"layer {number}: the checker refused a dependence: {verdict.reason}"
        )
    return certificate


def _integer_sums(found: _Combinations, count: int) -> tuple[Coefficients, Coefficients]:
    """D·h_i − Σ D·a_j·h_j = D·a_0 for each removed unit i: the left sides as rows, the right sides."""
    sums = np.zeros((found.removed.size, count), dtype=object)
    constants = np.zeros(found.removed.size, dtype=object)
    for row, i in enumerate(found.removed):
        right = [*found.combination[row], found.constant[row]]
        common = lcm(*(value.denominator for value in right))
        *terms, constants[row] = _times(right, common)
        sums[row, found.kept] = [-value for value in terms]
        sums[row, i] = common
    return sums, constants


def _degree(layer: Layer, number: int) -> int:
    coefficients = polynomial_of(layer.activation)
    if coefficients is None:
        raise NetworkError(
            f"layer {number}: {layer.activation.name} is not a polynomial, so its units are not compared "
            "exactly; AFDE(eps=0) finds units that are equal, Dependence(eps=0) dependence on a "
            "distribution"
        )
    return len(coefficients) - 1


def _refuse_too_many(variables: int, degree: int, number: int) -> None:
    count = monomial_count(variables, degree)
    if count > MOST_MONOMIALS:
        raise NetworkError(
            f"layer {number}: polynomials of degree {degree} in {variables} variables have {count} "
            f"coefficients, more than {MOST_MONOMIALS}; use Dependence(eps=0) on a distribution"
        )


def _variables(count: int) -> Coefficients:
    """The polynomials x_1, …, x_n."""
    return np.vstack([np.zeros((1, count), dtype=np.int64), np.eye(count, dtype=np.int64)]).astype(
        object
    )


def _exact(layer: Layer) -> tuple[Coefficients, Coefficients | None]:
    """Weights and bias as the rationals that the floats are."""
    to_fractions: Any = np.frompyfunc(Fraction, 1, 1)
    bias: Any = None if layer.bias is None else to_fractions(layer.bias)
    return to_fractions(layer.weight), bias


def _rounded(
    layer: Layer, exact: tuple[Coefficients, Coefficients | None], kept: IntArray
) -> Layer:
    """A layer with the nearest floats, for some of its units."""
    to_floats: Any = np.frompyfunc(nearest_float, 1, 1)
    weight, bias = exact
    return replace(
        layer,
        weight=to_floats(weight[kept]).astype(np.float64),
        bias=None if bias is None else to_floats(bias[kept]).astype(np.float64),
    )


def _times(row: list[Any], common: int) -> list[int]:
    """Fractions times a common denominator, as integers."""
    return [value.numerator * (common // value.denominator) for value in row]


def _fraction(value: Any) -> Fraction:
    return Fraction(int(value.numerator), int(value.denominator))
