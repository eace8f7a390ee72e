"""Fixtures of the end-to-end tests.

scripts/test starts the sandbox and sets the environment: PGHOST … PGPASSWORD, S3_*, POND_BINDIR,
POND_PG_MAJOR, DUCKDB_EXTENSION_DIR. Each test module works in a database of its own.
"""

import dataclasses
import itertools
import os
import pathlib
import zlib

import psycopg
import pytest
from psycopg import sql

import support

REQUIRED = (
    "PGHOST PGPORT PGUSER PGPASSWORD S3_ENDPOINT S3_REGION S3_KEY_ID S3_SECRET S3_LAKE_KEY_ID "
    "S3_LAKE_SECRET S3_VAULT_KEY_ID S3_VAULT_SECRET POND_BINDIR POND_PG_MAJOR DUCKDB_EXTENSION_DIR"
).split()

_numbers = itertools.count(1)


def unique(prefix):
    """A name that no other test uses, for roles and databases, which the whole cluster shares."""
    return f"{prefix}_{os.getpid()}_{next(_numbers)}"


def pytest_collection_modifyitems(config, items):
    """With POND_SAMPLE=n: of each test every n-th case, always the same ones, and at least one."""
    every = int(os.environ.get("POND_SAMPLE") or 1)
    if every <= 1:
        return
    kept, left, met = [], [], set()
    for item in items:
        first = item.function not in met
        met.add(item.function)
        (kept if first or zlib.crc32(item.nodeid.encode()) % every == 0 else left).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


@dataclasses.dataclass(frozen=True)
class Key:
    key_id: str
    secret: str


@dataclasses.dataclass(frozen=True)
class Sandbox:
    """Where the sandbox's servers are, and the keys of its buckets `lake` and `vault`."""

    socket_dir: str
    port: int
    password: str
    bindir: pathlib.Path
    major: int
    s3_endpoint: str
    s3_region: str
    extension_dir: pathlib.Path
    all: Key
    lake_reader: Key
    vault_reader: Key

    @property
    def log(self):
        """The server's log."""
        return pathlib.Path(self.socket_dir) / "log"

    @property
    def data_directory(self):
        return pathlib.Path(self.socket_dir).parent / "data"


@pytest.fixture(scope="session")
def sandbox():
    missing = [name for name in REQUIRED if name not in os.environ]
    if missing:
        pytest.exit(f"run these tests by `make test`; not set: {', '.join(missing)}", returncode=2)
    env = os.environ
    return Sandbox(
        socket_dir=env["PGHOST"],
        port=int(env["PGPORT"]),
        password=env["PGPASSWORD"],
        bindir=pathlib.Path(env["POND_BINDIR"]),
        major=int(env["POND_PG_MAJOR"]),
        s3_endpoint=env["S3_ENDPOINT"],
        s3_region=env["S3_REGION"],
        extension_dir=pathlib.Path(env["DUCKDB_EXTENSION_DIR"]),
        all=Key(env["S3_KEY_ID"], env["S3_SECRET"]),
        lake_reader=Key(env["S3_LAKE_KEY_ID"], env["S3_LAKE_SECRET"]),
        vault_reader=Key(env["S3_VAULT_KEY_ID"], env["S3_VAULT_SECRET"]),
    )


@pytest.fixture(scope="session")
def cluster(sandbox):
    """Superuser connection to database postgres: makes and drops databases and roles."""
    with psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname="postgres", autocommit=True) as conn:
        yield conn


@pytest.fixture(scope="module", autouse=True)
def no_harm(sandbox):
    """No process of the server crashes during a module, and none leaves a spill folder behind."""
    start = sandbox.log.stat().st_size
    yield
    with open(sandbox.log, errors="replace") as log:
        log.seek(start)
        assert support.crash_lines(log.read()) == []

    def left_behind():
        pids = [(path, path.name.split(".")[1]) for path in support.spill_folders(sandbox.data_directory)]
        return [path.name for path, pid in pids if support.is_gone(pid)]

    assert left_behind() == []


def pytest_terminal_summary(terminalreporter):
    if support.latencies:
        terminalreporter.section("latencies")
        worst = {}
        for what, seconds in support.latencies:
            worst[what] = max(seconds, worst.get(what, 0))
        for what, seconds in sorted(worst.items()):
            terminalreporter.write_line(f"{seconds * 1000:8.0f} ms  {what}")


@pytest.fixture(scope="module")
def database(cluster, sandbox):
    """Name of a fresh database with pg_pond in it, dropped after the module."""
    name = unique("pond_e2e")
    cluster.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name)))
    try:
        with psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname=name, autocommit=True) as conn:
            conn.execute("CREATE EXTENSION pg_pond")
        yield name
    finally:
        cluster.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _connector(sandbox, database):
    opened = []

    def connect(role="postgres", *, autocommit=True, tcp=False, password=None, **options):
        options = {"host": sandbox.socket_dir, "port": sandbox.port, "dbname": database, "user": role, **options}
        if tcp:
            options |= {"host": "127.0.0.1", "password": password or (sandbox.password if role == "postgres" else None)}
        conn = psycopg.connect(autocommit=autocommit, **options)
        opened.append(conn)
        return conn

    return connect, opened


@pytest.fixture
def connect(sandbox, database):
    """connect(role, autocommit=True, tcp=False, **libpq options): connections, closed after the test."""
    connect, opened = _connector(sandbox, database)
    yield connect
    for conn in opened:
        conn.close()


@pytest.fixture(scope="module")
def su(sandbox, database):
    """The module's superuser connection, in autocommit mode."""
    connect, opened = _connector(sandbox, database)
    yield connect()
    for conn in opened:
        conn.close()


def create_server(conn, sandbox, name, location, **options):
    """CREATE SERVER of type s3 for a location in the sandbox's store; names and values quoted."""
    options = {
        "location": location,
        "endpoint": sandbox.s3_endpoint,
        "region": sandbox.s3_region,
        "url_style": "path",
        "use_ssl": "false",
        **options,
    }
    listed = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(k), sql.Literal(v)) for k, v in options.items())
    conn.execute(sql.SQL("CREATE SERVER {} TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS ({})").format(sql.Identifier(name), listed))


def map_user(conn, role, server, key):
    """CREATE USER MAPPING for a role (a name, or `PUBLIC`) with a key, and USAGE on the server."""
    who = sql.SQL("PUBLIC") if role == "PUBLIC" else sql.Identifier(role)
    conn.execute(
        sql.SQL("CREATE USER MAPPING FOR {} SERVER {} OPTIONS (key_id {}, secret {})").format(
            who, sql.Identifier(server), sql.Literal(key.key_id), sql.Literal(key.secret)
        )
    )
    conn.execute(sql.SQL("GRANT USAGE ON FOREIGN SERVER {} TO {}").format(sql.Identifier(server), who))


@pytest.fixture(scope="module")
def servers(su, sandbox):
    """The servers `lake` and `vault`, mapped for the superuser with the key that may do everything."""
    for bucket in ("lake", "vault"):
        create_server(su, sandbox, bucket, f"s3://{bucket}/")
        map_user(su, "postgres", bucket, sandbox.all)


@pytest.fixture
def role(cluster, sandbox, database):
    """role(*attributes): makes a login role with a name of its own; gone after the test.

    The password of a role is its name, for connections over TCP.
    """
    made = []

    def make(*attributes):
        name = unique("pond_role")
        cluster.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} {}").format(
                sql.Identifier(name), sql.Literal(name), sql.SQL(" ".join(attributes))
            )
        )
        made.append(name)
        return name

    yield make
    with psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname=database, autocommit=True) as conn:
        for name in reversed(made):
            conn.execute(sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {}").format(sql.Literal(name)))
            # User mappings are dropped with the role's other objects only where the role owns the server.
            for (server,) in conn.execute("SELECT srvname FROM pg_user_mappings WHERE usename = %s", (name,)).fetchall():
                conn.execute(sql.SQL("DROP USER MAPPING FOR {} SERVER {}").format(sql.Identifier(name), sql.Identifier(server)))
            conn.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
            conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def lake_writer(sandbox):
    """DuckDB itself, outside PostgreSQL, with the key that may write to both buckets: makes test data."""
    import duckdb

    conn = duckdb.connect(config={"extension_directory": str(sandbox.extension_dir)})
    conn.execute("SET autoinstall_known_extensions = false")
    conn.execute("LOAD httpfs")
    conn.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{sandbox.all.key_id}', SECRET '{sandbox.all.secret}', "
        f"ENDPOINT '{sandbox.s3_endpoint}', REGION '{sandbox.s3_region}', URL_STYLE 'path', USE_SSL false)"
    )
    yield conn
    conn.close()


@pytest.fixture(scope="module")
def lakes(sandbox, cluster, su):
    """lakes.make(name, …): lakes of the module, whose catalogs lie in a database of their own."""
    from lakes import Lakes

    with Lakes(sandbox, cluster, su) as made:
        yield made
