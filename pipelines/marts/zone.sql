-- Time zones in which the days of a connected system are told.
--
-- @owner data-team
-- @view
-- @column system text -- connected system
-- @column zone text -- as PostgreSQL names it, Europe/Moscow
-- @column is_accounting boolean -- the accounting system, to which documents are carried
-- @changed ops.setting
-- @rows
select
    z.system,
    z.value #>> '{}' as zone,
    exists (select from ops.setting n where n.name = 'accounting_system' and n.value #>> '{}' = z.system) as is_accounting
from ops.setting z
where z.name = 'timezone'
