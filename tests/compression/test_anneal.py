import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from compression.annealing_problem import problem
from torch import nn

import symlump as sl
from symlump.bench import anneal as digits
from symlump.bench.train import multilayer
from symlump.cli.main import main
from symlump.compression.annealing.checkpoint import digest, read_checkpoint, write_checkpoint
from symlump.datasets.dynamics import glycolytic_oscillator
from symlump.errors import FileFormatError, MethodError, NetworkError, OutputError


def weights(result):
    return {name: tensor.tolist() for name, tensor in result.model.state_dict().items()}


@pytest.fixture(scope="module")
def uninterrupted():
    arguments, options = problem()
    return sl.anneal(*arguments, **options)


def test_the_record(uninterrupted):
    result = uninterrupted
    assert [step.what for step in result.steps] == ["start", *["linear dependence (samples)"] * 3]
    assert [step.tolerance for step in result.steps[:3]] == [None, 0.05, 0.1]
    sizes = [step.parameters for step in result.steps]
    assert sizes[0] == result.original.parameters == 812 and sizes == sorted(sizes, reverse=True)
    assert sizes[3] <= 0.5 * sizes[2]
    assert result.parameters == sizes[-1] == sum(p.numel() for p in result.model.parameters())
    assert result.retained == sizes[-1] / sizes[0]
    x = np.random.default_rng(0).normal(size=(300, 4))[:100]
    y = np.abs(x[:, 0]) > np.abs(x[:, 1])
    with torch.no_grad():
        predicted = result.model(torch.tensor(x, dtype=torch.float32)).argmax(dim=1).numpy()
    assert result.steps[-1].accuracy == pytest.approx(np.mean(predicted == y))
    assert result.steps[0].loss < result.steps[0].loss_before  # training before the first removal
    assert "812 → " in str(result) and "accuracy before" in str(result)
    assert "<table>" in result._repr_html_() and "data:image/png" in result._repr_html_()


def test_equal_seeds_give_equal_results_and_others_do_not(uninterrupted):
    arguments, options = problem()
    assert weights(sl.anneal(*arguments, **options)) == weights(uninterrupted)
    other = sl.anneal(*arguments, **{**options, "seed": 3})
    assert weights(other) != weights(uninterrupted)


def test_a_killed_run_goes_on_to_the_identical_result(uninterrupted, tmp_path):
    path = tmp_path / "run.safetensors"
    code = (
        "import symlump, annealing_problem as a; arguments, options = a.problem(40);"
        f"symlump.anneal(*arguments, checkpoint={str(path)!r}, **options)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    _, state = read_checkpoint(path)
    assert (state["stage"], state["epoch"]) != (0, 0) and len(state["steps"]) < 4
    arguments, options = problem()
    resumed = sl.anneal(*arguments, checkpoint=path, **options)
    assert weights(resumed) == weights(uninterrupted)
    assert resumed.steps == uninterrupted.steps
    finished = sl.anneal(*arguments, checkpoint=path, **options)  # nothing left to do
    assert weights(finished) == weights(uninterrupted) and finished.steps == resumed.steps


def test_every_epoch_can_be_resumed_from(uninterrupted, tmp_path):
    """An exception from the loss at each epoch in turn; the state on disk is always enough."""
    path = tmp_path / "run.safetensors"
    arguments, options = problem()
    plain = arguments[3]
    for _ in range(40):
        calls = 0

        def loss(outputs, targets):
            nonlocal calls
            calls += 1
            if calls > 10:  # an epoch has six batches
                raise KeyboardInterrupt
            return plain(outputs, targets)

        loss.__qualname__ = plain.__qualname__
        try:
            result = sl.anneal(*arguments[:3], loss, checkpoint=path, **options)
            break
        except KeyboardInterrupt:
            continue
    assert weights(result) == weights(uninterrupted) and result.steps == uninterrupted.steps


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    model = multilayer(2, (4,), 1)
    x = np.random.default_rng(0).normal(size=(20, 2))
    data = (x, x[:, :1])
    options = {"epochs": 1, "checkpoint": path}
    sl.anneal(model, data, [0.1], **options)
    for other in (
        lambda: sl.anneal(model, (x, x[:, 1:]), [0.1], **options),
        lambda: sl.anneal(model, data, [0.2], **options),
        lambda: sl.anneal(multilayer(2, (4,), 1, seed=1), data, [0.1], **options),
        lambda: sl.anneal(model, data, [0.1], nn.L1Loss(), **options),
        lambda: sl.anneal(model, data, [0.1], rate=1.0, **options),
    ):
        with pytest.raises(MethodError, match="checkpoint of another run"):
            other()
    whole = path.read_bytes()
    for damage in (b"", b"text", whole[:100], whole[:-8]):
        path.write_bytes(damage)
        with pytest.raises(FileFormatError, match="not a symlump checkpoint|damaged"):
            sl.anneal(model, data, [0.1], **options)
    with pytest.raises(OutputError, match="cannot write"):
        sl.anneal(model, data, [0.1], epochs=1, checkpoint=tmp_path / "none" / "run.safetensors")


def test_checkpoints_with_missing_parts_are_damaged(tmp_path):
    path = tmp_path / "run.safetensors"
    model, x = multilayer(2, (4,), 1), np.random.default_rng(0).normal(size=(20, 2))
    sl.anneal(model, (x, x[:, :1]), [0.1], epochs=1, checkpoint=path)
    tensors, data = read_checkpoint(path)
    for broken in ({**data, "layers": None}, {**data, "steps": [{}]}, {**data, "layers": []}):
        write_checkpoint(path, tensors, broken)
        with pytest.raises(FileFormatError, match="damaged"):
            sl.anneal(model, (x, x[:, :1]), [0.1], epochs=1, checkpoint=path)


def test_regression_and_the_model_that_was_given():
    training, test = glycolytic_oscillator(1500).split()
    model = multilayer(7, (40,), 7)
    model.eval()
    before = [p.clone() for p in model.parameters()]
    schedule = [sl.Dependence(retain=0.7), sl.AFDE(retain=0.7), sl.Dependence(retain=0.7)]
    result = sl.anneal(model, training, schedule, epochs=15, before=30, rate=5e-3, test=test)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not result.model.training
    assert result.retained <= 0.7**3
    assert result.steps[0].accuracy is None and "accuracy" not in str(result)
    predicted = result.model(torch.tensor(test.inputs, dtype=torch.float32)).detach().numpy()
    assert result.steps[-1].loss == pytest.approx(
        np.mean((predicted - test.targets) ** 2), rel=1e-4
    )
    for step in result.steps[1:]:
        assert step.loss < step.loss_before  # the training after each removal helps
    figure = result.draw()
    assert figure.axes[0].get_yscale() == "log" and figure.axes[0].get_xscale() == "log"


def test_annealing_is_better_than_one_removal():
    """To 6 % of the parameters with the same number of epochs: in six steps, and in one."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(800, 3))
    y = (np.sin(3 * x[:, 0]) + x[:, 1] > x[:, 2] ** 2).astype(np.int64)
    model = multilayer(3, (48, 48), 2, "relu")
    options = {"before": 20, "rate": 5e-3, "seed": 0}
    steps = [sl.Dependence(retain=0.06 ** (1 / 6), inputs=x)] * 6
    slow = sl.anneal(model, (x, y), steps, epochs=5, **options)
    fast = sl.anneal(model, (x, y), [sl.Dependence(retain=0.06, inputs=x)], epochs=5, **options)
    assert slow.retained <= 0.06 and fast.retained <= 0.06
    assert slow.steps[-1].loss < fast.steps[-1].loss
    assert slow.steps[-1].accuracy > slow.steps[0].accuracy - 0.02


def test_the_experiment_on_digits(tmp_path, capsys, monkeypatch):
    pytest.importorskip("sklearn")
    plan = digits.AnnealExperiment((0,), (32,), 0.4, 2, 3, 8)
    monkeypatch.setattr(digits, "QUICK", plan)
    picture = tmp_path / "curve.png"
    options = ["--quick", "--picture", str(picture), "--checkpoints", str(tmp_path)]
    assert main(["bench", "anneal", *options]) == 0
    text = capsys.readouterr().out
    assert "from scratch" in text and picture.read_bytes().startswith(b"\x89PNG")
    more = ["--quick", "--seeds", "2", "--checkpoints", str(tmp_path)]
    assert main(["bench", "anneal", *more]) == 0
    assert capsys.readouterr().out.strip().splitlines()[-1].startswith("1 ")
    assert main(["bench", "anneal", "--quick", "--seeds", "0"]) == 2
    monkeypatch.setattr(digits, "_one", None)  # the result is on disk
    (result,) = digits.run(plan, folder=tmp_path)
    row = result.row
    assert row.parameters == 65 * 32 + 33 * 10 and row.retained <= 0.4 and row.accuracy > 0.7
    assert row.widths[0] == 64 and row.widths[-1] == 10 and f"{100 * row.annealed:.2f} %" in text
    assert row.points_lost < 10


@pytest.mark.parametrize(
    "method",
    [sl.Magnitude(0.5), sl.Quantize(4), sl.Hierarchical(retain=0.9), sl.Magnitude(0.5, refit=True)],
    ids=lambda method: method.label,
)
def test_what_training_would_undo_is_refused(method):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 12), nn.Tanh(), nn.Linear(12, 2))
    x = torch.randn(40, 3)
    with pytest.raises(
        MethodError, match=r"leaves 74 weights and biases, of which it counts \d\d:"
    ):
        sl.anneal(model, (x, x[:, :2]), [method], epochs=1)


@pytest.mark.parametrize(
    "method",
    [sl.TruncatedSVD(retain=0.8), sl.AFDE(retain=0.6), sl.Symmetric(retain=0.6)],
    ids=lambda method: method.label,
)
def test_what_stays_small_is_counted(method):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 12), nn.Tanh(), nn.Linear(12, 2))
    x = torch.randn(40, 3)
    result = sl.anneal(model, (x, x[:, :2]), [method], epochs=1)
    held = sum(p.numel() for p in result.model.parameters())
    assert result.steps[-1].parameters == held <= method.retain * 74


def test_what_is_refused():
    model, x = multilayer(2, (4,), 1), np.ones((5, 2))
    y = np.ones((5, 1))
    for arguments, options, says in (
        (((x, y), [0.2, 0.1]), {}, "step 2 is 0.1, smaller than an earlier step"),
        (((x, y), [-0.1]), {}, "schedule: step 1=-0.1"),
        (((x, y), ["half"]), {}, "schedule: step 1='half'"),
        (((x, y), [0.1]), {"epochs": -1}, "epochs=-1"),
        (((x, y), [0.1]), {"batch": 0}, "batch=0"),
        (((x, y), [0.1]), {"rate": float("nan")}, "rate=nan"),
        (((x[:, :1], y), [0.1]), {}, r"inputs have shape \(samples, 2\)"),
        (((x, y[:3]), [0.1]), {}, "targets for 5 samples"),
        (((x, y[:, 0]), [0.1]), {}, "targets for 5 samples"),
        (((x, y, y), [0.1]), {}, "got 3 parts"),
        ((None, [0.1]), {}, "got a NoneType"),
        (((x * np.nan, y), [0.1]), {}, "inputs are finite numbers"),
        (((x, y * np.inf), [0.1]), {}, "targets are finite numbers"),
        (((x, y), 0.1), {}, "schedule=0.1: give a sequence"),
        (((x, y), "0.1"), {}, "schedule='0.1': give a sequence"),
        (((x, y), [0.1]), {"seed": "a"}, "seed='a'"),
        (((x, y), [0.1]), {"loss": "mse"}, "loss='mse': give a function"),
        (((x, y), [0.1]), {"loss": nn.NLLLoss()}, "the loss fails on predictions of shape"),
        (((x, y), [0.1]), {"loss": nn.MSELoss(reduction="none")}, "the loss must give one number"),
        (((x, np.arange(5)), [0.1]), {}, "class numbers from 0 to 4; the network has 1 outputs"),
        (((x, -np.ones(5, int)), [0.1]), {}, "class numbers from -1 to -1"),
    ):
        with pytest.raises(MethodError, match=says):
            sl.anneal(model, *arguments, **options)
    with pytest.raises(NetworkError):
        sl.anneal(nn.Sequential(nn.Conv1d(1, 1, 1)), (x, y), [0.1])
    with pytest.raises(NetworkError, match=r"reads a torch\.nn\.Module; got a dict"):
        sl.anneal(dict(model.state_dict()), (x, y), [0.1])


def test_the_fingerprint_sees_content():
    x = np.ones(3)
    assert digest(x) == digest(x.copy()) != digest(x + 1)
    assert digest(sl.Dependence(eps=0.1)) == digest(sl.Dependence(eps=0.1))
    assert digest(sl.Dependence(eps=0.1)) != digest(sl.Dependence(eps=0.1, inputs=sl.Normal(x)))
    assert digest(nn.CrossEntropyLoss(torch.ones(2))) != digest(nn.CrossEntropyLoss())
    assert digest([1, 2]) != digest([12])
