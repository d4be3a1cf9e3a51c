"""film.manufacturer and film.view_position, by which scores are watched over time; what readers say"""

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("film", sa.Column("manufacturer", sa.String(64), nullable=False, server_default=""))
    op.add_column("film", sa.Column("view_position", sa.String(16), nullable=False, server_default=""))
    op.create_table(
        "verdict",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("film_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("user_name", sa.String(64), nullable=False),
        sa.Column("opinion", sa.String(8), nullable=False),
        sa.Column("finding", sa.String(32), nullable=False),
        sa.Column("remark", sa.Text(), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("decision", sa.String(64), nullable=False),
        sa.CheckConstraint(
            "opinion IN ('AGREE', 'DISAGREE', 'UNSURE')", name=op.f("ck_verdict_opinion_known")
        ),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name=op.f("fk_verdict_film_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_verdict_film_id"), "verdict", ["film_id"], unique=False)
    op.create_index(op.f("ix_verdict_at"), "verdict", ["at"], unique=False)


def downgrade() -> None:
    op.drop_table("verdict")
    op.drop_column("film", "view_position")
    op.drop_column("film", "manufacturer")
