"""What the plan tells of an update of what accounting changed since our last write: from what it is there to what is written."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from pipelines import sync
from pipelines.commands.plan import show_plan
from tests.laws.conftest import Towns
from tests.laws.one_deal import deal_of, only, reprice, settle
from tests.laws.test_owners import OWNED, held, resell, sold
from tests.laws.town import Done, Town


def steps(town: Town, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What waits to be changed, as a plan tells it before anything is sent, once accounting was read."""
    done = Done()
    town.settle(done)
    town.read(done)
    town.derive(done)
    sync.plan_operations(town.road)
    capsys.readouterr()
    show_plan(town.road, as_json=True)
    found = json.loads(capsys.readouterr().out)["steps"]
    return [step for step in found if step["action"] == "update"]


def told(changes: list[dict[str, str]]) -> list[tuple[str, ...]]:
    return [(change["field"], str(change["old"]), str(change["new"])) for change in changes]


def test_what_is_written_back_is_told_from_what_accounting_made_of_it(
    towns: Towns, capsys: pytest.CaptureFixture[str]
) -> None:
    with sold(towns, *OWNED) as (town, _):
        resell(town, "invoice", "990.00")
        key, _ = held(town, "invoice")
        town.books.change("invoice", key, Date="2026-03-14T00:00:00", Комментарий="по просьбе клиента")
        (step,) = steps(town, capsys)
        assert told(step["changes"]) == [("amount", "990.00", "1000.10"), ("vat_amount", "178.52", "180.35")]
        (line,) = step["lines"]
        assert (line["product"], line["what"]) == ("Стол", "changed")
        assert ("price", "990.00", "1000.10") in [(f, f"{Decimal(o):.2f}", f"{Decimal(n):.2f}")
                                                  for f, o, n in told(line["changes"])]  # fmt: skip
        town.sync()
        _, row = held(town, "invoice")
        assert Decimal(str(row["СуммаДокумента"])) == Decimal("1000.10")
        assert row["Date"] == "2026-03-14T00:00:00", "it was not told, and is not written"


def test_an_update_after_an_edit_is_told_from_what_accounting_holds(
    towns: Towns, capsys: pytest.CaptureFixture[str]
) -> None:
    with sold(towns, *OWNED) as (town, deal):
        key, _ = held(town, "invoice")
        town.books.change("invoice", key, Date="2026-03-14T00:00:00")
        resell(town, "invoice", "990.00")
        reprice(town, deal, "800.00")
        (step,) = steps(town, capsys)
        assert told(step["changes"]) == [("amount", "990.00", "800.00"), ("vat_amount", "178.52", "144.26")]


def test_what_accounting_and_the_deal_changed_alike_is_no_change(
    towns: Towns, capsys: pytest.CaptureFixture[str]
) -> None:
    with towns() as town:
        only(town, "22", lines=1, stage="EXECUTING")
        settle(town)
        town.books.change("invoice", held(town, "invoice")[0], Date="2026-03-20T00:00:00")
        town.portal.change("deal", deal_of(town), closedate="2026-03-20T03:00:00+03:00")
        reprice(town, deal_of(town), "800.00")
        (step,) = steps(town, capsys)
        fields = [field for field, _, _ in told(step["changes"])]
        assert "amount" in fields
        assert "date" not in fields


def test_a_line_that_accounting_added_is_told_as_gone_by_its_name(
    towns: Towns, capsys: pytest.CaptureFixture[str]
) -> None:
    with sold(towns, *OWNED) as (town, _):
        key, row = held(town, "invoice")
        (line,) = row["Товары"]
        lamp = next(
            k
            for k, p in town.books.all("product").items()
            if k != line["Номенклатура_Key"] and not p["IsFolder"]
        )
        more = {**line, "LineNumber": "2", "Номенклатура_Key": lamp}
        town.books.change("invoice", key, Товары=[line, more], СуммаДокумента=Decimal("2000.20"))
        (step,) = steps(town, capsys)
        (gone,) = step["lines"]
        assert (gone["product"], gone["what"]) == (town.books.all("product")[lamp]["Description"], "gone")
        assert told(step["changes"])[0] == ("amount", "2000.20", "1000.10")


def test_a_name_that_is_written_back_is_told_from_what_accounting_calls_it(
    towns: Towns, capsys: pytest.CaptureFixture[str]
) -> None:
    with sold(towns, *OWNED) as (town, _):
        key = next(key for verb, kind, key in town.books.writes if (verb, kind) == ("create", "counterparty"))
        ours = town.books.all("counterparty")[key]["Description"]
        town.books.change("counterparty", key, Description="Переименован")
        (step,) = steps(town, capsys)
        assert told(step["changes"]) == [("name", "Переименован", ours)]
