-- Documents that we wrote and read back as they should be: at the first attempt, or after what.
-- Counted is what came after a request left us: a document that the gate held before was not written wrong.
--
-- @owner data-team
-- @view
-- @column target text -- accounting system
-- @column kind text -- order, invoice, realization, vat_invoice, correction or return
-- @column document_key text -- key in accounting
-- @column deal_id text -- core.deal
-- @column verified_at timestamptz -- when its creation was first read back and equal
-- @column rejected bigint -- how often accounting refused it, or a change or posting of it
-- @column uncertain bigint -- how often no answer came
-- @column differed bigint -- how often it was read back and not equal
-- @column updated bigint -- updates of it that were verified
-- @column corrected bigint -- corrections and returns written for the same deal, of a realization
-- @column is_right boolean -- none of these: verified at the first attempt, and let alone since
-- @changed ops.operation ops.operation_event
-- @rows
with steps as (
    select o.operation_id, o.target, o.kind, o.key, o.subject, o.action,
           min(e.at) filter (where e.to_state = 'verified') as verified_at,
           count(*) filter (where e.to_state = 'rejected') as rejected,
           count(*) filter (where e.to_state = 'uncertain') as uncertain,
           count(*) filter (where e.to_state = 'held' and e.from_state = 'confirmed') as differed
    from ops.operation o
    join ops.operation_event e on e.operation_id = o.operation_id
    where o.kind in ('order', 'invoice', 'realization', 'vat_invoice', 'correction', 'return')
    group by o.operation_id, o.target, o.kind, o.key, o.subject, o.action
), documents as (
    select target, kind, key, min(subject) as subject, min(verified_at) filter (where action = 'create') as verified_at,
           sum(rejected) as rejected, sum(uncertain) as uncertain, sum(differed) as differed,
           count(verified_at) filter (where action = 'update') as updated
    from steps
    group by target, kind, key
), taken_back as (
    select target, subject, count(*) as corrected
    from documents
    where kind in ('correction', 'return') and verified_at is not null
    group by target, subject
), told as (
    select d.*, coalesce(t.corrected, 0) as corrected
    from documents d
    left join taken_back t on t.target = d.target and t.subject = d.subject and d.kind = 'realization'
    where d.verified_at is not null
)
select
    target,
    kind,
    key as document_key,
    subject as deal_id,
    verified_at,
    rejected,
    uncertain,
    differed,
    updated,
    corrected,
    rejected + uncertain + differed + updated + corrected = 0 as is_right
from told
