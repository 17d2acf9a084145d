"""What a receiver says of what it refuses: counted, and told once in a while, so that nobody can fill a log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

SECONDS_BETWEEN: Final = 60.0  # two lines about the same

log = logging.getLogger("sverka.hooks")


class Tally:
    """Counts what happens by a key of ours (never one that was sent) and logs the first of it, then one line a while."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[str, float] = {}
        self.counts: Counter[str] = Counter()

    def count(self, key: str, sentence: str) -> None:
        """One more of `key`. The sentence says what, and nothing secret or sent."""
        self.counts[key] += 1
        now = self._clock()
        if key in self._told and now - self._told[key] < SECONDS_BETWEEN:
            return
        self._told[key] = now
        log.warning("%s (%s so far)", sentence, self.counts[key])
