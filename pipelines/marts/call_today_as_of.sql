-- Whom to call about money on a day, and why: one row a buyer's counterparty and currency, the largest sum first.
-- Reasons, the strongest first: `promise broken` (the client promised a day and it passed), `overdue`, `due soon` (within
-- `call_before` days, 3). Whoever promised a day that has not passed is left in peace about that debt until then.
-- As far as it was known at `known_at`; infinity: as it is known.
--
-- @owner accountants
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @column position bigint -- place in the list of the currency: by sum, of equal sums the older debt first
-- @column buyer_key text -- marts.buyer: the client, else the counterparty; null: the documents name nobody
-- @column buyer text -- its name
-- @column phone text -- of the client, E.164; null: none is known
-- @column email text -- of the client
-- @column counterparty_key text -- core.accounting_counterparty that owes
-- @column counterparty text -- its name in accounting
-- @column employee_id text -- manager of the deal with the largest of the debts, else of the client
-- @column manager text -- name of the manager
-- @column currency text -- ISO 4217 letters
-- @column reason text -- promise broken, overdue or due soon
-- @column documents bigint -- to be spoken of
-- @column debt numeric -- of these documents
-- @column overdue numeric -- of that, what is overdue
-- @column oldest_due_on date -- day of the oldest of them
-- @column days_overdue integer -- days since, 0 up to it
-- @column promised_on date -- last day that was promised and not kept; null: none
-- @column numbers text -- numbers of the documents, the oldest first
-- @column sentence text -- what to call about, English
-- @column sentence_ru text -- the same in Russian
-- @changed marts.receivables_as_of marts.counterparty_client marts.payment_promise_as_of marts.buyer marts.buyer_rule core.payment_schedule
-- @rows
with promised as (
    select p.deal_id, s.document_number, p.currency, max(p.promised_on) filter (where p.state = 'broken') as broken_on,
           bool_or(p.state = 'waiting') as is_waiting
    from marts.payment_promise_as_of(as_of, known_at) p
    join core.payment_schedule_as_known(known_at) s on s.instalment_id = p.instalment_id
    where p.state in ('broken', 'waiting')
    group by p.deal_id, s.document_number, p.currency
), debts as (
    select coalesce('client ' || coalesce(r.client_id, o.client_id), 'counterparty ' || r.counterparty_key) as buyer_key,
           r.counterparty_key, r.counterparty, r.employee_id, r.manager, r.currency, r.number, r.debt, r.due_on, r.days_overdue,
           t.broken_on, coalesce(t.is_waiting, false) as is_waiting
    from marts.receivables_as_of(as_of, known_at) r
    left join marts.counterparty_client o on o.counterparty_key = r.counterparty_key and r.deal_id is null
    left join lateral (
        select max(p.broken_on) as broken_on, bool_or(p.is_waiting) as is_waiting
        from promised p
        where p.currency = r.currency and (p.deal_id = r.deal_id or p.deal_id is null and p.document_number is not null)
          and (p.document_number is null or p.document_number = r.number)
    ) t on true
), called as (
    select d.buyer_key, d.counterparty_key, min(d.counterparty) as counterparty, d.currency, count(*) as documents,
           (array_agg(d.employee_id order by d.debt desc, d.due_on))[1] as employee_id,
           (array_agg(d.manager order by d.debt desc, d.due_on))[1] as manager,
           sum(d.debt) as debt, coalesce(sum(d.debt) filter (where d.days_overdue > 0), 0) as overdue,
           min(d.due_on) as oldest_due_on, max(d.days_overdue) as days_overdue, max(d.broken_on) as promised_on,
           string_agg(coalesce(d.number, '-'), ', ' order by d.due_on, d.number) as numbers
    from debts d
    cross join marts.buyer_rule r
    where not d.is_waiting and (d.broken_on is not null or d.due_on <= as_of + r.call_before)
    group by d.buyer_key, d.counterparty_key, d.currency
), told as (
    select c.*, case when c.promised_on is not null then 'promise broken' when c.overdue > 0 then 'overdue' else 'due soon' end as reason
    from called c
)
select
    row_number() over (partition by t.currency order by t.debt desc, t.oldest_due_on, t.buyer_key, t.counterparty_key) as position,
    t.buyer_key,
    -- what a counterparty is called is known as of then, what a client is called is told as it stands now
    case when b.client_id is null then t.counterparty else b.buyer end as buyer,
    b.phone,
    b.email,
    t.counterparty_key,
    t.counterparty,
    coalesce(t.employee_id, b.employee_id) as employee_id,
    case when t.employee_id is null then b.manager else t.manager end as manager,
    t.currency,
    t.reason,
    t.documents,
    t.debt,
    t.overdue,
    t.oldest_due_on,
    t.days_overdue,
    t.promised_on,
    t.numbers,
    case t.reason
        when 'promise broken' then format('Promised to pay by %s and did not: %s %s (%s).', to_char(t.promised_on, 'DD.MM.YYYY'), t.debt, t.currency, t.numbers)
        when 'overdue' then format('Overdue for %s days: %s of %s %s (%s).', t.days_overdue, t.overdue, t.debt, t.currency, t.numbers)
        else format('To be paid by %s: %s %s (%s).', to_char(t.oldest_due_on, 'DD.MM.YYYY'), t.debt, t.currency, t.numbers) end as sentence,
    case t.reason
        when 'promise broken' then format('Обещали оплатить до %s и не оплатили: %s %s (%s).', to_char(t.promised_on, 'DD.MM.YYYY'), t.debt, t.currency, t.numbers)
        when 'overdue' then format('Дней просрочки: %s, просрочено %s из %s %s (%s).', t.days_overdue, t.overdue, t.debt, t.currency, t.numbers)
        else format('Срок оплаты %s: %s %s (%s).', to_char(t.oldest_due_on, 'DD.MM.YYYY'), t.debt, t.currency, t.numbers) end as sentence_ru
from told t
left join marts.buyer b on b.buyer_key = t.buyer_key
