-- Lines of posted realizations that accounting holds: what every revenue mart adds up.
-- Where a document's total differs from its lines (or it has none), one more line without a product carries the
-- rest, so that lines always add up to what accounting posted.
--
-- @owner accountants
-- @view
-- @column document_key text -- ledger.document
-- @column number text -- number shown in accounting
-- @column document_date date -- date of the realization
-- @column counterparty_key text -- core.accounting_counterparty
-- @column deal_id text -- core.deal; null: the document is not ours
-- @column product_key text -- core.accounting_product; null: none is named
-- @column quantity numeric(18,4) -- in the product's unit
-- @column gross numeric(18,2) -- with VAT, in `currency`
-- @column vat numeric(18,2) -- VAT in `gross`
-- @column net numeric(18,2) -- gross less VAT
-- @column currency text -- ISO 4217 letters
-- @changed ledger.document ledger.document_line ledger.position marts.currency
-- @rows
with realizations as (
    select d.document_key, d.number, d.document_date, d.counterparty_key, p.deal_id, d.amount, c.currency
    from ledger.document d
    left join ledger.position p on p.document_key = d.document_key
    left join marts.currency c on c.currency_key = d.currency_key
    where d.kind = 'realization' and d.is_posted and not d.is_deleted
), lines as (
    select document_key, product_key, quantity, coalesce(amount, 0) as gross, coalesce(vat_amount, 0) as vat
    from ledger.document_line
    where not is_deleted
), sums as (
    select document_key, sum(gross) as gross from lines group by document_key
), whole as (
    select document_key, product_key, quantity, gross, vat from lines
    union all
    select r.document_key, null, null, r.amount - coalesce(s.gross, 0), 0
    from realizations r
    left join sums s on s.document_key = r.document_key
    where r.amount <> coalesce(s.gross, 0)
)
select
    r.document_key,
    r.number,
    r.document_date,
    r.counterparty_key,
    r.deal_id,
    w.product_key,
    w.quantity,
    w.gross,
    w.vat,
    w.gross - w.vat as net,
    r.currency
from realizations r
join whole w on w.document_key = r.document_key
