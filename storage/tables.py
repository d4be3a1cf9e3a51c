"""Schema of the job database; an admin reads it through the views of ``etc/firstread.sql``."""

import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from storage.states import DeliveryState, FilmState


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


def _one_of(column: str, states: type[FilmState] | type[DeliveryState]) -> CheckConstraint:
    names = ", ".join(f"'{state}'" for state in states)
    return CheckConstraint(f"{column} IN ({names})", name=f"{column}_known")


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
    UniqueConstraint("sop_instance_uid", "digest"),
    _one_of("state", FilmState),
    Index(None, "state", "id"),
    Index(None, "accession_number"),
    Index(None, "study_instance_uid"),
    Index(None, "received_at"),
    sqlite_autoincrement=True,
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
    UniqueConstraint("sop_instance_uid", "destination"),
    _one_of("state", DeliveryState),
    Index(None, "destination", "state", "next_attempt_at"),
    Index(None, "film_id"),
    sqlite_autoincrement=True,
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

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("process", String(80), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)
