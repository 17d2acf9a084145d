-- Documents that accounting must hold for the deals of the CRM, whether or not the gate lets them pass.
--
-- @owner accountants
-- @scope deal_id
-- @emits counterparty_key document_key
-- @money amount currency
create table documents.document (
    document_key     text not null primary key, -- system:id in accounting, computed from target, kind, deal and revision
    deal_id          text not null,             -- core.deal
    kind             text not null,             -- invoice or realization
    revision         integer not null,          -- 1, and one more after every reversal
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
    amount           numeric(18,2),             -- sum of the lines with VAT
    vat_amount       numeric(18,2),             -- VAT in `amount`
    has_goods        boolean not null,          -- some line is shipped
    has_services     boolean not null,          -- some line is rendered
    title            text,                      -- name of the deal
    comment          text                       -- free text that the document carries: its deal
);

create index document_deal on documents.document (deal_id);
create index document_counterparty on documents.document (counterparty_key);

-- @changed documents.deal
select key from change
;

-- @changed documents.document_line
select key from change
;

-- @changed documents.contract
select d.deal_id as key from documents.deal d join change on d.contract_id = change.key
;

-- @changed ops.setting

-- @all
select deal_id as key from documents.deal
;

-- @rows
with target as (
    select value #>> '{}' as system from ops.setting where name = 'accounting_system'
), sums as (
    select l.deal_id, sum(l.amount) as amount, sum(l.vat_amount) as vat_amount,
           bool_or(not l.is_service) as has_goods, bool_or(l.is_service) as has_services
    from documents.document_line l
    join scope on scope.key = l.deal_id
    group by l.deal_id
)
select
    t.system || ':' || ops.key_of(t.system, kind, d.deal_id || '/1') as document_key,
    d.deal_id,
    kind,
    1 as revision,
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
    coalesce(s.amount, d.amount) as amount,
    s.vat_amount,
    coalesce(s.has_goods, false) as has_goods,
    coalesce(s.has_services, false) as has_services,
    d.title,
    'crm:' || d.deal_id as comment
from documents.deal d
join scope on scope.key = d.deal_id
cross join target t
cross join unnest(d.documents) as kind
left join sums s on s.deal_id = d.deal_id
left join documents.contract c on c.contract_id = d.contract_id
