"""A torch layer whose weight is a hierarchical matrix, and which goes on training in that form.

References
----------
Mango, Katende, arXiv:2409.07028 (hierarchical weights, block-rank regularisation); Srebro, Rennie,
Jaakkola, "Maximum-margin matrix factorization", NIPS 2004 (the penalty on factors).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from symlump.compression.hierarchical.block_fit import Block
from symlump.compression.hierarchical.hmatrix import HMatrix
from symlump.errors import MethodError
from symlump.network.network import Network
from symlump.network.nodes import Affine, Node
from symlump.network.torch_io import layer_places
from symlump.network.torch_module import with_arrays_of
from symlump.network.torch_parts import array_of
from symlump.network.written.grouped import held_by_parts

# What one group of blocks, and one entry of a multiplied-out weight, cost beside the multiplications,
# in multiplications; only decides which of two equal ways is taken.
_PER_GROUP = 300_000
_PER_ENTRY = 30
_SAMPLES = 128  # as many at once stay in the processor's cache
_SMALL = 2**18  # entries of a weight up to which their places are kept


class HLinear(nn.Module):
    """y = Ŵ·x + b, where the blocks of Ŵ are the parameters: dense ones, and pairs of factors.

    Blocks of equal shape and rank are stacked along the first axis of one parameter, so that a group
    is one batched product.

    Parameters
    ----------
    matrix : HMatrix, shape (outputs, inputs)
    bias : Tensor of shape (outputs,), or None
    dtype : torch.dtype
        Rounding the blocks to float32 adds about 1e-7 to the relative error.

    Examples
    --------
    >>> grid = np.linspace(0, 1, 64)
    >>> layer = HLinear(HMatrix.from_dense(np.abs(grid[:, None] - grid), 1e-2))
    >>> layer
    HLinear(64 → 64, 10 blocks, 896 of 4096 numbers)
    >>> layer(torch.ones(2, 64, dtype=torch.float64)).shape
    torch.Size([2, 64])
    """

    _entry_at: torch.Tensor | None

    def __init__(
        self,
        matrix: HMatrix,
        bias: torch.Tensor | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.out_features, self.in_features = matrix.shape
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone().to(dtype))
        self._hold(matrix, torch.empty(0, dtype=dtype))

    def _hold(self, matrix: HMatrix, like: torch.Tensor) -> None:
        """Take the blocks of a matrix as parameters, of the type and place of ``like``."""
        self._tree = matrix.tree
        self._orders = matrix.row_order, matrix.column_order
        rows, columns = (
            np.arange(size) if order is None else order
            for order, size in zip(self._orders, matrix.shape, strict=True)
        )
        groups: dict[tuple[tuple[int, ...], ...], list[Block]] = {}
        for block in matrix.blocks:
            if block.rank != 0:
                groups.setdefault(tuple(part.shape for part in block.parts), []).append(block)
        zeros = [block for block in matrix.blocks if block.rank == 0]
        self._zeros = [(b.place, b.rows, b.columns) for b in zeros]
        self._groups = [[(b.place, b.rows, b.columns) for b in group] for group in groups.values()]
        self._sides = sum(sum(b.shape) for group in groups.values() for b in group)
        self.parts = nn.ParameterList()
        self._counts: list[int] = []
        for number, group in enumerate(groups.values()):
            stacks = [np.stack(parts) for parts in zip(*(b.parts for b in group), strict=True)]
            self.parts.extend(
                nn.Parameter(torch.from_numpy(stack).to(like).contiguous()) for stack in stacks
            )
            self._counts.append(len(stacks))
            at = (
                np.stack([rows[b.rows] for b in group]),
                np.stack([columns[b.columns] for b in group]),
            )
            for name, index in zip(("rows", "columns"), at, strict=True):
                place = torch.from_numpy(index).to(like.device)
                self.register_buffer(f"_{name}_{number}", place, persistent=False)
        small = self.in_features * self.out_features <= _SMALL and self._groups
        self.register_buffer("_entry_at", self._entries() if small else None, persistent=False)

    @property
    def storage(self) -> int:
        """Stored numbers of the weight, permutations included."""
        orders = sum(order.size for order in self._orders if order is not None)
        return sum(int(part.numel()) for part in self.parts) + int(orders)

    @property
    def weight(self) -> torch.Tensor:
        """Ŵ, multiplied out; gradients flow to the blocks."""
        m, n = self.out_features, self.in_features
        stacks = [parts[0] if len(parts) == 1 else parts[0] @ parts[1] for parts in self._stacks()]
        if not stacks:
            return self._like().new_zeros(m, n)
        at = self._entries() if self._entry_at is None else self._entry_at
        values = torch.cat([stack.reshape(-1) for stack in stacks])
        return values.new_zeros(m * n).index_copy(0, at, values).view(m, n)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer to the last axis, group by group if that is faster than multiplying out.

        Parameters
        ----------
        x : Tensor, shape (…, inputs)

        Returns
        -------
        Tensor, shape (…, outputs)

        Examples
        --------
        >>> layer = HLinear(HMatrix.from_dense(np.ones((32, 32)), 1e-6))
        >>> layer(torch.ones(2, 32, dtype=layer.weight.dtype)).shape
        torch.Size([2, 32])
        """
        samples = x.shape[:-1].numel()
        whole = self.in_features * self.out_features * (samples + _PER_ENTRY)
        calls = len(self._groups) * -(-samples // _SAMPLES)
        by_groups = samples * (2 * self.storage + 8 * self._sides) + calls * _PER_GROUP
        if not self._groups or whole <= by_groups:
            return nn.functional.linear(x, self.weight, self.bias)
        flat = torch.split(x.reshape(-1, self.in_features), _SAMPLES)
        y = torch.cat([self._by_groups(part) for part in flat])
        y = y.view(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias

    def _by_groups(self, x: torch.Tensor) -> torch.Tensor:
        """Ŵ·x for rows of x, one batched product a group."""
        turned = x.T.contiguous()  # samples last: rows of memory are what is gathered and added
        y = turned.new_zeros(self.out_features, turned.shape[1])
        for number, parts in enumerate(self._stacks()):
            rows, columns = self._places(number)
            part = turned.index_select(0, columns.reshape(-1)).view(*columns.shape, -1)
            for factor in parts[::-1]:
                part = factor @ part
            y.index_add_(0, rows.reshape(-1), part.reshape(rows.numel(), -1))
        return y.T

    def to_hmatrix(self) -> HMatrix:
        """The current weight as a hierarchical matrix; its error is relative to this weight.

        Returns
        -------
        HMatrix

        Examples
        --------
        >>> layer = HLinear(HMatrix.from_dense(np.ones((32, 32)), 1e-6))
        >>> layer.to_hmatrix().shape
        (32, 32)
        """
        blocks = [
            Block(place, rows, columns, tuple(array_of(stack[k]) for stack in parts), 0.0)
            for group, parts in zip(self._groups, self._stacks(), strict=True)
            for k, (place, rows, columns) in enumerate(group)
        ]
        for place, rows, columns in self._zeros:
            empty = (
                np.zeros((rows.stop - rows.start, 0)),
                np.zeros((0, columns.stop - columns.start)),
            )
            blocks.append(Block(place, rows, columns, empty, 0.0))
        norm = float(np.linalg.norm([np.linalg.norm(block.to_dense()) for block in blocks]))
        return HMatrix(self._tree, tuple(blocks), norm, 0.0, *self._orders)

    def factors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Two matrices R and L with Ŵ = L·R: the factors of the blocks, dense ones as D times the identity.

        Returns
        -------
        pair of Tensor, shapes (rank, inputs) and (outputs, rank)
            R and L; rank is the sum of the blocks' ranks.

        Examples
        --------
        >>> layer = HLinear(HMatrix.from_dense(np.ones((32, 32)), 1e-6))
        >>> right, left = layer.factors()
        >>> bool(torch.allclose(left @ right, torch.ones_like(left @ right)))
        True
        """
        right: list[torch.Tensor] = []
        left: list[torch.Tensor] = []
        like = self._like()
        for number, parts in enumerate(self._stacks()):
            for rows, columns, *block in zip(*self._places(number), *parts, strict=True):
                inner = block[1] if len(block) == 2 else torch.eye(columns.numel()).to(like)
                right.append(like.new_zeros(len(inner), self.in_features))
                right[-1][:, columns] = inner.detach()
                left.append(like.new_zeros(self.out_features, len(inner)))
                left[-1][rows] = block[0].detach()
        if not right:
            return like.new_zeros(1, self.in_features), like.new_zeros(self.out_features, 1)
        return torch.cat(right), torch.cat(left, dim=1)

    def to_linear(self) -> nn.Linear:
        """An ordinary torch layer with the same weight, multiplied out.

        Returns
        -------
        torch.nn.Linear

        Examples
        --------
        >>> HLinear(HMatrix.from_dense(np.ones((32, 32)), 1e-6)).to_linear()
        Linear(in_features=32, out_features=32, bias=False)
        """
        return _linear(self.weight.detach(), None if self.bias is None else self.bias.detach())

    def rank_penalty(self) -> torch.Tensor:
        """Σ over blocks of ½(‖L‖_F² + ‖R‖_F²), and of ‖D‖_* for dense blocks: favours low ranks.

        The least value over all factors of a product is its nuclear norm, ‖L·R‖_*, so both kinds are
        penalised alike.

        Returns
        -------
        Tensor, shape ()

        Examples
        --------
        >>> layer = HLinear(HMatrix.from_dense(np.ones((32, 32)), 1e-6))
        >>> round(layer.rank_penalty().item(), 3)
        32.0
        """
        total = self._like().new_zeros(())
        for parts in self._stacks():
            if len(parts) == 2:
                total = total + (parts[0].square().sum() + parts[1].square().sum()) / 2
            else:
                total = total + torch.linalg.matrix_norm(parts[0], "nuc").sum()
        return total

    def recompress_(self, tol: float) -> bool:
        """Reduce the ranks again, within a relative error of the present weight.

        Where the result is smaller it replaces the parameters, so make a new optimizer; else nothing
        changes.

        Parameters
        ----------
        tol : float
            The relative error, 0 or larger.

        Returns
        -------
        bool
            True if the parameters were replaced.

        Examples
        --------
        >>> layer = HLinear(HMatrix.from_dense(np.eye(32), 0.0))
        >>> layer.recompress_(1e-6)
        False
        """
        smaller = self.to_hmatrix().recompress(tol)
        if smaller.storage >= self.storage:
            return False
        self._hold(smaller, self._like())
        return True

    def __repr__(self) -> str:
        count = len(self._zeros) + sum(map(len, self._groups))
        blocks = "1 block" if count == 1 else f"{count} blocks"
        return (
            f"HLinear({self.in_features} → {self.out_features}, {blocks}, "
            f"{self.storage} of {self.in_features * self.out_features} numbers)"
        )

    def _stacks(self) -> list[tuple[torch.Tensor, ...]]:
        """The parameters of each group: the dense blocks, or the left and the right factors."""
        pieces = iter(self.parts)
        return [tuple(next(pieces) for _ in range(count)) for count in self._counts]

    def _places(self, group: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows and columns of each block of a group."""
        return self.get_buffer(f"_rows_{group}"), self.get_buffer(f"_columns_{group}")

    def _entries(self) -> torch.Tensor:
        """Where the entries of the blocks go in the flattened weight."""
        return torch.cat(
            [
                (rows[:, :, None] * self.in_features + columns[:, None, :]).reshape(-1)
                for rows, columns in map(self._places, range(len(self._groups)))
            ]
        )

    def _like(self) -> torch.Tensor:
        """A tensor of the type and place of the parameters."""
        found = next(self.parameters(), None)
        return torch.zeros((), dtype=torch.float64) if found is None else found.detach()


def recompress_(model: nn.Module, tol: float) -> bool:
    """Recompress every hierarchical layer of a model; True if any was replaced."""
    layers = [module for module in model.modules() if isinstance(module, HLinear)]
    replaced = [
        layer.recompress_(tol) for layer in layers
    ]  # all of them: any() alone would stop early
    return any(replaced)


def rank_penalty(model: nn.Module) -> torch.Tensor:
    """The sum of the penalties of all hierarchical layers.

    Raises
    ------
    MethodError
        If the model has none.
    """
    layers = [module for module in model.modules() if isinstance(module, HLinear)]
    if not layers:
        raise MethodError(
            "the model has no HLinear layer to penalize; make one by compress(model, Hierarchical(eps=…))"
        )
    return torch.stack([layer.rank_penalty() for layer in layers]).sum()


def replace_linear(
    model: nn.Module, matrices: Sequence[HMatrix], places: Sequence[str] | None = None
) -> nn.Module:
    """Put hierarchical matrices in the place of a model's dense layers.

    Parameters
    ----------
    places : sequence of str, optional
        Where these layers are; by default all of them, in their order. A module that is in several places is
        replaced by one.

    Raises
    ------
    MethodError
        If there are more or fewer matrices than dense layers.
    """
    if places is None:
        places = [name for name, child in model.named_modules() if isinstance(child, nn.Linear)]
    if len(places) != len(matrices):
        raise MethodError(f"{len(matrices)} matrices for a model of {len(places)} dense layers")
    made: dict[int, HLinear] = {}
    linears = [model.get_submodule(place) for place in places]
    for place, linear, matrix in zip(places, linears, matrices, strict=True):
        assert isinstance(linear, nn.Linear)
        if id(linear) not in made:
            layer = HLinear(matrix, linear.bias, linear.weight.dtype)
            made[id(linear)] = layer.to(linear.weight.device)
            for (
                name,
                child,
            ) in linear.named_children():  # a graph's names may put some below a layer's
                layer.add_module(name, child)
        parent, _, name = place.rpartition(".")
        setattr(model.get_submodule(parent), name, made[id(linear)])
    return model


def factored_network(network: Network, model: nn.Module) -> Network:
    """The network that a model now is, with two layers for each hierarchical one.

    Parameters
    ----------
    network : Network
        From which the model was written, before its dense layers were replaced.

    Examples
    --------
    >>> from symlump.network.torch_io import to_torch
    >>> net = Network.dense([np.ones((16, 16))])
    >>> model = replace_linear(to_torch(net), [HMatrix.from_dense(np.ones((16, 16)), 1e-9)])
    >>> [layer.weight.shape for layer in factored_network(net, model).layers]
    [(1, 16), (16, 1)]
    """
    places = layer_places(network, model)
    modules = {name: model.get_submodule(place) for name, place in places.items()}
    found = held_by_parts(network, modules)
    nodes: list[Node] = []
    for node in network.nodes:
        if not isinstance(node, Affine):
            nodes.append(node)
            continue
        held = found[node.name]
        own = replace(node, weight_name="", bias_name="")
        if not isinstance(held, HLinear):
            nodes.append(with_arrays_of(own, held))
            continue
        own = replace(own, bias=None if held.bias is None else array_of(held.bias))
        right, left = (array_of(part) for part in copy.deepcopy(held).double().factors())
        first = replace(own, name=f"{node.name}.right", weight=right, bias=None)
        nodes += [first, replace(own, inputs=(first.name,), weight=left)]
    return replace(network, nodes=tuple(nodes))


def dense_model(model: nn.Module) -> nn.Module:
    """A copy in which every hierarchical layer is multiplied out to an ``nn.Linear``.

    Examples
    --------
    >>> layer = HLinear(HMatrix.from_dense(np.eye(2), 0.0))
    >>> dense_model(nn.Sequential(layer, nn.Tanh()))
    Sequential(
      (0): Linear(in_features=2, out_features=2, bias=False)
      (1): Tanh()
    )
    """
    if isinstance(model, HLinear):
        return model.to_linear()
    twin = copy.deepcopy(model)
    for parent in list(twin.modules()):
        for name, child in parent.named_children():
            if isinstance(child, HLinear):
                setattr(parent, name, child.to_linear())
    return twin


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    outputs, inputs = weight.shape
    with torch.random.fork_rng(devices=[]):  # the initial values drawn here are overwritten
        linear = nn.Linear(inputs, outputs, bias is not None, weight.device, weight.dtype)
    with torch.no_grad():
        linear.weight.copy_(weight)
        if bias is not None:
            linear.bias.copy_(bias)
    return linear
