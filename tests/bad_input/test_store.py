"""The store fails in the middle: said in words, and the next sync goes on without loss or doubling."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pipelines.raw.load
import pipelines.raw.receive
from pipelines.operations import carrier
from resources import postgres
from resources.warehouse import Warehouse, WarehouseError
from tests.bad_input.conftest import assert_says
from tests.bad_input.test_sources import read, stored
from tests.whole_road import Company, company, differences_from_truth


@pytest.fixture
def empty(town: Company, fresh: Callable[[], Warehouse]) -> Company:
    return replace(town, warehouse=fresh())


def end_backend(of: Warehouse, conn: psycopg.Connection[Any]) -> None:
    """What an administrator, a restart or a lost network does to a connection that works."""
    assert of.scalar("select pg_terminate_backend(%s, 5000)", [conn.info.backend_pid])


def test_a_connection_lost_while_loading_is_told_and_the_next_sync_has_everything_once(
    empty: Company, fresh: Callable[[], Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    receive, pages = pipelines.raw.receive.receive, []

    def lost_at_the_third_page(conn: Any, *rest: Any) -> None:
        pages.append(1)
        if len(pages) == 3:
            end_backend(empty.warehouse, conn)
        receive(conn, *rest)

    monkeypatch.setattr(pipelines.raw.load, "receive", lost_at_the_third_page)
    with pytest.raises(WarehouseError) as told:
        read(empty, "bitrix24")
    assert_says(str(told.value), empty.warehouse.place, "the connection was lost", "run it again", town=empty)
    assert told.value.retriable
    assert "@" not in str(told.value), "no user and password"
    monkeypatch.undo()
    assert_like_a_clean_read(empty, fresh())


def assert_like_a_clean_read(found: Company, other: Warehouse) -> None:
    clean = replace(found, warehouse=other)
    for each in (found, clean):
        assert not [batch.error for batch in read(each, "bitrix24") if batch.error]
    assert stored(found.warehouse, "bitrix24") == stored(clean.warehouse, "bitrix24")


def test_a_server_that_reports_a_full_disk_while_storing_is_told_and_nothing_is_half_stored(
    empty: Company, fresh: Callable[[], Warehouse]
) -> None:
    """The server's own error, raised by a trigger in the middle of the transaction that stores deals."""
    with empty.road(), empty.warehouse.transaction() as conn:
        conn.execute(
            """
            create function full_disk() returns trigger language plpgsql as $$
            begin
                if (select count(*) from raw.bitrix24_deal) >= 20 then
                    raise exception 'could not extend file "base/1/2": No space left on device' using errcode = 'disk_full';
                end if;
                return new;
            end $$;
            create trigger full_disk before insert on raw.bitrix24_deal for each row execute function full_disk();
            """
        )
    with pytest.raises(WarehouseError) as told:
        read(empty, "bitrix24")
    assert_says(
        str(told.value), empty.warehouse.place, "No space left on device", "free disk space", town=empty
    )
    assert not told.value.retriable
    assert empty.warehouse.scalar("select count(*) from raw.bitrix24_deal") == 0
    empty.warehouse.execute("drop trigger full_disk on raw.bitrix24_deal")
    assert_like_a_clean_read(empty, fresh())


def test_a_disk_that_is_really_full_while_loading_is_told_and_the_next_sync_goes_on(
    empty: Company, fresh: Callable[[], Warehouse], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Temporary tables of a load on a disk of 64 kB."""
    with small_disk(Path("/mnt") / f"sverka-test-{os.getpid()}") as disk:
        name = f"small_{os.getpid()}"
        database = empty.warehouse.place.rpartition("/")[2]
        with psycopg.connect(empty.warehouse.url, autocommit=True) as conn:
            conn.execute(f"create tablespace {name} location '{disk}'")
            conn.execute(f"alter database {database} set temp_tablespaces = {name}")
        try:
            with pytest.raises(WarehouseError) as told:
                read(empty, "bitrix24")
            assert_says(str(told.value), "No space left on device", "free disk space", town=empty)
        finally:
            with psycopg.connect(empty.warehouse.url, autocommit=True) as conn:
                conn.execute("set temp_tablespaces = ''")
                conn.execute(f"alter database {database} reset temp_tablespaces")
                conn.execute(f"drop tablespace {name}")
    assert_like_a_clean_read(empty, fresh())


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 64 kB that the server's account may write to; skips where we may not mount one."""
    if os.geteuid() != 0:
        pytest.skip(
            "only root may mount a small disk; the full disk is tested by the server's own error above"
        )
    folder.mkdir()
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True
        )
        if made.returncode != 0:
            pytest.skip(f"no small disk can be mounted here ({made.stderr.decode().strip()})")
        try:
            account = pwd.getpwnam(postgres.SYSTEM_USER)
            os.chown(folder, account.pw_uid, account.pw_gid)
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True, capture_output=True)
    finally:
        folder.rmdir()


def test_a_connection_lost_while_sending_leaves_every_document_exactly_once(
    fresh: Callable[[], Warehouse], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with company(fresh(), tmp_path, "--deals", "60", "--no-limits", files=False) as found:
        record, chunks = carrier.Carrier._record, []

        def lost_before_the_answers_are_kept(self: Any, *rest: Any) -> Any:
            chunks.append(1)
            if len(chunks) == 4:
                end_backend(found.warehouse, self.conn)
            return record(self, *rest)

        monkeypatch.setattr(carrier.Carrier, "_record", lost_before_the_answers_are_kept)
        with pytest.raises(WarehouseError) as told:
            found.sync()
        assert_says(str(told.value), "the connection was lost", "run it again", town=found)
        assert found.states()["sent"] > 0, "it is not known what became of these"
        monkeypatch.undo()
        found.sync()
        why = "select count(*) from ops.operation_event where reason = 'a probe found it in the target'"
        assert found.warehouse.scalar(why) > 0
        assert not set(found.states()) - {"verified", "held"}
        assert differences_from_truth(found) == []
        assert found.sync().planned.quiet
