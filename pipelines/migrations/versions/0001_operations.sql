-- The operation ledger: every write to an outside system is a row first, and every step of it an event.

CREATE TABLE ops.operation (
    operation_id uuid PRIMARY KEY,
    target       text NOT NULL,
    kind         text NOT NULL,
    action       text NOT NULL CHECK (action IN ('create', 'update', 'post', 'unpost')),
    key          text NOT NULL,
    source       text,
    source_ref   text,
    subject      text,
    revision     int NOT NULL DEFAULT 0,
    state        text NOT NULL DEFAULT 'planned' CHECK (state IN (
                     'planned', 'held', 'approved', 'sent', 'uncertain',
                     'confirmed', 'verified', 'superseded', 'reversed', 'rejected')),
    body         jsonb,
    content_hash text,
    depends_on   uuid[] NOT NULL DEFAULT '{}',
    attempts     int NOT NULL DEFAULT 0,
    not_before   timestamptz,
    reason       text,
    reason_code  text,
    amount       numeric(18, 2),
    currency     text,
    version      text,
    result       jsonb,
    planned_at   timestamptz NOT NULL DEFAULT now(),
    changed_at   timestamptz NOT NULL DEFAULT now(),
    run_id       text
);
CREATE INDEX ON ops.operation (target, state);
CREATE INDEX ON ops.operation (subject);
CREATE INDEX ON ops.operation USING gin (depends_on);
COMMENT ON TABLE ops.operation IS 'One intended write to an outside system. State changes go through ops.move or ops.move_many.';
COMMENT ON COLUMN ops.operation.operation_id IS 'Computed: a name-based UUID over target, kind, source system, source deal, revision (and action).';
COMMENT ON COLUMN ops.operation.key IS 'Our key of the outside record: its own key where the target lets us choose, else its searchable reference.';
COMMENT ON COLUMN ops.operation.source_ref IS 'Id of the source record, as the source writes it.';
COMMENT ON COLUMN ops.operation.subject IS 'What it is about in our words, for example a deal_id.';
COMMENT ON COLUMN ops.operation.body IS 'What is to be written, in the vendor''s field names.';
COMMENT ON COLUMN ops.operation.depends_on IS 'Operations that must be verified first: parents before children.';
COMMENT ON COLUMN ops.operation.attempts IS 'How often it left us; counted when it moves to sent.';
COMMENT ON COLUMN ops.operation.reason IS 'Why it is in this state, a sentence.';
COMMENT ON COLUMN ops.operation.amount IS 'Total in major units of currency.';
COMMENT ON COLUMN ops.operation.version IS 'The target''s version of the record after our write.';

CREATE TABLE ops.operation_event (
    event_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation_id uuid NOT NULL REFERENCES ops.operation,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_state   text,
    to_state     text NOT NULL,
    actor        text,
    reason       text,
    request      jsonb,
    answer       jsonb,
    run_id       text
);
CREATE INDEX ON ops.operation_event (operation_id, event_id);
COMMENT ON TABLE ops.operation_event IS 'Append-only: who moved an operation, when and why, with the request and the answer (secrets and personal data masked by the writer).';

CREATE FUNCTION ops.may_move(from_state text, to_state text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE from_state
    WHEN 'planned' THEN to_state IN ('held', 'approved', 'superseded')
    WHEN 'held' THEN to_state IN ('planned', 'superseded', 'rejected')
    WHEN 'approved' THEN to_state IN ('sent', 'held', 'superseded', 'planned')
    -- planned: refused before it left us
    WHEN 'sent' THEN to_state IN ('confirmed', 'uncertain', 'planned', 'rejected', 'held')
    WHEN 'uncertain' THEN to_state IN ('confirmed', 'planned')
    WHEN 'confirmed' THEN to_state IN ('verified', 'held', 'uncertain')
    WHEN 'verified' THEN to_state IN ('superseded', 'reversed')
    WHEN 'rejected' THEN to_state IN ('planned', 'superseded')
    ELSE false
END;
COMMENT ON FUNCTION ops.may_move IS 'The state machine of an operation. Only a probe decides what becomes of an uncertain one.';

CREATE FUNCTION ops.check_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'planned' THEN
            RAISE EXCEPTION 'operation % (% %) cannot begin as %: plan it first', NEW.operation_id, NEW.target, NEW.kind, NEW.state
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.state IS NOT DISTINCT FROM OLD.state THEN
        RETURN NEW;
    END IF;
    IF NOT ops.may_move(OLD.state, NEW.state) THEN
        RAISE EXCEPTION 'operation % (% % for %) cannot go from % to %', OLD.operation_id, OLD.target, OLD.kind,
            coalesce(OLD.subject, 'nothing'), OLD.state, NEW.state
            USING ERRCODE = 'check_violation', HINT = 'ops.may_move lists the allowed steps.';
    END IF;
    NEW.changed_at := clock_timestamp();
    IF NEW.state = 'sent' AND NEW.attempts = OLD.attempts THEN
        NEW.attempts := OLD.attempts + 1;
    END IF;
    RETURN NEW;
END
$$;

-- sverka.details: {operation_id: {"reason", "request", "answer"}} for a move of many at once.
CREATE FUNCTION ops.log_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    who     text := coalesce(nullif(current_setting('sverka.actor', true), ''), session_user);
    why     text := nullif(current_setting('sverka.reason', true), '');
    asked   jsonb := nullif(current_setting('sverka.request', true), '')::jsonb;
    got     jsonb := nullif(current_setting('sverka.answer', true), '')::jsonb;
    run     text := nullif(current_setting('sverka.run_id', true), '');
    details jsonb := nullif(current_setting('sverka.details', true), '')::jsonb;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO ops.operation_event (operation_id, from_state, to_state, actor, reason, run_id)
        SELECT operation_id, NULL, state, who, coalesce(reason, why), coalesce(run_id, run) FROM after_rows;
    ELSE
        INSERT INTO ops.operation_event
            (operation_id, from_state, to_state, actor, reason, request, answer, run_id)
        SELECT n.operation_id, o.state, n.state, who,
               coalesce(d.detail ->> 'reason', why), coalesce(d.detail -> 'request', asked),
               coalesce(d.detail -> 'answer', got), coalesce(run, n.run_id)
        FROM before_rows AS o
        JOIN after_rows AS n USING (operation_id)
        CROSS JOIN LATERAL (SELECT details -> n.operation_id::text AS detail) AS d
        WHERE n.state <> o.state;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER check_move BEFORE INSERT OR UPDATE ON ops.operation
    FOR EACH ROW EXECUTE FUNCTION ops.check_move();
CREATE TRIGGER log_plan AFTER INSERT ON ops.operation
    REFERENCING NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION ops.log_move();
CREATE TRIGGER log_move AFTER UPDATE ON ops.operation
    REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION ops.log_move();

CREATE FUNCTION ops.refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Write a further event that says what is right.';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ops.operation_event
    FOR EACH STATEMENT EXECUTE FUNCTION ops.refuse_rewriting();
CREATE TRIGGER keep BEFORE DELETE OR TRUNCATE ON ops.operation
    FOR EACH STATEMENT EXECUTE FUNCTION ops.refuse_rewriting();

CREATE FUNCTION ops.move_many(
    operation_ids uuid[], to_state text, actor text, reason text DEFAULT NULL,
    details jsonb DEFAULT NULL, run_id text DEFAULT NULL, request jsonb DEFAULT NULL, answer jsonb DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    known bigint;
    moved bigint;
BEGIN
    PERFORM set_config('sverka.actor', coalesce(actor, ''), true),
            set_config('sverka.reason', coalesce(reason, ''), true),
            set_config('sverka.request', coalesce(request::text, ''), true),
            set_config('sverka.answer', coalesce(answer::text, ''), true),
            set_config('sverka.run_id', coalesce(run_id, ''), true),
            set_config('sverka.details', coalesce(details::text, ''), true);
    -- Locked in one order, so that two movers of the same operations wait instead of deadlocking.
    SELECT count(*) INTO known FROM (
        SELECT FROM ops.operation AS o WHERE o.operation_id = ANY (operation_ids)
        ORDER BY o.operation_id FOR UPDATE
    ) AS locked;
    IF known <> (SELECT count(DISTINCT wanted) FROM unnest(operation_ids) AS wanted) THEN
        RAISE EXCEPTION 'no operation %', (
            SELECT string_agg(wanted::text, ', ') FROM (
                SELECT wanted FROM unnest(operation_ids) AS wanted
                WHERE NOT EXISTS (SELECT FROM ops.operation AS o WHERE o.operation_id = wanted) LIMIT 5
            ) AS missing) USING ERRCODE = 'no_data_found';
    END IF;
    UPDATE ops.operation AS o
    SET state = to_state,
        reason = coalesce(details -> o.operation_id::text ->> 'reason', reason),
        run_id = coalesce(run_id, o.run_id)
    WHERE o.operation_id = ANY (operation_ids) AND o.state <> to_state;
    GET DIAGNOSTICS moved = ROW_COUNT;
    PERFORM set_config('sverka.' || name, '', true)
    FROM unnest(ARRAY['actor', 'reason', 'request', 'answer', 'run_id', 'details']) AS name;
    RETURN moved;
END
$$;
COMMENT ON FUNCTION ops.move_many IS
    'Move operations to a state and log it; returns how many moved (those already there are left alone). details: {operation_id: {"reason", "request", "answer"}}.';

CREATE FUNCTION ops.move(
    operation_id uuid, to_state text, actor text, reason text DEFAULT NULL,
    request jsonb DEFAULT NULL, answer jsonb DEFAULT NULL, run_id text DEFAULT NULL
) RETURNS boolean
LANGUAGE sql AS $$
    SELECT ops.move_many(ARRAY[operation_id], to_state, actor, reason, NULL, run_id, request, answer) = 1
$$;
COMMENT ON FUNCTION ops.move IS 'Move one operation; false when it was in that state already.';
