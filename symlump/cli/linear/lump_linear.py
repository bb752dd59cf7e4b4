"""``symlump lump --method constrained``: the smallest linear lumping that keeps observables."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import (
    check_linear,
    kept_forms,
    kept_names,
    read_observables,
    reading_forms,
)
from symlump.cli.outputs import output_lines, write_outputs
from symlump.cli.reading import note_lines, read_model, sizes
from symlump.ode.notation import cut_texts
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.lumping.linear.linear_lumping import LinearLumping
    from symlump.proof.certificate import Certificate

#: Up to this many variables the JSON report holds the rows.
_LISTED = 2000


def run_linear(options: argparse.Namespace, model: Model | None = None) -> Answer:
    """Run the command for a linear lumping; the file is read unless that is done."""
    from symlump.lumping.linear.constrained import Constrained
    from symlump.lumping.lump import lump

    partitions = (
        (options.keep, "--keep (use --observable)"),
        (options.initial != "file", "--initial"),
        (options.linkage != "closure", "--linkage"),
        (options.relative, "--relative"),
        (options.erode, "--erode"),
        (options.partition, "--partition"),
    )
    check_linear(options, partitions)
    model = model or read_model(options)
    method = Constrained(kept_forms(options, model), eps=options.eps, retain=options.retain)
    with working(f"lumping {len(model.ode)} variables"), reading_forms(options):
        start = time.perf_counter()
        lumping = lump(model.ode, method)
        seconds = time.perf_counter() - start
    with working("checking the result"):
        report = _report(model, lumping, options, seconds)
        report["notes"] = [*model.notes, *([] if lumping.note is None else [lumping.note])]
        said = len(report["notes"])

    def certificate() -> Certificate:
        """That the lumping is the smallest is claimed where that can be replayed."""
        _, closure = lumping.verdicts
        replayed = closure is None or closure.accepted
        if closure is not None and not replayed:
            report["notes"].append(
                f"the certificate does not claim that the lumping is the smallest: {closure.reason}"
            )
        return lumping.certificate(smallest=replayed)

    write_outputs(options, model, lumping, certificate, report)
    return Answer(lambda: report, lambda: _text(model, lumping, report, said, options))


def _report(
    model: Model, lumping: LinearLumping, options: argparse.Namespace, seconds: float
) -> dict[str, Any]:
    from symlump.formats.numerals import fraction_text

    report: dict[str, Any] = {
        "file": options.file,
        "method": options.method,
        "observables": read_observables(options),
        "parameters": options.parameters,
        "constants": options.constants,
        "eps": lumping.eps,
        "variables": len(lumping.ode),
        "terms": lumping.ode.terms,
        "rows": len(lumping),
        "quotient_terms": lumping.quotient.terms,
        "exact": lumping.exact,
        "checked": lumping.exact,
        "not_checked": lumping.not_checked,
        "smallest": lumping.smallest,
        "not_smallest": lumping.not_smallest,
        "at_least": lumping.at_least,
        "defect": lumping.defect,
        "defects": _defects(model, lumping, options),
        "seconds": seconds,
    }
    if len(lumping.ode) <= _LISTED:
        report["combinations"] = {
            name: {variable: fraction_text(value) for variable, value in row.items()}
            for name, row in lumping.combinations.items()
        }
    return report


def _defects(model: Model, lumping: LinearLumping, options: argparse.Namespace) -> dict[str, float]:
    """The defect of each observable by the name that was given, views too."""
    from symlump.lumping.linear.constrained import Constrained, form_of

    if not lumping.defects:
        return {}
    kept = kept_forms(options, model)
    forms = Constrained(kept).forms(lumping.ode)
    defects = [(form, lumping.defects[text]) for text, form in forms.items()]
    asked = [form_of(observable, lumping.ode) for observable in kept]
    return {
        name: next(value for form, value in defects if form == own)
        for name, own in zip(kept_names(options, model), asked, strict=True)
    }


def _text(
    model: Model,
    lumping: LinearLumping,
    report: dict[str, Any],
    said: int,
    options: argparse.Namespace,
) -> str:
    """The report for people; so many of its notes are said above and by the lumping."""
    lines = [
        f"{Path(options.file).name}: {sizes(model)}, lumped in {report['seconds']:.3g} s",
        *note_lines(model),
        str(lumping),
    ]
    defects = zip(cut_texts(report["defects"]), report["defects"].values(), strict=True)
    lines += [f"defect of {name}: {value:.4g}" for name, value in defects]
    lines += output_lines(report, "rows", "--observable")
    return "\n".join(lines + report["notes"][said:])
