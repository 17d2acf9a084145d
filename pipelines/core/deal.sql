-- One row a deal of any connected CRM, as it stands now.
--
-- @owner sales-ops
-- @scope deal_id
-- @emits client_record_id
-- @money amount currency
create table core.deal (
    deal_id          text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    title            text,                      -- name shown in the CRM
    client_record_id text,                      -- core.client_record
    contact_id       text,                      -- core.contact
    employee_id      text,                      -- responsible manager, core.employee
    lead_source_id   text,                      -- core.lead_source
    campaign_id      text,                      -- core.campaign
    pipeline_code    text,                      -- pipeline's id in the source
    stage_code       text,                      -- stage's id in the source
    amount           numeric(15,2),             -- header sum with all discounts, major units of `currency`
    currency         text,                      -- ISO 4217
    vat_included     boolean,                   -- whether `amount`, and lines that do not say, include VAT; null: they do
    discount_percent numeric(9,6),              -- of the whole deal, off the sum of its lines
    discount_amount  numeric(15,2),             -- of the whole deal as money, on the VAT terms of `amount`
    loss_reason      text,                      -- why it was lost, as the CRM names it; null: the CRM does not say
    created_at       timestamptz,               -- in the source
    closed_on        date,                      -- day it was (or is to be) closed
    modified_at      timestamptz,               -- in the source
    is_deleted       boolean not null,          -- no longer in the source
    merged_into      text,                      -- the survivor, of a record merged into another in the source
    problems         text[] not null            -- what could not be read, in sentences
);

create index deal_client on core.deal (client_record_id);
create index deal_employee on core.deal (employee_id);
create index deal_number on core.deal (ops.number_key(source_id), source);

-- @rows mapping
