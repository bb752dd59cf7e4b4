"""coqc itself, and the program, accept exactly those mutants of small certificates that ``check.py`` accepts.

For coqc all mutants stand in one file, which is checked once: a proof for each that is true, and for each other
one that its computation does not end in ``true``. ``SYMLUMP_MUTANTS=400`` asks for more of them.
"""

import copy
import os
import random
import re
from collections import Counter
from fractions import Fraction

from proof.claims import EXAMPLES, FUNCTION_EXAMPLES
from test_coq import needs_coq, together
from test_verified import both, needs_program

import symlump as sl
from symlump.errors import FileFormatError
from symlump.proof.check import Inconclusive, Rejected, read_claim
from symlump.proof.coq import development
from symlump.proof.coq.numbers import number_claim
from symlump.proof.coq.script import script

COUNT = int(os.environ.get("SYMLUMP_MUTANTS", "30"))
ALL = EXAMPLES | FUNCTION_EXAMPLES
SMALL = (
    *("e1", "e2", "e3", "e5", "e7 influence", "one variable", "hill", "hill, backward", "cascade"),
    *("pendulums", "epidemic", "nested", "cascade, smallest", "linear"),
)


def polynomials(data):
    for key in ("system", "quotient", "matrix"):
        yield from data.get(key, {}).values()
    for key in ("functions", "quotient_functions"):
        for _, arguments in data.get(key, {}).values():
            yield from arguments


def mutate(data, draw):
    """One change to what is claimed, or to the record of it; None where this kind does not apply."""
    terms = [(p, at) for p in polynomials(data) for at in range(len(p))]
    kind = draw.randrange(8)
    if kind < 4 and terms:
        polynomial, at = draw.choice(terms)
        coefficient, factors = polynomial[at]
        if kind == 0:
            polynomial[at] = [str(Fraction(coefficient) + draw.choice([-1, 1])), factors]
        elif kind == 1:
            del polynomial[at]
        elif kind == 2 and factors:
            names = [*data["system"], *data.get("functions", {})]
            factors[draw.randrange(len(factors))][0] = draw.choice(names)
        elif factors:
            factors[draw.randrange(len(factors))][1] += 1
    elif kind == 4 and len(data.get("blocks", {})) > 1:
        out, into = draw.sample(list(data["blocks"].values()), 2)
        into.append(out.pop(draw.randrange(len(out))))
    elif kind == 5 and "initial" in data:
        block = draw.choice(data["initial"])
        data["initial"].append([block.pop(draw.randrange(len(block)))])
    elif kind == 6:
        records = data.get("maximality") or data.get("closure", {}).get("steps")
        if records:
            del records[draw.randrange(len(records))]
    elif "functions" in data:
        one = draw.choice([*data["functions"].values(), *data["quotient_functions"].values()])
        one[0] = draw.choice(["exp", "tanh", "cos", "sin"]) if one[0] != "inverse" else one[0]
    return data


def drawn():
    """Changed certificates, without end."""
    draw = random.Random(0)
    originals = {}
    for name in SMALL:
        originals[name] = {k: v for k, v in ALL[name]().data.items() if k != "digest"}
    while True:
        yield mutate(copy.deepcopy(originals[draw.choice(SMALL)]), draw)


def mutants(count):
    """Those that are still read, with what ``check.py`` says and their numbers."""
    for data in drawn():
        if not count:
            return
        try:
            accepted = sl.Certificate(data).check().accepted
            claim = number_claim(read_claim(data))
        except (FileFormatError, Rejected, Inconclusive):
            continue  # refused before Coq sees it
        count -= 1
        yield accepted, claim


@needs_coq
def test_coqc_accepts_what_the_checker_accepts():
    texts, accepted = [], 0
    for true, claim in mutants(COUNT):
        proof = re.split(r"\nTheorem (?:solutions|trajectories)", script(claim))[0]
        texts.append(
            proof if true else proof.replace("reflexivity. Qed", "Fail reflexivity. Abort")
        )
        accepted += true
    done, said = development.coqc(together(texts))
    assert done, said
    assert COUNT // 20 < accepted < COUNT
    print(f"{COUNT} mutants, {accepted} accepted by both, the others by none")


@needs_program
def test_the_program_accepts_what_the_checker_accepts():
    found = Counter()
    for _, data in zip(range(COUNT), drawn(), strict=False):
        python, coq = both(data)
        assert python == coq, data
        found[python if python == "unreadable" else python[0]] += 1
    assert found[True] and found[False]
    print(
        f"{COUNT} mutants: {found[True]} accepted by both, {found[False]} by none, "
        f"{found['unreadable']} not read"
    )
