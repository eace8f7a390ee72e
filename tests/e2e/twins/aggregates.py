"""Aggregates, FILTER, DISTINCT, ordered and ordered-set aggregates; GROUP BY, HAVING, grouping sets."""

from .cases import ANY, WHOLE, either, lines, make, part, whole

# Aggregate calls over a column {x}.
ON_ANY = ["count({x})", "count(DISTINCT {x})"]
ON_ORDERED = ["min({x})", "max({x})"]
ON_NUMBERS = ["sum({x})", "avg({x})", "sum(DISTINCT {x})", "avg(DISTINCT {x})"]
ON_STATISTICS = ["stddev({x})", "stddev_pop({x})", "stddev_samp({x})", "variance({x})", "var_pop({x})", "var_samp({x})"]
ON_FLOATS = ["corr({x}, s)", "covar_pop({x}, s)", "covar_samp({x}, s)", "regr_slope({x}, s)", "regr_intercept({x}, s)", "regr_count({x}, s)", "regr_r2({x}, s)", "regr_avgx({x}, s)", "regr_avgy({x}, s)", "regr_sxx({x}, s)", "regr_sxy({x}, s)", "regr_syy({x}, s)"]

COLUMNS = {"s": "number", "k": "number", "v": "number", "d": "number", "x": "number", "day": "ordered", "ts": "ordered", "tz": "ordered", "name": "ordered", "ok": "any"}
# stddev and its kin over exact numbers are exact in PostgreSQL, and over floats differ in the last digits.
FORMS = ["SELECT {c} FROM facts", "SELECT g, {c} FROM facts GROUP BY g", "SELECT {c} FROM facts WHERE id < 0", "SELECT ok, {c} FROM facts WHERE id % 3 = 0 GROUP BY ok, k"]


def together(calls, column):
    return ", ".join(f"{call.format(x=column)} AS r{n}" for n, call in enumerate(calls))


def plain():
    yield whole("SELECT count(*) AS n FROM facts")
    for column, kind in COLUMNS.items():
        calls = ON_ANY + (ON_ORDERED if kind != "any" else [])
        for form in FORMS:
            yield whole(form.format(c=together(calls, column)))
        if kind == "number":
            digits = 12 if column == "x" else None
            for call in ON_NUMBERS:
                exact = column in ("s", "k", "v") or "DISTINCT" not in call
                yield make(WHOLE if exact else ANY, FORMS[0].format(c=f"{call.format(x=column)} AS r"), digits=digits)
            for form in FORMS[1:]:
                yield either(form.format(c=together(ON_NUMBERS, column)), digits=digits)
            for form in FORMS[:3]:
                yield either(form.format(c=together(ON_STATISTICS, column)), digits=digits)
    for call in ON_FLOATS:
        for form in FORMS[:2]:
            yield either(form.format(c=f"{call.format(x='x')} AS r"), digits=11)


OTHERS = [
    *[make(push, form.format(c=call)) for form in FORMS[:3] for push, call in [
        (WHOLE, "bool_and(ok)"), (WHOLE, "bool_or(ok)"), (WHOLE, "every(v > -1000)"),
        (ANY, "bit_and(id)"), (ANY, "bit_or(id)"), (ANY, "bit_xor(id)"),
        (ANY, "string_agg(name, ',' ORDER BY id)"), (ANY, "string_agg(name, NULL ORDER BY id)"), (ANY, "string_agg(DISTINCT name, '-')"),
        (ANY, "string_agg(name, ',' ORDER BY name DESC, id)"), (ANY, "string_agg(name, name ORDER BY id)"),
        (ANY, "array_agg(id ORDER BY id)"), (ANY, "array_agg(name ORDER BY v DESC NULLS LAST, id)"), (ANY, "array_agg(v ORDER BY id DESC)"),
        (ANY, "array_agg(DISTINCT g ORDER BY g DESC)"), (ANY, "array_agg(DISTINCT name)"), (ANY, "array_agg(day ORDER BY id)"),
        (ANY, "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)"), (ANY, "percentile_cont(0.25) WITHIN GROUP (ORDER BY v)"),
        (ANY, "percentile_cont(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY x)"), (ANY, "percentile_cont(0.9) WITHIN GROUP (ORDER BY x DESC)"),
        (ANY, "percentile_disc(0.5) WITHIN GROUP (ORDER BY v)"), (ANY, "percentile_disc(0.1) WITHIN GROUP (ORDER BY name)"), (ANY, "percentile_disc(0) WITHIN GROUP (ORDER BY day)"),
        (ANY, "percentile_disc(1) WITHIN GROUP (ORDER BY d DESC)"), (ANY, "mode() WITHIN GROUP (ORDER BY k)"), (ANY, "mode() WITHIN GROUP (ORDER BY name DESC)"),
        (ANY, "rank(5) WITHIN GROUP (ORDER BY k)"), (ANY, "percent_rank(5) WITHIN GROUP (ORDER BY k)"), (ANY, "dense_rank(5) WITHIN GROUP (ORDER BY k)"),
        (ANY, "json_agg(id ORDER BY id)"), (ANY, "jsonb_agg(name ORDER BY id)"), (ANY, "json_object_agg(id, name ORDER BY id)"), (ANY, "jsonb_object_agg(g, v ORDER BY id)"),
        (ANY, "sum(s::numeric)"), (ANY, "sum(x::real)"), (ANY, "avg(d::float8)"), (ANY, "max(ok::int)"), (ANY, "sum(CASE WHEN ok THEN 1 ELSE 0 END)"),
        (WHOLE, "sum(v) + count(*)"), (WHOLE, "max(v) - min(v)"), (WHOLE, "sum(v * 2)"), (WHOLE, "sum(v) * 2"), (ANY, "sum(v) / count(*)"), (ANY, "avg(v) + 1"), (ANY, "avg(d) * 2"),
        (ANY, "sum(d) / count(d)"), (ANY, "round(avg(v), 2)"), (ANY, "avg(v)::float8"), (ANY, "avg(v)::int"), (WHOLE, "COALESCE(sum(v), 0)"), (ANY, "COALESCE(avg(v), 0)"), (ANY, "sum(d) / 7"),
        (WHOLE, "max(length(name))"), (WHOLE, "count(*) FILTER (WHERE ok)"), (WHOLE, "count(DISTINCT k) FILTER (WHERE v > 0)"), (ANY, "count(DISTINCT (k, g))"), (ANY, "range_agg(int4range(id, id + 1))"),
        (ANY, "sum(v) FILTER (WHERE false)"), (ANY, "avg(tz - ts AT TIME ZONE 'UTC')"), (ANY, "sum(ts - timestamp '2024-01-01')"), (ANY, "min(ROW(g, id)::text)"), (ANY, "max(id::numeric)"),
    ]],
    whole("SELECT count(*) AS n, sum(a) AS s, avg(a) AS v, min(b) AS lo, bool_and(a > 1) AS every FROM empty"),
    whole("SELECT a, count(*) AS n FROM empty GROUP BY a"),
    whole("SELECT count(*) AS n, sum(i) AS s, avg(i) AS v, min(t) AS lo, max(x) AS hi, sum(x) AS f, avg(d) AS a FROM nulls"),
    either("SELECT string_agg(b, ',') AS s, array_agg(a) AS l, stddev(x) AS d, json_agg(a) AS j FROM empty"),
    either("SELECT array_agg(i) AS l, string_agg(t, ',') AS s, stddev(x) AS d FROM nulls"),
    whole("SELECT sum(x) AS s, avg(x) AS a, max(x) AS m FROM zeros"),
    whole("SELECT sum(x) AS s, avg(x) AS a FROM zeros WHERE id < 5"),
    either("SELECT sum(r) AS s, avg(r) AS a, max(r) AS m, min(r) AS l FROM zeros WHERE id < 5"),
    either("SELECT variance(i) AS v, stddev(i) AS s FROM nulls"),
    either("SELECT var_samp(k) AS v, stddev_samp(k) AS s, var_pop(k) AS p FROM facts WHERE id = 1"),
    whole("SELECT avg(x) AS a FROM t_int8"),
    whole("SELECT avg(x) AS a, sum(x) AS s FROM t_dec4"),
    whole("SELECT avg(x) AS a, sum(x) AS s FROM t_dec38 WHERE abs(x) < 100"),
    either("SELECT avg(x) AS a, sum(x) AS s FROM t_numeric"),
    whole("SELECT avg(x) AS a, sum(x) AS s FROM t_int2"),
    whole("SELECT y, avg(x) AS a, sum(x) AS s FROM t_int4 GROUP BY y"),
    whole("SELECT avg(d) AS a, avg(e) AS b, avg(s) AS c, avg(i) AS d FROM num"),
    whole("SELECT d, avg(e) AS a FROM num GROUP BY d"),
]

GROUPS = [whole(query) for query in lines("""
    SELECT k, count(*) AS n FROM facts GROUP BY k
    SELECT k, g, count(*) AS n, sum(v) AS s, avg(v) AS a FROM facts GROUP BY k, g
    SELECT k FROM facts GROUP BY k
    SELECT k % 3 AS m, sum(v) AS s FROM facts GROUP BY k % 3
    SELECT k % 3 AS m, sum(v) AS s FROM facts GROUP BY m
    SELECT k % 3 AS m, sum(v) AS s FROM facts GROUP BY 1
    SELECT k % 3 + 1 AS m, sum(v) AS s FROM facts GROUP BY k % 3
    SELECT sum(v) AS s FROM facts GROUP BY k
    SELECT ok, min(day) AS d FROM facts GROUP BY ok
    SELECT day, max(ts) AS t FROM facts GROUP BY day
    SELECT name, ok, count(*) AS n FROM facts GROUP BY name, ok
    SELECT k, count(*) AS n FROM facts GROUP BY k HAVING count(*) > 24
    SELECT k, sum(v) AS s FROM facts GROUP BY k HAVING sum(v) > 2000 AND k IS NOT NULL
    SELECT k FROM facts GROUP BY k HAVING max(day) - min(day) > 80
    SELECT count(*) AS n FROM facts HAVING count(*) > 10
    SELECT count(*) AS n FROM facts HAVING count(*) < 10
    SELECT g, count(*) AS n FROM facts WHERE v > 0 GROUP BY g HAVING min(v) < 50
    SELECT d.name, count(*) AS n, sum(f.v) AS s FROM facts f JOIN dims d USING (k) GROUP BY d.name
    SELECT CASE WHEN v > 0 THEN 'plus' ELSE 'rest' END AS c, count(*) AS n FROM facts GROUP BY 1
    SELECT count(*) AS n FROM (SELECT k, count(*) AS c FROM facts GROUP BY k) q WHERE c > 24
    SELECT max(c) AS m FROM (SELECT k, count(*) AS c FROM facts GROUP BY k) q
    SELECT g, max(s) AS m FROM (SELECT g, k, sum(v) AS s FROM facts GROUP BY g, k) q GROUP BY g
    SELECT x, count(*) AS n FROM facts GROUP BY x
    SELECT d, count(*) AS n FROM facts GROUP BY d
    SELECT 'all' AS c, count(*) AS n FROM facts
    SELECT DISTINCT count(*) AS n FROM facts GROUP BY k
""")] + [
    whole("SELECT k, sum(v) AS s FROM facts GROUP BY k ORDER BY s DESC NULLS LAST, k LIMIT 5", ordered=True),
    whole("SELECT k, count(*) AS n FROM facts GROUP BY k ORDER BY count(*) DESC, k NULLS FIRST", ordered=True),
    whole("SELECT g FROM facts GROUP BY g ORDER BY sum(v), g", ordered=True),
    whole("SELECT g, avg(v) AS a FROM facts GROUP BY g ORDER BY avg(v), g", ordered=True),
    whole("SELECT g, avg(v) AS a FROM facts GROUP BY g ORDER BY 2 DESC, g LIMIT 2", ordered=True),
    whole("SELECT g, avg(d) AS a FROM facts GROUP BY g HAVING avg(d) > 1 ORDER BY g", ordered=True),
    whole("SELECT k, avg(d) AS a, sum(d) / count(*) AS b FROM facts GROUP BY k"),
    either("SELECT max(a) AS m FROM (SELECT k, avg(v) AS a FROM facts GROUP BY k) q"),
    whole("SELECT id FROM facts WHERE v > (SELECT avg(v) FROM facts)"),
    whole("SELECT CASE WHEN avg(v) > 100 THEN 'high' ELSE 'low' END AS c, g FROM facts GROUP BY g"),
    whole("SELECT g, name, max(id) AS m FROM facts GROUP BY (g, name)"),
    either("SELECT count(*) AS n FROM facts GROUP BY ()"),
    whole("SELECT grp, count(*) FROM (SELECT NULL::int AS grp FROM facts) q GROUP BY grp"),
    whole("SELECT k, sum(v) AS s FROM facts WHERE g = $1 GROUP BY k HAVING count(*) > $2", ("int", "2"), ("bigint", "3")),
    either("SELECT v % $1 AS m, count(*) AS n FROM facts GROUP BY v % $1", ("bigint", "7")),
    either("SELECT v / $1 AS m, count(*) AS n FROM facts GROUP BY 1 ORDER BY 1", ("bigint", "100"), ordered=True),
    either("SELECT percentile_cont($1) WITHIN GROUP (ORDER BY x) AS p FROM facts", ("float8", "0.3")),
    either("SELECT string_agg(name, $1 ORDER BY id) AS p FROM facts WHERE id < 20", ("text", "'; '")),
]

SETS = [whole(query) for query in lines("""
    SELECT g, ok, sum(v) AS s FROM facts GROUP BY GROUPING SETS ((g, ok), (g), ())
    SELECT g, ok, sum(v) AS s, GROUPING(g) AS gg, GROUPING(ok) AS go, GROUPING(g, ok) AS b FROM facts GROUP BY ROLLUP (g, ok)
    SELECT g, ok, count(*) AS n, GROUPING(g, ok) AS b FROM facts GROUP BY CUBE (g, ok)
    SELECT g, ok, count(*) AS n FROM facts GROUP BY g, ROLLUP (ok)
    SELECT g, ok, k, count(*) AS n FROM facts GROUP BY ROLLUP (g), CUBE (ok, k)
    SELECT g, ok, count(*) AS n FROM facts GROUP BY GROUPING SETS (ROLLUP (g, ok), (ok))
    SELECT g, count(*) AS n FROM facts GROUP BY GROUPING SETS ((g), (g), ())
    SELECT g, ok, count(*) AS n FROM facts GROUP BY ROLLUP ((g, ok))
    SELECT count(*) AS n, a FROM empty GROUP BY GROUPING SETS ((a), ())
    SELECT count(*) AS n FROM empty GROUP BY ROLLUP (a)
    SELECT k % 3 AS m, sum(v) AS s, GROUPING(k % 3) AS gr FROM facts GROUP BY ROLLUP (k % 3)
    SELECT g, ok, sum(v) AS s FROM facts GROUP BY ROLLUP (g, ok) HAVING GROUPING(ok) = 1
    SELECT g, sum(v) AS s FROM facts GROUP BY ROLLUP (g) HAVING sum(v) > 1000
    SELECT COALESCE(name, 'none') AS n, GROUPING(name) AS gr, count(*) AS c FROM facts GROUP BY ROLLUP (name)
    SELECT g, ok, avg(d) AS a, count(DISTINCT k) AS n FROM facts GROUP BY CUBE (g, ok)
    SELECT GROUPING(g) + GROUPING(ok) AS level, sum(v) AS s FROM facts GROUP BY ROLLUP (g, ok)
    SELECT g, rank() OVER (ORDER BY sum(v)) AS r FROM facts GROUP BY ROLLUP (g)
    SELECT g, sum(sum(v)) OVER (PARTITION BY GROUPING(g)) AS r FROM facts GROUP BY ROLLUP (g)
    SELECT d.parent, f.g, count(*) AS n FROM facts f LEFT JOIN dims d USING (k) GROUP BY CUBE (d.parent, f.g)
    SELECT g, ok, string_agg(name, ',' ORDER BY id) AS s FROM facts WHERE id < 30 GROUP BY ROLLUP (g, ok)
    SELECT * FROM (SELECT g, sum(v) AS s FROM facts GROUP BY ROLLUP (g)) q WHERE g IS NULL
    SELECT * FROM (SELECT g, sum(v) AS s FROM facts GROUP BY ROLLUP (g)) q WHERE g = 1
    SELECT g, g IS NULL AS isnull, count(*) AS n FROM facts GROUP BY ROLLUP (g)
    SELECT ok, NOT ok AS negated, count(*) AS n FROM facts GROUP BY GROUPING SETS ((ok), ())
""")] + [either(query) for query in lines("""
    SELECT count(*) AS n FROM facts GROUP BY GROUPING SETS ((), ())
    SELECT count(*) AS n FROM facts GROUP BY GROUPING SETS (())
    SELECT g, ok, sum(v) FILTER (WHERE k > 5) AS s FROM facts GROUP BY DISTINCT ROLLUP (g, ok), ROLLUP (g)
""")] + [
    whole("SELECT g, ok, sum(v) AS s FROM facts GROUP BY ROLLUP (g, ok) ORDER BY g NULLS FIRST, ok, s", ordered=True),
    whole("SELECT g, count(*) AS n FROM facts GROUP BY CUBE (g) ORDER BY GROUPING(g), g", ordered=True),
    either("SELECT g, sum(v) AS s FROM facts WHERE k > $1 GROUP BY ROLLUP (g)", ("int", "5")),
]

OFF = {"duckdb.pushdown_float_aggregates": "off"}
FLOATS = [
    part("SELECT sum(x) AS s FROM facts", settings=OFF, kept="float"),
    part("SELECT g, avg(x) AS a FROM facts GROUP BY g", settings=OFF, kept="float"),
    part("SELECT sum(x) OVER (PARTITION BY g ORDER BY id) AS s FROM facts", settings=OFF),
    whole("SELECT max(x) AS m, count(x) AS n FROM facts", settings=OFF),
    whole("SELECT sum(v) AS s FROM facts", settings=OFF),
    either("SELECT stddev(s) AS s FROM facts", settings=OFF),
    either("SELECT regr_slope(x, s) AS s, corr(x, s) AS c FROM facts", settings=OFF),
]

CASES = [*FLOATS, *plain(), *OTHERS, *GROUPS, *SETS]
