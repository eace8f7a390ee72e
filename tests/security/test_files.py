"""Writers of objects: Iceberg and Delta tables whose metadata points elsewhere, files and metadata that are
damaged, nested or empty, links. Nobody who reads them reads more than the table, and the server stays up;
superusers and superusers' views included."""

import itertools
import json
import os
import shutil
import zlib

import pytest

from fuzz.attack import formats
from worlds import DENIED, literal, query

# What a table is refused with whose metadata or files are not what they ought to be.
BROKEN = ("XX001", "58030", "58P01", "22P02", "22023", "0A000", "42501", "42000", "42704", "22003", "38000", "42703", "42804", "54000", "54001", "53200", "22021", "08001", "HV00R", "42P01")


NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def data(world):
    return formats.parquet(world.writer, world.directory)


@pytest.fixture
def place(world):
    """A folder below the server `folder`, as a writer of it would make one; gone after the test.

    Each has a name of its own: what was seen of a table counts for a moment.
    """
    path = world.directory / "folder" / "scratch" / f"table{next(NUMBERS)}"
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path, ignore_errors=True)
    world.su("DROP VIEW IF EXISTS tv; DROP FOREIGN TABLE IF EXISTS tt")


def read(world, path, kind, *, denied=False, allowed=BROKEN, every=1):
    """By query, by a foreign table and a superuser's view of it, by ordinary roles and by a superuser; EXPLAIN and ANALYZE too."""
    scan = {"iceberg": "iceberg_scan", "delta": "delta_scan", "avro": "read_avro", "xlsx": "read_xlsx"}.get(kind, f"read_{kind}")
    made = world.session("postgres").run(f"CREATE FOREIGN TABLE tt (id bigint, name text) SERVER folder OPTIONS (path {literal(path)}, format '{kind}')") if kind not in ("avro", "xlsx") else None
    statements = [("querier", query(f"SELECT * FROM {scan}({literal(path)})")), ("querier", query(f"SELECT count(*) AS n FROM {scan}({literal(path)})"))]
    if kind in ("iceberg",):
        statements += [("querier", query(f"SELECT * FROM {function}({literal(path)})")) for function in ("iceberg_metadata", "iceberg_snapshots")]
    if kind in ("iceberg", "delta", "parquet", "csv", "json"):
        statements.append(("querier", f"SELECT * FROM duckdb.{scan}({literal(path)})"))
    if made is not None and made.error is None:
        world.su(f"CREATE VIEW tv AS SELECT * FROM tt; GRANT SELECT ON tv TO {world.role('viewer')}; GRANT SELECT ON tt TO {world.role('reader')}")
        statements += [
            ("reader", "SELECT * FROM tt"), ("viewer", "SELECT * FROM tv"), ("viewer", "SELECT count(*) FROM tv WHERE id > 0"), ("postgres", "SELECT * FROM tt"), ("postgres", "EXPLAIN SELECT * FROM tt WHERE id = 1"),
            ("reader", "EXPLAIN (ANALYZE, VERBOSE) SELECT max(name) FROM tt"), ("postgres", "ANALYZE tt"),
        ]  # fmt: skip
    if every > 1:
        # Where there are many cases, each meets some of the ways.
        statements = statements[zlib.crc32(path.encode()) % every :: every]
    failures = []
    for role, statement in statements:
        outcome = world.session(role).run(statement)
        if outcome.lost:
            failures.append(("lost", role, statement, outcome))
        elif outcome.error is not None and outcome.state not in allowed:
            failures.append((role, statement, outcome))
        elif denied and outcome.error is None and "count(" not in statement and statement.startswith("SELECT") and "iceberg_metadata" not in statement and "iceberg_snapshots" not in statement:
            failures.append(("went through", role, statement, outcome))
        else:
            failures += [(what, role, statement, outcome) for word, what in world.forbidden.items() if word in outcome.told]
    assert not failures, "\n".join(map(str, failures))


def test_good_tables_are_read(world, place, data):
    formats.put(place / "i", formats.iceberg(place / "i", data))
    read(world, f"{place}/i", "iceberg", allowed=())
    world.su("DROP VIEW tv; DROP FOREIGN TABLE tt")
    formats.put(place / "d", formats.delta(data))
    read(world, f"{place}/d", "delta", allowed=())


@pytest.mark.parametrize("kind", ["iceberg", "delta"])
def test_a_tables_metadata_opens_no_other_server(world, place, kind):
    """Also where whoever reads, or a view's owner, could use that one: the table is this server's."""
    secret, target = f"SELECT 1::BIGINT AS id, '{world.object_canary}' AS name FROM range(3)", f"{world.vault}same.parquet"
    world.writer.execute(f"COPY ({secret}) TO '{target}' (FORMAT parquet, FIELD_IDS {{id: 1, name: 2}})")
    # Of the same size, which the metadata hold.
    data = formats.parquet(world.writer, world.directory, secret)
    formats.put(place, formats.iceberg(place, data, data_path=target) if kind == "iceberg" else formats.delta(data, add={"path": target}))
    read(world, str(place), kind, denied=True)


ELSEWHERE = ["{secret}/canary.parquet", "file://{secret}/canary.parquet", "{vault}canary.parquet", "{base}other/canary.parquet", "http://{http}/x.parquet", "https://{http}/x.parquet", "{folder}/../secret/canary.parquet", "../../../secret/canary.parquet",
             "/etc/passwd", "file:///etc/passwd", "{folder}/linked/canary.parquet", "%2e%2e/%2e%2e/%2e%2e/secret/canary.parquet", "s3://lake/x?s3_endpoint={http}&s3_use_ssl=false"]  # fmt: skip


@pytest.mark.parametrize("path", ELSEWHERE)
@pytest.mark.parametrize("what", ["data", "manifest", "manifest list", "location", "position deletes"])
def test_iceberg_metadata_that_points_elsewhere(world, place, data, path, what):
    path = world.filled(path)
    options = {"data": {"data_path": path}, "manifest": {"manifest_path": path}, "manifest list": {"list_path": path}, "location": {"location": path.rsplit("/", 1)[0]}, "position deletes": {"data_path": path, "content": 1}}[what]
    if what == "location":
        formats.put(place, formats.iceberg(place, data, location=options["location"], metadata={"location": options["location"]}))
    else:
        formats.put(place, formats.iceberg(place, data, **options))
    read(world, str(place), "iceberg", denied=True)


@pytest.mark.parametrize("path", ELSEWHERE)
def test_iceberg_version_hints_that_point_elsewhere(world, place, data, path):
    files = formats.iceberg(place, data)
    files["metadata/version-hint.text"] = world.filled(path).encode()
    formats.put(place, files)
    read(world, str(place), "iceberg")


@pytest.mark.parametrize("path", ELSEWHERE)
def test_delta_files_that_lie_elsewhere(world, place, data, path):
    formats.put(place, formats.delta(data, add={"path": world.filled(path)}))
    read(world, str(place), "delta", denied=True)


@pytest.mark.parametrize("path", ["file:///etc/passwd", "file://{secret}/canary.parquet", "http://{http}/x.bin", "{vault}canary.csv", "/etc/passwd", "../../secret/canary.txt", "file:../x"])
@pytest.mark.parametrize("storage", ["p", "u", "i"])
def test_deletion_vectors_that_lie_elsewhere(world, place, data, path, storage):
    vector = {"storageType": storage, "pathOrInlineDv": world.filled(path), "offset": 1, "sizeInBytes": 40, "cardinality": 1}
    formats.put(place, formats.delta(data, add={"deletionVector": vector}, protocol=formats.DELETION_VECTORS))
    read(world, str(place), "delta", denied=True)


VECTORS = ["", "a", "0", "\x00" * 20, "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L", "é", "a" * 100_000, "{}", "'"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: repr(v)[:20])
@pytest.mark.parametrize("size", [0, 40, -1, 2**31 - 1])
def test_inline_deletion_vectors(world, place, data, vector, size):
    action = {"storageType": "i", "pathOrInlineDv": vector, "sizeInBytes": size, "cardinality": 1}
    formats.put(place, formats.delta(data, add={"deletionVector": action}, protocol=formats.DELETION_VECTORS))
    read(world, str(place), "delta")


LINKS = {
    "the log": ("_delta_log", "{secret}"), "the log of another table": ("_delta_log", "{dir}/secret/log"), "a commit": ("_delta_log/00000000000000000001.json", "{secret}/canary.json"), "a data file": ("part-0.parquet", "{secret}/canary.parquet"),
    "a checkpoint": ("_delta_log/_last_checkpoint", "{secret}/canary.json"), "passwd": ("_delta_log/00000000000000000001.json", "/etc/passwd"),
}  # fmt: skip


@pytest.mark.parametrize("link", LINKS)
def test_links_within_delta_tables(world, place, data, link):
    formats.put(place, formats.delta(data))
    name, target = LINKS[link]
    (place / name).exists() and (shutil.rmtree(place / name) if (place / name).is_dir() else (place / name).unlink())
    (place / name).symlink_to(world.filled(target))
    read(world, str(place), "delta", denied=link != "a checkpoint")


@pytest.mark.parametrize("link", ["metadata", "metadata/m0.avro", "metadata/snap-7.avro", "metadata/v1.metadata.json", "data/0.parquet", "data"])
def test_links_within_iceberg_tables(world, place, data, link):
    formats.put(place, formats.iceberg(place, data))
    target = place / link
    target.rename(world.directory / "secret" / "moved")
    target.symlink_to(world.directory / "secret" / "moved")
    try:
        statements = [("querier", query(f"SELECT * FROM iceberg_scan('{place}')")), ("reader", "SELECT * FROM tt"), ("postgres", "SELECT * FROM tt")]
        world.su(f"CREATE FOREIGN TABLE tt (id bigint, name text) SERVER folder OPTIONS (path '{place}', format 'iceberg'); GRANT SELECT ON tt TO {world.role('reader')}")
        for role, statement in statements:
            outcome = world.session(role).run(statement)
            assert not outcome.lost and outcome.state in ("42501", "58030", "XX001", "58P01"), (role, outcome)
    finally:
        target.unlink()
        (world.directory / "secret" / "moved").rename(target)


def damages(data):
    yield "missing", None
    yield "empty", b""
    yield "one byte", b"O"
    yield "cut", data[: len(data) // 2]
    yield "cut by one", data[:-1]
    yield "garbage", bytes(range(256)) * 8
    yield "zeros", bytes(len(data))
    yield "text", b"not found\n"
    yield "page of a web server", b"<html><body>403 Forbidden</body></html>"
    yield "doubled", data + data
    yield "without its header", data[16:]
    yield "flipped", bytes(byte ^ 0xFF for byte in data)
    yield "the length of a field", data[:40] + b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + data[49:]
    yield "json nested", b"[" * 100_000
    yield "json objects nested", b'{"a":' * 100_000
    yield "json null", b"null"
    yield "json list", b"[]"
    yield "json object", b"{}"


DAMAGES = [name for name, _ in damages(b"x" * 100)]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["metadata/m0.avro", "metadata/snap-7.avro", "metadata/v1.metadata.json", "data/0.parquet"])
def test_damaged_iceberg_tables(world, place, data, file, damage):
    files = formats.iceberg(place, data)
    changed = dict(damages(files[file]))[damage]
    files.pop(file)
    if changed is not None:
        files[file] = changed
    formats.put(place, files)
    read(world, str(place), "iceberg", every=2)


def test_forbidden_iceberg_files(world, place, data):
    for number, file in enumerate(("metadata/m0.avro", "metadata/snap-7.avro", "data/0.parquet")):
        path = place / str(number)
        formats.put(path, formats.iceberg(path, data))
        (path / file).chmod(0)
        # As root, the server's user is another one.
        if os.getuid() == 0:
            os.chown(path / file, 0, 0)
        read(world, str(path), "iceberg")
        world.su("DROP VIEW IF EXISTS tv; DROP FOREIGN TABLE IF EXISTS tt")


ICEBERG_METADATA = [
    {"schemas": None}, {"schemas": []}, {"schemas": [{}]}, {"schemas": "x"}, {"current-schema-id": 99}, {"current-schema-id": None}, {"snapshots": []}, {"snapshots": None}, {"snapshots": [{}]}, {"snapshots": [{"snapshot-id": 7}]}, {"current-snapshot-id": None}, {"current-snapshot-id": 8}, {"current-snapshot-id": -1},
    {"format-version": 1}, {"format-version": 3}, {"format-version": 99}, {"format-version": None}, {"format-version": "2"}, {"partition-specs": []}, {"partition-specs": None}, {"default-spec-id": 5}, {"properties": {"schema.name-mapping.default": "x"}},
    {"properties": {"schema.name-mapping.default": "[" * 50000}}, {"properties": None}, {"sort-orders": None}, {"refs": None}, {"refs": {"main": {"snapshot-id": 99, "type": "branch"}}}, {"last-column-id": 2**70}, {"last-updated-ms": -(2**63)},
    {"schemas": [{"type": "struct", "schema-id": 0, "fields": []}]}, {"schemas": [{"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "id", "required": False, "type": {"type": "list", "element-id": 2, "element-required": False, "element": {"type": "struct", "fields": []}}}]}]},
    {"schemas": [{"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "id", "required": False, "type": {"type": "struct", "fields": []}}]}]}, {"schemas": [{"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "id", "required": False, "type": "decimal(99,99)"}]}]},
    {"schemas": [{"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "id\x03' --", "required": True, "type": "fixed[99999999999]"}]}]}, {"statistics": [{}]}, {"encryption-keys": [{}]}, {"location": None}, {"table-uuid": None},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ICEBERG_METADATA)), ids=lambda n: json.dumps(ICEBERG_METADATA[n])[:50])
def test_odd_iceberg_metadata(world, place, data, number):
    """None takes a key away."""
    files = formats.iceberg(place, data)
    described = json.loads(files["metadata/v1.metadata.json"])
    for name, value in ICEBERG_METADATA[number].items():
        described.pop(name, None)
        if value is not None:
            described[name] = value
    files["metadata/v1.metadata.json"] = json.dumps(described).encode()
    formats.put(place, files)
    read(world, str(place), "iceberg")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["_delta_log/00000000000000000000.json", "part-0.parquet", "_delta_log/_last_checkpoint", "_delta_log/00000000000000000001.checkpoint.parquet"])
def test_damaged_delta_tables(world, place, data, file, damage):
    files = formats.delta(data)
    changed = dict(damages(files.get(file, data)))[damage]
    files.pop(file, None)
    if changed is not None:
        files[file] = changed
    formats.put(place, files)
    read(world, str(place), "delta", every=2)


DEEP = {
    "metaData": '{"metaData":{"id":"x","format":%s}}', "commitInfo": '{"commitInfo":{"a":%s}}', "unknown": '{"x":%s}', "add stats": '{"add":{"path":"part-0.parquet","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true,"stats":%s}}', "list": '{"txn":%s}',
}  # fmt: skip


@pytest.mark.parametrize("action", DEEP)
@pytest.mark.parametrize("depth", [200, 100_000])
def test_deep_delta_commits(world, place, data, action, depth):
    files = formats.delta(data)
    deep = '{"a":' * depth + "1" + "}" * depth if action != "list" else "[" * depth + "]" * depth
    if action == "add stats":
        deep = json.dumps(deep)
    files["_delta_log/00000000000000000000.json"] += (DEEP[action] % deep).encode() + b"\n"
    formats.put(place, files)
    read(world, str(place), "delta")


DELTA_ODD = [
    {"schema": {"type": "struct", "fields": [{"name": "id", "type": {"type": "struct", "fields": []}, "nullable": True, "metadata": {}}]}}, {"schema": {"type": "struct", "fields": [{"name": "id", "type": {"type": "array", "elementType": {"type": "struct", "fields": []}, "containsNull": True}, "nullable": True, "metadata": {}}]}},
    {"schema": {"type": "struct", "fields": []}}, {"schema": {"type": "struct", "fields": [{"name": "id", "type": "nosuch", "nullable": True, "metadata": {}}]}}, {"schema": {"type": "struct", "fields": [{"name": "x' --\x03", "type": "long", "nullable": True, "metadata": {}}]}}, {"schema": {}}, {"schema": "x"}, {"schema": ["x"] * 5},
    {"schema": {"type": "struct", "fields": [{"name": "id", "type": "decimal(99,9)", "nullable": True, "metadata": {}}]}}, {"partitions": ["nosuch"]}, {"partitions": ["id"], "add": {"partitionValues": {"id": "x"}}}, {"partitions": ["id"], "add": {"partitionValues": {"id": "'; SELECT 1 --"}}}, {"add": {"size": -1}}, {"add": {"size": 2**62}}, {"add": {"stats": "{"}}, {"add": {"stats": '{"numRecords": -5}'}}, {"add": {"stats": '{"numRecords": 99999999999999}'}},
    {"add": {"path": ""}}, {"add": {"path": "."}}, {"add": {"path": ".."}}, {"add": {"path": "a%00b"}}, {"add": {"path": "é"}}, {"add": {"path": "x\x01"}}, {"add": {"path": "*.parquet"}}, {"add": {"path": "part-0.parquet?x"}}, {"protocol": {"minReaderVersion": 99, "minWriterVersion": 99}}, {"protocol": {}}, {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["columnMapping"], "writerFeatures": ["columnMapping"]}, "configuration": {"delta.columnMapping.mode": "id"}},
    {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["nosuch"], "writerFeatures": ["nosuch"]}}, {"configuration": {"delta.columnMapping.mode": "name"}}, {"more": [{"remove": {"path": "part-0.parquet", "dataChange": True}}]}, {"more": [{"sidecar": {"path": "/etc/passwd", "sizeInBytes": 1, "modificationTime": 1}}]}, {"more": [{"add": {}}]}, {"more": [{"metaData": {}}]}, {"more": [{"txn": {"appId": "x", "version": 2**70}}]}, {"more": [{"domainMetadata": {"domain": "d", "configuration": "{", "removed": False}}]},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(DELTA_ODD)), ids=lambda n: str(DELTA_ODD[n])[:50])
def test_odd_delta_metadata(world, place, data, number):
    formats.put(place, formats.delta(data, **DELTA_ODD[number]))
    read(world, str(place), "delta")


@pytest.fixture(scope="module")
def plain(world, data):
    """(name, suffix) to bytes of one file of each kind."""
    folder = world.directory
    files = {"parquet": data, "csv": b"id,name\n1,a\n2,b\n", "json": b'{"id": 1, "name": "a"}\n{"id": 2, "name": "b"}\n'}
    files["avro"] = formats.avro(formats.avro_record("r", ("id", "long", 1), ("name", "string", 2)), [{"id": 1, "name": "a"}])
    conn = world.duckdb("excel")
    conn.execute(f"COPY (SELECT 1 AS id, 'a' AS name) TO '{folder}/made.xlsx' (FORMAT xlsx)")
    conn.close()
    files["xlsx"] = (folder / "made.xlsx").read_bytes()
    (folder / "made.xlsx").unlink()
    return files


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["parquet", "csv", "json", "avro", "xlsx"])
def test_damaged_files(world, place, plain, kind, damage):
    changed = dict(damages(plain[kind]))[damage]
    if changed is None:
        pytest.skip("that is another test's")
    # The guesses of what a CSV file is take a time for such a line that grows with it.
    formats.put(place, {f"x.{kind}": changed[:50_000] if kind == "csv" else changed})
    read(world, f"{place}/x.{kind}", kind, allowed=(*BROKEN, "22P05", "42602", "42622", "54011", "2202E", "42601"), every=2)


@pytest.mark.parametrize("role", ["viewer", "reader", "postgres"])
@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_a_tables_file_that_became_a_link(world, place, plain, kind, role):
    formats.put(place, {f"x.{kind}": plain[kind]})
    world.su(f"CREATE FOREIGN TABLE tt (a text) SERVER folder OPTIONS (path '{place}/x.{kind}'); CREATE VIEW tv AS SELECT * FROM tt; GRANT SELECT ON tv TO {world.role('viewer')}; GRANT SELECT ON tt TO {world.role('reader')}")
    (place / f"x.{kind}").unlink()
    (place / f"x.{kind}").symlink_to(world.directory / "secret" / f"canary.{kind}")
    session = world.session(role)
    session.refused("SELECT * FROM tv" if role == "viewer" else "SELECT * FROM tt", *DENIED, "58030")


@pytest.mark.parametrize("role", ["viewer", "postgres", "maker"])
def test_a_superusers_read_of_a_table_is_fenced(world, place, data, role):
    """Its files, and nothing else, whoever made it."""
    formats.put(place, formats.iceberg(place, data, data_path=f"{world.directory}/secret/canary.parquet"))
    world.su(f"CREATE FOREIGN TABLE tt (a text, b bigint) SERVER folder OPTIONS (path '{place}', format 'iceberg'); CREATE VIEW tv AS SELECT * FROM tt; GRANT SELECT ON tv, tt TO {world.role('viewer')}, {world.role('maker')}")
    for statement in ("SELECT * FROM tv", "SELECT a FROM tv LIMIT 1", "SELECT max(a) FROM tv", "CREATE TEMP TABLE copy_of AS SELECT * FROM tv", "EXPLAIN (ANALYZE) SELECT * FROM tv"):
        outcome = world.session(role).run(statement)
        assert outcome.error is not None and not outcome.lost and outcome.state in BROKEN, outcome
