"""Sending one chunk: a request for each record or for many, several under way, and when the next chunk may follow.

Nothing here touches the database, so a chunk is on its way beside whatever else its carrier does. Of every operation it
is known whether its request has left: what has not may go on later as if it had never been tried.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from pipelines.operations.breaker import Breaker, Unsent
from pipelines.operations.carried import Operation
from resources.connector import (
    CreatesInBatches,
    CreatesMany,
    Refused,
    SourceError,
    Target,
    Uncertain,
    Unposts,
    UpdatesMany,
    Written,
)

Answer = Written | Exception


@dataclass(slots=True, eq=False)
class Request:
    """What sends some operations, and their answers; `has_left` is true from before it is sent."""

    operations: Sequence[Operation]
    send: Callable[[], Sequence[Answer]]
    has_left: bool = False
    answers: Future[Sequence[Answer]] | None = None


class Sender:
    """What forms the requests to one target, each of which asks its breaker before it leaves."""

    def __init__(self, target: Target, breaker: Breaker, pool: ThreadPoolExecutor) -> None:
        self._target, self._breaker, self.pool = target, breaker, pool
        self._version_field = target.capabilities.version

    @property
    def divides(self) -> bool:
        """Whether the target divides a chunk itself, and so does best with a long one."""
        many = isinstance(self._target, (CreatesMany, UpdatesMany))
        return many and not isinstance(self._target, CreatesInBatches)

    def requests(self, operations: Sequence[Operation]) -> list[Request]:
        """Of operations of one kind, each of another record; a create that is written again is an update among them."""
        if not operations:
            return []
        if others := [o for o in operations if o.action != operations[0].action]:
            same = [o for o in operations if o.action == operations[0].action]
            return [*self.requests(same), *self.requests(others)]
        kind, action, rows = operations[0].kind, operations[0].action, [(o.key, o.body) for o in operations]
        target, guard = self._target, self._breaker.guard
        if action == "create" and isinstance(target, CreatesInBatches):
            groups = target.batches(kind, rows)
            parts = [([operations[n] for n in group], [rows[n] for n in group]) for group in groups]
            return [
                Request(some, partial(guard, part, partial(target.create_batch, kind, part)))
                for some, part in parts
            ]
        if action == "create" and isinstance(target, CreatesMany):
            return [Request(operations, partial(guard, rows, partial(target.create_many, kind, rows)))]
        if action == "update" and isinstance(target, UpdatesMany):
            versions = [o.version or "" for o in operations]
            return [
                Request(operations, partial(guard, rows, partial(target.update_many, kind, rows, versions)))
            ]
        return [Request([o], partial(guard, [o], partial(self._alone, o))) for o in operations]

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


class Sending:
    """A chunk whose intent is committed, and that is on its way once it is begun. `well`: nothing failed so far."""

    def __init__(self, sender: Sender, chunk: Sequence[Operation]) -> None:
        self.chunk = chunk
        self.well, self.has_begun = True, False
        self._sender = sender
        self._there: Mapping[str, Answer] = {}
        self._requests: Sequence[Request] = ()
        self._lock, self._last_left = threading.Lock(), threading.Event()
        self._to_leave, self._is_ended = 0, False

    def begin(self, there: Mapping[str, Answer]) -> None:
        """Send what is not there already; `there`: answers by key to what need not be sent."""
        self.has_begun = True
        self._there = there
        self.well = all(isinstance(answer, Written) for answer in there.values())
        self._requests = self._sender.requests([o for o in self.chunk if o.key not in there])
        self._to_leave = len(self._requests)
        for request in self._requests:
            request.answers = self._sender.pool.submit(self._send, request)

    def await_room(self, following: Sequence[Operation]) -> bool:
        """Wait until the next chunk may follow; False where something failed by then, which is settled before it.

        Where one request takes long, it follows as soon as the last of these has left; else when all are answered,
        and so it does where both have an operation of the same record.
        """
        is_long = len(self._requests) > 1 and any(len(one.operations) > 1 for one in self._requests)
        if is_long and {o.key for o in self.chunk}.isdisjoint(o.key for o in following):
            self._last_left.wait()
        else:
            wait([one.answers for one in self._requests if one.answers])
        return self.well

    def answers(self) -> list[Answer]:
        """The answer to each operation of the chunk, in its order, once all are there."""
        found: dict[UUID, Answer] = {}
        for request in self._requests:
            assert request.answers is not None
            told = zip(request.operations, request.answers.result(), strict=True)
            found |= {o.operation_id: answer for o, answer in told}
        return [self._there[o.key] if o.key in self._there else found[o.operation_id] for o in self.chunk]

    def end(self) -> list[Operation]:
        """Let nothing more leave. Returns what did not leave, and never will."""
        with self._lock:
            self._is_ended = True
            left = {o.operation_id for one in self._requests if one.has_left for o in one.operations}
        return [o for o in self.chunk if o.operation_id not in left]

    def _send(self, request: Request) -> Sequence[Answer]:
        with self._lock:
            if self._is_ended:
                return [Unsent("the carry ended before it left") for _ in request.operations]
            request.has_left = True
            self._to_leave -= 1
            if not self._to_leave:
                self._last_left.set()
        answers: Sequence[Answer] = ()
        try:
            answers = request.send()
        finally:
            if not answers or not all(isinstance(answer, Written) for answer in answers):
                self.well = False
        if all(isinstance(answer, Unsent) for answer in answers):
            request.has_left = False
        return answers
