"""Networks that others trained and published: read, reduced, written, and compared with onnxruntime."""

from pathlib import Path

import numpy as np
import pytest

import symlump as sl

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
FOLDER = Path(__file__).parents[2].parent / "shared" / "networks"
NAMES = (
    "ACASXU_run2a_1_1_batch_2000",
    "Convnet_avgpool",
    "KJ_TinyTaxiNet",
    "cifar10_small",
    "cifar_deep_kw",
    "mnist-net_256x2",
    "mnist5x20_leaky_relu",
    "resnet_2b",
    "self-attention-mnist-pgd-medium-sim",
    "softmax-last-layer",
    "traffic-classifier64",
)


def run(path, x):
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x.astype(np.float32)})[0]


def close(a, b):
    return np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


@pytest.mark.parametrize("name", NAMES)
def test_published_networks(name, tmp_path):
    path = FOLDER / f"{name}.onnx"
    if not path.exists():
        pytest.skip("the published networks are not here")
    network = sl.read_onnx(path)
    x = network.inputs[0].drawn(np.random.default_rng(0), 1)
    expected = run(path, x)
    assert not network.untouched and network(x).shape == expected.shape
    assert close(network(x), expected)
    sl.write_onnx(network, tmp_path / "same.onnx")
    assert close(run(tmp_path / "same.onnx", x), expected)
    share = 0.98 if "attention" in name else 0.5  # its units are tied to places, but for two layers
    method = sl.AFDE(retain=share, inputs=network.inputs[0].drawn(np.random.default_rng(1), 64))
    small = sl.compress(network, method)
    assert small.retained <= share
    sl.write_onnx(small.network, tmp_path / "small.onnx")
    assert close(run(tmp_path / "small.onnx", x), small.network(x))
