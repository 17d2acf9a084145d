-- What buyers are asked to pay: of each deal one level of documents, the first of these that stands in accounting:
--   1. invoices: requests to pay (1C's счёт, QuickBooks' estimate);
--   2. orders, where accounting does not bill them by itself (1C's заказ клиента, upon which its invoices are printed;
--      of SAP's orders only what it bills of them is owed);
--   3. realizations that are posted, with their corrections (SAP's billing documents, QuickBooks' Invoice).
-- Where accounting posts a kind, only what is posted counts. Returns of what was not sold anew lower it.
--
-- @owner accountants
-- @scope document_key
-- @emits counterparty_key deal_id
-- @money amount currency_key
-- @known
create table ledger.obligation (
    document_key     text not null primary key, -- ledger.document
    kind             text not null,             -- invoice, order, realization or correction; a return only of no deal
    deal_id          text,                      -- core.deal, also of what follows a document of a deal; else null
    number           text,                      -- number shown in accounting
    counterparty_key text,                      -- ledger counterparty
    organization_key text,                      -- core.accounting_organization: to whom of us it is owed
    currency_key     text,                      -- currency
    document_date    date,                      -- date of the document
    due_on           date,                      -- day by which the client pays
    asked            numeric(18,2),             -- sum of the document with VAT
    lowered          jsonb,                     -- what was taken back of it: [{"by": document_key, "on": day, "amount": sum}]
    amount           numeric(18,2),             -- `asked` less `lowered`
    rate             numeric(18,6),             -- accounting currency for `rate_units`; null where nobody says
    rate_units       numeric(18,4)              -- 1, 10, 100
);

create index obligation_counterparty on ledger.obligation (counterparty_key);
create index obligation_deal on ledger.obligation (deal_id);
create index obligation_lowered on ledger.obligation (document_key) where lowered is not null;

-- @changed ledger.position
select key from change
union
select o.document_key
from change
join ledger.obligation o on o.lowered is not null and o.lowered @> jsonb_build_array(jsonb_build_object('by', change.key))
;

-- @changed ledger.position ledger.document documents.document.document_key
-- What follows a document of a deal, in accounting's own words, is of that deal too.
select p.document_key as key
from change
join ledger.document l on l.document_key = change.key
join ledger.position b on b.document_key = l.base_key
join ledger.position p on p.document_key = l.document_key or p.deal_id = b.deal_id
union
select l.document_key from ledger.document l join change on l.base_key = change.key
;

-- @changed ledger.document
select key from change
;

-- @changed ledger.position.deal_id
select p.document_key as key from ledger.position p join change on p.deal_id = change.key
union
select l.document_key
from change
join ledger.position b on b.deal_id = change.key
join ledger.document l on l.base_key = b.document_key
;

-- @changed ops.setting

-- @all
select document_key as key from ledger.position
;

-- @rows
with target as (
    select coalesce(bool_or(x.value ?| array['invoice', 'realization']), false) as bills_orders
    from ops.setting n
    left join ops.setting x on x.system = n.value #>> '{}' and x.name = 'expects'
    where n.name = 'accounting_system'
), deals as (
    select distinct coalesce(p.deal_id, b.deal_id) as deal_id
    from scope
    join ledger.position p on p.document_key = scope.key
    left join ledger.document l on l.document_key = p.document_key and p.deal_id is null
    left join ledger.position b on b.document_key = l.base_key
), placed as (
    select d.deal_id as of_deal, p.*, null::date as base_due_on, null::numeric as base_rate, null::numeric as base_units
    from deals d join ledger.position p on p.deal_id = d.deal_id
    union all
    select b.deal_id, p.*, b.due_on, b.rate, b.rate_units
    from deals d
    join ledger.position b on b.deal_id = d.deal_id
    join ledger.document l on l.base_key = b.document_key
    join ledger.position p on p.document_key = l.document_key and p.deal_id is null
    union all
    select null, p.*, null, null, null
    from scope
    join ledger.position p on p.document_key = scope.key and p.deal_id is null
    left join ledger.document l on l.document_key = p.document_key
    left join ledger.position b on b.document_key = l.base_key
    where b.deal_id is null
), known as (
    select p.*,
           p.actual_amount is not null and case
               when p.kind in ('realization', 'correction', 'return') or p.is_posting_kind
               then coalesce(p.is_posted, not p.is_posting_kind) else true end as counts,
           case when p.kind = 'invoice' then 1
                when p.kind = 'order' and p.of_deal is not null and not t.bills_orders then 2
                when p.kind in ('realization', 'correction') then 3
                when p.kind = 'return' and p.of_deal is null then 3 end as level
    from placed p cross join target t
), sums as (
    select of_deal,
           min(level) filter (where counts and actual_amount > 0) as level,
           coalesce(sum(actual_amount) filter (where counts and level = 1), 0) as invoiced,
           coalesce(sum(actual_amount) filter (where counts and level = 2), 0) as ordered,
           -- What is yet to be sold anew counts as sold: its return came first.
           coalesce(sum(case when counts then actual_amount when not is_marked and kind = 'realization' then expected_amount end)
               filter (where level = 3), 0) as sold,
           bool_or(counts and actual_amount < 0) as is_lowered
    from known
    where of_deal is not null
    group by of_deal
), asked as (
    select k.*, s.is_lowered,
           case s.level when 1 then greatest(s.sold - s.invoiced, 0) when 2 then greatest(s.sold - s.ordered, 0)
                        else 0 end as sold_anew
    from known k
    left join sums s on s.of_deal = k.of_deal
    where k.counts and (k.of_deal is null and k.level is not null or k.level = s.level and k.actual_amount >= 0)
), taken as (
    -- Returns, and corrections downwards of what is owed by realizations, the oldest first.
    select k.of_deal, k.document_key, coalesce(l.base_key, d.base_key) as base_key, k.actual_date,
           sum(-k.actual_amount) over w + k.actual_amount as starts, sum(-k.actual_amount) over w as ends
    from known k
    join sums s on s.of_deal = k.of_deal and s.is_lowered
    left join ledger.document l on l.document_key = k.document_key
    left join documents.document d on d.document_key = k.document_key
    where k.counts and k.actual_amount < 0 and (k.kind = 'return' or k.level = s.level)
    window w as (partition by k.of_deal order by k.actual_date, k.document_key)
), owing as (
    -- What was taken back lowers the document that it takes back first, then the oldest.
    select a.of_deal, a.document_key,
           a.sold_anew + sum(a.actual_amount) over w - a.actual_amount as starts, a.sold_anew + sum(a.actual_amount) over w as ends
    from asked a
    where a.is_lowered
    window w as (partition by a.of_deal order by
        a.document_key in (select t.base_key from taken t where t.base_key is not null) desc, a.actual_date, a.document_key)
), lowered as (
    select o.document_key, sum(least(o.ends, t.ends) - greatest(o.starts, t.starts)) as amount,
           jsonb_agg(jsonb_build_object('by', t.document_key, 'on', t.actual_date,
                                        'amount', least(o.ends, t.ends) - greatest(o.starts, t.starts))
                     order by t.starts) as by
    from owing o
    join taken t on t.of_deal = o.of_deal and o.starts < t.ends and t.starts < o.ends
    group by o.document_key
)
select
    a.document_key,
    a.kind,
    a.of_deal as deal_id,
    a.number,
    a.actual_counterparty_key as counterparty_key,
    d.organization_key,
    a.actual_currency_key as currency_key,
    a.actual_date as document_date,
    coalesce(a.due_on, a.base_due_on, a.actual_date) as due_on,
    a.actual_amount as asked,
    l.by as lowered,
    a.actual_amount - coalesce(l.amount, 0) as amount,
    coalesce(a.rate, a.base_rate) as rate,
    case when a.rate is null then a.base_units else a.rate_units end as rate_units
from asked a
join scope on scope.key = a.document_key
left join lowered l on l.document_key = a.document_key
left join ledger.document d on d.document_key = a.document_key
