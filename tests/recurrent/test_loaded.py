"""Recurrent state dicts from the command line, loaded where symlump is not, bit for bit."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import symlump as sl
from symlump.cli.main import main

#: Class, options, whether a dense layer stands behind, the names in front of the tensors.
CASES = {
    "gru": ("GRU", {}, True, "cells."),
    "lstm": ("LSTM", {"num_layers": 2}, True, "deep.cells."),
    "rnn": ("RNN", {"nonlinearity": "relu", "bias": False}, True, "cells."),
    "both": ("GRU", {"bidirectional": True, "num_layers": 2}, True, "cells."),
    "bare": ("LSTM", {"bidirectional": True}, False, ""),
}
LOADING = """
import sys
sys.modules["symlump"] = None
import torch
from load import load

for name in {names}:
    x, expected = torch.load(name + ".xy")
    network = load(name + ".safetensors")
    assert torch.equal(network(x), expected), name
print("all")
"""


def compressed(folder, name):
    """A state dict, compressed on the command line; the options that make its module again."""
    kind, options, head, before = CASES[name]
    torch.manual_seed(0)
    cells = getattr(nn, kind)(3, 8, **options)
    state = {f"{before}{key}": tensor for key, tensor in cells.state_dict().items()}
    if head:
        dense = nn.Linear(8 * (1 + cells.bidirectional), 2)
        state |= {f"head.{key}": tensor for key, tensor in dense.state_dict().items()}
    save_file(state, folder / f"{name}-big.safetensors")
    path = folder / f"{name}.safetensors"
    more = ["--activation", "relu"] if kind == "RNN" else []
    arguments = ["compress", str(folder / f"{name}-big.safetensors"), "--retain", "0.7", *more]
    assert main([*arguments, "-o", str(path)]) == 0
    return path


def in_torch(path, name, x):
    """What the classes of torch give with the tensors of a file, put where they belong by hand."""
    kind, options, head, before = CASES[name]
    tensors = load_file(path)
    units = tensors[f"{before}weight_hh_l0"].shape[1]
    assert units < 8
    cells = getattr(nn, kind)(3, units, batch_first=True, **options)
    cells.load_state_dict(
        {k.removeprefix(before): t for k, t in tensors.items() if "head" not in k}
    )
    states, _ = cells(x)  # with gradients, as what is loaded has: torch rounds otherwise without
    if not head:
        return states.detach()
    dense = nn.Linear(states.shape[-1], 2)
    dense.load_state_dict({part: tensors[f"head.{part}"] for part in ("weight", "bias")})
    return dense(states).detach()


def test_cells_load_in_three_lines(tmp_path):
    for name in CASES:
        path, x = compressed(tmp_path, name), torch.randn(4, 6, 3)
        expected = in_torch(path, name, x)
        torch.save((x, expected), tmp_path / f"{name}.xy")
        assert torch.equal(sl.read_module(path)(x), expected)
    assert main(["loader", "-o", str(tmp_path / "load.py")]) == 0
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADING.format(names=list(CASES))],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout == "all\n", done.stderr


def test_what_was_written_is_compressed_again(tmp_path):
    path = compressed(tmp_path, "gru")
    again = tmp_path / "again.safetensors"
    assert main(["compress", str(path), "--retain", "0.7", "-o", str(again)]) == 0
    assert main(["show", str(again)]) == 0
    small, smaller = (load_file(p)["cells.weight_hh_l0"].shape[1] for p in (path, again))
    assert smaller < small


def test_what_reads_what_is_said_to_be_missing(tmp_path, capsys):
    from symlump.network.saved.load import load, tensors

    torch.manual_seed(0)
    cells = {f"cells.{k}": t for k, t in nn.GRU(3, 8).state_dict().items()}
    cases = {
        "embed.weight": cells | {"embed.weight": torch.randn(5, 3)},
        "what calls the cells": {f"cells.{k}": t for k, t in nn.GRUCell(3, 8).state_dict().items()},
    }
    for missing, state in cases.items():
        big, small = tmp_path / "big.safetensors", tmp_path / "small.safetensors"
        save_file(state, big)
        assert main(["compress", str(big), "--retain", "0.7", "-o", str(small)]) == 0
        assert missing in capsys.readouterr().out
        with pytest.raises(
            ValueError, match=f"does not say its architecture .*{missing}.* is missing"
        ):
            load(small)
        assert set(tensors(small)) == set(state)
