-- Which counterparties a client signs and pays by, and since when: by the legal details of its records, and by its deals.
-- A deal is by the counterparty that it names, or by the only one that its record ever had.
--
-- @owner accountants
-- @scope client_id
-- @known
create table core.client_counterparty (
    client_counterparty_id text not null primary key, -- client_id/counterparty_id
    client_id              text not null,             -- core.client
    counterparty_id        text not null,             -- core.counterparty
    is_active              boolean not null,          -- may be used for new deals
    requisites             integer not null,          -- how many of the client's legal details say so
    deals                  integer not null,          -- how many of its deals are by it
    valid_from             date,                      -- day of the first of these; null: there is none
    valid_to               date                       -- day of the last of these; null while it may be used
);

create index client_counterparty_client on core.client_counterparty (client_id);
create index client_counterparty_counterparty on core.client_counterparty (counterparty_id);

-- @changed core.client_member.client_id
select key from change
;

-- @changed core.requisite_counterparty.client_record_id
select m.client_id as key from core.client_member m join change on m.client_record_id = change.key
;

-- @changed core.requisite_counterparty
-- A deal may name what belongs to another client.
select m.client_id as key
from core.deal_requisite n join change on n.requisite_id = change.key
join core.deal d on d.deal_id = n.deal_id
join core.client_member m on m.client_record_id = d.client_record_id
;

-- @changed core.deal.client_record_id
select m.client_id as key from core.client_member m join change on m.client_record_id = change.key
;

-- @changed core.deal_requisite
select m.client_id as key
from core.deal d join change on d.deal_id = change.key
join core.client_member m on m.client_record_id = d.client_record_id
;

-- @changed ops.setting

-- @all
select distinct client_id as key from core.client_member
;

-- @rows
with members as (
    select m.client_id, m.client_record_id
    from core.client_member m
    join scope on scope.key = m.client_id
), details as (
    select m.client_id, m.client_record_id, rc.counterparty_id, rc.is_active
    from members m
    join core.requisite_counterparty rc on rc.client_record_id = m.client_record_id
), only_one as (
    select client_record_id, min(counterparty_id) as counterparty_id
    from details group by client_record_id
    having count(distinct counterparty_id) = 1
), dated as (
    select m.client_id, coalesce(named.counterparty_id, o.counterparty_id) as counterparty_id,
           -- The day by the clock of those who work in the source, not by ours.
           coalesce(d.closed_on, (d.created_at at time zone coalesce(z.value #>> '{}', 'UTC'))::date) as day
    from members m
    join core.deal d on d.client_record_id = m.client_record_id and not d.is_deleted
    left join core.deal_requisite n on n.deal_id = d.deal_id and not n.is_deleted
    left join core.requisite_counterparty named on named.requisite_id = n.requisite_id
    left join only_one o on o.client_record_id = d.client_record_id
    left join ops.setting z on z.system = d.source and z.name = 'timezone'
), sold as (
    select client_id, counterparty_id, count(*)::integer as deals, min(day) as valid_from, max(day) as last_on
    from dated where counterparty_id is not null
    group by client_id, counterparty_id
), kept as (
    select client_id, counterparty_id, count(*)::integer as requisites, bool_or(is_active) as is_active
    from details group by client_id, counterparty_id
)
select
    client_id || '/' || counterparty_id as client_counterparty_id,
    client_id,
    counterparty_id,
    coalesce(k.is_active, false) as is_active,
    coalesce(k.requisites, 0) as requisites,
    coalesce(s.deals, 0) as deals,
    s.valid_from,
    case when not coalesce(k.is_active, false) then s.last_on end as valid_to
from kept k
full join sold s using (client_id, counterparty_id)
