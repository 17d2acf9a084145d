-- The thresholds by which the marts of clients and debts look: one row, what the mapping file of accounting says under
-- `buyers`, and what holds where it says nothing.
--
-- @owner sales-ops
-- @view
-- @column own_currency text -- accounting's own, ISO 4217
-- @column class_months integer -- client_abc_xyz: a period is so many months
-- @column class_least_months integer -- client_abc_xyz: XYZ needs so many of them
-- @column a_up_to numeric(9,4) -- client_abc_xyz: share of the revenue at which A ends
-- @column b_up_to numeric(9,4) -- client_abc_xyz: share of the revenue at which B ends
-- @column x_up_to numeric(9,4) -- client_abc_xyz: variation up to which a client is X
-- @column y_up_to numeric(9,4) -- client_abc_xyz: variation up to which it is Y
-- @column growth_from numeric(9,4) -- client_abc_xyz: growth from which a client grows fast
-- @column share_from numeric(9,4) -- client_abc_xyz: share of the revenue from which it counts much; null: 1 / number of clients
-- @column sales_days integer -- debt_turnover: sales of so many days
-- @column call_before integer -- call_today: a buyer is called so many days before the day
-- @column months_ahead integer -- client_value: margin is expected for so many months
-- @column rfm_days integer -- client_rfm: sales of so many days
-- @column silence_share numeric(9,4) -- client_churn: share of the client's own intervals that are shorter than the usual one
-- @column silence_intervals integer -- client_churn: so many intervals are needed
-- @column gone_times numeric(9,4) -- client_churn: so many times the usual interval means that it is gone
-- @changed ops.setting
-- @rows
with said as (
    select n.value #>> '{}' as system,
           coalesce((select s.value from ops.setting s where s.system = n.value #>> '{}' and s.name = 'buyers_classes'),
                    '{}'::jsonb) as classes,
           coalesce((select s.value from ops.setting s where s.system = n.value #>> '{}' and s.name = 'buyers_debts'),
                    '{}'::jsonb) as debts,
           coalesce((select s.value from ops.setting s where s.system = n.value #>> '{}' and s.name = 'buyers_value'),
                    '{}'::jsonb) as worth,
           coalesce((select s.value from ops.setting s where s.system = n.value #>> '{}' and s.name = 'buyers_silence'),
                    '{}'::jsonb) as silence
    from ops.setting n
    where n.name = 'accounting_system'
)
select
    (select s.value #>> '{}' from ops.setting s where s.system = d.system and s.name = 'currency') as own_currency,
    coalesce((d.classes ->> 'months')::integer, 12) as class_months,
    coalesce((d.classes ->> 'least_months')::integer, 3) as class_least_months,
    coalesce((d.classes ->> 'a_up_to')::numeric, 0.8) as a_up_to,
    coalesce((d.classes ->> 'b_up_to')::numeric, 0.95) as b_up_to,
    coalesce((d.classes ->> 'x_up_to')::numeric, 0.1) as x_up_to,
    coalesce((d.classes ->> 'y_up_to')::numeric, 0.25) as y_up_to,
    coalesce((d.classes ->> 'growth_from')::numeric, 0.1) as growth_from,
    (d.classes ->> 'share_from')::numeric as share_from,
    coalesce((d.debts ->> 'sales_days')::integer, 90) as sales_days,
    coalesce((d.debts ->> 'call_before')::integer, 3) as call_before,
    coalesce((d.worth ->> 'months_ahead')::integer, 12) as months_ahead,
    coalesce((d.worth ->> 'rfm_days')::integer, 365) as rfm_days,
    coalesce((d.silence ->> 'share')::numeric, 0.9) as silence_share,
    coalesce((d.silence ->> 'intervals')::integer, 3) as silence_intervals,
    coalesce((d.silence ->> 'gone_times')::numeric, 3) as gone_times
from said d
