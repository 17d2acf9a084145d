-- Deals that the gate holds, and why: nothing of them is carried until the cause is mended or someone
-- releases them by name.
--
-- @owner accountants
-- @scope deal_id
-- @money amount currency
create table documents.held (
    held_id     text not null primary key, -- deal_id/check
    deal_id     text not null,             -- core.deal
    check_name  text not null,             -- name of the asset check
    reason      text not null,             -- plain sentence with the remedy, English
    reason_ru   text not null,             -- the same in Russian
    client_name text,                      -- name of the client
    manager     text,                      -- name of the responsible manager
    amount      numeric(18,2),             -- sum of the deal, on its own VAT terms
    currency    text                       -- ISO 4217
);

create index held_deal on documents.held (deal_id);

-- @changed documents.failure
select key from change
;

-- @changed documents.deal
select key from change
;

-- @changed ops.release
select key from change
;

-- @all
select deal_id as key from documents.deal
;

-- @rows
select
    f.deal_id || '/' || f.check_name as held_id,
    f.deal_id,
    f.check_name,
    min(f.reason) || case when count(*) > 1 then ' (and ' || count(*) - 1 || ' more)' else '' end as reason,
    min(f.reason_ru) || case when count(*) > 1 then ' (и ещё ' || count(*) - 1 || ')' else '' end as reason_ru,
    d.client_name,
    d.manager,
    coalesce(d.line_amount, d.amount) as amount,
    d.currency
from documents.failure f
join scope on scope.key = f.deal_id
join documents.deal d on d.deal_id = f.deal_id
where f.severity = 'critical'
  and not exists (
    select from ops.release r
    where r.deal_id = f.deal_id and r.revoked_at is null and r.check_name in (f.check_name, '*'))
group by f.deal_id, f.check_name, d.client_name, d.manager, coalesce(d.line_amount, d.amount), d.currency
