"""The deal that stands on an order of SAP is the comment that we wrote there; our key beside it is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from resources.warehouse import Warehouse
from tests.targets.town import Town, town

LONG: Final = "Очень длинный номер сделки 2026/03/000017"


def _owned(comment: str) -> tuple[str, str]:
    return (
        "    post: false\n    fields:\n      SalesOrderType",
        f"    post: false\n    owner: {{comment: {comment}}}\n    fields:\n      SalesOrderType",
    )


def _edits(sap: Town) -> list[tuple[Any, ...]]:
    return sap.rows("select deal_id, field, held, found, outcome from ops.edit order by edit_id")


@pytest.mark.parametrize("owner", ["accounting", "crm"])
def test_an_order_that_is_edited_elsewhere_keeps_its_comment(
    warehouse: Warehouse, tmp_path: Path, owner: str
) -> None:
    with town("sap", warehouse, tmp_path, _owned(owner)) as sap:
        for deal in ("17", LONG):
            sap.sell(deal)
        sap.sync(2)
        for deal in ("17", LONG):
            sap.do(do="edit", table="order", key=sap.number(deal), fields={"CustomerGroup": "01"})
        assert [sap.sync().planned.quiet for _ in range(3)] == [True, True, True]
        assert _edits(sap) == []
        held = sap.rows(
            "select comment from ledger.document where kind = 'order' and starts_with(comment, 'crm:')"
        )
        assert {comment for (comment,) in held} == {"crm:sheet:17", f"crm:sheet:{LONG}"[:35]}


def test_a_note_of_an_accountant_is_kept_or_taken_back_as_the_mapping_says(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    with town("sap", warehouse, tmp_path, _owned("crm")) as sap:
        sap.sell("17")
        sap.sync(2)
        note = {"PurchaseOrderByShipToParty": "позвонить"}
        sap.do(do="edit", table="order", key=sap.number("17"), fields=note)
        sap.sync(2)
        assert _edits(sap) == [("sheet:17", "comment", "crm:sheet:17", "позвонить", "written back")]
        assert sap.rows("select comment from ledger.document where number = %s", [sap.number("17")]) == [
            ("crm:sheet:17",)
        ]
        assert sap.sync().planned.quiet
