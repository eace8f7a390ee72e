"""Seeded generator of queries, which compares heap tables with their twins in a lake; see README.md."""
