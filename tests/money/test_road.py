"""Every kind of VAT and discount, and a foreign currency, from a sheet into 1C: to the kopeck, without a variance, once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from resources.warehouse import Warehouse
from tests.laws.town import inn
from tests.money.sheet import RATES, WORDS, Deal, Line, Terms, kopecks, money, reckoned, whole
from tests.whole_road import DEMO, Company, company, environment, rest

MAPPING = Path(__file__).parent / "money.yaml"
HEAD = ("№ сделки", "Дата", "Клиент", "ИНН", "Валюта", "Сумма сделки", "Сумма с НДС", "Скидка сделки", "Скидка сделки %",
        "Товар", "Кол-во", "Цена", "Скидка %", "Скидка", "Ставка НДС", "Цена с НДС")  # fmt: skip
TODAY = date(2026, 3, 16)
LAST_YEAR = date(2025, 12, 22)  # when 20 % was the main rate


@dataclass(frozen=True)
class Case:
    """A deal as its sheet states it. `header`: what stands as its amount, in kopecks; None: nothing."""

    name: str
    deal: Deal
    header: int | None
    currency: str = "RUB"
    on: date = TODAY
    said: dict[str, str] = field(default_factory=dict)  # further cells of its rows
    off: dict[str, str] = field(default_factory=dict)  # absolute discounts of lines


def cases() -> Iterator[Case]:
    for rate in RATES:
        on = LAST_YEAR if rate == 20 else TODAY
        for included in (True, False):
            lines = (Line("1", 3_000, 10_050, rate, included), Line("2", 1_125, 4_444, rate, included))
            deal = Deal(f"vat {rate} {included}", lines, included)
            yield Case(deal.key, deal, whole(deal), on=on)
    mixed = (
        Line("1", 7_000, 1_999, 22, True),
        Line("2", 2_000, 3_333, 10, False),
        Line("3", 1_000, 500, None, True),
    )
    yield Case("mixed terms", Deal("mixed terms", mixed), whole(Deal("", mixed)))
    percent = (Line("1", 3_000, 10_000, 22, True, 7), Line("2", 1_000, 20_000, 10, True, 50))
    yield Case("percent of lines", Deal("percent of lines", percent), whole(Deal("", percent)))
    plain = (
        Line("1", 3_000, 10_000, 22, True),
        Line("2", 7_000, 3_333, 10, True),
        Line("3", 333, 9_999, 0, True),
    )
    sums = whole(Deal("", plain))
    lowered = Deal("amount lowered", plain, True, 10_001)
    yield Case("amount lowered", lowered, sums - 10_001)
    sum_off = Deal("sum off the deal", plain, True, 7_777)
    yield Case("sum off the deal", sum_off, sums - 7_777, said={"Скидка сделки": "77,77"})
    percent_off = Deal("percent off the deal", plain, True, (sums * 10 + 50) // 100)
    yield Case("percent off the deal", percent_off, None, said={"Скидка сделки %": "10"})
    rounded = Deal("rounded up", plain, True, -3)
    yield Case("rounded up", rounded, sums + 3)
    # 3 × 100.00 less 50.00 and 1 × 200.00 less 0.01, said as prices that come to the same.
    absolute = (Line("1", 1_000, 25_000, 22, True), Line("2", 1_000, 19_999, 10, True))
    yield Case(
        "sums off lines",
        Deal("sums off lines", absolute),
        whole(Deal("", absolute)),
        off={"1": "50", "2": "0,01"},
    )
    euro = (Line("1", 3_000, 3_333, 0, True), Line("2", 2_000, 12_345, None, True))
    yield Case("euro", Deal("euro", euro, True, 1_000), whole(Deal("", euro)) - 1_000, currency="EUR")


def cells(case: Case) -> Iterator[list[str]]:
    """The rows of a deal in its sheet; products differ, since a line is known by its product."""
    for line in case.deal.lines:
        price = line.price
        if line.key in case.off:  # before it was taken off
            price += kopecks(Decimal(case.off[line.key].replace(",", ".")))
        row = {
            "№ сделки": case.name, "Дата": case.on.strftime("%d.%m.%Y"), "Клиент": 'ООО "Ромашка"', "ИНН": inn(700),
            "Валюта": case.currency, "Сумма сделки": "" if case.header is None else comma(money(case.header)),
            "Сумма с НДС": "да" if case.deal.included else "нет", "Товар": f"Товар {line.key}",
            "Кол-во": comma(Decimal(line.thousandths).scaleb(-3)), "Цена": comma(money(price)),
            "Скидка %": str(line.percent or ""), "Скидка": case.off.get(line.key, ""),
            "Ставка НДС": "нет" if line.rate is None else str(line.rate), "Цена с НДС": "да" if line.included else "нет",
            **case.said,
        }  # fmt: skip
        yield [row.get(name, "") for name in HEAD]


def comma(value: Decimal) -> str:
    return str(value).replace(".", ",")


@pytest.fixture
def terms() -> str:
    return "included"


@pytest.fixture
def town(terms: str, warehouse: Warehouse, tmp_path: Path) -> Iterator[Company]:
    """The sheet, and a 1C whose mapping asks for these terms of VAT."""
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    shutil.copy(MAPPING, mappings)
    accounting = (DEMO / "onec.yaml").read_text(encoding="utf-8")
    assert accounting.count("vat_terms: included") == 1
    (mappings / "onec.yaml").write_text(
        accounting.replace("vat_terms: included", f"vat_terms: {terms}"), encoding="utf-8"
    )
    arguments = ("--deals", "10", "--no-limits", "--today", TODAY.isoformat())
    with company(warehouse, tmp_path, *arguments, files=False) as found:
        rows = [";".join(HEAD), *(";".join(row) for case in cases() for row in cells(case))]
        (found.drop / "Суммы.csv").write_text("\r\n".join(rows), encoding="utf-8")
        rest(found.drop)
        with environment({"SVERKA_MAPPINGS": str(mappings)}):
            yield found


@pytest.mark.parametrize("terms", ["included", "excluded", "as_sold"])
def test_what_a_sheet_states_1c_holds_and_posts_to_the_kopeck_and_a_second_sync_plans_nothing(
    town: Company, terms: str, warehouse: Warehouse
) -> None:
    first = town.sync()
    assert first.errors == []
    assert town.held() == {}
    assert [law.sentence for law in first.laws if not law.holds] == []
    documents = town.ours()
    for case in cases():
        for kind in ("invoice", "realization"):
            (found,) = documents[f"money:{case.name}", kind]
            agrees(case, found, terms, posted=kind == "realization")
    told = warehouse.rows(
        "select deal_id, measure, reason, sentence from ledger.variance where deal_id is not null"
    )
    assert told == []
    operations = warehouse.rows("select distinct state from ops.operation")
    assert operations == [("verified",)]
    second = town.sync()
    assert (second.planned.quiet, second.carried.written) == (True, 0)


def agrees(case: Case, document: dict[str, Any], terms: str, *, posted: bool) -> None:
    """A document of 1C, held against what integers give."""
    due = reckoned(case.deal, Terms())
    name, rows = case.name, [*document.get("Товары", []), *document.get("Услуги", [])]
    assert document["Posted"] is posted or not posted
    assert kopecks(Decimal(document["СуммаДокумента"])) == sum(line.gross for line in due.values()), name
    includes = {"included": True, "excluded": False}.get(
        terms, all(line.included for line in case.deal.lines)
    )
    assert document["СуммаВключаетНДС"] is includes, name
    assert sum(kopecks(Decimal(row["СуммаНДС"])) for row in rows) == sum(line.vat for line in due.values()), (
        name
    )
    stated = sum(line.gross if includes else line.net for line in due.values())
    assert sum(kopecks(Decimal(row["Сумма"])) for row in rows) == stated, name
    assert {row["СтавкаНДС"] for row in rows} == {WORDS[line.rate] for line in case.deal.lines}, name
    for row in rows:
        exact = (Decimal(row["Цена"]) * Decimal(row["Количество"])).quantize(Decimal("0.01"), "ROUND_HALF_UP")
        assert exact == Decimal(row["Сумма"]), (
            f"{name}: {row['Цена']} × {row['Количество']} is not {row['Сумма']}"
        )
    if case.currency != "RUB":
        assert Decimal(document["КурсВзаиморасчетов"]) > 1
        assert int(document["КратностьВзаиморасчетов"]) == 1


def test_the_rate_its_day_and_its_source_stand_with_the_document_and_a_day_without_one_holds_the_deal(
    town: Company, warehouse: Warehouse
) -> None:
    stale = Case(
        "stale",
        Deal("stale", (Line("1", 1_000, 10_000, 0, True),)),
        10_000,
        "EUR",
        TODAY + timedelta(days=20),
    )
    rows = [";".join(HEAD), *(";".join(row) for row in cells(stale))]
    (town.drop / "Суммы 2.csv").write_text("\r\n".join(rows), encoding="utf-8")
    rest(town.drop)
    town.sync()
    found = warehouse.rows(
        "select rate > 1, rate_units, rate_on, rate_source from documents.document where deal_id = 'money:euro'"
    )
    assert set(found) == {(True, Decimal(1), TODAY, "onec")}
    assert list(town.held()["money:stale"]) == ["rate_known"]
    assert "no exchange rate of EUR holds on 2026-04-05" in town.held()["money:stale"]["rate_known"]
