"""What the carrier writes into the operation ledger: states, reasons, versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from pipelines.operations.carried import Operation
from resources.warehouse import Connection

ACTOR = "carry"

Told = Sequence[tuple[Operation, str]]  # each with its reason


class Kept:
    """Rows of `ops.operation` that one carrier writes, over its own connection."""

    def __init__(self, conn: Connection, run_id: str, version_field: str) -> None:
        self._conn, self._run_id, self._version_field = conn, run_id, version_field

    def versions(self, operations: Sequence[Operation], found: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep the versions at which the target has the records that were found."""
        if not self._version_field:
            return
        told = self.versions_of(operations, found).items()
        self._conn.execute(
            "update ops.operation o set version = v.version from unnest(%s::uuid[], %s::text[]) as v(operation_id, version)"
            " where o.operation_id = v.operation_id",
            [[i for i, _ in told], [version for _, version in told]],
        )

    def versions_of(
        self, operations: Sequence[Operation], found: Mapping[str, Mapping[str, Any]]
    ) -> dict[UUID, str | None]:
        """By operation the version at which the target has its record."""
        told = {o.operation_id: found[o.key].get(self._version_field) for o in operations}
        return {of: None if version is None else str(version) for of, version in told.items()}

    def halves(self, operations: Sequence[Operation], found: Mapping[str, Mapping[str, Any]]) -> set[UUID]:
        """Those whose record is still as an earlier write of ours was read back, if otherwise than it was sent: nobody
        else changed it since."""
        told = self.versions_of([o for o in operations if o.key in found], found)
        if not told or not self._version_field:
            return set()
        rows = self._conn.execute(
            "select o.operation_id from unnest(%s::uuid[], %s::text[]) as v(operation_id, version)"
            " join ops.operation o on o.operation_id = v.operation_id"
            " where exists (select from ops.operation w join ops.operation_event e on e.operation_id = w.operation_id"
            " where w.target = o.target and w.kind = o.kind and w.key = o.key"
            " and e.to_state = 'held' and e.answer ->> 'version' = v.version)",
            [list(told), list(told.values())],
        ).fetchall()
        return {row[0] for row in rows}

    def tell_anew(self, faults: Mapping[UUID, str]) -> None:
        """Say of what is still held how it differs by now: what is meant and what is found may both have changed."""
        self._conn.execute(
            "update ops.operation o set reason = f.reason"
            " from unnest(%s::uuid[], %s::text[], %s::text[]) as f(operation_id, reason, differs)"
            " where o.operation_id = f.operation_id and o.reason is distinct from f.reason"
            # Where somebody came before us, that is said beside the same differences.
            " and strpos(coalesce(o.reason, ''), ': ' || f.differs || '. ') = 0",
            [list(faults), list(faults.values()), [f.partition(": ")[2] or f for f in faults.values()]],
        )
        self._conn.commit()

    def mark(self, operations: Sequence[Operation], code: str | None) -> None:
        """Keep the code of the reason for which they are held; none takes it away."""
        self._conn.execute(
            "update ops.operation set reason_code = %s where operation_id = any(%s)",
            [code, [o.operation_id for o in operations]],
        )

    def move(
        self, operations: Sequence[Operation], state: str, reason: str | None, *, ends: bool = True
    ) -> None:
        """Move all for one reason; `ends`: commit."""
        if operations:
            self._conn.execute(
                "select ops.move_many(%s::uuid[], %s, %s, %s, null, %s)",
                [[o.operation_id for o in operations], state, ACTOR, reason, self._run_id or None],
            )
        if ends:
            self._conn.commit()

    def move_each(
        self,
        told: Told,
        state: str,
        codes: Mapping[UUID, str] | None = None,
        *,
        versions: Mapping[UUID, str | None] | None = None,
        ends: bool = True,
    ) -> None:
        """Move each for a reason of its own; `codes` are the target's own of what it refused, `versions` those at which
        it was read back."""
        if told:
            details: dict[str, dict[str, Any]] = {
                str(o.operation_id): {"reason": reason, "request": {"kind": o.kind, "action": o.action, "key": o.key}}
                for o, reason in told
            }  # fmt: skip
            for operation, _ in told:
                if code := (codes or {}).get(operation.operation_id):
                    details[str(operation.operation_id)]["answer"] = {"code": code}
                if version := (versions or {}).get(operation.operation_id):
                    details[str(operation.operation_id)]["answer"] = {"version": version}
            self._conn.execute(
                "select ops.move_many(%s::uuid[], %s, %s, null, %s, %s)",
                [[o.operation_id for o, _ in told], state, ACTOR, Jsonb(details), self._run_id or None],
            )
        if ends:
            self._conn.commit()
