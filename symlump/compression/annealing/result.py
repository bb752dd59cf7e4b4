"""What annealing has done: a small trained network and the record of its steps."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from symlump.errors import MissingExtraError
from symlump.network.network import Network
from symlump.ode.notation import count_text
from symlump.tables import table_html, table_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn


@dataclass(frozen=True)
class AnnealingStep:
    """One line of the record: what was removed, and what it cost before and after training.

    Parameters
    ----------
    what : str
        The method; "start" for the network before anything was removed.
    tolerance : float or None
        The one used or found, where the method has one.
    loss_before, accuracy_before : float
        Measured after the removal and before the training.
    parameters, retained : int, float
        What remains, and its share of the original.
    loss, accuracy : float
        Measured after the training. Accuracies are None where the targets are no class numbers.
    """

    what: str
    tolerance: float | None
    loss_before: float
    accuracy_before: float | None
    parameters: int
    retained: float
    loss: float
    accuracy: float | None


@dataclass(frozen=True, eq=False, repr=False)
class Annealing:
    """The result of :func:`symlump.anneal`; in a notebook it shows its table and curve.

    Parameters
    ----------
    model : torch.nn.Module
        The small trained network.
    original : Network
        What it began with.
    steps : tuple of AnnealingStep
        The record; the first line is the network before anything was removed.

    Examples
    --------
    >>> from torch import nn
    >>> net = Network.dense([[[1.0], [2.0]], [[1.0, 1.0]]])
    >>> first = AnnealingStep("start", None, 0.2, None, 4, 1.0, 0.2, None)
    >>> second = AnnealingStep("AFDE", 0.1, 0.5, None, 2, 0.5, 0.25, None)
    >>> print(Annealing(nn.Identity(), net, (first, second)))
    annealing in 1 step: 4 → 2 parameters (50 % retained), loss 0.2 → 0.25
    step   tolerance  parameters  retained  loss before  loss
    start                      4     100 %          0.2   0.2
    AFDE         0.1           2      50 %          0.5  0.25
    """

    model: nn.Module
    original: Network
    steps: tuple[AnnealingStep, ...]

    @property
    def parameters(self) -> int:
        """Number of weights and biases that remain."""
        return self.steps[-1].parameters

    @property
    def retained(self) -> float:
        """Share of the original's parameters that remain, from 0 to 1."""
        return self.steps[-1].retained

    def headline(self) -> str:
        """One line: sizes, and accuracy or loss before and after.

        Returns
        -------
        str

        Examples
        --------
        >>> from torch import nn
        >>> step = AnnealingStep("start", None, 0.2, 0.9, 4, 1.0, 0.2, 0.9)
        >>> Annealing(nn.Identity(), Network.dense([[[1.0], [2.0]], [[1.0, 1.0]]]), (step, step)).headline()
        'annealing in 1 step: 4 → 4 parameters (100 % retained), accuracy 90.00 % → 90.00 %'
        """
        first, last = self.steps[0], self.steps[-1]
        if first.accuracy is None or last.accuracy is None:
            known = f"loss {first.loss:.4g} → {last.loss:.4g}"
        else:
            known = f"accuracy {_percent(first.accuracy)} → {_percent(last.accuracy)}"
        return (
            f"annealing in {count_text(len(self.steps) - 1, 'step')}: {self.original.parameters} → "
            f"{last.parameters} parameters ({100 * last.retained:.3g} % retained), {known}"
        )

    def draw(self) -> Figure:
        """Accuracy, or the loss, against the share of retained parameters, before and after training.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed.

        Examples
        --------
        >>> from torch import nn
        >>> step = AnnealingStep("start", None, 0.2, 0.9, 4, 1.0, 0.2, 0.9)
        >>> record = Annealing(nn.Identity(), Network.dense([[[1.0], [2.0]], [[1.0, 1.0]]]), (step, step))
        >>> record.draw().axes[0].get_ylabel()
        'accuracy, %'
        """
        from symlump.display.drawing import draw_tradeoff

        classes = self.steps[0].accuracy is not None
        after: list[tuple[float, float]] = []
        before: list[tuple[float, float]] = []
        for step in self.steps:
            if step.accuracy is not None and step.accuracy_before is not None:
                after.append((step.retained, 100 * step.accuracy))
                before.append((step.retained, 100 * step.accuracy_before))
            else:
                after.append((step.retained, step.loss))
                before.append((step.retained, step.loss_before))
        figure = draw_tradeoff(
            {"after training": after, "just after removal": before[1:] or before},
            after[0][1],
            "Annealing: removal and training in turn",
            "accuracy, %" if classes else "loss",
        )
        axes = figure.axes[0]
        axes.set_xscale("log")
        if classes:
            axes.set_yscale("linear")
        return figure

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        header = (
            *("step", "tolerance", "parameters", "retained", "loss before", "loss"),
            *("accuracy before", "accuracy"),
        )
        rows = [
            (
                step.what,
                "" if step.tolerance is None else f"{step.tolerance:.4g}",
                str(step.parameters),
                f"{100 * step.retained:.3g} %",
                f"{step.loss_before:.4g}",
                f"{step.loss:.4g}",
                *(_percent(a) for a in (step.accuracy_before, step.accuracy) if a is not None),
            )
            for step in self.steps
        ]
        return header[: len(rows[0])], rows

    def __str__(self) -> str:
        return self.headline() + "\n" + table_text(*self._table())

    def __repr__(self) -> str:
        return f"<Annealing: {self.headline()}>"

    def _repr_html_(self) -> str:
        text = f"<p>{self.headline()}</p>" + table_html(*self._table())
        try:
            figure = self.draw()
        except MissingExtraError:
            return text
        buffer = BytesIO()
        figure.savefig(buffer, format="png")
        picture = b64encode(buffer.getvalue()).decode()
        return f'{text}<img alt="{self.headline()}" src="data:image/png;base64,{picture}">'


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
