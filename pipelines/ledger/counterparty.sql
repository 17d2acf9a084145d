-- Counterparties as accounting keeps them.
--
-- @owner accountants
-- @scope counterparty_key
-- @emits tax_number name_key
create table ledger.counterparty (
    counterparty_key text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    code             text,                      -- code shown in accounting
    name             text,                      -- name in accounting
    name_key         text,                      -- name without legal form, quotes and case, for comparing
    full_name        text,                      -- legal name
    tax_number       text,                      -- INN
    kpp              text,                      -- registration reason code (branch)
    is_folder        boolean not null default false, -- a folder of the catalogue, no counterparty
    is_deleted       boolean not null,          -- marked for deletion or gone
    problems         text[] not null            -- what could not be read, in sentences
);

create index counterparty_tax_number on ledger.counterparty (tax_number, kpp);
create index counterparty_name on ledger.counterparty (name_key);

-- @rows mapping
