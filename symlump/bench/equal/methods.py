"""The lines of the tables at equal parameters, bytes and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from symlump.bench.equal.in_turn import InTurn
from symlump.bench.structured import StructuredPruning, is_installed
from symlump.compression.baselines.magnitude import Magnitude
from symlump.compression.baselines.quantize import Quantize
from symlump.compression.baselines.second_order import SecondOrder
from symlump.compression.baselines.svd import TruncatedSVD
from symlump.compression.baselines.wanda import Wanda
from symlump.compression.combined import Combined
from symlump.compression.dependences.dependence import Dependence
from symlump.compression.hierarchical.method import Hierarchical
from symlump.compression.merging.afde import AFDE
from symlump.compression.reduction import CompressionMethod
from symlump.ode.exact import FloatArray

TABLES = ("parameters", "bytes", "time")


@dataclass(frozen=True)
class BudgetMethod:
    """One line of the tables.

    Parameters
    ----------
    make : callable
        From samples to the method, at any size.
    tables : tuple of str
        Those in which it has a place.
    """

    make: Callable[[FloatArray], CompressionMethod]
    tables: tuple[str, ...] = TABLES


_SIZES = ("parameters", "bytes")
#: Benchmark-only: measured where it is installed.
STRUCTURED = "Torch-Pruning, L2"
METHODS = {
    "AFDE": BudgetMethod(lambda x: AFDE(retain=1.0, inputs=x)),
    "dependence": BudgetMethod(lambda x: Dependence(retain=1.0, inputs=x)),
    "truncated SVD": BudgetMethod(lambda x: TruncatedSVD(retain=1.0)),
    STRUCTURED: BudgetMethod(lambda x: StructuredPruning(retain=1.0)),
    "hierarchical": BudgetMethod(lambda x: Hierarchical(retain=1.0, inputs=x), _SIZES),
    "magnitude, refit": BudgetMethod(lambda x: Magnitude(1.0, refit=True, inputs=x), _SIZES),
    "magnitude, layerwise, refit": BudgetMethod(
        lambda x: Magnitude(1.0, "layerwise", refit=True, inputs=x), _SIZES
    ),
    "Wanda, refit": BudgetMethod(lambda x: Wanda(1.0, x, refit=True), _SIZES),
    "second order": BudgetMethod(lambda x: SecondOrder(1.0, x), _SIZES),
    "quantized": BudgetMethod(lambda x: Quantize(retain=1.0), ("bytes",)),
    "AFDE, then pruned": BudgetMethod(
        lambda x: InTurn(retain=1.0, inputs=x, count="bytes", pruning="magnitude"), ("bytes",)
    ),
    "AFDE, then quantized": BudgetMethod(
        lambda x: InTurn(retain=1.0, inputs=x, count="bytes"), ("bytes",)
    ),
    "combined": BudgetMethod(lambda x: Combined(retain=1.0, inputs=x), ("parameters",)),
    "combined, bytes": BudgetMethod(
        lambda x: Combined(retain=1.0, inputs=x, count="bytes"), ("bytes",)
    ),
}
#: A few of them, for a first impression.
QUICK = ("AFDE", "magnitude, refit", "second order", "quantized")


def methods_here() -> tuple[str, ...]:
    """The methods that can be measured here."""
    return tuple(name for name in METHODS if name != STRUCTURED or is_installed())
