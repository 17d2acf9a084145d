-- What accounting has in stock now. Rows of one product add up: of several warehouses, accounts or characteristics.
--
-- @owner accountants
-- @scope stock_key
create table ledger.stock (
    stock_key     text not null primary key, -- system:id
    source        text not null,             -- connected system
    source_id     text not null,             -- id in that system
    product_key   text,                      -- core.accounting_product
    warehouse_key text,                      -- core.accounting_warehouse; null where the system keeps none
    quantity      numeric(18,4),             -- in units of the product; negative where more went out than came in
    reserved      numeric(18,4),             -- of it kept for orders; null where accounting does not say
    cost          numeric(18,2),             -- what it is worth, accounting's own currency; null where accounting does not say
    is_deleted    boolean not null,          -- gone
    problems      text[] not null            -- what could not be read, in sentences
);

create index stock_product on ledger.stock (product_key);

-- @rows mapping
