-- How many calls, letters and meetings each manager had, day by day, in the CRM's own time zone: those that were, incoming ones
-- too. What is planned or not handled yet, messages and tasks are not counted; where the CRM does not say whether it is over, it
-- stands under its day, also one to come. As it was known at a time of ours; infinity: as
-- it is known.
--
-- @owner sales-ops
-- @arguments known_at timestamptz default 'infinity'
-- @column employee_id text -- core.employee
-- @column manager text -- name of the manager
-- @column source text -- connected CRM
-- @column happened_on date -- the day, in the CRM's time zone
-- @column calls bigint -- calls that were
-- @column letters bigint -- letters that were sent, and those received that are handled
-- @column meetings bigint -- meetings that were held
-- @column activities bigint -- these together
-- @changed core.activity core.employee marts.zone
-- @rows
select
    a.employee_id,
    e.full_name as manager,
    a.source,
    (a.happened_at at time zone coalesce(z.zone, 'UTC'))::date as happened_on,
    count(*) filter (where a.kind = 'call') as calls,
    count(*) filter (where a.kind = 'letter') as letters,
    count(*) filter (where a.kind = 'meeting') as meetings,
    count(*) as activities
from core.activity_as_known(known_at) a
left join marts.zone z on z.system = a.source
left join core.employee_as_known(known_at) e on e.employee_id = a.employee_id
where a.kind in ('call', 'letter', 'meeting') and a.is_done is not false and not a.is_deleted
  and a.employee_id is not null and a.happened_at is not null
group by a.employee_id, e.full_name, a.source, (a.happened_at at time zone coalesce(z.zone, 'UTC'))::date
