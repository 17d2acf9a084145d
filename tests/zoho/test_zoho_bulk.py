"""Zoho's bulk jobs of several pages, while rows are deleted between them, and results that are not what was asked for."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from resources.connector import SourceError
from resources.crm import csv_rows
from resources.crm.zoho import connector as zoho
from resources.crm.zoho.connector import Zoho
from tests.zoho.town import PREFIX, Bend, Send, Town, bent, living, now, stored

ORDERED = "/bulk/v8/read"
READINGS = ("heeded", "ignored", "refused")  # of a condition on ids


@pytest.fixture(autouse=True)
def by_jobs(town: Town, crm: Zoho, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deals by bulk jobs of forty rows; `crm` puts the options back."""
    monkeypatch.setattr(zoho, "BULK_FROM", 1)
    town.option(bulk_rows=40)


@pytest.fixture
def deleted(town: Town) -> Iterator[Callable[[str, list[int]], None]]:
    """Delete records for the time of a test."""
    gone: list[tuple[str, int]] = []

    def delete(entity: str, numbers: list[int]) -> None:
        for number in numbers:
            town.do("remove", entity, number)
            gone.append((entity, number))

    yield delete
    for entity, number in gone:
        if entity != "line":
            town.do("restore", entity, number)


def _before_job(place: int, module: str, then: Callable[[], None]) -> Bend:
    """A bend that does something before a module's job of this place is made."""
    made = 0

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        nonlocal made
        if request.method == "POST" and request.url.path.endswith(ORDERED):
            made += json.loads(request.content)["query"]["module"]["api_name"] == module
            if made == place:
                made += 1
                then()
        return send(request)

    return bend


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("keys", [False, True])
def test_rows_deleted_between_jobs_hide_no_other(
    town: Town, deleted: Callable[[str, list[int]], None], reading: str, keys: bool
) -> None:
    town.option(bulk_criteria=reading)
    there = sorted(int(key) - PREFIX for key in town.truth("deal"))
    crm = bent(town, _before_job(2, "Deals", lambda: deleted("deal", there[:3])))
    if keys:
        found = {key for page in crm.keys("deal") for key in page}
    else:
        found = set(living(stored(crm.read(["deal"], None, now())), "deal"))
    true = set(town.truth("deal"))
    assert len(true) == len(there) - 3
    assert true <= found


@pytest.mark.parametrize("reading", READINGS)
def test_lines_deleted_between_jobs_hide_no_other(
    town: Town, deleted: Callable[[str, list[int]], None], reading: str
) -> None:
    """They come in the order of their orders, so that parts are asked for by position, and most of them twice."""
    town.option(bulk_criteria=reading)
    lines = sorted(int(key) % 10**9 for key in town.truth("line"))
    crm = bent(town, _before_job(2, "Ordered_Items", lambda: deleted("line", lines[:2])))
    orders = living(stored(crm.read(["order"], None, now())), "order")
    found = [line["id"] for order in orders.values() for line in order["Ordered_Items"]]
    assert len(found) == len(set(found))
    assert set(town.truth("line")) <= set(found)


def test_a_condition_on_ids_spares_reading_twice(town: Town) -> None:
    made: list[dict[str, Any]] = []

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith(ORDERED):
            made.append(json.loads(request.content)["query"])
        return send(request)

    deals = len(town.truth("deal"))
    for reading, jobs in (("heeded", -(-deals // 40)), ("ignored", 2 * -(-deals // 40))):
        made.clear()
        town.option(bulk_criteria=reading)
        assert len([key for page in bent(town, bend).keys("deal") for key in page]) >= deals
        assert len(made) == jobs


def _results(change: Callable[[int, list[list[str]]], list[list[str]]]) -> Bend:
    """A bend of the rows of results of deals: given the place of the result and the rows, the heading among them."""
    seen = 0

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        nonlocal seen
        answer = send(request)
        if not request.url.path.endswith("/result"):
            return answer
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            rows = list(csv.reader(io.StringIO(archive.read(archive.namelist()[0]).decode())))
        if "Amount" not in rows[0]:
            return answer
        seen += 1
        text, packed = io.StringIO(), io.BytesIO()
        csv.writer(text, lineterminator="\n").writerows(change(seen, rows))
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("deals.csv", text.getvalue())
        return httpx.Response(200, content=packed.getvalue())

    return bend


def _without(name: str) -> Callable[[int, list[list[str]]], list[list[str]]]:
    def change(place: int, rows: list[list[str]]) -> list[list[str]]:
        at = rows[0].index(name)
        return [row[:at] + row[at + 1 :] for row in rows]

    return change


CHANGES: dict[str, tuple[Callable[[int, list[list[str]]], list[list[str]]], str]] = {
    "without a column": (_without("Amount"), "the columns Amount are missing"),
    "without ids": (_without("Id"), "the columns id are missing"),
    "with a row twice": (lambda place, rows: [*rows[:-1], rows[1]], "1 of them twice"),
    "with a row without its id": (
        lambda place, rows: [*rows[:-1], ["", *rows[-1][1:]]], "a row has no id",
    ),
    "without rows after others": (
        lambda place, rows: rows if place == 1 else rows[:1], "it is empty, though there are more",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("rows", [40, 200_000])
def test_a_result_that_is_not_what_was_asked_for_is_refused(town: Town, what: str, rows: int) -> None:
    change, words = CHANGES[what]
    town.option(bulk_rows=rows)
    if "after others" in what and rows > 40:
        pytest.skip("there is one result alone")
    with pytest.raises(SourceError, match=words) as caught:
        list(bent(town, _results(change)).read(["deal"], None, now()))
    assert caught.value.retriable


@pytest.mark.parametrize("reading", READINGS)
def test_a_second_result_that_repeats_the_first_loses_no_row(town: Town, reading: str) -> None:
    town.option(bulk_criteria=reading)
    first: list[list[list[str]]] = []

    def change(place: int, rows: list[list[str]]) -> list[list[str]]:
        first.append(rows)
        return first[0] if place == 2 else rows

    crm = bent(town, _results(change))
    if reading == "refused":  # parts by position
        with pytest.raises(SourceError, match="repeats the one before") as caught:
            list(crm.read(["deal"], None, now()))
        assert caught.value.retriable
    else:
        assert set(living(stored(crm.read(["deal"], None, now())), "deal")) == set(town.truth("deal"))


def test_a_lone_carriage_return_is_part_of_its_cell(town: Town, crm: Zoho) -> None:
    town.do("put", "deal", 30, body={"title": "lone\rcr"})
    try:
        kept = living(stored(crm.read(["deal"], None, now())), "deal")
    finally:
        town.do("put", "deal", 30, body={"title": "usual"})
    assert kept[str(PREFIX + 30)]["Deal_Name"] == "lone\rcr"
    assert set(kept) == set(town.truth("deal"))


def test_rows_of_a_csv_keep_what_is_no_end_of_a_line() -> None:
    text = b'a,b\r\n1,x\ry\r\n\r\n2,"x\ry\r\nz\nw"\r\n3,x\r\r\n4,\xef\xbf\xbd'
    assert list(csv_rows.rows(io.BytesIO(text))) == [
        ["a", "b"], ["1", "x\ry"], ["2", "x\ry\r\nz\nw"], ["3", "x\r"], ["4", "\ufffd"],
    ]  # fmt: skip
    with pytest.raises(ValueError, match="in line 2"):
        list(csv_rows.rows(io.BytesIO(b'a\n1,"x\ry')))
