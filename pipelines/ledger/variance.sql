-- Differences between what the CRM expects and what accounting holds, each with one reason.
-- Per counterparty, measure and month, expected minus actual is the sum of `amount`: every kopeck explained.
--
-- @owner accountants
-- @scope document_key
-- @emits counterparty_key
-- @money amount currency_key
create table ledger.variance (
    variance_key     text not null primary key, -- document/measure/reason/side
    document_key     text not null,             -- ledger.position or ledger.payment
    measure          text not null,             -- ordered, invoiced, realized, vat_invoiced, paid or exchanged
    reason           text not null,             -- reason code, see docs/reconciliation.md
    period           date,                      -- first day of the month of the document; null where no date could be read
    deal_id          text,                      -- core.deal
    counterparty_key text,                      -- core.accounting_counterparty
    currency_key     text,                      -- core.accounting_currency
    amount           numeric(18,2) not null,    -- expected minus actual; 0 where only something else differs
    expected         text,                      -- what the CRM says
    actual           text,                      -- what accounting says
    sentence         text not null,             -- what is the matter, and the remedy
    sentence_ru      text not null,             -- the same in Russian
    owner            text not null              -- who mends it: accountants or sales
);

create index variance_counterparty on ledger.variance (counterparty_key);
create index variance_document on ledger.variance (document_key);

-- @changed ledger.position
select key from change
;

-- @changed ledger.position.deal_id
-- What accounting makes by itself is told of with the order that it is made of.
select p.document_key as key
from ledger.position p
join change on p.deal_id = change.key
where p.expected_amount is not null and p.is_apart and exists (
    select from ops.setting x where x.name = 'expects' and x.value ? p.kind)
;

-- @changed ledger.document_line
select key from change
;

-- @changed core.accounting_product
-- The sentence calls the other product by its name.
select v.document_key as key
from ledger.variance v
join ledger.document_line l on l.document_key = v.document_key
join change on l.product_key = change.key
where v.reason = 'product'
;

-- @changed documents.document_line documents.document
select p.document_key as key from ledger.position p join change on p.deal_id = change.key
;

-- @changed ledger.obligation
select key from change
;

-- @changed ledger.obligation.counterparty_key
-- Which organization a buyer owes says why money that came to another pays nothing.
select p.payment_key as key from ledger.payment p join change on p.counterparty_key = change.key
where p.organization_key is not null
;

-- @changed core.accounting_organization
select p.payment_key as key
from ledger.payment p
join change on p.organization_key = change.key
join ledger.variance v on v.document_key = p.payment_key and v.reason = 'organization'
;

-- @changed ledger.allocation.document_key
select key from change
;

-- @changed ledger.allocation.payment_key
select key from change
;

-- @changed ledger.payment
select key from change
;

-- @changed ledger.fx_difference.payment_key
select key from change
;

-- @all
-- Of a million documents that agree, nothing is looked at.
select document_key as key from ledger.position where is_apart
union
select document_key from ledger.allocation
union
select payment_key from ledger.payment
;

-- @changed ops.setting

-- @rows
with rounding as (
    -- a difference up to here is one of rounding
    select coalesce(max(r.value::numeric), 0.05) as most
    from ops.setting r
    where r.name = 'rounding_up_to'
      and r.system = (select n.value #>> '{}' from ops.setting n where n.name = 'accounting_system')
), comparable as (
    -- Documents whose lines both sides know, and know otherwise.
    select p.document_key from ledger.position p join scope on scope.key = p.document_key where p.has_other_lines
), unlike as (
    -- What one side has more of than the other; equal lines cancel out, in whatever order and part they stand.
    select document_key, product_key, quantity, price, amount, vat, vat_amount, sum(n) as n, max(name) as name
    from (
        select c.document_key, e.product_key, e.quantity, e.price, e.amount, e.vat, e.vat_amount, 1 as n,
               e.product_name as name
        from comparable c
        cross join lateral (
            -- Few differ: their lines are looked up, whatever the planner thinks of how many they are.
            select l.product_key, l.quantity, l.price, l.amount, l.vat, l.vat_amount, l.product_name
            from documents.document d
            join documents.document_line l on l.deal_id = d.deal_id
            where d.document_key = c.document_key and d.lines is null
            union all
            select l.product_key, l.quantity, l.price, l.amount, l.vat, l.vat_amount, l.product_name
            from documents.document d
            cross join jsonb_populate_recordset(null::documents.document_line, d.lines) l
            where d.document_key = c.document_key and d.lines is not null and d.kind <> 'correction'
            offset 0) e
        union all
        select c.document_key, a.product_key, a.quantity, a.price, a.amount, a.vat, a.vat_amount, -1, null
        from comparable c join ledger.document_line a on a.document_key = c.document_key and not a.is_deleted
    ) line
    group by document_key, product_key, quantity, price, amount, vat, vat_amount
    having sum(n) <> 0
), single as (
    select u.document_key, u.product_key, u.quantity, u.price, u.amount, u.vat, u.vat_amount, u.name, u.n > 0 as is_ours,
           row_number() over (partition by u.document_key, u.n > 0, u.product_key
                              order by u.amount, u.quantity, u.price, u.vat, u.vat_amount) as turn
    from unlike u cross join generate_series(1, abs(u.n))
), same_product as (
    select e as ours, a as theirs from single e
    join single a on a.document_key = e.document_key and a.product_key = e.product_key and a.turn = e.turn
    where e.is_ours and not a.is_ours
), rest as (
    select s as line, s.document_key, s.is_ours,
           row_number() over (partition by s.document_key, s.is_ours order by s.amount, s.quantity, s.product_key, s.turn) as turn
    from single s
    where not exists (
        select from single other
        where other.document_key = s.document_key and other.product_key = s.product_key and other.turn = s.turn
          and other.is_ours <> s.is_ours)
), pairs as (
    select ours, theirs from same_product
    union all
    select e.line, a.line
    from (select * from rest where is_ours) e
    full join (select * from rest where not is_ours) a on a.document_key = e.document_key and a.turn = e.turn
), met as (
    select coalesce((ours).document_key, (theirs).document_key) as document_key,
           (ours).name as name, (ours).amount as amount, (ours).vat as vat, (ours).vat_amount as vat_amount,
           (theirs).amount as their_amount, (theirs).vat as their_vat, (theirs).vat_amount as their_vat_amount,
           case
               -- a product or a rate that we cannot tell is expected of nobody
               when (ours).document_key is null or (theirs).document_key is null
                 or ((ours).product_key is not null and (ours).product_key is distinct from (theirs).product_key) then 'product'
               when (ours).quantity is distinct from (theirs).quantity then 'quantity'
               -- accounting may keep a price to the kopeck
               when (ours).amount is distinct from (theirs).amount or abs((ours).price - (theirs).price) >= 0.01 then 'price_version'
           end as reason,
           trim_scale((ours).quantity) || ' × ' || trim_scale((ours).price) || ' = ' || (ours).amount as told,
           trim_scale((theirs).quantity) || ' × ' || trim_scale((theirs).price) || ' = ' || (theirs).amount as their_told,
           (theirs).product_key as their_product_key
    from pairs
), vat_apart as (
    select document_key, name, amount, vat, vat_amount, their_vat, their_vat_amount, vat is distinct from their_vat as is_rate
    from met
    where vat is not null and their_amount is not null
      and (vat is distinct from their_vat or (amount = their_amount and vat_amount is distinct from their_vat_amount))
), differing as (
    select m.document_key, m.reason,
           coalesce(m.name || ' ' || m.told, 'no line') as expected,
           coalesce(their.told, 'no line') as actual,
           coalesce(m.name || ' ' || m.told, 'нет строки') as expected_ru,
           coalesce(their.told, 'нет строки') as actual_ru
    from met m
    left join core.accounting_product l on l.product_key = m.their_product_key and m.reason = 'product'
    cross join lateral (
        select case when m.reason = 'product' then coalesce(l.name, '?') || ' ' else '' end || m.their_told as told) their
    where m.reason is not null
    union all
    select v.document_key,
           case when bool_or(v.is_rate) over w
                  or max(abs(v.vat_amount - coalesce(v.their_vat_amount, 0))) over w > rounding.most
                  or abs(sum(v.vat_amount - coalesce(v.their_vat_amount, 0)) over w) > rounding.most
                then 'vat' else 'vat_rounding' end,
           concat_ws(' ', v.name, v.vat, v.vat_amount), concat_ws(' ', coalesce(v.their_vat, 'none'), v.their_vat_amount),
           concat_ws(' ', v.name, v.vat, v.vat_amount), concat_ws(' ', coalesce(v.their_vat, 'нет'), v.their_vat_amount)
    from vat_apart v
    cross join rounding
    window w as (partition by v.document_key)
), lines as (
    select document_key, reason, count(*) as n,
           (array_agg(expected order by expected, actual))[1:3] as expected, (array_agg(actual order by expected, actual))[1:3] as actual,
           (array_agg(expected_ru order by expected, actual))[1:3] as expected_ru,
           (array_agg(actual_ru order by expected, actual))[1:3] as actual_ru
    from differing
    group by document_key, reason
), told_lines as (
    select document_key, reason,
           array_to_string(expected, '; ') || more.en as expected, array_to_string(actual, '; ') || more.en as actual,
           array_to_string(expected_ru, '; ') || more.ru as expected_ru, array_to_string(actual_ru, '; ') || more.ru as actual_ru
    from lines
    cross join lateral (
        select case when n > 3 then format('; and %s more', n - 3) else '' end as en,
               case when n > 3 then format('; и ещё %s', n - 3) else '' end as ru) more
), maker as (
    -- Accounting by its name, of the kinds that it makes by itself and that we never write.
    select made.kind, coalesce(t.value, n.value) #>> '{}' as title
    from ops.setting n
    join ops.setting x on x.system = n.value #>> '{}' and x.name = 'expects'
    cross join jsonb_array_elements_text(x.value) as made(kind)
    left join ops.setting t on t.system = x.system and t.name = 'title'
    where n.name = 'accounting_system'
      and not exists (select from ops.setting w where w.system = x.system and w.name = 'post_' || made.kind)
), p as (
    -- Only of what differs is more asked, and worded.
    select p.*, ops.measure(p.kind) as measure,
           case when p.is_posting_kind and not coalesce(p.is_posted, false) then null else p.actual_amount end as counted,
           coalesce(p.number, 'без номера') as shown_number,
           to_char(p.actual_date, 'DD.MM.YYYY') as shown_date,
           ops.kind_name(p.kind) as kind_en,
           ops.kind_name_ru(p.kind) as kind_ru,
           maker.title as maker, made_of.number as order_number
    from ledger.position p
    join scope on scope.key = p.document_key
    left join maker on maker.kind = p.kind
    left join lateral (
        select min(o.number) as number from ledger.position o
        where maker.kind is not null and o.deal_id = p.deal_id and o.kind = 'order' and o.expected_amount is not null
          and o.actual_amount is not null) made_of on true
    where p.is_apart
), main_reason as (
    -- the reason of a difference of sums
    select document_key, (array_agg(reason order by array_position(array['quantity', 'product', 'price_version'], reason)))[1] as reason
    from lines where reason in ('quantity', 'product', 'price_version')
    group by document_key
), idle as (
    -- corrections that came to nothing: the deal is back at what it was, or what was to be corrected is taken back without them
    select p.document_key from p
    where p.kind = 'correction' and p.expected_amount = 0 and not exists (
        select from documents.document d
        cross join jsonb_populate_recordset(null::documents.document_line, d.lines) l
        where d.document_key = p.document_key
          and (l.quantity, l.price, l.amount) is distinct from (l.quantity_before, l.price_before, l.amount_before))
), whole as (
    -- the document is on one side only
    select document_key, measure, deal_id, 'expected' as side, expected_counterparty_key as counterparty_key,
           expected_currency_key as currency_key, expected_amount as amount,
           case
               when hold_reason is not null then 'missing_in_accounting'
               when is_marked then 'missing_in_accounting'
               when operation_state = 'rejected' then 'missing_in_accounting'
               when operation_state = 'held' then 'missing_in_accounting'
               when operation_state = 'verified' then 'missing_in_accounting'
               when waits_for is not null then 'missing_in_accounting'
               else 'timing'
           end as reason,
           expected_amount::text as expected, 'none' as actual,
           case
               when hold_reason is not null then 'not carried, the gate holds it: ' || hold_reason
               when is_marked then format('%s %s of %s is deleted in accounting, or marked for it; restore it there, or take the deal back in the CRM', kind_en, shown_number, shown_date)
               when operation_state = 'rejected' then 'accounting refused it: ' || coalesce(operation_reason, 'no reason given')
               when operation_state = 'held' then 'its operation waits for a person: ' || coalesce(operation_reason, '')
               when operation_state = 'verified' then format('we wrote this %s and read it back, and it is gone now; ask who deleted it in accounting', kind_en)
               when waits_for is not null then 'not carried, it waits for ' || waits_for
               when order_number is not null then format('not billed yet; %s makes its own bills: bill order %s there', maker, order_number)
               when maker is not null then format('not billed yet, and there is no order of it in %s: once there is, bill it there', maker)
               else 'not carried yet; the next sync carries it'
           end as sentence,
           case
               when hold_reason is not null then 'не перенесено, удержано проверкой: ' || hold_reason_ru
               when is_marked then format('%s %s от %s удалён(а) в учёте или помечен(а) на удаление; восстановите документ там или верните сделку в CRM', kind_ru, shown_number, shown_date)
               when operation_state = 'rejected' then 'учёт отказал: ' || coalesce(operation_reason_ru, 'без причины')
               when operation_state = 'held' then 'операция ждёт решения: ' || coalesce(operation_reason_ru, '')
               when operation_state = 'verified' then format('%s: записали и прочитали обратно, теперь документа нет; выясните, кто удалил его в учёте', kind_ru)
               when waits_for is not null then 'не перенесено, ждёт: ' || waits_for_ru
               when order_number is not null then format('фактуры ещё нет; её выставляют в %s: выставьте там фактуру по заказу %s', maker, order_number)
               when maker is not null then format('фактуры ещё нет, и заказа в %s тоже нет: когда он появится, выставьте там фактуру', maker)
               else 'ещё не перенесено; перенесёт следующая синхронизация'
           end as sentence_ru,
           case when hold_reason is not null then 'sales' else 'accountants' end as owner
    from p
    where expected_amount is not null and actual_amount is null
      and document_key not in (select idle.document_key from idle)  -- came to nothing before it left: not written
    union all
    select document_key, measure, deal_id, 'actual', actual_counterparty_key, actual_currency_key, -counted,
           case
               when deal_id is not null and is_deal_deleted then 'deleted_in_crm'
               when deal_id is not null then 'missing_in_crm'
               when copy_of is not null then 'duplicate'
               else 'foreign'
           end,
           'none', counted::text,
           case
               when deal_id is not null and is_deal_deleted then format('deal %s was deleted in the CRM, %s %s of %s stands in accounting; reverse it there or restore the deal', deal_id, kind_en, shown_number, shown_date)
               when deal_id is not null then format('deal %s no longer calls for %s %s of %s; reverse it in accounting or correct the stage in the CRM', deal_id, kind_en, shown_number, shown_date)
               when copy_of is not null then format('%s %s of %s repeats a document of the same deal; mark one of the two for deletion', kind_en, shown_number, shown_date)
               else format('%s %s of %s was entered in accounting by hand; nothing to do unless a deal should stand behind it', kind_en, shown_number, shown_date)
           end,
           case
               when deal_id is not null and is_deal_deleted then format('сделка %s удалена в CRM, а %s %s от %s есть в учёте; сторнируйте документ или восстановите сделку', deal_id, kind_ru, shown_number, shown_date)
               when deal_id is not null then format('сделка %s больше не требует документа: %s %s от %s; сторнируйте его или исправьте стадию в CRM', deal_id, kind_ru, shown_number, shown_date)
               when copy_of is not null then format('%s %s от %s повторяет документ той же сделки; пометьте один из них на удаление', kind_ru, shown_number, shown_date)
               else format('%s %s от %s введён(а) в учёте вручную; если за документом нет сделки, делать ничего не нужно', kind_ru, shown_number, shown_date)
           end,
           'accountants'
    from p
    where expected_amount is null and counted is not null
    union all
    -- A draft that we wrote, and that is due no more: it moves no sum, and a person may post it.
    select document_key, measure, deal_id, 'actual', actual_counterparty_key, actual_currency_key, 0,
           case when is_deal_deleted then 'deleted_in_crm' else 'missing_in_crm' end,
           'none', actual_amount || ' (not posted)',
           format('%s %s of %s was written for deal %s, which %s, and is not posted; mark it for deletion in accounting', kind_en,
                  shown_number, shown_date, deal_id,
                  case when is_deal_deleted then 'was deleted in the CRM' else 'does not call for it any more' end),
           format('%s %s от %s: документ записан по сделке %s, которая %s, и не проведён; пометьте его в учёте на удаление',
                  kind_ru, shown_number, shown_date, deal_id,
                  case when is_deal_deleted then 'удалена в CRM' else 'его больше не требует' end),
           'accountants'
    from p
    where expected_amount is null and actual_amount is not null and counted is null and deal_id is not null
), both_sides as (
    select p.*,
           expected_counterparty_key is distinct from actual_counterparty_key as other_counterparty,
           expected_currency_key is distinct from actual_currency_key as other_currency
    from p where expected_amount is not null and actual_amount is not null
), moved as (
    -- the same document under another counterparty or currency: both sums differ, each on its own side
    select document_key, measure, deal_id, s.side,
           case s.side when 'expected' then expected_counterparty_key else actual_counterparty_key end as counterparty_key,
           case s.side when 'expected' then expected_currency_key else actual_currency_key end as currency_key,
           case s.side when 'expected' then expected_amount else -counted end as amount,
           case when other_counterparty then 'counterparty' else 'currency' end as reason,
           case when other_counterparty then coalesce(expected_counterparty_key, 'none') else expected_currency_key end as expected,
           case when other_counterparty then coalesce(actual_counterparty_key, 'none') else actual_currency_key end as actual,
           format('%s %s of %s stands under another %s in accounting than the CRM says; correct it on the side that is wrong',
                  kind_en, shown_number, shown_date, case when other_counterparty then 'counterparty' else 'currency' end) as sentence,
           format('%s %s от %s: в учёте другой %s, чем в CRM; исправьте там, где ошибка',
                  kind_ru, shown_number, shown_date, case when other_counterparty then 'контрагент' else 'код валюты' end) as sentence_ru,
           'accountants' as owner
    from both_sides
    cross join (values ('expected'), ('actual')) as s(side)
    where (other_counterparty or other_currency) and (s.side = 'expected' or counted is not null)
), unposted as (
    select document_key, measure, deal_id, 'expected' as side, expected_counterparty_key as counterparty_key,
           expected_currency_key as currency_key, expected_amount as amount, 'unposted' as reason,
           'posted' as expected, 'not posted' as actual,
           case when maker is not null
                then format('%s %s of %s counts for nothing in %s: cancelled there, or not booked yet; have it booked, bill order %s anew, or take the deal back in the CRM',
                            kind_en, shown_number, shown_date, maker, coalesce(order_number, '?'))
                else format('%s %s of %s is written but not posted%s', kind_en, shown_number, shown_date,
                  case when document_key in (select idle.document_key from idle) then ', and corrects nothing any more: mark it for deletion in accounting'
                       when operation_reason is not null then ': ' || operation_reason
                       else '; post it in accounting, or find out who unposted it' end) end as sentence,
           case when maker is not null
                then format('%s %s от %s: в %s не считается, сторнирована там или ещё не проведена; проведите её, выставьте фактуру по заказу %s заново или верните сделку в CRM',
                            kind_ru, shown_number, shown_date, maker, coalesce(order_number, '?'))
                else format('%s %s от %s записан(а), но не проведён(а)%s', kind_ru, shown_number, shown_date,
                  case when document_key in (select idle.document_key from idle) then ' и больше ничего не исправляет: пометьте документ в учёте на удаление'
                       when operation_reason is not null then ': ' || operation_reason_ru
                       else '; проведите документ или выясните, кто отменил проведение' end) end as sentence_ru,
           'accountants' as owner
    from both_sides
    where not other_counterparty and not other_currency and counted is null
), amounts as (
    select b.document_key, measure, deal_id, 'expected' as side, expected_counterparty_key as counterparty_key,
           expected_currency_key as currency_key, expected_amount - counted as amount,
           case when abs(expected_amount - counted) <= rounding.most then 'vat_rounding' else coalesce(l.reason, 'amount') end as reason,
           expected_amount::text as expected, counted::text as actual,
           format('%s %s of %s: the CRM says %s, accounting holds %s%s; correct the side that is wrong', kind_en, shown_number,
                  shown_date, expected_amount, counted,
                  case when sent_amount is not null and sent_amount <> counted then ' (we wrote ' || sent_amount || ')' else '' end) as sentence,
           format('%s %s от %s: в CRM %s, в учёте %s%s; исправьте там, где ошибка', kind_ru, shown_number, shown_date,
                  expected_amount, counted,
                  case when sent_amount is not null and sent_amount <> counted then ' (мы записали ' || sent_amount || ')' else '' end) as sentence_ru,
           'accountants' as owner
    from both_sides b
    cross join rounding
    left join main_reason l on l.document_key = b.document_key
    where not other_counterparty and not other_currency and counted is not null and expected_amount <> counted
), details as (
    -- What else the lines differ by. It moves no sum, or another reason has the sum already.
    select b.document_key, b.measure, b.deal_id, 'lines' as side, b.expected_counterparty_key as counterparty_key,
           b.expected_currency_key as currency_key, 0::numeric as amount, l.reason, l.expected, l.actual,
           format('%s %s of %s: %s: the CRM says %s, accounting holds %s; correct the side that is wrong',
                  kind_en, shown_number, shown_date, words.en, l.expected, l.actual) as sentence,
           format('%s %s от %s: %s: в CRM %s, в учёте %s; исправьте там, где ошибка',
                  kind_ru, shown_number, shown_date, words.ru, l.expected_ru, l.actual_ru) as sentence_ru,
           'accountants' as owner
    from both_sides b
    join told_lines l on l.document_key = b.document_key
    join (values ('quantity', 'another quantity', 'другое количество'),
                 ('product', 'another product', 'другая номенклатура'),
                 ('price_version', 'another price', 'другая цена'),
                 ('vat', 'another VAT', 'другой НДС'),
                 ('vat_rounding', 'VAT is rounded otherwise', 'НДС округлён иначе')) as words(reason, en, ru)
      on words.reason = l.reason
    left join amounts a on a.document_key = b.document_key
    where a.reason is distinct from l.reason
), dates as (
    select document_key, measure, deal_id, 'date' as side, expected_counterparty_key as counterparty_key,
           expected_currency_key as currency_key, 0::numeric as amount, 'date' as reason,
           expected_date::text as expected, actual_date::text as actual,
           format('%s %s: the CRM says %s, accounting %s; %s; correct the side that is wrong', kind_en, shown_number, expected_date,
                  actual_date, case when is_other_month then 'the period differs' else 'the day differs, within one month' end) as sentence,
           format('%s %s: в CRM %s, в учёте %s; %s; исправьте там, где ошибка', kind_ru, shown_number,
                  to_char(expected_date, 'DD.MM.YYYY'), to_char(actual_date, 'DD.MM.YYYY'),
                  case when is_other_month then 'период другой' else 'месяц тот же, день другой' end) as sentence_ru,
           'accountants' as owner
    from both_sides
    cross join lateral (
        select date_trunc('month', expected_date) is distinct from date_trunc('month', actual_date) as is_other_month) month
    where expected_date is distinct from actual_date and (maker is null or counted is not null)
), paid as (
    select o.*, coalesce(a.amount, 0) as paid, a.document_key is not null as is_paid
    from ledger.obligation o
    join scope on scope.key = o.document_key
    left join (select document_key, sum(amount) as amount from ledger.allocation group by document_key) a
      on a.document_key = o.document_key
), settling as (
    select document_key, 'paid' as measure, deal_id, 'expected' as side, counterparty_key, currency_key,
           amount - paid as amount,
           case when paid < amount then 'partial_payment' else 'overpayment' end as reason,
           amount::text as expected, paid::text as actual,
           format('%s %s of %s: %s of %s paid, due on %s; %s', ops.kind_name(kind), coalesce(number, '?'), coalesce(document_date::text, 'an unknown day'),
                  paid, amount, coalesce(due_on::text, 'an unknown day'),
                  case when paid < amount then format('collect the other %s from the buyer, or correct the document', amount - paid)
                       else format('return %s to the buyer, or allocate it to another document in accounting', paid - amount) end) as sentence,
           format('%s %s от %s: оплачено %s из %s, срок %s; %s', ops.kind_name_ru(kind), coalesce(number, '?'),
                  coalesce(to_char(document_date, 'DD.MM.YYYY'), 'неизвестного дня'), paid, amount, coalesce(to_char(due_on, 'DD.MM.YYYY'), 'неизвестен'),
                  case when paid < amount then format('получите с покупателя остальные %s или исправьте документ', amount - paid)
                       else format('верните покупателю %s или отнесите их в учёте на другой документ', paid - amount) end) as sentence_ru,
           'sales' as owner
    from paid
    where is_paid and paid <> amount  -- what nobody has paid yet is a debt (marts.receivables), no variance
), elsewhere as (
    -- paid by another counterparty than the one that owes
    select a.document_key, 'paid', o.deal_id, s.side || '/' || a.payment_key,
           case s.side when 'owes' then o.counterparty_key else nullif(a.counterparty_key, '-') end,
           a.currency_key, case s.side when 'owes' then a.amount else -a.amount end, 'counterparty',
           o.counterparty_key, nullif(a.counterparty_key, '-'),
           format('payment of %s over %s came from another counterparty than the one that owes; see who paid for whom', a.paid_on, a.amount),
           format('оплата от %s на %s поступила не от того контрагента, который должен; выясните, кто за кого платил', to_char(a.paid_on, 'DD.MM.YYYY'), a.amount),
           'accountants'
    from ledger.allocation a
    join scope on scope.key = a.document_key
    join ledger.obligation o on o.document_key = a.document_key
    cross join (values ('owes'), ('paid')) as s(side)
    where a.counterparty_key is distinct from o.counterparty_key
), payments as (
    select pay.payment_key, 'paid', null::text, 'payment', pay.counterparty_key, pay.currency_key,
           case pay.kind when 'refund' then pay.amount else coalesce(a.amount, 0) - pay.amount end,
           case when pay.kind = 'refund' then 'refund' when organization.is_of_another then 'organization' else 'unallocated' end,
           'none', pay.amount::text,
           case
               when pay.kind = 'refund' then format('%s was returned to the buyer on %s; see which document it belongs to', pay.amount, pay.paid_on)
               when organization.is_of_another then format('%s of the payment of %s (%s) came to %s, and this buyer owes another of our organizations: the money of one pays no document of another; correct the organization in accounting, or have it set off there', pay.amount - coalesce(a.amount, 0), pay.paid_on, coalesce(pay.purpose, 'no purpose'), coalesce(us.name, pay.organization_key))
               else format('%s of the payment of %s (%s) pay no known document; allocate them in accounting', pay.amount - coalesce(a.amount, 0), pay.paid_on, coalesce(pay.purpose, 'no purpose')) end,
           case
               when pay.kind = 'refund' then format('%s возвращено покупателю %s; укажите, к какому документу', pay.amount, to_char(pay.paid_on, 'DD.MM.YYYY'))
               when organization.is_of_another then format('%s из оплаты от %s (%s) поступили организации %s, а должен покупатель другой нашей организации: деньги одной не закрывают документы другой; исправьте организацию в учёте или проведите взаимозачёт', pay.amount - coalesce(a.amount, 0), to_char(pay.paid_on, 'DD.MM.YYYY'), coalesce(pay.purpose, 'без назначения'), coalesce(us.name, pay.organization_key))
               else format('%s из оплаты от %s (%s) не относятся ни к одному документу; разнесите оплату в учёте', pay.amount - coalesce(a.amount, 0), to_char(pay.paid_on, 'DD.MM.YYYY'), coalesce(pay.purpose, 'без назначения')) end,
           'accountants'
    from ledger.payment pay
    join scope on scope.key = pay.payment_key
    left join (select payment_key, sum(amount) as amount from ledger.allocation group by payment_key) a
      on a.payment_key = pay.payment_key
    left join core.accounting_organization us on us.organization_key = pay.organization_key
    cross join lateral (
        select not exists (
                   select from ledger.obligation o
                   where o.counterparty_key = pay.counterparty_key and o.currency_key is not distinct from pay.currency_key
                     and o.organization_key = pay.organization_key)
               and exists (
                   select from ledger.obligation o
                   where o.counterparty_key = pay.counterparty_key and o.currency_key is not distinct from pay.currency_key
                     and o.organization_key <> pay.organization_key) as is_of_another
    ) organization
    where pay.is_posted and not pay.is_deleted
      and (pay.kind = 'refund' or pay.amount <> coalesce(a.amount, 0))
), exchanged as (
    select f.payment_key, 'exchanged', f.deal_id, f.fx_key, nullif(f.counterparty_key, '-'), f.own_currency_key,
           f.own_realized - f.own_paid, 'fx_difference', f.own_realized::text, f.own_paid::text,
           format('%s of the payment of %s pay a realization of %s: %s at the rate of that day (%s for %s), %s at the rate of the payment (%s for %s); see that accounting entered the exchange difference of %s',
                  f.amount, f.paid_on, f.realized_on, f.own_realized, trim_scale(f.realization_rate), trim_scale(f.realization_units),
                  f.own_paid, trim_scale(f.payment_rate), trim_scale(f.payment_units), f.difference),
           format('%s из оплаты от %s закрывают реализацию от %s: %s по курсу того дня (%s за %s), %s по курсу оплаты (%s за %s); проверьте, что в учёте есть курсовая разница %s',
                  f.amount, to_char(f.paid_on, 'DD.MM.YYYY'), to_char(f.realized_on, 'DD.MM.YYYY'), f.own_realized,
                  trim_scale(f.realization_rate), trim_scale(f.realization_units), f.own_paid, trim_scale(f.payment_rate),
                  trim_scale(f.payment_units), f.difference),
           'accountants'
    from ledger.fx_difference f
    join scope on scope.key = f.payment_key
    where f.difference <> 0
), told as (
    select document_key, measure, deal_id, side, counterparty_key, currency_key, amount, reason, expected, actual, sentence, sentence_ru, owner from whole
    union all select document_key, measure, deal_id, side, counterparty_key, currency_key, amount, reason, expected, actual, sentence, sentence_ru, owner from moved
    union all select document_key, measure, deal_id, side, counterparty_key, currency_key, amount, reason, expected, actual, sentence, sentence_ru, owner from unposted
    union all select document_key, measure, deal_id, side, counterparty_key, currency_key, amount, reason, expected, actual, sentence, sentence_ru, owner from amounts
    union all select document_key, measure, deal_id, side, counterparty_key, currency_key, amount, reason, expected, actual, sentence, sentence_ru, owner from details
    union all select document_key, measure, deal_id, side, counterparty_key, currency_key, amount, reason, expected, actual, sentence, sentence_ru, owner from dates
    union all select document_key, measure, deal_id, side, counterparty_key, currency_key, amount, reason, expected, actual, sentence, sentence_ru, owner from settling
    union all select * from elsewhere
    union all select * from payments
    union all select * from exchanged
)
select
    t.document_key || '/' || t.measure || '/' || t.reason || '/' || t.side as variance_key,
    t.document_key,
    t.measure,
    t.reason,
    date_trunc('month', case t.measure
        when 'exchanged' then paid.paid_on
        when 'paid' then coalesce(owed.document_date, paid.paid_on)
        else coalesce(p.actual_date, p.expected_date) end)::date as period,
    t.deal_id,
    t.counterparty_key,
    t.currency_key,
    t.amount,
    t.expected,
    t.actual,
    t.sentence,
    t.sentence_ru,
    t.owner
from told t
left join p on p.document_key = t.document_key
left join ledger.obligation owed on owed.document_key = t.document_key
left join ledger.payment paid on paid.payment_key = t.document_key
