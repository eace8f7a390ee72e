"""Iceberg tables, as pyiceberg writes them: whatever is wrong with their metadata is an error of one
statement, and conditions find every row."""

import datetime
import decimal
import gzip
import json
import time
import uuid

import pyarrow as pa
import pytest
from pyiceberg.catalog.memory import InMemoryCatalog
from pyiceberg.transforms import BucketTransform, DayTransform, MonthTransform, TruncateTransform

from conftest import create_server, map_user
from support import failure, note_latency, open_directory, sqlstate_of


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class Warehouse:
    """Tables in a folder that a server names, and a role that may read it."""

    def __init__(self, directory):
        self.directory = directory
        self._catalog = InMemoryCatalog("warehouse", warehouse=f"file://{directory}")
        self._catalog.create_namespace("n")

    def make(self, name, *batches, partition=None):
        """A table of these Arrow tables; `partition` is a column and a transform."""
        schema = batches[0].schema
        table = self._catalog.create_table(f"n.{name}", schema)
        if partition:
            column, transform = partition
            with table.update_spec() as update:
                update.add_field(column, transform, "part")
        for batch in batches:
            table.append(batch)
        return Table(self.directory / "n" / name)


    def append(self, name, batch):
        self._catalog.load_table(f"n.{name}").append(batch)


class Table:
    def __init__(self, path):
        self.path = path

    def files(self, pattern):
        return sorted((self.path / "metadata").glob(pattern), key=lambda file: file.stat().st_mtime_ns)

    @property
    def metadata(self):
        return max(self.files("*.metadata.json"), key=lambda file: file.name)

    def edit(self, change):
        """Changes the newest metadata file."""
        document = json.loads(self.metadata.read_text())
        change(document)
        self.metadata.write_text(json.dumps(document))


@pytest.fixture(scope="module")
def warehouse(su):
    with open_directory() as directory:
        su.execute(f"CREATE SERVER warehouse TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{directory}')")
        su.execute("CREATE ROLE iceberg_reader LOGIN; GRANT USAGE ON FOREIGN SERVER warehouse TO iceberg_reader")
        su.execute("CREATE USER MAPPING FOR iceberg_reader SERVER warehouse; CREATE USER MAPPING FOR postgres SERVER warehouse")
        su.execute("GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql), duckdb.describe(text), duckdb.iceberg_scan, duckdb.execute(text) TO iceberg_reader")
        yield Warehouse(directory)
    su.execute("DROP SERVER warehouse CASCADE; DROP OWNED BY iceberg_reader; DROP ROLE iceberg_reader")


ROWS = pa.table({"id": pa.array([1, 2], pa.int64()), "name": ["a", "b"]})


@pytest.fixture
def plain(warehouse, request):
    """A table of two commits."""
    name = "plain_" + uuid.uuid4().hex[:8]
    return warehouse.make(name, ROWS, ROWS)


def each(files, change):
    for file in files:
        change(file)


def strip_ids(file):
    """An Avro file whose fields do not say which of Iceberg's they are. Each name keeps its length."""
    file.write_bytes(file.read_bytes().replace(b'"field-id"', b'"field_id"'))


def nested(document):
    for field in document["schemas"][0]["fields"][:1]:
        field["type"] = "DEEP"


def deep(table):
    table.edit(nested)
    levels = 100_000
    kind = '{"type":"list","element-id":9,"element-required":false,"element":' * levels + '"int"' + "}" * levels
    table.metadata.write_text(table.metadata.read_text().replace('"DEEP"', kind))


FAULTS = {
    "manifest missing": lambda t: t.files("*-m0.avro")[0].unlink(),
    "manifest empty": lambda t: t.files("*-m0.avro")[0].write_bytes(b""),
    "manifest cut": lambda t: t.files("*-m0.avro")[0].write_bytes(t.files("*-m0.avro")[0].read_bytes()[:-700]),
    "manifest garbage": lambda t: t.files("*-m0.avro")[0].write_bytes(b"x" * 3000),
    "manifest forbidden": lambda t: t.files("*-m0.avro")[0].chmod(0),
    "manifest elsewhere": lambda t: t.files("*-m0.avro")[0].rename(t.path.parent / "m.avro") or t.files("*.avro") and (t.path / "metadata" / "x").touch(),
    "manifest without ids": lambda t: strip_ids(t.files("*-m0.avro")[0]),
    "list missing": lambda t: each(t.files("snap-*.avro"), lambda file: file.unlink()),
    "list garbage": lambda t: each(t.files("snap-*.avro"), lambda file: file.write_bytes(b"g" * 2000)),
    "list of /etc/passwd": lambda t: t.edit(lambda d: [s.update({"manifest-list": "file:///etc/passwd"}) for s in d["snapshots"]]),
    "list by dots": lambda t: t.edit(lambda d: [s.update({"manifest-list": f"{t.path}/../x.avro"}) for s in d["snapshots"]]),
    "no schemas": lambda t: t.edit(lambda d: d.pop("schemas")),
    "empty schemas": lambda t: t.edit(lambda d: d.update(schemas=[])),
    "no current schema": lambda t: t.edit(lambda d: d.update({"current-schema-id": 99})),
    "schemas without ids": lambda t: t.edit(lambda d: d["schemas"][0].pop("schema-id")),
    "no format version": lambda t: t.edit(lambda d: d.pop("format-version")),
    "unknown format version": lambda t: t.edit(lambda d: d.update({"format-version": 9})),
    "no specs": lambda t: t.edit(lambda d: d.update({"partition-specs": []})),
    "no such snapshot": lambda t: t.edit(lambda d: d.update({"current-snapshot-id": 5})),
    "no JSON": lambda t: t.metadata.write_text("{"),
    "another document": lambda t: t.metadata.write_text("[]"),
    "empty metadata": lambda t: t.metadata.write_text(""),
    "deep metadata": deep,
    "data missing": lambda t: each((t.path / "data").glob("*"), lambda file: file.unlink()),
    "data garbage": lambda t: each((t.path / "data").glob("*"), lambda file: file.write_bytes(b"g" * 500)),
}
CLASSES = ("0A000", "22023", "42501", "58030", "58P01", "XX001", "38000")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_one_statement(fault, plain, su, connect):
    """The server goes on, and so does the session; see the fixture no_harm as well."""
    su.execute(f"CREATE FOREIGN TABLE iceberg_{fault.replace(' ', '_').replace('/', '_')} () SERVER warehouse OPTIONS (path '{plain.metadata}', format 'iceberg')")
    table = f"iceberg_{fault.replace(' ', '_').replace('/', '_')}"
    su.execute(f"GRANT SELECT ON {table} TO iceberg_reader")
    FAULTS[fault](plain)
    scan = f"iceberg_scan({quoted(str(plain.metadata))})"
    with open(plain.metadata):
        pass
    for conn in (connect("iceberg_reader"), connect()):
        statements = [
            f"SELECT * FROM duckdb.query($$FROM {scan}$$)",
            f"SELECT * FROM {table}",
            f"SELECT * FROM duckdb.iceberg_scan({quoted(str(plain.metadata))})",
            f"SELECT duckdb.execute($$CREATE TABLE stored AS FROM {scan}$$)",
        ]
        for statement in statements:
            state = sqlstate_of(conn, statement)
            assert state in CLASSES, (statement, state)
        # What only plans, plans or fails in the same way.
        for statement in (f"EXPLAIN (VERBOSE) SELECT * FROM {table}", f"SELECT duckdb.describe($$FROM {scan}$$)"):
            assert sqlstate_of(conn, statement) in (None, *CLASSES), statement
        assert conn.execute("SELECT a FROM duckdb.query('SELECT 7 AS a')").fetchone() == (7,)


def test_a_snapshot_without_its_schema(plain, connect):
    snapshot = json.loads(plain.metadata.read_text())["current-snapshot-id"]
    plain.edit(lambda document: [s.update({"schema-id": 77}) for s in document["snapshots"]])
    conn = connect("iceberg_reader")
    scan = f"iceberg_scan({quoted(str(plain.metadata))}, snapshot_from_id => {snapshot})"
    assert sqlstate_of(conn, f"SELECT * FROM duckdb.query($$FROM {scan}$$)") == "XX001"
    assert conn.execute(f"SELECT count(*) FROM duckdb.query($$FROM iceberg_scan({quoted(str(plain.metadata))})$$)").fetchone() == (4,)


def test_a_moment_is_one_of_the_main_branch(plain, connect):
    """After a rollback the snapshot that is newest by its time is none of the main branch."""
    document = json.loads(plain.metadata.read_text())
    first, second = sorted(document["snapshots"], key=lambda snapshot: snapshot["timestamp-ms"])
    conn = connect("iceberg_reader")
    scan = f"SELECT count(*) FROM duckdb.query($$FROM iceberg_scan('{plain.metadata}', snapshot_from_timestamp => TIMESTAMP '%s')$$)"
    between = datetime.datetime.fromtimestamp(first["timestamp-ms"] / 1000, datetime.timezone.utc).replace(tzinfo=None)
    assert conn.execute(scan % between).fetchone() == (2,)
    assert conn.execute(scan % "2199-01-01").fetchone() == (4,)
    plain.edit(lambda d: d.update({"current-snapshot-id": first["snapshot-id"]}))
    time.sleep(2.1)
    error = failure(conn, scan % "2199-01-01")
    assert error.sqlstate == "0A000" and str(first["snapshot-id"]) in str(error)
    by_id = f"SELECT count(*) FROM duckdb.query($$FROM iceberg_scan('{plain.metadata}', snapshot_from_id => {first['snapshot-id']})$$)"
    assert conn.execute(by_id).fetchone() == (2,)


def test_paths_and_options_are_known_beforehand(plain, connect):
    conn = connect()
    path = str(plain.metadata)
    assert sqlstate_of(conn, f"SELECT * FROM duckdb.query($$FROM iceberg_scan('{path[:5]}' || '{path[5:]}')$$)") == "42501"
    assert sqlstate_of(conn, f"SELECT * FROM duckdb.query($$FROM iceberg_scan('{path}', snapshot_from_timestamp => now()::TIMESTAMP)$$)") == "42501"
    rows = "SELECT count(*) FROM duckdb.query_rows('FROM iceberg_scan($1, version => $2)', %s::text, %s::text) AS t(id bigint, name text)"
    assert conn.execute(rows, (path, "1")).fetchone() == (4,)
    later = f"SELECT count(*) FROM duckdb.query($$FROM iceberg_scan('{path}', snapshot_from_timestamp => TIMESTAMP '2199-01-01')$$)"
    assert conn.execute(later).fetchone() == (4,)


def test_the_newest_metadata_file(plain, warehouse, connect, su):
    """pyiceberg leaves no version hint; an option says that the newest file counts."""
    conn = connect("iceberg_reader")
    scan = lambda options="": f"SELECT count(*) FROM duckdb.query($$FROM iceberg_scan({quoted(str(plain.path))}{options})$$)"
    error = failure(conn, scan())
    assert error.sqlstate == "58P01" and "version" in error.diag.message_detail
    assert "SET" not in str(error)
    for reader in (conn, connect()):
        assert reader.execute(scan(", version => '?'")).fetchone() == (4,)
        assert reader.execute(f"SELECT count(*) FROM duckdb.iceberg_scan({quoted(str(plain.path))}, version => '?')").fetchone() == (4,)
    su.execute(f"CREATE FOREIGN TABLE newest () SERVER warehouse OPTIONS (path '{plain.path}', format 'iceberg', version '?')")
    assert su.execute("SELECT count(*) FROM newest").fetchone() == (4,)
    su.execute("DROP FOREIGN TABLE newest")
    su.execute(
        f'CREATE SCHEMA newest; IMPORT FOREIGN SCHEMA "n" LIMIT TO ("{plain.path.name}") FROM SERVER warehouse INTO newest OPTIONS (version \'?\')'
    )
    warehouse.append(plain.path.name, ROWS)
    assert su.execute(f'SELECT count(*) FROM newest."{plain.path.name}"').fetchone() == (6,)
    su.execute("DROP SCHEMA newest CASCADE")


def test_gzipped_metadata(plain, connect, su, warehouse):
    packed = plain.metadata.with_name(plain.metadata.name.replace(".metadata.json", ".gz.metadata.json"))
    packed.write_bytes(gzip.compress(plain.metadata.read_bytes()))
    for file in plain.files("*.metadata.json"):
        if file != packed:
            file.unlink()
    conn = connect("iceberg_reader")
    assert conn.execute(f"SELECT count(*) FROM duckdb.query($$FROM iceberg_scan({quoted(str(packed))})$$)").fetchone() == (4,)
    su.execute(f'CREATE SCHEMA packed; IMPORT FOREIGN SCHEMA "n" LIMIT TO ("{plain.path.name}") FROM SERVER warehouse INTO packed')
    assert su.execute(f'SELECT count(*) FROM packed."{plain.path.name}"').fetchone() == (4,)
    # A hint leads to the folder, whose name does not tell.
    (plain.path / "metadata" / "version-hint.text").write_text(packed.name.split(".")[0])
    su.execute(f'CREATE SCHEMA hinted; IMPORT FOREIGN SCHEMA "n" LIMIT TO ("{plain.path.name}") FROM SERVER warehouse INTO hinted')
    assert su.execute(f'SELECT count(*) FROM hinted."{plain.path.name}"').fetchone() == (4,)
    su.execute("DROP SCHEMA packed, hinted CASCADE")


def everywhere(su, connect, warehouse, table, column, kind, value, operator="="):
    """The rows that a condition finds: by query text, reader, foreign table."""
    path = str(table.metadata)
    name = f"found_{table.path.name}"
    su.execute(f"CREATE FOREIGN TABLE IF NOT EXISTS {name} () SERVER warehouse OPTIONS (path '{path}', format 'iceberg')")
    literal = quoted(str(value)) + "::" + kind
    counts = {}
    for mode in ("on", "off"):
        su.execute(f"SET duckdb.enable_pushdown = {mode}")
        counts["table " + mode] = su.execute(f"SELECT count(*) FROM {name} WHERE {column} {operator} {literal}").fetchone()[0]
        counts["bound " + mode] = su.execute(f"SELECT count(*) FROM {name} WHERE {column} {operator} %s::{kind}", (str(value),)).fetchone()[0]
    su.execute("RESET duckdb.enable_pushdown")
    counts["reader"] = su.execute(f"SELECT count(*) FROM duckdb.iceberg_scan('{path}') WHERE {column} {operator} {literal}").fetchone()[0]
    counts["text"] = su.execute(f"SELECT n FROM duckdb.query($$SELECT count(*) AS n FROM iceberg_scan('{path}') WHERE {column} {operator} {literal}$$)").fetchone()[0]
    counts["alias"] = su.execute(f"SELECT n FROM duckdb.query($$SELECT count(*) AS n FROM iceberg_scan('{path}') AS t WHERE t.{column} {operator} {literal}$$)").fetchone()[0]
    return counts


MOMENTS = [
    datetime.datetime(1969, 12, 31, 23, 59, 59, 999999), datetime.datetime(1969, 12, 31), datetime.datetime(1969, 11, 30, 12),
    datetime.datetime(1901, 2, 3, 4, 5, 6), datetime.datetime(1970, 1, 1), datetime.datetime(2024, 2, 29, 12), None,
]


@pytest.mark.parametrize("transform", [DayTransform(), MonthTransform()], ids=["day", "month"])
@pytest.mark.parametrize("zone", [None, "UTC"], ids=["timestamp", "timestamptz"])
def test_moments_before_1970_in_partitions(transform, zone, warehouse, su, connect):
    column = pa.array(MOMENTS, pa.timestamp("us", zone))
    rows = pa.table({"t": column})
    table = warehouse.make(f"moments_{type(transform).__name__}_{zone}".lower(), rows, partition=("t", transform))
    kind = "timestamptz" if zone else "timestamp"
    suffix = "+00" if zone else ""
    known = [moment for moment in MOMENTS if moment]
    for moment in known:
        for operator, count in (("=", 1), (">=", sum(m >= moment for m in known)), ("<=", sum(m <= moment for m in known)), ("<", sum(m < moment for m in known))):
            found = everywhere(su, connect, warehouse, table, "t", kind, f"{moment}{suffix}", operator)
            assert set(found.values()) == {count}, (moment, operator, found)


def test_uuids_in_buckets(warehouse, su, connect):
    values = [uuid.UUID(int=number * 0x1234567890ABCDEF1234567 + number) for number in range(36)]
    table = warehouse.make("uuids", pa.table({"u": pa.array([v.bytes for v in values], pa.uuid())}), partition=("u", BucketTransform(8)))
    for value in values:
        found = everywhere(su, connect, warehouse, table, "u", "uuid", value)
        assert set(found.values()) == {1}, (value, found)


def test_decimals_in_truncated_partitions(warehouse, su, connect):
    values = [decimal.Decimal(text) for text in ("-12.34", "-0.01", "0.00", "0.01", "12.34", "-10.00", "99.99")]
    table = warehouse.make("truncated", pa.table({"d": pa.array(values, pa.decimal128(9, 2))}), partition=("d", TruncateTransform(100)))
    for value in values:
        for operator, count in (("=", 1), (">", sum(v > value for v in values)), ("<=", sum(v <= value for v in values))):
            found = everywhere(su, connect, warehouse, table, "d", "numeric(9,2)", value, operator)
            assert set(found.values()) == {count}, (value, operator, found)


def test_later_moments_are_still_pruned(warehouse, su):
    """A table without moments before 1970 keeps its conditions."""
    rows = pa.table({"t": pa.array([datetime.datetime(2024, 1, day) for day in range(1, 9)], pa.timestamp("us"))})
    table = warehouse.make("pruned", rows, partition=("t", DayTransform()))
    su.execute(f"CREATE FOREIGN TABLE pruned () SERVER warehouse OPTIONS (path '{table.metadata}', format 'iceberg')")
    for file in (table.path / "data").rglob("*.parquet"):
        if "2024-01-01" in str(file):
            file.unlink()
    assert su.execute("SELECT count(*) FROM pruned WHERE t >= '2024-01-04'").fetchone() == (5,)
    assert sqlstate_of(su, "SELECT count(*) FROM pruned WHERE t >= '2023-01-04'") == "58P01"


@pytest.fixture
def store(su, sandbox):
    """Properties of a catalog, and a server, for a folder in the object store."""
    create_server(su, sandbox, "ice_store", "s3://lake/ice_store/")
    map_user(su, "postgres", "ice_store", sandbox.all)
    map_user(su, "iceberg_reader", "ice_store", sandbox.lake_reader)
    yield {
        "s3.endpoint": f"http://{sandbox.s3_endpoint}",
        "s3.access-key-id": sandbox.all.key_id,
        "s3.secret-access-key": sandbox.all.secret,
        "s3.region": sandbox.s3_region,
    }
    su.execute("DROP SERVER ice_store CASCADE")


def test_a_table_in_the_store(store, warehouse, su, connect, lake_writer):
    catalog = InMemoryCatalog("store", warehouse="s3://lake/ice_store", **store)
    catalog.create_namespace("n")
    name = "t_" + uuid.uuid4().hex[:8]
    rows = pa.table({"t": pa.array([moment for moment in MOMENTS if moment], pa.timestamp("us")), "i": pa.array(range(6), pa.int64())})
    table = catalog.create_table(f"n.{name}", rows.schema)
    with table.update_spec() as update:
        update.add_field("t", DayTransform(), "part")
    table.append(rows)
    file, folder = table.metadata_location, f"s3://lake/ice_store/n/{name}"
    su.execute(f"CREATE FOREIGN TABLE stored_ice () SERVER ice_store OPTIONS (path '{folder}', format 'iceberg', version '?')")
    su.execute("GRANT SELECT ON stored_ice TO iceberg_reader")
    for user in ("iceberg_reader", "postgres"):
        conn = connect(user)
        early = "t >= '1969-12-31 12:00:00'"
        assert conn.execute(f"SELECT count(*) FROM stored_ice WHERE {early}").fetchone() == (3,)
        for scan in (f"iceberg_scan('{file}')", f"iceberg_scan('{folder}', version => '?')"):
            assert conn.execute(f"SELECT count(*) FROM duckdb.query($$FROM {scan} WHERE {early}$$)").fetchone() == (3,)
        error = failure(conn, f"SELECT * FROM duckdb.query($$FROM iceberg_scan('{folder}')$$)")
        assert error.sqlstate == "58P01", error
    # A manifest that has expired.
    manifest = lake_writer.execute(f"SELECT file FROM glob('{folder}/metadata/*-m0.avro')").fetchone()[0]
    lake_writer.execute(f"COPY (SELECT 'x'::BLOB) TO '{manifest}' (FORMAT blob)")
    for user in ("iceberg_reader", "postgres"):
        conn = connect(user)
        assert sqlstate_of(conn, "SELECT count(*) FROM stored_ice") == "XX001"
        assert sqlstate_of(conn, f"SELECT * FROM duckdb.query($$FROM iceberg_scan('{file}')$$)") == "XX001"


def test_files_in_another_bucket_are_refused(store, warehouse, su, connect, lake_writer):
    catalog = InMemoryCatalog("store", warehouse="s3://lake/ice_store", **store)
    catalog.create_namespace("n")
    name = "t_" + uuid.uuid4().hex[:8]
    table = catalog.create_table(f"n.{name}", ROWS.schema, location=f"s3://vault/ice/{name}")
    table.append(ROWS)
    metadata = lake_writer.execute(f"SELECT content FROM read_text('{table.metadata_location}')").fetchone()[0]
    place = f"s3://lake/ice_store/{name}.metadata.json"
    lake_writer.execute(f"COPY (SELECT {quoted(metadata)}::BLOB) TO '{place}' (FORMAT blob)")
    error = failure(connect("iceberg_reader"), f"SELECT * FROM duckdb.query($$FROM iceberg_scan('{place}')$$)")
    assert error.sqlstate == "42501" and "outside" in str(error)


def test_a_look_counts_for_a_while(plain, connect):
    """Planning and execution pay for one look; the statement after the next is looked at again."""
    conn = connect()
    statement = f"SELECT count(*) FROM duckdb.query($$FROM iceberg_scan('{plain.metadata}')$$)"

    def timed():
        start = time.perf_counter()
        assert conn.execute(statement).fetchone() == (4,)
        return time.perf_counter() - start

    timed()
    note_latency("Iceberg table, looked at just now", min(timed() for _ in range(5)))
    time.sleep(2.1)
    note_latency("Iceberg table, looked at anew", timed())
    plain.files("*-m0.avro")[0].unlink()
    time.sleep(2.1)
    assert sqlstate_of(conn, statement) == "58P01"
