"""The portal's methods: one function each, from parameters to an Answer, under its name in `METHODS`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from sandbox import bitrix24_fields as fields
from sandbox import bitrix24_projection as projection
from sandbox.bitrix24_portal import (
    CATEGORIES,
    CURRENCIES,
    OWNER_CODES,
    PRESETS,
    STAGE_NAMES,
    VATS,
    Portal,
    now,
)
from sandbox.bitrix24_rest import Answer, Method, RestError
from sandbox.bitrix24_table import (
    PAGE,
    BadFilterError,
    Table,
    comparable,
    decode,
    encode,
    matches,
    read_where,
    sort_key,
)
from sandbox.company import MOSCOW
from sandbox.store import Record

WRITE_BACK_FIELDS = ("ufCrmSverkaPaymentStatus", "ufCrmSverkaShipmentStatus", "ufCrmSverkaDebt")
MAX_SELECT = 200
SCOPE = ["crm", "catalog", "task", "user", "tasks"]


def methods(portal: Portal) -> dict[str, Method]:
    """Every method of the portal by its name in lower case."""
    found: dict[str, Method] = {
        "crm.item.list": lambda p: item_list(portal, p),
        "crm.item.get": lambda p: item_get(portal, p),
        "crm.item.add": lambda p: item_add(portal, p),
        "crm.item.update": lambda p: item_update(portal, p),
        "crm.item.delete": lambda p: item_delete(portal, p),
        "crm.item.fields": item_fields,
        "crm.item.productrow.list": lambda p: row_list(portal, p),
        "crm.item.productrow.set": lambda p: row_set(portal, p),
        "crm.requisite.list": lambda p: plain_list(portal.requisites, p),
        "crm.requisite.link.list": lambda p: plain_list(portal.links, p),
        "crm.requisite.bankdetail.list": lambda p: plain_list(portal.banks, p),
        "crm.stagehistory.list": lambda p: stage_history(portal, p),
        "catalog.product.list": lambda p: product_list(portal, p),
        "catalog.price.list": lambda p: plain_list(portal.prices, p, "prices"),
        "tasks.task.add": lambda p: task_add(portal, p),
        "tasks.task.list": lambda p: task_list(portal, p),
        "tasks.task.get": lambda p: task_get(portal, p),
        "user.get": lambda p: user_get(portal, p),
        "user.current": lambda p: Answer(_administrator(portal)),
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
    for name, kinds, wrap, rows in _dictionaries(portal):
        table = Table(kinds, "_", None)
        table.seed({**row, "_": place} for place, row in enumerate(rows, start=1))
        found[name] = _listing(table, wrap)
    for old, kind in (("deal", fields.DEAL), ("company", fields.COMPANY), ("contact", fields.CONTACT)):
        found[f"crm.{old}.list"] = _bind(old_list, portal, kind)
        found[f"crm.{old}.get"] = _bind(old_get, portal, kind)
        found[f"crm.{old}.update"] = _bind(old_update, portal, kind)
    return found


def item_list(portal: Portal, params: dict[str, Any]) -> Answer:
    """crm.item.list: typed values, camelCase names, key filter by bisect, `start=-1` without counting."""
    kind = _entity_type(portal, params)
    table = portal.items[kind]
    where = _where(_camel(params.get("filter")), table.kinds)
    page = table.page(where, _order(_camel(params.get("order")), table.kinds, "id"), _start(params))
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
    return Answer({"item": portal.add_item(kind, _values(kind, params.get("fields")))})


def item_update(portal: Portal, params: dict[str, Any]) -> Answer:
    kind = _entity_type(portal, params)
    number = int(_existing(portal, kind, params.get("id"))["id"])
    return Answer({"item": portal.update_item(kind, number, _values(kind, params.get("fields")))})


def item_delete(portal: Portal, params: dict[str, Any]) -> Answer:
    kind = _entity_type(portal, params)
    portal.delete_item(kind, int(_existing(portal, kind, params.get("id"))["id"]))
    return Answer([])


def item_fields(params: dict[str, Any]) -> Answer:
    kind = _number(params.get("entityTypeId"), "entityTypeId")
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
    wanted = sorted({_number(o, "ownerId") for o in (listed if isinstance(listed, list) else [listed])})
    where = _where(said, fields.PRODUCT_ROW)
    rows = [
        row
        for owner in (wanted if owner_type == "D" else [])
        for row in portal.rows_of(owner)
        if matches(where, row, fields.PRODUCT_ROW)
    ]
    for name, descending in reversed(
        _order(params.get("order"), fields.PRODUCT_ROW, "id") or (("id", False),)
    ):
        kind = fields.PRODUCT_ROW[name]
        rows.sort(key=lambda row, n=name, k=kind: sort_key(comparable(k, row[n])), reverse=descending)  # type: ignore[misc]
    start = _start(params)
    offset = max(start, 0)
    shown = [encode(row) for row in rows[offset : offset + PAGE]]
    following = offset + PAGE if start >= 0 and offset + PAGE < len(rows) else None
    return Answer(rows=shown, wrap="productRows", total=len(rows) if start >= 0 else 0, next=following)


def row_set(portal: Portal, params: dict[str, Any]) -> Answer:
    """crm.item.productrow.set: replaces all rows of the owner."""
    owner = _number(params.get("ownerId"), "ownerId")
    if params.get("ownerType") != "D" or portal.items[fields.DEAL].get(owner) is None:
        raise RestError(400, "OWNER_NOT_FOUND", "Owner not found")
    said = params.get("productRows") or []
    rows = [_row(portal, owner, place, row) for place, row in enumerate(_sequence(said))]
    portal.set_rows(owner, rows)
    return Answer(rows=[encode(row) for row in rows], wrap="productRows")


def plain_list(table: Table, params: dict[str, Any], wrap: str = "") -> Answer:
    """A list of an object that has one shape only: `select` narrows, unknown filter fields are ignored."""
    where = _where(params.get("filter"), table.kinds, strict=False)
    order = _order(params.get("order"), table.kinds, table.key, strict=False)
    page = table.page(where, order, _start(params))
    select = params.get("select")
    names = {str(n) for n in _sequence(select)} if select else set()
    if not names or any("*" in n for n in names):
        rows = [table.raw(key) for key in page.ids]
    else:
        chosen = tuple(sorted(names))
        rows = table.shaped(chosen, _only(chosen), page.ids)
    return Answer(rows=rows, wrap=wrap, total=page.total or 0, next=page.next)


def product_list(portal: Portal, params: dict[str, Any]) -> Answer:
    """catalog.product.list: `select` must hold id and iblockId, the filter must hold iblockId."""
    select = {str(n) for n in _sequence(params.get("select"))}
    if not select >= {"id", "iblockId"} and "*" not in select:
        raise RestError(400, "200040300010", "Required select fields: id, iblockId")
    filtered = {str(k).lstrip("=@") for k in (params.get("filter") or {})}
    if "iblockId" not in filtered:
        raise RestError(400, "200040300010", "Required filter fields: iblockId")
    return plain_list(portal.products, params, "products")


def stage_history(portal: Portal, params: dict[str, Any]) -> Answer:
    if _number(params.get("entityTypeId"), "entityTypeId") != fields.DEAL:
        return Answer(rows=[], wrap="items", total=0)
    return plain_list(portal.stage_history(), params, "items")


def category_list(params: dict[str, Any]) -> Answer:
    if _number(params.get("entityTypeId"), "entityTypeId") != fields.DEAL:
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
    where = _where(said, fields.USER, strict=False)
    people = [_administrator(portal), *(_user(e) for e in portal.company.employees.values())]
    found = [row for row in people if matches(where, row, fields.USER)]
    name = str(params.get("sort") or params.get("SORT") or "ID").upper()
    if name in fields.USER:
        found.sort(
            key=lambda row: sort_key(comparable(fields.USER[name], row.get(name))),
            reverse=str(params.get("order") or params.get("ORDER") or "ASC").upper() == "DESC",
        )
    offset = max(_start(params), 0)
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


def old_list(portal: Portal, kind: int, params: dict[str, Any]) -> Answer:
    """crm.deal.list and its like: UPPERCASE names, every value a string, a plain list for a result."""
    table = portal.items[kind]
    by_old = {f.old: f.name for f in fields.ITEM_FIELDS[kind] if f.old}
    where = _where(_renamed(params.get("filter"), by_old), table.kinds, strict=False)
    order = _order(_renamed(params.get("order"), by_old), table.kinds, "id", strict=False)
    page = table.page(where, order, _start(params))
    select = tuple(sorted(str(n).upper() for n in _sequence(params.get("select"))))
    rows = table.shaped(("old", select), lambda raw: encode(_old_shape(kind, decode(raw), select)), page.ids)
    return Answer(rows=rows, total=page.total or 0, next=page.next)


def old_get(portal: Portal, kind: int, params: dict[str, Any]) -> Answer:
    row = portal.items[kind].get(_number(params.get("id", params.get("ID")), "id"))
    if row is None:
        raise RestError(400, "", "Not found")
    return Answer(_old_shape(kind, row, ("*", "UF_*", "PHONE", "EMAIL")))


def old_update(portal: Portal, kind: int, params: dict[str, Any]) -> Answer:
    number = _number(params.get("id", params.get("ID")), "id")
    if number not in portal.items[kind]:
        raise RestError(400, "", "Not found")
    by_old = {f.old: f.name for f in fields.ITEM_FIELDS[kind] if f.old}
    portal.update_item(kind, number, _values(kind, _renamed(params.get("fields"), by_old)))
    return Answer(True)


def task_add(portal: Portal, params: dict[str, Any]) -> Answer:
    """tasks.task.add: TITLE and RESPONSIBLE_ID are required; UF_CRM_TASK binds CRM records (D_10, CO_5)."""
    said = params.get("fields") or {}
    if not str(said.get("TITLE") or ""):
        raise RestError(400, "0", "Не указано название задачи")
    if not said.get("RESPONSIBLE_ID"):
        raise RestError(400, "0", "Не указан исполнитель")
    stamp = projection.iso(now())
    row: Record = {
        "ID": portal.store.counter("bitrix24.task"),
        "TITLE": str(said["TITLE"]),
        "DESCRIPTION": str(said.get("DESCRIPTION") or ""),
        "DEADLINE": said.get("DEADLINE") or None,
        "CREATED_BY": _number(said.get("CREATED_BY") or projection.ADMIN, "CREATED_BY"),
        "CREATED_DATE": stamp,
        "CHANGED_BY": projection.ADMIN,
        "CHANGED_DATE": stamp,
        "CLOSED_DATE": None,
        "RESPONSIBLE_ID": _number(said["RESPONSIBLE_ID"], "RESPONSIBLE_ID"),
        "PRIORITY": _number(said.get("PRIORITY") or 1, "PRIORITY"),
        "STATUS": 2,
        "REAL_STATUS": 2,
        "XML_ID": said.get("XML_ID") or None,
        "GROUP_ID": _number(said.get("GROUP_ID") or 0, "GROUP_ID"),
        "PARENT_ID": None,
        "UF_CRM_TASK": [str(v) for v in _sequence(said.get("UF_CRM_TASK"))],
        "guid": "{" + str(uuid.uuid4()) + "}",
    }
    portal.tasks.put(row)
    return Answer({"task": _task(row)})


def task_list(portal: Portal, params: dict[str, Any]) -> Answer:
    """tasks.task.list: camelCase strings; UF_CRM_TASK filters by one bound record; newest first by default."""
    said = dict(params.get("filter") or {})
    bound = {str(v) for key in ("UF_CRM_TASK", "=UF_CRM_TASK") for v in _sequence(said.pop(key, None))}
    where = _where(said, fields.TASK, strict=False)
    order = _order(params.get("order"), fields.TASK, "ID", strict=False) or (("ID", True),)
    ids: Iterable[int]
    if bound:
        everything = [row for key in range(1, len(portal.tasks) + 1) if (row := portal.tasks.get(key))]
        found = [r for r in everything if bound & set(r["UF_CRM_TASK"]) and matches(where, r, fields.TASK)]
        for name, descending in reversed(order):
            values = {r["ID"]: sort_key(comparable(fields.TASK[name], r[name])) for r in found}
            found.sort(key=lambda r, v=values: v[r["ID"]], reverse=descending)  # type: ignore[misc]
        offset = max(_start(params), 0)
        ids, total = [r["ID"] for r in found[offset : offset + PAGE]], len(found)
        following = offset + PAGE if offset + PAGE < total else None
    else:
        page = portal.tasks.page(where, order, _start(params))
        ids, total, following = page.ids, page.total or 0, page.next
    names = {_task_name(str(n)) for n in _sequence(params.get("select"))}
    rows = []
    for key in ids:
        shown = _task(portal.tasks.get(key) or {})
        rows.append(
            encode({k: v for k, v in shown.items() if not names or "*" in names or k in names or k == "id"})
        )
    return Answer(rows=rows, wrap="tasks", total=total, next=following)


def task_get(portal: Portal, params: dict[str, Any]) -> Answer:
    row = portal.tasks.get(_number(params.get("taskId", params.get("id")), "taskId"))
    if row is None:
        raise RestError(400, "0", "Task not found or not accessible")
    return Answer({"task": _task(row)})


def _dictionaries(portal: Portal) -> Iterable[tuple[str, dict[str, str], str, list[Record]]]:
    color = {"S": "success", "F": "failure", None: "process"}
    statuses = [
        {
            "ID": str(100 + place), "ENTITY_ID": entity, "STATUS_ID": stage, "NAME": name, "NAME_INIT": "",
            "SORT": str(place * 10), "SYSTEM": "N", "CATEGORY_ID": "1" if entity == "DEAL_STAGE_1" else None,
            "COLOR": "#39A8EF", "SEMANTICS": semantics,
            "EXTRA": {"SEMANTICS": color[semantics], "COLOR": "#39A8EF"},
        }
        for place, (entity, stage, name, semantics) in enumerate(STAGE_NAMES, start=1)
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
            "DATE_CREATE": projection.iso(projection.FIRST_STAMP), "ACTIVE": "Y", "SORT": "500",
        }
        for number, name, code in PRESETS
    ]  # fmt: skip
    stamp = projection.iso(projection.FIRST_STAMP)
    vats = [
        {"id": number, "name": name, "rate": rate, "active": "Y", "sort": number * 100, "timestampX": stamp}
        for number, name, rate in VATS
    ]
    catalogs = [
        {
            "id": projection.CATALOG_ID, "iblockId": projection.CATALOG_ID, "iblockTypeId": "CRM_PRODUCT_CATALOG",
            "lid": "s1", "name": "Товарный каталог CRM", "productIblockId": None, "skuPropertyId": None,
            "subscription": "N", "vatId": 7,
        }
    ]  # fmt: skip
    yield "crm.status.list", fields.STATUS, "", statuses
    yield "crm.currency.list", fields.CURRENCY, "", currencies
    yield "crm.requisite.preset.list", fields.PRESET, "", presets
    yield "catalog.vat.list", fields.VAT, "vats", vats
    yield "catalog.catalog.list", fields.CATALOG, "catalogs", catalogs


def _listing(table: Table, wrap: str) -> Method:
    """A small dictionary: not paged, as the vendor's statuses and currencies are not."""

    def listed(params: dict[str, Any]) -> Answer:
        where = _where(params.get("filter"), table.kinds, strict=False)
        order = _order(params.get("order"), table.kinds, "", strict=False)
        ids = table.page(where, order, 0).ids
        rows = [encode({k: v for k, v in (table.get(key) or {}).items() if k != "_"}) for key in ids]
        return Answer(rows=rows, wrap=wrap, total=len(rows))

    return listed


def _bind(function: Callable[[Portal, int, dict[str, Any]], Answer], portal: Portal, kind: int) -> Method:
    return lambda params: function(portal, kind, params)


def _entity_type(portal: Portal, params: dict[str, Any]) -> int:
    kind = _number(params.get("entityTypeId"), "entityTypeId")
    if kind not in portal.items:
        raise _unknown_type()
    return kind


def _unknown_type() -> RestError:
    return RestError(400, "NOT_FOUND", "SPA not found")


def _existing(portal: Portal, kind: int, number: Any) -> Record:
    row = portal.items[kind].get(_number(number, "id"))
    if row is None:
        raise RestError(400, "NOT_FOUND", "Element not found")
    return row


def _number(value: Any, name: str) -> int:
    if value is None:
        raise RestError(400, "100", f"Could not find value for parameter {{{name}}}")
    try:
        return int(value)
    except (TypeError, ValueError):
        raise RestError(400, "100", f"Invalid value {{{value}}} to match with parameter {{{name}}}") from None


def _start(params: dict[str, Any]) -> int:
    value = params.get("start", params.get("START", 0))
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0


def _sequence(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else [value]


def _where(said: Any, kinds: Mapping[str, str], strict: bool = True) -> Any:
    try:
        return read_where(said or {}, kinds, strict)
    except BadFilterError as error:
        what = "has invalid value" if error.invalid else "is not allowed in filter"
        raise RestError(400, "INVALID_ARG_VALUE", f"Invalid filter: field '{error.field}' {what}") from error


def _order(
    said: Any, kinds: Mapping[str, str], key: str, strict: bool = True
) -> tuple[tuple[str, bool], ...]:
    order = []
    for name, direction in said.items() if isinstance(said, dict) else ():
        if name not in kinds:
            if strict:
                raise RestError(
                    400, "INVALID_ARG_VALUE", f"Invalid order: field '{name}' is not allowed in order"
                )
            continue
        way = str(direction).upper()
        if strict and way not in ("ASC", "DESC"):
            raise RestError(
                400,
                "INVALID_ARG_VALUE",
                "Invalid order: allowed sort directions are `ASC, DESC`. "
                f"But got '{direction}' for field '{name}'",
            )
        order.append((name, way == "DESC"))
    return tuple(order)


def _camel(said: Any) -> Any:
    """Original names of user fields are understood beside the camelCase ones."""
    if not isinstance(said, dict):
        return said
    return {
        (key if "UF_CRM_" not in str(key) else _camel_name(str(key))): (
            _camel(value) if str(key).isdigit() else value
        )
        for key, value in said.items()
    }


def _camel_name(name: str) -> str:
    at = name.index("UF_CRM_")
    first, *rest = name[at:].lower().split("_")
    return name[:at] + first + "".join(part.capitalize() for part in rest)


def _renamed(said: Any, names: Mapping[str, str]) -> Any:
    """UPPERCASE names with their operators -> our camelCase ones; the unknown stay and are ignored later."""
    if not isinstance(said, dict):
        return said
    found = {}
    for key, value in said.items():
        bare = str(key).lstrip("!<>=@%")
        found[str(key).replace(bare, names.get(bare.upper(), bare)) if bare else key] = value
    return found


def _selected(select: Any, kind: int) -> tuple[str, ...] | None:
    """Field names to show, or None for all."""
    said = [str(n) for n in _sequence(select)][:MAX_SELECT]
    if not said or "*" in said:
        return None
    known = {f.name for f in fields.ITEM_FIELDS[kind]} - {"fm"}
    names = {"id"}
    for name in said:
        if name.lower().startswith("uf") and name.endswith("*"):
            names |= {f for f in known if f.startswith("uf")}
        else:
            names.add(_camel_name(name) if name.startswith("UF_CRM_") else name)
    return tuple(sorted(names & known))


def _narrow(kind: int, names: tuple[str, ...] | None, original: bool) -> Callable[[bytes], bytes]:
    """Rows with fewer fields. Values are spliced unread."""
    if names is None or original:
        old = {f.name: f.old for f in fields.ITEM_FIELDS[kind] if f.name.startswith("uf")}

        def renamed(raw: bytes) -> bytes:
            row = decode(raw)
            shown = row if names is None else {name: row[name] for name in names}
            return encode({old.get(name, name): value for name, value in shown.items()})

        return renamed
    return _only(names)


def _only(names: Sequence[str]) -> Callable[[bytes], bytes]:
    shape = msgspec.defstruct(
        "Shape", [(n, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for n in names], gc=False
    )
    read = msgspec.json.Decoder(shape).decode
    return lambda raw: encode(read(raw))


def _values(kind: int, said: Any) -> dict[str, Any]:
    """Writable fields with values of their kinds. Unknown and read-only names are ignored, as by the vendor."""
    known = {f.name: f.kind for f in fields.ITEM_FIELDS[kind]}
    values: dict[str, Any] = {}
    for name, value in (_camel(said) or {}).items():
        if name == "fm" and kind != fields.DEAL:
            values["fm"] = [{"id": place, **entry} for place, entry in enumerate(_sequence(value), start=1)]
        if name not in known or name in fields.READ_ONLY:
            continue
        values[name] = _value(known[name], name, value)
    return values


def _value(kind: str, name: str, value: Any) -> Any:
    try:
        if kind == "list":
            if not isinstance(value, list | dict):
                raise RestError(
                    400,
                    "100",
                    f"Expected iterable value for multiple field, but got `{type(value).__name__}` instead",
                )
            return [int(v) for v in _sequence(value)]
        if value is None or value == "":
            return {"int": 0, "str": "", "flag": "N"}.get(kind)
        if kind == "int":
            return int(value)
        if kind == "float":
            return _whole(float(value))
        if kind == "flag":
            return "Y" if value in (True, "Y", "1", 1) else "N"
        if kind in ("date", "datetime"):
            seconds = comparable("datetime", value)
            from datetime import datetime

            return projection.iso(datetime.fromtimestamp(seconds, MOSCOW))
        return str(value)
    except (TypeError, ValueError):
        raise RestError(400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", f'Invalid value for field "{name}"') from None


def _whole(value: float) -> int | float:
    """PHP writes whole numbers without a fraction."""
    return int(value) if value.is_integer() else value


def _row(portal: Portal, owner: int, place: int, said: dict[str, Any]) -> Record:
    price = float(said.get("price") or 0)
    tax = said.get("taxRate")
    rate = None if tax in (None, "") else float(str(tax))
    known = _number(said.get("productId") or 0, "productId")
    product = portal.products.get(known)
    without = round(price / (1 + (rate or 0) / 100), 2)
    discount = float(said.get("discountRate") or 0)
    share = 1 - discount / 100 if discount < 100 else 1
    return {
        "id": portal.next_row_id(), "ownerId": owner, "ownerType": "D", "productId": known,
        "productName": str(said.get("productName") or (product or {}).get("name") or ""),
        "price": _whole(price), "priceAccount": _whole(price), "priceExclusive": without,
        "priceNetto": round(without / share, 2), "priceBrutto": round(price / share, 2),
        "quantity": float(said.get("quantity") or 1), "discountTypeId": int(said.get("discountTypeId") or 2),
        "discountRate": discount, "discountSum": round(without / share - without, 2), "taxRate": None if rate is None else _whole(rate),
        "taxIncluded": str(said.get("taxIncluded") or "N"), "customized": "Y",
        "measureCode": _number(said.get("measureCode") or 796, "measureCode"),
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


def _administrator(portal: Portal) -> Record:
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


def _task(row: Record) -> Record:
    """A task as the task methods show it: camelCase names, numbers as strings, null for nothing."""
    person = {"id": str(row["RESPONSIBLE_ID"]), "link": f"/company/personal/user/{row['RESPONSIBLE_ID']}/"}
    shown = {
        _task_name(name): None if row[name] is None else str(row[name])
        for name in fields.TASK
        if name not in ("UF_CRM_TASK", "REAL_STATUS")
    }
    return {**shown, "subStatus": "2", "guid": row["guid"], "ufCrmTask": row["UF_CRM_TASK"],
            "responsible": person, "auditors": [], "accomplices": [], "group": []}  # fmt: skip


def _task_name(name: str) -> str:
    if "_" not in name and not name.isupper():
        return name
    first, *rest = name.lower().split("_")
    return first + "".join(part.capitalize() for part in rest)
