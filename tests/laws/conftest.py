"""Databases for random histories: a template with everything deployed, copied for each example."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.laws.quick import quick_gate
from tests.laws.town import Town, Worded, copied, database, worded

Beginning = Callable[[Town], object]

settings.register_profile(
    "laws",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    # Every example is a company of its own: making a failing one smaller takes minutes, and is asked for.
    phases=[phase for phase in Phase if phase is not Phase.shrink or os.environ.get("LAWS_SHRINK")],
)
settings.load_profile("laws")
_numbers = itertools.count(1)


def examples(usual: int) -> int:
    """How many histories: LAWS_TIMES times as many as usual, for a night."""
    return usual * int(os.environ.get("LAWS_TIMES", "1"))


@dataclass(frozen=True)
class _Begun:
    """A database after a beginning, what the systems of its company hold, and how its mapping files were worded."""

    name: str
    held: bytes
    reworded: frozenset[str]
    words: Worded


class Towns:
    """Opens new companies, each gone when its block ends."""

    def __init__(self, server_url: str, deployed: str, folder: Path) -> None:
        self._server_url, self._deployed, self._folder = server_url, deployed, folder
        self._begun: dict[Beginning, _Begun] = {}

    @contextmanager
    def __call__(self, beginning: Beginning | None = None) -> Iterator[Town]:
        """A company as it is founded, or after `beginning`: that is gone through once, and copied."""
        like, held = self._deployed, b""
        if beginning is not None:
            begun = self._begun.get(beginning)
            if begun is None or begun.words != worded(begun.reworded):  # another test words it otherwise
                begun = self._begun[beginning] = self._begin(beginning)
            like, held = begun.name, begun.held
        with database(self._server_url, like, f"laws_{next(_numbers)}") as warehouse, quick_gate():
            yield Town(warehouse, self._folder, held)

    def _begin(self, beginning: Beginning) -> _Begun:
        name = f"laws_begun_{next(_numbers)}"
        warehouse = copied(self._server_url, self._deployed, name)
        with quick_gate():
            town = Town(warehouse, self._folder)
            beginning(town)
        warehouse.close()
        return _Begun(name, town.held(), town.reworded, worded(town.reworded))


@pytest.fixture(scope="session")
def towns(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Towns:
    """Companies like copies of one in which the demo company's tables are made and empty."""
    folder = tmp_path_factory.mktemp("mappings")
    warehouse = copied(server_url, template, "laws_template")
    Town(warehouse, folder)
    warehouse.close()
    return Towns(server_url, "laws_template", folder)
