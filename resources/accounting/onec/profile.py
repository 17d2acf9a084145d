"""Which published sets of a 1C configuration hold our entities: data, not code.

A base that was changed is another mapping of the same shape, from a connection's YAML; see `Profile.read`. Names
are those of the configurations; which of them no public source confirms is said in docs/connectors/onec.md. An entity
that no mapping file reads is never asked for, so a profile may name more than a base publishes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["object", "document", "rows", "entries", "prices", "balance", "latest"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entity lives. `object` (catalogs, charts) and `document` have Ref_Key and DataVersion;
    `rows` (an independent register) has neither and is named by `key`; `entries` are ledger entries; `prices` those of a
    register of prices, see `prices.py`;
    `balance` and `latest` are a register's virtual tables of what is so at a moment: always read whole."""

    entity: str
    set: str
    kind: Kind
    key: tuple[str, ...] = ("Ref_Key",)
    period: str = ""  # the business time that bounds a window of re-reading


@dataclass(frozen=True, slots=True)
class Profile:
    """What a configuration of 1C calls things: data, so that another configuration is another profile."""

    places: Mapping[str, Place]
    recorders: Sequence[str] = ()  # documents whose entries we follow
    balance_accounts: Sequence[str] = ()  # of a ledger: whose balances `balance` is
    stock_accounts: Sequence[str] = ()  # likewise of `stock`
    probe: str = ""  # the catalog in which check() tries whether our own Ref_Key is honoured
    closed_dates: str = ""  # the register of dates before which changes are forbidden
    closed_period: str = ""  # regular expression of its refusal, where ours does not know it
    required: Mapping[str, Sequence[str]] = field(default_factory=dict)  # properties by entity
    dimensions: Mapping[str, str] = field(default_factory=dict)  # of balances: to what they are added up
    series: Mapping[str, Sequence[str]] = field(
        default_factory=dict
    )  # of prices: what tells one from another
    named: Mapping[str, str] = field(default_factory=dict)  # a field that bodies fill with a name: whose name
    partners: Mapping[str, Any] = field(
        default_factory=dict
    )  # see `partners.py`; empty: a party is one record

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Profile:
        """Build a profile from plain data: `{"sets": {entity: set name}, "recorders": [...], ...}`.

        `{"like": "accounting_3", ...}` begins with another and replaces what is given, sets one by one.
        Raises ValueError naming what is wrong, KeyError for an unknown name under `like`.
        """
        if "like" in given:
            base = PROFILES[given["like"]]
            sets = {**base["sets"], **given.get("sets", {})}
            given = {**base, **{k: v for k, v in given.items() if k != "like"}, "sets": sets}
        unknown = set(given) - {"sets", *cls.__slots__} | (set(given) & {"places"})
        if unknown or not given.get("sets"):
            raise ValueError(
                f"a 1C profile needs `sets` and knows no {', '.join(sorted(unknown)) or 'others'}"
            )
        places = {entity: _place(entity, name) for entity, name in given["sets"].items()}
        strangers = [name for name in given.get("recorders", ()) if name not in places]
        if strangers:
            raise ValueError(f"recorders of a 1C profile that are not in its sets: {', '.join(strangers)}")
        absent = {*given.get("named", {}).values(), *filter(None, [given.get("partners", {}).get("entity")])}
        if absent - set(places):
            raise ValueError(
                f"a 1C profile speaks of {', '.join(sorted(absent - set(places)))}; name its set"
            )
        try:
            re.compile(given.get("closed_period", ""))
        except re.error as error:
            raise ValueError(f"closed_period is no regular expression: {error}") from None
        return cls(places=places, **{name: value for name, value in given.items() if name != "sets"})


def _place(entity: str, name: str) -> Place:
    if name.endswith("/Balance"):
        return Place(entity, name.removesuffix("/Balance"), "balance", ())
    if name.endswith(("/SliceLast", "/SliceLast()")):
        return Place(entity, name.removesuffix("()").removesuffix("/SliceLast"), "latest", ())
    if name.startswith("Document_"):
        return Place(entity, name, "document", period="Date")
    if name.startswith("AccountingRegister_"):
        return Place(entity, name, "entries", ("Recorder", "LineNumber"), "Period")
    if name.startswith("InformationRegister_") and entity == "price":
        return Place(entity, name, "prices", ("Номенклатура_Key", "Period"), "Period")
    if name.startswith("InformationRegister_"):
        return Place(entity, name, "rows", ("Period", "Валюта_Key"), "Period")
    if name.startswith(("Catalog_", "ChartOf")):
        return Place(entity, name, "object")
    raise ValueError(f"{entity}: no way is known to read the 1C set {name!r}")


# Dimensions of a register of prices, as the configurations call them; a row has some of these.
OF_A_PRICE: Mapping[str, Sequence[str]] = {
    "price": (
        "Номенклатура_Key", "ТипЦен_Key", "ВидЦен_Key", "ВидЦены_Key", "Характеристика_Key", "ХарактеристикаЦО_Key",
        "СерияЦО_Key", "УпаковкаЦО_Key",
    ),
}  # fmt: skip

ACCOUNTING_3: Mapping[str, Any] = {  # Бухгалтерия предприятия 3.0: it knows no orders
    "sets": {
        "organization": "Catalog_Организации",
        "counterparty": "Catalog_Контрагенты",
        "contract": "Catalog_ДоговорыКонтрагентов",
        "product": "Catalog_Номенклатура",
        "unit": "Catalog_КлассификаторЕдиницИзмерения",
        "currency": "Catalog_Валюты",
        "currency_rate": "InformationRegister_КурсыВалют",
        "warehouse": "Catalog_Склады",
        "account": "ChartOfAccounts_Хозрасчетный",
        "invoice": "Document_СчетНаОплатуПокупателю",
        "realization": "Document_РеализацияТоваровУслуг",
        "vat_invoice": "Document_СчетФактураВыданный",
        "correction": "Document_КорректировкаРеализации",
        "return": "Document_ВозвратТоваровОтПокупателя",
        "payment": "Document_ПоступлениеНаРасчетныйСчет",
        "refund": "Document_СписаниеСРасчетногоСчета",
        "cash_receipt": "Document_ПриходныйКассовыйОрдер",
        "cash_payment": "Document_РасходныйКассовыйОрдер",
        "entry": "AccountingRegister_Хозрасчетный_RecordType",
        "balance": "AccountingRegister_Хозрасчетный/Balance",
        "price_type": "Catalog_ТипыЦенНоменклатуры",
        "price": "InformationRegister_ЦеныНоменклатуры",
        "stock": "AccountingRegister_Хозрасчетный/Balance",
    },
    "recorders": [
        "realization", "correction", "return", "payment", "refund", "cash_receipt", "cash_payment",
    ],
    # settlements and banks in roubles and in currency; revenue (entries stand on 90.01.1, not on its group)
    "balance_accounts": ["62.01", "62.02", "62.21", "62.22", "50", "50.01", "51", "52", "90.01", "90.01.1"],
    "stock_accounts": ["10", "41.01", "41.02", "43"],
    "series": OF_A_PRICE,
    "probe": "product",
    "closed_dates": "InformationRegister_ДатыЗапретаИзменения",
    "required": {
        "counterparty": ["Description", "НаименованиеПолное", "ИНН", "КПП", "ЮридическоеФизическоеЛицо"],
        "contract": ["Owner_Key", "Организация_Key", "ВидДоговора", "ВалютаВзаиморасчетов_Key"],
        "product": ["Description", "НаименованиеПолное", "Артикул"],
        "invoice": ["Date", "Организация_Key", "Контрагент_Key", "СуммаДокумента", "Товары"],
        "realization": ["Date", "Организация_Key", "Контрагент_Key", "ДоговорКонтрагента_Key",
                        "ВалютаДокумента_Key", "СуммаВключаетНДС", "СуммаДокумента", "Товары", "Услуги"],
        "payment": ["Date", "СуммаДокумента", "РасшифровкаПлатежа"],
        "entry": ["Period", "Recorder", "LineNumber", "AccountDr_Key", "AccountCr_Key", "Сумма"],
    },
}  # fmt: skip

# Управление торговлей 11, Комплексная автоматизация 2, ERP 2: whom we sell to (партнёр) and who signs and pays
# (контрагент) are two records; settlements stand in a register of their own, not in a ledger.
TRADE_11: Mapping[str, Any] = {
    "sets": {
        "organization": "Catalog_Организации",
        "partner": "Catalog_Партнеры",
        "counterparty": "Catalog_Контрагенты",
        "contract": "Catalog_ДоговорыКонтрагентов",
        "product": "Catalog_Номенклатура",
        "unit": "Catalog_УпаковкиЕдиницыИзмерения",
        "vat_rate": "Catalog_СтавкиНДС",
        "currency": "Catalog_Валюты",
        "currency_rate": "InformationRegister_КурсыВалют",
        "warehouse": "Catalog_Склады",
        "settlement_key": "Catalog_КлючиАналитикиУчетаПоПартнерам",
        "order": "Document_ЗаказКлиента",
        "invoice": "Document_СчетНаОплатуКлиенту",
        "realization": "Document_РеализацияТоваровУслуг",
        "vat_invoice": "Document_СчетФактураВыданный",
        "correction": "Document_КорректировкаРеализации",
        "return": "Document_ВозвратТоваровОтКлиента",
        "payment": "Document_ПоступлениеБезналичныхДенежныхСредств",
        "refund": "Document_СписаниеБезналичныхДенежныхСредств",
        "cash_receipt": "Document_ПриходныйКассовыйОрдер",
        "cash_payment": "Document_РасходныйКассовыйОрдер",
        "balance": "AccumulationRegister_РасчетыСКлиентами/Balance",
        "price_type": "Catalog_ВидыЦен",
        "price": "InformationRegister_ЦеныНоменклатуры",
        "stock": "AccumulationRegister_ТоварыНаСкладах/Balance",
        "free_stock": "AccumulationRegister_СвободныеОстатки/Balance",
    },
    "dimensions": {
        "balance": "АналитикаУчетаПоПартнерам,Валюта",
        "stock": "Номенклатура,Характеристика,Склад",
        "free_stock": "Номенклатура,Характеристика,Склад",
    },
    "series": OF_A_PRICE,
    "named": {"СтавкаНДС": "vat_rate"},
    "partners": {
        "entity": "partner",
        "field": "Партнер_Key",
        "of": "Контрагент_Key",
        "copied": {"Description": "Description", "НаименованиеПолное": "НаименованиеПолное"},
        "constant": {"Клиент": True},
    },
    "probe": "product",
    "closed_dates": "InformationRegister_ДатыЗапретаИзменения",
    "required": {"counterparty": ["Description", "ИНН", "КПП", "Партнер_Key"]},
}

# Управление нашей фирмой: trade and money in one base, without a ledger of accounts that is published.
SMALL_FIRM: Mapping[str, Any] = {
    "sets": {
        "organization": "Catalog_Организации",
        "counterparty": "Catalog_Контрагенты",
        "contract": "Catalog_ДоговорыКонтрагентов",
        "product": "Catalog_Номенклатура",
        "unit": "Catalog_КлассификаторЕдиницИзмерения",
        "vat_rate": "Catalog_СтавкиНДС",
        "currency": "Catalog_Валюты",
        "currency_rate": "InformationRegister_КурсыВалют",
        "warehouse": "Catalog_СтруктурныеЕдиницы",
        "order": "Document_ЗаказПокупателя",
        "invoice": "Document_СчетНаОплату",
        "realization": "Document_РасходнаяНакладная",
        "vat_invoice": "Document_СчетФактура",
        "return": "Document_ПриходнаяНакладная",
        "payment": "Document_ПоступлениеНаСчет",
        "refund": "Document_РасходСоСчета",
        "cash_receipt": "Document_ПоступлениеВКассу",
        "cash_payment": "Document_РасходИзКассы",
        "balance": "AccumulationRegister_РасчетыСПокупателями/Balance",
        "price_type": "Catalog_ВидыЦен",
        "price": "InformationRegister_ЦеныНоменклатуры",
        "stock": "AccumulationRegister_ЗапасыНаСкладах/Balance",
    },
    "dimensions": {
        "balance": "Организация,Контрагент,ТипРасчетов",
        "stock": "Номенклатура,Характеристика,СтруктурнаяЕдиница",
    },
    "series": OF_A_PRICE,
    "named": {"СтавкаНДС": "vat_rate"},
    "probe": "product",
    "closed_dates": "InformationRegister_ДатыЗапретаИзменения",
    "required": {"counterparty": ["Description", "ИНН", "КПП"]},
}

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "accounting_3": ACCOUNTING_3,
    "trade_11": TRADE_11,
    "small_firm": SMALL_FIRM,
}
