"""What the 1C base consists of: entity sets, their properties and tabular parts.

A small text says everything once; `$metadata`, validation on writing, defaults on reading and
filters are all derived from it. Names follow the recorded objects of Бухгалтерия предприятия 3.0.

Notation of a property: `Name` a string, `Name_Key` a reference, and after a colon
b boolean, t date and time, m money (2 digits), q quantity (3), r rate (4), i Int64, n Int16,
c composite (adds `Name_Type`), e an enumeration named after `=`, s a string of that length.
`>Set` names the set a reference leads to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Row = dict[str, Any]

EMPTY_REF = "00000000-0000-0000-0000-000000000000"
EMPTY_DATE = "0001-01-01T00:00:00"
UNDEFINED = "StandardODATA.Undefined"
REGISTER = "AccountingRegister_Хозрасчетный"
ACCOUNTS = "ChartOfAccounts_Хозрасчетный"
ORGANIZATIONS = "Catalog_Организации"
COUNTERPARTIES = "Catalog_Контрагенты"
CONTRACTS = "Catalog_ДоговорыКонтрагентов"
PRODUCTS = "Catalog_Номенклатура"
UNITS = "Catalog_КлассификаторЕдиницИзмерения"
CURRENCIES = "Catalog_Валюты"
WAREHOUSES = "Catalog_Склады"
BANK_ACCOUNTS = "Catalog_БанковскиеСчета"
INVOICE = "Document_СчетНаОплатуПокупателю"
REALIZATION = "Document_РеализацияТоваровУслуг"
RECEIPT = "Document_ПоступлениеНаРасчетныйСчет"
WRITE_OFF = "Document_СписаниеСРасчетногоСчета"
RATES = "InformationRegister_КурсыВалют"

ENUMS: dict[str, tuple[str, ...]] = {
    "СтавкиНДС": ("НДС20", "НДС10", "НДС0", "БезНДС", "НДС22", "НДС20_120", "НДС10_110", "НДС22_122"),
    "ВидыДоговоровКонтрагентов": ("СПокупателем", "СПоставщиком", "СКомиссионером", "СКомитентом", "Прочее"),
    "ЮридическоеФизическоеЛицо": ("ЮридическоеЛицо", "ФизическоеЛицо"),
    "СпособыЗачетаАвансов": ("Автоматически", "ПоДокументу", "НеЗачитывать"),
}


@dataclass(frozen=True, slots=True)
class Property:
    name: str
    edm: str
    default: Any
    target: str = ""  # the set behind a reference
    scale: int = 0  # digits kept of an Edm.Double, as the attribute's number qualifier does
    length: int = 0  # a longer string is cut, as the platform does on assignment
    enum: str = ""
    composite: bool = False

    @property
    def navigation(self) -> str:
        """Name of the navigation property of a reference ("" where there is none)."""
        if self.composite:
            return self.name
        return self.name[:-4] if self.edm == "Edm.Guid" and self.name.endswith("_Key") else ""


@dataclass(frozen=True)
class EntitySet:
    name: str
    properties: dict[str, Property]
    tables: dict[str, dict[str, Property]] = field(default_factory=dict)
    key: tuple[str, ...] = ("Ref_Key",)
    synonym: str = ""  # how 1C names the object in its messages
    owner: str = ""  # the set whose tabular part this is
    postable: bool = False

    @property
    def kind(self) -> str:
        return self.name.split("_", 1)[0]

    @property
    def object_name(self) -> str:
        return self.name.split("_", 1)[1]

    @cached_property
    def template(self) -> Row:
        """Every property at its default, tabular parts empty, in the order of an answer."""
        filled: Row = {name: prop.default for name, prop in self.properties.items()}
        last = [(name, filled.pop(name)) for name in ("Predefined", "PredefinedDataName") if name in filled]
        return filled | dict.fromkeys(self.tables, ()) | dict(last)

    @cached_property
    def row_templates(self) -> dict[str, Row]:
        return {table: {n: p.default for n, p in props.items()} for table, props in self.tables.items()}

    @cached_property
    def navigations(self) -> dict[str, Property]:
        found = {p.navigation: p for p in self.properties.values() if p.navigation}
        found.pop("Ref", None)
        return found


_MARKS: dict[str, tuple[str, Any, int]] = {
    "b": ("Edm.Boolean", False, 0),
    "t": ("Edm.DateTime", EMPTY_DATE, 0),
    "m": ("Edm.Double", 0, 2),
    "q": ("Edm.Double", 0, 3),
    "r": ("Edm.Double", 0, 4),
    "i": ("Edm.Int64", "0", 0),
    "n": ("Edm.Int16", 0, 0),
}


def properties(text: str) -> dict[str, Property]:
    """Read the notation above."""
    found: dict[str, Property] = {}
    for word in text.split():
        word, _, target = word.partition(">")
        name, _, mark = word.partition(":")
        mark, _, argument = mark.partition("=")
        if mark == "c":
            found[name] = Property(name, "Edm.String", "", composite=True)
            found[name + "_Type"] = Property(name + "_Type", "Edm.String", UNDEFINED)
        elif mark == "e":
            found[name] = Property(name, "Edm.String", "", enum=argument)
        elif mark in _MARKS:
            edm, default, scale = _MARKS[mark]
            found[name] = Property(name, edm, default, scale=scale)
        elif name.endswith("_Key"):
            found[name] = Property(name, "Edm.Guid", EMPTY_REF, target=target)
        else:
            found[name] = Property(name, "Edm.String", "", length=int(argument or 0))
    return found


_OBJECT = "Ref_Key DataVersion DeletionMark:b "
_TAIL = " Predefined:b PredefinedDataName"
_ROW = "Ref_Key LineNumber:i "
_DOCUMENT = _OBJECT + "Number:s=11 Date:t Posted:b "


def _catalog(name: str, body: str, synonym: str = "", **tables: str) -> EntitySet:
    built = {table: properties(_ROW + text) for table, text in tables.items()}
    return EntitySet(f"Catalog_{name}", properties(_OBJECT + body + _TAIL), built, synonym=synonym or name)


def _document(name: str, synonym: str, body: str, *, postable: bool, **tables: str) -> EntitySet:
    built = {table: properties(_ROW + text) for table, text in tables.items()}
    found = properties(_DOCUMENT + body)
    return EntitySet(f"Document_{name}", found, built, synonym=synonym, postable=postable)


_SETTLEMENT = f"СчетУчетаРасчетовСКонтрагентом_Key>{ACCOUNTS} СчетУчетаРасчетовПоАвансам_Key>{ACCOUNTS} "
_EXTRA = "Свойство_Key Значение:c ТекстоваяСтрока"

_CATALOGS = [
    _catalog(
        "Организации",
        "Code:s=9 Description:s=100 НаименованиеСокращенное НаименованиеПолное "
        "ЮридическоеФизическоеЛицо:e=ЮридическоеФизическоеЛицо ИНН:s=12 КПП:s=9 ОГРН:s=15 КодПоОКПО:s=10 "
        f"ОсновнойБанковскийСчет_Key>{BANK_ACCOUNTS} ГоловнаяОрганизация_Key>{ORGANIZATIONS} Префикс:s=2",
    ),
    _catalog(
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
    _catalog(
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
    _catalog(
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
    _catalog(
        "КлассификаторЕдиницИзмерения", "Code:s=4 Description:s=25 НаименованиеПолное МеждународноеСокращение"
    ),
    _catalog(
        "Валюты", "Code:s=3 Description:s=10 НаименованиеПолное СпособУстановкиКурса ЗагружаетсяИзИнтернета:b"
    ),
    _catalog("Склады", f"Parent_Key>{WAREHOUSES} IsFolder:b Code:s=9 Description:s=50 ТипСклада Комментарий"),
    _catalog(
        "БанковскиеСчета",
        f"Owner:c Code:s=9 Description:s=100 НомерСчета:s=34 Банк_Key ВалютаДенежныхСредств_Key>{CURRENCIES} "
        "ВидСчета ДатаОткрытия:t ДатаЗакрытия:t",
    ),
]

_SALE_ROW = (
    f"Номенклатура_Key>{PRODUCTS} {{unit}} Количество:q Цена:m Сумма:m СтавкаНДС:e=СтавкиНДС СуммаНДС:m "
)

_DOCUMENTS = [
    _document(
        "СчетНаОплатуПокупателю",
        "Счет покупателю",
        f"Организация_Key>{ORGANIZATIONS} ПодразделениеОрганизации_Key Контрагент_Key>{COUNTERPARTIES} "
        f"ДоговорКонтрагента_Key>{CONTRACTS} Склад_Key>{WAREHOUSES} СтруктурнаяЕдиница_Key>{BANK_ACCOUNTS} "
        f"ВалютаДокумента_Key>{CURRENCIES} КурсВзаиморасчетов:r КратностьВзаиморасчетов:i ТипЦен_Key "
        "СуммаВключаетНДС:b ДокументБезНДС:b СуммаДокумента:m СрокОплаты:t АдресДоставки "
        "ДополнительныеУсловия Ответственный_Key Комментарий РучнаяКорректировка:b "
        "ВидЭлектронногоДокумента ИННПлательщика СуммаСкидки:m",
        postable=False,
        Товары=_SALE_ROW.format(
            unit=f"Содержание КоличествоМест:q ЕдиницаИзмерения_Key>{UNITS} Коэффициент:q"
        )
        + "ПроцентСкидки:m СуммаСкидки:m",
        ВозвратнаяТара=f"Номенклатура_Key>{PRODUCTS} Количество:q Цена:m Сумма:m",
    ),
    _document(
        "РеализацияТоваровУслуг",
        "Реализация (акт, накладная, УПД)",
        f"ВидОперации Организация_Key>{ORGANIZATIONS} Склад_Key>{WAREHOUSES} ПодразделениеОрганизации_Key "
        f"ДеятельностьНаПатенте:b Патент_Key Контрагент_Key>{COUNTERPARTIES} "
        f"ДоговорКонтрагента_Key>{CONTRACTS} СпособЗачетаАвансов:e=СпособыЗачетаАвансов ТипЦен_Key "
        f"ВалютаДокумента_Key>{CURRENCIES} КурсВзаиморасчетов:r КратностьВзаиморасчетов:i СуммаВключаетНДС:b "
        f"УдалитьУчитыватьНДС:b {_SETTLEMENT} СчетУчетаРасчетовПоТаре_Key>{ACCOUNTS} "
        "УдалитьСчетУчетаДоходовПоТаре_Key УдалитьСчетУчетаРасходовПоТаре_Key "
        f"УдалитьСтатьяДоходовИРасходовПоТаре_Key СчетНаОплатуПокупателю_Key>{INVOICE} "
        f"Грузоотправитель_Key>{COUNTERPARTIES} Грузополучатель_Key>{COUNTERPARTIES} АдресДоставки "
        f"БанковскийСчетОрганизации_Key>{BANK_ACCOUNTS} СуммаДокумента:m Ответственный_Key Комментарий "
        "РучнаяКорректировка:b Руководитель_Key ГлавныйБухгалтер_Key ОтпускПроизвел_Key "
        "УдалитьЗаРуководителяПоПриказу УдалитьЗаГлавногоБухгалтераПоПриказу ЗаЗаказчикаНаОсновании "
        "ДоверенностьНомер ДоверенностьДата:t ДоверенностьВыдана ДоверенностьЧерезКого "
        "ВидЭлектронногоДокумента ДокументБезНДС:b ЗаРуководителяНаОсновании_Key "
        f"ЗаГлавногоБухгалтераНаОсновании_Key Перевозчик_Key>{COUNTERPARTIES} МаркаАвтомобиля "
        "РегистрационныйЗнакАвтомобиля Водитель ВодительскоеУдостоверение КраткоеНаименованиеГруза "
        "СопроводительныеДокументы ДеятельностьНаТорговомСборе:b ОтветственныйЗаОформление_Key "
        "СведенияОТранспортировкеИГрузе ПеревозкаАвтотранспортом:b ЕстьМаркируемаяПродукцияГИСМ:b "
        "НомерЧекаККМ:i СпособДоставки_Key НомерДляОтслеживания МаркаПрицепа РегистрационныйЗнакПрицепа "
        "ЭтоУниверсальныйДокумент:b",
        postable=True,
        Товары=_SALE_ROW.format(unit=f"КоличествоМест:q ЕдиницаИзмерения_Key>{UNITS} Коэффициент:q")
        + f"СчетУчета_Key>{ACCOUNTS} ПереданныеСчетУчета_Key>{ACCOUNTS} СчетДоходов_Key>{ACCOUNTS} "
        f"Субконто:c СчетУчетаНДСПоРеализации_Key>{ACCOUNTS} СчетРасходов_Key>{ACCOUNTS} "
        "ДокументОприходования:c Себестоимость:m НомерГТД_Key СтранаПроисхождения_Key КиЗ_ГИСМ_Key "
        f"КодТНВЭД_Key СчетНаОплатуПокупателю_Key>{INVOICE}",
        ВозвратнаяТара=f"Номенклатура_Key>{PRODUCTS} Количество:q Цена:m Сумма:m СчетУчета_Key>{ACCOUNTS}",
        Услуги=_SALE_ROW.format(unit="Содержание")
        + f"СчетДоходов_Key>{ACCOUNTS} Субконто:c СчетУчетаНДСПоРеализации_Key>{ACCOUNTS} "
        f"СчетРасходов_Key>{ACCOUNTS} СчетНаОплатуПокупателю_Key>{INVOICE}",
        АгентскиеУслуги=_SALE_ROW.format(unit="Содержание")
        + f"Контрагент_Key>{COUNTERPARTIES} ДоговорКонтрагента_Key>{CONTRACTS} СчетРасчетов_Key>{ACCOUNTS}",
        ЗачетАвансов="ДокументАванса:c СуммаЗачета:m",
        ШтрихкодыУпаковок="ШтрихкодУпаковки_Key",
    ),
]

_BANK_HEADER = (
    f"ВидОперации Организация_Key>{ORGANIZATIONS} СчетОрганизации_Key>{BANK_ACCOUNTS} "
    f"ПодразделениеОрганизации_Key СчетБанк_Key>{ACCOUNTS} Контрагент:c СчетКонтрагента_Key>{BANK_ACCOUNTS} "
    f"ДоговорКонтрагента_Key>{CONTRACTS} СчетУчетаРасчетовСКонтрагентом_Key>{ACCOUNTS} СуммаДокумента:m "
    f"ВалютаДокумента_Key>{CURRENCIES} НазначениеПлатежа СтатьяДвиженияДенежныхСредств_Key "
    "НомерВходящегоДокумента:s=30 ДатаВходящегоДокумента:t Ответственный_Key Комментарий "
    "РучнаяКорректировка:b ПодтвержденоВыпиской:b"
)
_BANK_ROW = (
    f"ДоговорКонтрагента_Key>{CONTRACTS} СпособПогашенияЗадолженности Сделка:c СуммаПлатежа:m "
    "КурсВзаиморасчетов:r КратностьВзаиморасчетов:i СуммаВзаиморасчетов:m СтавкаНДС:e=СтавкиНДС СуммаНДС:m "
    f"СчетУчетаРасчетовСКонтрагентом_Key>{ACCOUNTS} СчетУчетаРасчетовПоАвансам_Key>{ACCOUNTS} "
    f"СтатьяДвиженияДенежныхСредств_Key СчетНаОплату_Key>{INVOICE} СуммаВозврата:m"
)
_DOCUMENTS += [
    _document(
        "ПоступлениеНаРасчетныйСчет",
        "Поступление на расчетный счет",
        _BANK_HEADER,
        postable=True,
        РасшифровкаПлатежа=_BANK_ROW,
    ),
    _document(
        "СписаниеСРасчетногоСчета",
        "Списание с расчетного счета",
        _BANK_HEADER,
        postable=True,
        РасшифровкаПлатежа=_BANK_ROW,
    ),
]

_ACCOUNTS = EntitySet(
    ACCOUNTS,
    properties(
        f"{_OBJECT}Parent_Key>{ACCOUNTS} Code:s=8 Description:s=120 Order Type OffBalance:b "
        "Валютный:b Количественный:b НаименованиеПолное ЗапретитьИспользоватьВПроводках:b" + _TAIL
    ),
    {"ExtDimensionTypes": properties(_ROW + "ExtDimensionType_Key TurnoversOnly:b Predefined:b Суммовой:b")},
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
EXT_DIMENSIONS = tuple(f"ExtDimension{side}{n}" for side in ("Dr", "Cr") for n in (1, 2, 3))
# Ext dimensions are no properties of the published record type (it is open); the virtual table
# RecordsWithExtDimensions names them.
RECORD_WITH_DIMENSIONS = _RECORD | properties(" ".join(f"{name}:c" for name in EXT_DIMENSIONS))
_RECORD_SET = EntitySet(f"{REGISTER}_RecordType", _RECORD, key=("Recorder", "LineNumber", "Recorder_Type"))
_REGISTER_SET = EntitySet(
    REGISTER, properties("Recorder Recorder_Type"), {"RecordSet": _RECORD}, key=("Recorder", "Recorder_Type")
)
_RATES = EntitySet(
    RATES, properties(f"Period:t Валюта_Key>{CURRENCIES} Курс:r Кратность:i"), key=("Period", "Валюта_Key")
)


def _with_tables(sets: list[EntitySet]) -> dict[str, EntitySet]:
    """Every set by name, each tabular part as its own set behind its object."""
    found: dict[str, EntitySet] = {}
    for entity in sets:
        found[entity.name] = entity
        if entity.name == REGISTER:
            continue
        for table, props in entity.tables.items():
            name = f"{entity.name}_{table}"
            found[name] = EntitySet(name, props, key=("Ref_Key", "LineNumber"), owner=entity.name)
    return found


SETS: dict[str, EntitySet] = _with_tables(
    [*_CATALOGS, _ACCOUNTS, *_DOCUMENTS, _REGISTER_SET, _RECORD_SET, _RATES]
)
OBJECT_SETS = tuple(s.name for s in SETS.values() if s.key == ("Ref_Key",))
