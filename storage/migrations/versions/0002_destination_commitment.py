"""destination, commitment"""

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "destination",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=4), nullable=False),
        sa.Column("since", UtcDateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_probe_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("probed_by", sa.String(length=80), nullable=True),
        sa.Column("probed_until", UtcDateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("last_error_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("last_success_at", UtcDateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('UP', 'DOWN')", name=op.f("ck_destination_state_known")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_destination")),
    )
    op.add_column("delivery", sa.Column("commitment_due_at", UtcDateTime(timezone=True), nullable=True))
    for name in ("commitment_requests", "resends"):
        op.add_column("delivery", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.create_index(
        op.f("ix_delivery_destination_commitment_due_at"),
        "delivery",
        ["destination", "commitment_due_at"],
        unique=False,
    )
    op.create_table(
        "commitment",
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("asked_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["delivery.id"],
            name=op.f("fk_commitment_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("transaction_uid", "delivery_id", name=op.f("pk_commitment")),
    )
    op.create_index(op.f("ix_commitment_delivery_id"), "commitment", ["delivery_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_commitment_delivery_id"), table_name="commitment")
    op.drop_table("commitment")
    op.drop_index(op.f("ix_delivery_destination_commitment_due_at"), table_name="delivery")
    for name in ("resends", "commitment_requests", "commitment_due_at"):
        op.drop_column("delivery", name)
    op.drop_table("destination")
