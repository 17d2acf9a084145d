"""Every record of a CRM is a client of its own, but for what the CRM itself merged: that goes with its survivor.

A chain of merges is followed to its end. Records whose chain has none (a circle, or a survivor that was never read)
stand alone; core.client says so in its `problems`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pipelines.refresh import Outcome, refresh
from pipelines.table import Table, tables
from resources.warehouse import Connection

MEMBERS: Final = "core.client_member"
MOST_MERGES: Final = 1000  # steps of a chain; what is longer stands alone


def refresh_members(conn: Connection, *, everything: bool = False) -> Outcome:
    """Bring core.client_member up to date with what changed, in conn's transaction; `everything` makes it anew."""
    return refresh(conn, _members(), everything=everything)


def _members() -> Table:
    """core.client_member, with its rows in SQL."""
    return replace(tables()[MEMBERS], rows="sql", rows_sql=_ROWS)


_ROWS: Final = f"""
with recursive chain as (
    select r.client_record_id, r.merged_into as reached, 1 as steps, array[r.client_record_id] as passed
    from core.client_record r
    join scope on scope.key = r.client_record_id
    where r.merged_into is not null
    union all
    select c.client_record_id, r.merged_into, c.steps + 1, c.passed || c.reached
    from chain c
    join core.client_record r on r.client_record_id = c.reached
    where r.merged_into is not null and c.reached <> all(c.passed) and c.steps < {MOST_MERGES}
), ended as (
    select c.client_record_id, r.client_record_id as survivor
    from chain c
    join core.client_record r on r.client_record_id = c.reached and r.merged_into is null
)
select r.client_record_id,
       coalesce(e.survivor, r.client_record_id) as client_id,
       case when e.survivor is null then 'alone' else 'merged_in_crm' end as rule,
       null::numeric as weight,
       case when e.survivor is not null then r.merged_into end as joined_by,
       null::bigint as decision_id
from core.client_record r
join scope on scope.key = r.client_record_id
left join ended e on e.client_record_id = r.client_record_id
"""
