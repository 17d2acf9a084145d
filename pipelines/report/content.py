"""What a block shows: its rows as texts, its totals, and what is to be drawn. Every value comes from the block's query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from pipelines.figures import Figure, FigureError, Unit, figure
from pipelines.papers.cells import shown
from pipelines.report import formats
from pipelines.report.blocks import Bars, Block, Months
from pipelines.report.charts import Drawn, filled
from pipelines.report.words import WORDS, head, value
from pipelines.table import tables
from resources.language import Language
from resources.warehouse import Connection

MAX_MONTHS: Final = 600  # rows of a block by month: months times currencies
MAX_CHARTS: Final = 3  # currencies that have a picture each
NUMBERS: Final[Mapping[str, Unit]] = {
    "receivables": "count", "variances": "count", "products": "count", "clients_counted": "count", "naive_amount": "money",
}  # fmt: skip
"""Numbers among HEADS."""
LEAST: Final = 2  # values that are worth a picture; of one the table tells as much
SENTENCES: Final = ("sentence", "example", "expected", "actual")
CODES: Final = ("number", "phone", "due_on", "document_date")  # not to be broken
WORD_COLUMNS: Final = (
    "counterparty",
    "manager",
    "deal",
    "client",
    "product",
    "reason",
    "check_name",
    "owner",
    "buyer",
    "why",
)


@dataclass(frozen=True, slots=True)
class Head:
    name: str
    title: str
    kind: str  # class in the page: number, sentence, or none
    figure: Figure | None


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    deal_id: str = ""
    document_key: str = ""
    link: str = ""
    is_zero: bool = False


@dataclass(slots=True)
class Content:
    """A block with its data. `drawn`: a picture each."""

    block: Block
    heads: list[Head]
    rows: list[list[Cell]]
    totals: list[list[Cell]]
    raw: list[dict[str, Any]]
    count: int
    drawn: list[Drawn] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_there(block: Block) -> bool:
    """Whether all marts that it reads are there."""
    return all(f"marts.{mart}" in tables() for mart in block.marts)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a block's query said: its first rows, and of each currency the number and sums of all rows."""

    rows: list[dict[str, Any]]
    sums: list[dict[str, Any]]


def answer(conn: Connection, block: Block, as_of: date) -> Answer:
    """Ask a block's query, once."""
    limit = MAX_MONTHS if isinstance(block.chart, Months) else max(block.limit, _most(block))
    conn.execute(
        "create temp table report_block on commit drop as select row_number() over () as report_row, block.*"
        f" from ({block.query}) block".encode(),
        {"as_of": as_of},
    )
    rows = _rows(conn, f"select * from report_block order by report_row limit {limit}")
    by = "currency" if "currency" in block.columns else "null::text"
    sums = "".join(f", sum({name}) as {name}" for name in block.totals)
    counted = f"select {by} as currency, count(*) as rows{sums} from report_block group by 1 order by count(*) desc, 1"
    found = Answer(rows, _rows(conn, counted))
    conn.execute("drop table report_block")
    return found


def content(block: Block, said: Answer, language: Language) -> Content:
    """A block in a language. Raises FigureError where a column has neither a definition nor a heading."""
    rows = said.rows
    heads = [_head(block, name, language) for name in block.columns]
    totals = _totals(block, heads, said.sums, language) if block.totals else []
    count = sum(row["rows"] for row in said.sums)
    shown_rows = rows if isinstance(block.chart, Months) else rows[: block.limit]
    made = Content(block, heads, [_cells(row, heads, language) for row in shown_rows], totals, rows, count)
    if isinstance(block.chart, Bars):
        made.drawn = _bars(block, block.chart, rows, language)
    elif isinstance(block.chart, Months):
        made.drawn, empty = _months(block, block.chart, rows, language)
        if empty:
            made.notes.append(WORDS[language]["empty"].format(months=", ".join(empty)))
    if block.chart and len({row.get(block.chart.apart) for row in rows}) > MAX_CHARTS:
        made.notes.append(WORDS[language]["others"])
    return made


def _most(block: Block) -> int:
    """Rows that a picture may need: the first of each currency."""
    return block.chart.most * 20 if isinstance(block.chart, Bars) else 0


def _rows(conn: Connection, query: str) -> list[dict[str, Any]]:
    cursor = conn.execute(query.encode(), prepare=False)  # of a table that is another every time
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _head(block: Block, name: str, language: Language) -> Head:
    found = figure(block.mart, name) if block.mart else None
    title = found.title(language) if found else head(name, language)
    if title is None:
        raise FigureError(
            f"{name} of the report's block {block.name} is no figure of marts.{block.mart} and has no heading;"
            " add it to pipelines/marts/figures.yaml or pipelines/report/words.py"
        )
    kind = "number" if found or name in NUMBERS else "sentence" if name in SENTENCES else ""
    if name in WORD_COLUMNS:
        kind = "word"
    elif name in CODES:
        kind = "code"
    return Head(name, title, kind, found)


def _cells(row: Mapping[str, Any], heads: Sequence[Head], language: Language) -> list[Cell]:
    return [
        Cell(_text(row, one, language), _deal(row, one), _document(row, one), is_zero=_is_zero(row, one))
        for one in heads
    ]


def _is_zero(row: Mapping[str, Any], one: Head) -> bool:
    return one.kind == "number" and row[one.name] == 0


def _deal(row: Mapping[str, Any], one: Head) -> str:
    return str(row.get("deal_id") or "") if one.name == "deal" else ""


def _document(row: Mapping[str, Any], one: Head) -> str:
    """Of a document that no deal stands behind: its number leads to what is behind it."""
    return str(row.get("document_key") or "") if one.name == "number" and not row.get("deal_id") else ""


def _text(row: Mapping[str, Any], one: Head, language: Language) -> str:
    found = row[one.name]
    if language == "ru" and f"{one.name}_ru" in row:
        found = row[f"{one.name}_ru"]
    if one.figure is not None or one.name in NUMBERS:
        unit = one.figure.unit if one.figure else NUMBERS[one.name]
        return "" if found is None else formats.figure(found, unit, language)
    if one.name == "deal" and not found:
        return str(row.get("deal_id") or "")
    if found is None:
        return (
            WORDS[language]["unsaid"]
            if one.name in ("manager", "lead_source", "month", "loss_reason")
            else ""
        )
    if isinstance(found, datetime):
        return formats.moment(found, language)
    if isinstance(found, date):
        return formats.month(found, language) if one.name == "month" else formats.day(found, language)
    return value(one.name, shown(str(found)), language)


def _totals(
    block: Block, heads: Sequence[Head], sums: Sequence[Mapping[str, Any]], language: Language
) -> list[list[Cell]]:
    """The sums over all rows, shown or not: a row a currency."""
    told = []
    for row in sums:
        cells = []
        for place, one in enumerate(heads):
            if one.name in block.totals:
                cells.append(Cell(_text(row, one, language)))
            elif one.name == "currency":
                cells.append(Cell(row["currency"] or ""))
            else:
                cells.append(Cell(WORDS[language]["total"] if place == 0 else ""))
        told.append(cells)
    return told


def _bars(block: Block, chart: Bars, rows: Sequence[Mapping[str, Any]], language: Language) -> list[Drawn]:
    named = _head(block, chart.label, language)
    found = []
    for apart, own in _apart(rows, chart):
        top = [row for row in own if any(row[name] for name in chart.values)][: chart.most]
        found.append(
            _drawn(block, chart.values, [_text(row, named, language) for row in top], top, apart, language)
        )
    return found


def _months(
    block: Block, chart: Months, rows: Sequence[Mapping[str, Any]], language: Language
) -> tuple[list[Drawn], list[str]]:
    """The pictures, and the months between the first and the last that have no row."""
    every = filled([row[chart.label] for row in rows if row[chart.label]])
    found = []
    for apart, own in _apart(rows, chart):
        said = {row[chart.label]: row for row in own}
        labels = [formats.month(month, language) for month in every]
        found.append(
            _drawn(
                block,
                chart.values,
                labels,
                [said.get(month, dict.fromkeys(chart.values) if chart.has_gaps else {}) for month in every],
                apart,
                language,
                is_time=True,
            )
        )
    told = {row[chart.label] for row in rows}
    return found, [formats.month(month, language) for month in every if month not in told]


def _apart(
    rows: Sequence[Mapping[str, Any]], chart: Bars | Months
) -> list[tuple[str | None, list[Mapping[str, Any]]]]:
    """Rows of each currency (or whatever is drawn apart) in their order, those of most rows first; of few values none."""
    apart: dict[str | None, list[Mapping[str, Any]]] = {}
    for row in rows:
        apart.setdefault(row.get(chart.apart), []).append(row)
    told = [
        (name, own)
        for name, own in apart.items()
        if sum(1 for row in own if any(row[figure] for figure in chart.values)) >= LEAST
    ]
    return sorted(told, key=lambda pair: -len(pair[1]))[:MAX_CHARTS]


def _drawn(
    block: Block, values: Sequence[str], labels: Sequence[str], rows: Sequence[Mapping[str, Any]],
    apart: str | None, language: Language, *, is_time: bool = False,
) -> Drawn:  # fmt: skip
    heads = [_head(block, name, language) for name in values]
    series = {one.title: [_value(row, one.name) for row in rows] for one in heads}
    title = heads[0].title if len(heads) == 1 else block.title(language)
    says = WORDS[language]["of"].format(title=title, currency=apart) if apart else title
    return Drawn(says, labels, series, is_time, language)


def _value(row: Mapping[str, Any], name: str) -> Decimal | None:
    """What is drawn: 0 where there is no row, nothing where the row has no figure."""
    found = row.get(name, 0)
    return None if found is None else Decimal(found)
