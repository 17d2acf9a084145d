"""1C without a web server: an exchange folder, CommerceML files and bank statements, as Source and Target.

Written: a record goes into the next EnterpriseData message (or a CommerceML file of its own) under our key. `create`
returns when the file lies in the folder, whole and on the disk; that the base holds it is known later. Until then
`find` raises a retriable SourceError, so the carrier leaves the record as it is and asks again with the next
sync: it is neither sent again nor given up. `find` answers from what the base told since it confirmed the message; a
record that it confirmed and did not send back is missing after `patience` further messages, and a person looks.

Read: the objects of the base's messages and answers, by the time at which we took them; УдалениеОбъекта is a
tombstone. Payments come from the base's documents or from bank statements, never from both.
"""

from __future__ import annotations

import functools
import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from resources.accounting.onec_files import check, commerceml, enterprise_data
from resources.accounting.onec_files.enterprise_data import KEYS, OBJECT, POSTED, with_references
from resources.accounting.onec_files.exchange import Exchange
from resources.accounting.onec_files.journal import Heard, Journal, Sent
from resources.accounting.onec_files.payments import BankStatements
from resources.accounting.onec_files.schema import BY_ENTITY
from resources.accounting.onec_files.settings import Settings
from resources.accounting.onec_files.settlement import Direction, of_document
from resources.connector import (
    Capabilities,
    Change,
    Entity,
    Exists,
    Finding,
    Page,
    Record,
    Refused,
    Reject,
    Rows,
    SourceError,
    Written,
)

LIMITS = None  # a folder has no rate

_Known = Callable[[str, str], Mapping[str, Any] | None]  # a record by entity and key, as told or sent

CATALOGUES = ("organization", "currency", "unit", "warehouse", "counterparty", "contract", "product")
DOCUMENTS = ("invoice", "realization", "order")
POSTABLE = (*DOCUMENTS, "payment")
WRITES = ("counterparty", "contract", "product", "invoice", "realization", "order")


def connect(system: str, connection: Mapping[str, Any], budget: object = None) -> OneCFiles | BankStatements:
    """Open the folders of a base; with `statements` alone, a source of payments. A folder has no rate: no budget.

    Raises SourceError for a connection that cannot be right, or a `state` that cannot be opened.
    """
    settings = Settings.read(system, connection)
    if settings.state is None:
        assert settings.statements is not None
        return BankStatements(
            system,
            settings.statements,
            patterns=settings.statement_files,
            settle_seconds=settings.settle_seconds,
        )
    return OneCFiles(system, settings)


class OneCFiles:
    """A base behind folders. Thread-safe; several processes may share one `state`."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=(
            *(Entity(name, incremental=True, deletions="tombstones") for name in (*CATALOGUES, *DOCUMENTS)),
            Entity("payment", incremental=True, deletions="tombstones"),
        ),
        writes=WRITES,
        posted=POSTED,
    )

    def __init__(self, system: str, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self.system, self.settings, self.clock = system, settings, clock
        assert settings.state is not None
        try:
            settings.state.mkdir(parents=True, exist_ok=True)
            self.journal = Journal(settings.state / f"{system}.sqlite")
        except (OSError, sqlite3.Error) as error:
            raise SourceError(
                f"{system}: the folder `state` ({settings.state}) cannot be used ({error}); correct it"
            ) from None
        self.exchange = Exchange(system, settings, self.journal, clock)
        self._numbers: Mapping[tuple[str, str], Sequence[str]] = {}
        self._codes: Mapping[str, Sequence[str]] = {}
        self._firms: Mapping[str, Sequence[str]] = {}
        self.statements: BankStatements | None = None
        if settings.statements is not None and settings.payments == "statements":
            self.statements = BankStatements(
                system,
                settings.statements,
                patterns=settings.statement_files,
                settle_seconds=settings.settle_seconds,
                known=self._known_to_books,
                own_number=self._own_number,
                clock=clock,
            )

    def close(self) -> None:
        """Close the journal; nothing is lost."""
        self.journal.close()

    # ---- Source -------------------------------------------------------------------------------

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """Take what lies in the folders, then yield what the base told; with `since`, what was taken since.

        `modified_at` is our time of taking. Raises SourceError at the end where a file could not be taken.
        """
        failure: SourceError | None = None
        try:
            self.exchange.take()
        except SourceError as error:
            failure = error
        for entity in entities:
            if entity == "payment" and self.statements is not None:
                self._learn_books()
                try:
                    yield from self.statements.read([entity], since, until)
                except SourceError as error:
                    failure = failure or error
                continue
            for heard in self.journal.everything(entity, since):
                yield Page(entity, [self._record(entity, one) for one in heard])
            if apart := self.journal.apart(entity, since):
                yield Page(entity, (), rejects=[_without_key(*one) for one in apart])
        if failure is not None:
            raise failure

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        """Ids of what the base told and did not delete since."""
        if entity == "payment" and self.statements is not None:
            yield from self.statements.keys(entity)
        for heard in self.journal.everything(entity, None, living=True):
            yield [one.key for one in heard]

    def changes(self, since: datetime) -> Iterator[Change]:
        """Take what lies in the folders, and hint at what was taken since. A file that cannot be taken is told by `read`."""
        try:
            self.exchange.take()
        except SourceError as error:
            if not error.retriable:
                yield Change(
                    "counterparty", "unreadable", None, hashlib.sha256(str(error).encode()).hexdigest()
                )
        for entity in self.capabilities.entities:
            if entity.name == "payment" and self.statements is not None:
                yield from self.statements.changes(since)
                continue
            for heard in self.journal.everything(entity.name, since):
                yield from (Change(entity.name, one.key, one.at, str(one.turn)) for one in heard)

    def check(self) -> list[Finding]:
        """Folders, numbers, what waits, versions of the format, statements. Never raises; sends nothing."""
        return check.findings(self)

    # ---- Target -------------------------------------------------------------------------------

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """Put a record under way. The same record again is under way already, and changes nothing.

        Raises Exists where the base told it, Refused where the format cannot hold it, SourceError where
        the folder cannot be written or what is under way must be confirmed first.
        """
        return self._one(self.create_many(kind, [(key, body)]))

    def create_many(self, kind: str, rows: Rows) -> Sequence[Written | SourceError]:
        """As `create`, all in one message."""
        told = self.journal.told(kind, [key.lower() for key, _ in rows])
        out: list[Written | SourceError] = []
        with self.journal.writing():
            reason, known = self.exchange.closed(), functools.cache(self._known)
            for key, body in rows:
                heard = told.get(key.lower())
                if heard is not None and not heard.deleted:
                    out.append(Exists(f"{self.system}: the base has {kind} {key} already", code="exists"))
                else:
                    out.append(self._under_way(kind, key, body, reason, known))
        return self._sent(out)

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        """Send the record whole, with these fields changed. Files have no versions. Raises as `create`."""
        return self._one(self.update_many(kind, [(key, body)]))

    def update_many(
        self, kind: str, rows: Rows, versions: Sequence[str] = ()
    ) -> Sequence[Written | SourceError]:
        """As `update`, all in one message, whatever `versions` are."""
        with self.journal.writing():
            reason, known = self.exchange.closed(), functools.cache(self._known)
            out = [
                self._under_way(kind, key, {**self._writable(kind, key), **body}, reason, known)
                for key, body in rows
            ]
        return self._sent(out)

    def post(self, kind: str, key: str) -> None:
        """The base posts what it loads, by its own settings. Raises Refused: a file cannot ask for it."""
        raise Refused(
            f"{self.system}: a file cannot post {kind} {key}; 1C posts what it loads. Set `post: at_once` in the"
            " mapping file, and posting at loading in the settings of the exchange in 1C",
            code="posting",
        )

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Records as the base told them after it confirmed ours. Raises SourceError (retriable) while one is under way."""
        trouble = ""
        try:
            self.exchange.take()
        except SourceError as error:  # `read` tells it; here it matters only where it may hide the answer
            trouble = f". {error}"
        wanted = {key: key.lower() for key in keys}
        told = self.journal.told(kind, list(wanted.values()))
        sent = self.journal.sent(kind, list(wanted.values()))
        found: dict[str, Mapping[str, Any]] = {}
        waiting: list[str] = []
        for key, low in wanted.items():
            heard, ours = told.get(low), sent.get(low)
            if ours is None or (heard is not None and self._answers(heard, ours)):
                if heard is not None and not heard.deleted:
                    found[key] = self._shown(kind, heard)
            elif self._is_under_way(ours):
                waiting.append(key)
            elif self.settings.read_back == "confirmed" and ours.first_no is not None:
                found[key] = ours.wire
        if waiting:
            raise SourceError(
                f"{self.system}: {len(waiting)} of {len(keys)} {kind} are under way ({waiting[0]}): the base has not yet"
                f" confirmed them, or confirmed and not yet sent them back. Run the exchange in 1C{trouble}",
                retriable=True,
            )
        return found

    # ---- helpers ------------------------------------------------------------------------------

    @staticmethod
    def _one(outcomes: Sequence[Written | SourceError]) -> Written:
        outcome = outcomes[0]
        if isinstance(outcome, SourceError):
            raise outcome
        return outcome

    def by_commerceml(self, kind: str) -> bool:
        """Whether records of this kind go as CommerceML. Raises Refused for a kind that no format here holds."""
        if self.settings.exchange is not None and self.settings.format != "commerceml" and kind != "order":
            return False
        if kind in commerceml.WRITES and self.settings.commerceml_out is not None:
            return True
        raise Refused(
            f"{self.system}: no way to send a {kind}; " + (
                "CommerceML has none, so add `exchange`" if kind not in commerceml.WRITES else "add `commerceml_out`"
            ),
            code="kind",
        )  # fmt: skip

    def _under_way(
        self, kind: str, key: str, body: Mapping[str, Any], reason: str, known: _Known
    ) -> Written | SourceError:
        """Keep the record for the next message, once; or drop its file. `reason`: why nothing new may go, or empty."""
        try:
            own = self.by_commerceml(kind)
            key = key.lower()
            before = self.journal.sent(kind, [key]).get(key)
            if before is not None and _plain(before.body) == _plain(body) and self._is_under_way(before):
                if own:
                    self._drop(kind, key, before.wire)
                return Written(key, before.wire)
            if reason:
                return SourceError(f"{self.system}: {reason}")
            wire, xml = dict(body), ""
            if own:
                self._drop(kind, key, wire)
            else:
                wire = with_references(body, known)
                xml = enterprise_data.element(BY_ENTITY[kind], key, wire, self.settings.version)
            self.journal.put(kind, key, body, wire, xml, numbered=not own)
        except ValueError as error:
            return Refused(f"{self.system}: {kind} {key} was not sent: {error}", code="format")
        except SourceError as error:
            return error
        return Written(key, wire)

    def _drop(self, kind: str, key: str, wire: Mapping[str, Any]) -> None:
        # The day of the document, so that the same record gives the same bytes.
        created = f"{str(wire.get('Дата', ''))[:10] or '2000-01-01'}T00:00:00"
        self.exchange.drop(
            kind, key, commerceml.document(kind, key, wire, self.settings.commerceml_version, created)
        )

    def _sent(self, outcomes: list[Written | SourceError]) -> list[Written | SourceError]:
        if self.settings.exchange is None or not any(isinstance(one, Written) for one in outcomes):
            return outcomes
        try:
            self.exchange.tell()
        except SourceError as error:
            return [error if isinstance(one, Written) else one for one in outcomes]
        return outcomes

    def _is_under_way(self, ours: Sent) -> bool:
        """Whether the base may still confirm it, or tell it: it tells within `patience` files, or not at all."""
        if ours.counted is None:
            return True
        if ours.first_no is not None and self.settings.read_back == "confirmed":
            return False
        count = self.journal.number("answers" if ours.first_no is None else "messages")
        return count - ours.counted < self.settings.patience

    @staticmethod
    def _answers(heard: Heard, ours: Sent) -> bool:
        """Whether what was told is newer than what we sent."""
        if ours.first_no is None:
            return heard.turn > ours.turn
        return ours.first_no > 0 and heard.turn > ours.turn and heard.answered >= ours.first_no

    def _known(self, entity: str, key: str) -> Mapping[str, Any] | None:
        if (heard := self.journal.told(entity, [key]).get(key)) is not None and not heard.deleted:
            return heard.body
        ours = self.journal.sent(entity, [key]).get(key)
        return ours.wire if ours is not None else None

    def _writable(self, kind: str, key: str) -> Mapping[str, Any]:
        """The fields that we sent last: what a change of some of them leaves as it is."""
        ours = self.journal.sent(kind, [key.lower()]).get(key.lower())
        return ours.body if ours is not None else {}

    def _record(self, entity: str, heard: Heard) -> Record:
        payload = msgspec.json.Encoder(decimal_format="string").encode(self._shown(entity, heard))
        return Record(heard.key, payload, modified_at=heard.at, deleted=heard.deleted)

    def _shown(self, entity: str, heard: Heard) -> dict[str, Any]:
        body = dict(heard.body)
        if heard.deleted:
            body["ПометкаУдаления"] = "true"
        elif entity in POSTABLE and POSTED not in body and self.settings.posted_only and "Ид" not in body:
            # The format has no word for it: a base is usually set to send what is posted, and nothing else.
            body[POSTED] = "true"
        if entity == "payment":
            body |= self._money(body)
        return body

    @staticmethod
    def _money(body: Mapping[str, Any]) -> dict[str, Any]:
        """The names that a payment of a statement has, for one of the base."""
        general = {
            key.partition("/")[2]: value for key, value in body.items() if key.startswith("ОбщиеДанные/")
        }
        direction: Direction = "receipt" if ".ПБДС" in str(body.get(OBJECT)) else "outgoing"
        purpose = general.get("НазначениеПлатежа") or general.get("РеквизитыПлатежа/НазначениеПлатежа", "")
        return {
            "Направление": direction,
            "Расчеты": of_document(direction, body, str(purpose)),
            "ОрганизацияСсылка": body.get(f"{KEYS}/Организация/Ссылка", ""),
            "Номер": general.get("НомерВходящегоДокумента") or body.get(f"{KEYS}/Номер", ""),
            "ДатаОперации": general.get("ДатаВыписки") or str(body.get(f"{KEYS}/Дата", ""))[:10],
            "СуммаОперации": general.get("Сумма", ""),
            "ВалютаСсылка": general.get("Валюта/Ссылка", ""),
            "КонтрагентСсылка": body.get("Контрагент/Ссылка", ""),
            "Назначение": purpose,
        }

    def _known_to_books(self, tax_number: str, kpp: str, currency: str, own: str) -> Mapping[str, str]:
        """The counterparty of these numbers, if it is one alone, the currency of this code and our organization: that
        of this number, or the only one, which has no other."""
        parties = self._numbers.get((tax_number, kpp)) or self._numbers.get((tax_number, "")) or ()
        money = self._codes.get(currency, ())
        firms = self._firms.get(own) or (self._firms.get("", ()) if not own else ())
        return {
            "ОрганизацияСсылка": firms[0] if len(firms) == 1 else "",
            "КонтрагентСсылка": parties[0] if len(parties) == 1 else "",
            "ВалютаСсылка": money[0] if len(money) == 1 else "",
        }

    def _own_number(self) -> str:
        """ИНН of our organization, where the base has one alone."""
        numbers = [number for number in self._firms if number]
        return numbers[0] if len(numbers) == 1 and len(self._firms[""]) == 1 else ""

    def _learn_books(self) -> None:
        """By (ИНН, КПП), by (ИНН, "") of all that have it, and by code of currency: whose they are."""
        numbers: dict[tuple[str, str], list[str]] = {}
        codes: dict[str, list[str]] = {}
        for key, tax_number, kpp in self.journal.fields("counterparty", f"{KEYS}/ИНН", f"{KEYS}/КПП"):
            for name in {(tax_number, kpp), (tax_number, "")}:
                numbers.setdefault(name, []).append(key)
        for key, code, _ in self.journal.fields("currency", f"{KEYS}/ДанныеКлассификатора/Код", ""):
            codes.setdefault(code, []).append(key)
        firms: dict[str, list[str]] = {}
        for key, _, tax_number in self.journal.fields("organization", f"{KEYS}/Наименование", f"{KEYS}/ИНН"):
            for number in {tax_number, ""}:
                firms.setdefault(number, []).append(key)
        self._numbers, self._codes, self._firms = numbers, codes, firms


def _without_key(label: str, name: str, body: bytes) -> Reject:
    told = (
        f"{name} {label or 'without a name'} came without Ссылка, its key, so it can be no record of ours; send it again"
        " from 1C with its key (it is mended when it comes)"
    )
    return Reject(f"{name} {label}".strip(), told, body)


def _plain(body: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(body, order="deterministic")
