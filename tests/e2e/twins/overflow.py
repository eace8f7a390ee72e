"""What DuckDB's numbers do not hold: sums beyond 38 digits, offsets of frames beyond 64 bits, numerics of
more digits than a DECIMAL has; and forms of queries whose digits or blanks are PostgreSQL's own."""

from .cases import either, part, whole
from .tables import Table

BIG = "SELECT i, (500000000000000 + i % 2)::numeric(38,18), i % 3 FROM generate_series(1, 400000) i"

TABLES = [
    Table("bigs", {"id": "integer", "x": "numeric(38,18)", "g": "integer"}, BIG),
    Table("blanks", {"id": "integer", "c": "char(4)", "v": "varchar", "n62": "numeric(6,2)", "x": "integer", "y": "integer", "b": "text"}, "(1, 'a', 'a', 1.50, 1, 0, 'q'), (2, 'b', 'b', 2.25, 4, 2, 'q'), (3, 'cc', 'd', NULL, 9, 3, 'r'), (4, 'a', 'x', 7.00, 8, 4, NULL)", inferred=False),
]

SUMS = [
    # DuckDB's two threads' sums would wrap: an error, and PostgreSQL's own answer.
    either("SELECT sum(x) FROM bigs"),
    either("SELECT g, sum(x) FROM bigs GROUP BY g"),
    either("SELECT avg(x) FROM bigs"),
    either("SELECT sum(x) FILTER (WHERE g < 2) FROM bigs"),
    whole("SELECT sum(x) FROM bigs WHERE id < 100"),
    whole("SELECT g, sum(x) FROM bigs WHERE id < 100 GROUP BY g"),
]

FRAMES = [
    either(f"SELECT id, {function} OVER (ORDER BY id {mode} BETWEEN {frame}) FROM blanks")
    for function in ("sum(x)", "count(*)")
    for mode in ("ROWS", "GROUPS")
    for frame in (
        "9223372036854775807 FOLLOWING AND 1 FOLLOWING",
        "1 PRECEDING AND 9223372036854775807 FOLLOWING",
        "9223372036854775807 PRECEDING AND 9223372036854775806 PRECEDING",
        "9223372036854775806 FOLLOWING AND UNBOUNDED FOLLOWING",
        "4611686018427387904 FOLLOWING AND UNBOUNDED FOLLOWING",
        "4611686018427387904 PRECEDING AND 4611686018427387904 FOLLOWING",
    )
] + [
    either("SELECT id, sum(x) OVER (ORDER BY id ROWS (SELECT 1) PRECEDING) FROM blanks"),
    either("SELECT id, sum(x) OVER (ORDER BY id ROWS (SELECT min(id) FROM blanks) PRECEDING) FROM blanks"),
]

DIGITS = [
    either("SELECT count(*) FROM blanks WHERE n62::numeric(39,1) = 2.3"),
    either("SELECT id, n62::numeric(39,1) FROM blanks"),
    either("SELECT id, (x * 5)::numeric(5,-1) FROM blanks"),
    either("SELECT sum((x * 5)::numeric(5,-1)) FROM blanks"),
    either("SELECT id, lag(n62, 1, 0) OVER (ORDER BY id), lead(n62, 1, 0.000) OVER (ORDER BY id) FROM blanks"),
    whole("SELECT id, lag(n62, 1, 0.00) OVER (ORDER BY id) FROM blanks"),
    either("SELECT array_agg(coalesce(n62, 0) ORDER BY id) FROM blanks"),
    either("SELECT sum(CASE WHEN id > 1 THEN n62 ELSE 0 END) FROM blanks WHERE id = 1"),
    part("SELECT coalesce(n62, 0), count(*) FROM blanks GROUP BY 1"),
    part("SELECT CASE WHEN id > 2 THEN n62 ELSE 0 END, count(*) FROM blanks GROUP BY 1"),
    part("SELECT greatest(n62, 0), count(*) FROM blanks GROUP BY 1"),
]

BLANKS = [
    either(f"SELECT {one} FROM blanks {word} SELECT {other} FROM blanks")
    for one, other in (("c", "v"), ("v", "c"), ("v", "b"), ("b", "c"), ("c", "c"), ("c", "c::char(6)"), ("c::text", "v"))
    for word in ("UNION", "UNION ALL", "INTERSECT", "EXCEPT")
    # Of equal values of two lengths any one stands for both, where blanks do not count.
    if word == "UNION ALL" or one not in ("b", "c") or one == other
] + [either("SELECT v FROM blanks UNION ALL (SELECT c FROM blanks UNION ALL SELECT c FROM blanks)")]

GROUPS = [
    either("SELECT (SELECT grouping(t.id)) FROM blanks t GROUP BY t.id"),
    either("SELECT b, (SELECT grouping(t.b)), count(*) FROM blanks t GROUP BY ROLLUP (b)"),
    whole("SELECT b, sum(x / y) FILTER (WHERE y > 0) FROM blanks GROUP BY b"),
    whole("SELECT sum(x / y) FILTER (WHERE y > 0) FROM blanks"),
    either("SELECT avg(x / y) FILTER (WHERE y > 0) FROM blanks"),
]

CASES = [*SUMS, *FRAMES, *DIGITS, *BLANKS, *GROUPS]
