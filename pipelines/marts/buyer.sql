-- Who buys, under one key: a client with all its counterparties, or a counterparty of which no client is known.
--
-- @owner sales-ops
-- @view
-- @column buyer_key text -- client or counterparty, and its key
-- @column client_id text -- core.client; null: the buyer is a counterparty
-- @column counterparty_key text -- core.accounting_counterparty; null: the buyer is a client
-- @column buyer text -- its name
-- @column phone text -- of the client, E.164; null: none is known
-- @column email text -- of the client
-- @column employee_id text -- core.employee who answers for the client
-- @column manager text -- name of the manager
-- @changed core.client core.accounting_counterparty core.employee
-- @rows
select
    'client ' || c.client_id as buyer_key,
    c.client_id,
    null as counterparty_key,
    c.name as buyer,
    c.phone,
    c.email,
    c.employee_id,
    e.full_name as manager
from core.client c
left join core.employee e on e.employee_id = c.employee_id
union all
select 'counterparty ' || p.counterparty_key, null, p.counterparty_key, p.name, null, null, null, null
from core.accounting_counterparty p
