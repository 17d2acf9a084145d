-- Which product of accounting each product of the CRM is: found by article or name, or to be created.
-- Articles and names compare without regard to case, as people write them. What we created for a product
-- stays its own, whatever either side calls it by now.
--
-- @owner accountants
-- @scope product_id
create table documents.product (
    product_id  text not null primary key, -- core.product
    product_key text,                      -- core.accounting_product; null while ambiguous or not to be created
    origin      text not null,             -- found, created (by us, or to be), ambiguous, missing
    matches     integer not null,          -- how many records of accounting fit
    name        text,                      -- name in the CRM
    code        text,                      -- article
    unit        text,                      -- unit of measure as the source writes it
    unit_code   text,                      -- OKEI code
    unit_key    text,                      -- core.accounting_unit
    is_service  boolean not null           -- rendered, not shipped
);

-- @changed core.product
select key from change
;

-- @changed core.accounting_product
select d.product_id as key from documents.product d join change on d.product_key = change.key
union
select o.subject from change
join ops.operation o on o.key = substr(change.key, strpos(change.key, ':') + 1) and o.kind = 'product'
;

-- @changed ops.operation
select o.subject as key from change
join ops.operation o on o.key = substr(change.key, strpos(change.key, ':') + 1) and o.kind = 'product'
;

-- @changed core.accounting_product.name
select p.product_id as key from core.product p join change on lower(p.name) = lower(change.key)
;

-- @changed core.accounting_product.code
select p.product_id as key from core.product p join change on lower(p.code) = lower(change.key)
;

-- @changed ops.setting ops.unit_rule core.accounting_unit

-- @all
select product_id as key from core.product
;

-- @rows
with ours as (
    select p.*, s.value #>> '{}' as system,
           s.value #>> '{}' || ':' || ops.key_of(s.value #>> '{}', 'product', p.source || ':' || lower(coalesce(p.code, p.name))) as own_key,
           coalesce((select (c.value)::boolean from ops.setting c
                      where c.system = p.source and c.name = 'create_products'), true) as may_create,
           coalesce((select c.value ? 'code' from ops.setting c
                      where c.system = p.source and c.name = 'match_products_by'), true) as matches_code,
           coalesce((select c.value ? 'name' from ops.setting c
                      where c.system = p.source and c.name = 'match_products_by'), true) as matches_name,
           coalesce(u.code, (select d.value #>> '{}' from ops.setting d
                              where d.system = s.value #>> '{}' and d.name = 'default_unit')) as unit_code
    from core.product p
    join scope on scope.key = p.product_id
    join ops.setting s on s.name = 'accounting_system'
    left join ops.unit_rule u on u.system = s.value #>> '{}' and u.name = lower(btrim(p.unit))
), fits as (
    select o.product_id, l.product_key, l.is_service, true as by_code
    from ours o
    join core.accounting_product l on lower(l.code) = lower(o.code) and not l.is_deleted and not l.is_folder
    where o.matches_code
    union
    select o.product_id, l.product_key, l.is_service, false
    from ours o
    join core.accounting_product l on lower(l.name) = lower(o.name) and not l.is_deleted and not l.is_folder
    where o.matches_name
), best as (
    select product_id,
           count(distinct product_key) filter (where by_code) as by_code,
           count(distinct product_key) as by_any,
           min(product_key) filter (where by_code) as code_key,
           min(product_key) as any_key,
           bool_or(is_service) as is_service
    from fits
    group by product_id
), made as (
    -- what we created for this very product, when its article or name in the CRM was another one
    select distinct on (o.product_id) o.product_id, l.product_key, l.is_service
    from ours o
    join ops.operation c
      on c.subject = o.product_id and c.kind = 'product' and c.action = 'create' and c.state = 'verified' and c.target = o.system
    join core.accounting_product l on l.product_key = c.target || ':' || c.key and not l.is_deleted
    order by o.product_id, c.planned_at desc, c.operation_id
), decided as (
    select o.*, made.product_key as made_key, made.is_service as made_service, own.product_key is not null as exists_already,
           case when b.by_code > 0 then b.by_code else coalesce(b.by_any, 0) end as found,
           case when b.by_code = 1 then b.code_key when coalesce(b.by_code, 0) = 0 and b.by_any = 1 then b.any_key end as found_key,
           b.is_service as found_service
    from ours o
    left join core.accounting_product own on own.product_key = o.own_key and not own.is_deleted
    left join best b on b.product_id = o.product_id
    left join made on made.product_id = o.product_id
)
select
    product_id,
    case when exists_already then own_key
         when coalesce(found_key, made_key) is not null then coalesce(found_key, made_key)
         when found = 0 and may_create then own_key end as product_key,
    case when exists_already then 'created'
         when found_key is not null then 'found'
         when made_key is not null or (found = 0 and may_create) then 'created'
         when found > 1 then 'ambiguous'
         else 'missing' end as origin,
    found::integer as matches,
    name,
    code,
    unit,
    unit_code,
    (select min(k.unit_key) from core.accounting_unit k where k.code = decided.unit_code and not k.is_deleted) as unit_key,
    coalesce(is_service, found_service, made_service, false) as is_service
from decided
