"""What the methods for plain chains of layers refuse."""

from __future__ import annotations

from symlump.errors import NetworkError
from symlump.network.network import Network


def plain(network: object, method: str) -> Network:
    """The network, if it is a chain of dense layers whose units go on as they are.

    Raises
    ------
    NetworkError
        If it is a graph of other layers, or a layer sums its units in groups.

    Examples
    --------
    >>> plain(Network.dense([[[1.0]]]), "Quantize")
    <Network: 1–1, linear, 1 parameters>
    """
    if not isinstance(network, Network):
        raise NetworkError(
            f"{method} reduces a chain of dense layers (a Network or nn.Sequential of Linear layers); "
            f"got a {type(network).__name__}, for which AFDE is made"
        )
    for number, layer in enumerate(network.layers, start=1):
        if layer.groups is not None:
            raise NetworkError(
                f"{method}: layer {number} sums its units in groups (it comes from AFDE on='state'); "
                f"apply {method} to the network before that reduction"
            )
    return network
