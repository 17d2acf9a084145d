-- Warehouses as accounting keeps them.
--
-- @owner accountants
-- @scope warehouse_key
create table core.accounting_warehouse (
    warehouse_key text not null primary key, -- system:id
    source        text not null,             -- connected system
    source_id     text not null,             -- id in that system
    name          text,                      -- name in accounting
    is_folder     boolean not null default false, -- a folder of the catalogue, no warehouse
    is_deleted    boolean not null,          -- marked for deletion or gone
    problems      text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
