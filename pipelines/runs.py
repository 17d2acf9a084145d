"""Which runs are really alive: a run holds a lock of the warehouse for as long as its process lives.

A process that is killed says nothing: to Dagster its run goes on for ever, keeps the pools of its systems
and lets no other run begin. The lock goes with the process, however it ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from pipelines.processes import SYNC_TAG
from resources.warehouse import LockHeld, Warehouse

BY_COMMAND = {"sverka/by": "command"}  # such a run takes its lock before it begins
GRACE_SECONDS = 120.0  # that any other run may take from its start to its first step, where it takes the lock
MAX_RUNS = 100  # looked at in one go; no more than a few can be under way

UNDER_WAY = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
WAITING = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED)


@contextmanager
def alive(warehouse: Warehouse, run_id: str) -> Iterator[None]:
    """Be known as the process of this run while the block runs. Raises LockHeld when another one is it."""
    with warehouse.connect() as conn:
        conn.autocommit = True
        with warehouse.lock(conn, _name(run_id)):
            yield


def bury_the_dead(instance: dg.DagsterInstance, warehouse: Warehouse, now: float | None = None) -> list[str]:
    """Let runs fail whose process ended without a word, and free what they held. Returns their ids.

    Their failure is told to people like any other. `now`: seconds since 1970.
    """
    moment = time.time() if now is None else now
    dead = []
    under_way = dg.RunsFilter(tags={SYNC_TAG: "true"}, statuses=list(UNDER_WAY))
    for record in instance.get_run_records(under_way, limit=MAX_RUNS):
        run = record.dagster_run
        since = record.start_time or record.create_timestamp.timestamp()
        young = moment - since < GRACE_SECONDS and run.tags.items().isdisjoint(BY_COMMAND.items())
        if young or _is_held(warehouse, _name(run.run_id)):
            continue
        instance.report_run_failed(
            run, "the process of this run ended without a word; the next sync takes it up"
        )
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        dead.append(run.run_id)
    return dead + _bury_the_unborn(instance, warehouse)


def _bury_the_unborn(instance: dg.DagsterInstance, warehouse: Warehouse) -> list[str]:
    """Cancel runs of commands that were stopped before they began: nobody need be told of these."""
    unborn = dg.RunsFilter(tags=BY_COMMAND, statuses=[dg.DagsterRunStatus.NOT_STARTED])
    found = []
    for record in instance.get_run_records(unborn, limit=MAX_RUNS):
        if not _is_held(warehouse, _name(record.dagster_run.run_id)):
            instance.report_run_canceled(record.dagster_run, "the command was stopped before its run began")
            found.append(record.dagster_run.run_id)
    return found


def syncing(instance: dg.DagsterInstance, warehouse: Warehouse, now: float | None = None) -> bool:
    """Whether a sync waits or runs: then another one would only stand in the queue behind it."""
    bury_the_dead(instance, warehouse, now)
    there = dg.RunsFilter(tags={SYNC_TAG: "true"}, statuses=[*WAITING, *UNDER_WAY])
    return bool(instance.get_run_records(there, limit=1))


def _name(run_id: str) -> str:
    return f"run:{run_id}"


def _is_held(warehouse: Warehouse, name: str) -> bool:
    try:
        with warehouse.connect() as conn, warehouse.lock(conn, name):
            return False
    except LockHeld:
        return True
