"""Columns under collations other than the database's: their order is PostgreSQL's, and equality too
where it is not by bytes. They need a PostgreSQL with ICU."""

from .cases import either, lines, part, whole
from .tables import Table

BEFORE = """
CREATE COLLATION public.ignoring_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION public.german (provider = icu, locale = 'de');
"""

TABLES = [
    Table("collated", {"id": "integer", "de": 'text COLLATE "de-x-icu"', "ci": "text COLLATE ignoring_case", "c": 'text COLLATE "C"'},
        "(1, 'abc', 'abc', 'abc'), (2, 'ABC', 'ABC', 'ABC'), (3, 'ä', 'ä', 'ä'), (4, 'z', 'Z', 'z'), (5, 'Ä', 'Ä', 'Ä'), (6, NULL, NULL, NULL), (7, '', '', ''), (8, 'b', 'b', 'b')", inferred=False),
    Table("plain", {"id": "integer", "t": "text"}, "(1, 'abc'), (2, 'Abc'), (3, 'ä'), (4, 'z'), (5, NULL), (6, 'ABC')"),
]

CASES = [
    either("SELECT id FROM collated WHERE de = 'abc'"),
    part("SELECT id FROM collated WHERE de < 'b'", kept="collation"),
    part("SELECT id, de FROM collated ORDER BY de, id", ordered=True, kept="collation"),
    part("SELECT min(de) AS lo, max(de) AS hi FROM collated", kept="collation"),
    either("SELECT de, count(*) AS n FROM collated GROUP BY de"),
    either("SELECT DISTINCT de FROM collated"),
    part("SELECT id FROM collated WHERE ci = 'abc'", kept="collation"),
    part("SELECT ci, count(*) AS n FROM collated WHERE id < 0 GROUP BY ci", kept="collation"),
    part("SELECT count(DISTINCT ci) AS n FROM collated"),
    part("SELECT a.id, b.id AS other FROM collated a JOIN collated b ON a.ci = b.ci"),
    part("SELECT id FROM collated WHERE ci IN ('ABC', 'ä')"),
    either("SELECT id, upper(de) AS u, lower(ci) AS l FROM collated"),
    whole("SELECT id, c FROM collated ORDER BY c, id", ordered=True),
    whole("SELECT id FROM collated WHERE c < 'b'"),
    either('SELECT id FROM collated WHERE c < \'b\' COLLATE "de-x-icu"'),
    either('SELECT id, de FROM collated ORDER BY de COLLATE "C", id', ordered=True),
    either('SELECT id FROM collated ORDER BY c COLLATE "de-x-icu", id', ordered=True),
    either("SELECT de || c AS both, length(ci) AS n FROM collated"),
    *[part(query) for query in lines("""
    SELECT id FROM plain WHERE t < 'b' COLLATE german
    SELECT id, rank() OVER (ORDER BY t COLLATE german) AS r FROM plain
    SELECT max(t COLLATE german) AS m FROM plain
    SELECT p.id, c.id AS other FROM plain p JOIN collated c ON p.t = c.ci
    SELECT p.id FROM plain p WHERE p.t IN (SELECT ci FROM collated)
    SELECT id FROM plain WHERE t COLLATE ignoring_case = 'ABC'
    SELECT ci FROM collated UNION SELECT ci FROM collated
    SELECT DISTINCT ci IS NULL AS n, ci FROM collated WHERE id IN (1, 6)
    SELECT id, ci IS DISTINCT FROM 'ABC' AS d, count(*) OVER (PARTITION BY ci) AS n FROM collated
    """)],
    *[either(query) for query in lines("""
    SELECT id, ci LIKE 'a%' COLLATE "C" AS l, NULLIF(ci, 'ABC') AS n FROM collated
    SELECT id, CASE ci WHEN 'abc' THEN 1 ELSE 2 END AS c, GREATEST(de, 'b') AS g FROM collated
    SELECT id, ci = 'abc' AS e, ci < 'b' AS l, de = 'abc' AS d, de > 'b' AS g FROM collated
    """)],
    part("SELECT id, t FROM plain ORDER BY t COLLATE german, id", ordered=True),
    either("SELECT id, t FROM plain ORDER BY t, id", ordered=True),
    part("SELECT id FROM collated WHERE ci = $1", ("text", "'ABC'")),
    part("SELECT id FROM collated WHERE de > $1", ("text", "'b'")),
]
