"""What the commands print: tables that a person can read."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.markup import escape
from rich.table import Table

from mappings import Mappings
from pipelines import laws
from pipelines.commands.session import CONSOLE
from pipelines.commands.words import LAWS, MEASURES, REASONS, STATES, said, step
from pipelines.freshness import Freshness, freshness, span
from pipelines.operations.phrases import in_russian
from resources.language import Language
from resources.warehouse import Warehouse

MAX_LINES = 12
WIDE = 120  # columns from which on a sentence has room beside the rest of its row
INDENT = "    "
NAMED = 6  # deals that one cause holds, which `status` names; `hold list` names all
GLUE = "\N{NO-BREAK SPACE}"
SOURCES: Mapping[Language, tuple[str, tuple[str, ...], str]] = {
    "en": ("Sources", ("system", "records", "read until (UTC)", "behind", "what is wrong"), "never"),
    "ru": (
        "Источники",
        ("система", "записей", "прочитано по (UTC)", "отставание", "что не так"),
        "ни разу",
    ),
}


def money(value: Any) -> str:
    """1234567.5 -> 1 234 567.50"""
    return f"{Decimal(value or 0):,.2f}".replace(",", " ")


def number(value: int) -> str:
    """1234567 -> 1 234 567"""
    return f"{value:,}".replace(",", " ")


def row(made: Table, *cells: str) -> None:
    """Add a row of data: what looks like markup in it is none."""
    made.add_row(*map(escape, cells))


def sentences(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: tuple[str, ...] = ()
) -> None:
    """Rows whose last cell is a sentence: a table where there is room, else the sentence under its row."""
    if CONSOLE.width >= WIDE:
        made = table(title, *columns, right=right)
        for cells in rows:
            row(made, *cells)
        CONSOLE.print(made)
        return
    CONSOLE.print(title, style="bold", markup=False)
    for *cells, sentence in rows:
        CONSOLE.print(_filled("  ".join(filter(None, cells))), markup=False, soft_wrap=True)
        if sentence:
            CONSOLE.print(_filled(sentence, INDENT), style="dim", markup=False, soft_wrap=True)


def _filled(text: str, indent: str = "") -> str:
    """To the width of the window, never between the digits of one sum."""
    glued = re.sub(r"(?<=\d) (?=\d{3}\b)|(?<=\d\d) (?=[A-Z]{3}\b)", GLUE, text)
    filled = textwrap.fill(
        glued, CONSOLE.width, initial_indent=indent, subsequent_indent=INDENT, break_on_hyphens=False
    )
    return filled.replace(GLUE, " ")


def table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    made = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False
    )
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def status(warehouse: Warehouse, mappings: Mappings, *, language: Language = "en") -> None:
    """Where the road stands: what was read, carried, held, and whether both sides agree."""
    found = freshness(warehouse, mappings)
    sources(warehouse, mappings, found, language=language)
    if all(source.read_until is None for source in found):
        CONSOLE.print(
            "Nothing has been read yet: sverka sync reads, carries and reconciles."
            if language == "en"
            else "Ещё ничего не прочитано: читает, переносит и сверяет sverka sync."
        )
        return
    carried(warehouse, language=language)
    held(warehouse, MAX_LINES, language=language)
    waiting(warehouse, MAX_LINES, language=language)
    lacking(warehouse, NAMED, language=language)
    reconciliation(warehouse, language=language)


def sources(
    warehouse: Warehouse, mappings: Mappings, found: Sequence[Freshness], *, language: Language = "en"
) -> None:
    """A line a system: how much of it there is, until when it was read, how far back that lies, what is wrong."""
    title, columns, never = SOURCES[language]
    rows = []
    for source in found:
        tables = [f"raw.{source.system}_{entity}" for entity in mappings.system(source.system).entities]
        count = sum(
            int(warehouse.scalar(f"select count(*) from {name} where is_current and not deleted") or 0)
            for (name,) in warehouse.rows(
                "select name from unnest(%s::text[]) t(name) where to_regclass(name) is not null", [tables]
            )
        )
        until = f"{source.read_until:%d.%m.%Y %H:%M}" if source.read_until else never
        behind = span(source.lag, language) if source.read_until else ""
        rows.append((source.system, number(count), until, behind, source.sentence(language)))
    sentences(title, columns, rows, right=(columns[1], columns[3]))
    CONSOLE.print("")


def carried(warehouse: Warehouse, *, language: Language = "en") -> None:
    joint = ", " if CONSOLE.width >= WIDE else "\n"
    title, *heads = (
        ("Carried", "system", "what", "state", "operations", "sum")
        if language == "en"
        else ("Перенесено", "система", "что", "состояние", "операций", "сумма")
    )
    made = table(title, *heads, right=(heads[3], heads[4]))
    for target, kind, action, state, count, amounts in warehouse.rows(
        """
        select target, kind, action, state, sum(n)::bigint,
               array_agg(translate(to_char(amount, 'FM999G999G999G990D00'), ',', ' ') || ' ' || currency order by currency)
                 filter (where currency is not null and action <> 'post')
        from (select target, kind, action, state, currency, count(*) as n, sum(amount) as amount
              from ops.operation where state <> 'superseded' group by 1, 2, 3, 4, 5) o
        group by 1, 2, 3, 4
        order by 1, ops.kind_order(kind), 3, 4
        """
    ):
        what, stands = step(action, kind, language), said(STATES, state, language)
        row(made, target, what, stands, number(count), joint.join(amounts or []))
    nothing = "Nothing has been carried yet." if language == "en" else "Ещё ничего не перенесено."
    CONSOLE.print(made if made.row_count else nothing, "")


def held(warehouse: Warehouse, limit: int | None = None, *, language: Language = "en") -> None:
    reason = "reason_ru" if language == "ru" else "reason"
    rows = warehouse.rows(
        f"""
        select deal_id, check_name, client_name, amount, currency, {reason} from documents.held
        order by check_name, deal_id
        """
    )
    deals = len({row[0] for row in rows})
    if rows:
        shown = [
            (deal_id, check, client or "", f"{money(amount)} {currency or ''}".rstrip(), why)
            for deal_id, check, client, amount, currency, why in rows[:limit]
        ]
        title, *heads = (
            (f"Held: {deals} deals", "deal", "check", "client", "sum", "why")
            if language == "en"
            else (f"Удержано сделок: {deals}", "сделка", "проверка", "клиент", "сумма", "почему")
        )
        sentences(title, heads, shown, right=(heads[3],))
    else:
        CONSOLE.print("No deal is held." if language == "en" else "Удержанных сделок нет.")
    _more(len(rows), limit, language)
    CONSOLE.print("")


def _more(count: int, limit: int | None, language: Language) -> None:
    if limit is not None and count > limit:
        left = number(count - limit)
        CONSOLE.print(
            f"… and {left} more: sverka hold list"
            if language == "en"
            else f"… и ещё {left}: sverka hold list --language ru",
            style="dim",
        )


def waiting(warehouse: Warehouse, limit: int | None = None, *, language: Language = "en") -> None:
    """Operations that wait for a person: refused by accounting, or not what was sent when read back."""
    rows = warehouse.rows(
        """
        select subject, action, kind, state, reason from ops.operation
        where state in ('rejected', 'held') and (state = 'rejected' or reason_code is not null)
        order by changed_at
        """
    )
    if not rows:
        return
    title, *heads = (
        (f"Waiting for a person: {len(rows)} operations", "about", "what", "state", "why")
        if language == "en"
        else (f"Ждут человека операций: {len(rows)}", "сделка", "что", "состояние", "почему")
    )
    shown = [
        (subject or "", step(action, kind, language), said(STATES, state, language), _why(reason, language))
        for subject, action, kind, state, reason in rows[:limit]
    ]
    sentences(title, heads, shown)
    _more(len(rows), limit, language)
    CONSOLE.print("")


def lacking(warehouse: Warehouse, named: int | None = None, *, language: Language = "en") -> None:
    """What a mapping names and accounting lacks, or has closed: which steps of which deals that holds; the gate knows
    nothing of it. Of each cause `named` deals are named, all without it."""
    rows = warehouse.rows(
        """
        select reason, array_agg(distinct subject order by subject), array_agg(distinct action || '/' || kind)
        from ops.operation
        where state = 'held' and reason_code is null and ops.is_document(kind)
          and not exists (select from documents.held h where h.deal_id = subject)
        group by reason order by count(distinct subject) desc, reason
        """
    )
    if not rows:
        return
    title, *heads = (
        ("Held until accounting has what the mapping names, or opens what it closed",
         "deals", "what", "which", "why")
        if language == "en"
        else ("Удержано, пока в учёте нет того, что указано в файле соответствия, или период закрыт",
              "сделок", "что", "какие", "почему")
    )  # fmt: skip
    shown = []
    for reason, deals, steps in rows:
        parts = (name.partition("/") for name in sorted(steps))
        what = ", ".join(step(action, kind, language) for action, _, kind in parts)
        which = ", ".join(deals[:named])
        if named is not None and len(deals) > named:
            which += f" … {'and' if language == 'en' else 'и ещё'} {number(len(deals) - named)}"
            which += " more" if language == "en" else ""
        shown.append((number(len(deals)), what, which, _why(reason, language)))
    sentences(title, heads, shown, right=(heads[0],))
    CONSOLE.print("")


def _why(reason: str | None, language: Language) -> str:
    return in_russian(reason or "") if language == "ru" else reason or ""


def held_by_reason(warehouse: Warehouse) -> None:
    made = table("Held by reason", "check", "deals", "sum", right=("deals", "sum"))
    for check, deals, amount in warehouse.rows(
        "select check_name, count(*), sum(amount) from documents.held group by 1 order by 2 desc, 1"
    ):
        row(made, check, number(deals), money(amount))
    CONSOLE.print(made if made.row_count else "No deal is held.", "")


def reconciliation(warehouse: Warehouse, *, language: Language = "en") -> bool:
    """Both sides and every difference by reason. Whether the laws hold."""
    ru = language == "ru"
    title, *heads = (
        ("CRM и учёт", "что", "валюта", "по CRM", "в учёте", "разница", "не объяснено")
        if ru
        else ("CRM against accounting", "measure", "currency", "expected", "accounting", "difference", "unexplained")
    )  # fmt: skip
    made = table(title, *heads, right=tuple(heads[2:]))
    for measure, currency, expected, actual, difference, unexplained in warehouse.rows(
        """
        select s.measure, coalesce(r.code, '?'), sum(s.expected), sum(s.actual), sum(s.expected - s.actual), sum(s.unexplained)
        from ledger.settlement s
        left join core.accounting_currency c on c.currency_key = s.currency_key
        left join ops.currency_rule r on r.value = c.code and r.system = c.source
        group by 1, 2 order by array_position(array['invoiced', 'realized', 'paid'], s.measure), 2
        """
    ):
        sums = (money(expected), money(actual), money(difference), money(unexplained))
        row(made, said(MEASURES, measure, language), currency, *sums)
    CONSOLE.print(made, "")
    variances = warehouse.rows(
        f"""
        select measure, reason, count(*), sum(amount), min({"sentence_ru" if ru else "sentence"}) from ledger.variance
        group by 1, 2 order by array_position(array['invoiced', 'realized', 'paid'], measure), 3 desc
        """
    )
    if variances:
        title, *heads = (
            ("Расхождения", "что", "причина", "число", "сумма", "например")
            if ru
            else ("Variances", "measure", "reason", "count", "sum", "for example")
        )
        shown = [
            (said(MEASURES, measure, language), said(REASONS, reason, language), number(count), money(amount), sentence)
            for measure, reason, count, amount, sentence in variances
        ]  # fmt: skip
        sentences(title, heads, shown, right=(heads[2], heads[3]))
    else:
        CONSOLE.print("Расхождений нет." if ru else "No variance.")
    CONSOLE.print("")
    found = laws.check(warehouse)
    for law in found:
        holds, broken = ("верно", "НАРУШЕНО") if ru else ("holds", "BROKEN")
        mark = f"[green]{holds}[/]" if law.holds else f"[red]{broken}[/]"
        name = said(LAWS, law.name, language).replace("_", " ")
        CONSOLE.print(f"{mark}  {name}: {escape(law.sentence_ru if ru else law.sentence)}")
    CONSOLE.print("")
    return all(law.holds for law in found)
