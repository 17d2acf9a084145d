-- What marketing brought for what it cost, by month, lead source, campaign and currency: spend of the month beside the deals
-- that were created in it, and what accounting sold by these deals up to `as_of`.
-- Attribution is by first touch: all deals of a client are credited to the source and campaign of its first deal that names
-- any; a deal without client to its own. Spend without deals and deals without spend have rows too.
--
-- @owner marketing
-- @arguments as_of date
-- @planned by hash
-- @column month date -- first day of the month of the spend, and of the deals' creation; null: no date could be read
-- @column lead_source text -- name of the source; null: the deals name none
-- @column campaign text -- name of the campaign; null: none, or the source as a whole
-- @column currency text -- ISO 4217: of the spend, of the deals, of accounting's documents
-- @column spend numeric -- spent in the month; 0: nothing is known
-- @column leads bigint -- deals created
-- @column won bigint -- of these, won up to as_of
-- @column new_clients bigint -- clients whose first touch is in the month, and who have won deals by as_of
-- @column revenue numeric -- sold by the deals up to as_of, without VAT, less what was taken back
-- @column revenue_costed numeric -- the part of it whose cost accounting says
-- @column margin numeric -- revenue_costed less cost; null: no cost is known
-- @column cost_per_lead numeric -- spend / leads; null: no leads, or no spend
-- @column cac numeric -- spend / new_clients; null: no new clients, or no spend
-- @column roi numeric -- (margin - spend) / spend; null: no spend, or no cost is known
-- @column paid_back_on date -- day on which the margin of the deals came up to the spend; null: it did not, or no spend
-- @column payback_days integer -- days from the first spend of the month to that day
-- @column state text -- spend and deals, spend without deals, deals without spend
-- @column reasons text[] -- why a figure is null: no new clients, nothing sold, no cost, not paid back
-- @changed core.marketing_spend core.deal core.campaign core.lead_source marts.deal marts.sale_profit
-- @rows
with deals as (
    select d.deal_id, d.client_id, d.created_on, d.currency, d.outcome = 'won' and d.closed_on <= as_of as is_won,
           coalesce(d.lead_source, l.name) as lead_source, c.name as campaign
    from marts.deal d
    join core.deal k on k.deal_id = d.deal_id
    left join core.campaign c on c.campaign_id = k.campaign_id
    left join core.lead_source l on l.lead_source_id = c.lead_source_id
    -- what has no readable date must not disappear
    where not d.is_deleted and (d.created_on is null or d.created_on <= as_of)
), touches as (
    select distinct on (client_id) client_id, deal_id, lead_source, campaign
    from deals
    where client_id is not null and (lead_source is not null or campaign is not null)
    order by client_id, created_on, deal_id
), buying as (
    select client_id, bool_or(is_won) as is_client from deals where client_id is not null group by client_id
), credited as (
    select d.deal_id, date_trunc('month', d.created_on)::date as month, d.currency, coalesce(d.is_won, false) as is_won,
           case when t.client_id is null then d.lead_source else t.lead_source end as lead_source,
           case when t.client_id is null then d.campaign else t.campaign end as campaign,
           coalesce(t.deal_id = d.deal_id and b.is_client, false) as is_new_client
    from deals d
    left join touches t on t.client_id = d.client_id
    left join buying b on b.client_id = d.client_id
), facts as (
    select date_trunc('month', s.spent_on)::date as month, s.lead_source_name as lead_source, s.campaign_name as campaign, s.currency,
           s.spent_on, s.amount as spend, 0 as leads, 0 as won, 0 as new_clients,
           null::date as sold_on, null::numeric as revenue, null::numeric as margin, null as reason
    from core.marketing_spend s
    where not s.is_deleted and s.amount is not null and (s.spent_on is null or s.spent_on <= as_of)
    union all
    select month, lead_source, campaign, currency, null, 0, 1, is_won::integer, is_new_client::integer, null, null, null, null
    from credited
    union all
    select c.month, c.lead_source, c.campaign, p.currency, null, 0, 0, 0, 0, p.document_date, p.net, p.margin, p.reason
    from credited c
    join marts.sale_profit p on p.deal_id = c.deal_id
    where p.document_date <= as_of
), named as (
    -- Spelled in several ways it is still one; the CRM's spelling is shown.
    select f.*, coalesce(lower(btrim(f.lead_source)), '') as source_key, coalesce(lower(btrim(f.campaign)), '') as campaign_key
    from facts f
), sums as (
    select month, source_key, campaign_key, currency,
           coalesce(min(btrim(lead_source)) filter (where spend = 0), min(btrim(lead_source))) as lead_source,
           coalesce(min(btrim(campaign)) filter (where spend = 0), min(btrim(campaign))) as campaign,
           sum(spend) as spend, min(spent_on) as spent_from, sum(leads) as leads, sum(won) as won, sum(new_clients) as new_clients,
           coalesce(sum(revenue), 0) as revenue, coalesce(sum(revenue) filter (where reason is null), 0) as revenue_costed,
           sum(margin) as margin, count(sold_on) as documents
    from named
    group by month, source_key, campaign_key, currency
), earned as (
    select month, source_key, campaign_key, currency, sold_on,
           sum(margin) over (partition by month, source_key, campaign_key, currency order by sold_on) as margin_so_far
    from named
    where sold_on is not null
), paid_back as (
    select s.month, s.source_key, s.campaign_key, s.currency, min(e.sold_on) as paid_back_on
    from sums s
    join earned e on e.month is not distinct from s.month and e.source_key = s.source_key and e.campaign_key = s.campaign_key
     and e.currency is not distinct from s.currency
    where s.spend > 0 and e.margin_so_far >= s.spend
    group by s.month, s.source_key, s.campaign_key, s.currency
)
select
    s.month,
    s.lead_source,
    s.campaign,
    s.currency,
    s.spend,
    s.leads,
    s.won,
    s.new_clients,
    s.revenue,
    s.revenue_costed,
    s.margin,
    case when s.spend > 0 then round(s.spend / nullif(s.leads, 0), 2) end as cost_per_lead,
    case when s.spend > 0 then round(s.spend / nullif(s.new_clients, 0), 2) end as cac,
    case when s.spend > 0 then round((s.margin - s.spend) / s.spend, 4) end as roi,
    p.paid_back_on,
    p.paid_back_on - s.spent_from as payback_days,
    case when s.spend > 0 and s.leads + s.documents > 0 then 'spend and deals'
         when s.spend > 0 then 'spend without deals'
         else 'deals without spend' end as state,
    array_remove(array[
        case when s.spend > 0 and s.new_clients = 0 then 'no new clients' end,
        case when s.documents = 0 then 'nothing sold' end,
        case when s.documents > 0 and s.margin is null then 'no cost' end,
        case when s.spend > 0 and p.paid_back_on is null then 'not paid back' end], null) as reasons
from sums s
left join paid_back p on p.month is not distinct from s.month and p.source_key = s.source_key and p.campaign_key = s.campaign_key
 and p.currency is not distinct from s.currency
