"""An act of reconciliation as PDF, A4 upright, in the customary form; the head of the table stands on every page.

Nothing is fetched: the fonts lie beside this file (a part of DejaVu Sans, `font/LICENSE.txt`).
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Final

from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER, TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    LongTable,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
)

from pipelines.papers import words as said
from pipelines.papers.act import Act, Line
from resources.language import Language

FONTS: Final = Path(__file__).parent / "font"
REGULAR, BOLD = "SverkaSans", "SverkaSans-Bold"
MARGIN: Final = 12 * mm
PADDING: Final = 6  # points that a frame leaves free around what stands in it
WIDTHS: Final = tuple(
    width * mm for width in (16.5, 36, 21.5, 21.5, 16.5, 31, 21.5, 21.5)
)  # ours, then theirs; 186 mm
SMALL: Final = 7
CELL_PADDING: Final = 2  # points to the left and right of what stands in a cell
KEPT_LINES: Final = (
    5  # of the table that go to the next page with its end: three documents, turnover, closing
)


def write(acts: Sequence[Act], language: Language, output: Path) -> None:
    """Write every act, each beginning on a page of its own. Raises OSError."""
    output.write_bytes(pages(acts, language))


def pages(acts: Sequence[Act], language: Language) -> bytes:
    _register()
    made = io.BytesIO()
    words = said.WORDS[language]
    title = f"{words['title']} {acts[0].counterparty.name}"
    document = SimpleDocTemplate(
        made, pagesize=A4, leftMargin=MARGIN - PADDING, rightMargin=MARGIN - PADDING, topMargin=MARGIN, bottomMargin=MARGIN + 4 * mm,
        title=title, author=said.ours(acts[0], language), subject=title, creator="Sverka", lang=language,
    )  # fmt: skip
    story: list[Any] = []
    for number, act in enumerate(acts):
        story += [PageBreak()] if story else []
        story += [_Begins(number), *_story(act, language)]

    class Numbered(Canvas):  # type: ignore[misc]
        """Writes `page x of y` of each act once it is known how many it has: every act is signed by itself."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.act = 0
            self._kept: list[dict[str, Any]] = []

        def showPage(self) -> None:
            self._kept.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            counts = Counter(state["act"] for state in self._kept)
            shown: Counter[int] = Counter()
            for state in self._kept:
                self.__dict__.update(state)
                shown[self.act] += 1
                self.setFont(REGULAR, SMALL)
                told = words["page"].format(page=shown[self.act], pages=counts[self.act])
                self.drawRightString(A4[0] - MARGIN, MARGIN - 2 * mm, told)
                super().showPage()
            super().save()

    document.build(story, canvasmaker=Numbered)
    return made.getvalue()


class _Begins(Flowable):  # type: ignore[misc]
    """Tells the canvas that an act begins here; takes no room."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def draw(self) -> None:
        self.canv.act = self.number


@cache
def _register() -> None:
    pdfmetrics.registerFont(TTFont(REGULAR, FONTS / "DejaVuSansCondensed.ttf"))
    pdfmetrics.registerFont(TTFont(BOLD, FONTS / "DejaVuSansCondensed-Bold.ttf"))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)


def _style(
    name: str, size: float = 9, *, bold: bool = False, alignment: int = 0, after: float = 0
) -> ParagraphStyle:
    return ParagraphStyle(
        name, fontName=BOLD if bold else REGULAR, fontSize=size, leading=size * 1.25, alignment=alignment, spaceAfter=after,
        splitLongWords=True,
    )  # fmt: skip


TEXT: Final = _style("text", after=6)
HEAD: Final = _style("head", 13, bold=True, alignment=TA_CENTER)
UNDER: Final = _style("under", alignment=TA_CENTER)
CELL: Final = _style("cell", SMALL)
CELL_BOLD: Final = _style("cell bold", SMALL, bold=True)
CELL_HEAD: Final = _style("cell head", SMALL, bold=True, alignment=TA_CENTER)
CELL_MONEY: Final = _style("cell money", SMALL, alignment=TA_RIGHT)
CELL_MONEY_BOLD: Final = _style("cell money bold", SMALL, bold=True, alignment=TA_RIGHT)
NOTE: Final = _style("note", SMALL, after=2)
UNDER_LINE: Final = _style("under line", 6)


def _story(act: Act, language: Language) -> list[Any]:
    words = said.WORDS[language]
    ours, theirs = said.ours(act, language), act.counterparty.name
    period = words["of"].format(first=said.day(act.first, language), last=said.day(act.last, language))
    whole = [
        f"{name} ({numbers})" if (numbers := party.numbers(language) if party else "") else name
        for name, party in ((ours, act.organization), (theirs, act.counterparty))
    ]
    scope = words["contract"].format(contract=act.contract) if act.contract else words["all"]
    end = [
        Spacer(1, 4 * mm),
        Paragraph(escape(words["concludes"].format(ours=ours)), TEXT),
        Paragraph(escape(said.conclusion(act, language)), _style("conclusion", bold=True, after=6)),
        *(Paragraph(escape(note), NOTE) for note in said.notes(act, language)),
        Spacer(1, 6 * mm),
        _signatures(ours, theirs, words),
    ]
    return [
        Paragraph(words["title"], HEAD),
        Paragraph(escape(period), UNDER),
        Paragraph(escape(words["between"].format(ours=whole[0], theirs=whole[1])), UNDER),
        Paragraph(escape(scope), UNDER),
        Spacer(1, 4 * mm),
        Paragraph(escape(words["opens"].format(ours=ours, theirs=theirs)), TEXT),
        _table(act, language, end),
    ]


def _table(act: Act, language: Language, end: Sequence[Any]) -> LongTable:
    """The table, and what stands under it as its last row: so the signatures never come without lines of the table."""
    words = said.WORDS[language]
    names = [Paragraph(words[name], CELL_HEAD) for name in ("date", "document", "debit", "credit")]
    by = [
        Paragraph(escape(words["by"].format(party=party, currency=act.currency)), CELL_HEAD)
        for party in (said.ours(act, language), act.counterparty.name)
    ]
    rows = [[by[0], "", "", "", by[1], "", "", ""], [*names, *names]]
    rows.append(
        _total(words["opening"], max(act.opening, Decimal(0)), max(-act.opening, Decimal(0)), language)
    )
    rows += [_line(line, language) for line in act.lines]
    rows.append(_total(words["turnover"], act.debit, act.credit, language))
    rows.append(
        _total(words["closing"], max(act.closing, Decimal(0)), max(-act.closing, Decimal(0)), language)
    )
    kept = min(KEPT_LINES, len(rows) - 2) + 1
    rows.append([list(end), *[""] * 7])
    made = LongTable(rows, colWidths=WIDTHS, repeatRows=2)
    made.setStyle(
        [
            ("GRID", (0, 0), (-1, -2), 0.4, colors.black),
            ("SPAN", (0, 0), (3, 0)),
            ("SPAN", (4, 0), (7, 0)),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("VALIGN", (0, 0), (-1, 1), "MIDDLE"),
            ("BACKGROUND", (0, 0), (-1, 1), colors.whitesmoke),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
            ("LEFTPADDING", (0, 0), (-1, -1), CELL_PADDING),
            ("RIGHTPADDING", (0, 0), (-1, -1), CELL_PADDING),
            ("SPAN", (0, -1), (-1, -1)),
            ("LEFTPADDING", (0, -1), (-1, -1), 0),
            ("NOSPLIT", (0, -kept), (-1, -1)),
        ]
    )
    return made


def _line(line: Line, language: Language) -> list[Any]:
    return [
        Paragraph(said.day(line.day, language), CELL),
        Paragraph(escape(said.document(line, language)), CELL),
        _money(line.debit, language) if line.debit else "",
        _money(line.credit, language) if line.credit else "",
        *[""] * 4,
    ]


def _money(value: Decimal, language: Language, style: ParagraphStyle = CELL_MONEY) -> Paragraph:
    """A sum in one line: smaller letters where it is wider than its column."""
    told = said.money(value, language)
    room = WIDTHS[2] - 2 * CELL_PADDING - 1
    width = pdfmetrics.stringWidth(told, style.fontName, style.fontSize)
    if width > room:
        size = style.fontSize * room / width
        style = ParagraphStyle(f"{style.name} {size:.2f}", parent=style, fontSize=size)
    return Paragraph(told, style)


def _total(name: str, debit: Decimal, credit: Decimal, language: Language) -> list[Any]:
    money = [_money(value, language, CELL_MONEY_BOLD) for value in (debit, credit)]
    return ["", Paragraph(escape(name), CELL_BOLD), *money, "", Paragraph(escape(name), CELL_BOLD), "", ""]


def _signatures(ours: str, theirs: str, words: Any) -> Table:
    def under(text: str) -> Paragraph:
        return Paragraph(escape(text), UNDER_LINE)

    made = Table(
        [
            [Paragraph(escape(words["from"].format(party=ours)), CELL), "",
             Paragraph(escape(words["from"].format(party=theirs)), CELL)],
            ["", "", ""],
            [under(words["position"]), "", under(words["position"])],
            ["", "", ""],
            [under(f"{words['signature']} / {words['name']}"), "", under(f"{words['signature']} / {words['name']}")],
            [under(words["seal"]), "", under(words["seal"])],
        ],
        colWidths=[85 * mm, 16 * mm, 85 * mm],
        rowHeights=[None, 8 * mm, None, 8 * mm, None, 6 * mm],
    )  # fmt: skip
    made.setStyle(
        [
            *(
                ("LINEBELOW", (column, row), (column, row), 0.4, colors.black)
                for column in (0, 2)
                for row in (1, 3)
            ),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ]
    )
    return made
