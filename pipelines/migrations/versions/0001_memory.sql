-- The working memory: what was read, how far, what could not be used, and what was decided by hand.

CREATE TABLE ops.batch (
    batch_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text NOT NULL,
    entity      text NOT NULL,
    mode        text NOT NULL CHECK (mode IN ('full', 'incremental', 'sweep')),
    window_from timestamptz,
    window_to   timestamptz,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    status      text NOT NULL DEFAULT 'reading' CHECK (status IN ('reading', 'loaded', 'refused', 'failed')),
    received    bigint NOT NULL DEFAULT 0,
    added       bigint NOT NULL DEFAULT 0,
    changed     bigint NOT NULL DEFAULT 0,
    unchanged   bigint NOT NULL DEFAULT 0,
    deleted     bigint NOT NULL DEFAULT 0,
    rejected    bigint NOT NULL DEFAULT 0,
    message     text,
    run_id      text
);
CREATE INDEX ON ops.batch (source, entity, batch_id);
COMMENT ON TABLE ops.batch IS 'One reading of one entity of one source, with its counts: received = added + changed + unchanged + rejected.';
COMMENT ON COLUMN ops.batch.mode IS 'full: everything; incremental: changed in the window; sweep: ids only, to find deletions.';
COMMENT ON COLUMN ops.batch.window_from IS 'Changes since, inclusive, with the overlap already taken off; empty in a full reading.';
COMMENT ON COLUMN ops.batch.window_to IS 'Changes until, exclusive.';
COMMENT ON COLUMN ops.batch.status IS 'refused: a guard stopped it (for example too many deletions); failed: an error.';

CREATE TABLE ops.cursor (
    source       text NOT NULL,
    entity       text NOT NULL,
    read_until   timestamptz,
    full_read_at timestamptz,
    swept_at     timestamptz,
    state        jsonb,
    PRIMARY KEY (source, entity)
);
COMMENT ON TABLE ops.cursor IS 'How far each entity of each source has been read.';
COMMENT ON COLUMN ops.cursor.state IS 'What the connector needs to go on (page tokens, file hashes); its own shape.';

CREATE TABLE ops.quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id      bigint REFERENCES ops.batch ON DELETE SET NULL,
    source        text NOT NULL,
    entity        text NOT NULL,
    place         text NOT NULL,
    reason        text NOT NULL,
    payload       text,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz NOT NULL DEFAULT now(),
    resolved_at   timestamptz,
    UNIQUE (source, entity, place, reason)
);
CREATE INDEX ON ops.quarantine (batch_id);
COMMENT ON TABLE ops.quarantine IS 'What was received and cannot become a record, with the reason: nothing received is lost.';
COMMENT ON COLUMN ops.quarantine.place IS 'Where a person finds it: "deals.csv, line 17", "deal 4711".';

CREATE TABLE ops.clean_value (
    kind      text NOT NULL,
    country   text NOT NULL DEFAULT '',
    raw_value text NOT NULL,
    value     text,
    problem   text,
    PRIMARY KEY (kind, country, raw_value)
);
COMMENT ON TABLE ops.clean_value IS 'Dictionary of cleaned values: each distinct phone, e-mail, name or tax number is cleaned once.';
COMMENT ON COLUMN ops.clean_value.country IS 'ISO 3166 alpha-2 that the value was read for; empty where it does not matter.';
COMMENT ON COLUMN ops.clean_value.problem IS 'Why there is no value, or what is doubtful about it; empty when clean.';

CREATE TABLE ops.change_log (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    key        text NOT NULL,
    at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON ops.change_log (table_name, seq);
COMMENT ON TABLE ops.change_log IS 'Keys that changed, in order: a consumer recomputes these and no others.';

CREATE TABLE ops.watermark (
    consumer text NOT NULL,
    upstream text NOT NULL,
    seq      bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer, upstream)
);
COMMENT ON TABLE ops.watermark IS 'How far each consumer has followed the change log of each upstream table.';

CREATE TABLE ops.table_version (
    table_name  text PRIMARY KEY,
    fingerprint text NOT NULL,
    deployed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ops.table_version IS 'Fingerprint of the SQL that made each table; another one means: rebuild.';

-- Unlogged: after a crash an empty bucket is right, and every request writes here.
CREATE UNLOGGED TABLE ops.rate_bucket (
    system        text NOT NULL,
    bucket        text NOT NULL,
    level         double precision NOT NULL DEFAULT 0,
    leaked_at     timestamptz NOT NULL DEFAULT now(),
    blocked_until timestamptz,
    PRIMARY KEY (system, bucket)
);
COMMENT ON TABLE ops.rate_bucket IS 'Leaky buckets of the vendors'' limits, shared by all processes.';
COMMENT ON COLUMN ops.rate_bucket.level IS 'Requests (or the vendor''s cost units) in the bucket at leaked_at.';
COMMENT ON COLUMN ops.rate_bucket.blocked_until IS 'The vendor said: not before.';

CREATE TABLE ops.release (
    release_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deal_id    text NOT NULL,
    check_name text NOT NULL,
    actor      text NOT NULL,
    reason     text NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX ON ops.release (deal_id);
COMMENT ON TABLE ops.release IS 'A person let a held record pass one named check, and said why.';

CREATE TABLE ops.mapping_version (
    mapping_version_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system             text NOT NULL,
    fingerprint        text NOT NULL,
    content            text NOT NULL,
    loaded_at          timestamptz NOT NULL DEFAULT now(),
    valid_from         timestamptz,
    UNIQUE (system, fingerprint, valid_from)
);
COMMENT ON TABLE ops.mapping_version IS 'Every mapping file that was ever in force, whole.';

CREATE TABLE ops.variance_memory (
    variance_key   text PRIMARY KEY,
    first_seen_at  timestamptz NOT NULL DEFAULT now(),
    first_seen_run text,
    last_seen_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_run  text,
    resolved_at    timestamptz,
    owner          text,
    status         text NOT NULL DEFAULT 'open',
    note           text
);
COMMENT ON TABLE ops.variance_memory IS 'Since when each difference between CRM and accounting has been seen, and who has it.';

CREATE TABLE ops.echo (
    system       text NOT NULL,
    kind         text NOT NULL,
    key          text NOT NULL,
    version      text,
    content_hash text,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (system, kind, key)
);
COMMENT ON TABLE ops.echo IS 'What we wrote last to each outside record, so that our own write does not come round as a change.';

CREATE TABLE ops.notification (
    notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL DEFAULT now(),
    kind            text NOT NULL,
    message         text NOT NULL,
    delivered_at    timestamptz,
    error           text
);
CREATE INDEX ON ops.notification (notification_id) WHERE delivered_at IS NULL;
COMMENT ON TABLE ops.notification IS 'Messages to people, and whether they were delivered.';
