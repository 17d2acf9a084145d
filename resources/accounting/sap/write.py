"""Writing to SAP: customers, products and sales orders, alone or many in one request.

SAP numbers what we write; our key stands in a reference (see `keys`) by which `find` searches. There is no upsert and
no idempotency key, so what may have arrived is searched before anything is sent again. A change reads the record first,
and sends what differs, header and items in one change set; the header goes with its version.

Orders are not posted: a delivery and the billing run make revenue of them, and the accountant's documents follow.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from resources.accounting.sap import faults, keys, nodes, odata, paths
from resources.accounting.sap.connection import Opened
from resources.accounting.sap.entities import PARTNERS, PLACES, Place
from resources.accounting.sap.multipart import Change
from resources.accounting.sap.session import List
from resources.connector import (
    Conflict,
    Entered,
    Exists,
    Lock,
    Refused,
    Rows,
    SourceError,
    Uncertain,
    Written,
)
from resources.http import Answer

log = logging.getLogger(__name__)

KINDS: Final = ("counterparty", "product", "order")
REMARKS: Final = "sap-message"  # where the remarks on a write that was carried out stand in its body
MOST_WRITES: Final = 100  # of one batch
SMALLER: Final = 8  # times that what a batch was too large for is sent again
_REFERENCE_TAKEN: Final = re.compile(r"purchase order number|customer reference|V4/115", re.IGNORECASE)
_ONE_WRITE: Final = re.compile(r"only one operation", re.IGNORECASE)
_MOST: Final = re.compile(r"more than (\d+) operations", re.IGNORECASE)
_NUMBER: Final = {"counterparty": "Customer", "product": "Product", "order": "SalesOrder"}

Outcome = Written | SourceError


def _nothing_known(kind: str, our_keys: Sequence[str]) -> Mapping[str, str]:
    return {}


class Writer:
    """The writing half of the connector; `Sap` is the whole."""

    def __init__(self, settings: Opened) -> None:
        self.settings, self.session, self.making = settings, settings.session, settings.making
        self.system = settings.session.system
        self._most, self._alone = MOST_WRITES, False  # writes of a batch; whether a change set has one alone
        self.known_keys: Callable[[str, Sequence[str]], Mapping[str, str]] = _nothing_known

    # ---- Target -------------------------------------------------------------------------------

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """Create a record that bears our key. Raises Exists (a product whose number is our key; an order
        where SAP is set to refuse a repeated reference), Refused, Uncertain.

        SAP's remarks on it stand in the body under `sap-message`.
        """
        place = self._written_kind(kind)
        made = self._made(kind, key, body)
        subject = f"{kind} {key}"
        try:
            row, remarks = self.session.write("POST", place.service, place.entity_set, subject, made)
        except Exists as error:
            raise self._duplicate(kind, body, error) from None
        return self._created(kind, key, row, remarks)

    def create_many(self, kind: str, rows: Rows) -> list[Outcome]:
        """See CreatesMany: a change set a record, several in one `$batch`, as many batches as there are sessions.

        Orders of one customer stand together: two sessions at one customer lock each other out.
        """
        return self._create_all(kind, rows, -(-len(rows) // self.session.at_once))

    def batches(self, kind: str, rows: Rows) -> list[list[int]]:
        """How `create_many` would group the rows, by their places."""
        order = _by_customer(rows, range(len(rows)))
        size = max(1, min(self.settings.batch, self._most, -(-len(rows) // self.session.at_once)))
        return [order[start : start + size] for start in range(0, len(order), size)]

    def create_batch(self, kind: str, rows: Rows) -> list[Outcome]:
        """As `create_many`, in one batch, or in fewer at a time where SAP takes no more."""
        return self._create_all(kind, rows, len(rows))

    def _create_all(self, kind: str, rows: Rows, size: int) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        sets: dict[int, list[Change]] = {}
        for number, (key, body) in enumerate(rows):
            try:
                place = self._written_kind(kind)
                sets[number] = [Change("POST", place.entity_set, self._made(kind, key, body))]
            except Refused as error:
                outcomes[number] = error
        outcomes |= self._in_batches(kind, rows, sets, _by_customer(rows, sets), size)
        for number, outcome in outcomes.items():
            if isinstance(outcome, Exists):
                outcomes[number] = self._duplicate(kind, rows[number][1], outcome)
        return [outcomes[number] for number in range(len(rows))]

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        """Change a record into what the body says; items that it lacks are deleted.

        Reads it first, and sends nothing where it is so already. Raises Conflict where the version is not `version`,
        else as `create`.
        """
        (outcome,) = self.update_many(kind, [(key, body)], [version or ""])
        if isinstance(outcome, SourceError):
            raise outcome
        return outcome

    def update_many(self, kind: str, rows: Rows, versions: Sequence[str] = ()) -> list[Outcome]:
        """See UpdatesMany: a change set a record, as `create_many`, its header by its ETag."""
        return self._updated(kind, rows, versions or [""] * len(rows))

    def post(self, kind: str, key: str) -> None:
        """Raises Refused: SAP posts by delivery and billing."""
        raise Refused(
            f"{self.system}: a {kind} has no posting step here; its delivery and the billing run make revenue of it. "
            f"Write `post: false` for {kind} in the mapping"
        )

    def find(self, kind: str, keys_: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Whole bodies by our keys: by SAP's number where it is known, else by the reference. Absent ones are missing.

        Of two records that bear one key the lower number counts, and the log says so.
        """
        place = replace(self._written_kind(kind), where="")
        known = self.known_keys(kind, keys_)
        numbers = {number: key for key, number in known.items() if number}
        found: dict[str, Mapping[str, Any]] = {}
        for rows in self.session.picked(place.whole(), _NUMBER[kind], list(numbers)):
            for row in rows:
                body = self._body(kind, row)
                if ours := numbers.get(self.key_of(kind, body)):
                    found[ours] = paths.found(body)
        searched: dict[str, str] = {}
        for key in keys_:
            if key not in found:
                try:
                    searched[keys.searched(kind, key)] = key
                except ValueError:
                    continue  # no UUID was ever written
        by_reference = {text.lower(): key for text, key in searched.items()}
        field = self.making.references[kind]
        for rows in self.session.picked(place.whole(), field, list(searched)):
            for row in rows:
                ours = by_reference.get(str(row.get(field) or "").lower())
                if ours is None:
                    continue
                body = self._body(kind, row)
                if ours in found:
                    first = self.key_of(kind, found[ours])
                    log.warning(
                        "%s: two of %s bear the key %s: %s and %s; delete the later one in SAP",
                        self.system, kind, ours, first, self.key_of(kind, body),
                    )  # fmt: skip
                    continue
                found[ours] = paths.found(body)
        return found

    def entered(self, kind: str, rows: Rows) -> Mapping[str, Entered]:
        """See SearchesBeforeCreate: partners that have the first tax number of a new customer, and no other one of another
        value (the KPP is a number of another type)."""
        if kind != "counterparty":
            return {}
        meant = {key: numbers for key, body in rows if (numbers := self._tax_numbers(body))}
        asked = List(PARTNERS, "A_BusinessPartnerTaxNumber", ("BusinessPartner", "BPTaxType"))
        values = list(dict.fromkeys(next(iter(numbers.values())) for numbers in meant.values()))
        partners = {
            str(row["BusinessPartner"]): None
            for part in self.session.picked(asked, "BPTaxNumber", values)
            for row in part
        }
        place = PLACES[kind]
        there = [
            self._body(kind, row)
            for part in self.session.picked(place.whole(), place.key[0], list(partners))
            for row in part
        ]
        field = self.making.references[kind]
        told: dict[str, Entered] = {}
        for key, numbers in meant.items():
            (kind_of, number), *others = numbers.items()
            for body in there:
                theirs = self.making.tax_numbers(body)
                is_same = theirs.get(kind_of) == number and all(
                    theirs.get(of, own) == own for of, own in others
                )
                if is_same and not body.get("IsMarkedForArchiving") and keys.borne(kind, body, field) != key:
                    branch = next((theirs[of] for of, _ in others if of in theirs), "")
                    name = str(body.get("BusinessPartnerFullName") or body.get("OrganizationBPName1") or "")
                    told[key] = Entered(self.key_of(kind, body), name, number, branch)
                    break
        return told

    def _tax_numbers(self, body: Mapping[str, Any]) -> dict[str, str]:
        try:
            return self.making.tax_numbers(paths.nested(body))
        except ValueError:
            return {}  # it is refused as it is made

    def _body(self, kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """A record as it is compared; one with an amount that cannot be read as it came, so that it differs in words."""
        try:
            return self.making.body(kind, row)
        except ValueError:
            return odata.unpadded(dict(row))

    # ---- What SAP offers besides --------------------------------------------------------------

    def key_of(self, kind: str, body: Mapping[str, Any]) -> str:
        """See AssignsKeys: the number of the order, of the product, of the customer (else of the partner)."""
        return self.making.key(kind, body)

    def locks(self) -> Sequence[Lock]:
        """See LocksPeriods: what the connection says (`closed_until`). Which posting periods are open none of the
        released services tells; a billing document into a closed one is refused, and its message is known."""
        if self.settings.closed_until is None:
            return ()
        return (Lock(self.settings.closed_until, self.settings.company_code),)

    # ---- Inside -------------------------------------------------------------------------------

    def _written_kind(self, kind: str) -> Place:
        if kind not in KINDS:
            raise Refused(f"{self.system}: a {kind} is not written from here, only {', '.join(KINDS)}")
        return PLACES[kind]

    def _made(self, kind: str, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body to send, with our key in it."""
        try:
            made = paths.nested(body)
            borne = keys.references(kind, key, self.making.references[kind])
        except ValueError as error:
            raise Refused(f"{self.system}: {kind} {key}: {error}") from None
        if kind == "product" and not made.get("Product"):
            made["Product"] = keys.searched(kind, key)
        return {**made, **borne}

    def _created(self, kind: str, key: str, row: Mapping[str, Any], remarks: Sequence[str]) -> Written:
        for field, ours in keys.references(kind, key, self.making.references[kind]).items():
            borne = str(row.get(field) or ours)
            if borne.upper() != ours.upper():
                raise Uncertain(
                    f"{self.system}: {kind} {key}: SAP answered with another record ({field} {borne}), as a proxy does that "
                    "repeats an earlier answer; ours is looked up before anything is sent again"
                )
        body = odata.unpadded(dict(row))
        number = self.key_of(kind, body)
        if not number:
            raise Uncertain(
                f"{self.system}: {kind} {key}: SAP answered without a number; it is looked up before anything is sent again"
            )
        for remark in remarks:
            log.warning("%s: %s %s: %s", self.system, kind, number, remark)
        return Written(number, {**body, REMARKS: list(remarks)} if remarks else body)

    def _duplicate(self, kind: str, body: Mapping[str, Any], error: Exists) -> Refused:
        """A product whose number is made of our key, and an order whose reference is refused as taken, are ours."""
        ours = kind == "product" and not body.get("Product")
        ours = ours or (kind == "order" and bool(_REFERENCE_TAKEN.search(str(error))))
        return error if ours else Refused(str(error), code=error.code)

    def _updated(self, kind: str, rows: Rows, versions: Sequence[str]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        sets: dict[int, list[Change]] = {}
        try:
            self._written_kind(kind)
            current = self.find(kind, [key for key, _ in rows])
        except SourceError as error:
            return [error for _ in rows]
        for number, ((key, body), version) in enumerate(zip(rows, versions, strict=True)):
            there = current.get(key)
            what = f"{self.system}: {kind} {key}"
            if there is None:
                outcomes[number] = Refused(f"{what} is not there; it was deleted in SAP", code="404")
                continue
            if version and there.get(odata.ETAG) not in (None, version):
                outcomes[number] = Conflict(f"{what} changed meanwhile: read it again and decide", code="412")
                continue
            try:
                sets[number] = nodes.changes(kind, there, paths.nested(body), version or "*")
            except (Refused, ValueError) as error:
                outcomes[number] = error if isinstance(error, Refused) else Refused(f"{what}: {error}")
                continue
            if not sets[number]:
                del sets[number]
                outcomes[number] = Written(self.key_of(kind, there), there)
        outcomes |= self._in_batches(kind, rows, sets, list(sets), -(-len(sets) // self.session.at_once))
        for number, outcome in outcomes.items():
            if isinstance(outcome, Written) and not outcome.key:
                outcomes[number] = Written(self.key_of(kind, current[rows[number][0]]), outcome.body)
        return [outcomes[number] for number in range(len(rows))]

    def _in_batches(
        self, kind: str, rows: Rows, sets: Mapping[int, list[Change]], order: Sequence[int], size: int
    ) -> dict[int, Outcome]:
        """Each row's outcome; `order` says which stand together in a batch, `size` how many at most. A change set each.

        A system may let a change set have one write alone, or a batch a few: that is learnt from its refusal, by which
        nothing was done, and what it refuses is sent again in smaller parts, at last write by write.
        """

        def send(part: Sequence[int]) -> dict[int, Outcome]:
            subject = f"{kind} {rows[part[0]][0]}" if len(part) == 1 else f"{len(part)} of {kind}"
            if len(part) == 1 and self._is_too_long(sets[part[0]]):
                return {part[0]: self._one_by_one(kind, rows[part[0]][0], sets[part[0]])}
            try:
                answers = self.session.batch(PLACES[kind].service, [sets[number] for number in part], subject)
            except Refused as error:
                return {} if self._learnt(error) else dict.fromkeys(part, error)
            except SourceError as error:
                return dict.fromkeys(part, error)
            found = {
                number: self._outcome(kind, rows[number][0], sets[number], answer)
                for number, answer in zip(part, answers, strict=True)
            }
            told = [n for n, one in found.items() if isinstance(one, Refused) and _ONE_WRITE.search(str(one))]
            self._alone = self._alone or bool(told)
            return {number: outcome for number, outcome in found.items() if number not in told}

        outcomes: dict[int, Outcome] = {}
        for _ in range(SMALLER):
            left = [number for number in order if number not in outcomes]
            if not left:
                break
            parts = self._parts(sets, left, size)
            if len(parts) == 1:
                outcomes |= send(parts[0])
                continue
            # Not in order: a batch that takes long keeps none waiting behind it.
            with ThreadPoolExecutor(self.session.at_once, thread_name_prefix=self.system) as pool:
                for found in pool.map(send, parts):
                    outcomes |= found
        unsent = SourceError(
            f"{self.system}: the batches were refused as too large; lower `batch`", retriable=True
        )
        return {**dict.fromkeys(order, unsent), **outcomes}

    def _parts(self, sets: Mapping[int, list[Change]], order: Sequence[int], size: int) -> list[list[int]]:
        """What goes together: batches of `size`, none of too many sets or writes."""
        size = min(self.settings.batch, size)
        parts: list[list[int]] = []
        writes = self._most
        for number in order:
            alone = self._is_too_long(sets[number])
            if not parts or alone or len(parts[-1]) >= size or writes + len(sets[number]) > self._most:
                parts.append([])
                writes = self._most if alone else 0  # nothing follows in the same part
            parts[-1].append(number)
            writes += len(sets[number])
        return parts

    def _is_too_long(self, changes: Sequence[Change]) -> bool:
        return len(changes) > self._most or (self._alone and len(changes) > 1)

    def _learnt(self, error: Refused) -> bool:
        """Whether a refusal says that a batch may have fewer writes than ours had; nothing was done by it then."""
        match = _MOST.search(str(error))
        if match is None or not 0 < int(match[1]) < self._most:
            return match is not None
        self._most = int(match[1])
        return True

    def _one_by_one(self, kind: str, key: str, changes: Sequence[Change]) -> Outcome:
        """The writes of a change set as requests of their own, the header with its version first.

        What fails after the first one has left a part of the change: Uncertain, so that it is read and completed.
        """
        subject = f"{kind} {key}"
        for done, change in enumerate(changes):
            try:
                self.session.write(
                    change.method, PLACES[kind].service, change.path, subject, change.body, headers=change.headers
                )  # fmt: skip
            except SourceError as error:
                if done == 0 or isinstance(error, Uncertain):
                    return error
                return Uncertain(f"{error}; {done} of {len(changes)} parts of the change are there already")
        return Written("", {})

    def _outcome(
        self, kind: str, key: str, asked: Sequence[Change], answers: Sequence[Answer] | None
    ) -> Outcome:
        """What became of one change set: carried out whole, or why not."""
        subject = f"{kind} {key}"
        if not answers:
            return Uncertain(
                f"{self.system}: {subject}: the answer of the batch leaves it out; it is looked up"
            )
        for answer in answers:
            verdict = self.session.write_verdict(subject, PLACES[kind].service, answer)
            if verdict.kind != "ok":
                return faults.failure(self.system, verdict)
        if len(answers) < len(asked):
            return Uncertain(
                f"{self.system}: {subject}: the batch answers a part of it alone; it is looked up"
            )
        remarks = [one for answer in answers for one in odata.warnings(answer.headers.get(REMARKS, ""))]
        if asked[0].method != "POST":
            return Written("", {REMARKS: remarks} if remarks else {})
        try:
            return self._created(kind, key, odata.header(answers[0].content), remarks)
        except SourceError as error:
            return error


def _by_customer(rows: Rows, places: Iterable[int]) -> list[int]:
    return sorted(places, key=lambda number: str(rows[number][1].get("SoldToParty") or ""))
