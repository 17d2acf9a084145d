"""A folder of exports: which file is read, when, and what the connection says; a real export."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from resources.connector import Record, Source, SourceError
from resources.crm.files.connector import connect
from tests.files.dropped import (
    LATER,
    MORNING,
    TEXT,
    by_id,
    drop,
    failure,
    read,
    source,
    values,
)

SHARED_DATA = Path(
    os.environ.get("SVERKA_SHARED_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
)


def test_the_newest_snapshot_is_the_whole_truth(tmp_path: Path) -> None:
    drop(tmp_path, "deals_2.csv", "ID;Сумма\r\n1;10\r\n2;20\r\n", at=MORNING)
    drop(tmp_path, "deals_1.csv", "ID;Сумма\r\n2;25\r\n", at=MORNING + timedelta(hours=1))
    files = source(tmp_path)
    assert by_id(files) == {"2": {"ID": "2", "Сумма": "25"}}
    assert list(files.keys("deal")) == [["2"]]
    assert files.capabilities.entities[0].deletions == "sweep"
    assert isinstance(files, Source)


def test_a_broken_newest_snapshot_does_not_fall_back_to_an_older_one(tmp_path: Path) -> None:
    drop(tmp_path, "deals_1.csv", TEXT, at=MORNING)
    drop(tmp_path, "deals_2.csv", 'ID;Сумма\r\n1;"', at=MORNING + timedelta(hours=1))
    assert "deals_2.csv" in str(failure(source(tmp_path)))


def test_appended_files_come_oldest_first_and_are_never_swept(tmp_path: Path) -> None:
    drop(tmp_path, "deals_b.csv", "ID;Сумма\r\n1;10\r\n2;20\r\n", at=MORNING)
    drop(tmp_path, "deals_a.csv", "ID;Сумма\r\n2;25\r\n", at=MORNING + timedelta(hours=1))
    drop(tmp_path, "deals_c.csv", "ID;Сумма\r\n1;10\r\n2;20\r\n", at=MORNING + timedelta(hours=2))
    files = source(tmp_path, mode="append")
    records, _ = read(files)
    assert [(r.source_id, values(r)["Сумма"]) for r in records] == [("1", "10"), ("2", "20"), ("2", "25")]
    assert files.capabilities.entities[0].deletions == "tombstones"
    with pytest.raises(SourceError, match="appended"):
        list(files.keys("deal"))


def test_a_broken_file_holds_back_itself_only(tmp_path: Path) -> None:
    drop(tmp_path, "deals_a.csv", b"", at=MORNING)
    drop(tmp_path, "deals_b.csv", TEXT, at=MORNING + timedelta(hours=1))
    files = source(tmp_path, mode="append")
    pages = files.read(["deal"], None, LATER)
    assert len(next(pages).records) == 2
    with pytest.raises(SourceError, match=r"deals_a\.csv: it is empty"):
        next(pages)


def test_a_file_dropped_again_is_no_news(tmp_path: Path) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    drop(tmp_path, "deals.csv", TEXT)
    files = source(tmp_path)
    (change,) = files.changes(long_ago)
    assert (change.source_id, change.modified_at) == ("deals.csv", MORNING)
    assert change.version
    loaded = [change]
    files.known_contents = lambda entity: loaded
    drop(tmp_path, "deals (1).csv", TEXT, at=MORNING + timedelta(hours=1))
    assert list(files.changes(long_ago)) == []
    assert read(files, since=long_ago) == ([], [])
    assert len(read(files)[0]) == 2, "a full read leaves nothing out"
    drop(tmp_path, "deals (1).csv", TEXT + "3;В;1\r\n", at=MORNING + timedelta(hours=2))
    (change,) = files.changes(long_ago)
    assert change.source_id == "deals (1).csv"
    assert len(read(files, since=long_ago)[0]) == 3


def test_a_file_copied_with_the_time_of_its_original_counts_from_when_it_came(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", TEXT, at=datetime(2019, 1, 1, tzinfo=UTC))
    now = datetime.now(UTC)
    assert len(read(source(tmp_path), since=now - timedelta(minutes=10))[0]) == 2
    assert read(source(tmp_path), since=now + timedelta(minutes=10)) == ([], [])


def test_a_missing_folder_or_file_says_where_to_put_it(tmp_path: Path) -> None:
    files = source(tmp_path / "nowhere")
    assert not files.check()[0].ok
    with pytest.raises(SourceError, match="does not exist"):
        read(files)
    assert "no file of deal" in str(failure(source(tmp_path)))
    assert not source(tmp_path).check()[1].ok
    assert list(source(tmp_path).changes(MORNING)) == []


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"patern": "*.csv"}, "patern"),
        ({"mode": "replace"}, "mode"),
        ({"pattern": "../*.csv"}, "leaves the folder"),
        ({"key": []}, "key"),
        ({"min_share": 50}, "min_share"),
        ({"allow_shrink": "maybe"}, "allow_shrink"),
        ({"parent_columns": ["Клиент"]}, "no `parent`"),
        ({"parent": "ID", "parent_columns": ["Клиент"], "parent_changes": ["Стадия"]}, "Стадия"),
    ],
)
def test_a_wrong_connection_names_the_option(tmp_path: Path, change: dict[str, Any], names: str) -> None:
    with pytest.raises(SourceError, match=re.escape(names)):
        source(tmp_path, **change)


def test_a_connection_may_say_how_often_its_sensor_looks_and_answer_from_the_environment(
    tmp_path: Path,
) -> None:
    table = {
        "pattern": "*.csv",
        "key": "ID",
        "allow_shrink": "false",
        "allow_restore": "",
        "skip_totals": "True",
    }
    found = connect("exports", {"folder": str(tmp_path), "tables": {"deal": table}, "every_seconds": 60})
    assert not found.tables["deal"].allow_shrink
    assert not found.tables["deal"].allow_restore
    assert found.tables["deal"].skip_totals
    with pytest.raises(SourceError, match="every_minutes"):
        connect("exports", {"folder": str(tmp_path), "tables": {"deal": table}, "every_minutes": 1})


@pytest.mark.shared_data
def test_a_real_crm_export_is_read_whole() -> None:
    folder = SHARED_DATA / "crm_sales_opportunities"
    if not folder.is_dir():
        pytest.skip(f"needs {folder} (public data; SVERKA_SHARED_DATA names its folder)")
    tables = {
        "deal": {"pattern": "sales_pipeline*.csv", "key": "opportunity_id", "columns": ["close_value"]},
        "client": {"pattern": "accounts.csv", "key": "account"},
        "product": {"pattern": "products.csv", "key": "product"},
        "employee": {"pattern": "sales_teams.csv", "key": "sales_agent"},
    }
    files = connect("maven", {"folder": str(folder), "tables": tables, "settle_seconds": 0})
    found: dict[str, list[Record]] = {entity: [] for entity in tables}
    for page in files.read(list(tables), None, datetime.now(UTC)):
        assert not page.rejects
        found[page.entity] += page.records
    assert {entity: len(records) for entity, records in found.items()} == {
        "deal": 8_800, "client": 85, "product": 7, "employee": 35,
    }  # fmt: skip
    deals = [values(record) for record in found["deal"]]
    assert sum(int(deal["close_value"]) for deal in deals if deal["deal_stage"] == "Won") == 10_005_534
    assert sum(deal["account"] is None for deal in deals) == 1_425
    assert all(finding.ok for finding in files.check())
