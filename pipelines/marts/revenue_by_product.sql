-- Revenue by product and month as accounting posted it. Adds up to marts.revenue_by_client, month by month.
--
-- @owner accountants
-- @view
-- @column month date -- first day of the month of the realizations
-- @column product_key text -- core.accounting_product; null: totals of documents beyond their lines
-- @column code text -- article
-- @column product text -- name in accounting
-- @column is_service boolean -- rendered, not shipped
-- @column unit text -- unit of measure in accounting
-- @column currency text -- ISO 4217 letters
-- @column documents bigint -- posted realizations that name it: do not add up over products
-- @column quantity numeric(18,4) -- in `unit`
-- @column gross numeric(18,2) -- with VAT
-- @column vat numeric(18,2) -- VAT in `gross`
-- @column net numeric(18,2) -- gross less VAT
-- @changed marts.revenue_line core.accounting_product core.accounting_unit
-- @rows
with months as (
    select date_trunc('month', document_date)::date as month, product_key, currency,
           count(distinct document_key) as documents, sum(quantity) as quantity,
           sum(gross) as gross, sum(vat) as vat, sum(net) as net
    from marts.revenue_line
    group by date_trunc('month', document_date), product_key, currency
)
select
    m.month,
    m.product_key,
    p.code,
    p.name as product,
    p.is_service,
    u.name as unit,
    m.currency,
    m.documents,
    m.quantity,
    m.gross,
    m.vat,
    m.net
from months m
left join core.accounting_product p on p.product_key = m.product_key
left join core.accounting_unit u on u.unit_key = p.unit_key
