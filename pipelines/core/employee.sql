-- Who sells: users of the connected CRMs.
--
-- @owner sales-ops
-- @scope employee_id
create table core.employee (
    employee_id  text not null primary key, -- system:id
    source       text not null,             -- connected system
    source_id    text not null,             -- id in that system
    full_name    text,                      -- first and last name
    email        text,                      -- cleaned address
    is_active    boolean not null default true,  -- may still work in the CRM
    is_deleted   boolean not null,          -- no longer in the source
    problems     text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
