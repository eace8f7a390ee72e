"""Dates, timestamps, time zones, intervals."""

from .cases import ANY, WHOLE, either, lines, make, part, select, whole

ZONES = ("Etc/UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe")

FIELDS = {
    "d": "century day decade dow doy epoch isodow isoyear julian millennium month quarter week year",
    "ts": "century day decade dow doy epoch hour isodow isoyear julian microseconds millennium milliseconds minute month quarter second week year",
    "tz": "century day decade dow doy epoch hour isodow isoyear microseconds millennium milliseconds minute month quarter second timezone timezone_hour timezone_minute week year",
    "tm": "epoch hour microseconds milliseconds minute second",
    "iv": "century day decade epoch hour microseconds millennium milliseconds minute month quarter second year",
}
SURE = {"year", "month", "day", "hour", "minute", "quarter", "dow", "doy"}
TRUNCATED = "microseconds milliseconds second minute hour day week month quarter year decade century millennium".split()


def fields():
    for column, names in FIELDS.items():
        for field in names.split():
            push = WHOLE if field in SURE and column in ("d", "ts") else ANY
            yield make(push, f"SELECT id, extract({field} FROM {column}) AS e, date_part('{field}', {column}) AS p FROM tim")
    for zone in ZONES[1:]:
        parts = ", ".join(f"extract({field} FROM tz) AS {field}" for field in ("hour", "day", "year", "dow", "timezone", "epoch"))
        yield either(f"SELECT id, {parts} FROM tim", settings={"TimeZone": f"'{zone}'"})
    for field in ("year", "epoch", "day"):
        yield from [either(f"SELECT id, extract({field} FROM x) AS r FROM {table}") for table in ("t_date", "t_timestamp", "t_timestamptz")]


def truncations():
    for unit in TRUNCATED:
        push = WHOLE if unit in ("year", "month", "day", "hour") else ANY
        yield from select("tim", push, [f"date_trunc('{unit}', ts)"])
        yield either(f"SELECT id, date_trunc('{unit}', d) AS d, date_trunc('{unit}', tz) AS tz, date_trunc('{unit}', iv) AS iv FROM tim")
        yield from select("tim", ANY, [f"date_trunc('{unit}', tz)"], settings={"TimeZone": "'America/New_York'"})
    yield from select("tim", ANY, ["date_trunc('day', tz, 'Asia/Tokyo')", "date_trunc('hour', tm)", "date_trunc('year', ts)::date", "date_trunc('MONTH', ts)"])
    yield from [either(f"SELECT id, date_trunc('{unit}', x) AS r FROM {table}") for unit in ("day", "year", "century", "week") for table in ("t_timestamp", "t_timestamptz", "t_date")]
    yield either("SELECT date_trunc('fortnight', ts) FROM tim")
    yield either("SELECT extract(fortnight FROM ts) FROM tim")


ARITHMETIC = select("tim", WHOLE, lines("""
    d + 1
    d - 1
    d + n
    d - n
    d - date '2000-01-01'
    d = date '2024-02-29'
    d < '2000-01-01'
    ts < '2000-01-01 12:00'
    ts >= d
    d BETWEEN '1970-01-01' AND '2023-12-31'
    ts::date = d
    d::timestamp = ts
    ts IS NULL
    COALESCE(d, date '2000-01-01')
    CASE WHEN ts > '2000-01-01' THEN 'new' ELSE 'old' END
    GREATEST(d, '2000-01-01')
    NULLIF(d, '2024-02-29')
""")) + select("tim", WHOLE, lines("""
    n + d
    ts + interval '1 day'
    ts - interval '1 month'
    ts + interval '1 year 2 months 3 days 04:05:06.7'
    ts + interval '-1 month -1 day'
    d + interval '1 month'
    d - interval '1 day'
    d + interval '1 hour'
    d + tm
    d + time '10:00'
    ts + iv
    ts - iv
    d + iv
    d - iv
    iv + iv
    iv - interval '1 day'
    iv * 2
    iv * 1.5
    iv / 2
    -iv
    interval '1 day' + ts
    ts - timestamp '2000-01-01'
    ts - ts
    tz - timestamptz '2000-01-01 00:00+00'
    ts - d
    tz + interval '1 day'
    tz + interval '1 month'
    tm + interval '1 hour'
    tm - interval '25 hours'
    tm - time '01:00'
    tm < '12:00'
    iv < interval '2 days'
    iv = interval '30 days'
    n * interval '1 day'
    ts + n * interval '1 day'
    ts + make_interval(days => n)
    n * interval '1 month' + d
    tz > ts
    tz = d
    d = tz
    tz < '2000-01-01'
    tz >= '2000-01-01 00:00:00+05'
    tz::date
    tz::text
    age(ts)  IS NULL
    age(ts, timestamp '2000-02-29')
    age(tz, timestamptz '2000-02-29 00:00+00')
    age(timestamp '2024-03-31', ts)
    justify_days(iv)
    justify_hours(iv)
    justify_interval(iv)
    make_date(2024, 2, n) IS NULL OR n IS NULL
    make_date(2024, 1, 15)
    make_date(abs(n) + 1, 1, 15)
    make_timestamp(2024, 2, 29, 12, 30, 15.5)
    make_timestamptz(2024, 2, 29, 12, 30, 15.5)
    make_time(12, 30, 15.5)
    make_interval(days => n)
    date_bin('15 minutes', ts, timestamp '2001-01-01')
    date_bin('1 day', tz, timestamptz '2001-01-01 00:00+00')
    date_bin('7 days', ts, timestamp '2001-01-01 00:00:30')
    to_char(ts, 'YYYY-MM-DD HH24:MI:SS')
    to_char(d, 'Day, DD Month YYYY')
    to_char(tz, 'YYYY-MM-DD HH24:MI TZ')
    to_char(iv, 'HH24:MI')
    to_date('2024-02-29', 'YYYY-MM-DD') = d
    to_timestamp(n)
    to_timestamp('2024', 'YYYY') > tz
    isfinite(d)
    isfinite(ts)
    isfinite(tz)
    isfinite(iv)
    d = 'infinity'
    ts AT TIME ZONE 'UTC'
    ts AT TIME ZONE 'America/New_York'
    tz AT TIME ZONE 'America/New_York'
    tz AT TIME ZONE 'Europe/Berlin'
    tz AT TIME ZONE interval '-05:00'
    tz AT TIME ZONE '+03'
    timezone('Asia/Tokyo', tz)
    (tz AT TIME ZONE 'Europe/Berlin')::date
    tm AT TIME ZONE 'UTC'
    (d, ts) OVERLAPS (date '2000-01-01', timestamp '2030-01-01')
    date '2024-01-01' + tm
    timestamp 'epoch' + n * interval '1 second'
    extract(epoch FROM ts - timestamp '2000-01-01')
    extract(day FROM ts - timestamp '2000-01-01')
    extract(year FROM age(ts, timestamp '2000-02-29'))
    extract(year FROM d) * 100 + extract(month FROM d)
    extract(year FROM d)::int
    date_part('year', d) = 2024
    timestamptz '2000-01-01 00:00' < tz
    date 'today' > d
    ts < now()
    ts < localtimestamp
    tz < current_timestamp
    d < current_date
    tm < localtime OR true
    now() - tz > interval '1 second'
    clock_timestamp() > tz
    ts::time
    tz::time
    tz::timetz
    tm::timetz
    iv::time
    tm::interval
    d::timestamptz
    (ts, d) < (timestamp '2000-01-01', date '2000-01-01')
"""))


def zoned():
    """What depends on the session's time zone."""
    for zone in ZONES:
        yield from select("tim", ANY, lines("""
            tz
            tz::date
            tz::timestamp
            tz::time
            ts::timestamptz
            d::timestamptz
            tz = ts
            tz < d
            tz >= '2000-01-01 00:00'
            tz + interval '1 day'
            extract(hour FROM tz)
            date_trunc('day', tz)
            tz::text
        """), settings={"TimeZone": f"'{zone}'"})
        yield either("SELECT tz::date AS day, count(*) AS n FROM facts GROUP BY tz::date ORDER BY 1", ordered=True, settings={"TimeZone": f"'{zone}'"})
        yield either("SELECT min(tz) AS lo, max(tz) AS hi FROM facts WHERE tz < '2024-03-01 00:00'", settings={"TimeZone": f"'{zone}'"})
        yield either("SELECT id FROM tim WHERE tz >= $1", ("timestamptz", "'2000-01-01 00:00'"), settings={"TimeZone": f"'{zone}'"})
        yield either("SELECT id FROM tim WHERE tz::date = $1", ("date", "'2024-10-27'"), settings={"TimeZone": f"'{zone}'"})
    for style in ("'SQL, DMY'", "'German'", "'Postgres, MDY'"):
        yield from select("tim", ANY, ["d::text", "ts::text", "tz::text", "d"], settings={"DateStyle": style})
    for style in ("postgres_verbose", "sql_standard", "iso_8601"):
        yield from select("tim", ANY, ["iv::text", "iv"], settings={"IntervalStyle": style})
    yield from select("num", ANY, ["f::text", "f"], settings={"extra_float_digits": "-5"})
    yield from select("lists", ANY, ["b::text", "b"], settings={"bytea_output": "escape"})


EDGES = [whole(query) for query in lines("""
    SELECT id, x + 0 AS r FROM t_date WHERE isfinite(x)
    SELECT id, x - date '2000-01-01' AS r FROM t_date WHERE isfinite(x)
    SELECT id, x::timestamp AS r FROM t_date
    SELECT id, x::timestamp AS r FROM t_date WHERE x < '2100-01-01'
    SELECT id, x::timestamptz AS r FROM t_date WHERE x < '2100-01-01'
    SELECT id, x::date AS r FROM t_timestamp
    SELECT id, x::date AS r FROM t_timestamptz
    SELECT id, x::timestamp AS r FROM t_timestamptz
    SELECT id, x::time AS r FROM t_timestamp
    SELECT id, x::time AS r FROM t_timestamp WHERE isfinite(x)
    SELECT id, x + interval '1 day' AS r FROM t_timestamp WHERE x < '2100-01-01' AND isfinite(x)
    SELECT id, x - interval '1 day' AS r FROM t_timestamp
    SELECT id, x - y AS r FROM t_timestamp WHERE isfinite(x) AND isfinite(y)
    SELECT id, x - y AS r FROM t_timestamp
    SELECT id, d + 2147483647 AS r FROM tim
    SELECT id, d - 2000000 AS r FROM tim
    SELECT id, isfinite(x) AS r FROM t_date
    SELECT id, x = 'infinity' AS p, x = '-infinity' AS m FROM t_timestamp
    SELECT id, x > '294000-01-01' AS r FROM t_timestamp
    SELECT id, x < '4000-01-01 BC' AS r FROM t_timestamp
    SELECT id, x > '1000000-01-01' AS r FROM t_date
    SELECT ts AT TIME ZONE 'Nowhere/City' FROM tim
    SELECT age(x) IS NULL FROM t_timestamp WHERE isfinite(x)
    SELECT max(x) - min(x) AS span FROM t_date WHERE isfinite(x)
    SELECT ts + interval '300000 years' FROM tim
    SELECT d - interval '300000 years' FROM tim
    SELECT id, extract(julian FROM x) AS r FROM t_timestamp WHERE isfinite(x)
    SELECT id, x + y AS r FROM t_interval
    SELECT id, x * 2 AS r FROM t_interval
    SELECT id, x + interval '1 hour' AS r FROM t_time
    SELECT id, x = '24:00' AS r FROM t_time
""")] + [either(query) for query in lines("""
    SELECT make_date(2024, 2, 30) FROM tim
    SELECT make_date(0, 1, 1) FROM tim
    SELECT sum(x) AS s, avg(x) AS a FROM t_interval
    SELECT avg(tm) IS NULL AS a, min(tm) AS lo, max(tm) AS hi, sum(iv) AS s FROM tim
    SELECT generate_series(d, d + 2, '1 day') FROM tim WHERE id = 1
    SELECT id, g FROM tim, generate_series(ts, ts + interval '2 hours', '1 hour') g WHERE id < 4
""")]

CONDITIONS = [
    whole("SELECT id FROM facts WHERE day >= '2024-01-15' AND day < date '2024-01-20'"),
    whole("SELECT id FROM facts WHERE day BETWEEN '2024-01-15' AND '2024-01-20' OR day IS NULL"),
    whole("SELECT id FROM facts WHERE ts > timestamp '2024-01-10 12:00' ORDER BY ts LIMIT 5", ordered=True),
    whole("SELECT extract(month FROM day) AS m, count(*) AS n FROM facts GROUP BY extract(month FROM day)"),
    whole("SELECT date_trunc('month', ts) AS m, sum(v) AS s FROM facts GROUP BY 1 ORDER BY 1", ordered=True),
    either("SELECT date_trunc('week', day) AS w, count(*) AS n FROM facts GROUP BY 1 ORDER BY 1", ordered=True),
    whole("SELECT id FROM facts WHERE ts >= timestamp '2024-01-05' + interval '3 days' AND ts < timestamp '2024-01-05' + interval '4 days'"),
    whole("SELECT id FROM facts WHERE ts + interval '1 day' < '2024-01-03'"),
    either("SELECT count(*) AS n FROM facts WHERE ts < now() AND day < current_date"),
    whole("SELECT count(*) AS n FROM facts WHERE tz < now() - interval '1 day'"),
    whole("SELECT count(*) AS n FROM facts WHERE extract(dow FROM day) IN (0, 6)"),
    either("SELECT count(*) AS n FROM facts WHERE to_char(day, 'MM') = '01'"),
    part("SELECT to_char(day, 'YYYY-MM') AS m, count(*) AS n FROM facts GROUP BY 1", kept="to_char"),
    whole("SELECT max(day) - min(day) AS span FROM facts"),
    whole("SELECT day + 1 AS next, count(*) AS n FROM facts GROUP BY day + 1"),
    whole("SELECT id FROM facts WHERE day = $1", ("date", "'2024-01-15'")),
    whole("SELECT id FROM facts WHERE day > $1 + 2 AND day <= $2", ("date", "'2024-01-15'"), ("date", "'2024-01-20'")),
    whole("SELECT id FROM facts WHERE ts <= $1", ("timestamp", "'2024-01-02 03:04:05.678901'")),
    either("SELECT id FROM facts WHERE ts <= $1", ("date", "'2024-01-02'")),
    either("SELECT id FROM facts WHERE ts < $1 + interval '1 day'", ("timestamp", "'2024-01-02'")),
    either("SELECT id FROM facts WHERE ts < timestamp '2024-01-02' + $1", ("interval", "'36 hours'")),
    either("SELECT id FROM facts WHERE day < $1", ("date", "'infinity'")),
    either("SELECT id FROM facts WHERE ts > $1", ("timestamp", "'-infinity'")),
    either("SELECT id, day + $1 AS r FROM facts WHERE id < 5", ("int", "30")),
    either("SELECT date_trunc($1, ts) AS m, count(*) AS n FROM facts GROUP BY 1", ("text", "'month'")),
    either("SELECT id FROM tim WHERE tm > $1", ("time", "'12:00'")),
    either("SELECT id FROM tim WHERE iv > $1", ("interval", "'1 day'")),
]

CASES = [*fields(), *truncations(), *ARITHMETIC, *zoned(), *EDGES, *CONDITIONS]
