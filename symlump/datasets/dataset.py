"""A regression task: inputs, targets, names."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from symlump.ode.exact import FloatArray, IntArray


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Inputs and targets, one sample a row.

    Parameters
    ----------
    name : str
    inputs : ndarray, shape (samples, inputs)
    targets : ndarray, shape (samples, outputs)
    input_names, target_names : tuple of str
    groups : ndarray of int, shape (samples,), optional
        Samples that say the same, such as repeated rows, have one number; a split does not part them.
    """

    name: str
    inputs: FloatArray
    targets: FloatArray
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    groups: IntArray | None = None

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def take(self, rows: slice | IntArray) -> Dataset:
        """Some of the samples."""
        return replace(
            self,
            inputs=self.inputs[rows],
            targets=self.targets[rows],
            groups=None if self.groups is None else self.groups[rows],
        )

    def sample(self, most: int, seed: int = 0) -> Dataset:
        """At most so many samples, chosen at random; the whole set where it has no more."""
        if len(self) <= most:
            return self
        return self.take(np.random.default_rng(seed).permutation(len(self))[:most])

    def split(self, test_share: float = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Shuffle and split into training and test parts, both standardized by the training part.

        Every column of the training part gets mean 0 and standard deviation 1. With groups the sizes are
        met up to one group.
        """
        order = np.random.default_rng(seed).permutation(len(self))
        cut = len(self) - int(round(test_share * len(self)))
        if self.groups is not None:
            # Each group takes the place of its first sample in the shuffled order.
            _, first, member = np.unique(self.groups[order], return_index=True, return_inverse=True)
            place = first[member.ravel()]
            order = order[np.argsort(place, kind="stable")]
            starts = np.flatnonzero(np.diff(np.sort(place), prepend=-1))
            cut = int(starts[min(int(np.searchsorted(starts, cut)), starts.size - 1)])
        train, test = self.take(order[:cut]), self.take(order[cut:])
        scaled = []
        for part in (train, test):
            scaled.append(
                replace(
                    part,
                    inputs=_standardized(part.inputs, train.inputs),
                    targets=_standardized(part.targets, train.targets),
                )
            )
        return scaled[0], scaled[1]

    def __repr__(self) -> str:
        return (
            f"<Dataset {self.name}: {len(self)} samples, {self.inputs.shape[1]} inputs, "
            f"{self.targets.shape[1]} targets>"
        )


def _standardized(values: FloatArray, reference: FloatArray) -> FloatArray:
    deviation = reference.std(axis=0)
    return np.asarray((values - reference.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0))
