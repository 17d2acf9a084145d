-- Documents of sale that accounting holds: ours and others'.
--
-- @owner accountants
-- @scope document_key
-- @emits counterparty_key
-- @money amount currency_key
create table ledger.document (
    document_key     text not null primary key, -- system:id; equals documents.document.document_key where it is ours
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    kind             text,                      -- order, invoice, realization, vat_invoice, correction or return
    number           text,                      -- number shown in accounting
    document_date    date,                      -- date of the document, the accounting period
    is_posted        boolean,                   -- posted (проведён)
    counterparty_key text,                      -- core.accounting_counterparty
    contract_key     text,                      -- core.accounting_contract
    organization_key text,                      -- core.accounting_organization
    currency_key     text,                      -- core.accounting_currency
    amount           numeric(18,2),             -- with VAT, in the document's currency
    rate             numeric(18,6),             -- accounting currency for `rate_units`, where the document says so
    rate_units       numeric(18,4),             -- 1, 10, 100
    comment          text,                      -- free text; our documents carry their deal here
    base_key         text,                      -- the document that it follows, where accounting says so (ledger.document)
    version          text,                      -- accounting's version of the record
    is_deleted       boolean not null,          -- marked for deletion or gone
    problems         text[] not null            -- what could not be read, in sentences
);

create index document_counterparty on ledger.document (counterparty_key);
create index document_base on ledger.document (base_key) where base_key is not null;
create index document_comment on ledger.document (comment) where comment like 'crm:%';

-- @rows mapping
