"""One request of a service: finds what its path names, reads or writes, and words the answer.

The writers of `writing` know what a table's records must be; this module knows HTTP and OData.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec

from sandbox.accounting.sap import atom, edm, writing
from sandbox.accounting.sap.call import Call, Draft, Reply, Segment, draft, keys_of, segments
from sandbox.accounting.sap.database import BREAK, Row
from sandbox.accounting.sap.edm import EntitySet, Service
from sandbox.accounting.sap.errors import (
    BAD_REQUEST,
    CHANGED,
    CONDITIONAL,
    NOT_ALLOWED,
    SapError,
    bad_request,
    error_body,
    error_xml,
    not_found,
)
from sandbox.accounting.sap.query import Query, Reader
from sandbox.accounting.sap.system import System

WRITES: Final = frozenset(("POST", "PUT", "PATCH", "MERGE", "DELETE"))
_encode = msgspec.json.Encoder().encode


@dataclass
class Place:
    """Where a path leads: a set, perhaps one row of it, perhaps rows under it, perhaps a single value."""

    found: EntitySet
    row: Row | None = None
    rows: list[Row] | None = None  # what a navigation leads to; None is the whole set
    parent: Row | None = None
    nav: str = ""
    count: bool = False
    prop: str = ""
    value: bool = False


class Gateway:
    """A service at an address. `root` is the service root as the client named it, without a slash at its end."""

    def __init__(self, system: System, service: Service, root: str) -> None:
        self.system, self.service, self.root = system, service, root
        self.reader = Reader(system, service, root)

    def answer(self, call: Call) -> Reply:
        """Never raises: a refusal is an answer too."""
        try:
            return self.work(call)
        except SapError as error:
            return self.refusal(call, error)

    def refusal(self, call: Call, error: SapError) -> Reply:
        body = error_body(error, self.service.component, self.service.name)
        if call.json:
            return Reply(error.status, headers={"content-type": "application/json"}, raw=_encode(body))
        kind = {"content-type": "application/xml;charset=utf-8"}
        return Reply(error.status, headers=kind, raw=error_xml(body))

    def finish(self, call: Call, reply: Reply) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a reply, in the format that was asked for."""
        headers = {"dataserviceversion": "2.0", **reply.headers}
        if reply.raw is not None:
            return reply.status, headers, reply.raw
        if reply.data is None:
            return reply.status, headers, b""
        if call.json:
            headers.setdefault("content-type", "application/json")
            return reply.status, headers, _encode({"d": reply.data})
        headers["content-type"], body = atom.body(self.service, reply.found, reply.data, self.root)
        return reply.status, headers, body

    def work(self, call: Call) -> Reply:
        """Raises SapError for a refusal."""
        method = (
            call.headers.get("x-http-method", call.method).upper() if call.method == "POST" else call.method
        )
        path = segments(call.path)
        if not path:
            return self._document(call)
        if path[0].name == "$metadata":
            if len(call.query.keys() - {"sap-client", "sap-language", "$format"}) > 0:
                raise bad_request(
                    "System query options are not allowed in the request of $metadata", BAD_REQUEST
                )
            page = edm.metadata(self.service, self.root).encode()
            return Reply(200, headers={"content-type": "application/xml"}, raw=page)
        if path[0].name in self.service.functions:
            return self._function(path[0].name, call, method)
        place = self._place(path)
        if method in ("GET", "HEAD"):
            return self._read(place, call)
        if method not in WRITES:
            raise SapError(405, NOT_ALLOWED, f"Method '{method}' not allowed")
        with self.system.db.unit():
            return self._write(place, call, method)

    def _document(self, call: Call) -> Reply:
        if call.json:
            return Reply(200, {"EntitySets": list(self.service.sets)})
        page = atom.service_document(self.root, list(self.service.sets))
        return Reply(200, headers={"content-type": "application/atomsvc+xml"}, raw=page)

    def _place(self, path: list[Segment]) -> Place:
        place = self._first(path[0])
        for number, segment in enumerate(path[1:], start=1):
            last = number == len(path) - 1
            if segment.name == "$count" and last and place.row is None:
                place.count = True
            elif place.row is not None and segment.name in place.found.type.navigations:
                place = self._follow(place.row, place.found, segment)
            elif place.row is not None and segment.name in place.found.type.properties:
                place.prop = segment.name
            elif segment.name == "$value" and place.prop:
                place.value = True
            else:
                raise not_found(segment.name)
        return place

    def _first(self, segment: Segment) -> Place:
        found = self.service.sets.get(segment.name)
        if found is None:
            raise not_found(segment.name)
        if not segment.given:
            return Place(found)
        row = self.system.db[found.table].at(BREAK.join(keys_of(found.type, segment.given)))
        if row is None:
            raise not_found(found.type.name)
        return Place(found, row)

    def _follow(self, row: Row, source: EntitySet, segment: Segment) -> Place:
        nav = source.type.navigations[segment.name]
        target = self.service.sets[nav.target]
        rows = self.reader.related(row, nav)
        if not nav.many:
            if not rows:
                raise not_found(target.type.name)
            return Place(target, rows[0], parent=row, nav=nav.name)
        if not segment.given:
            return Place(target, rows=rows, parent=row, nav=nav.name)
        key = BREAK.join(keys_of(target.type, segment.given))
        table = self.system.db[target.table]
        named = next((each for each in rows if table.key_of(each) == key), None)
        if named is None:
            raise not_found(target.type.name)
        return Place(target, named, parent=row, nav=nav.name)

    def _read(self, place: Place, call: Call) -> Reply:
        query = Query.of(call.query, place.found.type, quote(call.path.strip("/"), safe="'(),/=$:"))
        if place.count:
            total = str(self.reader.count(place.found, query, place.rows)).encode()
            return Reply(200, headers={"content-type": "text/plain;charset=utf-8"}, raw=total)
        if place.row is None:
            page = self.reader.listed(place.found, query, place.rows, raw=call.json)
            if not page["results"] and place.found.table == "line" and self.system.option("no_data") == "400":
                raise SapError(400, "/IWBEP/CM_MGW_RT/022", "No data found")
            return Reply(200, page, found=place.found)
        if place.prop:
            shown = self.reader.entity(place.found, place.row, Query({}))[place.prop]
            if place.value:
                kind = {"content-type": "text/plain;charset=utf-8"}
                return Reply(200, headers=kind, raw=str("" if shown is None else shown).encode())
            return Reply(200, {place.prop: shown}, found=place.found)
        data = self.reader.entity(place.found, place.row, query)
        return Reply(200, data, self._tag(place.found, place.row), found=place.found)

    def _tag(self, found: EntitySet, row: Row) -> dict[str, str]:
        etag = self.reader.etag(found, row)
        return {"etag": etag} if etag else {}

    def _write(self, place: Place, call: Call, method: str) -> Reply:
        if place.prop or place.count:
            raise SapError(405, NOT_ALLOWED, f"Method '{method}' not allowed")
        if method == "POST":
            if place.row is not None:
                raise SapError(405, NOT_ALLOWED, "Method 'POST' not allowed")
            return self._create(place, call)
        if place.row is None:
            raise SapError(405, NOT_ALLOWED, f"Method '{method}' not allowed")
        letter = "d" if method == "DELETE" else "u"
        if letter not in place.found.verbs:
            raise SapError(
                405, NOT_ALLOWED, f"{_VERB[letter]} operation not supported for '{place.found.name}'"
            )
        self._match(place, call)
        if method == "DELETE":
            writing.delete(self.system, place.found, place.row)
            return Reply(204)
        given = draft(self.service, place.found, call.body)
        if given.inner:
            raise bad_request(f"Inline component is not defined or not allowed (HTTP {call.method})")
        if method == "PUT":
            empty = place.found.type.defaults
            writable = [p for p in place.found.type.properties.values() if p.writable and not p.key]
            given.values = {**{prop.name: empty[prop.name] for prop in writable}, **given.values}
        warnings = writing.update(self.system, place.found, place.row, given)
        return Reply(204, headers=_message(warnings))

    def _match(self, place: Place, call: Call) -> None:
        """If-Match: the tag that was read, or `*`. A set whose tag is strict asks for it."""
        etag = self.reader.etag(place.found, place.row or {})
        said = call.headers.get("if-match")
        if etag is None:
            return
        if said is None:
            strict = place.found.strict or place.found.table in ("order_item", "item_price")
            strict = strict or self.system.option("partner_etag") == "required"
            if strict and self.system.option("missing_if_match") == "428":
                text = "The Data Services Request is required to be conditional. Try using the 'If-Match' header."
                raise SapError(428, CONDITIONAL, text)
            return
        tags = [tag.strip() for tag in said.split(",")]
        if "*" not in tags and etag not in tags and etag.replace("%3A", ":") not in tags:
            raise SapError(412, CHANGED, "The state of the resource (entity) was already changed (If-Match)")

    def _create(self, place: Place, call: Call) -> Reply:
        allowed = "c" in place.found.verbs or (place.nav and writing.may_insert(place.found))
        if not allowed:
            raise SapError(405, NOT_ALLOWED, f"CREATE operation not supported for '{place.found.name}'")
        given = draft(self.service, place.found, call.body)
        row, warnings = writing.create(self.system, given, place.parent)
        data = self.reader.entity(place.found, row, Query({}, expand=_nested(given)))
        headers = {"location": data["__metadata"]["uri"], **self._tag(place.found, row), **_message(warnings)}
        return Reply(201, data, headers, found=place.found)

    def _function(self, name: str, call: Call, method: str) -> Reply:
        said = self.service.functions[name]
        if method != said["method"]:
            raise SapError(405, NOT_ALLOWED, f"Method '{method}' not allowed")
        given = {each: call.query.get(each, "").strip("'") for each in said["parameters"]}
        with self.system.db.unit():
            result = _FUNCTIONS[name](self.system, given)
        kind = {"__metadata": {"type": f"{self.service.namespace}.{said['result']}"}}
        if said.get("many"):
            return Reply(200, {"results": [{**kind, **row} for row in result]})
        return Reply(200, {name: {**kind, **result}})


def _cancel(system: System, given: dict[str, str]) -> list[dict[str, str]]:
    from sandbox.accounting.sap import billing

    return billing.cancel(system, given["BillingDocument"])


def _pdf(system: System, given: dict[str, str]) -> dict[str, str]:
    row = system.db["billing"].get(given["BillingDocument"])
    if row is None:
        raise not_found("A_BillingDocumentType")
    text = f"%PDF-1.4\n% Billing document {row['BillingDocument']}: {row['TotalGrossAmount']}\n%%EOF\n"
    return {"BillingDocumentBinary": base64.b64encode(text.encode()).decode()}


_FUNCTIONS: Final[dict[str, Callable[[System, dict[str, str]], Any]]] = {"Cancel": _cancel, "GetPDF": _pdf}
_VERB: Final = {"u": "UPDATE", "d": "DELETE"}


def _nested(given: Draft) -> dict[str, Any]:
    """What a deep insert gave, its answer shows expanded."""
    tree: dict[str, Any] = {}
    for name, rows in given.inner.items():
        tree[name] = {}
        for row in rows:
            tree[name] |= _nested(row)
    return tree


def _message(warnings: list[tuple[str, str]]) -> dict[str, str]:
    """The header sap-message: the first warning, the others as its details."""
    if not warnings:
        return {}
    said = [
        {"code": code, "message": text, "severity": "warning", "target": "", "transition": False}
        for code, text in warnings
    ]
    return {"sap-message": json.dumps({**said[0], "details": said[1:]}, separators=(",", ":"))}
