"""What EnterpriseData's schema says of the objects that we exchange: names, order of elements, what is required.

Source: 1C's own XDTO package http://v8.1c.ru/edi/edi_stnd/EnterpriseData/1.8; the objects named here keep their
elements up to the versions 1.1x in use today. Only elements that a mapping may fill are listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Order = tuple[Any, ...]  # names, or (name, Order)

TABLES: Final[Mapping[str, str]] = {"Товары": "Строка", "Услуги": "Строка", "РасшифровкаПлатежа": "Строка"}

CLASSIFIER: Final[Order] = ("Код", "Наименование")
CURRENCY: Final[Order] = ("Ссылка", ("ДанныеКлассификатора", CLASSIFIER))
UNIT: Final[Order] = CURRENCY
COUNTRY: Final[Order] = ("Ссылка", ("ДанныеКлассификатора", CLASSIFIER))
ORGANIZATION: Final[Order] = (
    "Ссылка", "Наименование", "НаименованиеСокращенное", "НаименованиеПолное", "ИНН", "КПП",
    "ЮридическоеФизическоеЛицо",
)  # fmt: skip
COUNTERPARTY: Final[Order] = (
    "Ссылка", "Наименование", "НаименованиеПолное", "ИНН", "КПП", "ЮридическоеФизическоеЛицо",
    ("СтранаРегистрации", COUNTRY), "Группа", "GLN", "НалоговыйНомерНерезидента",
    "РегистрационныйНомерНерезидента",
)  # fmt: skip
CONTRACT: Final[Order] = (
    "Ссылка", "ВидДоговора", ("Организация", ORGANIZATION), ("Контрагент", COUNTERPARTY),
    ("ВалютаВзаиморасчетов", CURRENCY), "РасчетыВУсловныхЕдиницах", "Наименование", "Дата", "Номер",
)  # fmt: skip
PRODUCT: Final[Order] = ("Ссылка", "НаименованиеПолное", "КодВПрограмме", "Артикул", "Наименование")
WAREHOUSE: Final[Order] = ("Ссылка", "Наименование", "ТипСклада")
DOCUMENT: Final[Order] = ("Ссылка", "Дата", "Номер", ("Организация", ORGANIZATION))
SETTLEMENT: Final[Order] = (
    ("Договор", CONTRACT), ("ВалютаВзаиморасчетов", CURRENCY), "КурсВзаиморасчетов",
    "КратностьВзаиморасчетов", "РасчетыВУсловныхЕдиницах", "СчетУчетаРасчетовСКонтрагентом",
    "СчетУчетаРасчетовПоАвансам",
)  # fmt: skip
GOODS_ROW: Final[Order] = (
    "НомерСтрокиДокумента", ("ДанныеНоменклатуры", (("Номенклатура", PRODUCT),)),
    ("ЕдиницаИзмерения", UNIT), "Количество", "Сумма", "Цена", "СтавкаНДС", "СуммаНДС", "СчетУчета",
    "СчетДоходов", "СчетРасходов", "СчетУчетаНДСПоРеализации", "ИдентификаторСтроки",
)  # fmt: skip
SERVICE_ROW: Final[Order] = (
    "НомерСтрокиДокумента", ("Номенклатура", PRODUCT), "Количество", "Сумма", "Цена", "СтавкаНДС",
    "СуммаНДС", "Содержание", "СчетДоходов", "СчетРасходов", "СчетУчетаНДСПоРеализации",
    "ИдентификаторСтроки",
)  # fmt: skip
_ACCOUNTS: Final = ("СчетУчета", "СчетДоходов", "СчетРасходов", "СчетУчетаНДСПоРеализации")


def _lines(*without: str) -> Order:
    goods, services = (tuple(item for item in row if item not in without) for row in (GOODS_ROW, SERVICE_ROW))
    return (("Товары", (("Строка", goods),)), ("Услуги", (("Строка", services),)))


@dataclass(frozen=True, slots=True)
class Kind:
    """One object of the format: `entity` is our name of it; `order` is empty where we only read it."""

    entity: str
    name: str
    deleted_as: str  # how УдалениеОбъекта names a reference to it
    order: Order = ()
    required: tuple[str, ...] = ()  # paths that must have a text
    fixed: tuple[str, ...] = ()  # paths that the format demands and 1C fills by itself: written empty


_PARTY = "КлючевыеСвойства/Наименование", "КлючевыеСвойства/ЮридическоеФизическоеЛицо"
_HEAD = "КлючевыеСвойства/Дата", "КлючевыеСвойства/Организация/Наименование"
_TRADE = (
    "Валюта/ДанныеКлассификатора/Код", "Сумма", "Контрагент/Наименование",
    "ДанныеВзаиморасчетов/Договор/ВидДоговора",
)  # fmt: skip

KINDS: Final[tuple[Kind, ...]] = (
    Kind("organization", "Справочник.Организации", "ОрганизацииСсылка"),
    Kind("currency", "Справочник.Валюты", "ВалютыСсылка"),
    Kind("unit", "Справочник.ЕдиницыИзмерения", "ЕдиницыИзмеренияСсылка"),
    Kind("warehouse", "Справочник.Склады", "СкладыСсылка"),
    Kind(
        "counterparty",
        "Справочник.Контрагенты",
        "КонтрагентыСсылка",
        (("КлючевыеСвойства", COUNTERPARTY), "ОКПО", "ДополнительнаяИнформация"),
        _PARTY,
    ),
    Kind(
        "contract",
        "Справочник.Договоры",
        "ДоговорыСсылка",
        (("КлючевыеСвойства", CONTRACT), "СрокДействия", "Комментарий"),
        (
            "КлючевыеСвойства/ВидДоговора",
            "КлючевыеСвойства/Организация/Наименование",
            "КлючевыеСвойства/Контрагент/Наименование",
        ),
    ),
    Kind(
        "product",
        "Справочник.Номенклатура",
        "НоменклатураСсылка",
        (
            ("КлючевыеСвойства", PRODUCT),
            "ТипНоменклатуры",
            "Описание",
            ("ЕдиницаИзмерения", UNIT),
            "СтавкаНДС",
        ),
        ("КлючевыеСвойства/Наименование", "ТипНоменклатуры", "ЕдиницаИзмерения/ДанныеКлассификатора/Код"),
    ),
    Kind(
        "invoice",
        "Документ.СчетПокупателю",
        "СчетПокупателюСсылка",
        (
            ("КлючевыеСвойства", DOCUMENT), ("Валюта", CURRENCY), "Сумма", ("Склад", WAREHOUSE),
            ("Контрагент", COUNTERPARTY), ("ДанныеВзаиморасчетов", SETTLEMENT), "АдресДоставки",
            "СуммаВключаетНДС", *_lines(*_ACCOUNTS),
        ),
        (*_HEAD, *_TRADE),
        ("КлючевыеСвойства/Номер",),
    ),
    Kind(
        "realization",
        "Документ.РеализацияТоваровУслуг",
        "РеализацияТоваровУслугСсылка",
        (
            ("КлючевыеСвойства", DOCUMENT), "ВидОперации", "ДатаПереходаПраваСобственности",
            ("Валюта", CURRENCY), "Сумма", "СуммаВключаетНДС", ("Склад", WAREHOUSE),
            ("Контрагент", COUNTERPARTY), ("ДанныеВзаиморасчетов", SETTLEMENT), "АдресДоставки",
            "Комментарий", "Налогообложение", *_lines(),
        ),
        (*_HEAD, *_TRADE, "ВидОперации"),
        ("КлючевыеСвойства/Номер",),
    ),
    Kind("payment", "Документ.ПБДСРасчетыСКонтрагентами", "ПБДСРасчетыСКонтрагентамиСсылка"),
    Kind("payment", "Документ.СБДСРасчетыСКонтрагентами", "СБДСРасчетыСКонтрагентамиСсылка"),
)  # fmt: skip

BY_ENTITY: Final[Mapping[str, Kind]] = {kind.entity: kind for kind in KINDS}
BY_NAME: Final[Mapping[str, Kind]] = {kind.name: kind for kind in KINDS}
BY_DELETION: Final[Mapping[str, Kind]] = {kind.deleted_as: kind for kind in KINDS}

# Where an object names another one: the last element of the path, and whose key properties stand there.
REFERENCES: Final[Mapping[str, str]] = {
    "Организация": "organization",
    "Валюта": "currency",
    "ВалютаВзаиморасчетов": "currency",
    "Контрагент": "counterparty",
    "Договор": "contract",
    "Номенклатура": "product",
    "ЕдиницаИзмерения": "unit",
    "Склад": "warehouse",
}
