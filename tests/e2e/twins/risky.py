"""Errors that only some rows would raise: PostgreSQL evaluates them behind a condition, and nobody may
move them in front of it. And values for which a rule of the translator could be a little wrong."""

from .cases import ANY, WHOLE, either, lines, select, where, whole
from .tables import Table

TABLES = [
    Table("days", {"id": "integer", "d": "date", "ts": "timestamp", "tz": "timestamptz"},
          "SELECT row_number() OVER (), d, d + time '22:45:10.123456', d + time '22:45:10.123456' FROM (SELECT date '2023-12-28' + i AS d FROM generate_series(0, 75) i "
          "UNION ALL SELECT date '1899-12-25' + i FROM generate_series(0, 12) i UNION ALL SELECT date '0001-12-28 BC' + i FROM generate_series(0, 8) i "
          "UNION ALL SELECT date '2000-02-26' + i FROM generate_series(0, 6) i UNION ALL SELECT make_date(y, 1, 1) - k FROM generate_series(1996, 2030) y, generate_series(0, 1) k) q"),
    Table("guarded", {"id": "integer", "n": "integer", "t": "text", "x": "double precision", "d": "numeric(10,2)"},
          "SELECT i, i % 4, CASE WHEN i % 4 = 0 THEN 'none' ELSE (i % 4)::text END, (i % 4) / 2.0, (i % 4) / 4.0 FROM generate_series(1, 6000) i"),
]

GUARDS = select("num", WHOLE, lines("""
    i <> 0 AND 10 / i > 1
    i = 0 OR 10 / i > 1
    i IS NULL OR i = 0 OR 10 % i = 0
    NOT (i = 0 OR 10 / i > 1)
    CASE i WHEN 0 THEN 0 ELSE 10 / i END
    CASE WHEN i = 0 THEN false ELSE 10 / i > 1 END
    CASE WHEN i <> 0 THEN 10 / i ELSE 0 END + 1
    COALESCE(NULLIF(i, 0), 10 / (i + 1))
    COALESCE(10 / NULLIF(i, 0), 0)
    NULLIF(CASE WHEN i <> 0 THEN 10 / i END, 1)
    (i <> 0 AND 10 / i > 1) IS NOT TRUE
    (i <> 0 AND 10 / i > 1) = (s > 0)
    i IN (0, 1) OR 100 / i > 5
    CASE WHEN f > 0 THEN sqrt(f) END
    CASE WHEN f > 0 THEN ln(f) ELSE -1 END
    f > 0 AND sqrt(f) > 1
    f <= 0 OR ln(f) > 0
    CASE WHEN l < 1000000 THEN l::integer * 1000 END
    CASE WHEN abs(i) < 200 THEN i::smallint * 100::smallint END
    CASE WHEN d <> 0 THEN 1 / d END
    CASE WHEN f <> 0 THEN 1 / f END
    GREATEST(i, CASE WHEN i <> 0 THEN 10 / i END)
""")) + where("guarded", WHOLE, lines("""
    n <> 0 AND 100 / n > 40
    n = 0 OR 100 / n > 40
    n IS NULL OR n <> 0 AND 100 % n = 0
    CASE WHEN n <> 0 THEN 100 / n > 40 ELSE id < 50 END
    n <> 0 AND id / n = 100
    x <> 0 AND 1 / x > 1
    x > 0 AND ln(x) > 0
    id > 10 AND n <> 0 AND id % n = 1 AND id < 100
""")) + where("guarded", ANY, lines("""
    t <> 'none' AND t::integer > 2
    d <> 0 AND 1 / d > 2
""")) + [whole(query) for query in lines("""
    SELECT sum(10 / i) FILTER (WHERE i <> 0) AS s FROM num
    SELECT sum(CASE WHEN i <> 0 THEN 10 / i END) AS s FROM num
    SELECT count(*) FILTER (WHERE i <> 0 AND 10 / i > 1) AS n FROM num
    SELECT n, sum(100 / n) FILTER (WHERE n <> 0) AS s FROM guarded GROUP BY n
    SELECT sum(sqrt(f)) FILTER (WHERE f >= 0) AS s FROM num
    SELECT n, sum(100 / n) AS s FROM guarded WHERE n <> 0 GROUP BY n
    SELECT n, CASE WHEN n <> 0 THEN sum(id) / n END AS s FROM guarded GROUP BY n
    SELECT n, sum(id) / n AS s FROM guarded GROUP BY n HAVING n <> 0
    SELECT n, count(*) AS c FROM guarded GROUP BY n HAVING n <> 0 AND 100 / n > 40
    SELECT id, sum(10 / i) FILTER (WHERE i <> 0) OVER () AS s FROM num
    SELECT id, CASE WHEN i <> 0 THEN sum(10) OVER () / i END AS s FROM num
    SELECT * FROM (SELECT id, 10 / i AS q FROM num WHERE i <> 0 OFFSET 0) s WHERE q > 1
    SELECT * FROM (SELECT id, 10 / i AS q FROM num WHERE i <> 0 LIMIT 100) s WHERE q > 1
    WITH s AS MATERIALIZED (SELECT id, i FROM num WHERE i <> 0) SELECT id FROM s WHERE 10 / i > 1
    SELECT id FROM (SELECT DISTINCT id, i FROM num WHERE i <> 0) s WHERE 10 / i > 1
    SELECT id, 10 / i AS q FROM (SELECT id, i FROM num WHERE i > 5 UNION ALL SELECT id, i FROM num WHERE i < -5) s
    SELECT g, 10 / c AS q FROM (SELECT g, count(*) AS c FROM facts GROUP BY g) s
    SELECT x.id, y.id AS other FROM num x JOIN num y ON x.i <> 0 AND y.i / x.i = 7
    SELECT x.id, y.id AS other FROM num x LEFT JOIN num y ON y.id = x.id AND y.i <> 0 AND 10 / y.i > 1
    SELECT x.id FROM num x WHERE EXISTS (SELECT FROM num y WHERE y.id = x.id AND y.i <> 0 AND 10 / y.i > 1)
    SELECT id, (SELECT 10 / y.i FROM num y WHERE y.id = x.id AND y.i <> 0) AS q FROM num x
    SELECT x.id, CASE WHEN y.i <> 0 THEN x.i / y.i END AS q FROM num x LEFT JOIN num y ON y.id = x.id + 1
    SELECT id, CASE WHEN EXISTS (SELECT FROM num y WHERE y.i = x.i AND y.i <> 0) THEN 10 / i END AS q FROM num x
    SELECT string_agg((10 / i)::text, ',' ORDER BY id) FILTER (WHERE i <> 0) AS s FROM num
    SELECT array_agg(10 / i ORDER BY id) FILTER (WHERE i <> 0) AS s FROM num
    SELECT count(DISTINCT 10 / i) FILTER (WHERE i <> 0) AS s FROM num
    SELECT id FROM num WHERE i <> 0 ORDER BY 10 / i, id
    SELECT DISTINCT 10 / i AS q FROM num WHERE i <> 0
    SELECT id FROM num WHERE i <> 0 AND 10 / i IN (SELECT a FROM small)
    SELECT n, id FROM guarded WHERE n <> 0 AND id < 40 AND (100 / n) % 2 = 0
    SELECT count(*) AS c FROM guarded x JOIN guarded y ON x.id = y.id WHERE x.n <> 0 AND 100 / x.n > y.n
    SELECT count(*) AS c FROM guarded WHERE n <> 0 AND (SELECT max(100 / n) FROM num) > 40
""")] + [
    either("SELECT id FROM num WHERE i <> $1 AND 10 / i > 1", ("int", "0")),
    either("SELECT id, CASE WHEN $1 <> 0 THEN i / $1 ELSE i END AS q FROM num", ("int", "0")),
    either("SELECT id, CASE WHEN $1 <> 0 THEN i / $1 ELSE i END AS q FROM num", ("int", "3")),
    either("SELECT id FROM num WHERE $1 = 0 OR i / $1 > 1", ("int", "0")),
]

INTERVALS = lines("""
    1 month
    -1 month
    1 year
    4 years
    1 month 1 day
    1 month -1 day
    -13 months 40 days -25:00:00
    2 years -1 month 100 hours
    90 minutes
    0.000001 seconds
    12:34:56.789012
    -00:00:00.5
    11 months 30 days 23:59:59.999999
    1000 years
    0
""")


def calendar():
    for interval in INTERVALS:
        for column in ("d", "ts", "tz"):
            yield either(f"SELECT id, {column} + interval '{interval}' AS plus, {column} - interval '{interval}' AS minus FROM days")
        yield either("SELECT id, d + $1 AS plus, ts - $1 AS minus FROM days", ("interval", f"'{interval}'"))
    for field in "week isoyear isodow doy dow quarter century millennium decade julian epoch year month day second milliseconds microseconds".split():
        for column in ("d", "ts"):
            yield either(f"SELECT id, extract({field} FROM {column}) AS e, date_part('{field}', {column}) AS p FROM days")
    for unit in "week month quarter year decade century millennium day hour minute second milliseconds microseconds".split():
        yield either(f"SELECT id, date_trunc('{unit}', ts) AS t, date_trunc('{unit}', d) AS d, date_trunc('{unit}', tz) AS z FROM days", settings={"TimeZone": "'Europe/Berlin'"})
    yield whole("SELECT x.id, x.d - y.d AS days FROM days x JOIN days y ON y.id = 1")
    yield either("SELECT x.id, x.ts - y.ts AS span FROM days x JOIN days y ON y.id = 1")
    yield either("SELECT extract(isoyear FROM d) AS y, extract(week FROM d) AS w, count(*) AS n FROM days GROUP BY 1, 2 ORDER BY 1, 2", ordered=True)


EXACT = select("t_numeric", WHOLE, lines("""
    x + 1
    x + 1.5
    x + y
    x - y
    x * 2
    -x
    abs(x)
    round(x, 2)
    round(x)
    trunc(x)
    ceil(x)
    floor(x)
    x / 3
    x % 2
    x::numeric(30,4)
    x::integer
    x::float8
    x::text
    COALESCE(x, 0)
    GREATEST(x, 1)
    CASE WHEN x > 1 THEN x ELSE 0 END
    x = 5.25
    x IN (5.25, 17)
""")) + select("num", WHOLE, lines("""
    d + 0.005
    d - 1.10
    d * 1.50
    d * 0.1 * 0.1
    d * d
    d * e
    e * e
    e + d * 2
    d + i
    i - d
    s * d
    l + d
    l * e
    -d - -e
    abs(d) + abs(e)
    d % 1
    e % d
    mod(d, -3)
    round(d + 0.005, 2)
    round(-2.5 + d, 0)
    round(e, 0)
    round(e, 6)
    round(e, 10)
    round(d * 1.15, 1)
    ceil(d * 10) / 10
    floor(e * 100)
    ceil(-e)
    (d * 100)::integer
    d::numeric(10,1)
    d::numeric(5,0)
    e::numeric(8,2)
    e::numeric(20,10)
    i::numeric(12,3) * 2
    (i * 0.01)::numeric(10,2)
    GREATEST(d, 0.00)
    LEAST(d, e)
    NULLIF(d, 0)
    NULLIF(d, 0.00)
    CASE WHEN d > 0 THEN d ELSE 0.00 END
    CASE WHEN d > 0 THEN d ELSE 0 END
    CASE WHEN d > 0 THEN d END
    COALESCE(d, e)
    COALESCE(d, 1.25)
    d BETWEEN 0 AND 99.99
    d > e
    d = e
    d + e > 1
    d * 3 = 7.5
    d IN (2.5, 0.05, -2.500)
    d = ANY (ARRAY[2.5, 0.05])
    d IS DISTINCT FROM e
    (d > 1)::int + (e > 1)::int
""")) + [whole(query) for query in lines("""
    SELECT sum(d * e) AS s, sum(d + e) AS t, sum(-d) AS u, sum(round(e, 1)) AS r, sum(d) + 1 AS v, sum(d) * 2 AS w FROM num
    SELECT sum(d * 1.10) AS s, max(d * e) AS m, min(d - e) AS l, sum(d)::numeric(12,1) AS c FROM num
    SELECT avg(d * 2) AS a, avg(d) * 2 AS b, avg(e + d) AS c, avg(-d) AS n, avg(round(d)) AS r FROM num
    SELECT avg(i * 2) AS a, avg(i) + avg(s) AS b, avg(l) - 1 AS c, avg(i) / 2 AS h, -avg(i) AS n, round(avg(i)) AS r, avg(i)::integer AS x FROM num
    SELECT sum(i)::numeric / count(*) AS a, sum(i) / count(*) AS b, sum(i) * 1.0 / sum(s) AS c, sum(l) / sum(i) AS d FROM num
    SELECT sum(d) / sum(e) AS a, sum(d) / 3 AS b, sum(d) % 7 AS c, 1 / sum(d) AS e FROM num
    SELECT CASE WHEN sum(d) > 0 THEN avg(d) ELSE 0 END AS a, COALESCE(avg(d), 0) AS b, NULLIF(avg(d), 0) AS c, GREATEST(avg(d), 1) AS g FROM num
    SELECT k, avg(d) AS a FROM num GROUP BY k HAVING avg(d) IS NOT NULL AND avg(i) < 1000
    SELECT sum(i) FILTER (WHERE i > 0) / NULLIF(count(*) FILTER (WHERE i > 0), 0) AS a FROM num
    SELECT sum(distinct d) AS a, avg(distinct e) AS b, count(distinct d + e) AS c FROM num
    SELECT array_agg(d ORDER BY id) AS d, array_agg(e ORDER BY id) AS e, array_agg(f ORDER BY id) AS f, array_agg(r ORDER BY id) AS r, array_agg(s ORDER BY id) AS s, array_agg(l ORDER BY id) AS l FROM num
    SELECT array_agg(d ORDER BY id) AS d, array_agg(ts ORDER BY id) AS t, array_agg(tz ORDER BY id) AS z, array_agg(tm ORDER BY id) AS m FROM tim
    SELECT array_agg(t ORDER BY id) AS t, array_agg(u ORDER BY t DESC, id) AS u, string_agg(t, '' ORDER BY id) AS s, string_agg(u, ', ' ORDER BY u, id) AS v FROM str
    SELECT array_agg(x ORDER BY id) AS x FROM t_uuid
    SELECT array_agg(x ORDER BY x, id) AS x, array_agg(DISTINCT x ORDER BY x DESC) AS y FROM t_float8
    SELECT percentile_cont(0) WITHIN GROUP (ORDER BY f) AS a, percentile_cont(1) WITHIN GROUP (ORDER BY f) AS b, percentile_cont(0.333) WITHIN GROUP (ORDER BY i) AS c FROM num
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY d) AS a, percentile_disc(0.5) WITHIN GROUP (ORDER BY t) AS b FROM (SELECT d, 'x' || id AS t FROM num) q
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f) FILTER (WHERE i > 0) AS a, g IS NULL AS b FROM num GROUP BY g IS NULL
    SELECT max(f) AS m, min(f) AS l, max(r) AS r, min(r) AS s FROM num
    SELECT max(x) AS m FROM facts
    SELECT max(x) AS m, min(x) AS l, count(*) AS n FROM facts
    SELECT max(x) AS m FROM (SELECT x FROM facts) q
    SELECT max(-x) AS m, max(abs(x)) AS a, max(x) - min(x) AS d FROM facts
    SELECT max(x) OVER () AS m FROM facts WHERE id < 3
    SELECT x FROM facts WHERE x = (SELECT max(x) FROM facts)
    SELECT max(x) AS m FROM facts UNION ALL SELECT max(f) FROM num
    SELECT max(x) AS m, max(r) AS r FROM zeros
    SELECT max(x) AS m, max(y) AS n FROM t_float4
    SELECT max(f) AS m FROM (SELECT f FROM num LIMIT 1000) q
    SELECT bit_and(s) AS a, bit_or(i) AS b, bit_xor(l) AS c, bit_and(i) FILTER (WHERE i > 1000000) AS d FROM num
    SELECT bool_and(p) AS a, bool_or(p) AS b, every(p AND q) AS c, bool_and(p) FILTER (WHERE false) AS d FROM flags
    SELECT regr_count(f, i) AS a, regr_avgx(f, i) AS b, covar_pop(f, i) IS NULL AS c FROM num WHERE i IS NULL
    SELECT stddev(f) AS a, var_pop(f) AS b, stddev_pop(f) AS c FROM num WHERE id = 1
    SELECT variance(x) AS a, stddev_pop(x) AS b FROM zeros
    SELECT covar_samp(x, s) AS a, var_samp(x) AS b FROM facts WHERE id = 1
""")] + [either(query) for query in lines("""
    SELECT k, sum(d * (1 - e / 100)) AS s, sum(d * (1 - e)) AS t, sum(d * (1 - e) * (1 + d)) AS u FROM num GROUP BY k
    SELECT avg(d) OVER (ORDER BY id) AS a, sum(d) OVER (PARTITION BY k) AS b, id FROM num
    SELECT array_agg(p ORDER BY id) AS p, array_agg(DISTINCT q) AS q FROM flags
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS c, percentile_disc(0.75) WITHIN GROUP (ORDER BY x DESC) AS d FROM zeros
    SELECT percentile_cont(NULL) WITHIN GROUP (ORDER BY f) AS a, percentile_disc(1) WITHIN GROUP (ORDER BY l) AS b FROM num
    SELECT percentile_cont(1.5) WITHIN GROUP (ORDER BY f) AS a FROM num
""")] + [
    whole("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS c, percentile_disc(0.5) WITHIN GROUP (ORDER BY x) AS d FROM t_float8", digits=14),
]

CASES = [*GUARDS, *calendar(), *EXACT]
