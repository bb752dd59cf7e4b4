"""The worked examples of the theory as certificates, for the tests of Coq."""

import warnings

import pytest
import sympy

import symlump as sl
from symlump.datasets.systems import multisite_phosphorylation
from symlump.proof import check as checker

x1, x2, x3 = sympy.symbols("x1:4")
LINEAR = {x1: -3 * x1 + x3, x2: -3 * x2 + x3, x3: x1 + x2 - 2 * x3}
PRODUCTS = {x1: -x1 * x3, x2: -x2 * x3, x3: -(x1 + x2) * x3}
EQUAL = {x1: x3 - x1**2, x2: x3 - x2**2, x3: 1 - 2 * x1 - x2}
SQUARE = {x1: (x2 + 2 * x3) ** 2, x2: 4 * x3 - 2 * x1, x3: x1 + x2}


def network(form):
    layers = [[[1, 2], [1, 2], [-1, -2]], [[0.5, 0.25, 1.0]]]
    return sl.encode(sl.Network.dense(layers, activation="tanh"), form)


def rows_of_e6():
    a, b, c, u, v = sympy.symbols("a b c u v")
    hundredths = sympy.Rational
    return {
        a: u + 2 * v,
        b: hundredths(104, 100) * u + hundredths(197, 100) * v,
        c: hundredths(3, 2) * u + 2 * v,
        u: 0,
        v: 0,
    }


def certificate(system, method, *initial):
    ode = sl.PolynomialODE.from_sympy(system) if isinstance(system, dict) else system
    return sl.lump(ode, method, *initial).certificate()


EXAMPLES = {
    "e1": lambda: certificate(LINEAR, sl.Forward()),
    "e2": lambda: certificate(PRODUCTS, sl.Forward()),
    "e3": lambda: certificate(EQUAL, sl.Backward()),
    "e4": lambda: certificate(multisite_phosphorylation(3), sl.Forward()),
    "e5": lambda: certificate(SQUARE, sl.Constrained(["x1"])),
    "observables that need elimination": lambda: certificate(
        SQUARE, sl.Constrained(["x1 + x2 + x3", "x2", "x1"])
    ),
    "e6": lambda: certificate(rows_of_e6(), sl.Backward(eps=0.1), [["u"], ["v"]]),
    "e7 influence": lambda: certificate(network("influence"), sl.Forward()),
    "e7 state": lambda: certificate(network("state"), sl.Backward()),
    "high powers": lambda: certificate({x1: x3**1000 - x1, x2: x3**1000 - x2, x3: 0}, sl.Forward()),
    "floats": lambda: certificate({x1: 0.1 * x1 * x3, x2: 0.1 * x2 * x3, x3: 1e-300}, sl.Forward()),
    "one variable": lambda: certificate({x1: 0}, sl.Backward()),
}


HILL = """
    g1' = V*a^n/(K^n + a^n) - g1
    g2' = V*a^n/(K^n + a^n) - g2
    a' = 1/(1 + g1 + g2) - a
"""
CASCADE = """
    s1' = -3*s1/(2 + s1 + s2)
    s2' = -3*s2/(2 + s1 + s2)
    p1' = 3*s1/(2 + s1 + s2) - p1/(1/2 + p1 + p2)
    p2' = 3*s2/(2 + s1 + s2) - p2/(1/2 + p1 + p2)
    q' = (p1 + p2)/(1/2 + p1 + p2)
"""
PENDULUMS = """
    a1' = w1;  w1' = -sin(a1) - w1/10 + cos(2*t) + k*sin(a2 - a1)
    a2' = w2;  w2' = -sin(a2) - w2/10 + cos(2*t) + k*sin(a1 - a2)
"""
EPIDEMIC = """
    S1' = -exp(-t)*S1*I/(S1 + S2 + I + R)
    S2' = -exp(-t)*S2*I/(S1 + S2 + I + R)
    I' = exp(-t)*(S1 + S2)*I/(S1 + S2 + I + R) - I/5
    R' = I/5
"""
NESTED = """
    x' = z/(1 + 1/(1 + x)) + floor(x + y)
    y' = z*(1 + y)/(2 + y) + floor(y + x)
    z' = exp(x/(x + y) + y/(x + y) - 1) - z*cos(x - y)
"""


def text(equations, method, *initial, **options):
    with warnings.catch_warnings():  # 1/(1 + 1/(1 + x)) is (1 + x)/(2 + x), at x = -1 too
        warnings.filterwarnings("ignore", "left out, as")
        ode = sl.ODE.from_text(equations, **options)
    return certificate(ode, method, *initial)


#: With quotients and functions.
FUNCTION_EXAMPLES = {
    "hill": lambda: text(HILL, sl.Forward(), parameters=["V", "K", "n"]),
    "hill, backward": lambda: text(HILL, sl.Backward(), parameters=["V", "K", "n"]),
    "cascade": lambda: text(CASCADE, sl.Forward(), [["s1", "s2"], ["p1", "p2"], ["q"]]),
    "pendulums": lambda: text(PENDULUMS, sl.Backward(), parameters=["k"]),
    "epidemic": lambda: text(EPIDEMIC, sl.Forward(), [["I"], ["R"]]),
    "nested": lambda: text(NESTED, sl.Backward(), [["x", "y"], ["z"]]),
    "epidemic, smallest": lambda: text(EPIDEMIC, sl.Constrained("I")),
    "cascade, smallest": lambda: text(CASCADE, sl.Constrained("p1 + p2 + 2*q")),
    "linear": lambda: sl.Certificate(
        {k: v for k, v in text(EPIDEMIC, sl.Constrained("I")).data.items() if k != "closure"}
    ),
    "within a tolerance": lambda: text(
        "x1' = -x1/(1 + x1 + 1.1*x2);  x2' = -1.2*x2/(1 + x1 + 1.1*x2)", sl.Forward(eps=0.5)
    ),
}


def terms(text):
    """A polynomial as it stands in a certificate: ``terms("2*x*f^2 - 1/3")``; ``""`` is 0."""
    result = []
    for term in text.replace("- ", "+ -").split("+"):
        number, factors = "1", []
        for factor in filter(None, (part.strip() for part in term.split("*"))):
            if factor.lstrip("-")[0].isdigit():
                number = factor
            elif factor[0] == "-":
                number, factors = "-1", [*factors, factor[1:]]
            else:
                factors.append(factor)
        if term.strip():
            powers = [[f.split("^")[0], int((f.split("^") + ["1"])[1])] for f in factors]
            result.append([number, powers])
    return result


def claimed(kind, system, quotient, functions=None, quotient_functions=None, **parts):
    """A certificate in which polynomials are texts; functions as ``{"f": ("inverse", "1 + x")}``.

    Forward and backward each variable is a block of its name, linear a row, if not given otherwise.
    """
    if kind == "linear":
        parts["matrix"] = {
            n: terms(t) for n, t in parts.get("matrix", {v: v for v in system}).items()
        }
    else:
        parts.setdefault("blocks", {name: [name] for name in system})
    for key, given in (("functions", functions), ("quotient_functions", quotient_functions)):
        if given is not None:
            parts[key] = {f: [name, [terms(u) for u in us]] for f, (name, *us) in given.items()}
    head = {"format": "symlump certificate", "version": 3, "kind": kind}
    return (
        head
        | {
            "system": {name: terms(text) for name, text in system.items()},
            "quotient": {name: terms(text) for name, text in quotient.items()},
        }
        | parts
    )


def steps_of(data, allowed=None):
    """What the checker says, and the steps that it takes, by task; in ``allowed`` those it may take."""
    spent = {}

    class Counted(checker.Budget):
        def __init__(self, task, steps):
            super().__init__(task, steps)
            if allowed is not None:
                allowed[task] = steps

        def spend(self, steps):
            spent[self.task] = spent.get(self.task, 0) + steps
            super().spend(steps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checker, "Budget", Counted)
        verdict = checker.check(data)
    return verdict, spent
