-- What joined each record of a CRM to its client, and who decided so where a person did.
--
-- @owner sales-ops
-- @view
-- @column client_id text -- core.client
-- @column client_record_id text -- core.client_record
-- @column rule text -- alone, person, merged_in_crm, inn_kpp, inn, phone_and_email, score, kept: see docs/identity.md
-- @column weight numeric(9,3) -- log2 of the odds that joined it; null where no score did
-- @column joined_by text -- core.client_record that it was joined by; null: nothing joined it
-- @column decision_id bigint -- number of the decision that joined it, the machine's too; null: nothing joined it
-- @column decided_by text -- who: a person's name, or machine
-- @column reason text -- why, as it was given
-- @column decided_at timestamptz -- when
-- @changed core.client_member ops.identity_decision
-- @rows
select
    m.client_id,
    m.client_record_id,
    m.rule,
    m.weight,
    m.joined_by,
    m.decision_id,
    d.decided_by,
    d.reason,
    d.decided_at
from core.client_member m
left join ops.identity_decision d on d.decision_id = m.decision_id
