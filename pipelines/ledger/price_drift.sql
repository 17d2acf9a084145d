-- Products whose price in the CRM is not the price in accounting, as of the day on which prices were read last: one row a
-- product, price list and price type, with the first of the days on end on which they differ.
-- A price counts from the day that accounting gives it, an edit of it from the day on which it was made.
--
-- @owner accountants
-- @scope product_id
create table ledger.price_drift (
    drift_key        text not null primary key, -- product/price list/price type
    product_id       text not null,             -- core.product
    product_key      text not null,             -- core.accounting_product
    price_list       text,                      -- of the CRM; null: the product's own price
    price_type       text not null,             -- of accounting
    crm_price        numeric(18,4) not null,    -- of one unit
    accounting_price numeric(18,4) not null,    -- of one unit, as accounting states it
    compared_price   numeric(18,4) not null,    -- the same with VAT, where the mapping file says that it lacks it
    currency         text not null,             -- ISO 4217, of all of them
    since            date,                      -- first day on which they differed; null: as long as prices are known
    changed          text not null,             -- what changed on that day: crm, accounting or both
    before           numeric(18,4),             -- that price until then; null: none is known, or both changed
    sentence_en      text not null,             -- what is the matter, and the remedy
    sentence_ru      text not null,             -- the same in Russian
    owner            text not null              -- who mends it: sales or accountants
);

create index price_drift_product on ledger.price_drift (product_id);

-- @changed core.product documents.product
select key from change
;

-- @changed core.price.product_id
select key from change
;

-- @changed core.accounting_price.product_key core.accounting_product
select d.product_id as key from documents.product d join change on d.product_key = change.key
;

-- @changed ops.setting ops.currency_rule core.accounting_currency ops.row_version ops.cursor

-- @all
select product_id as key from core.product
;

-- @rows
with accounting as (
    select n.value #>> '{}' as system, coalesce(z.value #>> '{}', 'UTC') as zone
    from ops.setting n
    left join ops.setting z on z.system = n.value #>> '{}' and z.name = 'timezone'
    where n.name = 'accounting_system'
), today as (
    -- up to here prices hold; what begins later is compared when its day has come (pipelines/ledger/price_day.py)
    select coalesce(max((c.read_until at time zone a.zone)::date), 'infinity') as day
    from accounting a
    join ops.setting e on e.system = a.system and e.name = 'price_entities'
    join ops.cursor c on c.source = a.system and e.value ? c.entity
), letters as (
    select l.currency_key, min(r.code) as code
    from accounting a
    join ops.currency_rule r on r.system = a.system
    join core.accounting_currency l on l.source = a.system and l.code = r.value
    group by l.currency_key
), wanted as (
    -- which list is compared with which type; without a word in the mapping file the base ones
    select p.product_id, p.source, p.name, p.vat_rate, p.price, p.currency, d.product_key, a.unit_key,
           coalesce(z.value #>> '{}', 'UTC') as zone, pair.list, pair.type, coalesce(pair.adds_vat, false) as adds_vat
    from core.product p
    join scope on scope.key = p.product_id
    join documents.product d on d.product_id = p.product_id
    join core.accounting_product a on a.product_key = d.product_key and not a.is_deleted
    left join ops.setting z on z.system = p.source and z.name = 'timezone'
    left join ops.setting w on w.system = p.source and w.name = 'price_types' and jsonb_array_length(w.value) > 0
    cross join lateral jsonb_to_recordset(coalesce(w.value, '[{}]')) as pair(list text, type text, adds_vat boolean)
    where not p.is_deleted
), offered as (
    -- the base list is the one that has the product's own price; a product without lists has that price alone
    select w.*, 'core.price' as kept_as, l.price_id as record, l.price_list, l.price as crm_price, l.currency as code
    from wanted w
    cross join lateral (
        select x.price_id, x.price_list, x.price, x.currency from core.price x
        where x.product_id = w.product_id and x.price_list is not distinct from coalesce(w.list, x.price_list)
          and not x.is_deleted and x.price is not null
        order by (x.price, x.currency) is not distinct from (w.price, w.currency) desc, length(x.source_id), x.source_id limit 1) l
    union all
    select w.*, 'core.product', w.product_id, null, w.price, w.currency
    from wanted w
    where w.list is null and w.price is not null
      and not exists (
        select from core.price x where x.product_id = w.product_id and not x.is_deleted and x.price is not null)
), pairs as (
    -- Prices are looked up by their product, again and again: what is joined here has few rows for each.
    select distinct on (drift_key) *
    from (
        select o.*, t.price_type, concat_ws('/', o.product_id, coalesce(o.price_list, ''), t.price_type) as drift_key
        from offered o
        cross join lateral (
            select s.price_type
            from core.accounting_price s
            join letters l on l.currency_key = s.currency_key
            where s.product_key = o.product_key and l.code = o.code and not s.is_deleted and s.characteristic_key is null
              and coalesce(s.unit_key, o.unit_key) is not distinct from o.unit_key
              and s.price_type = coalesce(o.type, s.price_type)
            order by s.price_type ~* '(баз|основн|base|standard)' desc, s.price_type ~* '(розн|retail)' desc, s.price_type limit 1) t
    ) found
    order by drift_key, adds_vat
), crm_said as (
    select p.drift_key, p.product_id, p.price_list, p.price_type, p.code, (v.said_from at time zone p.zone)::date as day,
           v.said_from, v.known_from,
           case when not coalesce((v.row ->> 'is_deleted')::boolean, true) and v.row ->> 'currency' = p.code
                then (v.row ->> 'price')::numeric end as price
    from pairs p
    join ops.row_version v on v.table_name = p.kept_as and v.key = p.record
    union all
    select p.drift_key, p.product_id, p.price_list, p.price_type, p.code, (x.said_from at time zone p.zone)::date,
           x.said_from, x.known_from, p.crm_price
    from pairs p
    join core.price x on x.price_id = p.record and p.kept_as = 'core.price'
    union all
    select p.drift_key, p.product_id, p.price_list, p.price_type, p.code, (x.said_from at time zone p.zone)::date,
           x.said_from, x.known_from, p.crm_price
    from pairs p
    join core.product x on x.product_id = p.record and p.kept_as = 'core.product'
    union all
    -- a price may be made anew under another id: until then the list said what the record before it says
    select p.drift_key, p.product_id, p.price_list, p.price_type, p.code, (v.said_from at time zone p.zone)::date,
           v.said_from, v.known_from, case when not v.is_gone and v.currency = p.code then v.price end
    from pairs p
    cross join lateral (
        select min(t.said_from) as first_from
        from (select c.said_from from core.price c where c.price_id = p.record
              union all
              select o.said_from from ops.row_version o where o.table_name = 'core.price' and o.key = p.record and o.row is not null) t) own
    join core.price x on x.product_id = p.product_id and x.price_list is not distinct from p.price_list
     and x.is_deleted and x.price_id <> p.record
    cross join lateral (
        select x.said_from, x.known_from, true as is_gone, null::text as currency, null::numeric as price
        union all
        select k.said_from, k.known_from, coalesce((k.row ->> 'is_deleted')::boolean, true), k.row ->> 'currency',
               (k.row ->> 'price')::numeric
        from ops.row_version k
        where k.table_name = 'core.price' and k.key = x.price_id) v
    where p.kept_as = 'core.price' and v.said_from < own.first_from
), series as (
    -- prices of the product as such: of its own unit, of no variety of it
    select p.drift_key, p.product_id, p.price_list, p.price_type, p.code, case when p.adds_vat then 1 + p.vat_rate / 100 end as vat,
           p.adds_vat, p.product_key, p.unit_key, s.currency_key, s.price_key, s.valid_from, s.valid_to, s.is_dated, s.price,
           s.is_deleted, s.said_from, s.known_from,
           lead(s.valid_from) over (partition by p.drift_key order by s.valid_from, s.price_key) as next_from
    from pairs p
    join core.accounting_price s on s.product_key = p.product_key and s.price_type = p.price_type
    join letters l on l.currency_key = s.currency_key and l.code = p.code
    where s.characteristic_key is null and coalesce(s.unit_key, p.unit_key) is not distinct from p.unit_key
      and (s.valid_from is not null or not s.is_dated)
), accounting_said as (
    -- what was said of each row, newest knowledge of each time alone; the first counts from the day that the row names
    select r.*, row_number() over (partition by r.drift_key, r.price_key order by r.said_at) as turn
    from (
        select distinct on (k.drift_key, k.price_key, k.said_at) k.*
        from (
            select s.*, v.said_from as said_at, v.known_from as known_at, (v.row ->> 'price')::numeric as said_price,
                   coalesce((v.row ->> 'is_deleted')::boolean, true) as is_gone
            from series s
            join ops.row_version v on v.table_name = 'core.accounting_price' and v.key = s.price_key
            union all
            select s.*, s.said_from, s.known_from, s.price, s.is_deleted from series s
        ) k
        order by k.drift_key, k.price_key, k.said_at, k.known_at desc
    ) r
), moved as (
    select a.*, case when a.turn = 1 and a.is_dated then a.valid_from
                     else greatest(a.valid_from, (a.said_at at time zone accounting.zone)::date) end as day
    from accounting_said a
    cross join accounting
    cross join today
    where not (a.turn = 1 and a.is_gone) and coalesce(a.valid_from, today.day) <= today.day
), told as (
    select m.drift_key, m.product_id, m.price_list, m.price_type, m.code, m.vat, m.adds_vat, m.product_key, m.unit_key, m.currency_key,
           m.day, m.valid_from, m.said_at, m.said_price, m.is_gone
    from moved m
    where m.day < coalesce(m.next_from, 'infinity') and m.day <= coalesce(m.valid_to, 'infinity')
    union all
    select s.drift_key, s.product_id, s.price_list, s.price_type, s.code, s.vat, s.adds_vat, s.product_key, s.unit_key, s.currency_key,
           s.valid_to + 1, s.valid_from, s.said_from, null, true
    from series s
    cross join today
    where not s.is_deleted and s.valid_to < '9999-01-01' and s.valid_to + 1 < coalesce(s.next_from, 'infinity')
      and s.valid_to < today.day
), accounting_steps as (
    select distinct on (t.drift_key, t.day) t.*, case when t.is_gone then before.price else t.said_price end as price
    from told t
    left join lateral (
        -- where a price goes, the one before it holds again
        select s.price from core.accounting_price s
        where t.is_gone and s.product_key = t.product_key and s.price_type = t.price_type and s.currency_key = t.currency_key
          and not s.is_deleted and s.characteristic_key is null and coalesce(s.unit_key, t.unit_key) is not distinct from t.unit_key
          and s.valid_from <= t.day and coalesce(s.valid_to, 'infinity') >= t.day
        order by s.valid_from desc, s.price_key desc limit 1) before on true
    order by t.drift_key, t.day, t.valid_from desc, t.said_at desc
), steps as (
    -- before the first that we know of the CRM it is taken to have been the same
    select drift_key, product_id, price_list, price_type, code, price, null::numeric as stated, false as adds_vat, true as is_crm,
           case when row_number() over (partition by drift_key order by day) = 1 then '-infinity' else day end as day
    from (
        select distinct on (drift_key, day) * from crm_said
        order by drift_key, day, said_from desc, known_from desc
    ) c
    union all
    select drift_key, product_id, price_list, price_type, code, case when adds_vat then round(price * vat, 2) else price end,
           price, adds_vat, false, day
    from accounting_steps
), days as (
    select drift_key, product_id, price_list, price_type, code, day, bool_or(adds_vat) as adds_vat,
           bool_or(is_crm) as has_crm, bool_or(not is_crm) as has_accounting, max(price) filter (where is_crm) as crm,
           max(price) filter (where not is_crm) as accounting, max(stated) as stated
    from steps
    group by drift_key, product_id, price_list, price_type, code, day
), numbered as (
    select d.*, count(*) filter (where has_crm) over w as crm_turn, count(*) filter (where has_accounting) over w as accounting_turn
    from days d
    window w as (partition by drift_key order by day)
), standing as (
    select n.drift_key, n.product_id, n.price_list, n.price_type, n.code, n.day,
           first_value(n.crm) over (partition by n.drift_key, n.crm_turn order by n.day) as crm,
           first_value(n.accounting) over a as accounting, first_value(n.stated) over a as stated,
           bool_or(n.adds_vat) over (partition by n.drift_key) as adds_vat
    from numbered n
    window a as (partition by n.drift_key, n.accounting_turn order by n.day)
), compared as (
    select s.*, lag(s.crm) over w as crm_before, lag(s.accounting) over w as accounting_before,
           first_value(s.crm) over l as crm_now, first_value(s.accounting) over l as accounting_now, first_value(s.stated) over l as stated_now,
           -- a price without VAT is rounded itself, and comes back to the kopeck at most
           coalesce(abs(s.crm - s.accounting) > case when s.adds_vat then 0.01 else 0 end, false) as differs
    from standing s
    window w as (partition by s.drift_key order by s.day), l as (partition by s.drift_key order by s.day desc)
), agreed as (
    select c.*, max(c.day) filter (where not c.differs) over (partition by c.drift_key) as agreed_on,
           c.crm is distinct from c.crm_before as crm_moved, c.accounting is distinct from c.accounting_before as accounting_moved
    from compared c
), begun as (
    select distinct on (drift_key) * from agreed
    where differs and (agreed_on is null or day > agreed_on)
    order by drift_key, day
), found as (
    select b.drift_key, b.product_id, d.product_key, b.price_list, b.price_type, p.name, b.adds_vat, b.code as currency,
           b.crm_now as crm_price, b.stated_now as accounting_price, b.accounting_now as compared_price, nullif(b.day, '-infinity') as since,
           case when b.crm_moved and b.accounting_moved then 'both' when b.crm_moved then 'crm' else 'accounting' end as changed,
           case when b.crm_moved and b.accounting_moved then null when b.crm_moved then b.crm_before else b.accounting_before end as before
    from begun b
    join core.product p on p.product_id = b.product_id
    join documents.product d on d.product_id = b.product_id
), worded as (
    select f.*,
           format('%s: %s in the CRM%s, %s in accounting («%s»%s)', coalesce(name, product_id),
                  trim_scale(crm_price) || ' ' || currency, coalesce(' («' || price_list || '»)', ''),
                  trim_scale(compared_price) || ' ' || currency, price_type, case when adds_vat then ', with VAT' else '' end) as what_en,
           format('%s: в CRM %s%s, в учёте %s («%s»%s)', coalesce(name, product_id),
                  trim_scale(crm_price) || ' ' || currency, coalesce(' («' || price_list || '»)', ''),
                  trim_scale(compared_price) || ' ' || currency, price_type, case when adds_vat then ', с НДС' else '' end) as what_ru
    from found f
)
select
    drift_key,
    product_id,
    product_key,
    price_list,
    price_type,
    crm_price,
    accounting_price,
    compared_price,
    currency,
    since,
    changed,
    before,
    what_en || coalesce(' since ' || since, '')
        || case when before is not null then format(', when %s changed its price from %s',
                case changed when 'crm' then 'the CRM' else 'accounting' end, trim_scale(before)) else '' end
        || case changed
               when 'accounting' then '; take the new price over into the CRM''s price list, or correct it in accounting'
               when 'crm' then '; set the new price in accounting too, or correct it in the CRM'
               else '; see which of the two is right, and correct the other' end as sentence_en,
    what_ru || coalesce(' с ' || to_char(since, 'DD.MM.YYYY'), '')
        || case when before is not null then format(', когда %s изменили цену %s',
                case changed when 'crm' then 'в CRM' else 'в учёте' end, trim_scale(before)) else '' end
        || case changed
               when 'accounting' then '; перенесите новую цену в прайс-лист CRM или исправьте её в учёте'
               when 'crm' then '; установите новую цену и в учёте или исправьте её в CRM'
               else '; выясните, какая цена верна, и исправьте другую' end as sentence_ru,
    case changed when 'accounting' then 'sales' else 'accountants' end as owner
from worded
