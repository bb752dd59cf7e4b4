"""An independent checker of exact lumpings: standard library only, exact rationals throughout.

It shares no code with the part of symlump that finds lumpings. It is given the system, the blocks and
the quotient as plain data, re-derives every identity from the definition, and compares.

Data format (all of it JSON): a polynomial is a list of ``[coefficient, [[variable, power], …]]`` with
the coefficient as text "p/q"; a system maps each variable to its polynomial; ``blocks`` maps the
name of each quotient variable to the list of its members.

Forward: with f_B = Σ_{k∈B} q_k, all ∂f_B/∂x_i for i in one block must be equal, for every B, and the
quotient's equation must be f_B with one member of each block replaced by the block's variable and the
others by 0. Backward: all q_i of one block must be equal once every variable is replaced by its
block's, and that common polynomial is the quotient's equation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Monomial = tuple[tuple[str, int], ...]
Polynomial = dict[Monomial, Fraction]


@dataclass(frozen=True)
class Verdict:
    """What the checker says: ``accepted`` or not, and why."""

    accepted: bool
    reason: str

    def __bool__(self) -> bool:
        return self.accepted


class _Refused(Exception):
    """The claim is false; the message names the block, the monomial and the residue."""


def check(certificate: Mapping[str, Any]) -> Verdict:
    """Verify one claim.

    Parameters
    ----------
    certificate : mapping
        Keys ``kind`` ("forward" or "backward"), ``system``, ``blocks``, ``quotient``.

    Examples
    --------
    >>> x, y = [["1", [["x", 1]]]], [["1", [["y", 1]]]]
    >>> claim = {"kind": "forward", "system": {"x": x, "y": y}, "blocks": {"z": ["x", "y"]},
    ...          "quotient": {"z": [["1", [["z", 1]]]]}}
    >>> check(claim).accepted
    True
    >>> print(check(claim | {"quotient": {"z": [["2", [["z", 1]]]]}}).reason)
    equation of z: coefficient of z is 1, the quotient claims 2
    """
    try:
        kind = certificate["kind"]
        system = {name: _polynomial(terms) for name, terms in certificate["system"].items()}
        quotient = {name: _polynomial(terms) for name, terms in certificate["quotient"].items()}
        block_of = _block_of(system, certificate["blocks"], quotient)
        if kind == "forward":
            _check_forward(system, certificate["blocks"], block_of, quotient)
        elif kind == "backward":
            _check_backward(system, certificate["blocks"], block_of, quotient)
        else:
            raise _Refused(f"kind {kind!r} is neither forward nor backward")
    except _Refused as refusal:
        return Verdict(False, str(refusal))
    return Verdict(True, f"{kind} equivalence and quotient verified over the rationals")


def _check_forward(
    system: Mapping[str, Polynomial],
    blocks: Mapping[str, Sequence[str]],
    block_of: Mapping[str, str],
    quotient: Mapping[str, Polynomial],
) -> None:
    representative = {members[0] for members in blocks.values()}
    for block, members in blocks.items():
        total: Polynomial = {}
        for member in members:
            for monomial, value in system[member].items():
                _add(total, monomial, value)
        gradient: dict[str, Polynomial] = {}
        for monomial, value in total.items():
            for at, (variable, power) in enumerate(monomial):
                lowered = ((variable, power - 1),) if power > 1 else ()
                rest = monomial[:at] + lowered + monomial[at + 1 :]
                _add(gradient.setdefault(variable, {}), rest, value * power)
        for others in blocks.values():
            first = gradient.get(others[0], {})
            for variable in others[1:]:
                _compare(
                    first,
                    gradient.get(variable, {}),
                    f"derivative of the sum over {block} by {others[0]} and by {variable}",
                    "the first has {0}, the second {1}",
                )
        reduced: Polynomial = {}
        for monomial, value in total.items():
            if all(variable in representative for variable, _ in monomial):
                _add(reduced, _sorted((block_of[v], e) for v, e in monomial), value)
        _compare(
            reduced, quotient[block], f"equation of {block}", "is {0}, the quotient claims {1}"
        )


def _check_backward(
    system: Mapping[str, Polynomial],
    blocks: Mapping[str, Sequence[str]],
    block_of: Mapping[str, str],
    quotient: Mapping[str, Polynomial],
) -> None:
    for block, members in blocks.items():
        for member in members:
            restricted: Polynomial = {}
            for monomial, value in system[member].items():
                _add(restricted, _sorted((block_of[v], e) for v, e in monomial), value)
            _compare(
                restricted,
                quotient[block],
                f"equation of {member} on the blocks",
                "is {0}, the quotient claims {1}",
            )


def _compare(left: Polynomial, right: Polynomial, where: str, how: str) -> None:
    for monomial in left.keys() | right.keys():
        a, b = left.get(monomial, Fraction(0)), right.get(monomial, Fraction(0))
        if a != b:
            shown = "*".join(v if e == 1 else f"{v}^{e}" for v, e in monomial) or "1"
            raise _Refused(f"{where}: coefficient of {shown} " + how.format(a, b))


def _block_of(
    system: Mapping[str, Polynomial],
    blocks: Mapping[str, Sequence[str]],
    quotient: Mapping[str, Polynomial],
) -> dict[str, str]:
    block_of: dict[str, str] = {}
    for block, members in blocks.items():
        if not members:
            raise _Refused(f"block {block} is empty")
        for member in members:
            if member not in system:
                raise _Refused(f"block {block} names {member}, which is not in the system")
            if member in block_of:
                raise _Refused(f"{member} is in two blocks, or twice in one")
            block_of[member] = block
    for name, polynomial in system.items():
        if name not in block_of:
            raise _Refused(f"{name} is in no block")
        for monomial in polynomial:
            for variable, _ in monomial:
                if variable not in system:
                    raise _Refused(f"the equation of {name} uses {variable}, which has none")
    if quotient.keys() != blocks.keys():
        raise _Refused("the quotient does not have exactly one equation per block")
    return block_of


def _polynomial(terms: Sequence[Any]) -> Polynomial:
    result: Polynomial = {}
    for value, factors in terms:
        powers: dict[str, int] = {}
        for variable, power in factors:
            if not isinstance(power, int) or power < 1:
                raise _Refused(f"{power!r} is not a power of {variable}")
            powers[variable] = powers.get(variable, 0) + power
        _add(result, tuple(sorted(powers.items())), Fraction(value))
    return result


def _sorted(factors: Any) -> Monomial:
    powers: dict[str, int] = {}
    for variable, power in factors:
        powers[variable] = powers.get(variable, 0) + power
    return tuple(sorted(powers.items()))


def _add(polynomial: Polynomial, monomial: Monomial, value: Fraction) -> None:
    total = polynomial.get(monomial, Fraction(0)) + value
    if total:
        polynomial[monomial] = total
    else:
        polynomial.pop(monomial, None)
