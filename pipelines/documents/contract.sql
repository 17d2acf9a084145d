-- The contract under which a counterparty's documents in one currency run: found in accounting, or to be created.
--
-- @owner accountants
-- @scope contract_id
create table documents.contract (
    contract_id      text not null primary key, -- counterparty_id/currency
    counterparty_id  text not null,             -- core.counterparty
    counterparty_key text,                      -- core.accounting_counterparty
    contract_key     text,                      -- core.accounting_contract; null while the counterparty is ambiguous
    origin           text not null,             -- found, created (by us, or to be)
    name             text,                      -- name in accounting
    currency         text,                      -- ISO 4217
    currency_key     text,                      -- core.accounting_currency
    organization_key text                       -- core.accounting_organization
);

-- @changed documents.deal.contract_id
select key from change
;

-- @changed documents.counterparty
select c.contract_id as key from documents.contract c join change on c.counterparty_id = change.key
;

-- @changed core.accounting_contract.counterparty_key
select c.contract_id as key from documents.contract c join change on c.counterparty_key = change.key
;

-- @changed ops.setting ops.currency_rule core.accounting_organization core.accounting_currency

-- @all
select distinct contract_id as key from documents.deal where contract_id is not null
;

-- @rows
with needed as (
    -- One contract of counterparties that are one record of accounting, though their details say different things.
    select d.*, coalesce((
               select min(c.counterparty_id collate "C") from documents.counterparty c
               where c.counterparty_key = dc.counterparty_key and c.origin = 'created' and c.kpp is not null
           ), d.counterparty_id) || '/' || d.currency as shared_id
    from (
        select distinct d.contract_id, d.counterparty_id, d.currency
        from documents.deal d
        join scope on scope.key = d.contract_id
    ) d
    left join documents.counterparty dc on dc.counterparty_id = d.counterparty_id
), target as (
    select n.value #>> '{}' as system,
           coalesce((select c.value #>> '{}' from ops.setting c
                      where c.system = n.value #>> '{}' and c.name = 'default_contract'), 'Основной договор') as contract_name,
           (select o.organization_key from core.accounting_organization o
             where not o.is_deleted and o.source = n.value #>> '{}'
               and o.tax_number = coalesce((select t.value #>> '{}' from ops.setting t
                    where t.system = n.value #>> '{}' and t.name = 'organization_tax_number'), o.tax_number)
             order by o.organization_key limit 1) as organization_key
    from ops.setting n where n.name = 'accounting_system'
), found as (
    select distinct on (needed.contract_id) needed.contract_id, l.contract_key, l.name
    from needed
    cross join target
    join documents.counterparty dc on dc.counterparty_id = needed.counterparty_id
    join core.accounting_contract l
      on l.counterparty_key = dc.counterparty_key and not l.is_deleted and l.is_with_buyer
     and l.organization_key = target.organization_key
    join ops.currency_rule cr on cr.system = target.system and cr.code = needed.currency
    join core.accounting_currency lc on lc.code = cr.value and lc.currency_key = l.currency_key
    order by needed.contract_id,
             (l.contract_key = target.system || ':' || ops.key_of(target.system, 'contract', needed.contract_id)) desc,
             (l.contract_key = target.system || ':' || ops.key_of(target.system, 'contract', needed.shared_id)) desc,
             (l.name = target.contract_name) desc, l.code, l.contract_key
)
select
    n.contract_id,
    n.counterparty_id,
    dc.counterparty_key,
    case when dc.counterparty_key is null then null
         else coalesce(f.contract_key, t.system || ':' || ops.key_of(t.system, 'contract', n.shared_id)) end as contract_key,
    case when f.contract_key is null
           or f.contract_key in (t.system || ':' || ops.key_of(t.system, 'contract', n.contract_id),
                                 t.system || ':' || ops.key_of(t.system, 'contract', n.shared_id))
         then 'created' else 'found' end as origin,
    coalesce(f.name, t.contract_name || case when n.currency = 'RUB' then '' else ' (' || n.currency || ')' end) as name,
    n.currency,
    lc.currency_key,
    t.organization_key
from needed n
cross join target t
left join documents.counterparty dc on dc.counterparty_id = n.counterparty_id
left join found f on f.contract_id = n.contract_id
left join ops.currency_rule cr on cr.system = t.system and cr.code = n.currency
left join lateral (
    select min(l.currency_key) as currency_key from core.accounting_currency l
    where l.source = t.system and l.code = cr.value and not l.is_deleted
) lc on true
