"""Back from a lumping of a network's differential equation to weights.

In the influence form the incoming weights and the bias of a block are read off the quotient's coefficients; the
outgoing weight of a block is, in the same quotient, the sum over its members. Only the last step rounds: each
coefficient to the nearest float64.
"""

from __future__ import annotations

from symlump.errors import MethodError, NetworkError
from symlump.lumping.lumping import Lumping
from symlump.lumping.partition import Partition
from symlump.memory import memory_errors
from symlump.network.equations.decode_state import decoded_state
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.equations.weights import OfQuotient
from symlump.network.network import Network
from symlump.network.nodes import Affine, Combine
from symlump.network.rewrite import rewrite, tidy
from symlump.network.step_nodes import Attention, Rearrange
from symlump.ode.exact import IntArray


@memory_errors()
def decode(lumping: Lumping) -> Network:
    """Read the smaller network off a quotient.

    Parameters
    ----------
    lumping : Lumping
        Of ``encode(network, form="influence")`` by forward equivalence, or of
        ``encode(network, form="state")`` by either.

    Returns
    -------
    Network

    Raises
    ------
    MethodError
        If the lumping is of something else, or merged what a network cannot express.

    Examples
    --------
    >>> from symlump import Forward, encode, lump
    >>> net = Network.dense([[[1.0, 2.0], [1.0, 2.0]], [[0.5, 0.25]]], activation="tanh")
    >>> small = decode(lump(encode(net), Forward()))
    >>> small, small.layers[1].weight.tolist()
    (<Network: 2–1–1, tanh, 3 parameters>, [[0.75]])
    """
    ode = lumping.ode
    if not isinstance(ode, NetworkODE):
        raise MethodError(
            "decode takes a lumping of encode(network); a plain system has no network"
        )
    if ode.form == "state":
        return ode.network.with_chain(decoded_state(lumping, ode))
    if lumping.method.direction != "forward":
        raise MethodError(
            "the influence form is reduced by Forward(); for Backward() encode with form='state'"
        )
    labels = unit_labels(ode, lumping.partition.labels)
    try:
        return tidy(rewrite(ode.network, labels, OfQuotient(lumping, ode)))
    except NetworkError as error:
        if not ode.network.sharing:
            raise
        raise MethodError(
            f"{error}: this lumping merges their units in different ways; compress(network, AFDE(eps=0)) "
            "merges what all places allow that share weights"
        ) from None


def unit_labels(ode: NetworkODE, labels: IntArray) -> dict[str, IntArray]:
    """The block of each unit of each layer, sum, product and attention, by the node's name.

    Parameters
    ----------
    labels : ndarray of int
        The block of each variable.
    """
    names: list[str] = []
    for node in ode.network.nodes:
        parts = isinstance(node, Rearrange) and node.name in ode.readings
        if isinstance(node, Affine | Combine | Attention) or parts:
            names.append(node.name)
        if isinstance(node, Attention):
            names += [f"{node.name}.pairs", f"{node.name}.heads"]
    return {name: labels[ode.where(name)] for name in names}


def unit_maps(lumping: Lumping) -> tuple[IntArray, ...]:
    """For each hidden layer the new unit of each old unit, as ``decode`` numbers them."""
    ode = lumping.ode
    assert isinstance(ode, NetworkODE)
    kind = "z" if ode.form == "state" else None
    labels = lumping.partition.labels
    return tuple(
        Partition(labels[ode.where(layer.name, kind)]).labels for layer in ode.network.hidden
    )
