"""Posting said as data: what a document must have, and which register rows it writes.

Notation of a move's fields, `column=value` by spaces: `Поле` the header's, `~Поле` the row's, `'слово` that word,
`@` the document itself, `a|b|c` the first that is filled, `?~Флаг:да:нет` one word or the other, and
`#Catalog_X:a,b,c` the object of a catalog of keys that has these values (made when there is none yet).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sandbox.onec.error import refusal
from sandbox.onec.model import EMPTY_REF, PRODUCTS, UNDEFINED, VAT_RATES_CATALOG, EntitySet, Property, Row

if TYPE_CHECKING:
    from sandbox.onec.base import Base

_NAMESPACE = uuid.UUID("4f0f8c52-5a53-57b8-9a43-6f26c4c0a9d2")
_SERVICES = ("Услуга", "Работа")
VAT_WORDS = {"НДС22": 22, "НДС20": 20, "НДС10": 10, "НДС7": 7, "НДС5": 5, "НДС0": 0, "БезНДС": 0}
Records = dict[str, list[Row]]
"""Rows of a document's movements by register."""


@dataclass(frozen=True, slots=True)
class Move:
    """Rows of one register. `sign` is "+" a receipt, "-" an expense, "" a row of an information register."""

    register: str
    sign: str
    table: str  # one row of the register for each of this tabular part; "" one for the document
    fields: tuple[tuple[str, str], ...]
    goods: bool = False  # rows of services are passed over
    when: str = ""  # a header's property that must be filled (`!Поле`: must be empty)
    only: str = (
        ""  # `Колонка=слово` of a row, or `reserved by Поле`: what that order reserved in this register
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """What posting of one kind of document checks and writes.

    `total` names the column whose sum over `table` must be СуммаДокумента; `taxed` the header's flag that says
    whether a row's Сумма includes VAT ("" where the document has no VAT of its own).
    """

    required: tuple[str, ...] = ()
    table: str = ""
    total: str = ""
    taxed: str = ""
    moves: tuple[Move, ...] = ()


def move(
    register: str, sign: str, table: str, fields: str, *, goods: bool = False, when: str = "", only: str = ""
) -> Move:
    pairs = tuple((name, value) for name, _, value in (word.partition("=") for word in fields.split()))
    return Move(register, sign, table, pairs, goods, when, only)


def records_of(base: Base, entity: EntitySet, rule: Rule, doc: Row) -> Records:
    """Rows that a whole document writes. Raises the configuration's refusal with every fault found."""
    faults = list(_faults(base, entity, rule, doc))
    if faults:
        shown = base.presentation(entity.name, doc)
        raise refusal(f'Не удалось провести "{shown}"!\n' + "\n".join(faults))
    found: Records = {}
    for step in rule.moves:
        if step.when and step.when.startswith("!") == bool(doc[step.when.lstrip("!")]):
            continue
        for row in doc[step.table] if step.table else [{}]:
            if step.goods and _is_service(base, row.get("Номенклатура_Key", EMPTY_REF)):
                continue
            if step.only and not _wanted(base, step, doc, row):
                continue
            found.setdefault(step.register, []).append(_record(base, entity, step, doc, row))
    return found


def _wanted(base: Base, step: Move, doc: Row, row: Row) -> bool:
    name, equals, word = step.only.partition("=")
    if equals:
        return bool(row.get(name) == word)
    field = step.only.removeprefix("reserved by ")
    reserved = base.registers.of(step.register, str(row.get(field) or doc.get(field) or ""))
    return any(held.get("Номенклатура_Key") == row["Номенклатура_Key"] for held in reserved)


def _record(base: Base, entity: EntitySet, step: Move, doc: Row, row: Row) -> Row:
    record: Row = {"RecordType": "Receipt" if step.sign == "+" else "Expense"} if step.sign else {}
    columns = base.configuration.sets[step.register].tables["RecordSet"]
    for name, text in step.fields:
        value, kind = _value(base, entity, text, doc, row)
        prop = columns[name]
        if prop.composite:
            record[name], record[f"{name}_Type"] = value, kind or UNDEFINED
        else:
            record[name] = prop.default if value in (None, "") else value
    return record


def _value(base: Base, entity: EntitySet, text: str, doc: Row, row: Row) -> tuple[Any, str]:
    """(value, type of a reference) of one notation."""
    if text.startswith("#"):
        return _key_object(base, entity, text[1:], doc, row), ""
    if text.startswith("?"):
        flag, yes, no = text[1:].split(":")
        return (yes if _value(base, entity, flag, doc, row)[0] else no), ""
    for part in text.split("|"):
        if part == "@":
            return doc["Ref_Key"], f"StandardODATA.{entity.name}"
        if part.startswith("'"):
            return part[1:], ""
        source, name, place = (row, part[1:], "rows") if part.startswith("~") else (doc, part, "")
        value = source.get(name)
        if value not in (None, "", 0, EMPTY_REF):
            kind = source.get(f"{name}_Type", "") or _target(entity, name, place)
            return value, kind
    return "", ""


def _target(entity: EntitySet, name: str, place: str) -> str:
    known: Mapping[str, Property] = entity.properties
    if place:
        known = {n: p for table in entity.tables.values() for n, p in table.items()}
    target = known[name].target if name in known else ""
    return f"StandardODATA.{target}" if target else ""


def _key_object(base: Base, entity: EntitySet, text: str, doc: Row, row: Row) -> str:
    catalog, _, names = text.partition(":")
    known = base.configuration.sets[catalog]
    values: Row = {}
    for name, _, source in (word.partition("=") for word in names.split(",")):
        value, kind = _value(base, entity, source or name, doc, row)
        values[name] = known.properties[name].default if value == "" else value
        if known.properties[name].composite:
            values[f"{name}_Type"] = kind or UNDEFINED
    key = str(uuid.uuid5(_NAMESPACE, ":".join((catalog, *map(str, values.values())))))
    if key not in base.rows[catalog]:
        base.create(known, {**values, "Ref_Key": key, "Description": key[:8]})
    return key


def _faults(base: Base, entity: EntitySet, rule: Rule, doc: Row) -> Iterator[str]:
    for name in rule.required:
        prop, value = entity.properties[name], doc[name]
        target = doc.get(f"{name}_Type", "").removeprefix("StandardODATA.") if prop.composite else prop.target
        shown = name.removesuffix("_Key")
        if value in ("", EMPTY_REF) or (target in base.rows and value not in base.rows[target]):
            yield f'Поле "{shown}" не заполнено'
        elif target in base.rows and base.rows[target][value].get("IsFolder"):
            yield f'Поле "{shown}": выбрана группа'
    if not rule.table:
        return
    rows = doc[rule.table]
    if not rows:
        yield f'Не введено ни одной строки в список "{rule.table}"'
    total = Decimal(0)
    for row in rows:
        place = f'в строке {row["LineNumber"]} списка "{rule.table}"'
        if rule.total:
            total += _decimal(row[rule.total])
        if "Номенклатура_Key" in row and row["Номенклатура_Key"] not in base.rows[PRODUCTS]:
            yield f'Не заполнена колонка "Номенклатура" {place}'
        if rule.taxed:
            yield from _row_faults(base, row, place, included=bool(doc[rule.taxed]))
    if rule.total and total != _decimal(doc["СуммаДокумента"]):
        yield f"Сумма документа ({doc['СуммаДокумента']}) не равна сумме строк ({total})"


def _row_faults(base: Base, row: Row, place: str, *, included: bool) -> Iterator[str]:
    quantity, price, value = (_decimal(row[name]) for name in ("Количество", "Цена", "Сумма"))
    if quantity <= 0:
        yield f'Не заполнена колонка "Количество" {place}'
    rate = vat_percent(base, row)
    if rate is None:
        yield f'Не заполнена колонка "Ставка НДС" {place}'
        return
    expected = value * rate / (100 + rate) if included else value * rate / 100
    if abs(expected - _decimal(row["СуммаНДС"])) > Decimal("0.01"):
        yield f'Колонка "Сумма НДС" {place} не соответствует ставке НДС'
    discount = sum((_decimal(row[n]) for n in row if n.startswith("СуммаРучнойСкидки")), Decimal(0))
    if abs(quantity * price - discount - value) > Decimal("0.01") and not row.get("ПроцентСкидкиНаценки"):
        yield f'Колонка "Сумма" {place} не равна произведению количества и цены'


def vat_percent(base: Base, row: Row) -> int | None:
    """The rate of a row in per cent, by the enumeration or by the catalog of rates; None without one."""
    if "СтавкаНДС_Key" in row:
        found = base.get(VAT_RATES_CATALOG, row["СтавкаНДС_Key"])
        return int(found.get("Ставка", 0)) if found else None
    return VAT_WORDS.get(row["СтавкаНДС"])


def _is_service(base: Base, key: str) -> bool:
    return (base.get(PRODUCTS, key) or {}).get("ТипНоменклатуры") in _SERVICES


def _decimal(value: object) -> Decimal:
    return Decimal(str(value))
