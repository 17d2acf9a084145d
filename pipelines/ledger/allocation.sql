-- Which payment pays which obligation: as accounting says; else as a person decided (ops.payment_decision), or the score of
-- a payment that names nobody; else by the invoice's number in the purpose of payment; else the one open obligation of
-- exactly this amount; else what is due first. Each with its rule, and why.
-- Of our organizations, the money of one pays nothing that is owed to another; where the organization of a payment or
-- of an obligation is not known, it goes by the rest, after what is known.
--
-- @owner accountants
-- @scope counterparty_key
-- @emits document_key payment_key
-- @money amount currency_key
-- @known
create table ledger.allocation (
    allocation_key   text not null primary key, -- payment/document/rule
    counterparty_key text not null,             -- who paid; '-' where accounting does not know
    payment_key      text not null,             -- ledger.payment
    document_key     text not null,             -- ledger.obligation
    currency_key     text,                      -- currency of both
    paid_on          date,                      -- date of the payment
    amount           numeric(18,2) not null,    -- part of the payment for this obligation
    rule             text not null,             -- stated, person, scored, reference, exact, oldest
    reason           text not null,             -- why this document, in a sentence
    reason_ru        text not null              -- the same in Russian
);

create index allocation_counterparty on ledger.allocation (counterparty_key);
create index allocation_document on ledger.allocation (document_key);
create index allocation_payment on ledger.allocation (payment_key);

-- @changed ledger.payment.counterparty_key
select key from change
;

-- @changed ledger.payment ledger.payment_line ops.payment_decision ops.payment_tie ops.payment_verdict
select coalesce(p.counterparty_key, '-') as key from ledger.payment p join change on p.payment_key = change.key
union
-- A payment may state an invoice of somebody else, or somebody decided that it pays one: whoever owes it, and whose
-- payments were decided to pay it too.
select touched.key
from change
cross join lateral (
    select l.invoice_key as document_key from ledger.payment_line l where l.payment_key = change.key and l.invoice_key is not null
    union
    select t.document_key from ops.payment_tie t where t.payment_key = change.key
) d
cross join lateral (
    select o.counterparty_key as key from ledger.obligation o where o.document_key = d.document_key
    union all
    select coalesce(p.counterparty_key, '-') from ops.payment_tie t
    join ledger.payment p on p.payment_key = t.payment_key where t.document_key = d.document_key
) touched
;

-- @changed ledger.payment_line.invoice_key
select o.counterparty_key as key from ledger.obligation o join change on o.document_key = change.key
union
select coalesce(p.counterparty_key, '-')
from change
join ops.payment_tie t on t.document_key = change.key
join ledger.payment p on p.payment_key = t.payment_key
;

-- @changed ledger.obligation.counterparty_key
select key from change
;

-- @changed ledger.obligation
select o.counterparty_key as key from ledger.obligation o join change on o.document_key = change.key
union
-- Payments that state it, or were decided to pay it, and whoever else has to do with the documents that these pay.
select touched.key
from (
    select l.payment_key from change join ledger.payment_line l on l.invoice_key = change.key
    union
    select t.payment_key from change join ops.payment_tie t on t.document_key = change.key
) p
cross join lateral (
    select coalesce(y.counterparty_key, '-') as key from ledger.payment y where y.payment_key = p.payment_key
    union all
    select o.counterparty_key from ops.payment_tie t
    join ledger.obligation o on o.document_key = t.document_key where t.payment_key = p.payment_key
    union all
    select coalesce(y.counterparty_key, '-') from ops.payment_tie t
    join ops.payment_tie other on other.document_key = t.document_key
    join ledger.payment y on y.payment_key = other.payment_key where t.payment_key = p.payment_key
) touched
;

-- @all
select distinct coalesce(counterparty_key, '-') as key from ledger.payment
;

-- @rows
with receipts as (
    select p.payment_key, p.counterparty_key, p.currency_key, p.organization_key, p.paid_on, p.purpose, p.amount
    from ledger.payment p
    join scope on scope.key = p.counterparty_key
    where p.kind = 'receipt' and p.is_posted and not p.is_deleted
    union all
    -- Nobody knows whose: no rule can tell what they pay, accounting and people can.
    select p.payment_key, '-', p.currency_key, p.organization_key, p.paid_on, p.purpose, p.amount
    from ledger.payment p
    where p.counterparty_key is null and exists (select from scope where key = '-')
      and p.kind = 'receipt' and p.is_posted and not p.is_deleted
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
), tied as (
    -- Documents of which somebody decided what pays them, and all payments that were decided to.
    select t.payment_key
    from ops.payment_tie t
    where t.document_key in (
        select d.document_key from ops.payment_tie d join receipts r on r.payment_key = d.payment_key
        union all
        select d.document_key from ops.payment_tie d join owed o on o.document_key = d.document_key)
    group by t.payment_key
), decided as (
    -- A payment's money in the order in which it was decided, people first, after what accounting states of it.
    select v.*, o.document_key is not null as counts, o.amount - coalesce(settled.amount, 0) as open,
           greatest(least(v.amount, p.amount - coalesce(said.amount, 0) - coalesce(sum(v.amount) over earlier, 0)), 0) as free
    from ops.payment_verdict v
    join tied t on t.payment_key = v.payment_key
    join ledger.payment p on p.payment_key = v.payment_key and p.kind = 'receipt' and p.is_posted and not p.is_deleted
    left join ledger.obligation o on o.document_key = v.document_key and o.currency_key is not distinct from p.currency_key
     and coalesce(o.organization_key = p.organization_key, true)
    left join lateral (
        select sum(l.amount) as amount
        from ledger.payment_line l
        join ledger.obligation x on x.document_key = l.invoice_key and x.currency_key is not distinct from p.currency_key
         and coalesce(x.organization_key = p.organization_key, true)
        where l.payment_key = p.payment_key and not l.is_deleted) said on true
    left join lateral (
        select sum(l.amount) as amount
        from ledger.payment_line l
        join ledger.payment y on y.payment_key = l.payment_key and y.kind = 'receipt' and y.is_posted and not y.is_deleted
        where l.invoice_key = o.document_key and not l.is_deleted
          and coalesce(o.organization_key = y.organization_key, true)) settled on true
    where v.document_key is not null
    window earlier as (partition by v.payment_key order by v.is_machine, v.decided_at, v.document_key
                       rows between unbounded preceding and 1 preceding)
), chosen as (
    -- No document takes more than accounting leaves open of it.
    select d.payment_key, d.document_key, case when d.is_machine then 'scored' else 'person' end as rule, d.told, d.told_ru,
           greatest(least(d.free, d.open - coalesce(sum(d.free) over earlier, 0)), 0) as amount
    from decided d
    where d.counts
    window earlier as (partition by d.document_key order by d.is_machine, d.decided_at, d.payment_key
                       rows between unbounded preceding and 1 preceding)
), free1 as (
    select r.payment_key, r.counterparty_key, r.currency_key, r.organization_key, r.paid_on, r.purpose,
           r.amount - coalesce(s.amount, 0) - coalesce(c.amount, 0) as amount
    from receipts r
    left join (select payment_key, sum(amount) as amount from stated group by payment_key) s using (payment_key)
    left join (select payment_key, sum(amount) as amount from chosen group by payment_key) c using (payment_key)
    -- The rest of what somebody said pays nothing that is known pays nothing by rule.
    where not exists (select from ops.payment_verdict v where v.payment_key = r.payment_key and v.document_key is null)
), open1 as (
    select o.document_key, o.counterparty_key, o.currency_key, o.organization_key, o.number, o.due_on, o.document_date,
           o.amount - coalesce(s.amount, 0) - coalesce(c.amount, 0) as amount
    from owed o
    left join (
        select l.invoice_key as document_key, sum(l.amount) as amount
        from ledger.payment_line l
        join ledger.payment p on p.payment_key = l.payment_key and p.kind = 'receipt' and p.is_posted and not p.is_deleted
        join owed on owed.document_key = l.invoice_key and coalesce(owed.organization_key = p.organization_key, true)
        where not l.is_deleted group by l.invoice_key
    ) s using (document_key)
    left join (select document_key, sum(amount) as amount from chosen group by document_key) c using (document_key)
), hits as (
    select f.payment_key, o.document_key, f.paid_on, f.amount as free, o.amount as open, f.purpose, shape.key
    from free1 f
    join open1 o on o.counterparty_key = f.counterparty_key and o.currency_key is not distinct from f.currency_key
     and coalesce(o.organization_key = f.organization_key, true)
     and f.amount > 0 and o.amount > 0 and length(ltrim(o.number, '0-')) > 0
    cross join lateral (
        -- of 0000-000012 the last part counts, but of 12-2026 the whole
        select case
            when o.number ~ '^[1-9][0-9]*[-/](19|20)[0-9]{2}$' then o.number
            else regexp_replace(ltrim(regexp_replace(o.number, '^.*-', ''), '0'), '[^0-9A-Za-zА-Яа-я]', '', 'g') end as key
    ) shape
    where f.purpose ~ ('(^|[^0-9])0*' || shape.key || '([^0-9]|$)')
), named as (
    select payment_key, document_key, paid_on, free, open, count(*) over (partition by payment_key) as candidates
    from hits
    -- A contract's number, a day, a rate and a sum name no document; most payments say at once what they name.
    where purpose ~ ('(?i)(сч[её]т|накладн|акт|упд|invoice)[а-яё]*\s*№\s*0*' || key || '([^0-9]|$)')
       or regexp_replace(purpose, '(?xi)
        (договор[а-яё]*|дог\.?|контракт[а-яё]*|contract|agreement)
            (\s+(?!сч|акт|накл|упд|реал|заказ|инв|inv|bill|order)[а-яёa-z]+){0,2} \s* (№|[#]|no?\.?|номер)? \s* [0-9][0-9a-zа-яё/_-]*
        | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2} | [0-9]{1,2}[./-][0-9]{1,2}[./-]([0-9]{4}|[0-9]{2})(?![0-9])
        | ([0-9]{1,2}\s+)? (январ|феврал|март|апрел|ма[йяе]|июн|июл|август|сентябр|октябр|ноябр|декабр)[а-яё]* (\s+(19|20)[0-9]{2})?
        | ([0-9]{1,2}\s+)? (jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* (\s+[0-9]{1,2},)? \s+(19|20)[0-9]{2}
        | (19|20)[0-9]{2} \s* (г\.|г\M|год)
        | (ндс|vat|сумм[аеуы]|итого|всего|sum|amount|total) [\s:()=–—-]* ([0-9]+([.,][0-9]+)?\s*% [\s:()=–—-]*)? (в\s+сумме\s+)?
            ([0-9][0-9\s]* ([.,=-][0-9]{1,2})?(?![0-9]))?
        | [0-9]+([.,][0-9]+)?\s*%
        | ([0-9]{1,3}(\s[0-9]{3})+|[0-9]+)[.,=][0-9]{2}(?![0-9])
        | ([0-9]{1,3}(\s[0-9]{3})+|[0-9]+)([.,=-][0-9]{1,2})?\s*(руб|коп|р\.|р\M|rub|usd|eur|[$€₽])', ' ', 'g') ~ ('(^|[^0-9])0*' || key || '([^0-9]|$)')
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
    select o.document_key, o.counterparty_key, o.currency_key, o.organization_key, o.due_on, o.document_date,
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
    window w as (partition by counterparty_key, currency_key, organization_key order by due_on, document_date, document_key)
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
    window w as (partition by o.counterparty_key, o.currency_key, o.organization_key is null
                 order by o.due_on, o.document_date, o.document_key)
), oldest as (
    select payment_key, document_key, amount from same
    union all
    select f.payment_key, o.document_key, least(f.ends, o.ends) - greatest(f.starts, o.starts)
    from free4 f
    join open4 o on o.counterparty_key = f.counterparty_key and o.currency_key is not distinct from f.currency_key
     and o.is_unknown <> f.is_unknown
     and f.starts < o.ends and o.starts < f.ends
), allocated as (
    select payment_key, document_key, amount, 'stated' as rule, null as told, null as told_ru from stated
    union all select payment_key, document_key, amount, rule, told, told_ru from chosen where amount > 0
    union all select payment_key, document_key, amount, 'reference', null, null from referred where amount > 0
    union all select payment_key, document_key, amount, 'exact', null, null from exact
    union all select payment_key, document_key, amount, 'oldest', null, null from oldest
)
select
    a.payment_key || '/' || a.document_key || '/' || a.rule as allocation_key,
    r.counterparty_key,
    a.payment_key,
    a.document_key,
    r.currency_key,
    r.paid_on,
    a.amount,
    a.rule,
    case a.rule
        when 'stated' then 'accounting names this document in the payment'
        when 'reference' then format('the purpose of payment names number %s, and no other open document', o.number)
        when 'exact' then format('the one open document of exactly %s, and no other payment of that sum', a.amount)
        when 'oldest' then format('nothing names a document: of those open it is due first, on %s', coalesce(to_char(o.due_on, 'DD.MM.YYYY'), 'an unknown day'))
        else a.told end as reason,
    case a.rule
        when 'stated' then 'документ указан в платеже в учёте'
        when 'reference' then format('в назначении платежа стоит номер %s и нет номера другого открытого документа', o.number)
        when 'exact' then format('единственный открытый документ ровно на %s, и другой оплаты на эту сумму нет', a.amount)
        when 'oldest' then format('документ не назван: из открытых у этого раньше срок, %s', coalesce(to_char(o.due_on, 'DD.MM.YYYY'), 'день неизвестен'))
        else a.told_ru end as reason_ru
from allocated a
join receipts r using (payment_key)
join ledger.obligation o on o.document_key = a.document_key
