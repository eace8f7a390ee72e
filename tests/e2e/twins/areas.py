"""Queries of the kinds that a database's own regression suite is made of, on a table of 10,000 rows
and on small ones with NULLs and extremes. `areas_more.py` has the other half."""

from .cases import either, lines, whole
from .tables import Table

# u is a permutation of 0 … 9999, n counts up; m<number> is u modulo it. a and b spell numbers in letters.
LETTERS = "chr(97 + {0} / 676 % 26) || chr(97 + {0} / 26 % 26) || chr(97 + {0} % 26)"
WIDE = f"""
SELECT u, n, u % 2, u % 4, u % 10, u % 20, u % 100, u % 1000, u % 2 * 2 + 1, NULLIF(u % 7, 3), {LETTERS.format("u")}, {LETTERS.format("n")},
  (ARRAY['north', 'East', 'SOUTH', 'west ', NULL])[1 + u % 5], (u * 3 - 9000)::bigint * 1000003, u / 8.0::float8
FROM (SELECT i AS n, i * 7919 % 10000 AS u FROM generate_series(0, 9999) i) s ORDER BY n
"""
COLUMNS = dict(u="integer", n="integer", m2="integer", m4="integer", m10="integer", m20="integer", m100="integer", m1000="integer", odd="integer", gap="integer", a="text", b="text", c="text", big="bigint", f="double precision")

TABLES = [
    Table("wide", COLUMNS, WIDE, index="u", row_group_rows=2048),
    Table("i4", {"f": "integer"}, "(0), (123456), (-123456), (2147483647), (-2147483647), (NULL)"),
    Table("i8", {"p": "bigint", "q": "bigint"}, "(123, 456), (123, 4567890123456789), (4567890123456789, 123), (4567890123456789, 4567890123456789), (4567890123456789, -4567890123456789), (NULL, 1), (9223372036854775807, NULL)"),
    Table("f8", {"f": "double precision"}, "(0), (1004.25), (-34.5), (1e200), (-1e-200), (NULL), ('NaN'), ('Infinity')"),
    Table("tx", {"f": "text"}, "('doh!'), ('hi de ho neighbor'), (''), (NULL), ('Ünïcode 🦆')"),
    Table("pay", {"dept": "text", "who": "integer", "salary": "integer", "since": "date"}, "('dev', 1, 5200, '2007-08-01'), ('dev', 2, 4200, '2008-01-01'), ('dev', 3, 4500, '2008-01-01'), ('dev', 4, 6000, '2006-10-01'), ('dev', 5, 5200, '2007-08-15'), ('staff', 6, 3900, '2006-12-23'), ('staff', 7, 3500, '2007-12-10'), ('sales', 8, 5000, '2006-10-01'), ('sales', 9, 4800, '2007-08-01'), ('sales', 10, 4800, '2007-08-08'), (NULL, 11, NULL, NULL)"),
    Table("j1", {"i": "integer", "j": "integer", "t": "text"}, "(1, 4, 'one'), (2, 3, 'two'), (3, 2, 'three'), (4, 1, 'four'), (5, 0, 'five'), (6, 6, 'six'), (7, 7, 'seven'), (8, 8, 'eight'), (0, NULL, 'zero'), (NULL, NULL, 'null'), (NULL, 0, 'zero')"),
    Table("j2", {"i": "integer", "k": "integer"}, "(1, -1), (2, 2), (3, -3), (2, 4), (5, -5), (5, -5), (0, NULL), (NULL, NULL), (NULL, 0)"),
]

SELECT = [whole(query, ordered="ORDER BY" in query) for query in lines("""
    SELECT * FROM wide WHERE u < 20 ORDER BY u
    SELECT u, a FROM wide WHERE u < 40 ORDER BY a DESC
    SELECT u, a FROM wide WHERE u > 9980 ORDER BY a, u
    SELECT u, a, c FROM wide WHERE u > 9900 ORDER BY c DESC NULLS FIRST, u DESC
    SELECT b, a FROM wide WHERE m10 = 3 AND u > 9000 ORDER BY a DESC, b
    SELECT u FROM wide WHERE u BETWEEN 100 AND 110 AND odd = 3
    SELECT u FROM wide WHERE (u < 10 OR u > 9990) AND NOT (m2 = 1)
    SELECT u FROM wide WHERE m1000 IN (5, 7, 999) AND m4 <> 3
    SELECT u + n AS s, u - n AS d FROM wide WHERE m1000 = 17
    SELECT u, gap FROM wide WHERE gap IS NULL AND u < 100
    SELECT f FROM f8 WHERE f = 'NaN' OR f > 1e100
    SELECT f FROM i4 WHERE f <= 0
    SELECT * FROM i8 WHERE p = q
    SELECT * FROM i8 WHERE p <> q AND q < 1000
    SELECT q, p FROM i8 ORDER BY q DESC NULLS LAST, p
    SELECT f FROM tx WHERE f LIKE '%ho%'
    SELECT f, length(f) AS l FROM tx ORDER BY f NULLS FIRST
    SELECT a || '-' || b AS ab FROM wide WHERE u = 4321
    SELECT count(*) AS n FROM wide WHERE a < 'd' AND b >= 'c'
    SELECT c FROM wide WHERE c > 'b' AND u < 50 ORDER BY c, u
    SELECT u FROM wide WHERE big > 20000000000 ORDER BY big DESC LIMIT 7
    SELECT t.u AS x, t.n AS y FROM wide AS t WHERE t.u = 77
    SELECT t.x FROM wide AS t (x) WHERE t.x < 3
    SELECT f FROM wide WHERE f = 1.125 OR f = 1249.875
    SELECT u FROM wide WHERE (u, n) = (0, 0)
    SELECT u FROM wide WHERE (m10, u) < (0, 40)
    SELECT u % 7 AS r FROM wide WHERE u < 20 ORDER BY u
    SELECT u / 7 AS r, -u / 7 AS s, -u % 7 AS t FROM wide WHERE u < 20
""")]

JOIN = [whole(query, ordered="ORDER BY" in query) for query in lines("""
    SELECT * FROM j1, j2
    SELECT x.i, y.k FROM j1 x JOIN j2 y ON x.i = y.i
    SELECT x.i, y.k FROM j1 x JOIN j2 y ON x.i = y.k
    SELECT x.i, y.k FROM j1 x JOIN j2 y ON x.i <= y.k
    SELECT * FROM j1 JOIN j2 USING (i)
    SELECT * FROM j1 NATURAL JOIN j2
    SELECT * FROM j1 LEFT JOIN j2 USING (i) ORDER BY i, k, t
    SELECT * FROM j1 LEFT OUTER JOIN j2 USING (i) WHERE k = 1
    SELECT * FROM j1 LEFT JOIN j2 USING (i) WHERE i = 1
    SELECT * FROM j1 RIGHT JOIN j2 USING (i)
    SELECT * FROM j1 FULL JOIN j2 USING (i) ORDER BY i NULLS FIRST, k NULLS FIRST, t
    SELECT * FROM j1 FULL JOIN j2 USING (i) WHERE k = 1
    SELECT * FROM j1 FULL JOIN j2 USING (i) WHERE i = 1
    SELECT * FROM j1 FULL JOIN j2 ON j1.i = j2.i AND j1.j = j2.k
    SELECT * FROM j1 LEFT JOIN j2 ON j1.i = j2.i AND j1.j > 2
    SELECT * FROM j1 a LEFT JOIN j1 b ON a.i = b.j LEFT JOIN j2 c ON b.i = c.i
    SELECT * FROM j1 a JOIN (j1 b LEFT JOIN j2 c ON b.i = c.i) ON a.i = b.j
    SELECT a.t, b.t AS bt FROM j1 a, j1 b WHERE a.i = b.j AND a.t < b.t
    SELECT x.u, y.n FROM wide x JOIN wide y ON x.u = y.n WHERE x.m1000 = 3
    SELECT count(*) AS n FROM wide x JOIN wide y ON x.m1000 = y.u
    SELECT count(*) AS n FROM wide x LEFT JOIN wide y ON x.m1000 = y.u AND y.m2 = 1
    SELECT count(*) AS n, count(y.u) AS m FROM wide x LEFT JOIN wide y ON x.u = y.u + 5000
    SELECT x.m10, count(*) AS n FROM wide x JOIN wide y ON x.u = y.m1000 * 10 GROUP BY x.m10
    SELECT x.u, i.f FROM wide x JOIN i4 i ON x.u = i.f
    SELECT i.f, x.u FROM i4 i LEFT JOIN wide x ON x.u = i.f
    SELECT count(*) AS n FROM wide WHERE u IN (SELECT m1000 FROM wide WHERE m4 = 1)
    SELECT count(*) AS n FROM wide x WHERE EXISTS (SELECT FROM wide y WHERE y.u = x.n AND y.m10 = x.m10)
    SELECT count(*) AS n FROM wide x WHERE NOT EXISTS (SELECT FROM wide y WHERE y.m1000 = x.u)
    SELECT x.p, y.q FROM i8 x, i8 y WHERE x.q = y.p
    SELECT x.p, y.q FROM i8 x FULL JOIN i8 y ON x.p = y.q
    SELECT x.f, y.f AS yf FROM f8 x LEFT JOIN f8 y ON x.f = y.f
    SELECT a.i, s.c FROM j1 a LEFT JOIN (SELECT i, count(*) AS c FROM j2 GROUP BY i) s ON a.i = s.i
    SELECT a.i, s.c FROM j1 a LEFT JOIN (SELECT i, 42 AS c FROM j2) s ON a.i = s.i
    SELECT a.i, COALESCE(s.c, 0) AS c FROM j1 a LEFT JOIN (SELECT i, COALESCE(k, 99) AS c FROM j2) s ON a.i = s.i
    SELECT a.i FROM j1 a LEFT JOIN j2 b ON a.i = b.i WHERE b.i IS NULL
    SELECT a.i FROM j1 a LEFT JOIN j2 b ON a.i = b.i WHERE b.k IS NULL
    SELECT DISTINCT a.i FROM j1 a JOIN j2 b ON a.i = b.i JOIN j2 c ON c.i = b.i
    SELECT count(*) AS n FROM j1 a CROSS JOIN j2 b CROSS JOIN i4 c WHERE a.i = b.i AND c.f <> 0
""")] + [whole(query) for query in lines("""
    SELECT t1.i, t2.k FROM j1 t1 (i, x, y) JOIN j2 t2 (i) USING (i) WHERE false
    SELECT a.i, b.r FROM j1 a LEFT JOIN LATERAL (SELECT a.j + k AS r FROM j2 WHERE j2.i = a.i) b ON true
    SELECT a.i, b.r FROM j1 a, LATERAL (SELECT max(k) AS r FROM j2 WHERE j2.i >= a.i) b
    SELECT x.u, y.s FROM wide x, LATERAL (SELECT sum(u) AS s FROM wide y WHERE y.m1000 = x.u) y WHERE x.u < 5
    SELECT count(*) AS n FROM wide x FULL JOIN wide y ON x.u = y.n + 5000
    SELECT a.*, b.* FROM j1 a LEFT JOIN j2 b ON (a.i = b.i) IS TRUE
    SELECT a.i, b.k FROM j1 a FULL JOIN j2 b ON false
    SELECT a.i, b.k FROM j1 a LEFT JOIN j2 b ON false
    SELECT a.i, b.k FROM j1 a JOIN j2 b ON NULL
""")] + [either(query) for query in lines("""
    SELECT (x).t FROM j1 x LEFT JOIN j2 y USING (i) WHERE y IS NULL
    SELECT a.i FROM j1 a LEFT JOIN j2 b ON a.i = b.i AND random() < 2 WHERE a.i > 6
""")]

UNION = [whole(query, ordered="ORDER BY" in query) for query in lines("""
    SELECT f FROM i4 UNION SELECT f FROM i4
    SELECT f FROM i4 UNION ALL SELECT f FROM i4
    SELECT p FROM i8 UNION SELECT q FROM i8 ORDER BY 1
    SELECT p FROM i8 UNION ALL SELECT q FROM i8 ORDER BY 1
    SELECT q FROM i8 INTERSECT SELECT p FROM i8
    SELECT q FROM i8 INTERSECT ALL SELECT p FROM i8
    SELECT q FROM i8 EXCEPT SELECT p FROM i8
    SELECT q FROM i8 EXCEPT ALL SELECT p FROM i8
    SELECT q FROM i8 EXCEPT ALL SELECT DISTINCT p FROM i8
    SELECT p FROM i8 INTERSECT SELECT q FROM i8 UNION ALL SELECT q FROM i8
    SELECT p FROM i8 INTERSECT ((SELECT q FROM i8 UNION ALL SELECT q FROM i8))
    (((SELECT p FROM i8 INTERSECT SELECT q FROM i8 ORDER BY 1))) UNION ALL SELECT q FROM i8
    SELECT p FROM i8 UNION ALL ((SELECT q FROM i8 EXCEPT SELECT p FROM i8 ORDER BY 1))
    SELECT i, k FROM j2 INTERSECT SELECT j, i FROM j1
    SELECT m1000 FROM wide WHERE u < 2000 EXCEPT SELECT m100 FROM wide
    SELECT count(*) AS n FROM (SELECT u FROM wide UNION SELECT m1000 FROM wide) s
    SELECT m10, 'ten' AS t FROM wide WHERE u < 3 UNION SELECT m4, 'four' FROM wide WHERE u < 3
    SELECT c FROM wide UNION SELECT f FROM tx
""")] + [whole(query) for query in lines("""
    SELECT f FROM i4 UNION SELECT f FROM f8
    SELECT f AS x FROM i4 UNION ALL SELECT q FROM i8
    SELECT f FROM tx UNION SELECT 'doh!'::varchar FROM i4
    SELECT q FROM (SELECT q FROM i8 UNION SELECT f FROM i4) s WHERE q > 0
    SELECT NULL::text AS x FROM i4 UNION ALL SELECT f FROM tx
    SELECT * FROM i8 EXCEPT SELECT q, p FROM i8
    SELECT p, q FROM i8 UNION (SELECT f, NULL FROM i4 LIMIT 0)
""")] + [either(query) for query in lines("""
    SELECT 1.1 AS two UNION SELECT p FROM i8
""")]

CASES = [*SELECT, *JOIN, *UNION]
