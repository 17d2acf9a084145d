"""Bitrix24: deals with their lines, companies with their requisites, products, invoices, activities; status and debt back.

    portal = connect("bitrix24", {"url": "https://shop.bitrix24.ru/rest/1/<code>/"})
    for page in portal.read(["deal", "deal_line"], None, datetime.now(UTC)): ...

The connection is an administrator's incoming webhook, or a local application that one installed, with the scopes
crm, catalog, user and task. Payloads are the vendor's objects unchanged; user fields keep their own names
(`UF_CRM_...`). Not here: deletions (the portal has no tombstones; `keys` is the sweep). Its webhooks are hints
(`hints`). docs/connectors/bitrix24.md says how to connect, and what is unconfirmed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from resources.budget import Budget, LocalBudget
from resources.connection import AT_ONCE, DAY, as_copied, number
from resources.connector import (
    Capabilities,
    Change,
    Delivery,
    Finding,
    Hint,
    Page,
    Record,
    SourceError,
)
from resources.crm.bitrix24.check import findings
from resources.crm.bitrix24.entities import (
    DICTIONARIES,
    ENTITIES,
    FOLLOWERS,
    ITEM_TYPES,
    LISTINGS,
    NO_NEWS,
    PERSONAL,
    USER_FIELDS,
    dictionaries,
    following,
    item,
    narrow,
    whole,
)
from resources.crm.bitrix24.hints import hints_of, pages_of
from resources.crm.bitrix24.lists import (
    PAGE,
    Chain,
    Family,
    Listing,
    OurOwn,
    Reader,
    Whole,
    moment,
    records_of,
    rows_of,
    written,
)
from resources.crm.bitrix24.portal import BATCH, Outcome, Portal, call
from resources.crm.bitrix24.token import NAMES, authorized, is_application
from resources.crm.bitrix24.write import Writer
from resources.http import conceal, settling
from resources.tokens import TokenStore

PARALLEL = 6  # requests in flight: a batch takes seconds, the rate allows two starts a second

NO_SUCH_TYPE = ("ENTITY_TYPE_NOT_SUPPORTED", "NOT_FOUND")  # what a portal without smart invoices says

LIMITS = (2.0, 50.0)  # requests a second, and how many at once: the vendor's leaky bucket


class Bitrix24(Writer):
    """One portal, read and written. Threads may share it.

    `fields_read` (by entity) and `fields_written` (by kind) are set by whoever knows the mapping, before the
    first read: the vendor's names of what is looked at and changed. They are asked for and checked;
    `mapping_file` is where a person corrects them.
    `known_stamps` is set by whoever stores the records, and tells the stamps of our own writing: a read by change
    passes over the records that still bear them.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=ENTITIES,
        writes=("deal", "company", "task"),
        overlap_seconds=3600,
        known_max=True,
        version="updatedTime",  # the stamp that a write gives a record
        volatile=(
            "updatedTime",
            "updatedBy",
            "movedTime",
            "movedBy",
            "lastActivityTime",
            "lastActivityBy",
            "DATE_MODIFY",
            "MODIFY_BY_ID",
            "timestampX",
            "LAST_LOGIN",
            "LAST_ACTIVITY_DATE",
            "TIMESTAMP_X",
        ),
    )

    def __init__(self, portal: Portal, zone: tzinfo | None = None, token: str = "") -> None:
        self.system = portal.system
        self.portal = portal
        self._token = token  # of the portal's outgoing webhook
        self._zone = zone  # the portal's time zone; None: the offset that its own stamps carry
        self._forms: dict[str, str] = {}  # by entity: how its stamps are written in a filter
        self.fields_read: Mapping[str, Sequence[str]] = {}
        self.fields_written: Mapping[str, Sequence[str]] = {k: tuple(f) for k, f in USER_FIELDS.items()}
        self.mapping_file = f"the mapping file of {self.system}"
        self.known_stamps: OurOwn | None = None
        self._fields: dict[str, list[str]] = {}  # by kind: what this portal has, by its names
        self._catalogs = Outcome(None)
        self._selects = (
            False  # whether fields can be chosen together with the names of user fields; see _prepare
        )

    def close(self) -> None:
        """End the connections."""
        self.portal.close()

    # Reading

    def clock_behind(self) -> float:
        """See TellsItsTime."""
        return self.portal.clock_behind

    def read(
        self,
        entities: Sequence[str],
        since: datetime | None,
        until: datetime,
        *,
        known_max: Mapping[str, str] | None = None,
    ) -> Iterator[Page]:
        """Pages of the named entities; children only where they are named too.

        With `since`, the deals (with lines), contacts, invoices and activities of companies that changed come too, without
        being asked for, and the deals and invoices of such contacts: a merge hands them over and leaves their stamps.
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
            followers = self.followers_of(listing.entity) if since is not None and emit else []
            jobs += [
                replace(chain, emit=emit, child_listings=children, followers=followers) for chain in chains
            ]
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
        for listing, outcome in zip(listings, self.portal.ask(calls), strict=True):
            if outcome.total is not None:
                found[listing.entity] = found.get(listing.entity, 0) + outcome.total
        return found

    def changes(self, since: datetime) -> Iterator[Change]:
        """The newest records by stamp, at most 50 an entity that the mapping reads: one request, two in a new process."""
        entities = self.capabilities.entities
        names = [entity.name for entity in entities if entity.incremental and self._is_wanted(entity.name)]
        for listing, newest in self._survey(names, by_stamp=True):
            for record in newest:
                if record.modified_at is not None and record.modified_at >= since:
                    yield Change(listing.entity, record.source_id, record.modified_at)

    def hear(self, delivery: Delivery) -> Sequence[Hint]:
        """What an outgoing webhook hints at. Raises Forged, ValueError."""
        return hints_of(delivery, self._token)

    def read_keys(self, entity: str, keys: Sequence[str]) -> Iterator[Page]:
        """These records as they are now, with their children; see `hints`. Raises SourceError."""
        (name,) = self._known([entity])
        return pages_of(self, name, keys)

    def listings_of(self, name: str) -> list[Listing]:
        """The lists of an entity in this portal: of products one a catalog."""
        return [LISTINGS[name]] if name == "requisite" else self._listings(name)

    def children_of(self, name: str) -> list[Listing]:
        """The lists of what belongs to its records."""
        return [LISTINGS[entity.name] for entity in self.capabilities.entities if entity.parent == name]

    def followers_of(self, name: str) -> list[Family]:
        """The lists of records that name such a record; see FOLLOWERS. They come whole: the sum of a deal without
        the lines that it is the sum of would be read as a contradiction."""
        return [
            (following(listing, name), self.children_of(entity))
            for entity in FOLLOWERS.get(name, {})
            if self._is_wanted(entity)
            for listing in self._listings(entity)
        ]

    def _is_wanted(self, name: str) -> bool:
        """Whether the mapping reads the entity; all are wanted where nobody has told."""
        return not self.fields_read or name in self.fields_read

    def item_listing(self, kind: str, fields: Sequence[str]) -> Listing:
        """The list of these records with these fields, or with all where the portal fails at a choice of them."""
        self._prepare()
        return item(kind, fields) if self._selects else whole(item(kind, []))

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
        if name in ITEM_TYPES:
            if not self.fields_of(name):
                return []  # a portal without invoices
            listing = self.item_listing(name, [*listing.params["select"], *self.user_fields_of(name)])
        select = list(listing.params.get("select", ()))
        if select and "*" not in select:  # * brings every field of the vendor's own, and `fm`
            select = list(dict.fromkeys([*select, *self.fields_read.get(name, ())]))
        if name == "activity":
            select = [field for field in select if field not in PERSONAL]
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

    def user_fields_of(self, name: str) -> list[str]:
        """The user fields among them."""
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
        whatever else is to be asked: its answers.

        Of a list with chosen fields and useOriginalUfNames=Y portals answer without the vendor's own fields, their
        ids too (b24-rest-docs issues 263 and 368; the vendor's request 235098): there all fields are asked for.
        """
        if self._fields:
            return []
        calls = [call("crm.item.fields", entityTypeId=n, useOriginalUfNames="Y") for n in ITEM_TYPES.values()]
        chosen = item("deal", ["id"]).query(descending=True)
        asked = [*calls, "catalog.catalog.list", chosen, *also]
        outcomes = self.portal.ask(asked, refused=("catalog.", calls[-1]))
        self._catalogs, probe = outcomes[len(calls) : len(calls) + 2]
        rows = rows_of(probe, LISTINGS["deal"], self.system)
        self._selects = bool(rows) and b'"id"' in bytes(rows[0])
        found: dict[str, list[str]] = {}
        for kind, outcome in zip(ITEM_TYPES, outcomes, strict=False):
            if outcome.error is not None and outcome.error.code not in NO_SUCH_TYPE:
                raise self.portal.error("crm.item.fields", outcome.error)
            described = outcome.value(dict[str, dict[str, Any]]).get("fields") or {} if outcome.raw else {}
            upper = {name: str(of.get("upperName") or name) for name, of in described.items()}
            found[kind] = [up if up.startswith("UF_") else name for name, up in upper.items()]
        self._fields = found
        return outcomes[len(calls) + 2 :]

    def _survey(self, names: Sequence[str], *, by_stamp: bool) -> list[tuple[Listing, list[Record]]]:
        """The listings of these entities, each with its newest records (by stamp, else by id) without their
        payloads: one request, one more in a new process for products, whose catalogs must be known first, and for
        invoices, which a portal may lack."""

        def newest(listing: Listing) -> str:
            extra = NO_NEWS.get(listing.entity) if by_stamp else None
            return narrow(listing).query(extra, by=listing.stamps[0] if by_stamp else "", descending=True)

        early = [name for name in names if name not in ("product", "invoice")]
        answers = dict(zip(early, self._prepare([newest(LISTINGS[name]) for name in early]), strict=False))
        listings = [listing for name in names for listing in self.listings_of(name)]
        rest = [listing for listing in listings if listing.entity not in answers]
        late = iter(self.portal.ask([newest(listing) for listing in rest]) if rest else ())
        return [
            (listing, records_of(listing, answers.get(listing.entity) or next(late), self.system)[0])
            for listing in listings
        ]

    def _lanes(self, listing: Listing, newest: Sequence[Record]) -> list[Chain]:
        """Cut the range of ids into lanes that are read side by side; the last one is open upwards."""
        top = int(newest[0].source_id) if newest else 0
        # About as many ids as fill whole requests; some were deleted, so that a few too many do no harm.
        whole = -(-top // (self.portal.parallel * BATCH * PAGE)) * BATCH * PAGE
        lanes = max(1, round(top / whole)) if top else 1
        step = top // lanes + 1
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
        low = written(self._safely(since, newest) if form == "plain" else since, form, self._zone_of(newest))
        chains = [
            Chain(listing, {f">={stamp}": low}, pages_wanted=2, our_own=self.known_stamps)
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
                value = written(at, form, self._zone_of(newest, stamp))
                for sign in (">=", "<"):
                    known = {f"={listing.key}": int(newest[0].source_id), f"{sign}{stamp}": value}
                    calls.append(narrow(listing).query(known))
        found = [
            len(rows_of(outcome, asked[n // 4], self.system))
            for n, outcome in enumerate(self.portal.ask(calls))
        ]
        for place, listing in enumerate(asked):
            counts = found[place * 4 : place * 4 + 4]
            works = {"iso": counts[:2] == [1, 0], "plain": counts[2:] == [1, 0]}
            self._forms[listing.entity] = next((form for form, right in works.items() if right), "")

    def _safely(self, since: datetime, newest: Sequence[Record]) -> datetime:
        """A time from which a plain stamp misses nothing that was changed since, by clocks that are put back an hour.

        In the hour before that a plain stamp names two times. An offset alone may be that of summer, or of winter:
        an hour too late for the other half of the year.
        """
        zone, since, hour = self._zone_of(newest), since.astimezone(UTC), timedelta(hours=1)
        is_put_back = (since + hour).astimezone(zone).utcoffset() != since.astimezone(zone).utcoffset()
        return since - hour if self._zone is None or is_put_back else since

    def _zone_of(self, newest: Sequence[Record], stamp: str = "") -> tzinfo:
        """The portal's zone: the connection's, else the offset that the portal's own stamps carry, `stamp` first."""
        if self._zone is None and newest:
            said = msgspec.json.decode(newest[0].payload)
            for text in [said.get(stamp), *said.values()]:
                if isinstance(text, str) and moment(text) and (zone := datetime.fromisoformat(text).tzinfo):
                    return zone
        return self._zone or UTC

    # Checking

    def check(self) -> list[Finding]:
        """What an administrator should repair; see `check`."""
        return findings(self)


def credentials(connection: Mapping[str, Any]) -> tuple[str, ...]:
    """By what the tokens of this connection are granted."""
    return tuple(str(connection.get(name) or "") for name in ("url", *NAMES))


def connect(
    system: str, connection: Mapping[str, Any], budget: Budget | None = None, tokens: TokenStore | None = None
) -> Bitrix24:
    """Open a connection; sends nothing yet.

    Keys: `url` (the incoming webhook's address); or, of a local application, `client_id`, `client_secret` and
    `refresh_token` or `code`, with `url` (the portal's address, if it is to be held to it) and `token_server`
    (https://oauth.bitrix24.tech/oauth/token/). Optional: `timezone` (of the portal, such as Europe/Moscow; else its
    own stamps tell), `rate_per_second` (2; Enterprise 5), `burst` (50; 250), `timeout` (70 s: the portal itself
    ends a request after 60), `resend_after_seconds` (twice that; see `settling`), `parallel` (6 requests in flight),
    `application_token` (of the outgoing webhook: without it the address alone proves where one comes from). Without
    `budget` the rate is kept for this process alone, and without `tokens` so are the tokens. Raises SourceError that
    names the key and the remedy.
    """
    as_copied(system, connection)
    url, code, auth = "", "", None
    if is_application(connection):
        auth = authorized(system, connection, tokens)
    else:
        url, code = _webhook(system, str(connection.get("url", "")).strip())
    zone: tzinfo | None = None
    if name := connection.get("timezone"):
        try:
            zone = ZoneInfo(str(name))
        except (ZoneInfoNotFoundError, ValueError):
            raise SourceError(
                f"{system}: there is no time zone {name!r}; use one like Europe/Moscow"
            ) from None
    rate = number(system, connection, "rate_per_second", LIMITS[0])
    burst = number(system, connection, "burst", LIMITS[1])
    timeout = number(system, connection, "timeout", 70, most=DAY)
    portal = Portal(
        system,
        url,
        code,
        budget=budget or LocalBudget(rate, burst),
        timeout=timeout,
        parallel=number(system, connection, "parallel", PARALLEL, most=AT_ONCE, whole=True),
        auth=auth,
    )
    token = str(connection.get("application_token") or "")
    conceal([token])
    return settling(Bitrix24(portal, zone, token), connection, timeout)


def _webhook(system: str, said: str) -> tuple[str, str]:
    """Address and code of an incoming webhook, as the portal shows it. Raises SourceError."""
    match = re.fullmatch(r"(https?://.+/rest/\d+/([^/?#]+))/?(?:[a-z.]+)?", said)
    if match is None:
        raise SourceError(
            f"{system}: the url of the connection is not an incoming webhook's address, and there is no client_id of "
            "a local application; a webhook looks like https://<portal>/rest/<user number>/<code>/"
        )
    return f"{match[1]}/", match[2]
