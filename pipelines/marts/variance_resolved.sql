-- Differences between the CRM and accounting that are gone, with the operation or the change that resolved each.
--
-- @owner accountants
-- @view
-- @column variance_key text -- as ledger.variance had it
-- @column variance_number bigint -- what people call it by
-- @column reason text -- reason code, see docs/reconciliation.md
-- @column measure text -- ordered, invoiced, realized, vat_invoiced, paid or exchanged
-- @column counterparty_key text -- core.accounting_counterparty; null: not decided
-- @column counterparty text -- its name in accounting
-- @column deal_id text -- core.deal
-- @column document_key text -- ledger.position or ledger.payment
-- @column amount numeric(18,2) -- as it was last seen: expected minus actual
-- @column currency text -- ISO 4217 letters
-- @column sentence text -- what was the matter
-- @column sentence_ru text -- the same in Russian
-- @column cause text -- the change that caused it
-- @column cause_ru text -- the same in Russian
-- @column first_seen_at timestamptz -- when it was first seen
-- @column resolved_at timestamptz -- when it was seen to be gone
-- @column resolution text -- what resolved it
-- @column resolution_ru text -- the same in Russian
-- @changed ops.variance_memory core.accounting_counterparty marts.currency
-- @rows
select
    m.variance_key,
    m.number as variance_number,
    m.reason,
    m.measure,
    m.counterparty_key,
    p.name as counterparty,
    m.deal_id,
    m.document_key,
    m.amount,
    c.currency,
    m.sentence,
    m.sentence_ru,
    m.cause,
    m.cause_ru,
    m.first_seen_at,
    m.resolved_at,
    m.resolution,
    m.resolution_ru
from ops.variance_memory m
left join core.accounting_counterparty p on p.counterparty_key = m.counterparty_key
left join marts.currency c on c.currency_key = m.currency_key
where m.resolved_at is not null
