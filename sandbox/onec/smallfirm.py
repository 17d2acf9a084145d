"""Управление небольшой фирмой: orders, delivery notes and settlements with buyers in accumulation registers.

Confirmed by public clients: the names of sets; of ЗаказПокупателя the properties of the sheet and
ПлатежныйКалендарь; of contracts Owner (composite), НомерДоговора, ВалютаРасчетов_Key; of РасчетыСПокупателями
Контрагент_Key, Договор_Key, Заказ (composite), ТипРасчетов, Сумма and Dimensions='Договор,Заказ'. Unconfirmed:
СчетНаОплату, РасходнаяНакладная, ПриходнаяНакладная and ПоступлениеНаСчет beyond Организация_Key, ВидОперации, СтруктурнаяЕдиница_Key,
Заказ and Запасы; the dimensions of ЗапасыНаСкладах; prices as an independent register.
"""

from __future__ import annotations

from sandbox.onec.masters import Seed
from sandbox.onec.model import (
    CLOSED_DATES,
    CONTRACTS,
    COUNTERPARTIES,
    CURRENCIES,
    ORGANIZATIONS,
    PRODUCTS,
    UNITS,
    VAT_RATES_CATALOG,
    Configuration,
    accumulation,
    catalog,
    document,
    information,
    with_tables,
)
from sandbox.onec.rules import Rule, move
from sandbox.onec.tables import columns_of

PLACES = "Catalog_СтруктурныеЕдиницы"
PRICE_KINDS = "Catalog_ВидыЦен"
STATES = "Catalog_СостоянияЗаказовПокупателей"
BANK_ACCOUNTS = "Catalog_БанковскиеСчета"
ORDER, BILL, NOTE = "Document_ЗаказПокупателя", "Document_СчетНаОплату", "Document_РасходнаяНакладная"
ACT, MONEY_IN, MONEY_OUT = (
    "Document_АктВыполненныхРабот",
    "Document_ПоступлениеНаСчет",
    "Document_РасходСоСчета",
)
RECEIVED = "Document_ПриходнаяНакладная"
SETTLEMENTS = "AccumulationRegister_РасчетыСПокупателями"
STOCK = "AccumulationRegister_ЗапасыНаСкладах"

_FIRM = f"Организация_Key>{ORGANIZATIONS} "
_PARTIES = f"{_FIRM}Контрагент_Key>{COUNTERPARTIES} Договор_Key>{CONTRACTS} "
_TERMS = (
    f"{_PARTIES}ВидЦен_Key>{PRICE_KINDS} ВалютаДокумента_Key>{CURRENCIES} Курс:r Кратность:i "
    "НалогообложениеНДС:e=ТипыНалогообложенияНДС СуммаВключаетНДС:b НДСВключатьВСтоимость:b СуммаДокумента:m "
    "Автор_Key Ответственный_Key Подразделение_Key Комментарий ДатаИзменения:t "
)
_ROW = (
    f"Номенклатура_Key>{PRODUCTS} Характеристика_Key Содержание Количество:q ЕдиницаИзмерения:c Цена:m "
    f"ПроцентСкидкиНаценки:m Сумма:m СтавкаНДС_Key>{VAT_RATES_CATALOG} СуммаНДС:m Всего:m "
)
_MONEY_HEADER = (
    f"ВидОперации {_FIRM}Контрагент_Key>{COUNTERPARTIES} БанковскийСчет_Key>{BANK_ACCOUNTS} "
    f"ВалютаДенежныхСредств_Key>{CURRENCIES} СуммаДокумента:m НазначениеПлатежа Статья_Key "
    "НомерВходящегоДокумента:s=30 ДатаВходящегоДокумента:t Автор_Key Комментарий"
)
_MONEY_ROW = (
    f"Договор_Key>{CONTRACTS} ПризнакАванса:b Документ:c Заказ:c СчетНаОплату:c Курс:r Кратность:i "
    f"СуммаПлатежа:m СуммаРасчетов:m СтавкаНДС_Key>{VAT_RATES_CATALOG} СуммаНДС:m"
)
_PAYMENT_PLAN = "ДатаОплаты:t ПроцентОплаты:m СуммаОплаты:m СуммаНДСОплаты:m"
_NAMED = "Code:s=11 Description:s=100 "
_SETS = [
    catalog("Организации", _NAMED + "НаименованиеПолное ИНН:s=12 КПП:s=9 ОГРН:s=15"),
    catalog(
        "Контрагенты",
        f"Parent_Key>{COUNTERPARTIES} IsFolder:b {_NAMED}НаименованиеПолное ИНН:s=12 КПП:s=9 ВидКонтрагента "
        f"Покупатель:b Поставщик:b ПрочиеОтношения:b ДоговорПоУмолчанию_Key>{CONTRACTS} Комментарий ДатаСоздания:t",
        "Контрагент",
        КонтактнаяИнформация="Тип Вид_Key Представление ЗначенияПолей АдресЭП НомерТелефона",
    ),
    catalog(
        "ДоговорыКонтрагентов",
        f"Owner:c {_NAMED}НомерДоговора:s=50 ДатаДоговора:t ВалютаРасчетов_Key>{CURRENCIES} {_FIRM}"
        f"ВидДоговора:e=ВидыДоговоровКонтрагентов ВидЦен_Key>{PRICE_KINDS} СрокОплатыПокупателя:i Недействителен:b",
        "Договор",
    ),
    catalog(
        "Номенклатура",
        f"Parent_Key>{PRODUCTS} IsFolder:b {_NAMED}НаименованиеПолное Артикул:s=25 ТипНоменклатуры:e=ТипыНоменклатуры "
        f"ЕдиницаИзмерения_Key>{UNITS} ВидСтавкиНДС СтавкаНДС_Key>{VAT_RATES_CATALOG} КатегорияНоменклатуры_Key Комментарий",
    ),
    catalog("КлассификаторЕдиницИзмерения", _NAMED + "НаименованиеПолное МеждународноеСокращение"),
    catalog("Валюты", "Code:s=3 Description:s=10 НаименованиеПолное"),
    catalog("СтруктурныеЕдиницы", f"Parent_Key>{PLACES} {_NAMED}ТипСтруктурнойЕдиницы {_FIRM}"),
    catalog("СтавкиНДС", "Description:s=25 Ставка:m НеОблагается:b Расчетная:b ВидСтавкиНДС"),
    catalog("ВидыЦен", f"{_NAMED}ВалютаЦены_Key>{CURRENCIES} ЦенаВключаетНДС:b"),
    catalog("БанковскиеСчета", f"Owner:c {_NAMED}НомерСчета:s=34 ВалютаДенежныхСредств_Key>{CURRENCIES}"),
    catalog("СостоянияЗаказовПокупателей", _NAMED + "СтатусЗаказа", "Состояние заказа"),
    document(
        "ЗаказПокупателя",
        "Заказ покупателя",
        f"{_TERMS}ВидОперации СостояниеЗаказа:c СтруктурнаяЕдиницаПродажи_Key>{PLACES} Закрыт:b "
        f"СтруктурнаяЕдиницаРезерв_Key>{PLACES} ДатаОтгрузки:t ЗапланироватьОплату:b ТипДенежныхСредств",
        postable=True,
        Запасы=f"{_ROW}Резерв:q ДатаОтгрузки:t",
        ПлатежныйКалендарь=_PAYMENT_PLAN,
    ),
    document(
        "СчетНаОплату",
        "Счет на оплату",
        f"{_TERMS}ДокументОснование:c БанковскийСчет_Key>{BANK_ACCOUNTS} ЗапланироватьОплату:b",
        postable=True,
        Запасы=_ROW,
        ПлатежныйКалендарь=_PAYMENT_PLAN,
    ),
    document(
        "РасходнаяНакладная",
        "Расходная накладная",
        f"{_TERMS}ВидОперации СтруктурнаяЕдиница_Key>{PLACES} Заказ:c ДокументОснование:c СчетНаОплату:c",
        postable=True,
        Запасы=f"{_ROW}Партия_Key Заказ:c",
        Предоплата="Документ:c Заказ:c СуммаРасчетов:m СуммаПлатежа:m",
    ),
    document(
        "ПриходнаяНакладная",
        "Приходная накладная",
        f"{_PARTIES}ВидОперации СтруктурнаяЕдиница_Key>{PLACES} ВалютаДокумента_Key>{CURRENCIES} СуммаДокумента:m "
        "Комментарий",
        postable=True,
        Запасы=f"{_ROW}Партия_Key",
    ),
    document(
        "АктВыполненныхРабот",
        "Акт выполненных работ",
        f"{_TERMS}ЗаказПокупателя_Key>{ORDER} ДокументОснование:c СчетНаОплату:c",
        postable=True,
        РаботыИУслуги=_ROW,
    ),
    document(
        "ПоступлениеНаСчет",
        "Поступление на счет",
        _MONEY_HEADER,
        postable=True,
        РасшифровкаПлатежа=_MONEY_ROW,
    ),
    document("РасходСоСчета", "Расход со счета", _MONEY_HEADER, postable=True, РасшифровкаПлатежа=_MONEY_ROW),
    *accumulation(
        "РасчетыСПокупателями",
        f"{_FIRM}ТипРасчетов:e=ТипыРасчетов Контрагент_Key>{COUNTERPARTIES} Договор_Key>{CONTRACTS} Документ:c Заказ:c",
        "Сумма:m СуммаВал:m",
        "СодержаниеПроводки",
    ),
    *accumulation(
        "ЗапасыНаСкладах",
        f"{_FIRM}СтруктурнаяЕдиница_Key>{PLACES} Номенклатура_Key>{PRODUCTS} Характеристика_Key Партия_Key Ячейка_Key",
        "Количество:q",
    ),
    information(
        "ЦеныНоменклатуры",
        f"ВидЦен_Key>{PRICE_KINDS} Номенклатура_Key>{PRODUCTS} Характеристика_Key",
        f"Цена:m Актуальность:b ЕдиницаИзмерения_Key>{UNITS}",
    ),
    information("КурсыВалют", f"Валюта_Key>{CURRENCIES}", "Курс:r Кратность:i"),
    information(
        CLOSED_DATES.partition("_")[2],
        "Раздел_Key Объект:c Пользователь:c",
        "ДатаЗапрета:t ОписаниеДатыЗапрета Комментарий",
        periodic=False,
    ),
]
SETS = with_tables(_SETS)

_PARTY = "Организация_Key=Организация_Key Контрагент_Key=Контрагент_Key "
_SALE_NEEDS = ("Организация_Key", "Контрагент_Key", "Договор_Key", "ВалютаДокумента_Key")
_SOLD = f"{_PARTY}Договор_Key=Договор_Key ТипРасчетов='Долг Документ=@ Сумма=СуммаДокумента СуммаВал=СуммаДокумента "
_PAID = (
    f"{_PARTY}Договор_Key=~Договор_Key ТипРасчетов=?~ПризнакАванса:Аванс:Долг Документ=~Документ|@ Заказ=~Заказ "
    "Сумма=~СуммаРасчетов|~СуммаПлатежа СуммаВал=~СуммаРасчетов|~СуммаПлатежа"
)
_MONEY_NEEDS = ("Организация_Key", "Контрагент_Key", "ВалютаДенежныхСредств_Key")
_STOCKED = (
    "Организация_Key=Организация_Key СтруктурнаяЕдиница_Key=СтруктурнаяЕдиница_Key "
    "Номенклатура_Key=~Номенклатура_Key Характеристика_Key=~Характеристика_Key Количество=~Количество"
)
RULES = {
    ORDER: Rule(_SALE_NEEDS, "Запасы", "Всего", "СуммаВключаетНДС"),
    BILL: Rule(_SALE_NEEDS, "Запасы", "Всего", "СуммаВключаетНДС"),
    NOTE: Rule(
        (*_SALE_NEEDS, "СтруктурнаяЕдиница_Key"),
        "Запасы",
        "Всего",
        "СуммаВключаетНДС",
        (move(SETTLEMENTS, "+", "", _SOLD + "Заказ=Заказ"), move(STOCK, "-", "Запасы", _STOCKED, goods=True)),
    ),
    RECEIVED: Rule(
        ("Организация_Key", "СтруктурнаяЕдиница_Key"),
        "Запасы",
        moves=(move(STOCK, "+", "Запасы", _STOCKED, goods=True),),
    ),
    ACT: Rule(
        _SALE_NEEDS,
        "РаботыИУслуги",
        "Всего",
        "СуммаВключаетНДС",
        (move(SETTLEMENTS, "+", "", _SOLD + "Заказ=ЗаказПокупателя_Key"),),
    ),
    MONEY_IN: Rule(
        _MONEY_NEEDS,
        "РасшифровкаПлатежа",
        "СуммаПлатежа",
        "",
        (move(SETTLEMENTS, "-", "РасшифровкаПлатежа", _PAID),),
    ),
    MONEY_OUT: Rule(
        _MONEY_NEEDS,
        "РасшифровкаПлатежа",
        "СуммаПлатежа",
        "",
        (move(SETTLEMENTS, "+", "РасшифровкаПлатежа", _PAID),),
    ),
}
SEEDS = (
    Seed(CURRENCIES, "currency", "Code=code Description=short НаименованиеПолное=full"),
    Seed(UNITS, "unit", "Code=code Description=short НаименованиеПолное=full"),
    Seed(VAT_RATES_CATALOG, "vat", "Description=short Ставка=rate НеОблагается=untaxed"),
    Seed(
        ORGANIZATIONS, "organization", "Description=short НаименованиеПолное=full ИНН=inn КПП=kpp ОГРН=ogrn"
    ),
    Seed(BANK_ACCOUNTS, "bank", f"Owner=@{ORGANIZATIONS} Description=short НомерСчета=number"),
    Seed(
        PLACES,
        "warehouse",
        f"Description=short ТипСтруктурнойЕдиницы='Склад Организация_Key=@{ORGANIZATIONS}:main",
    ),
    Seed(
        PRICE_KINDS,
        "price_kind",
        f"Description=short ЦенаВключаетНДС=yes ВалютаЦены_Key=@{CURRENCIES}:643",
    ),
    Seed(STATES, "state", "Description=short СтатусЗаказа=word"),
    Seed(
        COUNTERPARTIES,
        "party",
        f"Description=short НаименованиеПолное=full ИНН=inn КПП=kpp ВидКонтрагента=kind Покупатель=yes "
        f"ДоговорПоУмолчанию_Key=@{CONTRACTS}",
    ),
    Seed(
        CONTRACTS,
        "party",
        f"Description='Основной Owner=@{COUNTERPARTIES} Организация_Key=@{ORGANIZATIONS}:main "
        f"ВидДоговора='СПокупателем ВалютаРасчетов_Key=@{CURRENCIES}:643 ВидЦен_Key=@{PRICE_KINDS}:retail",
    ),
    Seed(
        PRODUCTS,
        "product",
        f"Description=short НаименованиеПолное=full Артикул=article ЕдиницаИзмерения_Key=@{UNITS}:okei "
        f"СтавкаНДС_Key=@{VAT_RATES_CATALOG}:vat ТипНоменклатуры=type_small",
    ),
)
SMALL_FIRM = Configuration(
    "onec-smallfirm",
    "Управление небольшой фирмой",
    SETS,
    columns_of(SETS.values()),
    RULES,
    SEEDS,
    {
        "stock": f"{STOCK} Количество СтруктурнаяЕдиница_Key",
        "prices": "InformationRegister_ЦеныНоменклатуры ВидЦен_Key",
        "price_kinds": PRICE_KINDS,
        "received": f"{RECEIVED} Запасы СтруктурнаяЕдиница_Key",
        "money_in": MONEY_IN,
        "money_out": MONEY_OUT,
        "basis": "Документ",
        "row_sum": "СуммаПлатежа",
        "copied": "Организация_Key Контрагент_Key ВалютаДокумента_Key=ВалютаДенежныхСредств_Key",
        "copied_row": "Договор_Key",
        "operation_in": "ОтПокупателя",
        "operation_out": "Покупателю",
    },
)
