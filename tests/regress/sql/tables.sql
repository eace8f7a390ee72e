-- Statements that write what a scan returns: CREATE TABLE AS and its kin, INSERT, UPDATE, DELETE, MERGE, COPY.
SET client_min_messages = warning;
SET DateStyle = 'ISO, YMD';

-- CREATE TABLE AS: types, rows, row count; visible at once; statistics can be gathered.
CREATE TABLE made AS SELECT * FROM duckdb.query($$ SELECT i::INT AS id, 'name ' || i AS name, (i / 4)::DECIMAL(10,2) AS price, DATE '2024-01-01' + i::INT AS day, [i, NULL] AS list, {k: i} AS s, CASE WHEN i % 2 = 0 THEN i END AS even FROM range(10000) r(i) $$);
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid = 'made'::regclass AND attnum > 0 ORDER BY attnum;
SELECT count(*), count(DISTINCT id), sum(price), min(day), max(day), count(even), count(DISTINCT ctid) FROM made;
SELECT * FROM made WHERE id IN (0, 9999) ORDER BY id;
ANALYZE made;
SELECT reltuples FROM pg_class WHERE oid = 'made'::regclass;
CREATE UNIQUE INDEX ON made (id);
SET enable_seqscan = off;
SELECT name FROM made WHERE id = 4242;
RESET enable_seqscan;
-- The same rows as PostgreSQL's own way of inserting.
CREATE TABLE inserted (LIKE made);
INSERT INTO inserted SELECT * FROM duckdb.query($$ SELECT i::INT AS id, 'name ' || i AS name, (i / 4)::DECIMAL(10,2) AS price, DATE '2024-01-01' + i::INT AS day, [i, NULL] AS list, {k: i} AS s, CASE WHEN i % 2 = 0 THEN i END AS even FROM range(10000) r(i) $$);
SELECT count(*) FROM (SELECT id, name, price, day, list, s, even FROM made EXCEPT SELECT id, name, price, day, list, s, even FROM inserted) d;
SELECT count(*) FROM (SELECT id, name, price, day, list, s, even FROM inserted EXCEPT SELECT id, name, price, day, list, s, even FROM made) d;
-- Updates, deletes and vacuum work on such pages.
UPDATE made SET price = 0 WHERE id < 5;
DELETE FROM made WHERE id >= 100;
VACUUM made;
SELECT count(*), sum(price) FROM made;
DROP TABLE made, inserted;

-- Its forms.
CREATE TABLE a AS SELECT * FROM duckdb.query('SELECT 1 AS a') WITH NO DATA;
SELECT count(*) FROM a;
CREATE TABLE IF NOT EXISTS a AS SELECT * FROM duckdb.query('SELECT 2 AS a');
SELECT count(*) FROM a;
SELECT testing.error_of($$ CREATE TABLE a AS SELECT * FROM duckdb.query('SELECT 2 AS a') $$);
CREATE TABLE b (x, y) AS SELECT * FROM duckdb.query('SELECT 1 AS a, ''x'' AS b');
SELECT * FROM b;
SELECT testing.error_of($$ CREATE TABLE c (x, y, z) AS SELECT * FROM duckdb.query('SELECT 1 AS a, ''x'' AS b') $$);
CREATE UNLOGGED TABLE c AS SELECT * FROM duckdb.query('SELECT 1 AS a');
CREATE TEMP TABLE d ON COMMIT DROP AS SELECT * FROM duckdb.query('SELECT 1 AS a');
CREATE TABLE e WITH (fillfactor = 50) AS SELECT i, repeat('x', 500) AS pad FROM duckdb.query('SELECT i FROM range(100) r(i)');
SELECT count(*), pg_relation_size('e') / 8192 >= 12 AS half_filled FROM e;
CREATE TABLE f AS SELECT a + 1 AS b, upper(t) AS t FROM duckdb.query('SELECT a, ''t'' || a AS t FROM range(5) r(a)') WHERE a > 2;
SELECT * FROM f ORDER BY 1;
CREATE TABLE g AS SELECT a FROM duckdb.query('SELECT a FROM range(5) r(a)') ORDER BY a DESC LIMIT 2;
SELECT * FROM g;
CREATE TABLE h AS SELECT q.*, f.b FROM duckdb.query('SELECT a FROM range(5) r(a)') q JOIN f ON f.b = q.a + 1;
SELECT * FROM h ORDER BY 1;
CREATE TABLE i AS
  WITH c AS (SELECT * FROM duckdb.query('SELECT 1 AS a')) SELECT * FROM c UNION ALL SELECT * FROM c;
SELECT * FROM i;
CREATE TABLE j AS SELECT duck.* FROM duckdb.query('SELECT 1 AS a, 2 AS b') AS duck(x, y);
SELECT * FROM j;
SELECT testing.error_of($$ CREATE TABLE k AS SELECT q AS whole FROM duckdb.query('SELECT 1 AS a') q $$);
CREATE TABLE l AS SELECT * FROM duckdb.query('SELECT repeat(''x'', 1000000) AS v');
SELECT length(v), pg_column_compression(v), pg_column_size(v) < 20000 AS compressed, v = repeat('x', 1000000) AS equal FROM l;
CREATE TABLE m AS SELECT * FROM duckdb.query('SELECT repeat(''0123456789'', 100000) || i AS long, ''s'' AS short FROM range(20) r(i)');
SELECT count(*), count(DISTINCT long), min(length(long)), max(length(long)), pg_relation_size('m') < 100000 AS toasted FROM m;
SELECT 1 AS one INTO n FROM duckdb.query('SELECT 1 AS a');
SELECT * INTO o FROM duckdb.query('SELECT 1 AS a, ''x'' AS b');
SELECT * FROM o;
PREPARE with_rows(int) AS SELECT * FROM duckdb.query('SELECT i FROM range($1) r(i)', $1);
CREATE TABLE p AS EXECUTE with_rows(3);
SELECT count(*) FROM p;
DEALLOCATE with_rows;
-- An error half way leaves nothing behind.
SELECT testing.error_of($$ CREATE TABLE q AS SELECT * FROM duckdb.query('SELECT (200000 - i)::USMALLINT AS a FROM range(200001) r(i) WHERE i < 1 OR true ORDER BY i DESC') $$);
SELECT to_regclass('q');
-- In a transaction, with savepoints.
BEGIN;
CREATE TABLE q AS SELECT * FROM duckdb.query('SELECT 1 AS a');
SAVEPOINT s;
SELECT * FROM duckdb.query('SELECT error(''stop'') AS a');
ROLLBACK TO s;
INSERT INTO q SELECT * FROM duckdb.query('SELECT 2 AS a');
SELECT * FROM q ORDER BY 1;
ROLLBACK;
SELECT to_regclass('q');
-- EXPLAIN writes nothing, EXPLAIN ANALYZE once.
EXPLAIN (COSTS OFF) CREATE TABLE q AS SELECT * FROM duckdb.query('SELECT 1 AS a');
SELECT to_regclass('q');
SELECT testing.analyze($e$ CREATE TABLE q AS SELECT * FROM duckdb.query('SELECT 1 AS a') $e$);
SELECT * FROM q;
SELECT testing.analyze($e$ CREATE TABLE IF NOT EXISTS q AS SELECT * FROM duckdb.query('SELECT 1 AS a') $e$);
DROP TABLE a, b, c, e, f, g, h, i, j, l, m, n, o, p, q;

-- Materialized views.
SELECT duckdb.execute($$ COPY (SELECT i::INT AS i, 'v' || i AS v FROM range(3) r(i)) TO 's3://lake/regress/matview.parquet' $$);
CREATE MATERIALIZED VIEW mv AS SELECT * FROM duckdb.query($$ FROM 's3://lake/regress/matview.parquet' $$);
SELECT * FROM mv ORDER BY 1;
SELECT testing.view_text('mv');
CREATE UNIQUE INDEX ON mv (i);
SELECT duckdb.execute($$ COPY (SELECT i::INT AS i, 'w' || i AS v FROM range(1, 5) r(i)) TO 's3://lake/regress/matview.parquet' $$);
SELECT * FROM mv ORDER BY 1;
REFRESH MATERIALIZED VIEW mv;
SELECT * FROM mv ORDER BY 1;
SELECT duckdb.execute($$ COPY (SELECT i::INT AS i, 'x' || i AS v FROM range(2, 7) r(i)) TO 's3://lake/regress/matview.parquet' $$);
REFRESH MATERIALIZED VIEW CONCURRENTLY mv;
SELECT * FROM mv ORDER BY 1;
REFRESH MATERIALIZED VIEW mv WITH NO DATA;
SELECT testing.sqlstate_of('SELECT * FROM mv');
REFRESH MATERIALIZED VIEW mv;
SELECT count(*), max(v) FROM mv;
CREATE MATERIALIZED VIEW mv2 AS SELECT i, count(*) OVER () AS n FROM duckdb.query($$ FROM 's3://lake/regress/matview.parquet' $$) WHERE i > 3 WITH NO DATA;
REFRESH MATERIALIZED VIEW mv2;
SELECT * FROM mv2 ORDER BY 1;
CREATE MATERIALIZED VIEW IF NOT EXISTS mv2 AS SELECT * FROM duckdb.query('SELECT 1 AS a');
-- Types are stable: a file with other ones is an error, and the old rows stay.
SELECT duckdb.execute($$ COPY (SELECT 'text' AS i, 'x' AS v) TO 's3://lake/regress/matview.parquet' $$);
SELECT testing.sqlstate_of('REFRESH MATERIALIZED VIEW mv'), testing.sqlstate_of('REFRESH MATERIALIZED VIEW CONCURRENTLY mv');
SELECT count(*), max(v) FROM mv;
DROP MATERIALIZED VIEW mv, mv2;

-- INSERT, in its forms.
CREATE TABLE t (id int PRIMARY KEY, v text DEFAULT 'default', n numeric(6,1) CHECK (n < 1000), g int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO t (id, v, n) SELECT * FROM duckdb.query('SELECT i::INT, ''v'' || i, i / 3 FROM range(3) r(i)');
INSERT INTO t (id) SELECT a FROM duckdb.query('SELECT 10 AS a') RETURNING *;
INSERT INTO t (id, v) SELECT * FROM duckdb.query('SELECT i::INT AS id, ''new'' AS v FROM range(2, 4) r(i)') ON CONFLICT (id) DO UPDATE SET v = excluded.v || '!' RETURNING id, v;
INSERT INTO t (id, v) SELECT * FROM duckdb.query('SELECT 1 AS id, ''never'' AS v') ON CONFLICT DO NOTHING;
INSERT INTO t VALUES (20, (SELECT v FROM duckdb.query('SELECT ''sublink'' AS v')), 1);
WITH q AS (SELECT * FROM duckdb.query('SELECT 30 AS id')) INSERT INTO t (id) SELECT id FROM q;
SELECT testing.error_of($$ INSERT INTO t (id) SELECT * FROM duckdb.query('SELECT 1 AS id') $$);
SELECT testing.error_of($$ INSERT INTO t (id, n) SELECT * FROM duckdb.query('SELECT 99 AS id, 1000 AS n') $$);
SELECT testing.error_of($$ INSERT INTO t SELECT * FROM duckdb.query('SELECT ''text'' AS id') $$);
SELECT * FROM t ORDER BY id;
EXPLAIN (COSTS OFF) INSERT INTO t (id) SELECT * FROM duckdb.query('SELECT 77 AS id');
SELECT count(*) FROM t WHERE id = 77;
SELECT testing.analyze($e$ INSERT INTO t (id) SELECT * FROM duckdb.query('SELECT 77 AS id') $e$);
SELECT count(*) FROM t WHERE id = 77;
-- UPDATE, DELETE, MERGE with a scan beside; its rows are joined through whole-row references.
UPDATE t SET v = q.v FROM duckdb.query('SELECT 1 AS id, ''updated'' AS v') q WHERE t.id = q.id RETURNING t.id, t.v, q;
UPDATE t SET n = (SELECT max(a) FROM duckdb.query('SELECT a FROM range(5) r(a)') q WHERE q.a < t.id) WHERE id IN (1, 3) RETURNING id, n;
DELETE FROM t USING duckdb.query('SELECT 10 AS id UNION ALL SELECT 77') q WHERE t.id = q.id RETURNING t.id, q.id;
DELETE FROM t WHERE id IN (SELECT id FROM duckdb.query('SELECT 30 AS id'));
MERGE INTO t USING duckdb.query('SELECT * FROM (VALUES (1, ''merged''), (20, NULL), (40, ''made'')) v(id, v)') q ON t.id = q.id
  WHEN MATCHED AND q.v IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET v = q.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (q.id, q.v);
SELECT id, v, n FROM t ORDER BY id;
-- A row that a concurrent update might change is re-checked: the plan needs the scan's row again.
EXPLAIN (COSTS OFF) UPDATE t SET v = q.v FROM duckdb.query('SELECT 1 AS id, ''updated'' AS v') q WHERE t.id = q.id;
-- Triggers, rules and policies that query.
CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN SELECT q.v INTO NEW.v FROM duckdb.query('SELECT ''by trigger '' || $1 AS v', NEW.id) q; RETURN NEW; END $f$;
CREATE TRIGGER fill BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.id > 100) EXECUTE FUNCTION fill();
INSERT INTO t (id) SELECT i FROM duckdb.query('SELECT i::INT AS i FROM range(101, 104) r(i)') RETURNING id, v;
CREATE VIEW ruled AS SELECT 1 AS a;
CREATE RULE ruled_insert AS ON INSERT TO ruled DO INSTEAD INSERT INTO t (id, v) SELECT NEW.a, q.v FROM duckdb.query('SELECT ''by rule'' AS v') q;
INSERT INTO ruled VALUES (50);
SELECT v FROM t WHERE id = 50;
SELECT regexp_replace(definition, '\s+', ' ', 'g') FROM pg_rules WHERE rulename = 'ruled_insert';
CREATE TABLE audit (n bigint);
CREATE RULE audited AS ON DELETE TO t DO ALSO INSERT INTO audit SELECT count(*) FROM duckdb.query('SELECT 1 AS a');
DELETE FROM t WHERE id = 50;
SELECT * FROM audit;
DROP VIEW ruled; DROP TABLE audit CASCADE; DROP TABLE t; DROP FUNCTION fill;

-- COPY.
COPY (SELECT a, b FROM duckdb.query('SELECT a, ''x'' || a AS b FROM range(3) r(a)') ORDER BY a) TO STDOUT;
COPY (SELECT * FROM duckdb.query('SELECT 1 AS a, NULL AS b, ''x,"y'' AS c')) TO STDOUT (FORMAT csv, HEADER);
COPY (SELECT * FROM duckdb.query('SELECT error(''stop'') AS a')) TO STDOUT;
CREATE TEMP TABLE t (q duckdb.sql, p duckdb.path);
COPY t FROM STDIN;
SELECT 1; not sql at all	x
\.
SELECT * FROM t;
DROP TABLE t;

-- Partitioned tables; a scan beside heap in UNION ALL and inheritance.
CREATE TABLE parts (k int, v text) PARTITION BY LIST (k);
CREATE TABLE part1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE part2 PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT * FROM duckdb.query('SELECT (i % 3)::INT AS k, ''v'' || i AS v FROM range(6) r(i)');
SELECT tableoid::regclass, count(*) FROM parts GROUP BY 1 ORDER BY 1;
SELECT p.k, count(*) FROM parts p JOIN duckdb.query('SELECT 1 AS k') q USING (k) GROUP BY 1;
DROP TABLE parts;
