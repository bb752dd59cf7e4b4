"""The public sets and their traps."""

import numpy as np
import pytest

from symlump.datasets import regression
from symlump.datasets.dataset import Dataset
from symlump.errors import FileFormatError

METRO_HEADER = "holiday,temp,rain_1h,snow_1h,clouds_all,weather_main,weather_description,date_time,traffic_volume"  # noqa: E501


def metro_row(holiday, temp, rain, time, traffic, weather="Clear"):
    return f"{holiday},{temp},{rain},0.0,40,{weather},sky is clear,{time},{traffic}"


def write_metro(folder, *rows):
    import gzip

    text = "\n".join([METRO_HEADER, *rows]) + "\n"
    (folder / "metro.csv.gz").write_bytes(gzip.compress(text.encode()))


def test_metro_traps(tmp_path):
    write_metro(
        tmp_path,
        metro_row("None", 288.0, 0.0, "2012-10-02 09:00:00", 5545),
        metro_row("None", 288.0, 0.0, "2012-10-02 09:00:00", 5545, "Rain"),
        metro_row("None", 0.0, 0.0, "2012-10-02 10:00:00", 4516),
        metro_row("None", 288.0, 9831.3, "2012-10-02 11:00:00", 4000),
        metro_row("Columbus Day", 273.0, 0.0, "2012-10-08 00:00:00", 455),
        metro_row("None", 273.0, 0.0, "2012-10-08 06:00:00", 900),
    )
    data = regression.metro(tmp_path)
    assert data.targets[:, 0].tolist() == [5545, 5545, 455, 900]
    columns = {name: data.inputs[:, c] for c, name in enumerate(data.input_names)}
    assert columns["holiday"].tolist() == [0, 0, 1, 1]  # the whole day, not its first hour
    assert columns["weather=Rain"].tolist() == [0, 1, 0, 0]
    assert columns["hour (sin)"].round(3).tolist() == [0.707, 0.707, 0.0, 1.0]
    assert columns["weekday (cos)"].round(3).tolist() == [0.623, 0.623, 1.0, 1.0]  # Tuesday, Monday
    assert data.groups[0] == data.groups[1] and len(set(data.groups.tolist())) == 3


def test_repeated_rows_stay_on_one_side(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 10)).round(3)
    table = np.vstack([rows, rows[:20], rows[:10]])
    header = "RMSD," + ",".join(f"F{i}" for i in range(1, 10))
    np.savetxt(tmp_path / "casp.csv", table, delimiter=",", header=header, comments="", fmt="%.3f")
    data = regression.protein(tmp_path)
    for seed in range(5):
        train, test = data.split(seed=seed)
        assert not set(train.groups.tolist()) & set(test.groups.tolist())
        assert len(train) + len(test) == 90 and abs(len(test) - 18) <= 2


@pytest.mark.parametrize(
    ("name", "load", "text", "says"),
    [
        ("abalone.csv", regression.abalone, "", "has the columns ; expected are Sex"),
        ("abalone.csv", regression.abalone, regression._ABALONE_HEADER + "\n", "no rows"),
        (
            "abalone.csv",
            regression.abalone,
            regression._ABALONE_HEADER + "\nM,1\n",
            "line 2: 2 values",
        ),
        (
            "abalone.csv",
            regression.abalone,
            regression._ABALONE_HEADER + "\nX" + ",1" * 8,
            "M, F, I",
        ),
        (
            "abalone.csv",
            regression.abalone,
            regression._ABALONE_HEADER + "\nM" + ",?" * 8,
            "could not",
        ),
        (
            "abalone.csv",
            regression.abalone,
            regression._ABALONE_HEADER + "\nM" + ",nan" * 8,
            "line 2",
        ),
        ("casp.csv", regression.protein, "a,b\n1,2\n", "expected are RMSD, F1"),
    ],
)
def test_bad_files_are_refused(tmp_path, name, load, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(FileFormatError, match=says):
        load(tmp_path)


def test_hours_with_a_missing_minute_are_left_out():
    minutes = [b"Date;Time;a;b;c;d;e;f;g\n"]
    for hour, count in ((5, 60), (6, 59), (7, 60)):
        for minute in range(count):
            values = b";".join(b"%d.%03d" % (k, minute) for k in range(7))
            minutes.append(b"9/1/2007;%02d:%02d:00;%s\n" % (hour, minute, values))
    minutes.append(b"9/1/2007;06:59:00;?;?;?;?;?;?;\n")
    lines = regression.hourly_sums(minutes).decode().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [
        "2007-01-09 05:00:00",
        "2007-01-09 07:00:00",
    ]
    # 60·k plus 0.000 + 0.001 + … + 0.059
    assert lines[1].split(",")[1:] == [
        "1.77",
        "61.77",
        "121.77",
        "181.77",
        "241.77",
        "301.77",
        "361.77",
    ]


@pytest.mark.parametrize(
    ("load", "samples", "inputs"),
    [
        (regression.abalone, 4177, 10),
        (regression.protein, 45730, 9),
        (regression.metro, 48193, 20),
        (regression.household_power, 34085, 9),
    ],
)
def test_the_real_files(shared, load, samples, inputs):
    data = load(shared / "data")
    assert data.inputs.shape == (samples, inputs) and data.targets.shape == (samples, 1)
    assert len(data.input_names) == inputs and "Global_intensity" not in data.input_names
    assert np.isfinite(data.inputs).all() and (data.inputs.std(axis=0) > 0).all()
    train, test = data.split(seed=1)
    assert len(test) == pytest.approx(0.2 * samples, rel=0.001)
    if data.groups is not None:
        assert not set(train.groups.tolist()) & set(test.groups.tolist())
        same = np.unique(np.hstack([data.inputs, data.targets]), axis=0).shape[0]
        assert len(set(data.groups.tolist())) <= same < samples


def test_hour_and_weekday_are_what_metro_needs(shared):
    """A nearest-neighbour fit explains the traffic with the calendar and not without it."""
    from scipy.spatial import cKDTree

    train, test = regression.metro(shared / "data").sample(8000).split()
    calendar = [
        c for c, name in enumerate(train.input_names) if "hour" in name or "weekday" in name
    ]
    weather = [c for c in range(len(train.input_names)) if c not in calendar]
    errors = []
    for columns in (calendar, weather):
        _, near = cKDTree(train.inputs[:, columns]).query(test.inputs[:, columns], k=10)
        errors.append(np.mean((train.targets[near, 0].mean(axis=1) - test.targets[:, 0]) ** 2))
    assert errors[0] < 0.2 < 0.7 < errors[1]


def test_a_sample_is_part_of_the_set():
    data = Dataset(
        "d", np.arange(20.0)[:, None], np.zeros((20, 1)), ("x",), ("y",), np.arange(20) // 2
    )
    part = data.sample(5, seed=3)
    assert len(part) == 5 and (part.groups == part.inputs[:, 0] // 2).all()
    assert data.sample(20) is data


def test_a_split_with_groups_is_the_split_by_groups():
    groups = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 3])
    data = Dataset("d", np.arange(10.0)[:, None], np.zeros((10, 1)), ("x",), ("y",), groups)
    for seed in range(20):
        train, test = data.split(0.3, seed)
        assert 1 <= len(test) < 10 and not set(train.groups.tolist()) & set(test.groups.tolist())
        assert sorted(np.concatenate([train.groups, test.groups]).tolist()) == sorted(
            groups.tolist()
        )
