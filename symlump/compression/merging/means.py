"""Weighted means of groups of units, and what a layer loses that is given by them."""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas
from scipy.sparse import csr_array

from symlump.ode.exact import FloatArray, IntArray

#: Ridge of the refit, relative to the mean square of the merged units' outputs.
RIDGE = 1e-6


def mean_matrix(group: IntArray, weight: FloatArray, count: int) -> csr_array:
    """The weighted means of groups as a matrix; a group without weight gets its plain mean."""
    total = np.bincount(group, weights=weight, minlength=count)
    share = np.where(total[group] > 0, weight, 1.0)
    mean = share / np.bincount(group, weights=share)[group]
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=count))
    return csr_array((mean[order], order, np.append(0, ends)), shape=(count, group.size))


def add_ridge(gram: FloatArray) -> None:
    """Add the ridge of the refit to second moments."""
    diagonal = np.einsum("ii->i", gram)  # a view
    diagonal += RIDGE * (float(diagonal.sum()) / len(gram) or 1.0)


def loss_with_means(covariance: FloatArray, mean: csr_array, weights: FloatArray) -> float:
    """How far units are from linear functions of some of their means, in least squares.

    Parameters
    ----------
    covariance : ndarray, shape (units, units)
        Of the units.
    mean : sparse array, shape (means, units)
    weights : ndarray, shape (units, units)
        What the products of what is left of two units count.

    Examples
    --------
    >>> half = mean_matrix(np.array([0, 0]), np.ones(2), 1)
    >>> round(loss_with_means(np.diag([1.0, 3.0]), half, np.diag([1.0, 2.0])), 5)
    2.25
    """
    cross = mean @ covariance
    gram = np.asarray(mean @ cross.T)
    add_ridge(gram)
    factor = np.linalg.cholesky(gram).astype(weights.dtype)
    solved = blas.dtrsm if weights.dtype == np.float64 else blas.strsm
    # in the order that is not copied: rows of the solution are units
    known = solved(
        1.0, factor.T, cross.astype(weights.dtype).T, side=1, lower=False, overwrite_b=True
    )
    known = known.T  # by rows
    return float(np.vdot(weights, covariance) - np.vdot(known @ weights.T, known))
