-- The client that is known to buy by a counterparty, where it is the only one: by the deals behind documents of sale and of debt.
--
-- @owner sales-ops
-- @view
-- @column counterparty_key text -- core.accounting_counterparty
-- @column client_id text -- core.client
-- @changed marts.sold_document ledger.obligation core.deal core.client_member
-- @rows
with named as (
    select s.counterparty_key, s.client_id
    from marts.sold_document s
    union all
    select o.counterparty_key, coalesce(m.client_id, d.client_record_id)
    from ledger.obligation o
    join core.deal d on d.deal_id = o.deal_id
    left join core.client_member m on m.client_record_id = d.client_record_id
)
select counterparty_key, min(client_id) as client_id
from named
where counterparty_key is not null and client_id is not null
group by counterparty_key
having count(distinct client_id) = 1
