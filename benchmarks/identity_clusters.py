"""Groups of records that grow by joining, and how good they are at every threshold of a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.identity_measures import Labels, Quality, measure

STEP: Final = 0.25  # of weight, between thresholds that are tried


class Groups:
    """Disjoint groups of the records 0 to `size` - 1."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def root(self, record: int) -> int:
        parents = self._parents
        while parents[record] != record:
            parents[record] = parents[parents[record]]
            record = parents[record]
        return record

    def join(self, left: int, right: int) -> None:
        left, right = self.root(left), self.root(right)
        if left != right:
            self._parents[max(left, right)] = min(left, right)

    def labels(self) -> list[str]:
        """The number of the group's first record, as text, for each record."""
        return [str(self.root(record)) for record in range(len(self._parents))]


@dataclass(frozen=True, slots=True)
class Best:
    weight: float
    quality: Quality


def best_threshold(
    truth: Labels,
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    weight: npt.NDArray[np.float64],
    inns: Sequence[str | None] | None = None,
) -> Best:
    """The weight at or above which joining gives the best F1, of thresholds a STEP apart."""
    order = np.argsort(-weight, kind="stable")
    levels = np.floor(weight[order] / STEP)
    groups = Groups(len(truth))
    best = Best(float("inf"), measure(truth, groups.labels(), inns))
    for place, at in enumerate(order):
        groups.join(int(left[at]), int(right[at]))
        if place + 1 == len(order) or levels[place + 1] < levels[place]:
            quality = measure(truth, groups.labels(), inns)
            if quality.f1 > best.quality.f1:
                best = Best(float(levels[place] * STEP), quality)
    return best
