"""What people decide of a payment: that it pays a document, or nothing that is known; and how they take it back.

A decision stands in `ops.payment_decision`, is applied by the next sync (rule `person` of ledger.allocation), and is
never deleted, only undone. It goes before every rule, and after what accounting itself states. Amounts are in the
currency of the payment, which is that of the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pipelines.refresh import lock_changes
from resources.language import Language
from resources.warehouse import Connection

CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a decision, in a sentence."""

    done: bool
    sentence: str


def allocate(
    conn: Connection,
    payment: str,
    document: str,
    amount: Decimal | None,
    by: str,
    reason: str,
    language: Language = "en",
) -> Told:
    """Keep that a payment pays a document. Both by their key, or by a number that only one of them has.

    Without an amount: as much as the payment has left and the document leaves open. Refused with a sentence where
    either is unknown, in another currency, of another of our organizations, or where the amount is more than that.
    """
    say = _SAY[language]
    lock_changes(conn)  # a sync may be allocating, another person may be deciding
    found = _payment(conn, payment, say)
    if isinstance(found, Told):
        return found
    owed = _document(conn, document, say)
    if isinstance(owed, Told):
        return owed
    words = {**_words(found), "document": owed["document_key"], "document_number": owed["number"] or "?"}
    for what in ("currency_key", "organization_key"):
        ours, theirs = found[what], owed[what]
        if ours != theirs and (what == "currency_key" or None not in (ours, theirs)):
            return Told(False, say[what].format(**words, ours=ours, theirs=theirs))
    left, open_ = _left(conn, found["payment_key"], owed["document_key"])
    if left <= 0:
        return Told(False, say["nothing left"].format(**words))
    if open_ <= 0:
        return Told(False, say["nothing open"].format(**words))
    wanted = min(left, open_) if amount is None else amount
    if wanted <= 0 or wanted != wanted.quantize(CENT):
        return Told(False, say["no amount"].format(amount=wanted))
    if wanted > left:
        return Told(False, say["more than left"].format(**words, amount=wanted, left=left))
    if wanted > open_:
        return Told(False, say["more than open"].format(**words, amount=wanted, open=open_))
    before = _standing(conn, found["payment_key"], owed["document_key"])
    if before is not None and before["amount"] == wanted:
        return Told(False, say["already"].format(**words, **_of(before)))
    number = _keep(conn, found["payment_key"], owed["document_key"], wanted, by, reason)
    told = say["pays"].format(**words, amount=wanted, number=number)
    return Told(True, told + (" " + say["replaces"].format(**_of(before)) if before else ""))


def pays_none(conn: Connection, payment: str, by: str, reason: str, language: Language = "en") -> Told:
    """Keep that what is left of a payment pays nothing that is known: no rule allocates it, nothing is proposed."""
    say = _SAY[language]
    lock_changes(conn)
    found = _payment(conn, payment, say)
    if isinstance(found, Told):
        return found
    before = _standing(conn, found["payment_key"], None)
    if before is not None:
        return Told(False, say["already none"].format(**_words(found), **_of(before)))
    number = _keep(conn, found["payment_key"], None, None, by, reason)
    return Told(True, say["none"].format(**_words(found), number=number))


def undo(conn: Connection, decision: str, by: str, reason: str, language: Language = "en") -> Told:
    """Take back the decision of this number, the machine's too, which is then not made again."""
    say = _SAY[language]
    lock_changes(conn)
    if not decision.isascii() or not decision.isdecimal() or len(decision) > 18:
        return Told(False, say["no number"].format(number=decision))
    rows = _rows(conn, f"select {_COLUMNS} from ops.payment_decision where decision_id = %s", [int(decision)])
    if not rows:
        return Told(False, say["no decision"].format(number=decision))
    row = rows[0]
    if row["undone_at"] is not None:
        return Told(
            False,
            say["undone before"].format(
                number=decision, by=row["undone_by"], day=f"{row['undone_at']:%d.%m.%Y}"
            ),
        )
    conn.execute(
        "update ops.payment_decision set undone_at = clock_timestamp(), undone_by = %s, undo_reason = %s"
        " where decision_id = %s",
        [by, reason, int(decision)],
    )
    told = say["undone"].format(number=decision, payment=row["payment_key"])
    older = _standing(conn, row["payment_key"], row["document_key"])
    return Told(True, told + (" " + say["holds again"].format(**_of(older)) if older else ""))


def decisions(conn: Connection, *, limit: int) -> list[Mapping[str, Any]]:
    """Decisions, the newest first, undone ones among them: the columns of ops.payment_decision."""
    return _rows(
        conn,
        f"select {_COLUMNS} from ops.payment_decision order by decided_at desc, decision_id desc limit %s",
        [limit],
    )


def open_payments(conn: Connection, *, limit: int) -> list[Mapping[str, Any]]:
    """Receipts of which something is not allocated, the latest first, with the best proposal where there is one."""
    return _rows(
        conn,
        """
        select p.payment_key, p.number, p.paid_on, p.amount, p.amount - coalesce(a.amount, 0) as left_over, p.purpose,
               c.name as counterparty, x.document_key as proposed, o.number as proposed_number, x.probability,
               exists (select from ops.payment_verdict v where v.payment_key = p.payment_key and v.document_key is null)
                   as pays_none
        from ledger.payment p
        left join (select payment_key, sum(amount) as amount from ledger.allocation group by payment_key) a
          on a.payment_key = p.payment_key
        left join core.accounting_counterparty c on c.counterparty_key = p.counterparty_key
        left join ledger.payment_proposal x on x.payment_key = p.payment_key and x.place = 1
        left join ledger.obligation o on o.document_key = x.document_key
        where p.kind = 'receipt' and p.is_posted and not p.is_deleted and p.amount > coalesce(a.amount, 0)
        order by p.paid_on desc nulls last, p.payment_key limit %s
        """,
        [limit],
    )


def shown(
    conn: Connection, payment: str, language: Language = "en"
) -> Told | tuple[Mapping[str, Any], list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """A payment, its allocations with their reasons, and what is proposed; or why there is none."""
    found = _payment(conn, payment, _SAY[language], any_=True)
    if isinstance(found, Told):
        return found
    allocations = _rows(
        conn,
        """
        select a.document_key, o.kind, o.number, a.amount, a.rule, a.reason, a.reason_ru
        from ledger.allocation a join ledger.obligation o on o.document_key = a.document_key
        where a.payment_key = %s order by a.amount desc, a.document_key
        """,
        [found["payment_key"]],
    )
    proposed = _rows(
        conn,
        "select * from marts.payment_proposal where payment_key = %s order by place",
        [found["payment_key"]],
    )
    return found, allocations, proposed


_COLUMNS: Final = (
    "decision_id, payment_key, document_key, amount, decided_by, reason, reason_ru, decided_at, undone_at, undone_by,"
    " undo_reason"
)


def _payment(
    conn: Connection, name: str, say: Mapping[str, str], *, any_: bool = False
) -> Mapping[str, Any] | Told:
    rows = _rows(
        conn,
        """
        select p.payment_key, p.number, p.kind, p.paid_on, p.amount, p.purpose, p.currency_key, p.organization_key,
               p.counterparty_key, c.name as counterparty, p.is_posted and not p.is_deleted as stands
        from ledger.payment p
        left join core.accounting_counterparty c on c.counterparty_key = p.counterparty_key
        where p.payment_key = %(name)s or p.number = %(name)s order by p.payment_key = %(name)s desc, p.payment_key limit 6
        """,
        {"name": name},
    )
    if not rows or (len(rows) > 1 and rows[0]["payment_key"] != name):
        what = "unknown payment" if not rows else "several payments"
        return Told(False, say[what].format(name=name, keys=", ".join(row["payment_key"] for row in rows)))
    found = rows[0]
    if not any_ and (found["kind"] != "receipt" or not found["stands"]):
        return Told(False, say["no receipt"].format(**_words(found)))
    return found


def _document(conn: Connection, name: str, say: Mapping[str, str]) -> Mapping[str, Any] | Told:
    rows = _rows(
        conn,
        "select document_key, number, amount, currency_key, organization_key from ledger.obligation"
        " where document_key = %(name)s or number = %(name)s order by document_key = %(name)s desc, document_key limit 6",
        {"name": name},
    )
    if not rows or (len(rows) > 1 and rows[0]["document_key"] != name):
        what = "unknown document" if not rows else "several documents"
        return Told(False, say[what].format(name=name, keys=", ".join(row["document_key"] for row in rows)))
    return rows[0]


def _left(conn: Connection, payment: str, document: str) -> tuple[Decimal, Decimal]:
    """What the payment has left and the document leaves open, after accounting's statements and people's other decisions."""
    row = conn.execute(
        """
        select p.amount - coalesce((
                   select sum(l.amount) from ledger.payment_line l
                   join ledger.obligation x on x.document_key = l.invoice_key and x.currency_key is not distinct from p.currency_key
                    and coalesce(x.organization_key = p.organization_key, true)
                   where l.payment_key = p.payment_key and not l.is_deleted), 0)
                 - coalesce((select sum(v.amount) from ops.payment_verdict v
                              where v.payment_key = p.payment_key and v.document_key <> o.document_key and not v.is_machine), 0),
               o.amount - coalesce((
                   select sum(l.amount) from ledger.payment_line l
                   join ledger.payment y on y.payment_key = l.payment_key and y.kind = 'receipt' and y.is_posted and not y.is_deleted
                   where l.invoice_key = o.document_key and not l.is_deleted
                     and coalesce(o.organization_key = y.organization_key, true)), 0)
                 - coalesce((select sum(v.amount) from ops.payment_verdict v
                              where v.document_key = o.document_key and v.payment_key <> p.payment_key and not v.is_machine), 0)
        from ledger.payment p cross join ledger.obligation o
        where p.payment_key = %s and o.document_key = %s
        """,
        [payment, document],
    ).fetchone()
    assert row is not None
    return row[0] or Decimal(0), row[1] or Decimal(0)


def _standing(conn: Connection, payment: str, document: str | None) -> Mapping[str, Any] | None:
    """What people decided of the two and stands."""
    rows = _rows(
        conn,
        "select v.decision_id, v.amount, d.decided_by, d.decided_at, d.reason from ops.payment_verdict v"
        " join ops.payment_decision d on d.decision_id = v.decision_id"
        " where v.payment_key = %s and v.document_key is not distinct from %s and not v.is_machine",
        [payment, document],
    )
    return rows[0] if rows else None


def _keep(
    conn: Connection, payment: str, document: str | None, amount: Decimal | None, by: str, reason: str
) -> int:
    row = conn.execute(
        "insert into ops.payment_decision (payment_key, document_key, amount, decided_by, reason)"
        " values (%s, %s, %s, %s, %s) returning decision_id",
        [payment, document, amount, by, reason],
    ).fetchone()
    assert row is not None
    return int(row[0])


def _rows(conn: Connection, query: str, parameters: Any) -> list[Mapping[str, Any]]:
    cursor = conn.execute(query.encode(), parameters)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _words(payment: Mapping[str, Any]) -> dict[str, str]:
    day = payment["paid_on"]
    return {
        "payment": payment["payment_key"],
        "paid_on": f"{day:%d.%m.%Y}" if day else "?",
        "sum": str(payment["amount"]),
    }


def _of(decision: Mapping[str, Any]) -> dict[str, str]:
    return {
        "decided": str(decision["decision_id"]),
        "by": decision["decided_by"],
        "day": f"{decision['decided_at']:%d.%m.%Y}",
        "why": decision["reason"],
        "decided_amount": str(decision["amount"]),
    }


_SAY: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "unknown payment": "there is no payment {name}; `sverka payment list` names those that are not allocated",
        "several payments": "several payments have the number {name}: {keys}; name one by its key",
        "unknown document": "nothing that buyers owe is called {name}; name it by its key or number, as marts.receivables shows them",
        "several documents": "several documents have the number {name}: {keys}; name one by its key",
        "no receipt": "{payment} of {paid_on} is no posted receipt, so it pays no document; post it in accounting first",
        "currency_key": "{payment} is in {ours} and {document_number} in {theirs}; money pays only what is owed in its currency",
        "organization_key": "{payment} came to {ours} and {document_number} is owed to {theirs}: the money of one of our"
        " organizations pays nothing that is owed to another; correct the organization in accounting, or set it off there",
        "nothing left": "accounting states, or people decided, what all of {payment} ({sum}) pays;"
        " see `sverka payment show {payment}`",
        "nothing open": "{document_number} is paid already, as accounting states or people decided; undo that first",
        "no amount": "{amount} is no amount; give one above 0 with two decimals at most",
        "more than left": "{payment} has {left} left that neither accounting nor a person allocated, and not {amount}",
        "more than open": "{document_number} has {open} open that neither accounting nor a person allocated, and not {amount}",
        "already": "{by} decided so before (decision {decided}, {day}: {why})",
        "pays": "{payment} of {paid_on} pays {amount} of {document_number} ({document}); decision {number}, the next sync applies it.",
        "replaces": "It takes the place of decision {decided} ({decided_amount}, {by}, {day}: {why}), which holds again if"
        " this one is undone.",
        "none": "What is left of {payment} of {paid_on} pays nothing that is known; decision {number}, the next sync applies it.",
        "already none": "{by} decided before that {payment} pays nothing that is known (decision {decided}, {day}: {why})",
        "no number": "{number} is no number of a decision; `sverka payment list --decided` names them",
        "no decision": "there is no decision {number}; `sverka payment list --decided` names them",
        "undone before": "decision {number} was undone before, by {by} on {day}",
        "undone": "decision {number} of {payment} is undone; the next sync allocates it anew.",
        "holds again": "Decision {decided} holds again ({decided_amount}, {by}, {day}: {why}).",
    },
    "ru": {
        "unknown payment": "платежа {name} нет; неразнесённые показывает `sverka payment list`",
        "several payments": "номер {name} у нескольких платежей: {keys}; назовите один по ключу",
        "unknown document": "документа {name}, по которому должны покупатели, нет; назовите его по ключу или номеру,"
        " как в marts.receivables",
        "several documents": "номер {name} у нескольких документов: {keys}; назовите один по ключу",
        "no receipt": "{payment} от {paid_on} — не проведённое поступление, документов он не закрывает; сначала проведите его в учёте",
        "currency_key": "{payment} в валюте {ours}, а {document_number} в {theirs}; деньги закрывают долг только в своей валюте",
        "organization_key": "{payment} поступил организации {ours}, а по {document_number} должны {theirs}: деньги одной нашей"
        " организации не закрывают долг перед другой; исправьте организацию в учёте или проведите взаимозачёт",
        "nothing left": "{payment} ({sum}) уже разнесён целиком, в учёте или решением; смотрите `sverka payment show {payment}`",
        "nothing open": "{document_number} уже оплачен, так указано в учёте или решено; сначала отмените это",
        "no amount": "{amount} — не сумма; нужна больше 0, не более двух знаков после точки",
        "more than left": "у {payment} осталось {left}, что не разнесено ни учётом, ни решением, а не {amount}",
        "more than open": "по {document_number} открыто {open}, что не закрыто ни учётом, ни решением, а не {amount}",
        "already": "так уже решено: {by} (решение {decided}, {day}: {why})",
        "pays": "{payment} от {paid_on} закрывает {amount} по {document_number} ({document}); решение {number},"
        " применит следующая синхронизация.",
        "replaces": "Оно заменяет решение {decided} ({decided_amount}, {by}, {day}: {why}); если его отменить, прежнее снова в силе.",
        "none": "Остаток {payment} от {paid_on} не относится ни к одному известному документу; решение {number},"
        " применит следующая синхронизация.",
        "already none": "уже решено, что {payment} не относится ни к чему известному: {by} (решение {decided}, {day}: {why})",
        "no number": "{number} — не номер решения; номера показывает `sverka payment list --decided`",
        "no decision": "решения {number} нет; номера показывает `sverka payment list --decided`",
        "undone before": "решение {number} уже отменено: {by}, {day}",
        "undone": "решение {number} о {payment} отменено; следующая синхронизация разнесёт платёж заново.",
        "holds again": "Снова в силе решение {decided} ({decided_amount}, {by}, {day}: {why}).",
    },
}
