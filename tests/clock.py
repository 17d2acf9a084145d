"""Time that passes only while someone sleeps."""

from __future__ import annotations


class Clock:
    """Called, it says the seconds; `slept` is what was slept, in order."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
