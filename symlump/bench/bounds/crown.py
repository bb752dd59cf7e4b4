"""How tight and how fast bounds of wide networks are: beside CROWN on the network of the difference.

That network computes f − f̂: the layers of both side by side, the last ones with opposite signs. CROWN carries
rows of coefficients backward through it, with one line below and one above each activation. It is computed in
floats, so it is a yardstick and no certificate. Here it is a few lines of numpy, for tanh alone; auto_LiRPA,
which is for networks of any kind, is measured beside it where it can be imported.

References
----------
Zhang, Weng, Chen, Hsieh, Daniel, arXiv:1811.00866.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from symlump.bench.kept.table import KeptTable
from symlump.memory import peak_memory, resident_memory
from symlump.ode.exact import FloatArray

if TYPE_CHECKING:
    from symlump.network.network import Network

#: The widths that are measured where none is asked for, and that the targets are meant for.
WIDTHS = (64, 256, 1024)
_INPUTS, _OUTPUTS = 8, 2
_SAMPLES = 100_000
_RUNS = 3


@dataclass(frozen=True)
class CrownRow:
    """One network 8–w–w–2 of tanh units, compressed by AFDE to half of its parameters, for inputs in [−1, 1]⁸.

    Parameters
    ----------
    width : int
        w.
    bound, crown : float
        What is certified, with the box cut as often as by default, and what CROWN gives on the whole box.
    uncut : float
        What is certified on the whole box.
    sampled : float
        The largest difference on 100 000 samples.
    bound_seconds : float
        Of the processor, for ``bound``; one run.
    seconds, crown_seconds : float
        Of the processor, for the whole box; the least of three runs by turns.
    spread : float
        The most of them by the least.
    peak : float
        Additional memory at the peak, in MB.
    lirpa, lirpa_seconds, lirpa_made : float, optional
        What CROWN gives by auto_LiRPA, seconds of the processor of one call (the least of three by turns with
        the others), and those for reading both networks into it before; None where it cannot be imported.
    """

    width: int
    bound: float
    crown: float
    uncut: float
    sampled: float
    bound_seconds: float
    seconds: float
    crown_seconds: float
    spread: float
    peak: float
    lirpa: float | None = None
    lirpa_seconds: float | None = None
    lirpa_made: float | None = None

    @property
    def judged(self) -> bool:
        """Whether the targets are meant for this width."""
        return self.width in WIDTHS


def measure(widths: Sequence[int], seed: int = 0) -> Iterator[CrownRow]:
    """Compress and bound one network of each width.

    Examples
    --------
    >>> (row,) = measure([8])
    >>> row.sampled <= row.bound <= row.uncut <= row.crown
    True
    """
    from symlump.bench.bounds.lirpa import can_import, prepare
    from symlump.compression.compress import compress
    from symlump.compression.merging.afde import AFDE
    from symlump.network.network import Network

    for width in widths:
        rng = np.random.default_rng(seed)
        sizes = (_INPUTS, width, width, _OUTPUTS)
        weights = [
            rng.standard_normal((after, before)) / np.sqrt(before)
            for before, after in zip(sizes, sizes[1:], strict=False)
        ]
        small = compress(Network.dense(weights, activation="tanh"), AFDE(retain=0.5))
        f, g = small.original, small.network
        before = resident_memory() or peak_memory()
        start = time.process_time()
        bound = small.bound((-1, 1)).largest
        cut = time.process_time() - start
        peak = (peak_memory() - before) / 1e6
        x = rng.uniform(-1, 1, (_SAMPLES, _INPUTS))
        sampled = max(
            float(np.abs(f(part) - g(part)).max()) for part in np.array_split(x, 1 + width // 16)
        )
        ours, theirs, uncut, other = [], [], 0.0, 0.0
        there = can_import()  # to import it takes seconds, which are not counted
        start = time.process_time()
        by_lirpa = prepare(f, g) if there else None
        made = time.process_time() - start
        lirpas, value = [], None
        for _ in range(_RUNS):
            if by_lirpa:
                start = time.process_time()
                value = float(by_lirpa().max())
                lirpas.append(time.process_time() - start)
            start = time.process_time()
            other = float(crown(f, g).max())
            theirs.append(time.process_time() - start)
            start = time.process_time()
            uncut = small.bound((-1, 1), splits=0).largest
            ours.append(time.process_time() - start)
        least, most = min(ours), max(ours)
        yield CrownRow(
            width, bound, other, uncut, sampled, cut, least, min(theirs), most / least, peak,
            value, min(lirpas, default=None), made if lirpas else None,
        )  # fmt: skip


def crown(f: Network, g: Network, half: float = 1.0) -> FloatArray:
    """For each output the largest \\|f − g\\| on [−half, half]ⁿ by CROWN, of two tanh networks.

    Examples
    --------
    >>> from symlump.network.network import Network
    >>> f, g = (Network.dense([[[a]], [[1.0]]], activation="tanh") for a in (1.0, 0.5))
    >>> bool(np.tanh(1.0) - np.tanh(0.5) <= crown(f, g)[0])
    True
    """
    one, two = (network.dense_chain("crown").layers for network in (f, g))
    weights: list[FloatArray] = []
    biases: list[FloatArray] = []
    for number, (a, b) in enumerate(zip(one, two, strict=True)):
        shift = [np.zeros(k.units) if k.bias is None else k.bias for k in (a, b)]
        if number == len(one) - 1:
            weights.append(np.hstack([a.weight, -b.weight]))
            biases.append(shift[0] - shift[1])
            continue
        joined = np.zeros((a.units + b.units, a.weight.shape[1] + b.weight.shape[1]))
        joined[: a.units, : a.weight.shape[1]] = a.weight
        joined[a.units :, a.weight.shape[1] :] = b.weight
        weights.append(joined if number else np.vstack([a.weight, b.weight]))
        biases.append(np.concatenate(shift))
    lines: list[tuple[FloatArray, ...]] = []
    low, high = np.zeros(0), np.zeros(0)
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        ends = []
        for sign in (1.0, -1.0):  # from above, and from below
            row, constant = sign * weight, sign * bias
            for k in reversed(range(number)):
                lower_slope, lower, upper_slope, upper = lines[k]
                up, down = np.maximum(row, 0.0), np.minimum(row, 0.0)
                constant = constant + up @ upper + down @ lower
                row = up * upper_slope + down * lower_slope
                constant = constant + row @ biases[k]
                row = row @ weights[k]
            ends.append(sign * (constant + half * np.abs(row).sum(axis=1)))
        high, low = ends
        lines.append(_tanh_lines(low, high))
    return np.maximum(high, -low)


def _tanh_lines(low: FloatArray, high: FloatArray) -> tuple[FloatArray, ...]:
    """Slope and constant of a line below tanh on an interval, and of one above."""
    below = _line_above(-high, -low)  # tanh is odd
    above = _line_above(low, high)
    return below[0], -below[1], above[0], above[1]


def _line_above(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The chord where it is above, else a tangent: at the middle, or through the lower end."""
    at_low, at_high = np.tanh(low), np.tanh(high)
    wide = high - low > 1e-9
    chord = np.where(wide, (at_high - at_low) / np.where(wide, high - low, 1.0), 1 - at_low**2)
    # where the tangent through the lower end touches: its slope falls with the point
    left, right = np.maximum(low, 0.0), np.maximum(high, 0.0)
    for _ in range(30):
        middle = (left + right) / 2
        value = np.tanh(middle)
        over = value - (1 - value**2) * (middle - low) >= at_low  # touches at or left of it
        left, right = np.where(over, left, middle), np.where(over, middle, right)
    point = np.where(low >= 0, (low + high) / 2, right)
    value = np.tanh(point)
    tangent = 1 - value**2
    # the chord is above tanh where the slope at the upper end is not below it
    by_chord = (high <= 0) | (1 - at_high**2 >= chord)
    slope = np.where(by_chord & (low < 0), chord, tangent)
    constant = np.where(by_chord & (low < 0), at_low - chord * low, value - tangent * point)
    return slope, constant


HEADER = (
    "width", "bound", "uncut", "CROWN", "sampled", "bound / sampled", "≤ 100 ×", "never looser", "bound, s",
    "uncut, s", "CROWN, s", "time / CROWN", "target", "reached", "auto_LiRPA", "its s", "to make it, s",
    "time / it", "≤ 3 ×", "max/min", "peak, MB",
)  # fmt: skip


def cells(row: CrownRow) -> tuple[str, ...]:
    """One line of the table; the targets are for the times, beside either CROWN, and for what is certified."""
    ratio = row.seconds / row.crown_seconds
    lirpa: tuple[str, ...] = ("–",) * 5
    if row.lirpa is not None and row.lirpa_seconds is not None and row.lirpa_made is not None:
        by = row.seconds / row.lirpa_seconds
        times = f"{row.lirpa_seconds:.3g}", f"{row.lirpa_made:.3g}", f"{by:.1f} ×"
        lirpa = f"{row.lirpa:.3g}", *times, _judge(row, by <= 3)
    return (
        str(row.width),
        *(f"{value:.3g}" for value in (row.bound, row.uncut, row.crown, row.sampled)),
        f"{row.bound / row.sampled:.0f} ×",
        _judge(row, row.bound <= 100 * row.sampled),
        _judge(row, max(row.bound, row.uncut) <= min(row.crown, row.lirpa or row.crown)),
        f"{row.bound_seconds:.3g}",
        f"{row.seconds:.3g}",
        f"{row.crown_seconds:.3g}",
        f"{ratio:.1f} ×",
        "≤ 3" if row.judged else "–",
        _judge(row, ratio <= 3),
        *lirpa,
        f"{row.spread:.2f}",
        f"{row.peak:.0f}",
    )


def _judge(row: CrownRow, reached: bool) -> str:
    return ("yes" if reached else "no") if row.judged else "–"


TABLE = KeptTable("bounds", CrownRow, HEADER, cells, ("width",))
