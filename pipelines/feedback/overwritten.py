"""Values of ours that somebody overwrote in the CRM: found by one bounded look at what was changed there after us.

`raw` leaves our own fields aside, so what they say by now is read back by key: once for every stamp, those later than our own
write first. A stamp is a whole second, in which somebody may have come after us, so that the stamp of our write is
looked at once too. Where the CRM gives no stamps, each record is looked at once a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from pipelines.operations.carried import decoded
from pipelines.operations.compare import differences
from pipelines.raw.batch import raw_table
from resources.connector import Target
from resources.warehouse import Connection, Warehouse

MAX_LOOKS: Final = 500  # records of a kind that one sync looks at; the others wait for the next
MOST_A_DAY: Final = (
    3  # times that the values of a record are put back; then people are told, and tomorrow is another day
)
MAX_NAMED: Final = 5  # records named in a sentence


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look at a kind of records found."""

    stamps: dict[str, datetime | None]  # of all that were looked at
    overwritten: list[str]  # keys of those that show something else than we wrote


def look(warehouse: Warehouse, target: Target, kind: str, today: date) -> Looked:
    """Records that show something else than we wrote last. Raises SourceError; sends nothing where nobody changed any."""
    if _unread(warehouse, target.system, kind):
        return Looked({}, [])
    rows = warehouse.rows(
        f"""
        select l.key, l.body::text, l.modified_at
        from ({_CHANGED.format(raw=raw_table(target.system, kind))}) l
        where not l.is_given_up
        order by l.is_later desc, l.looked_on nulls first, l.modified_at, l.key limit %(most)s
        """,
        {"system": target.system, "kind": kind, "today": today, "times": MOST_A_DAY, "most": MAX_LOOKS},
    )
    if not rows:
        return Looked({}, [])
    found = target.find(kind, [key for key, _, _ in rows])
    return Looked(
        {key: stamp for key, _, stamp in rows},
        [key for key, body, _ in rows if key in found and differences(decoded(body), found[key])],
    )


def given_up(warehouse: Warehouse, system: str, kind: str, today: date) -> tuple[str, bool]:
    """A sentence about records that somebody overwrites again and again, empty where there are none; and whether this is
    the first time today that it is asked for."""
    often = "select true from ops.shown where system = %s and kind = %s and mended_on = %s and times >= %s limit 1"
    if not warehouse.scalar(often, [system, kind, today, MOST_A_DAY]):
        return "", False
    keys = [
        key
        for (key,) in warehouse.rows(
            f"select l.key from ({_CHANGED.format(raw=raw_table(system, kind))}) l"
            " where l.is_given_up and coalesce(l.is_later, true) order by l.key",
            {"system": system, "kind": kind, "today": today, "times": MOST_A_DAY},
        )
    ]
    if not keys:
        return "", False
    untold = warehouse.rows(
        "update ops.shown set told_on = %s where system = %s and kind = %s and key = any(%s) and told_on is distinct from %s"
        " returning key",
        [today, system, kind, keys, today],
    )
    named = ", ".join(keys[:MAX_NAMED]) + f" and {len(keys) - MAX_NAMED} more" * (len(keys) > MAX_NAMED)
    return (
        f"{kind} {named}: our values were put back {MOST_A_DAY} times today and somebody changed the record again; see"
        " which person or robot of the CRM writes these fields"
    ), bool(untold)


def keep(
    conn: Connection, system: str, kind: str, looked: Looked, mended: Sequence[str], today: date
) -> None:
    """Remember what was looked at, and whose values are put back."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            insert into ops.shown as s (system, kind, key, stamp, looked_on, mended_on, times)
            values (%(system)s, %(kind)s, %(key)s, %(stamp)s, %(today)s,
                    case when %(mended)s then %(today)s::date end, case when %(mended)s then 1 else 0 end)
            on conflict (system, kind, key) do update set stamp = excluded.stamp, looked_on = excluded.looked_on,
                mended_on = coalesce(excluded.mended_on, s.mended_on),
                times = case when excluded.mended_on is null then s.times when s.mended_on = excluded.mended_on then s.times + 1
                             else 1 end
            """,
            [
                {"system": system, "kind": kind, "key": key, "stamp": stamp, "today": today, "mended": key in mended}
                for key, stamp in looked.stamps.items()
            ],
        )  # fmt: skip


def _unread(warehouse: Warehouse, system: str, kind: str) -> bool:
    return warehouse.scalar("select to_regclass(%s)", [raw_table(system, kind)]) is None


# What we wrote last of each record that somebody changed after our write, as far as `raw` knows.
_CHANGED: Final = """
    select o.key, o.body, c.modified_at, s.looked_on, c.modified_at > written.at as is_later,
           coalesce(s.mended_on = %(today)s and s.times >= %(times)s, false) as is_given_up
    from (select distinct on (o.key) o.key, o.body, o.state
          from ops.operation o
          where o.target = %(system)s and o.kind = %(kind)s and o.state <> 'superseded'
          order by o.key, o.planned_at desc, o.operation_id) o
    join {raw} c on c.source_id = o.key and c.is_current and not c.deleted
    left join ops.echo e on e.system = %(system)s and e.kind = %(kind)s and e.key = o.key
    left join ops.shown s on s.system = %(system)s and s.kind = %(kind)s and s.key = o.key
    cross join lateral (
        select coalesce(case when e.version ~ '^[0-9]{{4}}-' then e.version::timestamptz end, '-infinity') as at) written
    where o.state = 'verified'
      and case when c.modified_at is null then s.looked_on is distinct from %(today)s
               else c.modified_at is distinct from s.stamp and c.modified_at >= written.at end
"""
