"""What people are asked about clients: the queue, both records of a pair, why they may be one, and what would follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pipelines.identity.decisions import Decision, ordered, verdict_of
from resources.warehouse import Connection

MAX_QUESTIONS: Final = 1_000  # read at a time


@dataclass(frozen=True, slots=True)
class Bar:
    """One comparison: how far the two agree, and the bits that this adds to the weight."""

    comparison: str
    label: str
    weight: float


@dataclass(frozen=True, slots=True)
class Stake:
    """What hangs on a client, or on one record: records, deals, documents; sums of deals and what is owed upon them, by currency."""

    records: int
    deals: int
    documents: int
    amounts: Mapping[str, Decimal]
    debts: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Side:
    """One record of a pair. `values`: of core.client_profile; of a record that is gone what is left of it.
    `stake`: of its whole client; `own`: of this record alone."""

    record: str
    client_id: str | None
    is_gone: bool
    values: Mapping[str, Sequence[str]]
    stake: Stake
    own: Stake


@dataclass(frozen=True, slots=True)
class Explained:
    """Two records beside each other. `weight`: log2 of the odds, None where nothing leads from one to the other;
    `prior`: the part of it that every pair begins with. `bars`: the weightiest first."""

    left: Side
    right: Side
    outcome: str
    rule: str | None
    weight: float | None
    prior: float
    bars: Sequence[Bar]
    verdict: Decision | None

    @property
    def is_one(self) -> bool:
        return self.left.client_id is not None and self.left.client_id == self.right.client_id

    @property
    def probability(self) -> float | None:
        """That the two are one client, 0..1."""
        return None if self.weight is None else 1 / (1 + 2**-self.weight)


FIELDS: Final = (
    "source",
    "name",
    "tax_numbers",
    "kpps",
    "wrong_numbers",
    "phones",
    "emails",
    "contact_names",
    "country",
    "city",
    "address",
)


def questions(conn: Connection, *, limit: int = MAX_QUESTIONS) -> list[Mapping[str, Any]]:
    """Open questions, those of tax numbers first, then the likeliest: rows of marts.client_review."""
    cursor = conn.execute(
        "select * from marts.client_review order by kind = 'unsure', weight desc, question limit %s", [limit]
    )
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def count_questions(conn: Connection) -> int:
    """How many questions `questions` gives in all."""
    row = conn.execute("select count(*) from marts.client_review").fetchone()
    return int(row[0]) if row else 0


def explain(conn: Connection, one: str, other: str) -> Explained | None:
    """Both records and what speaks for one client and against it; None where either is unknown."""
    left, right = ordered(one, other)
    sides = [side for name in (left, right) if (side := _side(conn, name)) is not None]
    if len(sides) < 2:
        return None
    outcome, rule, weight, levels = _pair(conn, left, right)
    bars = [Bar(name, str(found["label"]), float(found["weight"])) for name, found in levels.items()]
    bars.sort(key=lambda bar: (-abs(bar.weight), bar.comparison))
    known = sum(bar.weight for bar in bars)
    return Explained(
        sides[0],
        sides[1],
        outcome,
        rule,
        weight,
        0.0 if weight is None else round(weight - known, 2),
        bars,
        verdict_of(conn, left, right),
    )


def compared(left: Side, right: Side) -> list[tuple[str, str, str, str]]:
    """Field, left, right and a mark: '=' where a value is on both sides, '≠' where both have some and share none, else ''."""
    rows = []
    for name in FIELDS:
        ours, theirs = left.values.get(name, ()), right.values.get(name, ())
        if not ours and not theirs:
            continue
        shared = set(ours) & set(theirs)
        mark = "=" if shared else "≠" if ours and theirs else ""
        rows.append((name, ", ".join(ours), ", ".join(theirs), "" if name == "source" else mark))
    return rows


def _pair(
    conn: Connection, left: str, right: str
) -> tuple[str, str | None, float | None, Mapping[str, Mapping[str, Any]]]:
    row = conn.execute(
        "select outcome, rule, weight, levels from ops.identity_pair where left_id = %s and right_id = %s",
        [left, right],
    ).fetchone()
    if row is not None:
        return row[0], row[1], row[2], row[3]
    return _scored_now(conn, left, right)


def _scored_now(
    conn: Connection, left: str, right: str
) -> tuple[str, str | None, float | None, Mapping[str, Mapping[str, Any]]]:
    """Score a pair that is not kept: no key led from one to the other, or little speaks for them."""
    import json

    from pipelines.identity.pairing import scored_pair

    judged = scored_pair(conn, left, right)
    if judged is None:
        return "different", None, None, {}
    outcome, rule, weight, levels = judged
    return outcome, rule, weight, json.loads(levels)


def _side(conn: Connection, record: str) -> Side | None:
    row = conn.execute(_SIDE, [record]).fetchone()
    if row is None:
        return None
    record, client_id, is_gone, *values = row
    shown = {
        name: tuple(filter(None, value)) if isinstance(value, list) else (str(value),)
        for name, value in zip(FIELDS, values, strict=True)
        if value
    }
    return Side(
        record, client_id, is_gone, shown, _stake(conn, client=client_id), _stake(conn, record=record)
    )


def _stake(conn: Connection, *, client: str | None = None, record: str | None = None) -> Stake:
    row = conn.execute(_STAKE, {"client": client, "record": record}).fetchone()
    records, deals, documents, amounts, debts = row if row else (0, 0, 0, None, None)
    return Stake(records, deals, documents, _money(amounts), _money(debts))


def _money(found: Mapping[str, Any] | None) -> dict[str, Decimal]:
    return {currency: Decimal(str(amount)) for currency, amount in sorted((found or {}).items())}


_SIDE: Final = """
    select r.client_record_id, m.client_id, f.client_record_id is null,
           r.source, r.name, f.tax_numbers, f.kpps, f.wrong_numbers,
           coalesce(f.phones, array_remove(array[r.phone], null)),
           coalesce(f.emails, array_remove(array[r.email], null)), f.contact_names, r.country, r.city, r.address
    from core.client_record r
    left join core.client_member m on m.client_record_id = r.client_record_id
    left join core.client_profile f on f.client_record_id = r.client_record_id
    where r.client_record_id = %s
"""

_STAKE: Final = """
    with members as (
        select client_record_id from core.client_member where client_id = %(client)s or client_record_id = %(record)s
    ), deals as (
        select d.deal_id, coalesce(d.currency, '?') as currency, d.amount, d.is_deleted
        from members m join core.deal d on d.client_record_id = m.client_record_id
    ), owed as (
        select coalesce(k.currency, b.currency_key, '?') as currency, sum(greatest(b.amount - coalesce((
            select sum(a.amount) from ledger.allocation a where a.document_key = b.document_key), 0), 0)) as debt
        from deals d
        join ledger.obligation b on b.deal_id = d.deal_id
        left join marts.currency k on k.currency_key = b.currency_key
        group by 1
    )
    select (select count(*) from members),
           (select count(*) from deals where not is_deleted),
           (select count(*) from deals d join documents.document t on t.deal_id = d.deal_id),
           (select jsonb_object_agg(currency, amount::text) from (
                select currency, coalesce(sum(amount), 0) as amount from deals where not is_deleted group by currency) a),
           (select jsonb_object_agg(currency, debt::text) from owed where debt > 0)
"""
