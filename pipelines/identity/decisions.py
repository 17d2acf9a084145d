"""What people decide about two records: that they are one client, or that they are not; and how they take it back.

A decision names two records, not two clients: it stays true whatever else is found out about either. It stands in
`ops.identity_decision`, is applied by the next sync, and is never deleted, only undone. What contradicts other
decisions that stand is refused with a sentence that names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pipelines.refresh import lock_changes
from resources.language import Language
from resources.warehouse import Connection

Verdict = Literal["same", "different"]
MACHINE: Final = "machine"  # who decided what follows from the records: no person's name
MAX_LINKED: Final = 10_000  # records that people's decisions lead to from one record


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a decision, in a sentence."""

    done: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Decision:
    decision_id: int
    left_id: str
    right_id: str
    verdict: Verdict
    by: str
    reason: str
    at: datetime


def ordered(one: str, other: str) -> tuple[str, str]:
    """The two ids of a pair as they are kept: the lesser first, byte by byte."""
    return (one, other) if one < other else (other, one)


def decide(
    conn: Connection, one: str, other: str, verdict: Verdict, by: str, reason: str, language: Language = "en"
) -> Told:
    """Keep what a person says of two records (core.client_record). Refused where it contradicts what stands."""
    say = _SAY[language]
    if by.strip().lower() == MACHINE:
        return Told(False, say["nobody"].format(by=by.strip()))
    lock_changes(conn)  # another person may be deciding, a sync may be joining them
    unknown = [
        name
        for name in (one, other)
        if not _exists(
            conn, "select exists (select from core.client_record where client_record_id = %s)", name
        )
    ]
    if unknown:
        return Told(False, say["unknown"].format(names=", ".join(unknown)))
    if one == other:
        return Told(False, say["itself"].format(name=one))
    left, right = ordered(one, other)
    before = verdict_of(conn, left, right)
    if before is not None and before.verdict == verdict:
        return Told(False, say["already"].format(**_told(before, language)))
    if verdict == "same":
        refusal = _parted(conn, left, right, say, language)
    else:
        refusal = _linked(conn, left, right, say, language)
    if refusal:
        return Told(False, refusal)
    conn.execute(
        "insert into ops.identity_decision (left_id, right_id, verdict, decided_by, reason) values (%s, %s, %s, %s, %s)",
        [left, right, verdict, by, reason],
    )
    sentences = [say[verdict].format(left=left, right=right)]
    if before is not None:
        sentences.append(say["replaces"].format(**_told(before, language)))
    if verdict == "same" and (numbers := _different_numbers(conn, left, right)):
        sentences.append(say["numbers"].format(left=", ".join(numbers[0]), right=", ".join(numbers[1])))
    return Told(True, " ".join(sentences))


def undo(conn: Connection, decision: str, by: str, reason: str, language: Language = "en") -> Told:
    """Take back the decision of this number. The records are then what they would be without it."""
    say = _SAY[language]
    if by.strip().lower() == MACHINE:
        return Told(False, say["nobody"].format(by=by.strip()))
    lock_changes(conn)
    if not decision.isascii() or not decision.isdecimal() or len(decision) > 18:
        return Told(False, say["no number"].format(number=decision))
    row = conn.execute(
        "select left_id, right_id, verdict, decided_by, undone_at, undone_by from ops.identity_decision where decision_id = %s",
        [int(decision)],
    ).fetchone()
    if row is None:
        return Told(False, say["no decision"].format(number=decision))
    left, right, verdict, decided_by, undone_at, undone_by = row
    if undone_at is not None:
        return Told(
            False, say["undone before"].format(number=decision, by=undone_by, day=f"{undone_at:%d.%m.%Y}")
        )
    if decided_by == MACHINE:
        return Told(False, say["machine's"].format(number=decision, left=left, right=right))
    standing = verdict_of(conn, left, right)
    older = None
    if standing is not None and standing.decision_id == int(decision):
        older = verdict_of(conn, left, right, but=int(decision))
    if older is not None:
        against = _parted if older.verdict == "same" else _linked
        if refusal := against(conn, left, right, say, language):
            return Told(False, say["would hold"].format(**_told(older, language)) + " " + refusal)
    conn.execute(
        "update ops.identity_decision set undone_at = clock_timestamp(), undone_by = %s, undo_reason = %s"
        " where decision_id = %s",
        [by, reason, int(decision)],
    )
    sentence = say["undone"].format(
        number=decision, left=left, right=right, verdict=say[f"said {verdict}"], by=decided_by
    )
    if older is not None:
        sentence += " " + say["holds again"].format(**_told(older, language))
    return Told(True, sentence)


def verdict_of(conn: Connection, left: str, right: str, but: int = 0) -> Decision | None:
    """What people said of this pair and stands: the newest, or the newest but for the decision of this number."""
    row = conn.execute(
        "select decision_id, left_id, right_id, verdict, decided_by, reason, decided_at from ops.identity_decision"
        " where left_id = %s and right_id = %s and decided_by <> 'machine' and undone_at is null and decision_id <> %s"
        " order by decided_at desc, decision_id desc limit 1",
        [left, right, but],
    ).fetchone()
    return Decision(*row) if row else None


def decisions(conn: Connection, *, limit: int) -> list[Mapping[str, Any]]:
    """People's decisions, the newest first, undone ones among them: the columns of ops.identity_decision."""
    cursor = conn.execute(
        "select decision_id, left_id, right_id, verdict, decided_by, reason, decided_at, undone_at, undone_by, undo_reason"
        " from ops.identity_decision where decided_by <> 'machine' order by decided_at desc, decision_id desc limit %s",
        [limit],
    )
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def count_decisions(conn: Connection) -> int:
    """How many decisions `decisions` gives in all."""
    row = conn.execute("select count(*) from ops.identity_decision where decided_by <> 'machine'").fetchone()
    return int(row[0]) if row else 0


# ---- contradictions ------------------------------------------------------------------------


def _parted(conn: Connection, left: str, right: str, say: Mapping[str, str], language: Language) -> str:
    """Why the two cannot be one client: someone said of what is linked to them that it is different; else empty."""
    here, there = links(conn, left, but=(left, right)), links(conn, right, but=(left, right))
    if right in here:
        return ""
    row = conn.execute(
        "select decision_id, left_id, right_id, verdict, decided_by, reason, decided_at from ops.identity_verdict v"
        " where v.verdict = 'different' and (v.left_id, v.right_id) <> (%(left)s, %(right)s)"
        "   and (v.left_id = any(%(here)s) and v.right_id = any(%(there)s)"
        "     or v.left_id = any(%(there)s) and v.right_id = any(%(here)s))"
        " order by v.decision_id limit 1",
        {"left": left, "right": right, "here": list(here), "there": list(there)},
    ).fetchone()
    if row is None:
        return ""
    against = Decision(*row)
    one, other = (
        (against.left_id, against.right_id)
        if against.left_id in here
        else (against.right_id, against.left_id)
    )
    ties = [tie for tie in (_tie(here, one, say), _tie(there, other, say)) if tie]
    return say["parted"].format(left=left, right=right, ties="; ".join(ties), **_told(against, language))


def _linked(conn: Connection, left: str, right: str, say: Mapping[str, str], language: Language) -> str:
    """Why the two cannot be different: what people and CRMs said leads from one to the other; else empty."""
    here = links(conn, left, but=(left, right))
    if right not in here:
        return ""
    return say["linked"].format(left=left, right=right, ties=_tie(here, right, say))


@dataclass(frozen=True, slots=True)
class Link:
    """How a record was reached: from which one, and by what: the number of a decision, 0 for a merge in the CRM."""

    origin: str
    decision_id: int


def links(conn: Connection, record: str, but: tuple[str, str] | None = None) -> dict[str, Link | None]:
    """Records that people, or a merge in their CRM, said to be one client with this one, itself among them.

    `but`: a pair whose own decision is left out. Raises ValueError beyond MAX_LINKED.
    """
    found: dict[str, Link | None] = {record: None}
    frontier: Sequence[str] = [record]
    while frontier:
        rows = conn.execute(_NEIGHBOURS, {"frontier": list(frontier)}).fetchall()
        frontier = []
        for origin, neighbour, decision_id in rows:
            if neighbour in found or (decision_id and but == ordered(origin, neighbour)):
                continue
            found[neighbour] = Link(origin, decision_id)
            frontier = [*frontier, neighbour]
        if len(found) > MAX_LINKED:
            raise ValueError(
                f"decisions link more than {MAX_LINKED} records to {record}; undo the wrong ones"
            )
    return found


# Merges that are followed: none round in a circle, and none of two records that were said to be different before.
_MERGES: Final = """
    select r.client_record_id as loser, r.merged_into as survivor
    from core.client_record r
    where r.merged_into is not null
      and not exists (
        with recursive path (record) as (
            select r.merged_into
            union
            select n.merged_into from path join core.client_record n on n.client_record_id = path.record
        )
        select from path where path.record = r.client_record_id)
      and not exists (
        select from ops.identity_verdict v
        where v.verdict = 'different' and v.left_id in (r.client_record_id, r.merged_into)
          and v.right_id in (r.client_record_id, r.merged_into))
"""

_NEIGHBOURS: Final = f"""
    select left_id, right_id, decision_id from ops.identity_verdict where verdict = 'same' and left_id = any(%(frontier)s)
    union all
    select right_id, left_id, decision_id from ops.identity_verdict where verdict = 'same' and right_id = any(%(frontier)s)
    union all
    select m.loser, m.survivor, 0 from ({_MERGES}) m where m.loser = any(%(frontier)s)
    union all
    select m.survivor, m.loser, 0 from ({_MERGES}) m where m.survivor = any(%(frontier)s)
    order by 3, 1, 2
"""


def _tie(found: Mapping[str, Link | None], to: str, say: Mapping[str, str]) -> str:
    """The chain of decisions from where `found` began to this record, in words; empty where it began there."""
    steps = []
    at = to
    while (link := found[at]) is not None:
        by = (
            say["by decision"].format(number=link.decision_id)
            if link.decision_id
            else say["merged in its CRM"]
        )
        steps.append(f"{link.origin} = {at} ({by})")
        at = link.origin
    return ", ".join(reversed(steps))


def _different_numbers(conn: Connection, left: str, right: str) -> tuple[list[str], list[str]] | None:
    """The tax numbers of the two clients where both have some and none in common."""
    rows: dict[str, list[str]] = dict(
        conn.execute(
            """
            select asked.id, array_agg(distinct n.number)
            from unnest(%s::text[]) as asked(id)
            join core.client_member own on own.client_record_id = asked.id
            join core.client_member m on m.client_id = own.client_id
            join core.client_profile p on p.client_record_id = m.client_record_id
            cross join lateral unnest(p.tax_numbers) as n(number)
            group by asked.id
            """,
            [[left, right]],
        ).fetchall()
    )
    one, other = rows.get(left, []), rows.get(right, [])
    return (one, other) if one and other and not set(one) & set(other) else None


def _exists(conn: Connection, question: str, name: str) -> bool:
    row = conn.execute(question.encode(), [name]).fetchone()
    return bool(row and row[0])


def _told(decision: Decision, language: Language) -> dict[str, str]:
    return {
        "number": str(decision.decision_id),
        "first": decision.left_id,
        "second": decision.right_id,
        "said": _SAY[language][f"said {decision.verdict}"],
        "by": decision.by,
        "day": f"{decision.at:%d.%m.%Y}",
        "why": decision.reason,
    }


_SAY: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "unknown": "no record of a client is called {names}; `sverka review list` names those that are asked about",
        "nobody": "{by} is what the program calls itself; give the name of the person who decides",
        "itself": "{name} is one record; name two",
        "said same": "one client",
        "said different": "different clients",
        "already": "{by} decided so before: {first} and {second} are {said} (decision {number}, {day}: {why})",
        "same": "{left} and {right} are one client; the next sync joins them.",
        "different": "{left} and {right} are different clients; the next sync parts them where they were joined, and nobody asks again.",
        "replaces": "This takes the place of decision {number} ({said}, by {by}, {day}: {why}), which holds again if this one is undone.",
        "numbers": "Their tax numbers differ ({left}; {right}): the client signs by all of them, each stays a counterparty of its own.",
        "parted": "{left} and {right} cannot be one client: {first} and {second} are {said} (decision {number}, by {by}, {day}: {why})."
        " They hang together: {ties}. Undo what is wrong first: sverka review undo {number}",
        "linked": "{left} and {right} cannot be different clients: {ties}. Undo what is wrong first: sverka review undo NUMBER",
        "by decision": "decision {number}",
        "merged in its CRM": "merged in its CRM",
        "no number": "{number} is no number of a decision; `sverka review list --decided` names them",
        "no decision": "there is no decision {number}; `sverka review list --decided` names them",
        "would hold": "Without it decision {number} would hold again ({first} and {second} are {said}, by {by}, {day}: {why}).",
        "undone before": "decision {number} was undone before, by {by} on {day}",
        "machine's": "decision {number} is the machine's, and follows from the records: say `sverka review different {left} {right}`",
        "undone": "decision {number} ({left} and {right}: {verdict}, by {by}) is undone; the next sync sees to it.",
        "holds again": "What holds of them again: {said} (decision {number}, by {by}, {day}: {why}).",
    },
    "ru": {
        "unknown": "карточки клиента {names} нет; о каких спрашивается, говорит `sverka review list`",
        "nobody": "{by} — так называет себя программа; укажите имя того, кто решает",
        "itself": "{name} — одна карточка; назовите две",
        "said same": "один клиент",
        "said different": "разные клиенты",
        "already": "так уже решено: {first} и {second} — {said} (решение {number}, {by}, {day}: {why})",
        "same": "{left} и {right} — один клиент; следующая синхронизация их объединит.",
        "different": "{left} и {right} — разные клиенты; следующая синхронизация разделит то, что объединено, и больше не спросит.",
        "replaces": "Это решение заменяет решение {number} ({said}, {by}, {day}: {why}); если его отменить, прежнее снова в силе.",
        "numbers": "Их ИНН различаются ({left}; {right}): клиент подписывает под всеми, каждый остаётся отдельным контрагентом.",
        "parted": "{left} и {right} не могут быть одним клиентом: {first} и {second} — {said} (решение {number}, {by}, {day}: {why})."
        " Они связаны: {ties}. Сначала отмените то, что неверно: sverka review undo {number}",
        "linked": "{left} и {right} не могут быть разными клиентами: {ties}. Сначала отмените то, что неверно: sverka review undo НОМЕР",
        "by decision": "решение {number}",
        "merged in its CRM": "объединены в CRM",
        "no number": "{number} — не номер решения; номера показывает `sverka review list --decided`",
        "no decision": "решения {number} нет; номера показывает `sverka review list --decided`",
        "would hold": "Без него снова было бы в силе решение {number} ({first} и {second} — {said}, {by}, {day}: {why}).",
        "undone before": "решение {number} уже отменено: {by}, {day}",
        "machine's": "решение {number} принято программой и следует из карточек: скажите `sverka review different {left} {right}`",
        "undone": "решение {number} ({left} и {right}: {verdict}, {by}) отменено; следующая синхронизация это учтёт.",
        "holds again": "О них снова в силе: {said} (решение {number}, {by}, {day}: {why}).",
    },
}
