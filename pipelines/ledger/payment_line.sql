-- Parts of payments: which invoice each pays, or which return is used on the invoices beside it, where accounting says so.
--
-- @owner accountants
-- @scope payment_key
-- @emits invoice_key
-- @money amount
create table ledger.payment_line (
    line_key     text not null primary key, -- payment_key/position
    source       text not null,             -- connected system
    source_id    text not null,             -- id in that system
    payment_key  text not null,             -- ledger.payment
    position     integer,                   -- line number
    contract_key text,                      -- core.accounting_contract
    invoice_key  text,                      -- ledger.document of kind invoice; null where not stated
    return_key   text,                      -- ledger.document of kind return that is used up; null where not stated
    amount       numeric(18,2),             -- in the payment's currency
    is_deleted   boolean not null,          -- the payment is marked for deletion or gone
    problems     text[] not null            -- what could not be read, in sentences
);

create index payment_line_payment on ledger.payment_line (payment_key);
create index payment_line_invoice on ledger.payment_line (invoice_key);
create index payment_line_return on ledger.payment_line (return_key) where return_key is not null;

-- @rows mapping
