"""`sverka plan`: what would be written, as a difference that a person reads, before anything is."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from mappings.words import field_word
from pipelines.commands import show
from pipelines.commands.session import CONSOLE
from pipelines.commands.words import KINDS
from pipelines.operations.approve import approve_shown
from pipelines.operations.breaker import open_breakers
from pipelines.operations.difference import Change, Difference, LineChange, Step, difference
from pipelines.sync import Road
from resources.language import Language

MAX_SHOWN: Final = 40  # of each part, unless the whole is asked for
INDENT: Final = "    "
MONEY: Final = ("amount", "price", "vat_amount")
ARROW: Final = "→"

WORDS: Final = {
    "nothing": ("Nothing is to be written into {}.", "Записывать в {} нечего."),
    "changed": ("Changed: {}", "Изменяется: {}"),
    "new": ("New: {}", "Новое: {}"),
    "held": ("Held: {} deals", "Удержано сделок: {}"),
    "none_held": ("No deal is held.", "Удержанных сделок нет."),
    "what": ("what", "что"),
    "about": ("about", "основание"),
    "client": ("client", "клиент"),
    "date": ("date", "дата"),
    "sum": ("sum", "сумма"),
    "lines": ("lines", "строк"),
    "deal": ("deal", "сделка"),
    "why": ("why", "почему"),
    "of": ("of", "от"),
    "line": ("line", "строка"),
    "new_line": ("new", "добавлена"),
    "gone_line": ("gone", "убрана"),
    "to": ("to", "к"),
    "posted": ("posted", "с проведением"),
    "post": ("is posted", "проводится"),
    "unpost": ("is taken back to a draft", "проведение отменяется"),
    "update": ("is changed", "изменяется"),
    "update_posted": (
        "is unposted, changed and posted again",
        "проведение отменяется, документ изменяется и проводится снова",
    ),
    "says": ("says", "содержит"),
    "quantity": ("quantity", "количество"),
    "price": ("price", "цена"),
    "vat": ("VAT rate", "ставка НДС"),
    "vat_amount": ("VAT", "НДС"),
    "nothing_yet": ("none", "нет"),
    "more": (
        "… and {} more: sverka plan --whole shows all",
        "… и ещё {}: все покажет sverka plan --whole --language ru",
    ),
    "wait": (
        "{} of these wait for approval: sverka plan --approve --by NAME",
        "Ждут утверждения: {}; утвердить: sverka plan --approve --by ИМЯ",
    ),
    "approved": (
        "{} operations approved by {}; the next sync carries them",
        "Утверждено операций: {}, кем: {}; их запишет следующая синхронизация",
    ),
    "not_shown": (
        "{} operations were planned or changed while this was shown. They are not approved; these are they:",
        "Пока план выводился, появились или изменились операции: {}. Они не утверждены; вот они:",
    ),
    "asked": (
        "{} documents wait for a person's answer: sverka questions list",
        "Ждут решения: {}; список: sverka questions list",
    ),
    "unchanged": ("{} records are there and stay as they are.", "Без изменений: {}."),
}


def show_plan(
    road: Road,
    *,
    whole: bool = False,
    language: Language = "en",
    as_json: bool = False,
    unread: Sequence[str] = (),
) -> Difference:
    """What waits to be sent: changed records with old and new, new ones, held deals with the reason; the rest counted.

    `unread`: what could not be read before; it stands in the JSON only. What was shown is given, for `approve_plan`.
    """
    found = difference(road.warehouse, road.accounting)
    if as_json:
        told = {
            **asdict(found),
            "unread": list(unread),
            "not_sent_to": [b.sentence() for b in open_breakers(road.warehouse)],
        }
        del told["waiting"]
        print(json.dumps(told, ensure_ascii=False, indent=2, default=_plain))
        return found
    _Page(found, language, None if whole else MAX_SHOWN).show()
    for breaker in open_breakers(road.warehouse):
        CONSOLE.print(breaker.sentence(language), style="red", markup=False)
    return found


def approve_plan(road: Road, shown: Difference, by: str, *, language: Language = "en") -> None:
    """Let go what was shown and is still the same. What was planned or changed since is shown, and waits."""
    with road.warehouse.transaction() as conn:
        approved = approve_shown(conn, road.accounting, shown.waiting, by)
    now = difference(road.warehouse, road.accounting)
    left = replace(now, steps=[step for step in now.steps if step.state == "planned"])
    page = _Page(left, language, None)
    CONSOLE.print(page.w("approved", show.number(approved), by), markup=False)
    if left.steps:
        CONSOLE.print("")
        CONSOLE.print(page.w("not_shown", show.number(len(left.steps))), style="yellow", markup=False)
        page.show_steps()


class _Page:
    def __init__(self, found: Difference, language: Language, limit: int | None) -> None:
        self.found, self.language, self.limit = found, language, limit

    def w(self, name: str, *values: str) -> str:
        return WORDS[name][self.language == "ru"].format(*values)

    def show(self) -> None:
        found = self.found
        if not found.steps:
            CONSOLE.print(self.w("nothing", found.target), markup=False)
        self._changed(found.changed)
        self._new(found.new)
        self._held()
        self._wait()
        if found.asked:
            CONSOLE.print(self.w("asked", show.number(found.asked)), markup=False)
        CONSOLE.print(self.w("unchanged", show.number(found.unchanged)))

    def show_steps(self) -> None:
        self._changed(self.found.changed)
        self._new(self.found.new)
        self._wait()

    def _wait(self) -> None:
        waiting = sum(step.state == "planned" for step in self.found.steps)
        if waiting:
            CONSOLE.print(self.w("wait", show.number(waiting)), markup=False)

    def _changed(self, steps: Sequence[Step]) -> None:
        if not steps:
            return
        CONSOLE.print(self.w("changed", show.number(len(steps))), style="bold")
        for step in steps[: self.limit]:
            self._line(self._head(step))
            for text in self.told(step):
                self._line(text, INDENT, style="dim")
        self._more(len(steps))

    def _new(self, steps: Sequence[Step]) -> None:
        if not steps:
            return
        heads = [self.w(name) for name in ("what", "about", "client", "date", "lines", "sum")]
        made = show.table(self.w("new", show.number(len(steps))), *heads, right=(heads[4], heads[5]))
        for step in steps[: self.limit]:
            master = not step.lines_in_all and step.day is None
            show.row(
                made,
                self.kind(step) + (f", {self.w('posted')}" if step.posted else ""),
                step.subject,
                step.name,
                self._day(step.day),
                "" if master else str(step.lines_in_all),
                "" if step.amount is None else f"{show.money(step.amount)} {step.currency}",
            )
        CONSOLE.print(made)
        self._more(len(steps))

    def _held(self) -> None:
        held = self.found.held
        if not held:
            CONSOLE.print(self.w("none_held"))
            return
        rows = [
            (one.deal, one.client, "" if one.amount is None else f"{show.money(one.amount)} {one.currency}".rstrip(),
             one.reason_ru if self.language == "ru" else one.reason)
            for one in held[: self.limit]
        ]  # fmt: skip
        heads = tuple(self.w(name) for name in ("deal", "client", "sum", "why"))
        show.sentences(self.w("held", show.number(len(held))), heads, rows, right=(heads[2],))
        self._more(len(held))

    def _head(self, step: Step) -> str:
        if step.action == "create":
            does = self.w("says")
        elif step.action == "update" and step.posted:
            does = self.w("update_posted")
        else:
            does = self.w(step.action)
        number = f" {step.number}" if step.number else ""
        day = f" {self.w('of')} {self._day(step.day)}" if step.day else ""
        base = f" {self.w('to')} {step.base}" if step.base else ""
        amount = "" if step.amount is None else f", {show.money(step.amount)} {step.currency}"
        about = ", ".join(filter(None, (step.subject, step.name)))
        return f"{self.kind(step)}{number}{base}{day}{amount} ({about}) {does}" + (
            ":" if step.changes or step.lines else ""
        )

    def told(self, step: Step) -> Iterator[str]:
        """A line a field of the header that differs, then a line a line."""
        for change in step.changes:
            yield f"{self.field(change.field)}: {self.change(change)}"
        for line in step.lines:
            yield f"{self.w('line')} {line.number}, {line.product}: {self.line(line)}"

    def line(self, line: LineChange) -> str:
        if line.what == "changed":
            return ", ".join(f"{self.field(c.field)} {self.change(c)}" for c in line.changes)
        side = {c.field: self.value(c.field, c.new if line.what == "new" else c.old) for c in line.changes}
        told = f"{side['quantity']} × {side['price']} = {side['amount']}"
        return f"{self.w('new_line' if line.what == 'new' else 'gone_line')}, {told}"

    def change(self, change: Change) -> str:
        return f"{self.value(change.field, change.old)} {ARROW} {self.value(change.field, change.new)}"

    def field(self, name: str) -> str:
        return WORDS[name][self.language == "ru"] if name in ("quantity", "price", "vat", "vat_amount") else (
            field_word(name, self.language)
        )  # fmt: skip

    def value(self, name: str, value: Any) -> str:
        """Money with two digits at least, quantities without idle zeros, days as people write them."""
        if value is None or value == "":
            return self.w("nothing_yet")
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            number = Decimal(value)
            if name in MONEY and number == number.quantize(Decimal("0.01")):
                return show.money(number)
            return f"{number.normalize():,f}".replace(",", " ")
        if name in ("date", "due_on") and len(str(value)) == 10:
            return self._day(date.fromisoformat(str(value)))
        return str(value)

    def kind(self, step: Step) -> str:
        return KINDS.get(step.kind, (step.kind, step.kind))[self.language == "ru"]

    def _day(self, day: date | None) -> str:
        return f"{day:%d.%m.%Y}" if day else ""

    def _line(self, text: str, indent: str = "  ", style: str | None = None) -> None:
        filled = textwrap.fill(
            text,
            CONSOLE.width,
            initial_indent=indent,
            subsequent_indent=indent + "  ",
            break_on_hyphens=False,
        )
        CONSOLE.print(filled, style=style, markup=False, soft_wrap=True)

    def _more(self, count: int) -> None:
        if self.limit is not None and count > self.limit:
            CONSOLE.print(self.w("more", show.number(count - self.limit)), style="dim", markup=False)
        CONSOLE.print("")


def _plain(value: Any) -> str:
    """Numbers as texts with two digits at least and no idle zeros, days as ISO."""
    if isinstance(value, Decimal):
        bare = value.normalize()
        exponent = bare.as_tuple().exponent
        return f"{bare if isinstance(exponent, int) and exponent < -2 else bare.quantize(Decimal('0.01')):f}"
    return value.isoformat() if isinstance(value, date) else str(value)
