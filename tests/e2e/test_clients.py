"""Clients of every kind see the same rows: parameters, binary results, pipelines, cursors, both
protocols, psql; views used first in a fresh session; poolers' resets."""

import datetime
import decimal
import os
import re
import subprocess
import uuid

import psycopg
import pytest

from support import failure

VALUES = {
    "boolean": ("true", True),
    "smallint": ("(-32768)::SMALLINT", -32768),
    "integer": ("2147483647::INTEGER", 2147483647),
    "bigint": ("(-9223372036854775808)::BIGINT", -9223372036854775808),
    "hugeint": ("170141183460469231731687303715884105727::HUGEINT", decimal.Decimal(170141183460469231731687303715884105727)),
    "real": ("1.5::FLOAT", 1.5),
    "double": ("(-0.1)::DOUBLE", -0.1),
    "decimal": ("(-0.05)::DECIMAL(9,2)", decimal.Decimal("-0.05")),
    "wide": ("12345678901234567890.123456789::DECIMAL(38,9)", decimal.Decimal("12345678901234567890.123456789")),
    "text": ("'ü🦆'", "ü🦆"),
    "bytes": ("'\\x00\\xFF'::BLOB", b"\x00\xff"),
    "date": ("DATE '0001-01-01'", datetime.date(1, 1, 1)),
    "time": ("TIME '23:59:59.999999'", datetime.time(23, 59, 59, 999999)),
    "timestamp": ("TIMESTAMP '1999-12-31 23:59:59.5'", datetime.datetime(1999, 12, 31, 23, 59, 59, 500000)),
    "timestamptz": ("TIMESTAMPTZ '2000-01-01 00:00:00+00'", datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)),
    "interval": ("INTERVAL '1 day 2 seconds'", datetime.timedelta(days=1, seconds=2)),
    "uuid": ("'00112233-4455-6677-8899-aabbccddeeff'::UUID", uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")),
    "list": ("[1, NULL, 3]", [1, None, 3]),
    "struct": ("{'a': 1, 'b': [true]}", {"a": 1, "b": [True]}),
    "nothing": ("NULL::INTEGER", None),
}
ALL = "SELECT * FROM duckdb.query($q$SELECT %s$q$)" % ", ".join(f'{text} AS "{name}"' for name, (text, _) in VALUES.items())
EXPECTED = tuple(value for _, value in VALUES.values())


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("kind", [psycopg.Cursor, psycopg.ClientCursor, psycopg.RawCursor])
def test_values_in_every_protocol(connect, binary, prepare, kind):
    conn = connect()
    conn.execute("SET timezone = 'UTC'")
    with kind(conn) as cursor:
        if binary and kind is psycopg.ClientCursor:
            # Interpolates on the client's side and speaks the simple protocol, which is text only.
            cursor.format = psycopg.pq.Format.TEXT
        for _ in range(7):
            cursor.execute(ALL, binary=binary and kind is not psycopg.ClientCursor, prepare=prepare if kind is not psycopg.ClientCursor else None)
            assert cursor.fetchall() == [EXPECTED]
        assert [column.name for column in cursor.description] == list(VALUES)


PARAMETERS = [
    (True, "boolean"), (-5, "smallint"), (7, "integer"), (2**62, "bigint"), (decimal.Decimal("-0.05"), "numeric(10,2)"),
    (1.25, "double precision"), ("ü🦆'\";--", "text"), (b"\x00\xff", "bytea"), (datetime.date(2024, 2, 29), "date"),
    (datetime.datetime(2024, 2, 29, 12, 30), "timestamp"), (datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc), "timestamptz"),
    (uuid.UUID(int=1), "uuid"), ([1, 2, 3], "integer[]"), (None, "integer"), (datetime.time(1, 2, 3), "time"),
]


@pytest.mark.parametrize("value, type_name", PARAMETERS, ids=[type_name for _, type_name in PARAMETERS])
def test_parameters_reach_duckdb_and_come_back(connect, value, type_name):
    conn = connect()
    conn.execute("SET timezone = 'UTC'")
    statement = f"SELECT a, b FROM duckdb.query('SELECT $1 AS a, $1 IS NULL AS b', %s::{type_name})"
    for prepare in (False, True):
        for binary in (False, True):
            for _ in range(7 if prepare else 1):
                assert conn.execute(statement, (value,), prepare=prepare, binary=binary).fetchall() == [(value, value is None)]


def test_parameters_change_between_executions_of_a_generic_plan(connect):
    conn = connect()
    conn.execute("SET plan_cache_mode = force_generic_plan")
    for bound in (0, 5, 3, 10, 1):
        rows = conn.execute("SELECT i FROM duckdb.query('SELECT i FROM range(10) t(i) WHERE i < $1', %s::bigint) WHERE i >= %s", (bound, 1), prepare=True).fetchall()
        assert rows == [(number,) for number in range(1, bound)]


def test_a_pipeline(connect):
    conn = connect()
    with conn.pipeline() as pipeline:
        cursors = [conn.execute("SELECT sum(i) FROM duckdb.query('SELECT i FROM range($1) t(i)', %s::bigint)", (number,)) for number in range(1, 40)]
        pipeline.sync()
        assert [int(cursor.fetchone()[0]) for cursor in cursors] == [number * (number - 1) // 2 for number in range(1, 40)]


def test_an_error_in_a_pipeline_leaves_the_session_usable(connect):
    conn = connect()
    with pytest.raises(psycopg.errors.UndefinedTable), conn.pipeline():
        conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')")
        conn.execute("SELECT * FROM duckdb.query('FROM nosuch')")
        conn.execute("SELECT * FROM duckdb.query('SELECT 2 AS a')")
    assert conn.execute("SELECT * FROM duckdb.query('SELECT 3 AS a')").fetchall() == [(3,)]


def test_server_side_cursors(connect):
    conn = connect(autocommit=False)
    with conn.cursor(name="c") as cursor:
        cursor.itersize = 777
        cursor.execute("SELECT i, t FROM duckdb.query('SELECT i, ''t'' || i AS t FROM range(10000) t(i)')")
        assert [row for row in cursor] == [(number, f"t{number}") for number in range(10000)]
    with conn.cursor(name="s", scrollable=True) as cursor:
        cursor.execute("SELECT i FROM duckdb.query('SELECT i FROM range(100) t(i)')")
        assert cursor.fetchmany(3) == [(0,), (1,), (2,)]
        cursor.scroll(-2)
        assert cursor.fetchone() == (1,)
        cursor.scroll(99, mode="absolute")
        assert cursor.fetchall() == [(99,)]
    with conn.cursor(name="h", withhold=True) as cursor:
        cursor.execute("SELECT i FROM duckdb.query('SELECT i FROM range(100) t(i)')")
        conn.commit()
        assert len(cursor.fetchall()) == 100


def test_two_cursors_interleaved(connect):
    conn = connect(autocommit=False)
    conn.execute("DECLARE a CURSOR FOR SELECT * FROM duckdb.query('SELECT i FROM range(100000) t(i)')")
    conn.execute("DECLARE b CURSOR FOR SELECT * FROM duckdb.query('SELECT -i AS i FROM range(100000) t(i)')")
    for start in range(0, 50000, 5000):
        assert conn.execute("FETCH 5000 FROM a").fetchall() == [(number,) for number in range(start, start + 5000)]
        assert conn.execute("FETCH 5000 FROM b").fetchall() == [(-number,) for number in range(start, start + 5000)]
    # Left open at commit.
    conn.commit()
    assert conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')").fetchall() == [(1,)]


@pytest.mark.parametrize("form", ["text", "binary", "csv"])
def test_copy_to(connect, form):
    conn = connect()
    with conn.cursor().copy(f"COPY (SELECT i, t FROM duckdb.query('SELECT i, ''t'' || i AS t FROM range(5000) t(i)')) TO STDOUT (FORMAT {form})") as copy:
        if form == "csv":
            assert b"".join(copy).decode().splitlines() == [f"{number},t{number}" for number in range(5000)]
        else:
            copy.set_types(["int8", "text"])
            assert list(copy.rows()) == [((number if form == "binary" else number), f"t{number}") for number in range(5000)]


def test_columns_are_known_before_execution(connect):
    conn = connect()
    conn.pgconn.prepare(b"p", b"SELECT * FROM duckdb.query('SELECT 1 AS one, ''x'' AS two, 1.5::DECIMAL(9,2) AS three')")
    described = conn.pgconn.describe_prepared(b"p")
    oids = [described.ftype(column) for column in range(described.nfields)]
    assert [described.fname(column) for column in range(3)] == [b"one", b"two", b"three"]
    assert oids == [23, 25, 1700]
    # numeric(9,2)
    assert described.fmod(2) == ((9 << 16) | 2) + 4
    result = conn.pgconn.exec_prepared(b"p", [])
    assert [result.get_value(0, column) for column in range(3)] == [b"1", b"x", b"1.50"]


def test_several_statements_in_one_simple_query(connect):
    conn = connect()
    results = conn.pgconn.exec_(b"SELECT * FROM duckdb.query('SELECT 1 AS a'); SELECT * FROM duckdb.query('SELECT ''x'' AS b')")
    assert (results.get_value(0, 0), results.fname(0)) == (b"x", b"b")
    failed = conn.pgconn.exec_(b"CREATE TABLE never AS SELECT * FROM duckdb.query('SELECT 1 AS a'); SELECT * FROM duckdb.query('FROM nosuch')")
    assert failed.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"42P01"
    assert conn.execute("SELECT to_regclass('never')").fetchone() == (None,)


def test_fetch_with_a_row_limit_in_the_extended_protocol(connect):
    """Execute with a row limit, as JDBC's fetch size does it, through PL/pgSQL's portal and chunks."""
    conn = connect()
    conn.execute("CREATE TEMP TABLE seen (i bigint)")
    conn.execute(
        "DO $$ DECLARE c CURSOR FOR SELECT * FROM duckdb.query('SELECT i FROM range(100) t(i)'); r record; BEGIN "
        "OPEN c; FOR n IN 1..7 LOOP FETCH c INTO r; INSERT INTO seen VALUES (r.i); END LOOP; CLOSE c; END $$"
    )
    assert conn.execute("SELECT count(*), max(i) FROM seen").fetchone() == (7, 6)


# ---- psql


@pytest.fixture
def psql(sandbox, database):
    def run(text, check=True, major=None):
        env = {**os.environ, "PGHOST": sandbox.socket_dir, "PGPORT": str(sandbox.port), "PGUSER": "postgres", "PGDATABASE": database}
        done = subprocess.run([sandbox.bindir / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1"], input=text, capture_output=True, text=True, env=env)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip() if check else done

    return run


def test_gdesc(psql):
    out = psql("SELECT * FROM duckdb.query('SELECT 1 AS a, ''x'' AS b, [1.5::DECIMAL(5,1)] AS c') \\gdesc\n")
    assert out.splitlines() == ["a|integer", "b|text", "c|numeric(5,1)[]"]


def test_bind(psql, sandbox):
    # The psql of 15 stands in where another one does not run.
    version = subprocess.run([sandbox.bindir / "psql", "--version"], capture_output=True, text=True, check=True).stdout
    if "(PostgreSQL) 15." in version:
        pytest.skip("psql has \\bind from 16 on")
    out = psql("SELECT * FROM duckdb.query('SELECT $1 AS a, $2 AS b', $1::int, $2::text) \\bind 5 hello \\g\n")
    assert out == "5|hello"


def test_psql_shows_where_an_error_is(psql):
    done = psql("SELECT 1,\n  a FROM duckdb.query('SELECT nosuch');\n", check=False)
    assert done.returncode != 0
    assert "LINE 2:   a FROM duckdb.query('SELECT nosuch');" in done.stderr


# ---- fresh sessions


@pytest.fixture(scope="module")
def stored(su):
    """Views and functions that other sessions use first."""
    for statement in (
        "CREATE VIEW stored_view AS SELECT * FROM duckdb.query('SELECT i, ''t'' || i AS t FROM range(100000) t(i)')",
        "CREATE VIEW stored_join AS SELECT a.i FROM stored_view a JOIN duckdb.query('SELECT i FROM range(10) t(i)') b USING (i)",
        "CREATE VIEW stored_rows AS SELECT * FROM duckdb.query_rows('SELECT i FROM range(100000) t(i)') AS t(i bigint)",
        "CREATE VIEW stored_reader AS SELECT * FROM duckdb.read_text('/etc/hostname')",
        "CREATE MATERIALIZED VIEW stored_copy AS SELECT count(*) AS n FROM stored_view",
        "CREATE FUNCTION stored_atomic() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM duckdb.query('SELECT i FROM range(10) t(i)'); END",
        "CREATE FUNCTION stored_sql() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM duckdb.query('SELECT i FROM range(10) t(i)') $$",
        "CREATE FUNCTION stored_plpgsql() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM duckdb.query('SELECT i FROM range(10) t(i)')); END $$",
    ):
        su.execute(statement)


def plan(conn, statement):
    return "\n".join(line for (line,) in conn.execute("EXPLAIN (COSTS OFF) " + statement))


@pytest.mark.parametrize("view", ["stored_view", "stored_join", "stored_rows", "stored_reader"])
def test_the_first_statement_of_a_session_on_a_stored_view_streams(view, connect, stored):
    conn = connect()
    text = plan(conn, f"SELECT * FROM {view}")
    assert "Custom Scan (DuckDB Scan)" in text and "Function Scan" not in text, text
    assert plan(conn, f"SELECT * FROM {view}") == text
    assert plan(connect(), f"SELECT * FROM {view} LIMIT 3").splitlines()[0].startswith(("Limit", " Limit"))


def test_first_uses_in_fresh_sessions(connect, stored):
    for statement, expected in {
        "SELECT count(*), max(t) FROM stored_view": (100000, "t99999"),
        "SELECT sum(i) FROM stored_join": (45,),
        "SELECT stored_atomic()": (10,),
        "SELECT stored_sql()": (10,),
        "SELECT stored_plpgsql()": (10,),
        "SELECT n FROM stored_copy": (100000,),
        "SELECT count(*) FROM stored_rows WHERE i > 99990": (9,),
    }.items():
        assert connect().execute(statement).fetchone() == expected, statement
    connect().execute("REFRESH MATERIALIZED VIEW stored_copy")
    conn = connect()
    conn.execute("CREATE TEMP TABLE first AS SELECT * FROM stored_view")
    assert conn.execute("SELECT count(*) FROM first").fetchone() == (100000,)
    conn = connect()
    conn.execute("PREPARE p(bigint) AS SELECT count(*) FROM stored_view WHERE i < $1")
    assert [conn.execute(f"EXECUTE p({number})").fetchone() for number in (5, 7)] == [(5,), (7,)]


def test_a_view_of_a_fresh_session_shows_the_query(connect, stored):
    text = connect().execute("SELECT pg_get_viewdef('stored_view')").fetchone()[0]
    assert re.sub(r"\s+", " ", text).strip().endswith("FROM duckdb.query_by_name('SELECT i, ''t'' || i AS t FROM range(100000) t(i)'::text) query(i bigint, t text);")


# ---- poolers


def test_discard_all_and_reset_leave_the_session_usable(connect):
    conn = connect()
    for _ in range(3):
        conn.execute("SET duckdb.memory_limit = '300MB'")
        assert conn.execute("SELECT value FROM duckdb.settings() WHERE name = 'memory_limit'").fetchone() == ("300.0 MiB",)
        conn.execute("DISCARD ALL")
        assert conn.execute("SELECT value FROM duckdb.settings() WHERE name = 'memory_limit'").fetchone() == ("2.0 GiB",)


def test_time_zone_follows_also_on_rollback(connect):
    conn = connect()
    shown = lambda: conn.execute("SELECT * FROM duckdb.query('SELECT TIMESTAMPTZ ''2000-01-01 00:00:00+00''::VARCHAR AS t')").fetchone()[0]
    conn.execute("SET timezone = 'Asia/Tokyo'")
    assert shown() == "2000-01-01 09:00:00+09"
    conn.execute("BEGIN")
    conn.execute("SET timezone = 'America/New_York'")
    assert shown() == "1999-12-31 19:00:00-05"
    conn.execute("ROLLBACK")
    assert shown() == "2000-01-01 09:00:00+09"
    conn.execute("CREATE FUNCTION pg_temp.in_utc() RETURNS text LANGUAGE plpgsql SET timezone = 'UTC' AS $$ BEGIN RETURN (SELECT t FROM duckdb.query('SELECT TIMESTAMPTZ ''2000-01-01 00:00:00+00''::VARCHAR AS t')); END $$")
    assert conn.execute("SELECT pg_temp.in_utc()").fetchone() == ("2000-01-01 00:00:00+00",)
    assert shown() == "2000-01-01 09:00:00+09"


def test_an_open_cursor_is_not_disturbed_by_a_change_of_settings(connect, su):
    conn = connect(autocommit=False)
    conn.execute("DECLARE c CURSOR FOR SELECT * FROM duckdb.query('SELECT i FROM range(300000) t(i)')")
    conn.execute("FETCH 10 FROM c")
    conn.execute("SET LOCAL duckdb.threads = 1")
    assert conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')").fetchall() == [(1,)]
    conn.execute("SELECT duckdb.recycle()")
    assert conn.execute("FETCH ALL FROM c").rowcount == 299990


# ---- an instance that breaks


BROKEN = (
    "FROM json_execute_serialized_sql($${\"error\":false,\"statements\":[{\"node\":{\"type\":\"SELECT_NODE\",\"modifiers\":[],\"cte_map\":{\"map\":[]},"
    "\"select_list\":[{\"class\":\"STAR\",\"type\":\"STAR\",\"alias\":\"\",\"relation_name\":\"\",\"exclude_list\":[],\"replace_list\":[],\"columns\":false,\"expr\":null}],"
    "\"from_table\":{\"type\":\"PIVOT\",\"alias\":\"\",\"sample\":null},\"where_clause\":null,\"group_expressions\":[],\"group_sets\":[],"
    "\"aggregate_handling\":\"STANDARD_HANDLING\",\"having\":null,\"sample\":null,\"qualify\":null}}]}$$)"
)


def test_an_internal_error_of_duckdb_opens_a_new_instance(connect):
    conn = connect()
    for call in ("SELECT * FROM duckdb.query(%s)", "SELECT * FROM duckdb.query_rows(%s) AS t(a int)", "SELECT * FROM duckdb.describe(%s)", "SELECT duckdb.execute(%s)"):
        conn.execute("SELECT duckdb.execute('CREATE TABLE of_this_instance AS SELECT 1 AS a')")
        assert conn.execute("SELECT * FROM duckdb.query('FROM of_this_instance')").fetchall() == [(1,)]
        with psycopg.ClientCursor(conn) as cursor:
            error = failure(cursor, call, (BROKEN,))
        assert error.sqlstate == "XX000"
        assert "internal error" in str(error) and "bug in DuckDB" in error.diag.message_hint
        assert conn.execute("SELECT * FROM duckdb.query('SELECT 2 AS a')").fetchall() == [(2,)]
        # The table went with the instance.
        assert failure(conn, "SELECT * FROM duckdb.query('FROM of_this_instance')").sqlstate == "42P01"
