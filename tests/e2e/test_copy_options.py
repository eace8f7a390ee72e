"""COPY … TO of an ordinary role: its options are literals, which name no other place and run nothing."""

import pathlib

import pytest

from support import failure, open_directory

PLACE = "s3://lake/copy_options/"


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def writer(su, sandbox):
    """A role that may write below one folder of the store and one of the machine."""
    from conftest import create_server, map_user

    su.execute("CREATE ROLE copy_writer LOGIN")
    su.execute("GRANT EXECUTE ON FUNCTION duckdb.execute(text), duckdb.query(duckdb.sql) TO copy_writer")
    create_server(su, sandbox, "copies", PLACE, writable="true")
    map_user(su, "copy_writer", "copies", sandbox.all)
    with open_directory() as directory:
        (directory / "in").mkdir()
        (directory / "in").chmod(0o777)
        directory.chmod(0o777)
        su.execute(f"CREATE SERVER disk TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{directory}/in', writable 'true')")
        su.execute("GRANT USAGE ON FOREIGN SERVER disk TO copy_writer; CREATE USER MAPPING FOR copy_writer SERVER disk")
        yield directory
    su.execute("DROP SERVER disk, copies CASCADE; DROP OWNED BY copy_writer; DROP ROLE copy_writer")


REFUSED = [
    "FORMAT csv, PER_THREAD_OUTPUT, FILENAME_PATTERN concat('..', chr(47), '..', chr(47), 'out')",
    "FORMAT csv, PER_THREAD_OUTPUT, FILENAME_PATTERN '..' || chr(47) || 'out'",
    "FORMAT csv, PER_THREAD_OUTPUT, FILENAME_PATTERN (SELECT 'x')",
    "FORMAT csv, PER_THREAD_OUTPUT, FILENAME_PATTERN upper('x')",
    "FORMAT csv, PER_THREAD_OUTPUT, FILENAME_PATTERN '%2e%2e%2fout'",
    "FORMAT csv, PER_THREAD_OUTPUT, FILE_EXTENSION concat('csv', chr(63), 's3_endpoint=127.0.0.1:1')",
    "FORMAT csv, PER_THREAD_OUTPUT, FILE_EXTENSION 'csv?s3_endpoint=127.0.0.1:1'",
    "FORMAT csv, PER_THREAD_OUTPUT, FILE_EXTENSION ['csv']",
    "FORMAT parquet, KV_METADATA {a: current_setting('s3_secret_access_key')}",
    "FORMAT parquet, KV_METADATA {a: [version()]}",
    "FORMAT parquet, KV_METADATA {a: (SELECT 1)}",
    "FORMAT parquet, KV_METADATA struct_pack(a := 1)",
    "FORMAT parquet, FIELD_IDS {a: length('x')}",
    "FORMAT parquet, ROW_GROUP_SIZE length('x')",
    "FORMAT csv, NULL version()",
    "FORMAT csv, HEADER (version() = '')",
    "FORMAT csv, PARTITION_BY (version())",
    "FORMAT concat('c', 'sv')",
    "FORMAT csv, DELIM chr(59)",
]


@pytest.mark.parametrize("options", REFUSED)
def test_values_are_literals(writer, connect, options):
    conn = connect("copy_writer")
    for place in (PLACE + "x", f"{writer}/in/x"):
        error = failure(conn, "SELECT duckdb.execute(%s)", (f"COPY (SELECT 1 AS a) TO '{place}' ({options})",))
        assert error.sqlstate == "42501", options
    assert {path.name for path in writer.rglob("*")} <= {"in"}


def test_literals_reach_duckdb(writer, connect):
    """What is written anew is what was asked for."""
    conn = connect("copy_writer")
    place = f"{writer}/in"
    execute = lambda sql: conn.execute("SELECT duckdb.execute(%s)", (sql,))
    query = lambda sql: conn.execute(f"SELECT * FROM duckdb.query({quoted(sql)})").fetchall()
    execute(
        f"COPY (SELECT 1 AS a, 'x;y' AS b, NULL::INT AS c) TO '{place}/a.csv' "
        "(FORMAT csv, HEADER true, FORCE_QUOTE (b), NULL 'none', DELIM ';', QUOTE '\"')"
    )
    assert pathlib.Path(f"{place}/a.csv").read_text() == 'a;"b";c\n1;"x;y";none\n'
    execute(f"COPY (SELECT 1 AS a, 2 AS b) TO '{place}/q.csv' (FORMAT csv, HEADER 0, FORCE_QUOTE *)")
    assert pathlib.Path(f"{place}/q.csv").read_text() == '"1","2"\n'
    execute(
        f"COPY (SELECT i AS a, i % 2 AS b FROM range(4) t(i)) TO '{place}/p' "
        "(FORMAT parquet, PARTITION_BY (b), FILENAME_PATTERN 'part-{i}', FILE_EXTENSION 'pq', COMPRESSION zstd, OVERWRITE_OR_IGNORE, "
        "KV_METADATA {who: 'it''s', \"n\": 2}, FIELD_IDS {a: 7}, ROW_GROUP_SIZE 2048)"
    )
    files = {str(path.relative_to(place)) for path in pathlib.Path(place, "p").rglob("*.pq")}
    assert files == {"p/b=0/part-0.pq", "p/b=1/part-0.pq"}
    kept = query(f"SELECT DISTINCT decode(key) AS k, decode(value) AS v FROM parquet_kv_metadata('{place}/p/b=0/part-0.pq') ORDER BY 1")
    assert ("n", "2") in kept and ("who", "it's") in kept
    assert query(f"SELECT field_id FROM parquet_schema('{place}/p/b=0/part-0.pq') WHERE name = 'a'") == [(7,)]
    execute(f"COPY (SELECT 1 AS a) TO '{PLACE}x.json' (FORMAT json, ARRAY true)")
    assert query(f"SELECT a FROM read_json('{PLACE}x.json')") == [(1,)]
