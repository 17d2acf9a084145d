"""What an accountant reads of a question: words and names, in English and Russian, and no keys of tables."""

from __future__ import annotations

import re
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import pytest

from pipelines.commands import decisions
from pipelines.operations import changes
from pipelines.operations.changes import said_in_both
from resources.language import Language
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, only, reprice, settle
from tests.laws.test_revisions import FOLLOWS, shipped
from tests.laws.town import Town, add_deal

NAMES_OF_OURS = re.compile(r"onec:|[0-9a-f]{8}-[0-9a-f]{4}|_key|->|None|null")


def spaced(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_what_changed_is_told_by_names_with_old_and_new_in_each_language(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        town.portal.change("deal", deal, companyId=23)
        reprice(town, deal, "900.00")
        town.sync()
        (question,) = asked(town)
        told, told_ru = spaced(question["told"]), spaced(question["told_ru"])
        assert told.endswith(
            "the deal says otherwise: counterparty «Ромашка ООО» → «Гранит ООО»; contract another one, «Основной договор» too;"
            " sum 1 000.10 → 900.00 RUB; line 1, Стол: price 1 000.10 → 900.00 RUB, sum 1 000.10 → 900.00 RUB,"
            " VAT 180.35 → 162.30 RUB"
        )
        assert told_ru.endswith(
            "в сделке теперь иначе: контрагент «Ромашка ООО» → «Гранит ООО»; договор другой, тоже «Основной договор»;"
            " сумма 1 000,10 → 900,00 RUB; строка 1, Стол: цена 1 000,10 → 900,00 RUB, сумма 1 000,10 → 900,00 RUB,"
            " НДС 180,35 → 162,30 RUB"
        )
        assert not NAMES_OF_OURS.search(told + told_ru)
        assert not re.search("[A-Za-z]{2}", told_ru.replace("RUB", ""))


def three_shipped(town: Town) -> None:
    town.remap(*FOLLOWS)
    company = next(iter(town.portal.all("company")))
    only(town, company, lines=1)
    for _ in range(2):
        add_deal(town.portal, company, lines=1)
    settle(town)


def test_of_many_questions_each_says_what_its_own_deal_changed(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "AT_ONCE", 2)  # so that they are put into words in two parts
    with towns(three_shipped) as town:
        deals = list(town.portal.all("deal"))[-3:]
        prices = dict(zip(deals, ("900.00", "900.00", "800.00"), strict=True))  # two of them differ alike
        for deal, price in prices.items():
            reprice(town, deal, price)
        town.sync()
        told = {question["deal_id"].partition(":")[2]: spaced(question["told"]) for question in asked(town)}
        assert told.keys() == prices.keys()
        for deal, price in prices.items():
            assert f"the deal says otherwise: sum 1 000.10 → {price} RUB; line 1" in told[deal]


def content(lines: list[dict[str, Any]], **document: Any) -> dict[str, Any]:
    return {"document": {"currency": "RUB", **document}, "lines": lines}


def line(name: str, price: str, quantity: int = 1) -> dict[str, Any]:
    amount = Decimal(price) * quantity
    return {
        "product_key": name,
        "product_name": name,
        "quantity": quantity,
        "price": Decimal(price),
        "amount": amount,
    }


@pytest.mark.parametrize(
    ("language", "told"),
    [
        (
            "en",
            (
                "date 2026-03-10 → 2026-03-20; due day none → 2026-04-01; currency RUB → USD; sum 20.00 RUB → 31.50 USD;"
                " line 1, Стол: gone, 2 × 10.00 = 20.00 RUB; line 1, Лампа: new, 3 × 10.50 = 31.50 USD;"
                " comment «Доставка» → none; other fields"
            ),
        ),
        (
            "ru",
            (
                "дата 10.03.2026 → 20.03.2026; срок оплаты нет → 01.04.2026; валюта RUB → USD; сумма 20,00 RUB → 31,50 USD;"
                " строка 1, Стол: убрана, 2 × 10,00 = 20,00 RUB; строка 1, Лампа: добавлена, 3 × 10,50 = 31,50 USD;"
                " комментарий «Доставка» → нет; другие поля"
            ),
        ),
    ],
)
def test_every_field_is_said_as_people_of_that_language_write_it(language: Language, told: str) -> None:
    old = content([line("Стол", "10.00", 2)], document_date="2026-03-10", amount=20, comment="Доставка")
    new = content([line("Лампа", "10.50", 3)], document_date="2026-03-20", due_on="2026-04-01", amount=Decimal("31.5"),
                  currency="USD")  # fmt: skip
    fields = ["date", "due_on", "currency", "amount", "lines", "comment", "other"]
    assert spaced(said_in_both(fields, old, new)[language == "ru"]) == told


def test_of_many_lines_the_first_are_told_and_the_others_counted() -> None:
    old = content([line(f"Товар {n}", "10.00") for n in range(8)])
    new = content([line(f"Товар {n}", "11.00") for n in range(8)])
    told_en, told_ru = map(spaced, said_in_both(["lines"], old, new))
    assert told_ru.count("строка ") == 5
    assert told_ru.endswith("; и ещё строк: 3")
    assert told_en.endswith("; and 3 more lines")


def test_the_list_is_headed_in_its_language(
    towns: Towns, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        monkeypatch.setattr(decisions, "road", lambda: nullcontext(town.road))
        heads: dict[Language, str] = {"en": "To be decided: 1", "ru": "Ждут решения: 1"}
        for language, head in heads.items():
            decisions.questions_list(language)
            assert head in capsys.readouterr().out
