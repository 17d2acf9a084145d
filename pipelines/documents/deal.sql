-- Deals that accounting has to know of, with everything the gate looks at: one row a deal
-- whose stage calls for documents, or whose stage no rule decides.
--
-- @owner accountants
-- @scope deal_id
-- @emits contract_id counterparty_id
-- @money amount currency
create table documents.deal (
    deal_id              text not null primary key, -- core.deal
    source               text not null,             -- connected system
    source_id            text not null,             -- id in that system
    title                text,                      -- name shown in the CRM
    client_id            text,                      -- core.client
    client_record_id     text,                      -- core.client_record: the client as the deal's own CRM has it
    client_name          text,                      -- name of the client
    employee_id          text,                      -- responsible manager, core.employee
    manager              text,                      -- name of the responsible manager
    pipeline_code        text,                      -- pipeline's id in the source
    stage_code           text,                      -- stage's id in the source
    stage_name           text,                      -- name shown in the CRM
    stage_is_deleted     boolean not null,          -- the CRM has this stage no longer
    rule                 text,                      -- the mapping rule that decided, file:line; null: none did
    documents            text[] not null,           -- kinds of documents that are due
    document_date        date,                      -- date for the documents
    due_on               date,                      -- day by which the client pays
    counterparty_id      text,                      -- core.counterparty; null where not decided
    counterparties       integer not null,          -- how many could sign: of its own record, else of the client
    legal_name           text,                      -- name of the counterparty
    country              text,                      -- ISO 3166 alpha-2
    tax_number           text,                      -- INN or VAT id
    tax_number_given     text,                      -- as the CRM writes it
    tax_number_problem   text,                      -- why it is not valid
    tax_number_missing   boolean not null,          -- demanded for this country and not there
    counterparty_key     text,                      -- core.accounting_counterparty
    counterparty_origin  text,                      -- found, created, ambiguous, branchless: as documents.counterparty says
    counterparty_matches integer not null,          -- how many records of accounting fit
    contract_id          text,                      -- documents.contract
    currency             text,                      -- ISO 4217
    currency_key         text,                      -- core.accounting_currency; null where accounting has none
    rate                 numeric(18,6),             -- accounting currency for `rate_units`; 1 for its own
    rate_units           numeric(18,4),             -- 1, 10, 100
    rate_on              date,                      -- day from which the rate holds; null for accounting's own currency
    rate_source          text,                      -- connected system that gave the rate; likewise
    amount               numeric(18,2),             -- header sum; the lines less discount where the source keeps no header
    vat_included         boolean,                   -- whether `amount`, `line_amount` and `discount` include VAT
    line_amount          numeric(18,2),             -- sum of the lines
    discount             numeric(18,2),             -- of the whole deal, spread over its lines; negative: rounded up
    lines                integer not null,          -- number of lines
    same_number          text,                      -- number of another deal, due or carried, that only its spelling tells apart
    set_apart            text,                      -- why rows of the deal could not be taken, in sentences
    problems             text                       -- what could not be read from the CRM, in sentences
);

create index deal_counterparty on documents.deal (counterparty_id);
create index deal_contract on documents.deal (contract_id);

-- @changed core.deal
-- With it those whose number reads the same: by core, or by this table where core has it no longer.
select key from change
union
select o.deal_id
from core.deal d join change on d.deal_id = change.key
join core.deal o on o.source = d.source and ops.number_key(o.source_id) = ops.number_key(d.source_id)
union
select o.deal_id
from documents.deal d join change on d.deal_id = change.key
join core.deal o on o.source = d.source and ops.number_key(o.source_id) = ops.number_key(d.source_id)
;

-- @changed core.deal_line
select key from change
;

-- @changed core.deal_requisite
select key from change
;

-- @changed core.requisite_counterparty.client_record_id
-- With it the deals of the client's other records, which it may sign.
select d.deal_id as key from core.deal d join change on d.client_record_id = change.key
union
select d.deal_id
from core.client_member m join change on m.client_record_id = change.key
join core.client_member o on o.client_id = m.client_id
join core.deal d on d.client_record_id = o.client_record_id
;

-- @changed core.client_member.client_id
select d.deal_id as key
from core.client_member m join change on m.client_id = change.key
join core.deal d on d.client_record_id = m.client_record_id
;

-- @changed core.client_member
select d.deal_id as key from core.deal d join change on d.client_record_id = change.key
;

-- @changed core.requisite_counterparty
select r.deal_id as key from core.deal_requisite r join change on r.requisite_id = change.key
;

-- @changed core.client
select d.deal_id as key from documents.deal d join change on d.client_id = change.key
;

-- @changed core.counterparty
select d.deal_id as key from documents.deal d join change on d.counterparty_id = change.key
;

-- @changed documents.counterparty
select d.deal_id as key from documents.deal d join change on d.counterparty_id = change.key
;

-- @changed core.requisite
select d.deal_id as key from documents.deal d join change on d.counterparty_id = change.key
;

-- @changed core.employee
select d.deal_id as key from core.deal d join change on d.employee_id = change.key
;

-- @changed core.stage
select o.deal_id as key
from core.deal d join core.stage s on s.source = d.source and s.stage_code = d.stage_code
join change on s.stage_id = change.key
join core.deal o on o.source = d.source and ops.number_key(o.source_id) = ops.number_key(d.source_id)
;

-- @changed core.currency_rate
select d.deal_id as key
from documents.deal d join core.currency_rate r on r.currency = d.currency and r.valid_from <= d.document_date
join change on r.rate_id = change.key
;

-- @changed ops.quarantine
select key from change
;

-- @changed ops.stage_rule ops.setting ops.currency_rule core.accounting_currency

-- @all
select deal_id as key from core.deal
;

-- @rows
with target as (
    select n.value #>> '{}' as system,
           (select h.value::integer from ops.setting h
             where h.system = n.value #>> '{}' and h.name = 'rate_holds_days') as rate_holds_days
    from ops.setting n where n.name = 'accounting_system'
), deals as (
    select d.*,
           -- What the CRM says of its client is never lost, even where it gave no such record.
           coalesce(m.client_id, d.client_record_id) as client_id,
           -- The day by the clock of those who work in the source, not by ours.
           coalesce(d.closed_on, (d.created_at at time zone coalesce(z.value #>> '{}', 'UTC'))::date) as document_date,
           s.name as stage_name, s.outcome, coalesce(s.is_deleted, false) as stage_is_deleted
    from core.deal d
    join scope on scope.key = d.deal_id
    left join core.client_member m on m.client_record_id = d.client_record_id
    left join core.stage s
      on s.source = d.source and s.stage_code = d.stage_code
     and s.pipeline_code is not distinct from d.pipeline_code
    left join ops.setting z on z.system = d.source and z.name = 'timezone'
    where not d.is_deleted
), ruled as (
    select deals.*, rule.place, rule.documents, rule.due_days, rule.ignore
    from deals
    left join lateral (
        select r.place, r.documents, r.due_days, r.ignore
        from ops.stage_rule r
        where r.system = deals.source
          and coalesce(r.pipeline_code, '*') in ('*', deals.pipeline_code)
          and coalesce(r.stage_code, '*') in ('*', deals.stage_code)
          and (r.outcome is null or r.outcome = deals.outcome)
          and (r.valid_from is null or r.valid_from <= deals.document_date)
          and (r.valid_to is null or r.valid_to >= deals.document_date)
        order by r.position
        limit 1
    ) rule on true
), due as (
    select * from ruled
    where place is null or (not coalesce(ignore, false) and cardinality(documents) > 0)
), added as (
    -- On the deal's own VAT terms, to be compared with its header.
    select l.deal_id, count(*)::integer as lines,
           sum(case
               when coalesce(l.vat_included, due.vat_included, true) = coalesce(due.vat_included, true) then l.amount
               when l.vat_included then l.amount - round(l.amount * coalesce(l.vat_rate, 0) / (100 + coalesce(l.vat_rate, 0)), 2)
               else l.amount + round(l.amount * coalesce(l.vat_rate, 0) / 100, 2) end) as line_amount
    from core.deal_line l join due on due.deal_id = l.deal_id
    where not l.is_deleted
    group by l.deal_id
), lines as (
    -- No document holds more: 15 digits, two of them kopecks, are what 1C keeps of a sum.
    select deal_id, lines, case when abs(line_amount) < 1e13 then line_amount end as line_amount, line_amount as in_all from added
), sums as (
    select d.deal_id, l.lines, l.line_amount, l.in_all, given.discount,
           coalesce(d.amount, l.line_amount - coalesce(given.discount, 0)) as amount,
           l.line_amount - coalesce(d.amount, l.line_amount - coalesce(given.discount, 0)) as gap
    from due d
    left join lines l on l.deal_id = d.deal_id
    cross join lateral (
        select coalesce(d.discount_amount, round(l.line_amount * d.discount_percent / 100, 2)) as discount) given
), signers as (
    select rc.client_record_id, count(distinct rc.counterparty_id)::integer as counterparties,
           min(rc.counterparty_id) as counterparty_id
    from core.requisite_counterparty rc
    where rc.is_active and rc.client_record_id in (select client_record_id from due)
    group by rc.client_record_id
), client_signers as (
    -- Of the client's other records, for deals whose own has nobody who could sign.
    select m.client_id, count(distinct rc.counterparty_id)::integer as counterparties,
           min(rc.counterparty_id) as counterparty_id
    from core.client_member m
    join core.requisite_counterparty rc on rc.client_record_id = m.client_record_id and rc.is_active
    where m.client_id in (
        select client_id from due where client_record_id not in (select client_record_id from signers))
    group by m.client_id
), signed as (
    select due.*,
           case when named.counterparty_id is not null then named.counterparty_id
                when coalesce(own.counterparties, others.counterparties) = 1
                then coalesce(own.counterparty_id, others.counterparty_id) end as counterparty_id,
           case when named.counterparty_id is not null then 1
                else coalesce(own.counterparties, others.counterparties, 0) end as counterparties
    from due
    left join core.deal_requisite dr on dr.deal_id = due.deal_id and not dr.is_deleted
    left join core.requisite_counterparty named on named.requisite_id = dr.requisite_id
    left join signers own on own.client_record_id = due.client_record_id
    left join client_signers others on own.client_record_id is null and others.client_id = due.client_id
)
select
    d.deal_id,
    d.source,
    d.source_id,
    d.title,
    d.client_id,
    d.client_record_id,
    c.name as client_name,
    d.employee_id,
    e.full_name as manager,
    d.pipeline_code,
    d.stage_code,
    d.stage_name,
    d.stage_is_deleted,
    d.place as rule,
    coalesce(d.documents, '{}') as documents,
    d.document_date,
    d.document_date + coalesce(d.due_days, 0) as due_on,
    d.counterparty_id,
    d.counterparties,
    cp.legal_name,
    cp.country,
    cp.tax_number,
    given.tax_number_given,
    cp.tax_number_problem,
    d.counterparty_id is not null and cp.tax_number is null
        and coalesce(cp.country = any (
            select jsonb_array_elements_text(s.value) from ops.setting s
            where s.system = d.source and s.name = 'tax_numbers_demanded_for'), false) as tax_number_missing,
    dc.counterparty_key,
    dc.origin as counterparty_origin,
    coalesce(dc.matches, 0) as counterparty_matches,
    d.counterparty_id || '/' || d.currency as contract_id,
    d.currency,
    lc.currency_key,
    case when d.currency = own.value #>> '{}' then 1 else rate.rate end as rate,
    case when d.currency = own.value #>> '{}' then 1 else rate.units end as rate_units,
    rate.valid_from as rate_on,
    rate.source as rate_source,
    sums.amount,
    coalesce(d.vat_included, true) as vat_included,
    sums.line_amount,
    -- What the header is below the lines is a discount where the source says so, in figures or in its mapping.
    case
        when coalesce(sums.gap, 0) = 0 or sums.amount < 0 then 0
        when sums.gap = sums.discount then sums.gap
        when abs(sums.gap) <= (select c.value::numeric from ops.setting c
                                where c.system = d.source and c.name = 'amounts_rounding_up_to') then sums.gap
        when sums.gap > 0
         and sums.gap * 100 <= sums.line_amount * (select c.value::numeric from ops.setting c
                                                    where c.system = d.source and c.name = 'amounts_discount_up_to')
         and (select c.value #>> '{}' from ops.setting c
               where c.system = d.source and c.name = 'amounts_below_lines') = 'discount' then sums.gap
        else 0 end as discount,
    coalesce(sums.lines, 0) as lines,
    (select min(o.source_id) from core.deal o
      where o.source = d.source and ops.number_key(o.source_id) = ops.number_key(d.source_id)
        and o.deal_id <> d.deal_id
        and (exists (select from due where due.deal_id = o.deal_id)
             or exists (select from documents.deal stands where stands.deal_id = o.deal_id
                        and stands.deal_id not in (select key from scope))
             or ops.is_carried(o.deal_id))) as same_number,
    (select string_agg(distinct q.reason, '; ') from ops.quarantine q
      where q.source = d.source and q.parent_id = d.source_id and q.resolved_at is null) as set_apart,
    nullif(concat_ws('; ', nullif(array_to_string(d.problems, '; '), ''),
                     case when sums.in_all is distinct from sums.line_amount then
                         'its lines add up to ' || sums.in_all || ', which is too large a sum' end), '') as problems
from signed d
cross join target
left join core.client c on c.client_id = d.client_id
left join core.employee e on e.employee_id = d.employee_id
left join core.counterparty cp on cp.counterparty_id = d.counterparty_id
left join documents.counterparty dc on dc.counterparty_id = d.counterparty_id
left join sums on sums.deal_id = d.deal_id
left join lateral (
    select r.tax_number_given from core.requisite r
    where r.requisite_id = d.counterparty_id limit 1
) given on true
left join ops.setting own on own.system = target.system and own.name = 'currency'
left join ops.currency_rule cr on cr.system = target.system and cr.code = d.currency
left join lateral (
    -- A classifier may hold a currency twice.
    select min(l.currency_key) as currency_key from core.accounting_currency l
    where l.source = target.system and l.code = cr.value and not l.is_deleted
) lc on true
left join lateral (
    select r.rate, r.units, r.valid_from, r.source from core.currency_rate r
    where r.currency = d.currency and r.valid_from <= d.document_date and not r.is_deleted and r.rate > 0
      and (target.rate_holds_days is null or r.valid_from >= d.document_date - target.rate_holds_days)
    order by r.valid_from desc, r.source = target.system desc, r.rate_id limit 1
) rate on d.currency is distinct from own.value #>> '{}'
