"""Writing into QuickBooks: one request each, under a number of the vendor's, with our key in a note.

A record carries our key as the last line of its note (`marks`): PrivateNote of a document, Notes of a customer,
PurchaseDesc of an item. None of the three can be asked for in a query, as public sources say, so a record whose number
nobody knows is looked up another way: a document by a DocNumber made of our key, where the company lets numbers be
given (CustomTxnNumbers), and everything else among what was changed within `search_days`. Names of customers and items
are unique with the vendor, so that these cannot come twice at all.

`requestid` makes a repeated request harmless where the vendor keeps its word; it is made of kind, key, content and day,
so that a refusal which was kept with it does not outlive the day. It is never what a resend rests on.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from resources.accounting.quickbooks.company import Company, stamp
from resources.accounting.quickbooks.entities import PLACES, WRITES, Place
from resources.accounting.quickbooks.faults import DUPLICATE, TWICE
from resources.accounting.quickbooks.followers import followers
from resources.accounting.quickbooks.marks import Body, key_in, marked, nested, number_of, seen
from resources.connector import Entered, Exists, Refused, Rows, SourceError, Uncertain, Written
from resources.parallel import in_order

IDS: Final = 200  # of one query
MAX_MET: Final = 100_000  # keys of this process whose numbers are remembered
SEARCH_DAYS: Final = 30
NAMESAKES: Final = ("Customer", "Vendor", "Employee")  # share one set of names

_ROW: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_encode = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


def _nothing(kind: str, keys: Sequence[str]) -> Mapping[str, str]:
    return {}


class Writer:
    """The writing half. `known_keys` is set by whoever keeps the numbers."""

    system: str
    company: Company
    search_days: int
    own_numbers: bool | None  # whether documents get a number of ours; None: as the company's setting says

    def __init__(self) -> None:
        self.known_keys: Callable[[str, Sequence[str]], Mapping[str, str]] = _nothing
        self.base_paths: Mapping[str, Sequence[str]] = {}
        self._met: dict[tuple[str, str], str] = {}
        self._met_lock = threading.Lock()

    # ---- Target -------------------------------------------------------------------------------

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """See Target.create. `Written.key` is the vendor's number.

        Money as Decimal; nested fields under dotted names (`CustomerRef.value`) or as objects. Raises Exists where a
        record that bears our key is there already; Refused with code `closed_period` for closed books, 6240 for a name
        that another record has, 610 for a reference that is inactive; Uncertain; SourceError (nothing was done).
        """
        place = self._writable(kind)
        content = self._content(place, key, body)
        params = {"requestid": request_id(kind, key, content)}
        try:
            answer = self.company.write(place.path, params, content, f"{kind} {key}")
        except Refused as error:
            raise self._explained(kind, place, key, content, error) from None
        return self._written(kind, place, key, answer)

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        """See Target.update; sparse, so that fields which are not named stay. `Line` is replaced as a whole.

        Without `version` the record is read first, and its present one taken. Raises Conflict where it is stale.
        """
        place = self._writable(kind)
        number, token = self._address(kind, key, version)
        content = self._changes(place, key, number, token, body)
        params = {"requestid": request_id(kind, key, content)}
        try:
            answer = self.company.write(place.path, params, content, f"{kind} {key}")
        except Refused as error:
            raise self._explained(kind, place, key, content, error) from None
        return self._written(kind, place, key, answer)

    def post(self, kind: str, key: str) -> None:
        """Raises Refused: documents of QuickBooks count from the moment they are saved."""
        raise Refused(
            f"{self.system}: a {kind} counts as soon as it is saved; write `post: false` in the mapping"
        )

    def key_of(self, kind: str, body: Mapping[str, Any]) -> str:
        """See AssignsKeys."""
        return str(body["Id"])

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """See Target.find; inactive names are found too. A query for 200 keys whose numbers are known.

        The bodies lack our sign and the subtotals that QuickBooks adds to the lines; their nested fields answer to
        dotted names too.
        """
        place = self._place(kind)
        wanted = list(dict.fromkeys(keys))
        numbers = self.known_numbers(kind, wanted)
        found = self._by_number(kind, place, numbers)
        unknown = [key for key in wanted if key not in numbers]
        if unknown:
            found |= self._searched(kind, place, unknown)
        return {key: found[key] for key in wanted if key in found}

    def entered(self, kind: str, rows: Rows) -> Mapping[str, Entered]:
        """See SearchesBeforeCreate: customers by ResaleNum, in which the mapping writes the tax number.

        No query asks for it, so it is looked for among the customers that were changed within `search_days`.
        """
        wanted = {key: number for key, body in rows if (number := str(body.get("ResaleNum") or ""))}
        if kind != "counterparty" or not wanted:
            return {}
        place, numbers = self._place(kind), set(wanted.values())
        since = stamp(datetime.now(UTC) - timedelta(days=self.search_days))
        there: dict[str, list[dict[str, Any]]] = {}
        for page in self.company.changed(place, since):
            for body in map(decoded, page):
                number = str(body.get("ResaleNum") or "").strip()
                if number in numbers and body.get("Active", True):
                    there.setdefault(number, []).append(body)
        told: dict[str, Entered] = {}
        for key, number in wanted.items():
            others = [body for body in there.get(number, ()) if _key_on(place, body) != key]
            if others:
                first = min(others, key=_first)
                name = str(first.get("CompanyName") or first.get("DisplayName") or "")
                told[key] = Entered(str(first["Id"]), name, number)
        return told

    def followers(self, kind: str, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """See ShowsFollowers: credit memos that are used on an invoice; nothing where the mapping reads no such use."""
        return followers(self, kind, keys) if self.base_paths else {}

    # ---- Finding ------------------------------------------------------------------------------

    def known_numbers(self, kind: str, keys: Sequence[str]) -> dict[str, str]:
        """By our key the vendor's number, of those that are known."""
        with self._met_lock:
            met = {key: self._met[kind, key] for key in keys if (kind, key) in self._met}
        rest = [key for key in keys if key not in met]
        return {**(self.known_keys(kind, rest) if rest else {}), **met}

    def _remember(self, kind: str, key: str, number: str) -> None:
        with self._met_lock:
            if len(self._met) >= MAX_MET:
                self._met.pop(next(iter(self._met)))
            self._met[kind, key] = number

    def _by_number(self, kind: str, place: Place, numbers: Mapping[str, str]) -> dict[str, Body]:
        keys = {number: key for key, number in numbers.items()}
        bodies = self.by_id(place, list(keys))
        return {key: seen(body) for body in bodies if (key := keys.get(str(body.get("Id")))) is not None}

    def by_id(self, place: Place, numbers: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The records of these numbers, IDS to a query."""
        chunks = [numbers[start : start + IDS] for start in range(0, len(numbers), IDS)]
        answers = in_order(
            lambda chunk: self.company.select(place, "Id", chunk), chunks, self.company.parallel, self.system
        )
        for rows in answers:
            yield from map(decoded, rows)

    def borne(self, kind: str, body: Mapping[str, Any]) -> str:
        """Our key on a record, else its number; a person's copy of a record of ours, key and all, is not ours."""
        number, key = str(body["Id"]), _key_on(self._place(kind), body)
        return key if key and self.known_numbers(kind, [key]).get(key, number) == number else number

    def _searched(self, kind: str, place: Place, keys: Sequence[str]) -> dict[str, Body]:
        """Records of ours whose numbers are not known, by what they bear; of two with one key the first made."""
        met: dict[str, dict[str, Any]] = {}

        def take(body: dict[str, Any], key: str) -> None:
            other = met.get(key)
            if other is None or _first(body) < _first(other):
                met[key] = body

        if place.numbered and self._gives_numbers():
            mine = {number_of(key): key for key in keys}
            wanted = list(mine)
            for start in range(0, len(wanted), IDS):
                for row in self.company.select(place, "DocNumber", wanted[start : start + IDS]):
                    body = decoded(row)
                    key = mine.get(str(body.get("DocNumber")))
                    if key is not None and _key_on(place, body) in (None, key):
                        take(body, key)
        rest = set(keys) - met.keys()
        if rest and place.note is not None:
            for body in self._recent(place):
                key = _key_on(place, body)
                if key in rest:
                    take(body, key)
        for key, body in met.items():
            self._remember(kind, key, str(body["Id"]))
        return {key: seen(body) for key, body in met.items()}

    def _recent(self, place: Place) -> Iterator[dict[str, Any]]:
        since = stamp(datetime.now(UTC) - timedelta(days=self.search_days))
        for rows in self.company.changed(place, since):
            for row in rows:
                if b"[sverka " in bytes(row):
                    yield decoded(row)

    # ---- Bodies -------------------------------------------------------------------------------

    def _content(self, place: Place, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        content = nested(body)
        if place.note is not None:
            name, most = place.note
            content[name] = marked(str(content.get(name) or ""), key, most)
        if place.numbered and not content.get("DocNumber") and self._gives_numbers():
            content["DocNumber"] = number_of(key)
        return content

    def _changes(
        self, place: Place, key: str, number: str, token: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        content = nested(body)
        if place.note is not None and place.note[0] in content:
            name, most = place.note
            content[name] = marked(str(content[name] or ""), key, most)
        return {**content, "Id": number, "SyncToken": token, "sparse": True}

    def _gives_numbers(self) -> bool:
        return self.company.custom_numbers if self.own_numbers is None else self.own_numbers

    def _address(self, kind: str, key: str, version: str | None) -> tuple[str, str]:
        number = self.known_numbers(kind, [key]).get(key)
        if number is None or version is None:
            found = self.find(kind, [key]).get(key)
            if found is None:
                raise Refused(
                    f"{self.system}: {kind} {key} is not there any more; nothing was changed", code="absent"
                )
            number = str(found["Id"])
            version = version if version is not None else str(found.get("SyncToken", "0"))
        return number, version

    def _written(self, kind: str, place: Place, key: str, answer: Mapping[str, Any]) -> Written:
        body = answer.get(place.name)
        if not isinstance(body, dict) or not body.get("Id"):
            raise Uncertain(
                f"{self.system}: {kind} {key}: the answer holds no {place.name}; it is looked up before anything is sent "
                "again"
            )
        number = str(body["Id"])
        if _key_on(place, body) not in (None, key.lower()):
            raise Uncertain(
                f"{self.system}: {kind} {key}: the answer is about another record ({place.name} {number}), as a proxy's that "
                "repeats an earlier answer; ours is looked up before anything is sent again"
            )
        self._remember(kind, key, number)
        return Written(number, seen(body))

    # ---- Refusals -----------------------------------------------------------------------------

    def _explained(
        self, kind: str, place: Place, key: str, content: Mapping[str, Any], error: Refused
    ) -> SourceError:
        """A refusal for a name or number that is taken: by our own record (Exists), or by another, which is named."""
        try:
            if error.code == DUPLICATE and place.unique:
                return self._namesake(kind, place, key, str(content.get(place.unique) or ""), error)
            ours = error.code in TWICE and content.get("DocNumber") == number_of(key)
            if ours and self._searched(kind, place, [key]):
                return Exists(f"{self.system}: {kind} {key} is there already", code=error.code)
        except SourceError as trouble:
            return Refused(f"{error}; whether it is ours was not found out: {trouble}", code=error.code)
        return error

    def _namesake(self, kind: str, place: Place, key: str, name: str, error: Refused) -> Refused:
        for other in dict.fromkeys((place.name, *(NAMESAKES if place.name in NAMESAKES else ()))):
            holder = Place(other, listed=True) if other != place.name else place
            column = place.unique
            for row in self.company.select(holder, column, [name]):
                body = decoded(row)
                if other == place.name and _key_on(place, body) == key:
                    self._remember(kind, key, str(body["Id"]))
                    return Exists(f"{self.system}: {kind} {key} is there already", code=DUPLICATE)
                idle = "" if body.get("Active", True) else ", which is inactive"
                return Refused(
                    f"{error}; the name «{name}» belongs to {other} {body.get('Id')}{idle}: use that one, or rename one of "
                    "the two (customers, vendors and employees share their names)",
                    code=DUPLICATE,
                )
        return error

    def _place(self, kind: str) -> Place:
        try:
            return PLACES[kind]
        except KeyError:
            raise SourceError(
                f"{self.system}: QuickBooks Online has no {kind}; it has {', '.join(PLACES)}"
            ) from None

    def _writable(self, kind: str) -> Place:
        place = self._place(kind)
        if kind not in WRITES:
            raise Refused(
                f"{self.system}: a {kind} is not written; only {', '.join(WRITES)} are", code="read_only"
            )
        return place


def decoded(row: msgspec.Raw) -> dict[str, Any]:
    """A record with numbers as Decimal."""
    return _ROW.decode(row)


def request_id(kind: str, key: str, content: Mapping[str, Any]) -> str:
    """At most 50 characters, the same for the same write on the same day (UTC)."""
    said = _encode([kind, key, f"{datetime.now(UTC):%Y-%m-%d}", content])
    return hashlib.sha256(said).hexdigest()[:40]


def _key_on(place: Place, body: Mapping[str, Any]) -> str | None:
    return key_in(body.get(place.note[0])) if place.note else None


def _first(body: Mapping[str, Any]) -> tuple[int, str]:
    number = str(body.get("Id"))
    return len(number), number
