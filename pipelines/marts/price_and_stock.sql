-- What a seller asks of a product: its price in the CRM against that in accounting, since when they drift apart, how much there
-- is of it and how much may be sold. One row a product of the CRM, price list and price type that it is compared with.
-- Prices are those of the day on which accounting's were read last, stock is that of now: the same on every row of a product,
-- so do not add it up over lists. Which list is compared with which type: ledger.price_drift.
--
-- @owner sales-ops
-- @view
-- @column product_id text -- core.product, not deleted
-- @column source text -- connected CRM
-- @column code text -- article in the CRM
-- @column product text -- name in the CRM
-- @column is_active boolean -- may be sold
-- @column is_service boolean -- rendered, not shipped; null: nobody says
-- @column product_key text -- core.accounting_product; null: accounting has it not, or it is not known which one it is
-- @column price_list text -- of the CRM; null: the product's own price
-- @column crm_price numeric(18,4) -- of one unit; null: the CRM names none
-- @column currency text -- ISO 4217: of all prices of the row
-- @column price_type text -- of accounting; null: nothing is compared
-- @column accounting_price numeric(18,4) -- of one unit as accounting states it; null: none holds in this currency
-- @column compared_price numeric(18,4) -- the same with VAT, where the mapping file says that it lacks it
-- @column difference numeric(18,4) -- crm_price less compared_price; where VAT was added a kopeck is no drift; null: one of them is missing
-- @column price_state text -- same, drift, no accounting price, no crm price, not compared, not in accounting
-- @column drift_since date -- first day on which they differed; null: no drift, or as long as prices are known
-- @column drift_changed text -- what changed on that day: crm, accounting or both; null: no drift
-- @column on_hand numeric(18,4) -- in all warehouses, in the product's unit; below 0 where more went out than came in; null: accounting lists none
-- @column reserved numeric(18,4) -- of it kept for orders; null: accounting does not say
-- @column available numeric(18,4) -- on_hand less reserved, less nothing where that is not said; null: accounting lists none
-- @column places bigint -- warehouses where accounting lists the product
-- @column stock_state text -- in stock, all reserved, nothing left, below zero, not listed, service, not in accounting
-- @changed ops.setting ops.cursor ops.currency_rule core.product core.price documents.product core.accounting_product
-- @changed core.accounting_price core.accounting_currency ledger.price_drift ledger.stock
-- @rows
with books as (
    select n.value #>> '{}' as system, coalesce(z.value #>> '{}', 'UTC') as zone
    from ops.setting n
    left join ops.setting z on z.system = n.value #>> '{}' and z.name = 'timezone'
    where n.name = 'accounting_system'
), today as (
    select coalesce(max((c.read_until at time zone b.zone)::date), 'infinity') as day
    from books b
    join ops.setting e on e.system = b.system and e.name = 'price_entities'
    join ops.cursor c on c.source = b.system and e.value ? c.entity
), letters as (
    -- several spellings of a currency's letters may share one code of accounting: the first stands for all
    select k.code, array_agg(k.currency_key) as currency_keys
    from (select l.currency_key, min(r.code) as code
          from books b
          join ops.currency_rule r on r.system = b.system
          join core.accounting_currency l on l.source = b.system and l.code = r.value
          group by l.currency_key) k
    group by k.code
), products as not materialized (
    select p.product_id, p.source, p.code, p.name, p.is_active, p.price, p.currency, p.vat_rate,
           a.product_key, a.unit_key, coalesce(a.is_service, p.is_service) as is_service
    from core.product p
    left join documents.product d on d.product_id = p.product_id
    left join core.accounting_product a on a.product_key = d.product_key and not a.is_deleted
    where not p.is_deleted
), listed as (
    select p.product_id, l.price_list, l.price, l.currency,
           row_number() over (partition by p.product_id, l.price_list order by
               (l.price, l.currency) is not distinct from (p.price, p.currency) desc, length(l.source_id), l.source_id) as in_list,
           row_number() over (partition by p.product_id order by
               (l.price, l.currency) is not distinct from (p.price, p.currency) desc, length(l.source_id), l.source_id) as in_all
    from products p
    join core.price l on l.product_id = p.product_id and not l.is_deleted and l.price is not null
    union all
    select p.product_id, null, p.price, p.currency, 1, 1
    from products p
    where not exists (select from core.price l where l.product_id = p.product_id and not l.is_deleted and l.price is not null)
), pairs as (
    -- without a word in the mapping file the base list is compared with the base type
    select p.source, x.list, x.type, coalesce(x.adds_vat, false) as adds_vat
    from (select distinct source from core.product) p
    left join ops.setting w on w.system = p.source and w.name = 'price_types' and jsonb_array_length(w.value) > 0
    cross join lateral jsonb_to_recordset(coalesce(w.value, '[{}]'::jsonb)) as x(list text, type text, adds_vat boolean)
), compared as (
    select l.product_id, l.price_list, l.price, l.currency, coalesce(t.price_type, x.type) as price_type, x.source is not null as is_paired, coalesce(x.adds_vat, false) as adds_vat,
           h.price as accounting_price,
           case when x.adds_vat then round(h.price * (1 + p.vat_rate / 100), 2) else h.price end as compared_price
    from listed l
    join products p on p.product_id = l.product_id
    left join pairs x on x.source = p.source
        and (x.list is null and l.in_all = 1 or x.list = l.price_list and l.in_list = 1)
    left join letters k on k.code = l.currency
    left join lateral (
        -- the type that is named, else of those that the product has prices of the base one;
        -- prices of another unit or of a variety of it are not the product's
        select s.price_type from core.accounting_price s
        where x.source is not null and s.product_key = p.product_key and s.currency_key = any(k.currency_keys) and not s.is_deleted
          and s.characteristic_key is null and coalesce(s.unit_key, p.unit_key) is not distinct from p.unit_key
          and s.price_type = coalesce(x.type, s.price_type)
        order by s.price_type ~* '(баз|основн|base|standard)' desc, s.price_type ~* '(розн|retail)' desc, s.price_type limit 1) t on true
    left join lateral (
        -- its price that holds on the day
        select case when not s.is_withdrawn then s.price end as price
        from core.accounting_price s
        where t.price_type is not null and s.product_key = p.product_key and s.currency_key = any(k.currency_keys) and not s.is_deleted
          and s.characteristic_key is null and coalesce(s.unit_key, p.unit_key) is not distinct from p.unit_key
          and s.price_type = t.price_type
          and coalesce(s.valid_from, '-infinity') <= (select day from today)
          and coalesce(s.valid_to, 'infinity') >= (select day from today)
        order by s.valid_from desc nulls last, s.price_key limit 1) h on true
)
select
    p.product_id,
    p.source,
    p.code,
    p.name as product,
    p.is_active,
    p.is_service,
    p.product_key,
    c.price_list,
    c.price as crm_price,
    c.currency,
    c.price_type,
    c.accounting_price,
    c.compared_price,
    c.price - c.compared_price as difference,
    case when p.product_key is null then 'not in accounting'
         when c.price is null then 'no crm price'
         when not c.is_paired then 'not compared'
         when c.compared_price is null then 'no accounting price'
         when abs(c.price - c.compared_price) > case when c.adds_vat then 0.01 else 0 end then 'drift'
         else 'same' end as price_state,
    d.since as drift_since,
    d.changed as drift_changed,
    h.on_hand,
    h.reserved,
    h.on_hand - coalesce(h.reserved, 0) as available,
    h.places,
    case when p.product_key is null then 'not in accounting'
         when h.on_hand is null and p.is_service then 'service'
         when h.on_hand is null then 'not listed'
         when h.on_hand < 0 then 'below zero'
         when h.on_hand = 0 then 'nothing left'
         when h.on_hand <= coalesce(h.reserved, 0) then 'all reserved'
         else 'in stock' end as stock_state
from compared c
join products p on p.product_id = c.product_id
left join ledger.price_drift d
  on d.product_id = c.product_id and d.price_list is not distinct from c.price_list and d.price_type = c.price_type
cross join lateral (
    select sum(s.quantity) as on_hand, sum(s.reserved) as reserved, count(distinct s.warehouse_key) as places
    from ledger.stock s
    where s.product_key = p.product_key and not s.is_deleted) h
