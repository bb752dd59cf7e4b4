"""The worked examples of the theory as certificates, for the tests of Coq."""

import sympy

import symlump as sl
from symlump.datasets.systems import multisite_phosphorylation

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
