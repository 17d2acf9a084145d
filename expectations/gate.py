"""Apply a suite to rows in PostgreSQL: Great Expectations decides, the failing records are named.

Great Expectations works on the caller's own connection, inside its transaction: it sees what the
caller sees (tables just refreshed, temporary tables), and nothing is written that a rollback would
leave behind. It is imported only if there are rows to check.

What it is asked, and why so (Great Expectations 1.24 on PostgreSQL, measured; see docs/gate.md):
- The rows are put into a temporary table first, only the columns that are looked at. A query asset
  would be run anew, and fetched whole, for each row condition to learn its columns.
- All expectations are counted first, with the values left out: that is one query a row condition.
  Only those that fail are asked for their records, as many at a time as keys fit into memory.
- `unexpected_index_list` is cut at `partial_unexpected_count` on SQL, whatever the result format, so
  this is set to the count; `unexpected_index_query` forgets the row condition and is not used.
- What a reason says beside is looked up for the failing records alone.
- An expectation's `configuration` is a property that is computed anew at each of some hundred looks;
  while a suite is asked it is kept (`_configured_once`).
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from expectations.reason import reason_sql
from expectations.suite import Expectation, Severity, Suite

EXAMPLES: Final = 10
KEYS_AT_ONCE: Final = 50_000  # keys sent in one statement
KEYS_HELD: Final = 300_000  # keys asked for in one go, unless one expectation alone has more
MAX_ROWS: Final = 20_000_000  # rows checked at once; more is a mistake in the condition

Connection = psycopg.Connection[Any]


class GateError(Exception):
    """The suite could not be applied; the message names the suite, the cause and the remedy."""


@dataclass(frozen=True, slots=True)
class Example:
    """One failing record with the reason in both languages."""

    key: str
    reason: str
    reason_ru: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one expectation said, counted in rows; `examples` are the first few failing ones by key.

    total: rows given. evaluated: of these, the rows that the expectation's row condition is about.
    """

    table: str
    name: str
    severity: Severity
    description: str
    passed: bool
    total: int
    evaluated: int
    failed: int
    examples: tuple[Example, ...] = ()

    @property
    def sentence(self) -> str:
        """One line for people: what was found."""
        if not self.evaluated:
            return "nothing to check"
        if not self.failed:
            return f"{self.evaluated} checked, none fails"
        first = f", such as: {self.examples[0].reason}" if self.examples else ""
        return f"{self.failed} of {self.evaluated} fail{first}"


def validate(
    conn: Connection,
    suite: Suite,
    rows: str = "",
    *,
    parameters: Mapping[str, Any] | None = None,
    all_failures: bool = False,
) -> list[CheckResult]:
    """Check `rows` (a SELECT; all rows of the suite without it) and say what fails, in the suite's order.

    `parameters` are the values that the suite calls for: {"latest_document_date": date(...)}. With
    `all_failures` every failing record is left in the temporary table `gate_failure` (table_name,
    check_name, severity, record_key, deal_id, reason, reason_ru) until the transaction ends; without
    it only the examples are looked up, which is cheap whatever fails. Raises GateError.
    """
    values = dict(parameters or {})
    for expectation in suite.expectations:
        if missing := expectation.parameters - values.keys():
            raise GateError(f"{suite.table}, {expectation.name}: needs the parameter {min(missing)}; pass it")
    given = _Given(suite, rows or suite.select(), values)
    conn.execute(_FAILURE_TABLE)
    types = _fill_rows(conn, given)
    total = _count(conn, "select count(*) from gate_row")
    if total > MAX_ROWS:
        raise GateError(f"{suite.table}: {total} rows to check at once, at most {MAX_ROWS}; narrow the rows")
    if total == 0:
        results = [_result(suite, expectation, 0, 0, 0) for expectation in suite.expectations]
    else:
        results = _ask(conn, given, types, total, all_failures)
    conn.execute("drop table gate_row")
    return results


_FAILURE_TABLE: Final = """
create temporary table if not exists gate_failure (
    table_name text not null, check_name text not null, severity text not null, record_key text not null,
    deal_id text, reason text not null, reason_ru text not null
) on commit drop
"""


@dataclass(frozen=True, slots=True)
class _Given:
    suite: Suite
    rows: str
    parameters: Mapping[str, Any]


def _fill_rows(conn: Connection, given: _Given) -> dict[str, str]:
    """Put what is looked at into `gate_row`; the types of all columns that the suite speaks of."""
    columns = ", ".join(sorted(given.suite.columns))
    checked = ", ".join(sorted(given.suite.checked_columns))
    conn.execute("drop table if exists pg_temp.gate_row")
    fill = f"create temporary table gate_row on commit drop as\nselect {checked} from (\n{given.rows}\n) r"
    try:
        described = conn.execute(_literal(f"select {columns} from (\n{given.rows}\n) r limit 0")).description
        conn.execute(_literal(fill))
    except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable) as error:
        said = str(error).splitlines()[0]
        raise GateError(
            f"{given.suite.table}: {said}; correct {given.suite.path.name} or its rows"
        ) from error
    return {column.name: column.type_display for column in described or ()}


def _ask(
    conn: Connection, given: _Given, types: Mapping[str, str], total: int, all_failures: bool
) -> list[CheckResult]:
    suite = given.suite
    counts: dict[str, tuple[bool, int, int]] = {}  # passed, evaluated, failed
    examples: dict[str, tuple[Example, ...]] = {}
    with _batch(conn) as batch:
        counting = {"result_format": "BASIC", "partial_unexpected_count": 0}
        answers = _answers(batch, given, suite.expectations, counting)
        for expectation, (passed, answer) in zip(suite.expectations, answers, strict=True):
            evaluated = int(answer.get("element_count") or 0)
            narrowed = suite.kwargs_of(expectation).keys() & {"row_condition", "ignore_row_if"}
            if evaluated != total and not narrowed:
                raise GateError(f"{suite.table}, {expectation.name}: {evaluated} of {total} rows checked")
            counts[expectation.name] = passed, evaluated, int(answer.get("unexpected_count") or 0)
        most = total if all_failures else EXAMPLES
        wanted = {name: min(failed, most) for name, (_, _, failed) in counts.items() if failed}
        for together in _in_turns(suite.expectations, wanted):
            naming = {
                "result_format": "COMPLETE",
                "unexpected_index_column_names": [suite.key],
                "partial_unexpected_count": max(wanted[expectation.name] for expectation in together),
                "exclude_unexpected_values": True,  # keys alone, as one list
                "return_unexpected_index_query": False,
            }
            named = _answers(batch, given, together, naming)
            for expectation, (_, answer) in zip(together, named, strict=True):
                keys = _keys(answer, suite.key)[:most]
                noted = _note(conn, given, expectation, types, keys)
                if not len(keys) == noted == (there := wanted[expectation.name]):
                    raise GateError(
                        f"{suite.table}, {expectation.name}: {there} records fail, {noted} could be named; "
                        f"see that {suite.key} is empty in no row and stands once"
                    )
                examples[expectation.name] = _examples(conn, suite, expectation)
    return [
        _result(suite, expectation, total, evaluated, failed, passed, examples.get(expectation.name, ()))
        for expectation in suite.expectations
        for passed, evaluated, failed in [counts[expectation.name]]
    ]


def _in_turns(expectations: Sequence[Expectation], wanted: Mapping[str, int]) -> Iterator[list[Expectation]]:
    """Those that fail, grouped so that the keys of a group fit into memory."""
    group: list[Expectation] = []
    held = 0
    for expectation in expectations:
        if expectation.name not in wanted:
            continue
        if group and held + wanted[expectation.name] > KEYS_HELD:
            yield group
            group, held = [], 0
        group.append(expectation)
        held += wanted[expectation.name]
    if group:
        yield group


def _answers(
    batch: Any, given: _Given, expectations: Sequence[Expectation], result_format: Mapping[str, Any]
) -> list[tuple[bool, Mapping[str, Any]]]:
    """(success, result) of each expectation, in order."""
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    suite = given.suite
    asked = gx.ExpectationSuite(name=suite.table)
    for expectation in expectations:
        try:
            # Not add_expectation_configuration: it takes another value_set of a column for a replacement.
            asked.add_expectation(
                ExpectationConfiguration(
                    type=expectation.type,
                    kwargs=suite.kwargs_of(expectation),
                    severity=expectation.severity,
                    meta={"check": expectation.name},
                ).to_domain_obj()
            )
        except Exception as error:
            raise GateError(
                f"{suite.table}, {expectation.name}: {_first_line(error)}; correct its kwargs"
            ) from error
    with _configured_once():
        outcome = batch.validate(
            asked, result_format=dict(result_format), expectation_parameters=dict(given.parameters)
        )
    answers = {}
    for answer in outcome.results:
        name = answer.expectation_config.meta["check"]
        for raised in _raised(answer.exception_info):
            raise GateError(
                f"{suite.table}, {name}: could not be checked: {_first_line(raised)}; correct its kwargs"
            )
        answers[name] = (bool(answer.success), answer.result)
    if unasked := [expectation.name for expectation in expectations if expectation.name not in answers]:
        raise GateError(f"{suite.table}: {', '.join(unasked)} asks what another check asks; take one out")
    return [answers[expectation.name] for expectation in expectations]


@contextmanager
def _configured_once() -> Iterator[None]:
    """Within the block an expectation puts its configuration together once, and not at each of the hundred
    times that it is looked into: a third of the processor time of a gate of a thousand deals."""
    from great_expectations.expectations.expectation import Expectation as Theirs

    theirs = Theirs.configuration
    known: dict[int, tuple[Any, Any]] = {}  # with the expectation itself, so that no other one gets its id

    def configuration(self: Any) -> Any:
        if id(self) not in known:
            known[id(self)] = (self, theirs.fget(self))
        return known[id(self)][1]

    Theirs.configuration = property(configuration)
    try:
        yield
    finally:
        Theirs.configuration = theirs


def _raised(info: Any) -> Iterator[str]:
    """Messages of what was raised: exception_info is one record, or one for each metric."""
    if isinstance(info, Mapping):
        if info.get("raised_exception"):
            yield str(info.get("exception_message"))
        for inner in info.values():
            yield from _raised(inner)


def _keys(answer: Mapping[str, Any], key: str) -> list[str]:
    found = answer.get("unexpected_index_list") or []
    return [str(value) for part in found for value in part[key] if value is not None]


def _note(
    conn: Connection, given: _Given, expectation: Expectation, types: Mapping[str, str], keys: Sequence[str]
) -> int:
    """Write the failing records with their reasons into `gate_failure`; how many were found."""
    suite = given.suite
    deal = f"r.{suite.deal}::text" if suite.deal else "null"
    text = f"""
        insert into gate_failure
        select $table, $check, $severity, r.{suite.key}::text, {deal},
               {reason_sql(expectation.reason, types, "en")},
               {reason_sql(expectation.reason_ru, types, "ru")}
        from (\n{given.rows}\n) r where r.{suite.key}::text = any($keys::text[])
        """
    statement = _literal(re.sub(r"\$(table|check|severity|keys)\b", r"%(\1)s", text.replace("%", "%%")))
    about = {"table": suite.table, "check": expectation.name, "severity": expectation.severity}
    found = 0
    for start in range(0, len(keys), KEYS_AT_ONCE):
        some = list(keys[start : start + KEYS_AT_ONCE])
        found += conn.execute(statement, {**about, "keys": some}).rowcount
    return found


def _examples(conn: Connection, suite: Suite, expectation: Expectation) -> tuple[Example, ...]:
    found = conn.execute(
        "select record_key, reason, reason_ru from gate_failure where table_name = %s and check_name = %s"
        " order by record_key limit %s",
        (suite.table, expectation.name, EXAMPLES),
    ).fetchall()
    return tuple(Example(*row) for row in found)


class _Borrowed:
    """The connection that is lent just now, as SQLAlchemy sees it: the transaction stays the lender's."""

    lent: Connection | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lent, name)

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """After an error only back to where Great Expectations began, so that it can say what failed."""
        if self.lent is not None and self.lent.info.transaction_status == TransactionStatus.INERROR:
            self.lent.execute("rollback to savepoint great_expectations")

    def close(self) -> None: ...

    def add_notice_handler(self, handler: object) -> None: ...


_BORROWED: Final = _Borrowed()
_TURNS: Final = threading.Lock()  # one gate at a time borrows, in a process


@contextmanager
def _batch(conn: Connection) -> Iterator[Any]:
    """`gate_row` as a batch of Great Expectations, on the caller's connection."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read once, at import
    logging.getLogger("great_expectations").setLevel(logging.ERROR)  # it tells of itself, not of the rows
    try:
        import great_expectations as gx
    except ImportError as error:
        raise GateError(f"the gate needs great-expectations: {error}; install requirements.lock") from error

    with _TURNS:
        _BORROWED.lent = conn
        conn.execute("savepoint great_expectations")
        try:
            source, rows = _set_up(gx)
            try:
                yield rows.get_batch()  # which learns the columns anew
            finally:
                source.get_execution_engine().close()
        finally:
            _BORROWED.lent = None


@cache
def _set_up(gx: Any) -> tuple[Any, Any]:
    """Great Expectations' source and its table of rows. Once a process, for it takes a third of a small gate; and
    SQLAlchemy then knows the statements of the gates before."""
    from sqlalchemy import StaticPool

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_postgres(
        "warehouse",
        connection_string="postgresql+psycopg://caller@caller/caller",  # never dialled: `creator` connects
        create_temp_table=False,
        kwargs={
            "creator": lambda: _BORROWED,
            "poolclass": StaticPool,
            "pool_reset_on_return": None,
            "use_native_hstore": False,
        },
    )
    return source, source.add_table_asset("rows", table_name="gate_row").add_batch_definition_whole_table(
        "all"
    )


def _result(
    suite: Suite,
    expectation: Expectation,
    total: int,
    evaluated: int,
    failed: int,
    passed: bool = True,
    examples: tuple[Example, ...] = (),
) -> CheckResult:
    return CheckResult(
        table=suite.table,
        name=expectation.name,
        severity=expectation.severity,
        description=expectation.description,
        passed=passed,
        total=total,
        evaluated=evaluated,
        failed=failed,
        examples=examples,
    )


def _count(conn: Connection, statement: str) -> int:
    row = conn.execute(_literal(statement)).fetchone()
    return int(row[0]) if row else 0


def _first_line(error: object) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:3]) if lines else type(error).__name__


def _literal(statement: str) -> sql.SQL:
    """Statements here are made of suites, never of data."""
    return sql.SQL(statement)
