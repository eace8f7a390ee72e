"""Owns: what the reader sees: the machine's description and the table, as Markdown."""

import datetime
import os
import platform
from pathlib import Path

import psycopg

from measure import Row

SETTINGS = (
    "shared_buffers",
    "work_mem",
    "wal_level",
    "max_wal_size",
    "max_parallel_workers_per_gather",
    "jit",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "duckdb.memory_limit",
    "duckdb.threads",
)


def number(value: float) -> str:
    for limit, digits in ((100, 0), (10, 1), (0, 2)):
        if value >= limit:
            return f"{value:,.{digits}f}"
    return f"{value:.2f}"


def machine(connection: psycopg.Connection, loads: list[str]) -> list[str]:
    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    version = connection.execute("SELECT split_part(version(), ' on ', 1), duckdb.version()").fetchone()
    assert version is not None
    shown = []
    for name in SETTINGS:
        setting = connection.execute(f"SHOW {name}").fetchone()
        assert setting is not None
        shown.append(f"{name} = {setting[0]}")
    return [
        f"- {datetime.date.today().isoformat()}; {version[0]}, DuckDB {version[1]}",
        f"- {cpu.split(':')[1].strip()}, {os.cpu_count()} cores, {int(memory.split()[1]) / 2**20:.0f} GB; "
        f"Linux {platform.release().split('-')[0]}",
        f"- load average when each part began (it counts for minutes, and the benchmark itself is about 1): {', '.join(loads)}",
        f"- {', '.join(shown)}",
    ]


def table(rows: list[Row]) -> list[str]:
    lines = []
    section = None
    for row in rows:
        if row.section != section:
            section = row.section
            lines += ["", f"### {section}", ""]
            if row.base is None:
                lines += ["| What | Median | Min–max | Target | |", "|---|---|---|---|---|"]
            else:
                lines += ["| What | Ours | Base | Ratio | Min–max | Fastest | Target | |", "|---|---|---|---|---|---|---|---|"]
        target = "" if row.target is None else f"≤ {row.target:g}"
        verdict = {None: "", True: "reached", False: "**missed**"}[row.reached]
        if row.comment:
            verdict = f"{verdict}; {row.comment}" if verdict else row.comment
        spread = f"{number(row.spread[0])}–{number(row.spread[1])}"
        if row.base is None:
            lines.append(f"| {row.what} | {number(row.figure)} {row.unit} | {spread} | {target} | {verdict} |")
        else:
            lines.append(
                f"| {row.what} | {number(row.ours)} {row.unit} | {number(row.base)} {row.unit} "
                f"| {row.figure:.2f} | {row.spread[0]:.2f}–{row.spread[1]:.2f} | {row.fastest:.2f} | {target} | {verdict} |"
            )
    return lines
