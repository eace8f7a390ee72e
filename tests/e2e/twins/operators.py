"""Comparison, arithmetic, logic, conditional expressions, casts; errors of arithmetic."""

from .cases import ANY, WHOLE, either, lines, make, select, where, whole

NUMBERS = ("s", "i", "l", "d", "e", "r", "f")
EXACT = {"s", "i", "l"}
PAIRS = [(a, b) for a in NUMBERS for b in NUMBERS]


def arithmetic():
    # Every operator for every pair of types, on all pairs of rows; 7919 keeps integers within range.
    for a, b in PAIRS:
        clear = "x.id NOT IN (8, 9, 10) AND y.id NOT IN (8, 9, 10)"
        yield whole(f"SELECT x.id, y.id AS other, x.{a} + y.{b} AS plus, x.{a} - y.{b} AS minus FROM num x, num y WHERE {clear}")
        yield either(f"SELECT x.id, y.id AS other, x.{a} * y.{b} AS times FROM num x, num y WHERE {clear}")
        yield either(f"SELECT x.id, y.id AS other, x.{a} / y.{b} AS divided FROM num x, num y WHERE y.{b} <> 0 AND {clear}")
        # A numeric of more than 15 digits does not become a float.
        push = ANY if "e" in (a, b) and {a, b} & {"r", "f"} else WHOLE
        yield make(push, f"SELECT x.id, y.id AS other FROM num x, num y WHERE x.{a} < y.{b} OR x.{a} = y.{b} AND x.id > y.id")
    for a in EXACT:
        for b in EXACT:
            yield whole(f"SELECT x.id, y.id AS other, x.{a} / y.{b} AS q, x.{a} % y.{b} AS r FROM num x, num y WHERE y.{b} <> 0")


SIGNS = select("num", WHOLE, lines("""
    -i
    + i
    -d
    -f
    - l - 1
    i + 1
    i - s * 2
    (i + l) * 2 - 7
    i % 7
    -7 / 2
    i / 2
    i / -2
    i % -3
    s / 2::smallint
    l % 10
    s + 1
    i * 1.5
    d * 2
    d + e
    d - 1
    f * 2 + 1
    r + 0.5::real
    @ i
""")) + select("num", WHOLE, lines("""
    d / 3
    d % 3
    e % 0.7
    d / NULLIF(d, 0)
    i / 3.0
    f / 3
    r / 2::real
    f ^ 2
    |/ abs(f)
    i & 6
    i | 8
    i # 5
    ~i
    i << 2
    i >> 1
    l << 33
    l >> 2
    s & 3::smallint
    i::bit(8)
""")) + select("num", ANY, lines("""
    n ! = 3
""".replace("n ! = 3\n", "")))
# SQLSTATE 22003 and 22012 where PostgreSQL gives them, and nothing where it does not.
ERRORS = [whole(query) for query in lines("""
    SELECT x + 1 FROM t_int4
    SELECT x + 1::smallint FROM t_int2
    SELECT x + 1 FROM t_int8
    SELECT x - 1 FROM t_int4 WHERE x < 0
    SELECT x - 1::smallint FROM t_int2
    SELECT x - 1 FROM t_int8 WHERE x < -5
    SELECT x * 2 FROM t_int4
    SELECT x * 2 FROM t_int8
    SELECT x * x FROM t_int8
    SELECT -x FROM t_int4
    SELECT -x FROM t_int2
    SELECT -x FROM t_int8
    SELECT abs(x) FROM t_int4
    SELECT abs(x) FROM t_int8
    SELECT x / -1 FROM t_int4
    SELECT x / -1 FROM t_int8
    SELECT x / -1::smallint FROM t_int2
    SELECT x % -1 FROM t_int4
    SELECT x % -1 FROM t_int8
    SELECT x + 1 FROM t_int4 WHERE x < 2147483647
    SELECT x + 1 FROM t_int4 WHERE x = 2147483647
    SELECT sum(x) FROM t_int8
    SELECT sum(x * 2) FROM t_int4
    SELECT avg(x) FROM t_int8
    SELECT sum(x) FROM t_int4
    SELECT i / k FROM num WHERE k <> 0
    SELECT i / s FROM num
    SELECT i % s FROM num
    SELECT l / 0 FROM num
    SELECT 1 / i FROM num WHERE i <> 0
    SELECT id FROM num WHERE 10 / i > 1
    SELECT id FROM num WHERE i <> 0 AND 10 / i > 1
    SELECT id, CASE WHEN i <> 0 THEN 10 / i END FROM num
    SELECT id, CASE WHEN i = 0 THEN NULL ELSE 10 % i END FROM num
    SELECT id, COALESCE(10 / NULLIF(i, 0), -1) FROM num
    SELECT * FROM (SELECT id, 100 / i AS q FROM num WHERE i <> 0) s WHERE q > 10
    SELECT d / 0 FROM num
    SELECT d / s FROM num
    SELECT d % 0 FROM num
    SELECT mod(d, 0.0) FROM num
    SELECT f / 0 FROM num
    SELECT f / f FROM num
    SELECT r / 0::real FROM num
    SELECT x * 10 FROM t_float8
    SELECT x * x FROM t_float8 WHERE x < 1
    SELECT x + x FROM t_float8
    SELECT x * x FROM t_float4
    SELECT x + x FROM t_float4
    SELECT x / 1e-10 FROM t_float8
    SELECT -x FROM t_float8
    SELECT x + 1 FROM t_float8 WHERE x = 'Infinity' OR x = 'NaN'
    SELECT x - x FROM t_float8 WHERE x = 'Infinity'
    SELECT x * 0 FROM t_float8
    SELECT sum(x) FROM t_float8
    SELECT x + 1 FROM t_dec4
    SELECT x * x FROM t_dec18
    SELECT x * x FROM t_dec38
    SELECT x + x FROM t_dec38
    SELECT x + y FROM t_int38
    SELECT x - y FROM t_int38
    SELECT x * 10 FROM t_int38
    SELECT -x FROM t_int38
    SELECT sum(x) FROM t_dec38
    SELECT sum(x), avg(x) FROM t_dec18
    SELECT sum(x) FROM t_int38
    SELECT count(*) FROM t_int4 WHERE x * 2 > 0 AND x < 10 AND x > -10
    SELECT x::smallint FROM t_int4
    SELECT x::integer FROM t_int8
    SELECT x::smallint FROM t_int4 WHERE x BETWEEN -32768 AND 32767
    SELECT x::integer FROM t_float8
    SELECT x::bigint FROM t_float8 WHERE x > 0 AND x < 'Infinity'
    SELECT x::real FROM t_float8
    SELECT x::smallint FROM t_float4
    SELECT x::integer FROM t_dec18
    SELECT x::numeric(4,1) FROM t_dec18
    SELECT t::integer FROM str
    SELECT t::integer FROM str WHERE id = 16
    SELECT t::boolean FROM str
    SELECT t::date FROM str
    SELECT t::numeric FROM str WHERE id IN (16, 2)
    SELECT d + n FROM tim
    SELECT x + 1 FROM t_date
    SELECT x - 1 FROM t_date
    SELECT x - y FROM t_date
    SELECT x + interval '1 day' FROM t_timestamp
    SELECT x::timestamp FROM t_date
    SELECT (SELECT i FROM num WHERE id < 3)
    SELECT id, (SELECT x FROM t_int4 b WHERE b.id >= a.id) FROM t_int4 a
    SELECT id FROM num WHERE i = (SELECT i FROM num)
""")] + [either(query) for query in lines("""
    SELECT sum(x) FROM t_float4
""")]
LOGIC = select("flags", WHOLE, lines("""
    p AND q
    p OR q
    NOT p
    p = q
    p <> q
    p < q
    p IS TRUE
    p IS NOT TRUE
    p IS FALSE
    p IS NOT FALSE
    p IS UNKNOWN
    p IS NOT UNKNOWN
    (p AND q) IS NULL
    p OR NOT (q AND p)
    p IS NOT DISTINCT FROM q
    CASE WHEN p THEN 'yes' WHEN q THEN 'maybe' ELSE 'no' END
    CASE p WHEN true THEN 1 WHEN false THEN 0 END
    COALESCE(p, q, false)
    NULLIF(p, q)
    p AND NULL
    p OR NULL
    (p, q) IS NULL
    ROW(p, q) IS NOT NULL
""")) + where("flags", WHOLE, lines("""
    p
    NOT p
    p AND NOT q
    p IS NULL OR q
    NOT (p AND q)
    p = ANY (ARRAY[true])
    true
    id > 3 AND (p OR q IS UNKNOWN)
""")) + where("flags", ANY, ["false", "NULL", "p AND false", "p <> NULL"])

CONDITIONAL = select("num", WHOLE, lines("""
    CASE WHEN i > 0 THEN 'plus' WHEN i < 0 THEN 'minus' ELSE 'zero or null' END
    CASE i WHEN 1 THEN 'one' WHEN 7 THEN 'seven' END
    CASE WHEN i > 5 THEN d END
    CASE WHEN f > 0 THEN 1 ELSE 2.5 END
    CASE WHEN i = 1 THEN i WHEN i = 7 THEN l ELSE s END
    CASE WHEN i IS NULL THEN NULL::text ELSE 'set' END
    CASE WHEN d > 0 THEN CASE WHEN d > 1 THEN 'big' ELSE 'small' END END
    COALESCE(i, s, 0)
    COALESCE(l, -1)
    COALESCE(f, 0.5)
    COALESCE(NULL, i)
    COALESCE(i, l)
    NULLIF(i, 0)
    NULLIF(i, s)
    NULLIF(l, 7)
    GREATEST(i, s)
    GREATEST(i, 0, NULL)
    LEAST(i, l, 5)
    GREATEST(f, r)
    i BETWEEN -10 AND 10
    i NOT BETWEEN s AND l
    i BETWEEN SYMMETRIC 10 AND -10
    i IN (1, 7, 100)
    i NOT IN (1, 7)
    i IN (1, NULL)
    i NOT IN (1, NULL)
    i IN (s, k)
    l IN (1, 2, 3) IS NULL
    d IN (2.50, 0.05)
    f IN (0.1, 2.5)
    i = ANY ('{1,7}')
    i <> ALL ('{1,7}')
    i > ANY (ARRAY[0, 50])
    i > ALL (ARRAY[0, 50])
    i IS DISTINCT FROM s
    i IS NOT DISTINCT FROM l
    (i, s) = (7, 7)
    (i, s) <> (7, 7)
    (i, s) < (7, 7)
    (i, s) >= (s, i)
    (i, s) IN ((1, 1), (7, 7))
    (i, s) IS DISTINCT FROM (7, 7)
    i = 1 OR i = 7 OR i IS NULL
    i::bigint = l
    s = i::smallint
""")) + select("num", WHOLE, lines("""
    COALESCE(d, 0)
    COALESCE(d, 0.00)
    LEAST(d, 1.5)
    GREATEST(d, e)
    i = ANY (ARRAY[1, NULL])
    i = ANY (ARRAY[s, k])
    i = ANY (NULL::int[])
    i = ANY ('{}')
    i <> ALL (ARRAY[NULL]::int[])
    i BETWEEN 10 AND NULL
    COALESCE(i, d)
    CASE WHEN i > 0 THEN i ELSE d END
    ROW(i, s, k) < ROW(1, 2, 3)
    num_nulls(i, s, l)
    num_nonnulls(i, s, l)
    width_bucket(d, 0, 10, 5)
"""))

CASTS = select("num", WHOLE, lines("""
    s::integer
    s::bigint
    i::bigint
    i::double precision
    l::double precision
    i::text
    l::text
    s::text
    (i > 0)::integer
    i::boolean
    r::double precision
    i::numeric(12,2)
    d::numeric(12,4)
""")) + select("num", WHOLE, lines("""
    l::integer
    d::integer
    d::bigint
    d::text
    e::text
    f::text
    r::text
    f::integer
    g::integer
    f::numeric
    r::numeric
    d::double precision
    e::real
    i::numeric
    l::numeric
    i::real
    l::real
    d::numeric(6,1)
    e::numeric(10,2)
    e::numeric(10,0)
    d::numeric
    (i > 0)::text
    i::text::integer
    i::varchar(3)
    i::char(3)
    'x' || i
    d || ''
""")) + select("tim", WHOLE, lines("""
    d::timestamp
    ts::date
    d::text
""")) + select("tim", WHOLE, lines("""
    d::timestamptz
    tz::date
    ts::timestamptz
    tz::timestamp
    ts::time
    tz::time
    ts::text
    tz::text
    tm::text
    iv::text
    tm::interval
    d::text::date
    to_char(ts, 'YYYY-MM-DD')
""")) + select("str", WHOLE, lines("""
    t::varchar(3)
    t::char(4)
    t::char(4) = 'abc'
    t::bytea
    t::varchar
    t::name
    length(t::char(20))
""")) + [either(f"SELECT id, x::text AS r FROM {table}") for table in ("t_bool", "t_float4", "t_float8", "t_dec38", "t_date", "t_timestamp", "t_timestamptz", "t_uuid", "t_bytea", "t_interval", "t_time", "t_bpchar", "t_int8", "t_numeric")] + [
    either(query) for query in lines("""
    SELECT id, x::integer AS r FROM t_float8 WHERE abs(x) < 100
    SELECT v::double precision / 2 AS half, (v::double precision / 2)::integer AS rounded, (v::double precision / 2)::bigint AS big FROM facts
    SELECT (v / 2.0)::integer AS rounded, (v / 2.0)::numeric(10,0) AS n FROM facts
    SELECT x::integer, x::real, x::numeric FROM facts
    SELECT d::integer, d::bigint, d::numeric(8,1) FROM facts
""")]

CASES = [*arithmetic(), *SIGNS, *ERRORS, *LOGIC, *CONDITIONAL, *CASTS]
