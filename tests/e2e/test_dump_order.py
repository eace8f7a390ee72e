"""Dump and restore of lakes: pg_dump knows no dependency between servers and sorts them by name."""

import os
import subprocess

import psycopg
import pytest
from psycopg import sql

from conftest import unique
from lakes import Lake, execute
from support import failure, words


def run(sandbox, program, *arguments):
    place = ["-h", sandbox.socket_dir, "-p", str(sandbox.port), "-U", "postgres"]
    done = subprocess.run([sandbox.bindir / program, *place, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("form", ["plain", "custom"])
@pytest.mark.parametrize("name", ["a_lake", "z_lake"])
def test_the_order_of_a_lake_and_its_storage_does_not_matter(sandbox, cluster, su, lakes, database, tmp_path, name, form):
    # The storage of the module's lakes is called `store`.
    made = lakes.make(name)
    target = unique("pond_restored")
    dump = tmp_path / "dump"
    try:
        execute(su, f"CREATE TABLE {name}.t AS SELECT 42 AS a")
        made.import_into("kept")
        run(sandbox, "pg_dump", "-F", form[0], "-f", dump, database)
        cluster.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(target)))
        if form == "plain":
            run(sandbox, "psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", target, "-f", dump)
        else:
            run(sandbox, "pg_restore", "--exit-on-error", "-d", target, dump)
        with psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname=target) as conn:
            assert conn.execute("SELECT a FROM kept.t").fetchall() == [(42,)]
    finally:
        su.execute(f"DROP SCHEMA kept CASCADE; DROP SERVER {name} CASCADE")
        cluster.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(target)))


def test_a_storage_that_comes_later_is_looked_at_when_it_is_used(sandbox, su, connect, role, lakes):
    """Whoever makes a lake first and finds a storage of the name later has no right to that."""
    owner = role()
    su.execute(f"GRANT USAGE ON FOREIGN DATA WRAPPER duckdb TO {owner}")
    su.execute(f"GRANT USAGE ON SCHEMA duckdb TO {owner}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA duckdb TO {owner}")
    conn = connect(owner)
    notices = []
    conn.add_notice_handler(lambda diag: notices.append(diag.message_primary))
    place = {"host": "127.0.0.1", "port": sandbox.port, "dbname": lakes.database, "metadata_schema": f"later_{os.getpid()}"}
    lake = Lake(sandbox, conn, "early", data_path="s3://lake/ducklake/early/", place=place, role=lakes.role, options={"storage": "later"})
    options = {"catalog": "postgres", **place, "data_path": lake.data_path, "create_if_not_exists": "true", "storage": "later"}
    listed = ", ".join(f"{option} '{value}'" for option, value in options.items())
    conn.execute(f"CREATE SERVER early TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS ({listed})")
    assert notices == ['server "later", the storage of server "early", does not exist yet']
    conn.execute(f"CREATE USER MAPPING FOR {owner} SERVER early OPTIONS (user '{lakes.role}', password '{lakes.role}')")
    use = "SELECT * FROM duckdb.query('FROM early.t') q"
    error = failure(conn, use)
    assert error.sqlstate in ("42704", "42P01"), words(error)
    key = sandbox.all
    su.execute(
        f"CREATE SERVER later TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://lake/', endpoint '{sandbox.s3_endpoint}', "
        f"region '{sandbox.s3_region}', url_style 'path', use_ssl 'false')"
    )
    try:
        su.execute(f"CREATE USER MAPPING FOR PUBLIC SERVER later OPTIONS (key_id '{key.key_id}', secret '{key.secret}')")
        error = failure(conn, "SELECT duckdb.create_lake('early')")
        assert (error.sqlstate, error.diag.message_primary) == ("42501", "permission denied for foreign server later"), words(error)
        su.execute(f"GRANT USAGE ON FOREIGN SERVER later TO {owner}")
        assert conn.execute("SELECT duckdb.create_lake('early')").fetchone() == (True,)
        # A right that is taken away again counts at once, for the owner as for others.
        su.execute(f"REVOKE USAGE ON FOREIGN SERVER later FROM {owner}")
        error = failure(conn, "SELECT * FROM duckdb.snapshots('early')")
        assert error.sqlstate == "42501", words(error)
    finally:
        conn.execute("DROP SERVER early CASCADE")
        su.execute("DROP SERVER later CASCADE")
