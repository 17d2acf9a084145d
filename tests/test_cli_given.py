"""What a command is given and cannot use (a folder for a file, a link to itself) is told in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mappings import MappingError, load


def sverka(home: Path, *arguments: str | bytes, **environ: str) -> tuple[int, str]:
    """Exit code and what was told as an error."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SVERKA_", "DAGSTER_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments],
        env={**kept, "SVERKA_HOME": str(home), **environ},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr.decode()


def test_a_folder_where_a_file_is_to_be_written_is_told(tmp_path: Path) -> None:
    for output, why in (
        (tmp_path, "Is a directory"),
        (tmp_path / "no" / "file", "No such file or directory"),
    ):
        code, said = sverka(tmp_path / "home", "mappings", "docs", "--output", str(output))
        assert code == 1
        assert said == f"{output} cannot be written ({why}); name another file with --output\n"


def test_a_word_that_is_no_utf8_is_told(tmp_path: Path) -> None:
    code, said = sverka(tmp_path / "home", "operations", "show", b"bitrix24:\xff")
    assert code == 2
    assert said == "'bitrix24:?' is no UTF-8 text; type it once more\n"
    assert not (tmp_path / "home").exists()


def test_a_home_or_a_folder_of_mapping_files_that_is_a_link_to_itself_is_told(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    code, said = sverka(loop, "status")
    assert (code, said.count("\n")) == (1, 1)
    assert "SVERKA_HOME is no folder" in said
    code, said = sverka(tmp_path / "home", "mappings", "check", SVERKA_MAPPINGS=str(loop))
    assert code == 1
    assert "loop:1: holds no mapping files. Set SVERKA_MAPPINGS" in said
    assert "Traceback" not in said


def test_a_mapping_file_that_is_a_link_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").symlink_to("shop.yaml")
    with pytest.raises(MappingError, match=r"shop\.yaml:1: cannot be read"):
        load(tmp_path, {})


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
@pytest.mark.parametrize("times", [100, 20_000, 400_000])
def test_a_mapping_file_that_nests_without_end_is_told(tmp_path: Path, opening: str, times: int) -> None:
    (tmp_path / "shop.yaml").write_text("system: shop\nread:\n  " + opening * times + "x\n")
    with pytest.raises(MappingError, match=r"shop\.yaml:3: nested too deeply\. Write it flatter"):
        load(tmp_path, {})
