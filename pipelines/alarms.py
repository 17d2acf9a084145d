"""Tell people once when a source begins to fail or falls behind, and once when that is over.

What is so now stands in the database (`freshness`); `ops.alarm` has a row for each time that it was so. A run that
read sources reviews them at its end, and the sensor `sources_behind` every few minutes; whoever comes first
tells, and nobody tells it again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from mappings import Mappings
from pipelines.freshness import Freshness, State, freshness_of, moment_of, span
from resources.language import Language
from resources.notify import Told, tell
from resources.warehouse import Connection, Warehouse

MAX_TOLD: Final = 100  # alarms told of at once; the rest with the next review


def review(
    warehouse: Warehouse,
    mappings: Mappings,
    now: datetime | None = None,
    *,
    watched_since: datetime | None = None,
) -> list[Freshness]:
    """Open and close alarms by what is so now, and tell of them. The sources as they stand; raises WarehouseError.

    `watched_since`, UTC: since when sensors have been looking without a pause. A source that they have not
    had the time to look at twice is not called behind; without it none is.
    """
    moment = now or datetime.now(UTC)
    with warehouse.transaction() as conn:
        # One review after the other: an older view of things opens no alarm that a newer one has closed.
        conn.execute("select pg_advisory_xact_lock(hashtextextended('alarms', 0))")
        found = freshness_of(conn, mappings.systems, moment)
        for source in found:
            _set(conn, source, "unread", source.is_unread)
            had_time = watched_since is not None and moment - watched_since >= 2 * source.every
            if not source.is_behind or had_time:
                _set(conn, source, "behind", source.is_behind)
        _forget(conn, [source.system for source in found], moment)
    _tell_untold(warehouse, {system.name: system.title for system in mappings.systems}, moment)
    return found


def tell_people(warehouse: Warehouse, message: str, *, good: bool = False) -> list[Told]:
    """Tell everybody, and keep in `ops.notification` how it went. `good`: no trouble, but the end of one."""
    told = tell(message, good=good)
    for channel in told:
        warehouse.execute(
            "insert into ops.notification (at, kind, message, delivered_at, error)"
            " values (now(), %s, %s, case when %s then now() end, nullif(%s, ''))",
            [channel.name, message, not channel.error, channel.error],
        )
    return told


def _set(conn: Connection, source: Freshness, kind: State, wrong: bool) -> None:
    if not wrong:
        conn.execute(
            "update ops.alarm set ended_at = %s where system = %s and kind = %s and ended_at is null",
            [source.at, source.system, kind],
        )
        return
    began = source.failing_since if kind == "unread" else None
    conn.execute(
        """
        insert into ops.alarm (system, kind, began_at, cause, read_until) values (%s, %s, %s, %s, %s)
        on conflict (system, kind) where ended_at is null do nothing
        """,
        [source.system, kind, began or source.at, source.error, source.read_until],
    )


def _forget(conn: Connection, systems: Sequence[str], now: datetime) -> None:
    """End, without a word, the alarms of systems that are no longer connected."""
    conn.execute(
        "update ops.alarm set ended_at = %(now)s, told_at = coalesce(told_at, %(now)s), end_told_at = %(now)s"
        " where ended_at is null and system <> all(%(systems)s)",
        {"now": now, "systems": list(systems)},
    )


def _tell_untold(warehouse: Warehouse, titles: Mapping[str, str], now: datetime) -> None:
    """Tell of each alarm under its row's lock: a second teller passes it over, and one that dies leaves it untold."""
    for _ in range(MAX_TOLD):
        with warehouse.transaction() as conn:
            row = conn.execute(
                """
                select alarm_id, system, kind, began_at, ended_at, cause, read_until, told_at from ops.alarm
                where told_at is null or (ended_at is not null and end_told_at is null)
                order by alarm_id limit 1 for update skip locked
                """
            ).fetchone()
            if row is None:
                return
            alarm, system, kind, began, ended, cause, until, told_at = row
            title = titles.get(system, system)
            if told_at is None and ended is None:
                tell_people(warehouse, _begun(system, title, kind, began, cause, until, now))
            elif told_at is not None:
                tell_people(warehouse, _over(system, title, kind, began, ended), good=True)
            # One that was over before anybody was told is nobody's concern.
            conn.execute(
                "update ops.alarm set told_at = coalesce(told_at, %(now)s),"
                " end_told_at = case when ended_at is not null then %(now)s end where alarm_id = %(alarm)s",
                {"now": now, "alarm": alarm},
            )


def _begun(
    system: str,
    title: str,
    kind: str,
    began: datetime,
    cause: str,
    until: datetime | None,
    now: datetime,
) -> str:
    wrong = cause.rstrip(".")
    if _language() == "ru":
        read = f"прочитано по {moment_of(until)}" if until else "ещё ни разу не читалась"
        if kind == "unread":
            return (
                f"Сверка: {title} ({system}) не читается с {moment_of(began)}: {wrong}. Остальные системы работают;"
                f" {read}, эти данные остаются как есть."
            )
        late = f" ({span(now - until, 'ru')} назад)" if until else ""
        why = wrong or "проверьте, работает ли `sverka up` и включён ли сенсор этой системы"
        return f"Сверка: {title} ({system}) отстаёт: {read}{late}. Причина: {why}."
    read = f"it was read until {moment_of(until)}" if until else "it was never read"
    if kind == "unread":
        return (
            f"Sverka: {title} ({system}) cannot be read since {moment_of(began)}: {wrong}. The other systems go on;"
            f" {read}, and what was read stays as it is."
        )
    late = f" ({span(now - until)} ago)" if until else ""
    why = wrong or "see whether `sverka up` runs and the sensor of this system is on"
    return f"Sverka: {title} ({system}) is behind: {read}{late}. Cause: {why}."


def _over(system: str, title: str, kind: str, began: datetime, ended: datetime) -> str:
    times = (moment_of(began), moment_of(ended))
    if _language() == "ru":
        what = "снова читается; не читалась" if kind == "unread" else "больше не отстаёт; отставала"
        return f"Сверка: {title} ({system}) {what} с {times[0]} по {times[1]}."
    what = "is read again; it was not" if kind == "unread" else "is up to date again; it was behind"
    return f"Sverka: {title} ({system}) {what} from {times[0]} to {times[1]}."


def _language() -> Language:
    return "ru" if os.environ.get("SVERKA_NOTIFY_LANGUAGE", "").strip().lower() == "ru" else "en"
