"""Reading the ``.ode`` files of ERODE: reaction networks and systems of equations.

The language: https://www.erode.eu. Under mass action a reaction ``2 A + B -> C , k`` runs at
k·A²·B, without factorials; after ``arbitrary`` stands the whole rate. A minus sign binds tighter
than ``^``. Newlines mean nothing inside a section.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Literal

from symlump.errors import FileFormatError, InputError, NotPolynomialError
from symlump.formats.erode.outline import outline, without_comments
from symlump.formats.erode.pieces import Joined
from symlump.formats.erode.plain import FlatReader
from symlump.formats.expression import ERODE, NAME, NUMBER, ExpressionReader, Tokens
from symlump.formats.flows import Flows
from symlump.formats.model import Model, cover, linear_combination
from symlump.formats.polynomials import (
    NewConstant,
    NotInPiecesError,
    PolynomialArithmetic,
    settle,
    take_settled,
)
from symlump.formats.source import MAX_LINE, LongSection, Source, put_in_notes, quote, quote_names
from symlump.formats.symbolic import SymbolArithmetic
from symlump.ode.functions import algebra
from symlump.ode.functions.algebra import MAX_DEGREE, Polynomial
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.reactions import FlowArrays
from symlump.ode.system import ODE

_DEFINITION = re.compile(rf"\s*({NAME})(?:[ \t]*=[ \t]*({NUMBER}))?(?=\s+(?:[^\W\d]|\Z)|\Z)")
_COUNT = re.compile(r"[0-9]{1,9}")
_SIDES = re.compile(r"([^,\n\[\]]*)->([^,\n\[]*),")
_NAME = re.compile(NAME)


class _NotInInit(FileFormatError):
    """A species of a reaction is not in the section 'init'."""


def read_erode(
    source: Source,
    *,
    parameters: Literal["values", "symbolic"] = "values",
    constants: Literal["keep", "values"] = "keep",
    functions: bool = False,
    section: LongSection | None = None,
    into: Callable[[FlowArrays, int], None] | None = None,
) -> Model:
    """Read a model. Species that occur in reactions and not in ``init`` start at 0.

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
        The reactions or the equations, where the text is what stands around them.
    into : callable, optional
        Takes the flows of a piece of them, and the number of variables; the model has none of them.

    Raises
    ------
    FileFormatError
        If the text is not a model.
    NotPolynomialError
        If a rate or an equation is not a polynomial.
    NotInPiecesError
        If a rate is only understood once all of them are known, or the section is inside a comment.

    Examples
    --------
    >>> model = read_erode(Source("a.ode", '''begin model m
    ...   begin parameters  k = 1/2  end parameters
    ...   begin init  A = 1  B  end init
    ...   begin reactions  A + A -> B , k  end reactions
    ... end model'''))
    >>> print(model.ode)
    A' = -A^2
    B' = 1/2*A^2
    """
    options = parameters == "symbolic", constants == "values", functions, section, into
    if section is not None:  # flows that are handed on cannot be taken back
        return _Reader(source, *options, with_absent=True).read()
    try:
        return _Reader(source, *options, with_absent=False).read()
    except _NotInInit:
        return _Reader(source, *options, with_absent=True).read()


class _Reader:
    """The state of one reading: what the names mean so far."""

    def __init__(
        self,
        source: Source,
        symbolic: bool,
        folded: bool,
        functions: bool,
        section: LongSection | None,
        into: Callable[[FlowArrays, int], None] | None,
        with_absent: bool,
    ) -> None:
        self.outline = outline(source)
        self.section, self.into = section, into
        if section is not None:
            empty = self.outline.sections.get(section.name)
            if empty is None or self.outline.source.text[slice(*empty)].strip():
                raise NotInPiecesError("a comment hides where a section begins")
        self.source, self.symbolic = self.outline.source, symbolic
        self.folded, self.with_absent = folded, with_absent
        self.parameters: dict[str, Fraction] = {}
        self.species: dict[str, int] = {}
        self.initial: list[Fraction] = []
        self.absent: dict[str, str] = {}
        self.names: dict[str, Polynomial] = {}
        self.arithmetic: PolynomialArithmetic | SymbolArithmetic = PolynomialArithmetic()
        if functions:
            self.arithmetic = SymbolArithmetic(SymbolTable(0))
        self.expressions = ExpressionReader(self.names, ERODE, self.arithmetic, self.absent)
        self.flows = Flows()

    def read(self) -> Model:
        if "reactions" in self.outline.sections and "ODE" in self.outline.sections:
            start = self.outline.sections["ODE"][0]
            raise self.source.error(start, "a model has either 'reactions' or 'ODE', not both")
        self._parameters()
        self._init()
        for name, position in self.species.items():
            self.names[name] = algebra.symbol(position)
        variables, fixed = dict(self.species), {}
        if self.symbolic:
            for name in self.parameters:
                variables[name] = len(variables)
                self.names[name] = algebra.symbol(variables[name])
        else:
            fixed = {n: v for n, v in self.parameters.items() if n not in self.absent}
        initial = dict(zip(self.species, self.initial, strict=True))
        absent = self.absent if self.symbolic else ()
        if self.symbolic:
            initial |= self.parameters
        arithmetic, symbolic = self.arithmetic, self.parameters if self.symbolic else ()
        if isinstance(arithmetic, SymbolArithmetic):
            arithmetic.table = SymbolTable(len(variables))
        else:
            arithmetic.names += variables
            constant = symbolic, (self.species if self.folded else ())
            arithmetic.constants.update(
                (variables[name], initial[name]) for names in constant for name in names
            )
        self._system(variables, fixed)
        ode: ODE
        letters: dict[str, Fraction] = {}
        blocks = self._partition()
        if isinstance(arithmetic, SymbolArithmetic):
            ode = self.flows.build_over(arithmetic, tuple(variables), symbolic)
            observables, other_views = self._views(tuple(variables))
        else:
            arithmetic.constants.clear()  # a view with such a quotient is a text
            observables, other_views = self._views(tuple(variables))
            ode, letters = settle(arithmetic, self.flows, symbolic, self._refuse)
        return Model(
            self.outline.name,
            ode,
            initial | letters,
            None if blocks is None else cover(blocks, ode),
            observables,
            other_views,
            notes=(*put_in_notes(list(fixed), [], "", absent), *self.arithmetic.notes),
        )

    def _refuse(self, new: NewConstant) -> InputError:
        place = new.place if isinstance(new.place, int) else 0
        return self.source.error(place, str(new.problem), NotPolynomialError)

    def _tokens(self, section: str) -> Tokens | None:
        place = self.outline.sections.get(section)
        return None if place is None else Tokens(self.source, *place)

    def _declare(self, name: str, start: int) -> None:
        if name in self.species or name in self.parameters:
            what = "species" if name in self.species else "parameter"
            raise self.source.error(
                start, f"{quote(name)} is defined twice: it is already a {what}"
            )

    def _parameters(self) -> None:
        for name, start, value in self._definitions("parameters"):
            self._declare(name, start)
            self.parameters[name] = Fraction(0) if value is None else value
            if value is None:
                self.absent[name] = "has no value: give it one, or keep the parameters symbolic"
            else:
                self.names[name] = algebra.constant(value)

    def _init(self) -> None:
        for name, start, value in self._definitions("init"):
            self._declare(name, start)
            self.species[name] = len(self.species)
            self.initial.append(Fraction(0) if value is None else value)
        if self.with_absent and "reactions" in self.outline.sections:
            absent: dict[str, Fraction] = {}
            known = {*self.species, *self.parameters, "arbitrary"}
            for text in self._texts_of_reactions():
                for sides in _SIDES.finditer(text):
                    for name in _NAME.findall(f"{sides[1]} {sides[2]}"):
                        if name not in known:
                            absent[name] = Fraction(0)
            self.species |= {name: len(self.species) + k for k, name in enumerate(absent)}
            self.initial += absent.values()
            if absent:
                note = f"species that 'init' does not have start at 0: {quote_names(absent)}"
                self.arithmetic.notes[note] = None

    def _texts_of_reactions(self) -> Iterator[str]:
        yield self.source.text[slice(*self.outline.sections["reactions"])]
        for piece in self.section or ():
            yield without_comments(piece).text

    def _definitions(self, section: str) -> Iterator[tuple[str, int, Fraction | None]]:
        """The definitions ``name``, ``name = value`` of a section, with their positions."""
        if section not in self.outline.sections:
            return
        position, stop = self.outline.sections[section]
        while True:
            line = _DEFINITION.match(self.source.text, position, stop)
            if line is not None:
                position = line.end()
                try:
                    value = self.expressions.number(line[2]) if line[2] else None
                except InputError as problem:
                    message = f"{problem}: {quote(line[2])}"
                    raise self.source.error(line.start(2), message) from None
                yield line[1], line.start(1), value
                continue
            tokens = Tokens(self.source, position, stop)
            if tokens.kind == "end":
                return
            name, start = tokens.take_name("a name")
            value = None
            if tokens.text == "=" and tokens.kind == "sign":
                tokens.advance()
                at = tokens.start
                value = algebra.constant_of(self.expressions.read(tokens))
                if value is None:
                    raise self.source.error(at, "this expression must be constant")
            if tokens.text == "(" and tokens.kind == "sign":
                _skip_alias(tokens)
            position = tokens.start
            yield name, start, value

    def _system(self, variables: Mapping[str, int], fixed: Mapping[str, Fraction]) -> None:
        algebraic = self._tokens("alg")
        if algebraic is not None and algebraic.kind != "end":
            raise self.source.error(
                algebraic.start, "algebraic equations ('alg') are not supported; remove them"
            )
        done: set[int] = set()
        for name in ("reactions", "ODE"):
            if name in self.outline.sections:
                self._statements(name, *self.outline.sections[name], variables, fixed, done)
        if self.section is None:
            return
        around, joined = self.source, Joined(self.section)
        for self.source, stop, more in joined:
            joined.end = self._statements(self.section.name, 0, stop, variables, fixed, done, more)
            if self.into is not None:
                self.into(take_settled(self.arithmetic, self.flows), len(variables))
        self.source = around

    def _statements(
        self,
        name: str,
        position: int,
        stop: int,
        variables: Mapping[str, int],
        fixed: Mapping[str, Fraction],
        done: set[int],
        more: bool = False,
    ) -> int:
        """Read statements, of which more may follow; where the one begins that may not be whole."""
        flat = FlatReader(
            self.source.text, self.flows, variables, self.species, fixed, self.expressions
        )
        while True:
            if name == "reactions":
                position = flat.reactions(position, stop)
            else:
                position = flat.equations(position, stop, done)
            try:
                tokens = Tokens(self.source, position, stop)
                if tokens.kind == "end":
                    return stop
                rate = self._reaction(tokens) if name == "reactions" else None
                if name == "ODE":
                    self._equation(tokens, done)
            except _NotInInit:
                raise
            except InputError:
                if more and stop - position < MAX_LINE:
                    return position
                raise
            if rate is not None:
                flat.learn_rate(position, tokens.start, rate)
            position = tokens.start

    def _position(self, name: str, start: int) -> int:
        if name not in self.species:
            if name in self.parameters:
                problem = f"{quote(name)} is a parameter, not a species"
                raise self.source.error(start, problem)
            raise self.source.error(
                start, f"the species {quote(name)} is not defined in 'init'", _NotInInit
            )
        return self.species[name]

    def _reaction(self, tokens: Tokens) -> Polynomial | None:
        """Read one reaction; return its rate constant under mass action."""
        start = tokens.start
        reactants = self._side(tokens, "->")
        tokens.take("->")
        products = self._side(tokens, ",")
        tokens.take(",")
        arbitrary = tokens.kind == "name" and tokens.text == "arbitrary"
        if arbitrary:
            tokens.advance()
        rate = self.expressions.read(tokens)
        if tokens.text == "[" and tokens.kind == "sign":
            close = self.source.text.find("]", tokens.start, tokens.stop)
            if close < 0:
                raise self.source.error(tokens.start, "'[' is never closed")
            tokens.position = close + 1
            tokens.advance()
        try:
            self.flows.reaction(reactants, products, rate, not arbitrary)
        except InputError as problem:
            raise self.source.error(start, f"{problem}, in this reaction") from None
        return None if arbitrary else rate

    def _side(self, tokens: Tokens, stop: str) -> list[tuple[int, int]]:
        """Read ``A + 2 B + 3*C`` up to the sign ``stop``; nothing at all is allowed."""
        items: list[tuple[int, int]] = []
        while tokens.text != stop or items:
            count = 1
            if tokens.kind == "number":
                limit = MAX_DEGREE if stop == "->" else 10**9
                if not _COUNT.fullmatch(tokens.text) or not 0 < int(tokens.text) <= limit:
                    raise self.source.error(
                        tokens.start,
                        f"the multiplicity {quote(tokens.text)} is not an integer of 1 … {limit}",
                    )
                count = int(tokens.text)
                tokens.advance()
                if tokens.text == "*":
                    tokens.advance()
            items.append((self._position(*tokens.take_name("a species")), count))
            if tokens.text != "+":
                break
            tokens.advance()
        return items

    def _equation(self, tokens: Tokens, done: set[int]) -> None:
        if tokens.kind != "name" or tokens.text != "d":
            raise tokens.error("an equation, 'd(x) = …'")
        tokens.advance()
        tokens.take("(")
        name, start = tokens.take_name("a species")
        row = self._position(name, start)
        if row in done:
            raise self.source.error(start, f"{quote(name)} has two equations")
        tokens.take(")")
        tokens.take("=")
        self.flows.equation(row, self.expressions.read(tokens))
        done.add(row)

    def _partition(self) -> list[tuple[str, ...]] | None:
        tokens = self._tokens("partition")
        if tokens is None or tokens.kind == "end":
            return None
        blocks: list[tuple[str, ...]] = []
        seen: set[str] = set()
        while tokens.kind != "end":
            tokens.take("{")
            block: list[str] = []
            while True:
                name, start = tokens.take_name("a species")
                self._position(name, start)
                if name in seen:
                    raise self.source.error(start, f"{quote(name)} is in two blocks")
                seen.add(name)
                block.append(name)
                if tokens.text != ",":
                    break
                tokens.advance()
            tokens.take("}")
            blocks.append(tuple(block))
            if tokens.text == "," and tokens.kind == "sign":
                tokens.advance()
            elif tokens.kind != "end":
                raise tokens.error("',' between blocks")
        return blocks

    def _views(
        self, names: tuple[str, ...]
    ) -> tuple[dict[str, dict[str, Fraction]], dict[str, str]]:
        linear: dict[str, dict[str, Fraction]] = {}
        others: dict[str, str] = {}
        tokens = self._tokens("views")
        while tokens is not None and tokens.kind != "end":
            name, start = tokens.take_name("the name of a view")
            if name in linear or name in others:
                raise self.source.error(start, f"the view {quote(name)} is defined twice")
            tokens.take("=")
            begin = tokens.start
            combination = None
            try:
                polynomial = self.expressions.read(tokens)
            except NotPolynomialError:
                # Where it ends is not known to the reader of polynomials: it ends with its line.
                end = self.source.text.find("\n", begin, tokens.stop)
                tokens.position = tokens.stop if end < 0 else end
                tokens.advance()
            else:
                constants = self.parameters if self.symbolic else ()
                combination = linear_combination(polynomial, names, constants)
            if combination is None:
                others[name] = " ".join(self.source.text[begin : tokens.start].split())
            else:
                linear[name] = combination
        return linear, others


def _skip_alias(tokens: Tokens) -> None:
    """Go past ``( "another name" )`` behind a species."""
    tokens.advance()
    if tokens.kind != "string":
        raise tokens.error("a name in quotation marks")
    tokens.advance()
    tokens.take(")")
