-- What was sold, and what was taken back or corrected of it: posted realizations, corrections and returns of accounting
-- with their sign, under the client that is known to buy by the counterparty.
--
-- @owner accountants
-- @view
-- @column document_key text -- ledger.document
-- @column kind text -- realization, correction or return
-- @column document_date date -- its date in accounting
-- @column counterparty_key text -- core.accounting_counterparty
-- @column client_id text -- core.client of the deal; without a deal, the only client that buys by the counterparty; null: there is none, or several
-- @column gross numeric(18,2) -- with VAT, in `currency`: below 0 where it takes back
-- @column currency text -- ISO 4217 letters
-- @changed marts.revenue_document ledger.position marts.currency core.deal core.client_member
-- @rows
with every as (
    select document_key, 'realization' as kind, document_date, counterparty_key, deal_id, gross, currency
    from marts.revenue_document
    union all
    select p.document_key, p.kind, p.actual_date, p.actual_counterparty_key, p.deal_id, p.actual_amount, c.currency
    from ledger.position p
    left join marts.currency c on c.currency_key = p.actual_currency_key
    where p.kind in ('correction', 'return') and p.is_posted and not p.is_marked and p.actual_amount is not null
), named as (
    select e.*, coalesce(m.client_id, d.client_record_id) as deal_client
    from every e
    left join core.deal d on d.deal_id = e.deal_id
    left join core.client_member m on m.client_record_id = d.client_record_id
), buyers as (
    select counterparty_key, min(deal_client) as client_id
    from named
    where deal_client is not null
    group by counterparty_key
    having count(distinct deal_client) = 1
)
select
    n.document_key,
    n.kind,
    n.document_date,
    n.counterparty_key,
    coalesce(n.deal_client, b.client_id) as client_id,
    n.gross,
    n.currency
from named n
left join buyers b on b.counterparty_key = n.counterparty_key
