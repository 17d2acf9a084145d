-- Counterparties as accounting keeps them.
--
-- @owner accountants
-- @scope counterparty_key
-- @emits tax_number name_key
create table core.accounting_counterparty (
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

create index accounting_counterparty_tax_number on core.accounting_counterparty (tax_number, kpp);
create index accounting_counterparty_name on core.accounting_counterparty (name_key);

-- @rows mapping
