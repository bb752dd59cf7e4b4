"""What is known of the error that a quotient makes, over a time horizon or over steps of a map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from symlump.enclosures.wording import at_most
from symlump.errors import MethodError, SimulationError
from symlump.lumping.observed import ObservedError, observed_error
from symlump.lumping.solutions.comparison import NORMS
from symlump.lumping.solutions.initial import ceiling
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.notation import count_text, cut_texts

if TYPE_CHECKING:
    from symlump.lumping.solutions.aggregate import AnyLumping


@dataclass(frozen=True, eq=False, repr=False)
class ErrorBound:
    """A bound of \\|e(t)\\| for 0 ≤ t ≤ horizon and every initial state of a box.

    e = y − L·x for a forward lumping (one component for each block) or a linear one (one for each row), and
    e = x − U·y for a backward one (one for each variable), where x solves the system, y the quotient, and
    y(0) = ``lumping.aggregate(x(0))``.
    Certified: every number comes from interval or ball arithmetic, rounded outward.

    Parameters
    ----------
    direction : {"forward", "backward", "linear"}
    horizon : float
    variables : tuple of str
    box : ndarray, shape (variables, 2)
        The initial states, x(0).
    spread : float
        Backward: the largest difference, at the beginning, between two members of a block.
    norm : {"max", "1", "2"}
    value : float
        The bound of ‖e(t)‖.
    components : tuple of str
        Names of the components of e.
    blocks : tuple of str
        Names of the blocks; of a linear lumping, those of the quotient's variables, one for each row.
    block_of : ndarray of int64
        The block of each component.
    times : ndarray, shape (steps + 1,)
    during : ndarray, shape (steps, components)
        Bounds of \\|e_i(t)\\| for t between two of the times.
    at_end : ndarray, shape (components,)
        Bounds of \\|e_i(horizon)\\|.
    defect : float
        D, a bound of ‖d‖, the part of e' that does not come from e.
    logarithmic_norm : float or None
        Λ, a bound of the logarithmic norm of the Jacobian that acts on e; None where it was not needed.
    formula : float
        exp(Λ·t)·‖e(0)‖ + D·(exp(Λ·t) − 1)/Λ at t = horizon (at 0 if Λ is negative there), with these two: for
        comparison. ``value`` is never larger.
    reach : ndarray, shape (variables or blocks, 2), or None
        A box that provably holds x(t) (forward) or y(t) (backward).
    arithmetic : str
    pieces : int
        How many boxes the initial box was divided into.
    observed : ObservedError or None
        What simulation shows. Not certified.
    discrete : bool
        Whether it is about a map: then times are steps, and ``formula`` is infinite.
    unobserved : str
        Why nothing was observed, where simulations were asked for and one of them stopped.
    observables : dict
        Of a linear lumping, each observable that is exactly a sum of rows: ``{row: weight}``, by its text.
    """

    direction: str
    horizon: float
    variables: tuple[str, ...]
    box: FloatArray
    spread: float
    norm: str
    value: float
    components: tuple[str, ...]
    blocks: tuple[str, ...]
    block_of: IntArray
    times: FloatArray
    during: FloatArray
    at_end: FloatArray
    defect: float
    logarithmic_norm: float | None
    formula: float
    reach: FloatArray | None
    arithmetic: str
    pieces: int
    observed: ObservedError | None
    discrete: bool = False
    unobserved: str = ""
    observables: Mapping[str, Mapping[str, Fraction]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        lumping: AnyLumping,
        horizon: float,
        box: FloatArray,
        spread: float,
        norm: str,
        arithmetic: str,
        samples: int,
        seed: int,
        *,
        value: float,
        times: FloatArray,
        during: FloatArray,
        at_end: FloatArray,
        defect: float,
        reach: FloatArray | None,
        logarithmic_norm: float | None = None,
        formula: float = math.inf,
        pieces: int = 1,
    ) -> ErrorBound:
        """What was found for a lumping, beside what some simulations of it show."""
        components, block_of = lumping.quotient.variables, np.arange(len(lumping.quotient))
        observables: dict[str, dict[str, Fraction]] = {}
        direction = lumping.kind if lumping.kind == "linear" else lumping.method.direction
        if lumping.kind == "linear" and lumping.method is not None:
            for text, form in lumping.method.forms(lumping.ode).items():
                weights = lumping.express(form)
                if weights is not None:
                    observables[text] = weights
        elif lumping.kind == "partition" and direction == "backward":
            components, block_of = lumping.ode.variables, lumping.partition.labels
        seen, unseen = None, ""
        if samples:
            try:
                seen = observed_error(
                    lumping, horizon, box, spread=spread, samples=samples, seed=seed
                )
            except SimulationError as problem:  # the bound does not rest on simulations
                unseen = str(problem)
        return cls(
            direction,
            horizon,
            lumping.ode.variables,
            box,
            float(spread),
            norm,
            value,
            components,
            lumping.quotient.variables,
            block_of,
            times,
            during,
            at_end,
            defect,
            logarithmic_norm,
            formula,
            reach,
            arithmetic,
            pieces,
            seen,
            lumping.ode.discrete,
            unseen,
            observables,
        )

    @cached_property
    def by_component(self) -> dict[str, float]:
        """Bounds of \\|e_i(t)\\| at all times, by name."""
        return dict(zip(self.components, self.during.max(axis=0).tolist(), strict=True))

    @cached_property
    def by_block(self) -> dict[str, float]:
        """Bounds at all times by block: backward, the largest of its members."""
        return self._by_block(self.during.max(axis=0))

    @cached_property
    def by_observable(self) -> dict[str, float]:
        r"""Bounds at all times of the error of each observable of a linear lumping, by its text.

        That is Σ \|weight\|·\|e_row\|, rounded up; what is a row has the bound of the row.
        """
        place = {name: i for i, name in enumerate(self.components)}
        found = {}
        for text, weights in self.observables.items():
            of_row = [(place[name], abs(weight)) for name, weight in weights.items()]
            sums = (
                sum((weight * Fraction(row[i]) for i, weight in of_row), Fraction(0))
                for row in self.during.tolist()
            )
            found[text] = ceiling(max(sums))
        return found

    @cached_property
    def observed_by_block(self) -> dict[str, float]:
        """The largest error seen in simulations, by block; empty if there were none."""
        return {} if self.observed is None else self._by_block(self.observed.largest)

    @cached_property
    def ratios(self) -> dict[str, float]:
        """Bound over observed error, by block: at least 1, up to the solver's tolerance; needs samples.

        Not a number where the bound is 0: what simulation shows there is its own rounding.
        """
        return {
            name: _ratio(self.by_block[name], seen) for name, seen in self.observed_by_block.items()
        }

    @property
    def ratio(self) -> float | None:
        """``value`` over the norm of the observed error; None without samples."""
        if self.observed is None:
            return None
        return _ratio(self.value, float(self.observed.of_norms[:, NORMS.index(self.norm)].max()))

    def _by_block(self, of_component: FloatArray) -> dict[str, float]:
        largest = np.zeros(len(self.blocks))
        np.maximum.at(largest, self.block_of, of_component)
        return dict(zip(self.blocks, largest.tolist(), strict=True))

    def __getitem__(self, name: object) -> float:
        """The bound of one block, of one component or of one observable, by name or symbol."""
        for table in (self.by_block, self.by_component, self.by_observable):
            if str(name) in table:
                return table[str(name)]
        raise MethodError(f"{str(name)!r} is neither a block nor a component of this error")

    def headline(self) -> str:
        """One line: what is bounded, by how much, until when."""
        error = "x − U·y" if self.direction == "backward" else "y − L·x"
        unfollowed = not self.discrete and self.logarithmic_norm is None  # nothing to enclose
        return (
            f"certified: |{error}| ≤ {at_most(self.value)} in the {_NORM_NAMES[self.norm]} for "
            f"0 ≤ t ≤ {self.horizon:g}, from every initial state of the box"
            + (", for as long as the solutions exist" if unfollowed else "")
        )

    def to_text(self, max_blocks: int = 12) -> str:
        """Headline, a table of the blocks, and what the bound is made of."""
        lines = [self.headline()]
        width = max([5, *map(len, self.blocks[:max_blocks])])
        seen = self.observed_by_block
        block = "row" if self.direction == "linear" else "block"
        lines.append(f"{block:<{width}}  {'bound':>10}" + ("    observed  ratio" if seen else ""))
        for name in self.blocks[:max_blocks]:
            line = f"{name:<{width}}  {at_most(self.by_block[name]):>10}"
            if seen:
                ratio = "" if math.isnan(self.ratios[name]) else f"{self.ratios[name]:>5.3g}"
                line += f"  {seen[name]:>10.4g}  {ratio}".rstrip()
            lines.append(line)
        if len(self.blocks) > max_blocks:
            lines.append(f"… {count_text(len(self.blocks) - max_blocks, f'more {block}')}")
        others = [text for text in self.by_observable if text not in self.by_component]
        for text, shown in list(zip(others, cut_texts(others), strict=True))[:max_blocks]:
            lines.append(f"of {shown}: {at_most(self.by_observable[text])}")
        if len(others) > max_blocks:
            lines.append(f"… {count_text(len(others) - max_blocks, 'more observable')}")
        if self.discrete:
            lines.append(f"D = {at_most(self.defect)}; each step enclosed")
        elif self.logarithmic_norm is None:
            lines.append("the defect has no term, so e = 0 and the solutions were not enclosed")
        else:
            lines.append(
                f"D = {at_most(self.defect)}, Λ = {at_most(self.logarithmic_norm)}; "
                f"the formula D·(exp(Λ·t) − 1)/Λ would give {at_most(self.formula)}"
            )
        pieces = "1 piece" if self.pieces == 1 else f"{self.pieces} pieces"
        lines.append(f"{self.arithmetic}; {len(self.times) - 1} steps, {pieces}")
        if self.observed is not None:
            lines.append(
                f"observed, not certified: {self.observed.samples} simulated initial states, "
                f"seed {self.observed.seed}"
            )
        if self.unobserved:
            lines.append(f"nothing observed: in a simulation {self.unobserved}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.to_text())}</pre>"

    def __repr__(self) -> str:
        return f"<ErrorBound: {self.headline()}>"


_NORM_NAMES = {"max": "max norm", "1": "1-norm", "2": "2-norm"}


def _ratio(bound: float, seen: float) -> float:
    if bound == 0:
        return math.nan
    return bound / seen if seen else math.inf
