"""How much of a query becomes a part that DuckDB runs, and what a part reads."""

import pytest

import parts
from parts import check_same, is_whole, reasons, scans

# DuckDB does not compute to_char.
SETUP = """
CREATE TABLE dim (k int, label text);
INSERT INTO dim SELECT i, 'label ' || i FROM generate_series(0, 4) i;
CREATE VIEW monthly AS SELECT id, k, amount, to_char(day, 'YYYY-MM') AS month FROM facts;
CREATE VIEW grouped AS SELECT k, string_agg(DISTINCT to_char(day, 'YYYY'), ',') AS years, sum(amount) AS total FROM facts GROUP BY k;
CREATE VIEW one_row AS SELECT string_agg(to_char(day, 'YYYY'), ',') AS years FROM facts;
CREATE VIEW labelled AS SELECT f.id, f.amount, f.day, f.name, d.label FROM facts f JOIN dim d USING (k);
"""


@pytest.fixture(scope="module", autouse=True)
def tables(su, servers, database, lake_writer):
    folder = f"s3://lake/parts/{database}"
    parts.write_facts(lake_writer, folder)
    parts.make_tables(su, folder)
    su.execute(SETUP)
    su.execute("ANALYZE dim")
    su.execute("SELECT count(*) FROM facts")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT k, count(*), sum(amount) FROM monthly GROUP BY k ORDER BY k",
        "SELECT sum(total) FROM grouped",
        "SELECT d.label, sum(m.amount) FROM monthly m JOIN dim d USING (k) GROUP BY d.label ORDER BY d.label",
        "WITH m AS MATERIALIZED (SELECT id, to_char(day, 'YYYY') AS year FROM facts) SELECT max(id) FROM m",
        "SELECT count(*) FROM facts f WHERE EXISTS (SELECT to_char(g.day, 'YYYY') FROM facts g WHERE g.id = f.id + 1)",
    ],
)
def test_columns_that_nothing_uses_keep_nothing_in_postgresql(su, statement):
    assert is_whole(su, statement)
    check_same(su, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT month, count(*) FROM monthly GROUP BY month ORDER BY month",
        "SELECT * FROM grouped ORDER BY k",
        "SELECT count(*) FROM one_row",
        "SELECT count(*) FROM (SELECT id, random() AS r FROM facts) AS x",
    ],
)
def test_columns_that_count_stay(su, statement):
    assert not is_whole(su, statement)
    check_same(su, statement)


def test_a_part_reads_the_columns_that_are_used(su):
    statement = "SELECT month, sum(amount) FROM (SELECT to_char(day, 'MM') AS month, amount FROM labelled WHERE random() < 2) AS x GROUP BY 1 ORDER BY 1"
    (scan,) = scans(su, statement, verbose=True)
    check_same(su, statement)
    assert reasons(su, statement) == []
    # Above, the column is a NULL.
    read = scan["DuckDB Plan"].split("READ_PARQUET", 1)[1]
    assert "amount" in read and "name" not in read


def test_a_plain_sub_query_is_scanned_with_the_conditions_around_it(su):
    statement = "SELECT id, month FROM monthly WHERE id < 3 AND month > '2023' ORDER BY id"
    (scan,) = scans(su, statement)
    assert '"id" <' in scan["DuckDB SQL"] and "amount" not in scan["DuckDB SQL"]
    check_same(su, statement)


def test_a_limit_above_a_limit(su):
    statement = "SELECT x.id, row_to_json(x)::text FROM (SELECT id, k FROM facts ORDER BY id LIMIT 5) AS x LIMIT 3"
    assert len(check_same(su, statement)) == 3
    assert reasons(su, statement) == []


def test_conditions_above_a_part_may_use_what_is_around_it(su):
    with_cte = "WITH w AS (SELECT 1 AS x FROM facts WHERE to_char(day, 'YYYY') = '2024') "
    check_same(su, with_cte + "SELECT * FROM (SELECT id FROM (SELECT id FROM facts WHERE id < 3) s WHERE EXISTS (SELECT FROM w)) z ORDER BY 1")
    check_same(su, with_cte + "SELECT * FROM (SELECT m FROM (SELECT max(id) AS m FROM facts) s WHERE 1 IN (SELECT x FROM w)) z")


def test_sums_of_short_decimals_are_exact(su):
    statement = "SELECT sum(amount * (1 - amount) * (1 + amount)), max(amount - 9999999999.99), min(amount + 0.001) FROM facts"
    check_same(su, statement)

