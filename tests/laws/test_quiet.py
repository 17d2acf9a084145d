"""Law 6: quiet when quiet."""

from __future__ import annotations

from hypothesis import given, settings

from pipelines.news import news
from tests.laws.acts import ACCOUNTING, BRANCH, CRM, RULES, Act, do, history
from tests.laws.conftest import Towns, examples
from tests.laws.town import Town

UNTIL_QUIET = 4  # syncs: what was written is read as catalogue by the next, and told by the one after


@settings(max_examples=examples(3))
@given(acts=history(CRM, BRANCH, ACCOUNTING, RULES, least=2, most=10))
def test_a_sync_with_nothing_new_plans_writes_and_logs_nothing(towns: Towns, acts: list[Act]) -> None:
    with towns() as town:
        for act in acts:
            do(town, act)
        for _ in range(UNTIL_QUIET):
            town.sync()
        before, writes = memory(town), list(town.books.writes)
        done = town.sync()
        assert [batch for batch in done.batches if not batch.quiet or batch.error] == []
        assert [outcome for outcome in done.outcomes if not outcome.quiet] == []
        assert done.planned.quiet
        assert done.carried.written == 0
        assert all(": 0 planned, 0 written" in line for line in done.written_back), done.written_back
        assert memory(town) == before, "something was remembered of nothing"
        assert town.books.writes == writes


def test_our_own_writing_is_neither_a_change_nor_news(towns: Towns) -> None:
    with towns() as town:
        first = town.sync()
        assert any(", 0 written" not in line for line in first.written_back), (
            "nothing was written back: nothing is shown here"
        )
        town.sync()
        systems = list(town.road.mappings.systems)
        assert {system.name: news(town.road, system, town.portal.now) for system in systems} == {
            s.name: None for s in systems
        }
        town.portal.tick(1)
        second = town.sync()
        deals = [
            batch
            for batch in second.batches
            if batch.source == "bitrix24" and batch.entity in ("deal", "company") and batch.mode != "sweep"
        ]
        assert sum(batch.received for batch in deals) > 0, "the portal did not deliver what we had written"
        assert [batch for batch in deals if not batch.quiet] == []


def test_a_change_of_the_portal_or_of_accounting_is_news(towns: Towns) -> None:
    with towns(Town.sync) as town:
        town.sync()
        do(town, Act("edit_line", 0, 0, 0))
        do(town, Act("edit_document", 0, 0, 0))
        told = {
            system.name: news(town.road, system, town.portal.now) for system in town.road.mappings.systems
        }
        assert told["bitrix24"] is not None
        assert told["onec"] is not None
        assert told["branch"] is None


def memory(town: Town) -> list[object]:
    """Everything that a sync might leave behind, save that it took place."""
    kept: list[object] = [town.contents(stages=("core", "documents", "ledger", "feedback"))]
    kept.append(town.logged())
    tables = (
        "ops.operation",
        "ops.operation_event",
        "ops.echo",
        "ops.quarantine",
        "ops.clean_value",
        "ops.mapping_version",
    )
    kept += [(table, town.rows(f"select count(*) from {table}")) for table in tables]
    kept += [(name, town.rows(f"select count(*) from raw.{name}")) for (name,) in town.rows(
        "select relname from pg_class where relnamespace = 'raw'::regnamespace and relkind = 'r' order by 1")]  # fmt: skip
    return kept
