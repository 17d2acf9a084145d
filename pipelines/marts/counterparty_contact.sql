-- Who speaks for a counterparty: one row a counterparty and a contact person of a client that signs by it. A client's people are
-- people of all its counterparties; deals tell which of them each one dealt for.
--
-- @owner sales-ops
-- @view
-- @column counterparty_id text -- core.counterparty
-- @column counterparty text -- its name
-- @column client_id text -- core.client
-- @column contact_id text -- core.contact
-- @column contact text -- last and first name
-- @column phone text -- E.164
-- @column email text -- e-mail address
-- @column is_sole boolean -- the client signs by no other one
-- @column deals bigint -- deals of this person that the counterparty signs
-- @column first_on date -- day of the first of them; null: there is none
-- @column last_on date -- day of the last of them; null: there is none
-- @changed core.contact core.client_member core.client_counterparty core.counterparty core.deal documents.deal
-- @rows
with people as (
    select c.contact_id, c.full_name, c.phone, c.email, m.client_id
    from core.contact c
    join core.client_member m on m.client_record_id = c.client_record_id
    where not c.is_deleted and coalesce(c.merged_into, c.contact_id) = c.contact_id
), dealt as (
    -- What was agreed with somebody whose card was merged into another is of that one.
    select coalesce(k.merged_into, k.contact_id) as contact_id, s.client_id, s.counterparty_id, count(*) as deals,
           min(s.document_date) as first_on, max(s.document_date) as last_on
    from documents.deal s
    join core.deal d on d.deal_id = s.deal_id
    join core.contact k on k.contact_id = d.contact_id
    where s.counterparty_id is not null and not d.is_deleted
    group by 1, 2, 3
), signs as (
    select client_id, counterparty_id, count(*) over (partition by client_id) = 1 as is_sole from core.client_counterparty
)
select
    s.counterparty_id,
    c.legal_name as counterparty,
    p.client_id,
    p.contact_id,
    p.full_name as contact,
    p.phone,
    p.email,
    s.is_sole,
    coalesce(d.deals, 0) as deals,
    d.first_on,
    d.last_on
from people p
join signs s on s.client_id = p.client_id
join core.counterparty c on c.counterparty_id = s.counterparty_id
left join dealt d on d.contact_id = p.contact_id and d.client_id = p.client_id and d.counterparty_id = s.counterparty_id
