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

from sandbox.company.model import HISTORY_DAYS, Company, Party

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
        self._prices(kinds["product"])
        self._stock(kinds["product"], kinds["warehouse"][0])

    def _value(self, text: str, record: Record) -> Any:
        if text.startswith("'"):
            return text[1:]
        if text == "yes":
            return True
        if text.startswith("@"):
            name, _, which = text[1:].partition(":")
            return self.key(name, str(record.get(which, which) if which else record["id"]))
        return record[text]

    def _prices(self, products: list[Record]) -> None:
        words = self._base.configuration.parts["prices"].split()
        kinds = next(seed.set for seed in self._base.configuration.seeds if seed.of == "price_kind")
        kind, day = self.key(kinds, "main"), self._day()
        products_set = next(seed.set for seed in self._base.configuration.seeds if seed.of == "product")
        rows = [
            {words[-1]: kind, "Номенклатура_Key": self.key(products_set, p["id"]), "Цена": float(p["price"])}
            for p in products
        ]
        if words[0].startswith("InformationRegister_"):
            register = self._base.configuration.sets[words[0]]
            for row in rows:
                self._base.enter(register, {**row, "Period": day, "Актуальность": True})
        elif rows:
            entity, key = self._base.configuration.sets[words[0]], self.key(words[0], "main")
            numbered = [{**row, "LineNumber": str(n)} for n, row in enumerate(rows, 1)]
            self._base.create(entity, {"Ref_Key": key, "Date": day, words[1]: numbered})
            self._base.post(entity, key)

    def _stock(self, products: list[Record], warehouse: Record) -> None:
        sets = {seed.of: seed.set for seed in self._base.configuration.seeds}
        records: dict[str, list[Record]] = {}
        for part in ("stock", "free"):
            if part not in self._base.configuration.parts:
                continue
            register, resource, place = self._base.configuration.parts[part].split()
            records[register] = [
                {
                    "RecordType": "Receipt",
                    "Номенклатура_Key": self.key(sets["product"], product["id"]),
                    place: self.key(sets["warehouse"], warehouse["id"]),
                    resource: OPENING_STOCK,
                }
                for product in products
                if not product["service"]
            ]
            if "Организация_Key" in self._base.configuration.sets[register].dimensions:
                for row in records[register]:
                    row["Организация_Key"] = self.key(sets["organization"], "main")
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
            "price_kind": iter([{"id": "main", "short": "Оптовая"}]),
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
                    "price": Decimal(p.price),
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
