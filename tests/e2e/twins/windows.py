"""Window functions, frames, named windows."""

from .cases import ANY, WHOLE, either, lines, whole

FUNCTIONS = {
    WHOLE: "row_number() rank() dense_rank() count(*) count(v) sum(v) min(v) max(v)".split(),
    ANY: [
        "percent_rank()", "cume_dist()", "ntile(4)", "lag(v)", "lag(v, 2)", "lag(v, 1, 0::bigint)", "lag(v, -1)", "lead(v)", "lead(v, 3, -1::bigint)", "lead(id, g)", "lag(name)",
        "first_value(v)", "last_value(v)", "nth_value(v, 2)", "avg(v)", "avg(d)", "sum(d)", "sum(x)", "avg(x)", "bool_and(ok)", "array_agg(id)", "string_agg(name, ',')",
        "count(*) FILTER (WHERE v > 0)", "sum(v) FILTER (WHERE ok)", "max(name)", "min(day)", "stddev_pop(s)", "nth_value(name, 3)", "ntile(7)", "max(ts)",
    ],
}
OVERS = ["PARTITION BY g ORDER BY id", "ORDER BY id", "PARTITION BY k ORDER BY v DESC NULLS LAST, id", "PARTITION BY name, ok ORDER BY day, id"]

FRAMES = lines("""
    ROWS UNBOUNDED PRECEDING
    ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING
    ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ROWS BETWEEN 3 PRECEDING AND 2 PRECEDING
    ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING
    ROWS 2 PRECEDING
    ROWS BETWEEN 2 PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE GROUP
    ROWS BETWEEN 2 PRECEDING AND 2 FOLLOWING EXCLUDE TIES
    ROWS BETWEEN 2 PRECEDING AND 2 FOLLOWING EXCLUDE NO OTHERS
    RANGE UNBOUNDED PRECEDING
    RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    RANGE BETWEEN 5 PRECEDING AND 5 FOLLOWING
    RANGE BETWEEN 10 PRECEDING AND 1 PRECEDING
    RANGE BETWEEN CURRENT ROW AND 3 FOLLOWING EXCLUDE TIES
    GROUPS UNBOUNDED PRECEDING
    GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING
    GROUPS BETWEEN CURRENT ROW AND CURRENT ROW
    GROUPS BETWEEN 2 PRECEDING AND 1 PRECEDING EXCLUDE CURRENT ROW
    GROUPS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING EXCLUDE GROUP
""")


def functions():
    for push, calls in FUNCTIONS.items():
        for call in calls:
            for over in OVERS:
                yield (whole if push == WHOLE else either)(f"SELECT id, {call} OVER ({over}) AS r FROM facts", digits=13 if "avg(x)" in call or "dist" in call or "percent" in call else None)
            yield either(f"SELECT id, {call} OVER w AS r FROM facts WHERE id <= 40 WINDOW w AS (ORDER BY id DESC)", digits=13 if "avg(x)" in call or "dist" in call or "percent" in call else None)


def frames():
    # s has ties: with an order on it alone only calls that do not tell peers apart are determined,
    # unless the frame's ends are whole groups of peers.
    for frame in FRAMES:
        order = "s" if frame.startswith(("RANGE", "GROUPS")) else "s, id"
        yield either(f"SELECT id, sum(id) OVER (ORDER BY {order} {frame}) AS total, count(*) OVER (ORDER BY {order} {frame}) AS n FROM facts")
        yield either(f"SELECT id, min(v) OVER (PARTITION BY g ORDER BY {order} {frame}) AS lo, max(id) OVER (PARTITION BY g ORDER BY {order} {frame}) AS hi FROM facts")
        if order == "s, id":
            yield either(f"SELECT id, first_value(v) OVER (PARTITION BY g ORDER BY s, id {frame}) AS f, last_value(id) OVER (ORDER BY s DESC, id {frame}) AS l, nth_value(id, 2) OVER (ORDER BY id {frame}) AS n FROM facts")
    for column, offset in {"v": "100", "x": "2.5", "d": "10.25", "day": "interval '3 days'", "ts": "interval '2 hours'", "tz": "interval '1 day'"}.items():
        for nulls in ("", " NULLS FIRST", " DESC"):
            yield either(f"SELECT id, count(*) OVER (ORDER BY {column}{nulls} RANGE BETWEEN {offset} PRECEDING AND {offset} FOLLOWING) AS n FROM facts")


OTHERS = [whole(query) for query in lines("""
    SELECT id, count(*) OVER () AS n FROM facts
    SELECT id, sum(v) OVER (PARTITION BY g) AS s FROM facts
    SELECT id, rank() OVER (PARTITION BY g ORDER BY v) AS r FROM facts
    SELECT id, rank() OVER w AS r, dense_rank() OVER w AS d FROM facts WINDOW w AS (PARTITION BY g ORDER BY k)
    SELECT id, sum(v) OVER (w ORDER BY id) AS s, count(*) OVER w AS n FROM facts WINDOW w AS (PARTITION BY g)
    SELECT * FROM (SELECT id, g, row_number() OVER (PARTITION BY g ORDER BY v DESC NULLS LAST, id) AS r FROM facts) q WHERE r <= 3
    SELECT g, r FROM (SELECT g, row_number() OVER (PARTITION BY g ORDER BY id) AS r FROM facts) q WHERE r = 1
    SELECT k, sum(v) AS s, rank() OVER (ORDER BY sum(v) DESC NULLS LAST, k) AS r FROM facts GROUP BY k
    SELECT g, k, sum(sum(v)) OVER (PARTITION BY g) AS s FROM facts GROUP BY g, k
    SELECT g, count(*) OVER () AS groups FROM facts GROUP BY g HAVING count(*) > 10
    SELECT DISTINCT g, max(v) OVER (PARTITION BY g) AS m FROM facts
    SELECT id, v - min(v) OVER (PARTITION BY g) AS above FROM facts
    SELECT id, CASE WHEN row_number() OVER (ORDER BY id) > 10 THEN 'late' ELSE 'early' END AS c FROM facts
    SELECT f.id, rank() OVER (PARTITION BY d.name ORDER BY f.v, f.id) AS r FROM facts f JOIN dims d USING (k)
    SELECT count(*) AS n FROM (SELECT row_number() OVER (ORDER BY id) AS r FROM facts) q WHERE r % 2 = 0
    SELECT a, count(*) OVER (PARTITION BY a) AS n FROM small
    SELECT a, rank() OVER (ORDER BY a) AS n FROM empty
""")] + [
    whole("SELECT id, row_number() OVER (ORDER BY v DESC NULLS LAST, id) AS r FROM facts ORDER BY r LIMIT 10", ordered=True),
    whole("SELECT id FROM facts ORDER BY rank() OVER (PARTITION BY g ORDER BY v), id LIMIT 10", ordered=True),
] + [whole(query) for query in lines("""
    SELECT id, sum(v) OVER (ORDER BY k) AS s FROM facts
    SELECT id, sum(d) OVER (PARTITION BY k ORDER BY id) / sum(d) OVER (PARTITION BY k) AS share FROM facts WHERE k = 3
    SELECT id, lag(v) OVER w - lead(v) OVER w AS r FROM facts WINDOW w AS (ORDER BY id)
    SELECT id, row_number() OVER () > 0 AS r FROM facts
    SELECT id, count(*) OVER (PARTITION BY v > 0) AS r FROM facts
    SELECT id, first_value(name) OVER (PARTITION BY g ORDER BY name, id) AS r FROM facts
    SELECT id, sum(x) OVER (ORDER BY x, id ROWS UNBOUNDED PRECEDING) AS r FROM zeros WHERE x < 5
    SELECT id, rank() OVER (ORDER BY x) AS r FROM t_float8
    SELECT id, last_value(id) OVER (PARTITION BY g ORDER BY id RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS r FROM facts
""")] + [either(query) for query in lines("""
    SELECT id, avg(v) OVER (ORDER BY id ROWS 4 PRECEDING) AS a FROM facts
    SELECT id, sum(v) OVER (ORDER BY day RANGE BETWEEN interval '1 month' PRECEDING AND CURRENT ROW) AS r FROM facts
    SELECT id, ntile(NULL) OVER (ORDER BY id) AS r FROM facts
    SELECT id, ntile(0) OVER (ORDER BY id) AS r FROM facts
    SELECT id, nth_value(v, 0) OVER (ORDER BY id) AS r FROM facts
    SELECT id, lag(v, NULL) OVER (ORDER BY id) AS r FROM facts
    SELECT id, sum(v) OVER (ORDER BY id ROWS BETWEEN -1 PRECEDING AND CURRENT ROW) AS r FROM facts
    SELECT id, sum(v) OVER (ORDER BY id ROWS BETWEEN NULL PRECEDING AND CURRENT ROW) AS r FROM facts
    SELECT id, sum(v) OVER (ORDER BY id RANGE BETWEEN -1 PRECEDING AND CURRENT ROW) AS r FROM facts
""")] + [
    whole("SELECT id, sum(v) OVER (PARTITION BY g ORDER BY id) AS s FROM facts WHERE k = $1", ("int", "7")),
    either("SELECT id, sum(v) OVER (ORDER BY id ROWS $1 PRECEDING) AS s FROM facts", ("bigint", "3")),
    either("SELECT id, lag(v, $1) OVER (ORDER BY id) AS s FROM facts", ("int", "3")),
    either("SELECT id, ntile($1) OVER (ORDER BY id) AS s FROM facts", ("int", "3")),
]

CASES = [*functions(), *frames(), *OTHERS]
