"""What goes wrong with files and stores: each fault its own SQLSTATE, in good time, the session usable."""

import contextlib
import http.server
import socket
import ssl
import threading
import time

import pytest

from conftest import Key, create_server, map_user
from support import BlackHole, Proxy, failure, make_certificates, note_latency, open_directory, words


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def read(path):
    return f"SELECT * FROM duckdb.query({quoted(f'FROM {quoted(path)}')})"


def assert_usable(conn):
    assert conn.execute("SELECT * FROM duckdb.query('SELECT 40 + 2 AS a')").fetchall() == [(42,)]


class ErringServer:
    """An HTTP server that answers every request with one status and body."""

    def __init__(self, status, body=b"", headers=()):
        self.requests = requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                requests.append(f"{self.command} {self.path}")
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    with contextlib.suppress(OSError):
                        self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def files(lake_writer, sandbox):
    """Good and damaged files under s3://lake/faults/."""
    lake_writer.execute("COPY (SELECT i, hash(i)::VARCHAR AS x FROM range(200000) t(i)) TO 's3://lake/faults/good.parquet' (ROW_GROUP_SIZE 20000)")
    data = lake_writer.execute("SELECT content FROM read_blob('s3://lake/faults/good.parquet')").fetchone()[0]

    def put(name, content):
        with Put(sandbox, f"faults/{name}") as target:
            target.write(content)

    # The footer's length stands before the last four bytes.
    footer_start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    middle = bytearray(data)
    middle[4:footer_start] = bytes((byte ^ 0xA5) for byte in middle[4:footer_start])
    put("truncated.parquet", data[: len(data) // 2])
    put("tiny.parquet", b"PAR1")
    put("empty.parquet", b"")
    put("text.parquet", b"this is no parquet file at all, but long enough to be one\n" * 10)
    put("pages.parquet", bytes(middle))
    footer = bytearray(data)
    footer[footer_start : footer_start + 300] = bytes(300)
    put("footer.parquet", bytes(footer))
    put("bad.csv", b"a,b\n1,2\n3,x\n4,5,6,7\n\"open")
    put("bad.json", b'{"a": 1}\n{"a": \n')
    return put


class Put:
    """Writes bytes as an object, through DuckDB, whose COPY of a BLOB is byte for byte."""

    def __init__(self, sandbox, path):
        self.sandbox, self.path, self.content = sandbox, path, b""

    def __enter__(self):
        return self

    def write(self, content):
        self.content += content

    def __exit__(self, *_):
        import hashlib
        import hmac
        import urllib.request

        day, stamp = time.strftime("%Y%m%d", time.gmtime()), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        sha = hashlib.sha256(self.content).hexdigest()
        headers = {"host": self.sandbox.s3_endpoint, "x-amz-content-sha256": sha, "x-amz-date": stamp}
        signed = ";".join(headers)
        canonical = "\n".join(["PUT", f"/lake/{self.path}", "", *(f"{k}:{v}" for k, v in headers.items()), "", signed, sha])
        scope = f"{day}/{self.sandbox.s3_region}/s3/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = b"AWS4" + self.sandbox.all.secret.encode()
        for part in (day, self.sandbox.s3_region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={self.sandbox.all.key_id}/{scope}, SignedHeaders={signed}, Signature={signature}"
        request = urllib.request.Request(f"http://{self.sandbox.s3_endpoint}/lake/{self.path}", data=self.content, method="PUT", headers=headers)
        urllib.request.urlopen(request).read()


@pytest.fixture(scope="module")
def lake(su, sandbox, files):
    create_server(su, sandbox, "lake", "s3://lake/")
    map_user(su, "postgres", "lake", sandbox.all)


@pytest.fixture(autouse=True)
def all_there(lake):
    pass


CASES = {
    "faults/nosuch.parquet": "58P01",
    "faults/nosuch/*.parquet": "58P01",
    "faults/nosuch.csv": "58P01",
    "faults/truncated.parquet": "XX001",
    "faults/tiny.parquet": "XX001",
    "faults/empty.parquet": "XX001",
    "faults/text.parquet": "XX001",
    "faults/footer.parquet": "XX001",
    "faults/bad.json": "22P02",
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_is_missing_or_damaged(name, connect):
    conn = connect()
    error = failure(conn, read(f"s3://lake/{name}"))
    assert error.sqlstate == CASES[name], words(error)
    # PostgreSQL's words first; which file it was stands in DuckDB's.
    assert error.diag.message_primary[0].islower() and not error.diag.message_primary.endswith(".")
    # DuckDB does not say which file it was when its Thrift reader gives up.
    assert name.split("/")[1] in words(error) or "TProtocolException" in words(error)
    assert_usable(conn)


def test_a_file_whose_pages_are_damaged_fails_while_it_is_read(connect):
    conn = connect()
    # The footer is whole, so the statement can be prepared.
    conn.execute("PREPARE p AS SELECT count(x), sum(i) FROM (" + read("s3://lake/faults/pages.parquet") + ") q")
    error = failure(conn, "EXECUTE p")
    assert error.sqlstate == "XX001", words(error)
    assert_usable(conn)


def test_a_csv_that_breaks_off(connect):
    conn = connect()
    error = failure(conn, "SELECT * FROM duckdb.query($$FROM read_csv('s3://lake/faults/bad.csv', columns = {'a': 'INTEGER', 'b': 'INTEGER'}, header = true, auto_detect = false)$$)")
    assert error.sqlstate in ("22P02", "22P04"), words(error)
    assert "bad.csv" in words(error)
    assert_usable(conn)


def test_a_file_that_shrinks_between_statements(connect, files, lake_writer):
    conn = connect()
    lake_writer.execute("COPY (SELECT i AS a FROM range(1000) t(i)) TO 's3://lake/faults/drift.parquet'")
    conn.execute("CREATE TEMP VIEW drifting AS " + read("s3://lake/faults/drift.parquet"))
    conn.execute("PREPARE p AS SELECT sum(a) FROM drifting")
    assert conn.execute("EXECUTE p").fetchone() == (499500,)
    lake_writer.execute("COPY (SELECT i AS a FROM range(10) t(i)) TO 's3://lake/faults/drift.parquet'")
    assert conn.execute("EXECUTE p").fetchone() == (45,)
    lake_writer.execute("COPY (SELECT 'x' AS a, 2 AS b) TO 's3://lake/faults/drift.parquet'")
    error = failure(conn, "EXECUTE p")
    assert error.sqlstate == "42804", words(error)
    lake_writer.execute("COPY (SELECT 2 AS b) TO 's3://lake/faults/drift.parquet'")
    error = failure(conn, "EXECUTE p")
    assert error.sqlstate == "42703" and "a" in words(error)
    files("drift.parquet", b"")
    assert failure(conn, "EXECUTE p").sqlstate == "XX001"
    assert_usable(conn)


# ---- stores


@pytest.fixture
def server(su, sandbox):
    """server(endpoint, bucket, key): a server of its own for s3://bucket/, gone after the test."""
    made = []

    def make(bucket, key=None, **options):
        name = f"faulty_{len(made)}"
        made.append(name)
        create_server(su, sandbox, name, f"s3://{bucket}/", **options)
        map_user(su, "postgres", name, key or sandbox.all)
        return name

    yield make
    for name in made:
        su.execute(f"DROP SERVER IF EXISTS {name} CASCADE")


@pytest.mark.parametrize("fault", ["a key id that does not exist", "a wrong secret"])
def test_wrong_keys(fault, connect, server, sandbox):
    # The longer location is the one that counts.
    key = Key("GK" + "0" * 24, sandbox.all.secret) if "id" in fault else Key(sandbox.all.key_id, "f" * 64)
    server("lake/faults", key)
    conn = connect()
    error = failure(conn, read("s3://lake/faults/good.parquet"))
    assert error.sqlstate == "28P01", words(error)
    assert key.secret not in words(error)
    assert failure(conn, read("s3://lake/faults/*.parquet")).sqlstate == "28P01"
    assert_usable(conn)


def test_a_key_that_may_not_read_the_bucket(connect, server, sandbox):
    server("vault", sandbox.lake_reader)
    conn = connect()
    for path in ("s3://vault/x.parquet", "s3://vault/*.parquet"):
        error = failure(conn, read(path))
        assert error.sqlstate == "42501", words(error)
        assert "object store" in str(error)
    assert_usable(conn)


def test_no_such_bucket(connect, server):
    server("nosuchbucket")
    conn = connect()
    error = failure(conn, read("s3://nosuchbucket/*.parquet"))
    assert error.sqlstate == "HV00Q", words(error)
    assert "bucket does not exist" in str(error)
    # The answer to a HEAD request says only that there is no such object.
    assert failure(conn, read("s3://nosuchbucket/x.parquet")).sqlstate in ("HV00Q", "58P01")
    assert_usable(conn)


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "127.0.0.1:%d" % listener.getsockname()[1]


@pytest.mark.parametrize("endpoint", ["a closed port", "a name that does not exist"])
def test_a_store_that_cannot_be_reached(endpoint, connect, server):
    server("unreachable", endpoint=closed_port() if "port" in endpoint else "nosuchhost.invalid:80")
    conn = connect()
    conn.execute("SET duckdb.http_retries = 1")
    started = time.monotonic()
    error = failure(conn, read("s3://unreachable/x.parquet"))
    note_latency(f"unreachable: {endpoint}", time.monotonic() - started)
    assert error.sqlstate == "08001", words(error)
    assert time.monotonic() - started < 10
    assert_usable(conn)


def test_a_store_that_does_not_answer_ends_within_the_timeout(connect, server):
    hole = BlackHole()
    server("hole", endpoint=hole.address)
    conn = connect()
    conn.execute("SET duckdb.http_timeout = '1s'")
    conn.execute("SET duckdb.http_retries = 0")
    started = time.monotonic()
    error = failure(conn, read("s3://hole/x.parquet"))
    took = time.monotonic() - started
    note_latency("stalled store with a timeout of 1 s", took)
    assert error.sqlstate == "08006", words(error)
    assert 0.5 < took < 6
    assert_usable(conn)
    hole.close()


def test_a_store_that_breaks_off_while_a_file_is_read(connect, server, sandbox):
    proxy = Proxy(sandbox.s3_endpoint)
    server("lake/faults", endpoint=proxy.address)
    conn = connect()
    conn.execute("SET duckdb.http_timeout = '1s'")
    conn.execute("SET duckdb.http_retries = 0")
    conn.execute("PREPARE p AS SELECT count(x), sum(i) FROM (" + read("s3://lake/faults/good.parquet") + ") q")
    conn.execute("SELECT duckdb.recycle()")
    proxy.stall.set()
    started = time.monotonic()
    error = failure(conn, "EXECUTE p")
    assert error.sqlstate == "08006", words(error)
    assert time.monotonic() - started < 8
    proxy.stall.clear()
    assert conn.execute("EXECUTE p").fetchone() == (200000, 19999900000)
    proxy.close()


@pytest.mark.parametrize("status, sqlstate", [(500, "58030"), (503, "58030"), (429, "58030"), (401, "42501"), (403, "42501"), (404, "58P01"), (301, None)])
def test_http_statuses(status, sqlstate, connect, server):
    store = ErringServer(status, b"<Error><Code>Whatever</Code></Error>", [("Location", "http://127.0.0.1:9/")] if status == 301 else [])
    server("erring", endpoint=store.address)
    conn = connect()
    conn.execute("SET duckdb.http_timeout = '1s'")
    conn.execute("SET duckdb.http_retries = 1")
    error = failure(conn, read("s3://erring/x.parquet"))
    assert sqlstate is None or error.sqlstate == sqlstate, words(error)
    assert error.sqlstate != "XX000", words(error)
    assert_usable(conn)
    store.close()


def test_a_store_that_answers_nonsense(connect, server):
    store = ErringServer(200, b"\0\xff" * 1000)
    server("nonsense", endpoint=store.address)
    conn = connect()
    for path in ("s3://nonsense/x.parquet", "s3://nonsense/*.parquet", "s3://nonsense/x.csv"):
        error = failure(conn, read(path))
        assert error.sqlstate not in ("XX000", None), words(error)
        assert_usable(conn)
    store.close()


# ---- TLS


@pytest.fixture(scope="module")
def tls(sandbox):
    """The store behind TLS, with a certificate of an authority that nobody knows."""
    with open_directory() as directory:
        authority, certificate, key = make_certificates(directory)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        proxy = Proxy(sandbox.s3_endpoint, tls=context)
        proxy.authority = authority
        yield proxy
        proxy.close()


def test_https_with_its_authority(connect, server, tls):
    server("lake/faults", endpoint=tls.address, use_ssl="true", ca_cert_file=str(tls.authority))
    conn = connect()
    tls.forget()
    assert conn.execute("SELECT count(*), sum(i) FROM (" + read("s3://lake/faults/good.parquet") + ") q").fetchone() == (200000, 19999900000)
    assert tls.requests


def test_https_with_an_unknown_authority_is_refused(connect, server, tls):
    server("lake/faults", endpoint=tls.address, use_ssl="true")
    conn = connect()
    conn.execute("SET duckdb.http_retries = 0")
    tls.forget()
    error = failure(conn, read("s3://lake/faults/good.parquet"))
    assert error.sqlstate == "08001", words(error)
    assert "certificate" in words(error).lower() or "ssl" in words(error).lower()
    assert tls.requests == []
    assert_usable(conn)


def test_https_without_verification_where_the_server_says_so(connect, server, tls):
    server("lake/faults", endpoint=tls.address, use_ssl="true", verify_ssl="false")
    assert connect().execute("SELECT count(*) FROM (" + read("s3://lake/faults/good.parquet") + ") q").fetchone() == (200000,)


def test_an_authority_file_that_is_missing_is_a_clear_error(connect, server, tls):
    server("lake/faults", endpoint=tls.address, use_ssl="true", ca_cert_file="/nonexistent/ca.pem")
    conn = connect()
    conn.execute("SET duckdb.http_retries = 0")
    error = failure(conn, read("s3://lake/faults/good.parquet"))
    assert error.sqlstate not in ("XX000", None), words(error)
    assert "CA cert" in words(error)


def test_plain_http_to_a_tls_port(connect, server, tls):
    server("lake/faults", endpoint=tls.address, use_ssl="false")
    conn = connect()
    conn.execute("SET duckdb.http_retries = 0")
    conn.execute("SET duckdb.http_timeout = '2s'")
    error = failure(conn, read("s3://lake/faults/good.parquet"))
    assert error.sqlstate[:2] == "08" or error.sqlstate == "58030", words(error)
    assert_usable(conn)


# ---- inside DuckDB


def test_errors_of_queries_have_their_own_sqlstates(connect):
    conn = connect()
    for text, sqlstate in {
        "SELEC 1": "42601",
        "SELECT 1; SELECT 2": "42601",
        "": "42601",
        "-- nothing": "42601",
        "SELECT nosuch": "42703",
        "FROM nosuch": "42P01",
        "SELECT nosuch(1)": "42883",
        "SELECT 'x'::INTEGER AS a": "22P02",
        "SELECT 300::TINYINT AS a": "22003",
        "SELECT 9223372036854775807 + i AS a FROM range(1, 3) t(i)": "22003",
        "SELECT error('bang') AS a": None,
        "INSERT INTO t VALUES (1)": None,
    }.items():
        error = failure(conn, f"SELECT * FROM duckdb.query({quoted(text)})")
        if sqlstate:
            assert error.sqlstate == sqlstate, (text, words(error))
        assert error.sqlstate != "XX000", (text, words(error))
        assert_usable(conn)


def test_an_error_in_the_middle_of_a_stream(connect):
    conn = connect()
    text = "SELECT CASE WHEN i = 5000000 THEN error('in the middle') ELSE i END AS i FROM range(6000000) t(i)"
    for statement in (f"SELECT * FROM duckdb.query({quoted(text)})", f"CREATE TABLE half AS SELECT * FROM duckdb.query({quoted(text)})"):
        # DuckDB sometimes loses the error that stopped the query; it then says that, never "cancelled".
        for _ in range(5):
            error = failure(conn, statement)
            assert_usable(conn)
            assert error.sqlstate != "57014"
            if "in the middle" in words(error):
                break
        assert "in the middle" in words(error)
    assert conn.execute("SELECT to_regclass('half')").fetchone() == (None,)
