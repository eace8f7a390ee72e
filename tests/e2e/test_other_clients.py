"""DuckDB's own client for PostgreSQL over foreign tables."""

import os

import duckdb
import pytest

from lakes import execute
from support import failure, open_directory, words


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


def test_changes_by_ctid_say_that_there_is_none(connect, lakes):
    made = lakes.make("placed")
    conn = connect()
    execute(conn, "CREATE TABLE placed.t AS SELECT i AS a, 'x' AS b FROM range(10) r(i)")
    made.import_into("placed")
    for statement in (
        "SELECT ctid FROM placed.t",
        "UPDATE placed.t SET a = 1 WHERE ctid = '(0,1)'",
        "DELETE FROM placed.t WHERE ctid = '(0,1)'",
        "UPDATE placed.t SET b = pg_backend_pid()::text WHERE ctid = '(0,1)'",
        "UPDATE placed.t SET a = 1 FROM generate_series(1, 3) g WHERE placed.t.a = g AND ctid > '(0,0)'",
        "UPDATE placed.t SET b = ctid::text",
    ):
        error = failure(conn, statement)
        assert (error.sqlstate, error.diag.message_primary) == ("0A000", 'foreign table "placed.t" has no system column "ctid"'), (statement, words(error))
    # postgres_fdw reads, and changes what it can send whole.
    if not conn.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'postgres_fdw'").fetchone():
        pytest.skip("this PostgreSQL comes without postgres_fdw")
    conn.execute("CREATE EXTENSION IF NOT EXISTS postgres_fdw")
    conn.execute(
        f"CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{os.environ['PGHOST']}', port '{os.environ['PGPORT']}', "
        f"dbname '{conn.info.dbname}')"
    )
    conn.execute("CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'postgres')")
    conn.execute("CREATE FOREIGN TABLE far (a bigint, b text) SERVER far OPTIONS (schema_name 'placed', table_name 't')")
    conn.execute("ANALYZE placed.t; ANALYZE far")
    assert conn.execute("UPDATE far SET b = 'sent' WHERE a = 2").rowcount == 1
    assert conn.execute("INSERT INTO far VALUES (77, 'y')").rowcount == 1
    assert conn.execute("SELECT count(*) FROM far").fetchone() == (11,)
    error = failure(conn, "UPDATE far SET b = pg_backend_pid()::text WHERE a = 3")
    assert error.diag.message_primary == 'foreign table "placed.t" has no system column "ctid"', words(error)
    conn.execute("DROP SERVER far CASCADE")
