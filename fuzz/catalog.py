"""Owns: the expressions that can be generated: one entry for each, by the kind of its result.

A template's braces hold operands: `{i4}` an expression of that kind whose values are harmless to
compute with, `{i4*}` any of that kind, `{i4!}` a constant, `{T…}` the kinds in turn that the entry is
for, `{1..9}` an integer of that range, `{a|b|c}` one of the texts, `{col:T}` a column.
"""

import re
from dataclasses import dataclass
from math import inf, nan

INTEGERS = ("i2", "i4", "i8")
NUMBERS = (*INTEGERS, "num", "f4", "f8")
ORDERED = (*NUMBERS, "text", "bool", "date", "ts", "tstz", "time", "iv", "uuid", "bytea")
COMPARED = (*ORDERED, "bpchar", "ai", "at")
ALL = (*COMPARED, "json")

# How large a result may become before it is not used: no overflow, no loss of float digits.
LIMITS = {"i2": 32767, "i4": 2147483647, "i8": 9e18, "num": 1e22, "f4": 2**22, "f8": 2**46}

# What PostgreSQL keeps, as far as it is known: plain queries do without, so that many are pushed whole.
LOCAL_KINDS = frozenset(("iv", "bpchar", "ai", "at", "json"))
LOCAL = frozenset((
    "upper, lower", "concat", "concat of kinds", "concat_ws", "reverse", "repeat", "md5", "ascii(_", "translate", "gcd(_, _", "shift",
    "float to integer", "numeric to integer", "floor of numeric", "numeric /", "numeric / constant", "trunc(numeric, n)", "ILIKE",
    "double to real", "boolean to text", "integer to text", "text || integer", "substring at negative offset", "substr", "lpad",
    "left, right, negative", "timestamptz to date", "AT TIME ZONE", "timestamp to timestamptz", "timestamptz to timestamp",
    "extract from date", "extract from timestamp", "extract from timestamptz", "IN (VALUES)", "date_trunc of timestamptz",
    "timestamptz + interval constant", "timestamp + interval", "timestamp - timestamp", "numeric to text", "now()", "split_part(_, _, _",
))  # fmt: skip


@dataclass(frozen=True)
class Entry:
    result: str
    pieces: tuple  # texts, and (what, argument) for operands
    bound: object  # a number, a function of the operands' bounds, or None: the largest of them
    weight: float
    feature: str
    kinds: frozenset = frozenset()  # of its operands but constants

    @property
    def rare(self):
        return self.weight < 0.5 or self.feature in LOCAL


def _pieces(template, kind):
    found = []
    for index, piece in enumerate(re.split(r"\{([^{}]*)\}", template)):
        if index % 2 == 0:
            if piece:
                found.append(piece)
        elif re.fullmatch(r"-?\d+\.\.\d+", piece):
            low, high = piece.split("..")
            found.append(("range", (int(low), int(high))))
        elif "|" in piece:
            found.append(("choice", tuple(piece.split("|"))))
        else:
            piece = re.sub(r"\bT\b", kind, piece)
            if piece.startswith("col:"):
                found.append(("column", piece[4:]))
            elif piece[-1] in "*!":
                found.append(("any" if piece[-1] == "*" else "literal", piece[:-1]))
            else:
                found.append(("calm", piece))
    return tuple(found)


ENTRIES = {}


def _add(result, template, bound=None, weight=1.0, kinds=(None,), feature=None):
    for kind in kinds:
        pieces = _pieces(template, kind or "")
        operands = frozenset(piece[1] for piece in pieces if piece[0] in ("any", "calm", "column") and not isinstance(piece, str))
        entry = Entry(kind if result == "T" else result, pieces, bound, weight, feature or _feature(template), operands)
        ENTRIES.setdefault(entry.result, []).append(entry)


def _feature(template):
    """The template without its operands' kinds."""
    return re.sub(r"\{([^{}|]*)\}", "_", template).replace("{", "").replace("}", "").strip("() ")


def _sum(*bounds):
    return sum(bounds)


def _product(a, b):
    return a * b


COMPARISON = "{=|<>|<|<=|>|>=}"

# ---- boolean
_add("bool", f"({{T*}} {COMPARISON} {{T*}})", 0, 8, ORDERED, "comparison")
_add("bool", "({T*} {=|<>} {T*})", 0, 3, COMPARED, "equality")
_add("bool", f"({{col:T}} {COMPARISON} {{T!}})", 0, 8, ORDERED, "column against constant")
_add("bool", "({T*} IS {|NOT }DISTINCT FROM {T*})", 0, 3, COMPARED, "IS DISTINCT FROM")
_add("bool", "({T*} IS {|NOT }NULL)", 0, 4, ALL, "IS NULL")
_add("bool", "({T*} {|NOT }BETWEEN {T*} AND {T*})", 0, 2, ORDERED, "BETWEEN")
_add("bool", "({T*} {|NOT }BETWEEN SYMMETRIC {T!} AND {T!})", 0, 0.7, NUMBERS, "BETWEEN SYMMETRIC")
_add("bool", "({T*} {|NOT }IN ({T!}, {T!}, {T!}))", 0, 3, COMPARED, "IN list")
_add("bool", "({T*} {|NOT }IN ({T*}, {T!}))", 0, 0.7, ORDERED, "IN list of expressions")
_add("bool", "({T*} = ANY (ARRAY[{T!}, {T!}]))", 0, 1.5, ORDERED, "= ANY(array)")
_add("bool", "({T*} {<>|<|>=} ALL (ARRAY[{T!}, {T!}]))", 0, 1, ORDERED, "<> ALL(array)")
_add("bool", "({T*} {=|<} ANY (ARRAY[{T*}, {T!}]))", 0, 0.5, NUMBERS, "ANY(array of expressions)")
_add("bool", "({i4*} = ANY ({ai*}))", 0, 0.4, feature="= ANY(array column)")
_add("bool", f"({{i4*}} {COMPARISON} {{i8*}})", 0, 1, feature="comparison across kinds")
_add("bool", f"({{i2*}} {COMPARISON} {{i4*}})", 0, 1, feature="comparison across kinds")
_add("bool", f"({{i4*}} {COMPARISON} {{num*}})", 0, 1, feature="comparison across kinds")
_add("bool", f"({{i8*}} {COMPARISON} {{f8*}})", 0, 1, feature="comparison across kinds")
_add("bool", f"({{num*}} {COMPARISON} {{f8*}})", 0, 0.6, feature="comparison across kinds")
_add("bool", f"({{f4*}} {COMPARISON} {{f8*}})", 0, 0.6, feature="comparison across kinds")
_add("bool", f"({{f4*}} {COMPARISON} {{i4*}})", 0, 0.4, feature="comparison across kinds")
_add("bool", f"({{f4*}} {COMPARISON} {{num*}})", 0, 0.3, feature="comparison across kinds")
_add("bool", f"({{date*}} {COMPARISON} {{ts*}})", 0, 0.8, feature="comparison across kinds")
_add("bool", f"({{ts*}} {COMPARISON} {{tstz*}})", 0, 0.5, feature="comparison across kinds")
_add("bool", f"({{date*}} {COMPARISON} {{tstz*}})", 0, 0.5, feature="comparison across kinds")
_add("bool", "({bpchar*} {=|<>} {text*})", 0, 0.4, feature="comparison across kinds")
_add("bool", "({bool*} {AND|OR} {bool*})", 0, 6, feature="AND, OR")
_add("bool", "(NOT {bool*})", 0, 3)
_add("bool", "({bool*} IS {|NOT }{TRUE|FALSE|UNKNOWN})", 0, 2, feature="IS TRUE")
_add("bool", f"(({{i4*}}, {{text*}}) {COMPARISON} ({{i4*}}, {{text*}}))", 0, 0.7, feature="row comparison")
_add("bool", f"(({{num*}}, {{date*}}) {COMPARISON} ({{num!}}, {{date!}}))", 0, 0.7, feature="row comparison")
_add("bool", "(({i4*}, {bool*}) IN (({i4!}, {bool!}), ({i4*}, {bool*})))", 0, 0.5, feature="row IN")
_add(
    "bool",
    "({text*} {|NOT }LIKE {'a%'|'%b'|'%a%'|'_'|'a_%'|''|'%'|'a\\%b'|'%ä%'|'_🦆_'|'A%'|'a\\_b'|'日%'|'c_t'})",
    0,
    3,
    feature="LIKE",
)
_add("bool", "({text*} LIKE {'a!%b'|'!_'|'a%'} ESCAPE '!')", 0, 0.6, feature="LIKE ESCAPE")
_add("bool", "({text*} LIKE {text*})", 0, 0.3, feature="LIKE expression")
_add("bool", "({text*} {|NOT }ILIKE {'A%'|'%B'|'ä%'|'CAT'|'%SS%'})", 0, 0.6, feature="ILIKE")
_add("bool", "({text*} {~|!~|~*} {'^a'|'b$'|'[a-c]+'|'a.c'|'.'|'^$'|'\\d'|'[ab]c'})", 0, 0.4, feature="regular expression")
_add("bool", "starts_with({text*}, {'a'|''|'日'|'A'}::text)", 0, 0.7)
_add("bool", "({text*} ^@ {'a'|'ca'}::text)", 0, 0.2)
_add("bool", "({date*}, {date*}) OVERLAPS ({date!}, {date!})", 0, 0.2, feature="OVERLAPS")
_add("bool", "{i4*}::boolean", 0, 0.7)
_add("bool", "({ai*} {@>|<@|&&} {ai!})", 0, 0.5, feature="array operators")
_add("bool", "isfinite({T*})", 0, 0.5, ("date", "ts"))

_add("bool", "({T*} IN (VALUES ({T!}), ({T!})))", 0, 0.4, ("i4", "text", "num", "date"), "IN (VALUES)")
_add("bool", "({ts} {<|>=} now())", 0, 0.5, feature="now()")
_add("bool", "({date} {<|>=} current_date)", 0, 0.5, feature="current_date")
_add("bool", "({text*} <> current_user)", 0, 0.2, feature="current_user")
_add("bool", '({text*} {<|=|>=} {text*} COLLATE "C")', 0, 0.5, feature="COLLATE C")
_add("bool", '({text*} {<|=} {text*} COLLATE "en-x-icu")', 0, 0.15, feature="COLLATE of ICU")

# ---- integers
for _kind in INTEGERS:
    _add(_kind, f"({{{_kind}}} + {{{_kind}}})", _sum, 3, feature="+")
    _add(_kind, f"({{{_kind}}} - {{{_kind}}})", _sum, 3, feature="-")
    _add(_kind, f"({{{_kind}}} * {{{_kind}}})", _product, 3, feature="*")
    _add(_kind, f"({{{_kind}}} / {{{_kind}!}})", lambda a, b: a if b else nan, 1.5, feature="integer / constant")
    _add(_kind, f"({{{_kind}}} / NULLIF({{{_kind}}}, {{0..0}}))", lambda a, *_: a, 1.5, feature="integer /")
    _add(_kind, f"({{{_kind}}} % NULLIF({{{_kind}}}, {{0..0}}))", lambda a, *_: a, 1.5, feature="%")
    _add(_kind, f"mod({{{_kind}}}, NULLIF({{{_kind}}}, {{0..0}}))", lambda a, *_: a, 0.7, feature="mod")
    _add(_kind, f"(- {{{_kind}}})", None, 1, feature="unary -")
    _add(_kind, f"abs({{{_kind}}})", None, 1.5, feature="abs")
    _add(_kind, f"({{{_kind}}} {{&|#}} {{{_kind}!}})", _sum, 0.5, feature="bit operators")
    _add(_kind, f"({{{_kind}*}} {{&|#}} {{{_kind}*}})", inf, 0.3, feature="bit operators")
    _add(_kind, f"(~ {{{_kind}}})", lambda a: a + 1, 0.4, feature="bit operators")
_add("i4", "({i4} << {0..8})", lambda a, _: a * 256, 0.4, feature="shift")
_add("i4", "({i4*} >> {0..8})", None, 0.4, feature="shift")
_add("i8", "({i8} << {0..20})", lambda a, _: a * 2**20, 0.3, feature="shift")
_add("i4", "({i2} + {i4})", _sum, 0.7, feature="+ across kinds")
_add("i8", "({i4} * {i8})", _product, 0.7, feature="* across kinds")
_add("i8", "({i8} - {i2})", _sum, 0.5, feature="- across kinds")
_add("i4", "gcd({i4}, {i4})", None, 0.3)
_add("i4", "{length|char_length|octet_length|bit_length}({text*})", 2000, 2, feature="length")
_add("i4", "length({bpchar*})", 6, 0.4, feature="length of char(n)")
_add("i4", "length({bytea*})", 100, 0.4, feature="length of bytea")
_add("i4", "strpos({text*}, {text!})", 100, 1, feature="strpos")
_add("i4", "position({text*} IN {text*})", 100, 0.7, feature="position")
_add("i4", "ascii({text*})", 2e6, 0.7)
_add("i4", "({date} - {date})", 1e5, 2, feature="date - date")
_add(
    "i4",
    "extract({year|month|day|dow|isodow|doy|week|quarter|isoyear|decade|century} FROM {date})::integer",
    1e4,
    2,
    feature="extract from date",
)
_add(
    "i4",
    "extract({year|month|day|dow|doy|hour|minute|quarter|week|isoyear} FROM {ts})::integer",
    1e4,
    2,
    feature="extract from timestamp",
)
_add("i4", "extract({year|day|hour|month|dow} FROM {tstz})::integer", 1e4, 0.7, feature="extract from timestamptz")
_add("i4", "extract({year|month|day|hour|minute} FROM {iv})::integer", 1e4, 0.4, feature="extract from interval")
_add("i4", "sign({num*})::integer", 1, 0.4, feature="sign")
_add("i4", "floor({num})::integer", None, 0.7, feature="floor of numeric")
_add("i4", "array_length({ai*}, 1)", 10, 0.4)
_add("i4", "cardinality({ai*})", 10, 0.4)
_add("i4", "({ai*})[{0..3}]", 10, 0.5, feature="array subscript")
_add("i4", "width_bucket({num}, -1000, 1000, {1..9})", 10, 0.3)
_add("i4", "width_bucket({f8}, -100, 100, {1..9})", 10, 0.2)
_add("i4", "{bool*}::integer", 1, 1)
_add("i4", "{text!}::text::integer", inf, 0.02, feature="text to integer")
_add("i4", "{i2*}::integer", None, 1, feature="integer cast")
_add("i4", "{i8}::integer", None, 1, feature="narrowing integer cast")
_add("i4", "{num}::integer", lambda a: a + 1, 1, feature="numeric to integer")
_add("i4", "{f8}::integer", lambda a: a + 1, 0.7, feature="float to integer")
_add("i8", "{i4*}::bigint", None, 2, feature="integer cast")
_add("i8", "{num}::bigint", lambda a: a + 1, 0.7, feature="numeric to integer")
_add("i8", "{f8}::bigint", lambda a: a + 1, 0.4, feature="float to integer")
_add("i2", "{i4}::smallint", None, 1, feature="narrowing integer cast")
_add("i2", "{num}::smallint", lambda a: a + 1, 0.3, feature="numeric to integer")

# ---- numeric
_add("num", "({num} + {num})", _sum, 3, feature="numeric +")
_add("num", "({num} - {num})", _sum, 3, feature="numeric -")
_add("num", "({num} * {num})", _product, 3, feature="numeric *")
_add("num", "({num} / NULLIF({num}, {0..0}))", inf, 1.5, feature="numeric /")
_add("num", "({num} / {num!})", lambda a, b: inf if b else nan, 0.8, feature="numeric / constant")
_add("num", "({num} % NULLIF({num}, {0..0}))", lambda a, *_: a, 0.8, feature="numeric %")
_add("num", "({num} {+|-} {i4})", _sum, 1, feature="numeric + integer")
_add("num", "({i8} * {num})", _product, 1, feature="numeric * integer")
_add("num", "({num*} + {0..1})", inf, 0.2, feature="numeric + at the edge")
_add("num", "(- {num*})", None, 0.7, feature="numeric unary -")
_add("num", "abs({num*})", None, 1, feature="numeric abs")
_add("num", "round({num}, {-2..4})", lambda a, _: a + 1, 1.5, feature="round(numeric, n)")
_add("num", "{round|trunc|ceil|floor}({num})", lambda a: a + 1, 1.5, feature="round(numeric)")
_add("num", "trunc({num}, {0..3})", None, 0.6, feature="trunc(numeric, n)")
_add("num", "div({num}, NULLIF({num}, {0..0}))", inf, 0.3)
_add("num", "sign({num*})", 1, 0.3, feature="sign")
_add("num", "{i4*}::numeric", None, 0.8, feature="integer to numeric")
_add("num", "{i8}::numeric({14..20},2)", None, 0.7, feature="integer to numeric(p,s)")
_add("num", "{num}::numeric({12..20},{0..4})", None, 1.2, feature="numeric to numeric(p,s)")
_add("num", "{f8}::numeric", None, 0.3, feature="float to numeric")
_add("num", "sqrt(abs({num}))", inf, 0.2, feature="sqrt(numeric)")
_add("num", "extract({epoch|second|milliseconds|microseconds} FROM {ts})", 1e16, 0.6, feature="extract fractions")
_add("num", "extract({year|month|epoch} FROM {date})", 1e11, 0.6, feature="extract as numeric")
_add("num", "extract(epoch FROM {iv})", 1e11, 0.2, feature="extract epoch from interval")

# ---- floats
for _kind in ("f4", "f8"):
    _add(_kind, f"({{{_kind}}} + {{{_kind}}})", _sum, 3, feature="float +")
    _add(_kind, f"({{{_kind}}} - {{{_kind}}})", _sum, 3, feature="float -")
    _add(_kind, f"({{{_kind}}} * {{{_kind}}})", _product, 2, feature="float *")
    _add(_kind, f"(- {{{_kind}*}})", None, 0.7, feature="float unary -")
    _add(_kind, f"abs({{{_kind}*}})", None, 1, feature="float abs")
_add("f8", "({f8} / NULLIF({f8}, {0..0}))", inf, 1.5, feature="float /")
_add("f8", "{round|trunc|ceil|floor}({f8*})", None, 1.5, feature="round(float)")
_add("f8", "sign({f8*})", 1, 0.4, feature="sign of float")
_add("f8", "sqrt(abs({f8}))", inf, 0.7, feature="sqrt")
_add("f8", "power({f8}, {0..2})", lambda a, _: a * a + 1, 0.5, feature="power")
_add("f8", "ln(abs({f8}) + {1..3})", inf, 0.4, feature="ln")
_add("f8", "exp(least({f8}, {0..5}))", inf, 0.3, feature="exp")
_add("f8", "{sin|cos|atan|degrees|radians|cbrt}({f8})", inf, 0.3, feature="trigonometry")
_add("f8", "{f4*}::double precision", None, 0.7, feature="real to double")
_add("f8", "{i4*}::double precision", None, 1, feature="integer to double")
_add("f8", "{i8}::double precision", None, 0.5, feature="integer to double")
_add("f8", "{num}::double precision", None, 0.8, feature="numeric to double")
_add("f4", "{i2}::real", None, 0.5, feature="integer to real")
_add("f4", "{f8}::real", None, 0.4, feature="double to real")
_add("f8", "({i4} + {f8})", _sum, 0.6, feature="float + integer")
_add("f8", "({f4} * {f8})", _product, 0.6, feature="real * double")
_add("f8", "date_part({'year'|'month'|'hour'|'day'}, {ts})", 1e4, 0.4)

# ---- text
_add("text", "{upper|lower}({text*})", 0, 2, feature="upper, lower")
_add("text", "initcap({text*})", 0, 0.2)
_add("text", "({text*} || {text*})", 0, 2, feature="||")
_add("text", "({text*} || {i4*})", 0, 0.5, feature="text || integer")
_add("text", "({text*} || {bool*})", 0, 0.2, feature="text || boolean")
_add("text", "concat({text*}, {text*})", 0, 1, feature="concat")
_add("text", "concat({text*}, {i4*}, {bool*})", 0, 0.4, feature="concat of kinds")
_add("text", "concat_ws({', '|'-'|''}, {text*}, {text*})", 0, 0.5, feature="concat_ws")
_add("text", "substring({text*} FROM {1..4} FOR {0..3})", 0, 1.5, feature="substring")
_add("text", "substring({text*}, {-2..4}, {0..4})", 0, 0.5, feature="substring at negative offset")
_add("text", "substr({text*}, {-1..4})", 0, 0.5, feature="substr")
_add("text", "{left|right}({text*}, {0..4})", 0, 1.2, feature="left, right")
_add("text", "{left|right}({text*}, {-3..0})", 0, 0.3, feature="left, right, negative")
_add("text", "{lpad|rpad}({text*}, {0..8})", 0, 0.5, feature="lpad")
_add("text", "{lpad|rpad}({text*}, {0..8}, {'*'|'xy'|''})", 0, 0.5, feature="lpad with fill")
_add("text", "{trim|ltrim|rtrim|btrim}({text*})", 0, 1, feature="trim")
_add("text", "{ltrim|rtrim|btrim}({text*}, {'a'|'ab '|'ä'})", 0, 0.5, feature="trim characters")
_add("text", "replace({text*}, {text!}, {text!})", 0, 1, feature="replace")
_add("text", "reverse({text*})", 0, 0.6)
_add("text", "repeat({text*}, {0..3})", 0, 0.5)
_add("text", "split_part({text*}, {','|'a'|' '}, {1..3})", 0, 0.6)
_add("text", "split_part({text*}, {','|'a'}, -1)", 0, 0.1, feature="split_part from the end")
_add("text", "translate({text*}, {'abc'|'aä'}, {'xyz'|'x'})", 0, 0.4, feature="translate")
_add("text", "md5({text*})", 0, 0.4)
_add("text", "chr({65..300})", 0, 0.1)
_add("text", "overlay({text*} PLACING {text!} FROM {1..3})", 0, 0.1)
_add("text", "regexp_replace({text*}, {'a'|'[a-c]'|'^.'}, {'X'|''})", 0, 0.2, feature="regexp_replace")
_add("text", "to_hex({i4*})", 0, 0.2)
_add("text", "encode({bytea*}, {'hex'|'base64'})", 0, 0.2, feature="encode")
_add("text", "to_char({ts}, {'YYYY-MM-DD'|'HH24:MI'|'Mon DD'})", 0, 0.2, feature="to_char")
_add("text", "{i4*}::text", 0, 0.6, feature="integer to text")
_add("text", "{i8*}::text", 0, 0.4, feature="integer to text")
_add("text", "{num*}::text", 0, 0.4, feature="numeric to text")
_add("text", "{f8*}::text", 0, 0.2, feature="float to text")
_add("text", "{bool*}::text", 0, 0.4, feature="boolean to text")
_add("text", "{date*}::text", 0, 0.4, feature="date to text")
_add("text", "{ts*}::text", 0, 0.2, feature="timestamp to text")
_add("text", "{tstz}::text", 0, 0.1, feature="timestamptz to text")
_add("text", "{uuid*}::text", 0, 0.3, feature="uuid to text")
_add("text", "{bpchar*}::text", 0, 0.4, feature="char(n) to text")
_add("text", "{text*}::varchar({1..4})", 0, 0.3, feature="to varchar(n)")
_add("text", "({at*})[{1..3}]", 0, 0.3, feature="array subscript")
_add("text", "({json*} ->> {'a'|'b'|'ä'})", 0, 0.5, feature="json ->>")
_add("text", "{json*}::text", 0, 0.2, feature="json to text")
_add("text", "array_to_string({at*}, {','|''})", 0, 0.2)
_add("bpchar", "{text*}::char({1..6})", 0, 0.3, feature="to char(n)")

# ---- dates and times
_add("date", "({date} {+|-} {0..400})", 0, 2, feature="date + constant")
_add("date", "({date} + {i4})", lambda a, b: 0 if a == 0 and b <= 1e6 else inf, 1, feature="date + integer")
_add("date", "{ts*}::date", None, 1.5, feature="timestamp to date")
_add("date", "{tstz*}::date", None, 0.7, feature="timestamptz to date")
_add("date", "date_trunc({'year'|'month'|'week'|'quarter'|'day'}, {date})::date", 0, 1, feature="date_trunc of date")
_add("date", "make_date({1990..2030}, {1..12}, {1..28})", 0, 0.2)
_add("ts", "date_trunc({'year'|'quarter'|'month'|'week'|'day'|'hour'|'minute'|'second'}, {ts})", 0, 2.5, feature="date_trunc")
_add(
    "ts",
    "date_trunc({'decade'|'century'|'millennium'|'milliseconds'|'microseconds'}, {ts})",
    0,
    0.5,
    feature="date_trunc, rare fields",
)
_add(
    "ts",
    "({ts} {+|-} interval {'1 day'|'1 month'|'1 year 2 days'|'90 minutes'|'-3 hours'|'0.5 seconds'})",
    0,
    1.5,
    feature="timestamp + interval constant",
)
_add("ts", "({date} {+|-} interval {'1 day'|'1 month'|'90 minutes'})", 0, 1, feature="date + interval constant")
_add("ts", "({ts} {+|-} {iv})", 0, 0.4, feature="timestamp + interval")
_add("ts", "{date*}::timestamp", None, 1, feature="date to timestamp")
_add("ts", "({date} + {time})", 0, 0.3, feature="date + time")
_add("ts", "({tstz} AT TIME ZONE {'UTC'|'Europe/Berlin'})", 0, 0.4, feature="AT TIME ZONE")
_add("ts", "{tstz*}::timestamp", None, 0.5, feature="timestamptz to timestamp")
_add("tstz", "{ts*}::timestamptz", None, 0.5, feature="timestamp to timestamptz")
_add("tstz", "{date*}::timestamptz", None, 0.3, feature="date to timestamptz")
_add("tstz", "date_trunc({'month'|'day'|'hour'}, {tstz})", 0, 0.7, feature="date_trunc of timestamptz")
_add("tstz", "({tstz} {+|-} interval {'1 day'|'1 month'|'24 hours'})", 0, 0.6, feature="timestamptz + interval constant")
_add("tstz", "({ts} AT TIME ZONE {'UTC'|'America/New_York'})", 0, 0.3, feature="AT TIME ZONE")
_add("time", "{ts}::time", 0, 0.5, feature="timestamp to time")
_add("iv", "({ts} - {ts})", 0, 0.8, feature="timestamp - timestamp")
_add("iv", "({time*} - {time*})", 0, 0.2, feature="time - time")
_add("iv", "({iv} {+|-} {iv})", 0, 0.5, feature="interval +")
_add("iv", "({iv} * {0..3})", 0, 0.2, feature="interval *")
_add("iv", "age({ts}, {ts})", 0, 0.2)

# ---- the rest
_add("bytea", "({bytea*} || {bytea*})", 0, 0.5, feature="bytea ||")
_add("bytea", "substring({bytea*} FROM {1..2} FOR {0..2})", 0, 0.2, feature="substring of bytea")
_add("uuid", "md5({text*})::uuid", 0, 0.3, feature="text to uuid")
_add("ai", "ARRAY[{i4*}, {i4*}]", 0, 0.6, feature="ARRAY[]")
_add("ai", "({ai*} || {i4*})", 0, 0.4, feature="array ||")
_add("ai", "array_append({ai*}, {i4!})", 0, 0.2)
_add("at", "ARRAY[{text*}, {text!}]", 0, 0.6, feature="ARRAY[]")
_add("at", "string_to_array({text*}, {','|' '})", 0, 0.2)
_add("json", "({json*} -> {'a'|'b'})", 0, 0.5, feature="json ->")

# ---- kinds mixed
_add("i8", "{COALESCE|GREATEST}({i4*}, {i8*})", None, 0.5, feature="COALESCE across kinds")
_add("num", "{COALESCE|LEAST}({num*}, {i4*})", None, 0.5, feature="COALESCE across kinds")
_add("num", "CASE WHEN {bool*} THEN {i8*} ELSE {num*} END", None, 0.5, feature="CASE across kinds")
_add("f8", "{COALESCE|GREATEST}({f8*}, {i4*})", None, 0.5, feature="COALESCE across kinds")
_add("ts", "COALESCE({ts*}, {date*})", None, 0.3, feature="COALESCE across kinds")
_add("text", "COALESCE({text*}, {bpchar*})", None, 0.2, feature="COALESCE across kinds")

# ---- of every kind
_add("T", "CASE WHEN {bool*} THEN {T*} ELSE {T*} END", None, 2.5, ALL, "CASE")
_add("T", "CASE WHEN {bool*} THEN {T*} WHEN {bool*} THEN {T*} END", None, 1, COMPARED, "CASE without ELSE")
_add("T", "CASE {i4*} WHEN {i4!} THEN {T*} WHEN {i4!} THEN {T*} ELSE {T!} END", None, 1, ORDERED, "CASE of a value")
_add("T", "COALESCE({T*}, {T*})", None, 2.5, ALL, "COALESCE")
_add("T", "COALESCE({T*}, {T*}, {T!})", None, 1, COMPARED, "COALESCE")
_add("T", "NULLIF({T*}, {T*})", None, 1.5, COMPARED, "NULLIF")
_add("T", "{GREATEST|LEAST}({T*}, {T*})", None, 1.5, ORDERED, "GREATEST, LEAST")
_add("T", "{GREATEST|LEAST}({T*}, {T!}, {T*})", None, 0.5, ORDERED, "GREATEST, LEAST")
