-- How the integration is doing, one row a measure, in the order in which a team lead reads it.
-- Speed, freshness and failures are those of the moment `as_of`. Held deals, operations and variances are known only
-- as they stand now (`basis` says so for each row); their ages are counted to `as_of`.
--
-- @owner data-team
-- @arguments as_of timestamptz
-- @column position integer -- order of reading
-- @column section text -- won to posted, first time right, write-back, held, operations, variances, variances by age, sources, freshness, failures
-- @column subject text -- what is measured within it: a kind, a check, a state, a reason, an age, a source
-- @column value numeric -- the measure
-- @column unit text -- of `value`: hours, documents, share, deals, operations, variances, readings
-- @column amount numeric -- money that it concerns, in `currency`; null where none
-- @column currency text -- ISO 4217; null where it is not about money
-- @column since timestamptz -- when it began, or when it last happened
-- @column age_days numeric -- days from `since` to `as_of`
-- @column basis text -- as of: what was so at `as_of`; now: as it stands now
-- @column sentence text -- the row in words
-- @changed marts.posting marts.held_by_reason marts.operation marts.variance marts.reading marts.first_time_right marts.zone marts.source_freshness documents.held documents.deal
-- @rows
with recent as (
    -- a month of work: enough to be steady, short enough to notice
    select kind, hours_from_won, hours_from_planned, posted_at
    from marts.posting
    where posted_at <= as_of and posted_at > as_of - interval '30 days'
      and not is_backlog and hours_from_won is not null
), speeds as (
    select kind, count(*) as documents, max(posted_at) as last_at,
           percentile_cont(array[0.5, 0.9]) within group (order by hours_from_won::double precision) as won,
           percentile_cont(0.9) within group (order by hours_from_planned::double precision) as ours
    from recent group by kind
), won_to_posted as (
    select 1 as position, 'won to posted' as section, s.kind || ', ' || m.name as subject,
           round(m.value::numeric, 2) as value, 'hours' as unit, null::numeric as amount, null::text as currency,
           s.last_at as since, 'as of' as basis,
           format('%s: %s hours from won to posted (%s of %s documents in 30 days)',
                  s.kind, round(m.value::numeric, 2), m.name, s.documents) as sentence
    from speeds s
    cross join lateral (values ('median', s.won[1]), ('90 %', s.won[2]), ('90 % of our own part', s.ours)) as m(name, value)
), right_share as (
    select 2, 'first time right', kind, round(count(*) filter (where is_right)::numeric / nullif(count(*), 0), 4), 'share',
           null::numeric, null::text, max(verified_at), 'now',
           format('%s of %s documents verified in 30 days were right at once; refused %s, without an answer %s, read back otherwise %s, updated %s, corrected %s',
                  count(*) filter (where is_right), count(*), count(*) filter (where rejected > 0), count(*) filter (where uncertain > 0),
                  count(*) filter (where differed > 0), count(*) filter (where updated > 0), count(*) filter (where corrected > 0))
    from marts.first_time_right
    where verified_at <= as_of and verified_at > as_of - interval '30 days'
    group by kind
), written_back as (
    -- what was superseded or is under way stands among the operations
    select o.target, o.kind, count(*) as writes, max(o.changed_at) as last_at,
           percentile_cont(array[0.5, 0.9]) within group (
               order by extract(epoch from o.changed_at - o.planned_at)::double precision / 3600) as hours
    from marts.operation o
    join marts.zone z on z.system = o.target and not z.is_accounting
    where o.state = 'verified' and o.changed_at <= as_of and o.changed_at > as_of - interval '30 days'
    group by o.target, o.kind
), write_back as (
    select 3, 'write-back', w.target || ', ' || w.kind || ', ' || m.name, round(m.value::numeric, 2), 'hours',
           null::numeric, null::text, w.last_at, 'as of',
           format('%s, %s: %s hours from planned to read back in the CRM (%s of %s writes in 30 days)',
                  w.target, w.kind, round(m.value::numeric, 2), m.name, w.writes)
    from written_back w
    cross join lateral (values ('median', w.hours[1]), ('90 %', w.hours[2])) as m(name, value)
), held_share as (
    select 4, 'held', 'all checks', round(h.held::numeric / nullif(h.due, 0), 4), 'share',
           null::numeric, null::text, null::timestamptz, 'now',
           format('%s of %s deals that accounting has to know of are held', h.held, h.due)
    from (select (select count(distinct deal_id) from documents.held) as held,
                 (select count(*) from documents.deal) as due) h
), held as (
    select 5, 'held', check_name, deals::numeric, 'deals', amount, currency, null::timestamptz, 'now', example
    from marts.held_by_reason
), operations as (
    select 6, 'operations', target || ', ' || state, count(*)::numeric, 'operations', null::numeric, null::text,
           case when state in ('verified', 'superseded', 'reversed') then max(changed_at) else min(changed_at) end, 'now',
           case when state in ('verified', 'superseded', 'reversed')
                then format('%s %s, the last at %s UTC', count(*), state, to_char(max(changed_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI'))
                else format('%s %s, the oldest since %s UTC: %s', count(*), state,
                            to_char(min(changed_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
                            coalesce((array_agg(reason order by changed_at))[1], 'no reason given')) end
    from marts.operation
    group by target, state
), variances as (
    select 7, 'variances', reason, count(*)::numeric, 'variances', sum(amount), currency,
           min(first_seen_on)::timestamp at time zone 'UTC', 'now',
           format('%s there, %s of them accepted, expected less actual %s %s', count(*),
                  count(*) filter (where status = 'accepted'), sum(amount), coalesce(currency, '(no currency)'))
    from marts.variance
    group by reason, currency
), aged as (
    select v.currency, v.amount, v.status, v.first_seen_on, (as_of at time zone 'UTC')::date - v.first_seen_on as days
    from marts.variance v
), variance_ages as (
    select 8, 'variances by age', b.name, count(*)::numeric, 'variances', sum(a.amount), a.currency,
           min(a.first_seen_on)::timestamp at time zone 'UTC', 'now',
           format('%s seen first %s, %s of them accepted, expected less actual %s %s', count(*), b.said,
                  count(*) filter (where a.status = 'accepted'), sum(a.amount), coalesce(a.currency, '(no currency)'))
    from aged a
    cross join lateral (select * from (values
        (90, 'over 90 days', 'more than 90 days ago'),
        (30, '31-90 days', '31 to 90 days ago'),
        (7, '8-30 days', '8 to 30 days ago'),
        (-1000000, 'up to 7 days', 'up to 7 days ago'),
        (null, 'not remembered yet', 'at the last comparison')) as b(above, name, said)
        where a.days > b.above or a.days is null and b.above is null
        order by b.above desc nulls last limit 1) b
    group by b.name, b.said, a.currency
), sources as (
    select 9, 'sources', source, round(extract(epoch from as_of - max(finished_at)) / 3600, 2), 'hours',
           null::numeric, null::text, max(finished_at), 'as of',
           format('%s was last read without error %s hours before', source,
                  round(extract(epoch from as_of - max(finished_at)) / 3600, 1))
    from marts.reading
    where status = 'loaded' and finished_at <= as_of
    group by source
), least_fresh as (
    select distinct on (source) source, entity, read_until, is_failing, first_at, error, count(*) over (partition by source) as entities
    from marts.source_freshness
    order by source, read_until nulls first, entity
), freshness as (
    select 10, 'freshness', source, round(extract(epoch from as_of - coalesce(read_until, first_at)) / 3600, 2), 'hours',
           null::numeric, null::text, coalesce(read_until, first_at), 'now',
           concat_ws('; ',
               case when entity is null then format('%s was never read', source)
                    when read_until is null then format('%s, %s was never read to its end', source, entity)
                    else format('%s, %s is read until %s UTC, the least fresh of %s entities', source, entity,
                                to_char(read_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), entities) end,
               case when is_failing then 'its last reading failed' end,
               'the last look was not answered: ' || error)
    from least_fresh
), last_readings as (
    select distinct on (source, entity) source, entity, status, finished_at, message
    from marts.reading
    where finished_at <= as_of
    order by source, entity, batch_id desc
), failures as (
    select 11, 'failures', source || ', ' || entity, 1::numeric, 'readings', null::numeric, null::text, finished_at, 'as of',
           format('last reading %s: %s', status, coalesce(message, 'no message'))
    from last_readings
    where status = 'failed'
), told as (
    select * from won_to_posted
    union all select * from right_share
    union all select * from write_back
    union all select * from held_share
    union all select * from held
    union all select * from operations
    union all select * from variances
    union all select * from variance_ages
    union all select * from sources
    union all select * from freshness
    union all select * from failures
)
select
    row_number() over (order by position, value desc, subject, currency)::integer as position,
    section,
    subject,
    value,
    unit,
    amount,
    currency,
    since,
    round(extract(epoch from as_of - since) / 86400, 1) as age_days,
    basis,
    sentence
from told
order by 1
