-- Whom we sell to, as each CRM holds it: a row a company (or person who buys). Which records are one client is said by
-- core.client_member.
--
-- @owner sales-ops
-- @scope client_record_id
create table core.client_record (
    client_record_id text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    name             text,                      -- canonical display name
    name_key         text,                      -- name without legal form, quotes and case, for comparing
    country          text,                      -- ISO 3166 alpha-2
    city             text,                      -- as the source writes it
    address          text,                      -- as the source writes it, in one line
    phone            text,                      -- first number, E.164
    email            text,                      -- first address
    employee_id      text,                      -- responsible manager, core.employee
    created_at       timestamptz,               -- in the source
    modified_at      timestamptz,               -- in the source
    is_deleted       boolean not null,          -- no longer in the source
    merged_into      text,                      -- the survivor, of a record merged into another in the source
    problems         text[] not null            -- what could not be read, in sentences
);

create index client_record_merged on core.client_record (merged_into) where merged_into is not null;

-- @rows mapping
