"""What several files say of one parent (a deal of many rows): which of them counts, and where they contradict.

The newest file that holds a parent says all of it. But a number that stands for one client in this file
and for another in that one is a mistake of a person, and which of the two is right cannot be known here:
what was there first stays, and the rows of the other file are set apart until one of the files is mended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from resources.connector import Record
from resources.crm.files.options import TableFiles

LOOK_UP = 5_000  # parents asked for at once

Values = tuple[str, ...]
Stored = Callable[[str, Sequence[str]], Sequence[Record]]
Present = Callable[[str, Collection[str]], Mapping[str, Values] | None]


@dataclass(frozen=True, slots=True)
class Statement:
    """What one file says of a parent. `owner`: its place in this read; None for what is stored."""

    name: str
    values: Values
    stamp: datetime | None
    owner: int | None = None


class Parents:
    """The statements of the files of one read, given oldest first, beside what is stored.

    `stored(entity, parents)` gives a record for every parent and file that stored rows of it came from;
    `present(name, parents)` what the file of that name says of them now, None where there is no such file.
    """

    def __init__(self, table: TableFiles, stored: Stored | None, present: Present) -> None:
        self.table, self._stored, self._present = table, stored, present
        self._said: dict[str, Statement] = {}
        self._contradictions: dict[tuple[int, str], str] = {}

    def state(self, owner: int, name: str, stamp: datetime, stated: Mapping[str, Values]) -> None:
        """Take in what a file says of its parents."""
        parents = list(stated)
        for start in range(0, len(parents), LOOK_UP):
            part = parents[start : start + LOOK_UP]
            earlier = self._earlier(part)
            suspects: dict[str, dict[str, Statement]] = {}
            for parent in part:
                for other in earlier.get(parent, ()):
                    if other.name != name and self._differing(other.values, stated[parent]):
                        suspects.setdefault(other.name, {})[parent] = other
            void = self._contradict(owner, name, stated, suspects)
            for parent in part:
                if (owner, parent) in self._contradictions:
                    continue
                stamps = [
                    o.stamp for o in earlier.get(parent, ()) if (o.name, parent) not in void and o.stamp
                ]
                if all(stamp >= other for other in stamps):
                    self._said[parent] = Statement(name, stated[parent], stamp, owner)

    def says(self, owner: int, parent: str) -> bool:
        """Whether this file is the one that counts for the parent."""
        return parent in self._said and self._said[parent].owner == owner

    def contradiction(self, owner: int, parent: str) -> str:
        """The sentence for a person where the file contradicts another one; empty where it does not."""
        return self._contradictions.get((owner, parent), "")

    def _earlier(self, parents: Sequence[str]) -> dict[str, list[Statement]]:
        found = {parent: [self._said[parent]] for parent in parents if parent in self._said}
        asked = [parent for parent in parents if parent not in found]
        if self._stored is None or not asked:
            return found
        for record in self._stored(self.table.entity, asked):
            payload = msgspec.json.decode(record.payload)
            values = tuple(payload.get(column) or "" for column in self.table.parent_columns)
            statement = Statement(str(payload.get("_file", "")), values, record.modified_at)
            found.setdefault(record.parent_id or "", []).append(statement)
        return found

    def _contradict(
        self,
        owner: int,
        name: str,
        stated: Mapping[str, Values],
        suspects: Mapping[str, Mapping[str, Statement]],
    ) -> set[tuple[str, str]]:
        """Keep the true contradictions; returns what a file has taken back: (its name, parent)."""
        void: set[tuple[str, str]] = set()
        for other_name, parents in suspects.items():
            outside = [parent for parent, other in parents.items() if other.owner is None]
            present = self._present(other_name, outside) if outside else None
            for parent, other in parents.items():
                values = other.values
                if other.owner is None and present is not None:
                    if parent not in present:
                        void.add((other_name, parent))
                        continue
                    values = present[parent]
                if differing := self._differing(values, stated[parent]):
                    told = ", ".join(f'{column} is "{a}" there and "{b}" here' for column, a, b in differing)
                    self._contradictions[owner, parent] = (
                        f"{name}: {self.table.parent} {parent} stands in {other_name} too, and {told}; correct"
                        f" one of the two files and drop it again under its name, or give one of the two a"
                        " number of its own"
                    )
        return void

    def _differing(self, there: Values, here: Values) -> list[tuple[str, str, str]]:
        columns = self.table.parent_columns
        return [
            (column, a, b)
            for column, a, b in zip(columns, there, here, strict=True)
            if column not in self.table.parent_changes and a.strip() and b.strip() and _key(a) != _key(b)
        ]


def _key(text: str) -> tuple[str, ...]:
    """What two spellings of a name or a number share: words in any order, without quotes and leading zeros."""
    words = re.findall(r"\w+", text.casefold().replace("ё", "е"))
    return tuple(sorted(word.lstrip("0") or "0" if word.isdigit() else word for word in words))
