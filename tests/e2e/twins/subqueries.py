"""Sub-queries, scalar and correlated; CTEs, materialised and recursive; set operations; views."""

from .cases import either, lines, whole

SCALAR = [whole(query) for query in lines("""
    SELECT a, (SELECT max(c) FROM other) AS m FROM small
    SELECT a FROM small WHERE c = (SELECT min(c) FROM small)
    SELECT a FROM small WHERE c > (SELECT max(a) FROM empty)
    SELECT a, (SELECT count(*) FROM other o WHERE o.a = s.a) AS n FROM small s
    SELECT a, (SELECT sum(c) FROM other o WHERE o.a = s.a) AS n FROM small s
    SELECT a, (SELECT max(b) FROM other o WHERE o.a = s.a AND o.c > s.c) AS n FROM small s
    SELECT id FROM facts f WHERE v = (SELECT max(v) FROM facts g WHERE g.k = f.k)
    SELECT id FROM facts f WHERE v > (SELECT sum(v) FROM facts g WHERE g.day = f.day)
    SELECT d.k, (SELECT count(*) FROM facts f WHERE f.k = d.k) AS n FROM dims d
    SELECT * FROM (SELECT a, c FROM small WHERE a > 1) q WHERE c < 30
    SELECT q.a + 1 AS r FROM (SELECT a FROM small) q
    SELECT q.x FROM (SELECT a AS x, b AS x2 FROM small) q (x, y) WHERE y IS NOT NULL
    SELECT * FROM (SELECT * FROM (SELECT a, b FROM small) p WHERE a = 2) q
    SELECT count(*) AS n FROM (SELECT DISTINCT a FROM small) q
    SELECT count(*) AS n FROM (SELECT a FROM small ORDER BY c LIMIT 3) q
    SELECT max(n) AS m FROM (SELECT count(*) AS n FROM facts GROUP BY k) q
    SELECT a FROM small WHERE a = (SELECT 2)
    SELECT (SELECT count(*) FROM small) AS x, (SELECT count(*) FROM other) AS y FROM nulls
    SELECT a FROM small WHERE c >= (SELECT min(c) FROM other) AND c <= (SELECT max(c) FROM other)
""")] + [whole(query) for query in lines("""
    SELECT a, (SELECT b FROM other o WHERE o.a = s.a) AS r FROM small s
    SELECT a, (SELECT b FROM other o WHERE o.a = s.a AND b = 'two') AS r FROM small s
    SELECT a, (SELECT b FROM other o WHERE o.a = s.a ORDER BY c LIMIT 1) AS r FROM small s
    SELECT a, (SELECT b FROM empty e WHERE e.a = s.a) AS r FROM small s
    SELECT (SELECT a FROM small)
    SELECT (SELECT a FROM small WHERE c = 30) AS r
    SELECT ARRAY(SELECT a FROM small ORDER BY a) AS r
    SELECT id FROM facts f WHERE v > (SELECT avg(v) FROM facts g WHERE g.k = f.k)
    SELECT id FROM facts f WHERE d > (SELECT avg(d) * 1.5 FROM facts g WHERE g.k = f.k)
    SELECT id FROM facts f WHERE x >= (SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY x) FROM facts)
    SELECT a, (SELECT count(*) FROM facts f WHERE f.k = s.a AND f.v > (SELECT min(c) FROM other o WHERE o.a = s.a)) AS n FROM small s
    SELECT a, (SELECT sum(o.c + s.c) FROM other o) AS n FROM small s
    SELECT sum((SELECT max(o.c) FROM other o WHERE o.a = s.a)) AS n FROM small s
    SELECT a, (SELECT count(*) FROM other o WHERE o.a IS NOT DISTINCT FROM s.a) AS n FROM small s
    SELECT k, sum(v) AS s, (SELECT name FROM dims d WHERE d.k = f.k) AS name FROM facts f GROUP BY k
    SELECT k, (SELECT max(w) FROM dims d WHERE d.parent = f.k) AS m FROM facts f GROUP BY k HAVING (SELECT count(*) FROM dims d WHERE d.k = f.k) > 0
    SELECT a FROM small ORDER BY (SELECT max(c) FROM other o WHERE o.a = small.a) NULLS FIRST, a, c
    SELECT CASE WHEN EXISTS (SELECT FROM other WHERE c = 60) THEN a ELSE 0 END AS r FROM small
    SELECT COALESCE((SELECT max(a) FROM empty), 7) AS r FROM small
    SELECT (SELECT (SELECT max(c) FROM other o WHERE o.a = s.a) + 1) AS r FROM small s
    SELECT * FROM (SELECT a, c, (SELECT max(c) FROM other) AS m FROM small) q WHERE m > c
    SELECT a, random() < 2 AS r FROM (SELECT a FROM small) q
    SELECT r >= 0 AS ok FROM (SELECT random() AS r FROM small OFFSET 0) q
    SELECT a FROM small s WHERE 1 = (SELECT count(*) FROM other o WHERE o.a = s.a)
""")] + [either(query) for query in lines("""
    SELECT a, ARRAY(SELECT c FROM other o WHERE o.a = s.a ORDER BY c) AS r FROM small s
    SELECT a FROM small WHERE (a, b) = (SELECT a, b FROM other WHERE c = 20)
    SELECT a, (SELECT o FROM other o WHERE o.c = 20) AS r FROM small s
    SELECT (SELECT sum(s.c) FROM other o WHERE o.a = 2 AND o.b = 'two') AS n FROM small s
    SELECT a FROM small LIMIT (SELECT count(*) FROM nulls)
""")]

CTES = [whole(query) for query in lines("""
    WITH q AS (SELECT a, c FROM small WHERE a > 1) SELECT a FROM q
    WITH q AS (SELECT k, sum(v) AS s FROM facts GROUP BY k) SELECT x.k, y.s FROM q x JOIN q y ON x.k = y.k + 1
    WITH q (x, y) AS (SELECT a, b FROM small) SELECT y, x FROM q WHERE x IS NOT NULL
    WITH p AS (SELECT a FROM small), q AS (SELECT a FROM p WHERE a > 1) SELECT * FROM q
    WITH q AS NOT MATERIALIZED (SELECT a FROM small) SELECT x.a FROM q x JOIN q y USING (a)
    WITH q AS MATERIALIZED (SELECT a FROM small) SELECT x.a FROM q x JOIN q y USING (a)
    WITH q AS (SELECT a FROM small) SELECT a FROM other WHERE a IN (SELECT a FROM q)
    WITH q AS (SELECT max(v) AS m FROM facts) SELECT id FROM facts, q WHERE v = m
    SELECT * FROM (WITH q AS (SELECT a FROM small) SELECT a FROM q) s WHERE a = 2
    WITH q AS (SELECT a FROM small) SELECT (SELECT count(*) FROM q) AS n, a FROM other
    WITH small AS (SELECT a FROM other) SELECT a FROM small
""")] + [whole(query) for query in lines("""
    WITH q AS (SELECT 1 AS one) SELECT a, one FROM small, q
    WITH unused AS (SELECT 1 / 0 AS x) SELECT a FROM small
    WITH q (a, b) AS (VALUES (1, 'x'), (2, 'y')) SELECT q.b, s.b AS sb FROM q JOIN small s USING (a)
""")] + [either(query) for query in lines("""
    WITH q AS MATERIALIZED (SELECT a, random() AS r FROM small) SELECT count(*) AS n FROM q x JOIN q y ON x.r = y.r
    WITH RECURSIVE up (id, parent, depth) AS (SELECT id, parent, 0 FROM tree WHERE label = 'aaa' UNION ALL SELECT t.id, t.parent, depth + 1 FROM tree t JOIN up ON t.id = up.parent) SELECT * FROM up
    WITH RECURSIVE down (id, path) AS (SELECT id, label FROM tree WHERE parent IS NULL UNION ALL SELECT t.id, path || '/' || t.label FROM tree t JOIN down d ON t.parent = d.id) SELECT * FROM down
    WITH RECURSIVE reach (id) AS (SELECT 1 UNION SELECT t.id FROM tree t JOIN reach r ON t.parent = r.id) SELECT count(*) AS n FROM reach
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT i, t.label FROM n LEFT JOIN tree t ON t.id = i
    WITH RECURSIVE d AS (SELECT id, parent FROM tree WHERE id = 1 UNION ALL SELECT t.id, t.parent FROM tree t, d WHERE t.parent = d.id) SEARCH DEPTH FIRST BY id SET o SELECT id FROM d ORDER BY o
    WITH RECURSIVE d AS (SELECT id, parent FROM tree WHERE id = 1 UNION ALL SELECT t.id, t.parent FROM tree t, d WHERE t.parent = d.id) CYCLE id SET looped USING path SELECT id, looped FROM d
    WITH w AS (INSERT INTO scratch SELECT id, v FROM facts WHERE id < 5 RETURNING id) SELECT count(*) AS n FROM w
    WITH w AS (DELETE FROM scratch RETURNING v) SELECT f.id FROM facts f JOIN w USING (v)
    WITH q AS (SELECT a FROM small FOR UPDATE) SELECT a FROM q
""")]

SETS = [whole(query) for query in lines("""
    SELECT a, b FROM small UNION SELECT a, b FROM other
    SELECT a, b FROM small UNION ALL SELECT a, b FROM other
    SELECT a, b FROM small INTERSECT SELECT a, b FROM other
    SELECT a, b FROM small INTERSECT ALL SELECT a, b FROM other
    SELECT a, b FROM small EXCEPT SELECT a, b FROM other
    SELECT a, b FROM small EXCEPT ALL SELECT a, b FROM other
    SELECT b FROM small UNION SELECT b FROM other UNION SELECT name FROM dims
    SELECT a FROM small UNION ALL SELECT a FROM other EXCEPT SELECT k FROM dims
    SELECT a FROM small UNION ALL (SELECT a FROM other EXCEPT SELECT k FROM dims)
    (SELECT a FROM small UNION SELECT a FROM other) INTERSECT SELECT k FROM dims
    SELECT a FROM small UNION SELECT c FROM other
    SELECT count(*) AS n FROM (SELECT a FROM small UNION SELECT a FROM other) q
    SELECT a, count(*) AS n FROM (SELECT a FROM small UNION ALL SELECT a FROM other) q GROUP BY a
    SELECT a FROM small WHERE a IN (SELECT a FROM other UNION SELECT k FROM dims)
    SELECT * FROM (SELECT a, b FROM small UNION ALL SELECT a, b FROM other) q WHERE a = 2
    SELECT 1 AS kind, a FROM small UNION ALL SELECT 2, a FROM other
    SELECT a FROM small UNION SELECT a FROM empty
    SELECT a FROM empty EXCEPT SELECT a FROM small
    SELECT sum(v) AS s FROM facts WHERE g = 1 UNION ALL SELECT sum(v) FROM facts WHERE g = 2
""")] + [
    whole("SELECT a, b FROM small UNION SELECT a, b FROM other ORDER BY a NULLS FIRST, b", ordered=True),
    whole("SELECT a FROM small UNION ALL SELECT a FROM other ORDER BY a DESC LIMIT 3", ordered=True),
    whole("SELECT a AS x FROM small EXCEPT SELECT a FROM other ORDER BY x", ordered=True),
    whole("(SELECT a FROM small ORDER BY c, a LIMIT 2) UNION ALL (SELECT a FROM other ORDER BY c, a LIMIT 2)"),
    whole("SELECT a FROM small WHERE c > $1 UNION SELECT a FROM other WHERE c > $1", ("bigint", "15")),
] + [whole(query) for query in lines("""
    SELECT a FROM small UNION SELECT x FROM empty
    SELECT w FROM dims UNION ALL SELECT d FROM facts WHERE id < 5
    SELECT s FROM num UNION SELECT l FROM num
    SELECT f FROM num UNION SELECT r FROM num
    SELECT i::text AS t FROM num UNION SELECT t FROM str
    SELECT NULL AS x FROM small UNION SELECT a FROM other
    SELECT 'x' AS x FROM small UNION ALL SELECT b FROM other
    SELECT a FROM small UNION ALL SELECT k FROM local
    SELECT a, b FROM small UNION VALUES (1, 'one'), (9, 'nine')
    SELECT a FROM small UNION SELECT 1
    SELECT x FROM t_float8 UNION SELECT x + 0 FROM zeros WHERE x = 1
    SELECT x FROM zeros INTERSECT SELECT r FROM zeros WHERE id > 2
    TABLE small UNION TABLE other
    SELECT d FROM tim UNION SELECT ts FROM tim
    SELECT DISTINCT a FROM (SELECT a FROM small UNION ALL SELECT a FROM other) q
""")] + [either(query) for query in lines("""
    SELECT a FROM small UNION ALL SELECT w FROM dims
    SELECT d FROM num UNION ALL SELECT e FROM num
    SELECT i FROM num UNION ALL SELECT d FROM num
    SELECT i + 0.5 AS r FROM num UNION SELECT e + 0.25 FROM num
    SELECT j::text AS x FROM lists UNION SELECT b FROM small
    SELECT a FROM lists UNION SELECT a FROM lists
""")]

VIEWS = [whole(query) for query in lines("""
    SELECT * FROM v_plain
    SELECT id FROM v_plain WHERE v > 100
    SELECT count(*) AS n, max(v) AS m FROM v_plain
    SELECT * FROM v_sums
    SELECT k, total FROM v_sums WHERE n > 24
    SELECT * FROM v_joined WHERE w > 5
    SELECT name, n FROM v_on_view
    SELECT two, one FROM v_renamed WHERE one = 2
    SELECT * FROM v_limited
    SELECT * FROM v_union WHERE a = 2
    SELECT x.k, y.total FROM v_plain x JOIN v_sums y USING (k)
    SELECT d.name, s.total FROM dims d LEFT JOIN v_sums s USING (k)
    SELECT id FROM v_plain WHERE k IN (SELECT k FROM v_sums WHERE total > 1000)
    SELECT * FROM above(500)
    SELECT a, twice(a) AS t FROM small
""")] + [
    whole("SELECT id FROM v_plain WHERE v > $1", ("bigint", "200")),
    whole("SELECT id, v FROM above($1)", ("bigint", "300")),
    either("SELECT count(*) AS n FROM above(0) a JOIN dims d ON d.k = a.id"),
    either("SELECT * FROM m_sums"),
    either("SELECT d.name, m.total FROM dims d JOIN m_sums m USING (k)"),
    whole("SELECT id, k FROM v_barrier"),
    whole("SELECT id FROM v_barrier WHERE v > 100"),
    either("SELECT id FROM v_barrier WHERE leaky(v)"),
    either("SELECT id FROM v_barrier WHERE 100 / v > 1 AND v <> 0"),
    whole("SELECT count(*) AS n FROM v_barrier b JOIN dims d USING (k) WHERE d.w > 3"),
    whole("SELECT * FROM v_barrier_sums WHERE g = 1"),
    whole("SELECT name, count(*) AS n FROM v_barrier WHERE name LIKE '%a%' GROUP BY name"),
    either("SELECT id FROM facts WHERE leaky(v)"),
    whole("SELECT id, leaky(v) AS l FROM facts WHERE g = 1"),
]

CASES = [*SCALAR, *CTES, *SETS, *VIEWS]
