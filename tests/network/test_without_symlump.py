"""What is written loads where symlump is not: in a process that cannot import it, as the documentation says."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import symlump as sl
from symlump.errors import FileFormatError, NetworkError
from symlump.network.saved import load


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (
            nn.Linear(4, 9), nn.Linear(3, 9), nn.Linear(9, 5), nn.Linear(9, 2),
        )  # fmt: skip

    def forward(self, x, y):
        h = torch.relu(self.a(x) + self.b(y))
        return {"logits": self.c(h), "unused": None, "value": self.d(torch.tanh(h))}


class Tagger(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cells = getattr(nn, kind)(3, 8, batch_first=True)
        self.drop, self.head = nn.Dropout(0.5), nn.Linear(8, 2)

    def forward(self, x):
        out, _ = self.cells(x)
        scores: torch.Tensor = self.head(self.drop(out[:, -1]))
        return scores


class Timed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 9), nn.Linear(9, 3)

    def forward(self, t, h):
        return self.b(torch.tanh(self.a(torch.cat([h, t * torch.ones_like(h[:, :1])], -1))))


CASES = {
    "dict": (Two, (torch.ones(3, 4), torch.ones(3, 3))),
    "gru": (lambda: Tagger("GRU"), (torch.ones(3, 6, 3),)),
    "lstm": (lambda: Tagger("LSTM"), (torch.ones(3, 6, 3),)),
    "ode": (Timed, (torch.tensor(0.5), torch.ones(3, 3))),
}

LOADING = """
import sys
sys.modules["symlump"] = None
import torch
from load import load

folder = sys.argv[1]
for name in {names}:
    given, expected, column = torch.load(f"{{folder}}/{{name}}.xy")
    for found in (
        torch.export.load(f"{{folder}}/{{name}}.pt2").module()(*given),
        load(f"{{folder}}/{{name}}.safetensors")(*(column or given)),
    ):
        both = (found, expected) if isinstance(found, dict) else ({{"": found}}, {{"": expected}})
        assert list(both[0]) == list(both[1]), (name, list(both[0]))
        for key in both[0]:
            assert torch.allclose(both[0][key], both[1][key], atol=1e-6), (name, key)
print("all")
"""


def test_the_files_of_every_kind_of_network(tmp_path):
    for name, (make, given) in CASES.items():
        torch.manual_seed(0)
        model, column = make().eval(), ()
        if name == "ode":
            small = sl.compress(sl.NeuralODE(model), sl.AFDE(retain=0.8))
            column = (given[1], given[0].expand(3, 1))
        else:
            example = given if name == "dict" else None
            small = sl.compress(model, sl.AFDE(retain=0.8), example=example)
        with torch.no_grad():
            expected = small.model(*given)
        torch.save((given, expected, column), tmp_path / f"{name}.xy")
        program, held = tmp_path / f"{name}.pt2", tmp_path / f"{name}.safetensors"
        if name == "dict":
            assert list(expected) == ["logits", "value"]
            sl.write_program(small.network, program)
        else:
            sl.write_program(small.model, program, example=given)
        sl.write_safetensors(small.model if name in ("gru", "lstm") else small.network, held)
    script = LOADING.format(names=list(CASES))
    shutil.copy(load.__file__, tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout == "all\n", done.stderr


def test_the_loader_imports_torch_and_safetensors_only():
    tree = ast.parse(Path(load.__file__).read_text(encoding="utf-8"))
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert names == {"__future__", "json", "collections", "typing", "torch", "safetensors"}
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"eval", "exec", "compile", "__import__"}


def test_outputs_keep_their_names_in_onnx(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model, path, again = Two().eval(), tmp_path / "a.onnx", tmp_path / "b.onnx"
    given = (torch.rand(2, 4), torch.rand(2, 3))
    network = sl.from_torch(model, given)
    assert network.output_names == ("logits", "value")
    sl.write_onnx(network, path)
    found = sl.compress(sl.read_onnx(path), sl.AFDE(eps=0)).network
    assert isinstance(sl.to_torch(found)(*given), tuple)  # a file has no dicts
    sl.write_onnx(found, again)
    session = runtime.InferenceSession(str(again), providers=["CPUExecutionProvider"])
    names = [v.name for v in session.get_inputs()]
    feeds = {name: part.numpy() for name, part in zip(names, given, strict=True)}
    (value,) = session.run(["value"], feeds)
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(value), model(*given)["value"], atol=1e-6)


def test_an_output_may_be_called_as_a_layer_is(tmp_path):
    pytest.importorskip("onnx")

    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 3), nn.Linear(3, 2)

        def forward(self, x):
            return {"a": self.b(torch.tanh(self.a(x))), "x": x + 1}

    x = torch.rand(4, 2)
    network = sl.from_torch(Named(), x)
    sl.write_onnx(network, tmp_path / "net.onnx")
    again = sl.read_onnx(tmp_path / "net.onnx")
    assert again.output_names == ("a", "x_2")
    for a, b in zip(sl.to_torch(again)(x), sl.to_torch(network)(x).values(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_one_output_in_a_dict_is_one():
    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))

        def forward(self, x):
            return {"y": self.net(x)}

    x = torch.rand(4, 3)
    small = sl.compress(One(), sl.AFDE(retain=0.6, steps=5), example=x)
    assert small.network.chain is not None and small.model(x)["y"].shape == (4, 2)


def test_what_is_missing_is_said(tmp_path):
    gru = nn.GRU(2, 3)
    with pytest.raises(NetworkError, match=r"does not say what it reads.*example=torch\.zeros"):
        sl.write_program(gru, tmp_path / "a.pt2")
    with pytest.raises(NetworkError, match="knows the shapes of its inputs"):
        sl.write_program(sl.Network.dense([[[1.0]]]), tmp_path / "a.pt2", torch.zeros(2, 1))
    with pytest.raises(FileFormatError, match=r"suffix \.safetensors"):
        sl.write_safetensors(gru, tmp_path / "a.pt")

    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(NetworkError, match="cannot be followed step by step"):
        sl.write_safetensors(Branching(), tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda a: a["modules"]["rnn"][1].update(num_layers=10**9),
            "more layers than the file has",
        ),
        (lambda a: a["modules"]["rnn"].__setitem__(0, "functional"), "functional is no module"),
        (lambda a: a["steps"][0].__setitem__(slice(1, 3), ["function", "load"]), "call 'load'"),
        (lambda a: a.update(output={"dtype": "load"}), "torch.load is no type of numbers"),
    ],
)
def test_the_loader_refuses_what_symlump_does_not_write(tmp_path, change, said):
    held = {f"rnn.{name}": tensor for name, tensor in nn.GRU(2, 3).state_dict().items()}
    plan = {
        "inputs": ["x"],
        "modules": {"rnn": ["GRU", {"input_size": 2, "hidden_size": 3}]},
        "steps": [["h", "module", "rnn", [{"value": "x"}], {}]],
        "output": {"value": "h"},
    }
    change(plan)
    save_file(held, tmp_path / "a.safetensors", {"architecture": json.dumps(plan)})
    with pytest.raises(ValueError, match=said):
        load.load(tmp_path / "a.safetensors")(torch.zeros(4, 2))


@pytest.mark.parametrize(
    ("count", "more"),
    [(1, {}), (3, {}), (5, {}), (5, {"blocks": [[0, 2, 0, 2, -1]]})],
)
def test_packed_tensors_of_other_sizes_are_refused(count, more):
    entry = {"shape": [2, 2], "dtype": "float64", **more}
    with pytest.raises((ValueError, RuntimeError), match="more than a packed|invalid for input"):
        load.unpack(entry, {"numbers": torch.ones(count)})
    assert torch.equal(load.unpack(entry, {"numbers": torch.ones(4)}), torch.ones(2, 2).double())
