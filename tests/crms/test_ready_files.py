"""The ready mapping files of CRMs: what a company may switch on in them without reading a page."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from mappings import load
from pipelines.hooks import hearing_systems
from tests.crms.stand_in import MAPPINGS

FILES = [MAPPINGS / "demo" / "bitrix24.yaml", *sorted((MAPPINGS / "crm").glob("*.yaml"))]
COMMENTED = re.compile(r"^  # (?=\w+: \"\$\{SVERKA_)", re.M)  # a key of the connection behind a hash
SECRET = "0123456789abcdef0123"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_webhooks_are_heard_once_a_secret_is_given_and_no_sooner(file: Path, tmp_path: Path) -> None:
    (tmp_path / file.name).write_text(COMMENTED.sub("  ", file.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copy(MAPPINGS / "demo" / "onec.yaml", tmp_path)
    assert hearing_systems(load(tmp_path, {}, connected=False)) == []
    given = {f"SVERKA_{file.stem.upper()}_HOOK_SECRET": SECRET}
    (heard,) = hearing_systems(load(tmp_path, given, connected=False))
    assert (heard.name, heard.given["hook_secret"]) == (file.stem, SECRET)
