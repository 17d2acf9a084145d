"""How well records were told apart: two labellings of the same records compared, the truth and an answer.

All counts come from one table of (true cluster, found cluster) cells, so a million records cost seconds and no
pair is ever listed. B-cubed as Bagga and Baldwin define it ("Entity-based cross-document coreferencing using the
vector space model", 1998): for each record the share of its found cluster that is truly its own, and the share
of its true cluster that was found with it, each averaged over records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Labels = Sequence[Any] | npt.NDArray[Any]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares are 0 to 1. `precision` of an answer that joins nothing is 1, so is `recall` where nothing is to join."""

    precision: float
    recall: float
    f1: float
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f1: float
    exact: float  # share of true clusters found with all their records and no other
    over_merged: int  # found clusters that hold records of several true ones
    split: int  # true clusters whose records lie in several found ones
    true_pairs: int
    found_pairs: int
    right_pairs: int
    inn_conflicts: int  # pairs of records in one found cluster whose valid INNs differ; 0 without INNs


def measure(truth: Labels, found: Labels, inns: Labels | None = None) -> Quality:
    """Compare labels record by record. `inns`: the valid tax number of each record, None where it has none.

    Raises ValueError where the lengths differ or a label is missing: a record without an answer is no answer.
    """
    true_codes, found_codes = _codes(truth, "truth"), _codes(found, "found")
    if len(true_codes) != len(found_codes):
        raise ValueError(
            f"{len(true_codes)} true labels and {len(found_codes)} found ones; give one a record each"
        )
    records = len(true_codes)
    true_sizes, found_sizes = np.bincount(true_codes), np.bincount(found_codes)
    cell_true, cell_found, cells = _cells(true_codes, found_codes)
    right, true_pairs, found_pairs = _pairs(cells), _pairs(true_sizes), _pairs(found_sizes)
    precision = right / found_pairs if found_pairs else 1.0
    recall = right / true_pairs if true_pairs else 1.0
    squares = cells.astype(np.float64) ** 2
    bcubed_precision = float((squares / found_sizes[cell_found]).sum() / records) if records else 1.0
    bcubed_recall = float((squares / true_sizes[cell_true]).sum() / records) if records else 1.0
    whole = (cells == true_sizes[cell_true]) & (cells == found_sizes[cell_found])
    return Quality(
        precision=precision,
        recall=recall,
        f1=_harmonic(precision, recall),
        bcubed_precision=bcubed_precision,
        bcubed_recall=bcubed_recall,
        bcubed_f1=_harmonic(bcubed_precision, bcubed_recall),
        exact=float(whole.sum() / len(true_sizes)) if records else 1.0,
        over_merged=int((np.bincount(cell_found) > 1).sum()),
        split=int((np.bincount(cell_true) > 1).sum()),
        true_pairs=true_pairs,
        found_pairs=found_pairs,
        right_pairs=right,
        inn_conflicts=_conflicts(found_codes, inns) if inns is not None else 0,
    )


def _codes(labels: Labels, name: str) -> Codes:
    codes, _ = pd.factorize(np.asarray(labels, dtype=object))
    if (codes < 0).any():
        at = int(np.flatnonzero(codes < 0)[0])
        raise ValueError(f"{name}: record {at} has no label; give a record that is alone a label of its own")
    return codes.astype(np.int64)


def _cells(left: Codes, right: Codes) -> tuple[Codes, Codes, Codes]:
    """Each pair of labels that occurs, and how often."""
    if not len(left):
        return left, right, left
    width = int(right.max()) + 1
    cells, counts = np.unique(left * width + right, return_counts=True)
    return cells // width, cells % width, counts.astype(np.int64)


def _conflicts(found: Codes, inns: Labels) -> int:
    codes, _ = pd.factorize(np.asarray(inns, dtype=object))
    if len(codes) != len(found):
        raise ValueError(
            f"{len(codes)} INNs for {len(found)} records; give one a record, None where there is none"
        )
    known = codes >= 0
    clusters, alike = found[known], codes[known].astype(np.int64)
    _, _, cells = _cells(clusters, alike)
    return _pairs(np.bincount(clusters)) - _pairs(cells) if len(clusters) else 0


def _pairs(sizes: Codes) -> int:
    return int((sizes.astype(np.int64) * (sizes.astype(np.int64) - 1) // 2).sum())


def _harmonic(left: float, right: float) -> float:
    return 2 * left * right / (left + right) if left + right else 0.0
