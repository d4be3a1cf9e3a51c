"""A job database with very many jobs, made by the database itself, as a site has after years."""

import datetime
import json

from sqlalchemy import Engine, MetaData, Table, text

# Few senders and destinations have many films, and one of each few. No film FAILED.
_STATE = "CASE WHEN n % 100 < 88 THEN 'READ' ELSE 'SKIPPED' END"
_SENDER = "CASE WHEN n % 100000 = 7 THEN 'RARE' ELSE 'XR-' || (n % 20) END"
_FIGURES = {
    "model": "firstread-1", "version": "0.3.0", "weights_sha256": "0" * 64, "decision": "normal",
    "step2": None, "inside_lungs": None,
    "step1": {"normal": 0.93, "bacterial": 0.06, "viral": 0.01}, "least_inside": 0.45, "warnings": [],
}  # fmt: skip
_READING = f"'{json.dumps(_FIGURES)}'"
_FILM = """
INSERT INTO film (id, sop_instance_uid, sop_class_uid, study_instance_uid, accession_number,
  accession_reversed, modality, transfer_syntax_uid, digest, size_bytes, spool_name, calling_ae_title,
  called_ae_title, peer_address,
  state, reason, attempts, received_at, changed_at, decision, reading, manufacturer, view_position)
SELECT n, '1.2.3.' || n, '1.2', '1.2.4.' || n, {accession}, {reversed}, 'CR', '1.2.840.10008.1.2.1', '0',
  10,
  'films/x', {sender}, 'FIRSTREAD', '127.0.0.1', {state}, 'NOT_FRONTAL: found LL, expected PA', 1, {at}, {at},
  'normal', CASE WHEN n > {films} - {readings} THEN {reading} END, 'M', 'PA'
FROM {numbers}
"""
_DELIVERY = """
INSERT INTO delivery (film_id, kind, destination, sop_class_uid, sop_instance_uid, spool_name, state,
  reason, attempts, next_attempt_at, created_at, changed_at)
SELECT n, 'SC', CASE WHEN n % 50000 = 9 THEN 'rare' ELSE 'main' END, '1.2', '1.9.' || n, 'x',
  CASE WHEN n % 1000 = 3 THEN 'FAILED' ELSE 'COMMITTED' END, '', 1, {at}, {at}, {at}
FROM {numbers}
"""
# What a site with a thousand films a day has.
_SECONDS = 86


def fill(engine: Engine, films: int, now: datetime.datetime, readings: int = 20_000) -> None:
    """As many films, the newest of `now`, each with a delivery; the newest of them with figures."""
    begin = now - datetime.timedelta(seconds=_SECONDS * films)
    if engine.dialect.name == "sqlite":
        counted = f"SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {films}"
        numbers = f"(WITH RECURSIVE c(n) AS ({counted}) SELECT n FROM c)"
        accession = "printf('%08d', n)"
        at = f"strftime('%Y-%m-%d %H:%M:%S.000000', {begin.timestamp():.0f} + n * {_SECONDS}, 'unixepoch')"
        digits = [f"substr({accession}, {place}, 1)" for place in range(8, 0, -1)]
        reversed_ = " || ".join(digits)
        reading = _READING
    else:
        numbers = f"generate_series(1, {films}) AS n"
        accession = "lpad(n::text, 8, '0')"
        at = f"to_timestamp({begin.timestamp():.0f} + n * {_SECONDS})"
        reversed_ = f"reverse({accession})"
        reading = f"{_READING}::json"
    values = {
        "numbers": numbers, "accession": accession, "reversed": reversed_, "at": at, "state": _STATE,
        "sender": _SENDER, "reading": reading.replace(":", r"\:"), "films": films, "readings": readings,
    }  # fmt: skip
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(text("PRAGMA synchronous = OFF"))
        else:
            connection.execute(text("SET session_replication_role = replica"))
        # As the migrations made them.
        tables = [Table(name, MetaData(), autoload_with=connection) for name in ("film", "delivery")]
        indexes = [index for table in tables for index in table.indexes]
        for index in indexes:
            index.drop(connection)
        for statement in (_FILM, _DELIVERY):
            connection.execute(text(statement.format(**values)))
        for index in indexes:
            index.create(connection)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
