"""The other half of `areas.py`, on its tables: aggregates, windows, sub-queries, grouping sets, CASE,
LIMIT, DISTINCT."""

from .cases import ANY, PART, either, lines, whole

AGGREGATES = [whole(query, ordered="ORDER BY" in query) for query in lines("""
    SELECT avg(m4) AS a FROM wide
    SELECT avg(u) AS a, sum(u) AS s, min(u) AS lo, max(u) AS hi, count(*) AS n FROM wide
    SELECT sum(big) AS s, avg(big) AS a FROM wide
    SELECT max(f) AS m, min(f) AS l, sum(f) AS s FROM wide
    SELECT count(gap) AS n, count(*) AS m, count(DISTINCT gap) AS d FROM wide
    SELECT m10, count(*) AS n, sum(u) AS s FROM wide GROUP BY m10 ORDER BY m10
    SELECT m10, count(DISTINCT m4) AS n FROM wide GROUP BY m10
    SELECT m10, max(a) AS hi, min(b) AS lo FROM wide GROUP BY m10
    SELECT c, count(*) AS n FROM wide GROUP BY c ORDER BY c NULLS FIRST
    SELECT m4, sum(DISTINCT m10) AS s FROM wide GROUP BY m4 HAVING sum(DISTINCT m10) > 20
    SELECT m20, m4, count(*) AS n FROM wide WHERE u > 5000 GROUP BY m20, m4 HAVING count(*) > 100
    SELECT m2, bool_and(u > 0) AS e, bool_or(u = 1) AS o FROM wide GROUP BY m2
    SELECT max(u) FILTER (WHERE m4 = 1) AS m, count(*) FILTER (WHERE c IS NULL) AS n FROM wide
    SELECT count(*) AS n FROM wide WHERE gap IS NOT NULL AND NOT gap > 3
    SELECT sum(u) AS s FROM wide WHERE false
    SELECT max(q) AS m, min(q) AS l, count(*) AS n FROM i8
    SELECT p, max(q) AS m FROM i8 GROUP BY p
    SELECT sum(p) AS s, avg(q) AS a FROM i8
    SELECT u / 1000 AS t, min(n) AS lo FROM wide GROUP BY u / 1000 ORDER BY t
    SELECT m100 FROM wide GROUP BY m100 HAVING max(u) - min(u) = 9900 AND m100 < 10
    SELECT min(f) AS l, max(f) AS h FROM tx
    SELECT max(f) AS m, count(f) AS n FROM f8
    SELECT odd, avg(gap) AS a FROM wide GROUP BY odd
    SELECT max(n) AS m FROM wide WHERE u = 42
    SELECT max(CASE WHEN m4 = 0 THEN u END) AS m FROM wide
    SELECT sum(u + n) AS s, sum(u) + sum(n) AS t FROM wide
    SELECT dept, sum(salary) AS s, count(*) AS n FROM pay GROUP BY dept
""")] + [whole(query, digits=9) for query in lines("""
    SELECT avg(f) AS a FROM wide GROUP BY m10
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY u) AS p, percentile_disc(0.5) WITHIN GROUP (ORDER BY u) AS d FROM wide
    SELECT string_agg(a, ',' ORDER BY u) AS s, array_agg(n ORDER BY u DESC) AS l FROM wide WHERE u < 12
    SELECT m2, array_agg(DISTINCT m4 ORDER BY m4) AS l FROM wide GROUP BY m2
    SELECT string_agg(DISTINCT c, '|' ORDER BY c) AS s FROM wide
    SELECT sum(f) AS s, avg(f) AS a FROM f8 WHERE f < 1e100
    SELECT sum(f) AS s FROM f8
    SELECT bit_and(u) AS a, bit_or(u) AS o FROM wide WHERE u > 100
    SELECT (SELECT max((SELECT i.f FROM i4 i WHERE i.f = o.f)) FROM i4 o) AS r FROM i4
    SELECT u % 3 AS m, count(*) FILTER (WHERE EXISTS (SELECT FROM i4 WHERE f = 0)) AS n FROM wide GROUP BY 1
    SELECT sum(u) OVER () AS s FROM wide WHERE u < 3
    SELECT avg(big) AS a FROM wide GROUP BY m2 ORDER BY 1
""")] + [either(query, digits=9) for query in lines("""
    SELECT stddev_pop(u) AS a, stddev_samp(u) AS b, var_pop(u) AS c, var_samp(u) AS d FROM wide
    SELECT stddev_pop(f) AS a, var_samp(f) AS b, regr_slope(f, u) AS s, corr(f, n) AS c FROM wide
    SELECT m4, percentile_cont(ARRAY[0, 0.3, 1]) WITHIN GROUP (ORDER BY f) AS p FROM wide GROUP BY m4
    SELECT mode() WITHIN GROUP (ORDER BY c) AS m FROM wide WHERE u < 9
""")]

WINDOW = [whole(query) for query in lines("""
    SELECT dept, who, salary, sum(salary) OVER (PARTITION BY dept) AS s FROM pay
    SELECT dept, who, salary, rank() OVER (PARTITION BY dept ORDER BY salary) AS r FROM pay
    SELECT dept, who, dense_rank() OVER (ORDER BY salary DESC NULLS LAST) AS r FROM pay
    SELECT who, row_number() OVER (ORDER BY since, who) AS r FROM pay
    SELECT who, sum(salary) OVER (ORDER BY since) AS s FROM pay
    SELECT who, first_value(salary) OVER w AS f, last_value(salary) OVER w AS l, nth_value(salary, 2) OVER w AS n FROM pay WINDOW w AS (PARTITION BY dept ORDER BY salary, who)
    SELECT who, salary - lag(salary) OVER (PARTITION BY dept ORDER BY since, who) AS d FROM pay
    SELECT who, ntile(3) OVER (ORDER BY who) AS t FROM pay
    SELECT who, percent_rank() OVER (PARTITION BY dept ORDER BY salary) AS p, cume_dist() OVER (PARTITION BY dept ORDER BY salary) AS c FROM pay
    SELECT dept, sum(salary) AS s, rank() OVER (ORDER BY sum(salary) DESC NULLS LAST) AS r FROM pay GROUP BY dept
    SELECT u, m4, sum(m4) OVER (PARTITION BY m10 ORDER BY u) AS s FROM wide WHERE u < 50
    SELECT u, sum(u) OVER (ORDER BY m4 RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS s FROM wide WHERE u < 20
    SELECT u, sum(u) OVER (ORDER BY u ROWS BETWEEN 2 PRECEDING AND 2 FOLLOWING EXCLUDE CURRENT ROW) AS s FROM wide WHERE u < 20
    SELECT u, sum(u) OVER (ORDER BY m4 GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES) AS s FROM wide WHERE u < 12
    SELECT u, count(*) OVER (PARTITION BY m4, m10) AS n FROM wide WHERE u < 300
    SELECT max(r) AS m FROM (SELECT row_number() OVER (PARTITION BY m100 ORDER BY u) AS r FROM wide) s
    SELECT * FROM (SELECT u, m20, rank() OVER (PARTITION BY m20 ORDER BY f DESC) AS r FROM wide) s WHERE r < 3
    SELECT count(*) AS n FROM (SELECT DISTINCT rank() OVER (ORDER BY m1000) AS r FROM wide) s
    SELECT f, rank() OVER (ORDER BY f) AS r, sum(1) OVER (ORDER BY f) AS s FROM f8
    SELECT p, q, lead(q) OVER (PARTITION BY p ORDER BY q) AS l FROM i8
""")] + [either(query) for query in lines("""
    SELECT who, count(*) OVER (ORDER BY since RANGE BETWEEN '1 year' PRECEDING AND '1 year' FOLLOWING) AS n FROM pay
    SELECT u, avg(n) OVER (ORDER BY u ROWS 3 PRECEDING) AS a FROM wide WHERE u < 30
    SELECT who, array_agg(who) OVER (PARTITION BY dept ORDER BY who) AS l FROM pay
    SELECT m4, u, lag(u, m4) OVER (ORDER BY u) AS l, lead(u * 2, 1, -1) OVER (ORDER BY u) AS d FROM wide WHERE u < 15
""")]

SUBSELECT = [whole(query) for query in lines("""
    SELECT i FROM j1 WHERE i IN (SELECT i FROM j2 WHERE k > 0)
    SELECT i, t FROM j1 WHERE i NOT IN (SELECT i FROM j2 WHERE i IS NOT NULL)
    SELECT i, t FROM j1 WHERE i NOT IN (SELECT i FROM j2)
    SELECT i FROM j1 o WHERE j IN (SELECT k FROM j2 WHERE j2.i = o.i)
    SELECT i FROM j1 o WHERE j < (SELECT max(k) FROM j2)
    SELECT i, (SELECT max(k) FROM j2 WHERE j2.i = j1.i) AS m FROM j1
    SELECT count(*) AS n FROM wide WHERE m4 IN (SELECT m2 FROM wide WHERE u < 10)
    SELECT u FROM wide WHERE n = (SELECT max(n) FROM wide)
    SELECT u FROM wide o WHERE u = (SELECT max(u) FROM wide i WHERE i.m100 = o.m100)
    SELECT s.m10, s.c FROM (SELECT m10, count(*) AS c FROM wide GROUP BY m10) s WHERE s.c > 10 AND s.m10 < 3
    SELECT x.m, count(*) AS n FROM (SELECT m1000 % 10 AS m FROM wide WHERE u < 500) x GROUP BY x.m
    SELECT * FROM (SELECT f FROM i4 ORDER BY f LIMIT 2) s
    SELECT count(*) AS n FROM wide WHERE EXISTS (SELECT FROM i4 WHERE f = 0)
    SELECT p FROM i8 WHERE q IN (SELECT f FROM i4 UNION SELECT q FROM i8 WHERE q > 0)
    SELECT (SELECT count(*) FROM wide) AS a, (SELECT max(f) FROM i4) AS b FROM i4
""")] + [whole(query) for query in lines("""
    SELECT i FROM j1 WHERE j > ALL (SELECT k FROM j2 WHERE k IS NOT NULL)
    SELECT i FROM j1 WHERE j > ANY (SELECT k FROM j2)
    SELECT f, f IN (SELECT i FROM j1) AS r FROM i4
    SELECT (SELECT (SELECT j.t FROM j1 j WHERE j.i = o.k LIMIT 1) FROM j2 o WHERE o.i = 1) AS r FROM i4
    SELECT i FROM j1 WHERE t = (SELECT string_agg(t, '' ORDER BY i) FROM j1 WHERE i = 3)
    SELECT i, (WITH w AS (SELECT k FROM j2 WHERE j2.i = j1.i) SELECT count(*) FROM w) AS n FROM j1
    SELECT sum(o.i) FILTER (WHERE o.i < (SELECT avg(k) FROM j2 WHERE k > 0)) AS s FROM j1 o
    SELECT i FROM j1 WHERE EXISTS (SELECT k FROM j2 WHERE j2.i = j1.i OFFSET 1)
    SELECT i FROM j1 o WHERE (SELECT count(*) FROM j1 x WHERE x.i < o.i) < 3
""")] + [either(query) for query in lines("""
    SELECT p, q FROM i8 WHERE (p, q) IN (SELECT q, p FROM i8)
    SELECT p, q FROM i8 WHERE (p, q) NOT IN (SELECT q, p FROM i8 WHERE p IS NOT NULL AND q IS NOT NULL)
    SELECT i FROM j1 WHERE (i, j) = ANY (SELECT i, k FROM j2)
    SELECT i, ARRAY(SELECT k FROM j2 WHERE j2.i = j1.i ORDER BY k) AS l FROM j1
""")]

GROUPINGSETS = [whole(query, ordered="ORDER BY" in query) for query in lines("""
    SELECT m2, m4, count(*) AS n, GROUPING(m2, m4) AS g FROM wide GROUP BY ROLLUP (m2, m4)
    SELECT m2, m4, max(u) AS m FROM wide GROUP BY CUBE (m2, m4)
    SELECT m2, m10, sum(n) AS s FROM wide GROUP BY GROUPING SETS ((m2), (m10), (m2, m10))
    SELECT m2, m4, m10, count(*) AS n FROM wide WHERE u < 100 GROUP BY m2, GROUPING SETS (m4, m10)
    SELECT m2, m10, avg(u) AS a, count(DISTINCT m100) AS d FROM wide GROUP BY ROLLUP (m2, m10)
    SELECT c, gap, count(*) AS n FROM wide GROUP BY CUBE (c, gap)
    SELECT c, GROUPING(c) AS g, min(a) AS lo FROM wide GROUP BY GROUPING SETS ((c), ()) ORDER BY g, c
    SELECT m4, count(*) AS n FROM wide GROUP BY ROLLUP (m4) HAVING GROUPING(m4) = 0 AND count(*) > 5
    SELECT m2 + 1 AS x, GROUPING(m2 + 1) AS g, sum(f) AS s FROM wide GROUP BY ROLLUP (m2 + 1)
    SELECT m2, sum(u) AS s, rank() OVER (ORDER BY sum(u)) AS r FROM wide GROUP BY CUBE (m2)
    SELECT dept, GROUPING(dept) AS g, count(salary) AS n, max(since) AS l FROM pay GROUP BY ROLLUP (dept)
    SELECT x.m2, y.i, count(*) AS n FROM wide x JOIN j1 y ON x.u = y.i GROUP BY CUBE (x.m2, y.i)
    SELECT m2, m4 FROM wide WHERE u < 4 GROUP BY GROUPING SETS ((m2), (m2, m4)) ORDER BY m2, m4 NULLS FIRST
    SELECT count(*) AS n FROM (SELECT m10, m20 FROM wide GROUP BY CUBE (m10, m20)) s
    SELECT m2, count(*) AS n FROM wide WHERE u < 0 GROUP BY ROLLUP (m2)
""")]

CASE = [whole(query) for query in lines("""
    SELECT CASE WHEN i > 4 THEN i END AS r FROM j1
    SELECT CASE WHEN i >= 3 THEN i + i ELSE j END AS r FROM j1
    SELECT CASE i WHEN 1 THEN 'uno' WHEN 2 THEN 'due' ELSE t END AS r FROM j1
    SELECT CASE WHEN i IS NULL AND j IS NULL THEN 'none' WHEN i IS NULL THEN 'no i' ELSE 'i' END AS r FROM j1
    SELECT COALESCE(i, j, -1) AS r, NULLIF(i, j) AS n FROM j1
    SELECT * FROM j1 WHERE COALESCE(i, j) = 2 OR NULLIF(t, 'zero') IS NULL
    SELECT COALESCE(x.i, y.i) AS r FROM j1 x FULL JOIN j2 y ON x.i = y.k
    SELECT NULLIF(x.i, y.i) AS n, NULLIF(y.i, 4) AS m FROM j1 x, j2 y
    SELECT count(CASE WHEN m4 = 1 THEN 1 END) AS n, sum(CASE WHEN m2 = 0 THEN u ELSE 0 END) AS s FROM wide
    SELECT CASE WHEN m10 > 5 THEN 'high' ELSE 'low' END AS k, count(*) AS n FROM wide GROUP BY 1
    SELECT CASE WHEN u < 0 THEN u / 0 ELSE u END AS r FROM wide WHERE u < 5
    SELECT CASE m4 WHEN 0 THEN CASE m10 WHEN 0 THEN 'a' ELSE 'b' END WHEN 1 THEN 'c' END AS r FROM wide WHERE u < 40
""")] + [either("SELECT CASE WHEN i > 0 THEN i ELSE 1.5 END AS r FROM j1"), either("SELECT CASE WHEN i > 0 THEN 'x' WHEN i = 0 THEN f END AS r FROM j1, tx")]

LIMIT = [whole(query, ordered=True) for query in lines("""
    SELECT u, n, a FROM wide WHERE u > 50 ORDER BY u LIMIT 2
    SELECT u, n, a FROM wide WHERE u > 60 ORDER BY u LIMIT 5
    SELECT u FROM wide WHERE u < 50 ORDER BY u DESC LIMIT 8 OFFSET 20
    SELECT u FROM wide ORDER BY u OFFSET 9990 LIMIT 5
    SELECT u FROM wide ORDER BY u OFFSET 9995
    SELECT u FROM wide ORDER BY m1000 DESC, u LIMIT 3 OFFSET 9
    SELECT m10, count(*) AS n FROM wide GROUP BY m10 ORDER BY m10 DESC LIMIT 4
    SELECT c, u FROM wide ORDER BY c DESC, u LIMIT 3
    SELECT s.u FROM (SELECT u FROM wide ORDER BY u DESC LIMIT 10) s ORDER BY s.u LIMIT 2
    SELECT u FROM wide WHERE m2 = 1 ORDER BY f DESC OFFSET 2 ROWS FETCH FIRST 3 ROWS ONLY
""")] + [
    whole("SELECT u FROM wide ORDER BY u LIMIT $1 OFFSET $2", ("bigint", "3"), ("bigint", "100"), ordered=True, generic=PART),
    either("SELECT m10 FROM wide WHERE u < 100 ORDER BY m10 FETCH FIRST 12 ROWS WITH TIES", ordered=True),
    either("SELECT m10 FROM wide WHERE u < 100 ORDER BY m10 DESC OFFSET 5 FETCH FIRST 1 ROW WITH TIES", ordered=True),
    whole("SELECT sum(m2) AS s FROM (SELECT m2 FROM wide ORDER BY u LIMIT 11) q"),
]

DISTINCT = [whole(query, ordered="ORDER BY" in query) for query in lines("""
    SELECT DISTINCT m2 FROM wide
    SELECT DISTINCT m10 FROM wide ORDER BY m10 DESC
    SELECT DISTINCT c FROM wide ORDER BY c
    SELECT DISTINCT m2, m10, c FROM wide ORDER BY m2, m10 DESC, c NULLS FIRST
    SELECT DISTINCT gap IS NULL AS g, m4 FROM wide
    SELECT DISTINCT p FROM i8
    SELECT DISTINCT f FROM f8 ORDER BY f
    SELECT DISTINCT u / 2500 AS q FROM wide ORDER BY q
    SELECT count(*) AS n FROM (SELECT DISTINCT m4, m20, m100 FROM wide) s
    SELECT DISTINCT count(*) AS n FROM wide GROUP BY m100
    SELECT DISTINCT i IS DISTINCT FROM j AS d, i IS NOT DISTINCT FROM 2 AS e FROM j1
    SELECT f IS DISTINCT FROM 0 AS d, f IS DISTINCT FROM NULL AS n FROM i4
""")] + [
    whole("SELECT DISTINCT ON (c) c, m10, u FROM wide ORDER BY c, m10 DESC, u", ordered=True),
    whole("SELECT DISTINCT ON (m4, m10) m4, m10, a FROM wide ORDER BY m10, m4, a DESC", ordered=True),
    whole("SELECT DISTINCT ON (1) m10 AS r, b FROM wide ORDER BY 1, b LIMIT 3", ordered=True),
]

CASES = [*AGGREGATES, *WINDOW, *SUBSELECT, *GROUPINGSETS, *CASE, *LIMIT, *DISTINCT]
