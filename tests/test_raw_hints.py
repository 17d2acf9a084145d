"""What webhooks hint at is read by key after the ordinary read, and nothing they do changes anything wrongly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.news import news
from pipelines.raw.hints import KEPT, MAX_KEYS, MAX_TRIES, forget_hooks, waiting
from pipelines.raw.load import read_source, store_page
from pipelines.raw.settle import LAG
from resources.connector import Change, Page, Record, SourceError
from resources.warehouse import Warehouse
from tests.hinting_source import Town, living, sync

ENTITIES = ("deal", "line", "tag")


@pytest.fixture
def town(warehouse: Warehouse) -> Town:
    found = Town()
    for number in ("1", "2", "3"):
        found.put(number, title="first", lines=2)
    sync(warehouse, found)
    found.asked.clear()
    return found


def hint(warehouse: Warehouse, *ids: str, entity: str = "deal", digest: str = "") -> int:
    """Keep a webhook as the receiver does; its number."""
    return int(
        warehouse.scalar(
            "insert into ops.hook (system, entity, ids, digest) values ('town', %s, %s, %s)"
            " on conflict (system, entity, digest) where seen_at is null"
            " do update set times = ops.hook.times + 1, last_at = excluded.last_at returning hook_id",
            [entity, list(ids), digest or f"{entity} {' '.join(ids)}"],
        )
    )


def unseen(warehouse: Warehouse) -> int:
    return int(warehouse.scalar("select count(*) from ops.hook where seen_at is null"))


def test_a_hinted_record_is_read_though_no_stamp_tells_of_its_change(
    warehouse: Warehouse, town: Town
) -> None:
    town.put("2", silently=True, title="second", lines=1)
    sync(warehouse, town)
    assert living(warehouse, "town", "deal")[1][2]["title"] == "first"
    hint(warehouse, "2")
    assert sync(warehouse, town) == []
    assert living(warehouse, "town", "deal")[1][2]["title"] == "second"
    assert [row[0] for row in living(warehouse, "town", "line")] == ["1-0", "1-1", "2-0", "3-0", "3-1"]
    assert unseen(warehouse) == 0
    town.asked.clear()
    sync(warehouse, town)
    assert town.asked == [], "what was seen is not read again"


def test_a_hinted_deletion_is_seen_at_once_with_its_children(warehouse: Warehouse, town: Town) -> None:
    town.drop("3")
    hint(warehouse, "3")
    sync(warehouse, town)
    assert [row[0] for row in living(warehouse, "town", "deal")] == ["1", "2"]
    assert [row[0] for row in living(warehouse, "town", "line")] == ["1-0", "1-1", "2-0", "2-1"]
    assert warehouse.scalar("select payload ->> 'title' from raw.town_deal where deleted") == "first"


def test_a_survivor_that_is_told_after_its_loser_was_found_gone_is_news_once(
    warehouse: Warehouse, town: Town
) -> None:
    town.drop("3")
    hint(warehouse, "3")
    sync(warehouse, town)
    merged = Page("deal", [Record("3", b"{}", deleted=True, merged_into="1")])
    for told in (1, 0):
        warehouse.execute("delete from ops.change_log")
        store_page(warehouse, "town", town.capabilities, merged)
        assert warehouse.rows("select table_name, key from ops.change_log") == [("raw.town_deal", "3")] * told
    assert warehouse.rows("select source_id, into_id from ops.merged") == [("3", "1")]


def test_a_merge_that_was_undone_is_forgotten(warehouse: Warehouse, town: Town) -> None:
    """Merges back and forth end in a circle otherwise: each of two records would have gone into the other."""
    told = "select source_id, into_id from ops.merged"
    for lost, kept in (("3", "1"), ("1", "3")):
        page = Page("deal", [Record(lost, b"{}", deleted=True, merged_into=kept)])
        store_page(warehouse, "town", town.capabilities, page)
        assert warehouse.rows(told) == [(lost, kept)]
        back = Page("deal", [Record(lost, b'{"title": "back"}')])
        store_page(warehouse, "town", town.capabilities, back)
        assert [row[0] for row in living(warehouse, "town", "deal")] == ["1", "2", "3"]
        assert warehouse.rows(told) == []


def test_a_survivor_is_not_said_to_have_gone_into_its_loser(warehouse: Warehouse, town: Town) -> None:
    """A restore, a merge the other way round and a deletion within one read: the restore is never seen."""
    told = "select source_id, into_id from ops.merged order by 1"
    for lost, kept in (("3", "1"), ("1", "2")):
        page = Page("deal", [Record(lost, b"{}", deleted=True, merged_into=kept)])
        store_page(warehouse, "town", town.capabilities, page)
    assert warehouse.rows(told) == [("1", "2"), ("3", "1")], "a chain is no circle"
    warehouse.execute("delete from ops.change_log")
    merged = [Record("2", b"{}", deleted=True, merged_into="3"), Record("3", b"{}", deleted=True)]
    store_page(warehouse, "town", town.capabilities, Page("deal", merged))
    assert warehouse.rows(told) == [("1", "2"), ("2", "3")]
    assert ("raw.town_deal", "3") in warehouse.rows("select table_name, key from ops.change_log")


def test_a_hint_at_a_record_that_never_was_leaves_nothing(warehouse: Warehouse, town: Town) -> None:
    hint(warehouse, "777")
    hint(warehouse, "8", entity="planet")
    sync(warehouse, town)
    assert warehouse.scalar("select count(*) from raw.town_deal where source_id = '777'") == 0
    assert waiting(warehouse, {"town": ENTITIES}) == [], "an entity that is not read asks for no read"


def test_a_late_older_version_and_a_deletion_undone_by_a_slow_copy_change_nothing(
    warehouse: Warehouse, town: Town
) -> None:
    old = {number: town.record(number) for number in ("1", "2")}
    town.put("1", title="newer")
    town.drop("2")
    hint(warehouse, "2")
    sync(warehouse, town)
    town.stale = old
    hint(warehouse, "1", "2")
    assert sync(warehouse, town) == []
    assert [(row[0], row[2]["title"]) for row in living(warehouse, "town", "deal")] == [
        ("1", "newer"),
        ("3", "first"),
    ]
    assert {row[1] for row in living(warehouse, "town", "line")} == {"1", "3"}
    town.stale.clear()
    town.put("2", title="brought back")
    hint(warehouse, "2", digest="again")
    sync(warehouse, town)
    assert living(warehouse, "town", "deal")[1][2]["title"] == "brought back"


def test_what_was_committed_late_with_an_older_stamp_wins_once_no_slow_copy_explains_it(
    warehouse: Warehouse, town: Town
) -> None:
    before = town.now
    town.put("1", title="in between")
    sync(warehouse, town)
    town.put("1", silently=True, title="of a long transaction")
    town.stamps["1"] = before

    def read() -> str:
        read_source(warehouse, town, full=True, now=town.now)
        return str(living(warehouse, "town", "deal")[0][2]["title"])

    assert read() == "in between"
    warehouse.execute("update raw.town_deal set seen_at = seen_at - %s", [LAG])
    assert read() == "of a long transaction"


def test_a_restored_record_with_an_old_stamp_comes_back_with_a_full_read_and_not_by_a_slow_copy(
    warehouse: Warehouse, town: Town
) -> None:
    old = town.record("2")
    later = Record("2", b"{}", town.now + timedelta(minutes=5), deleted=True)
    store_page(warehouse, "town", town.capabilities, Page("deal", [later]))
    warehouse.execute("update raw.town_deal set seen_at = seen_at - %s", [LAG])
    store_page(warehouse, "town", town.capabilities, Page("deal", [old]))
    assert [row[0] for row in living(warehouse, "town", "deal")] == ["1", "3"]
    read_source(warehouse, town, full=True, now=town.now)
    assert [row[0] for row in living(warehouse, "town", "deal")] == ["1", "2", "3"]


def test_a_failed_read_leaves_the_hints_unseen_and_keeps_what_it_received(
    warehouse: Warehouse, town: Town
) -> None:
    town.put("1", silently=True, title="second")
    town.drop("3")
    hint(warehouse, "1")
    hint(warehouse, "3")
    town.fails = SourceError("town: no answer; try again", retriable=True)
    for _ in range(MAX_TRIES + 1):
        assert sync(warehouse, town) == ["town: no answer; try again"] * 2
    assert unseen(warehouse) == 2
    assert living(warehouse, "town", "deal")[0][2]["title"] == "second"
    town.fails = None
    assert sync(warehouse, town) == []
    assert unseen(warehouse) == 0
    assert [row[0] for row in living(warehouse, "town", "deal")] == ["1", "2"]


def test_a_system_that_is_down_keeps_its_hints_and_is_not_asked_twice(
    warehouse: Warehouse, town: Town
) -> None:
    hint(warehouse, "1")
    town.down = SourceError("town: no connection", retriable=True)
    assert set(sync(warehouse, town)) == {"town: no connection"}
    assert town.asked == []
    assert unseen(warehouse) == 1


def test_what_is_refused_for_good_is_given_up_after_a_few_runs(warehouse: Warehouse, town: Town) -> None:
    hint(warehouse, "not a number")
    town.fails = SourceError("town: bad id")
    for left in [*[1] * (MAX_TRIES - 1), 0]:
        assert sync(warehouse, town)
        assert unseen(warehouse) == left
    town.asked.clear()
    assert sync(warehouse, town) == []
    assert town.asked == []


def test_one_that_comes_again_while_it_is_read_is_read_again(warehouse: Warehouse, town: Town) -> None:
    number = hint(warehouse, "1")
    keys = town.read_keys

    def meanwhile(entity: str, ids: list[str]) -> object:
        yield from keys(entity, ids)
        assert hint(warehouse, "1") == number, "the same row, once more"
        town.put("1", silently=True, title="after we looked")

    town.read_keys = meanwhile  # type: ignore[method-assign, assignment]
    sync(warehouse, town)
    assert warehouse.rows("select times, seen_at from ops.hook") == [(2, None)]
    town.read_keys = keys  # type: ignore[method-assign]
    sync(warehouse, town)
    assert unseen(warehouse) == 0
    assert living(warehouse, "town", "deal")[0][2]["title"] == "after we looked"
    assert hint(warehouse, "1") != number, "what comes after it was seen is new"
    assert unseen(warehouse) == 1


def test_an_entity_that_is_read_whole_needs_no_keys(warehouse: Warehouse, town: Town) -> None:
    hint(warehouse, "red", entity="tag")
    hint(warehouse, "", digest="some deal")
    sync(warehouse, town)
    assert town.asked == []
    assert unseen(warehouse) == 0


def test_a_run_reads_no_more_than_its_share_and_the_rest_waits(warehouse: Warehouse, town: Town) -> None:
    for start in range(0, MAX_KEYS + 600, 400):
        hint(warehouse, *map(str, range(start, start + 400)))
    sync(warehouse, town)
    ((_, first),) = town.asked
    assert len(first) == MAX_KEYS
    assert unseen(warehouse) == 2
    sync(warehouse, town)
    assert len(town.asked[1][1]) == 800
    assert unseen(warehouse) == 0


def test_many_hints_at_one_record_are_one_key(warehouse: Warehouse, town: Town) -> None:
    hint(warehouse, "1")
    warehouse.execute(
        "insert into ops.hook (system, entity, ids, digest)"
        " select system, entity, ids, n::text from ops.hook, generate_series(1, %s) n",
        [MAX_KEYS + 100],
    )
    sync(warehouse, town)
    assert town.asked == [("deal", ["1"])]
    assert unseen(warehouse) == 0


def test_most_gone_at_once_is_not_believed(warehouse: Warehouse, town: Town) -> None:
    for number in range(10, 60):
        town.put(str(number))
    sync(warehouse, town)
    kept, town.deals = town.deals, {}
    hint(warehouse, *kept)
    (said,) = sync(warehouse, town)[:1]
    assert "are gone at once" in said
    assert len(living(warehouse, "town", "deal")) == 53
    assert unseen(warehouse) == 1


def test_our_own_write_asks_for_no_read(warehouse: Warehouse, town: Town) -> None:
    warehouse.execute(
        "insert into ops.echo (system, kind, key, version, at) values ('town', 'deal', '1', '', now())"
    )
    hint(warehouse, "1")
    assert waiting(warehouse, {"town": ENTITIES}) == []
    hint(warehouse, "1", "2")
    (found,) = waiting(warehouse, {"town": ENTITIES})
    assert (found.system, found.count, found.newest) == ("town", 1, "deal 1")
    warehouse.execute("update ops.echo set at = now() - interval '1 hour'")
    (found,) = waiting(warehouse, {"town": ENTITIES})
    assert found.count == 2


def test_old_ones_are_forgotten(warehouse: Warehouse) -> None:
    hint(warehouse, "1")
    old = hint(warehouse, "2")
    at = datetime.now(UTC) - KEPT - timedelta(hours=1)
    warehouse.execute("update ops.hook set received_at = %s where hook_id = %s", [at, old])
    with warehouse.transaction() as conn:
        assert forget_hooks(conn) == 1
    assert warehouse.scalar("select ids from ops.hook") == ["1"]


def test_a_record_without_stamps_that_was_deleted_comes_back(warehouse: Warehouse, town: Town) -> None:
    town.drop("1")
    hint(warehouse, "1")
    sync(warehouse, town)
    town.stale = {"1": Record("1", b'{"id": "1"}', None)}
    hint(warehouse, "1", digest="back")
    sync(warehouse, town)
    assert living(warehouse, "town", "deal")[0][0] == "1"


def test_a_hint_that_the_connector_stumbles_over_is_tried_three_times(
    warehouse: Warehouse, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_keys(entity: str, keys: Sequence[str]) -> Iterator[Page]:
        town.asked.append((entity, list(keys)))
        raise OverflowError("date value out of range")

    monkeypatch.setattr(town, "read_keys", read_keys)
    hint(warehouse, "2")
    for left in [*[1] * (MAX_TRIES - 1), 0]:
        (said,) = sync(warehouse, town)
        assert "town: the connector stumbled" in said
        assert "OverflowError: date value out of range" in said
        assert unseen(warehouse) == left
    assert sync(warehouse, town) == []
    assert len(town.asked) == MAX_TRIES


def test_a_connector_that_stumbles_over_its_ids_or_counts_fails_its_own_sweep(
    warehouse: Warehouse, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*asked: object) -> Iterator[Sequence[str]]:
        raise KeyError("total")

    with monkeypatch.context() as context:
        context.setattr(town, "counts", stumble)
        sync(warehouse, town)
    monkeypatch.setattr(town, "keys", stumble)
    errors = sync(warehouse, town, sweep=True)
    assert errors
    assert all("stumbled" in error and "KeyError: 'total'" in error for error in errors)
    assert [row[0] for row in living(warehouse, "town", "deal")] == ["1", "2", "3"]


def test_a_look_that_a_connector_stumbles_over_is_told_as_its_error(
    warehouse: Warehouse, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changes(since: datetime) -> Iterator[Change]:
        yield Change("deal", "1", town.stamps["1"])
        raise TypeError("no stamp")

    monkeypatch.setattr(town, "changes", changes)
    road: Any = SimpleNamespace(source=lambda system: town, warehouse=warehouse)
    system: Any = SimpleNamespace(name="town", entities=ENTITIES)
    with pytest.raises(SourceError, match=r"town: the connector stumbled.*TypeError: no stamp") as told:
        news(road, system, town.now)
    assert told.value.retriable
