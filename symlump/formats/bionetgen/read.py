"""The ``.net`` files of BioNetGen: numbered species, mass action, groups.

The rate in a ``.net`` file already contains the symmetry factors, so ``1 1,1 2 0.5*k`` runs at
0.5·k·S₁². A species marked with ``$`` is held fixed. Functions are followed. The laws with names contain
the reactants: ``Sat k K`` is k·S₁·S₂/(K + S₁), ``Hill k K h`` is k·S₁^h·S₂/(K^h + S₁^h), and ``MM k K`` is
k·F·S₂/(K + F) with the free substrate F = ((S₁ − K − S₂) + √((S₁ − K − S₂)² + 4·K·S₁))/2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Literal

from symlump.errors import InputError, NotPolynomialError
from symlump.formats.bionetgen.laws import law_of
from symlump.formats.expression import BIONETGEN, NAME, NUMBER, ExpressionReader, Tokens
from symlump.formats.flat import Call, evaluate
from symlump.formats.flows import Flows
from symlump.formats.model import Model
from symlump.formats.polynomials import NewConstant, PolynomialArithmetic, settle, take_settled
from symlump.formats.source import LongSection, Source, put_in_notes, quote
from symlump.formats.symbolic import SymbolArithmetic
from symlump.ode.functions import algebra
from symlump.ode.functions.algebra import MAX_DEGREE, Monomial, Polynomial
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.reactions import FlowArrays
from symlump.ode.system import ODE

BLOCKS = ("parameters", "species", "groups", "functions", "reactions")
_SKIPPED = {
    "model",
    "compartments",
    "observables",
    "molecule types",
    "reaction rules",
    "energy patterns",
}
_COMMENT = re.compile(r"#[^\n]*")
_BLOCK = re.compile(r"(begin|end)[ \t]+(\w+(?:[ \t]+\w+)?)")
_COMMAND = re.compile(r"\w+[ \t]*\(.*\)[ \t]*;?|version.*")
_TITLE = re.compile(r'setModelName[ \t]*\([ \t]*"([^"]*)"')
_NAMED = re.compile(rf"(?:[0-9]+[ \t]+)?({NAME})(\([^)]*\))?(?:[ \t]*=[ \t]*|[ \t]+|\Z)")
_SPECIES = re.compile(r"(?:([0-9]{1,12})[ \t]++)?+(\S++)[ \t]+")
_REACTION = re.compile(r"[0-9]+[ \t]+([0-9,]+)[ \t]+([0-9,]+)[ \t]+")
_ENTRY = re.compile(rf"(?:({NUMBER})[ \t]*\*[ \t]*)?([0-9]{{1,12}})")

Line = tuple[int, int]


#: Rate laws that are no polynomials, as they are called in a reaction.
_LAWS = {
    "MM": "Michaelis–Menten, with 2 constants and 2 reactants",
    "Sat": "saturation, with a constant and one more for some of the reactants",
    "Hill": "Hill, with 3 constants",
}
#: Other ways to write a rate law, with what is missing here.
_UNSUPPORTED = {
    "TotalRate": "a total rate, which is not multiplied by the reactants",
    "FunctionProduct": "a product of local functions",
    "Arrhenius": "a rate from energies",
}
_LAW = re.compile(r"(?:([^*\s]+)\*)?(\w+)\b")
_CONSTANTS = {"_pi": Call("pi"), "_e": Call("exp", (Fraction(1),))}


def read_bionetgen(
    source: Source,
    *,
    parameters: Literal["values", "symbolic"] = "values",
    constants: Literal["keep", "values"] = "keep",
    functions: bool = False,
    section: LongSection | None = None,
    into: Callable[[FlowArrays, int], None] | None = None,
) -> Model:
    """Read a reaction network.

    Parameters
    ----------
    source : Source
        The text.
    parameters : {"values", "symbolic"}
        Whether parameters are replaced by their values or become symbolic constants of the system.
    constants : {"keep", "values"}
        With "values", rates may divide by species that do not move; the reader of files replaces
        those by their values.
    functions : bool
        Read quotients and functions of variables, too.
    section : LongSection, optional
        The reactions, where the text is what stands around them.
    into : callable, optional
        Takes the flows of some of them at a time, and the number of variables; the model has none of them.

    Raises
    ------
    FileFormatError
        If the text is not a network.
    NotPolynomialError
        If a rate is not a polynomial, or with ``functions`` has one that is not known.
    NotInPiecesError
        If a rate is only understood once all of them are known.

    Examples
    --------
    >>> model = read_bionetgen(Source("a.net", '''begin parameters
    ...   1 k 3
    ... end parameters
    ... begin species
    ...   1 A(b) 10
    ...   2 A(b!1).A(b!1) 0
    ... end species
    ... begin reactions
    ...   1 1,1 2 0.5*k
    ... end reactions'''))
    >>> print(model.ode)
    A(b)'          = -3*A(b)^2
    A(b!1).A(b!1)' = 3/2*A(b)^2
    """
    reader = _Reader(source, parameters == "symbolic", constants == "values", functions)
    return reader.read(section or (), into)


def _uncommented(source: Source) -> Source:
    if "#" not in source.text:
        return source
    return replace(source, text=_COMMENT.sub(lambda comment: " " * len(comment[0]), source.text))


class _Reader:
    """The state of one reading: what the names mean so far."""

    def __init__(self, source: Source, symbolic: bool, folded: bool, functions: bool) -> None:
        self.source, self.symbolic, self.folded = _uncommented(source), symbolic, folded
        self.parameters: dict[str, Fraction] = {}
        self.species: dict[str, int] = {}
        self.initial: list[Fraction] = []
        self.fixed: set[int] = set()
        self.names: dict[str, Polynomial] = {}
        self.absent: dict[str, str] = {}
        self.functions: list[str] = []
        self.arithmetic: PolynomialArithmetic | SymbolArithmetic = PolynomialArithmetic()
        if functions:
            self.arithmetic = SymbolArithmetic(SymbolTable(0))
        self.expressions = ExpressionReader(self.names, BIONETGEN, self.arithmetic, self.absent)
        self.observables: dict[str, dict[str, Fraction]] = {}
        self.flows = Flows()

    def read(
        self, pieces: Iterable[Source], into: Callable[[FlowArrays, int], None] | None
    ) -> Model:
        blocks = self._blocks()
        if "species" not in blocks:
            raise self.source.error(0, "expected a block 'begin species'")
        for line in blocks.get("parameters", ()):
            self._parameter(line)
        for line in blocks["species"]:
            self._one_species(line)
        variables = dict(self.species)
        if self.symbolic:
            for name in self.parameters:
                if name in variables:
                    raise self.source.error(0, f"{quote(name)} is a parameter and a species")
                variables[name] = len(variables)
                self.names[name] = algebra.symbol(variables[name])
        initial = dict(zip(self.species, self.initial, strict=True))
        letters = self.parameters if self.symbolic else {}
        initial |= letters
        arithmetic = self.arithmetic
        if isinstance(arithmetic, SymbolArithmetic):
            arithmetic.table = SymbolTable(len(variables))
        else:
            arithmetic.names += variables
            constant = (*letters, *(self.species if self.folded else ()))
            arithmetic.constants.update((variables[name], initial[name]) for name in constant)
        self._constants()
        both = [self._group(line) for line in blocks.get("groups", ())]
        ambiguous = {name: self.names.pop(name) for name in both if name in self.parameters}
        for name in ambiguous:
            self.absent[name] = "is a parameter and a group: it is not clear which one is meant"
        for line in blocks.get("functions", ()):
            self._function(line)
        self.names |= ambiguous  # in a reaction only parameters and functions can be meant
        # Functions that no reaction calls are no part of the system.
        before = len(arithmetic.table.functions) if isinstance(arithmetic, SymbolArithmetic) else 0
        self._reactions(blocks.get("reactions", ()))
        whole = self.source
        for piece in pieces:
            self.source = _uncommented(piece)
            self._constants()
            self._reactions(self.source.lines(" \t"))
            if into is not None:
                into(take_settled(self.arithmetic, self.flows), len(variables))
        self.source = whole
        ode: ODE
        more: dict[str, Fraction] = {}
        if isinstance(arithmetic, SymbolArithmetic):
            ode = self.flows.build_over(arithmetic, tuple(variables), letters, before)
        else:
            ode, more = settle(arithmetic, self.flows, letters, self._refuse)
        title = _TITLE.search(self.source.text)
        name = title[1] if title else re.split(r"[\\/]", self.source.path)[-1].rsplit(".", 1)[0]
        constants = [] if self.symbolic else list(self.parameters)
        notes = put_in_notes(constants, self.functions, "functions")
        notes += self.arithmetic.notes
        return Model(name, ode, initial | more, None, self.observables, notes=tuple(notes))

    def _constants(self) -> None:
        """Give a meaning to π and e, if they occur."""
        for name, expression in _CONSTANTS.items():
            if name not in self.names and name in self.source.text:
                self.names[name] = evaluate(expression, self.names, self.arithmetic)

    def _refuse(self, new: NewConstant) -> InputError:
        place = new.place if isinstance(new.place, int) else 0
        return self.source.error(place, str(new.problem), NotPolynomialError)

    def _blocks(self) -> dict[str, list[Line]]:
        """The lines of each block, as positions."""
        blocks: dict[str, list[Line]] = {}
        inside, opened = "", 0
        text = self.source.text
        for start, stop in self.source.lines(" \t"):
            mark = _BLOCK.fullmatch(text, start, stop) if text[start] in "be" else None
            if mark is None:
                if inside in BLOCKS:
                    blocks[inside].append((start, stop))
                elif not inside and not _COMMAND.fullmatch(text, start, stop):
                    raise self.source.error(
                        start, f"expected 'begin' of a block, found {quote(text[start:stop])}"
                    )
                continue
            block = " ".join(mark[2].split())
            if mark[1] == "end":
                if block != inside and block != "model":
                    raise self.source.error(start, f"{quote(mark[0])} without its 'begin'")
                inside = ""
            elif inside:
                raise self.source.error(start, f"{quote(mark[0])} inside 'begin {inside}'")
            elif block in blocks:
                raise self.source.error(start, f"a second block {quote(block)}")
            elif block in BLOCKS:
                inside, opened = block, start
                blocks[block] = []
            elif block in _SKIPPED:
                inside, opened = ("" if block == "model" else block), start
            else:
                raise self.source.error(
                    start, f"unknown block {quote(block)}; the blocks are {', '.join(BLOCKS)}"
                )
        if inside:
            raise self.source.error(opened, f"'begin {inside}' is never closed")
        return blocks

    def _whole(self, start: int, stop: int) -> Polynomial:
        """The expression that fills a part of the text."""
        tokens = Tokens(self.source, start, stop)
        value = self.expressions.read(tokens)
        if tokens.kind != "end":
            raise tokens.error("an operator or the end of the line")
        return value

    def _number(self, start: int, stop: int) -> Fraction:
        value = algebra.constant_of(self._whole(start, stop))
        if value is None:
            raise self.source.error(start, "this expression must be constant")
        return value

    def _named(
        self, line: Line, what: str, known: Container[str] | None = None
    ) -> tuple[str, str, int]:
        named = _NAMED.match(self.source.text, *line)
        if named is None:
            found = quote(self.source.text[slice(*line)])
            raise self.source.error(line[0], f"expected the name of a {what}, found {found}")
        if named[1] in (self.names if known is None else known):
            raise self.source.error(named.start(1), f"{quote(named[1])} is defined twice")
        return named[1], named[2] or "", named.end()

    def _parameter(self, line: Line) -> None:
        name, _, position = self._named(line, "parameter")
        value = self._number(position, line[1])
        self.parameters[name] = value
        self.names[name] = algebra.constant(value)

    def _one_species(self, line: Line) -> None:
        found = _SPECIES.match(self.source.text, *line)
        if found is None or found.end() >= line[1]:
            text = quote(self.source.text[slice(*line)])
            raise self.source.error(line[0], f"expected 'number species amount', found {text}")
        if found[1] is not None and int(found[1]) != len(self.species) + 1:
            raise self.source.error(
                line[0], f"species number {found[1]} stands in place {len(self.species) + 1}"
            )
        name = found[2]
        if "$" in name.split("(")[0]:
            name = name.replace("$", "", 1)
            self.fixed.add(len(self.species))
        if name in self.species:
            raise self.source.error(found.start(2), f"the species {quote(name)} is defined twice")
        self.species[name] = len(self.species)
        self.initial.append(self._number(found.end(), line[1]))

    def _group(self, line: Line) -> str:
        name, _, position = self._named(line, "group", self.observables)
        variables = list(self.species)
        polynomial: Polynomial = {}
        text = self.source.text[position : line[1]]
        for entry in text.split(",") if text.strip() else ():
            found = _ENTRY.fullmatch(entry.strip())
            if found is None:
                raise self.source.error(
                    position, f"expected 'factor*species' in a group, found {quote(entry)}"
                )
            index = self._index(int(found[2]), position)
            try:
                weight = self.expressions.number(found[1]) if found[1] else Fraction(1)
            except InputError as problem:
                raise self.source.error(position, f"{problem}: {quote(found[1])}") from None
            polynomial = algebra.add(polynomial, {((index, 1),): weight} if weight else {})
        if name not in self.parameters:
            self.names[name] = polynomial
        self.observables[name] = {variables[m[0][0]]: value for m, value in polynomial.items()}
        return name

    def _function(self, line: Line) -> None:
        known = {*self.names, *self.absent}
        name, arguments, position = self._named(line, "function", known)
        if arguments.strip("() \t"):
            raise self.source.error(
                line[0], f"the function {quote(name)} has arguments, which are not supported"
            )
        self.names[name] = self._whole(position, line[1])
        self.functions.append(name)

    def _index(self, number: int, position: int) -> int:
        if not 0 < number <= len(self.species):
            raise self.source.error(
                position, f"species number {number} is outside 1 … {len(self.species)}"
            )
        return number - 1

    def _reactions(self, lines: Iterable[Line]) -> None:
        text = self.source.text
        rates: dict[str, Polynomial] = {}
        for start, stop in lines:
            line = _REACTION.match(text, start, stop)
            if line is None:
                raise self.source.error(
                    start,
                    f"expected 'number reactants products rate', found {quote(text[start:stop])}",
                )
            written = text[line.end() : stop]
            reactants = self._side(line[1], line.start(1))
            products = self._side(line[2], line.start(2))
            speed: dict[int, int] = {}
            rate = self._law(line.end(), stop, reactants)
            if rate is None:
                rate = rates.get(written)
                if rate is None:
                    rate = rates[written] = self._whole(line.end(), stop)
                for index in reactants:
                    speed[index] = speed.get(index, 0) + 1
            changes = [(i, -1) for i in reactants if i not in self.fixed]
            changes += [(i, 1) for i in products if i not in self.fixed]
            monomial: Monomial = tuple(sorted(speed.items()))
            try:
                for factor, value in rate.items():
                    self.flows.add(value, algebra.multiply_monomials(factor, monomial), changes)
            except InputError as problem:
                raise self.source.error(start, f"{problem}, in this reaction") from None

    def _law(self, start: int, stop: int, reactants: list[int]) -> Polynomial | None:
        """The rate of a law with a name, such as ``MM kcat Km``, with its reactants; None if it has none."""
        written = self.source.text[start:stop]
        law = _LAW.match(written)
        if law is None:
            return None
        named, words = law[2], written[law.end() :].split()
        for word in (named, *words[-1:]):
            if word in _UNSUPPORTED and word not in self.names:
                raise self.source.error(
                    start, f"the rate law {word} ({_UNSUPPORTED[word]}) is not supported"
                )
        if named not in _LAWS or named in self.names or not words:
            return None
        position = start + law.end()
        values: list[Polynomial] = []
        for word in words:
            position = self.source.text.index(word, position)
            values.append(self._whole(position, position + len(word)))
            position += len(word)
        constants = [f"K{k}" for k in range(len(words))]
        species = [f"S{k}" for k in range(len(reactants))]
        expression = law_of(named, constants, species)
        if expression is None:
            raise self.source.error(
                start,
                f"expected {_LAWS[named]}, found {quote(written)} of {len(reactants)} reactants",
            )
        known = dict(zip(constants, values, strict=True))
        known |= {name: algebra.symbol(i) for name, i in zip(species, reactants, strict=True)}
        if law[1]:
            known["factor"] = self._whole(start, start + len(law[1]))
            expression = Call("*", ("factor", expression))
        try:
            return evaluate(expression, known, self.arithmetic, start)
        except InputError as problem:
            raise self.source.error(start, str(problem), type(problem)) from None

    def _side(self, text: str, position: int) -> list[int]:
        """The species of one side; the number 0 stands for none."""
        numbers = text.split(",")
        if len(numbers) > MAX_DEGREE:
            raise self.source.error(position, f"more than {MAX_DEGREE} species on one side")
        if not all(0 < len(number) <= 12 for number in numbers):
            raise self.source.error(position, f"expected species numbers, found {quote(text)}")
        return [self._index(int(n), position) for n in numbers if int(n)]
