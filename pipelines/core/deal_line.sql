-- Lines of deals: what is sold, how much of it, at which price.
--
-- @owner sales-ops
-- @scope deal_id
-- @money amount
create table core.deal_line (
    line_id      text not null primary key, -- system:id
    source       text not null,             -- connected system
    source_id    text not null,             -- id in that system
    deal_id      text not null,             -- core.deal
    position     integer,                   -- order within the deal
    product_id   text,                      -- core.product, where the source links the catalogue
    product_name text,                      -- as written on the line
    unit         text,                      -- unit of measure as the source writes it
    quantity     numeric(18,4),             -- in `unit`
    price        numeric(18,4),             -- a unit, with discount and VAT
    vat_rate     numeric(5,2),              -- percent; null means without VAT
    amount       numeric(18,2),             -- with discount and VAT: round(price * quantity, 2)
    is_deleted   boolean not null,          -- no longer in the source
    problems     text[] not null            -- what could not be read, in sentences
);

create index deal_line_deal on core.deal_line (deal_id);
create index deal_line_product on core.deal_line (product_id) where product_id is not null;

-- @rows mapping
