-- Documents that we posted and read back posted: how long it took from the deal's being won.
-- The CRM gives the day of winning; the moment is that of the deal's last change where this fell between that day
-- and the posting, else the day's beginning, so that `hours_from_won` may be up to a day too long, never too short.
--
-- @owner data-team
-- @view
-- @column operation_id uuid -- ops.operation, action post
-- @column target text -- accounting system
-- @column kind text -- invoice or realization
-- @column deal_id text -- core.deal
-- @column won_at timestamptz -- when the deal was won, see above; null: it is not won, or its day is not known
-- @column planned_at timestamptz -- when the posting was first planned
-- @column posted_at timestamptz -- when it was first read back posted
-- @column posted_on date -- day of that, UTC
-- @column hours_from_won numeric(12,2) -- from won to posted; 0 where the document was posted before
-- @column hours_from_planned numeric(12,2) -- our own part of it
-- @column is_backlog boolean -- won before its CRM was first read: says nothing about our speed
-- @changed ops.operation ops.operation_event ops.batch ops.setting core.deal marts.deal
-- @rows
with posted as (
    select operation_id, min(at) as posted_at
    from ops.operation_event
    where to_state = 'verified'
    group by operation_id
), zones as (
    select system, value #>> '{}' as zone from ops.setting where name = 'timezone'
), first_read as (
    select source, min(started_at) as at from ops.batch where status = 'loaded' group by source
), timed as (
    select o.operation_id, o.target, o.kind, o.subject as deal_id, o.planned_at, p.posted_at,
           case when d.outcome = 'won' then d.closed_on::timestamp at time zone coalesce(z.zone, 'UTC') end as won_from,
           source_deal.modified_at, f.at as first_read_at
    from ops.operation o
    join posted p on p.operation_id = o.operation_id
    left join marts.deal d on d.deal_id = o.subject
    left join core.deal source_deal on source_deal.deal_id = o.subject
    left join zones z on z.system = d.source
    left join first_read f on f.source = d.source
    where o.action = 'post'
), moments as (
    select *, case when modified_at between won_from and posted_at then modified_at else won_from end as won_at
    from timed
)
select
    operation_id,
    target,
    kind,
    deal_id,
    won_at,
    planned_at,
    posted_at,
    (posted_at at time zone 'UTC')::date as posted_on,
    greatest(extract(epoch from posted_at - won_at), 0) / 3600 as hours_from_won,
    extract(epoch from posted_at - planned_at) / 3600 as hours_from_planned,
    coalesce(won_from < first_read_at, false) as is_backlog
from moments
