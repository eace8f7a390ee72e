#!/usr/bin/env python3
"""The documents name everything that a user can reach, and nothing that is gone.

Reads the SQL script, the settings, the readers' options, the server options and the SQLSTATEs from
their sources, and looks for each of them in the document that describes it; looks up every link
between documents. The names of SQLSTATEs come from the headers of the PostgreSQL that
PGRX_PG_CONFIG_PATH names, as the build takes it.
"""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def read(path):
    return (ROOT / path).read_text()


def code_words(text):
    """The words of a document that stand in backquotes, code blocks included."""
    spans = re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL)
    return {word for span in spans for word in re.findall(r"[A-Za-z_][\w.]*", span)}


def table_rows(text):
    """The words in backquotes of the first cell of each table row, with the whole row."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("|"):
            for word in re.findall(r"`([^`]+)`", line.split("|")[1]):
                rows[word] = line
    return rows


def sql_functions(script):
    """Names of the functions, and the options of those that take a path."""
    functions, readers = set(), {}
    for name, arguments in re.findall(r"CREATE FUNCTION duckdb\.(\w+)\((.*?)\)\s*(?:RETURNS|\n)", script, re.DOTALL):
        functions.add(name)
        if arguments.strip().startswith("path duckdb.path"):
            readers[name] = re.findall(r"^\s+(\w+) [\w \[\]]+ DEFAULT NULL", arguments, re.MULTILINE)
    return functions, readers


def module_readers(source):
    """Readers and their options as the module has them."""
    found = {}
    for name, options in re.findall(r'Reader \{\s*name: "(\w+)",\s*options: &\[(.*?)\]', source, re.DOTALL):
        found[name] = re.findall(r'"(\w+)"', options)
    return found


def sqlstates():
    """SQLSTATEs by the names of PostgreSQL's header."""
    pg_config = os.environ.get("PGRX_PG_CONFIG_PATH", "pg_config")
    include = subprocess.run([pg_config, "--includedir-server"], capture_output=True, text=True, check=True).stdout.strip()
    header = (pathlib.Path(include) / "utils/errcodes.h").read_text()
    parts = re.findall(r"#define (ERRCODE_\w+) MAKE_SQLSTATE\((.*?)\)", header)
    return {name: re.sub(r"[^0-9A-Z]", "", letters) for name, letters in parts}


def raised(states):
    """The SQLSTATEs that the module names, with one file for each; those of its unit tests left out."""
    found = {}
    for path in sorted((ROOT / "src").rglob("*.rs")):
        text = path.read_text().split("#[cfg(test)]")[0]
        for name in re.findall(r"\b(ERRCODE_\w+)", text):
            if name in states:
                found.setdefault(states[name], path.relative_to(ROOT))
    return found


def check():
    problems = []

    def want(names, known, document, what):
        for name in sorted(set(names) - set(known)):
            problems.append(f"docs/{document}: {what} {name} is missing")

    scripts = sorted((ROOT / "sql").glob("pg_pond--*.sql"))
    functions, readers = sql_functions("\n".join(script.read_text() for script in scripts))
    text = read("docs/functions.md")
    words = code_words(text)
    want({f for f in functions if f not in words and f"duckdb.{f}" not in words}, [], "functions.md", "function")

    options = module_readers(read("src/lake/reader.rs"))
    if options != readers:
        problems.append("sql/ and src/lake/reader.rs differ in the readers' options or their order")
    rows = table_rows(text)
    want({o for names in readers.values() for o in names}, rows, "functions.md", "reader option")
    letters = {"read_parquet": "P", "read_csv": "C", "read_json": "J", "iceberg_scan": "I", "delta_scan": "D"}
    for option in sorted({o for names in readers.values() for o in names} & set(rows)):
        cells = [cell.strip() for cell in rows[option].split("|")]
        wanted = {letters[reader] for reader, names in readers.items() if option in names}
        if set(cells[3].split()) != wanted:
            problems.append(f"docs/functions.md: option {option} is for {' '.join(sorted(wanted))}, not '{cells[3]}'")

    # What foreign tables take of it, format by format.
    foreign = {}
    for line in read("docs/foreign-tables.md").splitlines():
        cells = [re.findall(r"`(\w+)`", cell) for cell in line.split("|")[1:-1]]
        if len(cells) == 3 and cells[1] and cells[1][0] in options:
            foreign[cells[1][0]] = cells[2]
    for reader in sorted(letters):
        wanted = sorted("json_format" if (reader, name) == ("read_json", "format") else name for name in options[reader])
        if foreign.get(reader) != wanted:
            problems.append(f"docs/foreign-tables.md: the options of {reader} are {', '.join(wanted)}")

    settings = set(re.findall(r'c"(duckdb\.\w+)"', read("src/guc.rs")))
    text = read("docs/settings.md")
    want(settings, table_rows(text), "settings.md", "setting")
    for gone in sorted(set(table_rows(text)) - settings):
        problems.append(f"docs/settings.md: there is no setting {gone}")

    keywords = read("duck/src/server/keywords.rs").split("pub const KEYWORDS", 1)[1].split("];", 1)[0]
    names = set(re.findall(r'name: "(\w+)"', keywords))
    text = read("docs/servers.md")
    want(names - {"path"}, table_rows(text), "servers.md", "option")
    types = set(re.findall(r'Self::\w+ => "(\w+)"', read("duck/src/server/mod.rs").split("pub fn name", 1)[1].split("}\n    }", 1)[0]))
    want(types, table_rows(text), "servers.md", "server type")

    documented = set(re.findall(r"^\| (\w{5}) \|", read("docs/errors.md"), re.MULTILINE))
    for state, path in sorted(raised(sqlstates()).items()):
        if state not in documented:
            problems.append(f"docs/errors.md: SQLSTATE {state}, raised in {path}, is missing")

    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            file, _, anchor = target.partition("#")
            if "://" in target:
                continue
            other = (path.parent / file).resolve() if file else path
            if not other.exists():
                problems.append(f"{path.relative_to(ROOT)}: {target} does not exist")
            elif anchor:
                heads = re.findall(r"^#+ (.*)$", other.read_text(), re.MULTILINE)
                anchors = {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}
                if anchor not in anchors:
                    problems.append(f"{path.relative_to(ROOT)}: {target} has no such heading")
    return problems


if __name__ == "__main__":
    found = check()
    for problem in found:
        print(problem, file=sys.stderr)
    sys.exit(1 if found else 0)
