"""Truncated singular value decomposition, a baseline: a weight matrix becomes a product of two thin ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import hypot

import numpy as np

from symlump.compression.merging.effect import layer_effects
from symlump.compression.reduction import CompressionMethod, NetworkPlan, Reduction, own_units
from symlump.errors import MethodError
from symlump.network.network import Network
from symlump.network.nodes import Affine, Node
from symlump.network.shared import holders, holding
from symlump.ode.exact import FloatArray
from symlump.old_names import accept_old_names
from symlump.plain_numbers import is_whole
from symlump.plan import Plan, check_wish


@accept_old_names(tol="eps", keep="retain")
@dataclass(frozen=True)
class TruncatedSVD(CompressionMethod):
    """Replace W by the product of two layers, U_r and Σ_r·V_rᵀ, where that stores fewer numbers.

    A convolution is taken as the matrix of its kernels, one row a unit: it becomes one of r units and a
    convolution of width 1. Layers with one kernel per channel stay as they are.

    A layer of m units and n inputs is split only at a rank r with r·(m + n) < m·n, into a layer of r
    units without bias and activation, and one of m units; all other layers stay as they are.

    Parameters
    ----------
    eps : float, optional
        The tolerance, in the unit of ``relative_to``.
    rank : int, optional
        Instead: the rank of every layer.
    retain : float, optional
        Instead: the share of parameters to keep, in (0, 1]. The smallest ε found that keeps no more is used.
    relative_to : {"layer", "output"}, optional
        The unit of ε. "layer": in each layer the smallest rank with ‖W − Ŵ‖_F ≤ ε·‖W‖_F. "output": singular
        values go over all layers, up to an effect of ε: the value times the layer's effect on the outputs, as
        estimated by :func:`symlump.compression.merging.effect.layer_effects`. By default "layer" for ``eps``
        and "output" for ``retain``.

    Raises
    ------
    MethodError
        If an option is out of range, or not exactly one is given.

    References
    ----------
    Eckart, Young, "The approximation of one matrix by another of lower rank", Psychometrika 1 (1936),
    doi:10.1007/BF02288367.

    Examples
    --------
    >>> from symlump import Network, compress
    >>> net = Network.dense([np.outer([1.0, 2.0, 3.0], [1.0, 1.0, -1.0]), np.ones((1, 3))])
    >>> small = compress(net, TruncatedSVD(eps=1e-9))
    >>> small.network, small.retained_parameters
    (<Network: 3–1–3–1, identity, tanh, 9 parameters>, 9)
    """

    eps: float | None = None
    rank: int | None = None
    retain: float | None = None
    relative_to: str | None = None

    def __post_init__(self) -> None:
        check_wish(self, eps=self.eps, rank=self.rank, retain=self.retain)
        if self.rank is not None and not is_whole(self.rank, 1):
            raise MethodError(f"rank={self.rank!r}: a rank is a whole number, 1 or larger")
        if self.rank is not None and self.relative_to is not None:
            raise MethodError(
                f"relative_to={self.relative_to!r} is a unit of eps, and has no effect with rank={self.rank}"
            )
        if self.relative_to not in (None, "layer", "output"):
            raise MethodError(
                f"relative_to={self.relative_to!r} is unknown; choose 'layer' or 'output'"
            )

    @property
    def label(self) -> str:
        """Name of the method with its options, as tables print it."""
        return "truncated SVD"

    def plan(self, network: Network) -> _Ranks:
        """Analyse a network, once for all tolerances; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        network : Network

        Returns
        -------
        Plan

        Examples
        --------
        >>> from symlump import Network
        >>> import numpy as np
        >>> net = Network.dense([np.ones((16, 16)), np.ones((1, 16))])
        >>> TruncatedSVD(eps=0.1).plan(net).size(0.1) < net.parameters
        True
        """
        return _Ranks(network, self._unit == "output")

    def within(self, eps: float) -> TruncatedSVD:
        """The method with another tolerance; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        eps : float
            The tolerance.

        Returns
        -------
        TruncatedSVD

        Examples
        --------
        >>> TruncatedSVD(rank=2).within(0.1).eps
        0.1
        """
        return TruncatedSVD(eps, relative_to=self._unit)

    @property
    def _unit(self) -> str:
        return self.relative_to or ("output" if self.eps is None else "layer")

    def settle(self, plan: Plan[Reduction]) -> Reduction:
        """What a plan gives for the tolerance or share of the method; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        plan : Plan
            One that the method has made.

        Returns
        -------
        Reduction

        Raises
        ------
        FailureError
            If no tolerance reaches the share.

        Examples
        --------
        >>> from symlump import Network
        >>> import numpy as np
        >>> method = TruncatedSVD(rank=1)
        >>> plan = method.plan(Network.dense([np.ones((16, 16)), np.ones((1, 16))]))
        >>> method.settle(plan).retained_parameters
        48
        """
        if self.rank is None:
            return super().settle(plan)
        assert isinstance(plan, _Ranks)
        return plan.of_rank(self.rank)


def _decomposed(matrix: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    u, sizes, v = np.linalg.svd(matrix, full_matrices=False)
    largest = np.take_along_axis(v, np.abs(v).argmax(axis=1, keepdims=True), axis=1)
    signs = np.where(largest < 0, -1.0, 1.0)  # one LAPACK chooses them otherwise than another
    return u * signs.T, sizes, v * signs


@dataclass(frozen=True, eq=False)
class _Ranks(NetworkPlan):
    """The singular values of all layers."""

    network: Network
    by_output: bool

    @cached_property
    def factors(self) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
        """U, the singular values and Vᵀ of each layer; the largest entry of a row of Vᵀ is positive."""
        return [_decomposed(layer.weight.reshape(layer.units, -1)) for layer in self.network.layers]

    @cached_property
    def _effects(self) -> list[float]:
        first = holders(self.network.layers)
        squares = np.bincount(first, np.square(list(layer_effects(self.network).values())))
        effects: list[float] = np.sqrt(squares)[list(first)].tolist()
        return effects  # what is shared has an effect in each place

    def _within(self, eps: float) -> list[int]:
        if not self.by_output:
            return [_rank_within(s, eps) for _, s, _ in self.factors]
        pairs = zip(self.factors, self._effects, strict=True)
        return [max(1, int(np.count_nonzero(s * effect > eps))) for (_, s, _), effect in pairs]

    def at(self, eps: float) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        unit = "as a share of the outputs' spread" if self.by_output else "relative to their layer"
        measure = f"ε compares singular values, {unit}"
        return self.split(self._within(eps), eps, measure)

    def of_rank(self, rank: int) -> Reduction:
        """The network with layers of one rank; its ε is the largest relative error of a layer."""
        ranks = [min(rank, s.size) for _, s, _ in self.factors]
        shares = [
            float(np.linalg.norm(s[rank:]) / np.linalg.norm(s))
            for layer, (_, s, _), rank in zip(self.network.layers, self.factors, ranks, strict=True)
            if _split(layer, rank) and s.any()
        ]
        measure = "ε compares singular values, relative to their layer"
        return self.split(ranks, max(shares, default=0.0), measure)

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        return self.network.other_parameters + sum(_stored(self.network, self._within(eps)))

    def split(self, ranks: list[int], eps: float, measure: str) -> Reduction:
        """The network with layers of these ranks."""
        network = self.network
        nodes: list[Node] = []
        places: list[int] = []
        errors: list[float] = []
        own = {layer.name for layer in holding(network.layers)}
        found = {
            layer.name: (rank, *parts)
            for layer, rank, parts in zip(network.layers, ranks, self.factors, strict=True)
        }
        for node in network.nodes:
            if isinstance(node, Affine) and _split(node, found[node.name][0]):
                rank, u, s, v = found[node.name]
                root = np.sqrt(s[:rank])
                nodes += _factors(node, root[:, None] * v[:rank], u[:, :rank] * root)
                if node.name in own:
                    errors.append(float(np.linalg.norm(s[rank:])))
            else:
                nodes.append(node)
            if isinstance(node, Affine):
                places.append(sum(isinstance(n, Affine) for n in nodes) - 1)
        small = replace(network, nodes=tuple(nodes))
        return Reduction(
            small,
            own_units(network),
            small.parameters,
            eps,
            hypot(*errors),
            stored=_stored(network, ranks),
            places=tuple(places),
            measure=measure,
        )


def _factors(layer: Affine, right: FloatArray, left: FloatArray) -> tuple[Affine, Affine]:
    """A layer as two: the kernels of the first make a few channels, the second combines them."""
    name = f"{layer.name}.right"
    first = replace(
        layer,
        name=name,
        weight=right.reshape(-1, *layer.weight.shape[1:]),
        bias=None,
        weight_name=layer.weight_name and f"{layer.weight_name}, right",
    )
    rank = len(layer.kernel)
    ones = (1,) * rank
    weight = left.reshape(*left.shape, *(1,) * rank)
    return first, replace(
        layer, inputs=(name,), weight=weight, stride=ones, padding=(0,) * rank, dilation=ones
    )


def _rank_within(values: FloatArray, eps: float) -> int:
    """The smallest rank, at least 1, that leaves no more than this share of the Frobenius norm."""
    tails = np.sqrt(np.cumsum(values[::-1] ** 2)[::-1])  # tails[r]: what rank r leaves
    return max(1, int(np.count_nonzero(tails > eps * tails[0])))


def _split(layer: Affine, rank: int) -> bool:
    return not layer.depthwise and rank * _ends(layer) < layer.weight.size


def _ends(layer: Affine) -> int:
    """Rows and columns of the weight as a matrix."""
    return layer.units + layer.weight.size // layer.units


def _stored(network: Network, ranks: list[int]) -> tuple[int, ...]:
    """Numbers stored for each layer of the original."""
    first = holders(network.layers)
    return tuple(
        rank * _ends(layer) + held - layer.weight.size
        if _split(layer, rank) and first[number] == number
        else held
        for number, (layer, rank, held) in enumerate(
            zip(network.layers, ranks, network.held, strict=True)
        )
    )
