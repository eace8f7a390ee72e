"""What a translator trips over: names that clash, constants of another type than their column, depth
and length, sub-queries in odd places, everyday reports."""

from .cases import either, lines, whole

CLASHES = [whole(query, ordered="ORDER BY" in query) for query in lines("""
    SELECT a.a FROM small a
    SELECT b.b, b.a FROM small b
    SELECT k.k, x.k AS xk FROM facts x, dims k WHERE x.k = k.k AND x.id < 50
    SELECT id.id, id.i FROM num id WHERE id.id > 3
    SELECT a AS b, b AS a FROM small ORDER BY a, b
    SELECT a AS c, c AS a FROM small WHERE c > 10
    SELECT a + 1 AS c FROM small WHERE c = 10
    SELECT a AS b, count(*) AS n FROM small GROUP BY a, b
    SELECT c AS a, count(*) AS n FROM small GROUP BY c
    SELECT -a AS a FROM small ORDER BY a NULLS FIRST
    SELECT -a AS a FROM small ORDER BY -a NULLS FIRST
    SELECT id, -id AS v FROM facts WHERE id < 20 ORDER BY v
    SELECT duckdb.id FROM facts AS duckdb WHERE duckdb.id < 4
    SELECT scanned.id, united.id AS u FROM num AS scanned JOIN num AS united USING (i)
    SELECT main.a FROM small AS main WHERE main.a = 2
    SELECT "pg_pond query".a AS "pg_pond query" FROM small AS "pg_pond query"
    SELECT s.a, "S".a AS b FROM small s JOIN other "S" ON s.a = "S".a
    SELECT q.a, q."A" FROM (SELECT a, c AS "A" FROM small) q
    SELECT q.a, max(q."A") AS "a", min(q.c) AS "A" FROM (SELECT a, c AS "A", c FROM small) q GROUP BY q.a
    SELECT q."A", r.a FROM (SELECT a AS "A" FROM small) q JOIN (SELECT a FROM other) r ON q."A" = r.a
    WITH q ("x", "X") AS (SELECT a, c FROM small) SELECT "X" - x AS d FROM q
    SELECT x.a, y.a, x.b, y.b FROM small x JOIN small y ON x.a = y.a
    SELECT * FROM small x JOIN small y ON x.a = y.a
    SELECT x.*, y.* FROM small x CROSS JOIN nulls y
    SELECT count FROM (SELECT count(*) FROM small) q
    SELECT sum.sum FROM (SELECT sum(c) FROM small) sum
    SELECT "rowid" FROM (SELECT a AS rowid FROM small) q
    SELECT filename, file_row_number FROM (SELECT b AS filename, a AS file_row_number FROM small) q
    SELECT q.date, q.timestamp, q."interval" FROM (SELECT d AS date, ts AS timestamp, n AS "interval" FROM tim) q
    SELECT "left", "right", "end", "all" FROM (SELECT a AS "left", b AS "right", c AS "end", a AS "all" FROM small) q
""")]

# Neither a position nor a name.
CONSTANTS = [whole(query, ordered="ORDER BY" in query) for query in lines("""
    SELECT id, v FROM num, (SELECT max(v) AS v FROM facts) q ORDER BY 1 + 1, id DESC
    SELECT id, i FROM num ORDER BY 3 - 1, id
    SELECT id FROM num ORDER BY NULL::integer, id
    SELECT id FROM num ORDER BY 'id'::text, id DESC
    SELECT DISTINCT 5 AS five, g FROM facts
    SELECT id, row_number() OVER (ORDER BY 1 + 1, id) AS r FROM num
    SELECT id, count(*) OVER (PARTITION BY 2) AS r FROM num
    SELECT max(5) AS m, sum(2) AS s, count(1) AS c, count(NULL) AS n FROM facts
    SELECT sum(1.5) AS s, avg(2) AS a, min('x') AS t FROM facts
    SELECT k, 7 AS seven FROM facts GROUP BY k HAVING 1 = 1
    SELECT id FROM num WHERE 1 = 1 AND 'a' < 'b'
    SELECT id FROM num WHERE 1 = 2 OR NULL
""")] + [either(query, ordered="ORDER BY" in query) for query in lines("""
    SELECT count(*) AS n FROM facts GROUP BY 1 + 0
    SELECT count(*) AS n FROM facts GROUP BY 'x'::text
    SELECT 5 AS five, count(*) AS n FROM facts GROUP BY 1
    SELECT 'a' AS t, k FROM facts GROUP BY 1, 2
    SELECT NULL::integer AS x, count(*) AS n FROM facts GROUP BY 1
""")] + [
    either("SELECT id FROM num ORDER BY $1, id", ("int", "2"), ordered=True),
    either("SELECT count(*) AS n FROM facts GROUP BY $1", ("int", "1")),
    either("SELECT id, row_number() OVER (ORDER BY $1, id) AS r FROM num", ("int", "1")),
]

# Columns against constants of a wider or another type.
TYPES = [whole(f"SELECT id FROM {table} WHERE {condition}") for table, condition in (line.split(": ", 1) for line in lines("""
    num: i = 2147483648
    num: i < 2147483648
    num: s = 100000
    num: s > -100000
    num: s = 7::smallint
    num: s = 7::bigint
    num: l = 7::smallint
    num: i <> -2147483648
    num: f = 7
    num: f > 1
    num: d = 100
    num: d > 2
    facts: day = timestamp '2024-01-15'
    facts: id IN (1, 2, 3000000000)
    facts: v BETWEEN 5 AND 10::smallint
    facts: k = id
    facts: s = k
    facts: v = k
"""))] + [either(f"SELECT id FROM {table} WHERE {condition}") for table, condition in (line.split(": ", 1) for line in lines("""
    num: i = 7.0
    num: i = 1.5
    num: i < 6.5
    num: i < 1e10
    num: i > -1e-10
    num: l = 9223372036854775808
    num: l < 1e30
    num: s <> 0.5
    num: d = 2.500
    num: d = 0.0500000000000000000001
    num: d < 1e40
    num: d = 99.99::real
    num: d = 99.99::float8
    num: d > 'NaN'
    num: d < 'Infinity'
    num: d <> 0.001
    num: d IN (2.5, 0.05, 1e20)
    num: e = 2.5
    num: f = 0.1
    num: f = 0.1::numeric
    num: f = 0.1::real
    num: r = 0.25
    num: r = 0.1
    num: r = 0.1::real
    num: f > 9007199254740993
    num: i::float8 = l
    num: d BETWEEN -2.5 AND 2.5
    num: i = '7'
    num: s = '7'::smallint
    num: i * 1.0 = l
    num: i + 0.5 > d
    num: i / 2.0 = 3.5
    facts: day = timestamptz '2024-01-15 00:00'
    facts: day > '2024-01-15 12:00'::timestamp
    facts: ts = date '2024-01-02'
    facts: ts < timestamptz '2024-01-02 00:00+02'
    facts: extract(year FROM day) = 2024.0
    facts: extract(month FROM ts) IN (1, 2)
    facts: d = x
    facts: d > v
    facts: d::float8 > x
    facts: name = 'name a'::varchar
    facts: name = 'name a'::char(10)
    facts: name = 'name a'::name
    facts: ok = 't'
    facts: ok::int = 1
"""))]

ONES = " + 1" * 1500  # DuckDB nests expressions 1000 deep.
LARGE = [
    either(f"SELECT id, i{ONES} AS r FROM num WHERE i < 1000"),
    either(f"SELECT id FROM num WHERE {' OR '.join(f'i = {n}' for n in range(-900, 900))}"),
    either(f"SELECT id FROM num WHERE {' AND '.join(f'i <> {n}' for n in range(0, 3000, 2))}"),
    whole(f"SELECT id FROM facts WHERE id IN ({', '.join(str(n) for n in range(0, 20000, 3))})"),
    either(f"SELECT id FROM facts WHERE name IN ({', '.join(repr('name ' + chr(97 + n % 26) * (n % 3)) for n in range(2000))})"),
    either(f"SELECT id, CASE {' '.join(f'WHEN i = {n} THEN {n * 2}' for n in range(600))} END AS r FROM num"),
    either(f"SELECT id, {'COALESCE(NULL, ' * 200}i{')' * 200} AS r FROM num"),
    either(f"SELECT id, {'abs(' * 300}i{')' * 300} AS r FROM num"),
    either(" UNION ALL ".join(f"SELECT a, {n} AS n FROM small" for n in range(150))),
    either("SELECT count(*) AS n FROM " + " JOIN ".join(f"nulls t{n} USING (id)" if n else "nulls t0" for n in range(40))),
    either("SELECT a FROM " + "(SELECT a FROM " * 80 + "small" + "".join(f" WHERE a < {n}) q{n}" for n in range(80, 0, -1)).replace(" WHERE a < 1)", ")", 1)),
    either(f"SELECT {', '.join(f'i + {n} AS c{n}' for n in range(800))} FROM num WHERE i < 1000"),
    whole(f"SELECT id FROM str WHERE t = '{'ä' * 200000}'"),
    either(f"SELECT length(t || '{'🦆' * 50000}') AS l FROM str WHERE id < 4"),
    either(f"SELECT {', '.join(f'sum(v) FILTER (WHERE k = {n}) AS s{n}' for n in range(120))} FROM facts"),
    either(f"WITH {', '.join(f'q{n} AS (SELECT a FROM ' + (f'q{n - 1}' if n else 'small') + ')' for n in range(60))} SELECT a FROM q59"),
    whole("SELECT repeat(t, 100000) AS r FROM str WHERE id IN (2, 6)"),
]

NESTED = [whole(query, ordered="ORDER BY id" in query) for query in lines("""
    SELECT f.id, d.name FROM facts f JOIN dims d ON d.k = (SELECT min(k) FROM dims e WHERE e.k >= f.k) WHERE f.id < 60
    SELECT f.id, d.k FROM facts f LEFT JOIN dims d ON d.k = f.k AND EXISTS (SELECT FROM other o WHERE o.a = d.parent) WHERE f.id < 60
    SELECT sum((SELECT w FROM dims d WHERE d.k = f.k)) AS s FROM facts f
    SELECT id, rank() OVER (ORDER BY (SELECT w FROM dims d WHERE d.k = f.k), id) AS r FROM facts f WHERE id < 60
    SELECT a, (SELECT count(*) + 1 FROM other o WHERE o.a = s.a) AS n FROM small s
    SELECT a, (SELECT sum(c) FROM other o WHERE o.a = s.a HAVING count(*) > 1) AS n FROM small s
    SELECT a, (SELECT count(*) FROM other o WHERE o.a = s.a GROUP BY o.a) AS n FROM small s
    SELECT a, (SELECT COALESCE(max(c), -1) FROM other o WHERE o.a = s.a) AS n FROM small s
    SELECT a, (SELECT DISTINCT a FROM other o WHERE o.a = s.a) AS n FROM small s
    SELECT a FROM small s WHERE EXISTS (SELECT count(*) FROM other o WHERE o.a = s.a)
    SELECT a FROM small s WHERE EXISTS (SELECT a FROM other o WHERE o.a = s.a GROUP BY a HAVING count(*) > 1)
    SELECT a FROM small s WHERE EXISTS (SELECT FROM other o WHERE o.a = s.a LIMIT 0)
    SELECT a FROM small s WHERE NOT EXISTS (SELECT FROM other o WHERE o.a = s.a OFFSET 1)
    SELECT a FROM small s WHERE a IN (SELECT a FROM other o WHERE o.c > s.c UNION ALL SELECT k FROM dims d WHERE d.k = s.a)
    SELECT a FROM small s WHERE c > (SELECT min(c) FROM other o WHERE o.a = (SELECT min(a) FROM small t WHERE t.a >= s.a))
    SELECT a, (SELECT max(o.c - s.c) FROM other o) AS m FROM small s
    SELECT a, (SELECT max(x.a) FROM (SELECT o.a FROM other o WHERE o.a < s.a ORDER BY o.a DESC LIMIT 1) x) AS m FROM small s
    SELECT a, (SELECT sum(q.n) FROM (SELECT count(*) AS n FROM other o WHERE o.a = s.a GROUP BY o.b) q) AS m FROM small s
    SELECT a FROM small s WHERE (SELECT bool_or(o.c > s.c) FROM other o WHERE o.a = s.a)
    SELECT a FROM small s WHERE a = ALL (SELECT a FROM other o WHERE o.b = s.b)
    SELECT a, b FROM small s WHERE a IS NOT NULL AND a NOT IN (SELECT o.a FROM other o WHERE o.b = s.b AND o.a IS NOT NULL)
    SELECT d.k FROM dims d WHERE d.w > ALL (SELECT avg(w) FROM dims e WHERE e.parent = d.parent)
    SELECT d.k FROM dims d WHERE (SELECT count(*) FROM facts f WHERE f.k = d.k) = (SELECT max(n) FROM (SELECT count(*) AS n FROM facts GROUP BY k) q)
    SELECT DISTINCT (SELECT max(w) FROM dims d WHERE d.k = f.k) AS m FROM facts f
    SELECT id FROM facts f WHERE (SELECT d.name FROM dims d WHERE d.k = f.k) IS NULL AND id < 100 ORDER BY id
    SELECT x.id FROM facts x WHERE x.id IN (SELECT y.v FROM facts y WHERE y.k = x.k) AND x.v > (SELECT avg(z.v) FROM facts z)
    SELECT s.a, (SELECT t.n FROM (SELECT s.a AS n) t) AS m FROM small s
    SELECT (SELECT max(a) FROM small WHERE c > (SELECT min(c) FROM other)) AS x, a FROM other
    SELECT a FROM small WHERE a IN (SELECT a FROM other WHERE b IN (SELECT b FROM small WHERE c IN (SELECT c FROM other)))
    SELECT a FROM small WHERE a IN (SELECT k FROM dims WHERE w > 2) = (c > 15)
    SELECT count(*) AS n FROM small s FULL JOIN (SELECT a, (SELECT max(c) FROM small) AS m FROM other) o ON s.a = o.a AND o.m > s.c
    SELECT o.a, q.m FROM other o LEFT JOIN (SELECT a, 1 AS m FROM small WHERE c > 10) q ON q.a = o.a WHERE q.m IS NULL
    SELECT o.a, q.m FROM other o LEFT JOIN (SELECT a, COALESCE(b, 'none') AS m FROM small) q ON q.a = o.a
    SELECT q.t FROM other o LEFT JOIN (SELECT a, true AS t FROM small) q ON q.a = o.a
    SELECT count(*) AS n, count(q.t) AS t FROM other o LEFT JOIN (SELECT a, 'x' AS t FROM small) q ON q.a = o.a
""")] + [either(query, ordered="ORDER BY id" in query) for query in lines("""
    SELECT (SELECT name FROM dims d WHERE d.k = f.k) AS name, count(*) AS n FROM facts f GROUP BY 1
    SELECT CASE WHEN EXISTS (SELECT FROM dims d WHERE d.k = f.k) THEN 'known' WHEN f.k IS NULL THEN 'none' ELSE 'unknown' END AS c, count(*) AS n FROM facts f GROUP BY 1
    SELECT a, ARRAY(SELECT b FROM other o WHERE o.a = s.a ORDER BY c)::text AS l FROM small s
""")]

REPORTS = [whole(query, ordered="ORDER BY" in query.rpartition(")")[2]) for query in lines("""
    SELECT k, count(*) AS n, 100.0 * count(*) / sum(count(*)) OVER () AS share FROM facts GROUP BY k
    SELECT k, round(100.0 * sum(v) / (SELECT sum(v) FROM facts), 2) AS share FROM facts GROUP BY k
    SELECT g, sum(d)::numeric(14,2) AS s, count(*)::numeric / 7 AS w, sum(v)::integer AS i FROM facts GROUP BY g
    SELECT day, sum(v) AS s, sum(sum(v)) OVER (ORDER BY day) AS running FROM facts GROUP BY day ORDER BY day
    SELECT name, count(*) FILTER (WHERE ok) AS yes, count(*) FILTER (WHERE NOT ok) AS no, count(*) FILTER (WHERE ok IS NULL) AS unsure FROM facts GROUP BY name
    SELECT k, sum(CASE WHEN v > 0 THEN v ELSE 0 END) AS plus, sum(CASE WHEN v < 0 THEN -v ELSE 0 END) AS minus FROM facts GROUP BY k
    SELECT k, max(v) - min(v) AS spread, avg(v)::numeric(10,3) AS a, avg(d)::float8 AS f FROM facts GROUP BY k HAVING avg(v) > 150
    SELECT k, avg(v) AS a FROM facts GROUP BY k HAVING avg(v) > (SELECT avg(v) FROM facts)
    SELECT k, avg(v) > 200 AS high FROM facts GROUP BY k
    SELECT f.g, d.name, sum(f.d * d.w) AS s FROM facts f JOIN dims d USING (k) GROUP BY f.g, d.name
    SELECT g, sum(x * s) AS s, avg(x) AS a FROM facts GROUP BY g ORDER BY g
    SELECT avg(n) AS a FROM (SELECT count(*) AS n FROM facts GROUP BY k) q
    SELECT count(DISTINCT k) AS k, count(DISTINCT name) AS n, count(DISTINCT day) AS d, sum(DISTINCT g) AS g FROM facts
    SELECT COALESCE(name, '(none)') AS n, COALESCE(sum(v), 0) AS s FROM facts GROUP BY name ORDER BY s DESC, n LIMIT 5
    SELECT x.day, count(y.id) AS n FROM (SELECT DISTINCT day FROM facts WHERE id < 30) x LEFT JOIN facts y ON y.day = x.day AND y.v > 300 GROUP BY x.day ORDER BY x.day
    SELECT k, min(day) AS first, max(day) AS last, max(day) - min(day) AS days FROM facts GROUP BY k HAVING count(*) >= 20
    SELECT g, array_agg(DISTINCT k ORDER BY k) AS ks, string_agg(DISTINCT name, ', ' ORDER BY name) AS names FROM facts GROUP BY g
    SELECT substring(name FROM 6) AS letter, avg(x) AS a FROM facts GROUP BY 1
    SELECT ts::date AS d, count(*) AS n FROM facts GROUP BY ts::date ORDER BY d
    SELECT extract(hour FROM ts) AS h, sum(v) AS s FROM facts GROUP BY 1 ORDER BY 1
    SELECT day - day % 1 AS d FROM (SELECT id AS day FROM facts) q WHERE day < 5
    SELECT id, v, v - lag(v) OVER (ORDER BY id) AS d, CASE WHEN v > lag(v) OVER (ORDER BY id) THEN 'up' ELSE 'down' END AS t FROM facts WHERE id < 40
    SELECT id / 100 AS hundred, percentile_disc(0.9) WITHIN GROUP (ORDER BY v) AS p FROM facts GROUP BY 1
    SELECT sum(v) AS s FROM (SELECT v FROM facts ORDER BY v DESC NULLS LAST LIMIT 10) q
    SELECT k FROM facts WHERE g = 1 INTERSECT SELECT k FROM facts WHERE g = 2 EXCEPT SELECT k FROM facts WHERE v > 690
    SELECT sum(a * c) AS s, sum(a) * sum(c) AS p, sum(a + c) AS q FROM small
    SELECT count(*) AS n, count(*) * 1.0 / NULLIF(count(a), 0) AS r FROM small
    SELECT min(x.v + y.v) AS m FROM facts x JOIN facts y ON x.id + 1 = y.id
""")] + [either(query, ordered="ORDER BY" in query.rpartition(")")[2]) for query in lines("""
    SELECT date_trunc('month', day) AS m, sum(d) AS s, lag(sum(d)) OVER (ORDER BY date_trunc('month', day)) AS before FROM facts GROUP BY 1
    SELECT extract(year FROM day)::int AS y, extract(month FROM day)::int AS m, count(*) AS n FROM facts GROUP BY 1, 2 ORDER BY 1, 2
    SELECT f.g, sum(f.d * (1 - d.w / 100)) AS s FROM facts f JOIN dims d USING (k) GROUP BY f.g
    SELECT k, n, avg(n) OVER () AS a FROM (SELECT k, count(*) AS n FROM facts GROUP BY k) q
    SELECT width_bucket(v, 0, 700, 7) AS b, count(*) AS n FROM facts GROUP BY 1 ORDER BY 1
    SELECT upper(name) AS u, length(name) AS l, count(*) AS n FROM facts WHERE name LIKE 'name %' GROUP BY 1, 2 ORDER BY 1
""")]

CASES = [*CLASHES, *CONSTANTS, *TYPES, *LARGE, *NESTED, *REPORTS]
