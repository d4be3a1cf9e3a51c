"""film_map: where the model looked and where the lungs are, for the page of one film"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "film_map",
        sa.Column("film_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("label", sa.String(32), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("cell_rows", sa.Integer(), nullable=False),
        sa.Column("cell_columns", sa.Integer(), nullable=False),
        sa.Column("activation", sa.LargeBinary(), nullable=False),
        sa.Column("lungs", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name=op.f("fk_film_map_film_id")),
        sa.PrimaryKeyConstraint("film_id", name=op.f("pk_film_map")),
    )


def downgrade() -> None:
    op.drop_table("film_map")
