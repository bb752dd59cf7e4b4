"""The guarantee, checked in exact arithmetic; the storage, against what theory promises."""

from dataclasses import FrozenInstanceError
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from symlump import HMatrix
from symlump.bench.hmatrix import kernel_matrix
from symlump.compression.hierarchical.block_fit import Fit, product_error, product_errors
from symlump.compression.hierarchical.cluster_tree import ClusterTree
from symlump.errors import MethodError


def exact(matrix):
    return np.array([[Fraction(float(v)) for v in row] for row in matrix], dtype=object).reshape(
        matrix.shape
    )


def exact_squared_error(matrix, compressed):
    """Of the stored factors themselves: no float is rounded on the way."""
    rows, columns = (
        np.arange(size) if order is None else order
        for size, order in zip(
            matrix.shape, (compressed.row_order, compressed.column_order), strict=True
        )
    )
    tiled = exact(matrix[np.ix_(rows, columns)])
    total = Fraction(0)
    covered = np.zeros(matrix.shape, dtype=int)
    for block in compressed.blocks:
        covered[block.rows, block.columns] += 1
        parts = [exact(part) for part in block.parts]
        if len(parts) == 1:
            found = parts[0]
        elif block.rank == 0:
            found = np.full(block.shape, Fraction(0))
        else:
            found = parts[0] @ parts[1]
        total += ((tiled[block.rows, block.columns] - found) ** 2).sum()
    assert (covered == 1).all()
    return total


@st.composite
def matrices(draw):
    m, n = draw(st.integers(1, 17)), draw(st.integers(1, 17))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(
        st.sampled_from(["random", "kernel", "low rank", "blocks", "scales", "spike", "zero"])
    )
    x, y = rng.random(m), rng.random(n)
    if kind == "random":
        matrix = rng.standard_normal((m, n))
    elif kind == "kernel":
        matrix = 1 / (np.abs(np.sort(x)[:, None] - np.sort(y)) + 0.02)
    elif kind == "low rank":
        matrix = np.outer(x, y) + np.outer(x**2, y**3)
    elif kind == "blocks":
        matrix = np.add.outer(3 * x // 1, 7 * (3 * y // 1)) % 4
    elif (
        kind == "scales"
    ):  # entries over many orders of magnitude, some below the smallest normal float
        matrix = rng.standard_normal((m, n)) * 10.0 ** rng.integers(-320, 100, (m, n))
    elif kind == "spike":
        matrix = np.full((m, n), 1e-9)
        matrix[rng.integers(m), rng.integers(n)] = 1.0
    else:
        matrix = np.zeros((m, n))
    return matrix * draw(st.sampled_from([1.0, -3.0, 1e150, 1e-170]))


@settings(max_examples=100, deadline=None)
@example(np.array([[-1.3e44, 9.1e-144]]), 1e-17, 1, "given")  # a square that vanishes
@given(
    matrices(),
    st.sampled_from([0.0, 1e-17, 1e-15, 3e-14, 1e-8, 1e-3, 0.05, 0.4, 0.999, 1.0, 7.0]),
    st.integers(1, 9),
    st.sampled_from(["given", "similarity"]),
)
def test_the_bound_is_never_violated_and_storage_never_exceeds_dense(matrix, tol, leaf, order):
    compressed = HMatrix.from_dense(matrix, tol, leaf, order)
    norm2 = (exact(matrix) ** 2).sum()
    allowed = Fraction(tol) ** 2 * norm2
    error2 = exact_squared_error(matrix, compressed)
    assert error2 <= allowed
    assert error2 <= Fraction(compressed.error) ** 2
    assert ((exact(matrix) - exact(compressed.to_dense())) ** 2).sum() <= allowed
    assert compressed.storage <= matrix.size
    assert compressed.storage == sum(
        part.size for b in compressed.blocks for part in b.parts
    ) + sum(o.size for o in (compressed.row_order, compressed.column_order) if o is not None)


#: Where floats end: the smallest and very large ones, one beside the other.
EXTREME = st.sampled_from(
    [0.0, 5e-324, 1e-310, 2.3e-308, 9e-144, 1e-162, 1.3e154, 1e44, -1.0, 1e200, -1e298]
)


@settings(max_examples=60, deadline=None)
@example([[0.0, 1e-310], [0.0, 0.0]], 1e-160, 5, "given", 1.0)  # the error itself vanishes
@example([[1e200], [1e-162], [1e200]], 3e-14, 1, "given", 0.0)  # an entry that scaling rounds to 0
@example([[1e-205, 2e-205]], 0.4, 6, "similarity", 1.0)  # the norm of a sum, with vanishing squares
@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(EXTREME, min_size=n, max_size=n), min_size=1, max_size=6)
    ),
    st.sampled_from([0.0, 5e-324, 1e-160, 1e-17, 1e-8, 0.05, 0.999, 1.0, 1e200]),
    st.integers(1, 4),
    st.sampled_from(["given", "similarity"]),
    st.sampled_from([0.0, 1e-18, 1e-9, 1.0]),
)
def test_the_guarantee_at_the_ends_of_the_floats(entries, tol, leaf, order, share):
    matrix = np.array(entries)
    norm2 = (exact(matrix) ** 2).sum()
    compressed = HMatrix.from_dense(matrix, tol, leaf, order)
    for found in (compressed, compressed.refine(tol, matrix), compressed.recompress(tol)):
        error2 = exact_squared_error(matrix, found)
        assert error2 <= Fraction(found.error) ** 2
        assert ((exact(matrix) - exact(found.to_dense())) ** 2).sum() <= Fraction(found.error) ** 2
        assert found.storage <= matrix.size
    assert exact_squared_error(matrix, compressed) <= Fraction(tol) ** 2 * norm2
    delta = share * np.outer(np.arange(1.0, len(matrix) + 1), matrix[0] / 3)
    moved = compressed.update(delta, tol)
    error2 = ((exact(matrix) + exact(delta) - exact(moved.to_dense())) ** 2).sum()
    assert error2 <= Fraction(moved.error) ** 2


def test_following_a_matrix_of_another_size():
    matrix = kernel_matrix(32)
    compressed = HMatrix.from_dense(matrix, 1e-2, leaf_size=4)
    for scale in (1e-290, 1e250):
        found = compressed.refine(1e-2, matrix * scale)
        assert found.error <= 1e-2 * found.norm
        assert found.storage <= compressed.storage


def test_the_error_bound_of_a_product_holds_in_exact_arithmetic():
    rng = np.random.default_rng(0)
    for scale in (1.0, 1e-8):
        left, right = rng.standard_normal((6, 3)), rng.standard_normal((3, 5))
        entries = left @ right + scale * rng.standard_normal((6, 5)) * 1e-8
        true = ((exact(entries) - exact(left) @ exact(right)) ** 2).sum()
        bound = product_error(entries, left, right)
        assert true <= Fraction(bound) ** 2
        assert bound <= float(true) ** 0.5 + 1e-13


def test_the_choice_of_blocks_is_the_best_of_all():
    """All choices for a 4 × 4 matrix with four leaves, one by one."""
    rng = np.random.default_rng(1)
    for trial in range(30):
        matrix = rng.standard_normal((4, 4)) * 10.0 ** rng.integers(-3, 1, (4, 4))
        if trial % 2:
            matrix += np.outer(rng.standard_normal(4), rng.standard_normal(4))
        tol = float(rng.choice([0.03, 0.2, 0.5]))
        budget = (tol * np.linalg.norm(matrix)) ** 2

        def options(block):
            s2 = np.linalg.svd(block, compute_uv=False) ** 2
            low = [(r * sum(block.shape), s2[r:].sum()) for r in range(len(s2))]
            return [*low, (block.size, 0.0)]

        quarters = [options(matrix[i : i + 2, j : j + 2]) for i in (0, 2) for j in (0, 2)]
        candidates = options(matrix) + [
            (sum(c for c, _ in choice), sum(e for _, e in choice)) for choice in product(*quarters)
        ]
        best = min(cost for cost, error in candidates if error <= budget)
        found = HMatrix.from_dense(matrix, tol, leaf_size=2)
        # The search by prices misses at most one step between two of its solutions.
        assert best <= found.storage <= best + 4


def test_storage_of_a_kernel_against_dense_and_one_svd():
    matrix = kernel_matrix(1024)  # 2048 points: symlump bench hmatrix
    compressed = HMatrix.from_dense(matrix, 1e-3)
    values = np.abs(np.linalg.eigvalsh(matrix))
    tails = np.sqrt(np.cumsum(np.sort(values) ** 2))
    rank = int((tails > 1e-3 * tails[-1]).sum())
    assert np.linalg.norm(matrix - compressed.to_dense()) <= 1e-3 * np.linalg.norm(matrix)
    assert 8 * compressed.storage <= matrix.size
    assert 4 * compressed.storage <= 2 * 1024 * rank


def test_storage_of_a_kernel_grows_like_n_log_n():
    storage = {n: HMatrix.from_dense(kernel_matrix(n), 1e-3).storage for n in (64, 128, 256, 512)}
    rates = [storage[n] / (n * np.log2(n)) for n in storage]
    assert max(rates) <= 1.25 * min(rates)
    assert all(storage[2 * n] < 2.7 * storage[n] for n in (64, 128, 256))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([(40, 23), (16, 64), (1, 30), (30, 1)]))
def test_planted_low_rank_is_found_as_one_block(seed, shape):
    rng = np.random.default_rng(seed)
    matrix = np.outer(rng.standard_normal(shape[0]), rng.standard_normal(shape[1]))
    compressed = HMatrix.from_dense(matrix, 1e-6, leaf_size=4)
    if min(shape) > 1:
        assert compressed.ranks == (1,)
        assert compressed.storage == sum(shape)
    assert compressed.storage <= matrix.size


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 2**32))
def test_similarity_finds_a_hidden_order(seed):
    rng = np.random.default_rng(seed)
    matrix = kernel_matrix(256)
    hidden = matrix[rng.permutation(256)][:, rng.permutation(256)]
    plain = HMatrix.from_dense(matrix, 1e-3)
    found = HMatrix.from_dense(hidden, 1e-3, order="similarity")
    assert found.storage <= 1.3 * plain.storage + 512
    assert 3 * found.storage <= HMatrix.from_dense(hidden, 1e-3).storage
    assert np.linalg.norm(hidden - found.to_dense()) <= 1e-3 * np.linalg.norm(hidden)


@pytest.mark.parametrize("order", ["given", "similarity"])
@pytest.mark.parametrize("shape", [(96, 96), (70, 33), (20, 110)])
def test_products_and_transposes(shape, order):
    rng = np.random.default_rng(3)
    x, y = (np.linspace(0, 1, size) for size in shape)
    matrix = (1 / (np.abs(x[:, None] - y) + 0.02))[rng.permutation(shape[0])]
    compressed = HMatrix.from_dense(matrix, 1e-2, leaf_size=8, order=order)
    dense = compressed.to_dense()
    vector, several = rng.standard_normal(shape[1]), rng.standard_normal((shape[1], 3))
    assert np.allclose(compressed @ vector, dense @ vector, atol=1e-10)
    assert np.allclose(compressed @ several, dense @ several, atol=1e-10)
    left = rng.standard_normal((2, shape[0]))
    assert np.allclose(left @ compressed, left @ dense, atol=1e-10)
    assert np.allclose(left[0] @ compressed, left[0] @ dense, atol=1e-10)
    assert np.array_equal(compressed.T.to_dense(), dense.T)
    assert np.allclose(compressed.T @ left.T, dense.T @ left.T, atol=1e-10)
    assert compressed.T.storage == compressed.storage


def test_refining_rebuilds_only_where_the_local_error_is_too_large():
    matrix = kernel_matrix(256)
    before = HMatrix.from_dense(matrix, 1e-2)
    drifted = matrix.copy()
    drifted[200:216, 16:24] += 3.0
    after = before.refine(2e-2, drifted)
    assert np.linalg.norm(drifted - after.to_dense()) <= 2e-2 * np.linalg.norm(drifted)
    finer = before.refine(1e-5, matrix)
    assert np.linalg.norm(matrix - finer.to_dense()) <= 1e-5 * np.linalg.norm(matrix)
    assert finer.storage <= 1.1 * HMatrix.from_dense(matrix, 1e-5).storage
    same = before.refine(2e-2, matrix)
    assert same.storage <= before.storage


def test_recompressing_adds_the_errors_up():
    matrix = kernel_matrix(256)
    fine = HMatrix.from_dense(matrix, 1e-6)
    coarse = fine.recompress(1e-2)
    assert coarse.storage < fine.storage
    assert np.linalg.norm(fine.to_dense() - coarse.to_dense()) <= 1e-2 * np.linalg.norm(
        fine.to_dense()
    )
    assert np.linalg.norm(matrix - coarse.to_dense()) <= coarse.error
    assert coarse.error <= 1.001 * (1e-2 + 1e-6) * np.linalg.norm(matrix)
    assert coarse.storage <= 1.2 * HMatrix.from_dense(matrix, 1e-2).storage


@pytest.mark.parametrize("order", ["given", "similarity"])
@pytest.mark.parametrize("factored", [True, False])
def test_updates_follow_the_sum(factored, order):
    rng = np.random.default_rng(4)
    matrix = kernel_matrix(128)[rng.permutation(128)]
    compressed = HMatrix.from_dense(matrix, 1e-4, order=order)
    x = np.linspace(0, 1, 128)
    left, right = np.stack([x, 1 - x], axis=1) * 100, np.stack([np.sin(9 * x), x**2])
    delta = left @ right
    after = compressed.update((left, right) if factored else delta, 1e-3)
    target = compressed.to_dense() + delta
    assert np.linalg.norm(target - after.to_dense()) <= 1e-3 * np.linalg.norm(target)
    assert np.linalg.norm(matrix + delta - after.to_dense()) <= after.error
    assert after.storage <= matrix.size


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 1e-12, 1e-4, 0.3]))
def test_a_chain_of_updates_keeps_its_bound(seed, tol):
    rng = np.random.default_rng(seed)
    true = rng.standard_normal((20, 14)) * 10.0 ** rng.integers(-4, 2)
    compressed = HMatrix.from_dense(true, tol, leaf_size=4)
    for _ in range(3):
        delta = np.outer(rng.standard_normal(20), rng.standard_normal(14))
        compressed = compressed.update(delta, tol)
        true = true + delta
        # The additions in this test round as well.
        slack = 1e-13 * np.linalg.norm(true)
        assert np.linalg.norm(true - compressed.to_dense()) <= compressed.error + slack
        assert compressed.storage <= true.size


def test_the_picture_shows_every_block_and_its_rank():
    pytest.importorskip("matplotlib")
    from symlump.display.hmatrix_picture import draw_hmatrix

    compressed = HMatrix.from_dense(kernel_matrix(128), 1e-3)
    axes = draw_hmatrix(compressed).axes[0]
    assert len(axes.patches) == len(compressed.blocks)
    shown = sorted(int(text.get_text()) for text in axes.texts)
    assert shown == sorted(rank for rank in compressed.ranks if rank is not None)


def test_refusals():
    matrix = np.eye(4)
    for bad in (-1.0, float("nan"), float("inf"), True, "0.1"):
        with pytest.raises(MethodError, match="tol"):
            HMatrix.from_dense(matrix, bad)
    with pytest.raises(MethodError, match="leaf_size"):
        HMatrix.from_dense(matrix, 0.1, leaf_size=0)
    with pytest.raises(MethodError, match="similarity"):
        HMatrix.from_dense(matrix, 0.1, order="random")
    with pytest.raises(MethodError, match="not finite"):
        HMatrix.from_dense([[np.nan]], 0.1)
    for empty in ([1.0], np.zeros((0, 3)), np.zeros((3, 0))):
        with pytest.raises(MethodError, match="two axes"):
            HMatrix.from_dense(empty, 0.1)
    with pytest.raises(MethodError, match="norms would overflow"):
        HMatrix.from_dense([[1.7e308, 1.0]], 0.1)
    compressed = HMatrix.from_dense(matrix, 0.1)
    with pytest.raises(MethodError, match="first axis"):
        compressed @ np.ones(5)
    with pytest.raises(MethodError, match="shape"):
        compressed.update(np.ones((2, 2)), 0.1)
    with pytest.raises(MethodError, match="multiply"):
        compressed.update((np.ones((4, 2)), np.ones((3, 4))), 0.1)
    with pytest.raises(MethodError, match="shape"):
        compressed.refine(0.1, np.ones((2, 2)))
    with pytest.raises(FrozenInstanceError):
        compressed.norm = 1.0


@pytest.mark.parametrize("tol", [1e-1, 1e-4, 1e-9])
@pytest.mark.parametrize("kind", ["random", "kernel", "large entries"])
def test_known_values_are_singular_values(kind, tol):
    """Found by squaring or not, in stacks or from the factors of children: up to what is cut off."""
    rng = np.random.default_rng(0)
    matrix = kernel_matrix(64) if kind == "kernel" else rng.standard_normal((64, 48))
    if kind == "large entries":  # beside which others are lost in squares
        matrix[:8, :8] *= 1e6
    fit = Fit.of(matrix, tol, 8, "given")
    scaled = np.ldexp(fit.matrix, -fit.exponent)
    floor = 1e-2 * tol**2 * np.mean(scaled**2)
    seen = 0
    for number, level in enumerate(fit.levels):
        for i, j in np.argwhere(np.isfinite(level.tails[..., -1])).tolist():
            block = scaled[fit.tree.window((number, i, j))]
            squares = np.linalg.svd(block, compute_uv=False) ** 2
            found = np.zeros(squares.size)
            kept = level.sigma2[i, j, : squares.size]
            found[: kept.size] = kept
            assert np.abs(found - squares).sum() <= 1.1 * floor * block.size + 1e-14 * squares.sum()
            assert abs(level.tails[i, j, 0] - squares.sum()) <= 1e-2 * floor * block.size + (
                1e-13 * squares.sum()
            )
            seen += 1
    assert seen >= 48


@pytest.mark.parametrize("shape", [(32, 32), (37, 20)])
def test_blocks_side_by_side_are_those_one_by_one(shape):
    matrix, tree = (
        np.arange(np.prod(shape), dtype=float).reshape(shape),
        ClusterTree.bisect(shape, 4),
    )
    for level in range(tree.depth):
        counts = tree.rows[level].size - 1, tree.columns[level].size - 1
        places = [(level, i, j) for i in range(counts[0]) for j in range(counts[1])]
        sizes = {matrix[tree.window(at)].shape for at in places}
        for size in sizes:
            alike = [at for at in places if matrix[tree.window(at)].shape == size]
            expected = np.stack([matrix[tree.window(at)] for at in alike])
            assert np.array_equal(tree.stacked(matrix, np.array(alike)), expected)


@pytest.mark.parametrize("rank", [0, 3])
def test_bounds_of_many_products_are_those_of_each(rank):
    generator = np.random.default_rng(5)
    entries = (
        generator.normal(size=(6, 8, 5)) * 10.0 ** np.array([-200, -9, 0, 1, 9, 99])[:, None, None]
    )
    entries[2] = 0.0
    left, right = generator.normal(size=(6, 8, rank)), generator.normal(size=(6, rank, 5))
    found = product_errors(entries, left, right)
    each = [product_error(*one) for one in zip(entries, left, right, strict=True)]
    np.testing.assert_allclose(found, each, rtol=1e-14)
    gaps = np.linalg.norm(entries - left @ right, axis=(1, 2))
    assert (found >= gaps * (1 - 1e-12)).all() and (found <= gaps * (1 + 1e-9) + 1e-12).all()
