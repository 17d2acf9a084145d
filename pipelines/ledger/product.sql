-- Products and services as accounting keeps them.
--
-- @owner accountants
-- @scope product_key
-- @emits name code
create table ledger.product (
    product_key text not null primary key, -- system:id
    source      text not null,             -- connected system
    source_id   text not null,             -- id in that system
    code        text,                      -- article
    name        text,                      -- name in accounting
    unit_key    text,                      -- ledger.unit
    is_service  boolean not null default false, -- rendered, not shipped
    is_folder   boolean not null default false, -- a folder of the catalogue, no product
    is_deleted  boolean not null,          -- marked for deletion or gone
    problems    text[] not null            -- what could not be read, in sentences
);

create index product_code on ledger.product (code);
create index product_name on ledger.product (lower(name));

-- @rows mapping
