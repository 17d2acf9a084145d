-- The questions of some marts, worded for DuckDB over the tables that `benchmarks/marts.py` copied into its memory. Each stands
-- under `-- @mart`, with the columns in the order in which the mart is asked for them. What the marts do besides is left
-- out where this company has none of it: corrections, several clients of a counterparty, deleted records, what is known of
-- late, documents without a date.

-- @setup
create view money as select currency_key, case code when '643' then 'RUB' when '840' then 'USD' else 'EUR' end as currency from accounting_currency;
create view named_deal as
select d.deal_id, d.source, m.client_id, d.employee_id, d.lead_source_id, l.name as lead_source, d.pipeline_code, d.stage_code, s.position,
       s.outcome, d.amount, d.currency, (d.created_at at time zone 'Europe/Moscow')::date as created_on,
       case when s.outcome in ('won', 'lost') then d.closed_on end as closed_on
from deal d
left join stage s on s.source = d.source and s.pipeline_code = d.pipeline_code and s.stage_code = d.stage_code
left join client_member m on m.client_record_id = d.client_record_id
left join lead_source l on l.lead_source_id = d.lead_source_id;
create view owed as
select o.document_key, o.counterparty_key, o.deal_id, o.currency_key, o.amount, coalesce(a.paid, 0) as paid,
       greatest(o.amount - coalesce(a.paid, 0), 0) as debt, greatest(coalesce(a.paid, 0) - o.amount, 0) as overpaid,
       greatest(current_date - o.due_on, 0) as days
from obligation o
left join (select document_key, sum(amount) as paid from allocation where paid_on <= current_date group by document_key) a using (document_key)
where o.document_date <= current_date;
create view sale as
with lines as (
    select document_key, sum(vat_amount) as vat from document_line group by document_key
), booked as (
    select e.document_key, bool_or(dr.code like '90.02%' or cr.code like '90.02%') as has_cost,
           coalesce(sum(case when dr.code like '90.02%' then e.amount end), 0) - coalesce(sum(case when cr.code like '90.02%' then e.amount end), 0) as cost
    from entry e
    left join account dr on dr.account_key = e.account_dr_key
    left join account cr on cr.account_key = e.account_cr_key
    group by e.document_key
), named as (
    select d.document_key, d.kind, d.document_date, d.counterparty_key, p.deal_id, m.currency,
           case d.kind when 'return' then -d.amount else d.amount end as gross, cm.client_id
    from document d
    join position p on p.document_key = d.document_key
    join money m on m.currency_key = d.currency_key
    left join deal on deal.deal_id = p.deal_id
    left join client_member cm on cm.client_record_id = deal.client_record_id
    where d.kind in ('realization', 'return') and d.is_posted
), only_client as (
    select counterparty_key, min(client_id) as client_id from (
        select counterparty_key, client_id from named
        union all
        select o.counterparty_key, cm.client_id from obligation o join deal using (deal_id) join client_member cm using (client_record_id)) known
    where client_id is not null group by counterparty_key having count(distinct client_id) = 1
), told as (
    select n.* exclude (client_id), coalesce(n.client_id, o.client_id) as client_id, case n.kind when 'return' then -coalesce(l.vat, 0) else coalesce(l.vat, 0) end as vat,
           case when n.currency <> 'RUB' then 'other currency' when b.document_key is null then 'no entries'
                when not b.has_cost then 'no cost entry' end as reason, b.cost
    from named n
    left join only_client o using (counterparty_key)
    left join lines l using (document_key)
    left join booked b using (document_key)
)
select document_key, kind, document_date, 'client ' || client_id as buyer_key, currency, gross - vat as net, reason,
       case when reason is null then cost end as cost, case when reason is null then gross - vat - cost end as margin
from told;
create view sold_line as
select l.document_key, d.document_date, l.product_key, l.quantity, l.amount as gross, l.vat_amount as vat, l.amount - l.vat_amount as net, m.currency
from document d
join document_line l using (document_key)
join money m using (currency_key)
where d.kind = 'realization' and d.is_posted;

-- @mart receivables_ageing counterparty_key, currency, documents, not_due, days_1_30, days_31_60, days_61_90, over_90, debt, overpaid, balance
with facts as (
    select counterparty_key, currency_key, debt, overpaid, days, amount, 0 as received from owed
    union all
    select counterparty_key, currency_key, 0, 0, null, 0, case kind when 'refund' then -amount else amount end
    from payment where is_posted and paid_on <= current_date
)
select counterparty_key, any_value(currency), count(*) filter (debt > 0), sum(case when days = 0 then debt else 0 end),
       sum(case when days between 1 and 30 then debt else 0 end), sum(case when days between 31 and 60 then debt else 0 end),
       sum(case when days between 61 and 90 then debt else 0 end), sum(case when days > 90 then debt else 0 end),
       sum(debt), sum(overpaid), sum(amount) - sum(received)
from facts join money using (currency_key)
group by counterparty_key, currency_key;

-- @mart sales_funnel month, pipeline_code, lead_source, currency, stage_code, deals, amount, reached, cohort_deals, cohort_won
with deals as (
    select date_trunc('month', created_on)::date as month, pipeline_code, lead_source, currency, stage_code, outcome, amount from named_deal
), cells as (
    select month, pipeline_code, lead_source, currency, stage_code, count(*) as deals, sum(amount) as amount from deals group by all
), cohorts as (
    select distinct month, pipeline_code, lead_source, currency from cells
), counted as (
    select c.*, s.stage_code, s.outcome, s.position, coalesce(x.deals, 0) as deals, coalesce(x.amount, 0) as amount
    from cohorts c
    join stage s using (pipeline_code)
    left join cells x on x.month = c.month and x.pipeline_code = c.pipeline_code and x.lead_source = c.lead_source
         and x.currency = c.currency and x.stage_code = s.stage_code
)
select month, pipeline_code, lead_source, currency, stage_code, deals, amount,
       case when outcome <> 'lost' then sum(case when outcome <> 'lost' then deals end) over (
           partition by month, pipeline_code, lead_source, currency order by position rows between current row and unbounded following) end,
       sum(deals) over cohort, sum(case when outcome = 'won' then deals else 0 end) over cohort
from counted
window cohort as (partition by month, pipeline_code, lead_source, currency);

-- @mart manager_kpi employee_id, month, currency, deals_won, deals_lost, deals_open, won_amount, invoiced, paid, debt, overdue
with deals as (
    select deal_id, employee_id, currency, amount, case when closed_on > current_date then 'open' else outcome end as outcome,
           case when closed_on <= current_date then date_trunc('month', closed_on)::date end as month
    from named_deal
    where created_on <= current_date
), facts as (
    select employee_id, month, currency, (outcome = 'won')::int as won, (outcome = 'lost')::int as lost, (outcome = 'open')::int as open,
           case when outcome = 'won' then amount else 0 end as won_amount, 0 as invoiced, 0 as paid, 0 as debt, 0 as overdue
    from deals
    union all
    select n.employee_id, d.month, m.currency, 0, 0, 0, 0, o.amount, o.paid, o.debt, case when o.days > 0 then o.debt else 0 end
    from owed o
    join money m using (currency_key)
    join deal n on n.deal_id = o.deal_id
    left join deals d on d.deal_id = o.deal_id
)
select employee_id, month, currency, sum(won), sum(lost), sum(open), sum(won_amount), sum(invoiced), sum(paid), sum(debt), sum(overdue)
from facts group by employee_id, month, currency;

-- @mart client_profit buyer_key, month, currency, documents, revenue, revenue_costed, cost, margin
select buyer_key, date_trunc('month', document_date)::date as month, currency, count(*) filter (kind = 'realization'), sum(net),
       coalesce(sum(net) filter (reason is null), 0), sum(cost), sum(margin)
from sale where document_date <= current_date group by buyer_key, month, currency;

-- @mart client_rfm buyer_key, currency, last_on, frequency, monetary, recency, often, money
with sold as (
    select buyer_key, currency, max(document_date) filter (kind = 'realization') as last_on, count(*) filter (kind = 'realization') as frequency,
           sum(net) as monetary
    from sale where document_date > current_date - 365 and document_date <= current_date
    group by buyer_key, currency having count(*) filter (kind = 'realization') > 0
)
select buyer_key, currency, last_on, frequency, monetary,
       1 + 5 * (rank() over (partition by currency order by last_on) - 1) // count(*) over (partition by currency),
       1 + 5 * (rank() over (partition by currency order by frequency) - 1) // count(*) over (partition by currency),
       1 + 5 * (rank() over (partition by currency order by monetary) - 1) // count(*) over (partition by currency)
from sold;

-- @mart client_cohort cohort, currency, age, clients, active, repeated, documents, revenue
with monthly as (
    select buyer_key, currency, date_trunc('month', document_date)::date as month, count(*) filter (kind = 'realization') as documents, sum(net) as revenue
    from sale where document_date <= current_date group by all
), begun as (
    select buyer_key, currency, min(month) as cohort from monthly where documents > 0 group by buyer_key, currency
), life as (
    select b.buyer_key, b.currency, b.cohort, date_diff('month', b.cohort, g.month) as age, coalesce(m.documents, 0) as documents,
           coalesce(m.revenue, 0) as revenue,
           sum(coalesce(m.documents, 0)) over (partition by b.buyer_key, b.currency order by g.month) as to_date
    from begun b
    join (select unnest(generate_series((select min(month) from monthly), current_date, interval 1 month))::date as month) g on g.month >= b.cohort
    left join monthly m on m.buyer_key = b.buyer_key and m.currency = b.currency and m.month = g.month
)
select cohort, currency, age, count(*), count(*) filter (documents > 0), count(*) filter (to_date > 1), sum(documents), sum(revenue)
from life group by cohort, currency, age;

-- @mart product_abc_xyz product_key, currency, revenue, abc, revenue_before, abc_before, quantity
with sold as (
    select product_key, currency, sum(quantity) as quantity, sum(net) as revenue,
           case when document_date >= date_trunc('month', current_date + 1) - interval 12 month then 0 else 1 end as period
    from sold_line
    where document_date < date_trunc('month', current_date + 1) and document_date >= date_trunc('month', current_date + 1) - interval 24 month
    group by all
), every as (
    select p.product_key, p.currency, n.period, s.product_key is not null as is_sold, s.quantity, coalesce(s.revenue, 0) as revenue
    from (select distinct product_key, currency from sold) p
    cross join (values (0), (1)) n(period)
    left join sold s on s.product_key = p.product_key and s.currency = p.currency and s.period = n.period
), ranked as (
    select *, sum(greatest(revenue, 0)) over (partition by period, currency) as whole,
           sum(greatest(revenue, 0)) over (partition by period, currency order by revenue desc, product_key rows unbounded preceding)
           - greatest(revenue, 0) as above
    from every
), classed as (
    select *, case when not is_sold or whole = 0 then null when above < 0.80 * whole and revenue > 0 then 'A'
                   when above < 0.95 * whole and revenue > 0 then 'B' else 'C' end as abc
    from ranked
)
select n.product_key, n.currency, n.revenue, n.abc, b.revenue, b.abc, n.quantity
from classed n join classed b on b.period = 1 and b.product_key = n.product_key and b.currency = n.currency
where n.period = 0;

-- @mart revenue_by_product month, product_key, currency, documents, quantity, gross, vat, net
select date_trunc('month', document_date)::date as month, product_key, currency, count(distinct document_key), sum(quantity), sum(gross), sum(vat), sum(net)
from sold_line group by month, product_key, currency;

-- @mart bought_together product_key, other_key, documents, documents_with_product, documents_with_other, documents_with_both
with bought as (
    select distinct document_key, product_key from sold_line where document_date <= current_date and document_date > current_date - 365
), whole as (
    select count(distinct document_key) as documents from bought
), products as (
    select product_key, count(*) as documents from bought group by product_key
), often as (
    select b.* from bought b join products p using (product_key) where p.documents >= 3
), pairs as (
    select a.product_key, b.product_key as other_key, count(*) as documents
    from often a join often b on b.document_key = a.document_key and b.product_key <> a.product_key
    group by 1, 2 having count(*) >= 3
)
select p.product_key, p.other_key, w.documents, a.documents, b.documents, p.documents
from pairs p
join products a on a.product_key = p.product_key
join products b on b.product_key = p.other_key
cross join whole w
where p.documents * 5 >= a.documents and p.documents * w.documents >= a.documents * b.documents;

-- @mart stage_flow month, pipeline_code, stage_code, employee_id, lead_source, entered, deals, here, left_stage, went_on, went_back, lost
with steps as (
    select v.*, s.position, s.outcome, lead(v.stage_code) over deal as next_code, lead(v.said_from) over deal as left_at, lag(v.stage_code) over deal as before_code,
           case when row_number() over deal = 1 and abs(date_diff('second', v.created_at, v.said_from)) <= 86400 then v.created_at else v.said_from end as entered_at
    from deal_version v
    left join stage s on s.pipeline_code = v.pipeline_code and s.stage_code = v.stage_code
    window deal as (partition by v.deal_id order by v.said_from)
), moved as (
    select p.*, case when p.left_at is null then null when n.outcome in ('won', 'lost') then n.outcome when n.position > p.position then 'on' else 'back' end as moved
    from steps p left join stage n on n.pipeline_code = p.pipeline_code and n.stage_code = p.next_code
)
select date_trunc('month', entered_at at time zone 'Europe/Moscow')::date as month, v.pipeline_code, v.stage_code, v.employee_id, l.name,
       count(*), count(distinct deal_id), count(*) filter (left_at is null), count(left_at), count(*) filter (moved in ('on', 'won')),
       count(*) filter (moved = 'back'), count(*) filter (moved = 'lost')
from moved v left join lead_source l using (lead_source_id)
where v.outcome = 'open'
group by 1, 2, 3, 4, 5;

-- @mart paid_by_month month, currency, payments, paid
select date_trunc('month', paid_on)::date as month, currency, count(*), sum(case kind when 'refund' then -amount else amount end)
from payment join money using (currency_key) where is_posted group by month, currency;
