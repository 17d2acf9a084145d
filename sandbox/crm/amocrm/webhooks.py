"""Webhooks of amoCRM: how they are registered, and the letters that are sent.

Registration: the vendor's page webhooks-api. Letters: the page webhooks-format and bodies that receivers
recorded; companies come under `contacts` with their type, and custom fields in an older form. Nothing signs a
letter: a receiver has its secret in its address.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.crm.amocrm.account import ADMIN, Account, id_of, unix
from sandbox.crm.amocrm.events import KIND
from sandbox.crm.amocrm.fields import NOT_A_CHOICE, shown_values
from sandbox.crm.amocrm.http import Gate, Refusal, asked, hal, nothing, said
from sandbox.crm.amocrm.records import Model, Records
from sandbox.crm.amocrm.rows import MISSING
from sandbox.desk.records import Body, Happening, Item
from sandbox.office import Letter, Office

ACTIONS: Final = {"added": "add", "changed": "update", "deleted": "delete", "restored": "restore"}
SETTINGS: Final = frozenset(
    {f"{action}_{kind}" for action in ("add", "update", "delete") for kind in KIND.values()}
    | {f"restore_{kind}" for kind in ("lead", "contact", "company")}
    | {f"responsible_{kind}" for kind in KIND.values()}
    | {"status_lead", "note_lead", "note_contact", "note_company", "add_talk", "update_talk"}
)


def routes(account: Account, records: Records, gate: Gate) -> list[BaseRoute]:
    async def hooks(request: Request) -> Response:
        if request.method == "GET":
            wanted = asked(request).get("filter")
            only = wanted.get("destination") if isinstance(wanted, dict) else None
            found = [hook for hook in account.office.hooks if only in (None, hook["destination"])]
            if not found:
                return nothing()
            body = {
                "_total_items": len(found),
                "_links": records.href("webhooks"),
                "_embedded": {"webhooks": found},
            }
            return hal(body)
        row = await said(request)
        destination = row.get("destination") if isinstance(row, dict) else None
        if not isinstance(destination, str) or not destination.startswith(("http://", "https://")):
            raise _wrong_hook("destination", "This value is not a valid URL.")
        if request.method == "DELETE":
            if not account.office.unsubscribe(destination):
                raise Refusal(404, "Webhook not found")
            return nothing()
        settings = row.get("settings")
        if not isinstance(settings, list) or not settings:
            raise _wrong_hook("settings", MISSING)
        for place, name in enumerate(settings):
            if name not in SETTINGS:
                raise _wrong_hook(f"settings.{place}", NOT_A_CHOICE)
        now = unix(account.desk.clock())
        hook = {
            "id": 800_000 + account.desk.store.counter(f"amocrm.hooks.{account.office.where}"),
            "destination": destination, "created_at": now, "updated_at": now, "account_id": account.id,
            "created_by": ADMIN, "sort": 1, "disabled": False, "settings": settings,
        }  # fmt: skip
        account.office.subscribe(destination, hook)
        return hal(hook, 201)

    return [Route("/api/v4/webhooks", gate(hooks, admin=True), methods=["GET", "POST", "DELETE"])]


def letters(office: Office, happening: Happening) -> list[Letter]:
    """One letter a hook and action; a change of stage or of the one responsible is told besides as itself."""
    if happening.entity not in KIND:
        return []
    account, name = Account(office), KIND[happening.entity]
    item = office.desk.tables[happening.entity][happening.number]
    actions = [ACTIONS["deleted" if happening.kind == "merged" else happening.kind]]
    before = happening.before or {}
    if happening.kind == "changed":
        if before.get("stage") != item.body.get("stage"):
            actions.append("status")
        if before.get("employee") != item.body.get("employee"):
            actions.append("responsible")
    written: list[Letter] = []
    for action in actions:
        body = _body(account, happening.entity, action, item, before)
        for hook in office.hooks:
            if f"{action}_{name}" in hook["settings"] and not hook["disabled"]:
                headers = {
                    "Content-Type": "application/x-www-form-urlencoded",
                    "User-Agent": "amoCRM-Webhooks/3.0",
                }
                written.append(Letter(hook["destination"], body, headers))
    return written


def _body(account: Account, entity: str, action: str, item: Item, before: Body) -> bytes:
    plural = {"deal": "leads", "client": "contacts", "contact": "contacts", "task": "task"}[entity]
    pairs: list[tuple[str, str]] = []
    for path, value in _flat(f"{plural}[{action}][0]", _shown(account, entity, action, item, before)):
        pairs.append((path, value))
    pairs += [
        ("account[subdomain]", account.subdomain),
        ("account[id]", str(account.id)),
        ("account[_links][self]", f"https://{account.subdomain}.amocrm.ru"),
    ]
    return urlencode(pairs).encode()


def _shown(account: Account, entity: str, action: str, item: Item, before: Body) -> Model:
    body, shown = item.body, id_of(entity, item.number)
    kind = {"client": "company", "contact": "contact"}.get(entity)
    if action == "delete":
        model: Model = {"id": shown}
        if entity == "deal":
            model["pipeline_id"], model["status_id"] = account.statuses()[body["stage"]]
        return {**model, "type": kind} if kind else model
    owner = id_of("employee", body["employee"]) if body.get("employee") else ADMIN
    stamps = {
        "last_modified": unix(item.modified), "modified_user_id": ADMIN, "created_user_id": owner,
        "date_create": unix(item.created), "account_id": account.id, "created_at": unix(item.created),
        "updated_at": unix(item.modified),
    }  # fmt: skip
    if entity == "task":
        return {"id": shown, "text": body["text"], "responsible_user_id": owner, **stamps}
    if entity == "deal":
        pipeline, status = account.statuses()[body["stage"]]
        model = {"id": shown, "name": body["title"], "status_id": status, "pipeline_id": pipeline,
                 "price": int(body["amount"] or 0), "responsible_user_id": owner}  # fmt: skip
        if account.options.minor_units:
            model["price_with_minor_units"] = body["amount"] or 0
        if before.get("stage") not in (None, body["stage"]):
            model["old_pipeline_id"], model["old_status_id"] = account.statuses()[before["stage"]]
    else:
        name = body["name"] if entity == "client" else f"{body['first_name']} {body['last_name']}"
        model = {"id": shown, "name": name, "responsible_user_id": owner}
    if "employee" in before and before["employee"] not in (None, body["employee"]):
        model["old_responsible_user_id"] = id_of("employee", before["employee"])
    fields = {"deal": "leads", "client": "companies", "contact": "contacts"}[entity]
    model["custom_fields"] = [_hook_field(row) for row in shown_values(account, fields, item) or []]
    return {**model, **stamps, **({"type": kind} if kind else {})}


def _hook_field(row: Model) -> Model:
    """A custom field in the older form of webhooks: `enum` instead of enum_id, a code where there is one."""
    values = [
        {"value": value["value"], **({"enum": value["enum_id"]} if "enum_id" in value else {})}
        for value in row["values"]
    ]
    code = {"code": row["field_code"]} if row["field_code"] else {}
    return {"id": row["field_id"], "name": row["field_name"], "values": values, **code}


def _flat(path: str, value: Any) -> Iterable[tuple[str, str]]:
    """PHP's brackets: nothing is written for null and for empty lists."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{path}[{key}]", inner)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _flat(f"{path}[{place}]", inner)
    elif isinstance(value, bool):
        yield path, "1" if value else "0"
    elif value is not None:
        yield path, str(value)


def _wrong_hook(path: str, detail: str) -> Refusal:
    code = "FieldMissing" if detail == MISSING else "NotSupportedChoice"
    errors = [{"request_id": "0", "errors": [{"code": code, "path": path, "detail": detail}]}]
    return Refusal(400, "Request validation failed", validation_errors=errors)
