-- Marketing campaigns as the CRM knows them.
--
-- @owner sales-ops
-- @scope campaign_id
-- @money budget currency
create table core.campaign (
    campaign_id    text not null primary key, -- system:id
    source         text not null,             -- connected system
    source_id      text not null,             -- id in that system
    name           text,                      -- name shown in the CRM
    lead_source_id text,                      -- core.lead_source that it brings deals by
    starts_on      date,                      -- first day
    ends_on        date,                      -- last day; null while it is open
    budget         numeric(18,2),             -- planned cost, major units of `currency`
    currency       text,                      -- ISO 4217
    is_deleted     boolean not null,          -- no longer in the source
    problems       text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
