"""One reduction at many tolerances: what each costs and what it buys, as a table and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from symlump.compression.compress import CompressionPlan
from symlump.compression.compression import Compression
from symlump.compression.recurrent.result import RecurrentCompression
from symlump.enclosures.wording import at_most
from symlump.errors import FailureError, MethodError
from symlump.files import write_text
from symlump.lumping.linear.constrained import Constrained
from symlump.lumping.linear.linear_lumping import LinearLumping
from symlump.lumping.linear.plan import ConstrainedPlan
from symlump.lumping.plan import EquivalencePlan
from symlump.memory import memory_errors
from symlump.ode.system import ODE
from symlump.plan import check_tolerance
from symlump.tables import table_html, table_text
from symlump.tolerances.planned import check_data, check_network, make_plan
from symlump.tolerances.rows import (
    MEASURED,
    Result,
    SweepRow,
    linear_rows,
    network_rows,
    recurrent_rows,
    system_rows,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from symlump.compression.recurrent.plan import RecurrentPlan

__all__ = ["Progress", "Sweep", "SweepRow", "sweep"]

#: Called with how many tolerances are done, of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """A table of tolerances; ``figure()`` plots it, ``largest(...)`` picks from it.

    Parameters
    ----------
    subject : str
        What was reduced and how.
    rows : tuple of SweepRow
        In ascending order of ε.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("a' = -a; b' = -1.1*b")
    >>> table = sl.sweep(ode, [0, 0.2], sl.Forward())
    >>> [row.blocks for row in table.rows]
    [2, 1]
    """

    subject: str
    rows: tuple[SweepRow, ...]

    def largest(self, max_bound: float | None = None, max_loss: float | None = None) -> Result:
        """The result at the largest ε that satisfies the request.

        Parameters
        ----------
        max_bound : float, optional
            The certified error may be so large.
        max_loss : float, optional
            The loss may be so large.

        Returns
        -------
        Lumping, LinearLumping, Compression or RecurrentCompression

        Raises
        ------
        MethodError
            If nothing is asked, or the sweep was made without what is asked for.
        FailureError
            If no row satisfies it.

        Examples
        --------
        >>> import symlump as sl
        >>> net = sl.Network.dense([[[1.0, 2.0], [1.1, 2.0]], [[0.5, 0.25]]])
        >>> sl.sweep(net, [0.0, 0.5], box=(-1, 1)).largest(max_bound=0.5).parameters
        6
        """
        asked = {"bound": max_bound, "loss": max_loss}
        if max_bound is None and max_loss is None:
            raise MethodError(
                "largest(max_bound=…) or largest(max_loss=…): give exactly one of them"
            )
        for name, limit in asked.items():
            if limit is not None and all(getattr(row, name) is None for row in self.rows):
                raise MethodError(f"this sweep has no {name}; give sweep a box (or data)")
        for row in reversed(self.rows):
            values = [(getattr(row, name), limit) for name, limit in asked.items()]
            if all(limit is None or (v is not None and v <= limit) for v, limit in values):
                return row.result
        raise FailureError("no tolerance of this sweep satisfies that; add smaller ones")

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        title = {
            "bound": "certified bound",
            "observed": "observed error",
            "loss": "loss",
            "accuracy": "accuracy",
        }
        optional = [n for n in title if self._has(n)]
        networks = Compression, RecurrentCompression
        network = any(isinstance(row.result, networks) for row in self.rows)
        size = "parameters" if network else "terms"
        header = ("ε", self.counted, size, "defect δ", *(title[n] for n in optional))
        rows = [
            (
                f"{row.eps:.4g}",
                str(row.blocks),
                str(row.parameters),
                f"{row.defect:.4g}",
                *(measured_text(getattr(row, name), name) for name in optional),
            )
            for row in self.rows
        ]
        return header, rows

    @property
    def counted(self) -> str:
        """What the first column of the table counts: blocks, or the dimension of a linear lumping."""
        linear = any(isinstance(row.result, LinearLumping) for row in self.rows)
        return "dimension" if linear else "blocks"

    def _has(self, name: str) -> bool:
        return any(getattr(row, name) is not None for row in self.rows)

    def to_csv(self, path: str | Path | None = None) -> str:
        """All columns as CSV text; written to a file too, if one is named.

        Parameters
        ----------
        path : str or Path, optional

        Returns
        -------
        str

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = -a; b' = -b")
        >>> print(sl.sweep(ode, [0], sl.Forward()).to_csv(), end="")
        eps,blocks,parameters,defect,bound,observed,loss,accuracy
        0.0,1,1,0.0,,,,
        """
        columns = ("eps", "blocks", "parameters", *MEASURED)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in self.rows:
            values = (getattr(row, name) for name in columns)
            writer.writerow(["" if v is None else repr(v) for v in values])
        if path is not None:
            write_text(path, text.getvalue())
        return text.getvalue()

    def figure(self) -> Figure:
        """Blocks (or the dimension) and errors against ε.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed.

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = -a; b' = -1.1*b")
        >>> figure = sl.sweep(ode, [0, 0.2], sl.Forward()).figure()
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['blocks', 'error']
        """
        from symlump.display.sweep_picture import draw_sweep

        return draw_sweep(self)

    def __str__(self) -> str:
        return self.subject + "\n" + table_text(*self._table())

    def __repr__(self) -> str:
        return f"<Sweep: {self.subject}, {len(self.rows)} tolerances>"

    def _repr_html_(self) -> str:
        return f"<p>{self.subject}</p>" + table_html(*self._table())


@memory_errors()
def sweep(
    subject: Any,
    eps: Iterable[float] | None = None,
    method: Any = None,
    *,
    initial: Any = None,
    box: Any = None,
    horizon: float | None = None,
    data: tuple[Any, Any] | None = None,
    example: Any = None,
    samples: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Sweep:
    """Reduce a system or a network at several tolerances.

    Parameters
    ----------
    subject : ODE, torch module, Network or RecurrentNetwork
    eps : iterable of float, optional
        The tolerances; default: shares of the smallest one that merges all that may merge. For Constrained:
        those at which the dimension changes (30 of them, where there are more).
    method : method object, optional
        Any method of :func:`symlump.lump` for a system, of :func:`symlump.compress` for a network; its own ε or
        share plays no role. The costly analysis is done once. Default: Forward(), and AFDE.
    initial : optional
        For a system: what must never merge, as for :func:`symlump.lump`.
    box : optional
        Where bounds hold. Network: inputs, as for ``Compression.bound``. System: initial states, as for
        ``Lumping.bound``, with ``horizon``. Recurrent network: inputs at every step, with ``horizon``.
    horizon : float, optional
        For a system: how long a bound holds. For a recurrent network: over how many steps.
    data : (inputs, targets), optional
        For a network: data to measure the loss on; or the accuracy, if targets are class numbers, one a sample
        for a network with an output for each class.
    example : Tensor of shape (samples, …), or a tuple of them, optional
        For torch modules with convolutions or branches: an input, as for :func:`symlump.compress`.
    samples : int, optional
        On how many inputs the observed error of a network is taken; default: 2000, in wide networks fewer,
        but at least 64.
    seed : int
        Of these inputs.
    progress : callable, optional
        Called with the number of tolerances done and their total.

    Returns
    -------
    Sweep

    Raises
    ------
    MethodError
        If the options do not fit the subject.

    Examples
    --------
    >>> import symlump as sl
    >>> from symlump.datasets.systems import h_tree
    >>> print(sweep(h_tree(3, tolerance=0.01), [0, 6e-4, 10], sl.Backward()))
    7 variables, by ε-backward equivalence (closure)
    ε       blocks  terms   defect δ
    0            7     16          0
    0.0006       3      7  9.367e-05
    10           1      2       2.11

    Linear lumpings that keep one variable, at each tolerance that changes their dimension:

    >>> print(sweep(h_tree(3, tolerance=0.01), method=sl.Constrained("v1_1")))
    7 variables, by ε-linear lumping that keeps v1_1
    ε          dimension  terms   defect δ
    0                  3      8          0
    8.509e-06          2      5  8.509e-06
    0.7929             1      2     0.7929
    """
    tolerances = None if eps is None else _given(eps)
    check_data(data)
    if method is None:
        method = _usual(subject)
    if isinstance(method, Constrained) and initial is not None:
        raise MethodError("initial does not go with Constrained: it keeps its observables")
    plan = make_plan("sweep", subject, method, initial, example, seed)
    if isinstance(plan, ConstrainedPlan):
        measured, title = linear_rows(plan, box, horizon, data, seed)
    elif isinstance(plan, EquivalencePlan):
        measured, title = system_rows(plan, box, horizon, data, seed)
    elif isinstance(plan, CompressionPlan):
        measured, title = network_rows(plan, box, horizon, data, samples, seed)
    else:
        measured, title = recurrent_rows(cast("RecurrentPlan", plan), box, horizon, data, seed)
    if tolerances is None:
        tolerances = plan.tolerances()
        if len(tolerances) == 1:
            title += "; no tolerance merges more"
    rows = []
    for number, value in enumerate(reversed(tolerances)):  # what is coarse says where to begin
        rows.append(measured(value, plan.at(value)))
        if progress is not None:
            progress(number + 1, len(tolerances))
    return Sweep(title, tuple(reversed(rows)))


def _given(eps: Iterable[float]) -> list[float]:
    """Tolerances in ascending order, each once."""
    try:
        tolerances = sorted(set(map(float, eps)))
    except (TypeError, ValueError):
        raise MethodError(f"eps={eps!r}: give tolerances, as in eps=[0, 0.1]") from None
    for value in tolerances:
        check_tolerance(value)
    return tolerances


def _usual(subject: Any) -> Any:
    """Forward equivalence for a system, AFDE for a network."""
    if isinstance(subject, ODE):
        from symlump.lumping.forward import Forward

        return Forward()
    check_network("sweep", subject)
    from symlump.compression.merging.afde import AFDE

    return AFDE(eps=0.0)


def measured_text(value: float | None, name: str) -> str:
    """What a row holds, for people: four digits; a bound is never rounded down, an accuracy is in percent.

    Examples
    --------
    >>> measured_text(0.123441, "bound"), measured_text(0.123441, "loss"), measured_text(0.5, "accuracy")
    ('0.1235', '0.1234', '50.00 %')
    """
    if value is None:
        return "–"
    if name == "accuracy":
        return f"{100 * value:.2f} %"
    return at_most(value) if name == "bound" else f"{value:.4g}"
