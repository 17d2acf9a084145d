"""The columns of one read: from given texts to typed values, and a sentence for what could not be used."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from mappings.field import FieldRule
from mappings.quick import date_sql, moment_sql, number_sql
from mappings.quoting import identifier, literal
from mappings.tables import STANDARD, ColumnLike, TableLike, targets

if TYPE_CHECKING:
    from mappings.folder import Read, System

BY_COUNTRY = frozenset({"phone", "tax_number"})
"""Kinds of cleaning that read a value by the rules of its country."""

SHOWN = 80  # characters of a value that a sentence repeats

SIGNS = "money_signs"
"""A column that keeps the signs of money in a row's sums, of a table whose rows have the currency of another one."""

_NUMERIC = re.compile(r"numeric\((\d+),\s*(\d+)\)")
_WORDS = {
    "integer": "is not a whole number",
    "numeric": "is not a number",
    "date": "is not a date",
    "timestamptz": "is not a time",
    "boolean": "is neither yes nor no",
}


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A column that takes a cleaned value: SQL of the given text, and the countries it is read for.

    `country` is the SQL of a row's country where there are several, else empty.
    """

    kind: str
    given: str
    country: str
    countries: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """One filled column. `number` names its parts in the layers: _g3 given, _p3 read, _c3 cleaned."""

    target: ColumnLike
    field: FieldRule
    number: int

    @property
    def name(self) -> str:
        """Our column's name."""
        return self.target.name

    @property
    def base(self) -> str:
        """Its type without length and scale: "numeric" of "numeric(18,2)"."""
        return self.target.type.partition("(")[0]

    @property
    def is_read(self) -> bool:
        """Whether its value comes from the record; else it is constant, computed or the parent's."""
        return self.field.source in ("from", "choose")


@dataclass(frozen=True)
class Values:
    """The columns that a read fills. `take(field)` gives the SQL of its given text."""

    system: System
    read: Read
    table: TableLike
    take: Callable[[FieldRule], str]

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The filled columns, in the order of the mapping file."""
        types = {column.name: column for column in self.table.columns}
        return tuple(
            Column(types[name], field, i) for i, (name, field) in enumerate(self.read.rule.fields.items())
        )

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The same by our name."""
        return {column.name: column for column in self.columns}

    # ---- layer "given"

    def given_columns(self) -> list[tuple[str, str]]:
        """(SQL, alias) of each given text: trimmed, null where blank or meaning nothing."""
        return [(self.take(c.field), f"_g{c.number}") for c in self.columns if c.is_read]

    # ---- layer "read"

    def read_sql(self) -> str:
        """SQL, begun with a comma: `_p3` as read (null where unreadable), `_c3` the problem and `_k3` whether it was cleaned."""
        out = ""
        for c in self.columns:
            if c.is_read and (reader := self.reader(c)):
                out += f", {reader} as _p{c.number}"
                if self.may_be_signed(c):
                    out += f", {signs_sql(mapped(c.field, f'g._g{c.number}'))} as _s{c.number}"
            elif c.is_read and c.field.clean:
                out += f", c{c.number}.value as _p{c.number}, c{c.number}.problem as _c{c.number}"
                out += f", c{c.number}.raw_value is not null as _k{c.number}"
        return out

    def clean_joins(self) -> str:
        """SQL: joins of ops.clean_value by kind, country and given text."""
        out = ""
        for c in self.columns:
            if c.is_read and c.field.clean:
                out += (
                    f"\n    left join ops.clean_value c{c.number}"
                    f" on c{c.number}.kind = {literal(c.field.clean)}"
                    f" and c{c.number}.country = {self.country(c.field.clean, 'g.')}"
                    f" and c{c.number}.raw_value = g._g{c.number}"
                )
        return out

    def reader(self, c: Column) -> str:
        """SQL that reads the mapped text as the column's type; empty for text."""
        if c.field.clean:
            return ""
        text = mapped(c.field, f"g._g{c.number}")
        formats = self.system.file.formats
        quick = c.field.map is None  # a long expression is not to be said ten times
        if c.base in ("integer", "numeric"):
            style = c.field.numbers or formats.numbers
            return number_sql(text, style) if quick else f"ops.parse_number({text}, {literal(style)})"
        if c.base == "date":
            dates = c.field.dates or formats.dates
            style = "auto" if dates == "iso" else dates
            return date_sql(text, style) if quick else f"ops.parse_date({text}, {literal(style)})"
        if c.base == "timestamptz":
            zone = self.system.timezone
            return moment_sql(text, zone) if quick else f"ops.parse_time({text}, {literal(zone)})"
        return f"ops.parse_boolean({text})" if c.base == "boolean" else ""

    def may_be_signed(self, c: Column) -> bool:
        """Whether a sign of money may stand in the given text, beside the number: not in what a map has made."""
        field = c.field
        return (
            c.base == "numeric" and field.source == "from" and (field.map is None or field.unlisted == "keep")
        )

    def currency(self) -> str:
        """SQL: the currency of a row's sums; empty where nothing tells it, or another table is to."""
        file, c = self.system.file, self.by_name.get("currency")
        own = literal(file.currency) if file.role == "accounting" else ""
        if self.has(SIGNS):
            return ""
        # A rate is in accounting's own currency; `currency` is what it is the rate of.
        if c is None or c.field.expression is not None or self.table.name == "core.currency_rate":
            return own
        stated = f"v.{identifier(c.name)}"
        return f"coalesce({stated}, {own})" if own else stated

    def cleaned(self) -> list[Cleaned]:
        """What must stand in ops.clean_value before the rows can be made."""
        found = []
        for c in self.columns:
            if c.is_read and c.field.clean:
                given = self.take(c.field)
                countries = self.countries(c.field.clean)
                country = self.country(c.field.clean, "") if len(countries) > 1 else ""
                found.append(Cleaned(c.field.clean, given, country, countries))
        return found

    def countries(self, kind: str) -> tuple[str, ...]:
        """The countries that values of a kind are read for; '' where the kind knows none."""
        field = self.read.rule.fields.get("country")
        if kind not in BY_COUNTRY:
            return ("",)
        if field is None or field.source == "constant":
            return (str(field.constant) if field is not None and field.constant else self.system.country,)
        chosen = (choice.value for choice in field.choose)
        named = {*(field.map or {}).values(), *chosen, field.otherwise, self.system.country}
        return tuple(sorted(name for name in named if name))

    def country(self, kind: str, alias: str) -> str:
        """SQL of the country that a value is read for; `alias` is empty inside the first layer."""
        countries = self.countries(kind)
        c = self.by_name.get("country")
        if len(countries) == 1 or c is None:
            return literal(countries[0])
        given = f"{alias}_g{c.number}" if alias else self.take(c.field)
        return f"coalesce({mapped(c.field, given)}, {literal(self.system.country)})"

    # ---- layer "values"

    def columns_sql(self) -> str:
        """SQL, begun with a comma: our columns by name as their types hold them."""
        return "".join(
            f", {self.value(c)} as {identifier(c.name)}" for c in self.columns if c.field.expression is None
        )

    def value(self, c: Column) -> str:
        """SQL: one column's value of the layer before; null where it does not fit the type."""
        field = c.field
        if field.source == "constant":
            return f"{literal(field.constant)}::{c.target.type}"
        if field.parent:
            return "h._scope"
        if field.clean:
            return f"h._p{c.number}"
        if c.base == "text":
            text = mapped(field, f"h._g{c.number}")
            if not field.ref:
                return text
            return f"{literal(self.system.name + ':')} || {called('our_key', self.system, self.system.entities_of(field.ref), text)}"
        return fitted(f"h._p{c.number}", c.target.type, whole=field.as_ == "integer")

    # ---- layer "rows"

    def problems(self) -> str:
        """SQL: text[] of sentences, one for each value given that could not be used; empty for a deleted record."""
        entries = [entry for c in self.columns for entry in self.entries(c)]
        if not entries:
            return "'{}'::text[]"
        listed = ",\n    ".join(entries)
        found = f"array_remove(array[\n    {listed}\n  ]::text[], null)"
        return f"case when v._deleted then '{{}}'::text[] else {found} end"

    def entries(self, c: Column) -> list[str]:
        """SQL of the sentences that this column may need, each null when all is well."""
        field, name = c.field, identifier(c.name)
        where = f"of {self.read.entity} "
        if field.expression is not None:
            inputs = self.expression(c, "v")
            what = literal(f"{c.name}: the result does not fit ({field.expression} {where}")
            told = literal(f"); correct it in {self.system.name}")
            result = fitted(inputs, c.target.type)
            return [f"case when {inputs} is not null and {result} is null then {what} || v._id || {told} end"]
        if not c.is_read:
            return []
        given, path = f"v._g{c.number}", " or ".join(field.from_) or "chosen"
        correct, fill = (literal(f"); {verb} it in {self.system.name}") for verb in ("correct", "fill"))
        place = f"{literal(f' ({path} {where}')} || v._id || {correct}"
        shown = literal(c.name + ': "') + f" || left({given}, {SHOWN})"
        found = []
        if field.clean:
            if self.has(f"{c.name}_problem") is None:
                # A sentence with the kind and the value in it; its last part, the remedy, is said by `place`.
                told = f"regexp_replace(v._c{c.number}, '; [^;\"]*$', '')"
                found.append(f"case when v._c{c.number} <> '' then {told} || {place} end")
            unclean = f"{given} is not null and not v._k{c.number}"
            found.append(f"case when {unclean} then {shown} || '\" was never cleaned' end")
        else:
            if field.map is not None and not field.has_otherwise and field.unlisted == "problem":
                known = ", ".join(literal(key) for key in field.map)
                told = literal(f'" is not in the map of {self.read.place}')
                found.append(f"case when {given} not in ({known}) then {shown} || {told} || {place} end")
            if c.base in _WORDS:
                told = literal(f'" {_WORDS[c.base]}')
                if c.base == "numeric" and field.as_ != "integer":
                    large = literal('" is too large a number')
                    told = f"case when v._p{c.number} is null then {told} else {large} end"
                lost = f"{mapped(field, given)} is not null and v.{name} is null"
                found.append(f"case when {lost} then {shown} || {told} || {place} end")
            if self.may_be_signed(c) and (currency := self.currency()):
                foreign = f"not ops.money_is_of(v._s{c.number}, {currency})"
                told = f"'\" is not in ' || {currency}"
                found.append(f"case when {foreign} then {shown} || {told} || {place} end")
        if field.required:
            missing = literal(f"{c.name} is missing ({path} {where}")
            found.append(f"case when {given} is null then {missing} || v._id || {fill} end")
        return found

    def expression(self, c: Column, alias: str) -> str:
        """SQL of a computed column over the columns of `alias`. Raises ExpressionError."""
        from mappings.expression import expression_sql

        return expression_sql(c.field.expression or "", alias)

    def has(self, name: str) -> ColumnLike | None:
        """The table's column of this name, if there is one."""
        return next((column for column in self.table.columns if column.name == name), None)

    def merged_into(self) -> str:
        """SQL of the survivor's key, of a record that was merged into another."""
        system, entity = literal(self.system.name), literal(self.read.rule.from_ or "")
        return (
            f"case when v._deleted then (select {literal(f'{self.system.name}:')} || m.into_id from ops.merged m"
            f" where m.source = {system} and m.entity = {entity} and m.source_id = v._id) end"
        )

    def companion(self, name: str) -> str | None:
        """SQL of `x_given` and `x_problem`, which go with a cleaned column x; and of the signs of money of a row."""
        if name == SIGNS and name not in self.by_name:
            signs = ", ".join(f"v._s{c.number}" for c in self.columns if c.is_read and self.may_be_signed(c))
            return f"ops.money_signs(nullif(concat_ws(' ', {signs}), ''))" if signs else None
        for suffix, part in (("_given", "_g"), ("_problem", "_c")):
            c = self.by_name.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
            if c is not None and c.field.clean and name not in self.by_name:
                return f"nullif(v.{part}{c.number}, '')"
        return None


def called(
    function: Literal["our_key", "their_key"], system: System, entities: Sequence[str], key: str
) -> str:
    """SQL: our key of a record of these entities, of SQL that gives its number in its system; or the other way."""
    if not system.numbers_itself or not entities:
        return key
    named = ", ".join(literal(entity) for entity in entities)
    return f"ops.{function}({literal(system.name)}, array[{named}], {key})"


def row_columns(values: Values, key: str) -> str:
    """The table's columns in order, as the last layer selects them."""
    defaults = targets().get(values.table.name)
    out = []
    for column in values.table.columns:
        known = defaults.column(column.name) if defaults else None
        default = known.default if known and not known.nullable else ""
        c = values.by_name.get(column.name)
        if column.name == values.table.key:
            sql = key
        elif column.name in STANDARD:
            sql = {
                "source": literal(values.system.name), "source_id": "v._id", "is_deleted": "v._deleted",
                "merged_into": values.merged_into(), "problems": values.problems(),
            }[column.name]  # fmt: skip
        elif c is not None and c.field.expression is not None:
            sql = fitted(values.expression(c, "v"), column.type)
        elif c is not None and c.is_read and values.may_be_signed(c) and (currency := values.currency()):
            sql = (
                f"case when ops.money_is_of(v._s{c.number}, {currency}) then v.{identifier(column.name)} end"
            )
        elif c is not None:
            sql = f"v.{identifier(column.name)}"
        else:
            sql = values.companion(column.name) or "null"
        if default:
            sql = default if sql == "null" else f"coalesce({sql}, {default})"
        out.append(f"{sql}::{column.type} as {identifier(column.name)}")
    return ",\n  ".join(out)


def mapped(field: FieldRule, text: str) -> str:
    """SQL: the text after `map` and `otherwise`. Else an unknown value gives null, or stays if `unlisted` says so."""
    if field.map is None:
        return text
    whens = " ".join(f"when {literal(key)} then {literal(value)}" for key, value in field.map.items())
    rest = text if field.unlisted == "keep" else literal(field.otherwise)
    return f"case {text} {whens} else {rest} end"


def fitted(value: str, type_name: str, *, whole: bool = False) -> str:
    """SQL: a number as the type holds it (half up), null where it does not fit; other types unchanged."""
    if type_name == "integer":
        return f"case when {value} = trunc({value}) and abs({value}) < 2147483648 then ({value})::integer end"
    match = _NUMERIC.fullmatch(type_name)
    if match is None:
        return value
    digits, scale = int(match[1]), int(match[2])
    largest = 10 ** (digits - scale) - 1
    also = f" and {value} = trunc({value})" if whole else ""
    return f"case when abs({value}) < {largest}{also} then round({value}, {scale}) end"


def signs_sql(text: str) -> str:
    """SQL: the signs of money in a text, as ops.money_signs names them; null of a plain number, without asking."""
    return f"case when translate({text}, '0123456789.,- ', '') <> '' then ops.money_signs({text}) end"


def empty_row(table: TableLike) -> str:
    """SQL: no row, with the table's columns and types."""
    columns = ", ".join(f"null::{column.type} as {identifier(column.name)}" for column in table.columns)
    return f"select {columns} where false"
