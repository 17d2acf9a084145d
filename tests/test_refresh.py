"""A refresh rebuilds the scopes that changed, writes only what differs, and tells only of that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from psycopg.errors import LockNotAvailable, NumericValueOutOfRange, UniqueViolation

from pipelines.refresh import Outcome, prune_changes, refresh
from pipelines.table import Changed, Column, Table
from resources.warehouse import Connection, Warehouse

TOTALS = Table(
    name="core.total",
    description="Sum of the lines of each deal.",
    owner="data-team",
    columns=(
        Column("deal_id", "text", "deal"),
        Column("total", "numeric(18,2)", "sum"),
        Column("client", "text", "who"),
    ),
    rows="sql",
    scope="deal_id",
    emits=("client",),
    create_sql="create table core.total (deal_id text primary key, total numeric(18,2), client text)",
    changed=(Changed("core.line", "select key from change"), Changed("ops.setting", "")),
    all_sql="select distinct deal_id as key from core.line",
    rows_sql="select l.deal_id, sum(l.amount) as total, min(l.client) as client from core.line l"
    " join scope on scope.key = l.deal_id group by l.deal_id",
)


@pytest.fixture
def conn(warehouse: Warehouse) -> Iterator[Connection]:
    with warehouse.connect() as conn:
        conn.execute("create table core.line (deal_id text, amount numeric(18,2), client text)")
        conn.execute(TOTALS.create_sql.encode())
        conn.execute("insert into core.line values ('a', 1, 'x'), ('a', 2, 'x'), ('b', 5, 'y')")
        conn.execute("insert into ops.change_log (table_name, key) values ('core.line', '*')")
        conn.commit()
        assert go(conn) == Outcome("core.total", 2, 2, 0)
        yield conn


def go(conn: Connection, **options: bool) -> Outcome:
    outcome = refresh(conn, TOTALS, **options)
    conn.commit()
    return outcome


def change(conn: Connection, statement: str, key: str) -> None:
    conn.execute(statement.encode())
    conn.execute("insert into ops.change_log (table_name, key) values ('core.line', %s)", [key])
    conn.commit()


def told(conn: Connection, since: int) -> set[tuple[str, str]]:
    rows = conn.execute(
        "select table_name, key from ops.change_log where seq > %s and table_name like 'core.total%%'",
        [since],
    )
    return {(name, key) for name, key in rows.fetchall()}


def last(conn: Connection) -> int:
    row = conn.execute("select coalesce(max(seq), 0) from ops.change_log").fetchone()
    assert row is not None
    return int(row[0])


def rows(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute("select * from core.total order by 1").fetchall()


def test_nothing_changed_is_nothing_done(conn: Connection) -> None:
    assert go(conn) == Outcome("core.total", 0, 0, 0)


def test_only_the_scope_that_changed_is_rebuilt_and_told(conn: Connection) -> None:
    change(conn, "insert into core.line values ('b', 1, 'y')", "b")
    since = last(conn)
    assert go(conn) == Outcome("core.total", 1, 1, 1)
    assert told(conn, since) == {("core.total", "b"), ("core.total.client", "y")}


def test_a_change_that_comes_out_equal_stays_quiet(conn: Connection) -> None:
    change(conn, "update core.line set amount = 3 - amount where deal_id = 'a'", "a")
    since = last(conn)
    assert go(conn) == Outcome("core.total", 1, 0, 0)
    assert told(conn, since) == set()


def test_an_emitted_column_tells_its_old_and_its_new_value(conn: Connection) -> None:
    change(conn, "update core.line set client = 'z' where deal_id = 'b'", "b")
    since = last(conn)
    go(conn)
    assert told(conn, since) >= {("core.total.client", "y"), ("core.total.client", "z")}


def test_a_scope_without_rows_disappears(conn: Connection) -> None:
    change(conn, "delete from core.line where deal_id = 'a'", "a")
    assert go(conn) == Outcome("core.total", 1, 0, 1)
    assert [row[0] for row in rows(conn)] == ["b"]


def test_a_rebuild_of_what_stands_writes_nothing(conn: Connection) -> None:
    assert go(conn, everything=True) == Outcome("core.total", 2, 0, 0)


def test_a_change_of_a_rule_rebuilds_every_scope(conn: Connection) -> None:
    conn.execute("insert into ops.change_log (table_name, key) values ('ops.setting', '*')")
    assert go(conn).scopes == 2


def test_an_error_leaves_rows_and_watermarks_as_they_were(conn: Connection) -> None:
    for _ in range(2):
        change(conn, "insert into core.line values ('b', 9999999999999999, 'y')", "b")
    with pytest.raises(NumericValueOutOfRange):
        refresh(conn, TOTALS)
    conn.rollback()
    assert len(rows(conn)) == 2
    change(conn, "delete from core.line where amount > 1e15", "b")
    assert go(conn).scopes == 1


def test_changes_that_every_consumer_saw_are_forgotten(conn: Connection) -> None:
    change(conn, "insert into core.line values ('b', 1, 'y')", "b")
    assert prune_changes(conn) == 1  # the first load's; the new one is not seen yet
    assert go(conn).scopes == 1
    assert prune_changes(conn) == 1
    assert go(conn).scopes == 0


def test_a_large_first_load_leaves_the_same_rows_and_all_indexes(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(conn)
    conn.execute("create index total_client on core.total (client) where client is not null")
    indexes = "select indexname, indexdef from pg_indexes where tablename = 'total' order by 1"
    listed = conn.execute(indexes).fetchall()
    conn.execute("truncate core.total")
    monkeypatch.setattr("pipelines.refresh.LARGE", 1)
    monkeypatch.setattr("pipelines.refresh.LARGE_BYTES", 1)
    assert go(conn, everything=True).written == 2
    assert rows(conn) == before
    assert conn.execute(indexes).fetchall() == listed
    assert len(listed) == 2


def test_whoever_writes_the_log_waits_for_its_turn_so_that_no_earlier_number_commits_later(
    conn: Connection, warehouse: Warehouse
) -> None:
    with warehouse.connect() as slow, warehouse.connect() as quick:
        slow.execute("insert into ops.change_log (table_name, key) values ('core.line', 'a')")
        slow.execute("update core.line set amount = 4 where deal_id = 'a' and amount = 1")
        quick.execute("set lock_timeout = '100ms'")
        quick.commit()
        with pytest.raises(LockNotAvailable):
            quick.execute("insert into ops.change_log (table_name, key) values ('core.line', 'b')")
        quick.rollback()
        slow.commit()
        change(quick, "update core.line set amount = 7 where deal_id = 'b'", "b")
    assert go(conn) == Outcome("core.total", 2, 2, 2)
    assert rows(conn) == [("a", 6, "x"), ("b", 7, "y")]


def test_a_large_first_load_of_a_key_that_a_view_rests_on_keeps_the_key(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.refresh.LARGE", 1)
    monkeypatch.setattr("pipelines.refresh.LARGE_BYTES", 1)
    before = rows(conn)
    name = TOTALS.columns[0].name
    conn.execute(f"create view core.seen as select {name}, client from core.total group by {name}".encode())
    conn.execute("truncate core.total")
    assert go(conn, everything=True).written == 2
    assert rows(conn) == before
    assert conn.execute("select count(*) from core.seen").fetchone() == (2,)


def test_a_large_first_load_of_a_key_given_twice_is_refused(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.refresh.LARGE", 1)
    conn.execute("truncate core.total")
    rows_sql = (
        f"select r.deal_id, r.total, r.client from ({TOTALS.rows_sql}) r cross join generate_series(1, 2)"
    )
    twice = replace(TOTALS, rows_sql=rows_sql)
    with pytest.raises(UniqueViolation):
        refresh(conn, twice, everything=True)
