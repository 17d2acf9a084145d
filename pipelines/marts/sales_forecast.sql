-- What buyers are expected to pay, month by month, by several methods side by side, with how wrong each was before, and what
-- came of it. Worked out every night by pipelines/forecast.py; what was foretold in earlier months stays.
-- `theta` and the two naive methods go by the payments of complete months; `pipeline` adds up marts.open_pipeline, so deals that
-- are open today alone, and has no errors to show.
--
-- @owner sales-ops
-- @view
-- @column foretold_in date -- first day of the month in which it was foretold
-- @column currency text -- ISO 4217 letters
-- @column method text -- theta, seasonal_naive (the same month a year before), naive (the last complete month), pipeline
-- @column month date -- first day of the month that is foretold
-- @column horizon integer -- 1: the month in which it was foretold
-- @column amount numeric(18,2) -- expected; null: see `reason`
-- @column reason text -- why there is no amount, or no error measure, or an amount of 0; null: there is an amount, with its measure
-- @column reason_ru text -- the same in Russian
-- @column history_months integer -- complete months that it was made from
-- @column origins integer -- past months from which the method was tried at this horizon
-- @column mean_error numeric(18,2) -- mean of what came less what was foretold: below 0 it promises too much
-- @column mean_absolute_error numeric(18,2) -- mean of its size
-- @column share_of_actual numeric(18,4) -- sum of the sizes of errors / sum of what came; null where nothing came
-- @column naive_absolute_error numeric(18,2) -- mean size of the errors of `naive` from the same past months
-- @column skill numeric(18,4) -- 1 - mean_absolute_error / naive_absolute_error: above 0 it helps, at 0 or below the last month does as well; null where naive was never wrong
-- @column actual numeric(18,2) -- what was paid by now; of a month that is not over, so far
-- @column is_latest boolean -- no later forecast was made
-- @changed ops.sales_forecast marts.paid_by_month
-- @rows
select
    f.foretold_in,
    f.currency,
    f.method,
    f.month,
    f.horizon,
    f.amount,
    f.reason,
    f.reason_ru,
    f.history_months,
    f.origins,
    f.mean_error,
    f.mean_absolute_error,
    f.share_of_actual,
    f.naive_absolute_error,
    f.skill,
    p.paid as actual,
    f.foretold_in = max(f.foretold_in) over () as is_latest
from ops.sales_forecast f
left join marts.paid_by_month p on p.month = f.month and p.currency = f.currency
