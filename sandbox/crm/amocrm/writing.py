"""Writing over amoCRM API v4: batches and single records, tasks, elements of catalogues, links.

The last write wins: there is no version to show. A row whose form is wrong refuses the whole batch with errors
under its request_id; a row that a rule refuses is named by its id (`errors`). What becomes of the others when an
id is not there is not documented: see `Options.missing_rows`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.crm.amocrm.account import PRODUCTS, Account, number_of, unix
from sandbox.crm.amocrm.directories import linked
from sandbox.crm.amocrm.fields import NOT_A_CHOICE
from sandbox.crm.amocrm.http import GATEWAY_PAGE, Gate, Refusal, hal, nothing, said, said_rows, whole
from sandbox.crm.amocrm.lists import CATALOGS
from sandbox.crm.amocrm.records import ENTITY, Model, Records
from sandbox.crm.amocrm.rows import MISSING, Draft, Row, named, read
from sandbox.desk.records import Item


def routes(account: Account, records: Records, gate: Gate) -> list[BaseRoute]:
    def many(kind: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            rows = await said_rows(request)
            written = _write_all(account, records, kind, kind, rows, new=request.method == "POST")
            if 0 < account.options.gateway_rows < len(rows):
                return Response(GATEWAY_PAGE, 504, media_type="text/html")
            return hal(written)

        return answer

    def single(kind: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            row = await said(request)
            if not isinstance(row, dict):
                raise Refusal(400, "Invalid request body")
            return hal(_write_one(account, records, kind, request.path_params["id"], row))

        return answer

    async def elements(request: Request) -> Response:
        kind = _catalog(request)
        rows = await said_rows(request)
        if kind == "invoices" and request.method == "POST":
            raise Refusal(400, "Invoices are made from a deal's card here")
        new = request.method == "POST"
        return hal(_write_all(account, records, kind, "elements", rows, new=new))

    async def element(request: Request) -> Response:
        row = await said(request)
        if not isinstance(row, dict):
            raise Refusal(400, "Invalid request body")
        return hal(_write_one(account, records, _catalog(request), request.path_params["id"], row))

    def link(kind: str, way: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            shown = request.path_params["id"]
            item = account.desk.get(ENTITY[kind], number_of(ENTITY[kind], shown))
            if item is None:
                raise Refusal(404, "Entity not found")
            rows = await said_rows(request)
            with account.desk.store.together():
                for place, row in enumerate(rows):
                    _link(account, kind, item, row, place, remove=way == "unlink")
            if way == "unlink":
                return nothing()
            owner = {"entity_id": shown, "entity_type": kind}
            wanted = {(row["to_entity_type"], row["to_entity_id"]) for row in rows}
            found = [
                {**owner, **row}
                for row in linked(records, kind, item.number)
                if (row["to_entity_type"], row["to_entity_id"]) in wanted
            ]
            links = records.href(f"{kind}/{shown}/links")
            return hal({"_total_items": len(found), "_links": links, "_embedded": {"links": found}})

        return answer

    api = "/api/v4"
    catalog = f"{api}/catalogs/{{catalog:int}}/elements"
    routes: list[BaseRoute] = [
        Route(catalog, gate(elements), methods=["POST", "PATCH"]),
        Route(f"{catalog}/{{id:int}}", gate(element), methods=["PATCH"]),
    ]
    for kind in ("leads", "contacts", "companies", "tasks"):
        routes.append(Route(f"{api}/{kind}", gate(many(kind)), methods=["POST", "PATCH"]))
        routes.append(Route(f"{api}/{kind}/{{id:int}}", gate(single(kind)), methods=["PATCH"]))
    routes += [
        Route(f"{api}/{kind}/{{id:int}}/{way}", gate(link(kind, way)), methods=["POST"])
        for kind in ("leads", "contacts", "companies")
        for way in ("link", "unlink")
    ]
    return routes


def _catalog(request: Request) -> str:
    kind = CATALOGS.get(request.path_params["catalog"])
    if kind is None:
        raise Refusal(404, "Catalog not found")
    return kind


def _write_all(
    account: Account, records: Records, kind: str, name: str, rows: list[Row], *, new: bool
) -> Model:
    drafts: list[Draft] = []
    absent: dict[str, str] = {}
    wrong: list[Draft] = []
    for place, row in enumerate(rows):
        item = None
        if not new:
            shown = whole(row.get("id"))
            if shown is None:
                draft = Draft(row, place)
                draft.fail("FieldMissing", "id", MISSING)
                wrong.append(draft)
                continue
            item = account.desk.get(ENTITY[kind], number_of(ENTITY[kind], shown))
            if item is None:
                absent[str(shown)] = "Entity not found"
                continue
        drafts.append(read(account, kind, row, place, item))
    wrong += [draft for draft in drafts if draft.wrong]
    if wrong:
        raise _invalid(sorted(wrong, key=lambda draft: draft.place))
    refused = {str(draft.row.get("id", draft.place)): draft.refused for draft in drafts if draft.refused}
    reading = account.options.missing_rows
    if (refused or absent) and reading == "refuse":
        raise Refusal(400, "Invalid request body", errors={**refused, **absent})
    done = _save(account, kind, [draft for draft in drafts if not draft.refused])
    if (refused or absent) and reading == "save_others":
        raise Refusal(400, "Invalid request body", errors={**refused, **absent})
    written = [_told(records, kind, item, draft, new=new) for draft, item in done]
    path = name if name == kind else f"catalogs/{PRODUCTS}/elements"
    return {"_links": records.href(path), "_embedded": {name: written}}


def _write_one(account: Account, records: Records, kind: str, shown: int, row: Row) -> Model:
    item = account.desk.get(ENTITY[kind], number_of(ENTITY[kind], shown))
    if item is None:
        raise Refusal(404, "Entity not found")
    draft = read(account, kind, row, 0, item)
    if draft.wrong:
        raise _invalid([draft])
    if draft.refused:
        raise Refusal(400, "Invalid request body", errors={str(shown): draft.refused})
    _save(account, kind, [draft])
    return {
        name: value
        for name, value in _told(records, kind, item, draft, new=False).items()
        if name != "request_id"
    }


def _invalid(drafts: list[Draft]) -> Refusal:
    errors = [{"request_id": draft.request_id, "errors": draft.wrong} for draft in drafts]
    return Refusal(400, "Request validation failed", validation_errors=errors)


def _save(account: Account, kind: str, drafts: list[Draft]) -> list[tuple[Draft, Item]]:
    desk, entity = account.desk, ENTITY[kind]
    done: list[tuple[Draft, Item]] = []
    with desk.store.together():
        for draft in drafts:
            item = draft.item
            if item is None:
                item = desk.add(entity, draft.body, at=draft.created)
                title = {"leads": "title", "companies": "name"}.get(kind)
                unnamed = title is not None and not item.body[title]
                if unnamed or (draft.modified and draft.modified != item.modified):
                    body = {**item.body, title: named(kind, item.number)} if unnamed and title else item.body
                    desk.put(entity, item.number, body, at=draft.modified or item.modified)
            else:
                item = desk.put(entity, item.number, draft.body, at=draft.modified)
            done.append((draft, item))
    return done


def _told(records: Records, kind: str, item: Item, draft: Draft, *, new: bool) -> Model:
    model = records.one(kind, item)
    told: Model = {"id": model["id"]}
    if not new:
        told["updated_at"] = unix(item.modified)
    return {**told, "request_id": draft.request_id, "_links": model["_links"]}


# ---- Links ------------------------------------------------------------------------------------


def _link(account: Account, kind: str, item: Item, row: Row, place: int, *, remove: bool) -> None:
    """Link or unlink one record. Goods of a lead change without touching the lead's stamp."""
    to, shown = row.get("to_entity_type"), whole(row.get("to_entity_id"))
    if shown is None:
        raise _wrong_link(place, "FieldMissing", "to_entity_id", MISSING)
    if to == "catalog_elements" and kind == "leads":
        _link_element(account, item, shown, row, place, remove=remove)
        return
    names = {"leads": "deal", "contacts": "contact", "companies": "client"}
    if to not in names or to == kind:
        raise _wrong_link(place, "NotSupportedChoice", "to_entity_type", NOT_A_CHOICE)
    other = account.desk.get(names[to], number_of(names[to], shown))
    if other is None:
        raise _wrong_link(place, "NotSupportedChoice", "to_entity_id", NOT_A_CHOICE)
    sides = {kind: item, to: other}
    holder = "leads" if "leads" in sides else "contacts"
    key = names[next(side for side in sides if side != holder)]
    held, value = sides[holder], next(sides[side].number for side in sides if side != holder)
    if not remove or held.body[key] == value:
        account.desk.put(names[holder], held.number, {**held.body, key: None if remove else value})


def _link_element(account: Account, deal: Item, shown: int, row: Row, place: int, *, remove: bool) -> None:
    desk, metadata = account.desk, row.get("metadata") or {}
    product = desk.get("product", number_of("product", shown))
    if metadata.get("catalog_id") != PRODUCTS or product is None:
        raise _wrong_link(place, "NotSupportedChoice", "metadata.catalog_id", NOT_A_CHOICE)
    lines = [line for line in desk.children("line", deal.number) if line.body["product"] == product.number]
    for line in lines if remove else lines[1:]:
        desk.remove("line", line.number)
    if remove:
        return
    try:
        count = Decimal(str(metadata.get("quantity", 1)))
    except InvalidOperation:
        detail = "This value should be of type numeric."
        raise _wrong_link(place, "InvalidType", "metadata.quantity", detail) from None
    if lines:
        desk.put("line", lines[0].number, {**lines[0].body, "quantity": count})
        return
    last = max((line.body["sort"] for line in desk.children("line", deal.number)), default=0)
    body = {
        "deal": deal.number, "product": product.number, "name": product.body["name"], "quantity": count,
        "price": product.body["price"], "discount": Decimal(0), "vat_rate": product.body["vat_rate"],
        "vat_included": True, "sort": last + 10,
    }  # fmt: skip
    desk.add("line", body)


def _wrong_link(place: int, code: str, path: str, detail: str) -> Refusal:
    errors = [{"request_id": str(place), "errors": [{"code": code, "path": path, "detail": detail}]}]
    return Refusal(400, "Request validation failed", validation_errors=errors)
