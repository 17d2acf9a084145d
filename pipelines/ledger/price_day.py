"""Prices that begin or end to hold with a new day: they are compared again, though nothing was changed."""

from __future__ import annotations

from pipelines.refresh import lock_changes
from resources.warehouse import Connection

# Of the entities of accounting that prices are read from: the day of the last reading, and the one up to which prices were compared.
_DAYS = """
    with read as (
        select c.source, c.entity, (c.read_until at time zone coalesce(z.value #>> '{}', 'UTC'))::date as today,
               (c.state ->> 'prices_compared_on')::date as before
        from ops.setting n
        join ops.setting e on e.system = n.value #>> '{}' and e.name = 'price_entities'
        left join ops.setting z on z.system = n.value #>> '{}' and z.name = 'timezone'
        join ops.cursor c on c.source = n.value #>> '{}' and e.value ? c.entity
        where n.name = 'accounting_system' and c.read_until is not null)
    select source, entity, today, before from read where today is distinct from before
"""


def turn_the_day(conn: Connection) -> int:
    """Where prices were read on another day than before, tell of the products whose prices begin or end to hold on the
    days between; how many prices those are. A day is accounting's own."""
    moved = conn.execute(_DAYS).fetchall()
    if not moved:
        return 0
    lock_changes(conn)
    told = 0
    for source, entity, today, before in moved:
        if before is not None:
            told += conn.execute(
                """
                insert into ops.change_log (table_name, key)
                select 'core.accounting_price.product_key', product_key from core.accounting_price
                where source = %(source)s and product_key is not null
                  and (valid_from > %(first)s and valid_from <= %(last)s or valid_to >= %(first)s and valid_to < %(last)s)
                group by product_key
                """,
                {"source": source, "first": min(before, today), "last": max(before, today)},
            ).rowcount
        conn.execute(
            "update ops.cursor set state = coalesce(state, '{}') || jsonb_build_object('prices_compared_on', %s::text)"
            " where source = %s and entity = %s",
            [today.isoformat(), source, entity],
        )
    return told
