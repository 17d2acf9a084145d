"""What the environment says about itself: EntityDefinitions and $metadata.

Enough of EntityMetadata and AttributeMetadata to check columns, choices, keys, change tracking and rights to
write: $select, $filter (eq, and) and $expand=Attributes, Keys; attributes by name, by id and by type
(…/Attributes/Microsoft.Dynamics.CRM.PicklistAttributeMetadata?$expand=OptionSet).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from sandbox.crm.dynamics.model import (
    CHOICES,
    EDM,
    GUID,
    LOOKUPS,
    Column,
    DataverseError,
    Table,
    bad_request,
    guid_of,
)
from sandbox.crm.dynamics.request import Call, Reply, cut, said
from sandbox.crm.dynamics.space import Space

CRM: Final = "Microsoft.Dynamics.CRM."
LANGUAGE: Final = 1049
_TABLE_CODE, _COLUMN_CODE = 0xE000, 0xE001
_TYPES: Final = {"DateOnly": "DateTime", "Picklist": "Picklist"}
_CLASSES: Final = {
    "DateTime": "DateTimeAttributeMetadata", "DateOnly": "DateTimeAttributeMetadata",
    "Picklist": "PicklistAttributeMetadata", "State": "StateAttributeMetadata", "Status": "StatusAttributeMetadata",
    "Boolean": "BooleanAttributeMetadata", "String": "StringAttributeMetadata", "Memo": "MemoAttributeMetadata",
    "Integer": "IntegerAttributeMetadata", "BigInt": "BigIntAttributeMetadata", "Money": "MoneyAttributeMetadata",
    "Decimal": "DecimalAttributeMetadata", "Lookup": "LookupAttributeMetadata", "Owner": "LookupAttributeMetadata",
    "Customer": "LookupAttributeMetadata", "Uniqueidentifier": "UniqueIdentifierAttributeMetadata",
}  # fmt: skip
_CONDITION = re.compile(r"([\w/]+)\s+(eq|ne)\s+('(?:[^']|'')*'|true|false|null|-?\d+|[\w.]*'[^']*')")


def definitions(space: Space, call: Call, key: str | None, rest: list[str]) -> Reply:
    """Answers below EntityDefinitions. Raises 404 for a table or column that is not there."""
    options = call.options()
    if key is None:
        rows = _filtered(
            [_entity(space, table) for table in space.tables.values()], options.get("$filter", "")
        )
        for row in rows:
            _expand(space, space.tables[row["LogicalName"]], row, options.get("$expand", ""))
        return _many(call, "EntityDefinitions", [_selected(row, options, "MetadataId") for row in rows])
    table = _named(space, key)
    if not rest:
        row = _entity(space, table)
        _expand(space, table, row, options.get("$expand", ""))
        return said({"@odata.context": f"{call.root}/$metadata#EntityDefinitions/$entity",
                     **_selected(row, options, "MetadataId")})  # fmt: skip
    name, bracket, inner = rest[0].partition("(")
    place = f"EntityDefinitions('{table.name}')/{name}"
    if name == "Keys":
        return _many(call, place, _keys(table))
    if name != "Attributes":
        raise DataverseError(404, "0x8006088a", f"Resource not found for the segment '{name}'.")
    rows = _attributes(table)
    kind = rest[1].removeprefix(CRM) if len(rest) > 1 else ""
    if bracket:
        named = [row for row in rows if _answers(row, inner.rstrip(")"))]
        if not named:
            raise DataverseError(
                404, "0x80060888", f"Could not find an attribute with specified name: {inner}"
            )
        return said(
            {
                "@odata.context": f"{call.root}/$metadata#{place}/$entity",
                **_selected(named[0], options, "MetadataId"),
            }
        )
    if kind:
        rows = [row for row in rows if row["@odata.type"] == f"#{CRM}{kind}"]
    rows = _filtered(rows, options.get("$filter", ""))
    return _many(call, place, [_selected(row, options, "MetadataId", "@odata.type") for row in rows])


def csdl(space: Space, *, annotations: bool) -> Reply:
    """The CSDL document; with annotations it says which sets are tracked."""
    head = (
        '<?xml version="1.0" encoding="utf-8"?><edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/'
        'ns/edmx"><edmx:DataServices><Schema Namespace="Microsoft.Dynamics.CRM" Alias="mscrm" '
        'xmlns="http://docs.oasis-open.org/odata/ns/edm">'
        '<EntityType Name="crmbaseentity" Abstract="true" />'
    )
    parts = [head]
    for table in space.tables.values():
        parts.append(f'<EntityType Name="{table.name}" BaseType="mscrm.crmbaseentity"><Key><PropertyRef '
                     f'Name="{table.key}" /></Key>')  # fmt: skip
        for column in table.columns.values():
            scale = ' Scale="Variable"' if EDM[column.kind] == "Edm.Decimal" else ""
            parts.append(f'<Property Name="{column.property}" Type="{EDM[column.kind]}"{scale} />')
        parts += [
            f'<NavigationProperty Name="{column.nav}" Type="mscrm.{column.target}" Nullable="false">'
            f'<ReferentialConstraint Property="{column.property}" '
            f'ReferencedProperty="{space.target(column).key}" /></NavigationProperty>'
            for column in table.navs.values()
        ]
        for nav, (other, _) in table.collections.items():
            parts.append(f'<NavigationProperty Name="{nav}" Type="Collection(mscrm.{other})" />')
        parts.append("</EntityType>")
    parts.append('<EntityContainer Name="System">')
    for table in space.tables.values():
        inner = "".join(
            f'<NavigationPropertyBinding Path="{c.nav}" Target={quoteattr(space.target(c).plural)} />'
            for c in table.navs.values()
        )
        if annotations and space.tracked(table):
            inner += ('<Annotation Term="Org.OData.Capabilities.V1.ChangeTracking"><Record><PropertyValue '
                      'Property="Supported" Bool="true" /></Record></Annotation>')  # fmt: skip
        parts.append(
            f'<EntitySet Name="{table.plural}" EntityType="Microsoft.Dynamics.CRM.{table.name}">{inner}</EntitySet>'
        )
    parts.append("</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>")
    return Reply(200, "".join(parts).encode(), {"Content-Type": "application/xml"})


def label(text: str) -> dict[str, Any]:
    one = {"Label": text, "LanguageCode": LANGUAGE, "IsManaged": True, "HasChanged": None,
           "MetadataId": guid_of(0xE002, zlib.crc32(text.encode()))}  # fmt: skip
    return {"LocalizedLabels": [one], "UserLocalizedLabel": one}


def _entity(space: Space, table: Table) -> dict[str, Any]:
    return {
        "LogicalName": table.name, "SchemaName": table.schema or table.name, "EntitySetName": table.plural,
        "LogicalCollectionName": table.plural, "CollectionSchemaName": table.plural,
        "PrimaryIdAttribute": table.key, "PrimaryNameAttribute": table.title, "ObjectTypeCode": table.code,
        "ChangeTrackingEnabled": space.tracked(table), "IsCustomEntity": False,
        "CanChangeTrackingBeEnabled": {"Value": table.tracked, "CanBeChanged": table.tracked,
                                       "ManagedPropertyLogicalName": "canchangetrackingbeenabled"},
        "IsOptimisticConcurrencyEnabled": True, "OwnershipType": "UserOwned", "IsActivity": table.name == "task",
        "DisplayName": label(table.schema), "DisplayCollectionName": label(table.plural),
        "MetadataId": guid_of(_TABLE_CODE, table.code),
    }  # fmt: skip


def _attributes(table: Table) -> list[dict[str, Any]]:
    return [_attribute(table, column, place) for place, column in enumerate(table.columns.values(), start=1)]


def _attribute(table: Table, column: Column, place: int) -> dict[str, Any]:
    schema = column.schema or column.name.capitalize()
    made: dict[str, Any] = {
        "@odata.type": f"#{CRM}{_CLASSES[column.kind]}", "LogicalName": column.name, "SchemaName": schema,
        "EntityLogicalName": table.name, "AttributeType": _TYPES.get(column.kind, column.kind),
        "AttributeTypeName": {"Value": f"{_TYPES.get(column.kind, column.kind)}Type"},
        "IsPrimaryId": column.name == table.key, "IsPrimaryName": column.name == table.title,
        "IsCustomAttribute": column.custom, "IsValidForRead": True, "IsValidForUpdate": bool(column.keep),
        "IsValidForCreate": bool(column.keep), "IsValidForAdvancedFind": {"Value": True, "CanBeChanged": True},
        "DisplayName": label(schema), "MetadataId": guid_of(_COLUMN_CODE, table.code * 1000 + place),
    }  # fmt: skip
    if column.kind in ("String", "Memo"):
        made["MaxLength"] = column.length or 100
    if column.kind in LOOKUPS:
        made["Targets"] = [column.target, *(target for target, _ in column.also.values())]
    if column.kind == "Money":
        made |= {"Precision": 2, "PrecisionSource": 2, "IsBaseCurrency": column.name.endswith("_base")}
    if column.kind in ("DateTime", "DateOnly"):
        behaviour = "DateOnly" if column.kind == "DateOnly" else "UserLocal"
        made |= {"Format": "DateOnly" if column.kind == "DateOnly" else "DateAndTime",
                 "DateTimeBehavior": {"Value": behaviour}}  # fmt: skip
    if column.kind in CHOICES:
        made["OptionSet"] = {
            "Name": f"{table.name}_{column.name}", "IsGlobal": False, "OptionSetType": column.kind,
            "Options": [{"Value": value, "Label": label(text), "State": None} for value, text in column.options.items()],
        }  # fmt: skip
    return made


def _keys(table: Table) -> list[dict[str, Any]]:
    return [
        {"LogicalName": f"key_{name}", "SchemaName": f"key_{name}", "EntityLogicalName": table.name,
         "KeyAttributes": [name], "EntityKeyIndexStatus": "Active",
         "MetadataId": guid_of(0xE003, table.code * 10 + place)}
        for place, name in enumerate(table.keys)
    ]  # fmt: skip


def _named(space: Space, key: str) -> Table:
    for table in space.tables.values():
        if _answers({"LogicalName": table.name, "MetadataId": guid_of(_TABLE_CODE, table.code)}, key):
            return table
    raise DataverseError(404, "0x80060888", f"Could not find an entity with specified entity key: {key}")


def _answers(row: dict[str, Any], key: str) -> bool:
    if GUID.fullmatch(key):
        return bool(row["MetadataId"] == key.lower())
    name, _, value = key.partition("=")
    return bool(row.get(name.strip()) == value.strip().strip("'"))


def _expand(space: Space, table: Table, row: dict[str, Any], said_expand: str) -> None:
    for part in cut(said_expand, ","):
        name, _, inner = part.partition("(")
        options = dict(o.strip().partition("=")[::2] for o in cut(inner[:-1], ";")) if inner else {}
        if name == "Attributes":
            rows = _filtered(_attributes(table), options.get("$filter", ""))
            row[name] = [_selected(r, options, "MetadataId", "@odata.type") for r in rows]
        elif name == "Keys":
            row[name] = _keys(table)
        else:
            raise bad_request(
                f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.EntityMetadata'."
            )


def _selected(row: dict[str, Any], options: dict[str, str], *always: str) -> dict[str, Any]:
    chosen = [name.strip() for name in options.get("$select", "").split(",") if name.strip()]
    if not chosen:
        return row
    unknown = [
        name
        for name in chosen
        if name not in row and name not in ("MaxLength", "Targets", "OptionSet", "Format")
    ]
    if unknown:
        raise bad_request(
            f"Could not find a property named '{unknown[0]}' on type 'Microsoft.Dynamics.CRM.EntityMetadata'."
        )
    kept = {*chosen, *always, *(part.partition("(")[0] for part in cut(options.get("$expand", ""), ","))}
    return {name: value for name, value in row.items() if name in kept}


def _filtered(rows: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Rows that meet every condition of a conjunction, or one of a disjunction, of eq and ne."""
    if not text.strip():
        return rows
    bare = _CONDITION.sub("", text).replace("(", " ").replace(")", " ").split()
    if set(bare) - {"and", "or"} or {"and", "or"} <= set(bare):
        raise bad_request(f"Syntax error in '{text}'.", "0x80060888")
    join = any if "or" in bare else all
    conditions = _CONDITION.findall(text)
    return [row for row in rows if join(_meets(row, *condition) for condition in conditions)]


def _meets(row: dict[str, Any], path: str, word: str, literal: str) -> bool:
    value: Any = row
    for name in path.split("/"):
        if not isinstance(value, dict) or name not in value:
            raise bad_request(
                f"Could not find a property named '{path}' on type 'Microsoft.Dynamics.CRM.EntityMetadata'."
            )
        value = value[name]
    if "'" in literal:
        wanted: Any = literal[literal.index("'") + 1 : -1].replace("''", "'")
    else:
        wanted = {"true": True, "false": False, "null": None}.get(literal, literal)
        wanted = int(wanted) if isinstance(wanted, str) else wanted
    return (value == wanted) is (word == "eq")


def _many(call: Call, place: str, rows: Iterable[dict[str, Any]]) -> Reply:
    return said({"@odata.context": f"{call.root}/$metadata#{place}", "value": list(rows)})
