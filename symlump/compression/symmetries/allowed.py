"""What the readers of a value can take up: factors, the sign, constants; from the outputs backwards.

A layer takes up any factor of what it reads, and a constant if it does not pad with zeros, which would leave
none at the edge. An activation lets through what it commutes with; so does pooling, a maximum only positive
factors. A sum, a product, a layer with one kernel per channel need their units as they are; what mixes units,
and an output, needs every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from symlump.network.activations.activation import Activation
from symlump.network.network import Network
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Flatten,
    Node,
    Pool,
    Select,
    Squeeze,
    Unsqueeze,
)
from symlump.network.step_nodes import Regrid, passes_units


@dataclass(frozen=True)
class Allowed:
    """What may become of the units of a value.

    Parameters
    ----------
    positive, sign, constant : bool
        Its readers can take up a positive factor, the factor −1, a constant.
    alone : bool
        Each unit must stay.
    """

    positive: bool = True
    sign: bool = True
    constant: bool = True
    alone: bool = False

    def __and__(self, other: Allowed) -> Allowed:
        """What both allow."""
        return Allowed(
            self.positive and other.positive,
            self.sign and other.sign,
            self.constant and other.constant,
            self.alone or other.alone,
        )

    def factors(self, phi: Activation) -> tuple[bool, bool]:
        """Whether units may be merged by a positive factor, and by −1, before an activation."""
        scale = phi.degree == 0 or (phi.degree is not None and self.positive)
        if phi.reflection is None:
            return scale, False
        sign, constant = phi.reflection
        return scale, (sign > 0 or self.sign) and (not constant or self.constant)


_EQUAL = Allowed(False, False, False)
_ALONE = Allowed(False, False, False, alone=True)


def find_allowed(network: Network) -> dict[str, Allowed]:
    """What may become of the units of each value, by name.

    Examples
    --------
    >>> net = Network.dense([[[1.0]], [[1.0]]], activation="relu")
    >>> found = find_allowed(net)
    >>> found["layers.0.activation"] == Allowed(), found["layers.0"].sign, found["layers.1"].alone
    (True, False, True)
    """
    found = {node.name: [Allowed()] for node in network.nodes}
    for name in network.outputs:
        found[name].append(_ALONE)
    for node in reversed(network.nodes):
        own = reduce(Allowed.__and__, found[node.name])
        for name in node.inputs:
            found[name].append(_before(node, own, network))
    return {name: reduce(Allowed.__and__, parts) for name, parts in found.items()}


def _before(node: Node, own: Allowed, network: Network) -> Allowed:
    """What a node allows of what it reads."""
    match node:
        case Affine(depthwise=False):
            return Allowed(constant=not any(node.padding))
        case Affine() if node.units == (network.shapes[node.inputs[0]] or (1,))[0]:
            return Allowed(False, False, False, own.alone)
        case Apply(activation=phi):
            positive, sign = own.factors(phi)
            return Allowed(positive, sign, False, own.alone)
        case Pool(operation="maximum"):
            return Allowed(own.positive, False, own.constant, own.alone)
        case Pool():
            whole = not any(node.padding) or not node.count_padding
            return Allowed(own.positive, own.sign, own.constant and whole, own.alone)
        case Flatten() | Squeeze() | Unsqueeze() | Select() | Concatenate() | Regrid():
            return own
        case Combine():
            return _EQUAL
    return _EQUAL & own if passes_units(node) else _ALONE
