"""Webhooks: service endpoints, steps on messages, and the context that is posted when one of them happens.

    POST serviceendpoints            {"name", "contract": 8, "url", "authtype": 4|5|6, "authvalue"}
    GET  sdkmessages?$filter=name eq 'Update'
    GET  sdkmessagefilters?$filter=primaryobjecttypecode eq 'account' and _sdkmessageid_value eq …
    POST sdkmessageprocessingsteps   {"name", "stage": 40, "mode": 1, "filteringattributes",
                                      "eventhandler_serviceendpoint@odata.bind", "sdkmessageid@odata.bind",
                                      "sdkmessagefilterid@odata.bind"}

There is no signature: an endpoint is known by a fixed query key (authtype 4, ?code=…), fixed headers (5) or fixed
query pairs (6), the latter two written as <settings><setting name="…" value="…" /></settings>.
Source: the vendor's pages on using and registering webhooks.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from sandbox.crm.dynamics.columns import APP_USER
from sandbox.crm.dynamics.model import LOOKUPS, Column, Table, bad_request, guid_of, no_row, no_segment
from sandbox.crm.dynamics.read import BUSINESS_UNIT
from sandbox.crm.dynamics.request import Call, Reply, keyed, said, segments
from sandbox.crm.dynamics.space import Space, decode, encode
from sandbox.desk.records import Happening, Item
from sandbox.office import Letter, Office

WEBHOOK: Final = 8
KEY, HEADER, QUERY = 4, 5, 6
MAX_LETTER: Final = 256 * 1024
MESSAGES: Final = {"Create": 1, "Update": 2, "Delete": 3, "Merge": 4, "Restore": 5}
_KINDS: Final = {
    "added": "Create",
    "changed": "Update",
    "deleted": "Delete",
    "merged": "Merge",
    "restored": "Restore",
}
SETS: Final = frozenset({"serviceendpoints", "sdkmessages", "sdkmessagefilters", "sdkmessageprocessingsteps"})
_MESSAGE, _FILTER = 0xE010, 0xE011
_CONTRACTS: Final = "http://schemas.microsoft.com/xrm/2011/Contracts"
_SETTING = re.compile(r'<setting\s+name="([^"]*)"\s+value="([^"]*)"\s*/>')
_CONDITION = re.compile(r"(\w+) eq (?:'([^']*)'|(\S+))")
_GUID = re.compile(r"\(([0-9a-fA-F-]{36})\)")


def answer(space: Space, office: Office, call: Call) -> Reply:
    """Requests to the four sets. Raises DataverseError for what is not there."""
    name, key = keyed(segments(call.path)[0])
    kept = space.desk.store.collection(f"dynamics.{name}.{office.where}")
    if call.method == "GET":
        rows = _messages(space, name) if name.startswith("sdkmessage") and name != "sdkmessageprocessingsteps" else [
            dict(row) for row in kept.values()
        ]  # fmt: skip
        conditions = _CONDITION.findall(call.options().get("$filter", ""))
        found = [row for row in rows if all(str(row.get(n)) == (t or b) for n, t, b in conditions)]
        if key is not None:
            one = next((row for row in rows if key.lower() in row.values()), None)
            if one is None:
                raise no_row(name, key)
            return said({"@odata.context": f"{call.root}/$metadata#{name}/$entity", **one})
        return said({"@odata.context": f"{call.root}/$metadata#{name}", "value": found})
    if name not in ("serviceendpoints", "sdkmessageprocessingsteps"):
        raise no_segment(name)
    if call.method == "DELETE" and key is not None:
        if key.lower() not in kept:
            raise no_row(name, key)
        del kept[key.lower()]
        office.unsubscribe(key.lower())
        return Reply(204)
    body = decode(call.body)
    guid = str(uuid.uuid4())
    kept.put(guid, _endpoint(guid, body) if name == "serviceendpoints" else _step(space, office, guid, body))
    address = f"{call.root}/{name}({guid})"
    return Reply(204, headers={"OData-EntityId": address, "Location": address})


def letters(space: Space, office: Office, happening: Happening) -> list[Letter]:
    """A letter for each step that the happening concerns."""
    table = next((t for t in space.tables.values() if t.entity == happening.entity), None)
    item = space.desk.tables[happening.entity].get(happening.number)
    if table is None or item is None:
        return []
    endpoints = space.desk.store.collection(f"dynamics.serviceendpoints.{office.where}")
    changed = _changed(table, happening, item)
    found = []
    for step in office.hooks:
        if step["message"] != _KINDS[happening.kind] or step["table"] not in ("", table.name):
            continue
        wanted = set(step["attributes"])
        endpoint = endpoints.get(step["endpoint"])
        if endpoint is None or (happening.kind == "changed" and wanted and not wanted & set(changed)):
            continue
        found.append(_letter(space, office, table, item, happening, changed, step, endpoint))
    return found


def _messages(space: Space, name: str) -> list[dict[str, Any]]:
    if name == "sdkmessages":
        return [{"sdkmessageid": guid_of(_MESSAGE, n), "name": message} for message, n in MESSAGES.items()]
    return [
        {"sdkmessagefilterid": guid_of(_FILTER, table.code * 10 + n), "primaryobjecttypecode": table.name,
         "_sdkmessageid_value": guid_of(_MESSAGE, n)}
        for table in space.tables.values()
        for message, n in MESSAGES.items()
        if table.merges or message != "Merge"
    ]  # fmt: skip


def _endpoint(guid: str, body: dict[str, Any]) -> dict[str, Any]:
    if (
        body.get("contract") != WEBHOOK
        or body.get("authtype") not in (KEY, HEADER, QUERY)
        or not body.get("url")
    ):
        raise bad_request("A webhook needs contract 8, a url and authtype 4, 5 or 6.", "0x80040203")
    return {
        "serviceendpointid": guid,
        **{n: body.get(n) for n in ("name", "contract", "url", "authtype", "authvalue")},
    }


def _step(space: Space, office: Office, guid: str, body: dict[str, Any]) -> dict[str, Any]:
    endpoint = _bound(body, "eventhandler_serviceendpoint")
    message = next(
        (m for m, n in MESSAGES.items() if guid_of(_MESSAGE, n) == _bound(body, "sdkmessageid")), None
    )
    if (
        endpoint not in space.desk.store.collection(f"dynamics.serviceendpoints.{office.where}")
        or message is None
    ):
        raise bad_request("The step names no known service endpoint or message.", "0x80040203")
    filtered = _bound(body, "sdkmessagefilterid")
    row = next(
        (r for r in _messages(space, "sdkmessagefilters") if r["sdkmessagefilterid"] == filtered), None
    )
    attributes = [a.strip() for a in (body.get("filteringattributes") or "").split(",") if a.strip()]
    table = row["primaryobjecttypecode"] if row is not None else ""
    office.subscribe(guid, {"step": guid, "endpoint": endpoint, "message": message, "table": table,
                            "attributes": attributes})  # fmt: skip
    return {"sdkmessageprocessingstepid": guid, "name": body.get("name"), "stage": body.get("stage", 40),
            "mode": body.get("mode", 1), "filteringattributes": body.get("filteringattributes"),
            "_eventhandler_value": endpoint, "_sdkmessageid_value": _bound(body, "sdkmessageid"),
            "_sdkmessagefilterid_value": filtered or None}  # fmt: skip


def _bound(body: dict[str, Any], nav: str) -> str:
    match = _GUID.search(str(body.get(f"{nav}@odata.bind") or ""))
    return match.group(1).lower() if match else ""


def _changed(table: Table, happening: Happening, item: Item) -> dict[str, Column]:
    """Columns whose values a change moved; all of a new row."""
    columns = {column.name: column for column in table.columns.values()}
    if happening.kind != "changed" or happening.before is None:
        return columns
    before = Item(item.number, happening.before, item.created, item.modified, item.version)
    return {name: c for name, c in columns.items() if c.read(before) != c.read(item) or name == "modifiedon"}


def _letter(space: Space, office: Office, table: Table, item: Item, happening: Happening, changed: dict[str, Column],
            step: dict[str, Any], endpoint: dict[str, Any]) -> Letter:  # fmt: skip
    guid, message = table.shown(item.number), step["message"]
    correlation = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{office.where}:{happening.place}:{step['step']}"))
    user = space.tables["systemuser"].shown(APP_USER)
    context: dict[str, Any] = {
        "BusinessUnitId": BUSINESS_UNIT, "CorrelationId": correlation, "Depth": 1, "InitiatingUserId": user,
        "InputParameters": _input(space, table, item, happening, changed), "IsExecutingOffline": False,
        "IsInTransaction": False, "IsOfflinePlayback": False, "IsolationMode": 1, "MessageName": message, "Mode": 1,
        "OperationCreatedOn": _instant(happening.at), "OperationId": correlation,
        "OrganizationId": space.tables["organization"].shown(1), "OrganizationName": office.where,
        "OutputParameters": [], "OwningExtension": _reference("sdkmessageprocessingstep", step["step"]),
        "ParentContext": None, "PostEntityImages": [], "PreEntityImages": [], "PrimaryEntityId": guid,
        "PrimaryEntityName": table.name, "RequestId": None, "SecondaryEntityName": "none", "SharedVariables": [],
        "Stage": 40, "UserId": user,
    }  # fmt: skip
    headers = {
        "Content-Type": "application/json", "x-ms-dynamics-organization": office.where,
        "x-ms-dynamics-entity-name": table.name, "x-ms-dynamics-request-name": message,
        "x-ms-correlation-request-id": correlation,
    }  # fmt: skip
    if len(encode(context)) > MAX_LETTER:
        headers["x-ms-dynamics-msg-size-exceeded"] = "true"
        for name in ("ParentContext", "InputParameters", "PreEntityImages", "PostEntityImages"):
            del context[name]
    url, value = endpoint["url"], endpoint["authvalue"] or ""
    pairs = _SETTING.findall(value)
    if endpoint["authtype"] == HEADER:
        headers |= dict(pairs)
    else:
        extra = urlencode({"code": value} if endpoint["authtype"] == KEY else dict(pairs))
        url += ("&" if "?" in url else "?") + extra
    return Letter(url, encode(context), headers)


def _input(
    space: Space, table: Table, item: Item, happening: Happening, changed: dict[str, Column]
) -> list[dict[str, Any]]:
    if happening.kind in ("deleted", "restored"):
        return [{"key": "Target", "value": _reference(table.name, table.shown(item.number))}]
    if happening.kind == "merged":
        winner = table.shown(happening.other or 0)
        return [{"key": "Target", "value": _reference(table.name, winner)},
                {"key": "SubordinateId", "value": table.shown(item.number)},
                {"key": "PerformParentingChecks", "value": False}]  # fmt: skip
    attributes = [{"key": table.key, "value": table.shown(item.number)}]
    attributes += [
        {"key": name, "value": _value(space, column, item)}
        for name, column in changed.items()
        if name != table.key
    ]
    entity = {"__type": f"Entity:{_CONTRACTS}", "Attributes": attributes, "EntityState": None, "FormattedValues": [],
              "Id": table.shown(item.number), "KeyAttributes": [], "LogicalName": table.name, "RelatedEntities": [],
              "RowVersion": None}  # fmt: skip
    return [{"key": "Target", "value": entity}]


def _reference(name: str, guid: str) -> dict[str, Any]:
    return {"__type": f"EntityReference:{_CONTRACTS}", "Id": guid, "KeyAttributes": [], "LogicalName": name,
            "Name": None, "RowVersion": None}  # fmt: skip


def _value(space: Space, column: Column, item: Item) -> Any:
    """An attribute as the context serialises it: dates by milliseconds, choices and money as objects."""
    value = column.read(item)
    if value is None:
        return None
    if column.kind in LOOKUPS:
        target = space.target(column, item)
        return _reference(target.name, target.shown(value))
    if column.kind in ("Picklist", "State", "Status"):
        return {"__type": f"OptionSetValue:{_CONTRACTS}", "Value": value}
    if column.kind == "Money":
        return {"__type": f"Money:{_CONTRACTS}", "Value": Decimal(value)}
    if isinstance(value, date):
        return _instant(
            value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
        )
    return value


def _instant(moment: datetime) -> str:
    return f"/Date({int(moment.timestamp() * 1000)})/"
