"""What a question says of a document from which its deal differs: field by field and line by line, old and new, as
accountants say it, in English and Russian.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec

from mappings.words import field_word
from pipelines.operations.difference import HEADER, LINE, LineChange, line_changes
from resources.language import Language
from resources.warehouse import Connection, trusted

MOST_LINES: Final = 5  # that one question tells; the others are counted
AT_ONCE: Final = 2_000  # documents that are put into words together

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
MOST_NUMBERS: Final = 10_000  # that are kept as they are written: prices and quantities come again
LINE_TOLD: Final = ("product_key", "product_name", *LINE)


def say_changes(conn: Connection) -> int:
    """Put into words what people are asked about anew: a row of the temporary table `worded` for each such row of
    `standing`; how many."""
    ids = [row[0] for row in conn.execute(trusted(_UNASKED)).fetchall()]
    if not ids:
        return 0
    conn.execute(_WORDED)
    for part in (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)):
        words: dict[tuple[str | None, ...], tuple[str, str]] = {}
        told: list[tuple[UUID, str, str]] = []
        for operation_id, fields, old, new in conn.execute(trusted(_DIFFERING), {"ids": part}).fetchall():
            alike = (*fields, old, new)  # an invoice and the realization after it mostly differ alike
            if alike not in words:
                words[alike] = said_in_both(fields, _decoded(old) or {}, _decoded(new))
            told.append((operation_id, *words[alike]))
        conn.execute(
            "insert into worded select * from unnest(%s::uuid[], %s::text[], %s::text[])",
            [list(column) for column in zip(*told, strict=True)],
        )
    conn.execute("analyze worded (operation_id)")
    return len(ids)


def said_in_both(
    fields: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any] | None
) -> tuple[str, str]:
    """What changed of these fields, in English and in Russian; their names alone without `new`."""
    lines = line_changes(old.get("lines") or [], new.get("lines") or []) if old and new else ()
    return _said(fields, old, new, lines, "en"), _said(fields, old, new, lines, "ru")


def _said(
    fields: Sequence[str],
    old: Mapping[str, Any],
    new: Mapping[str, Any] | None,
    lines: Sequence[LineChange],
    language: Language,
) -> str:
    if new is None:
        return ", ".join(field_word(field, language) for field in fields)
    words = _Words(old, new, lines, language)
    return "; ".join(part for field in fields for part in words.told(field))


class _Words:
    """Of one document. Contents are those of operations, with the names of counterparty and contract for their keys."""

    def __init__(
        self,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        lines: Sequence[LineChange],
        language: Language,
    ) -> None:
        self.language, self.lines = language, lines
        self.old, self.new = old.get("document") or {}, new.get("document") or {}

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
            return _number(value, field in MONEY)[self.language == "ru"]
        if field in ("date", "due_on") and self.language == "ru":
            return f"{date.fromisoformat(str(value)[:10]):%d.%m.%Y}"
        return f"«{value}»" if field in ("counterparty", "contract", "comment") else str(value)

    def currency(self, document: Mapping[str, Any]) -> str:
        return f"\u00a0{document['currency']}" if document.get("currency") else ""

    def name(self, field: str) -> str:
        return self.word(field) if field in WORDS else field_word(field, self.language)

    def word(self, name: str) -> str:
        return WORDS[name][self.language == "ru"]


@lru_cache(maxsize=MOST_NUMBERS)
def _number(value: int | Decimal, is_money: bool) -> tuple[str, str]:
    """As it is written in English and in Russian."""
    exact = Decimal(value)
    is_money = is_money and exact == exact.quantize(Decimal("0.01"))
    number = f"{exact:,.2f}" if is_money else f"{exact.normalize():,f}"
    spaced = number.replace(",", "\u00a0")
    return spaced, spaced.replace(".", ",")


def _decoded(text: str | None) -> Any:
    return _JSON.decode(text) if text else None


_JSON: Final = msgspec.json.Decoder(float_hook=Decimal)

# What people call the counterparty and the contract of accounting; until it has them, what they are to be called there.
_NAMES: Final = {
    "counterparty": """coalesce(
            (select a.name from core.accounting_counterparty a where a.counterparty_key = {0}.counterparty_key),
            (select p.legal_name from documents.counterparty p where p.counterparty_id = {0}.counterparty_id),
            {0}.counterparty_key)""",
    "contract": """coalesce(
            (select a.name from core.accounting_contract a where a.contract_key = {0}.contract_key),
            (select p.name from documents.contract p
              where p.contract_id = concat_ws('/', {0}.counterparty_id, {0}.currency)),
            {0}.contract_key)""",
}


def _header(document: str) -> str:
    """SQL: what a question tells of the header of `document`, with names for keys. Money needs its currency."""
    told = "".join(
        f", '{column}', case when '{field}' = any(s.fields) then "
        + _NAMES.get(field, f"{{0}}.{column}").format(document)
        + " end"
        for field, column in HEADER.items()
        if field != "currency"
    )
    return f"json_build_object('currency', {document}.currency{told})"


_WORDED: Final = """
    drop table if exists pg_temp.worded;
    create temporary table worded (operation_id uuid, changes text, changes_ru text) on commit drop
"""

# What is to be asked and is not asked yet, by deal.
_UNASKED: Final = """
    select s.operation_id from standing s
    where s.action = 'ask' and not exists (
        select from ops.question q
        where q.operation_id = s.operation_id and q.withdrawn_at is null and q.answer is null)
    order by s.deal_id
"""

# Only what is told is taken out of the two. Of a document that accounting changes again and again, or that is undone there,
# only the fields are told.
_DIFFERING: Final = f"""
    with asked as materialized (
        select s.operation_id, s.deal_id, s.fields, s.by_accounting from standing s where s.operation_id = any(%(ids)s)
    ), due as (
        select a.deal_id, made.lines
        from (select distinct s.deal_id from asked s where 'lines' = any(s.fields)) a
        cross join lateral (
            select json_agg(json_build_object({", ".join(f"'{name}', l.{name}" for name in LINE_TOLD)})
                            order by l.is_service, l.position) as lines
            from documents.document_line l where l.deal_id = a.deal_id) made
    )
    select s.operation_id, s.fields,
           case when n.operation_id is not null and w.content is not null then json_build_object(
               'document', {_header("o")}, 'lines', case when 'lines' = any(s.fields) then held.lines end)::text end,
           case when n.operation_id is not null then json_build_object(
               'document', {_header("n")},
               'lines', case when 'lines' = any(s.fields) then coalesce(n.lines::json, due.lines) end)::text end
    from asked s
    join written w on w.operation_id = s.operation_id
    left join needed n on n.operation_id = s.operation_id and not s.by_accounting
    left join due on due.deal_id = n.deal_id
    left join lateral jsonb_to_record(w.content) as held(document jsonb, lines jsonb) on n.operation_id is not null
    left join lateral jsonb_to_record(held.document) as o(
        document_date text, due_on text, counterparty_id text, counterparty_key text, contract_key text, currency text,
        amount numeric, vat_amount numeric, comment text) on true
"""
