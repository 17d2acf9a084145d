-- Documents that accounting must hold for the deals of the CRM, whether or not the gate lets them pass.
-- One that was posted and is not to be changed stays as it is (`ended`); what follows it stands beside it:
-- a correction, or a return and the next revision (ops.revision).
--
-- @owner accountants
-- @scope deal_id
-- @emits counterparty_key document_key
-- @money amount currency
create table documents.document (
    document_key     text not null primary key, -- system:id in accounting, computed from target, kind, deal and revision
    deal_id          text not null,             -- core.deal
    kind             text not null,             -- order, invoice, realization, vat_invoice, correction or return
    revision         integer not null,          -- 1, and one more after every reversal; of a correction its number
    base_key         text,                      -- the document that this one corrects, takes back or goes with
    ended            text,                      -- corrected or reversed: it stays as it is; null: the deal decides
    document_date    date,                      -- date of the document, the accounting period
    due_on           date,                      -- day by which the client pays
    counterparty_id  text,                      -- core.counterparty
    counterparty_key text,                      -- core.accounting_counterparty
    contract_key     text,                      -- core.accounting_contract
    organization_key text,                      -- core.accounting_organization
    employee_id      text,                      -- responsible manager, core.employee
    currency         text,                      -- ISO 4217
    currency_key     text,                      -- core.accounting_currency
    rate             numeric(18,6),             -- accounting currency for `rate_units`
    rate_units       numeric(18,4),             -- 1, 10, 100
    rate_on          date,                      -- day from which the rate holds; null for accounting's own currency
    rate_source      text,                      -- connected system that gave the rate; likewise
    amount           numeric(18,2),             -- sum of the lines with VAT; of a correction the difference
    vat_amount       numeric(18,2),             -- VAT in `amount`
    vat_included     boolean,                   -- its terms: whether its lines state prices and sums with VAT
    has_goods        boolean not null,          -- some line is shipped
    has_services     boolean not null,          -- some line is rendered
    title            text,                      -- name of the deal
    comment          text,                      -- free text that the document carries: its deal
    lines            jsonb                      -- its lines where they are not those of the deal as it is now
);

create index document_deal on documents.document (deal_id);
create index document_counterparty on documents.document (counterparty_key);
create index document_base on documents.document (base_key) where base_key is not null;

-- @changed documents.deal
select key from change
;

-- @changed documents.document_line
select key from change
;

-- @changed documents.contract
select d.deal_id as key from documents.deal d join change on d.contract_id = change.key
;

-- @changed ops.revision
select key from change
;

-- @changed ops.setting

-- @all
select deal_id as key from documents.deal
union
select deal_id from ops.revision
;

-- @rows
with target as (
    select n.value #>> '{}' as system, k.value as kinds
    from ops.setting n
    join ops.setting k on k.system = n.value #>> '{}' and k.name = 'kinds'
    where n.name = 'accounting_system'
), sums as (
    -- What documents.deal does not add up is none here.
    select l.deal_id, case when sum(abs(l.amount)) < 1e13 then sum(l.amount) end as amount,
           case when sum(abs(l.amount)) < 1e13 then sum(l.vat_amount) end as vat_amount,
           bool_and(l.vat_included) as vat_included,
           bool_or(not l.is_service) as has_goods, bool_or(l.is_service) as has_services
    from documents.document_line l
    join scope on scope.key = l.deal_id
    group by l.deal_id
), ends as (
    select r.*,
           t.system || ':' || ops.key_of(t.system, r.kind, r.deal_id || '/' || r.revision) as document_key,
           row_number() over (partition by r.deal_id, r.kind, r.revision order by r.number) as turn,
           lead(r.held) over (partition by r.deal_id, r.kind, r.revision order by r.number) as next_held
    from ops.revision r
    join scope on scope.key = r.deal_id
    cross join target t
), latest as (
    select distinct on (deal_id, kind) * from ends order by deal_id, kind, revision desc, number desc
), live as (
    select
        t.system || ':' || ops.key_of(t.system, due.kind, d.deal_id || '/' || coalesce(e.revision + (e.ending = 'reversed')::int, 1))
            as document_key,
        d.deal_id,
        due.kind,
        coalesce(e.revision + (e.ending = 'reversed')::int, 1) as revision,
        d.document_date,
        d.due_on,
        d.counterparty_id,
        d.counterparty_key,
        c.contract_key,
        c.organization_key,
        d.employee_id,
        d.currency,
        d.currency_key,
        d.rate,
        d.rate_units,
        d.rate_on,
        d.rate_source,
        coalesce(s.amount, d.amount) as amount,
        s.vat_amount,
        s.vat_included,
        coalesce(s.has_goods, false) as has_goods,
        coalesce(s.has_services, false) as has_services,
        d.title,
        'crm:' || d.deal_id as comment,
        coalesce(e.ending = 'corrected', false) as is_corrected
    from documents.deal d
    join scope on scope.key = d.deal_id
    cross join target t
    cross join unnest(d.documents) as due(kind)
    left join sums s on s.deal_id = d.deal_id
    left join documents.contract c on c.contract_id = d.contract_id
    left join latest e on e.deal_id = d.deal_id and e.kind = due.kind
    where not coalesce(e.is_final, false)
      and t.kinds ? due.kind  -- what accounting has a place for
      -- No VAT invoice goes with what was taken back for good.
      and not (due.kind = 'vat_invoice' and exists (
          select from latest f where f.deal_id = d.deal_id and f.kind = 'realization' and f.is_final))
), stands as (
    -- What a correction leads to: the next one's beginning, or the deal as it is now.
    select e.*, coalesce(e.next_held -> 'document', to_jsonb(l)) as after_document,
           case when e.next_held is not null then e.next_held -> 'lines'
                when l.deal_id is not null then (
                    select jsonb_agg(to_jsonb(x) order by x.is_service, x.position) from documents.document_line x
                    where x.deal_id = e.deal_id) end as after_lines
    from ends e
    left join live l on l.deal_id = e.deal_id and l.kind = e.kind and l.is_corrected and e.next_held is null
    where e.ending = 'corrected'
), whole as (
    select
        l.document_key, l.deal_id, l.kind, l.revision,
        case l.kind when 'vat_invoice' then (
            select r.document_key from live r where r.deal_id = l.deal_id and r.kind = 'realization') end as base_key,
        null as ended, l.document_date, l.due_on, l.counterparty_id, l.counterparty_key, l.contract_key, l.organization_key,
        l.employee_id, l.currency, l.currency_key, l.rate, l.rate_units, l.rate_on, l.rate_source, l.amount,
        l.vat_amount, l.vat_included, l.has_goods,
        l.has_services, l.title, l.comment, null::jsonb as lines
    from live l
    where not l.is_corrected
    union all
    -- As accounting was given it: it stays. The day of one that is corrected is still the deal's to say.
    select
        e.document_key, e.deal_id, e.kind, e.revision, h.base_key, e.ending,
        coalesce(l.document_date, h.document_date) as document_date, h.due_on, h.counterparty_id,
        h.counterparty_key, h.contract_key, h.organization_key, h.employee_id, h.currency, h.currency_key, h.rate,
        h.rate_units, h.rate_on, h.rate_source, h.amount, h.vat_amount, h.vat_included, h.has_goods, h.has_services,
        h.title, h.comment, e.held -> 'lines'
    from ends e
    cross join jsonb_to_record(e.held -> 'document') as h(
        base_key text, document_date date, due_on date, counterparty_id text, counterparty_key text, contract_key text,
        organization_key text, employee_id text, currency text, currency_key text, rate numeric(18,6),
        rate_units numeric(18,4), rate_on date, rate_source text, amount numeric(18,2), vat_amount numeric(18,2),
        vat_included boolean, has_goods boolean, has_services boolean, title text, comment text)
    left join live l on l.deal_id = e.deal_id and l.kind = e.kind and l.is_corrected
    where e.turn = 1
    union all
    -- What takes a reversed one back.
    select
        t.system || ':' || ops.key_of(t.system, 'return', e.deal_id || '/' || e.kind || '/' || e.revision), e.deal_id,
        'return', e.revision, e.document_key, null, e.decided_on, e.decided_on, h.counterparty_id, h.counterparty_key,
        h.contract_key, h.organization_key, h.employee_id, h.currency, h.currency_key, h.rate, h.rate_units, h.rate_on,
        h.rate_source, h.amount, h.vat_amount, h.vat_included, h.has_goods, h.has_services, h.title, h.comment,
        e.held -> 'lines'
    from ends e
    cross join target t
    cross join jsonb_to_record(e.held -> 'document') as h(
        counterparty_id text, counterparty_key text, contract_key text, organization_key text, employee_id text,
        currency text, currency_key text, rate numeric(18,6), rate_units numeric(18,4), rate_on date, rate_source text,
        amount numeric(18,2), vat_amount numeric(18,2), vat_included boolean, has_goods boolean, has_services boolean,
        title text, comment text)
    where e.ending = 'reversed'
    union all
    -- What leads from a corrected one to what the deal says by now.
    select
        t.system || ':' || ops.key_of(t.system, 'correction', e.deal_id || '/' || e.kind || '/' || e.revision || '/' || e.number),
        e.deal_id, 'correction', e.number, e.document_key, null, e.decided_on, a.due_on, a.counterparty_id, a.counterparty_key,
        a.contract_key, a.organization_key, a.employee_id, a.currency, a.currency_key, rated.rate, rated.rate_units,
        rated.rate_on, rated.rate_source, a.amount - (e.held #>> '{document,amount}')::numeric,
        a.vat_amount - (e.held #>> '{document,vat_amount}')::numeric,
        a.vat_included, a.has_goods, a.has_services, a.title, a.comment,
        ops.corrected_lines(e.held -> 'lines', e.after_lines)
    from stands e
    cross join target t
    cross join jsonb_to_record(e.after_document) as a(
        due_on date, counterparty_id text, counterparty_key text, contract_key text, organization_key text,
        employee_id text, currency text, currency_key text, rate numeric(18,6), rate_units numeric(18,4), rate_on date,
        rate_source text, amount numeric(18,2), vat_amount numeric(18,2), vat_included boolean, has_goods boolean, has_services boolean,
        title text, comment text)
    -- It takes the rate of what it corrects, whatever day the deal has by now.
    cross join jsonb_to_record(case when e.held #>> '{document,currency}' = a.currency then e.held -> 'document'
                                    else e.after_document end) as rated(
        rate numeric(18,6), rate_units numeric(18,4), rate_on date, rate_source text)
    where e.after_document is not null
)
select
    w.document_key,
    w.deal_id,
    w.kind,
    w.revision,
    w.base_key,
    w.ended,
    w.document_date,
    w.due_on,
    w.counterparty_id,
    w.counterparty_key,
    w.contract_key,
    w.organization_key,
    w.employee_id,
    w.currency,
    w.currency_key,
    w.rate,
    w.rate_units,
    w.rate_on,
    w.rate_source,
    w.amount,
    w.vat_amount,
    w.vat_included,
    w.has_goods,
    w.has_services,
    w.title,
    w.comment,
    w.lines
from whole w
