"""A translation that fails and is tried again, for less of the query, starts from nothing: parameters,
shipped rows, roles and security barriers of the first try neither stay nor get lost."""

import json

import pytest
from psycopg import sql

FACTS = """SELECT i::INTEGER AS id, (DATE '2023-01-01' + (i * 37 % 1200)::INTEGER)::DATE AS day, (i % 4)::INTEGER AS x FROM range(1, 200) t(i)"""

VIEWS = """
CREATE VIEW fenced WITH (security_barrier) AS SELECT * FROM facts WHERE x <> 0;
CREATE VIEW heap.fenced WITH (security_barrier) AS SELECT * FROM heap.facts WHERE x <> 0;
CREATE TABLE notes (id integer, note text);
INSERT INTO notes SELECT i, 'note ' || i FROM generate_series(1, 20) i;
CREATE TABLE heap.notes AS SELECT * FROM notes;
ANALYZE notes;
"""

# What DuckDB does not do as PostgreSQL does, so that the expression around it fails.
KEPT = "length(to_char(f.day, 'Q'))"
CASES = {
    "stable values": f"""WITH c AS (SELECT id FROM facts WHERE day > current_date - 730)
        SELECT (SELECT count(*) FROM c) + {KEPT}, (SELECT count(*) FROM facts g WHERE g.day > current_date - 100000) FROM facts f ORDER BY f.id""",
    "stable values, joined": f"""WITH c AS (SELECT id FROM facts WHERE day > current_date - 730)
        SELECT f.id, (SELECT count(*) FROM c) + {KEPT}, (SELECT count(*) FROM c WHERE id > 50) FROM facts f, facts h WHERE f.id = h.id AND h.day > current_date - 100000 ORDER BY 1""",
    "parameters": (
        f"""WITH c AS (SELECT id FROM facts WHERE id > $1::int)
        SELECT f.id, (SELECT min(id) FROM c) + {KEPT}, (SELECT count(*) FROM facts g WHERE g.id > $2::int) FROM facts f ORDER BY 1""",
        (150, 20),
    ),
    "shipped rows": f"""WITH c AS (SELECT f.id, n.note FROM facts f JOIN notes n USING (id))
        SELECT f.id, (SELECT max(note COLLATE "C") FROM c) || to_char(f.day, 'Q'), (SELECT count(*) FROM facts g JOIN (SELECT id FROM notes WHERE id < 4) n USING (id)) FROM facts f ORDER BY 1""",
    "shipped rows of two tables": f"""WITH c AS (SELECT g.id FROM facts g JOIN notes n USING (id))
        SELECT f.id, (SELECT count(*) FROM c)::int + {KEPT}, (SELECT max(n.id) FROM facts g JOIN (SELECT id FROM notes WHERE id < 4) n USING (id)), (SELECT min(id) FROM c) FROM facts f ORDER BY 1""",
    "a condition": f"""WITH c AS (SELECT id FROM facts WHERE day > current_date - 730)
        SELECT count(*) FROM facts f, facts h WHERE f.id = h.id AND (SELECT max(id) FROM c) + {KEPT} > 0 AND h.day > current_date - 100000 AND f.id < (SELECT count(*) FROM c)""",
    "nested CTEs": f"""WITH b AS (SELECT id, day FROM facts WHERE day > current_date - 900), c AS (SELECT id FROM b WHERE day > current_date - 730)
        SELECT f.id, (SELECT count(*) FROM c) + {KEPT}, (SELECT count(*) FROM b), (SELECT count(*) FROM facts g WHERE g.day > current_date - 100000) FROM facts f ORDER BY 1""",
    "a barrier": "WITH c AS (SELECT * FROM fenced) SELECT (SELECT count(*) FROM c WHERE 1 / x > 0) FROM facts f ORDER BY f.id",
}


@pytest.fixture(scope="module")
def facts(su, servers, lake_writer, database):
    url = f"s3://lake/retry/{database}.parquet"
    lake_writer.execute(f"COPY ({FACTS}) TO '{url}'")
    su.execute(sql.SQL("CREATE FOREIGN TABLE facts (id integer, day date, x integer) SERVER lake OPTIONS (path {})").format(sql.Literal(url)))
    su.execute("CREATE SCHEMA heap; CREATE TABLE heap.facts AS SELECT * FROM facts; ANALYZE heap.facts")
    su.execute(VIEWS)
    return url


def nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def scans(conn, statement):
    (plan,) = conn.execute("EXPLAIN (COSTS OFF, FORMAT JSON) " + statement).fetchone()
    return [node for node in nodes(plan[0]["Plan"]) if node.get("Custom Plan Provider") == "DuckDB Scan"]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_a_second_try_has_what_its_text_names(connect, facts, case, mode):
    statement, values = case if isinstance(case, tuple) else (case, ())
    rows = {}
    for schema in ("heap", "public"):
        conn = connect(options=f"-c search_path={schema},pg_catalog -c plan_cache_mode={mode}")
        # The first statement of a session is planned before the library is there.
        conn.execute("SELECT FROM facts LIMIT 0")
        conn.execute("PREPARE retried AS " + statement)
        rows[schema] = conn.execute(f"EXECUTE retried{values if values else ''}").fetchall()
        if schema == "public":
            assert scans(conn, f"EXECUTE retried{values if values else ''}")
        conn.close()
    assert rows["public"] == rows["heap"]


def test_a_second_try_keeps_the_barrier(su, facts):
    """What may raise an error is never in one text with the rows that the view hides."""
    for node in scans(su, CASES["a barrier"]):
        assert " / " not in node["DuckDB SQL"] and " // " not in node["DuckDB SQL"], node["DuckDB SQL"]


def test_a_second_try_keeps_the_role(connect, su, facts, role, sandbox):
    """A view's tables are read as its owner, the statement's as whoever runs it: never in one part."""
    reader, owner = role(), role()
    for name in (reader, owner):
        su.execute(sql.SQL("GRANT USAGE ON FOREIGN SERVER lake TO {}").format(sql.Identifier(name)))
    su.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(sql.Identifier(owner)))
    for name, to in (("hidden", owner), ("mine", reader)):
        su.execute(sql.SQL("CREATE FOREIGN TABLE {} (id integer, day date, x integer) SERVER lake OPTIONS (path {})").format(sql.Identifier(name), sql.Literal(facts)))
        su.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier(name), sql.Identifier(to)))
    su.execute("CREATE VIEW shown AS SELECT * FROM hidden")
    su.execute(sql.SQL("ALTER VIEW shown OWNER TO {}").format(sql.Identifier(owner)))
    su.execute(sql.SQL("GRANT SELECT ON shown TO {}").format(sql.Identifier(reader)))
    conn = connect(reader)
    # The first relation of the text is the CTE's, which the first try has read as the view's owner.
    for statement in (
        f"WITH c AS (SELECT * FROM shown WHERE id > 3) SELECT f.id, (SELECT max(id) FROM c) + {KEPT}, (SELECT count(*) FROM mine) FROM (VALUES (1, date '2024-01-01'), (2, NULL)) f(id, day)",
        f"WITH c AS (SELECT * FROM shown WHERE id > 3) SELECT f.id, (SELECT max(id) FROM c) + {KEPT}, (SELECT count(*) FROM mine m WHERE m.id IN (SELECT id FROM c)) FROM (VALUES (1, date '2024-01-01'), (2, NULL)) f(id, day)",
    ):
        found = scans(conn, statement)
        assert found
        for node in found:
            read = node.get("Foreign Tables", "")
            assert not ("hidden" in read and "mine" in read), read
