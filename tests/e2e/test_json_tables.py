"""JSON foreign tables: with the columns of the files they are what duckdb.query and read_json return;
declared ones hold what the text says, or it is an error."""

import decimal

import pytest

from support import failure

# Name: lines, and the rows as text.
SAME = {
    "keys_by_case": ('{"id":1,"ID":2,"id_1":3}\n{"id":4,"ID":5}\n', [("1", "2", "3"), ("4", "5", None)]),
    "empty_key": ('{"":1,"b":2}\n', [("1", "2")]),
    "grid": ('{"g":[[1,2],[3,4]]}\n', [("{{1,2},{3,4}}",)]),
    "text_grid": ('{"g":[["a","b"],["c","d"]]}\n', [("{{a,b},{c,d}}",)]),
    "moved": ('{"t":"2021-08-06T13:18:00+02:00"}\n', [("2021-08-06 11:18:00",)]),
    "offsets": ('{"l":["2020-01-02T03:04:05+02:00"]}\n', [('{"2020-01-02 01:04:05"}',)]),
    "moments": (
        '{"d":"2020-01-02","t":"2020-01-02 03:04:05","s":"2020-01-02T03:04:05.123Z","m":"10:11:12","u":"123e4567-e89b-12d3-a456-426614174000"}\n',
        [("2020-01-02", "2020-01-02 03:04:05", "2020-01-02 03:04:05.123", "10:11:12", "123e4567-e89b-12d3-a456-426614174000")],
    ),
    "byte_order_mark": ('\ufeff{"a":1}\n', [("1",)]),
    "big_integer": ('{"i":18446744073709551615}\n', [("18446744073709551615",)]),
    "in_brackets": ('[{"a":1},{"a":2}]', [("1",), ("2",)]),
    "types_of_a_key": ('{"m":1}\n{"m":"x"}\n{"m":[1]}\n', [("1",), ('"x"',), ("[1]",)]),
    "lists": ('{"l":[1,2,null],"t":["a",null],"b":[true]}\n', [("{1,2,NULL}", "{a,NULL}", "{t}")]),
    "keys_with_signs": ('{"k\\"q":1,"s p":2}\n', [("1", "2")]),
}


@pytest.fixture(scope="module")
def folder(su, tmp_path_factory):
    path = tmp_path_factory.mktemp("json")
    for parent in [path, *path.parents][:3]:
        parent.chmod(0o755)
    su.execute(f"CREATE SERVER texts TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{path}')")
    su.execute("CREATE USER MAPPING FOR PUBLIC SERVER texts")
    return path


def table(conn, folder, name, lines, columns=""):
    (folder / f"{name}.json").write_text(lines)
    conn.execute(f"CREATE FOREIGN TABLE {name} ({columns}) SERVER texts OPTIONS (path '{folder}/{name}.json')")


def as_text(conn, source):
    names = [column.name for column in conn.execute(f"SELECT * FROM {source} q LIMIT 0").description]
    items = ", ".join(f'q."{name}"::text'.replace('k"q', 'k""q') for name in names)
    return conn.execute(f"SELECT {items} FROM {source} q").fetchall()


@pytest.mark.parametrize("name", SAME)
def test_inferred_columns_are_those_of_a_query(su, folder, name):
    lines, rows = SAME[name]
    table(su, folder, name, lines)
    file = f"{folder}/{name}.json"
    for source in (name, f"duckdb.query($$ FROM '{file}' $$)", f"duckdb.read_json('{file}')"):
        assert as_text(su, source) == rows, source


def test_dates_in_another_order_stay_text(su, folder):
    table(su, folder, "day_month", '{"t":"31-12-2020"}\n{"t":"01-02-2020"}\n')
    assert su.execute("SELECT t, pg_typeof(t)::text FROM day_month ORDER BY t").fetchall() == [("01-02-2020", "text"), ("31-12-2020", "text")]


def test_absent_keys_of_objects_stay_absent(su, folder):
    table(su, folder, "absent", '{"o":{"x":1}}\n{"o":{"y":"b"}}\n{"o":null}\n{}\n')
    assert su.execute("SELECT o FROM absent").fetchall() == [({"x": 1},), ({"y": "b"},), (None,), (None,)]


def test_whole_numbers_keep_their_digits(su, folder):
    digits = "12345678901234567890123456789012345678"
    table(su, folder, "digits", f'{{"n":{digits},"o":{{"n":{digits}}}}}\n', "n numeric(38,0), o jsonb")
    assert su.execute("SELECT n FROM digits").fetchone() == (decimal.Decimal(digits),)
    assert su.execute("SELECT (o->>'n') FROM digits").fetchone() == (digits,)


def test_keys_are_found_whatever_their_case(su, folder):
    table(su, folder, "upper", '{"A":7,"userId":8}\n', "a int, userid int")
    assert su.execute("SELECT a, userid FROM upper").fetchone() == (7, 8)


@pytest.mark.parametrize(
    "name, lines, columns, sqlstate",
    [
        ("duplicate", '{"a":1,"a":2}\n', "a int", "22P02"),
        ("fraction", '{"a":1.5}\n', "a int", "22P02"),
        ("wide", '{"a":3000000000}\n', "a int", "22003"),
        ("word", '{"a":"soon"}\n', "a timestamptz", "22P02"),
        ("infinite", '{"a":1e400}\n', "a double precision", "22003"),
    ],
)
def test_values_of_another_type_are_refused(su, folder, name, lines, columns, sqlstate):
    table(su, folder, name, lines, columns)
    assert failure(su, f"SELECT a FROM {name}").sqlstate == sqlstate


def test_declared_columns_are_parsed(su, folder):
    lines = '{"a":5,"b":"5","t":"2021-08-06T13:18Z","f":true,"x":1.50,"l":[1,2]}\n{"a":null}\n'
    table(su, folder, "declared", lines, "a int, b bigint, t timestamptz, f boolean, x text, l int[]")
    row = su.execute("SELECT a, b, t = '2021-08-06 13:18+00', f, x, l FROM declared ORDER BY a").fetchall()
    assert row == [(5, 5, True, True, "1.5", [1, 2]), (None,) * 6]
