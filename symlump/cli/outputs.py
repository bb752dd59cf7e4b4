"""What commands write beside their answers: pictures; of a lumping the reduced model and its certificate."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.arguments import shown_path
from symlump.errors import FileFormatError
from symlump.ode.notation import count_text
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.lumping.linear.linear_lumping import LinearLumping
    from symlump.lumping.lumping import Lumping
    from symlump.proof.certificate import Certificate


def add_picture(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option."""
    parser.add_argument(
        "--picture", metavar="FILE.svg", help=f"draw {what}, as .svg, .png or .pdf (extra plot)"
    )


def check_picture(options: argparse.Namespace) -> None:
    """Raise before the work if a picture could not be drawn after it.

    Raises
    ------
    FileFormatError
        If the suffix names no format.
    MissingExtraError
        If matplotlib is not installed.
    """
    if options.picture is not None:
        from symlump.display.drawing import new_figure, picture_format

        picture_format(options.picture)
        new_figure(1, 1)


def draw_picture(options: argparse.Namespace, result: Any) -> None:
    """Draw a result, if that is asked for."""
    if options.picture is not None:
        from symlump.display.drawing import save_picture
        from symlump.display.result_pictures import draw

        save_picture(draw(result), options.picture)


def output_format(options: argparse.Namespace, read: str = "") -> str:
    """The format to write: by the suffix; to a stream without one, such as ``-``, that of the file ``read``.

    Raises
    ------
    FileFormatError
        If the suffix is unknown.
    """
    from symlump.files import is_stream
    from symlump.formats import SUFFIXES

    suffix = Path(options.output).suffix.lower()
    if not suffix and is_stream(options.output):
        return read
    if suffix not in SUFFIXES:
        raise FileFormatError(
            f"cannot write {options.output}: unknown suffix {suffix!r}; known are {', '.join(SUFFIXES)}"
        )
    return SUFFIXES[suffix]


def write_outputs(
    options: argparse.Namespace,
    model: Model,
    lumping: Lumping | LinearLumping,
    certify: Callable[[], Certificate],
    report: dict[str, Any],
) -> None:
    """Write what the options ask for, and add to the report what was written where.

    Parameters
    ----------
    options : Namespace
    model : Model
    lumping : Lumping or LinearLumping
        Of the model's system.
    certify : callable
        Makes the certificate, if one is asked for.
    report : dict
    """
    if options.output is not None:
        from symlump import formats

        reduced = model.quotient(lumping)
        formats.write(reduced, options.output, format=output_format(options, model.format))
        report["output"] = options.output
        views = (*model.observables, *model.other_views)
        report["views_left_out"] = [name for name in views if name not in reduced.observables]
    if options.certificate is not None:
        with working("writing the certificate"):
            certificate = certify()
            if options.by_digest:
                certificate = certificate.without_system()
            certificate.write(options.certificate)
        report["certificate"] = options.certificate
    draw_picture(options, lumping)


def write_certificates(certificates: Sequence[Certificate], folder: str) -> list[str]:
    """Write one file for each proof into a folder, which is made; their paths."""
    from symlump.files import make_folder

    make_folder(folder)
    paths = [str(Path(folder) / f"{number}.json") for number in range(1, len(certificates) + 1)]
    for certificate, path in zip(certificates, paths, strict=True):
        certificate.write(path)
    return paths


def certificates_line(paths: Sequence[str]) -> str:
    """What was written where, in a line for people.

    Examples
    --------
    >>> certificates_line(["proofs/1.json", "proofs/2.json"])
    'certificate written to proofs/1.json and 1 more beside it'
    """
    more = f" and {len(paths) - 1} more beside it" if len(paths) > 1 else ""
    return f"certificate written to {paths[0]}{more}"


def output_lines(report: dict[str, Any], variables: str, keep: str) -> list[str]:
    """The outputs of a report for people, a line each.

    Parameters
    ----------
    report : dict
    variables : {"blocks", "rows"}
        What the variables of the reduced model are.
    keep : str
        The option that keeps a view.

    Examples
    --------
    >>> report = {"rows": 1, "quotient_terms": 2, "output": "small.ode", "views_left_out": ["total"]}
    >>> for line in output_lines(report, "rows", "--keep"):
    ...     print(line)
    1 variable, 2 terms written to small.ode
    views left out, as they are not linear combinations of the rows: total (linear ones can be kept with --keep)
    """
    lines = []
    if "output" in report:
        lines.append(
            f"{count_text(report[variables], 'variable')}, {count_text(report['quotient_terms'], 'term')} "
            f"written to {shown_path(report['output'])}"
        )
        left_out = report["views_left_out"]
        if left_out:
            more = ", …" if len(left_out) > 8 else ""
            lines.append(
                f"views left out, as they are not linear combinations of the {variables}: "
                f"{', '.join(left_out[:8])}{more} "
                f"(linear ones can be kept with {keep})"
            )
    if "certificate" in report:
        lines.append(
            f"certificate written to {shown_path(report['certificate'])}; verify it with symlump check"
        )
    return lines
