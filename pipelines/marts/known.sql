-- From when on and up to when reports as known at a time are whole.
-- To record a report so that it can be asked for again, ask in the same statement for it and for `up_to`: as known at that
-- moment it gives the same figures ever after.
--
-- @owner accountants
-- @view
-- @column since timestamptz -- since when the ledger is worked out; as known before, reports are empty
-- @column up_to timestamptz -- since when the last of all that is known is known; nothing comes to be known as of a time before it
-- @changed ops.known_moment
-- @rows
select
    max(first_at) filter (where table_name in ('ledger.obligation', 'ledger.allocation')) as since,
    max(last_at) as up_to
from ops.known_moment
