"""How long a vendor takes: an answer leaves no sooner than so many seconds after its request came."""

from __future__ import annotations

import asyncio
import time


class Latency:
    """Begun when a request comes; `await over(seconds)` before its answer leaves. The work itself counts in."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    async def over(self, seconds: float) -> None:
        left = self._began + seconds - time.monotonic()
        if left > 0:
            await asyncio.sleep(left)
