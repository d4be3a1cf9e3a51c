"""Query plans of what runs on an engine."""

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, event


@contextlib.contextmanager
def explained(engine: Engine) -> Iterator[list[str]]:
    """Collect the plan of each SELECT that runs meanwhile."""
    plans: list[str] = []
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"

    def collect(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "WITH")):
            with contextlib.closing(connection.connection.cursor()) as cursor:
                cursor.execute(f"{explain} {statement}", parameters)
                plans.append(f"{statement}\n" + "\n".join(str(line) for line in cursor.fetchall()))

    event.listen(engine, "before_cursor_execute", collect)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", collect)
