"""What SAP bills of our orders: what is missing, and what does not count, is told with its whole sum and where to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from resources.warehouse import Warehouse
from tests.targets.town import Town, town

SUM = Decimal("1000.10")


@pytest.fixture
def sap(warehouse: Warehouse, tmp_path: Path) -> Iterator[Town]:
    with town("sap", warehouse, tmp_path) as found:
        yield found


def _realized(sap: Town, deal: str) -> list[tuple[str, Decimal, str, str]]:
    return [
        (reason, amount, sentence, sentence_ru)
        for measure, reason, amount, sentence, sentence_ru in sap.variances(deal)
        if measure == "realized"
    ]


def _every_law_holds(sap: Town) -> None:
    assert [law.sentence for law in sap.sync(2).laws if not law.holds] == []


def test_what_is_not_billed_is_to_be_billed_in_sap(sap: Town) -> None:
    sap.sell("17")
    sap.sync()
    order = sap.number("17")
    ((reason, amount, sentence, sentence_ru),) = _realized(sap, "17")
    assert (reason, amount) == ("timing", SUM)
    assert sentence == f"not billed yet; SAP S/4HANA makes its own bills: bill order {order} there"
    assert sentence_ru == (
        f"фактуры ещё нет; её выставляют в SAP S/4HANA: выставьте там фактуру по заказу {order}"
    )
    sap.do(do="bill", document=order, date="2026-03-16")
    _every_law_holds(sap)
    assert sap.variances("17") == []


def test_what_has_no_order_yet_is_not_said_to_be_billed(sap: Town) -> None:
    sap.sandbox.control("faults", {"where": "sap", "kind": "http_500", "match": "$batch", "times": 99})
    sap.sell("17")
    sap.sync()
    ((reason, amount, sentence, sentence_ru),) = _realized(sap, "17")
    assert (reason, amount) == ("timing", SUM)
    assert "there is no order of it in SAP S/4HANA: once there is, bill it there" in sentence
    assert "заказа в SAP S/4HANA тоже нет" in sentence_ru
