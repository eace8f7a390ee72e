"""Values and names reach DuckDB's SQL as what they are: whatever characters they hold, a value comes back
as it went in, a condition finds exactly its row, and a name is nothing but a name.

The values are generated: each character and word that means something to PostgreSQL, DuckDB or SQL that
is made by a program, alone, inside of a text, and around what such a program may look for.
"""

import json
import re
import urllib.parse

import duckdb
import psycopg
import pytest
from psycopg import sql

from conftest import unique
from lakes import literal
from support import open_directory

CONTROLS = [chr(code) for code in [*range(1, 32), 127]]
WORDS = ["'", '"', "\\", "\\'", "$1", "$$", "?", "%", "%s", "{", "}", "{1}", "{}", "--", "/*", "*/", ";", "\u00e4", "\u2028", "\U0001f986", "()", "::", "NULL", "NULL::VARCHAR", "WITH x", "LIMIT 1"]


def texts(oid):
    """The values; `oid` is a table's, which a mark could name."""
    made = []
    for word in CONTROLS + WORDS:
        made += [word, f"a{word}0:1{word}", f"{word}1:1{word}\"", f"' || {word}0:2{word} || '{word}", f"{word}{oid}{word}"]
    return list(dict.fromkeys(made))


@pytest.fixture(scope="module")
def folder(su):
    """A folder of the server's machine, behind the server `files`."""
    with open_directory() as path:
        su.execute(sql.SQL("CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location {})").format(sql.Literal(f"{path}/")))
        su.execute("CREATE USER MAPPING FOR postgres SERVER files")
        yield path


@pytest.fixture(scope="module")
def values(su, lake_writer, folder, tmp_path_factory):
    """The foreign tables `vals` and `other` of the same rows; the values by id."""
    for name in ("vals", "other"):
        su.execute(
            sql.SQL("CREATE FOREIGN TABLE {} (id integer, shop text, n integer) SERVER files OPTIONS (path {})").format(
                sql.Identifier(name), sql.Literal(f"{folder}/{name}.parquet")
            )
        )
    (oid,) = su.execute("SELECT 'vals'::regclass::oid").fetchone()
    found = dict(enumerate(texts(oid), 1))
    path = tmp_path_factory.mktemp("values") / "values.json"
    path.write_text("\n".join(json.dumps({"id": id, "shop": text, "n": id % 7}) for id, text in found.items()))
    for name in ("vals", "other"):
        lake_writer.execute(
            f"COPY (SELECT id::INTEGER AS id, shop, n::INTEGER AS n FROM read_json('{path}', format = 'newline_delimited', "
            f"columns = {{id: 'INTEGER', shop: 'VARCHAR', n: 'INTEGER'}})) TO '{folder}/{name}.parquet'"
        )
    return found


@pytest.fixture(autouse=True)
def no_local_answer(su):
    """PostgreSQL answers nothing in DuckDB's place: it would hide SQL that is wrong."""
    heard = []
    note = lambda notice: heard.append(notice.message_primary)
    su.execute("SET client_min_messages = debug1")
    su.add_notice_handler(note)
    yield
    su.remove_notice_handler(note)
    su.execute("RESET client_min_messages")
    assert [message for message in heard if message.startswith("DuckDB could not answer")] == []


def scans(conn, statement, parameters=None):
    """How many DuckDB Scans a statement's plan has."""
    (plan,) = conn.execute("EXPLAIN (COSTS OFF, FORMAT JSON) " + statement, parameters).fetchone()
    return json.dumps(plan).count('"DuckDB Scan"')


# {} is the value: as a literal or as a bound parameter.
CONDITIONS = {
    "a condition on a table": "SELECT id, shop FROM vals WHERE shop = {0}",
    "a condition below an aggregate": "SELECT min(id), min(shop COLLATE \"C\") FROM vals WHERE shop = {0}",
    "a list": "SELECT id, shop FROM vals WHERE shop IN ({0}, 'no value') ORDER BY id",
    "a join": "SELECT v.id, o.shop FROM vals v JOIN other o USING (id) WHERE v.shop = {0} AND o.shop = {0}",
    "a join with a sub-query": "SELECT v.id, o.shop FROM vals v, (SELECT id, shop FROM other WHERE shop = {0} LIMIT 5) o WHERE v.id = o.id",
    "VALUES": "SELECT v.id, v.shop FROM vals v JOIN (VALUES (1, {0}::text), (2, 'no value')) w(y, shop) USING (shop) LIMIT 9",
    "VALUES with two": "SELECT v.id, x.shop FROM vals v, (VALUES (1, {0}::text), (2, ' || 1 || ')) x(y, shop) WHERE v.shop = x.shop AND x.y = 1 LIMIT 9",
    "a CTE": "WITH c AS MATERIALIZED (SELECT * FROM vals WHERE shop = {0}) SELECT c.id, o.shop FROM c JOIN other o USING (id)",
    "a set operation": "SELECT id, shop FROM vals WHERE shop = {0} UNION SELECT id, shop FROM other WHERE shop = {0}",
    "a sub-query": "SELECT id, shop FROM vals v WHERE id = (SELECT max(id) FROM other WHERE shop = {0}) LIMIT 9",
    "EXISTS": "SELECT id, shop FROM vals v WHERE EXISTS (SELECT 1 FROM other o WHERE o.id = v.id AND o.shop = {0}) LIMIT 9",
}
OUTPUTS = {
    "a select list": "SELECT id, {0}::text FROM vals WHERE id = {1} LIMIT 9",
    "a concatenation": "SELECT v.id, substr(v.n::text || {0}::text, 2) FROM vals v JOIN other o USING (id) WHERE id = {1} LIMIT 9",
    "coalesce": "SELECT v.id, coalesce(NULLIF(v.shop, v.shop), {0}::text) FROM vals v JOIN other o USING (id) WHERE v.id = {1} LIMIT 9",
    "CASE": "SELECT v.id, CASE WHEN v.shop = {0} THEN {0}::text ELSE 'wrong' END FROM vals v JOIN other o USING (id) WHERE v.id = {1} LIMIT 9",
    "VALUES": "SELECT v.id, w.t FROM vals v, (VALUES (1, {0}::text), (2, ' || 1 || ')) w(y, t) WHERE v.id = {1} AND w.y = 1 LIMIT 9",
    "a delimiter": "SELECT max(id), replace(string_agg(shop, {0}::text ORDER BY id), shop, '') || {0}::text FROM vals WHERE id = {1} GROUP BY shop LIMIT 9",
}
STATEMENTS = {**CONDITIONS, **{f"{name}, returned": statement for name, statement in OUTPUTS.items()}}


BATCH = 12


def check(values, run):
    """Fails unless the statement of each value, many of them in one, gives just (id, value)."""
    wrong, left = [], list(values.items())
    while left:
        batch, left = left[:BATCH], left[BATCH:]
        try:
            rows = sorted(run(batch))
        except psycopg.Error as error:
            rows = f"{error.sqlstate} {error}"
        if rows != sorted(batch):
            wrong.append((batch, rows))
    assert wrong == []


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_a_literal_is_a_value(su, values, statement):
    def run(batch):
        made = [sql.SQL("({})").format(sql.SQL(statement).format(sql.Literal(text), sql.Literal(id))) for id, text in batch]
        return su.execute(sql.SQL(" UNION ALL ").join(made)).fetchall()

    check(values, run)


@pytest.mark.parametrize(
    "name, mode",
    [(name, "force_custom_plan") for name in ("a condition on a table", "a join", "VALUES with two", "a CTE", "a concatenation, returned", "CASE, returned")]
    + [("a join", "force_generic_plan"), ("CASE, returned", "force_generic_plan")],
)
def test_a_bound_parameter_is_a_value(su, values, name, mode):
    """By the extended protocol: a custom plan folds the value into the query as a literal."""
    text = STATEMENTS[name].replace("{0}::text", "{0}").replace("{0}", "%s::text").replace("{1}", "%s::int")
    order = ["text" if mark == "%s::text" else "id" for mark in re.findall(r"%s::(?:text|int)", text)]
    order = [{"text": 1, "id": 0}[what] for what in order]

    def run(batch):
        statement = " UNION ALL ".join([f"({text})"] * len(batch))
        parameters = [pair[at] for pair in batch for at in order]
        assert scans(su, statement, parameters) > 0
        return su.execute(statement, parameters, prepare=False).fetchall()

    su.execute(f"SET plan_cache_mode = {mode}")
    try:
        check(values, run)
    finally:
        su.execute("RESET plan_cache_mode")


def test_a_prepared_statement_s_parameter_is_a_value(su, values):
    su.execute("SET plan_cache_mode = force_custom_plan")
    su.execute("PREPARE by_value (text) AS SELECT v.id, o.shop FROM vals v JOIN other o USING (id) WHERE v.shop = $1 AND o.shop = $1")

    def run(batch):
        return [row for _, text in batch for row in su.execute(sql.SQL("EXECUTE by_value ({})").format(sql.Literal(text))).fetchall()]

    try:
        check(values, run)
    finally:
        su.execute("DEALLOCATE by_value; RESET plan_cache_mode")


def test_a_value_brings_no_file_in(su, values, tmp_path):
    """Two literals that would become SQL if one of them could name the FROM item that holds the other."""
    secret = tmp_path / "secret"
    secret.write_text("secret of the server")
    for mark in CONTROLS:
        statement = sql.SQL(
            "SELECT t.shop || {} FROM vals t, (VALUES (1, {}), (2, NULL)) v(y, x) WHERE v.y = 1 AND t.id = 1 LIMIT 1"
        ).format(sql.Literal(f"{mark}0:2{mark}"), sql.Literal(f" || (SELECT content FROM read_text('{secret}')) || "))
        assert su.execute(statement).fetchone() == (values[1] + f"{mark}0:2{mark}",), repr(mark)


def names():
    """Names of columns: NUL apart, all that PostgreSQL takes."""
    return [name for word in CONTROLS + WORDS for name in (f"x{word}", f"{word}0:1{word}")]


STATEMENTS_OVER_NAMES = (
    "SELECT {c} FROM {t} ORDER BY id",
    "SELECT count({c}) + min({c}) + max({c}) FROM {t}",
    "SELECT {c} FROM {t} WHERE {c} > 0 GROUP BY {c} ORDER BY 1",
    "SELECT a.{c} FROM {t} a JOIN {t} b USING (id) WHERE a.{c} = b.{c} ORDER BY id",
    "WITH {c} AS (SELECT id, {c} AS {a} FROM {t}) SELECT {a}.{a} FROM {c} {a} GROUP BY 1 ORDER BY 1",
    "SELECT {c}.{a} FROM (SELECT id, {c} AS {a} FROM {t} LIMIT 2) {c} JOIN {t} USING (id) ORDER BY id",
)


def chunks(items, size):
    return [items[at : at + size] for at in range(0, len(items), size)]


@pytest.mark.parametrize("way", ["named as in the file", "column_name"])
def test_a_column_s_name_is_a_name(su, lake_writer, folder, way):
    wrong = []
    for part in chunks(names(), 20):
        seen, table = {}, unique("named")
        # DuckDB's names do not tell upper from lower case.
        for name in part:
            seen.setdefault(name.lower(), name)
        part = list(seen.values())
        columns = sql.SQL(", ").join(sql.SQL("{} integer").format(sql.Identifier(name)) for name in part)
        su.execute(sql.SQL("CREATE TABLE {} (id integer, {})").format(sql.Identifier(f"heap_{table}"), columns))
        rows = [[id, *(id * 100 + at if id < 3 else None for at in range(len(part)))] for id in (1, 2, 3)]
        marks = ", ".join(["%s"] * (len(part) + 1))
        for row in rows:
            su.execute(f"INSERT INTO heap_{table} VALUES ({marks})", row)
        path = f"{folder}/{table}.parquet"
        made = ", ".join(['1::INTEGER AS id', *(f'0::INTEGER AS "{name.replace(chr(34), chr(34) * 2)}"' for name in part)])
        lake_writer.execute(f"CREATE OR REPLACE TEMP TABLE made AS SELECT {made} LIMIT 0")
        for row in rows:
            lake_writer.execute(f"INSERT INTO made VALUES ({', '.join('?' for _ in row)})", row)
        lake_writer.execute(f"COPY made TO '{path}'")
        if way == "column_name":
            listed = [sql.SQL("{} integer OPTIONS (column_name {})").format(sql.Identifier(f"c{at}"), sql.Literal(name)) for at, name in enumerate(part)]
            of_lake = [f"c{at}" for at in range(len(part))]
        else:
            listed = [sql.SQL("{} integer").format(sql.Identifier(name)) for name in part]
            of_lake = part
        su.execute(
            sql.SQL("CREATE FOREIGN TABLE {} (id integer, {}) SERVER files OPTIONS (path {})").format(
                sql.Identifier(table), sql.SQL(", ").join(listed), sql.Literal(path)
            )
        )
        for statement in STATEMENTS_OVER_NAMES:
            made = lambda table, names: sql.SQL(" UNION ALL ").join(
                sql.SQL("(" + statement + ")").format(c=sql.Identifier(own), a=sql.Identifier(name[:40] + " alias"), t=sql.Identifier(table))
                for name, own in zip(part, names)
            )
            expected = sorted(su.execute(made(f"heap_{table}", part)).fetchall(), key=repr)
            try:
                got = sorted(su.execute(made(table, of_lake)).fetchall(), key=repr)
            except psycopg.Error as error:
                got = f"{error.sqlstate} {error}"
            if got != expected:
                wrong.append((part, statement, got))
    assert wrong == []


def test_a_folder_s_key_and_value_are_values(su, lake_writer, folder):
    """Keys and values of hive folders."""
    wrong = []
    (folder / "hive").mkdir()
    words = CONTROLS + WORDS
    for at, word in enumerate(words):
        key = f"k{word}"
        path = folder / "hive" / str(at)
        quoted = '"' + key.replace('"', '""') + '"'
        value = "v" + word
        try:
            place = path / f"{key}={urllib.parse.quote(value, safe='')}"
            place.mkdir(parents=True)
            lake_writer.execute(f"COPY (SELECT 1::INTEGER AS id) TO {literal(place / 'one.parquet')}")
            told = lake_writer.execute(f"SELECT id, {quoted} FROM read_parquet('{path}/*/*.parquet', hive_partitioning = true)").fetchall()
        except (duckdb.Error, OSError):
            # What no folder can be called, or DuckDB itself does not find.
            continue
        if told != [(1, value)]:
            continue
        table = f"hive_{at}"
        su.execute(
            sql.SQL("CREATE FOREIGN TABLE {} (id integer, {} text) SERVER files OPTIONS (path {}, hive_partitioning 'true')").format(
                sql.Identifier(table), sql.Identifier(key), sql.Literal(f"{path}/*/*.parquet")
            )
        )
        for statement in (
            "SELECT id, {c} FROM {t}",
            "SELECT id, {c} FROM {t} WHERE {c} = {v}",
            "SELECT count(*)::int, {c} FROM {t} WHERE {c} = {v} GROUP BY {c}",
            "SELECT a.id, b.{c} FROM {t} a JOIN {t} b USING ({c})",
        ):
            try:
                got = su.execute(sql.SQL(statement).format(c=sql.Identifier(key), t=sql.Identifier(table), v=sql.Literal(value))).fetchall()
            except psycopg.Error as error:
                got = f"{error.sqlstate} {error}"
            if got != [(1, value)]:
                wrong.append((word, statement, got))
    assert su.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'hive\\_%'").fetchone()[0] > 40
    assert wrong == []
