"""``symlump lump DIR``: a system on disk in, its quotient on disk out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import names, outputs, refuse
from symlump.errors import MethodError
from symlump.files import check_outside
from symlump.formats import SUFFIXES
from symlump.memory import size_text
from symlump.ode.notation import count_text
from symlump.progress import working
from symlump.store.engine import temporary_engine
from symlump.store.lump_store import StoreLumping, estimate, lump_store
from symlump.store.opening import read_store
from symlump.store.working import demand_initial_values

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.lumping.equivalence import Equivalence
    from symlump.store.store import Store

#: Options that say how a file is read, when they are not given.
_OF_FILES = {
    "parameters": "values",
    "constants": "keep",
    **dict.fromkeys(("chain", "labels", "states", "rewards", "format")),
}
#: Options that need the system in memory, when they are not given.
_IN_MEMORY = {
    **dict.fromkeys(("picture", "retain")),
    **dict.fromkeys(("partition", "by_digest", "relative", "erode"), False),
    **{"eps": 0.0, "linkage": "closure", "observable": []},
}


def open_folder(options: argparse.Namespace) -> Store:
    """The store that is named instead of a file.

    Raises
    ------
    MethodError
        If an option says how a file is read, or an output would be written into the folder.
    FileFormatError
        If it is none.
    """
    refuse(options, _OF_FILES, f"says how a file is read; {options.file} is a folder")
    check_outside(options.file, outputs(options))
    with working(f"looking through {options.file}"):
        return read_store(options.file)


def small_model(options: argparse.Namespace, store: Store) -> Model | None:
    """The system in memory, if it fits there, no cluster is named, and the output, if any, is a file.

    Raises
    ------
    MethodError
        If it does not fit, and an option needs it in memory; if the output is a file, which says where every
        variable starts, and the store does not know it.
    """
    sizes = estimate(store, options.memory, options.output)
    is_file = options.output is not None and Path(options.output).suffix.lower() in SUFFIXES
    if sizes.fits and options.scheduler is None and (is_file or options.output is None):
        if is_file or options.initial == "values":
            with temporary_engine() as db:
                demand_initial_values(db, store)
        return store.model()
    why = f"needs the system in memory, which {options.file} "
    if not sizes.fits:
        why += f"does not fit ({sizes})"
    elif options.scheduler is not None:
        why += "has without --scheduler"
    else:
        why += "has, where --output is a file or not given"
    refuse(options, _IN_MEMORY, why)
    if is_file:
        raise MethodError(f"--output {options.output} {why}; name a folder")
    if options.method == "constrained":
        raise MethodError(f"--method constrained {why}")
    return None


def run_folder(options: argparse.Namespace, store: Store, method: Equivalence) -> Answer:
    """Lump where there is room, and write the quotient into a folder."""
    sizes = estimate(store, options.memory, options.output)
    keep = [name for given in options.keep for name in names(given)]
    with working(f"lumping {store.variables} variables: {sizes}"):
        found = lump_store(
            store,
            method,
            options.output,
            initial=options.initial,
            keep=keep,
            memory=options.memory,
            scheduler=options.scheduler,
            certificate=options.certificate,
        )
    report: dict[str, Any] = {
        "file": options.file,
        "method": options.method,
        "initial": options.initial,
        "keep": keep,
        "variables": store.variables,
        "terms": store.terms,
        "place": found.place,
        "memory_estimate": sizes.memory,
        "disk_estimate": sizes.disk,
        "blocks": found.blocks,
        "quotient_terms": found.quotient.terms if found.quotient else None,
        "compared": True,
        "checked": found.checked,
        "exact": found.checked or None,
        "rounds": found.rounds,
        "seconds": found.seconds,
        "output": options.output,
    }
    if options.certificate is not None:
        report |= {"certificate": options.certificate, "certificate_check": found.certificate}
    return Answer(lambda: report, lambda: _text(found, str(sizes), options))


def _text(found: StoreLumping, sizes: str, options: argparse.Namespace) -> str:
    lines = [
        f"{Path(options.file).name}: {found.store.variables} variables, {found.store.terms} terms, lumped "
        f"{found.place} in {found.seconds:.3g} s ({count_text(found.rounds, 'round')})",
        f"estimate: {sizes}",
        found.headline(),
    ]
    if found.quotient is not None:
        small = found.quotient
        lines.append(
            f"{count_text(small.variables, 'variable')}, {count_text(small.terms, 'term')} and "
            f"the blocks written to {options.output}, {size_text(small.size)}"
        )
    if options.certificate is not None:
        lines.append(f"certificate written to {options.certificate}, {found.certificate}")
    return "\n".join(lines)
