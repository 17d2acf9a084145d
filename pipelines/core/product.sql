-- What is sold: products and services of the CRM's catalogue.
--
-- @owner sales-ops
-- @scope product_id
create table core.product (
    product_id  text not null primary key, -- system:id
    source      text not null,             -- connected system
    source_id   text not null,             -- id in that system
    name        text,                      -- name shown in the CRM
    code        text,                      -- article, the same in accounting where both sides keep it
    unit        text,                      -- unit of measure as the source writes it
    price       numeric(18,4),             -- list price, major units of `currency`
    currency    text,                      -- ISO 4217
    vat_rate    numeric(5,2),              -- percent; null where the source keeps none
    is_service  boolean,                   -- rendered, not shipped
    is_active   boolean not null default true, -- may be sold
    is_deleted  boolean not null,          -- no longer in the source
    problems    text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
