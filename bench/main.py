"""Owns: the order of the benchmark. Measures, prints the table, writes results.md.

Arguments: names of parts (those of PARTS), all without; `--runs N` pairs for each ratio (5). results.md is
written only when all parts ran."""

import argparse
import os
import sys
from pathlib import Path

import cases
import cluster
import data
import ducklake
import lake
import report
from measure import Row, seconds

PARTS = ("stream", "table", "tpch", "queries", "star", "ducklake", "session", "memory", "neutral", "pgbench")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    arguments.add_argument("--runs", type=int, default=5)
    given = arguments.parse_args()
    runs = given.runs
    wanted = given.parts or PARTS
    if not set(wanted) <= set(PARTS):
        arguments.error(f"the parts are {', '.join(PARTS)}")

    rows: list[Row] = []
    loads: list[str] = []
    print("  preparing the data", flush=True)
    files = data.make_files()
    with cluster.connect() as connection:
        data.load_heap(connection, files)
        connection.execute("CHECKPOINT")
    measured = {
        "stream": lambda: cases.stream(files, runs + 2),
        "table": lambda: cases.create_table(files, runs) + cases.parts_of_create_table(files, runs),
        "tpch": lambda: cases.tpch(files, runs + 6),
        "queries": lambda: lake.tpch(files, runs),
        "star": lambda: lake.star(files, runs),
        "ducklake": lambda: ducklake.ducklake(files, runs),
        "session": lambda: cases.first_queries(5 * runs),
        "memory": lambda: cases.memory(files, runs),
        "neutral": lambda: cases.neutral(4 * runs),
        "pgbench": lambda: lake.pgbench(3 * runs),
    }
    for part in PARTS:
        if part in wanted:
            print(f"  {part} (load average {os.getloadavg()[0]:.1f})", end=" ", flush=True)
            loads.append(f"{part} {os.getloadavg()[0]:.1f}")
            took = seconds(lambda part=part: rows.extend(measured[part]()))
            print(f"({took:.0f} s)", flush=True)

    with cluster.connect() as connection:
        lines = ["# Benchmark", "", *report.machine(connection, loads), *report.table(rows), ""]
    text = "\n".join(lines)
    print(text)
    if set(wanted) == set(PARTS):
        (Path(__file__).parent / "results.md").write_text(text)
    if any(row.reached is False for row in rows):
        print("Some targets are missed.", file=sys.stderr)


if __name__ == "__main__":
    main()
