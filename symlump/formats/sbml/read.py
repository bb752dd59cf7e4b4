"""SBML models, read with python-libsbml (the extra ``sbml``).

A species stands for what its symbol means in the file: its amount where it has only substance
units, its concentration otherwise, whose derivative is divided by the size of the compartment (1
where the file gives none). Numbers are doubles in SBML; each is read as the shortest decimal that
denotes it, which is what was written.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

from symlump.errors import FileFormatError, InputError
from symlump.formats import algebra
from symlump.formats.algebra import Polynomial
from symlump.formats.flows import Flows
from symlump.formats.model import Model, linear_combination
from symlump.formats.sbml.math import MathReader, exact, load_libsbml
from symlump.formats.source import Source, shown

MAX_DEPTH = 200
_TAG = re.compile(r"<(/?)[A-Za-z_][^<>]*?(/?)>")
_REFUSED = {
    "Events": "events",
    "Constraints": "constraints",
}


def read_sbml(source: Source, *, parameters: Literal["values", "symbolic"] = "values") -> Model:
    """Read a model whose kinetic laws are polynomials.

    Parameters
    ----------
    source : Source
        The text.
    parameters : {"values", "symbolic"}
        Whether parameters are replaced by their values or become symbolic constants of the system;
        a local parameter k of reaction r is then called ``r_k``.

    Raises
    ------
    MissingExtraError
        If python-libsbml is not installed.
    FileFormatError
        If the file is not valid SBML, or uses a part of it that is not supported.
    NotPolynomialError
        If a kinetic law is not a polynomial.
    """
    return _Reader(source, parameters == "symbolic").read()


class _Reader:
    """The state of one reading: what the symbols mean so far."""

    def __init__(self, source: Source, symbolic: bool) -> None:
        self.source, self.symbolic = source, symbolic
        libsbml = load_libsbml()
        _check_xml(source)
        # The document owns the model: it must live as long as this object.
        # Without a declaration libsbml puts one on a line of its own, and all places would shift.
        head = "" if source.text.startswith("<?xml") else '<?xml version="1.0" encoding="UTF-8"?>'
        self.document = libsbml.readSBMLFromString(head + source.text)
        for k in range(self.document.getNumErrors()):
            problem = self.document.getError(k)
            if problem.getSeverity() >= libsbml.LIBSBML_SEV_ERROR:
                place = f"{source.path}:{problem.getLine()}:{problem.getColumn()}"
                raise FileFormatError(f"{place}: {problem.getShortMessage()}")
        self.model = self.document.getModel()
        if self.model is None:
            raise source.error(0, "the file contains no SBML model")
        functions = {f.getId(): f for f in self.model.getListOfFunctionDefinitions()}
        self.math = MathReader(source.path, functions)
        self.values: dict[str, Fraction] = {}
        self.parameters: dict[str, Fraction] = {}
        self.species: dict[str, int] = {}
        self.fixed: set[str] = set()
        self.sizes: dict[str, Fraction] = {}
        self.names: dict[str, Polynomial] = {}
        self.flows = Flows()

    def error(
        self, element: Any, message: str, kind: type[InputError] = FileFormatError
    ) -> InputError:
        """An exception at the place of an element."""
        return kind(f"{self.source.path}:{element.getLine()}:{element.getColumn()}: {message}")

    def _exact(self, element: Any, value: float) -> Fraction:
        try:
            return exact(value)
        except InputError as problem:
            raise self.error(element, str(problem)) from None

    def read(self) -> Model:
        for part, what in _REFUSED.items():
            if getattr(self.model, f"getNum{part}")():
                element = getattr(self.model, f"getListOf{part}")()
                raise self.error(element, f"the model has {what}, which are not supported")
        if self.model.isSetConversionFactor():
            raise self.error(self.model, "conversion factors are not supported")
        self._defined_once()
        self._values()
        self._assignments()
        self._symbols()
        observables = self._rules()
        for reaction in self.model.getListOfReactions():
            self._reaction(reaction)
        variables = (*self.species, *(self.parameters if self.symbolic else ()))
        ode = self.flows.build(variables, self.parameters if self.symbolic else ())
        initial = {name: self.values.get(name, Fraction(0)) for name in self.species}
        if self.symbolic:
            initial |= self.parameters
        name = self.model.getName() or self.model.getId() or "model"
        return Model(name, ode, initial, None, observables)

    def _defined_once(self) -> None:
        """One name, one meaning; libsbml reads files that say otherwise."""
        seen: set[tuple[str, str]] = set()
        for parts, kind, name_of in (
            ("Compartments Species Parameters Reactions", "symbols are called", "getId"),
            ("FunctionDefinitions", "functions are called", "getId"),
            ("InitialAssignments", "initial assignments are to", "getSymbol"),
            ("Rules", "rules are for", "getVariable"),
        ):
            for element in (
                e for p in parts.split() for e in getattr(self.model, f"getListOf{p}")()
            ):
                name = getattr(element, name_of)()
                if name and (kind, name) in seen:  # an algebraic rule is for no variable
                    raise self.error(element, f"two {kind} {shown(name)}")
                seen.add((kind, name))

    def _values(self) -> None:
        """The values that attributes give."""
        for compartment in self.model.getListOfCompartments():
            size = compartment.getSize() if compartment.isSetSize() else 1.0
            self.values[compartment.getId()] = self._exact(compartment, size)
        for parameter in self.model.getListOfParameters():
            if parameter.isSetValue():
                self.values[parameter.getId()] = self._exact(parameter, parameter.getValue())
        for species in self.model.getListOfSpecies():
            if species.isSetConversionFactor():
                raise self.error(species, "conversion factors are not supported")
            amount_unit = species.getHasOnlySubstanceUnits()
            size = self.values.get(species.getCompartment(), Fraction(1))
            if not size:
                raise self.error(
                    species, f"compartment {shown(species.getCompartment())} has size 0"
                )
            if species.isSetInitialAmount():
                value = self._exact(species, species.getInitialAmount())
                self.values[species.getId()] = value if amount_unit else value / size
            elif species.isSetInitialConcentration():
                value = self._exact(species, species.getInitialConcentration())
                self.values[species.getId()] = value * size if amount_unit else value

    def _assignments(self) -> None:
        """Initial assignments, and rules that assign constants, in the order of the file."""
        assignments = [(a.getSymbol(), a) for a in self.model.getListOfInitialAssignments()]
        known = {
            element.getId()
            for elements in (
                self.model.getListOfCompartments(),
                self.model.getListOfParameters(),
                self.model.getListOfSpecies(),
            )
            for element in elements
        }
        for symbol, element in assignments:
            if symbol not in known:
                raise self.error(
                    element, f"an initial assignment to {shown(symbol)} is not supported"
                )
            self.values.pop(symbol, None)
        names = {name: algebra.constant(value) for name, value in self.values.items()}
        for symbol, element in assignments:
            value = algebra.constant_of(self.math.read(element, names))
            if value is None:
                raise self.error(
                    element, f"the initial assignment to {shown(symbol)} is not constant"
                )
            self.values[symbol], names[symbol] = value, algebra.constant(value)

    def _symbols(self) -> None:
        """Fix what each name means in the kinetic laws."""
        ruled = {rule.getVariable() for rule in self.model.getListOfRules()}
        for compartment in self.model.getListOfCompartments():
            name = compartment.getId()
            if name in ruled:
                raise self.error(compartment, f"compartment {shown(name)} changes, by a rule")
            self.sizes[name] = self.values[name]
            self.names[name] = algebra.constant(self.values[name])
        for species in self.model.getListOfSpecies():
            name = species.getId()
            self.names[name] = algebra.variable(len(self.species))
            self.species[name] = len(self.species)
            if species.getBoundaryCondition() or species.getConstant():
                self.fixed.add(name)
        for parameter in self.model.getListOfParameters():
            name = parameter.getId()
            if name not in ruled:
                self._parameter(name, self.values.get(name), self.names, name)

    def _parameter(
        self, full_name: str, value: Fraction | None, names: dict[str, Polynomial], name: str
    ) -> None:
        if self.symbolic:
            if full_name in self.parameters or full_name in self.species:
                raise self.source.error(0, f"two symbols are called {shown(full_name)}")
            names[name] = algebra.variable(len(self.species) + len(self.parameters))
            self.parameters[full_name] = Fraction(0) if value is None else value
        elif value is not None:
            names[name] = algebra.constant(value)

    def _rules(self) -> dict[str, dict[str, Fraction]]:
        """Rules that define a parameter as a polynomial, and the rates of species.

        A parameter that is a linear combination of species is an observable, too.
        """
        observables = {}
        species = tuple(self.species)
        rates = []
        for rule in self.model.getListOfRules():
            name = rule.getVariable()
            if rule.isRate() and name in self.species:
                rates.append(rule)
                continue
            if not rule.isAssignment() or name in self.species:
                kind = "assignment" if rule.isAssignment() else "rate or algebraic"
                raise self.error(rule, f"the {kind} rule of {shown(name)} is not supported")
            polynomial = self.math.read(rule, self.names)
            self.names[name] = polynomial
            variables = {v for monomial in polynomial for v, _ in monomial}
            if polynomial and all(v < len(species) for v in variables):
                combination = linear_combination(polynomial, species)
                if combination is not None:
                    observables[name] = combination
        for rule in rates:
            position = self.species[rule.getVariable()]
            self.flows.equation(position, self.math.read(rule, self.names))
        return observables

    def _reaction(self, reaction: Any) -> None:
        name = reaction.getId()
        law = reaction.getKineticLaw()
        if law is None or not law.isSetMath():
            raise self.error(reaction, f"reaction {shown(name)} has no kinetic law")
        if reaction.isSetFast() and reaction.getFast():
            raise self.error(reaction, f"reaction {shown(name)} is fast, which is not supported")
        local: dict[str, Polynomial] = {}
        listed = law.getListOfLocalParameters() if law.getLevel() > 2 else law.getListOfParameters()
        for parameter in listed:
            short = parameter.getId()
            if short in local:
                raise self.error(parameter, f"two local parameters are called {shown(short)}")
            value = None
            if parameter.isSetValue():
                value = self._exact(parameter, parameter.getValue())
            self._parameter(f"{name}_{short}", value, local, short)
        scope: Mapping[str, Polynomial] = ChainMap(local, self.names) if local else self.names
        rate = self.math.read(law, scope)
        net: dict[str, Fraction] = {}
        sides = (-1, reaction.getListOfReactants()), (1, reaction.getListOfProducts())
        for sign, references in sides:
            for reference in references:
                species = reference.getSpecies()
                if species not in self.species:
                    raise self.error(reference, f"the species {shown(species)} is not defined")
                if species not in self.fixed:
                    net[species] = net.get(species, Fraction(0)) + sign * self._count(reference)
        for species, count in net.items():
            element = self.model.getSpecies(species)
            if not element.getHasOnlySubstanceUnits():
                count /= self.sizes.get(element.getCompartment(), Fraction(1))
            for monomial, value in rate.items():
                self.flows.add(value * count, monomial, [(self.species[species], 1)])

    def _count(self, reference: Any) -> Fraction:
        if reference.isSetStoichiometryMath():
            raise self.error(reference, "a computed stoichiometry is not supported")
        if not reference.isSetStoichiometry():
            if reference.getLevel() > 2:
                raise self.error(reference, "a species reference has no stoichiometry")
            return Fraction(1)
        denominator = int(reference.getDenominator())
        if not denominator:
            raise self.error(reference, "a stoichiometry has the denominator 0")
        return self._exact(reference, reference.getStoichiometry()) / denominator


def _check_xml(source: Source) -> None:
    """Refuse what could cost an XML reader unbounded time or depth."""
    entity = re.search(r"<!(?:DOCTYPE|ENTITY)", source.text)
    if entity:
        raise source.error(entity.start(), "document type declarations are not read")
    depth = 0
    for tag in _TAG.finditer(source.text):
        depth += -1 if tag[1] else 0 if tag[2] else 1
        if depth > MAX_DEPTH:
            raise source.error(tag.start(), f"elements nested more than {MAX_DEPTH} deep")
