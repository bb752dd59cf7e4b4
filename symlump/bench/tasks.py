"""What the evaluation computes: training one network, and compressing it by one method at several sizes.

Both are functions of plain data, so they can run in any process and their results can be kept by digest.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from symlump.bench.structured import StructuredPruning, is_installed
from symlump.bench.train import multilayer, one_thread, train, tune
from symlump.compression.baselines.magnitude import Magnitude
from symlump.compression.baselines.quantize import Quantize
from symlump.compression.baselines.second_order import SecondOrder
from symlump.compression.baselines.svd import TruncatedSVD
from symlump.compression.baselines.wanda import Wanda
from symlump.compression.combined import Combined
from symlump.compression.compress import compress
from symlump.compression.compression import Compression, mean_squared_error
from symlump.compression.dependences.dependence import Dependence
from symlump.compression.hierarchical.method import Hierarchical
from symlump.compression.merging.afde import AFDE
from symlump.compression.moments import SAMPLES, Normal
from symlump.compression.symmetries.symmetric import Symmetric
from symlump.datasets import dynamics, regression
from symlump.datasets.dataset import Dataset
from symlump.datasets.fetch import PublicFile, content_digest
from symlump.errors import FailureError, MethodError
from symlump.network.activations.table import activation
from symlump.network.bounds.difference import bound_difference
from symlump.network.network import Network
from symlump.network.torch_io import from_torch, to_torch
from symlump.ode.exact import FloatArray

#: Part of every description: results of another version are not used.
VERSION = 1
_STEPS = 200  # of fitting towards the original network's outputs, without data
_CHUNK = 10_000  # samples at a time: their units fit the cache


@dataclass(frozen=True)
class TaskSource:
    """One data set of the evaluation: how it is made, and its file where it has one."""

    title: str
    load: Callable[..., Dataset]
    file: PublicFile | None = None


SOURCES = {
    "reaction": TaskSource("reaction network", dynamics.reaction_network),
    "circuit": TaskSource("H-tree circuit", dynamics.h_tree_circuit),
    "polymerization": TaskSource("polymerization", dynamics.polymer_growth),
    "glycolysis": TaskSource("glycolytic oscillator", dynamics.glycolytic_oscillator),
    "abalone": TaskSource("Abalone", regression.abalone, regression.ABALONE),
    "metro": TaskSource("Metro", regression.metro, regression.METRO),
    "hepc": TaskSource("HEPC", regression.household_power, regression.HOUSEHOLD_POWER),
    "protein": TaskSource("PROTEIN", regression.protein, regression.PROTEIN),
}


@dataclass(frozen=True)
class NamedMethod:
    """One row of the table of methods.

    Parameters
    ----------
    make : callable
        From a share of parameters and training inputs to a method of ``compress``.
    data : bool
        Whether it looks at the training inputs.
    tunable : bool
        Whether what it makes can be trained further in its own form.
    slow : bool
        Whether it is measured on the first architecture of a plan only.
    bounded : bool
        Whether certified bounds are computed where they are asked for.
    structured : bool
        Whether it is measured only where Torch-Pruning is installed.
    """

    make: Callable[[float, FloatArray], Any]
    data: bool = False
    tunable: bool = True
    slow: bool = False
    bounded: bool = False
    structured: bool = False


#: One unit, in which what else a method can be asked for is compared, one option at a time.
_BY_OUTPUT: dict[str, Any] = {"relative_to": "output", "up_to": 0}
_OUTPUT: dict[str, Any] = {"relative_to": "output"}
_PUBLISHED: dict[str, Any] = {
    "distance": "coefficients",
    "relative": False,
    "linkage": "closure",
}

METHODS: Mapping[str, NamedMethod] = {
    "AFDE": NamedMethod(lambda share, x: AFDE(retain=share), bounded=True),
    "AFDE, sums": NamedMethod(lambda share, x: AFDE(retain=share, refit=False), bounded=True),
    "AFDE, nothing spent": NamedMethod(lambda share, x: AFDE(retain=share, up_to=0), bounded=True),
    "AFDE, sums, nothing spent": NamedMethod(
        lambda share, x: AFDE(retain=share, refit=False, up_to=0), bounded=True
    ),
    "AFDE, sums, data": NamedMethod(
        lambda share, x: AFDE(retain=share, refit=False, inputs=x), data=True
    ),
    "AFDE, data": NamedMethod(lambda share, x: AFDE(retain=share, inputs=x), data=True),
    "AFDE, steps": NamedMethod(lambda share, x: AFDE(retain=share, steps=_STEPS), slow=True),
    "AFDE, steps, data": NamedMethod(
        lambda share, x: AFDE(retain=share, steps=_STEPS, inputs=x), data=True, slow=True
    ),
    # As in arXiv:2606.01402: coefficients, in their own unit; the quotient, as it is.
    "AFDE, literature": NamedMethod(lambda share, x: AFDE(retain=share, **_PUBLISHED)),
    "AFDE, literature, refit": NamedMethod(
        lambda share, x: AFDE(retain=share, **_PUBLISHED, refit=True)
    ),
    "AFDE, literature, refit, data": NamedMethod(
        lambda share, x: AFDE(retain=share, **_PUBLISHED, refit=True, inputs=x), data=True
    ),
    "AFDE, literature, steps": NamedMethod(
        lambda share, x: AFDE(retain=share, **_PUBLISHED, refit=True, steps=_STEPS), slow=True
    ),
    "AFDE, literature, steps, data": NamedMethod(
        lambda share, x: AFDE(retain=share, **_PUBLISHED, refit=True, steps=_STEPS, inputs=x),
        data=True,
        slow=True,
    ),
    "AFDE, fitted": NamedMethod(
        lambda share, x: AFDE(retain=share, **_BY_OUTPUT, steps=_STEPS), slow=True
    ),
    "AFDE, by output": NamedMethod(lambda share, x: AFDE(retain=share, **_BY_OUTPUT)),
    "AFDE, by output, sums": NamedMethod(lambda s, x: AFDE(retain=s, **_BY_OUTPUT, refit=False)),
    "AFDE, by layer": NamedMethod(lambda share, x: AFDE(retain=share, relative_to="layer")),
    "AFDE, by layer, sums": NamedMethod(
        lambda share, x: AFDE(retain=share, relative_to="layer", refit=False)
    ),
    "AFDE, diameter": NamedMethod(
        lambda share, x: AFDE(retain=share, **_BY_OUTPUT, linkage="diameter")
    ),
    "AFDE, closure": NamedMethod(
        lambda share, x: AFDE(retain=share, **_BY_OUTPUT, linkage="closure")
    ),
    "AFDE, on state": NamedMethod(
        lambda share, x: AFDE(retain=share, **_OUTPUT, on="state"), slow=True
    ),
    "AFDE, on both": NamedMethod(
        lambda share, x: AFDE(retain=share, **_OUTPUT, on="both"), slow=True
    ),
    "AFDE, covariance": NamedMethod(
        lambda share, x: AFDE(retain=share, **_BY_OUTPUT, inputs=Normal.of(x)), data=True
    ),
    "symmetric": NamedMethod(lambda share, x: Symmetric(retain=share), bounded=True),
    "dependence": NamedMethod(lambda share, x: Dependence(retain=share)),
    "dependence, by output": NamedMethod(lambda share, x: Dependence(retain=share, **_OUTPUT)),
    "dependence, fitted": NamedMethod(
        lambda share, x: Dependence(retain=share, **_OUTPUT, steps=_STEPS), slow=True
    ),
    "dependence, covariance": NamedMethod(
        lambda share, x: Dependence(retain=share, **_OUTPUT, inputs=Normal.of(x)), data=True
    ),
    "dependence, data": NamedMethod(
        lambda share, x: Dependence(retain=share, **_OUTPUT, inputs=x), data=True
    ),
    "truncated SVD": NamedMethod(lambda share, x: TruncatedSVD(retain=share)),
    "hierarchical": NamedMethod(lambda share, x: Hierarchical(retain=share), slow=True),
    "quantized": NamedMethod(lambda share, x: Quantize(retain=share), tunable=False),
    "Torch-Pruning, L2": NamedMethod(
        lambda share, x: StructuredPruning(retain=share), structured=True
    ),
    "magnitude, global": NamedMethod(lambda share, x: Magnitude(share)),
    "magnitude, layerwise": NamedMethod(lambda share, x: Magnitude(share, "layerwise")),
    "Wanda": NamedMethod(lambda share, x: Wanda(share, x), data=True),
    "magnitude, global, refit": NamedMethod(
        lambda share, x: Magnitude(share, refit=True, inputs=_drawn(x)), tunable=False
    ),
    "magnitude, layerwise, refit": NamedMethod(
        lambda share, x: Magnitude(share, "layerwise", refit=True, inputs=_drawn(x)), tunable=False
    ),
    "Wanda, refit": NamedMethod(
        lambda share, x: Wanda(share, x, refit=True), data=True, tunable=False
    ),
    "second order": NamedMethod(lambda share, x: SecondOrder(share, x), data=True, tunable=False),
    "combined": NamedMethod(lambda share, x: Combined(retain=share), tunable=False),
    "combined, data": NamedMethod(
        lambda share, x: Combined(retain=share, inputs=x), data=True, tunable=False
    ),
}


def methods_here() -> tuple[str, ...]:
    """The methods that can be measured here."""
    return tuple(name for name, m in METHODS.items() if not m.structured or is_installed())


#: The baselines that the comparison is about.
PRUNING = ("magnitude, global", "magnitude, layerwise", "Wanda")
#: The same with the refit that AFDE has.
REFITTED = tuple(f"{name}, refit" for name in PRUNING)


@cache
def prepare(name: str, samples: int, seed: int, folder: str | None) -> tuple[Dataset, Dataset]:
    """Training and test part of a data set, standardized; at most so many samples in all."""
    source = SOURCES[name]
    if source.file is None:
        return source.load(samples=samples, seed=seed).split(seed=seed)
    return source.load(folder).sample(samples, seed).split(seed=seed)


def training_description(
    name: str,
    folder: str | None,
    activation: str,
    hidden: tuple[int, ...],
    seed: int,
    samples: int,
    epochs: int,
) -> dict[str, Any]:
    """Everything that determines a trained network; of a file, the digest of its text."""
    file = SOURCES[name].file
    return {
        "version": VERSION,
        "dataset": name,
        "data": None if file is None else content_digest(file, folder),
        "activation": activation,
        "hidden": list(hidden),
        "seed": seed,
        "samples": samples,
        "epochs": epochs,
    }


@one_thread()
def train_network(description: dict[str, Any], folder: str | None = None) -> dict[str, Any]:
    """Train; the result holds the weights and the errors."""
    training, test = data_of(description, folder)
    seed = description["seed"]
    model = multilayer(
        training.inputs.shape[1],
        description["hidden"],
        training.targets.shape[1],
        description["activation"],
        seed,
    )
    start = time.perf_counter()
    train(model, training, description["epochs"], seed=seed)
    seconds = time.perf_counter() - start
    network = from_torch(model)
    assert isinstance(network, Network)
    return pack(model) | {
        "mse": mean_squared_error(network, test.inputs, test.targets),
        "mse_training": mean_squared_error(network, training.inputs, training.targets),
        "variance": float(np.mean(np.var(test.targets, axis=0))),
        "seconds": seconds,
    }


def pack(model: nn.Sequential) -> dict[str, Any]:
    """The weights of a trained chain as plain data."""
    return {
        "layers": [
            [_packed(p.detach().numpy()) for p in (module.weight, module.bias)]
            for module in model
            if isinstance(module, nn.Linear)
        ]
    }


def network_of(description: dict[str, Any], trained: dict[str, Any]) -> Network:
    """The network of a training result."""
    return Network.dense(
        [_unpacked(weight) for weight, _ in trained["layers"]],
        [_unpacked(bias) for _, bias in trained["layers"]],
        activation(description["activation"]),
        dtype="float32",
    )


def check_trained(description: dict[str, Any], trained: dict[str, Any], folder: str | None) -> None:
    """Recompute the test error from the weights.

    Raises
    ------
    FailureError
        If it is not what was reported.
    """
    _, test = data_of(description, folder)
    error = mean_squared_error(network_of(description, trained), test.inputs, test.targets)
    if not np.isclose(error, trained["mse"], rtol=1e-6, atol=1e-12):
        raise FailureError(
            f"a trained network ({description}) has a test error of {error}, reported was {trained['mse']}"
        )


@one_thread()
def measure(description: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Compress a trained network by one method to one size, without and with further training.

    Parameters
    ----------
    description : dict
        ``training``, ``method``, ``share``, ``steps`` (of further training), ``bound`` (the number of samples
        beside a certified bound; 0 for no bound).
    extra : dict
        ``trained``, the result of :func:`train_network`, and ``folder``.

    Returns
    -------
    dict
        A size that the method cannot reach has ``mse`` None and a ``reason``.

    Notes
    -----
    The bound holds for all inputs in the box of the training inputs.
    """
    training, test = data_of(description["training"], extra["folder"])
    network = network_of(description["training"], extra["trained"])
    method, share = METHODS[description["method"]], description["share"]
    row: dict[str, Any] = {"share": share, "parameters": network.parameters}
    try:
        start = time.perf_counter()
        result = compress(network, method.make(share, training.inputs))
        row["seconds"] = time.perf_counter() - start
    except (MethodError, FailureError) as error:
        return row | {"mse": None, "reason": str(error)}
    row |= {
        "mse": _finite(mean_squared_error(result.network, test.inputs, test.targets)),
        "retained_parameters": result.retained_parameters,
        "eps": result.eps,
    }
    if description["steps"] and method.tunable:
        row["mse_tuned"] = _tuned_error(result, training, test, description)
    if description["bound"] and method.bounded:
        row |= _bound(result, training.inputs, description["bound"])
    return row


def _drawn(inputs: FloatArray) -> FloatArray:
    """As many standard normal inputs as AFDE's own fit takes."""
    return np.random.default_rng(0).standard_normal((SAMPLES, inputs.shape[1]))


def check_measured(description: dict[str, Any], row: dict[str, Any]) -> None:
    """Refuse what cannot be the result of what was asked.

    Raises
    ------
    FailureError
        If the size is another, an error negative, more parameters are kept than allowed, or a change was seen
        that is larger than its certified bound.
    """
    good = row["share"] == description["share"] and (
        row["mse"] is None
        or (
            row["mse"] >= 0
            and 0 < row["retained_parameters"] <= row["share"] * row["parameters"] + 1e-6
            and (row.get("bound") is None or row["observed"] <= row["bound"])
        )
    )
    if not good:
        raise FailureError(
            f"the result of a worker for {description} is not what was requested: {row}"
        )


def data_of(description: dict[str, Any], folder: str | None) -> tuple[Dataset, Dataset]:
    """The data of a description, if the files here are those it was written for."""
    name = description["dataset"]
    file = SOURCES[name].file
    if file is not None and content_digest(file, folder) != description["data"]:
        raise FailureError(
            f"{file.name} here differs from the one this evaluation was started with; start it again with "
            "another --output, or with the same data"
        )
    return prepare(name, description["samples"], description["seed"], folder)


def _tuned_error(
    result: Compression, training: Dataset, test: Dataset, description: dict[str, Any]
) -> float | None:
    model = result.reduction.finish(to_torch(result.network))
    tune(model, training, description["steps"], seed=description["training"]["seed"])
    with torch.no_grad():
        inputs = torch.as_tensor(test.inputs, dtype=next(model.parameters()).dtype)
        outputs = model(inputs).double().numpy()
    return _finite(float(np.mean((outputs - test.targets) ** 2)))


def _bound(result: Compression, inputs: FloatArray, samples: int) -> dict[str, Any]:
    """The certified bound on the box of the training inputs, and the largest change seen in that box."""
    low, high = inputs.min(axis=0), inputs.max(axis=0)
    begin = time.perf_counter()
    bound = bound_difference(
        result.original,
        result.network,
        np.stack([low, high], axis=1),
        unit_maps=result.unit_maps,
    )
    seconds = time.perf_counter() - begin
    rng, change = np.random.default_rng(0), 0.0
    for start in range(0, samples, _CHUNK):
        x = rng.uniform(low, high, size=(min(_CHUNK, samples - start), low.size))
        change = max(change, float(np.abs(result.network(x) - result.original(x)).max()))
    return {
        "bound": _finite(bound.largest),
        "bound_seconds": seconds,
        "observed": _finite(change),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _packed(array: FloatArray) -> dict[str, Any]:
    """A float32 array as plain data."""
    values = np.ascontiguousarray(array, dtype="<f4")
    return {"shape": list(values.shape), "data": base64.b64encode(values.tobytes()).decode()}


def _unpacked(packed: dict[str, Any]) -> FloatArray:
    values = np.frombuffer(base64.b64decode(packed["data"]), dtype="<f4")
    return values.reshape(packed["shape"]).astype(np.float64)
