"""Foreign tables over time: dumps, upgrades, concurrent updates, a store that does not answer, many
columns, many files, Delta tables."""

import json
import os
import re
import subprocess
import time

import psycopg
import pytest
from psycopg import sql

from conftest import create_server, map_user, unique
from support import PROMPT_S, Background, Proxy, eventually, failure, sqlstate_of

BUCKET = "s3://lake/ftm/"


@pytest.fixture(scope="module")
def store(sandbox, lake_writer):
    lake_writer.execute(f"COPY (SELECT i, 'n' || i AS name, i % 5 AS part FROM range(1000) t(i)) TO '{BUCKET}rows.parquet'")
    lake_writer.execute(f"COPY (SELECT 1 AS \"odd 'name'\", 'é' AS \"Größe\") TO '{BUCKET}odd.parquet'")
    proxy = Proxy(sandbox.s3_endpoint)
    yield proxy
    proxy.close()


@pytest.fixture(scope="module", autouse=True)
def lake(su, sandbox, store):
    create_server(su, sandbox, "lake", BUCKET, endpoint=store.address)
    map_user(su, "postgres", "lake", sandbox.all)
    su.execute(f"CREATE FOREIGN TABLE rows () SERVER lake OPTIONS (path '{BUCKET}rows.parquet')")


@pytest.fixture
def folder(su, tmp_path_factory):
    """A folder of the server's machine, and a server for it."""
    path = tmp_path_factory.mktemp("ft")
    for parent in [path, *path.parents][:3]:
        parent.chmod(0o755)
    name = unique("files")
    su.execute(f"CREATE SERVER {name} TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{path}')")
    su.execute(f"CREATE USER MAPPING FOR PUBLIC SERVER {name}")
    yield path, name
    su.execute(f"DROP SERVER {name} CASCADE")


@pytest.fixture
def schema(su):
    name = unique("imported")
    su.execute(f"CREATE SCHEMA {name}")
    yield name
    su.execute(f"DROP SCHEMA {name} CASCADE")


def tables_of(conn, schema):
    """The foreign tables of a schema and their options."""
    rows = conn.execute(
        "SELECT relname, ftoptions FROM pg_foreign_table JOIN pg_class c ON c.oid = ftrelid WHERE relnamespace = %s::regnamespace", (schema,)
    )
    return {name: dict(option.split("=", 1) for option in options) for name, options in rows.fetchall()}


def plan_rows(conn, statement):
    return conn.execute(f"EXPLAIN (FORMAT JSON) {statement}").fetchone()[0][0]["Plan"]["Plan Rows"]


# ---- dump, restore, upgrade


def tool(sandbox, name, *arguments):
    env = {**os.environ, "PGHOST": sandbox.socket_dir, "PGPORT": str(sandbox.port), "PGUSER": "postgres"}
    done = subprocess.run([sandbox.bindir / name, *map(str, arguments)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def databases(cluster, sandbox):
    """databases(): fresh databases with connections, gone after the test."""
    made = []

    def make():
        name = unique("pond_ft")
        cluster.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        conn = psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname=name, autocommit=True)
        made.append((name, conn))
        return name, conn

    yield make
    for name, conn in made:
        conn.close()
        cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


DEFINITIONS = """
  SELECT c.oid::regclass::text, c.relacl, obj_description(c.oid, 'pg_class'), srvname,
    ARRAY(SELECT unnest(ftoptions) ORDER BY 1),
    (SELECT array_agg(ROW(attname, format_type(atttypid, atttypmod), attfdwoptions, attacl, attnotnull, col_description(attrelid, attnum))::text ORDER BY attnum)
     FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
    pg_get_expr(relpartbound, c.oid)
  FROM pg_foreign_table JOIN pg_class c ON c.oid = ftrelid JOIN pg_foreign_server s ON s.oid = ftserver ORDER BY 1"""


@pytest.mark.parametrize("form", ["plain", "custom"])
def test_dump_and_restore_keep_foreign_tables(role, databases, sandbox, store, form, tmp_path):
    reader, (name, before), (target, after) = role(), databases(), databases()
    before.execute("CREATE EXTENSION pg_pond")
    create_server(before, sandbox, "lake", BUCKET, endpoint=store.address)
    map_user(before, "postgres", "lake", sandbox.all)
    for statement in (
        f"CREATE FOREIGN TABLE inferred () SERVER lake OPTIONS (path '{BUCKET}odd.parquet')",
        f"""CREATE FOREIGN TABLE own (n bigint OPTIONS (column_name 'i') NOT NULL, "Name" varchar(9) OPTIONS (column_name 'name'))
            SERVER lake OPTIONS (path '{{{BUCKET}rows.parquet,"{BUCKET}rows.parquet"}}', filename 'true')""",
        "ALTER FOREIGN TABLE own ADD COLUMN gone int; ALTER FOREIGN TABLE own DROP COLUMN gone",
        "CREATE TABLE parted (i bigint, name text, part bigint) PARTITION BY LIST (part)",
        f"CREATE FOREIGN TABLE parted_1 PARTITION OF parted FOR VALUES IN (1) SERVER lake OPTIONS (path '{BUCKET}rows.parquet')",
        "CREATE VIEW seen AS SELECT n FROM own WHERE n < 3",
        "COMMENT ON FOREIGN TABLE own IS 'it''s mine'",
        "COMMENT ON COLUMN own.n IS 'number'",
        f'GRANT SELECT ("Name") ON own TO "{reader}"',
        f'GRANT SELECT ON inferred TO "{reader}"',
    ):
        before.execute(statement)
    dump = tmp_path / "dump"
    # Nothing answers: neither the dump nor the restore asks.
    store.stall.set()
    try:
        tool(sandbox, "pg_dump", "-F", form[0], "-f", dump, name)
        if form == "plain":
            text = dump.read_text()
            # Keys stand in user mappings and nowhere else; a superuser's dump has those, as with every wrapper.
            assert sandbox.all.secret not in re.sub(r"CREATE USER MAPPING[^;]*;", "", text)
            tool(sandbox, "psql", "-X", "-v", "ON_ERROR_STOP=1", "-1", "-d", target, "-f", dump)
        else:
            # The list of an archive leaves mappings out.
            entries = subprocess.run([sandbox.bindir / "pg_restore", "-l", dump], capture_output=True, text=True, check=True).stdout
            kept = tmp_path / "list"
            kept.write_text("\n".join(line for line in entries.splitlines() if "USER MAPPING" not in line))
            tool(sandbox, "pg_restore", "--exit-on-error", "-L", kept, "-d", target, dump)
    finally:
        store.stall.clear()
    definitions = before.execute(DEFINITIONS).fetchall()
    assert len(definitions) == 3
    assert after.execute(DEFINITIONS).fetchall() == definitions
    if form == "custom":
        assert after.execute("SELECT count(*) FROM pg_user_mappings").fetchone() == (0,)
        map_user(after, "postgres", "lake", sandbox.all)
    assert after.execute("SELECT count(*), min(n), max(\"Name\") FROM own").fetchone() == (2000, 0, "n999")
    assert after.execute("SELECT * FROM inferred").fetchall() == [(1, "é")]
    assert after.execute("SELECT sum(n) FROM seen").fetchone() == (6,)
    assert after.execute("SELECT count(*) FROM parted").fetchone() == (1000,)


def test_an_upgrade_gives_what_a_new_installation_has(databases):
    members = """
      SELECT pg_describe_object(classid, objid, objsubid) AS object, obj_description(objid, classid::regclass::name),
        CASE classid WHEN 'pg_proc'::regclass THEN (SELECT ROW(proacl, prosrc, probin, provolatile, proparallel, prorows, prosecdef, proconfig)::text FROM pg_proc WHERE oid = objid)
          WHEN 'pg_type'::regclass THEN (SELECT typacl::text FROM pg_type WHERE oid = objid)
          WHEN 'pg_foreign_data_wrapper'::regclass THEN (SELECT ROW(fdwacl, fdwoptions, fdwhandler::regproc, fdwvalidator::regproc)::text FROM pg_foreign_data_wrapper WHERE oid = objid)
          WHEN 'pg_event_trigger'::regclass THEN (SELECT ROW(evtevent, evtfoid::regproc, evtenabled, evttags)::text FROM pg_event_trigger WHERE oid = objid)
          WHEN 'pg_namespace'::regclass THEN (SELECT nspacl::text FROM pg_namespace WHERE oid = objid) END
      FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
        AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_pond')
      ORDER BY 1"""
    initial = """
      SELECT pg_describe_object(classoid, objoid, objsubid), privtype, initprivs::text FROM pg_init_privs
      WHERE objoid IN (SELECT objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e') ORDER BY 1"""
    (_, old), (_, new) = databases(), databases()
    new.execute("CREATE EXTENSION pg_pond")
    old.execute("CREATE EXTENSION pg_pond VERSION '0.1.0'")
    assert old.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')").fetchone() == (1,)
    old.execute("CREATE VIEW kept AS SELECT * FROM duckdb.query('SELECT 2 AS a')")
    old.execute("CREATE SERVER s TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/')")
    assert sqlstate_of(old, "SELECT * FROM duckdb.query('SELECT 1 AS a') q JOIN kept USING (a)") is None
    version = new.execute("SELECT extversion FROM pg_extension WHERE extname = 'pg_pond'").fetchone()
    old.execute("ALTER EXTENSION pg_pond UPDATE")
    assert old.execute("SELECT extversion FROM pg_extension WHERE extname = 'pg_pond'").fetchone() == version
    found = new.execute(members).fetchall()
    assert len(found) >= 40 and any("event trigger" in row[0] for row in found)
    assert old.execute(members).fetchall() == found
    assert old.execute(initial).fetchall() == new.execute(initial).fetchall()
    assert old.execute("SELECT a FROM kept").fetchone() == (2,)
    assert sqlstate_of(old, "CREATE FOREIGN TABLE t (a int) SERVER s OPTIONS (path 's3://x/t.parquet', nothing 'x')") == "HV00D"


# ---- concurrent updates


def test_rows_locked_meanwhile_are_joined_again(su, connect):
    su.execute("CREATE TABLE heap (i bigint PRIMARY KEY, v int); INSERT INTO heap SELECT i, 0 FROM generate_series(1, 5) i")
    one, two = connect(autocommit=False), connect()
    try:
        one.execute("UPDATE heap SET v = 100 WHERE i = 3; UPDATE heap SET i = 700 WHERE i = 4; DELETE FROM heap WHERE i = 5")
        waits = Background(two, "SELECT h.i, h.v, r.name FROM heap h JOIN rows r USING (i) ORDER BY h.i FOR UPDATE OF h")
        eventually(lambda: su.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", (waits.pid,)).fetchone() == ("Lock",))
        one.commit()
        # The row that now belongs to another row of the lake is left out: that one was not read.
        assert waits.result() == [(1, 0, "n1"), (2, 0, "n2"), (3, 100, "n3")]
    finally:
        one.rollback()
        su.execute("DROP TABLE heap")


def test_rows_of_a_partitioned_table_are_locked_among_foreign_ones(su, connect):
    su.execute("CREATE TABLE mixed (i bigint, name text, part bigint) PARTITION BY LIST (part)")
    su.execute(f"CREATE FOREIGN TABLE mixed_1 PARTITION OF mixed FOR VALUES IN (1) SERVER lake OPTIONS (path '{BUCKET}rows.parquet')")
    su.execute("CREATE TABLE mixed_2 PARTITION OF mixed FOR VALUES IN (2); INSERT INTO mixed VALUES (-1, 'a', 2), (-2, 'b', 2)")
    one, two = connect(autocommit=False), connect()
    try:
        one.execute("UPDATE mixed_2 SET name = 'changed' WHERE i = -1")
        waits = Background(two, "SELECT m.i, m.name FROM mixed m WHERE m.i < 2 AND m.name <> 'b' ORDER BY m.i FOR UPDATE")
        eventually(lambda: su.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", (waits.pid,)).fetchone() == ("Lock",))
        one.commit()
        assert waits.result() == [(-1, "changed"), (0, "n0"), (1, "n1")]
    finally:
        one.rollback()
        su.execute("DROP TABLE mixed")


# ---- a store that does not answer


def test_an_estimate_does_not_wait_for_long(connect, store, su):
    conn = connect()
    conn.execute("SET duckdb.enable_pushdown = off")
    su.execute(f"CREATE FOREIGN TABLE slow (i bigint) SERVER lake OPTIONS (path '{BUCKET}rows.parquet', binary_as_string 'true')")
    store.stall.set()
    try:
        start = time.monotonic()
        assert plan_rows(conn, "SELECT * FROM slow") == 100000
        assert time.monotonic() - start < 10
        # It is not asked again at once.
        start = time.monotonic()
        assert plan_rows(conn, "SELECT * FROM slow") == 100000
        assert time.monotonic() - start < PROMPT_S / 2
    finally:
        store.stall.clear()
    other = connect()
    other.execute("SET duckdb.enable_pushdown = off")
    assert plan_rows(other, "SELECT * FROM slow") == 1000
    su.execute("ALTER FOREIGN TABLE slow OPTIONS (DROP binary_as_string)")
    assert plan_rows(conn, "SELECT * FROM slow") == 1000
    su.execute("DROP FOREIGN TABLE slow")


@pytest.mark.parametrize("statement", ["ANALYZE rows", "IMPORT FOREIGN SCHEMA \".\" FROM SERVER lake INTO public", "EXPLAIN SELECT * FROM fresh"])
def test_cancel_is_prompt(connect, store, su, statement):
    su.execute(f"CREATE FOREIGN TABLE fresh (i bigint) SERVER lake OPTIONS (path '{BUCKET}rows.parquet')")
    conn = connect()
    conn.execute("SET duckdb.enable_pushdown = off")
    store.stall.set()
    try:
        store.stalled.clear()
        running = Background(conn, statement)
        assert store.stalled.wait(10)
        start = time.monotonic()
        conn.cancel()
        running.join()
        assert time.monotonic() - start < PROMPT_S
        assert running.error.sqlstate == "57014"
    finally:
        store.stall.clear()
        su.execute("DROP FOREIGN TABLE fresh")
    assert conn.execute("SELECT count(*) FROM rows").fetchone() == (1000,)


def test_a_store_that_is_gone_is_said_so(su, sandbox):
    create_server(su, sandbox, "nowhere", "s3://nowhere/", endpoint="127.0.0.1:1")
    map_user(su, "postgres", "nowhere", sandbox.all)
    su.execute("SET duckdb.http_retries = 0")
    try:
        su.execute("CREATE FOREIGN TABLE far (i int) SERVER nowhere OPTIONS (path 's3://nowhere/x.parquet')")
        for statement in ("SELECT * FROM far", "ANALYZE far", "CREATE FOREIGN TABLE f2 () SERVER nowhere OPTIONS (path 's3://nowhere/x.parquet')", "IMPORT FOREIGN SCHEMA \".\" FROM SERVER nowhere INTO public"):
            assert sqlstate_of(su, statement) == "08001", statement
    finally:
        su.execute("RESET duckdb.http_retries; DROP SERVER nowhere CASCADE")


# ---- shapes


def test_a_thousand_columns(su, lake_writer):
    columns = ", ".join(f"i + {n} AS c{n}" for n in range(1000))
    lake_writer.execute(f"COPY (SELECT {columns} FROM range(3) t(i)) TO '{BUCKET}wide.parquet'")
    su.execute(f"CREATE FOREIGN TABLE wide () SERVER lake OPTIONS (path '{BUCKET}wide.parquet')")
    assert su.execute("SELECT count(*) FROM pg_attribute WHERE attrelid = 'wide'::regclass AND attnum > 0").fetchone() == (1000,)
    assert su.execute("SELECT * FROM wide ORDER BY c0 DESC LIMIT 1").fetchone() == tuple(range(2, 1002))
    assert su.execute("SELECT sum(c999), max(c500) FROM wide").fetchone() == (3000, 502)
    su.execute("ANALYZE wide")
    assert su.execute("SELECT count(*) FROM pg_stats WHERE tablename = 'wide'").fetchone() == (1000,)


def test_columns_that_differ_in_case_only(su, folder):
    path, server = folder
    (path / "cases.csv").write_text("id,ID,Name\n1,2,x\n")
    table = unique("cases")
    su.execute(f"CREATE FOREIGN TABLE {table} () SERVER {server} OPTIONS (path '{path}/cases.csv')")
    columns = [row[0] for row in su.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", (table,))]
    assert columns == ["id", "ID_1", "Name"]
    assert su.execute(f"SELECT * FROM {table}").fetchone() == (1, 2, "x")


def test_control_characters_as_delimiters(su, folder, role, connect):
    path, server = folder
    (path / "hive.csv").write_text("1\x01a b\n2\x01\\N\n")
    (path / "tabs.csv").write_text("1\tx\n")
    table = unique("marked")
    su.execute(
        f"CREATE FOREIGN TABLE {table} (id int, t text) SERVER {server} "
        f"OPTIONS (path '{path}/hive.csv', delim E'\\x01', header 'false', names '{{id,t}}', nullstr E'\\\\N')"
    )
    assert su.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() == [(1, "a b"), (2, None)]
    su.execute(f"ALTER FOREIGN TABLE {table} OPTIONS (SET path '{path}/tabs.csv', SET delim E'\\t'); GRANT SELECT ON {table} TO PUBLIC")
    assert connect(role()).execute(f"SELECT * FROM {table}").fetchall() == [(1, "x")]


def test_files_that_come_and_go(su, folder):
    path, server = folder
    table = unique("growing")
    (path / "a.csv").write_text("i\n1\n")
    su.execute(f"CREATE FOREIGN TABLE {table} () SERVER {server} OPTIONS (path '{path}/*.csv')")
    assert su.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)
    (path / "b.csv").write_text("i\n2\n3\n")
    assert su.execute(f"SELECT count(*), sum(i) FROM {table}").fetchone() == (3, 6)
    (path / "a.csv").write_text("other\n1\n")
    (path / "b.csv").unlink()
    error = failure(su, f"SELECT i FROM {table}")
    assert (error.sqlstate, error.diag.message_primary) == ("42703", f'column "i" of foreign table "public.{table}" does not exist in the files')
    (path / "a.csv").unlink()
    error = failure(su, f"SELECT i FROM {table}")
    assert (error.sqlstate, error.diag.message_primary) == ("58P01", f'the files of foreign table "public.{table}" do not exist')


def test_names_in_another_encoding(cluster, sandbox, tmp_path_factory):
    path = tmp_path_factory.mktemp("latin")
    for parent in [path, *path.parents][:3]:
        parent.chmod(0o755)
    (path / "größe.csv").write_text("id,größe,日本\n1,ü,x\n")
    name = unique("pond_latin")
    cluster.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        with psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname=name, autocommit=True, client_encoding="UTF8") as conn:
            conn.execute("CREATE EXTENSION pg_pond")
            conn.execute(f"CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{path}')")
            conn.execute("CREATE USER MAPPING FOR PUBLIC SERVER files")
            conn.execute(f"CREATE FOREIGN TABLE mine (id int, maß text OPTIONS (column_name 'größe')) SERVER files OPTIONS (path '{path}/größe.csv')")
            assert conn.execute("SELECT id, maß FROM mine WHERE maß = 'ü'").fetchall() == [(1, "ü")]
            conn.execute("ANALYZE mine")
            # A name that the database cannot write.
            assert sqlstate_of(conn, f"CREATE FOREIGN TABLE all_of_it () SERVER files OPTIONS (path '{path}/größe.csv')") == "22P05"
            (path / "größe.csv").write_text("id,größe\n1,ü\n")
            conn.execute("IMPORT FOREIGN SCHEMA \".\" FROM SERVER files INTO public")
            assert conn.execute('SELECT "größe" FROM "größe"').fetchall() == [("ü",)]
    finally:
        cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_if_not_exists_reads_nothing_where_there_is_one(su, folder):
    path, server = folder
    table = unique("there")
    (path / "a.csv").write_text("i\n1\n")
    create = f"CREATE FOREIGN TABLE IF NOT EXISTS {table} () SERVER {server} OPTIONS (path '{path}/a.csv')"
    su.execute(create)
    (path / "a.csv").unlink()
    su.execute(create)
    assert sqlstate_of(su, create.replace("IF NOT EXISTS ", "")) == "58P01"


def test_many_partitions_are_estimated_in_bounded_time(connect, su, store):
    parts = 40
    su.execute("CREATE TABLE slow_parts (i bigint, name text, part bigint) PARTITION BY LIST (part)")
    for part in range(parts):
        su.execute(f"CREATE FOREIGN TABLE slow_parts_{part} PARTITION OF slow_parts FOR VALUES IN ({part}) SERVER lake OPTIONS (path '{BUCKET}rows.parquet')")
    conn = connect()
    conn.execute("SET duckdb.enable_pushdown = off")
    store.stall.set()
    try:
        start = time.monotonic()
        conn.execute("EXPLAIN SELECT * FROM slow_parts")
        assert time.monotonic() - start < 15
    finally:
        store.stall.clear()
        su.execute("DROP TABLE slow_parts")


def test_ordinary_roles_import_analyze_and_estimate(su, folder, role, connect):
    path, server = folder
    for name, text in {"c.csv": "a,b\n" + "1,x\n" * 5000, "j.json": '{"a": 1, "n": {"x": [1]}}\n' * 3000, "f/1.csv": "a\n1\n", "f/2.csv": "a\n1\n"}.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)
    owner, schema = role(), unique("own")
    su.execute(f'GRANT pg_read_server_files TO "{owner}"; GRANT USAGE ON FOREIGN SERVER {server} TO "{owner}"; CREATE SCHEMA {schema} AUTHORIZATION "{owner}"')
    conn = connect(owner)
    conn.execute(f'IMPORT FOREIGN SCHEMA "." FROM SERVER {server} INTO {schema}')
    assert set(tables_of(conn, schema)) == {"c", "j", "f"}
    conn.execute("SET duckdb.enable_pushdown = off")
    assert 2500 < plan_rows(conn, f"SELECT * FROM {schema}.c") < 10000
    assert 1500 < plan_rows(conn, f"SELECT * FROM {schema}.j") < 6000
    assert plan_rows(conn, f"SELECT * FROM {schema}.f") == 2
    for table, rows in {"c": 5000, "j": 3000, "f": 2}.items():
        conn.execute(f"ANALYZE {schema}.{table}")
        assert plan_rows(conn, f"SELECT * FROM {schema}.{table}") == rows
    conn.close()


# ---- import


def test_import_makes_tables_of_files_folders_and_partitions(su, folder, schema):
    path, server = folder
    for name, text in {
        "Top Level.csv": "a,b\n1,x\n",
        "like/part-0.csv": "a\n1\n",
        "like/part-1.csv": "a\n2\n",
        "unlike/customers.csv": "id,name\n1,x\n",
        "unlike/orders.csv": "id,total\n1,2.5\n",
        "one/0001.json": '{"a": 1}\n',
        "raw/people.json": '{"a": 1}\n',
        "hive/year=2023/month=1/x.csv": "v\n1\n",
        "hive/year=2024/month=2/y.csv": "v\n2\n",
        "eu/like/x.csv": "c\n1\n",
        "_hidden/x.csv": "a\n1\n",
        ".git/x.csv": "a\n1\n",
        "like/_SUCCESS": "",
        "notes.txt": "nothing",
        "we[ird].csv": "a\n7\n",
    }.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    su.execute(f'IMPORT FOREIGN SCHEMA "." FROM SERVER {server} INTO {schema}')
    assert tables_of(su, schema) == {
        "top_level": {"path": f"{path}/Top Level.csv"},
        "like": {"path": f"{path}/like/*.csv"},
        "customers": {"path": f"{path}/unlike/customers.csv"},
        "orders": {"path": f"{path}/unlike/orders.csv"},
        "one": {"path": f"{path}/one/*.json"},
        "people": {"path": f"{path}/raw/people.json"},
        "hive": {"path": f"{path}/hive/**/*.csv", "hive_partitioning": "true"},
        "x": {"path": f"{path}/eu/like/x.csv"},
        "we_ird": {"path": f"{path}/we[[]ird].csv"},
    }
    assert su.execute(f'SELECT sum(a) FROM {schema}."like"').fetchone() == (3,)
    assert su.execute(f"SELECT v, year, month FROM {schema}.hive ORDER BY v").fetchall() == [(1, 2023, 1), (2, 2024, 2)]
    assert su.execute(f"SELECT a FROM {schema}.we_ird").fetchall() == [(7,)]


def test_import_of_a_part(su, folder, schema):
    path, server = folder
    for name in ("a/one.csv", "a/two.csv", "b/one.csv"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("x,y\n1,2\n" if "one" in name else "z\n3\n")
    su.execute(f'IMPORT FOREIGN SCHEMA "a/" LIMIT TO (one) FROM SERVER {server} INTO {schema}')
    su.execute(f'IMPORT FOREIGN SCHEMA "{path}" EXCEPT (a_one, two) FROM SERVER {server} INTO {schema} OPTIONS (all_varchar \'true\', filename \'true\')')
    assert tables_of(su, schema) == {
        "one": {"path": f"{path}/a/one.csv"},
        "b_one": {"path": f"{path}/b/one.csv", "all_varchar": "true", "filename": "true"},
    }
    assert su.execute(f"SELECT x, y, filename FROM {schema}.b_one").fetchall() == [("1", "2", f"{path}/b/one.csv")]


def test_import_of_too_much_is_refused(su, folder, schema):
    path, server = folder
    for number in range(1001):
        (path / f"t{number}.csv").write_text("a\n1\n")
    error = failure(su, f'IMPORT FOREIGN SCHEMA "." FROM SERVER {server} INTO {schema}')
    assert error.sqlstate == "54000" and "1001 tables" in str(error)
    assert tables_of(su, schema) == {}


def test_a_damaged_file_is_named_and_may_be_left_out(su, folder, schema):
    path, server = folder
    (path / "good.csv").write_text("a\n1\n")
    (path / "bad.parquet").write_text("this is no Parquet file at all")
    error = failure(su, f'IMPORT FOREIGN SCHEMA "." FROM SERVER {server} INTO {schema}')
    assert "bad.parquet" in error.diag.message_hint
    su.execute(f'IMPORT FOREIGN SCHEMA "." EXCEPT (bad) FROM SERVER {server} INTO {schema}')
    assert set(tables_of(su, schema)) == {"good"}


def test_names_with_quotes_do_no_harm(su, folder, schema):
    path, server = folder
    (path / """x'); DROP TABLE "y" --.csv""").write_text("""a'b,"c""d","e;f"\n1,2,3\n""")
    su.execute(f'IMPORT FOREIGN SCHEMA "." FROM SERVER {server} INTO {schema}')
    ((table, options),) = tables_of(su, schema).items()
    assert table == "x_drop_table_y" and options["path"].endswith('.csv')
    assert su.execute(f"""SELECT "a'b", "c""d", "e;f" FROM {schema}.{table}""").fetchall() == [(1, 2, 3)]


# ---- Delta and Iceberg


def write_delta_table(path, duckdb):
    """A Delta table of two commits: three rows, then one file with two rows in its place."""
    (path / "_delta_log").mkdir(parents=True)
    schema = {"type": "struct", "fields": [
        {"name": "id", "type": "long", "nullable": True, "metadata": {}}, {"name": "name", "type": "string", "nullable": True, "metadata": {}}]}
    meta = {"metaData": {"id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9", "format": {"provider": "parquet", "options": {}},
                         "schemaString": json.dumps(schema), "partitionColumns": [], "configuration": {}, "createdTime": 1700000000000}}
    commits = [[{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, meta], []]
    for number, rows in enumerate((3, 2)):
        file = path / f"part-{number}.parquet"
        duckdb.execute(f"COPY (SELECT i AS id, 'v{number}_' || i AS name FROM range({rows}) t(i)) TO '{file}'")
        commits[number].append({"add": {"path": file.name, "partitionValues": {}, "size": file.stat().st_size, "modificationTime": 1700000000000, "dataChange": True}})
        if number:
            commits[number].append({"remove": {"path": "part-0.parquet", "deletionTimestamp": 1700000001000, "dataChange": True}})
        (path / "_delta_log" / f"{number:020}.json").write_text("\n".join(map(json.dumps, commits[number])) + "\n")


def test_a_delta_table_in_the_store_joins_others(su, schema, sandbox, lake_writer, role, connect):
    """Only the log and its files are read, by an ordinary role too, and a pattern of files beside them."""
    place = f"{BUCKET}delta/events"
    lake_writer.execute(f"COPY (SELECT i AS id, 'd' || i AS name FROM range(3) t(i)) TO '{place}/part-0.parquet'")
    lake_writer.execute(f"COPY (SELECT i AS id FROM range(2) t(i)) TO '{place}/part-9.parquet'")
    fields = [{"name": "id", "type": "long", "nullable": True, "metadata": {}}, {"name": "name", "type": "string", "nullable": True, "metadata": {}}]
    log = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": {"id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9", "format": {"provider": "parquet", "options": {}}, "partitionColumns": [], "configuration": {},
                      "schemaString": json.dumps({"type": "struct", "fields": fields}), "createdTime": 1700000000000}},
        {"add": {"path": "part-0.parquet", "partitionValues": {}, "size": 500, "modificationTime": 1700000000000, "dataChange": True}},
    ]
    lines = ", ".join("'" + json.dumps(line) + "'" for line in log)
    lake_writer.execute(
        f"COPY (SELECT unnest([{lines}])) TO '{place}/_delta_log/{0:020}.json' (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x01')"
    )
    su.execute(f'IMPORT FOREIGN SCHEMA "delta" FROM SERVER lake INTO {schema}')
    assert tables_of(su, schema) == {"events": {"path": place, "format": "delta"}}
    join = f"SELECT e.name, r.name FROM {schema}.events e JOIN patterns r ON r.i = e.id ORDER BY 1"
    su.execute(f"CREATE FOREIGN TABLE patterns () SERVER lake OPTIONS (path '{BUCKET}row*.parquet')")
    try:
        name = role()
        map_user(su, name, "lake", sandbox.lake_reader)
        su.execute(f'GRANT SELECT ON patterns TO "{name}"')
        conn = connect(name)
        assert read_as(conn, su, schema, "events") == [(0, "d0"), (1, "d1"), (2, "d2")]
        for reader in (su, conn):
            assert reader.execute(join).fetchall() == [("d0", "n0"), ("d1", "n1"), ("d2", "n2")]
    finally:
        su.execute("DROP FOREIGN TABLE patterns")


def read_as(conn, su, schema, table):
    """The rows as an ordinary role with SELECT reads them."""
    su.execute(f'GRANT USAGE ON SCHEMA {schema} TO "{conn.info.user}"; GRANT SELECT ON {schema}.{table} TO "{conn.info.user}"')
    return conn.execute(f"SELECT id, name FROM {schema}.{table} ORDER BY id").fetchall()


def test_delta_tables(su, folder, schema, lake_writer, role, connect):
    path, server = folder
    write_delta_table(path / "events", lake_writer)
    su.execute(f'IMPORT FOREIGN SCHEMA "." FROM SERVER {server} INTO {schema}')
    assert tables_of(su, schema) == {"events": {"path": f"{path}/events", "format": "delta"}}
    assert su.execute(f"SELECT * FROM {schema}.events ORDER BY id").fetchall() == [(0, "v1_0"), (1, "v1_1")]
    su.execute(f"CREATE FOREIGN TABLE {schema}.first (id bigint, name text) SERVER {server} OPTIONS (path '{path}/events', format 'delta', version '0')")
    assert su.execute(f"SELECT count(*), max(name) FROM {schema}.first").fetchone() == (3, "v0_2")
    assert read_as(connect(role()), su, schema, "events") == [(0, "v1_0"), (1, "v1_1")]
    su.execute("SET duckdb.enable_pushdown = off")
    assert plan_rows(su, f"SELECT * FROM {schema}.events") == 2
    su.execute("RESET duckdb.enable_pushdown")
    su.execute(f"ANALYZE {schema}.events")
    assert su.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", (f"{schema}.events",)).fetchone() == (2,)


def avro(schema, records, metadata):
    """An Avro object container file without compression; records are lists of encoded fields."""
    number = lambda n: varint((n << 1) ^ (n >> 63))

    def varint(n):
        out = bytearray()
        while n > 0x7F:
            out.append(n & 0x7F | 0x80)
            n >>= 7
        return bytes(out + bytes([n]))

    def encode(kind, value):
        if isinstance(kind, list):
            return number(1) + encode(kind[1], value)
        if isinstance(kind, dict):
            return b"".join(encode(field["type"], value[field["name"]]) for field in kind["fields"])
        if kind == "string":
            return number(len(value.encode())) + value.encode()
        return number(value)

    marker = bytes(range(16))
    pairs = {"avro.schema": json.dumps(schema), "avro.codec": "null", **metadata}
    header = b"Obj\x01" + number(len(pairs)) + b"".join(encode("string", k) + encode("string", v) for k, v in pairs.items()) + number(0) + marker
    body = b"".join(encode(schema, record) for record in records)
    return header + number(len(records)) + number(len(body)) + body + marker


def record(name, *fields):
    """An Avro record; fields are (name, type, Iceberg's field id)."""
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t, "field-id": i} for n, t, i in fields]}


def write_iceberg_table(path, duckdb, hint, data=None):
    """An Iceberg table (format version 2) of one snapshot with three rows, in a file of its own or in the one at `data`."""
    (path / "metadata").mkdir(parents=True)
    if data is None:
        (path / "data").mkdir()
        data = path / "data" / "0.parquet"
        duckdb.execute(f"COPY (SELECT i AS id, 'n' || i AS name FROM range(3) t(i)) TO '{data}' (FIELD_IDS {{id: 1, name: 2}})")
    schema = {"type": "struct", "schema-id": 0, "fields": [
        {"id": 1, "name": "id", "required": False, "type": "long"}, {"id": 2, "name": "name", "required": False, "type": "string"}]}
    file = record("r2", ("content", "int", 134), ("file_path", "string", 100), ("file_format", "string", 101),
                  ("partition", record("r102"), 102), ("record_count", "long", 103), ("file_size_in_bytes", "long", 104))
    entry = record("manifest_entry", ("status", "int", 0), ("snapshot_id", ["null", "long"], 1), ("sequence_number", ["null", "long"], 3),
                   ("file_sequence_number", ["null", "long"], 4), ("data_file", file, 2))
    manifest = path / "metadata" / "m0.avro"
    manifest.write_bytes(avro(entry, [{"status": 1, "snapshot_id": 7, "sequence_number": 1, "file_sequence_number": 1, "data_file": {
        "content": 0, "file_path": str(data), "file_format": "PARQUET", "partition": {}, "record_count": 3, "file_size_in_bytes": data.stat().st_size if hasattr(data, "stat") else 1000}}],
        {"schema": json.dumps(schema), "partition-spec": "[]", "partition-spec-id": "0", "format-version": "2", "content": "data"}))
    listed = record("manifest_file", ("manifest_path", "string", 500), ("manifest_length", "long", 501), ("partition_spec_id", "int", 502),
                    ("content", "int", 517), ("sequence_number", "long", 515), ("min_sequence_number", "long", 516), ("added_snapshot_id", "long", 503),
                    ("added_files_count", "int", 504), ("existing_files_count", "int", 505), ("deleted_files_count", "int", 506),
                    ("added_rows_count", "long", 512), ("existing_rows_count", "long", 513), ("deleted_rows_count", "long", 514))
    snapshot = path / "metadata" / "snap-7.avro"
    snapshot.write_bytes(avro(listed, [{"manifest_path": str(manifest), "manifest_length": manifest.stat().st_size, "partition_spec_id": 0, "content": 0,
        "sequence_number": 1, "min_sequence_number": 1, "added_snapshot_id": 7, "added_files_count": 1, "existing_files_count": 0, "deleted_files_count": 0,
        "added_rows_count": 3, "existing_rows_count": 0, "deleted_rows_count": 0}], {"format-version": "2", "snapshot-id": "7", "sequence-number": "1"}))
    (path / "metadata" / "v1.metadata.json").write_text(json.dumps({
        "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": str(path), "last-sequence-number": 1,
        "last-updated-ms": 1700000000000, "last-column-id": 2, "current-schema-id": 0, "schemas": [schema], "default-spec-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}],
        "properties": {}, "current-snapshot-id": 7, "snapshots": [{"snapshot-id": 7, "sequence-number": 1, "timestamp-ms": 1700000000000,
        "manifest-list": str(snapshot), "summary": {"operation": "append"}, "schema-id": 0}], "snapshot-log": [], "metadata-log": [], "refs": {}}))
    if hint:
        (path / "metadata" / "version-hint.text").write_text("1")


def test_iceberg_tables(su, folder, schema, lake_writer, role, connect):
    path, server = folder
    write_iceberg_table(path / "hinted", lake_writer, hint=True)
    write_iceberg_table(path / "plain", lake_writer, hint=False)
    su.execute(f'IMPORT FOREIGN SCHEMA "." FROM SERVER {server} INTO {schema}')
    assert tables_of(su, schema) == {
        "hinted": {"path": f"{path}/hinted", "format": "iceberg"},
        "plain": {"path": f"{path}/plain/metadata/v1.metadata.json", "format": "iceberg"},
    }
    for table in ("hinted", "plain"):
        assert su.execute(f"SELECT * FROM {schema}.{table} WHERE id > 0 ORDER BY id").fetchall() == [(1, "n1"), (2, "n2")]
        assert read_as(connect(role()), su, schema, table) == [(0, "n0"), (1, "n1"), (2, "n2")]
        su.execute(f"ANALYZE {schema}.{table}")
    assert su.execute("SELECT sum(reltuples) FROM pg_class WHERE relnamespace = %s::regnamespace", (schema,)).fetchone() == (6,)
    su.execute(
        f"CREATE FOREIGN TABLE {schema}.old (id bigint, name varchar(5)) SERVER {server} "
        f"OPTIONS (path '{path}/hinted', format 'iceberg', snapshot_from_id '7', allow_moved_paths 'true')"
    )
    assert su.execute(f"SELECT count(*), max(name) FROM {schema}.old").fetchone() == (3, "n2")
    su.execute(f"ALTER FOREIGN TABLE {schema}.old OPTIONS (SET snapshot_from_id '8')")
    assert sqlstate_of(su, f"SELECT count(*) FROM {schema}.old") is not None
