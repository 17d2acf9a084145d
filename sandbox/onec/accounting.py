"""Бухгалтерия предприятия 3.0: its catalogs, registers and what of them is published.

Catalogs and the accounting register follow recorded objects. InformationRegister_ДатыЗапретаИзменения is as the
library of standard subsystems has it (one reference Раздел, composite Объект and Пользователь); how OData shows
an enumeration inside a composite is unconfirmed, and so are the columns of prices and of price types.
"""

from __future__ import annotations

from sandbox.onec.accounting_documents import DOCUMENTS
from sandbox.onec.model import (
    ACCOUNTS,
    BANK_ACCOUNTS,
    CLOSED_DATES,
    CONTRACTS,
    COUNTERPARTIES,
    CURRENCIES,
    GOODS_RECEIPT,
    OBJECT,
    ORGANIZATIONS,
    PRICE_SETTING,
    PRICE_TYPES,
    PRICES,
    PRODUCTS,
    REGISTER,
    ROW,
    TAIL,
    UNITS,
    WAREHOUSES,
    Configuration,
    EntitySet,
    Property,
    catalog,
    information,
    properties,
    recorded_information,
    with_tables,
)
from sandbox.onec.rules import Rule, move
from sandbox.onec.tables import TOTALS, columns_of

_EXTRA = "Свойство_Key Значение:c ТекстоваяСтрока"

CATALOGS = [
    catalog(
        "Организации",
        "Code:s=9 Description:s=100 НаименованиеСокращенное НаименованиеПолное "
        "ЮридическоеФизическоеЛицо:e=ЮридическоеФизическоеЛицо ИНН:s=12 КПП:s=9 ОГРН:s=15 КодПоОКПО:s=10 "
        f"ОсновнойБанковскийСчет_Key>{BANK_ACCOUNTS} ГоловнаяОрганизация_Key>{ORGANIZATIONS} Префикс:s=2",
    ),
    catalog(
        "Контрагенты",
        f"Parent_Key>{COUNTERPARTIES} IsFolder:b Code:s=9 Description:s=100 НаименованиеПолное "
        "ОбособленноеПодразделение:b ЮридическоеФизическоеЛицо:e=ЮридическоеФизическоеЛицо "
        f"СтранаРегистрации_Key ГоловнойКонтрагент_Key>{COUNTERPARTIES} ИНН:s=12 КПП:s=9 КодПоОКПО:s=10 "
        f"ДокументУдостоверяющийЛичность ОсновнойБанковскийСчет_Key>{BANK_ACCOUNTS} "
        "УдалитьОсновнойДоговорКонтрагента_Key ОсновноеКонтактноеЛицо_Key Комментарий "
        "ДополнительнаяИнформация УдалитьЮрФизЛицо ИННВведенКорректно:b КППВведенКорректно:b "
        "РасширенноеПредставлениеИНН:s=12 РасширенноеПредставлениеКПП:s=9 НалоговыйНомер:s=30 "
        "РегистрационныйНомер:s=15 ГосударственныйОрган:b ВидГосударственногоОргана "
        "КодГосударственногоОргана СвидетельствоСерияНомер СвидетельствоДатаВыдачи:t ДатаРегистрации:t "
        "ДатаСоздания:t",
        "Контрагент",
        КонтактнаяИнформация="Тип Вид_Key Представление ЗначенияПолей Страна Регион Город АдресЭП "
        "ДоменноеИмяСервера НомерТелефона НомерТелефонаБезКодов Значение",
        ДополнительныеРеквизиты=_EXTRA,
        ИсторияКПП="Период:t КПП:s=9",
        ИсторияНаименований="Период:t НаименованиеПолное",
        ИсторияКонтактнойИнформации="Период:t Вид_Key Представление ЗначенияПолей",
    ),
    catalog(
        "ДоговорыКонтрагентов",
        f"Owner_Key>{COUNTERPARTIES} Parent_Key>{CONTRACTS} IsFolder:b Code:s=9 Description:s=100 "
        f"ВалютаВзаиморасчетов_Key>{CURRENCIES} Комментарий Организация_Key>{ORGANIZATIONS} "
        "ПроцентКомиссионногоВознаграждения:m СпособРасчетаКомиссионногоВознаграждения ТипЦен_Key "
        "ВидДоговора:e=ВидыДоговоровКонтрагентов УчетАгентскогоНДС:b ВидАгентскогоДоговора "
        "РасчетыВУсловныхЕдиницах:b УдалитьРеализацияНаЭкспорт:b ВидВзаиморасчетов_Key Дата:t Номер:s=50 "
        "СрокДействия:t УстановленСрокОплаты:b СрокОплаты:i НаименованиеДляСчетаФактурыНаАванс_Key "
        "ПорядокРегистрацииСчетовФактурНаАвансПоДоговору Валютный:b ОплатаВВалюте:b "
        "ИспользуетсяПриОбменеДанными:b УдалитьПредъявляетНДС:b НДСПоСтавкам4и2:b Руководитель_Key "
        "ЗаРуководителяПоПриказу ДолжностьРуководителя_Key РуководительКонтрагента "
        "ЗаРуководителяКонтрагентаПоПриказу ДолжностьРуководителяКонтрагента ФайлДоговора_Key "
        "ДоговорПодписан:b ПолРуководителяКонтрагента ПлатежныйАгент:b ТелефонПоставщика "
        "НаименованиеОператораПеревода ИННОператораПеревода АдресОператораПеревода "
        "ТелефонОператораПеревода ТелефонПлатежногоАгента ТелефонОператораПоПриемуПлатежей "
        "ОперацияПлатежногоАгента ГосударственныйКонтракт_Key КодРаздел7ДекларацииНДС_Key ПризнакАгента "
        "УчетАгентскогоНДСПокупателем:b СчетаФактурыОтИмениОрганизации:b СпособЗаполненияСтавкиНДС "
        "ЭлектронныеУслуги:b ВидОбеспеченияОбязательствИПлатежей ОбеспечениеПредоставил:c "
        "ОбеспечениеПолучил:c ОбеспечениеВыданоЗа:c ДатаОплаты:t СуммаВключаетНДС:b "
        "СтавкаНДС:e=СтавкиНДС",
        "Договор",
        ДополнительныеРеквизиты=_EXTRA,
    ),
    catalog(
        "Номенклатура",
        f"Parent_Key>{PRODUCTS} IsFolder:b Code:s=11 Description:s=100 Артикул:s=25 ВидНоменклатуры_Key "
        f"ЕдиницаИзмерения_Key>{UNITS} НаименованиеПолное Комментарий Услуга:b НоменклатурнаяГруппа_Key "
        "СтранаПроисхождения_Key НомерГТД_Key СтатьяЗатрат_Key ОсновнаяСпецификацияНоменклатуры_Key "
        "Производитель_Key Импортер_Key КодТНВЭД_Key КодОКВЭД2_Key КодОКВЭД_Key КодОКП_Key КодОКПД2_Key "
        "УдалитьСтавкаНДС ПродукцияМаркируемаяДляГИСМ:b ПериодичностьУслуги КодРаздел7ДекларацииНДС_Key "
        "ПодконтрольнаяПродукцияВЕТИС:b ВидСтавкиНДС ТабачнаяПродукция:b ОбувнаяПродукция:b "
        "ЛегкаяПромышленность:b МолочнаяПродукция:b Шины:b Духи:b Велосипеды:b КреслаКоляски:b "
        "Фотоаппараты:b СредствоИндивидуальнойЗащиты:b КодНоменклатурнойКлассификацииККТ_Key",
        ДополнительныеРеквизиты=_EXTRA,
    ),
    catalog(
        "КлассификаторЕдиницИзмерения", "Code:s=4 Description:s=25 НаименованиеПолное МеждународноеСокращение"
    ),
    catalog(
        "Валюты", "Code:s=3 Description:s=10 НаименованиеПолное СпособУстановкиКурса ЗагружаетсяИзИнтернета:b"
    ),
    catalog("Склады", f"Parent_Key>{WAREHOUSES} IsFolder:b Code:s=9 Description:s=50 ТипСклада Комментарий"),
    catalog(
        "БанковскиеСчета",
        f"Owner:c Code:s=9 Description:s=100 НомерСчета:s=34 Банк_Key ВалютаДенежныхСредств_Key>{CURRENCIES} "
        "ВидСчета ДатаОткрытия:t ДатаЗакрытия:t",
    ),
    catalog(
        "ТипыЦенНоменклатуры",
        f"Code:s=9 Description:s=100 ВалютаЦены_Key>{CURRENCIES} ЦенаВключаетНДС:b Комментарий",
        "Тип цен",
    ),
]

_ACCOUNTS = EntitySet(
    ACCOUNTS,
    properties(
        f"{OBJECT}Parent_Key>{ACCOUNTS} Code:s=8 Description:s=120 Order Type OffBalance:b "
        "Валютный:b Количественный:b НаименованиеПолное ЗапретитьИспользоватьВПроводках:b" + TAIL
    ),
    {"ExtDimensionTypes": properties(ROW + "ExtDimensionType_Key TurnoversOnly:b Predefined:b Суммовой:b")},
)
_RECORD = properties(
    "Recorder Period:t LineNumber:i Active:b "
    f"AccountDr_Key>{ACCOUNTS} AccountCr_Key>{ACCOUNTS} Организация_Key>{ORGANIZATIONS} "
    f"ВалютаDr_Key>{CURRENCIES} ВалютаCr_Key>{CURRENCIES} ПодразделениеDr_Key ПодразделениеCr_Key Сумма:m "
    "ВалютнаяСуммаDr:m ВалютнаяСуммаCr:m КоличествоDr:q КоличествоCr:q СуммаНУDr:m СуммаНУCr:m "
    "СуммаПРDr:m СуммаПРCr:m СуммаВРDr:m СуммаВРCr:m Содержание "
    "НеКорректироватьСтоимостьАвтоматически:b Recorder_Type"
)
_RECORD["Recorder"] = Property("Recorder", "Edm.String", "", composite=True)
_EXT_DIMENSIONS = tuple(f"ExtDimension{side}{n}" for side in ("Dr", "Cr") for n in (1, 2, 3))
# Ext dimensions are no properties of the published record type; the virtual table RecordsWithExtDimensions has them.
RECORD_WITH_DIMENSIONS = _RECORD | properties(" ".join(f"{name}:c" for name in _EXT_DIMENSIONS))
_RECORD_SET = EntitySet(f"{REGISTER}_RecordType", _RECORD, key=("Recorder", "LineNumber", "Recorder_Type"))
_RECORD_SET = EntitySet(
    f"{REGISTER}_RecordType",
    _RECORD,
    key=("Recorder", "LineNumber", "Recorder_Type"),
    register="accounting",
    recorded=True,
)
_REGISTER_SET = EntitySet(
    REGISTER,
    properties("Recorder Recorder_Type"),
    {"RecordSet": _RECORD},
    key=("Recorder", "Recorder_Type"),
    register="accounting",
    recorded=True,
)
_RATES = information("КурсыВалют", f"Валюта_Key>{CURRENCIES}", "Курс:r Кратность:i")
_CLOSED_DATES = information(
    CLOSED_DATES.partition("_")[2],
    "Раздел_Key Объект:c Пользователь:c",
    "ДатаЗапрета:t ОписаниеДатыЗапрета Комментарий",
    periodic=False,
)
_PRICES = recorded_information(
    "ЦеныНоменклатуры",
    f"ТипЦен_Key>{PRICE_TYPES} Номенклатура_Key>{PRODUCTS}",
    f"Цена:m Валюта_Key>{CURRENCIES}",
)
SETS: dict[str, EntitySet] = with_tables(
    [*CATALOGS, _ACCOUNTS, *DOCUMENTS, _REGISTER_SET, _RECORD_SET, _RATES, *_PRICES, _CLOSED_DATES]
)
_PRICE_MOVES = move(
    PRICES,
    "",
    "Товары",
    "ТипЦен_Key=ТипЦен_Key Номенклатура_Key=~Номенклатура_Key Цена=~Цена Валюта_Key=~Валюта_Key",
)
ACCOUNTING = Configuration(
    "onec",
    "Бухгалтерия предприятия 3.0",
    SETS,
    {REGISTER: TOTALS | {"RecordsWithExtDimensions": RECORD_WITH_DIMENSIONS}} | columns_of(SETS.values()),
    {PRICE_SETTING: Rule(("Организация_Key", "ТипЦен_Key"), "Товары", moves=(_PRICE_MOVES,))},
    parts={
        "prices": f"{PRICE_SETTING} Товары ТипЦен_Key",
        "price_kinds": PRICE_TYPES,
        "received": f"{GOODS_RECEIPT} Товары Склад_Key",
    },
)
