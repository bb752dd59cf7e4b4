"""Recurrent cells as arrays: one layer of an RNN, a GRU or an LSTM, in one direction.

With W the input weights, V the hidden ones, b and d their biases, one row of gates after the other as torch has
them, σ the logistic function and ∘ the product by units:

===============  =====================================================================================
rnn              h⁺ = φ(W·x + b + V·h + d), φ = tanh or relu
gru              r, z = σ(W·x + b + V·h + d), n = tanh(W_n·x + b_n + r∘(V_n·h + d_n)), h⁺ = (1 − z)∘n + z∘h
gru_reset_first  the same with n = tanh(W_n·x + b_n + V_n·(r∘h) + d_n), as it was first published
lstm             i, f, o = σ(W·x + b + V·h + d), g = tanh(the same), c⁺ = f∘c + i∘g, h⁺ = o∘tanh(c⁺)
===============  =====================================================================================

References
----------
Elman, doi:10.1207/s15516709cog1402_1; Cho et al., arXiv:1406.1078; Hochreiter, Schmidhuber,
doi:10.1162/neco.1997.9.8.1735.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from symlump.errors import NetworkError
from symlump.ode.exact import FloatArray

Kind = Literal["tanh", "relu", "gru", "gru_reset_first", "lstm"]

#: The gates of each kind, in the order in which torch stores them.
GATES: dict[Kind, tuple[str, ...]] = {
    "tanh": ("h",),
    "relu": ("h",),
    "gru": ("r", "z", "n"),
    "gru_reset_first": ("r", "z", "n"),
    "lstm": ("i", "f", "g", "o"),
}


@dataclass(frozen=True, eq=False)
class Cell:
    """One recurrent layer in one direction.

    Parameters
    ----------
    kind : {"tanh", "relu", "gru", "gru_reset_first", "lstm"}
    input_weight : ndarray, shape (gates, units, inputs)
    hidden_weight : ndarray, shape (gates, units, units)
    input_bias, hidden_bias : ndarray, shape (gates, units), or None
        Both or none.
    backward : bool
        Whether it reads sequences from their end.
    start : ndarray, shape (states, units), or None
        The state that it starts from; 0 where there is none.

    Examples
    --------
    >>> one = np.ones((1, 1, 1))
    >>> cell = Cell("tanh", one, one / 2)
    >>> cell.run(np.array([[[1.0], [0.0]]]))[0].round(4).tolist()
    [[[0.7616], [0.3634]]]
    """

    kind: Kind
    input_weight: FloatArray
    hidden_weight: FloatArray
    input_bias: FloatArray | None = None
    hidden_bias: FloatArray | None = None
    backward: bool = False
    start: FloatArray | None = None

    def __post_init__(self) -> None:
        gates, units, inputs = len(GATES[self.kind]), self.units, self.inputs
        shapes = {
            "input_weight": (gates, units, inputs),
            "hidden_weight": (gates, units, units),
            "input_bias": (gates, units),
            "hidden_bias": (gates, units),
            "start": (len(self.states), units),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise NetworkError(
                    f"{name} of a {self.kind} cell has shape {shape}; got {array.shape}"
                )
            if array is not None and not np.isfinite(array).all():
                raise NetworkError(f"{name} holds numbers that are not finite")
        if (self.input_bias is None) != (self.hidden_bias is None):
            raise NetworkError("a cell has two biases, for its input and its state, or none")

    @property
    def units(self) -> int:
        """Hidden units."""
        return int(self.hidden_weight.shape[1])

    @property
    def inputs(self) -> int:
        """Numbers that it reads at each step."""
        return int(self.input_weight.shape[2])

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(array.size for array in self.arrays.values())

    @property
    def states(self) -> tuple[str, ...]:
        """What it remembers of each unit."""
        return ("h", "c") if self.kind == "lstm" else ("h",)

    @property
    def compared(self) -> tuple[str, ...]:
        """What two units that are one have equal: their states, and a reset gate that others look through."""
        return ("h", "r") if self.kind == "gru_reset_first" else self.states

    def step(self, x: FloatArray, state: FloatArray) -> FloatArray:
        """The next state, in float64.

        Parameters
        ----------
        x : ndarray, shape (samples, inputs)
        state : ndarray, shape (states, samples, units)
            h, and of an LSTM then c.
        """
        a = np.einsum("si,gui->gsu", x, self.input_weight, optimize=True)
        if self.kind == "gru_reset_first":
            return self._reset_first(a, state[0])
        v = np.einsum("si,gui->gsu", state[0], self.hidden_weight, optimize=True)
        if self.input_bias is not None and self.hidden_bias is not None:
            a, v = a + self.input_bias[:, None], v + self.hidden_bias[:, None]
        if self.kind == "gru":
            r, z = _logistic(a[:2] + v[:2])
            n = np.tanh(a[2] + r * v[2])
            return np.asarray(((1 - z) * n + z * state[0])[None])
        z = a + v
        if self.kind == "lstm":
            i, f, o = _logistic(z[[0, 1, 3]])
            c = f * state[1] + i * np.tanh(z[2])
            return np.stack([o * np.tanh(c), c])
        return np.asarray(np.tanh(z) if self.kind == "tanh" else np.maximum(z, 0.0))

    def _reset_first(self, a: FloatArray, h: FloatArray) -> FloatArray:
        if self.input_bias is not None and self.hidden_bias is not None:
            a = a + (self.input_bias + self.hidden_bias)[:, None]
        v = np.einsum("si,gui->gsu", h, self.hidden_weight[:2], optimize=True)
        r, z = _logistic(a[:2] + v)
        n = np.tanh(a[2] + (r * h) @ self.hidden_weight[2].T)
        return np.asarray(((1 - z) * n + z * h)[None])

    def run(self, x: FloatArray, start: FloatArray | None = None) -> FloatArray:
        """The states after each step, from a start, or from its own.

        Parameters
        ----------
        x : ndarray, shape (samples, steps, inputs)
        start : ndarray, shape (states, samples, units), optional

        Returns
        -------
        ndarray, shape (states, samples, steps, units)
            In the order of the sequence, also where it is read backward.
        """
        samples, steps = x.shape[:2]
        shape = len(self.states), samples, self.units
        if start is None:
            own = np.zeros((shape[0], self.units)) if self.start is None else self.start
            start = np.broadcast_to(own[:, None], shape)
        state = start
        found = np.empty((shape[0], samples, steps, self.units))
        for t in reversed(range(steps)) if self.backward else range(steps):
            state = self.step(x[:, t], state)
            found[:, :, t] = state
        return found

    @property
    def arrays(self) -> dict[str, FloatArray]:
        """Its weights and biases by name."""
        found = {"input_weight": self.input_weight, "hidden_weight": self.hidden_weight}
        if self.input_bias is not None and self.hidden_bias is not None:
            found |= {"input_bias": self.input_bias, "hidden_bias": self.hidden_bias}
        return found


def _logistic(z: FloatArray) -> FloatArray:
    """σ(z) = (1 + tanh(z/2))/2, which does not overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))
