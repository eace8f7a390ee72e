"""DuckDB's own client for PostgreSQL over foreign tables."""

import duckdb
import pytest

from support import open_directory


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("partitioned", [False, True])
def test_duckdbs_postgres_client_reads_foreign_tables(connect, sandbox, database, analyzed, partitioned):
    conn = connect()
    with open_directory() as folder:
        duckdb.sql(f"COPY (SELECT i, 't' || i AS t FROM range(100000) r(i)) TO '{folder}/rows.parquet'")
        (folder / "rows.parquet").chmod(0o644)
        conn.execute(f"CREATE SERVER folder TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{folder}/')")
        try:
            conn.execute("CREATE USER MAPPING FOR postgres SERVER folder")
            if partitioned:
                conn.execute("CREATE TABLE whole (i bigint, t text) PARTITION BY RANGE (i)")
                conn.execute(f"CREATE FOREIGN TABLE part PARTITION OF whole DEFAULT SERVER folder OPTIONS (path '{folder}/rows.parquet')")
            else:
                conn.execute(f"CREATE FOREIGN TABLE whole () SERVER folder OPTIONS (path '{folder}/rows.parquet')")
            if analyzed:
                conn.execute("ANALYZE whole")
                assert conn.execute("SELECT reltuples FROM pg_class WHERE oid = 'whole'::regclass").fetchone() == (100000,)
                plan = conn.execute("EXPLAIN (FORMAT JSON) SELECT * FROM whole WHERE i >= 0").fetchone()[0]
                assert 90000 < plan[0]["Plan"]["Plan Rows"] < 110000
                assert conn.execute("SELECT count(*) > 1 FROM pg_stats WHERE tablename = 'whole'").fetchone() == (True,)
            client = duckdb.connect(config={"extension_directory": str(sandbox.extension_dir)})
            client.execute("SET autoinstall_known_extensions = false; LOAD postgres_scanner")
            client.execute(f"ATTACH 'host={sandbox.socket_dir} port={sandbox.port} user=postgres dbname={database}' AS pg (TYPE postgres)")
            assert client.execute("SELECT count(*), sum(i) FROM pg.public.whole").fetchone() == (100000, 4999950000)
            assert client.execute("SELECT t FROM pg.public.whole WHERE i = 7").fetchall() == [("t7",)]
            client.close()
        finally:
            conn.execute("DROP TABLE IF EXISTS whole" if partitioned else "SELECT 1")
            conn.execute("DROP SERVER folder CASCADE")
