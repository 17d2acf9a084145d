-- Turnover of settlements with buyers (оборотно-сальдовая ведомость по расчётам), document by document, from one day to
-- another, both counted whole: opening + debit - credit + set_off = closing, in every row and in every sum of rows.
-- Advances are set off: accounts of debts and of advances are one balance, and what moves between them is in `set_off`,
-- which comes to nothing for each contract. By counterparty the closing is what accounting reports (ledger.balance).
--
-- @owner accountants
-- @arguments from_day date, to_day date
-- @column organization_key text -- core.accounting_organization: which of us; null: accounting does not say
-- @column organization text -- its name
-- @column counterparty_key text -- core.accounting_counterparty; null: the entry names nobody
-- @column counterparty text -- its name in accounting
-- @column contract_key text -- core.accounting_contract
-- @column contract text -- its name
-- @column document_key text -- the document that is settled, else the one that made the entry
-- @column kind text -- realization, correction, return, receipt, refund; null: another document
-- @column number text -- number shown in accounting
-- @column document_date date -- date of the document
-- @column currency text -- ISO 4217 letters: in which the account is kept
-- @column opening numeric -- before `from_day`; what the buyer owes is positive
-- @column debit numeric -- turnover of the period, set-offs left out
-- @column credit numeric -- the same
-- @column set_off numeric -- net of what was set off against other documents of the contract
-- @column closing numeric -- opening + debit - credit + set_off
-- @column own_currency text -- accounting's own currency, in which the rest is
-- @column own_opening numeric -- null: nobody says the rate of something in it
-- @column own_debit numeric -- turnover of the period
-- @column own_credit numeric -- the same
-- @column own_set_off numeric -- net of what was set off
-- @column own_closing numeric -- own_opening + own_debit - own_credit + own_set_off
-- @changed marts.settlement_movement marts.currency ledger.document ledger.payment core.accounting_counterparty core.accounting_contract core.accounting_organization
-- @rows
with placed as (
    -- what has no readable date was there before: money must not disappear
    select m.*, coalesce(m.day < from_day, true) as is_before
    from marts.settlement_movement m
    where m.day is null or m.day <= to_day
), summed as (
    select organization_key, counterparty_key, contract_key, settled_key, currency_key, own_currency_key,
           coalesce(sum(debit - credit + set_off) filter (where is_before), 0) as opening,
           coalesce(sum(debit) filter (where not is_before), 0) as debit,
           coalesce(sum(credit) filter (where not is_before), 0) as credit,
           coalesce(sum(set_off) filter (where not is_before), 0) as set_off,
           -- a sum with something unknown in it is not known
           case when bool_and(own_debit is not null and own_credit is not null and own_set_off is not null) filter (where is_before) is not false
                then coalesce(sum(own_debit - own_credit + own_set_off) filter (where is_before), 0) end as own_opening,
           case when bool_and(own_debit is not null) filter (where not is_before) is not false
                then coalesce(sum(own_debit) filter (where not is_before), 0) end as own_debit,
           case when bool_and(own_credit is not null) filter (where not is_before) is not false
                then coalesce(sum(own_credit) filter (where not is_before), 0) end as own_credit,
           case when bool_and(own_set_off is not null) filter (where not is_before) is not false
                then coalesce(sum(own_set_off) filter (where not is_before), 0) end as own_set_off,
           bool_or(not is_before) as is_moved
    from placed
    group by organization_key, counterparty_key, contract_key, settled_key, currency_key, own_currency_key
)
select
    s.organization_key,
    o.name as organization,
    s.counterparty_key,
    p.name as counterparty,
    s.contract_key,
    c.name as contract,
    s.settled_key as document_key,
    coalesce(d.kind, pay.kind) as kind,
    coalesce(d.number, pay.number) as number,
    coalesce(d.document_date, pay.paid_on) as document_date,
    cur.currency,
    s.opening,
    s.debit,
    s.credit,
    s.set_off,
    s.opening + s.debit - s.credit + s.set_off as closing,
    own.currency as own_currency,
    s.own_opening,
    s.own_debit,
    s.own_credit,
    s.own_set_off,
    s.own_opening + s.own_debit - s.own_credit + s.own_set_off as own_closing
from summed s
left join core.accounting_organization o on o.organization_key = s.organization_key
left join core.accounting_counterparty p on p.counterparty_key = s.counterparty_key
left join core.accounting_contract c on c.contract_key = s.contract_key
left join ledger.document d on d.document_key = s.settled_key
left join ledger.payment pay on pay.payment_key = s.settled_key
left join marts.currency cur on cur.currency_key = s.currency_key
left join marts.currency own on own.currency_key = s.own_currency_key
where s.is_moved or s.opening <> 0 or s.own_opening <> 0
