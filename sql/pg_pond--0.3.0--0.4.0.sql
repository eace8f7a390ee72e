\echo Use "ALTER EXTENSION pg_pond UPDATE" to load this file. \quit
