-- Objects of property, and whether they are free, reserved or sold on a date, by accounting's payments and not by what a sheet says.
-- sold: something was paid by the object's contract, else for its deal, and not given back; reserved: it has a contract, or a
-- deal that is not lost; free: neither. What was paid by a contract stands beside each of its objects: do not add it up.
-- As far as it was known at `known_at`; infinity: as it is known.
--
-- @owner sales-ops
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @column object_id text -- core.property_object
-- @column complex text -- complex or building
-- @column number text -- number within it
-- @column area numeric -- square metres
-- @column price numeric -- of the object
-- @column currency text -- ISO 4217
-- @column price_per_metre numeric -- price / area; null: either is not known, or an area of 0
-- @column state text -- free, reserved or sold
-- @column sold_on date -- day of the first payment; null: it is not sold
-- @column paid numeric -- paid up to as_of in the object's currency
-- @column contract_number text -- as the source has it
-- @column deal_id text -- core.deal
-- @column client text -- client of the deal
-- @column manager text -- responsible manager of the deal
-- @column reason text -- not in accounting: a contract is named, and neither it nor a deal was found
-- @changed core.property_object marts.agreement_as_known marts.agreement_payment_as_known marts.deal_as_known
-- @rows
with objects as (
    select o.*, case when o.contract_number is not null then 'contract ' || o.contract_number || coalesce(' ' || o.tax_number, '')
                     else 'deal ' || coalesce(o.deal_id, o.deal_number) end as agreement_key
    from core.property_object_as_known(known_at) o
    where not o.is_deleted
), paid as (
    select agreement_key, currency, sum(amount) as paid, min(paid_on) filter (where amount > 0) as first_on
    from marts.agreement_payment_as_known(known_at)
    where paid_on <= as_of
    group by agreement_key, currency
), sold as (
    select agreement_key, min(first_on) as first_on from paid where paid > 0 group by agreement_key
)
select
    o.object_id,
    o.complex,
    o.number,
    o.area,
    o.price,
    o.currency,
    round(o.price / nullif(o.area, 0), 2) as price_per_metre,
    case when s.agreement_key is not null then 'sold'
         when o.contract_number is not null then 'reserved'
         when d.deal_id is not null and not d.is_deleted and d.outcome is distinct from 'lost'
              and (d.created_on is null or d.created_on <= as_of) then 'reserved'
         else 'free' end as state,
    s.first_on as sold_on,
    coalesce(p.paid, 0) as paid,
    o.contract_number,
    a.deal_id,
    d.client,
    d.manager,
    case when o.contract_number is not null and a.basis is null then 'not in accounting' end as reason
from objects o
left join marts.agreement_as_known(known_at) a on a.agreement_key = o.agreement_key
left join sold s on s.agreement_key = o.agreement_key
left join paid p on p.agreement_key = o.agreement_key and p.currency = o.currency
left join marts.deal_as_known(known_at) d on d.deal_id = a.deal_id
