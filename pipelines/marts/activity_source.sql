-- CRMs that tell of calls, letters and meetings: their mapping files fill core.activity, and all that it is made of was read.
-- Of the others nobody knows how many there were.
--
-- @owner sales-ops
-- @view
-- @column source text -- connected CRM
-- @column told_from timestamptz -- since when all of them are known here
-- @changed ops.setting ops.batch
-- @rows
select s.system as source, max(b.finished_at) as told_from
from ops.setting s
cross join lateral jsonb_array_elements_text(s.value) as named(entity)
left join lateral (
    select b.finished_at from ops.batch b
    where b.source = s.system and b.entity = named.entity and b.status = 'loaded'
    order by b.batch_id limit 1
) b on true
where s.name = 'activity_entities'
group by s.system
having bool_and(b.finished_at is not null)
