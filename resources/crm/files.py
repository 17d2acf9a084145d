"""Exports dropped into a folder, as a source: CSV and XLSX files that people and CRMs save.

Connection (every option but `folder`, `tables`, `pattern` and `key` has a default):

    folder: /srv/sverka/inbox
    settle_seconds: 5            # a file changed since then may still be growing
    tables:
      deal:
        pattern: "deals*.csv"    # or a list; relative to the folder
        key: [ID]                # the columns that make the record's id
        mode: snapshot           # the newest file is the whole truth; or append: files add and update
        columns: [ID, Сумма]     # a file without them is another file
        sheet, header_row, encoding, separator   # found out where absent
        skip_totals: true        # "Итого" rows are no records
        min_share: 0.5           # a snapshot with fewer of the known rows than this is taken for partial
        allow_shrink: false

"Newest" is by time of modification, then by name. A record is the row as text, column by column, with
`_file` and `_row`; the id of several key columns is their values joined by "|". Files are the unit of
change: a new file is read whole, and whoever stores the records sees which rows differ.

What cannot be trusted changes nothing: a file that grows, is open in Excel, cut, damaged, of other
columns or suspiciously short raises SourceError after the other tables were read; a row without its key,
and rows that share an id but differ, become Rejects, and what was stored under that id stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from resources.connector import Capabilities, Change, Entity, Finding, Page, Record, Reject, SourceError
from resources.crm.file_rows import FileRows, Survey, TableFiles, listed, table_files
from resources.crm.spreadsheet import UnreadableError, open_table

PAGE_ROWS = 1_000
MAX_FILES = 10_000  # of one table, in the folder

LIMITS = None  # a folder has no rate


def connect(system: str, connection: Mapping[str, Any], budget: object = None) -> Files:
    """Make the source of a connection. A folder has no rate limit, so `budget` is not used.

    Raises SourceError naming the option that is missing, unknown or wrong.
    """
    unknown = set(connection) - {"folder", "tables", "settle_seconds"}
    if unknown or not connection.get("folder") or not isinstance(connection.get("tables"), Mapping):
        raise SourceError(
            f"{system}: a file connection has `folder`, `tables` and perhaps `settle_seconds`, not"
            f" {', '.join(sorted(connection))}; correct the connection"
        )
    tables = [
        table_files(system, entity, options, connection.get("settle_seconds", 5))
        for entity, options in connection["tables"].items()
    ]
    return Files(system, Path(connection["folder"]).expanduser(), tables)


class Files:
    """A folder of exports as a Source. Holds nothing open between calls.

    `known_count(entity)` and `known_contents(entity)` may be set by whoever stores the records: how many
    living records there are, and the versions (`Change.version`) of the files loaded so far, latest last.
    With the first a partial snapshot is refused, with the second a file dropped again is no news.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(entities=())  # each instance has its own

    def __init__(
        self,
        system: str,
        folder: Path,
        tables: Sequence[TableFiles],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.system = system
        self.folder = folder
        self.tables = {table.entity: table for table in tables}
        self.clock = clock
        self.known_count: Callable[[str], int] | None = None
        self.known_contents: Callable[[str], Collection[str]] | None = None
        # Rows of appended files never vanish, so nothing is swept; a snapshot is swept by its keys.
        entities = [
            Entity(t.entity, incremental=True, deletions="sweep" if t.snapshot else "tombstones")
            for t in tables
        ]
        vars(self)["capabilities"] = Capabilities(entities=entities)

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """Yield pages of up to 1,000 rows; with `since`, only of files that came or changed since then.

        A file is read as it stands, so `until` cuts nothing off. Raises SourceError at the end, when
        every table that can be read has been; `retriable` if waiting may be enough for all of them.
        """
        failures: list[SourceError] = []
        for entity in entities:
            table = self._table(entity)
            read = set() if since is None else self._known(table)
            try:
                paths = self._current(table, since)
            except SourceError as error:
                failures.append(error)
                continue
            for path in paths:
                try:
                    yield from self._pages(table, path, read)
                except SourceError as error:
                    failures.append(error)
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise SourceError(
                "\n".join(str(error) for error in failures),
                retriable=all(error.retriable for error in failures),
            )

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        """Yield the ids of the newest snapshot, contested ones too: what is stored of them stays.

        Raises SourceError where the ids are not known for certain (a row that cannot be read, a file
        that `read` would refuse), and for appended files, whose rows never vanish.
        """
        table = self._table(entity)
        if not table.snapshot:
            raise SourceError(
                f"{self.system}: files of {entity} are appended, so a row missing from them is not deleted;"
                " do not sweep it, or set `mode: snapshot`"
            )
        for path in self._current(table, None):
            with self._open(table, path) as rows:
                survey = self._survey(table, rows)
                if survey.unreadable:
                    lines = f"{rows.opened.unit}s {listed(survey.unreadable)}"
                    raise UnreadableError(
                        f"{lines} cannot be read, so it is unknown which {entity} was deleted",
                        "mend them or export the file again",
                    )
                ids = rows.ids(survey)
                while page := list(islice(ids, PAGE_ROWS)):
                    yield page

    def changes(self, since: datetime) -> Iterator[Change]:
        """Yield one hint a file that came since then: `source_id` its name, `version` its content.

        A file whose content is known by `known_contents` is no hint; neither is one that still grows: it
        becomes one when it rests, as long as the caller looks back `overlap_seconds`. A file that cannot
        be read is a hint, so that reading it tells a person why.
        """
        for table in self.tables.values():
            known = self._known(table)
            try:
                paths = self._current(table, since)
            except SourceError:
                continue  # no folder or no file: nothing new; `check` and `read` say why
            for path in paths:
                try:
                    with self._open(table, path) as rows:
                        modified_at, version = rows.opened.modified_at, rows.opened.version
                except SourceError as error:
                    if error.retriable:
                        continue
                    modified_at, version = datetime.fromtimestamp(path.stat().st_mtime, UTC), "unreadable"
                if version not in known:
                    yield Change(table.entity, self._name(path), modified_at, version)

    def check(self) -> list[Finding]:
        """Look at the folder and at the current file of every table, in plain words."""
        if not self.folder.is_dir():
            return [
                Finding(
                    str(self.folder),
                    False,
                    "the folder does not exist or may not be read",
                    "create it, or correct `folder` of the connection",
                )
            ]
        findings = [Finding(str(self.folder), True, "the folder is there and can be read")]
        for table in self.tables.values():
            paths: list[Path] = []
            try:
                paths = self._current(table, None)
                if not paths:
                    message = f"no file is called {', '.join(table.patterns)}"
                    findings.append(Finding(table.entity, False, message, "drop one, or correct `pattern`"))
            except SourceError as error:
                findings.append(_failed(table, error))
            for path in paths:
                try:
                    findings.append(self._finding(table, path))
                except SourceError as error:
                    findings.append(_failed(table, error))
        return findings

    def close(self) -> None:
        """Nothing stays open."""

    # --- files ---

    def _table(self, entity: str) -> TableFiles:
        if entity not in self.tables:
            raise SourceError(
                f"{self.system}: the connection has no files of {entity}, only of {', '.join(self.tables)};"
                " add it to `tables`"
            )
        return self.tables[entity]

    def _known(self, table: TableFiles) -> set[str]:
        """The contents that are no news: the last snapshot, or any appended file."""
        known = list(self.known_contents(table.entity)) if self.known_contents else []
        return set(known[-1:] if table.snapshot else known)

    def _current(self, table: TableFiles, since: datetime | None) -> list[Path]:
        """The files to read, oldest first: the newest of a snapshot, all appended ones."""
        if not self.folder.is_dir():
            raise SourceError(
                f"{self.system}: the folder {self.folder} does not exist or may not be read;"
                " create it, or correct `folder` of the connection",
                retriable=True,
            )
        found: dict[Path, tuple[int, str]] = {}
        came: dict[Path, float] = {}
        for pattern in table.patterns:
            for path in self.folder.glob(pattern):
                if path.name.startswith(("~$", ".")) or not path.is_file():
                    continue  # Excel's and LibreOffice's lock files, uploads under way
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue
                found[path] = stat.st_mtime_ns, path.name
                # A copy may keep the time of its original; when it came shows in the inode's change.
                came[path] = max(stat.st_mtime, stat.st_ctime)
                if len(found) > MAX_FILES:
                    raise SourceError(
                        f"{self.system}: more than {MAX_FILES} files of {table.entity} in {self.folder};"
                        " move those already loaded to another folder"
                    )
        paths = sorted(found, key=lambda path: found[path])
        if table.snapshot and not paths:
            raise SourceError(
                f"{self.system}: no file of {table.entity} ({', '.join(table.patterns)}) in {self.folder};"
                " drop the export there, or correct `pattern`",
                retriable=True,
            )
        if table.snapshot:
            paths = paths[-1:]
        return [path for path in paths if since is None or came[path] >= since.timestamp()]

    @contextmanager
    def _open(self, table: TableFiles, path: Path) -> Iterator[FileRows]:
        """Open a file at rest; whatever makes it unreadable, now or later, becomes a SourceError."""
        try:
            self._see_at_rest(table, path)
            with open_table(path, table.layout) as opened:
                yield FileRows(table, opened, self._name(path))
        except UnreadableError as error:
            raise SourceError(
                f"{self.system}: {self._name(path)}: {error}", retriable=error.retriable
            ) from error

    def _see_at_rest(self, table: TableFiles, path: Path) -> None:
        for lock in (path.with_name(f"~${path.name}"), path.with_name(f".~lock.{path.name}#")):
            if lock.exists():
                raise UnreadableError(
                    f"it is open in Excel or LibreOffice (there is {lock.name})",
                    f"close it there; if nobody has it open, delete {lock.name}",
                    retriable=True,
                )
        try:
            modified_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except FileNotFoundError as error:
            raise UnreadableError("it went away", "drop the export again", retriable=True) from error
        rested = self.clock() - modified_at
        if rested < -table.settle:
            raise UnreadableError(
                f"its time of modification, {modified_at:%Y-%m-%d %H:%M:%S} UTC, lies ahead",
                "set the clock of the machine that writes it",
                retriable=True,
            )
        if rested < table.settle:
            raise UnreadableError(
                f"it was changed {max(rested.total_seconds(), 0):.0f} s ago and may still be growing",
                f"it is read when it has rested for {table.settle.total_seconds():.0f} s",
                retriable=True,
            )

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    # --- rows ---

    def _pages(self, table: TableFiles, path: Path, read: set[str]) -> Iterator[Page]:
        with self._open(table, path) as rows:
            if rows.opened.version in read:
                return  # the same content again
            read.add(rows.opened.version)
            survey = self._survey(table, rows)
            items = rows.items(survey)
            while page := list(islice(items, PAGE_ROWS)):
                yield Page(
                    table.entity,
                    [item for item in page if isinstance(item, Record)],
                    rejects=[item for item in page if isinstance(item, Reject)],
                )
            if survey.parents:
                yield Page(table.entity, [], complete_parents=survey.parents)

    def _survey(self, table: TableFiles, rows: FileRows) -> Survey:
        """Look through the whole file before anything of it is given out."""
        survey = rows.survey()
        if table.snapshot and self.known_count and not table.allow_shrink:
            known = self.known_count(table.entity)
            if survey.ids < known * table.min_share:
                raise UnreadableError(
                    f"it has {survey.ids} of {table.entity}, {known} are known, so it looks partial",
                    f"export all again; if so many are truly gone, set `allow_shrink` of {table.entity}",
                )
        return survey

    def _finding(self, table: TableFiles, path: Path) -> Finding:
        with self._open(table, path) as rows:
            survey, opened = self._survey(table, rows), rows.opened
            notes = [
                f"{self._name(path)}: {opened.form}",
                f"header in {opened.unit} {opened.header_line} with {len(opened.columns)} columns",
                f"{survey.ids} of {table.entity}",
            ]
            if opened.hidden:
                hidden = listed(opened.hidden)
                notes.append(f"{len(opened.hidden)} rows hidden in Excel ({hidden}) are read too")
            if survey.totals:
                notes.append(f"{survey.totals} rows of totals passed over")
            held = [
                f"held: {number} {what}"
                for number, what in (
                    (survey.keyless, "rows without a key"),
                    (len(survey.contested), "ids in several rows that differ"),
                    (len(survey.unreadable), "rows that cannot be read"),
                )
                if number
            ]
            return Finding(
                table.entity,
                not held,
                ", ".join(notes + held),
                "mend the rows and export again" if held else "",
            )


def _failed(table: TableFiles, error: SourceError) -> Finding:
    message, _, remedy = str(error).rpartition("; ")
    return Finding(table.entity, False, message, remedy)
