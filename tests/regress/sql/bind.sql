-- The extended protocol, as drivers use it. (psql of PostgreSQL 15 has no \bind: bind_1.out.)
SELECT a, b, pg_typeof(b) FROM duckdb.query('SELECT $1 AS a, $2 + 1 AS b', $1::text, $2::int) \bind 'bound' 41 \g
SELECT i FROM duckdb.query('SELECT i::INT AS i FROM range(10) r(i)') WHERE i > $1 AND i < $2 ORDER BY i LIMIT $3 \bind 2 8 2 \g
SELECT * FROM duckdb.query('SELECT $1 AS a', $1::numeric) \bind -0.05 \g
SELECT * FROM duckdb.query('FROM nowhere') \bind \g
SELECT a FROM duckdb.query('SELECT 1 AS a') \bind \g
