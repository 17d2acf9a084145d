-- Which open documents a payment may pay that names none and whose payer is not known, or owes nothing: the best few by
-- the score of pipelines/payments, with what speaks for each and against it. Nothing is allocated by this table.
--
-- @owner accountants
-- @scope payment_key
-- @money amount
create table ledger.payment_proposal (
    proposal_key text not null primary key,     -- payment/document
    payment_key  text not null,                 -- ledger.payment
    document_key text not null,                 -- ledger.obligation
    place        integer not null,              -- 1 is the best of this payment
    amount       numeric(18,2) not null,        -- of the payment for this document: what it has left, or the document open
    weight       double precision not null,     -- log2 of the odds that it pays this document, others left aside
    probability  double precision not null,     -- that it pays this one and no other that may be paid, 0..1
    is_sure      boolean not null,              -- as sure as the model asks of what is allocated without a person
    agrees       text[] not null,               -- what speaks for it, the strongest first
    agrees_ru    text[] not null,               -- the same in Russian
    differs      text[] not null,               -- what speaks against it, the strongest first
    differs_ru   text[] not null                -- the same in Russian
);

create index payment_proposal_payment on ledger.payment_proposal (payment_key);

-- @changed ledger.payment ledger.allocation.payment_key ops.payment_decision
select p.payment_key as key from ledger.payment p join change on p.payment_key = change.key
;

-- @changed ledger.obligation ledger.allocation.document_key core.accounting_counterparty ops.payment_calibration

-- @all
select payment_key as key from ledger.payment_proposal
;

-- @rows python
