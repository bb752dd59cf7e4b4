"""Linear steps of a network as matrices between the entries of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from symlump.enclosures.affine import AffineMap
from symlump.errors import FailureError, NetworkError
from symlump.network.evaluate import evaluate
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Flatten,
    GroupSum,
    Input,
    Node,
    Pool,
    Select,
    Shape,
    Squeeze,
    Unsqueeze,
)
from symlump.network.step_nodes import Operation, Reorder
from symlump.ode.exact import FloatArray, IntArray

#: Entries of one matrix, at most.
MOST_ENTRIES = 1 << 24

#: Operations that only put entries elsewhere, beside constants.
_MOVING = ("dilate", "pad", "spread", "take")

#: Kinds of steps that bounds pass through, beside some operations and orders.
_PASSED = (
    Input, Affine, Apply, Flatten, Squeeze, Unsqueeze, Concatenate, Combine, Select, GroupSum, Pool,
)  # fmt: skip


def ensure_small(size: int) -> None:
    """Refuse to write out matrices of too many rows.

    Raises
    ------
    FailureError
        Saying how many there may be.
    """
    if size * size > MOST_ENTRIES:
        raise FailureError(
            f"a value of this network has {size} entries, and certified bounds write layers out as "
            f"matrices of at most {MOST_ENTRIES} entries"
        )


def entries(shape: Shape, wanted: Shape) -> IntArray:
    """Which entry of a value stands at each entry of a larger one that it is spread over.

    Examples
    --------
    >>> entries((2, 1), (2, 2)).tolist()
    [0, 0, 1, 1]
    """
    return np.broadcast_to(np.arange(prod(shape)).reshape(shape), wanted).ravel()


def matrix(node: Node, shape: Shape) -> FloatArray:
    """The matrix of a linear step on values of a shape, from what it makes of each unit vector.

    A weight occurs at most once in an entry, so weights are numbered, and what comes out is a number: nothing
    is added or rounded, however the step is computed.

    Raises
    ------
    FailureError
        If it would be too large.

    Examples
    --------
    >>> node = Affine("conv", ("x",), np.array([[[2.0, 3.0]]]), None, (1,), (0,), (1,))
    >>> matrix(node, (1, 3)).tolist()
    [[2.0, 3.0, 0.0], [0.0, 2.0, 3.0]]
    >>> matrix(Affine("fc", ("x",), np.array([[2.0, 3.0]])), (2, 2)).tolist()  # two tokens
    [[2.0, 0.0, 3.0, 0.0], [0.0, 2.0, 0.0, 3.0]]
    """
    size = prod(shape)
    if isinstance(node, Affine) and node.is_dense and len(shape) == 1:
        return node.weight
    ensure_small(size)
    units = np.eye(size).reshape(size, *shape)
    if not isinstance(node, Affine):
        return np.ascontiguousarray(evaluate(node, units).reshape(size, -1).T)
    numbered = np.arange(1.0, node.weight.size + 1).reshape(node.weight.shape)
    found = evaluate(replace(node, weight=numbered, bias=None), units).reshape(size, -1).T
    return np.concatenate([[0.0], node.weight.ravel()])[np.rint(found).astype(np.int64)]


def is_moving(node: Node) -> bool:
    """Whether a step puts entries elsewhere, perhaps several times, beside constants, and does nothing else."""
    if isinstance(node, Operation):
        nearest = node.kind == "resize" and node.options["mode"].startswith("nearest")
        return node.kind in _MOVING or nearest
    return isinstance(node, Reorder)


def is_sum(node: Node) -> bool:
    """Whether a step adds up, or averages, along some axes."""
    return (
        isinstance(node, Operation)
        and node.kind == "reduce"
        and node.options["how"] in ("sum", "mean")
    )


def extreme_of(node: Node) -> str | None:
    """What a step takes of a window, along axes, or of several values: "maximum" or "minimum"; else None."""
    if isinstance(node, Pool):
        return "maximum" if node.operation == "maximum" else None
    if isinstance(node, Operation) and node.kind in ("reduce", "pair"):
        how = str(node.options["how"])
        return how if how in ("maximum", "minimum") else None
    return None


def members(node: Node, shapes: Sequence[Shape]) -> npt.NDArray[np.bool_]:
    """Which entries such a step takes the largest, or smallest, of: a row for each of its own.

    Parameters
    ----------
    shapes : sequence of tuple of int
        Of the values that it reads. Where they are several, each is spread over the entries of the step's
        value, and the entries of one stand after those of the other.

    Examples
    --------
    >>> pair = Operation("top", ("x", "y"), "pair", {"how": "maximum"})
    >>> members(pair, [(2,), (2,)]).astype(int).tolist()
    [[1, 0, 1, 0], [0, 1, 0, 1]]
    """
    if len(shapes) > 1:
        size = prod(np.broadcast_shapes(*shapes))
        ensure_small(size)
        return np.tile(np.eye(size, dtype=bool), len(shapes))
    if isinstance(node, Operation):  # the least of a unit vector would not tell
        node = replace(node, options={**node.options, "how": "sum"})
    return matrix(node, shapes[0]) > 0


def joined_entries(node: Node, shapes: Sequence[Shape]) -> IntArray | None:
    """For each entry of values that a step joins, which of theirs, one value after the other, it is.

    None for other steps, and where constants are joined, too.
    """
    if not (isinstance(node, Operation) and _joins_values(node)):
        return None
    ends = np.cumsum([0, *map(prod, shapes)])
    places = [
        np.arange(first, last, dtype=np.float64).reshape(1, *shape)
        for first, last, shape in zip(ends, ends[1:], shapes, strict=False)
    ]
    return evaluate(node, *places).ravel().astype(np.int64)


def write_out(node: Node, before: Shape, after: Shape) -> AffineMap:
    """A linear step as a map from entries to entries, with radii.

    Averages divide by a number of entries, and some weights were made from others when the model was read; both
    were rounded.

    Parameters
    ----------
    before, after : tuple of int
        The shapes of the value that it reads, and of its own.
    """
    weight = matrix(node, before)
    radius, bias = np.zeros_like(weight), np.zeros(len(weight))
    doubt = np.zeros_like(bias)
    if is_moving(node):
        bias = evaluate(node, np.zeros((1, *before))).ravel()
        weight = weight - bias[:, None]
    elif isinstance(node, Pool | Operation):
        inexact = (np.frexp(weight)[0] != 0.5) & (weight != 0)
        radius = np.where(inexact, np.spacing(weight), 0.0)
    elif isinstance(node, Affine):
        positions = prod(after[1:])
        if node.bias is not None:
            bias = np.repeat(node.bias, positions)
        if node.doubt is not None:
            radius = matrix(replace(node, weight=node.doubt.weight), before)
            doubt = np.repeat(node.doubt.bias, positions)
    return AffineMap(weight, bias, radius, doubt)


def is_passed(node: Node) -> bool:
    """Whether bounds pass through a step.

    Examples
    --------
    >>> from symlump.network.step_nodes import Softmax
    >>> is_passed(Affine("fc", ("x",), np.eye(2))), is_passed(Softmax("top", ("fc",)))
    (True, False)
    """
    return (
        isinstance(node, _PASSED)
        or is_moving(node)
        or is_sum(node)
        or extreme_of(node) is not None
        or (isinstance(node, Operation) and _joins_values(node))
    )


def _joins_values(node: Operation) -> bool:
    return node.kind == "join" and min(node.options["order"]) >= 0


def refusal(node: Node) -> NetworkError:
    """The error of a step that bounds do not pass through."""
    kind = getattr(node, "kind", type(node).__name__.lower())  # an operation's name in its table
    what = node.options["name"] if kind == "function" and isinstance(node, Operation) else kind
    return node.refuse(
        f"certified bounds do not pass through the step {what!r}; they know dense layers, convolutions, "
        "pooling, activations, sums, means, products, maxima, joins, parts and padding. What samples show is "
        "no bound, but needs none of this: result.mean_squared_error(inputs, targets), symlump compress --data"
    )
