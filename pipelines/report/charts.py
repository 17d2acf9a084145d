"""Pictures: Vega-Lite specifications made into SVG by vl-convert, without a network and without a browser.

Each picture is drawn twice, for a wide page and for a phone; the page chooses by its width.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from pipelines.papers.cells import shown
from pipelines.report import formats
from resources.language import Language

VERSION: Final = "6.1"  # of Vega-Lite
FONT: Final = "Arial, Liberation Sans, DejaVu Sans, sans-serif"
# Pixels of a letter of 12 in the widest of these: which of them a reader has is not known here.
CAPITAL, LETTER, BROAD = 9.4, 7.4, 3.0  # and so much more of a broad one
BROAD_LETTERS: Final = frozenset("mwMWшщюжмыфдцШЩЮЖМЫФ@")
WIDE, NARROW = 700, 328  # pixels: a page of A4, and a phone of 360
STEP: Final = 26  # pixels of a bar
ONE: Final = "#2f6690"
COLORS: Final = ("#2f6690", "#81a4cd", "#d9a441", "#d1603d", "#9b2226", "#6b705c")
INK: Final = "#26323b"
LABEL_WIDE, LABEL_NARROW = 250, 116  # pixels of the longest label


@dataclass(frozen=True, slots=True)
class Picture:
    """One chart: SVG of both widths, as addresses that hold the picture itself, and what it shows in words."""

    wide: str
    narrow: str
    says: str
    png: bytes = b""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is to be drawn: of each label (a bar, or a month) the value of each series; all in one unit and currency."""

    says: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[Decimal | None]]  # None: nothing is drawn there
    is_time: bool
    language: Language


def picture(drawn: Drawn, *, with_png: bool = False) -> Picture:
    import vl_convert

    def svg(width: int) -> str:
        told = vl_convert.vegalite_to_svg(specification(drawn, width), vl_version=VERSION)
        return "data:image/svg+xml;base64," + base64.b64encode(told.encode()).decode()

    png = b""
    if with_png:
        png = vl_convert.vegalite_to_png(specification(drawn, WIDE), vl_version=VERSION)
    return Picture(svg(WIDE), svg(NARROW), drawn.says, png)


def filled(months: Sequence[date]) -> list[date]:
    """Every month from the first to the last of them."""
    if not months:
        return []
    found, last = [min(months)], max(months)
    while found[-1] < last:
        before = found[-1]
        found.append(date(before.year + before.month // 12, before.month % 12 + 1, 1))
    return found


def specification(drawn: Drawn, width: int) -> dict[str, Any]:
    """The Vega-Lite specification of a picture so many pixels wide."""
    is_narrow = width <= NARROW
    rows = [
        {
            "label": f"{place}",
            "series": name,
            "value": None if (value := values[place]) is None else float(value),
        }
        for name, values in drawn.series.items()
        for place in range(len(drawn.labels))
    ]
    made = _months(drawn, is_narrow) if drawn.is_time else _bars(drawn, is_narrow)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": width,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": 4,
        "background": None,
        "data": {"values": rows},
        "config": {
            "font": FONT,
            "view": {"stroke": None},
            "axis": {"labelFontSize": 12, "labelColor": INK, "domain": False, "ticks": False, "title": None,
                     "gridColor": "#e3e8ec"},
            "legend": {"labelFontSize": 12, "labelColor": INK, "title": None, "orient": "top",
                       "columns": 1 if is_narrow else 2, "columnPadding": 40, "symbolType": "square",
                       "labelLimit": width},
        },
        **made,
    }  # fmt: skip


def _color(names: Sequence[str]) -> dict[str, Any]:
    if len(names) == 1:
        return {"value": ONE}
    return {
        "field": "series", "type": "nominal", "sort": None,
        "scale": {"domain": list(names), "range": [COLORS[i % len(COLORS)] for i in range(len(names))]},
    }  # fmt: skip


def _named(labels: Sequence[str]) -> str:
    """An expression that gives a place its label: two of the same name stay two bars."""
    return f"{_list(labels)}[toNumber(datum.value)]"


def _cut(label: str, most: float) -> str:
    """As much of a label as so many pixels hold."""
    text = shown(label)
    if _pixels(text) <= most:
        return text
    while text and _pixels(text) > most - CAPITAL:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _pixels(text: str) -> float:
    return sum(
        (CAPITAL if letter.isupper() else LETTER) + (BROAD if letter in BROAD_LETTERS else 0.0)
        for letter in text
    )


def _bars(drawn: Drawn, is_narrow: bool) -> dict[str, Any]:
    names = list(drawn.series)
    totals = [
        sum((values[place] or Decimal() for values in drawn.series.values()), Decimal())
        for place in range(len(drawn.labels))
    ]
    ends = [
        {
            "label": f"{place}",
            "end": float(max(total, Decimal())),
            "told": formats.short(total, drawn.language),
        }
        for place, total in enumerate(totals)
    ]
    most = max([float(total) for total in totals] + [0.0])
    least = min([float(value or 0) for values in drawn.series.values() for value in values] + [0.0])
    room = 0.45 if is_narrow else 0.16  # beside the longest bar, for its figure
    labels = [_cut(label, LABEL_NARROW if is_narrow else LABEL_WIDE) for label in drawn.labels]
    label = {
        "field": "label", "type": "ordinal", "sort": None,
        "axis": {"labelExpr": _named(labels), "labelLimit": 0, "labelPadding": 6,
                 "minExtent": max(map(_pixels, labels), default=0.0) + 6},
    }  # fmt: skip
    order = [
        {"calculate": f"indexof({_list(names)}, datum.series)", "as": "turn"},
    ]
    return {
        "height": {"step": STEP},
        "layer": [
            {
                "transform": order,
                "mark": {"type": "bar", "height": {"band": 0.7}},
                "encoding": {
                    "y": label,
                    "x": {"field": "value", "type": "quantitative", "stack": "zero", "axis": None,
                          "scale": {"domain": [least, (most or 1) * (1 + room)], "nice": False}},
                    "color": _color(names),
                    "order": {"field": "turn", "type": "quantitative"},
                },
            },
            {
                "data": {"values": ends},
                "mark": {"type": "text", "align": "left", "dx": 5, "fontSize": 12, "color": INK},
                "encoding": {
                    "y": {"field": "label", "type": "ordinal", "sort": None},
                    "x": {"field": "end", "type": "quantitative"},
                    "text": {"field": "told", "type": "nominal"},
                },
            },
        ],
    }  # fmt: skip


def _months(drawn: Drawn, is_narrow: bool) -> dict[str, Any]:
    names = list(drawn.series)
    every = max(1, -(-len(drawn.labels) // (3 if is_narrow else 8)))
    shown_labels = [f"{place}" for place in range(len(drawn.labels)) if place % every == 0]
    return {
        "height": 200 if is_narrow else 240,
        "mark": {"type": "bar", "color": ONE} if len(names) == 1 else {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "label", "type": "ordinal", "sort": None,
                  "axis": {"labelExpr": _named(drawn.labels), "labelAngle": 0, "labelPadding": 8, "labelLimit": 0, "values": shown_labels}},
            "y": {"field": "value", "type": "quantitative", "axis": {"labelExpr": _scaled(drawn.language), "tickCount": 5}},
            "color": _color(names),
        },
    }  # fmt: skip


def _scaled(language: Language) -> str:
    """An expression that tells a number shortly, as `formats.short` does."""
    ru = language == "ru"
    told = "format(datum.value, ',.0f')"
    for scale, en, russian in reversed(formats.SCALES):  # so that the largest is asked first
        name = f"\N{NO-BREAK SPACE}{russian}" if ru else en
        scaled = f"format(datum.value / {scale}, '.1~f')"
        if ru:
            scaled = f"replace({scaled}, '.', ',')"
        told = f"abs(datum.value) >= {scale} ? {scaled} + '{name}' : {told}"
    return told


def _list(names: Sequence[str]) -> str:
    """As an expression writes a list of texts."""
    return json.dumps(list(names), ensure_ascii=False)
