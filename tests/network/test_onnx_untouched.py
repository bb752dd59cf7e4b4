"""Operators of ONNX files that symlump does not know: carried along, computed, and written back."""

import numpy as np
import pytest
import torch

import symlump as sl
from symlump.errors import FileFormatError, NetworkError
from symlump.network.exchange.onnx_untouched import OnnxOperator

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
helper = onnx.helper


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def written(path, nodes, weights, size, opset=17, outputs=("y",)):
    """A file with input x and the given nodes."""
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, ["n", *size])],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def run(path, x):
    session = ort.InferenceSession(str(path))
    return session.run(None, {session.get_inputs()[0].name: x})[0]


@pytest.fixture
def normalised(tmp_path):
    """Two dense layers of eight units, a division by the length between them; a copy in each."""
    first, second, last = normal(8, 4), normal(8, 8), normal(2, 8)
    first[1], second[1] = first[0], second[0]
    weights = {
        "a.weight": first,
        "b.weight": second,
        "c.weight": last,
    }
    nodes = [
        helper.make_node("Gemm", ["x", "a.weight"], ["h"], transB=1),
        helper.make_node("LpNormalization", ["h"], ["k"], name="/norm/Norm"),
        helper.make_node("Gemm", ["k", "b.weight"], ["z"], transB=1),
        helper.make_node("Relu", ["z"], ["r"]),
        helper.make_node("Gemm", ["r", "c.weight"], ["y"], transB=1),
    ]
    return written(tmp_path / "net.onnx", nodes, weights, (4,))


def test_the_place_is_named_and_the_rest_offered(normalised):
    says = r"node '/norm/Norm' \(LpNormalization\): .*read_onnx\(path, leave_untouched=True\)"
    with pytest.raises(NetworkError, match=says):
        sl.read_onnx(normalised)


@pytest.mark.parametrize(
    "method", [sl.AFDE(eps=0), sl.AFDE(eps=0, relative_to="layer"), sl.Symmetric()], ids=repr
)
def test_units_behind_it_merge_and_those_before_it_stay(normalised, tmp_path, method):
    network = sl.read_onnx(normalised, leave_untouched=True)
    x = normal(5, 4)
    before = run(normalised, x)
    assert np.allclose(network(x), before, atol=1e-5)
    result = sl.compress(network, method)
    assert result.exact
    assert {layer.name: layer.units for layer in result.network.layers} == {"a": 8, "b": 7, "c": 2}
    small = tmp_path / "small.onnx"
    sl.write_onnx(result.network, small)
    assert np.allclose(run(small, x), before, atol=1e-5)
    again = sl.read_onnx(small, leave_untouched=True)
    assert np.allclose(again(x), before, atol=1e-5)
    assert again.parameters == result.retained_parameters == network.parameters - 8 - 2


def test_a_tolerance_goes_through_it(normalised, tmp_path):
    network = sl.read_onnx(normalised, leave_untouched=True)
    result = sl.compress(network, sl.AFDE(retain=0.75))
    assert result.retained_parameters <= 0.75 * network.parameters
    small, x = tmp_path / "small.onnx", normal(5, 4)
    sl.write_onnx(result.network, small)
    assert np.allclose(run(small, x), result.network(x), atol=1e-5)


def test_its_derivative(normalised):
    network = sl.read_onnx(normalised, leave_untouched=True)
    (step,) = network.untouched
    operator = step.call
    assert isinstance(operator, OnnxOperator) and "LpNormalization" in repr(operator)
    x = torch.from_numpy(normal(3, 8)).double().requires_grad_()
    slope = torch.from_numpy(normal(8, 3).T.copy()).double()
    (found,) = torch.autograd.grad(operator.double()(x), x, slope)
    expected = torch.nn.functional.normalize(x)
    (known,) = torch.autograd.grad(expected, x, slope)
    assert torch.allclose(found, known, rtol=1e-2, atol=1e-2 * float(known.abs().max()))


def test_too_large_for_a_derivative(tmp_path):
    nodes = [
        helper.make_node("Gemm", ["x", "a.weight"], ["h"], transB=1),
        helper.make_node("LpNormalization", ["h"], ["k"]),
        helper.make_node("Gemm", ["k", "b.weight"], ["y"], transB=1),
    ]
    weights = {"a.weight": normal(5000, 2), "b.weight": normal(2, 5000)}
    path = written(tmp_path / "net.onnx", nodes, weights, (2,))
    network = sl.read_onnx(path, leave_untouched=True)
    with pytest.raises(NetworkError, match=r"LpNormalization.*AFDE\(relative_to='layer'\)"):
        sl.compress(network, sl.AFDE(eps=0.1))


def test_several_results_and_a_reshape(tmp_path):
    """Groups of channels, an operator with two results, and -1 for the samples."""
    nodes = [
        helper.make_node("Reshape", ["x", "grouped"], ["g"]),
        helper.make_node("LpNormalization", ["g"], ["i"], axis=2),
        helper.make_node("Reshape", ["i", "back"], ["h"]),
        helper.make_node("TopK", ["h", "three"], ["v", "unused"]),
        helper.make_node("Gemm", ["v", "b.weight"], ["y"], transB=1),
    ]
    weights = {
        "grouped": np.array([-1, 2, 3]),
        "back": np.array([-1, 6]),
        "three": np.array([3]),
        "b.weight": normal(2, 3),
    }
    path = written(tmp_path / "net.onnx", nodes, weights, (6,))
    network = sl.read_onnx(path, leave_untouched=True)
    assert [step.what for step in network.untouched][:2] == ["LpNormalization", "TopK"]
    x = normal(5, 6)
    assert np.allclose(network(x), run(path, x), atol=1e-5)
    sl.write_onnx(network, tmp_path / "again.onnx")
    assert np.allclose(run(tmp_path / "again.onnx", x), run(path, x), atol=1e-5)


@pytest.mark.parametrize(
    ("nodes", "error", "says"),
    [
        (
            [
                helper.make_node("NonZero", ["x"], ["i"], name="top"),
                helper.make_node("Cast", ["i"], ["y"], to=1),
            ],
            NetworkError,
            r"node 'top' \(NonZero\): .*cannot be left untouched either",
        ),
        (
            [helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])],
            NetworkError,
            "is not that of the samples",
        ),
        (
            [helper.make_node("Strange", ["x"], ["y"], domain="evil.example")],
            NetworkError,
            "of the domain 'evil.example'",
        ),
        ([helper.make_node("Strange", ["x"], ["y"])], FileFormatError, "not a valid ONNX model"),
        (
            [helper.make_node("Mish", ["w"], ["y"])],
            FileFormatError,
            "not a valid ONNX model",
        ),
    ],
)
def test_what_cannot_be_left_untouched(tmp_path, nodes, error, says):
    path = written(tmp_path / "net.onnx", nodes, {}, (6,))
    if "evil" in says:
        model = onnx.load(path)
        model.opset_import.append(helper.make_opsetid("evil.example", 1))
        path.write_bytes(model.SerializeToString())
    with pytest.raises(error, match=says):
        sl.read_onnx(path, leave_untouched=True)
