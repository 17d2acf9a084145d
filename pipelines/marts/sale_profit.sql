-- What was sold and what it cost, document by document: posted realizations, corrections and returns with their sign.
-- The cost is what accounting's entries of the document put on the accounts of `reconcile.cost_accounts`, less what they
-- took off them. What a later entry adds (at the closing of a month) stands in no document of sale and is not in it.
-- Where accounting says no cost, cost and margin are null, and `reason` says why.
--
-- @owner accountants
-- @view
-- @column document_key text -- ledger.document
-- @column kind text -- realization, correction or return
-- @column document_date date -- its date in accounting
-- @column buyer_key text -- marts.buyer: the client, else the counterparty; null: the document names nobody
-- @column client_id text -- core.client; null: none is known
-- @column counterparty_key text -- core.accounting_counterparty
-- @column deal_id text -- core.deal; null: the document is not ours
-- @column currency text -- ISO 4217 letters
-- @column gross numeric(18,2) -- with VAT: below 0 where it takes back
-- @column vat numeric(18,2) -- VAT in `gross`; of a correction, and of a return without lines, by what it takes back
-- @column net numeric(18,2) -- gross less VAT
-- @column cost numeric(18,2) -- accounting's cost; 0 where only services were sold and none was booked; null: see reason
-- @column margin numeric(18,2) -- net less cost; null where the cost is
-- @column reason text -- no entries: accounting publishes none of it; no cost entry: goods whose cost is not booked; other currency than the cost
-- @changed marts.sold_document marts.counterparty_client marts.buyer_rule ledger.document ledger.document_line ledger.position ledger.entry core.accounting_account core.accounting_product ops.setting
-- @rows
with costing as (
    select a.account_key
    from core.accounting_account a
    where exists (
        select from ops.setting s
        cross join jsonb_array_elements_text(s.value) as named(code)
        where s.name = 'cost_accounts' and (a.code = named.code or starts_with(a.code, named.code || '.')))
), booked as (
    select e.document_key, bool_or(dr.account_key is not null or cr.account_key is not null) as has_cost,
           coalesce(sum(e.amount) filter (where dr.account_key is not null), 0)
           - coalesce(sum(e.amount) filter (where cr.account_key is not null), 0) as cost
    from ledger.entry e
    left join costing dr on dr.account_key = e.account_dr_key
    left join costing cr on cr.account_key = e.account_cr_key
    where e.is_active and not e.is_deleted
    group by e.document_key
), lines as (
    select l.document_key, coalesce(sum(l.amount), 0) as gross, coalesce(sum(l.vat_amount), 0) as vat,
           bool_and(coalesce(p.is_service, false)) as only_services
    from ledger.document_line l
    left join core.accounting_product p on p.product_key = l.product_key
    where not l.is_deleted
    group by l.document_key
), told as (
    select s.document_key, s.kind, s.document_date, coalesce(s.client_id, o.client_id) as client_id, s.counterparty_key, p.deal_id, s.currency, s.gross,
           case when s.kind <> 'correction' and l.document_key is not null then l.vat * ops.sign(s.kind)
                else coalesce(round(s.gross * b.vat / nullif(b.gross, 0), 2), 0) end as vat,
           case when s.currency is distinct from r.own_currency then 'other currency'
                when k.document_key is null then 'no entries'
                when not k.has_cost and s.kind <> 'correction' and not coalesce(l.only_services, false) then 'no cost entry'
                end as reason,
           k.cost
    from marts.sold_document s
    cross join marts.buyer_rule r
    left join marts.counterparty_client o on o.counterparty_key = s.counterparty_key
    left join ledger.position p on p.document_key = s.document_key
    left join ledger.document d on d.document_key = s.document_key
    left join lines l on l.document_key = s.document_key
    left join lines b on b.document_key = d.base_key
    left join booked k on k.document_key = s.document_key
)
select
    document_key,
    kind,
    document_date,
    coalesce('client ' || client_id, 'counterparty ' || counterparty_key) as buyer_key,
    client_id,
    counterparty_key,
    deal_id,
    currency,
    gross,
    vat,
    gross - vat as net,
    case when reason is null then cost end as cost,
    case when reason is null then gross - vat - cost end as margin,
    reason
from told
