"""What is allowed where PostgreSQL allows the same: exports in READ ONLY transactions; lists of hosts; LIMIT TO."""

import pytest

from lakes import Lake, execute, literal, query
from support import open_directory, sqlstate_of


@pytest.mark.parametrize("statement, state", [
    ("COPY (SELECT 1 AS a) TO '{}/a.parquet'", None),
    ("copy\n(select 'from' as \"from\") /* FROM */ to '{}/b.csv' (format csv);", None),
    ("COPY t TO '{}/c.parquet'", None),
    ("COPY t FROM '{}/a.parquet'", "25006"),
    ("COPY t (a) FROM '{}/a.parquet'", "25006"),
    ("CREATE TABLE u AS SELECT 1 AS a", "25006"),
    ("INSERT INTO t SELECT 1 -- COPY (x) TO y", "25006"),
    ("COPY FROM DATABASE memory TO system", "25006"),
    ("EXPORT DATABASE '{}/d'", "25006"),
    ("COPY (SELECT 1) TO '{}/e.csv'; INSERT INTO t SELECT 1", "25006"),
])
@pytest.mark.parametrize("how", ["transaction", "session"])
def test_copy_to_in_a_read_only_transaction(connect, sandbox, statement, state, how):
    import os

    with open_directory() as folder:
        owner = sandbox.data_directory.stat()
        if os.getuid() == 0:
            os.chown(folder, owner.st_uid, owner.st_gid)
        conn = connect()
        execute(conn, "CREATE TABLE t AS SELECT 1 AS a")
        conn.execute("BEGIN READ ONLY" if how == "transaction" else "SET default_transaction_read_only = on")
        assert sqlstate_of(conn, f"SELECT duckdb.execute({literal(statement.format(folder))})") == state
        if state is None:
            assert len(list(folder.iterdir())) == 1


def test_limit_to_names_what_there_is_not(connect, lakes):
    made = lakes.make("limited")
    conn = connect()
    execute(conn, "CREATE TABLE limited.there AS SELECT 1 AS a")
    notices = []
    conn.add_notice_handler(lambda diag: notices.append((diag.severity, diag.sqlstate, diag.message_primary)))
    conn.execute("CREATE SCHEMA limited; IMPORT FOREIGN SCHEMA main LIMIT TO (there, theer) FROM SERVER limited INTO limited")
    assert notices == [("WARNING", "42P01", 'there is no table "theer" in "main" to import')]
    assert conn.execute("SELECT a FROM limited.there").fetchall() == [(1,)]
    notices.clear()
    conn.execute("DROP SCHEMA limited CASCADE; CREATE SCHEMA limited")
    notices.clear()
    conn.execute("IMPORT FOREIGN SCHEMA main EXCEPT (theer) FROM SERVER limited INTO limited")
    assert notices == []
    with open_directory() as folder:
        conn.execute(f"CREATE SERVER folder TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{folder}/')")
        conn.execute("CREATE USER MAPPING FOR postgres SERVER folder")
        (folder / "things.csv").write_text("a\n1\n")
        (folder / "things.csv").chmod(0o644)
        notices.clear()
        conn.execute('IMPORT FOREIGN SCHEMA "." LIMIT TO (things, thingz) FROM SERVER folder INTO limited')
        assert [message for _, _, message in notices] == [f'there is no table "thingz" in "{folder}/" to import']
        conn.execute("DROP SERVER folder CASCADE")


def test_a_catalog_with_several_servers(connect, su, sandbox, lakes):
    place = {"host": "127.0.0.1,127.0.0.1", "port": f"1,{sandbox.port}", "dbname": lakes.database, "metadata_schema": "several"}
    made = Lake(sandbox, su, "several", data_path=f"{lakes.folder()}/data/", place=place, role=lakes.role, options={"target_session_attrs": "read-write"})
    made.create_server()
    try:
        execute(su, "CREATE TABLE several.t AS SELECT 1 AS a")
        assert query(connect(), "FROM several.t") == [(1,)]
        su.execute("ALTER SERVER several OPTIONS (SET target_session_attrs 'standby')")
        assert sqlstate_of(connect(), "SELECT * FROM duckdb.query('FROM several.t') q") == "08001"
        for option, value in (("port", "5432,x"), ("target_session_attrs", "nosuch"), ("port", "70000")):
            assert sqlstate_of(su, f"ALTER SERVER several OPTIONS (SET {option} '{value}')") == "HV024"
    finally:
        su.execute("DROP SERVER several CASCADE")
