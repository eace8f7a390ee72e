"""Lake tables together with PostgreSQL's own: every type on its way to DuckDB, and relations of many
kinds. The tables `h_<type>` and those of `COPIES` are heap tables on both sides."""

from .cases import either, lines
from .every_type import TYPES

COPIES = (
    "".join(f"CREATE TABLE h_{kind.name} AS TABLE heap.{kind.table}; ANALYZE h_{kind.name};\n" for kind in TYPES)
    + """
CREATE TYPE mood AS ENUM ('sad', 'fine', 'glad');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TABLE h_odd (id integer, gone text, m mood, p positive, a integer[], j jsonb, v varchar(5), c char(3), r int4range, n numeric, b bit(4), i inet, made integer GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO h_odd (id, m, p, a, j, v, c, r, n, b, i) VALUES (1, 'glad', 1, '{1,2}', '{"a": [1]}', 'v1', 'c', '[1,3)', 1.50, B'1010', '10.0.0.1'),
  (2, 'sad', 2, '{}', '[]', '', '', 'empty', 2, B'0000', '::1'), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (4, 'fine', 9, '{NULL}', 'null', 'ää', 'x', NULL, 1e-9, B'1111', '10.0.0.0/8');
ALTER TABLE h_odd DROP COLUMN gone;
CREATE TABLE h_parts (id integer, v text) PARTITION BY RANGE (id);
CREATE TABLE h_parts_low PARTITION OF h_parts FOR VALUES FROM (MINVALUE) TO (5);
CREATE TABLE h_parts_high PARTITION OF h_parts FOR VALUES FROM (5) TO (MAXVALUE);
INSERT INTO h_parts SELECT i, 'part ' || i FROM generate_series(1, 12) i;
CREATE TABLE h_parent (id integer, v text);
CREATE TABLE h_child (extra integer) INHERITS (h_parent);
INSERT INTO h_parent VALUES (1, 'parent'), (2, 'parent'); INSERT INTO h_child VALUES (2, 'child', 5), (3, 'child', 6);
CREATE VIEW h_view AS SELECT id, v, count(*) OVER () AS n FROM h_parts WHERE id > 2;
CREATE TABLE h_none (id integer, v text);
CREATE TABLE h_many AS SELECT i AS id, i % 100 AS k, 'many ' || i % 10 AS v FROM generate_series(1, 20000) i;
ANALYZE h_odd, h_parts, h_parent, h_child, h_none, h_many;
"""
)

OF_TYPES = lines("""
    SELECT l.id, h.id AS other, h.x FROM {t} l JOIN {h} h ON l.x = h.x
    SELECT l.id, h.x, h.y FROM {t} l LEFT JOIN {h} h ON l.id = h.id + 1
    SELECT h.id, h.x FROM {h} h WHERE NOT EXISTS (SELECT FROM {t} l WHERE l.y = h.x AND l.id > 3)
    SELECT l.id FROM {t} l WHERE l.x IN (SELECT y FROM {h} WHERE id < 5)
    SELECT x, y FROM {t} UNION ALL SELECT y, x FROM {h}
    SELECT h.x, count(*) AS n FROM {t} l JOIN {h} h USING (id) GROUP BY h.x
    SELECT h.id, (SELECT count(*) FROM {t} l WHERE l.x = h.x) AS n FROM {h} h
    SELECT COALESCE(l.x, h.y) AS c, l.x IS DISTINCT FROM h.y AS d FROM {t} l FULL JOIN {h} h ON l.id = h.id AND l.id < 4
""")

RELATIONS = [either(query) for query in lines("""
    SELECT s.a, o.made, o.p FROM small s JOIN h_odd o ON o.id = s.a
    SELECT s.a, o.* FROM small s JOIN h_odd o ON o.id = s.a
    SELECT s.a, o.m, o.j, o.r, o.i FROM small s LEFT JOIN h_odd o ON o.id = s.a WHERE o.m > 'sad' OR o.m IS NULL
    SELECT o.m, count(*) AS n FROM small s JOIN h_odd o ON o.id = s.a GROUP BY o.m
    SELECT o.v, o.c, s.b FROM small s JOIN h_odd o ON o.p = s.a WHERE o.v <> ''
    SELECT o.n, sum(s.c) AS t FROM small s JOIN h_odd o ON o.id = s.a GROUP BY o.n
    SELECT o.a[1] AS f, s.b FROM small s JOIN h_odd o ON o.a[1] = s.a
    SELECT s.b, p.v FROM small s JOIN h_parts p ON p.id = s.a
    SELECT p.id, count(s.a) AS n FROM h_parts p LEFT JOIN small s ON s.a = p.id GROUP BY p.id
    SELECT s.b, p.v FROM small s JOIN h_parent p ON p.id = s.a
    SELECT s.b, p.v FROM small s JOIN ONLY h_parent p ON p.id = s.a
    SELECT s.b, p.v, p.tableoid::regclass::text AS t FROM small s JOIN h_parent p ON p.id = s.a
    SELECT s.b, v.v, v.n FROM small s JOIN h_view v ON v.id = s.a
    SELECT s.a, n.v FROM small s LEFT JOIN h_none n ON n.id = s.a
    SELECT s.a, n.v FROM small s JOIN h_none n ON n.id = s.a
    SELECT count(*) AS n FROM facts f JOIN h_many m ON m.id = f.id
    SELECT m.v, count(*) AS n, sum(f.v) AS s FROM facts f JOIN h_many m USING (k) GROUP BY m.v
    SELECT f.id, q.n FROM facts f JOIN (SELECT k, count(*) AS n FROM h_many GROUP BY k HAVING count(*) > 10) q USING (k) WHERE f.id < 50
    SELECT f.id FROM facts f WHERE f.id IN (SELECT id FROM h_many WHERE v = 'many 3')
    SELECT f.id FROM facts f WHERE f.v > (SELECT max(k) FROM h_many WHERE id < 100) AND f.id < 100
    SELECT f.id, d.name, m.v FROM facts f JOIN dims d USING (k) JOIN h_many m ON m.id = f.id WHERE m.k < 30
    SELECT f.id, m.v FROM facts f LEFT JOIN h_many m ON m.id = f.id AND m.v LIKE '%7'
    WITH q AS (SELECT id, v FROM h_many WHERE k = 7) SELECT f.id, q.v FROM facts f JOIN q USING (id)
    WITH q AS MATERIALIZED (SELECT id, random() AS r FROM h_many WHERE k = 7) SELECT f.id, q.r >= 0 AS ok FROM facts f JOIN q USING (id)
    SELECT f.id, m.r >= 0 AS ok FROM facts f JOIN (SELECT id, random() AS r FROM h_parts) m USING (id)
    SELECT f.id, n FROM facts f JOIN generate_series(1, 5) n ON n = f.id
    SELECT f.id, m.ctid IS NOT NULL AS c FROM facts f JOIN h_parts m USING (id)
    SELECT f.id, m FROM facts f JOIN h_parts m USING (id)
    SELECT f.id, to_char(m.id, '00') AS t FROM facts f JOIN h_parts m USING (id) WHERE to_char(m.id, '00') > ' 05'
    SELECT f.id, m.v FROM facts f JOIN h_parts m USING (id) FOR UPDATE OF m
    SELECT f.id, m.v FROM facts f JOIN h_many m TABLESAMPLE BERNOULLI (100) USING (id)
    SELECT x.id FROM h_many x JOIN h_many y ON x.id = y.k JOIN facts f ON f.id = y.id WHERE f.id < 40
    SELECT id FROM facts WHERE id < 4 UNION SELECT id FROM h_parts ORDER BY id
    SELECT id FROM facts WHERE id < 20 EXCEPT SELECT id FROM h_parts
    SELECT id FROM h_parts INTERSECT ALL SELECT k FROM facts
    SELECT f.k, l.note, rank() OVER (PARTITION BY l.note ORDER BY f.v, f.id) AS r FROM facts f JOIN local l USING (k)
    SELECT l.note, f.k, sum(f.v) AS s, GROUPING(l.note) AS g FROM facts f JOIN local l USING (k) GROUP BY ROLLUP (l.note, f.k)
    SELECT p.id, q.n FROM h_parts p, LATERAL (SELECT count(*) AS n FROM facts f WHERE f.k = p.id) q
    SELECT f.id, q.v FROM facts f, LATERAL (SELECT v FROM h_parts p WHERE p.id = f.k) q WHERE f.id < 60
    SELECT p.v FROM h_parts p WHERE p.id = ANY (ARRAY(SELECT k FROM facts WHERE v > 600))
""")] + [
    either("SELECT f.id, m.v FROM facts f JOIN h_many m USING (id) WHERE m.k = $1 AND f.v > $2", ("int", "7"), ("bigint", "0")),
    either("SELECT f.id, m.v || $1 AS t FROM facts f JOIN h_parts m USING (id) WHERE m.v > $2", ("text", "'!'"), ("text", "'part 3'")),
    *[either("SELECT f.id, m.v FROM facts f JOIN h_parts m USING (id) WHERE f.v > 100", settings={"duckdb.ship_rows": str(rows)}) for rows in (0, 5, 1000000)],
    *[either("SELECT f.id, z.x FROM tim f JOIN h_timestamptz z ON f.tz = z.x WHERE z.x::date > '1970-01-01'", settings={"TimeZone": f"'{zone}'"}) for zone in ("Asia/Tokyo", "America/New_York")],
]

CASES = [either(query.format(t=kind.table, h=f"h_{kind.name}")) for kind in TYPES for query in OF_TYPES] + RELATIONS
