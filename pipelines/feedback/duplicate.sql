-- Records that a CRM holds twice: of a client with several living records in one system, each but the oldest, with that one.
--
-- @owner sales-ops
-- @scope client_id
create table feedback.duplicate (
    duplicate_id text not null primary key, -- core.client_record: the newer of the two
    client_id    text not null,             -- core.client
    source       text not null,             -- connected system of both
    source_id    text not null,             -- id in that system
    name         text,                      -- its name
    older_id     text not null,             -- id of the oldest record in that system
    older_name   text,                      -- name of that one
    employee_id  text,                      -- responsible manager, of the older one where the newer has none; core.employee
    created_at   timestamptz,               -- when the newer was made
    rule         text not null,             -- why they are taken for one client, in words
    rule_ru      text not null              -- the same in Russian
);

create index duplicate_client on feedback.duplicate (client_id);
create index duplicate_source on feedback.duplicate (source);

-- @changed core.client_member.client_id
select key from change
;

-- @changed core.client_member
select m.client_id as key from core.client_member m join change on m.client_record_id = change.key
;

-- @changed ops.identity_pair ops.identity_decision ops.identity_verdict
-- Why the two are taken for one is the rule of their own pair.
select m.client_id as key from core.client_member m join change on m.client_record_id = change.key
;

-- @changed core.client_record
select m.client_id as key from core.client_member m join change on m.client_record_id = change.key
;

-- @all
select client_id as key from core.client_member group by client_id having count(*) > 1
;

-- @rows
with living as (
    select m.client_id, m.rule, m.joined_by, r.client_record_id, r.source, r.source_id, r.name, r.employee_id, r.created_at,
           row_number() over (partition by m.client_id, r.source
                              order by r.created_at nulls last, length(r.source_id), r.source_id collate "C") as place
    from core.client_member m
    join scope on scope.key = m.client_id
    join core.client_record r on r.client_record_id = m.client_record_id
    where not r.is_deleted and coalesce(r.merged_into, r.client_record_id) = r.client_record_id
), paired as (
    select newer.*,
           older.source_id as older_id,
           older.name as older_name,
           older.employee_id as older_employee_id,
           -- What was said or found of these two; else what leads from one to the other by records between them.
           case when said.left_id is not null then 'person'
                when pair.left_id is not null then coalesce(pair.rule, 'score')
                when newer.joined_by = older.client_record_id then newer.rule
                when older.joined_by = newer.client_record_id then older.rule
                when 'merged_in_crm' in (newer.rule, older.rule) then 'merged_in_crm'
                else 'others' end as joined
    from living newer
    join living older on older.client_id = newer.client_id and older.source = newer.source and older.place = 1
    cross join lateral (
        select least(newer.client_record_id collate "C", older.client_record_id collate "C") as left_id,
               greatest(newer.client_record_id collate "C", older.client_record_id collate "C") as right_id
    ) two
    left join ops.identity_verdict said
      on said.left_id = two.left_id and said.right_id = two.right_id and said.verdict = 'same'
    left join ops.identity_pair pair
      on pair.left_id = two.left_id and pair.right_id = two.right_id and pair.outcome = 'same'
    where newer.place > 1
)
select
    client_record_id as duplicate_id,
    client_id,
    source,
    source_id,
    name,
    older_id,
    older_name,
    coalesce(employee_id, older_employee_id) as employee_id,
    created_at,
    case joined
        when 'inn_kpp' then 'the same tax number and branch'
        when 'inn' then 'the same tax number'
        when 'phone_and_email' then 'the same phone and e-mail'
        when 'person' then 'somebody said that they are one client'
        when 'score' then 'name and contacts agree'
        when 'merged_in_crm' then 'a record that the CRM merged into one of the two is of the other''s client'
        else 'other records of the client lead from one to the other' end as rule,
    case joined
        when 'inn_kpp' then 'одинаковые ИНН и КПП'
        when 'inn' then 'одинаковый ИНН'
        when 'phone_and_email' then 'одинаковые телефон и почта'
        when 'person' then 'так решил сотрудник'
        when 'score' then 'совпадают название и контакты'
        when 'merged_in_crm' then 'карточка, которую в CRM объединили с одной из двух, относится к клиенту другой'
        else 'их связывают другие карточки того же клиента' end as rule_ru
from paired
