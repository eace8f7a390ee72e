"""duckdb.pushed, which stands for a part while a statement is planned: nobody calls it, and nothing that is
stored or shown names it."""

import pytest

import parts
from parts import setting
from support import sqlstate_of


@pytest.fixture(scope="module", autouse=True)
def tables(su, servers, database, lake_writer):
    folder = f"s3://lake/stand/{database}"
    parts.write_facts(lake_writer, folder)
    parts.make_tables(su, folder)
    su.execute("CREATE TABLE dim (k int, label text); INSERT INTO dim SELECT i, 'label ' || i FROM generate_series(0, 4) i; ANALYZE dim")


STATEMENT = "SELECT d.label, count(*) AS n FROM facts f JOIN dim d USING (k) GROUP BY d.label"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM duckdb.pushed(1) AS t(a int)",
        "SELECT * FROM duckdb.pushed(NULL) AS t(a int)",
        "SELECT * FROM duckdb.pushed(1, 2) AS t(a int)",
        "SELECT * FROM duckdb.pushed(1, VARIADIC ARRAY[1]) AS t(a int)",
        "SELECT duckdb.pushed(1)",
        "SELECT * FROM facts JOIN duckdb.pushed(1) AS t(a int) ON a = k",
        "SELECT * FROM facts, LATERAL duckdb.pushed(facts.id) AS t(a int)",
    ],
)
def test_nobody_calls_it(su, statement):
    assert sqlstate_of(su, statement) in ("42501", "0A000", "55000", "XX000", "0A000"), sqlstate_of(su, statement)
    assert su.execute("SELECT count(*) FROM facts JOIN dim USING (k)").fetchone() == (500,)


def test_others_may_not_even_try(connect, role):
    assert sqlstate_of(connect(role()), "SELECT * FROM duckdb.pushed(1) AS t(a int)") is not None


def test_nothing_stored_names_it(su):
    su.execute("LOAD 'pg_pond'")
    su.execute(f"CREATE VIEW seen AS {STATEMENT}")
    su.execute(f"CREATE MATERIALIZED VIEW stored AS {STATEMENT}")
    su.execute("REFRESH MATERIALIZED VIEW stored")
    su.execute(f"CREATE FUNCTION atomic() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT sum(n) FROM ({STATEMENT}) s; END")
    su.execute("CREATE TABLE noted (n bigint); CREATE TABLE watched (i int)")
    su.execute(f"CREATE RULE note AS ON INSERT TO watched DO ALSO INSERT INTO noted SELECT sum(n) FROM ({STATEMENT}) s")
    su.execute("INSERT INTO watched VALUES (1)")
    assert su.execute("SELECT atomic(), (SELECT sum(n) FROM seen), (SELECT sum(n) FROM stored), (SELECT n FROM noted)").fetchone() == (500,) * 4
    texts = su.execute(
        "SELECT pg_get_viewdef('seen'), pg_get_viewdef('stored'), pg_get_functiondef('atomic'::regproc), "
        "(SELECT string_agg(pg_get_ruledef(oid), '') FROM pg_rewrite WHERE oid >= 16384), (SELECT string_agg(ev_action::text, '') FROM pg_rewrite WHERE oid >= 16384)"
    ).fetchone()
    oids = [str(oid) for (oid,) in su.execute("SELECT oid FROM pg_proc WHERE proname = 'pushed'")]
    assert len(oids) == 2
    for text in texts:
        assert "pushed" not in text and not any(f"funcid {oid}" in text for oid in oids)
    dependents = (
        "SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_proc'::regclass AND refobjid IN (SELECT oid FROM pg_proc WHERE proname = 'pushed') "
        "AND deptype = 'n'"
    )
    assert su.execute(dependents).fetchone() == (0,)


@pytest.mark.parametrize("options", ["", "VERBOSE", "ANALYZE, VERBOSE, BUFFERS", "FORMAT json, VERBOSE", "FORMAT xml", "FORMAT yaml, ANALYZE"])
def test_explain_does_not_name_it(su, options):
    for statement in (
        STATEMENT,
        "SELECT to_char(f.id, '999'), row_number() OVER () FROM facts f JOIN dim d USING (k) WHERE to_char(f.k, '9') <> '' ORDER BY 1",
        "SELECT d.k, s.n FROM dim d, LATERAL (SELECT count(*) AS n FROM facts f JOIN dim e USING (k) WHERE e.k >= d.k) s",
        f"INSERT INTO dim SELECT n, label FROM ({STATEMENT} LIMIT 0) s",
        f"UPDATE dim SET label = s.label FROM ({STATEMENT}) s WHERE s.label = 'none'",
    ):
        rows = su.execute(f"EXPLAIN ({options}) {statement}" if options else f"EXPLAIN {statement}").fetchall()
        text = "\n".join(str(row[0]) for row in rows)
        assert "DuckDB" in text and "Function Scan" not in text
        assert "pushed(" not in text and "Function Name" not in text


def test_without_pushdown_there_is_none(su):
    with setting(su, "duckdb.enable_pushdown", "off"):
        kinds = [node["Node Type"] for node in parts.nodes(su, STATEMENT)]
        assert kinds.count("Custom Scan") == 1 and "Seq Scan" in kinds and any("Aggregate" in kind for kind in kinds)
        su.execute(f"PREPARE off AS {STATEMENT}")
        assert len(su.execute("EXECUTE off").fetchall()) == 5
    assert len(su.execute("EXECUTE off").fetchall()) == 5
    su.execute("DEALLOCATE off")
    with setting(su, "duckdb.ship_rows", 0):
        kinds = [node["Node Type"] for node in parts.nodes(su, STATEMENT)]
        assert "Seq Scan" in kinds


def test_event_triggers(su, connect):
    su.execute(
        "CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE NOTICE 'seen % of %', tg_tag, (SELECT count(*) FROM facts JOIN dim USING (k)); END $$"
    )
    su.execute("CREATE EVENT TRIGGER watch_start ON ddl_command_start EXECUTE FUNCTION watch()")
    su.execute("CREATE EVENT TRIGGER watch_end ON ddl_command_end EXECUTE FUNCTION watch()")
    try:
        conn = connect()
        heard = []
        conn.add_notice_handler(lambda diag: heard.append(diag.message_primary))
        conn.execute(f"CREATE TABLE made AS {STATEMENT}")
        assert heard == ["seen CREATE TABLE AS of 500"] * 2
        conn.execute("DROP TABLE made")
        assert heard[2:] == ["seen DROP TABLE of 500"] * 2
    finally:
        su.execute("DROP EVENT TRIGGER watch_start; DROP EVENT TRIGGER watch_end")
