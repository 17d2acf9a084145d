"""A base that exchanges files, with bank statements beside it, and the ready mapping file that reads both."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mappings import System, load
from tests.mapping.mapping_road import MAPPINGS
from tests.onec_files.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    (tmp_path / "bank").mkdir()
    made = Town(tmp_path, options={"statements": tmp_path / "bank"})
    yield made
    made.ours.close()


@pytest.fixture
def system(tmp_path: Path) -> System:
    folder = tmp_path / "mapping"
    folder.mkdir()
    shutil.copy(MAPPINGS / "accounting" / "onec_files.yaml", folder)
    return load(folder, {}, connected=False).accounting()
