-- What schedules and property are sold by: a contract, or a deal where no contract is named, and where accounting has it.
-- A contract is found by its number, which is its code or name in accounting, and by the buyer's INN where one is named; of
-- several that fit none is taken. `basis` says which payments count: those by the contract, else those for the deal.
--
-- @owner accountants
-- @view
-- @column agreement_key text -- contract or deal, its number, and the buyer's INN where one is named
-- @column contract_number text -- as the source has it; null: none is named
-- @column tax_number text -- INN of the buyer; null: none is named
-- @column contract_key text -- core.accounting_contract; null: none was found, or several
-- @column deal_id text -- core.deal; null: none is named, or not found
-- @column counterparty_key text -- core.accounting_counterparty of the contract
-- @column basis text -- contract or deal; null: neither was found
-- @changed marts.agreement_as_known
-- @rows
select
    agreement_key,
    contract_number,
    tax_number,
    contract_key,
    deal_id,
    counterparty_key,
    basis
from marts.agreement_as_known()
