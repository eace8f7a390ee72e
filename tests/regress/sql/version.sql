-- The embedded library is the pinned one.
SELECT duckdb.version();
