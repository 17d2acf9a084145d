-- Which legal details a deal names, where the CRM records that.
--
-- @owner accountants
-- @scope deal_id
create table core.deal_requisite (
    deal_id      text not null primary key, -- core.deal
    source       text not null,             -- connected system
    source_id    text not null,             -- id in that system
    requisite_id text,                      -- core.requisite
    is_deleted   boolean not null,          -- no longer in the source
    problems     text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
