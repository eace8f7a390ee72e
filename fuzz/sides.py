"""Owns: running a query on one side, and what came out: rows as texts, columns, or an error."""

import time
from dataclasses import dataclass

import psycopg
from psycopg import pq

LOST = "lost"
# How a query is run. With parameters only the first two.
FORMS = {"plain": 50, "prepared": 30, "table": 5, "view": 7, "cursor": 4, "scroll": 4}


@dataclass
class Outcome:
    """`sqlstate` is None on success, LOST when the connection broke. `columns`: (name, type, typmod)."""

    columns: tuple = ()
    rows: list | None = None
    sqlstate: str | None = None
    message: str = ""
    seconds: float = 0

    @property
    def ok(self):
        return self.sqlstate is None

    @property
    def timed_out(self):
        return self.sqlstate == "57014"


class Side:
    """A connection whose search_path makes the tables the ones of one schema."""

    def __init__(self, connect, schema, settings=()):
        self._connect = connect
        self.schema = schema
        self._always = {"search_path": f"{schema}, side", "statement_timeout": "5s", **dict(settings)}
        self._set = {}
        self._conn = None

    def _open(self):
        """The connection, made anew after a crash; PostgreSQL may need a moment to recover."""
        if self._conn is not None and not self._conn.closed:
            return self._conn
        deadline = time.monotonic() + 60
        while True:
            try:
                self._conn = self._connect()
                break
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        self._set = {}
        self.set(self._always)
        return self._conn

    def set(self, settings):
        """Sets what is not set yet."""
        conn = self._open()
        for name, value in settings.items():
            if self._set.get(name) != value:
                conn.execute(f"SELECT set_config('{name}', %s, false)", (value,))
                self._set[name] = value

    def run(self, text, values=(), *, form="plain", settings=()):
        """The outcome of a statement.

        `prepared`: of the second execution of a generic plan, the first one being with NULLs. `table`,
        `view`: by way of CREATE TABLE AS or CREATE VIEW. `cursor`, `scroll`: fetched in two parts.
        """
        if values and form != "prepared":
            form = "plain"
        settings = {**self._always, "plan_cache_mode": "force_generic_plan" if form == "prepared" else "auto", **dict(settings)}
        try:
            self.set(settings)
        except psycopg.OperationalError:
            # The server restarted since, because of the other side.
            self._conn.close()
            self.set(settings)
        start = time.monotonic()
        try:
            return self._run(text, values, form)
        except psycopg.OperationalError as error:
            self._conn.close()
            return Outcome(sqlstate=LOST, message=str(error), seconds=time.monotonic() - start)

    def _run(self, text, values, form):
        pgconn = self._conn.pgconn
        bound = [None if value is None else value.encode() for value in values]
        start = time.monotonic()
        if form == "prepared":
            results = [pgconn.prepare(b"fuzz_form", text.encode())]
            if results[0].status == pq.ExecStatus.COMMAND_OK:
                pgconn.exec_prepared(b"fuzz_form", [None] * len(bound))
                results = [pgconn.exec_prepared(b"fuzz_form", bound)]
                after = "DEALLOCATE fuzz_form"
            else:
                after = None
        elif form == "plain":
            results = [pgconn.exec_params(text.encode(), bound) if bound else pgconn.exec_(text.encode())]
            after = None
        else:
            results, after = self._detour(text, form)
        seconds = time.monotonic() - start
        outcomes = [self._outcome(pgconn, result, seconds) for result in results]
        if after and pgconn.status == pq.ConnStatus.OK:
            pgconn.exec_(after.encode())
        failed = next((outcome for outcome in outcomes if not outcome.ok), None)
        if failed or len(outcomes) == 1:
            return failed or outcomes[0]
        return Outcome(outcomes[0].columns, [row for outcome in outcomes for row in outcome.rows], seconds=seconds)

    def _detour(self, text, form):
        """The results of a query that is not run directly, and what cleans up after it."""
        before, fetches, after = {
            "table": ([f"CREATE TEMP TABLE fuzz_form AS {text}"], ["SELECT * FROM fuzz_form"], "DROP TABLE fuzz_form"),
            "view": ([f"CREATE TEMP VIEW fuzz_form AS {text}"], ["SELECT * FROM fuzz_form"], "DROP VIEW fuzz_form"),
            "cursor": (["BEGIN", f"DECLARE fuzz_form NO SCROLL CURSOR FOR {text}"], ["FETCH 5 FROM fuzz_form", "FETCH ALL FROM fuzz_form"], "ROLLBACK"),
            "scroll": (
                ["BEGIN", f"DECLARE fuzz_form SCROLL CURSOR FOR {text}", "FETCH 5 FROM fuzz_form", "MOVE BACKWARD ALL FROM fuzz_form"],
                ["FETCH 5 FROM fuzz_form", "FETCH ALL FROM fuzz_form"],
                "ROLLBACK",
            ),
        }[form]  # fmt: skip
        pgconn = self._conn.pgconn
        for statement in before:
            result = pgconn.exec_(statement.encode())
            if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                return [result], after if form in ("cursor", "scroll") else None
        return [pgconn.exec_(statement.encode()) for statement in fetches], after

    def _outcome(self, pgconn, result, seconds):
        if pgconn.status != pq.ConnStatus.OK:
            message = pgconn.get_error_message()
            self._conn.close()
            return Outcome(sqlstate=LOST, message=message.strip(), seconds=seconds)
        if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            state = result.error_field(pq.DiagnosticField.SQLSTATE)
            fields = (pq.DiagnosticField.MESSAGE_PRIMARY, pq.DiagnosticField.MESSAGE_DETAIL, pq.DiagnosticField.CONTEXT)
            message = "\n".join(text.decode(errors="replace") for text in map(result.error_field, fields) if text)
            return Outcome(sqlstate=(state or b"?????").decode(), message=message, seconds=seconds)
        columns = tuple((result.fname(i).decode(), result.ftype(i), result.fmod(i)) for i in range(result.nfields))
        rows = [tuple(result.get_value(row, i) for i in range(result.nfields)) for row in range(result.ntuples)]
        return Outcome(columns, rows, seconds=seconds)

    def explain(self, text, values=(), settings=(), form="FORMAT JSON, VERBOSE, COSTS OFF"):
        """The plan as text; None if EXPLAIN fails."""
        outcome = self.run(f"EXPLAIN ({form}) {text}", values, settings=settings)
        return "\n".join(row[0].decode() for row in outcome.rows) if outcome.ok else None

    def close(self):
        if self._conn is not None:
            self._conn.close()
