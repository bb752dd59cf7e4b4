"""The coefficient matrices of a Jacobian with a parameter, and their smallest invariant row space.

Their entries are polynomials in the parameter t, looked at over Q(t), or over Q[t]/f for an irreducible f.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import gcd, lcm
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.errors import InputError
from symlump.lumping.linear.spaces.closure import Closure, close
from symlump.lumping.linear.spaces.echelon import primes
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.splitting.charpoly import factors, roots_modulo
from symlump.ode.exact import ExactArray
from symlump.ode.functions.algebra import derivative
from symlump.ode.polynomial import PolynomialODE

if TYPE_CHECKING:
    import sympy

#: A row of polynomials, by column.
Row = dict[int, Any]
#: A linear form whose coefficients are polynomials in the parameter: by variable and power.
ParametricForm = dict[str, dict[int, Fraction]]
#: Primes modulo which a root of a polynomial is looked for.
_TRIES = 8
#: Rows of lower degree are not looked through for what all their entries share.
_LOW = 8


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

    def close(self, value: int, prime: int, seed: int = 0) -> Closure:
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
        return close(family.modulo(prime), rows.residues(prime), np.random.default_rng(seed))

    def named(self, rows: list[Row]) -> tuple[dict[str, sympy.Expr], ...]:
        """Rows by names of variables."""
        import sympy

        t = sympy.Symbol(self.parameter)
        return tuple({self.names[j]: v.as_expr(t) for j, v in row.items()} for row in rows)


@dataclass(frozen=True)
class Derived:
    """A smallest invariant space over Q(t).

    Parameters
    ----------
    basis : list of dict
        The echelon form, primitive.
    factors : list of list of int
        Irreducible polynomials, from the highest power down. The space has this dimension at every
        value that is a root of none of them.
    """

    basis: list[Row]
    factors: list[list[int]]


class PolynomialRows:
    """Independent rows over Q(t) or over Q[t]/f: the first entry of each, its pivot, is in a column of its own.

    They are polynomials in either case; modulo f, entries that f divides are left out.

    Parameters
    ----------
    modulus : polynomial or None
        f, irreducible.
    """

    def __init__(self, modulus: Any = None) -> None:
        self.modulus = modulus
        #: By their pivots.
        self.rows: dict[int, Row] = {}
        #: What rows were divided by.
        self.contents: list[Any] = []

    def reduce(self, row: Row, above: int = -1) -> Row:
        """A multiple of a row modulo those whose pivots are greater than ``above``."""
        row, high = self._reduced(row), _LOW
        for pivot in sorted(self.rows):
            factor = row.get(pivot)
            if not factor or pivot <= above:
                continue
            other = self.rows[pivot]
            lead = other[pivot]
            shared = factor.gcd(lead)
            factor, lead = factor.exquo(shared), lead.exquo(shared)
            left = {j: lead * value for j, value in row.items()}
            for j, value in other.items():
                left[j] = left[j] - factor * value if j in left else -factor * value
            row = self._reduced(left)
            if max((value.degree() for value in row.values()), default=0) > high:
                row = self._without_content(row)
                high = max(high, 2 * max(value.degree() for value in row.values()))
        return row

    def add(self, row: Row) -> Row | None:
        """Add what is left of a row, and return it; None if nothing is."""
        row = self.reduce(row)
        if not row:
            return None
        row = _primitive(self._without_content(row))
        self.rows[min(row)] = row
        return row

    def _without_content(self, row: Row) -> Row:
        shared = _shared(row)
        if shared is None or shared.degree() < 1:
            return row
        self.contents.append(shared)
        return {j: value.exquo(shared) for j, value in row.items()}

    def _reduced(self, row: Row) -> Row:
        f = self.modulus
        return {j: v for j, v in row.items() if v and (f is None or v.degree() < 1 or v.rem(f))}

    def echelon(self) -> list[Row]:
        """The rows, then with zeros above the pivots, too."""
        for pivot in sorted(
            self.rows, reverse=True
        ):  # those below have zeros above their pivots by then
            self.rows[pivot] = _primitive(self.reduce(self.rows[pivot], pivot))
        return [self.rows[pivot] for pivot in sorted(self.rows)]


def close_rows(matrices: PolynomialMatrices, f: list[int] | None = None) -> PolynomialRows:
    """The smallest invariant space that contains the observables, for t unknown or a root of an irreducible f.

    All of it is arithmetic in the field: what is added was derived, and all images of it are combinations.
    """
    ring = matrices.ring
    space = PolynomialRows(None if f is None else ring.from_list([ring.domain(c) for c in f]))
    waiting = list(matrices.start)
    while waiting and len(space.rows) < len(matrices.names):
        added = [row for row in map(space.add, waiting) if row is not None]
        waiting = [image for row in added for image in matrices.images(row).values()]
    return space


def derive(matrices: PolynomialMatrices) -> Derived:
    """The smallest invariant space over Q(t), and polynomials one of which vanishes wherever it is smaller.

    *Why:* each row is a combination of rows that were derived before, divided by a content. Where no content is
    zero it is therefore derived there, too; and where no pivot is zero the rows are independent.
    """
    space = close_rows(matrices)
    pivots = [row[pivot] for pivot, row in space.rows.items() if row[pivot].degree() > 0]
    found = set()
    for candidate in {*space.contents, *pivots}:
        shared = lcm(*(int(c.denominator) for c in candidate.coeffs()))
        found |= {tuple(f) for f, _ in factors([int(c * shared) for c in candidate.to_dense()])}
    return Derived(space.echelon(), [list(f) for f in sorted(found)])


def is_most(matrices: PolynomialMatrices, f: list[int], most: int, seed: int) -> bool:
    """True if the space is shown not to be smaller where t is a root of an irreducible polynomial.

    At a root modulo a prime it is never larger, so where it is as large as for t unknown, this is a proof.
    """
    for prime in islice(primes(), _TRIES):
        if not f[0] % prime:
            continue
        roots = roots_modulo([c * pow(f[0], -1, prime) % prime for c in f], prime)
        try:
            if roots:
                return len(matrices.close(roots[0], prime, seed).space) == most
        except InputError:  # the prime divides a denominator
            continue
    return False


def _shared(row: Row) -> Any:
    """The greatest common divisor of all entries; None of no entries."""
    found = None
    for value in row.values():
        found = value if found is None else found.gcd(value)
        if found.degree() < 1:
            break
    return found


def _primitive(line: Row) -> Row:
    """The row of coprime polynomials with integers that spans the same line over Q(t)."""
    shared = _shared(line)
    row = {j: line[j].exquo(shared) for j in sorted(line)}
    numbers = [c for value in row.values() for c in value.coeffs()]
    scale = Fraction(
        lcm(*(int(c.denominator) for c in numbers)), gcd(*(int(c.numerator) for c in numbers))
    )
    if next(iter(row.values())).LC < 0:
        scale = -scale
    return {
        j: value * value.ring.domain(scale.numerator, scale.denominator) for j, value in row.items()
    }
