"""CSV columns of declared types: a text is the value that PostgreSQL's input function makes of it, or an
error; never NULL, and never another value."""

import csv
import itertools

import psycopg
import pytest

from support import failure

NUMBERS = ["0", "1", "-1", "+5", "007", " 42 ", "42\t", "1.5", "1.", ".5", "-.5", ".", "1e3", "1E-3", "1e", "0x1F", "1_000", "1,000", "--1", "+-1", "1 2", "abc"]
NUMBERS += ["32767", "32768", "-32768", "-32769", "2147483647", "2147483648", "-2147483648", "9223372036854775807", "9223372036854775808"]
NUMBERS += ["1e400", "-1e400", "1e-400", "0e-400", "1e39", "1e-46", "3.4e38", "nan", "NaN", "inf", "Infinity", "-inf", "+infinity", "infinit", "16777217", "0.1", "1e20", "100000"]
NUMBERS += ["12345.675", "12345.674999999", "99999.994", "99999.995", "-99999.995", "1.005e2", "0.05e-1", "5e-3", "1e5", "true", "١"]
BOOLEANS = ["t", "tr", "true", "TRUE", "f", "fals", "false", "y", "yes", "n", "no", "on", "off", "of", "o", "1", "0", "2", "01", " true ", "truee", "wahr", "T", "-1"]
DATES = ["2026-01-02", "2026-1-2", "0044-03-15 BC", "0044-03-15 (BC)", "0001-01-01", "0000-01-01", "2026-02-30", "2026-13-01", "2026-01-02 garbage", "12026-01-02", "20260102", "2026-01-02 03:04:05", "2026-01-02T03:04:05Z"]
DATES += ["2026-01-02 25:00:00", "infinity", "-infinity", "26-01-02", "01/02/2026", "31/12/2026", "2026/01/02", "2026-01-02x", " 2026-01-02 ", "9999-12-31", "2024-02-29", "2023-02-29", "1582-10-10", "4713-01-01 BC", "5874898-01-01"]
TIMES = ["03:04:05", "3:04", "03:04:05 PM", "24:00:00", "24:00:01", "23:59:60", "23:60:00", "12:00:00.123456", "12:00:00.1234567", "12:00", "12", "noon", "-1:00:00", "00:00:00.5", "12:00:00."]
ZONES = ["", "Z", "+00", "+02", "-05:30", "+0530", "+5", " UTC", "+15:59", "+16", "-00:30", "z"]
MOMENTS = [f"2021-08-06{separator}{time}{zone}" for separator, time, zone in itertools.product("T ", ["13:18", "13:18:00", "23:59:59.999999", "00:00:00.1234565", "00:00:00.9999996"], ZONES)]
MOMENTS += DATES + ["0044-03-15 12:00:00 BC", "2026-01-02 24:00:00", "2026-01-02 24:00:01", "2026-01-02 03:04:05 PM", "2026-01-02 03:04:60", "290000-01-01 00:00:00", "294277-01-01 00:00:00", "2026-03-29 02:30:00", "2026-10-25 02:30:00"]
INTERVALS = ["1 day", "1 year 2 mons 3 days 04:05:06.789", "-1 days +02:03:04", "1 mon -1 days", "04:05:06", "-04:05:06", "1:02", "1.5 days", "P1Y2M", "3 weeks", "1 day ago", "5", "1 hour 30 minutes", "2 years 5 seconds", "abc", "1 fortnight"]
UUIDS = ["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000", "{123e4567-e89b-12d3-a456-426614174000}", "123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400", "{123e4567-e89b-12d3-a456-426614174000", "x", "123e-4567-e89b-12d3-a456-426614174000"]
BYTES = [r"\x4142", r"\x", r"\x4", r"\xZZ", "abc", "aé", r"a\\b", r"\x41\x42", r"a\x", r"\X41"]
BITS = ["1", "0", "101", "012", "b101", "x1F", "1 0", "111000111000"]

TYPES = {
    "smallint": NUMBERS,
    "integer": NUMBERS + DATES,
    "bigint": NUMBERS,
    "numeric(7,2)": NUMBERS,
    "numeric(38,10)": NUMBERS,
    "real": NUMBERS,
    "double precision": NUMBERS,
    "boolean": BOOLEANS + NUMBERS,
    "date": DATES + MOMENTS,
    "time": TIMES + DATES,
    "timetz": [f"{time}{zone}" for time in TIMES for zone in ZONES],
    "timestamp": MOMENTS,
    "timestamptz": MOMENTS,
    "interval": INTERVALS + TIMES,
    "uuid": UUIDS,
    "bytea": BYTES,
    "varbit": BITS,
}
# What has to be read: refusing it is right for nobody.
READ = {
    "integer": ["0", "-1", "+5", "007", " 42 "],
    "numeric(7,2)": ["1.5", "1.", ".5", "1e3", "12345.675", "-1"],
    "double precision": ["1.5", "1e3", "nan", "Infinity", "-inf", "0.1"],
    "boolean": ["t", "yes", "off", "1"],
    "date": ["2026-01-02", "0044-03-15 BC", "2026-01-02 03:04:05", "infinity", "12026-01-02"],
    "timestamp": ["2021-08-06T13:18", "2021-08-06 00:00:00.1234565", "2026-01-02", "infinity"],
    "timestamptz": ["2021-08-06T13:18Z", "2021-08-06 13:18:00+0530", "2021-08-06 13:18:00-05:30", "2021-08-06 13:18", "-infinity", "2026-01-02"],
    "time": ["03:04:05", "24:00:00"],
    "timetz": ["03:04:05Z", "3:04-05:30", "12:00:00.123456+0530"],
    "interval": ["1 year 2 mons 3 days 04:05:06.789", "-1 days +02:03:04", "04:05:06"],
    "uuid": UUIDS[:4],
    "bytea": [r"\x4142", r"\x", "abc", "aé"],
    "varbit": ["101"],
}
REFUSED = {"22P02", "22003", "22007", "22008", "22009"}


@pytest.fixture(scope="module")
def folder(su, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv")
    for parent in [path, *path.parents][:3]:
        parent.chmod(0o755)
    su.execute(f"CREATE SERVER texts TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{path}')")
    su.execute("CREATE USER MAPPING FOR PUBLIC SERVER texts")
    su.execute("SET timezone = 'Europe/Berlin'")
    return path


def own_value(conn, text, declared):
    """What PostgreSQL makes of a text: its output, or the SQLSTATE."""
    try:
        return conn.execute(f"SELECT (%s::text::{declared})::text", (text,)).fetchone()[0], None
    except psycopg.Error as error:
        return None, error.sqlstate


@pytest.mark.parametrize("declared", TYPES)
def test_text_is_read_as_postgresql_reads_it_or_refused(su, folder, declared):
    table = "t_" + "".join(c for c in declared if c.isalnum())
    file = folder / f"{table}.csv"
    su.execute(f"CREATE FOREIGN TABLE {table} (n int, v {declared}) SERVER texts OPTIONS (path '{file}', header 'true')")
    wrong = []
    texts = list(dict.fromkeys(TYPES[declared]))
    for number, text in enumerate(texts):
        with open(file, "w", newline="") as out:
            csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["n", "v"], [1, text]])
        expected, sqlstate = own_value(su, text, declared)
        try:
            found, refused = su.execute(f"SELECT v::text FROM {table}").fetchone()[0], None
        except psycopg.Error as error:
            found, refused = None, error.sqlstate
        if refused:
            if refused not in REFUSED or text in READ.get(declared, []):
                wrong.append((text, expected or sqlstate, refused))
        elif found != expected:
            wrong.append((text, expected or sqlstate, found))
    assert wrong == []
    # All that can be read, in one file.
    good = READ.get(declared, [])
    with open(file, "w", newline="") as out:
        csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["n", "v"], *([number, text] for number, text in enumerate(good))])
    with open(file, "a") as out:
        out.write(f"{len(good)},\n")
    found = [value for (value,) in su.execute(f"SELECT v::text FROM {table} ORDER BY n").fetchall()]
    assert found == [own_value(su, text, declared)[0] for text in good] + [None]


@pytest.mark.parametrize(
    "text, option, shown",
    [
        ("31/12/2020", "dateformat", "2020-12-31"),
        ("31.12.2020 10:30:00", "timestampformat", "2020-12-31 10:30:00"),
        ("2020-12-31", None, "2020-12-31"),
        ("2020-12-31T10:30:00", None, "2020-12-31 10:30:00"),
    ],
)
def test_detected_format_of_dates_is_written_down(su, folder, text, option, shown):
    name = f"detected_{abs(hash(text))}"
    for number in range(2):
        (folder / f"{name}-{number}.csv").write_text(f"d\n{text}\n")
    su.execute(f"CREATE FOREIGN TABLE {name} () SERVER texts OPTIONS (path '{folder}/{name}-*.csv')")
    options = su.execute("SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = %s::regclass", (name,)).fetchone()[0]
    assert [given.partition("=")[0] for given in options] == ["path"] + ([option] if option else [])
    assert su.execute(f"SELECT d::text FROM {name}").fetchall() == [(shown,)] * 2
    assert su.execute(f"SELECT d::text FROM duckdb.query('FROM ''{folder}/{name}-0.csv''') q").fetchall() == [(shown,)]


@pytest.mark.parametrize("lines", ["a,b\n1,2\n3;4\n5;6\n", "a,b\n1,2\n3;4;5\n6;7;8\n", "a,b\n1,2\n3|4\n5|6\n7|8\n", "a,b\n1,2\n3,4,5\n"])
def test_no_row_is_lost_where_a_file_changes(su, folder, lines):
    name = f"changes_{abs(hash(lines))}"
    (folder / f"{name}.csv").write_text(lines)
    su.execute(f"CREATE FOREIGN TABLE {name} (a text, b text) SERVER texts OPTIONS (path '{folder}/{name}.csv')")
    for statement in ("SELECT count(*) FROM {}", "SELECT count(a) FROM {}", "SELECT a, b FROM {}"):
        error = failure(su, statement.format(name))
        assert error.sqlstate == "42703"
        assert f'column "a" of foreign table "public.{name}" does not exist in the files' in str(error)


def test_lines_before_the_header_are_left_out_of_a_count(su, folder):
    (folder / "titled.csv").write_text("a title\n\na,b\n1,2\n3,4\n")
    su.execute(f"CREATE FOREIGN TABLE titled (a int, b int) SERVER texts OPTIONS (path '{folder}/titled.csv')")
    assert su.execute("SELECT count(*) FROM titled").fetchone() == (2,)
    assert su.execute("SELECT sum(a) FROM titled").fetchone() == (4,)


def test_duckdb_still_reads_texts_leniently(folder):
    """When this fails, look whether src/lake/text.rs can do less."""
    import duckdb

    (folder / "lenient.csv").write_text("i\n1.5\n")
    assert duckdb.sql(f"FROM read_csv('{folder}/lenient.csv', types = {{'i': 'INTEGER'}})").fetchall() == [(2,)]
    (folder / "lost.csv").write_text("a,b\n1,2\n3,4,5\n")
    assert duckdb.sql(f"SELECT count(*) FROM '{folder}/lost.csv'").fetchall() == [(1,)]
