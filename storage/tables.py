"""Schema of the job database; an admin reads it through the views of ``etc/firstread.sql``."""

import datetime
from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)

from storage.states import DeliveryState, DestinationState, FilmState, Opinion, RetrievalState, Role


class UtcDateTime(TypeDecorator[datetime.datetime]):
    """An aware time, kept as UTC; SQLite has no zone of its own, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self, value: datetime.datetime | None, dialect: Dialect
    ) -> datetime.datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive time {value}, expected an aware one")
        value = value.astimezone(datetime.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(
        self, value: datetime.datetime | None, dialect: Dialect
    ) -> datetime.datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)


def _one_of(column: str, states: Iterable[object]) -> CheckConstraint:
    names = ", ".join(f"'{state}'" for state in states)
    return CheckConstraint(f"{column} IN ({names})", name=f"{column}_known")


def _reversed_accession(context: Any) -> str:
    return context.get_current_parameters()["accession_number"][::-1]


# SQLite counts rowids only in a column that is exactly INTEGER.
_Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

film = Table(
    "film",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("accession_number", String(64), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("spool_name", String(80), nullable=False),
    Column("calling_ae_title", String(16), nullable=False),
    Column("called_ae_title", String(16), nullable=False),
    Column("peer_address", String(64), nullable=False),
    Column("conflict_with", ForeignKey("film.id")),
    Column("state", String(9), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("claimed_by", String(80)),
    Column("claimed_until", UtcDateTime),
    Column("received_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("decision", String(64)),
    Column("reading", JSON(none_as_null=True)),
    Column("files_removed_at", UtcDateTime),
    Column("withdrawn_at", UtcDateTime),
    Column("manufacturer", String(64), nullable=False, default="", server_default=""),
    Column("view_position", String(16), nullable=False, default="", server_default=""),
    # Its last letter first: what ends in 4711 then begins alike, byte by byte, and lies together in an index.
    Column(
        "accession_reversed",
        String(64).with_variant(String(64, collation="C"), "postgresql"),
        nullable=False,
        default=_reversed_accession,
        server_default="",
    ),
    # Whether a backfill asked the archive for it.
    Column("retrospective", Boolean, nullable=False, default=False, server_default=false()),
    UniqueConstraint("sop_instance_uid", "digest"),
    _one_of("state", FilmState),
    Index(None, "state", "retrospective", "attempts", "id"),
    Index(None, "accession_number"),
    Index(None, "study_instance_uid"),
    Index(None, "received_at"),
    Index(None, "conflict_with"),
    Index(None, "accession_reversed"),
    # Pages of the newest jobs first.
    # Not of QUEUED ones, which are claimed by another order; the migration says so. Here it would load
    # SQLAlchemy's whole dialect of PostgreSQL, a tenth of the time until `tail` answers.
    Index("ix_film_state_id", "state", "id"),
    Index("ix_film_calling_ae_title_id", "calling_ae_title", "id"),
    Index("ix_film_calling_ae_title_state_id", "calling_ae_title", "state", "id"),
    sqlite_autoincrement=True,
)

# Where the model looked and where the lungs are, for the page of one film; apart, so that lists stay light.
film_map = Table(
    "film_map",
    metadata,
    Column("film_id", ForeignKey("film.id"), primary_key=True),
    Column("label", String(32), nullable=False),
    Column("step", Integer, nullable=False),
    Column("cell_rows", Integer, nullable=False),
    Column("cell_columns", Integer, nullable=False),
    Column("activation", LargeBinary, nullable=False),
    Column("lungs", LargeBinary, nullable=False),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("film_id", ForeignKey("film.id"), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("destination", String(64), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("spool_name", String(80), nullable=False),
    Column("state", String(9), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("peer_status", Integer),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("claimed_by", String(80)),
    Column("claimed_until", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    # When storage commitment is to be asked for, or, once asked for, when its report is overdue.
    Column("commitment_due_at", UtcDateTime),
    Column("commitment_requests", Integer, nullable=False, default=0, server_default="0"),
    Column("resends", Integer, nullable=False, default=0, server_default="0"),
    # When the destination took it, the last time.
    Column("sent_at", UtcDateTime),
    UniqueConstraint("sop_instance_uid", "destination"),
    _one_of("state", DeliveryState),
    Index(None, "destination", "state", "next_attempt_at"),
    Index(None, "destination", "commitment_due_at"),
    Index(None, "destination", "sent_at"),
    Index(None, "film_id"),
    Index(None, "destination", "film_id"),
    Index("ix_delivery_failed", "film_id"),  # of FAILED ones, as the migration says
    sqlite_autoincrement=True,
)

# One row for each destination that was ever tried: its circuit breaker.
destination = Table(
    "destination",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("state", String(4), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("failures", Integer, nullable=False, default=0),
    Column("next_probe_at", UtcDateTime),
    Column("probed_by", String(80)),
    Column("probed_until", UtcDateTime),
    Column("last_error", Text, nullable=False, default=""),
    Column("last_error_at", UtcDateTime),
    Column("last_success_at", UtcDateTime),
    _one_of("state", DestinationState),
)

# Which deliveries each storage commitment request named; a report may come after the next request.
commitment = Table(
    "commitment",
    metadata,
    Column("transaction_uid", String(64), primary_key=True),
    Column("delivery_id", ForeignKey("delivery.id", ondelete="CASCADE"), primary_key=True),
    Column("asked_at", UtcDateTime, nullable=False),
    Index(None, "delivery_id"),
)

event = Table(
    "event",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("film_id", ForeignKey("film.id"), nullable=False),
    Column("delivery_id", ForeignKey("delivery.id")),
    Column("from_state", String(9)),
    Column("to_state", String(9), nullable=False),
    Column("who", String(80), nullable=False),
    Column("message", Text, nullable=False, default=""),
    Index(None, "film_id"),
    sqlite_autoincrement=True,
)

# What readers say of a film's reading; the newest of each film counts.
verdict = Table(
    "verdict",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("film_id", ForeignKey("film.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("user_name", String(64), nullable=False),
    Column("opinion", String(8), nullable=False),
    Column("finding", String(32), nullable=False, default=""),
    Column("remark", Text, nullable=False, default=""),
    Column("version", String(64), nullable=False),
    Column("decision", String(64), nullable=False),
    _one_of("opinion", Opinion),
    Index(None, "film_id"),
    Index(None, "at"),
    sqlite_autoincrement=True,
)

# What a second model version says of films that were read; it makes no results. The row is there from the
# first attempt on: while it has neither reading nor reason, the film is still to be read by that version.
shadow_reading = Table(
    "shadow_reading",
    metadata,
    Column("film_id", ForeignKey("film.id"), primary_key=True),
    # Of the version's weights and the lung network's, as in film.reading: the version to the byte.
    Column("weights_sha256", String(64), primary_key=True),
    Column("model", String(64), nullable=False),
    Column("version", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("decision", String(64)),
    Column("reading", JSON(none_as_null=True)),
    # Decoding and the film's share of the networks' time.
    Column("seconds", Float),
    # Why there is no reading and will be none.
    Column("reason", Text, nullable=False, default=""),
    Column("at", UtcDateTime, nullable=False),
    Index(None, "at"),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    # A role or chore, and whose: what claimants are called behind the @.
    Column("process", String(80), primary_key=True),
    Column("instance", String(80), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("note", Text, nullable=False, default="", server_default=""),
    Column("is_ended", Boolean, nullable=False, default=False, server_default=false()),
)

# Films received on a day (UTC) that came to an end, counted: what monitoring reads instead of a million jobs.
score_histogram = Table(
    "score_histogram",
    metadata,
    Column("day", Date, primary_key=True),
    Column("calling_ae_title", String(16), primary_key=True),
    Column("manufacturer", String(64), primary_key=True),
    Column("view_position", String(16), primary_key=True),
    # Name and version of the model; empty for films that were not read.
    Column("version", String(64), primary_key=True),
    # Code of the refusal or failure; empty for films that were read.
    Column("reason", String(32), primary_key=True),
    Column("films", Integer, nullable=False),
    Column("flagged", Integer, nullable=False),
    # Films by score for any pneumonia, in equal cells from 0 to 1.
    Column("scores", JSON, nullable=False),
)

# The newest event whose film is counted in score_histogram; one row.
score_histogram_progress = Table(
    "score_histogram_progress",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("event_id", BigInteger, nullable=False),
)

# Most films that waited at once in each quarter of an hour.
queue_peak = Table(
    "queue_peak",
    metadata,
    Column("quarter", UtcDateTime, primary_key=True),
    Column("waiting", Integer, nullable=False),
)

# Who may log in to the console by a password; no other user stands here.
user_account = Table(
    "user_account",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(8), nullable=False),
    # argon2id, with its parameters and salt.
    Column("password_hash", Text, nullable=False),
    # SHA-256 of the token of the user's programs, hexadecimal.
    Column("token_digest", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("login_at", UtcDateTime),
    _one_of("role", Role),
    UniqueConstraint("token_digest"),
)

# Who is logged in; the browser alone knows what the digest is of.
user_session = Table(
    "user_session",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user_name", String(64), nullable=False),
    Column("role", String(8), nullable=False),
    # Who vouched for the user; empty for a password of user_account.
    Column("issuer", Text, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    _one_of("role", Role),
    Index(None, "user_name"),
)

# One row for each question to an archive, with the claim of the process that works on it.
backfill = Table(
    "backfill",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("archive", String(16), nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("modalities", String(80), nullable=False),
    # Of the list of studies that was asked for; empty where days were. With a list, both days are its own.
    Column("studies_sha256", String(64), nullable=False, default="", server_default=""),
    Column("claimed_by", String(80)),
    Column("claimed_until", UtcDateTime),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    sqlite_autoincrement=True,
)

# The days of a backfill whose instances the archive has named.
backfill_day = Table(
    "backfill_day",
    metadata,
    Column("backfill_id", ForeignKey("backfill.id"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("named_at", UtcDateTime, nullable=False),
)

# The studies of a backfill that the archive was asked for, and whether it has them.
backfill_study = Table(
    "backfill_study",
    metadata,
    Column("backfill_id", ForeignKey("backfill.id"), primary_key=True),
    Column("study_instance_uid", String(64), primary_key=True),
    Column("is_found", Boolean, nullable=False),
    Column("named_at", UtcDateTime, nullable=False),
)

backfill_instance = Table(
    "backfill_instance",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("backfill_id", ForeignKey("backfill.id"), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("state", String(9), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    UniqueConstraint("backfill_id", "sop_instance_uid"),
    _one_of("state", RetrievalState),
    Index(None, "backfill_id", "state", "id"),
    Index(None, "sop_instance_uid"),
    sqlite_autoincrement=True,
)
