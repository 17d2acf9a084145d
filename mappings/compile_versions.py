"""What a read says of earlier versions of its records: the same rows, as they were at a moment.

At a moment each record is its version with the latest valid time up to then. What a read joins is taken as it stands now.
"""

from __future__ import annotations

from dataclasses import dataclass

from mappings.compile_read import CompiledVersions, Compiler, valid_at
from mappings.folder import Read, System
from mappings.tables import TableLike


def compile_versions(system: System, read: Read, table: TableLike) -> CompiledVersions:
    """Compile what a read that joins nothing into it, or makes the rows, says of earlier versions."""
    compiler = _AtMoments(system, read, table)
    return CompiledVersions(
        compiler.times(), compiler.moments(), compiler.after(), compiler.rows(), compiler.cleaning()
    )


@dataclass(frozen=True)
class _AtMoments(Compiler):
    one_of = "r.id, r.at"

    def beside(self) -> str:
        return ",\n  v._scope, v._at"

    def ids(self) -> list[tuple[str, str]]:
        return [*super().ids(), ("r.at", "_at")]

    def times(self) -> str:
        """Rows that belong to a record of their own are looked up by it, others by their scope."""
        if self.keying == "child":
            return (
                f"select g.key as row_key, null::text as scope_key, {valid_at('r')} as at from gone g"
                f" join {self.raw} r on r.source_id = substr(g.key, {self.start}) and r.is_current"
                f" where starts_with(g.key, {self.prefix})"
            )
        return (
            f"select null::text as row_key, g.scope as scope_key, max({valid_at('r')}) as at"
            f" from (select distinct scope from gone where starts_with(scope, {self.prefix})) g"
            f" join {self.raw} r on {self.scope_value('r')} = {self.theirs(f'substr(g.scope, {self.start})')}"
            " and r.is_current group by g.scope"
        )

    def moments(self) -> str:
        return (
            f"select {self.prefix} || {self.ours('touched.value')} as key, {self.row_key} as row_key,"
            f" {valid_at('r')} as at, r.seen_at"
            f" from late join {self.raw} r using (version_id){self.touched()}"
        )

    def after(self) -> str:
        """The version that follows a late one in the source's time says from then on what the row says again."""
        return (
            f"select {self.prefix} || {self.ours('touched.value')} as key, {self.row_key} as row_key,"
            f" n.at, n.seen_at"
            f" from late join {self.raw} r using (version_id){self.touched()}"
            f" cross join lateral (select {valid_at('v')} as at, v.seen_at from {self.versions('r.source_id')} v"
            f" where {valid_at('v')} > {valid_at('r')} order by at, v.version_id desc limit 1) n"
        )

    @property
    def row_key(self) -> str:
        """SQL: the row of a late version `r`, where a record has one in a scope with others."""
        return f"{self.prefix} || r.source_id" if self.keying == "child" else "null::text"

    def touched(self) -> str:
        """SQL: every scope that the record of a late version `r` was ever in."""
        if self.keying in ("own", "each"):
            return " cross join lateral (select r.source_id as value) touched"
        return (
            f" cross join lateral (select distinct {self.scope_value('v')} as value"
            f" from {self.versions('r.source_id')} v where {self.scope_value('v')} is not null) touched"
        )

    def versions(self, number: str) -> str:
        """SQL: all versions of a record; each half has its index."""
        return (
            f"(select c.* from {self.raw} c where c.is_current and c.source_id = {number} union all"
            f" select c.* from {self.raw} c where not c.is_current and c.source_id = {number})"
        )

    @property
    def start(self) -> int:
        return len(self.system.name) + 2

    def source(self) -> str:
        living = "" if self.keying in ("own", "value") else " and not r.deleted"
        number = self.theirs("s.id")
        if self.keying in ("own", "each"):
            records = f"(select {number} as source_id)"
        elif self.keying == "child":
            records = f"(select substr(s.row_key, {self.start}) as source_id)"
        else:
            value = self.scope_value("c")
            records = (
                f"(select c.source_id from {self.raw} c where c.is_current and {value} = {number} union"
                f" select c.source_id from {self.raw} c where not c.is_current and {value} = {number})"
            )
        return (
            f"from (select s.id, s.at, r.source_id, r.parent_id, r.modified_at, r.deleted,{self.times_of('r')}"
            f" r.payload || '{{}}'::jsonb as payload"
            f" from (select distinct substr(key, {self.start}) as id, row_key, at from moment"
            f" where starts_with(key, {self.prefix})) s"
            f" cross join lateral {records} n"
            f" cross join lateral (select v.* from {self.versions('n.source_id')} v"
            f" where {valid_at('v')} <= s.at order by {valid_at('v')} desc, v.version_id desc limit 1) r"
            f" where {self.scope_value('r')} = {number}{living} offset 0) r"
            f"{self.elements()}{self.joins()}\n      where true"
        )
