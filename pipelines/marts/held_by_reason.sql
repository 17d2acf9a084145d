-- Deals that the gate holds now, by the check that holds them. A deal held by two checks stands under both.
--
-- @owner data-team
-- @view
-- @column check_name text -- name of the asset check
-- @column currency text -- ISO 4217 of the deals; null: not said
-- @column deals bigint -- deals that it holds
-- @column amount numeric(18,2) -- sum of these deals with VAT
-- @column share_of_deals numeric(9,4) -- deals / all deals that accounting has to know of (any currency), 0..1
-- @column example_deal_id text -- one of them, core.deal
-- @column example text -- its sentence, English
-- @column example_ru text -- its sentence, Russian
-- @changed documents.held documents.deal
-- @rows
with due as (
    select count(*) as deals from documents.deal
), held as (
    select check_name, currency, count(distinct deal_id) as deals, coalesce(sum(amount), 0) as amount,
           min(deal_id) as example_deal_id
    from documents.held
    group by check_name, currency
)
select
    h.check_name,
    h.currency,
    h.deals,
    h.amount,
    h.deals::numeric / nullif(due.deals, 0) as share_of_deals,
    h.example_deal_id,
    e.reason as example,
    e.reason_ru as example_ru
from held h
cross join due
join documents.held e on e.deal_id = h.example_deal_id and e.check_name = h.check_name
