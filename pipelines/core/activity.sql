-- What people did about deals and clients: calls, letters, meetings, messages and tasks, as the CRMs have them. When it was and
-- whose, never what was said or written: that is personal data, and is not read.
--
-- @owner sales-ops
-- @scope activity_id
create table core.activity (
    activity_id      text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    kind             text,                      -- call, letter, meeting, task, message (a chat, an SMS) or other
    direction        text,                      -- in (from the client) or out (from us); null: neither, or the CRM does not say
    employee_id      text,                      -- core.employee who answers for it
    deal_id          text,                      -- core.deal that it was about; null: about none, or the CRM names another record
    client_record_id text,                      -- core.client_record that it was about, where the CRM names it and no deal
    happened_at      timestamptz,               -- when a call, letter or meeting was or is to be; of others, when they were done
    is_done          boolean,                   -- it was; false: planned, or not handled yet; null: the CRM does not say
    is_deleted       boolean not null,          -- no longer in the source
    problems         text[] not null            -- what could not be read, in sentences
);

create index activity_deal on core.activity (deal_id);

-- @rows mapping
