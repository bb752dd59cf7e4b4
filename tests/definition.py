"""Random small systems, lumped by the package and straight from the definitions by sympy.

``python tests/definition.py FIRST LAST`` compares the systems of those seeds with forward, backward and
constrained lumpings, each for at most ten seconds of the processor.
"""

import signal
import sys
from collections import Counter

import sympy
from elementary_systems import (
    backward_equal,
    coarsest,
    forward_equal,
    planted_backward,
    planted_forward,
    planted_linear,
    smallest_rows,
    symmetric_system,
)

import symlump as sl
from symlump.errors import PartitionError

SECONDS = 10
METHODS = {"forward": (sl.Forward(), forward_equal), "backward": (sl.Backward(), backward_equal)}


def drawn(seed):
    """A system and an observable: symmetric, or with a planted lumping, every other one with functions."""
    functions = seed % 2 == 1
    kind = seed // 2 % 4
    if kind == 3:
        system, rows = planted_linear(seed, functions)
        return system, sympy.expand(rows[0])
    if kind == 1:
        system, blocks, _ = planted_forward(seed, functions)
        return system, sum(blocks[0])
    system = symmetric_system(seed, functions) if kind else planted_backward(seed, functions)[0]
    first, *others = system
    return system, first + others[0] if others and seed % 3 else first


def left_out(system):
    """Systems of more than four variables, where sympy takes minutes, and those that divide by 0."""
    rates = map(sympy.sympify, system.values())
    return len(system) > 4 or any(rate.has(sympy.zoo, sympy.nan) for rate in rates)


def compared(seed):
    """What each method gave: "smaller", "same size" or "refused"; an AssertionError where the two differ."""
    system, observable = drawn(seed)
    if left_out(system):
        return {}
    ode, found = sl.ODE.from_sympy(system), {}
    for name, (method, equal) in METHODS.items():
        try:
            lumping = sl.lump(ode, method)
        except PartitionError:  # a denominator is 0 where the variables are equal
            found[name] = "refused"
            continue
        expected = coarsest(system, equal, [0] * len(system))
        assert lumping.partition.labels.tolist() == expected, (seed, name, system)
        verdict = lumping.certificate().check()
        assert verdict.accepted and verdict.coarsest, (seed, name, system, verdict)
        found[name] = "smaller" if len(lumping.partition) < len(system) else "same size"
    lumping = sl.lump(ode, sl.Constrained([observable]))
    rows = [[row.get(v, 0) for v in ode.variables] for row in lumping.combinations.values()]
    expected = smallest_rows(system, observable)
    assert sympy.Matrix(rows).rref()[0] == expected, (seed, "constrained", system, observable)
    assert lumping.exact and lumping.smallest, (seed, system, observable)
    found["constrained"] = "smaller" if expected.rows < len(system) else "same size"
    return found


def main(first, last):
    """Compare the systems of some seeds."""
    found, systems, unfinished = Counter(), 0, 0

    def stop(*_):
        raise TimeoutError

    signal.signal(signal.SIGPROF, stop)
    for seed in range(first, last):
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            results = compared(seed)
        except TimeoutError:
            unfinished += 1
            continue
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        systems += bool(results)
        found.update(results.items())
        if seed % 50 == 49 or seed == last - 1:
            print(f"{systems} systems, {unfinished} not finished; {dict(found)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
