"""The journal of a record: what changed, by whom, from what to what; newest first.

    GET /deal/20017/history         Changesets (create, '', drop, restore) with a FieldChange for each field
    GET /deal/20017/statusHistory   moves between stages

Ids grow with time, so that the largest one seen is a cursor. What happened before the stand-in was opened is
not in the journal but for the creation.
"""

from __future__ import annotations

from typing import Any, Final

from sandbox.crm.megaplan.custom import CUSTOM, shown
from sandbox.crm.megaplan.lists import LIMIT, limit_of
from sandbox.crm.megaplan.portal import Portal, shown_key
from sandbox.crm.megaplan.protocol import page, wrong_type
from sandbox.crm.megaplan.values import CONTENT_TYPES, Link, Said, moment, money
from sandbox.desk.records import Body, Item

_FIRST_ID: Final = 10_000_000
_NAMES: Final = {
    "deal": {"title": "name", "client": "contractor", "requisite": "payer", "contact": "contact",
             "employee": "manager", "pipeline": "program", "stage": "state", "amount": "price",
             "description": "description"},
    "client": {"name": "name", "phone": "contactInfo", "email": "contactInfo", "address": "contactInfo",
               "employee": "responsibles", "description": "description"},
    "contact": {"first_name": "firstName", "last_name": "lastName", "middle_name": "middleName", "post": "position",
                "phone": "contactInfo", "email": "contactInfo", "client": "company"},
    "task": {"text": "name", "statement": "statement", "employee": "responsible"},
}  # fmt: skip
_KINDS: Final = {"added": "create", "changed": "", "deleted": "drop", "merged": "drop", "restored": "restore"}


def history(portal: Portal, kind: str, item: Item, said: Said) -> bytes:
    """A page of the journal. Raises RefusedError."""
    rows = [_creation(kind, item)]
    for happening, after in portal.changes(kind, item.number):
        if happening.kind == "added":
            continue
        changes = [] if happening.before is None else _changes(portal, kind, item, happening.before, after)
        rows.append(
            _changeset(_FIRST_ID + happening.place, kind, item, _KINDS[happening.kind], happening.at, changes)
        )
    rows.reverse()
    limit = limit_of(said.get("limit"), portal.manners.max_limit)
    if (anchor := said.get("pageAfter")) is not None:
        if not isinstance(anchor, dict) or not str(anchor.get("id")).isdigit():
            raise wrong_type(anchor, "BaseEntity")
        rows = [row for row in rows if int(row["id"]) < int(str(anchor["id"]))]
    return _page(portal, rows[:limit], limit)


def status_history(portal: Portal, item: Item) -> bytes:
    """Moves of a deal between stages, the earliest first."""
    rows: list[Said] = []
    since = item.created
    for happening, after in portal.changes("deal", item.number):
        before = happening.before
        if before is None or before["stage"] == after["stage"]:
            continue
        rows.append({
            "contentType": "DealStatusHistory", "id": str(_FIRST_ID + happening.place),
            "fromStatus": Link("stage", before["stage"]), "toStatus": Link("stage", after["stage"]),
            "fromStatusUpdated": moment(since), "toStatusUpdated": moment(happening.at),
            "fromStatusUser": Link("employee", 1), "toStatusUser": Link("employee", 1),
        })  # fmt: skip
        since = happening.at
    return _page(portal, rows, LIMIT)


def _page(portal: Portal, rows: list[Said], limit: int) -> bytes:
    return page(len(rows), [portal.told(rows)[1:-1]], limit)


def _creation(kind: str, item: Item) -> Said:
    return _changeset(item.number, kind, item, "create", item.created, [])


def _changeset(number: int, kind: str, item: Item, what: str, at: Any, changes: list[Said]) -> Said:
    return {
        "contentType": "Changeset", "id": str(number), "timeCreated": moment(at), "type": what,
        "changes": [{**change, "timeCreated": moment(at)} for change in changes], "changesCount": len(changes),
        "entity": _bare(kind, item), "generatedBy": None,
        "author": Link("employee", 1),
    }  # fmt: skip


def _bare(kind: str, item: Item) -> Said:
    return {"contentType": CONTENT_TYPES[kind], "id": shown_key(kind, item.number)}


def _changes(portal: Portal, kind: str, item: Item, before: Body, after: Body) -> list[Said]:
    found: dict[str, Said] = {}
    customs = {field.holds: field for field in CUSTOM.get(kind, {}).values()}
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if (field := customs.get(key)) is not None:
            name, zero = field.key, portal.manners.months_from_zero
            old, new = (shown(field, value, after.get("currency") or "RUB", zero) for value in (old, new))
        elif (known := _NAMES.get(kind, {}).get(key)) is not None:
            name = known
            old, new = (_told(key, value, after) for value in (old, new))
        else:
            continue
        found[name] = {
            "contentType": "FieldChange", "field": name, "description": "", "oldValue": old, "newValue": new,
            "changedEntity": _bare(kind, item), "author": Link("employee", 1),
        }  # fmt: skip
    return list(found.values())


def _told(key: str, value: Any, after: Body) -> Any:
    if key in ("client", "requisite", "contact", "employee", "pipeline", "stage"):
        return Link(key, value) if value is not None else None
    if key == "amount":
        return money(value, after["currency"])
    return value
