-- What each client brought, month by month up to a date: revenue without VAT, cost and margin by accounting's documents.
-- Cost and margin are those of the documents whose cost accounting says (`revenue_costed` of the revenue); null where it
-- says none. A return counts in its own month. Currencies are apart.
--
-- @owner sales-ops
-- @arguments as_of date
-- @planned by hash
-- @column buyer_key text -- marts.buyer: the client, else the counterparty; null: the documents name nobody
-- @column buyer text -- its name
-- @column client_id text -- core.client; null: none is known
-- @column counterparty_key text -- core.accounting_counterparty; null: the row is a client's
-- @column month date -- first day of the month of the documents; null: without a readable date
-- @column currency text -- ISO 4217 letters
-- @column documents bigint -- posted realizations
-- @column revenue numeric -- without VAT, less what was taken back
-- @column revenue_costed numeric -- the part of it whose cost is known
-- @column cost numeric -- cost of that part; null: no cost is known
-- @column margin numeric -- revenue_costed less cost; null: no cost is known
-- @column margin_share numeric -- margin / revenue_costed; null: no cost is known, or revenue_costed is not above 0
-- @column reasons text[] -- why cost is not known of all: no entries, no cost entry, other currency
-- @changed marts.sale_profit marts.buyer
-- @rows
with months as (
    select buyer_key, date_trunc('month', document_date)::date as month, currency,
           count(*) filter (where kind = 'realization') as documents, sum(net) as revenue,
           coalesce(sum(net) filter (where reason is null), 0) as revenue_costed, sum(cost) as cost, sum(margin) as margin,
           coalesce(array_agg(distinct reason) filter (where reason is not null), '{}') as reasons
    from marts.sale_profit
    where document_date is null or document_date <= as_of
    group by buyer_key, date_trunc('month', document_date), currency
)
select
    m.buyer_key,
    b.buyer,
    b.client_id,
    b.counterparty_key,
    m.month,
    m.currency,
    m.documents,
    m.revenue,
    m.revenue_costed,
    m.cost,
    m.margin,
    case when m.revenue_costed > 0 then round(m.margin / m.revenue_costed, 4) end as margin_share,
    m.reasons
from months m
left join marts.buyer b on b.buyer_key = m.buyer_key
