"""Recurrent cells within a tolerance: sizes, the fit, what is certified over a horizon, files."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrent_planted import Tagger, on_grid, with_copies
from torch import nn

import symlump as sl
from symlump.cli.main import main
from symlump.compression.recurrent.plan import RecurrentPlan
from symlump.compression.recurrent.units import merged_cell
from symlump.enclosures.arithmetics import arithmetic
from symlump.errors import FailureError, MethodError, NetworkError
from symlump.lumping.lumping import Lumping
from symlump.lumping.partition import Partition
from symlump.lumping.solutions.error_system import ErrorSystem
from symlump.network.recurrent.cells import GATES, Cell
from symlump.network.recurrent.equations import cell_map
from symlump.network.recurrent.saved import read_saved, saved_recurrent

CLASSES = [nn.RNN, nn.GRU, nn.LSTM]


def noisy_copies(kind: Any, noise: float = 1e-3, **options: Any) -> Any:
    small = on_grid(kind(2, 4, batch_first=True, **options), torch.Generator().manual_seed(2))
    large, of = with_copies(small, [1, 3, 2, 2], seed=2)
    torch.manual_seed(0)
    with torch.no_grad():
        for p in large.parameters():
            p.add_(noise * torch.randn(p.shape))
    return large, of


@pytest.mark.parametrize("kind", CLASSES)
def test_near_copies_are_merged(kind: Any) -> None:
    large, of = noisy_copies(kind)
    result = sl.compress(large, sl.AFDE(eps=0.1))
    assert not result.exact and result.model.hidden_size == 4 and 0 < result.error < 0.05
    (labels,) = result.unit_maps
    assert all(len(set(labels[of["_l0"].numpy() == b].tolist())) == 1 for b in range(4))
    x = torch.randn(4, 50, 2, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert np.abs(result.lift(result.model(x)[0].numpy()) - large(x)[0].numpy()).mean() < 0.05
    assert (
        "states off by" in str(result)
        and "weights that read merged units are refitted" in result.measure
    )


@pytest.mark.parametrize("kind", CLASSES)
def test_sizes_are_what_is_returned(kind: Any) -> None:
    torch.manual_seed(1)
    model = Tagger(kind(2, 8, num_layers=2, bidirectional=True, batch_first=True), nn.Linear(16, 3))
    plan = RecurrentPlan.of(model, sl.AFDE(eps=0))
    for eps in (0.0, 0.5, 1.0, 1.5, 1e9):
        result = plan.at(eps)
        assert plan.size(eps) == result.retained_parameters
        assert plan.size(eps) == sum(p.numel() for p in result.model.parameters())
    half: Any = sl.compress(model, sl.AFDE(retain=0.5))
    assert half.retained <= 0.5 and not half.padded
    assert half.model(torch.zeros(1, 3, 2)).shape == (1, 3)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_fit_is_closer_than_sums(kind: Any) -> None:
    torch.manual_seed(5)
    model = Tagger(kind(3, 16, batch_first=True), nn.Linear(16, 2)).eval()
    x = torch.randn(256, 20, 3)
    off = []
    for refit in (True, False):
        result: Any = sl.compress(model, sl.AFDE(retain=0.4, refit=refit, inputs=x[:128]))
        with torch.no_grad():
            off.append(float((result.model(x[128:]) - model(x[128:])).pow(2).mean()))
    assert off[0] < 0.8 * off[1]


def test_sequences_are_what_the_module_reads() -> None:
    class Words(Tagger):
        def __init__(self) -> None:
            super().__init__(nn.GRU(4, 6), nn.Linear(6, 2))
            self.embed = nn.Embedding(10, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out, _ = self.rnn(self.embed(x))
            return self.head(out.mean(dim=0))  # type: ignore[no-any-return]

    torch.manual_seed(0)
    model = Words()
    words = torch.randint(10, (7, 5))  # steps first
    plan = RecurrentPlan.of(model, sl.AFDE(retain=0.8, inputs=words))
    sequences, states = plan._samples
    assert sequences["rnn"].shape == (5, 7, 4) and states["rnn.l0"].shape == (1, 5, 7, 6)
    with torch.no_grad():
        expected = model.rnn(model.embed(words))[0].transpose(0, 1)
    assert np.allclose(states["rnn.l0"][0], expected, atol=1e-6)
    assert plan.settled().model(words).shape == (5, 2)
    with pytest.raises(MethodError, match="the model does not take them"):
        sl.compress(model, sl.AFDE(retain=0.5, inputs=torch.randn(3, 2)))


@pytest.mark.parametrize("kind", CLASSES)
def test_certified_over_a_horizon(kind: Any) -> None:
    small = on_grid(kind(1, 2, batch_first=True), torch.Generator().manual_seed(0))
    with torch.no_grad():
        for p in small.parameters():
            p.mul_(0.5)
    large, _ = with_copies(small, [2, 1], seed=0)
    with torch.no_grad():
        for p in large.parameters():
            p.add_(1e-4 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    head = on_grid(nn.Linear(3, 1), torch.Generator().manual_seed(3))
    model = Tagger(large, head).eval()  # type: ignore[arg-type]
    result: Any = sl.compress(model, sl.AFDE(eps=0.1, refit=False))
    assert result.model.rnn.hidden_size == 2
    bound = result.bound(8, (-0.5, 0.5))
    assert 0 < bound["y1"] == bound["head"] == bound.value < 0.5
    assert "certified: what dense layers read is off by" in bound.headline()
    x = torch.rand(200, 8, 1, generator=torch.Generator().manual_seed(4)) - 0.5
    with torch.no_grad():
        assert float((model(x) - result.model(x)).abs().max()) <= bound["y1"]
    exact: Any = sl.compress(model, sl.AFDE(eps=0))
    assert exact.bound(8, (-0.5, 0.5)).value == 0.0
    with torch.no_grad():  # equal up to the rounding of a sum to float32
        for name in ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0", "weight_hh_l0"):
            rows = getattr(large, name).reshape(-1, 3, *getattr(large, name).shape[1:])
            rows[:, 1] = rows[:, 0]
    merged: Any = sl.compress(model, sl.AFDE(eps=0))
    assert merged.exact and merged.model.rnn.hidden_size == 2
    assert 0 < merged.bound(4, (-0.5, 0.5))["y1"] < 1e-4


@pytest.mark.parametrize(
    ("kind", "layers", "both", "options"),
    [
        (nn.RNN, 1, False, {"nonlinearity": "relu"}),
        (nn.RNN, 2, True, {"nonlinearity": "relu"}),
        (nn.RNN, 2, True, {}),
        (nn.GRU, 2, False, {}),
        (nn.LSTM, 2, False, {}),
        (nn.LSTM, 1, True, {}),
    ],
)
@pytest.mark.parametrize("refit", [False, True])
def test_certified_through_several_cells(
    kind: Any, layers: int, both: bool, options: Any, refit: bool
) -> None:
    """Units of each cell, and what a dense layer reads, stay within the bound; exact copies within rounding."""
    generator = torch.Generator().manual_seed(0)
    shape = {"num_layers": layers, "bidirectional": both, "batch_first": True, **options}
    small: Any = on_grid(kind(1, 2, **shape), generator).double()
    with torch.no_grad():
        for p in small.parameters():
            p.mul_(0.5)
    large, _ = with_copies(small, [2, 1], seed=0)
    head = on_grid(nn.Linear(3 + 3 * both, 2), generator).double()
    model = Tagger(large, head).eval()  # type: ignore[arg-type]
    exact: Any = sl.compress(model, sl.AFDE(eps=0))
    assert exact.exact and exact.bound(2, (-0.5, 0.5)).value < 1e-12
    with torch.no_grad():
        for p in large.parameters():
            p.add_(1e-4 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    drawn = torch.randn(50, 6, 1, generator=generator, dtype=torch.float64)
    near: Any = sl.compress(model, sl.AFDE(eps=0.1, refit=refit, inputs=drawn))
    assert near.model.rnn.hidden_size == 2
    steps = 3
    bound = near.bound(steps, (-0.5, 0.5))
    x = torch.rand(300, steps, 1, generator=generator, dtype=torch.float64) - 0.5
    states = [net.run({"rnn": x.numpy()}) for net in (near.original, near.held)]
    for name, off in bound.cells.items():
        assert off.shape == (steps, 3)
        apart = np.abs(states[0][name][0] - states[1][name][0][..., near.labels[name]])
        in_steps = apart[:, ::-1] if name.endswith("reverse") else apart
        assert (in_steps.max(axis=0) <= off + 1e-14).all()
    with torch.no_grad():
        apart = (model.head(model.rnn(x)[0]) - near.model.head(near.model.rnn(x)[0])).abs().numpy()
    assert (apart.max(axis=(0, 1)) <= bound.readers["head"] + 1e-14).all()
    if not options:
        assert bound.value < 0.01
    with pytest.raises(MethodError, match="none of head, rnn.l0"):
        bound["y3"]


@pytest.mark.parametrize("head", [False, True])
def test_a_bound_over_a_horizon_that_says_nothing_is_called_vacuous(head: bool) -> None:
    """It is as large as what the original gives is apart, and both numbers stand there."""
    torch.manual_seed(0)
    model: nn.Module = nn.GRU(2, 7, batch_first=True).double()
    if head:
        model = Headed(model)
    small = sl.compress(model, sl.AFDE(retain=0.3))
    bound = small.bound(4, (-1, 1))
    x = torch.from_numpy(np.random.default_rng(9).uniform(-1, 1, (3000, 4, 2)))
    with torch.no_grad():
        y = model(x) if head else model(x)[0]
    apart = y.flatten(0, -2).numpy()
    name = "head" if head else "l0"
    most = bound.readers[name] if head else bound.cells[name].max(axis=0)
    assert bound.vacuous and (most > np.ptp(apart, axis=0)).any()
    at, said, seen = re.findall(
        rf"vacuous: {'output' if head else 'unit'} (\d) of {name} has the bound (\S+), "
        r"and its values are only (\S+) apart",
        str(bound),
    )[0]
    place = int(at) - 1  # counted from 1
    assert float(said) == pytest.approx(most[place], rel=1e-3)
    assert float(seen) == pytest.approx(np.ptp(apart[:, place]), rel=0.2)
    same = sl.compress(model, sl.AFDE(eps=0)).bound(4, (-1, 1))
    assert not same.vacuous and "vacuous" not in str(same) and "evaluated exactly" in str(same)


class Headed(nn.Module):
    """A recurrent module with a dense layer behind."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell, self.head = cell, nn.Linear(7, 2).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.cell(x)[0])
        return found


def test_inputs_that_are_no_sequences_are_refused() -> None:
    x = torch.randn(8, 5, 2)
    for inputs, says in (
        (sl.Images(), "a recurrent one reads sequences"),
        ([(x, 0), (x[:3], 0)], "a list of parts that differ"),
    ):
        with pytest.raises(MethodError, match=says):
            sl.compress(nn.GRU(2, 4), sl.AFDE(retain=0.5, inputs=inputs))


def test_what_a_bound_needs() -> None:
    torch.manual_seed(3)
    model = Tagger(nn.GRU(2, 5, num_layers=2, batch_first=True), nn.Linear(5, 1))
    result: Any = sl.compress(model, sl.AFDE(eps=1.4))
    for box in ((1, -1), (0, float("inf")), [(0, 1)] * 3):
        with pytest.raises(MethodError, match="one row for each of 2"):
            result.bound(2, box)
    with pytest.raises(MethodError, match="that of a map is a number of steps"):
        result.bound(0, (-1, 1))


def test_states_that_grow_without_end_are_said() -> None:
    model = nn.RNN(1, 4, nonlinearity="relu", batch_first=True)
    with torch.no_grad():
        for p in model.parameters():
            p.uniform_(1e4, 2e4)
    with pytest.raises(FailureError, match="l0: the states of the original grow without bound"):
        sl.compress(model, sl.AFDE(retain=0.5, inputs=torch.ones(2, 60, 1)))


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_maps_with_kinks_are_enclosed(seed: int) -> None:
    """|x|, max and min in a map: their bound holds along random trajectories."""
    generator = np.random.default_rng(seed)
    w = generator.integers(-8, 9, size=6) / 8
    system = sl.ODE.from_text(
        f"a+ = max({w[0]}*a + {w[1]}*c + u, 0)/2; b+ = max({w[0]}*b + {w[1]}*c + 1.01*u, 0)/2; "
        f"c+ = {w[2]}*abs(c - u)/2 + min(a, {w[3]}*u, {w[4]})/2 + {w[5]}/4",
        ["u"],
    )
    lumping = sl.lump(system, sl.Backward(eps=0.5), [["a", "b"]])
    bound = lumping.bound(6, {"a": (0, 1), "b": (0, 1), "c": (-1, 1), "u": (-1, 1)}, samples=100)
    assert bound.ratio is None or np.isnan(bound.ratio) or bound.ratio >= 1


def test_the_error_of_a_quotient_of_any_map() -> None:
    system = sl.ODE.from_text("a+ = 0.5*a + u/4; b+ = 0.51*b + u/4; c+ = (a + b)/4 + c^2/8", ["u"])
    lumping = sl.lump(system, sl.Backward(eps=0.05), [["a", "b"]])
    bound = lumping.bound(20, {"a": (0, 1), "b": (0, 1), "c": (0, 0.5), "u": (-1, 1)}, samples=50)
    assert bound.ratio is not None and 1 <= bound.ratio < 20
    assert "each step enclosed" in str(bound) and bound.during.shape == (20, 4)
    forward = sl.lump(system, sl.Forward(eps=0.05), [["a", "b"]])
    wide = forward.bound(5, {"a": (0, 1), "b": (0, 1), "c": (0, 0.5), "u": (-1, 1)}, samples=50)
    assert wide.ratio is not None and wide.ratio >= 1
    for steps in (1.5, float("nan"), float("inf"), True, "3"):
        with pytest.raises(MethodError, match="that of a map is a number of steps"):
            lumping.bound(steps, {"a": 0, "b": 0, "c": 0, "u": 0})
    assert sl.lump(system, sl.Backward()).bound(3, [(0, 1)] * 4).value == 0.0


def test_saved_as_a_state_dict(tmp_path: Any, capsys: Any) -> None:
    small = on_grid(
        nn.GRU(2, 3, num_layers=2, bidirectional=True, batch_first=True), torch.Generator()
    )
    large, _ = with_copies(small, [2, 1, 2], seed=1)
    model = Tagger(large, nn.Linear(10, 2)).eval()  # type: ignore[arg-type]
    path, out = tmp_path / "net.pt", tmp_path / "small.safetensors"
    torch.save(model.state_dict(), path)
    saved = read_saved(path)
    assert repr(saved.network).count("gru") == 4 and saved.network.readers[0].name == "head"
    assert (
        main(
            [
                "compress",
                str(path),
                "--eps",
                "0",
                "-o",
                str(out),
                "--certificates",
                str(tmp_path / "c"),
            ]
        )
        == 0
    )
    text = capsys.readouterr().out
    assert "exact, proof checked" in text and "and 3 more beside it" in text
    assert main(["check", str(tmp_path / "c" / "1.json")]) == 0
    assert "in discrete time" in capsys.readouterr().out
    from safetensors.torch import load_file

    again = Tagger(
        nn.GRU(2, 3, num_layers=2, bidirectional=True, batch_first=True), nn.Linear(6, 2)
    ).eval()
    again.load_state_dict(load_file(out))
    x = torch.randn(3, 20, 2)
    with torch.no_grad():
        assert torch.allclose(again(x), model(x), atol=1e-5)
    assert main(["show", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "recurrent, " in shown and "rnn.l1_reverse" in shown and "as a map" in shown
    assert main(["compress", str(path), "--retain", "0.4", "--json"]) == 0
    assert '"exact": false' in capsys.readouterr().out
    assert main(["compress", str(path), "--retain", "0.4", "--method", "magnitude"]) == 2
    assert "--method is for networks without recurrence" in capsys.readouterr().err
    for more in (["--distance", "coefficients"], ["--relative-to", "output"], ["--box", "-1", "1"]):
        assert main(["compress", str(path), "--retain", "0.4", *more]) == 2
        assert f"{more[0]} is for networks without recurrence" in capsys.readouterr().err
    for more in (["--leave-untouched"], ["--shape", "x=1"], ["--picture", "x.svg"]):
        assert main(["show", str(path), *more]) == 2
        assert f"{more[0]} is for networks without recurrence" in capsys.readouterr().err


def test_state_dicts_that_do_not_say_enough() -> None:
    states = {"a." + k: v for k, v in nn.GRU(2, 3).state_dict().items()}
    two = {"b." + k: v for k, v in nn.LSTM(5, 3).state_dict().items()}
    with pytest.raises(
        NetworkError, match="b.l0 reads 5 values, and what comes before it, a.l0, gives 3"
    ):
        saved_recurrent(states | two)
    heads = {"h1.weight": torch.zeros(2, 3), "h1.bias": torch.zeros(2)}
    more = {"h2.weight": torch.zeros(4, 3), "h2.bias": torch.zeros(4)}
    with pytest.raises(NetworkError, match="h1, h2 could each read the 3 units of a.l0"):
        saved_recurrent(states | heads | more)
    assert [
        r.name for r in saved_recurrent(states | heads | more, readers=["h2"]).network.readers
    ] == ["h2"]
    with pytest.raises(NetworkError, match="h3 is not a dense layer with 3 columns"):
        saved_recurrent(states | heads, readers=["h3"])
    for shape in ((1, 3, 1), (4, 3, 2, 2)):
        channels = {"head.weight": torch.zeros(shape), "head.bias": torch.zeros(shape[0])}
        with pytest.raises(
            NetworkError, match=r"head.weight has shape .* may read the 3 units of a.l0"
        ):
            saved_recurrent(states | channels)
        assert saved_recurrent(states | heads | channels).network.readers[0].name == "h1"
    before = {"conv.weight": torch.zeros(3, 5, 1)}
    assert not saved_recurrent(states | before).network.readers
    plain = {"head.weight": torch.zeros(9, 3)}  # it would keep its columns
    with pytest.raises(NetworkError, match="head could read the 3 units of a.l0, without a bias"):
        saved_recurrent(states | plain)
    assert saved_recurrent(states | plain, readers=["head"]).network.readers[0].bias is None
    assert saved_recurrent(states | plain | heads).network.readers[0].name == "h1"
    square = {"a." + k: v for k, v in nn.GRU(3, 3).state_dict().items()}
    embedding = {"embed.weight": torch.zeros(9, 3)}
    assert not saved_recurrent(square | embedding).network.readers
    with pytest.raises(NetworkError, match="embed, head could read .* --layers head"):
        saved_recurrent(square | embedding | plain)
    with pytest.raises(NetworkError, match="has 3, 9 or 12 rows"):
        saved_recurrent(states | {"a.weight_hh_l0": torch.zeros(6, 3)})
    for odd in ({"a.weight_ih_l0": torch.zeros(10, 2)}, {"a.bias_ih_l0": torch.zeros(10)}):
        with pytest.raises(NetworkError, match="it has as many rows as a.weight_hh_l0, 9"):
            saved_recurrent(states | odd)
    with pytest.raises(NetworkError, match="more than 1000 layers"):
        saved_recurrent({k.replace("l0", "l" + "1" * 5000): v for k, v in states.items()})
    many = {"1" * 5000 + k: v for k, v in states.items()}  # no number, for it has too many digits
    assert saved_recurrent(many).network.cells[0].cell.units == 3
    with pytest.raises(NetworkError, match="'relu' is for an RNN"):
        saved_recurrent(states, activation="relu")
    with pytest.raises(NetworkError, match="an LSTM with projections"):
        saved_recurrent(nn.LSTM(2, 4, proj_size=2).state_dict())


@given(st.integers(0, 10**6), st.sampled_from(["tanh", "gru", "lstm"]))
@settings(max_examples=12, deadline=None)
def test_the_defect_is_what_is_left(seed: int, kind: Any) -> None:
    """q(U·y) − U·g(y) is in its enclosure at points, which is as narrow as the weights are near."""
    generator = np.random.default_rng(seed)
    gates, labels = len(GATES[kind]), np.array([0, 1, 0])
    w = generator.normal(size=(gates, 3, 1))
    v = generator.normal(size=(gates, 3, 3))
    w[:, 2], v[:, 2] = w[:, 0], v[:, 0]
    exact = Cell(kind, w, v)
    small = merged_cell(exact, labels, np.arange(1))
    noise = 1e-5 * generator.normal(size=v.shape)
    whole, part = cell_map(Cell(kind, w, v + noise)), cell_map(small)
    states = len(exact.states)
    of = np.concatenate([*(labels + 2 * s for s in range(states)), [2 * states]])
    partition = Partition(of)
    lumping = Lumping(whole, sl.Backward(), partition, partition, part, 0.0, 0)
    m = arithmetic("float64")
    moved = np.zeros(len(whole), dtype=bool)
    system = ErrorSystem.of(lumping, np.zeros(len(part), dtype=bool), moved, m)
    y = generator.uniform(-1, 1, len(part))
    found = system.defect.values(m.point(y))
    left = whole.rhs(lumping.lift(y)) - lumping.lift(part.rhs(y))
    low, high = m.lower(found), m.upper(found)
    assert (low - 1e-14 <= left[system.live]).all() and (left[system.live] <= high + 1e-14).all()
    assert (high - low).max() < 1e-9 and np.abs(left).max() > 1e-8


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_steps_come_closer_than_the_refit_alone(kind: str) -> None:
    torch.manual_seed(0)
    rnn = getattr(torch.nn, kind)(
        2, 10, num_layers=2, bidirectional=kind == "GRU", batch_first=True
    )
    model = Tagger(rnn, torch.nn.Linear(10 * (1 + (kind == "GRU")), 2)).eval()
    x, fresh = torch.randn(60, 9, 2), torch.randn(200, 9, 2)
    plain, closer = (
        sl.compress(model, sl.AFDE(retain=0.4, inputs=x, steps=steps)) for steps in (0, 60)
    )
    assert closer.retained_parameters == plain.retained_parameters
    assert "60 steps" in closer.measure
    with torch.no_grad():
        off = [float((model(fresh) - r.model(fresh)).pow(2).mean()) for r in (plain, closer)]
    assert off[1] < 0.75 * off[0]


def test_steps_are_for_cells_that_are_read_by_linear_layers() -> None:
    with pytest.raises(MethodError, match="they leave the model"):
        sl.compress(torch.nn.GRU(2, 6), sl.AFDE(retain=0.5, steps=5))
