"""No foreign table, view or lake is read in an instance of DuckDB that is open: what a table may touch is
known beforehand, whoever reads it. Only what a superuser types itself is free."""

import json

import psycopg
import pytest
from psycopg import sql

from conftest import create_server, map_user, unique
from lakes import execute, literal, query
from support import failure, open_directory, sqlstate_of, words
from test_foreign_tables import write_iceberg_table
from test_sandbox import CanaryServer

CANARY = "canary-4c1e"


def name_of(identifier):
    return '"' + identifier.replace('"', '""') + '"'


@pytest.fixture(scope="module")
def elsewhere(lake_writer):
    """A folder that no server has, with a secret in a file of each kind."""
    with open_directory() as path:
        path.chmod(0o777)
        (path / "secret.csv").write_text(f"a\n{CANARY}\n")
        (path / "secret.json").write_text(json.dumps({"a": CANARY}) + "\n")
        lake_writer.execute(
            f"COPY (SELECT i AS id, '{CANARY}' AS name FROM range(3) t(i)) TO '{path}/secret.parquet' (FIELD_IDS {{id: 1, name: 2}})"
        )
        (path / "secret.parquet").chmod(0o644)
        yield path


@pytest.fixture(scope="module")
def canary_server(elsewhere):
    server = CanaryServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def folder(su, elsewhere):
    """The folder of a server of type file, and the server."""
    with open_directory() as path:
        path.chmod(0o777)
        su.execute(f"CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{path}')")
        su.execute("CREATE USER MAPPING FOR PUBLIC SERVER files")
        (path / "honest.csv").write_text("a\nhonest\n")
        su.execute(f"CREATE FOREIGN TABLE honest (a text) SERVER files OPTIONS (path '{path}/honest.csv')")
        yield path
        su.execute("DROP SERVER files CASCADE")


@pytest.fixture
def table(su):
    """table(columns, path, **options): a foreign table on server files, gone after the test."""
    made = []

    def make(columns, path, **options):
        name = unique("fenced")
        listed = ", ".join(f"{key} {literal(value)}" for key, value in {"path": path, **options}.items())
        su.execute(f"CREATE FOREIGN TABLE {name} ({columns}) SERVER files OPTIONS ({listed})")
        made.append(name)
        return name

    yield make
    for name in made:
        su.execute(f"DROP FOREIGN TABLE {name} CASCADE")


def refused(conn, statement):
    error = failure(conn, statement)
    assert CANARY not in words(error), statement
    assert error.sqlstate == "42501", (statement, words(error))
    return error


# ---- files


def test_a_table_reads_its_server_and_a_typed_text_reads_all(su, folder, elsewhere):
    assert su.execute("SELECT * FROM honest").fetchall() == [("honest",)]
    assert query(su, f"FROM '{elsewhere}/secret.csv'") == [(CANARY,)]
    assert su.execute(f"SELECT * FROM duckdb.read_csv('{elsewhere}/secret.csv')").fetchall() == [(CANARY,)]
    assert su.execute("SELECT * FROM honest").fetchall() == [("honest",)]


def test_a_table_of_a_file_server_is_there_for_whoever_may_read_it(su, folder, role, connect):
    name = role()
    su.execute(f"GRANT SELECT ON honest TO {name}")
    assert connect(name).execute("SELECT * FROM honest").fetchall() == [("honest",)]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_a_symbolic_link_is_not_followed(su, folder, elsewhere, table, role, connect, kind):
    link = folder / f"link.{kind}"
    link.unlink(missing_ok=True)
    link.symlink_to(elsewhere / f"secret.{kind}")
    name = table("name text" if kind == "parquet" else "a text", f"{folder}/link.{kind}")
    su.execute(f"CREATE VIEW {name}_view AS SELECT * FROM {name}")
    refused(su, f"SELECT * FROM {name}")
    refused(su, f"SELECT count(*), max({name}::text) FROM {name}")
    refused(su, f"ANALYZE {name}")
    refused(su, f"SELECT * FROM {name}_view")
    refused(su, f"CREATE FOREIGN TABLE {unique('new')} () SERVER files OPTIONS (path '{folder}/link.{kind}')")
    reader = role()
    su.execute(f"GRANT SELECT ON {name}_view TO {reader}")
    refused(connect(reader), f"SELECT * FROM {name}_view")
    link.unlink()


def test_iceberg_metadata_names_no_other_place(su, folder, elsewhere, table, lake_writer, canary_server, sandbox):
    create_server(su, sandbox, "vault", "s3://vault/")
    map_user(su, "postgres", "vault", sandbox.all)
    lake_writer.execute(
        f"COPY (SELECT i AS id, '{CANARY}' AS name FROM range(3) t(i)) TO 's3://vault/fences/x.parquet' (FIELD_IDS {{id: 1, name: 2}})"
    )
    store = f"http://{canary_server.address}/x.parquet"
    for number, data in enumerate((f"{elsewhere}/secret.parquet", f"file://{elsewhere}/secret.parquet", store, "s3://outside/x.parquet")):
        path = folder / unique("ice")
        write_iceberg_table(path, lake_writer, hint=True, data=data)
        name = table("id bigint, name text", str(path), format="iceberg")
        for statement in (f"SELECT * FROM {name}", f"SELECT max(name) FROM {name}"):
            error = failure(su, statement)
            assert CANARY not in words(error) and error.sqlstate in ("42501", "08001", "58030", "58P01"), words(error)
            assert number == 3 or error.sqlstate == "42501", words(error)
    assert canary_server.hits == []
    su.execute("DROP SERVER vault CASCADE")


def test_a_delta_log_names_no_other_place(su, folder, elsewhere, table, canary_server):
    columns = [{"name": "id", "type": "long", "nullable": True, "metadata": {}}, {"name": "name", "type": "string", "nullable": True, "metadata": {}}]
    size = (elsewhere / "secret.parquet").stat().st_size
    for data in (f"{elsewhere}/secret.parquet", f"file://{elsewhere}/secret.parquet", f"http://{canary_server.address}/x.parquet"):
        path = folder / unique("delta")
        (path / "_delta_log").mkdir(parents=True)
        log = [
            {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
            {"metaData": {"id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9", "format": {"provider": "parquet", "options": {}},
                          "schemaString": json.dumps({"type": "struct", "fields": columns}), "partitionColumns": [], "configuration": {}}},
            {"add": {"path": data, "partitionValues": {}, "size": size, "modificationTime": 1, "dataChange": True}},
        ]
        (path / "_delta_log" / "00000000000000000000.json").write_text("\n".join(json.dumps(line) for line in log))
        name = table("id bigint, name text", str(path), format="delta")
        error = failure(su, f"SELECT * FROM {name}")
        assert CANARY not in words(error) and error.sqlstate in ("42501", "58P01", "58030", "08001"), words(error)
    assert canary_server.hits == []


def test_a_table_beside_a_typed_text(su, folder, elsewhere):
    """Each is read in its own instance: the text is free, the table is not."""
    joined = f"FROM honest h JOIN duckdb.query($$FROM '{elsewhere}/secret.csv'$$) q ON q.a <> h.a"
    assert su.execute(f"SELECT h.a, q.a {joined}").fetchall() == [("honest", CANARY)]
    assert su.execute(f"SELECT count(*), max(q.a) {joined}").fetchall() == [(1, CANARY)]
    su.execute(f"PREPARE beside AS SELECT h.a, q.a {joined}")
    assert su.execute("EXECUTE beside").fetchall() == [("honest", CANARY)]


# ---- the setting


def test_the_setting_is_for_superusers(su, role, connect, folder, elsewhere, table):
    conn = connect(role())
    conn.execute("SELECT duckdb.version()")
    assert conn.execute("SHOW duckdb.superuser_sandbox").fetchone() == ("on",)
    assert sqlstate_of(conn, "SET duckdb.superuser_sandbox = off") == "42501"
    link = folder / "setting.csv"
    link.symlink_to(elsewhere / "secret.csv")
    name = table("a text", f"{folder}/setting.csv")
    refused(su, f"SELECT * FROM {name}")
    su.execute("SET duckdb.superuser_sandbox = off")
    try:
        assert su.execute(f"SELECT * FROM {name}").fetchall() == [(CANARY,)]
    finally:
        su.execute("RESET duckdb.superuser_sandbox")
    refused(su, f"SELECT * FROM {name}")
    link.unlink()


# ---- lakes


@pytest.fixture(scope="module")
def lake(lakes, su):
    lake = lakes.make("fk")
    su.execute("SELECT duckdb.create_lake('fk')")
    execute(su, "CREATE TABLE fk.main.t AS SELECT 1::BIGINT AS id, 'honest' AS name")
    execute(su, "CREATE TABLE fk.main.gone AS SELECT range AS id FROM range(3)")
    lake.import_into("fs")
    return lake


def in_catalog(lakes, lake, statement):
    schema = lake.place["metadata_schema"]
    with lakes.catalog_connection() as conn:
        return conn.execute(f"SET search_path = {schema}; {statement}")


def test_a_typed_text_that_names_a_lake_is_fenced(su, lake, folder, elsewhere):
    assert query(su, "SELECT name FROM fk.main.t") == [("honest",)]
    error = refused(su, f"SELECT * FROM duckdb.query($$SELECT * FROM fk.main.t, '{elsewhere}/secret.csv'$$)")
    assert "duckdb.superuser_sandbox" in error.diag.message_hint
    refused(su, f"SELECT duckdb.execute($$COPY fk.main.t TO '{elsewhere}/out.csv'$$)")
    refused(su, f"SELECT duckdb.execute($$CREATE TABLE fk.main.stolen AS FROM '{elsewhere}/secret.csv'$$)")
    assert not (elsewhere / "out.csv").exists()
    # The lake's name within a path is no name of the lake.
    (elsewhere / "fk").mkdir()
    (elsewhere / "fk" / "x.csv").write_text(f"a\n{CANARY}\n")
    assert query(su, f"FROM '{elsewhere}/fk/x.csv'") == [(CANARY,)]
    su.execute("SET duckdb.superuser_sandbox = off")
    try:
        assert query(su, f"SELECT a, name FROM fk.main.t, '{elsewhere}/secret.csv'") == [(CANARY, "honest")]
    finally:
        su.execute("RESET duckdb.superuser_sandbox")
    # No lake is left attached where typed texts are free.
    assert "fk" not in {name for (name,) in query(su, "SELECT database_name FROM duckdb_databases()")}
    refused(su, f"SELECT * FROM duckdb.query($$SELECT * FROM fk.main.t, '{elsewhere}/secret.csv'$$)")


def test_a_lakes_catalog_names_no_other_place(su, lakes, lake, elsewhere, lake_writer):
    """A data file, a file to be deleted, the folder of a table."""
    lake_writer.execute(f"COPY (SELECT 7::BIGINT AS id, '{CANARY}' AS name) TO '{elsewhere}/lake.parquet' (FIELD_IDS {{id: 1, name: 2}})")
    (elsewhere / "lake.parquet").chmod(0o666)
    changed = f"UPDATE ducklake_data_file SET path = '{elsewhere}/lake.parquet', path_is_relative = false WHERE table_id = (SELECT max(table_id) FROM ducklake_table WHERE table_name = 'u')"
    su.execute("SELECT duckdb.execute('CREATE TABLE fk.main.u AS SELECT range::BIGINT AS id, ''x'' AS name FROM range(100)')")
    lake.import_into("fs")
    in_catalog(lakes, lake, changed)
    for statement in (
        "SELECT * FROM fs.u",
        "SELECT name, count(*) FROM fs.u GROUP BY 1",
        "SELECT upper(name) FROM fs.u",
        "ANALYZE fs.u",
        "UPDATE fs.u SET name = name || 'x'",
        "INSERT INTO fs.t SELECT * FROM fs.u",
        "SELECT * FROM duckdb.query('FROM fk.main.u')",
    ):
        refused(su, statement)
    schema = lake.place["metadata_schema"]
    victim = elsewhere / "victim.parquet"
    victim.write_text("precious")
    victim.chmod(0o666)
    in_catalog(
        lakes, lake,
        f"INSERT INTO ducklake_files_scheduled_for_deletion (data_file_id, path, path_is_relative, schedule_start) "
        f"VALUES (999, '{victim}', false, now() - interval '1 day')",
    )
    error = failure(su, "SELECT * FROM duckdb.cleanup_old_files('fk', cleanup_all => true)")
    assert victim.exists(), schema
    assert error is not None and error.sqlstate == "42501", words(error)
    in_catalog(lakes, lake, "DELETE FROM ducklake_files_scheduled_for_deletion")
    execute(su, "DROP TABLE fk.main.u")
    lake.import_into("fs")


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_catalog_that_is_a_file_is_opened_behind_shut_doors(su, lakes, elsewhere, kind):
    """What a catalog file holds may be a view: DuckDB reads it when it attaches the lake."""
    lake = lakes.make(unique("fl"), catalog=kind, local=True)
    su.execute(f"SELECT duckdb.create_lake('{lake.name}')")
    execute(su, f"CREATE TABLE {lake.name}.main.t AS SELECT range AS id FROM range(100)")
    execute(su, f"INSERT INTO {lake.name}.main.t SELECT 100")
    lake.import_into(unique("fl"))
    assert query(su, f"SELECT count(*) FROM {lake.name}.main.t") == [(101,)]
    # Catalog files themselves are no files to read.
    refused(su, f"SELECT * FROM duckdb.query($$FROM {lake.name}.main.t, read_text('{lake.place['path']}')$$)")
    su.execute("SELECT duckdb.recycle()")
    if kind == "duckdb":
        import duckdb

        with duckdb.connect(lake.place["path"]) as conn:
            conn.execute("ALTER TABLE ducklake_metadata RENAME TO meta")
            conn.execute(
                "CREATE VIEW ducklake_metadata AS SELECT key, CASE WHEN key = 'version' AND (SELECT count(*) FROM read_text("
                f"'{elsewhere}/secret.csv')) > 0 THEN value ELSE value END AS value, scope, scope_id FROM meta"
            )
        error = failure(su, f"SELECT * FROM duckdb.query('FROM {lake.name}.main.t')")
        assert error.sqlstate == "HV00N" and "Cannot access file" in words(error) and CANARY not in words(error)


# ---- options


BAD_SCHEMAS = ["{DATA_PATH}", "a'b", 'a"b', "a;b", "a b", "a.b", "{COMMIT_MESSAGE}", "a\nb", "a(b)", "--x"[:0] + "a/*b"]


@pytest.mark.parametrize("schema", BAD_SCHEMAS)
def test_a_metadata_schema_is_an_identifier(su, lake, schema):
    statement = sql.SQL(
        "CREATE SERVER bad TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS (host 'h', data_path 's3://lake/x/', metadata_schema {})"
    ).format(sql.Literal(schema))
    assert sqlstate_of(su, statement) == "HV024"


BAD_PLACES = ["s3://lake/a'b/", 's3://lake/a"b/', "s3://lake/a;b/", "s3://lake/{AUTHOR}/", "s3://lake/a b/", "s3://lake/a\tb/", "/tmp/a b/", "/tmp/a'b/", "s3://lake/a`b/", "s3://lake/a\u00a0b/"]


@pytest.mark.parametrize("place", BAD_PLACES)
def test_a_data_path_is_a_plain_place(su, place):
    statement = sql.SQL("CREATE SERVER bad TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS (host 'h', data_path {})").format(sql.Literal(place))
    assert sqlstate_of(su, statement) == "HV024"


@pytest.mark.parametrize("place", ["/tmp/a'b", '/tmp/a"b', "/tmp/a;b", "/tmp/{a}", "s3://lake/a'b/", "s3://lake/a;b/"])
def test_a_location_is_a_plain_place(su, place):
    kind = "s3" if place.startswith("s3") else "file"
    statement = sql.SQL("CREATE SERVER bad TYPE {} FOREIGN DATA WRAPPER duckdb OPTIONS (location {})").format(sql.Literal(kind), sql.Literal(place))
    assert sqlstate_of(su, statement) == "HV024"


@pytest.mark.parametrize("name", ["{DATA_PATH}", "a{COMMIT_MESSAGE}", "a{", "}"])
def test_a_lake_has_a_plain_name(su, name):
    statement = sql.SQL("CREATE SERVER {} TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS (host 'h', data_path 's3://lake/x/')").format(sql.Identifier(name))
    assert sqlstate_of(su, statement) == "HV024"


def test_old_options_are_refused_when_the_lake_is_opened(su, lakes, elsewhere):
    """The catalogs may hold what no CREATE SERVER would take any more."""
    lake = lakes.make(unique("old"))
    common = ["host=127.0.0.1", "port=1", "dbname=x", "storage=store"]
    for options in ([*common, "metadata_schema={DATA_PATH}", "data_path=s3://lake/x/"], [*common, "data_path=s3://lake/x'y;z/"]):
        su.execute("SET allow_system_table_mods = on")
        su.execute("UPDATE pg_foreign_server SET srvoptions = %s::text[] WHERE srvname = %s", (options, lake.name))
        su.execute("RESET allow_system_table_mods")
        su.execute("SELECT duckdb.recycle()")
        error = failure(su, f"SELECT * FROM duckdb.query('FROM {lake.name}.main.t')")
        assert error.sqlstate == "HV024", words(error)


# ---- servers that differ in case


def test_servers_whose_names_differ_in_case_work_together(su, sandbox, lake_writer, role, connect):
    for place in ("case_a", "case_b"):
        lake_writer.execute(f"COPY (SELECT '{place}' AS a) TO 's3://lake/{place}/x.csv'")
    create_server(su, sandbox, "casing", "s3://lake/case_a/")
    create_server(su, sandbox, "CASING", "s3://lake/case_b/")
    reader = role()
    su.execute(f"GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {reader}")
    for who in ("postgres", reader):
        for server in ("casing", "CASING"):
            map_user(su, who, server, sandbox.all)
    for conn in (su, connect(reader)):
        for place in ("case_a", "case_b"):
            assert query(conn, f"FROM 's3://lake/{place}/x.csv'") == [(place,)]
    su.execute('DROP SERVER casing CASCADE')
    su.execute('DROP SERVER "CASING" CASCADE')


def test_lakes_whose_names_differ_in_case_harm_nobody(su, lakes, role, connect):
    low = lakes.make(unique("cased"))
    high = lakes.make(name_of(low.name.upper()))
    su.execute(f"SELECT duckdb.create_lake('{low.name}'), duckdb.create_lake('{low.name.upper()}')")
    execute(su, f"CREATE TABLE {low.name}.main.t AS SELECT 'low' AS a")
    execute(su, f'CREATE TABLE {high.name}.main.t AS SELECT \'high\' AS a')
    assert query(su, f"FROM {low.name}.main.t") == [("low",)]
    assert query(su, f"FROM {high.name}.main.t") == [("high",)]
    low.import_into("cased_low")
    high.import_into("cased_high")
    for _ in range(2):
        assert su.execute("SELECT a FROM cased_low.t").fetchall() == [("low",)]
        assert su.execute("SELECT a FROM cased_high.t").fetchall() == [("high",)]
    su.execute("DROP SCHEMA cased_low, cased_high CASCADE")


def test_a_strangers_lake_of_another_case_takes_no_precedence(su, lakes, role, connect):
    own = lakes.make(unique("mine"))
    su.execute(f"SELECT duckdb.create_lake('{own.name}')")
    execute(su, f"CREATE TABLE {own.name}.main.t AS SELECT 'mine' AS a")
    stranger, reader = role(), role()
    su.execute(f"GRANT USAGE ON FOREIGN DATA WRAPPER duckdb TO {stranger}")
    su.execute(f"GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {reader}")
    su.execute(f"GRANT USAGE ON FOREIGN SERVER {own.name} TO {reader}")
    own.map_user(reader)
    map_user(su, reader, "store", lakes.sandbox.all)
    trap = name_of(own.name.upper())
    with connect(stranger) as conn:
        conn.execute(f"CREATE SERVER {trap} TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS (host '127.0.0.1', port '1', dbname 'x', data_path 's3://trap/x/')")
        conn.execute(f"CREATE USER MAPPING FOR PUBLIC SERVER {trap} OPTIONS (user 'x', password 'x')")
        conn.execute(f"GRANT USAGE ON FOREIGN SERVER {trap} TO PUBLIC")
    conn = connect(reader)
    assert query(conn, f"FROM {own.name}.main.t") == [("mine",)]
    assert query(conn, f"FROM {own.name.upper()}.main.t") == [("mine",)]
    su.execute(f"DROP SERVER {trap} CASCADE")


# ---- grants


def test_a_revoked_storage_is_closed_to_the_lakes_owner(su, lakes, sandbox, role, connect):
    lake = lakes.make(unique("owned"))
    su.execute(f"SELECT duckdb.create_lake('{lake.name}')")
    execute(su, f"CREATE TABLE {lake.name}.main.t AS SELECT range AS id FROM range(1000)")
    owner = role()
    su.execute(f"GRANT USAGE ON FOREIGN DATA WRAPPER duckdb TO {owner}")
    su.execute(f"GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {owner}")
    map_user(su, owner, "store", sandbox.all)
    su.execute(f"GRANT USAGE ON FOREIGN SERVER {lake.name} TO {owner}")
    su.execute(f"ALTER SERVER {lake.name} OWNER TO {owner}")
    lake.map_user(owner)
    schema = unique("owned")
    conn = connect(owner)
    su.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {owner}")
    conn.execute(f"IMPORT FOREIGN SCHEMA main FROM SERVER {lake.name} INTO {schema}")
    total = f"SELECT sum(id) FROM {schema}.t"
    assert conn.execute(total).fetchone() == (499500,)
    assert query(conn, f"SELECT sum(id) FROM {lake.name}.main.t") == [(499500,)]
    su.execute(f"REVOKE USAGE ON FOREIGN SERVER store FROM {owner}")
    assert sqlstate_of(conn, total) == "42501"
    assert sqlstate_of(conn, f"SELECT * FROM duckdb.query('SELECT sum(id) FROM {lake.name}.main.t')") == "42501"
    su.execute(f"GRANT USAGE ON FOREIGN SERVER store TO {owner}")
    assert conn.execute(total).fetchone() == (499500,)
    su.execute(f"ALTER SERVER {lake.name} OWNER TO postgres")


# ---- the second fence


def test_sql_of_our_own_reads_what_was_planned(su, folder, role, connect):
    """A literal whose text would be taken for a part of the SQL, which then reads a file of the same server that
    nobody was given: it stays a literal, or nothing runs."""
    (folder / "other.txt").write_text(CANARY)
    name = role()
    su.execute(f"GRANT SELECT ON honest TO {name}")
    attack = f" || (SELECT content FROM read_text($a${folder}/other.txt$a$))) AS \"c\" -- "
    statement = (
        f"SELECT E'\\x030:2\\x03' || t.a AS c FROM honest t, (SELECT '{attack}' AS x, a FROM honest LIMIT 1) s WHERE s.a = t.a AND s.x <> 'q'"
    )
    for conn in (su, connect(name)):
        for prefix in ("", "EXPLAIN (VERBOSE) "):
            try:
                rows = conn.execute(prefix + statement).fetchall()
                assert prefix or rows == [("\x030:2\x03honest",)]
            except psycopg.errors.InternalError_ as error:
                assert "more than was planned" in str(error) and CANARY not in words(error)
