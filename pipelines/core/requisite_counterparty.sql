-- Which counterparty each CRM record of legal details is, by exact rules only. A person (INN of 12 digits) has no branches:
-- a KPP that is given for one tells none apart.
--
-- @owner accountants
-- @scope requisite_id
-- @emits counterparty_id client_record_id
-- @known
create table core.requisite_counterparty (
    requisite_id     text not null primary key, -- core.requisite
    client_record_id text,                      -- core.client_record
    counterparty_id  text not null,             -- core.counterparty
    is_active        boolean not null,          -- may be used for new deals
    rule             text not null              -- tax_number: valid INN + KPP; single: no valid number, stands alone
);

create index requisite_counterparty_counterparty on core.requisite_counterparty (counterparty_id);
create index requisite_counterparty_client on core.requisite_counterparty (client_record_id);

-- @changed core.requisite
select key from change
;

-- @all
select requisite_id as key from core.requisite
;

-- @rows
select
    r.requisite_id,
    r.client_record_id,
    case when r.tax_number is not null
         then coalesce(r.country, '') || ':' || r.tax_number
              || case when r.country = 'RU' and length(r.tax_number) = 12 then '' else coalesce(':' || r.kpp, '') end
         else r.requisite_id end as counterparty_id,
    r.is_active and not r.is_deleted as is_active,
    case when r.tax_number is not null then 'tax_number' else 'single' end as rule
from core.requisite r
join scope on scope.key = r.requisite_id
