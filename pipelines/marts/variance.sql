-- Every difference between the CRM and accounting that is there, with names: since when it is seen, what caused it, whose it
-- is, and whether somebody accepted it. One that is accepted stays in every sum. What is gone: marts.variance_resolved.
-- `age_days` alone depends on the day of asking: it counts to current_date.
--
-- @owner accountants
-- @view
-- @column variance_key text -- ledger.variance
-- @column variance_number bigint -- what people call it by: sverka variance show NUMBER; null: not remembered yet
-- @column reason text -- reason code, see docs/reconciliation.md
-- @column measure text -- ordered, invoiced, realized, vat_invoiced, paid or exchanged
-- @column counterparty_key text -- core.accounting_counterparty; null: not decided
-- @column counterparty text -- its name in accounting, else the one that the CRM gives for the deal
-- @column deal_id text -- core.deal
-- @column deal text -- name of the deal
-- @column client text -- name of the client
-- @column manager text -- name of the responsible manager
-- @column document_key text -- ledger.position or ledger.payment
-- @column number text -- number shown in accounting
-- @column period date -- first day of the month of the document
-- @column amount numeric(18,2) -- expected minus actual; 0 where only something else differs
-- @column currency text -- ISO 4217 letters
-- @column expected text -- what the CRM says
-- @column actual text -- what accounting says
-- @column sentence text -- what is the matter, and the remedy
-- @column sentence_ru text -- the same in Russian
-- @column owner text -- who has it: a person if it was taken, else accountants or sales
-- @column status text -- open, or accepted: somebody accepted it at exactly this amount
-- @column accepted_by text -- who
-- @column accepted_at timestamptz -- when
-- @column accepted_reason text -- and why
-- @column cause text -- the change that caused it
-- @column cause_ru text -- the same in Russian
-- @column note text -- what somebody wrote about it
-- @column first_seen_on date -- day (UTC) on which it was first seen; null: not remembered yet
-- @column last_seen_on date -- day (UTC) on which it was last seen
-- @column age_days integer -- days from first seen to current_date
-- @changed ledger.variance ledger.position ledger.payment core.accounting_counterparty documents.deal marts.currency marts.deal ops.variance_memory ops.variance_decision
-- @rows
select
    v.variance_key,
    m.number as variance_number,
    v.reason,
    v.measure,
    v.counterparty_key,
    coalesce(p.name, due.legal_name) as counterparty,
    v.deal_id,
    d.title as deal,
    d.client,
    d.manager,
    v.document_key,
    coalesce(held.number, paid.number) as number,
    v.period,
    v.amount,
    coalesce(c.currency, case when v.currency_key is null then d.currency end) as currency,
    v.expected,
    v.actual,
    v.sentence,
    v.sentence_ru,
    coalesce(m.owner, v.owner) as owner,
    case when a.decision_id is null then 'open' else 'accepted' end as status,
    a.decided_by as accepted_by,
    a.decided_at as accepted_at,
    a.reason as accepted_reason,
    m.cause,
    m.cause_ru,
    m.note,
    (m.first_seen_at at time zone 'UTC')::date as first_seen_on,
    (m.last_seen_at at time zone 'UTC')::date as last_seen_on,
    current_date - (m.first_seen_at at time zone 'UTC')::date as age_days
from ledger.variance v
left join ops.variance_memory m on m.variance_key = v.variance_key
left join ops.variance_decision a
  on a.variance_key = v.variance_key and a.undone_at is null and a.amount = v.amount and a.currency_key is not distinct from v.currency_key
 and (v.amount <> 0 or (a.expected, a.actual) is not distinct from (v.expected, v.actual))
left join ledger.position held on held.document_key = v.document_key
left join ledger.payment paid on paid.payment_key = v.document_key
left join core.accounting_counterparty p on p.counterparty_key = v.counterparty_key
left join marts.currency c on c.currency_key = v.currency_key
left join marts.deal d on d.deal_id = v.deal_id
left join documents.deal due on due.deal_id = v.deal_id
