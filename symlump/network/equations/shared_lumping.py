"""The coarsest lumping of a network's differential equation that keeps shared weights shared.

Layers that share their weights must merge the same units, and so must what they read. The coarsest lumping may
do otherwise, since each use has its own variables. So what does not agree is split, and the rest refined again,
until nothing changes: every lumping that agrees stays inside the partition at each step, so the last is the
coarsest of them.
"""

from __future__ import annotations

from symlump.lumping.forward import Forward
from symlump.lumping.lump import lump
from symlump.lumping.lumping import Lumping
from symlump.lumping.partition import Partition
from symlump.network.decode import unit_labels
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.ties import find_ties, together


def lump_together(ode: NetworkODE, method: Forward) -> Lumping:
    """Lump a network's equation, its shared weights kept shared.

    Parameters
    ----------
    ode : NetworkODE
        In the influence form.
    method : Forward

    Examples
    --------
    >>> import numpy as np
    >>> from symlump.network.encode import encode
    >>> from symlump.network.network import Network
    >>> len(lump_together(encode(Network.dense([np.ones((3, 1)), np.ones((1, 3))])), Forward()).partition)
    4
    """
    lumping = lump(ode, method)
    if not ode.network.sharing:
        return lumping
    ties = find_ties(ode.network)
    while True:
        found = unit_labels(ode, lumping.partition.labels)
        wanted = ties.labels(ode.network, together(ties, found))
        blocks = lumping.partition.labels + len(ode)  # those of inputs and symbols stay alone
        for name, labels in wanted.items():
            own = ode.where(name)
            blocks[own] = own[Partition(labels).representatives][Partition(labels).labels]
        tighter = Partition(blocks).meet(lumping.partition)
        if len(tighter) == len(lumping.partition):
            return lumping
        lumping = lump(ode, method, tighter)
