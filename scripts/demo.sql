-- 1. The administrator: where the lake is, and who may read which part of it with which keys.
CREATE SERVER lake TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://lake/',
  endpoint :'endpoint', region :'region', url_style 'path', use_ssl 'false', writable 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER lake OPTIONS (key_id :'key_id', secret :'secret');
CREATE ROLE analyst;
CREATE SCHEMA AUTHORIZATION analyst;
CREATE USER MAPPING FOR analyst SERVER lake OPTIONS (key_id :'lake_key_id', secret :'lake_secret');
GRANT USAGE ON FOREIGN SERVER lake TO analyst;
GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql), duckdb.read_parquet TO analyst;
-- Some data: a million orders, as Parquet in the bucket, in one folder for each year.
SELECT duckdb.execute($$ COPY (
  SELECT i AS id, DATE '2024-01-01' + (i % 1000)::INT AS day, ['Basel', 'Lyon', 'Porto'][i % 3 + 1] AS shop,
         ((i * 7919) % 100000 / 100)::DECIMAL(9,2) AS total, year(day) AS year
  FROM range(1000000) t(i)) TO 's3://lake/orders' (FORMAT parquet, PARTITION_BY (year)) $$) AS written;

-- 2. An ordinary role: the lake's columns are PostgreSQL's columns.
SET ROLE analyst;
SELECT q.shop, count(*), sum(q.total), max(q.day)
FROM duckdb.query($$ FROM 's3://lake/orders/*/*.parquet' $$) q
WHERE q.day >= '2026-01-01' GROUP BY q.shop ORDER BY 1;
SELECT * FROM duckdb.read_parquet('s3://lake/orders/*/*.parquet', hive_partitioning => true) LIMIT 2;

-- 3. A foreign table has a name and is joined with PostgreSQL's own. The whole query runs in DuckDB.
CREATE FOREIGN TABLE orders () SERVER lake OPTIONS (path 's3://lake/orders/*/*.parquet');
CREATE TABLE shops AS SELECT * FROM (VALUES ('Basel', 'CH'), ('Lyon', 'FR'), ('Porto', 'PT')) v(shop, country);
SELECT country, count(*), sum(total), avg(total) FROM orders JOIN shops USING (shop)
WHERE day >= '2026-01-01' GROUP BY country ORDER BY country;
EXPLAIN (COSTS OFF) SELECT country, count(*), sum(total), avg(total) FROM orders JOIN shops USING (shop)
WHERE day >= '2026-01-01' GROUP BY country ORDER BY country;

-- 4. A snapshot in a table of its own, with the right types.
CREATE TABLE analyst.orders_2025 AS
SELECT * FROM duckdb.query($$ SELECT id, day, shop, total FROM 's3://lake/orders/year=2025/*.parquet' $$);
SELECT count(*), min(day), max(day), pg_typeof(min(total)) FROM analyst.orders_2025;

-- 5. And nothing else: no other bucket, no file of the server.
\set ON_ERROR_STOP off
SELECT * FROM duckdb.query($$ FROM 's3://vault/salaries.parquet' $$);
SELECT * FROM duckdb.query($$ FROM read_csv('/etc/passwd') $$);
