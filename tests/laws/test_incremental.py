"""Law 2: incremental = rebuild."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from resources.connector import Page, Record
from tests.laws.acts import ACCOUNTING, BRANCH, CRM, RULES, Act, do, history
from tests.laws.conftest import Towns, examples
from tests.laws.portal import Memory
from tests.laws.quick import QuickWarehouse
from tests.laws.town import Done, Town

ROUNDS = 2
SETTLING = 4  # syncs: a bound, usually two are enough
OF_HISTORY = {"core.deal_step"}  # tells what was before, which who comes at the end has not seen


def until_quiet(town: Town) -> None:
    """What was written into accounting is read as its catalogue by the next sync."""
    for _ in range(SETTLING):
        logged = town.logged()
        town.sync()
        if town.logged() == logged:
            return
    raise AssertionError(f"{SETTLING} syncs with nothing new are not quiet")


@settings(max_examples=examples(4))
@given(st.lists(history(CRM, BRANCH, ACCOUNTING, RULES, least=2, most=12), min_size=1, max_size=ROUNDS))
@example(
    [[Act("give_deal", a, 1, 7) for a in range(3)], [Act("give_deal", 0, 1, 8)]]
)  # left out by a rule, and back
def test_any_history_leaves_the_tables_that_a_rebuild_and_a_fresh_start_give(
    towns: Towns, rounds: list[list[Act]]
) -> None:
    with towns(Town.sync) as town:
        for acts in rounds:
            for act in acts:
                do(town, act)
                event(act.verb)
            town.sync()
        until_quiet(town)
        assert town.rebuild() == [], "a rebuild changed what the syncs had made"
        before = town.contents(without=("modified_at",))
        with towns() as fresh:
            feed(fresh, town)
            after = fresh.contents(without=("modified_at",))
        for table, rows in before.items():
            if table in OF_HISTORY:
                continue
            assert rows == after[table], f"{table} differs from a company that saw the final state only"


def feed(fresh: Town, town: Town) -> None:
    """Give an empty warehouse the final state, tombstones included, and what was written and decided."""
    fresh.remap(*town.reworded)
    fresh.portal, fresh.sheets, fresh.books = town.portal, town.sheets, town.books
    fresh.portal.now = town.portal.now
    fresh.road._open = {"bitrix24": Final(town.portal), "branch": Final(town.sheets), "onec": town.books}
    copy_memory(town.warehouse, fresh.warehouse)
    done = Done()
    fresh.read(done)
    for batch in done.batches:
        assert not batch.error
    tombstones(town, fresh)
    fresh.derive(done)
    fresh.settle(done)


class Final:
    """A source that says each record once, as it stands at the end; the dead ones as tombstones."""

    def __init__(self, memory: Memory) -> None:
        self.memory, self.system = memory, memory.system
        self.capabilities = memory.capabilities

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        for entity in entities:
            records = [self.memory.record(entity, key) for key in self.memory.all(entity)]
            dead = [Record(r.source_id, r.payload, r.modified_at, r.parent_id, deleted=True)
                    for (name, key), r in self.memory.seen.items() if name == entity and key not in self.memory.all(entity)]  # fmt: skip
            yield Page(entity, [*records, *dead])

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        yield list(self.memory.all(entity))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.memory, name)


def copy_memory(old: QuickWarehouse, new: QuickWarehouse) -> None:
    """The operation ledger and people's decisions: what no source can tell again."""
    with old.transaction() as source, new.transaction() as target:
        target.execute("set local session_replication_role = replica")
        for table in (
            "ops.operation",
            "ops.release",
            "ops.identity_decision",
            "ops.identity_kept",
            "ops.client_id",
            "ops.payment_decision",
        ):
            columns = ", ".join(
                row[0] for row in source.execute(
                    "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
                    " and attidentity = ''", [table]))  # fmt: skip
            with (
                source.cursor().copy(f"copy {table} ({columns}) to stdout") as out,
                target.cursor().copy(f"copy {table} ({columns}) from stdin") as into,
            ):
                for block in out:
                    into.write(block)


def tombstones(town: Town, fresh: Town) -> None:
    """Accounting's records that are gone: as they were last seen."""
    for entity in town.road.accounting.entities:
        gone = town.rows(
            f"select source_id, parent_id, payload::text from raw.onec_{entity} where is_current and deleted"
        )
        with fresh.warehouse.transaction() as conn:
            for row in gone:
                conn.execute(
                    f"insert into raw.onec_{entity} (source_id, parent_id, payload, seen_at, batch_id, is_current, deleted)"
                    " values (%s, %s, %s, now(), 1, true, true)", row)  # fmt: skip
