"""Mutation fuzzing of what others have written: files, arguments of functions, a lake's catalog."""
