"""shadow_reading: what a second model version says of films that were read"""

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shadow_reading",
        sa.Column("film_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("weights_sha256", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(length=64), nullable=True),
        sa.Column("reading", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name=op.f("fk_shadow_reading_film_id")),
        sa.PrimaryKeyConstraint("film_id", "weights_sha256", name=op.f("pk_shadow_reading")),
    )
    op.create_index(op.f("ix_shadow_reading_at"), "shadow_reading", ["at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_shadow_reading_at"), table_name="shadow_reading")
    op.drop_table("shadow_reading")
