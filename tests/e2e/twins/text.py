"""Text: functions, patterns, order, collations; multi-byte characters, empty strings, negative lengths."""

from .cases import ANY, WHOLE, either, lines, select, where, whole

# Computed on all rows of `str`: t and u are texts, n an integer with negatives and NULL.
FUNCTIONS = select("str", WHOLE, lines(r"""
    length(t)
    char_length(t)
    t || u
    t || 'x' || u
    concat(t, u)
    concat(t, '-', u, NULL)
    substring(t, 2, 3)
    substring(t FROM 2)
    substring(t FROM 2 FOR 0)
    substr(t, 3)
    left(t, 3)
    left(t, 0)
    right(t, 3)
    strpos(t, u)
    position('a' IN t)
    strpos(t, '')
    replace(t, 'a', 'bb')
    replace(t, u, '')
    trim(t)
    ltrim(t)
    rtrim(t)
    btrim(t, 'ax')
    ltrim(t, 'a ')
    rtrim(t, 'd ')
    trim(both 'x' FROM t)
    starts_with(t, 'a')
    starts_with(t, u)
    repeat(t, 2)
    repeat(t, 0)
    reverse(t)
    t LIKE 'a%'
    t LIKE '%a%'
    t LIKE '_bc'
    t NOT LIKE '%a'
    t LIKE ''
    t LIKE '%'
    t LIKE '%🦆%'
    t LIKE 'äöü%'
    t LIKE '____'
    t = 'abc'
    t <> u
    t IN ('abc', '', '🦆')
    t IS NULL
    octet_length(t)
    upper('abc') || t
    CASE WHEN t = '' THEN 'empty' ELSE t END
    COALESCE(t, u, 'none')
    NULLIF(t, '')
    t < 'b'
    t >= u
    GREATEST(t, u)
    LEAST(t, u, 'm')
    t BETWEEN 'a' AND 'b'
"""))
MORE = select("str", WHOLE, lines(r"""
    substring(t, 0, 3)
    substring(t, -2, 5)
    substring(t, -5, 3)
    substring(t, 2147483647, 1)
    substring(t, 1, 2147483647)
    substring(t, n)
    left(t, n)
    right(t, n)
    left(t, -2)
    right(t, -2)
    left(t, -2147483648)
    upper(t)
    lower(t)
    initcap(t)
    lower(u) = 'b'
    lpad(t, 5)
    lpad(t, 5, 'ab')
    lpad(t, 2, '🦆')
    lpad(t, n)
    lpad(t, 8, '')
    rpad(t, 5)
    rpad(t, 9, 'äb')
    rpad(t, -1, 'x')
    repeat(t, n)
    repeat(u, -1)
    split_part(t, ',', 1)
    split_part(t, ',', 2)
    split_part(t, ',', 9)
    split_part(t, ',', -1)
    split_part(t, '', 1)
    split_part(t, u, 2)
    ascii(t)
    ascii(u)
    chr(n + 100)
    chr(8364) || t
    translate(t, 'abc', 'xy')
    overlay(t PLACING 'XX' FROM 2 FOR 1)
    replace(t, '', 'x')
    replace(t, 'a', NULL)
    replace(t, 'xy', 'x')
    strpos(t, NULL)
    position(u IN t)
    concat_ws(',', t, u)
    concat_ws(NULL, t, u)
    concat(t, n)
    concat(n > 1, t)
    concat(n, 1.50, NULL)
    t || n
    t || (n > 1)
    t || 1.50
    t || NULL
    t ILIKE 'A%'
    t ILIKE '%Ö%'
    t ILIKE 'ISTANBUL%'
    t NOT ILIKE '%A%'
    t LIKE 'a\%%'
    t LIKE '%\_%'
    t LIKE '%\\%'
    t LIKE 'a#%b%' ESCAPE '#'
    t LIKE '%##%' ESCAPE '#'
    t LIKE 'a\%b%' ESCAPE ''
    t NOT LIKE '%x_c%' ESCAPE 'x'
    t LIKE u
    t LIKE '%' || u || '%'
    t LIKE NULL
    t ILIKE '%' || u
    t LIKE '%\'
    t LIKE E'%\n%'
    t LIKE ANY (ARRAY['a%', 'x%'])
    t NOT LIKE ALL (ARRAY['a%', '%c'])
    t ~ 'b'
    t ~ '^a'
    t ~* 'ABC'
    t !~ '[0-9]'
    t ~ '^[a-z]+$'
    t ~ '\d'
    t ~ '\mabc\M'
    t ~ u
    t SIMILAR TO '%(b|c)%'
    regexp_replace(t, 'a', 'X')
    regexp_replace(t, 'a', 'X', 'g')
    regexp_replace(t, '(.)b', '\1-')
    regexp_match(t, 'b(.)')
    substring(t FROM 'b.')
    substring(t SIMILAR 'a#"b#"%' ESCAPE '#')
    regexp_split_to_array(t, ',')
    string_to_array(t, ',')
    string_to_array(t, NULL)
    array_length(string_to_array(t, ','), 1)
    (string_to_array(t, ','))[2]
    encode(t::bytea, 'hex')
    encode(convert_to(t, 'UTF8'), 'base64')
    md5(t)
    to_hex(n + 10)
    quote_literal(t)
    quote_ident(t)
    format('%s-%I', t, 'x')
    bit_length(t)
    octet_length(u)
    length(convert_to(t, 'UTF8'), 'UTF8')
    unistr('\0061') || t
    normalize(t)
    t IS NORMALIZED
    to_number(t, '99')
    t COLLATE "C" < u
    t COLLATE "C" = u
    t > 'a' COLLATE "C"
    upper(t COLLATE "C")
    t ^@ 'a'
    t ~~ 'a%'
    t ~~* 'A%'
    t !~~ 'a%'
    textcat(t, u)
    t = u OR t > u
    t ~<~ u
    char 'a' = t
    t::varchar(3) || '|'
    u::char(3) || '|'
    hashtext(t) IS NOT NULL
    num_nulls(t, u)
    parse_ident('a.b') IS NULL AND t = 'x'
    pg_catalog.left(t, 2)
""")) + select("str", ANY, lines(r"""
    string_to_table(t, ',')
""")) 
# Rows in which the error lies only for some.
FAILING = [whole(query) for query in lines(r"""
    SELECT chr(n) FROM str WHERE n > 5
    SELECT substring(t, 1, -1) FROM str
    SELECT substring(t, 2, n) FROM str
    SELECT substring(t, 2, n) FROM str WHERE n >= 0
    SELECT split_part(t, ',', 0) FROM str
    SELECT split_part(t, ',', n) FROM str WHERE n > 0
    SELECT t LIKE 'a\' FROM str
    SELECT repeat(t, 2000000000) FROM str WHERE id = 2
    SELECT t ~ '(' FROM str
    SELECT decode(t, 'hex') FROM str
    SELECT t::uuid FROM str
    SELECT t::json FROM str
""")] + [either(query) for query in lines(r"""
    SELECT chr(0) || t FROM str
    SELECT chr(-1) || t FROM str
    SELECT chr(1114112) || t FROM str
    SELECT t LIKE 'a%' ESCAPE 'xx' FROM str
""")]

CONDITIONS = where("str", WHOLE, lines(r"""
    t = 'abc'
    t = ''
    t <> ''
    t = 'Äöü'
    length(t) > 5
    t LIKE 'a%' AND u IS NOT NULL
    t || u = 'abcb'
    strpos(t, 'quack') > 0
    substring(t, 1, 1) = 'a'
    t < 'a'
    t >= '日'
    t > 'Z' AND t < 'z'
    left(t, 2) = 'ab' OR right(t, 1) = 'C'
    t IN ('x', 'abc') OR t IS NULL
    t = $$'quoted' "text"$$
    t LIKE '%o, W%'
""")) + where("str", WHOLE, lines(r"""
    t COLLATE "C" < 'b'
    t = U&'\0061bc'
""")) + where("str", ANY, lines(r"""
    lower(t) = 'abc'
    upper(t) = upper(u)
    t ILIKE 'abc'
    t ~ 'quack'
    t ~ '^\s'
    t SIMILAR TO '(abc|x)'
"""))

ORDER = [
    whole("SELECT id, t FROM str ORDER BY t, id", ordered=True),
    whole("SELECT id, t FROM str ORDER BY t DESC, id", ordered=True),
    whole("SELECT id, t FROM str ORDER BY t NULLS FIRST, u DESC NULLS LAST, id", ordered=True),
    whole("SELECT id, t FROM str ORDER BY length(t), t, id", ordered=True),
    whole("SELECT min(t) AS lo, max(t) AS hi FROM str"),
    whole("SELECT DISTINCT t FROM str"),
    whole("SELECT left(t, 1) AS initial, count(*) AS n, max(t) AS last FROM str GROUP BY left(t, 1)"),
    either('SELECT id FROM str ORDER BY t COLLATE "C", id', ordered=True),
    either('SELECT id FROM str ORDER BY t COLLATE "POSIX" DESC, id', ordered=True),
    whole("SELECT name, count(*) AS n FROM facts GROUP BY name ORDER BY name", ordered=True),
    whole("SELECT name, min(day) AS d FROM facts WHERE name > 'name c' GROUP BY name ORDER BY name DESC NULLS LAST", ordered=True),
    whole("SELECT count(DISTINCT name) AS n FROM facts"),
]

PADDED = select("t_bpchar", WHOLE, lines("""
    length(x)
    x || '|'
    x::text || '|'
    x = 'abc'
    x = 'abc   '
    x = 'abc'::text
    x LIKE 'abc'
    x LIKE 'abc%'
    x < 'b'
    upper(x)
    octet_length(x)
    char_length(x)
    x IN ('abc ', 'ab')
    substring(x, 1, 4) || '|'
    replace(x, ' ', '_')
    x || y
    concat(x, y)
    x::varchar(4)
    x::char(2)
    COALESCE(x, 'none') || '|'
"""))

PARAMETERS = [
    whole("SELECT id FROM str WHERE t = $1", ("text", "'abc'")),
    whole("SELECT id FROM str WHERE t = $1", ("text", "'🦆 quack 🦆'")),
    whole("SELECT id FROM str WHERE t = $1", ("text", "''")),
    whole("SELECT id FROM str WHERE t = $1", ("text", "NULL")),
    whole("SELECT id, t || $1 AS r FROM str WHERE t <> $1", ("text", "'x'")),
    whole("SELECT id, $1::text AS p FROM str", ("text", "'ä'")),
    either("SELECT id FROM str WHERE t LIKE $1", ("text", "'a%'")),
    either("SELECT id FROM str WHERE t LIKE $1", ("text", r"'a\%%'")),
    either("SELECT id FROM str WHERE t ILIKE $1", ("text", "'A%'")),
    either("SELECT id FROM str WHERE t = $1", ("varchar", "'abc'")),
    either("SELECT id FROM str WHERE t = $1", ("char(5)", "'abc'")),
    either("SELECT id, left(t, $1) AS l, substring(t, $1) AS s FROM str", ("int", "2")),
    either("SELECT id, left(t, $1) AS l FROM str", ("int", "-2")),
    either("SELECT id, repeat(t, $1) AS l FROM str", ("int", "3")),
    either("SELECT id, replace(t, $1, $2) AS l FROM str", ("text", "'a'"), ("text", "''")),
    either("SELECT id, strpos(t, $1) AS l, split_part(t, $1, 2) AS s FROM str", ("text", "','")),
]

CASES = [*FUNCTIONS, *MORE, *FAILING, *CONDITIONS, *ORDER, *PADDED, *PARAMETERS]
