"""What the symbols of an SBML model are, and what is said of them outside reactions."""

from __future__ import annotations

from fractions import Fraction

from symlump.errors import InputError
from symlump.formats.expression import SBML1, ExpressionReader, Tokens
from symlump.formats.flat import Expression, Trees
from symlump.formats.sbml.document import Document, Element
from symlump.formats.sbml.math import MathReader, number
from symlump.formats.source import Source, quote, quote_names

_LISTS = (
    ("listOfCompartments", "compartment"),
    ("listOfSpecies", "species"),
    ("listOfParameters", "parameter"),
    ("listOfReactions", "reaction"),
)
_RULED = {
    "assignmentRule": ("variable",),
    "rateRule": ("variable",),
    "speciesConcentrationRule": ("species",),
    "specieConcentrationRule": ("specie",),
    "compartmentVolumeRule": ("compartment",),
    "parameterRule": ("name",),
}
_RATE = "rate"
_ASSIGNMENT = "assignment"


class Definitions:
    """The symbols of a document, and what its attributes, rules and initial assignments say of them.

    Attributes
    ----------
    kinds : dict of str to str
        For each symbol compartment, species, parameter, reaction or stoichiometry.
    elements : dict of str to Element
        Where it is defined.
    initial, ruled, rates, places : dict
        As in :class:`~symlump.formats.flat.FlatModel`.
    references : list of str
        The stoichiometries.
    """

    def __init__(self, document: Document) -> None:
        self.document, self.model, self.level = document, document.model, document.level
        self.notes = document.notes
        self.elements: dict[str, Element] = {}
        self.kinds: dict[str, str] = {}
        self.initial: dict[str, Expression] = {}
        self.ruled: dict[str, Expression] = {}
        self.rates: dict[str, Expression] = {}
        self.places: dict[str, str] = {}
        self.references: list[str] = []
        self.uncounted: list[str] = []
        functions: dict[str, Element] = {}
        for definition in self.model.listed("listOfFunctionDefinitions"):
            name = self.name_of(definition)
            if name in functions:
                raise document.error(definition, f"two functions are called {quote(name)}")
            functions[name] = definition
        self.math = MathReader(document, functions)
        for part, kind in _LISTS:
            for element in self.model.listed(part):
                self._define(self.name_of(element), element, kind)
        for reaction in self.model.listed("listOfReactions"):
            self._references_of(reaction)
        self._rules()
        self._values()
        self._initial_assignments()

    def name_of(self, element: Element) -> str:
        """The name by which formulas know an element."""
        name = element.get("name") if self.level == 1 else element.get("id")
        if not name:
            raise self.document.error(element, f"<{element.tag}> has no name")
        return name

    def of_kind(self, kind: str) -> list[str]:
        """The symbols of one kind, in the order of the file."""
        return [name for name, other in self.kinds.items() if other == kind]

    def _define(self, name: str, element: Element, kind: str) -> None:
        if name in self.kinds:
            raise self.document.error(element, f"two symbols are called {quote(name)}")
        self.kinds[name], self.elements[name] = kind, element
        self.places[name] = self.document.place(element)

    def fresh(self, name: str) -> str:
        """A name that no symbol has."""
        while name in self.kinds or name in self.places:
            name += "_"
        return name

    def _references_of(self, reaction: Element) -> None:
        for side in ("listOfReactants", "listOfProducts"):
            for reference in reaction.listed(side):
                name = reference.get("id")
                if name and self.level > 2:  # before, it is no symbol of formulas
                    self._define(name, reference, "stoichiometry")
                    self.references.append(name)
                elif self._is_uncounted(reference):
                    self.uncounted.append(reference.get("species") or "")

    def flag(self, element: Element, attribute: str, default: bool | None) -> bool:
        """An attribute that is true or false; without a default it must be there."""
        given = element.get(attribute)
        if given is None:
            if default is None:
                raise self.document.error(
                    element,
                    f"<{element.tag}> does not say whether {attribute} is true, as it must in level 3",
                )
            return default
        if given.strip() not in ("true", "false", "1", "0"):
            raise self.document.error(
                element, f"{attribute}={quote(given)} is neither true nor false"
            )
        return given.strip() in ("true", "1")

    def number(self, element: Element, *attributes: str) -> Fraction | None:
        """The number in the first of some attributes that is there."""
        given = element.get(*attributes)
        if given is None or given.strip() == "NaN":  # not a number: the same as none
            return None
        try:
            return number(given)
        except InputError as problem:
            raise self.document.error(element, str(problem)) from None

    def mathematics(self, element: Element, names: dict[str, str] | None = None) -> Expression:
        """The mathematics of an element: MathML, or in level 1 a formula."""
        formula = element.get("formula") if self.level == 1 else None
        if formula is None:
            return self.math.read(element, names)
        meaning = {name: name for name in self.kinds} | (names or {})
        source = Source(f"{self.document.place(element)}: formula", formula)
        tokens = Tokens(source, 0, len(formula))
        expression = ExpressionReader[Expression](meaning, SBML1, Trees()).read(tokens)
        if tokens.kind != "end":
            raise tokens.error("an operator or the end of the formula")
        return expression

    def mathematics_if_any(self, element: Element) -> Expression | None:
        """The mathematics of an element; None where there is none: it is as if it were not there."""
        math = element.child("math")
        formula = element.get("formula") if self.level == 1 else None
        if formula is None and (math is None or not math.children):
            return None
        return self.mathematics(element)

    def without(self, element: Element, of: str) -> None:
        """Note that an element has no mathematics."""
        note = f"<{element.tag}> of {quote(of)} has no mathematics, and is as if it were not there"
        self.notes[note] = None

    def _rules(self) -> None:
        for rule in self.model.listed("listOfRules"):
            name = rule.get(*_RULED[rule.tag])
            kind = _RATE if rule.tag == "rateRule" or rule.get("type") == "rate" else _ASSIGNMENT
            if name is None or self.kinds.get(name) in (None, "reaction"):
                raise self.document.error(
                    rule, f"a rule for {quote(name or '')}, which is not defined"
                )
            if name in self.ruled or name in self.rates:
                raise self.document.error(rule, f"two rules are for {quote(name)}")
            if self.flag(self.elements[name], "constant", False):
                raise self.document.error(rule, f"{quote(name)} is constant, and has a rule")
            expression = self.mathematics_if_any(rule)
            if expression is None:
                self.without(rule, name)
                continue
            (self.rates if kind == _RATE else self.ruled)[name] = expression
            self.places[name] = self.document.place(rule)

    def _values(self) -> None:
        """The values that attributes give to all but species."""
        for name, kind in self.kinds.items():
            element = self.elements[name]
            if kind == "parameter":
                value = self.number(element, "value")
            elif kind == "compartment":
                value = self.number(element, "size", "volume")
                if value is None and self.level == 1:
                    value = Fraction(1)
            elif kind == "stoichiometry":
                value = self.stoichiometry(element)
            else:
                continue
            if value is not None:
                self.initial[name] = value

    def _initial_assignments(self) -> None:
        done = set()
        for assignment in self.model.listed("listOfInitialAssignments"):
            name = assignment.get("symbol")
            if name is None or self.kinds.get(name) in (None, "reaction"):
                raise self.document.error(
                    assignment,
                    f"an initial assignment to {quote(name or '')}, which is not defined",
                )
            if name in done or name in self.ruled:
                raise self.document.error(
                    assignment, f"two initial assignments or rules are for {quote(name)}"
                )
            done.add(name)
            expression = self.mathematics_if_any(assignment)
            if expression is None:
                self.without(assignment, name)
                continue
            self.initial[name] = expression
            if name not in self.rates:
                self.places[name] = self.document.place(assignment)
        sizes = [
            name
            for name in self.of_kind("compartment")
            if name not in self.initial and name not in self.ruled and self.dimensions(name)
        ]
        self.initial |= dict.fromkeys(sizes, Fraction(1))
        if sizes:
            self.notes[f"compartments without a size have size 1: {quote_names(sizes)}"] = None
        ones = [
            name
            for name in self.references
            if name not in self.initial
            and name not in self.ruled
            and self._is_uncounted(self.elements[name])
        ]
        self.initial |= dict.fromkeys(ones, Fraction(1))
        self.uncounted += [self.elements[name].get("species") or "" for name in ones]
        if self.uncounted:
            named = quote_names(dict.fromkeys(self.uncounted))
            self.notes[f"species without a stoichiometry in a reaction have 1 there: {named}"] = (
                None
            )

    def dimensions(self, compartment: str) -> Fraction:
        """How many dimensions a compartment has: 3 unless the file says otherwise."""
        value = self.number(self.elements[compartment], "spatialDimensions")
        return Fraction(3) if value is None else value

    def _is_uncounted(self, reference: Element) -> bool:
        """Whether the attributes of a species reference in level 3 leave its stoichiometry open."""
        return self.level > 2 and reference.get("stoichiometry") is None

    def stoichiometry(self, reference: Element) -> Fraction | None:
        """The number that the attributes of a species reference give."""
        value = self.number(reference, "stoichiometry")
        if value is None:
            return None if self.level > 2 else Fraction(1)
        denominator = self.number(reference, "denominator")
        if denominator == 0:
            raise self.document.error(reference, "a stoichiometry has the denominator 0")
        return value / (1 if denominator is None else denominator)
