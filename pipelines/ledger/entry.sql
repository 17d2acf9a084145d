-- Entries of the accounting register: one debit and one credit account each, or one where accounting keeps a line for each
-- account, or off balance. Each side has a party of its own: one buyer's debt may be moved to another.
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
    content          text,                      -- wording of the entry
    is_active        boolean,                   -- counts; inactive entries do not
    is_deleted       boolean not null,          -- gone
    problems         text[] not null            -- what could not be read, in sentences
);

create index entry_document on ledger.entry (document_key);

-- @rows mapping
