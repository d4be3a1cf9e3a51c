"""film.withdrawn_at: when its results were taken back; an index to find the films that stand for others"""

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("film", sa.Column("withdrawn_at", UtcDateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_film_conflict_with"), "film", ["conflict_with"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_film_conflict_with"), table_name="film")
    op.drop_column("film", "withdrawn_at")
