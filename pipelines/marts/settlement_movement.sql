-- Every movement of settlements with buyers: one row a side of an entry on a settlement account, in the currency in which
-- the account is kept. Where accounting publishes no entries: one row a posted sale, return, receipt or refund.
-- What moves between settlement accounts of one buyer (an advance that is set off) is apart, in `set_off`.
--
-- @owner accountants
-- @view
-- @column movement_key text -- ledger.entry and its side, or the document
-- @column basis text -- entries or documents: what it was made of
-- @column day date -- accounting period; null: no date could be read
-- @column organization_key text -- core.accounting_organization
-- @column counterparty_key text -- core.accounting_counterparty; null: the side names nobody
-- @column contract_key text -- core.accounting_contract
-- @column document_key text -- the document that made it: ledger.document, ledger.payment or another
-- @column settled_key text -- the document that is settled, where the register says so, else the one that made it
-- @column content text -- wording of the entry
-- @column currency_key text -- core.accounting_currency
-- @column debit numeric(18,2) -- what the buyer owes more
-- @column credit numeric(18,2) -- what he owes less
-- @column set_off numeric(18,2) -- debit less credit of what moves within one contract of the buyer
-- @column is_internal boolean -- both sides are this buyer's, of whatever contract
-- @column own_currency_key text -- accounting's own currency
-- @column own_debit numeric(18,2) -- `debit` in it; null: nobody says the rate
-- @column own_credit numeric(18,2) -- `credit` in it
-- @column own_set_off numeric(18,2) -- `set_off` in it
-- @changed ledger.entry ledger.document ledger.payment ledger.payment_line core.accounting_account core.accounting_currency ops.setting ops.currency_rule
-- @rows
with own as (
    select n.value #>> '{}' as system, min(l.currency_key) as currency_key
    from ops.setting n
    join ops.setting s on s.system = n.value #>> '{}' and s.name = 'currency'
    join ops.currency_rule r on r.system = n.value #>> '{}' and r.code = s.value #>> '{}'
    join core.accounting_currency l on l.source = n.value #>> '{}' and l.code = r.value and not l.is_deleted
    where n.name = 'accounting_system'
    group by n.value
), settling as (
    select a.account_key
    from core.accounting_account a
    where a.code in (select jsonb_array_elements_text(s.value) from ops.setting s where s.name = 'settlement_accounts')
), basis as (
    select exists (select from ledger.entry where is_active and not is_deleted) as has_entries
), paid_by as (
    select payment_key, min(contract_key) as contract_key
    from ledger.payment_line
    where not is_deleted
    group by payment_key
    having count(distinct contract_key) = 1
), known as (
    select e.*, own.currency_key as own_key,
           coalesce(e.organization_key, d.organization_key, p.organization_key) as organization,
           coalesce(e.debit_contract_key, case when d.counterparty_key = e.debit_counterparty_key then d.contract_key end,
                    case when p.counterparty_key = e.debit_counterparty_key then l.contract_key end) as debit_contract,
           coalesce(e.credit_contract_key, case when d.counterparty_key = e.credit_counterparty_key then d.contract_key end,
                    case when p.counterparty_key = e.credit_counterparty_key then l.contract_key end) as credit_contract,
           case when e.debit_currency_key <> own.currency_key then e.debit_currency_key else own.currency_key end as debit_currency,
           case when e.credit_currency_key <> own.currency_key then e.credit_currency_key else own.currency_key end as credit_currency,
           case when e.debit_currency_key <> own.currency_key then coalesce(e.debit_currency_amount, 0) else e.amount end as debit_amount,
           case when e.credit_currency_key <> own.currency_key then coalesce(e.credit_currency_amount, 0) else e.amount end as credit_amount,
           dr.account_key is not null as is_debit, cr.account_key is not null as is_credit
    from ledger.entry e
    left join own on true
    left join settling dr on dr.account_key = e.account_dr_key
    left join settling cr on cr.account_key = e.account_cr_key
    left join ledger.document d on d.document_key = e.document_key
    left join ledger.payment p on p.payment_key = e.document_key
    left join paid_by l on l.payment_key = e.document_key
    where e.is_active and not e.is_deleted and (dr.account_key is not null or cr.account_key is not null)
), sided as (
    select k.*,
           -- who a side is of, accounting may leave out: then it is moved, and nothing set off
           k.is_debit and k.is_credit and coalesce(k.debit_counterparty_key = k.credit_counterparty_key, false)
             and k.debit_currency is not distinct from k.credit_currency as both_his
    from known k
), moved as (
    select entry_key || '/debit' as movement_key, 'entries' as basis, booked_on as day, organization as organization_key,
           debit_counterparty_key as counterparty_key, debit_contract as contract_key, document_key,
           coalesce(debit_document_key, document_key) as settled_key, content, debit_currency as currency_key,
           debit_amount as amount, 1 as sign, both_his as is_internal,
           both_his and debit_contract is not distinct from credit_contract as is_set_off, own_key, amount as own_amount
    from sided where is_debit
    union all
    select entry_key || '/credit', 'entries', booked_on, organization, credit_counterparty_key, credit_contract, document_key,
           coalesce(credit_document_key, document_key), content, credit_currency, credit_amount, -1, both_his,
           both_his and debit_contract is not distinct from credit_contract, own_key, amount
    from sided where is_credit
    union all
    select d.document_key, 'documents', d.document_date, d.organization_key, d.counterparty_key, d.contract_key, d.document_key,
           d.document_key, d.comment, d.currency_key, d.amount, ops.sign(d.kind), false, false, own.currency_key,
           case when d.currency_key = own.currency_key then d.amount else round(d.amount * d.rate / coalesce(nullif(d.rate_units, 0), 1), 2) end
    from ledger.document d
    cross join basis
    left join own on true
    where not basis.has_entries and d.kind in ('realization', 'correction', 'return') and coalesce(d.is_posted, true) and not d.is_deleted
    union all
    select p.payment_key, 'documents', p.paid_on, p.organization_key, p.counterparty_key, l.contract_key, p.payment_key,
           p.payment_key, p.purpose, p.currency_key, p.amount, case p.kind when 'refund' then 1 else -1 end, false, false, own.currency_key,
           case when p.currency_key = own.currency_key then p.amount else round(p.amount * p.rate / coalesce(nullif(p.rate_units, 0), 1), 2) end
    from ledger.payment p
    cross join basis
    left join own on true
    left join paid_by l on l.payment_key = p.payment_key
    where not basis.has_entries and coalesce(p.is_posted, true) and not p.is_deleted
)
select
    movement_key,
    basis,
    day,
    organization_key,
    counterparty_key,
    contract_key,
    document_key,
    settled_key,
    content,
    currency_key,
    case when sign = 1 and not is_set_off then coalesce(amount, 0) else 0 end as debit,
    case when sign = -1 and not is_set_off then coalesce(amount, 0) else 0 end as credit,
    case when is_set_off then sign * coalesce(amount, 0) else 0 end as set_off,
    is_internal,
    own_key as own_currency_key,
    case when is_set_off then 0 when sign = 1 then own_amount else 0 end as own_debit,
    case when is_set_off then 0 when sign = -1 then own_amount else 0 end as own_credit,
    case when is_set_off then sign * own_amount else 0 end as own_set_off
from moved
