"""Owns: small files and tables of every format that is read: well-formed ones, with whatever names, paths
and metadata somebody wants in them, as bytes."""

import json
import pathlib

ICEBERG_SCHEMA = {
    "type": "struct", "schema-id": 0,
    "fields": [{"id": 1, "name": "id", "required": False, "type": "long"}, {"id": 2, "name": "name", "required": False, "type": "string"}],
}  # fmt: skip
DELTA_SCHEMA = {
    "type": "struct",
    "fields": [{"name": "id", "type": "long", "nullable": True, "metadata": {}}, {"name": "name", "type": "string", "nullable": True, "metadata": {}}],
}  # fmt: skip


def zigzag(number):
    value, out = (number << 1) ^ (number >> 63), bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def avro_value(kind, value):
    if isinstance(kind, list):
        return zigzag(1) + avro_value(kind[1], value)
    if isinstance(kind, dict):
        return b"".join(avro_value(field["type"], value[field["name"]]) for field in kind["fields"])
    if kind == "string":
        return zigzag(len(value.encode())) + value.encode()
    return zigzag(value)


def avro(schema, rows, metadata=None):
    """An Avro object container file without compression."""
    marker = bytes(range(16))
    pairs = {"avro.schema": json.dumps(schema), "avro.codec": "null", **(metadata or {})}
    header = b"Obj\x01" + zigzag(len(pairs)) + b"".join(avro_value("string", k) + avro_value("string", v) for k, v in pairs.items()) + zigzag(0) + marker
    body = b"".join(avro_value(schema, row) for row in rows)
    return header + zigzag(len(rows)) + zigzag(len(body)) + body + marker


def avro_record(name, *fields):
    """A schema; fields are (name, type, Iceberg's field id)."""
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t, "field-id": i} for n, t, i in fields]}


def iceberg(path, data, *, location=None, data_path=None, manifest_path=None, list_path=None, metadata=None, content=0):
    """The files of an Iceberg table (format version 2) with one snapshot, by their names below `path`.

    `data` are a Parquet file's bytes; the paths are what the metadata say.
    """
    location = location or str(path)
    data_path = data_path or f"{location}/data/0.parquet"
    manifest_path, list_path = manifest_path or f"{location}/metadata/m0.avro", list_path or f"{location}/metadata/snap-7.avro"
    file = avro_record("r2", ("content", "int", 134), ("file_path", "string", 100), ("file_format", "string", 101), ("partition", avro_record("r102"), 102), ("record_count", "long", 103), ("file_size_in_bytes", "long", 104))
    entry = avro_record("manifest_entry", ("status", "int", 0), ("snapshot_id", ["null", "long"], 1), ("sequence_number", ["null", "long"], 3), ("file_sequence_number", ["null", "long"], 4), ("data_file", file, 2))
    row = {"content": content, "file_path": data_path, "file_format": "PARQUET", "partition": {}, "record_count": 3, "file_size_in_bytes": len(data)}
    manifest = avro(
        entry, [{"status": 1, "snapshot_id": 7, "sequence_number": 1, "file_sequence_number": 1, "data_file": row}],
        {"schema": json.dumps(ICEBERG_SCHEMA), "partition-spec": "[]", "partition-spec-id": "0", "format-version": "2", "content": "data"},
    )  # fmt: skip
    counts = {name: 0 for name in ("partition_spec_id", "content", "existing_files_count", "deleted_files_count", "existing_rows_count", "deleted_rows_count")}
    listed = avro_record(
        "manifest_file", ("manifest_path", "string", 500), ("manifest_length", "long", 501), ("partition_spec_id", "int", 502), ("content", "int", 517), ("sequence_number", "long", 515), ("min_sequence_number", "long", 516),
        ("added_snapshot_id", "long", 503), ("added_files_count", "int", 504), ("existing_files_count", "int", 505), ("deleted_files_count", "int", 506), ("added_rows_count", "long", 512), ("existing_rows_count", "long", 513), ("deleted_rows_count", "long", 514),
    )  # fmt: skip
    snapshot = avro(
        listed, [{**counts, "manifest_path": manifest_path, "manifest_length": len(manifest), "sequence_number": 1, "min_sequence_number": 1, "added_snapshot_id": 7, "added_files_count": 1, "added_rows_count": 3}],
        {"format-version": "2", "snapshot-id": "7", "sequence-number": "1"},
    )  # fmt: skip
    described = {
        "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": location, "last-sequence-number": 1, "last-updated-ms": 1700000000000, "last-column-id": 2, "current-schema-id": 0, "schemas": [ICEBERG_SCHEMA],
        "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}], "properties": {}, "current-snapshot-id": 7,
        "snapshots": [{"snapshot-id": 7, "sequence-number": 1, "timestamp-ms": 1700000000000, "manifest-list": list_path, "summary": {"operation": "append"}, "schema-id": 0}], "snapshot-log": [], "metadata-log": [], "refs": {},
    }  # fmt: skip
    described.update(metadata or {})
    return {
        "data/0.parquet": data, "metadata/m0.avro": manifest, "metadata/snap-7.avro": snapshot, "metadata/v1.metadata.json": json.dumps(described).encode(), "metadata/version-hint.text": b"1",
    }  # fmt: skip


def delta(data, *, add=None, more=(), protocol=None, schema=None, partitions=(), configuration=None):
    """The files of a Delta table of one commit; `add` changes its add action, `more` are further actions."""
    meta = {"id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9", "format": {"provider": "parquet", "options": {}}, "schemaString": json.dumps(DELTA_SCHEMA if schema is None else schema), "partitionColumns": list(partitions), "configuration": configuration or {}, "createdTime": 1700000000000}
    action = {"path": "part-0.parquet", "partitionValues": {}, "size": len(data), "modificationTime": 1700000000000, "dataChange": True, **(add or {})}
    lines = [{"protocol": protocol or {"minReaderVersion": 1, "minWriterVersion": 2}}, {"metaData": meta}, {"add": action}, *more]
    return {"part-0.parquet": data, "_delta_log/00000000000000000000.json": "\n".join(map(json.dumps, lines)).encode() + b"\n"}


DELETION_VECTORS = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}


def put(folder, files):
    """Writes files below a folder, readable for everybody."""
    folder = pathlib.Path(folder)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)


def parquet(duckdb, folder, query="SELECT i AS id, 'n' || i AS name FROM range(3) t(i)", options="FIELD_IDS {id: 1, name: 2}"):
    """The bytes of a Parquet file that DuckDB writes."""
    path = pathlib.Path(folder) / "made.parquet"
    duckdb.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet{', ' + options if options else ''})")
    data = path.read_bytes()
    path.unlink()
    return data
