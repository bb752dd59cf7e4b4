"""Writing SBML (level 3): one rate rule per variable, views as assignment rules, events; exact numbers only."""

from __future__ import annotations

import re
from xml.sax.saxutils import quoteattr

from symlump.formats.events import Event
from symlump.formats.expression import allowed_names
from symlump.formats.flat import Call, Expression
from symlump.formats.model import Model
from symlump.formats.sbml.mathml import LATER, double, elements, mathml
from symlump.formats.trees import right_sides

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\ufffe\uffff\ud800-\udfff]")


def write_sbml(model: Model) -> str:
    """The text of an SBML file, with each variable as a concentration in a compartment of size 1.

    A name that SBML does not allow is replaced by s1, s2, … and kept as the attribute ``name``. Version 1 of
    level 3 is written, or version 2 if a function asks for it (``min``, ``max``).

    Raises
    ------
    FileFormatError
        If a number is beyond what doubles reach, or a function is none that SBML has.
    """
    return _Writer(model).text()


class _Writer:
    """One document, with the operators that occur in it."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.ids = allowed_names(
            (*model.ode.variables, *_views(model)), "s", _IDENTIFIER.pattern, ("space",)
        )
        self.elements = elements(self.ids)
        self.operators: set[str] = set()
        self.parts: dict[str, list[str]] = {
            "Compartments": [
                '<compartment id="space" spatialDimensions="3" size="1" constant="true"/>'
            ],
            "Species": [],
            "Parameters": [],
            "InitialAssignments": [],
            "Rules": [],
            "Events": [],
        }

    def text(self) -> str:
        """The document."""
        model, fixed = self.model, set(self.model.ode.parameters)
        for name in model.ode.variables:
            self._variable(name, name in fixed)
        for name, side in zip(model.ode.variables, right_sides(model.ode), strict=True):
            if side:
                self._rule("rate", name, side)
        for name in _views(model):
            self.parts["Parameters"].append(
                f'<parameter id="{self.ids[name]}"{self._title(name)} constant="false"/>'
            )
            terms = tuple(Call("*", (value, v)) for v, value in model.observables[name].items())
            self._rule("assignment", name, Call("+", terms))
        taken = set(self.ids.values())
        for event in model.events:
            self._event(event, taken)
        version = 2 if self.operators & LATER else 1
        space = f"http://www.sbml.org/sbml/level3/version{version}/core"
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<sbml xmlns="{space}" level="3" version="{version}">',
            f"<model name={_quoted(model.name)}>",
        ]
        for part, content in self.parts.items():
            if content:
                lines += [f"<listOf{part}>", *content, f"</listOf{part}>"]
        return "\n".join([*lines, "</model>", "</sbml>", ""])

    def _title(self, name: str) -> str:
        return "" if name == self.ids[name] else f" name={_quoted(name)}"

    def _math(self, expression: Expression) -> str:
        text, operators = mathml(expression, self.elements)
        self.operators |= operators
        return text

    def _variable(self, name: str, fixed: bool) -> None:
        identifier, title = self.ids[name], self._title(name)
        value = self.model.initial_values[name]
        given = double(value)
        if given is None:
            self.parts["InitialAssignments"].append(
                f'<initialAssignment symbol="{identifier}">{self._math(value)}</initialAssignment>'
            )
        if fixed:
            start = "" if given is None else f' value="{given}"'
            self.parts["Parameters"].append(
                f'<parameter id="{identifier}"{title}{start} constant="true"/>'
            )
        else:
            start = "" if given is None else f' initialConcentration="{given}"'
            self.parts["Species"].append(
                f'<species id="{identifier}"{title} compartment="space"{start} '
                'hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/>'
            )

    def _rule(self, kind: str, name: str, expression: Expression) -> None:
        self.parts["Rules"].append(
            f'<{kind}Rule variable="{self.ids[name]}">{self._math(expression)}</{kind}Rule>'
        )

    def _event(self, event: Event, taken: set[str]) -> None:
        identifier, number = event.name, 0
        while identifier in taken or not _IDENTIFIER.fullmatch(identifier):
            number += 1
            identifier = f"event{number}"
        taken.add(identifier)
        at_trigger = str(event.values_from_trigger).lower()
        lines = [
            f'<event id="{identifier}" useValuesFromTriggerTime="{at_trigger}">',
            f'<trigger initialValue="{str(event.initial_value).lower()}" '
            f'persistent="{str(event.persistent).lower()}">{self._math(event.trigger)}</trigger>',
        ]
        for tag, expression in (("priority", event.priority), ("delay", event.delay)):
            if expression is not None:
                lines.append(f"<{tag}>{self._math(expression)}</{tag}>")
        if event.assignments:
            lines.append("<listOfEventAssignments>")
            for name, value in event.assignments.items():
                math = self._math(value)
                lines.append(
                    f'<eventAssignment variable="{self.ids[name]}">{math}</eventAssignment>'
                )
            lines.append("</listOfEventAssignments>")
        self.parts["Events"].append("\n".join([*lines, "</event>"]))


def _views(model: Model) -> list[str]:
    """The observables that are written: one that is called like a variable cannot be."""
    return [
        name for name, view in model.observables.items() if view and name not in model.ode.index
    ]


def _quoted(text: str) -> str:
    return quoteattr(_CONTROL.sub(" ", text))
