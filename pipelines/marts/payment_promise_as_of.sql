-- Payments that clients promised (core.payment_schedule, kind `promised`), and whether they came, by a date.
-- A promise is for the document that it names, else for all of its deal. Of what was owed when it was given, `promised` is
-- its amount, else the whole; kept: so much was paid since, by the promised day. Payments are those of ledger.allocation.
-- As far as it was known at `known_at`; infinity: as it is known.
--
-- @owner accountants
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @column instalment_id text -- core.payment_schedule
-- @column deal_id text -- core.deal; null: none was found
-- @column said_on date -- day on which it was promised; null: the source does not say, and all payments count
-- @column promised_on date -- day by which the client said it would pay
-- @column currency text -- ISO 4217 letters: of the documents
-- @column documents bigint -- for which it was promised; 0: none was found
-- @column promised numeric -- to be paid by that day
-- @column paid numeric -- of that, paid since said_on and up to the day of the promise
-- @column paid_late numeric -- paid after it, up to as_of
-- @column missing numeric -- promised less both, never below 0
-- @column state text -- kept, waiting, kept late, broken; unknown: no document of it was found
-- @changed core.payment_schedule core.deal marts.obligation_as_of ledger.allocation
-- @rows
with given as (
    select s.instalment_id, s.said_on, s.due_on as promised_on, s.amount, s.currency, s.document_number,
           coalesce(s.deal_id, (
               select min(d.deal_id) from core.deal_as_known(known_at) d where d.source_id = s.deal_number having count(*) = 1)) as deal_id
    from core.payment_schedule_as_known(known_at) s
    where s.kind = 'promised' and not s.is_deleted and s.due_on is not null and (s.said_on is null or s.said_on <= as_of)
), owed as (
    select g.instalment_id, o.document_key, o.currency, o.amount
    from given g
    join marts.obligation_as_of(as_of, known_at) o
      on (o.deal_id = g.deal_id or g.deal_id is null and g.document_number is not null)
     and (g.document_number is null or o.number = g.document_number)
     and (g.currency is null or o.currency = g.currency)
), paid as (
    select o.instalment_id, o.document_key,
           coalesce(sum(a.amount) filter (where a.paid_on < g.said_on), 0) as before,
           coalesce(sum(a.amount) filter (where a.paid_on <= g.promised_on), 0) as by_day,
           coalesce(sum(a.amount), 0) as by_now
    from owed o
    join given g on g.instalment_id = o.instalment_id
    join ledger.allocation_as_known(known_at) a on a.document_key = o.document_key and a.paid_on <= as_of
    group by o.instalment_id, o.document_key
), sums as (
    select o.instalment_id, o.currency, count(*) as documents, greatest(sum(o.amount - coalesce(p.before, 0)), 0) as owed,
           coalesce(sum(p.by_day - p.before), 0) as paid, coalesce(sum(p.by_now - greatest(p.by_day, p.before)), 0) as paid_late
    from owed o
    left join paid p on p.instalment_id = o.instalment_id and p.document_key = o.document_key
    group by o.instalment_id, o.currency
), told as (
    select g.instalment_id, g.deal_id, g.said_on, g.promised_on, coalesce(s.currency, g.currency) as currency, coalesce(s.documents, 0) as documents,
           least(g.amount, s.owed) as promised, greatest(s.paid, 0) as paid, coalesce(s.paid_late, 0) as paid_late
    from given g
    left join sums s on s.instalment_id = g.instalment_id
)
select
    instalment_id,
    deal_id,
    said_on,
    promised_on,
    currency,
    documents,
    promised,
    paid,
    paid_late,
    greatest(promised - paid - paid_late, 0) as missing,
    case when documents = 0 then 'unknown'
         when paid >= promised then 'kept'
         when as_of <= promised_on then 'waiting'
         when paid + paid_late >= promised then 'kept late'
         else 'broken' end as state
from told
