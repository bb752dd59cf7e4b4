"""The exact algorithm against a slow reference, planted lumpings, and unlucky draws."""

from fractions import Fraction

import numpy as np
import pytest
import slow_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import symlump as sl
from symlump.datasets.chains import planted_chain
from symlump.datasets.systems import chain, planted_backward
from symlump.errors import MethodError
from symlump.lumping.equivalence import SignatureTerms
from symlump.lumping.refinement.refine import PRIME, coarsest, mix_rounds
from symlump.ode.distinct import order_of
from symlump.ode.exact import WORDS, ExactArray
from symlump.ode.monomials import Monomials, pair_order

SIGNATURES = {"forward": reference.forward_signature, "backward": reference.backward_signature}
METHODS = {"forward": sl.Forward(), "backward": sl.Backward()}


def to_ode(system):
    """A PolynomialODE from the reference's list of {sorted tuple of variables: Fraction}."""
    rows, values, owners, variables = [], [], [], []
    for i, polynomial in enumerate(system):
        for monomial, c in polynomial.items():
            owners += [len(rows)] * len(monomial)
            variables += monomial
            rows.append(i)
            values.append(c)
    monomials, position = Monomials.from_factors(
        np.array(owners, dtype=np.int64),
        np.array(variables, dtype=np.int64),
        np.ones(len(owners), dtype=np.int64),
        len(rows),
    )
    return sl.PolynomialODE.from_terms(
        [f"x{i}" for i in range(len(system))],
        np.array(rows, dtype=np.int64),
        position,
        ExactArray.from_fractions(values),
        monomials,
    )


coefficients = st.sampled_from([Fraction(c) for c in (-2, -1, 1, 1, 2)] + [Fraction(1, 3)])


@st.composite
def systems(draw, max_variables=7):
    """Small sparse systems with few different coefficients, so that much of them lumps."""
    n = draw(st.integers(1, max_variables))
    monomial = st.lists(st.integers(0, n - 1), max_size=3).map(lambda m: tuple(sorted(m)))
    return draw(
        st.lists(st.dictionaries(monomial, coefficients, max_size=4), min_size=n, max_size=n)
    )


@pytest.mark.parametrize("direction", ["forward", "backward"])
@settings(max_examples=1200)
@given(data=st.data())
def test_agrees_with_the_definitions(direction, data):
    system = data.draw(systems())
    n = len(system)
    initial = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    expected = reference.coarsest(system, SIGNATURES[direction], initial)
    result = sl.lump(to_ode(system), METHODS[direction], sl.Partition(initial))
    assert result.partition.labels.tolist() == expected
    assert result.exact and result.defect == 0


@pytest.mark.parametrize("direction", ["forward", "backward"])
@settings(max_examples=100)
@given(system=systems(), seed=st.integers(0, 9))
def test_unlucky_draws_are_found_out(direction, system, seed):
    """Modulo 5 evaluations collide all the time; the exact check redraws until all is right.

    (1/3 exists modulo 5; modulo 3 the prime is replaced.)
    """
    ode = to_ode(system)
    expected = reference.coarsest(system, SIGNATURES[direction], [0] * len(system))
    for prime in (5, 3):
        partition, _ = coarsest(
            ode, METHODS[direction], sl.Partition.single(len(ode)), prime=prime, seed=seed
        )
        assert partition.labels.tolist() == expected


@st.composite
def planted_forward(draw):
    """A small system blown up so that block sums obey it, and the blocks."""
    small = draw(systems(max_variables=3))
    sizes = draw(st.lists(st.integers(1, 3), min_size=len(small), max_size=len(small)))
    members, start = [], 0
    for size in sizes:
        members.append(list(range(start, start + size)))
        start += size
    system = [{} for _ in range(start)]
    for block, polynomial in enumerate(small):
        for monomial, c in polynomial.items():
            expanded = {(): c}
            for v in monomial:
                following = {}
                for m, value in expanded.items():
                    for member in members[v]:
                        key = tuple(sorted((*m, member)))
                        following[key] = following.get(key, 0) + value
                expanded = following
            for m, value in expanded.items():  # the parts of f_B are shared out unevenly
                target = draw(st.sampled_from(members[block]))
                system[target][m] = system[target].get(m, 0) + value
    blocks = [b for b, size in enumerate(sizes) for _ in range(size)]
    order = draw(st.permutations(range(start)))
    position = {old: new for new, old in enumerate(order)}
    shuffled = [
        {tuple(sorted(position[v] for v in m)): c for m, c in system[old].items()} for old in order
    ]
    return shuffled, [blocks[old] for old in order]


@settings(max_examples=150)
@given(planted_forward())
def test_a_planted_forward_lumping_comes_back(planted):
    system, blocks = planted
    result = sl.lump(to_ode(system), sl.Forward())
    assert sl.Partition(blocks) <= result.partition
    assert result.exact


@settings(max_examples=30)
@given(planted_forward(), st.integers(0, 2**31))
def test_commuting_square(planted, seed):
    """Lump then simulate = simulate then lump, both directions."""
    ode = to_ode(planted[0])
    start = np.random.default_rng(seed).uniform(0.1, 0.5, len(ode))
    for method in METHODS.values():
        result = sl.lump(ode, method)
        if method.direction == "backward":
            start = result.lift(result.aggregate(start))
        times = np.linspace(0, 0.1, 5)

        def integrate(system, state, times=times):
            solution = solve_ivp(
                lambda t, x: system.rhs(x), (0, 0.1), state, t_eval=times, rtol=1e-11, atol=1e-13
            )
            assert solution.success
            return solution.y

        full = integrate(ode, start)
        small = integrate(result.quotient, result.aggregate(start))
        assert result.aggregate(full) == pytest.approx(small, rel=1e-8, abs=1e-8)
        assert result.aggregate(result.lift(small)) == pytest.approx(small, rel=1e-13)
        if method.direction == "backward":
            assert result.lift(small) == pytest.approx(full, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("kind", METHODS)
def test_differences_that_words_do_not_show(kind):
    """x² − 1 is a multiple of 8 for every odd x, so its 22nd power is 0 modulo 2^64; a prime shows it."""
    power = "(x^2 - 1)^22"
    text = {
        "forward": f"x' = a*{power}; a' = -a; b' = -b; c' = -c",
        "backward": f"x' = 1; a' = {power}; b' = 0; c' = 0",
    }[kind]
    ode = sl.ODE.from_text(text)
    found = sl.lump(ode, METHODS[kind], [["x"]])
    assert found.partition == sl.Partition([0, 1, 2, 2]) and found.exact
    assert METHODS[kind].agrees(ode, found.partition)


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_comparison_of_loose_terms_is_that_of_sums(seed):
    """Terms as they stand, and sums where these differ: the same verdict as all sums."""
    rng = np.random.default_rng(seed)
    parts = []  # of each pair of variables: the second has the terms of the first, nearly
    for pair in range(4):
        keys = rng.integers(-2, 3, 8)
        numbers = [Fraction(int(a), int(b)) for a, b in rng.integers(1, 3, (8, 2))]
        order = rng.permutation(8)
        again_keys, again = keys[order].tolist(), [numbers[k] for k in order]
        if pair == 1:  # one term in two pieces: sums agree, terms do not
            again_keys, again = (
                [again_keys[0], *again_keys],
                [again[0] / 3, again[0] * 2 / 3, *again[1:]],
            )
        if pair == 2:  # another sum
            again[0] += rng.integers(0, 2)
        if pair == 3:  # 0 in two pieces
            again_keys, again = [7, 7, *again_keys], [Fraction(1), Fraction(-1), *again]
        for owner, some, those in ((2 * pair, keys, numbers), (2 * pair + 1, again_keys, again)):
            parts += [(owner, int(key), value) for key, value in zip(some, those, strict=True)]
    parts = [parts[k] for k in rng.permutation(len(parts))]
    owners, keys, values = zip(*parts, strict=True)
    terms = SignatureTerms(
        np.array(owners), np.array(keys), ExactArray.from_fractions(values), lambda key: (key, ())
    )
    partition = sl.Partition(np.arange(8) // 2)
    sums = [{}, {}, {}, {}, {}, {}, {}, {}]
    for owner, key, value in parts:
        sums[owner][key] = sums[owner].get(key, 0) + value
    signatures = [{key: v for key, v in own.items() if v} for own in sums]
    expected = [i for i in range(8) if signatures[i] != signatures[i // 2 * 2]]
    assert terms.disagreeing(partition).tolist() == expected


@given(st.integers(0, 2**32), st.sampled_from([(3, 4), (2000, 30), (2000, 2**40)]))
@settings(max_examples=30, deadline=None)
def test_orders_sort(seed, size):
    rng = np.random.default_rng(seed)
    count, high = size
    first, second = rng.integers(-5, high, count), rng.integers(0, high, count)
    order = order_of(first)
    assert sorted(order.tolist()) == list(range(count)) and (np.diff(first[order]) >= 0).all()
    order = pair_order(first, second)
    assert sorted(order.tolist()) == list(range(count))
    pairs = list(zip(first[order].tolist(), second[order].tolist(), strict=True))
    assert pairs == sorted(pairs)


def test_a_cascade_needs_one_pass():
    """Two parallel chains that differ at the head: each stage is looked at once, in order."""
    n = 200
    system = [{(): Fraction(1)}, {(): Fraction(2)}]
    system += [{(i - 2,): Fraction(1)} for i in range(2, n)]
    initial = sl.Partition(np.arange(n) // 2)
    result = sl.lump(to_ode(system), sl.Backward(), initial)
    assert len(result.partition) == n and result.rounds == n // 2
    assert result.exact


def test_parameters_are_never_merged():
    import sympy

    x, y, k, m = sympy.symbols("x y k m")
    ode = sl.PolynomialODE.from_sympy({x: -k * x, y: -m * y}, parameters=[k, m])
    assert len(sl.lump(ode, sl.Backward()).partition) == 4
    same = sl.PolynomialODE.from_sympy({x: -k * x, y: -k * y}, parameters=[k, m])
    result = sl.lump(same, sl.Backward())
    assert result.blocks == (("x", "y"), ("k",), ("m",))
    assert result.quotient.parameters == ("k", "m")


def test_only_methods_are_accepted():
    ode = to_ode([{(0,): Fraction(1)}])
    with pytest.raises(MethodError, match="takes a method"):
        sl.lump(ode, "forward")


def initial_blocks(rng, n):
    return sl.Partition(rng.integers(0, 3, n))


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("seed", range(8))
def test_mixed_words_never_split_too_much(direction, seed):
    """What rounds of words give is between the initial blocks and the coarsest equivalence."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(30, 120))
    method = sl.Forward() if direction == "forward" else sl.Backward()
    if seed % 2:
        ode = planted_chain(n, n // 5, seed=seed)[0] if direction == "forward" else chain(n)
    else:
        ode, _ = planted_backward(n, n // 6, 4, seed=seed)
    initial = initial_blocks(rng, n)
    members = np.flatnonzero(initial.sizes[initial.labels] > 1)
    values = method.fingerprints(ode, WORDS, rng)
    labels, done, rounds = mix_rounds(initial, values, members, rng)
    found, mixed = coarsest(ode, method, initial, prime=PRIME)[0], sl.Partition(labels)
    assert found <= mixed <= initial and rounds >= 1
    assert not done or found == mixed
    assert coarsest(ode, method, initial)[0] == found


def test_a_chain_is_not_walked_by_words():
    """Where every round splits off one variable, words give up, and updates go on."""
    ode, n = chain(300), 300
    values = sl.Backward().fingerprints(ode, WORDS, np.random.default_rng(0))
    everything = sl.Partition.single(n)
    labels, done, rounds = mix_rounds(everything, values, np.arange(n), np.random.default_rng(0))
    assert not done and rounds < 10 and labels.max() < 10
    partition, rounds = coarsest(ode, sl.Backward(), everything)
    assert partition == sl.Partition.discrete(n) and rounds >= n - 10


class SameWords:
    """A generator of which all words are the same."""

    def integers(self, low, high=None, size=None, dtype=None):
        return np.zeros(size, dtype=dtype)


def test_words_that_are_the_same_by_chance_join_no_initial_blocks():
    ode = sl.ODE.from_text("a' = -a; b' = -b; c' = -c")
    initial = sl.Partition([0, 1, 1])
    values = sl.Forward().fingerprints(ode, WORDS, np.random.default_rng(0))
    labels, done, _ = mix_rounds(initial, values, np.array([1, 2]), SameWords())
    assert sl.Partition(labels) == initial and not done


def test_words_that_differ_in_their_last_bits_are_different():
    """They are sorted without those, with which many variables would lose blocks that were found."""

    class LastBits:
        def evaluate(self, words, members):
            return np.array([0, 2, 4, 4], dtype=np.uint64)

    everything = sl.Partition.single(4)
    labels, done, _ = mix_rounds(everything, LastBits(), np.arange(4), SameWords())
    assert sl.Partition(labels) == sl.Partition([0, 1, 2, 2]) and done


def test_haste_that_stops_too_early_is_found_out():
    """Many variables split in the first round, and a short chain behind them one by one in later ones."""
    n, tail = 3000, 8
    text = "".join(f"x{i}' = {i}; " for i in range(n)) + f"y0' = {n}; "
    text += "".join(f"y{i}' = y{i - 1}; " for i in range(1, tail))
    ode = sl.ODE.from_text(text)
    everything, members, n = sl.Partition.single(len(ode)), np.arange(len(ode)), len(ode)
    found = {}
    for hasty in (False, True):
        rng = np.random.default_rng(0)
        values = sl.Backward().fingerprints(ode, WORDS, rng)
        labels, found[hasty], _ = mix_rounds(everything, values, members, rng, hasty)
        assert sl.Partition.discrete(n) <= sl.Partition(labels) and labels.max() < n - 1
    assert found == {False: False, True: True}
    assert coarsest(ode, sl.Backward(), everything)[0] == sl.Partition.discrete(n)
