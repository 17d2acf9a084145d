-- Readings of the connected systems: one row an entity and reading, with its counts.
--
-- @owner data-team
-- @view
-- @column batch_id bigint -- ops.batch
-- @column source text -- connected system
-- @column entity text -- what was read: deal, company, invoice ...
-- @column mode text -- full, incremental, or sweep for deletions
-- @column started_at timestamptz -- beginning
-- @column finished_at timestamptz -- end; null: still reading, or the run died
-- @column status text -- reading, loaded, failed (an error, or a guard stopped it)
-- @column received bigint -- records received
-- @column added bigint -- new ones
-- @column changed bigint -- known ones with something new
-- @column unchanged bigint -- known ones as they were
-- @column deleted bigint -- found to be gone
-- @column rejected bigint -- set apart in quarantine
-- @column message text -- why it failed
-- @changed ops.batch
-- @rows
select
    b.batch_id,
    b.source,
    b.entity,
    b.mode,
    b.started_at,
    b.finished_at,
    b.status,
    b.received,
    b.added,
    b.changed,
    b.unchanged,
    b.deleted,
    b.rejected,
    b.message
from ops.batch b
