"""crm.entity.mergeBatch, and what a merge does to the records that named the losers.

The first record named survives and takes what it lacks; the others are deleted, without a pointer to it. Their
deals, contacts, invoices and requisites are handed over by one UPDATE a table, which moves no stamp (so
`CCrmDeal::Rebind` of the box edition; the cloud's is not documented). Only the survivor's own stamp moves.
"""

from __future__ import annotations

from typing import Any

from sandbox.bitrix24 import fields
from sandbox.bitrix24.arguments import integer, sequence
from sandbox.bitrix24.portal import Portal
from sandbox.bitrix24.rest import Answer, RestError
from sandbox.store import Record

MERGED = (fields.DEAL, fields.CONTACT, fields.COMPANY, fields.INVOICE)
ITS_OWN = frozenset(
    {"assignedById", "opened", "lastActivityBy", "lastActivityTime", "hasPhone", "hasEmail", "comments"}
)
"""Fields that people may have filled differently, and that the main record simply keeps."""


def merge_batch(portal: Portal, params: dict[str, Any]) -> Answer:
    said = params.get("params") or {}
    kind = integer(said.get("entityTypeId"), "entityTypeId")
    if kind not in MERGED:
        raise RestError(400, "0", f"Entity type {kind} is not supported")
    numbers = list(dict.fromkeys(integer(value, "entityIds") for value in sequence(said.get("entityIds"))))
    if len(numbers) < 2:
        raise RestError(400, "0", "The parameter entityIds must contains at least two elements.")
    rows = [portal.items[kind].get(number) for number in numbers]
    if any(row is None for row in rows):
        raise RestError(400, "0", "Owner was not found")
    main, *losers = [row for row in rows if row is not None]
    if any(_conflict(kind, main, loser) for loser in losers):
        return Answer({"STATUS": "CONFLICT", "ENTITY_IDS": []})
    with portal.store.together():
        for loser in losers:
            _take(kind, main, loser)
            portal.hand_over(kind, loser["id"], main["id"])
            if kind == fields.COMPANY:
                portal.hand_over_requisites(loser["id"], main["id"])
            portal.delete_item(kind, loser["id"])
        changes = {name: value for name, value in main.items() if name not in fields.READ_ONLY}
        portal.update_item(kind, main["id"], changes)
    return Answer({"STATUS": "SUCCESS", "ENTITY_IDS": numbers[1:]})


def _conflict(kind: int, main: Record, loser: Record) -> bool:
    return any(
        main.get(f.name) and loser.get(f.name) and main[f.name] != loser[f.name]
        for f in fields.ITEM_FIELDS[kind]
        if f.kind != "list" and f.name not in fields.READ_ONLY and f.name not in ITS_OWN
    )


def _take(kind: int, main: Record, loser: Record) -> None:
    for field in fields.ITEM_FIELDS[kind]:
        if field.kind == "list":
            both = [*(main.get(field.name) or ()), *(loser.get(field.name) or ())]
            main[field.name] = list(dict.fromkeys(both))
        elif not main.get(field.name) and field.name not in fields.READ_ONLY:
            main[field.name] = loser.get(field.name)
    known = {(entry["typeId"], entry["value"]) for entry in main.get("fm") or ()}
    for entry in loser.get("fm") or ():
        if (entry["typeId"], entry["value"]) not in known:
            main["fm"] = [*(main.get("fm") or ()), entry]
