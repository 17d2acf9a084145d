-- Legal details that a client signs and pays under, as the CRM keeps them.
--
-- @owner accountants
-- @scope requisite_id
-- @emits client_record_id
create table core.requisite (
    requisite_id       text not null primary key, -- system:id
    source             text not null,             -- connected system
    source_id          text not null,             -- id in that system
    client_record_id   text,                      -- core.client_record
    legal_name         text,                      -- canonical display name, legal form last
    legal_name_key     text,                      -- name without legal form, quotes and case, for comparing
    country            text,                      -- ISO 3166 alpha-2
    tax_number         text,                      -- INN (10 or 12 digits), VAT id elsewhere; null where invalid
    tax_number_given   text,                      -- as the source writes it
    tax_number_problem text,                      -- why it is not valid
    kpp                text,                      -- registration reason code (branch), 9 characters
    ogrn               text,                      -- registration number
    is_active          boolean not null default true, -- may be used for new deals
    is_deleted         boolean not null,          -- no longer in the source
    problems           text[] not null            -- what could not be read, in sentences
);

create index requisite_client on core.requisite (client_record_id);

-- @rows mapping
