-- What people and systems write into fields, read as values. All immutable, and none raises: what cannot
-- be read without guessing is NULL, and the caller says so. `style` is auto, ru or en.

-- Anything but plain digits. Two spellings are ambiguous and so depend on the style: "1,234" is 1234 in
-- en, 1.234 in ru, and NULL in auto; "12,5" is NULL in en. "1.234" is always 1.234: systems write so.
CREATE FUNCTION ops.parse_written_number(written text, style text) RETURNS numeric
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    WITH signed AS (
        -- Spaces of every kind are one kind, the minus sign is a hyphen, signs and words of money go.
        SELECT btrim(regexp_replace(
            translate(written, U&'\00A0\202F\2009\2007\2212\2019', '    -'''),
            '[₽$€£¥₸₴₺₾₼]|\m(rub|rur|usd|eur|kzt|byn|руб(лей|ля|ль)?|тенге)\M\.?|(?<=[0-9 ])[рp]\.', '', 'gi'
        )) AS v
        WHERE length(written) <= 60
    ), bare AS (
        SELECT CASE WHEN v ~ '^\(.*\)$' OR v ~ '^-.*[0-9]$' OR v ~ '^[0-9].*-$' THEN -1 ELSE 1 END AS sign,
               CASE WHEN v ~ '^\(.*\)$' THEN btrim(v, '() ') ELSE btrim(regexp_replace(v, '^[-+]|-$', '')) END AS n
        FROM signed
    )
    SELECT sign * CASE
        WHEN n ~ '^\d{1,30}(\.\d{1,20})?$' THEN n::numeric
        WHEN n ~ '^\d{1,3}([ '']\d{3})+([.,]\d+)?$' THEN replace(translate(n, ' ''', ''), ',', '.')::numeric
        WHEN n ~ '^\d{1,3}(\.\d{3})+,\d+$' THEN translate(n, ',.', '.')::numeric
        WHEN n ~ '^\d{1,3}(,\d{3})+\.\d+$' THEN translate(n, ',', '')::numeric
        WHEN n ~ '^\d{1,3}((\.\d{3}){2,}|(,\d{3}){2,})$' THEN translate(n, '.,', '')::numeric
        WHEN n ~ '^[1-9]\d{0,2},\d{3}$' THEN
            CASE style WHEN 'en' THEN translate(n, ',', '') WHEN 'ru' THEN replace(n, ',', '.') END::numeric
        WHEN n ~ '^\d{0,30},\d{1,20}$' THEN CASE WHEN style <> 'en' THEN replace(n, ',', '.') END::numeric
        WHEN n ~ '^\.\d{1,20}$' OR n ~ '^\d{1,30}\.$' THEN n::numeric
        WHEN n ~* '^\d{1,20}(\.\d{1,20})?e[-+]?\d{1,2}$' THEN n::numeric
    END
    FROM bare
$$;

CREATE FUNCTION ops.parse_number(written text, style text DEFAULT 'auto') RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN written ~ '^-?\d{1,30}(\.\d{1,20})?$' THEN written::numeric
    WHEN written ~ '\d' THEN ops.parse_written_number(written, style)
END;
COMMENT ON FUNCTION ops.parse_number IS
    'Number as written: "1 234,56", "1,234.56", "(12,00)" for minus, signs of money left out; words and ambiguous spellings give NULL.';

-- Years outside 1900..2199 are no dates of business: 1C writes its empty date as 0001-01-01.
CREATE FUNCTION ops.date_of(y int, m int, d int) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN y BETWEEN 1900 AND 2199 AND d >= 1 AND d <= CASE
        WHEN m IN (1, 3, 5, 7, 8, 10, 12) THEN 31
        WHEN m IN (4, 6, 9, 11) THEN 30
        WHEN m = 2 THEN CASE WHEN y % 4 = 0 AND (y % 100 <> 0 OR y % 400 = 0) THEN 29 ELSE 28 END
        ELSE 0
    END THEN make_date(y, m, d)
END;

-- "31.01.2026", "31/1/26", "1/31/2026" (en). With slashes, auto takes only what reads one way.
CREATE FUNCTION ops.parse_written_date(written text, style text) RETURNS date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE
        WHEN separator = '.' OR style = 'ru' OR first > 12 OR first = second THEN ops.date_of(y, second, first)
        WHEN style = 'en' OR second > 12 THEN ops.date_of(y, first, second)
    END
    FROM (
        SELECT p[2] AS separator, p[1]::int AS first, p[3]::int AS second,
               p[4]::int + CASE WHEN length(p[4]) = 4 THEN 0 WHEN p[4]::int < 70 THEN 2000 ELSE 1900 END AS y
        FROM regexp_match(written, '^\s*(\d{1,2})([./])(\d{1,2})\2(\d{4}|\d{2})(?:\s*г\.?)?(?:,?\s+\d{1,2}:.*)?\s*$') AS p
    ) AS parts
$$;

CREATE FUNCTION ops.parse_date(written text, style text DEFAULT 'auto') RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN written ~ '^\d{4}-\d\d-\d\d($|[T ]\d)'
        THEN ops.date_of(left(written, 4)::int, substr(written, 6, 2)::int, substr(written, 9, 2)::int)
    WHEN written ~ '^\d{8}$'
        THEN ops.date_of(left(written, 4)::int, substr(written, 5, 2)::int, substr(written, 7, 2)::int)
    ELSE ops.parse_written_date(written, style)
END;
COMMENT ON FUNCTION ops.parse_date IS
    'Date as written (of a date and time: its date, as written there): ISO, yyyymmdd, dd.mm.yyyy, dd.mm.yy; m/d/yyyy in en, d/m/yyyy in ru; days that do not exist give NULL.';

CREATE FUNCTION ops.parse_time(written text, zone text DEFAULT 'UTC') RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        -- Unix time: seconds, or milliseconds as 13 digits
        WHEN written ~ '^\d{9,10}$' THEN to_timestamp(written::double precision)
        WHEN written ~ '^\d{13}$' THEN to_timestamp(written::numeric / 1000)
        ELSE (
            SELECT CASE
                WHEN h > 23 OR mi > 59 OR s >= 60 THEN NULL
                WHEN "offset" IS NULL THEN (d + make_time(h, mi, s)) AT TIME ZONE zone
                WHEN "offset" ~* '^z$' THEN (d + make_time(h, mi, s)) AT TIME ZONE 'UTC'
                WHEN substr("offset", 2, 2)::int > 15 OR right("offset", 2)::int > 59 THEN NULL
                ELSE (d + make_time(h, mi, s) - CASE WHEN left("offset", 1) = '-' THEN -1 ELSE 1 END * make_interval(
                    hours => substr("offset", 2, 2)::int,
                    mins => CASE WHEN length("offset") > 3 THEN right("offset", 2)::int ELSE 0 END
                )) AT TIME ZONE 'UTC'
            END
            FROM (
                SELECT ops.parse_date(p[1]) AS d, coalesce(p[2]::int, 0) AS h, coalesce(p[3]::int, 0) AS mi,
                       coalesce(p[4]::double precision, 0) AS s, p[5] AS "offset"
                FROM regexp_match(
                    written,
                    '^\s*(\d{4}-\d\d-\d\d|\d{1,2}\.\d{1,2}\.\d{2,4})(?:(?:T|,?\s+)(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d{1,9})?))?\s*([zZ]|[-+]\d\d(?::?\d\d)?)?)?\s*$'
                ) AS p
            ) AS parts
        )
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

-- PostgreSQL has no SHA-1 of its own, and pgcrypto is not everywhere; so here are its 80 rounds
-- (FIPS 180-4, 6.1.3), unrolled, since each statement of PL/pgSQL costs more than what it computes.
DO $build$
DECLARE
    names text[] := ARRAY['a', 'b', 'c', 'd', 'e'];
    words text := '';
    rounds text := '';
    va text; vb text; vc text; vd text; ve text; f text; k bigint; x text;
BEGIN
    FOR t IN 0..15 LOOP
        words := words || format(
            'w%s := get_byte(m, o + %s)::bigint << 24 | get_byte(m, o + %s) << 16 | get_byte(m, o + %s) << 8 | get_byte(m, o + %s);',
            t, 4 * t, 4 * t + 1, 4 * t + 2, 4 * t + 3);
    END LOOP;
    FOR t IN 0..79 LOOP
        va := names[(80 - t) % 5 + 1]; vb := names[(81 - t) % 5 + 1]; vc := names[(82 - t) % 5 + 1];
        vd := names[(83 - t) % 5 + 1]; ve := names[(84 - t) % 5 + 1];
        IF t >= 16 THEN
            x := format('(w%s # w%s # w%s # w%s)', (t + 13) % 16, (t + 8) % 16, (t + 2) % 16, t % 16);
            rounds := rounds || format('w%s := (%s << 1 | %s >> 31) & 4294967295;', t % 16, x, x);
        END IF;
        k := (ARRAY[1518500249, 1859775393, 2400959708, 3395469782])[t / 20 + 1];
        f := CASE t / 20
            WHEN 0 THEN format('(%s # (%s & (%s # %s)))', vd, vb, vc, vd)
            WHEN 2 THEN format('(%s & %s | %s & (%s | %s))', vb, vc, vd, vb, vc)
            ELSE format('(%s # %s # %s)', vb, vc, vd)
        END;
        rounds := rounds || format('%s := ((%s << 5 | %s >> 27) + %s + %s + %s + w%s) & 4294967295;', ve, va, va, f, ve, k, t % 16)
            || format('%s := (%s << 30 | %s >> 2) & 4294967295;', vb, vb, vb);
    END LOOP;
    EXECUTE format($make$
        CREATE FUNCTION ops.sha1(message bytea) RETURNS bytea
        LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $body$
        DECLARE
            size int := length(message);
            m bytea := message || '\x80'::bytea || decode(repeat('00', (119 - size %% 64) %% 64), 'hex') || int8send(size::bigint * 8);
            o int := 0;
            h0 bigint := 1732584193; h1 bigint := 4023233417; h2 bigint := 2562383102; h3 bigint := 271733878; h4 bigint := 3285377520;
            a bigint; b bigint; c bigint; d bigint; e bigint;
            %s
        BEGIN
            WHILE o < length(m) LOOP
                %s
                a := h0; b := h1; c := h2; d := h3; e := h4;
                %s
                h0 := (h0 + a) & 4294967295; h1 := (h1 + b) & 4294967295; h2 := (h2 + c) & 4294967295;
                h3 := (h3 + d) & 4294967295; h4 := (h4 + e) & 4294967295;
                o := o + 64;
            END LOOP;
            RETURN substr(int8send(h0), 5) || substr(int8send(h1), 5) || substr(int8send(h2), 5)
                || substr(int8send(h3), 5) || substr(int8send(h4), 5);
        END
        $body$
    $make$, (SELECT string_agg(format('w%s bigint;', t), ' ') FROM generate_series(0, 15) AS t), words, rounds);
END
$build$;

-- RFC 4122, 4.3: the first 16 bytes of SHA-1 over namespace and name, with version 5 and the variant set.
CREATE FUNCTION ops.uuid5(namespace uuid, name text) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT encode(set_byte(set_byte(h, 6, get_byte(h, 6) & 15 | 80), 8, get_byte(h, 8) & 63 | 128), 'hex')::uuid
    FROM (SELECT substr(ops.sha1(uuid_send(namespace) || convert_to(name, 'UTF8')), 1, 16) AS h OFFSET 0) AS hashed
$$;
COMMENT ON FUNCTION ops.uuid5 IS 'UUID version 5 of a name, equal to uuid.uuid5 of Python.';
