"""The portal's methods: one function each, from parameters to an Answer, under its name in `METHODS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sandbox.bitrix24 import fields, projection
from sandbox.bitrix24.activity_methods import (
    activity_add,
    activity_delete,
    activity_get,
    activity_list,
    activity_update,
)
from sandbox.bitrix24.arguments import (
    integer,
    order_of,
    renamed,
    sequence,
    start_of,
    values_of,
    where_of,
    whole,
)
from sandbox.bitrix24.lists import (
    administrator,
    category_list,
    dictionaries,
    listing,
    only,
    plain_list,
    product_list,
    stage_history,
    user_field_list,
    user_get,
)
from sandbox.bitrix24.merge import merge_batch
from sandbox.bitrix24.portal import OWNER_CODES, Portal, now
from sandbox.bitrix24.rest import Answer, Method, RestError
from sandbox.bitrix24.table import PAGE, Table, comparable, decode, encode, known_name, matches, sort_key
from sandbox.bitrix24.tasks import task_add, task_get, task_list
from sandbox.company.model import MOSCOW
from sandbox.store import Record

MAX_SELECT = 200
MAX_IMPORT = 20
SCOPE = ["crm", "catalog", "task", "user", "tasks"]


def methods(portal: Portal) -> dict[str, Method]:
    """Every method of the portal by its name in lower case."""
    found: dict[str, Method] = {
        "crm.item.list": lambda p: item_list(portal, p),
        "crm.item.get": lambda p: item_get(portal, p),
        "crm.item.add": lambda p: item_add(portal, p),
        "crm.item.update": lambda p: item_update(portal, p),
        "crm.item.delete": lambda p: item_delete(portal, p),
        "crm.item.import": lambda p: item_import(portal, p),
        "crm.item.batchimport": lambda p: item_batch_import(portal, p),
        "crm.entity.mergebatch": lambda p: merge_batch(portal, p),
        "crm.item.fields": item_fields,
        "crm.item.productrow.list": lambda p: row_list(portal, p),
        "crm.item.productrow.set": lambda p: row_set(portal, p),
        "crm.requisite.list": lambda p: plain_list(portal.requisites, p),
        "crm.address.list": lambda p: plain_list(portal.addresses, p),
        "crm.requisite.link.list": lambda p: plain_list(portal.links, p),
        "crm.requisite.bankdetail.list": lambda p: plain_list(portal.banks, p),
        "crm.activity.list": lambda p: activity_list(portal, p),
        "crm.activity.get": lambda p: activity_get(portal, p),
        "crm.activity.add": lambda p: activity_add(portal, p),
        "crm.activity.update": lambda p: activity_update(portal, p),
        "crm.activity.delete": lambda p: activity_delete(portal, p),
        "crm.stagehistory.list": lambda p: stage_history(portal, p),
        "catalog.product.list": lambda p: product_list(portal, p),
        "catalog.price.list": lambda p: plain_list(portal.prices, p, "prices"),
        "tasks.task.add": lambda p: task_add(portal, p),
        "tasks.task.list": lambda p: task_list(portal, p),
        "tasks.task.get": lambda p: task_get(portal, p),
        "user.get": lambda p: user_get(portal, p),
        "user.current": lambda p: Answer(administrator(portal)),
        "profile": lambda p: Answer(
            {"ID": "1", "ADMIN": True, "NAME": "Администратор", "LAST_NAME": "Портала", "PERSONAL_GENDER": "",
             "TIME_ZONE": ""}
        ),
        "scope": lambda p: Answer(SCOPE),
        "server.time": lambda p: Answer(projection.iso(now())),
        "crm.category.list": category_list,
        "crm.deal.userfield.list": lambda p: user_field_list(p, fields.DEAL, "CRM_DEAL"),
        "crm.company.userfield.list": lambda p: user_field_list(p, fields.COMPANY, "CRM_COMPANY"),
    }  # fmt: skip
    for name, kinds, wrap, rows in dictionaries(portal):
        table = Table(kinds, "_", None)
        table.seed({**row, "_": place} for place, row in enumerate(rows, start=1))
        found[name] = listing(table, wrap)
    for old, kind in (("deal", fields.DEAL), ("company", fields.COMPANY), ("contact", fields.CONTACT)):
        found[f"crm.{old}.list"] = _bind(old_list, portal, kind)
        found[f"crm.{old}.get"] = _bind(old_get, portal, kind)
        found[f"crm.{old}.update"] = _bind(old_update, portal, kind)
    return found


def item_list(portal: Portal, params: dict[str, Any]) -> Answer:
    """crm.item.list: typed values, camelCase names, key filter by bisect, `start=-1` without counting."""
    kind = _entity_type(portal, params)
    table = portal.items[kind]
    where = where_of(params.get("filter"), table.kinds)
    page = table.page(where, order_of(params.get("order"), table.kinds), start_of(params))
    original = str(params.get("useOriginalUfNames", "N")) == "Y"
    names = _selected(params.get("select"), kind)
    if names is None and not original:
        rows = [table.raw(key) for key in page.ids]
    else:
        rows = table.shaped((names, original), _narrow(kind, names, original), page.ids)
    return Answer(rows=rows, wrap="items", total=page.total or 0, next=page.next)


def item_get(portal: Portal, params: dict[str, Any]) -> Answer:
    kind = _entity_type(portal, params)
    return Answer({"item": _existing(portal, kind, params.get("id"))})


def item_add(portal: Portal, params: dict[str, Any]) -> Answer:
    kind = _entity_type(portal, params)
    return Answer({"item": portal.add_item(kind, values_of(kind, params.get("fields")))})


def item_update(portal: Portal, params: dict[str, Any]) -> Answer:
    kind = _entity_type(portal, params)
    number = int(_existing(portal, kind, params.get("id"))["id"])
    return Answer({"item": portal.update_item(kind, number, values_of(kind, params.get("fields")))})


def item_delete(portal: Portal, params: dict[str, Any]) -> Answer:
    kind = _entity_type(portal, params)
    portal.delete_item(kind, int(_existing(portal, kind, params.get("id"))["id"]))
    return Answer([])


def item_import(portal: Portal, params: dict[str, Any]) -> Answer:
    """crm.item.import: as add, with the dates and people of another system, for an administrator.

    That nothing may be older than what there is already (import/index.md) is not held here.
    """
    return Answer({"item": _imported(portal, _entity_type(portal, params), params.get("fields") or {})})


def item_batch_import(portal: Portal, params: dict[str, Any]) -> Answer:
    """crm.item.batchImport: up to 20, each with its own outcome."""
    kind = _entity_type(portal, params)
    given = sequence(params.get("data"))
    if len(given) > MAX_IMPORT:
        raise RestError(400, "MAX_IMPORT_BATCH_SIZE_EXCEEDED", f"Max import batch size is {MAX_IMPORT}")
    items: list[dict[str, Any]] = []
    for said in given:
        try:
            items.append({"item": {"id": _imported(portal, kind, said)["id"]}})
        except RestError as error:
            items.append({"error": error.body()})
    return Answer({"items": items})


def _imported(portal: Portal, kind: int, said: dict[str, Any]) -> Record:
    history: dict[str, Any] = {}
    for name in ("createdTime", "updatedTime", "movedTime"):
        if said.get(name):
            stamp = comparable("datetime", said[name])
            if stamp > now().timestamp():
                raise RestError(400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", f"{name} is in the future")
            history[name] = projection.iso(datetime.fromtimestamp(stamp, MOSCOW))
    if history.get("createdTime", "") > history.get("updatedTime", "9"):
        raise RestError(400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", "updatedTime is before createdTime")
    for name in ("createdBy", "updatedBy", "movedBy"):
        if said.get(name):
            history[name] = integer(said[name], name)
    return portal.import_item(kind, values_of(kind, said), history)


def item_fields(params: dict[str, Any]) -> Answer:
    kind = integer(params.get("entityTypeId"), "entityTypeId")
    if kind not in fields.ITEM_FIELDS:
        raise _unknown_type()
    names = {"int": "integer", "float": "double", "str": "string", "flag": "boolean", "list": "integer"}
    listed = {
        field.name: {
            "type": names.get(field.kind, field.kind),
            "isRequired": False,
            "isReadOnly": field.name in fields.READ_ONLY,
            "isImmutable": False,
            "isMultiple": field.kind == "list",
            "isDynamic": field.name.startswith("uf"),
            "title": field.title,
            **({"upperName": field.old} if field.old else {}),
        }
        for field in fields.ITEM_FIELDS[kind]
    }
    return Answer({"fields": listed})


def row_list(portal: Portal, params: dict[str, Any]) -> Answer:
    """crm.item.productrow.list: the filter must name the owners; `=ownerId` takes an array too."""
    said = dict(params.get("filter") or {})
    owner_type = said.pop("=ownerType", said.pop("ownerType", None))
    owners = said.pop("=ownerId", said.pop("ownerId", said.pop("@ownerId", None)))
    if owner_type is None or owners in (None, "", []):
        missing = "=ownerType" if owner_type is None else "=ownerId"
        raise RestError(400, "100", f"Required fields: {missing}")
    if owner_type not in OWNER_CODES:
        raise RestError(400, "INVALID_ARG_VALUE", f"Invalid value for ownerType: {owner_type}")
    listed = list(owners.values()) if isinstance(owners, dict) else owners
    wanted = sorted({integer(o, "ownerId") for o in (listed if isinstance(listed, list) else [listed])})
    where = where_of(said, fields.PRODUCT_ROW)
    rows = [
        row
        for owner in (wanted if owner_type == "D" else [])
        for row in portal.rows_of(owner)
        if matches(where, row, fields.PRODUCT_ROW)
    ]
    for name, descending in reversed(order_of(params.get("order"), fields.PRODUCT_ROW) or (("id", False),)):
        kind = fields.PRODUCT_ROW[name]
        rows.sort(key=lambda row, n=name, k=kind: sort_key(comparable(k, row[n])), reverse=descending)  # type: ignore[misc]
    start = start_of(params)
    offset = max(start, 0)
    shown = [encode(row) for row in rows[offset : offset + PAGE]]
    following = offset + PAGE if start >= 0 and offset + PAGE < len(rows) else None
    return Answer(rows=shown, wrap="productRows", total=len(rows) if start >= 0 else 0, next=following)


def row_set(portal: Portal, params: dict[str, Any]) -> Answer:
    """crm.item.productrow.set: replaces all rows of the owner."""
    owner = integer(params.get("ownerId"), "ownerId")
    if params.get("ownerType") != "D" or portal.items[fields.DEAL].get(owner) is None:
        raise RestError(400, "OWNER_NOT_FOUND", "Owner not found")
    said = params.get("productRows") or []
    rows = [_row(portal, owner, place, row) for place, row in enumerate(sequence(said))]
    portal.set_rows(owner, rows)
    return Answer(rows=[encode(row) for row in rows], wrap="productRows")


def old_list(portal: Portal, kind: int, params: dict[str, Any]) -> Answer:
    """crm.deal.list and its like: UPPERCASE names, every value a string, a plain list for a result."""
    table = portal.items[kind]
    by_old = {f.old: f.name for f in fields.ITEM_FIELDS[kind] if f.old}
    where = where_of(renamed(params.get("filter"), by_old), table.kinds, strict=False)
    order = order_of(renamed(params.get("order"), by_old), table.kinds, strict=False)
    page = table.page(where, order, start_of(params))
    select = tuple(sorted(str(n).upper() for n in sequence(params.get("select"))))
    rows = table.shaped(("old", select), lambda raw: encode(_old_shape(kind, decode(raw), select)), page.ids)
    return Answer(rows=rows, total=page.total or 0, next=page.next)


def old_get(portal: Portal, kind: int, params: dict[str, Any]) -> Answer:
    row = portal.items[kind].get(integer(params.get("id", params.get("ID")), "id"))
    if row is None:
        raise RestError(400, "", "Not found")
    return Answer(_old_shape(kind, row, ("*", "UF_*", "PHONE", "EMAIL")))


def old_update(portal: Portal, kind: int, params: dict[str, Any]) -> Answer:
    number = integer(params.get("id", params.get("ID")), "id")
    if number not in portal.items[kind]:
        raise RestError(400, "", "Not found")
    by_old = {f.old: f.name for f in fields.ITEM_FIELDS[kind] if f.old}
    portal.update_item(kind, number, values_of(kind, renamed(params.get("fields"), by_old)))
    return Answer(True)


def _bind(function: Callable[[Portal, int, dict[str, Any]], Answer], portal: Portal, kind: int) -> Method:
    return lambda params: function(portal, kind, params)


def _entity_type(portal: Portal, params: dict[str, Any]) -> int:
    kind = integer(params.get("entityTypeId"), "entityTypeId")
    if kind not in portal.items:
        raise _unknown_type()
    return kind


def _unknown_type() -> RestError:
    return RestError(400, "NOT_FOUND", "SPA not found")


def _existing(portal: Portal, kind: int, number: Any) -> Record:
    row = portal.items[kind].get(integer(number, "id"))
    if row is None:
        raise RestError(400, "NOT_FOUND", "Element not found")
    return row


def _selected(select: Any, kind: int) -> tuple[str, ...] | None:
    """Field names to show, or None for all."""
    said = [str(n) for n in sequence(select)][:MAX_SELECT]
    if not said or "*" in said:
        return None
    known = fields.kinds_of(fields.ITEM_FIELDS[kind])
    names = {"id"}
    for name in said:
        if name.lower().startswith("uf") and name.endswith("*"):
            names |= {f for f in known if f.startswith("uf")}
        else:
            names.add(known_name(name, known))
    return tuple(sorted(names & known.keys()))


def _narrow(kind: int, names: tuple[str, ...] | None, original: bool) -> Callable[[bytes], bytes]:
    """Rows with fewer fields. Values are spliced unread."""
    if names is None or original:
        old = {f.name: f.old for f in fields.ITEM_FIELDS[kind] if f.name.startswith("uf")}

        def renamed(raw: bytes) -> bytes:
            row = decode(raw)
            shown = row if names is None else {name: row[name] for name in names}
            return encode({old.get(name, name): value for name, value in shown.items()})

        return renamed
    return only(names)


def _row(portal: Portal, owner: int, place: int, said: dict[str, Any]) -> Record:
    price = float(said.get("price") or 0)
    tax = said.get("taxRate")
    rate = None if tax in (None, "") else float(str(tax))
    known = integer(said.get("productId") or 0, "productId")
    product = portal.products.get(known)
    without = round(price / (1 + (rate or 0) / 100), 2)
    discount = float(said.get("discountRate") or 0)
    share = 1 - discount / 100 if discount < 100 else 1
    return {
        "id": portal.next_row_id(), "ownerId": owner, "ownerType": "D", "productId": known,
        "productName": str(said.get("productName") or (product or {}).get("name") or ""),
        "price": whole(price), "priceAccount": whole(price), "priceExclusive": without,
        "priceNetto": round(without / share, 2), "priceBrutto": round(price / share, 2),
        "quantity": float(said.get("quantity") or 1), "discountTypeId": int(said.get("discountTypeId") or 2),
        "discountRate": discount, "discountSum": round(without / share - without, 2),
        "taxRate": None if rate is None else whole(rate),
        "taxIncluded": str(said.get("taxIncluded") or "N"), "customized": "Y",
        "measureCode": integer(said.get("measureCode") or 796, "measureCode"),
        "measureName": str(said.get("measureName") or "шт"), "sort": (place + 1) * 10, "xmlId": "",
        "type": 1, "storeId": None,
    }  # fmt: skip


def _old_shape(kind: int, row: Record, select: Sequence[str]) -> Record:
    everything = not select or "*" in select
    custom = any(name.startswith("UF_") and name.endswith("*") for name in select)
    shown: Record = {}
    for field in fields.ITEM_FIELDS[kind]:
        if not field.old:
            continue
        own = field.old.startswith("UF_")
        if field.old == "ID" or field.old in select or (custom if own else everything):
            shown[field.old] = _text(field, row.get(field.name))
    for name in ("PHONE", "EMAIL"):
        if name in select and kind != fields.DEAL:
            entries = [e for e in row.get("fm") or () if e["typeId"] == name]
            shown[name] = [
                {"ID": str(e["id"]), "VALUE_TYPE": e["valueType"], "VALUE": e["value"], "TYPE_ID": name}
                for e in entries
            ]
    return shown


def _text(field: fields.Field, value: Any) -> str | None:
    if value is None:
        return None
    return f"{value:.2f}" if field.kind == "float" else str(value)
