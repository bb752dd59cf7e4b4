"""One reduction at many tolerances: what each costs and what it buys, as a table and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symlump.compression.compression import Compression, compress, mean_squared_error
from symlump.compression.merging.afde import AFDE
from symlump.display.tables import table_html, table_text
from symlump.errors import FailureError, MethodError
from symlump.files import write_text
from symlump.lumping.equivalence import Equivalence, check_tolerance
from symlump.lumping.lump import lump
from symlump.lumping.lumping import Lumping
from symlump.network.graphs.graph import NetworkGraph
from symlump.ode.exact import FloatArray
from symlump.ode.polynomial import PolynomialODE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Tolerances of a sweep that names none, as shares of the one that merges everything that may merge.
_GRID = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)

_SIMULATIONS = 20

#: Called with how many tolerances are done, of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class SweepRow:
    """One tolerance.

    Parameters
    ----------
    eps : float
    blocks : int
        Variables of the quotient; for a network the units of its hidden layers.
    parameters : int
        Weights and biases that remain; for a system the terms of the quotient.
    defect : float
        δ, the distance of the reference model.
    bound : float or None
        The certified error, where a box was given; None also where no bound could be certified.
    observed : float or None
        The largest error seen: for a network over samples of the box, for a system over simulations.
    loss : float or None
        Mean squared error, where data was given.
    result : Lumping or Compression
    """

    eps: float
    blocks: int
    parameters: int
    defect: float
    bound: float | None
    observed: float | None
    loss: float | None
    result: Lumping | Compression


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """A table of tolerances; ``figure()`` plots it, ``largest(...)`` picks from it.

    Parameters
    ----------
    subject : str
        What was reduced and how.
    rows : tuple of SweepRow
        In ascending order of ε.
    """

    subject: str
    rows: tuple[SweepRow, ...]

    def largest(
        self, max_bound: float | None = None, max_loss: float | None = None
    ) -> Lumping | Compression:
        """The result at the largest ε that satisfies what is asked.

        Raises
        ------
        MethodError
            If nothing is asked, or the sweep was made without what is asked for.
        FailureError
            If no row satisfies it.
        """
        asked = {"bound": max_bound, "loss": max_loss}
        if max_bound is None and max_loss is None:
            raise MethodError("largest(max_bound=…) or largest(max_loss=…): say what is to be kept")
        for name, limit in asked.items():
            if limit is not None and all(getattr(row, name) is None for row in self.rows):
                raise MethodError(f"this sweep has no {name}; give sweep a box (or data)")
        for row in reversed(self.rows):
            values = [(getattr(row, name), limit) for name, limit in asked.items()]
            if all(limit is None or (v is not None and v <= limit) for v, limit in values):
                return row.result
        raise FailureError("no tolerance of this sweep satisfies that; add smaller ones")

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        optional = [n for n in ("bound", "observed", "loss") if self._has(n)]
        title = {"bound": "certified bound", "observed": "observed error", "loss": "loss"}
        size = (
            "terms" if all(isinstance(row.result, Lumping) for row in self.rows) else "parameters"
        )
        header = ("ε", "blocks", size, "defect δ", *(title[n] for n in optional))
        rows = [
            (
                f"{row.eps:.4g}",
                str(row.blocks),
                str(row.parameters),
                f"{row.defect:.4g}",
                *(_number(getattr(row, name)) for name in optional),
            )
            for row in self.rows
        ]
        return header, rows

    def _has(self, name: str) -> bool:
        return any(getattr(row, name) is not None for row in self.rows)

    def to_csv(self, path: str | Path | None = None) -> str:
        """All columns as CSV text; written to a file too, if one is named."""
        columns = ("eps", "blocks", "parameters", "defect", "bound", "observed", "loss")
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
        """Blocks and errors against ε.

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed.
        """
        from symlump.display.sweep_picture import draw_sweep

        return draw_sweep(self)

    def __str__(self) -> str:
        return self.subject + "\n" + table_text(*self._table())

    def __repr__(self) -> str:
        return f"<Sweep: {self.subject}, {len(self.rows)} tolerances>"

    def _repr_html_(self) -> str:
        return f"<p>{self.subject}</p>" + table_html(*self._table())


def sweep(
    subject: Any,
    eps: Iterable[float] | None = None,
    method: Any = None,
    *,
    initial: Any = None,
    box: Any = None,
    horizon: float | None = None,
    data: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    samples: int = 2000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Sweep:
    """Reduce a system or a network at several tolerances.

    Parameters
    ----------
    subject : PolynomialODE, torch module or Network
    eps : iterable of float, optional
        The tolerances; default: shares of the smallest one that merges all that may merge.
    method : method object, optional
        Forward(…), Backward(…) or AFDE(…); its own ε plays no role. Default: Forward() for a system,
        AFDE for a network.
    initial : optional
        For a system: what must never merge, as for :func:`symlump.lump`.
    box : optional
        Where bounds hold. Network: inputs, as for ``Compression.bound``. System: initial states, as for
        ``Lumping.bound``, with ``horizon``.
    horizon : float, optional
        For a system: how long a bound holds.
    data : (inputs, targets), optional
        For a network: data to measure the loss on.
    samples, seed : int
        Of the inputs on which the observed error is taken.
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
    """
    if isinstance(subject, PolynomialODE):
        run, title = _system(subject, method, initial, box, horizon, data, samples, seed)
    else:
        run, title = _network(subject, method, box, horizon, data, samples, seed)
    try:
        tolerances = _default_grid(run) if eps is None else sorted(set(map(float, eps)))
    except (TypeError, ValueError):
        raise MethodError(f"eps={eps!r}: give tolerances, as in eps=[0, 0.1]") from None
    for value in tolerances:
        check_tolerance(value)
    rows = []
    for number, value in enumerate(tolerances):
        rows.append(run(value, True))
        if progress is not None:
            progress(number + 1, len(tolerances))
    return Sweep(title, tuple(rows))


_Run = Callable[[float, bool], SweepRow]


def _default_grid(run: _Run) -> list[float]:
    fewest, low, high = run(1e12, False).blocks, 0.0, 1e-6
    while run(high, False).blocks > fewest:
        low, high = high, high * 4
    for _ in range(6):
        middle = (low + high) / 2
        low, high = (low, middle) if run(middle, False).blocks == fewest else (middle, high)
    return [float(f"{share * high:.3g}") for share in _GRID]


def _system(
    ode: PolynomialODE,
    method: Any,
    initial: Any,
    box: Any,
    horizon: float | None,
    data: Any,
    samples: int,
    seed: int,
) -> tuple[_Run, str]:
    from symlump.lumping.forward import Forward

    method = Forward() if method is None else method
    if not isinstance(method, Equivalence):
        raise MethodError(f"a system is swept with Forward() or Backward(); got {method!r}")
    if data is not None:
        raise MethodError("data belongs to networks; a system takes box and horizon")
    if (box is None) != (horizon is None):
        raise MethodError("a bound for a system needs both a box of initial states and a horizon")

    def run(eps: float, measured: bool) -> SweepRow:
        lumping = lump(ode, replace(method, eps=eps), initial)
        bound = observed = None
        if measured and box is not None and horizon is not None:
            bound, observed = _system_errors(lumping, horizon, box, seed)
        quotient = lumping.quotient
        return SweepRow(
            eps, len(quotient), quotient.terms, lumping.defect, bound, observed, None, lumping
        )

    relative = " relative" if method.relative else ""
    kind = f"by{relative} ε-{method.direction} equivalence ({method.linkage})"
    return run, f"{len(ode)} variables, {kind}"


def _network(
    model: Any,
    method: Any,
    box: Any,
    horizon: float | None,
    data: tuple[npt.ArrayLike, npt.ArrayLike] | None,
    samples: int,
    seed: int,
) -> tuple[_Run, str]:
    method = AFDE(eps=0.0) if method is None else method
    if not isinstance(method, AFDE):
        raise MethodError(f"a network is swept with AFDE(…); got {method!r}")
    if horizon is not None:
        raise MethodError("horizon belongs to systems; a network takes box or data")

    def run(eps: float, measured: bool) -> SweepRow:
        result = compress(model, replace(method, eps=eps, retain=None))
        bound = observed = loss = None
        if measured:
            observed = _observed(result, box, samples, seed)
            bound = None if box is None else _network_bound(result, box)
            loss = None if data is None else mean_squared_error(result.network, *data)
        units = _hidden_units(result)
        kept = result.retained_parameters
        return SweepRow(eps, units, kept, result.defect, bound, observed, loss, result)

    original = compress(model, replace(method, eps=0.0, retain=None)).original
    if isinstance(original, NetworkGraph) and (box is not None or data is not None):
        raise MethodError("box and data are for chains of dense layers; this network is a graph")
    return run, f"{repr(original).strip('<>')}, by {method.label}"


def _hidden_units(result: Compression) -> int:
    if not isinstance(result.network, NetworkGraph):
        return sum(layer.outputs for layer in result.network.hidden)
    graph = result.network
    return sum(layer.outputs for layer in graph.layers if layer.name not in graph.outputs)


def _observed(result: Compression, box: Any, samples: int, seed: int) -> float:
    """The largest difference of outputs over samples, uniform in the box or else standard normal."""
    if isinstance(result.original, NetworkGraph):
        from symlump.compression.merging.graph_effect import observed_graph_difference

        return observed_graph_difference(result.original, result.network, seed).largest
    generator = np.random.default_rng(seed)
    shape = (samples, result.original.inputs)
    if box is None:
        x: FloatArray = generator.standard_normal(shape)
    else:
        from symlump.network.intervals import as_box

        inputs = as_box(box, result.original.inputs)
        x = generator.uniform(inputs.lower, inputs.upper, shape)
    return float(np.abs(result.original(x) - result.network(x)).max())


def _network_bound(result: Compression, box: Any) -> float | None:
    """The certified bound on the difference of outputs, or None where nothing could be certified."""
    try:
        return float(result.bound(box).largest)
    except FailureError:
        return None


def _system_errors(
    lumping: Lumping, horizon: float, box: Any, seed: int
) -> tuple[float | None, float | None]:
    """The certified bound and the observed error of a quotient."""
    try:
        bound = lumping.bound(horizon, box, samples=_SIMULATIONS, seed=seed)
    except FailureError:
        return None, None
    assert bound.observed is not None
    return float(bound.value), float(bound.observed.largest.max())


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
