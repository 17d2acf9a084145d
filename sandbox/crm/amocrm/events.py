"""The event log of amoCRM: GET /events, what happened at the desk in the vendor's words.

Event types and values: the vendor's pages events-and-notes and event types; that deletions, restorations and
merges (`entity_merged`) have empty values is how clients of the log read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.crm.amocrm.account import ADMIN, PRODUCTS, Account, id_of, unix
from sandbox.crm.amocrm.fields import FIELDS_OF, Field
from sandbox.crm.amocrm.http import Asked, Gate, asked, hal, listed, nothing, paged, whole, wholes
from sandbox.crm.amocrm.records import Model, Records, encode, joined
from sandbox.desk.records import Body, Happening

MAX_EVENTS: Final = 100
KIND: Final = {"deal": "lead", "client": "company", "contact": "contact", "task": "task"}
_Change = tuple[str, list[Model], list[Model]]


class EventLog:
    """The log of one account, from the sandbox's founding on, kept over a restart. The newest come first."""

    def __init__(self, account: Account) -> None:
        self.account, self.desk = account, account.desk
        self._rows = account.desk.store.collection(f"amocrm.events.{account.office.where}")
        self._list: list[Model] = list(self._rows.values())
        after: dict[tuple[str, int], Body] = {}
        pending: list[tuple[Happening, Body]] = []
        for happening in reversed(self.desk.diary):
            key = (happening.entity, happening.number)
            pending.append(
                (happening, after.get(key, self.desk.tables[happening.entity][happening.number].body))
            )
            if happening.before is not None:
                after[key] = happening.before
        for happening, body in reversed(pending):
            self._note(happening, body)
        self.desk.listeners.append(lambda h: self._note(h, self.desk.tables[h.entity][h.number].body))

    def found(self, said: Asked) -> list[Model]:
        """Events that a query asks for, the newest first."""
        wanted = said.get("filter")
        tests = list(_event_tests(wanted)) if isinstance(wanted, dict) else []
        return [row for row in reversed(self._list) if all(test(row) for test in tests)]

    def _note(self, happening: Happening, body: Body) -> None:
        for entity, number, (kind, before, after) in self._told(happening, body):
            place = len(self._list) + 1
            row: Model = {
                "id": f"{int(happening.at.timestamp()):013x}{place:013x}", "type": kind,
                "entity_id": id_of(entity, number), "entity_type": KIND[entity], "created_by": ADMIN,
                "created_at": unix(happening.at), "value_after": after, "value_before": before,
                "account_id": self.account.id,
            }  # fmt: skip
            self._list.append(row)
            self._rows.put(row["id"], row)

    def _told(self, happening: Happening, body: Body) -> Iterator[tuple[str, int, _Change]]:
        entity, number, kind = happening.entity, happening.number, happening.kind
        if entity == "line":
            yield from self._line(happening, body)
        if entity not in KIND:
            return
        name = KIND[entity]
        if kind == "added":
            yield entity, number, (f"{name}_added", [], [{"note": {"id": 90_000_000 + happening.place}}])
        elif kind == "changed" and happening.before is not None:
            for change in _changes(self.account, entity, happening.before, body):
                yield entity, number, change
        elif kind == "merged":
            if happening.other is not None:
                yield entity, happening.other, ("entity_merged", [], [])
            if self.account.options.merge_deletes:
                yield entity, number, (f"{name}_deleted", [], [])
        elif kind in ("deleted", "restored"):
            yield entity, number, (f"{name}_{kind}", [], [])

    def _line(self, happening: Happening, body: Body) -> Iterator[tuple[str, int, _Change]]:
        """Goods linked to a lead and unlinked from it; a new quantity leaves no trace."""
        linked = happening.kind == "added"
        deal = self.desk.get("deal", body["deal"])
        if deal is None or body["product"] is None or happening.kind not in ("added", "deleted"):
            return
        value = [{"link": {"entity": {"type": "catalog_element", "id": id_of("product", body["product"]),
                                      "catalog_id": PRODUCTS}}}]  # fmt: skip
        yield "deal", deal.number, ("entity_linked", [], value) if linked else ("entity_unlinked", value, [])


def _changes(account: Account, entity: str, before: Body, after: Body) -> Iterator[_Change]:
    """What a change of a record is called, one event for each thing."""

    def told(kind: str, word: Callable[[Body], list[Model]]) -> _Change:
        return kind, word(before), word(after)

    if before.get("stage") != after.get("stage"):
        yield told("lead_status_changed", lambda body: _status(account, body))
    if before.get("employee") != after.get("employee"):
        yield told("entity_responsible_changed", _responsible)
    if entity == "deal" and before["amount"] != after["amount"]:
        yield told(
            "sale_field_changed", lambda body: [{"sale_field_value": {"sale": int(body["amount"] or 0)}}]
        )
    title = {"deal": "title", "client": "name"}.get(entity)
    if title is not None and before[title] != after[title]:
        yield told("name_field_changed", lambda body: [{"name_field_value": {"name": body[title]}}])
    kind = {"deal": "leads", "client": "companies", "contact": "contacts"}.get(entity, "")
    for field in FIELDS_OF.get(kind, ()):
        if before.get(field.key) != after.get(field.key):
            yield told(f"custom_field_{field.id}_value_changed", partial(_value, field))


def _status(account: Account, body: Body) -> list[Model]:
    pipeline, status = account.statuses()[body["stage"]]
    return [{"lead_status": {"id": status, "pipeline_id": pipeline}}]


def _responsible(body: Body) -> list[Model]:
    return [{"responsible_user": {"id": id_of("employee", body["employee"]) if body["employee"] else 0}}]


def _value(field: Field, body: Body) -> list[Model]:
    value = body.get(field.key)
    said: Model = {"field_id": field.id, "field_type": 1, "enum_id": None, "text": str(value)}
    return [{"custom_field_value": said}] if value not in (None, "") else []


def _event_tests(wanted: dict[str, Any]) -> Iterator[Callable[[Model], bool]]:
    if types := set(listed(wanted.get("type"))):
        yield (
            lambda row: (
                row["type"] in types
                or ("custom_field_value_changed" in types and row["type"].startswith("custom_field_"))
            )
        )
    if kinds := set(listed(wanted.get("entity"))):
        yield lambda row: row["entity_type"] in kinds
    if ids := wholes(wanted.get("entity_id")):
        yield lambda row: row["entity_id"] in ids
    if names := set(listed(wanted.get("id"))):
        yield lambda row: row["id"] in names
    if users := wholes(wanted.get("created_by")):
        yield lambda row: row["created_by"] in users
    if "created_at" in wanted:
        first, last = _event_ends(wanted["created_at"])
        yield (
            lambda row: (
                (first is None or row["created_at"] >= first) and (last is None or row["created_at"] <= last)
            )
        )


def _event_ends(value: Any) -> tuple[int | None, int | None]:
    """One number means later than it; two, or from and to, are both included."""
    if isinstance(value, dict):
        return whole(value.get("from")), whole(value.get("to"))
    ends = [number for part in listed(value) if (number := whole(part)) is not None]
    if len(ends) == 1:
        return ends[0] + 1, None
    return (ends[0], ends[1]) if len(ends) == 2 else (None, None)


def routes(account: Account, records: Records, log: EventLog, gate: Gate) -> list[BaseRoute]:
    """GET /events and /events/{id}."""

    def told(row: Model) -> Model:
        embedded = {"entity": {"id": row["entity_id"]}}
        return {**row, "_links": records.href(f"events/{row['id']}"), "_embedded": embedded}

    async def events(request: Request) -> Response:
        query = asked(request)
        page, limit, goes_on = paged(query, MAX_EVENTS)
        rows, start = log.found(query), (page - 1) * limit
        shown = rows[start : start + limit]
        if not shown:
            return nothing()
        links = {"self": {"href": str(request.url)}}
        for name, other, there in (
            ("next", page + 1, goes_on and start + limit < len(rows)),
            ("prev", page - 1, page > 1),
        ):
            if there:
                links[name] = {"href": str(request.url.include_query_params(page=other, limit=limit))}
        models = [encode(told(row)) for row in shown]
        return hal(joined(models, "events", encode({"_page": page, "_links": links})[:-1]))

    async def event(request: Request) -> Response:
        found = log.found({"filter": {"id": request.path_params["id"]}})
        return hal(told(found[0])) if found else nothing()

    return [
        Route("/api/v4/events", gate(events), methods=["GET"]),
        Route("/api/v4/events/{id}", gate(event), methods=["GET"]),
    ]
