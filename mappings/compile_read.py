"""A read of a mapping file as SQL: one statement from raw records to rows of our table.

The statement has four layers, so that every value is taken from its record once and read once:

    given    the record's texts, trimmed, values that mean nothing left out
    read     numbers, dates, times, booleans of them; cleaned values from ops.clean_value
    values   our columns, as the column's type holds them; null where they do not fit
    rows     computed columns, and a sentence for whatever was given and could not be used

How rows are keyed decides which rows a changed record touches (law 2: the same rows in any order):

    own      system:id of the record                      touches itself
    each     system:id/part/key of an array's element     touches its record's rows
    child    rows that belong to raw.parent_id            touches the present and the previous parent
    value    system:value, the newest record wins         touches its present value and all earlier ones
    member   rows, or elements, that belong to a value of the record    likewise
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

from mappings import paths
from mappings.columns import Values, called, empty_row, row_columns
from mappings.field import Condition, FieldRule
from mappings.folder import Read, System
from mappings.literal_rows import compile_rows
from mappings.quoting import identifier, literal, table_name
from mappings.schema import ReadRule
from mappings.tables import STAGES, TableLike

Keying = Literal["own", "each", "child", "value", "member"]


class Cleaning(NamedTuple):
    """Values to clean before `rows` may run: `sql` selects those that ops.clean_value lacks.

    `country` is '' where it does not matter. A column whose country differs from row to row has one
    Cleaning a country.
    """

    kind: str
    country: str
    sql: str


@dataclass(frozen=True, slots=True)
class CompiledRead:
    """The statements of one read.

    `change(key)` holds source ids of `raw_table`, `scope(key)` keys of the table.
    `changed`, `all` select `key`; `rows` the table's columns in order; `ignored` (source_id, rule) of the
    records in scope that a named rule leaves out. `indexes`: DDL that keeps the work small where rows
    are keyed by a value; run it once for the raw table. `versions`: of a table whose versions are kept; the last
    columns of `rows` are then `_valid`, `_changed` (the newest of all it was made of) and `_seen`.
    """

    table: str
    raw_table: str
    changed: str
    all: str
    rows: str
    cleaning: tuple[Cleaning, ...] = ()
    ignored: str = ""
    indexes: tuple[str, ...] = ()
    versions: CompiledVersions | None = None


@dataclass(frozen=True, slots=True)
class CompiledVersions:
    """What a read says of earlier versions of its records.

    `times` selects (row_key, scope_key, at): since when the source has rows of `gone(key, scope)` no more, by one of the
    two keys. `late(version_id)` holds versions of the raw table that are not current; `moments` selects (key, row_key,
    at, seen_at) of what they touch and `after` the same of the versions that follow them; without a row_key all rows of
    the key. `rows`: the rows of `moment(key, row_key, at)` as they were at that time; their last columns are `_scope`
    and `_at`. `cleaning`: what must be clean for that.
    """

    times: str
    moments: str
    after: str
    rows: str
    cleaning: tuple[Cleaning, ...]


WRITTEN_OUT = "ops.mapping_version"
"""What literal rows are made from, in place of a raw table."""

NO_KEYS = "select null::text as key where false"


def compile_read(system: System, read: Read, table: TableLike) -> CompiledRead:
    """Compile one read. Raises ValueError for names that PostgreSQL cannot hold.

    A read with `join` makes no rows: it says which rows a change of the joined record touches.
    """
    if read.rule.rows is not None:
        all_keys, rows = compile_rows(system.name, read.rule.rows, table)
        if keeps_versions(table):  # no source has changed them: they were always so
            rows = (
                "select w.*, '-infinity'::timestamptz as _valid, '-infinity'::timestamptz as _changed,"
                f" now() as _seen from ({rows}) w"
            )
        return CompiledRead(table.name, WRITTEN_OUT, NO_KEYS, all_keys, rows)
    compiler = Compiler(system, read, table)
    if read.join:
        return compiler.joined()
    compiled = compiler.compiled()
    if not keeps_versions(table):
        return compiled
    from mappings.compile_versions import compile_versions

    return replace(compiled, versions=compile_versions(system, read, table))


def keeps_versions(table: TableLike) -> bool:
    """Whether what a row said before is kept (`Table.is_told_by_sources`)."""
    return table.name.split(".")[0] in STAGES


@dataclass(frozen=True)
class Compiler:
    system: System
    read: Read
    table: TableLike

    @cached_property
    def rule(self) -> ReadRule:
        return self.read.rule

    @cached_property
    def keying(self) -> Keying:
        if self.rule.each is not None:
            return "each" if self.rule.parent is None else "member"
        if self.rule.key is not None:
            return "value"
        if self.rule.parent is not None:
            return "member" if self.rule.parent.from_ else "child"
        return "own"

    @cached_property
    def prefix(self) -> str:
        return literal(f"{self.system.name}:")

    one_of = "r.id"  # of records with one value the newest makes the row

    @cached_property
    def raw(self) -> str:
        return self.raw_of(self.rule.from_ or "")

    def raw_of(self, entity: str) -> str:
        return table_name(f"raw.{self.system.name}_{entity}")

    @cached_property
    def values(self) -> Values:
        return Values(self.system, self.read, self.table, self.take)

    def compiled(self) -> CompiledRead:
        return CompiledRead(
            self.table.name,
            f"raw.{self.system.name}_{self.rule.from_}",
            self.changed(),
            self.all_keys(),
            self.rows(),
            self.cleaning(),
            self.ignored(),
            self.indexes(),
        )

    # ---- which rows a change touches ---------------------------------------------------------

    def changed(self) -> str:
        if self.keying in ("own", "each"):
            numbered = f"select {self.prefix} || key as key from change"
            if not self.aliases:
                return numbered
            # Whatever it was called until now goes, and comes again under our key.
            return f"{numbered}\nunion select {self.prefix} || {self.ours('key')} from change"
        if self.keying == "child":
            target = table_name(self.table.name)
            return (
                f"select {self.prefix} || {self.ours('r.parent_id')} as key from change join {self.raw} r"
                " on r.source_id = change.key and r.is_current where r.parent_id is not null\n"
                f"union select t.{identifier(self.table.scope)} from change join {target} t"
                f" on t.{identifier(self.table.key)} = {self.prefix} || change.key"
            )
        return (
            f"select distinct {self.prefix} || {self.scope_value('r')} as key from change"
            f" join {self.raw} r on r.source_id = change.key where {self.scope_value('r')} is not null"
        )

    def all_keys(self) -> str:
        value = self.scope_value("r")
        living = "" if self.keying in ("own", "value") else " and not r.deleted"
        return (
            f"select distinct {self.prefix} || {self.ours(value)} as key from {self.raw} r"
            f" where r.is_current{living} and {value} is not null"
        )

    @cached_property
    def aliases(self) -> tuple[str, ...]:
        """The entities whose records may bear a key of ours, where rows are called by such a record."""
        if not self.system.numbers_itself or self.keying in ("value", "member"):
            return ()
        if self.keying == "child":
            assert self.rule.parent is not None
            return self.system.entities_of(self.rule.parent.ref)
        return (self.rule.from_ or "",)

    def ours(self, number: str) -> str:
        return called("our_key", self.system, self.aliases, number)

    def theirs(self, key: str) -> str:
        return called("their_key", self.system, self.aliases, key)

    def scope_value(self, alias: str) -> str:
        """The scope's key without its prefix, of the raw row `alias`."""
        dot = f"{alias}." if alias else ""
        if self.keying in ("own", "each"):
            return f"{dot}source_id"
        if self.keying == "child":
            return f"{dot}parent_id"
        if self.keying == "member":
            assert self.rule.parent is not None
            return _first([paths.given(p, f"{dot}payload") for p in self.rule.parent.from_])
        key = self.rule.key
        assert key is not None
        if key.parent:
            return f"{dot}parent_id"
        return _first([paths.given(p, f"{dot}payload", key.none) for p in key.from_])

    def indexes(self) -> tuple[str, ...]:
        if self.keying not in ("value", "member"):
            return ()
        value = self.scope_value("")
        name = hashlib.sha256(f"{self.raw} {value}".encode()).hexdigest()[:16]
        return (
            (
                f"create index if not exists {identifier(f'scope_{name}')} on {self.raw} (({value}))"
                " where is_current"
            ),
            f"create index if not exists {identifier(f'versions_{name}')} on {self.raw} (source_id)",
        )

    def joined(self) -> CompiledRead:
        """What a change of a joined record touches."""
        join = self.rule.join[self.read.join]
        if join.on:
            # All versions: a record may have left the one it belonged to.
            theirs = paths.given(join.theirs, "j.payload")
            touched = (
                f"select {theirs} as value from change"
                f" join {self.raw_of(join.entity)} j on j.source_id = change.key"
            )
        else:
            touched = "select key as value from change"
        changed = (
            f"select distinct {self.prefix} || {self.scope_value('r')} as key from ({touched}) c"
            f" join (select r.*, {self.given((join.ours,))} as value from {self.raw} r{self.elements()}"
            " where r.is_current) r on r.value = c.value"
        )
        raw_table = f"raw.{self.system.name}_{join.entity}"
        none = empty_row(self.table)
        if keeps_versions(self.table):
            times = "null::timestamptz as _valid, null::timestamptz as _changed, null::timestamptz as _seen"
            none = f"select w.*, {times} from ({none}) w"
        return CompiledRead(self.table.name, raw_table, changed, NO_KEYS, none)

    # ---- the layers ---------------------------------------------------------------------------

    def rows(self) -> str:
        values = self.values
        given = self.given_sql(values.given_columns())
        return (
            f"select {row_columns(values, self.key_sql())}{self.beside()}\nfrom (\n"
            f"  select h.*{values.columns_sql()}\n  from (\n"
            f"    select g.*{values.read_sql()}\n    from (\n{given}\n    ) g"
            f"{values.clean_joins()}\n    offset 0\n  ) h\n) v"
        )

    def beside(self) -> str:
        """SQL, begun with a comma: what the rows say beside the table's columns."""
        if not keeps_versions(self.table):
            return ""
        return ",\n  v._valid, v._changed, v._seen"

    def ids(self) -> list[tuple[str, str]]:
        found = [
            (self.row_id(), "_id"),
            (f"{self.prefix} || r.id", "_scope"),
            (self.deleted(), "_deleted"),
        ]
        if keeps_versions(self.table):
            joined = [f"{identifier(f'j_{name}')}.valid_at" for name in self.rule.join]
            changed = f"greatest({', '.join(['r.valid_at', *joined])})" if joined else "r.valid_at"
            found += [("r.valid_at", "_valid"), (changed, "_changed"), ("r.seen_at", "_seen")]
        return found

    def given_sql(self, columns: Sequence[tuple[str, str]]) -> str:
        """The first layer: ids and the given texts of every record in scope that no rule ignores."""
        listed = ", ".join(f"{sql} as {name}" for sql, name in (*self.ids(), *columns))
        distinct, order = "", ""
        if self.keying == "value":
            distinct = f"distinct on ({self.one_of}) "
            # By the record alone, never by when we saw it: any order of arrival gives the same row.
            order = (
                f" order by {self.one_of}, r.deleted, r.modified_at desc nulls last,"
                " length(r.source_id) desc, r.source_id desc"
            )
        kept = "".join(f"\n        and not {_all(self, rule.when)}" for rule in self.rule.ignore)
        return f"      select {distinct}{listed}\n      {self.source()}{kept}{order}\n      offset 0"

    def source(self) -> str:
        start = len(self.system.name) + 2
        living = "" if self.keying in ("own", "value") else " and not r.deleted"
        number = self.scope_value("r")
        only = f" and {self.ours(number)} = s.id" if self.aliases else ""
        return (
            # Distinct, so that the planner knows its keys to be so, and hashes them and not the records.
            # Joined with nothing, a record is unpacked once, and not for each of its fields: four times as fast.
            f"from (select s.id, r.source_id, r.parent_id, r.modified_at, r.deleted,{self.times_of('r')}"
            f" r.payload || '{{}}'::jsonb as payload"
            f" from (select distinct substr(key, {start}) as id"
            f" from scope where starts_with(key, {self.prefix})) s"
            f" join {self.raw} r on {number} = {self.theirs('s.id')}{only} and r.is_current{living} offset 0) r"
            f"{self.elements()}{self.joins()}\n      where true"
        )

    def times_of(self, alias: str) -> str:
        """SQL, ended with a comma: since when a version is valid, and when we saw it."""
        return f" {valid_at(alias)} as valid_at, {alias}.seen_at," if keeps_versions(self.table) else ""

    def elements(self) -> str:
        if self.rule.each is None:
            return ""
        path = paths.parse(self.rule.each)
        array = "r.payload" + "".join(f" -> {literal(step.name)}" for step in path.steps)
        place = "'#' || n"
        key = self.rule.key
        own = _first([*(paths.given(p, "item") for p in key.from_), place]) if key else place
        # Two elements with one key are two rows all the same: the second is key~2.
        return (
            "\n      cross join lateral ("
            "select item, own || case when twin > 1 then '~' || twin else '' end as own"
            f" from (select item, own, row_number() over (partition by own order by n) as twin"
            f" from (select item, n, {own} as own"
            f" from jsonb_array_elements(case jsonb_typeof({array}) when 'array'"
            f" then {array} else '[]' end) with ordinality as a(item, n)) k) t) e"
        )

    def joins(self) -> str:
        out = ""
        for name, join in self.rule.join.items():
            raw, alias = self.raw_of(join.entity), identifier(f"j_{name}")
            if join.on:
                value = paths.given(join.theirs, "c.payload")
                where = "".join(
                    f" and {paths.given(p, 'c.payload')} = {literal(v)}" for p, v in join.where.items()
                )
                out += (
                    f"\n      left join (select distinct on ({value}) {value} as value,{self.times_of('c')} c.payload"
                    f" from {raw} c"
                    f" where c.is_current and not c.deleted{where}"
                    f" order by {value}, length(c.source_id), c.source_id) {alias}"
                    f" on {alias}.value = {self.given((join.ours,))}"
                )
            else:
                there = f"{alias}.source_id = {self.given((join.ours,))} and {alias}.is_current"
                if keeps_versions(self.table):
                    timed = f"select c.source_id, c.is_current,{self.times_of('c')} c.payload from {raw} c"
                    out += f"\n      left join ({timed}) {alias} on {there}"
                else:
                    out += f"\n      left join {raw} {alias} on {there}"
        return out

    def given(self, texts: Sequence[str], none: Sequence[str] = ()) -> str:
        """SQL: the first of these paths that holds something."""
        return _first([paths.given(text, self.record, none) for text in texts])

    def take(self, field: FieldRule) -> str:
        """SQL: the given text of a field."""
        if not field.choose:
            return self.given(field.from_, field.none)
        whens = " ".join(f"when {_all(self, c.when)} then {literal(c.value)}" for c in field.choose)
        return f"case {whens} else {literal(field.otherwise)} end::text"

    def record(self, path: paths.Path) -> str:
        if path.join:
            return f"{identifier(f'j_{path.join}')}.payload"
        return "e.item" if self.rule.each is not None and not path.root else "r.payload"

    def row_id(self) -> str:
        if self.keying == "value":
            return "r.id"
        own = "r.id" if self.aliases and self.keying in ("own", "each") else "r.source_id"
        if self.rule.each is None:
            return own
        part = f" || {literal('/' + self.rule.part)}" if self.rule.part else ""
        return f"{own}{part} || '/' || e.own"

    def key_sql(self) -> str:
        return f"{self.prefix} || v._id"

    def deleted(self) -> str:
        if self.rule.deleted is None:
            return "r.deleted"
        if self.rule.deleted.source == "constant":
            return literal(bool(self.rule.deleted.constant))
        return f"(r.deleted or coalesce(ops.parse_boolean({self.take(self.rule.deleted)}), false))"

    # ---- what must be done and counted beside the rows ----------------------------------------

    def cleaning(self) -> tuple[Cleaning, ...]:
        found = []
        for clean in self.values.cleaned():
            columns = [(clean.given, "_value")]
            if clean.country:
                columns.append((clean.country, "_country"))
            given = self.given_sql(columns)
            for country in clean.countries:
                only = f" and _country = {literal(country)}" if clean.country else ""
                found.append(
                    Cleaning(
                        clean.kind,
                        country,
                        f"select distinct _value as raw_value from (\n{given}\n) g\n"
                        f"where _value is not null{only} and not exists (select from ops.clean_value c"
                        f" where c.kind = {literal(clean.kind)} and c.country = {literal(country)}"
                        " and c.raw_value = g._value)",
                    )
                )
        return tuple(found)

    def ignored(self) -> str:
        if not self.rule.ignore:
            return "select null::text as source_id, null::text as rule where false"
        whens = " ".join(
            f"when {_all(self, rule.when)} then {literal(rule.rule)}" for rule in self.rule.ignore
        )
        return (
            f"select source_id, rule from (select r.source_id, case {whens} end as rule"
            f"\n      {self.source()}) i"
            " where rule is not null"
        )


def valid_at(alias: str) -> str:
    """SQL: since when the source says what a raw version says."""
    return f"coalesce({alias}.said_from, {alias}.modified_at, {alias}.seen_at)"


def _all(compiler: Compiler, conditions: Sequence[Condition]) -> str:
    """SQL: whether all conditions hold; never null."""
    return "(" + " and ".join(_condition(compiler.given(c.from_), c) for c in conditions) + ")"


def _condition(value: str, condition: Condition) -> str:
    def listed(texts: Sequence[str]) -> str:
        return ", ".join(literal(text) for text in texts)

    def starts(texts: Sequence[str]) -> str:
        return " or ".join(f"starts_with(lower({value}), lower({literal(text)}))" for text in texts)

    if condition.equals is not None:
        test = f"{value} in ({listed(condition.equals)})"
    elif condition.not_equals is not None:
        return f"coalesce({value} not in ({listed(condition.not_equals)}), true)"
    elif condition.starts_with is not None:
        test = starts(condition.starts_with)
    elif condition.not_starts_with is not None:
        return f"coalesce(not ({starts(condition.not_starts_with)}), true)"
    elif condition.contains is not None:
        test = " or ".join(
            f"strpos(lower({value}), lower({literal(text)})) > 0" for text in condition.contains
        )
    else:
        return f"({value} is {'null' if condition.empty else 'not null'})"
    return f"coalesce({test}, false)"


def _first(expressions: Sequence[str]) -> str:
    return expressions[0] if len(expressions) == 1 else f"coalesce({', '.join(expressions)})"
