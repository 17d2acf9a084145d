-- Ids of records are compared byte by byte, as Python compares them: the lesser of a pair is the same everywhere.

create table ops.identity_model (
    model      text primary key,
    used_since timestamptz not null default clock_timestamp()
);
comment on table ops.identity_model is 'The frozen models that pairs were scored by. Another one than the newest scores every pair anew.';
comment on column ops.identity_model.model is 'Fingerprint of its parameters, of the rules and of what they are applied to.';

create table ops.identity_feature (
    client_record_id text primary key,
    features         jsonb not null
);
comment on table ops.identity_feature is 'What is compared of each record that its CRM still has: derived from core.client_profile, a row a record.';
comment on column ops.identity_feature.client_record_id is 'core.client_record.';
comment on column ops.identity_feature.features is 'Feature by name. Which there are is the model''s own matter.';

create table ops.identity_key (
    kind             text not null,
    value            text not null,
    client_record_id text not null,
    primary key (kind, value, client_record_id)
);
create index identity_key_record on ops.identity_key (client_record_id);
comment on table ops.identity_key is 'Values that records are looked up by: two records that share one may be one client.';
comment on column ops.identity_key.kind is 'What the value is: a tax number, a phone, a name ...';
comment on column ops.identity_key.value is 'The value. How many records have it says what it is worth; one that very many have leads nowhere.';
comment on column ops.identity_key.client_record_id is 'core.client_record.';

create table ops.identity_pair (
    left_id   text not null,
    right_id  text not null,
    outcome   text not null check (outcome in ('same', 'ask')),
    weight    double precision,
    rule      text,
    levels    jsonb not null,
    model     text not null,
    scored_at timestamptz not null default clock_timestamp(),
    primary key (left_id, right_id),
    check (left_id collate "C" < right_id collate "C")
);
create index identity_pair_right on ops.identity_pair (right_id);
create index identity_pair_asked on ops.identity_pair (left_id, right_id) where outcome = 'ask';
create index identity_pair_flagged on ops.identity_pair (left_id, right_id)
    where outcome = 'same' and rule in ('inn', 'inn_kpp') and (levels -> 'name' ->> 'weight')::double precision < -20;
comment on table ops.identity_pair is 'Pairs of records that are one client, or may be. What is neither is not kept.';
comment on column ops.identity_pair.left_id is 'core.client_record: the lesser id of the two.';
comment on column ops.identity_pair.right_id is 'core.client_record.';
comment on column ops.identity_pair.outcome is 'same: joined, unless something stronger forbids it; ask: a person is asked.';
comment on column ops.identity_pair.weight is 'Log2 of the odds that they are one client, the prior included.';
comment on column ops.identity_pair.rule is 'The exact rule that decides; empty where the weight does.';
comment on column ops.identity_pair.levels is 'Of each comparison how far the two agree, and the bits that this adds.';
comment on column ops.identity_pair.model is 'Fingerprint of the model that scored it.';

create table ops.identity_decision (
    decision_id bigint generated always as identity primary key,
    left_id     text not null,
    right_id    text not null,
    verdict     text not null check (verdict in ('same', 'different')),
    decided_by  text not null,
    reason      text not null,
    rule        text,
    weight      double precision,
    model       text,
    decided_at  timestamptz not null default clock_timestamp(),
    undone_at   timestamptz,
    undone_by   text,
    undo_reason text,
    check (left_id collate "C" < right_id collate "C")
);
create index identity_decision_left on ops.identity_decision (left_id, right_id) where undone_at is null;
create index identity_decision_right on ops.identity_decision (right_id) where undone_at is null;
create index identity_decision_by_people on ops.identity_decision (decided_at) where decided_by <> 'machine';
comment on table ops.identity_decision is 'Append-only: who decided that two records are one client, or are not, when and why. Nothing is deleted; a decision is undone.';
comment on column ops.identity_decision.left_id is 'core.client_record: the lesser id of the two.';
comment on column ops.identity_decision.right_id is 'core.client_record.';
comment on column ops.identity_decision.decided_by is 'A person''s name, or machine. The newest decision of people that stands is good for the pair, whatever the machine says.';
comment on column ops.identity_decision.rule is 'Of the machine: the rule that joined them.';
comment on column ops.identity_decision.weight is 'Of the machine: log2 of the odds when it decided.';
comment on column ops.identity_decision.model is 'Of the machine: fingerprint of the model.';
comment on column ops.identity_decision.undone_at is 'Empty while it stands.';

create function ops.keep_identity_decision() returns trigger language plpgsql as $$
begin
    if row(old.left_id, old.right_id, old.verdict, old.decided_by, old.reason, old.rule, old.weight, old.model, old.decided_at)
       is distinct from row(new.left_id, new.right_id, new.verdict, new.decided_by, new.reason, new.rule, new.weight, new.model, new.decided_at)
       or old.undone_at is not null then
        raise exception 'decision % is kept as it was made', old.decision_id
            using errcode = 'insufficient_privilege', hint = 'Undo it, and decide anew.';
    end if;
    return new;
end
$$;
comment on function ops.keep_identity_decision is 'A decision changes once at most: when it is undone.';

create trigger keep_as_made before update on ops.identity_decision
    for each row execute function ops.keep_identity_decision();
create trigger keep before delete or truncate on ops.identity_decision
    for each statement execute function ops.refuse_rewriting();

create function ops.tell_identity_decision() returns trigger language plpgsql as $$
begin
    insert into ops.change_log (table_name, key) values
        ('ops.identity_decision', new.left_id), ('ops.identity_decision', new.right_id);
    return null;
end
$$;
comment on function ops.tell_identity_decision is 'What a person decides or undoes is worked out by the next sync.';

create trigger tell after insert or update on ops.identity_decision
    for each row when (new.decided_by <> 'machine') execute function ops.tell_identity_decision();

create view ops.identity_verdict as
select distinct on (left_id, right_id) left_id, right_id, verdict, decision_id, decided_by, reason, decided_at
from ops.identity_decision
where decided_by <> 'machine' and undone_at is null
order by left_id, right_id, decided_at desc, decision_id desc;
comment on view ops.identity_verdict is 'What people decided of a pair of records and stands: the newest, where there are several.';

create table ops.identity_kept (
    client_record_id text primary key,
    kept_with        text not null,
    kept_since       timestamptz not null default clock_timestamp(),
    check (kept_with <> client_record_id)
);
create index identity_kept_with on ops.identity_kept (kept_with);
comment on table ops.identity_kept is 'Records that are gone from their CRM: each stays with the client it had, by one record of it.';
comment on column ops.identity_kept.client_record_id is 'core.client_record: the one that is gone.';
comment on column ops.identity_kept.kept_with is 'core.client_record: it is of whatever client this one is.';

create table ops.client_id (
    client_id    text primary key,
    given_at     timestamptz not null default now(),
    forwarded_to text,
    forwarded_at timestamptz,
    check (forwarded_to <> client_id)
);
create index client_id_forwarded on ops.client_id (forwarded_to) where forwarded_to is not null;
comment on table ops.client_id is 'Every id that a client was ever called by. It is the id of the record that the client was first known by.';
comment on column ops.client_id.client_id is 'core.client_record: the founder, which is a member of whatever client is called so.';
comment on column ops.client_id.given_at is 'When the id was given. Of several that come together the oldest goes on.';
comment on column ops.client_id.forwarded_to is 'The client that it was joined into; empty while a client is called so.';
comment on column ops.client_id.forwarded_at is 'When it was joined into that one.';
