-- What was sold, and what was taken back or corrected of it, document by document: posted realizations, corrections and returns
-- with their sign, under the client that is known to buy by the counterparty, with VAT and what accounting's entries of the
-- document put on the accounts of `reconcile.cost_accounts`, less what they took off them. What marts of sales are made of.
--
-- @owner accountants
-- @scope counterparty_key
-- @money gross currency_key
create table ledger.sale (
    document_key     text not null primary key, -- ledger.document
    kind             text not null,             -- realization, correction or return
    number           text,                      -- number shown in accounting
    document_date    date,                      -- its date in accounting
    counterparty_key text not null,             -- core.accounting_counterparty; '-' where accounting does not know
    deal_id          text,                      -- core.deal; null: the document is not ours
    sold_to          text,                      -- core.client of the deal; without one, the only one that buys by the counterparty
    client_id        text,                      -- the same; where there is none, the only one that owes by it
    currency_key     text,                      -- core.accounting_currency
    gross            numeric(18,2) not null,    -- with VAT: below 0 where it takes back
    vat              numeric(18,2) not null,    -- of a correction in the proportion of the document that it corrects
    lines_gross      numeric(18,2),             -- sum of its lines with VAT, without a sign; null: it has none
    lines_vat        numeric(18,2),             -- VAT of its lines, without a sign; null: it has none
    only_services    boolean not null,          -- all its lines are services
    has_entries      boolean not null,          -- accounting has active entries of it
    has_cost         boolean not null,          -- some of them are on accounts of cost
    cost             numeric(18,2) not null     -- what they put there, in accounting's own currency
);

create index sale_counterparty on ledger.sale (counterparty_key);

-- @changed ledger.document.counterparty_key ledger.position.actual_counterparty_key ledger.obligation.counterparty_key
select key from change
;

-- @changed ledger.document_line
-- A correction has its VAT from the lines of the document that it corrects.
select coalesce(d.counterparty_key, '-') as key from change join ledger.document d on d.document_key = change.key
union
select coalesce(d.counterparty_key, '-') from change join ledger.document d on d.base_key = change.key
;

-- @changed ledger.entry
select coalesce(d.counterparty_key, '-') as key from change join ledger.document d on d.document_key = change.key
;

-- @changed core.deal
select coalesce(p.actual_counterparty_key, '-') as key from change join ledger.position p on p.deal_id = change.key
union
select coalesce(o.counterparty_key, '-') from change join ledger.obligation o on o.deal_id = change.key
;

-- @changed core.client_member
select coalesce(p.actual_counterparty_key, '-') as key
from change
join core.deal d on d.client_record_id = change.key
join ledger.position p on p.deal_id = d.deal_id
union
select coalesce(o.counterparty_key, '-')
from change
join core.deal d on d.client_record_id = change.key
join ledger.obligation o on o.deal_id = d.deal_id
;

-- @changed core.accounting_product
-- Goods that became a service, or the other way round: another name of a product changes nothing here.
select s.counterparty_key as key
from change
left join core.accounting_product p on p.product_key = change.key
join ledger.document_line l on l.product_key = change.key
join ledger.sale s on s.document_key = l.document_key and s.only_services is distinct from coalesce(p.is_service, false)
;

-- @changed core.accounting_account ops.setting

-- @all
select coalesce(counterparty_key, '-') as key from ledger.document
union
select coalesce(actual_counterparty_key, '-') from ledger.position
;

-- @rows
with costing as (
    select a.account_key
    from core.accounting_account a
    where exists (
        select from ops.setting s
        cross join jsonb_array_elements_text(s.value) as named(code)
        where s.name = 'cost_accounts' and (a.code = named.code or starts_with(a.code, named.code || '.')))
), documents as (
    select scope.key as party, d.* from scope join ledger.document d on d.counterparty_key = scope.key
    union all
    select '-', d.* from ledger.document d where d.counterparty_key is null and exists (select from scope where scope.key = '-')
), positions as (
    select scope.key as party, p.* from scope join ledger.position p on p.actual_counterparty_key = scope.key
    union all
    select '-', p.* from ledger.position p where p.actual_counterparty_key is null and exists (select from scope where scope.key = '-')
), sold as (
    select d.document_key, 'realization' as kind, d.number, d.document_date, d.party, p.deal_id, d.currency_key,
           coalesce(d.amount, 0) as gross, d.base_key
    from documents d
    left join ledger.position p on p.document_key = d.document_key
    where d.kind = 'realization' and d.is_posted and not d.is_deleted
    union all
    select p.document_key, p.kind, p.number, p.actual_date, p.party, p.deal_id, p.actual_currency_key, p.actual_amount, d.base_key
    from positions p
    left join ledger.document d on d.document_key = p.document_key
    where p.kind in ('correction', 'return') and p.is_posted and not p.is_marked and p.actual_amount is not null
), named as materialized (
    select s.*, coalesce(m.client_id, d.client_record_id) as deal_client
    from sold s
    left join core.deal d on d.deal_id = s.deal_id
    left join core.client_member m on m.client_record_id = d.client_record_id
), buyers as (
    -- No HAVING: it is taken to leave one row, and what joins that would be walked once a document.
    select party, case when min(deal_client) = max(deal_client) then min(deal_client) end as client_id
    from named
    where deal_client is not null and party <> '-'
    group by party
), owing as (
    select scope.key as party, coalesce(m.client_id, d.client_record_id) as client_id
    from scope
    join ledger.obligation o on o.counterparty_key = scope.key
    join core.deal d on d.deal_id = o.deal_id
    left join core.client_member m on m.client_record_id = d.client_record_id
    union all
    select n.party, coalesce(n.deal_client, b.client_id) from named n left join buyers b on b.party = n.party where n.party <> '-'
), known as (
    select party, case when min(client_id) = max(client_id) then min(client_id) end as client_id
    from owing
    where client_id is not null
    group by party
), lines as (
    select l.document_key, coalesce(sum(l.amount), 0) as gross, coalesce(sum(l.vat_amount), 0) as vat,
           bool_and(coalesce(p.is_service, false)) as only_services
    from (select document_key from sold union select base_key from sold where base_key is not null) w
    join ledger.document_line l on l.document_key = w.document_key
    left join core.accounting_product p on p.product_key = l.product_key
    where not l.is_deleted
    group by l.document_key
), booked as (
    select e.document_key, bool_or(dr.account_key is not null or cr.account_key is not null) as has_cost,
           coalesce(sum(e.amount) filter (where dr.account_key is not null), 0)
           - coalesce(sum(e.amount) filter (where cr.account_key is not null), 0) as cost
    from sold s
    join ledger.entry e on e.document_key = s.document_key
    left join costing dr on dr.account_key = e.account_dr_key
    left join costing cr on cr.account_key = e.account_cr_key
    where e.is_active and not e.is_deleted
    group by e.document_key
)
select
    n.document_key,
    n.kind,
    n.number,
    n.document_date,
    n.party as counterparty_key,
    n.deal_id,
    coalesce(n.deal_client, b.client_id) as sold_to,
    coalesce(n.deal_client, b.client_id, k.client_id) as client_id,
    n.currency_key,
    n.gross,
    case when n.kind <> 'correction' and l.document_key is not null then l.vat * ops.sign(n.kind)
         else coalesce(round(n.gross * c.vat / nullif(c.gross, 0), 2), 0) end as vat,
    l.gross as lines_gross,
    l.vat as lines_vat,
    coalesce(l.only_services, false) as only_services,
    e.document_key is not null as has_entries,
    coalesce(e.has_cost, false) as has_cost,
    coalesce(e.cost, 0) as cost
from named n
left join buyers b on b.party = n.party
left join known k on k.party = n.party
left join lines l on l.document_key = n.document_key
left join lines c on c.document_key = n.base_key
left join booked e on e.document_key = n.document_key
