"""COPY … TO and statements for DuckDB of a role that may write below two servers: nothing is written or asked
elsewhere, and the values of options are constants."""

import pytest

from worlds import execute, literal

CALLS = [
    "concat('a', 'b')", "current_setting('memory_limit')", "(SELECT 'x')", "getenv('HOME')", "upper('x')", "'a' || 'b'", "$1", "current_user", "lower($$x$$)",
    "list_value('a')", "[concat('a')]", "{a: current_setting('threads')}", "(SELECT content FROM read_text('{secret}/canary.txt'))", "x.y", "*", "random()", "NULL", "CASE WHEN true THEN 'a' END", "1 + 1", "CAST('x' AS VARCHAR)", "'x'::VARCHAR", "MAP {'a': 'b'}", "struct_pack(a := 'b')",
]  # fmt: skip
OPTIONS = ["FILENAME_PATTERN", "FILE_EXTENSION", "KV_METADATA", "DELIM", "COMPRESSION", "NULLSTR", "PREFIX", "SUFFIX", "QUOTE", "PARTITION_BY", "FIELD_IDS", "FORMAT", "SHEET", "DATEFORMAT", "ROW_GROUP_SIZE", "HEADER", "OVERWRITE"]  # fmt: skip


def before(world):
    return sorted(world.writer.execute(f"SELECT file FROM glob('{world.base}**')").fetchall() + world.writer.execute(f"SELECT file FROM glob('{world.vault}**')").fetchall())


def inside(world, old):
    return [name for (name,) in before(world) if (name,) not in old and not name.startswith(world.base + "out/")]


@pytest.mark.parametrize("option", OPTIONS)
def test_values_of_options_are_constants(world, option):
    session, old = world.session("executor"), before(world)
    for call in CALLS:
        call = world.filled(call)
        per_thread = ", PER_THREAD_OUTPUT" if option in ("FILENAME_PATTERN", "FILE_EXTENSION") else ""
        outcome = session.run(execute(f"COPY (SELECT 1 AS a, 'x' AS b) TO '{world.base}out/options' (FORMAT csv, {option} {call}{per_thread})"))
        assert not outcome.lost, outcome
        if call.startswith(("MAP {'a'", "NULL", "*")) or call == "current_user" or option == "PARTITION_BY" and call in ("x.y", "*"):
            # Constants of a kind: a bare word is the text of that word.
            assert outcome.error is None or outcome.state in ("42501", "22023", "42000", "0A000", "42703", "42601", "42804", "58030", "22P02"), outcome
        else:
            assert outcome.state in ("42501", "42601", "22023", "42P02"), (call, outcome)
    assert inside(world, old) == []
    names = world.writer.execute(f"SELECT file FROM glob('{world.base}out/**')").fetchall()
    assert not any(world.role("executor") in name.removeprefix(world.base) for (name,) in names)


NAMES = [
    "../x", "..", "/tmp/x", "a/b", "a\\b", "%2e%2e/x", "x?s3_endpoint={http}", "csv?s3_endpoint={http}&s3_use_ssl=false", "csv#x", "\x00", "\n", "a\x01", "{uuid}/../x", "{i}", "{uuidv4}",
    "x*", "[x]", "~", "s3://vault/x", "http://{http}/x", "csv%3Fs3_endpoint={http}", "\uff0e\uff0e\uff0fx", "\u2215x", ".", "", "a" * 3000, "é", "'; DROP", "$1", "{COMMIT_MESSAGE}",
]  # fmt: skip


@pytest.mark.parametrize("option", ["FILENAME_PATTERN", "FILE_EXTENSION"])
@pytest.mark.parametrize("place", ["{base}out/names", "{outfolder}/names"])
def test_names_of_files_stay_inside(world, option, place):
    session, old, place = world.session("executor"), before(world), world.filled(place)
    for name in NAMES:
        name = world.filled(name).replace("\x00", "%00")
        for more in (", PER_THREAD_OUTPUT", ", PARTITION_BY (a)"):
            outcome = session.run(execute(f"COPY (SELECT 1 AS a, 'x' AS b) TO '{place}' (FORMAT csv, {option} {literal(name)}, OVERWRITE_OR_IGNORE{more})"))
            assert not outcome.lost, outcome
            assert outcome.error is None or outcome.state in ("42501", "22023", "42601", "58030", "22021", "38000", "42000", "0A000", "58P01", "08001", "HV00Q"), (name, outcome)
    assert inside(world, old) == []
    outside = [path for path in world.directory.iterdir() if path.name not in ("secret", "folder", "outfolder")]
    assert outside == []
    assert sorted(path.name for path in (world.directory / "secret").iterdir()) == ["canary.csv", "canary.db", "canary.duckdb", "canary.json", "canary.parquet", "canary.txt"]


VALUES = ["../../x", "..", ".", "a/b", "/etc", "x?s3_endpoint={http}", "%2e%2e", "\n", "\x01", "\\", "a" * 300, "*", "é", "'", "#", "__HIVE_DEFAULT_PARTITION__", "", " ", "\uff0e\uff0e", "=", "a=b", "{COMMIT_MESSAGE}"]


@pytest.mark.parametrize("place", ["{base}out/parts", "{outfolder}/parts"])
def test_values_that_become_folders_stay_inside(world, place):
    session, old, place = world.session("executor"), before(world), world.filled(place)
    for number, value in enumerate(VALUES):
        value = world.filled(value)
        target = f"{place}/{number}"
        for more in ("", ", WRITE_PARTITION_COLUMNS true", ", HIVE_FILE_PATTERN false"):
            outcome = session.run(execute(f"COPY (SELECT {literal(value)} AS p, 1 AS v) TO '{target}' (FORMAT csv, PARTITION_BY (p), OVERWRITE_OR_IGNORE{more})"))
            assert not outcome.lost, outcome
            assert outcome.error is None or outcome.state in ("42501", "22023", "58030", "38000", "42601", "58P01", "22021"), (value, outcome)
            assert "HIVE" not in more or outcome.state == "42501"
    assert inside(world, old) == []
    found = [path for path in (world.directory / "outfolder").rglob("*") if path.is_file() and "linked" not in path.parts]
    assert all(str(path).startswith(world.filled("{outfolder}/")) for path in found)


TARGETS = [
    "{secret}/out.csv", "/tmp/pond_security_out.csv", "{outfolder}/../secret/out.csv", "{outfolder}/linked/out.csv", "{outfolder}/linked/new/out.csv", "{folder}/out.csv",
    "{base}open/out.csv", "{base}out/../other/out.csv", "{base}out/%2e%2e/other/out.csv", "{base}out/x.csv?s3_endpoint={http}&s3_use_ssl=false", "{base}out/x.csv?s3_region=x",
    "{base}lakes/1/main/orders/x.parquet", "{vault}out.csv", "http://{http}/x.csv", "S3://lake/x.csv", "{base}out", "{base}outer/x.csv", "/dev/stdout", "/dev/stderr", "/dev/null",
    "{base}out/\x01.csv", "{base}out/a\\..\\b.csv", "file://{secret}/out.csv", "", " ", "{base}out/*.csv", "/proc/self/mem", "PG_VERSION", "{outfolder}/.", "{outfolder}/",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=repr)
@pytest.mark.parametrize("form", ["csv", "parquet", "json", "xlsx", "partitioned"])
def test_copy_writes_to_writable_servers_only(world, target, form):
    session, old, path = world.session("executor"), before(world), world.filled(target)
    options = "FORMAT csv, PARTITION_BY (a)" if form == "partitioned" else f"FORMAT {form}"
    outcome = session.run(execute(f"COPY (SELECT 1 AS a, 2 AS b) TO {literal(path)} ({options})"))
    assert outcome.error is not None or target in ("{base}out/*.csv", "{base}out", "{outfolder}/") and form == "partitioned", outcome
    assert not outcome.lost and (outcome.error is None or outcome.state in ("42501", "42601", "58030", "22023")), outcome
    assert inside(world, old) == []
    assert not (world.directory / "secret" / "out.csv").exists()


STATEMENTS = [
    "COPY (SELECT 1 AS a) TO '{base}out/a.csv' (FORMAT csv, S3_ENDPOINT '{http}')", "COPY (SELECT 1 AS a) TO '{base}out/a.csv' (FORMAT csv, SECRET 'x')",
    "COPY (SELECT 1 AS a) TO '{base}out/a.bin' (FORMAT arrow)", "COPY (SELECT 1 AS a) TO '{base}out/a.x' (FORMAT gdal, DRIVER 'CSV')", "COPY (SELECT 1 AS a) TO '{base}out/a.x' (FORMAT 'csv', ENCRYPTION_CONFIG {footer_key: 'k'})",
    "COPY (SELECT 1 AS a) TO '{base}out/a.csv' WITH (FORMAT csv) ; SELECT 1", "COPY (SELECT 1) TO '{base}out/' || 'x.csv'", "COPY (SELECT 1) TO $1", "COPY (SELECT 1) TO STDOUT", "COPY (SELECT 1) TO '/dev/stdout'",
    "COPY (INSERT INTO x VALUES (1) RETURNING a) TO '{base}out/a.csv'", "COPY (SELECT * FROM duckdb_secrets()) TO '{base}out/a.csv'", "COPY (SELECT getvariable('x')) TO '{secret}/x'",
    "CREATE TABLE memory.main.t2 AS FROM '{secret}/canary.csv'", "CREATE MACRO m() AS TABLE FROM read_text('{secret}/canary.txt')", "CREATE TYPE t AS ENUM (SELECT content FROM read_text('{secret}/canary.txt'))",
    "CREATE TABLE t3 (a VARCHAR DEFAULT (SELECT content FROM read_text('{secret}/canary.txt')))", "CREATE TABLE t3 (a VARCHAR DEFAULT (current_setting('memory_limit')))", "CREATE TABLE t4 (a INT CHECK (a > (SELECT 1 FROM '{secret}/canary.csv')))",
    "CREATE TABLE t5 (a INT GENERATED ALWAYS AS (current_setting('threads')))", "CREATE VIEW v5 AS FROM '{secret}/canary.csv'", "CREATE INDEX i ON own (a)", "CREATE SEQUENCE s", "CREATE SECRET s (TYPE s3)", "CREATE SCHEMA x",
    "ALTER TABLE own ALTER a SET DEFAULT (SELECT content FROM read_text('{secret}/canary.txt'))", "ALTER DATABASE memory RENAME TO m", "UPDATE own SET a = (SELECT content FROM read_text('{secret}/canary.txt'))",
    "INSERT INTO own SELECT content FROM read_text('{secret}/canary.txt')", "DELETE FROM own USING '{secret}/canary.csv' c WHERE c.a = own.a", "MERGE INTO own USING '{secret}/canary.csv' c ON false WHEN NOT MATCHED THEN INSERT VALUES (c.a)",
    "INSERT INTO own BY NAME FROM '{vault}canary.csv'", "WITH x AS (FROM '{secret}/canary.csv') INSERT INTO own SELECT a FROM x", "ATTACH '{outfolder}/x.duckdb' AS x", "ATTACH '' AS x (TYPE postgres)", "ATTACH 'ducklake:{outfolder}/x' AS x",
    "EXPORT DATABASE '{outfolder}/x'", "IMPORT DATABASE '{folder}'", "LOAD httpfs", "INSTALL spatial FROM 'http://{http}'", "SET s3_endpoint = '{http}'", "PRAGMA enable_profiling = 'json'", "PRAGMA profile_output = '{secret}/x'",
    "CALL enable_logging(storage = 'file', storage_path = '{outfolder}')", "SET VARIABLE a = 1", "CHECKPOINT", "USE memory", "EXECUTE x", "PREPARE x AS SELECT 1", "EXPLAIN ANALYZE SELECT 1", "COMMENT ON TABLE own IS 'x'; DROP TABLE own",
    "DROP TABLE __ducklake_metadata_lk1.main.ducklake_table", "CALL postgres_execute('__ducklake_metadata_lk1', 'SELECT 1')", "FROM postgres_query('__ducklake_metadata_lk1', 'SELECT 1')",
    "INSERT INTO __ducklake_metadata_lk1.cat1.ducklake_view VALUES (1)", "CREATE VIEW lk1.main.v AS FROM '{secret}/canary.csv'", "CREATE VIEW lk1.main.v AS SELECT * FROM __ducklake_metadata_lk1.cat1.ducklake_table",
    "CREATE MACRO lk1.main.m() AS 1", "CALL lk1.set_option('data_path', 's3://vault/')", "CALL ducklake_add_data_files('lk1', 'orders', '{vault}canary.parquet')", "CALL ducklake_cleanup_old_files('lk1', cleanup_all => true)", "CALL lk1.set_commit_message(current_setting('threads'), 'x')",
    "ALTER TABLE lk1.main.orders SET SORTED BY ((SELECT content FROM read_text('{secret}/canary.txt')))", "ALTER TABLE lk1.main.orders ADD COLUMN x VARCHAR DEFAULT (SELECT content FROM read_text('{secret}/canary.txt'))", "ALTER TABLE lk1.main.orders SET PARTITIONED BY (current_setting('threads'))",
    "DETACH lk1", "COPY lk1.main.orders FROM '{secret}/canary.csv'", "COPY FROM DATABASE lk1 TO memory", "CREATE TABLE lk1.main.stolen AS FROM '{secret}/canary.csv'", "UPDATE lk1.main.orders SET note = (SELECT max(a) FROM '{vault}canary.csv')",
]  # fmt: skip


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: s[:60])
def test_statements_for_duckdb_that_are_refused(world, statement):
    session, old = world.session("executor"), before(world)
    session.run(execute("CREATE TABLE IF NOT EXISTS own (a VARCHAR)"))
    outcome = session.run(execute(world.filled(statement)))
    assert outcome.error is not None and not outcome.lost, outcome
    assert outcome.state in ("42501", "42601", "0A000", "42P02", "42P01", "42P18"), outcome
    assert inside(world, old) == []
    assert session.rows(f"SELECT count(*) FROM duckdb.query($$ FROM {world.orders.name}.main.orders $$)")[0][0] >= 50
