create table ops.payment_decision (
    decision_id  bigint generated always as identity primary key,
    payment_key  text not null,
    document_key text,
    amount       numeric(18,2),
    decided_by   text not null,
    reason       text not null,
    reason_ru    text,
    weight       double precision,
    model        text,
    decided_at   timestamptz not null default clock_timestamp(),
    undone_at    timestamptz,
    undone_by    text,
    undo_reason  text,
    check ((document_key is null) = (amount is null)),
    check (amount > 0),
    check (decided_by <> 'machine' or document_key is not null)
);
create index payment_decision_payment on ops.payment_decision (payment_key);
create index payment_decision_document on ops.payment_decision (document_key) where document_key is not null;
comment on table ops.payment_decision is 'Append-only: who decided which document a payment pays, or that it pays none, when and why. Nothing is deleted; a decision is undone.';
comment on column ops.payment_decision.payment_key is 'ledger.payment.';
comment on column ops.payment_decision.document_key is 'ledger.obligation; empty: what is left of the payment pays nothing that is known.';
comment on column ops.payment_decision.amount is 'So much of the payment, at most: what accounting states goes before.';
comment on column ops.payment_decision.decided_by is 'A person''s name, or machine: the score.';
comment on column ops.payment_decision.reason is 'Why, in a sentence.';
comment on column ops.payment_decision.reason_ru is 'Of the machine: the same in Russian.';
comment on column ops.payment_decision.weight is 'Of the machine: log2 of the odds when it decided.';
comment on column ops.payment_decision.model is 'Of the machine: fingerprint of the model.';
comment on column ops.payment_decision.undone_at is 'Empty while it stands.';

create function ops.keep_payment_decision() returns trigger language plpgsql as $$
begin
    if row(old.payment_key, old.document_key, old.amount, old.decided_by, old.reason, old.reason_ru, old.weight, old.model, old.decided_at)
       is distinct from row(new.payment_key, new.document_key, new.amount, new.decided_by, new.reason, new.reason_ru, new.weight, new.model, new.decided_at)
       or old.undone_at is not null then
        raise exception 'decision % is kept as it was made', old.decision_id
            using errcode = 'insufficient_privilege', hint = 'Undo it, and decide anew.';
    end if;
    return new;
end
$$;
comment on function ops.keep_payment_decision is 'A decision changes once at most: when it is undone.';

create trigger keep_as_made before update on ops.payment_decision
    for each row execute function ops.keep_payment_decision();
create trigger keep before delete or truncate on ops.payment_decision
    for each statement execute function ops.refuse_rewriting();

create function ops.tell_payment_decision() returns trigger language plpgsql as $$
begin
    insert into ops.change_log (table_name, key) values ('ops.payment_decision', new.payment_key);
    return null;
end
$$;
comment on function ops.tell_payment_decision is 'What is decided or undone of a payment is worked out by the next sync.';

create trigger tell after insert or update on ops.payment_decision
    for each row execute function ops.tell_payment_decision();

create view ops.payment_verdict as
select distinct on (payment_key, document_key)
       payment_key, document_key, amount, decision_id, decided_by = 'machine' as is_machine, decided_at,
       case when decided_by = 'machine' then reason
            else format('%s, %s: %s', decided_by, to_char(decided_at at time zone 'UTC', 'DD.MM.YYYY'), reason) end as told,
       case when decided_by = 'machine' then coalesce(reason_ru, reason)
            else format('%s, %s: %s', decided_by, to_char(decided_at at time zone 'UTC', 'DD.MM.YYYY'), reason) end as told_ru
from ops.payment_decision
where undone_at is null
order by payment_key, document_key, decided_by = 'machine', decided_at desc, decision_id desc;
comment on view ops.payment_verdict is 'What was decided of a payment and a document and stands: a person''s before the machine''s, the newest of several.';

create view ops.payment_tie as
select distinct payment_key, document_key from ops.payment_decision where document_key is not null;
comment on view ops.payment_tie is 'Payments and documents that a decision ever named together, undone ones too.';

create table ops.payment_calibration (
    measured_at timestamptz primary key default clock_timestamp(),
    model       text not null,
    payments    integer not null check (payments >= 0),
    sure        integer not null check (sure between 0 and payments),
    correct     integer not null check (correct between 0 and sure),
    at_least    double precision not null check (at_least between 0 and 1)
);
create index payment_calibration_model on ops.payment_calibration (model, measured_at);
comment on table ops.payment_calibration is 'How often the score is right on payments of this company of which accounting or people say what they pay.';
comment on column ops.payment_calibration.model is 'Fingerprint of the model that was measured.';
comment on column ops.payment_calibration.payments is 'Payments whose document is known, looked at as if it were not.';
comment on column ops.payment_calibration.sure is 'Of these, those that the score would have allocated by itself.';
comment on column ops.payment_calibration.correct is 'Of those, allocated to the document that they pay.';
comment on column ops.payment_calibration.at_least is 'The precision that this shows: lower end of the 95 % interval (Wilson).';

create table ops.payment_look (
    digest    text primary key,
    looked_at timestamptz not null default clock_timestamp()
);
comment on table ops.payment_look is 'What payments and documents were compared last: while it is the same, nothing is scored anew.';
comment on column ops.payment_look.digest is 'Of all that was compared and of the model.';
