"""The elements of an SBML document, all of which are known to be understood.

The XML is read by expat, which is in Python. Nothing is ever resolved or fetched, document types are refused,
and every element is looked up in the list of what is understood as soon as it begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from symlump.errors import FileFormatError, InputError
from symlump.formats.sbml.vocabulary import (
    COMP,
    CORE,
    MATHML,
    SAID,
    SILENT,
    VOCABULARY,
    refusal,
)
from symlump.formats.source import Source, quote

MAX_DEPTH = 200
_XML = {"http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2001/XMLSchema-instance"}
_BIONETGEN = "http://www.sbml.org/sbml/level3"
_PACKAGE = re.compile(r"https?://www\.sbml\.org/sbml/level\d+/version\d+/(\w+)/version\d+/?")
_TOKENS = frozenset({"cn", "ci", "csymbol"})


_NO_ATTRIBUTES: dict[str, str] = {}
_NO_CHILDREN: Any = ()  # most elements have none, and no list of them is made


@dataclass(slots=True, eq=False)
class Element:
    """An element; ``text`` is filled where it means something, with "|" in place of ``<sep/>``."""

    tag: str
    attributes: dict[str, str]
    line: int
    column: int
    children: list[Element] = _NO_CHILDREN
    text: str = ""

    def add(self, child: Element) -> None:
        """Put an element behind those inside this one."""
        if self.children is _NO_CHILDREN:
            self.children = [child]
        else:
            self.children.append(child)

    def get(self, *names: str) -> str | None:
        """The first of these attributes that is there."""
        for name in names:
            if name in self.attributes:
                return self.attributes[name]
        return None

    def listed(self, name: str) -> list[Element]:
        """The elements in a list inside this one."""
        return [part for child in self.children if child.tag == name for part in child.children]

    def child(self, name: str) -> Element | None:
        """The element inside this one that is called so, if there is one."""
        return next((child for child in self.children if child.tag == name), None)


@dataclass(slots=True, eq=False)
class Document:
    """A document: its level, the model in it, what was not looked at, and the packages it names."""

    path: str
    level: int
    model: Element
    notes: dict[str, None]
    packages: tuple[str, ...] = ()

    def place(self, element: Element) -> str:
        """``PATH:LINE:COLUMN`` of an element."""
        return f"{self.path}:{element.line}:{element.column}"

    def error(
        self, element: Element, message: str, kind: type[InputError] = FileFormatError
    ) -> InputError:
        """An exception at the place of an element; the caller raises it."""
        return kind(f"{self.place(element)}: {message}")


class NeedsFlattening(FileFormatError):
    """The document is composed of several models (package comp)."""


def parse(source: Source) -> Document:
    """Read the elements of a document.

    Raises
    ------
    NeedsFlattening
        If the package comp is used.
    FileFormatError
        If the text is not SBML, or anything in it is not understood.
    """
    return _Parser(source).parse()


class _Parser:
    def __init__(self, source: Source) -> None:
        self.path = source.path
        self.text = source.text
        self.level = 0
        self.core = ""
        self.root: Element | None = None
        self.open: list[Element] = []
        self.skipping = 0
        self.required: dict[str, bool] = {}
        self.notes: dict[str, None] = {}
        self.looked_into: dict[tuple[str, str], tuple[str, str]] = {}
        parser: Any = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._doctype
        self.parser = parser

    def parse(self) -> Document:
        try:
            self.parser.Parse(self.text, True)
        except expat.ExpatError as problem:
            reason = expat.ErrorString(problem.code)
            raise FileFormatError(
                f"{self.path}:{problem.lineno}:{problem.offset + 1}: this is not XML: {reason}"
            ) from None
        model = self.root.child("model") if self.root is not None else None
        if model is None:
            raise FileFormatError(f"{self.path}:1:1: the file contains no SBML model")
        return Document(self.path, self.level, model, self.notes, tuple(self.required))

    def _error(self, message: str) -> FileFormatError:
        line, column = self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1
        return FileFormatError(f"{self.path}:{line}:{column}: {message}")

    def _doctype(self, *_: object) -> None:
        raise self._error("document type declarations are not read")

    def _start(self, name: str, given: dict[str, str]) -> None:
        if self.skipping:
            self.skipping += 1
            if self.skipping > MAX_DEPTH:
                raise self._error(f"elements nested more than {MAX_DEPTH} deep")
            return
        parent = self.open[-1] if self.open else None
        known = None if parent is None else self.looked_into.get((parent.tag, name))
        if known is None:
            space, _, tag = name.rpartition(" ")
            if parent is None:
                self._begin(space, tag, given)
            elif self._is_silent(space, tag, parent):
                self.skipping = 1
                return
            else:
                self.looked_into[parent.tag, name] = space, tag
        else:
            space, tag = known
        attributes = self._understood(tag, space, given) if given else _NO_ATTRIBUTES
        parser = self.parser
        element = Element(tag, attributes, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1)
        if len(self.open) >= MAX_DEPTH:
            raise self._error(f"elements nested more than {MAX_DEPTH} deep")
        if parent is None:
            self.root = element
        elif tag == "sep":
            parent.text += "|"
        else:
            parent.add(element)
        self.open.append(element)
        if tag in _TOKENS:
            self.parser.CharacterDataHandler = self._characters

    def _characters(self, text: str) -> None:
        self.open[-1].text += text

    def _end(self, name: str) -> None:
        if self.skipping:
            self.skipping -= 1
            return
        if self.open.pop().tag in _TOKENS:
            self.parser.CharacterDataHandler = None

    def _begin(self, space: str, tag: str, given: dict[str, str]) -> None:
        """Judge the outermost element: the level, and what packages say of themselves."""
        if tag != "sbml" or space not in CORE:
            what = f"<{tag}> of {quote(space)}" if space else f"<{tag}>"
            hint = ""
            if tag == "sbml" and space == _BIONETGEN:
                hint = (
                    "; this is BioNetGen's writeXML, rules for NFsim: read the .bngl file, or let it "
                    "writeSBML or generate a network (.net)"
                )
            raise self._error(
                f"the outermost element is {what}, not <sbml> of a level up to 3{hint}"
            )
        self.core, self.level = space, CORE[space]
        for name in [name for name in given if name.endswith(" required")]:
            self.required[name.rpartition(" ")[0]] = given.pop(name).strip() in ("true", "1")
        for uri, required in self.required.items():
            package = self._package(uri)
            if required and uri == COMP:
                raise NeedsFlattening(self.path)
            if required:
                raise self._error(
                    f"the package {package} changes what the model means, and is not supported"
                )

    def _package(self, uri: str) -> str:
        """What a package is called: in SBML's own addresses by its name, whatever prefix the file gives it."""
        named = _PACKAGE.fullmatch(uri)
        return quote(named[1] if named else uri)

    def _is_silent(self, space: str, tag: str, parent: Element) -> bool:
        """Whether an element is not to be looked into; it is refused if it is not understood."""
        if space == self.core:
            if tag in SILENT:
                return True
            if tag in SAID:
                self.notes[SAID[tag]] = None
                return True
            known = VOCABULARY.get(parent.tag)
            if known is None or tag not in known[1] or tag not in VOCABULARY:
                raise self._error(refusal(tag, parent.tag))
            return False
        if space == MATHML:
            if tag in ("annotation", "annotation-xml"):
                return True
            known = VOCABULARY.get(parent.tag)
            if known is not None and tag not in known[1]:
                raise self._error(f"<{tag}> in <{parent.tag}> is not supported")
            return False  # which of its elements are understood is known where they are read
        self._may_be_ignored(space, f"the element <{tag}>")
        return True

    def _may_be_ignored(self, space: str, what: str) -> None:
        if self.required.get(space, True):
            package = f" of {self._package(space)}" if space else ""
            raise self._error(f"{what}{package} is not supported")
        self.notes[
            f"the package {self._package(space)} is not read: it says of itself that it changes nothing"
        ] = None

    def _understood(self, tag: str, space: str, given: dict[str, str]) -> dict[str, str]:
        """The attributes, of which each is known or may be ignored."""
        known = VOCABULARY[tag][0] if space == self.core else None
        attributes = {}
        for name, value in given.items():
            if " " in name:
                other, _, local = name.rpartition(" ")
                if known is None and other in CORE:  # the units of a number
                    continue
                if other not in _XML:
                    self._may_be_ignored(other, f"the attribute {quote(local)}")
            elif known is not None and name not in known:
                raise self._error(f"the attribute {quote(name)} of <{tag}> is not supported")
            else:
                attributes[name] = value
        return attributes
