"""Pictures with matplotlib (extra ``plot``): figures, their files, and trade-off curves.

Colours of methods are the Okabe–Ito set, distinguishable with all common colour deficiencies; methods also
differ in markers, so the pictures read in greyscale. Blocks have theirs in :mod:`symlump.colours`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.errors import FileFormatError, MissingExtraError
from symlump.files import is_stdout, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")
#: Suffixes of pictures.
PICTURES = (".png", ".svg", ".pdf")
_MARKERS = "osD^vP*X"


def new_figure(width: float, height: float) -> Figure:
    """A figure that needs no display.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            "pictures need matplotlib: pip install 'symlump[plot]' (or: pip install matplotlib)"
        ) from None

    class Picture(Figure):
        """A figure that notebooks show without any set-up."""

        def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
            buffer = BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue(), {"alt": alternative_text(self)}

    figure = Picture(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def alternative_text(figure: Figure) -> str:
    """The alternative text of a figure: its titles, and what its axes measure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure

    Returns
    -------
    str

    Examples
    --------
    >>> figure = new_figure(3, 2)
    >>> axes = figure.subplots()
    >>> _ = axes.set(title="two curves", xlabel="time", ylabel="state")
    >>> alternative_text(figure)
    'two curves: state against time'
    """
    parts = [figure.get_suptitle().replace("\n", " ")]
    for axes in figure.axes:
        title, x, y = axes.get_title(), axes.get_xlabel(), axes.get_ylabel()
        measured = f"{y} against {x}" if x and y else x or y
        parts.append(": ".join(text.replace("\n", " ") for text in (title, measured) if text))
    return "; ".join(part for part in parts if part)


def picture_format(path: str | Path) -> str:
    """The format of a picture, by the suffix of its file.

    Raises
    ------
    FileFormatError
        If there is no such format.

    Examples
    --------
    >>> picture_format("sweep.svg")
    'svg'
    """
    suffix = Path(path).suffix.lower()
    if is_stdout(path) and not suffix:
        return "png"
    if suffix not in PICTURES:
        raise FileFormatError(f"{path}: a picture is a file of {', '.join(PICTURES)}")
    return suffix[1:]


def save_picture(figure: Figure, path: str | Path, source: str | None = None) -> None:
    """Write a picture with its alternative text, whole or not at all; the same picture gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or Path
        Ends in ``.png``, ``.svg`` or ``.pdf``.
    source : str, optional
        What it was drawn from; PNG files say it.

    Raises
    ------
    FileFormatError
        If the suffix names no format.
    OutputError
        If the file cannot be written.
    """
    kind = picture_format(path)
    words = alternative_text(figure)
    about: dict[str, Any] = {
        "png": {"Description": words} | ({} if source is None else {"Source": source}),
        "svg": {"Date": None, "Description": words},
        "pdf": {"CreationDate": None, "Subject": words},
    }
    from matplotlib import rc_context

    with replacing(path) as temporary, rc_context({"svg.hashsalt": "symlump"}):
        figure.savefig(temporary, format=kind, metadata=about[kind])


def picture_source(path: str | Path) -> str | None:
    """What a PNG file says that it was drawn from; None if it says nothing, or there is none.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed, and Pillow with it.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("pictures need matplotlib: pip install 'symlump[plot]'") from None
    try:
        with Image.open(path) as image:
            found = image.info.get("Source")
            return None if found is None else str(found)
    except (OSError, ValueError):
        return None


def draw_tradeoff(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    base: float,
    title: str,
    ylabel: str = "mean squared error on test data",
) -> Figure:
    """Error against the share of retained parameters, one curve a method.

    Parameters
    ----------
    curves : mapping
        For each method, points (retained share, error).
    base : float
        Error of the uncompressed network, a dashed line.
    """
    figure = new_figure(7.0, 4.6)
    axes = figure.subplots()
    for number, (name, points) in enumerate(curves.items()):
        x, y = zip(*sorted(points), strict=True)
        axes.plot(
            [100 * v for v in x],
            y,
            label=name,
            color=(
                PALETTE[4],
                PALETTE[5],
                PALETTE[2],
                PALETTE[6],
                PALETTE[0],
                PALETTE[1],
                PALETTE[7],
                PALETTE[3],
            )[number % 8],
            marker=_MARKERS[number % len(_MARKERS)],
            linewidth=2.2 if number == 0 else 1.4,
            markersize=6,
        )
    axes.axhline(base, color="black", linestyle="--", linewidth=1, label="uncompressed")
    axes.set_yscale("log")
    axes.set_xlabel("retained parameters, %")
    axes.set_ylabel(ylabel)
    axes.set_title(title)
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(frameon=False)
    return figure
