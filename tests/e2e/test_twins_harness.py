"""The twin tests themselves: twins that differ are told apart, and a plan that is not what a case says."""

import json

import pytest

from twins import cases, harness
from twins.tables import Table

SAME = "SELECT id, t FROM same"
TABLES = [
    Table("same", {"id": "integer", "t": "text"}, "(1, 'a'), (2, 'b'), (2, 'b'), (3, NULL)"),
    Table("differing", {"id": "integer", "t": "text", "d": "numeric(6,2)", "f": "double precision"}, "(1, 'a', 1.50, 0), (2, 'b', 2.50, 1.5), (2, 'b', 2.50, 2.5), (3, NULL, NULL, NULL)"),
]
# After the twins were made; an empty text is not NULL, 1.5 is not 1.50, -0 is not 0.
SPOIL = """
UPDATE heap.differing SET t = '' WHERE id = 3;
UPDATE heap.differing SET f = '-0' WHERE id = 1;
ALTER TABLE heap.differing ALTER COLUMN d TYPE numeric(6,1);
CREATE VIEW heap.wider AS SELECT id::bigint AS id FROM heap.same; CREATE VIEW lake.wider AS SELECT id FROM lake.same;
CREATE VIEW heap.named AS SELECT id AS a FROM heap.same; CREATE VIEW lake.named AS SELECT id AS b FROM lake.same;
CREATE VIEW heap.fewer AS SELECT DISTINCT id FROM heap.same; CREATE VIEW lake.fewer AS SELECT id FROM lake.same;
CREATE VIEW heap.upwards AS SELECT id FROM heap.same ORDER BY id; CREATE VIEW lake.upwards AS SELECT id FROM lake.same ORDER BY id DESC;
CREATE VIEW heap.failing AS SELECT 1 / (id - 1) AS r FROM heap.same; CREATE VIEW lake.failing AS SELECT id AS r FROM lake.same;
CREATE VIEW heap.working AS SELECT id AS r FROM heap.same; CREATE VIEW lake.working AS SELECT 1 / (id - 1) AS r FROM lake.same;
CREATE VIEW heap.erring AS SELECT t::integer AS r FROM heap.same; CREATE VIEW lake.erring AS SELECT 1 / (id - 1) AS r FROM lake.same;
"""


@pytest.fixture(scope="module")
def twins(sandbox, database, su, servers, lake_writer, tmp_path_factory):
    for made in harness.twins_in(sandbox, database, su, lake_writer, tmp_path_factory.mktemp("twins"), TABLES):
        su.execute(SPOIL)
        yield made


def test_equal_twins_pass(twins):
    for case in (
        cases.either(SAME),
        cases.either("SELECT id FROM same ORDER BY id", ordered=True),
        cases.either("SELECT id FROM upwards"),
        cases.either("SELECT id FROM same WHERE id = $1", ("int", "2")),
        cases.either("SELECT 1 / (id - 1) FROM same"),
        cases.either("SELECT id FROM same", settings={"TimeZone": "'Asia/Tokyo'"}),
    ):
        twins.check(case)


@pytest.mark.parametrize(
    "query, words",
    [
        ("SELECT id, t FROM differing", "1 of 4 rows differ"),
        ("SELECT t FROM differing WHERE id = 3", "in place of"),
        ("SELECT id, f FROM differing", "1 of 4 rows differ"),
        ("SELECT d FROM differing", "columns"),
        ("SELECT d::text FROM differing", "3 of 4 rows differ"),
        ("SELECT * FROM wider", "columns"),
        ("SELECT * FROM named", "columns"),
        ("SELECT * FROM fewer", "4 rows in place of 3"),
        ("SELECT * FROM failing", "SQLSTATE None"),
        ("SELECT * FROM working", "SQLSTATE 22012"),
        ("SELECT * FROM erring", "in place of 22P02"),
        ("SELECT nothing FROM same", "the case itself is wrong"),
    ],
)
def test_differing_twins_fail(twins, query, words):
    with pytest.raises(harness.Mismatch, match=words):
        twins.check(cases.either(query))


def test_a_differing_order_fails(twins):
    with pytest.raises(harness.Mismatch, match="rows differ"):
        twins.check(cases.either("SELECT * FROM upwards", ordered=True))


def test_a_prepared_query_is_compared_too(twins):
    with pytest.raises(harness.Mismatch, match="rows differ"):
        twins.check(cases.either("SELECT t FROM differing WHERE id = $1", ("int", "3")))


def test_digits_hide_the_last_digits_only():
    assert harness.rounded([(b"0.30000000000000004", b"x", None)], 12) == harness.rounded([(b"0.3", b"x", None)], 12)
    assert harness.rounded([(b"0.3001",)], 12) != harness.rounded([(b"0.3",)], 12)
    assert harness.rounded([(b"NaN",)], 12) == [(b"NaN",)]


def scan(**rest):
    return {"Node Type": "Custom Scan", "Custom Plan Provider": "DuckDB Scan", "DuckDB SQL": "SELECT 1", **rest}


def node(kind, *children, **rest):
    return {"Node Type": kind, "Plans": list(children), **rest}


@pytest.mark.parametrize(
    "root, whole",
    [
        (scan(), True),
        (node("Result", scan()), True),
        (node("Subquery Scan", scan()), True),
        (node("Subquery Scan", scan(), Filter="x"), False),
        (scan(Filter="x"), False),
        (node("Result", scan(), **{"One-Time Filter": "x"}), False),
        (node("Sort", scan()), False),
        (node("Hash Join", scan(), scan()), False),
        (node("Result", scan(), scan()), False),
        (node("Aggregate", node("Seq Scan")), False),
        (node("Result"), False),
    ],
)
def test_whole_is_one_scan_and_nothing_that_works(root, whole):
    assert harness.Plan([(json.dumps([{"Plan": root}]),)]).is_whole is whole


@pytest.mark.parametrize(
    "root, case, words",
    [
        (node("Sort", scan()), cases.whole(SAME), "not pushed whole"),
        (scan(), cases.part(SAME), "pushed whole"),
        (node("Seq Scan"), cases.part(SAME), "no DuckDB Scan"),
        (node("Sort", scan(**{"Kept in PostgreSQL": "function to_char"})), cases.part(SAME, kept="regexp"), "not 'regexp'"),
        (scan(), cases.whole(SAME), None),
        (node("Sort", scan(**{"Kept in PostgreSQL": "function to_char"})), cases.part(SAME, kept="to_char"), None),
        (node("Sort", scan()), cases.either(SAME), None),
    ],
)
def test_a_plan_other_than_expected_fails(root, case, words):
    plan = harness.Plan([(json.dumps([{"Plan": root}]),)])
    if words is None:
        harness.check_plan(case, case.push, plan)
    else:
        with pytest.raises(harness.Mismatch, match=words):
            harness.check_plan(case, case.push, plan)
