-- Payments that name no document and whose payer is not known, or owes nothing, with the open documents that each may pay:
-- the best few by score. A person accepts one: sverka payment allocate PAYMENT DOCUMENT --by NAME --reason WHY.
--
-- @owner accountants
-- @view
-- @column payment_key text -- ledger.payment
-- @column place integer -- 1 is the best of this payment
-- @column paid_on date -- day of the payment
-- @column purpose text -- purpose of payment
-- @column payer text -- name of the payer in accounting; null where it does not know
-- @column document_key text -- ledger.obligation
-- @column kind text -- invoice, order, realization or correction
-- @column number text -- number shown in accounting
-- @column document_date date -- date of the document
-- @column due_on date -- day by which it is to be paid
-- @column counterparty text -- who owes it
-- @column amount numeric(18,2) -- of the payment for this document
-- @column currency text -- ISO 4217 letters
-- @column probability numeric(9,6) -- that it pays this document and no other, 0..1
-- @column weight numeric(9,3) -- log2 of the odds, other documents left aside
-- @column is_sure boolean -- as sure as the model asks of what is allocated without a person
-- @column agrees text[] -- what speaks for it, the strongest first
-- @column agrees_ru text[] -- the same in Russian
-- @column differs text[] -- what speaks against it, the strongest first
-- @column differs_ru text[] -- the same in Russian
-- @changed ledger.payment_proposal ledger.payment ledger.obligation core.accounting_counterparty marts.currency
-- @rows
select
    x.payment_key,
    x.place,
    p.paid_on,
    p.purpose,
    payer.name as payer,
    x.document_key,
    o.kind,
    o.number,
    o.document_date,
    o.due_on,
    owes.name as counterparty,
    x.amount,
    c.currency,
    x.probability::numeric as probability,
    x.weight::numeric as weight,
    x.is_sure,
    x.agrees,
    x.agrees_ru,
    x.differs,
    x.differs_ru
from ledger.payment_proposal x
join ledger.payment p on p.payment_key = x.payment_key
join ledger.obligation o on o.document_key = x.document_key
left join core.accounting_counterparty payer on payer.counterparty_key = p.counterparty_key
left join core.accounting_counterparty owes on owes.counterparty_key = o.counterparty_key
left join marts.currency c on c.currency_key = o.currency_key
