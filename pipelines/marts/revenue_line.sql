-- Lines of posted realizations that accounting holds: revenue down to the product.
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
-- @changed marts.revenue_document ledger.document_line
-- @rows
with whole as (
    select document_key, product_key, quantity, coalesce(amount, 0) as gross, coalesce(vat_amount, 0) as vat
    from ledger.document_line
    where not is_deleted
    union all
    select document_key, null, null, beyond_lines, 0
    from marts.revenue_document
    where beyond_lines <> 0
)
select
    d.document_key,
    d.number,
    d.document_date,
    d.counterparty_key,
    d.deal_id,
    w.product_key,
    w.quantity,
    w.gross,
    w.vat,
    w.gross - w.vat as net,
    d.currency
from marts.revenue_document d
join whole w on w.document_key = d.document_key
