"""backfill_study: backfills of a list of studies"""

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("backfill", sa.Column("studies_sha256", sa.String(64), server_default="", nullable=False))
    op.create_table(
        "backfill_study",
        sa.Column("backfill_id", _ID, nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("is_found", sa.Boolean(), nullable=False),
        sa.Column("named_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["backfill_id"], ["backfill.id"], name=op.f("fk_backfill_study_backfill_id")),
        sa.PrimaryKeyConstraint("backfill_id", "study_instance_uid", name=op.f("pk_backfill_study")),
    )


def downgrade() -> None:
    op.drop_table("backfill_study")
    op.drop_column("backfill", "studies_sha256")
