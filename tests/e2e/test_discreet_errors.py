"""Errors quote no data to those who may not read it: columns that are not granted, rows behind a view,
files of a definer's function."""

import json

import pytest

from support import failure, open_directory, words

SECRET = "sekret"
# A file of two good rows and one that cannot be read as declared; what is bad about it quotes the secret.
FILES = {
    "csv": ("open,hidden,number\n1,a,1\n2,b,2\n3,sekret,sekret\n", "format 'csv', header 'true'", "number int"),
    "ragged csv": ("open,hidden,number\n1,a,1\n2,b,2\n3,sekret,sekret,sekret,9\n", "format 'csv', header 'true'", "number text"),
    "json": ("".join(json.dumps({"open": i, "hidden": t, "number": n}) + "\n" for i, t, n in [(1, "a", 1), (3, SECRET, SECRET)]), "format 'json'", "number int"),
    "damaged json": ('{"open": 1, "hidden": "a", "number": 1}\n{"open": 2, "hidden": "sekret" sekret: sekret}\n', "format 'json'", "number int"),
    "enum": ("open,hidden,number\n1,a,good\n3,sekret,sekret\n", "format 'csv', header 'true'", "number colour"),
    "time": ("open,hidden,number\n1,a,2020-01-01\n3,sekret,sekret\n", "format 'csv', header 'true'", "number timestamp"),
}


@pytest.fixture(scope="module")
def folder(su):
    su.execute("CREATE TYPE colour AS ENUM ('good')")
    with open_directory() as folder:
        su.execute(f"CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{folder}/')")
        su.execute("CREATE USER MAPPING FOR postgres SERVER files; CREATE USER MAPPING FOR PUBLIC SERVER files")
        for number, (content, options, column) in enumerate(FILES.values()):
            path = folder / f"file{number}.{'json' if 'json' in options else 'csv'}"
            path.write_text(content)
            path.chmod(0o644)
            su.execute(f"CREATE FOREIGN TABLE t{number} (open int, hidden text, {column}) SERVER files OPTIONS (path '{path}', {options})")
            su.execute(f"CREATE VIEW v{number} AS SELECT * FROM t{number}")
            su.execute(f"CREATE VIEW barrier{number} WITH (security_barrier) AS SELECT * FROM t{number} WHERE open < 3")
            su.execute(
                f"CREATE FUNCTION f{number}() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public "
                f"AS $$ BEGIN RETURN (SELECT count(number) FROM t{number} WHERE number IS NOT NULL AND hidden IS NOT NULL); END $$"
            )
            reader = "read_json" if "json" in options else "read_csv"
            types = "columns = {open: 'INT', hidden: 'VARCHAR', number: 'INT'}" + ("" if "json" in options else ", header = true, auto_detect = false, strict_mode = true")
            query = f"SELECT sum(number) FROM {reader}(''{path}'', {types})".replace("'INT'", "''INT''").replace("'VARCHAR'", "''VARCHAR''")
            su.execute(
                f"CREATE FUNCTION q{number}() RETURNS numeric LANGUAGE plpgsql SECURITY DEFINER SET search_path = public "
                f"AS $f$ BEGIN RETURN (SELECT a FROM duckdb.query_rows('{query}') AS q(a numeric)); END $f$"
            )
        yield folder


@pytest.mark.parametrize("number", range(len(FILES)), ids=FILES)
@pytest.mark.parametrize("pushdown", ["on", "off"])
def test_errors_quote_nothing_that_was_not_granted(number, pushdown, folder, su, connect, role):
    reader = role()
    su.execute(f"GRANT SELECT (open, number) ON t{number} TO {reader}; GRANT SELECT ON v{number}, barrier{number} TO {reader}")
    conn = connect(reader)
    conn.execute(f"SET duckdb.enable_pushdown = {pushdown}")
    notices = []
    conn.add_notice_handler(lambda diag: notices.append(f"{diag.message_primary} {diag.message_detail}"))
    for statement in (
        f"SELECT open, number FROM t{number}",
        f"SELECT max(number::text) FROM t{number}",
        f"SELECT * FROM v{number}",
        f"SELECT count(*) FROM v{number} WHERE number IS NOT NULL",
        f"SELECT * FROM barrier{number}",
        f"SELECT count(number) FROM barrier{number}",
        f"EXPLAIN ANALYZE SELECT count(number) FROM barrier{number}",
        f"SELECT f{number}()",
        f"SELECT q{number}()",
    ):
        try:
            rows = conn.execute(statement).fetchall()
            assert SECRET not in str(rows), (statement, rows)
        except Exception as error:
            assert SECRET not in words(error), (statement, words(error))
    assert SECRET not in "".join(notices)
    error = failure(su, f"SELECT open, number FROM t{number}")
    # DuckDB itself quotes nothing of damaged JSON.
    assert SECRET in words(error) or number == 3, words(error)


def test_who_may_use_the_server_sees_duckdbs_words(folder, su, connect, role):
    reader = role()
    su.execute(f"GRANT SELECT ON t0 TO {reader}; GRANT USAGE ON FOREIGN SERVER files TO {reader}")
    error = failure(connect(reader), "SELECT sum(number) FROM t0")
    assert error.sqlstate == "22P02" and SECRET in words(error)


def test_the_line_of_a_file_is_told(folder, su, connect, role):
    reader = role()
    path = folder / "lines.csv"
    path.write_text("open,number\n1,1\n2,2\n3,sekret,sekret\n")
    path.chmod(0o644)
    options = "delim ',', header 'true', auto_detect 'false', columns '{\"open\": \"INT\", \"number\": \"INT\"}'"
    su.execute(f"CREATE FOREIGN TABLE lines (open int, number int) SERVER files OPTIONS (path '{path}', format 'csv', {options})")
    su.execute(f"GRANT SELECT (open, number) ON lines TO {reader}")
    error = failure(connect(reader), "SELECT open, number FROM lines")
    assert SECRET not in words(error)
    assert (error.sqlstate, error.diag.message_detail) == ("22P02", "It is line 4 of a CSV file."), words(error)
