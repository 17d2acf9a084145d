-- What buyers are asked to pay: invoices, and realizations for which no invoice was made.
--
-- @owner accountants
-- @scope document_key
-- @emits counterparty_key deal_id
-- @money amount currency_key
create table ledger.obligation (
    document_key     text not null primary key, -- ledger.document
    kind             text not null,             -- invoice or realization
    deal_id          text,                      -- core.deal; null for documents that are not ours
    number           text,                      -- number shown in accounting
    counterparty_key text,                      -- ledger counterparty
    organization_key text,                      -- core.accounting_organization: to whom of us it is owed
    currency_key     text,                      -- currency
    document_date    date,                      -- date of the document
    due_on           date,                      -- day by which the client pays
    amount           numeric(18,2)              -- with VAT
);

create index obligation_counterparty on ledger.obligation (counterparty_key);
create index obligation_deal on ledger.obligation (deal_id);

-- @changed ledger.position
select key from change
;

-- @changed ledger.document
select key from change
;

-- @changed ledger.position.deal_id
select p.document_key as key from ledger.position p join change on p.deal_id = change.key
;

-- @all
select document_key as key from ledger.position
;

-- @rows
select
    p.document_key,
    p.kind,
    p.deal_id,
    p.number,
    p.actual_counterparty_key as counterparty_key,
    d.organization_key,
    p.actual_currency_key as currency_key,
    p.actual_date as document_date,
    coalesce(p.due_on, p.actual_date) as due_on,
    p.actual_amount as amount
from ledger.position p
join scope on scope.key = p.document_key
left join ledger.document d on d.document_key = p.document_key
where p.actual_amount is not null
  and (not p.is_posting_kind
       or (p.is_posted and not exists (
            select from ledger.position i
            where i.deal_id = p.deal_id and not i.is_posting_kind and i.actual_amount is not null)))
