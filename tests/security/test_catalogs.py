"""A holder of the catalog's password changes what DuckLake reads there. Nobody who uses the lake runs SQL,
reads or writes files elsewhere, deletes anything, or crashes by it: 42501 or 42P17 for reads, writes and
maintenance alike, superusers included."""

import pytest

from worlds import execute, identifier, query

REFUSED = ("42501", "42P17")
# Where the catalog is damaged beyond that, DuckLake's own refusal will do.
DAMAGED = (*REFUSED, "42P01", "42703", "42804", "42000", "0A000", "22P02", "HV00R", "HV00N", "58P01", "58030", "XX001", "42601", "22003", "22023", "22021", "42704", "3F000", "HV00Q", "08001", "40001", "23502", "42883", "25000", "40000", "25P02", "55000")


@pytest.fixture(scope="module")
def original(world):
    """A lake that stays as it is: a table kept in the catalog and one in files, with a deletion each."""
    made = world.lake()
    made.client.execute("CREATE TABLE inl (a BIGINT, b VARCHAR)")
    made.client.execute("INSERT INTO inl SELECT i, 'in' || i FROM range(3) t(i)")
    made.client.execute("CREATE TABLE fil (a BIGINT, b VARCHAR)")
    made.client.execute("INSERT INTO fil SELECT i, 'out' || i FROM range(1000) t(i)")
    made.client.execute("DELETE FROM fil WHERE a = 7")
    made.client.execute("DELETE FROM fil WHERE a >= 10 AND a < 500")
    made.client.execute("CREATE VIEW vw AS SELECT a FROM fil")
    yield made
    made.client.close()


@pytest.fixture
def lake(world, original):
    """A copy of it with a server of its own, so that no session knows anything of it beforehand."""
    made = world.copy_of(original)
    try:
        made.serve()
        reader, inserter = world.role("reader"), world.role("inserter")
        for table in ("inl", "fil"):
            made.table(table, "a bigint, b text", f"GRANT SELECT ON {{table}} TO {reader}; GRANT SELECT, INSERT, UPDATE, DELETE ON {{table}} TO {inserter}")
        yield made
    finally:
        made.drop()


def uses(lake, table):
    """(role, statement): reads and writes by ordinary roles and by a superuser, who has no keys for the other bucket."""
    name = f"{lake.name}_{table}"
    yield "reader", f"SELECT sum(a), max(b) FROM {name}"
    yield "chief", f"SELECT b FROM {name} WHERE a = 5"
    yield "chief", f"INSERT INTO {name} SELECT 2, 'y'"
    yield "chief", f"DELETE FROM {name} WHERE a = 1"
    yield "chief", f"SELECT count(data_file) FROM duckdb.list_files('{name}')"
    if int(lake.name.removeprefix("lk")) % 5 == 0:
        yield "executor", query(f"SELECT max(b) AS b, sum(a)::BIGINT AS a FROM {lake.name}.main.{table}")
        yield "executor", execute(f"INSERT INTO {lake.name}.main.{table} VALUES (3, 'z')")


def maintenance(lake):
    for call in (
        "duckdb.flush_inlined_data('{lake}')", "duckdb.merge_adjacent_files('{lake}')", "duckdb.expire_snapshots('{lake}', older_than => now())",
        "duckdb.cleanup_old_files('{lake}', cleanup_all => true)", "duckdb.delete_orphaned_files('{lake}', older_than => now() - interval '2 hours')",
    ):  # fmt: skip
        yield "chief", f"SELECT count(*) FROM {call.replace('{lake}', lake.name)} t"


def attack(world, statements, allowed=DAMAGED, must_fail=()):
    """Runs them in sessions of their own, so that one that is lost loses nothing else."""
    failures = []
    for role, statement in statements:
        session = world.session(role)
        outcome = session.run(statement)
        if outcome.lost:
            failures.append(("lost", role, statement, outcome))
        elif outcome.error is not None and outcome.state not in allowed:
            failures.append((role, statement, outcome))
        elif outcome.error is None and must_fail and statement.startswith(must_fail):
            failures.append(("went through", role, statement, outcome))
        else:
            for word, what in world.forbidden.items():
                if word in outcome.told:
                    failures.append((what, role, statement, outcome))
    assert not failures, "\n".join(map(str, failures))


def test_a_lake_that_nobody_touched_works(world, lake):
    """What the other tests meet fails by what they have changed."""
    for table in ("fil", "inl"):
        for role, statement in uses(lake, table):
            world.session(role).rows(statement)
    before = [world.session("reader").rows(f"SELECT count(*), sum(a) FROM {lake.name}_{table} WHERE a <> 3") for table in ("fil", "inl")]
    assert before == [[(508, 374786)], [(3, 4)]]
    for role, statement in maintenance(lake):
        world.session(role).rows(statement)
    assert [world.session("reader").rows(f"SELECT count(*), sum(a) FROM {lake.name}_{table} WHERE a <> 3") for table in ("fil", "inl")] == before


ELSEWHERE = ["{secret}/canary.parquet", "/etc/passwd", "{vault}canary.parquet", "{base}other/canary.parquet", "{base}papers/papers.parquet", "http://{http}/x.parquet", "../../../other/canary.parquet", "fil/../../../../other/canary.parquet",
             "s3://lake/x.parquet?s3_endpoint={http}&s3_use_ssl=false", "x.parquet?s3_endpoint={http}&s3_use_ssl=false", "file://{secret}/canary.parquet", "%2e%2e/%2e%2e/other/canary.parquet", "\x03.parquet", "'; --.parquet", "*.parquet"]  # fmt: skip


@pytest.mark.parametrize("table,path", [*(("ducklake_data_file", path) for path in ELSEWHERE), *(("ducklake_delete_file", path) for path in ELSEWHERE[:6])])
def test_files_elsewhere(world, lake, path, table):
    path = world.filled(path)
    relative = not path.startswith(("/", "s3:", "http", "file:"))
    lake.tamper(f"UPDATE {table} SET path = %s, path_is_relative = %s", (path, relative))
    attack(world, uses(lake, "fil"))
    # No maintenance deletes or overwrites it, a later cleanup included.
    attack(world, maintenance(lake))
    world.writer.execute(f"SELECT a FROM '{world.vault}canary.parquet'").fetchall()
    assert (world.directory / "secret" / "canary.parquet").exists()


PLACES = ["{secret}/", "{outfolder}/", "{vault}", "{base}other/", "{base}out/", "http://{http}/", "../../../../other/", "x?s3_endpoint={http}&s3_use_ssl=false/", "fil/../../", "'; DROP TABLE x; --/", "{DATA_PATH}/", "%2e%2e/"]


@pytest.mark.parametrize("table,path", [*(("ducklake_table", path) for path in PLACES), *(("ducklake_schema", path) for path in PLACES[:4])])
def test_places_of_tables_elsewhere(world, lake, path, table):
    """A victim's INSERT writes below the lake's own place or not at all."""
    path = world.filled(path)
    before = sorted(world.writer.execute(f"SELECT file FROM glob('{world.base}**')").fetchall() + world.writer.execute(f"SELECT file FROM glob('{world.vault}**')").fetchall())
    lake.tamper(f"UPDATE {table} SET path = %s, path_is_relative = %s", (path, not path.startswith(("/", "s3:", "http"))))
    big = "SELECT i, 'x' || i FROM generate_series(1, 2000) i"
    statements = [(role, f"INSERT INTO {lake.name}_{name} {big}") for role, name in (("inserter", "fil"), ("chief", "fil"), ("chief", "inl"))]
    attack(world, [*statements, *maintenance(lake)])
    after = sorted(world.writer.execute(f"SELECT file FROM glob('{world.base}**')").fetchall() + world.writer.execute(f"SELECT file FROM glob('{world.vault}**')").fetchall())
    assert [name for (name,) in after if (name,) not in before and not name.startswith(lake.data_path)] == []
    assert [name for (name,) in before if (name,) not in after and not name.startswith(lake.data_path)] == []
    assert list((world.directory / "outfolder").iterdir()) == [world.directory / "outfolder" / "linked"] or path != world.filled("{outfolder}/")


@pytest.mark.parametrize("path", ["{secret}/canary.txt", "{vault}canary.csv", "{base}other/canary.json", "{base}papers/papers.csv", "/etc/hostname", "../../../other/canary.json", "http://{http}/x", "x?s3_endpoint={http}&s3_use_ssl=false", "{secret}/*", "'; --"])
def test_files_to_be_deleted_elsewhere(world, lake, path):
    """ducklake_files_scheduled_for_deletion is a list of what the next cleanup deletes."""
    path = world.filled(path)
    lake.tamper("INSERT INTO ducklake_files_scheduled_for_deletion VALUES (4711, %s, %s, now() - interval '1 year')", (path, not path.startswith(("/", "s3:", "http"))))
    attack(world, maintenance(lake))
    for place in (f"{world.vault}canary.csv", f"{world.base}other/canary.json", f"{world.base}papers/papers.csv"):
        assert world.writer.execute(f"SELECT count(*) FROM glob('{place}')").fetchone() == (1,)


INLINED = [
    "ducklake_table", "x; DROP TABLE ducklake_tag", "ducklake_inlined_data_1_1 WHERE false UNION ALL SELECT 1, 1, NULL, 1, 'x' --", "(SELECT 1) t --", '"x"', "pg_catalog.pg_authid", "x'y", "{DATA_PATH}", "__ducklake_metadata_x.y",
    "read_text('/etc/passwd')", "read_csv('http://{http}/x') --", "a.b.c.d", "x\x03", "sniff_csv('{secret}/canary.csv')", "glob('{secret}/*')", "pg_authid",
]  # fmt: skip


@pytest.mark.parametrize("name", INLINED)
def test_names_of_inlined_tables(world, lake, name):
    lake.tamper("UPDATE ducklake_inlined_data_tables SET table_name = %s", (world.filled(name),))
    attack(world, [*uses(lake, "inl"), *maintenance(lake)])
    assert lake.fetch("SELECT count(*) FROM ducklake_tag") == [(0,)]


CHANGED = {
    "varchar as bigint": "ALTER TABLE {t} ALTER COLUMN b TYPE bigint USING 4711",
    "bigint as varchar": "ALTER TABLE {t} ALTER COLUMN a TYPE varchar USING 'x' || a",
    "bigint as double": "ALTER TABLE {t} ALTER COLUMN a TYPE float8",
    "bigint as numeric": "ALTER TABLE {t} ALTER COLUMN a TYPE numeric",
    "varchar as bytea": "ALTER TABLE {t} ALTER COLUMN b TYPE bytea USING NULL",
    "varchar as array": "ALTER TABLE {t} ALTER COLUMN b TYPE text[] USING ARRAY[b]",
    "varchar as date": "ALTER TABLE {t} ALTER COLUMN b TYPE date USING '2026-01-01'",
    "varchar as boolean": "ALTER TABLE {t} ALTER COLUMN b TYPE boolean USING true",
    "row_id as varchar": "ALTER TABLE {t} ALTER COLUMN row_id TYPE varchar",
    "snapshot as varchar": "ALTER TABLE {t} ALTER COLUMN begin_snapshot TYPE varchar",
    "snapshot as smallint": "ALTER TABLE {t} ALTER COLUMN end_snapshot TYPE smallint",
    "a column less": "ALTER TABLE {t} DROP COLUMN b",
    "a column more": "ALTER TABLE {t} ADD COLUMN c text",
    "no columns": "ALTER TABLE {t} DROP COLUMN a, DROP COLUMN b, DROP COLUMN row_id",
    "a view": "ALTER TABLE {t} RENAME TO aside; CREATE VIEW {t} AS SELECT * FROM aside",
    "a view with a function": "ALTER TABLE {t} RENAME TO aside; CREATE TABLE called (who text); CREATE FUNCTION note() RETURNS text LANGUAGE sql AS $f$ INSERT INTO called VALUES (session_user) RETURNING who $f$; CREATE VIEW {t} AS SELECT row_id, begin_snapshot, end_snapshot, a, note()::varchar AS b FROM aside",
    "an enum": "CREATE TYPE e AS ENUM ('in0', 'in1', 'in2'); ALTER TABLE {t} ALTER COLUMN b TYPE e USING NULL",
    "an enum with a name of SQL": "CREATE TYPE \"INTEGER) FROM range(3) --\" AS ENUM ('in0', 'in1', 'in2'); ALTER TABLE {t} ALTER COLUMN b TYPE \"INTEGER) FROM range(3) --\" USING NULL",
    "a composite": "CREATE TYPE c AS (x int, y text); ALTER TABLE {t} ALTER COLUMN b TYPE c USING ROW(1, 'x')::c",
    "a domain": "CREATE DOMAIN d AS bigint; ALTER TABLE {t} ALTER COLUMN b TYPE d USING 1",
    "a foreign type": "ALTER TABLE {t} ALTER COLUMN b TYPE tsvector USING NULL",
    "swapped": "ALTER TABLE {t} RENAME COLUMN a TO x; ALTER TABLE {t} RENAME COLUMN b TO a; ALTER TABLE {t} RENAME COLUMN x TO b",
    "NaN": "UPDATE {t} SET begin_snapshot = -9223372036854775808, row_id = 9223372036854775807",
    "a rule": "CREATE RULE r AS ON INSERT TO {t} DO ALSO SELECT 1",
    "a trigger": "CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.b := NULL; RETURN NEW; END $f$; CREATE TRIGGER t BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION trg()",
    "nothing": "DROP TABLE {t}",
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGED)
def test_inlined_tables_of_other_shapes(world, lake, change):
    ((table,),) = lake.fetch("SELECT table_name FROM ducklake_inlined_data_tables WHERE table_name IN (SELECT tablename FROM pg_tables WHERE schemaname = current_schema()) AND table_id = (SELECT table_id FROM ducklake_table WHERE table_name = 'inl')")
    lake.tamper(CHANGED[change].replace("{t}", identifier(table)))
    attack(world, [*uses(lake, "inl"), *maintenance(lake)])


COLUMNS = [
    ("column_type", "int8"), ("column_type", "int8); SELECT 1; --"), ("column_type", "ENUM('a')"), ("column_type", "struct"), ("column_type", "nosuch"), ("column_type", "x" * 10000), ("column_type", "list"),     ("column_type", "variant"), ("column_type", "SELECT"), ("initial_default", "'; SELECT 1 --"), ("default_value", "(SELECT content FROM read_text('{secret}/canary.txt'))"), ("initial_default", "(SELECT content FROM read_text('{secret}/canary.txt'))"), ("default_value", "' || current_setting('threads') || '"), ("default_value_type", "expression"),
    ("default_value_dialect", "'"), ("column_name", "x' --"), ("column_name", 'a"b'), ("column_name", ""), ("column_name", "{DATA_PATH}"), ("parent_column", 2), ("parent_column", 99), ("nulls_allowed", False),
]  # fmt: skip


@pytest.mark.parametrize("column,value", COLUMNS, ids=lambda v: str(v)[:40].encode("unicode_escape").decode())
def test_columns_of_the_catalog(world, lake, column, value):
    value = world.filled(value) if isinstance(value, str) else value
    try:
        lake.tamper(f"UPDATE ducklake_column SET {column} = %s WHERE column_name = 'b'", (value,))
    except Exception as error:
        pytest.skip(f"DuckLake's own catalog refuses it: {error}")
    attack(world, [*uses(lake, "fil"), *uses(lake, "inl"), *maintenance(lake)])


BODIES = [
    "SELECT content AS a FROM read_text('{secret}/canary.txt')", "SELECT a FROM '{secret}/canary.csv'", "SELECT a FROM '{vault}canary.csv'", "FROM __ducklake_metadata_{lake}.{schema}.ducklake_table", "FROM postgres_query('__ducklake_metadata_{lake}', 'SELECT 1 AS a')", "SELECT 1 AS a; SELECT 2",
    "SELECT current_setting('memory_limit') AS a", "FROM duckdb_secrets()", "FROM glob('/etc/*')", "SELECT a FROM read_csv('http://{http}/x.csv')", "SELECT getenv('HOME') AS a", "FROM vw", "FROM query('SELECT 1 AS a')", "SELECT '{DATA_PATH}' AS a FROM read_text('{secret}/canary.txt')",
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_bodies_of_views(world, lake, body):
    body = world.filled(body).replace("{lake}", lake.name).replace("{schema}", lake.schema)
    lake.tamper("UPDATE ducklake_view SET sql = %s", (body,))
    world.su(f"CREATE FOREIGN TABLE {lake.name}_vw (a bigint) SERVER {lake.name} OPTIONS (table_name 'vw'); GRANT SELECT ON {lake.name}_vw TO {world.role('reader')}")
    statements = [(role, f"SELECT * FROM {lake.name}_vw") for role in ("reader", "chief")] + [("chief", query(f"FROM {lake.name}.main.vw"))]
    attack(world, statements, must_fail=("SELECT",))


OTHERS = {
    "metadata data_path": "UPDATE ducklake_metadata SET value = '{vault}' WHERE key = 'data_path'",
    "metadata data_path of the server": "UPDATE ducklake_metadata SET value = '{secret}/' WHERE key = 'data_path'",
    "metadata data_path with SQL": "UPDATE ducklake_metadata SET value = $q$'; SELECT 1; --$q$ WHERE key = 'data_path'",
    "metadata version": "UPDATE ducklake_metadata SET value = '99.0' WHERE key = 'version'",
    "metadata encrypted": "UPDATE ducklake_metadata SET value = 'true' WHERE key = 'encrypted'",
    "two data_paths": "INSERT INTO ducklake_metadata (key, value) VALUES ('data_path', '{vault}')",
    "an option": "INSERT INTO ducklake_metadata (key, value) VALUES ('parquet_compression', $q$zstd'); SELECT 1; --$q$)",
    "an option of hive": "INSERT INTO ducklake_metadata (key, value) VALUES ('hive_file_pattern', 'false')",
    "an option of sizes": "INSERT INTO ducklake_metadata (key, value) VALUES ('target_file_size', '0')",
    "an option of rows": "INSERT INTO ducklake_metadata (key, value) VALUES ('data_inlining_row_limit', $q$1; SELECT 1$q$)",
    "author": "UPDATE ducklake_snapshot_changes SET author = $q$' || (SELECT 1) || '$q$, commit_message = '{COMMIT_MESSAGE}', commit_extra_info = '{AUTHOR}'",
    "changes made": "UPDATE ducklake_snapshot_changes SET changes_made = $q$created_table:\"main\".\"x'; --\",inserted_into_table:99999999999999999999$q$",
    "schema names": "UPDATE ducklake_schema SET schema_name = $q$main\"; DROP$q$",
    "table names": "UPDATE ducklake_table SET table_name = $q$fil'; --$q$ WHERE table_name = 'inl'",
    "two tables of one name": "UPDATE ducklake_table SET table_name = 'fil'",
    "no snapshots": "DELETE FROM ducklake_snapshot",
    "a snapshot of the far future": "INSERT INTO ducklake_snapshot VALUES (9223372036854775807, now(), 9223372036854775807, 9223372036854775807, 9223372036854775807)",
    "negative ids": "UPDATE ducklake_snapshot SET next_catalog_id = -1, next_file_id = -1",
    "statistics": "UPDATE ducklake_table_column_stats SET min_value = $q$'; SELECT 1 --$q$, max_value = 'x', contains_nan = true",
    "statistics of files": "UPDATE ducklake_file_column_stats SET min_value = $q$x' OR '1'='1$q$, max_value = '{DATA_PATH}', value_count = -1",
    "record counts": "UPDATE ducklake_data_file SET record_count = 9223372036854775807, file_size_bytes = 9223372036854775807, footer_size = 9223372036854775807",
    "negative counts": "UPDATE ducklake_data_file SET record_count = -5, file_size_bytes = -1, footer_size = -1",
    "row ids": "UPDATE ducklake_data_file SET row_id_start = 9223372036854775807",
    "file format": "UPDATE ducklake_data_file SET file_format = 'csv'",
    "encryption key": "UPDATE ducklake_data_file SET encryption_key = $q$'; SELECT 1$q$",
    "delete counts": "UPDATE ducklake_delete_file SET delete_count = 99999999, file_size_bytes = 1, footer_size = 1",
    "a delete file of another table": "UPDATE ducklake_delete_file SET data_file_id = 99999",
    "deletes as data": "UPDATE ducklake_data_file SET path = (SELECT path FROM ducklake_delete_file LIMIT 1)",
    "data as deletes": "UPDATE ducklake_delete_file SET path = (SELECT path FROM ducklake_data_file LIMIT 1)",
    "partitions": "INSERT INTO ducklake_partition_info VALUES ((SELECT max(partition_id) + 1 FROM ducklake_partition_info), (SELECT table_id FROM ducklake_table WHERE table_name = 'fil'), 0, NULL)",
    "tags": "INSERT INTO ducklake_tag VALUES (1, 0, NULL, 'comment', $q$'; SELECT 1 --$q$)",
    "mapping": "UPDATE ducklake_data_file SET mapping_id = 4711",
    "sizes of text": "UPDATE ducklake_table SET table_name = repeat('x', 100000) WHERE table_name = 'inl'",
    "a snapshot time": "UPDATE ducklake_snapshot SET snapshot_time = 'infinity'",
    "types of the catalog": "ALTER TABLE ducklake_data_file ALTER COLUMN path TYPE bigint USING 4711",
    "types of ids": "ALTER TABLE ducklake_table ALTER COLUMN table_id TYPE varchar",
    "types of flags": "ALTER TABLE ducklake_data_file ALTER COLUMN path_is_relative TYPE varchar",
    "types of snapshots": "ALTER TABLE ducklake_snapshot ALTER COLUMN snapshot_id TYPE float8",
    "types of bounds": "ALTER TABLE ducklake_file_column_stats ALTER COLUMN min_value TYPE bigint USING 1",
    "the catalog as views": "ALTER TABLE ducklake_data_file RENAME TO aside; CREATE VIEW ducklake_data_file AS SELECT * FROM aside",
    "a column less": "ALTER TABLE ducklake_column DROP COLUMN default_value",
    "a table less": "DROP TABLE ducklake_snapshot_changes",
    "everything": "DROP TABLE ducklake_data_file",
    "macros": "CREATE FUNCTION lower(varchar) RETURNS varchar LANGUAGE sql AS $f$ SELECT 'x' $f$",
}  # fmt: skip


@pytest.mark.parametrize("change", OTHERS)
def test_other_tables_of_the_catalog(world, lake, change):
    lake.tamper(OTHERS[change].replace("{vault}", world.vault).replace("{secret}", str(world.directory / "secret")))
    attack(world, [*uses(lake, "fil"), *maintenance(lake), *uses(lake, "inl")])
    # Other tables are none the worse; other lakes may fail as long as the session's instance has this one attached.
    for role in ("reader", "chief"):
        session, count = world.session(role), "SELECT count(*) >= 50 FROM orders"
        assert session.rows("SELECT count(*) FROM people") == [(20,)]
        for _ in range(2):
            outcome = session.run(count)
            assert not outcome.lost and (outcome.error is None or outcome.state in DAMAGED), outcome
        assert outcome.error is None or session.fresh().rows(count) == [(True,)]


def test_functions_of_the_catalog_run_as_nobody_else(world, lake):
    """What the catalog's own PostgreSQL runs, it runs as the mapping's user; never as a superuser of the same cluster."""
    lake.tamper("CREATE TABLE called (who text)")
    lake.tamper("CREATE FUNCTION hook() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO called VALUES (session_user); RETURN NULL; END $f$")
    lake.tamper("CREATE TRIGGER h AFTER INSERT ON ducklake_snapshot FOR EACH ROW EXECUTE FUNCTION hook()")
    world.session("inserter").run(f"INSERT INTO {lake.name}_inl VALUES (1, 'x')")
    world.session("postgres").run(f"INSERT INTO {lake.name}_inl VALUES (2, 'x')")
    assert set(lake.fetch("SELECT who FROM called")) <= {(world.holder,)}


