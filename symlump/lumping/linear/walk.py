"""Two ways to walk the path of an ε-lumping from space to space: in full, and in large systems.

Let V be the space, P the projection on it, and G = Σ (b·J_k)ᵀ(b·J_k) over an orthonormal basis of V and all
k. The defect of V is the square root of the largest eigenvalue of (I − P)·G·(I − P), and the direction that is
added its eigenvector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
from scipy import sparse

from symlump.errors import FailureError
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.spaces.invariant import InvariantSpace
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.monomials import ranges

#: Numbers far below rounding are not seen. Singular values this close, relatively, count as equal.
_DUST, _EQUAL = 1e-30, 1e-9
#: In more coordinates squares are taken, while they are no smaller beside the largest.
_SQUARES, _TELLING = 40, 1e-5
#: So near to each other, beside the largest coefficient, images are taken for equal then.
_ALIKE = 1e-10
#: In large systems directions this near to the largest are added with it.
_TOGETHER = 0.8
#: Exact lumpings with more rows are walked to in blocks. A basis has at most so many numbers.
LARGE, _MOST_NUMBERS = 150, 100_000_000
#: Vectors of a block, at least and at most; directions of new images in it; steps of a Krylov space; rounds.
_LEAST_BLOCK, _BLOCK, _FRESH, _POWERS, _ROUNDS = 6, 32, 4, 8, 60
#: What is left of a vector, beside its length, where it is inside a space but for rounding.
_NOTHING = 1e-9
#: How far the vector of the largest eigenvalue, and others that are added, may be from eigenvectors.
_LARGEST_ERROR, _OTHER_ERRORS = 1e-4, 1e-2
#: Images this small beside the largest coefficient are rounding.
_FAR_BELOW = 1e-11
#: A Gram matrix squares: what is this small beside the largest coefficient is not told from 0.
_SQUARED_ROUNDING = 1e-7


class SpaceWalk(ABC):
    """The spaces from the span of the observables to the smallest exact lumping, one after the other."""

    def __init__(self, family: MatrixFamily, start: FloatArray, exact: InvariantSpace) -> None:
        self.family, self.exact = family, exact
        self.unfolded = family.unfolded.to_float()
        self.scale = float(np.abs(self.unfolded.data).max(initial=0.0))
        self.start_rank = int(exact.closure.kept.size)

    @cached_property
    def places(self) -> tuple[int, IntArray]:
        """How many of the matrices are not zero, and which of them each kept column belongs to."""
        used, place = np.unique(self.family.generators, return_inverse=True)
        return used.size, place.ravel()

    def images(self, row: FloatArray) -> sparse.csr_array:
        """The vectors row·J_k for all J_k that are not zero."""
        entries = row @ self.unfolded, self.family.columns, self._starts
        return sparse.csr_array(entries, shape=(self.places[0], self.family.size))

    @cached_property
    def _starts(self) -> IntArray:
        return _starts(self.places[1])

    def images_inside(self, row: FloatArray) -> FloatArray:
        """Their projections on the exact lumping, in its coordinates; without those that are zero."""
        images = self.images(row) @ self.whole.T
        return np.asarray(images[images.any(axis=1)])

    def norm_outside(self, images: sparse.csr_array, basis: FloatArray) -> float:
        """The largest singular value of what images have inside the exact lumping and outside a space."""
        images.eliminate_zeros()
        images = images[np.diff(images.indptr) > 0]
        if not images.nnz:
            return 0.0
        space = basis @ self.whole.T
        # With fewer rows than that, their Gram matrix is larger than they are.
        if images.shape[0] * len(self.whole) > images.shape[1] ** 2:
            gram = self.whole @ (images.T @ images).toarray() @ self.whole.T
            size = float(np.sqrt(np.trace(gram)))
            gram -= space.T @ (space @ gram)
            gram -= (gram @ space.T) @ space
            largest = float(np.sqrt(max(np.linalg.eigvalsh(gram)[-1], 0.0)))
            if largest > _SQUARED_ROUNDING**0.5 * size:
                return largest
            # Squares of less are not told from rounding.
        inside = images @ self.whole.T
        return float(np.linalg.norm(inside - inside @ space.T @ space, 2))

    @cached_property
    def whole(self) -> FloatArray:
        """An orthonormal basis of the exact lumping."""
        size = self.exact.basis.shape
        if size[0] == size[1]:
            return np.eye(size[0])
        basis = self.exact.basis.to_float().toarray()
        basis /= np.linalg.norm(basis, axis=1, keepdims=True)
        return np.asarray(np.linalg.qr(basis.T)[0].T)

    @abstractmethod
    def advance(self) -> tuple[int, float] | None:
        """Dimension and defect of the next space; None after the exact one."""

    @abstractmethod
    def basis(self, dimension: int) -> FloatArray:
        """An orthonormal basis of a space that was reached."""


class FullWalk(SpaceWalk):
    """With all singular values at each step, in coordinates of the exact lumping.

    In more than a few dozen coordinates they are the roots of the eigenvalues of G outside the space, which are
    known up to rounding of the largest there has been. Once they are small beside that, and in few coordinates,
    they are computed without squares.
    """

    def __init__(self, family: MatrixFamily, start: FloatArray, exact: InvariantSpace) -> None:
        super().__init__(family, start, exact)
        rest = len(self.whole) - self.start_rank
        #: A basis of all coordinates whose first vectors span the space.
        self._frame = np.linalg.svd(start @ self.whole.T, full_matrices=True)[2]
        #: G outside the space, in coordinates of the frame's rest; its largest eigenvalue so far.
        self._gram: FloatArray | None = np.zeros((rest, rest)) if rest > _SQUARES else None
        self._largest = 0.0
        #: Without squares: what the images have outside the space, up to a rotation.
        self._outside = np.zeros((0, rest))
        self._done, self._dimension, self._over = 0, self.start_rank, False

    def advance(self) -> tuple[int, float] | None:
        """Dimension and defect of the next space; None after the exact one."""
        if self._over:
            return None
        dimension = self._dimension
        if dimension == len(self.whole):
            self._over = True
            return dimension, 0.0
        singular, turn = self._spectrum()
        # Rows before ``dimension`` stay: the frame holds every space of the path.
        self._frame[dimension:] = turn @ self._frame[dimension:]
        # In coordinates of the turned rows the images are these numbers; those of the added rows are inside.
        count = int(np.sum(singular >= singular[0] * (1 - _EQUAL)))
        if self._gram is None:
            self._outside = np.diag(singular)[count:, count:]
        else:
            self._gram = np.diag(singular**2)[count:, count:]
        self._done = dimension
        self._dimension += count
        # Only the exact lumping is known to have none.
        return dimension, max(float(singular[0]), _DUST * self.scale)

    def _spectrum(self) -> tuple[FloatArray, FloatArray]:
        """All singular values outside the space, descending, with their right vectors in the frame's rest."""
        rest = self._frame[self._dimension :].T
        if self._gram is not None:
            for v in self._frame[self._done : self._dimension]:
                images = self._images_by_groups(v @ self.whole) @ rest
                self._gram += images.T @ images
            squares, vectors = np.linalg.eigh(self._gram)
            squares = np.maximum(squares[::-1], 0.0)
            self._largest = max(self._largest, float(squares[0]))
            if squares[0] > _TELLING * self._largest:
                return np.sqrt(squares), vectors.T[::-1]
            self._gram = None
            self._outside = np.zeros((0, rest.shape[1]))
            self._done = 0
        for v in self._frame[self._done : self._dimension]:
            stacked = np.vstack([self._outside, self.images_inside(v @ self.whole) @ rest])
            # Dust far below rounding would end in denormal numbers, which are a hundred times slower.
            stacked[np.abs(stacked) < _DUST * self.scale] = 0.0
            self._outside = np.asarray(np.linalg.qr(stacked, mode="r"))
        _, singular, turn = np.linalg.svd(self._outside)
        return np.pad(singular, (0, len(turn) - singular.size)), turn

    def _images_by_groups(self, row: FloatArray) -> FloatArray:
        """The r·J_k inside the exact lumping: one of each group of equal ones, times √ of its size."""
        self._pattern.data = (self._unfolded @ row) * self._groups[2]
        return np.asarray(self._pattern @ self._columns)

    @cached_property
    def _pattern(self) -> sparse.csr_array:
        """Where images of those J_k have entries."""
        kept, place, weights = self._groups
        starts = _starts(place)
        entries = weights, self.family.columns[kept], starts
        return sparse.csr_array(entries, (starts.size - 1, self.family.size))

    @cached_property
    def _unfolded(self) -> sparse.csr_array:
        return self.unfolded[:, self._groups[0]].T.tocsr()

    @cached_property
    def _columns(self) -> FloatArray:
        return np.ascontiguousarray(self.whole.T)

    @cached_property
    def _groups(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Kept columns of one matrix for each group with equal images inside; its number, and √ of its size.

        Such are those of monomials in variables that the exact lumping takes together. A random vector tells:
        where its images are equal, so are all others'.
        """
        count, place = self.places
        vectors = np.random.default_rng(0).standard_normal((2, len(self.whole)))
        inside = self.images(vectors[0] @ self.whole) @ self.whole.T
        key = np.rint(inside @ vectors[1] / (_ALIKE * self.scale))
        _, first, group, sizes = np.unique(
            key, return_index=True, return_inverse=True, return_counts=True
        )
        other = np.abs(inside - inside[first[group.ravel()]]).max(axis=1, initial=0.0)
        if np.any(other > _ALIKE * self.scale):  # different ones with one key
            first, sizes = np.arange(count), np.ones_like(place, shape=count)
        number = np.full(count, -1)
        number[np.sort(first)] = np.arange(first.size)
        weight = np.zeros(count)
        weight[first] = np.sqrt(sizes)
        kept = np.flatnonzero(number[place] >= 0)
        return kept, number[place[kept]], weight[place[kept]]

    def basis(self, dimension: int) -> FloatArray:
        """An orthonormal basis of a space that was reached."""
        return self._frame[:dimension] @ self.whole


class BlockWalk(SpaceWalk):
    """With the largest eigenvalues only, by block iteration from those of the step before.

    Directions within a fifth of the largest are added together. G is never written out: of matrices with
    entries in many columns the images outside the space are kept, as few as have the same G; of the others,
    whose images have few entries, the sum of their squares, which is sparse. So a step takes a few products
    with these, and the way to d rows about variables · d² operations. In a linear system there are no more
    directions than rows were added last, and no iteration.
    """

    def __init__(self, family: MatrixFamily, start: FloatArray, exact: InvariantSpace) -> None:
        super().__init__(family, start, exact)
        self.size = len(exact.pivots)
        self._rows = np.linalg.svd(start, full_matrices=False)[2][: self.start_rank]
        #: What dense images have outside the space, inside the exact lumping.
        self._images, self._most_images = np.zeros((0, family.size)), 0
        self._random = np.random.default_rng(0)
        self._dimension = 0
        self._block = np.zeros((family.size, 0))
        self._over = False
        self._add(self._rows)

    def advance(self) -> tuple[int, float] | None:
        """Dimension and defect of the next space; None after the exact one."""
        if self._over:
            return None
        dimension = self._dimension
        if dimension < self.size:
            squares, vectors = self._largest()
            defect = float(np.sqrt(max(squares[0], 0.0)))
            least = _SQUARED_ROUNDING * self.scale
            if defect > least:
                count = int(np.sum(squares >= _TOGETHER**2 * squares[0]))
                count = min(count, _BLOCK, self.size - dimension)
                self._block = vectors[:, count:]
                self._add(vectors[:, :count].T)
                return dimension, defect
            self._dimension = self.size
            return dimension, least  # it is no more than that
        self._over = True
        return self.size, 0.0

    def basis(self, dimension: int) -> FloatArray:
        """An orthonormal basis of a space that was reached."""
        return self._rows[:dimension]

    def _add(self, rows: FloatArray) -> None:
        """Add orthonormal rows to the space, and their images to what is outside."""
        done, count, n = self._dimension, len(rows), self.family.size
        if (done + count) * n > _MOST_NUMBERS:
            raise FailureError(
                f"more than {done} rows for this tolerance, of {n} variables, or sums of those that the "
                f"observables do not tell apart, are more than {_MOST_NUMBERS} numbers; a larger tolerance "
                "takes fewer, and without one (eps=0) there is no such limit"
            )
        if done + count > len(self._rows):  # room for as many again
            self._rows = np.vstack([self._rows, np.zeros((max(done, count), n))])
        self._rows[done : done + count] = rows
        self._dimension += count
        self._images -= (self._images @ rows.T) @ rows
        values = rows @ self.unfolded
        self._add_narrow(values)
        fresh = np.zeros((len(self._wide) * count, n))
        for k, part in enumerate(self._wide):
            fresh[k * count : (k + 1) * count, self.family.columns[part]] = values[:, part]
        self._images = np.vstack([self._images, self._outside(fresh.T).T])
        if len(self._images) <= _BLOCK or len(self._images) > self._most_images:
            self._images = self._compressed(self._images)
            self._most_images = 2 * max(len(self._images), _BLOCK)
        if not self._pairs[2].nnz and len(self._images) <= _BLOCK:
            self._block = self._images.T  # there is nothing else
            return
        # What is new has directions in the images of what was added; others may have been missed.
        mixed = self._times(rows.T)
        few = self._random.standard_normal((count, min(_FRESH, count)))
        others = self._random.standard_normal((n, 2))
        self._block = np.hstack([self._block[:, :_BLOCK], mixed @ few, others])

    def _compressed(self, images: FloatArray) -> FloatArray:
        """As few orthogonal rows as have the same Gram matrix, but for what is far below rounding."""
        _, size, directions = np.linalg.svd(images, full_matrices=False)
        count = int(np.sum(size > _FAR_BELOW * self.scale))
        return np.asarray(size[:count, None] * directions[:count])

    def _add_narrow(self, values: FloatArray) -> None:
        """Add Σ_k (r·J_k)ᵀ(r·J_k) of matrices with entries in few columns."""
        left, right, pattern, place = self._pairs
        step = max(1, 2**22 // max(1, left.size))
        for start in range(0, len(values), step):
            some = values[start : start + step]
            added = np.einsum("ij,ij->j", some[:, left], some[:, right])
            pattern.data += np.bincount(place, added, pattern.data.size)

    @cached_property
    def _wide(self) -> list[slice]:
        """The kept columns of each matrix that has entries in many columns."""
        _, place = self.places
        cuts = _starts(place)
        many = max(8, self.family.size // 8)
        pairs = zip(cuts.tolist(), cuts[1:].tolist(), strict=False)
        return [slice(a, b) for a, b in pairs if b - a > many]

    @cached_property
    def _pairs(self) -> tuple[IntArray, IntArray, sparse.csr_array, IntArray]:
        """Pairs of kept columns of a narrow matrix; the sparse part of G, and which entry of it is whose."""
        _, owner = self.places
        narrow = np.ones(owner.size, dtype=bool)
        for part in self._wide:
            narrow[part] = False
        kept = np.flatnonzero(narrow)
        _, first, count = np.unique(owner[kept], return_index=True, return_counts=True)
        lengths = np.repeat(count, count)
        left = np.repeat(kept, lengths)
        right = kept[ranges(np.repeat(first, count), lengths)]
        columns, n = self.family.columns, self.family.size
        target, place = np.unique(columns[left] * n + columns[right], return_inverse=True)
        starts = np.searchsorted(target, n * np.arange(n + 1))
        entries = np.zeros(target.size), target % n, starts
        return left, right, sparse.csr_array(entries, shape=(n, n)), place.ravel()

    def _times(self, block: FloatArray) -> FloatArray:
        """G times a block of columns."""
        pattern = self._pairs[2]
        product = self._images.T @ (self._images @ block)
        return np.asarray(product + pattern @ block if pattern.nnz else product)

    def _outside(self, block: FloatArray) -> FloatArray:
        """What a block has outside the space and, where that is not everything, inside the exact lumping."""
        rows = self._rows[: self._dimension]
        if self.size < len(block):
            block = self.whole.T @ (self.whole @ block)
        return np.asarray(block - rows.T @ (rows @ block))

    def _largest(self) -> tuple[FloatArray, FloatArray]:
        """The largest eigenvalues outside the space, descending, with orthonormal vectors outside it."""
        block = self._new_directions(self._block, np.zeros((self.family.size, 0)))
        if not block.shape[1]:  # all that sticks out is far below rounding
            return np.zeros(1), block
        for _ in range(_ROUNDS):
            # Rayleigh and Ritz on the block and its images: some steps of a Krylov space at once.
            space = block
            moved = last = self._times(block)
            for _ in range(_POWERS):
                newest = self._new_directions(last, space)
                if not newest.shape[1]:
                    break
                last = self._times(newest)
                space, moved = np.hstack([space, newest]), np.hstack([moved, last])
            values, turn = np.linalg.eigh(space.T @ moved)
            values, turn = values[::-1], turn[:, ::-1]
            top = max(1, int(np.sum(values[:_BLOCK] >= _TOGETHER**2 * values[0])))
            kept = min(max(_LEAST_BLOCK, 2 * top), _BLOCK)
            block = space @ turn[:, :kept]
            # Where more are within a fifth than are added at once, any of them will do.
            few = turn[:, : top if top < _BLOCK else 1]
            rest = self._outside(moved @ few) - space @ few * values[: few.shape[1]]
            error = np.linalg.norm(rest, axis=0) / abs(values[0])
            # The errors of eigenvalues are of the order of the squares of these.
            if error[0] <= _LARGEST_ERROR and error.max() <= _OTHER_ERRORS:
                break
        return values[:kept], np.linalg.qr(self._outside(block))[0]

    def _new_directions(self, block: FloatArray, space: FloatArray) -> FloatArray:
        """Orthonormal columns for what a block has outside the space that was reached, and outside another."""
        # Twice, for what is nearly inside.
        for least in (_NOTHING * float(np.linalg.norm(block)), 0.5):
            block = self._outside(block)
            block, triangle = np.linalg.qr(block - space @ (space.T @ block))
            block = block[:, np.abs(np.diag(triangle)) > least]
        return np.asarray(block)


def _starts(place: IntArray) -> IntArray:
    """Where the entries of each row begin, and the last end, of a matrix without empty rows."""
    return np.flatnonzero(np.diff(place, prepend=-1, append=-2))


def walk_of(family: MatrixFamily, start: FloatArray, exact: InvariantSpace) -> SpaceWalk:
    """The way to walk that suits the size of the exact lumping."""
    large = len(exact.pivots) > LARGE
    return (BlockWalk if large else FullWalk)(family, start, exact)
