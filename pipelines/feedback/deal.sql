-- What accounting knows of a deal, as its manager should see it in the CRM.
--
-- @owner sales-ops
-- @scope deal_id
-- @emits client_id
-- @money debt currency
create table feedback.deal (
    deal_id         text not null primary key, -- core.deal
    source          text not null,             -- connected system
    source_id       text not null,             -- id in that system
    client_id       text,                      -- core.client
    client_name     text,                      -- name of the client
    employee_id     text,                      -- responsible manager, core.employee
    title           text,                      -- name of the deal
    payment_status  text not null,             -- unpaid, partial, paid; overdue is told by `due_on`
    shipment_status text not null,             -- none, shipped
    invoiced        numeric(18,2) not null,    -- asked to pay in accounting
    paid            numeric(18,2) not null,    -- allocated payments
    debt            numeric(18,2) not null,    -- invoiced less paid, never below 0
    debt_own        numeric(18,2) not null,    -- the same in accounting's currency, at the documents' rate
    currency        text,                      -- ISO 4217 of the deal
    due_on          date,                      -- first day by which something unpaid is due
    document_key    text                       -- the obligation that is due first
);

create index deal_client on feedback.deal (client_id);
create index deal_document on feedback.deal (document_key);
create index deal_due on feedback.deal (due_on) where debt > 0;

-- @changed documents.deal
select key from change
;

-- @changed core.deal
select key from change
;

-- @changed core.client
select d.deal_id as key from core.deal d join change on d.client_id = change.key
;

-- @changed core.client
select d.deal_id as key from feedback.deal d join change on d.client_id = change.key
;

-- @changed ledger.obligation.deal_id
select key from change
;

-- @changed ledger.obligation
select o.deal_id as key from ledger.obligation o join change on o.document_key = change.key
;

-- @changed ledger.position
select p.deal_id as key from ledger.position p join change on p.document_key = change.key
;

-- @changed ledger.allocation.document_key
select o.deal_id as key from ledger.obligation o join change on o.document_key = change.key
;

-- @changed ledger.allocation
select o.deal_id as key
from ledger.allocation a join change on a.counterparty_key = change.key
join ledger.obligation o on o.document_key = a.document_key
;

-- @all
select distinct deal_id as key from ledger.position where deal_id is not null
;

-- @rows
with owed as (
    select o.*, coalesce(a.amount, 0) as paid
    from ledger.obligation o
    join scope on scope.key = o.deal_id
    left join lateral (
        select sum(l.amount) as amount from ledger.allocation l where l.document_key = o.document_key
    ) a on true
), sums as (
    select deal_id, sum(amount) as invoiced, sum(paid) as paid, sum(greatest(amount - paid, 0)) as debt,
           min(due_on) filter (where paid < amount) as due_on,
           (array_agg(document_key order by due_on, document_key) filter (where paid < amount))[1] as document_key
    from owed group by deal_id
), shipped as (
    select p.deal_id from ledger.position p join scope on scope.key = p.deal_id
    where p.is_posting_kind and p.is_posted and p.actual_amount is not null
    group by p.deal_id
)
select
    d.deal_id,
    d.source,
    d.source_id,
    d.client_id,
    c.name as client_name,
    d.employee_id,
    d.title,
    case when s.debt = 0 then 'paid' when s.paid > 0 then 'partial' else 'unpaid' end as payment_status,
    case when shipped.deal_id is not null then 'shipped' else 'none' end as shipment_status,
    s.invoiced,
    s.paid,
    s.debt,
    round(s.debt * coalesce(due.rate, 1) / coalesce(due.rate_units, 1), 2) as debt_own,
    d.currency,
    s.due_on,
    s.document_key
from sums s
join core.deal d on d.deal_id = s.deal_id and not d.is_deleted
left join core.client c on c.client_id = d.client_id
left join documents.deal due on due.deal_id = d.deal_id
left join shipped on shipped.deal_id = s.deal_id
