"""Asks a running Dagster web server what the UI asks it: launch a job, stop a run, how a run stands."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

BOUND_SECONDS = 90
PAUSE_SECONDS = 0.05
PAUSE_OF_QUESTIONS = 0.2  # an answer takes the web server 50 ms of work, from what is waited for
LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { name } } } }"
LAUNCH = """mutation($job: String!, $location: String!) { launchRun(executionParams: {runConfigData: {}, selector: {
    jobName: $job, repositoryName: "__repository__", repositoryLocationName: $location}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"


class DagsterUi:
    """The GraphQL of the web server at `address`, which has one code location."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._http = httpx.Client(timeout=60, trust_env=False)

    def launch(self, job: str) -> str:
        """Queue a run of the job, as the button does; its id."""
        (location,) = self._ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
        answer = self._ask(LAUNCH, job=job, location=location["name"])["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        answer = self._ask(TERMINATE, id=run_id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def status(self, run_id: str) -> str:
        return str(self._ask(STATUS, id=run_id)["runOrError"]["status"])

    def becomes(self, run_id: str, *statuses: str) -> str:
        """Wait until the run stands so; how it stands."""
        wait_until(lambda: self.status(run_id) in statuses, PAUSE_OF_QUESTIONS)
        return self.status(run_id)

    def _ask(self, query: str, **variables: str) -> dict[str, Any]:
        asked = {"query": query, "variables": variables}
        body = self._http.post(f"{self.address}/graphql", json=asked).raise_for_status().json()
        assert "errors" not in body, body
        data: dict[str, Any] = body["data"]
        return data


def wait_until(condition: Callable[[], bool], pause: float = PAUSE_SECONDS) -> None:
    """Raises AssertionError after BOUND_SECONDS."""
    deadline = time.monotonic() + BOUND_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause)
