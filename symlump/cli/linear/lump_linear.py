"""``symlump lump --method constrained``: the smallest linear lumping that keeps observables."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import names, shown_path
from symlump.cli.pictures import draw_picture
from symlump.cli.reading import counted, note_lines, read_model, sizes
from symlump.errors import MethodError
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.lumping.linear.linear_lumping import LinearLumping

#: Up to this many variables the JSON report holds the rows.
_LISTED = 2000


def run_linear(options: argparse.Namespace) -> Answer:
    """Run the command for a linear lumping."""
    from symlump import formats
    from symlump.formats.events import names_in
    from symlump.formats.linear import linear_quotient_model
    from symlump.lumping.linear.constrained import Constrained
    from symlump.lumping.lump import lump

    _only_linear(options)
    model = read_model(options)
    observables = [name for given in options.observable for name in names(given)]
    kept = [*(_view(model, name) for name in observables), *names_in(model.events)]
    method = Constrained(kept, eps=options.eps, retain=options.retain)
    with working(f"lumping {len(model.ode)} variables"):
        start = time.perf_counter()
        lumping = lump(model.ode, method)
        seconds = time.perf_counter() - start
    with working("checking the result"):
        report = _report(lumping, options, observables, seconds)
        report["notes"] = list(model.notes)
    if options.output is not None:
        reduced = linear_quotient_model(model, lumping)
        from symlump.cli.lump_command import output_format

        formats.write(reduced, options.output, format=output_format(options))
        report["output"] = options.output
        views = (*model.observables, *model.other_views)
        report["views_left_out"] = [name for name in views if name not in reduced.observables]
    if options.certificate is not None:
        with working("writing the certificate"):
            _, closure = lumping.verdicts
            replayed = closure is None or closure.accepted
            certificate = lumping.certificate(smallest=replayed)
            if options.by_digest:
                certificate = certificate.without_system()
            certificate.write(options.certificate)
        report["certificate"] = options.certificate
        if closure is not None and not replayed:
            report["notes"].append(
                f"the certificate does not claim that the lumping is the smallest: {closure.reason}"
            )
    draw_picture(options, lumping)
    return Answer(lambda: report, lambda: _text(model, lumping, report, options))


def _only_linear(options: argparse.Namespace) -> None:
    if not options.observable:
        raise MethodError(
            "--method constrained needs at least one --observable: a variable, a view of the file, or a linear "
            'combination such as --observable "2*x + y"'
        )
    for given, option in (
        (options.keep, "--keep (say --observable)"),
        (options.initial != "file", "--initial"),
        (options.linkage != "closure", "--linkage"),
        (options.relative, "--relative"),
        (options.erode, "--erode"),
        (options.partition, "--partition"),
    ):
        if given:
            raise MethodError(f"{option} is for partitions; --method constrained finds linear rows")


def _view(model: Model, name: str) -> str | Mapping[str, Fraction]:
    """A variable or an expression as text, a view of the file as its coefficients."""
    if name not in model.ode.index and name in model.observables:
        return model.observables[name]
    return name


def _report(
    lumping: LinearLumping, options: argparse.Namespace, observables: list[str], seconds: float
) -> dict[str, Any]:
    from symlump.formats.algebra import fraction_text

    report: dict[str, Any] = {
        "file": options.file,
        "method": options.method,
        "observables": observables,
        "parameters": options.parameters,
        "constants": options.constants,
        "eps": lumping.eps,
        "variables": len(lumping.ode),
        "terms": lumping.ode.terms,
        "rows": len(lumping),
        "quotient_terms": lumping.quotient.terms,
        "exact": lumping.exact,
        "checked": lumping.exact,
        "smallest": lumping.smallest,
        "defect": lumping.defect,
        "defects": dict(lumping.defects),
        "seconds": seconds,
    }
    if len(lumping.ode) <= _LISTED:
        report["combinations"] = {
            name: {variable: fraction_text(value) for variable, value in row.items()}
            for name, row in lumping.combinations.items()
        }
    return report


def _text(
    model: Model, lumping: LinearLumping, report: dict[str, Any], options: argparse.Namespace
) -> str:
    lines = [
        f"{Path(options.file).name}: {sizes(model)}, lumped in {report['seconds']:.3g} s",
        *note_lines(model),
        str(lumping),
    ]
    lines += [f"defect of {name}: {value:.4g}" for name, value in lumping.defects.items()]
    if "output" in report:
        lines.append(
            f"{counted(report['rows'], 'variable')}, {counted(report['quotient_terms'], 'term')} "
            f"written to {shown_path(report['output'])}"
        )
        left_out = report["views_left_out"]
        if left_out:
            more = ", …" if len(left_out) > 8 else ""
            lines.append(
                f"views left out, as the rows do not determine them: {', '.join(left_out[:8])}{more} "
                "(linear ones can be kept with --observable)"
            )
    if "certificate" in report:
        lines.append(
            f"certificate written to {shown_path(report['certificate'])}; verify it with symlump check"
        )
        lines += report["notes"][len(model.notes) :]
    return "\n".join(lines)
