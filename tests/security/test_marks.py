"""Texts stay values: literals, parameters, names and aliases of a query on foreign tables come back as
they went in, whatever they hold, and are never a part of the SQL that DuckDB gets."""

import pytest

from texts import CONTROLS, generated, marks, shown, singles, standard
from worlds import identifier, literal

# {t} is the table, {x} the text. Each gives the same on the heap.
TEMPLATES = {
    "equality": "SELECT count(*) FROM {t} WHERE shop = {x}",
    "inequality": "SELECT i FROM {t} WHERE shop <> {x} ORDER BY i LIMIT 3",
    "output": "SELECT i, {x}::text AS c FROM {t} ORDER BY i LIMIT 2",
    "concatenation": "SELECT name || {x} FROM {t} ORDER BY i LIMIT 2",
    "around": "SELECT {x} || name || {x} FROM {t} ORDER BY i LIMIT 2",
    "IN": "SELECT i FROM {t} WHERE name IN ({x}, 'name1') ORDER BY i",
    "NOT IN": "SELECT count(*) FROM {t} WHERE name NOT IN ({x}, 'name1')",
    "position": "SELECT sum(position({x} IN name)) FROM {t}",
    "replace": "SELECT replace(name, 'a', {x}) FROM {t} ORDER BY i LIMIT 2",
    "CASE": "SELECT CASE WHEN i = 1 THEN {x} ELSE name END FROM {t} ORDER BY i LIMIT 3",
    "CASE of": "SELECT count(*) FROM {t} WHERE CASE name WHEN {x} THEN true ELSE i > 3 END",
    "coalesce": "SELECT coalesce(nullif(name, 'name1'), {x}) FROM {t} ORDER BY i LIMIT 3",
    "string_agg": "SELECT string_agg(name, {x} ORDER BY i) FROM {t} WHERE i < 4",
    "GROUP BY": "SELECT shop || {x}, count(*) FROM {t} GROUP BY shop || {x} ORDER BY 1",
    "HAVING": "SELECT shop, count(*) FROM {t} GROUP BY shop HAVING max(name) <> {x} ORDER BY 1",
    "array": "SELECT ARRAY[{x}, name] FROM {t} ORDER BY i LIMIT 2",
    "ANY": "SELECT i FROM {t} WHERE name = ANY (ARRAY[{x}, 'name2']) ORDER BY i",
    "sub-query": "SELECT i, (SELECT max(name) FROM {t} b WHERE b.shop <> {x}) FROM {t} ORDER BY i LIMIT 2",
    "EXISTS": "SELECT count(*) FROM {t} a WHERE EXISTS (SELECT 1 FROM {t} b WHERE b.i = a.i AND b.name <> {x})",
    "set operation": "SELECT name FROM {t} WHERE i = 1 UNION ALL SELECT {x}::text FROM {t} WHERE i = 2",
    "VALUES": "SELECT t.name || v.y FROM {t} t, (VALUES (1, {x}::text), (2, 'z')) v(k, y) WHERE v.k = t.i ORDER BY 1",
    "CTE": "WITH c AS MATERIALIZED (SELECT name || {x} AS y, i FROM {t}) SELECT a.y FROM c a JOIN c b USING (i) ORDER BY i LIMIT 2",
    "window": "SELECT max(name || {x}) OVER (PARTITION BY shop || {x}) FROM {t} ORDER BY i LIMIT 2",
    "LIKE": "SELECT count(*) FROM {t} WHERE name NOT LIKE '%%' || replace({x}, '\\', '') || '%%'",
    "starts_with": "SELECT count(*) FROM {t} WHERE starts_with(name || {x}, name || {x})",
    "length": "SELECT DISTINCT length(name || {x}) - length(name), ascii({x} || name) FROM {t} ORDER BY 1",
    "ORDER BY": "SELECT name FROM {t} ORDER BY {x} || shop, i LIMIT 3",
    "join condition": "SELECT count(*) FROM {t} a JOIN {t} b ON a.i = b.i AND a.name || {x} = b.name || {x}",
    "full join": "SELECT count(*), max(a.name || {x}) FROM {t} a FULL JOIN {t} b ON a.i = b.i AND b.shop <> {x}",
    "lateral": "SELECT l.y FROM {t} a, LATERAL (SELECT a.name || {x} AS y) l ORDER BY a.i LIMIT 2",
    "two texts": "SELECT {x} || shop || {x} FROM {t} a, (VALUES ({x}::text)) v(y) WHERE v.y = {x} ORDER BY a.i LIMIT 2",
}  # fmt: skip
WAYS = ("literal", "parameter", "prepared")


def both(session, template, text, way):
    answers = []
    for table in ("people", "heap_people"):
        if way == "literal":
            outcome = session.run(template.replace("{t}", table).replace("{x}", literal(text)).replace("%%", "%"))
        else:
            statement = template.replace("{t}", table)
            count = statement.count("{x}")
            statement = statement.replace("{x}", "%s::text")
            outcome = session.run(statement, [text] * count, prepare=way == "prepared")
        answers.append(outcome)
    lake, heap = answers
    assert not lake.lost, (template, text, lake)
    assert (lake.state, lake.rows) == (heap.state, heap.rows), (template, text, lake, heap)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_texts_in_queries_are_what_they_are_on_the_heap(world, template, way):
    session = world.session("reader")
    for text in standard(template) if way == "literal" else standard(template)[4:14]:
        both(session, TEMPLATES[template], text, way)


@pytest.mark.parametrize("text", singles(), ids=shown)
def test_each_character_and_word_in_a_literal(world, text):
    session = world.session("reader")
    for template in ("equality", "two texts"):
        both(session, TEMPLATES[template], text, "literal")


@pytest.mark.parametrize("seed", range(6))
def test_generated_texts_everywhere(world, seed):
    session = world.session("reader")
    for number, template in enumerate(TEMPLATES.values()):
        for text in generated(f"{seed} {number}", 1):
            both(session, template, text, "literal" if seed % 2 else "parameter")


@pytest.mark.parametrize("part", range(4))
def test_texts_in_the_form_of_marks(world, part):
    session = world.session("reader")
    for text in list(marks())[part::4]:
        both(session, TEMPLATES["around"], text, "literal")


PAYLOADS = [
    "SELECT content FROM read_text('{secret}/canary.txt')",
    "SELECT content FROM read_text('/etc/passwd')",
    "SELECT max(a) FROM '{vault}canary.parquet'",
    "SELECT max(a) FROM '{base}other/canary.parquet'",
    "SELECT max(a) FROM read_csv('http://{http}/x.csv')",
    "SELECT max(secret) FROM '{base}papers/papers.parquet'",
]


@pytest.mark.parametrize("role", ["reader", "viewer", "inserter", "querier", "postgres"])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_becomes_sql(world, role, payload):
    """Two literals, of which a mark puts the one outside of its quotes; also through a superuser's view and by one."""
    session, payload = world.session(role), world.filled(payload)
    table = "few" if role == "viewer" else "people"
    for index in range(4):
        for mark in ("\x030:{}\x03", "\x031:{}\x03"):
            first = literal(mark.format(index))
            for statement in (
                f"SELECT t.name || {first} FROM {table} t, (VALUES (1, {literal(f' || ({payload}) || ')}), (2, NULL)) v(y, x) WHERE v.y = 1 ORDER BY t.i LIMIT 1",
                f"SELECT count(*) FROM {table} t, (VALUES (1, {literal(f' OR ({payload}) IS NOT NULL OR ')}), (2, NULL)) v(y, x) WHERE t.name = {first}",
            ):
                lake, heap = session.run(statement), session.run(statement.replace(f"FROM {table}", f"FROM heap_{table}"))
                assert not lake.lost, lake
                assert (lake.state, lake.rows) == (heap.state, heap.rows), (statement, lake, heap)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_parameter_becomes_sql(world, payload):
    """An application's end user, whose text is a bound parameter of a fixed statement."""
    session = world.session("reader")
    payload = world.filled(payload)
    statement = "SELECT t.name || %s::text FROM people t, (VALUES (1, %s::text), (2, NULL)) v(y, x) WHERE v.y = 1 ORDER BY t.i LIMIT 1"
    for index in range(3):
        text = f"\x030:{index}\x03"
        for value in (f" || ({payload}) || ", f"' || ({payload}) || '", f"'; {payload} --"):
            for values in ((text, value), (value, text), (value, value)):
                rows = session.rows(statement, values)
                assert rows == [("name0" + values[0],)]


# ---- names


@pytest.mark.parametrize("text", [*standard(1), *(chr(code) for code in range(1, 9))], ids=shown)
def test_aliases_come_back(world, text):
    text = text[:20]
    session = world.session("reader")
    conn = session.conn
    for statement in (
        f"SELECT i AS {identifier(text)} FROM people ORDER BY 1 LIMIT 2",
        f"SELECT t.{identifier(text)} FROM people AS t(i, {identifier(text)}) ORDER BY i LIMIT 2",
        f"SELECT {identifier(text)}.i AS {identifier(text)} FROM people AS {identifier(text)} ORDER BY 1 LIMIT 2",
        f"WITH {identifier(text)} AS MATERIALIZED (SELECT i AS {identifier(text)} FROM people) SELECT * FROM {identifier(text)} ORDER BY 1 LIMIT 2",
        f"SELECT * FROM (SELECT shop AS {identifier(text)}, count(*) FROM people GROUP BY 1) s ORDER BY 1 LIMIT 2",
    ):
        rows = {}
        for table in ("people", "heap_people"):
            cursor = conn.execute(statement.replace("people", table))
            rows[table] = (cursor.fetchall(), [column.name for column in cursor.description])
        assert rows["people"] == rows["heap_people"], statement


@pytest.fixture(scope="module")
def named(world):
    """A schema for tables with odd names."""
    world.su("CREATE SCHEMA named")
    yield "named"
    world.su("DROP SCHEMA named CASCADE")


@pytest.mark.parametrize("text", [*standard(2), *CONTROLS[:8]], ids=shown)
def test_columns_of_tables_by_any_name(world, named, text):
    """Read as a superuser too: whoever reads must not run what a table's owner has called a column."""
    text = text[:20]
    su = world.session("postgres")
    for statement in (
        f"CREATE FOREIGN TABLE named.c (i bigint, {identifier(text)} text OPTIONS (column_name 'name')) SERVER open OPTIONS (path '{world.base}open/people.parquet')",
        f"CREATE FOREIGN TABLE named.c (i bigint, name text OPTIONS (column_name {literal(text)})) SERVER open OPTIONS (path '{world.base}open/people.parquet')",
        f"CREATE FOREIGN TABLE named.{identifier(text)} (i bigint, name text) SERVER open OPTIONS (path '{world.base}open/people.parquet')",
    ):
        made = su.run(statement)
        if made.error:
            assert made.state in ("HV024", "42602", "42601", "22023", "HV00D"), made
            continue
        (name,) = su.rows("SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'named'::regnamespace AND relkind = 'f'")[0]
        try:
            for session in (su, world.session("reader")):
                world.su(f"GRANT USAGE ON SCHEMA named TO {world.role('reader')}; GRANT SELECT ON {name} TO {world.role('reader')}")
                for query in (f"SELECT * FROM {name} ORDER BY 1 LIMIT 1", f"SELECT count(*) FROM {name} a JOIN {name} b USING (i)"):
                    outcome = session.run(query)
                    assert outcome.rows in ([(0, "name0")], [(20,)]) or outcome.state in ("42703", "0A000"), outcome
        finally:
            world.su(f"DROP FOREIGN TABLE {name}")


FILE_NAMES = [*standard(3), "\x030:1\x03", "' || (SELECT content FROM read_text('/etc/passwd')) || '", '" FROM range(3) --', "\x03", "\x04"]


@pytest.mark.parametrize("kind", ["parquet", "json", "csv"])
@pytest.mark.parametrize("text", FILE_NAMES, ids=shown)
def test_columns_of_files_by_any_name(world, named, text, kind):
    """A writer of objects chooses the names of columns."""
    text = text[:60]
    if kind == "csv" and ("\n" in text or "\r" in text or '"' in text):
        text = text.replace("\n", "").replace("\r", "").replace('"', "")
    place = f"{world.base}open/odd.{kind}"
    world.writer.execute(f"COPY (SELECT 1 AS i, 'v' AS {identifier(text)}) TO '{place}' (FORMAT {kind})")
    querier, su = world.session("querier"), world.session("postgres")
    for session in (querier, su):
        outcome = session.run(f"SELECT * FROM duckdb.query($q$ FROM '{place}' $q$)")
        assert outcome.rows == [(1, "v")] or outcome.state in ("0A000", "42602", "42601", "22021", "42701", "42703", "22023"), outcome
    made = su.run(f"CREATE FOREIGN TABLE named.f () SERVER open OPTIONS (path '{place}')")
    if made.error:
        assert made.state in ("HV024", "42602", "42601", "22023", "42622", "0A000", "42701", "22021", "42703"), made
        return
    try:
        world.su(f"GRANT USAGE ON SCHEMA named TO {world.role('reader')}; GRANT SELECT ON named.f TO {world.role('reader')}")
        for session in (su, world.session("reader")):
            outcome = session.run("SELECT * FROM named.f WHERE i = 1")
            assert outcome.rows == [(1, "v")] or outcome.state in ("42703", "0A000", "42804"), outcome
    finally:
        world.su("DROP FOREIGN TABLE named.f")


@pytest.mark.parametrize("text", standard(4), ids=shown)
def test_labels_of_enums(world, named, text):
    text = text[:40]
    world.su(f"CREATE TYPE named.e AS ENUM ('Basel', 'Lyon', 'Porto', {literal(text)})")
    try:
        world.su(f"CREATE FOREIGN TABLE named.en (i bigint, shop named.e) SERVER open OPTIONS (path '{world.base}open/people.parquet')")
        su = world.session("postgres")
        for statement, rows in (
            ("SELECT count(*) FROM named.en WHERE shop <> {x}", [(20,)]),
            ("SELECT count(*) FROM named.en WHERE shop = {x}", [(0,)]),
            ("SELECT CASE WHEN i = 0 THEN {x} ELSE shop END FROM named.en ORDER BY i LIMIT 1", [(text,)]),
        ):
            assert su.rows(statement.replace("{x}", f"{literal(text)}::named.e")) == rows
    finally:
        world.su("DROP FOREIGN TABLE IF EXISTS named.en")
        world.su("DROP TYPE named.e CASCADE")
