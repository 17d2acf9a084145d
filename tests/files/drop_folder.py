"""A drop folder that is read into raw tables hour by hour, for tests."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.raw.load import Batch, read_source
from resources.crm.files.connector import Files, connect
from resources.warehouse import Warehouse

NOON = datetime(2026, 2, 10, 12, 0, tzinfo=UTC)
HEAD = "ID;Сумма\n"


def at(hour: float) -> datetime:
    """A time of the day of the test."""
    return NOON + timedelta(hours=hour)


@dataclass
class Folder:
    """A drop folder, the raw tables it is read into, and a clock."""

    path: Path
    warehouse: Warehouse
    system: str
    options: dict[str, Any]
    hour: float = 0

    def drop(self, name: str, content: str | bytes, hour: float | None = None) -> None:
        """Write a file, stamped now or as told; it has rested by the next read."""
        file = self.path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.touch(name, hour)

    def touch(self, name: str, hour: float | None = None) -> None:
        stamp = at(self.hour if hour is None else hour).timestamp()
        os.utime(self.path / name, (stamp, stamp))

    def source(self) -> Files:
        files = connect(self.system, {"folder": str(self.path), "tables": {"sale": self.options}})
        files.clock = lambda: at(self.hour)
        return files

    def read(
        self, *, hours: float = 1, full: bool = False, rescan: bool = False, sweep: bool = False
    ) -> Batch:
        """Read an hour later; the batch of the read itself."""
        self.hour += hours
        return read_source(
            self.warehouse, self.source(), now=at(self.hour), full=full, rescan=rescan, sweep=sweep
        )[0]

    def rows(self, column: str = "Сумма") -> dict[str, str]:
        return dict(
            self.warehouse.rows(
                f"select source_id, payload->>%s from raw.{self.system}_sale where is_current and not deleted",
                [column],
            )
        )

    def apart(self) -> list[tuple[str, str, str]]:
        """What is set apart: place, deal, reason."""
        return self.warehouse.rows(
            "select place, parent_id, reason from ops.quarantine"
            " where source = %s and resolved_at is null order by place",
            [self.system],
        )


Make = Callable[..., Folder]
numbers = itertools.count(1)
