"""Sending one chunk: a request for each record or for many, several under way, and when the next chunk may follow.

Nothing here touches the database, so a chunk is on its way beside whatever else its carrier does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Protocol, runtime_checkable

from pipelines.operations.breaker import Breaker
from pipelines.operations.carried import Operation
from resources.connector import (
    CreatesMany,
    Refused,
    Rows,
    SourceError,
    Target,
    Uncertain,
    Unposts,
    UpdatesMany,
    Written,
)

Answer = Written | Exception
Request = tuple[Sequence[Operation], Callable[[], Sequence[Answer]]]  # which operations, and what sends them


@runtime_checkable
class CreatesInBatches(Protocol):
    """A target that says which records go together, so that the batches of the next chunk can follow without a pause."""

    def batches(self, kind: str, rows: Rows) -> Sequence[Sequence[int]]:
        """The places of the rows of each batch, in the order in which the batches should leave."""
        ...

    def create_batch(self, kind: str, rows: Rows) -> Sequence[Written | SourceError]:
        """As `create_many`, in one request."""
        ...


class Sending:
    """A chunk on its way. `well`: whether all that was answered so far was written."""

    def __init__(
        self,
        chunk: Sequence[Operation],
        there: Mapping[str, Answer],
        requests: Sequence[Request],
        pool: ThreadPoolExecutor,
    ) -> None:
        self.chunk = chunk
        self.well = all(isinstance(answer, Written) for answer in there.values())
        self._there = there
        self._waiting, self._lock, self._last_left = len(requests), threading.Lock(), threading.Event()
        # Where one request takes long, the next chunk's follow as soon as the last of these has left.
        self._is_early = len(requests) > 1 and any(len(operations) > 1 for operations, _ in requests)
        self._under_way: list[tuple[Sequence[Operation], Future[Sequence[Answer]]]] = [
            (operations, pool.submit(self._send, send)) for operations, send in requests
        ]

    def await_room(self) -> bool:
        """Wait until the next chunk may follow; False where something went wrong by then, which is settled before it."""
        if self._is_early:
            self._last_left.wait()
        else:
            wait([future for _, future in self._under_way])
        return self.well

    def answers(self) -> list[Answer]:
        """The answer to each operation of the chunk, in its order, once all are there."""
        found = dict(self._there)
        for operations, future in self._under_way:
            found |= {o.key: answer for o, answer in zip(operations, future.result(), strict=True)}
        return [found[o.key] for o in self.chunk]

    def _send(self, send: Callable[[], Sequence[Answer]]) -> Sequence[Answer]:
        with self._lock:
            self._waiting -= 1
            if not self._waiting:
                self._last_left.set()
        answers: Sequence[Answer] = ()
        try:
            answers = send()
        finally:
            if not answers or not all(isinstance(answer, Written) for answer in answers):
                self.well = False
        return answers


class Sender:
    """What sends chunks to one target, unless its breaker tripped."""

    def __init__(self, target: Target, breaker: Breaker, pool: ThreadPoolExecutor) -> None:
        self._target, self._breaker, self._pool = target, breaker, pool
        self._version_field = target.capabilities.version

    def begin(self, chunk: Sequence[Operation], there: Mapping[str, Answer]) -> Sending:
        """Send what is not there already: operations of one kind and action, each of another record."""
        rest = [o for o in chunk if o.key not in there]
        return Sending(chunk, there, self._requests(rest) if rest else [], self._pool)

    def _requests(self, rest: Sequence[Operation]) -> list[Request]:
        kind, action, rows = rest[0].kind, rest[0].action, [(o.key, o.body) for o in rest]
        target, guard = self._target, self._breaker.guard
        if action == "create" and isinstance(target, CreatesInBatches):
            groups = target.batches(kind, rows)
            parts = [([rest[n] for n in group], [rows[n] for n in group]) for group in groups]
            return [(o, partial(guard, part, partial(target.create_batch, kind, part))) for o, part in parts]
        if action == "create" and isinstance(target, CreatesMany):
            return [(rest, partial(guard, rows, partial(target.create_many, kind, rows)))]
        if action == "update" and isinstance(target, UpdatesMany):
            return [(rest, partial(guard, rows, partial(target.update_many, kind, rows)))]
        return [([o], partial(guard, [o], partial(self._alone, o))) for o in rest]

    def _alone(self, operation: Operation) -> Sequence[Answer]:
        try:
            return [self._one(operation)]
        except SourceError as error:
            return [error]
        except Exception as error:  # noqa: BLE001 - a bug after sending must not lose track of what was sent
            return [Uncertain(f"{self._target.system}: {type(error).__name__}: {error}")]

    def _one(self, operation: Operation) -> Answer:
        kind, key = operation.kind, operation.key
        match operation.action:
            case "create":
                return self._target.create(kind, key, operation.body)
            case "update":
                return self._target.update(kind, key, operation.body, operation.version or None)
            case "post":
                self._target.post(kind, key)
            case "unpost" if isinstance(self._target, Unposts):
                self._see_that_nobody_changed(operation)
                self._target.unpost(kind, key)
            case action:
                return Refused(f"{self._target.system}: no way to {action} a {kind}")
        return Written(key, {})

    def _see_that_nobody_changed(self, operation: Operation) -> None:
        """A posted document is taken back only as we know it. Raises Refused where accounting changed it since."""
        held = self._target.find(operation.kind, [operation.key]).get(operation.key, {})
        version = str(held.get(self._version_field, ""))
        if self._version_field and operation.version and version != operation.version:
            raise Refused(
                f"{self._target.system}: this {operation.kind} was changed in accounting since it was read; "
                "the next sync looks at it again",
                code="edited",
            )
