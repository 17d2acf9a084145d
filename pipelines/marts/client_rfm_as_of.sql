-- How lately, how often and for how much each client bought in the last `rfm_days` days, and its place among all of the
-- currency: quintiles, 5 the best. Equals have the same: 1 + the fifths of all clients that it is better than.
-- Fewer than 5 clients in a currency make no fifths: the quintiles are null, and `reason` says so.
--
-- @owner sales-ops
-- @arguments as_of date
-- @planned by hash
-- @column buyer_key text -- marts.buyer: the client, else the counterparty
-- @column buyer text -- its name
-- @column client_id text -- core.client; null: none is known
-- @column counterparty_key text -- core.accounting_counterparty; null: the row is a client's
-- @column currency text -- ISO 4217 letters
-- @column from_day date -- first day of the period
-- @column to_day date -- last day of the period, as_of
-- @column last_on date -- day of the last realization
-- @column recency_days integer -- days since
-- @column frequency bigint -- posted realizations
-- @column monetary numeric -- revenue without VAT, less what was taken back
-- @column recency integer -- quintile, 5: lately; null: fewer than 5 clients
-- @column often integer -- quintile of frequency, 5: often
-- @column money integer -- quintile of monetary, 5: much
-- @column segment text -- best, loyal, new, at risk, lost or other; null: fewer than 5 clients
-- @column clients bigint -- clients of the currency that bought in the period
-- @column reason text -- why quintiles are null: fewer than 5 clients
-- @changed marts.sale_profit marts.buyer marts.buyer_rule
-- @rows
with sold as (
    select s.buyer_key, s.currency, max(s.document_date) filter (where s.kind = 'realization') as last_on,
           count(*) filter (where s.kind = 'realization') as frequency, sum(s.net) as monetary
    from marts.sale_profit s
    cross join marts.buyer_rule r
    where s.document_date > as_of - r.rfm_days and s.document_date <= as_of and s.buyer_key is not null
    group by s.buyer_key, s.currency
    having count(*) filter (where s.kind = 'realization') > 0
), ranked as (
    select s.*, count(*) over whole as clients,
           (1 + floor(5.0 * (rank() over (partition by s.currency order by s.last_on) - 1) / count(*) over whole))::integer as recency,
           (1 + floor(5.0 * (rank() over (partition by s.currency order by s.frequency) - 1) / count(*) over whole))::integer as often,
           (1 + floor(5.0 * (rank() over (partition by s.currency order by s.monetary) - 1) / count(*) over whole))::integer as money
    from sold s
    window whole as (partition by s.currency)
)
select
    k.buyer_key,
    b.buyer,
    b.client_id,
    b.counterparty_key,
    k.currency,
    as_of - r.rfm_days + 1 as from_day,
    as_of as to_day,
    k.last_on,
    as_of - k.last_on as recency_days,
    k.frequency,
    k.monetary,
    case when k.clients >= 5 then k.recency end as recency,
    case when k.clients >= 5 then k.often end as often,
    case when k.clients >= 5 then k.money end as money,
    case when k.clients < 5 then null
         when k.recency >= 4 and k.often >= 4 then 'best'
         when k.recency >= 3 and k.often >= 3 then 'loyal'
         when k.recency >= 4 then 'new'
         when k.recency <= 2 and k.often >= 3 then 'at risk'
         when k.recency <= 2 then 'lost'
         else 'other' end as segment,
    k.clients,
    case when k.clients < 5 then 'fewer than 5 clients' end as reason
from ranked k
cross join marts.buyer_rule r
left join marts.buyer b on b.buyer_key = k.buyer_key
