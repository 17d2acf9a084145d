-- Whom we sell to: one row a client, joined from the records of all CRMs. core.client_field says of every value which
-- record it came from.
--
-- @owner sales-ops
-- @scope client_id
-- @known
create table core.client (
    client_id   text not null primary key, -- the record that it was first known by, system:id
    name        text,                      -- canonical display name
    name_key    text,                      -- that name without legal form, quotes and case, for comparing
    country     text,                      -- ISO 3166 alpha-2
    city        text,                      -- as the source writes it
    address     text,                      -- as the source writes it, in one line
    phone       text,                      -- E.164
    email       text,                      -- e-mail address
    employee_id text,                      -- responsible manager, core.employee
    created_at  timestamptz,               -- first of its records
    modified_at timestamptz,               -- last change of its records, in their sources
    records     integer not null,          -- how many records are this client
    sources     text[] not null,           -- connected systems that have one, in order
    is_deleted  boolean not null,          -- all its records are gone
    problems    text[] not null            -- what could not be read or followed, in sentences
);

-- @changed core.client_member.client_id
select key from change
;

-- @changed core.client_member
-- The clients of records that were merged into these.
select m.client_id as key
from change join core.client_record r on r.merged_into = change.key
join core.client_member m on m.client_record_id = r.client_record_id
;

-- @changed core.client_record
select m.client_id as key from core.client_member m join change on m.client_record_id = change.key
;

-- @changed core.client_profile
-- Merges that go round in a circle are told by it.
select m.client_id as key from core.client_member m join change on m.client_record_id = change.key
;

-- @changed core.client_field
select key from change
;

-- @all
select distinct client_id as key from core.client_member
;

-- @rows
with members as (
    select m.client_id, r.*,
           case when r.merged_into = r.client_record_id
                  or r.merged_into is not null and (survivor.client_id is distinct from m.client_id or f.client_record_id is not null)
                then format('%s was merged into %s in its source, which is not followed: %s', r.client_record_id, r.merged_into,
                            case when r.merged_into = r.client_record_id
                                 then 'it cannot be merged into itself; undo that merge in the source'
                                 when survivor.client_id is null
                                 then 'that record was never read; see whether a rule of the mapping leaves it out'
                                 when f.client_record_id is not null
                                 then 'merges there go round in a circle, nobody can say who survived; undo one of them in the source'
                                 else 'that is another client here, by what people decided; undo the merge in the source, or the decision'
                            end) end as astray
    from core.client_member m
    join scope on scope.key = m.client_id
    join core.client_record r on r.client_record_id = m.client_record_id
    left join core.client_member survivor on survivor.client_record_id = r.merged_into
    left join core.client_profile f on f.client_record_id = r.client_record_id
), gathered as (
    select client_id,
           min(created_at) as created_at,
           max(modified_at) as modified_at,
           count(*)::integer as records,
           array_agg(distinct source collate "C") as sources,
           bool_and(is_deleted) as is_deleted
    from members
    group by client_id
), said as (
    select s.client_id, array_agg(distinct s.sentence collate "C") as problems
    from (
        select m.client_id, p.sentence from members m cross join lateral unnest(m.problems) as p(sentence) where not m.is_deleted
        union all
        select m.client_id, m.astray from members m where m.astray is not null
    ) s
    group by s.client_id
), fields as (
    select f.client_id,
           max(f.value) filter (where f.field = 'name') as name,
           max(r.name_key) filter (where f.field = 'name') as name_key,
           max(f.value) filter (where f.field = 'country') as country,
           max(f.value) filter (where f.field = 'city') as city,
           max(f.value) filter (where f.field = 'address') as address,
           max(f.value) filter (where f.field = 'phone') as phone,
           max(f.value) filter (where f.field = 'email') as email,
           max(f.value) filter (where f.field = 'employee_id') as employee_id
    from core.client_field f
    join scope on scope.key = f.client_id
    join core.client_record r on r.client_record_id = f.client_record_id
    group by f.client_id
)
select
    g.client_id,
    f.name,
    f.name_key,
    f.country,
    f.city,
    f.address,
    f.phone,
    f.email,
    f.employee_id,
    g.created_at,
    g.modified_at,
    g.records,
    g.sources,
    g.is_deleted,
    coalesce(s.problems, '{}') as problems
from gathered g
left join fields f on f.client_id = g.client_id
left join said s on s.client_id = g.client_id
