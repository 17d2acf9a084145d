-- For how many days of sales each debt stands: days_sales_outstanding = debt / sales * days, of all, of each manager and of
-- each client. Sales are posted realizations with VAT, less what was taken back, of the last `sales_days` days (90); the debt
-- is that of the day itself. Without sales above 0 there is no such number: it is null, and `reason` says so.
-- Do not add the levels up: each tells all of the debt.
--
-- @owner accountants
-- @arguments as_of date
-- @planned by hash
-- @column level text -- all, manager or client
-- @column subject_key text -- core.employee or marts.buyer; null: all, or what has no manager or names nobody
-- @column subject text -- name of the manager or client
-- @column currency text -- ISO 4217 letters
-- @column debt numeric -- owed on as_of, overpaid documents not netted
-- @column overdue numeric -- of that, what is overdue
-- @column overdue_share numeric -- overdue / debt; null: no debt
-- @column sales numeric -- with VAT, of the last `days`
-- @column days integer -- length of the period of sales
-- @column days_sales_outstanding numeric -- debt / sales * days; null: see reason
-- @column reason text -- no sales: nothing was sold in the period, or more came back
-- @changed marts.receivables_by_client_as_of marts.sale_profit marts.buyer marts.buyer_rule core.deal core.employee
-- @rows
with facts as (
    select buyer_key, employee_id, currency, debt, overdue, 0::numeric as sales
    from marts.receivables_by_client_as_of(as_of)
    union all
    select s.buyer_key, d.employee_id, s.currency, 0, 0, s.gross
    from marts.sale_profit s
    cross join marts.buyer_rule r
    left join core.deal d on d.deal_id = s.deal_id
    where s.document_date > as_of - r.sales_days and s.document_date <= as_of
), sums as (
    select l.level, l.subject_key, f.currency, sum(f.debt) as debt, sum(f.overdue) as overdue, sum(f.sales) as sales
    from facts f
    cross join lateral (values ('all', null), ('manager', f.employee_id), ('client', f.buyer_key)) as l(level, subject_key)
    group by l.level, l.subject_key, f.currency
)
select
    s.level,
    s.subject_key,
    coalesce(e.full_name, b.buyer) as subject,
    s.currency,
    s.debt,
    s.overdue,
    round(s.overdue / nullif(s.debt, 0), 4) as overdue_share,
    s.sales,
    r.sales_days as days,
    case when s.sales > 0 then round(s.debt / s.sales * r.sales_days, 1) end as days_sales_outstanding,
    case when s.sales <= 0 then 'no sales' end as reason
from sums s
cross join marts.buyer_rule r
left join core.employee e on s.level = 'manager' and e.employee_id = s.subject_key
left join marts.buyer b on s.level = 'client' and b.buyer_key = s.subject_key
