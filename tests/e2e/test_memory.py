"""Memory and temporary files: limits are kept, ordinary roles spill, nothing is left behind."""

import os
import signal
import stat
import threading
import time

import psycopg
import pytest
from psycopg import sql

from support import Background, eventually, failure, is_gone, private_cluster, resident_kb, spill_folders, words

MB = 1024 * 1024
# Needs some 300 MB, on disk if it must.
SORT = "SELECT max(n) AS n FROM (SELECT row_number() OVER (ORDER BY hash(i)) AS n FROM range(%d) t(i))"
# A list of one row cannot be spilled.
LIST = "SELECT len(list(i)) AS n FROM range(100000000) t(i)"


def query(statement):
    return "SELECT * FROM duckdb.query($q$%s$q$)" % statement


def folders_of(sandbox, pid):
    return [path for path in spill_folders(sandbox.data_directory) if path.name.split(".")[1] == str(pid)]


def files_of(sandbox, pid):
    found = []
    for folder in folders_of(sandbox, pid):
        for name in os.listdir(folder) if folder.exists() else []:
            try:
                found.append((folder / name, (folder / name).stat()))
            except FileNotFoundError:
                pass
    return found


class Watch:
    """Samples the size of a backend's spill folders and its resident memory while it works."""

    def __init__(self, sandbox, pid):
        self.disk_bytes = 0
        self.resident_kb = []
        self.modes = set()
        self._sandbox, self._pid, self._stop = sandbox, pid, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.wait(0.05):
            files = files_of(self._sandbox, self._pid)
            self.disk_bytes = max(self.disk_bytes, sum(found.st_blocks * 512 for _, found in files))
            self.modes |= {stat.S_IMODE(found.st_mode) for _, found in files}
            self.resident_kb.append(resident_kb(self._pid)["RssAnon"])

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


@pytest.fixture
def ordinary(role, su, connect):
    """A connection of an ordinary role that may query, with a small limit of its own."""

    def make(**settings):
        name = role()
        su.execute(sql.SQL("GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {}").format(sql.Identifier(name)))
        su.execute(sql.SQL("GRANT EXECUTE ON FUNCTION duckdb.settings() TO {}").format(sql.Identifier(name)))
        for setting, value in settings.items():
            su.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(sql.Identifier(name), sql.Identifier("duckdb", setting), sql.Literal(value)))
        return connect(name)

    return make


def test_beyond_the_limit_is_an_error_and_the_session_lives(connect):
    conn = connect()
    conn.execute("SET duckdb.memory_limit = '64MB'")
    pid = conn.info.backend_pid
    for _ in range(3):
        error = failure(conn, query(LIST))
        assert error.sqlstate == "53200"
        assert "duckdb.memory_limit" in error.diag.message_hint
        assert conn.execute(query("SELECT 6 * 7 AS a")).fetchall() == [(42,)]
    assert conn.info.backend_pid == pid
    # DuckDB's own advice names settings that the session cannot set: ours are in the hint.
    assert resident_kb(pid)["VmHWM"] < 400 * 1024


def test_out_of_memory_inside_a_savepoint_leaves_the_transaction_usable(connect):
    conn = connect(autocommit=False)
    conn.execute("SET duckdb.memory_limit = '64MB'")
    conn.execute("CREATE TEMP TABLE kept AS SELECT 1 AS a")
    with pytest.raises(psycopg.errors.OutOfMemory), conn.transaction():
        conn.execute(query(LIST))
    assert conn.execute("SELECT a FROM kept").fetchall() == [(1,)]
    assert conn.execute(query("SELECT 2 AS a")).fetchall() == [(2,)]


def test_an_ordinary_role_spills_below_pgsql_tmp_and_leaves_nothing(ordinary, sandbox):
    conn = ordinary(memory_limit="64MB")
    pid = conn.info.backend_pid
    with Watch(sandbox, pid) as watch:
        assert conn.execute(query(SORT % 6_000_000)).fetchall() == [(6_000_000,)]
    assert watch.disk_bytes > 50 * MB
    assert watch.modes == {0o600}
    assert max(watch.resident_kb) < 300 * 1024
    # The files go with the query, the folder with the session.
    assert sum(found.st_size for _, found in files_of(sandbox, pid)) < 50 * MB
    conn.close()
    eventually(lambda: is_gone(pid))
    assert folders_of(sandbox, pid) == []


def test_the_first_spill_of_a_new_cluster_works(sandbox):
    with private_cluster(sandbox) as cluster, cluster.connect() as conn:
        assert not (cluster.data / "base/pgsql_tmp").exists()
        conn.execute("SET duckdb.memory_limit = '64MB'")
        assert conn.execute(query(SORT % 4_000_000)).fetchall() == [(4_000_000,)]


@pytest.mark.parametrize("limit, most_mb", [("50MB", 60), ("0", 5)])
def test_temporary_space_is_bounded(connect, sandbox, limit, most_mb):
    conn = connect()
    conn.execute("SET duckdb.memory_limit = '64MB'")
    conn.execute("SET duckdb.max_temp_directory_size = %s" % limit if limit == "0" else f"SET duckdb.max_temp_directory_size = '{limit}'")
    with Watch(sandbox, conn.info.backend_pid) as watch:
        error = failure(conn, query(SORT % 20_000_000))
    assert error.sqlstate in ("53100", "53200")
    assert "duckdb.max_temp_directory_size" in error.diag.message_hint
    assert watch.disk_bytes < most_mb * MB
    assert conn.execute(query("SELECT 6 * 7 AS a")).fetchall() == [(42,)]


def limits_of(conn):
    return dict(conn.execute("SELECT name, value FROM duckdb.settings() WHERE name IN ('memory_limit', 'max_temp_directory_size', 'threads')"))


def test_limits_set_for_a_role_hold_in_its_session(ordinary):
    conn = ordinary(memory_limit="100MB", threads="1", max_temp_directory_size="1GB")
    assert limits_of(conn) == {"memory_limit": "100.0 MiB", "max_temp_directory_size": "1.0 GiB", "threads": "1"}
    error = failure(conn, query(LIST))
    assert error.sqlstate == "53200"


@pytest.mark.parametrize("library_loaded", [False, True])
def test_an_ordinary_role_cannot_raise_its_limits(ordinary, library_loaded):
    conn = ordinary(memory_limit="100MB", threads="1", max_temp_directory_size="100MB")
    if library_loaded:
        conn.execute(query("SELECT 1 AS a"))
    for statement in (
        "SET duckdb.memory_limit = '10GB'",
        "SET LOCAL duckdb.memory_limit = '10GB'",
        "SET duckdb.threads = 64",
        "SET duckdb.max_temp_directory_size = -1",
        "SET duckdb.temp_directory = '/tmp'",
        "SELECT set_config('duckdb.memory_limit', '10GB', false)",
        "SET duckdb.log_sql = on",
        "ALTER ROLE CURRENT_USER SET duckdb.memory_limit = '10GB'",
    ):
        try:
            conn.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            continue
        # Before the library is loaded, PostgreSQL takes any name with a dot; loading it then
        # discards what the role may not set.
        assert not library_loaded, statement
    conn.execute(query("SELECT 1 AS a"))
    assert limits_of(conn) == {"memory_limit": "100.0 MiB", "max_temp_directory_size": "100.0 MiB", "threads": "1"}
    assert conn.execute("SHOW duckdb.memory_limit").fetchone() == ("100MB",)


def test_startup_options_never_lift_a_limit_above_the_default(ordinary, connect):
    # PostgreSQL lets a startup option of a library that is not loaded yet beat ALTER ROLE's; the
    # library then refuses it, and the built-in default holds.
    conn = connect(ordinary().info.user, options="-c duckdb.memory_limit=100GB -c duckdb.max_temp_directory_size=-1")
    conn.execute(query("SELECT 1 AS a"))
    assert limits_of(conn)["memory_limit"] == "2.0 GiB"
    assert limits_of(conn)["max_temp_directory_size"] == "10.0 GiB"


def test_startup_options_are_refused_at_login_when_preloaded(sandbox):
    with private_cluster(sandbox, shared_preload_libraries="pg_pond") as cluster, cluster.connect() as conn:
        conn.execute("CREATE ROLE limited LOGIN")
        conn.execute("ALTER ROLE limited SET duckdb.memory_limit = '100MB'")
        conn.execute("GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql), duckdb.settings() TO limited")
        with pytest.raises(psycopg.OperationalError, match="permission denied to set parameter"):
            cluster.connect("limited", options="-c duckdb.memory_limit=100GB")
        with cluster.connect("limited") as limited:
            assert limits_of(limited)["memory_limit"] == "100.0 MiB"


def test_two_instances_of_one_role_do_not_share_their_spilled_files(connect):
    rows = 4_000_000
    conn = connect(autocommit=False)
    declare = "DECLARE %s NO SCROLL CURSOR FOR " + query(f"SELECT i FROM range({rows}) t(i) ORDER BY hash(i)")
    conn.execute("SET duckdb.memory_limit = '64MB'")
    conn.execute(declare % "old")
    conn.execute("FETCH 10 FROM old")
    # Another limit opens another instance; the cursor keeps the first one alive.
    conn.execute("SET duckdb.memory_limit = '70MB'")
    conn.execute(declare % "new")
    conn.execute("FETCH 10 FROM new")
    conn.execute("CLOSE old")
    time.sleep(0.3)
    moved = conn.execute("MOVE ALL FROM new")
    assert moved.rowcount == rows - 10


def test_recycle_removes_what_was_spilled(connect, sandbox):
    conn = connect()
    pid = conn.info.backend_pid
    conn.execute("SET duckdb.memory_limit = '64MB'")
    conn.execute(query(SORT % 4_000_000))
    assert conn.execute("SELECT duckdb.recycle()").fetchone() == (True,)
    assert conn.execute("SELECT duckdb.recycle()").fetchone() == (False,)
    eventually(lambda: not files_of(sandbox, pid))


def test_a_spill_folder_that_cannot_be_made_is_a_clear_error(connect):
    conn = connect()
    conn.execute("SET duckdb.memory_limit = '64MB'")
    conn.execute("SET duckdb.temp_directory = '/proc/nowhere'")
    error = failure(conn, query(SORT % 4_000_000))
    assert error.sqlstate[:2] in ("58", "42"), (error.sqlstate, words(error))
    assert "/proc/nowhere" in words(error)
    conn.execute("RESET duckdb.temp_directory")
    assert conn.execute(query(SORT % 4_000_000)).fetchall() == [(4_000_000,)]


def test_streaming_millions_of_rows_takes_little_memory_whatever_their_number(connect):
    conn = connect()
    pid = conn.info.backend_pid

    def stream(rows):
        statement = query(f"SELECT i, i * 2.5 AS d, 'text number ' || i AS t, i::DECIMAL(15,2) AS n, DATE '2020-01-01' + (i % 1000)::INTEGER AS day FROM range({rows}) t(i)")
        running = Background(conn, f"COPY ({statement}) TO '/dev/null' (FORMAT binary)")
        samples = []
        while running.is_running():
            samples.append(resident_kb(pid))
            time.sleep(0.05)
        running.result()
        return max(sample["VmRSS"] for sample in samples), max(sample["RssAnon"] for sample in samples)

    stream(100_000)
    short = stream(1_000_000)
    long = stream(6_000_000)
    # The whole result is some 500 MB.
    assert long[1] < short[1] + 15 * 1024, (short, long)
    assert long[0] < 200 * 1024, (short, long)


def test_a_cursor_left_open_holds_little_memory(connect):
    conn = connect(autocommit=False)
    pid = conn.info.backend_pid
    conn.execute("DECLARE c CURSOR FOR " + query("SELECT i, repeat('x', 200) AS t FROM range(100000000000) t(i)"))
    conn.execute("FETCH 1 FROM c")
    time.sleep(1)
    first = resident_kb(pid)["RssAnon"]
    time.sleep(1)
    # DuckDB does not run ahead without bounds.
    assert resident_kb(pid)["RssAnon"] < first + 5 * 1024
    assert first < 150 * 1024


def test_a_killed_backend_leaves_no_spilled_files_after_recovery(sandbox):
    with private_cluster(sandbox) as cluster:
        conn = cluster.connect()
        conn.execute("CREATE TEMP TABLE makes_pgsql_tmp AS SELECT 1")
        conn.execute("SET duckdb.memory_limit = '64MB'")
        running = Background(conn, query(SORT % 1_000_000_000))
        spilled = lambda: [path for folder in spill_folders(cluster.data) for path in folder.glob("*")]
        eventually(spilled)
        os.kill(running.pid, signal.SIGKILL)
        running.join()
        assert isinstance(running.error, psycopg.OperationalError)
        eventually(lambda: "reinitializing" in cluster.log.read_text())
        eventually(cluster.is_ready, timeout=30)
        assert spill_folders(cluster.data) == []
        with cluster.connect() as again:
            assert again.execute(query("SELECT 1 AS a")).fetchall() == [(1,)]


def starts(cluster):
    """Starts the cluster; the backends of the dead one may hold its shared memory for a moment."""
    try:
        cluster.start()
    except AssertionError:
        return False
    return True


def test_a_restart_after_a_crash_of_the_whole_server_removes_spilled_files(sandbox):
    with private_cluster(sandbox) as cluster:
        conn = cluster.connect()
        conn.execute("SET duckdb.memory_limit = '64MB'")
        running = Background(conn, query(SORT % 1_000_000_000))
        eventually(lambda: [path for folder in spill_folders(cluster.data) for path in folder.glob("*")])
        postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        # A backend without its postmaster does not stay.
        eventually(lambda: is_gone(running.pid), timeout=5)
        eventually(lambda: is_gone(postmaster))
        # Where nobody reaps the dead postmaster, its process id looks alive.
        (cluster.data / "postmaster.pid").unlink()
        eventually(lambda: starts(cluster))
        assert spill_folders(cluster.data) == []
