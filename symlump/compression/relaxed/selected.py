"""Two networks with selections of channels in the same places, and what these say of the units before them.

Where units merged but a sum, a normalisation or an output needs each of them, a reduced network has a selection
that gives every one its copy. The original gets one there, too, of all its channels; what it selects is then
free, and the i-th channel that it takes stands on the i-th that the other takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from symlump.errors import SubjectError
from symlump.network.network import Network
from symlump.network.nodes import Affine, Combine, Node, Select, Squeeze, Unsqueeze, take_name
from symlump.network.step_nodes import Attention, Regrid
from symlump.ode.exact import FloatArray, IntArray

#: What became of a unit.
STAYS, ZERO, CONSTANT, UNREAD = range(4)


@dataclass(frozen=True, eq=False)
class UnitMap:
    """What the units of one axis stand on.

    Parameters
    ----------
    partner : ndarray of int, shape (units,)
        The unit of the reduced network; −1 where removed.
    kind : ndarray of int
        STAYS, or how it was removed.
    before, after, offset : ndarray
        a, s and q of the identity φ(a·v) = s·φ(v) + q; of a removed unit its constant value q.
    """

    partner: IntArray
    kind: IntArray
    before: FloatArray
    after: FloatArray
    offset: FloatArray

    @classmethod
    def own(cls, units: int) -> UnitMap:
        """Every unit stands on the one of its number."""
        one = np.ones(units)
        return cls(np.arange(units), np.zeros(units, dtype=np.int64), one, one, 0 * one)


@dataclass(frozen=True, eq=False)
class Placed:
    """What steps say of the map of units, so that it is not looked for.

    Parameters
    ----------
    places : tuple of (str, ndarray, ndarray)
        The name of a value, some of its channels, and for each the channel of the reduced value that it
        stands on.
    apart : frozenset of str
        The steps that say so: they leave free what they read, and what they make is new.
    removed : tuple of (str, ndarray, ndarray)
        The name of a value, some of its channels that stand on none, and how each was removed.
    pairs : frozenset of str
        Attentions that say so of queries and keys, but leave open what their values stand on.
    """

    places: tuple[tuple[str, IntArray, IntArray], ...] = ()
    apart: frozenset[str] = frozenset()
    removed: tuple[tuple[str, IntArray, IntArray], ...] = ()
    pairs: frozenset[str] = frozenset()


def select_alike(original: Network, reduced: Network) -> tuple[Network, Network, Placed] | None:
    """Both networks step by step under the names of the original, with each selection that one of them has.

    Steps are only compared by their kinds. None where these differ otherwise.

    Examples
    --------
    >>> from symlump.network.nodes import Affine, Input
    >>> x, y = Input("x", (), (1,)), Affine("y", ("x",), np.ones((2, 1)))
    >>> one = Network((x, y), ("y",))
    >>> z, both = Affine("z", ("x",), np.ones((1, 1))), Select("all", ("z",), np.zeros(2, int))
    >>> two = Network((x, z, both), ("all",))
    >>> one, two, given = select_alike(one, two)
    >>> [node.name for node in one.nodes] == [node.name for node in two.nodes], given.apart
    (True, frozenset({'y.selected'}))
    """
    matching = _Matching(_each_its_own(original), _each_its_own(reduced))
    return matching.networks if matching.fits else None


def _each_its_own(network: Network) -> Network:
    """The network where each step that reads a selection has one of its own, since it may need others."""
    taken, held = {*network.named}, {*network.outputs}  # selections that someone reads
    nodes: list[Node] = []
    copies: dict[tuple[str, str], Node] = {}  # by the selection and the step that reads it
    for node in network.nodes:
        for name in dict.fromkeys(node.inputs):
            source = network.named[name]
            if isinstance(source, Select) and name in held:
                copy = replace(source, name=take_name(f"{name}.{node.name}", taken))
                copies[name, node.name] = copy
            held.add(name)
    if not copies:
        return network
    for node in network.nodes:
        own = {name: copy for (name, reader), copy in copies.items() if reader == node.name}
        inputs = (own[name].name if name in own else name for name in node.inputs)
        nodes += [*own.values(), replace(node, inputs=tuple(inputs))]
    return replace(network, nodes=tuple(nodes))


def _only_moves(node: Node) -> bool:
    """Whether the numbers of a value stay, each in its channel."""
    return isinstance(node, Regrid | Squeeze | Unsqueeze)


def trace(
    network: Network, name: str, through: Callable[[Node], bool] = _only_moves
) -> tuple[list[str], IntArray]:
    """The values on the way to what a value has its channels from, and which of these they are.

    Parameters
    ----------
    through : callable
        The steps, beside selections, that it goes back through.

    Examples
    --------
    >>> from symlump.network.nodes import Affine, Input
    >>> nodes = Input("x", (), (2,)), Affine("y", ("x",), np.eye(2)), Select("z", ("y",), np.array([1]))
    >>> names, index = trace(Network(nodes, ("z",)), "z")
    >>> names, index.tolist()
    (['z', 'y'], [1])
    """
    names: list[str] = [name]
    index: IntArray = np.arange(network.shapes[name][0])
    while isinstance(node := network.named[names[-1]], Select) or through(node):
        if isinstance(node, Select):
            index = node.index[index]
        names.append(node.inputs[0])
    return names, index


_NONE = Node("", ())


class _Matching:
    """From the outputs backwards: which step of the reduced network each step of the original is."""

    def __init__(self, original: Network, reduced: Network) -> None:
        self._one, self._two = original, reduced
        self._taken = {*original.named}
        self._partner: dict[str, Node] = {}
        self._made: dict[str, list[tuple[Node, Node]]] = {}  # after which step of the original
        self._inputs: dict[str, tuple[str, ...]] = {}
        self._apart: set[str] = set()
        self._readers: dict[str, Node] = {}  # the last reader of each value
        for node in original.nodes:
            self._readers.update(dict.fromkeys(node.inputs, node))
        self._places: list[tuple[str, IntArray, IntArray]] = []
        counts = [(len(net.inputs), len(net.outputs)) for net in (original, reduced)]
        self.fits = counts[0] == counts[1]
        if not self.fits:
            return
        self._outputs = tuple(
            self._edge(None, *names)
            for names in zip(original.outputs, reduced.outputs, strict=True)
        )
        for one, two in zip(original.inputs, reduced.inputs, strict=True):
            self._pair(one, two)
        for node in reversed(original.nodes):
            other = self._partner.get(node.name, _NONE)
            self.fits &= type(other) is type(node) and len(node.inputs) == len(other.inputs)
            if not self.fits:
                return
            if self._copies(self._one, node) != self._copies(self._two, other):
                self._apart.add(node.name)
            pairs = zip(node.inputs, other.inputs, strict=True)
            self._inputs[node.name] = tuple(self._edge(node, *names) for names in pairs)

    @staticmethod
    def _copies(network: Network, node: Node) -> int:
        """How many units a layer with one kernel for each unit makes of each channel; 1 for other steps."""
        depthwise = isinstance(node, Affine) and node.depthwise
        return network.shapes[node.name][0] // network.shapes[node.inputs[0]][0] if depthwise else 1

    def _pair(self, one: Node, two: Node) -> None:
        if isinstance(one, Affine) and one.depthwise and isinstance(two, Affine):
            # Of one channel a convolution and one with a kernel per channel are the same.
            single = self._two.shapes[two.inputs[0]][0] == 1
            two = replace(two, depthwise=two.depthwise or single)
        if self._partner.setdefault(one.name, two).name != two.name:
            self.fits = False

    def _edge(self, reader: Node | None, name: str, other: str) -> str:
        """What a step, or an output, reads in the original, where it reads a value there, one here."""
        one, two = self._one.named[name], self._two.named[other]
        if isinstance(one, Select) and isinstance(two, Select):
            self._pair(one, two)
            same = one.index.size == two.index.size
            same &= np.array_equal(_pattern(one.index), _pattern(two.index))
            # Outputs that were selected otherwise are other outputs.
            if reader and not same and np.unique(two.index).size < two.index.size:
                self._select(reader, one.name, one.inputs[0], one.index, two.index)
        elif isinstance(one, Select):  # of all channels, here
            whole = Select(name, (other,), np.arange(self._two.shapes[other][0]))
            if self._partner.setdefault(name, whole).inputs != whole.inputs:
                self.fits = False
        elif isinstance(two, Select):
            index = np.arange(self._one.shapes[name][0])
            inserted = Select(take_name(f"{name}.selected", self._taken), (name,), index)
            self._made.setdefault(name, []).append((inserted, two))
            self._pair(one, self._two.named[two.inputs[0]])
            self._select(reader, inserted.name, name, index, two.index)
            return inserted.name
        else:
            self._pair(one, two)
        return name

    def _select(
        self, reader: Node | None, name: str, source: str, here: IntArray, there: IntArray
    ) -> None:
        """Note what a selection says; where values meet, the step that reads it says more."""
        while reader and _only_moves(reader) and reader.name in self._readers:
            reader = self._readers[reader.name]
        if isinstance(reader, Combine | Attention) or (
            isinstance(reader, Affine) and reader.depthwise
        ):
            self._apart.add(reader.name)
        elif here.size == there.size > np.unique(there).size and name not in self._apart:
            self._apart.add(name)
            self._places.append((source, here, there))

    @property
    def networks(self) -> tuple[Network, Network, Placed]:
        """Both, and what the selections say."""
        ones: list[Node] = []
        twos: list[Node] = []
        for node in self._one.nodes:
            inputs = self._inputs[node.name]
            ones.append(replace(node, inputs=inputs))
            twos.append(replace(self._partner[node.name], name=node.name, inputs=inputs))
            for inserted, other in self._made.get(node.name, []):
                ones.append(inserted)
                twos.append(replace(other, name=inserted.name, inputs=inserted.inputs))
        one, two = (
            replace(net, nodes=tuple(nodes), outputs=self._outputs)
            for net, nodes in ((self._one, ones), (self._two, twos))
        )
        return one, two, Placed(tuple(self._places), frozenset(self._apart))


def joined_differently(name: str) -> SubjectError:
    """What is said where two networks cannot be compared at a step."""
    return SubjectError(
        f"{name}: the two networks join or select their units differently, so they are not compared"
    )


def _pattern(index: IntArray) -> IntArray:
    """Which entries are equal."""
    return np.asarray(np.unique(index, return_inverse=True)[1].ravel())
