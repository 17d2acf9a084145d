"""Rows of SAP as records: how each names itself, when it was changed, and what is worked out for the mapping.

Worked out and put beside the vendor's fields, for a mapping can neither add nor turn signs:

    payment, refund  one record for what a customer's lines of one payment document come to: `PaidAmount` (positive, in
                     `TransactionCurrency`), and the lines themselves as `Lines`
    open_item        `Cleared`: the id of the payment that cleared it, "" while it is open; of a cancelled document that of
                     its cancellation
    entry            `EntryAmount`: positive on its side, negative only for a negative posting
    counterparty     `TaxNumber`: of the tax types that the connection names, else the first that there is
    order            `TotalGrossAmount`: an order tells its net total alone
    its items        `AmountWithTax`: net amount and SAP's tax; also of billing items, whose `GrossAmount` has no tax in it
    product          `Name`: the description in the connection's language, else the first
    price, stock     see `goods`

Amounts of FI lines are read as signed: debit +, credit -. Whether every service shows them so is unconfirmed. For
payments `DebitCreditCode` (S, H) decides wherever it is there; for entries `unsigned: true` in the connection says
that the other reading holds. An amount that cannot be read is no nought: its record is set apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any, Final

from resources.accounting.sap import keys, odata
from resources.accounting.sap.entities import PLACES
from resources.connector import Record, Reject

Row = Mapping[str, Any]
BILLED: Final = "VBRK"  # of a journal entry: that a billing document made it


@dataclass(frozen=True, slots=True)
class Making:
    """What the connection says about how rows are read."""

    system: str
    zone: tzinfo = UTC  # of days and times that SAP keeps without one
    language: str = "EN"
    payment_types: frozenset[str] = frozenset(("DZ",))
    tax_types: tuple[str, ...] = ()
    unsigned: bool = False  # whether amounts of ledger lines bear no sign
    references: Mapping[str, str] = field(
        default_factory=lambda: dict(keys.REFERENCES)
    )  # by kind: our key's field

    def records(
        self, entity: str, rows: Iterable[Row], payers: Mapping[str, str] | None = None
    ) -> tuple[list[Record], list[Reject]]:
        """Records in the order of the rows, and what cannot be one.

        `payers`: of clearing documents that are no payments, the payment that each cleared; see `payers_of`.
        """
        records, rejects = [], []
        for row in rows:
            try:
                body = self.body(entity, row)
            except ValueError as error:
                plain = odata.unpadded(dict(row))
                rejects.append(self.unreadable(entity, self.key(entity, plain), error, plain))
                continue
            key = self.key(entity, body)
            if payers and "Cleared" in body:
                body["Cleared"] = payers.get(body["Cleared"], body["Cleared"])
            if not key:
                place = f"{self.system}, {entity}: a row without {' and '.join(PLACES[entity].key)}"
                rejects.append(Reject(place, "the row has no key; look at it in SAP", odata.payload(body)))
                continue
            records.append(
                Record(
                    key, odata.payload(body), self.changed_at(entity, body), parent_of(entity, body),
                    our_key=self.our_key(entity, body),
                )
            )  # fmt: skip
        return records, rejects

    def unreadable(self, entity: str, key: str, error: ValueError, body: Row) -> Reject:
        """A record of which something cannot be worked out, set apart; what is stored of it stays."""
        place = f"{entity} {key}" if key else f"{self.system}, {entity}: a row without a key"
        return Reject(place, f"{error}; look at it in SAP", odata.payload(body))

    def body(self, entity: str, row: Row) -> dict[str, Any]:
        """A row as it is stored and compared: with what is worked out beside it. Raises ValueError as `amount`."""
        body = odata.unpadded(dict(row))
        match entity:
            case "counterparty":
                body["TaxNumber"] = self._tax_number(body)
            case "product":
                body["Name"] = self._name(body)
            case "order":
                body["TotalGrossAmount"] = format(_add_up(body, amount(body, "TotalNetAmount")), "f")
            case "realization":
                _add_up(body, Decimal(0))
            case "open_item":
                body["Cleared"] = cleared_by(body)
            case "entry":
                value = amount(body, "AmountInCompanyCodeCurrency")
                turned = body.get("DebitCreditCode") == "H" and not self.unsigned
                body["EntryAmount"] = format(-value if turned else value, "f")
        return body

    def key(self, entity: str, body: Row) -> str:
        """The id of a body; "" where it has none."""
        match entity:
            case "counterparty":  # what documents name is the customer
                return odata.number(str(body.get("Customer") or body.get("BusinessPartner") or ""))
            case "open_item":
                return _joined(
                    body, "CompanyCode", "FiscalYear", "AccountingDocument", "AccountingDocumentItem"
                )
            case "payment" | "refund":
                return _joined(body, "CompanyCode", "FiscalYear", "AccountingDocument", "Customer")
            case "entry":
                line = _joined(body, "CompanyCode", "FiscalYear", "AccountingDocument", "LedgerGLLineItem")
                return line or str(body.get("ID") or "")
            case "price":
                end = str(body.get("ConditionValidityEndDate") or "")[:10]
                record = str(body.get("ConditionRecord") or "")
                return f"{record}/{end}" if record and end else record
            case "order" | "realization" | "product":
                return str(body.get(PLACES[entity].key[0]) or "")
        return str(body.get("Key") or "")

    def our_key(self, entity: str, body: Row) -> str | None:
        """Our key that a record bears."""
        field_name = self.references.get(entity)
        return keys.borne(entity, body, field_name) if field_name else None

    def changed_at(self, entity: str, body: Row) -> datetime | None:
        """When it was changed last, UTC. A day without a time is its midnight in the connection's zone."""
        for names in (
            ("LastChangeDateTime",),
            ("LastChangeDate", "LastChangeTime"),
            ("CreationDate", "CreationTime"),
        ):
            value = body.get(names[0])
            if not isinstance(value, str) or not value:
                continue
            moment = odata.stamp(value)
            if moment is None or value.endswith("Z"):
                return moment
            clock = _clock(str(body.get(names[-1]) or "")) if len(names) > 1 else 0
            try:
                local = datetime.fromtimestamp(moment.timestamp() + clock, UTC).replace(tzinfo=self.zone)
                return local.astimezone(UTC)
            except (ValueError, OverflowError):  # in UTC it lies outside the calendar
                return None
        return None

    # ---- Payments -----------------------------------------------------------------------------

    def paid(self, rows: Iterable[Row]) -> Iterator[tuple[str, dict[str, Any] | Reject]]:
        """(payment or refund, body) of the lines of payment documents, those of one document and customer together.

        One with an amount that cannot be read comes as (payment, Reject): which of the two it is nobody knows.
        """
        groups: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            line = odata.unpadded(dict(row))
            if str(line.get("AccountingDocumentType") or "") in self.payment_types and line.get("Customer"):
                groups.setdefault(self.key("payment", line), []).append(line)
        for lines in groups.values():
            try:
                total = sum((_credit(line) for line in lines), Decimal(0))
            except ValueError as error:
                key = self.key("payment", lines[0])
                yield "payment", self.unreadable("payment", key, error, {"Lines": lines})
                continue
            body = {name: value for name, value in lines[0].items() if name not in _OF_A_LINE}
            body |= {"PaidAmount": format(abs(total), "f"), "Lines": lines}
            yield ("refund" if total < 0 else "payment"), body

    def payers_of(self, rows: Iterable[Row], known: dict[str, str]) -> None:
        """Note of payments that a document of its own cleared (posted later, type AB) which one it was.

        Where several payments were cleared together, none is said to have paid: accounting does not tell which.
        """
        for row in rows:
            line = odata.unpadded(dict(row))
            cleared, ours = cleared_by(line), self.key("payment", line)
            if cleared and cleared != ours:
                known[cleared] = ours if known.get(cleared, ours) == ours else ""

    def tax_numbers(self, body: Row) -> dict[str, str]:
        """The tax numbers of a partner by type: first those that the connection names, in its order."""
        rows = [row for row in body.get("to_BusinessPartnerTax") or () if isinstance(row, dict)]
        numbers = {
            str(row.get("BPTaxType")): str(row.get("BPTaxLongNumber") or row.get("BPTaxNumber") or "")
            for row in rows
        }
        order = dict.fromkeys((*self.tax_types, *sorted(numbers)))
        return {kind: number for kind in order if (number := numbers.get(kind))}

    # ---- Inside -------------------------------------------------------------------------------

    def _tax_number(self, body: Row) -> str:
        numbers = self.tax_numbers(body)
        return next((numbers[kind] for kind in self.tax_types or numbers if kind in numbers), "")

    def _name(self, body: Row) -> str:
        rows = [row for row in body.get("to_Description") or () if isinstance(row, dict)]
        named = {str(row.get("Language")): str(row.get("ProductDescription") or "") for row in rows}
        return named.get(self.language) or next((name for name in named.values() if name), "")


def cleared_by(body: Row) -> str:
    """The id of the payment that cleared an item of a customer; "" while it is open.

    The year of the clearing document is its own field, or that of the clearing day.
    """
    document = str(body.get("ClearingAccountingDocument") or "")
    year = str(body.get("ClearingDocFiscalYear") or "").strip("0") or str(body.get("ClearingDate") or "")[:4]
    if not document or not year:
        return ""
    if str(body.get("ClearingDocFiscalYear") or "").strip("0"):
        year = str(body["ClearingDocFiscalYear"])
    return _joined({**body, "AccountingDocument": document, "FiscalYear": year}, *_PAYMENT)


def parent_of(entity: str, body: Row) -> str | None:
    """Of an entry: the billing document that made it, else its own journal entry."""
    if entity != "entry":
        return None
    if body.get("ReferenceDocumentType") == BILLED and body.get("ReferenceDocument"):
        return str(body["ReferenceDocument"])
    return _joined(body, "CompanyCode", "FiscalYear", "AccountingDocument") or None


def amount(row: Row, name: str) -> Decimal:
    """A decimal of V2, which is a text; what is not given counts as nothing. SAP's own form of a negative has the sign
    behind: `12.50-`. Raises ValueError that names the field where it is no amount: none is guessed."""
    value = row.get(name)
    said = value.strip() if isinstance(value, str) else value
    if said is None or said == "":
        return Decimal(0)
    if isinstance(said, int | Decimal) and not isinstance(said, bool):
        said = str(said)
    if isinstance(said, str) and (found := _AMOUNT.fullmatch(said)) and not (found[1] and found[3]):
        return Decimal(f"{found[3] or found[1]}{found[2]}")
    raise ValueError(f"its {name} is «{value}», which is no amount")


def summed(
    making: Making, entity: str, rows: Iterable[Row], by: Sequence[str], name: str
) -> tuple[list[dict[str, Any]], list[Reject]]:
    """Rows with an amount added up by some fields: the same whether SAP has aggregated them or not."""
    sums: dict[tuple[str, ...], Decimal] = {}
    apart: dict[tuple[str, ...], Reject] = {}
    for row in rows:
        body = odata.unpadded(dict(row))
        key = tuple(str(body.get(part) or "") for part in by)
        try:
            sums[key] = sums.get(key, Decimal(0)) + amount(body, name)
        except ValueError as error:
            apart[key] = making.unreadable(entity, "/".join(key), error, body)
    found = [
        {"Key": "/".join(key), **dict(zip(by, key, strict=True)), name: format(total, "f")}
        for key, total in sorted(sums.items())
        if key not in apart
    ]
    return found, list(apart.values())


def _add_up(document: Row, otherwise: Decimal) -> Decimal:
    """Put the amount with tax into each item; their sum, or `otherwise` where there are none."""
    total = Decimal(0)
    items = [item for item in document.get("to_Item") or () if isinstance(item, dict)]
    for item in items:
        tax = amount(item, "TaxAmount")
        if item.get("TaxAmount") is None:
            conditions = [c for c in item.get("to_PricingElement") or () if isinstance(c, dict)]
            tax = sum((amount(c, "ConditionAmount") for c in conditions if _is_tax(c)), Decimal(0))
        gross = amount(item, "NetAmount") + tax
        item["AmountWithTax"] = format(gross, "f")
        total += gross
    return total if items else otherwise


def _is_tax(condition: Row) -> bool:
    return condition.get("ConditionClass") == "D" and not condition.get("ConditionInactiveReason")


_AMOUNT: Final = re.compile(r"([-+]?)((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?)([-+]?)")
_PAYMENT: Final = ("CompanyCode", "FiscalYear", "AccountingDocument", "Customer")
_OF_A_LINE: Final = frozenset(
    ("AccountingDocumentItem", "AmountInCompanyCodeCurrency", "AmountInTransactionCurrency")
)


def _joined(body: Row, *names: str) -> str:
    parts = [str(body.get(name) or "") for name in names]
    return "/".join(parts) if all(parts) else ""


def _credit(line: Row) -> Decimal:
    """What a customer's line takes off the debt: a payment is positive, whether its credit is signed or not."""
    value = amount(line, "AmountInTransactionCurrency")
    match str(line.get("DebitCreditCode") or ""):
        case "H":
            return abs(value)
        case "S":
            return -abs(value)
    return -value


def _clock(value: str) -> int:
    """Seconds of an Edm.Time: PT12H30M00S."""
    seconds, digits = 0, ""
    for letter in value.removeprefix("PT"):
        if letter.isdigit():
            digits += letter
        else:
            seconds += int(digits or 0) * {"H": 3600, "M": 60, "S": 1}.get(letter, 0)
            digits = ""
    return seconds
