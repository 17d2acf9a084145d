"""Which published sets of a 1C configuration hold our entities: data, not code.

Another configuration (УТ, УНФ, ERP) is another mapping of the same shape, e.g. from a connection's
YAML; see `Profile.read`. Names of БП 3.0 follow the configuration's own metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["object", "document", "rows", "entries", "balance"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entity lives. `object` (catalogs, charts) and `document` have Ref_Key and DataVersion;
    `rows` (an independent register) has neither and is named by `key`; `entries` are ledger entries;
    `balance` is the register's virtual table."""

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
    balance_accounts: Sequence[str] = ()
    probe: str = ""  # the catalog in which check() tries whether our own Ref_Key is honoured
    closed_dates: str = ""  # the register of dates before which changes are forbidden
    closed_period: str = ""  # regular expression of its refusal, where ours does not know it
    required: Mapping[str, Sequence[str]] = field(default_factory=dict)  # properties by entity

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Profile:
        """Build a profile from plain data: `{"sets": {entity: set name}, "recorders": [...], ...}`.

        Raises ValueError naming what is wrong.
        """
        unknown = set(given) - {"sets", *cls.__slots__} | (set(given) & {"places"})
        if unknown or not given.get("sets"):
            raise ValueError(
                f"a 1C profile needs `sets` and knows no {', '.join(sorted(unknown)) or 'others'}"
            )
        places = {entity: _place(entity, name) for entity, name in given["sets"].items()}
        strangers = [name for name in given.get("recorders", ()) if name not in places]
        if strangers:
            raise ValueError(f"recorders of a 1C profile that are not in its sets: {', '.join(strangers)}")
        return cls(places=places, **{name: value for name, value in given.items() if name != "sets"})


def _place(entity: str, name: str) -> Place:
    if name.endswith("/Balance"):
        return Place(entity, name.removesuffix("/Balance"), "balance", ())
    if name.startswith("Document_"):
        return Place(entity, name, "document", period="Date")
    if name.startswith("AccountingRegister_"):
        return Place(entity, name, "entries", ("Recorder", "LineNumber"), "Period")
    if name.startswith("InformationRegister_"):
        return Place(entity, name, "rows", ("Period", "Валюта_Key"), "Period")
    if name.startswith(("Catalog_", "ChartOf")):
        return Place(entity, name, "object")
    raise ValueError(f"{entity}: no way is known to read the 1C set {name!r}")


ACCOUNTING_3: Mapping[str, Any] = {  # Бухгалтерия предприятия 3.0
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
        "payment": "Document_ПоступлениеНаРасчетныйСчет",
        "refund": "Document_СписаниеСРасчетногоСчета",
        "entry": "AccountingRegister_Хозрасчетный_RecordType",
        "balance": "AccountingRegister_Хозрасчетный/Balance",
    },
    "recorders": ["realization", "payment", "refund"],
    # settlements and banks in roubles and in currency; revenue (entries stand on 90.01.1, not on its group)
    "balance_accounts": ["62.01", "62.02", "62.21", "62.22", "51", "52", "90.01", "90.01.1"],
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

PROFILES: Mapping[str, Mapping[str, Any]] = {"accounting_3": ACCOUNTING_3}
