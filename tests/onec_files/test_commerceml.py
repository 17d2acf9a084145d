"""Orders and invoices go as CommerceML, one file a document, and the base's answer settles them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.operations.compare import differences
from resources.connector import Refused, SourceError
from tests.onec_files.town import Town, key

ORDER = key("order")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    for name in ("out", "in"):
        (tmp_path / name).mkdir()
    made = Town(tmp_path, options={"commerceml_out": tmp_path / "out", "commerceml_in": tmp_path / "in"})
    made.start()
    yield made
    made.ours.close()


def order(amount: str = "1220.10") -> dict[str, Any]:
    return {
        "Дата": "2026-03-04",
        "Валюта": "RUB",
        "Курс": 1,
        "Сумма": Decimal(amount),
        "Комментарий": "Сделка <17> & Ко",
        "Контрагенты/Контрагент/Ид": key("party"),
        "Контрагенты/Контрагент/Наименование": "Ромашка ООО",
        "Контрагенты/Контрагент/ИНН": "7707083893",
        "Контрагенты/Контрагент/Роль": "Покупатель",
        "Налоги": [{"Наименование": "НДС", "УчтеноВСумме": True, "Сумма": Decimal("203.35")}],
        "Товары": [
            {
                "Ид": key("item"),
                "Наименование": "Стол",
                "БазоваяЕдиница": "шт",
                "БазоваяЕдиница/@Код": "796",
                "СтавкиНалогов": [{"Наименование": "НДС", "Ставка": "20"}],
                "ЦенаЗаЕдиницу": Decimal("610.05"),
                "Количество": Decimal("2.000"),
                "Сумма": Decimal(amount),
            }
        ],
    }


def answered(town: Town, name: str = "orders.xml", *, posted: bool = True) -> None:
    town.base.take_orders(town.folder / "out")
    town.base.answer_orders(town.folder / "in" / name, posted=posted)
    town.settled()


@pytest.mark.parametrize("posted", [True, False])
def test_the_base_understands_an_order_and_its_answer_equals_what_was_meant(town: Town, posted: bool) -> None:
    town.ours.create("order", ORDER, order())
    with pytest.raises(SourceError, match="under way"):
        town.ours.find("order", [ORDER])
    answered(town, posted=posted)
    found = town.ours.find("order", [ORDER])[ORDER]
    assert differences(order(), found) == []
    assert found["Проведен"] == str(posted).lower()


def test_an_order_written_twice_is_the_same_file_and_one_order(town: Town) -> None:
    town.ours.create("order", ORDER, order())
    path = town.folder / "out" / f"order-{ORDER}.xml"
    content = path.read_bytes()
    path.unlink()
    town.now += 3600
    town.reopen().create("order", ORDER, order())
    assert path.read_bytes() == content
    assert town.base.take_orders(town.folder / "out") == 1
    assert town.base.take_orders(town.folder / "out") == 1
    assert list(town.base.orders) == [ORDER]


def test_the_file_is_of_the_schema_its_version_names(town: Town) -> None:
    town.ours.create("order", ORDER, order())
    text = (town.folder / "out" / f"order-{ORDER}.xml").read_text("utf-8-sig")
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    assert 'xmlns="urn:1C.ru:commerceml_205"' in text
    assert 'ВерсияСхемы="2.05"' in text
    assert "<ХозОперация>Заказ товара</ХозОперация>" in text
    assert "Сделка &lt;17&gt; &amp; Ко" in text


def test_a_changed_order_is_not_settled_by_the_answer_to_the_old_one(town: Town) -> None:
    town.ours.create("order", ORDER, order())
    answered(town)
    town.ours.find("order", [ORDER])
    town.ours.update("order", ORDER, {"Сумма": Decimal("1220.20")})
    with pytest.raises(SourceError, match="under way"):
        town.ours.find("order", [ORDER])
    answered(town, "orders2.xml")
    assert town.ours.find("order", [ORDER])[ORDER]["Сумма"] == "1220.20"


def test_an_order_that_two_answers_do_not_name_is_missing(town: Town) -> None:
    town.ours.create("order", ORDER, order())
    for number in range(2):
        (town.folder / "in" / f"{number}.xml").write_text(
            f'<КоммерческаяИнформация ВерсияСхемы="2.{number}"/>'
        )
        town.settled()
        if not number:
            with pytest.raises(SourceError, match="under way"):
                town.ours.find("order", [ORDER])
            with pytest.raises(SourceError, match="the base answered, and not yet for 1 records"):
                town.ours.create("order", key("other"), order())
    assert town.ours.find("order", [ORDER]) == {}


def test_invoices_parties_and_products_go_as_commerceml_where_it_is_the_format(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    town = Town(tmp_path, options={"commerceml_out": tmp_path / "out", "format": "commerceml"})
    town.ours.create("invoice", ORDER, order())
    town.ours.create("counterparty", key("party"), {"Наименование": "Ромашка", "ИНН": "7707083893"})
    town.ours.create("product", key("item"), {"Наименование": "Стол", "БазоваяЕдиница": "шт"})
    texts = {path.name: path.read_text("utf-8-sig") for path in (tmp_path / "out").iterdir()}
    assert "<ХозОперация>Счет на оплату</ХозОперация>" in texts[f"invoice-{ORDER}.xml"]
    assert f"<Ид>{key('party')}</Ид>" in texts[f"counterparty-{key('party')}.xml"]
    assert "<Каталог>" in texts[f"product-{key('item')}.xml"]
    with pytest.raises(Refused, match="CommerceML has none"):
        town.ours.create("realization", ORDER, order())
    town.ours.close()


def test_a_file_of_another_kind_among_the_answers_is_told(town: Town) -> None:
    (town.folder / "in" / "x.xml").write_text("<Message/>")
    town.settled()
    with pytest.raises(SourceError, match=r"x\.xml: it begins with Message and is no CommerceML"):
        town.ours.exchange.take()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"Курс": None}, "needs Курс"),
        ({"Скидка": "1"}, "has no Скидка"),
        ({"Сумма": float("nan")}, "neither text"),
    ],
)
def test_what_commerceml_cannot_hold_is_refused(town: Town, change: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told):
        town.ours.create("order", ORDER, {**order(), **change})
    assert list((town.folder / "out").iterdir()) == []


def test_a_bad_file_among_the_answers_hides_no_answer_and_is_named_where_one_is_missing(town: Town) -> None:
    town.ours.create("order", ORDER, order())
    (town.folder / "in" / "bad.xml").write_text("<Message/>")
    town.settled()
    with pytest.raises(SourceError, match=r"under way .*bad\.xml: it begins with Message") as told:
        town.ours.find("order", [ORDER])
    assert told.value.retriable
    answered(town)
    assert ORDER in town.ours.find("order", [ORDER])
