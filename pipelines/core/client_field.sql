-- The value of each field that a client goes by, which record it came from, and why that one: the system that is
-- trusted more (`clients` of its mapping file), then one that says the same and more (where that file says so), then the
-- record changed last, then the one known longest. An empty value never wins; records that are gone give values only to a
-- client that has no others.
--
-- @owner sales-ops
-- @scope client_id
-- @known
create table core.client_field (
    client_field_id  text not null primary key, -- client_id/field
    client_id        text not null,             -- core.client
    field            text not null,             -- column of core.client
    value            text not null,             -- what the client goes by
    client_record_id text not null,             -- core.client_record that it came from
    why              text not null              -- only value, trust, completeness, freshness, longer known, first by id
);

create index client_field_client on core.client_field (client_id);

-- @changed core.client_member.client_id
select key from change
;

-- @changed core.client_record
select m.client_id as key from core.client_member m join change on m.client_record_id = change.key
;

-- @changed ops.setting

-- @all
select distinct client_id as key from core.client_member
;

-- @rows
with members as (
    select m.client_id, r.*, bool_and(r.is_deleted) over (partition by m.client_id) as all_are_gone
    from core.client_member m
    join scope on scope.key = m.client_id
    join core.client_record r on r.client_record_id = m.client_record_id
), given as (
    select m.client_id, f.field, f.value, m.client_record_id, m.created_at, m.modified_at,
           coalesce(t.value ->> f.field, t.value ->> '*', '1')::integer as trust
    from members m
    left join ops.setting t on t.system = m.source and t.name = 'client_trust'
    cross join lateral (values ('name', m.name), ('country', m.country), ('city', m.city), ('address', m.address),
                               ('phone', m.phone), ('email', m.email), ('employee_id', m.employee_id)) as f(field, value)
    where f.value <> '' and (not m.is_deleted or m.all_are_gone)
), complete as (
    -- Of fields for which the mapping file of their system says so: the words of each value.
    select m.client_id, f.field, coalesce(t.value ->> f.field, t.value ->> '*', '1')::integer as trust, w.words
    from ops.setting s
    join core.client_record r on r.source = s.system and not r.is_deleted
    join core.client_member m on m.client_record_id = r.client_record_id
    join scope on scope.key = m.client_id
    cross join lateral (values ('name', r.name), ('city', r.city), ('address', r.address)) as f(field, value)
    cross join lateral (
        select array(select distinct t.word from regexp_split_to_table(lower(replace(f.value, 'ё', 'е')), '[^[:alnum:]]+') as t(word)
                     where t.word <> '') as words) w
    left join ops.setting t on t.system = s.system and t.name = 'client_trust'
    where s.name = 'client_complete' and s.value ? f.field and f.value <> ''
), less as (
    -- Values all of whose words stand in one that is trusted as much and has more of them.
    select distinct m.client_record_id, c.field
    from complete c
    join core.client_member m on m.client_id = c.client_id
    join core.client_record r on r.client_record_id = m.client_record_id
    cross join lateral (values ('name', r.name), ('city', r.city), ('address', r.address)) as f(field, value)
    cross join lateral (
        select array(select distinct t.word from regexp_split_to_table(lower(replace(f.value, 'ё', 'е')), '[^[:alnum:]]+') as t(word)
                     where t.word <> '') as words) w
    left join ops.setting t on t.system = r.source and t.name = 'client_trust'
    where f.field = c.field and f.value <> '' and coalesce(t.value ->> f.field, t.value ->> '*', '1')::integer = c.trust
      and w.words <@ c.words and cardinality(w.words) < cardinality(c.words)
), weighed as (
    select g.*, l.field is not null as is_less
    from given g
    left join less l on l.client_record_id = g.client_record_id and l.field = g.field
), placed as (
    select g.*, count(*) over (partition by g.client_id, g.field) as said, row_number() over (
               partition by g.client_id, g.field
               order by g.trust desc, g.is_less, g.modified_at desc nulls last, g.created_at nulls last, g.client_record_id collate "C") as place
    from weighed g
), won as (
    select * from placed where place = 1
), rival as (
    -- The best of those that say otherwise.
    select distinct on (p.client_id, p.field) p.client_id, p.field, p.trust, p.is_less, p.modified_at, p.created_at
    from placed p
    join won w on w.client_id = p.client_id and w.field = p.field and w.value <> p.value
    where p.said > 1 and w.said > 1
    order by p.client_id, p.field, p.place
)
select
    w.client_id || '/' || w.field as client_field_id,
    w.client_id,
    w.field,
    w.value,
    w.client_record_id,
    case when r.field is null then 'only value'
         when w.trust > r.trust then 'trust'
         when r.is_less and not w.is_less then 'completeness'
         when w.modified_at is distinct from r.modified_at then 'freshness'
         when w.created_at is distinct from r.created_at then 'longer known'
         else 'first by id' end as why
from won w
left join rival r on r.client_id = w.client_id and r.field = w.field
