-- Lines that every document of a deal carries, in accounting's terms.
--
-- @owner accountants
-- @scope deal_id
-- @money amount
create table documents.document_line (
    line_id         text not null primary key, -- core.deal_line
    deal_id         text not null,             -- core.deal
    position        integer not null,          -- 1, 2, 3 within goods and within services
    product_name    text,                      -- as written on the line
    product_id      text,                      -- core.product, after aliases; null where none fits
    product_key     text,                      -- core.accounting_product
    product_origin  text,                      -- found, created, ambiguous, missing
    product_matches integer not null,          -- how many records of accounting fit
    is_service      boolean not null,          -- rendered, not shipped
    unit            text,                      -- unit of measure as the source writes it
    unit_key        text,                      -- core.accounting_unit
    quantity        numeric(18,4),             -- in `unit`
    price           numeric(18,4),             -- a unit, with discount and VAT
    amount          numeric(18,2),             -- with discount and VAT
    vat_rate        numeric(5,2),              -- percent; null means without VAT
    vat             text,                      -- VAT rate as accounting names it; null where no rule fits
    vat_amount      numeric(18,2),             -- VAT in `amount`, rounded half up to the kopeck
    quantity_before numeric(18,4),             -- of a correction: what the document said before
    price_before    numeric(18,4),             -- likewise
    amount_before   numeric(18,2),             -- likewise
    vat_before      numeric(18,2),             -- VAT in `amount_before`
    problems        text                       -- what could not be read from the CRM, in sentences
);

create index document_line_deal on documents.document_line (deal_id);
create index document_line_product on documents.document_line (product_id);
create index document_line_unknown on documents.document_line (deal_id) where product_id is null;
create index document_line_name on documents.document_line (lower(btrim(product_name)));

-- @changed documents.deal
select key from change
;

-- @changed core.deal_line
select key from change
;

-- @changed core.product
select l.deal_id as key from documents.document_line l join change on l.product_id = change.key
union
select l.deal_id from documents.document_line l where l.product_id is null
union
-- A linked product that was deleted may be back.
select l.deal_id from core.deal_line l join change on l.product_id = change.key
union
-- A name may mean another product now that there is one more of it.
select l.deal_id
from change
join core.product p on p.product_id = change.key
join documents.document_line l on lower(btrim(l.product_name)) = lower(btrim(p.name))
union
select l.deal_id
from change
join core.product p on p.product_id = change.key
join ops.product_alias a on lower(btrim(a.is_name)) = lower(btrim(p.name))
join documents.document_line l on lower(btrim(l.product_name)) = a.name_key
;

-- @changed documents.product
select l.deal_id as key from documents.document_line l join change on l.product_id = change.key
;

-- @changed ops.product_alias ops.vat_rule ops.unit_rule ops.setting

-- @all
select deal_id as key from documents.deal
;

-- @rows
with target as (
    select value #>> '{}' as system from ops.setting where name = 'accounting_system'
), lines as (
    select l.*, d.document_date,
           coalesce(a.is_name, l.product_name) as meant_name
    from core.deal_line l
    join scope on scope.key = l.deal_id
    join documents.deal d on d.deal_id = l.deal_id
    left join ops.product_alias a
      on a.system = l.source and a.name_key = lower(btrim(l.product_name))
     and (a.valid_from is null or a.valid_from <= d.document_date)
     and (a.valid_to is null or a.valid_to >= d.document_date)
    where not l.is_deleted
), named as (
    select p.source, lower(btrim(p.name)) as name_key, min(p.product_id) as product_id
    from core.product p
    where not p.is_deleted
      and lower(btrim(p.name)) in (select lower(btrim(meant_name)) from lines)
    group by p.source, lower(btrim(p.name))
), anywhere as (
    -- Spreadsheets have no catalogue of their own: a name of theirs is one of the other systems' products,
    -- if it is so in one of them only.
    select name_key, min(product_id) as product_id from named group by name_key having count(*) = 1
), resolved as (
    select l.*, coalesce(linked.product_id, n.product_id, other.product_id) as resolved_id
    from lines l
    left join core.product linked on linked.product_id = l.product_id and not linked.is_deleted
    left join named n on n.source = l.source and n.name_key = lower(btrim(l.meant_name))
    left join anywhere other on other.name_key = lower(btrim(l.meant_name))
)
select
    l.line_id,
    l.deal_id,
    row_number() over (
        partition by l.deal_id, coalesce(p.is_service, false) order by l.position nulls last, l.line_id)::integer as position,
    l.product_name,
    l.resolved_id as product_id,
    p.product_key,
    p.origin as product_origin,
    coalesce(p.matches, 0) as product_matches,
    coalesce(p.is_service, false) as is_service,
    coalesce(l.unit, p.unit) as unit,
    p.unit_key,
    l.quantity,
    l.price,
    l.amount,
    l.vat_rate,
    vat.value as vat,
    coalesce(round(l.amount * l.vat_rate / (100 + l.vat_rate), 2), 0) as vat_amount,
    null::numeric as quantity_before,
    null::numeric as price_before,
    null::numeric as amount_before,
    null::numeric as vat_before,
    nullif(array_to_string(l.problems, '; '), '') as problems
from resolved l
cross join target
left join documents.product p on p.product_id = l.resolved_id
left join ops.vat_rule vat
  on vat.system = target.system and vat.rate is not distinct from l.vat_rate
 and (vat.valid_from is null or vat.valid_from <= l.document_date)
 and (vat.valid_to is null or vat.valid_to >= l.document_date)
