-- ops.parse_number reads "1000 USD" as 1000. Whether that is a thousand of the right money is asked here.

CREATE FUNCTION ops.money_signs(written text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    sign  text;
    found text[] := '{}';
BEGIN
    -- The same pattern as in ops.parse_number: whatever it leaves out is named here.
    FOR sign IN SELECT lower(m[1]) FROM regexp_matches(
        written, '([₽$€£¥₸₴₺₾₼]|\m(?:rub|rur|usd|eur|kzt|byn|тенге)\M|(?:руб(?:лей|ля|ль)?|[рp])(?:\.|$))', 'gi') AS m
    LOOP
        sign := CASE
            WHEN sign IN ('rub', 'rur', 'usd', 'eur', 'kzt', 'byn') THEN replace(upper(sign), 'RUR', 'RUB')
            WHEN sign = 'тенге' THEN '₸'
            WHEN sign ~ '[a-zа-я]' THEN 'руб.'
            ELSE sign END;
        IF sign <> ALL (found) THEN
            found := found || sign;
        END IF;
    END LOOP;
    RETURN nullif(array_to_string(found, ' '), '');
END
$$;
COMMENT ON FUNCTION ops.money_signs IS
    'The signs of money in a number as written, each once, as "$", "USD", "руб."; NULL where there are none. Of several texts joined by blanks, of all of them.';

CREATE FUNCTION ops.money_is_of(signs text, currency text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    sign text;
BEGIN
    IF signs IS NULL OR currency IS NULL THEN
        RETURN true;
    END IF;
    FOREACH sign IN ARRAY string_to_array(signs, ' ') LOOP
        IF NOT coalesce(CASE sign
            WHEN '₽' THEN currency IN ('RUB', 'RUR')
            WHEN 'RUB' THEN currency IN ('RUB', 'RUR')
            WHEN 'руб.' THEN currency IN ('RUB', 'RUR', 'BYN')
            WHEN '$' THEN currency IN ('USD', 'AUD', 'CAD', 'HKD', 'NZD', 'SGD', 'TWD', 'ARS', 'BBD', 'BMD', 'BND', 'BSD', 'BZD',
                                       'CLP', 'COP', 'CUP', 'DOP', 'FJD', 'GYD', 'JMD', 'KYD', 'LRD', 'MXN', 'NAD', 'SBD', 'SRD',
                                       'TTD', 'UYU', 'XCD')
            WHEN '€' THEN currency = 'EUR'
            WHEN '£' THEN currency IN ('GBP', 'EGP', 'FKP', 'GIP', 'LBP', 'SDG', 'SHP', 'SSP', 'SYP')
            WHEN '¥' THEN currency IN ('CNY', 'JPY')
            WHEN '₸' THEN currency = 'KZT'
            WHEN '₴' THEN currency = 'UAH'
            WHEN '₺' THEN currency = 'TRY'
            WHEN '₾' THEN currency = 'GEL'
            WHEN '₼' THEN currency = 'AZN'
            ELSE currency = sign END, false) THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END
$$;
COMMENT ON FUNCTION ops.money_is_of IS
    'Whether every one of these signs (as ops.money_signs gives them) may stand for this currency (ISO 4217); true where there is no sign, or no currency to compare with.';
