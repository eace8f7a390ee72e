"""Twin tests: one query, once on heap tables and once on the same rows in Parquet files.

`cases.py` says what a case is, `tables.py` how the two twins of a table are made, `harness.py` runs
and compares; every other module is a list of cases, `CASES`, about one topic.
"""
