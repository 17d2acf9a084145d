"""Service protection: requests, execution time and concurrency of one user on one web server, in 300 seconds.

6000 requests (0x80072322), 1200 seconds of combined execution time (0x80072321), 52 requests at once
(0x80072326). The time that an answer takes here says nothing, so work is charged as the vendor's takes: a request
REQUEST_SECONDS and each row that was read ROW_SECONDS.
Source: the vendor's page on API limits.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sandbox.crm.dynamics.model import DataverseError
from sandbox.office import Office, Window

REQUESTS: Final = 6000
PARALLEL: Final = 52
SECONDS: Final = 300.0
EXECUTION: Final = 1200.0
REQUEST_SECONDS: Final = 0.05
ROW_SECONDS: Final = 0.0001
CODES: Final = {"requests": "0x80072322", "execution": "0x80072321", "concurrent": "0x80072326"}


class TooManyError(DataverseError):
    """429 with the seconds of Retry-After."""

    def __init__(self, kind: str, limit: float, after: float) -> None:
        words = {
            "requests": f"Number of requests exceeded the limit of {limit:.0f} over time window of 300 seconds.",
            "execution": f"Combined execution time of incoming requests exceeded limit of {limit * 1000:,.0f} milliseconds "
            "over time window of 300 seconds. Decrease number of concurrent requests or reduce the duration of "
            "requests and try again later.",
            "concurrent": f"Number of concurrent requests exceeded the limit of {limit:.0f}.",
        }
        super().__init__(429, CODES[kind], words[kind])
        self.after = max(1, math.ceil(after))


class Spent(Window):
    """Execution time: seconds that were charged within the window."""

    def __init__(self, limit: float) -> None:
        super().__init__(int(limit), SECONDS)
        self._charges: deque[tuple[float, float]] = deque()
        self.spent = 0.0

    def knock(self) -> float:
        """0.0, or the seconds until enough of what was charged has left the window."""
        now = self._clean()
        if self.spent <= self.limit:
            self.granted += 1
            return 0.0
        self.denied += 1
        over = self.spent - self.limit
        for at, seconds in self._charges:
            over -= seconds
            if over <= 0:
                return at + self.seconds - now
        return self.seconds

    def charge(self, seconds: float) -> None:
        self._clean()
        self._charges.append((time.monotonic(), seconds))
        self.spent += seconds
        self.peak = max(self.peak, math.ceil(self.spent))

    def left(self) -> float:
        self._clean()
        return max(0.0, self.limit - self.spent)

    def forget(self) -> None:
        super().forget()
        self._charges.clear()
        self.spent = 0.0

    def _clean(self) -> float:
        now = time.monotonic()
        while self._charges and self._charges[0][0] <= now - self.seconds:
            self.spent -= self._charges.popleft()[1]
        return now


class Parallel(Window):
    """Requests that are being answered at this moment."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit, 0.0)
        self.now = 0

    @contextmanager
    def inside(self) -> Iterator[bool]:
        """Whether there was a place."""
        if self.now >= self.limit:
            self.denied += 1
            yield False
            return
        self.now += 1
        self.granted += 1
        self.peak = max(self.peak, self.now)
        try:
            yield True
        finally:
            self.now -= 1


class Protection:
    """The three limits of an office, seen under /control/crm/NAME/usage."""

    def __init__(self, office: Office) -> None:
        off = 1 << 60
        self.requests = office.window("requests", REQUESTS, SECONDS)
        self.execution = Spent(EXECUTION if office.limited else off)
        self.parallel = Parallel(PARALLEL if office.limited else off)
        office.windows |= {"execution": self.execution, "concurrent": self.parallel}

    def knock(self) -> None:
        """Raises TooManyError when a limit is used up."""
        if after := self.execution.knock():
            raise TooManyError("execution", self.execution.limit, after)
        if after := self.requests.knock():
            raise TooManyError("requests", self.requests.limit, after)

    def charge(self, rows: int) -> None:
        self.execution.charge(REQUEST_SECONDS + ROW_SECONDS * rows)

    def headers(self) -> dict[str, str]:
        used = len(self.requests._times)
        return {
            "x-ms-ratelimit-burst-remaining-xrm-requests": str(max(0, self.requests.limit - used)),
            "x-ms-ratelimit-time-remaining-xrm-requests": f"{self.execution.left():,.2f}",
        }

    def set(self, said: dict[str, Any]) -> None:
        """Other limits, as the vendor reserves itself to have."""
        self.requests.limit = int(said.get("requests", self.requests.limit))
        self.execution.limit = int(said.get("execution", self.execution.limit))
        self.parallel.limit = int(said.get("concurrent", self.parallel.limit))
