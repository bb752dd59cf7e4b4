"""Networks that are no chains come back from safetensors, bit for bit, and what strangers write is refused."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils._pytree import tree_leaves

import symlump as sl
from symlump.cli.main import main
from symlump.errors import FileFormatError, NetworkError
from symlump.network.saved import rebuilt
from tests.network.planted_graph import planted_graphs
from tests.network.test_architecture import CASES
from tests.network.test_packed import Shared
from tests.network.test_without_symlump import Tagger, Two
from tests.network.tied import Repeated, RepeatedConvolutions
from tests.network.transformer import vit

MODELS: dict[str, tuple[Any, Any]] = {
    **CASES,
    "a layer that is tied": (lambda: Repeated(9), torch.ones(2, 3)),
    "a convolution that is tied": (lambda: RepeatedConvolutions(4, 3), torch.ones(2, 1, 5, 5)),
    "both": (Shared, torch.ones(2, 2, 6, 6)),
    "a transformer": (vit, torch.ones(2, 1, 8, 8)),
    "two inputs, a dict": (Two, (torch.ones(2, 4), torch.ones(2, 3))),
}
METHODS: dict[str, Any] = {
    "merged": sl.AFDE(eps=0.5),
    "rounded": sl.Quantize(bits=4),
    "pruned": sl.Magnitude(0.6),
}


def arguments(x: Any, seed: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(seed)
    parts = x if isinstance(x, tuple) else (x,)
    return tuple(torch.randn(p.shape).to(dtype) if p.is_floating_point() else p for p in parts)


def same(one: Any, two: Any) -> bool:
    assert type(one) is type(two)
    if isinstance(one, dict):
        assert list(one) == list(two)
    return all(
        a.dtype == b.dtype and torch.equal(a, b)
        for a, b in zip(tree_leaves(one), tree_leaves(two), strict=True)
    )


def check(network: Any, path: Path, x: tuple[torch.Tensor, ...]) -> Any:
    """Of a network and what its file gives back the outputs are the same, in torch and as they are."""
    module, again = sl.read_module(path), sl.read_safetensors(path)
    written = sl.to_torch(network).eval()
    with torch.no_grad():
        assert same(module(*x), written(*x))
        assert same(sl.to_torch(again).eval()(*x), written(*x))
    assert again.dtype == network.dtype and again.output_names == network.output_names
    given = tuple(part.double().numpy() for part in x)
    assert np.array_equal(again.flat(*given), network.flat(*given))
    assert [(n.name, n.size) for n in again.inputs] == [(n.name, n.size) for n in network.inputs]
    state = module.state_dict()
    held = {n: t for n, t in written.state_dict().items() if not n.endswith(".coefficients")}
    assert set(state) == set(held)  # the coefficients of polynomials stand in the steps
    assert all(torch.equal(tensor, state[name]) for name, tensor in held.items())
    return again


@pytest.mark.parametrize("name", MODELS)
def test_what_is_packed_comes_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    make, x = MODELS[name]
    torch.manual_seed(0)
    model = make().float().eval()
    path, drawn = tmp_path / "a.safetensors", arguments(x, 1)
    network = sl.from_torch(model, drawn if len(drawn) > 1 else drawn[0]).rounded()
    for method in (sl.AFDE(retain=0.8), sl.Quantize(bits=4)):
        small = sl.compress(network, method)
        small.write(path, packed=True)
        again = check(small.network, path, drawn)
    assert sl.compress(again, sl.AFDE(retain=0.9)).retained <= 0.9  # and compresses further


@settings(deadline=None, max_examples=6)
@given(
    planted_graphs(), st.sampled_from(["float64", "float32", "float16", "bfloat16"]),
    st.sampled_from(sorted(METHODS)), st.integers(0, 2**31),
)  # fmt: skip
def test_graphs_of_convolutions_come_back(
    tmp_path_factory: Any, graphs: Any, dtype: str, name: str, seed: int
) -> None:
    from dataclasses import replace

    network = replace(graphs[0], dtype=dtype).rounded()
    small = sl.compress(network, METHODS[name])
    path = tmp_path_factory.mktemp("a") / "a.safetensors"
    small.write(path, packed=True)
    x = torch.zeros(3, *network.inputs[0].size)
    again = check(small.network, path, arguments(x, seed, getattr(torch, dtype)))
    assert again.parameters == small.network.parameters
    assert [layer.name for layer in again.layers] == [n.name for n in small.network.layers]
    for one, two in zip(again.layers, small.network.layers, strict=True):
        assert np.array_equal(one.weight, two.weight)


@settings(deadline=None, max_examples=12)
@given(
    st.sampled_from(["GRU", "LSTM", "RNN"]), st.integers(2, 9), st.booleans(), st.booleans(),
    st.integers(1, 2), st.integers(0, 2**31), st.booleans(),
)  # fmt: skip
def test_modules_with_cells_come_back(
    tmp_path_factory: Any, kind: str, units: int, bias: bool, both: bool, layers: int, seed: int,
    packed: bool,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    path = tmp_path_factory.mktemp("a") / "a.safetensors"
    cells = getattr(nn, kind)(3, units, layers, bias=bias, bidirectional=both).eval()
    with torch.no_grad():  # on a grid, so that there is something to pack
        for parameter in cells.parameters():
            parameter.copy_((parameter * 8).round() / 8)
    sl.write_safetensors(cells, path, packed=packed)
    again, x = sl.read_module(path), torch.randn(4, 2, 3)
    with torch.no_grad():
        assert same(again(x), cells(x))


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_compressed_cells_come_back_and_compress_further(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    small, path = sl.compress(Tagger(kind).eval(), sl.AFDE(retain=0.8)), tmp_path / "a.safetensors"
    sl.write_safetensors(small.model, path, packed=True)
    again, x = sl.read_module(path), torch.randn(3, 6, 3)
    with torch.no_grad():
        assert same(again(x), small.model(x))
    assert list(again.state_dict()) == list(small.model.state_dict())
    further = sl.compress(again, sl.AFDE(retain=0.6))
    assert further.retained_parameters <= 0.6 * small.retained_parameters
    with pytest.raises(NetworkError, match=rf"recurrent cells \({kind}\).*read_module"):
        sl.read_safetensors(path)


def test_a_chain_is_a_sequential_with_the_names_of_its_file(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    path = tmp_path / "a.safetensors"
    sl.write_safetensors(sl.from_torch(model), path, packed=True)
    again, x = sl.read_module(path), torch.randn(4, 3)
    assert isinstance(again, nn.Sequential) and not again.training
    assert torch.equal(again(x), model(x))
    named = {
        name.replace("0.", "a.").replace("2.", "b."): t for name, t in model.state_dict().items()
    }
    save_file(named, tmp_path / "b.safetensors", {"symlump.activation": "relu"})
    out = tmp_path / "c.safetensors"
    assert main(["compress", str(tmp_path / "b.safetensors"), "--eps", "0", "-o", str(out)]) == 0
    assert set(load_file(out)) == set(named)
    assert torch.equal(sl.read_module(out)(x), model(x))


def test_tied_weights_stay_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Repeated(9).eval()
    other = nn.Linear(9, 9)
    other.weight = model.again.weight  # the weight is shared, the bias is not
    model = nn.Sequential(
        model.first, nn.Tanh(), model.again, nn.Tanh(), other, nn.Tanh(), model.last
    )
    path, x = tmp_path / "a.safetensors", torch.randn(5, 3)
    sl.write_safetensors(model, path, packed=True)
    again = sl.read_module(path)
    assert again.get_submodule("2").weight is again.get_submodule("4").weight
    assert torch.equal(again(x), model(x))
    network = sl.read_safetensors(path, example=x)
    assert network.parameters == sl.from_torch(model).parameters


@pytest.mark.parametrize("times", [32, 300])
def test_a_layer_that_is_tied_many_times_is_read(times: int, tmp_path: Path) -> None:
    """Its weight is in the file once, and in memory once, however often it is called."""
    rng = np.random.default_rng(0)
    layer = nn.Linear(64, 64)
    model = nn.Sequential(*[part for _ in range(times) for part in (layer, nn.Tanh())])
    with torch.no_grad():
        layer.weight.copy_(
            torch.from_numpy(rng.integers(-1, 2, (64, 64)) * (rng.random((64, 64)) < 0.02))
        )
    network, path = sl.from_torch(model), tmp_path / "a.safetensors"
    sl.write_safetensors(network, path, packed=True)
    again, x = sl.read_safetensors(path), rng.normal(size=(3, 64))
    assert len(again.layers) == times and again.parameters == network.parameters
    assert np.array_equal(again(x), network.rounded()(x))
    assert len({id(layer.weight) for layer in again.layers}) == 1
    model = sl.read_module(path)
    assert len(list(model.parameters())) == 2


def test_layers_tied_between_normalisations_are_bounded(tmp_path: Path) -> None:
    norm, layer = nn.BatchNorm1d(4).state_dict(), nn.Linear(4, 4).state_dict()
    tensors = {f"{2 * k + 1}.{name}": t.clone() for k in range(100) for name, t in norm.items()}
    tensors |= {f"0.{name}": t for name, t in layer.items()}
    ties = {f"{2 * k}.{name}": f"0.{name}" for k in range(1, 101) for name in layer}
    big = {"200.weight": torch.zeros(4, 4), "200.bias": torch.zeros(4)}
    save_file(tensors | big, tmp_path / "a.safetensors", {**ties, "symlump.activation": "tanh"})
    assert len(sl.read_safetensors(tmp_path / "a.safetensors").layers) >= 100
    wide = {"0.weight": torch.zeros(512, 512), "0.bias": torch.zeros(512)}
    wide |= {f"{2 * k + 1}.weight": torch.ones(512) for k in range(100)}
    save_file(wide, tmp_path / "a.safetensors", {**ties, "symlump.activation": "tanh"})
    with pytest.raises(NetworkError, match="more than 64 times"):
        sl.read_safetensors(tmp_path / "a.safetensors")


# What a file cannot say.


@pytest.mark.parametrize(
    "model",
    [
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), nn.AvgPool2d(2, divisor_override=3),
        nn.Softplus(beta=2.0), nn.Embedding(4, 3, max_norm=1.0), nn.MaxPool2d(2, return_indices=True),
        nn.LSTM(2, 3, proj_size=1),
    ],
    ids=lambda model: type(model).__name__,
)  # fmt: skip
def test_options_that_files_do_not_hold_are_refused(model: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(
        NetworkError, match=f"{type(model).__name__} with hooks, or with options other"
    ):
        sl.write_safetensors(model, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_hooks_are_refused(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda module, given, result: 3 * result)
    with pytest.raises(NetworkError, match="Linear with hooks"):
        sl.write_safetensors(nn.Sequential(layer, nn.Tanh()), tmp_path / "a.safetensors")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    path, model = tmp_path / "a.safetensors", nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU())
    sl.write_safetensors(model, path)
    with pytest.raises(
        NetworkError, match=r"does not say the shape.*example=torch\.zeros.*input_1"
    ):
        sl.read_safetensors(path)
    again, x = sl.read_safetensors(path, example=torch.zeros(1, 1, 5)), torch.randn(2, 1, 5)
    assert torch.equal(sl.to_torch(again)(x), model(x))
    with pytest.raises(FileFormatError, match="does not fit"):
        sl.read_safetensors(path, example=torch.zeros(1, 2, 5))
    sl.write_safetensors(sl.Network.dense([[[1.0]]]), path)
    with pytest.raises(NetworkError, match="leave out example"):
        sl.read_safetensors(path, example=torch.zeros(1, 1))
    save_file({"0.weight": torch.zeros(1, 1)}, path)
    with pytest.raises(FileFormatError, match="it has none"):
        sl.read_module(path)


def test_commands_read_packed_graphs(tmp_path: Path, capsys: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4))
    network = sl.from_torch(model, torch.zeros(1, 1, 5, 5))
    paths = [str(tmp_path / f"{k}.safetensors") for k in range(3)]
    sl.write_safetensors(network, paths[0])
    command = ["compress", paths[0], "--retain", "0.8", "-o", paths[1]]
    assert main([*command, "--packed"]) == 0
    assert main(["show", paths[1]]) == 0
    assert "a graph" in capsys.readouterr().out
    assert main(["explain", paths[0], paths[1]]) == 0
    assert "δ =" in capsys.readouterr().out
    merged = ["compress", paths[1], "--method", "afde", "--retain", "0.7", "-o", paths[2]]
    assert main(merged) == 0
    assert sl.read_safetensors(paths[2]).parameters < sl.read_safetensors(paths[1]).parameters
    capsys.readouterr()
    assert main(["show", paths[1], "--activation", "tanh"]) == 2
    assert "leave out --activation" in capsys.readouterr().err


# What strangers write.


def good() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the architecture of a network with every kind of argument."""
    torch.manual_seed(0)
    return _GOOD[0], copy.deepcopy(_GOOD[1])


def _made() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        sl.write_safetensors(
            sl.from_torch(CASES["patches, a class"][0](), torch.ones(2, 1, 4, 4)), path
        )
        with safe_open(str(path), "pt") as file:
            return load_file(path), json.loads(file.metadata()["architecture"])


_GOOD = _made()


def wrote(path: Path, tensors: dict[str, torch.Tensor], plan: Any) -> Path:
    text = plan if isinstance(plan, str) else json.dumps(plan)
    save_file(tensors, path, {"architecture": text})
    return path


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.sampled_from([2**31, 2**62, 10**30, -1, 1e300]),
    st.floats(), st.text(max_size=3), st.lists(st.integers(-2, 40), max_size=5), st.builds(dict),
    st.sampled_from(["zeros_like", "expand", "Linear", "float16", "cut", "__class__", "self"]),
    st.builds(lambda: {"value": "x"}), st.builds(lambda: {"tensor": "head.weight"}),
    st.builds(lambda: {"slice": [None, -1, 2]}), st.builds(lambda: {"dtype": "int64"}),
)  # fmt: skip


def places(part: Any) -> list[tuple[Any, Any]]:
    """Everything inside that can be replaced: its container, and where it stands there."""
    items = (
        part.items()
        if isinstance(part, dict)
        else enumerate(part)
        if isinstance(part, list)
        else ()
    )
    return [place for key, inner in items for place in [(part, key), *places(inner)]]


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_architectures_that_lie_are_refused_or_read(tmp_path_factory: Any, data: Any) -> None:
    """Errors say what is wrong in a line and name the file; nothing else is raised."""
    tensors, plan = good()
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(plan)))
        match data.draw(st.integers(0, 2)):
            case 0:
                container[key] = data.draw(JUNK)
            case 1 if isinstance(container, list):
                container.pop(key)
            case 1:
                container.pop(key, None)
            case _ if isinstance(container, dict):
                container[data.draw(st.text(max_size=4))] = container.pop(key, None)
            case _:
                container.insert(key, data.draw(JUNK))
    path = wrote(tmp_path_factory.mktemp("a") / "a.safetensors", tensors, plan)
    for read in (sl.read_module, sl.read_safetensors):
        try:
            read(path)
        except (FileFormatError, NetworkError) as error:
            assert len(str(error)) < 1500 and "\n" not in str(error)


def hostile() -> list[tuple[str, Any]]:
    """What is said of architectures that ask for what they must not get, and these."""
    found: list[tuple[str, Any]] = []
    x = {"value": "x"}

    def put(what: str, *steps: Any, modules: Any = None, **more: Any) -> None:
        last = steps[-1][0] if steps else "x"
        plan = {"inputs": ["x"], "given": [["x", "float32", [4]]], "modules": modules or {}}
        plan |= {"steps": [list(s) for s in steps], "output": {"value": last}}
        found.append((what, plan | more))

    def call(name: str, *given: Any, which: str = "", **options: Any) -> Any:
        return (name, "function", which or name, list(given), options)

    put("GiB", call("pad", x, [0, 10**11]))
    put("GiB", call("unsqueeze", x, 1), call("expand", {"value": "unsqueeze"}, -1, 10**10, -1),
        call("neg", {"value": "expand"}))  # fmt: skip
    grown = [call("a0", x, which="neg")]
    grown += [call(f"a{k + 1}", [{"value": f"a{k}"}] * 2, 1, which="cat") for k in range(40)]
    put("GiB", *grown)
    put("GiB", call("neg", x), given=[["x", "float32", [10**6, 10**6]]])
    put("layers than the file", ("r", "module", "r", [x], {}),
        modules={"r": ["GRU", {"input_size": 4, "hidden_size": 2, "num_layers": 10**9}]})  # fmt: skip
    put("shape (3, 4)", ("a", "module", "a", [x], {}),
        modules={"a": ["Linear", {"in_features": 4, "out_features": 10**12 - 1, "bias": False}]})  # fmt: skip
    put("may not", ("a", "function", "system", [x], {}))
    put("may not", ("a", "function", "__class__", [x], {}))
    put("that symlump writes", ("a", "module", "a", [x], {}), modules={"a": ["Module", {}]})
    put("that symlump writes", modules={"a": ["ReLU", {"inplace": True}]})
    put("that symlump writes", modules={"a": [{}, {}]})
    put("make no module", call("part", x, which="__getitem__"))
    for path in ('a"), print("', "a.__class__", "a..b", "a.forward", "", ".", "a\nb"):
        put("no place in a module", (path, "module", path, [x], {}), modules={path: ["ReLU", {}]})
    put("word of Python", ("a", "module", "lambda", [x], {}), modules={"lambda": ["ReLU", {}]})
    put("no arguments", call("neg", x, **{"a=print(1), b": 1}))
    put("no names", call("neg", x), inputs=['x=print("a")'])
    put("no names", call("neg", x), inputs=["lambda"])
    put("means nothing", call("neg", {"value": "later"}))
    put("means nothing", call("neg", {"dtype": "nn"}))
    deep: Any = x
    for _ in range(200):
        deep = [deep]
    put("nested deeper", call("cat", deep))
    put("does not fit", call("reshape", x, 3, 3))
    put("no tensor", call("add", x, {"tensor": "none"}))
    put("name, type and shape", call("neg", x), given=[["x", "float32", [-1]]])
    put("name, type and shape", call("neg", x), given=[["x", "uint8", [4]]])
    put("name, type and shape", call("neg", x), given=[])
    return found


def test_what_strangers_must_not_get(tmp_path: Path) -> None:
    tensors = {"a.weight": torch.zeros(3, 4)}
    for number, (what, plan) in enumerate(hostile()):
        path = wrote(tmp_path / f"{number}.safetensors", tensors, plan)
        with pytest.raises(FileFormatError, match=re.escape(what)) as raised:
            sl.read_safetensors(path)
        assert str(path) in str(raised.value), what


@pytest.mark.parametrize(
    "text", ["{", "{}", "[" * 10**5, '{"inputs": 3}', "[[1]]", "[3]", '[["ReLU", {}]]', "null"]
)
def test_other_text_is_refused(text: str, tmp_path: Path, capsys: Any) -> None:
    path = wrote(tmp_path / "a.safetensors", {"a.weight": torch.zeros(3, 4)}, text)
    with pytest.raises(FileFormatError, match="its architecture cannot be read"):
        sl.read_module(path)
    if text.startswith("{"):
        assert main(["show", str(path)]) == 2
        assert capsys.readouterr().err.startswith("symlump: ")


def test_weights_that_are_called_often_are_counted(tmp_path: Path, monkeypatch: Any) -> None:
    torch.manual_seed(0)
    network, path = (
        sl.from_torch(RepeatedConvolutions(8), torch.ones(1, 1, 5, 5)),
        tmp_path / "a.safetensors",
    )
    sl.write_safetensors(network, path)
    again = 2 * 8 * (8 * 8 * 9 + 8)  # the inner convolution is called three times
    values: list[int] = []
    counted = rebuilt._Counting.run_node

    def watch(self: Any, n: Any) -> Any:
        value = counted(self, n)
        values.append(self._total)
        return value

    monkeypatch.setattr(rebuilt._Counting, "run_node", watch)
    sl.read_safetensors(path)
    monkeypatch.setattr(rebuilt, "MAX_VALUES", values[-1] - 1)
    with pytest.raises(FileFormatError, match="more than"):
        sl.read_safetensors(path)
    assert values[-1] > again
