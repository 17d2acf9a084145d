"""Управление торговлей 11 (and ERP 2): partners and legal entities apart, settlements in an accumulation register.

Confirmed by public clients: the names of sets; of ЗаказКлиента and СчетНаОплатуКлиенту the properties of a
published contract of `$metadata` (СтавкаНДС_Key, ЭтапыГрафикаОплаты, МаксимальныйКодСтроки …); of payments
РасшифровкаПлатежа with Заказ, ОснованиеПлатежа, Сумма, СуммаВзаиморасчетов; of РасчетыСКлиентами
АналитикаУчетаПоПартнерам_Key, ОбъектРасчетов_Key, Валюта_Key and a debt as positive Сумма; the resources of
ТоварыНаСкладах and СвободныеОстатки. Unconfirmed: the remaining properties, what exactly moves КОплате and
КОтгрузке, ВозвратТоваровОтКлиента.ДокументРеализации, the columns of СтавкиНДС and ОбъектыРасчетов; the document
ПриобретениеТоваровУслуг; that an order's row with ВариантОбеспечения "СоСклада" reserves what the sale by it releases.
"""

from __future__ import annotations

from sandbox.onec.masters import Seed
from sandbox.onec.model import (
    CLOSED_DATES,
    CONTRACTS,
    COUNTERPARTIES,
    CURRENCIES,
    ORGANIZATIONS,
    PRICES,
    PRODUCTS,
    VAT_RATES_CATALOG,
    WAREHOUSES,
    Configuration,
    accumulation,
    catalog,
    document,
    information,
    recorded_information,
    with_tables,
)
from sandbox.onec.rules import Move, Rule, move
from sandbox.onec.tables import columns_of

PARTNERS = "Catalog_Партнеры"
AGREEMENTS = "Catalog_СоглашенияСКлиентами"
UNITS = "Catalog_УпаковкиЕдиницыИзмерения"
PRICE_KINDS = "Catalog_ВидыЦен"
ANALYTICS = "Catalog_КлючиАналитикиУчетаПоПартнерам"
SETTLEMENT_OBJECTS = "Catalog_ОбъектыРасчетов"
OWN_ACCOUNTS = "Catalog_БанковскиеСчетаОрганизаций"
ORDER, BILL = "Document_ЗаказКлиента", "Document_СчетНаОплатуКлиенту"
SALE, SALE_RETURN = "Document_РеализацияТоваровУслуг", "Document_ВозвратТоваровОтКлиента"
MONEY_IN = "Document_ПоступлениеБезналичныхДенежныхСредств"
MONEY_OUT = "Document_СписаниеБезналичныхДенежныхСредств"
RECEIVED = "Document_ПриобретениеТоваровУслуг"
SETTLEMENTS = "AccumulationRegister_РасчетыСКлиентами"
STOCK, FREE = "AccumulationRegister_ТоварыНаСкладах", "AccumulationRegister_СвободныеОстатки"

_FIRM = f"Организация_Key>{ORGANIZATIONS} "
_PARTIES = f"Партнер_Key>{PARTNERS} Контрагент_Key>{COUNTERPARTIES} Договор_Key>{CONTRACTS} "
_TERMS = (
    f"Соглашение_Key>{AGREEMENTS} {_PARTIES}{_FIRM}Склад_Key>{WAREHOUSES} Валюта_Key>{CURRENCIES} "
    "ЦенаВключаетНДС:b НалогообложениеНДС:e=НалогообложениеНДС ХозяйственнаяОперация СуммаДокумента:m "
    "Подразделение_Key Менеджер_Key Сделка_Key Комментарий "
)
_ROW = (
    f"Номенклатура_Key>{PRODUCTS} Характеристика_Key КоличествоУпаковок:q Количество:q Упаковка_Key>{UNITS} "
    f"ВидЦены_Key>{PRICE_KINDS} Цена:m Сумма:m СтавкаНДС_Key>{VAT_RATES_CATALOG} СуммаНДС:m СуммаСНДС:m "
    "ПроцентРучнойСкидки:m СуммаРучнойСкидки:m КодСтроки:i Содержание "
)
_MONEY_HEADER = (
    f"ХозяйственнаяОперация {_FIRM}БанковскийСчет_Key>{OWN_ACCOUNTS} Валюта_Key>{CURRENCIES} СуммаДокумента:m "
    f"Партнер_Key>{PARTNERS} Контрагент_Key>{COUNTERPARTIES} НазначениеПлатежа ТипПлатежногоДокумента "
    "НомерВходящегоДокумента:s=30 ДатаВходящегоДокумента:t ПроведеноБанком:b ДатаПроведенияБанком:t Комментарий"
)
_MONEY_ROW = (
    f"Партнер_Key>{PARTNERS} ОснованиеПлатежа:c Заказ:c Сумма:m СуммаВзаиморасчетов:m СуммаНДС:m "
    f"СтавкаНДС_Key>{VAT_RATES_CATALOG} ВалютаВзаиморасчетов_Key>{CURRENCIES} СтатьяДвиженияДенежныхСредств_Key"
)
_NAMED = "Code:s=11 Description:s=100 "
_SETS = [
    catalog("Организации", _NAMED + "НаименованиеСокращенное НаименованиеПолное ИНН:s=12 КПП:s=9 ОГРН:s=15"),
    catalog(
        "Партнеры",
        f"Parent_Key>{PARTNERS} {_NAMED}НаименованиеПолное Клиент:b Поставщик:b Конкурент:b "
        "ПрочиеОтношения:b ЮрФизЛицо ОсновнойМенеджер_Key БизнесРегион_Key ДатаРегистрации:t Комментарий",
        "Партнер",
        КонтактнаяИнформация="Тип Вид_Key Представление ЗначенияПолей АдресЭП НомерТелефона",
    ),
    catalog(
        "Контрагенты",
        f"{_NAMED}НаименованиеПолное Партнер_Key>{PARTNERS} ЮрФизЛицо ЮридическоеФизическоеЛицо ИНН:s=12 "
        f"КПП:s=9 КодПоОКПО:s=10 РегистрационныйНомер:s=15 ГоловнойКонтрагент_Key>{COUNTERPARTIES} "
        "ОбособленноеПодразделение:b СтранаРегистрации_Key ДополнительнаяИнформация",
        "Контрагент",
    ),
    catalog(
        "ДоговорыКонтрагентов",
        f"{_NAMED}{_FIRM}Партнер_Key>{PARTNERS} Контрагент_Key>{COUNTERPARTIES} Номер:s=50 Дата:t Статус "
        f"ТипДоговора ХозяйственнаяОперация ВалютаВзаиморасчетов_Key>{CURRENCIES} ПорядокРасчетов Комментарий",
        "Договор",
    ),
    catalog(
        "СоглашенияСКлиентами",
        f"{_NAMED}Партнер_Key>{PARTNERS} Контрагент_Key>{COUNTERPARTIES} {_FIRM}Номер:s=30 Дата:t Типовое:b "
        f"Статус Валюта_Key>{CURRENCIES} ЦенаВключаетНДС:b ВидЦен_Key>{PRICE_KINDS} Склад_Key>{WAREHOUSES} "
        "НалогообложениеНДС:e=НалогообложениеНДС ИспользуютсяДоговорыКонтрагентов:b ПорядокРасчетов",
        "Соглашение",
    ),
    catalog(
        "Номенклатура",
        f"Parent_Key>{PRODUCTS} IsFolder:b {_NAMED}НаименованиеПолное Артикул:s=25 ТипНоменклатуры:e=ТипыНоменклатуры "
        f"ВидНоменклатуры_Key ЕдиницаИзмерения_Key>{UNITS} СтавкаНДС_Key>{VAT_RATES_CATALOG} Качество Описание",
    ),
    catalog(
        "УпаковкиЕдиницыИзмерения",
        _NAMED + "НаименованиеПолное МеждународноеСокращение ТипУпаковки Числитель:q",
    ),
    catalog("Валюты", "Code:s=3 Description:s=10 НаименованиеПолное"),
    catalog("Склады", f"Parent_Key>{WAREHOUSES} IsFolder:b {_NAMED}ТипСклада"),
    catalog("СтавкиНДС", _NAMED + "Ставка:m ПеречислениеСтавкаНДС:e=СтавкиНДС"),
    catalog("ВидыЦен", f"{_NAMED}ВалютаЦены_Key>{CURRENCIES} ЦенаВключаетНДС:b Статус"),
    catalog(
        "БанковскиеСчетаОрганизаций",
        f"Owner_Key>{ORGANIZATIONS} {_NAMED}НомерСчета:s=34 Валюта_Key>{CURRENCIES}",
    ),
    catalog("КлючиАналитикиУчетаПоПартнерам", f"Description:s=100 {_FIRM}{_PARTIES}"),
    catalog("ОбъектыРасчетов", f"Description:s=150 Объект:c {_FIRM}{_PARTIES}Валюта_Key>{CURRENCIES}"),
    document(
        "ЗаказКлиента",
        "Заказ клиента",
        f"{_TERMS}Статус Согласован:b ЖелаемаяДатаОтгрузки:t ДатаОтгрузки:t ДокументОснование:c ГрафикОплаты_Key "
        "ФормаОплаты ПорядокРасчетов МаксимальныйКодСтроки:i НомерПоДаннымКлиента ДатаПоДаннымКлиента:t",
        postable=True,
        Товары=f"{_ROW}Отменено:b Склад_Key>{WAREHOUSES} ВариантОбеспечения ДатаОтгрузки:t",
        ЭтапыГрафикаОплаты="ВариантОплаты ДатаПлатежа:t ПроцентПлатежа:m СуммаПлатежа:m",
    ),
    document(
        "СчетНаОплатуКлиенту",
        "Счет на оплату клиенту",
        f"{_PARTIES}{_FIRM}Валюта_Key>{CURRENCIES} СуммаДокумента:m ДокументОснование:c Аннулирован:b "
        f"БанковскийСчет_Key>{OWN_ACCOUNTS} ФормаОплаты НазначениеПлатежа Менеджер_Key Комментарий",
        postable=True,
        ЭтапыГрафикаОплаты="ДатаПлатежа:t ПроцентПлатежа:m СуммаПлатежа:m",
    ),
    document(
        "РеализацияТоваровУслуг",
        "Реализация товаров и услуг",
        f"{_TERMS}ЗаказКлиента:c РеализацияПоЗаказам:b Статус ДатаПлатежа:t ПорядокРасчетов Курс:r Кратность:i",
        postable=True,
        Товары=f"{_ROW}ЗаказКлиента:c Склад_Key>{WAREHOUSES}",
    ),
    document(
        "ВозвратТоваровОтКлиента",
        "Возврат товаров от клиента",
        f"{_TERMS}ДокументРеализации:c ВариантВозврата Курс:r Кратность:i",
        postable=True,
        Товары=f"{_ROW}ДокументРеализации:c Склад_Key>{WAREHOUSES}",
    ),
    document(
        "ПоступлениеБезналичныхДенежныхСредств",
        "Поступление безналичных ДС",
        _MONEY_HEADER,
        postable=True,
        РасшифровкаПлатежа=_MONEY_ROW,
    ),
    document(
        "СписаниеБезналичныхДенежныхСредств",
        "Списание безналичных ДС",
        _MONEY_HEADER,
        postable=True,
        РасшифровкаПлатежа=_MONEY_ROW,
    ),
    document(
        "ПриобретениеТоваровУслуг",
        "Приобретение товаров и услуг",
        f"{_PARTIES}{_FIRM}Склад_Key>{WAREHOUSES} Валюта_Key>{CURRENCIES} СуммаДокумента:m ХозяйственнаяОперация "
        "Комментарий",
        postable=True,
        Товары=f"{_ROW}Склад_Key>{WAREHOUSES}",
    ),
    document(
        "УстановкаЦенНоменклатуры",
        "Установка цен номенклатуры",
        "Согласован:b Статус Комментарий",
        postable=True,
        Товары=f"Номенклатура_Key>{PRODUCTS} Характеристика_Key ВидЦены_Key>{PRICE_KINDS} Упаковка_Key>{UNITS} Цена:m",
    ),
    *accumulation(
        "РасчетыСКлиентами",
        f"АналитикаУчетаПоПартнерам_Key>{ANALYTICS} ОбъектРасчетов_Key>{SETTLEMENT_OBJECTS} Валюта_Key>{CURRENCIES}",
        "Сумма:m КОплате:m КОтгрузке:m СуммаРегл:m",
    ),
    *accumulation(
        "ТоварыНаСкладах",
        f"Номенклатура_Key>{PRODUCTS} Характеристика_Key Назначение_Key Склад_Key>{WAREHOUSES} Помещение_Key Серия_Key",
        "ВНаличии:q КОтгрузке:q",
    ),
    *accumulation(
        "СвободныеОстатки",
        f"Номенклатура_Key>{PRODUCTS} Характеристика_Key Склад_Key>{WAREHOUSES}",
        "ВНаличии:q ВРезервеСоСклада:q ВРезервеПодЗаказ:q",
    ),
    *recorded_information(
        PRICES.partition("_")[2],
        f"ВидЦены_Key>{PRICE_KINDS} Номенклатура_Key>{PRODUCTS} Характеристика_Key Упаковка_Key>{UNITS}",
        "Цена:m",
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

_WHO = "АналитикаУчетаПоПартнерам_Key=#{}:Организация_Key,Партнер_Key,Контрагент_Key,Договор_Key"
_FOR = "ОбъектРасчетов_Key=#{}:Объект={},Организация_Key,Партнер_Key,Контрагент_Key,Валюта_Key"


def _owed(sign: str, table: str, about: str, columns: str, when: str = "") -> Move:
    fields = (
        f"{_WHO.format(ANALYTICS)} {_FOR.format(SETTLEMENT_OBJECTS, about)} Валюта_Key=Валюта_Key {columns}"
    )
    return move(SETTLEMENTS, sign, table, fields, when=when)


def _goods(sign: str) -> tuple[Move, Move]:
    where = "Номенклатура_Key=~Номенклатура_Key Характеристика_Key=~Характеристика_Key Склад_Key=~Склад_Key|Склад_Key"
    return (
        move(STOCK, sign, "Товары", f"{where} ВНаличии=~Количество", goods=True),
        move(FREE, sign, "Товары", f"{where} ВНаличии=~Количество", goods=True),
    )


def _reserve(sign: str, only: str) -> Move:
    where = "Номенклатура_Key=~Номенклатура_Key Характеристика_Key=~Характеристика_Key Склад_Key=~Склад_Key|Склад_Key"
    return move(FREE, sign, "Товары", f"{where} ВРезервеСоСклада=~Количество", goods=True, only=only)


_SALE_NEEDS = ("Организация_Key", "Партнер_Key", "Контрагент_Key", "Валюта_Key", "Склад_Key")
_PAID = "Сумма=~СуммаВзаиморасчетов|~Сумма СуммаРегл=~СуммаВзаиморасчетов|~Сумма КОплате=~СуммаВзаиморасчетов|~Сумма"
_BASIS = "~Заказ|~ОснованиеПлатежа|@"
_TOTAL = "Сумма=СуммаДокумента СуммаРегл=СуммаДокумента"
RULES = {
    ORDER: Rule(
        _SALE_NEEDS,
        "Товары",
        "СуммаСНДС",
        "ЦенаВключаетНДС",
        (
            _owed("+", "", "@", "КОплате=СуммаДокумента КОтгрузке=СуммаДокумента"),
            _reserve("+", "ВариантОбеспечения=СоСклада"),
        ),
    ),
    BILL: Rule(("Организация_Key", "Партнер_Key", "Контрагент_Key", "Валюта_Key", "ДокументОснование")),
    SALE: Rule(
        _SALE_NEEDS,
        "Товары",
        "СуммаСНДС",
        "ЦенаВключаетНДС",
        (
            _owed("+", "", "ЗаказКлиента|@", _TOTAL),
            _owed("+", "", "@", "КОплате=СуммаДокумента", "!ЗаказКлиента"),
            _owed("-", "", "ЗаказКлиента", "КОтгрузке=СуммаДокумента", "ЗаказКлиента"),
            *_goods("-"),
            _reserve("-", "reserved by ЗаказКлиента"),
        ),
    ),
    SALE_RETURN: Rule(
        _SALE_NEEDS,
        "Товары",
        "СуммаСНДС",
        "ЦенаВключаетНДС",
        (_owed("-", "", "ДокументРеализации|@", _TOTAL), *_goods("+")),
    ),
    MONEY_IN: Rule(
        ("Организация_Key", "Контрагент_Key", "Валюта_Key"),
        "РасшифровкаПлатежа",
        "Сумма",
        "",
        (_owed("-", "РасшифровкаПлатежа", _BASIS, _PAID),),
    ),
    MONEY_OUT: Rule(
        ("Организация_Key", "Контрагент_Key", "Валюта_Key"),
        "РасшифровкаПлатежа",
        "Сумма",
        "",
        (_owed("+", "РасшифровкаПлатежа", _BASIS, _PAID),),
    ),
    RECEIVED: Rule(("Организация_Key", "Склад_Key"), "Товары", moves=_goods("+")),
    "Document_УстановкаЦенНоменклатуры": Rule(
        (),
        "Товары",
        moves=(
            move(
                PRICES,
                "",
                "Товары",
                "ВидЦены_Key=~ВидЦены_Key Номенклатура_Key=~Номенклатура_Key Упаковка_Key=~Упаковка_Key Цена=~Цена",
            ),
        ),
    ),
}
SEEDS = (
    Seed(CURRENCIES, "currency", "Code=code Description=short НаименованиеПолное=full"),
    Seed(UNITS, "unit", "Code=code Description=short НаименованиеПолное=full"),
    Seed(VAT_RATES_CATALOG, "vat", "Description=short Ставка=rate ПеречислениеСтавкаНДС=word"),
    Seed(
        ORGANIZATIONS, "organization", "Description=short НаименованиеПолное=full ИНН=inn КПП=kpp ОГРН=ogrn"
    ),
    Seed(OWN_ACCOUNTS, "bank", f"Owner_Key=@{ORGANIZATIONS} Description=short НомерСчета=number"),
    Seed(WAREHOUSES, "warehouse", "Description=short ТипСклада='ОптовыйСклад"),
    Seed(
        PRICE_KINDS,
        "price_kind",
        f"Description=short ЦенаВключаетНДС=yes ВалютаЦены_Key=@{CURRENCIES}:643",
    ),
    Seed(PARTNERS, "party", "Description=short НаименованиеПолное=full Клиент=yes ЮрФизЛицо=kind"),
    Seed(
        COUNTERPARTIES,
        "party",
        f"Description=short НаименованиеПолное=full ИНН=inn КПП=kpp ЮридическоеФизическоеЛицо=kind Партнер_Key=@{PARTNERS}",
    ),
    Seed(
        CONTRACTS,
        "party",
        f"Description='Основной Партнер_Key=@{PARTNERS} Контрагент_Key=@{COUNTERPARTIES} "
        f"Организация_Key=@{ORGANIZATIONS}:main ВалютаВзаиморасчетов_Key=@{CURRENCIES}:643 Статус='Действует",
    ),
    Seed(
        AGREEMENTS,
        "party",
        f"Description='Соглашение Партнер_Key=@{PARTNERS} Контрагент_Key=@{COUNTERPARTIES} Статус='Действует "
        f"Организация_Key=@{ORGANIZATIONS}:main Валюта_Key=@{CURRENCIES}:643 ВидЦен_Key=@{PRICE_KINDS}:retail ЦенаВключаетНДС=yes",
    ),
    Seed(
        PRODUCTS,
        "product",
        f"Description=short НаименованиеПолное=full Артикул=article ЕдиницаИзмерения_Key=@{UNITS}:okei "
        f"СтавкаНДС_Key=@{VAT_RATES_CATALOG}:vat ТипНоменклатуры=type_trade",
    ),
)
TRADE = Configuration(
    "onec-trade",
    "Управление торговлей 11",
    SETS,
    columns_of(SETS.values()),
    RULES,
    SEEDS,
    {
        "stock": f"{STOCK} ВНаличии Склад_Key",
        "free": f"{FREE} ВНаличии Склад_Key",
        "prices": "Document_УстановкаЦенНоменклатуры Товары ВидЦены_Key",
        "price_kinds": PRICE_KINDS,
        "received": f"{RECEIVED} Товары Склад_Key",
        "money_in": MONEY_IN,
        "money_out": MONEY_OUT,
        "basis": "ОснованиеПлатежа",
        "row_sum": "Сумма",
        "copied": "Организация_Key Партнер_Key Контрагент_Key Валюта_Key",
        "copied_row": "Партнер_Key",
        "operation_in": "ПоступлениеОплатыОтКлиента",
        "operation_out": "ВозвратОплатыКлиенту",
    },
)
