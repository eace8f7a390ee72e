#!/usr/bin/env python3
"""Counts what the suites of scripts/test reported, and prints one line of totals last.

Reads DIR/suites (suite, PostgreSQL major, number of tests expected at least, exit status) and each
suite's log. A suite that ran no test though there are some, or that broke without a failed test to
show for it, counts as one failure. Exit status 1 if anything failed or nothing passed.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

# PostgreSQL 15: "test name  ... ok  12 ms" or "     name  ... FAILED  12 ms"; 16 and later speak TAP.
PLAIN = re.compile(r"^(?:test\s+)?\s*\S+\s+\.\.\.\s+(ok|FAILED)\b")
TAP = re.compile(r"^(ok|not ok)\s+\d+\b(.*)$")
CARGO = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored")


def count_cargo(log):
    counts = [0, 0, 0]
    for line in log.splitlines():
        if match := CARGO.match(line):
            counts = [total + int(n) for total, n in zip(counts, match.groups())]
    return counts


def count_regress(log):
    passed = failed = skipped = 0
    for line in log.splitlines():
        if match := TAP.match(line):
            ok, rest = match.group(1) == "ok", match.group(2)
            if "# SKIP" in rest:
                skipped += 1
            elif ok:
                passed += 1
            else:
                failed += 1
        elif match := PLAIN.match(line):
            if match.group(1) == "ok":
                passed += 1
            else:
                failed += 1
    return [passed, failed, skipped]


def count_pytest(path):
    passed = failed = skipped = 0
    if path.exists():
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif case.find("skipped") is not None:
                skipped += 1
            else:
                passed += 1
    return [passed, failed, skipped]


def count(results, suite, major):
    log = results / f"{suite}-{major}.log"
    text = log.read_text(errors="replace") if log.exists() else ""
    if suite == "duck":
        return count_cargo(text)
    if suite in ("e2e", "security"):
        return count_pytest(results / f"{suite}-{major}.xml")
    return count_regress(text)


def main():
    results = pathlib.Path(sys.argv[1])
    totals = [0, 0, 0]
    for line in (results / "suites").read_text().splitlines():
        suite, major, expected, status = line.split()
        counts = count(results, suite, major)
        note = ""
        if sum(counts) == 0 and int(expected) > 0:
            counts[1] = 1
            note = "  (ran no test)"
        elif int(status) != 0 and counts[1] == 0:
            counts[1] = 1
            note = f"  (broke with exit status {status})"
        elif int(expected) == 0 and sum(counts) == 0:
            note = "  (has no tests)"
        print(f"{suite:<10} PostgreSQL {major}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped{note}")
        totals = [total + n for total, n in zip(totals, counts)]
    summary = f"{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped"
    (results / "totals").write_text(summary + "\n")
    print(summary)
    sys.exit(0 if totals[1] == 0 and totals[0] > 0 else 1)


if __name__ == "__main__":
    main()
