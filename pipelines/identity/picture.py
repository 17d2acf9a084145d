"""The bars of a score: as text for a terminal, as an SVG for a page or a letter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from pipelines.identity.review import Bar, Explained
from pipelines.identity.review_words import label, word
from resources.language import Language

CELLS = 16  # of a bar in the terminal, for LONGEST bits
LONGEST = 16.0  # bits; what is worth more is as long
ROW, MIDDLE, WIDTH = 26, 600, 900  # of the picture, in pixels
BIT = 13  # pixels
FOR, AGAINST = "#2a7f62", "#b3423a"


def steps(found: Explained, language: Language) -> Iterator[tuple[str, str, float]]:
    """What is compared, what was found, and its bits; first what every pair begins with. What says nothing is left out."""
    if found.weight is None:
        return
    yield word("prior", language), "", found.prior
    for bar in _telling(found.bars):
        yield word(bar.comparison, language), label(bar.label, language), bar.weight


def bar(weight: float) -> str:
    """A bar to the right of the middle for what speaks for one client, to the left for what speaks against it."""
    cells = round(min(abs(weight), LONGEST) / LONGEST * CELLS) or (1 if weight else 0)
    return f"{'':{CELLS}}│{'█' * cells}" if weight > 0 else f"{'░' * cells:>{CELLS}}│"


def svg(found: Explained, language: Language) -> str:
    """A picture of the score: a bar a comparison, green for, red against, the sum below."""
    rows = list(steps(found, language))
    height = ROW * (len(rows) + 4)
    title = f"{found.left.record} – {found.right.record}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
        '<g font-family="sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="{ROW}" font-size="15" font-weight="bold">{escape(title)}</text>',
        f'<text x="12" y="{ROW * 2 - 6}" fill="#555555">{escape(_names(found))}</text>',
        f'<line x1="{MIDDLE}" y1="{ROW * 2}" x2="{MIDDLE}" y2="{height - ROW}" stroke="#999999"/>',
    ]
    for number, (what, said, weight) in enumerate(rows):
        y = ROW * (number + 2)
        width = min(abs(weight), LONGEST) * BIT
        x, colour = (MIDDLE, FOR) if weight > 0 else (MIDDLE - width, AGAINST)
        lines += [
            f'<text x="12" y="{y + 18}">{escape(what)}</text>',
            f'<text x="170" y="{y + 18}" fill="#555555">{escape(said)}</text>',
            f'<rect x="{x:.0f}" y="{y + 5}" width="{width:.0f}" height="{ROW - 9}" fill="{colour}"/>',
            f'<text x="{WIDTH - 12}" y="{y + 18}" text-anchor="end">{weight:+.1f}</text>',
        ]
    total = word("no way", language) if found.weight is None else _total(found, language)
    lines += [f'<text x="12" y="{height - 10}" font-weight="bold">{escape(total)}</text>', "</g>", "</svg>"]
    return "\n".join(lines) + "\n"


def page(found: Explained, language: Language) -> str:
    """The same as a page of its own."""
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f"<title>{escape(found.left.record)} – {escape(found.right.record)}</title></head>\n"
        f"<body>\n{svg(found, language)}</body></html>\n"
    )


def _total(found: Explained, language: Language) -> str:
    return (
        f"{word('in all', language)}: {found.weight or 0:+.1f} {word('bits', language)}, "
        f"{word('probability', language)} {found.probability or 0:.4f} – {word(found.outcome, language)}"
        + (f" ({word(found.rule, language)})" if found.rule else "")
    )


def total(found: Explained, language: Language) -> str:
    return word("no way", language) if found.weight is None else _total(found, language)


def _names(found: Explained) -> str:
    return " – ".join(", ".join(side.values.get("name", ("?",))) for side in (found.left, found.right))


def _telling(bars: Sequence[Bar]) -> list[Bar]:
    return [found for found in bars if abs(found.weight) >= 0.05]
