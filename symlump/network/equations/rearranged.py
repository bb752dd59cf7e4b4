"""Channels that are made of channels: features that become a picture or tokens, pixels that are shuffled."""

from __future__ import annotations

from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Node, Pool
from symlump.network.step_nodes import Operation, Rearrange
from symlump.ode.exact import IntArray


def parts_of(network: Network, node: Node) -> IntArray | None:
    """For each channel of what is rearranged the channels that it is made of; None for other nodes."""
    if not isinstance(node, Rearrange):
        return None
    return node.parts((network.shapes[node.inputs[0]] or (1,))[0])


def owned_parts(network: Network) -> dict[str, IntArray]:
    """The parts of what is rearranged, also by the name of the layer that makes these and nothing else.

    Between the two may be what treats all channels alike.

    Examples
    --------
    >>> import numpy as np
    >>> from symlump.network.nodes import Input
    >>> x, fc = Input("x", (), (2,)), Affine("fc", ("x",), np.ones((6, 2)))
    >>> picture = Rearrange("picture", ("fc",), (2, 3), (0, 1), (2, 3))
    >>> {name: own.tolist() for name, own in owned_parts(Network((x, fc, picture), ("picture",))).items()}
    {'picture': [[0, 1, 2], [3, 4, 5]], 'fc': [[0, 1, 2], [3, 4, 5]]}
    """
    found: dict[str, IntArray] = {}
    for node in network.nodes:
        parts = parts_of(network, node)
        if parts is None:
            continue
        before = network.named[node.inputs[0]]
        while network.readers[before.name] == 1 and _passes_units(before):
            before = network.named[before.inputs[0]]
        plain = isinstance(before, Affine) and not before.depthwise
        shared = isinstance(before, Affine) and bool(before.weight_name or before.bias_name)
        if plain and not shared and network.readers[before.name] == 1:
            found[node.name] = found[before.name] = parts
    return found


def _passes_units(node: Node) -> bool:
    return isinstance(node, Apply | Pool) or (isinstance(node, Operation) and node.keeps_units)
