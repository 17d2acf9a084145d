"""Who keeps which id.

A client is called by the record that it was first known by: its founder. Of several ids that come together in one
client the one given first goes on (then that of the record created first, then the lesser one), and the others are
forwarded to it; a client without any is founded by its oldest record that its CRM still has. Where a client falls
apart, its id stays with its founder, and every other part takes the oldest id among its own records, one that was
forwarded before all others. So the founder of an id is always a member of the client called so: ids never change
hands, and joining and parting again leaves every id where it was.
"""

from __future__ import annotations

from dataclasses import dataclass

from resources.warehouse import Connection


@dataclass(frozen=True, slots=True)
class Named:
    """Ids by what became of them."""

    given: int
    forwarded: int
    restored: int


def name_clients(conn: Connection) -> Named:
    """Say what the client of each part goes by: fills the temporary table `named(label, client_id)`.

    `labelled(client_record_id, label)`, also temporary, holds the parts: all records of every client that is touched,
    those that are gone from their CRM among them.
    """
    conn.execute("drop table if exists pg_temp.named")
    conn.execute(_NAMED)
    conn.execute("create unique index on named (label)")
    conn.execute("analyze named")
    given = conn.execute(_GIVE).rowcount
    restored = conn.execute(_RESTORE).rowcount
    forwarded = conn.execute(_FORWARD).rowcount
    return Named(given, forwarded, restored)


_NAMED = """
    create temporary table named on commit drop as
    select distinct on (l.label) l.label, l.client_record_id as client_id
    from labelled l
    left join ops.client_id c on c.client_id = l.client_record_id
    left join core.client_record r on r.client_record_id = l.client_record_id
    left join core.client_profile p on p.client_record_id = l.client_record_id
    order by l.label, c.given_at nulls last, c.client_id is null and p.client_record_id is null,
             r.created_at nulls last, l.client_record_id collate "C"
"""

# One after the other, so that of ids given in one go, too, one is the first for good, whatever their records say later.
_GIVE = """
    insert into ops.client_id (client_id, given_at)
    select n.client_id, now() + interval '1 microsecond' * row_number() over (
               order by r.created_at nulls last, n.client_id collate "C")
    from named n
    left join core.client_record r on r.client_record_id = n.client_id
    where not exists (select from ops.client_id c where c.client_id = n.client_id)
"""

_RESTORE = """
    update ops.client_id c set forwarded_to = null, forwarded_at = null
    from named n
    where c.client_id = n.client_id and c.forwarded_to is not null
"""

_FORWARD = """
    update ops.client_id c set forwarded_to = n.client_id, forwarded_at = now()
    from labelled l
    join named n on n.label = l.label
    where c.client_id = l.client_record_id and c.client_id <> n.client_id
      and c.forwarded_to is distinct from n.client_id
"""
