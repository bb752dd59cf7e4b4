"""An ONNX file as data: its graph, its tensors, its names. Needs the extra ``onnx``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from symlump.errors import FileFormatError, MissingExtraError, NetworkError, first_line

_MAX_BYTES = 1 << 31  # what protobuf holds
MOST_NODES = 100_000
#: Of real numbers: the type's number in a file, and its name.
DTYPES: dict[int, Literal["float32", "float16", "float64"]]
DTYPES = {1: "float32", 10: "float16", 11: "float64"}
#: What numpy and onnx raise on values that do not fit together.
MISFITS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def onnx_library() -> Any:
    """The library.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError(
            "ONNX files need the extra onnx; install it with: pip install 'symlump[onnx]'"
        ) from None
    return onnx


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """An ONNX file that was opened, once for all who look into it.

    Parameters
    ----------
    path : Path
    model : onnx.ModelProto
    """

    path: Path
    model: Any

    @classmethod
    def of(cls, path: str | Path | OnnxFile) -> OnnxFile:
        """The file at a path, read; one that was read already is returned."""
        return path if isinstance(path, cls) else cls(Path(str(path)), load_onnx(str(path)))


def load_onnx(path: str | Path) -> Any:
    """The model of a file, as onnx has it.

    Raises
    ------
    FileFormatError
        If the file is missing, or is none.
    """
    onnx = onnx_library()
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileFormatError(f"{path} {what}; give an ONNX file")
    size = path.stat().st_size
    if not 0 < size <= _MAX_BYTES:
        raise FileFormatError(
            f"{path} is {'empty' if not size else 'larger than an ONNX file can be'}"
        )
    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}") from None
    except Exception as error:  # protobuf's own class, which this project does not depend on
        raise FileFormatError(f"{path} is not an ONNX file: {str(error)[:200]}") from None
    if not model.graph.node and not model.graph.input:
        raise FileFormatError(f"{path} is not an ONNX file: it has no graph")
    if len(model.graph.node) > MOST_NODES:
        raise FileFormatError(
            f"{path}: it has {len(model.graph.node)} nodes, more than {MOST_NODES}"
        )
    return model


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Let errors of the block name the file, and call misfits damage."""
    try:
        with np.errstate(all="ignore"):  # weights that are not finite are refused by name
            yield
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from None
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    except MISFITS as error:  # such as names that are not text
        raise FileFormatError(f"{path} is damaged: {first_line(error)}") from None


def attribute_value(onnx: Any, attribute: Any) -> Any:
    """The value of a node's attribute; a tensor as an array."""
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return array_of_tensor(onnx, value, attribute.name)
    return value


def array_of_tensor(onnx: Any, tensor: Any, name: str) -> Any:
    """A tensor of a file, from the file itself."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise FileFormatError(
            f"{name!r} refers to another file; save the model with its weights inside "
            "(onnx.save(model, path, save_as_external_data=False))"
        )
    try:
        array = np.asarray(onnx.numpy_helper.to_array(tensor))
    except MISFITS as error:
        raise FileFormatError(f"tensor {name!r} is damaged: {first_line(error)}") from None
    if tensor.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4):
        array = array.astype(np.int8)  # numpy has no type of 4 bits
    if array.dtype.kind == "f" and str(array.dtype) not in DTYPES.values():
        raise NetworkError(f"tensor {name!r} is of {array.dtype}; convert the model to float32")
    if array.dtype.kind not in "fiub":
        raise NetworkError(
            f"tensor {name!r} is of a type that symlump does not read; convert the model to float32"
        )
    return array


def in_order(nodes: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Nodes with their numbers; constants first, which some files have after their use."""
    numbered = list(enumerate(nodes))
    yield from ((k, node) for k, node in numbered if node.op_type == "Constant")
    yield from ((k, node) for k, node in numbered if node.op_type != "Constant")


def clean(name: str) -> str:
    """A name as a path with dots, such as torch has.

    Examples
    --------
    >>> clean("/layer1/layer1.0/conv1/Conv")
    'layer1.layer1.0.conv1.Conv'
    """
    plain = re.sub(r"[^\w.]", "_", name.replace("/", ".")[:200])
    return ".".join(part for part in plain.split(".") if part)


def clean_input(name: str) -> str:
    """The name of an input without what exporters add: the operator that reads it, and a number.

    Examples
    --------
    >>> [clean_input(name) for name in ("onnx::Gemm_0", "input.1", "serving/x:0", "mask")]
    ['x', 'input', 'serving.x', 'mask']
    """
    plain = re.sub(r"^onnx::.*|(?<=.)([:.]\d+)+$", "", name)
    return clean(plain) or "x"


def refuse_loops(graph: Any) -> None:
    """Raise, by the name of its node, if an exporter wrote a recurrence as a loop."""
    loop = next((node for node in graph.node if node.op_type in ("Loop", "Scan")), None)
    if loop is not None:
        body = [node.op_type for a in loop.attribute if a.HasField("g") for node in a.g.node]
        inside = ", ".join(list(dict.fromkeys(body))[:8])
        raise NetworkError(
            f"node {loop.name!r} ({loop.op_type}): a recurrence written as a loop is not read, here one over "
            f"{len(body)} nodes, with {inside or 'nothing'}. The operators "
            "RNN, GRU and LSTM are, as torch exports its modules, and Keras its LSTM; the weights of Keras's "
            "GRU and SimpleRNN can be copied into torch.nn.GRU (gates in the order r, z, n, where Keras has "
            "z, r, n) and torch.nn.RNN"
        )


_EVALUATION = "export the model in evaluation, after model.eval()"
_INSTEAD = {
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"): (
        f"it draws random numbers, where a network gives the same for the same input; {_EVALUATION}"
    ),
    ("BatchNormalization", "Dropout"): f"in training it depends on all samples or on chance; {_EVALUATION}",
    ("If",): (
        "a branch is chosen while the model runs, and a network takes the same steps for every input; export a "
        "module that takes one branch"
    ),
    ("SplitToSequence", "ConcatFromSequence", "SequenceConstruct", "SequenceAt", "SequenceMap"): (
        "lists of tensors are not read; export the model with torch.split, torch.stack and torch.cat instead"
    ),
    ("TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble"): (
        "trees are no layers; of scikit-learn, MLPClassifier and MLPRegressor are read"
    ),
}  # fmt: skip


def instead_of(operator: str) -> str:
    """What to read instead of a file with an operator; empty where that depends on the file.

    Examples
    --------
    >>> instead_of("Bernoulli").partition("; ")[2]
    'export the model in evaluation, after model.eval()'
    >>> instead_of("Sinh")
    ''
    """
    if "quantizelinear" in operator.lower() or re.search(r"^QLinear|Integer$", operator):
        return (
            "it is of a quantized network, which is not read; read the file with real numbers that it was made "
            "from, and quantize what is written"
        )
    return next((said for names, said in _INSTEAD.items() if operator in names), "")


def instead_of_domain(domain: str) -> str:
    """What to read instead of a file with operators that are not of ONNX itself.

    Examples
    --------
    >>> instead_of_domain("com.microsoft")
    "onnxruntime's optimizer joins operators to such ones; read the file that it was given"
    """
    if domain.startswith("com.microsoft"):
        return (
            "onnxruntime's optimizer joins operators to such ones; read the file that it was given"
        )
    if domain.startswith("ai.onnx.ml"):
        return (
            "of that domain Scaler, ArrayFeatureExtractor and ZipMap are read, as stand around MLPClassifier "
            "and MLPRegressor of scikit-learn"
        )
    return (
        "symlump reads, and leaves untouched, the operators of ONNX itself: export the model with these "
        "(torch.onnx.export without custom operators)"
    )
