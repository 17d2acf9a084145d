-- Entries of the accounting register: one debit and one credit account each, or one where accounting keeps a line for each
-- account, or off balance. Each side has a party of its own: one buyer's debt may be moved to another.
-- The database refuses a document that debits another sum than it credits, unless it is set apart (ops.apart).
--
-- @owner accountants
-- @scope document_key
-- @emits debit_counterparty_key credit_counterparty_key
-- @money amount
create table ledger.entry (
    entry_key        text not null primary key, -- recorder:line
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    document_key     text,                      -- the document that made it (recorder)
    position         integer,                   -- line number
    booked_on        date,                      -- accounting period
    account_dr_key   text,                      -- core.accounting_account debited
    account_cr_key   text,                      -- core.accounting_account credited
    debit_counterparty_key  text,               -- core.accounting_counterparty that the debit side names
    credit_counterparty_key text,               -- core.accounting_counterparty that the credit side names
    amount           numeric(18,2),             -- accounting currency
    organization_key text,                      -- core.accounting_organization; null where the register does not say
    debit_contract_key   text,                  -- core.accounting_contract of the debit side's party
    credit_contract_key  text,                  -- core.accounting_contract of the credit side's party
    debit_document_key   text,                  -- the document that the debit side settles, where the register says so
    credit_document_key  text,                  -- the document that the credit side settles
    debit_currency_key   text,                  -- core.accounting_currency in which the debit side is kept besides; null: its own alone
    credit_currency_key  text,                  -- the same of the credit side
    debit_currency_amount  numeric(18,2),       -- in that currency
    credit_currency_amount numeric(18,2),       -- in that currency
    content          text,                      -- wording of the entry
    is_active        boolean,                   -- counts; inactive entries do not
    is_deleted       boolean not null,          -- gone
    problems         text[] not null            -- what could not be read, in sentences
);

create index entry_document on ledger.entry (document_key);

create trigger note_new after insert on ledger.entry referencing new table as touched
    for each statement execute function ops.note_entries();
create trigger note_gone after delete on ledger.entry referencing old table as touched
    for each statement execute function ops.note_entries();
create trigger note_changed after update on ledger.entry referencing old table as stood new table as touched
    for each statement execute function ops.note_entries();

-- @rows mapping
