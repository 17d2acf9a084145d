"""crm.activity.list, get, add, update and delete."""

from __future__ import annotations

from typing import Any

from sandbox.bitrix24 import projection
from sandbox.bitrix24.activities import activity
from sandbox.bitrix24.arguments import integer
from sandbox.bitrix24.lists import plain_list
from sandbox.bitrix24.portal import Portal, now
from sandbox.bitrix24.rest import Answer, RestError
from sandbox.store import Record

WRITTEN = frozenset(
    {
        "SUBJECT",
        "DESCRIPTION",
        "START_TIME",
        "END_TIME",
        "COMPLETED",
        "RESPONSIBLE_ID",
        "DIRECTION",
        "PRIORITY",
    }
)


def activity_list(portal: Portal, params: dict[str, Any]) -> Answer:
    """crm.activity.list: by START_TIME unless it is asked for otherwise."""
    return plain_list(portal.activities(), {"order": {"START_TIME": "ASC"}, **params})


def activity_get(portal: Portal, params: dict[str, Any]) -> Answer:
    return Answer(_existing(portal, params))


def activity_add(portal: Portal, params: dict[str, Any]) -> Answer:
    """crm.activity.add: whose it is, of what kind and who answers for it are required."""
    said = params.get("fields") or {}
    for name in ("OWNER_TYPE_ID", "OWNER_ID", "TYPE_ID", "SUBJECT", "RESPONSIBLE_ID"):
        if not said.get(name):
            raise RestError(400, "", f"The field {name} is required.")
    number = 200_000_000 + portal.store.counter("bitrix24.activity")
    who, whose = integer(said["RESPONSIBLE_ID"], "RESPONSIBLE_ID"), integer(said["OWNER_ID"], "OWNER_ID")
    kind, stamp = integer(said["TYPE_ID"], "TYPE_ID"), now()
    row = activity(
        number, integer(said["OWNER_TYPE_ID"], "OWNER_TYPE_ID"), whose, kind, who, stamp, stamp, stamp
    )
    portal.activities().put(_written(row, said))
    return Answer(number)


def activity_update(portal: Portal, params: dict[str, Any]) -> Answer:
    row = _existing(portal, params)
    portal.activities().put(
        _written(row, params.get("fields") or {}) | {"LAST_UPDATED": projection.iso(now())}
    )
    return Answer(True)


def activity_delete(portal: Portal, params: dict[str, Any]) -> Answer:
    portal.activities().delete(int(_existing(portal, params)["ID"]))
    return Answer(True)


def _existing(portal: Portal, params: dict[str, Any]) -> Record:
    row = portal.activities().get(integer(params.get("id", params.get("ID")), "id"))
    if row is None:
        raise RestError(400, "", "Activity is not found")
    return row


def _written(row: Record, said: dict[str, Any]) -> Record:
    """The row with what may be written; DEADLINE follows START_TIME, STATUS whether it is over."""
    row = row | {name: str(value) for name, value in said.items() if name in WRITTEN}
    return row | {"DEADLINE": row["START_TIME"], "STATUS": "2" if row["COMPLETED"] == "Y" else "1"}
