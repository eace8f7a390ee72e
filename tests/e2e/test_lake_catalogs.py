"""What the catalog of a lake says is looked through before DuckLake reads it: whoever has its password may change it by plain SQL,
and runs nothing as others, reads, writes and deletes nothing outside of the lake, and crashes no server."""

import itertools
import time

import pytest

from lakes import execute, literal, query
from support import failure

# A catalog that was found clean counts so long.
COUNTS_FOR_S = 0.15
PATH, SHAPE, FORMAT = "42501", "42P17", "0A000"


@pytest.fixture(scope="module", params=["postgres", "sqlite"])
def lake(request, lakes, su):
    lake = lakes.make(f"cat_{request.param}", catalog=request.param)
    execute(su, f"CREATE TABLE {lake.name}.main.t (id BIGINT, v VARCHAR, u UUID)")
    row = "(1, 'a', '12345678-1234-1234-1234-123456789012')"
    execute(su, f"INSERT INTO {lake.name}.main.t VALUES {row}")
    execute(su, f"INSERT INTO {lake.name}.main.t SELECT i, 'f', NULL FROM range(20) r(i)")
    execute(su, f"CREATE VIEW {lake.name}.main.w AS SELECT id FROM {lake.name}.main.t")
    lake.import_into(f"{lake.name}_s")
    return lake


class Catalog:
    def __init__(self, lakes, lake):
        self.lake = lake
        if lake.catalog == "postgres":
            self.conn = lakes.catalog_connection()
            self.prefix = lake.place["metadata_schema"] + "."
            (self.inlined,) = self.conn.execute(f"SELECT table_name FROM {self.prefix}ducklake_inlined_data_tables WHERE schema_version > 0").fetchone()
        else:
            import sqlite3

            self.conn = sqlite3.connect(lake.place["path"], timeout=10, isolation_level=None)
            self.prefix = ""
            ((self.inlined,), *_) = self.conn.execute("SELECT table_name FROM ducklake_inlined_data_tables").fetchall()

    def run(self, statement):
        for part in statement.split(";"):
            self.conn.execute(part.replace("CAT.", self.prefix).replace("INLINED", self.inlined))


@pytest.fixture
def catalog(lakes, lake):
    made = Catalog(lakes, lake)
    yield made
    made.conn.close()


def readers(lake):
    far = f"{lake.name}_s.t"
    return [
        f"SELECT count(*) FROM {far}",
        f"SELECT * FROM {far} WHERE pg_backend_pid() > 0",
        f"SELECT * FROM {lake.name}_s.w",
        f"SELECT * FROM duckdb.query('FROM {lake.name}.t') q",
        f"SELECT * FROM duckdb.query('FROM {lake.name}.w') q",
    ]


def writers(lake):
    far = f"{lake.name}_s.t"
    return [
        f"INSERT INTO {far} (id) VALUES (2)",
        f"INSERT INTO {far} (id) SELECT pg_backend_pid()",
        f"UPDATE {far} SET v = 'x' WHERE id = 1",
        f"DELETE FROM {far} WHERE pg_backend_pid() > 0",
        f"TRUNCATE {far}",
        f"SELECT duckdb.execute('INSERT INTO {lake.name}.t (id) VALUES (2)')",
        f"SELECT duckdb.execute('CREATE TABLE {lake.name}.n (a INTEGER)')",
        f"SELECT duckdb.create_lake_table('{lake.name}.main.n', 'SELECT 1 AS a')",
    ]


def maintenance(lake):
    name = lake.name
    return [
        f"SELECT * FROM duckdb.cleanup_old_files('{name}', dry_run => true, cleanup_all => true)",
        f"SELECT * FROM duckdb.cleanup_old_files('{name}', cleanup_all => true)",
        f"SELECT * FROM duckdb.delete_orphaned_files('{name}', older_than => now() - interval '1 day')",
        f"SELECT * FROM duckdb.expire_snapshots('{name}', older_than => now() - interval '1 day')",
        f"SELECT * FROM duckdb.merge_adjacent_files('{name}')",
        f"SELECT * FROM duckdb.rewrite_data_files('{name}')",
        f"SELECT * FROM duckdb.flush_inlined_data('{name}')",
        f"SELECT duckdb.checkpoint('{name}')",
        f"SELECT duckdb.add_data_files('{name}', 't', ARRAY['{lake.data_path}x.parquet'])",
        f"SELECT duckdb.set_option('{name}', 'parquet_compression', 'zstd')",
    ]


def of_table(lake):
    """Those that use the files of t."""
    return [*readers(lake), *writers(lake)[:4], *writers(lake)[5:6], *maintenance(lake)[4:9]]


def of_deleted(lake):
    """Those that delete files."""
    return [*maintenance(lake)[:3], maintenance(lake)[7]]


def of_all(lake):
    return [*readers(lake), *writers(lake), *maintenance(lake)]


# In turn, so that each kind of change meets all of them.
TURNS = {kind: itertools.count() for kind in (of_table, of_deleted, of_all)}
PATHS = ["/etc/passwd", "s3://vault/x.parquet", "http://127.0.0.1:1/x", "s3://lake/../vault/x", "INSIDE/../../x"]
FILE = "INSERT INTO CAT.ducklake_data_file (data_file_id, table_id, begin_snapshot, path, path_is_relative, file_format, record_count, file_size_bytes, footer_size, row_id_start) SELECT 9999, table_id, begin_snapshot, PATH, false, 'parquet', 1, 100, 10, 0 FROM CAT.ducklake_table WHERE table_name = 't'"
CHANGES = [
    *[(FILE.replace("PATH", literal(path)), "DELETE FROM CAT.ducklake_data_file WHERE data_file_id = 9999", PATH, "") for path in PATHS],
    (
        "INSERT INTO CAT.ducklake_delete_file (delete_file_id, table_id, begin_snapshot, data_file_id, path, path_is_relative, format) VALUES (9999, 1, 1, 1, '/etc/passwd', false, 'parquet')",
        "DELETE FROM CAT.ducklake_delete_file WHERE delete_file_id = 9999",
        PATH,
        "",
    ),
    (
        "INSERT INTO CAT.ducklake_files_scheduled_for_deletion (data_file_id, path, path_is_relative, schedule_start) VALUES (9999, '/etc/passwd', false, CURRENT_TIMESTAMP)",
        "DELETE FROM CAT.ducklake_files_scheduled_for_deletion WHERE data_file_id = 9999",
        PATH,
        "/etc/passwd",
    ),
    (
        "INSERT INTO CAT.ducklake_files_scheduled_for_deletion (data_file_id, path, path_is_relative, schedule_start) VALUES (9999, '../../x', true, CURRENT_TIMESTAMP)",
        "DELETE FROM CAT.ducklake_files_scheduled_for_deletion WHERE data_file_id = 9999",
        PATH,
        "../../x",
    ),
    (
        "UPDATE CAT.ducklake_table SET path = 's3://vault/t/', path_is_relative = false",
        "UPDATE CAT.ducklake_table SET path = 't/', path_is_relative = true",
        PATH,
        "s3://vault/t/",
    ),
    (
        "UPDATE CAT.ducklake_schema SET path = '/tmp/', path_is_relative = false",
        "UPDATE CAT.ducklake_schema SET path = 'main/', path_is_relative = true",
        PATH,
        "/tmp/",
    ),
    (
        "INSERT INTO CAT.ducklake_inlined_data_tables (table_id, table_name, schema_version) VALUES (1, 'ducklake_metadata, pg_authid', 9)",
        "DELETE FROM CAT.ducklake_inlined_data_tables WHERE schema_version = 9",
        SHAPE,
        "ducklake_metadata, pg_authid",
    ),
    (
        "INSERT INTO CAT.ducklake_inlined_data_tables (table_id, table_name, schema_version) VALUES (1, NULL, 9)",
        "DELETE FROM CAT.ducklake_inlined_data_tables WHERE schema_version = 9",
        SHAPE,
        "NULL",
    ),
    ("UPDATE CAT.ducklake_metadata SET value = '1.1' WHERE key = 'version'", "UPDATE CAT.ducklake_metadata SET value = '1.0' WHERE key = 'version'", FORMAT, "1.1"),
]
IN_POSTGRES = [
    (
        "ALTER TABLE CAT.INLINED RENAME TO kept; CREATE VIEW CAT.INLINED AS SELECT * FROM CAT.kept",
        "DROP VIEW CAT.INLINED; ALTER TABLE CAT.kept RENAME TO INLINED",
    ),
    (
        "ALTER TABLE CAT.INLINED RENAME COLUMN v TO w; ALTER TABLE CAT.INLINED RENAME COLUMN u TO v",
        "ALTER TABLE CAT.INLINED RENAME COLUMN v TO u; ALTER TABLE CAT.INLINED RENAME COLUMN w TO v",
    ),
    ("ALTER TABLE CAT.INLINED ALTER row_id TYPE numeric", "ALTER TABLE CAT.INLINED ALTER row_id TYPE bigint"),
    ("ALTER TABLE CAT.INLINED ALTER begin_snapshot TYPE text", "ALTER TABLE CAT.INLINED ALTER begin_snapshot TYPE bigint USING begin_snapshot::bigint"),
    ("ALTER TABLE CAT.INLINED ALTER u TYPE inet USING NULL", "ALTER TABLE CAT.INLINED ALTER u TYPE uuid USING NULL"),
    ("ALTER TABLE CAT.INLINED ENABLE ROW LEVEL SECURITY", "ALTER TABLE CAT.INLINED DISABLE ROW LEVEL SECURITY"),
    ("ALTER TABLE CAT.INLINED ALTER v SET DEFAULT 'x'", "ALTER TABLE CAT.INLINED ALTER v DROP DEFAULT"),
    ("ALTER TABLE CAT.INLINED ADD CONSTRAINT c CHECK (v IS NOT NULL) NOT VALID", "ALTER TABLE CAT.INLINED DROP CONSTRAINT c"),
    ("CREATE INDEX i ON CAT.INLINED (md5(v))", "DROP INDEX CAT.i"),
]


def looked_through(su, lake, catalog, change, undo, sqlstate, words, statements_of):
    catalog.run(change)
    try:
        statements = statements_of(lake)
        for turn in itertools.islice(TURNS[statements_of], 7):
            statement = statements[turn % len(statements)]
            time.sleep(COUNTS_FOR_S)
            error = failure(su, statement)
            assert error.sqlstate == sqlstate, (statement, error)
            assert words.replace("INLINED", catalog.inlined) in str(error), (statement, error)
            assert su.execute("SELECT 1").fetchone() == (1,)
    finally:
        catalog.run(undo)
    time.sleep(COUNTS_FOR_S)
    # DuckLake may keep in memory what it has loaded of the catalog meanwhile.
    su.execute("DISCARD TEMP")
    assert su.execute(f"SELECT count(*) FROM {lake.name}_s.t").fetchone() == (21,)


@pytest.mark.parametrize("change,undo,sqlstate,words", CHANGES, ids=range(len(CHANGES)))
def test_what_is_tampered_with_is_refused(su, lake, catalog, change, undo, sqlstate, words):
    kind = of_deleted if "scheduled" in change else of_table if sqlstate == PATH else of_all
    looked_through(su, lake, catalog, change, undo, sqlstate, words, kind)


@pytest.mark.parametrize("change,undo", IN_POSTGRES, ids=range(len(IN_POSTGRES)))
def test_tables_of_rows_are_what_ducklake_makes(su, lake, catalog, change, undo):
    if lake.catalog != "postgres":
        pytest.skip("only PostgreSQL has these")
    looked_through(su, lake, catalog, change, undo, SHAPE, "INLINED", of_all)


def test_another_format_is_not_attached(su, lake, catalog, connect):
    catalog.run("UPDATE CAT.ducklake_metadata SET value = '1.1' WHERE key = 'version'")
    try:
        for statement in (*readers(lake)[:1], *writers(lake)[:1], *maintenance(lake)[:1]):
            conn = connect()
            error = failure(conn, statement)
            assert error.sqlstate == FORMAT, error
            assert "format" in str(error)
        catalog_version = "SELECT value FROM CAT.ducklake_metadata WHERE key = 'version'".replace("CAT.", catalog.prefix)
        assert catalog.conn.execute(catalog_version).fetchone() == ("1.1",)
    finally:
        catalog.run("UPDATE CAT.ducklake_metadata SET value = '1.0' WHERE key = 'version'")
    assert connect().execute(f"SELECT count(*) FROM {lake.name}_s.t").fetchone() == (21,)


def test_all_that_ducklake_makes_is_read(su, lake, catalog):
    far, near = f"{lake.name}_s.t", f"{lake.name}.main.t"
    for number, statement in enumerate([
        f"ALTER TABLE {near} ADD COLUMN j JSON",
        f"INSERT INTO {near} (id, j) VALUES (100, '[1]')",
        f"ALTER TABLE {near} DROP COLUMN v",
        f"ALTER TABLE {near} ADD COLUMN v BIGINT",
        f"INSERT INTO {near} (id, v) VALUES (101, 5)",
        f"DELETE FROM {near} WHERE id = 3",
        f"ALTER TABLE {near} RENAME COLUMN u TO uu",
        f"INSERT INTO {near} (id, uu) VALUES (102, NULL)",
        f"CREATE TABLE {lake.name}.main.\"o'ther\" (a VARCHAR, b BLOB, c DATE, d TIMESTAMPTZ, e DECIMAL(9,2), f DOUBLE, g BOOLEAN, h UBIGINT, i TIME, k INTERVAL, l VARCHAR[])",
        f"INSERT INTO {lake.name}.main.\"o'ther\" VALUES ('x', 'x', '2026-01-01', '2026-01-01', 1, 1, true, 1, '01:02:03', INTERVAL 1 DAY, ['x'])",
    ]):
        execute(su, statement)
        time.sleep(COUNTS_FOR_S)
        query(su, f"FROM {near} WHERE id >= {-number}")
    assert query(su, f"SELECT count(*) FROM {near}") == [(23,)]
    assert query(su, f"SELECT a FROM {lake.name}.main.\"o'ther\"") == [("x",)]
    if lake.catalog == "sqlite":
        return
    for statement in [f"SELECT * FROM duckdb.flush_inlined_data('{lake.name}')", f"SELECT duckdb.checkpoint('{lake.name}')"]:
        time.sleep(COUNTS_FOR_S)
        su.execute(statement)
    time.sleep(COUNTS_FOR_S)
    assert query(su, f"SELECT count(*) FROM {near}") == [(23,)]
