"""Sets of polynomials that must vanish, reduced to a short and readable one with the same zeros."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from symlump.errors import MethodError

if TYPE_CHECKING:
    import sympy

#: A monomial, as (position of the symbol, power) pairs in ascending order.
Powers = tuple[tuple[int, int], ...]
Polynomial = dict[Powers, Fraction]

#: Longer polynomials are not factorized, which only shortens them.
MAX_FACTORED_TERMS = 60


def add_term(polynomial: Polynomial, powers: Powers, value: Fraction) -> None:
    """Add one term in place; a sum of zero is dropped."""
    total = polynomial.get(powers, Fraction(0)) + value
    if total:
        polynomial[powers] = total
    else:
        polynomial.pop(powers, None)


def vanishing(polynomials: Iterable[Polynomial], names: Sequence[str]) -> tuple[sympy.Expr, ...]:
    """Reduce polynomials to primitive, square-free ones with the same common zeros, sorted.

    Linear dependence is removed, then powers of factors, then multiples of others. A nonzero constant
    in the linear span makes the answer (1,).

    Examples
    --------
    >>> a, b, ab2 = ((0, 1),), ((1, 1),), ((0, 1), (1, 2))
    >>> vanishing([{a: Fraction(-3), b: Fraction(6)}, {a: Fraction(1), b: Fraction(-2)}], ["a", "b"])
    (a - 2*b,)
    >>> vanishing([{ab2: Fraction(1)}, {a: Fraction(1)}, {(): Fraction(1), a: Fraction(1)}], ["a", "b"])
    (1,)
    """
    import sympy

    rows = _echelon(polynomials)
    if () in rows:
        return (sympy.Integer(1),)
    symbols = [sympy.Symbol(name) for name in names]
    found = {frozenset(_factors(row, symbols)) for row in rows.values()}
    least = [factors for factors in found if not any(other < factors for other in found)]
    chosen = [sorted(factors, key=_size) for factors in least]
    chosen.sort(key=lambda factors: (sum(p.total_degree() for p in factors), str(factors)))
    return tuple(sympy.Mul(*(p.as_expr() for p in factors)) for factors in chosen)


class Letters:
    """Symbols in place of what is not a polynomial: ``K**n``, ``exp(k)``, π.

    Attributes
    ----------
    meaning : dict of Symbol to expression

    Examples
    --------
    >>> import sympy
    >>> a, n = sympy.symbols("a n")
    >>> letters = Letters()
    >>> plain = letters.put((a**n + 1)**2 - a)
    >>> plain.is_polynomial(), letters.back(plain) == (a**n + 1)**2 - a
    (True, True)
    """

    def __init__(self) -> None:
        self.meaning: dict[sympy.Symbol, sympy.Expr] = {}
        self._letter: dict[sympy.Expr, sympy.Symbol] = {}

    def put(self, expression: sympy.Expr) -> sympy.Expr:
        """The expression with a letter for each part that is no sum, product or whole power."""
        if expression.is_Symbol or expression.is_Rational or expression.is_Float:
            return expression
        if expression.is_Add or expression.is_Mul:
            return expression.func(*map(self.put, expression.args))
        if expression.is_Pow and expression.exp.is_Integer and expression.exp > 0:
            return self.put(expression.base) ** expression.exp
        return self._new(expression)

    def back(self, expression: sympy.Expr) -> sympy.Expr:
        """The expression with what the letters stand for."""
        return expression.xreplace(self.meaning)

    def _new(self, expression: sympy.Expr) -> sympy.Symbol:
        import sympy

        if expression not in self._letter:
            letter = sympy.Symbol(f"\0{len(self.meaning)}")  # no name has this character
            self._letter[expression], self.meaning[letter] = letter, expression
        return self._letter[expression]


def vanishing_of(expressions: Iterable[sympy.Expr], names: Sequence[str]) -> tuple[sympy.Expr, ...]:
    """As :func:`vanishing`, but of expressions that may contain functions of the named symbols.

    Examples
    --------
    >>> import sympy
    >>> k, n = sympy.symbols("k n")
    >>> vanishing_of([2*k**n - 4, (k**n - 2)*k, k - k], ["k", "n"])
    (k**n - 2,)
    """
    letters = Letters()
    plain = [letters.put(expression) for expression in expressions]
    every = [*names, *(letter.name for letter in letters.meaning)]
    found = vanishing([from_sympy(expression, every) for expression in plain], every)
    return tuple(e for e in map(letters.back, found) if e != 0)


def from_sympy(expression: sympy.Expr, names: Sequence[str]) -> Polynomial:
    """Read a polynomial in the named symbols.

    Raises
    ------
    MethodError
        If it is none, or a coefficient is not rational.
    """
    import sympy

    # Those that occur, and one more symbol, because sympy has no polynomials in none.
    occurring = {symbol.name for symbol in expression.free_symbols}
    used = [v for v, name in enumerate(names) if name in occurring]
    symbols = [*(sympy.Symbol(names[v]) for v in used), sympy.Dummy()]
    try:
        terms = sympy.Poly(expression, *symbols, domain="QQ").terms()
    except (sympy.PolynomialError, sympy.CoercionFailed):
        raise MethodError(
            f"{expression} is not a polynomial with rational coefficients in the parameters"
        ) from None
    return {
        tuple((v, e) for v, e in zip(used, powers, strict=False) if e): Fraction(int(c.p), int(c.q))
        for powers, c in terms
        if c
    }


def _echelon(polynomials: Iterable[Polynomial]) -> dict[Powers, Polynomial]:
    """The reduced echelon form of the linear span, by leading monomial: high degrees go first."""
    rows: dict[Powers, Polynomial] = {}
    seen: set[frozenset[tuple[Powers, Fraction]]] = set()
    for polynomial in polynomials:
        if not polynomial:
            continue
        row = _monic(polynomial)
        key = frozenset(row.items())
        if key in seen:
            continue
        seen.add(key)
        for leading in [powers for powers in row if powers in rows]:
            _eliminate(row, leading, rows[leading])
        if not row:
            continue
        row = _monic(row)
        leading = min(row, key=_order)
        if leading == ():
            return {(): row}  # nothing more can be required
        for other in rows.values():
            _eliminate(other, leading, row)
        rows[leading] = row
    return rows


def _eliminate(row: Polynomial, leading: Powers, by: Polynomial) -> None:
    factor = row.get(leading)
    if factor:
        for powers, value in by.items():
            add_term(row, powers, -factor * value)


def _monic(row: Polynomial) -> Polynomial:
    first = row[min(row, key=_order)]
    return {powers: value / first for powers, value in row.items()}


def _order(powers: Powers) -> tuple[int, list[tuple[int, int]]]:
    return -sum(e for _, e in powers), [(v, -e) for v, e in powers]


def _factors(row: Polynomial, symbols: Sequence[sympy.Symbol]) -> list[sympy.Poly]:
    """The different irreducible factors, primitive with a positive leading coefficient."""
    import sympy

    # Dense polynomials of sympy are nested as deep as there are symbols.
    used = sorted({v for powers in row for v, _ in powers})
    terms = {}
    for powers, value in row.items():
        held = dict(powers)
        exponents = tuple(held.get(v, 0) for v in used)
        terms[exponents] = sympy.Rational(value.numerator, value.denominator)
    whole = (
        sympy.Poly(terms, *(symbols[v] for v in used), domain="QQ")
        .clear_denoms(convert=True)[1]
        .primitive()[1]
    )
    factors = [whole]
    if len(terms) <= MAX_FACTORED_TERMS:
        factors = [factor for factor, _ in whole.factor_list()[1]]
    if len(used) > 1:
        factors = [factor.exclude() for factor in factors]
    return [-factor if factor.LC() < 0 else factor for factor in factors]


def _size(polynomial: sympy.Poly) -> tuple[int, int, str]:
    return polynomial.total_degree(), len(polynomial.terms()), str(polynomial)
