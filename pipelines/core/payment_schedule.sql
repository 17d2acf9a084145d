-- What is to be paid by which day: instalments that a contract agrees (leasing, instalments, shared construction), and payments
-- that a client promised when it was asked. Out of a file, or of fields of the CRM; nobody is obliged to have any.
--
-- @owner accountants
-- @scope instalment_id
-- @money amount currency
create table core.payment_schedule (
    instalment_id    text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    kind             text,                      -- agreed (by the contract) or promised (by the client, when it was asked)
    contract_kind    text,                      -- leasing, instalments, shared construction ...: as the source names it
    contract_number  text,                      -- number of the contract, which is its code or name in accounting
    tax_number       text,                      -- INN of who pays
    deal_id          text,                      -- core.deal, where the source has the deal
    deal_number      text,                      -- id of the deal in its CRM, where the source is a file
    document_number  text,                      -- of a promise: number of the invoice that it is for; null: all of the deal's
    position         integer,                   -- place of the instalment in its contract
    said_on          date,                      -- day of the contract, or of the promise
    due_on           date,                      -- day by which it is to be paid
    amount           numeric(18,2),             -- with VAT, major units of `currency`; null of a promise: all that is owed
    currency         text,                      -- ISO 4217
    is_deleted       boolean not null,          -- no longer in the source
    problems         text[] not null            -- what could not be read, in sentences
);

create index payment_schedule_contract on core.payment_schedule (contract_number);

-- @rows mapping
