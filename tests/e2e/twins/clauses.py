"""DISTINCT, DISTINCT ON, ORDER BY, LIMIT and its kin, VALUES, names, and what stays in PostgreSQL."""

from .cases import ANY, PART, either, lines, part, select, whole

LIMITS = [
    whole("SELECT id FROM facts ORDER BY id LIMIT 5", ordered=True),
    whole("SELECT id FROM facts ORDER BY id LIMIT 5 OFFSET 3", ordered=True),
    whole("SELECT id FROM facts ORDER BY id OFFSET 495", ordered=True),
    whole("SELECT id FROM facts ORDER BY id LIMIT 0", ordered=True),
    whole("SELECT id FROM facts ORDER BY id LIMIT ALL", ordered=True),
    whole("SELECT id FROM facts ORDER BY id LIMIT NULL OFFSET NULL", ordered=True),
    whole("SELECT id FROM facts ORDER BY id FETCH FIRST 3 ROWS ONLY", ordered=True),
    whole("SELECT id FROM facts ORDER BY id FETCH FIRST ROW ONLY", ordered=True),
    either("SELECT id, s FROM facts ORDER BY s FETCH FIRST 12 ROWS WITH TIES"),
    either("SELECT s FROM facts ORDER BY s DESC OFFSET 3 FETCH NEXT 8 ROWS WITH TIES", ordered=True),
    whole("SELECT id FROM facts ORDER BY id LIMIT 2 + 3", ordered=True),
    whole("SELECT id FROM facts ORDER BY id LIMIT 9999999999", ordered=True),
    either("SELECT id FROM facts ORDER BY id LIMIT -1", ordered=True),
    either("SELECT id FROM facts ORDER BY id OFFSET -1", ordered=True),
    whole("SELECT id FROM facts ORDER BY id OFFSET 9223372036854775807", ordered=True),
    either("SELECT id FROM facts ORDER BY id LIMIT (SELECT max(a) FROM small)", ordered=True),
    whole("SELECT id FROM facts ORDER BY id LIMIT length('abc')", ordered=True),
    whole("SELECT count(*) AS n FROM (SELECT id FROM facts LIMIT 7) q"),
    whole("SELECT id FROM facts ORDER BY id LIMIT 1.5", ordered=True),
    whole("SELECT id FROM facts ORDER BY id LIMIT $1", ("bigint", "4"), ordered=True, generic=PART),
    whole("SELECT id FROM facts ORDER BY id LIMIT $1 OFFSET $2", ("bigint", "4"), ("bigint", "10"), ordered=True, generic=PART),
    either("SELECT id FROM facts WHERE g = $1 ORDER BY id LIMIT $2", ("int", "1"), ("int", "4"), ordered=True),
    either("SELECT id FROM facts ORDER BY id LIMIT $1", ("bigint", "NULL"), ordered=True),
    either("SELECT id FROM facts ORDER BY id OFFSET $1", ("bigint", "NULL"), ordered=True),
    either("SELECT id FROM facts ORDER BY id LIMIT $1", ("bigint", "0"), ordered=True),
    either("SELECT id FROM facts ORDER BY id LIMIT $1", ("bigint", "-1"), ordered=True),
    either("SELECT id FROM facts ORDER BY id OFFSET $1", ("bigint", "-5"), ordered=True),
    either("SELECT id FROM facts ORDER BY id LIMIT $1 + 1", ("bigint", "2"), ordered=True),
    either("SELECT s FROM facts ORDER BY s FETCH FIRST $1 ROWS WITH TIES", ("bigint", "5"), ordered=True),
]

ORDERS = [
    whole("SELECT id, v FROM facts ORDER BY v, id", ordered=True),
    whole("SELECT id, v FROM facts ORDER BY v DESC, id DESC", ordered=True),
    whole("SELECT id, v FROM facts ORDER BY v NULLS FIRST, id", ordered=True),
    whole("SELECT id, v FROM facts ORDER BY v DESC NULLS LAST, id", ordered=True),
    whole("SELECT id, k, v FROM facts ORDER BY k NULLS FIRST, v DESC NULLS LAST, id LIMIT 40", ordered=True),
    whole("SELECT id, v AS x FROM facts ORDER BY x, 1", ordered=True),
    whole("SELECT id FROM facts ORDER BY v % 10, id", ordered=True),
    whole("SELECT id FROM facts ORDER BY -v NULLS FIRST, id", ordered=True),
    whole("SELECT id FROM facts ORDER BY v + k, id LIMIT 20", ordered=True),
    whole("SELECT id FROM facts ORDER BY ok, id", ordered=True),
    whole("SELECT id FROM facts ORDER BY ok DESC, day, id", ordered=True),
    whole("SELECT id FROM facts ORDER BY name, day DESC, id", ordered=True),
    whole("SELECT id FROM facts ORDER BY d, x DESC, id", ordered=True),
    whole("SELECT id FROM facts ORDER BY tz DESC LIMIT 10", ordered=True),
    whole("SELECT id FROM facts ORDER BY v USING >, id", ordered=True),
    whole("SELECT id FROM facts ORDER BY CASE WHEN v > 0 THEN 0 ELSE 1 END, id", ordered=True),
    whole("SELECT id FROM facts ORDER BY v IS NULL, id", ordered=True),
    whole("SELECT * FROM (SELECT id, v FROM facts ORDER BY v, id LIMIT 20) q ORDER BY id DESC", ordered=True),
    whole("SELECT f.id, d.name FROM facts f LEFT JOIN dims d USING (k) ORDER BY d.name DESC, f.id LIMIT 30", ordered=True),
    whole("SELECT id FROM facts ORDER BY 'constant'::text, id LIMIT 10", ordered=True),
    either("SELECT id FROM facts ORDER BY to_char(day, 'DD'), id", ordered=True),
    whole("SELECT id FROM facts ORDER BY abs(v - 100), id LIMIT 10", ordered=True),
    whole("SELECT id, to_char(day, 'DD') AS t FROM facts ORDER BY id LIMIT 10", ordered=True),
    whole("SELECT id FROM facts ORDER BY (SELECT max(w) FROM dims d WHERE d.k = facts.k), id", ordered=True),
    either("SELECT id FROM facts ORDER BY id, random() LIMIT 10", ordered=True),
    either("SELECT id, a FROM lists ORDER BY a, id", ordered=True),
    whole("SELECT id FROM lists ORDER BY b DESC, id", ordered=True),
    whole("SELECT id FROM facts ORDER BY v + $1, id LIMIT $2", ("bigint", "1"), ("bigint", "10"), ordered=True, generic=PART),
    either("SELECT id FROM facts ORDER BY CASE WHEN $1 = 'v' THEN v ELSE k END, id", ("text", "'v'"), ordered=True),
]

DISTINCTS = [whole(query) for query in lines("""
    SELECT DISTINCT k FROM facts
    SELECT DISTINCT k, g FROM facts
    SELECT DISTINCT name FROM facts
    SELECT DISTINCT a, b FROM small
    SELECT DISTINCT a + 1 AS r FROM small
    SELECT DISTINCT ok, k % 2 AS m FROM facts
    SELECT DISTINCT d FROM facts WHERE d > 0
    SELECT DISTINCT day FROM facts
    SELECT DISTINCT true AS t FROM facts
    SELECT count(*) AS n FROM (SELECT DISTINCT k, name FROM facts) q
    SELECT ALL k FROM facts
""")] + [
    whole("SELECT DISTINCT k FROM facts ORDER BY k", ordered=True),
    whole("SELECT DISTINCT k, g FROM facts ORDER BY g DESC, k NULLS FIRST LIMIT 20", ordered=True),
    whole("SELECT DISTINCT sum(v) AS s FROM facts GROUP BY k ORDER BY s", ordered=True),
    whole("SELECT DISTINCT ON (k) k, id, v FROM facts ORDER BY k, v DESC NULLS LAST, id", ordered=True),
    whole("SELECT DISTINCT ON (k, g) k, g, id FROM facts ORDER BY g, k NULLS FIRST, id DESC", ordered=True),
    whole("SELECT DISTINCT ON (name) name, day FROM facts ORDER BY name DESC, day, id LIMIT 4", ordered=True),
    whole("SELECT DISTINCT ON (a) a FROM small ORDER BY a", ordered=True),
    whole("SELECT count(*) AS n FROM (SELECT DISTINCT ON (g) id FROM facts ORDER BY g, id) q"),
    whole("SELECT DISTINCT ON (v % 5) v % 5 AS m, id FROM facts ORDER BY v % 5, id", ordered=True),
    either("SELECT DISTINCT avg(v) AS a FROM facts GROUP BY g"),
    whole("SELECT DISTINCT x / 3 AS a FROM facts"),
    either("SELECT DISTINCT a FROM lists"),
    either("SELECT DISTINCT f FROM facts f WHERE id < 5"),
]

NAMES = [whole(query) for query in lines("""
    SELECT "Id", "select" FROM "Odd Names"
    SELECT "a b" + 1 AS "x y", "q""q" FROM "Odd Names" WHERE "qualify" = 'x'
    SELECT "lambda", "ÄÖ" FROM "Odd Names" ORDER BY "Id"
    SELECT "select", count(*) AS "group" FROM "Odd Names" GROUP BY "select"
    SELECT * FROM "Odd Names" "Select" WHERE "Select"."select" = 2
    SELECT "window", "asof", "using" FROM pivot
    SELECT pivot."order" AS "limit" FROM pivot WHERE "window" < 4
    SELECT p."order" AS "order" FROM pivot p ORDER BY p."order" DESC
    SELECT "order", "order" FROM pivot
    SELECT a, a, b AS a FROM small
    SELECT q.* FROM (SELECT a AS x, b AS "X" FROM small) q
    SELECT "X", x FROM (SELECT a AS x, b AS "X" FROM small) q WHERE x = 2
    SELECT a AS "?", b AS "$1" FROM small
""")] + [whole(query) for query in lines("""
    SELECT count(*), max(a), sum(c), count(*) FROM small
    SELECT a + 1, a || b, CASE WHEN a = 1 THEN 2 END, -a, a::text FROM small
    SELECT 1, 'x', NULL, true, a FROM small
    SELECT 1.5 AS n, 1e10 AS e, 12345678901 AS b, 'x'::text AS t, DATE '2024-01-01' AS d FROM small
    SELECT small FROM small
    SELECT small.* FROM small
    SELECT tableoid::regclass::text AS t, a FROM small
    SELECT to_jsonb(small) AS j FROM small
    SELECT row_to_json(s) AS j FROM small s
    SELECT ROW(a, b) AS r FROM small
    SELECT (ROW(a, b)).f1 FROM small
    SELECT ARRAY[a, a + 1] AS r FROM small
    SELECT ARRAY[b, 'x'] AS r FROM small
    SELECT FROM small
    SELECT FROM small WHERE a = 2
    SELECT 1 FROM small
    SELECT '{}'::int[] AS e, NULL::text AS n FROM small
    SELECT a, 'x' || chr(10) || 'y' AS t FROM small
    SELECT count(*) AS n FROM small s (x, y, z) WHERE x = 2
    SELECT q.column1, q.column2 FROM (VALUES (1, 'a'), (2, 'b')) q JOIN small s ON s.a = q.column1
    SELECT * FROM small, (VALUES (1), (NULL)) v (x)
    VALUES ((SELECT max(a) FROM small)), ((SELECT min(a) FROM other))
    SELECT max(a) FROM (SELECT a FROM small UNION ALL VALUES (99)) q
    SELECT a FROM ONLY small
    TABLE small
""")] + [either(query) for query in lines("""
    SELECT E'it''s \\ "x"' AS t, $$dollar $1$$ AS d FROM small
    SELECT U&'\\00e4' AS u, 'a;b--c' AS t, '/* c */' AS k FROM small
""")]

LOCAL = [
    part("SELECT id FROM facts WHERE random() < 2"),
    whole("SELECT id, nextval('seq') > 0 AS r FROM facts WHERE id < 5"),
    part("SELECT id FROM facts WHERE to_char(day, 'MM') = '01'", kept="to_char"),
    part("SELECT id FROM facts WHERE name ~ 'x(?=y)' OR v > 0"),
    part("SELECT id FROM facts WHERE leaky(v) AND g = 1", kept="leaky"),
    part("SELECT sum(v) AS s FROM facts WHERE leaky(v) GROUP BY g", kept="leaky"),
    part("SELECT id, generate_series(1, 2) AS g FROM facts WHERE id < 4"),
    part("SELECT id, unnest(ARRAY[id, g]) AS u FROM facts WHERE id < 4"),
    part("SELECT id, v FROM facts WHERE id < 10 FOR UPDATE"),
    part("SELECT id, v FROM facts WHERE id < 10 FOR SHARE OF facts"),
    part("SELECT facts FROM facts WHERE id < 4"),
    whole("SELECT md5(name) AS m, count(*) AS n FROM facts GROUP BY md5(name)"),
    either("SELECT regexp_replace(name, 'n(.)me', '<\\1>') AS r FROM facts WHERE id < 10 ORDER BY id", ordered=True),
    whole("SELECT current_user = session_user AS u, id FROM facts WHERE id = 1"),
    whole("SELECT current_date > day AS u, current_setting('TimeZone') AS z, id FROM facts WHERE id < 3"),
    whole("SELECT pg_typeof(v) AS t, pg_typeof(sum(v)) AS s, pg_typeof(avg(v)) AS a FROM facts WHERE id < 3 GROUP BY v"),
    whole("SELECT current_schema() IS NOT NULL AS s, count(*) AS n FROM facts"),
    whole("SELECT txid_current() > 0 AS t, count(*) AS n FROM facts"),
    whole("SELECT pg_sleep(0)::text = '' AS t FROM nulls"),
    either("SELECT id FROM facts WHERE now() > ts AND statement_timestamp() > ts AND id < 4"),
    either("SELECT x.id, l.k FROM facts x JOIN local l TABLESAMPLE BERNOULLI (100) ON l.k = x.k"),
    either("SELECT a, n FROM ROWS FROM (generate_series(1, 3), generate_series(5, 6)) AS r (a, n) JOIN small USING (a)"),
    either("SELECT g, n, s.b FROM generate_series(1, 3) WITH ORDINALITY AS o (g, n) JOIN small s ON s.a = g"),
]

COMPOSED = [whole(query) for query in lines(r"""
    SELECT id, a[1] AS f, a[2:3] AS s, t[1] AS t FROM lists
    SELECT id, array_length(a, 1) AS l, cardinality(a) AS c, array_length(t, 1) AS m FROM lists
    SELECT id, a || 9 AS r, array_append(a, 5) AS p, array_cat(a, a) AS c FROM lists
    SELECT id, array_position(a, 2) AS p, array_remove(a, 2) AS r, array_to_string(a, ',') AS s FROM lists
    SELECT id, array_to_string(t, ',', 'null') AS s, array_upper(a, 1) AS u, array_lower(a, 1) AS l FROM lists
    SELECT id, ARRAY[a[1], 5] AS r FROM lists
    SELECT id, j -> 'a' AS a, j ->> 'b' AS b, j #> '{b,2}' AS p, j #>> '{b,0}' AS q FROM lists
    SELECT id, j -> 0 AS z, json_typeof(j) AS t FROM lists
    SELECT id, json_array_length(j -> 'b') AS n FROM lists WHERE id = 1
    SELECT id, j::jsonb AS b, (j::jsonb) -> 'b' AS e FROM lists
    SELECT id, j::text AS t FROM lists
    SELECT id, (j ->> 'a')::int AS n FROM lists WHERE id = 1
    SELECT id, b, length(b) AS l, octet_length(b) AS o, b || '\x01' AS c FROM lists
    SELECT id FROM lists WHERE b = '\x00ff'
    SELECT id FROM lists WHERE b > '\x61'
    SELECT id, encode(b, 'hex') AS h, encode(b, 'base64') AS e, substring(b, 2, 1) AS s, get_byte(b || '\x05', 0) AS g FROM lists
    SELECT id, md5(b) AS m, b::text AS t FROM lists
    SELECT id, x::text AS t, x = y AS eq, x < y AS lt FROM t_uuid
    SELECT id, jsonb_build_object('id', id, 'b', name) AS j FROM facts WHERE id < 4
    SELECT id, json_build_array(id, name) AS j FROM facts WHERE id < 4
    SELECT a, b, xmlelement(name x, a) IS NOT NULL AS x FROM small
    SELECT id, int4range(id, id + 2) AS r FROM facts WHERE id < 4
    SELECT id, to_tsvector('simple', name) @@ 'name' AS m FROM facts WHERE id < 4
    SELECT id, inet '10.0.0.0/8' >> ('10.0.0.' || id)::inet AS i FROM facts WHERE id < 4
    SELECT id, ('{1,2,3}'::int[])[g] AS e FROM facts WHERE id < 6
    SELECT id, b @> '{"a": 1}' AS c, b -> 'a' AS a, b ->> 'b' AS s, b = '{"b": 2, "a": 1}' AS eq FROM t_jsonb
    SELECT id, b < '{"a": 2}' AS lt FROM t_jsonb
    SELECT id, j::text AS t FROM t_jsonb
    SELECT id, z, z = '10:00+02' AS eq FROM t_timetz
    SELECT id, z::time AS t, z < '10:00:00+00' AS lt FROM t_timetz
""")] + [either(query) for query in lines(r"""
    SELECT id FROM lists WHERE 2 = ANY (a)
    SELECT id FROM lists WHERE a @> ARRAY[2]
    SELECT id FROM lists WHERE a && ARRAY[7, 8]
    SELECT id FROM lists WHERE a = '{1,2,3}'
    SELECT id FROM lists WHERE a < '{1,3}'
    SELECT id, unnest(a) AS u FROM lists
    SELECT id FROM lists WHERE a IS NULL OR a = '{}'
    SELECT a, count(*) AS n FROM lists GROUP BY a
    SELECT id, j ->> 'a' AS a FROM lists WHERE j ->> 'a' = '1'
    SELECT id FROM lists WHERE (j::jsonb) @> '{"a": 1}'
    SELECT id FROM lists WHERE (j::jsonb) ? 'a'
    SELECT id, jsonb_path_query(j::jsonb, '$.b[*]') AS p FROM lists WHERE id = 1
    SELECT id FROM facts WHERE int4range(1, 3) @> id
    SELECT id FROM facts WHERE box '((0,0),(5,5))' @> point(id, id)
    SELECT b, count(*) AS n FROM t_jsonb GROUP BY b
    SELECT DISTINCT b FROM t_jsonb
    SELECT id FROM t_jsonb WHERE b = '{"b": 2, "a": 1}'
    SELECT a.id, b.id AS other FROM t_jsonb a JOIN t_jsonb b ON a.b = b.b
    SELECT id FROM t_timetz ORDER BY z, id
""")]

CASES = [*LIMITS, *ORDERS, *DISTINCTS, *NAMES, *LOCAL, *COMPOSED]
