"""The whole road as people run it: Dagster on PostgreSQL, real HTTP to the vendors' stand-ins, real figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from mappings import load
from pipelines import laws
from pipelines.assets import asset_key
from pipelines.commands.run import Ran, run_job
from pipelines.commands.session import database
from pipelines.documents.gate import gate
from pipelines.table import tables
from resources.warehouse import Warehouse
from tests.conftest import _database
from tests.laws.quick import quick_gate
from tests.whole_road import CHECKS, DEMO, Company, company, differences_from_truth, environment

REAL = Path(__file__).parents[1] / "mappings" / "sales_opportunities"


@dataclass(frozen=True)
class Demo:
    """The demo company after its first sync through Dagster."""

    company: Company
    instance: dg.DagsterInstance
    first: Ran


@pytest.fixture(scope="module")
def demo(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE end_to_end TEMPLATE {template}")
    folder = tmp_path_factory.mktemp("end_to_end")
    warehouse = Warehouse(_database(server_url, "end_to_end"))
    unset = dict.fromkeys(("DAGSTER_HOME", "SVERKA_HOME"))
    with (
        environment({**unset, "SVERKA_DATABASE_URL": warehouse.url, "DAGSTER_DISABLE_TELEMETRY": "1"}),
        company(warehouse, folder) as found,
        database(folder / "home"),
        dg.DagsterInstance.get() as instance,
    ):
        assert type(instance.event_log_storage).__name__ == "StepwiseEventLog"
        yield Demo(found, instance, run_job("sync", quiet=True))


def operations(found: Company) -> int:
    return int(found.warehouse.scalar("select count(*) from ops.operation"))


def test_the_first_sync_succeeds_and_1c_holds_what_the_truth_says(demo: Demo) -> None:
    assert demo.first.success, demo.first.messages
    assert differences_from_truth(demo.company) == []
    assert set(demo.company.states()) == {"verified", "held"}
    assert {law.name: law.holds for law in laws.check(demo.company.warehouse)} == {
        "every_kopeck_is_explained": True,
        "debit_equals_credit": True,
    }


def test_every_table_tells_its_rows_and_where_its_columns_come_from(demo: Demo) -> None:
    materialized = [t for t in tables().values() if not t.is_view]
    assert len(materialized) > 30
    # What no connected system has (campaigns) comes from nowhere.
    filled = {read.table for system in load(DEMO, connected=False).systems for read in system.reads}
    for table in materialized:
        event = demo.instance.get_latest_materialization_event(asset_key(table.name))
        assert event is not None, table.name
        assert event.run_id == demo.first.run_id, table.name
        metadata = event.asset_materialization.metadata  # type: ignore[union-attr]
        count = demo.company.warehouse.scalar(f"select count(*) from {table.name}")
        assert metadata["dagster/row_count"].value == count, table.name
        if table.rows != "python" and (table.rows != "mapping" or table.name in filled):
            lineage = metadata["dagster/column_lineage"].value
            assert isinstance(lineage, dg.TableColumnLineage), table.name
            assert lineage.deps_by_column, table.name


def test_every_check_of_the_gate_and_both_laws_are_recorded(demo: Demo) -> None:
    executions = {
        (record.key.asset_key.to_user_string(), record.key.name): record
        for record in demo.instance.event_log_storage.get_latest_asset_check_execution_by_key(
            _check_keys(demo)
        ).values()
    }
    names = {name for _, name in executions}
    assert {"stage_has_rule", "product_resolved", "tax_number_valid", "rows_complete"} <= names
    passed = {
        name: record.event.dagster_event.asset_check_evaluation_data.passed  # type: ignore[union-attr]
        for (_, name), record in executions.items()
    }
    assert passed["every_kopeck_is_explained"]
    assert passed["debit_equals_credit"]
    assert not passed["stage_has_rule"], "the demo company has a deal in a stage without a rule"


def test_the_gate_in_sql_that_other_tests_use_finds_what_great_expectations_found(demo: Demo) -> None:
    """The demo company has every kind of mistake; its sync through Dagster asked Great Expectations."""
    warehouse, failures = demo.company.warehouse, "select * from documents.failure order by failure_id"
    found = warehouse.rows(failures)
    assert warehouse.scalar("select count(distinct check_name) from documents.failure") >= len(CHECKS)
    with quick_gate(), warehouse.transaction() as conn:
        assert gate(conn, today=datetime.now(UTC).date(), everything=True).outcome.quiet
    assert warehouse.rows(failures) == found


def _check_keys(demo: Demo) -> list[dg.AssetCheckKey]:
    from pipelines.definitions import sverka

    graph = sverka().resolve_asset_graph()
    gated = [key for key in graph.asset_check_keys if key.asset_key.path[0] == "documents"]
    of_laws = [
        k for k in graph.asset_check_keys if k.name in ("every_kopeck_is_explained", "debit_equals_credit")
    ]
    return [*gated, *of_laws]


def test_time_passes_then_a_second_sync_carries_it_and_a_third_does_nothing(demo: Demo) -> None:
    found = demo.company
    ticked = found.sandbox.control("tick", {"days": 3, "deals": 20})
    assert ticked["crm"]["new_deal"] == 20
    assert run_job("sync", quiet=True).success
    assert all(law.holds for law in laws.check(found.warehouse))
    left = differences_from_truth(found, first=False)
    assert [said for said in left if not _is_explained(found, said.partition(": ")[0])] == []
    before, seen = operations(found), found.ours()
    assert run_job("sync", quiet=True).success
    assert operations(found) == before, "nothing changed, nothing is planned"
    assert found.ours() == seen


def _is_explained(found: Company, deal: str) -> bool:
    """Whether a person is told: what changed after posting, or is no longer due, stands in the variances."""
    return bool(
        found.warehouse.scalar(
            """
            select count(*) from ledger.variance where deal_id = %s
            """,
            [deal],
        )
    )


def test_managers_see_payment_and_debt_in_their_own_crm(demo: Demo) -> None:
    found = demo.company
    rows = found.warehouse.rows(
        "select source_id, payment_status, debt, due_on from feedback.deal where source = 'bitrix24'"
    )
    today = found.sandbox.info["today"]
    paid = next(r for r in rows if r[1] == "paid")
    overdue = next(r for r in rows if r[2] > 0 and r[3] and r[3].isoformat() < today)
    assert _shown(found, paid[0]) == ("Оплачено", Decimal(0))
    assert _shown(found, overdue[0]) == ("Просрочено", overdue[2])


def _shown(found: Company, deal: str) -> tuple[str, Decimal]:
    item = found.sandbox.call("crm.item.get", entityTypeId=2, id=int(deal))["result"]["item"]
    return item["ufCrmSverkaPaymentStatus"], Decimal(str(item["ufCrmSverkaDebt"] or 0))


def test_an_overdue_invoice_has_exactly_one_task_however_often_we_sync(demo: Demo) -> None:
    found = demo.company
    assert found.sync().planned.quiet
    assert found.sync().planned.quiet
    made = [t["xmlId"] for t in _tasks(found)]
    meant = [
        key
        for (key,) in found.warehouse.rows(
            "select key from ops.operation where kind = 'task' and state = 'verified'"
        )
    ]
    assert len(made) == len(set(made)) > 0
    assert sorted(made) == sorted(meant)


def _tasks(found: Company) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = []
    start: int | None = 0
    while start is not None:
        page = found.sandbox.call("tasks.task.list", select=["ID", "XML_ID"], start=start)
        tasks += page["result"]["tasks"]
        start = page.get("next")
    return tasks


def test_deals_with_another_spelling_are_carried_once_the_mapping_knows_it(
    demo: Demo, tmp_path: Path
) -> None:
    found = demo.company
    held = [deal for deal, checks in found.held().items() if "product_resolved" in checks]
    aliased = {
        f"bitrix24:{deal['bitrix24']}"
        for deal in found.sandbox.control("truth")["deals"].values()
        if "product_alias" in deal["dirt"] and deal["outcome"] == "load"
    }
    waiting = sorted(aliased & set(held))
    assert waiting
    _with_aliases(found, tmp_path)
    with environment({"SVERKA_MAPPINGS": str(tmp_path)}):
        found.sync("bitrix24")
        now = found.held()
        ours = {deal for deal, _ in found.ours()}
    assert [deal for deal in waiting if deal in now or deal not in ours] == []


def _with_aliases(found: Company, folder: Path) -> None:
    products = {
        line["code"]: line["name"]
        for d in found.sandbox.control("truth")["deals"].values()
        for line in d["lines"]
    }
    lines = [
        f"    - {{name: '{alias}', is: '{products[code]}'}}"
        for alias, code in found.sandbox.control("truth")["aliases"].items()
    ]
    for path in DEMO.glob("*.yaml"):
        text = path.read_text()
        if path.stem == "bitrix24":
            text = text.replace(
                "  match: [code, name]\n", "\n".join(["  match: [code, name]", "  aliases:", *lines, ""])
            )
        (folder / path.name).write_text(text)


def test_what_marketing_cost_stands_beside_the_deals_that_came_by_it(demo: Demo) -> None:
    ask = demo.company.warehouse.rows
    assert ask("select count(*) from core.marketing_spend where problems <> '{}'") == [(0,)]
    ((spent,),) = ask("select sum(amount) from core.marketing_spend")
    ((deals,),) = ask(
        "select count(*) from marts.deal where not is_deleted and (created_on is null or created_on <= current_date)"
    )
    by_radio = "sum(leads) filter (where lead_source = 'Радио')"
    assert ask(f"select sum(spend), sum(leads), {by_radio} from marts.marketing_roi") == [(spent, deals, 0)]
    states = [row[0] for row in ask("select distinct state from marts.marketing_roi order by 1")]
    assert states == ["deals without spend", "spend and deals", "spend without deals"]


def test_the_entries_of_1c_say_what_sales_cost(demo: Demo) -> None:
    told = demo.company.warehouse.rows(
        "select currency, count(*) > 0, bool_and(margin < net) from marts.sale_profit"
        " where kind = 'realization' and cost > 0 group by currency"
    )
    assert told == [("RUB", True, True)]
