-- Revenue by client and month as accounting posted it: realizations by their own date, not what the CRM says.
--
-- @owner accountants
-- @view
-- @column month date -- first day of the month of the realizations
-- @column client_id text -- core.client; null: not our document, its deal is gone, or the deal has no client
-- @column client text -- name of the client
-- @column counterparty_key text -- core.accounting_counterparty
-- @column counterparty text -- its name in accounting
-- @column currency text -- ISO 4217 letters
-- @column documents bigint -- posted realizations
-- @column gross numeric(18,2) -- with VAT
-- @column vat numeric(18,2) -- VAT in `gross`
-- @column net numeric(18,2) -- gross less VAT
-- @changed marts.revenue_document core.deal core.client_member core.client core.accounting_counterparty
-- @rows
with months as (
    select date_trunc('month', r.document_date)::date as month, coalesce(m.client_id, d.client_record_id) as client_id,
           r.counterparty_key, r.currency, count(*) as documents, sum(r.gross) as gross, sum(r.vat) as vat, sum(r.net) as net
    from marts.revenue_document r
    left join core.deal d on d.deal_id = r.deal_id
    left join core.client_member m on m.client_record_id = d.client_record_id
    group by date_trunc('month', r.document_date), coalesce(m.client_id, d.client_record_id), r.counterparty_key, r.currency
)
select
    m.month,
    m.client_id,
    c.name as client,
    m.counterparty_key,
    p.name as counterparty,
    m.currency,
    m.documents,
    m.gross,
    m.vat,
    m.net
from months m
left join core.client c on c.client_id = m.client_id
left join core.accounting_counterparty p on p.counterparty_key = m.counterparty_key
