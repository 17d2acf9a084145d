"""Bitrix24: a row with something odd in it is named by its number, and costs the others nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resources.connector import Page
from resources.crm.bitrix24.entities import LISTINGS
from resources.crm.bitrix24.lists import records_of
from resources.crm.bitrix24.portal import Outcome
from tests.small_portal import SmallPortal, everything, opened


def changed(small: SmallPortal, row: dict[str, Any]) -> Page:
    """The page of deals of which the second is this row."""
    rows = [small.deals[0], row, small.deals[2]]
    small.errors.append(
        lambda method, params: (
            {"result": {"items": rows}}
            if method == "crm.item.list" and params["order"] == {"id": "ASC"}
            else None
        )
    )
    (page,) = everything(opened(small), "deal")
    return page


@pytest.mark.parametrize("odd", [5, [], {}, False, True, None, "", "вчера", "2026-11-23T00:00:00"])
def test_a_row_with_an_odd_stamp_is_a_record_without_one(odd: Any) -> None:
    small = SmallPortal(3)
    row = {**small.deals[1], "updatedTime": odd}
    page = changed(small, row)
    assert list(page.rejects) == []
    assert [record.source_id for record in page.records] == ["1", "2", "3"]
    assert json.loads(page.records[1].payload) == row, "what came is kept as it came"
    assert page.records[1].modified_at is None
    assert page.records[2].modified_at is not None


@pytest.mark.parametrize("number", ["7", 7])
def test_an_id_is_read_however_it_is_written(number: Any) -> None:
    small = SmallPortal(3)
    page = changed(small, {**small.deals[1], "id": number, "updatedTime": []})
    assert [record.source_id for record in page.records] == ["1", "7", "3"]


@pytest.mark.parametrize("number", [None, [], {}, "семь", 7.5])
def test_a_row_without_a_usable_id_is_told_by_its_place(number: Any) -> None:
    small = SmallPortal(3)
    page = changed(small, {**small.deals[1], "id": number, "updatedTime": []})
    assert [record.source_id for record in page.records] == ["1", "3"]
    (reject,) = page.rejects
    assert reject.place == "b24, crm.item.list, row 2 of its page"
    assert reject.parent_id is None


def test_a_row_whose_owner_cannot_be_read_is_told_by_its_number() -> None:
    small = SmallPortal(2, lambda deal: 1)
    small.lines[1]["ownerId"] = {"id": 2}
    small.errors.append(
        lambda method, params: (
            {"result": {"productRows": small.lines}} if method == "crm.item.productrow.list" else None
        )
    )
    crm = opened(small)
    rows = rows_and_rejects(crm.portal.batch([LISTINGS["deal_line"].query()])[0], crm.system)
    assert rows == (["1000"], ["deal_line 2000"])


def rows_and_rejects(outcome: Outcome, system: str) -> tuple[list[str], list[str]]:
    records, rejects, last, count = records_of(LISTINGS["deal_line"], outcome, system)
    assert (last, count) == (1000, 2)
    return [record.source_id for record in records], [reject.place for reject in rejects]
