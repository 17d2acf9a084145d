-- What the road remembers of its own tables, and the one way to compute a key.

ALTER TABLE ops.table_version ADD COLUMN lineage jsonb, ADD COLUMN metadata jsonb;
COMMENT ON COLUMN ops.table_version.lineage IS 'Which columns each column is made of.';
COMMENT ON COLUMN ops.table_version.metadata IS 'Row count and money totals when the table last changed.';

CREATE FUNCTION ops.key_of(target text, kind text, subject text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ops.uuid8('5f0c7c0e-8d5b-5a53-9f5e-6b1f3a8d2c41'::uuid, target || '/' || kind || '/' || subject)::text
$$;
COMMENT ON FUNCTION ops.key_of IS
    'The key of a record that we create in a target, from target, kind and subject (a document''s subject is deal/revision). The same deal event gives the same key on any machine.';

-- Beyond 50,000 keys a change is told as "everything" ('*'), as pipelines/refresh.py does.
CREATE FUNCTION ops.told_keys(keys text[]) RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '*' WHERE cardinality(keys) > 50000
    UNION ALL
    SELECT DISTINCT k FROM unnest(keys) AS k WHERE cardinality(keys) <= 50000
$$;

-- Tables downstream (ledger.position) depend on what became of an operation.
CREATE FUNCTION ops.tell_operation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(5112001);  -- ops.lock_changes() since 0007
    IF TG_OP = 'INSERT' THEN
        INSERT INTO ops.change_log (table_name, key)
        SELECT 'ops.operation', told.key FROM ops.told_keys(ARRAY(SELECT target || ':' || key FROM after_rows)) AS told(key);
    ELSE
        INSERT INTO ops.change_log (table_name, key)
        SELECT 'ops.operation', told.key FROM ops.told_keys(ARRAY(
            SELECT n.target || ':' || n.key
            FROM after_rows AS n JOIN before_rows AS o USING (operation_id)
            WHERE (n.state, n.reason, n.amount) IS DISTINCT FROM (o.state, o.reason, o.amount))) AS told(key);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER tell_planned AFTER INSERT ON ops.operation
    REFERENCING NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION ops.tell_operation();
CREATE TRIGGER tell_moved AFTER UPDATE ON ops.operation
    REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION ops.tell_operation();

-- A hand-made release is seen by documents.held.
CREATE FUNCTION ops.tell_release() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(5112001);
    INSERT INTO ops.change_log (table_name, key) VALUES ('ops.release', NEW.deal_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER tell_release AFTER INSERT OR UPDATE ON ops.release
    FOR EACH ROW EXECUTE FUNCTION ops.tell_release();
