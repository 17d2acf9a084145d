-- What was paid by each contract or deal of a schedule or of an object: parts of posted payments that name the contract,
-- refunds below zero; of a deal without contract what is allocated to its documents.
--
-- @owner accountants
-- @view
-- @column agreement_key text -- marts.agreement
-- @column payment_key text -- ledger.payment
-- @column paid_on date -- day of the payment; null: it could not be read
-- @column currency text -- ISO 4217 letters
-- @column amount numeric(18,2) -- below 0: given back
-- @changed marts.agreement_payment_as_known
-- @rows
select
    agreement_key,
    payment_key,
    paid_on,
    currency,
    amount
from marts.agreement_payment_as_known()
