"""Views of stored values: what a file makes of axes, against what numpy makes of them."""

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import NetworkError
from symlump.network.exchange.build import GraphBuilder
from symlump.network.exchange.views import SAMPLES, Piece, View, whole
from symlump.network.nodes import Input

COUNT = 3


def factors(n):
    return [k for k in range(1, n + 1) if n % k == 0]


@st.composite
def moves(draw):
    """A shape, and some transpositions and reshapes behind the samples."""
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=3)))
    steps, sizes = [], list(shape)
    for _ in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            order = draw(st.permutations(range(len(sizes))))
            steps.append(("transpose", tuple(order)))
            sizes = [sizes[k] for k in order]
        else:
            left, sizes = prod(sizes), []
            while left > 1 and len(sizes) < 3:
                sizes.append(draw(st.sampled_from(factors(left))))
                left //= sizes[-1]
            sizes = [*sizes, left]
            steps.append(("reshape", tuple(sizes)))
    return shape, steps


@given(moves())
def test_what_is_stored_in_order_is_what_numpy_makes(case):
    shape, steps = case
    build = GraphBuilder()
    x = np.arange(COUNT * prod(shape), dtype=np.float64).reshape(COUNT, *shape)
    view, expected = build.view(build.add(Input("x", (), shape))), x
    for what, numbers in steps:
        if what == "transpose":
            order = (0, *(k + 1 for k in numbers))
            view, expected = view.transposed(order), expected.transpose(order)
        else:
            view = build.reshaped("r", view, (SAMPLES, *numbers))
            expected = expected.reshape(COUNT, *numbers)
        assert view.sizes == expected.shape[1:]
    network = build.network([view], "float64")
    assert np.array_equal(network(x), expected)


@given(moves(), st.integers(0, 100))
def test_layers_read_the_last_axis_whatever_is_stored(case, seed):
    shape, steps = case
    rng = np.random.default_rng(seed)
    build = GraphBuilder()
    x = rng.normal(size=(COUNT, *shape))
    view, expected = build.view(build.add(Input("x", (), shape))), x
    first = rng.normal(size=(4, view.shape[-1]))
    view, expected = build.linear("first", view, first, None), expected @ first.T
    for what, numbers in steps:
        if what == "transpose" and len(numbers) == len(shape):
            order = (0, *(k + 1 for k in numbers))
            view, expected = view.transposed(order), expected.transpose(order)
    constant = rng.normal(size=expected.shape[1:])
    view, expected = build.scale("shift", view, 1.0, constant), expected + constant
    other = build.linear("other", view, rng.normal(size=(expected.shape[-1],) * 2), None)
    weight = next(n.weight for n in build.nodes if n.name == "other")
    view, expected = build.combine("sum", "add", [other, view]), expected @ weight.T + expected
    assert np.allclose(build.network([view], "float64")(x), expected)


def test_one_sample_goes_with_what_follows_it():
    x = whole("x", (12, 36), 1)
    heads = x.reshaped((12, 3, 12))
    assert heads.axes[0] == (Piece(-1, 1), Piece(0, 12)) and heads.shape == (12, 3, 12)
    back = heads.reshaped((1, 12, 36))
    assert back.samples_first and back.axes == x.axes


def test_pieces_that_do_not_divide():
    x = whole("x", (6, 4), SAMPLES).transposed((0, 2, 1))
    assert x.reshaped((SAMPLES, 8, 3)).sizes == (8, 3)
    assert x.reshaped((SAMPLES, 3, 8)) is None and x.reshaped((SAMPLES, 5)) is None
    assert View("x", ()).reshaped((1,)).shape == (1,)


def test_the_samples_cannot_be_moved_away():
    build = GraphBuilder()
    x = build.view(build.add(Input("x", (), (2, 3))))
    with pytest.raises(NetworkError, match=r"axis 0 of a value of shape \(2, samples, 3\)"):
        build.network([x.transposed((1, 0, 2))], "float64")
    with pytest.raises(NetworkError, match=r"shape \(samples·2, 3\) is not that of the samples"):
        build.network([x.reshaped((2 * SAMPLES, 3))], "float64")


def test_a_constant_along_the_grid_keeps_units():
    """A mask that is the same for all channels leaves them free to merge; one for each does not."""
    for channels, blocks in ((1, 1), (2, 2)):
        build = GraphBuilder()
        x = build.view(build.add(Input("x", (), (3, 4))))
        h = build.linear("a", x.transposed((0, 2, 1)), np.ones((2, 3)), np.ones(2))
        mask = np.arange(4.0 * channels).reshape(4, channels)
        last = build.linear("b", build.scale("mask", h, 1.0, mask), np.ones((1, 2)), None)
        small = sl.compress(build.network([last], "float64"), sl.AFDE(eps=0))
        assert small.exact and small.network.layers[0].units == blocks
