"""Notifications: channels registered at /actions/watch, and the letters that go to them.

A letter carries ids and a token, no signature: whoever knows the address can forge one. A channel falls silent
when it expires.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sandbox.crm.zoho.encoding import encode
from sandbox.crm.zoho.gate import EMPTY, Answer, Call, Portal, Refused
from sandbox.crm.zoho.ids import moment, source_id, stamp
from sandbox.crm.zoho.lists import module_id, paged
from sandbox.crm.zoho.modules import MODULES, OF_ENTITY, Module
from sandbox.desk.records import Desk, Happening, Item
from sandbox.office import Letter, Office

LIFE: Final = timedelta(hours=1)
"""How long a channel lives when it names no expiry, or one too far away."""
LONGEST_LIFE: Final = timedelta(days=7)
CHANNELS_A_CALL: Final = 10
OPERATIONS: Final = {
    "added": "insert",
    "restored": "insert",
    "changed": "update",
    "deleted": "delete",
    "merged": "delete",
}
EVENTS: Final = {"insert": "create", "update": "edit", "delete": "delete"}
AGENT: Final = "Zoho CRM Notification/v8"


def hook(office: Office, happening: Happening) -> list[Letter]:
    """Letters about one happening, one for each channel that asked for it."""
    found = _concerns(office.desk, happening)
    if found is None:
        return []
    module, number, operation = found
    shown, now = source_id(module.entity, number), office.desk.clock()
    fields = _changed(office.desk, module, happening) if operation == "update" else {}
    letters = []
    for channel in office.hooks:
        wanted = {f"{module.name}.all", f"{module.name}.{EVENTS[operation]}"}
        if not wanted & set(channel["events"]) or moment(channel["channel_expiry"]) <= now:
            continue
        said = {
            "server_time": int(now.timestamp() * 1000),
            "affected_values": [{"record_id": shown, "values": fields}]
            if channel["return_affected_field_values"] and fields else [],
            "query_params": {},
            "module": module.name,
            "resource_uri": f"{channel['_base']}/crm/v8/{module.name}",
            "ids": [shown],
            "affected_fields": [{shown: list(fields)}] if fields else [],
            "operation": operation,
            "channel_id": channel["channel_id"],
            "token": channel["token"],
        }  # fmt: skip
        letters.append(
            Letter(
                channel["notify_url"], encode(said), {"Content-Type": "application/json", "User-Agent": AGENT}
            )
        )
    return letters


def enable(portal: Portal, call: Call) -> Answer:
    """POST /actions/watch"""
    said = []
    for place, row in enumerate(_rows(call)):
        for name in ("channel_id", "events", "notify_url"):
            if not row.get(name):
                raise _refused("MANDATORY_NOT_FOUND", "required field not found", place, name)
        events = _events(row["events"], place)
        url = str(row["notify_url"])
        if not url.startswith(("http://", "https://")):
            raise _refused("INVALID_DATA", "invalid data", place, "notify_url")
        channel = {
            "channel_id": str(row["channel_id"]), "events": events, "notify_url": url, "token": row.get("token"),
            "channel_expiry": _expiry(portal, row.get("channel_expiry"), place),
            "notify_on_related_action": bool(row.get("notify_on_related_action", True)),
            "return_affected_field_values": bool(row.get("return_affected_field_values", False)),
            "_base": call.base,
        }  # fmt: skip
        portal.office.subscribe(str(row["channel_id"]), channel)
        said.append(_told(channel, "Successfully subscribed for actions-watch of the given module"))
    return Answer.of({"watch": said}, 201)


def listed(portal: Portal, call: Call) -> Answer:
    """GET /actions/watch: a row for each channel and module, of channels that live"""
    wanted, only = call.params.get("channel_id"), call.params.get("module")
    now, rows = portal.office.desk.clock(), []
    for channel in portal.office.hooks:
        if moment(channel["channel_expiry"]) <= now or wanted not in (None, channel["channel_id"]):
            continue
        for module in _modules(channel["events"]):
            if only in (None, module.name):
                kept = {
                    name: value
                    for name, value in channel.items()
                    if not name.startswith("_") and name != "events"
                }
                events = [event for event in channel["events"] if event.partition(".")[0] == module.name]
                rows.append({**kept, **_resource(channel, module), "events": events, "fields": None,
                             "notification_condition": None})  # fmt: skip
    return paged(call, "watch", rows) if rows else EMPTY


def renew(portal: Portal, call: Call) -> Answer:
    """PUT or PATCH /actions/watch: what a row names is changed; with _delete_events its events are dropped"""
    said = []
    for place, row in enumerate(_rows(call)):
        known = next(
            (one for one in portal.office.hooks if one["channel_id"] == str(row.get("channel_id"))), None
        )
        if known is None:
            raise _refused("NOT_SUBSCRIBED", "the channel is not subscribed", place, "channel_id")
        channel, message = dict(known), "Successfully updated the subscribe details"
        if row.get("_delete_events"):
            dropped = set(_events(row.get("events"), place))
            channel["events"] = [event for event in channel["events"] if event not in dropped]
            message = "Successfully removed the subscribe details"
        elif row.get("events"):
            channel["events"] = _events(row["events"], place)
        for name in ("notify_url", "token", "return_affected_field_values", "notify_on_related_action"):
            if name in row and not row.get("_delete_events"):
                channel[name] = row[name]
        if "channel_expiry" in row or (call.method == "PUT" and not row.get("_delete_events")):
            channel["channel_expiry"] = _expiry(portal, row.get("channel_expiry"), place)
        if channel["events"]:
            portal.office.subscribe(channel["channel_id"], channel)
        else:
            portal.office.unsubscribe(channel["channel_id"])
        said.append(_told(channel, message))
    return Answer.of({"watch": said})


def disable(portal: Portal, call: Call) -> Answer:
    """DELETE /actions/watch?channel_ids="""
    shown = [one for one in call.params.get("channel_ids", "").split(",") if one]
    if not shown:
        raise Refused(
            400,
            "REQUIRED_PARAM_MISSING",
            "One of the expected parameter is missing",
            {"param_name": "channel_ids"},
        )
    said: list[dict[str, Any]] = []
    for one in shown:
        if portal.office.unsubscribe(one):
            said.append({"code": "SUCCESS", "details": {"resource_uri": f"{call.base}/crm/v8/actions/watch",
                         "channel_id": one}, "message": "Successfully un-subscribed from actions-watch",
                         "status": "success"})  # fmt: skip
        else:
            said.append({"code": "NOT_SUBSCRIBED", "details": {"channel_id": one}, "status": "error",
                         "message": "the channel is not subscribed"})  # fmt: skip
    return Answer.of({"watch": said}, 200 if any(row["code"] == "SUCCESS" for row in said) else 202)


# ---- Inside -------------------------------------------------------------------------------------


def _concerns(desk: Desk, happening: Happening) -> tuple[Module, int, str] | None:
    """The module, record and operation that a happening is to this CRM. A row's change is one of its order."""
    operation = OPERATIONS[happening.kind]
    if happening.entity == "line":
        line: Item = desk.tables["line"][happening.number]
        deal = line.body["deal"]
        left = len(desk.children("line", deal))
        if operation == "insert":
            operation = "insert" if left == 1 else "update"
        elif operation == "delete":
            operation = "delete" if left == 0 else "update"
        return MODULES["Sales_Orders"], deal, operation
    module = OF_ENTITY.get(happening.entity)
    return (module, happening.number, operation) if module is not None else None


def _changed(desk: Desk, module: Module, happening: Happening) -> dict[str, Any]:
    """The fields of the organisation's records that a change touched, by their API names, as plain values."""
    item, before = desk.tables[happening.entity][happening.number], happening.before or {}
    if module.entity != happening.entity:
        return {}
    keys = {key for key, value in item.body.items() if before.get(key) != value}
    found: dict[str, Any] = {}
    for one in module.fields:
        if one.key in keys and one.key is not None:
            value = item.body[one.key]
            if one.lookup is not None and value is not None:
                value = {"id": source_id(one.lookup, value)}
            elif isinstance(one.picks, str) and value is not None:
                value = desk.tables[one.picks][value].body["name"]
            found[one.name] = value
    return found


def _rows(call: Call) -> list[dict[str, Any]]:
    rows = call.rows("watch")
    if len(rows) > CHANNELS_A_CALL:
        raise Refused(
            400, "INVALID_DATA", "invalid data", {"maximum_length": CHANNELS_A_CALL, "api_name": "watch"}
        )
    return rows


def _events(said: Any, place: int) -> list[str]:
    if not isinstance(said, list) or not said:
        raise _refused("MANDATORY_NOT_FOUND", "required field not found", place, "events")
    for event in said:
        name, _, kind = str(event).partition(".")
        if name not in MODULES or kind not in ("all", "create", "edit", "delete"):
            raise _refused("INVALID_DATA", "invalid data", place, "events")
    return [str(event) for event in said]


def _expiry(portal: Portal, said: Any, place: int) -> str:
    now = portal.office.desk.clock()
    until: datetime = now + LIFE
    if said is not None:
        try:
            asked = moment(str(said))
        except ValueError:
            raise _refused("INVALID_DATA", "invalid data", place, "channel_expiry") from None
        if asked <= now:
            raise _refused("INVALID_DATA", "invalid data", place, "channel_expiry")
        until = asked if asked <= now + LONGEST_LIFE else until
    return stamp(until)


def _modules(events: list[str]) -> list[Module]:
    return [MODULES[name] for name in dict.fromkeys(event.partition(".")[0] for event in events)]


def _resource(channel: dict[str, Any], module: Module) -> dict[str, Any]:
    return {
        "channel_expiry": channel["channel_expiry"], "resource_uri": f"{channel['_base']}/crm/v8/{module.name}",
        "resource_id": module_id(module), "resource_name": module.name, "channel_id": channel["channel_id"],
    }  # fmt: skip


def _told(channel: dict[str, Any], message: str) -> dict[str, Any]:
    events = [_resource(channel, module) for module in _modules(channel["events"])]
    return {"code": "SUCCESS", "details": {"events": events}, "message": message, "status": "success"}


def _refused(code: str, message: str, place: int, name: str) -> Refused:
    return Refused(400, code, message, {"api_name": name, "json_path": f"$.watch[{place}].{name}"})
