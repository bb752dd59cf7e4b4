"""The short way through the lines that make up nearly all of a large ERODE file.

A reaction whose rate is a known constant or product, or an equation that is a plain sum of
products, is read by splitting its line; each distinct rate and each distinct term is understood
once. A line that does not fit is left to the full grammar, which also has the error messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from symlump.errors import InputError
from symlump.formats.expression import NAME, NUMBER, ExpressionReader
from symlump.formats.flows import Flows
from symlump.ode.exact import IntArray
from symlump.ode.functions.algebra import MAX_BITS, MAX_DEGREE, Polynomial

# The next statement must not begin with an operator: then the expression goes on there.
_END = r"[ \t]*+(?:\n\s*+(?![-+*/^(),\[])|\Z)"
_REACTION = re.compile(rf"\s*+([^\n\->,\[]*+)->([^\n,\[]*+),([^\n\[]*+)(?:\[[^\]\n]*+\])?+{_END}")
_EQUATION = re.compile(rf"\s*+d[ \t]*\([ \t]*({NAME})[ \t]*\)[ \t]*=([\w.*^/ \t+-]*+){_END}")
_NEXT = re.compile(r"\s*+(\S)")
OPERATORS = frozenset("-+*/^(),[")
_CHUNK = 1 << 17
# From _RATE down: the rates in the order in which they were learned.
_PLUS, _ARROW, _COMMA, _RATE = -1, -2, -3, -4
_SIGN = re.compile(r"([-+][ \t]*[-+]?)")
_SCIENTIFIC = re.compile(r"[0-9.][eE][-+]")
_STAR = re.compile(r"(?<!\*)\*(?!\*)")
_POWER = re.compile(rf"({NAME})\s*(?:\^|\*\*)\s*([0-9]{{1,3}})")
_QUOTIENT = re.compile(rf"({NUMBER})\s*/\s*({NUMBER})")
_LITERAL = re.compile(NUMBER)

Term = tuple[int, int, list[int], list[int]]
"""Coefficient with sign + and with sign −, as places in the table, and the factors and powers."""


class FlatReader:
    """Reads simple statements into flows.

    Parameters
    ----------
    text : str
    flows : Flows
    variables : mapping of str to int
        Everything that is a variable of the system.
    species : mapping of str to int
        The part of it that may stand in a reaction or have an equation.
    constants : mapping of str to Fraction
        Names with a value.
    reader : ExpressionReader
        For its table of literals.
    """

    def __init__(
        self,
        text: str,
        flows: Flows,
        variables: Mapping[str, int],
        species: Mapping[str, int],
        constants: Mapping[str, Fraction],
        reader: ExpressionReader[Polynomial],
    ) -> None:
        self.text, self.flows = text, flows
        self.variables, self.species, self.constants = variables, species, constants
        self.reader = reader
        self._rates: dict[str, tuple[int, list[int], list[int]]] = {}
        self._terms: dict[str, Term] = {}
        self._coefficients: dict[tuple[str, ...], tuple[int, int]] = {}
        self._words: dict[str, int] = {"+": _PLUS, "->": _ARROW, ",": _COMMA} | dict(species)
        self._places: list[int] = []  # of the rates among the words
        self._tried = 0  # up to where reactions are not all plain

    def reactions(self, start: int, stop: int) -> int:
        """Read reactions as long as they are simple; return where the first other one starts."""
        flows, species, rates = self.flows, self.species, self._rates
        match = _REACTION.match
        while True:
            if start >= self._tried:
                start = self._many(start, stop)
            line = match(self.text, start, stop)
            if line is None:
                break
            left, right, rate = line.groups()
            known = rates.get(rate.strip())
            if known is None:
                break
            try:
                reactants = [species[name.strip()] for name in left.split("+")]
                products = [species[name.strip()] for name in right.split("+")]
            except KeyError:
                break
            place, factors, powers = known
            size = len(reactants)
            if size + sum(powers) > MAX_DEGREE:
                break
            flows.rates.append(place)
            flows.sizes.append(size + len(factors))
            flows.factors.extend(reactants)
            flows.factors.extend(factors)
            flows.powers.extend([1] * size)
            flows.powers.extend(powers)
            flows.widths.append(size + len(products))
            flows.changed.extend(reactants)
            flows.changed.extend(products)
            flows.counts.extend([-1] * size)
            flows.counts.extend([1] * len(products))
            start = line.end()
        return start

    def _many(self, start: int, stop: int) -> int:
        """Read chunks of reactions as long as they are plain; return where the first other one starts."""
        text = self.text
        while self._tried <= start < stop:
            end = text.find("\n", min(start + _CHUNK, stop), stop)
            end = stop if end < 0 else end
            following = _NEXT.match(text, end, stop)
            goes_on = following is not None and following[1] in OPERATORS
            if goes_on or not self._add_words(text[start:end]):
                self._tried = end
                break
            start = end
        return start

    def _add_words(self, chunk: str) -> bool:
        """Add reactions of known words, all at once; nothing if there is any other word, or another order."""
        word = self._known_words(chunk)
        if word is None:  # as it stands
            spaced = chunk.replace("->", " -> ").replace("+", " + ").replace(",", " , ")
            word = self._known_words(spaced)
        if word is None:
            return False
        arrows, commas = np.flatnonzero(word == _ARROW), np.flatnonzero(word == _COMMA)
        rates = np.flatnonzero(word <= _RATE)
        # One after the other: an arrow, a comma, and a rate right behind it, with which the reaction ends.
        if not len(arrows) == len(commas) == len(rates) > 0 or (commas + 1 != rates).any():
            return len(word) == 0
        if rates[-1] != len(word) - 1 or (arrows > commas).any() or (arrows[1:] < rates[:-1]).any():
            return False
        # Species and plus signs take turns: no two species, and no two signs, are neighbours.
        is_species = word >= 0
        if (is_species[1:] & is_species[:-1]).any() or is_species[arrows - 1].min() < 1:
            return False
        plus = np.flatnonzero(word == _PLUS)
        if plus.size and (plus[0] == 0 or not (is_species[plus - 1] & is_species[plus + 1]).all()):
            return False
        species = np.flatnonzero(is_species)
        reaction = np.searchsorted(rates, species)
        left = species < arrows[reaction]
        flows, count = self.flows, len(rates)
        sizes = np.bincount(reaction[left], minlength=count)
        if sizes.max() > MAX_DEGREE:
            return False
        factors = word[species[left]]
        for held, numbers in (
            (flows.rates, np.array(self._places)[_RATE - word[rates]]),
            (flows.sizes, sizes),
            (flows.widths, np.bincount(reaction, minlength=count)),
            (flows.factors, factors),
            (flows.powers, np.ones_like(factors)),
            (flows.changed, word[species]),
            (flows.counts, np.where(left, -1, 1)),
        ):
            held.frombytes(numbers.astype(np.int64, copy=False).tobytes())
        return True

    def _known_words(self, text: str) -> IntArray | None:
        """The words of a text as numbers; None where one is unknown."""
        try:
            return np.fromiter(map(self._words.__getitem__, text.split()), dtype=np.int64)
        except KeyError:
            return None

    def learn_rate(self, start: int, end: int, rate: Polynomial) -> None:
        """Remember the rate of the mass action that fills ``start`` … ``end``, if it is simple."""
        line = _REACTION.match(self.text, start, end)
        if line is not None and line.end() == end and len(rate) == 1:
            ((monomial, value),) = rate.items()
            place = self.flows.coefficient(value)
            self._rates[line[3].strip()] = place, [v for v, _ in monomial], [k for _, k in monomial]
            word = line[3].strip()
            if not monomial and word not in self._words:
                self._words[word] = _RATE - len(self._places)
                self._places.append(place)

    def equations(self, start: int, stop: int, done: set[int]) -> int:
        """Read equations as long as they are plain sums of products of new variables.

        ``done`` are the variables that have an equation; it grows. Returns where the first other
        statement starts.
        """
        flows = self.flows
        while line := _EQUATION.match(self.text, start, stop):
            row = self.species.get(line[1])
            terms = self._sum(line[2])
            if row is None or row in done or terms is None:
                break
            done.add(row)
            for place, (_, _, factors, powers) in terms:
                flows.rates.append(place)
                flows.sizes.append(len(factors))
                flows.factors.extend(factors)
                flows.powers.extend(powers)
            flows.changed.extend([row] * len(terms))
            flows.counts.extend([1] * len(terms))
            flows.widths.extend([1] * len(terms))
            start = line.end()
        return start

    def _sum(self, body: str) -> list[tuple[int, Term]] | None:
        if _SCIENTIFIC.search(body):
            return None
        pieces = _SIGN.split(body)
        if pieces[0].strip():
            pieces.insert(0, "+")
        else:
            del pieces[0]
            if not pieces:
                return None
            pieces[0] += "+"  # a sign without a left operand, like the second one in "a + -b"
        terms = []
        for sign, written in zip(pieces[::2], pieces[1::2], strict=True):
            if len(sign) > 1 and "^" in written:
                return None  # in ERODE a unary minus comes before the power
            key = written.strip()
            term = self._terms[key] if key in self._terms else self._learn_term(key)
            if term is None:
                return None
            terms.append((term[1] if sign.count("-") & 1 else term[0], term))
        return terms

    def _learn_term(self, written: str) -> Term | None:
        """Understand a product of variables, their powers and constants; None if it is not one."""
        powers: dict[int, int] = {}
        constants: list[str] = []
        variables = self.variables
        for piece in _STAR.split(written) if "**" in written else written.split("*"):
            factor = piece.strip()
            position, power = variables.get(factor), 1
            if position is None and ("^" in factor or "**" in factor):
                raised = _POWER.fullmatch(factor)
                if raised is not None and raised[1] in self.variables:
                    position, power = self.variables[raised[1]], int(raised[2])
            if position is None:
                constants.append(factor)
            elif power:
                powers[position] = powers.get(position, 0) + power
        places = self._coefficient(tuple(constants))
        if places is None or sum(powers.values()) > MAX_DEGREE:
            return None
        term = *places, list(powers), list(powers.values())
        self._terms[written] = term
        return term

    def _coefficient(self, constants: tuple[str, ...]) -> tuple[int, int] | None:
        """Places of the product of some constants and of its negative; few different ones occur."""
        if constants not in self._coefficients:
            value = Fraction(1)
            for factor in constants:
                known = self._constant(factor)
                if known is None:
                    return None
                value *= known
                if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
                    return None
            coefficient = self.flows.coefficient
            self._coefficients[constants] = coefficient(value), coefficient(-value)
        return self._coefficients[constants]

    def _constant(self, factor: str) -> Fraction | None:
        if factor in self.constants:
            return self.constants[factor]
        if len(factor) > 1000:  # the grammar judges it
            return None
        quotient = _QUOTIENT.fullmatch(factor)
        try:
            if quotient is not None:
                top, bottom = map(self.reader.number, quotient.groups())
                return top / bottom if bottom else None
            return self.reader.number(factor) if _LITERAL.fullmatch(factor) else None
        except InputError:  # a number out of bounds: the grammar says where it stands
            return None
