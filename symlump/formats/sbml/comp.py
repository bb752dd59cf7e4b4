"""Models composed of others (the package comp), made flat by libsbml, which defines what that means."""

from __future__ import annotations

import re
from typing import Any

from symlump.errors import FileFormatError, MissingExtraError
from symlump.formats.source import Source, quote

_EXTERNAL = re.compile(r"<(?:\w+:)?externalModelDefinition\b")


def flatten(source: Source) -> Source:
    """The text of the same model without submodels.

    Raises
    ------
    MissingExtraError
        If python-libsbml is not installed.
    FileFormatError
        If the document is not valid, or needs another file.
    """
    try:
        import libsbml
    except ImportError:
        raise MissingExtraError(
            "this model is composed of submodels (package comp); reading it needs python-libsbml: "
            "pip install 'symlump[sbml]'"
        ) from None
    external = _EXTERNAL.search(source.text)
    if external is not None:
        raise source.error(
            external.start(),
            "the model is composed of models in other files (externalModelDefinition), which are not "
            "read; flatten it with a tool of your choice",
        )
    document = libsbml.readSBMLFromString(_declared(source.text))
    _judge(libsbml, source, document, "")
    options = libsbml.ConversionProperties()
    for name, value in (
        ("flatten comp", True),
        ("performValidation", False),
        ("abortIfUnflattenable", "requiredOnly"),
        ("leavePorts", False),
    ):
        options.addOption(name, value)
    if document.convert(options) != libsbml.LIBSBML_OPERATION_SUCCESS:
        _judge(libsbml, source, document, "the submodels cannot be put together: ")
        raise source.error(0, "the submodels cannot be put together")
    return Source(
        f"{source.path}: put together from its submodels", libsbml.writeSBMLToString(document)
    )


def _declared(text: str) -> str:
    # Without a declaration libsbml puts one on a line of its own, and all places would shift.
    return text if text.startswith("<?xml") else '<?xml version="1.0" encoding="UTF-8"?>' + text


def _judge(libsbml: Any, source: Source, document: Any, head: str) -> None:
    for k in range(document.getNumErrors()):
        problem = document.getError(k)
        if problem.getSeverity() >= libsbml.LIBSBML_SEV_ERROR:
            place = f"{source.path}:{problem.getLine()}:{problem.getColumn()}"
            raise FileFormatError(f"{place}: {head}{quote(problem.getShortMessage(), 200)}")
