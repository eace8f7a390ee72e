"""Owns: the statistics at the end of a run."""

from .tree import sql


def summary(run, seconds):
    statistics = run.statistics
    queries = max(statistics.queries, 1)
    lines = [
        f"{statistics.queries} queries in {seconds:.0f} s (seed {run.seed}), {statistics.valid / queries:.1%} valid, {statistics.rows} rows; "
        f"heap errors {sum(statistics.heap_errors.values())}, heap timeouts {statistics.timeouts}, lake timeouts {statistics.slow}, errors on the heap's side only {sum(statistics.error_only.values())}, "
        f"not determined {statistics.undetermined}"
    ]
    if statistics.heap_errors:
        lines.append(
            "errors of heap: " + "; ".join(f"{count} × {message}" for message, count in statistics.heap_errors.most_common(8))
        )
    for message, count in statistics.error_only.most_common(12):
        lines.append(f"only heap fails: {count} × {message[:110]} (query {statistics.examples[message]})")
    if statistics.pushed:
        total = sum(statistics.pushed.values())
        lines.append(
            "pushed: "
            + ", ".join(
                f"{how} {statistics.pushed[how]} ({statistics.pushed[how] / total:.0%})"
                for how in ("whole", "part", "none", "switched off")
            )
        )
        lines += ["", f"{'construct':36}{'queries':>9}{'whole':>8}{'part':>8}{'none':>8}"]
        for name, counts in sorted(statistics.constructs.items(), key=lambda entry: -sum(entry[1].values())):
            total = sum(counts.values()) - counts["switched off"]
            lines.append(f"{name[:35]:36}{total:>9}" + "".join(f"{counts[how]:>8}" for how in ("whole", "part", "none")))
        if statistics.kept:
            lines += ["", "kept in PostgreSQL, by what EXPLAIN says:"]
            lines += [f"{count:>8}  {name}" for name, count in statistics.kept.most_common(60)]
    lines += ["", f"failures: {statistics.failures}, distinct after shrinking: {len(run.failures)}"]
    for failure in sorted(run.failures, key=lambda failure: len(sql(failure.shrunk))):
        lines.append(f"  {failure.count:>4} × {failure.difference.kind} (query {failure.number}): {sql(failure.shrunk)}")
    return "\n".join(lines)
