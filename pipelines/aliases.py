"""Which record of a system that numbers its records itself is the one that we wrote: `ops.alias`.

Everywhere in our tables such a record is called by the key that we computed for it; the system's own number
stands in its payload, and in the bodies that are sent there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resources.warehouse import Connection


def learn(conn: Connection, system: str, entity: str, carrying: Mapping[str, str]) -> list[str]:
    """Keep which records (by the system's number) bear which keys of ours; returns those that were not known to.

    A key stays with the record that was met with it first: a person who copies a record copies the key too.
    """
    rows = conn.execute(
        """
        insert into ops.alias (system, entity, our_key, vendor_key)
        select %s, %s, our_key, vendor_key from unnest(%s::text[], %s::text[]) as t(our_key, vendor_key)
        order by length(vendor_key), vendor_key
        on conflict do nothing returning vendor_key
        """,
        [system, entity, list(carrying.values()), list(carrying)],
    ).fetchall()
    return [row[0] for row in rows]


def numbers(conn: Connection, system: str, keys: Sequence[str], entity: str | None = None) -> dict[str, str]:
    """By our keys the system's numbers of the records, as far as they are known; of one entity, or of any."""
    rows = conn.execute(
        "select our_key, vendor_key from ops.alias where system = %s and our_key = any(%s)"
        " and (%s::text is null or entity = %s)",
        [system, list(keys), entity, entity],
    ).fetchall()
    return dict(rows)
