"""Owns: what is measured of foreign tables, and of the planner's hook for statements without them. Each
function returns rows of the table, as those of cases.py."""

import json
import statistics
import subprocess
from collections.abc import Callable

import psycopg

import cluster
import data
from cases import settings
from measure import Row, absolute, in_turn, ratio, seconds

TPCH = "TPC-H on foreign tables, scale factor 1, base: DuckDB itself over the same files"
PLANNING = "Where the time of TPC-H on foreign tables goes"
STAR = "Star join, 6 M rows of a foreign table with a dimension of 10,000, base: the dimension in Parquet too"
PGBENCH = "pgbench -S, one client: time of a transaction, base: without the library"


def scans(connection: psycopg.Connection, sql: str) -> tuple[list[str], list[dict]]:
    """The kinds of nodes in the plan, and the plan's scans of DuckDB."""
    found = connection.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchone()
    assert found is not None
    plan = found[0] if isinstance(found[0], list) else json.loads(found[0])
    kinds, own = [], []

    def walk(node: dict) -> None:
        kinds.append(node["Node Type"])
        if node.get("Custom Plan Provider") == "DuckDB Scan":
            own.append(node)
        for child in node.get("Plans", ()):
            walk(child)

    walk(plan[0]["Plan"])
    return kinds, own


def planning_ms(connection: psycopg.Connection, sql: str) -> float:
    found = connection.execute(f"EXPLAIN (SUMMARY, FORMAT JSON) {sql}").fetchone()
    assert found is not None
    plan = found[0] if isinstance(found[0], list) else json.loads(found[0])
    return plan[0]["Planning Time"]


def same(ours: list[tuple], base: list[tuple]) -> bool:
    """Whether the rows are the same. Floating-point numbers may differ in their last digits, and
    DuckDB's average of exact numbers is one."""

    def equal(a: object, b: object) -> bool:
        if isinstance(a, str) and isinstance(b, str):
            return a.rstrip() == b.rstrip()
        if isinstance(b, float):
            return abs(float(a) - b) <= 1e-6 * max(1.0, abs(b))  # type: ignore[arg-type]
        return a == b

    return len(ours) == len(base) and all(
        len(a) == len(b) and all(map(equal, a, b)) for a, b in zip(ours, base, strict=True)
    )


def tpch(files: data.Files, runs: int) -> list[Row]:
    """All queries in a warm session that fetches every row, in turn with DuckDB's own client."""
    with cluster.connect() as connection, data.extension_client() as client:
        data.make_foreign_tables(connection, files)
        connection.execute("SET search_path = tpch")
        settings(connection, client)
        for table, path in files.tables.items():
            client.execute(f"CREATE VIEW {table} AS FROM read_parquet('{path}')")
        rows: list[Row] = []
        totals = [[0.0, 0.0] for _ in range(runs)]
        planning: list[tuple[int, float]] = []
        for number, text in data.queries(client).items():
            kinds, own = scans(connection, text)
            whole = len(own) == 1 and set(kinds) <= {"Custom Scan", "Result", "Subquery Scan"}
            equal = same(connection.execute(text).fetchall(), client.execute(text).fetchall())
            pairs = in_turn(
                lambda text=text: seconds(lambda: connection.execute(text).fetchall()),
                lambda text=text: seconds(lambda: client.execute(text).fetchall()),
                runs,
            )
            row = ratio(TPCH, f"Q{number}", pairs, 1.5)
            more = statistics.median(ours - base for ours, base in pairs) * 1e3
            row.forgiven = more <= 15
            row.comment = f"{more:+.1f} ms"
            row.comment += "" if whole else f"; {len(own)} scans, not whole"
            row.comment += "" if equal else "; **other rows**"
            rows.append(row)
            for total, pair in zip(totals, pairs, strict=True):
                total[0] += pair[0]
                total[1] += pair[1]
            planning.append((number, statistics.median(planning_ms(connection, text) for _ in range(runs))))
        rows.append(ratio(TPCH, "all 22, added up", [(ours, base) for ours, base in totals], 1.15))
        longest = max(planning, key=lambda found: found[1])
        times = [time for _, time in planning]
        rows.append(absolute(PLANNING, "planning a query", times, None, "ms", f"the longest: Q{longest[0]}"))
        return rows


def star(files: data.Files, runs: int) -> list[Row]:
    """The dimension as a heap table of PostgreSQL's against the same rows in Parquet."""
    text = (
        "SELECT d.s_nationkey, count(*), sum(l.l_extendedprice), sum(l.l_quantity) FROM tpch.lineitem l "
        "JOIN {} d ON d.s_suppkey = l.l_suppkey WHERE d.s_acctbal > 0 GROUP BY d.s_nationkey ORDER BY 1"
    )
    with cluster.connect() as connection:
        data.make_foreign_tables(connection, files)
        connection.execute("DROP TABLE IF EXISTS supplier")
        connection.execute("CREATE TABLE supplier AS SELECT * FROM tpch.supplier")
        connection.execute("VACUUM (FREEZE, ANALYZE) supplier")
        ours, base = text.format("public.supplier"), text.format("tpch.supplier")
        equal = connection.execute(ours).fetchall() == connection.execute(base).fetchall()
        pairs = in_turn(
            lambda: seconds(lambda: connection.execute(ours).fetchall()),
            lambda: seconds(lambda: connection.execute(base).fetchall()),
            runs,
        )
        row = ratio(STAR, "grouped by a column of the dimension", pairs, 1.3)
        kinds, own = scans(connection, ours)
        shipped = any("Shipped Relations" in scan for scan in own)
        row.comment = "the dimension is shipped to DuckDB" if shipped else f"joined by PostgreSQL: {', '.join(kinds)}"
        row.comment += "" if equal else "; **other rows**"
        connection.execute("DROP TABLE supplier")
        return [row]


def pgbench(runs: int) -> list[Row]:
    """Statements without foreign tables. The library is loaded with each session or not at all, so that
    both sides run on one server."""
    cluster.restart(preload=False)
    program = cluster.BINDIR / "pgbench"
    subprocess.run([program, "-i", "-q", "-s", "10"], check=True, capture_output=True)

    def transaction(mode: str, *options: str) -> Callable[[], float]:
        def run() -> float:
            command = [program, "-n", "-S", "-c", "1", "-T", "2", "-M", mode]
            environment = cluster.environment(PGOPTIONS=" ".join(options))
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            line = next(line for line in done.stdout.splitlines() if line.startswith("tps = "))
            return 1 / float(line.split()[2])

        return run

    loaded = ("-c", "session_preload_libraries=pg_pond")
    rows = []
    for mode in ("simple", "prepared"):
        pairs = in_turn(transaction(mode, *loaded), transaction(mode), runs)
        row = ratio(PGBENCH, f"-M {mode}", pairs, 1.05, "µs")
        row.comment = f"{1 / row.figure:.2f} of the transactions per second"
        rows.append(row)
    cluster.restart(preload=True)
    return rows
