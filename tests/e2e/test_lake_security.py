"""Lakes under PostgreSQL's rights: who reads and changes what of a lake, and what those who write its
catalog can do to others."""

import socket
import threading

import duckdb
import psycopg
import pytest
from psycopg import sql

from conftest import create_server, map_user, unique
from support import failure, sqlstate_of, words

PASSWORD = "s3kret-of-the-catalog"
FUNCTIONS = "duckdb.query(duckdb.sql), duckdb.query_rows(text), duckdb.query_by_name(text)"
EXECUTE = "duckdb.execute(text)"


def name_of(identifier):
    return '"' + identifier.replace('"', '""') + '"'


def text_of(value):
    return "'" + value.replace("'", "''") + "'"


def query(text):
    return f"SELECT * FROM duckdb.query({text_of(text)})"


def execute(text):
    return f"SELECT duckdb.execute({text_of(text)})"


class Lake:
    """A lake of its own: its catalog's database and its place in the bucket."""

    def __init__(self, sandbox, user):
        self.sandbox = sandbox
        self.user = user
        self.database = unique("pond_catalog")
        self.data_path = f"s3://lake/{self.database}/"

    def client(self):
        """Another DuckDB, with all rights to the catalog and the bucket."""
        conn = duckdb.connect(config={"extension_directory": str(self.sandbox.extension_dir)})
        conn.execute("SET autoinstall_known_extensions = false")
        for extension in ("httpfs", "postgres_scanner", "ducklake"):
            conn.execute(f"LOAD {extension}")
        key = self.sandbox.all
        conn.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{key.key_id}', SECRET '{key.secret}', ENDPOINT '{self.sandbox.s3_endpoint}', "
            f"REGION '{self.sandbox.s3_region}', URL_STYLE 'path', USE_SSL false)"
        )
        place = f"host=127.0.0.1 port={self.sandbox.port} dbname={self.database} user={self.user} password={PASSWORD}"
        conn.execute(f"ATTACH 'ducklake:postgres:{place}' AS lk (DATA_PATH '{self.data_path}', METADATA_SCHEMA 'cat')")
        return conn

    def catalog(self):
        """The catalog's own PostgreSQL, as a superuser."""
        return psycopg.connect(
            host=self.sandbox.socket_dir, port=self.sandbox.port, user="postgres", dbname=self.database, autocommit=True
        )


@pytest.fixture(scope="module")
def lake(cluster, sandbox):
    user = unique("pond_lake")
    cluster.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(user), sql.Literal(PASSWORD)))
    lake = Lake(sandbox, user)
    cluster.execute(f"CREATE DATABASE {lake.database} OWNER {user}")
    with lake.client() as client:
        client.execute("CREATE TABLE lk.main.orders AS SELECT i::BIGINT AS id, 'n' || i AS name FROM range(100) t(i)")
        client.execute("CREATE TABLE lk.main.other AS SELECT 'other' AS secret FROM range(100)")
        client.execute("CREATE VIEW lk.main.few AS SELECT id, name FROM lk.main.orders WHERE id < 3")
    yield lake
    cluster.execute(f"DROP DATABASE {lake.database} WITH (FORCE)")
    cluster.execute(f"DROP ROLE {user}")


def options_of(lake, **more):
    options = {
        "catalog": "postgres",
        "host": "127.0.0.1",
        "port": str(lake.sandbox.port),
        "dbname": lake.database,
        "metadata_schema": "cat",
        "data_path": lake.data_path,
        "storage": "store",
        **more,
    }
    return ", ".join(f"{name} {text_of(value)}" for name, value in options.items() if value is not None)


def make_lake(conn, lake, name, **more):
    conn.execute(f"CREATE SERVER {name_of(name)} TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS ({options_of(lake, **more)})")


def map_lake(conn, role, server, **options):
    listed = ", ".join(f"{name} {text_of(value)}" for name, value in options.items())
    who = role if role == "PUBLIC" else name_of(role)
    conn.execute(f"CREATE USER MAPPING FOR {who} SERVER {name_of(server)} OPTIONS ({listed})")


@pytest.fixture(scope="module")
def server(su, sandbox, lake):
    create_server(su, sandbox, "store", "s3://lake/")
    map_user(su, "postgres", "store", sandbox.all)
    make_lake(su, lake, "lk")
    map_lake(su, "postgres", "lk", user=lake.user, password=PASSWORD)
    su.execute("CREATE SCHEMA s")
    su.execute("IMPORT FOREIGN SCHEMA main FROM SERVER lk INTO s")
    su.execute("CREATE VIEW names AS SELECT name FROM s.orders")


@pytest.fixture(autouse=True)
def all_there(server):
    pass


@pytest.fixture
def member(role, su, lake, sandbox):
    """member("GRANT …"): a role with mappings for the lake and its storage and these grants."""

    def make(*grants, usage=False):
        name = role()
        map_lake(su, name, "lk", user=lake.user, password=PASSWORD)
        su.execute(
            f"CREATE USER MAPPING FOR {name_of(name)} SERVER store "
            f"OPTIONS (key_id '{sandbox.all.key_id}', secret '{sandbox.all.secret}')"
        )
        su.execute(f"GRANT USAGE ON SCHEMA s TO {name_of(name)}")
        if usage:
            grants = (*grants, "USAGE ON FOREIGN SERVER lk", f"EXECUTE ON FUNCTION {FUNCTIONS}")
        for grant in grants:
            su.execute(f"GRANT {grant} TO {name_of(name)}")
        return name

    return make


@pytest.fixture
def attacker(lake):
    """A client who may write the lake's catalog; what it has made is gone after the test."""
    client = lake.client()
    yield client
    for kind, names in (
        ("VIEW", "SELECT view_name FROM duckdb_views() WHERE database_name = 'lk' AND view_name LIKE 'evil%'"),
        ("TABLE", "SELECT DISTINCT table_name FROM duckdb_columns() WHERE database_name = 'lk' AND table_name LIKE 'evil%'"),
        ("MACRO", "SELECT DISTINCT function_name FROM duckdb_functions() WHERE database_name = 'lk' AND function_type = 'macro'"),
        (
            "MACRO TABLE",
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE database_name = 'lk' AND function_type = 'table_macro'",
        ),
    ):
        for (name,) in client.execute(names).fetchall():
            client.execute(f"DROP {kind} IF EXISTS lk.main.{name_of(name)}")
    # Files of tables that are gone count as well: the past may be read.
    with lake.catalog() as catalog:
        catalog.execute(
            "UPDATE cat.ducklake_data_file SET path = 'gone', path_is_relative = true "
            "WHERE NOT path_is_relative AND end_snapshot IS NOT NULL"
        )
    client.close()


# ---- the right to one table


def test_select_reads_one_table_and_nothing_else(connect, member, lake):
    conn = connect(member("SELECT ON s.orders"))
    assert conn.execute("SELECT count(*), max(name) FROM s.orders").fetchone() == (100, "n99")
    assert sqlstate_of(conn, "SELECT * FROM s.other") == "42501"
    assert sqlstate_of(conn, "SELECT * FROM s.few") == "42501"
    assert sqlstate_of(conn, query("FROM lk.main.orders")) == "42501"
    assert sqlstate_of(conn, execute("INSERT INTO lk.main.orders VALUES (1, 'x')")) == "42501"
    assert sqlstate_of(conn, "IMPORT FOREIGN SCHEMA main FROM SERVER lk INTO public") == "42501"
    assert sqlstate_of(conn, "CREATE FOREIGN TABLE mine () SERVER lk OPTIONS (table 'other')") == "42501"


def test_execute_without_usage_opens_nothing_of_the_lake(connect, member, lake):
    grants = "SELECT ON s.orders", f"EXECUTE ON FUNCTION {FUNCTIONS}, {EXECUTE}"
    conn = connect(member(*grants))
    assert conn.execute("SELECT count(*) FROM s.orders").fetchone() == (100,)
    for text in (
        "FROM lk.main.other",
        "FROM lk.main.orders",
        "FROM __ducklake_metadata_lk.cat.ducklake_table",
        "FROM ducklake_snapshots('lk')",
        f"FROM '{lake.data_path}main/orders/*.parquet'",
        f"FROM glob('{lake.data_path}**')",
    ):
        assert sqlstate_of(conn, query(text)) in ("42501", "42P01"), text
    assert sqlstate_of(conn, execute("DROP TABLE lk.main.orders")) == "42501"
    # Joined with a query of its own.
    joined = "SELECT * FROM s.orders o JOIN duckdb.query($$ SELECT * FROM lk.main.other $$) q ON true"
    assert sqlstate_of(conn, joined) in ("42501", "42P01")


def test_views_of_another_owner_read_with_the_owners_mapping(connect, role, su):
    name = role()
    su.execute(f"GRANT SELECT ON names TO {name_of(name)}")
    conn = connect(name)
    assert conn.execute("SELECT count(*) FROM names").fetchone() == (100,)
    assert sqlstate_of(conn, "SELECT count(*) FROM s.orders") == "42501"


def test_files_below_the_data_path_are_not_for_queries(connect, member, lake):
    conn = connect(member("EXECUTE ON ALL FUNCTIONS IN SCHEMA duckdb", usage=True))
    assert len(conn.execute(query("SELECT id FROM lk.main.orders")).fetchall()) == 100
    path = f"{lake.data_path}main/orders/*.parquet"
    for statement in (
        query(f"FROM '{path}'"),
        query(f"SELECT * FROM read_parquet('{path}') JOIN lk.main.orders ON true"),
        query(f"FROM glob('{lake.data_path}**')"),
        query(f"FROM read_blob('{lake.data_path}main/x')"),
        f"SELECT * FROM duckdb.read_parquet('{path}')",
        execute(f"COPY (SELECT 1 AS a) TO '{lake.data_path}evil.parquet'"),
        execute(f"COPY lk.main.orders TO '{lake.data_path}evil.parquet'"),
        execute(f"INSERT INTO lk.main.orders FROM '{path}'"),
    ):
        assert sqlstate_of(conn, statement) == "42501", statement


def test_the_catalogs_tables_are_closed(connect, member):
    conn = connect(member(f"EXECUTE ON FUNCTION {EXECUTE}", usage=True))
    conn.execute(query("SELECT 1 AS a FROM lk.main.orders LIMIT 1"))
    for text in (
        "FROM __ducklake_metadata_lk.cat.ducklake_table",
        'FROM "__DUCKLAKE_metadata_lk"."cat"."ducklake_table" JOIN lk.main.orders ON true',
        "FROM postgres_query('__ducklake_metadata_lk', 'SELECT usename::text FROM pg_user')",
        "FROM postgres_scan('', 'cat', 'ducklake_table') JOIN lk.main.orders ON true",
        "SELECT * FROM lk.main.orders WHERE id IN (SELECT table_id FROM __ducklake_metadata_lk.cat.ducklake_table)",
        "FROM duckdb_secrets() JOIN lk.main.orders ON true",
        "FROM duckdb_databases() JOIN lk.main.orders ON true",
        "FROM duckdb_settings() JOIN lk.main.orders ON true",
        "FROM query('FROM lk.main.orders')",
    ):
        assert sqlstate_of(conn, query(text)) == "42501", text
    for text in (
        "DROP TABLE __ducklake_metadata_lk.cat.ducklake_table",
        "UPDATE __ducklake_metadata_lk.cat.ducklake_table SET table_name = 'x'",
        "CALL postgres_execute('__ducklake_metadata_lk', 'DROP SCHEMA cat CASCADE')",
        "DETACH lk",
        "USE lk",
    ):
        assert sqlstate_of(conn, execute(text)) == "42501", text


# ---- statements of ordinary roles


def test_an_ordinary_role_changes_a_lake(connect, member, attacker):
    conn = connect(member(f"EXECUTE ON FUNCTION {EXECUTE}", usage=True))
    for text, count in (
        ("CREATE TABLE lk.main.evil_w (id BIGINT NOT NULL, name VARCHAR DEFAULT 'd', t TIMESTAMP)", None),
        ("INSERT INTO lk.main.evil_w (id, name) SELECT i, 'n' || i FROM range(100) t(i)", 100),
        ("INSERT INTO lk.main.evil_w (id, name) VALUES (100, DEFAULT)", 1),
        ("UPDATE lk.main.evil_w SET name = upper(name) WHERE id < 10", 10),
        ("UPDATE lk.main.evil_w w SET name = o.name FROM lk.main.orders o WHERE w.id = o.id AND o.id = 3", 1),
        ("DELETE FROM lk.main.evil_w USING lk.main.orders o WHERE evil_w.id = o.id AND o.id >= 50", 50),
        (
            "MERGE INTO lk.main.evil_w w USING (SELECT 200 AS id) n ON w.id = n.id "
            "WHEN MATCHED THEN UPDATE SET name = 'm' WHEN NOT MATCHED THEN INSERT (id, name) VALUES (n.id, 'new')",
            1,
        ),
        ("ALTER TABLE lk.main.evil_w ADD COLUMN more INTEGER DEFAULT 5", None),
        ("ALTER TABLE lk.main.evil_w RENAME COLUMN more TO less", None),
        ("ALTER TABLE lk.main.evil_w ALTER COLUMN less SET DATA TYPE BIGINT", None),
        ("ALTER TABLE lk.main.evil_w ALTER less SET DEFAULT 7", None),
        ("ALTER TABLE lk.main.evil_w ALTER less DROP DEFAULT", None),
        ("ALTER TABLE lk.main.evil_w ALTER id DROP NOT NULL", None),
        ("ALTER TABLE lk.main.evil_w SET PARTITIONED BY (year(t), bucket(4, id))", None),
        ("ALTER TABLE lk.main.evil_w RESET PARTITIONED BY", None),
        ("ALTER TABLE lk.main.evil_w SET SORTED BY (id DESC, lower(name))", None),
        ("INSERT INTO lk.main.evil_w (id, name) SELECT i, 'x' FROM range(300, 400) t(i)", 100),
        ("ALTER TABLE lk.main.evil_w RESET SORTED BY", None),
        ("ALTER TABLE lk.main.evil_w DROP COLUMN less", None),
        ("COMMENT ON TABLE lk.main.evil_w IS 'it''s mine'", None),
        ("COMMENT ON COLUMN lk.main.evil_w.id IS 'number'", None),
        ("CREATE OR REPLACE VIEW lk.main.evil_v AS SELECT id + 1 AS id FROM lk.main.evil_w", None),
        ("CREATE SCHEMA lk.evil_s", None),
        ("CREATE TABLE lk.evil_s.t AS SELECT id FROM lk.main.evil_v", None),
        ("DROP SCHEMA lk.evil_s CASCADE", None),
        ("CALL lk.set_option('target_file_size', '64MB', table_name => 'evil_w')", None),
    ):
        changed = conn.execute(execute(text)).fetchone()
        assert count is None or changed == (count,), text
    rows = conn.execute(query("SELECT count(*) AS n, max(id) AS m, min(name) FILTER (id = 3) AS o FROM lk.main.evil_w")).fetchone()
    assert rows == (152, 399, "n3")
    assert conn.execute(query("SELECT max(id) AS m FROM lk.main.evil_v")).fetchone() == (400,)
    with conn.transaction():
        conn.execute(execute("CALL lk.set_commit_message('me', 'emptied')"))
        conn.execute(execute("TRUNCATE lk.main.evil_w"))
    assert attacker.execute("SELECT count(*) FROM lk.main.evil_w").fetchone() == (0,)
    last = "SELECT author, commit_message FROM ducklake_snapshots('lk') ORDER BY snapshot_id DESC LIMIT 1"
    assert attacker.execute(last).fetchone() == ("me", "emptied")
    conn.execute(execute("DROP VIEW lk.main.evil_v"))
    conn.execute(execute("DROP TABLE lk.main.evil_w"))


def test_a_read_only_lake_is_refused(connect, role, su, lake, sandbox):
    make_lake(su, lake, "ro", read_only="true")
    try:
        name = role()
        for server, options in (
            ("ro", {"user": lake.user, "password": PASSWORD}),
            ("store", {"key_id": sandbox.all.key_id, "secret": sandbox.all.secret}),
        ):
            map_lake(su, name, server, **options)
        su.execute(f"GRANT USAGE ON FOREIGN SERVER ro TO {name_of(name)}")
        su.execute(f"GRANT EXECUTE ON FUNCTION {FUNCTIONS}, {EXECUTE} TO {name_of(name)}")
        map_lake(su, "postgres", "ro", user=lake.user, password=PASSWORD)
        for conn in (connect(name), connect()):
            assert sqlstate_of(conn, execute("INSERT INTO ro.main.orders VALUES (1, 'x')")) == "25006"
            assert conn.execute(query("SELECT count(*) AS n FROM ro.main.orders")).fetchone() == (100,)
    finally:
        su.execute("DROP SERVER ro CASCADE")


def test_a_read_only_transaction_refuses_changes(connect, member):
    conn = connect(member(f"EXECUTE ON FUNCTION {EXECUTE}", usage=True))
    conn.execute("SET default_transaction_read_only = on")
    assert sqlstate_of(conn, execute("DELETE FROM lk.main.orders")) == "25006"


# ---- passwords


def test_the_password_shows_nowhere(connect, member, su, lake, sandbox):
    start = sandbox.log.stat().st_size
    conn = connect(member("SELECT ON s.orders", usage=True))
    seen = []
    conn.execute("SET client_min_messages = debug1")
    conn.add_notice_handler(lambda notice: seen.append(notice.message_primary or ""))
    for explain in ("EXPLAIN VERBOSE", "EXPLAIN (ANALYZE, VERBOSE)"):
        seen += [row[0] for row in conn.execute(f"{explain} SELECT count(*) FROM s.orders").fetchall()]
    su_conn = connect()
    su_conn.execute("SET duckdb.log_sql = on")
    su_conn.execute(query("SELECT 1 AS a FROM lk.main.orders LIMIT 1"))
    for statement in (
        "SELECT * FROM duckdb.settings()",
        # Beside a lake a superuser sees these in an instance without fence only.
        "SET duckdb.superuser_sandbox = off",
        query("SELECT *, (SELECT 1 FROM lk.main.orders LIMIT 1) AS x FROM duckdb_secrets()"),
        query("SELECT path, (SELECT 1 FROM lk.main.orders LIMIT 1) AS x FROM duckdb_databases()"),
        "RESET duckdb.superuser_sandbox",
        "SELECT query, application_name FROM pg_stat_activity",
    ):
        cursor = su_conn.execute(statement)
        seen.append(str(cursor.fetchall() if cursor.description else ""))
    for changes in ("host '127.0.0.1', SET port '1'", "dbname 'nosuch'", "metadata_schema 'nosuch'"):
        su.execute(f"ALTER SERVER lk OPTIONS (SET {changes})")
        try:
            seen += [words(failure(c, "SELECT count(*) FROM s.orders")) for c in (conn, su_conn)]
        finally:
            su.execute(
                f"ALTER SERVER lk OPTIONS (SET host '127.0.0.1', SET port '{sandbox.port}', SET dbname '{lake.database}', "
                "SET metadata_schema 'cat')"
            )
    su.execute(f"ALTER USER MAPPING FOR {name_of(conn.info.user)} SERVER lk OPTIONS (SET password 'wrong-{PASSWORD}')")
    error = failure(conn, "SELECT count(*) FROM s.orders")
    assert error.sqlstate == "28P01", words(error)
    seen.append(words(error))
    assert [text for text in seen if PASSWORD in text] == []
    with open(sandbox.log, errors="replace") as log:
        log.seek(start)
        lines = [line for line in log if PASSWORD in line and "USER MAPPING" not in line]
    assert lines == []


def test_a_mapping_without_a_password_is_for_superusers(connect, member, su, lake):
    name = member("SELECT ON s.orders")
    conn = connect(name)
    who = f"USER MAPPING FOR {name_of(name)} SERVER lk"
    su.execute(f"ALTER {who} OPTIONS (DROP password)")
    assert sqlstate_of(conn, "SELECT count(*) FROM s.orders") == "2F003"
    su.execute(f"GRANT USAGE ON FOREIGN SERVER lk TO {name_of(name)}")
    assert sqlstate_of(conn, f"ALTER {who} OPTIONS (ADD password_required 'false')") == "42501"
    assert sqlstate_of(conn, f"DROP {who}") is None
    assert sqlstate_of(conn, f"CREATE {who} OPTIONS (user '{lake.user}', password_required 'false')") == "42501"
    su.execute(f"CREATE {who} OPTIONS (user '{lake.user}', password_required 'false')")
    error = failure(conn, "SELECT count(*) FROM s.orders")
    assert error.sqlstate == "28P01", words(error)
    # It cannot add a password to what a superuser has opened, or keep the opening for another user.
    assert sqlstate_of(conn, f"ALTER {who} OPTIONS (SET user 'postgres')") == "42501"
    su.execute(f"DROP {who}")


def test_a_server_that_trusts_is_refused(connect, role, su, lake, sandbox):
    make_lake(su, lake, "local", host=sandbox.socket_dir)
    try:
        name = role()
        su.execute(f"GRANT USAGE ON FOREIGN SERVER local, store TO {name_of(name)}")
        su.execute(f"GRANT EXECUTE ON FUNCTION {FUNCTIONS} TO {name_of(name)}")
        conn = connect(name)
        map_lake(conn, name, "local", user="postgres", password="whatever")
        map_lake(conn, name, "store", key_id=sandbox.all.key_id, secret=sandbox.all.secret)
        error = failure(conn, query("FROM local.main.orders"))
        assert error.sqlstate != "XX000" and "authentication method" in words(error), words(error)
        # Superusers are trusted as the operating system's user is.
        map_lake(su, "postgres", "local", user="postgres")
        assert connect().execute(query("SELECT count(*) AS n FROM local.main.orders")).fetchone() == (100,)
    finally:
        su.execute("DROP SERVER local CASCADE")


# ---- what a writer of the catalog does to readers

EVIL_BODIES = (
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT 1 AS a WHERE (SELECT count(*) FROM read_text('/etc/passwd')) > 0",
    "SELECT current_setting('memory_limit') AS a",
    "SELECT * FROM duckdb_settings()",
)


@pytest.mark.parametrize("superuser", [False, True])
def test_evil_views_are_refused(connect, member, attacker, superuser):
    conn = connect() if superuser else connect(member(usage=True))
    for body in EVIL_BODIES:
        attacker.execute(f"CREATE OR REPLACE VIEW lk.main.evil AS {body}")
        attacker.execute("CREATE OR REPLACE VIEW lk.main.evil_outer AS SELECT count(*) AS n FROM lk.main.evil")
        for view in ("evil", "evil_outer", "EVIL"):
            error = failure(conn, query(f"FROM lk.main.{view}"))
            assert error.sqlstate == "42501", (body, words(error))
            assert sqlstate_of(conn, query(f"SELECT 1 AS a FROM lk.main.{view} AT (VERSION => 1)")) in ("42501", "42P01")
    assert conn.execute(query("SELECT count(*) AS n FROM lk.main.few")).fetchone() == (3,)


@pytest.mark.parametrize("superuser", [False, True])
def test_views_that_query_other_servers_are_refused(connect, member, attacker, su, lake, superuser):
    conn = connect() if superuser else connect(member(usage=True))
    for body in (
        "SELECT * FROM postgres_query('__ducklake_metadata_lk', 'SELECT 1 AS a')",
        "SELECT * FROM postgres_query('__ducklake_metadata_lk', 'CREATE TABLE cat.evil AS SELECT 1 AS a')",
        "SELECT * FROM __ducklake_metadata_lk.cat.ducklake_table",
    ):
        # Bound when it is made: written into the catalog instead.
        attacker.execute("CREATE OR REPLACE VIEW lk.main.evil AS SELECT 1 AS a")
        with lake.catalog() as catalog:
            catalog.execute("UPDATE cat.ducklake_view SET sql = %s WHERE view_name = 'evil' AND end_snapshot IS NULL", (body,))
        assert sqlstate_of(connect(conn.info.user), query("FROM lk.main.evil")) == "42501", body


@pytest.mark.parametrize("superuser", [False, True])
def test_macros_do_not_hide_functions_of_views(connect, member, attacker, superuser):
    conn = connect() if superuser else connect(member(usage=True))
    attacker.execute(
        "CREATE OR REPLACE VIEW lk.main.evil AS SELECT upper(name) AS a, sum(id) + 1 AS b, name || 'x' AS c, count(*) AS d, "
        "[id][1] AS e FROM lk.main.orders, range(2) GROUP BY id, name"
    )
    assert len(conn.execute(query("FROM lk.main.evil")).fetchall()) == 100
    for macro in (
        "upper(x) AS (SELECT max(content) FROM read_text('/etc/passwd'))",
        "sum(x) AS 1",
        '"+"(x, y) AS (SELECT 1)',
        '"||"(x, y) AS (SELECT max(content) FROM read_text(\'/etc/passwd\'))',
        "count_star() AS 1",
        "list_value(x) AS [1]",
        "range(x) AS TABLE SELECT * FROM read_text('/etc/passwd')",
    ):
        attacker.execute(f"CREATE MACRO lk.main.{macro}")
        error = failure(conn, query("FROM lk.main.evil"))
        assert error.sqlstate == "42501" and "takes the place" in words(error), (macro, words(error))
        assert len(conn.execute(query("SELECT upper(name) AS a FROM lk.main.orders")).fetchall()) == 100
        attacker.execute(f"DROP MACRO{' TABLE' if ' TABLE ' in macro else ''} lk.main.{macro.split('(')[0]}")
    assert len(conn.execute(query("FROM lk.main.evil")).fetchall()) == 100


@pytest.mark.parametrize("superuser", [False, True])
def test_what_a_view_was_is_checked_too(connect, member, attacker, superuser):
    attacker.execute("CREATE VIEW lk.main.evil_past AS SELECT * FROM glob('/etc/*')")
    version = attacker.execute("SELECT id FROM ducklake_current_snapshot('lk')").fetchone()[0]
    attacker.execute("CREATE OR REPLACE VIEW lk.main.evil_past AS SELECT 1 AS a")
    attacker.execute(f"CREATE VIEW lk.main.evil_now AS SELECT count(*) AS n FROM lk.main.evil_past AT (VERSION => {version})")
    conn = connect() if superuser else connect(member(usage=True))
    assert conn.execute(query("FROM lk.main.evil_past")).fetchall() == [(1,)]
    assert conn.execute(query(f"SELECT count(*) AS n FROM lk.main.orders AT (VERSION => {version})")).fetchone() == (100,)
    for text in (f"FROM lk.main.evil_past AT (VERSION => {version})", "FROM lk.main.evil_now"):
        error = failure(conn, query(text))
        assert error.sqlstate == "42501" and "/etc/*" in words(error), words(error)
    attacker.execute("DROP VIEW lk.main.evil_past")
    assert sqlstate_of(conn, query(f"FROM lk.main.evil_past AT (VERSION => {version})")) == "42501"


def test_a_view_in_the_place_of_a_table_is_refused(connect, member, attacker, su):
    attacker.execute("CREATE TABLE lk.main.evil AS SELECT 1 AS a")
    su.execute("IMPORT FOREIGN SCHEMA main LIMIT TO (evil) FROM SERVER lk INTO s")
    conn = connect(member("SELECT ON s.evil"))
    try:
        assert conn.execute("SELECT a FROM s.evil").fetchall() == [(1,)]
        conn.execute("PREPARE p AS SELECT a FROM s.evil")
        attacker.execute("DROP TABLE lk.main.evil")
        attacker.execute("CREATE VIEW lk.main.evil AS SELECT length(content)::INTEGER AS a FROM read_text('/etc/passwd')")
        for statement in ("SELECT a FROM s.evil", "EXECUTE p", "EXPLAIN ANALYZE SELECT a FROM s.evil"):
            error = failure(conn, statement)
            assert error.sqlstate == "42501", words(error)
            assert sqlstate_of(su, "SELECT a FROM s.evil") == "42501"
    finally:
        su.execute("DROP FOREIGN TABLE s.evil")


@pytest.mark.parametrize("superuser", [False, True])
def test_evil_defaults_and_orders_are_refused(connect, member, attacker, superuser):
    conn = connect() if superuser else connect(member(f"EXECUTE ON FUNCTION {EXECUTE}", usage=True))
    insert = "INSERT INTO lk.main.evil (a) VALUES (1)"
    for default in ("current_setting('memory_limit')", "write_log('x')::VARCHAR", "'{}'::JSON::VARIANT::VARCHAR"):
        attacker.execute(f"CREATE OR REPLACE TABLE lk.main.evil (a INTEGER, b VARCHAR DEFAULT {default})")
        assert sqlstate_of(conn, execute(insert)) == "42501", default
        assert sqlstate_of(conn, execute("UPDATE lk.main.evil SET b = DEFAULT")) == "42501"
    attacker.execute("CREATE OR REPLACE TABLE lk.main.evil (a INTEGER, b VARCHAR DEFAULT upper('x'))")
    assert sqlstate_of(conn, execute(insert)) is None
    attacker.execute("CREATE MACRO lk.main.upper(x) AS current_setting('memory_limit')")
    assert sqlstate_of(conn, execute(insert)) == "42501"
    attacker.execute("DROP MACRO lk.main.upper")
    attacker.execute("ALTER TABLE lk.main.evil SET SORTED BY ((SELECT max(content) FROM read_text('http://127.0.0.1:1/x')))")
    error = failure(conn, execute(insert))
    assert error.sqlstate == "42501" and "127.0.0.1:1" in words(error), words(error)
    attacker.execute("ALTER TABLE lk.main.evil RESET SORTED BY")
    assert sqlstate_of(conn, execute(insert)) is None


def test_evil_defaults_and_orders_are_refused_to_dml(connect, member, attacker, su):
    attacker.execute("CREATE TABLE lk.main.evil (a INTEGER, b VARCHAR)")
    su.execute("IMPORT FOREIGN SCHEMA main LIMIT TO (evil) FROM SERVER lk INTO s")
    try:
        conn = connect(member("SELECT, INSERT, UPDATE ON s.evil", "SELECT ON s.orders"))
        inserts = "INSERT INTO s.evil VALUES (1, 'x')", "INSERT INTO s.evil SELECT id, name FROM s.orders"
        updates = ("UPDATE s.evil SET b = 'y'",)
        for statement in (*inserts, *updates):
            assert sqlstate_of(conn, statement) is None, statement
        attacker.execute("ALTER TABLE lk.main.evil SET SORTED BY ((SELECT max(content) FROM read_text('http://127.0.0.1:1/x')))")
        for statement in inserts:
            assert sqlstate_of(conn, statement) == "42501", statement
            assert sqlstate_of(su, statement) == "42501", statement
    finally:
        su.execute("DROP FOREIGN TABLE s.evil")


@pytest.fixture
def listener():
    """A server that notes who calls, and hangs up."""
    calls = []
    sock = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                client, _ = sock.accept()
            except OSError:
                return
            with client:
                client.settimeout(2)
                calls.append(client.recv(4096))

    threading.Thread(target=serve, daemon=True).start()
    yield sock.getsockname()[1], calls
    sock.close()


@pytest.mark.parametrize("superuser", [False, True])
def test_signed_requests_stay_with_the_store(connect, member, attacker, lake, listener, superuser):
    port, calls = listener
    attacker.execute("CREATE TABLE lk.main.evil AS SELECT i AS a FROM range(1000) t(i)")
    evil = f"?s3_endpoint=127.0.0.1:{port}&s3_use_ssl=false"
    with lake.catalog() as catalog:
        catalog.execute(
            "UPDATE cat.ducklake_data_file f SET path = f.path || %s FROM cat.ducklake_table t "
            "WHERE t.table_id = f.table_id AND t.table_name = 'evil' AND t.end_snapshot IS NULL",
            (evil,),
        )
    conn = connect() if superuser else connect(member(f"EXECUTE ON FUNCTION {EXECUTE}", "USAGE ON FOREIGN SERVER store", usage=True))
    for statement in (
        query("SELECT sum(a + random()) AS n FROM lk.main.evil"),
        query("SELECT a FROM lk.main.evil, glob('s3://lake/nothing/*')"),
        execute("DELETE FROM lk.main.evil WHERE a > 5"),
        execute("UPDATE lk.main.evil SET a = 1 WHERE a > 5"),
        execute("CREATE TABLE lk.main.evil_copy AS FROM lk.main.evil"),
    ):
        assert sqlstate_of(conn, statement) is not None, statement
    with lake.catalog() as catalog:
        catalog.execute(
            "UPDATE cat.ducklake_table SET path = 'x' || %s || '/' WHERE table_name = 'evil' AND end_snapshot IS NULL", (evil,)
        )
    conn = connect(conn.info.user)
    sqlstate_of(conn, execute("INSERT INTO lk.main.evil SELECT i FROM range(1000) t(i)"))
    assert calls == []
    with lake.catalog() as catalog:
        for table in ("ducklake_data_file", "ducklake_table"):
            catalog.execute(f"UPDATE cat.{table} SET path = replace(path, %s, '')", (evil,))
    # Patterns are still patterns, also beside the lake's name.
    if superuser:
        found = conn.execute(query(f"SELECT count(*) > 0 AS n FROM glob('{lake.data_path}main/orders/*') WHERE 'lk' = 'lk'"))
        assert found.fetchone() == (True,)


def test_patterns_are_understood_beside_lakes(connect, attacker, lake_writer):
    """A statement that reads patterns writes to a lake, whose own paths are taken literally otherwise."""
    place = f"s3://lake/{unique('patterns')}"
    for part in (0, 1):
        lake_writer.execute(f"COPY (SELECT i::INTEGER AS a FROM range(5) t(i)) TO '{place}/{part}.parquet'")
    attacker.execute("CREATE TABLE lk.main.evil (a INTEGER)")
    conn = connect()
    conn.execute(execute(f"INSERT INTO lk.main.evil FROM '{place}/*.parquet'"))
    conn.execute(f"SELECT duckdb.add_data_files('lk', 'evil', ARRAY['{place}/*.parquet'])")
    assert conn.execute(query("SELECT count(*) AS n, sum(a)::INTEGER AS s FROM lk.main.evil")).fetchone() == (20, 40)
    both = f"SELECT count(*) AS n FROM lk.main.evil JOIN '{place}/*.parquet' f USING (a)"
    assert conn.execute(query(both)).fetchone() == (40,)


def test_files_outside_of_the_data_path_are_refused(connect, member, attacker, lake, lake_writer):
    lake_writer.execute("COPY (SELECT 1 AS a FROM range(1000)) TO 's3://vault/outside.parquet'")
    attacker.execute("CREATE TABLE lk.main.evil AS SELECT 1 AS a FROM range(1000)")
    for path in ("s3://vault/outside.parquet", "s3://lake/elsewhere/x.parquet", "/etc/passwd", "http://127.0.0.1:1/x.parquet"):
        with lake.catalog() as catalog:
            catalog.execute(
                "UPDATE cat.ducklake_data_file f SET path = %s, path_is_relative = false FROM cat.ducklake_table t "
                "WHERE t.table_id = f.table_id AND t.table_name = 'evil' AND t.end_snapshot IS NULL",
                (path,),
            )
        assert sqlstate_of(connect(member(usage=True)), query("SELECT sum(a + random()) AS n FROM lk.main.evil")) == "42501", path


# ---- strangers, roles, changes


def test_oddly_named_servers(connect, member, su, lake):
    for name in ("ümläut", "lake.main", "two words", "MiXed", "select", "a'b"):
        make_lake(su, lake, name)
        try:
            map_lake(su, "postgres", name, user=lake.user, password=PASSWORD)
            conn = connect()
            assert conn.execute(query(f"SELECT count(*) AS n FROM {name_of(name)}.main.orders")).fetchone() == (100,), name
            conn.execute("BEGIN")
            conn.execute(execute(f"DELETE FROM {name_of(name)}.main.orders WHERE id = 5"))
            # DuckLake writes the name into its views as it is.
            view = query(f"SELECT count(*) AS n FROM {name_of(name)}.main.few")
            if name in ("ümläut", "MiXed"):
                assert conn.execute(view).fetchone() == (3,)
            else:
                assert sqlstate_of(conn, view) == "42601"
            conn.execute("ROLLBACK")
        finally:
            su.execute(f"DROP SERVER {name_of(name)} CASCADE")
    for name in ("Main", "memory", "TEMP", "system", "pg_catalog", "__ducklake_metadata_lk", "s3://lake/x", "a\nb", 'q"uote'):
        error = failure(su, f"CREATE SERVER {name_of(name)} TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS ({options_of(lake)})")
        assert error.sqlstate.startswith("HV"), name


def test_a_strangers_lake_leads_nobody_astray(connect, member, role, su, lake, sandbox):
    """A lake over somebody else's files, named so that every query would attach it."""
    stranger = role()
    victim = member("USAGE ON FOREIGN SERVER store", usage=True)
    su.execute(f"GRANT USAGE ON FOREIGN DATA WRAPPER duckdb TO {name_of(stranger)}")
    conn = connect(stranger)
    create_server(conn, sandbox, "own_store", "s3://lake/", endpoint="127.0.0.1:1")
    conn.execute("CREATE USER MAPPING FOR PUBLIC SERVER own_store OPTIONS (key_id 'k', secret 's')")
    make_lake(conn, lake, "parquet", storage="own_store")
    map_lake(conn, "PUBLIC", "parquet", user=lake.user, password=PASSWORD)
    make_lake(conn, lake, "e", port="1", data_path="s3://nowhere/", storage=None)
    map_lake(conn, "PUBLIC", "e", user=lake.user, password=PASSWORD)
    for name in ("own_store", "parquet", "e"):
        conn.execute(f"GRANT USAGE ON FOREIGN SERVER {name} TO PUBLIC")
    try:
        conn = connect(victim)
        path = f"{lake.data_path}main/orders/*.parquet"
        assert conn.execute(query(f"SELECT count(*) AS n FROM '{path}'")).fetchone() == (100,)
        assert conn.execute(query("SELECT 5 AS here")).fetchone() == (5,)
        assert sqlstate_of(conn, query("FROM parquet.main.orders")) == "42P01"
        # Superusers do not use strangers' lakes.
        assert sqlstate_of(connect(), query("FROM e.main.orders")) == "42P01"
    finally:
        for name in ("parquet", "e", "own_store"):
            su.execute(f"DROP SERVER {name} CASCADE")


def test_set_role_between_statements_of_a_transaction(connect, member, su):
    reader, nobody = member("SELECT ON s.orders", usage=True), member()
    conn = connect()
    conn.execute("BEGIN")
    conn.execute(execute("DELETE FROM lk.main.orders WHERE id < 50"))
    assert conn.execute("SELECT count(*) FROM s.orders").fetchone() == (50,)
    conn.execute(f"SET LOCAL ROLE {name_of(reader)}")
    # Another role has another transaction of DuckDB's, which would not see the changes.
    assert sqlstate_of(conn, "SELECT count(*) FROM s.orders") == "0A000"
    conn.execute("ROLLBACK")
    conn.execute("BEGIN")
    conn.execute(f"SET LOCAL ROLE {name_of(reader)}")
    assert conn.execute("SELECT count(*) FROM s.orders").fetchone() == (100,)
    assert sqlstate_of(conn, execute("DELETE FROM lk.main.orders")) == "42501"
    conn.execute("ROLLBACK")
    conn.execute("BEGIN")
    conn.execute(f"SET LOCAL ROLE {name_of(nobody)}")
    assert sqlstate_of(conn, "SELECT count(*) FROM s.orders") == "42501"
    conn.execute("ROLLBACK")
    assert conn.execute("SELECT count(*) FROM s.orders").fetchone() == (100,)


def test_grants_and_mappings_count_at_the_next_statement(connect, member, su, lake):
    name = member("SELECT ON s.orders", f"EXECUTE ON FUNCTION {EXECUTE}", usage=True)
    conn = connect(name)
    count = query("SELECT count(*) AS n FROM lk.main.orders")
    assert conn.execute(count).fetchone() == (100,)
    su.execute(f"REVOKE USAGE ON FOREIGN SERVER lk FROM {name_of(name)}")
    assert sqlstate_of(conn, count) in ("42501", "42P01")
    assert sqlstate_of(conn, execute("DELETE FROM lk.main.orders")) in ("42501", "42P01")
    assert conn.execute("SELECT count(*) FROM s.orders").fetchone() == (100,)
    conn.execute("BEGIN")
    assert conn.execute("SELECT count(*) FROM s.orders").fetchone() == (100,)
    su.execute(f"REVOKE SELECT ON s.orders FROM {name_of(name)}")
    assert sqlstate_of(conn, "SELECT count(*) FROM s.orders") == "42501"
    conn.execute("ROLLBACK")
    su.execute(f"GRANT SELECT ON s.orders TO {name_of(name)}")
    su.execute(f"GRANT USAGE ON FOREIGN SERVER lk TO {name_of(name)}")
    assert conn.execute(count).fetchone() == (100,)
    su.execute(f"DROP USER MAPPING FOR {name_of(name)} SERVER lk")
    assert sqlstate_of(conn, "SELECT count(*) FROM s.orders") == "42704"
    assert sqlstate_of(conn, count) in ("42704", "42501", "42P01")


def test_a_server_that_is_dropped_while_attached(connect, su, lake):
    make_lake(su, lake, "gone")
    map_lake(su, "postgres", "gone", user=lake.user, password=PASSWORD)
    conn = connect()
    count = query("SELECT count(*) AS n FROM gone.main.orders")
    conn.execute("BEGIN")
    assert conn.execute(count).fetchone() == (100,)
    su.execute("DROP SERVER gone CASCADE")
    assert sqlstate_of(conn, count) == "42P01"
    conn.execute("ROLLBACK")
    assert sqlstate_of(conn, count) == "42P01"
    assert conn.execute("SELECT count(*) FROM s.orders").fetchone() == (100,)


# ---- errors of the catalog


@pytest.fixture
def poor(cluster, lake):
    """A user of the catalog who may read what is there now, and nothing that comes."""
    name = unique("pond_poor")
    cluster.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    with lake.catalog() as catalog:
        catalog.execute(f"GRANT USAGE ON SCHEMA cat TO {name}")
        catalog.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA cat TO {name}")
    yield name
    with lake.catalog() as catalog:
        catalog.execute(f"DROP OWNED BY {name}")
    cluster.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize("superuser", [False, True])
def test_an_inlined_table_that_the_reader_may_not_read(connect, member, su, attacker, poor, lake, superuser):
    name = "postgres" if superuser else member(usage=True)
    attacker.execute("CREATE TABLE lk.main.evil (a INTEGER)")
    attacker.execute("INSERT INTO lk.main.evil VALUES (1)")
    who = f"USER MAPPING FOR {name_of(name)} SERVER lk"
    su.execute(f"ALTER {who} OPTIONS (SET user '{poor}')")
    try:
        conn = connect(name)
        for _ in range(2):
            assert conn.execute(query("SELECT count(*) AS n FROM lk.main.orders")).fetchone() == (100,)
            error = failure(conn, query("FROM lk.main.evil"))
            assert error.sqlstate == "42501", words(error)
            assert "permission denied in the lake's catalog" in words(error)
            assert "data_inlining_row_limit" in words(error)
        assert conn.execute(query("SELECT count(*) AS n FROM lk.main.orders")).fetchone() == (100,)
        with conn.transaction():
            assert conn.execute(query("SELECT count(*) AS n FROM lk.main.orders")).fetchone() == (100,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
                conn.execute(query("FROM lk.main.evil"))
            # The snapshot that was read went with the instance.
            with pytest.raises(psycopg.errors.SerializationFailure), conn.transaction():
                conn.execute(query("SELECT count(*) AS n FROM lk.main.orders"))
        assert conn.execute(query("SELECT count(*) AS n FROM lk.main.orders")).fetchone() == (100,)
    finally:
        su.execute(f"ALTER {who} OPTIONS (SET user '{lake.user}')")


TYPE_NAMES = ["INTEGER)FROM range(3)--", "INTEGER) AS a, (1", "INTEGER); SELECT (1", "select"]


@pytest.mark.parametrize("name", TYPE_NAMES)
def test_import_runs_no_names_of_types(connect, su, lake, attacker, name):
    """DuckDB writes a type of a PostgreSQL catalog by its name there, as it is."""
    quoted = '"' + name.replace('"', '""') + '"'
    with lake.catalog() as catalog:
        catalog.execute(f"CREATE TYPE cat.{quoted} AS ENUM ('a', 'b')")
    su.execute("CREATE SCHEMA typed")
    try:
        with lake.client() as client:
            client.execute(f"CREATE VIEW lk.main.evil_type AS SELECT CAST('a' AS __ducklake_metadata_lk.cat.{quoted}) AS a")
        conn = connect()
        described = conn.execute(query("SELECT column_type FROM (DESCRIBE FROM lk.main.evil_type)")).fetchall()
        assert described == [(name,)]
        conn.execute("IMPORT FOREIGN SCHEMA main LIMIT TO (evil_type) FROM SERVER lk INTO typed")
        columns = su.execute("SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attrelid = to_regclass('typed.evil_type') AND attnum > 0").fetchall()
        assert columns in ([], [("a", "text")])
    finally:
        su.execute("DROP SCHEMA typed CASCADE")
        with lake.catalog() as catalog:
            catalog.execute(f"DROP TYPE cat.{quoted} CASCADE")


def test_a_writer_who_may_only_read_the_catalog(connect, member, su, poor, lake):
    name = member(f"EXECUTE ON FUNCTION {EXECUTE}", usage=True)
    su.execute(f"ALTER USER MAPPING FOR {name_of(name)} SERVER lk OPTIONS (SET user '{poor}')")
    conn = connect(name)
    error = failure(conn, execute("INSERT INTO lk.main.orders VALUES (4711, 'the-row''s-value')"))
    assert error.sqlstate == "42501", words(error)
    assert "4711" not in words(error).split("LINE 1")[0] and "INSERT INTO \"cat\"" not in words(error), words(error)
    assert "permission denied for" in words(error)
    assert conn.execute(query("SELECT count(*) AS n FROM lk.main.orders")).fetchone() == (100,)


def test_a_locked_catalog(connect, su, lake, attacker):
    attacker.execute("CREATE TABLE lk.main.evil (a INTEGER, b VARCHAR)")
    su.execute("ALTER SERVER lk OPTIONS (ADD lock_timeout '300')")
    try:
        conn = connect()
        assert conn.execute(query("SELECT count(*) AS n FROM lk.main.orders")).fetchone() == (100,)
        with lake.catalog() as catalog, catalog.transaction():
            catalog.execute("LOCK TABLE cat.ducklake_snapshot IN SHARE MODE")
            error = failure(conn, execute("INSERT INTO lk.main.evil VALUES (4711, 'the-value')"))
            assert error.sqlstate == "55P03", words(error)
            assert "the-value" not in words(error).replace("VALUES (4711, ''the-value'')", "") and "lock_timeout" in words(error)
            catalog.execute("LOCK TABLE cat.ducklake_snapshot IN ACCESS EXCLUSIVE MODE")
            assert sqlstate_of(conn, query("FROM lk.main.orders")) == "55P03"
        assert conn.execute(query("SELECT count(*) AS n FROM lk.main.evil")).fetchone() == (0,)
    finally:
        su.execute("ALTER SERVER lk OPTIONS (DROP lock_timeout)")


def test_errors_of_writes(connect, attacker):
    attacker.execute("CREATE TABLE lk.main.evil (a INTEGER NOT NULL)")
    conn = connect()
    assert sqlstate_of(conn, execute("INSERT INTO lk.main.evil VALUES (NULL)")) == "23502"
    conn.execute("BEGIN")
    conn.execute(execute("INSERT INTO lk.main.evil VALUES (1)"))
    # A table of the session is no part of that.
    conn.execute(execute("CREATE TABLE memory.main.x AS SELECT 1 AS lk"))
    conn.execute("ROLLBACK")
    assert conn.execute(query("FROM memory.main.x")).fetchone() == (1,)
    # A DuckDB transaction that an error has aborted does not commit in silence: what came before is
    # written again.
    conn.execute("BEGIN")
    conn.execute(execute("CALL lk.set_commit_message('a', 'b')"))
    conn.execute(execute("INSERT INTO lk.main.evil VALUES (1)"))
    conn.execute("SAVEPOINT a")
    assert sqlstate_of(conn, execute("INSERT INTO lk.main.evil VALUES ('zz')")) == "22P02"
    conn.execute("ROLLBACK TO a")
    conn.execute("COMMIT")
    assert conn.execute(query("SELECT count(*) AS n FROM lk.main.evil")).fetchone() == (1,)
