-- What mapping files decide, for joining. Written by mappings.write_rules, never by hand.
-- `place` is where a person finds the rule: "mappings/demo/bitrix24.yaml:41".

CREATE TABLE ops.stage_rule (
    system        text NOT NULL,
    position      int NOT NULL,
    pipeline_code text,
    stage_code    text,
    outcome       text CHECK (outcome IN ('open', 'won', 'lost')),
    documents     text[] NOT NULL DEFAULT '{}',
    due_days      int,
    ignore        boolean NOT NULL DEFAULT false,
    why           text,
    valid_from    date,
    valid_to      date,
    place         text NOT NULL,
    PRIMARY KEY (system, position)
);
COMMENT ON TABLE ops.stage_rule IS 'Which documents a deal owes in a stage; of the rules that fit, the one with the lowest position decides.';
COMMENT ON COLUMN ops.stage_rule.pipeline_code IS 'Empty: any pipeline. So also stage_code and outcome.';
COMMENT ON COLUMN ops.stage_rule.documents IS 'invoice, realization; none where empty.';
COMMENT ON COLUMN ops.stage_rule.due_days IS 'Days from the document to its payment.';
COMMENT ON COLUMN ops.stage_rule.valid_from IS 'First day, inclusive, of the deal''s closed_on (else created_at); empty: always.';
COMMENT ON COLUMN ops.stage_rule.valid_to IS 'Last day, inclusive.';

CREATE TABLE ops.product_alias (
    system     text NOT NULL,
    name_key   text NOT NULL,
    name       text NOT NULL,
    is_name    text NOT NULL,
    valid_from date,
    valid_to   date,
    place      text NOT NULL
);
CREATE INDEX ON ops.product_alias (system, name_key);
COMMENT ON TABLE ops.product_alias IS 'A product''s name in one system and its name in the catalogue.';
COMMENT ON COLUMN ops.product_alias.name_key IS 'name in lower case, ё as е, runs of spaces as one.';

CREATE TABLE ops.unit_rule (
    system text NOT NULL,
    name   text NOT NULL,
    code   text NOT NULL,
    place  text NOT NULL,
    PRIMARY KEY (system, name)
);
COMMENT ON TABLE ops.unit_rule IS 'Spellings of units of measure, in lower case, and their code (OKEI).';

CREATE TABLE ops.vat_rule (
    system     text NOT NULL,
    rate       numeric(5, 2),
    value      text NOT NULL,
    valid_from date,
    valid_to   date,
    place      text NOT NULL
);
COMMENT ON TABLE ops.vat_rule IS 'Accounting''s own word for a VAT rate in percent; an empty rate is "without VAT".';

CREATE TABLE ops.currency_rule (
    system text NOT NULL,
    code   text NOT NULL,
    value  text NOT NULL,
    place  text NOT NULL,
    PRIMARY KEY (system, code)
);
COMMENT ON TABLE ops.currency_rule IS 'Accounting''s own code of a currency by its ISO 4217 letters.';

CREATE TABLE ops.setting (
    system text NOT NULL,
    name   text NOT NULL,
    value  jsonb NOT NULL,
    PRIMARY KEY (system, name)
);
COMMENT ON TABLE ops.setting IS 'Settings of each connected system: defaults, tolerance, what is demanded.';
