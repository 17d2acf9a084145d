"""What `make clean` throws away, and what it must not."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from pipelines.commands.session import MARK

ROOT = Path(__file__).parents[1]


def clean(folder: Path) -> str:
    """Run it on a project that holds nothing but what lies in `folder`; what it printed."""
    shutil.copy2(ROOT / "Makefile", folder)
    done = subprocess.run(
        ["make", "clean"], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_clean_keeps_the_records_of_a_company_and_says_where_they_are(tmp_path: Path) -> None:
    for name in (
        ".venv/installed",
        f".sverka/demo/{MARK}",
        ".sverka/demo/postgres/PG_VERSION",
        f".sverka/real/{MARK}",
        ".sverka/mycompany/postgres/PG_VERSION",
        ".sverka/mycompany/bench/postgres/PG_VERSION",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("demo")
    said = clean(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"Makefile", ".sverka/mycompany/postgres/PG_VERSION"}
    assert f"kept: {tmp_path}/.sverka/mycompany," in said


def test_clean_leaves_nothing_where_only_demonstrations_and_benchmarks_ran(tmp_path: Path) -> None:
    for name in (f".sverka/real/{MARK}", ".sverka/bench/reading.json", ".sverka/demo/bench/reading.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("real")
    assert "kept" not in clean(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
