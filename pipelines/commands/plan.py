"""`sverka plan`: what would be written, line by line, before anything is."""

from __future__ import annotations

import json

from pipelines.commands import show
from pipelines.commands.session import CONSOLE
from pipelines.sync import Road

MAX_SHOWN = 40


def show_plan(road: Road, *, whole: bool = False) -> None:
    """Operations waiting to be sent: new ones, changed ones with old and new, held ones by reason, the rest counted."""
    warehouse, target = road.warehouse, road.accounting.name
    rows = warehouse.rows(
        """
        select o.action, o.kind, coalesce(o.subject, ''), o.state, o.amount, o.currency, coalesce(o.reason, ''),
               d.document_date, o.body::text,
               (select p.body::text from ops.operation p where p.target = o.target and p.kind = o.kind and p.key = o.key
                   and p.state = 'verified' and p.body is not null order by p.changed_at desc limit 1)
        from ops.operation o
        left join documents.document d on d.document_key = o.target || ':' || o.key
        where o.target = %s and o.state in ('planned', 'approved')
        order by ops.kind_order(o.kind), o.action, o.subject
        """,
        [target],
    )
    made = show.table(
        f"To be written into {target}: {show.number(len(rows))}",
        "what",
        "about",
        "date",
        "sum",
        "state",
        right=("sum",),
    )
    for action, kind, subject, state, amount, currency, _, day, body, before in (
        rows if whole else rows[:MAX_SHOWN]
    ):
        shown = f"{show.money(amount)} {currency}" if amount is not None else ""
        show.row(made, f"{action} {kind}", subject, f"{day:%d.%m.%Y}" if day else "", shown, state)
        if action == "update" and body and before:
            for line in changed_fields(json.loads(before), json.loads(body)):
                show.row(made, "", f"  {line}", "", "", "")
    CONSOLE.print(made if rows else f"Nothing is to be written into {target}.")
    if len(rows) > MAX_SHOWN and not whole:
        CONSOLE.print(f"… and {len(rows) - MAX_SHOWN} more of the same", style="dim")
    CONSOLE.print("")
    show.held_by_reason(warehouse)
    unchanged = warehouse.scalar(
        "select count(*) from ops.operation where target = %s and state = 'verified'", [target]
    )
    CONSOLE.print(f"{show.number(unchanged)} operations are done and unchanged.")


def changed_fields(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """Fields that differ, as `name: old -> new`; table parts by their number of rows."""
    told = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, list) and isinstance(new, list):
            told.append(
                f"{name}: {len(old)} rows -> {len(new)} rows"
                if len(old) != len(new)
                else f"{name}: rows differ"
            )
        else:
            told.append(f"{name}: {old} -> {new}")
    return told
