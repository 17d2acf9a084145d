-- Contracts with counterparties as accounting keeps them.
--
-- @owner accountants
-- @scope contract_key
-- @emits counterparty_key
create table ledger.contract (
    contract_key     text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    code             text,                      -- code shown in accounting
    name             text,                      -- name in accounting
    counterparty_key text,                      -- ledger.counterparty
    organization_key text,                      -- ledger.organization
    currency_key     text,                      -- ledger.currency
    is_with_buyer    boolean not null default true, -- a contract of sale, not of purchase
    is_deleted       boolean not null,          -- marked for deletion or gone
    problems         text[] not null            -- what could not be read, in sentences
);

create index contract_counterparty on ledger.contract (counterparty_key);

-- @rows mapping
