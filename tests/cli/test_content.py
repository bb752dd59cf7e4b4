"""Errors about what is in a file name it; those about options do not."""

import numpy as np
import pytest

import symlump as sl
from symlump.cli.main import main

LARGE = "x' = 10^400*y\ny' = -10^400*x\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.txt").write_text(LARGE)
    rng = np.random.default_rng(0)
    for name, widths in (("large", (3, 5, 2)), ("small", (3, 7, 2)), ("deep", (3, 5, 5, 2))):
        weights = [rng.normal(size=(b, a)) for a, b in zip(widths, widths[1:], strict=False)]
        sl.write_safetensors(sl.Network.dense(weights, activation="tanh"), f"{name}.safetensors")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (["lump", "model.txt", "--method", "forward", "--eps", "0.1"], ["model.txt"]),
        (
            ["explain", "large.safetensors", "small.safetensors"],
            ["large.safetensors", "small.safetensors"],
        ),
        (
            ["explain", "large.safetensors", "deep.safetensors"],
            ["large.safetensors", "deep.safetensors"],
        ),
    ],
)
def test_what_does_not_fit_names_the_file(files, capsys, command, named):
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"symlump: {' and '.join(named)}: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        ["compress", "large.safetensors", "--retain", "7"],
        ["lump", "model.txt", "--method", "forward", "--eps", "-1"],
    ],
)
def test_what_is_wrong_with_options_does_not(files, capsys, command):
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "model.txt" not in said and "safetensors" not in said


def test_one_error_is_a_kind_of_the_other():
    net = sl.Network.dense([np.ones((2, 1)), np.ones((1, 2))])
    with pytest.raises(sl.errors.SubjectError) as caught:
        sl.explain_reduction(net, sl.Network.dense([np.ones((3, 1)), np.ones((1, 3))]))
    assert isinstance(caught.value, sl.errors.MethodError)
