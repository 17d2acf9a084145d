-- What a person is asked about clients: two records that may be one client, or that have one tax number under names that
-- have nothing in common; both sides with what hangs on them. Of two clients only their strongest pair is asked; not
-- where somebody answered, nor where tax numbers differ. A pair that would join, but for names of its clients that have nothing
-- in common, is asked, too.
--
-- @owner sales-ops
-- @view
-- @column question text -- both records, by which it is answered: sverka review same LEFT RIGHT
-- @column kind text -- unsure: may be one client; number: one tax number, another name, nothing else agrees; flagged: joined by one, the names differ
-- @column weight numeric(9,3) -- log2 of the odds that they are one client
-- @column probability numeric(9,6) -- the same as a share, 0..1
-- @column levels jsonb -- of each comparison: {"label": how far the two agree, "weight": bits that it adds}
-- @column agrees text[] -- comparisons that speak for one client, the strongest first
-- @column differs text[] -- comparisons that speak against it, the strongest first
-- @column pairs bigint -- pairs of records of these two clients that would be asked
-- @column asked_at timestamptz -- since when it stands
-- @column left_id text -- core.client_record
-- @column left_client_id text -- core.client
-- @column left_source text -- connected system
-- @column left_name text -- canonical display name
-- @column left_city text -- as the source writes it
-- @column left_address text -- as the source writes it
-- @column left_tax_numbers text[] -- valid ones
-- @column left_kpps text[] -- of the number in the same place; then those of none
-- @column left_wrong_numbers text[] -- digits of those that are not valid
-- @column left_phones text[] -- its own and its people's
-- @column left_emails text[] -- its own and its people's
-- @column left_contact_names text[] -- its people
-- @column left_created_at timestamptz -- in the source
-- @column left_records bigint -- records of that client
-- @column left_deals bigint -- deals of that client
-- @column left_amounts jsonb -- sums of these deals by currency
-- @column left_documents bigint -- documents that accounting must hold for them
-- @column left_debts jsonb -- what is owed upon documents of these deals, by accounting's currency
-- @column right_id text -- core.client_record
-- @column right_client_id text -- core.client
-- @column right_source text -- connected system
-- @column right_name text -- canonical display name
-- @column right_city text -- as the source writes it
-- @column right_address text -- as the source writes it
-- @column right_tax_numbers text[] -- valid ones
-- @column right_kpps text[] -- of the number in the same place; then those of none
-- @column right_wrong_numbers text[] -- digits of those that are not valid
-- @column right_phones text[] -- its own and its people's
-- @column right_emails text[] -- its own and its people's
-- @column right_contact_names text[] -- its people
-- @column right_created_at timestamptz -- in the source
-- @column right_records bigint -- records of that client
-- @column right_deals bigint -- deals of that client
-- @column right_amounts jsonb -- sums of these deals by currency
-- @column right_documents bigint -- documents that accounting must hold for them
-- @column right_debts jsonb -- what is owed upon documents of these deals, by accounting's currency
-- @changed core.client_member core.client_profile core.deal documents.document ledger.obligation ledger.allocation marts.currency ops.identity_pair ops.identity_decision
-- @rows
with asked as (
    select case when l.client_id = r.client_id then 'flagged' when p.rule in ('inn', 'inn_kpp') then 'number' else 'unsure' end as kind, p.left_id, p.right_id, p.weight, p.levels, p.scored_at,
           l.client_id as left_client_id, r.client_id as right_client_id
    from ops.identity_pair p
    join core.client_member l on l.client_record_id = p.left_id
    join core.client_member r on r.client_record_id = p.right_id
    where l.client_id <> r.client_id
       or p.outcome = 'same' and p.rule in ('inn', 'inn_kpp') and (p.levels -> 'name' ->> 'weight')::double precision < -20
          and l.client_id = r.client_id
), sides as (
    select left_client_id as client_id from asked
    union
    select right_client_id from asked
), numbers as (
    select s.client_id, array_agg(distinct n.tax_number) as tax_numbers
    from sides s
    join core.client_member m on m.client_id = s.client_id
    join core.client_profile f on f.client_record_id = m.client_record_id
    cross join lateral unnest(f.tax_numbers) as n(tax_number)
    group by s.client_id
), answered as (
    -- what was said of two records is said of their clients
    select v.left_id, v.right_id, l.client_id as one, r.client_id as other
    from (
        select distinct left_id, right_id from ops.identity_decision where decided_by <> 'machine' and undone_at is null
    ) v
    join core.client_member l on l.client_record_id = v.left_id
    join core.client_member r on r.client_record_id = v.right_id
), open as (
    select a.*, count(*) over (partition by kind, least(left_client_id, right_client_id), greatest(left_client_id, right_client_id)) as pairs
    from asked a
    left join numbers l on l.client_id = a.left_client_id
    left join numbers r on r.client_id = a.right_client_id
    where coalesce(l.tax_numbers && r.tax_numbers, true)
      and not exists (
        select from answered d
        where d.left_id = a.left_id and d.right_id = a.right_id
           or d.one <> d.other and d.one in (a.left_client_id, a.right_client_id) and d.other in (a.left_client_id, a.right_client_id))
), questions as (
    select distinct on (kind, least(left_client_id, right_client_id), greatest(left_client_id, right_client_id)) *
    from open
    order by kind, least(left_client_id, right_client_id), greatest(left_client_id, right_client_id), weight desc, left_id, right_id
), paid as (
    select a.document_key, sum(a.amount) as amount from ledger.allocation a group by a.document_key
), weighed as (
    select s.client_id,
           (select count(*) from core.client_member m where m.client_id = s.client_id) as records,
           d.deals, d.amounts, x.documents, o.debts
    from (select left_client_id as client_id from questions union select right_client_id from questions) s
    cross join lateral (
        select coalesce(sum(c.deals), 0)::bigint as deals, jsonb_object_agg(c.currency, c.amount) as amounts
        from (
            select coalesce(d.currency, '?') as currency, count(*) as deals, coalesce(sum(d.amount), 0) as amount
            from core.client_member m
            join core.deal d on d.client_record_id = m.client_record_id
            where m.client_id = s.client_id and not d.is_deleted
            group by coalesce(d.currency, '?')) c
    ) d
    cross join lateral (
        select count(*) as documents
        from core.client_member m
        join core.deal d on d.client_record_id = m.client_record_id
        join documents.document t on t.deal_id = d.deal_id
        where m.client_id = s.client_id
    ) x
    cross join lateral (
        select jsonb_object_agg(c.currency, c.debt) filter (where c.debt > 0) as debts
        from (
            select coalesce(k.currency, b.currency_key, '?') as currency, sum(greatest(b.amount - coalesce(p.amount, 0), 0)) as debt
            from core.client_member m
            join core.deal d on d.client_record_id = m.client_record_id
            join ledger.obligation b on b.deal_id = d.deal_id
            left join paid p on p.document_key = b.document_key
            left join marts.currency k on k.currency_key = b.currency_key
            where m.client_id = s.client_id
            group by coalesce(k.currency, b.currency_key, '?')) c
    ) o
)
select
    q.left_id || ' ' || q.right_id as question,
    q.kind,
    q.weight::numeric as weight,
    (1 / (1 + power(2::double precision, -q.weight)))::numeric as probability,
    q.levels,
    array(select e.key from jsonb_each(q.levels) e where (e.value ->> 'weight')::numeric > 0.05
          order by (e.value ->> 'weight')::numeric desc, e.key) as agrees,
    array(select e.key from jsonb_each(q.levels) e where (e.value ->> 'weight')::numeric < -0.05
          order by (e.value ->> 'weight')::numeric, e.key) as differs,
    q.pairs,
    q.scored_at as asked_at,
    q.left_id,
    q.left_client_id,
    l.source as left_source,
    l.name as left_name,
    l.city as left_city,
    l.address as left_address,
    l.tax_numbers as left_tax_numbers,
    l.kpps as left_kpps,
    l.wrong_numbers as left_wrong_numbers,
    l.phones as left_phones,
    l.emails as left_emails,
    l.contact_names as left_contact_names,
    l.created_at as left_created_at,
    lw.records as left_records,
    lw.deals as left_deals,
    coalesce(lw.amounts, '{}') as left_amounts,
    lw.documents as left_documents,
    coalesce(lw.debts, '{}') as left_debts,
    q.right_id,
    q.right_client_id,
    r.source as right_source,
    r.name as right_name,
    r.city as right_city,
    r.address as right_address,
    r.tax_numbers as right_tax_numbers,
    r.kpps as right_kpps,
    r.wrong_numbers as right_wrong_numbers,
    r.phones as right_phones,
    r.emails as right_emails,
    r.contact_names as right_contact_names,
    r.created_at as right_created_at,
    rw.records as right_records,
    rw.deals as right_deals,
    coalesce(rw.amounts, '{}') as right_amounts,
    rw.documents as right_documents,
    coalesce(rw.debts, '{}') as right_debts
from questions q
join core.client_profile l on l.client_record_id = q.left_id
join core.client_profile r on r.client_record_id = q.right_id
join weighed lw on lw.client_id = q.left_client_id
join weighed rw on rw.client_id = q.right_client_id
