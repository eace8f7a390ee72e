"""Files that DuckDB writes on the server's machine can be read by others, as COPY's can."""

import os
import stat

import pytest

from lakes import execute
from support import open_directory


def modes(folder):
    found = {}
    for place, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(place, name)
            found[path] = stat.S_IMODE(os.stat(path).st_mode)
    return found


@pytest.fixture
def folder(sandbox):
    with open_directory() as folder:
        owner = sandbox.data_directory.stat()
        if os.getuid() == 0:
            os.chown(folder, owner.st_uid, owner.st_gid)
        yield folder


def test_exports(connect, folder):
    conn = connect()
    execute(conn, f"COPY (SELECT 1 AS a) TO '{folder}/one.parquet'")
    execute(conn, f"COPY (SELECT i % 2 AS part, i FROM range(10) r(i)) TO '{folder}/parts' (FORMAT parquet, PARTITION_BY (part))")
    # The server's own as before.
    (number,) = conn.execute("SELECT lo_from_bytea(0, 'x')").fetchone()
    conn.execute(f"SELECT lo_export({number}, '{folder}/large')")
    found = modes(folder)
    assert len(found) >= 4 and set(found.values()) == {0o644}, found
    assert stat.S_IMODE(os.stat(folder / "parts").st_mode) == 0o755


@pytest.mark.parametrize("how", ["execute", "rows", "commit"])
def test_files_of_a_local_lake(connect, lakes, how):
    name = f"readable_{how}"
    made = lakes.make(name, local=True, data_inlining_row_limit="0")
    conn = connect()
    execute(conn, f"CREATE TABLE {name}.t (a bigint)")
    made.import_into(name)
    before = os.umask(0o022)
    os.umask(before)
    if how == "execute":
        execute(conn, f"INSERT INTO {name}.t SELECT range FROM range(100)")
    elif how == "rows":
        conn.execute(f"INSERT INTO {name}.t SELECT g FROM generate_series(1, 100) g")
    else:
        with conn.transaction():
            conn.execute(f"INSERT INTO {name}.t SELECT g FROM generate_series(1, 100) g")
            conn.execute(f"DELETE FROM {name}.t WHERE a < 10")
    found = modes(made.data_path)
    assert found and set(found.values()) == {0o644}, found


def test_the_servers_umask_is_what_it_was(connect, lakes):
    lakes.make("unmasked", local=True)
    conn = connect()
    pid = conn.info.backend_pid

    def umask():
        (line,) = [line for line in open(f"/proc/{pid}/status") if line.startswith("Umask:")]
        return int(line.split()[1], 8)

    assert umask() == 0o077
    execute(conn, "CREATE TABLE unmasked.t (a bigint)")
    for end in ("COMMIT", "ROLLBACK"):
        conn.execute("BEGIN")
        execute(conn, "INSERT INTO unmasked.t VALUES (1)")
        conn.execute(end)
        assert umask() == 0o077
    try:
        execute(conn, "nonsense")
    except Exception:
        pass
    assert umask() == 0o077


def test_what_spills_elsewhere_is_nobodys_to_read(connect, folder):
    conn = connect()
    conn.execute(f"SET duckdb.temp_directory = '{folder}'")
    execute(conn, "CREATE TABLE t AS SELECT 1 AS a")
    (made,) = folder.iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
