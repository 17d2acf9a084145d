"""A folder of mapping files as one company's set-up: loaded, checked, immutable."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mappings.check import check_file, check_folder
from mappings.paths import payload_keys
from mappings.reader import SUFFIXES, MappingError, Problem, Source, expand, read_file, shown, validate
from mappings.schema import Approval, ReadRule, SystemFile
from mappings.tables import TargetTable, targets
from mappings.write import WriteRule


@dataclass(frozen=True, slots=True)
class Read:
    """One entity of the source that fills one table. `index`: its place in the table's list, from 0.

    `entity` is empty for rows that are written out in the file.
    """

    table: str
    entity: str
    index: int
    rule: ReadRule = field(repr=False)
    place: str = ""  # "mappings/demo/bitrix24.yaml:12"
    join: str = ""  # not empty: only tells which rows a change of this joined entity touches


@dataclass(frozen=True, slots=True)
class System:
    """One connected system. `connection` may hold secrets and is left out of repr."""

    file: SystemFile = field(repr=False)
    reads: tuple[Read, ...] = field(repr=False)
    given: Mapping[str, Any] = field(repr=False)
    undefined: tuple[Problem, ...] = field(repr=False)
    source: Source = field(repr=False, compare=False)
    name: str
    fingerprint: str

    @property
    def connection(self) -> Mapping[str, Any]:
        """How to reach the system. Raises MappingError while a variable that it names is not set."""
        if self.undefined:
            raise MappingError(list(self.undefined))
        return self.given

    @property
    def connector(self) -> str:
        """The module that speaks to it: resources/<crm or accounting>/<connector>."""
        return self.file.connector

    @property
    def role(self) -> Literal["crm", "accounting"]:
        """Where deals come from, or where documents go."""
        return self.file.role

    @property
    def title(self) -> str:
        """What people call the system."""
        return self.file.title

    @property
    def owner(self) -> str:
        """The team that answers for it, as assets name it; may be empty."""
        return self.file.owner

    @property
    def country(self) -> str:
        """ISO 3166 alpha-2: of phones and tax numbers where a record names no country."""
        return self.file.country

    @property
    def timezone(self) -> str:
        """IANA name: of times without an offset, and of the days that people there speak of."""
        return self.file.timezone

    @property
    def approval(self) -> Literal["auto", "manual"] | Approval:
        """Whether planned operations go out by themselves, a person lets them go, or their sum decides."""
        return self.file.approval

    @property
    def numbers_itself(self) -> bool:
        """Whether the system numbers what we write, so that `ops.alias` says which record is which."""
        return self.file.keys == "theirs"

    def entities_of(self, table: str) -> tuple[str, ...]:
        """The raw entities whose records are rows of a table."""
        return tuple(dict.fromkeys(r.rule.from_ for r in self.reads_of(table) if r.rule.from_ and not r.join))

    @property
    def path(self) -> Path:
        """The mapping file."""
        return self.source.path

    @property
    def write(self) -> Mapping[str, WriteRule]:
        """Bodies of what is written into accounting, by kind."""
        return self.file.write

    @property
    def feedback(self) -> Mapping[str, WriteRule]:
        """Bodies of what is written back into the CRM, by kind."""
        return self.file.feedback

    def echo_fields(self, kind: str) -> tuple[str, ...]:
        """The source's fields that we write ourselves: a change of these alone is no news."""
        rule = self.file.feedback.get(kind) or self.file.write.get(kind)
        return tuple(rule.fields) if rule else ()

    def fields_read(self) -> dict[str, tuple[str, ...]]:
        """By raw entity the keys of its payload that any rule reads, joined ones and conditions included."""
        found: dict[str, dict[str, None]] = {}
        for read in self.reads:
            if read.entity and not read.join:
                for entity, name in payload_keys(read.rule):
                    found.setdefault(entity, {})[name] = None
        return {entity: tuple(names) for entity, names in found.items()}

    def fields_written(self) -> dict[str, tuple[str, ...]]:
        """By kind the fields that we write back into a CRM; a duplicate is told as a task."""
        found: dict[str, dict[str, None]] = {}
        for section, rule in self.file.feedback.items():
            kind = "task" if section == "duplicate" else section
            found.setdefault(kind, {}).update(dict.fromkeys(rule.fields))
        return {kind: tuple(names) for kind, names in found.items()}

    def base_paths(self) -> dict[str, tuple[str, ...]]:
        """By raw entity of corrections and returns: the paths under which a record names the document that it follows; of payments
        those under which they name the returns that they use up."""
        found = {
            read.entity: used.from_
            for read in self.reads_of("ledger.payment_line")
            if read.entity and not read.join and (used := read.rule.fields.get("return_key")) is not None
        }
        for read in self.reads_of("ledger.document"):
            kind, base = read.rule.fields.get("kind"), read.rule.fields.get("base_key")
            if read.entity and not read.join and kind is not None and base is not None:
                kinds = {kind.constant, kind.otherwise, *(kind.map or {}).values()}
                if kinds & {"correction", "return"}:
                    found[read.entity] = base.from_
        return found

    @property
    def entities(self) -> tuple[str, ...]:
        """Every raw entity that is read, joined ones included, in the order of the file."""
        return tuple(dict.fromkeys(read.entity for read in self.reads if read.entity))

    def reads_of(self, table: str) -> tuple[Read, ...]:
        """The reads that fill a table, joined ones included, in the order of the file."""
        return tuple(read for read in self.reads if read.table == table)

    def place(self, *place: str | int) -> str:
        """`file:line` of a part of this file."""
        return f"{self.source.name}:{self.source.line(*place)}"


@dataclass(frozen=True, slots=True)
class Mappings:
    """All systems of a folder, sorted by name. `fingerprint` changes with any character of any file."""

    folder: Path
    systems: tuple[System, ...]
    fingerprint: str

    def sources(self) -> tuple[System, ...]:
        """Systems that are read as CRMs."""
        return tuple(system for system in self.systems if system.role == "crm")

    def accounting(self) -> System:
        """The one accounting system; `load` lets no set-up pass without it."""
        return next(system for system in self.systems if system.role == "accounting")

    def unset(self) -> tuple[Problem, ...]:
        """Variables that connections name, without a default, and that are not set: a sentence each."""
        return tuple(problem for system in self.systems for problem in system.undefined)

    def system(self, name: str) -> System:
        """Raises KeyError."""
        return {system.name: system for system in self.systems}[name]


def load(
    folder: Path | str,
    environ: Mapping[str, str] | None = None,
    tables: Mapping[str, TargetTable] | None = None,
    *,
    connected: bool = True,
    called: Path | None = None,
) -> Mappings:
    """Load and check every mapping file of a folder. `called`: the folder by whose name its files are told of, where they
    are to take the place of that folder's.

    With `connected=False` the variables that connections name need not be set yet: what only describes
    the systems (the graph, the mapping document) does not reach them.
    Raises MappingError; str() lists all problems as "file:line: message. remedy".
    """
    folder = Path(folder)
    known = targets() if tables is None else tables
    paths = sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES) if folder.is_dir() else []
    if not paths:
        raise MappingError(
            [Problem(shown(folder), 1, "holds no mapping files. Set SVERKA_MAPPINGS to a folder with *.yaml")]
        )
    problems: list[Problem] = []
    systems: list[System] = []
    for path in paths:
        try:
            name = path if called is None else called / path.name
            system = _system(path, name, os.environ if environ is None else environ, known, problems)
            systems.append(system)
            if connected:
                problems.extend(system.undefined)
        except MappingError as error:
            problems.extend(error.problems)
    broken = len(systems) < len(paths)
    problems.extend(check_folder([(system.file, system.source) for system in systems], folder, broken=broken))
    if problems:
        raise MappingError(problems)
    systems.sort(key=lambda system: system.name)
    whole = "\n".join(f"{system.name} {system.fingerprint}" for system in systems)
    return Mappings(folder, tuple(systems), _digest(whole))


def _system(
    path: Path,
    name: Path,
    environ: Mapping[str, str],
    known: Mapping[str, TargetTable],
    problems: list[Problem],
) -> System:
    source = replace(read_file(path), path=name)
    values, undefined = expand(source, environ)
    file = validate(source, values)
    problems.extend(check_file(file, source, known))
    reads = tuple(
        Read(table, entity, index, rule, f"{source.name}:{source.line('read', table, index)}", join)
        for table, rules in file.read.items()
        for index, rule in enumerate(rules)
        for join, entity in (("", rule.from_ or ""), *((name, j.entity) for name, j in rule.join.items()))
    )
    return System(file, reads, file.connection, tuple(undefined), source, file.system, _digest(source.text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
