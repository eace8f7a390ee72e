"""Joins of every kind; semi and anti joins out of EXISTS, IN and NOT IN, with NULLs."""

from .cases import ANY, either, lines, whole

PAIRS = [whole(query) for query in lines("""
    SELECT s.a, s.b, o.b AS ob FROM small s JOIN other o ON s.a = o.a
    SELECT s.a, s.b, o.b AS ob FROM small s INNER JOIN other o ON s.a = o.a AND s.b = o.b
    SELECT s.a, s.b, o.b AS ob FROM small s LEFT JOIN other o ON s.a = o.a
    SELECT s.a, s.b, o.b AS ob FROM small s RIGHT JOIN other o ON s.a = o.a
    SELECT s.a, s.b, o.b AS ob FROM small s FULL JOIN other o ON s.a = o.a
    SELECT s.a, o.a AS oa FROM small s CROSS JOIN other o
    SELECT s.a, o.a AS oa FROM small s, other o
    SELECT s.a, o.a AS oa FROM small s, other o WHERE s.a = o.a AND o.c > 20
    SELECT a, s.b, o.b AS ob FROM small s JOIN other o USING (a)
    SELECT * FROM small s JOIN other o USING (a)
    SELECT * FROM small s LEFT JOIN other o USING (a)
    SELECT * FROM small s RIGHT JOIN other o USING (a)
    SELECT * FROM small s FULL JOIN other o USING (a)
    SELECT * FROM small s JOIN other o USING (a, b)
    SELECT * FROM small s FULL JOIN other o USING (a, b)
    SELECT a, count(*) AS n FROM small s FULL JOIN other o USING (a) GROUP BY a
    SELECT * FROM small NATURAL JOIN other
    SELECT * FROM small NATURAL LEFT JOIN other
    SELECT * FROM small NATURAL FULL JOIN other
    SELECT s.a, o.a AS oa FROM small s JOIN other o ON s.a < o.a
    SELECT s.a, o.a AS oa FROM small s LEFT JOIN other o ON s.a > o.a
    SELECT s.a, o.a AS oa FROM small s LEFT JOIN other o ON s.a = o.a AND o.c > 20
    SELECT s.a, o.a AS oa FROM small s LEFT JOIN other o ON s.a = o.a WHERE o.c > 20
    SELECT s.a, o.a AS oa FROM small s LEFT JOIN other o ON s.a = o.a WHERE o.a IS NULL
    SELECT s.a, o.a AS oa FROM small s LEFT JOIN other o ON s.a = o.a AND s.a > 1 WHERE s.c < 30
    SELECT s.a, o.a AS oa FROM small s LEFT JOIN other o ON s.a IS NOT DISTINCT FROM o.a
    SELECT s.a, o.a AS oa FROM small s LEFT JOIN other o ON s.a = o.a OR s.b = o.b
    SELECT s.a, o.a AS oa FROM small s LEFT JOIN other o ON true
    SELECT s.a, o.a AS oa FROM small s JOIN other o ON s.a + 1 = o.a
    SELECT s.a, o.a AS oa FROM small s JOIN other o ON s.c = o.a
    SELECT s.a, e.a AS ea FROM small s LEFT JOIN empty e ON s.a = e.a
    SELECT s.a, e.a AS ea FROM small s RIGHT JOIN empty e ON s.a = e.a
    SELECT s.a, e.a AS ea FROM small s FULL JOIN empty e ON s.a = e.a
    SELECT s.a, e.a AS ea FROM small s CROSS JOIN empty e
    SELECT x.a, y.a AS ya, z.a AS za FROM small x JOIN small y ON x.a = y.a JOIN small z ON y.c = z.c
    SELECT f.id, d.name, p.name AS parent FROM facts f LEFT JOIN dims d ON f.k = d.k LEFT JOIN dims p ON d.parent = p.k
    SELECT f.id, d.w FROM facts f JOIN dims d ON f.k = d.k WHERE d.w > 5 AND f.v > 0
    SELECT f.id FROM facts f JOIN dims d ON f.k = d.k AND f.g = d.parent
    SELECT d.name, count(f.id) AS n, sum(f.d) AS s FROM dims d LEFT JOIN facts f USING (k) GROUP BY d.name
    SELECT d.k, count(*) AS n FROM dims d LEFT JOIN facts f ON f.k = d.k AND f.v > 100 GROUP BY d.k
    SELECT count(*) AS n FROM facts x JOIN facts y ON x.k = y.k AND x.id < y.id
    SELECT s.a, q.m FROM small s JOIN (SELECT k, max(v) AS m FROM facts GROUP BY k) q ON s.a = q.k
    SELECT s.a, q.n FROM small s LEFT JOIN (SELECT a, count(*) AS n FROM other GROUP BY a) q USING (a)
    SELECT * FROM (small s JOIN other o USING (a)) LEFT JOIN dims d ON d.k = a
    SELECT * FROM small s LEFT JOIN (other o JOIN dims d ON o.a = d.k) ON s.a = o.a
    SELECT s.a AS x, o.a AS y FROM small s FULL JOIN other o ON s.a = o.a WHERE s.a IS NULL OR o.a IS NULL
    SELECT x.id, y.id AS other FROM flags x JOIN flags y ON x.p = y.q
    SELECT x.id, y.id AS other FROM flags x LEFT JOIN flags y ON x.p AND y.q
    SELECT x.id, y.id AS other FROM tim x JOIN tim y ON x.d = y.ts::date
    SELECT x.id, y.id AS other FROM str x JOIN str y ON x.t = y.u
    SELECT x.id, y.id AS other FROM num x JOIN num y ON x.i = y.l
    SELECT x.id, y.id AS other FROM num x JOIN num y ON x.s = y.i AND x.k <> y.k
""")] + [whole(query) for query in lines("""
    SELECT x.id, y.id AS other FROM num x JOIN num y ON x.d = y.e
    SELECT x.id, y.id AS other FROM num x JOIN num y ON x.d = y.i
    SELECT x.id, y.id AS other FROM num x JOIN num y ON x.f = y.r
    SELECT x.id, y.id AS other FROM num x JOIN num y ON x.f = y.i
    SELECT x.id, y.id AS other FROM tim x JOIN tim y ON x.d = y.ts
    SELECT s.a AS x, o.a AS y FROM small s FULL JOIN other o ON s.a = o.a AND s.b <> o.b
    SELECT j.a FROM (small s JOIN other o USING (a)) AS j
    SELECT j.* FROM (small s LEFT JOIN other o ON s.a = o.a) AS j (a, b, c, d, e, f)
    SELECT x, s.a FROM small s JOIN other o USING (a) AS x
    SELECT (s).a, (s).b FROM small s
    SELECT s.a, v.x FROM small s JOIN (VALUES (1, 'i'), (2, 'ii'), (NULL, 'null')) v (n, x) ON s.a = v.n
    SELECT s.a, v.x FROM small s LEFT JOIN (VALUES (1, 'i'), (2, 'ii')) v (n, x) ON s.a = v.n
    SELECT s.a, g FROM small s JOIN generate_series(1, 3) g ON s.a = g
    SELECT f.id, l.note FROM facts f JOIN local l USING (k)
    SELECT l.k, count(f.id) AS n FROM local l LEFT JOIN facts f USING (k) GROUP BY l.k
    SELECT l.k FROM local l WHERE EXISTS (SELECT FROM facts f WHERE f.k = l.k AND f.v > 500)
    SELECT f.id FROM facts f WHERE k IN (SELECT k FROM local WHERE note > 'note 2')
    SELECT f.id FROM facts f WHERE k NOT IN (SELECT k FROM local)
    SELECT d.name, l.note, count(*) AS n FROM facts f JOIN dims d USING (k) LEFT JOIN local l ON l.k = d.parent GROUP BY 1, 2
""")] + [either(query) for query in lines("""
    SELECT x.id, y.id AS other FROM tim x JOIN tim y ON x.ts < y.tz
    SELECT s FROM small s JOIN other o USING (a)
    SELECT s.*, o FROM small s LEFT JOIN other o USING (a)
    SELECT count(s) AS n, count(o) AS m FROM small s FULL JOIN other o USING (a)
    SELECT count(*) AS n FROM small s LEFT JOIN other o USING (a) WHERE o IS NULL
    SELECT s.a, g FROM small s, generate_series(1, s.a) g
""")]

SEMI = [whole(query) for query in lines("""
    SELECT a, b FROM small s WHERE EXISTS (SELECT 1 FROM other o WHERE o.a = s.a)
    SELECT a, b FROM small s WHERE NOT EXISTS (SELECT 1 FROM other o WHERE o.a = s.a)
    SELECT a, b FROM small s WHERE EXISTS (SELECT FROM other o WHERE o.a = s.a AND o.c > s.c)
    SELECT a, b FROM small s WHERE NOT EXISTS (SELECT FROM other o WHERE o.a = s.a AND o.c > 20)
    SELECT a, b FROM small s WHERE EXISTS (SELECT FROM other WHERE c > 50)
    SELECT a, b FROM small s WHERE NOT EXISTS (SELECT FROM other WHERE c > 100)
    SELECT a, b FROM small WHERE a IN (SELECT a FROM other)
    SELECT a, b FROM small WHERE a NOT IN (SELECT a FROM other)
    SELECT a, b FROM small WHERE a NOT IN (SELECT a FROM other WHERE a IS NOT NULL)
    SELECT a, b FROM small WHERE a NOT IN (SELECT a FROM empty)
    SELECT a, b FROM small WHERE a IN (SELECT a FROM empty)
    SELECT a, b FROM small WHERE b IN (SELECT b FROM other)
    SELECT a, b FROM small WHERE a = ANY (SELECT a FROM other)
    SELECT a, a IN (SELECT a FROM other) AS isin FROM small
    SELECT a, a NOT IN (SELECT a FROM other) AS isnot FROM small
    SELECT a, EXISTS (SELECT FROM other o WHERE o.a = s.a) AS e FROM small s
    SELECT a FROM small WHERE a IN (SELECT a FROM other) OR c = 10
    SELECT a FROM small s WHERE EXISTS (SELECT FROM other o WHERE o.a = s.a) OR b IS NULL
    SELECT a FROM small WHERE NOT (a IN (SELECT a FROM other))
    SELECT a FROM small WHERE a IN (SELECT max(a) FROM other GROUP BY b)
    SELECT a FROM small WHERE a IN (SELECT a FROM other ORDER BY a LIMIT 2)
    SELECT id FROM facts WHERE k IN (SELECT k FROM dims WHERE name LIKE 'dim 1%') AND v > 0
    SELECT count(*) AS n FROM facts f WHERE NOT EXISTS (SELECT FROM dims d WHERE d.k = f.k)
    SELECT d.k FROM dims d WHERE EXISTS (SELECT FROM facts f WHERE f.k = d.k GROUP BY f.g HAVING sum(f.v) > 1000)
    SELECT a FROM small s WHERE a IN (SELECT a FROM other o WHERE o.b = s.b)
    SELECT a FROM small s WHERE a NOT IN (SELECT a FROM other o WHERE o.b = s.b)
    SELECT a FROM small s WHERE EXISTS (SELECT FROM other o WHERE o.a = s.a AND EXISTS (SELECT FROM dims d WHERE d.k = o.a AND d.w > s.a))
    SELECT s.a, o.b FROM small s JOIN other o ON o.a = s.a AND EXISTS (SELECT FROM dims d WHERE d.k = s.a)
""")] + [whole(query) for query in lines("""
    SELECT a FROM small WHERE a > ALL (SELECT a FROM other WHERE a < 3)
    SELECT a FROM small WHERE a > ALL (SELECT a FROM other)
    SELECT a FROM small WHERE a > ALL (SELECT a FROM empty)
    SELECT a FROM small WHERE a < ANY (SELECT a FROM other)
    SELECT a FROM small WHERE a <> ANY (SELECT a FROM other)
    SELECT a FROM small WHERE a <> ALL (SELECT a FROM other WHERE a > 2)
    SELECT a, a > ALL (SELECT a FROM other WHERE a IS NOT NULL) AS r, a < ANY (SELECT a FROM other) AS t FROM small
    SELECT a FROM small s WHERE (SELECT count(*) FROM other o WHERE o.a = s.a) > 1
    SELECT a, CASE WHEN a IN (SELECT a FROM other) THEN 'in' ELSE 'out' END AS r FROM small
    SELECT count(*) FILTER (WHERE a IN (SELECT a FROM other)) AS n FROM small
    SELECT a FROM small GROUP BY a HAVING a IN (SELECT a FROM other)
    SELECT a FROM small ORDER BY a IN (SELECT a FROM other), a
""")] + [either(query) for query in lines("""
    SELECT a FROM small WHERE (a, b) IN (SELECT a, b FROM other)
    SELECT a FROM small WHERE (a, b) NOT IN (SELECT a, b FROM other)
    SELECT a, (a, b) IN (SELECT a, b FROM other) AS r FROM small
    SELECT a FROM small WHERE (a, b) = ANY (SELECT a, b FROM other)
    SELECT a FROM small WHERE b LIKE ANY (SELECT b FROM other)
""")]

LATERALS = [whole(query) for query in lines("""
    SELECT s.a, q.n FROM small s, LATERAL (SELECT count(*) AS n FROM other o WHERE o.a = s.a) q
    SELECT s.a, q.b FROM small s CROSS JOIN LATERAL (SELECT b FROM other o WHERE o.a = s.a) q
    SELECT s.a, q.b FROM small s LEFT JOIN LATERAL (SELECT b FROM other o WHERE o.a = s.a) q ON true
    SELECT s.a, q.b FROM small s LEFT JOIN LATERAL (SELECT b FROM other o WHERE o.a = s.a ORDER BY c DESC LIMIT 1) q ON true
    SELECT d.k, q.id FROM dims d, LATERAL (SELECT id FROM facts f WHERE f.k = d.k ORDER BY v DESC NULLS LAST, id LIMIT 2) q
    SELECT s.a, q.x FROM small s, LATERAL (SELECT s.a + 1 AS x) q
    SELECT s.a, q.x FROM small s, LATERAL (VALUES (s.a), (s.a * 2)) q (x)
    SELECT s.a, x.m, y.n FROM small s, LATERAL (SELECT max(c) AS m FROM other o WHERE o.a = s.a) x, LATERAL (SELECT count(*) AS n FROM other o WHERE o.c = x.m) y
    SELECT s.a, o.b FROM small s JOIN LATERAL (SELECT * FROM other o WHERE o.a = s.a OFFSET 0) o ON o.c > 20
    SELECT s.a, q.r FROM small s, LATERAL (SELECT string_agg(b, ',' ORDER BY b) AS r FROM other o WHERE o.a >= s.a) q
""")] + [either(query) for query in lines("""
    SELECT s.a, g FROM small s LEFT JOIN LATERAL generate_series(1, s.a) g ON true
    SELECT s.a, u.e FROM small s, LATERAL unnest(ARRAY[s.a, s.c]) AS u (e)
    SELECT l.id, u FROM lists l, unnest(l.a) u
    SELECT l.id, u, n FROM lists l, unnest(l.a) WITH ORDINALITY AS x (u, n)
""")] + [
    either("SELECT d.k, q.id FROM dims d, LATERAL (SELECT id FROM facts f WHERE f.k = d.k ORDER BY id LIMIT $1) q", ("bigint", "3")),
    whole("SELECT s.a, o.b FROM small s JOIN other o ON s.a = o.a AND o.c > $1", ("bigint", "20")),
    whole("SELECT a FROM small s WHERE EXISTS (SELECT FROM other o WHERE o.a = s.a + $1)", ("int", "1")),
    either("SELECT s.a, o.a AS oa FROM small s JOIN other o ON s.a = o.a WHERE random() < 2"),
]

CASES = [*PAIRS, *SEMI, *LATERALS]
