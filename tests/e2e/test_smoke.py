"""The extension loads over both kinds of connection, and the store keeps its keys apart."""

import duckdb
import pytest


def test_version_over_socket_and_tcp(connect):
    for tcp in (False, True):
        assert connect(tcp=tcp).execute("SELECT duckdb.version()").fetchone() == ("v1.5.5",)


def test_a_role_connects(connect, role):
    name = role()
    assert connect(name).execute("SELECT current_user").fetchone() == (name,)
    assert connect(name, tcp=True, password=name).execute("SELECT current_user").fetchone() == (name,)


def test_reader_keys_read_their_bucket_only(lake_writer, sandbox):
    for bucket in ("lake", "vault"):
        lake_writer.execute(f"COPY (SELECT '{bucket}' AS b) TO 's3://{bucket}/smoke/b.parquet'")
    for bucket, other, key in (("lake", "vault", sandbox.lake_reader), ("vault", "lake", sandbox.vault_reader)):
        reader = duckdb.connect(config={"extension_directory": str(sandbox.extension_dir)})
        reader.execute("LOAD httpfs")
        reader.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{key.key_id}', SECRET '{key.secret}', ENDPOINT '{sandbox.s3_endpoint}', "
            f"REGION '{sandbox.s3_region}', URL_STYLE 'path', USE_SSL false)"
        )
        assert reader.execute(f"FROM 's3://{bucket}/smoke/b.parquet'").fetchall() == [(bucket,)]
        with pytest.raises(duckdb.Error, match="403"):
            reader.execute(f"FROM 's3://{other}/smoke/b.parquet'")
        with pytest.raises(duckdb.Error, match="403"):
            reader.execute(f"COPY (SELECT 1 AS a) TO 's3://{bucket}/smoke/forbidden.parquet'")
