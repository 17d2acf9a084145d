from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from pipelines.company import mappings_folder
from resources import postgres
from resources.warehouse import PROJECT, LockHeld, Warehouse, WarehouseError, home_folder, newest_revision

MIGRATIONS = Path(__file__).parent.parent / "pipelines" / "migrations"
ALLOWED = {
    "planned": {"held", "approved", "superseded"},
    "held": {"planned", "superseded", "verified"},
    "approved": {"sent", "held", "superseded", "planned"},
    "sent": {"confirmed", "uncertain", "planned", "rejected", "held"},
    "uncertain": {"confirmed", "planned"},
    "confirmed": {"verified", "held", "uncertain"},
    "verified": {"reversed"},
    "rejected": {"planned", "superseded", "held"},
    "superseded": {"planned"},
    "reversed": set(),
}
ROAD = {  # a way to each state from planned
    "planned": [],
    "held": ["held"],
    "approved": ["approved"],
    "sent": ["approved", "sent"],
    "uncertain": ["approved", "sent", "uncertain"],
    "confirmed": ["approved", "sent", "confirmed"],
    "verified": ["approved", "sent", "confirmed", "verified"],
    "rejected": ["approved", "sent", "rejected"],
    "superseded": ["superseded"],
    "reversed": ["approved", "sent", "confirmed", "verified", "reversed"],
}


# --- the embedded server


def test_the_server_keeps_its_port_and_data_over_a_stop(server_home: Path) -> None:
    home = server_home / ("deep/" * 40)  # longer than a Unix socket's path may be
    with postgres.server(home, durable=False) as url:
        _execute(url, "CREATE TABLE kept AS SELECT 1 AS one")
    assert not postgres.is_running(home)
    with postgres.server(home, durable=False) as again:
        assert again == url
        assert _value(again, "SELECT one FROM kept") == 1


def test_the_server_moves_when_its_port_is_taken(server_home: Path) -> None:
    with postgres.server(server_home, durable=False) as url:
        port = _port(url)
    with socket.socket() as other:
        other.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # connections just ended keep it for a while
        other.bind(("127.0.0.1", port))
        other.listen()
        with postgres.server(server_home, durable=False) as moved:
            assert _port(moved) != port
            assert int((server_home / "postgres.port").read_text()) == _port(moved)


def test_a_killed_server_starts_again_although_its_process_id_now_belongs_to_another(
    server_home: Path,
) -> None:
    url = postgres.ensure_server(server_home, durable=False)
    pid_file = server_home / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    killed = psutil.Process(int(lines[0]))
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    try:
        assert postgres.ensure_server(server_home, durable=False) == url
        assert _value(url, "SELECT 1") == 1
    finally:
        assert postgres.stop_server(server_home)


def test_processes_that_come_at_once_share_one_server(server_home: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        urls = pool.map_async(_start, [server_home] * 3).get(60)
        pool.close()  # where TERM is ignored, as a server's children may be told to, the pool waits for ever
        pool.join()
    try:
        assert len(set(urls)) == 1
    finally:
        postgres.stop_server(server_home)
    assert postgres.stop_server(server_home) is False


def test_the_server_asks_for_its_password_and_listens_on_loopback_alone(server_url: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server_url.replace("postgresql://sverka:", "postgresql://sverka:wrong"))
    assert _value(server_url, "SHOW listen_addresses") == "127.0.0.1"


def test_a_server_that_cannot_start_says_why(server_home: Path) -> None:
    with postgres.server(server_home, durable=False):
        pass
    (server_home / "postgres" / "postgresql.auto.conf").write_text("shared_buffers = 'plenty'\n")
    with pytest.raises(postgres.ServerError, match=r"plenty.*SVERKA_DATABASE_URL"):
        postgres.ensure_server(server_home, durable=False)


# --- connections


def test_a_url_in_the_environment_is_used_and_nothing_is_started(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SVERKA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SVERKA_DATABASE_URL", warehouse.url.replace("postgresql://", "postgresql+psycopg://"))
    assert Warehouse.from_environment().scalar("SELECT 1") == 1
    assert home_folder() == tmp_path / "home"
    assert not home_folder().exists()


def test_the_home_is_the_same_from_whatever_folder_a_command_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SVERKA_HOME", raising=False)
    for given, company in {"": "demo", "mappings/mine": "mine", str(tmp_path / "ours" / "."): "ours"}.items():
        monkeypatch.setenv("SVERKA_MAPPINGS", given)
        for folder in (tmp_path, Path(__file__).parent):
            monkeypatch.chdir(folder)
            assert home_folder() == PROJECT / ".sverka" / company


def test_mapping_files_of_the_project_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SVERKA_MAPPINGS", "mappings/sales_opportunities")
    monkeypatch.chdir(tmp_path)
    assert mappings_folder() == PROJECT / "mappings" / "sales_opportunities"
    (tmp_path / "mappings" / "sales_opportunities").mkdir(parents=True)
    assert mappings_folder().resolve() == tmp_path / "mappings" / "sales_opportunities"


def test_a_connection_is_in_utc_named_and_bounded(warehouse: Warehouse) -> None:
    quick = Warehouse(warehouse.url, application="a test", statement_timeout=timedelta(milliseconds=50))
    with quick.connect() as conn:
        assert conn.autocommit is False
        row = conn.execute(
            "SELECT current_setting('TimeZone'), current_setting('application_name')"
        ).fetchone()
        assert row == ("UTC", "a test")
    with pytest.raises(WarehouseError, match="past its bound"):
        quick.scalar("SELECT pg_sleep(30)")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda url: url + "_absent", "does not exist; create it"),
        (lambda url: url.replace("sverka:", "sverka:x"), "correct user and password"),
        (lambda url: url.replace("127.0.0.1", "no.such.host.invalid"), "correct the host"),
        (lambda url: "not a url", "cannot be read"),
    ],
)
def test_a_wrong_address_is_named_with_its_remedy_and_without_the_password(
    warehouse: Warehouse, broken: Any, message: str
) -> None:
    with pytest.raises(WarehouseError, match=message) as raised:
        Warehouse(broken(warehouse.url)).connect()
    assert raised.value.retriable is False
    assert warehouse.url.split(":")[2].split("@")[0] not in str(raised.value)


def test_a_server_that_is_away_is_tried_several_times(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("resources.warehouse.time.sleep", pauses.append)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = Warehouse(f"postgresql://u:p@127.0.0.1:{free.getsockname()[1]}/x")
    with pytest.raises(WarehouseError, match="check that the server runs") as raised:
        away.connect()
    assert raised.value.retriable
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6]


def test_a_lost_connection_is_explained_and_not_retried(warehouse: Warehouse) -> None:
    def lose_it() -> None:
        with warehouse.transaction() as conn:
            conn.execute("INSERT INTO ops.notification (kind, message) VALUES ('x', 'y')")
            warehouse.execute("SELECT pg_terminate_backend(%s, 5000)", (conn.info.backend_pid,))
            conn.execute("SELECT 1")

    with pytest.raises(WarehouseError, match="connection was lost; what was not committed is undone"):
        lose_it()
    assert warehouse.scalar("SELECT count(*) FROM ops.notification") == 0


def test_a_lock_is_held_across_transactions_and_names_its_holder(warehouse: Warehouse) -> None:
    first = Warehouse(warehouse.url, application="the first")
    with first.connect() as holder, warehouse.connect() as other:
        with first.lock(holder, "sync"):
            holder.commit()
            with pytest.raises(LockHeld, match=r"lock 'sync'.*the first"), warehouse.lock(other, "sync"):
                pass
            with warehouse.lock(other, "another name"):
                pass
        with pytest.raises(psycopg.errors.DivisionByZero), first.lock(holder, "sync"):
            holder.execute("SELECT 1 / 0")
        with warehouse.lock(other, "sync"):
            pass


# --- migrations


def test_a_migrated_warehouse_is_left_alone(warehouse: Warehouse) -> None:
    assert warehouse.migrate() is False


def test_two_migrations_at_once_make_one_schema(server_url: str) -> None:
    _execute(server_url, "CREATE DATABASE twice")
    fresh = Warehouse(server_url.rsplit("/", 1)[0] + "/twice")
    did: list[bool] = []
    threads = [threading.Thread(target=lambda: did.append(fresh.migrate())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(did) == [False, True]


def test_a_warehouse_of_a_newer_version_is_refused(warehouse: Warehouse) -> None:
    warehouse.execute("UPDATE ops.alembic_version SET version_num = '9999'")
    with pytest.raises(WarehouseError, match="install the newer version"):
        warehouse.migrate()


def test_revisions_follow_from_file_names() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [newest_revision(MIGRATIONS)]
    assert all(Path(step.path).name.startswith(f"{step.revision}_") for step in script.walk_revisions())


def test_every_schema_and_table_says_what_it_is(warehouse: Warehouse) -> None:
    silent = warehouse.rows(
        """
        SELECT oid::regclass::text FROM pg_class
        WHERE relnamespace = 'ops'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
          AND obj_description(oid, 'pg_class') IS NULL
        UNION ALL
        SELECT nspname FROM pg_namespace
        WHERE nspname !~ '^(pg_|information_schema|public)' AND obj_description(oid, 'pg_namespace') IS NULL
        """
    )
    assert silent == []


def test_an_analyst_reads_marts_and_nothing_of_the_working_memory(warehouse: Warehouse) -> None:
    with warehouse.transaction() as conn:
        conn.execute("CREATE TABLE marts.later AS SELECT 1 AS one")
    with warehouse.transaction() as conn:
        conn.execute("SET LOCAL ROLE analyst")
        assert conn.execute("SELECT one FROM marts.later").fetchone() == (1,)
    for query in ("DELETE FROM marts.later", "SELECT * FROM ops.operation", "CREATE TABLE marts.mine ()"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), warehouse.transaction() as conn:  # noqa: PT012
            conn.execute("SET LOCAL ROLE analyst")
            conn.execute(query.encode())


# --- the operation ledger


def test_the_state_machine_allows_its_steps_and_no_others(warehouse: Warehouse) -> None:
    allowed: dict[str, set[str]] = {state: set() for state in ALLOWED}
    operation = _plan(warehouse)
    with warehouse.transaction() as conn:

        def move(wanted: str) -> bool:
            row = conn.execute("SELECT ops.move(%s, %s, 'a test')", (operation, wanted)).fetchone()
            return row == (True,)

        for state, road in ROAD.items():
            for wanted in ALLOWED:
                with conn.transaction(force_rollback=True):
                    assert all(map(move, road))
                    if wanted == state:
                        assert move(wanted) is False
                        continue
                    with contextlib.suppress(psycopg.errors.CheckViolation), conn.transaction():
                        assert move(wanted) is True
                        allowed[state].add(wanted)
    assert allowed == ALLOWED
    with pytest.raises(psycopg.errors.CheckViolation, match="from planned to verified"):
        _move(warehouse, operation, "verified")


def test_an_operation_begins_planned(warehouse: Warehouse) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="plan it first"):
        _plan(warehouse, state="verified")


def test_every_step_is_logged_with_who_why_and_what_was_said(warehouse: Warehouse) -> None:
    operation = _plan(warehouse)
    _move(warehouse, operation, "approved", "anna")
    with warehouse.transaction() as conn:
        conn.execute(
            "SELECT ops.move(%s, 'sent', 'sync', 'first try', '{\"Number\": 1}', '{\"ok\": true}', 'run 7')",
            (operation,),
        )
        conn.execute("UPDATE ops.operation SET state = 'uncertain'")  # by hand, without ops.move
    events = warehouse.rows(
        """SELECT from_state, to_state, actor, reason, request, answer, run_id
           FROM ops.operation_event WHERE operation_id = %s ORDER BY event_id""",
        (operation,),
    )
    assert events == [
        (None, "planned", "sverka", None, None, None, None),
        ("planned", "approved", "anna", None, None, None, None),
        ("approved", "sent", "sync", "first try", {"Number": 1}, {"ok": True}, "run 7"),
        ("sent", "uncertain", "sverka", None, None, None, "run 7"),
    ]
    assert warehouse.rows("SELECT attempts, reason, run_id FROM ops.operation") == [(1, "first try", "run 7")]


def test_many_operations_move_in_one_statement_each_with_its_own_answer(warehouse: Warehouse) -> None:
    operations = [_plan(warehouse) for _ in range(3)]
    details = {str(operations[1]): {"reason": "INN is missing", "answer": {"code": 5}}}
    with warehouse.transaction() as conn:
        moved = conn.execute(
            "SELECT ops.move_many(%s, 'held', 'gate', 'held by the gate', %s)",
            (operations, psycopg.types.json.Jsonb(details)),
        ).fetchone()
    assert moved == (3,)
    events = warehouse.rows(
        "SELECT operation_id, reason, answer FROM ops.operation_event WHERE to_state = 'held' ORDER BY reason"
    )
    assert events[0] == (operations[1], "INN is missing", {"code": 5})
    assert {event[1:] for event in events[1:]} == {("held by the gate", None)}
    with pytest.raises(psycopg.errors.NoDataFound, match="no operation"):
        _move(warehouse, uuid.uuid4(), "held")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ops.operation_event SET actor = 'nobody'",
        "DELETE FROM ops.operation_event",
        "TRUNCATE ops.operation_event",
        "DELETE FROM ops.operation",
        "TRUNCATE ops.operation CASCADE",
    ],
)
def test_what_was_written_into_the_ledger_stays(warehouse: Warehouse, statement: str) -> None:
    _plan(warehouse)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        warehouse.execute(statement)


def _plan(warehouse: Warehouse, state: str = "planned") -> uuid.UUID:
    operation = uuid.uuid4()
    warehouse.execute(
        """INSERT INTO ops.operation (operation_id, target, kind, action, key, state)
           VALUES (%s, 'onec', 'order', 'create', %s, %s)""",
        (operation, str(operation), state),
    )
    return operation


def _move(warehouse: Warehouse, operation: uuid.UUID, state: str, actor: str = "a test") -> Any:
    return warehouse.scalar("SELECT ops.move(%s, %s, %s)", (operation, state, actor))


def _start(home: Path) -> str:
    return postgres.ensure_server(home, durable=False)


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(statement.encode())


def _value(url: str, query: str) -> Any:
    with psycopg.connect(url) as conn:
        row = conn.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1].split("/")[0])
