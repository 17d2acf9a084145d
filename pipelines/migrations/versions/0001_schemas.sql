-- One schema a stage of the road, and the role that may read what people ask about.

CREATE SCHEMA IF NOT EXISTS raw;
CREATE SCHEMA IF NOT EXISTS core;
CREATE SCHEMA IF NOT EXISTS documents;
CREATE SCHEMA IF NOT EXISTS ledger;
CREATE SCHEMA IF NOT EXISTS marts;
CREATE SCHEMA IF NOT EXISTS feedback;
CREATE SCHEMA IF NOT EXISTS ops;
CREATE SCHEMA IF NOT EXISTS dagster;

COMMENT ON SCHEMA raw IS 'What each source said, unchanged and replayable.';
COMMENT ON SCHEMA core IS 'The same in our words: clients, counterparties, deals, products and their history.';
COMMENT ON SCHEMA documents IS 'What accounting must hold: planned documents and lines, the verdict of the gate, what was held and why.';
COMMENT ON SCHEMA ledger IS 'What accounting does hold: documents, payments, allocations, entries, balances; compared with the CRM.';
COMMENT ON SCHEMA marts IS 'What people ask: funnel, receivables, ROI, ABC/XYZ, forecast.';
COMMENT ON SCHEMA feedback IS 'What goes back to the CRM: payment and shipment status, debt, tasks for overdue payments.';
COMMENT ON SCHEMA ops IS 'The working memory beside the road: cursors, the operation ledger, quarantine, identity decisions, mapping versions.';
COMMENT ON SCHEMA dagster IS 'Dagster''s own storage: runs, events, schedules. Made and migrated by Dagster.';

-- The role belongs to the whole server: another database may have made it, even at this moment.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'analyst') THEN
        CREATE ROLE analyst NOLOGIN;
        COMMENT ON ROLE analyst IS
            'Reads core, documents, ledger and marts. To log in as one: CREATE ROLE anna LOGIN PASSWORD ''...'' IN ROLE analyst;';
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'the role analyst was not made: %; make it as administrator and grant it USAGE and SELECT on core, documents, ledger, marts', SQLERRM;
END
$$;

DO $$
DECLARE
    stage text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'analyst') THEN
        RETURN;
    END IF;
    FOREACH stage IN ARRAY ARRAY['core', 'documents', 'ledger', 'marts'] LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO analyst', stage);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO analyst', stage);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON TABLES TO analyst', stage);
    END LOOP;
END
$$;
