-- Products and services as accounting keeps them.
--
-- @owner accountants
-- @scope product_key
-- @emits name code
create table core.accounting_product (
    product_key text not null primary key, -- system:id
    source      text not null,             -- connected system
    source_id   text not null,             -- id in that system
    code        text,                      -- article
    name        text,                      -- name in accounting
    unit_key    text,                      -- core.accounting_unit
    is_service  boolean not null default false, -- rendered, not shipped
    is_folder   boolean not null default false, -- a folder of the catalogue, no product
    is_deleted  boolean not null,          -- marked for deletion or gone
    problems    text[] not null            -- what could not be read, in sentences
);

create index accounting_product_code on core.accounting_product (code);
create index accounting_product_name on core.accounting_product (lower(name));

-- @rows mapping
