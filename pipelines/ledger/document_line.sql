-- Lines of the documents that accounting holds.
--
-- @owner accountants
-- @scope document_key
-- @money amount
create table ledger.document_line (
    line_key      text not null primary key, -- document_key/part/position
    source        text not null,             -- connected system
    source_id     text not null,             -- id in that system
    document_key  text not null,             -- ledger.document
    part          text,                      -- tabular part: goods or services
    position      integer,                   -- line number
    product_key   text,                      -- core.accounting_product
    quantity      numeric(18,4),             -- in the product's unit
    price         numeric(18,4),             -- a unit, with discount and VAT, in the document's currency
    amount        numeric(18,2),             -- with discount and VAT
    vat           text,                      -- VAT rate as accounting names it
    vat_amount    numeric(18,2),             -- VAT in `amount`
    vat_included  boolean,                   -- the document's terms: whether `stated_*` include VAT; null: they do
    stated_price  numeric(18,4),             -- a unit as the document states it
    stated_amount numeric(18,2),             -- the sum as the document states it
    is_deleted    boolean not null,          -- the document is marked for deletion or gone
    problems      text[] not null            -- what could not be read, in sentences
);

create index document_line_document on ledger.document_line (document_key);
create index document_line_product on ledger.document_line (product_key);

-- @rows mapping
