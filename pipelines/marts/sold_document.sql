-- What was sold, and what was taken back or corrected of it: posted realizations, corrections and returns of accounting
-- with their sign, under the client that is known to buy by the counterparty.
--
-- @owner accountants
-- @view
-- @column document_key text -- ledger.document
-- @column kind text -- realization, correction or return
-- @column document_date date -- its date in accounting
-- @column counterparty_key text -- core.accounting_counterparty
-- @column client_id text -- core.client of the deal; without a deal, the only client that buys by the counterparty; null: there is none, or several
-- @column gross numeric(18,2) -- with VAT, in `currency`: below 0 where it takes back
-- @column currency text -- ISO 4217 letters
-- @changed ledger.sale marts.currency
-- @rows
select
    s.document_key,
    s.kind,
    s.document_date,
    nullif(s.counterparty_key, '-') as counterparty_key,
    s.sold_to as client_id,
    s.gross,
    c.currency
from ledger.sale s
left join marts.currency c on c.currency_key = s.currency_key
