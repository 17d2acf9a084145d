"""Masters of a configuration written from data: which of its sets shows which of the company's records.

Fields of a `Seed` are `property=value` by spaces: a word of the record, `'слово`, `yes`, or `@Set` the object of
the same record in another set (`@Set:main`, `@Set:643` that of a named one, `@Set:okei` that which a word names).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sandbox.company import prices
from sandbox.company.model import HISTORY_DAYS, Company, Party
from sandbox.onec.goods import set_prices

if TYPE_CHECKING:
    from sandbox.onec.base import Base

NAMESPACE = uuid.UUID("6f1e5e34-02a4-5d7e-9a59-5c3c6b1d77a1")
OPENING = "Document_ВводОстатков"  # a recorder that is not published
OPENING_STOCK = 10_000
_CURRENCIES = (("643", "руб.", "Российский рубль"), ("840", "USD", "Доллар США"), ("978", "EUR", "Евро"))
_RATES = (
    ("22", "22%", 22, "НДС22"),
    ("20", "20%", 20, "НДС20"),
    ("10", "10%", 10, "НДС10"),
    ("7", "7%", 7, "НДС7"),
    ("5", "5%", 5, "НДС5"),
    ("zero", "0%", 0, "НДС0"),
    ("0", "Без НДС", 0, "БезНДС"),
)
_STATES = (("open", "Открыт", "Открыт"), ("work", "В работе", "ВРаботе"), ("done", "Выполнен", "Выполнен"))
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seed:
    """One set and the kind of record that each of its objects shows."""

    set: str
    of: str
    fields: str


class Masters:
    """Writes the masters, prices and opening stock of a base of `company`."""

    def __init__(self, company: Company, base: Base) -> None:
        self._company, self._base = company, base
        self._sets = {seed.of: seed.set for seed in base.configuration.seeds}

    def key(self, name: str, record: str) -> str:
        """Key of a record's object: the same for the same company and configuration."""
        return str(
            uuid.uuid5(NAMESPACE, f"{self._company.seed}:{self._base.configuration.name}:{name}:{record}")
        )

    def write(self, *, bare: bool = False) -> None:
        """`bare`: without counterparties, products, prices and stock."""
        kinds = {kind: list(records) for kind, records in self._records(bare=bare).items()}
        for seed in self._base.configuration.seeds:
            entity = self._base.configuration.sets[seed.set]
            for record in kinds[seed.of]:
                row: Record = {"Ref_Key": self.key(seed.set, record["id"])}
                for name, _, text in (word.partition("=") for word in seed.fields.split()):
                    row[name] = self._value(text, record)
                    if entity.properties[name].composite:
                        row[f"{name}_Type"] = f"StandardODATA.{text[1:].partition(':')[0]}"
                self._base.create(entity, row)
        if not bare:
            self._prices()
        self._stock(kinds["product"])

    def _value(self, text: str, record: Record) -> Any:
        if text.startswith("'"):
            return text[1:]
        if text == "yes":
            return True
        if text.startswith("@"):
            name, _, which = text[1:].partition(":")
            return self.key(name, str(record.get(which, which) if which else record["id"]))
        return record[text]

    def _prices(self) -> None:
        """The lists as they stood when the books began, and what drifted later."""
        company = self._company
        known = [product for product in company.products.values() if product.known_to_accounting]
        for price_list in prices.LIST_NAMES:
            listed = ((product.id, prices.listed(product, price_list)) for product in known)
            self._set(price_list, self._day(), [(key, price) for key, price in listed if price is not None])
        for drift in prices.drifts(company):
            self._set(drift.price_list, f"{drift.since}T00:00:00", [(drift.product, drift.accounting)])
            document = self.key(self._sets["product"], drift.product)
            place = f"price_drift:{drift.product}:{drift.price_list}"
            self._base.record(place, document=document, **drift.told(company))

    def _set(self, price_list: str, day: str, found: list[tuple[str, Decimal]]) -> None:
        kind = self.key(self._sets["price_kind"], price_list)
        rows = [(self.key(self._sets["product"], product), price) for product, price in found]
        about = f"{self._company.seed}:{price_list}:{day}:{found[0][0] if found else ''}"
        set_prices(self._base, kind, day, rows, about)

    def _stock(self, products: list[Record]) -> None:
        first, second = (self.key(self._sets["warehouse"], place) for place in ("main", "2"))
        records: dict[str, list[Record]] = {}
        for part in ("stock", "free"):
            if part not in self._base.configuration.parts:
                continue
            register, resource, place = self._base.configuration.parts[part].split()
            records[register] = [
                {
                    "RecordType": "Receipt",
                    "Номенклатура_Key": self.key(self._sets["product"], product["id"]),
                    place: warehouse,
                    resource: held,
                }
                for product in products
                if not product["service"]
                for warehouse, held in ((first, OPENING_STOCK), (second, product["second"]))
                if held
            ]
            if "Организация_Key" in self._base.configuration.sets[register].dimensions:
                for row in records[register]:
                    row["Организация_Key"] = self.key(self._sets["organization"], "main")
        self._base.registers.put(self.key("opening", "stock"), OPENING, self._day(), records)

    def _day(self) -> str:
        return f"{(self._company.today - timedelta(days=HISTORY_DAYS + 31)).isoformat()}T00:00:00"

    def _records(self, *, bare: bool) -> dict[str, Iterator[Record]]:
        company, own = self._company, self._company.own
        units = {p.okei: p.unit for p in company.products.values()} | {"796": "шт", "356": "ч"}
        parties = [] if bare else [p for p in company.parties.values() if p.known_to_accounting]
        products = [] if bare else [p for p in company.products.values() if p.known_to_accounting]
        firm = {
            "id": "main",
            "short": own.name,
            "full": own.name,
            "inn": own.inn,
            "kpp": own.kpp,
            "ogrn": own.ogrn,
        }
        account = {"id": "main", "short": "Основной расчетный счет", "number": "40702810900000012345"}
        return {
            "currency": iter([{"id": c, "code": c, "short": s, "full": f} for c, s, f in _CURRENCIES]),
            "unit": iter([{"id": c, "code": c, "short": s, "full": s} for c, s in sorted(units.items())]),
            "vat": iter(
                [{"id": i, "short": s, "rate": r, "word": w, "untaxed": i == "0"} for i, s, r, w in _RATES]
            ),
            "organization": iter([firm]),
            "bank": iter([account]),
            "warehouse": iter(
                [{"id": "main", "short": "Основной склад"}, {"id": "2", "short": "Склад № 2 (Химки)"}]
            ),
            "price_kind": iter([{"id": key, "short": name} for key, name in prices.LIST_NAMES.items()]),
            "state": iter([{"id": i, "short": s, "word": w} for i, s, w in _STATES]),
            "party": (_party(party) for party in parties),
            "product": (
                {
                    "id": p.id,
                    "short": p.accounting_name,
                    "full": p.accounting_name,
                    "article": p.code,
                    "okei": p.okei,
                    "vat": str(p.vat_rate),
                    "service": p.is_service,
                    "type_trade": "Услуга" if p.is_service else "Товар",
                    "type_small": "Услуга" if p.is_service else "Запас",
                    "second": int(prices.SECOND_PLACE) if prices.lies_in_two_places(company, p) else 0,
                }
                for p in products
            ),
        }


def _party(party: Party) -> Record:
    from sandbox.onec.seed import full_name, short_name

    return {
        "id": party.id,
        "short": short_name(party),
        "full": full_name(party),
        "inn": party.inn,
        "kpp": party.kpp,
        "kind": "ФизическоеЛицо" if party.legal_form == "ИП" else "ЮридическоеЛицо",
    }
