-- What was held because it read back otherwise may be found right later.
create or replace function ops.may_move(from_state text, to_state text) returns boolean
language sql immutable parallel safe
return case from_state
    when 'planned' then to_state in ('held', 'approved', 'superseded')
    when 'held' then to_state in ('planned', 'superseded', 'rejected', 'verified')
    when 'approved' then to_state in ('sent', 'held', 'superseded', 'planned')
    when 'sent' then to_state in ('confirmed', 'uncertain', 'planned', 'rejected', 'held')
    when 'uncertain' then to_state in ('confirmed', 'planned')
    when 'confirmed' then to_state in ('verified', 'held', 'uncertain')
    when 'verified' then to_state in ('superseded', 'reversed')
    when 'rejected' then to_state in ('planned', 'superseded')
    when 'superseded' then to_state = 'planned'
    else false
end;

-- The order in which kinds are written and shown: parents before children; others after them.
create function ops.kind_order(kind text) returns integer
language sql immutable parallel safe
return coalesce(array_position(array['counterparty', 'product', 'contract', 'invoice', 'realization'], kind), 99);
comment on function ops.kind_order is 'Parents before children: the order in which kinds of records are written and shown.';

-- Writers of ops.change_log take turns, so that a seq read is a seq committed.
create function ops.lock_changes() returns void
language sql volatile
as 'select pg_advisory_xact_lock(5112001)';
comment on function ops.lock_changes is 'Held to the end of the transaction by whoever writes ops.change_log.';

-- What waits for an operation is part of what is told of it.
create or replace function ops.tell_operation() returns trigger language plpgsql set enable_nestloop = off as $$
begin
    perform ops.lock_changes();
    if tg_op = 'INSERT' then
        insert into ops.change_log (table_name, key)
        select 'ops.operation', told.key from ops.told_keys(array(select target || ':' || key from after_rows)) as told(key);
    else
        insert into ops.change_log (table_name, key)
        select 'ops.operation', told.key from ops.told_keys(array(
            select n.target || ':' || n.key
            from after_rows as n join before_rows as o using (operation_id)
            where (n.state, n.reason, n.reason_code, n.amount, n.depends_on)
                  is distinct from (o.state, o.reason, o.reason_code, o.amount, o.depends_on))) as told(key);
    end if;
    return null;
end
$$;

create or replace function ops.tell_release() returns trigger language plpgsql as $$
begin
    perform ops.lock_changes();
    insert into ops.change_log (table_name, key) values ('ops.release', new.deal_id);
    return null;
end
$$;

-- Columns that nothing wrote or nothing read.
alter table ops.operation drop column not_before, drop column result, drop column revision;
alter table ops.operation drop constraint operation_action_check,
    add constraint operation_action_check check (action in ('create', 'update', 'post'));
alter table ops.echo drop column content_hash;
alter table ops.mapping_version drop column valid_from;

create index on ops.operation (subject, kind) where action = 'create' and state = 'verified';
create index on ops.operation (target, changed_at) where state = 'rejected';

comment on schema core is 'The same in our words: clients, counterparties, deals, products.';
comment on schema marts is 'What people ask: funnel, managers, receivables, revenue, the health of the integration.';
comment on schema ops is 'The working memory beside the road: cursors, the operation ledger, quarantine, releases, mapping rules and versions.';
comment on table ops.mapping_version is 'Every mapping file that was ever in force, without its connection.';
comment on table ops.echo is 'The version that our last write gave each outside record, so that our own write does not come round as a change.';
comment on column ops.operation.operation_id is
    'Computed: for the creation of a record its key; for what follows a name-based UUID over that key and what is done.';
comment on column ops.operation.action is 'create, update (of a draft) or post.';
comment on column ops.operation.reason_code is
    'read_back: it waits for a person, or for accounting to come to hold what was sent. Empty in every other case.';
comment on column ops.operation.content_hash is 'MD5 of body: whether what is due now is what was planned.';
