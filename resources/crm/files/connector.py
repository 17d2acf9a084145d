"""Exports dropped into a folder, as a source: CSV and XLSX files that people and CRMs save.

    folder: /srv/sverka/inbox
    tables:
      deal: {pattern: "deals*.csv", key: [ID]}

All options stand in docs/files.md. A table is a `snapshot` (the newest file is the whole truth) or
`append` (files add and update). "Newest" is by time of modification, then by name; a content that was
loaded before keeps the time at which it came first, whatever is done to its file (`history`).
A record is the row as text, column by column, with `_file` and `_row`; the id of several key columns is
their values joined by "|". Files are the unit of change: a new file is read whole, and whoever stores
the records sees which rows differ.

What cannot be trusted changes nothing: a file that grows, is open in Excel, cut, damaged, of other
columns, suspiciously short or put back raises SourceError after the other tables were read; a row without
its key, rows that share an id but differ, and rows that contradict another file (`parents`) become
Rejects, and what was stored under that id stays.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from resources.connector import Capabilities, Change, Entity, Finding, Page, Record, Reject, SourceError
from resources.crm.files.findings import noticed
from resources.crm.files.history import History, Standing
from resources.crm.files.layout import UnreadableError, listed
from resources.crm.files.options import TableFiles, table_files
from resources.crm.files.parents import Parents, Stored, Values
from resources.crm.files.rows import ALONE, FileRows, Survey, Verdict
from resources.crm.files.spreadsheet import content_version, open_table

PAGE_ROWS = 1_000
MAX_FILES = 10_000  # of one table, in the folder

LIMITS = None  # a folder has no rate
OPTIONS = {"folder", "tables", "settle_seconds", "every_seconds"}  # the last one is the sensor's


@dataclass(frozen=True, slots=True)
class _Due:
    """A file to be read."""

    path: Path
    name: str
    version: str
    standing: Standing


def connect(system: str, connection: Mapping[str, Any], budget: object = None) -> Files:
    """Make the source of a connection. A folder has no rate limit, so `budget` is not used.

    Raises SourceError naming the option that is missing, unknown or wrong.
    """
    unknown = set(connection) - OPTIONS
    if unknown or not connection.get("folder") or not isinstance(connection.get("tables"), Mapping):
        raise SourceError(
            f"{system}: a file connection has `folder`, `tables` and perhaps `settle_seconds` and"
            f" `every_seconds`, not {', '.join(sorted(connection))}; correct the connection"
        )
    tables = [
        table_files(system, entity, options, connection.get("settle_seconds"))
        for entity, options in connection["tables"].items()
    ]
    return Files(system, Path(connection["folder"]).expanduser(), tables)


class Files:
    """A folder of exports as a Source. Holds nothing open between calls.

    Whoever stores the records may set these, and thereby is told more:

    known_count(entity): how many living records there are; a partial snapshot is refused
    known_contents(entity): the files loaded so far, latest last (name, version of the content, and the
        time that its rows were given); a content that comes again is no news
    known_parents(entity, parents): a record for every parent and file that its rows came from; files
        that contradict each other are found
    known_rejects(entity): places of the rows set apart; their files are looked at again with the next one

    `loaded` and `finished` say what the last `read` read to the end: new contents in the shape of
    `known_contents`, and all files.
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
        self.known_contents: Callable[[str], Sequence[Change]] | None = None
        self.known_parents: Stored | None = None
        self.known_rejects: Callable[[str], Sequence[str]] | None = None
        self.loaded: list[Change] = []
        self.finished: list[Change] = []
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
        self.loaded, self.finished = [], []
        for entity in entities:
            table = self._table(entity)
            try:
                due = self._due(table, since, failures)
            except SourceError as error:
                failures.append(error)
                continue
            yield from self._pages(table, due, failures)
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
                self._history(table).standing(rows.name, rows.opened.version, rows.opened.modified_at)
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

        A file whose content is known by `known_contents` and stands for itself is no hint; neither is one that still grows: it
        becomes one when it rests, as long as the caller looks back `overlap_seconds`. A file that cannot
        be read is a hint, so that reading it tells a person why.
        """
        for table in self.tables.values():
            history = self._history(table)
            try:
                paths = self._current(table, since)
            except SourceError:
                continue  # no folder or no file: nothing new; `check` and `read` say why
            for path in paths:
                version = "unreadable"
                try:
                    with self._open(table, path) as rows:
                        modified_at, version = rows.opened.modified_at, rows.opened.version
                        if not history.standing(rows.name, version, modified_at).news:
                            continue
                except SourceError as error:
                    if error.retriable:
                        continue
                    modified_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
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

    def _history(self, table: TableFiles) -> History:
        loaded = self.known_contents(table.entity) if self.known_contents else ()
        return History(table.entity, loaded, snapshot=table.snapshot, allow_restore=table.allow_restore)

    def _due(self, table: TableFiles, since: datetime | None, failures: list[SourceError]) -> list[_Due]:
        """The files to read, those loaded before first, in the order in which they were loaded first.

        With `since` only news; and with news of a table whose rows make up parents, the files that rows
        were set apart of: what contradicted another file may agree with it now.
        """
        history = self._history(table)
        found = self._standing(table, self._current(table, since), history, failures)
        if since is not None:
            found = [due for due in found if due.standing.news]
            if found and table.parent and not table.snapshot and self.known_rejects:
                apart = {place.rpartition(", ")[0] for place in self.known_rejects(table.entity)}
                again = [path for path in self._current(table, None) if self._name(path) in apart]
                new = {due.path for due in found}
                found += self._standing(table, [p for p in again if p not in new], history, [])
        by_version: dict[str, _Due] = {}
        for due in found:  # one content in two files is read once, under the name that it had first
            first = by_version.get(due.version)
            if first is None or (first.name != due.name == due.standing.name):
                by_version[due.version] = due
        return sorted(by_version.values(), key=lambda due: due.standing.place)  # stable: else by time

    def _standing(
        self, table: TableFiles, paths: Sequence[Path], history: History, failures: list[SourceError]
    ) -> list[_Due]:
        found = []
        for path in paths:
            try:
                with self._explained(table, path):
                    version, modified_at = content_version(path)
                    standing = history.standing(self._name(path), version, modified_at)
            except SourceError as error:
                failures.append(error)
                continue
            if not standing.replaced:
                found.append(_Due(path, self._name(path), version, standing))
        return found

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
    def _explained(self, table: TableFiles, path: Path) -> Iterator[None]:
        """See that a file is at rest; whatever makes it unreadable, now or later, becomes a SourceError."""
        try:
            self._see_at_rest(table, path)
            yield
        except UnreadableError as error:
            raise SourceError(
                f"{self.system}: {self._name(path)}: {error}", retriable=error.retriable
            ) from error

    @contextmanager
    def _open(self, table: TableFiles, path: Path) -> Iterator[FileRows]:
        with self._explained(table, path), open_table(path, table.layout) as opened:
            yield FileRows(table, opened, self._name(path))

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
        # A name in another encoding than the system's comes with marks that no store takes.
        return os.fsencode(path.relative_to(self.folder).as_posix()).decode("utf-8", "replace")

    # --- rows ---

    def _pages(self, table: TableFiles, due: Sequence[_Due], failures: list[SourceError]) -> Iterator[Page]:
        together = bool(table.parent) and not table.snapshot
        parents = Parents(table, self.known_parents, lambda name, asked: self._present(table, name, asked))
        broken: set[int] = set()
        if together and len(due) > 1:
            # All say their say before any of it is given out: the newest counts.
            for owner, file in enumerate(due):
                try:
                    with self._reopen(table, file) as rows:
                        parents.state(owner, file.standing.name, file.standing.stamp, rows.survey().stated)
                except SourceError as error:
                    failures.append(error)
                    broken.add(owner)
        for owner, file in enumerate(due):
            if owner in broken:
                continue
            try:
                with self._reopen(table, file) as rows:
                    survey, verdict = self._survey(table, rows), ALONE
                    if together:
                        if len(due) == 1:
                            parents.state(owner, file.standing.name, file.standing.stamp, survey.stated)
                        verdict = Verdict(partial(parents.says, owner), partial(parents.contradiction, owner))
                    yield from self._file_pages(table, rows, survey, file.standing.stamp, verdict)
            except SourceError as error:
                failures.append(error)
                continue
            change = Change(table.entity, file.name, file.standing.stamp, file.version)
            self.finished.append(change)
            if file.standing.news:
                self.loaded.append(change)

    def _file_pages(
        self, table: TableFiles, rows: FileRows, survey: Survey, stamp: datetime, verdict: Verdict
    ) -> Iterator[Page]:
        items = rows.items(survey, stamp, verdict)
        while page := list(islice(items, PAGE_ROWS)):
            yield Page(
                table.entity,
                [item for item in page if isinstance(item, Record)],
                rejects=[item for item in page if isinstance(item, Reject)],
            )
        if whole := [parent for parent in survey.parents if verdict.counts(parent)]:
            yield Page(table.entity, [], complete_parents=whole)

    @contextmanager
    def _reopen(self, table: TableFiles, file: _Due) -> Iterator[FileRows]:
        with self._open(table, file.path) as rows:
            if rows.opened.version != file.version:
                raise UnreadableError(
                    "it changed while it was read", "it is read again when it rests", retriable=True
                )
            yield rows

    def _present(self, table: TableFiles, name: str, asked: Collection[str]) -> Mapping[str, Values] | None:
        """What a file in the folder says of these parents now; None where it is gone or unreadable."""
        for path in self._current(table, None):
            if self._name(path) == name:
                try:
                    with self._open(table, path) as rows:
                        stated = rows.survey().stated
                except SourceError:
                    return None
                return {parent: stated[parent] for parent in asked if parent in stated}
        return None

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
            opened = rows.opened
            self._history(table).standing(rows.name, opened.version, opened.modified_at)
            survey = self._survey(table, rows)
            notes, held = noticed(table, rows, survey)
            return Finding(
                table.entity,
                not held,
                ", ".join([*notes, *held]),
                "mend the rows and export again" if held else "",
            )


def _failed(table: TableFiles, error: SourceError) -> Finding:
    message, _, remedy = str(error).rpartition("; ")
    return Finding(table.entity, False, message, remedy)
