"""Law 1: nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from hypothesis import example, given, settings

from pipelines.refresh import empty_scope
from resources.connector import Page, SourceError
from tests.laws.acts import ACCOUNTING, BRANCH, CRM, Act, do, history
from tests.laws.conftest import Towns, examples
from tests.laws.town import Done, Town

# What each kind of record becomes, by the mapping file of the demo company.
BECOMES = {
    "deal": "core.deal", "deal_line": "core.deal_line", "company": "core.client_record", "requisite": "core.requisite",
    "product": "core.product", "employee": "core.employee", "lead_source": "core.lead_source",
}  # fmt: skip


@settings(max_examples=examples(4))
@given(acts=history(CRM, BRANCH, ACCOUNTING, least=2, most=10))
@example(
    acts=[
        Act("deliver_badly", 1, 2, 3),
        Act("edit_line", 0, 0, 0),
        Act("send_rubbish", 1, 1, 1),
        Act("give_deal", 0, 0, 7),
    ]
)
def test_everything_received_is_in_core_or_set_apart_or_left_out_by_a_named_rule(
    towns: Towns, acts: list[Act]
) -> None:
    with towns() as town:
        batches = town.sync().batches
        for act in acts:
            do(town, act)
        batches += town.sync().batches
        for batch in batches:
            assert not batch.error
            if batch.mode != "sweep":
                assert batch.received == batch.added + batch.changed + batch.unchanged + batch.rejected, batch
        kept = town.rows(
            "select received = added + changed + unchanged + rejected from ops.batch where mode <> 'sweep'"
        )
        assert all(adds_up for (adds_up,) in kept), "ops.batch tells other counts than the reader"
        for entity, table in BECOMES.items():
            check_entity(town, entity, table)
        check_money(town)
        apart = {(entity, place) for entity, place in town.rows("select entity, place from ops.quarantine")}
        assert {(entity, reject.place) for entity, reject in town.portal.rejects} <= apart


def check_entity(town: Town, entity: str, table: str) -> None:
    """Every record that the portal holds stands in its table, or a named rule leaves it out."""
    there = {
        key
        for (key,) in town.rows(f"select source_id from {table} where source = 'bitrix24' and not is_deleted")
    }
    ignored: set[str] = set()
    for compiled in town.road.reads[table].compiled:
        if compiled.raw_table == f"raw.bitrix24_{entity}" and compiled.ignored:
            with town.warehouse.transaction() as conn:
                empty_scope(conn)
                conn.execute(
                    f"insert into scope select distinct 'bitrix24:' || source_id from raw.bitrix24_{entity}"
                )
                found = conn.execute(compiled.ignored.encode()).fetchall()
            assert all(rule for _, rule in found)
            ignored |= {key for key, _ in found}
    assert there | ignored >= set(town.portal.all(entity)), f"a {entity} was lost"
    assert there <= set(town.portal.all(entity)), f"{table} holds a {entity} that is not there"


def check_money(town: Town) -> None:
    """The sum of all lines is the sum of what was received, rounded line by line."""
    cents = Decimal("0.01")
    received = sum(
        ((Decimal(str(row["price"])) * Decimal(str(row["quantity"]))).quantize(cents, "ROUND_HALF_UP")
         for row in town.portal.all("deal_line").values()), Decimal(0))  # fmt: skip
    ((held,),) = town.rows(
        "select coalesce(sum(amount), 0) from core.deal_line where source = 'bitrix24' and not is_deleted"
    )
    assert held == received


def test_a_record_that_is_no_json_is_set_apart_and_its_neighbours_are_kept(towns: Towns) -> None:
    with towns(Town.sync) as town:
        deals = list(town.portal.all("deal"))
        for deal in deals:
            town.portal.change("deal", deal, title=f"Новое имя {deal}")
        town.portal.raw_payloads["deal", deals[0]] = (
            b'{"id": ' + deals[0].encode() + b', "title": "a\\u0000b"}'
        )
        done = town.sync()
        (batch,) = [
            b
            for b in done.batches
            if b.entity == "deal" and b.source == "bitrix24" and b.mode == "incremental"
        ]
        assert (batch.rejected, batch.changed, batch.error) == (1, len(deals) - 1, "")
        assert town.rows(
            "select deal_id from documents.held where check_name = 'rows_not_set_apart'"
        ) or town.rows("select deal_id from documents.deal where set_apart is not null") == [
            (f"bitrix24:{deals[0]}",)
        ]
        titles = dict(town.rows("select source_id, title from core.deal where source = 'bitrix24'"))
        assert {titles[deal] for deal in deals[1:]} == {f"Новое имя {deal}" for deal in deals[1:]}
        # Mended in the portal: it is let go at the next read.
        del town.portal.raw_payloads["deal", deals[0]]
        town.portal.change("deal", deals[0], title="Исправлено")
        town.sync()
        assert town.rows("select place from ops.quarantine where resolved_at is null") == []
        assert town.rows("select deal_id from documents.deal where set_apart is not null") == []


def test_a_read_that_fails_half_way_keeps_what_came_and_reads_the_rest_again(towns: Towns) -> None:
    with towns(Town.sync) as town:
        for number in range(5):
            do(town, Act("new_deal", number, 4, 2))
        healthy = type(town.portal).read
        town.portal.read = lambda *a, **k: _breaking(healthy(town.portal, *a, **k))  # type: ignore[method-assign]
        done = Done()
        town.read(done)
        assert any(batch.error for batch in done.batches)
        del town.portal.read
        town.sync()
        there = {
            key
            for (key,) in town.rows(
                "select source_id from core.deal where source = 'bitrix24' and not is_deleted"
            )
        }
        assert there == set(town.portal.all("deal"))


def _breaking(pages: Iterator[Page]) -> Iterator[Page]:
    for number, page in enumerate(pages):
        if number == 5:
            raise SourceError("the portal went away", retriable=True)
        yield page
