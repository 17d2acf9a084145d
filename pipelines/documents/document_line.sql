-- Lines that every document of a deal carries, in accounting's terms: docs/money.md says how their sums are made.
--
-- @owner accountants
-- @scope deal_id
-- @money amount
create table documents.document_line (
    line_id          text not null primary key, -- core.deal_line; with /rest what a split line has of the second price
    deal_id          text not null,             -- core.deal
    position         integer not null,          -- 1, 2, 3 within goods and within services
    product_name     text,                      -- as written on the line
    product_id       text,                      -- core.product, after aliases; null where none fits
    product_key      text,                      -- core.accounting_product
    product_origin   text,                      -- found, created, ambiguous, missing
    product_matches  integer not null,          -- how many records of accounting fit
    is_service       boolean not null,          -- rendered, not shipped
    unit             text,                      -- unit of measure as the source writes it
    unit_key         text,                      -- core.accounting_unit
    quantity         numeric(18,4),             -- in `unit`
    price            numeric(38,7),             -- a unit, with all discounts and VAT
    amount           numeric(18,2),             -- with all discounts and VAT
    vat_rate         numeric(5,2),              -- percent; 0 is a rate, null means without VAT
    vat              text,                      -- VAT rate as accounting names it; null where no rule fits
    vat_amount       numeric(18,2),             -- VAT in `amount`, rounded half up to the kopeck, by line or by document
    net_price        numeric(38,7),             -- `price` without VAT
    net_amount       numeric(18,2),             -- `amount` less `vat_amount`
    vat_included     boolean,                   -- the terms of the document: whether what follows includes VAT
    stated_price     numeric(38,7),             -- `price` or `net_price`
    stated_amount    numeric(18,2),             -- `amount` or `net_amount`
    list_price       numeric(38,7),             -- a unit before discounts
    discount_percent numeric(5,2),              -- what `discount_amount` is of the sum before it, rounded
    discount_amount  numeric(38,2),             -- round(list_price * quantity, 2) less stated_amount
    given_price      numeric(18,4),             -- as the CRM says, on the line's own VAT terms; null where the line was split
    given_amount     numeric(18,2),             -- likewise
    quantity_before  numeric(18,4),             -- of a correction: what the document said before
    price_before     numeric(38,7),             -- likewise
    amount_before    numeric(18,2),             -- likewise
    vat_before       numeric(18,2),             -- VAT in `amount_before`
    foreign_signs    text,                      -- signs of money written in its sums, where they are not the deal's currency
    problems         text                       -- what could not be read from the CRM, in sentences
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
    select n.value #>> '{}' as system,
           coalesce((select t.value #>> '{}' from ops.setting t
                      where t.system = n.value #>> '{}' and t.name = 'vat_terms'), 'included') as vat_terms,
           exists (select from ops.setting v where v.system = n.value #>> '{}' and v.name = 'vat_rounding'
                      and v.value #>> '{}' = 'document') as rounds_documents,
           coalesce((select p.value::integer from ops.setting p
                      where p.system = n.value #>> '{}' and p.name = 'price_digits'), 4) as digits,
           exists (select from ops.setting i where i.system = n.value #>> '{}' and i.name = 'inexact_price'
                      and i.value #>> '{}' = 'split') as splits
    from ops.setting n where n.name = 'accounting_system'
), lines as (
    select l.*, d.document_date, d.currency, d.discount as deal_discount, t.deal_includes, t.line_includes, t.percent,
           -- On the deal's VAT terms, as its header is.
           case when t.line_includes = t.deal_includes then l.amount
                when t.line_includes then l.amount - round(l.amount * t.percent / (100 + t.percent), 2)
                else l.amount + round(l.amount * t.percent / 100, 2) end as on_terms,
           coalesce(a.is_name, l.product_name) as meant_name
    from core.deal_line l
    join scope on scope.key = l.deal_id
    join documents.deal d on d.deal_id = l.deal_id
    cross join lateral (
        select coalesce(d.vat_included, true) as deal_includes, coalesce(l.vat_included, d.vat_included, true) as line_includes,
               coalesce(l.vat_rate, 0) as percent) t
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
), weighed as (
    -- In kopecks; only where a discount of the whole deal is to be spread, and can be.
    select t.line_id, t.deal_id, t.on_terms * 100 as weight, w.whole, w.whole - t.deal_discount * 100 as total
    from lines t
    join (select deal_id, sum(on_terms) * 100 as whole, min(on_terms) as least, count(*) - count(on_terms) as unknown
            from lines where deal_discount <> 0 group by deal_id) w on w.deal_id = t.deal_id
    where w.whole > 0 and w.least >= 0 and w.unknown = 0 and w.whole >= t.deal_discount * 100
), spread as (
    -- Largest remainder: everybody's whole kopecks, and what is left one by one to whom the cut took most.
    select s.line_id, (s.floor + case when s.turn <= s.total - s.floors then 1 else 0 end) / 100 as due
    from (
        select f.line_id, f.total, f.floor, sum(f.floor) over (partition by f.deal_id) as floors,
               row_number() over (partition by f.deal_id order by f.rest desc, f.weight desc, f.line_id) as turn
        from (select *, div(weight * total, whole) as floor, mod(weight * total, whole) as rest from weighed) f
    ) s
), due as (
    select t.line_id, t.deal_id, t.quantity, t.list_price, t.price, t.amount, t.percent, t.deal_includes, t.line_includes,
           s.line_id is not null as is_spread, coalesce(s.due, t.on_terms) as due,
           case when t.deal_includes then 100 + t.percent else 100 end as parts  -- of which `percent` are VAT
    from lines t
    left join spread s on s.line_id = t.line_id
), taxed as (
    -- VAT of a document and rate, in kopecks, to be spread over its lines likewise.
    select d.line_id, d.deal_id, d.percent, d.due * 100 as weight, w.whole, round(w.whole * d.percent / d.parts) as total
    from due d
    join (select deal_id, percent, sum(due) * 100 as whole, min(due) as least, count(*) - count(due) as unknown
            from due group by deal_id, percent) w on w.deal_id = d.deal_id and w.percent = d.percent
    where (select rounds_documents from target) and w.whole > 0 and w.least >= 0 and w.unknown = 0
), tax as (
    select s.line_id, (s.floor + case when s.turn <= s.total - s.floors then 1 else 0 end) / 100 as vat
    from (
        select f.line_id, f.total, f.floor, sum(f.floor) over (partition by f.deal_id, f.percent) as floors,
               row_number() over (partition by f.deal_id, f.percent order by f.rest desc, f.weight desc, f.line_id) as turn
        from (select *, div(weight * total, whole) as floor, mod(weight * total, whole) as rest from taxed) f
    ) s
), sold as (
    select deal_id, bool_and(line_includes) as includes from lines
    where (select vat_terms from target) = 'as_sold' group by deal_id
), summed as (
    select d.*, v.vat, case when d.deal_includes then d.due else d.due + v.vat end as gross,
           case t.vat_terms when 'included' then true when 'excluded' then false else sold.includes end as states_gross
    from due d
    cross join target t
    left join tax on tax.line_id = d.line_id
    left join sold on sold.deal_id = d.deal_id
    cross join lateral (select coalesce(tax.vat, round(d.due * d.percent / d.parts, 2)) as vat) v
), stated as (
    select s.line_id, s.quantity, s.vat, s.states_gross, n.amount, s.price as given_price, s.amount as given_amount,
           -- The CRM's own price where it still makes the sum, else what is nearest to it.
           case when s.quantity is null or n.amount is null
                  or (s.line_includes = s.states_gross and not s.is_spread and s.price = round(s.price, t.digits)
                      and round(s.price * s.quantity, 2) = n.amount) then s.price
                else round(n.amount / nullif(s.quantity, 0), t.digits) end as price,
           case when s.line_includes = s.states_gross then coalesce(s.list_price, s.price)
                when s.line_includes then coalesce(s.list_price, s.price) * 100 / (100 + s.percent)
                else coalesce(s.list_price, s.price) * (100 + s.percent) / 100 end as list_price
    from summed s
    cross join target t
    cross join lateral (select case when s.states_gross then s.gross else s.gross - s.vat end as amount) n
), halved as (
    -- What no price of two digits makes is two lines that are exact: n pieces, and those that cost a kopeck more.
    select s.*, div(s.amount * 100, s.quantity) / 100 as low,
           case when s.quantity = trunc(s.quantity) then mod(s.amount * 100, s.quantity) else 1 end as dear
    from stated s
    where (select splits from target) and s.quantity > 1 and s.amount > 0
      and round(s.price * s.quantity, 2) <> s.amount
      and coalesce(round(s.given_price * s.quantity, 2) = s.given_amount, true)  -- else the gate holds it, as it stands
), parts as (
    select s.line_id, 1 as part, s.states_gross, s.quantity, s.amount, s.price, s.vat, s.list_price,
           s.given_price, s.given_amount
    from stated s
    where not exists (select from halved h where h.line_id = s.line_id)
    union all
    select h.line_id, 1, h.states_gross, h.quantity - h.dear, c.amount, h.low, round(h.vat * c.amount / h.amount, 2),
           h.list_price, null, null
    from halved h
    cross join lateral (select round(h.low * (h.quantity - h.dear), 2) as amount) c
    union all
    select h.line_id, 2, h.states_gross, h.dear, h.amount - c.amount, (h.amount - c.amount) / h.dear,
           h.vat - round(h.vat * c.amount / h.amount, 2), h.list_price, null, null
    from halved h
    cross join lateral (select round(h.low * (h.quantity - h.dear), 2) as amount) c
), listed as (
    -- Not below the price paid: what a discount takes off is not negative.
    select p.*, t.digits,
           case when p.quantity is null then p.price
                when round(round(p.list_price, t.digits) * p.quantity, 2) >= p.amount then round(p.list_price, t.digits)
                when round(p.price * p.quantity, 2) >= p.amount then p.price
                else p.price + 10::numeric ^ -t.digits end as price_before_discount
    from parts p
    cross join target t
), resolved as (
    select l.*, coalesce(linked.product_id, n.product_id, other.product_id) as resolved_id
    from lines l
    left join core.product linked on linked.product_id = l.product_id and not linked.is_deleted
    left join named n on n.source = l.source and n.name_key = lower(btrim(l.meant_name))
    left join anywhere other on other.name_key = lower(btrim(l.meant_name))
)
select
    l.line_id || case when m.part = 2 then '/rest' else '' end as line_id,
    l.deal_id,
    row_number() over (
        partition by l.deal_id, coalesce(p.is_service, false)
        order by l.position nulls last, l.line_id, m.part)::integer as position,
    l.product_name,
    l.resolved_id as product_id,
    p.product_key,
    p.origin as product_origin,
    coalesce(p.matches, 0) as product_matches,
    coalesce(p.is_service, false) as is_service,
    coalesce(l.unit, p.unit) as unit,
    p.unit_key,
    m.quantity,
    case when m.states_gross then m.price else round((m.amount + m.vat) / nullif(m.quantity, 0), m.digits) end as price,
    case when m.states_gross then m.amount else m.amount + m.vat end as amount,
    l.vat_rate,
    vat.value as vat,
    coalesce(m.vat, 0) as vat_amount,
    case when m.states_gross then round((m.amount - m.vat) / nullif(m.quantity, 0), m.digits) else m.price end as net_price,
    case when m.states_gross then m.amount - m.vat else m.amount end as net_amount,
    m.states_gross as vat_included,
    m.price as stated_price,
    m.amount as stated_amount,
    coalesce(m.price_before_discount, m.price) as list_price,
    coalesce(round(100 - 100 * m.amount / nullif(round(m.price_before_discount * m.quantity, 2), 0), 2), 0) as discount_percent,
    coalesce(round(m.price_before_discount * m.quantity, 2) - m.amount, 0) as discount_amount,
    m.given_price,
    m.given_amount,
    null::numeric as quantity_before,
    null::numeric as price_before,
    null::numeric as amount_before,
    null::numeric as vat_before,
    case when not ops.money_is_of(l.money_signs, l.currency) then l.money_signs end as foreign_signs,
    nullif(array_to_string(l.problems, '; '), '') as problems
from resolved l
cross join target
join listed m on m.line_id = l.line_id
left join documents.product p on p.product_id = l.resolved_id
left join ops.vat_rule vat
  on vat.system = target.system and vat.rate is not distinct from l.vat_rate
 and (vat.valid_from is null or vat.valid_from <= l.document_date)
 and (vat.valid_to is null or vat.valid_to >= l.document_date)
