-- Prices of the CRM's price lists: one row a product and list.
--
-- @owner sales-ops
-- @scope price_id
-- @emits product_id
create table core.price (
    price_id   text not null primary key, -- system:id
    source     text not null,             -- connected system
    source_id  text not null,             -- id in that system
    product_id text,                      -- core.product
    price_list text,                      -- name or code of the list, as the source writes it
    price      numeric(18,4),             -- of one unit, major units of `currency`
    currency   text,                      -- ISO 4217
    is_deleted boolean not null,          -- no longer in the source
    problems   text[] not null            -- what could not be read, in sentences
);

create index price_product on core.price (product_id);

-- @rows mapping
