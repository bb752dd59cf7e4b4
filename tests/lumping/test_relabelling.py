"""Functions relabelled in arrays: against the same term by term, and a thousand variables against the text."""

import random
from dataclasses import replace

import numpy as np
import pytest
import sympy
from elementary_systems import planted_backward, planted_forward, symmetric_system

import symlump as sl
from symlump.datasets.kinetics import michaelis_menten, synchronous
from symlump.errors import InputError, MethodError
from symlump.lumping.elementary.polynomial_rows import Involved
from symlump.lumping.elementary.relabelling import relabel
from symlump.ode.functions.algebra import symbol
from symlump.ode.functions.symbols import SymbolTable

t = sympy.Symbol("t")


def random_system(seed):
    kinds = (
        symmetric_system,
        lambda *s: planted_forward(*s)[0],
        lambda *s: planted_backward(*s)[0],
    )
    system = kinds[seed % 3](seed, seed % 2 == 0)
    if seed % 5 == 0:
        x, *_, y = system
        power = x**y
        system[x] += (
            power / (2 + power) + sympy.exp(-t * x) + 1 / x + x / y + sympy.cos(x / (1 + x))
        )
    return sl.ODE.from_sympy(system, time=t)


def test_arrays_and_dictionaries_give_the_same_system():
    """Equations, functions and their order, for random blocks and some variables replaced by 0."""
    done = 0
    for seed in range(60):
        ode, draw = random_system(seed), random.Random(seed)
        if ode.generators is None:
            continue
        count = draw.randint(1, len(ode))
        choice = [*range(count)] * 2 + [-1] * (seed % 4 == 0)
        labels = np.array([draw.choice(choice) for _ in range(len(ode))])
        rows = None if seed % 2 else np.arange(0, len(ode), 2)
        table = SymbolTable(count)
        images = [symbol(block) if block >= 0 else {} for block in labels.tolist()]
        try:
            every, _ = ode.into(table, images)
        except InputError:
            with pytest.raises(Involved):
                relabel(ode, labels, count)
            continue
        equations, functions = relabel(ode, labels, count, rows)
        chosen = every if rows is None else [every[i] for i in rows.tolist()]
        names = [f"y{i}" for i in range(count)]
        for at in range(len(chosen)):
            place = np.full(count, at)
            found = sl.ODE.from_arrays(names, equations.select(place), functions, ())
            wanted = sl.ODE.from_table(names, [chosen[at]] * count, table)
            assert found == wanted and str(found) == str(wanted)
            if wanted.generators is not None:
                assert found.generators.functions == wanted.generators.functions
        done += 1
    assert done > 45


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("x' = x/(x*z + y*z + y); y' = 0; z' = 0", [0, 0, 1], "1/(1 + 2*b)"),
        ("x' = 1/(2*x^2*z - y*x*z); y' = 0; z' = 0", [0, 0, 1], "1/(a**2*b)"),
        ("x' = z/(x + z - y); y' = 0; z' = 0", [0, 0, 1], "1"),
        ("x' = x*y*z/(x*y*z^2 + y^2*z^3); y' = 0; z' = 0", [0, 0, 1], "1/(b + b**2)"),
        ("x' = 3*exp(x - y)*x - cos(x - y); y' = 0", [0, 0], "3*a - 1"),
        ("x' = sin(x - y) + 2*tanh(y - x)*x; y' = 0", [0, 0], "0"),
        ("x' = sin(2*y - x) + sin(z - 2*y); y' = 0; z' = 0", [0, 0, 0], "0"),
        (
            "x' = 2*sin(2*z - x)^3 + cos(y - 2*z); y' = 0; z' = 0",
            [0, 0, 1],
            "-2*sin(a - 2*b)**3 + cos(a - 2*b)",
        ),
        ("x' = exp(exp(x) - exp(y) + x) - exp(y); y' = 0", [0, 0], "0"),
        ("x' = exp(y - x + exp(x - y)); y' = 0", [0, 0], "exp(1)"),
        ("x' = sin(sin(x - y) + y)/(1 + sin(x)); y' = 0", [0, 0], "1 - 1/(1 + sin(a))"),
        ("x' = ln(x - y + 2) + ln(1 + z - z*exp(x - y)); y' = 0; z' = 0", [0, 0, 1], "ln(2)"),
    ],
)
@pytest.mark.filterwarnings("ignore:left out, as it cancels")
def test_functions_that_become_others_or_numbers(text, labels, expected):
    ode = sl.ODE.from_text(text)
    count = max(labels) + 1
    equations, functions = relabel(ode, np.array(labels), count)
    names = ["a", "b"][:count]
    found = sl.ODE.from_arrays(
        names, equations.select(np.zeros(count, dtype=np.int64)), functions, ()
    )
    for right in found.to_sympy().values():
        assert sympy.simplify(right - sympy.sympify(expected)) == 0


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("x' = 1/(x - y); y' = 0", [0, 0]),  # divides by 0
        ("x' = ln(x - y); y' = 0", [0, 0]),
        ("x' = (x - y)^1.5; y' = 0", [0, 0]),
        ("x' = exp(x/(1 + x)); y' = exp(1 - 1/(1 + y))", [0, 0]),  # is another in other words
    ],
)
def test_the_involved_is_left_to_the_dictionaries(text, labels):
    ode = sl.ODE.from_text(text)
    with pytest.raises(Involved):
        relabel(ode, np.array(labels), max(labels) + 1)


@pytest.mark.parametrize("seed", range(3))
def test_couplings_cost_no_dictionaries(seed, monkeypatch):
    """Functions that become 1, or minus another, in arrays: what is found, proved, and equal as text."""
    ode, labels = synchronous(60, 6, seed)
    names, count = [f"y{i}" for i in range(6)], sl.Partition(labels)
    table = SymbolTable(6)
    every, _ = ode.into(table, [symbol(block) for block in count.labels.tolist()])
    wanted = sl.ODE.from_table(names, [every[i] for i in count.representatives.tolist()], table)
    monkeypatch.setattr(sl.ODE, "into", None)
    lumping = sl.lump(ode, sl.Backward())
    assert lumping.partition == count
    assert replace(lumping.quotient, variables=wanted.variables) == wanted
    assert lumping.certificate().check().coarsest


def test_coefficients_of_any_length_and_floats():
    """Denominators are divided by their leading coefficients, in 64 bits or beyond."""
    large = 2**61 + 1
    ode = sl.ODE.from_text(f"x' = x/(1 + {large}*x + {large}*y)^2; y' = y/(1 + 2*{large}*x)^2")
    lumping = sl.lump(ode, sl.Backward())
    assert lumping.blocks == (("x", "y"),) and lumping.exact
    y1, x, y = sympy.symbols("y1 x y")
    expected = sympy.cancel(y1 / (1 + 2 * large * y1) ** 2)
    assert sympy.cancel(lumping.quotient.to_sympy()[y1]) == expected
    floats = sl.ODE.from_sympy({x: 0.5 / (1 + 0.25 * x + 0.25 * y), y: 0.5 / (1 + 0.5 * y)})
    small = sl.lump(floats, sl.Backward()).quotient
    assert small.rhs([2.0]) == pytest.approx(0.25)


class Field:
    """A number modulo p, for Python to compute with the text of an equation."""

    p = 2**61 - 1

    def __init__(self, value):
        self.value = value % self.p

    def __add__(self, other):
        return Field(self.value + getattr(other, "value", other))

    def __sub__(self, other):
        return Field(self.value - getattr(other, "value", other))

    def __mul__(self, other):
        return Field(self.value * getattr(other, "value", other))

    def __rmul__(self, other):
        return Field(self.value * other)

    __radd__ = __add__

    def __neg__(self):
        return Field(-self.value)

    def __pow__(self, power):
        return Field(pow(self.value, power, self.p))

    def __rtruediv__(self, other):
        return Field(other * pow(self.value, -1, self.p))

    def __truediv__(self, other):
        return Field(self.value * pow(getattr(other, "value", other), -1, self.p))


def reference(ode, direction, path):
    """The coarsest partition from the text of the equations: differences of block sums, or values on blocks."""
    sl.write(ode, path)
    right = [line.split(" = ")[1] for line in path.read_text().splitlines() if " d(" in line]
    code = [compile(text.replace("^", "**"), "", "eval") for text in right]
    using = {name: [] for name in ode.variables}
    for k, c in enumerate(code):
        for name in c.co_names:
            using[name].append(k)
    draw = random.Random(5)
    labels = [0] * len(ode)
    while True:
        if direction == "backward":
            values = [Field(draw.randrange(Field.p)) for _ in range(max(labels) + 1)]
            point = {v: values[b] for v, b in zip(ode.variables, labels, strict=True)}
            found = [Field(0) + eval(c, {}, point) for c in code]
        else:
            point = {v: Field(draw.randrange(Field.p)) for v in ode.variables}
            weights = [draw.randrange(Field.p) for _ in range(max(labels) + 1)]
            before = [Field(0) + eval(c, {}, point) for c in code]
            found = []
            for v in ode.variables:
                moved = point | {v: point[v] + 12345}
                steps = [
                    (eval(code[k], {}, moved) - before[k]) * weights[labels[k]] for k in using[v]
                ]
                found.append(sum(steps, Field(0)))
        numbers = {}
        finer = [
            numbers.setdefault((b, value.value), len(numbers))
            for b, value in zip(labels, found, strict=True)
        ]
        if finer == labels:
            return labels
        labels = finer


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_thousand_variables_against_the_text_of_their_equations(direction, tmp_path):
    ode, planted = michaelis_menten(1000, 100, direction, seed=3)
    method = sl.Forward() if direction == "forward" else sl.Backward()
    lumping = sl.lump(ode, method)
    assert lumping.partition == sl.Partition(planted)
    assert lumping.partition.labels.tolist() == reference(ode, direction, tmp_path / "m.ode")
    assert lumping.certificate().check().coarsest
    state = np.random.default_rng(0).uniform(0.1, 2, 100)
    large = ode.rhs(lumping.lift(state))
    reduced = lumping.quotient.rhs(state)
    assert lumping.aggregate(large) == pytest.approx(reduced, rel=1e-9)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("seed", range(3))
def test_lumping_a_quotient_again_is_lumping_coarser_at_once(direction, seed):
    ode, labels = michaelis_menten(60, 6, direction, seed)
    method = sl.Forward() if direction == "forward" else sl.Backward()
    once = sl.lump(ode, method)
    halves = np.random.default_rng(seed).integers(0, 2, len(ode)) + 2 * labels
    fine = sl.lump(ode, method, sl.Partition(halves))
    again = sl.lump(fine.quotient, method)
    assert len(once.partition) < len(fine.partition)
    composed = again.partition.labels[fine.partition.labels]
    assert sl.Partition(composed) == once.partition
    assert replace(again.quotient, variables=once.quotient.variables) == once.quotient


def test_what_michaelis_menten_cannot_plant():
    with pytest.raises(MethodError, match="direction='forward' or 'backward'"):
        michaelis_menten(10, 2, "sideways")
    with pytest.raises(MethodError, match="as many variables as blocks"):
        michaelis_menten(2, 10, "forward")
