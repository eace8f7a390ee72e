-- What the other tests stand on: ways to see errors as values, and a server for the bucket "lake".
\getenv s3_endpoint S3_ENDPOINT
\getenv s3_region S3_REGION
\getenv s3_key_id S3_KEY_ID
\getenv s3_secret S3_SECRET

CREATE SCHEMA testing;
GRANT USAGE ON SCHEMA testing TO PUBLIC;

-- The SQLSTATE of the error that a statement ends with, or OK. The statement runs to its end.
CREATE FUNCTION testing.sqlstate_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RETURN 'OK';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;

-- The same with the message.
CREATE FUNCTION testing.error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RETURN 'OK';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- Only the hint.
CREATE FUNCTION testing.hint_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  hint text;
BEGIN
  EXECUTE statement;
  RETURN 'OK';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN hint;
END $$;

-- The lines of a plan that is executed, in the same form for all versions of PostgreSQL.
CREATE FUNCTION testing.analyze(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || statement LOOP
    RETURN NEXT regexp_replace(line, '(actual rows=\d+)\.\d+', '\1');
  END LOOP;
END $$;

-- A view's query on one line. PostgreSQL 15 puts the table before each column.
CREATE FUNCTION testing.view_text(view regclass) RETURNS text LANGUAGE sql AS $$
  SELECT trim(regexp_replace(replace(pg_get_viewdef(view), 'query.', ''), '\s+', ' ', 'g'))
$$;

CREATE SERVER lake TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (
  location 's3://lake/regress/', endpoint :'s3_endpoint', region :'s3_region',
  url_style 'path', use_ssl 'false');
CREATE USER MAPPING FOR CURRENT_USER SERVER lake OPTIONS (key_id :'s3_key_id', secret :'s3_secret');

SELECT duckdb.execute('COPY (SELECT 1 AS a) TO ''s3://lake/regress/setup.parquet''');
SELECT * FROM duckdb.query('FROM ''s3://lake/regress/setup.parquet''');
