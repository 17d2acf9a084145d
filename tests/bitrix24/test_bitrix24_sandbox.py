"""The Bitrix24 connector against the sandbox's portal, over real HTTP, with its faults."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from resources.budget import LocalBudget
from resources.connector import Page, Record, Refused, SourceError, Uncertain, Written
from resources.crm.bitrix24.check import findings
from resources.crm.bitrix24.connector import Bitrix24, connect
from tests.clock import Clock
from tests.sandbox_process import Running, running
from tests.small_portal import ids


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    state = tmp_path_factory.mktemp("sandbox")
    with running("--deals", "120", "--no-limits", state=state) as process:
        yield process


@pytest.fixture
def crm(sandbox: Running) -> Iterator[Bitrix24]:
    clock = Clock()  # pauses pass at once, for the client and for its budget
    budget = LocalBudget(1000, 100_000, clock=clock)
    connection = connect("bitrix24", {"url": sandbox.webhook, "timeout": 10}, budget)
    connection.portal._client.sleep, connection.portal._client.clock = clock.sleep, clock
    yield connection
    connection.close()
    sandbox.control("faults", method="DELETE")


def fail(sandbox: Running, match: str, kind: str, times: int) -> None:
    sandbox.control("faults", {"where": "bitrix24", "match": match, "kind": kind, "times": times})


def later() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


def living(sandbox: Running) -> set[str]:
    deals = sandbox.control("truth")["deals"].values()
    return {deal["bitrix24"] for deal in deals if deal["outcome"] != "deleted"}


def test_counts_what_lives_in_one_request(crm: Bitrix24, sandbox: Running) -> None:
    names = (
        "company", "contact", "requisite", "product", "product_price", "deal", "activity", "deal_line", "stage",
    )  # fmt: skip
    counted = crm.counts(names)
    assert counted["deal"] == len(living(sandbox))
    for name in ("company", "contact", "requisite", "product", "product_price", "activity"):
        assert counted[name] == sum(len(page) for page in crm.keys(name)), name
    assert set(counted) == set(names) - {"deal_line", "stage"}


def test_every_finding_is_good(crm: Bitrix24) -> None:
    assert [finding for finding in crm.check() if not finding.ok] == []


def test_all_deals_of_the_known_truth_are_read(sandbox: Running, crm: Bitrix24) -> None:
    names = [entity.name for entity in crm.capabilities.entities]
    pages = list(crm.read(names, None, later()))
    assert set(ids(pages, "deal")) == living(sandbox)
    assert len(ids(pages, "deal")) == len(set(ids(pages, "deal")))
    for name in names:
        assert ids(pages, name), name
        assert sorted(ids(pages, name)) == sorted(key for part in crm.keys(name) for key in part), name
    assert not [reject for page in pages for reject in page.rejects]
    assert {page.entity for page in pages if page.complete} == {
        "pipeline", "stage", "invoice_stage", "lead_source", "currency", "vat_rate", "price_list", "employee",
    }  # fmt: skip
    assert {"DEAL_STAGE:WON", "DEAL_STAGE_1:C1:WON"} <= set(ids(pages, "stage"))
    requisites = [record for page in pages if page.entity == "requisite" for record in page.records]
    assert {record.parent_id for record in requisites} <= set(ids(pages, "company"))


def test_each_kind_of_address_comes_once_a_requisite_with_the_company_that_it_is_of(crm: Bitrix24) -> None:
    pages = list(crm.read(["company", "requisite", "legal_address", "actual_address"], None, later()))
    owner = {r.source_id: r.parent_id for p in pages if p.entity == "requisite" for r in p.records}
    for entity in ("legal_address", "actual_address"):
        rows = [record for page in pages if page.entity == entity for record in page.records]
        assert len(rows) == len({row.source_id for row in rows}) > 0
        assert all(row.parent_id == owner[row.source_id] for row in rows)
    assert sum(len(p.records) for p in pages if p.entity == "legal_address") < len(owner)


def test_addresses_cost_a_read_of_changes_no_request_more(crm: Bitrix24, sandbox: Running) -> None:
    (company, *_) = [key for part in crm.keys("company") for key in part if int(key) > 10]
    spent = []
    for names in (
        ["company", "requisite"],
        ["company", "requisite"],
        ["company", "requisite", "legal_address"],
    ):
        since = datetime.now(UTC) - timedelta(seconds=1)
        sandbox.call("crm.item.update", entityTypeId=4, id=int(company), fields={"comments": str(names)})
        before = crm.portal.requests
        read = list(crm.read(names, since, later()))
        spent.append(crm.portal.requests - before)
        assert set(names) <= {page.entity for page in read}
    assert spent[1] == spent[2]  # the first one learned how this portal takes stamps


def test_activities_are_read_without_what_was_said_and_written(crm: Bitrix24, sandbox: Running) -> None:
    (shown, *_) = sandbox.call("crm.activity.list", filter={"TYPE_ID": 4})["result"]
    assert shown["SUBJECT"]
    assert shown["DESCRIPTION"]
    crm.fields_read = {"activity": ["TYPE_ID", "PRIORITY", "SUBJECT", "DESCRIPTION", "COMMUNICATIONS"]}
    rows = [json.loads(record.payload) for record in records(crm.read(["activity"], None, later()))]
    assert {name for row in rows for name in row} == {
        "ID", "OWNER_TYPE_ID", "OWNER_ID", "TYPE_ID", "PROVIDER_ID", "PROVIDER_TYPE_ID", "DIRECTION", "COMPLETED",
        "RESPONSIBLE_ID", "AUTHOR_ID", "CREATED", "LAST_UPDATED", "START_TIME", "END_TIME", "DEADLINE", "PRIORITY",
    }  # fmt: skip


def test_activities_cost_a_quiet_read_no_request_more_and_a_task_is_no_news(
    crm: Bitrix24, sandbox: Running
) -> None:
    others = ["company", "requisite", "contact", "deal", "deal_line", "product", "product_price", "invoice"]
    since, spent = later() - timedelta(hours=1), []
    every = [*others, "activity"]
    for names in (others, every, others, every):
        before = crm.portal.requests
        assert list(crm.read(names, since, later())) == []
        spent.append(crm.portal.requests - before)
    assert spent[2] == spent[3]  # those before learned how this portal takes stamps

    since = datetime.now(UTC) - timedelta(seconds=1)
    said = {"OWNER_TYPE_ID": 2, "OWNER_ID": int(min(living(sandbox), key=int)), "TYPE_ID": 2, "SUBJECT": "Звонок",
            "RESPONSIBLE_ID": 11, "COMPLETED": "Y", "DIRECTION": 2}  # fmt: skip
    number = sandbox.call("crm.activity.add", fields=said)["result"]
    pages = list(crm.read(every, since, later()))
    assert ids(pages, "activity") == [str(number)]
    assert ("activity", str(number)) in {(c.entity, c.source_id) for c in crm.changes(since)}
    task = {"TITLE": "Позвонить", "RESPONSIBLE_ID": 1, "UF_CRM_TASK": [f"D_{said['OWNER_ID']}"]}
    sandbox.call("tasks.task.add", fields=task)
    (activity,) = sandbox.call("crm.activity.list", filter={"PROVIDER_ID": "CRM_TASKS_TASK"})["result"]
    assert activity["ID"] in ids(list(crm.read(["activity"], since, later())), "activity")
    assert activity["ID"] not in {
        c.source_id for c in crm.changes(since)
    }  # it wakes nobody: we write tasks too


@pytest.mark.parametrize(
    "fault", ["drop_before", "drop_after", "html", "http_500", "http_503_html", "limit", "truncate", "repeat"]
)
def test_a_read_survives(fault: str, sandbox: Running, crm: Bitrix24) -> None:
    fail(sandbox, "batch", fault, 2)
    assert set(ids(list(crm.read(["deal", "deal_line"], None, later())), "deal")) == living(sandbox)


def test_what_a_day_changes_is_read_and_then_it_is_quiet(sandbox: Running, crm: Bitrix24) -> None:
    before = {record.source_id: record.modified_at for record in records(crm.read(["deal"], None, later()))}
    since = datetime.now(UTC) - timedelta(seconds=2)
    sandbox.control("tick", {"days": 3, "deals": 10})
    after = {record.source_id: record.modified_at for record in records(crm.read(["deal"], None, later()))}
    changed = {key for key, stamp in after.items() if before.get(key) != stamp}
    assert len(changed) >= 10
    pages = list(crm.read(["deal", "deal_line"], since, later()))
    assert set(ids(pages, "deal")) == changed
    assert {parent for page in pages for parent in page.complete_parents} == changed
    assert {change.source_id for change in crm.changes(since) if change.entity == "deal"} == changed
    assert list(crm.read(["deal", "deal_line"], later() - timedelta(hours=1), later())) == []


@pytest.mark.parametrize(("kind", "entity"), [(4, "company"), (3, "contact")])
def test_a_merge_brings_the_records_that_named_the_loser_though_their_stamps_stay(
    sandbox: Running, crm: Bitrix24, kind: int, entity: str
) -> None:
    field = f"{entity}Id"
    owned: dict[int, set[str]] = {}
    bodies = {}
    for record in records(crm.read(["deal"], None, later())):
        bodies[record.source_id] = body = json.loads(record.payload)
        owned.setdefault(body[field], set()).add(record.source_id)
    main, loser = sorted((number for number in owned if number), key=lambda number: -len(owned[number]))[:2]
    item = sandbox.call("crm.item.get", entityTypeId=kind, id=main)["result"]["item"]
    names = ("title", "name", "lastName", "secondName", "post", "companyId", "sourceId", "industry")
    same = {name: item[name] for name in names if name in item}
    asked = {"entityTypeId": kind, "entityIds": [main, loser]}
    assert sandbox.call("crm.entity.mergeBatch", params=asked)["result"]["STATUS"] == "CONFLICT"
    sandbox.call("crm.item.update", entityTypeId=kind, id=loser, fields=same)
    since = datetime.now(UTC).replace(microsecond=0)
    said = sandbox.call("crm.entity.mergeBatch", params=asked)["result"]
    assert said == {"STATUS": "SUCCESS", "ENTITY_IDS": [loser]}
    assert not records(crm.read(["deal"], since + timedelta(seconds=1), later()))  # no stamp of a deal moved
    pages = list(crm.read([entity], since, later()))
    after = {r.source_id: json.loads(r.payload) for p in pages if p.entity == "deal" for r in p.records}
    assert owned[main] | owned[loser] <= set(after)
    for number in owned[loser]:
        assert after[number][field] == main
        assert after[number]["updatedTime"] == bodies[number]["updatedTime"]
    assert str(loser) not in {key for part in crm.keys(entity) for key in part}


def test_status_and_debt_are_written_and_read_back(crm: Bitrix24) -> None:
    keys = [key for part in crm.keys("deal") for key in part][:45]
    rows = [
        (key, {"UF_CRM_SVERKA_DEBT": "12.50", "UF_CRM_SVERKA_PAYMENT_STATUS": "частично, 50 %"})
        for key in keys
    ]
    outcomes = crm.update_many("deal", [*rows, ("99999999", {"UF_CRM_SVERKA_DEBT": "1"})])
    assert isinstance(outcomes[-1], Refused)
    found = crm.find("deal", keys)
    for key, outcome in zip(keys, outcomes, strict=False):
        assert isinstance(outcome, Written)
        assert found[key]["UF_CRM_SVERKA_PAYMENT_STATUS"] == "частично, 50 %"
        assert Decimal(str(found[key]["UF_CRM_SVERKA_DEBT"])) == Decimal("12.50")
        assert found[key]["updatedTime"] == outcome.body["updatedTime"]


def test_a_write_whose_answer_is_lost_is_uncertain_and_a_probe_finds_it(
    sandbox: Running, crm: Bitrix24
) -> None:
    key = next(iter(crm.keys("company")))[0]
    fail(sandbox, "crm.item.update", "drop_after", 1)
    with pytest.raises(Uncertain):
        crm.update("company", key, {"UF_CRM_SVERKA_DEBT": "77.01"})
    assert Decimal(str(crm.find("company", [key])[key]["UF_CRM_SVERKA_DEBT"])) == Decimal("77.01")


def test_a_task_is_created_once_and_found_by_our_key(sandbox: Running, crm: Bitrix24) -> None:
    deal = next(iter(crm.keys("deal")))[0]
    body = {
        "TITLE": "Просрочена оплата: 12 дней",
        "DESCRIPTION": "Долг 188 132,20 ₽",
        "RESPONSIBLE_ID": 1,
        "DEADLINE": "2026-12-01T18:00:00+03:00",
        "UF_CRM_TASK": [f"D_{deal}"],
    }
    key = "0b9f2f5e-7d2c-5f4e-9a53-1f3e5d6c7b8a"
    assert crm.find("task", [key]) == {}
    fail(sandbox, "tasks.task.add", "drop_after", 1)
    with pytest.raises(Uncertain):
        crm.create("task", key, body)
    found = crm.find("task", [key])
    assert found[key]["title"] == body["TITLE"]
    assert found[key]["ufCrmTask"] == [f"D_{deal}"]


def test_a_field_that_the_mapping_reads_is_asked_for(crm: Bitrix24) -> None:
    (before, *_) = records(crm.read(["deal"], None, later()))
    assert "comments" not in json.loads(before.payload)
    crm.fields_read = {
        "deal": ["title", "comments"],
        "company": ["title", "fm"],
        "product": ["id", "quantity"],
    }
    (after, *_) = records(crm.read(["deal"], None, later()))
    assert "comments" in json.loads(after.payload)
    assert records(crm.read(["company", "contact", "product"], None, later()))


@pytest.mark.parametrize(
    ("entity", "field", "says"),
    [
        ("deal", "opportunitty", "did you mean opportunity? Correct it in the mapping file of bitrix24"),
        ("deal", "UF_CRM_1700000000", "create it, or take it out of the mapping file of bitrix24"),
        ("company", "ufCrmSverkaDebt", "did you mean UF_CRM_SVERKA_DEBT?"),
    ],
)
def test_a_field_that_does_not_exist_is_named_when_read_and_when_checked(
    crm: Bitrix24, entity: str, field: str, says: str
) -> None:
    crm.fields_read = {entity: ["title", field]}
    with pytest.raises(SourceError, match=rf"portal's {entity} has no field {field}, which") as told:
        records(crm.read([entity], None, later()))
    assert says in str(told.value)
    assert not told.value.retriable
    (finding,) = [finding for finding in crm.check() if not finding.ok]
    assert (finding.subject, finding.message) == (entity, str(told.value))


def test_the_fields_that_the_mapping_writes_are_checked_and_no_others(crm: Bitrix24) -> None:
    crm.fields_written = {"deal": ["UF_CRM_SVERKA_DEBT", "UF_CRM_PAID", "oportunity"], "task": ["TITLE"]}
    crm.mapping_file = "mappings/mine/bitrix24.yaml"
    found = {finding.subject: finding for finding in crm.check() if " field " in finding.subject}
    assert {subject: finding.ok for subject, finding in found.items()} == {
        "deal field UF_CRM_SVERKA_DEBT": True, "deal field UF_CRM_PAID": False, "deal field oportunity": False,
    }  # fmt: skip
    assert '{"FIELD_NAME": "PAID", "USER_TYPE_ID": "string"}' in found["deal field UF_CRM_PAID"].remedy
    assert "`feedback` in mappings/mine/bitrix24.yaml" in found["deal field oportunity"].remedy


@pytest.mark.parametrize(
    ("hours", "says"), [(0, None), (-1, "differ by 3"), (2, "each read asks for as much more")]
)
def test_a_clock_that_goes_wrong_is_told(crm: Bitrix24, hours: int, says: str | None) -> None:
    told = [f for f in findings(crm, datetime.now(UTC) + timedelta(hours=hours)) if f.subject == "clock"]
    assert [says in finding.message for finding in told if says] == ([True] if says else [])
    assert len(told) == (says is not None)


def test_an_unknown_webhook_is_a_plain_message(sandbox: Running) -> None:
    wrong = connect("bitrix24", {"url": re.sub(r"/rest/1/[^/]+", "/rest/1/wrongwrong", sandbox.webhook)})
    (finding,) = wrong.check()
    assert not finding.ok
    assert "unknown or deleted" in finding.message
    assert "wrongwrong" not in finding.message


def records(pages: Iterator[Page]) -> list[Record]:
    return [record for page in pages for record in page.records]
