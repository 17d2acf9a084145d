-- Which client each record of a CRM is, records that are gone or merged there among them, and what joined it.
--
-- @owner data-team
-- @scope client_record_id
-- @emits client_id
-- @known
create table core.client_member (
    client_record_id text not null primary key, -- core.client_record
    client_id        text not null,             -- core.client
    rule             text not null,             -- alone, person, merged_in_crm, inn_kpp, inn, phone_and_email, score, kept: see docs/identity.md
    weight           numeric(9,3),              -- log2 of the odds that joined it; null where no score did
    joined_by        text,                      -- core.client_record that it was joined by; null: nothing joined it
    decision_id      bigint                     -- ops.identity_decision that joined it
);

create index client_member_client on core.client_member (client_id);

-- @changed core.client_profile
select key from change
;

-- @changed core.client_record
-- With it those that were merged into it, step by step.
with recursive touched as (
    select key from change
    union
    select r.client_record_id from touched join core.client_record r on r.merged_into = touched.key
)
select key from touched
;

-- @changed ops.identity_decision
select key from change
;

-- @all
select client_record_id as key from core.client_record
;

-- @rows python
