-- Who owed what on a date: one row a document that asks for payment and was not paid in full by then.
-- As far as it was known at `known_at`; infinity: as it is known.
-- The sum of `debt` is that of ledger.obligation less its allocations, overpaid documents left out.
--
-- @owner accountants
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @column counterparty_key text -- core.accounting_counterparty that owes
-- @column counterparty text -- its name in accounting
-- @column client_id text -- core.client of the deal; null: no deal, or a deal without client
-- @column client text -- name of the client
-- @column employee_id text -- responsible manager of the deal, core.employee
-- @column manager text -- name of the responsible manager
-- @column deal_id text -- core.deal; null: the document is not ours
-- @column deal text -- name of the deal
-- @column document_key text -- ledger.obligation
-- @column kind text -- invoice, else order, else realization or correction
-- @column number text -- number shown in accounting
-- @column document_date date -- date of the document
-- @column due_on date -- day by which the client pays
-- @column amount numeric -- asked for, with VAT
-- @column paid numeric -- allocated to it from payments up to `as_of`
-- @column debt numeric -- amount less paid
-- @column days_overdue integer -- days since `due_on`, 0 up to that day
-- @column bucket text -- not due, 1-30, 31-60, 61-90, over 90 (days overdue)
-- @column currency text -- ISO 4217 letters
-- @changed marts.obligation_as_of
-- @rows
select
    counterparty_key,
    counterparty,
    client_id,
    client,
    employee_id,
    manager,
    deal_id,
    deal,
    document_key,
    kind,
    number,
    document_date,
    due_on,
    amount,
    paid,
    debt,
    days_overdue,
    bucket,
    currency
from marts.obligation_as_of(as_of, known_at)
where debt > 0
