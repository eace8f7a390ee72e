"""DuckLake 1.0 replaces words such as {SNAPSHOT_ID} in finished statements for its catalog, wherever they stand there.
Values, names and messages that hold one are refused before anything is kept, and conditions with one find what they name."""

import itertools

import pytest

from lakes import execute, literal, query
from support import failure

WORDS = [
    "{SNAPSHOT_ID}",
    "{SCHEMA_VERSION}",
    "{NEXT_CATALOG_ID}",
    "{NEXT_FILE_ID}",
    "{AUTHOR}",
    "{COMMIT_MESSAGE}",
    "{COMMIT_EXTRA_INFO}",
    "{METADATA_CATALOG}",
    "{METADATA_CATALOG_NAME_LITERAL}",
    "{METADATA_CATALOG_NAME_IDENTIFIER}",
    "{METADATA_SCHEMA_NAME_LITERAL}",
    "{METADATA_SCHEMA_ESCAPED}",
    "{METADATA_PATH}",
    "{DATA_PATH}",
]
AROUND = ["{}", "it's {}", "{{{}}}", '"{}" \\ é', "a{}b{}"]
VALUES = [around.replace("{{", "{").replace("}}", "}").replace("{}", word) for around, word in zip(itertools.cycle(AROUND), WORDS)]
# One of them for each value, others with the next catalog and table.
COLUMNS = itertools.cycle([("t", "%s::text"), ("j", "to_jsonb(%s::text)::json"), ("b", "convert_to(%s, 'UTF8')"), ("l", "ARRAY['a', %s]"), ("t", "%s::text")])
# What looks like one and is none.
PLAIN = ["{snapshot_id}", "{SNAPSHOT_ID", "SNAPSHOT_ID}", "{}", "{TABLE_ID}", "{DUCKLAKE_CATALOG}", "{SNAPSHOT _ID}", "'{", '{"a": 1}', "", "{SNAPSHOT_ID]}"]
# The message, not the values, is what an attacker would write into other places.
MESSAGE = "' || (SELECT count(*) FROM pg_authid)::text || '"


@pytest.fixture(scope="module", params=["postgres", "sqlite", "duckdb"])
def lake(request, lakes, su):
    lake = lakes.make(f"ph_{request.param}", catalog=request.param)
    for name, limit in (("inlined", 100), ("files", 0)):
        execute(su, f"CREATE TABLE {lake.name}.main.{name} (id BIGINT, t VARCHAR, j JSON, b BLOB, l VARCHAR[])")
        su.execute(f"SELECT duckdb.set_option('{lake.name}', 'data_inlining_row_limit', '{limit}', table_name => '{name}')")
    lake.import_into(f"{lake.name}_s")
    return lake


@pytest.fixture(params=["inlined", "files"])
def table(request, lake, su):
    name = f"{lake.name}_s.{request.param}"
    su.execute(f"TRUNCATE {name}")
    su.execute(f"INSERT INTO {name} VALUES (1, 'a', '[1]', 'x', '{{k}}'), (2, 'zz', '[2]', 'y', '{{m}}')")
    return name


def rows(conn, table):
    return conn.execute(f"SELECT id, t FROM {table} ORDER BY id, t").fetchall()


def refused(conn, statement, parameters=None):
    error = failure(conn, statement, parameters)
    assert error.sqlstate == "22023", error
    assert "DuckLake would replace" in str(error)
    return str(error)


@pytest.mark.parametrize("value", VALUES, ids=WORDS)
def test_values_are_refused(su, table, lake, value):
    far = f"{lake.name}.main.{table.split('.')[1]}"
    column, expression = next(COLUMNS)
    # Whole statements, and rows that PostgreSQL makes.
    for statement in [
        f"INSERT INTO {table} (id, {column}) SELECT 3, {expression}",
        f"INSERT INTO {table} (id, {column}) SELECT i, CASE WHEN i = 2000 THEN {expression} END FROM generate_series(1, 2000) i",
        f"INSERT INTO {table} (id, {column}) SELECT pg_backend_pid(), {expression}",
        f"UPDATE {table} SET {column} = {expression} WHERE id = 1",
        f"UPDATE {table} SET {column} = {expression} WHERE pg_backend_pid() > 0",
    ]:
        assert f'"{column}"' in refused(su, statement, [value])
    if "\\" not in value:
        with pytest.raises(Exception) as caught, su.cursor().copy(f"COPY {table} (id, t) FROM STDIN") as copy:
            copy.write_row((3, value))
        assert caught.value.sqlstate == "22023"
    parts = " || ".join(literal(part) for part in value)
    # A superuser's own text runs as it is.
    for statement in [
        f"INSERT INTO {far} (id, t) VALUES (3, {literal(value)})",
        f"UPDATE {far} SET t = {literal(value)} WHERE id = 1",
        f"DELETE FROM {far} WHERE t = {literal(value)}",
    ]:
        refused(su, f"SELECT duckdb.execute({literal(statement)})")
    refused(su, f"SELECT duckdb.create_lake_table('{lake.name}.main.made', {literal(f'SELECT {parts} AS t')})")
    assert rows(su, table) == [(1, "a"), (2, "zz")]
    assert su.execute(f"SELECT id FROM {table} WHERE t = 'zz'").fetchall() == [(2,)]


@pytest.mark.parametrize("value", PLAIN)
def test_what_only_looks_like_one_is_kept(su, table, value):
    su.execute(f"INSERT INTO {table} (id, t) VALUES (3, %s)", [value])
    assert rows(su, table) == [(1, "a"), (2, "zz"), (3, value)]
    assert su.execute(f"SELECT id FROM {table} WHERE t = %s", [value]).fetchall() == [(3,)]


@pytest.mark.parametrize("word", WORDS)
def test_conditions_find_what_they_name(su, table, lake, connect, word):
    name = table.split(".")[1]
    # What another client has written: here it is neither the least nor the greatest.
    if name == "inlined" and lake.catalog != "postgres":
        pytest.skip("DuckLake does not keep it")
    if lake.catalog == "duckdb":
        pytest.skip("a file of one process")
    client = lake.client()
    client.execute(f"INSERT INTO {lake.name}.{name} (id, t) VALUES (3, '!'), (4, ?), (5, '~')", [word])
    client.close()
    for setting in ("on", "off"):
        su.execute(f"SET duckdb.enable_pushdown = {setting}")
        for condition, found in [("t = %s", [4]), ("t <> %s AND id > 2", [3, 5]), ("t >= %s AND id > 2", [4, 5]), ("t IN ('x', %s)", [4])]:
            statement = f"SELECT id FROM {table} WHERE {condition} ORDER BY id"
            assert [row[0] for row in su.execute(statement, [word])] == found, (condition, setting)
            inline = condition.replace("%s", literal(word))
            assert [row[0] for row in su.execute(f"SELECT id FROM {table} WHERE {inline} ORDER BY id")] == found, (condition, setting)
    su.execute("RESET duckdb.enable_pushdown")
    assert query(su, f"SELECT id FROM {lake.name}.{name} WHERE t = {literal(word)}") == [(4,)]
    assert su.execute("SELECT * FROM duckdb.query($$ SELECT id FROM " + f"{lake.name}.{name}" + " WHERE t = $1 $$, %s::text) q", [word]).fetchall() == [(4,)]
    # What is optimized no more is optimized again.
    assert query(su, f"SELECT id FROM {lake.name}.{name} WHERE t = '~'") == [(5,)]
    su.execute(f"DELETE FROM {table} WHERE t = %s", [word])
    assert [row[0] for row in rows(su, table)] == [1, 2, 3, 5]


@pytest.mark.parametrize("word", WORDS)
def test_names_and_texts_are_refused(su, lake, word):
    name = lake.name
    for statement in [
        f'CREATE TABLE {name}.main."{word}" (a INTEGER)',
        f'CREATE TABLE {name}.main.x ("{word}" INTEGER)',
        f'CREATE TABLE {name}.main.x (a STRUCT("{word}" INTEGER))',
        f"CREATE TABLE {name}.main.x (a VARCHAR DEFAULT {literal(word)})",
        f"CREATE VIEW {name}.main.x AS SELECT {literal(word)} AS a",
        f'CREATE SCHEMA {name}."{word}"',
        f"ALTER TABLE {name}.main.files ADD COLUMN c VARCHAR DEFAULT {literal(word)}",
        f'ALTER TABLE {name}.main.files RENAME COLUMN t TO "{word}"',
        f"ALTER TABLE {name}.main.files ALTER COLUMN t SET DEFAULT {literal(word)}",
        f"COMMENT ON TABLE {name}.main.files IS {literal(word)}",
        f"COMMENT ON COLUMN {name}.main.files.t IS {literal(word)}",
        f"CALL {name}.set_commit_message('a', {literal(word)})",
        f"CALL {name}.set_commit_message({literal(word)}, 'a', extra_info => 'x')",
        f"CALL {name}.set_option('parquet_compression', {literal(word)})",
    ]:
        refused(su, f"SELECT duckdb.execute({literal(statement)})")
    refused(su, f"SELECT duckdb.create_lake_table('{name}.main.made', 'SELECT 1 AS \"{word}\"')")
    refused(su, f"SELECT duckdb.create_lake_table('{name}.main.\"{word}\"', 'SELECT 1 AS a')")
    refused(su, f"SELECT duckdb.set_option('{name}', 'parquet_compression', '{word}')")


@pytest.mark.parametrize("word", WORDS)
def test_messages_are_refused_and_names_of_applications_changed(su, lake, connect, word):
    table = f"{lake.name}_s.files"
    su.execute(f"SET duckdb.commit_message = {literal('a ' + word)}")
    refused(su, f"INSERT INTO {table} (id) VALUES (9)")
    su.execute("RESET duckdb.commit_message")
    if lake.catalog == "duckdb":
        su.execute(f"SET application_name = {literal(word)}")
        su.execute(f"INSERT INTO {table} (id) VALUES (9)")
        assert lake.snapshots()[-1][2] == word.replace("{", "(").replace("}", ")")
        su.execute("RESET application_name")
        return
    conn = connect(application_name=word)
    conn.execute(f"INSERT INTO {table} (id) VALUES (9)")
    assert lake.snapshots(conn)[-1][2] == word.replace("{", "(").replace("}", ")")


def test_a_message_is_no_sql(su, lake, table):
    su.execute(f"SET duckdb.commit_message = {literal(MESSAGE)}")
    refused(su, f"INSERT INTO {table} (id, t) VALUES (7, '{{COMMIT_MESSAGE}}')")
    su.execute(f"INSERT INTO {table} (id, t) VALUES (7, 'x')")
    assert lake.snapshots()[-1][2] == MESSAGE
    su.execute("RESET duckdb.commit_message")


def test_an_ordinary_role_cannot_compute_one(su, lakes, role, sandbox, connect):
    lake = lakes.make("ph_role")
    execute(su, "CREATE TABLE ph_role.main.t (id BIGINT, t VARCHAR)")
    execute(su, "INSERT INTO ph_role.main.t VALUES (1, 'a'), (2, 'z')")
    name = role()
    lake.map_user(name)
    su.execute(f"CREATE USER MAPPING FOR {name} SERVER store OPTIONS (key_id '{sandbox.all.key_id}', secret '{sandbox.all.secret}')")
    su.execute(f"GRANT USAGE ON FOREIGN SERVER ph_role TO {name}; GRANT EXECUTE ON FUNCTION duckdb.execute(text) TO {name}")
    conn = connect(name)
    word = "'{SNAPSHOT' || '_ID}'"
    for statement in [
        f"INSERT INTO ph_role.t VALUES (3, {word})",
        f"INSERT INTO ph_role.t BY NAME SELECT 3 AS id, {word} AS t",
        f"UPDATE ph_role.t SET t = {word} WHERE id = 1",
        f"MERGE INTO ph_role.t USING (SELECT 3 AS id, {word} AS t) AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, t) VALUES (s.id, s.t)",
        f"MERGE INTO ph_role.t USING (SELECT 3 AS id, {word} AS t) AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT BY NAME",
        f"MERGE INTO ph_role.t USING (SELECT 1 AS id, {word} AS t) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET t = s.t",
        f"CREATE TABLE ph_role.n AS SELECT {word} AS t",
    ]:
        refused(conn, f"SELECT duckdb.execute({literal(statement)})")
    for statement in [
        "INSERT INTO ph_role.t VALUES (3, 'b'), (4, NULL)",
        "INSERT INTO ph_role.t BY NAME SELECT 'c' AS t, 5 AS id",
        "UPDATE ph_role.t SET t = t || '{}', id = 0 WHERE id = 3",
        "MERGE INTO ph_role.t USING (SELECT 6 AS id, 'm' AS t) AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT BY NAME",
        "MERGE INTO ph_role.t USING (SELECT 6 AS id) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET t = 'mm'",
    ]:
        execute(conn, statement)
    assert sorted(query(su, "SELECT coalesce(id, 0), coalesce(t, '') FROM ph_role.t")) == [(0, "b{}"), (1, "a"), (2, "z"), (4, ""), (5, "c"), (6, "mm")]


STRUCTS = [
    ("STRUCT(d DATE)", "{'d': DATE '2026-01-01'}"),
    ("STRUCT(v VARCHAR)", "{'v': 'it''s \\'}"),
    ("STRUCT(\"a'b\" INTEGER)", "{'a''b': 1}"),
    ("STRUCT(u UUID, b BLOB)", "{'u': '12345678-1234-1234-1234-123456789012'::UUID, 'b': 'x'::BLOB}"),
    ("STRUCT(s STRUCT(t TIMESTAMP))", "{'s': {'t': TIMESTAMP '2026-01-01 01:02:03'}}"),
    ("JSON[]", "['{\"a\": \"b,c\"}'::JSON, '[1]'::JSON]"),
    ("MAP(VARCHAR, JSON[])", "MAP {'k': ['\"x\"'::JSON]}"),
]


@pytest.mark.parametrize("kind,value", STRUCTS)
def test_what_a_catalog_would_lose_is_kept_in_files(su, lake, connect, kind, value):
    name = f"kept_{STRUCTS.index((kind, value))}"
    execute(su, f"CREATE TABLE {lake.name}.main.{name} (id BIGINT, c {kind})")
    execute(su, f"INSERT INTO {lake.name}.main.{name} VALUES (1, {value}), (2, NULL)")
    execute(su, f"UPDATE {lake.name}.main.{name} SET id = 3 WHERE id = 1")
    assert query(su, f"SELECT id, c IS NOT DISTINCT FROM {value} FROM {lake.name}.main.{name} WHERE id <> 2") == [(3, True)]
    # Rows that are few when the table is made.
    made = f"{lake.name}.main.made_{name}"
    few = f"SELECT duckdb.create_lake_table('{made}', {literal(f'SELECT {value} AS c')})"
    if lake.catalog == "duckdb":
        su.execute(few)
    else:
        error = failure(su, few)
        assert error.sqlstate == "0A000" and '"c"' in str(error)
        su.execute(f"SELECT duckdb.create_lake_table('{made}', {literal(f'SELECT {value} AS c FROM range(11)')})")
    assert query(su, f"SELECT DISTINCT c = {value} FROM {made}") == [(True,)]
    if lake.catalog != "duckdb":
        conn = connect(autocommit=False)
        execute(conn, f"CREATE TABLE {lake.name}.main.x_{name} (c {kind})")
        error = failure(conn, f"SELECT duckdb.execute({literal(f'INSERT INTO {lake.name}.main.x_{name} VALUES ({value})')})")
        assert error.sqlstate == "0A000" and '"c"' in str(error)
