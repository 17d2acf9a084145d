-- What accounting knows of a deal, as its manager should see it in the CRM.
--
-- @owner sales-ops
-- @scope deal_id
-- @emits client_record_id
-- @money debt currency
create table feedback.deal (
    deal_id          text not null primary key, -- core.deal
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    client_record_id text,                      -- core.client_record
    client_name      text,                      -- name of the client
    employee_id      text,                      -- responsible manager, core.employee
    title            text,                      -- name of the deal
    payment_status   text not null,             -- unpaid, partial, paid; overdue is told by `due_on`
    shipment_status  text not null,             -- none, shipped
    invoiced         numeric(18,2) not null,    -- asked to pay in accounting
    paid             numeric(18,2) not null,    -- allocated payments
    debt             numeric(18,2) not null,    -- invoiced less paid, never below 0
    debt_own         numeric(18,2),             -- the same in accounting's currency, at the documents' rates; null without a rate
    problem          text,                      -- why there is no `debt_own`
    currency         text,                      -- ISO 4217 of the deal
    due_on           date,                      -- first day by which something unpaid is due
    document_key     text                       -- the obligation that is due first
);

create index deal_client on feedback.deal (client_record_id);
create index deal_document on feedback.deal (document_key);
create index deal_due on feedback.deal (due_on) where debt > 0;

-- @changed core.deal
select key from change
;

-- @changed core.client_record
select d.deal_id as key from core.deal d join change on d.client_record_id = change.key
;

-- @changed core.client_record
select d.deal_id as key from feedback.deal d join change on d.client_record_id = change.key
;

-- @changed ledger.obligation.deal_id
select key from change
;

-- @changed ledger.obligation
select o.deal_id as key from ledger.obligation o join change on o.document_key = change.key
;

-- @changed ledger.position ledger.document
select p.deal_id as key from ledger.position p join change on p.document_key = change.key
union
select b.deal_id
from change
join ledger.document l on l.document_key = change.key
join ledger.position b on b.document_key = l.base_key
;

-- @changed ledger.allocation.document_key
select o.deal_id as key from ledger.obligation o join change on o.document_key = change.key
;

-- @changed ledger.allocation
select o.deal_id as key
from ledger.allocation a join change on a.counterparty_key = change.key
join ledger.obligation o on o.document_key = a.document_key
;

-- @changed ops.setting ops.currency_rule core.accounting_currency

-- @all
select distinct deal_id as key from ledger.position where deal_id is not null
;

-- @rows
with own as (
    select s.value #>> '{}' as currency,
           array(select l.currency_key from core.accounting_currency l
                  join ops.currency_rule r on r.system = l.source and r.value = l.code
                 where l.source = n.value #>> '{}' and r.code = s.value #>> '{}') as currency_keys
    from ops.setting n
    join ops.setting s on s.system = n.value #>> '{}' and s.name = 'currency'
    where n.name = 'accounting_system'
), owed as (
    select o.*, coalesce(a.amount, 0) as paid,
           case when coalesce(o.currency_key = any(own.currency_keys), d.currency = own.currency) then 1
                else o.rate / coalesce(nullif(o.rate_units, 0), 1) end as own_rate
    from ledger.obligation o
    join scope on scope.key = o.deal_id
    join core.deal d on d.deal_id = o.deal_id
    left join own on true
    left join lateral (
        select sum(l.amount) as amount from ledger.allocation l where l.document_key = o.document_key
    ) a on true
), sums as (
    select deal_id, sum(amount) as invoiced, sum(paid) as paid, sum(greatest(amount - paid, 0)) as debt,
           -- Without a rate of everything that is owed there is no sum.
           case when count(*) filter (where paid < amount and own_rate is null) = 0
                then coalesce(sum(round((amount - paid) * own_rate, 2)) filter (where paid < amount), 0) end as debt_own,
           min(number) filter (where paid < amount and own_rate is null) as unrated,
           min(due_on) filter (where paid < amount) as due_on,
           (array_agg(document_key order by due_on, document_key) filter (where paid < amount))[1] as document_key
    from owed group by deal_id
    -- What was taken back whole, and never paid, has nothing to be told of.
    having sum(amount) <> 0 or sum(paid) <> 0 or bool_and(lowered is null)
), moved as (
    select l.deal_id, l.amount
    from (
        select p.deal_id, p.kind, p.actual_amount as amount, p.is_posted, p.is_posting_kind
        from ledger.position p join scope on scope.key = p.deal_id
        union all
        -- What accounting entered upon a document of the deal by itself.
        select b.deal_id, p.kind, p.actual_amount, p.is_posted, p.is_posting_kind
        from ledger.position b
        join scope on scope.key = b.deal_id
        join ledger.document x on x.base_key = b.document_key
        join ledger.position p on p.document_key = x.document_key and p.deal_id is null
    ) l
    where l.kind in ('realization', 'return') and l.amount is not null and coalesce(l.is_posted, not l.is_posting_kind)
), shipped as (
    select deal_id from moved group by deal_id
    having bool_or(amount >= 0) and (sum(amount) > 0 or min(amount) >= 0)
)
select
    d.deal_id,
    d.source,
    d.source_id,
    d.client_record_id,
    c.name as client_name,
    d.employee_id,
    d.title,
    case when s.debt = 0 then 'paid' when s.paid > 0 then 'partial' else 'unpaid' end as payment_status,
    case when shipped.deal_id is not null then 'shipped' else 'none' end as shipment_status,
    s.invoiced,
    s.paid,
    s.debt,
    s.debt_own,
    case when s.debt_own is null
         then format('no sum in %s: neither document %s nor its deal says a rate; enter the rate in accounting',
                     own.currency, coalesce(s.unrated, 'without a number')) end as problem,
    d.currency,
    s.due_on,
    s.document_key
from sums s
join core.deal d on d.deal_id = s.deal_id and not d.is_deleted
left join core.client_record c on c.client_record_id = d.client_record_id
left join own on true
left join shipped on shipped.deal_id = s.deal_id
