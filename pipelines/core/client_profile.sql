-- What is known of a client's record, gathered for telling which records are one client: one row a record that the
-- CRM still has: not deleted, nor merged into another. Merges round in a circle say of nobody that he is gone.
-- Values are those of the record, of its legal details and of its people.
--
-- @owner data-team
-- @scope client_record_id
create table core.client_profile (
    client_record_id text not null primary key, -- core.client_record
    source           text not null,             -- connected system
    name             text,                      -- canonical display name
    name_key         text,                      -- name without legal form, quotes and case, for comparing
    country          text,                      -- ISO 3166 alpha-2
    city             text,                      -- as the source writes it
    address          text,                      -- as the source writes it, in one line
    created_at       timestamptz,               -- in the source
    tax_numbers      text[] not null,           -- valid INN or VAT ids, the latter with their country's letters, a place for each KPP beside it
    kpps             text[] not null,           -- of the number in the same place, '' where none is given; then those that stand beside no valid number
    wrong_numbers    text[] not null,           -- digits of tax numbers given that are not valid, each once, in order
    phones           text[] not null,           -- E.164, its own and its people's, each once, in order
    emails           text[] not null,           -- its own and its people's, each once, in order
    contact_names    text[] not null            -- its people, each once, in order
);

-- @changed core.client_record
-- With it those that were merged into it, step by step: a circle closes or opens.
with recursive touched as (
    select key from change
    union
    select r.client_record_id from touched join core.client_record r on r.merged_into = touched.key
)
select key from touched
;

-- @changed core.requisite.client_record_id
select key from change
;

-- @changed core.contact.client_record_id
select key from change
;

-- @all
select client_record_id as key from core.client_record
;

-- @rows
with recursive path as (
    -- Where merges lead to from each record, step by step.
    select r.client_record_id as start, r.merged_into as record
    from core.client_record r
    join scope on scope.key = r.client_record_id
    where r.merged_into is not null
    union
    select p.start, r.merged_into
    from path p
    join core.client_record r on r.client_record_id = p.record
    where r.merged_into is not null
), living as (
    select r.* from core.client_record r
    join scope on scope.key = r.client_record_id
    where not r.is_deleted
      and (r.merged_into is null or exists (select from path p where p.start = r.client_record_id and p.record = p.start))
), numbers as (
    select n.client_record_id,
           array_agg(n.tax_number order by n.tax_number, n.kpp) as tax_numbers,
           array_agg(n.kpp order by n.tax_number, n.kpp) as kpps
    from (
        -- Numbers of two countries may have the same digits.
        select distinct q.client_record_id,
               (case when q.country <> 'RU' and q.tax_number !~ '^[A-Z]{2}' then q.country else '' end || q.tax_number) collate "C" as tax_number,
               coalesce(q.kpp, '') collate "C" as kpp
        from core.requisite q
        join living l on l.client_record_id = q.client_record_id
        where not q.is_deleted and q.tax_number is not null
    ) n
    group by n.client_record_id
), unnumbered as (
    -- Legal details whose number is not valid, or not given.
    select q.client_record_id,
           array_agg(distinct d.digits) filter (where d.digits is not null) as wrong_numbers,
           array_agg(distinct q.kpp collate "C") filter (where q.kpp is not null) as kpps
    from core.requisite q
    join living l on l.client_record_id = q.client_record_id
    -- A KPP may stand in the same cell behind the number; of 7,70123E+09 digits are lost.
    cross join lateral (
        select case when q.tax_number_given !~* '[0-9][eе][+]?[0-9]'
                    then substring(regexp_replace(q.tax_number_given, '[[:space:].–—-]', '', 'g') from '[0-9]+') end collate "C" as digits
    ) d
    where not q.is_deleted and q.tax_number is null
    group by q.client_record_id
), people as (
    select c.client_record_id, c.full_name, c.phone, c.email
    from core.contact c
    join living l on l.client_record_id = c.client_record_id
    where not c.is_deleted and coalesce(c.merged_into, c.contact_id) = c.contact_id
    union all
    select l.client_record_id, null, l.phone, l.email from living l
), reached as (
    select p.client_record_id,
           array_agg(distinct p.phone collate "C") filter (where p.phone is not null) as phones,
           array_agg(distinct p.email collate "C") filter (where p.email is not null) as emails,
           array_agg(distinct p.full_name collate "C") filter (where p.full_name is not null) as contact_names
    from people p
    group by p.client_record_id
)
select
    l.client_record_id,
    l.source,
    l.name,
    l.name_key,
    l.country,
    l.city,
    l.address,
    l.created_at,
    coalesce(n.tax_numbers, '{}') as tax_numbers,
    coalesce(n.kpps, '{}') || coalesce(u.kpps, '{}') as kpps,
    coalesce(u.wrong_numbers, '{}') as wrong_numbers,
    coalesce(r.phones, '{}') as phones,
    coalesce(r.emails, '{}') as emails,
    coalesce(r.contact_names, '{}') as contact_names
from living l
left join numbers n on n.client_record_id = l.client_record_id
left join unnumbered u on u.client_record_id = l.client_record_id
left join reached r on r.client_record_id = l.client_record_id
