"""Several CRMs at once, over real HTTP: two portals of amoCRM, Bitrix24, and every other CRM with a ready mapping file.

The second portal shows a part of the same company under the same numbers, so whatever is kept by a number
alone would be mixed up here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pytest

from mappings import load
from pipelines import freshness
from pipelines.assets import UP_TO_DATE
from pipelines.commands.work import sync as sync_command
from pipelines.company import mappings_folder
from pipelines.processes import free_port
from pipelines.raw.hints import waiting
from pipelines.sync import Road
from resources.warehouse import Warehouse
from tests.conftest import _database
from tests.crms.several import PORTALS, Several, several
from tests.crms.truth import TEST_DEAL, differences
from tests.listeners import Posts, posts_listener
from tests.whole_road import COUNTERPARTIES, company, environment

NORTH, SOUTH = PORTALS
DEALS = 40  # fewer, and the share of dirty ones stops the load


@pytest.fixture(scope="module")
def carried(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Several, Posts]]:
    """The company after its first sync, and what people are told of it."""
    import psycopg

    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE several TEMPLATE {template}")
    warehouse = Warehouse(_database(server_url, "several"))
    folder = tmp_path_factory.mktemp("several")
    settings: dict[str, str | None] = {
        "SVERKA_DATABASE_URL": warehouse.url,
        "SVERKA_HOME": str(folder / "home"),
    }
    with (
        warehouse.kept(),
        posts_listener() as posts,
        environment({**settings, "SVERKA_NOTIFY_WEBHOOK": posts.address, "SVERKA_NOTIFY_EMAIL": None}),
        company(warehouse, folder, "--deals", str(DEALS), "--no-limits", files=False) as found,
        several(found, folder / "mappings") as made,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        assert made.sync(instance).success
        yield made, posts


@pytest.fixture
def together(carried: tuple[Several, Posts]) -> Several:
    return carried[0]


def test_each_system_has_its_own_deals_under_numbers_that_others_use_too(together: Several) -> None:
    rows = together.warehouse.rows
    core: dict[str, dict[str, str]] = {}
    for system, key, title in rows("select source, source_id, title from core.deal where not is_deleted"):
        core.setdefault(system, {})[key] = title
    assert core.keys() == {"bitrix24", *together.stand_ins}
    assert core[NORTH].keys() & core[SOUTH].keys() == core[SOUTH].keys(), "the same numbers"
    for system, stand_in in together.stand_ins.items():
        deals = stand_in.truth().deals()
        assert core[system] == {key: deal["title"] for key, deal in deals.items()}, system
    assert not any(title.startswith(TEST_DEAL) for deals in core.values() for title in deals.values())
    for system in PORTALS:
        truth = replace(together.stand_ins[system].truth(), system=system)
        assert differences(together.warehouse, truth) == []


def test_each_system_has_its_own_tokens_budget_cursors_and_hooks(together: Several) -> None:
    warehouse = together.warehouse
    tokens = dict(
        warehouse.rows("select system, refresh_token from ops.token where system = any(%s)", [list(PORTALS)])
    )
    assert tokens.keys() == PORTALS.keys()
    assert len(set(tokens.values())) == 2
    assert {
        name for (name,) in warehouse.rows("select distinct system from ops.rate_bucket")
    } >= PORTALS.keys()
    read = {
        name
        for (name,) in warehouse.rows("select distinct source from ops.cursor where read_until is not null")
    }
    assert read == {"bitrix24", "onec", *together.stand_ins}
    (deal,) = warehouse.rows("select source_id from core.deal where source = %s limit 1", [SOUTH])[0]
    warehouse.execute("delete from ops.echo")  # as if we had written none of them just now
    warehouse.execute(
        "insert into ops.hook (system, entity, ids, digest) values (%s, 'deal', %s, 'd')", [SOUTH, [deal]]
    )
    mappings = load(mappings_folder(), connected=False)
    entities = {system.name: system.entities for system in mappings.systems}
    assert [each.system for each in waiting(warehouse, entities)] == [SOUTH]
    road = Road(warehouse, mappings, "hooks")
    try:
        freshness.read(road, mappings.system(NORTH), ["deal"])
        assert waiting(warehouse, entities), "the other portal's deal of this number was read, not this one"
        assert [b.error for b in freshness.read(road, mappings.system(SOUTH), ["deal"]) if b.error] == []
        assert waiting(warehouse, entities) == []
    finally:
        road.close()


def test_clients_of_several_systems_with_one_inn_are_one_counterparty_in_accounting(
    together: Several,
) -> None:
    shared = {
        (inn, kpp or "")
        for inn, kpp in together.warehouse.rows(
            """
            select p.tax_number, p.kpp from core.counterparty p
            join core.requisite_counterparty rc using (counterparty_id)
            join core.requisite r using (requisite_id)
            where p.country = 'RU' and p.tax_number is not null
            group by 1, 2 having count(distinct r.source) >= 3
            """
        )
    }
    there = Counter((row["ИНН"], row["КПП"]) for row in together.company.odata(COUNTERPARTIES))
    written = shared & there.keys()
    assert written
    assert {key: there[key] for key in written} == dict.fromkeys(written, 1)


def test_each_deal_has_its_documents_once_whatever_its_number_is_elsewhere(together: Several) -> None:
    ours = together.company.ours()
    assert {kind: len(rows) for kind, rows in ours.items() if len(rows) != 1} == {}
    by_system = {system: {d for d, _ in ours if d.startswith(f"{system}:")} for system in together.stand_ins}
    numbers = [{deal.partition(":")[2] for deal in by_system[system]} for system in PORTALS]
    assert numbers[0] & numbers[1], "the same number has documents for the deal of either portal"
    planned = together.warehouse.rows(
        "select target, kind, action, subject from ops.operation where target = 'onec' and kind in ('invoice', 'realization')"
        " group by 1, 2, 3, 4 having count(*) > 1"
    )
    assert planned == []


def test_a_portal_that_refuses_us_holds_nothing_of_the_others_and_people_are_told_twice(
    carried: tuple[Several, Posts], capsys: pytest.CaptureFixture[str]
) -> None:
    together, posts = carried
    warehouse = together.warehouse
    posts.received.clear()
    before = _rows(warehouse, SOUTH)
    for system in PORTALS:
        assert together.stand_ins[system].people_work(5, 10, ["edit_deal"])
    together.company.sandbox.control("tick", {"days": 1, "deals": 2})
    bitrix24 = _count(warehouse, "bitrix24")

    with (
        dg.DagsterInstance.ephemeral() as instance,
        environment({"SVERKA_AMOCRM_SOUTH_REFRESH_TOKEN": "x" * 40}),
    ):
        run = together.sync(instance)
        assert run.success, "the run is not failed for it"
        assert _rows(warehouse, SOUTH) == before, "its data stay as they were"
        assert _count(warehouse, "bitrix24") > bitrix24
        north = replace(together.stand_ins[NORTH].truth(), system=NORTH)
        assert differences(warehouse, north) == []
        checks = {
            (e.asset_key.path[-1], e.passed, e.severity.value)
            for e in run.get_asset_check_evaluations()
            if e.check_name == UP_TO_DATE and e.asset_key.path[-1].startswith("amocrm_")
        }
        assert {name for name, passed, _ in checks if not passed} == {
            f"{SOUTH}_{entity}" for entity in load(mappings_folder()).system(SOUTH).entities
        }
        assert {severity for _, passed, severity in checks if not passed} == {"WARN"}
        (told,) = posts.received
        assert f"({SOUTH}) cannot be read since" in told["text"]
        assert "x" * 40 not in told["text"]

        capsys.readouterr()
        assert sync_command(full=False, sweep=False, allow_deletions=False) == 1
        said = capsys.readouterr().out
        assert f"not everything was read: {SOUTH} stays as it was" in " ".join(said.split())
        assert len(posts.received) == 1, "not at every run"

    with dg.DagsterInstance.ephemeral() as instance:
        assert together.sync(instance).success
    assert len(posts.received) == 2
    assert f"({SOUTH}) is read again" in posts.received[1]["text"]
    south = replace(together.stand_ins[SOUTH].truth(), system=SOUTH)
    assert differences(warehouse, south) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("http://127.0.0.1:{}", "no connection"),  # a port on which nobody listens
        (None, "the connection's base_url is no address"),
        ("not an address", "base_url"),
    ],
)
def test_a_system_that_cannot_be_opened_or_reached_has_failed_readings_and_keeps_its_rows(
    together: Several, value: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.http.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("resources.http.LONGEST_PAUSE", 0.002)
    before = _rows(together.warehouse, SOUTH)
    address = value and value.format(free_port())
    with environment({"SVERKA_AMOCRM_SOUTH_BASE_URL": address, "SVERKA_AMOCRM_SOUTH_SUBDOMAIN": None}):
        mappings = load(mappings_folder(), connected=False)
        road = Road(together.warehouse, mappings, "broken")
        try:
            batches = freshness.read(road, mappings.system(SOUTH), ["deal", "company"], full=True)
        finally:
            road.close()
        assert {batch.entity for batch in batches if said in batch.error} == {"deal", "company"}, batches
        (south,) = [f for f in freshness.freshness(together.warehouse, mappings) if f.system == SOUTH]
        assert south.failed == ("company", "deal")
        assert said in south.error
    assert _rows(together.warehouse, SOUTH) == before


def _rows(warehouse: Warehouse, system: str) -> list[tuple[str, str]]:
    return warehouse.rows(
        f"select source_id, payload::text from raw.{system}_deal where is_current order by source_id"
    )


def _count(warehouse: Warehouse, system: str) -> int:
    return int(warehouse.scalar("select count(*) from core.deal where source = %s", [system]) or 0)
