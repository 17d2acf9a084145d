-- People who speak for a client.
--
-- @owner sales-ops
-- @scope contact_id
-- @emits client_record_id
create table core.contact (
    contact_id       text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    client_record_id text,                      -- core.client_record
    full_name        text,                      -- last and first name
    phone            text,                      -- first number, E.164
    email            text,                      -- first address
    is_deleted       boolean not null,          -- no longer in the source
    merged_into      text,                      -- the survivor, of a record merged into another in the source
    problems         text[] not null            -- what could not be read, in sentences
);

create index contact_client on core.contact (client_record_id);

-- @rows mapping
