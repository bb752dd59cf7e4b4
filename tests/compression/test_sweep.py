"""Sweeps and searches: every column means what it says."""

import csv
import io

import numpy as np
import pytest

import symlump as sl
from symlump.cli.main import main
from symlump.datasets.systems import h_tree
from symlump.errors import FailureError, MethodError


def network(seed=0, units=10):
    generator = np.random.default_rng(seed)
    shapes = ((units, 3), (units, units), (2, units))
    return sl.Network.dense([generator.normal(size=shape) for shape in shapes])


@pytest.fixture(scope="module")
def circuit():
    ode = h_tree(4, 0.01)
    box = dict.fromkeys(ode.variables, (0.0, 0.1))
    return sl.sweep(ode, [6e-4, 0, 1e9], sl.Backward(), box=box, horizon=2.0)


def test_a_system_over_tolerances(circuit):
    assert [row.eps for row in circuit.rows] == [0, 6e-4, 1e9]
    assert [row.blocks for row in circuit.rows] == [15, 4, 1]
    assert circuit.rows[0].bound == 0 and circuit.rows[0].defect == 0
    for row in circuit.rows:
        assert row.result.quotient.terms == row.parameters
        assert row.observed <= row.bound + 1e-9
    assert circuit.largest(max_bound=1e-3).method.eps == 6e-4
    with pytest.raises(MethodError, match="has no loss"):
        circuit.largest(max_loss=1.0)
    assert "certified bound" in str(circuit) and "<table>" in circuit._repr_html_()


def test_a_network_over_tolerances(tmp_path):
    net = network()
    x = np.random.default_rng(1).uniform(-1, 1, (200, 3))
    table = sl.sweep(net, [0, 0.1, 0.5], box=(-1, 1), data=(x, net(x)))
    assert table.rows[0].blocks == 20 and table.rows[0].loss < 1e-25
    assert [row.parameters for row in table.rows] == sorted(
        (row.parameters for row in table.rows), reverse=True
    )
    for row in table.rows:
        assert row.observed <= row.bound
        assert row.loss == row.result.mean_squared_error(x, net(x))
    best = table.largest(max_loss=table.rows[1].loss)
    assert best.eps == 0.1
    read = list(csv.DictReader(io.StringIO(table.to_csv(tmp_path / "t.csv"))))
    assert (tmp_path / "t.csv").read_text().startswith("eps,blocks,parameters,defect,bound")
    assert float(read[2]["bound"]) == table.rows[2].bound
    with pytest.raises(FailureError, match="no tolerance of this sweep"):
        table.largest(max_loss=-1.0)


def test_tolerances_are_found_if_none_are_given():
    table = sl.sweep(h_tree(3, 0.01), method=sl.Backward())
    assert table.rows[0].blocks == 7 and table.rows[-1].blocks == 1
    axes = table.figure().axes
    assert len(axes) == 2 and axes[0].lines[0].get_ydata().tolist()[0] == 7


def test_searching_by_size_bound_and_loss():
    ode = h_tree(3, 0.01)
    assert len(sl.search(ode, sl.Backward(), retain=0.5).partition) == 3
    box = dict.fromkeys(ode.variables, (0.0, 0.1))
    found = sl.search(ode, sl.Backward(), max_bound=1e-3, box=box, horizon=1.0)
    assert len(found.partition) == 3 and found.bound(1.0, box, samples=0).value <= 1e-3
    net = network()
    x = np.random.default_rng(1).uniform(-1, 1, (100, 3))
    half = sl.search(net, sl.AFDE(eps=0), retain=0.5)
    assert half.retained <= 0.5
    cheap = sl.search(net, sl.AFDE(eps=0), max_loss=0.05, data=(x, net(x)))
    assert 0 < cheap.mean_squared_error(x, net(x)) <= 0.05
    sure = sl.search(net, sl.AFDE(eps=0), max_bound=1.0, box=(-0.2, 0.2))
    assert sure.bound((-0.2, 0.2)).largest <= 1.0 and sure.retained < 1


def test_wishes_that_make_no_sense():
    net, ode = network(), h_tree(2)
    for subject, method, wish, says in (
        (net, sl.AFDE(eps=0), {}, "exactly one of retain"),
        (net, sl.AFDE(eps=0), {"max_loss": 1.0}, "max_loss with data"),
        (net, sl.AFDE(eps=0), {"max_bound": 1.0}, "max_bound goes with box"),
        (net, sl.Forward(), {"retain": 0.5}, "AFDE"),
        (ode, sl.Backward(), {"max_loss": 1.0, "data": ([], [])}, "no loss"),
        (ode, sl.Backward(), {"max_bound": 1.0, "box": {}}, "horizon"),
    ):
        with pytest.raises(MethodError, match=says):
            sl.search(subject, method, **wish)
    for subject, options, says in (
        (ode, {"data": ([], [])}, "data belongs to networks"),
        (ode, {"box": {}}, "both a box of initial states and a horizon"),
        (net, {"horizon": 1.0}, "horizon belongs to systems"),
        (net, {"method": sl.Forward()}, "swept with AFDE"),
        (net, {"eps": [-1.0]}, "finite number, 0 or larger"),
    ):
        with pytest.raises(MethodError, match=says):
            sl.sweep(subject, **{"eps": [0.0], **options})


def test_command_line(tmp_path, capsys):
    model, table = tmp_path / "m.ode", tmp_path / "t.csv"
    sl.write(h_tree(3, 0.01), model)
    sweep = ["sweep", str(model), "--method", "backward"]
    assert main([*sweep, "--breakpoints", "--csv", str(table)]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("ε")
    assert [row["blocks"] for row in csv.DictReader(table.read_text().splitlines())] == [
        "7",
        "6",
        "5",
        "4",
        "3",
        "2",
        "1",
    ]
    assert (
        main([*sweep, "--eps", "0,6e-4", "--horizon", "1", "--picture", str(tmp_path / "p.png")])
        == 0
    )
    assert "certified bound" in capsys.readouterr().out
    assert (tmp_path / "p.png").read_bytes()[1:4] == b"PNG"
    assert main([*sweep, "--eps", "0,much"]) == 2
    assert "is not a list of numbers" in capsys.readouterr().err
    assert main([*sweep, "--eps", "0", "--breakpoints"]) == 2
