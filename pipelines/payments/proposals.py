"""Fills `ledger.payment_proposal`: open documents for payments whose payer is not known, or owes nothing.

Where the payer owes, the rules of ledger.allocation know more than any score. What the score is sure of it allocates by
itself only where it has shown on this company's own payments that it is right (`calibration`): as a decision of the
machine in ops.payment_decision, which a person takes back like one's own, and which is not made again then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from pipelines.core.legal_name import legal_name_key
from pipelines.identity.names import latin, taken_apart
from pipelines.payments.calibration import is_shown
from pipelines.payments.matching import Matching, load
from pipelines.payments.words import russian
from pipelines.refresh import Outcome, changed_scope
from pipelines.table import tables
from resources.warehouse import Connection

if TYPE_CHECKING:
    import pyarrow as pa

NAME: Final = "ledger.payment_proposal"
FEW: Final = 5  # documents that are proposed for a payment
LONG: Final = 9  # digits
DIGITS: Final = 6  # of a probability that is kept
MOST: Final = 20_000  # payments that are looked at, the latest: a bound, no company has so many of nobody

# Payments that nothing tells what they pay, and documents that are open after all that is known.
_PAYMENTS: Final = """
    select p.payment_key, p.amount - coalesce(a.amount, 0) as amount, p.paid_on, p.purpose, p.currency_key, p.organization_key,
           c.name, c.tax_number
    from ledger.payment p
    left join (select payment_key, sum(amount) as amount from ledger.allocation group by payment_key) a using (payment_key)
    left join core.accounting_counterparty c on c.counterparty_key = p.counterparty_key
    where p.kind = 'receipt' and p.is_posted and not p.is_deleted and p.amount > coalesce(a.amount, 0)
      and p.paid_on is not null and p.currency_key is not null
      and not exists (select from ops.payment_verdict v where v.payment_key = p.payment_key and v.document_key is null)
      and not exists (
        select from ledger.obligation o
        left join (select document_key, sum(amount) as amount from ledger.allocation group by document_key) b using (document_key)
        where o.counterparty_key = p.counterparty_key and o.currency_key = p.currency_key and o.amount > coalesce(b.amount, 0))
    order by p.paid_on desc, p.payment_key limit %s
"""
_DOCUMENTS: Final = """
    select * from (
        select o.document_key, o.amount - coalesce(a.amount, 0) as amount, o.document_date, o.number, o.currency_key,
               o.organization_key, c.name, c.tax_number
        from ledger.obligation o
        left join (select document_key, sum(amount) as amount from ledger.allocation group by document_key) a using (document_key)
        left join core.accounting_counterparty c on c.counterparty_key = o.counterparty_key
        where o.amount > coalesce(a.amount, 0) and o.document_date is not null
    ) d
    where exists (select from unnest(%(currencies)s::text[], %(lows)s::numeric[], %(highs)s::numeric[]) as p(currency, low, high)
                  where p.currency = d.currency_key and d.amount between p.low and p.high)
       or d.currency_key = any(%(currencies)s)
          and (d.tax_number = any(%(numbers)s) or ltrim(substring(d.number from '([0-9]+)[^0-9]*$'), '0') = any(%(numbers)s))
    order by d.document_key
"""


def refresh_proposals(conn: Connection, *, everything: bool = False) -> Outcome:
    """Bring ledger.payment_proposal up to date, and let the score decide where it may. For the road.

    Most changes are of payments and documents that are none of these: where all that is compared is what it was the last
    time, nothing is scored anew.
    """
    with changed_scope(conn, tables()[NAME], everything=everything) as scopes:
        by = load()
        payments, documents = looked_at(conn, by)
        digest = sha256(repr((by.fingerprint, is_shown(conn, by), payments, documents)).encode()).hexdigest()
        known = conn.execute("select digest from ops.payment_look").fetchone()
        if not everything and known == (digest,):
            return Outcome(NAME, scopes, 0, 0)
        rows = rows_of(payments, documents, by) if payments and documents else []
        _decide(conn, rows, by)
        conn.execute("delete from ops.payment_look")
        conn.execute("insert into ops.payment_look (digest) values (%s)", [digest])
        return Outcome(NAME, scopes, *_write(conn, rows))


def looked_at(conn: Connection, by: Matching) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Payments that nothing tells what they pay, and open documents that one of them may pay."""
    payments = conn.execute(_PAYMENTS, [MOST]).fetchall()
    if not payments:
        return [], []
    near = Decimal(str(by.near))
    documents = conn.execute(
        _DOCUMENTS,
        {
            "currencies": [row[4] for row in payments],
            "lows": [row[1] / (1 + near) for row in payments],
            "highs": [row[1] / (1 - near) for row in payments],
            "numbers": sorted({number for row in payments for number in _numbers(row[3], row[7])}),
        },
    ).fetchall()
    return payments, documents


def rows_of(
    payments: Sequence[tuple[Any, ...]], documents: Sequence[tuple[Any, ...]], by: Matching
) -> list[dict[str, Any]]:
    """The proposals for these payments among these documents, the best of each payment first."""
    from pipelines.payments.matching import matched

    free = {row[0]: row[1] for row in payments}
    open_ = {row[0]: row[1] for row in documents}
    homes = {f"p:{row[0]}": row[5] for row in payments} | {f"d:{row[0]}": row[5] for row in documents}
    found = matched(features(payments, documents), by)
    made: list[dict[str, Any]] = []
    place: dict[str, int] = {}
    for row in sorted(
        found.to_pylist(), key=lambda one: (-one["probability"], one["left_id"], one["right_id"])
    ):
        ours, theirs = homes[row["left_id"]], homes[row["right_id"]]
        if row["probability"] < by.proposed or (None not in (ours, theirs) and ours != theirs):
            continue
        payment, document = row["right_id"][2:], row["left_id"][2:]
        place[payment] = place.get(payment, 0) + 1
        if place[payment] > FEW:
            continue
        agrees, differs = told(row, by)
        made.append(
            {
                "proposal_key": f"{payment}/{document}",
                "payment_key": payment,
                "document_key": document,
                "place": place[payment],
                "amount": min(free[payment], open_[document]),
                "weight": round(row["weight"], DIGITS),
                "probability": round(row["probability"], DIGITS),
                "is_sure": row["probability"] >= by.sure,
                "agrees": agrees,
                "agrees_ru": [russian(label) for label in agrees],
                "differs": differs,
                "differs_ru": [russian(label) for label in differs],
            }
        )
    return made


def told(row: Mapping[str, Any], by: Matching) -> tuple[list[str], list[str]]:
    """The labels that speak for the pair and against it, the strongest first."""
    found = []
    for comparison in by.model.comparisons:
        level = comparison.level(row[comparison.name])
        if not level.absent:
            found.append((level.weight, level.label))
    return (
        [label for weight, label in sorted(found, reverse=True) if weight > 0],
        [label for weight, label in sorted(found) if weight < 0],
    )


# ---- what is compared ----------------------------------------------------------------------


def features(payments: Iterable[tuple[Any, ...]], documents: Iterable[tuple[Any, ...]]) -> pa.Table:
    """As `matching.matched` reads them."""
    import pyarrow as pa

    rows = [*_of_payments(payments), *_of_documents(documents)]
    schema = pa.schema(
        [
            ("record_id", pa.string()),
            ("side", pa.string()),
            ("block", pa.string()),
            ("amount", pa.decimal128(18, 2)),
            ("day", pa.int32()),
            ("words", pa.list_(pa.string())),
            ("number", pa.string()),
            ("tax_number", pa.string()),
            ("numbers", pa.list_(pa.string())),
        ]
    )
    return pa.Table.from_pylist(rows, schema)


def _of_payments(payments: Iterable[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    for key, amount, day, purpose, currency, _, name, tax_number in payments:
        text = " ".join(part for part in (purpose, name) if part)
        yield {
            "record_id": f"p:{key}",
            "side": "p",
            "block": currency,
            "amount": amount.quantize(Decimal("0.01")),
            "day": day.toordinal(),
            "words": _words(re.findall(r"[^\W\d_]+", text)),
            "numbers": sorted(_numbers(purpose, tax_number)) or None,
        }


def _of_documents(documents: Iterable[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    for key, amount, day, number, currency, _, name, tax_number in documents:
        digits = re.findall(r"\d+", number or "")
        yield {
            "record_id": f"d:{key}",
            "side": "d",
            "block": currency,
            "amount": amount.quantize(Decimal("0.01")),
            "day": day.toordinal(),
            "words": _words(taken_apart(name, legal_name_key(name), None, None).words) if name else None,
            "number": (digits[-1].lstrip("0") or None) if digits else None,
            "tax_number": tax_number,
        }


def _numbers(purpose: str | None, tax_number: str | None) -> set[str]:
    """Those that a payment names, and its payer's own. Of long ones, as tax numbers are, a leading zero counts."""
    found = re.findall(r"\d+", purpose or "")
    named = {number if len(number) >= LONG else number.lstrip("0") for number in found}
    return {number for number in (*named, tax_number) if number}


def _words(words: Iterable[str]) -> list[str] | None:
    return sorted({found for word in words if len(found := latin(word)) > 1}) or None


# ---- what is kept --------------------------------------------------------------------------


def _decide(conn: Connection, rows: Sequence[Mapping[str, Any]], by: Matching) -> None:
    """What is sure, where the score may: a decision of the machine, unless there ever was one about the two."""
    if not any(row["is_sure"] for row in rows) or not is_shown(conn, by):
        return
    for row in rows:
        if row["is_sure"]:
            shown = f"{row['probability']:.1%}"
            conn.execute(
                """
                insert into ops.payment_decision (payment_key, document_key, amount, decided_by, reason, reason_ru, weight, model)
                select %(payment)s, %(document)s, %(amount)s, 'machine', %(reason)s, %(reason_ru)s, %(weight)s, %(model)s
                where not exists (select from ops.payment_decision d
                                  where d.payment_key = %(payment)s and d.document_key = %(document)s)
                """,
                {
                    "payment": row["payment_key"],
                    "document": row["document_key"],
                    "amount": row["amount"],
                    "reason": f"by score, {shown}: {'; '.join(row['agrees'])}",
                    "reason_ru": f"по оценке, {shown}: {'; '.join(row['agrees_ru'])}",
                    "weight": row["weight"],
                    "model": by.fingerprint,
                },
            )


def _write(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Write what differs from what stands; rows written and removed."""
    names = [column.name for column in tables()[NAME].columns]
    listed = ", ".join(names)
    conn.execute(f"create temporary table fresh (like {NAME}) on commit drop".encode())
    with conn.cursor().copy(f"copy fresh ({listed}) from stdin".encode()) as copy:
        for row in rows:
            copy.write_row([row[name] for name in names])
    same = "exists (select from fresh f where f.proposal_key = t.proposal_key and row(f.*) is not distinct from row(t.*))"
    removed = conn.execute(f"delete from {NAME} t where not {same}".encode()).rowcount
    written = conn.execute(
        f"insert into {NAME} ({listed}) select {listed} from fresh f"
        f" where not exists (select from {NAME} t where t.proposal_key = f.proposal_key)".encode()
    ).rowcount
    conn.execute("drop table fresh")
    return written, removed
