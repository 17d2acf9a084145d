-- Currencies of accounting in ISO 4217 letters: the one place where money marts take their currency from.
--
-- @owner accountants
-- @view
-- @column currency_key text -- core.accounting_currency
-- @column source text -- connected accounting system
-- @column code text -- ISO 4217 number as accounting keeps it, 643 = rouble
-- @column currency text -- ISO 4217 letters by the mapping's currency rules; accounting's own name where none names the code
-- @changed core.accounting_currency ops.currency_rule
-- @rows
-- Several spellings of the letters (RUB, RUR) may share one code: the first in the alphabet stands for all.
with rules as (
    select r.system, r.value as code, min(r.code) as letters
    from ops.currency_rule r
    group by r.system, r.value
)
select
    c.currency_key,
    c.source,
    c.code,
    coalesce(r.letters, c.name, c.code) as currency
from core.accounting_currency c
left join rules r on r.system = c.source and r.code = c.code
