-- The chart of accounts.
--
-- @owner accountants
-- @scope account_key
create table core.accounting_account (
    account_key    text not null primary key, -- system:id
    source         text not null,             -- connected system
    source_id      text not null,             -- id in that system
    code           text,                      -- 51, 62.01, 62.02, 90.01.1 ...
    name           text,                      -- name in accounting
    is_off_balance boolean,                   -- what stands on it stands on one side, against nothing (002, 004.01, МЦ.04)
    is_deleted     boolean not null,          -- marked for deletion or gone
    problems       text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
