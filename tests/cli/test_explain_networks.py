"""``symlump explain`` of two saved networks."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune

import symlump as sl
from symlump.cli.main import main


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    small = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    large = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    with torch.no_grad():  # unit 4 is unit 1 again
        large[0].weight[:], large[0].bias[:] = (
            small[0].weight[[0, 1, 2, 0]],
            small[0].bias[[0, 1, 2, 0]],
        )
        large[2].weight[:], large[2].bias[:] = small[2].weight[:, [0, 1, 2, 0]], small[2].bias
        large[2].weight[0, [0, 3]] *= 0.5
    save_file(large.state_dict(), "net.safetensors")
    save_file(small.state_dict(), "small.safetensors")
    return "net.safetensors", "small.safetensors"


def test_it_says_what_merged_and_certifies_the_difference(files, capsys):
    assert main(["explain", *files, "--activation", "tanh", "--box", "-1", "1"]) == 0
    text = capsys.readouterr().out
    assert (
        "17 → 13 weights and biases; both compute the same, up to the rounding of the weights"
        in text
    )
    assert "layer 1 (tanh): 4 → 3 units: 2 kept, 2 merged into 1; exact" in text
    assert "certified: for all inputs in [-1, 1] no output of the two differs by more than" in text


def test_onnx_files(files, capsys):
    pytest.importorskip("onnx")
    for name in files:
        network = sl.from_torch(_module(name))
        sl.write_onnx(network, name.replace("safetensors", "onnx"))
    assert main(["explain", "net.onnx", "small.onnx"]) == 0
    assert "2 merged into 1; exact" in capsys.readouterr().out


def test_files_that_name_their_activation_need_no_option(files, capsys):
    from symlump.network.saved.writing import write_network

    for name in files:
        write_network(name, sl.from_torch(_module(name)))
    assert main(["explain", *files]) == 0
    assert "2 merged into 1; exact" in capsys.readouterr().out


def test_what_onnx_files_say_themselves_is_refused(files, capsys):
    pytest.importorskip("onnx")
    onnx = [name.replace("safetensors", "onnx") for name in files]
    for name, path in zip(files, onnx, strict=True):
        sl.write_onnx(sl.from_torch(_module(name)), path)
    assert main(["explain", *onnx, "--activation", "tanh"]) == 2
    assert "--activation is for state dicts" in capsys.readouterr().err
    assert main(["explain", onnx[0], files[1], "--activation", "tanh"]) == 0


def _module(name):
    from safetensors.torch import load_file

    state = load_file(name)
    width = len(state["0.weight"])
    module = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 1))
    module.load_state_dict(state)
    return module


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "add --activation"),
        (["x3", "--activation", "tanh"], "one argument too many"),
        (["--activation", "tanh", "--method", "backward"], "--method is for two variables"),
        (["--activation", "tanh", "--parameters", "symbolic"], "for differential equations"),
    ],
)
def test_mistakes(files, capsys, more, message):
    assert main(["explain", *files, *more]) == 2
    assert message in capsys.readouterr().err


def test_a_model_and_a_network_are_not_compared(files, tmp_path, capsys):
    (tmp_path / "m.ode").write_text("begin model m\nend model\n")
    for pair in (("m.ode", files[0]), (files[0], "m.ode")):
        assert main(["explain", *pair]) == 2
        assert "m.ode is a model, net.safetensors a network" in capsys.readouterr().err


def test_masks_that_are_not_multiplied_yet(files, capsys):
    model = _module(files[0])
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    torch.save(model.state_dict(), "masked.pt")
    assert main(["explain", files[0], "masked.pt", "--activation", "tanh"]) == 2
    assert "prune.remove(layer, 'weight')" in capsys.readouterr().err
    prune.remove(model[0], "weight")
    torch.save(model.state_dict(), "removed.pt")
    assert main(["explain", files[0], "removed.pt", "--activation", "tanh"]) == 0
    assert "4 of 8 weights set to 0" in capsys.readouterr().out


def test_the_larger_network_comes_first(files, capsys):
    assert main(["explain", *reversed(files), "--activation", "tanh"]) == 2
    assert "give the larger network first" in capsys.readouterr().err


def test_options_of_networks_are_refused_for_models(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.ode").write_text(
        "begin model m\nbegin init\nx y\nend init\nbegin ODE\nd(x) = -x\nd(y) = -y\nend ODE\nend model\n"
    )
    assert main(["explain", "m.ode", "x"]) == 2
    assert "two variables are compared" in capsys.readouterr().err
    assert main(["explain", "m.ode", "x", "y", "--box", "0", "1"]) == 2
    assert "--box is for networks" in capsys.readouterr().err
    assert main(["explain", "m.ode", "x", "y"]) == 0


def test_recurrent_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = nn.GRU(3, 6)
    save_file(model.state_dict(), "gru.safetensors")
    with torch.no_grad():
        model.weight_hh_l0[model.weight_hh_l0.abs() < 0.1] = 0
    save_file(model.state_dict(), "masked.safetensors")
    assert main(["explain", "gru.safetensors", "masked.safetensors"]) == 0
    text = capsys.readouterr().out
    assert "l0 (gru): all 6 units kept" in text and "weights set to 0" in text
    assert "bound_steps(steps, (low, high))" in text
    assert main(["explain", "gru.safetensors", "masked.safetensors", "--box", "-1", "1"]) == 1
    assert capsys.readouterr().out == text  # the map all the same


def test_what_is_missing_is_said(files, tmp_path, capsys):
    (tmp_path / "m.ode").write_text(
        "begin model m\nbegin init\nx y\nend init\nbegin ODE\nd(x) = -x\nd(y) = -y\nend ODE\nend model\n"
    )
    for file, wanted in (
        (files[0], "symlump explain net.safetensors SMALLER"),
        ("m.ode", "m.ode ONE ANOTHER"),
    ):
        assert main(["explain", file]) == 2
        assert wanted in capsys.readouterr().err
