"""Every time zone that PostgreSQL accepts: DuckDB computes in the same one, or says that it cannot."""

import psycopg
import pytest

from support import failure

INSTANTS = ["2026-01-15 12:00:00+00", "2026-07-15 12:00:00+00", "1965-03-04 05:06:07+00", "2026-03-29 00:30:00+00", "2026-03-29 01:30:00+00"]

# What drivers, JVMs and containers send. For these DuckDB has a zone.
SAME = ["UTC", "Europe/Berlin", "UTC+3", "UTC-3", "GMT-02:00", "GMT+5", "UTC-05:30", "localtime", "posix/Asia/Tokyo", "EST5EDT", "<+03>-03"]
SAME += ["<+0530>-05:30", "IST-5:30", "Etc/GMT-5", "UTC0", "utc", "posixrules", "<-11>11", "Zulu", "Factory", "MMT-6:30", "5.5", "-9.5", "-3", "14"]
NONE = ["CET-1CEST,M3.5.0,M10.5.0/3", "UTC+13", "<+0017>-00:17", "EST5EDT,M3.2.0,M11.1.0"]


@pytest.fixture(scope="module")
def files(su, tmp_path_factory):
    import duckdb

    path = tmp_path_factory.mktemp("zones")
    for parent in [path, *path.parents][:3]:
        parent.chmod(0o755)
    su.execute(f"CREATE SERVER zones TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{path}')")
    su.execute("CREATE USER MAPPING FOR PUBLIC SERVER zones")
    listed = ", ".join(f"'{instant}'" for instant in INSTANTS)
    duckdb.sql(f"SELECT unnest([{listed}])::TIMESTAMPTZ AS at").write_parquet(str(path / "at.parquet"))
    su.execute(f"CREATE FOREIGN TABLE at (at timestamptz) SERVER zones OPTIONS (path '{path}/at.parquet')")
    return path


@pytest.fixture
def conn(connect):
    return connect()


def in_zone(conn, zone):
    number = zone.replace(".", "").lstrip("-").isdigit()
    try:
        conn.execute(f"SET TIME ZONE {zone}" if number else f"SET timezone = '{zone}'")
    except psycopg.errors.InvalidParameterValue:
        # Files of the system's zones, which a PostgreSQL with its own does not have.
        if zone not in ("localtime", "posixrules") and not zone.startswith("posix/"):
            raise
        pytest.skip(f"this PostgreSQL has no zone {zone}")


@pytest.mark.parametrize("zone", SAME)
def test_duckdb_computes_in_the_zone(conn, files, zone):
    in_zone(conn, zone)
    for instant in INSTANTS:
        local, back = f"timestamptz '{instant}'", f"timestamp '{instant[:19]}'"
        own = conn.execute(f"SELECT ({local})::timestamp, ({local})::date, ({back})::timestamptz").fetchone()
        theirs = f"SELECT * FROM duckdb.query($$ SELECT CAST({local} AS TIMESTAMP) AS a, CAST({local} AS DATE) AS b, CAST({back} AS TIMESTAMPTZ) AS c $$) q"
        assert conn.execute(theirs).fetchone() == own, instant


@pytest.mark.parametrize("zone", SAME + NONE)
def test_tables_are_read_in_every_zone(conn, files, zone):
    in_zone(conn, zone)
    assert conn.execute("SELECT count(*) FROM at").fetchone() == (len(INSTANTS),)
    listed = ", ".join(f"'{instant}'" for instant in INSTANTS)
    expected = f"SELECT at::timestamp, at::date, at::text FROM unnest(ARRAY[{listed}]::timestamptz[]) AS t(at) WHERE at::date > '1970-01-01' ORDER BY 1"
    assert conn.execute("SELECT at::timestamp, at::date, at::text FROM at WHERE at::date > '1970-01-01' ORDER BY 1").fetchall() == conn.execute(expected).fetchall()
    assert conn.execute("SELECT count(*) FROM at WHERE at >= '2026-07-14 00:00'").fetchone() == (1,)


@pytest.mark.parametrize("zone", NONE)
def test_query_in_a_zone_that_duckdb_lacks_is_refused(conn, zone):
    in_zone(conn, zone)
    error = failure(conn, "SELECT * FROM duckdb.query('SELECT 1 AS a') q")
    assert error.sqlstate == "22023"
    assert "no time zone like PostgreSQL's" in str(error)
    conn.execute("SET timezone = 'Europe/Berlin'")
    assert conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a') q").fetchone() == (1,)


def test_every_zone_of_postgresql_is_one_of_duckdb(conn):
    names = [name for (name,) in conn.execute("SELECT name FROM pg_timezone_names ORDER BY name").fetchall() if not name.startswith("posix/")]
    assert len(names) > 300
    lacking = []
    for name in names:
        conn.execute(f"SET timezone = '{name}'")
        try:
            conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a') q")
        except Exception as error:
            lacking.append((name, str(error)))
    assert lacking == []
