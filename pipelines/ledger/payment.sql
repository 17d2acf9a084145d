-- Money received from and returned to buyers, as accounting posted it.
--
-- @owner accountants
-- @scope payment_key
-- @emits counterparty_key
-- @money amount currency_key
create table ledger.payment (
    payment_key      text not null primary key, -- system:id
    source           text not null,             -- connected system
    source_id        text not null,             -- id in that system
    kind             text,                      -- receipt or refund
    number           text,                      -- number shown in accounting
    paid_on          date,                      -- date of the document
    is_posted        boolean,                   -- posted (проведён)
    counterparty_key text,                      -- core.accounting_counterparty
    organization_key text,                      -- core.accounting_organization: to whom of us it came
    currency_key     text,                      -- core.accounting_currency
    amount           numeric(18,2),             -- positive for receipts and refunds alike
    rate             numeric(18,6),             -- accounting currency for `rate_units`, where the payment says so
    rate_units       numeric(18,4),             -- 1, 10, 100
    purpose          text,                      -- purpose of payment
    is_deleted       boolean not null,          -- marked for deletion or gone
    problems         text[] not null            -- what could not be read, in sentences
);

create index payment_counterparty on ledger.payment (counterparty_key);

-- @rows mapping
