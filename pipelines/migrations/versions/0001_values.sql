-- What people and systems write into fields, read as values. All immutable, and none raises: what cannot
-- be read without guessing is NULL, and the caller says so. `style` is auto, ru or en.
--
-- PL/pgSQL and not SQL, since PostgreSQL starts its executor anew for each call of an SQL function that it
-- cannot inline: some 100 microseconds a call. Few patterns, since a session keeps only 32 compiled.

CREATE FUNCTION ops.parse_number(written text, style text DEFAULT 'auto') RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    n        text;
    sign     int := 1;
    dots     int;
    commas   int;
    spaced   boolean;
    point    text := '.';  -- what separates the fraction
    groups   boolean := false;  -- whether dots or commas separate thousands
    whole    text;
    fraction text := '';
BEGIN
    IF written IS NULL OR length(written) > 60 THEN
        RETURN NULL;
    END IF;
    IF written ~ '^-?\d+(\.\d+)?$' THEN
        RETURN written::numeric;
    END IF;
    -- Spaces of every kind become one kind, minus signs a hyphen.
    n := btrim(translate(written, U&'\00A0\202F\2009\2007\2212\2019', '    -'''));
    IF n ~ '^-?\d{1,3}( \d{3})+(,\d+)?$' THEN  -- the usual one, which reads one way
        RETURN replace(translate(n, ' ', ''), ',', '.')::numeric;
    END IF;
    IF translate(n, '0123456789 .,-+()''', '') <> '' THEN
        n := btrim(regexp_replace(
            n, '[₽$€£¥₸₴₺₾₼]|\m(rub|rur|usd|eur|kzt|byn|тенге)\M|(руб(лей|ля|ль)?|[рp])(\.|$)', '', 'gi'));
    END IF;
    IF n LIKE '(%)' THEN
        sign := -1;
        n := btrim(substr(n, 2, length(n) - 2));
    ELSIF left(n, 1) IN ('-', '+') THEN
        sign := CASE left(n, 1) WHEN '-' THEN -1 ELSE 1 END;
        n := ltrim(substr(n, 2));
    ELSIF right(n, 1) = '-' THEN  -- SAP writes "12.00-"
        sign := -1;
        n := rtrim(left(n, -1));
    END IF;
    IF translate(n, '0123456789 .,''', '') <> '' THEN
        RETURN CASE WHEN n ~* '^\d{1,20}(\.\d{1,20})?e[-+]?\d{1,2}$' THEN sign * n::numeric END;
    END IF;
    dots := length(n) - length(replace(n, '.', ''));
    commas := length(n) - length(replace(n, ',', ''));
    spaced := strpos(n, ' ') > 0 OR strpos(n, '''') > 0;
    IF dots > 0 AND commas > 0 THEN  -- the last one separates the fraction
        point := CASE WHEN strpos(reverse(n), ',') < strpos(reverse(n), '.') THEN ',' ELSE '.' END;
        groups := true;
    ELSIF dots > 1 OR commas > 1 THEN
        point := NULL;
        groups := true;
    ELSIF commas = 1 THEN
        point := ',';
        IF NOT spaced THEN
            -- "1,234" is 1234 in en, 1.234 in ru, and nobody knows which in auto; "0,125" is no thousand.
            IF length(split_part(n, ',', 2)) = 3 AND length(n) BETWEEN 5 AND 7 AND left(n, 1) <> '0' THEN
                IF style = 'en' THEN
                    point := NULL;
                    groups := true;
                ELSIF style <> 'ru' THEN
                    RETURN NULL;
                END IF;
            ELSIF style = 'en' THEN
                RETURN NULL;
            END IF;
        END IF;
    END IF;
    IF spaced AND groups THEN
        RETURN NULL;
    END IF;
    IF point IS NULL THEN
        whole := n;
    ELSE
        whole := split_part(n, point, 1);
        fraction := split_part(n, point, 2);
        IF length(whole) + length(fraction) + 1 < length(n) THEN  -- a second point
            RETURN NULL;
        END IF;
    END IF;
    IF spaced OR groups THEN
        IF whole !~ '^\d{1,3}([ ''.,]\d{3})+$' THEN
            RETURN NULL;
        END IF;
        whole := translate(whole, ' ''.,', '');
    END IF;
    IF whole || fraction !~ '^\d{1,40}$' THEN
        RETURN NULL;
    END IF;
    RETURN sign * ('0' || whole || CASE WHEN fraction <> '' THEN '.' || fraction ELSE '' END)::numeric;
END
$$;
COMMENT ON FUNCTION ops.parse_number IS
    'Number as written: "1 234,56", "1,234.56", "(12,00)" for minus, signs of money left out; words and ambiguous spellings give NULL. "1,234" is 1234 in en, 1.234 in ru, NULL in auto; "1.234" is always 1.234.';

-- Years outside 1900..2199 are no dates of business: 1C writes its empty date as 0001-01-01.
CREATE FUNCTION ops.date_of(y int, m int, d int) RETURNS date
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF y NOT BETWEEN 1900 AND 2199 OR m NOT BETWEEN 1 AND 12 OR d NOT BETWEEN 1 AND 31 THEN
        RETURN NULL;
    ELSIF d > 28 AND (m = 2 AND (d > 29 OR y % 4 <> 0 OR y % 100 = 0 AND y % 400 <> 0)
                      OR d > 30 AND m IN (4, 6, 9, 11)) THEN
        RETURN NULL;
    END IF;
    RETURN make_date(y, m, d);
END
$$;

CREATE FUNCTION ops.parse_date(written text, style text DEFAULT 'auto') RETURNS date
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    p      text[];
    first  int;
    second int;
    y      int;
BEGIN
    IF written ~ '^\d{4}-\d\d-\d\d($|[T ]\d)' THEN
        RETURN ops.date_of(left(written, 4)::int, substr(written, 6, 2)::int, substr(written, 9, 2)::int);
    ELSIF written ~ '^\d{8}$' THEN
        RETURN ops.date_of(left(written, 4)::int, substr(written, 5, 2)::int, substr(written, 7, 2)::int);
    END IF;
    IF written ~ '^\d\d\.\d\d\.\d{4}$' THEN  -- the usual one, without the dear captures
        RETURN ops.date_of(right(written, 4)::int, substr(written, 4, 2)::int, left(written, 2)::int);
    END IF;
    p := regexp_match(
        written, '^\s*(\d{1,2})([./])(\d{1,2})([./])(\d{4}|\d{2})(?:\s*г\.?)?(?:,?\s+\d{1,2}:.*)?\s*$');
    IF p IS NULL OR p[2] <> p[4] THEN
        RETURN NULL;
    END IF;
    first := p[1];
    second := p[3];
    y := p[5];
    IF length(p[5]) = 2 THEN
        y := y + CASE WHEN y < 70 THEN 2000 ELSE 1900 END;
    END IF;
    IF p[2] = '.' OR style = 'ru' OR first = second OR (style <> 'en' AND first > 12) THEN
        RETURN ops.date_of(y, second, first);
    ELSIF style = 'en' OR second > 12 THEN  -- in auto, "1/2/2026" reads two ways
        RETURN ops.date_of(y, first, second);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION ops.parse_date IS
    'Date as written (of a date and time: its date, as written there): ISO, yyyymmdd, dd.mm.yyyy, dd.mm.yy; m/d/yyyy in en, d/m/yyyy in ru, only what reads one way in auto; days that do not exist give NULL.';

CREATE FUNCTION ops.parse_time(written text, zone text DEFAULT 'UTC') RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    day    date;
    p      text[];
    h      int := 0;
    mi     int := 0;
    s      interval := '0';
    shift  text;
    moment timestamp;
BEGIN
    IF written ~ '^\d{9,13}$' THEN  -- Unix time, or in milliseconds
        RETURN CASE length(written)
            WHEN 13 THEN to_timestamp(0) + written::bigint * interval '1 millisecond'
            WHEN 9 THEN to_timestamp(written::bigint)
            WHEN 10 THEN to_timestamp(written::bigint)
        END;
    END IF;
    day := ops.parse_date(written, 'ru');
    IF day IS NULL THEN
        RETURN NULL;
    END IF;
    IF written ~ '^[-0-9]{10}[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?([zZ]|[-+](0\d|1[0-5]):?[0-5]\d)?$' THEN
        -- The usual one: valid as it stands, so the server's own reading cannot fail.
        IF translate(substr(written, 20), '+zZ', '---') LIKE '%-%' THEN
            RETURN written::timestamptz;
        END IF;
        RETURN written::timestamp AT TIME ZONE zone;
    END IF;
    IF length(btrim(written)) > 12 THEN
        p := regexp_match(
            written, '[T ](\d{1,2}):(\d\d)(?::(\d\d(?:[.]\d{1,9})?))?\s*([zZ]|[-+]\d\d(?::?\d\d)?)?\s*$');
        IF p IS NULL OR p[1]::int > 23 OR p[2]::int > 59 OR p[3] >= '60' THEN
            RETURN NULL;
        END IF;
        h := p[1];
        mi := p[2];
        s := coalesce(p[3], '0')::numeric * interval '1 second';
        shift := p[4];
    END IF;
    moment := day + make_interval(hours => h, mins => mi) + s;
    IF shift IS NULL THEN
        RETURN moment AT TIME ZONE zone;
    ELSIF shift NOT IN ('z', 'Z') THEN
        h := substr(shift, 2, 2);
        mi := CASE WHEN length(shift) > 3 THEN right(shift, 2) ELSE '0' END;
        IF h > 15 OR mi > 59 THEN
            RETURN NULL;
        END IF;
        moment := moment - CASE left(shift, 1) WHEN '-' THEN -1 ELSE 1 END * make_interval(hours => h, mins => mi);
    END IF;
    RETURN moment AT TIME ZONE 'UTC';
END
$$;
COMMENT ON FUNCTION ops.parse_time IS
    'Moment: ISO with an offset, ISO or dd.mm.yyyy hh:mm[:ss] without one (then in zone), a date alone (midnight in zone), Unix time.';

CREATE FUNCTION ops.parse_boolean(written text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN lower(btrim(written)) IN ('true', 't', '1', 'yes', 'y', 'on', 'да', 'д', 'истина', 'вкл') THEN true
    WHEN lower(btrim(written)) IN ('false', 'f', '0', 'no', 'n', 'off', 'нет', 'н', 'ложь', 'выкл') THEN false
END;

-- RFC 9562, 5.8 and B.2: the first 16 bytes of SHA-256 over namespace and name, with version 8 and the
-- variant set. PostgreSQL computes SHA-256 itself; version 5 wants SHA-1, which it lacks without pgcrypto
-- and which took 40 to 80 microseconds a name in PL/pgSQL (docs/decisions/0004-keys.md).
CREATE FUNCTION ops.uuid8(namespace uuid, name text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT encode(set_byte(set_byte(h, 6, (get_byte(h, 6) & 15) | 128), 8, (get_byte(h, 8) & 63) | 128), 'hex')::uuid
    FROM (SELECT substr(sha256(uuid_send(namespace) || convert_to(name, 'UTF8')), 1, 16)) AS digest(h)
$$;
COMMENT ON FUNCTION ops.uuid8 IS 'Name-based UUID: the same namespace and name give the same value on any machine.';
