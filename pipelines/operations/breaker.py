"""Leave a system alone that does not answer our writes, and try it again with care.

After `OPENS_AFTER` failures in a row, or at once where our credentials are refused, the breaker of a system opens: this
run sends it nothing more, and later ones send nothing before `retry_at`. Then one operation is tried: its answer closes
the breaker, its failure opens it again for twice as long, an hour at most. The state is a row of `ops.breaker`, so all
processes share it; the only clock is the database's. What was to be sent stays approved. Refusals of single records are
answers, and no failures. Reading, and other systems, go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import UUID

from pipelines.operations.carried import Carried
from resources.connector import Refused, SourceError, Uncertain, Written
from resources.language import Language
from resources.warehouse import Connection, Warehouse

OPENS_AFTER: Final = 15  # failures in a row
FIRST_PAUSE: Final = 60  # seconds until one operation is tried; doubled every time that this fails
LONGEST_PAUSE: Final = 3_600  # seconds
MAX_DOUBLINGS: Final = 12  # more make no difference
SHOWN: Final = 300  # characters of the last failure

T = TypeVar("T")


class Unsent(SourceError):
    """Not sent, because the system stopped answering meanwhile. Nothing has left."""


@dataclass(frozen=True, slots=True)
class Open:
    """A system that is left alone. Times are aware, UTC."""

    system: str
    opened_at: datetime
    retry_at: datetime
    failures: int
    reason: str
    waits: bool  # its time to be tried has not come yet

    def sentence(self, language: Language = "en") -> str:
        """What is open, since when, why, and what closes it."""
        since, again = _moment(self.opened_at), _moment(self.retry_at)
        if language == "ru":
            why = f"{self.failures} отказов подряд" if self.failures > 1 else "отказ"
            when = f"С {again}" if self.waits else "Следующая синхронизация"
            does = "следующая синхронизация пробует одну операцию" if self.waits else "пробует одну операцию"
            return (
                f"{self.system}: с {since} туда ничего не отправляется ({why}; последний: {self.reason}). {when} {does}; "
                "если она пройдёт, отправятся остальные: все они остаются утверждёнными. "
                f"Попробовать сразу: sverka sources retry {self.system}"
            )
        why = f"{self.failures} failures in a row" if self.failures > 1 else "a failure"
        when = f"From {again} on the next sync tries" if self.waits else "The next sync tries"
        return (
            f"{self.system}: nothing is sent there since {since} ({why}; the last: {self.reason}). {when} one operation; "
            "once it gets through the others follow: all of them stay approved. "
            f"To try at once: sverka sources retry {self.system}"
        )


class Breaker:
    """The breaker of one system, for one carrier. `note` is called from any thread, all else from the carrier's own."""

    def __init__(self, conn: Connection, system: str, run_id: str = "") -> None:
        self._conn, self._system, self._run_id = conn, system, run_id
        self._lock = threading.Lock()
        self._failures = 0
        self._reason = ""
        self._answered = False
        self._tripped = self._kept = False
        self.open = _read(conn, system)
        conn.commit()

    @property
    def is_trying(self) -> bool:
        """Whether one operation is tried before the others."""
        return self.open is not None and not self.open.waits

    @property
    def tripped(self) -> bool:
        """Whether nothing more is to be sent; known at once to all threads."""
        return self._tripped

    def note(self, answer: Written | Exception) -> None:
        """Count an answer to a write, or the lack of one. A refusal of the record is an answer."""
        with self._lock:
            if isinstance(answer, Unsent):
                return
            if isinstance(answer, (Written, Refused)):
                self._failures, self._answered = 0, True
                return
            self._failures += 1
            self._reason = " ".join(str(answer).split())[:SHOWN]
            if _refuses_us(answer) or self.is_trying or self._failures >= OPENS_AFTER:
                self._tripped = True

    def guard(
        self, rows: Sequence[object], send: Callable[[], Sequence[Written | Exception]]
    ) -> Sequence[Written | Exception]:
        """Send these rows unless it tripped, and count what came back. From any thread.

        Rows that went together failed together: that is one failure, of as many rows as there were.
        """
        if not rows:
            return []
        if self._tripped:
            return [Unsent(f"{self._system} does not answer: not sent", retriable=True) for _ in rows]
        answers = send()
        told = [answer for answer in answers if not isinstance(answer, Unsent)]
        refused = next((answer for answer in told if _refuses_us(answer)), None)
        answered = next((answer for answer in told if isinstance(answer, (Written, Refused))), None)
        if told:
            self.note(refused or answered or told[-1])
        return answers

    def never_left(self, operations: Sequence[UUID], answers: Sequence[Written | Exception]) -> None:
        """Tries that were none do not count. `answers` are those to the operations, in their order. Commits."""
        kept = [key for key, answer in zip(operations, answers, strict=True) if isinstance(answer, Unsent)]
        if kept:
            self._conn.execute(
                "update ops.operation set attempts = attempts - 1 where operation_id = any(%s)", [kept]
            )
            self._conn.commit()

    def heard(self) -> None:
        """It answered a question: enough where nothing is left to be tried."""
        self._answered = True

    def keep(self, carried: Carried) -> None:
        """Store what changed, and say in `carried` why nothing may be sent, where that is so. Commits."""
        if self._tripped and not self._kept:
            self._kept = True
            self._conn.execute(
                _OPEN,
                {"system": self._system, "failures": self._failures, "reason": self._reason, "run_id": self._run_id,
                 "first": FIRST_PAUSE, "longest": LONGEST_PAUSE, "doublings": MAX_DOUBLINGS},
            )  # fmt: skip
            self.open = _read(self._conn, self._system)
            self._conn.commit()
        elif self._answered and self.is_trying and not self._tripped:
            self._conn.execute(_CLOSE, [self._system])
            self.open = None
            self._conn.commit()
        if self.open is not None and self.open.waits:
            carried.stopped = carried.stopped or self.open.sentence()


def open_breakers(warehouse: Warehouse) -> Sequence[Open]:
    """Every system that nothing is sent to now, by name."""
    return [_made(row) for row in warehouse.rows(f"{_SELECT} order by system")]


def retry(warehouse: Warehouse, system: str) -> bool:
    """Let the next sync try a system at once; False where it is not left alone."""
    rows = warehouse.rows(
        "update ops.breaker set retry_at = clock_timestamp() where system = %s and opened_at is not null returning system",
        [system],
    )
    return bool(rows)


_SELECT: Final = """
    select system, opened_at, retry_at, failures, reason, retry_at > clock_timestamp() from ops.breaker
    where opened_at is not null
"""

_OPEN: Final = """
    insert into ops.breaker as b (system, opened_at, times, retry_at, failures, reason, run_id)
    values (%(system)s, clock_timestamp(), 1, clock_timestamp() + make_interval(secs => %(first)s), %(failures)s, %(reason)s,
            %(run_id)s)
    on conflict (system) do update
    set opened_at = coalesce(b.opened_at, excluded.opened_at), times = b.times + 1,
        retry_at = clock_timestamp()
            + make_interval(secs => least(%(longest)s, %(first)s * 2 ^ least(b.times, %(doublings)s))),
        failures = case when b.opened_at is null then excluded.failures else b.failures + excluded.failures end,
        reason = excluded.reason, run_id = excluded.run_id
"""

_CLOSE: Final = """
    update ops.breaker set opened_at = null, retry_at = null, times = 0, failures = 0, closed_at = clock_timestamp()
    where system = %s and opened_at is not null
"""


def _read(conn: Connection, system: str) -> Open | None:
    row = conn.execute(f"{_SELECT} and system = %s".encode(), [system]).fetchone()
    return _made(row) if row else None


def _made(row: tuple[object, ...]) -> Open:
    system, opened_at, retry_at, failures, reason, waits = row
    assert isinstance(opened_at, datetime)
    assert isinstance(retry_at, datetime)
    return Open(str(system), opened_at, retry_at, int(str(failures)), str(reason), bool(waits))


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%d.%m.%Y %H:%M} UTC"


def _refuses_us(answer: Written | Exception) -> bool:
    """Whether it is our credentials that are refused."""
    return (
        isinstance(answer, SourceError)
        and not answer.retriable
        and not isinstance(answer, (Uncertain, Refused))
    )
