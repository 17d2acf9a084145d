-- Complexes of property: how many objects are free, reserved and sold, and the average price of a square metre:
-- the sum of prices / the sum of areas, of the objects that have both.
-- As far as it was known at `known_at`; infinity: as it is known.
--
-- @owner sales-ops
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @column complex text -- complex or building; null: the source names none
-- @column currency text -- ISO 4217
-- @column objects bigint -- all of them
-- @column free bigint -- neither contract nor deal
-- @column reserved bigint -- a contract or a deal, nothing paid
-- @column sold bigint -- something paid
-- @column area numeric -- square metres of all
-- @column area_sold numeric -- of the sold ones
-- @column value_left numeric -- price of the free and the reserved ones
-- @column price_per_metre numeric -- average of all; null: no object has price and area
-- @column price_per_metre_free numeric -- average of the free ones
-- @column price_per_metre_sold numeric -- average of the sold ones
-- @column sold_share numeric -- sold / objects
-- @changed marts.property_object_as_of
-- @rows
with objects as (
    select o.*, case when price_per_metre is not null then price end as told_price, case when price_per_metre is not null then area end as told_area
    from marts.property_object_as_of(as_of, known_at) o
)
select
    complex,
    currency,
    count(*) as objects,
    count(*) filter (where state = 'free') as free,
    count(*) filter (where state = 'reserved') as reserved,
    count(*) filter (where state = 'sold') as sold,
    coalesce(sum(area), 0) as area,
    coalesce(sum(area) filter (where state = 'sold'), 0) as area_sold,
    coalesce(sum(price) filter (where state <> 'sold'), 0) as value_left,
    round(sum(told_price) / nullif(sum(told_area), 0), 2) as price_per_metre,
    round(sum(told_price) filter (where state = 'free') / nullif(sum(told_area) filter (where state = 'free'), 0), 2) as price_per_metre_free,
    round(sum(told_price) filter (where state = 'sold') / nullif(sum(told_area) filter (where state = 'sold'), 0), 2) as price_per_metre_sold,
    round(count(*) filter (where state = 'sold')::numeric / count(*), 4) as sold_share
from objects
group by complex, currency
