"""Which operations of a target leave next: one kind and action after the other, parents first.

How long a create whose answer was lost waits before it is sent again is decided here too (`may_come_yet`).

What is free to leave is looked for once and then taken chunk by chunk: looked for anew with every chunk, the work would
grow with the square of what waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from pipelines.operations.waiting import READY
from resources.warehouse import Connection

LOOKED_AHEAD: Final = 50_000  # operations that are found at once


class Ready:
    """The queue of one target. What it gives was free to leave when it was looked for, and may not be by now."""

    def __init__(self, conn: Connection, target: str) -> None:
        self._conn, self._target = conn, target
        self._found: list[UUID] = []  # of one kind and action, the last to leave first
        self.passed_over: frozenset[UUID] = frozenset()  # may not leave in this carry

    def take(self, most: int) -> list[UUID]:
        """The next ones, of one kind and action; empty when nothing may leave."""
        if not self._found:
            self._found = self._look()[::-1]
        return [self._found.pop() for _ in range(min(most, len(self._found)))]

    def _look(self) -> list[UUID]:
        groups = self._conn.execute(
            """
            select kind, action from ops.operation where target = %s and state = 'approved' group by kind, action
            order by array_position(array['create', 'unpost', 'update', 'post'], action), ops.kind_order(kind), kind
            """,
            [self._target],
        ).fetchall()
        for group in groups:
            rows = self._conn.execute(
                f"""
                select o.operation_id from ops.operation o
                where target = %s and kind = %s and action = %s and operation_id <> all(%s) and {READY}
                order by o.planned_at, o.operation_id limit %s
                """,
                [self._target, *group, list(self.passed_over), LOOKED_AHEAD],
            ).fetchall()
            if rows:
                return [row[0] for row in rows]
        return []


def may_come_yet(conn: Connection, creates: Sequence[UUID], seconds: float) -> set[UUID]:
    """Of these, those whose request may still be carried out, though nobody waits for its answer any more.

    Asked for before that, the target would not have it; sent again, it would have it twice. The seconds count from when
    it became uncertain: its intent is committed well before it leaves, and a dead sender may have sent it to the last.
    """
    if not seconds or not creates:
        return set()
    rows = conn.execute(
        """
        select operation_id from ops.operation_event where operation_id = any(%s) and to_state in ('sent', 'uncertain')
        group by operation_id having max(at) > clock_timestamp() - make_interval(secs => %s)
        """,
        [list(creates), seconds],
    ).fetchall()
    return {row[0] for row in rows}
