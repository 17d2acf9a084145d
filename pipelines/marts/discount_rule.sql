-- The tiers of discounts by turnover, as the mapping file of accounting says under `goods.discount`.
--
-- @owner sales-ops
-- @view
-- @column currency text -- ISO 4217: of the turnover; accounting's own where the file names none
-- @column turnover numeric(18,2) -- with VAT, from which the tier begins
-- @column percent numeric(5,2) -- discount
-- @changed ops.setting marts.goods_rule
-- @rows
select
    coalesce(t.value ->> 'currency', r.own_currency) as currency,
    (t.value ->> 'turnover')::numeric as turnover,
    (t.value ->> 'percent')::numeric as percent
from marts.goods_rule r
join ops.setting n on n.name = 'accounting_system'
join ops.setting s on s.system = n.value #>> '{}' and s.name = 'goods_discount'
cross join lateral jsonb_array_elements(coalesce(s.value -> 'tiers', '[]'::jsonb)) as t(value)
