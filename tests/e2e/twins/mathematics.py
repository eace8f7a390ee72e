"""Mathematical functions, on integers, decimals and floats; their errors."""

from .cases import ANY, WHOLE, either, lines, select, whole

EXACT = select("num", WHOLE, lines("""
    abs(i)
    abs(l)
    abs(d)
    abs(f)
    ceil(f)
    ceiling(f)
    floor(f)
    sign(f)
    mod(i, 7)
    mod(i, -7)
    mod(l, 10::bigint)
    abs(i) % 5 + abs(s)
"""))

MORE = select("num", WHOLE, lines("""
    abs(r)
    abs(s)
    ceil(d)
    floor(d)
    ceil(e)
    floor(-d)
    ceil(r)
    ceil(i)
    floor(l)
    round(f)
    round(f * 2)
    round(d)
    round(d, 1)
    round(e, 3)
    round(e, -1)
    round(d, -2)
    round(i)
    round(i, -2)
    round(-d)
    round(f::numeric, 2)
    trunc(f)
    trunc(d)
    trunc(d, 1)
    trunc(e, -1)
    trunc(i)
    sign(i)
    sign(d)
    mod(s, 3::smallint)
    mod(d, 0.7)
    mod(i, k)
    div(d, 2)
    div(d, -0.3)
    div(l, 7)
    gcd(i, 10)
    gcd(l, 60::bigint)
    gcd(0, i)
    lcm(i, 4)
    gcd(d, 0.5)
    lcm(d, 0.5)
    pi()
    pi() * 2 + f
    degrees(pi())
    scale(d)
    min_scale(e)
    trim_scale(e)
    factorial(abs(s)::bigint)
    power(d, 2)
    power(i, 2)
    i ^ 2
    d ^ 2
    sqrt(d)
    ln(abs(d) + 1)
    log(abs(d) + 1)
    log(2.0, abs(d) + 1)
    exp(d / 1000)
    width_bucket(f, -10, 10, 4)
    width_bucket(d, ARRAY[0, 1, 100]::numeric[])
    bit_count(i::bit(32))
    greatest(abs(i), 5) - least(s, 2)
    floor(f)::int
    ceil(f)::bigint
    to_char(i, '999')
    random() >= 0
"""))

# The last digits are the library's; both use the same one or another.
INEXACT = [
    either(f"SELECT id, {expression} AS r FROM num", digits=13)
    for expression in lines("""
    sqrt(abs(f))
    sqrt(abs(i))
    cbrt(f)
    exp(f / 1000)
    ln(abs(f) + 1)
    log(abs(f) + 1)
    log10(abs(f) + 0.5)
    power(abs(f), 0.5)
    power(f, 2)
    power(2.0::float8, n)
    f ^ 3
    ||/ f
    sin(f)
    cos(f)
    tan(f)
    cot(f + 1)
    asin(f / 2000)
    acos(f / 2000)
    atan(f)
    atan2(f, 2)
    sinh(f / 1000)
    cosh(f / 1000)
    tanh(f)
    asinh(f)
    acosh(abs(f) + 1)
    atanh(f / 2000)
    degrees(f)
    radians(f)
    sind(f)
    cosd(f)
    tand(30 + f / 10000)
    f / 7
    f * 1.1
    r * 1.1
    r / 3
    sqrt(r + 3)
""")
]

SPECIAL = [
    either(f"SELECT id, {expression} AS r FROM t_float8 WHERE x IN ('NaN', 'Infinity', '-Infinity', 0, 0.1) OR x IS NULL", digits=13)
    for expression in lines("""
    abs(x)
    ceil(x)
    floor(x)
    round(x)
    trunc(x)
    sign(x)
    x * 2
    x + 1
    -x
    atan(x)
    tanh(x)
    cbrt(x)
    x = x
    x > 1
    x::text
    degrees(x)
    CASE WHEN x > 0 THEN sqrt(x) END
    CASE WHEN x > 0 THEN ln(x) END
    exp(CASE WHEN x < 1 THEN x END)
    power(x, 0)
    1 ^ x
    x IS DISTINCT FROM 'NaN'
    GREATEST(x, 1)
    LEAST(x, 'NaN')
    x IN ('NaN', 0)
    x::real
""")
]

FAILING = [whole(query) for query in lines("""
    SELECT sqrt(f) FROM num
    SELECT sqrt(d) FROM num
    SELECT ln(f) FROM num
    SELECT ln(abs(f)) FROM num
    SELECT log(f) FROM num
    SELECT log(0::float8 * f) FROM num
    SELECT ln(d) FROM num
    SELECT exp(f) FROM num
    SELECT exp(f * 10000) FROM num
    SELECT power(f, 0.5) FROM num
    SELECT power(f, -1) FROM num
    SELECT power(f * 1e100, 5) FROM num
    SELECT f ^ 200 FROM num
    SELECT asin(f) FROM num
    SELECT acos(f) FROM num
    SELECT acosh(f) FROM num
    SELECT atanh(f) FROM num
    SELECT sin(x) FROM t_float8
    SELECT cos(x) FROM t_float8 WHERE x = 'Infinity'
    SELECT tan(x) FROM t_float8 WHERE x = '-Infinity'
    SELECT cot(f) FROM num WHERE f = 0
    SELECT sinh(f) FROM num
    SELECT cosh(x) FROM t_float8 WHERE x > 1000
    SELECT mod(i, 0) FROM num
    SELECT div(d, 0) FROM num
    SELECT factorial(i::bigint) FROM num
    SELECT gcd(x, 0) FROM t_int4
    SELECT lcm(x, 3) FROM t_int4
    SELECT log(1.0, abs(d) + 1) FROM num
    SELECT power(i, 400) FROM num
    SELECT round(x, 2) FROM t_dec38
    SELECT ceil(x) FROM t_dec38
    SELECT trunc(x, 3) FROM t_dec38
    SELECT abs(x) FROM t_dec38
    SELECT sqrt(x) FROM t_float8
    SELECT ceil(x), floor(x), round(x), trunc(x) FROM t_float8
    SELECT radians(x) FROM t_float8
    SELECT degrees(x) FROM t_float8
    SELECT cbrt(x), sign(x) FROM t_float8
    SELECT width_bucket(f, 10, 10, 4) FROM num
""")]

FILTERS = [
    whole("SELECT id FROM num WHERE abs(i) > 50"),
    whole("SELECT id FROM num WHERE i % 2 = 0 AND d > 0"),
    whole("SELECT id FROM num WHERE sqrt(abs(f)) < 2"),
    whole("SELECT id FROM num WHERE round(d) = 3"),
    whole("SELECT id FROM num WHERE floor(f) = ceil(f)"),
    either("SELECT id FROM num WHERE power(i, 2) = 49"),
    whole("SELECT sum(round(d, 1)) AS s, max(ceil(f)) AS c FROM num"),
    whole("SELECT abs(v) % 10 AS bucket, count(*) AS n FROM facts GROUP BY abs(v) % 10"),
    whole("SELECT floor(x / 10) AS bucket, count(*) AS n, min(d) AS lo FROM facts GROUP BY 1 ORDER BY 1", ordered=True),
    either("SELECT trunc(d) AS bucket, count(*) AS n FROM facts GROUP BY 1 HAVING count(*) > 1 ORDER BY 1", ordered=True),
]

ZEROS = [
    whole("SELECT id, x = 0 AS z, x < 0 AS lt, x = r AS eq FROM zeros"),
    whole("SELECT id FROM zeros WHERE x = '-0'"),
    whole("SELECT id FROM zeros ORDER BY x, id", ordered=True),
    whole("SELECT id FROM zeros ORDER BY x DESC, r, id", ordered=True),
    whole("SELECT a.id, b.id AS other FROM zeros a JOIN zeros b ON a.x = b.x"),
    whole("SELECT a.id, b.id AS other FROM zeros a JOIN zeros b ON a.x = b.r"),
    whole("SELECT count(*) AS n, min(id) AS i FROM zeros GROUP BY x"),
    whole("SELECT count(DISTINCT x) AS n, count(DISTINCT r) AS m FROM zeros"),
    whole("SELECT count(*) AS n FROM (SELECT x FROM zeros UNION SELECT r FROM zeros) u"),
    whole("SELECT id, sign(x), abs(x), x + 0, x * 1 FROM zeros"),
    whole("SELECT id, rank() OVER (ORDER BY x) AS r FROM zeros"),
    whole("SELECT id, x::text, -x AS minus, 0 - x AS less FROM zeros"),
    whole("SELECT 1 / x FROM zeros WHERE id = 2"),
    whole("SELECT id, count(*) OVER (PARTITION BY x) AS n FROM zeros"),
    whole("SELECT id FROM zeros WHERE x IN (SELECT r FROM zeros)"),
]

PARAMETERS = [
    whole("SELECT id FROM num WHERE i + $1 > 5", ("int", "2")),
    whole("SELECT id, i + $1 AS r FROM num", ("int", "-1")),
    whole("SELECT id, l + $1 AS r FROM num", ("bigint", "10000000000")),
    whole("SELECT id FROM num WHERE f < $1", ("float8", "2.5")),
    whole("SELECT id FROM num WHERE d = $1", ("numeric", "2.5")),
    whole("SELECT id FROM num WHERE d = $1", ("numeric", "2.50")),
    either("SELECT id FROM num WHERE d < $1", ("numeric", "'NaN'")),
    either("SELECT id FROM num WHERE d < $1", ("numeric", "'Infinity'")),
    either("SELECT id FROM num WHERE d < $1", ("numeric", "1e40")),
    either("SELECT id FROM num WHERE d <> $1", ("numeric", "0.00000000000000000000000000000000000000000001")),
    either("SELECT id, d + $1 AS r FROM num", ("numeric", "0.001")),
    either("SELECT id, d * $1 AS r FROM num", ("numeric", "1.001")),
    either("SELECT id, i / $1 AS r FROM num", ("int", "0")),
    either("SELECT id, i / $1 AS r FROM num", ("int", "3")),
    either("SELECT id, i % $1 AS r FROM num", ("int", "-4")),
    either("SELECT id, i + $1 AS r FROM num", ("int", "2147483647")),
    either("SELECT id, i + $1 AS r FROM num", ("smallint", "1")),
    either("SELECT id, s + $1 AS r FROM num", ("smallint", "32767")),
    either("SELECT id, round(d, $1) AS r FROM num", ("int", "1")),
    either("SELECT id, f / $1 AS r FROM num", ("float8", "0")),
    either("SELECT id, r + $1 AS r FROM num", ("real", "0.5")),
    either("SELECT id, f + $1 AS r FROM num", ("real", "0.1")),
    whole("SELECT id FROM num WHERE i = $1", ("bigint", "7")),
    whole("SELECT id FROM num WHERE i < $1", ("bigint", "9223372036854775807")),
    whole("SELECT id FROM num WHERE s = $1", ("int", "7")),
    either("SELECT id FROM num WHERE i = $1", ("numeric", "7.0")),
    either("SELECT id FROM num WHERE i < $1", ("float8", "6.5")),
    either("SELECT id FROM num WHERE d > $1", ("float8", "0.05")),
    either("SELECT id FROM num WHERE i = ANY ($1)", ("int[]", "'{7,NULL,1}'")),
    either("SELECT id FROM num WHERE i <> ALL ($1)", ("int[]", "'{7,1}'")),
    either("SELECT id FROM num WHERE i = ANY ($1)", ("int[]", "'{}'")),
    either("SELECT id FROM num WHERE i = ANY ($1)", ("int[]", "NULL")),
    whole("SELECT id FROM num WHERE $1 OR i = 7", ("boolean", "false")),
    whole("SELECT id FROM num WHERE $1 IS NULL", ("int", "NULL")),
    either("SELECT $1 AS p, count(*) AS n FROM num WHERE i > $2 GROUP BY $1", ("int", "3"), ("int", "0")),
    either("SELECT CASE WHEN $1 > 0 THEN i ELSE s END AS r FROM num", ("int", "1")),
]

CASES = [*EXACT, *MORE, *INEXACT, *SPECIAL, *FAILING, *FILTERS, *ZEROS, *PARAMETERS]
