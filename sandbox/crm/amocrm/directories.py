"""The small lists of amoCRM API v4: account, users, pipelines, catalogues, fields, sources, currencies, links.

Shapes: the vendor's pages account-info, users-api, leads_pipelines, catalogs-api, custom-fields, sources-api and
entity-links-api, and the models of its official client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.crm.amocrm.account import (
    ADMIN,
    INVOICES,
    LOST,
    PRODUCTS,
    UNSORTED,
    WON,
    Account,
    id_of,
    number_of,
    unix,
)
from sandbox.crm.amocrm.fields import described
from sandbox.crm.amocrm.http import Gate, asked, hal, listed, nothing, whole, wholes
from sandbox.crm.amocrm.lists import CATALOGS, Lists
from sandbox.crm.amocrm.records import ENTITY, Model, Records, elements, encode

_DESCRIBED: Final = ("leads", "contacts", "companies")


def routes(account: Account, records: Records, lists: Lists, gate: Gate) -> list[BaseRoute]:
    """Everything that is read whole and changes seldom."""

    def listing(name: str, found: Callable[[Request], Sequence[Model]]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return lists.page(request, name, found(request), lambda rows: [encode(row) for row in rows])

        return answer

    def single(found: Callable[[Request], Sequence[Model]]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            wanted = request.path_params["id"]
            row = next((row for row in found(request) if row["id"] == wanted), None)
            return hal(row) if row is not None else nothing()

        return answer

    async def whoami(request: Request) -> Response:
        return hal(_account(account, records, set(listed(asked(request).get("with")))))

    async def pipelines(request: Request) -> Response:
        rows = _pipelines(account, records)
        links = records.href("leads/pipelines")
        return hal({"_total_items": len(rows), "_links": links, "_embedded": {"pipelines": rows}})

    def users(request: Request) -> list[Model]:
        return [_user(records, row.number) for row in account.desk.living("employee")]

    def sources(request: Request) -> list[Model]:
        return [_source(records, row.number) for row in account.desk.living("source")]

    def catalogs(request: Request) -> list[Model]:
        return _catalogs(account, records)

    def fields(kind: str) -> Callable[[Request], list[Model]]:
        return lambda request: list(described(account, kind, records.base))

    def catalog_fields(request: Request) -> list[Model]:
        kind = CATALOGS.get(request.path_params["catalog"])
        return list(described(account, kind, records.base)) if kind else []

    def currencies(request: Request) -> list[Model]:
        return [{"code": code} for code in ("RUB", "USD", "EUR")]

    async def none(request: Request) -> Response:
        return nothing()

    api = "/api/v4"
    found: list[BaseRoute] = [
        Route(f"{api}/account", gate(whoami), methods=["GET"]),
        Route(f"{api}/users", gate(listing("users", users), admin=True), methods=["GET"]),
        Route(f"{api}/users/{{id:int}}", gate(single(users), admin=True), methods=["GET"]),
        Route(f"{api}/leads/pipelines", gate(pipelines), methods=["GET"]),
        Route(
            f"{api}/leads/pipelines/{{id:int}}",
            gate(single(lambda request: _pipelines(account, records))),
            methods=["GET"],
        ),
        Route(
            f"{api}/leads/pipelines/{{id:int}}/statuses", gate(_statuses(account, records)), methods=["GET"]
        ),
        Route(f"{api}/leads/loss_reasons", gate(none), methods=["GET"]),
        Route(f"{api}/sources", gate(listing("sources", sources)), methods=["GET"]),
        Route(f"{api}/currencies", gate(listing("currencies", currencies)), methods=["GET"]),
        Route(f"{api}/catalogs", gate(listing("catalogs", catalogs)), methods=["GET"]),
        Route(f"{api}/catalogs/{{id:int}}", gate(single(catalogs)), methods=["GET"]),
        Route(
            f"{api}/catalogs/{{catalog:int}}/custom_fields",
            gate(listing("custom_fields", catalog_fields)),
            methods=["GET"],
        ),
        Route(
            f"{api}/catalogs/{{catalog:int}}/custom_fields/{{id:int}}",
            gate(single(catalog_fields)),
            methods=["GET"],
        ),
    ]
    for kind in _DESCRIBED:
        path = f"{api}/{kind}/custom_fields"
        found.append(Route(path, gate(listing("custom_fields", fields(kind))), methods=["GET"]))
        found.append(Route(f"{path}/{{id:int}}", gate(single(fields(kind))), methods=["GET"]))
        found.append(
            Route(f"{api}/{kind}/links", gate(_links_of_many(records, lists, kind)), methods=["GET"])
        )
        found.append(
            Route(f"{api}/{kind}/{{id:int}}/links", gate(_links(records, lists, kind)), methods=["GET"])
        )
    return found


def linked(records: Records, kind: str, number: int) -> list[Model]:
    """What is linked to a record: one row each, with what the link itself says."""
    desk, rows = records.desk, []
    item = desk.get(ENTITY[kind], number)
    if item is None:
        return []

    def row(to: str, shown: int, metadata: Model | None) -> None:
        rows.append({"to_entity_id": shown, "to_entity_type": to, "metadata": metadata})

    if kind == "leads":
        for element, metadata in elements(records, number):
            row("catalog_elements", element, metadata)
        if desk.get("contact", item.body["contact"] or 0) is not None:
            row("contacts", id_of("contact", item.body["contact"]), {"main_contact": True})
    else:
        for deal in records.linked("deal", ENTITY[kind], number):
            row("leads", id_of("deal", deal), None)
    if kind == "companies":
        for contact in records.linked("contact", "client", number):
            row("contacts", id_of("contact", contact), {"main_contact": False})
    elif desk.get("client", item.body["client"] or 0) is not None:
        row("companies", id_of("client", item.body["client"]), None)
    return rows


def _filtered(request: Request, rows: list[Model]) -> list[Model]:
    """filter[to_entity_type], filter[to_entity_id] and filter[to_catalog_id] of lists of links."""
    wanted = asked(request).get("filter")
    if not isinstance(wanted, dict):
        return rows
    kinds, ids = set(listed(wanted.get("to_entity_type"))), wholes(wanted.get("to_entity_id"))
    catalog = whole(wanted.get("to_catalog_id"))
    return [
        row
        for row in rows
        if (not kinds or row["to_entity_type"] in kinds)
        and (not ids or row["to_entity_id"] in ids)
        and (catalog is None or (row["metadata"] or {}).get("catalog_id") == catalog)
    ]


def _links(records: Records, lists: Lists, kind: str) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        number = number_of(ENTITY[kind], request.path_params["id"])
        rows = _filtered(request, linked(records, kind, number))
        path = f"{kind}/{request.path_params['id']}/links"
        body = {"_total_items": len(rows), "_links": records.href(path), "_embedded": {"links": rows}}
        return hal(body)

    return answer


def _links_of_many(records: Records, lists: Lists, kind: str) -> Callable[[Request], Any]:
    """GET /leads/links?filter[entity_id][]=…: links of several records, each row naming its owner."""

    async def answer(request: Request) -> Response:
        wanted = asked(request).get("filter")
        ids = wholes(wanted.get("entity_id")) if isinstance(wanted, dict) else set()
        rows = [
            {"entity_id": shown, "entity_type": kind, **row}
            for shown in sorted(ids)
            for row in _filtered(request, linked(records, kind, number_of(ENTITY[kind], shown)))
        ]
        if not rows:
            return nothing()
        return hal({"_links": {"self": {"href": str(request.url)}}, "_embedded": {"links": rows}})

    return answer


def _account(account: Account, records: Records, chosen: set[str]) -> Model:
    founded = unix(account.desk.founded)
    more: dict[str, Any] = {
        "is_api_filter_enabled": account.options.filter_api,
        "amojo_id": "f3c6340d-410e-4ad1-9f7e-c5e663599909",
        "uuid": "824f3a59-6154-4edf-ba90-0b5593715d07",
        "version": 16,
        "drive_url": f"{records.base}/drive",
        "invoices_settings": {"lang": "ru", "currency": "RUB", "invoices_catalog_id": INVOICES},
    }
    embedded: dict[str, Any] = {
        "datetime_settings": {
            "date_pattern": "d.m.Y H:i", "short_date_pattern": "d.m.Y", "short_time_pattern": "H:i",
            "date_formant": "d.m.Y", "time_format": "H:i:s", "timezone": "Europe/Moscow",
            "timezone_offset": "+03:00",
        },
        "users_groups": [{"id": 0, "name": "Отдел продаж", "uuid": None}],
        "task_types": [
            {"id": 1, "name": "Связаться", "color": None, "icon_id": None, "code": "FOLLOW_UP"},
            {"id": 2, "name": "Встреча", "color": None, "icon_id": None, "code": "MEETING"},
        ],
    }  # fmt: skip
    return {
        "id": account.id, "name": "Северный свет", "subdomain": account.subdomain, "created_at": founded,
        "created_by": 0, "updated_at": founded, "updated_by": 0, "current_user_id": ADMIN, "country": "RU",
        "currency": "RUB", "currency_symbol": "₽", "customers_mode": "disabled", "is_unsorted_on": True,
        "mobile_feature_version": 0, "is_loss_reason_enabled": True, "is_helpbot_enabled": False,
        "is_technical_account": False, "contact_name_display_order": 1,
        **{name: value for name, value in more.items() if name in chosen},
        "_links": records.href("account"),
        "_embedded": {name: value for name, value in embedded.items() if name in chosen},
    }  # fmt: skip


def _user(records: Records, number: int) -> Model:
    body = records.desk.tables["employee"][number].body
    shown = id_of("employee", number)
    rights = {"view": "A", "edit": "A", "add": "A", "delete": "A", "export": "A"}
    return {
        "id": shown, "name": f"{body['first_name']} {body['last_name']}", "email": body["email"], "lang": "ru",
        "rights": {
            "leads": rights, "contacts": rights, "companies": rights, "tasks": {"edit": "A", "delete": "A"},
            "mail_access": False, "catalog_access": True, "files_access": False, "status_rights": [],
            "is_admin": shown == ADMIN, "is_free": False, "is_active": body["active"], "group_id": None,
            "role_id": None,
        },
        "_links": records.href(f"users/{shown}"), "_embedded": {"roles": [], "groups": []},
    }  # fmt: skip


def _pipelines(account: Account, records: Records) -> list[Model]:
    found = []
    for place, row in enumerate(account.desk.living("pipeline")):
        shown = id_of("pipeline", row.number)
        found.append(
            {
                "id": shown, "name": row.body["name"], "sort": place + 1, "is_main": place == 0,
                "is_unsorted_on": True, "is_archive": False, "account_id": account.id,
                "_links": records.href(f"leads/pipelines/{shown}"),
                "_embedded": {"statuses": _statuses_of(account, records, row.number)},
            }
        )  # fmt: skip
    return found


def _statuses(account: Account, records: Records) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        rows = _statuses_of(account, records, number_of("pipeline", request.path_params["id"]))
        return hal({"_total_items": len(rows), "_embedded": {"statuses": rows}})

    return answer


def _statuses_of(account: Account, records: Records, pipeline: int) -> list[Model]:
    """The stages of a pipeline between the incoming ones and the system's two ends."""
    shown = id_of("pipeline", pipeline)
    rows: list[tuple[int, int, str]] = [(UNSORTED + pipeline, 10, "Неразобранное")]
    for stage in account.desk.living("stage"):
        owner, status = account.statuses()[stage.number]
        if owner == shown:
            sort = {WON: 10_000, LOST: 11_000}.get(status, 10 + stage.body["sort"])
            rows.append((status, sort, stage.body["name"]))
    return [
        {
            "id": status, "name": name, "sort": sort, "is_editable": status not in (WON, LOST) and sort > 10,
            "pipeline_id": shown, "color": {WON: "#CCFF66", LOST: "#D5D8DB"}.get(status, "#99CCFF"),
            "type": 1 if sort == 10 else 0, "account_id": account.id,
            "_links": records.href(f"leads/pipelines/{shown}/statuses/{status}"),
        }
        for status, sort, name in sorted(rows, key=lambda row: row[1])
    ]  # fmt: skip


def _source(records: Records, number: int) -> Model:
    body = records.desk.tables["source"][number].body
    shown = id_of("source", number)
    return {
        "id": shown, "name": body["name"], "pipeline_id": id_of("pipeline", 1), "external_id": body["code"],
        "default": number == 1, "origin_code": None, "services": [], "_links": records.href(f"sources/{shown}"),
    }  # fmt: skip


def _catalogs(account: Account, records: Records) -> list[Model]:
    founded = unix(account.desk.founded)
    return [
        {
            "id": shown, "name": name, "created_by": ADMIN, "updated_by": ADMIN, "created_at": founded,
            "updated_at": founded, "sort": place * 10, "type": kind, "can_add_elements": True,
            "can_show_in_cards": kind == "invoices", "can_link_multiple": True, "can_be_deleted": False,
            "sdk_widget_code": None, "account_id": account.id, "_links": records.href(f"catalogs/{shown}"),
        }
        for place, (shown, name, kind) in enumerate(
            [(PRODUCTS, "Товары", "products"), (INVOICES, "Счета-покупки", "invoices")], start=1
        )
    ]  # fmt: skip
