-- Legal entities and persons that sign and pay: one row an INN + KPP (VAT id elsewhere),
-- or one row a client's details where no valid tax number is given. Details of several clients
-- with one valid INN + KPP are one counterparty; nothing weaker ever joins two.
--
-- @owner accountants
-- @scope counterparty_id
-- @emits legal_name_key tax_number
-- @known
create table core.counterparty (
    counterparty_id    text not null primary key, -- RU:inn:kpp, or the requisite's id without a valid tax number
    legal_name         text,                      -- canonical display name, legal form last
    legal_name_key     text,                      -- name without legal form, quotes and case, for comparing
    country            text,                      -- ISO 3166 alpha-2
    tax_number         text,                      -- INN or VAT id
    kpp                text,                      -- registration reason code (branch)
    ogrn               text,                      -- registration number
    tax_number_problem text,                      -- why the given number is not valid
    requisites         integer not null           -- how many CRM records say so
);

-- @changed core.requisite_counterparty.counterparty_id
select key from change
;

-- @changed core.requisite
select counterparty_id as key from core.requisite_counterparty rc join change on rc.requisite_id = change.key
;

-- @all
select distinct counterparty_id as key from core.requisite_counterparty
;

-- @rows
select distinct on (rc.counterparty_id)
    rc.counterparty_id,
    r.legal_name,
    r.legal_name_key,
    r.country,
    r.tax_number,
    r.kpp,
    r.ogrn,
    r.tax_number_problem,
    count(*) over (partition by rc.counterparty_id)::integer as requisites
from core.requisite_counterparty rc
join scope on scope.key = rc.counterparty_id
join core.requisite r on r.requisite_id = rc.requisite_id
order by rc.counterparty_id, r.is_deleted, not r.is_active, r.requisite_id
