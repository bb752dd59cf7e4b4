"""The verb that finds what a smaller network is, seen as a lumping of a larger one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symlump.compression.relaxed.aligned import align
from symlump.compression.relaxed.explanation import ReductionExplanation
from symlump.compression.relaxed.recurrent_explanation import RecurrentExplanation
from symlump.compression.relaxed.unit_maps import find_maps
from symlump.errors import MethodError
from symlump.memory import memory_errors
from symlump.network.network import Network
from symlump.network.recurrent.recurrent_network import RecurrentNetwork

if TYPE_CHECKING:
    from torch import nn


@memory_errors()
def explain_reduction(
    original: Network | RecurrentNetwork | nn.Module,
    reduced: Network | RecurrentNetwork | nn.Module,
    example: Any = None,
) -> ReductionExplanation:
    r"""Find the relaxed lumping behind a reduced network, whichever tool made it.

    Every unit of the original stands on a unit of the reduced network, :math:`h_i = s_i·ĥ_{u(i)} + q_i`, or
    was removed as the zero unit, as a constant one, or as one that nothing reads. The reduced network is the
    *exact* quotient by this map of the network with the weights :math:`W + ΔW`, where

    .. math:: (W + ΔW)·P = A·Ŵ_u, \qquad δ = ‖ΔW‖ \text{ the least,}

    so pruning, merging, quantisation, low rank and refitted weights are the same thing with other maps and
    other ΔW.

    Parameters
    ----------
    original, reduced : Network, RecurrentNetwork or torch.nn.Module
        The same computation with other widths; linear layers may have been split in two. Units of recurrent
        cells have one map for all steps.
    example : Tensor, optional
        An input, where torch modules need one to be read; see :func:`symlump.from_torch`.

    Returns
    -------
    ReductionExplanation
        Unit maps, ε and δ of each layer; ``bound(box)`` certifies how far the outputs move, of recurrent
        networks ``bound_steps(steps, box)``.

    Raises
    ------
    MethodError
        If the networks are not one computation with other widths.

    Notes
    -----
    Which unit stands on which is looked for; what is said of the map that was found is measured, whatever map
    it is. A better map, of a smaller δ, may exist. Ressi, Romanello, Piazza, Rossi, arXiv:2209.07475, ask
    whether pruning heuristics are relaxed lumpings; this answers for each reduction.

    Examples
    --------
    >>> import symlump as sl
    >>> net = sl.Network.dense([[[1.0, 2.0], [1.0, 2.0], [-1.0, 3.0]], [[0.5, 0.25, 1.0]]])
    >>> explanation = sl.explain_reduction(net, sl.compress(net, sl.AFDE(eps=0)).network)
    >>> explanation.exact, [units.tolist() for units in explanation.unit_maps]
    (True, [[0, 0, 1]])
    """
    one, two = (
        model if isinstance(model, Network | RecurrentNetwork) else _read(model, example)
        for model in (original, reduced)
    )
    if isinstance(one, RecurrentNetwork) and isinstance(two, RecurrentNetwork):
        return RecurrentExplanation.of(one, two)
    if isinstance(one, RecurrentNetwork) or isinstance(two, RecurrentNetwork):
        raise MethodError(
            "one of the two networks has recurrent cells, the other has none, so no unit of one stands for a "
            "unit of the other"
        )
    return ReductionExplanation(one, two, find_maps(*align(one, two)))


def _read(model: Any, example: Any) -> Network | RecurrentNetwork:
    from torch import nn

    from symlump.network.recurrent.reading import read_recurrent
    from symlump.network.recurrent.torch_cells import holds_recurrent
    from symlump.network.torch_io import from_torch

    if not isinstance(model, nn.Module):
        raise MethodError(
            f"explain_reduction takes two networks or torch modules; got a {type(model).__name__}. A file is "
            "read first: symlump.read_onnx(path), or load its state dict into a module"
        )
    if holds_recurrent(model):
        return read_recurrent(model)
    return from_torch(model, example)
