-- Which payment pays which obligation: as accounting says; else by the invoice's number in the purpose of
-- payment; else the one open obligation of exactly this amount; else the oldest first. Each with its rule.
-- Of our organizations, the money of one pays nothing that is owed to another; where the organization of a payment or
-- of an obligation is not known, it goes by the rest, after what is known.
--
-- @owner accountants
-- @scope counterparty_key
-- @emits document_key
-- @money amount currency_key
-- @known
create table ledger.allocation (
    allocation_key   text not null primary key, -- payment/document/rule
    counterparty_key text not null,             -- who paid
    payment_key      text not null,             -- ledger.payment
    document_key     text not null,             -- ledger.obligation
    currency_key     text,                      -- currency of both
    paid_on          date,                      -- date of the payment
    amount           numeric(18,2) not null,    -- part of the payment for this obligation
    rule             text not null              -- stated, reference, exact, oldest
);

create index allocation_counterparty on ledger.allocation (counterparty_key);
create index allocation_document on ledger.allocation (document_key);
create index allocation_payment on ledger.allocation (payment_key);

-- @changed ledger.payment.counterparty_key
select key from change
;

-- @changed ledger.payment ledger.payment_line
select p.counterparty_key as key from ledger.payment p join change on p.payment_key = change.key
union
-- A payment may state an invoice of somebody else, and leaves less of it open to that one's own payments.
select o.counterparty_key
from change
join ledger.payment_line l on l.payment_key = change.key
join ledger.obligation o on o.document_key = l.invoice_key
;

-- @changed ledger.payment_line.invoice_key
select o.counterparty_key as key from ledger.obligation o join change on o.document_key = change.key
;

-- @changed ledger.obligation.counterparty_key
select key from change
;

-- @changed ledger.obligation
select o.counterparty_key as key from ledger.obligation o join change on o.document_key = change.key
union
select p.counterparty_key
from change
join ledger.payment_line l on l.invoice_key = change.key
join ledger.payment p on p.payment_key = l.payment_key
;

-- @all
select distinct counterparty_key as key from ledger.payment where counterparty_key is not null
;

-- @rows
with receipts as (
    select p.* from ledger.payment p
    join scope on scope.key = p.counterparty_key
    where p.kind = 'receipt' and p.is_posted and not p.is_deleted
), owed as (
    select o.* from ledger.obligation o join scope on scope.key = o.counterparty_key
), stated as (
    select r.payment_key, l.invoice_key as document_key, sum(l.amount) as amount
    from receipts r
    join ledger.payment_line l on l.payment_key = r.payment_key and not l.is_deleted
    join ledger.obligation o on o.document_key = l.invoice_key and o.currency_key is not distinct from r.currency_key
     and coalesce(o.organization_key = r.organization_key, true)
    group by r.payment_key, l.invoice_key
    having sum(l.amount) <> 0
), free1 as (
    select r.payment_key, r.counterparty_key, r.currency_key, r.organization_key, r.paid_on, r.purpose,
           r.amount - coalesce(s.amount, 0) as amount
    from receipts r
    left join (select payment_key, sum(amount) as amount from stated group by payment_key) s using (payment_key)
), open1 as (
    select o.document_key, o.counterparty_key, o.currency_key, o.organization_key, o.number, o.document_date,
           o.amount - coalesce(s.amount, 0) as amount
    from owed o
    left join (
        select l.invoice_key as document_key, sum(l.amount) as amount
        from ledger.payment_line l
        join ledger.payment p on p.payment_key = l.payment_key and p.kind = 'receipt' and p.is_posted and not p.is_deleted
        join owed on owed.document_key = l.invoice_key and coalesce(owed.organization_key = p.organization_key, true)
        where not l.is_deleted group by l.invoice_key
    ) s using (document_key)
), named as (
    select f.payment_key, o.document_key, f.paid_on, f.amount as free, o.amount as open,
           count(*) over (partition by f.payment_key) as candidates
    from free1 f
    join open1 o on o.counterparty_key = f.counterparty_key and o.currency_key is not distinct from f.currency_key
     and coalesce(o.organization_key = f.organization_key, true)
     and f.amount > 0 and o.amount > 0 and length(ltrim(o.number, '0-')) > 0
     and f.purpose ~ ('(^|[^0-9])0*' || regexp_replace(ltrim(regexp_replace(o.number, '^.*-', ''), '0'), '[^0-9A-Za-zА-Яа-я]', '', 'g') || '([^0-9]|$)')
), referred as (
    select payment_key, document_key,
           greatest(least(free, open - coalesce(sum(free) over earlier, 0)), 0) as amount
    from named
    where candidates = 1
    window earlier as (partition by document_key order by paid_on, payment_key rows between unbounded preceding and 1 preceding)
), free2 as (
    select f.payment_key, f.counterparty_key, f.currency_key, f.organization_key, f.paid_on,
           f.amount - coalesce(r.amount, 0) as amount
    from free1 f
    left join (select payment_key, sum(amount) as amount from referred group by payment_key) r using (payment_key)
    where f.amount - coalesce(r.amount, 0) > 0
), open2 as (
    select o.document_key, o.counterparty_key, o.currency_key, o.organization_key, o.document_date,
           o.amount - coalesce(r.amount, 0) as amount
    from open1 o
    left join (select document_key, sum(amount) as amount from referred group by document_key) r using (document_key)
    where o.amount - coalesce(r.amount, 0) > 0
), equal as (
    select f.payment_key, o.document_key, f.amount,
           count(*) over (partition by f.payment_key) as documents,
           count(*) over (partition by o.document_key) as payments
    from free2 f
    join open2 o on o.counterparty_key = f.counterparty_key and o.currency_key is not distinct from f.currency_key
     and o.amount = f.amount and coalesce(o.organization_key = f.organization_key, true)
), exact as (
    select payment_key, document_key, amount from equal where documents = 1 and payments = 1
), free3 as (
    select f.*, sum(f.amount) over w - f.amount as starts, sum(f.amount) over w as ends
    from free2 f
    where not exists (select from exact e where e.payment_key = f.payment_key)
    window w as (partition by counterparty_key, currency_key, organization_key order by paid_on, payment_key)
), open3 as (
    select o.*, sum(o.amount) over w - o.amount as starts, sum(o.amount) over w as ends
    from open2 o
    where not exists (select from exact e where e.document_key = o.document_key)
    window w as (partition by counterparty_key, currency_key, organization_key order by document_date, document_key)
), same as (
    select f.payment_key, o.document_key, least(f.ends, o.ends) - greatest(f.starts, o.starts) as amount
    from free3 f
    join open3 o on o.counterparty_key = f.counterparty_key and o.currency_key is not distinct from f.currency_key
     and o.organization_key is not distinct from f.organization_key
     and f.starts < o.ends and o.starts < f.ends
), free4 as (
    -- what is left, of payments whose organization is not known and of those whose is
    select f.payment_key, f.counterparty_key, f.currency_key, f.organization_key is null as is_unknown,
           sum(f.amount - coalesce(s.amount, 0)) over w - f.amount + coalesce(s.amount, 0) as starts,
           sum(f.amount - coalesce(s.amount, 0)) over w as ends
    from free3 f
    left join (select payment_key, sum(amount) as amount from same group by payment_key) s on s.payment_key = f.payment_key
    where f.amount > coalesce(s.amount, 0)
    window w as (partition by f.counterparty_key, f.currency_key, f.organization_key is null order by f.paid_on, f.payment_key)
), open4 as (
    select o.document_key, o.counterparty_key, o.currency_key, o.organization_key is null as is_unknown,
           sum(o.amount - coalesce(s.amount, 0)) over w - o.amount + coalesce(s.amount, 0) as starts,
           sum(o.amount - coalesce(s.amount, 0)) over w as ends
    from open3 o
    left join (select document_key, sum(amount) as amount from same group by document_key) s on s.document_key = o.document_key
    where o.amount > coalesce(s.amount, 0)
    window w as (partition by o.counterparty_key, o.currency_key, o.organization_key is null order by o.document_date, o.document_key)
), oldest as (
    select payment_key, document_key, amount from same
    union all
    select f.payment_key, o.document_key, least(f.ends, o.ends) - greatest(f.starts, o.starts)
    from free4 f
    join open4 o on o.counterparty_key = f.counterparty_key and o.currency_key is not distinct from f.currency_key
     and o.is_unknown <> f.is_unknown
     and f.starts < o.ends and o.starts < f.ends
), allocated as (
    select payment_key, document_key, amount, 'stated' as rule from stated
    union all select payment_key, document_key, amount, 'reference' from referred where amount > 0
    union all select payment_key, document_key, amount, 'exact' from exact
    union all select payment_key, document_key, amount, 'oldest' from oldest
)
select
    a.payment_key || '/' || a.document_key || '/' || a.rule as allocation_key,
    r.counterparty_key,
    a.payment_key,
    a.document_key,
    r.currency_key,
    r.paid_on,
    a.amount,
    a.rule
from allocated a
join receipts r using (payment_key)
