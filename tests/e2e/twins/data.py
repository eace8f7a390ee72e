"""The tables that the topics share, and the views over them. Values that errors or rounding would
spoil are kept out of the general ones; the edges are in the tables of `every_type.py`."""

from .tables import Table

NUM = """
(1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0), (2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1), (3, -1, -1, -1, -2, -1, -1, -1, -1, -1, -1),
(4, 7, 7, 7, 3, 2.50, 2.500000, 0.5, 2.5, 2.5, 5), (5, -7, -7, -7, 3, -2.50, -2.500000, -0.5, -2.5, -2.5, 0),
(6, 2, 100, 1000, -3, 0.05, 0.000005, 0.25, 0.1, 1e6, -5), (7, -2, -100, -1000, 7, -0.05, -0.000005, -0.25, -0.1, 1e-6, 12),
(8, 100, 12345, 123456789, 10, 1234.56, 1234.567890, 1.5, 1234.5, 8, 3), (9, -100, -12345, -123456789, -10, -1234.56, -1234.567890, -1.5, -1234.5, 0.125, 7),
(10, 3, 46340, 3037000499, 5, 99.99, 3.141593, 3, 2.675, 64, 2), (11, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(12, 9, 10, NULL, 4, 0.5, NULL, 3.5, NULL, 100, 1), (13, 8, NULL, 8, 8, NULL, 1.5, NULL, 3.5, 1e10, 10)
"""

STR = r"""
(1, '', '', 0), (2, 'abc', 'b', 2), (3, 'ABC', 'BC', -1), (4, 'Hello, World', 'o', 5), (5, 'äöü ÄÖÜ ß', 'ö', 3),
(6, '🦆 quack 🦆', '🦆', 1), (7, '  padded  ', ' ', 4), (8, 'a%b_c\d', '%', 2), (9, '日本語テキスト', '語', 2), (10, NULL, 'x', 1),
(11, 'x', NULL, NULL), (12, E'tab\tand\nnewline', E'\n', 3), (13, 'a,b,,c', ',', 3), (14, 'aaa', 'a', -2), (15, E'e\u0301te\u0301', E'\u0301', 2),
(16, '12', '2', 10), (17, '''quoted'' "text"', '"', 2), (18, 'xyxyxy', 'xy', -3), (19, 'İstanbul ıI', 'I', 1), (20, '0x1F', '', 0)
"""

TIM = """
(1, '2024-02-29', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012+00', '12:34:56.789012', '1 month 2 days', 1),
(2, '2023-12-31', '2023-12-31 23:59:59.999999', '2023-12-31 23:59:59.999999+00', '23:59:59.999999', '1 day', -1),
(3, '2000-01-01', '2000-01-01 00:00:00', '2000-01-01 00:00:00+00', '00:00:00', '00:00:00', 0),
(4, '1970-01-01', '1970-01-01 00:00:00.5', '1970-01-01 00:00:00.5+00', '00:00:00.5', '36:00:00', 365),
(5, '1969-12-31', '1969-12-31 23:59:59.5', '1969-12-31 23:59:59.5+00', '11:59:59.5', '00:00:01.5', -365),
(6, '1900-03-01', '1900-03-01 06:00:00', '1900-03-01 06:00:00+00', '06:00:00', '1 year', 31),
(7, '2024-03-31', '2024-03-31 02:30:00', '2024-03-31 01:30:00+00', '02:30:00', '1 month', 28),
(8, '2024-10-27', '2024-10-27 02:30:00', '2024-10-27 00:30:00+00', '02:30:01', '1 day 02:00:00', 7),
(9, '0001-01-01', '0001-01-01 00:00:00', '0001-01-01 00:00:00+00', '23:00:00', '14 months 3 days 04:05:06.789', 100),
(10, '0044-03-15 BC', '0044-03-15 10:00:00 BC', '0044-03-15 10:00:00+00 BC', '10:00:00', '1000 years', 2),
(11, '2021-01-03', '2021-01-03 00:00:00', '2021-01-03 00:00:00+00', '00:00:01', '90 days', 53),
(12, '2020-12-31', '2020-12-31 11:11:11.111111', '2020-12-31 11:11:11.111111+00', '11:11:11.111111', '1 second', 1),
(13, '1999-12-31', '1999-12-31 00:00:00', '1999-12-31 00:00:00+00', '13:00:00', '14 months', 12),
(14, '2001-01-01', '2001-01-01 00:00:00', '2001-01-01 00:00:00+00', '01:00:00', '1 week', 4),
(15, NULL, NULL, NULL, NULL, NULL, NULL)
"""

# Multiples of a quarter: sums of them are exact in any order.
FACTS = """
SELECT i, CASE WHEN i % 37 <> 0 THEN i * 7 % 20 END, i % 5, CASE WHEN i % 11 <> 0 THEN 'name ' || chr(97 + i * 3 % 13) END,
  CASE WHEN i % 13 <> 0 THEN (i * 7919 % 1000 - 300)::bigint END, ((i * 31 % 977) - 400)::numeric / 4, ((i * 17 % 211) - 100)::float8 / 4,
  date '2023-12-01' + i % 90, timestamp '2024-01-01' + i * interval '37 minutes', timestamptz '2024-01-01 00:00:00+00' + i * interval '5 hours',
  CASE i % 3 WHEN 0 THEN true WHEN 1 THEN false END, (i % 50)::smallint
FROM generate_series(1, 500) i
"""

SHARED = [
    Table("num", dict(id="integer", s="smallint", i="integer", l="bigint", k="integer", d="numeric(10,2)", e="numeric(18,6)", r="real", f="double precision", g="double precision", n="integer"), NUM),
    Table("str", {"id": "integer", "t": "text", "u": "text", "n": "integer"}, STR),
    Table("tim", {"id": "integer", "d": "date", "ts": "timestamp", "tz": "timestamptz", "tm": "time", "iv": "interval", "n": "integer"}, TIM),
    Table("flags", {"id": "integer", "p": "boolean", "q": "boolean"}, ", ".join(f"({n}, {p}, {q})" for n, (p, q) in enumerate((p, q) for p in ("true", "false", "NULL") for q in ("true", "false", "NULL")))),
    Table("facts", dict(id="integer", k="integer", g="integer", name="text", v="bigint", d="numeric(12,2)", x="double precision", day="date", ts="timestamp", tz="timestamptz", ok="boolean", s="smallint"), FACTS, index="id"),
    Table("dims", {"k": "integer", "name": "text", "parent": "integer", "w": "numeric(6,2)"}, "SELECT i, CASE WHEN i % 4 <> 3 THEN 'dim ' || i END, NULLIF(i / 3, i), i * 1.25 FROM generate_series(0, 14) i UNION ALL VALUES (NULL, 'no key', 1, NULL), (100, 'unused', NULL, 1.00), (101, 'unused', 100, 2.00)"),
    Table("small", {"a": "integer", "b": "text", "c": "bigint"}, "(1, 'one', 10), (2, 'two', 20), (2, 'two', 20), (3, NULL, 30), (NULL, 'null', NULL), (NULL, NULL, NULL), (4, 'four', 10)"),
    Table("other", {"a": "integer", "b": "text", "c": "bigint"}, "(2, 'two', 20), (2, 'TWO', 21), (3, NULL, 30), (5, 'five', NULL), (NULL, 'null', NULL), (6, '', 60)"),
    Table("empty", {"a": "integer", "b": "text", "x": "double precision", "d": "numeric(10,2)", "ts": "timestamp"}, "SELECT 1, 'a', 1.0, 1.0, now() WHERE false"),
    Table("nulls", {"id": "integer", "i": "integer", "t": "text", "x": "double precision", "d": "numeric(10,2)"}, "(1, NULL, NULL, NULL, NULL), (2, NULL, NULL, NULL, NULL)"),
    Table("tree", {"id": "integer", "parent": "integer", "label": "text"}, "(1, NULL, 'root'), (2, 1, 'a'), (3, 1, 'b'), (4, 2, 'aa'), (5, 2, 'ab'), (6, 4, 'aaa'), (7, 3, 'ba'), (8, NULL, 'lone')"),
    Table("lists", {"id": "integer", "a": "int[]", "t": "text[]", "j": "json", "b": "bytea"}, r"""(1, '{1,2,3}', '{a,b}', '{"a": 1, "b": [1, 2, {"c": null}]}', '\x00ff'), (2, '{}', '{}', '[]', '\x'), (3, '{NULL,2}', '{NULL,"x y",""}', '"text"', '\x616263'), (4, NULL, NULL, NULL, NULL), (5, '{7}', '{🦆}', '{"a": "ä", "b": 1.50, "a": 2}', '\xdeadbeef')"""),
    Table("Odd Names", {"Id": "integer", "select": "integer", "qualify": "text", "a b": "integer", 'q"q': "text", "lambda": "integer", "ÄÖ": "text"}, """(1, 2, 'x', 3, 'q', 4, 'ä'), (2, NULL, NULL, NULL, NULL, NULL, NULL), (3, 1, 'y', 5, 'r', 6, 'ö')"""),
    Table("zeros", {"id": "integer", "x": "double precision", "r": "real"}, "(1, 0, 0), (2, '-0', '-0'), (3, 1, 1), (4, '-0', 0), (5, 'NaN', 'NaN'), (6, NULL, NULL), (7, 'NaN', '-Infinity')"),
    Table("t_jsonb", {"id": "integer", "b": "jsonb", "j": "json"}, """(1, '{"a": 1, "b": 2}', '{"a": 1, "a": 2}'), (2, '{"b": 2, "a": 1.0}', ' [1 ]'), (3, 'null', 'null'), (4, NULL, NULL), (5, '[1, "x", {"y": []}]', '"\\u00e4"'), (6, '1e2', '1e2')""", inferred=False),
    # Parquet keeps no offset.
    Table("t_timetz", {"id": "integer", "z": "timetz"}, "(1, '10:00+00'), (2, '08:00+00'), (3, '23:59:59+00'), (4, NULL), (5, '08:00:00.5+00')"),
    Table("pivot", {"window": "integer", "asof": "integer", "using": "text", "order": "integer"}, "(1, 2, 'a', 3), (4, 5, 'b', 6)"),
]

# Made in both schemas.
VIEWS = """
CREATE VIEW v_plain AS SELECT id, k, v, name FROM facts WHERE g = 1;
CREATE VIEW v_sums AS SELECT k, count(*) AS n, sum(v) AS total, max(day) AS latest FROM facts GROUP BY k;
CREATE VIEW v_joined AS SELECT f.id, f.v, d.name, d.w FROM facts f LEFT JOIN dims d USING (k);
CREATE VIEW v_on_view AS SELECT name, count(*) AS n FROM v_joined GROUP BY name;
CREATE VIEW v_renamed (one, two) AS SELECT a, b FROM small;
CREATE VIEW v_barrier WITH (security_barrier) AS SELECT id, k, v, name FROM facts WHERE g < 3;
CREATE VIEW v_barrier_sums WITH (security_barrier) AS SELECT g, sum(v) AS total FROM facts GROUP BY g;
CREATE VIEW v_limited AS SELECT id, v FROM facts ORDER BY id LIMIT 10;
CREATE VIEW v_union AS SELECT a, b FROM small UNION ALL SELECT a, b FROM other;
CREATE MATERIALIZED VIEW m_sums AS SELECT k, sum(v) AS total FROM facts GROUP BY k;
CREATE FUNCTION above(n bigint) RETURNS TABLE (id integer, v bigint) LANGUAGE sql STABLE AS 'SELECT f.id, f.v FROM facts f WHERE f.v > n';
CREATE FUNCTION leaky(n bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.001 AS 'BEGIN RETURN n IS NOT NULL; END';
CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE TABLE scratch (id integer, v bigint);
CREATE SEQUENCE seq;
CREATE TABLE local (k integer PRIMARY KEY, note text);
INSERT INTO local SELECT i, 'note ' || i FROM generate_series(0, 30, 2) i;
ANALYZE local;
"""
