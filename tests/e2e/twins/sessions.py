"""Scripts for a session: PL/pgSQL, SQL functions, cursors, transactions, prepared statements, settings
that come and go. Each is a list of statements; each statement has to give the same on both twins."""

from .tables import Table

TABLES = [
    Table("items", {"id": "integer", "k": "integer", "name": "text", "v": "bigint", "d": "numeric(10,2)", "ts": "timestamp", "tz": "timestamptz", "day": "date"},
          "SELECT i, i % 7, CASE WHEN i % 5 <> 0 THEN 'item ' || i END, (i * 37 % 101)::bigint, i / 4.0, timestamp '2024-03-30' + i * interval '3 hours', timestamptz '2024-03-30 00:00+00' + i * interval '3 hours', date '2024-03-30' + i % 20 FROM generate_series(1, 200) i"),
]

LOOP = """CREATE FUNCTION {name}(low bigint) RETURNS {returns} LANGUAGE plpgsql {more} AS $body$
DECLARE r record; total bigint := 0; n integer; t text; d numeric;
BEGIN {body} END $body$"""


def plpgsql(body, returns="text", name="f", more="STABLE"):
    return LOOP.format(name=name, returns=returns, body=body, more=more)


SCRIPTS = {
    "plpgsql: a loop over a query with variables": [
        plpgsql("FOR r IN SELECT id, v FROM items WHERE v > low ORDER BY id LOOP total := total + r.v * r.id; END LOOP; RETURN total;"),
        *[f"SELECT f({low})" for low in (0, 50, 90, 1000)], "SELECT f(NULL)",
    ],
    "plpgsql: eight calls, past the switch to a generic plan": [
        plpgsql("SELECT count(*), sum(v), max(name) INTO r FROM items WHERE v >= low AND k = low % 7; RETURN r::text;"),
        *[f"SELECT f({low})" for low in (1, 2, 3, 4, 5, 6, 7, 8)],
    ],
    "plpgsql: RETURN QUERY": [
        plpgsql("RETURN QUERY SELECT i.id, i.v + low FROM items i WHERE i.k = low;", "TABLE (id integer, v bigint)"),
        "SELECT * FROM f(3) ORDER BY id", "SELECT count(*), sum(v) FROM f(4)", "SELECT i.name, f.v FROM items i JOIN f(5) USING (id) ORDER BY f.id",
    ],
    "plpgsql: SELECT INTO STRICT fails as ever": [
        plpgsql("SELECT id INTO STRICT n FROM items WHERE v = low; RETURN n;"), "SELECT f(1000)", "SELECT f(3)",
        "SELECT f((SELECT v FROM items WHERE id = 101))",
    ],
    "plpgsql: an error inside is caught": [
        plpgsql("BEGIN SELECT sum(100 / (v - low)) INTO total FROM items; RETURN total; EXCEPTION WHEN division_by_zero THEN RETURN 'caught ' || SQLSTATE; END;"),
        "SELECT f(1)", "SELECT f(1000)", "SELECT count(*) FROM items",
    ],
    "plpgsql: errors caught many times": [
        plpgsql("FOR n IN 1..15 LOOP BEGIN SELECT sum(10 / (v - low)) INTO total FROM items WHERE id <= n * 10; EXCEPTION WHEN division_by_zero THEN total := -1; END; t := concat(t, ' ', total); END LOOP; RETURN t;"),
        "SELECT f(37)", "SELECT f(5)",
    ],
    "plpgsql: EXECUTE with USING": [
        plpgsql("EXECUTE 'SELECT count(*) FROM items WHERE v < $1 AND name LIKE $2' INTO n USING low, 'item 1%'; EXECUTE format('SELECT max(%I) FROM items', 'name') INTO t; RETURN n || t;"),
        "SELECT f(50)", "SELECT f(0)",
    ],
    "plpgsql: assignments, FOUND and expressions": [
        plpgsql("n := (SELECT count(*) FROM items WHERE v > low); PERFORM FROM items WHERE v > low; IF FOUND THEN t := 'found'; END IF; d := (SELECT avg(items.d) FROM items); RETURN n || COALESCE(t, 'none') || d;"),
        "SELECT f(99)", "SELECT f(500)",
    ],
    "plpgsql: a cursor with a parameter": [
        plpgsql("DECLARE c CURSOR (x bigint) FOR SELECT id, name FROM items WHERE v > x ORDER BY id; BEGIN OPEN c(low); FETCH c INTO r; t := r.name; MOVE FORWARD 3 FROM c; FETCH c INTO r; CLOSE c; RETURN concat(t, r.id); END;"),
        "SELECT f(10)", "SELECT f(98)",
    ],
    "plpgsql: nested loops over the same table": [
        plpgsql("FOR r IN SELECT id, k FROM items WHERE v > low ORDER BY id LIMIT 5 LOOP SELECT count(*) INTO n FROM items WHERE k = r.k AND id < r.id; total := total * 10 + n; END LOOP; RETURN total;"),
        "SELECT f(20)", "SELECT f(0)",
    ],
    "plpgsql: rows are inserted into a table": [
        "CREATE TEMP TABLE kept (id integer, v bigint)",
        plpgsql("INSERT INTO kept SELECT id, v FROM items WHERE v > low; GET DIAGNOSTICS n = ROW_COUNT; UPDATE kept SET v = kept.v + i.k FROM items i WHERE i.id = kept.id; DELETE FROM kept WHERE id IN (SELECT id FROM items WHERE k = 3); RETURN n;", more="VOLATILE"),
        "SELECT f(60)", "SELECT * FROM kept ORDER BY id",
    ],
    "plpgsql: a variable named as a column": [
        "CREATE FUNCTION g(id integer) RETURNS bigint LANGUAGE plpgsql AS $$ #variable_conflict use_column\nBEGIN RETURN (SELECT count(*) FROM items WHERE id = g.id); END $$",
        "SELECT g(7)", "SELECT g(-7)",
    ],
    "a trigger that reads the table": [
        "CREATE TEMP TABLE log (id integer, n bigint)",
        "CREATE FUNCTION pg_temp.look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := (SELECT count(*) FROM items WHERE k = NEW.id); RETURN NEW; END $$",
        "CREATE TRIGGER look BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION pg_temp.look()",
        "INSERT INTO log SELECT id FROM items WHERE id < 12", "SELECT * FROM log ORDER BY id",
    ],
    "SQL functions, inlined and not": [
        "CREATE FUNCTION s1(x bigint) RETURNS TABLE (id integer, v bigint) LANGUAGE sql STABLE AS 'SELECT i.id, i.v FROM items i WHERE i.v > x'",
        "CREATE FUNCTION s2(x bigint) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(v) FROM items WHERE v > x'",
        "CREATE FUNCTION s3(x bigint) RETURNS SETOF items LANGUAGE sql VOLATILE AS 'SELECT * FROM items WHERE v > x ORDER BY id'",
        "CREATE FUNCTION s4(x bigint) RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM items WHERE v < x; END",
        "CREATE FUNCTION s5(x bigint, OUT n bigint, OUT m text) LANGUAGE sql STABLE AS 'SELECT count(*), max(name) FROM items WHERE v > x'",
        "SELECT * FROM s1(95) ORDER BY id", "SELECT count(*) FROM s1(10) JOIN items USING (id) WHERE k = 2", "SELECT s2(50), s2(NULL), s2(1000)",
        "SELECT id, d, tz FROM s3(97)", "SELECT s4(20)", "SELECT * FROM s5(30)", "SELECT k, s2(k * 10) FROM items WHERE id < 5 ORDER BY id",
    ],
    "a function with a setting of its own": [
        "CREATE FUNCTION berlin() RETURNS text LANGUAGE sql STABLE SET timezone = 'Europe/Berlin' AS $$SELECT string_agg(tz::date::text || extract(hour FROM tz), ',' ORDER BY id) FROM items WHERE id < 12$$",
        "SET timezone = 'America/New_York'",
        "SELECT id, tz, tz::date FROM items WHERE id < 12 ORDER BY id", "SELECT berlin()", "SELECT id, tz, tz::date FROM items WHERE id < 12 ORDER BY id",
        "SELECT tz::date AS d, count(*) FROM items GROUP BY 1 ORDER BY 1",
    ],
    "a time zone that a rollback takes back": [
        "SET timezone = 'Asia/Tokyo'", "SELECT tz::date AS d, count(*) FROM items GROUP BY 1 ORDER BY 1 LIMIT 3",
        "BEGIN", "SET timezone = 'America/Los_Angeles'", "SELECT tz::date AS d, count(*) FROM items GROUP BY 1 ORDER BY 1 LIMIT 3", "SELECT id FROM items WHERE tz < '2024-03-31 00:00' ORDER BY id",
        "ROLLBACK", "SELECT tz::date AS d, count(*) FROM items GROUP BY 1 ORDER BY 1 LIMIT 3", "SELECT id FROM items WHERE tz < '2024-03-31 00:00' ORDER BY id",
        "BEGIN", "SET LOCAL timezone = 'UTC'", "SELECT date_trunc('day', tz) AS d, count(*) FROM items GROUP BY 1 ORDER BY 1 LIMIT 3", "COMMIT", "SELECT date_trunc('day', tz) AS d, count(*) FROM items GROUP BY 1 ORDER BY 1 LIMIT 3",
        "BEGIN", "SAVEPOINT s", "SET timezone = 'Asia/Kolkata'", "SELECT min(tz), max(tz)::date FROM items", "ROLLBACK TO s", "SELECT min(tz), max(tz)::date FROM items", "ROLLBACK",
    ],
    "a prepared statement under another time zone": [
        "PREPARE p (date) AS SELECT count(*), min(tz), max(tz::text) FROM items WHERE tz::date = $1",
        "SET timezone = 'Pacific/Auckland'", "EXECUTE p ('2024-04-01')", "SET timezone = 'America/Denver'", "EXECUTE p ('2024-04-01')",
        "SET plan_cache_mode = force_generic_plan", "EXECUTE p ('2024-04-01')", "SET timezone = 'Pacific/Auckland'", "EXECUTE p ('2024-04-01')",
        "PREPARE q AS SELECT id FROM items WHERE tz >= '2024-04-01 00:00' ORDER BY id LIMIT 2", "EXECUTE q", "SET timezone = 'UTC'", "EXECUTE q",
    ],
    "a prepared statement ten times": [
        "PREPARE p (bigint, text) AS SELECT k, count(*) AS n, sum(v) AS s, max(name) FROM items WHERE v > $1 AND (name LIKE $2 OR name IS NULL) GROUP BY k ORDER BY k",
        *[f"EXECUTE p ({n * 10}, 'item {n}%')" for n in range(10)], "EXECUTE p (NULL, NULL)",
    ],
    "parameters of every type": [
        "SET plan_cache_mode = force_generic_plan",
        "PREPARE p (smallint, integer, bigint, numeric, real, float8, text, boolean, date, timestamp, timestamptz) AS SELECT id, $1 + 1::smallint, $2 + id, $3 + v, $4 + d, $5, $6 * 2, $7 || name, $8 AND k > 1, $9 + id, $10, $11 FROM items WHERE id > $2 AND v > $3 AND d > $4 AND name > $7 AND day > $9 AND ts > $10 AND tz > $11 AND $8 ORDER BY id",
        "EXECUTE p (1, 10, 20, 2.5, 0.5, 1.25, 'item 1', true, '2024-04-01', '2024-03-31 12:00', '2024-03-31 12:00+02')",
        "EXECUTE p (-1, 0, 0, -2.555, 0.1, -1e300, '', true, '2000-01-01', '-infinity', '-infinity')",
        "EXECUTE p (NULL, 10, 20, 2.5, NULL, NULL, NULL, true, NULL, NULL, NULL)",
        "EXECUTE p (32767, 1, 1, 1, 1, 1, 'item', true, '2024-01-01', '2024-01-01', '2024-01-01')",
    ],
    "cursors": [
        "BEGIN", "DECLARE c SCROLL CURSOR FOR SELECT id, name FROM items WHERE k = 3 ORDER BY id", "FETCH 3 FROM c", "FETCH PRIOR FROM c", "FETCH LAST FROM c", "FETCH ABSOLUTE 2 FROM c", "FETCH BACKWARD ALL FROM c",
        "DECLARE d CURSOR FOR SELECT k, sum(v) FROM items GROUP BY k ORDER BY k", "FETCH 2 FROM d", "FETCH NEXT FROM c", "FETCH ALL FROM d", "MOVE 2 IN c", "FETCH c", "COMMIT",
        "BEGIN", "DECLARE h CURSOR WITH HOLD FOR SELECT id FROM items ORDER BY v DESC, id LIMIT 5", "FETCH h", "COMMIT", "FETCH ALL FROM h", "CLOSE h",
    ],
    "savepoints around what fails": [
        "BEGIN", "SELECT count(*) FROM items", "SAVEPOINT s", "SELECT 1 / (v - 37) FROM items", "ROLLBACK TO s", "SELECT count(*) FROM items WHERE v > 50", "SAVEPOINT t", "SELECT name::integer FROM items", "ROLLBACK TO t",
        "SELECT (SELECT id FROM items) FROM items", "ROLLBACK", "SELECT sum(v) FROM items",
    ],
    "read only, repeatable read, serializable": [
        "BEGIN READ ONLY", "SELECT count(*) FROM items WHERE k = 1", "COMMIT", "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM items WHERE k = 2", "SELECT sum(v) FROM items", "COMMIT",
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", "SELECT max(name) FROM items", "COMMIT",
    ],
    "CREATE TABLE AS, materialised views, INSERT … SELECT, COPY of a query": [
        "CREATE TEMP TABLE made AS SELECT k, count(*) AS n, avg(v) AS a, sum(d) AS s, max(ts) AS t FROM items GROUP BY k", "SELECT * FROM made ORDER BY k",
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'made'::regclass AND attnum > 0 ORDER BY attnum",
        "CREATE TEMP TABLE shaped AS SELECT id, d, name, d + 1 AS e, d * 2 AS f, name || 'x' AS g, day - 1 AS h, tz AT TIME ZONE 'UTC' AS i FROM items WHERE id < 4",
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shaped'::regclass AND attnum > 0 ORDER BY attnum", "SELECT * FROM shaped ORDER BY id",
        "CREATE TEMP TABLE none AS SELECT * FROM items WITH NO DATA", "SELECT count(*) FROM none", "INSERT INTO none SELECT * FROM items WHERE k < 2 RETURNING id", "SELECT count(*), sum(v) FROM none",
        "CREATE MATERIALIZED VIEW mv AS SELECT k, sum(v) AS s FROM items GROUP BY k", "CREATE UNIQUE INDEX ON mv (k)", "SELECT * FROM mv ORDER BY k", "REFRESH MATERIALIZED VIEW mv", "REFRESH MATERIALIZED VIEW CONCURRENTLY mv", "SELECT sum(s) FROM mv",
        "MERGE INTO none USING (SELECT id, v FROM items WHERE k IN (1, 2)) s ON none.id = s.id WHEN MATCHED THEN UPDATE SET v = none.v + s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)", "SELECT count(*), sum(v) FROM none",
    ],
    "views of views, changed under way": [
        "CREATE VIEW a AS SELECT id, k, v FROM items WHERE v > 20", "CREATE VIEW b AS SELECT k, sum(v) AS s FROM a GROUP BY k", "SELECT * FROM b ORDER BY k",
        "PREPARE p AS SELECT sum(s) FROM b", "EXECUTE p", "CREATE OR REPLACE VIEW a AS SELECT id, k, v FROM items WHERE v > 90", "EXECUTE p", "SELECT * FROM b ORDER BY k", "DROP VIEW b, a",
    ],
    "settings of the planner": [
        *[statement for setting in ("enable_hashjoin", "enable_mergejoin", "enable_nestloop", "enable_hashagg", "enable_sort", "enable_seqscan", "enable_material")
          for statement in (f"SET {setting} = off", "SELECT a.k, count(*), max(b.name) FROM items a JOIN items b ON a.id = b.v GROUP BY a.k ORDER BY a.k", f"RESET {setting}")],
        "SET from_collapse_limit = 1", "SET join_collapse_limit = 1", "SELECT count(*) FROM items a JOIN items b USING (id) JOIN items c ON c.id = b.v", "SET constraint_exclusion = on", "SELECT count(*) FROM items WHERE v > 10 AND v < 5",
    ],
    "pushdown turned off and on again": [
        "SELECT k, sum(v), avg(d) FROM items GROUP BY k ORDER BY k", "SET duckdb.enable_pushdown = off", "SELECT k, sum(v), avg(d) FROM items GROUP BY k ORDER BY k", "SET duckdb.enable_pushdown = on", "SELECT k, sum(v), avg(d) FROM items GROUP BY k ORDER BY k",
    ],
    "a table of PostgreSQL's own, changed in the same transaction": [
        "CREATE TEMP TABLE mine (id integer, t text)", "INSERT INTO mine SELECT i, 'mine ' || i FROM generate_series(1, 10) i", "ANALYZE mine",
        "PREPARE p AS SELECT i.id, m.t FROM items i JOIN mine m USING (id) ORDER BY i.id", "EXECUTE p",
        "BEGIN", "INSERT INTO mine VALUES (11, 'new')", "EXECUTE p", "UPDATE mine SET t = 'changed' WHERE id < 4", "EXECUTE p", "SAVEPOINT s", "DELETE FROM mine", "EXECUTE p", "ROLLBACK TO s", "EXECUTE p", "ROLLBACK", "EXECUTE p",
        "UPDATE mine SET t = i.name FROM items i WHERE i.id = mine.id AND i.v > 50 RETURNING mine.id, mine.t", "EXECUTE p",
        "DELETE FROM mine USING items i WHERE i.id = mine.id AND i.k = 3 RETURNING mine.id", "EXECUTE p", "TRUNCATE mine", "EXECUTE p",
        "INSERT INTO mine SELECT id, name FROM items WHERE id NOT IN (SELECT id FROM mine) AND k = 1", "EXECUTE p", "ALTER TABLE mine ADD COLUMN more integer DEFAULT 7", "SELECT sum(more) FROM mine JOIN items USING (id)",
        "ALTER TABLE mine ALTER COLUMN id TYPE bigint", "EXECUTE p",
    ],
    "a cursor over both sees what was there when it was opened": [
        "CREATE TEMP TABLE mine AS SELECT i AS id FROM generate_series(1, 50) i", "BEGIN", "DECLARE c CURSOR FOR SELECT i.id, i.v FROM items i JOIN mine m USING (id) ORDER BY i.id", "FETCH 2 FROM c",
        "DELETE FROM mine WHERE id > 3", "FETCH 2 FROM c", "MOVE 40 IN c", "FETCH 10 FROM c", "COMMIT", "SELECT count(*) FROM items JOIN mine USING (id)",
        "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM items JOIN mine USING (id)", "INSERT INTO mine VALUES (100)", "SELECT max(id) FROM items JOIN mine USING (id)", "COMMIT",
    ],
    "plpgsql: a row of PostgreSQL's own written between two reads": [
        "CREATE TEMP TABLE mine (id integer)",
        plpgsql("FOR n IN 1..4 LOOP INSERT INTO mine VALUES (n * low); t := concat(t, ' ', (SELECT count(*) FROM items JOIN mine USING (id)), '/', (SELECT sum(v) FROM items WHERE id IN (SELECT id FROM mine))); END LOOP; RETURN t;", more="VOLATILE"),
        "SELECT f(2)", "SELECT f(60)", "SELECT count(*) FROM mine",
    ],
    "row-level security of a table of PostgreSQL's own": [
        "CREATE TEMP TABLE mine AS SELECT i AS id, i % 2 = 0 AS open FROM generate_series(1, 20) i", "ALTER TABLE mine ENABLE ROW LEVEL SECURITY", "ALTER TABLE mine FORCE ROW LEVEL SECURITY", "CREATE POLICY p ON mine USING (open)",
        "SELECT count(*) FROM items JOIN mine USING (id)", "SET row_security = off", "SELECT count(*) FROM items JOIN mine USING (id)",
    ],
}
