-- Contracts with counterparties as accounting keeps them.
--
-- @owner accountants
-- @scope contract_key
-- @emits counterparty_key
create table core.accounting_contract (
    contract_key     text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    code             text,                      -- code shown in accounting
    name             text,                      -- name in accounting
    counterparty_key text,                      -- core.accounting_counterparty
    organization_key text,                      -- core.accounting_organization
    currency_key     text,                      -- core.accounting_currency
    is_with_buyer    boolean not null default true, -- a contract of sale, not of purchase
    is_deleted       boolean not null,          -- marked for deletion or gone
    problems         text[] not null            -- what could not be read, in sentences
);

create index accounting_contract_counterparty on core.accounting_contract (counterparty_key);

-- @rows mapping
