-- A task for the responsible manager about every unpaid document: made once, when its day has passed.
--
-- @owner sales-ops
-- @scope deal_id
create table feedback.task (
    task_id      text not null primary key, -- document_key: one task a document, ever
    deal_id      text not null,             -- core.deal
    source       text not null,             -- connected system
    source_id    text not null,             -- id of the deal in that system
    client_name  text,                      -- name of the client
    employee_id  text,                      -- responsible manager, core.employee
    title        text,                      -- name of the deal
    number       text,                      -- number of the unpaid document
    debt         numeric(18,2) not null,    -- of the deal
    currency     text,                      -- ISO 4217
    due_on       date                       -- day by which it was due; the task is made after it
);

create index task_due on feedback.task (due_on);

-- @changed feedback.deal
select key from change
;

-- @changed ledger.obligation
select d.deal_id as key from feedback.deal d join change on d.document_key = change.key
;

-- @changed ledger.obligation
select o.deal_id as key from ledger.obligation o join change on o.document_key = change.key
;

-- @all
select deal_id as key from feedback.deal
;

-- @rows
select
    d.document_key as task_id,
    d.deal_id,
    d.source,
    d.source_id,
    d.client_name,
    d.employee_id,
    d.title,
    o.number,
    d.debt,
    d.currency,
    d.due_on
from feedback.deal d
join scope on scope.key = d.deal_id
join ledger.obligation o on o.document_key = d.document_key
where d.debt > 0
