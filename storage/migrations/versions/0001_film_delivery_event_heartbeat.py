"""film, delivery, event, heartbeat"""

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "film",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("accession_number", sa.String(length=64), nullable=False),
        sa.Column("modality", sa.String(length=16), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("spool_name", sa.String(length=80), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("called_ae_title", sa.String(length=16), nullable=False),
        sa.Column("peer_address", sa.String(length=64), nullable=False),
        sa.Column("conflict_with", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.String(length=80), nullable=True),
        sa.Column("claimed_until", UtcDateTime(timezone=True), nullable=True),
        sa.Column("received_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("changed_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("decision", sa.String(length=64), nullable=True),
        sa.Column("reading", sa.JSON(none_as_null=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('QUEUED', 'READING', 'READ', 'SKIPPED', 'FAILED')", name=op.f("ck_film_state_known")
        ),
        sa.ForeignKeyConstraint(["conflict_with"], ["film.id"], name=op.f("fk_film_conflict_with")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_film")),
        sa.UniqueConstraint("sop_instance_uid", "digest", name=op.f("uq_film_sop_instance_uid_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_film_accession_number"), "film", ["accession_number"], unique=False)
    op.create_index(op.f("ix_film_received_at"), "film", ["received_at"], unique=False)
    op.create_index(op.f("ix_film_state_id"), "film", ["state", "id"], unique=False)
    op.create_index(op.f("ix_film_study_instance_uid"), "film", ["study_instance_uid"], unique=False)
    op.create_table(
        "heartbeat",
        sa.Column("process", sa.String(length=80), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("film_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("spool_name", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("peer_status", sa.Integer(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("claimed_by", sa.String(length=80), nullable=True),
        sa.Column("claimed_until", UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("changed_at", UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('PENDING', 'SENDING', 'SENT', 'COMMITTED', 'FAILED')",
            name=op.f("ck_delivery_state_known"),
        ),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name=op.f("fk_delivery_film_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint(
            "sop_instance_uid", "destination", name=op.f("uq_delivery_sop_instance_uid_destination")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_delivery_destination_state_next_attempt_at"),
        "delivery",
        ["destination", "state", "next_attempt_at"],
        unique=False,
    )
    op.create_index(op.f("ix_delivery_film_id"), "delivery", ["film_id"], unique=False)
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("film_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("from_state", sa.String(length=9), nullable=True),
        sa.Column("to_state", sa.String(length=9), nullable=False),
        sa.Column("who", sa.String(length=80), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name=op.f("fk_event_delivery_id")),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name=op.f("fk_event_film_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_event_film_id"), "event", ["film_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_event_film_id"), table_name="event")
    op.drop_table("event")
    op.drop_index(op.f("ix_delivery_film_id"), table_name="delivery")
    op.drop_index(op.f("ix_delivery_destination_state_next_attempt_at"), table_name="delivery")
    op.drop_table("delivery")
    op.drop_table("heartbeat")
    op.drop_index(op.f("ix_film_study_instance_uid"), table_name="film")
    op.drop_index(op.f("ix_film_state_id"), table_name="film")
    op.drop_index(op.f("ix_film_received_at"), table_name="film")
    op.drop_index(op.f("ix_film_accession_number"), table_name="film")
    op.drop_table("film")
