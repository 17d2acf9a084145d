"""What a well-formed mapping file can still get wrong: tables, columns, references, rules that contradict."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from mappings import paths
from mappings.field import FieldRule
from mappings.owners import owners_problems
from mappings.reader import PROJECT, Problem, Source, shown
from mappings.schema import Dated, ReadRule, StageRule, SystemFile
from mappings.tables import STANDARD, TargetColumn, TargetTable
from mappings.write import WriteRule

Place = tuple[str | int, ...]

KINDS_OF_TYPE = {
    "text": {"text", "key"},
    "integer": {"integer"},
    "numeric": {"integer", "money", "quantity", "number"},
    "date": {"date"},
    "timestamptz": {"time"},
    "boolean": {"boolean"},
}
ANOTHERS = ("counterparty", "contract", "currency")  # fields of which another document is needed
CRM_ONLY = ("stages", "feedback", "products", "tax_numbers", "amounts", "clients", "prices")
ACCOUNTING_ONLY = (
    "write", "vat", "units", "currency", "currencies", "organization", "defaults", "reconcile", "gate", "approval",
    "expects", "goods", "buyers", "keys", "money", "sales", "without",
)  # fmt: skip
FED_BACK = ("deal", "company", "task", "duplicate")  # sections of `feedback`
LONGEST_NAME = 63  # bytes of a table's name in PostgreSQL


def check_file(file: SystemFile, source: Source, tables: Mapping[str, TargetTable]) -> list[Problem]:
    """Everything wrong in one file."""
    found: list[Problem] = []
    for table, rules in file.read.items():
        target = tables.get(table)
        if target is None:
            near = _near(table, tables)
            found.append(source.problem(f"no table `{table}` is filled by mappings. {near}", "read", table))
            continue
        for index, rule in enumerate(rules):
            place: Place = ("read", table, index)
            for where, message in _read(file, rule, target, tables):
                found.append(source.problem(message, *place, *where))
    found_elsewhere = (*_roles(file), *_stages(file), *_dated(file), *_unique(file), *_writes(file))
    for where, message in (*_connector(file), *found_elsewhere, *_connection(file)):
        found.append(source.problem(message, *where))
    return found


def check_folder(
    files: Sequence[tuple[SystemFile, Source]], folder: Path, *, broken: bool
) -> Iterator[Problem]:
    """What is wrong between files. `broken`: some file could not be read, so absences say nothing."""
    first: dict[str, Source] = {}
    for file, source in files:
        if file.system in first:
            other = first[file.system].name
            yield source.problem(
                f"the system `{file.system}` is in {other} too. Rename one of them", "system"
            )
        elif source.path.stem != file.system:
            yield source.problem(
                f"the file describes `{file.system}`. Name it {file.system}.yaml, or correct `system`",
                "system",
            )
        first.setdefault(file.system, source)
    yield from _shared_tables(files)
    books = [(file, source) for file, source in files if file.role == "accounting"]
    if not books and not broken:
        yield Problem(shown(folder), 1, "no accounting system. Add a file with `role: accounting`")
    for _, source in books[1:]:
        yield source.problem(
            f"a second accounting system; {books[0][1].name} is one already. Put it into a folder of its own",
            "role",
        )
    for accounting, there in books[:1]:
        for file, source in files:
            yield from _owed(file, source, accounting, there.name)


def _owed(file: SystemFile, source: Source, accounting: SystemFile, name: str) -> Iterator[Problem]:
    """A document that stages owe and accounting neither writes nor makes would be left out without a word."""
    known = {*accounting.write, *accounting.expects, *accounting.without}
    for position, rule in enumerate(file.stages):
        for kind in rule.documents:
            if kind not in known:
                yield source.problem(
                    f"deals owe the document `{kind}` here, and {name} writes none. Take it away here, or add it there under"
                    " `write`; if that accounting has no such document, under `without` with the reason",
                    "stages", position, "documents",
                )  # fmt: skip


def _shared_tables(files: Sequence[tuple[SystemFile, Source]]) -> Iterator[Problem]:
    """`shop` with an entity `north_deal` and `shop_north` with `deal` would lie in one raw table."""
    owners: dict[str, str] = {}
    for file, source in files:
        rules = [rule for listed in file.read.values() for rule in listed]
        entities = {rule.from_ for rule in rules if rule.from_}
        entities |= {join.entity for rule in rules for join in rule.join.values()}
        for entity in sorted(entities):
            owner = owners.setdefault(f"{file.system}_{entity}", file.system)
            if owner != file.system:
                yield source.problem(
                    f"`{entity}` of `{file.system}` would lie in the table raw.{file.system}_{entity}, which is one of "
                    f"`{owner}` already. Give one of the two systems another name",
                    "system",
                )


def _read(
    file: SystemFile, rule: ReadRule, target: TargetTable, tables: Mapping[str, TargetTable]
) -> Iterator[tuple[Place, str]]:
    if rule.rows is not None:
        yield from _literal_rows(rule.rows, target)
        return
    name = f"{file.system}_{rule.from_}"
    if (
        len(name.encode()) > LONGEST_NAME
        or not name.isidentifier()
        or not name.isascii()
        or name != name.lower()
    ):
        yield ("from",), f"`{rule.from_}` gives no table name raw.{name}. Use small letters, digits and _"
    for column, field in rule.fields.items():
        where: Place = ("fields", column)
        known = target.column(column)
        if known is None or column in STANDARD:
            if column in STANDARD:
                yield where, f"`{column}` is filled by itself. Remove it"
            else:
                near = _near(column, [c.name for c in target.columns if c.name not in STANDARD])
                yield where, f"{target.name} has no column `{column}`. {near}"
            continue
        yield from ((where, message) for message in _field(file, rule, field, known, target, tables))
    if target.key != target.scope and target.key in rule.fields:
        yield ("fields", target.key), f"`{target.key}` is made by itself. Use `key:` to say from what"
    for required in target.columns:
        if (
            not required.nullable
            and not required.default
            and required.name not in (*STANDARD, target.key, *rule.fields)
        ):
            yield (
                ("fields",),
                f"{target.name} needs `{required.name}` ({required.comment}). Add it under fields",
            )
    if target.key != target.scope and rule.each is None and rule.parent is None:
        yield (), f"rows of {target.name} belong to a `{target.scope}`. Add `parent: {{ref: ...}}` or `each`"
    scope = rule.fields.get(target.scope)
    if target.key != target.scope and rule.each is not None and scope is not None and not scope.parent:
        remedy = (
            f"Write `{target.scope}: {{parent: true}}`; for another, add `parent: {{ref: ..., from: /path}}`"
        )
        yield ("fields", target.scope), f"rows of `each` belong to their own record. {remedy}"
    if target.key == target.scope and rule.parent is not None and (rule.key is None or not rule.key.parent):
        yield ("parent",), f"rows of {target.name} stand alone. Drop `parent`, or add `key: {{parent: true}}`"
    if rule.parent is not None:
        yield from ((("parent", "ref"), message) for message in _reference(file, rule.parent.ref, tables))
        yield from _paths(rule, rule.parent.from_, ("parent", "from"))
    for part, key in (("key", rule.key), ("deleted", rule.deleted)):
        if key is not None:
            yield from _paths(rule, key.from_, (part,))
            for condition in (c for choice in key.choose for c in choice.when):
                yield from _paths(rule, condition.from_, (part, "choose"))
    for position, ignored in enumerate(rule.ignore):
        for condition in ignored.when:
            yield from _paths(rule, condition.from_, ("ignore", position, "when"))
    for alias, join in rule.join.items():
        if not alias.isidentifier():
            yield ("join", alias), f"`{alias}` is no word. Use letters, digits and _"
        ours = [join.ours] if not join.ours.startswith("@") else []
        if not ours:
            yield ("join", alias), f"`{join.ours}`: a join starts from its own record. Use a plain path"
        yield from _paths(rule, [*ours, *join.on, *join.where], ("join", alias))
    names = [ignored.rule for ignored in rule.ignore]
    for position, name in enumerate(names):
        if name in names[:position]:
            yield (
                ("ignore", position),
                f"two rules are called `{name}`. Rename one, so that they are counted apart",
            )


def _field(
    file: SystemFile,
    rule: ReadRule,
    field: FieldRule,
    column: TargetColumn,
    target: TargetTable,
    tables: Mapping[str, TargetTable],
) -> Iterator[str]:
    base = column.type.partition("(")[0]
    allowed = KINDS_OF_TYPE.get(base, {"text"})
    if field.source in ("template", "account", "warehouse"):
        yield f"`{field.source}` is for writing. Use from, choose, constant, parent or expression"
    if field.has_empty:
        yield "`empty` is for writing. Use `none` for values that mean nothing"
    if field.as_ is not None and field.as_ not in allowed:
        fits = ", ".join(sorted(allowed))
        yield f"`as: {field.as_}` does not fit {column.name} ({column.type}). Use {fits}"
    if (
        column.name == "country"
        and field.source == "from"
        and field.map is None
        and any(other.clean in ("phone", "tax_number") for other in rule.fields.values())
    ):
        yield "phones and tax numbers are read by country. Add `map` to `country`, so that they are known"
    if field.clean is not None and base != "text":
        yield f"`clean: {field.clean}` gives text, {column.name} is {column.type}. Use `as`"
    if field.parent and rule.parent is None and rule.each is None:
        yield "`parent: true` without a parent. Add `parent: {ref: ...}` or `each` to this read"
    if field.source == "constant" and not _constant_fits(field.constant, base):
        yield f"the constant {field.constant!r} does not fit {column.name} ({column.type}). Correct it"
    if field.ref is not None:
        yield from _reference(file, field.ref, tables)
    if field.expression is not None:
        from mappings.expression import ExpressionError, read_expression  # sqlglot takes 0.5 s to import

        plain = {name for name, other in rule.fields.items() if other.expression is None}
        try:
            read_expression(field.expression, {"": plain})
        except ExpressionError as error:
            yield f"expression `{field.expression}`: {error}"
    for choice in field.choose:
        for condition in choice.when:
            yield from (message for _, message in _paths(rule, condition.from_, ()))
    yield from (message for _, message in _paths(rule, field.from_, ()))


def _paths(rule: ReadRule, texts: Sequence[str], where: Place) -> Iterator[tuple[Place, str]]:
    for text in texts:
        try:
            parsed = paths.parse_all(text)
        except paths.PathError as error:
            yield where, f"{error}. Correct the path"
            continue
        for path in parsed:
            if path.join and path.join not in rule.join:
                yield where, f"`{text}` reads a join that is not there. Add `join: {{{path.join}: ...}}`"
            if path.root and rule.each is None:
                yield where, f"`{text}`: a leading / is for rows of `each`. Drop it"


def _reference(file: SystemFile, table: str, tables: Mapping[str, TargetTable]) -> Iterator[str]:
    if table not in tables:
        yield f"reference to an unknown table `{table}`. {_near(table, tables)}"
    elif table not in file.read:
        yield f"reference to {table}, which nothing here fills. Add it under `read`, or drop this field"


def _literal_rows(rows: Sequence[Mapping[str, Any]], target: TargetTable) -> Iterator[tuple[Place, str]]:
    for position, row in enumerate(rows):
        for name, value in row.items():
            column = target.column(name)
            if column is None or (name in STANDARD):
                near = _near(name, [c.name for c in target.columns if c.name not in STANDARD])
                yield ("rows", position, name), f"{target.name} has no column `{name}` to fill. {near}"
            elif not _constant_fits(value, column.type.partition("(")[0]):
                yield ("rows", position, name), f"{value!r} does not fit {name} ({column.type}). Correct it"


def _constant_fits(value: object, base: str) -> bool:
    from decimal import Decimal

    match base:
        case _ if value is None:
            return True
        case "text":
            return isinstance(value, (str, int, Decimal)) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31
        case "numeric":
            return isinstance(value, (int, Decimal)) and not isinstance(value, bool)
        case "date":
            return isinstance(value, date)
    return isinstance(value, str)


def _connector(file: SystemFile) -> Iterator[tuple[Place, str]]:
    """A name that stands for no connector would be met by the first connection only."""
    there = {role: _connectors(role) for role in ("crm", "accounting")}
    if file.connector in there[file.role]:
        return
    other = next((role for role, names in there.items() if file.connector in names), None)
    remedy = _near(file.connector, there[file.role])
    if other is not None:
        remedy = f"It is one of `role: {other}`. {remedy}"
    yield ("connector",), f"no connector `{file.connector}` of `role: {file.role}`. {remedy}"


@functools.cache
def _connectors(role: str) -> frozenset[str]:
    """Names of the connectors there are: the packages of resources/crm and resources/accounting."""
    return frozenset(found.name for found in iter_modules([str(PROJECT / "resources" / role)]) if found.ispkg)


def _connection(file: SystemFile) -> Iterator[tuple[Place, str]]:
    """Options of files are many, and a wrong one is seen without opening a file; other connectors check theirs."""
    if file.connector == "files":
        from resources.crm.files.options import wrong_options

        for place, cause, remedy in wrong_options(file.system, file.connection):
            yield ("connection", *place), f"`{place[-1]}` {cause}. {remedy[:1].upper()}{remedy[1:]}"


def _roles(file: SystemFile) -> Iterator[tuple[Place, str]]:
    """A section that the other role alone is asked for would be read by nobody."""
    foreign = ACCOUNTING_ONLY if file.role == "crm" else CRM_ONLY
    other = "accounting" if file.role == "crm" else "crm"
    for name in foreign:
        if name in file.model_fields_set:
            yield (name,), f"`{name}` belongs to the {other} file. Move it there"
    for kind in sorted({*file.write, *file.expects} & file.without.keys()):
        yield (
            ("without", kind),
            f"`{kind}` is written or expected by this file. Take it away in one of the two places",
        )


def _stages(file: SystemFile) -> Iterator[tuple[Place, str]]:
    """A stage named in a rule that earlier rules always decide would never be looked at."""
    earlier: list[tuple[str, str, str | None, StageRule, int]] = []
    for position, rule in enumerate(file.stages):
        atoms = [(p, s, rule.outcome) for p in rule.pipeline for s in rule.stage]
        for pipeline, stage, outcome in atoms:
            covering = [
                (other, at)
                for p, s, o, other, at in earlier
                if p in ("*", pipeline) and s in ("*", stage) and o in (None, outcome)
            ]
            if _covered(rule, [other for other, _ in covering]):
                what = f"stage {stage} of pipeline {pipeline}" + (f" ({outcome})" if outcome else "")
                at = min(position for _, position in covering) + 1
                yield (
                    ("stages", position),
                    f"this rule never decides for {what}: rule {at} above does. Move it up, or remove one",
                )
        earlier.extend((p, s, o, rule, position) for p, s, o in atoms)


def _covered(rule: StageRule, others: Sequence[StageRule]) -> bool:
    """Whether the days of `others` together cover all days of `rule`."""
    day = rule.from_ or date.min
    last = rule.to or date.max
    for other in sorted(others, key=lambda o: o.from_ or date.min):
        if (other.from_ or date.min) > day:
            return False
        end = other.to or date.max
        if end >= last:
            return True
        if end >= day:
            day = end + timedelta(days=1)
    return False


def _dated(file: SystemFile) -> Iterator[tuple[Place, str]]:
    aliases: Sequence[tuple[str, Dated]] = [(a.name.casefold(), a) for a in file.products.aliases]
    yield from _overlaps(aliases, ("products", "aliases"), "the alias")
    rates: Sequence[tuple[str, Dated]] = [
        ("none" if v.rate is None else format(v.rate.normalize(), "f"), v) for v in file.vat
    ]
    yield from _overlaps(rates, ("vat",), "the VAT rate")


def _overlaps(dated: Sequence[tuple[str, Dated]], where: Place, what: str) -> Iterator[tuple[Place, str]]:
    for position, (name, rule) in enumerate(dated):
        for other_position, (other_name, other) in enumerate(dated[:position]):
            starts = max(rule.from_ or date.min, other.from_ or date.min)
            ends = min(rule.to or date.max, other.to or date.max)
            if name == other_name and starts <= ends:
                day = "always" if starts == date.min else f"on {starts}"
                yield (
                    (*where, position),
                    f"{what} {name} is given twice {day} (also entry {other_position + 1}). Let one end",
                )


def _unique(file: SystemFile) -> Iterator[tuple[Place, str]]:
    seen: set[str] = set()
    for position, unit in enumerate(file.units):
        for name in unit.name:
            if name.casefold() in seen:
                yield ("units", position), f"the unit `{name}` is given twice. Remove one"
            seen.add(name.casefold())
    pairs = [(pair.list_, pair.type_) for pair in file.prices]
    for position, pair in enumerate(pairs):
        if pair in pairs[:position]:
            yield (
                ("prices", position),
                "this pair of a price list and a price type is given twice. Remove one",
            )
    codes = [currency.code for currency in file.currencies]
    for position, code in enumerate(codes):
        if code in codes[:position]:
            yield ("currencies", position), f"the currency {code} is given twice. Remove one"


def _writes(file: SystemFile) -> Iterator[tuple[Place, str]]:
    for kind in file.feedback:
        if kind not in FED_BACK:
            yield ("feedback", kind), f"nothing is written back as `{kind}`. {_near(kind, FED_BACK)}"
    for section, rules in (("write", file.write), ("feedback", file.feedback)):
        for kind, rule in rules.items():
            where: Place = (section, kind)
            groups = [((*where, "fields"), rule.fields)]
            groups += [((*where, "lines", i, "fields"), lines.fields) for i, lines in enumerate(rule.lines)]
            for place, fields in groups:
                for name, field in fields.items():
                    if (
                        field.parent
                        or field.clean
                        or field.ref
                        or field.numbers
                        or field.dates
                        or field.choose
                        or field.unlisted == "keep"
                    ):
                        yield (
                            (*place, name),
                            "parent, clean, ref, numbers, dates, choose, unlisted are for reading. Remove them",
                        )
                    if field.expression is not None:
                        yield from _written_expression(field.expression, (*place, name))
            for index, lines in enumerate(rule.lines):
                yield from _written_expression(lines.when, (*where, "lines", index, "when"))
            yield from _policies(file, kind, rule, where)
            yield from owners_problems(kind, rule, where)


def _policies(file: SystemFile, kind: str, rule: WriteRule, where: Place) -> Iterator[tuple[Place, str]]:
    """A policy may name only what this file can write."""
    follows = {"correction": "correction", "reversal": "return"}
    for state, actions in rule.policy.items():
        for field, action in actions.items():
            place = (*where, "policy", state, field)
            if action in follows and kind != "realization":
                yield place, f"a {action} follows a realization only. Write update, ask or leave"
            elif action in follows and follows[action] not in file.write:
                yield (
                    place,
                    f"a {action} is written as a `{follows[action]}`, which `write` lacks. Add it, or write ask",
                )
            if action in ("update", "correction") and field == "cancelled":
                yield place, "a deal that is cancelled leaves nothing to write. Write reversal, ask or leave"
            if action == "correction" and field in ANOTHERS:
                yield (
                    place,
                    f"a correction says what it differs by, and names no other {field}. Write reversal or ask",
                )
            if action == "update" and state == "closed":
                yield place, "nothing is changed in a closed period. Write correction, reversal, ask or leave"


def _written_expression(text: str, where: Place) -> Iterator[tuple[Place, str]]:
    from mappings.expression import ExpressionError, read_expression

    try:
        read_expression(text, None)
    except ExpressionError as error:
        yield where, f"expression `{text}`: {error}"


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(sorted(known))}"
