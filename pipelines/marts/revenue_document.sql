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
-- @changed ledger.document ledger.document_line ledger.position marts.currency
-- @rows
with lines as (
    select document_key, coalesce(sum(amount), 0) as gross, coalesce(sum(vat_amount), 0) as vat
    from ledger.document_line
    where not is_deleted
    group by document_key
)
select
    d.document_key,
    d.number,
    d.document_date,
    d.counterparty_key,
    p.deal_id,
    coalesce(d.amount, 0) as gross,
    coalesce(l.vat, 0) as vat,
    coalesce(d.amount, 0) - coalesce(l.vat, 0) as net,
    coalesce(d.amount, 0) - coalesce(l.gross, 0) as beyond_lines,
    c.currency
from ledger.document d
left join lines l on l.document_key = d.document_key
left join ledger.position p on p.document_key = d.document_key
left join marts.currency c on c.currency_key = d.currency_key
where d.kind = 'realization' and d.is_posted and not d.is_deleted
