-- Lines of deals: what is sold, how much of it, at which price.
--
-- @owner sales-ops
-- @scope deal_id
-- @money amount
create table core.deal_line (
    line_id          text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    deal_id          text not null,             -- core.deal
    position         integer,                   -- order within the deal
    product_id       text,                      -- core.product, where the source links the catalogue
    product_name     text,                      -- as written on the line
    unit             text,                      -- unit of measure as the source writes it
    quantity         numeric(15,4),             -- in `unit`
    list_price       numeric(15,4),             -- a unit before discount, on the line's VAT terms
    discount_percent numeric(9,6),              -- off the line
    discount_amount  numeric(15,2),             -- off the whole line as money, on its VAT terms
    price            numeric(15,4),             -- a unit, with discount, on the line's VAT terms
    vat_rate         numeric(5,2),              -- percent; 0 is a rate, null means without VAT
    vat_included     boolean,                   -- whether prices and sums of the line include VAT; null: as its deal
    amount           numeric(15,2),             -- with discount, on the line's VAT terms: round(price * quantity, 2)
    money_signs      text,                      -- signs of money written in its sums, as "$" or "USD"; null where none
    is_deleted       boolean not null,          -- no longer in the source
    problems         text[] not null            -- what could not be read, in sentences
);

create index deal_line_deal on core.deal_line (deal_id);
create index deal_line_product on core.deal_line (product_id) where product_id is not null;

-- @rows mapping
