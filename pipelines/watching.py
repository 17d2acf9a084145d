"""What the sensor `sources_behind` remembers between its looks, and what it shows in the UI when something changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import dagster as dg

from mappings import Mappings
from pipelines.assets import UP_TO_DATE, raw_entities
from pipelines.deploy import reads_of
from pipelines.freshness import Freshness, moment_of

PAUSE: Final = timedelta(minutes=15)  # between two looks: longer, and Sverka itself stood still meanwhile


@dataclass(frozen=True, slots=True)
class Watching:
    """The last look: when it was, since when there was no pause between looks, and what the UI was shown of each source."""

    last: datetime | None = None
    since: datetime | None = None
    shown: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, cursor: str | None) -> Watching:
        """From a sensor's cursor; an empty one is that of a first look."""
        if not cursor:
            return cls()
        kept = json.loads(cursor)
        return cls(datetime.fromisoformat(kept["last"]), datetime.fromisoformat(kept["since"]), kept["shown"])

    def cursor(self) -> str:
        """For the next look."""
        assert self.last is not None
        assert self.since is not None
        return json.dumps(
            {"last": self.last.isoformat(), "since": self.since.isoformat(), "shown": dict(self.shown)}
        )

    def since_at(self, now: datetime, pause: timedelta) -> datetime:
        """Since when sensors have been looking without a pause: a machine that slept has not watched."""
        if self.last is None or self.since is None or now - self.last > pause:
            return now
        return self.since


def evaluations(
    mappings: Mappings, sources: Sequence[Freshness], shown: Mapping[str, str]
) -> Iterator[dg.AssetCheckEvaluation]:
    """The checks of the raw tables of each source whose state is another than what was shown."""
    reads = reads_of(mappings)
    for source in sources:
        if shown.get(source.system) == source.state:
            continue
        until = (
            {} if source.read_until is None else {"read until": dg.MetadataValue.timestamp(source.read_until)}
        )
        for entity in raw_entities(reads, mappings.system(source.system)):
            right = not source.is_behind and not source.refused and entity not in source.failed
            yield dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(["raw", f"{source.system}_{entity}"]),
                check_name=UP_TO_DATE,
                passed=right,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"read until {moment_of(source.read_until)}" if right else source.sentence(),
                metadata=until,
            )
