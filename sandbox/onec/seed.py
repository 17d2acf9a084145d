"""What the base holds before anybody connects to it: catalogs, accounts, old documents, opening balances.

Keys are computed from the company's seed, so two sandboxes of one seed hold the same references.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from sandbox.company import prices
from sandbox.company.growth import currency_of
from sandbox.company.model import HISTORY_DAYS, Company, Party, Product, main_vat_rate
from sandbox.onec import other_money
from sandbox.onec.accounting import SETS
from sandbox.onec.base import Base
from sandbox.onec.documents import Payment, SaleLine, bank_document, contracts_by_owner, currency, realization
from sandbox.onec.goods import set_prices
from sandbox.onec.ledger import UNDEFINED_REF, Entry, Side
from sandbox.onec.model import (
    ACCOUNTS,
    BANK_ACCOUNTS,
    CONTRACTS,
    COUNTERPARTIES,
    CURRENCIES,
    ORGANIZATIONS,
    PRICE_TYPES,
    PRODUCTS,
    REALIZATION,
    RECEIPT,
    UNITS,
    WAREHOUSES,
    Row,
)
from sandbox.onec.register import BATCHES, ext_dimension_kind

NAMESPACE = uuid.UUID("2d1c0b7a-90f4-5d9b-8f4e-6f2f7a1f3c10")
OPENING = "Document_ВводНачальныхОстатков"  # a recorder that is not published
OLD_DOCUMENTS = 12
CHART = (
    ("000", "Вспомогательный счет", ()),
    ("002", "Товарно-материальные ценности, принятые на ответственное хранение", (COUNTERPARTIES, PRODUCTS)),
    ("МЦ.04", "Инвентарь и хозяйственные принадлежности в эксплуатации", (PRODUCTS,)),
    ("10.01", "Сырье и материалы", (PRODUCTS, BATCHES, WAREHOUSES)),
    ("41", "Товары", ()),
    ("41.01", "Товары на складах", (PRODUCTS, BATCHES, WAREHOUSES)),
    ("43", "Готовая продукция", (PRODUCTS, BATCHES, WAREHOUSES)),
    ("50.01", "Касса организации", ()),
    ("51", "Расчетные счета", (BANK_ACCOUNTS,)),
    ("52", "Валютные счета", (BANK_ACCOUNTS,)),
    ("60.01", "Расчеты с поставщиками и подрядчиками", (COUNTERPARTIES, CONTRACTS, "Document")),
    ("60.02", "Расчеты по авансам выданным", (COUNTERPARTIES, CONTRACTS, "Document")),
    ("62", "Расчеты с покупателями и заказчиками", ()),
    ("62.01", "Расчеты с покупателями и заказчиками", (COUNTERPARTIES, CONTRACTS, "Document")),
    ("62.02", "Расчеты по авансам полученным", (COUNTERPARTIES, CONTRACTS, "Document")),
    ("62.21", "Расчеты с покупателями и заказчиками (в валюте)", (COUNTERPARTIES, CONTRACTS, "Document")),
    ("62.22", "Расчеты по авансам полученным (в валюте)", (COUNTERPARTIES, CONTRACTS, "Document")),
    ("68.02", "Налог на добавленную стоимость", ()),
    ("76.09", "Прочие расчеты с разными дебиторами и кредиторами", (COUNTERPARTIES, CONTRACTS)),
    ("90", "Продажи", ()),
    ("90.01.1", "Выручка по деятельности с основной системой налогообложения", ("", "", PRODUCTS)),
    ("90.02.1", "Себестоимость продаж", ("", "", PRODUCTS)),
    ("90.03", "Налог на добавленную стоимость", ("", "", PRODUCTS)),
    ("91.01", "Прочие доходы", ()),
    ("91.02", "Прочие расходы", ()),
)
# An entry on these has one side. 000 is of the balance: openings stand against it.
OFF_BALANCE = ("002", "МЦ.04")
_CURRENCIES = (("643", "руб.", "Российский рубль"), ("840", "USD", "Доллар США"), ("978", "EUR", "Евро"))
_CURRENCY_CODES = {"RUB": "643", "USD": "840", "EUR": "978"}
_RATE_BASES = {"840": Decimal("84.5"), "978": Decimal("94.2")}
_UNITS = {
    "796": ("шт", "Штука"),
    "356": ("ч", "Час"),
    "876": ("усл. ед", "Условная единица"),
    "006": ("м", "Метр"),
    "166": ("кг", "Килограмм"),
    "778": ("упак", "Упаковка"),
}
PLACES = ("Основной склад", "Склад № 2 (Химки)")
_SUPPLIERS = ("ЭНЕРГОСБЫТ ПАО", "ДЕЛОВОЙ ПАРК ООО", "КАНЦЕЛЯРИЯ ПЛЮС ООО", "УФК ПО Г. МОСКВЕ", "БАНК ПАО")


def fill(company: Company, base: Base, *, bare: bool = False) -> None:
    """Fill an empty base. A base that holds an organization already is left alone."""
    if base.rows[ORGANIZATIONS]:
        return
    with base.store.together():
        seeding = _Seeding(company, base)
        seeding.frame()
        add_rates(base, company.today - timedelta(days=HISTORY_DAYS + 30), company.today)
        if bare:
            return
        seeding.counterparties()
        seeding.products()
        seeding.prices()
        seeding.opening()
        seeding.old_documents()
        seeding.other_money()


def add_rates(base: Base, start: date, end: date) -> int:
    """Rates of USD and EUR for every day of [start, end] that has none; returns how many were added."""
    added = 0
    for code, average in _RATE_BASES.items():
        key = currency(base, code)
        for offset in range((end - start).days + 1):
            day = start + timedelta(days=offset)
            place = f"{key}:{day.isoformat()}"
            if place in base.rates:
                continue
            digest = hashlib.sha256(f"{code}{day.toordinal() // 3}".encode()).digest()
            rate = average + Decimal(int.from_bytes(digest[:2], "big") % 60_000 - 30_000) / 10_000
            moment = f"{day.isoformat()}T00:00:00"
            base.rates.put(
                place, {"Period": moment, "Валюта_Key": key, "Курс": float(rate), "Кратность": "1"}
            )
            added += 1
    return added


class _Seeding:
    def __init__(self, company: Company, base: Base) -> None:
        self._company, self._base = company, base
        self._rng = random.Random(f"{company.seed}:onec")

    def key(self, *parts: str) -> str:
        return str(uuid.uuid5(NAMESPACE, ":".join((str(self._company.seed), *parts))))

    def _write(self, name: str, key: str, row: Row) -> str:
        self._base.create(SETS[name], {**row, "Ref_Key": key})
        return key

    def frame(self) -> None:
        """Currencies, units, accounts, warehouses, the organization and its bank account."""
        own = self._company.own
        for code, short, full in _CURRENCIES:
            body = {"Code": code, "Description": short, "НаименованиеПолное": full}
            self._write(CURRENCIES, self.key("currency", code), body)
        okei = {p.okei: (p.unit, p.unit) for p in self._company.products.values()} | _UNITS
        for code, (short, full) in sorted(okei.items()):
            self._write(
                UNITS,
                self.key("unit", code),
                {"Code": code, "Description": short, "НаименованиеПолное": full},
            )
        for code, name, dimensions in (*CHART, *other_money.CHART):
            self._account(code, name, dimensions)
        account = self.key("bank", "own")
        organization = {
            "Code": "00-000001",
            "Description": own.name,
            "НаименованиеСокращенное": own.name,
            "НаименованиеПолное": full_name(own),
            "ЮридическоеФизическоеЛицо": "ЮридическоеЛицо",
            "ИНН": own.inn,
            "КПП": own.kpp,
            "ОГРН": own.ogrn,
            "ОсновнойБанковскийСчет_Key": account,
        }
        self._organization = self._write(ORGANIZATIONS, self.key("organization"), organization)
        self._write(
            BANK_ACCOUNTS,
            account,
            {
                "Owner": self._organization,
                "Owner_Type": f"StandardODATA.{ORGANIZATIONS}",
                "Description": "Основной расчетный счет",
                "НомерСчета": "40702810900000012345",
                "ВалютаДенежныхСредств_Key": currency(self._base, "643"),
                "ВидСчета": "Расчетный",
            },
        )
        for name in PLACES:
            self._write(
                WAREHOUSES, self.key("warehouse", name), {"Description": name, "ТипСклада": "ОптовыйСклад"}
            )

    def counterparties(self) -> None:
        buyers = self._folder(COUNTERPARTIES, "Покупатели")
        suppliers = self._folder(COUNTERPARTIES, "Поставщики")
        for party in self._known(self._company.parties.values()):
            key = self._counterparty(party, buyers)
            self._contracts(party, key)
            if self._rng.random() < 0.04:
                self._duplicate(party, buyers, key)
        for name in _SUPPLIERS:
            body: Row = {"Description": name, "НаименованиеПолное": name, "Parent_Key": suppliers}
            self._write(COUNTERPARTIES, self.key("supplier", name), body)

    def products(self) -> None:
        folders = {
            service: self._folder(PRODUCTS, "Услуги" if service else "Товары") for service in (False, True)
        }
        for product in (p for p in self._company.products.values() if p.known_to_accounting):
            body = {
                "Parent_Key": folders[product.is_service],
                "Description": product.accounting_name,
                "НаименованиеПолное": product.accounting_name,
                "Артикул": product.code,
                "ЕдиницаИзмерения_Key": self.key("unit", product.okei),
                "Услуга": product.is_service,
                "ВидСтавкиНДС": {10: "Пониженная", 0: "БезНДС"}.get(product.vat_rate, "Общая"),
            }
            self._write(PRODUCTS, self.product_key(product), body)

    def prices(self) -> None:
        """A type of prices for each list, the documents that set them, and those by which a few drifted later."""
        rouble = currency(self._base, "643")
        day = self._company.today - timedelta(days=HISTORY_DAYS + 31)
        for price_list, title in prices.LIST_NAMES.items():
            body = {"Description": title, "ВалютаЦены_Key": rouble, "ЦенаВключаетНДС": True}
            self._write(PRICE_TYPES, self.key("prices", price_list), body)
        known = [product for product in self._company.products.values() if product.known_to_accounting]
        for price_list in prices.LIST_NAMES:
            listed = ((product.id, prices.listed(product, price_list)) for product in known)
            rows = [(product, price) for product, price in listed if price is not None]
            self._set_prices(price_list, day, rows)
        for drift in prices.drifts(self._company):
            self._set_prices(drift.price_list, drift.since, [(drift.product, drift.accounting)])
            place = f"price_drift:{drift.product}:{drift.price_list}"
            self._base.record(place, document=self.key("product", drift.product), **drift.told(self._company))

    def _set_prices(self, price_list: str, day: date, found: list[tuple[str, Decimal]]) -> None:
        rows = [(self.key("product", product), price) for product, price in found]
        about = f"{self._company.seed}:{price_list}:{day}:{found[0][0] if found else ''}"
        set_prices(self._base, self.key("prices", price_list), f"{day}T00:00:00", rows, about)

    def opening(self) -> None:
        """Money and stock against account 000, and inventory off balance, by a recorder that is not published."""
        day = self._company.today - timedelta(days=HISTORY_DAYS + 31)
        warehouse, second = ((WAREHOUSES, self.key("warehouse", name)) for name in PLACES)
        money = ((BANK_ACCOUNTS, self.key("bank", "own")), UNDEFINED_REF, UNDEFINED_REF)
        entries = [Entry(Side("51", money), Side("000"), 500_000_000, "Ввод остатков")]
        for product in self._company.products.values():
            if product.known_to_accounting and not product.is_service:
                cost = int(product.price * 100 * 70 / 122) * 10_000
                place = ((PRODUCTS, self.product_key(product)), UNDEFINED_REF, warehouse)
                entries.append(Entry(Side("41.01", place, 10_000), Side("000"), cost, "Ввод остатков"))
                if prices.lies_in_two_places(self._company, product):
                    held = int(prices.SECOND_PLACE)
                    place = (place[0], UNDEFINED_REF, second)
                    worth = cost // 10_000 * held
                    entries.append(Entry(Side("41.01", place, held), Side("000"), worth, "Ввод остатков"))
        entries.append(Entry(Side("МЦ.04"), Side(""), 1_234_500, "Ввод остатков"))
        moment = f"{day.isoformat()}T00:00:00"
        self._base.ledger.put(self.key("opening"), OPENING, moment, self._organization, entries)

    def old_documents(self) -> None:
        """Sales and payments of before the integration; nobody's deal stands behind them."""
        contracts = sorted(contracts_by_owner(self._base).items())
        goods = [p for p in self._company.products.values() if p.known_to_accounting and not p.is_service]
        for number in range(min(OLD_DOCUMENTS, len(contracts)) if goods else 0):
            counterparty, contract = contracts[number * len(contracts) // OLD_DOCUMENTS % len(contracts)]
            day = self._company.today - timedelta(days=HISTORY_DAYS - number)
            product = goods[number % len(goods)]
            rate = main_vat_rate(day) if product.vat_rate not in (0, 10) else product.vat_rate
            line = SaleLine(self.product_key(product), Decimal(number % 5 + 1), product.price, rate)
            key = self.key("old", "sale", str(number))
            body = realization(self._base, key, day, (counterparty, contract), [line])
            self._base.create(SETS[REALIZATION], body)
            self._base.post(SETS[REALIZATION], key)
            paid = number % 3 != 0
            if paid:
                amount = Decimal(str(body["СуммаДокумента"]))
                receipt_key = self.key("old", "receipt", str(number))
                payment = Payment(
                    receipt_key, day + timedelta(days=9), amount, counterparty, contract, "Оплата за товар"
                )
                self._base.create(SETS[RECEIPT], bank_document(self._base, payment, "ОплатаПокупателя"))
                self._base.post(SETS[RECEIPT], receipt_key)
            self._base.record(f"foreign:{key}", act="foreign", set=REALIZATION, document=key, paid=paid)

    def other_money(self) -> None:
        """Money of everybody but buyers, with one who buys too and of what he owes: it settles none of that."""
        sales = [row for row in self._base.rows[REALIZATION].values() if row["Posted"]]
        if not sales:
            return
        amount, day = Decimal(str(sales[0]["СуммаДокумента"])), date.fromisoformat(sales[0]["Date"][:10])
        parties = (sales[0]["Контрагент_Key"], sales[0]["ДоговорКонтрагента_Key"])
        bank = self.key("supplier", "БАНК ПАО")
        for name, operation, planned in other_money.history(parties, bank, amount, day + timedelta(days=3)):
            payment = replace(planned, key=self.key("other", "money", planned.key))
            body = other_money.document(self._base, payment, operation)
            self._base.create(SETS[name], body)
            self._base.post(SETS[name], payment.key)
            self._base.record(
                f"other_money:{payment.key}",
                act="other_money",
                set=name,
                document=payment.key,
                operation=operation,
            )

    def product_key(self, product: Product) -> str:
        return self.key("product", product.id)

    def _known(self, parties: Iterable[Party]) -> Iterable[Party]:
        return (party for party in parties if party.known_to_accounting)

    def _folder(self, name: str, title: str) -> str:
        return self._write(name, self.key("folder", name, title), {"IsFolder": True, "Description": title})

    def _counterparty(self, party: Party, folder: str, *parts: str, **more: object) -> str:
        person = party.legal_form == "ИП"
        key = self.key("party", party.id, *parts)
        contact = {
            "LineNumber": "1",
            "Тип": "Телефон",
            "Представление": party.phone,
            "НомерТелефона": party.phone.lstrip("+"),
        }
        mail = {
            "LineNumber": "2",
            "Тип": "АдресЭлектроннойПочты",
            "Представление": party.email,
            "АдресЭП": party.email,
        }
        body: Row = {
            "Parent_Key": folder,
            "Description": short_name(party),
            "НаименованиеПолное": full_name(party),
            "ЮридическоеФизическоеЛицо": "ФизическоеЛицо" if person else "ЮридическоеЛицо",
            "ИНН": party.inn,
            "КПП": party.kpp,
            "РасширенноеПредставлениеИНН": party.inn,
            "РасширенноеПредставлениеКПП": party.kpp,
            "ИННВведенКорректно": bool(party.inn),
            "КППВведенКорректно": bool(party.kpp),
            "РегистрационныйНомер": party.ogrn,
            "ГоловнойКонтрагент_Key": key,
            "КонтактнаяИнформация": [row for row in (contact, mail) if row["Представление"]],
        }
        return self._write(COUNTERPARTIES, key, {**body, **more})

    def _contracts(self, party: Party, owner: str) -> None:
        code = _CURRENCY_CODES.get(currency_of(party), "643")
        common: Row = {
            "Owner_Key": owner,
            "Организация_Key": self._organization,
            "ВидДоговора": "СПокупателем",
            "ВалютаВзаиморасчетов_Key": currency(self._base, code),
            "Валютный": code != "643",
            "СуммаВключаетНДС": True,
        }
        self._write(CONTRACTS, self.key("contract", party.id), {**common, "Description": "Основной договор"})
        draw = self._rng.random()
        if draw < 0.08:
            signed = self._company.today - timedelta(days=200 + int(draw * 1000))
            number = f"{int(draw * 1000) + 1}/{signed.year % 100}"
            title = f"Договор поставки № {number} от {signed.strftime('%d.%m.%Y')}"
            body = {**common, "Description": title, "Номер": number, "Дата": f"{signed.isoformat()}T00:00:00"}
            self._write(CONTRACTS, self.key("contract", party.id, "second"), body)
            self._base.record(
                f"two_contracts:{owner}", act="two_contracts", counterparty=owner, party=party.id
            )
        elif draw > 0.96:
            supplier = {**common, "Description": "С поставщиком", "ВидДоговора": "СПоставщиком"}
            self._write(CONTRACTS, self.key("contract", party.id, "supplier"), supplier)

    def _duplicate(self, party: Party, folder: str, key: str) -> None:
        marked = self._rng.random() < 0.8
        copy = self._counterparty(party, folder, "duplicate", DeletionMark=marked)
        self._base.record(
            f"duplicate:{copy}", act="duplicate", counterparty=key, copy=copy, marked=marked, party=party.id
        )

    def _account(self, code: str, name: str, dimensions: tuple[str, ...]) -> None:
        kinds = [
            {"LineNumber": str(n), "ExtDimensionType_Key": ext_dimension_kind(kind)}
            for n, kind in enumerate(dimensions, 1)
            if kind
        ]
        body = {
            "Code": code,
            "Description": name,
            "НаименованиеПолное": name,
            "Order": code.replace(".", " "),
            "Type": {"41": "Active", "51": "Active", "68": "ActivePassive"}.get(code[:2], "ActivePassive"),
            "OffBalance": code in OFF_BALANCE,
            "Количественный": code.startswith(("10.", "41", "43")),
            "Валютный": code in ("52", "62.21", "62.22"),
            "ExtDimensionTypes": kinds,
        }
        self._write(ACCOUNTS, self.key("account", code), body)


def short_name(party: Party) -> str:
    """How accounting lists a counterparty: РОМАШКА ООО."""
    if party.legal_form and party.name.startswith(party.legal_form + " "):
        bare = party.name.removeprefix(party.legal_form + " ")
        for sign in '«»"“”':
            bare = bare.replace(sign, "")
        return f"{bare if party.legal_form == 'ИП' else bare.upper()} {party.legal_form}"
    return party.name


def full_name(party: Party) -> str:
    """The full name: ООО "РОМАШКА", Индивидуальный предприниматель Иванов Иван Иванович."""
    if party.legal_form == "ИП":
        return party.name.replace("ИП ", "Индивидуальный предприниматель ", 1)
    if party.country != "RU":
        return party.name
    bare = party.name.replace("«", '"').replace("»", '"')
    head, _, tail = bare.partition(" ")
    return f"{head} {tail.upper()}" if tail else bare
