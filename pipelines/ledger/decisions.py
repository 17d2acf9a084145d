"""What people decide about variances: one is accepted as it is, or open again. Every decision is a row that stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from pipelines.operations.revisions import Told
from pipelines.refresh import lock_changes
from resources.language import Language
from resources.warehouse import Connection

MAX_DIGITS: Final = 18  # of a number that a person types


def accept(conn: Connection, numbers: Sequence[str], by: str, reason: str, language: Language = "en") -> Told:
    """Accept variances by their numbers, all or none. They stay in every sum, and are open again when their amount changes."""
    say = _SAY[language]
    lock_changes(conn)
    found, sentence = _variances(conn, numbers, language)
    if sentence:
        return Told(False, sentence)
    for row in found:
        if row["status"] == "accepted":
            return Told(False, say["already"].format(**_told(row)))
    for row in found:
        # An older decision about another amount is over, if the sync has not said so yet.
        conn.execute(
            "update ops.variance_decision set undone_at = clock_timestamp(), undone_by = %s, undo_reason = %s"
            " where variance_key = %s and undone_at is null",
            [by, f"accepted anew at {row['amount']}", row["variance_key"]],
        )
        conn.execute(
            """
            insert into ops.variance_decision (variance_key, amount, currency_key, expected, actual, decided_by, reason)
            select variance_key, amount, currency_key, expected, actual, %s, %s from ledger.variance where variance_key = %s
            """,
            [by, reason, row["variance_key"]],
        )
    return Told(True, "\n".join(say["accepted"].format(**_told(row)) for row in found))


def reopen(conn: Connection, numbers: Sequence[str], by: str, reason: str, language: Language = "en") -> Told:
    """Take back that variances were accepted, all or none."""
    say = _SAY[language]
    lock_changes(conn)
    found, sentence = _variances(conn, numbers, language)
    if sentence:
        return Told(False, sentence)
    for row in found:
        if row["status"] != "accepted":
            return Told(False, say["open"].format(**_told(row)))
    conn.execute(
        "update ops.variance_decision set undone_at = clock_timestamp(), undone_by = %s, undo_reason = %s"
        " where variance_key = any(%s) and undone_at is null",
        [by, reason, [row["variance_key"] for row in found]],
    )
    return Told(True, "\n".join(say["reopened"].format(**_told(row)) for row in found))


def variances(
    conn: Connection, *, status: str = "", counterparty_key: str = "", reason: str = ""
) -> list[Mapping[str, Any]]:
    """Variances that are there, the largest first; of these, those of a status, a counterparty, a reason."""
    return _rows(
        conn,
        """
        select * from marts.variance
        where (%(status)s = '' or status = %(status)s) and (%(reason)s = '' or reason = %(reason)s)
          and (%(key)s = '' or counterparty_key = %(key)s)
        order by abs(amount) desc, variance_number
        """,
        {"status": status, "key": counterparty_key, "reason": reason},
    )


def resolved(conn: Connection, *, limit: int) -> list[Mapping[str, Any]]:
    """Variances that are gone, the newest first."""
    return _rows(
        conn,
        "select * from marts.variance_resolved order by resolved_at desc, variance_number limit %(limit)s",
        {"limit": limit},
    )


def variance(conn: Connection, number: str) -> Mapping[str, Any] | None:
    """One variance by its number, there or gone; its `status` is open, accepted or resolved."""
    if not _is_number(number):
        return None
    for table, status in (("variance", None), ("variance_resolved", "resolved")):
        if rows := _rows(
            conn, f"select * from marts.{table} where variance_number = %(number)s", {"number": int(number)}
        ):
            return {**rows[0], **({"status": status} if status else {})}
    return None


def decisions(conn: Connection, variance_key: str) -> list[Mapping[str, Any]]:
    """What was decided about a variance, the oldest first, undone ones among them."""
    return _rows(
        conn,
        "select * from ops.variance_decision where variance_key = %(key)s order by decision_id",
        {"key": variance_key},
    )


def _variances(
    conn: Connection, numbers: Sequence[str], language: Language
) -> tuple[list[Mapping[str, Any]], str]:
    """The variances of these numbers, or a sentence about the first that cannot be decided about."""
    say = _SAY[language]
    found = []
    for number in dict.fromkeys(numbers):
        row = variance(conn, number)
        if row is None:
            return [], say["unknown"].format(number=number)
        if row["status"] == "resolved":
            return [], say["gone"].format(
                **_told(row), how=row["resolution_ru" if language == "ru" else "resolution"]
            )
        found.append(row)
    return found, ""


def _is_number(number: str) -> bool:
    return number.isascii() and number.isdecimal() and len(number) <= MAX_DIGITS


def _rows(conn: Connection, query: str, parameters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    cursor = conn.execute(query.encode(), parameters)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _told(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "number": str(row["variance_number"]),
        "amount": f"{Decimal(row['amount']):,.2f}".replace(",", " "),
        "currency": row["currency"] or "",
        "reason": row["reason"],
        "by": row.get("accepted_by") or "",
        "day": f"{row['accepted_at']:%d.%m.%Y}" if row.get("accepted_at") else "",
        "why": row.get("accepted_reason") or "",
    }


_SAY: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "unknown": "there is no variance {number}; `sverka variance list` names them",
        "gone": "variance {number} is gone: {how}; there is nothing to decide",
        "already": "variance {number} was accepted before, by {by} on {day}: {why}",
        "accepted": "variance {number} ({reason}, {amount} {currency}) is accepted."
        " It stays in every sum, and is open again when its amount changes.",
        "open": "variance {number} is open: nobody accepted it",
        "reopened": "variance {number} ({reason}, {amount} {currency}) is open again",
    },
    "ru": {
        "unknown": "расхождения {number} нет; номера показывает `sverka variance list`",
        "gone": "расхождения {number} больше нет: {how}; решать нечего",
        "already": "расхождение {number} уже принято: {by}, {day}: {why}",
        "accepted": "расхождение {number} ({reason}, {amount} {currency}) принято."
        " Оно остаётся во всех итогах и откроется снова, если сумма изменится.",
        "open": "расхождение {number} открыто: его никто не принимал",
        "reopened": "расхождение {number} ({reason}, {amount} {currency}) снова открыто",
    },
}
