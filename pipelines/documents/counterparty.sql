-- Which counterparty of accounting each of ours is: found there, or to be created under a key of ours.
-- Found by INN + KPP; else, where either side has no tax number and no CRM demands one for that country, by a
-- name that is the only one of its kind on both sides. Details that give a tax number without its branch, which others give
-- with the only one known, mean the same record: it is created once, under the key of those. A record of accounting without a KPP
-- is that of a branch where no other branch of the number may be it; where several may, a person says which (`branchless`). Documents
-- that stand under a record already settle it: it stays whose it was, whatever branches come to be known here or there.
--
-- @owner accountants
-- @scope counterparty_id
create table documents.counterparty (
    counterparty_id  text not null primary key, -- core.counterparty
    counterparty_key text,                      -- core.accounting_counterparty; null while ambiguous or branchless
    origin           text not null,             -- found, created (by us, or to be), ambiguous (several fit), branchless (one fits several)
    matches          integer not null,          -- how many records of accounting fit
    legal_name       text,                      -- canonical display name, legal form last
    full_name        text,                      -- as documents print it
    country          text,                      -- ISO 3166 alpha-2
    tax_number       text,                      -- INN or VAT id
    kpp              text                       -- registration reason code (branch)
);

create index counterparty_key on documents.counterparty (counterparty_key);

-- @changed core.counterparty
select key from change
;

-- @changed core.accounting_counterparty
select d.counterparty_id as key
from documents.counterparty d join change on d.counterparty_key = change.key
;

-- @changed core.counterparty.tax_number
-- Another branch of the number became known, or is gone.
select counterparty_id as key from core.counterparty join change on tax_number = change.key
;

-- @changed core.requisite_counterparty.counterparty_id
-- A branch that signs nothing any more claims nothing.
select o.counterparty_id as key
from core.counterparty c join change on c.counterparty_id = change.key
join core.counterparty o on o.tax_number = c.tax_number
;

-- @changed core.counterparty.legal_name_key
-- A name that a second counterparty bears no longer tells which one accounting means.
select counterparty_id as key from core.counterparty join change on legal_name_key = change.key
;

-- @changed core.accounting_counterparty.tax_number
select counterparty_id as key from core.counterparty join change on tax_number = change.key
;

-- @changed core.accounting_counterparty.name_key
select counterparty_id as key from core.counterparty join change on legal_name_key = change.key
;

-- @changed ops.setting

-- @all
select counterparty_id as key from core.counterparty
;

-- @rows
with ours as (
    select c.*, s.value #>> '{}' as system,
           s.value #>> '{}' || ':' || ops.key_of(s.value #>> '{}', 'counterparty', c.counterparty_id) as own_key,
           s.value #>> '{}' || ':' || ops.key_of(s.value #>> '{}', 'counterparty', b.counterparty_id) as branch_key,
           exists (select from ops.setting d
                    where d.name = 'tax_numbers_demanded_for' and d.value ? c.country) as is_demanded
    from core.counterparty c
    join scope on scope.key = c.counterparty_id
    join ops.setting s on s.name = 'accounting_system'
    left join lateral (
        select min(b.counterparty_id) as counterparty_id from core.counterparty b
        where c.kpp is null and b.tax_number = c.tax_number and b.country is not distinct from c.country and b.kpp is not null
        having count(*) = 1) b on true
), by_number as (
    select o.counterparty_id,
           count(*) filter (where l.kpp is not distinct from o.kpp) as exact,
           count(*) as loose,
           min(l.counterparty_key) filter (where l.kpp is not distinct from o.kpp) as exact_key,
           min(l.counterparty_key) as loose_key
    from ours o
    join core.accounting_counterparty l
      on l.tax_number = o.tax_number and not l.is_deleted and not l.is_folder
     and (l.kpp = o.kpp or l.kpp is null or o.kpp is null)
    group by o.counterparty_id
), claimed as (
    -- Branches that the only fitting record, which has no KPP, may be as well: they have none of their own there.
    select o.counterparty_id, ops.written_under(o.counterparty_id) = n.loose_key as is_ours,
           bool_or(ops.written_under(b.counterparty_id) = n.loose_key) as is_anothers
    from ours o
    join by_number n on n.counterparty_id = o.counterparty_id and n.exact = 0 and n.loose = 1
    join core.counterparty b
      on b.tax_number = o.tax_number and b.country is not distinct from o.country and b.kpp <> o.kpp
    where exists (select from core.requisite_counterparty r where r.counterparty_id = b.counterparty_id and r.is_active)
      and not exists (
        select from core.accounting_counterparty l
        where l.tax_number = b.tax_number and l.kpp = b.kpp and not l.is_deleted and not l.is_folder)
      and not exists (
        select from core.accounting_counterparty l
        where l.counterparty_key = o.system || ':' || ops.key_of(o.system, 'counterparty', b.counterparty_id) and not l.is_deleted)
    group by o.counterparty_id, n.loose_key
), kept as (
    -- Of several that fit a number without its branch, the one that documents stand under.
    select o.counterparty_id, l.counterparty_key
    from ours o
    join by_number n on n.counterparty_id = o.counterparty_id and n.exact = 0 and n.loose > 1
    join core.accounting_counterparty l
      on l.counterparty_key = ops.written_under(o.counterparty_id)
     and l.tax_number = o.tax_number and not l.is_deleted and not l.is_folder
    where o.kpp is null
), by_name as (
    select o.counterparty_id, count(*) as matches, min(l.counterparty_key) as found_key,
           (select count(*) from core.counterparty twin
             where twin.legal_name_key = o.legal_name_key and twin.country is not distinct from o.country
               and (twin.tax_number is null or not o.is_demanded)) as twins
    from ours o
    join core.accounting_counterparty l
      on l.name_key = o.legal_name_key and l.tax_number is null and not l.is_deleted and not l.is_folder
    where o.tax_number is null or not o.is_demanded
    group by o.counterparty_id, o.legal_name_key, o.country, o.is_demanded
), decided as (
    select o.*,
           own.counterparty_key is not null as exists_already,
           case when own.counterparty_key is null then o.branch_key end as shared_key,
           case when n.exact > 0 then n.exact when n.loose > 0 then n.loose
                else coalesce(greatest(w.matches, w.twins), 0) end as found,
           c.counterparty_id is not null and not (coalesce(c.is_ours, false) and not coalesce(c.is_anothers, false)) as is_branchless,
           case when n.exact = 1 then n.exact_key when coalesce(n.exact, 0) = 0 and n.loose = 1 then n.loose_key
                when k.counterparty_key is not null then k.counterparty_key
                when w.matches = 1 and w.twins = 1 then w.found_key end as found_key
    from ours o
    left join core.accounting_counterparty own on own.counterparty_key = o.own_key and not own.is_deleted
    left join by_number n on n.counterparty_id = o.counterparty_id
    left join claimed c on c.counterparty_id = o.counterparty_id
    left join kept k on k.counterparty_id = o.counterparty_id
    left join by_name w on w.counterparty_id = o.counterparty_id
)
select
    counterparty_id,
    case when exists_already or found = 0 then coalesce(shared_key, own_key)
         when not is_branchless then found_key end as counterparty_key,
    case when exists_already or found = 0 then 'created'
         when is_branchless then 'branchless'
         when found_key is not null then 'found'
         else 'ambiguous' end as origin,
    found::integer as matches,
    legal_name,
    regexp_replace(legal_name, '^(.*) (ООО|АО|ПАО|ЗАО|ОАО|НАО|ТОО)$', '\2 "\1"') as full_name,
    country,
    tax_number,
    kpp
from decided
