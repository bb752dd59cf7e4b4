"""Truncated singular value decomposition, a baseline: a weight matrix becomes a product of two thin ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot

import numpy as np

from symlump.compression.merging.effect import layer_effects
from symlump.compression.reduction import Reduction
from symlump.compression.shares import check_share, share_of, smallest_tolerance
from symlump.errors import MethodError
from symlump.lumping.equivalence import check_tolerance
from symlump.network.network import Network
from symlump.network.nodes import Affine, Node
from symlump.ode.exact import FloatArray


@dataclass(frozen=True)
class TruncatedSVD:
    """Replace W by the product of two layers, U_r and Σ_r·V_rᵀ, where that stores fewer numbers.

    A convolution is taken as the matrix of its kernels, one row a unit: it becomes one of r units and a
    convolution of width 1. Layers with one kernel per channel stay as they are.

    A layer of m units and n inputs is split only at a rank r with r·(m + n) < m·n, into a layer of r
    units without bias and activation, and one of m units; all other layers stay as they are.

    Parameters
    ----------
    tol : float, optional
        In each layer the smallest rank with ‖W − Ŵ‖_F ≤ tol·‖W‖_F.
    rank : int, optional
        Instead: the rank of every layer.
    keep : float, optional
        Instead: the share of parameters to keep, in (0, 1]. Singular values are dropped over all layers,
        least effect first: the value times the layer's effect on the outputs, as estimated by
        :func:`symlump.compression.merging.effect.layer_effects`.

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
    >>> small = compress(net, TruncatedSVD(tol=1e-9))
    >>> small.network, small.retained_parameters
    (<Network: 3–1–3–1, identity, tanh, 9 parameters>, 9)
    """

    tol: float | None = None
    rank: int | None = None
    keep: float | None = None

    def __post_init__(self) -> None:
        if sum(option is not None for option in (self.tol, self.rank, self.keep)) != 1:
            raise MethodError(
                "TruncatedSVD takes exactly one of tol (an error, as in TruncatedSVD(tol=0.1)), rank (as "
                "in TruncatedSVD(rank=8)) and keep (a share of the parameters, as in "
                "TruncatedSVD(keep=0.4))"
            )
        if self.tol is not None:
            check_tolerance(self.tol, "tol")
        if self.keep is not None:
            check_share(self.keep, "keep")
        if self.rank is not None and (
            isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1
        ):
            raise MethodError(f"rank={self.rank!r}: a rank is a whole number, 1 or larger")

    @property
    def label(self) -> str:
        """Name for tables."""
        return "truncated SVD"

    def reduce(self, network: Network) -> Reduction:
        """Split layers; see :func:`symlump.compress`."""
        factors = [
            np.linalg.svd(layer.weight.reshape(layer.units, -1), full_matrices=False)
            for layer in network.layers
        ]
        values = [s for _, s, _ in factors]
        eps = self.tol
        if self.rank is not None:
            ranks = [min(self.rank, s.size) for s in values]
        elif self.tol is not None:
            ranks = [_rank_within(s, self.tol) for s in values]
        else:
            assert self.keep is not None
            effects = layer_effects(network).values()

            def at(t: float) -> list[int]:
                pairs = zip(values, effects, strict=True)
                return [max(1, int(np.count_nonzero(s * effect > t))) for s, effect in pairs]

            target = share_of(network.parameters, self.keep)
            eps = smallest_tolerance(lambda t: sum(_stored(network, at(t))), target)
            ranks = at(eps)
        nodes: list[Node] = []
        places: list[int] = []
        errors: list[float] = []
        found = {
            layer.name: (rank, *parts)
            for layer, rank, parts in zip(network.layers, ranks, factors, strict=True)
        }
        for node in network.nodes:
            if isinstance(node, Affine) and _split(node, found[node.name][0]):
                rank, u, s, v = found[node.name]
                root = np.sqrt(s[:rank])
                nodes += _factors(node, root[:, None] * v[:rank], u[:, :rank] * root)
                errors.append(float(np.linalg.norm(s[rank:])))
            else:
                nodes.append(node)
            if isinstance(node, Affine):
                places.append(sum(isinstance(n, Affine) for n in nodes) - 1)
        small = Network(tuple(nodes), network.outputs, network.dtype)
        return Reduction(
            small,
            tuple(np.arange(layer.units) for layer in network.hidden),
            small.parameters,
            eps,
            hypot(*errors),
            stored=_stored(network, ranks),
            places=tuple(places),
        )


def _factors(layer: Affine, right: FloatArray, left: FloatArray) -> tuple[Affine, Affine]:
    """A layer as two: the kernels of the first make a few channels, the second combines them."""
    name = f"{layer.name}.right"
    first = replace(layer, name=name, weight=right.reshape(-1, *layer.weight.shape[1:]), bias=None)
    rank = len(layer.kernel)
    ones = (1,) * rank
    weight = left.reshape(*left.shape, *(1,) * rank)
    return first, replace(
        layer, inputs=(name,), weight=weight, stride=ones, padding=(0,) * rank, dilation=ones
    )


def _rank_within(values: FloatArray, tol: float) -> int:
    """The smallest rank, at least 1, that leaves no more than this share of the Frobenius norm."""
    tails = np.sqrt(np.cumsum(values[::-1] ** 2)[::-1])  # tails[r]: what rank r leaves
    return max(1, int(np.count_nonzero(tails > tol * tails[0])))


def _split(layer: Affine, rank: int) -> bool:
    return not layer.depthwise and rank * _ends(layer) < layer.weight.size


def _ends(layer: Affine) -> int:
    """Rows and columns of the weight as a matrix."""
    return layer.units + layer.weight.size // layer.units


def _stored(network: Network, ranks: list[int]) -> tuple[int, ...]:
    """Numbers stored for each layer of the original."""
    return tuple(
        rank * _ends(layer) + layer.parameters - layer.weight.size
        if _split(layer, rank)
        else layer.parameters
        for layer, rank in zip(network.layers, ranks, strict=True)
    )
