"""The gate: what stands between the documents that are due and accounting.

Every deal that changed is checked against the suites of `expectations/documents/`; what fails is a row
of `documents.failure`, and a critical one holds the documents of its deal and of no other (law 9). A
batch in which most deals of a CRM are suddenly held is not bad data but a broken feed or mapping. Where
that CRM is the only one, the load stops whole and leaves everything as it was; among several, all that
changed in that one is set aside (`SET_ASIDE`) and looked at again each time, and the others go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from psycopg import Connection

from expectations import CheckResult, Example, GateError, fingerprint, suites, validate
from pipelines.refresh import Outcome, refresh, refresh_scopes
from pipelines.table import Table, tables

GATED: Final = ("documents.deal", "documents.document_line")
MAX_HELD_SHARE: Final = 0.5  # setting gate_max_held_share
MIN_BATCH: Final = 20  # setting gate_min_batch; 0 and 1 both mean any number
MONTHS_AHEAD: Final = 12  # documents.deal, document_date_near
SET_ASIDE: Final = "source_batch"  # the check by which the deals of a broken batch are held


class BatchBroken(GateError):
    """So many deals would be newly held that the batch itself is at fault; nothing was written."""


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """What the gate did. Counts are deals, but for `outcome`, which counts rows of documents.failure.

    evaluated: deals in scope. held: of these, with a critical failure that nobody released.
    newly_held: of these, not held before. `checks` by table, empty where nothing was to be checked.
    broken: a sentence for each CRM whose batch was set aside.
    """

    outcome: Outcome
    evaluated: int
    held: int
    newly_held: int
    checks: Mapping[str, Sequence[CheckResult]]
    broken: Sequence[str] = ()

    @property
    def held_share(self) -> float:
        return self.held / self.evaluated if self.evaluated else 0.0

    @property
    def failures(self) -> dict[str, int]:
        """Failing records by check, checks without one left out."""
        return {c.name: c.failed for results in self.checks.values() for c in results if c.failed}


@dataclass(frozen=True, slots=True)
class Standing:
    """What one check has to say of all deals, not only of those that changed last."""

    table: str
    check: str
    severity: str
    failures: int
    deals: int
    examples: tuple[Example, ...]


def gate(
    conn: Connection,
    *,
    today: date,
    deal_ids: Sequence[str] | None = None,
    everything: bool = False,
) -> GateOutcome:
    """Bring documents.failure up to date, in conn's transaction.

    Checks the deals that changed since the last time; with `deal_ids` these and no others; with
    `everything` all. `today` is the accountants' date: a document may be dated a year ahead of it.
    Raises BatchBroken and GateError; roll back then, as `with warehouse.transaction()` does.
    """
    work = _Work(today)
    if deal_ids is not None:
        outcome = refresh_scopes(conn, _failure(), deal_ids, work.check)
    else:
        again = _ripe(conn, today)
        outcome = refresh(conn, _failure(), everything=everything, before_rows=work.check)
        if again:
            outcome = refresh_scopes(conn, _failure(), again, work.check).after(outcome)
    return GateOutcome(outcome, work.evaluated, work.held, work.newly_held, work.checks, tuple(work.broken))


def standing(conn: Connection) -> list[Standing]:
    """Every check of the gate, as documents.failure has it now: what an asset check reports."""
    found = {
        (table, check): (failures, deals, examples)
        for table, check, failures, deals, examples in conn.execute(
            """
            select table_name, check_name, count(*), count(distinct deal_id),
                   (array_agg(array[record_key, reason, reason_ru] order by failure_id))[1:10]
            from documents.failure group by table_name, check_name
            """
        )
    }
    result = []
    for table in GATED:
        for expectation in suites()[table].expectations:
            failures, deals, examples = found.get((table, expectation.name), (0, 0, []))
            said = tuple(Example(*example) for example in examples)
            result.append(Standing(table, expectation.name, expectation.severity, failures, deals, said))
    return result


def gate_fingerprint() -> str:
    """Another one than the last time means `everything`: the suites ask something else."""
    return fingerprint(GATED)


class _Work:
    """One pass over the deals in `scope`, and what came of it."""

    def __init__(self, today: date) -> None:
        self._parameters = {"latest_document_date": _latest(today)}
        self.evaluated = self.held = self.newly_held = 0
        self.broken: list[str] = []
        self.checks: dict[str, Sequence[CheckResult]] = {}

    def check(self, conn: Connection) -> None:
        """Fill `gate_failure` for the deals in `scope`. Raises BatchBroken and GateError."""
        conn.execute("drop table if exists pg_temp.gate_failure")
        for table in GATED:
            suite = suites()[table]
            rows = suite.select(f"{suite.deal} in (select key from scope)")
            results = validate(conn, suite, rows, parameters=self._parameters, all_failures=True)
            self._compare(conn, table, results)
            self.checks[table] = results
        conn.execute("analyze gate_failure")
        self._measure(conn)

    def _compare(self, conn: Connection, table: str, results: Sequence[CheckResult]) -> None:
        """Control total: every record of the deals in scope was given to the suite, once."""
        row = conn.execute(
            f"select count(*) from {table} where deal_id in (select key from scope)"
        ).fetchone()
        there = int(row[0]) if row else 0
        if results and results[0].total != there:
            raise GateError(
                f"{table}: {there} records are in scope and {results[0].total} were checked; the `rows` of "
                f"expectations/{table.replace('.', '/')}.yaml lose or repeat some, correct their joins"
            )

    def _measure(self, conn: Connection) -> None:
        most = float(_setting(conn, "gate_max_held_share", MAX_HELD_SHARE, 0, 1))
        least = int(_setting(conn, "gate_min_batch", MIN_BATCH, 0, 1_000_000_000))
        for source, evaluated, held, before in conn.execute(_MEASURE).fetchall():
            self.evaluated += evaluated
            batch = evaluated - before  # what was held and stays so tells nothing of this batch
            if batch >= least and held - before > most * batch:
                if not _is_one_of_several(conn, source):
                    raise BatchBroken(_broken(conn, source, held - before, batch, most) + _WHOLE)
                self.broken.append(_broken(conn, source, held - before, batch, most) + _APART)
                said = _APART_RU.format(source=source, held=held - before, batch=batch)
                conn.execute(_HOLD_ALL, {"source": source, "reason": self.broken[-1], "reason_ru": said})
                held = evaluated
            self.held += held
            self.newly_held += held - before


# By CRM: deals in scope; of these held, with a release honoured; of these held before too.
_MEASURE: Final = f"""
with held as (
    select distinct f.deal_id from gate_failure f
    where f.severity = 'critical' and not exists (
        select from ops.release r
        where r.deal_id = f.deal_id and r.revoked_at is null and r.check_name in (f.check_name, '*'))
), before as (
    select distinct f.deal_id from documents.failure f
    join scope on scope.key = f.deal_id
    where f.severity = 'critical' and f.check_name <> '{SET_ASIDE}' and not exists (
        select from ops.release r
        where r.deal_id = f.deal_id and r.revoked_at is null and r.check_name in (f.check_name, '*'))
)
select d.source, count(*), count(held.deal_id),
       count(*) filter (where held.deal_id is not null and before.deal_id is not null)
from documents.deal d
join scope on scope.key = d.deal_id
left join held on held.deal_id = d.deal_id
left join before on before.deal_id = d.deal_id
group by d.source order by d.source
"""

_HOLD_ALL: Final = f"""
with gone as (delete from gate_failure where starts_with(deal_id, %(source)s || ':'))
insert into gate_failure (deal_id, table_name, record_key, check_name, severity, reason, reason_ru)
select d.deal_id, 'documents.deal', d.deal_id, '{SET_ASIDE}', 'critical', %(reason)s, %(reason_ru)s
from documents.deal d
where starts_with(d.deal_id, %(source)s || ':') and d.deal_id in (select key from scope)
"""

_ROWS: Final = """
select deal_id || '/' || table_name || '/' || record_key || '/' || check_name as failure_id,
       deal_id, table_name, record_key, check_name, severity, reason, reason_ru
from gate_failure
"""


def _failure() -> Table:
    """documents.failure, whose rows are what the suites left in `gate_failure`."""
    table = tables()["documents.failure"]
    return replace(
        table,
        rows="sql",
        rows_sql=_ROWS,
        all_sql=table.all_sql or "select deal_id as key from documents.deal",
    )


def _ripe(conn: Connection, today: date) -> list[str]:
    """Deals that no change tells of: held for a date that time alone has brought near, or set aside."""
    found = conn.execute(
        """
        select distinct f.deal_id from documents.failure f join documents.deal d on d.deal_id = f.deal_id
        where f.check_name = 'document_date_near' and d.document_date <= %s or f.check_name = %s
        """,
        [_latest(today), SET_ASIDE],
    ).fetchall()
    return [row[0] for row in found]


def _latest(today: date) -> date:
    year = today.year + MONTHS_AHEAD // 12
    leap_day = today.month == 2 and today.day == 29
    return date(year, 3, 1) if leap_day else today.replace(year=year)


def _setting(conn: Connection, name: str, default: float, least: float, most: float) -> Any:
    row = conn.execute(
        "select system, value from ops.setting where name = %s and system ="
        " (select value #>> '{}' from ops.setting where name = 'accounting_system')",
        [name],
    ).fetchone()
    if row is None:
        return default
    system, value = row
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise GateError(
            f"{name} in the mapping file of {system} is {value!r}; give a number from {least} to {most}"
        )
    return value


def _is_one_of_several(conn: Connection, source: str) -> bool:
    row = conn.execute(
        "select exists (select from documents.deal where not starts_with(deal_id, %s || ':'))", [source]
    ).fetchone()
    return bool(row and row[0])


_CAUSE: Final = (
    "Mend the cause (most often a mapping, or a field that the source stopped sending) and run again"
)
_RAISE: Final = (
    "if these deals are to be held indeed, raise `max_held_share` under `gate` in accounting's mapping file"
)
_WHOLE: Final = f"Nothing was changed. {_CAUSE}; {_RAISE}"
_APART_RU: Final = (
    "из {batch} изменившихся сделок {source} пришлось бы удержать {held}: похоже на ошибку сопоставления или "
    "выгрузки, поэтому отложено всё, что там изменилось; исправьте причину и запустите снова"
)
_APART: Final = f"All that changed there is set aside, and the other systems go on. {_CAUSE}; {_RAISE}"


def _broken(conn: Connection, source: str, held: int, batch: int, most: float) -> str:
    row = conn.execute(
        """
        select check_name, count(distinct deal_id) as deals, min(reason)
        from gate_failure where severity = 'critical' and starts_with(deal_id, %s || ':')
        group by check_name order by deals desc, check_name limit 1
        """,
        [source],
    ).fetchone()
    check, deals, reason = row if row else ("", 0, "")
    return (
        f"the gate stopped this load of {source}: {held} of {batch} deals would be newly held "
        f"({held / batch:.0%}), and gate_max_held_share allows {most:.0%}. The commonest cause, {check}, in "
        f"{deals} deals, such as: {reason}. "
    )


__all__ = ["BatchBroken", "GateOutcome", "Standing", "gate", "gate_fingerprint", "standing"]
