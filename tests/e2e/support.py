"""What the suites share: waiting, statements that run in the background, a stalling and recording
proxy before the object store, private clusters."""

import contextlib
import datetime
import os
import pathlib
import re
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import psycopg

# Latencies are asserted against this; the real ones are a few milliseconds. It is generous because a
# busy machine shall not fail a test that is about a query which would otherwise run for minutes.
PROMPT_S = 3.0

latencies = []


def note_latency(what, seconds):
    """Remembers a measured latency for the report at the end of the run."""
    latencies.append((what, seconds))


def eventually(condition, timeout=10.0, interval=0.02):
    """Polls `condition` until it is true, and returns what it returned; fails after `timeout`."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout} s: {condition}"
        time.sleep(interval)


class Background:
    """A statement that runs in a thread, on a connection that nobody else uses meanwhile.

    It is a call of `run` if given, with the connection, else `conn.execute(statement)` with all rows
    fetched.
    """

    def __init__(self, conn, statement=None, run=None):
        self.conn = conn
        self.pid = conn.info.backend_pid
        self.rows = None
        self.error = None
        self.ended = None
        self._work = run or (lambda conn: self._fetch(conn.execute(statement)))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @staticmethod
    def _fetch(cursor):
        return cursor.fetchall() if cursor.description else None

    def _run(self):
        try:
            self.rows = self._work(self.conn)
        except Exception as error:
            self.error = error
        self.ended = time.monotonic()

    def is_running(self):
        return self._thread.is_alive()

    def join(self, timeout=10.0):
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"the statement still runs after {timeout} s"

    def result(self, timeout=30.0):
        self.join(timeout)
        if self.error:
            raise self.error
        return self.rows


def activity(conn, pid):
    """(state, wait_event) of a backend; None when it is gone."""
    return conn.execute("SELECT state, wait_event FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()


def is_gone(pid):
    """Whether the process is gone; one that is dead and not yet reaped counts as gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def sqlstate_of(conn, statement, parameters=None):
    """The SQLSTATE with which a statement fails; None when it does not."""
    try:
        conn.execute(statement, parameters)
    except psycopg.Error as error:
        return error.sqlstate
    return None


def failure(conn, statement, parameters=None):
    """The error with which a statement fails."""
    try:
        conn.execute(statement, parameters)
    except psycopg.Error as error:
        return error
    raise AssertionError(f"did not fail: {statement}")


def words(error):
    """All that a client is told of an error."""
    diag = error.diag
    parts = (str(error), diag.message_primary, diag.message_detail, diag.message_hint, diag.context, diag.statement_position)
    return "\n".join(str(part) for part in parts if part)


def cut_off(conn):
    """Cuts a connection's socket off, as the death of the client would."""
    copy = socket.socket(fileno=os.dup(conn.pgconn.socket))
    with contextlib.suppress(OSError):
        copy.shutdown(socket.SHUT_RDWR)
    copy.close()


def resident_kb(pid):
    """VmRSS, RssAnon and VmHWM of a process."""
    found = dict(re.findall(r"^(VmRSS|RssAnon|VmHWM):\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M))
    return {name: int(value) for name, value in found.items()}


class BlackHole:
    """A server on loopback that accepts and never answers."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self.accepted = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.accepted.append(self._listener.accept()[0])

    def close(self):
        self._listener.close()
        for conn in self.accepted:
            conn.close()


class Proxy:
    """A TCP proxy before the object store, with or without TLS towards its clients.

    `requests` lists the request lines, `keys` the key ids by which requests were signed. While
    `stall` is set nothing is forwarded in either direction.
    """

    def __init__(self, upstream, tls=None):
        host, port = upstream.rsplit(":", 1)
        self._upstream = (host, int(port))
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.requests = []
        self.keys = []
        self.stall = threading.Event()
        self.stalled = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def forget(self):
        self.requests.clear()
        self.keys.clear()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError):
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            with client, socket.create_connection(self._upstream) as server:
                self._pump(client, server)

    def _pump(self, client, server):
        while True:
            pending = client.pending() if isinstance(client, ssl.SSLSocket) else 0
            ready = [client] if pending else select.select([client, server], [], [], 60)[0]
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                if source is client:
                    self._note(data)
                while self.stall.is_set():
                    self.stalled.set()
                    time.sleep(0.02)
                (server if source is client else client).sendall(data)

    def _note(self, data):
        line = data.split(b"\r\n", 1)[0]
        if re.match(rb"(GET|HEAD|PUT|POST|DELETE) ", line):
            self.requests.append(line.decode("latin-1"))
            self.keys.extend(key.decode() for key in re.findall(rb"Credential=([^/]+)/", data))

    def close(self):
        self.stall.clear()
        self._listener.close()


def make_certificates(directory):
    """A certificate authority and a server certificate for loopback; returns their paths
    (authority, certificate, key)."""
    authority, authority_key = directory / "ca.pem", directory / "ca.key"
    certificate, key = directory / "server.pem", directory / "server.key"
    request, extensions = directory / "server.csr", directory / "server.ext"
    extensions.write_text("subjectAltName = IP:127.0.0.1, DNS:localhost\n")
    openssl = lambda *arguments: subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pond test authority",
            "-keyout", authority_key, "-out", authority)
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial",
            "-days", "2", "-extfile", extensions, "-out", certificate)
    authority.chmod(0o644)
    return authority, certificate, key


@contextlib.contextmanager
def open_directory():
    """A directory that the server's user can reach, unlike pytest's own."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="pond-e2e-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Cluster:
    """A PostgreSQL cluster of a test's own, made with the sandbox's programs, run by its user."""

    SETTINGS = {
        "listen_addresses": "",
        "shared_buffers": "32MB",
        "max_connections": "30",
        "fsync": "off",
        "autovacuum": "off",
        "jit": "off",
        "log_min_messages": "warning",
        "timezone": "Etc/UTC",
    }

    def __init__(self, sandbox, directory):
        self.sandbox = sandbox
        self.directory = directory
        self.data = directory / "data"
        self.environment = {}
        self.log = directory / "log"
        owner = sandbox.data_directory.stat()
        self._owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.getuid() == 0 else {}
        if self._owner:
            os.chown(directory, owner.st_uid, owner.st_gid)
        directory.chmod(0o755)

    def program(self, name, *arguments, check=True, **options):
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.directory)}
        command = [str(self.sandbox.bindir / name), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.directory, env=env, **self._owner, **options)
        assert not check or done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done

    def initialise(self):
        self.program("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        return self

    def configure(self, **settings):
        lines = {**self.SETTINGS, "unix_socket_directories": str(self.directory), **settings}
        with open(self.data / "postgresql.auto.conf", "a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())
        return self

    def start(self):
        try:
            # Not through a pipe: the server would keep it open.
            with open(self.directory / "pg_ctl.out", "w") as out:
                command = [str(self.sandbox.bindir / "pg_ctl"), "-D", str(self.data), "-l", str(self.log), "-w", "-t", "60", "start"]
                env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **self.environment}
                subprocess.run(command, stdout=out, stderr=out, check=True, cwd=self.directory, env=env, **self._owner)
        except subprocess.CalledProcessError:
            raise AssertionError(self.log.read_text()[-3000:]) from None
        return self

    def stop(self, mode="fast"):
        if (self.data / "postmaster.pid").exists():
            self.program("pg_ctl", "-D", self.data, "-m", mode, "-w", "-t", "30", "stop", check=False)

    def connect(self, user="postgres", dbname="postgres", **options):
        return psycopg.connect(host=str(self.directory), port=5432, user=user, dbname=dbname, autocommit=True, **options)

    def is_ready(self):
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


@contextlib.contextmanager
def private_cluster(sandbox, *, initialise=True, **settings):
    """A running cluster with these settings, with pg_pond in database postgres; gone afterwards."""
    with open_directory() as directory:
        cluster = Cluster(sandbox, directory)
        if initialise:
            cluster.initialise().configure(**settings)
        try:
            if initialise:
                cluster.start()
                with cluster.connect() as conn:
                    conn.execute("CREATE EXTENSION pg_pond")
            yield cluster
        finally:
            cluster.stop("immediate")


CRASH_WORDS = re.compile(
    r"terminated by signal|PANIC:|terminated by exception|because of crash|stack smashing|double free|"
    r"terminate called|panicked at|corrupted|AddressSanitizer|server process .* exited with exit code 2|TRAP:"
)


def crash_lines(text):
    return [line for line in text.splitlines() if CRASH_WORDS.search(line)]


def spill_folders(data_directory):
    """The folders below base/pgsql_tmp in which instances spill."""
    parent = data_directory / "base/pgsql_tmp"
    return sorted(path for path in parent.glob("pgsql_tmp_duckdb*")) if parent.exists() else []


def now():
    return datetime.datetime.now().isoformat(timespec="milliseconds")
