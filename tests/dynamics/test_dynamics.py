"""The connector of Dynamics 365 over HTTP against its stand-in, and against answers bent on their way where the
vendor's documentation reads two ways. What the environment truly holds is asked of the stand-in's control panel."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from resources.crm.dynamics.api import PAGE
from resources.crm.dynamics.changes import place_of
from resources.crm.dynamics.connection import PARALLEL
from resources.crm.dynamics.connector import Dynamics
from tests.dynamics.town import Send, Town, bent, error, living, now, number, opened, read, stored, true_keys
from tests.sandbox_process import running

MAIN = ("company", "contact", "deal", "deal_line", "product", "product_price", "invoice")


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "50", "--no-limits") as sandbox:
        yield Town(sandbox)


@pytest.fixture
def crm(town: Town) -> Iterator[Dynamics]:
    found = opened(town.connection)
    yield found
    found.close()


# ---- Reading whole ---------------------------------------------------------------------------


def test_a_whole_read_brings_every_row_with_the_columns_that_the_mapping_names(
    town: Town, crm: Dynamics
) -> None:
    kept = read(crm, *(entity.name for entity in crm.capabilities.entities))
    for entity in (*MAIN, "stage", "pipeline", "price_list", "campaign"):
        assert set(living(kept, entity)) == true_keys(town, entity), entity
    assert set(living(kept, "lead_source")) == true_keys(town, "lead_source")
    deal = next(iter(living(kept, "deal").values()))
    assert set(deal) == {"@odata.etag", "opportunityid", "modifiedon", "name", "totalamount", "stageid",
                         "_parentaccountid_value", "_customerid_value"}  # fmt: skip
    line = next(iter(kept["deal_line"].values()))
    assert line.parent_id in true_keys(town, "deal")
    assert b'"quantity":' in line.payload
    assert b".0000000000" in line.payload


def test_pages_of_5000_are_asked_for_and_four_tables_are_read_side_by_side(town: Town) -> None:
    asked: set[str] = set()
    first = {"accounts", "contacts", "opportunities", "opportunityproducts"}
    meeting = threading.Barrier(PARALLEL)

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        table = request.url.path.rpartition("/")[2]
        asked.update(part for part in request.headers.get("Prefer", "").split(",") if "maxpagesize" in part)
        if table in first:
            first.discard(table)
            meeting.wait(timeout=20)  # goes on when four tables are asked for
        return send(request)

    kept = read(bent(town, bend, size=PAGE, parallel=PARALLEL), *MAIN)
    assert {entity: set(living(kept, entity)) for entity in MAIN} == {
        entity: true_keys(town, entity) for entity in MAIN
    }
    assert asked == {"odata.maxpagesize=5000"}
    assert not first


def test_stages_stand_in_the_order_of_their_flow(town: Town, crm: Dynamics) -> None:
    rows = living(read(crm, "stage"), "stage").values()
    told = town.truth("stage")
    for flow in {row["_processid_value"] for row in rows}:
        ours = sorted(
            (row for row in rows if row["_processid_value"] == flow), key=lambda row: row["position"]
        )
        assert [row["position"] for row in ours] == list(range(1, len(ours) + 1))
        assert told[ours[0]["processstageid"]]["code"].endswith("NEW")


def test_the_reasons_of_a_status_are_an_entity_of_their_own(crm: Dynamics) -> None:
    labels = {
        row["Label"]["UserLocalizedLabel"]["Label"] for row in living(read(crm, "status"), "status").values()
    }
    assert {"In Progress", "Won"} <= labels


def test_all_dictionaries_take_one_request(town: Town, crm: Dynamics) -> None:
    read(crm, "employee")
    before = town.requests()
    read(
        crm,
        "employee",
        "stage",
        "pipeline",
        "status",
        "lead_source",
        "campaign",
        "currency",
        "price_list",
        "unit",
    )
    assert town.requests() - before == 1


def test_without_a_mapping_all_columns_come(town: Town) -> None:
    crm = opened(town.connection)
    crm.fields_read = {}
    deal = next(iter(living(read(crm, "deal"), "deal").values()))
    assert {"estimatedvalue", "statecode", "new_debt"} <= set(deal)


# ---- Changes ---------------------------------------------------------------------------------


def test_a_copy_kept_by_deltas_is_what_a_whole_read_finds(town: Town, crm: Dynamics) -> None:
    kept, begun = read(crm, *MAIN), now()
    for seed in (1, 2):
        town.work(seed, 80)
        kept = read(crm, *MAIN, since=begun, before=kept)
    fresh = read(opened(town.connection), *MAIN)
    for entity in MAIN:
        assert set(living(kept, entity)) == true_keys(town, entity), entity
        assert living(kept, entity) == living(fresh, entity), entity


def test_a_line_that_changes_without_its_deal_is_told_by_its_own_delta(town: Town, crm: Dynamics) -> None:
    kept, begun = read(crm, "deal", "deal_line"), now()
    done = town.work(3, 4, ["quiet_line"])
    assert done
    deals = [page for page in crm.read(["deal", "deal_line"], begun, now()) if page.entity == "deal"]
    assert not any(page.records for page in deals)
    kept = read(crm, "deal_line", since=begun, before=kept)
    assert living(kept, "deal_line") == living(read(opened(town.connection), "deal_line"), "deal_line")


def test_a_merge_is_a_tombstone_with_its_survivor_whose_deals_are_read_again(town: Town) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if "deltatoken" in str(request.url) and "/accounts" not in request.url.path:
            return httpx.Response(
                200, json={**answer.json(), "value": []}
            )  # what it moved got no new version
        return answer

    crm = bent(town, bend)
    before, begun = read(crm, "company", "contact", "deal"), now()
    lost, kept = sorted({deal["client"] for deal in town.truth("deal").values() if deal["client"]})[:2]
    theirs = {key for key, deal in town.truth("deal").items() if deal["client"] in (lost, kept)}
    people = {key for key, one in town.truth("contact").items() if one["client"] in (lost, kept)}
    town.do("merge", "client", number(lost), into=number(kept))
    pages = list(crm.read(["company", "contact", "deal"], begun, now()))
    tombstones = [r for page in pages for r in page.records if page.entity == "company" and r.deleted]
    assert [(r.source_id, r.merged_into) for r in tombstones] == [(lost, kept)]
    after = stored(pages, before)
    assert {living(after, "deal")[key]["_parentaccountid_value"] for key in theirs} == {kept}
    assert {living(after, "contact")[key]["_parentcustomerid_value"] for key in people} == {kept}
    (page, *rest) = crm.read_keys("company", [lost])
    assert page.records[0].merged_into == kept
    assert theirs <= {r.source_id for one in rest for r in one.records if one.entity == "deal"}


def test_a_place_is_not_used_for_other_columns_other_addresses_or_after_six_days(
    town: Town, crm: Dynamics
) -> None:
    read(crm, "company")
    place, begun = place_of(crm.places["company"]), now()
    assert place is not None
    whole = len(true_keys(town, "company"))

    def came(crm: Dynamics, since: datetime = begun) -> int:
        return sum(len(page.records) for page in crm.read(["company"], since, now()))

    assert came(crm) == 0
    assert came(crm, datetime(1970, 1, 1, tzinfo=UTC)) >= whole  # everything since ever is asked for
    crm.clock = lambda: now() + timedelta(days=6, minutes=1)
    assert came(crm, now() + timedelta(days=6)) >= whole
    crm.clock = now
    crm.known_places = {"company": place.text().replace("127.0.0.1", "localhost")}
    assert came(crm) >= whole
    crm.known_places = {"company": place.text()}
    crm.fields_read = {"company": ("name", "new_kpp")}
    assert came(crm) >= whole
    crm.known_places = {"company": "{not a place"}
    assert came(crm) >= whole


def test_a_refused_place_means_a_whole_read_and_a_new_place(town: Town, crm: Dynamics) -> None:
    kept, begun = read(crm, "company"), now()
    place = place_of(crm.places["company"])
    assert place is not None
    old = place.link.partition("$deltatoken=")[0] + "$deltatoken=1.0%2111%2F22%2F2020%2006%3A21%3A28"
    crm.known_places = {"company": place.text().replace(place.link, old)}
    assert [(c.source_id, c.version) for c in crm.changes(begun) if c.entity == "company"] == [
        ("", "its place is refused: a whole read is due")
    ]
    again = read(crm, "company", since=begun)
    assert set(living(again, "company")) == set(living(kept, "company"))
    assert "%2F2020%20" not in crm.places["company"]


def test_a_table_without_change_tracking_is_read_by_time(town: Town) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if "odata.track-changes" in request.headers.get("Prefer", "") and "/accounts" in request.url.path:
            return error(400, "0x80060888", "Change tracking is not enabled for entity: account.")
        return send(request)

    crm = bent(town, bend)
    kept, begun = read(crm, "company"), now()
    assert set(living(kept, "company")) == true_keys(town, "company")
    assert crm.places == {"company": ""}
    numbers = sorted(true_keys(town, "company"))[:1]
    town.do("put", "client", number(numbers[0]), body={"name": "Renamed by time"})
    changed = living(read(crm, "company", since=begun - timedelta(seconds=5)), "company")
    assert changed[numbers[0]]["name"] == "Renamed by time"
    hints = crm.changes(begun - timedelta(seconds=5))
    assert next(c.source_id for c in hints if c.entity == "company") in changed


def test_a_row_that_one_delta_says_is_changed_and_deleted_is_asked_for_by_key(town: Town) -> None:
    gone = sorted(true_keys(town, "company"))[:2]
    absent = "00000000-0000-f011-8c4d-00000000dead"

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if "deltatoken" not in str(request.url) or "/accounts" not in request.url.path:
            return answer
        said = answer.json()
        rows = [
            {"accountid": key, "modifiedon": "2026-01-01T00:00:00Z", "merged": False}
            for key in (gone[0], absent)
        ]
        lost = [{"@odata.context": "x/$metadata#accounts/$deletedEntity", "id": key, "reason": "deleted"}
                for key in (gone[0], absent, gone[1].upper())]  # fmt: skip
        return httpx.Response(200, json={**said, "value": [*rows, *lost]})

    crm = bent(town, bend)
    kept, begun = read(crm, "company"), now()
    kept = read(crm, "company", since=begun, before=kept)
    assert gone[0] in living(kept, "company")  # it is there: the table itself was asked
    assert absent not in living(kept, "company")
    assert gone[1] not in living(kept, "company")


def test_what_changes_while_pages_are_read_is_not_lost(town: Town) -> None:
    key = sorted(true_keys(town, "deal"))[0]
    touched: list[str] = []

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if "skiptoken" in str(request.url) and "opportunities" in request.url.path and not touched:
            touched.append(key)  # a row of a page that was read before
            town.do("put", "deal", number(key), body={"title": "Changed meanwhile"})
        return answer

    crm = bent(town, bend)
    assert living(read(crm, "deal"), "deal")[key]["name"] == "Changed meanwhile"
    assert touched


def test_sensors_ask_once_and_hear_of_what_a_read_would_find(town: Town, crm: Dynamics) -> None:
    read(crm, *MAIN)
    begun, before = now(), town.requests()
    assert list(crm.changes(begun)) == []
    assert town.requests() - before == 1
    deal, other = sorted(true_keys(town, "deal"))[1:3]
    town.do("put", "deal", number(deal), body={"title": "News"})
    town.do("remove", "deal", number(other))
    told = {change.source_id: change for change in crm.changes(begun) if change.entity == "deal"}
    assert told[deal].modified_at is not None
    assert told[other].version == "deleted"


# ---- Keys and counts -------------------------------------------------------------------------


def test_keys_and_counts_are_of_the_living(town: Town, crm: Dynamics) -> None:
    counts = crm.counts([*MAIN, "employee"])
    for entity in MAIN:
        assert {key for page in crm.keys(entity) for key in page} == true_keys(town, entity)
        assert counts[entity] == len(true_keys(town, entity))
    assert "employee" not in counts


def test_a_count_that_ends_where_the_vendor_ends_is_none(town: Town) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        content = answer.content.replace(f"{len(true_keys(town, 'company'))}\r\n".encode(), b"5000\r\n")
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)

    assert bent(town, bend).counts(["company"]) == {}


def test_records_are_read_by_key_with_their_lines_and_the_absent_as_tombstones(
    town: Town, crm: Dynamics
) -> None:
    deal = next(line["deal"] for line in town.truth("line").values())
    absent = "00000000-0000-f011-8c4d-00000000dead"
    pages = list(crm.read_keys("deal", [deal, absent]))
    records = [(page.entity, r.source_id, r.deleted) for page in pages for r in page.records]
    assert ("deal", deal, False) in records
    assert ("deal", absent, True) in records
    lines = {key for key, line in town.truth("line").items() if line["deal"] == deal}
    assert {key for entity, key, _ in records if entity == "deal_line"} == lines
    assert [set(page.complete_parents) for page in pages if page.complete_parents] == [{deal, absent}]


def test_one_empty_page_is_not_the_end_of_all_keys(town: Town) -> None:
    given: list[str] = []

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if not request.url.path.endswith("/opportunities") or given:
            return send(request)
        given.append("nothing")
        return httpx.Response(200, json={"value": []})

    assert {key for page in bent(town, bend).keys("deal") for key in page} == true_keys(town, "deal")
