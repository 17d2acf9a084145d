"""What a 1C base consists of: entity sets, their properties and tabular parts, registers, configurations.

A small text says everything once; `$metadata`, validation on writing, defaults on reading and
filters are all derived from it. The configurations themselves are `accounting`, `trade` and `smallfirm`.

Notation of a property: `Name` a string, `Name_Key` a reference, and after a colon
b boolean, t date and time, m money (2 digits), q quantity (3), r rate (4), i Int64, n Int16,
c composite (adds `Name_Type`), e an enumeration named after `=`, s a string of that length.
`>Set` names the set a reference leads to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.onec.masters import Seed
    from sandbox.onec.rules import Rule

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
SALE_INVOICE = "Document_СчетФактураВыданный"
RETURN = "Document_ВозвратТоваровОтПокупателя"
CORRECTION = "Document_КорректировкаРеализации"
CASH_RECEIPT = "Document_ПриходныйКассовыйОрдер"
CASH_WRITE_OFF = "Document_РасходныйКассовыйОрдер"
RATES = "InformationRegister_КурсыВалют"
GOODS_RECEIPT = "Document_ПоступлениеТоваровУслуг"
PRICE_SETTING = "Document_УстановкаЦенНоменклатуры"
PRICE_TYPES = "Catalog_ТипыЦенНоменклатуры"
PRICES = "InformationRegister_ЦеныНоменклатуры"
CLOSED_DATES = "InformationRegister_ДатыЗапретаИзменения"
VAT_RATES_CATALOG = "Catalog_СтавкиНДС"

ENUMS: dict[str, Sequence[str]] = {
    "СтавкиНДС": [
        "НДС20",
        "НДС10",
        "НДС0",
        "БезНДС",
        "НДС22",
        "НДС5",
        "НДС7",
        "НДС20_120",
        "НДС10_110",
        "НДС22_122",
        "НДС5_105",
        "НДС7_107",
    ],
    "ВидыДоговоровКонтрагентов": ("СПокупателем", "СПоставщиком", "СКомиссионером", "СКомитентом", "Прочее"),
    "ЮридическоеФизическоеЛицо": ("ЮридическоеЛицо", "ФизическоеЛицо"),
    "СпособыЗачетаАвансов": ("Автоматически", "ПоДокументу", "НеЗачитывать"),
    "ВидыНазначенияДатЗапрета": ("ДляВсехПользователей", "ДляВсехИнформационныхБаз"),
    "НалогообложениеНДС": ("ПродажаОблагаетсяНДС", "ПродажаНеОблагаетсяНДС", "ПродажаНаЭкспорт"),
    "ТипыНалогообложенияНДС": ("ОблагаетсяНДС", "НеОблагаетсяНДС", "НаЭкспорт"),
    "ТипыНоменклатуры": ("Товар", "Услуга", "Работа", "Запас", "Набор"),
    "ТипыРасчетов": ("Долг", "Аванс"),
    "ВидыДвиженийНакопления": ("Receipt", "Expense"),
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


@dataclass(frozen=True, eq=False)
class EntitySet:
    """One published set. `register` says of what kind a register is, `recorded` that documents write it;
    `renamed` and `renamed_rows` give the stored name of a property that a release renamed."""

    name: str
    properties: dict[str, Property]
    tables: dict[str, dict[str, Property]] = field(default_factory=dict)
    key: tuple[str, ...] = ("Ref_Key",)
    synonym: str = ""  # how 1C names the object in its messages
    owner: str = ""  # the set whose tabular part this is
    postable: bool = False
    register: str = ""  # accounting, accumulation or information
    recorded: bool = False
    dimensions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    changed: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)
    renamed_rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

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


OBJECT = "Ref_Key DataVersion DeletionMark:b "
TAIL = " Predefined:b PredefinedDataName"
ROW = "Ref_Key LineNumber:i "
_DOCUMENT = OBJECT + "Number:s=11 Date:t Posted:b "


def catalog(name: str, body: str, synonym: str = "", **tables: str) -> EntitySet:
    """A catalog; keyword arguments are its tabular parts."""
    built = {table: properties(ROW + text) for table, text in tables.items()}
    return EntitySet(f"Catalog_{name}", properties(OBJECT + body + TAIL), built, synonym=synonym or name)


def document(name: str, synonym: str, body: str, *, postable: bool, **tables: str) -> EntitySet:
    built = {table: properties(ROW + text) for table, text in tables.items()}
    found = properties(_DOCUMENT + body)
    return EntitySet(f"Document_{name}", found, built, synonym=synonym, postable=postable)


def information(name: str, dimensions: str, resources: str, *, periodic: bool = True) -> EntitySet:
    """An information register that nobody's posting writes."""
    first = properties(("Period:t " if periodic else "") + dimensions)
    found = first | properties(resources)
    return EntitySet(
        f"InformationRegister_{name}",
        found,
        key=tuple(first),
        register="information",
        dimensions=tuple(properties(dimensions)),
        resources=tuple(properties(resources)),
    )


def recorded_information(name: str, dimensions: str, resources: str) -> tuple[EntitySet, EntitySet]:
    """An information register that documents write: the sets of its recorders and of its records."""
    return _recorded(f"InformationRegister_{name}", "information", dimensions, resources, "")


def accumulation(name: str, dimensions: str, resources: str, more: str = "") -> tuple[EntitySet, EntitySet]:
    """An accumulation register of balances: the sets of its recorders and of its records."""
    head = "RecordType:e=ВидыДвиженийНакопления "
    return _recorded(f"AccumulationRegister_{name}", "accumulation", dimensions, resources, more, head)


def _recorded(
    name: str, register: str, dimensions: str, resources: str, more: str, head: str = ""
) -> tuple[EntitySet, EntitySet]:
    columns = f"Period:t LineNumber:i Active:b {head}{dimensions} {resources} {more} Recorder_Type"
    record = {"Recorder": Property("Recorder", "Edm.String", "", composite=True)} | properties(columns)
    by = tuple(properties(dimensions))
    values = tuple(properties(resources))
    recorders = properties("Recorder Recorder_Type")
    key = ("Recorder", "Recorder_Type")
    return (
        EntitySet(name, recorders, {"RecordSet": record}, key, name, "", False, register, True, by, values),
        EntitySet(
            f"{name}_RecordType",
            record,
            key=("Recorder", "LineNumber", "Recorder_Type"),
            register=register,
            recorded=True,
            dimensions=by,
            resources=values,
        ),
    )


def with_tables(sets: Iterable[EntitySet]) -> dict[str, EntitySet]:
    """Every set by name, each tabular part as its own set behind its object."""
    found: dict[str, EntitySet] = {}
    for entity in sets:
        found[entity.name] = entity
        if entity.register:
            continue
        for table, props in entity.tables.items():
            name = f"{entity.name}_{table}"
            found[name] = EntitySet(
                name,
                props,
                key=("Ref_Key", "LineNumber"),
                owner=entity.name,
                changed=table in entity.renamed_rows,
            )
    return found


@dataclass(frozen=True, eq=False)
class Configuration:
    """One configuration of 1C. `name` is its mount and the prefix of its collections' names."""

    name: str
    title: str
    sets: Mapping[str, EntitySet]
    columns: Mapping[str, Mapping[str, Mapping[str, Property]]]  # virtual tables by register and name
    rules: Mapping[str, Rule] = field(default_factory=dict)  # what posting does, said as data
    seeds: tuple[Seed, ...] = ()  # masters that the company's records are shown in
    parts: Mapping[str, str] = field(default_factory=dict)  # what plays which part in prices, stock, payments

    @property
    def prefix(self) -> str:
        return f"{self.name}_"
