-- What the gate found: one row a record that fails an expectation of `expectations/documents/`.
--
-- @owner accountants
-- @scope deal_id
create table documents.failure (
    failure_id   text not null primary key, -- deal_id/table/record/expectation
    deal_id      text not null,             -- core.deal: the deal that the record belongs to
    table_name   text not null,             -- the table that the expectation is about
    record_key   text not null,             -- the failing record in it
    check_name   text not null,             -- name of the asset check
    severity     text not null,             -- critical (holds), warning, info
    reason       text not null,             -- plain sentence with the remedy, English
    reason_ru    text not null              -- the same in Russian
);

create index failure_deal on documents.failure (deal_id);

-- @changed documents.deal
select key from change
;

-- @changed documents.document_line
select key from change
;

-- @rows python
