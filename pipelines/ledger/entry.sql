-- Entries of the accounting register: one debit and one credit account each.
--
-- @owner accountants
-- @scope document_key
-- @emits counterparty_key
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
    counterparty_key text,                      -- core.accounting_counterparty, where the entry names one
    amount           numeric(18,2),             -- accounting currency
    content          text,                      -- wording of the entry
    is_active        boolean,                   -- counts; inactive entries do not
    is_deleted       boolean not null,          -- gone
    problems         text[] not null            -- what could not be read, in sentences
);

create index entry_document on ledger.entry (document_key);
create index entry_counterparty on ledger.entry (counterparty_key);

-- @rows mapping
