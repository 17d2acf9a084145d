"""What a person reads of a plan, and of the life of a document, in a terminal of 100 columns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from pipelines import sync
from pipelines.commands.operations import show_edits, show_history
from pipelines.commands.plan import approve_plan, show_plan
from pipelines.commands.session import CONSOLE
from pipelines.operations.difference import difference
from resources.connector import Refused, Written
from tests.laws.conftest import Beginning, Towns
from tests.laws.one_deal import deal_of, only, reprice
from tests.laws.test_revisions import shipped
from tests.laws.town import REWORDINGS, Done, Town, add_deal

COLUMNS = 100
Said = Callable[..., list[str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """What the plan of a town says, line by line, none of them wider than the window."""
    monkeypatch.setattr(CONSOLE, "_width", COLUMNS)

    def read(show: Callable[..., Any], *arguments: Any, **options: Any) -> list[str]:
        capsys.readouterr()
        show(*arguments, **options)
        lines = capsys.readouterr().out.splitlines()
        assert [line for line in lines if len(line) > COLUMNS] == []
        return [line.rstrip() for line in lines]

    return read


def plan(town: Town) -> None:
    """What `sverka plan` does before it shows anything."""
    done = Done()
    town.read(done)
    town.derive(done)
    sync.plan_operations(town.road)


@cache
def one_deal(stage: str, *rewordings: str) -> Beginning:
    """A company whose only deal that calls for anything has two lines: 1 table and 2 mats at 1,000.10."""

    def begin(town: Town) -> None:
        town.remap(*rewordings)
        only(town, "22", stage=stage, lines=2)
        town.sync()
        town.sync()

    return begin


def number_of(town: Town, kind: str) -> str:
    return str(next(iter(town.books.all(kind).values()))["Number"])


def test_a_changed_document_is_told_field_by_field_and_line_by_line_with_old_and_new(
    towns: Towns, said: Said
) -> None:
    with towns(one_deal("EXECUTING")) as town:
        deal = deal_of(town)
        first, second = town.portal.lines(deal)
        town.portal.put_line(deal, first, price="900.00")
        town.portal.drop("deal_line", second)
        town.portal.put_line(deal, town.portal.number(), productId=14, productName="Лампа", price="50.00",
                             quantity=3, taxRate=22, measureName="шт", sort=30)  # fmt: skip
        town.portal.change("deal", deal, closedate="2026-03-20T03:00:00+03:00")
        plan(town)
        lines = said(show_plan, town.road)
        number = number_of(town, "invoice")
        assert "Changed: 1" in lines
        start = next(i for i, line in enumerate(lines) if line.startswith(f"  invoice {number} of"))
        assert "is changed:" in " ".join(lines[start : start + 2])
        told = [line.strip() for line in lines[start:]]
        assert "date: 10.03.2026 → 20.03.2026" in told
        assert "sum: 3 000.30 → 1 050.00" in told
        assert "line 1, Стол: price 1 000.10 → 900.00, sum 1 000.10 → 900.00, VAT 180.35 → 162.30" in told
        assert "line 2, Коврик: gone, 2 × 1 000.10 = 2 000.20" in told
        assert "line 2, Лампа: new, 3 × 50.00 = 150.00" in told
        assert "New: 1" in lines, "the lamp that accounting lacks"
        assert any(line.startswith("product") and "Лампа" in line for line in lines)
        assert any(line.endswith("records are there and stay as they are.") for line in lines)


def test_the_same_in_russian(towns: Towns, said: Said) -> None:
    with towns(one_deal("EXECUTING")) as town:
        deal = deal_of(town)
        town.portal.put_line(deal, next(iter(town.portal.lines(deal))), price="900.00", quantity=2)
        plan(town)
        lines = said(show_plan, town.road, language="ru")
        told = [line.strip() for line in lines]
        assert "Изменяется: 1" in told
        assert any(line.startswith(f"счёт {number_of(town, 'invoice')} от 10.03.2026") for line in told)
        assert "сумма: 3 000.30 → 3 800.20" in told
        assert any(
            line.startswith("строка 1, Стол: количество 1 → 2, цена 1 000.10 → 900.00") for line in told
        )
        assert any(line.startswith("Без изменений: ") for line in told)


def test_a_correction_is_told_by_what_it_will_say(towns: Towns, said: Said) -> None:
    with towns(one_deal("WON", "follows", "follows_read", "corrected")) as town:
        deal = deal_of(town)
        town.portal.put_line(deal, next(iter(town.portal.lines(deal))), price="900.00")
        plan(town)
        told = [line.strip() for line in said(show_plan, town.road)]
        base = number_of(town, "realization")
        text = " ".join(told)
        assert f"correction to {base} of" in text
        assert "-100.10 RUB" in text
        assert "line 1, Стол: price 1 000.10 → 900.00, sum 1 000.10 → 900.00, VAT 180.35 → 162.30" in told
        assert not any(line.startswith("line 2, Коврик") for line in told), "what stays is not told"


def test_what_is_held_is_told_with_its_reason_in_both_languages(towns: Towns, said: Said) -> None:
    with towns(one_deal("EXECUTING")) as town:
        held = add_deal(town.portal, "23", stage="ODD")
        plan(town)
        for language, words in (("en", "Held: 1 deals"), ("ru", "Удержано сделок: 1")):
            lines = said(show_plan, town.road, language=language)
            start = lines.index(words)
            assert lines[start + 1].startswith(f"bitrix24:{held}")
            reason = town.warehouse.scalar(
                f"select {'reason_ru' if language == 'ru' else 'reason'} from documents.held where deal_id = %s",
                [f"bitrix24:{held}"],
            )
            assert reason[:40] in " ".join(line.strip() for line in lines[start + 2 :])


def test_an_operation_that_is_held_is_told_why_in_russian(towns: Towns, said: Said) -> None:
    with towns(one_deal("EXECUTING")) as town:
        deal = deal_of(town)
        update: Callable[..., Written] = town.books.update

        def overtaken(kind: str, key: str, body: dict[str, Any], version: str | None = None) -> Written:
            town.books.change(kind, key, Комментарий="исправил бухгалтер")
            return update(kind, key, body, version)

        town.books.update = overtaken  # type: ignore[method-assign]
        town.portal.put_line(deal, next(iter(town.portal.lines(deal))), price="900.00")
        town.sync()
        del town.books.update
        lines = said(show_plan, town.road, language="ru")
        told = " ".join(line.strip() for line in lines[lines.index("Удержано сделок: 1") + 2 :])
        assert "в onec запись (счёт) изменили раньше, чем пришло наше изменение, и оно не сделано: " in told
        assert "в учёте исправил бухгалтер" in told
        assert "Приведите одно к другому, там или в CRM" in told
        assert not re.search("meant|found|somebody|invoice", told)
        english = " ".join(line.strip() for line in said(show_plan, town.road))
        assert "somebody changed this invoice in onec before our change came" in english
        history = " ".join(
            line.strip() for line in said(show_history, town.warehouse, "onec", f"bitrix24:{deal}", "ru")
        )
        assert "изменили раньше" in history


def test_a_refusal_is_told_as_one_of_accounting(towns: Towns, said: Said) -> None:
    with towns(one_deal("EXECUTING")) as town:
        deal = deal_of(town)

        def refused(*_: Any) -> Written:
            raise Refused("onec: счёт не заполнен; give user robot the right to write it", code="20")

        town.books.update = refused  # type: ignore[method-assign]
        town.portal.put_line(deal, next(iter(town.portal.lines(deal))), price="900.00")
        town.sync()
        del town.books.update
        told = " ".join(line.strip() for line in said(show_plan, town.road, language="ru"))
        assert "учёт отказал: onec: счёт не заполнен; дайте пользователю robot право на запись" in told
        english = " ".join(line.strip() for line in said(show_plan, town.road))
        assert (
            "accounting refused it: onec: счёт не заполнен; give user robot the right to write it" in english
        )


def test_a_reworded_mapping_is_told_by_the_vendors_own_fields(towns: Towns, said: Said) -> None:
    with towns(one_deal("EXECUTING")) as town:
        town.remap("vat")
        plan(town)
        assert any("rows" not in line for line in said(show_plan, town.road))


def test_new_documents_stand_in_a_table_with_their_posting(towns: Towns, said: Said) -> None:
    with towns() as town:
        plan(town)
        lines = said(show_plan, town.road)
        assert any(line.startswith("realization, posted") for line in lines)
        assert not any(line.startswith("post ") for line in lines)


def test_a_program_gets_the_same_as_json(towns: Towns, capsys: pytest.CaptureFixture[str]) -> None:
    with towns(one_deal("EXECUTING")) as town:
        deal = deal_of(town)
        town.portal.put_line(deal, next(iter(town.portal.lines(deal))), price="900.00")
        plan(town)
        capsys.readouterr()
        show_plan(town.road, as_json=True)
        told = json.loads(capsys.readouterr().out)
        (step,) = told["steps"]
        assert (step["action"], step["kind"], step["subject"]) == ("update", "invoice", f"bitrix24:{deal}")
        assert {"field": "amount", "old": "3000.30", "new": "2900.20"} in step["changes"]
        (line,) = step["lines"]
        assert (line["number"], line["product"], line["what"]) == (1, "Стол", "changed")
        assert {"field": "price", "old": "1000.10", "new": "900.00"} in line["changes"]
        assert told["held"] == []
        assert told["unread"] == []


def test_the_life_of_a_document_is_told_step_by_step(towns: Towns, said: Said) -> None:
    with towns(one_deal("WON", "owned_invoice", "follows", "follows_read", "corrected")) as town:
        deal = f"bitrix24:{deal_of(town)}"
        key = next(iter(town.books.all("invoice")))
        town.books.change("invoice", key, Date="2026-03-14T00:00:00")
        town.sync()
        town.sync()
        town.portal.put_line(deal_of(town), next(iter(town.portal.lines(deal_of(town)))), price="900.00")
        town.sync()
        lines = said(show_history, town.warehouse, "onec", deal)
        text = "\n".join(lines)
        for state in ("planned", "approved", "sent", "confirmed", "verified"):
            assert state in text
        assert "invoice  edit  accepted  accounting" in text
        assert "date: 10.03.2026 → 14.03.2026" in text
        assert "realization  decision  corrected  policy" in text
        assert "correction  create  verified  carry" in text
        assert text.index("edit  accepted") < text.index("decision  corrected")
        russian = "\n".join(said(show_history, town.warehouse, "onec", deal, "ru"))
        assert "счёт  изменено в учёте  принято" in russian
        assert "прочитано обратно, совпадает" in russian
        assert said(show_history, town.warehouse, "onec", "bitrix24:no")[0].startswith(
            "Nothing was ever planned"
        )
        recent = "\n".join(said(show_edits, town.warehouse))
        assert "Changed in accounting within 7 days: 1" in recent
        assert "date: 10.03.2026 → 14.03.2026: accepted" in recent


def test_what_is_planned_or_changed_after_it_was_shown_is_shown_and_not_approved(
    towns: Towns, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REWORDINGS, "manual", ("onec.yaml", "approval: auto", "approval: manual"))
    with shipped(towns, "updated") as (town, deal):
        town.remap("manual")
        town.sync()
        unchanged = add_deal(town.portal, "21", lines=1)
        changed = add_deal(town.portal, "21", lines=1)
        reprice(town, deal, "900.00")
        town.sync(write=False)
        shown = show_plan(town.road, whole=True)
        # Another process reads and plans meanwhile.
        new = add_deal(town.portal, "21", lines=3, price="99999.00")
        reprice(town, changed, "99998.00")
        town.sync(write=False)
        told = " ".join(line.strip() for line in said(approve_plan, town.road, shown, "Анна"))
        assert "approved by Анна" in told
        assert "planned or changed while this was shown" in told
        assert (f"bitrix24:{new}" in told, f"bitrix24:{changed}" in told) == (True, True)
        assert (f"bitrix24:{unchanged}" in told, f"bitrix24:{deal}," in told) == (False, False)
        assert {
            (step.subject, step.state)
            for step in difference(town.warehouse, town.road.accounting).steps
            if step.kind in ("invoice", "realization") and step.action in ("create", "update")
        } == {
            (f"bitrix24:{deal}", "approved"),
            (f"bitrix24:{unchanged}", "approved"),
            (f"bitrix24:{changed}", "planned"),
            (f"bitrix24:{new}", "planned"),
        }
        shown = show_plan(town.road, whole=True)
        assert "Утверждено операций" in said(approve_plan, town.road, shown, "Анна", language="ru")[0]
        assert {s.state for s in difference(town.warehouse, town.road.accounting).steps} == {"approved"}
