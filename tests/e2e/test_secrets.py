"""Secrets stay where they were put: in the user mapping. Not in errors, logs, plans, statistics,
settings or DuckDB's own catalogue, whatever goes wrong."""

import psycopg
import pytest
from psycopg import sql

from conftest import Key, create_server, map_user
from support import failure, private_cluster, words

SECRET = "s3cr3t-zq71x-must-not-show"
TOKEN = "t0k3n-zq72x-must-not-show"
KEY_ID = "GKzq73xmustnotshow"


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def log(sandbox):
    """What the server has logged since the module's servers were made."""
    start = sandbox.log.stat().st_size

    def read():
        with open(sandbox.log, errors="replace") as file:
            file.seek(start)
            return file.read()

    return read


@pytest.fixture(scope="module")
def store(su, sandbox):
    create_server(su, sandbox, "hush", "s3://lake/hush/", writable="true")
    su.execute(
        sql.SQL("CREATE USER MAPPING FOR postgres SERVER hush OPTIONS (key_id {}, secret {}, session_token {})").format(
            sql.Literal(KEY_ID), sql.Literal(SECRET), sql.Literal(TOKEN)
        )
    )


@pytest.fixture
def loud(connect, store):
    """A session that logs all it can."""
    conn = connect()
    for setting, value in (("log_min_messages", "debug5"), ("client_min_messages", "debug5"), ("duckdb.log_sql", "on"), ("debug_print_plan", "on"), ("log_error_verbosity", "verbose"), ("log_min_duration_statement", "0"), ("backtrace_functions", "ereport")):
        try:
            conn.execute(f"SET {setting} = '{value}'")
        except psycopg.Error:
            pass
    notices = []
    conn.add_notice_handler(lambda notice: notices.append(str(notice.message_primary) + str(notice.message_detail) + str(notice.context)))
    conn.notices_seen = notices
    return conn


def hidden(text):
    return SECRET not in text and TOKEN not in text and SECRET[:12] not in text and TOKEN[:12] not in text


STATEMENTS = [
    "SELECT * FROM duckdb.query($$FROM 's3://lake/hush/x.parquet'$$)",
    "SELECT * FROM duckdb.query($$FROM 's3://lake/hush/*.csv'$$)",
    "SELECT * FROM duckdb.query_rows($$FROM 's3://lake/hush/x.csv'$$) AS t(a int)",
    "EXPLAIN (VERBOSE, ANALYZE) SELECT * FROM duckdb.query_rows($$FROM 's3://lake/hush/x.csv'$$) AS t(a int)",
    "SELECT duckdb.execute($$COPY (SELECT 1) TO 's3://lake/hush/x.csv'$$)",
    "SELECT * FROM duckdb.describe($$FROM 's3://lake/hush/x.parquet'$$)",
    "SELECT duckdb.execute($$CREATE SECRET \"server hush\" (TYPE s3)$$)",
    "SELECT duckdb.execute($$CREATE SECRET x (TYPE s3, NOSUCH 1)$$)",
]


def test_errors_and_logs_show_no_secret(loud, log):
    for statement in STATEMENTS:
        loud.execute("SELECT duckdb.recycle()")
        error = failure(loud, statement)
        assert hidden(words(error)), statement
    assert hidden("\n".join(loud.notices_seen))
    text = log()
    assert "DuckDB SQL" in text and "s3://lake/hush/x.parquet" in text
    assert hidden(text)


def test_plans_show_no_secret(loud, log):
    for options in ("", "VERBOSE", "VERBOSE, ANALYZE", "FORMAT JSON, VERBOSE"):
        rows = loud.execute(f"EXPLAIN ({options or 'COSTS'}) SELECT * FROM duckdb.query('SELECT 1 AS a') WHERE a > 0").fetchall()
        assert rows and hidden(str(rows))
    assert hidden(log())


def test_duckdbs_own_views_redact(connect, store):
    """A superuser may look at DuckDB's catalogue; it shows names and scopes only."""
    conn = connect()
    rows = conn.execute("SELECT name, secret_string FROM duckdb.query('SELECT name, secret_string FROM duckdb_secrets()')").fetchall()
    assert [name for name, _ in rows] == ["server hush"]
    assert hidden(str(rows))
    error = failure(conn, "SELECT * FROM duckdb.query('FROM duckdb_secrets(redact = false)')")
    assert hidden(words(error))
    rows = conn.execute("SELECT * FROM duckdb.query('SELECT name, value FROM duckdb_settings()')").fetchall()
    assert hidden(str(rows)) and KEY_ID not in str(rows)
    assert hidden(str(conn.execute("SELECT * FROM duckdb.settings()").fetchall()))
    assert hidden(str(conn.execute("SELECT name, setting, boot_val, reset_val FROM pg_settings").fetchall()))


def test_an_ordinary_role_sees_no_mapping_of_another(role, connect, su, store):
    name = role()
    su.execute(sql.SQL("GRANT USAGE ON FOREIGN SERVER hush TO {}").format(sql.Identifier(name)))
    conn = connect(name)
    assert conn.execute("SELECT umoptions FROM pg_user_mappings WHERE srvname = 'hush'").fetchall() == [(None,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("SELECT * FROM pg_user_mapping")


BAD_MAPPINGS = [
    {"key_id": KEY_ID},
    {"secret": SECRET},
    {"session_token": TOKEN},
    {"key_id": KEY_ID, "secret": SECRET + "\n"},
    {"key_id": KEY_ID, "secret": SECRET, "nosuch": TOKEN},
    {"key_id": KEY_ID, "secret": SECRET, "region": TOKEN},
    {"username": KEY_ID, "password": SECRET},
    {"key_id": KEY_ID, "secret": SECRET, "extra_http_headers": "{" + TOKEN},
    {"key_id": "", "secret": SECRET},
]


@pytest.mark.parametrize("options", BAD_MAPPINGS, ids=lambda options: "+".join(options))
def test_a_mapping_that_is_refused_shows_no_secret(options, connect, store, role):
    conn = connect()
    listed = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in options.items())
    error = failure(conn, sql.SQL("CREATE USER MAPPING FOR {} SERVER hush OPTIONS ({})").format(sql.Identifier(role()), listed))
    assert error.sqlstate.startswith("HV"), words(error)
    # What the client itself wrote may come back as the statement's position only.
    assert hidden(words(error))


def test_statistics_show_no_secret(sandbox):
    if not (sandbox.bindir / "pg_config").exists() or not list(sandbox.bindir.parent.rglob("pg_stat_statements.so")):
        pytest.skip("this PostgreSQL comes without pg_stat_statements")
    settings = {"shared_preload_libraries": "pg_stat_statements,pg_pond", "pg_stat_statements.track": "all"}
    with private_cluster(sandbox, **settings) as cluster, cluster.connect() as conn:
        conn.execute("CREATE EXTENSION pg_stat_statements")
        create_server(conn, sandbox, "hush", "s3://lake/hush/")
        map_user(conn, "postgres", "hush", Key(KEY_ID, SECRET))
        # PostgreSQL itself keeps the text of CREATE USER MAPPING.
        conn.execute("SELECT pg_stat_statements_reset()")
        for statement in STATEMENTS:
            failure(conn, statement)
        conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')")
        rows = str(conn.execute("SELECT query FROM pg_stat_statements").fetchall())
        assert "duckdb.query" in rows
        assert hidden(rows)
