"""Lists of the portal beside the CRM records: requisites, catalog, users, stages and other dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from sandbox import dirt
from sandbox.bitrix24 import fields, projection
from sandbox.bitrix24.arguments import integer, order_of, sequence, start_of, where_of
from sandbox.bitrix24.invoices import stage_names
from sandbox.bitrix24.portal import CATEGORIES, CURRENCIES, PRESETS, PRICE_TYPES, STAGE_NAMES, VATS, Portal
from sandbox.bitrix24.rest import Answer, Method, RestError
from sandbox.bitrix24.table import PAGE, Table, comparable, encode, matches, sort_key
from sandbox.store import Record


def plain_list(table: Table, params: dict[str, Any], wrap: str = "") -> Answer:
    """A list of an object that has one shape only: `select` narrows, unknown filter fields are ignored."""
    where = where_of(params.get("filter"), table.kinds, strict=False)
    order = order_of(params.get("order"), table.kinds, strict=False)
    page = table.page(where, order, start_of(params))
    select = params.get("select")
    names = {str(n) for n in sequence(select)} if select else set()
    if not names or any("*" in n for n in names):
        rows = [table.raw(key) for key in page.ids]
    else:
        chosen = tuple(sorted(names))
        rows = table.shaped(chosen, only(chosen), page.ids)
    return Answer(rows=rows, wrap=wrap, total=page.total or 0, next=page.next)


def product_list(portal: Portal, params: dict[str, Any]) -> Answer:
    """catalog.product.list: `select` must hold id and iblockId, the filter must hold iblockId."""
    select = {str(n) for n in sequence(params.get("select"))}
    if not select >= {"id", "iblockId"} and "*" not in select:
        raise RestError(400, "200040300010", "Required select fields: id, iblockId")
    filtered = {str(k).lstrip("=@") for k in (params.get("filter") or {})}
    if "iblockId" not in filtered:
        raise RestError(400, "200040300010", "Required filter fields: iblockId")
    return plain_list(portal.products, params, "products")


def stage_history(portal: Portal, params: dict[str, Any]) -> Answer:
    if integer(params.get("entityTypeId"), "entityTypeId") != fields.DEAL:
        return Answer(rows=[], wrap="items", total=0)
    return plain_list(portal.stage_history(), params, "items")


def category_list(params: dict[str, Any]) -> Answer:
    if integer(params.get("entityTypeId"), "entityTypeId") != fields.DEAL:
        raise RestError(400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type is not supported")
    listed = [
        {"id": number, "name": name, "sort": sort, "entityTypeId": 2, "isDefault": default, "originId": "",
         "originatorId": ""}
        for number, name, sort, default in CATEGORIES
    ]  # fmt: skip
    return Answer(value={"categories": listed}, total=len(listed))


def user_get(portal: Portal, params: dict[str, Any]) -> Answer:
    """user.get: `sort`, `order` and FILTER as words of their own, 50 a page."""
    said = params.get("FILTER") or params.get("filter") or {}
    said = {**said, **{k: v for k, v in params.items() if k in fields.USER}}
    where = where_of(said, fields.USER, strict=False)
    people = [administrator(portal), *(_user(e) for e in portal.company.employees.values())]
    found = [row for row in people if matches(where, row, fields.USER)]
    name = str(params.get("sort") or params.get("SORT") or "ID").upper()
    if name in fields.USER:
        found.sort(
            key=lambda row: sort_key(comparable(fields.USER[name], row.get(name))),
            reverse=str(params.get("order") or params.get("ORDER") or "ASC").upper() == "DESC",
        )
    offset = max(start_of(params), 0)
    following = offset + PAGE if offset + PAGE < len(found) else None
    return Answer(rows=[encode(r) for r in found[offset : offset + PAGE]], total=len(found), next=following)


def user_field_list(params: dict[str, Any], kind: int, entity: str) -> Answer:
    listed = [
        {
            "ID": str(5000 + kind * 100 + place), "ENTITY_ID": entity, "FIELD_NAME": field.old,
            "USER_TYPE_ID": "double" if field.kind == "float" else "string", "XML_ID": None, "SORT": "100",
            "MULTIPLE": "N", "MANDATORY": "N", "SHOW_FILTER": "E", "SHOW_IN_LIST": "Y", "EDIT_IN_LIST": "Y",
            "IS_SEARCHABLE": "N", "SETTINGS": {"DEFAULT_VALUE": ""},
        }
        for place, field in enumerate(f for f in fields.ITEM_FIELDS[kind] if f.old.startswith("UF_"))
    ]  # fmt: skip
    wanted = (params.get("filter") or {}).get("FIELD_NAME")
    shown = [row for row in listed if wanted in (None, row["FIELD_NAME"])]
    return Answer(shown, total=len(shown))


def dictionaries(portal: Portal) -> Iterable[tuple[str, dict[str, str], str, list[Record]]]:
    color = {"S": "success", "F": "failure", None: "process"}
    statuses = [
        {
            "ID": str(100 + place), "ENTITY_ID": entity, "STATUS_ID": stage, "NAME": name, "NAME_INIT": "",
            "SORT": str(place * 10), "SYSTEM": "N", "CATEGORY_ID": "1" if entity == "DEAL_STAGE_1" else None,
            "COLOR": "#39A8EF", "SEMANTICS": semantics,
            "EXTRA": {"SEMANTICS": color[semantics], "COLOR": "#39A8EF"},
        }
        for place, (entity, stage, name, semantics) in enumerate((*STAGE_NAMES, *stage_names()), start=1)
    ]  # fmt: skip
    currencies = [
        {
            "CURRENCY": code, "AMOUNT_CNT": "1", "AMOUNT": amount, "SORT": str(place * 100), "BASE": base,
            "FULL_NAME": name, "LID": "ru", "FORMAT_STRING": "#", "DEC_POINT": ".", "THOUSANDS_SEP": "&nbsp;",
            "DECIMALS": "2", "DATE_UPDATE": projection.iso(portal.founded),
        }
        for place, (code, amount, base, name) in enumerate(CURRENCIES, start=1)
    ]  # fmt: skip
    presets = [
        {
            "ID": number, "ENTITY_TYPE_ID": "8", "COUNTRY_ID": "1", "NAME": name, "XML_ID": code,
            "DATE_CREATE": projection.iso(dirt.FIRST_STAMP), "ACTIVE": "Y", "SORT": "500",
        }
        for number, name, code in PRESETS
    ]  # fmt: skip
    stamp = projection.iso(dirt.FIRST_STAMP)
    vats = [
        {"id": number, "name": name, "rate": rate, "active": "Y", "sort": number * 100, "timestampX": stamp}
        for number, name, rate in VATS
    ]
    price_types = [
        {
            "id": number, "name": code, "base": "Y" if number == 1 else "N", "sort": number * 100, "xmlId": code,
            "createdBy": 1, "modifiedBy": 1, "dateCreate": stamp, "timestampX": stamp,
        }
        for number, code in PRICE_TYPES
    ]  # fmt: skip
    catalogs = [
        {
            "id": projection.CATALOG_ID, "iblockId": projection.CATALOG_ID,
            "iblockTypeId": "CRM_PRODUCT_CATALOG", "lid": "s1",
            "name": "Товарный каталог CRM", "productIblockId": None, "skuPropertyId": None,
            "subscription": "N", "vatId": 7,
        }
    ]  # fmt: skip
    yield "crm.status.list", fields.STATUS, "", statuses
    yield "crm.currency.list", fields.CURRENCY, "", currencies
    yield "crm.requisite.preset.list", fields.PRESET, "", presets
    yield "catalog.vat.list", fields.VAT, "vats", vats
    yield "catalog.pricetype.list", fields.PRICE_TYPE, "priceTypes", price_types
    yield "catalog.catalog.list", fields.CATALOG, "catalogs", catalogs


def listing(table: Table, wrap: str) -> Method:
    """A small dictionary: not paged, as the vendor's statuses and currencies are not."""

    def listed(params: dict[str, Any]) -> Answer:
        where = where_of(params.get("filter"), table.kinds, strict=False)
        order = order_of(params.get("order"), table.kinds, strict=False)
        ids = table.page(where, order, 0).ids
        rows = [encode({k: v for k, v in (table.get(key) or {}).items() if k != "_"}) for key in ids]
        return Answer(rows=rows, wrap=wrap, total=len(rows))

    return listed


def only(names: Sequence[str]) -> Callable[[bytes], bytes]:
    shape = msgspec.defstruct(
        "Shape", [(n, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for n in names], gc=False
    )
    read = msgspec.json.Decoder(shape).decode
    return lambda raw: encode(read(raw))


def administrator(portal: Portal) -> Record:
    return {
        "ID": "1", "ACTIVE": True, "NAME": "Администратор", "LAST_NAME": "Портала", "SECOND_NAME": "",
        "EMAIL": "admin@sevsvet.example", "IS_ONLINE": "Y", "WORK_POSITION": "", "UF_DEPARTMENT": [1],
        "USER_TYPE": "employee",
    }  # fmt: skip


def _user(employee: Any) -> Record:
    return {
        "ID": str(projection.user_id(employee.id)), "ACTIVE": employee.active, "NAME": employee.first_name,
        "LAST_NAME": employee.last_name, "SECOND_NAME": "", "EMAIL": employee.email, "IS_ONLINE": "N",
        "WORK_POSITION": "Менеджер по продажам", "UF_DEPARTMENT": [1], "USER_TYPE": "employee",
    }  # fmt: skip
