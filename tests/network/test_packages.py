"""Networks that ship inside packages, or that packages export: read exactly, where the package is installed."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import symlump as sl

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
KINDS = {"tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(double)": np.float64}


def run(path, x):
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return session.run(None, {given.name: x.astype(KINDS.get(given.type, np.float32))})


def close(a, b):
    return np.abs(a - b).max() <= 1e-5 * max(1.0, np.abs(b).max())


def folder_of(package):
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"the package {package} is not installed")
    return Path(spec.origin).parent


@pytest.mark.parametrize(
    ("package", "pattern", "shape"),
    [
        ("magika", "*.onnx", None),
        ("rapidocr_onnxruntime", "*det*.onnx", (1, 3, 64, 64)),
        ("rapidocr_onnxruntime", "*rec*.onnx", (1, 3, 48, 192)),
        ("rapidocr_onnxruntime", "*cls*.onnx", (1, 3, 48, 192)),
    ],
)
def test_models_inside_packages(package, pattern, shape, tmp_path):
    (path,) = folder_of(package).rglob(pattern)
    network = sl.read_onnx(path, shape=None if shape is None else {"x": shape})
    assert not network.untouched
    x = network.inputs[0].drawn(np.random.default_rng(0), 1)
    (expected,) = run(path, x)
    assert close(network(x), expected)
    sl.write_onnx(network, tmp_path / "again.onnx")
    assert close(run(tmp_path / "again.onnx", x)[0], expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_exports_of_scikit_learn(classes, tmp_path):
    skl2onnx = pytest.importorskip("skl2onnx")
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    kind = MLPClassifier if classes else MLPRegressor
    model = kind(hidden_layer_sizes=(8,), max_iter=300, random_state=0)
    targets = np.arange(60) % classes if classes else x[:, 0]
    pipeline = make_pipeline(StandardScaler(), model).fit(x, targets)
    options = {id(pipeline): {"zipmap": False}} if classes else None
    path = tmp_path / "net.onnx"
    path.write_bytes(skl2onnx.to_onnx(pipeline, x[:1], options=options).SerializeToString())
    network = sl.read_onnx(path)
    found = sl.to_torch(network)(torch.from_numpy(x))
    found = found if isinstance(found, tuple) else (found,)
    for a, b in zip(found, run(path, x), strict=True):
        assert close(a.detach().numpy(), b)
    assert (network.chain is None) == bool(classes)


@pytest.mark.parametrize(
    "name",
    ["resnet18", "mobilenetv3_small_050", "convnext_tiny", "vit_tiny_patch16_224", "mixer_s32_224"],
)
def test_models_of_timm(name):
    timm = pytest.importorskip("timm", exc_type=Exception)
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    x = torch.randn(1, 3, 224, 224)
    network = sl.from_torch(model, x)
    with torch.no_grad():
        expected = model(x).numpy()
        assert close(sl.to_torch(network).eval()(x).numpy(), expected)
