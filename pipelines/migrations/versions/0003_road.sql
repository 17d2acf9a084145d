-- What the road remembers of its own tables, and the one way to compute a key.

ALTER TABLE ops.table_version ADD COLUMN lineage jsonb, ADD COLUMN metadata jsonb;
COMMENT ON COLUMN ops.table_version.lineage IS 'Which columns each column is made of.';
COMMENT ON COLUMN ops.table_version.metadata IS 'Row count and money totals when the table last changed.';

CREATE FUNCTION ops.key_of(target text, kind text, subject text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ops.uuid5('5f0c7c0e-8d5b-5a53-9f5e-6b1f3a8d2c41'::uuid, target || '/' || kind || '/' || subject)::text;
COMMENT ON FUNCTION ops.key_of IS
    'The key of a record that we create in a target: UUIDv5 over target, kind and subject (a document''s subject is deal/revision). The same deal event gives the same key on any machine.';
