-- What a client owes over all its deals, as managers should see it in the CRM.
--
-- @owner sales-ops
-- @scope client_record_id
-- @money debt
create table feedback.company (
    client_record_id text not null primary key, -- core.client_record
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    name             text,                      -- name of the client
    debt             numeric(18,2),             -- accounting's currency, foreign documents at their own rate; null where one has none
    problem          text,                      -- why there is no sum
    currency         text,                      -- accounting's currency, ISO 4217
    due_on           date                       -- first day by which something unpaid is due
);

-- @changed feedback.deal.client_record_id
select key from change
;

-- @changed feedback.deal
select d.client_record_id as key from feedback.deal d join change on d.deal_id = change.key
;

-- @changed core.client_record
select key from change
;

-- @changed ops.setting

-- @all
select distinct client_record_id as key from feedback.deal where client_record_id is not null
;

-- @rows
select
    c.client_record_id,
    c.source,
    c.source_id,
    c.name,
    case when count(*) = count(d.debt_own) then sum(d.debt_own) end as debt,
    string_agg(distinct d.source_id || ': ' || d.problem, '; ') as problem,
    (select s.value #>> '{}' from ops.setting s
      where s.name = 'currency'
        and s.system = (select n.value #>> '{}' from ops.setting n where n.name = 'accounting_system')) as currency,
    min(d.due_on) filter (where d.debt > 0) as due_on
from core.client_record c
join scope on scope.key = c.client_record_id
join feedback.deal d on d.client_record_id = c.client_record_id
where not c.is_deleted
group by c.client_record_id, c.source, c.source_id, c.name
