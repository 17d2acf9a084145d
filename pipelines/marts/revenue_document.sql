-- Posted realizations that accounting holds: what every revenue mart is made of.
--
-- @owner accountants
-- @view
-- @column document_key text -- ledger.document
-- @column number text -- number shown in accounting
-- @column document_date date -- date of the realization
-- @column counterparty_key text -- core.accounting_counterparty
-- @column deal_id text -- core.deal; null: the document is not ours
-- @column gross numeric(18,2) -- with VAT, in `currency`: the document's own total
-- @column vat numeric(18,2) -- VAT of its lines
-- @column net numeric(18,2) -- gross less VAT
-- @column beyond_lines numeric(18,2) -- gross less the lines' total: 0 unless accounting holds them apart
-- @column currency text -- ISO 4217 letters
-- @changed ledger.sale marts.currency
-- @rows
select
    s.document_key,
    s.number,
    s.document_date,
    nullif(s.counterparty_key, '-') as counterparty_key,
    s.deal_id,
    s.gross,
    coalesce(s.lines_vat, 0) as vat,
    s.gross - coalesce(s.lines_vat, 0) as net,
    s.gross - coalesce(s.lines_gross, 0) as beyond_lines,
    c.currency
from ledger.sale s
left join marts.currency c on c.currency_key = s.currency_key
where s.kind = 'realization'
