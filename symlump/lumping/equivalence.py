"""What forward and backward equivalence have in common: options, and terms of a signature."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from symlump.errors import MethodError, SubjectError
from symlump.lumping.packed import PackedTerms
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.field import Residues
from symlump.lumping.tolerance.linkage import Linkage
from symlump.ode.distinct import distinct
from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.functions.algebra import Polynomial
from symlump.ode.functions.printing import symbol_text
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.monomials import pair_order, ranges
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE
from symlump.plan import Method, Plan, check_exact_wish

if TYPE_CHECKING:
    from scipy import sparse


Found = TypeVar("Found", covariant=True)


@dataclass(frozen=True, eq=False)
class SignatureTerms:
    """Loose terms of the signatures of some variables.

    Variable ``owners[t]`` has ``values[t]`` under key ``keys[t]``, which is ``targets[t]``, or its label where
    there are labels. The signature of a variable is
    the sum of its terms by key; two variables are equivalent iff their signatures are equal.
    ``describe`` tells what a key stands for: a target block (or None) and the factors of a monomial,
    (variable, power). Where there are functions of variables, ``table()`` holds what their symbols stand for.
    """

    owners: IntArray
    targets: IntArray
    values: ExactArray
    describe: Callable[[int], tuple[int | None, tuple[tuple[int, int], ...]]]
    table: Callable[[], SymbolTable] | None = None
    labels: IntArray | None = None

    @property
    def keys(self) -> IntArray:
        """The key of each term."""
        return self.targets if self.labels is None else np.asarray(self.labels[self.targets])

    def collect(self) -> tuple[IntArray, IntArray, ExactArray]:
        """Owner, key and exact value of the signatures' entries that are not zero, sorted."""
        return _collect(self.owners, self.keys, self.values)

    def to_rows(self, members: IntArray) -> sparse.csr_array:
        """Signatures of ``members`` in float64, one sparse row each."""
        from scipy import sparse

        used, column = np.unique(self.keys, return_inverse=True)
        row = np.searchsorted(members, self.owners)
        rows = sparse.coo_array(
            (self.values.to_float(), (row, column.ravel())), shape=(members.size, used.size)
        ).tocsr()
        rows.sum_duplicates()
        return rows

    def agree(self, partition: Partition) -> bool:
        """True if all members of each block have exactly equal signatures."""
        if self.table is not None:
            return self._agree_as_functions(partition, self.table)
        return not self.disagreeing(partition).size

    def disagreeing(self, partition: Partition) -> IntArray:
        """The variables whose collected terms are not those of the first of their block.

        Where those as they stand are the same as the first's, in any order, so are their sums: sums are only
        made for the others.
        """
        first = partition.first_of_each
        packed = PackedTerms.of(self.owners, self.targets, self.values, first.size, self.labels)
        if packed is None:
            return _differ(np.arange(first.size), first, *self.collect())
        doubtful = np.flatnonzero(packed.apart(first))
        if not doubtful.size:
            return doubtful
        asked = distinct(np.concatenate([doubtful, first[doubtful]]))
        return _differ(doubtful, first, *_add_up(*packed.terms(asked)))

    def _agree_as_functions(self, partition: Partition, table: Callable[[], SymbolTable]) -> bool:
        """Whether the blocks agree, where different polynomials in symbols can be one function."""
        doubtful = self.disagreeing(partition)
        if not doubtful.size:
            return True
        first = partition.representatives[partition.labels[doubtful]]
        wanted = np.zeros(partition.labels.size, dtype=bool)
        wanted[doubtful] = wanted[first] = True
        owners, keys, sums = self.collect()
        at = np.flatnonzero(wanted[owners])
        signature: dict[int, dict[int, Fraction]] = {}
        for owner, key, value in zip(
            owners[at].tolist(), keys[at].tolist(), sums.take(at), strict=True
        ):
            signature.setdefault(owner, {})[key] = value
        return all(
            self._equal_functions(signature.get(i, {}), signature.get(j, {}), table())
            for i, j in zip(doubtful.tolist(), first.tolist(), strict=True)
        )

    def _equal_functions(
        self, a: dict[int, Fraction], b: dict[int, Fraction], table: SymbolTable
    ) -> bool:
        difference: dict[int | None, Polynomial] = {}
        for key in a.keys() | b.keys():
            value = a.get(key, Fraction(0)) - b.get(key, Fraction(0))
            if value:
                target, monomial = self.describe(key)
                difference.setdefault(target, {})[monomial] = value
        return all(map(table.is_zero, difference.values()))


def _collect(
    owners: IntArray, keys: IntArray, values: ExactArray
) -> tuple[IntArray, IntArray, ExactArray]:
    """Add the values of equal (owner, key) exactly; drop zeros."""
    order = pair_order(owners, keys)
    owners, keys, values = owners[order], keys[order], values.take(order)
    del order
    return _add_up(owners, keys, values)


def _add_up(
    owners: IntArray, keys: IntArray, values: ExactArray
) -> tuple[IntArray, IntArray, ExactArray]:
    """The same of terms that are sorted by owner and key."""
    fresh = _first_of_run(owners, keys)
    sums = values.group_sum(np.cumsum(fresh) - 1, int(fresh.sum()))
    live = sums.nonzero()
    return owners[fresh][live], keys[fresh][live], sums.take(live)


def _differ(
    asked: IntArray, first: IntArray, owners: IntArray, keys: IntArray, sums: ExactArray
) -> IntArray:
    """Those of some variables whose sums are not those of the first of their block."""
    lengths = np.bincount(owners, minlength=first.size)
    start = lengths.cumsum() - lengths
    there = first[asked]
    alike = lengths[asked] == lengths[there]  # compared entry by entry, as they are sorted
    some, there = asked[alike], there[alike]
    own = ranges(start[some], lengths[some])
    other = own + np.repeat(start[there] - start[some], lengths[some])
    same = keys[own] == keys[other]
    same &= sums.numerators[own] == sums.numerators[other]
    if sums.denominators is not None:
        same &= sums.denominators[own] == sums.denominators[other]
    return np.sort(np.concatenate([asked[~alike], distinct(owners[own[~same]])]))


def _first_of_run(first: IntArray, second: IntArray) -> npt.NDArray[np.bool_]:
    """Where a new pair begins, in sorted pairs."""
    fresh = np.ones(first.size, dtype=bool)
    fresh[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return fresh


class LumpingMethod(Method[ODE, Found]):
    """A method of ``lump``: a small frozen object with its options."""

    @abstractmethod
    def plan(
        self,
        subject: ODE,
        initial: Partition | Iterable[Iterable[Any]] | None = None,
        *,
        seed: int = 0,
    ) -> Plan[Found]:
        """Analyse a system, once for all tolerances.

        Parameters
        ----------
        subject : ODE
        initial : Partition, or iterable of blocks of names, optional
            What may merge; default: everything.
        seed : int
            Of the random points, which change the work and never the result.

        Returns
        -------
        Plan
        """


@dataclass(frozen=True)
class Equivalence(LumpingMethod[Any]):
    """Options that forward and backward equivalence share.

    Parameters
    ----------
    eps : float
        Tolerance; 0 asks for the exact equivalence.
    linkage : {"closure", "diameter", "variance"}
        How the tolerance groups variables; see :mod:`symlump.lumping.tolerance.linkage`. Irrelevant at 0.
    relative : bool
        Divide distances by the mean norm of the signatures in a variable's initial block, taken
        when what the block depends on is final, so that one ε fits systems of any scale.
    scale : tuple of float, optional
        Instead of ``relative``: what the distances of each variable are divided by. Positive, one
        number per variable, the same inside an initial block.
    retain : float, optional
        Instead of ``eps``: the share of the variables to keep, in (0, 1]. The smallest ε found that keeps no
        more is used.

    Raises
    ------
    MethodError
        If an option is out of range.
    """

    eps: float = 0.0
    linkage: str = "closure"
    relative: bool = False
    scale: tuple[float, ...] | None = None
    retain: float | None = None

    direction: ClassVar[str]

    def __post_init__(self) -> None:
        check_exact_wish(self, self.eps, self.retain)
        object.__setattr__(self, "linkage", Linkage.named(self.linkage))
        if self.scale is not None and (self.relative or not all(s > 0 for s in self.scale)):
            raise MethodError("scale holds positive numbers and excludes relative=True")

    @property
    def is_exact(self) -> bool:
        """True if no tolerance is given."""
        return self.eps == 0 and self.retain is None

    @abstractmethod
    def signature(self, ode: ODE, labels: IntArray, members: IntArray | None) -> SignatureTerms:
        """Terms of the signatures of ``members`` (ascending; None for all variables).

        Parameters
        ----------
        ode : ODE
        labels : ndarray of int, shape (variables,)
            The block of each variable.
        members : ndarray of int, or None
            The variables that are asked for, in ascending order; None: all.

        Returns
        -------
        SignatureTerms
        """

    def agrees(self, ode: ODE, partition: Partition) -> bool:
        """True if a partition is an exact equivalence.

        Parameters
        ----------
        ode : ODE
        partition : Partition

        Returns
        -------
        bool

        Examples
        --------
        >>> from symlump import Backward
        >>> ode = ODE.from_text("a' = -a; b' = -b; c' = -2*c")
        >>> [Backward().agrees(ode, Partition(labels)) for labels in ([0, 0, 1], [0, 1, 0])]
        [True, False]
        """
        return self.signature(ode, partition.labels, None).agree(partition)

    @property
    def unit(self) -> str:
        """The unit of ε in words, where it is not that of the coefficients."""
        return ""

    def distance_text(self, x: int, y: int) -> str | None:
        """How far apart two variables are, where distances are not those of the signatures; else None.

        Parameters
        ----------
        x, y : int
            Positions of the variables.

        Returns
        -------
        str, or None

        Examples
        --------
        >>> from symlump import Forward
        >>> Forward().distance_text(0, 1) is None
        True
        """
        return None

    def check_defined(self, ode: ODE, labels: IntArray) -> None:
        """Raise if a denominator is always 0 on the blocks of a partition (where that can be).

        Parameters
        ----------
        ode : ODE
        labels : ndarray of int, shape (variables,)
            The block of each variable.

        Raises
        ------
        PartitionError
            By methods that set the members of a block equal.

        Examples
        --------
        >>> from symlump import Forward
        >>> Forward().check_defined(ODE.from_text("a' = 1/(a - b); b' = 1"), np.array([0, 0]))
        """
        del ode, labels

    def pair_distances(self, ode: ODE, labels: IntArray, members: IntArray) -> FloatArray | None:
        """Distances of all pairs, where they are not those of the signatures; else None.

        Parameters
        ----------
        ode : ODE
        labels : ndarray of int, shape (variables,)
            The block of each variable.
        members : ndarray of int
            The variables that are asked for.

        Returns
        -------
        ndarray, shape (members, members), or None
            In the unit of the coefficients.

        Examples
        --------
        >>> from symlump import Backward
        >>> Backward().pair_distances(ODE.from_text("a' = -a"), np.array([0]), np.array([0])) is None
        True
        """
        return None

    @abstractmethod
    def fingerprints(self, ode: ODE, prime: int, generator: np.random.Generator) -> Fingerprints:
        """An evaluator of signatures at random points of a prime field, or in words modulo 2^64.

        Parameters
        ----------
        ode : ODE
        prime : int
            The field's characteristic, below 2^31; or ``WORDS``, 2^64.
        generator : numpy.random.Generator

        Returns
        -------
        Fingerprints
        """

    @abstractmethod
    def needs(self, ode: ODE, labels: IntArray) -> tuple[IntArray, IntArray]:
        """Pairs (A, B) of blocks: the signature of a variable in A depends on block B.

        Parameters
        ----------
        ode : ODE
        labels : ndarray of int, shape (variables,)
            The block of each variable.

        Returns
        -------
        pair of ndarray of int, shape (links,)
        """

    @abstractmethod
    def quotient_terms(
        self, ode: ODE, partition: Partition
    ) -> tuple[IntArray, IntArray, ExactArray]:
        """Block, old monomial and coefficient of the terms of an exact quotient.

        Parameters
        ----------
        ode : ODE
        partition : Partition
            An exact equivalence of the system.

        Returns
        -------
        rows, columns : ndarray of int, shape (terms,)
        coefficients : ExactArray, shape (terms,)
        """


class Fingerprints(ABC):
    """Signatures evaluated at a random point, modulo a prime or 2^64: unequal values prove unequal signatures.

    Every variable has a weight, the same for all of its block.
    """

    prime: int

    @abstractmethod
    def evaluate(self, weights: Residues, members: IntArray) -> Residues:
        """The values of some variables from scratch."""

    @abstractmethod
    def update(
        self, weights: Residues, changed: IntArray, before: Residues
    ) -> tuple[IntArray, Residues]:
        """What the new weights of a few variables change: the variables concerned, and by how much."""

    @abstractmethod
    def update_cost(self, changed: IntArray) -> float:
        """Work of ``update`` as a share of that of ``evaluate`` for everything."""


def slices(indptr: IntArray, members: IntArray) -> IntArray:
    """Positions of all terms of ``members`` in arrays sorted by owner."""
    return ranges(indptr[members], indptr[members + 1] - indptr[members])


def check_system(ode: object, verb: str) -> None:
    """Raise if `ode` is not an ODE, such as a model.

    Raises
    ------
    MethodError
        With what to give instead.
    """
    if not isinstance(ode, ODE):
        raise MethodError(
            f"{verb} takes a PolynomialODE or an ODE; got a {type(ode).__name__}. The system of a model "
            f"file is sl.read(path).ode"
        )


#: In size; sums of many such coefficients are still floats.
_SMALLEST, _LARGEST = 1e-300, 1e300


def check_magnitudes(ode: ODE) -> None:
    """Refuse coefficients that are too large or too small to be compared as floats, as a tolerance does.

    Raises
    ------
    MethodError
        With the equation that one stands in.

    Examples
    --------
    >>> check_magnitudes(ODE.from_text("x' = 2*x + 3^1000*y; y' = y"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    symlump.errors.SubjectError: a coefficient in the equation of x is about 10^477; a tolerance ...
    """
    rows, inside = ode.rows, ode.generators
    at = _out_of_range(ode.coefficients)
    if at is not None:
        _refuse_size(ode.coefficients[at], f"the equation of {ode.variables[rows[at]]}")
    at = None if inside is None else _out_of_range(inside.arguments.coefficients)
    if inside is not None and at is not None:
        k = int(inside.owners[inside.arguments.rows[at]])
        _refuse_size(inside.arguments.coefficients[at], symbol_text(ode, len(ode) + k))


def _out_of_range(values: ExactArray) -> int | None:
    with np.errstate(over="ignore", under="ignore"):
        sizes = abs(values.to_float())
    bad = np.flatnonzero((sizes < _SMALLEST) | (sizes > _LARGEST))
    return int(bad[0]) if bad.size else None


def _refuse_size(value: Fraction, where: str) -> None:
    size = abs(value)
    digits = round((size.numerator.bit_length() - size.denominator.bit_length()) * 0.30103)
    raise SubjectError(
        f"a coefficient in {where} is about 10^{digits}; a tolerance compares coefficients as floats, which "
        f"takes sizes from {_SMALLEST:g} to {_LARGEST:g}: rescale the variables or the time, or ask for no "
        "tolerance"
    )


def polynomial_only(ode: ODE, what: str, instead: str = "") -> PolynomialODE:
    """The system, if its equations are polynomials; ``instead`` says what else there is.

    Raises
    ------
    MethodError
        With the first function that occurs.
    """
    if isinstance(ode, PolynomialODE):
        return ode
    check_system(ode, what)
    raise SubjectError(
        f"{what} is defined for polynomial systems only; this one contains "
        f"{symbol_text(ode, len(ode))}" + (f". {instead}" if instead else "")
    )
