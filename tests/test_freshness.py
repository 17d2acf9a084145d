"""How fresh each source is, and that people are told once when one fails or falls behind, and once when that is over."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from rich.console import Console

from mappings import MappingError, Mappings, load
from pipelines import news as news_module
from pipelines.alarms import review
from pipelines.assets import UP_TO_DATE, raw_entities
from pipelines.commands import show
from pipelines.deploy import reads_of
from pipelines.freshness import Freshness, freshness, interval, looked, looked_in_vain, span
from pipelines.news import News
from pipelines.processes import write_dagster_home
from pipelines.sensors import AGAIN, behind_sensor, change_sensor
from pipelines.sync import Road
from pipelines.watching import PAUSE, Watching, evaluations
from resources.connector import SourceError
from resources.warehouse import Warehouse
from tests.listeners import Posts, posts_listener
from tests.whole_road import DEMO, environment

NOW = datetime(2026, 11, 17, 12, tzinfo=UTC)
ALLOWED = timedelta(minutes=65)
LONG = NOW - timedelta(days=1)  # sensors have been looking since


@pytest.fixture
def mappings(tmp_path: Path) -> Iterator[Mappings]:
    with environment(
        {"SVERKA_SENSOR_SECONDS": None, "SVERKA_BEHIND_SECONDS": None, "SVERKA_MAPPINGS": str(DEMO)}
    ):
        yield load(DEMO, connected=False)


@pytest.fixture
def posts(warehouse: Warehouse) -> Iterator[Posts]:
    """What people are told; sensors look into this test's warehouse."""
    with posts_listener() as found:
        settings = {
            "SVERKA_NOTIFY_WEBHOOK": found.address, "SVERKA_NOTIFY_EMAIL": None, "SVERKA_NOTIFY_LANGUAGE": None,
            "SVERKA_DATABASE_URL": warehouse.url,
        }  # fmt: skip
        with environment(settings):
            yield found


def read_all(warehouse: Warehouse, mappings: Mappings, at: datetime) -> None:
    """Every entity of every system was read at `at`, without an error."""
    for system in mappings.systems:
        for entity in system.entities:
            batch(warehouse, system.name, entity, at)


def batch(warehouse: Warehouse, system: str, entity: str, at: datetime, error: str = "") -> None:
    """A reading that ended at `at`; with an `error` the cursor stays."""
    warehouse.execute(
        "insert into ops.batch (source, entity, mode, started_at, finished_at, status, message)"
        " values (%s, %s, 'incremental', %s, %s, %s, nullif(%s, ''))",
        [system, entity, at, at, "failed" if error else "loaded", error],
    )
    if not error:
        warehouse.execute(
            "insert into ops.cursor (source, entity, read_until) values (%s, %s, %s)"
            " on conflict (source, entity) do update set read_until = excluded.read_until",
            [system, entity, at],
        )


def bitrix24(warehouse: Warehouse, mappings: Mappings, now: datetime = NOW) -> Freshness:
    return next(f for f in freshness(warehouse, mappings, now) if f.system == "bitrix24")


def texts(posts: Posts) -> list[str]:
    return [post["text"] for post in posts.received]


# --- how fresh


def test_a_source_is_read_until_the_entity_of_it_that_was_read_first(
    warehouse: Warehouse, mappings: Mappings
) -> None:
    assert bitrix24(warehouse, mappings).read_until is None
    read_all(warehouse, mappings, NOW)
    batch(warehouse, "bitrix24", "deal", NOW - timedelta(minutes=7))
    found = bitrix24(warehouse, mappings)
    assert (found.read_until, found.lag) == (NOW - timedelta(minutes=7), timedelta(minutes=7))
    assert found.state == "fresh"
    assert found.sentence() == ""


def test_what_was_kept_while_our_clock_was_ahead_makes_no_source_fresh(
    warehouse: Warehouse, mappings: Mappings
) -> None:
    ahead, before = NOW + timedelta(days=3), NOW - timedelta(hours=5)
    read_all(warehouse, mappings, before)
    warehouse.execute("update ops.batch set window_to = %s", [before])
    read_all(warehouse, mappings, ahead)
    looked(warehouse, "bitrix24", ahead, found=False)
    found = bitrix24(warehouse, mappings)
    assert (found.read_until, found.state) == (before, "behind")
    looked(warehouse, "bitrix24", NOW, found=True)
    assert bitrix24(warehouse, mappings).is_behind
    looked(warehouse, "bitrix24", NOW, found=False)
    assert bitrix24(warehouse, mappings).read_until == NOW
    warehouse.execute("delete from ops.batch where window_to is not null")
    warehouse.execute("update ops.look set read_until = null")
    found = bitrix24(warehouse, mappings)
    assert (found.read_until, found.known_since) == (None, NOW), "nothing is known of when it was read"
    assert bitrix24(warehouse, mappings, NOW + timedelta(hours=5)).is_behind


def test_a_look_that_found_nothing_counts_as_a_reading_and_one_that_found_something_does_not(
    warehouse: Warehouse, mappings: Mappings
) -> None:
    read_all(warehouse, mappings, NOW - timedelta(hours=5))
    assert bitrix24(warehouse, mappings).is_behind
    looked(warehouse, "bitrix24", NOW - timedelta(minutes=2), found=True)
    assert bitrix24(warehouse, mappings).is_behind
    looked(warehouse, "bitrix24", NOW - timedelta(minutes=1), found=False)
    assert bitrix24(warehouse, mappings).lag == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({}, ALLOWED),
        ({"SVERKA_BEHIND_SECONDS": "600"}, timedelta(minutes=15)),
        ({"SVERKA_SENSOR_SECONDS": "60"}, timedelta(minutes=61)),
    ],
)
def test_a_source_is_behind_beyond_its_interval_and_what_is_allowed(
    warehouse: Warehouse, mappings: Mappings, settings: dict[str, str | None], allowed: timedelta
) -> None:
    with environment(settings):
        read_all(warehouse, mappings, NOW)
        assert not bitrix24(warehouse, mappings, NOW + allowed).is_behind
        late = bitrix24(warehouse, mappings, NOW + allowed + timedelta(seconds=1))
        assert late.state == "behind"
        assert span(allowed) in late.sentence()


def test_a_source_that_was_never_read_is_behind_some_time_after_it_is_known(
    warehouse: Warehouse, mappings: Mappings
) -> None:
    assert bitrix24(warehouse, mappings).state == "fresh"
    assert bitrix24(warehouse, mappings, NOW + ALLOWED + timedelta(seconds=1)).is_behind


def test_an_entity_that_could_not_be_read_makes_its_source_unread_until_it_is_read(
    warehouse: Warehouse, mappings: Mappings
) -> None:
    read_all(warehouse, mappings, NOW - timedelta(minutes=20))
    batch(warehouse, "bitrix24", "deal", NOW - timedelta(minutes=10), "no right to deals")
    batch(warehouse, "bitrix24", "company", NOW)
    looked(warehouse, "bitrix24", NOW, found=False)
    found = bitrix24(warehouse, mappings)
    assert (found.state, found.failed, found.error) == ("unread", ("deal",), "no right to deals")
    assert found.failing_since == NOW - timedelta(minutes=10)
    assert found.lag == timedelta(minutes=20), "a look may be answered while a right is gone"
    batch(warehouse, "bitrix24", "deal", NOW)
    assert bitrix24(warehouse, mappings).state == "fresh"


def test_an_entity_that_was_never_read_is_not_hidden_by_those_that_were(
    warehouse: Warehouse, mappings: Mappings
) -> None:
    read_all(warehouse, mappings, NOW)
    warehouse.execute("delete from ops.cursor where source = 'bitrix24' and entity = 'deal'")
    batch(warehouse, "bitrix24", "deal", NOW, "no right to deals")
    assert bitrix24(warehouse, mappings).read_until is None


def test_a_look_that_nobody_answered_is_no_alarm_and_one_that_was_refused_is(
    warehouse: Warehouse, mappings: Mappings
) -> None:
    read_all(warehouse, mappings, NOW)
    looked_in_vain(warehouse, "bitrix24", NOW, SourceError("no connection", retriable=True))
    found = bitrix24(warehouse, mappings)
    assert (found.state, found.error) == ("fresh", "no connection")
    looked_in_vain(warehouse, "bitrix24", NOW + timedelta(minutes=5), SourceError("token revoked"))
    found = bitrix24(warehouse, mappings)
    assert (found.state, found.error, found.failing_since) == ("unread", "token revoked", NOW)
    looked(warehouse, "bitrix24", NOW, found=False)
    assert bitrix24(warehouse, mappings).state == "fresh"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(45, "45 s"), (3900, "1 h 5 min"), (7200, "2 h"), (90061, "1 d 1 h"), (0, "0 s"), (86430, "1 d")],
)
def test_a_span_is_said_in_two_units(seconds: int, said: str) -> None:
    assert span(timedelta(seconds=seconds)) == said


# --- alarms


def test_a_failure_is_told_once_when_it_begins_and_once_when_it_is_over(
    warehouse: Warehouse, mappings: Mappings, posts: Posts
) -> None:
    read_all(warehouse, mappings, NOW)
    batch(warehouse, "bitrix24", "deal", NOW, "bitrix24: no right to deals; give it")
    for minute in range(3):
        batch(
            warehouse,
            "bitrix24",
            "deal",
            NOW + timedelta(minutes=minute),
            "bitrix24: no right to deals; give it",
        )
        review(warehouse, mappings, NOW + timedelta(minutes=minute))
    (told,) = texts(posts)
    assert told == (
        "Sverka: Bitrix24 of the sales department (bitrix24) cannot be read since 17.11.2026 12:00 UTC: bitrix24: no"
        " right to deals; give it. The other systems go on; it was read until 17.11.2026 12:00 UTC, and what was read"
        " stays as it is."
    )
    batch(warehouse, "bitrix24", "deal", NOW + timedelta(minutes=9))
    for minute in (10, 11):
        review(warehouse, mappings, NOW + timedelta(minutes=minute))
    assert len(posts.received) == 2
    assert texts(posts)[1] == (
        "Sverka: Bitrix24 of the sales department (bitrix24) is read again; it was not from 17.11.2026 12:00 UTC to"
        " 17.11.2026 12:10 UTC."
    )
    assert (
        warehouse.scalar("select count(*) from ops.notification where kind = 'webhook' and error is null")
        == 2
    )


def test_two_reviews_at_once_tell_one_message(warehouse: Warehouse, mappings: Mappings, posts: Posts) -> None:
    read_all(warehouse, mappings, NOW)
    batch(warehouse, "bitrix24", "deal", NOW, "no right to deals")
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(review, warehouse, mappings, NOW) for _ in range(8)]:
            done.result()
    assert len(posts.received) == 1


def test_people_are_told_in_russian_where_that_is_asked_for(
    warehouse: Warehouse, mappings: Mappings, posts: Posts
) -> None:
    read_all(warehouse, mappings, NOW)
    batch(warehouse, "bitrix24", "deal", NOW, "нет права на сделки")
    with environment({"SVERKA_NOTIFY_LANGUAGE": "ru"}):
        review(warehouse, mappings, NOW)
        batch(warehouse, "bitrix24", "deal", NOW)
        review(warehouse, mappings, NOW)
    begun, over = texts(posts)
    assert "(bitrix24) не читается с 17.11.2026 12:00 UTC: нет права на сделки." in begun
    assert "снова читается" in over


def test_a_source_that_falls_behind_is_told_of_once_with_what_is_known_of_the_cause(
    warehouse: Warehouse, mappings: Mappings, posts: Posts
) -> None:
    read_all(warehouse, mappings, NOW)
    late = NOW + ALLOWED + timedelta(minutes=1)
    for system in ("branch", "onec"):
        looked(warehouse, system, late, found=False)
    looked_in_vain(warehouse, "bitrix24", late, SourceError("no connection to the portal", retriable=True))
    for _ in range(2):
        review(warehouse, mappings, late, watched_since=LONG)
    (told,) = texts(posts)
    assert "(bitrix24) is behind: it was read until 17.11.2026 12:00 UTC (1 h 6 min ago)" in told
    assert "Cause: no connection to the portal." in told
    looked(warehouse, "bitrix24", late, found=False)
    review(warehouse, mappings, late, watched_since=LONG)
    assert "is up to date again" in texts(posts)[1]
    assert len(posts.received) == 2


def test_after_sverka_itself_stood_still_nobody_is_called_behind_before_sensors_looked_twice(
    warehouse: Warehouse, mappings: Mappings, posts: Posts
) -> None:
    read_all(warehouse, mappings, NOW - timedelta(days=2))
    review(warehouse, mappings, NOW, watched_since=NOW)
    review(warehouse, mappings, NOW + timedelta(minutes=9), watched_since=NOW)
    assert posts.received == []
    review(warehouse, mappings, NOW + timedelta(minutes=10), watched_since=NOW)
    assert len(posts.received) == len(mappings.systems)


def test_what_is_over_before_anybody_was_told_and_what_is_no_longer_connected_is_told_to_nobody(
    warehouse: Warehouse, mappings: Mappings, posts: Posts
) -> None:
    read_all(warehouse, mappings, NOW)
    warehouse.execute(
        "insert into ops.alarm (system, kind, began_at, cause) values ('bitrix24', 'unread', %s, 'x'), ('gone', 'unread', %s, 'x')",
        [NOW, NOW],
    )
    review(warehouse, mappings, NOW)
    review(warehouse, mappings, NOW)
    assert posts.received == []
    assert warehouse.scalar("select count(*) from ops.alarm where ended_at is null") == 0


# --- sensors


def look(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None = None
) -> SensorExecutionData:
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        return sensor.evaluate_tick(context)


def shown(found: SensorExecutionData) -> list[dg.AssetCheckEvaluation]:
    return [event for event in found.asset_events if isinstance(event, dg.AssetCheckEvaluation)]


def test_the_sensor_asks_no_system_opens_no_run_and_shows_a_change_once(
    warehouse: Warehouse, mappings: Mappings, posts: Posts
) -> None:
    assert mappings.unset(), "no system can be reached"
    now = datetime.now(UTC)
    read_all(warehouse, mappings, now)
    sensor = behind_sensor(mappings)
    with dg.DagsterInstance.ephemeral() as instance:
        first = look(sensor, instance)
        assert first.skip_message == "every source is read in time"
        assert shown(first)
        assert all(event.passed for event in shown(first))
        again = look(sensor, instance, first.cursor)
        assert not again.asset_events
        batch(warehouse, "bitrix24", "deal", now, "no right to deals")
        failing = look(sensor, instance, again.cursor)
        assert [e.asset_key.path[-1] for e in shown(failing) if not e.passed] == ["bitrix24_deal"]
        assert "no right to deals" in (failing.skip_message or "")
        assert not look(sensor, instance, failing.cursor).asset_events
        assert not any(found.run_requests for found in (first, again, failing))
    assert len(posts.received) == 1


def test_what_the_sensor_shows_stands_in_dagster_as_the_state_of_the_check(
    warehouse: Warehouse, mappings: Mappings, tmp_path: Path
) -> None:
    read_all(warehouse, mappings, NOW)
    batch(warehouse, "bitrix24", "deal", NOW, "no right to deals")
    home = str(write_dagster_home(tmp_path, warehouse.dagster_url()))
    with dg.DagsterInstance.from_config(home) as instance:
        for event in evaluations(mappings, freshness(warehouse, mappings, NOW), {}):
            instance.report_runless_asset_event(event)
        key = dg.AssetCheckKey(dg.AssetKey(["raw", "bitrix24_deal"]), UP_TO_DATE)
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
        assert record.status.value == "FAILED"
        other = dg.AssetCheckKey(dg.AssetKey(["raw", "bitrix24_company"]), UP_TO_DATE)
        (record,) = instance.event_log_storage.get_asset_check_execution_history(other, limit=5)
        assert record.status.value == "SUCCEEDED"


def test_a_pause_between_two_looks_begins_the_watch_anew() -> None:
    kept = Watching.read(Watching(NOW, LONG, {"bitrix24": "fresh"}).cursor())
    assert (kept.last, kept.since, kept.shown) == (NOW, LONG, {"bitrix24": "fresh"})
    assert kept.since_at(NOW + PAUSE, PAUSE) == LONG
    after = NOW + PAUSE + timedelta(seconds=1)
    assert kept.since_at(after, PAUSE) == after
    assert Watching.read(None).since_at(NOW, PAUSE) == NOW


def test_a_source_that_answers_and_could_not_be_read_is_tried_at_once_and_then_each_hour(
    warehouse: Warehouse, mappings: Mappings, posts: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[News | None] = [None]
    monkeypatch.setattr(news_module, "news", lambda *_: found[0])
    read_all(warehouse, mappings, NOW)
    sensor = change_sensor(mappings.system("bitrix24"))
    with dg.DagsterInstance.ephemeral() as instance:
        assert not look(sensor, instance).run_requests
        batch(warehouse, "bitrix24", "deal", NOW, "no right to deals")
        asked = look(sensor, instance)
        assert [r.tags["sverka/why"] for r in asked.run_requests or []] == [
            "bitrix24 answers; its last reading failed"
        ]
        batch(warehouse, "bitrix24", "deal", NOW, "no right to deals")  # in vain
        assert not look(sensor, instance, asked.cursor).run_requests
        digest, _, at = (asked.cursor or "").partition(" ")
        assert look(
            sensor, instance, f"{digest} {(datetime.fromisoformat(at) - AGAIN).isoformat()}"
        ).run_requests
        found[0] = News("bitrix24", 1, "company 4")
        other = look(sensor, instance, asked.cursor)
        assert other.run_requests, "something else that is new does not wait for what cannot be read"
        assert not look(sensor, instance, other.cursor).run_requests
        batch(warehouse, "bitrix24", "deal", NOW)
        assert look(sensor, instance, other.cursor).run_requests, "all is well: a change is a change"


def test_a_look_in_vain_is_kept_with_its_reason(
    warehouse: Warehouse, mappings: Mappings, posts: Posts
) -> None:
    with (
        dg.DagsterInstance.ephemeral() as instance,
        environment({"SVERKA_BITRIX24_URL": None}),
        pytest.raises(Exception) as told,
    ):
        look(change_sensor(mappings.system("bitrix24")), instance)
    assert "SVERKA_BITRIX24_URL" in str(told.value.__cause__ or told.value)
    found = bitrix24(warehouse, mappings, datetime.now(UTC))
    assert found.is_unread
    assert "SVERKA_BITRIX24_URL" in found.error


# --- set-up and status


def test_what_a_connection_allows_is_kept_from_the_connector_and_must_be_a_number(
    tmp_path: Path, warehouse: Warehouse
) -> None:
    for name in ("bitrix24", "branch", "onec"):
        text = (DEMO / f"{name}.yaml").read_text(encoding="utf-8")
        if name == "branch":
            text = text.replace("connection:\n", "connection:\n  behind_after: 7200\n", 1)
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    found = load(tmp_path, connected=False)
    assert "behind_after" not in found.system("branch").given
    allowed = {f.system: f.allowed for f in freshness(warehouse, found, NOW)}
    assert allowed["branch"] - allowed["onec"] == timedelta(hours=1)
    path = tmp_path / "branch.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("7200", "soon"), encoding="utf-8")
    with pytest.raises(MappingError, match="behind_after"):
        load(tmp_path, connected=False)


def test_a_system_has_no_tables_of_another_whose_name_begins_like_its_own(tmp_path: Path) -> None:
    for name in ("bitrix24", "bitrix24_north"):
        text = (DEMO / "bitrix24.yaml").read_text(encoding="utf-8")
        (tmp_path / f"{name}.yaml").write_text(
            text.replace("system: bitrix24\n", f"system: {name}\n"), encoding="utf-8"
        )
    (tmp_path / "onec.yaml").write_text((DEMO / "onec.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    found = load(tmp_path, connected=False)
    reads = reads_of(found)
    assert raw_entities(reads, found.system("bitrix24")) == raw_entities(
        reads, found.system("bitrix24_north")
    )


def test_status_says_of_each_system_how_far_it_is_behind_and_what_is_wrong(
    warehouse: Warehouse, mappings: Mappings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_all(warehouse, mappings, NOW - timedelta(minutes=3))
    batch(warehouse, "bitrix24", "deal", NOW, "no right to deals")
    warehouse.execute("delete from ops.cursor where source = 'branch'")
    for language, told in (("en", ("not read since", "never")), ("ru", ("не читается с", "ни разу"))):
        text = io.StringIO()
        monkeypatch.setattr(show, "CONSOLE", Console(file=text, width=200, highlight=False))
        show.sources(
            warehouse,
            mappings,
            freshness(warehouse, mappings, NOW),
            language="ru" if language == "ru" else "en",
        )
        lines = {line.split()[0]: line for line in text.getvalue().splitlines() if line.strip()}
        assert told[0] in lines["bitrix24"]
        assert "no right to deals" in lines["bitrix24"]
        assert told[1] in lines["branch"]
        assert "17.11.2026 11:57" in lines["onec"]
        assert ("3 min" if language == "en" else "3 мин") in lines["onec"]


def test_how_often_a_system_is_asked_is_a_whole_number_of_seconds_of_its_connection(
    mappings: Mappings,
) -> None:
    system = mappings.systems[0]
    for given, seconds in (("60", 60), (3600, 3600), ("", 300), (None, 300)):
        asked = replace(system, given={**system.given, "every_seconds": given})
        assert interval(asked) == timedelta(seconds=seconds)
    for given in ("often", 0, "0.5", "1,5"):
        wrong = replace(system, given={**system.given, "every_seconds": given})
        with pytest.raises(
            SourceError, match=rf"{system.name}: the connection's every_seconds is {given!r}; give"
        ):
            interval(wrong)


def test_a_wrong_rate_of_the_budget_that_processes_share_is_told_by_its_option(
    warehouse: Warehouse, mappings: Mappings
) -> None:
    system = mappings.system("bitrix24")
    for name in ("rate_per_second", "burst"):
        wrong = replace(system, given={**system.given, name: "0,83"}, undefined=())
        with pytest.raises(
            SourceError, match=rf"bitrix24: the connection's {name} is '0,83'; give a number above 0"
        ):
            Road(warehouse, mappings)._budget(wrong)
