"""Values, names and messages in a lake: whatever they hold, they are stored and read back as they are, other
rows stay findable, and none of them becomes SQL in the catalog or in DuckDB."""

import contextlib

import duckdb
import pytest

from texts import CONTROLS, PLACEHOLDERS, PUNCTUATION, generated, shown, standard
from worlds import execute, identifier, literal, query

TEXTS = [*PLACEHOLDERS, *CONTROLS, *PUNCTUATION, *standard(11)]
# As a last resort a text may be refused, clearly.
REFUSALS = ("22023", "0A000", "22021", "42501", "22P02", "42602")


def notes_in(world, storage):
    lake = world.lake(inlining=0 if storage == "files" else None)
    lake.client.execute("CREATE TABLE notes (id BIGINT, note VARCHAR)")
    lake.client.execute("INSERT INTO notes SELECT -i, 'plain' || i FROM range(1, 6) t(i)")
    lake.serve()
    lake.table("notes", "id bigint, note text", f"GRANT SELECT, INSERT, UPDATE, DELETE ON {{table}} TO {world.role('inserter')}")
    return lake


@pytest.fixture(scope="module")
def notes(world):
    """A lake's table of texts, kept in the catalog."""
    lake = notes_in(world, "inlined")
    yield lake
    lake.close()


@pytest.fixture(scope="module", params=["inlined", "files"])
def stored(world, request, notes):
    """The same, also in files."""
    lake = notes if request.param == "inlined" else notes_in(world, "files")
    yield lake
    if lake is not notes:
        lake.close()


INSERTS = {
    "literal": lambda table, text: f"INSERT INTO {table} VALUES (1, {literal(text)})",
    "select": lambda table, text: f"INSERT INTO {table} SELECT 1, {literal(text)}",
    "computed": lambda table, text: f"INSERT INTO {table} SELECT 1, {literal(text[:1])} || {literal(text[1:])}",
    "parameter": None,
    "copy": None,
    "update": None,
}


def insert(session, table, text, way):
    if way == "parameter":
        return session.run(f"INSERT INTO {table} VALUES (1, %s)", (text,))
    if way == "copy":
        import psycopg

        from worlds import Outcome

        try:
            with session.conn.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
                copy.write_row((1, text))
        except psycopg.Error as error:
            return Outcome(None, error)
        return Outcome([])
    if way == "update":
        made = session.run(f"INSERT INTO {table} VALUES (1, 'to be changed')")
        return made if made.error else session.run(f"UPDATE {table} SET note = %s WHERE id = 1", (text,))
    return session.run(INSERTS[way](table, text))


def check_note(world, session, table, text):
    """The row is there as it went in, found by equality, and so are the others."""
    outcome = session.run(f"SELECT note FROM {table} WHERE id = 1")
    assert outcome.rows == [(text,)], (text, outcome)
    for parameters, condition in (((text,), "%s"), (None, literal(text))):
        outcome = session.run(f"SELECT id FROM {table} WHERE note = {condition}", parameters)
        assert outcome.rows == [(1,)], (text, outcome)
    outcome = session.run(f"SELECT id FROM {table} WHERE note = 'plain5'")
    assert outcome.rows == [(-5,)], (text, outcome)
    assert session.rows(f"SELECT count(*) FROM {table} WHERE note <> {literal(text)}") == [(5,)]


STORED = [*standard(11)[:12], *PLACEHOLDERS[:6]]


# Each way meets a sixth of the texts; all of them meet the INSERTs of the next test.
@pytest.mark.parametrize("way,text", [(way, text) for number, way in enumerate(INSERTS) for text in STORED[number::6]], ids=shown)
def test_values_are_stored_and_found(world, stored, text, way):
    notes, session, table = stored, world.session("inserter"), f"{stored.name}_notes"
    try:
        made = insert(session, table, text, way)
        if made.error is not None:
            assert not made.lost and made.state in REFUSALS, made
            return
        check_note(world, session, table, text)
        # As DuckDB itself sees it.
        assert notes.client.execute("SELECT note FROM notes WHERE id = 1").fetchall() == [(text,)]
    finally:
        session.run(f"DELETE FROM {table} WHERE id = 1")
        world.su(f"DELETE FROM {table} WHERE id = 1")


def test_all_texts_together(world, stored):
    """Every character and word at once, in one INSERT and in some by themselves, then each is found by equality."""
    session, table = world.session("inserter"), f"{stored.name}_notes"
    texts = [*dict.fromkeys([*TEXTS, *generated(12, 60)])]
    refused = []
    for number, text in enumerate(texts):
        made = session.run(f"INSERT INTO {table} VALUES (%s, %s)", (number + 10, text)) if number % 16 == 0 else None
        if made is not None and made.error is not None:
            assert made.state in REFUSALS, made
            refused.append(text)
    rest = [(number + 10, text) for number, text in enumerate(texts) if number % 16]
    made = session.run(f"INSERT INTO {table} SELECT * FROM unnest(%s::bigint[], %s::text[])", ([n for n, _ in rest], [t for _, t in rest]))
    try:
        if made.error is not None:
            assert made.state in REFUSALS, made
        found = dict(session.rows(f"SELECT id, note FROM {table} WHERE id > 0"))
        for number, text in found.items():
            assert texts[number - 10] == text
        assert len(found) == len(texts) - len(refused) - (0 if made.error is None else len(rest))
        for number, text in list(found.items())[::3]:
            assert session.rows(f"SELECT id FROM {table} WHERE note = %s", (text,)) == [(number,)], text
        for number in range(1, 6):
            assert session.rows(f"SELECT id FROM {table} WHERE note = 'plain{number}'") == [(-number,)]
    finally:
        world.su(f"DELETE FROM {table} WHERE id > 0")


CATALOG_PAYLOADS = ["' || (SELECT 'x')::int || '", "'; DROP TABLE {schema}.ducklake_tag; --", "' || (SELECT rolpassword FROM pg_authid LIMIT 1) || '", "', (SELECT 1), '", "''", "'", "{DATA_PATH}", "{AUTHOR}{COMMIT_MESSAGE}", "\x03", "\n'\x01", "' || pg_sleep(5)::text || '"]


@pytest.mark.parametrize("payload", CATALOG_PAYLOADS, ids=shown)
@pytest.mark.parametrize("where", ["commit_message", "application_name", "role"])
def test_messages_and_names_run_nothing(world, notes, payload, where):
    """A message, with a row that holds the word which DuckLake puts it in for."""
    table, payload = f"{notes.name}_notes", payload.replace("{schema}", notes.schema)
    tables = notes.fetch("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")
    who = "inserter"
    name = None
    if where == "role":
        name = payload[:60]
        world.su(f"CREATE ROLE {identifier(name)} LOGIN")
        world.roles["odd"] = name
        world.su(f"GRANT SELECT, INSERT, DELETE ON {table} TO {identifier(name)}")
        who = "odd"
    try:
        with world.new_session(who) as session:
            if where == "commit_message":
                session.rows("SELECT set_config('duckdb.commit_message', %s, false)", (payload,))
            elif where == "application_name":
                session.rows("SELECT set_config('application_name', %s, false)", (payload,))
            (sent,) = session.rows("SELECT current_setting('duckdb.commit_message', true)" if where == "commit_message" else "SELECT current_setting('application_name')")[0] if where != "role" else (name,)
            for note in ("{COMMIT_MESSAGE}", "{AUTHOR}{COMMIT_EXTRA_INFO}"):
                made = session.run(f"INSERT INTO {table} VALUES (2, {literal(note)})")
                if made.error is not None:
                    assert not made.lost and made.state in REFUSALS, made
                    continue
                assert session.rows(f"SELECT note FROM {table} WHERE id = 2") == [(note,)]
                (author, message) = notes.client.execute(f"SELECT author, commit_message FROM ducklake_snapshots('{notes.name}') ORDER BY snapshot_id DESC LIMIT 1").fetchone()
                assert (author if where == "role" else message) == sent or sent == ""
                session.rows(f"DELETE FROM {table} WHERE id = 2")
        assert notes.fetch("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()") == tables or tables[0][0] > 20
        assert notes.fetch("SELECT count(*) FROM ducklake_tag") is not None
    finally:
        world.su(f"DELETE FROM {table} WHERE id = 2")
        if name is not None:
            world.roles.pop("odd")
            world.su(f"DROP OWNED BY {identifier(name)}; DROP ROLE {identifier(name)}")


@pytest.mark.parametrize("payload", [*CATALOG_PAYLOADS[:6], *PLACEHOLDERS[:5]], ids=shown)
def test_set_commit_message_runs_nothing(world, notes, payload):
    session, lake = world.session("executor"), notes.name
    payload = payload.replace("{schema}", notes.schema)
    for call in (f"CALL {lake}.set_commit_message({literal(payload)}, {literal(payload)})", f"CALL {lake}.set_commit_message('a', 'b', extra_info => {literal(payload)})"):
        for note in ("{COMMIT_MESSAGE}", "{AUTHOR}{COMMIT_EXTRA_INFO}"):
            session.run("BEGIN")
            outcomes = [session.run(execute(call)), session.run(execute(f"INSERT INTO {lake}.main.notes VALUES (3, {literal(note)})")), session.run("COMMIT")]
            session.run("ROLLBACK")
            failed = [outcome for outcome in outcomes if outcome.error is not None]
            assert all(outcome.state in (*REFUSALS, "25P02") and not outcome.lost for outcome in failed), failed
            if not failed:
                assert notes.client.execute("SELECT note FROM notes WHERE id = 3").fetchall() == [(note,)]
            world.su(f"DELETE FROM {lake}_notes WHERE id = 3")


WRITES = {
    "INSERT": "INSERT INTO {lake}.main.notes VALUES (4, {x})",
    "INSERT SELECT": "INSERT INTO {lake}.main.notes SELECT 4, {x}",
    "MERGE": "MERGE INTO {lake}.main.notes n USING (SELECT 4 AS id, {x} AS note) s ON n.id = s.id WHEN NOT MATCHED THEN INSERT (id, note) VALUES (s.id, s.note)",
    "CREATE AS": "CREATE TABLE {lake}.main.made AS SELECT 4 AS id, {x} AS note",
    "UPDATE": "UPDATE {lake}.main.notes SET note = {x} WHERE id = -1",
    "DELETE": "DELETE FROM {lake}.main.notes WHERE note = {x}",
}


@pytest.mark.parametrize("write", WRITES)
def test_texts_in_statements_for_duckdb(world, notes, write):
    session, lake = world.session("executor"), notes.name
    for text in [*standard(13)[:10], *PLACEHOLDERS[:6]]:
        session.run("BEGIN")
        made = session.run(execute(WRITES[write].replace("{lake}", lake).replace("{x}", literal(text))))
        if made.error is None:
            if write in ("INSERT", "INSERT SELECT", "MERGE", "CREATE AS"):
                table = "made" if write == "CREATE AS" else "notes"
                assert session.rows(query(f"SELECT note FROM {lake}.main.{table} WHERE id = 4")) == [(text,)]
                assert session.rows(query(f"SELECT id FROM {lake}.main.{table} WHERE note = {literal(text)}")) == [(4,)]
        else:
            assert not made.lost and made.state in REFUSALS, made
        session.run("ROLLBACK")
    assert notes.client.execute("SELECT count(*) FROM notes WHERE note LIKE 'plain%'").fetchall() == [(5,)]


NAMES = [*PLACEHOLDERS[:5], "it's", 'q"q', "a b", "x;y", "--", "/*", "$1", "\x03", "\x030:1\x03", "\x04", "\\", "{", "%s", "é\u202e", "\n", "' || (SELECT 1) || '", "SELECT", "a.b"]


@pytest.mark.parametrize("name", NAMES, ids=shown)
def test_names_in_lakes(world, notes, name):
    """Tables, columns, schemas, comments and views of any name, made by a writer of the lake and read here."""
    lake, client = notes, notes.client
    columns = {f"x{name}": 1, name: 2}
    # DuckLake itself cannot make some.
    try:
        client.execute(f"CREATE TABLE {identifier('t' + name)} AS SELECT " + ", ".join(f"{value} AS {identifier(column)}" for column, value in columns.items()))
    except Exception:
        made = world.session("executor").run(execute(f"CREATE TABLE {lake.name}.main.{identifier('t' + name)} AS SELECT 1 AS {identifier(name)}"))
        assert made.error is not None and not made.lost and made.state != "XX000", made
        return
    try:
        comment = f"about {name}"
        try:
            client.execute(f"COMMENT ON TABLE {identifier('t' + name)} IS {literal(comment)}")
        except Exception:
            comment = None
        su, querier = world.session("postgres"), world.session("querier")
        world.su("CREATE SCHEMA IF NOT EXISTS lakenames")
        imported = su.run(f"IMPORT FOREIGN SCHEMA main LIMIT TO ({identifier('t' + name)}) FROM SERVER {lake.name} INTO lakenames")
        assert imported.error is None or not imported.lost and imported.state in (*REFUSALS, "HV00Q", "HV024", "42P01", "42703"), imported
        if imported.error is None:
            for (table, told) in su.rows("SELECT oid::regclass::text, obj_description(oid) FROM pg_class WHERE relnamespace = 'lakenames'::regnamespace AND relkind = 'f'"):
                assert told == comment or comment is None or told is None
                outcome = su.run(f"SELECT * FROM {table}")
                assert outcome.rows == [tuple(columns.values())] or outcome.state in (*REFUSALS, "42703"), outcome
        outcome = querier.run(query(f"SELECT * FROM {lake.name}.main.{identifier('t' + name)}"))
        assert outcome.rows == [tuple(columns.values())] or not outcome.lost and outcome.state in (*REFUSALS, "42P01"), outcome
        for session in (su, querier):
            outcome = session.run(f"SELECT count(*) FROM duckdb.table_info('{lake.name}')")
            assert outcome.error is None or outcome.state in ("42501", *REFUSALS), outcome
        outcome = su.run(f"SELECT changes::text FROM duckdb.snapshots('{lake.name}')")
        assert outcome.error is None, outcome
    finally:
        with contextlib.suppress(duckdb.Error):
            client.execute(f"DROP TABLE {identifier('t' + name)}")
        world.su("DROP SCHEMA IF EXISTS lakenames CASCADE")


@pytest.mark.parametrize("kind", ["INTEGER", "DATE", "BOOLEAN", "DOUBLE", "DECIMAL(9,2)", "BLOB", "UUID", "VARCHAR[]", "STRUCT(a VARCHAR)", "JSON", "MAP(VARCHAR, VARCHAR)"])
def test_words_inside_of_other_types(world, notes, kind):
    """Defaults, comments and values of nested types hold the words as well."""
    client, lake = notes.client, notes.name
    values = {"VARCHAR[]": "['{SNAPSHOT_ID}', '{DATA_PATH}']", "STRUCT(a VARCHAR)": "{'a': '{COMMIT_MESSAGE}'}", "JSON": """'{"a": "{AUTHOR}"}'""", "MAP(VARCHAR, VARCHAR)": "MAP {'{SNAPSHOT_ID}': '{DATA_PATH}'}", "BLOB": "'{SNAPSHOT_ID}'::BLOB"}
    client.execute(f"CREATE OR REPLACE TABLE typed (id BIGINT, v {kind})")
    session = world.session("executor")
    made = session.run(execute(f"INSERT INTO {lake}.main.typed VALUES (1, {values.get(kind, 'NULL')}), (2, NULL)"))
    if made.error is not None:
        assert not made.lost and made.state in REFUSALS, made
    else:
        expected = client.execute(f"SELECT ({values.get(kind, 'NULL')})::{kind}::VARCHAR").fetchone()
        assert session.rows(query(f"SELECT v::VARCHAR AS v FROM {lake}.main.typed WHERE id = 1")) == [expected]
    client.execute("DROP TABLE typed")
