"""What starts runs: change sensors for every connected system, what waits to be carried, the nightly
reconciliation; and who is told.

No sensor opens a run when nothing changed: it asks the system for a hint of change first, and explains
itself in the UI when it stays quiet.
"""

# No `from __future__ import annotations` here: Dagster reads the annotations as objects.
import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from mappings import MappingError, Mappings, System
from pipelines.assets import quality_checks
from pipelines.freshness import EVERY_SECONDS, interval
from pipelines.processes import SYNC_TAG
from resources.connection import environment_seconds

HOOK_SECONDS = 30  # SVERKA_HOOK_SECONDS
# Until a sync is asked for once more that saw none of what webhooks hinted at
HOOK_AGAIN = timedelta(minutes=5)
AGAIN = timedelta(hours=1)  # until a sync is asked for once more that moved nothing of what waited
NOTHING = "-"  # a cursor; Dagster keeps the one before instead of an empty one
NIGHT = "30 2 * * *"

SYNC = "sync"
RECONCILE = "reconcile"


def sync_jobs(mappings: Mappings) -> list[Any]:
    """`sync`: what changed. `reconcile`: the same after comparing every key of every system."""
    tags = {SYNC_TAG: "true"}
    everything = dg.AssetSelection.all()
    # Marts are views, made when their files change; checks of whole tables and the report are the night's.
    daily = everything - dg.AssetSelection.groups("marts", "report") - quality_checks()
    steps = {
        # Lines of a deal may change without touching the deal: a CRM is read whole at night.
        **{f"read_{s.name}": {"config": {"full": True}} for s in mappings.systems if s.role == "crm"},
        f"read_{mappings.accounting().name}_catalogues": {"config": {"sweep": True}},
        f"read_{mappings.accounting().name}_documents": {"config": {"rescan": True, "sweep": True}},
        "ops__operation": {"config": {"refused_too": True}},  # a refusal may have lapsed
    }
    return [
        dg.define_asset_job(
            SYNC,
            selection=daily,
            executor_def=dg.in_process_executor,
            tags=tags,
            description="Carries what changed down the whole road, in one process.",
        ),
        dg.define_asset_job(
            RECONCILE,
            selection=everything,
            executor_def=dg.in_process_executor,
            tags={**tags, "sverka/reconcile": "true"},
            config={"ops": steps},
            description="The full reconciliation: compares every key of every system, then carries what changed.",
        ),
    ]


def change_sensor(system: System) -> dg.SensorDefinition:
    """Asks one system whether anything changed; a run only when something did."""

    @dg.sensor(
        name=f"changes_in_{system.name}",
        job_name=SYNC,
        minimum_interval_seconds=int(interval(system).total_seconds()),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Starts a sync when something changed in {system.title}.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from pipelines import freshness, sync
        from pipelines.news import news
        from pipelines.runs import syncing
        from resources.connector import SourceError
        from resources.warehouse import WarehouseError

        moment = datetime.now(UTC)
        road = sync.Road.from_environment()
        try:
            if syncing(context.instance, road.warehouse):
                return dg.SkipReason("a sync is under way; what changed meanwhile is seen at the next look")
            _tell_deployed(context, sync.prepare(road), road.mappings)
            try:
                found = news(road, road.mappings.system(system.name), moment)
            except (MappingError, SourceError) as error:
                freshness.looked_in_vain(road.warehouse, system.name, moment, error)
                raise dg.Failure(str(error)) from error
            freshness.looked(road.warehouse, system.name, moment, found=found is not None)
            failing = freshness.failing(road.warehouse, system)
        except WarehouseError as error:
            raise dg.Failure(str(error)) from error
        finally:
            road.close()
        if failing:
            # It answers, and could not be read: tried at once, and then no oftener than what waits is.
            same = failing if found is None else f"{failing}/{found.count}/{found.newest}".replace(" ", "-")
            if not due_again(context.cursor, same, moment):
                return dg.SkipReason(
                    f"the last reading of {system.title} failed; it is tried again {AGAIN} after the last try"
                )
            why = f"{system.name} answers; its last reading failed"
            return dg.SensorResult([_one_sync(why)], cursor=f"{same} {moment.isoformat(timespec='seconds')}")
        if found is None:
            return dg.SkipReason(f"nothing changed in {system.title}")
        context.log.info("%s: %s changed, newest: %s", found.system, found.count, found.newest)
        return dg.SensorResult([_one_sync(f"{found.count} changed in {system.name}")])

    return sensor


def waiting_sensor(mappings: Mappings) -> dg.SensorDefinition:
    """Asks for a sync when something waits to be carried that no change outside will tell of."""

    @dg.sensor(
        name="operations_waiting",
        job_name=SYNC,
        minimum_interval_seconds=environment_seconds("SVERKA_SENSOR_SECONDS", EVERY_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a sync for what a person released or approved, and for what is left over from a"
        " time when a system did not answer.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from pipelines import sync
        from pipelines.operations.waiting import waiting
        from pipelines.runs import syncing
        from resources.warehouse import WarehouseError

        targets = {s.name: True for s in mappings.sources() if s.feedback}
        targets[mappings.accounting().name] = mappings.accounting().approval != "manual"
        road = sync.Road.from_environment()
        try:
            if syncing(context.instance, road.warehouse):
                return dg.SkipReason("a sync is under way; what it leaves is seen at the next look")
            _tell_deployed(context, sync.prepare(road), road.mappings)
            found = waiting(road.warehouse, targets)
        except WarehouseError as error:
            raise dg.Failure(str(error)) from error
        finally:
            road.close()
        if found is None:
            return dg.SensorResult(skip_reason="nothing waits to be carried", cursor=NOTHING)
        moment = datetime.now(UTC)
        if not due_again(context.cursor, found.digest, moment):
            return dg.SkipReason(
                f"waiting: {found}; the last sync for the very same moved none, so the next is asked for {AGAIN} after it"
            )
        return dg.SensorResult(
            [_one_sync(f"waiting: {found}")], cursor=f"{found.digest} {moment.isoformat(timespec='seconds')}"
        )

    return sensor


def hooks_sensor(systems: Sequence[System]) -> dg.SensorDefinition:
    """Asks the database alone what webhooks have hinted at, and for one sync for all of it."""
    entities = {system.name: system.entities for system in systems}

    @dg.sensor(
        name="webhooks_arrived",
        job_name=SYNC,
        minimum_interval_seconds=environment_seconds("SVERKA_HOOK_SECONDS", HOOK_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a sync for records that webhooks hinted at: sooner than the systems are asked.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from pipelines.raw.hints import waiting
        from pipelines.runs import syncing
        from resources.warehouse import Warehouse, WarehouseError

        try:
            warehouse = Warehouse.from_environment()
            warehouse.migrate()
            found = waiting(warehouse, entities)
            if not found:
                return dg.SkipReason("no webhook has hinted at anything that was not read since")
            if syncing(context.instance, warehouse):
                return dg.SkipReason("a sync is under way; what arrives meanwhile is seen at the next look")
        except WarehouseError as error:
            raise dg.Failure(str(error)) from error
        moment = datetime.now(UTC)
        asked = {
            system: at for system, at in json.loads(context.cursor or "{}").items() if system in entities
        }
        due = [
            each for each in found if due_again(asked.get(each.system), str(each.oldest), moment, HOOK_AGAIN)
        ]
        if not due:
            return dg.SkipReason(
                f"the last sync saw none of what webhooks hinted at; the next is asked for {HOOK_AGAIN} after it"
            )
        for each in due:
            asked[each.system] = f"{each.oldest} {moment.isoformat(timespec='seconds')}"
        why = ", ".join(f"{each.count} from {each.system}, newest: {each.newest}" for each in due)
        return dg.SensorResult([_one_sync(f"webhooks: {why}")], cursor=json.dumps(asked))

    return sensor


def behind_sensor(mappings: Mappings) -> dg.SensorDefinition:
    """Asks the database alone whether every source is read in time; tells people, and opens no run."""
    seconds = environment_seconds("SVERKA_SENSOR_SECONDS", EVERY_SECONDS)

    @dg.sensor(
        name="sources_behind",
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells people, once, that a source cannot be read or has fallen behind, and once that it is over;"
        " sets the checks of its raw tables. Starts no run.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from pipelines.alarms import review
        from pipelines.watching import PAUSE, Watching, evaluations
        from resources.warehouse import Warehouse, WarehouseError

        moment = datetime.now(UTC)
        before = Watching.read(context.cursor)
        since = before.since_at(moment, max(PAUSE, 3 * timedelta(seconds=seconds)))
        try:
            warehouse = Warehouse.from_environment()
            warehouse.migrate()
            sources = review(warehouse, mappings, moment, watched_since=since)
        except WarehouseError as error:
            raise dg.Failure(str(error)) from error
        wrong = [f"{source.system}: {source.sentence()}" for source in sources if source.state != "fresh"]
        return dg.SensorResult(
            skip_reason="; ".join(wrong) or "every source is read in time",
            asset_events=list(evaluations(mappings, sources, before.shown)),
            cursor=Watching(moment, since, {source.system: source.state for source in sources}).cursor(),
        )

    return sensor


def due_again(cursor: str | None, digest: str, now: datetime, again: timedelta = AGAIN) -> bool:
    """Whether a sync is to be asked for: not for the very same within `again`. `cursor`: digest and time of the last."""
    before, _, at = (cursor or "").partition(" ")
    return before != digest or now - datetime.fromisoformat(at) >= again


def _tell_deployed(context: dg.SensorEvaluationContext, changed: Sequence[str], mappings: Mappings) -> None:
    """Whoever looks first after an update, or after mapping files were edited, brings them into force: say which."""
    if changed:
        context.log.info(
            "deployed, and in force from now on: %s (mapping files %s)",
            ", ".join(changed),
            mappings.fingerprint,
        )


def _one_sync(why: str) -> dg.RunRequest:
    return dg.RunRequest(tags={SYNC_TAG: "true", "sverka/why": why})


def nightly(name: str = "nightly_reconciliation") -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name,
        job_name=RECONCILE,
        cron_schedule=os.environ.get("SVERKA_NIGHT", NIGHT),
        execution_timezone=os.environ.get("SVERKA_TIMEZONE", "Europe/Moscow"),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night: compares every key of every system and reconciles the whole ledger.",
    )


@dg.run_failure_sensor(
    name="tell_of_failure",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells people that a run failed: in the log, and by e-mail or webhook where these are set up.",
)
def tell_of_failure(context: dg.RunFailureSensorContext) -> None:
    from pipelines import sync
    from pipelines.alarms import tell_people

    events = context.get_step_failure_events()
    causes = [_cause(event) for event in events] or [context.failure_event.message or "no message"]
    message = f"Sverka: run {context.dagster_run.run_id[:8]} of {context.dagster_run.job_name} failed: {'; '.join(causes)}"
    road = sync.Road.from_environment()
    for channel in tell_people(road.warehouse, message):
        context.log.info("told by %s", channel.name)


def _cause(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    error = data.user_failure_data.description if data.user_failure_data else None
    if not error and data.error is not None:
        error = (data.error.cause or data.error).message.strip().splitlines()[0]
    return f"{event.step_key}: {error or 'no message'}"


def all_sensors(mappings: Mappings) -> Iterator[dg.SensorDefinition]:
    for system in mappings.systems:
        yield change_sensor(system)
    if hearing := [system for system in mappings.systems if "hook_secret" in system.given]:
        yield hooks_sensor(hearing)
    yield waiting_sensor(mappings)
    yield behind_sensor(mappings)
    yield tell_of_failure


def all_schedules() -> Sequence[dg.ScheduleDefinition]:
    return [nightly()]
