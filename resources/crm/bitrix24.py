"""Bitrix24: deals with their lines, companies with their requisites, products; payment status and debt back.

    portal = connect("bitrix24", {"url": "https://shop.bitrix24.ru/rest/1/<code>/"})
    for page in portal.read(["deal", "deal_line"], None, datetime.now(UTC)): ...

The connection is an incoming webhook of an administrator with the scopes crm, catalog, user and task.
Payloads are the vendor's objects unchanged; user fields keep their own names (`UF_CRM_...`).
Not here: deletions (the portal has no tombstones; `keys` is the sweep) and events (they are lossy hints).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from resources.budget import Budget, LocalBudget
from resources.connector import (
    Capabilities,
    Change,
    Finding,
    Page,
    Record,
    Refused,
    SourceError,
    Uncertain,
    Written,
)
from resources.crm.bitrix24_check import findings
from resources.crm.bitrix24_entities import (
    DICTIONARIES,
    ENTITIES,
    ITEM_TYPES,
    LISTINGS,
    USER_FIELDS,
    dictionaries,
    item,
    narrow,
)
from resources.crm.bitrix24_lists import (
    PAGE,
    Chain,
    Listing,
    Reader,
    Settled,
    Whole,
    moment,
    records_of,
    rows_of,
)
from resources.crm.bitrix24_portal import BATCH, Outcome, Portal, encode

PARALLEL = 6  # requests in flight: a batch takes seconds, the rate allows two starts a second
WRITE_BATCH = 20  # updates in one request: one may take 2.8 s, and a request is cut off after 60 s
FIND_IDS = 50  # ids of one look-up: a page of them
MAX_ASKED = 20  # times that a small question is asked again while its method is blocked
TASK_TAG = "sverka-"  # a task carries our key as a tag (tasks.task.list filters by TAG) and as XML_ID
TASK_FIELDS = [
    "ID",
    "TITLE",
    "STATUS",
    "XML_ID",
    "TAGS",
    "UF_CRM_TASK",
    "RESPONSIBLE_ID",
    "DEADLINE",
    "DESCRIPTION",
]

LIMITS = (2.0, 50.0)  # requests a second, and how many at once: the vendor's leaky bucket


class Bitrix24:
    """One portal, read and written. Threads may share it.

    `fields_read` (by entity) and `fields_written` (by kind) are set by whoever knows the mapping, before the
    first read: the vendor's names of what is looked at and changed. They are asked for and checked;
    `mapping_file` is where a person corrects them.
    `known_stamps` is set by whoever stores the records, and tells which of them an earlier read has settled.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=ENTITIES,
        writes=("deal", "company", "task"),
        overlap_seconds=3600,
        extra={
            "known_max": True,
            "write_many": True,
            "user_fields": USER_FIELDS,
            "version": "updatedTime",  # the stamp that a write gives a record
        },
    )

    def __init__(self, portal: Portal, zone: tzinfo | None = None) -> None:
        self.system = portal.system
        self.portal = portal
        self._zone = zone  # the portal's time zone; None: the offset that its own stamps carry
        self._forms: dict[str, str] = {}  # by entity: how its stamps are written in a filter
        self.fields_read: Mapping[str, Sequence[str]] = {}
        self.fields_written: Mapping[str, Sequence[str]] = {k: tuple(f) for k, f in USER_FIELDS.items()}
        self.mapping_file = f"the mapping file of {self.system}"
        self.known_stamps: Settled | None = None
        self._fields: dict[str, list[str]] = {}  # by kind: what this portal has, by its names
        self._catalogs = Outcome(None)

    def close(self) -> None:
        """End the connections."""
        self.portal.close()

    # Reading

    def read(
        self,
        entities: Sequence[str],
        since: datetime | None,
        until: datetime,
        *,
        known_max: Mapping[str, str] | None = None,
    ) -> Iterator[Page]:
        """Pages of the named entities; children only where they are named too.

        With `since`, whatever was changed from then on, also after `until`: the portal stamps whole seconds
        by a clock of its own, so a bound by ours would leave out what was changed just now.
        `known_max`: the highest id stored, by entity; ids above it are read whatever their stamp says
        (an import may carry old dates). Dictionaries and employees come whole, as one complete page.
        Raises SourceError: not retriable for a missing right, retriable for a portal that is down.
        """
        wanted = self._known(entities)
        jobs: list[Chain | Whole] = dictionaries(wanted)
        roots = {self._parent_of(name) or name for name in wanted if name not in (*DICTIONARIES, "employee")}
        names = [name for name in LISTINGS if name in roots]
        if since is not None and "requisite" in wanted:
            names.append("requisite")
        surveyed = self._survey(names, by_stamp=since is not None)
        listings = [listing if listing.entity in wanted else narrow(listing) for listing, _ in surveyed]
        survey = [newest for _, newest in surveyed]
        if since is not None:
            self._learn_forms(listings, survey)
        for listing, newest in zip(listings, survey, strict=True):
            chains = self._lanes(listing, newest)
            if since is not None:
                known = (known_max or {}).get(listing.entity)
                chains = self._window(listing, newest, since, known)
            children = [LISTINGS[name] for name in wanted if self._parent_of(name) == listing.entity]
            emit = listing.entity in wanted
            jobs += [replace(chain, emit=emit, child_listings=children) for chain in chains]
        unseen = set(ITEM_TYPES)
        for page in Reader(self.portal).run(jobs):
            if page.entity in unseen and page.records:
                unseen.remove(page.entity)
                self._expect_fields(page.entity, page.records[0])
            yield page

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        """Ids of every living record, 50 to 2,500 at a time."""
        (name,) = self._known([entity])
        if name in LISTINGS and not self._parent_of(name) and name != "employee":
            jobs: list[Chain | Whole] = []
            for listing, newest in self._survey([name], by_stamp=False):
                jobs += self._lanes(narrow(listing), newest)
            pages = Reader(self.portal).run(jobs)
        elif name == "requisite":
            pages = Reader(self.portal).run([Chain(narrow(LISTINGS[name]))])
        else:
            pages = self.read([name], None, datetime.now(UTC))
        for page in pages:
            if page.records:
                yield [record.source_id for record in page.records]

    def counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        """How many living records there are, in one request; of entities with a list of their own."""
        own = [*(name for name in LISTINGS if not LISTINGS[name].owners), "requisite"]
        names = [name for name in self._known(entities) if name in own]
        listings = [listing for name in names for listing in self._listings(name)]
        found: dict[str, int] = {}
        calls = [narrow(listing).query(count=True) for listing in listings]
        for listing, outcome in zip(listings, self._ask(calls), strict=True):
            if outcome.total is not None:
                found[listing.entity] = found.get(listing.entity, 0) + outcome.total
        return found

    def changes(self, since: datetime) -> Iterator[Change]:
        """The newest records by stamp, at most 50 an entity: one request, two in a new process."""
        names = [entity.name for entity in self.capabilities.entities if entity.incremental]
        for listing, newest in self._survey(names, by_stamp=True):
            for record in newest:
                if record.modified_at is not None and record.modified_at >= since:
                    yield Change(listing.entity, record.source_id, record.modified_at)

    def _known(self, entities: Sequence[str]) -> list[str]:
        names = [entity.name for entity in self.capabilities.entities]
        for name in entities:
            if name not in names:
                raise SourceError(f"{self.system}: there is no entity {name!r}; there are {', '.join(names)}")
        return [name for name in names if name in entities]

    def _parent_of(self, name: str) -> str | None:
        return next(entity.parent for entity in self.capabilities.entities if entity.name == name)

    def _listings(self, name: str) -> list[Listing]:
        """The listings of an entity, with the user fields and the catalogs of this portal."""
        listing = LISTINGS[name]
        select = list(listing.params.get("select", ()))
        if name in ITEM_TYPES:
            select += self._user_fields_of(name)
        if select and "*" not in select:  # * brings every field of the vendor's own, and `fm`
            select = list(dict.fromkeys([*select, *self.fields_read.get(name, ())]))
        if select:
            listing = replace(listing, params={**listing.params, "select": select})
        if name == "product":
            return [replace(listing, filter={"iblockId": number}) for number in self._catalog_ids()]
        return [listing]

    def _expect_fields(self, name: str, record: Record) -> None:
        """Raises SourceError where the mapping reads a field that a record lacks and the portal does not know.

        The portal leaves out silently what it does not know; what is known and empty comes as null.
        """
        there = {*self.fields_of(name), *msgspec.json.decode(record.payload, type=dict[str, msgspec.Raw])}
        absent = [field for field in self.fields_read.get(name, ()) if field not in there]
        if absent:
            plain = {field.replace("_", "").casefold(): field for field in sorted(there)}
            near = get_close_matches(absent[0].replace("_", "").casefold(), plain, 1, 0.8)
            remedy = (
                f"did you mean {plain[near[0]]}? Correct it in" if near else "create it, or take it out of"
            )
            raise SourceError(
                f"{self.system}: the portal's {name} has no field {', '.join(absent)}, which the mapping reads; "
                f"{remedy} {self.mapping_file}"
            )

    def _user_fields_of(self, name: str) -> list[str]:
        return sorted(field for field in self.fields_of(name) if field.startswith("UF_"))

    def fields_of(self, name: str) -> list[str]:
        """What deals, companies or contacts of this portal have, user fields by their own names (UF_CRM_...)."""
        self._prepare()
        return self._fields[name]

    def _catalog_ids(self) -> list[int]:
        self._prepare()
        if self._catalogs.error is not None:
            raise self.portal.error("catalog.catalog.list", self._catalogs.error)
        rows = self._catalogs.value(dict[str, Any]).get("catalogs") or []
        return [int(row["iblockId"]) for row in rows]

    def _prepare(self, also: Sequence[str] = ()) -> list[Outcome]:
        """Ask once what this portal has of its own, user fields and product catalogs, and in the same request
        whatever else is to be asked: its answers."""
        if self._fields:
            return []
        calls = [
            _call("crm.item.fields", entityTypeId=n, useOriginalUfNames="Y") for n in ITEM_TYPES.values()
        ]
        outcomes = self._ask([*calls, "catalog.catalog.list", *also], refused="catalog.")
        self._catalogs = outcomes[len(calls)]
        for kind, outcome in zip(ITEM_TYPES, outcomes, strict=False):
            described = outcome.value(dict[str, dict[str, Any]]).get("fields") or {}
            upper = {name: str(of.get("upperName") or name) for name, of in described.items()}
            self._fields[kind] = [up if up.startswith("UF_") else name for name, up in upper.items()]
        return outcomes[len(calls) + 1 :]

    def _survey(self, names: Sequence[str], *, by_stamp: bool) -> list[tuple[Listing, list[Record]]]:
        """The listings of these entities, each with its newest records (by stamp, else by id) without their
        payloads: one request, one more for products in a new process, whose catalogs must be known first."""

        def newest(listing: Listing) -> str:
            return narrow(listing).query(by=listing.stamps[0] if by_stamp else "", descending=True)

        early = [name for name in names if name != "product"]
        answers = dict(zip(early, self._prepare([newest(LISTINGS[name]) for name in early]), strict=False))
        listings = [
            listing
            for name in names
            for listing in ([LISTINGS[name]] if name == "requisite" else self._listings(name))
        ]
        rest = [listing for listing in listings if listing.entity not in answers]
        late = iter(self._ask([newest(listing) for listing in rest]) if rest else ())
        return [
            (listing, records_of(listing, answers.get(listing.entity) or next(late), self.system)[0])
            for listing in listings
        ]

    def _ask(self, calls: Sequence[str], refused: str = "-") -> list[Outcome]:
        """Small reads in one request; asked again while their method is blocked.

        Raises what is refused, except for methods whose name begins with `refused`.
        """
        answers: dict[int, Outcome] = {}
        for _ in range(MAX_ASKED):
            left = [number for number in range(len(calls)) if number not in answers][:BATCH]
            if not left:
                return [answers[number] for number in range(len(calls))]
            for number, outcome in zip(left, self.portal.batch([calls[n] for n in left]), strict=True):
                if outcome.error is None or (not outcome.again and calls[number].startswith(refused)):
                    answers[number] = outcome
                elif not outcome.again:
                    raise self.portal.error(calls[number].partition("?")[0], outcome.error)
        raise SourceError(
            f"{self.system}: the portal's limits stay exhausted; the next run tries again", retriable=True
        )

    def _lanes(self, listing: Listing, newest: Sequence[Record]) -> list[Chain]:
        """Cut the range of ids into lanes that are read side by side; the last one is open upwards."""
        top = int(newest[0].source_id) if newest else 0
        whole = BATCH * PAGE  # ids of a lane fill requests to the last page, if none was deleted
        lanes = min(self.portal.parallel * 2, top // (2 * whole) + 1)
        step = -(-top // (lanes * whole)) * whole or 1
        lanes = max(1, -(-top // step))
        chains = [Chain(listing, after=number * step, upto=(number + 1) * step) for number in range(lanes)]
        chains[-1].upto, chains[-1].top = None, top
        return chains

    def _window(
        self, listing: Listing, newest: Sequence[Record], since: datetime, known: str | None
    ) -> list[Chain]:
        """Chains for what was changed since then, and for ids above the highest known one."""
        form = self._forms.get(listing.entity, "iso")
        if not form:
            return [Chain(listing)]
        low = _written(since, form, self._zone_of(newest))
        chains = [
            Chain(listing, {f">={stamp}": low}, pages_wanted=2, settled=self.known_stamps)
            for stamp in listing.stamps
        ]
        if known:
            chains.append(Chain(listing, {f"<{listing.stamps[0]}": low}, after=int(known), pages_wanted=2))
        return chains

    def _learn_forms(self, listings: Sequence[Listing], survey: Sequence[Sequence[Record]]) -> None:
        """How this portal takes a stamp in a filter, found once by asking for records that are known.

        "iso" with offset, else "plain" (`YYYY-MM-DD hh:mm:ss` in the portal's zone), else "" (neither
        works: the entity is read whole). Some portals ignore the first: b24-rest-docs issue 215.
        """
        asked: list[Listing] = []
        calls: list[str] = []
        for listing, newest in zip(listings, survey, strict=True):
            stamp = listing.stamps[-1]
            at = moment(msgspec.json.decode(newest[0].payload).get(stamp)) if newest else None
            if at is None or listing.entity in self._forms or listing in asked:
                continue
            asked.append(listing)
            for form in ("iso", "plain"):
                value = _written(at, form, self._zone_of(newest))
                for sign in (">=", "<"):
                    known = {f"={listing.key}": int(newest[0].source_id), f"{sign}{stamp}": value}
                    calls.append(narrow(listing).query(known))
        found = [
            len(rows_of(outcome, asked[n // 4], self.system)) for n, outcome in enumerate(self._ask(calls))
        ]
        for number, listing in enumerate(asked):
            counts = found[number * 4 : number * 4 + 4]
            works = {"iso": counts[:2] == [1, 0], "plain": counts[2:] == [1, 0]}
            self._forms[listing.entity] = next((form for form, right in works.items() if right), "")

    def _zone_of(self, newest: Sequence[Record]) -> tzinfo:
        """The portal's zone: the connection's, else the offset that the portal's own stamps carry."""
        if self._zone is None and newest:
            for text in msgspec.json.decode(newest[0].payload).values():
                if isinstance(text, str) and moment(text) and (zone := datetime.fromisoformat(text).tzinfo):
                    return zone
        return self._zone or UTC

    # Writing

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """Create a task (the only kind). Our key becomes its XML_ID and a tag, by which `find` finds it.

        The portal has no idempotency for tasks: probe with `find` before a resend.
        """
        result = self.portal.call("tasks.task.add", {"fields": self._new_task(kind, key, body)}, write=True)
        return self._made(result)

    def create_many(
        self, kind: str, rows: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> list[Written | SourceError]:
        """Create many tasks, 20 a request; each row's own outcome, in order, as `update_many` gives it."""
        calls = [_call("tasks.task.add", fields=self._new_task(kind, key, body)) for key, body in rows]
        return self._in_batches(kind, [key for key, _ in rows], calls, lambda _, value: self._made(value))

    def _new_task(self, kind: str, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if kind != "task":
            raise Refused(f"{self.system}: a {kind} is not created from here, only task")
        linked = body.get("UF_CRM_TASK", ())  # D_17 ties the task to deal 17
        return {
            **body,
            "UF_CRM_TASK": [linked] if isinstance(linked, str) else list(linked),
            "XML_ID": key,
            "TAGS": [*body.get("TAGS", ()), TASK_TAG + key],
        }

    def _made(self, result: Mapping[str, Any] | None) -> Written:
        task = (result or {}).get("task") or {}
        if not task.get("id"):
            raise Uncertain(f"{self.system}: tasks.task.add answered without the task's id; look it up")
        return Written(str(task["id"]), task)

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        """Change the named fields of a deal or company. The portal keeps no versions: the last write wins.

        The answer's `updatedTime` is the stamp of our own change, by which it is known when read again.
        """
        params = {**self._update(kind, key), "fields": dict(body)}
        result = self.portal.call("crm.item.update", params, write=True) or {}
        return Written(key, result.get("item") or {})

    def update_many(
        self, kind: str, rows: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> list[Written | SourceError]:
        """Update many records, 20 a request; each row's own outcome, in order.

        A refused row is Refused, one that the portal's limits stopped is a retriable SourceError, one whose
        request got no answer is Uncertain. Raises nothing of these itself.
        """
        calls = [_call("crm.item.update", **self._update(kind, key), fields=dict(body)) for key, body in rows]
        keys = [key for key, _ in rows]
        return self._in_batches(kind, keys, calls, lambda key, value: Written(key, value.get("item") or {}))

    def _in_batches(
        self,
        kind: str,
        keys: Sequence[str],
        calls: Sequence[str],
        written: Callable[[str, Mapping[str, Any]], Written],
    ) -> list[Written | SourceError]:
        outcomes: list[Written | SourceError] = []
        stop: SourceError | None = None
        for start in range(0, len(calls), WRITE_BATCH):
            part = keys[start : start + WRITE_BATCH]
            if stop is not None:
                outcomes += [stop] * len(part)
                continue
            try:
                answers = self.portal.batch(calls[start : start + WRITE_BATCH], write=True)
            except Uncertain as error:
                outcomes += [error] * len(part)
                continue
            except SourceError as error:
                stop = error
                outcomes += [error] * len(part)
                continue
            for key, answer in zip(part, answers, strict=True):
                try:
                    if answer.error is not None:
                        raise self.portal.error(f"{kind} {key}", answer.error, write=True)
                    outcomes.append(written(key, answer.value(dict[str, Any]) or {}))
                except SourceError as error:
                    outcomes.append(error)
        return outcomes

    def _update(self, kind: str, key: str) -> dict[str, Any]:
        if kind not in USER_FIELDS:
            raise Refused(f"{self.system}: a {kind} is not changed from here, only {', '.join(USER_FIELDS)}")
        return {"entityTypeId": ITEM_TYPES[kind], "id": int(key), "useOriginalUfNames": "Y"}

    def post(self, kind: str, key: str) -> None:
        """Raises Refused: nothing in a CRM is posted."""
        raise Refused(f"{self.system}: a {kind} has no posting step")

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Read back by key: deals and companies by id (with `updatedTime` and user fields), tasks by our key.

        2,500 ids or 50 tasks a request. Numbers are Decimal.
        """
        if kind == "task":
            return self._find_tasks(keys)
        if kind not in USER_FIELDS:
            raise Refused(
                f"{self.system}: a {kind} is not looked up here, only {', '.join(self.capabilities.writes)}"
            )
        listing = item(kind, ["id", "title", "updatedTime", *self._user_fields_of(kind)])
        found: dict[str, Mapping[str, Any]] = {}
        parts = [list(keys[start : start + FIND_IDS]) for start in range(0, len(keys), FIND_IDS)]
        calls = [listing.query({"@id": part}) for part in parts]
        for start in range(0, len(calls), BATCH):
            for outcome in self._ask(calls[start : start + BATCH]):
                items = outcome.value(dict[str, list[dict[str, Any]]]).get("items", [])
                found.update({str(item["id"]): item for item in items})
        return found

    def _find_tasks(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for start in range(0, len(keys), BATCH):
            part = list(keys[start : start + BATCH])
            asked = {"select": TASK_FIELDS, "order": {"ID": "asc"}}
            calls = [_call("tasks.task.list", filter={"TAG": TASK_TAG + key}, **asked) for key in part]
            for key, outcome in zip(part, self._ask(calls), strict=True):
                tasks = outcome.value(dict[str, Any]).get("tasks") or []
                ours = [task for task in tasks if _is_ours(task, key)]
                if ours:
                    found[key] = {**ours[0], **_as_written(ours[0])}
        return found

    # Checking

    def check(self) -> list[Finding]:
        """What an administrator should repair; see bitrix24_check."""
        return findings(self)


def connect(system: str, connection: Mapping[str, Any], budget: Budget | None = None) -> Bitrix24:
    """Open a connection; sends nothing yet.

    Keys: `url` (the incoming webhook's address), and optional `timezone` (of the portal, such as
    Europe/Moscow; else its own stamps tell), `rate_per_second` (2; Enterprise 5), `burst` (50; 250),
    `timeout` (70 s: the portal itself ends a request after 60), `parallel` (6 requests in flight).
    Without `budget` the rate is kept for this process alone. Raises SourceError for a wrong address.
    """
    match = re.fullmatch(
        r"(https?://.+/rest/\d+/([^/?#]+))/?(?:[a-z.]+)?", str(connection.get("url", "")).strip()
    )
    if match is None:
        raise SourceError(
            f"{system}: the url of the connection is not an incoming webhook's address; "
            "it looks like https://<portal>/rest/<user number>/<code>/"
        )
    zone: tzinfo | None = None
    if name := connection.get("timezone"):
        try:
            zone = ZoneInfo(str(name))
        except (ZoneInfoNotFoundError, ValueError):
            raise SourceError(
                f"{system}: there is no time zone {name!r}; use one like Europe/Moscow"
            ) from None
    rate, burst = float(connection.get("rate_per_second", 2)), float(connection.get("burst", 50))
    portal = Portal(
        system,
        f"{match[1]}/",
        match[2],
        budget=budget or LocalBudget(rate, burst),
        timeout=float(connection.get("timeout", 70)),
        parallel=int(connection.get("parallel", PARALLEL)),
    )
    return Bitrix24(portal, zone)


def _call(method: str, **params: Any) -> str:
    return f"{method}?{encode(params)}"


def _written(at: datetime, form: str, zone: tzinfo) -> str:
    local = at.astimezone(zone)
    return local.isoformat(timespec="seconds") if form == "iso" else local.strftime("%Y-%m-%d %H:%M:%S")


def _as_written(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task's fields by the names that tasks.task.add takes: the list answers `responsibleId`."""
    written = {name: task[listed] for name in TASK_FIELDS if (listed := _listed_name(name)) in task}
    linked = written.get("UF_CRM_TASK")
    if isinstance(linked, list) and len(linked) == 1:
        written["UF_CRM_TASK"] = linked[0]
    return written


def _listed_name(name: str) -> str:
    first, *rest = name.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)


def _is_ours(task: Mapping[str, Any], key: str) -> bool:
    tags = task.get("tags") or {}
    titles = [tag.get("title") for tag in tags.values()] if isinstance(tags, Mapping) else list(tags)
    return task.get("xmlId") == key or TASK_TAG + key in titles
