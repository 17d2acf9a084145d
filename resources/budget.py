"""How often we may ask a vendor: one leaky bucket a system, shared by every process that talks to it.

A bucket holds `burst` requests and leaks `rate` of them a second. `take` either grants (0.0) or says how
many seconds to wait before asking again; nothing is reserved meanwhile, so a process that dies while it
waits costs nothing and a request always leaves right after its grant.

A vendor counts in its own clock and often leaks once a second, so the last requests of a burst and the
last few per cent of the rate are kept back (`SHARE`, `kept_back`): the permitted rate is used to 97 %.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import psycopg

from resources.connector import SourceError

SHARE = 0.97  # of the permitted rate; the rest covers the difference between two clocks
MIN_WAIT = 0.001  # seconds: a wait is never so short that asking again would spin
MAX_BLOCK = 86_400.0  # seconds: no answer of a vendor may close a bucket for more than a day


def kept_back(rate: float, burst: float) -> float:
    """How many requests of a burst are not used: one second's leak and one; one always stays usable."""
    return max(0.0, min(rate + 1.0, burst - 1.0))


class Budget(Protocol):
    """The rate budget of one system."""

    def take(self, cost: float = 1.0, buckets: Sequence[str] = ()) -> float:
        """Grant `cost` requests and return 0.0, or return the seconds to wait before asking again.

        `buckets` names what the request also needs (a vendor's method); a blocked one is waited for.
        """
        ...

    def block(self, seconds: float, bucket: str = "") -> None:
        """Grant nothing for so long: to one bucket, or ("") to the whole system."""
        ...


class LocalBudget:
    """A budget in memory, for one process. Safe to use from several threads."""

    def __init__(self, rate: float, burst: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate * SHARE
        self._room = burst - kept_back(rate, burst)
        self._clock = clock
        self._lock = threading.Lock()
        self._level = 0.0
        self._leaked_at = clock()
        self._blocked: dict[str, float] = {}

    def take(self, cost: float = 1.0, buckets: Sequence[str] = ()) -> float:
        """See Budget.take; for the threads of this process."""
        with self._lock:
            now = self._clock()
            closed_until = max((self._blocked.get(name, 0.0) for name in ("", *buckets)), default=0.0)
            if closed_until > now:
                return max(closed_until - now, MIN_WAIT)
            self._level = max(0.0, self._level - (now - self._leaked_at) * self._rate)
            self._leaked_at = now
            over = self._level + min(cost, self._room) - self._room
            if over > 1e-9:
                return max(over / self._rate, MIN_WAIT)
            self._level += cost
            return 0.0

    def block(self, seconds: float, bucket: str = "") -> None:
        """See Budget.block; at most MAX_BLOCK seconds."""
        with self._lock:
            until = self._clock() + min(seconds, MAX_BLOCK)
            self._blocked[bucket] = max(until, self._blocked.get(bucket, 0.0))


# What is left in the bucket now. The elapsed time is never negative, whatever a clock does.
_LEVEL = (
    "greatest(0, {b}level - %(rate)s * greatest(0, extract(epoch FROM clock_timestamp() - {b}leaked_at)))"
)

_TAKE = f"""
INSERT INTO ops.rate_bucket AS b (system, bucket, level, leaked_at)
SELECT %(system)s, '', %(cost)s, clock_timestamp()
WHERE NOT EXISTS (SELECT FROM ops.rate_bucket c
                  WHERE c.system = %(system)s AND c.bucket = ANY(%(buckets)s)
                    AND c.blocked_until > clock_timestamp())
ON CONFLICT (system, bucket) DO UPDATE SET
    level = {_LEVEL.format(b="b.")} + %(cost)s,
    leaked_at = clock_timestamp()
WHERE {_LEVEL.format(b="b.")} + %(needed)s <= %(room)s
RETURNING 0.0::double precision
"""

_WAIT = f"""
SELECT greatest(
    coalesce(max(extract(epoch FROM blocked_until - clock_timestamp())), 0),
    coalesce(max({_LEVEL.format(b="")} + %(needed)s - %(room)s) FILTER (WHERE bucket = ''), 0) / %(rate)s
)::double precision
FROM ops.rate_bucket WHERE system = %(system)s AND bucket = ANY(%(buckets)s)
"""

_BLOCK = """
INSERT INTO ops.rate_bucket AS b (system, bucket, level, leaked_at, blocked_until)
VALUES (%(system)s, %(bucket)s, 0, clock_timestamp(), clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (system, bucket) DO UPDATE SET blocked_until = greatest(b.blocked_until, excluded.blocked_until)
"""


class SharedBudget:
    """A budget in PostgreSQL (`ops.rate_bucket`), shared by all processes that talk to a system.

    A grant is one atomic upsert whose condition is the room left; the database's clock is the only one.
    `connect` opens a connection of its own; it is reopened once when it was lost. Safe to use from
    several threads.
    """

    def __init__(
        self, system: str, rate: float, burst: float, connect: Callable[[], psycopg.Connection[Any]]
    ) -> None:
        self._room = burst - kept_back(rate, burst)
        self._names: dict[str, Any] = {"system": system, "rate": rate * SHARE, "room": self._room}
        self._connect = connect
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def take(self, cost: float = 1.0, buckets: Sequence[str] = ()) -> float:
        """See Budget.take; one statement. Raises SourceError when the database cannot be reached."""
        values = self._names | {"cost": cost, "needed": min(cost, self._room), "buckets": ["", *buckets]}
        if self._one(_TAKE, values) is not None:
            return 0.0
        row = self._one(_WAIT, values)
        return max(float(row[0]) if row else 0.0, MIN_WAIT)

    def block(self, seconds: float, bucket: str = "") -> None:
        """See Budget.block; at most MAX_BLOCK seconds, for all processes."""
        self._one(_BLOCK, self._names | {"bucket": bucket, "seconds": min(seconds, MAX_BLOCK)})

    def close(self) -> None:
        """End the connection to the database; the next call opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _one(self, statement: str, values: dict[str, Any]) -> tuple[Any, ...] | None:
        with self._lock:
            for again in (True, False):
                try:
                    if self._connection is None or self._connection.closed:
                        self._connection = self._connect()
                        self._connection.autocommit = True
                    cursor = self._connection.execute(statement.encode(), values)
                    return cursor.fetchone() if cursor.description else None
                except psycopg.OperationalError:
                    if self._connection is not None:
                        self._connection.close()
                    self._connection = None
                    if not again:
                        raise SourceError(
                            f"{self._names['system']}: the rate budget in the database cannot be reached; "
                            "check that PostgreSQL runs and SVERKA_DATABASE_URL is right",
                            retriable=True,
                        ) from None
        raise AssertionError("unreachable")
