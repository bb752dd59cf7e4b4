"""ONNX files: written, read, compared with onnxruntime, and damaged on purpose."""

import sys
import warnings

import numpy as np
import pytest
import torch
from planted_graph import residual

import symlump as sl
from symlump.errors import (
    FileFormatError,
    MissingExtraError,
    NetworkError,
    OutputError,
    SymlumpError,
)
from symlump.network.activations.table import ACTIVATIONS, leaky_relu
from symlump.network.nodes import Input, Pool
from symlump.network.step_nodes import Operation, Untouched

onnx = pytest.importorskip("onnx")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
rng = np.random.default_rng(0)


def run(path, *x):
    """What another implementation makes of a file."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kinds = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float16)": np.float16}
    given = zip(session.get_inputs(), x, strict=True)
    results = session.run(None, {v.name: a.astype(kinds.get(v.type, np.float32)) for v, a in given})
    return [result.astype(np.float64) for result in results]


def model_of(nodes, weights, shape, outputs=("y",), opset=20, ir_version=9):
    """A model with the input x of a shape, and its bytes."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", *shape])],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )


def save(model, path):
    path.write_bytes(model.SerializeToString())
    return path


def normal(*shape):
    return rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_graphs_round_trip(tmp_path, seed):
    graph = residual(seed, True, phi="gelu", joined=True)
    path = tmp_path / "net.onnx"
    sl.write_onnx(graph, path)
    onnx.checker.check_model(path, full_check=True)
    back = sl.read_onnx(path)
    assert back.dtype == "float64" and back.shapes == graph.shapes
    for a, b in zip(graph.layers, back.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)
    single = sl.Network(graph.nodes, graph.outputs, "float32")
    sl.write_onnx(single, path)
    x = normal(4, 2, 6, 6)
    expected = graph(x)
    assert run(path, x)[0] == pytest.approx(expected, abs=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "phi", [*ACTIVATIONS, "leaky_relu:0.2", "hard_tanh:-2,3", "polynomial:0.5,1,-0.25"]
)
def test_chains_round_trip(tmp_path, phi):
    net = sl.Network.dense(
        [normal(3, 2), normal(2, 3)], [normal(3), None], activation=phi, dtype="float32"
    )
    path = tmp_path / "net.onnx"
    sl.write_onnx(net, path)
    onnx.checker.check_model(path, full_check=True)
    x = normal(6, 2)
    expected = net(x)
    assert run(path, x)[0] == pytest.approx(expected, abs=1e-5 * max(1.0, np.abs(expected).max()))
    back = sl.read_onnx(path)
    assert back(x) == pytest.approx(net(x), abs=1e-7 if phi.startswith("leaky") else 1e-9)
    if phi == "leaky_relu" or phi.startswith("leaky_relu:"):  # a slope is a float32 in a file
        slope = net.chain.layers[0].activation.slopes[0]
        assert back.chain.layers[0].activation == leaky_relu(float(np.float32(slope)))
    elif phi.split(":")[0] not in ("polynomial", "gaussian", "log_sigmoid"):  # written as formulas
        assert back.chain.layers[0].activation == net.chain.layers[0].activation


def test_half_precision(tmp_path):
    net = sl.Network.dense([normal(6, 2), normal(1, 6)], [normal(6), None], dtype="float16")
    net = sl.compress(net, sl.AFDE(retain=0.8)).network
    sl.write_onnx(net, tmp_path / "net.onnx")
    onnx.checker.check_model(tmp_path / "net.onnx", full_check=True)
    back, x = sl.read_onnx(tmp_path / "net.onnx"), normal(20, 2).astype(np.float16)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(tmp_path / "net.onnx"))
    assert back.dtype == "float16" and np.array_equal(back(x), net(x))
    assert session.run(None, {"x": x})[0] == pytest.approx(net(x.astype(float)), abs=0.02)


def test_joins_of_many_constants_are_written(tmp_path):
    constants = tuple(np.full((1, 1), float(k)) for k in range(5))
    options = {"axis": 1, "order": (0, -1, -2, -3, -4, -5), "rank": 1}
    join = Operation("j", ("x",), "join", options, constants)
    net = sl.Network((Input("x", (), (1,)), join), ("j",))
    sl.write_onnx(net, tmp_path / "net.onnx")
    found = sl.read_onnx(tmp_path / "net.onnx")
    x = np.array([[7.0], [8.0]])
    assert found(x).tolist() == net(x).tolist() == [[x, 0, 1, 2, 3, 4] for x in (7, 8)]


def test_groups_of_units_are_written_as_a_layer(tmp_path):
    net = sl.Network.dense([normal(4, 3), normal(2, 4)], dtype="float32")
    small = sl.compress(net, sl.AFDE(retain=0.8, on="state")).network
    sl.write_onnx(small, tmp_path / "a.onnx")
    x = normal(3, 3)
    assert run(tmp_path / "a.onnx", x)[0] == pytest.approx(small(x), abs=1e-5)


def one(operator, *inputs, output="y", domain="", **attributes):
    return helper.make_node(operator, inputs, [output], domain=domain, **attributes)


IMAGE, ROW = (3, 8, 8), (6,)
CASES = {
    "conv, norm, relu": (
        [
            one("Conv", "x", "w", output="a", strides=[2, 2], pads=[1, 1, 1, 1]),
            one("BatchNormalization", "a", "g", "b", "m", "v", output="n", epsilon=1e-3),
            one("Relu", "n"),
        ],
        {
            "w": normal(4, 3, 3, 3),
            **{k: normal(4) for k in "gbm"},
            "v": np.abs(normal(4)) + np.float32(0.1),
        },
        IMAGE,
    ),
    "same padding": (
        [one("Conv", "x", "w", auto_pad="SAME_UPPER")],
        {"w": normal(4, 3, 3, 3)},
        IMAGE,
    ),
    "depthwise": (
        [one("Conv", "x", "w", "b", group=3, dilations=[2, 1])],
        {"w": normal(6, 1, 3, 3), "b": normal(6)},
        IMAGE,
    ),
    "dense from matmul and add": (
        [
            one("MatMul", "x", "w", output="a"),
            one("Add", "b", "a", output="c"),
            one("Tanh", "c", output="d"),
            one("Gemm", "d", "v", output="e", alpha=0.5),
            one("Sub", "o", "e", output="f"),
            one("Div", "f", "o", output="g"),
            one("Neg", "g"),
        ],
        {"w": normal(6, 4), "b": normal(4), "v": normal(4, 2), "o": np.float32([2.0])},
        ROW,
    ),
    "weights turned round": (
        [
            one("Transpose", "w", output="t", perm=[1, 0]),
            one("MatMul", "x", "t"),
        ],
        {"w": normal(4, 6)},
        ROW,
    ),
    "a shape computed by the file": (
        [
            one("Shape", "x", output="s"),
            one("Gather", "s", "zero", output="n", axis=0),
            one("Unsqueeze", "n", "axes", output="u"),
            one("Concat", "u", "rest", output="target", axis=0),
            one("Reshape", "x", "target", output="f"),
            one("Gemm", "f", "w"),
        ],
        {
            "zero": np.array(0),
            "axes": np.array([0]),
            "rest": np.array([-1]),
            "w": normal(192, 2),
        },
        IMAGE,
    ),
    "pools": (
        [
            one("MaxPool", "x", output="a", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
            one("AveragePool", "a", output="b", kernel_shape=[2, 2], pads=[1, 1, 1, 1]),
            one("GlobalAveragePool", "b", output="c"),
            one("Flatten", "c", output="d"),
            one("GlobalMaxPool", "b", output="e"),
            one("Reshape", "e", "to", output="f"),
            one("ReduceMean", "x", "grid", output="g", keepdims=0),
            one("Concat", "d", "f", "g", axis=1),
        ],
        {"to": np.array([0, -1]), "grid": np.array([-1, -2])},
        IMAGE,
    ),
    "gate": (
        [
            one("GlobalAveragePool", "x", output="a"),
            one("Sigmoid", "a", output="b"),
            one("Mul", "x", "b", output="c"),
            one("Sum", "c", "x", "c"),
        ],
        {},
        IMAGE,
    ),
    "parts and clips": (
        [
            helper.make_node("Split", ["x", "sizes"], ["a", "b"], axis=1),
            one("Slice", "x", "from", "to", "axis", output="c"),
            one("Gather", "x", "index", output="d", axis=1),
            one("Clip", "c", "zero", "six", output="e"),
            one("Clip", "d", "zero", output="f"),
            one("Pow", "b", "two", output="g"),
            one("Concat", "a", "e", "f", "g", output="h", axis=1),
            one("LogSoftmax", "h"),
        ],
        {
            "sizes": np.array([2, 4]), "from": np.array([1]), "to": np.array([3]),
            "axis": np.array([1]), "index": np.array([5, -1, 0]), "zero": np.float32(0),
            "six": np.float32(6), "two": np.float32(2),
        },
        ROW,
    ),
    "unsqueeze and squeeze": (
        [
            one("Gemm", "x", "w", output="a"),
            one("Unsqueeze", "a", "at", output="b"),
            one("Squeeze", "b", "at", output="c"),
            one("Identity", "c", output="d"),
            one("Dropout", "d", output="e"),
            one("PRelu", "e", "slope", output="f"),
            one("Squeeze", "f", "first"),
        ],
        {
            "w": normal(6, 1), "at": np.array([2, 3]), "slope": np.float32([0.25]),
            "first": np.array([1]),
        },
        ROW,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_operators_agree_with_another_implementation(tmp_path, name):
    nodes, weights, shape = CASES[name]
    path = save(model_of(nodes, weights, shape), tmp_path / "net.onnx")
    network = sl.read_onnx(path)
    x = normal(3, *shape)
    (expected,) = run(path, x)
    found = network(x)
    assert found.shape == expected.shape
    assert found == pytest.approx(expected, abs=1e-5 * max(1, np.abs(expected).max()))
    again = tmp_path / "again.onnx"
    sl.write_onnx(network, again)
    assert run(again, x)[0] == pytest.approx(expected, abs=1e-4 * max(1, np.abs(expected).max()))


def test_older_files(tmp_path):
    """Attributes that have become inputs since."""
    nodes = [
        one("Clip", "x", output="a", min=-1.0, max=1.0),
        one("Unsqueeze", "a", output="b", axes=[2]),
        one("Squeeze", "b", output="c", axes=[2]),
        one("Gemm", "c", "w", "bias", output="d"),
        one("Softmax", "d"),
    ]
    path = save(
        model_of(nodes, {"w": normal(6, 3), "bias": normal(3)}, ROW, opset=10, ir_version=6),
        tmp_path / "old.onnx",
    )
    x = normal(4, 6)
    assert sl.read_onnx(path)(x) == pytest.approx(run(path, x)[0], abs=1e-6)


def test_names_come_from_the_weights(tmp_path):
    nodes = [
        one("Gemm", "x", "body.0.fc.weight", output="a", name="/body/0/fc/Gemm"),
        one("Add", "a", "x"),
    ]
    path = save(model_of(nodes, {"body.0.fc.weight": normal(6, 6)}, ROW), tmp_path / "a.onnx")
    assert [layer.name for layer in sl.read_onnx(path).layers] == ["body.0.fc"]


class Tokens(torch.nn.Module):
    """A table of more rows than half precision counts, whose numbers are also used as such."""

    def __init__(self):
        super().__init__()
        self.table, self.fc = torch.nn.Embedding(5000, 6), torch.nn.Linear(6, 3)

    def forward(self, ids, mask):
        h = torch.tanh(self.fc(self.table(ids))) * mask.unsqueeze(-1)
        return h, self.table(ids[:, 1:])


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", [torch.int64, torch.int32])
def test_inputs_keep_their_names_and_their_types(tmp_path, kind, half):
    torch.manual_seed(0)
    model = Tokens().half() if half else Tokens()
    names = ["input_ids.1", "onnx::Mul_1"]
    ids, mask = torch.randint(4000, 5000, (4, 5)).to(kind), torch.randint(2, (4, 5))
    path, small = str(tmp_path / "in.onnx"), str(tmp_path / "out.onnx")
    axes = {name: {0: "n"} for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (ids, mask), path, input_names=names, dynamic_axes=axes, dynamo=False
        )
    network = sl.read_onnx(path)
    assert [node.name for node in network.inputs] == ["input_ids", "x"]
    sl.write_onnx(sl.compress(network, sl.AFDE(eps=0)).network, small)
    whole = {torch.int64: 7, torch.int32: 6}[kind]
    given = [(v.name, v.type.tensor_type.elem_type) for v in onnx.load(small).graph.input]
    assert given == [(names[0], whole), (names[1], 7)]
    assert [v.name for v in onnx.load(small).graph.output] == [
        v.name for v in onnx.load(path).graph.output
    ]
    assert [node.called for node in sl.read_onnx(small).inputs] == names
    for found, expected in zip(
        run(small, ids.numpy(), mask.numpy()), model(ids, mask), strict=True
    ):
        assert np.allclose(found, expected.detach().numpy(), atol=2e-3 if half else 1e-6)


def test_outputs_keep_their_types(tmp_path):
    """Numbers of classes stay whole ones."""
    nodes = [one("MatMul", "x", "w", output="scores")]
    nodes.append(helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0))
    model = model_of(nodes, {"w": normal(6, 4)}, ROW, ("label", "scores"))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("label", onnx.TensorProto.INT64, ["n"])
    )
    path, again = save(model, tmp_path / "a.onnx"), tmp_path / "b.onnx"
    sl.write_onnx(sl.compress(sl.read_onnx(path), sl.AFDE(eps=0)).network, again)
    given = [(v.name, v.type.tensor_type.elem_type) for v in onnx.load(again).graph.output]
    assert given == [("label", onnx.TensorProto.INT64), ("scores", FLOAT)]
    x = normal(5, 6)
    for found, expected in zip(run(again, x), run(path, x), strict=True):
        assert np.allclose(found, expected, atol=1e-6)


def test_an_input_may_be_called_as_a_step_is(tmp_path):
    """The names of the file go first; those of steps make way."""
    nodes = [one("MatMul", "h", "w", output="x", name="g"), one("Tanh", "x", output="y", name="h")]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("h", FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y", FLOAT, ["n", 2])],
        [onnx.numpy_helper.from_array(normal(6, 2).astype(np.float32), "w")],
    )
    path, again = str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx")
    opset = helper.make_opsetid("", 20)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    sl.write_onnx(sl.read_onnx(path), again)
    x = normal(3, 6)
    assert [v.name for v in onnx.load(again).graph.input] == ["h"]
    assert np.allclose(run(again, x)[0], run(path, x)[0], atol=1e-6)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_weights_stored_as_whole_numbers_are_read(tmp_path, axis):
    size = () if axis is None else ((6, 2)[axis],)
    q, scale = rng.integers(0, 256, (6, 2)).astype(np.uint8), normal(*size).astype(np.float32)
    zero = rng.integers(0, 256, size).astype(np.uint8)
    nodes = [
        one("DequantizeLinear", "q", "s", "z", output="w", axis=1 if axis is None else axis),
        one("MatMul", "x", "w"),
    ]
    spread = np.expand_dims(scale, 1 - axis) if axis is not None else scale
    away = np.expand_dims(zero, 1 - axis) if axis is not None else zero
    w = (q.astype(np.float32) - away.astype(np.float32)) * spread
    path = save(model_of(nodes, {"q": q, "s": scale, "z": zero}, ROW), tmp_path / "a.onnx")
    assert np.array_equal(sl.read_onnx(path).layers[0].weight, w.T)


def test_refused_files(tmp_path):
    path = tmp_path / "net.onnx"

    def refused(kind, says, model):
        save(model, path)
        with pytest.raises(kind, match=says):
            sl.read_onnx(path)

    weights = {"w": normal(6, 2)}
    custom = [helper.make_node("Gemm", ["x", "w"], ["y"], domain="evil.example", name="n7")]
    refused(
        NetworkError,
        "node 'n7' .Gemm. is of the domain 'evil.example'",
        model_of(custom, weights, ROW),
    )
    lstm = [one("LSTM", "x", "w", "w", name="rnn")]
    refused(
        NetworkError,
        r"node 'rnn' \(LSTM\): .*read_recurrent_onnx",
        model_of(lstm, weights, ROW),
    )
    missing = [one("Gemm", "x", "v")]
    refused(
        FileFormatError, "reads 'v', which nothing before it gives", model_of(missing, weights, ROW)
    )
    wide = [one("Gemm", "x", "w")]
    refused(NetworkError, r"node 0 .Gemm.: .*reads 6 features", model_of(wide, weights, (5,)))
    refused(
        NetworkError, "no constant shape behind the samples", model_of(wide, weights, ("width",))
    )
    constant = [one("Relu", "w")]
    refused(NetworkError, "'y' does not depend on the input", model_of(constant, weights, ROW))
    unknown = [one("Hardmax", "w")]
    refused(NetworkError, "this operator is not known", model_of(unknown, weights, ROW))
    refused(NetworkError, r"meets a value of shape .samples,.", model_of(wide, weights, ()))
    half = {"w": normal(6, 2).astype(np.float16)}
    refused(
        NetworkError,
        "'w' is of float16, and the network of float32; convert",
        model_of(wide, half, ROW),
    )
    broken = {"w": np.full((6, 2), np.nan, dtype=np.float32)}
    refused(NetworkError, r"weight\[0, 0\] is nan", model_of(wide, broken, ROW))
    damaged = model_of(wide, weights, ROW)
    damaged.graph.initializer[0].raw_data = b"abc"
    refused(FileFormatError, "tensor 'w' is damaged", damaged)
    outside = model_of(wide, weights, ROW)
    tensor = outside.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    refused(FileFormatError, "'w' refers to another file", outside)


def test_huge_claims_are_refused(tmp_path):
    """Sizes that a few bytes can claim: none may make symlump hold much."""
    path = tmp_path / "net.onnx"
    doubling = [
        one("Concat", f"v{k}" if k else "x", f"v{k}" if k else "x", output=f"v{k + 1}", axis=1)
        for k in range(60)
    ]
    save(model_of(doubling, {}, ROW, ("v60",)), path)
    with pytest.raises(NetworkError, match="larger than symlump handles"):
        sl.read_onnx(path)
    save(model_of([one("Flatten", "x")], {}, (2**20, 2**20, 2**20)), path)
    with pytest.raises(NetworkError, match="larger than symlump handles"):
        sl.read_onnx(path)
    scales = [one("Mul", f"v{k}" if k else "x", "c", output=f"v{k + 1}") for k in range(1000)]
    save(model_of(scales, {"c": np.float32([2])}, (2**21,), ("v1000",)), path)
    with pytest.raises(NetworkError, match="too many channels"):
        sl.read_onnx(path)
    shapes = [one("Shape", "x", output="s0")] + [
        one("Concat", f"s{k}", f"s{k}", output=f"s{k + 1}", axis=0) for k in range(60)
    ]
    save(model_of([*shapes, one("Reshape", "x", "s60")], {}, ROW), path)
    with pytest.raises(NetworkError, match="not known"):
        sl.read_onnx(path)
    conv = {"k": normal(6, 1, 3, 3)}
    for groups in (2**31, 2**62, -3, 4):
        save(model_of([one("Conv", "x", "k", group=groups)], conv, (3, 8, 8)), path)
        with pytest.raises(NetworkError, match="groups do not divide the 3 channels"):
            sl.read_onnx(path)
    for reach in (2**31, 2**40):  # what is left untouched is tried, and could be any size
        windows = {"dilations": [reach, 1], "kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"}
        save(model_of([one("LpPool", "x", **windows)], {}, (3, 8, 8)), path)
        with pytest.raises(NetworkError, match="cannot be left untouched"):
            sl.read_onnx(path, leave_untouched=True)


def test_not_onnx_at_all(tmp_path):
    path = tmp_path / "net.onnx"
    for content in (b"", b"PK\x03\x04 not a model", b"\x08\x09", bytes(100)):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"is not an ONNX file|is empty"):
            sl.read_onnx(path)
    with pytest.raises(FileFormatError, match="does not exist; give an ONNX file"):
        sl.read_onnx(tmp_path / "nothing.onnx")
    with pytest.raises(FileFormatError, match="is a folder"):
        sl.read_onnx(tmp_path)


def test_what_onnx_cannot_say(tmp_path):
    path = tmp_path / "net.onnx"
    x = Input("x", (), (2, 5, 5))
    pool = sl.Network((x, Pool("p", ("x",), "average", (2, 2), adaptive=True)), ("p",))
    with pytest.raises(NetworkError, match="windows of different sizes"):
        sl.write_onnx(pool, path)
    strange = Untouched("u", ("x",), "group_norm", (2, 5, 5), 0, None)
    with pytest.raises(NetworkError, match="group_norm was left untouched"):
        sl.write_onnx(sl.Network((x, strange), ("u",)), path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="cannot write"):
        sl.write_onnx(sl.Network.dense([normal(2, 2)]), tmp_path / "no" / "net.onnx")


def test_without_the_library(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'symlump\[onnx\]'"):
        sl.read_onnx(tmp_path / "net.onnx")
    with pytest.raises(MissingExtraError, match="extra onnx"):
        sl.write_onnx(sl.Network.dense([normal(2, 2)]), tmp_path / "net.onnx")


def with_other_bytes(generator, data):
    """Bytes changed, cut out, doubled or cut off."""
    data = bytearray(data)
    at = int(generator.integers(len(data)))
    width = int(generator.integers(1, 9))
    match generator.integers(5):
        case 0:
            data[at] = int(generator.integers(256))
        case 1:
            data[at] ^= 1 << int(generator.integers(8))
        case 2:
            del data[at : at + width]
        case 3:
            data[at:at] = data[at : at + width]
        case 4 if at > 10:
            del data[at:]
    return bytes(data)


NUMBERS = [-(2**63), -(2**31), -3, -1, 0, 1, 2, 3, 7, 1000, 2**31, 2**62]


def with_other_parts(generator, data):
    """A valid file in which operators, names, attributes or sizes are others."""
    model = onnx.ModelProto.FromString(data)
    graph = model.graph
    node = graph.node[generator.integers(len(graph.node))]
    number = NUMBERS[generator.integers(len(NUMBERS))]
    other = graph.node[generator.integers(len(graph.node))]
    attribute = node.attribute[generator.integers(len(node.attribute))] if node.attribute else None
    tensor = (
        graph.initializer[generator.integers(len(graph.initializer))] if graph.initializer else None
    )
    match generator.integers(10):
        case 0:
            node.op_type = other.op_type
        case 1:
            node.input[generator.integers(len(node.input))] = other.output[0]
        case 2:
            del node.input[-1]
        case 3:
            node.input.append(other.input[0] if other.input else "x")
        case 4 if attribute is not None:
            attribute.i = number
            if attribute.ints:
                attribute.ints[generator.integers(len(attribute.ints))] = number
        case 5 if attribute is not None:
            attribute.name = ["axis", "perm", "pads", "group", "axes", "alpha"][
                generator.integers(6)
            ]
        case 6 if tensor is not None and tensor.dims:
            tensor.dims[generator.integers(len(tensor.dims))] = number
        case 7 if tensor is not None:
            tensor.data_type = int(generator.integers(25))
        case 8:
            size = graph.input[0].type.tensor_type.shape.dim[-1]
            size.dim_value = max(number, -(2**62))
        case 9 if tensor is not None and tensor.data_type == onnx.TensorProto.INT64:
            tensor.raw_data = np.full(len(tensor.raw_data) // 8, number).tobytes()
    return model.SerializeToString()


@pytest.mark.parametrize(("mutated", "times"), [(with_other_bytes, 300), (with_other_parts, 600)])
def test_damaged_files_end_in_a_result_or_an_error(tmp_path, mutated, times):
    """Nothing but a network or an error of symlump comes out."""
    path = tmp_path / "net.onnx"
    originals = [model_of(*case).SerializeToString() for case in CASES.values()]
    generator = np.random.default_rng(7)
    outcomes = {True: 0, False: 0}
    for number in range(times):
        path.write_bytes(mutated(generator, originals[number % len(originals)]))
        try:
            network = sl.read_onnx(path)
            assert isinstance(network, sl.Network | sl.Network)
            outcomes[True] += 1
        except SymlumpError as error:
            assert "\n" not in str(error)
            outcomes[False] += 1
    assert min(outcomes.values()) > 40, outcomes
