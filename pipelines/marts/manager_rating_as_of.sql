-- What each manager brought in over the months up to a date: deals of the CRM, revenue and payments of accounting, margin
-- where accounting says the cost, and a rating made of them. How many months, and what each figure weighs: marts.sales_rule.
-- Calls, letters and meetings are told beside it, and weigh nothing. The period ends with the day itself: three months up to 31 March begin on 1 January.
--
-- @owner sales-ops
-- @arguments as_of date, of_months integer default null
-- @planned by hash
-- @column employee_id text -- core.employee; null: the deals name no manager
-- @column manager text -- name of the manager
-- @column currency text -- ISO 4217: of the deals, and of the documents; null: activities alone, or deals without one
-- @column period_from date -- first day of the period
-- @column period_to date -- its last day
-- @column deals_won bigint -- won in the period
-- @column deals_lost bigint -- lost in the period
-- @column won_amount numeric -- header sums of those won, with VAT
-- @column average_deal numeric -- won_amount / deals_won, to the kopeck; null where none was won
-- @column conversion numeric -- deals_won / (deals_won + deals_lost), 0..1; null where none was closed
-- @column average_days_to_close numeric -- won deals: days from created to closed, mean
-- @column moves bigint -- moves of their deals from stage to stage in the period, by the CRM's versions
-- @column activities bigint -- calls, letters and meetings of the manager in the period, whatever the currency: the same in each of their rows; null: their CRM tells of none
-- @column revenue numeric -- posted realizations dated in the period, corrections and returns with their sign, without VAT
-- @column documents bigint -- how many these are
-- @column cost numeric -- of them by marts.sale_profit; null: accounting says it of none of them
-- @column documents_with_cost bigint -- of `documents`, those whose cost accounting says
-- @column margin numeric -- net of those documents less `cost`; null where no cost is said
-- @column margin_share numeric -- margin / net of those documents
-- @column paid numeric -- allocated in the period to documents of their deals
-- @column debt numeric -- not paid on the last day, overpaid documents not netted
-- @column overdue numeric -- debt whose day has passed on the last day
-- @column overdue_share numeric -- overdue / (paid + debt), 0..1; null where nothing was paid or owed
-- @column rating numeric -- 0 the last in everything, 100 the first: the weighted mean of places (docs/marts.md); null: see `rating_reason`
-- @column figures bigint -- how many figures the rating is made of
-- @column rating_reason text -- why there is no rating; null: there is one
-- @column rating_reason_ru text -- the same in Russian
-- @changed marts.sales_rule marts.deal marts.stage_time_as_of marts.sale_profit ledger.allocation marts.obligation_as_of marts.manager_activity_as_known marts.activity_source core.employee
-- @rows
with period as (
    select r.*, ((as_of + 1) - make_interval(months => coalesce(of_months, r.rating_months)))::date as period_from
    from marts.sales_rule r
), closed as (
    select d.employee_id, d.manager, d.currency, (d.outcome = 'won')::integer as won, (d.outcome = 'lost')::integer as lost,
           d.amount, d.days_to_close
    from marts.deal d
    join period p on d.closed_on between p.period_from and as_of
    where d.outcome in ('won', 'lost') and not d.is_deleted
), moved as (
    select d.employee_id, d.manager, d.currency
    from marts.stage_time_as_of(as_of) s
    join marts.deal d on d.deal_id = s.deal_id
    join period p on s.left_at >= p.period_from::timestamp at time zone 'UTC'
    where s.moved <> 'deleted' and not d.is_deleted
), sold as (
    select d.employee_id, d.manager, s.currency, s.net, s.cost
    from marts.sale_profit s
    join marts.deal d on d.deal_id = s.deal_id
    join period p on s.document_date between p.period_from and as_of
), paid as (
    select o.employee_id, o.manager, o.currency, a.amount
    from ledger.allocation a
    join marts.obligation_as_of(as_of) o on o.document_key = a.document_key
    join period p on a.paid_on between p.period_from and as_of
    where o.deal_id is not null
), facts as (
    select employee_id, manager, currency, won, lost, case when won = 1 then coalesce(amount, 0) else 0 end as won_amount,
           case when won = 1 then days_to_close end as days_to_close, 0 as moves, 0::numeric as revenue, 0 as documents,
           null::numeric as cost, null::numeric as costed_net, 0::numeric as paid, 0::numeric as debt, 0::numeric as overdue
    from closed
    union all
    select employee_id, manager, currency, 0, 0, 0, null, 1, 0, 0, null, null, 0, 0, 0 from moved
    union all
    select employee_id, manager, currency, 0, 0, 0, null, 0, net, 1, cost, case when cost is not null then net end, 0, 0, 0
    from sold
    union all
    select employee_id, manager, currency, 0, 0, 0, null, 0, 0, 0, null, null, amount, 0, 0 from paid
    union all
    select employee_id, manager, currency, 0, 0, 0, null, 0, 0, 0, null, null, 0, debt,
           case when days_overdue > 0 then debt else 0 end
    from marts.obligation_as_of(as_of)
    where deal_id is not null and debt > 0
), told as (
    -- of whose CRM it is known how many activities there were
    select e.employee_id, e.full_name as manager, coalesce(sum(v.activities), 0)::bigint as activities
    from core.employee e
    join marts.activity_source t on t.source = e.source
    cross join period p
    left join marts.manager_activity_as_known() v
      on v.employee_id = e.employee_id and v.happened_on between p.period_from and as_of
    group by e.employee_id, e.full_name
), counted as (
    select employee_id, max(manager) as manager, currency, sum(won) as won, sum(lost) as lost, sum(won_amount) as won_amount,
           avg(days_to_close) as cycle, sum(moves) as moves, sum(revenue) as revenue, sum(documents) as documents,
           sum(cost) as cost, count(cost) as documents_with_cost, sum(costed_net) - sum(cost) as margin,
           sum(costed_net) as costed_net, sum(paid) as paid, sum(debt) as debt, sum(overdue) as overdue
    from facts
    group by employee_id, currency
    union all
    -- whoever called and wrote, and has nothing else in the period
    select t.employee_id, t.manager, null, 0, 0, 0, null, 0, 0, 0, null, 0, null, null, 0, 0, 0
    from told t
    where t.activities > 0 and not exists (select from facts f where f.employee_id = t.employee_id)
), figures as (
    -- Higher is better; who has no such figure is not placed by it.
    select c.employee_id, c.currency, f.name, f.value, f.weight
    from counted c
    cross join period p
    cross join lateral (values
        ('revenue', c.revenue, p.weight_revenue),
        ('paid', c.paid, p.weight_paid),
        ('margin', c.margin, p.weight_margin),
        ('won', c.won::numeric, p.weight_won),
        ('conversion', c.won::numeric / nullif(c.won + c.lost, 0), p.weight_conversion),
        ('cycle', -c.cycle, p.weight_cycle),
        ('overdue', -c.overdue / nullif(c.paid + c.debt, 0), p.weight_overdue)
    ) as f(name, value, weight)
    where c.employee_id is not null and f.value is not null and f.weight > 0
      and exists (select from facts o where o.employee_id = c.employee_id)
), placed as (
    select *, count(*) over (partition by currency, name) as managers,
           rank() over (partition by currency, name order by value) - 1 as below,
           count(*) over (partition by currency, name, value) - 1 as same
    from figures
), rated as (
    select employee_id, currency, count(*) as figures,
           round(100 * sum(weight * (below + same / 2.0) / (managers - 1)) / sum(weight), 1) as rating
    from placed
    where managers > 1
    group by employee_id, currency
)
select
    c.employee_id,
    c.manager,
    c.currency,
    p.period_from,
    as_of as period_to,
    c.won as deals_won,
    c.lost as deals_lost,
    c.won_amount,
    round(c.won_amount / nullif(c.won, 0), 2) as average_deal,
    round(c.won::numeric / nullif(c.won + c.lost, 0), 4) as conversion,
    round(c.cycle, 1) as average_days_to_close,
    c.moves,
    t.activities,
    c.revenue,
    c.documents,
    c.cost,
    c.documents_with_cost,
    c.margin,
    round(c.margin / nullif(c.costed_net, 0), 4) as margin_share,
    c.paid,
    c.debt,
    c.overdue,
    round(c.overdue / nullif(c.paid + c.debt, 0), 4) as overdue_share,
    r.rating,
    coalesce(r.figures, 0) as figures,
    case when r.rating is null and c.employee_id is null then 'the deals name no manager'
         when r.rating is null and c.won + c.lost + c.moves + c.documents = 0 and c.paid = 0 and c.debt = 0 then 'no deals and no money in the period'
         when r.rating is null then 'nobody to compare with in this currency' end as rating_reason,
    case when r.rating is null and c.employee_id is null then 'в сделках не указан ответственный'
         when r.rating is null and c.won + c.lost + c.moves + c.documents = 0 and c.paid = 0 and c.debt = 0 then 'за период нет ни сделок, ни денег'
         when r.rating is null then 'в этой валюте не с кем сравнить' end as rating_reason_ru
from counted c
cross join period p
left join rated r on r.employee_id = c.employee_id and r.currency is not distinct from c.currency
left join told t on t.employee_id = c.employee_id
