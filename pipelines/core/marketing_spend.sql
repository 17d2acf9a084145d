-- What marketing cost: a row a day (or month), source and campaign, as the people who pay for it write it down.
-- Sources and campaigns are named as the CRM names them; case and blanks around do not count.
--
-- @owner marketing
-- @scope spend_id
-- @money amount currency
create table core.marketing_spend (
    spend_id         text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    spent_on         date,                      -- day of the cost; of a month's sum any day of it
    lead_source_name text,                      -- name of the core.lead_source that it was spent on
    campaign_name    text,                      -- name of the core.campaign; null: of the source as a whole
    amount           numeric(18,2),             -- major units of `currency`
    currency         text,                      -- ISO 4217
    is_deleted       boolean not null,          -- no longer in the source
    problems         text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
