"""The mathematics of SBML, elements of MathML, turned into expressions without recursion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from symlump.errors import FileFormatError, InputError
from symlump.formats import numerals
from symlump.formats.flat import Call, Expression
from symlump.formats.sbml.document import Document, Element
from symlump.formats.source import quote

MAX_NODES = 250_000

OPERATORS = {
    "plus": "+",
    "minus": "-",
    "times": "*",
    "divide": "/",
    "power": "^",
    "eq": "==",
    "neq": "!=",
    "gt": ">",
    "lt": "<",
    "geq": ">=",
    "leq": "<=",
    "ceiling": "ceil",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsec": "asec",
    "arccsc": "acsc",
    "arccot": "acot",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "arcsech": "asech",
    "arccsch": "acsch",
    "arccoth": "acoth",
}
_SAME = """
    abs exp ln floor factorial sin cos tan sec csc cot sinh cosh tanh sech csch coth and or xor not implies
    max min quotient rem
"""
OPERATORS |= {name: name for name in _SAME.split()}
_CONSTANTS: dict[str, Expression] = {
    "true": Fraction(1),
    "false": Fraction(0),
    "pi": Call("pi"),
    "exponentiale": Call("exp", (Fraction(1),)),
}
_SYMBOLS = "http://www.sbml.org/sbml/symbols/"
_AVOGADRO = Fraction(602214179 * 10**15)  # the value that SBML lays down


def number(text: str) -> Fraction:
    """The shortest decimal that denotes the double which a text is.

    Examples
    --------
    >>> number(" 0.1 "), number("0.10000000000000001"), number("-2.5E-3")
    (Fraction(1, 10), Fraction(1, 10), Fraction(-1, 400))
    """
    written = text.strip()
    try:
        value = float(written)
    except ValueError:
        raise FileFormatError(f"{quote(written)} is not a number") from None
    if not math.isfinite(value) or "_" in written:
        raise FileFormatError(f"the number {quote(written)} is not finite")
    digits = written.lstrip("+-")
    # Up to 15 digits come back from a double as they are; below its range there is only the text.
    if len(digits) > 15 and value:
        digits = repr(abs(value))
    size = numerals.number(digits)
    return -size if written.startswith("-") else size


def _is_wrapped(element: Element) -> bool:
    """Whether an application has nothing but another one in it, which some programs write around it."""
    return element.tag == "apply" and [child.tag for child in element.children] == ["apply"]


class MathReader:
    """Reads the mathematics of elements.

    Parameters
    ----------
    document : Document
        For error messages.
    functions : mapping of str to Element
        The function definitions. Their calls are followed, with a bound on the number of nodes.
    """

    def __init__(self, document: Document, functions: Mapping[str, Element]) -> None:
        self.document, self.functions = document, functions
        self.rates: dict[str, Element] = {}  # the symbols whose rate is asked for
        self._bodies: dict[str, tuple[tuple[str, ...], Expression]] = {}
        self._followed: list[str] = []
        self._numbers: dict[tuple[str, str], Fraction] = {}

    def read(self, owner: Element, names: Mapping[str, str] | None = None) -> Expression:
        """The expression in the element ``math`` of an element.

        ``names`` are local names, with the symbols that they mean.
        """
        root = owner.child("math")
        if root is None or not root.children:
            raise self.document.error(owner, f"<{owner.tag}> has no mathematics")
        if len(root.children) > 1:
            raise self.document.error(root, "<math> has more than one expression")
        return self._expression(root.children[0], names or {})

    def _expression(self, root: Element, names: Mapping[str, str]) -> Expression:
        values: list[Expression] = []
        # An element, and once they are known the elements in it whose values have to come first.
        tasks: list[tuple[Element, list[Element] | None]] = [(root, None)]
        left = MAX_NODES
        while tasks:
            element, inner = tasks.pop()
            left -= 1
            if left < 0:
                raise self.document.error(root, f"an expression has more than {MAX_NODES} parts")
            if inner is not None:
                count = len(inner)
                arguments = values[len(values) - count :]
                del values[len(values) - count :]
                value = self._operation(element, arguments)
                if isinstance(value, tuple):  # a call of a function: its size counts
                    value, size = value
                    left -= size
                values.append(value)
                continue
            inner = self._operands(element)
            if inner is _NONE:
                try:
                    values.append(self._leaf(element, names))
                except InputError as problem:
                    if str(problem).startswith(self.document.path + ":"):
                        raise
                    raise self.document.error(element, str(problem), type(problem)) from None
            else:
                tasks.append((element, inner))
                tasks += [(operand, None) for operand in reversed(inner)]
        return values[0]

    def _operands(self, element: Element) -> list[Element]:
        """The elements that are expressions themselves; ``_NONE`` for a leaf."""
        tag, children = element.tag, element.children
        if _is_wrapped(element):
            return children
        if tag == "apply" and children:
            head = children[0]
            if head.tag == "csymbol" and self._symbol(head) == "rateOf":
                return _NONE
            return [
                child.children[0]
                if child.tag in ("degree", "logbase") and len(child.children) == 1
                else child
                for child in children[1:]
            ]
        if tag == "semantics" and children:
            return children[:1]
        if tag == "piecewise":
            return [
                part
                for child in children
                for part in (child.children if child.tag in ("piece", "otherwise") else [child])
            ]
        return _NONE

    def _operation(
        self, element: Element, arguments: list[Expression]
    ) -> Expression | tuple[Expression, int]:
        if element.tag == "semantics" or _is_wrapped(element):
            return arguments[0]
        if element.tag == "piecewise":
            shape = [(part.tag, len(part.children)) for part in element.children]
            pieces = [entry for entry in shape if entry == ("piece", 2)]
            if shape not in (pieces, [*pieces, ("otherwise", 1)]):
                raise self.document.error(element, "<piecewise> is not made of pieces")
            return Call("piecewise", tuple(arguments))
        head, count = element.children[0], len(arguments)
        first = element.children[1].tag if count else ""
        if head.tag == "ci" and head.text.strip() in self.functions:
            return self._call(head, arguments)
        if head.tag == "csymbol":
            return Call(self._symbol(head), tuple(arguments))
        if head.tag == "log" and first == "logbase" and count == 2:
            return Call("log", tuple(arguments))
        if head.tag == "log" and count == 1:
            return Call("log10", tuple(arguments))
        if head.tag == "root" and first == "degree" and count == 2:
            return Call("root", tuple(arguments))
        if head.tag == "root" and count == 1:
            return Call("sqrt", tuple(arguments))
        if head.tag == "ci":
            raise self.document.error(
                head, f"the function {quote(head.text.strip())} is not defined"
            )
        operator = OPERATORS.get(head.tag)
        if operator is None or first in ("degree", "logbase"):
            raise self.document.error(head, f"<{head.tag}> is not supported here")
        expected = (1, 2) if operator == "-" else (2, 2) if operator in "/^" else None
        if expected is not None and not expected[0] <= count <= expected[1]:
            raise self.document.error(head, f"the operator {operator!r} has {count} arguments")
        return Call(operator, tuple(arguments))

    def _symbol(self, element: Element) -> str:
        url = element.attributes.get("definitionURL", "").strip()
        name = url.removeprefix(_SYMBOLS)
        if not url.startswith(_SYMBOLS) or name not in ("time", "delay", "avogadro", "rateOf"):
            raise self.document.error(element, f"the symbol {quote(url)} is not known")
        return name

    def _leaf(self, element: Element, names: Mapping[str, str]) -> Expression:
        tag, text = element.tag, element.text
        if tag == "ci":
            name = text.strip()
            return names.get(name, name)
        if tag == "cn":
            written = element.attributes.get("type", "real"), text
            if written not in self._numbers:
                self._numbers[written] = _number(written[0].strip(), text)
            return self._numbers[written]
        if tag in _CONSTANTS:
            return _CONSTANTS[tag]
        if tag == "csymbol":
            symbol = self._symbol(element)
            if symbol == "avogadro":
                return _AVOGADRO
            if symbol == "time":
                return Call("time")
        if tag == "apply" and len(element.children) == 2 and element.children[1].tag == "ci":
            name = element.children[1].text.strip()
            name = names.get(name, name)
            self.rates[name] = element
            return rate_of(name)
        raise self.document.error(element, f"<{tag}> is not supported here")

    def _call(self, head: Element, arguments: list[Expression]) -> tuple[Expression, int]:
        name = head.text.strip()
        bound, body = self._body(name)
        if len(bound) != len(arguments):
            raise self.document.error(head, f"the function {quote(name)} has other arguments")
        return self._substituted(head, body, dict(zip(bound, arguments, strict=True)))

    def _body(self, name: str) -> tuple[tuple[str, ...], Expression]:
        """The names of the arguments of a function, and its expression; made once."""
        if name in self._bodies:
            return self._bodies[name]
        definition = self.functions[name]
        if name in self._followed:
            raise self.document.error(definition, f"the function {quote(name)} calls itself")
        if len(self._followed) >= _MAX_CALLS:
            raise self.document.error(definition, f"functions call each other {_MAX_CALLS} deep")
        root = definition.child("math")
        children = root.children if root is not None else []
        while len(children) == 1 and children[0].tag == "semantics":
            children = children[0].children
        if len(children) != 1 or children[0].tag != "lambda" or not children[0].children:
            raise self.document.error(definition, f"the function {quote(name)} has no mathematics")
        *variables, body = children[0].children
        names = []
        for variable in variables:
            if variable.tag != "bvar" or [child.tag for child in variable.children] != ["ci"]:
                raise self.document.error(variable, f"<{variable.tag}> is not supported here")
            names.append(variable.children[0].text.strip())
        self._followed.append(name)
        expression = self._expression(body, {bound: f"{bound}\0" for bound in names})
        self._followed.pop()
        self._bodies[name] = tuple(f"{bound}\0" for bound in names), expression
        return self._bodies[name]

    def _substituted(
        self, head: Element, body: Expression, arguments: Mapping[str, Expression]
    ) -> tuple[Expression, int]:
        """The body with its arguments, and how many nodes that is."""
        values: list[Expression] = []
        tasks: list[tuple[Expression, bool]] = [(body, False)]
        size = 0
        while tasks:
            node, ready = tasks.pop()
            size += 1
            if size > MAX_NODES:
                raise self.document.error(head, f"an expression has more than {MAX_NODES} parts")
            if isinstance(node, str):
                if node not in arguments:
                    raise self.document.error(
                        head, f"a function uses {quote(node)}, which is not one of its arguments"
                    )
                values.append(arguments[node])
            elif not isinstance(node, Call):
                values.append(node)
            elif ready:
                count = len(node.arguments)
                inner = values[len(values) - count :]
                del values[len(values) - count :]
                values.append(Call(node.operator, tuple(inner)))
            else:
                tasks.append((node, True))
                tasks += [(argument, False) for argument in reversed(node.arguments)]
        return values[0], size


_NONE: list[Element] = []
_MAX_CALLS = 100


def rate_of(name: str) -> str:
    """The symbol that stands for the rate of another one."""
    return f"rate of {name}"


def _number(kind: str, text: str) -> Fraction:
    if kind in ("real", "double"):
        return number(text)
    parts = [part.strip() for part in text.split("|")]
    try:
        if kind == "integer" and len(parts) == 1:
            return Fraction(_integer(parts[0]))
        if kind == "e-notation" and len(parts) == 2:
            power = _integer(parts[1])
            if abs(power) > numerals.MAX_EXPONENT_OF_TEN:
                raise FileFormatError("the exponent of a number is beyond ±10000")
            return number(parts[0]) * Fraction(10) ** power
        if kind == "rational" and len(parts) == 2:
            return Fraction(_integer(parts[0]), _integer(parts[1]))
    except ValueError as problem:
        if isinstance(problem, FileFormatError):
            raise
    except ZeroDivisionError:
        raise FileFormatError("division by zero") from None
    raise FileFormatError(f"{quote(text.strip())} is not a number of the type {quote(kind)}")


def _integer(text: str) -> int:
    if len(text) > 4000 or "_" in text:
        raise FileFormatError("an integer of more than 4000 digits")
    return int(text)
