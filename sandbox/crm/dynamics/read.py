"""GET: rows, single rows, their properties and neighbours, counts, and the functions a connector asks first."""

from __future__ import annotations

import re
from typing import Any, Final

from sandbox.crm.dynamics import delta
from sandbox.crm.dynamics import metadata as dynamics_metadata
from sandbox.crm.dynamics import query as dynamics_query
from sandbox.crm.dynamics.columns import APP_USER
from sandbox.crm.dynamics.expand import Wanted
from sandbox.crm.dynamics.model import (
    GUID,
    DataverseError,
    Table,
    bad_request,
    no_property,
    no_row,
    no_segment,
)
from sandbox.crm.dynamics.request import JSON_TYPE, Call, Reply, cut, keyed, said, segments
from sandbox.crm.dynamics.space import Space, encode
from sandbox.desk.records import Item

BUSINESS_UNIT: Final = "b05c0e8f-0000-f011-8c4d-000000000001"
DEPTH: Final = "Global"
_NAMES = re.compile(r"EntityNames=(\[[^\]]*\]|@\w+)")


def read(space: Space, call: Call) -> Reply:
    """Raises DataverseError for what is not there."""
    parts = segments(call.path)
    if not parts:
        return _service(space, call)
    name, key = keyed(parts[0])
    if name == "$metadata":
        return dynamics_metadata.csdl(space, annotations=call.options().get("annotations") == "true")
    if name == "EntityDefinitions":
        return dynamics_metadata.definitions(space, call, key, parts[1:])
    if name == "WhoAmI":
        user = space.tables["systemuser"].shown(APP_USER)
        organization = space.tables["organization"].shown(1)
        return said({
            "@odata.context": f"{call.root}/$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse",
            "BusinessUnitId": BUSINESS_UNIT, "UserId": user, "OrganizationId": organization,
        })  # fmt: skip
    if name == "RetrieveTotalRecordCount":
        return _totals(space, call, key or "")
    table = space.table(name)
    if key is None:
        return _set(space, table, call, parts[1:])
    item = found(space, table, key)
    if len(parts) > 1:
        return _beside(space, table, item, call, parts[1:])
    return single(space, table, item, call)


def found(space: Space, table: Table, key: str) -> Item:
    """The row of a GUID or of an alternate key. Raises 404 when there is none."""
    item = sought(space, table, key)
    if item is None:
        raise no_row(table.name, key) if GUID.fullmatch(key) else DataverseError(
            404, "0x80060891", f"A record with the specified key values does not exist in {table.name} entity"
        )  # fmt: skip
    return item


def sought(space: Space, table: Table, key: str) -> Item | None:
    """The row of `GUID`, `accountid=GUID` or `new_extkey='…'`; None when there is none."""
    if GUID.fullmatch(key):
        number = table.number(key)
        return space.rows[table.name].get(number) if number is not None else None
    name, value = key_pair(table, key)
    if name == table.key:
        return sought(space, table, value)
    return space.rows[table.name].keyed(name, value)


def key_pair(table: Table, key: str) -> tuple[str, str]:
    """Column and value of an alternate key. Raises 400 for a column that is none."""
    pairs = [part.partition("=") for part in cut(key, ",")]
    if len(pairs) != 1 or not pairs[0][1]:
        raise bad_request("Bad Request - Error in query syntax.", "0x80060888")
    name, value = pairs[0][0].strip(), pairs[0][2].strip()
    if name != table.key and name not in table.keys:
        raise bad_request("The specified key attributes are not a defined key for the "
                          f"{table.name} entity", "0x80060890")  # fmt: skip
    return name, value.strip("'").replace("''", "'")


def single(space: Space, table: Table, item: Item, call: Call) -> Reply:
    """One row. With If-None-Match of its version 304, unless annotations or neighbours were asked for."""
    options = call.options()
    etag = f'W/"{item.version}"'
    if call.headers.get("if-none-match") == etag and not call.notes() and "$expand" not in options:
        return Reply(304)
    wanted = Wanted.read(space, table, options, call.notes())
    row = wanted.rows([item], call.root)[0]
    context = {"@odata.context": f"{call.root}/$metadata#{table.plural}{wanted.context()}/$entity"}
    return Reply(200, encode(context)[:-1] + b"," + row[1:], {"Content-Type": JSON_TYPE}, weight=1)


def _set(space: Space, table: Table, call: Call, rest: list[str]) -> Reply:
    if rest and rest[0] != "$count":
        raise no_segment(rest[0])
    if rest:
        options = call.options()
        if "$deltatoken" in options:
            number = delta.count(space, table, call)
        else:
            number = dynamics_query.counted(space, table, dynamics_query.tested(space, table, options))
        return Reply(200, f"\ufeff{number}".encode(), {"Content-Type": "text/plain"})
    if delta.is_tracking(call):
        return delta.tracked(space, table, call)
    return dynamics_query.listed(space, table, call)


def _beside(space: Space, table: Table, item: Item, call: Call, rest: list[str]) -> Reply:
    """A property of a row, the row behind a lookup, or a collection of a row."""
    name = rest[0]
    if name in table.collections:
        other = space.tables[table.collections[name][0]]
        path = f"{table.plural}({table.shown(item.number)})/{name}"
        return dynamics_query.listed(space, other, call, space.related(table, name, item), path)
    if (column := table.navs.get(name)) is not None and column.kind != "Uniqueidentifier":
        number = column.read(item)
        target = space.target(column)
        row = space.rows[target.name].get(number) if number else None
        if row is None:
            return Reply(204)
        if rest[1:] == ["$ref"]:
            return said({"@odata.context": f"{call.root}/$metadata#$ref",
                         "@odata.id": f"{call.root}/{target.plural}({target.shown(row.number)})"})  # fmt: skip
        return single(space, target, row, call)
    if name in (
        "Microsoft.Dynamics.CRM.RetrieveUserPrivileges",
        "Microsoft.Dynamics.CRM.RetrieveUserPrivileges()",
    ):
        return _privileges(space, call)
    column_of = table.columns.get(name)
    if column_of is None:
        raise no_property(name, table.name)
    value = space.shape(table, (name,)).row(item)[name]
    if rest[1:] == ["$value"]:
        return Reply(200, str(value).encode(), {"Content-Type": "text/plain"})
    if value is None:
        return Reply(204)
    context = f"{call.root}/$metadata#{table.plural}({table.shown(item.number)})/{name}"
    return said({"@odata.context": context, "value": value})


def _totals(space: Space, call: Call, key: str) -> Reply:
    """RetrieveTotalRecordCount(EntityNames=['account']): counts of up to 24 hours ago with the vendor; here of now."""
    match = _NAMES.search(key)
    listed = match.group(1) if match else ""
    if listed.startswith("@"):
        listed = call.options().get(listed, "")
    names = re.findall(r"['\"](\w+)['\"]", listed)
    for name in names:
        if name not in space.tables:
            raise DataverseError(404, "0x80060888", f"Could not find entity {name}")
    return said({
        "@odata.context": f"{call.root}/$metadata#Microsoft.Dynamics.CRM.RetrieveTotalRecordCountResponse",
        "EntityRecordCountCollection": {
            "Count": len(names), "IsReadOnly": False, "Keys": names,
            "Values": [len(space.rows[name].all()) for name in names],
        },
    })  # fmt: skip


def _privileges(space: Space, call: Call) -> Reply:
    """What the user may do: the application user may read everything and write what is written back."""
    rights: list[dict[str, Any]] = []
    for table in space.tables.values():
        verbs = ("Read", "Create", "Write", "Delete", "Append", "AppendTo") if table.writable else ("Read",)
        for verb in verbs:
            rights.append({
                "Depth": DEPTH, "PrivilegeId": table.shown(len(rights) + 1), "BusinessUnitId": BUSINESS_UNIT,
                "PrivilegeName": f"prv{verb}{table.schema}", "RecordFilterId": "00000000-0000-0000-0000-000000000000",
            })  # fmt: skip
    return said({
        "@odata.context": f"{call.root}/$metadata#Microsoft.Dynamics.CRM.RetrieveUserPrivilegesResponse",
        "RolePrivileges": rights,
    })  # fmt: skip


def _service(space: Space, call: Call) -> Reply:
    sets = [{"name": name, "kind": "EntitySet", "url": name} for name in sorted(space.sets)]
    return said({"@odata.context": f"{call.root}/$metadata", "value": sets})
