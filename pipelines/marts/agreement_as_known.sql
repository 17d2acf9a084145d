-- What schedules and property are sold by: a contract, or a deal where no contract is named, and where accounting has it.
-- A contract is found by its number, which is its code or name in accounting, and by the buyer's INN where one is named; of
-- several that fit none is taken. `basis` says which payments count: those by the contract, else those for the deal.
-- As far as it was known at `known_at`; infinity: as it is known.
--
-- @owner accountants
-- @arguments known_at timestamptz default 'infinity'
-- @column agreement_key text -- contract or deal, its number, and the buyer's INN where one is named
-- @column contract_number text -- as the source has it; null: none is named
-- @column tax_number text -- INN of the buyer; null: none is named
-- @column contract_key text -- core.accounting_contract; null: none was found, or several
-- @column deal_id text -- core.deal; null: none is named, or not found
-- @column counterparty_key text -- core.accounting_counterparty of the contract
-- @column basis text -- contract or deal; null: neither was found
-- @changed core.payment_schedule core.property_object core.accounting_contract core.accounting_counterparty core.deal
-- @rows
with named as (
    select contract_number, tax_number, deal_id, deal_number
    from core.payment_schedule_as_known(known_at)
    where kind is distinct from 'promised' and not is_deleted
    union all
    select contract_number, tax_number, deal_id, deal_number
    from core.property_object_as_known(known_at)
    where not is_deleted
), keyed as (
    select case when contract_number is not null then 'contract ' || contract_number || coalesce(' ' || tax_number, '')
                else 'deal ' || coalesce(deal_id, deal_number) end as agreement_key,
           contract_number, tax_number, deal_id, deal_number
    from named
    where contract_number is not null or deal_id is not null or deal_number is not null
), agreed as (
    select agreement_key, min(contract_number) as contract_number, min(tax_number) as tax_number, min(deal_id) as deal_id,
           min(deal_number) as deal_number
    from keyed
    group by agreement_key
), contracts as (
    select a.agreement_key, min(c.contract_key) as contract_key, min(c.counterparty_key) as counterparty_key
    from agreed a
    join core.accounting_contract_as_known(known_at) c on lower(btrim(a.contract_number)) in (lower(btrim(c.code)), lower(btrim(c.name)))
    left join core.accounting_counterparty_as_known(known_at) p on p.counterparty_key = c.counterparty_key
    where not c.is_deleted and c.is_with_buyer and (a.tax_number is null or p.tax_number = a.tax_number)
    group by a.agreement_key
    having count(*) = 1
), deals as (
    select a.agreement_key, min(d.deal_id) as deal_id
    from agreed a
    join core.deal_as_known(known_at) d on d.deal_id = a.deal_id or a.deal_id is null and d.source_id = a.deal_number
    group by a.agreement_key
    having count(*) = 1
)
select
    a.agreement_key,
    a.contract_number,
    a.tax_number,
    c.contract_key,
    d.deal_id,
    c.counterparty_key,
    case when c.contract_key is not null then 'contract' when d.deal_id is not null then 'deal' end as basis
from agreed a
left join contracts c on c.agreement_key = a.agreement_key
left join deals d on d.agreement_key = a.agreement_key
