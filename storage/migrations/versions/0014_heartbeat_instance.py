"""heartbeat: a row for each process, where there was one for each role"""

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What it holds is out of date after a minute.
    op.drop_table("heartbeat")
    op.create_table(
        "heartbeat",
        sa.Column("process", sa.String(80), nullable=False),
        sa.Column("instance", sa.String(80), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("is_ended", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("process", "instance", name=op.f("pk_heartbeat")),
    )


def downgrade() -> None:
    op.drop_table("heartbeat")
    op.create_table(
        "heartbeat",
        sa.Column("process", sa.String(80), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_heartbeat")),
    )
