"""Records one by one and in collections: sobjects/X, its rows, external ids, deleted and updated lists."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final
from urllib.parse import unquote

from sandbox.crm.salesforce.fields import SObject, instant, shown, stamp_of
from sandbox.crm.salesforce.ids import read_id, record_id
from sandbox.crm.salesforce.model import Org
from sandbox.crm.salesforce.query import KEPT_DAYS, Library
from sandbox.crm.salesforce.rest import Answer, Call, Refusal, Setting, encode, missing, self_url, unsupported
from sandbox.crm.salesforce.values import Unreadable
from sandbox.crm.salesforce.write import MAX_COLLECTION, Apply, Writer
from sandbox.desk.records import Item

MAX_IDS: Final = 600_000
REPLICATION_DAYS: Final = 30
MAX_CHUNKS: Final = 10
MAX_RETRIEVED: Final = 2000


@dataclass
class Rows:
    """The resources below sobjects and composite/sobjects."""

    setting: Setting
    org: Org
    library: Library
    writer: Writer

    def target(self, name: str) -> SObject:
        found = self.org.find(name)
        if found is None:
            raise missing()
        return found

    # ---- one record -------------------------------------------------------------------------------

    def row(self, call: Call, name: str, shown_id: str) -> Answer:
        """GET, PATCH, DELETE sobjects/X/ID."""
        target = self.target(name)
        number = self._number(target, shown_id)
        if call.method == "GET":
            return self._read(call, target, number)
        try:
            if call.method == "DELETE":
                self.writer.delete(target, number)
            else:
                self._precondition(call, target, number)
                self.writer.update(target, number, call.described())
        except Refusal as refusal:
            raise (
                missing()
                if refusal.code == "INVALID_CROSS_REFERENCE_KEY" and refusal.status == 404
                else refusal
            ) from None
        return Answer(204)

    def create(self, call: Call, name: str) -> Answer:
        """POST sobjects/X."""
        target = self.target(name)
        number = self.writer.insert(target, call.described())
        shown_id = record_id(target.prefix, number)
        said = {"id": shown_id, "success": True, "errors": []}
        return Answer(201, said, headers={"Location": self_url(call.base, target.name, shown_id)})

    def keyed(self, call: Call, name: str, key: str, value: str) -> Answer:
        """GET, PATCH, DELETE sobjects/X/FIELD/VALUE by an external id; PATCH is the upsert."""
        target, value = self.target(name), unquote(value)
        if call.method == "GET" and read_id(key) is not None:
            return self._related(call, target, key, value)
        found = target.by_name.get(key.lower())
        if found is None or not found.external:
            raise Refusal(
                404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + key
            )
        numbers = self.writer.keys.find(target, found, value)
        if len(numbers) > 1:
            return Answer(
                300, [self_url(call.base, target.name, record_id(target.prefix, n)) for n in numbers]
            )
        if call.method == "PATCH":
            return self._upsert(call, target, found.name, value)
        if not numbers:
            raise missing()
        if call.method == "DELETE":
            self.writer.delete(target, numbers[0])
            return Answer(204)
        return self._read(call, target, numbers[0])

    def _related(self, call: Call, target: SObject, shown_id: str, relation: str) -> Answer:
        """GET sobjects/X/ID/RELATION: the parent, or the children as a query gives them."""
        item = self.org.item(target.entity, self._number(target, shown_id))
        if item is None:
            raise missing()
        child = next(
            (found for name, found in target.children.items() if name.lower() == relation.lower()), None
        )
        if child is not None:
            names = call.query.get("fields") or ",".join(
                f.name for f in self.library.visible(self.target(child[0]))
            )
            soql = f"SELECT {names} FROM {child[0]} WHERE {child[1]} = '{shown_id}'"
            return Answer(body=self.library.ask(soql, call.base, deleted=False))
        link = next(
            (f for f in target.fields.values() if f.relation and f.relation.lower() == relation.lower()), None
        )
        shown_parent = link.get(item) if link is not None else None
        if link is None or shown_parent is None:
            raise missing()
        parent = self.target(link.refers[0])
        return self._read(call, parent, self._number(parent, shown_parent))

    def _upsert(self, call: Call, target: SObject, name: str, value: str) -> Answer:
        said = call.described()
        if any(known.lower() == name.lower() for known in said):
            words = f"The {name} field should not be specified in the sobject data."
            raise Refusal(400, "INVALID_FIELD", words)
        apply, created = self.writer.upserting(target, name, {**said, name: value})
        shown_id = record_id(target.prefix, apply())
        if not created and not self.setting.options.upsert_bodies:
            return Answer(204)
        return Answer(
            201 if created else 200, {"id": shown_id, "success": True, "errors": [], "created": created}
        )

    def _read(self, call: Call, target: SObject, number: int) -> Answer:
        item = self.org.item(target.entity, number)
        if item is None and number in self.setting.desk.tables.get(target.entity, ()):
            raise Refusal(404, "ENTITY_IS_DELETED", "entity is deleted", ())
        if item is None:
            raise missing()
        names = [name for name in call.query.get("fields", "").split(",") if name]
        body = encode(self.record(target, item, call.base, names))
        headers = {"Last-Modified": format_datetime(stamp_of(item).astimezone(UTC), usegmt=True)}
        if target.name == "Account":  # the only object for which the vendor gives a tag
            headers["ETag"] = _tag(body)
        since = _http_date(call.headers.get("if-modified-since"))
        if since is not None and stamp_of(item) <= since:
            return Answer(304, headers=headers)
        if "ETag" in headers and headers["ETag"] in _tags(call.headers.get("if-none-match", "")):
            return Answer(304, headers=headers)
        return Answer(200, body=body, headers=headers)

    def record(self, target: SObject, item: Item, base: str, names: list[str]) -> dict[str, Any]:
        """All visible fields of a record, or the named ones."""
        fields = self.library.visible(target)
        if names:
            fields = [self.library.resolve(target, (name.strip(),), name)[2] for name in names]
        url = self_url(base, target.name, record_id(target.prefix, item.number))
        said: dict[str, Any] = {"attributes": {"type": target.name, "url": url}}
        for found in fields:
            said[found.name] = shown(found)(item)
        return said

    def _precondition(self, call: Call, target: SObject, number: int) -> None:
        item = self.org.item(target.entity, number)
        wanted, unless = call.headers.get("if-match"), call.headers.get("if-unmodified-since")
        if unless is not None:
            moment = _http_date(unless)
            if moment is None:
                raise Refusal(400, "INVALID_HEADER", f"If-Unmodified-Since is no HTTP date: {unless}")
            if item is not None and stamp_of(item) > moment:
                raise _changed()
        if wanted is not None and target.name == "Account" and item is not None:
            if '"' not in wanted:
                raise Refusal(400, "INVALID_HEADER", f"If-Match holds no entity tag: {wanted}")
            if _tag(encode(self.record(target, item, call.base, []))) not in _tags(wanted):
                raise _changed()

    def _number(self, target: SObject, shown_id: str) -> int:
        found = read_id(shown_id)
        if found is None or found[0] != target.prefix:
            raise missing()
        return found[1]

    # ---- what was deleted and updated ---------------------------------------------------------------

    def deleted(self, call: Call, name: str) -> Answer:
        """GET sobjects/X/deleted?start&end: ids and moments of the last 15 days."""
        target, start, end = self._range(call, name)
        if end - start <= timedelta(minutes=1):
            words = "endDate must be at least one minute greater than startDate"
            raise Refusal(400, "INVALID_REPLICATION_DATE", words)
        now = self.setting.now()
        earliest = max(now - timedelta(days=KEPT_DAYS), self.setting.options.emptied_at or self.setting.desk.founded
                       - timedelta(days=KEPT_DAYS))  # fmt: skip
        gone = self.setting.desk.gone(target.entity) if target.bin else []
        rows = [
            {"deletedDate": instant(item.deleted), "id": record_id(target.prefix, item.number)}
            for item in gone
            if item.deleted is not None
            and start <= item.deleted < end
            and item.deleted > now - timedelta(days=KEPT_DAYS)
        ]
        _bounded(rows)
        said = {
            "deletedRecords": rows, "earliestDateAvailable": instant(earliest),
            "latestDateCovered": self._covered(start, end),
        }  # fmt: skip
        return Answer(200, said)

    def updated(self, call: Call, name: str) -> Answer:
        """GET sobjects/X/updated?start&end: ids of what was created or changed in the last 30 days."""
        target, start, end = self._range(call, name)
        rows = target.rows if target.rows is not None else self.setting.desk.living(target.entity)
        ids = [record_id(target.prefix, item.number) for item in rows if start <= item.modified < end]
        _bounded(ids)
        return Answer(200, {"ids": ids, "latestDateCovered": self._covered(start, end)})

    def _range(self, call: Call, name: str) -> tuple[SObject, datetime, datetime]:
        target = self.target(name)
        start, end = (_moment(call.query.get(key), key) for key in ("start", "end"))
        if start >= end:
            raise Refusal(400, "INVALID_REPLICATION_DATE", "startDate must be before endDate")
        if start < self.setting.now() - timedelta(days=REPLICATION_DAYS):
            raise Refusal(400, "INVALID_REPLICATION_DATE", "startDate cannot be more than 30 days ago")
        return target, start, end

    def _covered(self, start: datetime, end: datetime) -> str:
        lag = timedelta(seconds=self.setting.options.covered_lag_seconds)
        return instant(max(start, min(end, self.setting.now() - lag)).replace(microsecond=0))

    # ---- collections --------------------------------------------------------------------------------

    def collection(self, call: Call) -> Answer:
        """POST, PATCH composite/sobjects: up to 200 records; DELETE ?ids=; GET is not offered here."""
        if call.method == "DELETE":
            return self._delete_many(call)
        said = call.described()
        records = _records(said)
        targets = [self._typed(record) for record in records]
        _chunks(targets)
        checks: list[Callable[[], tuple[Apply, bool]]] = []
        ids: list[str | None] = []
        seen: set[int | tuple[str, int]] = set()
        for record, target in zip(records, targets, strict=True):
            if call.method == "POST":
                ids.append(None)
                checks.append(lambda t=target, r=record: (self.writer.inserting(t, r), True))  # type: ignore[misc]
            else:
                ids.append(_id_of(record))
                checks.append(lambda t=target, r=record: self._updating(t, r, seen))  # type: ignore[misc]
        results = self.writer.many(checks, targets, all_or_none=bool(said.get("allOrNone")), shown=ids)
        return Answer(200, results)

    def upserts(self, call: Call, name: str, key: str) -> Answer:
        """PATCH composite/sobjects/X/FIELD: up to 200 records by an external id."""
        target = self.target(name)
        said = call.described()
        records = _records(said)
        values = [str(_said_key(record, key) or "").casefold() for record in records]
        twice = {value for value in values if value and values.count(value) > 1}

        def check(record: Mapping[str, Any], value: str) -> tuple[Apply, bool]:
            if self._typed(record) is not target:
                words = f"Records must be of the type {target.name}"
                raise Unreadable(400, "INVALID_INPUT", words)
            if value in twice:
                raise Refusal(
                    400,
                    "DUPLICATE_VALUE",
                    f"Duplicate external id specified: {_said_key(record, key)}",
                    (key,),
                )
            return self.writer.upserting(target, key, record)

        checks = [lambda r=r, v=v: check(r, v) for r, v in zip(records, values, strict=True)]
        results = self.writer.many(
            checks, [target] * len(records), all_or_none=bool(said.get("allOrNone")), shown=[None] * len(records),
            upsert=True,
        )  # fmt: skip
        return Answer(200, results)

    def retrieve(self, call: Call, name: str) -> Answer:
        """GET composite/sobjects/X?ids&fields, or POST {ids, fields}: null where a record cannot be seen."""
        target = self.target(name)
        if call.method == "POST":
            said = call.described()
            ids, names = list(said.get("ids") or ()), list(said.get("fields") or ())
        else:
            ids = [i for i in call.query.get("ids", "").split(",") if i]
            names = [n for n in call.query.get("fields", "").split(",") if n]
        if not ids or not names:
            raise Refusal(400, "MISSING_ARGUMENT", "ids and fields must be specified")
        if len(ids) > MAX_RETRIEVED:
            raise _too_many(MAX_RETRIEVED)
        found: list[Any] = []
        for shown_id in ids:
            known = read_id(str(shown_id))
            item = (
                self.org.item(target.entity, known[1])
                if known is not None and known[0] == target.prefix
                else None
            )
            found.append(None if item is None else self.record(target, item, call.base, names))
        return Answer(200, found)

    def tree(self, call: Call, name: str) -> Answer:
        """POST composite/tree/X: up to 200 records without children, all or none."""
        target = self.target(name)
        records = _records(call.described())
        results: list[dict[str, Any]] = []
        applies: list[Apply] = []
        if any(
            isinstance(value, dict) and "records" in value for record in records for value in record.values()
        ):
            raise unsupported("children inside a tree")
        for record in records:
            reference = (record.get("attributes") or {}).get("referenceId")
            try:
                applies.append(self.writer.inserting(target, record))
            except Refusal as refusal:
                results.append({"referenceId": reference, "errors": refusal.result()["errors"]})
        if results:
            return Answer(400, {"hasErrors": True, "results": results})
        for record, apply in zip(records, applies, strict=True):
            shown_id = record_id(target.prefix, apply())
            results.append(
                {"referenceId": (record.get("attributes") or {}).get("referenceId"), "id": shown_id}
            )
        return Answer(201, {"hasErrors": False, "results": results})

    def _delete_many(self, call: Call) -> Answer:
        ids = [i for i in call.query.get("ids", "").split(",") if i]
        if len(ids) > MAX_COLLECTION:
            raise _too_many(MAX_COLLECTION)
        targets = [next((t for t in self.org.objects.values() if t.prefix == i[:3]), None) for i in ids]

        def check(target: SObject | None, shown_id: str) -> tuple[Apply, bool]:
            if target is None:
                raise Refusal(400, "MALFORMED_ID", f"malformed id {shown_id}", ("Id",))
            return self.writer.deleting(target, self.writer.number(target, shown_id)), False

        checks = [lambda t=t, i=i: check(t, i) for t, i in zip(targets, ids, strict=True)]
        all_or_none = call.query.get("allOrNone", "").lower() == "true"
        return Answer(200, self.writer.many(checks, targets, all_or_none=all_or_none, shown=ids))

    def _updating(self, target: SObject, record: Mapping[str, Any], seen: set[Any]) -> tuple[Apply, bool]:
        shown_id = _id_of(record)
        if shown_id is None:
            raise Refusal(400, "MISSING_ARGUMENT", "Id not specified in an update call", ("Id",))
        number = self.writer.number(target, shown_id)
        if (target.name, number) in seen:
            raise Refusal(400, "DUPLICATE_VALUE", f"Duplicate id specified: {shown_id}", ("Id",))
        seen.add((target.name, number))
        return self.writer.updating(target, number, record), False

    def _typed(self, record: Mapping[str, Any]) -> SObject:
        name = (record.get("attributes") or {}).get("type")
        if not name:
            raise Unreadable(400, "INVALID_INPUT", "Include an entity type in the attributes of each record")
        found = self.org.find(str(name))
        if found is None:
            raise Unreadable(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.")
        return found


def _records(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    records = said.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise Refusal(400, "JSON_PARSER_ERROR", "records must be a list of objects")
    if len(records) > MAX_COLLECTION:
        raise _too_many(MAX_COLLECTION)
    return records


def _chunks(targets: list[SObject]) -> None:
    runs = sum(1 for place, target in enumerate(targets) if place == 0 or target is not targets[place - 1])
    if runs > MAX_CHUNKS:
        words = f"The number of chunks of object types may not exceed {MAX_CHUNKS}; this request has {runs}"
        raise Refusal(400, "LIMIT_EXCEEDED", words)


def _too_many(limit: int) -> Refusal:
    return Refusal(
        400,
        "LIMIT_EXCEEDED",
        f"record limit reached. cannot submit more than {limit} records in this operation",
    )


def _bounded(rows: list[Any]) -> None:
    if len(rows) > MAX_IDS:
        raise Refusal(
            400, "EXCEEDED_ID_LIMIT", f"too many ids: {len(rows)}; choose dates that are closer together"
        )


def _said_key(record: Mapping[str, Any], key: str) -> Any:
    return next((value for name, value in record.items() if name.lower() == key.lower()), None)


def _id_of(record: Mapping[str, Any]) -> str | None:
    found = _said_key(record, "id")
    return str(found) if found else None


def _moment(said: str | None, name: str) -> datetime:
    """The vendor leaves the seconds of both ends away."""
    if not said:
        raise Refusal(400, "MISSING_ARGUMENT", f"{name} parameter is required")
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        raise Refusal(400, "INVALID_REPLICATION_DATE", f"{name} is no date: {said}") from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).replace(second=0, microsecond=0)


def _http_date(said: str | None) -> datetime | None:
    if not said:
        return None
    try:
        return parsedate_to_datetime(said)
    except ValueError:
        return None


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()[:28]}"'


def _tags(said: str) -> list[str]:
    return [part.strip() for part in said.split(",")]


def _changed() -> Refusal:
    return Refusal(412, "PRECONDITION_FAILED", "The record was changed since; read it again")
