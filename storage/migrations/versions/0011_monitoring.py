"""Scores by day, the longest queue of each quarter of an hour, and when a peer took a result"""

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "score_histogram",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("calling_ae_title", sa.String(16), nullable=False),
        sa.Column("manufacturer", sa.String(64), nullable=False),
        sa.Column("view_position", sa.String(16), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("films", sa.Integer(), nullable=False),
        sa.Column("flagged", sa.Integer(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint(
            "day", "calling_ae_title", "manufacturer", "view_position", "version", "reason",
            name=op.f("pk_score_histogram"),
        ),
    )  # fmt: skip
    op.create_table(
        "score_histogram_progress",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score_histogram_progress")),
    )
    op.bulk_insert(
        sa.table("score_histogram_progress", sa.column("id"), sa.column("event_id")),
        [{"id": 1, "event_id": 0}],
    )
    op.create_table(
        "queue_peak",
        sa.Column("quarter", UtcDateTime(timezone=True), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("quarter", name=op.f("pk_queue_peak")),
    )
    op.add_column("delivery", sa.Column("sent_at", UtcDateTime(timezone=True)))
    op.create_index(op.f("ix_delivery_destination_sent_at"), "delivery", ["destination", "sent_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_delivery_destination_sent_at"), "delivery")
    op.drop_column("delivery", "sent_at")
    op.drop_table("queue_peak")
    op.drop_table("score_histogram_progress")
    op.drop_table("score_histogram")
