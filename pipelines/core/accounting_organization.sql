-- Our own legal entities in accounting.
--
-- @owner accountants
-- @scope organization_key
create table core.accounting_organization (
    organization_key text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    name             text,                      -- name in accounting
    tax_number       text,                      -- INN
    is_deleted       boolean not null,          -- marked for deletion or gone
    problems         text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
