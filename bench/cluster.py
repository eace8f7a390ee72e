"""Owns: the sandbox's PostgreSQL as the benchmark uses it: connections, restarts, settings, the folder
whose files the server may read. Everything comes from the environment that scripts/bench gives."""

import os
import shutil
import subprocess
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
# The server's user cannot always read the caller's cache; this folder beside the socket's it can.
DATA = Path(os.environ["PGHOST"]).parent / "bench"
BINDIR = Path(os.environ["POND_BINDIR"])


def connect(**options: str) -> psycopg.Connection:
    """As the sandbox's superuser, or as `user`."""
    return psycopg.connect(autocommit=True, prepare_threshold=None, **options)


def environment(**more: str) -> dict[str, str]:
    """For PostgreSQL's own programs."""
    return {**os.environ, **more}


def share(file: Path) -> Path:
    """A copy of `file` that the server can read."""
    DATA.mkdir(exist_ok=True)
    DATA.chmod(0o755)
    copy = DATA / file.name
    if not copy.exists() or copy.stat().st_size != file.stat().st_size:
        shutil.copyfile(file, copy)
    copy.chmod(0o644)
    return copy


def restart(*, preload: bool) -> None:
    """Restarts the server with the library preloaded or not."""
    command = [ROOT / "scripts/sandbox", "start", "--name", "bench", "--release", "--no-build"]
    command += ["--pg", os.environ.get("POND_BENCH_PG", "15"), "--preload", "yes" if preload else "no"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)


def configure(**settings: str | None) -> None:
    """Sets what a reload can set, for the whole cluster; None is the sandbox's own value again."""
    with connect() as connection:
        for name, value in settings.items():
            if value is None:
                connection.execute(f"ALTER SYSTEM RESET {name}")
            else:
                connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        connection.execute("SELECT pg_reload_conf()")
    for name, value in settings.items():
        if value is not None:
            with connect() as connection:
                shown = connection.execute(f"SHOW {name}").fetchone()
            assert shown is not None and shown[0] == value, f"{name} is {shown}, not {value}"
