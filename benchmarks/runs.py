"""What a sync costs with Dagster around it, as `sverka up` runs it: web server, daemon and code server.

Runs are launched through the web server's GraphQL, as the button in the UI does, and timed from that call to
the end that the same GraphQL tells of: queue, start of the process, steps, end. Where other work shares the
machine the clock says little, so two things stand beside it: the processor seconds of all of Sverka's processes, the
database's among them, and a code location with three assets that do nothing (`bare_dagster.py`), in the same minutes.
The company is small, since what the history costs is measured elsewhere; changes are made in the portal over its REST
API.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import httpx
import psutil

from benchmarks import bare_dagster
from benchmarks.figures import Figure
from benchmarks.history import MAPPINGS
from benchmarks.place import Place, Sandbox, middle, peak_mb
from pipelines.processes import Processes, start_dagster, write_dagster_home
from resources.warehouse import Warehouse

DEALS: Final = 3_000
CHANGED: Final = 1_000
MOVED: Final = 100  # of these: open ones that move to a stage in which an invoice is due
IDLE_RUNS: Final = 5
CHANGED_RUNS: Final = 2
IDLE_SECONDS: Final = 4.0
IDLE_TIMES_BARE: Final = 1.38  # of 2.9 s, which the bare one takes where the whole may take 4
CHANGED_SECONDS: Final = 15.0
MAX_MB: Final = 600.0
FIRST_SECONDS: Final = 900.0
BATCH: Final = 50
POLL_SECONDS: Final = 0.25  # as often as a page of the UI may ask: each question costs the web server 10 ms
# Syncs come minutes apart, and find the portal's bucket empty (50 requests, 2 a second); one that follows at once
# waits for it instead of working.
RESTED_SECONDS: Final = 30.0
ENDED_SECONDS: Final = 1.5  # after which an ended run's process has been collected, and its time counted

LAUNCH: Final = """
mutation launch($location: String!, $job: String!) { launchRun(executionParams: {
    selector: {repositoryLocationName: $location, repositoryName: "__repository__", jobName: $job}, runConfigData: {} }) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message }
} }
"""
STATUS: Final = "query status($id: ID!) { runOrError(runId: $id) { ... on Run { status creationTime startTime endTime } } }"
ACTIVE: Final = "{ runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED]}) { ... on Runs { results { runId } } } }"
ENDED: Final = ("SUCCESS", "FAILURE", "CANCELED")


def run(place: Place, *, quick: bool) -> list[Figure]:
    deals = DEALS // 2 if quick else DEALS
    sandbox = place.sandbox(deals, "--no-limits")
    warehouse = place.database("bench_runs")
    drop = place.home / "drop"
    drop.mkdir(exist_ok=True)
    os.environ.update(sandbox.environment)
    os.environ |= {
        "SVERKA_DATABASE_URL": warehouse.url,
        "SVERKA_MAPPINGS": str(MAPPINGS),
        "SVERKA_DROP_FOLDER": str(drop),
        "SVERKA_SENSOR_SECONDS": "86400",  # what starts a run here is this benchmark
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    home = write_dagster_home(place.home, warehouse.dagster_url())
    address = start_dagster(place.processes, home)
    with httpx.Client(base_url=address, timeout=60) as ui, _Memory() as memory, _bare(place) as launch_bare:
        others = {sandbox.process.pid, *launch_bare.pids}

        def launched() -> dict[str, float]:
            time.sleep(RESTED_SECONDS)
            before = _processor_seconds(place, others)
            run = _launch(ui, FIRST_SECONDS)
            time.sleep(ENDED_SECONDS)
            return {**run, "processor": _processor_seconds(place, others) - before}

        _launch(ui, FIRST_SECONDS)  # after the one that the sensors ask for when the daemon begins
        _settle(ui)
        time.sleep(RESTED_SECONDS)
        _launch(ui, FIRST_SECONDS)  # which reads once more what the first ones have written back
        bare, idle = [], []
        for _ in range(IDLE_RUNS):  # in turn: the speed of a shared machine changes from minute to minute
            idle.append(launched())
            bare.append(launch_bare())
        changed = []
        for number in range(CHANGED_RUNS):
            _change(sandbox, number)
            changed.append(launched())
            _seen(warehouse, number)
    held = warehouse.scalar(
        "select count(*) from ops.operation where state not in ('verified', 'superseded', 'held')"
    )
    peaks = memory.peaks
    nothing, beside = middle([r["seconds"] for r in idle]), middle([r["seconds"] for r in bare])
    ratios = [one["seconds"] / other["seconds"] for one, other in zip(idle, bare, strict=True)]
    return [
        Figure("three assets that do nothing, without us", beside, "s", note=_of(bare)),
        Figure("a sync with nothing to do", nothing, "s", at_most=IDLE_SECONDS, note=_of(idle)),
        Figure("a sync with nothing to do / the three assets", middle(ratios),
               "times", at_most=IDLE_TIMES_BARE, note="the middle of the ratios of two in turn"),
        Figure(f"a sync with {CHANGED:,} changed deals", middle([r["seconds"] for r in changed]), "s", at_most=CHANGED_SECONDS,
               note=_of(changed) + f"; {MOVED} of them call for a new invoice; {held} operations unfinished"),
        *(Figure(f"peak memory: {name}", peak, "MB", at_most=MAX_MB) for name, peak in sorted(peaks.items())),
    ]  # fmt: skip


class _Bare:
    """Launches three assets that do nothing, from a web server as ours are."""

    def __init__(self, ui: httpx.Client, pids: set[int]) -> None:
        self._ui = ui
        self.pids = pids  # of its processes, children of this one

    def __call__(self) -> dict[str, float]:
        return _launch(self._ui, FIRST_SECONDS, "bare")


@contextlib.contextmanager
def _bare(place: Place) -> Iterator[_Bare]:
    database = place.database("bench_bare")
    home = bare_dagster.write_home(place.home / "bare", database.dagster_url())
    before = {child.pid for child in psutil.Process().children()}
    with Processes(place.home / "bare") as processes:
        address = start_dagster(
            processes, home, code=("-m", "benchmarks.bare_dagster"), location="bare", launcher=False
        )
        with httpx.Client(base_url=address, timeout=60) as ui:
            bare = _Bare(ui, {child.pid for child in psutil.Process().children()} - before)
            bare()  # the first one is not counted
            yield bare
    place.drop("bench_bare")


def _of(runs: list[dict[str, float]]) -> str:
    """How the time of the middle run divides: until its process works, and working."""
    one = sorted(runs, key=lambda r: r["seconds"])[len(runs) // 2]
    return (
        f"{one['waiting']:.1f} s until it began, {one['working']:.1f} s at work; "
        + (f"{middle([r['processor'] for r in runs]):.1f} s of processors; " if "processor" in one else "")
        + "all: "
        + " ".join(f"{r['seconds']:.1f}" for r in runs)
    )


def _processor_seconds(place: Place, others: Collection[int]) -> float:
    """Of Dagster's processes and ours so far, ended ones and the database's included; not of these children."""
    total = place.database_seconds()
    for child in psutil.Process().children():
        if child.pid in others:
            continue
        with contextlib.suppress(psutil.Error):
            for process in (child, *child.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    total += times.user + times.system + times.children_user + times.children_system
    return total


def _ask(ui: httpx.Client, query: str, **variables: Any) -> Mapping[str, Any]:
    answer = ui.post("/graphql", json={"query": query, "variables": variables}).json()
    if answer.get("errors"):
        raise RuntimeError(f"the UI answers: {answer['errors'][0]['message']}")
    found: Mapping[str, Any] = answer["data"]
    return found


def _launch(ui: httpx.Client, limit: float, location: str = "sverka") -> dict[str, float]:
    """Launch the `sync` of a code location and wait for its end; seconds."""
    started, called = time.monotonic(), time.time()
    launched = _ask(ui, LAUNCH, location=location, job="sync")["launchRun"]
    if "run" not in launched:
        raise RuntimeError(f"the run was not launched: {launched}")
    while True:
        run = _ask(ui, STATUS, id=launched["run"]["runId"])["runOrError"]
        if run["status"] in ENDED:
            break
        if time.monotonic() - started > limit:
            raise RuntimeError(f"the run is {run['status']} after {limit:.0f} s")
        time.sleep(POLL_SECONDS)
    if run["status"] != "SUCCESS":
        raise RuntimeError(
            f"run {launched['run']['runId']} ended as {run['status']}; see the logs of the place"
        )
    return {
        "seconds": run["endTime"] - called,
        "waiting": run["startTime"] - called,
        "working": run["endTime"] - run["startTime"],
    }


def _settle(ui: httpx.Client) -> None:
    """Until nothing runs: sensors ask for a sync of their own when the daemon begins."""
    deadline = time.monotonic() + FIRST_SECONDS
    quiet = 0
    while quiet < 20:
        if time.monotonic() > deadline:
            raise RuntimeError("the sensors' runs do not end")
        quiet = 0 if _ask(ui, ACTIVE)["runsOrError"]["results"] else quiet + 1
        time.sleep(0.5)


def _change(sandbox: Sandbox, number: int) -> None:
    """Change deals in the portal: titles, and for some a stage that calls for an invoice."""
    with httpx.Client(base_url=sandbox.webhook, timeout=120) as portal:
        deals: list[Mapping[str, Any]] = []
        while len(deals) < CHANGED:
            asked = {"entityTypeId": 2, "select": ["id", "stageId"], "order": {"id": "DESC"}, "start": -1,
                     "filter": {"<id": deals[-1]["id"]} if deals else {}}  # fmt: skip
            deals += portal.post("crm.item.list", json=asked).raise_for_status().json()["result"]["items"]
        moving = [deal["id"] for deal in deals if deal["stageId"] in ("NEW", "PREPARATION")][:MOVED]
        calls = []
        for deal in deals[:CHANGED]:
            stage = "&fields[stageId]=PREPAYMENT_INVOICE" if deal["id"] in moving else ""
            calls.append(
                f"crm.item.update?entityTypeId=2&id={deal['id']}&fields[title]=Change {number} of {deal['id']}{stage}"
            )
        for start in range(0, CHANGED, BATCH):
            batch = {"halt": 1, "cmd": {f"c{n}": call for n, call in enumerate(calls[start : start + BATCH])}}
            said = portal.post("batch", json=batch).raise_for_status().json()["result"]
            if said["result_error"]:
                raise RuntimeError(f"the sandbox refuses a change: {said['result_error']}")


def _seen(warehouse: Warehouse, number: int) -> None:
    count = warehouse.scalar("select count(*) from core.deal where title like %s", [f"Change {number} of %"])
    if count != CHANGED:
        raise RuntimeError(f"{count} changed deals came through, and not {CHANGED}")


class _Memory:
    """Watches the peak memory of Dagster's processes and of the runs that they start."""

    def __init__(self) -> None:
        self._peaks: dict[int, tuple[str, float]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def peaks(self) -> dict[str, float]:
        """MB by kind of process."""
        found: dict[str, float] = {}
        for name, peak in self._peaks.values():
            found[name] = max(found.get(name, 0.0), peak)
        return found

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._end.wait(0.2):
            for process in me.children(recursive=True):
                name = self._peaks.get(process.pid, ("", 0.0))[0] or _kind(process)
                if name and (peak := peak_mb(process.pid)):
                    self._peaks[process.pid] = (name, peak)


def _kind(process: psutil.Process) -> str:
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return ""
    kinds = {"pipelines.launcher": "a run", "execute_run": "a run", "code-server": "code server", "dagster-daemon": "daemon",
             "dagster-webserver": "web server", "api grpc": "code server"}  # fmt: skip
    return next((name for part, name in kinds.items() if part in command), "")
