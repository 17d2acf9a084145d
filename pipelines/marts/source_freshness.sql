-- Until when each entity of each source was read: what was changed there before is in our tables.
-- A look of the sensor that found nothing new counts as a reading, unless the entity's last reading failed.
--
-- @owner data-team
-- @view
-- @column source text -- connected system
-- @column entity text -- what is read: deal, company, invoice ...; null: nothing was read yet
-- @column read_until timestamptz -- everything changed before is read; null: never read
-- @column last_loaded_at timestamptz -- end of the last reading without error
-- @column is_failing boolean -- its last reading failed
-- @column first_at timestamptz -- since when the source is known here; null: not noted
-- @column error text -- why the source did not answer the last look; null: it did
-- @changed ops.cursor ops.look ops.batch
-- @rows
with last as (
    select distinct on (source, entity) source, entity, status
    from ops.batch
    where status <> 'reading'
    order by source, entity, batch_id desc
), loaded as (
    select source, entity, max(finished_at) as at from ops.batch where status = 'loaded' group by source, entity
)
select
    coalesce(c.source, l.system) as source,
    c.entity,
    -- a look says nothing of an entity that was never read
    case when c.read_until is null or b.status = 'failed' then c.read_until
         else greatest(c.read_until, l.read_until) end as read_until,
    f.at as last_loaded_at,
    coalesce(b.status = 'failed', false) as is_failing,
    l.first_at,
    l.error
from ops.cursor c
full join ops.look l on l.system = c.source
left join last b on b.source = c.source and b.entity = c.entity
left join loaded f on f.source = c.source and f.entity = c.entity
