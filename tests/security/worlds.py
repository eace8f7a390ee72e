"""Owns: the world in which the probes happen: who may do what, where the canaries are, and how one sees
that nothing reached them.

| Role | May |
|---|---|
| querier | EXECUTE on duckdb.query, query_rows and describe; USAGE on the servers open and folder |
| reader | SELECT on the foreign table people, and on two columns of papers |
| viewer | SELECT on the view few |
| parquet | EXECUTE on duckdb.read_parquet alone, USAGE on open |
| executor | as querier; EXECUTE on duckdb.execute; USAGE on the writable servers outbox and outfolder, and on the lake |
| inserter | SELECT and INSERT on the lake's foreign table orders |
| maker | USAGE on the wrapper, a schema of its own |
| stranger | nothing but CONNECT |
| chief | everything, as a superuser, but has no keys of its own |
| postgres | everything, and has keys for the other bucket |

Those who write objects are `world.writer` (DuckDB outside PostgreSQL), holders of the catalog's password
`world.catalog`, and an application's end users the texts of `reader`'s parameters.
"""

import contextlib
import hashlib
import http.server
import os
import re
import secrets
import threading
import time

import duckdb
import psycopg
from psycopg import sql

from e2e_conftest import create_server, map_user, unique
from support import Proxy, crash_lines, eventually, open_directory, words

FUNCTIONS = {
    "query": 'duckdb.query(duckdb.sql), duckdb.query(duckdb.sql, "any"), duckdb.query_rows(text), duckdb.query_rows(text, "any"), duckdb.describe(text)',
    "readers": "duckdb.read_parquet, duckdb.read_csv, duckdb.read_json, duckdb.read_text, duckdb.read_blob, duckdb.iceberg_scan, duckdb.delta_scan",
    "execute": 'duckdb.execute(text), duckdb.execute(text, "any")',
}
DENIED = ("42501",)
ROLES = ("querier", "reader", "viewer", "parquet", "executor", "inserter", "maker", "stranger", "chief")
XX = re.compile(r"(?:ERROR|FATAL|PANIC|WARNING):  XX\w{3}: .*")
# Damaged files may be XX001, "a file is not what its format says".
DAMAGED = "XX001"


def literal(text):
    """A string constant of PostgreSQL's or DuckDB's with any characters but NUL."""
    return "'" + str(text).replace("'", "''") + "'"


def identifier(name):
    return '"' + str(name).replace('"', '""') + '"'


def query(text):
    return f"SELECT * FROM duckdb.query({literal(text)}) q"


def rows_query(text, columns="a text"):
    return f"SELECT * FROM duckdb.query_rows({literal(text)}) AS t({columns})"


def execute(text):
    return f"SELECT duckdb.execute({literal(text)})"


class Listener:
    """An HTTP server on loopback that must not be asked for anything."""

    def __init__(self):
        self.hits = hits = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                hits.append(f"{self.command} {self.path}")
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Outcome:
    """What one statement came to: rows or an error, and all that the client was told."""

    def __init__(self, rows=None, error=None, notices=()):
        self.rows, self.error = rows, error
        self.state = getattr(error, "sqlstate", None) if error else None
        self.lost = isinstance(error, psycopg.OperationalError) and self.state is None
        parts = [repr(rows)] if error is None else [words(error)]
        self.told = "\n".join([*parts, *notices])

    def __repr__(self):
        return f"<{'lost' if self.lost else self.state or 'rows'}: {self.told[:600]}>"


class Session:
    """A role's session, opened anew when it was lost."""

    def __init__(self, world, role, **options):
        self.world, self.role, self.options = world, role, options
        self._conn, self.notices = None, []

    @property
    def conn(self):
        if self._conn is None or self._conn.closed or self._conn.broken:
            self._conn = self.world.connect(self.role, **self.options)
            self._conn.add_notice_handler(self._notice)
        return self._conn

    def _notice(self, notice):
        self.notices.append(f"{notice.severity}: {notice.message_primary} {notice.message_detail or ''} {notice.message_hint or ''}")

    def fresh(self):
        """The same, in a new session of the server's."""
        self.close()
        return self

    def run(self, statement, parameters=None, **options):
        """Runs one statement; what comes is searched for canaries, whatever it is."""
        outcome = self.run_unchecked(statement, parameters, **options)
        self.world.note(self.role, statement, outcome)
        return outcome

    def run_unchecked(self, statement, parameters=None, **options):
        outcome = self._run(statement, parameters, **options)
        if outcome.lost and "crash of another server process" in outcome.told:
            # Another session's crash, which is that one's finding.
            outcome = self._run(statement, parameters, **options)
        return outcome

    def _run(self, statement, parameters=None, **options):
        conn, self.notices = self.conn, []
        try:
            cursor = conn.execute(statement, parameters, **options)
            outcome = Outcome(cursor.fetchall() if cursor.description else [], None, self.notices)
        except psycopg.Error as error:
            outcome = Outcome(None, error, self.notices)
            if conn.closed or conn.broken:
                outcome.lost = True
                self._conn = None
        return outcome

    def refused(self, statement, *states, parameters=None):
        """The statement is refused, with one of these SQLSTATEs."""
        outcome = self.run(statement, parameters)
        assert outcome.error is not None, f"went through: {statement}\n{outcome}"
        assert not outcome.lost, f"the session was lost: {statement}\n{outcome}"
        assert outcome.state in (states or DENIED), f"{statement}\n{outcome}"
        return outcome

    def rows(self, statement, parameters=None, **options):
        outcome = self.run(statement, parameters, **options)
        assert outcome.error is None, f"{statement}\n{outcome}"
        return outcome.rows

    def close(self):
        if self._conn is not None:
            self._conn.close()
            self._conn = None


class Lake:
    """A lake with a catalog schema of its own in the catalogs' database; everybody has a mapping."""

    def __init__(self, world, number, inlining=None):
        self.world, self.name, self.schema = world, f"lk{number}", f"cat{number}"
        self.data_path = f"{world.base}lakes/{number}/"
        self.inlining = inlining
        self.client = world.duckdb("ducklake", "postgres_scanner")
        place = f"host=127.0.0.1 port={world.sandbox.port} dbname={world.catalogs} user={world.holder} password={world.password}"
        limit = "" if inlining is None else f", DATA_INLINING_ROW_LIMIT {inlining}"
        self.client.execute(f"ATTACH 'ducklake:postgres:{place}' AS {self.name} (DATA_PATH '{self.data_path}', METADATA_SCHEMA '{self.schema}'{limit})")
        self.client.execute(f"USE {self.name}")

    def serve(self, **options):
        """Its server, with mappings for PUBLIC and USAGE for executor and querier."""
        world = self.world
        options = {
            "host": "127.0.0.1", "port": world.sandbox.port, "dbname": world.catalogs, "metadata_schema": self.schema,
            "data_path": self.data_path, "storage": "store", **options,
        }  # fmt: skip
        listed = ", ".join(f"{name} {literal(value)}" for name, value in options.items())
        world.su(f"CREATE SERVER {self.name} TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS ({listed})")
        who = f"OPTIONS (user {literal(world.holder)}, password {literal(world.password)})"
        world.su(f"CREATE USER MAPPING FOR PUBLIC SERVER {self.name} {who}")
        for role in ("executor", "querier"):
            world.su(f"GRANT USAGE ON FOREIGN SERVER {self.name} TO {world.role(role)}")
        return self

    def table(self, name, columns, *grants):
        """A foreign table of the lake's table, in schema public, called <lake>_<name>."""
        made = f"{self.name}_{name}"
        self.world.su(f"CREATE FOREIGN TABLE {made} ({columns}) SERVER {self.name} OPTIONS (table_name {literal(name)})")
        for grant in grants:
            self.world.su(grant.replace("{table}", made))
        return made

    def tamper(self, statement, parameters=None):
        """A change of the catalog by the holder of its password."""
        with self.world.catalog() as conn:
            conn.execute(f"SET search_path = {self.schema}")
            return conn.execute(statement, parameters)

    def fetch(self, statement, parameters=None):
        with self.world.catalog() as conn:
            conn.execute(f"SET search_path = {self.schema}")
            return conn.execute(statement, parameters).fetchall()

    def files(self):
        """(name below data_path, bytes) of all its files, read once."""
        if not hasattr(self, "_files"):
            found = self.world.writer.execute(f"SELECT filename, content FROM read_blob('{self.data_path}**')").fetchall()
            self._files = [(name.removeprefix(self.data_path), content) for name, content in found]
        return self._files

    def close(self):
        if self.client is not None:
            self.client.close()
        self.world.su(f"DROP SERVER IF EXISTS {self.name} CASCADE")


class Copy(Lake):
    """A copy of a lake, whose catalog and files PostgreSQL and the store copy: much faster than to make one."""

    def __init__(self, world, number, original):
        self.world, self.name, self.schema, self.client = world, f"lk{number}", f"cat{number}", None
        self.data_path, self.inlining = f"{world.base}lakes/{number}/", original.inlining
        with world.catalog() as conn:
            conn.execute(f"CREATE SCHEMA {self.schema}")
            tables = [name for (name,) in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (original.schema,))]
            conn.execute(";".join(f"CREATE TABLE {self.schema}.{name} (LIKE {original.schema}.{name} INCLUDING ALL); INSERT INTO {self.schema}.{name} SELECT * FROM {original.schema}.{name}" for name in tables))
            conn.execute(f"UPDATE {self.schema}.ducklake_metadata SET value = %s WHERE key = 'data_path'", (self.data_path,))
        for name, content in original.files():
            world.put_blob(self.data_path + name, content)

    def drop(self):
        """Of its catalog, what the world itself would keep for longer."""
        self.close()
        with self.world.catalog() as conn:
            conn.execute(f"DROP SCHEMA {self.schema} CASCADE")


class World:
    def __init__(self, sandbox, cluster, writer):
        self.sandbox, self.cluster, self.writer = sandbox, cluster, writer
        self.database, self.catalogs, self.holder = unique("pond_security"), unique("pond_catalogs"), unique("pond_holder")
        self.base = f"s3://lake/security/{self.database}/"
        self.undo = contextlib.ExitStack()
        self._lakes, self._sessions = 0, {}
        # Nobody writes these words; whoever sees one has read what it may not.
        token = secrets.token_hex(6)
        self.file_canary, self.row_canary = f"canaryfile{token}", f"canaryrow{token}"
        self.object_canary, self.column_canary = f"canaryobject{token}", f"canarycolumn{token}"
        self.password = f"catpass{secrets.token_hex(8)}"
        self.forbidden = {
            self.file_canary: "a file of the server", self.row_canary: "a row of another table", self.object_canary: "another object",
            self.column_canary: "a column that was not granted", self.password: "the catalog's password",
            sandbox.all.secret: "a secret key", sandbox.lake_reader.secret: "a secret key", sandbox.vault_reader.secret: "a secret key",
            "root:x:0:": "/etc/passwd", "SCRAM-SHA-256$": "pg_authid",
        }  # fmt: skip
        self._outcomes = []

    # ---- making it

    def __enter__(self):
        try:
            self._make()
        except BaseException:
            self.undo.close()
            raise
        return self

    def __exit__(self, *_):
        self.undo.close()

    def _make(self):
        self.listener = Listener()
        self.undo.callback(self.listener.close)
        self.store = Proxy(self.sandbox.s3_endpoint)
        self.undo.callback(self.store.close)
        self.directory = self.undo.enter_context(open_directory())
        self._databases()
        self._roles()
        self._files()
        self._objects()
        self._servers()
        self._tables()
        self.orders = self.lake()
        self.orders.client.execute("CREATE TABLE orders (id BIGINT, shop VARCHAR, note VARCHAR)")
        self.orders.client.execute("INSERT INTO orders SELECT i, 'shop' || i % 3, 'note' FROM range(50) t(i)")
        self.orders.client.execute(f"CREATE TABLE hidden AS SELECT '{self.row_canary}' AS secret, i AS id FROM range(3) t(i)")
        self.orders.serve()
        self.su(f"CREATE FOREIGN TABLE orders (id bigint, shop text, note text) SERVER {self.orders.name}")
        self.su(f"GRANT SELECT, INSERT ON orders TO {self.role('inserter')}")
        self.su(f"GRANT SELECT ON orders TO {self.role('reader')}")
        self.fingerprint = self._fingerprint()

    def _databases(self):
        make = self.cluster.execute
        make(f"CREATE ROLE {self.holder} LOGIN PASSWORD {literal(self.password)}")
        self.undo.callback(self._patient, f"DROP ROLE {self.holder}")
        make(f"CREATE DATABASE {self.catalogs} OWNER {self.holder} TEMPLATE template0 ENCODING 'UTF8'")
        self.undo.callback(self._patient, f"DROP DATABASE {self.catalogs} WITH (FORCE)")
        make(f"CREATE DATABASE {self.database} TEMPLATE template0 ENCODING 'UTF8'")
        # With the SQLSTATE in the log, internal errors are seen there whoever met them.
        make(f"ALTER DATABASE {self.database} SET log_error_verbosity = verbose")
        make(f"ALTER DATABASE {self.database} SET statement_timeout = '60s'")
        self.undo.callback(self._drop_database)
        self.su("CREATE EXTENSION pg_pond")
        # DuckDB repeats requests for what is not there, and waits in between.
        self.su(f"ALTER DATABASE {self.database} SET duckdb.http_retries = 1")

    def _drop_database(self):
        for session in self._sessions.values():
            session.close()
        execute = self._patient
        execute(f"DROP DATABASE {self.database} WITH (FORCE)")
        for name in self.roles.values():
            execute(f"DROP ROLE IF EXISTS {name}")

    def _patient(self, statement):
        """A statement to the cluster, which may be starting again."""
        if self.cluster.closed or self.cluster.broken:
            with eventually(lambda: self._try_connect(dbname="postgres"), timeout=30) as conn:
                conn.execute(statement)
        else:
            try:
                self.cluster.execute(statement)
            except psycopg.OperationalError:
                with eventually(lambda: self._try_connect(dbname="postgres"), timeout=30) as conn:
                    conn.execute(statement)

    def _roles(self):
        self.roles = {}
        for name in ROLES:
            self.roles[name] = unique(f"sec_{name}")
            self.cluster.execute(f"CREATE ROLE {self.roles[name]} LOGIN {'SUPERUSER' if name == 'chief' else ''}")

    def role(self, name):
        return "postgres" if name == "postgres" else self.roles[name]

    def _files(self):
        (self.directory / "secret").mkdir()
        (self.directory / "folder" / "inner").mkdir(parents=True)
        secret, folder = self.directory / "secret", self.directory / "folder"
        line = f"a,b\n{self.file_canary},1\n"
        for name in ("canary.csv", "canary.txt", "canary.db"):
            (secret / name).write_text(line)
        (secret / "canary.json").write_text('{"a": "%s", "b": 1}\n' % self.file_canary)
        self.writer.execute(f"COPY (SELECT '{self.file_canary}' AS a, 1 AS b) TO '{secret}/canary.parquet'")
        with duckdb.connect(str(secret / "canary.duckdb")) as made:
            made.execute(f"CREATE TABLE t AS SELECT '{self.file_canary}' AS a")
        (folder / "good.csv").write_text("a,b\nplain,1\n")
        (folder / "inner" / "good.csv").write_text("a,b\ninner,1\n")
        (folder / "link.csv").symlink_to(secret / "canary.csv")
        (folder / "linked").symlink_to(secret)
        (folder / "passwd.csv").symlink_to("/etc/passwd")
        (self.directory / "outfolder").mkdir()
        (self.directory / "outfolder" / "linked").symlink_to(secret)
        for path in [self.directory, *self.directory.rglob("*")]:
            if path.is_symlink():
                continue
            path.chmod(0o755 if path.is_dir() else 0o644)
        owner = self.sandbox.data_directory.stat()
        if os.getuid() == 0:
            for path in (self.directory, secret, self.directory / "outfolder"):
                os.chown(path, owner.st_uid, owner.st_gid)

    def _objects(self):
        put = self.writer.execute
        plain = "SELECT i::BIGINT AS i, 'name' || i AS name, ['Basel', 'Lyon', 'Porto'][i % 3 + 1] AS shop, i / 4 AS f FROM range(20) t(i)"
        put(f"COPY ({plain}) TO '{self.base}open/people.parquet'")
        put(f"COPY (SELECT i, name FROM ({plain})) TO '{self.base}open/people.csv'")
        put(f"COPY (SELECT i, name FROM ({plain})) TO '{self.base}open/people.json'")
        put(f"COPY (SELECT i, '{self.column_canary}' || i AS secret, 'x' || i AS name, i % 2 AS part FROM range(10) t(i)) TO '{self.base}papers/papers.parquet'")
        put(f"COPY (SELECT i, '{self.column_canary}' || i AS secret, 'x' || i AS name FROM range(10) t(i)) TO '{self.base}papers/papers.csv'")
        for place in (f"{self.base}other/", f"s3://vault/security/{self.database}/"):
            for kind in ("parquet", "csv", "json"):
                put(f"COPY (SELECT '{self.object_canary}' AS a, 1 AS b) TO '{place}canary.{kind}'")
        self.vault = f"s3://vault/security/{self.database}/"

    def _servers(self):
        self.connection = self.superuser()
        su, conn = self.su, self.connection
        for name, place, more in (
            ("open", "open/", {}), ("outbox", "out/", {"writable": "true"}), ("papers", "papers/", {}), ("store", "lakes/", {"writable": "true"}),
        ):  # fmt: skip
            create_server(conn, self.sandbox, name, self.base + place, endpoint=self.store.address, **more)
            su(f"CREATE USER MAPPING FOR PUBLIC SERVER {name} OPTIONS (key_id '{self.sandbox.all.key_id}', secret '{self.sandbox.all.secret}')")
        # The superuser alone has keys for the other bucket.
        create_server(conn, self.sandbox, "vault", self.vault, endpoint=self.store.address)
        map_user(conn, "postgres", "vault", self.sandbox.all)
        for name, more in (("folder", ""), ("outfolder", ", writable 'true'")):
            su(f"CREATE SERVER {name} TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{self.directory}/{name}/'{more})")
            su(f"CREATE USER MAPPING FOR PUBLIC SERVER {name}")
        grants = {
            "querier": ("query", "readers"), "executor": ("query", "readers", "execute"),
        }  # fmt: skip
        for role, kinds in grants.items():
            for kind in kinds:
                su(f"GRANT EXECUTE ON FUNCTION {FUNCTIONS[kind]} TO {self.role(role)}")
            su(f"GRANT USAGE ON FOREIGN SERVER open, folder TO {self.role(role)}")
        su(f"GRANT USAGE ON FOREIGN SERVER outbox, outfolder TO {self.role('executor')}")
        su(f"GRANT EXECUTE ON FUNCTION duckdb.read_parquet TO {self.role('parquet')}")
        su(f"GRANT USAGE ON FOREIGN SERVER open TO {self.role('parquet')}")
        su(f"GRANT USAGE ON FOREIGN DATA WRAPPER duckdb TO {self.role('maker')}")
        su(f"CREATE SCHEMA maker AUTHORIZATION {self.role('maker')}")
        su(f"GRANT USAGE ON SCHEMA maker TO PUBLIC")

    def _tables(self):
        su = self.su
        su(f"CREATE FOREIGN TABLE people (i bigint, name text, shop text, f double precision) SERVER open OPTIONS (path '{self.base}open/people.parquet')")
        su("CREATE TABLE heap_people AS SELECT i::bigint, 'name' || i AS name, (ARRAY['Basel','Lyon','Porto'])[i % 3 + 1] AS shop, i / 4.0::float8 AS f FROM generate_series(0, 19) i")
        su(f"CREATE FOREIGN TABLE papers (i bigint, secret text, name text, part bigint) SERVER papers OPTIONS (path '{self.base}papers/papers.parquet')")
        su("CREATE VIEW few AS SELECT i, name FROM papers WHERE part = 0")
        su("CREATE TABLE heap_few AS SELECT i::bigint, 'x' || i AS name FROM generate_series(0, 9) i WHERE i % 2 = 0")
        su("CREATE VIEW fenced WITH (security_barrier) AS SELECT i, name, secret FROM papers WHERE i < 3 AND secret < 'b'")
        su("CREATE SCHEMA private")
        su(f"CREATE TABLE private.canary AS SELECT '{self.row_canary}' AS secret, i FROM generate_series(1, 3) i")
        su(f"CREATE FOREIGN TABLE private.vault (a text, b bigint) SERVER vault OPTIONS (path '{self.vault}canary.parquet')")
        su(f"GRANT SELECT ON people, heap_people TO {self.role('reader')}, {self.role('inserter')}, {self.role('querier')}, {self.role('executor')}")
        su(f"GRANT SELECT (i, name) ON papers TO {self.role('reader')}")
        su(f"GRANT SELECT ON few, heap_few TO {self.role('viewer')}, {self.role('reader')}")
        su(f"GRANT SELECT (i, name) ON fenced TO {self.role('viewer')}, {self.role('reader')}")

    # ---- using it

    def _try_connect(self, role="postgres", dbname=None, **options):
        try:
            return psycopg.connect(
                host=self.sandbox.socket_dir, port=self.sandbox.port, dbname=options.pop("dbname", None) or dbname or self.database, user=role, autocommit=True, prepare_threshold=None, **options
            )
        except psycopg.OperationalError as error:
            # Starting again after a crash.
            if "recovery" in str(error) or "starting up" in str(error) or "shutting down" in str(error) or "refused" in str(error) or "terminat" in str(error):
                time.sleep(0.2)
                return None
            raise

    def connect(self, role="postgres", **options):
        return eventually(lambda: self._try_connect(self.role(role), **options), timeout=30)

    def superuser(self):
        return self.connect("postgres")

    def su(self, statement, parameters=None):
        """A statement of the administrator's, on a connection that survives crashes."""
        if getattr(self, "_su", None) is None or self._su.closed or self._su.broken:
            self._su = self.superuser()
        try:
            return self._su.execute(statement, parameters)
        except psycopg.OperationalError:
            if not self._su.closed:
                raise
            self._su = self.superuser()
            return self._su.execute(statement, parameters)

    def session(self, role, **options):
        """The role's session for all probes; `options` make one of its own."""
        key = (role, repr(options))
        if key not in self._sessions:
            self._sessions[key] = Session(self, role, **options)
        return self._sessions[key]

    def new_session(self, role, **options):
        return contextlib.closing(Session(self, role, **options))

    def duckdb(self, *extensions):
        """DuckDB outside PostgreSQL with the key that may write to both buckets."""
        conn = duckdb.connect(config={"extension_directory": str(self.sandbox.extension_dir), "threads": 1})
        conn.execute("SET autoinstall_known_extensions = false")
        for name in ("httpfs", *extensions):
            conn.execute(f"LOAD {name}")
        key = self.sandbox.all
        conn.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{key.key_id}', SECRET '{key.secret}', ENDPOINT '{self.sandbox.s3_endpoint}', "
            f"REGION '{self.sandbox.s3_region}', URL_STYLE 'path', USE_SSL false)"
        )
        return conn

    def lake(self, **options):
        self._lakes += 1
        made = Lake(self, self._lakes, **options)
        return made

    def copy_of(self, lake):
        """A lake with the same tables and files; it lies elsewhere."""
        self._lakes += 1
        return Copy(self, self._lakes, lake)

    def put_blob(self, path, content):
        self.writer.execute(f"COPY (SELECT ?::BLOB) TO '{path}' (FORMAT blob)", (content,))

    @contextlib.contextmanager
    def catalog(self):
        """A holder of the catalog's password at the catalog itself."""
        with psycopg.connect(
            host="127.0.0.1", port=self.sandbox.port, user=self.holder, password=self.password, dbname=self.catalogs, autocommit=True
        ) as conn:
            yield conn

    def filled(self, text):
        """Puts places into a probe's text: {secret}, {folder}, {out}, {http}, {base}, {vault}."""
        for name, value in (
            ("secret", self.directory / "secret"), ("folder", self.directory / "folder"), ("outfolder", self.directory / "outfolder"),
            ("http", self.listener.address), ("base", self.base), ("vault", self.vault), ("dir", self.directory),
        ):  # fmt: skip
            text = text.replace("{" + name + "}", str(value))
        return text

    # ---- watching it

    def _fingerprint(self):
        found = {}
        for path in sorted(self.directory.rglob("*")):
            if "outfolder" in path.parts or "linked" in path.parts or "scratch" in path.parts or path.is_dir():
                continue
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def note(self, role, statement, outcome):
        if role == "postgres":
            return
        for word, what in self.forbidden.items():
            assert word not in outcome.told, f"{role} was shown {what} ({word}) by: {statement}\n{outcome}"

    def begin(self):
        for session in self._sessions.values():
            # What a failed test has left open is not the next one's.
            conn = session._conn
            if conn is not None and not conn.closed and conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                session.run_unchecked("ROLLBACK")
        self.listener.hits.clear()
        self.store.forget()
        self.log_start = self.sandbox.log.stat().st_size

    def log(self):
        with open(self.sandbox.log, errors="replace") as log:
            log.seek(self.log_start)
            return log.read()

    def check(self):
        log = self.log()
        if crash_lines(log):
            for session in self._sessions.values():
                session.close()
        assert crash_lines(log) == [], crash_lines(log)
        internal = [line for line in XX.findall(log) if DAMAGED not in line]
        assert internal == [], internal
        assert self.listener.hits == [], "the listener was asked"
        strange = [line for line in self.store.requests if "/vault/" in line.split(" ")[1]]
        assert strange == [], "the other bucket was asked"
        before, self.fingerprint = self.fingerprint, self._fingerprint()
        changed = {path for path in before.keys() | self.fingerprint.keys() if before.get(path) != self.fingerprint.get(path)}
        assert changed == set(), "files of the server changed"
