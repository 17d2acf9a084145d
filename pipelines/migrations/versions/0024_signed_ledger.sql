-- Laws 4 and 5 as constraints (docs/decisions/0013-the-ledger-refuses.md).

create table ops.apart (
    law           text not null check (law in ('debit_equals_credit', 'every_kopeck_is_explained')),
    key           text not null,
    amount        numeric(18,2) not null,
    sentence      text not null,
    sentence_ru   text not null,
    first_seen_at timestamptz not null default clock_timestamp(),
    told_at       timestamptz,
    ended_at      timestamptz,
    primary key (law, key)
);
comment on table ops.apart is 'What breaks a law of the ledger and was set apart with a sentence, so that the rest goes on. Whatever'
    ' breaks one and does not stand here is refused by the database.';
comment on column ops.apart.key is 'Of debit_equals_credit the document (ledger.entry), else ledger.settlement.settlement_key.';
comment on column ops.apart.amount is 'Debit less credit, or what has no reason.';
comment on column ops.apart.told_at is 'When people were told.';
comment on column ops.apart.ended_at is 'Empty while it is so.';

create function ops.unbalanced_documents(documents text[]) returns table (document_key text, debit numeric, credit numeric)
language plpgsql stable as $$
begin
    return query
    select e.document_key, coalesce(sum(e.amount) filter (where e.account_dr_key is not null), 0),
           coalesce(sum(e.amount) filter (where e.account_cr_key is not null), 0)
    from ledger.entry e
    where e.is_active and not e.is_deleted and e.document_key is not null
      and (documents is null or e.document_key = any(documents))
      and not exists (select from core.accounting_account a where a.account_key = e.account_dr_key and a.is_off_balance)
      and not exists (select from core.accounting_account a where a.account_key = e.account_cr_key and a.is_off_balance)
    group by e.document_key
    having coalesce(sum(e.amount) filter (where e.account_dr_key is not null), 0)
        <> coalesce(sum(e.amount) filter (where e.account_cr_key is not null), 0);
end
$$;
comment on function ops.unbalanced_documents is
    'Which of these documents (null: of all) debit another sum than they credit. What stands off balance stands against nothing.';

-- Entries of a document come and go in several statements, so its balance is looked at when the transaction ends.
create table ops.entry_check (
    check_id  bigint generated always as identity primary key,
    documents text[]
);
comment on table ops.entry_check is 'Documents whose entries the running transaction changed; null: all. Empty between transactions.';

create function ops.note_entries() returns trigger language plpgsql as $$
declare
    keys text[];
begin
    if tg_op = 'UPDATE' then
        keys := array(select n.document_key from touched n union select o.document_key from stood o limit 50001);
    else
        keys := array(select distinct t.document_key from touched t limit 50001);
    end if;
    if cardinality(keys) > 0 then
        insert into ops.entry_check (documents) values (case when cardinality(keys) <= 50000 then keys end);
    end if;
    return null;
end
$$;
comment on function ops.note_entries is 'Remembers which documents a statement touched, until the transaction ends.';

create function ops.refuse_unbalanced() returns trigger language plpgsql as $$
declare
    broken record;
begin
    delete from ops.entry_check where check_id = new.check_id;
    select u.* into broken from ops.unbalanced_documents(new.documents) u
    where not exists (
        select from ops.apart a
        where a.law = 'debit_equals_credit' and a.key = u.document_key and a.amount = u.debit - u.credit and a.ended_at is null)
    order by u.document_key limit 1;
    if found then
        raise exception 'document % debits % and credits %', broken.document_key, broken.debit, broken.credit
            using errcode = 'check_violation', schema = 'ledger', table = 'entry', constraint = 'debit_equals_credit',
                  hint = 'Every document of ledger.entry balances, or is set apart in ops.apart. Correct what is written.';
    end if;
    return null;
end
$$;
comment on function ops.refuse_unbalanced is 'Debit equals credit, in every document, when a transaction ends.';

create constraint trigger debit_equals_credit after insert on ops.entry_check
    deferrable initially deferred for each row execute function ops.refuse_unbalanced();

create function ops.refuse_unexplained() returns trigger language plpgsql as $$
declare
    broken record;
begin
    select s.*, coalesce(p.name, s.counterparty_key) as party into broken
    from ledger.settlement s
    left join core.accounting_counterparty p on p.counterparty_key = s.counterparty_key
    where s.settlement_key = new.settlement_key and s.unexplained <> 0
      and not exists (
        select from ops.apart a
        where a.law = 'every_kopeck_is_explained' and a.key = s.settlement_key and a.amount = s.unexplained and a.ended_at is null);
    if found then
        raise exception '% of % (%), month of %: % have no reason', broken.measure, broken.party, broken.counterparty_key,
            coalesce(broken.period::text, 'no date'), broken.unexplained
            using errcode = 'check_violation', schema = 'ledger', table = 'settlement', constraint = 'every_kopeck_is_explained',
                  hint = 'Expected less accounting is the sum of the variances, or the row is set apart in ops.apart.';
    end if;
    return null;
end
$$;
comment on function ops.refuse_unexplained is 'Every kopeck is explained, for each counterparty, measure and month, when a transaction ends.';

-- What is remembered of a variance, also when it is gone, and what people decide about it.
alter table ops.variance_memory
    add column number bigint generated always as identity,
    add column document_key text,
    add column measure text,
    add column reason text,
    add column deal_id text,
    add column counterparty_key text,
    add column currency_key text,
    add column amount numeric(18,2),
    add column expected text,
    add column actual text,
    add column sentence text,
    add column sentence_ru text,
    add column changed_at timestamptz,
    add column cause text,
    add column cause_ru text,
    add column caused_at timestamptz,
    add column last_batch bigint not null default 0,
    add column last_event bigint not null default 0,
    add column resolved_run text,
    add column resolution text,
    add column resolution_ru text,
    drop column status;
create unique index variance_number on ops.variance_memory (number);
create index variance_memory_open on ops.variance_memory (variance_key) where resolved_at is null;
comment on table ops.variance_memory is 'Every difference between CRM and accounting that was ever seen: since when, what caused it, who has it,'
    ' and once it is gone, what resolved it.';
comment on column ops.variance_memory.number is 'What people call it by: sverka variance show NUMBER.';
comment on column ops.variance_memory.amount is 'As it was last seen.';
comment on column ops.variance_memory.changed_at is 'Since when it has this amount.';
comment on column ops.variance_memory.cause is 'The change that caused it, English: a version of a record, an operation, a hold.';
comment on column ops.variance_memory.caused_at is 'When that change was seen by us.';
comment on column ops.variance_memory.last_batch is 'The newest ops.batch when it was last seen: what was read later may have resolved it.';
comment on column ops.variance_memory.last_event is 'The newest ops.operation_event then.';
comment on column ops.variance_memory.resolution is 'The operation or the change that resolved it, English; empty while it is there.';

create table ops.variance_decision (
    decision_id  bigint generated always as identity primary key,
    variance_key text not null references ops.variance_memory,
    amount       numeric(18,2) not null,
    currency_key text,
    expected     text,
    actual       text,
    decided_by   text not null,
    reason       text not null,
    decided_at   timestamptz not null default clock_timestamp(),
    undone_at    timestamptz,
    undone_by    text,
    undo_reason  text
);
create unique index variance_decision_stands on ops.variance_decision (variance_key) where undone_at is null;
comment on table ops.variance_decision is 'Append-only: who accepted a variance, when and why. It stays in every sum. It is undone by a'
    ' person, or by the sync when the variance is no longer what was accepted.';
comment on column ops.variance_decision.amount is 'What was accepted: another amount is open again.';
comment on column ops.variance_decision.expected is 'What the CRM said then: counts where the amount is 0.';
comment on column ops.variance_decision.undone_by is 'A person''s name, or sync.';

create function ops.keep_variance_decision() returns trigger language plpgsql as $$
begin
    if old.undone_at is not null
       or row(old.variance_key, old.amount, old.currency_key, old.expected, old.actual, old.decided_by, old.reason, old.decided_at)
          is distinct from
          row(new.variance_key, new.amount, new.currency_key, new.expected, new.actual, new.decided_by, new.reason, new.decided_at) then
        raise exception 'decision % is kept as it was made', old.decision_id
            using errcode = 'insufficient_privilege', hint = 'Undo it, and decide anew.';
    end if;
    return new;
end
$$;
comment on function ops.keep_variance_decision is 'A decision changes once at most: when it is undone.';
create trigger keep_as_made before update on ops.variance_decision
    for each row execute function ops.keep_variance_decision();
create trigger keep before delete or truncate on ops.variance_decision
    for each statement execute function ops.refuse_rewriting();
