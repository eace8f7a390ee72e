"""INSERT, UPDATE, DELETE, COPY and TRUNCATE on foreign tables of a lake, against a heap table with the same rows."""

import psycopg
import pytest

from lakes import execute, fresh_name, query
from support import Background, eventually, failure, activity, sqlstate_of, words

COLUMNS = "id bigint, t text, x numeric(9,2), d date, b boolean"
LAKE_COLUMNS = "id BIGINT, t VARCHAR, x DECIMAL(9,2), d DATE, b BOOLEAN"
# Makes PostgreSQL find the rows: DuckDB has nothing for it.
LOCAL = "pg_backend_pid() > 0"


@pytest.fixture(scope="module")
def lake(lakes):
    return lakes.make("dml", data_inlining_row_limit="10")


@pytest.fixture(scope="module")
def client(lake):
    return lake.client()


class Twins:
    """A foreign table `far` and a heap table `near` of the same rows, and `other` that keeps them, in a schema of their own."""

    def __init__(self, conn, client, name, rows=60):
        self.conn, self.client, self.name = conn, client, name
        client.execute(f"CREATE TABLE dml.{name} ({LAKE_COLUMNS})")
        # Files, rows in the catalog, and deleted ones of both.
        row = "i, 't' || i, i / 4, DATE '2026-01-01' + i::INTEGER, i % 3 = 0"
        for first, last in ((0, rows // 2), (rows // 2, rows - 5), (rows - 5, rows)):
            client.execute(f"INSERT INTO dml.{name} SELECT {row} FROM range({first}, {last}) r(i)")
        client.execute(f"INSERT INTO dml.{name} VALUES (NULL, NULL, NULL, NULL, NULL)")
        client.execute(f"DELETE FROM dml.{name} WHERE id IN (3, {rows - 2})")
        conn.execute(f"CREATE SCHEMA {name}; SET search_path = {name}")
        conn.execute(f"CREATE FOREIGN TABLE far ({COLUMNS}) SERVER dml OPTIONS (table_name '{name}')")
        conn.execute(f"CREATE TABLE near ({COLUMNS}); INSERT INTO near SELECT * FROM far; CREATE TABLE other AS TABLE near")

    def both(self, statement, *, same_rows=True):
        """Runs a statement on TABLE once as near and once as far; the tags, rows and tables are the same."""
        outcome = []
        for table in ("near", "far"):
            cursor = self.conn.execute(statement.replace("TABLE", table))
            rows = sorted(cursor.fetchall(), key=str) if cursor.description else None
            outcome.append((cursor.statusmessage, rows))
        assert outcome[0] == outcome[1]
        if same_rows:
            self.check()
        return outcome[1]

    def check(self):
        order = "ORDER BY id, t, x, d, b"
        rows = self.conn.execute(f"SELECT * FROM far {order}").fetchall()
        assert rows == self.conn.execute(f"SELECT * FROM near {order}").fetchall()
        return rows

    def committed(self):
        """What another client sees is what is here."""
        order = "ORDER BY id, t, x, d, b"
        assert self.client.rows(f"SELECT * FROM dml.{self.name} {order}") == self.check()


@pytest.fixture
def twins(connect, client, request):
    conn = connect()
    made = Twins(conn, client, fresh_name(request))
    yield made
    conn.execute(f"ROLLBACK; SET search_path = public; DROP SCHEMA {made.name} CASCADE")


# ---- each statement, as one statement of DuckDB's and row by row

STATEMENTS = [
    "INSERT INTO TABLE VALUES (100, 'x', 1.25, '2026-02-28', true), (101, NULL, NULL, NULL, NULL)",
    "INSERT INTO TABLE (t, id) VALUES ('only two', 102)",
    "INSERT INTO TABLE DEFAULT VALUES",
    "INSERT INTO TABLE SELECT g, 'g' || g, g / 8.0, '2026-03-01'::date + g, g % 2 = 0 FROM generate_series(200, 260) g",
    "INSERT INTO TABLE SELECT id + 1000, t, x, d, b FROM TABLE",
    "INSERT INTO TABLE SELECT id + 1000, t, x, d, b FROM TABLE WHERE {local}",
    "INSERT INTO TABLE SELECT id + 2000, upper(t), x, d, b FROM other WHERE id < 10",
    "INSERT INTO TABLE SELECT * FROM other WHERE false",
    "INSERT INTO TABLE VALUES (300, E'quote '' and \\\\ back\\nslash', 0.01, '5000-01-01', false) RETURNING id, t, d, x * 2",
    "WITH new AS (INSERT INTO TABLE VALUES (301, 'cte', 1, NULL, NULL) RETURNING id) SELECT id FROM new",
    "UPDATE TABLE SET t = 'changed' WHERE id < 5",
    "UPDATE TABLE SET t = 'changed' WHERE id < 5 AND {local}",
    "UPDATE TABLE SET x = x + 1, t = t || '!', b = NOT b, d = d + 1",
    "UPDATE TABLE SET x = x + 1, t = t || '!', b = NOT b, d = d + 1 WHERE {local}",
    "UPDATE TABLE SET id = id + 1 WHERE id >= 50",
    "UPDATE TABLE SET id = id + 1 WHERE id >= 50 AND {local}",
    "UPDATE TABLE SET t = NULL, x = DEFAULT WHERE id = 56",
    "UPDATE TABLE SET t = 'none' WHERE id = 12345",
    "UPDATE TABLE SET t = 'null' WHERE id IS NULL",
    "UPDATE TABLE SET t = 'null' WHERE id IS NULL AND {local}",
    "UPDATE TABLE SET (t, x) = (SELECT 'sub', max(x) FROM other) WHERE id = 7",
    "UPDATE TABLE SET t = n.t || '+' FROM other n WHERE n.id = TABLE.id + 1 AND TABLE.id < 20",
    "UPDATE TABLE SET t = 'exists' WHERE EXISTS (SELECT FROM other n WHERE n.id = TABLE.id * 2 AND {local})",
    "UPDATE TABLE SET t = 'top' WHERE id = (SELECT max(id) FROM TABLE)",
    "UPDATE TABLE SET x = -1 WHERE id IN (1, 55, 56, 57) RETURNING id, x, t",
    "UPDATE TABLE SET x = -1 WHERE id IN (1, 55, 56, 57) AND {local} RETURNING *",
    "DELETE FROM TABLE WHERE id % 10 = 0",
    "DELETE FROM TABLE WHERE id % 10 = 1 AND {local}",
    "DELETE FROM TABLE WHERE id IS NULL",
    "DELETE FROM TABLE USING other n WHERE n.id = TABLE.id AND n.b",
    "DELETE FROM TABLE WHERE id NOT IN (SELECT id FROM other WHERE id IS NOT NULL AND id > 3)",
    "DELETE FROM TABLE WHERE id IN (2, 30, 57) RETURNING *",
    "DELETE FROM TABLE WHERE id IN (2, 30, 57) AND {local} RETURNING t, id",
    "WITH gone AS (DELETE FROM TABLE WHERE id < 10 RETURNING id) SELECT count(*), sum(id) FROM gone",
    "DELETE FROM TABLE",
    "DELETE FROM TABLE WHERE {local}",
    "TRUNCATE TABLE",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_as_on_a_heap_table(twins, statement):
    statement = statement.format(local=LOCAL)
    # Undone, then done.
    twins.conn.execute("BEGIN")
    twins.both(statement)
    twins.conn.execute("ROLLBACK")
    twins.committed()
    twins.both(statement)
    twins.committed()


def test_a_sequence_in_one_transaction(twins):
    """Every statement in one transaction sees what those before it did, and it is one snapshot."""
    before = twins.client.one("SELECT count(*) FROM ducklake_snapshots('dml')")
    twins.conn.execute("BEGIN")
    for statement in STATEMENTS[:-3]:
        twins.both(statement.format(local=LOCAL))
    twins.conn.execute("COMMIT")
    twins.committed()
    assert twins.client.one("SELECT count(*) FROM ducklake_snapshots('dml')") == before + 1
    # Which rows are which is still certain.
    for number in (1, 7, 55, 101, 230, 1020, 2007):
        twins.both(f"UPDATE TABLE SET t = 'again' WHERE id = {number} AND {LOCAL}")
        twins.both(f"DELETE FROM TABLE WHERE id = {number}")
    twins.committed()


@pytest.mark.parametrize("rows", [5, 500], ids=["inlined", "in files"])
@pytest.mark.parametrize("condition", ["true", LOCAL], ids=["whole", "by row"])
def test_rows_of_the_same_transaction_keep_apart(twins, rows, condition):
    """DuckLake gives rows that are inserted and updated in one transaction the same row ids in every such transaction."""
    for number in range(3):
        first = 10_000 * (number + 1)
        twins.conn.execute("BEGIN")
        twins.both(f"INSERT INTO TABLE SELECT g, 'new', 0, NULL, NULL FROM generate_series({first}, {first + rows - 1}) g")
        twins.both(f"UPDATE TABLE SET t = 'once' WHERE id >= {first} AND {condition}")
        twins.both(f"INSERT INTO TABLE VALUES ({first + 5000}, 'late', 0, NULL, NULL)")
        twins.both(f"UPDATE TABLE SET t = t || ' twice' WHERE id % 2 = 0 AND id >= {first} AND {condition}")
        twins.both(f"DELETE FROM TABLE WHERE id = {first + 1} AND {condition}")
        twins.conn.execute("COMMIT")
        twins.committed()
    for number in range(3):
        assert twins.both(f"UPDATE TABLE SET t = 'this one' WHERE id = {10_000 * (number + 1)} AND {condition}")[0] == "UPDATE 1"
        assert twins.both(f"DELETE FROM TABLE WHERE id = {10_000 * (number + 1) + 2} AND {condition}")[0] == "DELETE 1"
    twins.committed()


# ---- ways to run it


def test_prepared_statements(twins):
    conn = twins.conn
    for table in ("near", "far"):
        conn.execute(f"PREPARE ins_{table}(bigint, text) AS INSERT INTO {table}(id, t) VALUES ($1, $2)")
        conn.execute(f"PREPARE upd_{table}(bigint, text) AS UPDATE {table} SET t = $2 WHERE id = $1")
        conn.execute(f"PREPARE del_{table}(bigint) AS DELETE FROM {table} WHERE id = $1 AND {LOCAL}")
    # More than five times, so that the plan becomes a generic one.
    for number in range(8):
        twins.both(f"EXECUTE ins_TABLE({500 + number}, 'p')")
        twins.both(f"EXECUTE upd_TABLE({500 + number}, 'q{number}')")
        twins.both(f"EXECUTE upd_TABLE({number}, 'q{number}')")
        twins.both(f"EXECUTE del_TABLE({number})")
    twins.committed()


def test_parameters_of_the_extended_protocol(twins):
    for table in ("near", "far"):
        with twins.conn.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {table} (id, t, x) VALUES (%s, %s, %s)", [(600 + i, f"m{i}", i) for i in range(30)])
            cursor.execute(f"UPDATE {table} SET t = %s WHERE id = ANY(%s)", ("any", [600, 601, 629]))
            assert cursor.rowcount == 3
            cursor.execute(f"DELETE FROM {table} WHERE t = %s", ("m5",))
            assert cursor.rowcount == 1
    twins.committed()


def test_copy_from(twins):
    for table in ("near", "far"):
        with twins.conn.cursor() as cursor:
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for number in range(3000):
                    copy.write_row((number + 10_000, f"tab\tand\\ {number}", number, "2026-05-05", None))
            assert cursor.statusmessage == "COPY 3000"
            with cursor.copy(f"COPY {table} (t, id) FROM STDIN WITH (FORMAT csv)") as copy:
                copy.write('"a ""quoted"" one",700\n,701\n')
            assert cursor.statusmessage == "COPY 2"
    twins.committed()
    # A line that is wrong: nothing of the whole.
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        with twins.conn.cursor().copy("COPY far (id) FROM STDIN") as copy:
            copy.write("1\n" * 5000 + "x\n")
    twins.committed()


def test_from_plpgsql(twins):
    twins.conn.execute(
        "CREATE FUNCTION work(which regclass) RETURNS bigint LANGUAGE plpgsql AS $f$ DECLARE r record; n bigint := 0; k bigint; BEGIN "
        "FOR r IN EXECUTE format('SELECT id FROM %s WHERE id < 10 ORDER BY id', which) LOOP "
        "EXECUTE format('UPDATE %s SET t = %L WHERE id = %s', which, 'loop ' || r.id, r.id); "
        "GET DIAGNOSTICS k = ROW_COUNT; n := n + k; END LOOP; RETURN n; END $f$"
    )
    (rows,) = twins.both("SELECT work('TABLE')")[1]
    assert rows == (9,)
    twins.committed()


def test_through_a_view_and_as_a_partition(twins):
    conn = twins.conn
    for table in ("near", "far"):
        conn.execute(f"CREATE VIEW v_{table} AS SELECT id, t FROM {table} WHERE id < 1000 WITH CHECK OPTION")
    twins.both("INSERT INTO v_TABLE VALUES (800, 'view')")
    twins.both("UPDATE v_TABLE SET t = 'viewed' WHERE id = 5")
    twins.both("DELETE FROM v_TABLE WHERE id = 6")
    for table in ("near", "far"):
        assert sqlstate_of(conn, f"INSERT INTO v_{table} VALUES (2000, 'too far')") == "44000"
    twins.committed()
    for table in ("near", "far"):
        conn.execute(f"DROP VIEW v_{table}; DELETE FROM {table} WHERE id IS NULL")
        conn.execute(f"CREATE TABLE all_{table} ({COLUMNS}) PARTITION BY RANGE (id)")
        conn.execute(f"CREATE TABLE hot_{table} PARTITION OF all_{table} FOR VALUES FROM (10000) TO (20000)")
        conn.execute(f"ALTER TABLE all_{table} ATTACH PARTITION {table} FOR VALUES FROM (0) TO (10000)")
    twins.both("INSERT INTO all_TABLE SELECT g, 'routed' FROM generate_series(9990, 10010) g")
    twins.both("UPDATE all_TABLE SET t = 'all' WHERE id % 10 = 5")
    twins.both("DELETE FROM all_TABLE WHERE id % 10 = 6")
    assert conn.execute("SELECT count(*), count(DISTINCT id) FROM all_far").fetchone() == conn.execute("SELECT count(*), count(DISTINCT id) FROM all_near").fetchone()
    twins.committed()
    for table in ("near", "far"):
        conn.execute(f"ALTER TABLE all_{table} DETACH PARTITION {table}")


def test_rows_outside_of_a_partitions_bounds_are_refused(twins):
    """PostgreSQL does not look at what a foreign partition gets; such rows would be pruned away."""
    conn = twins.conn
    conn.execute(f"DELETE FROM far; CREATE TABLE bounded ({COLUMNS}) PARTITION BY RANGE (id); ALTER TABLE bounded ATTACH PARTITION far FOR VALUES FROM (0) TO (100)")
    conn.execute("INSERT INTO bounded (id, t) SELECT g, 'in' FROM generate_series(1, 20) g")
    for statement in (
        "UPDATE bounded SET id = 200 WHERE id = 3", "UPDATE far SET id = id + 90", "UPDATE far SET id = NULL WHERE id = 4", "INSERT INTO far (id) VALUES (100)",
        "INSERT INTO far (id) SELECT g FROM generate_series(90, 110) g", "INSERT INTO far (id) SELECT id + 95 FROM far",
    ):
        assert sqlstate_of(conn, statement) == "23514", statement
    conn.execute("UPDATE bounded SET id = id + 50 WHERE id > 10; UPDATE far SET t = 'same' WHERE id = 1; INSERT INTO far (id) VALUES (99)")
    assert conn.execute("SELECT count(*), max(id) FROM bounded WHERE id >= 60").fetchone() == (11, 99)
    conn.execute("ALTER TABLE bounded DETACH PARTITION far")


def test_two_tables_of_the_lake_in_one_statement(twins, client):
    conn = twins.conn
    client.execute(f"CREATE TABLE dml.second_{twins.name} ({LAKE_COLUMNS})")
    conn.execute(f"CREATE FOREIGN TABLE far2 ({COLUMNS}) SERVER dml OPTIONS (table_name 'second_{twins.name}')")
    conn.execute(f"CREATE TABLE near2 ({COLUMNS})")
    for table in ("near", "far"):
        conn.execute(f"CREATE TABLE all_{table} ({COLUMNS}) PARTITION BY LIST (b); "
                     f"CREATE TABLE rest_{table} PARTITION OF all_{table} DEFAULT; DELETE FROM {table} WHERE b IS NOT TRUE")
        conn.execute(f"ALTER TABLE all_{table} ATTACH PARTITION {table} FOR VALUES IN (true); ALTER TABLE all_{table} ATTACH PARTITION {table}2 FOR VALUES IN (false)")

    def both(statement):
        outcome = [conn.execute(statement.replace("TABLE", table)).statusmessage for table in ("near", "far")]
        assert outcome[0] == outcome[1]
        order = "ORDER BY tableoid::regclass::text ~ '2', id, t, x, d, b"
        found = [conn.execute(f"SELECT * FROM all_{table} {order}").fetchall() for table in ("near", "far")]
        assert found[0] == found[1]
        return outcome[0]

    # Rows that go to both by turns: as on heap tables, or refused as a whole.
    routed = "INSERT INTO all_{} SELECT g, 'routed', 0, NULL, g % 2 = 0 FROM generate_series(1000, 9999) g"
    if sqlstate_of(conn, routed.format("far")) is None:
        conn.execute(routed.format("near"))
    for value in ("true", "false", "NULL"):
        both(f"INSERT INTO all_TABLE SELECT g, 'routed', 0, NULL, {value} FROM generate_series(20000, 22999) g")
    both("UPDATE all_TABLE SET t = 'all' WHERE id % 10 = 5")
    both(f"UPDATE all_TABLE SET t = 'all' WHERE id % 10 = 6 AND {LOCAL}")
    both("DELETE FROM all_TABLE WHERE id % 10 = 7")
    both("WITH moved AS (DELETE FROM TABLE WHERE id < 2000 RETURNING *) INSERT INTO TABLE2 SELECT id, t, x, d, false FROM moved")
    both("WITH a AS (INSERT INTO TABLE VALUES (1, 'a', 1, NULL, true) RETURNING id), b AS (INSERT INTO TABLE2 SELECT id, 'b', 2, NULL, false FROM a RETURNING id) SELECT * FROM b")
    both("INSERT INTO TABLE2 SELECT id, t, x, d, false FROM TABLE WHERE id % 100 = 0")
    for table in ("near", "far"):
        conn.execute(f"ALTER TABLE all_{table} DETACH PARTITION {table}; ALTER TABLE all_{table} DETACH PARTITION {table}2")
    twins.committed()


def test_reading_the_lake_while_writing_to_it(twins):
    """A function that reads the table that is written to: as on a heap table, or refused, but never a hang."""
    conn = twins.conn
    for table in ("near", "far"):
        conn.execute(f"CREATE FUNCTION count_{table}(bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $f$ BEGIN RETURN (SELECT count(*) FROM {table}) + 0 * $1; END $f$")
    for statement in ("INSERT INTO far (id, x) SELECT g, count_far(g) FROM generate_series(1000, 1005) g", "UPDATE far SET x = count_far(id) WHERE id < 4",
                      "DELETE FROM far WHERE count_far(id) < 0 AND id < 5"):
        assert sqlstate_of(conn, statement) in (None, "0A000")
        if statement.startswith("INSERT"):
            conn.execute("DELETE FROM far WHERE id >= 1000")
        else:
            conn.execute("UPDATE far SET x = NULL WHERE id < 4; UPDATE near SET x = NULL WHERE id < 4")
        twins.committed()


def test_columns_under_other_names_dropped_and_generated(twins, client):
    conn = twins.conn
    client.execute(f"CREATE TABLE dml.odd_{twins.name} (\"Größe \"\" x\" BIGINT, second VARCHAR, twice BIGINT)")
    conn.execute(
        "CREATE FOREIGN TABLE odd (gone int, second text, \"Number\" bigint OPTIONS (column_name 'Größe \" x'), "
        f"double bigint OPTIONS (column_name 'twice') GENERATED ALWAYS AS (\"Number\" * 2) STORED) SERVER dml OPTIONS (table_name 'odd_{twins.name}')"
    )
    conn.execute("ALTER FOREIGN TABLE odd DROP COLUMN gone")
    conn.execute("INSERT INTO odd VALUES ('a', 1), ('b', 2); INSERT INTO odd (\"Number\") VALUES (3)")
    assert conn.execute("INSERT INTO odd VALUES ('d', 4) RETURNING double").fetchall() == [(8,)]
    conn.execute("UPDATE odd SET \"Number\" = 20 WHERE second = 'b'")
    conn.execute(f"UPDATE odd SET \"Number\" = 30 WHERE second IS NULL AND {LOCAL}")
    conn.execute("DELETE FROM odd WHERE \"Number\" = 1")
    assert client.rows(f"FROM dml.odd_{twins.name} ORDER BY 1") == [(4, "d", 8), (20, "b", 40), (30, None, 60)]
    assert conn.execute("SELECT * FROM odd ORDER BY \"Number\"").fetchall() == [("d", 4, 8), ("b", 20, 40), (None, 30, 60)]


# Parquet keeps intervals to the millisecond, and no negative ones.
TYPES = {
    "smallint": ("SMALLINT", ["-32768", "0", "32767"]),
    "integer": ("INTEGER", ["-2147483648", "2147483647"]),
    "bigint": ("BIGINT", ["-9223372036854775808", "9223372036854775807"]),
    "numeric(38,10)": ("DECIMAL(38,10)", ["-9999999999999999999999999999.9999999999", "0.0000000001"]),
    "numeric(4,2)": ("DECIMAL(4,2)", ["-0.05", "99.99"]),
    "real": ("FLOAT", ["-0", "NaN", "Infinity", "3.4028235e38", "1e-45"]),
    "double precision": ("DOUBLE", ["-0", "NaN", "-Infinity", "1.7976931348623157e308", "5e-324"]),
    "boolean": ("BOOLEAN", ["t", "f"]),
    "text": ("VARCHAR", ["", "'\"\\", "Grüße 😀", "a\nb\tc", "x" * 10_000]),
    "varchar(5)": ("VARCHAR", ["", "abcde"]),
    "bytea": ("BLOB", ["\\x", "\\x00ff27225c"]),
    "date": ("DATE", ["4713-01-01 BC", "1970-01-01", "5874897-12-31", "infinity", "-infinity"]),
    "time": ("TIME", ["00:00:00", "23:59:59.999999", "24:00:00"]),
    "timestamp": ("TIMESTAMP", ["0001-01-01 00:00:00 BC", "1969-12-31 23:59:59.999999", "294246-01-01", "infinity", "-infinity"]),
    "timestamptz": ("TIMESTAMPTZ", ["0001-01-01 00:00:00+00 BC", "2026-03-29 01:00:00+00", "infinity", "-infinity"]),
    "interval": ("INTERVAL", ["0", "1 mon 2 days 03:04:05.678", "178000 years"]),
    "uuid": ("UUID", ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "80000000-0000-0000-0000-000000000000"]),
    "integer[]": ("INTEGER[]", ["{}", "{1,NULL,-3}"]),
    "text[]": ("VARCHAR[]", ["{\"\",NULL,\"a,b\",\"{}\"}"]),
}


@pytest.mark.parametrize("rows", [1, 20], ids=["inlined", "in files"])
@pytest.mark.parametrize("name", TYPES)
def test_values_survive_as_they_are(connect, client, request, name, rows):
    conn, table = connect(), fresh_name(request)
    duck, values = TYPES[name]
    client.execute(f"CREATE TABLE dml.{table} (n INTEGER, v {duck})")
    conn.execute(f"CREATE FOREIGN TABLE {table} (n int, v {name}) SERVER dml; CREATE TEMP TABLE near (n int, v {name})")
    for number, value in enumerate([*values, None]):
        conn.execute("INSERT INTO near SELECT %s, %s FROM generate_series(1, %s)", (number, value, rows))
        # By the row, and as a constant that DuckDB gets.
        conn.execute(f"INSERT INTO {table} SELECT * FROM near WHERE n = %s", (number,))
        conn.execute(f"UPDATE {table} SET v = %s WHERE n = %s", (value, number))
    conn.execute(f"INSERT INTO {table} SELECT n + 1000, v FROM {table}")
    order = "SELECT n, v::text FROM {} WHERE n {} 1000 ORDER BY 1"
    expected = conn.execute(order.format("near", "<")).fetchall()
    assert conn.execute(order.format(table, "<")).fetchall() == expected
    assert [(n - 1000, v) for n, v in conn.execute(order.format(table, ">=")).fetchall()] == expected
    assert conn.execute(f"SELECT count(*) FROM {table} f JOIN near USING (n) WHERE f.v IS DISTINCT FROM near.v").fetchone() == (0,)
    conn.execute(f"DROP FOREIGN TABLE {table}")


# ---- PostgreSQL's rules


def test_triggers(twins):
    conn = twins.conn
    conn.execute("CREATE TABLE seen (n serial, what text, op text, level text, old_id bigint, new_id bigint)")
    conn.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN "
        "IF TG_LEVEL = 'STATEMENT' THEN INSERT INTO seen(what, op, level) VALUES (TG_WHEN, TG_OP, TG_LEVEL); RETURN NULL; END IF; "
        "INSERT INTO seen(what, op, level, old_id, new_id) VALUES (TG_WHEN, TG_OP, TG_LEVEL, "
        "CASE WHEN TG_OP <> 'INSERT' THEN OLD.id END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.id END); "
        "IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; "
        "IF TG_WHEN = 'BEFORE' THEN IF NEW.id = 900 THEN RETURN NULL; END IF; NEW.t := 'by trigger'; END IF; RETURN NEW; END $f$"
    )
    for table in ("near", "far"):
        for when in ("BEFORE", "AFTER"):
            for level in ("ROW", "STATEMENT"):
                conn.execute(f"CREATE TRIGGER {when}_{level} {when} INSERT OR UPDATE OR DELETE ON {table} FOR EACH {level} EXECUTE FUNCTION note()")
    for statement in ("INSERT INTO TABLE(id) VALUES (899), (900), (901)", "UPDATE TABLE SET x = 5 WHERE id < 4",
                      "DELETE FROM TABLE WHERE id IN (8, 55)", "DELETE FROM TABLE WHERE id = 123456"):
        noted = []
        for table in ("near", "far"):
            tag = conn.execute(statement.replace("TABLE", table)).statusmessage
            noted.append((tag, sorted(conn.execute("DELETE FROM seen RETURNING what, op, level, old_id, new_id").fetchall(), key=str)))
        assert noted[0] == noted[1]
    twins.committed()


def test_checks_defaults_and_generated_values(twins):
    conn = twins.conn
    # The foreign table's defaults count, not those of the lake.
    execute(conn, f"ALTER TABLE dml.main.{twins.name} ALTER COLUMN t SET DEFAULT 'of the lake'")
    for table in ("near", "far"):
        conn.execute(f"ALTER TABLE {table} ALTER COLUMN t SET DEFAULT 'here ' || 1 + 1")
        conn.execute(f"ALTER TABLE {table} ALTER COLUMN d SET DEFAULT '2026-12-24'")
    twins.both("INSERT INTO TABLE (id) VALUES (1000), (1001)")
    twins.both("INSERT INTO TABLE (id, t) VALUES (1002, DEFAULT), (1003, NULL)")
    assert conn.execute("SELECT t, d::text FROM far WHERE id = 1000").fetchone() == ("here 2", "2026-12-24")
    twins.committed()


def test_not_null_of_the_lake(twins):
    conn = twins.conn
    execute(conn, f"CREATE TABLE dml.main.strict_{twins.name} (id BIGINT NOT NULL, t VARCHAR)")
    conn.execute(f"CREATE FOREIGN TABLE strict (id bigint, t text) SERVER dml OPTIONS (table_name 'strict_{twins.name}')")
    error = failure(conn, "INSERT INTO strict VALUES (NULL, 'x')")
    assert error.sqlstate in ("23000", "23502"), words(error)
    conn.execute("INSERT INTO strict VALUES (1, 'x')")
    assert failure(conn, "UPDATE strict SET id = NULL").sqlstate in ("23000", "23502")
    assert conn.execute("SELECT * FROM strict").fetchall() == [(1, "x")]


@pytest.mark.parametrize("statement, sqlstate", [
    ("INSERT INTO far VALUES (1) ON CONFLICT (id) DO UPDATE SET t = 'x'", "0A000 42P10"),
    ("MERGE INTO far USING near ON near.id = far.id WHEN MATCHED THEN DELETE", "0A000 42809"),
    ("SELECT * FROM far FOR UPDATE", "0A000 none"),
    ("UPDATE far SET x = 1e20", "22003"),
    ("INSERT INTO far SELECT 1, 'x', 1 / (g - 5000) FROM generate_series(1, 6000) g", "22012"),
    ("UPDATE far SET x = x / (id - 5)", "22012"),
    (f"UPDATE far SET x = x / (id - 5) WHERE {LOCAL}", "22012"),
])
def test_what_is_refused_or_fails_leaves_the_lake_alone(twins, statement, sqlstate):
    assert (sqlstate_of(twins.conn, statement) or "none") in sqlstate.split()
    twins.committed()


def test_a_table_of_the_past_is_read_only(twins):
    twins.conn.execute(f"CREATE FOREIGN TABLE past (id bigint, t text) SERVER dml OPTIONS (table_name '{twins.name}', version '{twins.client.one('FROM dml.current_snapshot()')}')")
    for statement in ("INSERT INTO past VALUES (1)", "UPDATE past SET t = 'x'", f"DELETE FROM past WHERE {LOCAL}", "TRUNCATE past"):
        error = failure(twins.conn, statement)
        assert error.sqlstate in ("0A000", "55000", "25006", "42809"), words(error)
    twins.committed()


def test_grants_decide(twins, role, lake, lakes):
    reader = role()
    conn = twins.conn
    lake.map_user(reader)
    lakes.su.execute(f"CREATE USER MAPPING FOR {reader} SERVER store OPTIONS (key_id '{lakes.sandbox.all.key_id}', secret '{lakes.sandbox.all.secret}')")
    conn.execute(f"GRANT USAGE ON SCHEMA {twins.name} TO {reader}; GRANT SELECT ON far TO {reader}; SET ROLE {reader}")
    statements = {"INSERT": "INSERT INTO far (id) VALUES (77)", "UPDATE": "UPDATE far SET t = 'mine' WHERE id = 1",
                  "DELETE": "DELETE FROM far WHERE id = 2", "TRUNCATE": "TRUNCATE far"}
    assert conn.execute("SELECT count(*) FROM far").fetchone() == (59,)
    for statement in statements.values():
        assert sqlstate_of(conn, statement) == "42501"
    for right, statement in statements.items():
        conn.execute(f"RESET ROLE; GRANT {right} ON far TO {reader}; SET ROLE {reader}")
        assert sqlstate_of(conn, statement) is None
        conn.execute(f"RESET ROLE; REVOKE {right} ON far FROM {reader}; SET ROLE {reader}")
        assert sqlstate_of(conn, statement) == "42501"
    assert conn.execute("SELECT count(*) FROM far").fetchone() == (0,)
    # Nothing else of the lake, and not by DuckDB's own statements.
    for statement in (f"INSERT INTO dml.main.{twins.name} (id) VALUES (1)", f"DROP TABLE dml.main.{twins.name}"):
        assert sqlstate_of(conn, f"SELECT duckdb.execute('{statement}')") in ("42501", "42P01", "42704")
    conn.execute("RESET ROLE")


# ---- transactions


@pytest.mark.parametrize("statement", [
    "INSERT INTO far (id) VALUES (1)", "UPDATE far SET t = 'x'", f"UPDATE far SET t = 'x' WHERE {LOCAL}", "DELETE FROM far", f"DELETE FROM far WHERE {LOCAL}", "TRUNCATE far",
])
def test_savepoints_read_only_and_rollback(twins, statement):
    conn = twins.conn
    conn.execute("BEGIN; SAVEPOINT a")
    conn.execute(statement)
    conn.execute("ROLLBACK TO a")
    conn.execute("COMMIT")
    twins.committed()
    conn.execute("BEGIN READ ONLY")
    assert sqlstate_of(conn, statement) == "25006"
    conn.execute("ROLLBACK")
    conn.execute("BEGIN")
    conn.execute(statement)
    assert sqlstate_of(conn, "PREPARE TRANSACTION 'x'") == "0A000"
    twins.committed()
    conn.execute("BEGIN; SAVEPOINT a")
    conn.execute(statement)
    conn.execute("RELEASE a; ROLLBACK")
    twins.committed()


def test_a_conflict_with_the_client(twins):
    conn, client = twins.conn, twins.client
    for statement in ("UPDATE far SET t = 'ours' WHERE id = 1", f"DELETE FROM far WHERE id = 1 AND {LOCAL}"):
        conn.execute("BEGIN")
        conn.execute(statement)
        client.execute(f"UPDATE dml.{twins.name} SET t = 'theirs' WHERE id = 1")
        assert sqlstate_of(conn, "COMMIT") == "40001"
        assert conn.execute("SELECT t FROM far WHERE id = 1").fetchone() == ("theirs",)


def test_cursors_see_what_was_there(twins):
    conn = twins.conn
    conn.execute("INSERT INTO far SELECT g, 'more' FROM generate_series(1000, 15999) g")
    conn.execute("BEGIN; DECLARE c CURSOR FOR SELECT id FROM far")
    rows = conn.execute("FETCH 100 FROM c").fetchall()
    conn.execute("UPDATE far SET id = -id WHERE id > 5000")
    rows += conn.execute("FETCH 100 FROM c").fetchall()
    conn.execute(f"DELETE FROM far WHERE id < 100 AND {LOCAL}")
    conn.execute("INSERT INTO far (id) VALUES (77777)")
    rows += conn.execute("FETCH ALL FROM c").fetchall()
    assert len(rows) == len(set(rows)) == 15_059 and (77777,) not in rows and all(i is None or i >= 0 for (i,) in rows)
    conn.execute("COMMIT")


@pytest.mark.parametrize("statement", [
    "INSERT INTO far SELECT g FROM generate_series(1, 1000000000) g",
    "INSERT INTO far SELECT a.id FROM far a, far b, far c, far d, far e, far f",
    "UPDATE far SET t = (SELECT max(md5(g::text)) FROM generate_series(1, 100000000) g)",
])
def test_cancel_in_the_middle(twins, su, statement):
    running = Background(twins.conn, statement)
    eventually(lambda: activity(su, running.pid)[0] == "active")
    su.execute("SELECT pg_sleep(0.4), pg_cancel_backend(%s)", (running.pid,))
    running.join(10)
    assert running.error is not None and running.error.sqlstate == "57014"
    twins.committed()
    twins.both("INSERT INTO TABLE (id) VALUES (4711)")
    twins.committed()


def test_many_rows_from_a_heap_table(twins):
    conn = twins.conn
    conn.execute("CREATE TABLE big AS SELECT g::bigint AS id, 'row ' || g AS t, g % 1000 / 4.0 AS x FROM generate_series(1, 300000) g")
    for table in ("near", "far"):
        conn.execute(f"INSERT INTO {table} (id, t, x) SELECT * FROM big")
    for statement in (f"UPDATE TABLE SET t = 'hit' WHERE id % 7 = 0 AND {LOCAL}", f"DELETE FROM TABLE WHERE id % 11 = 0 AND {LOCAL}", "UPDATE TABLE SET x = 0 WHERE id % 13 = 0"):
        twins.both(statement, same_rows=False)
    digest = "SELECT count(*), sum(id), sum(x), count(*) FILTER (WHERE t = 'hit'), count(DISTINCT id) FROM "
    assert conn.execute(digest + "far").fetchone() == conn.execute(digest + "near").fetchone()
    assert query(conn, f"SELECT count(*) FROM dml.main.{twins.name}") == conn.execute("SELECT count(*) FROM near").fetchall()
