"""Many writes at once, as fast as the vendor permits: batches of thirty and single requests side by side.

Batches are limited by themselves (40 a minute), single requests by the rate that all share (500 a minute): both roads
together carry more than either. Items of a batch are carried out one after the other and do not know of each other; each
has an outcome of its own. What a batch does not speak of, and every item of a batch without an answer, is uncertain.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from resources.accounting.quickbooks.entities import Place
from resources.accounting.quickbooks.faults import fault_in, refusal
from resources.accounting.quickbooks.write import Writer
from resources.connector import Refused, Rows, SourceError, Uncertain, Written

SINGLE_UP_TO: Final = 5  # rows that are not worth a batch
BATCHES_AT_ONCE: Final = 3

Outcome = Written | SourceError


class ManyWriter(Writer):
    """See CreatesMany and UpdatesMany."""

    def create_many(self, kind: str, rows: Rows) -> Sequence[Outcome]:
        """See CreatesMany.create_many."""
        place = self._writable(kind)

        def prepare(chunk: Rows) -> list[Outcome | Mapping[str, Any]]:
            return [self._content(place, key, body) for key, body in chunk]

        return self._many(kind, place, rows, "create", prepare, self.create)

    def update_many(self, kind: str, rows: Rows, versions: Sequence[str] = ()) -> Sequence[Outcome]:
        """See UpdatesMany.update_many; numbers, and the versions that are not known, are read first, in a query
        for two hundred. Whether a version is stale QuickBooks itself tells."""
        place = self._writable(kind)
        told = versions or [""] * len(rows)
        known = {key: version for (key, _), version in zip(rows, told, strict=True) if version}
        try:
            found = self.find(kind, [key for key, _ in rows])
        except SourceError as error:
            return [error for _ in rows]

        def changes(key: str, body: Mapping[str, Any]) -> Outcome | Mapping[str, Any]:
            there = found.get(key)
            if there is None:
                return Refused(
                    f"{self.system}: {kind} {key} is not there any more; nothing was changed", code="absent"
                )
            token = known.get(key) or str(there.get("SyncToken", "0"))
            return self._changes(place, key, str(there["Id"]), token, body)

        def prepare(chunk: Rows) -> list[Outcome | Mapping[str, Any]]:
            return [changes(key, body) for key, body in chunk]

        def one(_: str, key: str, body: Mapping[str, Any]) -> Written:
            there = found.get(key)
            present = str(there["SyncToken"]) if there and "SyncToken" in there else None
            return self.update(kind, key, body, known.get(key, present))

        return self._many(kind, place, rows, "update", prepare, one)

    # ---- The two roads ------------------------------------------------------------------------

    def _many(
        self,
        kind: str,
        place: Place,
        rows: Rows,
        operation: str,
        prepare: Callable[[Rows], list[Outcome | Mapping[str, Any]]],
        one: Callable[[str, str, Mapping[str, Any]], Written],
    ) -> Sequence[Outcome]:
        waiting = deque(range(len(rows)))
        outcomes: list[Outcome | None] = [None] * len(rows)
        lock = threading.Lock()

        def taken(most: int) -> list[int]:
            with lock:
                return [waiting.popleft() for _ in range(min(most, len(waiting)))]

        def singles() -> None:
            while chosen := taken(1):
                key, body = rows[chosen[0]]
                outcomes[chosen[0]] = self._guarded(lambda key=key, body=body: one(kind, key, body))  # type: ignore[misc]

        def batches() -> None:
            while len(waiting) > SINGLE_UP_TO:
                if not self.company.batch_granted():
                    continue  # the rows that wait go singly meanwhile, so this ends
                chosen = taken(self.company.batch_items)
                if not chosen:
                    return
                for index, outcome in zip(
                    chosen,
                    self._batch(kind, place, [rows[i] for i in chosen], operation, prepare),
                    strict=True,
                ):
                    outcomes[index] = outcome

        roads: list[Callable[[], None]] = [singles] * max(1, self.company.parallel - BATCHES_AT_ONCE)
        if len(rows) > SINGLE_UP_TO:
            roads = [batches] * BATCHES_AT_ONCE + roads
        with ThreadPoolExecutor(len(roads), thread_name_prefix=f"{self.system}-write") as pool:
            for done in [pool.submit(road) for road in roads[: max(1, len(rows))]]:
                done.result()
        lost = Uncertain(
            f"{self.system}: a {kind} was left over; it is looked up before anything is sent again"
        )
        return [outcome if outcome is not None else lost for outcome in outcomes]

    def _guarded(self, write: Callable[[], Written]) -> Outcome:
        try:
            return write()
        except SourceError as error:
            return error
        except Exception as error:  # noqa: BLE001 - what was sent must not be lost track of
            return Uncertain(f"{self.system}: {type(error).__name__}: {error}")

    def _batch(
        self,
        kind: str,
        place: Place,
        rows: Rows,
        operation: str,
        prepare: Callable[[Rows], list[Outcome | Mapping[str, Any]]],
    ) -> list[Outcome]:
        try:
            prepared = prepare(rows)
        except SourceError as error:
            return [error for _ in rows]
        items = [
            {"bId": str(number), "operation": operation, place.name: content}
            for number, content in enumerate(prepared)
            if isinstance(content, Mapping)
        ]
        outcomes: list[Outcome] = [
            content
            if isinstance(content, SourceError | Written)
            else Uncertain(
                f"{self.system}: {kind} {key}: the batch does not speak of it; it is looked up before anything is sent again"
            )
            for (key, _), content in zip(rows, prepared, strict=True)
        ]
        if not items:
            return outcomes
        try:
            told = self.company.batch(items, f"a batch of {len(items)} {kind} records")
        except SourceError as error:
            sent = {int(str(item["bId"])) for item in items}
            return [error if number in sent else outcome for number, outcome in enumerate(outcomes)]
        except Exception as error:  # noqa: BLE001 - the batch may have arrived
            return [Uncertain(f"{self.system}: {type(error).__name__}: {error}") for _ in rows]
        for said in told:
            name = str(said.get("bId"))
            if not name.isdigit() or int(name) >= len(rows):
                continue
            number = int(name)
            outcomes[number] = self._told(kind, place, rows[number][0], prepared[number], said)
        return outcomes

    def _told(
        self, kind: str, place: Place, key: str, content: Outcome | Mapping[str, Any], said: Mapping[str, Any]
    ) -> Outcome:
        """The outcome of one item of a batch."""
        fault = fault_in(said)
        if fault is None:
            return self._guarded(lambda: self._written(kind, place, key, said))
        what = f"{self.system}: {kind} {key}"
        if fault.is_throttle:
            return SourceError(f"{what}: {fault.text}; it is sent again", retriable=True)
        if fault.kind in ("systemfault", "servicefault", "service") or fault.code == "10000":
            return Uncertain(f"{what}: {fault.text}; it is looked up before anything is sent again")
        refused = refusal(what, fault)
        return self._explained(kind, place, key, content if isinstance(content, Mapping) else {}, refused)
