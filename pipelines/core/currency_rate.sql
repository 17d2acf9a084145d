-- Official exchange rates that accounting keeps: units of the accounting currency for `units` of a currency.
--
-- @owner accountants
-- @scope rate_id
create table core.currency_rate (
    rate_id    text not null primary key, -- system:id
    source     text not null,             -- connected system
    source_id  text not null,             -- id in that system
    currency   text,                      -- ISO 4217
    valid_from date,                      -- first day of the rate
    rate       numeric(18,6),             -- accounting currency for `units`
    units      numeric(18,4),             -- 1, 10, 100
    is_deleted boolean not null,          -- no longer in the source
    problems   text[] not null            -- what could not be read, in sentences
);

create index currency_rate_day on core.currency_rate (currency, valid_from desc);

-- @rows mapping
