#!/usr/bin/env python3
"""The one-way order of the modules: a module uses only what stands in a lower layer.

Owns the table of layers. Reads the Rust sources as text: comments and string literals are blanked,
then every path that starts at `crate` (in `use` declarations, groups included, and in expressions)
is held against the table.
"""

import pathlib
import re
import sys

LAYERS = {
    "pg": 0,
    "error": 1,
    "guc": 1,
    "types": 2,
    "options": 2,
    "lake": 2.5,
    "session": 3,
    "pushdown": 3.5,
    "scan": 4,
    "fdw": 5,
    "functions": 5,
    "resolve": 5,
    "lib": 7,
}

# What a part of the tree must not name at all.
FORBIDDEN = {
    "duck": (r"\b(pgrx|pg_sys)\b", "the crate duck knows nothing of PostgreSQL"),
    "src": (r"\b(libduckdb_sys|duckdb::)", "only the crate duck talks to DuckDB's library"),
    "src/pg": (r"\bduck::", "module pg knows nothing of DuckDB"),
}

TOKENS = re.compile(
    r"""
      //[^\n]*                              # line comment
    | /\*.*?\*/                             # block comment
    | b?r(?P<hashes>\#*)".*?"(?P=hashes)    # raw string
    | b?"(?:\\.|[^"\\])*"                   # string
    | '(?:\\.[^']*|[^'\\])'                 # character (a lifetime has no closing quote)
    """,
    re.VERBOSE | re.DOTALL,
)


def blank(source):
    """The source with comments and literals replaced by spaces, line numbers kept."""
    return TOKENS.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), source)


def group_heads(text, start):
    """The first path segments inside the braces that open at `start`, with their offsets."""
    depth, at_head, i = 0, True, start
    while i < len(text):
        char = text[i]
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return
        elif char == "," and depth == 1:
            at_head = True
        elif depth == 1 and at_head and (char.isalpha() or char == "_"):
            match = re.compile(r"\w+").match(text, i)
            yield match.group(), i
            at_head, i = False, match.end() - 1
        i += 1


def crate_paths(text):
    """Every first segment after `crate::`, with its offset."""
    for match in re.finditer(r"\bcrate\s*::\s*(?:(\w+)(\s*!)?|(\{))", text):
        if match.group(3):
            yield from group_heads(text, match.start(3))
        elif not match.group(2):
            yield match.group(1), match.start()


def super_paths(text, file_depth):
    """`super::…` that climbs to the crate root and names another module there."""
    for match in re.finditer(r"\b((?:super\s*::\s*)+)(\w+)", text):
        if match.group(1).count("super") == file_depth:
            yield match.group(2), match.start()


def check_sources(root):
    problems = []
    source_root = root / "src"
    for path in sorted(source_root.rglob("*.rs")):
        relative = path.relative_to(source_root)
        module = relative.parts[0].removesuffix(".rs")
        text = blank(path.read_text())
        place = path.relative_to(root)
        if module not in LAYERS:
            problems.append(f"{place}: module '{module}' has no layer: add it to scripts/check_layers.py and to the docs")
            continue
        if module == "lib":
            continue
        parts = [p for p in relative.with_suffix("").parts if p != "mod"]
        nested_at = re.search(r"^[^\S\n]*(pub\S* )?mod \w+ \{", text, re.MULTILINE)
        used = list(crate_paths(text))
        used += [hit for hit in super_paths(text, len(parts)) if not nested_at or hit[1] < nested_at.start()]
        for name, offset in used:
            if name == module:
                continue
            line = text.count("\n", 0, offset) + 1
            layer = LAYERS.get(name)
            if layer is None:
                problems.append(f"{place}:{line}: '{name}' is not a module with a layer; name items by their module")
            elif layer >= LAYERS[module]:
                problems.append(f"{place}:{line}: {module} (layer {LAYERS[module]}) uses {name} (layer {layer})")
    return problems


def check_forbidden(root):
    problems = []
    for part, (pattern, reason) in FORBIDDEN.items():
        for path in [*sorted((root / part).rglob("*.rs")), root / f"{part}.rs"]:
            if not path.exists():
                continue
            text = blank(path.read_text())
            for match in re.finditer(pattern, text):
                line = text.count("\n", 0, match.start()) + 1
                problems.append(f"{path.relative_to(root)}:{line}: '{match.group()}': {reason}")
    return problems


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    problems = check_sources(root) + check_forbidden(root)
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
