"""Ordinary roles read the locations of their servers and nothing else: no local file, no other
bucket, no other host; they attach, install, load and set nothing. A canary file and a canary server
tell whether anything was reached."""

import http.server
import threading

import pytest
from psycopg import sql

from conftest import create_server, map_user
from support import failure, open_directory, sqlstate_of, words

CANARY = "canary-7f3a"


class CanaryServer:
    """An HTTP server that answers everything and remembers who asked."""

    def __init__(self):
        self.hits = hits = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                hits.append(f"{self.command} {self.path}")
                body = f"a,b\n{CANARY},1\n".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()


@pytest.fixture(scope="module")
def canary():
    server = CanaryServer()
    with open_directory() as directory:
        for name in ("canary.csv", "canary.json", "canary.parquet", "canary.duckdb"):
            (directory / name).write_text(f'{{"a": "{CANARY}"}}\n')
        server.directory = directory
        yield server
    server.close()


@pytest.fixture(scope="module")
def jail(su, sandbox, lake_writer, canary):
    """The servers: one that may be read, one that may be written, both under s3://lake/jail/."""
    for place in ("lake/jail", "lake/jailbreak", "vault/jail", "lake/writable"):
        lake_writer.execute(f"COPY (SELECT '{CANARY}' AS a, 1 AS b) TO 's3://{place}/x.parquet'")
        lake_writer.execute(f"COPY (SELECT '{CANARY}' AS a, 1 AS b) TO 's3://{place}/x.csv'")
    create_server(su, sandbox, "jail", "s3://lake/jail/")
    create_server(su, sandbox, "writable", "s3://lake/writable/", writable="true")
    return canary


FUNCTIONS = (
    'duckdb.query(duckdb.sql), duckdb.query(duckdb.sql, "any"), duckdb.query_rows(text), duckdb.query_rows(text, "any"), '
    'duckdb.query_by_name(text), duckdb.read_parquet, duckdb.read_csv, duckdb.read_json, duckdb.read_text, duckdb.read_blob, '
    'duckdb.iceberg_scan, duckdb.delta_scan, duckdb.execute(text), duckdb.execute(text, "any"), duckdb.describe(text), '
    "duckdb.settings(), duckdb.extensions()"
)


@pytest.fixture
def prisoner(jail, role, su, sandbox, connect):
    name = role()
    su.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(FUNCTIONS), sql.Identifier(name)))
    for server in ("jail", "writable"):
        map_user(su, name, server, sandbox.all)
    conn = connect(name)
    assert conn.execute("SELECT a FROM duckdb.query($$FROM 's3://lake/jail/x.parquet'$$)").fetchall() == [(CANARY,)]
    return conn


# {dir} is the folder with the canary files, {http} the canary server.
FOREIGN_PATHS = [
    "{dir}/canary.csv",
    "/etc/passwd",
    "file:///etc/passwd",
    "file:{dir}/canary.csv",
    "{dir}/*.csv",
    "../../../../../../etc/passwd",
    "postgresql.conf",
    "PG_VERSION",
    "~/.profile",
    "/proc/self/environ",
    "http://{http}/x.csv",
    "https://{http}/x.csv",
    "hf://datasets/a/b/x.csv",
    "s3://lake/jailbreak/x.csv",
    "s3://lake/x.csv",
    "s3://lake/*/x.csv",
    "s3://lake/jail*/x.csv",
    "s3://vault/jail/x.csv",
    "s3a://lake/jailbreak/x.csv",
    "s3n://vault/jail/x.csv",
    "S3://vault/jail/x.csv",
    "gcs://vault/jail/x.csv",
    "gs://vault/jail/x.csv",
    "r2://vault/jail/x.csv",
    "azure://vault/x.csv",
    "abfss://vault/x.csv",
    "s3://lake/jail/../jailbreak/x.csv",
    "s3://lake/jail/%2e%2e/jailbreak/x.csv",
    "s3://lake/jail/..%2fjailbreak/x.csv",
    "s3://lake/jail/./../jailbreak/x.csv",
    "s3://lake/jail//../jailbreak/x.csv",
    "s3://lake/jail/x.csv?s3_endpoint={http}&s3_use_ssl=false",
    "s3://lake/jail/x.csv?s3_url_style=path&s3_endpoint={http}",
    "s3://lake/jail/x.csv?s3_access_key_id=a&s3_secret_access_key=b&s3_endpoint={http}",
    "s3://lake/jail/x.csv#?s3_endpoint={http}",
    "s3://lake@{http}/jail/x.csv",
    "s3://lake\\@{http}/jail/x.csv",
]


def filled(text, jail):
    return text.replace("{dir}", str(jail.directory)).replace("{http}", jail.address)


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def assert_refused(conn, jail, statement, parameters=None, states=("42501",)):
    jail.hits.clear()
    error = failure(conn, statement, parameters)
    told = words(error)
    assert CANARY not in told and "root:" not in told, told
    assert jail.hits == []
    assert error.sqlstate in states, (statement, told)
    return error


def test_a_superuser_reaches_the_canaries(su, jail):
    """So the other tests' silence means something."""
    jail.hits.clear()
    assert CANARY in str(su.execute(f"SELECT * FROM duckdb.read_text('{jail.directory}/canary.csv')").fetchall())
    su.execute("CREATE SERVER web TYPE 'http' FOREIGN DATA WRAPPER duckdb OPTIONS (location 'http://127.0.0.1/')")
    su.execute("CREATE USER MAPPING FOR postgres SERVER web")
    assert su.execute(f"SELECT a FROM duckdb.read_csv('http://{jail.address}/x.csv')").fetchall() == [(CANARY,)]
    assert jail.hits
    su.execute("DROP SERVER web CASCADE")


WAYS = {
    "a table name": "FROM {path}",
    "read_csv": "FROM read_csv({path})",
    "read_text": "SELECT content FROM read_text({path})",
    "read_blob": "FROM read_blob([{path}])",
    "a list with a good one": "FROM read_csv(['s3://lake/jail/x.csv', {path}])",
    "glob": "FROM glob({path})",
    "a sub-query": "SELECT (SELECT max(content) FROM read_text({path})) AS c",
    "a lambda": "SELECT list_transform([1], x -> (SELECT max(content) FROM read_text({path}))) AS c",
}


@pytest.mark.parametrize("way", WAYS)
def test_no_path_outside_of_the_servers_can_be_read(way, prisoner, jail):
    for path in FOREIGN_PATHS:
        text = WAYS[way].replace("{path}", quoted(filled(path, jail)))
        # Without an ending it is a table's name, of those that PostgreSQL has and DuckDB has not.
        states = ("42P01",) if (way, path) == ("a table name", "PG_VERSION") else ("42501",)
        assert_refused(prisoner, jail, f"SELECT * FROM duckdb.query({quoted(text)})", states=states)
        assert_refused(prisoner, jail, f"SELECT * FROM duckdb.query_rows({quoted(text)}) AS t(a text)", states=states)


def test_no_path_outside_of_the_servers_can_be_a_parameter(prisoner, jail):
    for path in FOREIGN_PATHS:
        path = filled(path, jail)
        # The extended protocol gives the values after the statement was analysed.
        for text in ("SELECT content AS a FROM read_text($1)", "SELECT a FROM read_csv([$1])", "SELECT file AS a FROM glob($1)"):
            assert_refused(prisoner, jail, f"SELECT * FROM duckdb.query_rows({quoted(text)}, %s::text) AS t(a text)", (path,))
            error = failure(prisoner, f"SELECT * FROM duckdb.query({quoted(text)}, %s::text)", (path,))
            assert error.sqlstate in ("42501", "42P18", "42601") and CANARY not in words(error)
            assert jail.hits == []


@pytest.mark.parametrize("reader", ["read_parquet", "read_csv", "read_json", "read_text", "read_blob", "iceberg_scan", "delta_scan"])
def test_no_reader_leaves_the_servers(reader, prisoner, jail):
    for path in FOREIGN_PATHS:
        assert_refused(prisoner, jail, f"SELECT * FROM duckdb.{reader}({quoted(filled(path, jail))})")


REFUSED_STATEMENTS = [
    "ATTACH '{dir}/canary.duckdb' AS d",
    "ATTACH ':memory:' AS d",
    "ATTACH 'http://{http}/x.duckdb' AS d",
    "ATTACH 's3://lake/jail/x.duckdb' AS d",
    "ATTACH 'host=/tmp' AS d (TYPE postgres)",
    "DETACH memory",
    "INSTALL postgres_scanner",
    "INSTALL httpfs FROM 'http://{http}'",
    "FORCE INSTALL httpfs",
    "LOAD postgres_scanner",
    "LOAD '{dir}/x.duckdb_extension'",
    "UPDATE EXTENSIONS",
    "SET s3_endpoint = '{http}'",
    "SET GLOBAL threads = 1",
    "SET memory_limit = '100GB'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET allowed_directories = ['/']",
    "SET TimeZone = 'UTC'",
    "SET VARIABLE x = 1",
    "RESET memory_limit",
    "USE memory",
    "PRAGMA database_list",
    "PRAGMA version",
    "PRAGMA enable_profiling = 'json'",
    "PRAGMA disable_optimizer",
    "PRAGMA enable_logging",
    "CALL enable_logging(storage = 'file', storage_path = '{dir}')",
    "CALL pragma_version()",
    "CALL duckdb_secrets()",
    "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b', ENDPOINT '{http}')",
    "CREATE OR REPLACE SECRET \"server jail\" (TYPE s3, ENDPOINT '{http}')",
    "CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "DROP SECRET \"server jail\"",
    "CREATE MACRO m() AS TABLE FROM read_text('/etc/passwd')",
    "CREATE VIEW v AS FROM read_text('/etc/passwd')",
    "CREATE FUNCTION f(x) AS x",
    "CREATE TABLE t AS FROM read_text('/etc/passwd')",
    "CREATE TABLE t AS FROM 's3://lake/jailbreak/x.csv'",
    "INSERT INTO t FROM read_text('/etc/passwd')",
    "COPY (SELECT 1) TO '{dir}/out.csv'",
    "COPY (SELECT 1) TO '/tmp/pond_out.csv'",
    "COPY (SELECT 1) TO 'http://{http}/out.csv'",
    "COPY (SELECT 1) TO 's3://lake/jail/out.csv'",
    "COPY (SELECT 1) TO 's3://lake/jailbreak/out.csv'",
    "COPY (SELECT 1) TO 's3://lake/writable/../jailbreak/out.csv'",
    "COPY (SELECT 1) TO 's3://lake/writable/out.csv?s3_endpoint={http}'",
    "COPY (FROM read_text('/etc/passwd')) TO 's3://lake/writable/out.csv'",
    "COPY (FROM 's3://lake/jailbreak/x.csv') TO 's3://lake/writable/out.csv'",
    "COPY (SELECT '../../jailbreak' AS p, 1 AS v) TO 's3://lake/writable/out' (FORMAT csv, PARTITION_BY p, FILENAME_PATTERN '../x')",
    "COPY FROM DATABASE memory TO memory",
    "COPY t FROM '/etc/passwd'",
    "COPY t FROM 's3://lake/jail/x.csv'",
    "EXPORT DATABASE '{dir}/export'",
    "IMPORT DATABASE '{dir}/export'",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "COMMIT",
    "PREPARE p AS FROM read_text('/etc/passwd')",
    "EXECUTE p",
    "EXPLAIN ANALYZE FROM read_text('/etc/passwd')",
    "SELECT 1; COPY (SELECT 1) TO '/tmp/pond_out.csv'",
    "FROM read_text('/etc/passwd')",
    "FROM duckdb_secrets()",
    "SELECT * FROM duckdb_settings()",
    "SELECT current_setting('s3_secret_access_key')",
    "SELECT getenv('HOME')",
    "FROM which_secret('s3://lake/jail/x', 's3')",
    "FROM query('FROM duckdb_secrets()')",
    "FROM query_table(['duckdb_secrets'])",
    "FROM json_execute_serialized_sql('{}')",
    "FROM sniff_csv('/etc/passwd')",
    "FROM parquet_metadata('{dir}/canary.parquet')",
    "FROM parquet_schema('{dir}/canary.parquet')",
    "FROM read_ndjson_objects('{dir}/canary.json')",
    "FROM postgres_scan('host=/tmp', 'public', 't')",
    "FROM sqlite_scan('{dir}/canary.duckdb', 't')",
    "FROM sqlite_attach('{dir}/canary.duckdb')",
    "FROM read_xlsx('{dir}/canary.csv')",
    "FROM duckdb_logs",
    "FROM pragma_database_list()",
    "SELECT write_log('x')",
    "SUMMARIZE '/etc/passwd'",
    "DESCRIBE FROM '/etc/passwd'",
]


@pytest.mark.parametrize("call", ["query", "query_rows", "describe", "execute"])
def test_no_statement_leads_out(call, prisoner, jail):
    for text in REFUSED_STATEMENTS:
        text = filled(text, jail)
        if call == "query_rows":
            statement = f"SELECT * FROM duckdb.query_rows({quoted(text)}) AS t(a text)"
        elif call == "execute":
            statement = f"SELECT duckdb.execute({quoted(text)})"
        else:
            statement = f"SELECT * FROM duckdb.{call}({quoted(text)})"
        # DuckDB's parser itself refuses some, and some are several statements.
        assert_refused(prisoner, jail, statement, states=("42501", "0A000", "42601"))
    assert not [path for path in jail.directory.iterdir() if not path.name.startswith("canary")]
    # The session is as it was.
    assert prisoner.execute("SELECT a FROM duckdb.query($$FROM 's3://lake/jail/x.parquet'$$)").fetchall() == [(CANARY,)]


def test_what_an_ordinary_role_may_do(prisoner, lake_writer):
    query = lambda text: prisoner.execute(f"SELECT * FROM duckdb.query({quoted(text)})").fetchall()
    assert query("SELECT sum(x) AS s FROM (VALUES (1), (2)) t(x)") == [(3,)]
    assert query("SELECT count(*) AS n FROM 's3://lake/jail/*.parquet'") == [(1,)]
    assert query("SELECT a FROM read_csv('s3://lake/jail/x.csv')") == [(CANARY,)]
    assert query("WITH t AS (FROM 's3://lake/jail/x.csv') SELECT count(*) AS n FROM t JOIN 's3://lake/writable/x.parquet' USING (a)") == [(1,)]
    execute = lambda text: prisoner.execute("SELECT duckdb.execute(%s)", (text,)).fetchone()[0]
    assert execute("COPY (FROM 's3://lake/jail/x.parquet') TO 's3://lake/writable/copy.parquet' (FORMAT parquet)") == 1
    assert lake_writer.execute("FROM 's3://lake/writable/copy.parquet'").fetchall() == [(CANARY, 1)]
    execute("CREATE TABLE own AS SELECT 7 AS a")
    assert execute("INSERT INTO own SELECT 8") == 1
    assert query("SELECT sum(a) AS s FROM own") == [(15,)]
    execute("DROP TABLE own")


def test_writable_can_be_taken_back_in_an_open_session(prisoner, su):
    copy = "SELECT duckdb.execute($$COPY (SELECT 1 AS a) TO 's3://lake/writable/again.parquet' (FORMAT parquet)$$)"
    assert prisoner.execute(copy).fetchone() == (1,)
    su.execute("ALTER SERVER writable OPTIONS (SET writable 'false')")
    try:
        assert sqlstate_of(prisoner, copy) == "42501"
    finally:
        su.execute("ALTER SERVER writable OPTIONS (SET writable 'true')")
    assert prisoner.execute(copy).fetchone() == (1,)


def test_a_key_that_may_only_read_is_refused_by_the_store(role, su, sandbox, connect, jail):
    name = role()
    su.execute(sql.SQL("GRANT EXECUTE ON FUNCTION duckdb.execute(text) TO {}").format(sql.Identifier(name)))
    map_user(su, name, "writable", sandbox.lake_reader)
    error = failure(connect(name), "SELECT duckdb.execute($$COPY (SELECT 1 AS a) TO 's3://lake/writable/never.parquet' (FORMAT parquet)$$)")
    assert error.sqlstate == "42501"
    assert "object store denies access" in str(error)


def test_a_file_server_opens_its_folder_only(role, su, connect, canary):
    name = role()
    su.execute(sql.SQL("GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql), duckdb.execute(text) TO {}").format(sql.Identifier(name)))
    su.execute(sql.SQL("CREATE SERVER folder TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location {})").format(str(canary.directory) + "/"))
    su.execute(sql.SQL("CREATE USER MAPPING FOR {0} SERVER folder; GRANT USAGE ON FOREIGN SERVER folder TO {0}").format(sql.Identifier(name)))
    conn = connect(name)
    read = lambda path: f"SELECT * FROM duckdb.query({quoted(f'SELECT content FROM read_text({quoted(path)})')})"
    assert CANARY in conn.execute(read(f"{canary.directory}/canary.csv")).fetchone()[0]
    for path in ("/etc/passwd", f"{canary.directory}/../../etc/passwd", f"{canary.directory}", f"{canary.directory}x/canary.csv", "canary.csv"):
        assert sqlstate_of(conn, read(path)) in ("42501", "58P01"), path
    assert sqlstate_of(conn, f"SELECT duckdb.execute($$COPY (SELECT 1) TO '{canary.directory}/canary.out'$$)") == "42501"
    su.execute("DROP SERVER folder CASCADE")


def test_settings_show_no_secret_and_cannot_be_changed(prisoner, sandbox):
    rows = prisoner.execute("SELECT name, value FROM duckdb.settings()").fetchall()
    settings = dict(rows)
    assert settings["enable_external_access"] == "false" and settings["lock_configuration"] == "true"
    assert settings["autoinstall_known_extensions"] == "false" and settings["autoload_known_extensions"] == "false"
    assert settings["allow_community_extensions"] == "false" and settings["allow_unsigned_extensions"] == "false"
    assert not any(sandbox.all.secret in str(value) or sandbox.all.key_id in str(value) for value in settings.values())
