-- What people decided of two records of clients, and what of it was taken back.
--
-- @owner sales-ops
-- @view
-- @column decision_id bigint -- its number, by which it is taken back: sverka review undo NUMBER
-- @column left_id text -- core.client_record: the lesser id of the two
-- @column right_id text -- core.client_record
-- @column verdict text -- same or different
-- @column decided_by text -- who
-- @column reason text -- why, as it was given
-- @column decided_at timestamptz -- when
-- @column is_standing boolean -- it holds: not taken back, and no newer one of the same pair
-- @column undone_at timestamptz -- when it was taken back; null: it was not
-- @column undone_by text -- by whom
-- @column undo_reason text -- why
-- @changed ops.identity_decision ops.identity_verdict
-- @rows
select
    d.decision_id,
    d.left_id,
    d.right_id,
    d.verdict,
    d.decided_by,
    d.reason,
    d.decided_at,
    v.decision_id is not null as is_standing,
    d.undone_at,
    d.undone_by,
    d.undo_reason
from ops.identity_decision d
left join ops.identity_verdict v on v.decision_id = d.decision_id
where d.decided_by <> 'machine'
