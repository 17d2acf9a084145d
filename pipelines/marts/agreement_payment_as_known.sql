-- What was paid by each contract or deal of a schedule or of an object: parts of posted payments that name the contract,
-- refunds below zero; of a deal without contract what is allocated to its documents.
-- As far as it was known at `known_at`; infinity: as it is known.
--
-- @owner accountants
-- @arguments known_at timestamptz default 'infinity'
-- @column agreement_key text -- marts.agreement
-- @column payment_key text -- ledger.payment
-- @column paid_on date -- day of the payment; null: it could not be read
-- @column currency text -- ISO 4217 letters
-- @column amount numeric -- below 0: given back
-- @changed marts.agreement_as_known ledger.payment ledger.payment_line ledger.allocation ledger.obligation marts.currency
-- @rows
with paid as (
    select a.agreement_key, p.payment_key, p.paid_on, p.currency_key, l.amount * case p.kind when 'refund' then -1 else 1 end as amount
    from marts.agreement_as_known(known_at) a
    join ledger.payment_line_as_known(known_at) l on l.contract_key = a.contract_key and not l.is_deleted
    join ledger.payment_as_known(known_at) p on p.payment_key = l.payment_key and not p.is_deleted and coalesce(p.is_posted, true)
    where a.basis = 'contract'
    union all
    select a.agreement_key, x.payment_key, x.paid_on, x.currency_key, x.amount
    from marts.agreement_as_known(known_at) a
    join ledger.obligation_as_known(known_at) o on o.deal_id = a.deal_id
    join ledger.allocation_as_known(known_at) x on x.document_key = o.document_key
    where a.basis = 'deal'
)
select p.agreement_key, p.payment_key, p.paid_on, c.currency, p.amount
from paid p
left join marts.currency c on c.currency_key = p.currency_key
