"""What a question says of a document from which its deal differs: field by field and line by line, old and new, as
accountants say it, in English and Russian.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from mappings.words import field_word
from pipelines.operations.difference import HEADER, LineChange, line_changes
from resources.language import Language
from resources.warehouse import Connection, trusted

MOST_LINES: Final = 5  # that one question tells; the others are counted
AT_ONCE: Final = 1_000  # documents that are put into words together

WORDS: Final = {
    "line": ("line", "строка"),
    "new": ("new", "добавлена"),
    "gone": ("gone", "убрана"),
    "more": ("and {} more lines", "и ещё строк: {}"),
    "quantity": ("quantity", "количество"),
    "price": ("price", "цена"),
    "vat": ("VAT rate", "ставка НДС"),
    "vat_amount": ("VAT", "НДС"),
    "nothing": ("none", "нет"),
    "namesake": ("another one, {} too", "другой, тоже {}"),
}
MONEY: Final = ("amount", "price", "vat_amount")

# Of `standing s`: what is to be asked and is not asked yet.
UNASKED: Final = """
    s.action = 'ask' and not exists (
        select from ops.question q
        where q.operation_id = s.operation_id and q.withdrawn_at is null and q.answer is null)
"""


def say_changes(conn: Connection) -> None:
    """Fill `changes` and `changes_ru` of the rows of `standing` that people are asked about anew."""
    ids = [
        row[0]
        for row in conn.execute(trusted(f"select s.operation_id from standing s where {UNASKED}")).fetchall()
    ]
    for part in (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)):
        rows = conn.execute(trusted(_DIFFERING), {"ids": part}).fetchall()
        told: list[tuple[UUID, str, str]] = [
            (operation_id, said(fields, old, new, "en"), said(fields, old, new, "ru"))
            for operation_id, fields, old, new in (
                (row[0], row[1], _decoded(row[2]) or {}, _decoded(row[3])) for row in rows
            )
        ]
        conn.execute(
            "update standing s set changes = t.en, changes_ru = t.ru"
            " from unnest(%s::uuid[], %s::text[], %s::text[]) as t(operation_id, en, ru)"
            " where s.operation_id = t.operation_id",
            [list(column) for column in zip(*told, strict=True)] if told else [[], [], []],
        )


def said(
    fields: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any] | None, language: Language
) -> str:
    """What changed of these fields; their names alone without `new`."""
    if new is None:
        return ", ".join(field_word(field, language) for field in fields)
    words = _Words(old, new, language)
    return "; ".join(part for field in fields for part in words.told(field))


class _Words:
    """Of one document. Contents are those of operations, with the names of counterparty and contract for their keys."""

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any], language: Language) -> None:
        self.language = language
        self.old, self.new = old.get("document") or {}, new.get("document") or {}
        self.lines = line_changes(old.get("lines") or [], new.get("lines") or []) if old else ()

    def told(self, field: str) -> Iterator[str]:
        column = HEADER.get(field)
        if column is not None:
            yield f"{field_word(field, self.language)} {self.change(field, self.old.get(column), self.new.get(column))}"
        elif field == "lines" and self.lines:
            for line in self.lines[:MOST_LINES]:
                yield f"{self.word('line')} {line.number}, {line.product}: {self.line(line)}"
            if len(self.lines) > MOST_LINES:
                yield self.word("more").format(len(self.lines) - MOST_LINES)
        else:
            yield field_word(field, self.language)

    def line(self, line: LineChange) -> str:
        if line.what == "changed":
            return ", ".join(
                f"{self.name(c.field)} {self.change(c.field, c.old, c.new)}" for c in line.changes
            )
        is_new = line.what == "new"
        side = {c.field: self.value(c.field, c.new if is_new else c.old) for c in line.changes}
        currency = self.currency(self.new if is_new else self.old)
        return f"{self.word(line.what)}, {side['quantity']} × {side['price']} = {side['amount']}{currency}"

    def change(self, field: str, old: Any, new: Any) -> str:
        """Old and new; of a sum with its currency, once where that is the same."""
        before, after = self.value(field, old), self.value(field, new)
        if field in MONEY:
            theirs, ours = self.currency(self.old), self.currency(self.new)
            before, after = before + ("" if theirs == ours else theirs), after + ours
        if field in ("counterparty", "contract") and before == after:
            return self.word("namesake").format(after)
        return f"{before} → {after}"

    def value(self, field: str, value: Any) -> str:
        if value is None or value == "":
            return self.word("nothing")
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            exact = Decimal(value)
            is_money = field in MONEY and exact == exact.quantize(Decimal("0.01"))
            number = f"{exact:,.2f}" if is_money else f"{exact.normalize():,f}"
            return number.translate({ord(","): "\u00a0", ord("."): "," if self.language == "ru" else "."})
        if field in ("date", "due_on") and self.language == "ru":
            return f"{date.fromisoformat(str(value)[:10]):%d.%m.%Y}"
        return f"«{value}»" if field in ("counterparty", "contract", "comment") else str(value)

    def currency(self, document: Mapping[str, Any]) -> str:
        return f"\u00a0{document['currency']}" if document.get("currency") else ""

    def name(self, field: str) -> str:
        return self.word(field) if field in WORDS else field_word(field, self.language)

    def word(self, name: str) -> str:
        return WORDS[name][self.language == "ru"]


def _decoded(text: str | None) -> Any:
    return _JSON.decode(text) if text else None


_JSON: Final = msgspec.json.Decoder(float_hook=Decimal)

_NAMED: Final = """
    jsonb_build_object(
        'counterparty_key', coalesce(
            ops.edit_name('counterparty', {0} ->> 'counterparty_key'),
            (select p.legal_name from documents.counterparty p where p.counterparty_id = {0} ->> 'counterparty_id'),
            {0} ->> 'counterparty_key'),
        'contract_key', coalesce(
            ops.edit_name('contract', {0} ->> 'contract_key'),
            (select p.name from documents.contract p
              where p.contract_id = concat_ws('/', {0} ->> 'counterparty_id', {0} ->> 'currency')),
            {0} ->> 'contract_key'))
"""

# Of a document that accounting changes again and again, or that is undone there, only the fields are told.
_DIFFERING: Final = f"""
    select s.operation_id, s.fields,
           (w.content || jsonb_build_object('document', (w.content -> 'document') || {_NAMED.format("(w.content -> 'document')")}))::text,
           case when n.operation_id is not null and not s.by_accounting then jsonb_build_object(
               'document', (to_jsonb(n) - 'lines') || {_NAMED.format("to_jsonb(n)")},
               'lines', coalesce(n.lines, (
                   select jsonb_agg(to_jsonb(l) order by l.is_service, l.position)
                   from documents.document_line l where l.deal_id = n.deal_id)))::text end
    from standing s
    join written w on w.operation_id = s.operation_id
    left join needed n on n.operation_id = s.operation_id
    where s.operation_id = any(%(ids)s)
"""
