"""A model file's content: the system, where it starts, and what its author looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from symlump.errors import InputError, MethodError, PartitionError, SubjectError, VariableError
from symlump.formats import numerals
from symlump.formats.carry import common_values, sums, view_of_sums
from symlump.formats.events import Event, names_in, replace_names
from symlump.formats.source import quote
from symlump.lumping.partition import Partition
from symlump.ode.functions import algebra
from symlump.ode.notation import count_text
from symlump.ode.substitute import substitute
from symlump.ode.system import ODE
from symlump.suggest import did_you_mean

if TYPE_CHECKING:
    from symlump.lumping.linear.linear_lumping import LinearLumping
    from symlump.lumping.lumping import Lumping
    from symlump.ode.simulate import Trajectory

Blocks = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Model:
    """The contents of a model file: equations, initial values, partition, views, events.

    Parameters
    ----------
    name : str
    ode : ODE
    initial_values : mapping of str to Fraction
        One entry per variable; 0 where the file gives none.
    partition : tuple of tuple of str, or None
        The initial partition of the file, covering all variables: those that it does not list are
        one further block, and each symbolic parameter is alone in its block.
    observables : dict
        Views and groups that are linear combinations of variables, as name to coefficients.
    other_views : dict of str to str
        The text of all other views.
    dropped : dict of str to Fraction
        Constant species that were replaced by their values and are not in the system any more.
    notes : tuple of str
        What was done while reading that the file does not say: values put or computed, rules
        followed, the kind of chain that was assumed.
    events : tuple of Event
        What changes variables beside the system, in terms of these variables. The system alone is the
        model between events; :meth:`simulate` heeds them.
    format : str
        What kind of file it was read from, as in :func:`symlump.write`; empty where from none.

    Examples
    --------
    >>> from symlump import ODE
    >>> model = Model("decay", ODE.from_text("x' = -x/2"), {"x": Fraction(3)})
    >>> model.simulate([0, 1])["x"].round(4).tolist()
    [3.0, 1.8196]
    """

    name: str
    ode: ODE
    initial_values: Mapping[str, Fraction]
    partition: Blocks | None = None
    observables: dict[str, dict[str, Fraction]] = field(default_factory=dict)
    other_views: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, Fraction] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    format: str = field(default="", compare=False)

    def __repr__(self) -> str:
        sizes = f"{count_text(len(self.ode), 'variable')}, {count_text(self.ode.terms, 'term')}"
        return f"<Model {self.name!r}: {sizes}>"

    def initial_partition(
        self,
        kind: Literal["one", "file", "values"] = "file",
        *,
        observables: Iterable[str] = (),
    ) -> Partition:
        """The partition inside which variables may merge: the third argument of ``lump``.

        Variables that events read or set are alone in any case.

        Parameters
        ----------
        kind : {"one", "file", "values"}
            One block; the partition that the file gives (one block where it gives none); or blocks
            of equal initial values. ``lump`` keeps symbolic parameters alone in any case.
        observables : iterable of str
            What the quotient must still show: names of variables, which then stay alone, and names
            of observables, whose variables merge only where they have the same coefficient. A
            name that is both is taken as both.

        Returns
        -------
        Partition

        Raises
        ------
        MethodError
            If ``kind`` is none of the three.
        VariableError
            If a name is neither a variable nor a linear observable.

        Examples
        --------
        >>> import sympy
        >>> from symlump import PolynomialODE
        >>> ode = PolynomialODE.from_sympy({v: -v for v in sympy.symbols("a b c d")})
        >>> values = {"a": Fraction(1), "b": Fraction(1), "c": Fraction(0), "d": Fraction(0)}
        >>> model = Model("m", ode, values, observables={"out": {"a": Fraction(1), "c": Fraction(1)}})
        >>> model.initial_partition(), model.initial_partition("values")
        ({0, 1, 2, 3}; 1, {0, 1}, {2, 3}; 2)
        >>> model.initial_partition(observables=["out", "d"])
        {0, 2}, {1}, {3}; 3
        """
        if kind not in ("one", "file", "values"):
            raise MethodError(f"initial={kind!r}: choose 'one', 'file' or 'values'")
        partition = Partition.single(len(self.ode))
        if kind == "values":
            partition = self._grouped(self.initial_values)
        elif kind == "file" and self.partition is not None:
            partition = Partition.from_names(self.ode, self.partition)
        for name in observables:
            for view in self._views_called(name):
                partition = partition.meet(self._grouped(view))
        if self.events:
            alone = {name: Fraction(k) for k, name in enumerate(names_in(self.events), start=1)}
            partition = partition.meet(self._grouped(alone))
        return partition

    def _grouped(self, values: Mapping[str, Fraction]) -> Partition:
        """Blocks of variables with the same value; those that are not mentioned have 0."""
        number: dict[Fraction, int] = {}
        zero = Fraction(0)
        return Partition(
            [number.setdefault(values.get(name, zero), len(number)) for name in self.ode.variables]
        )

    def _views_called(self, name: str) -> list[Mapping[str, Fraction]]:
        views: list[Mapping[str, Fraction]] = []
        if name in self.ode.index:
            views.append({name: Fraction(1)})
        if name in self.observables:
            views.append(self.observables[name])
        if views:
            return views
        if name in self.dropped:
            raise VariableError(
                f"{quote(name)} is a constant that was replaced by its value; read the file with "
                "constants='keep' to keep it as a variable"
            )
        if name in self.other_views:
            raise VariableError(
                f"the view {quote(name)} is not a linear combination of variables; name its "
                "variables instead"
            )
        raise VariableError(
            f"{quote(name)} is neither a variable nor an observable"
            f"{did_you_mean(name, [*self.observables, *self.ode.variables], 'variables: ')}"
            f"{_some(self.ode.variables)}; observables: {_some(tuple(self.observables))}"
        )

    def simulate(
        self,
        times: npt.ArrayLike,
        method: str = "LSODA",
        rtol: float = 1e-10,
        atol: float = 1e-12,
        max_steps: int | None = None,
    ) -> Trajectory:
        """Integrate the system from the model's initial values, with its events.

        A time at which an event happens shows the state after it.

        Parameters
        ----------
        times : array_like, shape (points,)
            Ascending, in the model's unit of time; the first is that of the initial values.
        method : str
            As for :func:`symlump.simulate`.
        rtol, atol : float
            Tolerances of the solver, relative and in the unit of the variables.
        max_steps : int, optional
            How many steps the solver may take.

        Returns
        -------
        Trajectory

        Raises
        ------
        InputError
            If the times do not ascend, or there is no such method.
        FailureError
            If the solver gives up (a ``SimulationError``, as of :func:`symlump.simulate`), or events follow
            each other without end.

        Examples
        --------
        >>> from symlump import ODE
        >>> from symlump.formats.flat import Call
        >>> half = Call("<=", ("x", Fraction(1, 2)))   # x grows again at 1/2
        >>> model = Model("saw", ODE.from_text("x' = -1/2"), {"x": Fraction(1)},
        ...     events=(Event("reset", half, {"x": Fraction(1)}),))
        >>> model.simulate([0, 0.5, 1.5])["x"].round(6).tolist()
        [1.0, 0.75, 0.75]
        """
        from symlump.formats.simulation import simulate_model

        return simulate_model(self, times, method, rtol, atol, max_steps)

    def quotient(self, lumping: Lumping | LinearLumping) -> Model:
        """The reduced model: the quotient system with initial values, views and events.

        Initial values are carried over exactly: sums of each block for a forward lumping, the
        common value of each block for a backward one. Observables are rewritten where the quotient
        determines them: a forward lumping only knows sums, so the coefficients must be constant on
        each block; a backward lumping knows every variable. All other views are left out. The
        file's partition is carried over if no block of the lumping crosses it. Events are carried over
        as they are, since the variables that they read or set are alone.

        Parameters
        ----------
        lumping : Lumping
            Of the system of this model.

        Returns
        -------
        Model

        Raises
        ------
        PartitionError
            If the lumping is of another system.
        MethodError
            If members of a block of a backward lumping start at different values; the quotient
            would be wrong from that state. If a variable is merged that an event reads or sets.

        Examples
        --------
        >>> import sympy
        >>> from symlump import Forward, PolynomialODE, lump
        >>> a, b, c = sympy.symbols("a b c")
        >>> ode = PolynomialODE.from_sympy({a: -3*a + c, b: -3*b + c, c: a + b - 2*c})
        >>> one, two = Fraction(1), Fraction(2)
        >>> model = Model("m", ode, {"a": one, "b": two, "c": two},
        ...     observables={"total": {"a": two, "b": two}, "first": {"a": one}})
        >>> small = model.quotient(lump(ode, Forward(), model.initial_partition()))
        >>> small.ode.variables, small.initial_values["y1"], small.observables
        (('y1', 'c'), Fraction(3, 1), {'total': {'y1': Fraction(2, 1)}})
        """
        from symlump.lumping.lumping import Lumping

        if not isinstance(lumping, Lumping):
            # A linear one, which is not imported for this question.
            from symlump.formats.linear import linear_quotient_model

            return linear_quotient_model(self, lumping)
        if lumping.ode is not self.ode and lumping.ode != self.ode:
            raise PartitionError(
                f"this lumping is of another system, of {len(lumping.ode)} variables; give one of "
                f"the {len(self.ode)} variables of the model {self.name!r}"
            )
        forward = lumping.method.direction == "forward"
        names = lumping.quotient.variables
        block_of = {
            variable: names[block]
            for variable, block in zip(
                self.ode.variables, lumping.partition.labels.tolist(), strict=True
            )
        }
        size = dict(zip(names, lumping.partition.sizes.tolist(), strict=True))
        for name in names_in(self.events):
            if size[block_of[name]] > 1:
                raise SubjectError(
                    f"{quote(name)} is merged, and an event reads or sets it; lump inside "
                    "model.initial_partition(), which keeps it alone"
                )
        observables = {}
        for name, view in self.observables.items():
            rewritten = view_of_sums(view, block_of, size) if forward else sums(view, block_of)
            if rewritten is not None:
                observables[name] = {block: value for block, value in rewritten.items() if value}
        partition = None
        if self.partition is not None:
            image = tuple(
                tuple(dict.fromkeys(block_of[name] for name in block)) for block in self.partition
            )
            if sum(map(len, image)) == len(names):  # else a block of the lumping crosses it
                partition = image
        values = self.initial_values
        return replace(
            self,
            ode=lumping.quotient,
            initial_values=sums(values, block_of) if forward else common_values(values, block_of),
            partition=partition,
            observables=observables,
            other_views={},
        )


def _some(names: tuple[str, ...], limit: int = 8) -> str:
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "") or "none"


def cover(blocks: Iterable[tuple[str, ...]], ode: ODE) -> Blocks:
    """Complete the blocks that a file lists to a partition of all variables."""
    listed = tuple(blocks)
    seen = {name for block in listed for name in block} | set(ode.parameters)
    rest = tuple(name for name in ode.variables if name not in seen)
    return (*listed, *((rest,) if rest else ()), *((name,) for name in ode.parameters))


def linear_combination(
    polynomial: algebra.Polynomial, names: tuple[str, ...], constants: Iterable[str] = ()
) -> dict[str, Fraction] | None:
    """The coefficients of a linear form in the variables, or None if it is something else."""
    excluded = set(constants)
    combination = {}
    for monomial, value in polynomial.items():
        if len(monomial) != 1 or monomial[0][1] != 1 or names[monomial[0][0]] in excluded:
            return None
        combination[names[monomial[0][0]]] = value
    return combination


def substitute_constants(model: Model) -> Model:
    """Replace every species with derivative zero by its initial value, and drop it.

    Symbolic parameters stay. The rule is applied once: a species that becomes constant only
    through the substitution stays a variable.

    Raises
    ------
    InputError
        If a power of an initial value is too long to compute, or the model is one in discrete time.
    """
    ode = model.ode
    if model.ode.discrete:  # what has no terms there becomes 0
        raise InputError(
            "constants='values' replaces what has derivative 0, and in discrete time there are no derivatives; "
            "leave it out"
        )
    moves = np.zeros(len(ode), dtype=bool)
    moves[ode.rows] = True
    moves[[ode.index[name] for name in ode.parameters]] = True
    moves[[ode.index[name] for event in model.events for name in event.assignments]] = True
    if moves.all():
        return model
    dropped = {
        name: model.initial_values[name]
        for name, stays in zip(ode.variables, moves.tolist(), strict=True)
        if not stays
    }
    kept = [name for name in ode.variables if name not in dropped]
    partition = model.partition
    if partition is not None:
        remaining = (tuple(name for name in block if name not in dropped) for block in partition)
        partition = tuple(block for block in remaining if block)
    observables, other_views = dict(model.observables), dict(model.other_views)
    for name, combination in model.observables.items():
        if not dropped.keys().isdisjoint(combination):
            other_views[name] = combination_text(observables.pop(name))
    numbers = {name: name for name in kept} | dropped
    return replace(
        model,
        ode=substitute(ode, dropped),
        initial_values={name: model.initial_values[name] for name in kept},
        partition=partition,
        observables=observables,
        other_views=other_views,
        dropped={**model.dropped, **dropped},
        events=tuple(
            event.mapped(lambda e: replace_names(e, numbers, {})) for event in model.events
        ),
    )


def combination_text(combination: Mapping[str, Fraction]) -> str:
    """A linear combination as an expression that every dialect here reads alike.

    Examples
    --------
    >>> combination_text({"x": Fraction(1), "y": Fraction(-2, 3)})
    'x - 2/3*y'
    """
    parts: list[str] = []
    for name, value in combination.items():
        size = abs(value)
        term = name if size == 1 else f"{numerals.fraction_text(size)}*{name}"
        if parts:
            parts.append(f"{'-' if value < 0 else '+'} {term}")
        else:
            parts.append(f"-{term}" if value < 0 else term)
    return " ".join(parts) or "0"
