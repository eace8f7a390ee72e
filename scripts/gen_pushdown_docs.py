#!/usr/bin/env python3
"""Owns: the lists of docs/pushdown.md, between its two markers, made from src/pushdown/functions.txt and
src/pushdown/aggregate.rs. Without arguments says whether they are up to date; --write makes them so."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/pushdown.md"
BEGIN, END = "<!-- made by scripts/gen_pushdown_docs.py -->", "<!-- end of what is made -->"

TYPES = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "bpchar": "char(n)",
    "timestamptz": "timestamptz",
}
# What an operator's function does is in its name.
OPERATORS = [
    r"(?:int[248]+|float[48]+|numeric|text|bpchar|bool|date|time|timestamp|timestamptz|uuid|bytea)_?(eq|ne|lt|le|gt|ge)",
    r"(?:date|timestamp)_(eq|ne|lt|le|gt|ge)_(?:date|timestamp)",
    r"(?:int[248]+|float[48]+|numeric_|date_|timestamp_)(pl|mi|mul|div|mod|um|up|abs|and|or|xor|not|add|sub|uminus|uplus)",
    r"date_(pli|mii)|integer_(pl)_date|(?:date|timestamp)_(pl|mi)_interval",
    r"text(cat|like|nlike)",
    r"(dsqrt)",
]
# Functions that are only other names of those beside them.
SYNONYMS = {"dceil", "dfloor", "dtrunc", "dround", "dlog1", "like", "notlike"}
SYMBOLS = {
    "eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "pl": "+", "mi": "-", "mul": "*", "div": "/", "mod": "%", "add": "+", "sub": "-", "pli": "+", "mii": "-",
    "um": "- (sign)", "up": "+ (sign)", "uminus": "- (sign)", "uplus": "+ (sign)", "abs": "@",
    "and": "&", "or": "|", "xor": "#", "not": "~", "cat": "||", "dsqrt": "|/", "like": "LIKE", "nlike": "NOT LIKE",
}  # fmt: skip
# What the code of a rule asks for beyond the list.
NOTES = {
    "numeric_add": "known digits",
    "numeric_sub": "known digits",
    "numeric_mul": "known digits",
    "numeric_negate": "known digits",
    "numeric_same": "known digits",
    "numeric_abs": "known digits",
    "numeric_mod": "known digits",
    "numeric_round": "known digits, to 0 or more",
    "numeric_ceil": "known digits",
    "numeric_floor": "known digits",
    "double_of_numeric": "at most 15 digits",
    "numeric_cast": "known digits, at most 38",
    "substring": "from 1 or more",
    "left": "0 or more",
    "right": "0 or more",
    "split_part": "field 1 or more",
    "upper": "collation C",
    "lower": "collation C",
    "extract": "month, day, quarter, week, doy, dow, isodow, hour, minute, second, milliseconds, microseconds, year, isoyear, epoch",
    "date_part": "month, day, quarter, week, doy, dow, isodow, hour, minute, microseconds, year, isoyear",
    "date_trunc": "microseconds to year",
}
NEEDS = {"deterministic": "deterministic collation", "bytewise": "collation C"}


def operator(name):
    for pattern in OPERATORS:
        if match := re.fullmatch(pattern, name):
            return SYMBOLS[next(group for group in match.groups() if group)]
    return None


def type_names(types):
    return [TYPES.get(name, name) for name in types.split(",") if name]


def entries():
    """Section, what it is called, argument types, conditions."""
    section = None
    for line in (ROOT / "src/pushdown/functions.txt").read_text().splitlines():
        if line.startswith("# "):
            section = line[2:]
        elif line:
            signature, _, rest = line.partition(" = ")
            template, _, flags = rest.partition(" ; ")
            name, types = re.fullmatch(r"(\w+)\((.*)\)", signature).groups()
            types = type_names(types)
            conditions = [NEEDS[word] for word in flags.split() if word in NEEDS]
            numbers = [word for word in flags.split() if word.isdigit()]
            if numbers:
                conditions.append(f"constant argument{'s' * (len(numbers) > 1)} {' and '.join(numbers)}")
            if template.startswith("@"):
                note = NOTES.get(template[1:].split()[0])
                conditions += [note] if note else []
            if section == "Casts":
                target = TYPES.get(name, name)
                what = "rounding to (p,s)" if types[0] == target else f"to {target}"
                yield section, what, (types[0],), "; ".join(conditions)
            elif not name.endswith(("larger", "smaller")) and name not in SYNONYMS:
                yield section, operator(name) or f"{name}()", tuple(types), "; ".join(conditions)


def combinations(found, *, operator):
    """Lists of argument types, in few words. An operator's two are said once when they are the same."""
    singles = sorted({types for types in found if len(types) == 1}, key=found.index)
    rest = [types for types in found if len(types) != 1]
    said = [types[0] for types in singles]
    firsts = list(dict.fromkeys(types[0] for types in rest if len(types) == 2))
    if len(firsts) > 1 and {(a, b) for a in firsts for b in firsts} == set(rest):
        said.append(f"{', '.join(firsts)} in any combination")
    else:
        said += [types[0] if operator and len(set(types)) == 1 else " and ".join(types) for types in dict.fromkeys(rest)]
    return ", ".join(said)


def functions():
    sections = {}
    for section, what, types, conditions in entries():
        sections.setdefault(section, {}).setdefault((what, conditions), []).append(types)
    lines = []
    for section, calls in sections.items():
        # Operators and functions with the same arguments share a row.
        rows = {}
        for (what, conditions), found in calls.items():
            rows.setdefault((combinations(found, operator=not what.endswith("()")), conditions), []).append(what)
        lines += ["", f"**{section}**", "", "| What | Arguments | Only with |", "|---|---|---|"]
        for (types, conditions), names in rows.items():
            names = " ".join(f"`{name}`" for name in names).replace("|", "\\|")
            lines.append(f"| {names} | {types} | {conditions} |")
    return lines


def aggregates():
    source = (ROOT / "src/pushdown/aggregate.rs").read_text()
    listed = re.search(r"pub const SIGNATURES.*?= &\[(.*?)\];", source, re.DOTALL).group(1)
    window = source.split("pub unsafe fn window_function", 1)[1].split("unsafe fn window(", 1)[0]
    names = list(dict.fromkeys(re.findall(r'"(\w+)\([\w,]*\)"', window)))

    def sql_types(text):
        return re.sub(r"\w+", lambda word: TYPES.get(word.group(), word.group()), text)

    shown = [f"`{sql_types(name)}`" for name in re.findall(r'"([^"]+)"', listed)]
    return [
        "",
        "**Aggregates**, also with DISTINCT and FILTER",
        "",
        ", ".join(shown) + ".",
        "",
        "**Window functions**: those aggregates that need no order, less `avg` of exact numbers, and",
        "",
        ", ".join(f"`{name}`" for name in names) + ".",
    ]


def made():
    return "\n".join([BEGIN, *functions(), *aggregates(), "", END])


def main():
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    wanted = before + made() + after
    if "--write" in sys.argv[1:]:
        DOCUMENT.write_text(wanted)
    elif wanted != text:
        print("docs/pushdown.md: its lists are not up to date: scripts/gen_pushdown_docs.py --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
