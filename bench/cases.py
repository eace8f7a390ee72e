"""Owns: what is measured, and against what. Each function returns rows of the table."""

import contextlib
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

import cluster
import data
from measure import Row, absolute, in_turn, ratio, seconds

STREAM = "Rows to the client side, 1 M rows of lineitem: COPY … TO '/dev/null' (FORMAT binary), base: a heap table"
TABLE = "CREATE TABLE AS, 6 M rows × 16 columns, base: from a heap copy of the same rows"
PARTS = "Processor time of CREATE UNLOGGED TABLE AS; at the right that of the base"
TPCH = "TPC-H through duckdb.query over the Parquet file, base: DuckDB itself"
SESSION = "A session's first queries"
MEMORY = "Memory of the backend while 6 M rows × 16 columns stream"
NEUTRAL = "Statements that do not touch DuckDB: processor time of the backend, base: without the library"


def scan(path: Path | str, columns: str = "*") -> str:
    return f"SELECT * FROM duckdb.query($$ SELECT {columns} FROM read_parquet('{path}') $$)"


def timed(connection: psycopg.Connection, sql: str) -> Callable[[], float]:
    return lambda: seconds(lambda: connection.execute(sql))


def stream(files: data.Files, runs: int) -> list[Row]:
    cases: list[tuple[str, str, float | None]] = [("all 16 columns", "*", 1.4)]
    targets = {"varchar": 1.4, "decimal": 1.3, "bigint": 1.3}
    cases += [(f"{len(c.split(', '))} {name} columns", c, targets[name]) for name, c in data.COLUMNS.items()]
    rows = []
    with cluster.connect() as connection:
        for what, columns, target in cases:
            ours = f"COPY ({scan(files.million, columns)}) TO '/dev/null' (FORMAT binary)"
            base = f"COPY (SELECT {columns} FROM lineitem_1m) TO '/dev/null' (FORMAT binary)"
            pairs = in_turn(timed(connection, ours), timed(connection, base), runs)
            rows.append(ratio(STREAM, what, pairs, target))
    return rows


def create_table(files: data.Files, runs: int) -> list[Row]:
    rows = []
    with cluster.connect() as connection:

        def make(kind: str, source: str) -> Callable[[], float]:
            def run() -> float:
                # Neither the drop nor what earlier runs left to write counts.
                connection.execute("DROP TABLE IF EXISTS made")
                connection.execute("CHECKPOINT")
                return seconds(
                    lambda: connection.execute(f"CREATE {kind} made WITH (autovacuum_enabled = off) AS {source}")
                )

            return run

        for what, kind, target, durable in (
            ("unlogged", "UNLOGGED TABLE", 2.5, False),
            ("logged (fsync, synchronous_commit and full_page_writes on)", "TABLE", 1.2, True),
        ):
            if durable:
                cluster.configure(fsync="on", synchronous_commit="on", full_page_writes="on")
            pairs = in_turn(make(kind, scan(files.all)), make(kind, "SELECT * FROM lineitem"), runs)
            rows.append(ratio(TABLE, what, pairs, target))
        connection.execute("DROP TABLE made")
    cluster.configure(fsync=None, synchronous_commit=None, full_page_writes=None)
    return rows


def processor_seconds(pid: int) -> tuple[float, float, float]:
    """Used so far by the backend's own thread (user, system), and by its other threads, which are DuckDB's."""
    tick = os.sysconf("SC_CLK_TCK")
    own = (0.0, 0.0)
    others = 0.0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        fields = (thread / "stat").read_text().rpartition(")")[2].split()
        user, system = int(fields[11]) / tick, int(fields[12]) / tick
        if thread.name == str(pid):
            own = (user, system)
        else:
            others += user + system
    return (*own, others)


def parts_of_create_table(files: data.Files, runs: int) -> list[Row]:
    """Where CREATE UNLOGGED TABLE AS spends its processor time, thread by thread; reading and converting is
    what EXPLAIN ANALYZE of the query uses, which forms the rows and stores none."""
    with cluster.connect() as connection:
        pid = connection.info.backend_pid

        def used(sql: str) -> tuple[float, float, float]:
            before = processor_seconds(pid)
            connection.execute(sql)
            return tuple(b - a for a, b in zip(before, processor_seconds(pid), strict=True))

        def stages(source: str) -> tuple[float, ...]:
            connection.execute("DROP TABLE IF EXISTS made")
            connection.execute("CHECKPOINT")
            user, system, others = used(f"CREATE UNLOGGED TABLE made WITH (autovacuum_enabled = off) AS {source}")
            formed = used(f"EXPLAIN (ANALYZE, TIMING OFF) {source}")
            return formed[0], user - formed[0], system, others

        names = (
            "the backend reads and converts",
            "the backend stores, in PostgreSQL",
            "the backend stores, in the kernel",
            "DuckDB's threads, at the same time",
        )
        stages(scan(files.all))
        samples = [(stages(scan(files.all)), stages("SELECT * FROM lineitem")) for _ in range(runs)]
        connection.execute("DROP TABLE made")
        rows = []
        for index, name in enumerate(names):
            ours = [o[index] * 1e3 for o, _ in samples]
            base = statistics.median(b[index] for _, b in samples) * 1e3
            rows.append(absolute(PARTS, name, ours, None, "ms", f"base {base:,.0f} ms"))
        return rows


def settings(connection: psycopg.Connection, client: object) -> None:
    """Gives DuckDB itself the threads and the memory that it has in the backend."""
    wanted = connection.execute(
        "SELECT name, value FROM duckdb.settings() WHERE name IN ('threads', 'memory_limit')"
    ).fetchall()
    assert len(wanted) == 2
    for name, value in wanted:
        client.execute(f"SET {name} = '{value}'")  # type: ignore[attr-defined]


def tpch(files: data.Files, runs: int) -> list[Row]:
    rows = []
    with cluster.connect() as connection, data.extension_client() as client:
        settings(connection, client)
        texts = data.queries(client)
        for number in (1, 6):
            text = texts[number].replace("lineitem", f"read_parquet('{files.all}')")
            assert text.count("read_parquet") == 1
            sql = f"SELECT * FROM duckdb.query($$ {text} $$)"
            ours_rows = connection.execute(sql).fetchall()
            assert len(ours_rows) == len(client.execute(text).fetchall())
            pairs = in_turn(
                lambda sql=sql: seconds(lambda: connection.execute(sql).fetchall()),
                lambda text=text: seconds(lambda: client.execute(text).fetchall()),
                runs,
            )
            rows.append(ratio(TPCH, f"Q{number}", pairs, 1.05))
    return rows


@contextlib.contextmanager
def store(user: str = "CURRENT_USER") -> Iterator[None]:
    """A server for the S3 bucket, which `user` may use; the sessions of others do not load httpfs."""
    with cluster.connect() as connection:
        connection.execute("DROP SERVER IF EXISTS bench_store CASCADE")
        connection.execute(
            "CREATE SERVER bench_store TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS "
            f"(location 's3://lake/', endpoint '{os.environ['S3_ENDPOINT']}', region '{os.environ['S3_REGION']}', "
            "url_style 'path', use_ssl 'false')"
        )
        connection.execute(f"GRANT USAGE ON FOREIGN SERVER bench_store TO {user}")
        connection.execute(
            f"CREATE USER MAPPING FOR {user} SERVER bench_store OPTIONS "
            f"(key_id '{os.environ['S3_LAKE_KEY_ID']}', secret '{os.environ['S3_LAKE_SECRET']}')"
        )
    try:
        yield
    finally:
        with cluster.connect() as connection:
            connection.execute("DROP SERVER bench_store CASCADE")


def first_queries(sessions: int) -> list[Row]:
    """In fresh sessions, with `SELECT 42`: as superuser, as a locked-down role, with an S3 server."""
    sql = "SELECT * FROM duckdb.query('SELECT 42 AS a')"
    with cluster.connect() as connection:
        for role in ("bench_plain", "bench_s3"):
            if connection.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'").fetchone():
                connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
            connection.execute(f"CREATE ROLE {role} LOGIN")
            connection.execute(f"GRANT USAGE ON SCHEMA duckdb TO {role}")
            connection.execute(f"GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {role}")

    names = {"postgres": "superuser", "bench_plain": "locked-down role"}

    def session(user: str) -> tuple[float, float]:
        with cluster.connect(user=user) as connection:
            connection.execute("SELECT 1")
            first = seconds(lambda: connection.execute(sql))
            later = [seconds(lambda: connection.execute(sql)) for _ in range(9)]
            return first * 1e3, statistics.median(later) * 1e3

    rows = []
    second: dict[str, list[float]] = {}
    with store("bench_s3"):
        for preload, target in ((False, 60), (True, 20)):
            cluster.restart(preload=preload)
            found: dict[str, list[tuple[float, float]]] = {"postgres": [], "bench_plain": [], "bench_s3": []}
            for turn in range(sessions + 1):
                for user, times in found.items():
                    pair = session(user)
                    if turn:
                        times.append(pair)
            how = "preloaded" if preload else "not preloaded"
            for user, name in names.items():
                rows.append(absolute(SESSION, f"first, {how}, {name}", [f for f, _ in found[user]], target, "ms"))
            extra = [s3 - plain for (s3, _), (plain, _) in zip(found["bench_s3"], found["bench_plain"], strict=True)]
            rows.append(absolute(SESSION, f"first, {how}, more with an S3 server (httpfs)", extra, 15, "ms"))
            second = {user: [s for _, s in times] for user, times in found.items()}
    for user, name in names.items():
        rows.append(absolute(SESSION, f"second and later, {name}", second[user], 0.7, "ms"))
    return rows


def watch_memory(source: str) -> list[tuple[float, float]]:
    """VmRSS and RssAnon in MB, every 10 ms while a fresh session streams the rows."""
    samples: list[tuple[float, float]] = []
    with cluster.connect() as connection:
        status = Path(f"/proc/{connection.info.backend_pid}/status")
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                lines = (line.split() for line in status.read_text().splitlines())
                sizes = {words[0]: int(words[1]) / 1024 for words in lines if words[0] in ("VmRSS:", "RssAnon:")}
                samples.append((sizes["VmRSS:"], sizes["RssAnon:"]))
                time.sleep(0.01)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            connection.execute(f"COPY ({source}) TO '/dev/null' (FORMAT binary)")
        finally:
            stop.set()
            watcher.join()
    return samples


def memory(files: data.Files, sessions: int) -> list[Row]:
    def summary(runs: list[list[tuple[float, float]]], where: str, target: float | None) -> list[Row]:
        grown = []
        for samples in runs:
            quarter = max(1, len(samples) // 4)
            second, last = samples[quarter : 2 * quarter], samples[-quarter:]
            grown.append(statistics.median(r for r, _ in last) - statistics.median(r for r, _ in second))
        most = [max(r for r, _ in samples) for samples in runs]
        own = [max(a for _, a in samples) for samples in runs]
        middle = [statistics.median(r for r, _ in samples) for samples in runs]
        return [
            absolute(MEMORY, f"{where}: resident (VmRSS), most of the time", middle, None, "MB"),
            absolute(MEMORY, f"{where}: resident at most", most, target, "MB"),
            absolute(MEMORY, f"{where}: of it the process's own (RssAnon) at most", own, None, "MB"),
            absolute(MEMORY, f"{where}: last quarter more than second", grown, 5, "MB"),
        ]

    runs = [watch_memory(scan(files.all)) for _ in range(sessions)]
    rows = summary(runs, "local file", 100)
    with store():
        url = data.put_into_store(files.all)
        runs = [watch_memory(scan(url)) for _ in range(sessions)]
        rows += summary(runs, "S3", None)
    return rows


def neutral(runs: int) -> list[Row]:
    """Two sessions of one server take turns, of which one has loaded the library. What counts is the
    processor time of the backend, in the kernel's accounting."""
    cluster.restart(preload=False)
    subprocess.run([cluster.BINDIR / "pgbench", "-i", "-q", "-s", "1"], check=True, capture_output=True)
    statements = {
        "by primary key": "SELECT abalance FROM pgbench_accounts WHERE aid = 4711",
        "a join with a subquery": "SELECT count(*) FROM pgbench_branches b JOIN pgbench_tellers t USING (bid) "
        "WHERE t.tid IN (SELECT tid FROM pgbench_tellers WHERE tid < 4)",
        "IN with 200 constants": f"SELECT 1 FROM pgbench_branches WHERE bid IN ({', '.join(map(str, range(200)))})",
    }
    rows = []
    with cluster.connect() as with_library, cluster.connect() as without:
        with_library.execute("LOAD 'pg_pond'")

        def run(connection: psycopg.Connection, statement: str, prepare: bool) -> Callable[[], float]:
            account = Path(f"/proc/{connection.info.backend_pid}/schedstat")

            def repeat() -> float:
                before = int(account.read_text().split()[0])
                for _ in range(1000):
                    connection.execute(statement, prepare=prepare)
                return (int(account.read_text().split()[0]) - before) / 1000 / 1e9

            return repeat

        for name, statement in statements.items():
            for prepare in (False, True) if name == "by primary key" else (False,):
                pairs = in_turn(run(with_library, statement, prepare), run(without, statement, prepare), runs)
                how = "prepared" if prepare else "planned each time"
                rows.append(ratio(NEUTRAL, f"{name}, {how}", pairs, 1.05, "µs"))
    cluster.restart(preload=True)
    return rows
