"""What lets a history of ten syncs take seconds: kept connections, and the suites of the gate as plain SQL.

Great Expectations takes seconds to ask what one statement says; `test_bad_records` asks it in earnest and
shows that both say the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from expectations import CheckResult, Suite
from expectations.reason import reason_sql
from expectations.suite import Expectation
from pipelines.documents import gate as gate_module
from resources.warehouse import Connection, Warehouse, trusted
from tests.laws.books import Died


class _Kept(psycopg.Connection[Any]):
    """A connection that goes back to its warehouse at the end of its `with`, unless something went wrong."""

    pool: list[_Kept]
    warehouse: QuickWarehouse

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        if kind is None and not self.closed:
            self.commit()
            self.pool.append(self)
        else:
            super().__exit__(kind, value, traceback)

    def commit(self) -> None:
        self.warehouse.before_commit(self)
        super().commit()
        self.warehouse.before_commit(self)


class QuickWarehouse(Warehouse):
    """As Warehouse, but connections are used again. `die_after` ends whoever commits that often."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._pool: list[_Kept] = []
        self.die_after: int | None = None
        self._thread = threading.get_ident()

    def connect(self) -> Connection:
        while self._pool:
            conn = self._pool.pop()
            if not conn.closed and conn.info.transaction_status == TransactionStatus.IDLE:
                return conn
        fresh = _Kept.connect(
            make_conninfo(self.url, options="-c TimeZone=UTC -c statement_timeout=60000"),
            prepare_threshold=None,
        )
        fresh.pool, fresh.warehouse = self._pool, self
        return fresh

    def before_commit(self, conn: Connection) -> None:
        """Called on both sides of every commit: either may be the last thing a process does."""
        if self.die_after is not None:
            self.die_after -= 1
            if self.die_after < 0:
                self.die_after = None
                conn.close()
                raise Died

    def close(self) -> None:
        for conn in self._pool:
            conn.close()
        self._pool.clear()


@contextmanager
def quick_gate() -> Iterator[None]:
    """Within the block the gate asks its suites in SQL."""
    with asking(validate_in_sql):
        yield


@contextmanager
def asking(how: Callable[..., list[CheckResult]]) -> Iterator[None]:
    """Within the block the gate asks its suites so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_module, "validate", how)
        yield


def validate_in_sql(
    conn: Connection,
    suite: Suite,
    rows: str = "",
    *,
    parameters: Mapping[str, Any] | None = None,
    all_failures: bool = False,
) -> list[CheckResult]:
    """As `expectations.validate` with `all_failures`, for the expectation types that the gate uses."""
    chosen = rows or suite.select()
    conn.execute(
        """create temporary table if not exists gate_failure (
            table_name text not null, check_name text not null, severity text not null, record_key text not null,
            deal_id text, reason text not null, reason_ru text not null) on commit drop"""
    )
    conn.execute("drop table if exists pg_temp.gate_row")
    conn.execute(trusted(f"create temporary table gate_row on commit drop as {chosen}"))
    described = conn.execute("select * from gate_row limit 0").description
    types = {column.name: column.type_display for column in described or ()}
    parts = [
        f"select '{suite.table}', '{e.name}', '{e.severity}', r.{suite.key}::text, r.{suite.deal}::text,"
        f" {reason_sql(e.reason, types, 'en')}, {reason_sql(e.reason_ru, types, 'ru')}"
        f" from gate_row r where {_condition(suite.kwargs_of(e).get('row_condition'))}"
        f" and not coalesce({_holds(e, parameters or {})}, true)"
        for e in suite.expectations
    ]
    conn.execute(trusted("insert into gate_failure " + " union all ".join(parts)))
    total = conn.execute("select count(*) from gate_row").fetchone()
    failed: dict[str, int] = dict(
        conn.execute(
            "select check_name, count(*) from gate_failure where table_name = %s group by check_name",
            [suite.table],
        ).fetchall()
    )
    count = int(total[0]) if total else 0
    return [
        CheckResult(
            suite.table,
            e.name,
            e.severity,
            e.description,
            e.name not in failed,
            count,
            count,
            failed.get(e.name, 0),
        )
        for e in suite.expectations
    ]


def _holds(expectation: Expectation, parameters: Mapping[str, Any]) -> str:
    kwargs = expectation.kwargs
    column = f"r.{kwargs.get('column')}"
    match expectation.type:
        case "expect_column_values_to_not_be_null":
            return f"({column} is not null)"
        case "expect_column_values_to_be_null":
            return f"({column} is null)"
        case "expect_column_values_to_be_between":
            bounds = []
            for name, sign, strict in (("min_value", ">", "strict_min"), ("max_value", "<", "strict_max")):
                if name in kwargs:
                    value = kwargs[name]
                    if isinstance(value, Mapping):
                        value = parameters[value["$PARAMETER"]]
                    bounds.append(f"{column} {sign}{'' if kwargs.get(strict) else '='} {_literal(value)}")
            return f"({' and '.join(bounds)})"
        case "expect_column_values_to_be_in_set":
            return f"({column} in ({', '.join(map(_literal, kwargs['value_set']))}))"
        case "expect_column_values_to_not_be_in_set":
            return f"({column} not in ({', '.join(map(_literal, kwargs['value_set']))}))"
        case "expect_column_pair_values_to_be_equal":
            return f"(r.{kwargs['column_A']} = r.{kwargs['column_B']})"
        case "expect_column_pair_values_a_to_be_greater_than_b":
            sign = ">=" if kwargs.get("or_equal") else ">"
            return f"(r.{kwargs['column_A']} {sign} r.{kwargs['column_B']})"
    raise NotImplementedError(f"{expectation.type}: say it in SQL here too")


def _condition(node: Mapping[str, Any] | None) -> str:
    if node is None:
        return "true"
    match node["type"]:
        case "and":
            return "(" + " and ".join(_condition(inner) for inner in node["conditions"]) + ")"
        case "nullity":
            return f"(r.{node['column']['name']} is {'' if node['is_null'] else 'not '}null)"
        case "comparison":
            sign = {"==": "=", "!=": "<>"}.get(node["operator"], node["operator"])
            return f"coalesce(r.{node['column']['name']} {sign} {_literal(node['parameter'])}, false)"
    raise NotImplementedError(f"row condition {node['type']}: say it in SQL here too")


def _literal(value: Any) -> str:
    return sql.Literal(value).as_string(None)
