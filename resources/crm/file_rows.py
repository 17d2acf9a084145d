"""The rows of one export as records: ids, totals, and rows that cannot be trusted."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from sys import intern

import msgspec

from resources.connector import Record, Reject, SourceError
from resources.crm.spreadsheet import Layout, Row, Table, UnreadableError

MAX_CONTESTED = 10_000  # ids; more means that the key is no key
TOTALS = re.compile(
    r"\s*(итого|всего|итог|общий итог|промежуточный итог|total|totals|grand total|subtotal|sum)\b", re.I
)
EXCEL_ERRORS = frozenset(
    [
        "#N/A",
        "#REF!",
        "#VALUE!",
        "#NAME?",
        "#DIV/0!",
        "#NULL!",
        "#NUM!",
        "#Н/Д",
        "#ССЫЛКА!",
        "#ЗНАЧ!",
        "#ИМЯ?",
    ]
)
NUMBER = re.compile(r"[-+]?[\d\s\u00a0\u202f.,]+%?")


@dataclass(frozen=True, slots=True)
class TableFiles:
    """What a connection says of one entity's files."""

    entity: str
    patterns: tuple[str, ...]
    layout: Layout
    snapshot: bool = True
    skip_totals: bool = True
    min_share: float = 0.5
    allow_shrink: bool = False
    settle: timedelta = timedelta(seconds=5)
    parent: str = ""  # column of what several rows together are; rows of one key are then numbered
    parent_columns: tuple[str, ...] = ()  # columns in which all rows of one parent agree
    parent_changes: tuple[str, ...] = ()  # of these, such as may change from file to file
    allow_restore: bool = False


@dataclass(slots=True)
class Survey:
    """What a first pass over a file found; no record is given out before it is complete."""

    ids: int = 0  # distinct
    totals: int = 0
    keyless: int = 0
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
        self._key = [opened.columns.index(column) for column in table.layout.key]
        self._parent = opened.columns.index(table.parent) if table.parent else None
        self._shared = [opened.columns.index(column) for column in table.parent_columns]

    def survey(self) -> Survey:
        """Count and compare the rows. Raises UnreadableError where the file is cut or the key is none.

        Memory: 8 bytes a row. Ids that may stand twice are found by their hashes, then looked at.
        """
        survey = Survey()
        if self._parent is not None:
            return self._survey_parents(survey)
        hashes = [array("q") for _ in range(256)]
        for row in self.opened.rows():
            if row.problem:
                survey.unreadable.append(row.line)
            elif self._totals(row):
                survey.totals += 1
            elif (source_id := self._id(row)) is None:
                survey.keyless += 1
            else:
                survey.ids += 1
                number = hash(source_id)
                hashes[number & 255].append(number)
        suspects: set[int] = set()
        for part in hashes:
            suspects.update(a for a, b in pairwise(sorted(part)) if a == b)
        if suspects:
            self._compare(suspects, survey)
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
        for row in self.opened.rows():
            place = f"{self.name}, {unit} {row.line}"
            origin = {"_file": self.name, "_row": row.line}
            if row.problem:
                raw = encode({"_raw": row.raw, **origin})
                yield Reject(place, f"{place} {row.problem}", raw, self._parent_of(row))
                continue
            if self._totals(row):
                continue
            payload = encode({**self.opened.values(row), **origin})
            source_id, parent = self._id(row), self._parent_of(row)
            if source_id is None:
                reason = f"{place}: {entity} without its key {key_names}; fill it in or delete the row"
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
                    numbered[source_id] = numbered.get(source_id, 0) + 1
                    yield Record(_numbered(source_id, numbered[source_id]), payload, modified_at, parent)
            elif source_id in survey.contested:
                lines = f"{unit}s {listed(survey.contested[source_id])}"
                reason = f"{self.name}: {entity} {source_id} differs between {lines}; keep one of the rows"
                yield Reject(place, reason, payload)
            elif survey.repeated.get(source_id, row.line) == row.line:
                yield Record(source_id, payload, modified_at)

    def ids(self, survey: Survey) -> Iterator[str]:
        """Yield every id once, contested ones too."""
        numbered: dict[str, int] = {}
        for row in self.opened.rows():
            source_id = None if row.problem or self._totals(row) else self._id(row)
            if source_id is not None and self._parent is not None:
                numbered[source_id] = numbered.get(source_id, 0) + 1
                yield _numbered(source_id, numbered[source_id])
            elif source_id is not None and survey.repeated.get(source_id, row.line) == row.line:
                yield source_id

    def _survey_parents(self, survey: Survey) -> Survey:
        """The same where several rows make one whole: a number that stands for two different ones is told."""
        first: dict[str, tuple[int, tuple[str, ...]]] = {}
        broken: set[str] = set()
        for row in self.opened.rows():
            if row.problem:
                survey.unreadable.append(row.line)
            elif self._totals(row):
                survey.totals += 1
            elif (parent := self._parent_of(row)) is None or self._id(row) is None:
                survey.keyless += 1
                broken.add(parent or "")
            else:
                survey.ids += 1
                # Clients come again and again; one copy of each name is kept.
                shared = tuple(intern((row.cells[place] or "").strip()) for place in self._shared)
                line, seen = first.setdefault(parent, (row.line, shared))
                if seen != shared:
                    survey.contested.setdefault(parent, [line]).append(row.line)
        whole = not survey.unreadable  # an unreadable row may belong to any of them
        survey.stated = {p: shared for p, (_, shared) in first.items() if p not in survey.contested}
        survey.parents = [p for p in survey.stated if whole and p not in broken]
        return survey

    def _parent_of(self, row: Row) -> str | None:
        if self._parent is None:
            return None
        cells = row.likely if row.problem else row.cells
        value = (cells[self._parent] or "").strip() if self._parent < len(cells) else ""
        return value if value and value not in EXCEL_ERRORS else None

    def _compare(self, suspects: set[int], survey: Survey) -> None:
        first: dict[str, tuple[int, bytes]] = {}
        for row in self.opened.rows():
            source_id = None if row.problem or self._totals(row) else self._id(row)
            if source_id is None or hash(source_id) not in suspects:
                continue
            digest = blake2b(repr(list(row.cells)).encode(), digest_size=16).digest()
            line, seen = first.setdefault(source_id, (row.line, digest))
            if line == row.line:
                continue
            survey.ids -= 1
            survey.repeated[source_id] = line
            if seen != digest or source_id in survey.contested:
                survey.contested.setdefault(source_id, [line]).append(row.line)
            if len(survey.contested) > MAX_CONTESTED:
                raise UnreadableError(
                    f"more than {MAX_CONTESTED} values of {', '.join(self.table.layout.key)} stand again",
                    "name columns that tell one row from another as `key`",
                )

    def _id(self, row: Row) -> str | None:
        """The id; None where a part of it is empty or an Excel error such as #N/A."""
        if len(self._key) == 1:
            value = (row.cells[self._key[0]] or "").strip()
            return value if value and value not in EXCEL_ERRORS else None
        values = [(row.cells[place] or "").strip() for place in self._key]
        if not all(values) or any(value in EXCEL_ERRORS for value in values):
            return None
        return "|".join(value.replace("\\", "\\\\").replace("|", "\\|") for value in values)

    def _totals(self, row: Row) -> bool:
        """A row that begins with "Итого" or "Total": without a key, or with nothing but numbers beside.

        A company may be called Total; then it has other texts in its row and is a record.
        """
        if not self.table.skip_totals:
            return False
        begins = next((cell for cell in row.cells if cell is not None and not cell.isspace()), "")
        if not TOTALS.match(begins):
            return False
        rest = [cell.strip() for cell in row.cells if cell is not None and not cell.isspace()][1:]
        return self._id(row) is None or (bool(rest) and all(NUMBER.fullmatch(cell) for cell in rest))


def table_files(system: str, entity: str, options: object, settle_seconds: float) -> TableFiles:
    """Validate the options of one entity. Raises SourceError naming the option and the remedy."""
    known = {
        "pattern",
        "key",
        "mode",
        "sheet",
        "header_row",
        "encoding",
        "separator",
        "skip_totals",
        "columns",
        "min_share",
        "allow_shrink",
        "settle_seconds",
        "parent",
        "parent_columns",
        "parent_changes",
        "allow_restore",
    }
    where = f"{system}: `tables.{entity}`"
    if not isinstance(options, Mapping) or not options.get("pattern") or not options.get("key"):
        raise SourceError(f"{where} names no `pattern` and `key`; add them to the connection")
    if unknown := set(options) - known:
        raise SourceError(f"{where} has options nobody knows: {sorted(unknown)}; known are {sorted(known)}")
    mode = options.get("mode", "snapshot")
    if mode not in ("snapshot", "append"):
        raise SourceError(f'{where}: `mode` is "snapshot" or "append", not {mode!r}; correct it')
    patterns = _texts(options["pattern"])
    if bad := [p for p in patterns if Path(p).is_absolute() or ".." in Path(p).parts]:
        raise SourceError(f"{where}: the pattern {bad[0]} leaves the folder; write it relative to `folder`")
    share = options.get("min_share", 0.5)
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise SourceError(f"{where}: `min_share` is a share from 0 to 1, not {share!r}; correct it")
    parent, parent_columns = str(options.get("parent", "")).strip(), _texts(options.get("parent_columns", ()))
    if parent_columns and not parent:
        raise SourceError(
            f"{where} has `parent_columns` of no `parent`; name the column that tells whole from whole"
        )
    changes = _texts(options.get("parent_changes", ()))
    if strange := [column for column in changes if column not in parent_columns]:
        raise SourceError(
            f"{where}: `parent_changes` names {strange[0]}, which is none of `parent_columns`; correct one of them"
        )
    needed = [column for column in (parent, *parent_columns) if column]
    layout = Layout(
        key=_texts(options["key"]),
        columns=tuple(dict.fromkeys((*_texts(options.get("columns", ())), *needed))),
        sheet=options.get("sheet"),
        header_row=options.get("header_row"),
        encoding=options.get("encoding"),
        separator=options.get("separator"),
    )
    return TableFiles(
        entity,
        patterns,
        layout,
        mode == "snapshot",
        _flag(where, options, "skip_totals", True),
        float(share),
        _flag(where, options, "allow_shrink", False),
        timedelta(seconds=options.get("settle_seconds", settle_seconds)),
        parent,
        parent_columns,
        changes,
        _flag(where, options, "allow_restore", False),
    )


def _flag(where: str, options: Mapping[str, object], name: str, default: bool) -> bool:
    """A yes or no; as a text where it comes from the environment."""
    given = options.get(name, default)
    if isinstance(given, str) and given.strip().lower() in ("", "true", "false"):
        given = given.strip().lower() == "true" if given.strip() else default
    if not isinstance(given, bool):
        raise SourceError(f"{where}: `{name}` is true or false, not {given!r}; correct it")
    return given


def _numbered(source_id: str, number: int) -> str:
    """The second row of one key is `KEY#2`."""
    return source_id if number == 1 else f"{source_id}#{number}"


def _texts(value: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(str(v).strip() for v in ([value] if isinstance(value, str) else value))


def listed(lines: Sequence[int]) -> str:
    shown = ", ".join(str(line) for line in lines[:5])
    return shown + (f" and {len(lines) - 5} more" if len(lines) > 5 else "")
