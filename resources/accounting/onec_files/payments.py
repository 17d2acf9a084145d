"""A folder of bank statements as a source of payments; alone, or beside an exchange with a base.

Every file is read whole, and taken whole or not at all. A payment is known by account, day, number, amount, payer's
account and direction; statements may overlap and come again. Payments that are equal in all of these are counted
within a file: a second one has the id of the first and `#2`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from resources.accounting.onec_files import statement
from resources.accounting.onec_files.folder import FileError, found, read
from resources.accounting.onec_files.statement import Payment, StatementError
from resources.connector import Capabilities, Change, Entity, Finding, Page, Record, Reject, SourceError

PAGE: Final = 1_000
SHOWN_BYTES: Final = 1 << 20  # of a file that was set apart
PATTERNS: Final = ("*.txt", "*.TXT")

# The party, the currency and our organization of a payment as the books know them:
# (ИНН, КПП, code of the currency, our ИНН) -> their keys
Known = Callable[[str, str, str, str], Mapping[str, str]]


def nothing_known(tax_number: str, kpp: str, currency: str, own_number: str) -> Mapping[str, str]:
    """Statements alone: nobody knows the payer but by his numbers."""
    return {}


class BankStatements:
    """Statements in 1CClientBankExchange as a Source of the entity `payment`. Holds nothing open."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=(Entity("payment", incremental=True, deletions="tombstones"),)
    )

    def __init__(
        self,
        system: str,
        folder: Path,
        *,
        patterns: Sequence[str] = PATTERNS,
        settle_seconds: float = 5,
        known: Known = nothing_known,
        own_number: Callable[[], str] = str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.system, self.folder, self.patterns = system, folder, tuple(patterns)
        self.settle_seconds, self.known, self.clock = settle_seconds, known, clock
        self.own_number = own_number  # of our only organization, where the books know it

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """Yield payments of every file; with `since`, of files that came or changed since. See `Source.read`.

        A file that cannot be trusted is a Reject. One that still grows raises SourceError (retriable) at the end.
        """
        if "payment" not in entities:
            return
        growing: list[str] = []
        for path in self._files(since):
            try:
                content, rests = read(path, now=self.clock(), settle_seconds=self.settle_seconds)
            except FileError as error:
                if error.retriable:
                    growing.append(f"{path.name}: {error}")
                else:
                    yield self._apart(path, str(error), b"")
                continue
            if not rests:
                growing.append(f"{path.name} was written a moment ago")
                continue
            try:
                taken = statement.payments(statement.parse(content), self.own_number())
            except StatementError as error:
                yield self._apart(path, str(error), content)
                continue
            yield from self._pages(path, taken)
        if growing:
            raise SourceError(
                f"{self.system}: {'; '.join(growing)}; the next read takes it when it rests", retriable=True
            )

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        """Statements are moved away once they are old, so a missing one deletes no payment. Raises SourceError."""
        raise SourceError(
            f"{self.system}: statements are appended, so a payment missing from the folder is not deleted"
        )

    def changes(self, since: datetime) -> Iterator[Change]:
        """A hint a file that came since then."""
        try:
            paths = self._files(since)
        except SourceError:
            return
        for path in paths:
            stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            yield Change("payment", path.name, stamp, f"{path.stat().st_mtime_ns}:{path.stat().st_size}")

    def check(self) -> list[Finding]:
        """The folder, and the newest statement in it."""
        try:
            paths = self._files(None)
        except SourceError as error:
            return [Finding(str(self.folder), False, str(error), "correct `statements` of the connection")]
        if not paths:
            names = ", ".join(self.patterns)
            return [Finding(str(self.folder), False, f"no file is called {names}", "drop a statement there")]
        path = paths[-1]
        try:
            content, _ = read(path, now=self.clock(), settle_seconds=0)
            taken = statement.payments(statement.parse(content))
        except (FileError, StatementError) as error:
            return [Finding(path.name, False, str(error), "export the statement again")]
        unread = sum(
            1 for payment in taken if any(statement.UNREAD in text for text in payment.values.values())
        )
        told = (
            f"; in {unread} of them letters cannot be read and stand as {statement.UNREAD}" if unread else ""
        )
        return [Finding(path.name, True, f"{len(taken)} payments; its balances add up{told}")]

    def close(self) -> None:
        """Nothing stays open."""

    def _files(self, since: datetime | None) -> list[Path]:
        try:
            paths = found(self.folder, self.patterns)
        except FileError as error:
            raise SourceError(f"{self.system}: {error}", retriable=error.retriable) from None
        if since is None:
            return paths
        # A copy may keep the time of its original; when it came shows in the inode's change.
        return [p for p in paths if max(p.stat().st_mtime, p.stat().st_ctime) >= since.timestamp()]

    def _pages(self, path: Path, taken: Sequence[Payment]) -> Iterator[Page]:
        seen: Counter[str] = Counter()
        records = []
        for payment in taken:
            seen[payment.identity] += 1
            count = seen[payment.identity]
            name = payment.identity if count == 1 else f"{payment.identity}#{count}"
            records.append(Record(name, msgspec.json.encode(self._payload(path, payment))))
        for start in range(0, len(records), PAGE):
            yield Page("payment", records[start : start + PAGE])

    def _payload(self, path: Path, payment: Payment) -> dict[str, Any]:
        side = "Плательщик" if payment.direction == "receipt" else "Получатель"
        values = payment.values
        tax_number, kpp = values.get(f"{side}ИНН", ""), values.get(f"{side}КПП", "")
        # The sixth to eighth digits of a Russian account are its currency; 810 is what banks still write for 643.
        code = payment.account[5:8] if len(payment.account) == 20 else ""
        code = "643" if code == "810" else code
        unread = [name for name, value in values.items() if statement.UNREAD in value]
        return {
            **values,
            "Направление": payment.direction,
            "Расчеты": payment.settles,
            "ОрганизацияИНН": payment.own_number,
            "Счет": payment.account,
            "ДатаОперации": payment.on.isoformat(),
            "СуммаОперации": f"{payment.amount:.2f}",
            "КодВалюты": code,
            "КонтрагентИНН": tax_number,
            "КонтрагентКПП": "" if kpp == "0" else kpp,
            "КонтрагентСчет": values.get(f"{side}Счет") or values.get(f"{side}РасчСчет", ""),
            "КонтрагентНаименование": values.get(f"{side}1") or values.get(side, ""),
            "Назначение": statement.purpose(values),
            "Проведен": "true",
            "_file": path.name,
            "_line": payment.line,
            **(
                {
                    "_unread": f"{', '.join(unread)}: letters that no encoding gives stand as {statement.UNREAD}"
                }
                if unread
                else {}
            ),
            **self.known(tax_number, kpp, code, payment.own_number),
        }

    def _apart(self, path: Path, reason: str, content: bytes) -> Page:
        told = f"{reason}. Nothing of it was taken; ask the bank for the statement again"
        return Page("payment", (), rejects=[Reject(path.name, told, content[:SHOWN_BYTES])])
