"""What posting checks and which entries it makes, as Бухгалтерия предприятия does for sales and bank.

Realization: Dr 62 Cr 90.01.1 (with VAT), Dr 90.03 Cr 68.02 (VAT), for goods Dr 90.02.1 Cr 41.01 (cost), and
Dr 62.02 Cr 62.01 where an advance is set off. Receipt: Dr 51 Cr 62.01 up to the debt, the rest Cr 62.02.
Refund to a buyer: Dr 62.02 up to the advance, the rest Dr 62.01, Cr 51. Sums are whole kopecks in roubles;
a document in another currency is converted at its own КурсВзаиморасчетов.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from sandbox.onec.error import refusal
from sandbox.onec.ledger import UNDEFINED_REF, Entry, Reference, Side
from sandbox.onec.model import (
    BANK_ACCOUNTS,
    CONTRACTS,
    COUNTERPARTIES,
    CURRENCIES,
    EMPTY_REF,
    ORGANIZATIONS,
    PRODUCTS,
    REALIZATION,
    RECEIPT,
    WAREHOUSES,
    EntitySet,
    Row,
)

if TYPE_CHECKING:
    from sandbox.onec.base import Base

COST_PERCENT = 70  # cost of goods, of their net price: the stand-in keeps no batches
VAT_RATES = {"НДС22": 22, "НДС20": 20, "НДС10": 10, "НДС0": 0, "БезНДС": 0}
_DEBT_ACCOUNTS = frozenset({"62.01", "62.21", "62.31"})
_ADVANCE_ACCOUNTS = frozenset({"62.02", "62.22", "62.32"})


def entries_of(base: Base, entity: EntitySet, doc: Row) -> list[Entry]:
    """Entries of a whole document. Raises the configuration's refusal (500, -1) with every fault found."""
    faults = _Faults(base)
    if entity.name == REALIZATION:
        faults.realization(doc)
    else:
        faults.bank(doc)
    if faults.found:
        shown = base.presentation(entity.name, doc)
        raise refusal(f'Не удалось провести "{shown}"!\n' + "\n".join(faults.found))
    if entity.name == REALIZATION:
        return _Sale(base, doc).entries()
    return _bank_entries(base, entity.name, doc)


class _Faults:
    """The fill checks of the configuration; each fault is one line, as in its message window."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.found: list[str] = []

    def realization(self, doc: Row) -> None:
        self._header(doc, doc["Контрагент_Key"])
        goods, services = doc["Товары"], doc["Услуги"]
        if not goods and not services:
            self.found.append('Не введено ни одной строки в список "Товары"')
        if goods and not self._exists(WAREHOUSES, doc["Склад_Key"]):
            self.found.append('Поле "Склад" не заполнено')
        self._account(
            doc["СчетУчетаРасчетовСКонтрагентом_Key"], _DEBT_ACCOUNTS, "Счет учета расчетов с контрагентом"
        )
        self._account(
            doc["СчетУчетаРасчетовПоАвансам_Key"], _ADVANCE_ACCOUNTS, "Счет учета расчетов по авансам"
        )
        total = Decimal(0)
        for table, rows in (("Товары", goods), ("Услуги", services)):
            for row in rows:
                self._sale_row(table, row, doc)
                total += _decimal(row["Сумма"])
                if not doc["СуммаВключаетНДС"]:
                    total += _decimal(row["СуммаНДС"])
        if total != _decimal(doc["СуммаДокумента"]):
            self.found.append(
                f"Сумма документа ({doc['СуммаДокумента']}) не равна сумме строк табличных частей ({total})"
            )

    def bank(self, doc: Row) -> None:
        counterparty = doc["Контрагент"] if doc["Контрагент_Type"].endswith(COUNTERPARTIES) else ""
        self._header(doc, counterparty, contract=False)
        rows = doc["РасшифровкаПлатежа"]
        if not rows:
            self.found.append('Не введено ни одной строки в список "Расшифровка платежа"')
        for row in rows:
            place = f'в строке {row["LineNumber"]} списка "Расшифровка платежа"'
            self._contract(row["ДоговорКонтрагента_Key"], doc, counterparty, place)
            self._account(row["СчетУчетаРасчетовСКонтрагентом_Key"], _DEBT_ACCOUNTS, f"Счет расчетов {place}")
            self._account(row["СчетУчетаРасчетовПоАвансам_Key"], _ADVANCE_ACCOUNTS, f"Счет авансов {place}")
        total = sum((_decimal(row["СуммаПлатежа"]) for row in rows), Decimal(0))
        if total != _decimal(doc["СуммаДокумента"]) or total <= 0:
            self.found.append(f"Сумма документа ({doc['СуммаДокумента']}) не равна сумме платежей ({total})")

    def _header(self, doc: Row, counterparty: str, *, contract: bool = True) -> None:
        for field, name, found in (
            ("Организация", ORGANIZATIONS, doc["Организация_Key"]),
            ("Контрагент", COUNTERPARTIES, counterparty),
            ("Валюта документа", CURRENCIES, doc["ВалютаДокумента_Key"]),
        ):
            if not self._exists(name, found):
                self.found.append(f'Поле "{field}" не заполнено')
        if self._folder(counterparty):
            self.found.append('Поле "Контрагент": выбрана группа')
        if contract:
            self._contract(doc["ДоговорКонтрагента_Key"], doc, counterparty, "")
        currency = self.base.get(CURRENCIES, doc["ВалютаДокумента_Key"])
        if currency and currency["Code"] != "643" and contract and doc["КурсВзаиморасчетов"] <= 0:
            self.found.append('Поле "Курс взаиморасчетов" не заполнено')

    def _contract(self, key: str, doc: Row, counterparty: str, place: str) -> None:
        found = self.base.get(CONTRACTS, key) if key != EMPTY_REF else None
        if found is None:
            self.found.append(f'Поле "Договор" не заполнено {place}'.rstrip())
        elif found.get("Owner_Key") != counterparty:
            self.found.append(f"Договор не принадлежит контрагенту {place}".rstrip())
        elif found.get("Организация_Key") != doc["Организация_Key"]:
            self.found.append(f"Договор не принадлежит организации {place}".rstrip())

    def _sale_row(self, table: str, row: Row, doc: Row) -> None:
        place = f'в строке {row["LineNumber"]} списка "{table}"'
        product = self.base.get(PRODUCTS, row["Номенклатура_Key"])
        if product is None:
            self.found.append(f'Не заполнена колонка "Номенклатура" {place}')
        elif product.get("IsFolder"):
            self.found.append(f'Колонка "Номенклатура" {place}: выбрана группа')
        quantity, price, value = (_decimal(row[n]) for n in ("Количество", "Цена", "Сумма"))
        if quantity <= 0:
            self.found.append(f'Не заполнена колонка "Количество" {place}')
        elif abs(quantity * price - value) > Decimal("0.01"):
            self.found.append(f'Колонка "Сумма" {place} не равна произведению количества и цены')
        self._vat(row, value, place, included=bool(doc["СуммаВключаетНДС"]))
        self._account(row["СчетДоходов_Key"], {"90.01.1"}, f"Счет доходов {place}")
        self._account(row["СчетУчетаНДСПоРеализации_Key"], {"90.03"}, f"Счет НДС {place}")
        if table == "Товары":
            self._account(row["СчетРасходов_Key"], {"90.02.1"}, f"Счет расходов {place}")
            self._account(row["СчетУчета_Key"], {"41.01", "43", "10.01"}, f"Счет учета {place}")

    def _vat(self, row: Row, value: Decimal, place: str, *, included: bool) -> None:
        rate = VAT_RATES.get(row["СтавкаНДС"])
        if rate is None:
            self.found.append(f'Не заполнена колонка "Ставка НДС" {place}')
            return
        expected = value * rate / (100 + rate) if included else value * rate / 100
        if abs(expected - _decimal(row["СуммаНДС"])) > Decimal("0.01"):
            self.found.append(f'Колонка "Сумма НДС" {place} не соответствует ставке НДС')

    def _account(self, key: str, allowed: set[str] | frozenset[str], label: str) -> None:
        code = self.base.account_code(key) if key != EMPTY_REF else ""
        if not code:
            self.found.append(f"Не заполнено: {label}")
        elif code not in allowed:
            self.found.append(f"Недопустимый счет {code}: {label}")

    def _exists(self, name: str, key: str) -> bool:
        return bool(key) and key != EMPTY_REF and key in self.base.rows[name]

    def _folder(self, key: str) -> bool:
        found = self.base.get(COUNTERPARTIES, key) if key else None
        return bool(found and found.get("IsFolder"))


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


def _bank_entries(base: Base, name: str, doc: Row) -> list[Entry]:
    incoming = name == RECEIPT
    currency = doc["ВалютаДокумента_Key"]
    foreign = (base.get(CURRENCIES, currency) or {}).get("Code") != "643"
    account = base.account_code(doc["СчетБанк_Key"]) or ("52" if foreign else "51")
    place = ((BANK_ACCOUNTS, doc["СчетОрганизации_Key"]), UNDEFINED_REF, UNDEFINED_REF)
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
