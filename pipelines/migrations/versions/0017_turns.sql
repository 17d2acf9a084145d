-- Whoever writes operations waits for its turn before it locks one: a plan, which has its turn from its beginning, would
-- else wait for a row of a carrier that waits for the plan.
create function ops.take_turn() returns trigger language plpgsql as $$
begin
    perform ops.lock_changes();
    return null;
end
$$;
comment on function ops.take_turn is 'Before operations are written: the turn first, then the rows.';

create trigger take_turn before insert or update on ops.operation
    for each statement execute function ops.take_turn();

create or replace function ops.move_many(
    operation_ids uuid[], to_state text, actor text, reason text default null,
    details jsonb default null, run_id text default null, request jsonb default null, answer jsonb default null
) returns bigint
language plpgsql as $$
#variable_conflict use_variable
declare
    known bigint;
    moved bigint;
begin
    perform set_config('sverka.actor', coalesce(actor, ''), true),
            set_config('sverka.reason', coalesce(reason, ''), true),
            set_config('sverka.request', coalesce(request::text, ''), true),
            set_config('sverka.answer', coalesce(answer::text, ''), true),
            set_config('sverka.run_id', coalesce(run_id, ''), true),
            set_config('sverka.details', coalesce(details::text, ''), true);
    perform ops.lock_changes();
    -- Locked in one order too: whoever locks rows itself need not have waited for its turn.
    select count(*) into known from (
        select from ops.operation as o where o.operation_id = any (operation_ids)
        order by o.operation_id for update
    ) as locked;
    if known <> (select count(distinct wanted) from unnest(operation_ids) as wanted) then
        raise exception 'no operation %', (
            select string_agg(wanted::text, ', ') from (
                select wanted from unnest(operation_ids) as wanted
                where not exists (select from ops.operation as o where o.operation_id = wanted) limit 5
            ) as missing) using errcode = 'no_data_found';
    end if;
    update ops.operation as o
    set state = to_state,
        reason = coalesce(details -> o.operation_id::text ->> 'reason', reason),
        run_id = coalesce(run_id, o.run_id)
    where o.operation_id = any (operation_ids) and o.state <> to_state;
    get diagnostics moved = row_count;
    perform set_config('sverka.' || name, '', true)
    from unnest(array['actor', 'reason', 'request', 'answer', 'run_id', 'details']) as name;
    return moved;
end
$$;
