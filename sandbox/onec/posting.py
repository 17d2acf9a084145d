"""What posting checks and which entries it makes, as Бухгалтерия предприятия does for sales and bank.

Realization: Dr 62 Cr 90.01.1 (with VAT), Dr 90.03 Cr 68.02 (VAT), for goods Dr 90.02.1 Cr 41.01 (cost), and
Dr 62.02 Cr 62.01 where an advance is set off. Receipt: Dr 51 Cr 62.01 up to the debt, the rest Cr 62.02.
Refund to a buyer: Dr 62.02 up to the advance, the rest Dr 62.01, Cr 51. Cash orders do the same with 50.01.
Goods that come in: Dr 41.01 Cr 60.01, without VAT. Nothing asks how much there is: stock goes below zero.
Money of everybody else is in `other_money`, returns and corrections are in `reversal`; an issued счет-фактура makes
no entry. Sums are whole kopecks in roubles; a document in another currency is converted at its own КурсВзаиморасчетов.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from sandbox.onec.checks import Faults
from sandbox.onec.error import refusal
from sandbox.onec.goods import received_entries
from sandbox.onec.ledger import UNDEFINED_REF, Entry, Reference, Side
from sandbox.onec.model import (
    BANK_ACCOUNTS,
    CASH_RECEIPT,
    CASH_WRITE_OFF,
    CONTRACTS,
    CORRECTION,
    COUNTERPARTIES,
    CURRENCIES,
    EMPTY_REF,
    GOODS_RECEIPT,
    PRODUCTS,
    REALIZATION,
    RECEIPT,
    RETURN,
    SALE_INVOICE,
    WAREHOUSES,
    EntitySet,
    Row,
)
from sandbox.onec.other_money import ACCOUNTS_OF
from sandbox.onec.other_money import entry as other_entry
from sandbox.onec.reversal import COST_PERCENT, reversal

if TYPE_CHECKING:
    from sandbox.onec.base import Base


def entries_of(base: Base, entity: EntitySet, doc: Row) -> list[Entry]:
    """Entries of a whole document. Raises the configuration's refusal (500, -1) with every fault found."""
    faults = Faults(base)
    checks = {
        REALIZATION: faults.realization,
        RETURN: faults.sale_return,
        CORRECTION: faults.correction,
        SALE_INVOICE: faults.sale_invoice,
        GOODS_RECEIPT: faults.goods_receipt,
    }
    checks.get(entity.name, faults.money)(doc)
    if faults.found:
        shown = base.presentation(entity.name, doc)
        raise refusal(f'Не удалось провести "{shown}"!\n' + "\n".join(faults.found))
    if entity.name == REALIZATION:
        return _Sale(base, doc).entries()
    if entity.name in (RETURN, CORRECTION):
        return reversal(base, entity.name, doc)
    if entity.name == GOODS_RECEIPT:
        return received_entries(base, doc)
    return [] if entity.name == SALE_INVOICE else _money_entries(base, entity.name, doc)


class _Sale:
    """Entries of a realization that passed its checks."""

    def __init__(self, base: Base, doc: Row) -> None:
        self.base, self.doc = base, doc
        currency = base.get(CURRENCIES, doc["ВалютаДокумента_Key"]) or {}
        self.foreign = currency.get("Code") != "643"
        multiplicity = _decimal(doc["КратностьВзаиморасчетов"]) or Decimal(1)
        self.rate = _decimal(doc["КурсВзаиморасчетов"]) / multiplicity if self.foreign else Decimal(1)
        self.debt = base.account_code(doc["СчетУчетаРасчетовСКонтрагентом_Key"])
        self.advance = base.account_code(doc["СчетУчетаРасчетовПоАвансам_Key"])
        self.parties = ((COUNTERPARTIES, doc["Контрагент_Key"]), (CONTRACTS, doc["ДоговорКонтрагента_Key"]))
        self.document: Reference = (REALIZATION, doc["Ref_Key"])

    def entries(self) -> list[Entry]:
        found: list[Entry] = []
        gross_total = 0
        for table in ("Товары", "Услуги"):
            for row in self.doc[table]:
                value, vat = _decimal(row["Сумма"]), _decimal(row["СуммаНДС"])
                gross = value if self.doc["СуммаВключаетНДС"] else value + vat
                gross_kopecks, vat_kopecks = self._kopecks(gross), self._kopecks(vat)
                gross_total += gross_kopecks
                found += self._row(table, row, gross, gross_kopecks, vat_kopecks)
        if self.doc["СпособЗачетаАвансов"] in ("", "Автоматически"):
            found += self._set_off(gross_total)
        return found

    def _row(self, table: str, row: Row, gross: Decimal, kopecks: int, vat: int) -> list[Entry]:
        product: Reference = (PRODUCTS, row["Номенклатура_Key"])
        quantity = row["Количество"]
        settlement = (*self.parties, self.document)
        currency_sum = int((gross * 100).to_integral_value()) if self.foreign else 0
        currency = self.doc["ВалютаДокумента_Key"] if self.foreign else EMPTY_REF
        buyer = Side(self.debt, settlement, 0, currency, currency_sum)
        found = [Entry(buyer, Side("90.01.1", _third(product), quantity), kopecks, "Реализация")]
        if vat:
            found.append(Entry(Side("90.03", _third(product)), Side("68.02"), vat, "НДС по реализации"))
        cost = int((Decimal(kopecks - vat) * COST_PERCENT / 100).to_integral_value())
        if table == "Товары" and cost:
            stock = (product, UNDEFINED_REF, (WAREHOUSES, self.doc["Склад_Key"]))
            debit = Side("90.02.1", _third(product), quantity)
            found.append(Entry(debit, Side("41.01", stock, quantity), cost, "Себестоимость товаров"))
        return found

    def _set_off(self, gross: int) -> list[Entry]:
        found = []
        counterparty, contract = self.parties
        for document, balance in list(
            self.base.ledger.open_items(self.advance, counterparty[1], contract[1]).items()
        ):
            used = min(gross, -balance)
            if used <= 0:
                continue
            gross -= used
            debit = Side(self.advance, (*self.parties, document))
            found.append(Entry(debit, Side(self.debt, (*self.parties, self.document)), used, "Зачет аванса"))
        return found

    def _kopecks(self, value: Decimal) -> int:
        return int((value * self.rate * 100).to_integral_value(rounding=ROUND_HALF_UP))


def _money_entries(base: Base, name: str, doc: Row) -> list[Entry]:
    incoming, cash = name in (RECEIPT, CASH_RECEIPT), name in (CASH_RECEIPT, CASH_WRITE_OFF)
    currency = doc["ВалютаДокумента_Key"]
    foreign = (base.get(CURRENCIES, currency) or {}).get("Code") != "643"
    if cash:
        account, place = base.account_code(doc["СчетКасса_Key"]) or "50.01", (UNDEFINED_REF,) * 3
    else:
        account = base.account_code(doc["СчетБанк_Key"]) or ("52" if foreign else "51")
        place = ((BANK_ACCOUNTS, doc["СчетОрганизации_Key"]), UNDEFINED_REF, UNDEFINED_REF)
    if (operation := doc["ВидОперации"]) in ACCOUNTS_OF:
        kopecks = int((_decimal(doc["СуммаДокумента"]) * 100).to_integral_value(rounding=ROUND_HALF_UP))
        return [other_entry(operation, doc, Side(account, place), kopecks, incoming=incoming)]
    document: Reference = (name, doc["Ref_Key"])
    found: list[Entry] = []
    used: dict[tuple[str, Reference], int] = {}

    def enter(party: Side, kopecks: int, rate: Decimal, text: str) -> None:
        cents = int((kopecks / rate).to_integral_value()) if foreign else 0
        kept = currency if foreign else EMPTY_REF
        bank = Side(account, place, 0, kept, cents)
        other = Side(party.account, party.dimensions, 0, kept, cents)
        found.append(Entry(bank, other, kopecks, text) if incoming else Entry(other, bank, kopecks, text))

    for row in doc["РасшифровкаПлатежа"]:
        multiplicity = _decimal(row["КратностьВзаиморасчетов"]) or Decimal(1)
        rate = (_decimal(row["КурсВзаиморасчетов"]) or Decimal(1)) / multiplicity if foreign else Decimal(1)
        left = int((_decimal(row["СуммаПлатежа"]) * rate * 100).to_integral_value(rounding=ROUND_HALF_UP))
        debt = base.account_code(row["СчетУчетаРасчетовСКонтрагентом_Key"])
        advance = base.account_code(row["СчетУчетаРасчетовПоАвансам_Key"])
        parties = ((COUNTERPARTIES, doc["Контрагент"]), (CONTRACTS, row["ДоговорКонтрагента_Key"]))
        settled, sign, rest = (debt, 1, advance) if incoming else (advance, -1, debt)
        text = "Оплата от покупателя" if incoming else "Возврат покупателю"
        for item, balance in _ordered(base, settled, parties, row["СчетНаОплату_Key"]):
            taken = min(left, balance * sign - used.get((settled, item), 0))
            if taken <= 0:
                continue
            used[settled, item] = used.get((settled, item), 0) + taken
            left -= taken
            enter(Side(settled, (*parties, item)), taken, rate, text)
        if left:
            enter(Side(rest, (*parties, document)), left, rate, text)
    return found


def _ordered(
    base: Base, account: str, parties: tuple[Reference, Reference], invoice: str
) -> list[tuple[Reference, int]]:
    """Open documents of the contract: those of the named invoice first, then oldest posting first."""
    items = list(base.ledger.open_items(account, parties[0][1], parties[1][1]).items())
    if invoice == EMPTY_REF:
        return items

    def other(item: tuple[Reference, int]) -> bool:
        name, key = item[0]
        found = base.get(name, key) if name == REALIZATION else None
        return not (found and found.get("СчетНаОплатуПокупателю_Key") == invoice)

    return sorted(items, key=other)


def _third(product: Reference) -> tuple[Reference, Reference, Reference]:
    return (UNDEFINED_REF, UNDEFINED_REF, product)


def _decimal(value: object) -> Decimal:
    return Decimal(str(value))
