-- Where deals come from, as the CRM names it.
--
-- @owner marketing
-- @scope lead_source_id
create table core.lead_source (
    lead_source_id text not null primary key, -- system:id
    source         text not null,             -- connected system
    source_id      text not null,             -- id in that system
    name           text,                      -- name shown in the CRM
    is_deleted     boolean not null,          -- no longer in the source
    problems       text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
