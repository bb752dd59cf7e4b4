"""Steps where values of different maps meet, and which of their channels stand on which of the reduced network.

Where the branches of a sum merged in different ways, each gives copies to its channels; pairs of an attention
may count twice, heads stand for several. Which channel stands on which is looked for in values on a few
samples: both networks read the same inputs. The branches follow, so the step is passed whatever was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from symlump.compression.relaxed.selected import UNREAD, ZERO, Placed, joined_differently, trace
from symlump.errors import SubjectError
from symlump.network.evaluate import evaluate
from symlump.network.network import Network
from symlump.network.nodes import Affine, Concatenate, Input, Node, Select
from symlump.network.step_nodes import Attention, passes_units
from symlump.ode.exact import FloatArray, IntArray

_SAMPLES = 8


def place_meetings(original: Network, reduced: Network, given: Placed) -> Placed:
    """What steps say where values meet, beside what is known.

    Parameters
    ----------
    original, reduced : Network
        Step by step under the same names.

    Raises
    ------
    MethodError
        If no channel that is left can stand for one of the original.

    Examples
    --------
    >>> x, pairs = Input("x", (), (2, 3)), np.zeros(2, int)
    >>> one = Network((x, Attention("y", ("x", "x", "x"), pairs, pairs, 1.0)), ("y",))
    >>> place_meetings(one, one, Placed()).places
    ()
    """
    if len(original.nodes) != len(reduced.nodes):
        return given
    found = {
        one.name
        for one, two in zip(original.nodes, reduced.nodes, strict=True)
        if one.name in given.apart and not isinstance(one, Select)
        if type(one) is type(two)
    } | {
        one.name
        for one, two in zip(original.nodes, reduced.nodes, strict=True)
        if isinstance(one, Attention) and isinstance(two, Attention)
        if _are_fewer(one, two) or _reads_twice(reduced, two) > _reads_twice(original, one)
    }
    return _Meetings(original, reduced, given, found).given if found else given


def alike_but_heads(one: Node, two: Node, given: Placed) -> Node:
    """An attention with the heads of another one, as far as they may differ; any other node as it is."""
    if not (isinstance(one, Attention) and isinstance(two, Attention)):
        return two
    if one.name in given.apart:
        return replace(two, pairs=one.pairs, heads=one.heads, times=one.times, mask=one.mask)
    if one.name in given.pairs:
        two = replace(two, pairs=one.pairs, times=one.times)
    return replace(two, heads=one.heads) if one.count == two.count else two


def _are_fewer(one: Attention, two: Attention) -> bool:
    return two.times is not None or one.pairs.size != two.pairs.size or one.count != two.count


def _reads_twice(network: Network, node: Attention) -> int:
    """How many channels an attention reads in two places."""
    read = [_based(network, name) for name in node.inputs]
    keys = [(base, int(channel)) for base, index in read for channel in index]
    return len(keys) - len(set(keys))


def _based(network: Network, name: str) -> tuple[str, IntArray]:
    """The value that something passes on, and which of its channels."""
    names, index = trace(network, name, passes_units)
    return names[-1], index


def _joined_from(network: Network, name: str) -> IntArray:
    """For each channel of a value which of the values that it joins has it."""
    node = network.named[name]
    read = node.inputs if isinstance(node, Concatenate) else (name,)
    sizes = [network.shapes[value][0] for value in read]
    return np.repeat(np.arange(len(sizes)), sizes)


class _Meetings:
    def __init__(self, original: Network, reduced: Network, given: Placed, names: set[str]) -> None:
        self._one, self._two = original, reduced
        self._here, self._there = _values(original), _values(reduced)
        self._places, self._removed = [*given.places], [*given.removed]
        self._pairs: set[str] = set()
        self._known: dict[str, IntArray] = {}  # for values that were placed, channel by channel
        for name, here, there in given.places:
            self._note(name, here, there)
        # Backwards: what is read later was told apart further, so what it reads follows.
        for one, two in reversed([*zip(original.nodes, reduced.nodes, strict=True)]):
            if one.name not in names:
                continue
            if isinstance(one, Attention) and isinstance(two, Attention):
                self._attention(one, two)
            else:
                self._other(one, two)
        apart = given.apart | names - self._pairs
        pairs = given.pairs | self._pairs
        self.given = Placed(tuple(self._places), apart, tuple(self._removed), pairs)

    def _note(self, name: str, here: IntArray, there: IntArray) -> None:
        """Remember a place of the value that passes these channels on."""
        (base, own), (_, other) = _based(self._one, name), _based(self._two, name)
        width = self._one.shapes[base][0]
        known = self._known.setdefault(base, np.full(width, -1))
        known[own[here]] = other[there]

    def _place(self, name: str, here: IntArray, there: IntArray) -> None:
        self._places.append((name, here, there))
        self._note(name, here, there)

    def _allowed(
        self, names: Sequence[str], rows: IntArray, columns: IntArray
    ) -> npt.NDArray[np.bool_]:
        """Which channels may stand on which, by what is known of the values that a step reads.

        Parameters
        ----------
        names : sequence of str
        rows, columns : ndarray of int
            The channel that each of the step's channels reads of them.
        """
        allowed = np.ones((rows.size, columns.size), dtype=bool)
        for name in names:
            (base, own), (_, other) = _based(self._one, name), _based(self._two, name)
            parts, others = _joined_from(self._one, base), _joined_from(self._two, base)
            allowed &= parts[own[rows]][:, None] == others[other[columns]]
            if base in self._known and own.size > 1:
                known = self._known[base][own[rows]]
                allowed &= (known < 0)[:, None] | (known[:, None] == other[columns])
        return allowed

    def _nearest(self, name: str, rows: IntArray, allowed: npt.NDArray[np.bool_]) -> IntArray:
        """For some channels of a step the nearest one, of each of these one at least where that is possible."""
        far = _distances(_channels(self._here[name])[rows], _channels(self._there[name]))
        far = np.where(allowed, far, np.inf)
        if np.isinf(far.min(axis=1)).any():
            raise joined_differently(name)
        return _each_once(far)

    def _other(self, one: Node, two: Node) -> None:
        """A sum, a product, or a layer with one kernel per channel."""
        rows, columns = (np.arange(net.shapes[one.name][0]) for net in (self._one, self._two))
        read, other = rows, columns
        if isinstance(one, Affine):  # several units from each channel
            read, other = (
                own // (own.size // net.shapes[one.inputs[0]][0])
                for own, net in ((rows, self._one), (columns, self._two))
            )
        wide = [name for name in one.inputs if self._one.shapes[name][0] > 1]
        allowed = self._allowed(wide, read, other) & self._allowed([one.name], rows, columns)
        whole = rows.size == columns.size and allowed.diagonal().all()
        partner = rows if whole else self._nearest(one.name, rows, allowed)
        self._place(one.name, rows, partner)
        for name in wide:
            self._place(name, read, other[partner])

    def _attention(self, one: Attention, two: Attention) -> None:
        rows, columns = (
            np.hstack([_channels(values[name]) for name in node.inputs[:2]])
            for node, values in ((one, self._here), (two, self._there))
        )
        pairs = np.arange(one.pairs.size), np.arange(two.pairs.size)
        far = np.where(self._allowed(one.inputs[:2], *pairs), _distances(rows, columns), np.inf)
        partner, heads = _paired(one, two, far, (rows**2).sum(axis=1))
        stays = np.flatnonzero(partner >= 0)
        for name in one.inputs[:2]:
            self._place(name, stays, partner[stays])
        gone = np.flatnonzero((partner < 0) & (heads[one.pairs] >= 0))
        if gone.size:
            if not np.array_equal(heads, np.arange(two.count)):
                raise _removed(one, two)
            self._remove(one, two, gone)
            return
        own, other = np.flatnonzero(heads[one.heads] >= 0), np.arange(two.heads.size)
        allowed = self._allowed((one.inputs[2], one.name), own, other)
        inside = heads[one.heads[own]][:, None] == two.heads
        chosen = self._nearest(one.name, own, allowed & inside)
        self._place(one.name, own, chosen)
        self._place(one.inputs[2], own, chosen)
        self._remove_heads(one, two, np.flatnonzero(heads < 0))

    def _remove_heads(self, one: Attention, two: Attention, gone: IntArray) -> None:
        """Heads whose values are 0: they give 0, whatever their queries and keys are."""
        if not gone.size:
            return
        if self._sizes(one.inputs[2]) is None:
            raise _removed(one, two)
        pairs, own = (np.flatnonzero(np.isin(heads, gone)) for heads in (one.pairs, one.heads))
        for name, where, kind in (
            (one.inputs[0], pairs, UNREAD),
            (one.inputs[1], pairs, UNREAD),
            (one.inputs[2], own, ZERO),
            (one.name, own, ZERO),
        ):
            self._removed.append((name, where, np.full(where.size, kind)))

    def _remove(self, one: Attention, two: Attention, gone: IntArray) -> None:
        """Pairs that add nothing: the query or the key is 0, whichever is nearer; nothing reads the other."""
        weights = [self._sizes(name) for name in one.inputs[:2]]
        if any(sizes is None for sizes in weights):
            raise _removed(one, two)
        query, key = (sizes[gone] for sizes in weights if sizes is not None)
        for name, zero in ((one.inputs[0], query <= key), (one.inputs[1], query > key)):
            self._removed.append((name, gone, np.where(zero, ZERO, UNREAD)))
        self._pairs.add(one.name)

    def _sizes(self, name: str) -> FloatArray | None:
        """The squares of the weights of each channel of a value, if it is what a layer makes."""
        names, index = trace(self._one, name)
        node = self._one.named[names[-1]]
        if not isinstance(node, Affine) or node.depthwise:
            return None
        sizes = (node.weight.reshape(node.units, -1) ** 2).sum(axis=1)
        return np.asarray(sizes if node.bias is None else sizes + node.bias**2)[index]


def _values(network: Network) -> dict[str, FloatArray]:
    """The value of each step on a few samples."""
    generator, values = np.random.default_rng(0), dict[str, FloatArray]()
    for node in network.nodes:
        if isinstance(node, Input):
            values[node.name] = node.drawn(generator, _SAMPLES)
        else:
            values[node.name] = evaluate(node, *(values[name] for name in node.inputs))
    return values


def _channels(value: FloatArray) -> FloatArray:
    """A row for each channel."""
    return np.moveaxis(value, 1, 0).reshape(value.shape[1], -1)


def _distances(rows: FloatArray, columns: FloatArray) -> FloatArray:
    """All squared distances; of what is equal up to rounding 0, so that ties are ties."""
    sizes = (rows**2).sum(axis=1)[:, None] + (columns**2).sum(axis=1)
    far = sizes - 2 * rows @ columns.T
    return np.where(far > 1e-12 * sizes, far, 0.0)


def _each_once(far: FloatArray) -> IntArray:
    """The nearest column of each row, and each column once at least where that is possible."""
    found = far.argmin(axis=1)
    rows, columns = linear_sum_assignment(np.where(np.isinf(far), 1e300, far))
    possible = np.isfinite(far[rows, columns])
    found[rows[possible]] = columns[possible]
    return np.asarray(found)


def _paired(
    one: Attention, two: Attention, far: FloatArray, sizes: FloatArray
) -> tuple[IntArray, IntArray]:
    """For each pair the pair that it stands on, −1 if it was removed, and for each head the head, or −1.

    A head that is as far from the one that it would stand on as from nothing was removed.
    """
    times = np.ones_like(two.pairs) if two.times is None else two.times
    costs = np.full((one.count, two.count), np.inf)
    chosen: dict[tuple[int, int], tuple[IntArray, IntArray]] = {}
    for head in range(one.count):
        own = np.flatnonzero(one.pairs == head)
        for other in range(two.count):
            slots = np.flatnonzero(two.pairs == other)
            slots = slots.repeat(times[slots])
            if slots.size <= own.size and _mask(one, head) == _mask(two, other):
                here = far[np.ix_(own, slots)]
                at, to = linear_sum_assignment(np.where(np.isinf(here), 1e300, here))
                gone = np.setdiff1d(np.arange(own.size), at)
                costs[head, other] = here[at, to].sum() + sizes[own[gone]].sum()
                chosen[head, other] = own[at], slots[to]
    heads = _each_once(costs)
    possible = np.isfinite(costs[np.arange(one.count), heads]).all()
    if one.times is not None or not possible or np.unique(heads).size < two.count:
        raise _removed(one, two)
    partner = np.full(one.pairs.size, -1)
    found = costs[np.arange(one.count), heads]
    size = np.bincount(one.pairs, sizes, one.count)
    spare = found > np.array([found[heads == other].min() for other in heads.tolist()])
    heads = np.where(spare & (found >= size), -1, heads)
    for head, other in enumerate(heads.tolist()):
        if other < 0:
            continue
        own, slots = chosen[head, other]
        partner[own] = slots
    return partner, heads


def _mask(node: Attention, head: int) -> bytes | None:
    if node.mask is None:
        return None
    own: FloatArray = node.mask[head if len(node.mask) > 1 else 0]
    return own.tobytes()


def _removed(one: Attention, two: Attention) -> SubjectError:
    counts = [
        np.bincount(node.pairs, node.times, node.count).astype(int).tolist() for node in (one, two)
    ]
    return SubjectError(
        f"{one.name}: by heads, the original adds up {counts[0]} products of a query and a key, and the "
        f"reduced network {counts[1]}; explain_reduction knows pairs and heads that merged, heads removed "
        "whole, and pairs removed from heads in the same order, all of which are units of layers"
    )
