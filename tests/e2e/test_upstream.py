"""DuckDB's own faults that pg_pond works around (docs/upstream.md). A failure here is good news: this
DuckDB has mended one, and its workaround may go. DuckDB runs by itself, in a process of its own."""

import datetime
import decimal
import json
import pathlib
import subprocess
import sys
import uuid

import deltalake
import pyarrow as pa
import pytest
from pyiceberg.catalog.memory import InMemoryCatalog
from pyiceberg.transforms import BucketTransform, DayTransform, TruncateTransform

PROGRAM = """
import duckdb, sys
conn = duckdb.connect(config={"extension_directory": sys.argv[1]})
conn.execute("SET autoinstall_known_extensions = false")
for name in ("httpfs", "avro", "iceberg", "delta"):
    conn.execute("LOAD " + name)
print(conn.execute(sys.argv[2]).fetchall())
"""


@pytest.fixture
def ask(sandbox):
    def ask(sql):
        done = subprocess.run([sys.executable, "-c", PROGRAM, str(sandbox.extension_dir), sql], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout.strip()

    return ask


def iceberg(directory, rows, column=None, transform=None):
    """An Iceberg table; returns its newest metadata file."""
    catalog = InMemoryCatalog("upstream", warehouse=f"file://{directory}")
    catalog.create_namespace("n")
    table = catalog.create_table("n.t", rows.schema)
    if column:
        with table.update_spec() as update:
            update.add_field(column, transform, "part")
    table.append(rows)
    return pathlib.Path(catalog.load_table("n.t").metadata_location.removeprefix("file://"))


def test_iceberg_rounds_moments_before_1970(ask, tmp_path):
    file = iceberg(tmp_path, pa.table({"t": pa.array([datetime.datetime(1969, 12, 31, 12)], pa.timestamp("us"))}), "t", DayTransform())
    assert ask(f"SELECT count(*) FROM iceberg_scan('{file}') WHERE t = '1969-12-31 12:00:00'") == (0, "[(0,)]")


def test_iceberg_puts_uuids_into_other_buckets(ask, tmp_path):
    values = [uuid.UUID(int=number * 0x1234567890ABCDEF1234567 + number) for number in range(36)]
    file = iceberg(tmp_path, pa.table({"u": pa.array([value.bytes for value in values], pa.uuid())}), "u", BucketTransform(8))
    found = [ask(f"SELECT count(*) FROM iceberg_scan('{file}') WHERE u = '{value}'::UUID")[1] for value in values[:8]]
    assert "[(0,)]" in found


def test_iceberg_truncates_decimals_otherwise(ask, tmp_path):
    value = decimal.Decimal("-12.34")
    file = iceberg(tmp_path, pa.table({"d": pa.array([value], pa.decimal128(9, 2))}), "d", TruncateTransform(100))
    status, rows = ask(f"SELECT count(*) FROM iceberg_scan('{file}') WHERE d = {value}::DECIMAL(9,2)")
    assert (status, rows) != (0, "[(1,)]")


def test_delta_trusts_rounded_statistics(ask, tmp_path):
    value = decimal.Decimal("12345678901234567890.12")
    deltalake.write_deltalake(str(tmp_path), pa.table({"d": pa.array([value], pa.decimal128(22, 2))}))
    assert ask(f"SELECT count(*) FROM delta_scan('{tmp_path}') WHERE d = {value}") == (0, "[(0,)]")


ROWS = pa.table({"id": pa.array([1, 2], pa.int64())})


def test_iceberg_ends_the_process_at_a_missing_manifest(ask, tmp_path):
    file = iceberg(tmp_path, ROWS)
    next(file.parent.glob("*-m0.avro")).unlink()
    assert ask(f"FROM iceberg_scan('{file}')")[0] < 0
    # By which pg_pond looks.
    assert ask(f"FROM iceberg_metadata('{file}')")[0] == 1


def test_iceberg_ends_the_process_without_schemas(ask, tmp_path):
    file = iceberg(tmp_path, ROWS)
    document = json.loads(file.read_text())
    document.pop("schemas")
    file.write_text(json.dumps(document))
    assert ask(f"FROM iceberg_scan('{file}')")[0] < 0


def test_iceberg_reads_unknown_format_versions(ask, tmp_path):
    file = iceberg(tmp_path, ROWS)
    file.write_text(json.dumps({**json.loads(file.read_text()), "format-version": 9}))
    assert ask(f"SELECT count(*) FROM iceberg_scan('{file}')") == (0, "[(2,)]")


def test_delta_ends_the_process_at_an_empty_vector(ask, tmp_path):
    deltalake.write_deltalake(str(tmp_path), ROWS)
    commit = tmp_path / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in commit.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"]["deletionVector"] = {"storageType": "i", "pathOrInlineDv": "", "sizeInBytes": 0, "cardinality": 0}
        if "protocol" in action:
            action["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    commit.write_text("\n".join(map(json.dumps, actions)) + "\n")
    assert ask(f"FROM delta_scan('{tmp_path}')")[0] < 0


def test_patterns_go_through_links(ask, tmp_path):
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside" / "x.csv").write_text("a\n1\n")
    (tmp_path / "inside" / "link").symlink_to(tmp_path / "outside")
    fence = f"SET allowed_directories = ['{tmp_path}/inside/']; SET enable_external_access = false; "
    assert ask(fence + f"SELECT count(*) FROM glob('{tmp_path}/inside/*/*')") == (0, "[(1,)]")
