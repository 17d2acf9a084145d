-- Open deals that somebody should look at on a date: stuck ones, longer in their stage than most of those that went on from it,
-- and forgotten ones, without care for long. From what share, how many and how long: marts.sales_rule. Care is a change of what the
-- CRM tells of the deal (where we write back to it, a new stamp alone is none), or a call, a letter, a meeting, a message or a task
-- about it that was done, where the CRM tells of these.
-- As far as it was known at `known_at`; infinity: as it is known.
--
-- @owner sales-ops
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @planned by hash
-- @column deal_id text -- core.deal
-- @column why text -- stuck or forgotten; a deal that is both has a row for each
-- @column deal text -- name of the deal
-- @column source text -- connected CRM
-- @column pipeline_code text -- pipeline's id in the source
-- @column stage_code text -- stage's id in the source
-- @column stage text -- name of the stage
-- @column employee_id text -- responsible manager, core.employee
-- @column manager text -- name of the manager
-- @column amount numeric -- header sum with VAT
-- @column currency text -- ISO 4217
-- @column days numeric -- stuck: days in the stage, at least; forgotten: days without care
-- @column usual_days numeric -- stuck: within so many days the share of marts.sales_rule went on; forgotten: its limit
-- @column compared bigint -- stuck: how many went on from the stage; forgotten: null
-- @column since timestamptz -- stuck: in the stage since; forgotten: last changed or worked on
-- @column sentence text -- what is the matter, and the remedy
-- @column sentence_ru text -- the same in Russian
-- @changed core.deal core.activity marts.stage_time_as_of marts.sales_rule marts.operation marts.zone marts.activity_source
-- @rows
with stays as materialized (
    select * from marts.stage_time_as_of(as_of, known_at) where outcome = 'open'
), usual as (
    select s.source, s.pipeline_code, s.stage_code, count(*) as compared,
           round((percentile_cont(r.stuck_share::double precision) within group (order by s.days::double precision))::numeric, 1) as days
    from stays s
    cross join marts.sales_rule r
    where s.moved in ('on', 'won') and s.is_start_known
    group by s.source, s.pipeline_code, s.stage_code, r.stuck_share
), told as (
    select v.*, (as_of + 1)::timestamp at time zone coalesce(z.zone, 'UTC') as ends_at,
           coalesce(v.said_from, '-infinity') as told_at
    from core.deal_versions_as_known(known_at) v
    join (select distinct deal_id from stays where left_at is null) o on o.deal_id = v.deal_id
    left join marts.zone z on z.system = v.source
    where v.known_to is null
), compared as (
    select deal_id, title, amount, currency, source, told_at, ends_at,
           to_jsonb(t) - array['modified_at', 'said_from', 'said_to', 'known_from', 'known_to', 'told_at', 'ends_at'] as said,
           lag(to_jsonb(t) - array['modified_at', 'said_from', 'said_to', 'known_from', 'known_to', 'told_at', 'ends_at'])
               over (partition by deal_id order by told_at) as said_before
    from told t
    where told_at < ends_at
), changed as (
    select c.deal_id, max(c.ends_at) as ends_at,
           nullif(max(c.told_at) filter (where w.subject is null or c.said is distinct from c.said_before), '-infinity') as at,
           (array_agg(c.title order by c.told_at desc))[1] as title,
           (array_agg(c.amount order by c.told_at desc))[1] as amount,
           (array_agg(c.currency order by c.told_at desc))[1] as currency
    from compared c
    left join (select distinct target, subject from marts.operation where subject is not null and planned_at <= known_at) w
      on w.target = c.source and w.subject = c.deal_id
    group by c.deal_id
), worked_on as (
    select a.deal_id, max(a.happened_at) as at
    from core.activity_as_known(known_at) a
    left join marts.zone z on z.system = a.source
    where a.deal_id is not null and a.is_done is not false and not a.is_deleted
      and a.happened_at < (as_of + 1)::timestamp at time zone coalesce(z.zone, 'UTC')
    group by a.deal_id
), standing as (
    -- brought together by grouping: of joins of two of these nobody can tell beforehand how large they are
    select deal_id, max(source) as source, max(pipeline_code) as pipeline_code, max(stage_code) as stage_code, max(stage) as stage,
           max(employee_id) as employee_id, max(manager) as manager, max(days) as days, max(entered_at) as entered_at,
           max(title) as deal, max(amount) as amount, max(currency) as currency, max(changed_at) as changed_at,
           max(worked_on_at) as worked_on_at, max(ends_at) as ends_at
    from (
        select deal_id, true as is_open, source, pipeline_code, stage_code, stage, employee_id, manager, days, entered_at,
               null::text as title, null::numeric as amount, null::text as currency, null::timestamptz as changed_at,
               null::timestamptz as worked_on_at, null::timestamptz as ends_at
        from stays
        where left_at is null
        union all
        select deal_id, false, null, null, null, null, null, null, null, null, title, amount, currency, at, null, ends_at from changed
        union all
        select deal_id, false, null, null, null, null, null, null, null, null, null, null, null, null, at, null from worked_on
    ) both_sides
    group by deal_id
    having bool_or(is_open)
)
select
    s.deal_id,
    f.why,
    s.deal,
    s.source,
    s.pipeline_code,
    s.stage_code,
    s.stage,
    s.employee_id,
    s.manager,
    s.amount,
    s.currency,
    f.days,
    f.usual_days,
    f.compared,
    f.since,
    f.sentence,
    f.sentence_ru
from standing s
cross join marts.sales_rule r
left join usual u on u.source = s.source and u.pipeline_code is not distinct from s.pipeline_code and u.stage_code = s.stage_code
left join marts.activity_source t on t.source = s.source and t.told_from <= known_at
-- without a change whose time is known nobody can say for how long nothing was done
cross join lateral (select case when s.changed_at is not null then greatest(s.changed_at, s.worked_on_at) end as at) w
cross join lateral (select round(extract(epoch from s.ends_at - w.at) / 86400, 1) as days) a
cross join lateral (
    select 'stuck' as why, s.days, u.days as usual_days, u.compared, s.entered_at as since,
           format('%s days in the stage %s; of the %s deals that went on from there %s %% did so within %s days. Take it on, or close it.',
                  s.days, coalesce(s.stage, s.stage_code), u.compared, round(r.stuck_share * 100), u.days) as sentence,
           format('%s дн. на стадии «%s»; из %s сделок, ушедших с неё дальше, %s %% ушли за %s дн. Продвиньте сделку или закройте.',
                  s.days, coalesce(s.stage, s.stage_code), u.compared, round(r.stuck_share * 100), u.days) as sentence_ru
    where u.compared >= r.stuck_deals and s.days > u.days
    union all
    select 'forgotten', a.days, r.forgotten_days, null, w.at,
           format('%s for %s days, since %s. Take it on, or close it.',
                  case when t.source is null then 'Nothing changed' else 'Nothing changed, and nobody called, wrote or met' end,
                  a.days, (w.at at time zone 'UTC')::date),
           format('%s %s дн., с %s. Продвиньте сделку или закройте.',
                  case when t.source is null then 'Ничего не менялось' else 'Не было ни изменений, ни звонков, писем и встреч' end,
                  a.days, (w.at at time zone 'UTC')::date)
    where a.days > r.forgotten_days
) f
