"""Delta tables, as delta-rs writes them: what their logs say of other files is looked at, whatever is
wrong with them is an error of one statement, and conditions find every row."""

import decimal
import json
import os
import shutil

import deltalake
import pyarrow as pa
import pytest

from conftest import create_server, map_user
from support import failure, open_directory, sqlstate_of


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def folder(su):
    with open_directory() as outer:
        directory = outer / "in"
        directory.mkdir()
        directory.chmod(0o755)
        (outer / "outside").mkdir()
        su.execute(f"CREATE SERVER deltas TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{directory}')")
        su.execute("CREATE ROLE delta_reader LOGIN; GRANT USAGE ON FOREIGN SERVER deltas TO delta_reader")
        su.execute("CREATE USER MAPPING FOR delta_reader SERVER deltas; CREATE USER MAPPING FOR postgres SERVER deltas")
        su.execute("GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql), duckdb.describe(text), duckdb.delta_scan, duckdb.execute(text) TO delta_reader")
        yield directory
    su.execute("DROP SERVER deltas CASCADE; DROP OWNED BY delta_reader; DROP ROLE delta_reader")


ROWS = pa.table({"id": pa.array([1, 2], pa.int64()), "name": ["a", "b"]})
_numbers = iter(range(1000))


@pytest.fixture
def table(folder):
    """A table of two commits."""
    path = folder / f"table_{next(_numbers)}"
    deltalake.write_deltalake(str(path), ROWS)
    deltalake.write_deltalake(str(path), ROWS, mode="append")
    return path


def commit(table, number):
    return table / "_delta_log" / f"{number:020}.json"


def actions(table, number, change):
    """Changes the actions of a commit, one by one."""
    changed = []
    for line in commit(table, number).read_text().splitlines():
        action = json.loads(line)
        change(action)
        changed.append(json.dumps(action))
    commit(table, number).write_text("\n".join(changed) + "\n")


def vector(**fields):
    def apply(table):
        def add(action):
            if "add" in action:
                action["add"]["deletionVector"] = {"offset": 1, "sizeInBytes": 44, "cardinality": 2, **fields}

        def protocol(action):
            if "protocol" in action:
                features = ["deletionVectors"]
                action["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}

        actions(table, 1, add)
        actions(table, 0, protocol)

    return apply


def deep(field):
    levels = 100_000
    nested = {"commitInfo": '{"commitInfo":{"a":' + "[" * levels + "]" * levels + "}}"}
    nested["add"] = '{"add":{"path":"x","partitionValues":{"a":' + '{"a":' * levels + "1" + "}" * levels + '},"size":1,"modificationTime":1,"dataChange":true}}'
    nested["tags"] = '{"add":{"path":"x","partitionValues":{},"tags":' + "[" * levels + "]" * levels + ',"size":1,"modificationTime":1,"dataChange":true}}'
    return lambda table: commit(table, 1).write_text(nested[field] + "\n")


def name_file(path):
    def change(action):
        if "add" in action:
            action["add"]["path"] = path

    return lambda table: actions(table, 1, change)


def move_log(table):
    elsewhere = table.parent.parent / "outside" / table.name
    shutil.move(table / "_delta_log", elsewhere)
    (table / "_delta_log").symlink_to(elsewhere)


def move_commit(table):
    elsewhere = table.parent.parent / "outside" / (table.name + ".json")
    shutil.move(commit(table, 1), elsewhere)
    commit(table, 1).symlink_to(elsewhere)


DAMAGED = {
    "deep commitInfo": deep("commitInfo"),
    "deep partition values": deep("add"),
    "deep tags": deep("tags"),
    "empty inline vector": vector(storageType="i", pathOrInlineDv="", sizeInBytes=0, cardinality=0),
    "short inline vector": vector(storageType="i", pathOrInlineDv="0r"),
    "cut inline vector": vector(storageType="i", pathOrInlineDv="wi5b=000010000siXQKl0rr9"),
    "short name of a vector": vector(storageType="u", pathOrInlineDv="ab"),
    "unknown kind of vector": vector(storageType="z", pathOrInlineDv="ab^-aqEH.-t@S}K{vb[*k^"),
    "deep hint": lambda t: (t / "_delta_log" / "_last_checkpoint").write_text('{"version":0,"size":1,"x":' + "[" * 100_000 + "]" * 100_000 + "}"),
}
BROKEN = {
    "garbage": lambda t: commit(t, 1).write_text("garbage"),
    "first commit missing": lambda t: commit(t, 0).unlink(),
    "vector missing": vector(storageType="u", pathOrInlineDv="ab^-aqEH.-t@S}K{vb[*k^"),
    "no log": lambda t: shutil.rmtree(t / "_delta_log"),
}
ELSEWHERE = {
    "vector in /etc": vector(storageType="p", pathOrInlineDv="file:///etc/passwd"),
    "vector by dots": vector(storageType="u", pathOrInlineDv="../../outside/ab^-aqEH.-t@S}K{vb[*k^"),
    "vector over the network": vector(storageType="p", pathOrInlineDv="http://127.0.0.1:1/x"),
    "file by dots": name_file("../../outside/x.parquet"),
    "file by encoded dots": name_file("%2e%2e/%2e%2e/outside/x.parquet"),
    "file with parameters": name_file("s3://lake/x.parquet?s3_endpoint=127.0.0.1:1"),
    "log behind a link": move_log,
    "commit behind a link": move_commit,
}


@pytest.mark.parametrize("fault", [*DAMAGED, *BROKEN, *ELSEWHERE])
def test_a_fault_ends_one_statement(fault, table, su, connect):
    name = "delta_" + fault.replace(" ", "_").replace("/", "_").lower()
    su.execute(f"CREATE FOREIGN TABLE {name} (id bigint, name text) SERVER deltas OPTIONS (path '{table}', format 'delta')")
    su.execute(f"GRANT SELECT ON {name} TO delta_reader")
    {**DAMAGED, **BROKEN, **ELSEWHERE}[fault](table)
    for user in ("delta_reader", "postgres"):
        conn = connect(user)
        for statement in (
            f"SELECT * FROM duckdb.query($$FROM delta_scan('{table}')$$)",
            f"SELECT * FROM {name}",
            f"SELECT * FROM duckdb.delta_scan('{table}')",
            f"SELECT duckdb.execute($$CREATE TABLE stored AS FROM delta_scan('{table}')$$)",
        ):
            state = sqlstate_of(conn, statement)
            if fault in DAMAGED:
                assert state == "XX001", (user, statement, state)
            elif fault in ELSEWHERE and user == "delta_reader":
                assert state == "42501", (user, statement, state)
            elif fault in BROKEN:
                assert state is not None and state != "XX000", (user, statement, state)
        sqlstate_of(conn, f"EXPLAIN (VERBOSE) SELECT * FROM {name}")
        assert conn.execute("SELECT a FROM duckdb.query('SELECT 7 AS a')").fetchone() == (7,)


def test_versions_and_checkpoints(table, connect, su):
    deltalake.DeltaTable(str(table)).create_checkpoint()
    deltalake.write_deltalake(str(table), ROWS, mode="append")
    for user in ("delta_reader", "postgres"):
        conn = connect(user)
        count = lambda options="": conn.execute(f"SELECT n FROM duckdb.query($$SELECT count(*) AS n FROM delta_scan('{table}'{options})$$)").fetchone()[0]
        assert [count(), count(", version => 0"), count(", version => 1"), count(", version := '2'::UBIGINT")] == [6, 2, 4, 6]
        assert conn.execute(f"SELECT count(*) FROM duckdb.delta_scan('{table}', version => 1)").fetchone() == (4,)


def test_a_vector_in_a_checkpoint_is_looked_at(table, connect):
    vector(storageType="p", pathOrInlineDv="file:///etc/passwd")(table)
    import duckdb

    log = table / "_delta_log"
    # One that another client has written: the log's actions as they are.
    duckdb.execute(
        f"COPY (SELECT * FROM read_json(['{commit(table, 0)}', '{commit(table, 1)}'], format = 'newline_delimited', union_by_name = true, sample_size = -1)) "
        f"TO '{log}/{1:020}.checkpoint.parquet' (FORMAT parquet)"
    )
    (log / "_last_checkpoint").write_text('{"version":1,"size":5}')
    for number in (0, 1):
        commit(table, number).unlink()
    error = failure(connect("delta_reader"), f"SELECT * FROM duckdb.query($$FROM delta_scan('{table}')$$)")
    assert error.sqlstate == "42501" and "etc/passwd" in str(error)


def test_deleted_rows_stay_deleted(table, connect):
    deltalake.DeltaTable(str(table)).delete("id = 1")
    assert connect("delta_reader").execute(f"SELECT DISTINCT id FROM duckdb.query($$FROM delta_scan('{table}')$$)").fetchall() == [(2,)]


def test_decimals_of_many_digits(folder, su, connect):
    """delta-rs writes statistics as floating-point numbers."""
    path = folder / "decimals"
    values = [decimal.Decimal(text) for text in ("12345678901234567890.12", "-99999999999999999999.99", "0.01", "1234567890123456.78", "99999999999999999.99")]
    for value in values:
        deltalake.write_deltalake(str(path), pa.table({"d": pa.array([value], pa.decimal128(22, 2)), "s": pa.array([1], pa.int32())}), mode="append")
    su.execute(f"CREATE FOREIGN TABLE delta_decimals () SERVER deltas OPTIONS (path '{path}', format 'delta')")
    for value in values:
        for operator, count in (("=", 1), (">=", sum(v >= value for v in values)), ("<=", sum(v <= value for v in values)), (">", sum(v > value for v in values))):
            found = {}
            for mode in ("on", "off"):
                su.execute(f"SET duckdb.enable_pushdown = {mode}")
                found[mode] = su.execute(f"SELECT count(*) FROM delta_decimals WHERE d {operator} {value}").fetchone()[0]
                found["bound " + mode] = su.execute(f"SELECT count(*) FROM delta_decimals WHERE d {operator} %s::numeric(22,2)", (value,)).fetchone()[0]
            su.execute("RESET duckdb.enable_pushdown")
            found["text"] = su.execute(f"SELECT n FROM duckdb.query($$SELECT count(*) AS n FROM delta_scan('{path}') WHERE d {operator} {value}$$)").fetchone()[0]
            found["qualified"] = su.execute(f"SELECT n FROM duckdb.query($$SELECT count(*) AS n FROM delta_scan('{path}') WHERE delta_scan.d {operator} {value}$$)").fetchone()[0]
            assert set(found.values()) == {count}, (value, operator, found)


def test_a_table_in_the_store(su, sandbox, folder, connect):
    create_server(su, sandbox, "delta_store", "s3://lake/delta_store/")
    map_user(su, "postgres", "delta_store", sandbox.all)
    map_user(su, "delta_reader", "delta_store", sandbox.lake_reader)
    place = f"s3://lake/delta_store/t{next(_numbers)}_{os.getpid()}"
    options = {
        "AWS_ENDPOINT_URL": f"http://{sandbox.s3_endpoint}", "AWS_ACCESS_KEY_ID": sandbox.all.key_id, "AWS_SECRET_ACCESS_KEY": sandbox.all.secret,
        "AWS_REGION": sandbox.s3_region, "AWS_ALLOW_HTTP": "true", "aws_conditional_put": "etag",
    }
    values = [decimal.Decimal("12345678901234567890.12"), decimal.Decimal("0.01")]
    rows = pa.table({"d": pa.array(values, pa.decimal128(22, 2))})
    for _ in range(2):
        deltalake.write_deltalake(place, rows, mode="append", storage_options=options)
    deltalake.DeltaTable(place, storage_options=options).create_checkpoint()
    deltalake.write_deltalake(place, rows, mode="append", storage_options=options)
    su.execute(f"CREATE FOREIGN TABLE stored_delta () SERVER delta_store OPTIONS (path '{place}', format 'delta')")
    su.execute("GRANT SELECT ON stored_delta TO delta_reader")
    for user in ("delta_reader", "postgres"):
        conn = connect(user)
        assert conn.execute(f"SELECT count(*) FROM stored_delta WHERE d = {values[0]}").fetchone() == (3,)
        assert conn.execute(f"SELECT count(*) FROM duckdb.query($$FROM delta_scan('{place}', version => 1)$$)").fetchone() == (4,)
        assert sqlstate_of(conn, f"SELECT * FROM duckdb.query($$FROM delta_scan('{place}_none')$$)") == "58P01"
