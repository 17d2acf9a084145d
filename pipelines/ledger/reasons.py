"""Why operations stand still, in Russian, for whoever reads the ledger: the dictionary `ops.reason_ru`."""

from __future__ import annotations

import hashlib
from typing import Final

from pipelines.operations.phrases import RUSSIAN, in_russian
from resources.warehouse import Connection

PHRASES: Final = hashlib.sha256(repr(RUSSIAN).encode()).hexdigest()[:16]
"""Other phrases say every reason anew, and make the table that tells them another one (`pipelines/deploy.py`)."""


def say_reasons(conn: Connection) -> None:
    """Say in Russian, once each, the reasons of operations about documents in `scope`, and of what these wait for."""
    reasons = [row[0] for row in conn.execute(_REASONS).fetchall()]
    said = [(reason, in_russian(reason)) for reason in reasons]
    if said:
        conn.cursor().executemany(
            "insert into ops.reason_ru (reason, reason_ru) values (%s, %s)"
            " on conflict (reason) do update set reason_ru = excluded.reason_ru"
            " where ops.reason_ru.reason_ru <> excluded.reason_ru",
            said,
        )


_REASONS: Final = """
    with told as materialized (
        select o.reason, o.state, o.depends_on
        from scope
        join ops.operation o on o.key = substr(scope.key, strpos(scope.key, ':') + 1)
         and o.target = split_part(scope.key, ':', 1)
        where o.state not in ('verified', 'superseded', 'reversed')
    )
    select reason from told where reason is not null
    union
    select p.reason from told
    cross join unnest(told.depends_on) as awaited(operation_id)
    join ops.operation p on p.operation_id = awaited.operation_id
    where told.state in ('planned', 'approved') and p.state in ('held', 'rejected') and p.reason is not null
"""
