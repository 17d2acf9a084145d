-- Balances of the settlement accounts as accounting itself reports them.
--
-- @owner accountants
-- @scope balance_key
-- @money amount
create table ledger.balance (
    balance_key      text not null primary key, -- account:counterparty
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    account_code     text,                      -- 51, 62.01, 62.02, 90.01
    counterparty_key text,                      -- core.accounting_counterparty, where the account has one
    amount           numeric(18,2),             -- debit positive, accounting currency
    is_deleted       boolean not null,          -- gone
    problems         text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
