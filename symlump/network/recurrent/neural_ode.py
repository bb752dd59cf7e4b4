"""Neural ODEs: h' = f(h, t, u) with f a network, as the systems of differential equations they are.

References
----------
Chen, Rubanova, Bettencourt, Duvenaud, "Neural ordinary differential equations", arXiv:1806.07366.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from symlump.errors import NetworkError
from symlump.network.network import Network
from symlump.network.recurrent.symbolic import outputs_of
from symlump.ode.functions.algebra import Polynomial, symbol
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.notation import count_text
from symlump.ode.system import ODE


@dataclass(frozen=True, eq=False, repr=False)
class NeuralODE:
    """A vector field f, given by a network: h' = f(h), also of the time t and of constant inputs u.

    Parameters
    ----------
    field : Network, or torch.nn.Module
        A module is called as f(h) or f(h, u), or as solvers do, f(t, h) or f(t, h, u), its first argument
        being named t or time. A network reads h, then t where ``uses_time``, then u.
    states : int, optional
        The number of states, where it cannot be told from the first dense layer.
    inputs : int
        The number of inputs u.
    initial : sequence of sequences of str, optional
        Which states start equal, as blocks of h1, h2, …; only within a block may any merge. By default all of
        them in one block, which is up to the caller to see to.
    uses_time : bool
        Whether a network's second input is the time, one number. A module says so itself.

    Raises
    ------
    NetworkError
        If the field cannot be read, or does not give one derivative for each state.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> NeuralODE(torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)))
    <NeuralODE: 2 states, 42 parameters>
    """

    field: Any
    states: int = 0
    inputs: int = 0
    initial: Sequence[Sequence[str]] | None = None
    uses_time: bool = False
    network: Network = field(init=False)
    takes_time: bool = field(init=False)

    def __post_init__(self) -> None:
        network, takes_time, uses_time = self._read()
        sizes = [node.size for node in network.inputs]
        wanted = ["a state"] + ["the time"] * uses_time + ["inputs"] * (self.inputs > 0)
        vectors = len(sizes) == len(wanted) and all(len(size) == 1 for size in sizes)
        if not vectors or (uses_time and sizes[1] != (1,)):
            raise NetworkError(
                f"a vector field reads {' and '.join(wanted)}, vectors; this one reads {sizes}"
            )
        given = network.shapes[network.outputs[0]]
        if len(network.outputs) != 1 or given != sizes[0]:
            raise NetworkError(
                f"a vector field gives one derivative for each of its {sizes[0][0]} states; this one gives "
                f"{given}"
            )
        object.__setattr__(self, "states", sizes[0][0])
        object.__setattr__(self, "network", network)
        object.__setattr__(self, "takes_time", takes_time)
        object.__setattr__(self, "uses_time", uses_time)

    def _read(self) -> tuple[Network, bool, bool]:
        if isinstance(self.field, Network):
            return self.field, False, self.uses_time
        from symlump.network.recurrent.torch_field import read_field

        return read_field(self.field, self.states, self.inputs)

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return int(self.network.parameters)

    def of_network(self, network: Network) -> NeuralODE:
        """Another network as a field with the same inputs.

        Parameters
        ----------
        network : Network
            It reads the same inputs and gives one derivative for each state.

        Returns
        -------
        NeuralODE

        Examples
        --------
        >>> field = NeuralODE(Network.dense([[[1.0, 2.0], [0.0, 1.0]]]))
        >>> field.of_network(Network.dense([[[1.0, 0.0], [0.0, 1.0]]]))
        <NeuralODE: 2 states, 4 parameters>
        """
        return NeuralODE(network, inputs=self.inputs, uses_time=self.uses_time)

    def ode(self) -> ODE:
        """The system h1' = f_1(h), …, exactly; inputs u1, … are parameters.

        Returns
        -------
        ODE

        Raises
        ------
        NetworkError
            If the network has a step that is not written in symbols.

        Examples
        --------
        >>> print(NeuralODE(Network.dense([[[1.0, 2.0]], [[0.5], [-1.0]]])).ode())
        h1' = 1/2*tanh(h1 + 2*h2)
        h2' = -tanh(h1 + 2*h2)
        """
        names = [f"h{i + 1}" for i in range(self.states)]
        inputs = [f"u{i + 1}" for i in range(self.inputs)]
        table = SymbolTable(len(names) + len(inputs))
        every = list(map(symbol, range(table.count)))
        given = {self.network.inputs[0].name: every[: self.states]}
        if self.uses_time:
            given[self.network.inputs[1].name] = [table.apply("time", [])]
        if inputs:
            given[self.network.inputs[-1].name] = every[self.states :]
        (equations,) = outputs_of(self.network, table, given)
        rest: list[Polynomial] = [{} for _ in inputs]
        return ODE.from_table([*names, *inputs], [*equations, *rest], table, inputs)

    def __repr__(self) -> str:
        said = [count_text(self.states, "state"), *["of the time"] * self.uses_time]
        said += [count_text(self.inputs, "input")] * (self.inputs > 0)
        return f"<NeuralODE: {', '.join([*said, count_text(self.parameters, 'parameter')])}>"
