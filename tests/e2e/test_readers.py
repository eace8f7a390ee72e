"""Which reader a path leads to, and the readers that an administrator switches off."""

import pytest

from support import crash_lines, failure, open_directory, sqlstate_of


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def folder(su):
    """A server of a folder, and a role that may query it."""
    import duckdb

    with open_directory() as outer:
        directory = outer / "in"
        directory.mkdir()
        directory.chmod(0o755)
        for name in ("x.duckdb", "x.db", "x.ddb", "X.DUCKDB"):
            with duckdb.connect(str(directory / name)) as made:
                made.execute("CREATE TABLE t AS SELECT 'stored' AS a")
        (directory / "x.csv").write_text("a\n1\n")
        (directory / "deeper").mkdir()
        (outer / "secret").mkdir()
        (outer / "secret" / "name-of-a-file.csv").write_text("a\n1\n")
        (directory / "link").symlink_to(outer / "secret")
        for path in directory.iterdir():
            if path.is_file():
                path.chmod(0o644)
        su.execute(f"CREATE SERVER folder TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{directory}')")
        su.execute("CREATE ROLE folder_reader LOGIN; GRANT USAGE ON FOREIGN SERVER folder TO folder_reader")
        su.execute("CREATE USER MAPPING FOR folder_reader SERVER folder; CREATE USER MAPPING FOR postgres SERVER folder")
        su.execute("GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql), duckdb.describe(text), duckdb.read_csv, duckdb.execute(text) TO folder_reader")
        yield directory
    su.execute("DROP SERVER folder CASCADE; DROP OWNED BY folder_reader; DROP ROLE folder_reader")


def query(sql):
    return f"SELECT * FROM duckdb.query({quoted(sql)})"


@pytest.mark.parametrize("name", ["x.duckdb", "x.db", "x.ddb", "X.DUCKDB", "*.duckdb", "x.csv?.duckdb", "x.duckdb.gz", "none", "x.txt"])
def test_a_path_leads_to_no_reader_that_is_closed(folder, connect, name):
    conn = connect("folder_reader")
    path = f"{folder}/{name}"
    for sql in (f"FROM '{path}'", f"DESCRIBE '{path}'", f"SUMMARIZE '{path}'", f"SELECT (SELECT count(*) FROM \"{path}\")"):
        assert sqlstate_of(conn, query(sql)) == "42501", sql
    assert sqlstate_of(conn, query(f"FROM read_duckdb('{path}')")) == "42501"
    assert sqlstate_of(conn, f"SELECT duckdb.execute($$CREATE TABLE t AS FROM '{path}'$$)") == "42501"


def test_a_damaged_database_file_does_no_harm(folder, connect, sandbox):
    whole = (folder / "x.duckdb").read_bytes()
    (folder / "damaged.duckdb").write_bytes(whole[:8000] + b"\xff" * 400 + whole[8400:])
    conn = connect("folder_reader")
    assert sqlstate_of(conn, query(f"FROM '{folder}/damaged.duckdb'")) == "42501"
    assert conn.execute(query(f"FROM '{folder}/x.csv'")).fetchall() == [(1,)]


@pytest.mark.parametrize("pattern", ["*/*", "link/*", "**", "**/*.csv", "l*/n*"])
def test_a_pattern_lists_nothing_behind_a_link(folder, connect, pattern):
    conn = connect("folder_reader")
    try:
        rows = conn.execute(query(f"FROM glob('{folder}/{pattern}')")).fetchall()
    except Exception as error:
        assert error.sqlstate == "42501" and "name-of-a-file" not in str(error)
    else:
        assert not any("name-of-a-file" in path for (path,) in rows), rows
    assert sqlstate_of(conn, query(f"FROM read_csv('{folder}/link/*.csv')")) == "42501"


READERS = {
    "read_csv": ["FROM read_csv('{}/x.csv')", "FROM '{}/x.csv'", "FROM sniff_csv('{}/x.csv')"],
    "read_text": ["FROM read_text('{}/x.csv')"],
    "glob": ["FROM glob('{}/*.csv')"],
}


def test_readers_can_be_switched_off(folder, connect, su):
    for reader, queries in READERS.items():
        for user in ("folder_reader", "postgres"):
            conn = connect(user)
            for sql in queries:
                conn.execute(query(sql.format(folder))).fetchall()
            su.execute(f"ALTER ROLE folder_reader SET duckdb.disabled_readers = {reader}")
            try:
                closed = connect(user, options=f"-c duckdb.disabled_readers={reader}") if user == "postgres" else connect(user)
                for sql in queries:
                    error = failure(closed, query(sql.format(folder)))
                    assert error.sqlstate == "42501" and "duckdb.disabled_readers" in str(error), (user, sql)
            finally:
                su.execute("ALTER ROLE folder_reader RESET duckdb.disabled_readers")


def test_foreign_tables_and_reader_functions_obey_too(folder, connect, su):
    conn = connect()
    conn.execute(f"CREATE FOREIGN TABLE folder_csv (a int) SERVER folder OPTIONS (path '{folder}/x.csv')")
    assert conn.execute("SELECT a FROM folder_csv").fetchall() == [(1,)]
    conn.execute("SET duckdb.disabled_readers = 'read_text, READ_CSV'")
    for statement in (
        "SELECT a FROM folder_csv",
        "SELECT count(*) FROM folder_csv",
        f"SELECT * FROM duckdb.read_csv('{folder}/x.csv')",
        f"SELECT duckdb.execute($$CREATE TABLE t AS FROM read_csv('{folder}/x.csv')$$)",
    ):
        error = failure(conn, statement)
        assert error.sqlstate == "42501" and "duckdb.disabled_readers" in str(error), statement
    conn.execute("RESET duckdb.disabled_readers")
    assert conn.execute("SELECT a FROM folder_csv").fetchall() == [(1,)]


def test_the_setting_is_a_superusers_and_holds_readers_only(folder, connect, su):
    error = failure(su, "SET duckdb.disabled_readers = 'iceberg_scan, nosuch'")
    assert error.sqlstate == "22023" and "nosuch" in error.diag.message_detail and "iceberg_scan" in error.diag.message_detail
    conn = connect("folder_reader")
    conn.execute(query("SELECT 1 AS a"))
    assert sqlstate_of(conn, "SET duckdb.disabled_readers = ''") == "42501"
