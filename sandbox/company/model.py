"""One simulated trading company whose truth is known: ООО Торговый дом «Северный свет».

Everything here is the clean truth. What a CRM shows of it (with dirt) and what accounting holds are
projections, made elsewhere; `dirt` says which record is shown wrongly and how. The same seed, number of
deals and today always give the same company.

Money is Decimal in the deal's currency, dates are company dates (Moscow), created_at is Moscow time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import NamedTuple

MOSCOW = timezone(timedelta(hours=3))
VAT_RISE = date(2026, 1, 1)
"""The main VAT rate is 20 % before this day and 22 % from it (Federal Law 425-FZ of 28 November 2025)."""
HISTORY_DAYS = 425
KOPECK = Decimal("0.01")

GOODS, SERVICES = "0", "1"
"""The two pipelines: sale of goods, services."""

STAGES: dict[str, tuple[str, ...]] = {
    GOODS: ("NEW", "PREPARATION", "PREPAYMENT_INVOICE", "EXECUTING", "FINAL_INVOICE", "WON", "LOSE"),
    SERVICES: ("C1:NEW", "C1:EXECUTING", "C1:WON", "C1:LOSE"),
}
INVOICE_STAGES = frozenset(
    {"PREPAYMENT_INVOICE", "EXECUTING", "FINAL_INVOICE", "WON", "C1:EXECUTING", "C1:WON"}
)
"""A deal that stands in one of these owes an invoice (счёт на оплату)."""
REALIZATION_STAGES = frozenset({"FINAL_INVOICE", "WON", "C1:WON"})
"""A deal that stands in one of these owes a realization (акт or накладная) as well."""
WON_STAGES = frozenset({"WON", "C1:WON"})
LOST_STAGES = frozenset({"LOSE", "C1:LOSE"})


@dataclass(frozen=True, slots=True)
class Party:
    """A legal entity or sole proprietor that signs and pays (контрагент). Abroad inn and kpp are ''."""

    id: str
    name: str  # full name in the registry's spelling: ООО «Вектор», ИП Иванов Иван Иванович
    legal_form: str  # ООО, АО, ПАО, ИП, Ltd, GmbH, ТОО
    inn: str
    kpp: str
    ogrn: str
    country: str  # ISO 3166 alpha-2
    phone: str  # E.164
    email: str
    city: str
    address: str
    known_to_accounting: bool


@dataclass(frozen=True, slots=True)
class Product:
    """An item of the price list. `price` is in roubles with VAT at the rate of today."""

    id: str
    code: str
    name: str
    unit: str  # шт, м, час, усл
    okei: str  # code of the unit in the all-Russian classifier
    price: Decimal
    vat_rate: int  # percent: 22, 10 or 0
    is_service: bool
    known_to_accounting: bool
    accounting_name: str  # what accounting calls it; often spelled differently


@dataclass(frozen=True, slots=True)
class Employee:
    id: str
    first_name: str
    last_name: str
    email: str
    active: bool


@dataclass(frozen=True, slots=True)
class DealLine:
    """`price` is for one unit before the discount, in the deal's currency, with VAT if `vat_included`."""

    product_id: str
    quantity: Decimal
    price: Decimal
    discount_percent: Decimal
    vat_rate: int
    vat_included: bool


@dataclass(frozen=True, slots=True)
class Deal:
    id: str
    title: str
    client_id: str
    party_id: str  # the counterparty that signs; one of the client's parties
    employee_id: str
    pipeline: str  # "0" goods, "1" services
    stage: str
    created_at: datetime
    closed_on: date | None  # company date of winning or losing; None while open
    currency: str
    lines: tuple[DealLine, ...]
    source_id: str


_CLEAN: dict[str, str] = {}


class Amounts(NamedTuple):
    """Money of a line, document or deal in its currency: net + vat = gross."""

    net: Decimal
    vat: Decimal
    gross: Decimal


class Dirt(NamedTuple):
    """One way in which a projection shows a record wrongly. `entity` is party, client, deal or product."""

    kind: str
    entity: str
    id: str
    note: str


@dataclass
class Company:
    seed: int
    today: date
    own: Party
    parties: dict[str, Party] = field(default_factory=dict)
    clients: dict[str, tuple[str, ...]] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    employees: dict[str, Employee] = field(default_factory=dict)
    deals: dict[str, Deal] = field(default_factory=dict)
    dirt: list[Dirt] = field(default_factory=list)
    _dirt: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict, repr=False)
    _indexed: int = field(default=0, repr=False)

    @classmethod
    def generate(cls, seed: int, deals: int, today: date) -> Company:
        """The company as of `today`, with `deals` deals of the 14 months before."""
        from sandbox.company.growth import found

        return found(seed, deals, today)

    def dirt_of(self, entity: str, key: str) -> dict[str, str]:
        """What is wrong with one record in the projections: kind -> note."""
        if self._indexed != len(self.dirt):
            for found in self.dirt[self._indexed :]:
                self._dirt.setdefault((found.entity, found.id), {})[found.kind] = found.note
            self._indexed = len(self.dirt)
        return self._dirt.get((entity, key), _CLEAN)

    def cleaned(self, kind: str, entity: str, key: str) -> None:
        """Somebody put one record right."""
        self.dirt = [d for d in self.dirt if (d.kind, d.entity, d.id) != (kind, entity, key)]
        self._dirt, self._indexed = {}, 0


def main_vat_rate(on: date) -> int:
    """Main Russian VAT rate in percent on a day."""
    return 22 if on >= VAT_RISE else 20


def kopecks(value: Decimal) -> Decimal:
    """Round half up to two digits, as Russian accounting does."""
    return value.quantize(KOPECK, rounding=ROUND_HALF_UP)


def unit_price(line: DealLine) -> Decimal:
    """Price of one unit after the discount, on the line's own VAT terms."""
    return kopecks(line.price * (100 - line.discount_percent) / 100)


def line_amounts(line: DealLine) -> Amounts:
    """Money of a line. VAT is computed on the line's sum, not on one unit (tax code, article 168)."""
    value = kopecks(unit_price(line) * line.quantity)
    if line.vat_included:
        vat = kopecks(value * line.vat_rate / (100 + line.vat_rate))
        return Amounts(value - vat, vat, value)
    vat = kopecks(value * line.vat_rate / 100)
    return Amounts(value, vat, value + vat)


def deal_amounts(deal: Deal) -> Amounts:
    """Money of a deal: the sum of its lines."""
    return _sum_of(deal.lines)


@lru_cache(maxsize=50_000)
def _sum_of(lines: tuple[DealLine, ...]) -> Amounts:
    rows = [line_amounts(line) for line in lines]
    return Amounts(
        sum((row.net for row in rows), Decimal(0)),
        sum((row.vat for row in rows), Decimal(0)),
        sum((row.gross for row in rows), Decimal(0)),
    )


def documents_due(deal: Deal) -> tuple[str, ...]:
    """Kinds of documents that accounting owes a clean deal: invoice, realization, both or none."""
    kinds = []
    if deal.stage in INVOICE_STAGES:
        kinds.append("invoice")
    if deal.stage in REALIZATION_STAGES:
        kinds.append("realization")
    return tuple(kinds)
