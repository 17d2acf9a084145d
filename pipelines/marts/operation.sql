-- Intended writes to outside systems as they stand now, without their content.
--
-- @owner data-team
-- @view
-- @column operation_id uuid -- ops.operation
-- @column target text -- system written to
-- @column kind text -- counterparty, product, contract, invoice, realization, deal ...
-- @column action text -- create, update, post
-- @column subject text -- what it is about: the deal of a document
-- @column state text -- planned, held, approved, sent, uncertain, confirmed, verified, superseded, reversed, rejected
-- @column reason text -- why it is in this state
-- @column amount numeric(18,2) -- total, in `currency`
-- @column currency text -- ISO 4217
-- @column attempts integer -- how often it left us
-- @column planned_at timestamptz -- when it was planned
-- @column changed_at timestamptz -- when it came to this state
-- @changed ops.operation
-- @rows
select
    o.operation_id,
    o.target,
    o.kind,
    o.action,
    o.subject,
    o.state,
    o.reason,
    o.amount,
    o.currency,
    o.attempts,
    o.planned_at,
    o.changed_at
from ops.operation o
