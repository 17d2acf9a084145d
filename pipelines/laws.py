"""The laws that the ledger must keep, checked over the whole ledger after every sync."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pipelines.ledger.apart import DEBIT_EQUALS_CREDIT, EVERY_KOPECK_IS_EXPLAINED
from resources.warehouse import Warehouse

LOOKS: Final = 3  # at what was posted while we read, before a difference is told


@dataclass(frozen=True, slots=True)
class Law:
    name: str  # of the asset check
    table: str
    holds: bool
    sentence: str
    sentence_ru: str
    is_apart: bool = (
        False  # single documents or counterparties break it, and are told by name: they stop nothing else
    )


def check(warehouse: Warehouse) -> list[Law]:
    """Every law with what was found. A broken one blocks what comes after the ledger."""
    return [every_kopeck_is_explained(warehouse), debit_equals_credit(warehouse)]


def compared(warehouse: Warehouse, look: Callable[[bool], bool]) -> list[Law]:
    """Every law, where entries and balances differ after looking again.

    Accountants post while we read, so balances may know of a payment that the documents read before them lack. Where
    they differ, what changed and the balances are read once more, as long as that brings anything new and LOOKS times at
    most. What still differs tells of old documents that changed, or came with old dates: every document is looked at, and
    then what was posted meanwhile. `look(everything)` reads that and brings the ledger up to date; it says whether
    anything was new.
    """
    found = _again(warehouse, look)
    if _agree(found):
        return found
    look(True)
    return _again(warehouse, look)


def _again(warehouse: Warehouse, look: Callable[[bool], bool]) -> list[Law]:
    found = check(warehouse)
    for _ in range(LOOKS):
        if _agree(found) or not look(False):
            break
        found = check(warehouse)
    return found


def _agree(found: list[Law]) -> bool:
    return all(law.holds or law.is_apart for law in found if law.name == DEBIT_EQUALS_CREDIT)


def every_kopeck_is_explained(warehouse: Warehouse) -> Law:
    """Expected minus actual is the sum of the variances: per counterparty, currency, measure and month, and in all."""
    broken = warehouse.rows(
        """
        select s.counterparty_key, coalesce(p.name, s.counterparty_key), s.currency_key, s.measure,
               coalesce(to_char(s.period, 'YYYY-MM'), 'no date'), s.unexplained,
               exists (select from ops.apart a
                        where a.law = 'every_kopeck_is_explained' and a.key = s.settlement_key and a.ended_at is null)
        from ledger.settlement s
        left join core.accounting_counterparty p on p.counterparty_key = s.counterparty_key
        where s.unexplained <> 0 order by abs(s.unexplained) desc limit 5
        """
    )
    told_apart = warehouse.rows(
        """
        select coalesce(v.key, s.key), coalesce(v.amount, 0), coalesce(s.variance, 0)
        from (
            select coalesce(counterparty_key, '-') || '/' || coalesce(currency_key, '-') || '/' || measure || '/'
                   || coalesce(to_char(period, 'YYYY-MM'), '-') as key, sum(amount) as amount
            from ledger.variance group by 1
        ) v
        full join (select settlement_key as key, variance from ledger.settlement) s on s.key = v.key
        where coalesce(v.amount, 0) <> coalesce(s.variance, 0)
        order by 1 limit 5
        """
    )
    totals = warehouse.rows(
        """
        select coalesce(s.measure, t.measure), coalesce(s.difference, 0), coalesce(t.difference, 0)
        from (select measure, sum(expected - actual) as difference from ledger.settlement group by measure) s
        full join (
            select measure, sum(amount) as difference from (
                select ops.measure(kind) as measure,
                       coalesce(expected_amount, 0) - case when not is_posting_kind or coalesce(is_posted, false)
                                                           then coalesce(actual_amount, 0) else 0 end as amount
                from ledger.position
                union all select 'paid', amount from ledger.obligation o
                          where exists (select from ledger.allocation a where a.document_key = o.document_key)
                union all select 'paid', case kind when 'refund' then amount else -amount end
                          from ledger.payment where is_posted and not is_deleted
                union all select 'exchanged', -difference from ledger.fx_difference
            ) facts group by measure
        ) t on t.measure = s.measure
        where coalesce(s.difference, 0) <> coalesce(t.difference, 0)
        """
    )
    told = [
        (f"{measure} of {name} ({key}) in {currency}, {month}: {amount} has no reason",
         f"{measure}, {name} ({key}), {currency}, {month}: у суммы {amount} нет причины")
        for key, name, currency, measure, month, amount, _ in broken
    ]  # fmt: skip
    elsewhere = [
        (f"{key}: the variances say {ours}, its settlement {theirs}",
         f"{key}: расхождения дают {ours}, расчёт {theirs}")
        for key, ours, theirs in told_apart
    ]  # fmt: skip
    elsewhere += [
        (f"{measure} in all: settlements say {ours}, documents say {theirs}",
         f"{measure} всего: по расчётам {ours}, по документам {theirs}")
        for measure, ours, theirs in totals
    ]  # fmt: skip
    return _law(
        EVERY_KOPECK_IS_EXPLAINED,
        "ledger.settlement",
        told + elsewhere,
        "every difference between the CRM and accounting has a reason",
        "у каждого расхождения CRM и учёта есть причина",
        is_apart=bool(told) and not elsewhere and all(row[-1] for row in broken),
    )


def _law(
    name: str, table: str, told: list[tuple[str, str]], holds: str, holds_ru: str, *, is_apart: bool
) -> Law:
    """A law of which `told` says what breaks it, in English and Russian."""
    english, russian = zip(*told, strict=True) if told else ((holds,), (holds_ru,))
    return Law(name, table, not told, "; ".join(english), "; ".join(russian), is_apart)


def debit_equals_credit(warehouse: Warehouse) -> Law:
    """What a document debits it credits, and the entries of the settlement accounts add up to the balances that
    accounting reports. An entry has both sides, or one where accounting keeps a line for each account. What stands off
    balance stands against nothing."""
    empty = warehouse.rows(
        """
        select entry_key from ledger.entry
        where is_active and not is_deleted and (coalesce(account_dr_key, account_cr_key) is null or amount is null) limit 5
        """
    )
    unequal = warehouse.rows(
        """
        select document_key, sum(amount) filter (where account_dr_key is not null),
               sum(amount) filter (where account_cr_key is not null)
        from ledger.entry e where is_active and not is_deleted
          and not exists (select from core.accounting_account a where a.account_key = e.account_dr_key and a.is_off_balance)
          and not exists (select from core.accounting_account a where a.account_key = e.account_cr_key and a.is_off_balance)
        group by document_key
        having coalesce(sum(amount) filter (where account_dr_key is not null), 0)
            <> coalesce(sum(amount) filter (where account_cr_key is not null), 0)
        limit 5
        """
    )
    apart = warehouse.rows(
        """
        with codes as (
            select jsonb_array_elements_text(s.value) as code from ops.setting s where s.name = 'settlement_accounts'
        ), settlement_accounts as (
            select account_key, code from core.accounting_account where code in (select code from codes)
        ), moved as (
            select a.code, side.counterparty_key, sum(side.amount) as amount
            from ledger.entry e
            cross join lateral (values (e.account_dr_key, e.debit_counterparty_key, e.amount),
                                       (e.account_cr_key, e.credit_counterparty_key, -e.amount)
                               ) as side(account_key, counterparty_key, amount)
            join settlement_accounts a on a.account_key = side.account_key
            where e.is_active and not e.is_deleted
              and e.booked_on <= (  -- balances are those at the end of the day on which they were read
                select (max(b.window_to) at time zone coalesce(max(z.value #>> '{}'), 'UTC'))::date
                from ops.batch b
                left join ops.setting z on z.system = b.source and z.name = 'timezone'
                where b.entity = 'balance' and b.status = 'loaded')
            group by a.code, side.counterparty_key
        ), reported as (
            select account_code as code, counterparty_key, sum(amount) as amount
            from ledger.balance where account_code in (select code from codes) and not is_deleted
            group by account_code, counterparty_key
        )
        select coalesce(m.code, r.code), coalesce(m.counterparty_key, r.counterparty_key),
               coalesce(m.amount, 0), coalesce(r.amount, 0)
        from moved m
        full join reported r on r.code = m.code and r.counterparty_key is not distinct from m.counterparty_key
        where coalesce(m.amount, 0) <> coalesce(r.amount, 0)
        limit 5
        """
    )
    told = [
        (f"entry {key} lacks an account or an amount", f"у проводки {key} нет счёта или суммы")
        for (key,) in empty
    ]
    told += [
        (f"document {key} debits {debit or 0} and credits {credit or 0}",
         f"документ {key}: по дебету {debit or 0}, по кредиту {credit or 0}")
        for key, debit, credit in unequal
    ]  # fmt: skip
    told += [
        (f"account {code} of {key or 'nobody'}: entries give {ours}, accounting reports {theirs}",
         f"счёт {code}, {key or 'без контрагента'}: по проводкам {ours}, по отчёту учёта {theirs}")
        for code, key, ours, theirs in apart
    ]  # fmt: skip
    return _law(
        DEBIT_EQUALS_CREDIT,
        "ledger.entry",
        told,
        "every document debits what it credits and the balances of the settlement accounts agree with the entries",
        "в каждом документе дебет равен кредиту, остатки по счетам расчётов совпадают с проводками",
        is_apart=bool(empty or unequal) and not apart,
    )
