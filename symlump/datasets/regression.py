"""Four public regression sets, read without any trap that is known of them.

They come from a local folder, named by an argument or by the environment variable ``SYMLUMP_DATA``,
else from the UCI Machine Learning Repository (CC BY 4.0), verified and kept in ``~/.cache/symlump``.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import islice
from pathlib import Path

import numpy as np

from symlump.datasets.dataset import Dataset
from symlump.datasets.fetch import PublicFile, locate, read_text
from symlump.errors import FileFormatError
from symlump.ode.exact import FloatArray

_UCI = "https://archive.ics.uci.edu/static/public/"
_ABALONE_HEADER = (
    "Sex,Length,Diameter,Height,Whole_weight,Shucked_weight,Viscera_weight,Shell_weight,Rings"
)
_POWER_COLUMNS = (
    "Global_active_power",
    "Global_reactive_power",
    "Voltage",
    "Global_intensity",
    "Sub_metering_1",
    "Sub_metering_2",
    "Sub_metering_3",
)


def abalone(folder: str | Path | None = None) -> Dataset:
    """Age of abalone (rings) from seven measurements and the sex: 4177 samples, 10 inputs.

    Lengths in mm/200, weights in g/200 as published; the sex becomes three columns of 0 and 1.

    Raises
    ------
    FailureError
        If the file is not at hand and cannot be downloaded.

    References
    ----------
    Nash, Sellers, Talbot, Cawthorn, Ford (1994), UCI, doi:10.24432/C55C7W.
    """
    path = locate(ABALONE, folder)
    header, rows = _table(path, _ABALONE_HEADER.split(","))
    sexes = ("M", "F", "I")
    sex = np.array([[row[0] == s for s in sexes] for row in rows], dtype=np.float64)
    if not sex.any(axis=1).all():
        raise FileFormatError(f"{path}: the first column, Sex, is one of M, F, I")
    numbers = _numbers(path, [row[1:] for row in rows])
    return Dataset(
        "Abalone",
        np.hstack([sex, numbers[:, :-1]]),
        numbers[:, -1:],
        (*(f"Sex={s}" for s in sexes), *header[1:-1]),
        (header[-1],),
    )


def protein(folder: str | Path | None = None) -> Dataset:
    """Deviation (RMSD, Å) of protein models from nine physicochemical properties: 45 730 samples.

    Known as CASP. Many rows occur twice; rows with equal inputs form one group, which
    :meth:`Dataset.split` keeps on one side.

    Raises
    ------
    FailureError
        If the file is not at hand and cannot be downloaded.

    References
    ----------
    Rana (2013), UCI, doi:10.24432/C5QW3H.
    """
    path = locate(PROTEIN, folder)
    header, rows = _table(path, ["RMSD", *(f"F{i}" for i in range(1, 10))])
    numbers = _numbers(path, rows)
    inputs = numbers[:, 1:]
    _, groups = np.unique(inputs, axis=0, return_inverse=True)
    return Dataset("PROTEIN", inputs, numbers[:, :1], header[1:], header[:1], groups.ravel())


def metro(folder: str | Path | None = None) -> Dataset:
    """Hourly traffic on an interstate road from weather, hour and weekday: 48 193 samples, 20 inputs.

    The eleven rows with a temperature of 0 K or with the impossible 9831.3 mm of rain are left out. The
    holiday column says the text "None" on ordinary days, and names a holiday in its first hour only; here
    the whole day counts. Hours with several weather reports occur several times with the same traffic, and
    form one group, which :meth:`Dataset.split` keeps on one side.

    Raises
    ------
    FailureError
        If the file is not at hand and cannot be downloaded.

    References
    ----------
    Hogue (2019), UCI, doi:10.24432/C5X60B.
    """
    path = locate(METRO, folder)
    names = ["temp", "rain_1h", "snow_1h", "clouds_all"]
    header, rows = _table(
        path,
        ["holiday", *names, "weather_main", "weather_description", "date_time", "traffic_volume"],
    )
    numbers = _numbers(path, [[*row[1:5], row[8]] for row in rows])
    keep = np.flatnonzero((numbers[:, 0] > 0) & (numbers[:, 1] < 1000))
    times = _times(path, [row[7] for row in rows])
    holidays = {t.date() for t, row in zip(times, rows, strict=True) if row[0] != "None"}
    weather = sorted({row[5] for row in rows})
    inputs = np.hstack(
        [
            numbers[:, :4],
            np.array([[row[5] == w for w in weather] for row in rows], dtype=np.float64),
            _calendar(times, holidays),
        ]
    )
    _, groups = np.unique([row[7] for row in rows], return_inverse=True)
    return Dataset(
        "Metro",
        inputs[keep],
        numbers[keep, 4:],
        (*names, *(f"weather={w}" for w in weather), *_CALENDAR, "holiday"),
        ("traffic_volume",),
        groups.ravel()[keep],
    )


def household_power(folder: str | Path | None = None) -> Dataset:
    """Energy a household uses in an hour from the rest of its meter: 34 085 samples, 9 inputs.

    Known as HEPC. Sums over complete hours (a value of 60 is a mean of 1 kW, say). The current,
    Global_intensity, is left out: with it the task is a multiplication by the voltage.

    Raises
    ------
    FailureError
        If the file is not at hand and cannot be downloaded.

    References
    ----------
    Hebrail, Berard (2012), UCI, doi:10.24432/C58K54.
    """
    path = locate(HOUSEHOLD_POWER, folder)
    header, rows = _table(path, ["datetime", *_POWER_COLUMNS])
    numbers = _numbers(path, [row[1:] for row in rows])
    used = [1, 2, 4, 5, 6]
    inputs = np.hstack([numbers[:, used], _calendar(_times(path, [row[0] for row in rows]))])
    return Dataset(
        "HEPC",
        inputs,
        numbers[:, :1],
        (*(_POWER_COLUMNS[c] for c in used), *_CALENDAR),
        _POWER_COLUMNS[:1],
    )


_CALENDAR = ("hour (cos)", "hour (sin)", "weekday (cos)", "weekday (sin)")


def _calendar(times: Sequence[datetime], holidays: set[date] | None = None) -> FloatArray:
    """Hour of the day and day of the week as points on circles; whether the day is a holiday."""
    angles = 2 * np.pi * np.array([[t.hour / 24, t.weekday() / 7] for t in times])
    columns = [f(angles[:, c]) for c in (0, 1) for f in (np.cos, np.sin)]
    if holidays is not None:
        columns.append(np.array([t.date() in holidays for t in times], dtype=np.float64))
    return np.stack(columns, axis=1)


def _table(path: Path, expected: Sequence[str]) -> tuple[tuple[str, ...], list[list[str]]]:
    """The header and the rows of a comma-separated file with the expected columns."""
    lines = list(csv.reader(read_text(path).splitlines()))
    header, rows = lines[0] if lines else [], lines[1:]
    if header != list(expected):
        raise FileFormatError(
            f"{path} has the columns {', '.join(header)}; expected are {', '.join(expected)}"
        )
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise FileFormatError(f"{path}, line {number}: {len(row)} values, not {len(header)}")
    if not rows:
        raise FileFormatError(f"{path} has a header and no rows")
    return tuple(header), rows


def _numbers(path: Path, rows: Sequence[Sequence[str]]) -> FloatArray:
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise FileFormatError(f"{path}: {error}") from None
    if not np.isfinite(values).all():
        line = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0]) + 2
        raise FileFormatError(f"{path}, line {line}: a value is missing or infinite")
    return values


def _times(path: Path, texts: Iterable[str]) -> list[datetime]:
    try:
        return [datetime.fromisoformat(text) for text in texts]
    except ValueError as error:
        raise FileFormatError(f"{path}: {error}") from None


def _with_header(lines: Iterable[bytes]) -> bytes:
    return _ABALONE_HEADER.encode() + b"\n" + b"".join(lines)


def _unpacked(lines: Iterable[bytes]) -> bytes:
    return gzip.decompress(b"".join(lines))


def hourly_sums(lines: Iterable[bytes]) -> bytes:
    """Sums of the minutes' values over complete hours, as exact decimals.

    Parameters
    ----------
    lines : iterable of bytes
        As published: date;time;seven values, "?" for a missing one; a header first.

    Examples
    --------
    >>> minutes = [b"header"] + [b"16/12/2006;18:%02d:00;1.5;0;2;0;0;0;?" % m for m in range(60)]
    >>> hourly_sums(minutes).splitlines()[1:]
    []
    >>> hourly_sums([line.replace(b"?", b"0.25") for line in minutes]).splitlines()[1]
    b'2006-12-16 18:00:00,90,0,120,0,0,0,15'
    """
    hours: dict[bytes, list[int]] = {}
    for line in islice(lines, 1, None):
        day, time, *values = line.strip().split(b";")
        if b"?" in values or b"" in values:
            continue
        sums = hours.setdefault(day + b";" + time[:2], [0] * (len(_POWER_COLUMNS) + 1))
        sums[0] += 1
        for place, value in enumerate(values, start=1):
            sums[place] += round(float(value) * 1000)  # published with at most three decimals
    text = ["datetime," + ",".join(_POWER_COLUMNS)]
    for hour, (count, *sums) in hours.items():
        if count == 60:
            start = datetime.strptime(hour.decode(), "%d/%m/%Y;%H")
            text.append(",".join([str(start), *(_thousandths(value) for value in sums)]))
    return ("\n".join(text) + "\n").encode()


def _thousandths(value: int) -> str:
    return f"{value // 1000}.{value % 1000:03d}".rstrip("0").rstrip(".")


ABALONE = PublicFile(
    "abalone.csv",
    _UCI + "1/abalone.zip",
    "abalone.data",
    "add76d88a9dd9c7a9f147dd005725ce19dbfdf352877df9d28703486742d35a2",
    _with_header,
)
PROTEIN = PublicFile(
    "casp.csv",
    _UCI + "265/physicochemical+properties+of+protein+tertiary+structure.zip",
    "CASP.csv",
    "4277cfcb4e91a181746cbc654f001b57951c9e6a80f4f795fdb5c807e0848f40",
)
METRO = PublicFile(
    "metro.csv.gz",
    _UCI + "492/metro+interstate+traffic+volume.zip",
    "Metro_Interstate_Traffic_Volume.csv.gz",
    "3ec6b8844c4e5e20904855c81079a30e4342da20b7010e78606a244e539f29f6",
    _unpacked,
)
HOUSEHOLD_POWER = PublicFile(
    "hepc_hourly.csv.gz",
    _UCI + "235/individual+household+electric+power+consumption.zip",
    "household_power_consumption.txt",
    "ab09705e2e6eeb29eb5813b03d2c9d79856c783b5235d29d1a45c2f1ee8fe283",
    hourly_sums,
)
