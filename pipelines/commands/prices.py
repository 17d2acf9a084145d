"""`sverka variance prices`: products whose price in the CRM is not their price in accounting, and since which day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipelines.commands import show
from pipelines.commands.session import CONSOLE, road
from pipelines.papers.codes import value
from resources.language import Language

_WORDS: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "none": "No price of the CRM is another than accounting's.",
        "title": "Prices that drift apart",
        "since": "since", "ever": "as long as prices are known", "owner": "owner", "sentence": "what to do",
        "more": "… and {} more: sverka variance prices --limit NUMBER",
    },
    "ru": {
        "none": "Цены в CRM и в учёте не расходятся.",
        "title": "Расхождение цен",
        "since": "с", "ever": "за всё время, что цены известны", "owner": "кто решает", "sentence": "что делать",
        "more": "… и ещё {}: sverka variance prices --limit ЧИСЛО --language ru",
    },
}  # fmt: skip


def variance_prices(language: Language, *, limit: int) -> int:
    words = _WORDS[language]
    with road() as found:
        rows = found.warehouse.rows(
            "select since, owner, sentence_en, sentence_ru, count(*) over () from ledger.price_drift"
            " order by since desc nulls last, drift_key limit %s",
            [limit],
        )
    if not rows:
        CONSOLE.print(words["none"])
        return 0
    count = rows[0][4]
    told = [
        (
            f"{since:%d.%m.%Y}" if since else words["ever"],
            value(owner, language),
            ru if language == "ru" else en,
        )
        for since, owner, en, ru, _ in rows
    ]
    heads = [words[name] for name in ("since", "owner", "sentence")]
    show.sentences(f"{words['title']}: {show.number(count)}", heads, told)
    if count > len(rows):
        CONSOLE.print(words["more"].format(show.number(count - len(rows))), style="dim", markup=False)
    return 0
