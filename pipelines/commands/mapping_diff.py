"""`sverka mappings diff`: what changed mapping files would touch, before they are deployed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from mappings.difference import RuleChange
from pipelines.commands import show
from pipelines.commands.plan import ARROW, INDENT, MAX_SHOWN
from pipelines.commands.session import CONSOLE, database
from pipelines.commands.words import KINDS
from pipelines.company import company_mappings, mappings_folder
from pipelines.rehearsal import Follows, Foretold, Touched, deployed, foretell, proposed
from resources.language import Language

WORDS: Final = {
    "none": (
        "No rule differs from those that are deployed.",
        "Правила не отличаются от действующих.",
    ),
    "undeployed": (
        "Nothing is deployed yet: the first sync deploys the mapping files.",
        "Правила ещё не введены в действие: это сделает первая синхронизация.",
    ),
    "rules": ("Rules that differ: {}", "Отличается правил: {}"),
    "new": ("new", "новое"),
    "changed": ("changed", "изменено"),
    "gone": ("gone", "удалено"),
    "file": ("(the whole file)", "(весь файл)"),
    "deals": (
        "Deals touched: {} ({} past, {} open)",
        "Затронуто сделок: {} (завершённых {}, открытых {})",
    ),
    "no_deals": ("No document of any deal is touched.", "Документы сделок не затронуты."),
    "documents": (
        "Documents: {} appear, {} vanish, {} change, {} only in how they are written",
        "Документы: появится {}, исчезнет {}, изменится {}, только по форме записи {}",
    ),
    "posted": (
        "Posted already: {}. None of them is rewritten silently: {}",
        "Уже проведено: {}. Ни один не переписывается молча: {}",
    ),
    "rows": ("Rows that come out otherwise: {}", "Изменится строк: {}"),
    "held": ("Deals newly held: {}", "Вновь удержано сделок: {}"),
    "released": ("Deals held no more: {}: {}", "Больше не удерживается сделок: {}: {}"),
    "listed": ("Documents touched: {}", "Затронутые документы: {}"),
    "deal": ("deal", "сделка"),
    "what": ("document", "документ"),
    "date": ("date", "дата"),
    "sum": ("sum", "сумма"),
    "state": ("state", "состояние"),
    "follows": ("what follows", "что будет"),
    "why": ("why", "почему"),
    "past": ("past", "завершена"),
    "broken": (
        "The gate would stop the load: {}",
        "Проверки остановят загрузку: {}",
    ),
    "more": (
        "… and {} more: sverka mappings diff --whole shows all",
        "… и ещё {}: все покажет sverka mappings diff --whole --language ru",
    ),
    "left_nothing": (
        "This was tried out in one transaction and taken back; nothing is deployed.",
        "Всё это проверено в одной транзакции и отменено; в действие ничего не введено.",
    ),
}

BECAME: Final = {
    "appears": ("appears", "появляется"),
    "vanishes": ("vanishes", "исчезает"),
    "changes": ("changes", "изменяется"),
    "same": ("written otherwise", "записывается иначе"),
}
STATES: Final = {
    "unsent": ("not sent", "не отправлен"),
    "draft": ("draft", "не проведён"),
    "posted": ("posted", "проведён"),
    "paid": ("paid", "оплачен"),
    "closed": ("in a closed period", "в закрытом периоде"),
}
FOLLOWS: Final[Mapping[Follows, tuple[str, str]]] = {
    "write": ("is to be written", "будет записан"),
    "held": ("is held", "удерживается"),
    "dropped": ("is not written", "не записывается"),
    "update": ("is updated", "обновляется"),
    "correction": ("stays; a correction follows", "остаётся; следует корректировка"),
    "reversal": ("stays; a return follows", "остаётся; следует возврат"),
    "question": ("stays; a person is asked", "остаётся; решает человек"),
    "left": ("stays as it is", "остаётся как есть"),
}
WHAT: Final = {"new": "+", "changed": "~", "gone": "-"}


def mappings_diff(
    path: Path | None, *, whole: bool = False, language: Language = "en", as_json: bool = False
) -> int:
    """Show what the mapping files at `path` would touch. Raises MappingError where they are wrong."""
    company = mappings_folder()
    new = company_mappings() if path is None else proposed(path, company)
    with database() as warehouse:
        if not warehouse.scalar("select exists (select from ops.setting)"):
            CONSOLE.print(WORDS["undeployed"][language == "ru"], markup=False)
            return 1
        found = foretell(warehouse, deployed(warehouse, company), new)
    if as_json:
        print(json.dumps(asdict(found), ensure_ascii=False, indent=2, default=_plain))
    else:
        _Page(found, language, None if whole else MAX_SHOWN).show()
    return 1 if found.broken else 0


class _Page:
    def __init__(self, found: Foretold, language: Language, limit: int | None) -> None:
        self.found, self.second, self.limit = found, language == "ru", limit

    def w(self, name: str, *values: object) -> str:
        told = (show.number(v) if isinstance(v, int) else v for v in values)
        return WORDS[name][self.second].format(*told)

    def show(self) -> None:
        found = self.found
        if not found.rules:
            self._say(self.w("none"))
            return
        self._say(self.w("rules", len(found.rules)), style="bold")
        for rule in found.rules[: self.limit]:
            self._rule(rule)
        self._more(len(found.rules))
        if found.broken:
            self._say(self.w("broken", found.broken), style="red")
            return
        self._counts(found.documents)
        self._documents(found.documents)
        self._held()
        self._say(self.w("left_nothing"), style="dim")

    def _rule(self, rule: RuleChange) -> None:
        name = rule.rule or self.w("file")
        self._say(f"  {WHAT[rule.what]} {rule.system}: {name} ({self.w(rule.what)})")
        told = f" {ARROW} ".join(filter(None, (rule.old, rule.new)))
        if told:
            self._say(f"{INDENT}{told}", style="dim")

    def _counts(self, documents: Sequence[Touched]) -> None:
        if self.found.rows:
            rows = ", ".join(f"{name} {show.number(count)}" for name, count in self.found.rows.items())
            self._say(self.w("rows", rows))
        if not documents:
            self._say(self.w("no_deals"))
            return
        past = sum(self.found.deals.values())
        deals = len(self.found.deals)
        self._say(self.w("deals", deals, past, deals - past))
        became = Counter(one.became for one in documents)
        self._say(self.w("documents", *(became[name] for name in ("appears", "vanishes", "changes", "same"))))
        if self.found.posted:
            follows = Counter(one.follows for one in self.found.posted)
            told = "; ".join(
                f"{FOLLOWS[name][self.second]}: {show.number(follows[name])}"
                for name in FOLLOWS
                if follows[name]
            )
            self._say(self.w("posted", len(self.found.posted), told))

    def _documents(self, documents: Sequence[Touched]) -> None:
        if not documents:
            return
        heads = [self.w(name) for name in ("deal", "what", "date", "sum", "state", "follows")]
        made = show.table(self.w("listed", len(documents)), *heads, right=(heads[3],))
        for one in documents[: self.limit]:
            kind = KINDS.get(one.kind, (one.kind, one.kind))[self.second]
            follows = FOLLOWS[one.follows][self.second]
            why = one.why_ru if self.second else one.why
            show.row(
                made,
                f"{one.deal} ({self.w('past')})" if one.is_past else one.deal,
                f"{kind}: {BECAME[one.became][self.second]}",
                f"{one.day:%d.%m.%Y}" if one.day else "",
                _sums(one),
                STATES[one.state][self.second],
                f"{follows}: {why}" if why else follows,
            )
        CONSOLE.print(made)
        self._more(len(documents))

    def _held(self) -> None:
        found = self.found
        if found.held:
            rows = [(one.deal, one.why_ru if self.second else one.why) for one in found.held]
            heads = (self.w("deal"), self.w("why"))
            show.sentences(self.w("held", len(rows)), heads, rows[: self.limit])
            self._more(len(rows))
        if found.released:
            shown = ", ".join(found.released[: self.limit])
            self._say(self.w("released", len(found.released), shown))
            self._more(len(found.released))

    def _more(self, count: int) -> None:
        if self.limit is not None and count > self.limit:
            self._say(self.w("more", count - self.limit), style="dim")

    def _say(self, text: str, style: str | None = None) -> None:
        CONSOLE.print(text, style=style, markup=False, soft_wrap=True)


def _sums(one: Touched) -> str:
    """Before and after, where they differ."""
    sums = list(dict.fromkeys(show.money(value) for value in (one.before, one.after) if value is not None))
    return f"{f' {ARROW} '.join(sums)} {one.currency}" if sums else ""


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date) else str(value)
