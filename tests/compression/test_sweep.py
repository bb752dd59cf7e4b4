"""Sweeps and searches: every column means what it says."""

import csv
import io
import subprocess
import sys

import numpy as np
import pytest
import sympy
import torch
from compression.residual_network import Residual

import symlump as sl
from symlump.cli.main import main
from symlump.datasets.systems import h_tree
from symlump.errors import FailureError, MethodError, VariableError


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


def test_what_no_tolerance_merges_is_said():
    ode = h_tree(3, 0.01)
    table = sl.sweep(ode, initial=[[name] for name in ode.variables])
    assert [row.eps for row in table.rows] == [0] and "no tolerance merges more" in str(table)


def test_tolerances_fit_small_coefficients():
    """Of x' = -2⁻⁴⁰·x and y' = -2⁻³⁹·y the tolerance that merges is about 2⁻⁴⁰, not 10⁻⁶."""
    x, y = sympy.symbols("x y")
    ode = sl.PolynomialODE.from_sympy({x: -x / 2**40, y: -2 * y / 2**40})
    last = sl.sweep(ode, method=sl.Backward()).rows[-1]
    assert last.blocks == 1 and 2**-40 <= last.eps < 1.05 * 2**-40


def test_linear_lumpings_over_tolerances():
    ode = h_tree(4, 0.01)
    steps = sl.Constrained("v1_1").plan(ode).steps()
    table = sl.sweep(ode, method=sl.Constrained("v1_1"))
    assert [(row.eps, row.blocks) for row in table.rows] == [
        (step.eps, step.dimension) for step in reversed(steps)
    ]
    assert len(table.rows) == 3 and table.rows[0].result.exact
    for row in table.rows:
        assert row.defect == row.result.defect <= row.eps
        assert row.blocks == len(row.result) and row.parameters == row.result.quotient.terms
    assert str(table).splitlines()[1].split()[:3] == ["ε", "dimension", "terms"]
    assert table.figure().axes[0].get_ylabel() == "dimension"
    given = sl.sweep(ode, [1.0, 0], method=sl.Constrained("v1_1"))
    assert [row.blocks for row in given.rows] == [3, 1]
    with pytest.raises(VariableError, match="v9"):
        sl.sweep(ode, method=sl.Constrained("v9"))
    with pytest.raises(MethodError, match="has no bound"):
        table.largest(max_bound=1.0)


def test_many_dimensions_are_thinned(monkeypatch):
    names = sympy.symbols("x1:41")
    chain = {x: -x + y / (k + 2) for k, (x, y) in enumerate(zip(names, names[1:], strict=False))}
    ode = sl.PolynomialODE.from_sympy(chain | {names[-1]: -names[-1]})
    steps = sl.Constrained("x1").plan(ode).steps()
    table = sl.sweep(ode, method=sl.Constrained("x1"))
    assert table.rows[0].blocks == 40 and table.rows[-1].blocks == 1
    assert len(table.rows) == 30 < len(steps)
    monkeypatch.setattr("symlump.lumping.linear.approximate._MOST_TERMS", 20**2)
    factored = sl.sweep(
        ode, method=sl.Constrained("x1")
    )  # those that are not written out are rows, too
    assert [row.blocks for row in factored.rows] == [row.blocks for row in table.rows]
    assert "as factors of" in str(factored.rows[1].result.quotient)


def test_a_network_with_branches_and_convolutions():
    torch.manual_seed(0)
    model, example = Residual().eval(), torch.zeros(1, 1, 8, 8)
    table = sl.sweep(model, [0, 1.0, 1e6], example=example)
    assert [row.blocks for row in table.rows][::2] == [8, 2]
    assert table.rows[0].observed == 0 < table.rows[2].observed
    assert isinstance(table.rows[2].result.model, torch.nn.Module)
    graph = table.rows[0].result.original
    again = sl.sweep(graph, [0, 1.0, 1e6])
    assert again.to_csv() == table.to_csv()
    (boxed,) = sl.sweep(model, [1.0], example=example[..., :3, :3], box=(-0.1, 0.1)).rows
    assert 0 < boxed.observed <= boxed.bound < 1
    with pytest.raises(MethodError, match="apply to torch modules"):
        sl.sweep(graph, [0], example=example)


class Ends(torch.nn.Module):
    """Two inputs, two outputs."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(3, 8), torch.nn.Linear(2, 8)
        self.c, self.d = torch.nn.Linear(8, 2), torch.nn.Linear(8, 3)

    def forward(self, x, y):
        h = torch.tanh(self.a(x) + self.b(y))
        return self.c(h), self.d(h)


@pytest.mark.parametrize("method", [sl.AFDE(eps=0, steps=3), sl.Dependence(eps=0), sl.Quantize(8)])
def test_a_network_of_several_inputs_and_outputs(method):
    torch.manual_seed(0)
    model, example = Ends().eval(), (torch.zeros(1, 3), torch.zeros(1, 2))
    x = (torch.randn(50, 3), torch.randn(50, 2))
    y = tuple(part.detach() for part in model(*x))
    table = sl.sweep(model, [0.5, 5.0], method, example=example, box=(-1, 1), data=(x, y))
    for row in table.rows:
        gaps = [(a - b).detach() for a, b in zip(row.result.model(*x), model(*x), strict=True)]
        seen = torch.hstack(gaps).square().mean().item()
        assert row.loss == pytest.approx(seen, 1e-3, 1e-12) and 0 < row.observed <= row.bound
        aside = torch.hstack(y)
        assert row.result.mean_squared_error(x, aside) == pytest.approx(row.loss, abs=1e-14)
    allowed = 1.01 * max(row.loss for row in table.rows)
    found = sl.search(model, method, max_loss=allowed, data=(x, y), example=example)
    assert found.mean_squared_error(x, y) <= allowed
    with pytest.raises(MethodError, match=r"targets have shape \(50, 2\), the network gives"):
        found.mean_squared_error(x, y[0])


def test_inputs_of_several_inputs_as_people_have_them():
    torch.manual_seed(0)
    model, x, y = Ends().eval(), torch.randn(60, 3), torch.randn(60, 2)
    sets = torch.utils.data.TensorDataset(x, y, torch.zeros(60))
    together = sl.Normal(np.zeros(5), np.eye(5))
    for make in (sl.AFDE, sl.Dependence, sl.Hierarchical):
        one, other = (
            sl.compress(model, make(eps=0.3, inputs=inputs), example=(x, y)).network
            for inputs in ((x, y.numpy()), torch.utils.data.DataLoader(sets, batch_size=16))
        )
        for a, b in zip(one.layers, other.layers, strict=True):
            assert np.array_equal(a.weight, b.weight)
        assert sl.compress(model, make(eps=0.3, inputs=together), example=(x, y)).network.layers
    for wrong in ([x, y], [["a", "b"]]):
        with pytest.raises(MethodError, match="of several inputs, or outputs, give a tuple"):
            sl.compress(model, sl.AFDE(eps=0.3, inputs=wrong), example=(x, y))
    with pytest.raises(MethodError, match="has 5 inputs in all; the mean has shape"):
        sl.compress(model, sl.AFDE(eps=0.3, inputs=sl.Normal(np.zeros(3))), example=(x, y))


def test_data_is_a_pair():
    x = np.zeros((4, 3))
    for data in (x, (x,), "ab"):
        with pytest.raises(MethodError, match=r"a pair \(inputs, targets\)|no samples"):
            sl.sweep(network(), [0], data=data)
        with pytest.raises(MethodError, match=r"a pair \(inputs, targets\)|no samples"):
            sl.search(network(), sl.AFDE(eps=0), max_loss=1.0, data=data)
    with pytest.raises(MethodError, match=r"targets have shape \(4,\), the network gives \(4, 2\)"):
        sl.search(network(), sl.AFDE(eps=0), max_loss=1.0, data=(x, np.zeros(4)))  # of classes


def test_what_is_no_subject_is_refused_at_once():
    code = (
        "import sys, symlump as sl\ntry: sl.sweep('x')\nexcept sl.errors.MethodError as e: print(e)"
    )
    code += "\nprint('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    message, loaded = ran.stdout.splitlines()
    assert message.startswith("sweep takes an ODE,") and message.endswith("got a str")
    assert loaded == "False"
    ode = h_tree(2)
    with pytest.raises(MethodError, match=r"give its \.ode"):
        sl.sweep(sl.Model("m", ode, dict.fromkeys(ode.variables, 0)))


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
        (ode, {"method": sl.Constrained("v1_1"), "initial": []}, "initial does not go with"),
        (ode, {"method": sl.Constrained("v1_1"), "box": {}}, "both a box"),
        (net, {"method": sl.Constrained("v1_1")}, "a method of compress for a network"),
        (net, {"initial": []}, "initial belongs to systems"),
        (net, {"horizon": 1.0}, "horizon belongs to systems"),
        (net, {"method": sl.Forward()}, "a method of compress for a network"),
        (net, {"eps": [-1.0]}, "finite number, 0 or larger"),
    ):
        with pytest.raises(MethodError, match=says):
            sl.sweep(subject, **{"eps": [0.0], **options})


X = np.random.default_rng(2).standard_normal((60, 3))


@pytest.mark.parametrize(
    "method",
    [
        sl.AFDE(retain=0.5),
        sl.AFDE(eps=0.1, distance="coefficients"),
        sl.Symmetric(),
        sl.Dependence(retain=0.5),
        sl.Hierarchical(eps=0.1, leaf_size=2),
        sl.TruncatedSVD(rank=2),
        sl.TruncatedSVD(eps=0.1),
        sl.Quantize(bits=4),
        sl.Magnitude(0.5),
        sl.Magnitude(0.5, "layerwise"),
        sl.Wanda(0.5, X),
    ],
    ids=lambda method: type(method).__name__,
)
def test_every_method_is_swept_and_searched(method):
    net = network(units=6)
    table = sl.sweep(net, method=method, data=(X, net(X)))
    sizes = [row.parameters for row in table.rows]
    assert table.rows[0].eps == 0 and sizes[0] == net.parameters
    assert sizes[-1] == method.plan(net).size(1e12) < sizes[0]
    for row in table.rows[1::3]:  # each row is what compress gives for that tolerance
        again = sl.compress(net, row.result.method)
        assert row.result.method.eps == row.eps and again.retained_parameters == row.parameters
        assert again.mean_squared_error(X, net(X)) == pytest.approx(row.loss, 1e-6, 1e-20)
    allowed = 1.01 * max(row.loss for row in table.rows[:4])
    cheap = sl.search(net, method, max_loss=allowed, data=(X, net(X)))
    assert cheap.mean_squared_error(X, net(X)) <= allowed
    assert cheap.retained_parameters <= sizes[3]
    everything = sl.search(net, method, max_loss=1e9, data=(X, net(X)))
    assert everything.retained_parameters == sizes[-1]
    assert sl.search(net, method, retain=0.8).retained <= 0.8


def test_searches_of_linear_lumpings():
    ode = h_tree(4, 0.01)
    assert len(sl.search(ode, sl.Constrained("v1_1"), retain=0.15)) == 2
    with pytest.raises(MethodError, match="both or neither"):
        sl.search(ode, sl.Constrained("v1_1"), max_bound=1.0)


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


def test_a_network_is_measured_once_however_many_tolerances_give_it(monkeypatch):
    """Also where its weights are rounded to float32."""
    from symlump.compression.compression import Compression

    asked = []
    bound = Compression.bound
    monkeypatch.setattr(Compression, "bound", lambda *a, **k: asked.append(a) or bound(*a, **k))
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((4, 2)), rng.standard_normal((1, 4))]
    net = sl.Network.dense(weights, dtype="float32")
    table = sl.sweep(net, [1e-9, 2e-9, 3e-9, 100, 200], sl.AFDE(eps=0), box=(-1, 1))
    assert len(asked) == 2 and [row.blocks for row in table.rows] == [4, 4, 4, 1, 1]
    assert len({row.bound for row in table.rows}) == 2
    assert table.rows[0].result.network is table.rows[2].result.network
