"""Bodies of documents as an accountant enters them by hand: realizations and bank documents.

Money is Decimal in the document's currency; days are company dates. VAT follows the main rate of the day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from sandbox.company.model import kopecks, main_vat_rate
from sandbox.onec.model import (
    BANK_ACCOUNTS,
    CONTRACTS,
    COUNTERPARTIES,
    CURRENCIES,
    EMPTY_REF,
    ORGANIZATIONS,
    PRODUCTS,
    WAREHOUSES,
    Row,
)

if TYPE_CHECKING:
    from sandbox.onec.base import Base

VAT_NAMES = {22: "НДС22", 20: "НДС20", 10: "НДС10", 7: "НДС7", 5: "НДС5", 0: "БезНДС"}
RUB = "643"


@dataclass(frozen=True, slots=True)
class SaleLine:
    product: str  # key
    quantity: Decimal
    price: Decimal  # VAT included
    vat_rate: int


@dataclass(frozen=True, slots=True)
class Payment:
    """One movement of money between the company and a counterparty."""

    key: str
    day: date
    amount: Decimal
    counterparty: str
    contract: str
    purpose: str
    invoice: str = EMPTY_REF
    currency: str = ""  # key; "" is the rouble
    rate: Decimal = Decimal(1)
    vat_rate: int = 0


def realization(
    base: Base, key: str, day: date, parties: tuple[str, str], lines: Sequence[SaleLine], comment: str = ""
) -> Row:
    """A rouble realization with VAT included, accounts filled as the form fills them."""
    goods: list[Row] = []
    services: list[Row] = []
    total = Decimal(0)
    for line in lines:
        product = base.get(PRODUCTS, line.product) or {}
        value = kopecks(line.quantity * line.price)
        total += value
        row: Row = {
            "Номенклатура_Key": line.product,
            "Количество": float(line.quantity),
            "Цена": float(line.price),
            "Сумма": float(value),
            "СтавкаНДС": VAT_NAMES[line.vat_rate],
            "СуммаНДС": float(kopecks(value * line.vat_rate / (100 + line.vat_rate))),
            "СчетДоходов_Key": base.account("90.01.1"),
            "СчетУчетаНДСПоРеализации_Key": base.account("90.03"),
            "СчетРасходов_Key": base.account("90.02.1"),
        }
        if product.get("Услуга"):
            services.append(
                {**row, "LineNumber": str(len(services) + 1), "Содержание": product["Description"]}
            )
        else:
            unit = product.get("ЕдиницаИзмерения_Key", EMPTY_REF)
            stock = {"СчетУчета_Key": base.account("41.01"), "ЕдиницаИзмерения_Key": unit, "Коэффициент": 1}
            goods.append({**row, **stock, "LineNumber": str(len(goods) + 1)})
    return {
        "Ref_Key": key,
        "Date": f"{day.isoformat()}T{_clock(key)}",
        "ВидОперации": "Услуги" if not goods else "Товары",
        "Организация_Key": first(base, ORGANIZATIONS),
        "Склад_Key": first(base, WAREHOUSES),
        "Контрагент_Key": parties[0],
        "ДоговорКонтрагента_Key": parties[1],
        "СпособЗачетаАвансов": "Автоматически",
        "ВалютаДокумента_Key": currency(base, RUB),
        "КурсВзаиморасчетов": 1,
        "КратностьВзаиморасчетов": "1",
        "СуммаВключаетНДС": True,
        "СчетУчетаРасчетовСКонтрагентом_Key": base.account("62.01"),
        "СчетУчетаРасчетовПоАвансам_Key": base.account("62.02"),
        "БанковскийСчетОрганизации_Key": first(base, BANK_ACCOUNTS),
        "СуммаДокумента": float(total),
        "Комментарий": comment,
        "Товары": goods,
        "Услуги": services,
    }


def bank_document(base: Base, payment: Payment, operation: str) -> Row:
    """A receipt (`ОплатаПокупателя`) or a refund (`ВозвратПокупателю`) with one row of its breakdown."""
    foreign = bool(payment.currency) and payment.currency != currency(base, RUB)
    debt, advance = ("62.21", "62.22") if foreign else ("62.01", "62.02")
    amount = float(payment.amount)
    rate = payment.vat_rate
    row = {
        "LineNumber": "1",
        "ДоговорКонтрагента_Key": payment.contract,
        "СпособПогашенияЗадолженности": "Автоматически",
        "СуммаПлатежа": amount,
        "КурсВзаиморасчетов": float(payment.rate),
        "КратностьВзаиморасчетов": "1",
        "СуммаВзаиморасчетов": amount,
        "СтавкаНДС": VAT_NAMES[rate],
        "СуммаНДС": float(kopecks(payment.amount * rate / (100 + rate))),
        "СчетУчетаРасчетовСКонтрагентом_Key": base.account(debt),
        "СчетУчетаРасчетовПоАвансам_Key": base.account(advance),
        "СчетНаОплату_Key": payment.invoice,
    }
    return {
        "Ref_Key": payment.key,
        "Date": f"{payment.day.isoformat()}T{_clock(payment.key)}",
        "ВидОперации": operation,
        "Организация_Key": first(base, ORGANIZATIONS),
        "СчетОрганизации_Key": first(base, BANK_ACCOUNTS),
        "СчетБанк_Key": base.account("52" if foreign else "51"),
        "Контрагент": payment.counterparty,
        "Контрагент_Type": f"StandardODATA.{COUNTERPARTIES}",
        "ДоговорКонтрагента_Key": payment.contract,
        "СчетУчетаРасчетовСКонтрагентом_Key": base.account(debt),
        "СуммаДокумента": amount,
        "ВалютаДокумента_Key": payment.currency or currency(base, RUB),
        "НазначениеПлатежа": payment.purpose,
        "НомерВходящегоДокумента": str(int(payment.key[:6], 16) % 9000 + 1),
        "ДатаВходящегоДокумента": f"{payment.day.isoformat()}T00:00:00",
        "ПодтвержденоВыпиской": True,
        "РасшифровкаПлатежа": [row],
    }


def as_cash(base: Base, body: Row) -> Row:
    """The body of a bank document as that of a cash order: the cash desk in place of the bank account."""
    bank = ("СчетОрганизации_Key", "СчетБанк_Key", "НазначениеПлатежа", "ПодтвержденоВыпиской")
    kept = {name: value for name, value in body.items() if name not in bank}
    return {**kept, "СчетКасса_Key": base.account("50.01"), "Основание": body["НазначениеПлатежа"]}


def vat_rate_of(day: date) -> int:
    return main_vat_rate(day)


def currency(base: Base, code: str) -> str:
    """Key of a currency by its digital code (643, 840, 978)."""
    for key, row in base.rows[CURRENCIES].items():
        if row["Code"] == code:
            return key
    return EMPTY_REF


def first(base: Base, name: str) -> str:
    """Key of the first object written to a catalog (the organization, the main warehouse)."""
    return next(iter(base.rows[name]), EMPTY_REF)


def contracts_by_owner(base: Base) -> dict[str, str]:
    """The first living contract with a buyer of every living counterparty, by counterparty."""
    organization = first(base, ORGANIZATIONS)
    found: dict[str, str] = {}
    for key, row in base.rows[CONTRACTS].items():
        owner = base.get(COUNTERPARTIES, row.get("Owner_Key", EMPTY_REF))
        if owner is None or owner.get("DeletionMark") or owner.get("IsFolder") or row.get("DeletionMark"):
            continue
        if row.get("ВидДоговора") == "СПокупателем" and row.get("Организация_Key") == organization:
            found.setdefault(row["Owner_Key"], key)
    return found


def _clock(key: str) -> str:
    """A working hour that a document's key decides: 09:00:00 to 17:59:59."""
    number = int(key[:8], 16)
    return f"{9 + number % 9:02d}:{number // 9 % 60:02d}:{number // 540 % 60:02d}"
