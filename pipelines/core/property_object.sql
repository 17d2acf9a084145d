-- Objects of property that are sold: flats, parking places, rooms. Out of a file or of a CRM; nobody is obliged to have any.
--
-- @owner sales-ops
-- @scope object_id
-- @money price currency
create table core.property_object (
    object_id       text not null primary key, -- system:id
    source          text not null,             -- connected system
    source_id       text not null,             -- id in that system
    complex         text,                      -- complex or building that it is in
    number          text,                      -- number within it
    area            numeric(12,2),             -- square metres
    price           numeric(18,2),             -- with VAT where there is any, major units of `currency`
    currency        text,                      -- ISO 4217
    contract_number text,                      -- number of the contract by which it is sold, its code or name in accounting
    tax_number      text,                      -- INN of the buyer, where contracts of two buyers may have one number
    deal_id         text,                      -- core.deal, where the source has the deal
    deal_number     text,                      -- id of the deal in its CRM, where the source is a file
    is_deleted      boolean not null,          -- no longer in the source
    problems        text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
