"""The rows of one export as records: ids, rows that contradict each other, and rows that cannot be trusted."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from itertools import pairwise
from sys import intern

import msgspec

from resources.connector import Record, Reject
from resources.crm.files.layout import UnreadableError, listed
from resources.crm.files.options import TableFiles
from resources.crm.files.sheet import Seen, SheetRows
from resources.crm.files.spreadsheet import Table
from resources.crm.files.totals import check_totals

MAX_CONTESTED = 10_000  # ids; more means that the key is no key


@dataclass(slots=True)
class Survey:
    """What a first pass over a file found; no record is given out before it is complete."""

    ids: int = 0  # distinct
    totals: int = 0
    groups: int = 0  # headings of groups
    headers: int = 0  # the header once more
    left_out: int = 0  # hidden rows, where hidden ones are left out
    keyless: int = 0
    doubtful: int = 0  # rows with a cell that cannot be trusted
    remarks: list[str] = field(default_factory=list)  # on totals, for a person
    unreadable: list[int] = field(default_factory=list)
    repeated: dict[str, int] = field(default_factory=dict)  # id that stands again -> its first line
    contested: dict[str, list[int]] = field(
        default_factory=dict
    )  # id (or parent) of rows that differ -> lines
    parents: list[str] = field(default_factory=list)  # whose rows are all there and agree
    # parent whose rows agree -> what they say in `parent_columns`
    stated: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What other files have to say of the parents in this one."""

    counts: Callable[[str], bool]  # this file is the newest that holds the parent
    contradiction: Callable[[str], str]  # a sentence where another file says otherwise, else empty


ALONE = Verdict(lambda parent: True, lambda parent: "")


class FileRows:
    """An open file of one entity."""

    def __init__(self, table: TableFiles, opened: Table, name: str) -> None:
        self.table, self.opened, self.name = table, opened, name
        self.sheet = SheetRows(table, opened, name)
        self._shared = [opened.columns.index(column) for column in table.parent_columns]

    def survey(self) -> Survey:
        """Count and compare the rows. Raises UnreadableError where the file is cut, the key is none, or a
        total disagrees with the rows.

        Memory: 8 bytes a row. Ids that may stand twice are found by their hashes, then looked at.
        """
        survey = Survey()
        if self.sheet.parent is not None:
            self._survey_parents(survey)
        else:
            self._survey_ids(survey)
        if survey.totals or survey.groups or self.table.control_totals:
            survey.remarks += check_totals(self.sheet)
        return survey

    def items(
        self, survey: Survey, stamp: datetime | None = None, verdict: Verdict = ALONE
    ) -> Iterator[Record | Reject]:
        """Yield what the rows say, in their order; `stamp` in place of the file's own time."""
        modified_at = stamp or self.opened.modified_at
        key_names = ", ".join(f'"{column}"' for column in self.table.layout.key)
        entity, unit = self.table.entity, self.opened.unit
        encode = msgspec.json.Encoder().encode
        numbered: dict[str, int] = {}
        for seen in self.sheet.rows():
            row = seen.row
            place = f"{self.name}, {unit} {row.line}"
            origin = {"_file": self.name, "_row": row.line}
            if seen.kind == "unreadable":
                raw = encode({"_raw": row.raw, **origin})
                yield Reject(place, f"{place} {row.problem}", raw, self.sheet.parent_of(row))
            if seen.kind not in ("record", "footer"):
                continue
            payload = encode({**self.sheet.values(seen), **origin})
            source_id, parent = self.sheet.id_of(row), self.sheet.parent_of(row)
            if source_id is not None and parent is not None:
                numbered[source_id] = numbered.get(source_id, 0) + 1
            if seen.problem:
                yield Reject(place, seen.problem, payload, parent)
            elif source_id is None or (parent is None and self.sheet.parent is not None):
                names = key_names if source_id is None else f'"{self.table.parent}"'
                reason = f"{place}: {entity} without its key {names}; fill it in or delete the row"
                yield Reject(place, reason, payload, parent)
            elif parent is not None and parent in survey.contested:
                lines = f"{unit}s {listed(survey.contested[parent])}"
                names = ", ".join(self.table.parent_columns)
                reason = (
                    f"{self.name}: rows of {self.table.parent} {parent} differ in {names} ({lines}); "
                    "give each of them a number of its own, or make them agree"
                )
                yield Reject(place, reason, payload, parent)
            elif parent is not None and (contradiction := verdict.contradiction(parent)):
                yield Reject(place, contradiction, payload, parent)
            elif parent is not None:
                if verdict.counts(parent):
                    yield Record(_numbered(source_id, numbered[source_id]), payload, modified_at, parent)
            elif source_id in survey.contested:
                lines = f"{unit}s {listed(survey.contested[source_id])}"
                reason = f"{self.name}: {entity} {source_id} differs between {lines}; keep one of the rows"
                yield Reject(place, reason, payload)
            elif survey.repeated.get(source_id, row.line) == row.line:
                yield Record(source_id, payload, modified_at)

    def ids(self, survey: Survey) -> Iterator[str]:
        """Yield every id once, contested ones and those of rows set apart too."""
        numbered: dict[str, int] = {}
        for seen in self.sheet.rows():
            source_id = self.sheet.id_of(seen.row) if seen.kind in ("record", "footer") else None
            if source_id is None:
                continue
            if self.sheet.parent is not None and self.sheet.parent_of(seen.row) is None:
                continue
            if self.sheet.parent is not None:
                numbered[source_id] = numbered.get(source_id, 0) + 1
                yield _numbered(source_id, numbered[source_id])
            elif survey.repeated.get(source_id, seen.row.line) == seen.row.line:
                yield source_id

    def _records(self, survey: Survey) -> Iterator[tuple[Seen, str | None]]:
        """The rows that are records, with their ids; all others are counted."""
        for seen in self.sheet.rows():
            if seen.kind == "total":
                survey.totals += 1
            elif seen.kind == "group":
                survey.groups += 1
            elif seen.kind == "header":
                survey.headers += 1
            elif seen.kind == "left_out":
                survey.left_out += 1
            elif seen.kind == "footer":
                survey.doubtful += 1
            elif seen.kind == "unreadable" or seen.id_unknown:
                survey.unreadable.append(seen.row.line)
            else:
                survey.doubtful += bool(seen.problem)
                yield seen, self.sheet.id_of(seen.row)

    def _survey_ids(self, survey: Survey) -> None:
        hashes = [array("q") for _ in range(256)]
        for seen, source_id in self._records(survey):
            if source_id is None:
                survey.keyless += not seen.problem
            else:
                survey.ids += 1
                number = hash(source_id)
                hashes[number & 255].append(number)
        suspects: set[int] = set()
        for part in hashes:
            suspects.update(a for a, b in pairwise(sorted(part)) if a == b)
        if suspects:
            self._compare(suspects, survey)

    def _survey_parents(self, survey: Survey) -> None:
        """The same where several rows make one whole: a number that stands for two different ones is told."""
        first: dict[str, tuple[int, tuple[str, ...]]] = {}
        broken: set[str] = set()
        for seen, source_id in self._records(survey):
            row, parent = seen.row, self.sheet.parent_of(seen.row)
            if parent is None or source_id is None:
                survey.keyless += not seen.problem
                broken.add(parent or "")
                continue
            survey.ids += 1
            if seen.problem:
                broken.add(parent)
            # Clients come again and again; one copy of each name is kept.
            shared = tuple(intern((row.cells[place] or "").strip()) for place in self._shared)
            line, before = first.setdefault(parent, (row.line, shared))
            if before != shared:
                survey.contested.setdefault(parent, [line]).append(row.line)
        whole = not survey.unreadable  # an unreadable row may belong to any of them
        survey.stated = {p: shared for p, (_, shared) in first.items() if p not in survey.contested}
        survey.parents = [p for p in survey.stated if whole and p not in broken]

    def _compare(self, suspects: set[int], survey: Survey) -> None:
        first: dict[str, tuple[int, bytes]] = {}
        for seen in self.sheet.rows():
            if seen.kind != "record" or seen.id_unknown:
                continue
            row, source_id = seen.row, self.sheet.id_of(seen.row)
            if source_id is None or hash(source_id) not in suspects:
                continue
            digest = blake2b(repr(list(row.cells)).encode(), digest_size=16).digest()
            line, before = first.setdefault(source_id, (row.line, digest))
            if line == row.line:
                continue
            survey.ids -= 1
            survey.repeated[source_id] = line
            if before != digest or source_id in survey.contested:
                survey.contested.setdefault(source_id, [line]).append(row.line)
            if len(survey.contested) > MAX_CONTESTED:
                raise UnreadableError(
                    f"more than {MAX_CONTESTED} values of {', '.join(self.table.layout.key)} stand again",
                    "name columns that tell one row from another as `key`",
                )


def _numbered(source_id: str, number: int) -> str:
    """The second row of one key is `KEY#2`."""
    return source_id if number == 1 else f"{source_id}#{number}"
