"""1C:Enterprise 8.3 over its standard OData interface: read whole and by change, written once and posted.

1C has no stamp of modification. What changed is found by versions: a scan of headers (`Ref_Key`,
`DataVersion`) is compared with the versions that are stored (`known_versions`), and only bodies of an
unknown version are fetched. Catalogs are always scanned in full, and so are documents of which there are few
(WHOLE_UP_TO). More of them are scanned in a window of their business date, and in full by the first read of a
day (back-dated and old ones). So `modified_at` is None
everywhere. A deletion mark is content; a physical deletion shows only as a missing key (`keys`).

Ledger entries follow the documents that recorded them: `read` yields, before a page of changed
documents, a page of their entries with `complete_parents` (also for documents that were unposted and have
none left). Before, so that a run which dies between the two reads both again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Raw

from resources.accounting.onec import odata
from resources.accounting.onec.check import locks
from resources.accounting.onec.entered import entered
from resources.accounting.onec.followers import followers
from resources.accounting.onec.prices import Prices
from resources.accounting.onec.profile import PROFILES, Place, Profile
from resources.accounting.onec.rows import gathered, naming, whole_documents
from resources.accounting.onec.session import Named, Session
from resources.accounting.onec.subconto import Subconto
from resources.accounting.onec.writing import Writer
from resources.budget import Budget
from resources.connection import AT_ONCE, DAY, as_copied, number, switch
from resources.connector import (
    Capabilities,
    Change,
    Entered,
    Entity,
    Finding,
    Lock,
    Page,
    Record,
    Refused,
    Reject,
    Rows,
    SourceError,
    Written,
)
from resources.http import Client

CONCURRENCY = 4  # requests under way at once: each holds a session of the server, and perhaps a licence
WINDOW_DAYS = 62  # how far before the last read documents are scanned anew: a quarter being closed
WHOLE_UP_TO = 20_000  # documents of a kind whose headers are always scanned in full: five pages
WHOLE_SHARE = 4  # when more than one in so many headers changed, whole pages are cheaper than keys
HEADER = "Ref_Key,DataVersion"
UNPUBLISHED = "8"  # 1C's code of a set that it does not show
MOMENTARY = ("balance", "latest")  # kinds of places that hold what is so at a moment

LIMITS = None  # 1C publishes none; `concurrency` bounds what runs at once


def connect(system: str, connection: Mapping[str, Any], budget: Budget | None = None) -> OneC:
    """Open a base. `connection`: `url` (…/odata/standard.odata/), `user`, `password`, `timezone` (IANA, of
    the base's server), and optionally `profile` (a name or a mapping, see `profile.py`), `closed_period` (a
    regular expression of its refusals, where ours does not know them), `concurrency` (4),
    `page` (1000 rows), `window_days` (62), `scan_whole_up_to` (20000 documents of a kind),
    `query_limit` (2000 characters), `timeout` (120 s), `ca_file`, `allow_http`, `probe: false` (check()
    then writes nothing). Sends nothing. Raises SourceError for a connection that cannot be right."""
    as_copied(system, connection)
    missing = [name for name in ("url", "user", "password", "timezone") if not connection.get(name)]
    if missing:
        raise SourceError(f"{system}: the connection lacks {', '.join(missing)}; add it")
    try:
        zone = ZoneInfo(str(connection["timezone"]))
    except (ZoneInfoNotFoundError, ValueError):
        raise SourceError(
            f"{system}: {connection['timezone']!r} is no IANA time zone; 1C keeps local time without a zone, "
            "so name the zone of its server, e.g. Europe/Moscow"
        ) from None
    given = connection.get("profile", "accounting_3")
    try:
        said = given if isinstance(given, Mapping) else {"like": given}
        if text := str(connection.get("closed_period") or ""):
            said = {**said, "closed_period": text}
        profile = Profile.read(said)
    except KeyError:
        name = given.get("like") if isinstance(given, Mapping) else given
        raise SourceError(f"{system}: no 1C profile {name!r}; there are {', '.join(PROFILES)}") from None
    except ValueError as error:
        raise SourceError(f"{system}: {error}") from None
    concurrency = number(system, connection, "concurrency", CONCURRENCY, most=AT_ONCE, whole=True)
    http = Client(
        system,
        str(connection["url"]).rstrip("/") + "/",
        auth=(str(connection["user"]), str(connection["password"])),
        budget=budget,
        timeout=number(system, connection, "timeout", 120, most=DAY),
        connections=concurrency,  # whoever asks: what is read back while others are written waits its turn
        ca_file=connection.get("ca_file"),
        allow_http=switch(system, connection, "allow_http"),
    )
    session = Session(
        http,
        str(connection["user"]),
        zone,
        concurrency=concurrency,
        page=number(system, connection, "page", 1000, whole=True),
        query_limit=number(system, connection, "query_limit", odata.QUERY_LIMIT, whole=True),
        closed_period=profile.closed_period,
    )
    return OneC(
        session,
        profile,
        window_days=number(system, connection, "window_days", WINDOW_DAYS, whole=True),
        whole_up_to=number(system, connection, "scan_whole_up_to", WHOLE_UP_TO, least=0, whole=True),
        probe_writes=switch(system, connection, "probe", True),
    )


def _no_versions(entity: str) -> Mapping[str, str]:
    return {}


class OneC:
    """A base as Source and Target. Thread-safe.

    `known_versions(entity) -> {source_id: DataVersion}` is set by whoever stores records; with the default
    (nothing known) every read by change fetches the whole window.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=(
            *(
                Entity(name, incremental=True)
                for name in (
                    "organization", "currency", "unit", "vat_rate", "account", "settlement_key", "warehouse",
                    "currency_rate", "partner", "counterparty", "contract", "product",
                    "order", "invoice", "realization", "vat_invoice", "correction", "return",
                    "payment", "refund", "cash_receipt", "cash_payment", "entry", "price",
                )
            ),
            *(Entity(name, incremental=False) for name in ("balance", "price_type", "stock", "free_stock")),
        ),
        writes=(
            "counterparty", "contract", "product",
            "order", "invoice", "realization", "vat_invoice", "correction", "return",
        ),
        overlap_seconds=0,  # versions decide, not times
        posted="Posted",
        version="DataVersion",
    )  # fmt: skip
    unpublished = UNPUBLISHED
    rows_are_whole = True  # a record shows every property that its set has, empty ones too

    def __init__(
        self,
        session: Session,
        profile: Profile,
        *,
        window_days: int = WINDOW_DAYS,
        whole_up_to: int = WHOLE_UP_TO,
        probe_writes: bool = True,
    ) -> None:
        self.system = session.system
        self.profile = profile
        self.session = session
        self.window_days, self.whole_up_to = window_days, whole_up_to
        self.probe_writes = probe_writes
        # Set by whoever knows the mapping (ChecksFields); without it the profile's own fields are looked for.
        self.fields_read: Mapping[str, Sequence[str]] = {}
        self.fields_written: Mapping[str, Sequence[str]] = {}
        self.mapping_file = "the mapping file"
        self.base_paths: Mapping[str, Sequence[str]] = {}
        self._writer = Writer(self)
        self.subconto = Subconto(self)
        self.prices = Prices(self)
        self.known_versions: Callable[[str], Mapping[str, str]] = _no_versions
        self._met: dict[str, list[str]] = {}
        self._metadata: dict[str, dict[str, str]] | None = None
        self._metadata_lock = threading.Lock()

    def close(self) -> None:
        """End the connection; a later call opens none."""
        self.session.close()

    # ---- Source -------------------------------------------------------------------------------

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """Yield pages. `since=None`: everything; else what has a version that is not known.

        `balance` is one complete page: balances at the end of the base's day of `until`. `entry` alone
        reads the register: all of it, or by the first read of a day the window, for documents that are
        not in the profile (an accountant's manual entries). A set that is not published ends the read when all
        others are read.
        """
        unpublished: list[Refused] = []
        for entity in entities:
            self._met.pop(entity, None)
            try:
                yield from self._read(self.place(entity), since, until)
            except Refused as refusal:
                if refusal.code != UNPUBLISHED:
                    raise
                unpublished.append(refusal)
        if unpublished:
            raise unpublished[0]

    def _read(self, place: Place, since: datetime | None, until: datetime) -> Iterator[Page]:
        if place.kind in MOMENTARY:
            yield self._balance(place, until)
        elif place.kind == "prices":
            yield from self.prices.read(place, since, until)
        elif since is None:
            yield from self._whole(place, "")
        elif place.kind == "rows":
            yield from self._whole(place, self._window(place, since))
        elif place.kind == "entries":
            if self.first_of_day(since, until):
                yield from self._recent_entries(place, self._window(place, since))
        else:
            known = self.known_versions(place.entity)
            full = self.first_of_day(since, until)
            yield from self._changed(place, "" if full else self._scanned(place, since, known), known)

    def met(self, entity: str) -> Sequence[str] | None:
        """See MeetsAll: of a set whose headers were scanned whole, as they are of small ones."""
        return self._met.pop(entity, None)

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        """Yield every key there is; complete or SourceError, so that what is missing is truly deleted."""
        place = self.place(entity)
        if place.kind in MOMENTARY:
            yield [record.source_id for record in self._balance(place, datetime.now(UTC)).records]
            return
        if place.kind == "prices":
            yield from self.prices.keys(place)
            return
        for page in self._walk(place, "", select=",".join(place.key)):
            yield [key for key, _ in page if key]

    def changes(self, since: datetime) -> Iterator[Change]:
        """Yield records whose version is not known: one header scan an entity that the mapping reads, many
        documents by window."""
        for place in self.places_in_use():
            if place.kind not in ("object", "document"):
                continue
            known = self.known_versions(place.entity)
            for page in self._walk(place, self._scanned(place, since, known), select=HEADER):
                for key, row in page:
                    version = odata.decode_header(row).version
                    if key and (not version or known.get(key) != version):
                        yield Change(place.entity, key, None, version)

    def read_keys(self, entity: str, keys: Sequence[str]) -> Iterator[Page]:
        """Yield these records as they are now, their entries before them; the absent ones as tombstones. Keys of a
        register's rows are none that could be asked for. See ReadsByKey."""
        place = self.place(entity)
        if place.kind not in ("object", "document"):
            return
        wanted = list(dict.fromkeys(odata.canonical(key) for key in keys))
        name = naming(place)
        for start in range(0, len(wanted), self.session.page):
            asked = wanted[start : start + self.session.page]
            found = [(name(row), row) for _, rows in self._bodies(place, asked) for row in rows]
            if entity in self.profile.recorders:
                yield from self._entries_of(place, asked)
            yield self.page_of(place, found)
            there = {key for key, _ in found}
            if gone := [Record(key, b"{}", deleted=True) for key in asked if key not in there]:
                yield Page(entity, gone)

    def check(self) -> list[Finding]:
        """Connection, rights, publication, fields, our own keys, closed periods, clock. Never raises.

        Writes once: an item marked for deletion, under a fixed key, that proves our keys are honoured."""
        from resources.accounting.onec.check import findings

        return findings(self)

    # ---- Target -------------------------------------------------------------------------------

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """Create a record under our key. Money as Decimal, times aware or on the base's wall clock.

        Raises Exists, Refused (`closed_period`, `foreign_key` where the base makes its own), Uncertain, SourceError.
        The version in the answer may be empty: read it back before an update by version.
        """
        return self._writer.create(kind, key, body)

    def send_new(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """Create a record exactly as given, without a partner or words put in. Raises as `create`."""
        return self._writer.send_new(kind, key, body)

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        """Change the named fields; a tabular part is replaced as a whole, each row with its LineNumber.

        Raises Conflict when `version` is not the present DataVersion; else as `create`.
        """
        return self._writer.update(kind, key, body, version)

    def post(self, kind: str, key: str) -> None:
        """Post a document (not operationally: its own date holds). The version changes."""
        self._writer.post(kind, key)

    def unpost(self, kind: str, key: str) -> None:
        """Take the posting of a document back; it is a draft then, and may be changed. See Unposts."""
        self._writer.unpost(kind, key)

    def locks(self) -> Sequence[Lock]:
        """The days up to which changes are forbidden; see LocksPeriods. None where the register is not published:
        then a closed period is known only when 1C refuses a document."""
        try:
            return locks(self) if self.profile.closed_dates else []
        except Refused:
            return []

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Whole bodies by key, fractions as Decimal; absent keys are missing."""
        place = self.place(kind)
        found: dict[str, Mapping[str, Any]] = {}
        for body in self._writer.find(place, self._bodies(place, keys)):
            found[str(body["Ref_Key"]).lower()] = body
        return {key: found[odata.canonical(key)] for key in keys if odata.canonical(key) in found}

    def entered(self, kind: str, rows: Rows) -> Mapping[str, Entered]:
        """Counterparties that have ИНН (or НалоговыйНомер) and КПП of those to be created; see SearchesBeforeCreate."""
        return entered(self, kind, rows)

    def followers(self, kind: str, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Corrections and returns by the field in which the mapping reads their base; see ShowsFollowers."""
        return followers(self, kind, keys)

    # ---- what the base is ---------------------------------------------------------------------

    def metadata(self, *, anew: bool = False) -> dict[str, dict[str, str]]:
        """{set: {property: edm type}} of all that is published (tens of megabytes): read once, or `anew`."""
        with self._metadata_lock:
            if self._metadata is None or anew:
                said = self.session.get("$metadata", json=False).content
                try:
                    self._metadata = odata.parse_metadata(said)
                except ValueError as error:
                    raise SourceError(
                        f"{self.system}: GET $metadata: the description of the base cannot be read: {error}; try again later, and"
                        " open it in a browser if it stays so",
                        retriable=True,
                    ) from None
            return self._metadata

    def unknown_fields(self, kind: str, body: Mapping[str, Any]) -> list[str]:
        """Names in a body that this base does not have; it would ignore them silently. Empty is good."""
        return odata.unknown_fields(self.metadata(), self.place(kind).set, body)

    def shape(self) -> Mapping[str, Mapping[str, str]]:
        """The properties of every set in use that is published, with `""` for the set itself; see KnowsItsShape."""
        sets = self.metadata(anew=True)
        found = {
            place.entity: odata.shape(sets, place.set, place.kind)
            for place in self.places_in_use()
            if place.set in sets and place.kind != "prices"
        }
        prices = [place for place in self.places_in_use() if place.kind == "prices"]
        return found | {p.entity: shape for p in prices if (shape := self.prices.shape(sets, p)) is not None}

    def places_in_use(self) -> list[Place]:
        """Where the entities are that the mapping reads and writes; all of the profile where nobody told."""
        used = {*self.fields_read, *self.fields_written}
        return [place for entity, place in self.profile.places.items() if not used or entity in used]

    # ---- helpers ------------------------------------------------------------------------------

    def place(self, entity: str) -> Place:
        """Where the base keeps an entity. Raises SourceError where the profile does not say."""
        try:
            return self.profile.places[entity]
        except KeyError:
            raise SourceError(
                f"{self.system}: its profile names no set for {entity}; add it under `sets`, or choose another profile"
            ) from None

    def first_of_day(self, since: datetime, until: datetime) -> bool:
        """Whether a read is the first of a day of the base, by when the one before it began."""
        zone = self.session.zone
        return since.astimezone(zone).date() != until.astimezone(zone).date()

    def _window(self, place: Place, since: datetime) -> str:
        """The condition of the re-read window; nothing where the set has no business time."""
        if not place.period:
            return ""
        start = odata.wall_clock(since - timedelta(days=self.window_days), self.session.zone)
        return f"{place.period} ge {odata.moment(start.replace(hour=0, minute=0, second=0, microsecond=0))}"

    def _scanned(self, place: Place, since: datetime, known: Mapping[str, str]) -> str:
        """The condition of a scan of headers: none where the set is small enough to be met whole."""
        return "" if len(known) <= self.whole_up_to else self._window(place, since)

    def _walk(self, place: Place, where: str, *, select: str = "") -> Iterator[list[Named]]:
        orders = {"entries": "Period,Recorder,LineNumber", "rows": ",".join(place.key)}
        order = orders.get(place.kind, "Ref_Key")
        yield from self.session.walk(place.set, naming(place), select=select, where=where, order=order)

    def _whole(self, place: Place, where: str) -> Iterator[Page]:
        for page in self._with_subconto(place, self._walk(place, where)):
            yield self.page_of(place, page)

    def _with_subconto(self, place: Place, pages: Iterator[list[Named]]) -> Iterator[list[Named]]:
        ledger = place.kind == "entries" and self.subconto.wanted(place)
        return self.subconto.of_walk(place, pages) if ledger else pages

    def _changed(self, place: Place, where: str, known: Mapping[str, str]) -> Iterator[Page]:
        changed: set[str] = set()
        met: list[str] = []
        for page in self._walk(place, where, select=HEADER):
            met += (key for key, _ in page)
            for key, row in page:
                version = odata.decode_header(row).version
                if not version or known.get(key) != version:
                    changed.add(key)
        if not where:
            self._met[place.entity] = [key for key in met if key]
        if not changed:
            return
        if "" in changed or len(changed) * WHOLE_SHARE > len(met) > odata.KEYS_PER_REQUEST:
            bodies: Iterator[list[Named]] = (
                [(key, row) for key, row in page if key in changed or not key]
                for page in self._walk(place, where)
            )
        else:
            name = naming(place)
            bodies = ([(name(row), row) for row in rows] for _, rows in self._bodies(place, sorted(changed)))
        for page in gathered(bodies, self.session.page):
            if place.entity in self.profile.recorders:
                yield from self._entries_of(place, [key for key, _ in page if key])
            yield self.page_of(place, page)

    def _bodies(self, place: Place, keys: Iterable[str]) -> Iterator[tuple[list[str], list[Raw]]]:
        terms = [(key, f"Ref_Key eq {odata.guid(key)}") for key in dict.fromkeys(keys)]
        yield from self.session.pick(place.set, terms)

    def _entries_of(self, document: Place, keys: Sequence[str]) -> Iterator[Page]:
        """All entries of these documents, which are complete: what is stored and not here is gone."""
        places = [place for place in self.profile.places.values() if place.kind == "entries"]
        terms = [(key, f"Recorder eq {odata.reference(key, document.set)}") for key in keys]
        for place in places:
            name = naming(place)
            rows = [row for _, chunk in self.session.pick(place.set, terms) for row in chunk]
            named = self.subconto.of_rows(place, [(name(row), row) for row in rows])
            yield self.page_of(place, named, complete_parents=tuple(keys))

    def _recent_entries(self, place: Place, where: str) -> Iterator[Page]:
        """The window of the register. Recorders whose lines are all met (1, 2, … n) count as complete;
        the recorders of a page's last moment wait for the next page, for it may bring more lines."""
        waiting: list[Named] = []
        for page in self._with_subconto(place, self._walk(place, where)):
            if not page:
                continue
            rows = [*waiting, *page]
            last = odata.decode_entry(page[-1][1]).period
            waiting = [named for named in rows if odata.decode_entry(named[1]).period == last]
            yield from self._complete(place, [n for n in rows if odata.decode_entry(n[1]).period != last])
        yield from self._complete(place, waiting)

    def _complete(self, place: Place, rows: list[Named]) -> Iterator[Page]:
        if rows:
            yield self.page_of(place, rows, complete_parents=whole_documents(rows))

    def balance_table(self, place: Place, until: datetime) -> str:
        """The virtual table of what is so at the end of the base's day. 1C's Balance(Period) is the balance before
        that moment, so the end of a day is the next midnight."""
        day = odata.wall_clock(until, self.session.zone) + timedelta(days=1)
        period = odata.moment(day.replace(hour=0, minute=0, second=0, microsecond=0))
        if place.kind == "latest":
            return f"{place.set}/SliceLast(Period={period})"
        more = ""
        if place.set.startswith("AccountingRegister_"):
            accounts = (
                self.profile.stock_accounts if place.entity == "stock" else self.profile.balance_accounts
            )
            codes = odata.either(f"Account/Code eq {odata.text(code)}" for code in accounts)
            more = f",AccountCondition={odata.text(codes)}" if codes else ""
        elif dimensions := self.profile.dimensions.get(place.entity, ""):
            more = f",Dimensions={odata.text(dimensions)}"
        return f"{place.set}/Balance(Period={period}{more})"

    def _balance(self, place: Place, until: datetime) -> Page:
        rows = self.session.rows(self.balance_table(place, until), {})
        name = naming(place)
        named = [(name(row), row) for row in rows]
        page = self.page_of(place, self.prices.told(place, rows) if place.entity == "price" else named)
        return Page(place.entity, page.records, complete=True, rejects=page.rejects)

    def page_of(self, place: Place, rows: Iterable[Named], *, complete_parents: Sequence[str] = ()) -> Page:
        """Rows as records; one without an id is set apart."""
        records, rejects = [], []
        for key, row in rows:
            payload = bytes(row)
            if key:
                parent = key.rpartition(":")[0] if place.kind == "entries" else None
                records.append(Record(key, payload, parent_id=parent))
            else:
                reason = f"a row without {' and '.join(place.key)}; look at it in 1C"
                rejects.append(Reject(f"{self.system}, {place.set}", reason, payload))
        return Page(place.entity, records, complete_parents=complete_parents, rejects=rejects)
