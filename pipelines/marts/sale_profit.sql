-- What was sold and what it cost, document by document: posted realizations, corrections and returns with their sign.
-- The cost is what accounting's entries of the document put on the accounts of `reconcile.cost_accounts`, less what they
-- took off them. What a later entry adds (at the closing of a month) stands in no document of sale and is not in it.
-- Where accounting says no cost, cost and margin are null, and `reason` says why.
--
-- @owner accountants
-- @view
-- @column document_key text -- ledger.document
-- @column kind text -- realization, correction or return
-- @column document_date date -- its date in accounting
-- @column buyer_key text -- marts.buyer: the client, else the counterparty; null: the document names nobody
-- @column client_id text -- core.client; null: none is known
-- @column counterparty_key text -- core.accounting_counterparty
-- @column deal_id text -- core.deal; null: the document is not ours
-- @column currency text -- ISO 4217 letters
-- @column gross numeric(18,2) -- with VAT: below 0 where it takes back
-- @column vat numeric(18,2) -- VAT in `gross`; of a correction, and of a return without lines, by what it takes back
-- @column net numeric(18,2) -- gross less VAT
-- @column cost numeric(18,2) -- accounting's cost; 0 where only services were sold and none was booked; null: see reason
-- @column margin numeric(18,2) -- net less cost; null where the cost is
-- @column reason text -- no entries: accounting publishes none of it; no cost entry: goods whose cost is not booked; other currency than the cost
-- @changed ledger.sale marts.currency marts.buyer_rule
-- @rows
with told as (
    select s.*, c.currency,
           case when c.currency is distinct from r.own_currency then 'other currency'
                when not s.has_entries then 'no entries'
                when not s.has_cost and s.kind <> 'correction' and not s.only_services then 'no cost entry'
                end as reason
    from ledger.sale s
    cross join marts.buyer_rule r
    left join marts.currency c on c.currency_key = s.currency_key
)
select
    document_key,
    kind,
    document_date,
    coalesce('client ' || client_id, 'counterparty ' || nullif(counterparty_key, '-')) as buyer_key,
    client_id,
    nullif(counterparty_key, '-') as counterparty_key,
    deal_id,
    currency,
    gross,
    vat,
    gross - vat as net,
    case when reason is null then cost end as cost,
    case when reason is null then gross - vat - cost end as margin,
    reason
from told
