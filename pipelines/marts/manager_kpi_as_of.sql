-- What each manager closed, month by month, and what became of the money, as of a date.
-- A deal closed after `as_of` is open on it; documents and payments after it are not counted. Deals stand as the CRM
-- showed them (manager, amount) when we knew of them what counts: at `known_at`; infinity: now. Money is accounting's, each
-- deal's under the month in which it was closed. Activities (calls, letters, meetings) stand under the month in which they were.
--
-- @owner sales-ops
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @column employee_id text -- core.employee; null: the deals name no manager
-- @column manager text -- name of the manager
-- @column month date -- first day of the month in which the deals were closed; null: open on `as_of`, or closed on a day that the CRM does not give
-- @column currency text -- ISO 4217: of the deals, and of the documents; null: activities alone, or deals without one
-- @column deals_won bigint -- won up to `as_of`
-- @column deals_lost bigint -- lost up to `as_of`
-- @column deals_open bigint -- created up to `as_of` and not closed by then
-- @column won_amount numeric -- header sums of won deals, with VAT
-- @column average_deal numeric -- won_amount / deals_won, to the kopeck
-- @column conversion numeric -- deals_won / (deals_won + deals_lost), 0..1; null where none was closed
-- @column average_days_to_close numeric -- won deals: days from created to closed, mean
-- @column invoiced numeric -- asked for in accounting for these deals up to `as_of`
-- @column paid numeric -- allocated to that up to `as_of`, overpayments included
-- @column debt numeric -- not paid of it, overpaid documents not netted
-- @column overdue numeric -- debt whose day has passed on `as_of`
-- @column activities bigint -- calls, letters and meetings of the manager in the month up to `as_of`, whatever the currency: the same in each of the month's rows; null: their CRM tells of none, or no month
-- @changed marts.deal_as_known marts.obligation_as_of marts.manager_activity_as_known marts.activity_source core.employee
-- @rows
with deals as (
    select deal_id, employee_id, manager, currency, amount, is_deleted,
           case when closed_on > as_of then 'open' else coalesce(outcome, 'open') end as outcome,
           case when closed_on <= as_of then date_trunc('month', closed_on)::date end as month,
           days_to_close
    from marts.deal_as_known(known_at)
    where created_on is null or created_on <= as_of
), facts as (
    select employee_id, manager, month, currency,
           (outcome = 'won')::integer as won, (outcome = 'lost')::integer as lost, (outcome = 'open')::integer as open,
           case when outcome = 'won' then coalesce(amount, 0) else 0 end as won_amount,
           case when outcome = 'won' then days_to_close end as days_to_close,
           0::numeric as invoiced, 0::numeric as paid, 0::numeric as debt, 0::numeric as overdue
    from deals
    where not is_deleted
    union all
    -- a deal deleted in the CRM counts no more, but what is owed for it is still owed;
    -- a document older than its deal's record keeps its manager and counts as of an open deal
    select o.employee_id, o.manager, d.month, o.currency, 0, 0, 0, 0, null,
           o.amount, o.paid, o.debt, case when o.days_overdue > 0 then o.debt else 0 end
    from marts.obligation_as_of(as_of, known_at) o
    left join deals d on d.deal_id = o.deal_id
    where o.deal_id is not null
), counted as (
    select
        employee_id,
        manager,
        month,
        currency,
        sum(won) as deals_won,
        sum(lost) as deals_lost,
        sum(open) as deals_open,
        sum(won_amount) as won_amount,
        round(sum(won_amount) / nullif(sum(won), 0), 2) as average_deal,
        round(sum(won)::numeric / nullif(sum(won) + sum(lost), 0), 4) as conversion,
        round(avg(days_to_close), 1) as average_days_to_close,
        sum(invoiced) as invoiced,
        sum(paid) as paid,
        sum(debt) as debt,
        sum(overdue) as overdue
    from facts
    group by employee_id, manager, month, currency
), told as (
    -- of whose CRM it is known how many activities there were
    select e.employee_id from core.employee_as_known(known_at) e
    join marts.activity_source t on t.source = e.source and t.told_from <= known_at
), done as (
    select v.employee_id, v.manager, date_trunc('month', v.happened_on)::date as month, sum(v.activities)::bigint as activities
    from marts.manager_activity_as_known(known_at) v
    join told t on t.employee_id = v.employee_id
    where v.happened_on <= as_of
    group by v.employee_id, v.manager, date_trunc('month', v.happened_on)::date
)
select c.*, case when c.month is not null and t.employee_id is not null then coalesce(d.activities, 0) end as activities
from counted c
left join told t on t.employee_id = c.employee_id
left join done d on d.employee_id = c.employee_id and d.month = c.month
union all
-- a month in which the manager called and wrote, and closed nothing
select d.employee_id, d.manager, d.month, null, 0, 0, 0, 0, null, null, null, 0, 0, 0, 0, d.activities
from done d
where not exists (select from counted c where c.employee_id = d.employee_id and c.month = d.month)
