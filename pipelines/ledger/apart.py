"""What breaks a law of the ledger is set apart with a sentence, and the rest goes on (laws 4, 5 and 9).

The database refuses an unbalanced document and an unexplained settlement that do not stand in `ops.apart`
(`ops.refuse_unbalanced`, `ops.refuse_unexplained`, at the end of the transaction). Only the refresh of the two tables
puts them there, in the same transaction: what accounting itself holds so, or what our variances leave out, is told by
name; every other write that breaks a law fails. docs/decisions/0013-the-ledger-refuses.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from resources.warehouse import Connection

DEBIT_EQUALS_CREDIT: Final = "debit_equals_credit"
EVERY_KOPECK_IS_EXPLAINED: Final = "every_kopeck_is_explained"


def unbalanced(conn: Connection) -> None:
    """Set apart documents whose entries do not balance, of those that the temporary table `scope(key)` names and of those
    that stand apart already."""
    conn.execute(
        """
        create temporary table now_apart on commit drop as
        select u.document_key as key, u.debit - u.credit as amount,
               format('document %%s %%s debits %%s and credits %%s in accounting; post it anew there, or correct its entries',
                      u.document_key, concat_ws(' ', d.kind, d.number), u.debit, u.credit) as sentence,
               format('документ %%s %%s: в учёте дебет %%s, кредит %%s; перепроведите его или исправьте проводки',
                      u.document_key, concat_ws(' ', ops.kind_name_ru(d.kind), d.number), u.debit, u.credit) as sentence_ru
        from ops.unbalanced_documents(array(
            select key from scope union select key from ops.apart where law = %s and ended_at is null)) u
        left join ledger.document d on d.document_key = u.document_key
        """,
        [DEBIT_EQUALS_CREDIT],
    )
    _keep(conn, DEBIT_EQUALS_CREDIT)


def unexplained(conn: Connection) -> None:
    """Set apart what of a counterparty has no reason, by measure, currency and month."""
    conn.execute(
        """
        create temporary table now_apart on commit drop as
        select s.settlement_key as key, s.unexplained as amount,
               format('%s of %s (%s) in %s, %s: %s have no reason; tell the data team: the variances of this counterparty are'
                      ' incomplete, everybody else''s are whole', s.measure, coalesce(p.name, 'nobody'), s.counterparty_key,
                      coalesce(c.currency, s.currency_key), coalesce(to_char(s.period, 'YYYY-MM'), 'no date'), s.unexplained)
                   as sentence,
               format('%s, %s (%s), %s, %s: у %s нет причины; сообщите команде данных: расхождения этого контрагента неполны,'
                      ' остальных это не касается', s.measure, coalesce(p.name, 'никто'), s.counterparty_key,
                      coalesce(c.currency, s.currency_key), coalesce(to_char(s.period, 'MM.YYYY'), 'без даты'), s.unexplained)
                   as sentence_ru
        from ledger.settlement s
        left join core.accounting_counterparty p on p.counterparty_key = s.counterparty_key
        left join marts.currency c on c.currency_key = s.currency_key
        where s.unexplained <> 0
        """
    )
    _keep(conn, EVERY_KOPECK_IS_EXPLAINED)


def _keep(conn: Connection, law: str) -> None:
    """What `now_apart` says of a law; what it no longer says is over."""
    conn.execute(
        """
        insert into ops.apart (law, key, amount, sentence, sentence_ru)
        select %s, key, amount, sentence, sentence_ru from now_apart
        on conflict (law, key) do update set amount = excluded.amount, sentence = excluded.sentence,
            sentence_ru = excluded.sentence_ru, ended_at = null,
            first_seen_at = case when ops.apart.ended_at is null then ops.apart.first_seen_at else excluded.first_seen_at end,
            told_at = case when ops.apart.ended_at is null then ops.apart.told_at end
        where (ops.apart.amount, ops.apart.sentence, ops.apart.ended_at)
              is distinct from (excluded.amount, excluded.sentence, null::timestamptz)
        """,
        [law],
    )
    conn.execute(
        "update ops.apart a set ended_at = clock_timestamp() where law = %s and ended_at is null"
        " and not exists (select from now_apart n where n.key = a.key)",
        [law],
    )
    conn.execute("drop table now_apart")


SET_APART: Final[Mapping[str, Callable[[Connection], None]]] = {
    "ledger.entry": unbalanced,
    "ledger.settlement": unexplained,
}
"""By table what follows its refresh, in the same transaction."""


def standing(conn: Connection, law: str) -> list[tuple[str, str]]:
    """What stands apart of a law: key and English sentence, the largest first."""
    rows: list[tuple[str, str]] = conn.execute(
        "select key, sentence from ops.apart where law = %s and ended_at is null order by abs(amount) desc, key",
        [law],
    ).fetchall()
    return rows


def untold(conn: Connection, limit: int = 5) -> list[str]:
    """Sentences of what stands apart and nobody was told of, once: they count as told with this."""
    rows = conn.execute(
        """
        update ops.apart a set told_at = clock_timestamp()
        from (select law, key from ops.apart where ended_at is null and told_at is null order by first_seen_at, key for update) u
        where a.law = u.law and a.key = u.key
        returning a.sentence
        """
    ).fetchall()
    told = [sentence for (sentence,) in rows]
    return [*told[:limit], *([f"… and {len(told) - limit} more: sverka status"] if len(told) > limit else [])]
