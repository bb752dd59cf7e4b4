"""What AFDE finds out about a model with recurrent cells, good for every tolerance.

At ε = 0 units merge that backward equivalence of the cells' maps proves equal. Above it, units of a cell are
compared as functions of time: over sample sequences, the root mean square of the difference of two units, each
counting by the squares of the weights that read it, relative to the mean spread of the cell's units.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from symlump.compression.merging.afde import AFDE
from symlump.compression.merging.ward import cut, cut_to, merge_tree
from symlump.compression.recurrent.as_read import check_as_read, copy_module
from symlump.compression.recurrent.fitting import FittedCell, Readout, near_cells
from symlump.compression.recurrent.result import RecurrentCompression
from symlump.compression.recurrent.sequences import sequences_of
from symlump.compression.recurrent.stepping import fit_further
from symlump.compression.recurrent.units import equal_units, merged_cell, pad_cell, sum_blocks
from symlump.compression.reduction import largest_rounding
from symlump.errors import FailureError, MethodError
from symlump.lumping.lumping import Lumping
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.gradients import gradients
from symlump.network.precision import PRECISIONS
from symlump.network.recurrent.cells import Cell
from symlump.network.recurrent.reading import read_recurrent
from symlump.network.recurrent.recurrent_network import CellNode, Reader, RecurrentNetwork
from symlump.network.recurrent.torch_cells import RECURRENT, module_of
from symlump.ode.exact import FloatArray, IntArray
from symlump.plan import Plan


@dataclass(frozen=True, eq=False)
class RecurrentPlan(Plan[RecurrentCompression]):
    """A model with recurrent cells, and what merges at which tolerance.

    Parameters
    ----------
    method : AFDE
    network : RecurrentNetwork
    model : torch.nn.Module

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> plan = RecurrentPlan.of(nn.GRU(2, 6), AFDE(eps=0))
    >>> plan.whole, plan.size(0), plan.size(1e9)
    (180, 180, 15)
    """

    method: AFDE
    network: RecurrentNetwork
    model: nn.Module | None = field(default=None, repr=False)

    @classmethod
    def of(cls, model: nn.Module, method: Any) -> RecurrentPlan:
        """Read a model, and see that the method is one for it.

        Raises
        ------
        NetworkError
            If units go where merging them would change what is computed.
        MethodError
            If the method, or an option of it, is for networks without recurrence.
        """
        model = getattr(model, "_orig_mod", model)  # what torch.compile made is called as it
        plan = replace(cls.of_network(read_recurrent(model), method), model=model)
        check_as_read(model, plan._module(plan.network), plan.network)
        return plan

    @classmethod
    def of_network(cls, network: RecurrentNetwork, method: Any) -> RecurrentPlan:
        """A plan for what was read already, from a file, say."""
        if not isinstance(method, AFDE):
            raise MethodError(
                f"{type(method).__name__} reduces networks without recurrence; recurrent cells take AFDE"
            )
        odd = {
            "on": method.on != "influence",
            "relative": not method.relative,
            "relative_to": method.relative_to is not None,
            "distance": method.compared != "function",
            "floor": method.floor is not None,
            "up_to": method.up_to is not None,
            "lively": method.lively,
        }
        for option, given in odd.items():
            if given:
                raise MethodError(
                    f"AFDE({option}=…) is for networks without recurrence; for recurrent cells there are eps, "
                    "retain, linkage, refit, steps and inputs"
                )
        return cls(method, network)

    @property
    def whole(self) -> int:
        """All parameters."""
        return self.network.parameters

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        blocks = {name: int(labels.max()) + 1 for name, labels in self._labels(eps).items()}
        units = self._units(blocks)
        small = sum(_cell_size(node, units) for node in self.network.cells)
        for reader in self.network.readers:
            inputs = sum(units[name] for name in reader.reads)
            small += len(reader.weight) * inputs + (0 if reader.bias is None else reader.bias.size)
        return self.whole - self.network.reducible + small

    def at(self, eps: float) -> RecurrentCompression:
        """See :class:`symlump.plan.Plan`."""
        labels, method = self._labels(eps), self.method.within(eps)
        cells: dict[str, Cell]
        lumpings: tuple[Lumping, ...] = ()
        error = 0.0
        near: dict[str, FittedCell] = {}
        if eps == 0:
            reads = {
                node.name: self.network.labels(node.reads, labels, node.cell.inputs)
                for node in self.network.cells
            }
            cells = {
                node.name: merged_cell(node.cell, labels[node.name], reads[node.name])
                for node in self.network.cells
            }
            lumpings = tuple(self._equal[1].values())
        else:
            steps, further = self.method.steps, None
            if steps:
                further = fit_further(self.network, self._samples[1], steps)
            near = near_cells(self.network, labels, *self._samples, self.method.refits, further)
            cells = {name: found.cell for name, found in near.items()}
            error = self._relative_error(near)
        network, moved = _rounded(self._with(cells, labels, near))
        return RecurrentCompression(
            method,
            self.network,
            network,
            self._module(network),
            eps,
            labels,
            error,
            moved,
            lumpings,
            self._measure(),
        )

    def settled(self) -> RecurrentCompression:
        """What the method itself asks for."""
        if self.method.retain is not None:
            return self.retain(self.method.retain)
        assert self.method.eps is not None
        return self.at(self.method.eps)

    def _measure(self) -> str:
        after = "refitted" if self.method.refits else "added up"
        if self.method.steps:
            after = (
                f"refitted, and all weights of the cells then fitted in {self.method.steps} steps"
            )
        return (
            "ε compares units as functions of time over sample sequences, relative to the mean spread of "
            f"their cell's; weights that read merged units are {after}"
        )

    @cached_property
    def _equal(self) -> tuple[dict[str, IntArray], dict[str, Lumping]]:
        return equal_units(self.network)

    @cached_property
    def _samples(self) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Sequences, and the original's states over them."""
        sequences = sequences_of(self.method.inputs, self.network, self.model)
        with np.errstate(over="ignore", invalid="ignore"):
            states = self.network.run(sequences)
            grown = [name for name, h in states.items() if not np.isfinite(np.sum(h**2))]
        if grown:
            raise FailureError(
                f"{grown[0]}: the states of the original grow without bound over the sample sequences; give "
                "typical sequences, inputs=…, or shorter ones"
            )
        return sequences, states

    @cached_property
    def _trees(self) -> dict[str, FloatArray]:
        states, linkage = self._samples[1], Linkage.named(self.method.linkage)
        found = {}
        for node in self.network.cells:
            weights = self._importance(node)
            h = states[node.name]
            rows = h.transpose(3, 0, 1, 2).reshape(node.cell.units, -1)
            rows = rows / np.sqrt(rows.shape[1] / len(h))
            spread = np.sum(weights * rows.var(axis=1) * rows.shape[1]) / len(rows)
            scale = 1 / np.sqrt(spread) if spread > 0 else 1.0
            found[node.name] = merge_tree(rows * scale, weights, linkage)
        return found

    def _importance(self, node: CellNode) -> FloatArray:
        """The squares of all weights that read each unit."""
        total = (node.cell.hidden_weight**2).sum(axis=(0, 1))
        readers: list[tuple[tuple[str, ...], FloatArray]] = [
            (other.reads, other.cell.input_weight.reshape(-1, other.cell.inputs))
            for other in self.network.cells
        ] + [(reader.reads, reader.weight) for reader in self.network.readers]
        for reads, weight in readers:
            first = 0
            for name in reads:
                units = self.network.by_name[name].cell.units
                if name == node.name:
                    total = total + (weight[:, first : first + units] ** 2).sum(axis=0)
                first += units
        return np.asarray(total)

    def _labels(self, eps: float) -> dict[str, IntArray]:
        """The blocks at a tolerance: a module's cells have as many as the one with the most, where they can."""
        if eps == 0:
            return self._equal[0]
        found = {name: cut(tree, eps) for name, tree in self._trees.items()}
        for nodes in self.network.modules.values():
            most = max(int(found[node.name].max()) + 1 for node in nodes)
            for node in nodes:
                if int(found[node.name].max()) + 1 < most:
                    found[node.name] = cut_to(self._trees[node.name], most)
        return found

    def _units(self, blocks: dict[str, int]) -> dict[str, int]:
        """Units that each cell gets: as many as the largest of its module."""
        return {
            node.name: max(blocks[other.name] for other in nodes)
            for nodes in self.network.modules.values()
            for node in nodes
        }

    def _with(
        self, cells: dict[str, Cell], labels: dict[str, IntArray], near: dict[str, FittedCell]
    ) -> RecurrentNetwork:
        """The network with smaller cells, of one size in each module, and what reads them."""
        units = self._units({name: cell.units for name, cell in cells.items()})
        nodes = []
        for node in self.network.cells:
            inputs = _places(node.reads, cells, units, node.cell.inputs)
            nodes.append(replace(node, cell=pad_cell(cells[node.name], units[node.name], inputs)))
        readers = []
        for reader in self.network.readers:
            if near and reader.linear:
                readout = Readout.beside([near[name].readout for name in reader.reads])
                weight, bias = reader.weight @ readout.matrix, reader.bias
                bias = bias if bias is None else bias + reader.weight @ readout.constant
            else:
                of = self.network.labels(reader.reads, labels, 0)
                weight, bias = sum_blocks(reader.weight, of), reader.bias
            places = _places(reader.reads, cells, units, 0)
            spread = np.zeros((len(weight), places.size))
            spread[:, places >= 0] = weight[:, places[places >= 0]]
            readers.append(replace(reader, weight=spread, bias=bias))
        small = replace(self.network, cells=tuple(nodes), readers=tuple(readers))
        left = self.network.parameters - self.network.reducible
        return replace(small, parameters=left + small.reducible)

    def _relative_error(self, near: dict[str, FittedCell]) -> float:
        states = self._samples[1]
        off = sum(near[name].error ** 2 for name in near)
        size = sum(float(np.mean(states[name][0] ** 2)) for name in near)
        return float(np.sqrt(off / size)) if size else 0.0

    @gradients()  # a module made inside inference_mode could never be trained
    def _module(self, network: RecurrentNetwork) -> nn.Module | RecurrentNetwork:
        """The model with smaller modules in place of those that were read."""
        if self.model is None:
            return network
        modules = network.modules
        if isinstance(self.model, RECURRENT):
            return module_of(_layers(modules[""]), self.model)
        model: nn.Module = copy_module(self.model)
        for name, nodes in modules.items():
            model.set_submodule(name, module_of(_layers(nodes), model.get_submodule(name)))
        for reader in network.readers:
            model.set_submodule(reader.name, _linear(reader, model.get_submodule(reader.name)))
        return model


def _cell_size(node: CellNode, units: dict[str, int]) -> int:
    cell, own = node.cell, units[node.name]
    inputs = sum(units[name] for name in node.reads) if node.reads else cell.inputs
    biases = 0 if cell.input_bias is None else 2
    return len(cell.input_weight) * own * (inputs + own + biases)


def _places(
    reads: tuple[str, ...], cells: dict[str, Cell], units: dict[str, int], inputs: int
) -> IntArray:
    """For each number that is read, its column among those of merged units; −1 for units that do nothing."""
    if not reads:
        return np.arange(inputs)
    parts, first = [], 0
    for name in reads:
        own = cells[name].units
        parts += [first + np.arange(own), np.full(units[name] - own, -1)]
        first += own
    return np.concatenate(parts)


def _layers(nodes: list[CellNode]) -> list[list[Cell]]:
    """The cells of a module by layer: a layer ends where what is read changes."""
    found: list[list[Cell]] = []
    before: tuple[str, ...] | None = None
    for node in nodes:
        if node.reads != before or not node.cell.backward:
            found.append([])
        found[-1].append(node.cell)
        before = node.reads
    return found


def _linear(reader: Reader, like: nn.Module) -> nn.Linear:
    weight: Any = like.weight
    outputs, inputs = reader.weight.shape
    with torch.random.fork_rng(devices=[]):
        module = nn.Linear(
            inputs, outputs, reader.bias is not None, device=weight.device, dtype=weight.dtype
        )
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(reader.weight))
        if reader.bias is not None:
            module.bias.copy_(torch.from_numpy(reader.bias))
    return module.requires_grad_(weight.requires_grad).train(like.training)


def _rounded(network: RecurrentNetwork) -> tuple[RecurrentNetwork, float]:
    """With the weights that the format of the original holds, and how far that moves one of them."""
    precision, moved = PRECISIONS[network.dtype], 0.0

    def nearest(array: FloatArray, what: str) -> FloatArray:
        nonlocal moved
        held = precision.nearest(array, what)
        moved = max(moved, largest_rounding(array, held))
        return held

    cells = tuple(
        replace(
            node,
            cell=replace(
                node.cell,
                **{name: nearest(a, f"{node.name}.{name}") for name, a in node.cell.arrays.items()},  # type: ignore[arg-type]
            ),
        )
        for node in network.cells
    )
    readers = tuple(
        replace(
            reader,
            weight=nearest(reader.weight, reader.name),
            bias=None if reader.bias is None else nearest(reader.bias, reader.name),
        )
        for reader in network.readers
    )
    return replace(network, cells=cells, readers=readers), moved
