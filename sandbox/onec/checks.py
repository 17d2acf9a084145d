"""The fill checks that Бухгалтерия предприятия makes before it posts; each fault is a line of its message."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from sandbox.onec.model import (
    CONTRACTS,
    COUNTERPARTIES,
    CURRENCIES,
    EMPTY_REF,
    ORGANIZATIONS,
    PRODUCTS,
    WAREHOUSES,
    Row,
)
from sandbox.onec.other_money import ACCOUNTS_OF
from sandbox.onec.rules import VAT_WORDS

if TYPE_CHECKING:
    from sandbox.onec.base import Base

_DEBT_ACCOUNTS = frozenset({"62.01", "62.21", "62.31"})
_ADVANCE_ACCOUNTS = frozenset({"62.02", "62.22", "62.32"})


class Faults:
    """The fill checks of the configuration; each fault is one line, as in its message window."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.found: list[str] = []

    def sale_invoice(self, doc: Row) -> None:
        """An issued счет-фактура stands on posted documents of its own counterparty."""
        if not self._exists(COUNTERPARTIES, doc["Контрагент_Key"]):
            self.found.append('Поле "Контрагент" не заполнено')
        bases = [doc, *doc["ДокументыОснования"]]
        named = [self._named(row, "ДокументОснование") for row in bases if row["ДокументОснование"]]
        if not named:
            self.found.append('Поле "Документ-основание" не заполнено')
        for basis in named:
            if basis is None or not basis.get("Posted"):
                self.found.append('Поле "Документ-основание": документ не проведен')
            elif self._party(basis) != doc["Контрагент_Key"]:
                self.found.append("Документ-основание принадлежит другому контрагенту")

    def sale_return(self, doc: Row) -> None:
        """Goods come back: not more than the sale in Сделка sold, when it is named."""
        self.realization(doc)
        sale = self._named(doc, "Сделка")
        if doc["Сделка"]:
            self._sale(doc, sale, "Документ отгрузки")
        if sale is not None:
            sold = _quantities(sale)
            for product, quantity in _quantities(doc).items():
                if quantity > sold.get(product, Decimal(0)):
                    self.found.append("Возвращается больше, чем продано по документу отгрузки")

    def correction(self, doc: Row) -> None:
        """A correction of a posted sale: rows after agree with themselves, rows before with the sale."""
        self._header(doc, doc["Контрагент_Key"])
        sale = self._named(doc, "ДокументРеализации")
        self._sale(doc, sale, "Документ реализации")
        self._settlement(doc)
        rows = [(table, row) for table in ("Товары", "Услуги") for row in doc[table]]
        if not rows:
            self.found.append('Не введено ни одной строки в список "Товары"')
        total = before = Decimal(0)
        sold = _quantities(sale) if sale is not None else {}
        for table, row in rows:
            self._sale_row(table, row, doc, zero=True)
            taxed = bool(doc["СуммаВключаетНДС"])
            total += _decimal(row["Сумма"]) + (0 if taxed else _decimal(row["СуммаНДС"]))
            before += _decimal(row["СуммаДоИзменения"]) + (
                0 if taxed else _decimal(row["СуммаНДСДоИзменения"])
            )
            if sale is not None and row["Номенклатура_Key"] not in sold:
                self.found.append(
                    f'Номенклатуры строки {row["LineNumber"]} списка "{table}" нет в реализации'
                )
        # Whether the header says the sum after or the difference is unconfirmed for a release: both are taken.
        if _decimal(doc["СуммаДокумента"]) not in (total, total - before):
            self.found.append(f"Сумма документа ({doc['СуммаДокумента']}) не равна сумме строк ({total})")

    def _sale(self, doc: Row, sale: Row | None, field: str) -> None:
        if sale is None:
            self.found.append(f'Поле "{field}" не заполнено')
        elif not sale.get("Posted"):
            self.found.append(f'Поле "{field}": документ не проведен')
        elif self._party(sale) != doc["Контрагент_Key"]:
            self.found.append(f'Поле "{field}": документ другого контрагента')

    def _named(self, row: Row, field: str) -> Row | None:
        """The document that a composite names, sparse."""
        name = row[f"{field}_Type"].removeprefix("StandardODATA.")
        return self.base.get(name, row[field]) if name in self.base.rows else None

    def _party(self, document: Row) -> str:
        return str(document.get("Контрагент_Key") or document.get("Контрагент", ""))

    def _settlement(self, doc: Row) -> None:
        self._account(
            doc["СчетУчетаРасчетовСКонтрагентом_Key"], _DEBT_ACCOUNTS, "Счет учета расчетов с контрагентом"
        )
        self._account(
            doc["СчетУчетаРасчетовПоАвансам_Key"], _ADVANCE_ACCOUNTS, "Счет учета расчетов по авансам"
        )

    def realization(self, doc: Row) -> None:
        self._header(doc, doc["Контрагент_Key"])
        goods, services = doc["Товары"], doc.get("Услуги", ())
        if not goods and not services:
            self.found.append('Не введено ни одной строки в список "Товары"')
        if goods and not self._exists(WAREHOUSES, doc["Склад_Key"]):
            self.found.append('Поле "Склад" не заполнено')
        self._settlement(doc)
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

    def goods_receipt(self, doc: Row) -> None:
        """Goods come in at a warehouse; the stand-in takes sums without VAT alone."""
        for field, name in (("Организация", ORGANIZATIONS), ("Склад", WAREHOUSES)):
            if not self._exists(name, doc[f"{field}_Key"]):
                self.found.append(f'Поле "{field}" не заполнено')
        if not doc["Товары"]:
            self.found.append('Не введено ни одной строки в список "Товары"')
        for row in doc["Товары"]:
            place = f'в строке {row["LineNumber"]} списка "Товары"'
            if not self._exists(PRODUCTS, row["Номенклатура_Key"]):
                self.found.append(f'Не заполнена колонка "Номенклатура" {place}')
            if _decimal(row["Количество"]) <= 0:
                self.found.append(f'Не заполнена колонка "Количество" {place}')
            if _decimal(row["СуммаНДС"]):
                self.found.append(f'Колонка "Сумма НДС" {place} должна быть пуста')

    def money(self, doc: Row) -> None:
        if (
            doc["ВидОперации"] in ACCOUNTS_OF
        ):  # of everybody but buyers: no contract with a buyer, no breakdown
            if not self._exists(ORGANIZATIONS, doc["Организация_Key"]):
                self.found.append('Поле "Организация" не заполнено')
            if _decimal(doc["СуммаДокумента"]) <= 0:
                self.found.append('Поле "Сумма" не заполнено')
            return
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

    def _sale_row(self, table: str, row: Row, doc: Row, *, zero: bool = False) -> None:
        place = f'в строке {row["LineNumber"]} списка "{table}"'
        product = self.base.get(PRODUCTS, row["Номенклатура_Key"])
        if product is None:
            self.found.append(f'Не заполнена колонка "Номенклатура" {place}')
        elif product.get("IsFolder"):
            self.found.append(f'Колонка "Номенклатура" {place}: выбрана группа')
        quantity, price, value = (_decimal(row[n]) for n in ("Количество", "Цена", "Сумма"))
        if quantity < 0 or (quantity == 0 and not zero):
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
        rate = VAT_WORDS.get(row["СтавкаНДС"])
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


def _quantities(document: Row) -> dict[str, Decimal]:
    """Quantity by product over the goods and services of a document, sparse or full."""
    found: dict[str, Decimal] = {}
    for table in ("Товары", "Услуги"):
        for row in document.get(table, ()):
            product = row.get("Номенклатура_Key", EMPTY_REF)
            found[product] = found.get(product, Decimal(0)) + _decimal(row.get("Количество", 0))
    return found


def _decimal(value: object) -> Decimal:
    return Decimal(str(value))
