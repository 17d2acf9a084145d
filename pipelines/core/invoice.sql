-- Invoices that sales people write in the CRM itself. They are no documents of accounting, and are not carried.
--
-- @owner sales-ops
-- @scope invoice_id
-- @money amount currency
create table core.invoice (
    invoice_id       text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    number           text,                      -- as printed
    deal_id          text,                      -- core.deal
    client_record_id text,                      -- core.client_record
    issued_on        date,                      -- date of the invoice
    due_on           date,                      -- last day of payment
    amount           numeric(18,2),             -- with VAT, major units of `currency`
    currency         text,                      -- ISO 4217
    status           text,                      -- draft, sent, paid or void
    is_deleted       boolean not null,          -- no longer in the source
    problems         text[] not null            -- what could not be read, in sentences
);

create index invoice_deal on core.invoice (deal_id);

-- @rows mapping
