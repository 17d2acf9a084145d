-- Units of measure as accounting keeps them.
--
-- @owner accountants
-- @scope unit_key
create table core.accounting_unit (
    unit_key   text not null primary key, -- system:id
    source     text not null,             -- connected system
    source_id  text not null,             -- id in that system
    code       text,                      -- OKEI code, 796 = piece
    name       text,                      -- name in accounting
    is_deleted boolean not null,          -- marked for deletion or gone
    problems   text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
