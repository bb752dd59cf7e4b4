"""How the coarsest partition comes about, round by round: for the blackboard."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from symlump.colours import PLAIN_FILL, Look, block_numbers
from symlump.display.drawing import new_figure
from symlump.errors import MethodError
from symlump.lumping.explain import coefficients
from symlump.lumping.lumping import Lumping
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.maximality import Split
from symlump.memory import memory_errors
from symlump.ode.exact import IntArray
from symlump.ode.notation import count_text, name_latex, number_text, signed_sum
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

_MAX_VARIABLES = 40
#: With more names the circles would be read by nobody.
_MAX_CIRCLES = 120
_ONE = Fraction(1)


@dataclass(frozen=True, eq=False)
class Round:
    """A partition, and the coefficients that split it into the next one.

    Parameters
    ----------
    partition : Partition
    reasons : tuple of str
        One line for each split; none in the last round.
    """

    partition: Partition
    reasons: tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Refinement:
    """The rounds that lead from the initial partition to the coarsest equivalence inside it.

    Parameters
    ----------
    lumping : Lumping
    rounds : tuple of Round
        In their order; the last one splits nothing.

    Examples
    --------
    >>> import sympy, symlump as sl
    >>> x1, x2, x3 = sympy.symbols("x1:4")
    >>> ode = sl.PolynomialODE.from_sympy({x1: -3*x1 + x3, x2: -3*x2 + x3, x3: x1 + x2 - 2*x3})
    >>> print(Refinement.of(sl.lump(ode, sl.Forward())))
    round 0: {x1, x2, x3}
      the sum over {x1, x2, x3}, differentiated, has at 1 the coefficient: -2 for x1, x2; 0 for x3
    round 1: {x1, x2}, {x3}
      nothing splits: this is the coarsest forward equivalence
    """

    lumping: Lumping
    rounds: tuple[Round, ...]

    @classmethod
    def of(cls, lumping: Lumping) -> Refinement:
        """Replay the record of splits of an exact lumping.

        Parameters
        ----------
        lumping : Lumping

        Returns
        -------
        Refinement

        Raises
        ------
        MethodError
            If the lumping has a tolerance, or more than 40 variables.

        Examples
        --------
        >>> import symlump as sl
        >>> small = sl.lump(sl.ODE.from_text("a' = -a; b' = -b; c' = -2*c"), sl.Forward())
        >>> len(Refinement.of(small).rounds)
        2
        """
        if len(lumping.ode) > _MAX_VARIABLES:
            raise MethodError(
                f"step by step is for at most {_MAX_VARIABLES} variables; this system has "
                f"{len(lumping.ode)}. certificate() holds the record for any number"
            )
        labels, rounds = lumping.initial.labels, []
        for records in lumping.splits:
            values = coefficients(lumping.ode, lumping.method, labels, records)
            reasons = tuple(
                _reason(lumping.ode, labels, record, [row[column] for row in values])
                for column, record in enumerate(records)
            )
            rounds.append(Round(Partition(labels), reasons))
            numbers: dict[object, int] = {}
            keys = [(int(labels[v]), tuple(values[v])) for v in range(len(lumping.ode))]
            labels = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
        return cls(lumping, (*rounds, Round(Partition(labels), ())))

    def __str__(self) -> str:
        names = self.lumping.ode.variables
        lines = []
        for number, step in enumerate(self.rounds):
            blocks = ", ".join("{" + ", ".join(b) + "}" for b in step.partition.named(names))
            lines.append(f"round {number}: {blocks}")
            lines += [f"  {reason}" for reason in step.reasons]
        kind = self.lumping.method.direction
        return "\n".join([*lines, f"  nothing splits: this is the coarsest {kind} equivalence"])

    def __repr__(self) -> str:
        return f"<Refinement: {count_text(len(self.rounds) - 1, 'round')}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def figure(self) -> Figure:
        """One row a round, one box a block, in the order of the final blocks, which have the colours.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed.

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
        >>> figure = Refinement.of(sl.lump(ode, sl.Forward())).figure()
        >>> len(figure.axes[0].patches)  # {a, b, c}, then {a, b} and {c}
        3
        """
        names, final = self.lumping.ode.variables, self.lumping.partition
        order = [v for block in final.blocks for v in block.tolist()]
        if len(order) * len(self.rounds) > _MAX_CIRCLES:
            return self._table(order)
        looks = self._looks()
        figure = new_figure(max(5.0, 0.62 * len(order) + 1.6), 1.25 * len(self.rounds) + 0.6)
        axes = figure.subplots()
        for number, step in enumerate(self.rounds):
            y = -number * 1.25
            axes.text(-0.9, y, f"round {number}", ha="right", va="center", fontsize=11)
            for k, v in enumerate(order):
                look = looks[v]
                fill, hatch = (PLAIN_FILL, "") if look is None else (look.fill, look.hatch)
                axes.scatter(
                    k, y, s=420, color=fill, edgecolors="black", linewidths=0.8, hatch=hatch
                )
                axes.text(k, y, f"${name_latex(names[v])}$", ha="center", va="center", fontsize=9)
            for start, end in _runs(step.partition.labels[order]):
                box = ((start - 0.44, y - 0.42), end - start - 0.12, 0.84)
                axes.add_patch(_rectangle(*box))
        axes.set_xlim(-2.6, len(order) - 0.2)
        axes.set_ylim(-1.25 * (len(self.rounds) - 1) - 0.7, 0.7)
        axes.set_axis_off()
        axes.set_title(self.lumping.headline(), fontsize=11)
        return figure

    def _looks(self) -> list[Look | None]:
        """The look of each variable's final block; None for a variable that stays alone."""
        final = self.lumping.partition
        numbers = block_numbers(final.sizes.tolist())
        return [Look.of(numbers[b]) if final.sizes[b] > 1 else None for b in final.labels.tolist()]

    def _table(self, order: list[int]) -> Figure:
        """Many rounds: a row of bars each, names once; a bar is a block, in its final colour if it is final."""
        from matplotlib.patches import Rectangle

        names, looks = self.lumping.ode.variables, self._looks()
        height = min(0.3 * len(self.rounds), 14.0) + 1.2
        figure = new_figure(max(5.0, 0.26 * len(order) + 1.6), height)
        axes = figure.subplots()
        for number, step in enumerate(self.rounds):
            for start, end in _runs(step.partition.labels[order]):
                look = looks[order[start]]
                done = look is not None and all(looks[v] == look for v in order[start:end])
                alone = look is None and end == start + 1
                axes.add_patch(
                    Rectangle(
                        (start - 0.46, number - 0.4),
                        end - start - 0.08,
                        0.8,
                        facecolor=look.fill if look and done else PLAIN_FILL if alone else "white",
                        hatch=look.hatch if look and done else "",
                        edgecolor="black",
                        linewidth=0.8,
                    )
                )
        axes.set_xticks(range(len(order)), [f"${name_latex(names[v])}$" for v in order])
        axes.tick_params(axis="x", rotation=90 if len(order) > 12 else 0, length=0)
        every = -(-len(self.rounds) // 40)
        axes.set_yticks(range(0, len(self.rounds), every))
        axes.set_ylabel("round")
        axes.set_xlim(-0.7, len(order) - 0.3)
        axes.set_ylim(len(self.rounds) - 0.4, -0.6)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.set_title(
            f"{self.lumping.headline()}\nwhite: still to be split; grey: alone", fontsize=11
        )
        return figure


@memory_errors()
def draw_refinement(lumping: Lumping) -> Figure:
    """Draw the rounds of refinement; :class:`Refinement` has them as text.

    Parameters
    ----------
    lumping : Lumping
        Exact, of at most 40 variables.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each round; of many rounds a table of bars.

    Raises
    ------
    MethodError
        If the lumping has a tolerance, or more than 40 variables.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
    >>> draw_refinement(sl.lump(ode, sl.Forward())).axes[0].get_title()
    '3 → 2 variables by forward equivalence, exact, proof checked'
    """
    return Refinement.of(lumping).figure()


def _runs(labels: IntArray) -> list[tuple[int, int]]:
    """Where equal labels start and end."""
    cuts = (np.flatnonzero(np.diff(labels)) + 1).tolist()
    return list(zip([0, *cuts], [*cuts, len(labels)], strict=True))


def _rectangle(corner: tuple[float, float], width: float, height: float) -> Patch:
    from matplotlib.patches import FancyBboxPatch

    style = "round,pad=0.02,rounding_size=0.2"
    return FancyBboxPatch(corner, width, height, boxstyle=style, fill=False, linewidth=1.6)


def _reason(ode: ODE, labels: IntArray, record: Split, values: list[Fraction]) -> str:
    """What the members of the split block have as this coefficient."""
    names = ode.variables
    members = np.flatnonzero(labels == labels[record.member]).tolist()
    by_value: dict[Fraction, list[str]] = {}
    for v in members:
        by_value.setdefault(values[v], []).append(names[v])
    shown = "; ".join(
        f"{number_text(value)} for {', '.join(who)}" for value, who in by_value.items()
    )
    monomial = signed_sum([(record.monomial, _ONE)], 1, names)
    if record.target is None:
        return f"the equations, on the blocks, have at {monomial} the coefficient: {shown}"
    block = ", ".join(names[v] for v in np.flatnonzero(labels == labels[record.target]).tolist())
    return f"the sum over {{{block}}}, differentiated, has at {monomial} the coefficient: {shown}"
