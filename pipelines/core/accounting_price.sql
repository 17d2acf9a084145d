-- Prices as accounting keeps them: one row a product, price type, unit, characteristic and day from which the price holds.
-- A price holds until the next one of the same product and type, or up to `valid_to`.
--
-- @owner accountants
-- @scope price_key
-- @emits product_key
create table core.accounting_price (
    price_key          text not null primary key, -- system:id
    source             text not null,             -- connected system
    source_id          text not null,             -- id in that system
    product_key        text,                      -- core.accounting_product
    price_type         text,                      -- name of the price type, as accounting shows it
    valid_from         date,                      -- first day on which it holds
    valid_to           date,                      -- last day on which it holds; null: until the next one
    price              numeric(18,4),             -- of one unit, major units of the currency; null: from that day on there is none
    currency_key       text,                      -- core.accounting_currency
    unit_key           text,                      -- core.accounting_unit that the price is of; null: the product's own
    characteristic_key text,                      -- variety of the product that the price is of, by accounting's key; null: all
    stated_price       numeric(18,4),             -- as it is stated, of `stated_units` units
    stated_units       numeric(18,4),             -- 1, 10, 100; null: 1
    is_dated           boolean not null default true, -- accounting dates its prices; else valid_from is the product's first day
    is_withdrawn       boolean not null default false, -- from that day on there is no such price
    is_deleted         boolean not null,          -- marked for deletion or gone
    problems           text[] not null            -- what could not be read, in sentences
);

create index accounting_price_product on core.accounting_price (product_key);

-- @rows mapping
