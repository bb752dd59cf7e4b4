"""Building a network: joins, products of values, and the attention that is made of them.

Attention is read where its heads are parts of the channels of queries, keys and values that are stored as
(channels, tokens); whether a file says so in one operator, or as product, softmax and product again. What those
have made is then read by nobody, and dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from symlump.errors import NetworkError
from symlump.network.exchange.arranging import EACH_SAMPLE, shape_text
from symlump.network.exchange.building_steps import StepBuilder
from symlump.network.exchange.views import Piece, View, all_of, has_samples, join
from symlump.network.nodes import Affine, Apply, Concatenate, Pool, Select
from symlump.network.step_nodes import Attention, Operation, Softmax
from symlump.ode.exact import FloatArray


@dataclass(frozen=True, eq=False)
class Scores:
    """What a value is, where it is scale·q·kᵀ + mask, before or after the softmax."""

    q: View
    k: View  # turned: (…, tokens, channels)
    scale: float = 1.0
    mask: FloatArray | None = None
    shares: bool = False


class TokenBuilder(StepBuilder):
    """Adds steps along tokens."""

    def __init__(self, *given: int) -> None:
        super().__init__(*given)
        self._scores: dict[str, Scores] = {}

    def join(self, name: str, parts: Sequence[View | FloatArray], axis: int) -> View:
        """Values one after the other along an axis of the file; constants are the same for all samples."""
        views = [part for part in parts if isinstance(part, View)]
        first = views[0]
        axis %= len(first.axes)
        others = {v.axes[:axis] + v.axes[axis + 1 :] for v in views}
        channels = [v.axes[axis] == all_of(0, (self.shapes[v.name] or (1,))[0]) for v in views]
        ranks = {self.shapes[v.name][1:] for v in views}
        if len(others) == len(ranks) == 1 and all(channels) and len(views) == len(parts):
            node = Concatenate(self.free(name), tuple(v.name for v in views))
            count = self.shapes[self.add(node)][0]
            axes = list(first.axes)
            axes[axis] = all_of(0, count)
            return View(node.name, tuple(axes))
        own, alike = first.axes[axis], len({(v.axes, self.shapes[v.name]) for v in views}) == 1
        if alike and own and all(p.axis == 0 for p in own) and len(views) == len(parts):
            # A part of the channels, as inside of heads: what is joined is one piece further out.
            joint = Concatenate(self.free(name), tuple(v.name for v in views))
            outer = Piece(0, len(views), self.shapes[first.name][0])
            self.add(joint)
            axes = list(first.axes)
            axes[axis] = join([outer, *own])
            return View(joint.name, tuple(axes))
        if alike and not own and len({v.name for v in views}) == 1 and len(views) == len(parts):
            copies = tuple(len(views) if k == axis else n for k, n in enumerate(first.shape))
            return self.spread(name, first, copies)
        if not axis:
            raise NetworkError(f"{name}: joins values along axis 0; {EACH_SAMPLE}")
        order = self._channels_first(views, axis)
        names: list[str] = []
        places: list[int] = []
        arrays: list[FloatArray] = []
        for part in parts:
            if isinstance(part, View):
                places.append(len(names))
                if not part.samples_first:
                    raise NetworkError(
                        f"{name}: joins values whose samples are not their axis 0; {EACH_SAMPLE}"
                    )
                names.append(self.arranged(name, part, tuple(part.axes[k] for k in order)))
                continue
            held = np.asarray(part, dtype=np.float64)
            # Where a model fixes the number of samples, it may spread a constant over them.
            same = len(held) == self.samples and bool((held == held[:1]).all())
            arrays.append((held[:1] if same else held).transpose(0, *order))
            places.append(-len(arrays))
        options = {"axis": 1 + order.index(axis), "order": tuple(places), "rank": len(order)}
        result = self.step(name, "join", names, options, arrays)
        return result.transposed((0, *(1 + order.index(k) for k in range(1, len(first.axes)))))

    def _channels_first(self, views: Sequence[View], axis: int) -> tuple[int, ...]:
        """The axes behind the samples, in the order in which a join of values is stored."""
        rank = len(views[0].axes)
        own = [all_of(0, (self.shapes[v.name] or (1,))[0]) for v in views]
        for k in range(1, rank):
            if k != axis and all(v.axes[k] == whole for v, whole in zip(views, own, strict=True)):
                return (k, *(n for n in range(1, rank) if n != k))
        return tuple(range(1, rank))

    def softmax(self, name: str, x: View, axis: int, logarithm: bool) -> View:
        """Softmax along an axis."""
        found = self._softmax(name, x, axis, logarithm)
        scores = self._scores.get(x.name)
        if scores and not logarithm and axis % len(x.axes) == len(x.axes) - 1:
            self._scores[found.name] = replace(scores, shares=True)
        return found

    def _softmax(self, name: str, x: View, axis: int, logarithm: bool) -> View:
        stored = self.as_stored(x, [axis % len(x.axes)])
        if stored == (1,):
            return x.of(self.add(Softmax(self.free(name), (x.name,), logarithm)))
        return self.along(name, "softmax", x, [axis], one=True, logarithm=logarithm)

    def matmul(self, name: str, a: View, b: View) -> View:
        """The product of matrices, in the last two axes."""
        if min(len(a.axes), len(b.axes)) < 3:
            raise NetworkError(
                f"{name}: a product of values of shapes {shape_text(a.shape)} and {shape_text(b.shape)} is not "
                "read; it is of (samples, …, rows, columns)"
            )
        if self.samples == 1:  # which may be said to be in any axis
            a, b = a.with_sample_in(0), b.with_sample_in(0)
        left, right, around = self._batched(name, a), self._batched(name, b), a.axes[0]
        if a.axes[0] and b.axes[0] and a.shape[0] != b.shape[0]:
            raise NetworkError(
                f"{name}: values of shapes {shape_text(a.shape)} and {shape_text(b.shape)} do not fit together"
            )
        own, other = _opened(a), _opened(b)
        found = self._attended(name, own, other)
        if found is None:  # the same turned round: v·shareᵀ is (share·vᵀ)ᵀ
            found = self._attended(name, swap_last(other), swap_last(own))
            found = None if found is None else swap_last(found)
        if found is not None:
            axes = found.axes
            if len(around) > 1:  # with the heads beside the samples again
                axes = ((*axes[0], *axes[1]), *axes[2:])
            return replace(found, axes=axes)
        result = self.step(name, "matmul", [left, right], {})
        self._scores[result.name] = Scores(own, swap_last(other))
        if len(around) == 1:
            return result
        shape = self.shapes[result.name]
        rows, columns = len(shape) - 2, len(shape) - 1
        middle = [all_of(k, n) for k, n in enumerate(shape)][1:rows]
        first = (around[0], *all_of(0, shape[0]))
        return View(
            result.name,
            (first, *middle, all_of(rows, shape[rows]), all_of(columns, shape[columns])),
        )

    def _attended(self, name: str, shares: View, values: View) -> View | None:
        """Attention, where a product is of what the softmax of scores gives with values."""
        scores = self._scores.get(shares.name)
        if scores is None or not scores.shares or shares.axes != self.view(shares.name).axes:
            return None
        return self.attention(name, (scores.q, scores.k, values), scores.scale, mask=scores.mask)

    def _batched(self, name: str, x: View) -> str:
        """A value stored with what stands beside the samples in axis 0 as an axis of its own."""
        first = x.axes[0]
        if not first or first[0].axis >= 0 or has_samples(first[1:]):
            raise NetworkError(
                f"{name}: axis 0 of a value of shape {shape_text(x.shape)} does not begin with the samples; "
                f"{EACH_SAMPLE}"
            )
        rest = (first[1:],) if len(first) > 1 else ()
        return self.arranged(name, x, (*rest, *x.axes[1:]))

    def root_mean_square(self, name: str, x: View, other: View) -> View | None:
        """x·(mean of x² + ε)^(−1/2) as one normalisation; None where the other value is not that factor."""
        names = [other.name]
        for kind in (Operation, Affine, Operation | Pool, Apply):
            node = self.by_name[names[-1]]
            if not isinstance(node, kind):
                return None
            names.append(node.inputs[0])
        power, more, mean, square = (self.by_name[n] for n in names[:-1])
        is_mean = (isinstance(mean, Pool) and mean.adaptive and mean.operation == "average") or (
            isinstance(mean, Operation) and mean.kind == "reduce" and mean.options["how"] == "mean"
        )
        assert (
            isinstance(power, Operation) and isinstance(more, Affine) and isinstance(square, Apply)
        )
        plain = more.is_scale and bool((more.weight == 1).all()) and more.bias is not None
        fits = (
            power.options == {"name": "power", "numbers": (-0.5,)}
            and plain
            and is_mean
            and [float(c) for c in square.activation.coefficients] == [0, 0, 1]
            and names[-1] == x.name
            and len(x.axes) == len(other.axes)
        )
        if not fits or more.bias is None or np.unique(more.bias).size != 1:
            return None
        axes = [k for k, (a, b) in enumerate(zip(x.axes, other.axes, strict=True)) if a != b]
        if not axes or any(other.axes[k] for k in axes):
            return None
        return self.along(name, "normalise", x, axes, eps=float(more.bias[0]), centred=False)

    def rescored(self, x: View, found: View, factor: object, constant: object) -> None:
        """Note what became of scores that were multiplied by a number, or got a mask."""
        scores, numbers = self._scores.get(x.name), np.asarray(factor, dtype=np.float64)
        if scores is None or scores.shares or numbers.size != 1:
            return
        scale = scores.scale * float(numbers.ravel()[0])
        if constant is None:
            if scores.mask is None or scale == scores.scale:
                self._scores[found.name] = replace(scores, scale=scale)
        elif scores.mask is None:
            mask = np.asarray(constant, dtype=np.float64)
            self._scores[found.name] = replace(scores, scale=scale, mask=mask)

    def attention(
        self,
        name: str,
        values: tuple[View, View, View],
        scale: float,
        causal: bool = False,
        mask: FloatArray | None = None,
    ) -> View | None:
        """Attention of queries, keys and values; None where its heads are no parts of the channels.

        Parameters
        ----------
        values : tuple of View
            Each (samples, heads, tokens, channels), or without the axis of the heads. Where keys and values
            have fewer heads, as many queries share one (grouped queries).
        mask : ndarray, optional
            As the file holds it, to be spread over (samples, heads, tokens, tokens).
        """
        rank = len(values[0].axes)
        if rank not in (3, 4) or any(len(v.axes) != rank or not v.samples_first for v in values):
            return None
        names, sizes = [], []
        heads = values[0].shape[1] if rank == 4 else 1
        for part, v in zip("qkv", values, strict=True):
            if rank == 4 and v.shape[1] != heads:
                shared = self.repeated_heads(f"{name}.{part}.heads", v, heads // v.shape[1])
                if shared is None or shared.shape[1] != heads:
                    return None
                v = shared
            plain = self._by_tokens(f"{name}.{part}", v)
            if plain is None:
                return None
            names.append(plain)
            sizes.append(v.shape[-1])
        if mask is not None:
            tokens = (values[0].shape[-2], values[1].shape[-2])
            mask = _mask(mask, heads, tokens)
            if mask is None:
                return None
        counted = np.arange(heads)
        node = Attention(
            self.free(name), tuple(names), counted.repeat(sizes[0]), counted.repeat(sizes[2]),
            scale, causal, mask,
        )  # fmt: skip
        tokens_of = self.shapes[self.add(node)][1]
        found = _by_heads(node.name, values[0], heads, tokens_of, sizes[2])
        return found if rank == 4 else replace(found, axes=(found.axes[0], *found.axes[2:]))

    def repeated_heads(self, name: str, x: View, times: int) -> View | None:
        """Each head of a value so often, one after the other; None where they are no parts of the channels.

        Parameters
        ----------
        x : View
            (samples, heads, tokens, channels).
        """
        if len(x.axes) != 4 or not x.samples_first or times < 1:
            return None
        plain = self._by_tokens(f"{name}.plain", x)
        if plain is None:
            return None
        _, heads, tokens, width = x.shape
        channels = np.arange(heads * width).reshape(heads, width).repeat(times, axis=0).ravel()
        node = self.add(Select(self.free(name), (plain,), channels))
        return _by_heads(node, x, heads * times, tokens, width)

    def _by_tokens(self, name: str, x: View) -> str | None:
        """The stored value (heads · channels, tokens); None where those are no parts of the channels."""
        *heads, tokens, channels = x.axes[1:]
        units = tuple(p for axis in (*heads, channels) for p in axis)
        if all(p.axis == 0 for p in units) and all(p.axis > 0 for p in tokens):
            return self.arranged(name, x, (join(units), tokens))
        return None


def _by_heads(name: str, like: View, heads: int, tokens: int, width: int) -> View:
    """A value of shape (heads · width, tokens) as (samples, heads, tokens, width)."""
    heads_of = (Piece(0, heads, width),) if heads > 1 else ()
    channels = (Piece(0, width),) if width > 1 else ()
    return View(name, (like.axes[0], heads_of, all_of(1, tokens), channels))


def _opened(x: View) -> View:
    """With the heads, where they stand beside the samples, as an axis of their own."""
    first = x.axes[0]
    return x if len(first) < 2 else replace(x, axes=(first[:1], first[1:], *x.axes[1:]))


def swap_last(x: View) -> View:
    """The view with the last two axes exchanged.

    Examples
    --------
    >>> from symlump.network.exchange.views import SAMPLES, whole
    >>> swap_last(whole("x", (3, 4), SAMPLES)).sizes
    (4, 3)
    """
    rank = len(x.axes)
    return x.transposed((*range(rank - 2), rank - 1, rank - 2))


def _mask(mask: FloatArray, heads: int, tokens: tuple[int, int]) -> FloatArray | None:
    """A mask as (heads or 1, tokens, tokens); None where it differs from sample to sample."""
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape) if mask.ndim < 4 else mask
    if mask.ndim > 4 or mask.shape[0] != 1 or mask.shape[1] not in (1, heads):
        return None
    return np.broadcast_to(mask[0], (mask.shape[1], *tokens)).copy()
