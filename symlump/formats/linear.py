"""What a model file says, said of the rows of a linear lumping."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from symlump.errors import PartitionError, SubjectError
from symlump.formats.events import names_in
from symlump.formats.source import quote

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.lumping.linear.linear_lumping import LinearLumping


def linear_quotient_model(model: Model, lumping: LinearLumping) -> Model:
    """The reduced model of a linear lumping: its quotient with initial values and observables.

    Initial values are the rows at the model's initial values, exactly. Observables are rewritten where they are
    combinations of the rows; all other views, and the file's partition, are left out.

    Raises
    ------
    PartitionError
        If the lumping is of another system.
    MethodError
        If a variable that an event reads or sets is no row by itself.

    Examples
    --------
    >>> import sympy, symlump as sl
    >>> from symlump.formats import Model
    >>> a, b, c = sympy.symbols("a b c")
    >>> ode = sl.PolynomialODE.from_sympy({a: c - a, b: 2*c - b, c: -c})
    >>> model = Model("m", ode, {name: Fraction(1) for name in "abc"}, observables={"o": {"a": Fraction(4)}})
    >>> small = linear_quotient_model(model, sl.lump(ode, sl.Constrained("2*a + b")))
    >>> small.ode.variables, small.initial_values["y1"], small.observables
    (('y1', 'c'), Fraction(3, 1), {})
    """
    if lumping.ode is not model.ode and lumping.ode != model.ode:
        raise PartitionError(
            f"this lumping is of another system, of {len(lumping.ode)} variables; give one of the "
            f"{len(model.ode)} variables of the model {model.name!r}"
        )
    for name in names_in(model.events):
        rows = [(one, row) for one, row in lumping.combinations.items() if name in row]
        if rows != [(name, {name: Fraction(1)})]:
            raise SubjectError(
                f"an event reads or sets {quote(name)}, which is not a row by itself; take it as an "
                "observable, too"
            )
    start = model.initial_values
    values = {
        name: sum((value * start[variable] for variable, value in row.items()), Fraction(0))
        for name, row in lumping.combinations.items()
    }
    rewritten = {name: lumping.express(view) for name, view in model.observables.items()}
    return replace(
        model,
        ode=lumping.quotient,
        initial_values=values,
        partition=None,
        observables={name: view for name, view in rewritten.items() if view is not None},
        other_views={},
    )
