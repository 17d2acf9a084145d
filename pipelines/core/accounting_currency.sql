-- Currencies as accounting keeps them.
--
-- @owner accountants
-- @scope currency_key
create table core.accounting_currency (
    currency_key text not null primary key, -- system:id
    source       text not null,             -- connected system
    source_id    text not null,             -- id in that system
    code         text,                      -- ISO 4217 number, 643 = rouble
    name         text,                      -- ISO 4217 letters in accounting's spelling
    is_deleted   boolean not null,          -- marked for deletion or gone
    problems     text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
