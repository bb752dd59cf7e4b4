"""Packed files: nothing is lost, they are as small as counted, load without symlump, and lies are refused."""

import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import symlump as sl
from symlump.cli.main import main
from symlump.errors import FileFormatError, NetworkError
from symlump.network.precision import PRECISIONS
from symlump.network.saved import packed
from symlump.network.saved.codings import find_grid, pack_bits, packed_size, unpack_bits
from symlump.network.saved.load import load

PAGE = Path(__file__).resolve().parents[2] / "docs/do/compress-torch-or-onnx.md"


def network(dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=s) for s in [(48, 20), (40, 48), (3, 40)]]
    return sl.Network.dense(
        weights, [rng.normal(size=len(w)) for w in weights], dtype=dtype
    ).rounded()


def written(small, path):
    small.write(path, packed=True)
    with path.open("rb") as content:
        header = 8 + int.from_bytes(content.read(8), "little")
    return path.stat().st_size - header


METHODS = {
    **{f"{bits} bits": sl.Quantize(bits=bits) for bits in (2, 4, 8, 11, 15)},
    "a step per matrix": sl.Quantize(bits=8, steps="matrix"),
    "combined": sl.Combined(retain=0.25, count="bytes"),
    "pruned and rounded": sl.Combined(retain=0.08, count="bytes"),
    "merged": sl.AFDE(retain=0.5),
    "hierarchical": sl.Hierarchical(retain=0.5, leaf_size=4),
    "hierarchical, in another order": sl.Hierarchical(eps=0.5, order="similarity"),
}


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_lost_and_the_bytes_are_those_that_are_counted(tmp_path, name, dtype):
    small = sl.compress(network(dtype), METHODS[name])
    data = written(small, tmp_path / "a.safetensors")
    again = sl.read_safetensors(tmp_path / "a.safetensors")
    assert again.dtype == dtype
    for a, b in zip(small.network.layers, again.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)
    x = np.random.default_rng(1).normal(size=(30, 20))
    assert np.array_equal(small.network(x), again(x))
    # Counted are whole numbers for each layer; places and codes are rounded up to bytes each.
    counted = PRECISIONS[dtype].bits // 8 * small.retained_parameters
    assert data <= counted + len(again.layers)
    if "order" not in name:  # places in shorter numbers than are counted
        assert data >= 0.75 * counted


def test_pruned_weights_take_what_is_counted_and_a_bit_for_each_place(tmp_path):
    net = network()
    small = sl.compress(net, sl.Magnitude(0.2))
    places = sum(packed_size(1, layer.weight.size) for layer in net.layers)
    assert written(small, tmp_path / "a.safetensors") == 4 * small.retained_parameters + places


@given(
    st.sampled_from(sorted(PRECISIONS)), st.integers(2, 8), st.integers(0, 2**32 - 1),
    st.sampled_from([None, 0, 1]), st.integers(-20, 20),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_a_planted_grid_is_found(dtype, bits, seed, axis, scale):
    """With the largest code in each row, as rounding leaves it."""
    rng, precision, most = np.random.default_rng(seed), PRECISIONS[dtype], 2 ** (bits - 1) - 1
    scale = scale // 4 if dtype == "float16" else scale
    codes = rng.integers(-most, most + 1, size=(12, 40))
    codes[np.arange(12), rng.integers(40, size=12)] = most
    steps = np.ones((1, 1)) if axis is None else np.ones((12, 1))
    steps = precision.nearest(steps * rng.uniform(1, 2, size=steps.shape) * 2.0**scale, "step")
    weight = precision.nearest(codes * steps, "weight")
    if axis == 1:
        weight = np.ascontiguousarray(weight.T)
    grid = find_grid(weight, precision)
    assert grid is not None and grid.bits <= bits
    assert np.array_equal(grid.weight(precision), weight)
    assert grid.steps.size <= (1 if axis is None else 12)


@given(st.integers(2, 16), st.lists(st.integers(-(2**15), 2**15 - 1), max_size=40))
def test_bits_come_back(bits, numbers):
    codes = np.array(numbers, dtype=np.int64) >> (16 - bits)
    found = pack_bits(codes, bits)
    assert found.size == packed_size(bits, codes.size)
    assert unpack_bits(found, bits, codes.size).tolist() == codes.tolist()


def test_what_is_on_no_grid_stays_as_it_is():
    weight = torch.randn(30, 30, generator=torch.Generator().manual_seed(0))
    stored, header = packed.pack_tensors({"w": weight, "b": torch.arange(3)})
    assert stored["w"] is weight and json.loads(header)["tensors"] == {}


def test_names_that_parts_would_take_are_left():
    weight = torch.eye(40)
    tensors = {"w": weight, "w.places": torch.ones(2)}
    stored, header = packed.pack_tensors(tensors)
    assert set(stored) == set(tensors) and not json.loads(header)["tensors"]


HIDDEN = "import sys\nsys.modules['symlump'] = None\n"


def run_without_symlump(script, *arguments, folder=None):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HIDDEN + script, *arguments],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return done.stdout


def three(first):
    """Three lines of the page from the one that starts so."""
    text = PAGE.read_text(encoding="utf-8").split("\n")
    start = next(k for k, line in enumerate(text) if line.startswith(f">>> {first}"))
    assert all(line.startswith(">>> ") for line in text[start : start + 3])
    return "\n".join(line[4:] for line in text[start : start + 3])


IMPORTS = "import json, torch, safetensors, safetensors.torch, torch.nn.functional as F\n"
OPENING = "held, entry = "


def tensor_lines(kind):
    """What the page says of a rounded tensor, or of one in blocks."""
    text = PAGE.read_text(encoding="utf-8").split("\n")
    starts = [k for k, line in enumerate(text) if line.startswith(f">>> {OPENING}")]
    chosen = starts[("rounded", "blocks").index(kind)]
    return "\n".join(line[4:] for line in text[chosen : chosen + 3])


@pytest.mark.parametrize("bits", [2, 4, 7, 8, 15])
@pytest.mark.parametrize("shape", [(48, 20), (16, 3, 5, 5)])
def test_three_lines_of_torch_read_a_rounded_tensor(tmp_path, bits, shape):
    rng, path = np.random.default_rng(0), tmp_path / "small.safetensors"
    # Few are rounded to zero even by 2 bits; mostly zeros are stored by their places.
    weight = rng.uniform(0.4, 1, shape) * rng.choice([-1.0, 1.0], shape)
    layer = nn.Linear(20, 48) if len(shape) == 2 else nn.Conv2d(3, 16, 5)
    model = nn.Sequential(
        layer, nn.ReLU(), nn.Flatten(), nn.Linear(48 if len(shape) == 2 else 64, 2)
    )
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
    example = torch.zeros(1, 20) if len(shape) == 2 else torch.zeros(1, 3, 6, 6)
    small = sl.compress(model, sl.Quantize(bits=bits), example=example)
    small.write(path, packed=True)
    torch.save(sl.to_torch(small.network).state_dict()["0.weight"], tmp_path / "expected.pt")
    run_without_symlump(
        f"{IMPORTS}path, name = sys.argv[1], '0.weight'\n"
        f"{tensor_lines('rounded')}\n"
        "assert not entry.get('sparse')\n"
        "expected = torch.load(sys.argv[2])\n"
        "assert weight.dtype == expected.dtype and torch.equal(weight, expected)",
        str(path),
        str(tmp_path / "expected.pt"),
    )


@pytest.mark.parametrize("leaf_size, share", [(4, 0.5), (16, 0.7)])
def test_three_lines_of_torch_read_a_hierarchical_tensor(tmp_path, leaf_size, share):
    path = tmp_path / "small.safetensors"
    small = sl.compress(network(), sl.Hierarchical(retain=share, leaf_size=leaf_size))
    small.write(path, packed=True)
    torch.save(torch.from_numpy(small.network.layers[1].weight), tmp_path / "expected.pt")
    run_without_symlump(
        f"{IMPORTS}path, name = sys.argv[1], '2.weight'\n"
        f"{tensor_lines('blocks')}\n"
        "ranks = {block[4] for block in entry['blocks']}\n"
        "assert -1 in ranks and max(ranks) > 0, ranks\n"
        "assert torch.allclose(weight.double(), torch.load(sys.argv[2]), rtol=1e-5, atol=1e-7)",
        str(path),
        str(tmp_path / "expected.pt"),
    )


class Pictures(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.deep, self.head = nn.Conv2d(12, 12, 3, padding=1), nn.Linear(432, 3)

    def forward(self, x):
        h = torch.relu(self.norm(self.conv(x)))
        return self.head(torch.relu(h + self.deep(h)).flatten(1))


#: What compresses dense layers and convolutions; blocks are of the dense layers there.
EVERYWHERE = {
    "merged": sl.AFDE(retain=0.5),
    "merged by data-free dependence": sl.Dependence(retain=0.5),
    "rounded": sl.Quantize(bits=5),
    "pruned": sl.Magnitude(0.2),
    "hierarchical": sl.Hierarchical(retain=0.6, leaf_size=4),
    "hierarchical, in another order": sl.Hierarchical(eps=0.5, order="similarity"),
    "merged, then rounded": sl.Combined(retain=0.25, count="bytes"),
    "merged, pruned and rounded": sl.Combined(retain=0.08, count="bytes"),
}


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_three_lines_load_every_packed_network(tmp_path, dtype):
    """The three lines of the page, with the file that the command writes, where symlump cannot be imported."""
    assert main(["loader", "-o", str(tmp_path / "load.py")]) == 0
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    pictures = Pictures().eval().to(kind)
    cases = {}
    for number, (name, method) in enumerate(EVERYWHERE.items()):
        if isinstance(method, sl.Combined) and dtype != "float32":
            continue  # which takes its time, and writes nothing that the others do not
        dense = sl.compress(network(dtype), method)
        convolution = sl.compress(pictures, method, example=torch.zeros(1, 2, 6, 6, dtype=kind))
        x = torch.rand(7, 20).to(kind), torch.rand(4, 2, 6, 6).to(kind)
        for what, small, sample in (("dense", dense, x[0]), ("convolution", convolution, x[1])):
            path = tmp_path / f"{number}-{what}.safetensors"
            small.write(path, packed=True)
            module = sl.to_torch(small.network).eval()
            with torch.no_grad():
                torch.save((sample, module(sample), module.state_dict()), f"{path}.pt")
            cases[path.name] = name
    script = f"""
import torch
from load import tensors
for name in sys.argv[1:]:
    path = name
    x, expected, state = torch.load(f"{{name}}.pt")
{indent(three("from load import load"), "    ")}
    assert outputs.dtype == expected.dtype and torch.equal(outputs, expected), name
    held = tensors(path)
    for key, wanted in state.items():
        assert held[key].dtype == wanted.dtype and torch.equal(held[key], wanted), (name, key)
    print(name)
"""
    assert run_without_symlump(script, *cases, folder=tmp_path).split() == list(cases)
    packed_ones = [
        json.loads(safe_open(tmp_path / name, "pt").metadata()["packed"]) for name in cases
    ]
    entries = [e for one in packed_ones for e in one["tensors"].values()]
    for key in ("bits", "blocks", "sparse"):
        assert any(key in entry for entry in entries), key


def test_the_loader_says_what_it_cannot_load(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"w": torch.ones(2)}, path, {})
    with pytest.raises(ValueError, match="does not say its architecture"):
        load(path)
    net = {"inputs": ["x"], "modules": {}, "steps": [], "output": {"value": "x"}}
    for change, said in (
        ({"steps": [["y", "function", "save", [{"value": "x"}, "a"], {}]]}, "do not call 'save'"),
        ({"modules": {"m": ["Parameter", {}]}}, "no module"),
    ):
        save_file({"w": torch.ones(2)}, path, {"architecture": json.dumps(net | change)})
        with pytest.raises(ValueError, match=said):
            load(path)


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.up = nn.Conv2d(2, 8, 3), nn.ConvTranspose2d(8, 4, 2)
        self.inner, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = torch.relu(self.up(torch.relu(self.conv(x)))).mean((2, 3))
        return self.head(torch.tanh(self.inner(torch.tanh(self.inner(h)))))


def test_any_network_is_packed(tmp_path):
    torch.manual_seed(0)
    model, x = Shared().eval(), torch.rand(3, 2, 6, 6)
    small = sl.compress(model, sl.Quantize(bits=4), example=x)
    small.write(tmp_path / "small.safetensors", packed=True)
    with safe_open(tmp_path / "small.safetensors", "pt") as file:
        header = file.metadata()["packed"]
        held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    entries = json.loads(header)["tensors"]
    # Of a transposed convolution the units are the second axis.
    steps = {
        name: held[f"{name}.steps"].numel() for name, entry in entries.items() if "bits" in entry
    }
    assert steps["conv.weight"] == 8 and steps["up.weight"] == 4 and "inner.weight" in steps
    found = packed.unpack_tensors("file", held, header)
    for name, tensor in sl.to_torch(small.network).state_dict().items():
        if name in found:
            assert torch.equal(found[name], tensor), name


def test_where_weights_cannot_be_packed(tmp_path):
    small = sl.compress(network(), sl.Quantize(bits=4))
    for name in ("a.pt", "a.pt2"):
        with pytest.raises(FileFormatError, match=r"as \.safetensors or \.onnx"):
            small.write(tmp_path / name, packed=True)
    with pytest.raises(FileFormatError, match="unknown"):
        small.write(tmp_path / "a.bin")
    assert not list(tmp_path.iterdir())


# What strangers write.


def good():
    rng = np.random.default_rng(0)
    block = sl.HMatrix.from_dense(np.add.outer(np.arange(32.0), np.arange(32.0)), 1e-3, leaf_size=8)
    block = block.in_precision(PRECISIONS["float32"]).as_blocks()
    sparse = rng.normal(size=(16, 16)) * (rng.random((16, 16)) < 0.1)
    tensors = {
        "codes": torch.from_numpy(rng.integers(-3, 4, size=(16, 16))).float(),
        "places": torch.from_numpy(sparse).float(),
        "blocks": torch.from_numpy(PRECISIONS["float32"].nearest(block.dense(), "w")).float(),
    }
    return tensors, *packed.pack_tensors(tensors, [block])


def test_the_fuzzed_header_is_of_every_kind():
    tensors, stored, header = good()
    entries = json.loads(header)["tensors"]
    assert (
        "bits" in entries["codes"]
        and "sparse" in entries["places"]
        and "blocks" in entries["blocks"]
    )
    found = packed.unpack_tensors("file", stored, header)
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.sampled_from([2**31, 2**62, 10**30, -1]),
    st.floats(), st.text(max_size=3), st.lists(st.integers(-2, 40), max_size=5), st.builds(dict),
    st.builds(lambda: [[0, 9, 0, 9, 1]]),
)  # fmt: skip


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_headers_that_lie_are_refused_or_give_what_they_say(data):
    """Nothing but an error that says so, and never more memory than the limit."""
    _, stored, header = good()
    read, stored = json.loads(header), dict(stored)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(read["tensors"])))
        entry = read["tensors"][name]
        match data.draw(st.integers(0, 4)):
            case 0:
                entry[
                    data.draw(st.sampled_from(["shape", "dtype", "bits", "sparse", "blocks", "x"]))
                ] = data.draw(JUNK)
            case 1 if isinstance(entry.get("blocks"), list) and entry["blocks"]:
                row = data.draw(st.sampled_from(entry["blocks"]))
                if isinstance(row, list) and row:
                    row[data.draw(st.integers(0, len(row) - 1))] = data.draw(JUNK)
            case 2 if isinstance(entry.get("shape"), list) and entry["shape"]:
                entry["shape"][0] = data.draw(JUNK)
            case 3:
                part = data.draw(st.sampled_from(sorted(stored)))
                stored[part] = stored[part][: data.draw(st.integers(0, 3))]
            case _:
                stored.pop(data.draw(st.sampled_from(sorted(stored))), None)
        if not stored:
            return
    bytes_there = sum(t.numel() * t.element_size() for t in stored.values())
    try:
        found = packed.unpack_tensors("file", stored, json.dumps(read))
    except FileFormatError as error:
        assert "file" in str(error) and len(str(error)) < 400
        return
    for name, entry in read["tensors"].items():
        assert list(found[name].shape) == entry["shape"]
    assert (
        sum(t.numel() * t.element_size() for t in found.values()) <= packed.MAX_GROWTH * bytes_there
    )


@pytest.mark.parametrize(
    "header",
    [
        "", "[]", "{", "[" * 10**5, '{"version": 2, "tensors": {}}', '{"version": 1, "tensors": []}',
        '{"version": 1, "tensors": {"0.weight": 3}}',
        '{"version": 1, "tensors": {"0.weight": {"shape": [9999999, 9], "dtype": "float32", "bits": 4}}}',
    ],
)  # fmt: skip
def test_files_with_other_headers_are_refused(tmp_path, capsys, header):
    from symlump.cli.main import main

    path = tmp_path / "a.safetensors"
    tensors = {
        "0.weight.codes": torch.zeros(8, dtype=torch.uint8),
        "0.weight.steps": torch.ones(1, 1),
    }
    save_file(tensors, path, {"packed": header})
    with pytest.raises(FileFormatError, match=re.escape(str(path))):
        sl.read_safetensors(path)
    assert main(["show", str(path)]) == 2
    assert capsys.readouterr().err.startswith("symlump: ")


# ONNX.


@pytest.mark.parametrize("bits, newer", [(3, True), (4, True), (8, False), (12, True)])
def test_onnx_holds_whole_numbers_and_runs(tmp_path, bits, newer):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    small, path = sl.compress(network(), sl.Quantize(bits=bits)), tmp_path / "a.onnx"
    small.write(path, packed=True)
    small.write(tmp_path / "full.onnx")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [n.op_type for n in model.graph.node].count("DequantizeLinear") == 3
    assert (model.opset_import[0].version == 21) is newer
    again = sl.read_onnx(path)
    for a, b in zip(small.network.layers, again.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)
    x = np.random.default_rng(0).normal(size=(9, 20)).astype(np.float32)
    outputs = []
    for file in (path, tmp_path / "full.onnx"):
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        outputs.append(session.run(None, {session.get_inputs()[0].name: x})[0])
    assert np.array_equal(*outputs)
    weights = sum(layer.weight.size for layer in small.network.layers)
    saved = (tmp_path / "full.onnx").stat().st_size - path.stat().st_size
    held = next(b for b in (4, 8, 16) if bits <= b)
    steps = sum(layer.units for layer in small.network.layers)
    assert weights * (32 - held) // 8 - 4 * steps - 1000 <= saved


def test_onnx_with_convolutions_in_half_precision_and_shared_weights(tmp_path):
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    x = torch.rand(3, 2, 6, 6)
    for model in (Shared().eval(), Shared().eval().half()):
        small = sl.compress(model, sl.Quantize(bits=5), example=x.to(model.head.weight.dtype))
        small.write(tmp_path / "a.onnx", packed=True)
        again = sl.read_onnx(tmp_path / "a.onnx")
        assert np.allclose(again(x.numpy()), small.network(x.numpy()), rtol=0, atol=1e-12)


def test_onnx_has_no_such_operator_for_float64(tmp_path):
    pytest.importorskip("onnx")
    small = sl.compress(network("float64"), sl.Quantize(bits=4))
    with pytest.raises(NetworkError, match="float64.*safetensors"):
        small.write(tmp_path / "a.onnx", packed=True)
    assert not list(tmp_path.iterdir())


def test_an_untouched_operator_keeps_the_version_of_onnx(tmp_path):
    onnx = pytest.importorskip("onnx")
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 30), nn.Tanh(), nn.Linear(30, 30), nn.Tanh(), nn.Linear(30, 2)
    )
    path = tmp_path / "a.onnx"
    sl.write_onnx(sl.from_torch(model), path)
    graph = onnx.load(path)
    node = next(n for n in graph.graph.node if n.op_type == "Tanh")
    node.op_type = "Shrink"
    onnx.save(graph, path)
    net = sl.read_onnx(path, leave_untouched=True)
    assert net.untouched
    for bits in (4, 12):
        small = sl.compress(net, sl.Quantize(bits=bits))
        small.write(path, packed=True)
        found = onnx.load(path)
        assert found.opset_import[0].version == 20
        kinds = {t.data_type for t in found.graph.initializer}
        assert (onnx.TensorProto.INT8 in kinds) is (bits == 4)
        again = sl.read_onnx(path, leave_untouched=True)
        assert np.array_equal(again.layers[1].weight, small.network.layers[1].weight)


def test_a_command_packs_and_says_the_bytes(tmp_path, capsys):
    from symlump.cli.main import main

    sl.write_safetensors(network(), tmp_path / "net.safetensors")
    out = tmp_path / "small.safetensors"
    command = [
        "compress",
        str(tmp_path / "net.safetensors"),
        "--method",
        "quantize",
        "--bits",
        "4",
        "--packed",
    ]
    assert main([*command, "-o", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bytes"] == out.stat().st_size and "written_in_full" not in report
    assert main([*command, "-o", str(out)]) == 0
    assert f"packed in {out.stat().st_size} bytes" in capsys.readouterr().out
    assert main(["show", str(out)]) == 0  # and compresses further, as any other file
    capsys.readouterr()
    again = ["compress", str(out), "--eps", "0.1", "-o", str(tmp_path / "smaller.safetensors")]
    assert main(again) == 0
    capsys.readouterr()
    assert main(command) == 2
    assert "--packed" in capsys.readouterr().err
    assert main([*command, "-o", str(tmp_path / "a.pt")]) == 2
    assert not (tmp_path / "a.pt").exists()
