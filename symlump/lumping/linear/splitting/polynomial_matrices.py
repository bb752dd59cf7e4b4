"""The coefficient matrices of a Jacobian with a parameter, and their smallest invariant row space.

Their entries are polynomials in the parameter t, looked at over Q(t), or over Q[t]/f for an irreducible f.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import islice
from math import gcd, lcm
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.errors import FailureError, InputError
from symlump.lumping.linear.spaces.closure import Closure, close
from symlump.lumping.linear.spaces.echelon import primes
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.splitting.charpoly import roots_modulo
from symlump.ode.exact import ExactArray
from symlump.ode.functions.algebra import derivative
from symlump.ode.polynomial import PolynomialODE

if TYPE_CHECKING:
    import sympy

#: A row of polynomials, by column.
Row = dict[int, Any]
#: A linear form whose coefficients are polynomials in the parameter: by variable and power.
ParametricForm = dict[str, dict[int, Fraction]]
#: Minors of random combinations of rows and columns, beside the first one; and primes.
_MINORS, _MOST_PRIMES = 2, 500


class PolynomialMatrices:
    """The coefficient matrices of a Jacobian and the observables, with entries in Q[t].

    A row is differentiated by all variables but the parameter.
    """

    def __init__(
        self, ode: PolynomialODE, parameter: str, forms: dict[str, ParametricForm]
    ) -> None:
        import sympy

        self.ring, self.t = sympy.ring("t", sympy.QQ)
        self.parameter = parameter
        self.names = [name for name in ode.variables if name != parameter]
        own = ode.index.get(parameter, -1)
        column = {ode.index[name]: i for i, name in enumerate(self.names)}
        numbers: dict[Any, int] = {}
        #: By row: matrix, column and entry.
        self.entries: list[list[tuple[int, int, Any]]] = []
        for name in self.names:
            equation = ode.equation(ode.index[name])
            line: dict[tuple[int, int], Any] = {}
            for variable in sorted({v for m in equation for v, _ in m} - {own}):
                for monomial, value in derivative(equation, variable).items():
                    rest = tuple((v, e) for v, e in monomial if v != own)
                    key = numbers.setdefault(rest, len(numbers)), column[variable]
                    term = self._term(value, dict(monomial).get(own, 0))
                    line[key] = line.get(key, self.ring.zero) + term
            self.entries.append([(k, j, value) for (k, j), value in line.items() if value])
        self.count = len(numbers)
        place = {name: i for i, name in enumerate(self.names)}
        self.start: list[Row] = [
            {
                place[name]: sum((self._term(c, e) for e, c in powers.items()), self.ring.zero)
                for name, powers in form.items()
            }
            for form in forms.values()
        ]

    def _term(self, value: Fraction, power: int) -> Any:
        return self.ring.domain(value.numerator, value.denominator) * self.t**power

    @property
    def depends(self) -> bool:
        """Whether the parameter occurs."""
        entries = (value for line in self.entries for _, _, value in line)
        starts = (value for row in self.start for value in row.values())
        return any(value.degree() > 0 for part in (entries, starts) for value in part)

    def images(self, row: Row) -> dict[int, Row]:
        """All row·J_k that are not zero, by k."""
        found: dict[int, Row] = {}
        for i, factor in row.items():
            for k, j, value in self.entries[i]:
                image = found.setdefault(k, {})
                image[j] = image.get(j, self.ring.zero) + factor * value
        nonzero = {k: {j: v for j, v in image.items() if v} for k, image in found.items()}
        return {k: image for k, image in nonzero.items() if image}

    def close(self, value: int, prime: int) -> Closure:
        """The closure of the observables at a value modulo a prime.

        Raises
        ------
        InputError
            If the prime divides a denominator.
        """

        def number(entry: Any) -> Fraction:
            found = entry.evaluate(0, value)
            return Fraction(int(found.numerator), int(found.denominator))

        table = [(k, i, j, number(v)) for i, line in enumerate(self.entries) for k, j, v in line]
        numbers = np.array([entry[:3] for entry in table], dtype=np.int64).reshape(-1, 3)
        values = ExactArray.from_fractions(entry[3] for entry in table)
        size = len(self.names)
        family = MatrixFamily.from_entries(
            numbers[:, 0], numbers[:, 1], numbers[:, 2], values, size, self.count
        )
        starts = [{j: number(v) for j, v in row.items()} for row in self.start]
        rows = ExactMatrix.from_rows([{j: v for j, v in row.items() if v} for row in starts], size)
        return close(family.modulo(prime), rows.residues(prime), np.random.default_rng(value))

    def derived(self, closure: Closure) -> list[Row]:
        """What was derived at a value, with the parameter."""
        rows = [self.start[i] for i in closure.kept.tolist()]
        seen: dict[int, dict[int, Row]] = {}
        for parent, k in zip(closure.parents.tolist(), closure.generators.tolist(), strict=True):
            if parent not in seen:
                seen[parent] = self.images(rows[parent])
            rows.append(seen[parent][k])
        return rows

    def remainder(self, f: list[int] | None) -> Callable[[Row], Row]:
        """Rows modulo f, without zeros."""
        modulus = None if f is None else self.ring.from_list([self.ring.domain(c) for c in f])

        def reduced(row: Row) -> Row:
            found = row if modulus is None else {j: v.rem(modulus) for j, v in row.items()}
            return {j: v for j, v in found.items() if v}

        return reduced

    def matrix(self, rows: list[Row]) -> Any:
        """Rows as a matrix of sympy."""
        from sympy.polys.matrices import DomainMatrix

        zero, width = self.ring.zero, len(self.names)
        dense = [[row.get(j, zero) for j in range(width)] for row in rows]
        return DomainMatrix(dense, (len(rows), width), self.ring.to_domain())

    def named(self, rows: list[Row]) -> tuple[dict[str, sympy.Expr], ...]:
        """Rows by names of variables."""
        import sympy

        t = sympy.Symbol(self.parameter)
        return tuple({self.names[j]: v.as_expr(t) for j, v in row.items()} for row in rows)


@dataclass(frozen=True)
class Derived:
    """A smallest invariant space over Q(t), or over Q[t]/f, in two bases.

    Parameters
    ----------
    words : list of dict
        Rows that the observables lead to, in Q[t].
    images : list of dict
        What these lead to; combinations of them.
    basis : list of dict
        The echelon form, primitive.
    pivots : tuple of int
    """

    words: list[Row]
    images: list[Row]
    basis: list[Row]
    pivots: tuple[int, ...]


def derive(matrices: PolynomialMatrices, f: list[int] | None, random: Random) -> Derived:
    """The smallest invariant space that contains the observables, for t unknown or a root of f.

    What was derived modulo a prime is independent there, hence over the field; and that nothing else is needed
    is verified in the field. So the size is proved.

    Raises
    ------
    FailureError
        If none of some primes will do.
    """
    for prime in islice(primes(), _MOST_PRIMES):
        value = random.randrange(prime)
        if f is not None:
            if not f[0] % prime:
                continue
            monic = [c * pow(f[0], -1, prime) % prime for c in f]
            roots = roots_modulo(monic, prime)
            if not roots:
                continue
            value = roots[0]
        try:
            closure = matrices.close(value, prime)
        except InputError:  # the prime divides a denominator
            continue
        reduced = matrices.remainder(f)
        words = [reduced(row) for row in matrices.derived(closure)]
        images = [image for row in words for image in matrices.images(row).values()]
        if not words:
            if not any(reduced(row) for row in matrices.start):
                return Derived([], [], [], ())
            continue
        # Columns that are independent modulo the prime come first: their minor is not 0 in the field.
        first = [] if f is None else closure.space.columns().tolist()
        order = [*first, *(j for j in range(len(matrices.names)) if j not in first)]
        whole = matrices.matrix(words).extract(list(range(len(words))), order)
        echelon, denominator, places = whole.rref_den()
        lines = [dict(zip(order, line, strict=True)) for line in echelon.to_list()[: len(places)]]
        pivots = tuple(order[place] for place in places)
        others = [reduced(row) for row in [*images, *matrices.start]]
        left = (_left(matrices, lines, denominator, pivots, row) for row in others)
        full = len(lines) == len(words) and reduced({0: denominator})
        if full and not any(reduced(row) for row in left):
            return Derived(words, images, [_primitive(line) for line in lines], pivots)
    raise FailureError(f"the smallest linear lumpings were not found modulo {_MOST_PRIMES} primes")


def _left(
    matrices: PolynomialMatrices,
    lines: list[Row],
    denominator: Any,
    pivots: tuple[int, ...],
    row: Row,
) -> Row:
    """What is left of a row modulo lines that are the denominator times the identity on pivots, times it."""
    left = {j: denominator * value for j, value in row.items()}
    for line, pivot in zip(lines, pivots, strict=True):
        if factor := row.get(pivot):
            for j, value in line.items():
                if value:
                    left[j] = left.get(j, matrices.ring.zero) - factor * value
    return left


def _primitive(line: Row) -> Row:
    """The row of coprime polynomials with integers that spans the same line over Q(t)."""
    row = {j: value for j, value in line.items() if value}
    shared = reduce(lambda a, b: a.gcd(b), row.values())
    row = {j: value.exquo(shared) for j, value in row.items()}
    numbers = [c for value in row.values() for c in value.coeffs()]
    scale = Fraction(
        lcm(*(int(c.denominator) for c in numbers)), gcd(*(int(c.numerator) for c in numbers))
    )
    if next(iter(row.values())).LC < 0:
        scale = -scale
    return {
        j: value * value.ring.domain(scale.numerator, scale.denominator) for j, value in row.items()
    }


def common_minor(matrices: PolynomialMatrices, space: Derived, random: Random) -> list[int]:
    """The greatest common divisor of a few minors of what was derived, from the highest power down."""
    whole = matrices.matrix(space.words)
    size, width = whole.shape
    found = whole.extract(list(range(size)), list(space.pivots)).det()
    everything = matrices.matrix([*space.words, *space.images])
    for _ in range(_MINORS):
        if found.degree() < 1:
            break
        left = _draw(random, size, everything.shape[0], matrices)
        right = _draw(random, width, size, matrices)
        found = found.gcd((left * everything * right).det())
    shared = lcm(*(int(c.denominator) for c in found.coeffs()))
    return [int(c * shared) for c in found.to_dense()]


def _draw(random: Random, rows: int, columns: int, matrices: PolynomialMatrices) -> Any:
    from sympy.polys.matrices import DomainMatrix

    one = matrices.ring.one
    dense = [[one * random.randrange(-9, 10) for _ in range(columns)] for _ in range(rows)]
    return DomainMatrix(dense, (rows, columns), matrices.ring.to_domain())
