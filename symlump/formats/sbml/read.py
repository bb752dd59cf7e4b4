"""SBML of levels 1 to 3, read as a flat list of symbols.

A species stands for what its symbol means in the file: its amount where it has only substance units or its
compartment has no dimensions, its concentration otherwise, whose derivative is divided by the size of
the compartment. A species that is a concentration in a compartment of changing size is the quotient of an
amount, which is then the state, and the size. Numbers are doubles in SBML; each is read as the shortest
decimal that denotes it, which is what was written.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from symlump.formats.flat import Call, Expression, FlatModel, asks_for, symbols
from symlump.formats.functional_model import functional_model
from symlump.formats.model import Model
from symlump.formats.polynomial_model import polynomial_model
from symlump.formats.sbml.comp import flatten
from symlump.formats.sbml.definitions import Definitions
from symlump.formats.sbml.document import Document, Element, NeedsFlattening, parse
from symlump.formats.sbml.events import events_of, with_sizes
from symlump.formats.sbml.math import rate_of
from symlump.formats.source import Source, quote, quote_names


def read_sbml(
    source: Source,
    *,
    parameters: Literal["values", "symbolic"] = "values",
    constants: Literal["keep", "values"] = "keep",
    functions: bool = False,
) -> Model:
    """Read a model.

    Parameters
    ----------
    source : Source
        The text.
    parameters : {"values", "symbolic"}
        Whether parameters are replaced by their values or become symbolic constants of the system;
        a local parameter k of reaction r is then called ``r_k``.
    constants : {"keep", "values"}
        With "values", rates may divide by species that do not move; the reader of files replaces
        those by their values.
    functions : bool
        Read quotients and functions of variables, too.

    Raises
    ------
    MissingExtraError
        If the model has submodels and python-libsbml is not installed.
    FileFormatError
        If the file is not SBML, or uses a part of it that is not supported.
    NotPolynomialError
        If the derivative of a variable is not a polynomial.
    """
    flat = flat_sbml(source)
    if functions:
        return functional_model(flat, symbolic=parameters == "symbolic")
    return polynomial_model(flat, symbolic=parameters == "symbolic", folded=constants == "values")


def flat_sbml(source: Source) -> FlatModel:
    """The symbols of a model and their expressions, whatever they are.

    Raises
    ------
    MissingExtraError, FileFormatError
        As for :func:`read_sbml`.
    """
    return ModelSymbols(document_of(source)).flat()


def document_of(source: Source) -> Document:
    """The document in a text, with its submodels put together."""
    try:
        return parse(source)
    except NeedsFlattening:
        document = parse(flatten(source))
        note = "submodels were put together by libsbml, which keeps 15 digits of numbers"
        document.notes[note] = None
        return document


class ModelSymbols(Definitions):
    """The symbols of a document, with what reactions make of them."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self.default = False if self.level < 3 else None  # of what a species must say in level 3
        self.locals: list[str] = []
        self.amounts: dict[str, str] = {}
        self.concentrations: dict[str, str] = {}
        self.events = events_of(self)
        self.assigned = {name for event in self.events for name in event.assignments}

    def flat(self) -> FlatModel:
        """The flat model; to be asked for once."""
        changes = self._reactions()
        self._species(changes)
        for name, element in self.math.rates.items():
            self._rate(name, element)
        states = [
            self.amounts.get(name, name)
            for kind in ("species", "parameter", "compartment", "stoichiometry")
            for name in self.of_kind(kind)
            if name in self.amounts
            or name in self.rates
            or name in self.assigned
            or (kind == "species" and name not in self.ruled)
        ]
        still = self.ruled.keys() | self.rates.keys() | self.assigned
        name = self.model.get("name", "id") or "model"
        flat = FlatModel(
            name,
            self.document.path,
            tuple(states),
            (*(p for p in self.of_kind("parameter") if p not in still), *self.locals),
            (
                *(c for c in self.of_kind("compartment") if c not in still),
                *(r for r in self.references if r not in still),
            ),
            self.initial,
            self.ruled,
            self.rates,
            tuple(
                n
                for n in self.ruled
                if self.kinds.get(n) in ("species", "parameter", "compartment")
            ),
            self.places,
            tuple(self.notes),
            self.events,
        )
        return with_sizes(flat, self.amounts, self.concentrations)

    # Reactions.

    def _reactions(self) -> dict[str, list[Expression]]:
        """Kinetic laws as rules for reactions; how they change the amount of each species."""
        changes: dict[str, list[Expression]] = {}
        for name in self.of_kind("reaction"):
            reaction = self.elements[name]
            if self.flag(reaction, "fast", False):
                raise self.document.error(
                    reaction, f"fast reactions are not supported: {quote(name)} is one"
                )
            law = reaction.child("kineticLaw")
            if law is None:
                raise self.document.error(
                    reaction, f"reaction {quote(name)} has no kinetic law; {self._why()}"
                )
            self.ruled[name] = self.mathematics(law, self._local(name, law))
            self.places[name] = self.document.place(law)
            for side, sign in (("listOfReactants", -1), ("listOfProducts", 1)):
                for reference in reaction.listed(side):
                    species = reference.get("species", "specie") or ""
                    if self.kinds.get(species) != "species":
                        raise self.document.error(
                            reference, f"the species {quote(species)} is not defined"
                        )
                    count = self._count(reference)
                    if isinstance(count, Fraction):
                        change = Call("*", (sign * count, name))
                    else:
                        change = Call("*", (Fraction(sign), count, name))
                    changes.setdefault(species, []).append(change)
        return changes

    def _why(self) -> str:
        """What to say where nothing says how fast reactions are."""
        if any("/fbc/" in package for package in self.document.packages):
            return (
                "balances of fluxes (package fbc) are an optimization, not differential equations"
            )
        return "a diagram does not say how fast it is: give it a law (mass action, say) where it was drawn"

    def _local(self, reaction: str, law: Element) -> dict[str, str]:
        names: dict[str, str] = {}
        for parameter in law.listed("listOfLocalParameters") + law.listed("listOfParameters"):
            short = self.name_of(parameter)
            if short in names:
                raise self.document.error(
                    parameter, f"two local parameters are called {quote(short)}"
                )
            full = names[short] = self.fresh(f"{reaction}_{short}")
            self.locals.append(full)
            self.places[full] = self.document.place(parameter)
            value = self.number(parameter, "value")
            if value is not None:
                self.initial[full] = value
        return names

    def _count(self, reference: Element) -> Expression:
        computed = reference.child("stoichiometryMath")
        if computed is not None:
            return self.mathematics(computed)
        name = reference.get("id")
        if name and self.level > 2:
            return name
        value = Fraction(1) if self._is_uncounted(reference) else self.stoichiometry(reference)
        if value is None:
            raise self.document.error(reference, "the stoichiometry 'NaN' is no number")
        return value

    # Species.

    def is_amount(self, name: str) -> bool:
        """Whether the symbol of a species is its amount, not its concentration."""
        species = self.elements[name]
        only = self.flag(species, "hasOnlySubstanceUnits", self.default)
        return only or not self.dimensions(species.get("compartment") or "")

    def _species(self, changes: dict[str, list[Expression]]) -> None:
        absent = []
        for name in self.of_kind("species"):
            species = self.elements[name]
            boundary = self.flag(species, "boundaryCondition", self.default)
            constant = self.flag(species, "constant", self.default)
            if constant and not boundary and name in changes:
                raise self.document.error(
                    species,
                    f"{quote(name)} is constant, is not a boundary species, and is changed by reactions",
                )
            held = constant or boundary
            change = None if held else changes.get(name)
            if change is not None and (name in self.ruled or name in self.rates):
                raise self.document.error(
                    species, f"{quote(name)} is changed by reactions, and has a rule"
                )
            compartment = species.get("compartment") or ""
            if self.kinds.get(compartment) != "compartment":
                raise self.document.error(
                    species, f"the compartment {quote(compartment)} is not defined"
                )
            is_amount = self.is_amount(name)
            if not is_amount and self.initial.get(compartment) == 0:
                raise self.document.error(species, f"compartment {quote(compartment)} has size 0")
            start = self.initial.get(name, self._start(species, compartment, is_amount))
            if name in self.ruled:
                continue
            if start is None:
                absent.append(name)
                start = Fraction(0)
            self.initial[name] = start
            if name in self.rates and not is_amount:
                self.concentrations[name] = compartment
            moves = self._amount_moved(species, change)
            if not is_amount and name not in self.rates and self._changes(compartment):
                self._as_amount(name, species, compartment, moves)
            elif moves is not None:
                self.rates[name] = moves if is_amount else Call("/", (moves, compartment))
        if absent:
            self.notes[f"species without an initial value start at 0: {quote_names(absent)}"] = None

    def _changes(self, name: str) -> bool:
        """Whether a symbol may change in time: a rule may also compute what is constant."""
        found, seen = [name], {name}
        while found:
            one = found.pop()
            if (
                one in self.rates
                or one in self.assigned
                or self.kinds.get(one) in ("species", "reaction")
            ):
                return True
            rule = self.ruled.get(one)
            if rule is not None:
                if asks_for(rule, "time", "delay"):
                    return True
                more = set(symbols(rule)) - seen
                seen |= more
                found += more
        return False

    def _start(self, species: Element, compartment: str, is_amount: bool) -> Expression | None:
        """What the attributes say of the value at time 0."""
        amount = self.number(species, "initialAmount")
        concentration = self.number(species, "initialConcentration")
        if amount is not None and concentration is not None:
            raise self.document.error(
                species,
                f"{quote(species.get('id') or '')} has an initial amount and an initial concentration",
            )
        if amount is not None:
            return amount if is_amount else Call("/", (amount, compartment))
        if concentration is not None:
            return Call("*", (concentration, compartment)) if is_amount else concentration
        return None

    def _amount_moved(self, species: Element, change: list[Expression] | None) -> Expression | None:
        """The derivative of the amount of a species, from the reactions that change it."""
        if change is None:
            return None
        moves = change[0] if len(change) == 1 else Call("+", tuple(change))
        factor = species.get("conversionFactor") or self.model.get("conversionFactor")
        if factor is None:
            return moves
        if self.kinds.get(factor) != "parameter":
            raise self.document.error(
                species, f"the conversion factor {quote(factor)} is not a parameter"
            )
        return Call("*", (factor, moves))

    def _as_amount(
        self, name: str, species: Element, compartment: str, moves: Expression | None
    ) -> None:
        """Let a concentration in a compartment whose size changes be the quotient of an amount."""
        if self.flag(species, "constant", False):
            raise self.document.error(
                species,
                f"{quote(name)} is a constant concentration in a compartment whose size changes",
            )
        amount = self.amounts[name] = self.fresh(f"{name}_amount")
        self.places[amount] = self.places[name]
        self.initial[amount] = Call("*", (self.initial.pop(name), compartment))
        self.ruled[name] = Call("/", (amount, compartment))
        if moves is not None:
            self.rates[amount] = moves

    def _rate(self, name: str, element: Element) -> None:
        """Define the symbol that stands for the derivative of another one."""
        if name in self.ruled or self.kinds.get(name, "reaction") == "reaction":
            raise self.document.error(
                element,
                f"the rate of {quote(name)}, which is not given by itself, is not supported",
            )
        self.ruled[rate_of(name)] = self.rates.get(name, Fraction(0))
        self.places[rate_of(name)] = self.document.place(element)
