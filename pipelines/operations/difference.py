"""The plan as differences: what each operation that waits would make of what accounting holds.

A document is compared in our words, by the contents of the operation at hand and of the last one that was verified: its
header field by field, its lines product by product. Where accounting changed it since, old is what accounting holds by the
last read, of the fields that are written; what is accounting's own, and so left, is not told. Where only the vendor's body
differs (a mapping file was reworded, a master), the body is compared, and each of its fields is called by our word where
the mapping file has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from mappings import System
from mappings.owners import governed
from pipelines.operations.phrases import in_russian
from resources.warehouse import Warehouse

HEADER: Final[Mapping[str, str]] = {
    "date": "document_date",
    "due_on": "due_on",
    "counterparty": "counterparty_key",
    "contract": "contract_key",
    "currency": "currency",
    "amount": "amount",
    "vat_amount": "vat_amount",
    "comment": "comment",
}
"""By field, as policies name it, the column of a document's content."""

LINE: Final = ("quantity", "price", "amount", "vat", "vat_amount")
BEFORE: Final = {
    "quantity": "quantity_before", "price": "price_before", "amount": "amount_before", "vat_amount": "vat_before",
}  # fmt: skip

_JSON: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Change:
    """One field, old and new. `field` is ours, as in policies; else the vendor's own name of it. Values as in contents:
    money and quantities are Decimal or int, days are ISO texts, keys are told by name."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class LineChange:
    """A line, by its number on the document (of a gone one: by what it was)."""

    number: int
    product: str
    what: Literal["new", "gone", "changed"]
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A record that would be written. `posted`: it is posted after that. `base`: number of the document it follows."""

    operation_id: str
    action: str
    kind: str
    state: str  # planned: it waits for approval; approved: the next sync carries it
    subject: str  # the deal; of a master its id in our tables
    name: str  # the client, or the master itself
    number: str
    base: str
    day: date | None
    amount: Decimal | None
    currency: str
    lines_in_all: int
    posted: bool = False
    changes: tuple[Change, ...] = ()
    lines: tuple[LineChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A deal that is not carried, and why."""

    deal: str
    client: str
    amount: Decimal | None
    currency: str
    reason: str
    reason_ru: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What the next sync would write, what is held, and how many records stay as they are."""

    target: str
    steps: Sequence[Step] = ()
    held: Sequence[Held] = ()
    unchanged: int = 0
    asked: int = 0
    waiting: Mapping[str, str] = field(default_factory=dict)
    """What waits for approval: by id of each operation what it means, as in `TOLD`."""

    @property
    def new(self) -> list[Step]:
        return [step for step in self.steps if step.action == "create" and not step.base]

    @property
    def changed(self) -> list[Step]:
        return [step for step in self.steps if step.action != "create" or step.base]


def difference(warehouse: Warehouse, accounting: System) -> Difference:
    """What waits to be written into accounting, as planned by now. Reads only."""
    with warehouse.transaction() as conn:
        rows = conn.execute(_STEPS.encode(), {"system": accounting.name}).fetchall()
        names = dict(conn.execute(_NAMES.encode(), {"keys": list(_keys(rows))}).fetchall())
        held = [Held(*row) for row in conn.execute(_HELD.encode(), {"system": accounting.name}).fetchall()]
        counts = conn.execute(_COUNTS.encode(), {"system": accounting.name}).fetchone()
    held = [one if one.reason_ru else replace(one, reason_ru=in_russian(one.reason)) for one in held]
    words = _Words(accounting, names)
    steps = [words.step(row) for row in rows]
    posts = {(s.kind, row[13]) for s, row in zip(steps, rows, strict=True) if s.action == "post"}
    written = {
        (s.kind, row[13]) for s, row in zip(steps, rows, strict=True) if s.action in ("create", "update")
    }
    shown = []
    for step, row in zip(steps, rows, strict=True):
        key = (step.kind, row[13])
        if step.action in ("post", "unpost") and key in written:
            continue  # told with the document that is written between them
        shown.append(replace(step, posted=True) if key in posts and key in written else step)
    unchanged, asked = counts or (0, 0)
    waiting = {str(row[0]): row[18] for row in rows if row[3] == "planned"}
    return Difference(accounting.name, shown, held, int(unchanged), int(asked), waiting)


def document_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """Fields of the header that differ between two contents of a document, in the order of HEADER."""
    before, after = old.get("document") or {}, new.get("document") or {}
    return tuple(
        Change(name, before.get(column), after.get(column))
        for name, column in HEADER.items()
        if before.get(column) != after.get(column)
    )


def line_changes(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> tuple[LineChange, ...]:
    """Lines that differ: the nth of a product is compared with the nth of that product, in whatever place they stand."""
    before = _by_product(old)
    found: list[LineChange] = []
    for key, (number, line) in _by_product(new).items():
        if key not in before:
            found.append(LineChange(number, _product(line), "new", _line(None, line)))
            continue
        _, was = before.pop(key)
        if told := tuple(Change(n, was.get(n), line.get(n)) for n in LINE if was.get(n) != line.get(n)):
            found.append(LineChange(number, _product(line), "changed", told))
    found += [
        LineChange(number, _product(line), "gone", _line(line, None)) for number, line in before.values()
    ]
    return tuple(sorted(found, key=lambda line: (line.number, line.what != "gone")))


def correction_lines(lines: Sequence[Mapping[str, Any]]) -> tuple[LineChange, ...]:
    """What a correction says: of each line that differs what it was and what it is to be."""
    found = []
    for number, line in enumerate(lines, start=1):
        told = tuple(
            Change(n, line.get(was), line.get(n)) for n, was in BEFORE.items() if line.get(was) != line.get(n)
        )
        if told:
            found.append(LineChange(number, _product(line), "changed", told))
    return tuple(found)


def body_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], words: Mapping[str, str], *, part: bool = False
) -> tuple[Change, ...]:
    """Fields that differ between two bodies in the vendor's names. `words`: by these names ours, where there is one.
    `part`: the new one names only what it changes. Rows of table parts are told one by one: `Товары 2 Сумма`."""
    found: list[Change] = []
    for name in new if part else dict.fromkeys((*old, *new)):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        if isinstance(was, list) or isinstance(now, list):
            found += _row_changes(name, was or [], now or [])
        else:
            found.append(Change(words.get(name, name), was, now))
    return tuple(found)


def _row_changes(name: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Change]:
    for number in range(max(len(old), len(new))):
        was = old[number] if number < len(old) else {}
        now = new[number] if number < len(new) else {}
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            for field_name in dict.fromkeys((*was, *now)):
                if was.get(field_name) != now.get(field_name):
                    yield Change(
                        f"{name} {number + 1} {field_name}", was.get(field_name), now.get(field_name)
                    )
        elif was != now:
            yield Change(f"{name} {number + 1}", was, now)


class _Words:
    """Turns rows of `_STEPS` into steps, with names in place of keys."""

    def __init__(self, accounting: System, names: Mapping[str, str]) -> None:
        self.names = names
        self.fields = {
            kind: {name: ours for ours, made in governed(accounting.file, kind).items() for name in made}
            for kind in accounting.write
        }

    def step(self, row: tuple[Any, ...]) -> Step:
        (operation_id, action, kind, state, subject, name, number, base, day, amount, currency,
         content, body, _, content_before, body_before, theirs, edited, _) = row  # fmt: skip
        new, old, written = _decoded(content), _decoded(content_before), _decoded(body)
        lines = new.get("lines") or []
        changes: tuple[Change, ...] = ()
        told: tuple[LineChange, ...] = ()
        if kind == "correction":
            told = correction_lines(lines)
        elif kind == "return":
            told = line_changes(lines, [])
        elif action == "update" and new and old:
            if edited:
                old = self.edited(kind, old, written, _decoded(theirs), edited)
            changes = tuple(map(self.named, document_changes(old, new)))
            told = line_changes(old.get("lines") or [], lines)
        elif action == "update" and theirs:
            changes = self.master_changes(kind, written, _decoded(theirs))
        if action == "update" and not changes and not told:
            changes = body_changes(_decoded(body_before), written, self.fields.get(kind, {}), part=True)
        return Step(
            str(operation_id), action, kind, state, subject, name, number, base, day, amount, currency, len(lines),
            changes=changes, lines=told,
        )  # fmt: skip

    def edited(
        self,
        kind: str,
        old: Mapping[str, Any],
        written: Mapping[str, Any],
        theirs: Mapping[str, Any],
        edited: Sequence[str],
    ) -> Mapping[str, Any]:
        """What we wrote as accounting has made it by now in the fields `edited`, but for what is not written again."""
        held, lines = dict(old.get("document") or {}), old.get("lines") or []
        names = self.fields.get(kind, {})
        goes = {names[name] for name in written if name in names}
        if "lines" in goes:
            goes.add("amount")  # accounting adds it up, where it is not written itself
        found = theirs.get("document") or {}
        for name in edited:
            if name in goes and (column := HEADER.get(name)):
                held[column] = found.get(column)
        if "lines" in edited and "lines" in goes:
            lines = _filled(theirs.get("lines") or [], lines)
            taxes = [line.get("vat_amount") for line in lines]
            if None not in taxes:
                held["vat_amount"] = sum(taxes)
        return {"document": held, "lines": lines}

    def master_changes(
        self, kind: str, written: Mapping[str, Any], theirs: Mapping[str, Any]
    ) -> tuple[Change, ...]:
        """Fields of a master that are written otherwise than accounting has them. Where it has none, nothing is told of
        it: it may keep such a field under another name."""
        names = self.fields.get(kind, {})
        found: dict[str, Change] = {}
        for name, value in written.items():
            if (column := names.get(name)) and theirs.get(column) is not None:
                found.setdefault(column, Change(column, theirs[column], value))
        return tuple(change for change in found.values() if change.old != change.new)

    def named(self, change: Change) -> Change:
        if change.field not in ("counterparty", "contract"):
            return change
        return Change(
            change.field, self.names.get(change.old, change.old), self.names.get(change.new, change.new)
        )


def _by_product(
    lines: Sequence[Mapping[str, Any]],
) -> dict[tuple[Any, int], tuple[int, Mapping[str, Any]]]:
    """By product and turn: number and line."""
    turns: dict[Any, int] = {}
    found: dict[tuple[Any, int], tuple[int, Mapping[str, Any]]] = {}
    for number, line in enumerate(lines, start=1):
        product = line.get("product_key") or line.get("product_name")
        turns[product] = turns.get(product, 0) + 1
        found[product, turns[product]] = number, line
    return found


def _filled(
    lines: Sequence[Mapping[str, Any]], written: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Lines as accounting holds them; what it does not say of one is as we wrote it."""
    ours = _by_product(written)
    found: list[Mapping[str, Any]] = []
    for key, (_, line) in _by_product(lines).items():
        _, was = ours.get(key, (0, {}))
        found.append({**was, **{name: value for name, value in line.items() if value is not None}})
    return found


def _line(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> tuple[Change, ...]:
    """Of a line that came or went: how much of it."""
    return tuple(
        Change(name, (old or {}).get(name), (new or {}).get(name)) for name in ("quantity", "price", "amount")
    )


def _product(line: Mapping[str, Any]) -> str:
    return str(line.get("product_name") or line.get("product_key") or "?")


def _decoded(text: str | None) -> Mapping[str, Any]:
    return _JSON.decode(text) if text else {}


def _keys(rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    """Keys of accounting's catalogues that contents name."""
    for row in rows:
        for text in (row[11], row[14], row[16]):
            document = _decoded(text).get("document") or {}
            yield from filter(None, (document.get("counterparty_key"), document.get("contract_key")))


TOLD: Final = "md5(row(o.content_hash, o.body, o.content, o.amount, o.currency)::text)"
"""Of the operation `o`: another one as soon as it means something else."""

_STEPS: Final = f"""
    select o.operation_id, o.action, o.kind, o.state, coalesce(o.subject, ''),
           coalesce(party.legal_name, held.legal_name, product.name, contract.name, ''), coalesce(l.number, ''),
           coalesce(base.number, case when d.base_key is not null then '?' end, ''),
           coalesce(l.document_date, d.document_date), o.amount, coalesce(o.currency, ''),
           o.content::text, o.body::text, o.key, before.content::text, before.body::text,
           coalesce(theirs.body, master.body)::text,
           case when theirs.body is not null then ops.edited_fields(before.content, theirs.body) end, {TOLD}
    from ops.operation o
    left join documents.document d on d.document_key = o.target || ':' || o.key
    left join documents.counterparty party on party.counterparty_id = d.counterparty_id
    left join documents.counterparty held on o.kind = 'counterparty' and held.counterparty_id = o.subject
    left join documents.product product on o.kind = 'product' and product.product_id = o.subject
    left join documents.contract contract on o.kind = 'contract' and contract.contract_id = o.subject
    left join ledger.document l on l.document_key = o.target || ':' || o.key
    left join ledger.document base on base.document_key = d.base_key and d.kind in ('correction', 'return')
    left join lateral (
        select p.content, p.body from ops.operation p
        where p.target = o.target and p.kind = o.kind and p.key = o.key and p.state = 'verified' and p.body is not null
          and p.operation_id <> o.operation_id
        order by p.planned_at desc, p.action desc limit 1) before on o.action = 'update'
    -- What accounting holds, where that is not the version that our own last write gave.
    left join lateral (
        select jsonb_build_object(
            'document', to_jsonb(l) || jsonb_build_object('currency', ops.edit_name('currency', l.currency_key)),
            'lines', (
                select jsonb_agg(to_jsonb(x) || jsonb_build_object('product_name', p.name) order by x.part, x.position)
                from ledger.document_line x left join core.accounting_product p on p.product_key = x.product_key
                where x.document_key = l.document_key and not x.is_deleted)) as body
        where before.content is not null and not l.is_deleted and (l.version is null or l.version is distinct from (
            select x.version from ops.operation x
            where x.target = o.target and x.kind = o.kind and x.key = o.key and x.state = 'verified' and x.version is not null
            order by x.changed_at desc limit 1))) theirs on o.action = 'update'
    left join lateral (
        select to_jsonb(a) as body from core.accounting_counterparty a
        where o.kind = 'counterparty' and a.counterparty_key = o.target || ':' || o.key
        union all
        select to_jsonb(a) from core.accounting_product a
        where o.kind = 'product' and a.product_key = o.target || ':' || o.key
        union all
        select to_jsonb(a) from core.accounting_contract a
        where o.kind = 'contract' and a.contract_key = o.target || ':' || o.key) master on o.action = 'update'
    where o.target = %(system)s and o.state in ('planned', 'approved')
    order by ops.kind_order(o.kind), o.subject, array_position(array['create', 'unpost', 'update', 'post'], o.action)
"""

_NAMES: Final = """
    select counterparty_key, name from core.accounting_counterparty where counterparty_key = any(%(keys)s) and name is not null
    union all
    select contract_key, name from core.accounting_contract where contract_key = any(%(keys)s) and name is not null
"""

# What the gate holds, and what waits for accounting: a period that is closed, a record that it lacks, a difference read back.
_HELD: Final = """
    select h.deal_id, coalesce(h.client_name, ''), h.amount, coalesce(h.currency, ''),
           string_agg(h.reason, '; ' order by h.check_name), string_agg(h.reason_ru, '; ' order by h.check_name)
    from documents.held h group by 1, 2, 3, 4
    union all
    select o.subject, coalesce(max(party.legal_name), ''), max(o.amount), coalesce(max(o.currency), ''),
           string_agg(distinct case o.state when 'rejected' then 'accounting refused it: ' else '' end || o.reason, '; '), null
    from ops.operation o
    left join documents.document d on d.document_key = o.target || ':' || o.key
    left join documents.counterparty party on party.counterparty_id = d.counterparty_id
    where o.target = %(system)s and o.state in ('held', 'rejected') and o.reason is not null
      and not exists (select from documents.held h where h.deal_id = o.subject)
    group by o.subject
    order by 1
"""

_COUNTS: Final = """
    select (select count(distinct (o.kind, o.key)) from ops.operation o
             where o.target = %(system)s and o.action = 'create' and o.state = 'verified' and not exists (
                select from ops.operation w where w.target = o.target and w.kind = o.kind and w.key = o.key
                   and w.state in ('planned', 'approved', 'held', 'rejected', 'sent', 'uncertain', 'confirmed'))),
           (select count(*) from ops.question q where q.answer is null and q.withdrawn_at is null)
"""
