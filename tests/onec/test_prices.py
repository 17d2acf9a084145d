"""Prices of 1C: a register that documents write or an independent one, few or many, changed, taken away, not published."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
import pytest

from resources.accounting.onec.connector import OneC
from resources.accounting.onec.profile import PROFILES, Profile
from resources.connector import Page, Refused
from tests.onec.base import DAY, LATER, NEXT_DAY, answer, asked, base, key_of, refusal

REGISTER = "InformationRegister_ЦеныНоменклатуры"
RECORDS = f"{REGISTER}_RecordType"
TYPE, DOCUMENT = key_of(900), key_of(800)
PAGE = 4  # rows; five pages at once are "few" here


class Register:
    """A register of prices as 1C serves one: `recorded` where documents write it."""

    def __init__(self, *, recorded: bool = False, published: bool = True, page: int = PAGE) -> None:
        self.recorded, self.published = recorded, published
        self.rows: list[dict[str, Any]] = []
        self.read: list[tuple[str, dict[str, str]]] = []
        self.stored: dict[str, str] = {}
        self.onec: OneC = base(self.handle, page=page)
        self.onec.profile = Profile.read(PROFILES["accounting_3"])
        self.onec.known_versions = lambda entity: dict(self.stored)

    def put(
        self, product: int, day: str, price: float, *, clock: str = "00:00:00", document: str = DOCUMENT
    ) -> None:
        row = {
            "Period": f"{day}T{clock}", "Номенклатура_Key": key_of(product), "ТипЦен_Key": TYPE, "Цена": price,
            "Валюта_Key": key_of(643),
        }  # fmt: skip
        more = {"Recorder": document, "LineNumber": str(len(self.rows) + 1), "Active": True}
        self.rows.append(row | (more if self.recorded else {}))

    def handle(self, request: httpx.Request) -> httpx.Response:
        resource, options = asked(request)
        self.read.append((resource, options))
        here = (REGISTER, RECORDS) if self.recorded else (REGISTER,)
        name = resource.removesuffix("/$count")
        if not self.published or name not in here:
            return refusal(404, "8", f"Тип сущности {resource} не найден")
        if resource.endswith("/$count"):
            return httpx.Response(200, text=str(len(self.rows)))
        order = options.get("$orderby", "")
        names = [part.partition(" ")[0] for part in order.split(",")] if order else []
        if any(one not in row for one in names for row in self.rows):
            return refusal(400, "10", "Свойство не найдено")
        rows = sorted(self.rows, key=lambda row: [str(row[one]) for one in names])
        rows = rows[::-1] if order.endswith(" desc") else rows
        skip, top = int(options.get("$skip", 0)), int(options["$top"])
        return answer(rows[skip : skip + top])

    def pages(self, since: Any, until: Any = LATER) -> list[Page]:
        self.read.clear()
        return list(self.onec.read(["price"], since, until))

    def keep(self, pages: list[Page]) -> None:
        """Store what came, as raw does."""
        for page in pages:
            came = {record.source_id: "" for record in page.records}
            self.stored = came if page.complete else self.stored | came


def bodies(pages: list[Page]) -> list[Mapping[str, Any]]:
    return [msgspec.json.decode(record.payload) for page in pages for record in page.records]


@pytest.mark.parametrize("recorded", [False, True])
def test_a_price_says_its_series_its_type_and_its_day_whoever_wrote_it(recorded: bool) -> None:
    register = Register(recorded=recorded)
    register.put(1, "2026-02-10", 100.5, clock="15:30:00")
    (page,) = register.pages(None)
    ((record,), (body,)) = page.records, bodies([page])
    assert page.complete
    assert not page.rejects
    assert body["Series"] == f"{key_of(1)}:{TYPE}"
    assert (body["Type"], body["Day"], body["Цена"]) == (TYPE, "2026-02-10T00:00:00", 100.5)
    assert record.source_id == f"2026-02-10T15:30:00:{key_of(1)}:{TYPE}" + (
        f"@{DOCUMENT}" if recorded else ""
    )


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("rows", [1, 7, 19])
def test_a_quiet_read_of_few_prices_is_one_request_and_says_that_it_is_all(recorded: bool, rows: int) -> None:
    register = Register(recorded=recorded)
    for number in range(rows):
        register.put(number, f"2026-01-{number + 1:02}", 10)
    register.keep(register.pages(None))
    (page,) = register.pages(DAY)
    assert len(register.read) == 1
    assert page.complete
    assert {record.source_id for record in page.records} == set(register.stored)


def test_a_quiet_read_of_many_is_one_request_of_the_latest_alone() -> None:
    register = Register()
    for number in range(30):
        register.put(number, f"2026-01-{number + 1:02}", 10)
    register.keep(register.pages(None))
    assert len(register.stored) == 30
    (page,) = register.pages(DAY)
    assert not page.complete
    assert len(page.records) == PAGE
    assert [options["$orderby"] for _, options in register.read] == ["Period desc"]


def test_a_read_of_many_goes_on_for_as_long_as_it_meets_new_ones() -> None:
    register = Register()
    for number in range(30):
        register.put(number, f"2026-01-{number + 1:02}", 10)
    register.keep(register.pages(None))
    for number in range(9):
        register.put(100 + number, "2026-02-09", 20)
    found = register.pages(DAY)
    new = {record.source_id for page in found for record in page.records} - set(register.stored)
    assert len(new) == 9
    assert len(register.read) == 4  # three pages with new ones, and one that has none


def test_what_was_changed_in_the_past_is_met_by_the_first_read_of_a_day() -> None:
    register = Register()
    for number in range(30):
        register.put(number, f"2026-01-{number + 1:02}", 10)
    register.keep(register.pages(None))
    register.rows[0]["Цена"] = 99
    del register.rows[1]
    assert 99 not in [body["Цена"] for body in bodies(register.pages(DAY))]
    (page,) = register.pages(DAY, NEXT_DAY)
    assert page.complete
    assert len(page.records) == 29
    assert 99 in [body["Цена"] for body in bodies([page])]


def test_one_that_is_missing_is_looked_for_in_the_whole_register_before_it_counts_as_gone() -> None:
    register = Register()
    for number in range(6):
        register.put(number, f"2026-01-{number + 1:02}", 10)
    register.keep(register.pages(None))
    del register.rows[2]
    (page,) = register.pages(DAY)
    assert page.complete
    assert len(page.records) == 5
    assert any("ТипЦен_Key" in options.get("$orderby", "") for _, options in register.read)


def test_rows_of_a_document_together_are_taken_apart() -> None:
    """A base that shows the register's own set alone, with the rows of each document inside."""
    register = Register()
    inside = [
        {
            "Period": "2026-02-10T00:00:00",
            "Номенклатура_Key": key_of(n),
            "ТипЦен_Key": TYPE,
            "Цена": n,
            "Active": True,
        }
        for n in (1, 2)
    ]
    register.rows = [
        {
            "Recorder": DOCUMENT,
            "Recorder_Type": "StandardODATA.Document_УстановкаЦенНоменклатуры",
            "RecordSet": inside,
        }
    ]
    (page,) = register.pages(None)
    assert sorted(body["Цена"] for body in bodies([page])) == [1, 2]
    assert all(record.source_id.endswith(f"@{DOCUMENT}") for record in page.records)


def test_a_register_that_is_not_published_is_told_and_the_rest_is_read() -> None:
    register = Register(published=False)
    with pytest.raises(Refused, match="publish it") as refused:
        register.pages(DAY)
    assert refused.value.code == register.onec.unpublished


def test_a_price_without_a_product_is_set_apart() -> None:
    register = Register()
    register.put(1, "2026-02-10", 100)
    register.rows[0]["Номенклатура_Key"] = ""
    (page,) = register.pages(None)
    assert not page.records
    assert "a row without Номенклатура_Key" in page.rejects[0].reason


def test_a_dimension_that_the_profile_does_not_know_is_told() -> None:
    register = Register()
    for place, price in (("a", 100), ("b", 120)):
        register.put(1, "2026-02-10", price)
        register.rows[-1]["Магазин_Key"] = place
    (page,) = register.pages(None)
    assert "`series: {price: [...]}`" in page.rejects[0].reason
    own = Profile.read(
        {"like": "accounting_3", "series": {"price": ["Номенклатура_Key", "ТипЦен_Key", "Магазин_Key"]}}
    )
    register.onec.profile = own
    (page,) = register.pages(None)
    assert len(page.records) == 2
    assert not page.rejects


METADATA = """<Schema><EntityType Name="{0}"><Property Name="Period" Type="Edm.DateTime"/>{1}</EntityType>
<EntityContainer><EntitySet Name="{0}" EntityType="StandardODATA.{0}"/>{2}</EntityContainer></Schema>"""


def shape(kind: str, fields: str) -> Mapping[str, Mapping[str, str]]:
    listed = "".join(f'<Property Name="{name}" Type="Edm.String"/>' for name in fields.split())
    more = f'<EntitySet Name="{REGISTER}" EntityType="StandardODATA.X"/>' if kind == RECORDS else ""

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=METADATA.format(kind, listed, more))

    onec = base(handler)
    onec.fields_read = {"price": ["Series", "Type", "Day", "Цена", "Валюта_Key"]}
    return onec.shape()


@pytest.mark.parametrize("kind", [REGISTER, RECORDS])
def test_the_shape_of_a_price_is_that_of_its_rows(kind: str) -> None:
    fields = shape(kind, "Цена Валюта_Key")["price"]
    assert {"Period", "Цена", "Валюта_Key", "Series", "Type", "Day"} <= set(fields)
    assert fields[""] == kind
    assert "Цена" not in shape(kind, "Валюта_Key")["price"]


def test_a_slice_of_the_latest_prices_is_understood_too() -> None:
    """A profile of one's own may name the virtual table, which tells of no price before the present one."""

    def handler(request: httpx.Request) -> httpx.Response:
        assert re.search(r"/SliceLast\(Period=", asked(request)[0])
        return answer(
            [{"Period": "2026-02-01T00:00:00", "Номенклатура_Key": key_of(1), "ВидЦен_Key": TYPE, "Цена": 7}]
        )

    onec = base(handler)
    onec.profile = Profile.read({"like": "small_firm", "sets": {"price": f"{REGISTER}/SliceLast"}})
    (page,) = onec.read(["price"], DAY, LATER)
    assert page.complete
    assert bodies([page])[0]["Day"] == "2026-02-01T00:00:00"
