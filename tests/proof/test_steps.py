"""What the checker computes for polynomials, and how many steps it counts: small examples, by hand."""

from fractions import Fraction

import pytest
from proof.claims import claimed, steps_of, terms

from symlump.proof.check import MAX_BITS, Inconclusive, add_term, check, replay
from symlump.proof.check import read_system as read


def replayed(kind, system, blocks, *rounds):
    """The blocks that a record reaches; rounds as (member, target, monomial)."""
    initial = {name: k for k, block in enumerate(blocks) for name in block}
    records = [[(m, t, tuple(map(tuple, terms(f"1*{text}" if text else "1")[0][1]))) for m, t, text in of_round]
               for of_round in rounds]  # fmt: skip
    label = replay(read({n: terms(t) for n, t in system.items()}), kind, initial, records)
    reached = {}
    for name, number in label.items():
        reached.setdefault(number, []).append(name)
    return sorted(map(sorted, reached.values()))


SQUARE = {"x": "x^2 + 2*x*y + y^2", "y": "", "z": "x*y*z"}


@pytest.mark.parametrize(
    ("kind", "system", "record", "reached"),
    [
        # forward: the derivatives of a power, and of sums of equations
        ("forward", SQUARE, ("x", "x", "x"), [["x", "y"], ["z"]]),
        ("forward", SQUARE, ("z", "x", "y"), [["x", "y"], ["z"]]),
        ("forward", SQUARE, ("x", "x", "x^2"), [["x", "y", "z"]]),
        ("forward", {"x": "x^3 + 3*y^2*x", "y": "3*x^2*y + y^3"}, ("x", "x", "x^2"), [["x", "y"]]),
        ("forward", {"x": "x^2 + x*y + y^2", "y": ""}, ("x", "x", "x"), [["x"], ["y"]]),
        ("forward", {"x": "u", "y": "-u", "u": "", "w": ""}, ("u", "x", ""), [["u", "w", "x", "y"]]),
        # backward: sums over monomials that are one on the blocks
        ("backward", {"x": "u*x - v*x", "y": "", "u": "", "v": ""}, ("x", None, "u*x"), [["u", "v", "x", "y"]]),
        ("backward", {"x": "x*y", "y": "x^2"}, ("x", None, "x^2"), [["x", "y"]]),
        ("backward", {"x": "x*y", "y": "x^2"}, ("x", None, "x*y"), [["x", "y"]]),
        ("backward", {"x": "x*y", "y": "2*x^2"}, ("y", None, "y^2"), [["x"], ["y"]]),
        ("backward", {"x": "1 + x", "y": "1 + 2*x"}, ("x", None, ""), [["x", "y"]]),
        ("backward", {"x": "1 + x", "y": "2 + x"}, ("x", None, ""), [["x"], ["y"]]),
    ],
)  # fmt: skip
def test_one_record(kind, system, record, reached):
    assert replayed(kind, system, [list(system)], [record]) == reached


def test_the_largest_part_keeps_the_number_of_its_block():
    """So what is looked at again is at most half of what it was."""
    system = read({name: terms(text) for name, text in {"c": "2", "a": "1", "b": "1"}.items()})
    found = replay(system, "backward", dict.fromkeys("cab", 0), [[("a", None, ())]])
    assert found == {"a": 0, "b": 0, "c": 1}
    system = read({name: terms(text) for name, text in {"c": "", "a": "1", "b": "1"}.items()})
    found = replay(system, "backward", dict.fromkeys("cab", 0), [[("a", None, ())]])
    assert found == {"a": 0, "b": 0, "c": 1}


def maximal(kind, system, rounds):
    """A certificate of the finest partition, with a record."""
    records = [[[m, t, terms(f"1*{k}" if k else "1")[0][1]] for m, t, k in of] for of in rounds]
    return claimed(kind, system, system, initial=[list(system)], maximality=records)


def test_steps_of_a_forward_replay():
    """1 + |m| a record, and the weight of T: for each term 1 + |m| + |m|²/8, and 1 for each equation."""
    system = {"x": "x^2 + 2*x*y", "y": "", "z": "x*y*z*w", "w": ""}
    weight = {"x": 1 + 2 + 3, "y": 1, "z": 1 + 1 + 4 + 2, "w": 1}
    rounds = [[("x", "x", "x")], [("x", "x", "y")], [("z", "z", "x*y*w")]]
    allowed = {}
    verdict, spent = steps_of(maximal("forward", system, rounds), allowed)
    # The first separates x and y (2 and 2 in x) from z and w; the second x from y; the third z from w.
    both = weight["x"] + weight["y"]
    first = 2 + both + weight["z"] + weight["w"]
    second = 2 + both
    third = 4 + weight["z"] + weight["w"]
    assert verdict.coarsest and spent["replaying the record"] == first + second + third
    size = (1 + 2 + 3) + 1 + (1 + 1 + 4) + 1
    assert allowed["replaying the record"] == 2_500_000 + 4 * size * size.bit_length()
    assert spent["differentiating"] == 16 // 8  # all else is less than 8
    assert allowed["differentiating"] == 2_500_000 + 4 * size


def test_steps_of_a_backward_replay():
    """The weight of the lightest block: for each monomial with a member 1 + |m| + the equations it is in."""
    system = {"x": "x*y + 1", "y": "x*y", "z": "z^2 + 1"}
    weight = {"x": 1 + (1 + 2 + 2), "y": 1 + (1 + 2 + 2), "z": 1 + (1 + 1 + 1)}
    rounds = [[("x", None, "")], [("x", None, "x*y")]]
    verdict, spent = steps_of(maximal("backward", system, rounds))
    # The constants are in two equations, and separate y; then the block of y is lighter than that of x and z.
    assert weight["y"] < weight["x"] + weight["z"]
    assert verdict.coarsest and spent["replaying the record"] == (1 + 2) + (3 + weight["y"])


def test_steps_of_a_linear_lumping():
    """A term of an equation is one step; a product 1, and 8 and the factors for each two monomials."""
    data = claimed(
        "linear",
        {"x": "x^2 + y*x", "y": "y*x + y^2"},
        {"z": "z^2"},
        matrix={"z": "x + y"},
    )
    allowed = {}
    verdict, spent = steps_of(data, allowed)
    assert verdict.accepted and spent["adding up rows"] == 2 + 2
    # 1·(x + y), then (x + y)·(x + y)
    products = (1 + 8 * 1 * 2 + 0 + 2) + (1 + 8 * 2 * 2 + 2 * 2 + 2 * 2)
    assert spent["multiplying out the quotient"] == products
    size = (1 + 2 + 3) + (1 + 2 + 3) + (1 + 1 + 1) + (1 + 2 + 2)
    assert allowed["adding up rows"] == 2_500_000 + 4 * size
    assert allowed["multiplying out the quotient"] == 2_500_000 + 64 * size


def test_long_numbers_are_counted():
    """One step more for each 128 bits: 2^127 and 1 have 129, the numbers of 1/3^81 too; floats have fewer."""
    short, long, third = str(2**126 - 1), str(2**127 - 1), f"1/{3**81}"
    for number, more in ((short, 0), (f"-{short}", 0), (long, 1), (third, 1), (str(2**1000), 7)):
        data = claimed(
            "linear", {"x": f"{number}*x + y", "y": ""}, {"x": f"{number}*x + y", "y": ""}
        )
        verdict, spent = steps_of(data)
        assert verdict.accepted and spent["adding up rows"] == 2 + more
        # number·x, where x is 1·x; and y
        assert spent["multiplying out the quotient"] == (10 + more) + 10
        data["matrix"], data["quotient"] = {"z": [[number, [["y", 1]]]]}, {"z": []}
        data["system"] = {"x": [], "y": [["1", []], ["-1", [["x", 1]]]]}
        assert steps_of(data)[1]["adding up rows"] == 2 + 2 * more


@pytest.mark.parametrize(
    ("kind", "x", "y", "quotient", "answer"),
    [
        ("forward", "x^2 + 2*x*y + y^2", "", "z^2", "accepted"),
        ("forward", "x^2 + x*y + y^2", "", "z^2", "rejected"),
        ("forward", "x^2 + 2*x*y + y^2", "", "2*z^2", "rejected"),
        ("forward", "x^2 + 2*x*y + y^2", "", "", "rejected"),
        ("forward", "x", "y", "", "rejected"),
        ("forward", "", "", "z", "rejected"),
        ("backward", "x", "y", "", "rejected"),
        ("backward", "", "", "z", "rejected"),
        ("linear", "x", "y", "", "rejected"),
        ("linear", "", "", "z", "rejected"),
        ("forward", "x^3 + 3*x^2*y", "3*x*y^2 + y^3", "z^3", "accepted"),
        ("forward", "x^3 + 2*x^2*y", "2*x*y^2 + y^3", "z^3", "rejected"),
        ("backward", "x^2 + x*y", "2*y^2", "2*z^2", "accepted"),
        ("backward", "x^2 + x*y", "2*y^2 + x", "2*z^2", "rejected"),
        ("backward", "x*y - x^2", "", "", "accepted"),
        ("linear", "x^2 + 2*x*y", "y^2", "z^2", "accepted"),
        ("linear", "x^2 + x*y", "y^2", "z^2", "rejected"),
    ],
)
def test_powers_and_products_of_two_variables(kind, x, y, quotient, answer):
    parts = {"matrix": {"z": "x + y"}} if kind == "linear" else {"blocks": {"z": ["x", "y"]}}
    assert check(claimed(kind, {"x": x, "y": y}, {"z": quotient}, **parts)).answer == answer


@pytest.mark.parametrize(
    ("system", "quotient", "says"),
    [
        ("3 + x", "x", "coefficient of 1 is 3, the quotient claims 0"),
        ("x", "1 + x", "coefficient of 1 is 0, the quotient claims 1"),
        ("x", "2*x", "coefficient of x is 1, the quotient claims 2"),
        ("1/2*x^2", "x^2", "coefficient of x^2 is 1/2, the quotient claims 1"),
        ("x^2*y - x*y^3", "x^2*y + x*y^3", "coefficient of x*y^3 is -1, the quotient claims 1"),
    ],
)
def test_a_refusal_names_monomial_and_both_numbers(system, quotient, says):
    for kind in ("forward", "backward", "linear"):
        data = claimed(kind, {"x": system, "y": ""}, {"x": quotient, "y": ""})
        assert check(data).reason.endswith(f" {says}")


def test_who_has_left_a_block_is_no_more_looked_at_in_it():
    system = {"p": "u", "q": "", "c": "", "t": "p", "u": "", "w": ""}
    blocks = [["p", "q", "c"], ["t"], ["u", "w"]]
    apart = [["c", "q"], ["p"], ["t"], ["u", "w"]]
    assert replayed("forward", system, blocks, [("p", "t", "")], [("u", "q", "")]) == apart
    assert replayed("forward", system, blocks, [("p", "t", "")], [("u", "p", "")]) == [
        *apart[:3],
        ["u"],
        ["w"],
    ]


def test_numbers_grow_to_so_many_bits_and_no_further():
    most = 2**MAX_BITS - 1
    for value in (Fraction(most), Fraction(-most), Fraction(1, most)):
        polynomial = {}
        add_term(polynomial, (), value)
        assert polynomial == {(): value}
    for value in (Fraction(most + 1), Fraction(1, most + 1)):
        with pytest.raises(Inconclusive, match="grows beyond"):
            add_term({}, (), value)
